// A viewer sees no button that would be refused, and every uptime on the page is the API's.

import { addMonitor, api, assert, eventually, launch, open, origin, signUp, target, watch } from './browser.mjs';

const browser = await launch();
const watched = await target();
try {
  const owner = await open(browser);
  await signUp(owner.page, 'Owner');
  const up = await addMonitor(owner.page, { url: watched.url, name: 'watched' });

  // An owner makes an invitation by the form, and gives the link to somebody new.
  const guest = await open(browser);
  await owner.page.goto('/settings/people');
  const email = `guest-${process.pid}@example.com`;
  await owner.page.getByLabel('Email').fill(email);
  await owner.page.getByLabel('Role').last().selectOption('viewer');
  await owner.page.getByRole('button', { name: 'Invite' }).click();
  const link = await owner.page.getByLabel('Link').inputValue();
  assert(link.startsWith(`${origin}/invitation?token=`), link);
  await guest.page.goto(link);
  await guest.page.getByRole('link', { name: 'Create an account' }).click();
  await guest.page.getByLabel('Email').fill(email);
  await guest.page.getByLabel('Password').fill('correct horse battery');
  await guest.page.getByRole('button', { name: 'Create an account' }).click();
  await guest.page.getByRole('button', { name: 'Accept the invitation' }).click();
  await guest.page.locator('.row').waitFor();
  assert.equal((await api(guest.page, 'GET', '/api/v1/me')).body.role, 'viewer');

  const refused = ['New monitor', 'Check now', 'Pause', 'Resume', 'Edit', 'Duplicate', 'Archive', 'Invite', 'Remove', 'Revoke', 'Create a key', 'Make a new address'];
  const buttons = async (page) => (await page.locator('button, a.button').allTextContents()).map((text) => text.trim());
  for (const path of ['/monitors', `/monitors/${up.id}`, '/settings/people', '/settings/keys']) {
    await guest.page.goto(path);
    await guest.page.getByRole('heading', { level: 1 }).waitFor();
    await guest.page.locator('.row, .status, .panel').first().waitFor();
    const seen = (await buttons(guest.page)).filter((text) => refused.includes(text));
    assert.deepEqual(seen, [], `a viewer sees at ${path}`);
    assert.equal(await guest.page.getByRole('checkbox').count(), 0, `a viewer selects nothing at ${path}`);
  }
  // The control: the same pages have these buttons for the owner.
  await owner.page.goto(`/monitors/${up.id}`);
  await owner.page.getByRole('button', { name: 'Check now' }).waitFor();
  for (const name of ['Check now', 'Pause', 'Edit', 'Duplicate', 'Archive']) assert((await buttons(owner.page)).includes(name), name);

  // Two people look at one monitor, and each is told of the other.
  await guest.page.goto(`/monitors/${up.id}`);
  for (const { page } of [owner, guest]) await page.getByText('2 people are looking at this monitor').waitFor();

  // A window in the past does not change any more: the page's text is the API's.
  watched.status = 500;
  await eventually('down', async () => {
    const { body } = await api(owner.page, 'GET', `/api/v1/monitors/${up.id}`);
    return [body.status === 'down', body.status];
  });
  watched.status = 200;
  await eventually('up', async () => {
    const { body } = await api(owner.page, 'GET', `/api/v1/monitors/${up.id}`);
    return [body.status === 'up', body.status];
  });
  // The figures of a paused monitor stand still.
  await owner.page.getByRole('button', { name: 'Pause' }).click();
  await owner.page.locator('.status[data-status=paused]').waitFor();
  await eventually('the page shows what the API says', async () => {
    await guest.page.goto(`/monitors/${up.id}`);
    await guest.page.locator('[data-uptime="24h"]').filter({ hasText: '%' }).waitFor();
    const shown = await guest.page.locator('[data-uptime]').evaluateAll((tiles) =>
      Object.fromEntries(tiles.map((tile) => [tile.dataset.uptime, tile.textContent])),
    );
    const told = {};
    for (const window of Object.keys(shown)) {
      const { body } = await api(guest.page, 'GET', `/api/v1/monitors/${up.id}/uptime?window=${window}`);
      // Rounded down, as `uptime_percent` is.
      told[window] = `${body.uptime_percent ?? (Math.floor(body.uptime_ratio * 100_000) / 1000).toFixed(3)}%`;
    }
    const same = JSON.stringify(shown) === JSON.stringify(told);
    return [same && shown['24h'] !== '100.000%', { shown, told }];
  });

  // The session is ended elsewhere: back to the door, and after signing in to the same place.
  await guest.page.goto(`/monitors/${up.id}`);
  await guest.page.locator('.status').waitFor();
  assert.deepEqual(guest.faults, []);
  assert.deepEqual(owner.faults, []);
  guest.page.removeAllListeners('console');
  const elsewhere = await guest.context.newPage();
  watch(elsewhere);
  await api(elsewhere, 'POST', '/api/v1/auth/logout');
  await guest.page.waitForURL((url) => url.pathname === '/sign-in' && url.searchParams.get('next') === `/monitors/${up.id}`);
  await guest.page.getByText('Your session has ended').waitFor();
  await guest.page.getByLabel('Email').fill(email);
  await guest.page.getByLabel('Password').fill('correct horse battery');
  await guest.page.getByRole('button', { name: 'Sign in' }).click();
  await guest.page.waitForURL(`**/monitors/${up.id}`);
  await guest.page.locator('.status').waitFor();
} finally {
  watched.stop();
  await browser.close();
}
