// Pictures of every page. See screenshots.sh.

import { api, launch, open, signUp } from './browser.mjs';

const folder = process.env.PULSETRAIL_SCREENSHOTS;
const SIZES = [
  [390, 844],
  [1440, 900],
];

const browser = await launch();

async function picture(page, name, path, ready) {
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.goto(path);
      await ready();
      // Fonts and the pictures that follow the first answer.
      await page.evaluate(() => document.fonts.ready);
      await page.waitForFunction(() => document.querySelector('.skeleton, .waiting') === null, undefined, { timeout: 30_000 });
      await page.waitForTimeout(500);
      await page.screenshot({ path: `${folder}/${name}-${width}-${colorScheme}.png` });
    }
  }
}

const heading = (page, name) => () => page.getByRole('heading', { name }).first().waitFor();

// Nobody, and somebody new.
{
  const { page } = await open(browser);
  await picture(page, 'sign-in', '/sign-in', heading(page, 'Sign in'));
  await picture(page, 'sign-up', '/sign-up', heading(page, 'Watch your first'));
  await signUp(page, 'Ada Lovelace');
  await picture(page, 'monitors-empty', '/monitors', heading(page, 'Nothing is watched'));
  await picture(page, 'new-monitor', '/monitors/new', heading(page, 'New monitor'));
  for (const section of ['profile', 'organization', 'people', 'keys']) {
    await picture(page, `settings-${section}`, `/settings/${section}`, heading(page, 'Settings'));
  }
  await page.context().close();
}

// The sample targets.
{
  const { page } = await open(browser);
  await page.goto('/sign-in');
  await page.getByLabel('Email').fill('demo@example.com');
  await page.getByLabel('Password').fill(process.env.PULSETRAIL_DEMO_PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  // A minute and a half of history: the flaky target has gone down and come back.
  await page.waitForTimeout(90_000);
  const row = () => page.locator('.row').first().waitFor();
  await picture(page, 'monitors', '/monitors', row);
  const { body } = await api(page, 'GET', '/api/v1/monitors');
  for (const { id, name } of body.items) {
    const file = name.replaceAll(' ', '-');
    await picture(page, `monitor-${file}`, `/monitors/${id}`, () => page.locator('tbody a').first().waitFor());
    const { body: checks } = await api(page, 'GET', `/api/v1/monitors/${id}/checks?limit=1`);
    if (name === 'down') await picture(page, 'check', `/monitors/${id}/checks/${checks.items[0].check_id}`, heading(page, 'Where the time went'));
    if (name === 'flaky') await picture(page, 'edit-monitor', `/monitors/${id}/edit`, heading(page, 'Edit monitor'));
  }
  await picture(page, 'palette', '/monitors', async () => {
    await row();
    await page.keyboard.press('Control+k');
    await page.locator('#palette-items [role=option]').first().waitFor();
  });
  const target = body.items.find(({ name }) => name === 'healthy').target.url;

  // 2,000 monitors.
  const full = await open(browser);
  await signUp(full.page, 'Full House');
  const teams = ['checkout', 'search', 'identity', 'media', 'billing'];
  const operations = Array.from({ length: 2000 }, (_, index) => ({
    action: 'register',
    monitor: {
      url: `${target}?n=${index}`,
      name: `${teams[index % 5]}-${String(index).padStart(4, '0')}.example.com`,
      interval_seconds: 60,
      tags: { team: teams[index % 5], tier: String(1 + (index % 3)) },
    },
  }));
  for (let from = 0; from < operations.length; from += 500) {
    await api(full.page, 'POST', '/api/v1/monitors/bulk', { operations: operations.slice(from, from + 500) });
  }
  await full.page.waitForTimeout(60_000);
  const fullRow = () => full.page.locator('.row').first().waitFor();
  await picture(full.page, 'monitors-full', '/monitors', fullRow);
  await picture(full.page, 'monitors-full-grouped', '/monitors?group=team', fullRow);
}
await browser.close();
