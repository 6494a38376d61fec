// axe finds nothing to object to: on each page, in both themes, empty and with monitors of every status, wide and narrow.

import { addMonitor, api, assert, eventually, launch, open, overflow, signUp, target, violations } from './browser.mjs';

const browser = await launch();
const watched = await target();
const found = [];
try {
  const { page, faults } = await open(browser);
  const look = async (name, path, ready) => {
    for (const [width, colorScheme] of [[390, 'light'], [1440, 'light'], [1440, 'dark']]) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.goto(path);
      await ready();
      for (const violation of await violations(page)) found.push(`${name}, ${width} px, ${colorScheme}: ${violation}`);
      if ((await overflow(page)) !== 0) found.push(`${name}, ${width} px: wider than the window`);
    }
  };
  const heading = (name) => () => page.getByRole('heading', { name }).first().waitFor();

  await look('sign in', '/sign-in', heading('Sign in to Pulsetrail'));
  await look('sign up', '/sign-up', heading('Watch your first address'));
  await look('invitation', '/invitation?token=inv_1', heading('You were invited'));
  await signUp(page, 'Ada');
  await look('no monitors', '/monitors', heading('Nothing is watched yet'));

  const up = await addMonitor(page, { url: watched.url, name: 'up', tags: { team: 'web' } });
  const down = await addMonitor(page, {
    name: 'down',
    tags: { team: 'api', urgent: '' },
    target: { type: 'http', url: watched.url, assertions: [{ type: 'body', operator: 'contains', value: 'missing' }] },
  });
  const paused = await addMonitor(page, { url: watched.url, name: 'paused' });
  await api(page, 'POST', `/api/v1/monitors/${paused.id}/pause`);
  const heartbeat = await addMonitor(page, { name: 'heartbeat', target: { type: 'heartbeat' }, interval_seconds: 3600, timeout_ms: undefined });
  for (const [monitor, status] of [[up, 'up'], [down, 'down']]) {
    await eventually(`${monitor.name} is ${status}`, async () => {
      const { body } = await api(page, 'GET', `/api/v1/monitors/${monitor.id}`);
      return [body.status === status, body.status];
    });
  }
  const row = () => page.locator('.row').first().waitFor();
  await look('monitors', '/monitors', row);
  await look('grouped', '/monitors?group=team&sort=-24h', row);
  await look('no match', '/monitors?q=nothing', heading('No monitor matches'));
  for (const monitor of [up, down, paused, heartbeat]) {
    await look(monitor.name, `/monitors/${monitor.id}`, heading(monitor.name));
  }
  const checks = await eventually('a check of each', async () => {
    const { body } = await api(page, 'GET', `/api/v1/monitors/${down.id}/checks?limit=1`);
    return [body.items.length > 0, body.items];
  });
  await look('one check', `/monitors/${down.id}/checks/${checks[0].check_id}`, heading('Where the time went'));
  await look('new monitor', '/monitors/new', heading('New monitor'));
  await look('edit monitor', `/monitors/${down.id}/edit`, async () => {
    await heading('Edit monitor')();
    await page.getByText('More settings').click();
  });
  for (const [section, name] of [['profile', 'Change the password'], ['organization', 'Your organizations'], ['people', 'Members'], ['keys', 'Create a key']]) {
    await look(section, `/settings/${section}`, heading(name));
  }
  await look('a monitor that does not exist', '/settings/nothing', heading('There is no page here'));
  await look('the palette', '/monitors', async () => {
    await row();
    await page.keyboard.press('Control+k');
    await page.locator('#palette-items [role=option]').first().waitFor();
  });
  await look('the help', '/monitors', async () => {
    await row();
    await page.keyboard.press('?');
    await heading('Keyboard')();
  });
  assert.deepEqual(found, []);
  assert.deepEqual(faults, []);
} finally {
  watched.stop();
  await browser.close();
}
