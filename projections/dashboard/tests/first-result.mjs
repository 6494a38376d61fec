// Somebody signs up, gives an address, and sees its first result, and its first failure, without loading a page again.

import { assert, eventually, launch, open, overflow, target } from './browser.mjs';

const browser = await launch();
const watched = await target();
try {
  const { page, faults } = await open(browser);
  await page.goto('/');
  await page.waitForURL('**/sign-in');
  const begin = Date.now();
  await page.getByRole('link', { name: 'Create an account' }).click();
  await page.getByLabel('Email').fill(`first-${process.pid}@example.com`);
  await page.getByLabel('Password').fill('correct horse battery');
  await page.getByRole('button', { name: 'Create an account' }).click();
  await page.getByRole('link', { name: 'New monitor' }).click();
  await page.getByLabel('Address').fill(watched.url);
  await page.getByLabel('Check every').fill('1');
  // The API's own message stands at the field that it is about.
  await page.getByText('More settings').click();
  await page.getByLabel('Timeout (ms)').fill('5000');
  await page.getByRole('button', { name: 'Create monitor' }).click();
  const invalid = page.getByLabel('Timeout (ms)');
  await eventually('the timeout is at fault', async () => {
    const state = await invalid.getAttribute('aria-invalid');
    return [state === 'true', state];
  });
  // The refusal that this step provokes is the only message of the console.
  assert.equal(faults.length, 1, faults.join('\n'));
  assert.match(faults.pop(), /422/);
  await invalid.fill('900');
  await page.getByRole('button', { name: 'Create monitor' }).click();
  await page.waitForURL(/\/monitors\/[0-9a-f-]{36}$/);
  await page.evaluate(() => (globalThis.sameDocument = true));
  const status = () => page.locator('.status').getAttribute('data-status');
  await eventually('the first result', async () => [(await status()) === 'up', await status()]);
  const took = Date.now() - begin;
  assert(took < 60_000, `${took} ms from the first click to the first result`);
  await page.getByRole('link', { name: /\d\d:\d\d/ }).first().waitFor();

  watched.status = 503;
  await eventually('the page turns red', async () => [(await status()) === 'down', await status()]);
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: /Monitors/ }).click();
  const row = page.locator('[data-status=down]');
  await row.waitFor();
  watched.status = 200;
  await page.locator('.row[data-status=up]').waitFor();
  assert.equal(await page.evaluate(() => globalThis.sameDocument), true, 'no page was loaded again');
  await page.locator('[data-feed=live]:visible').waitFor();
  assert.equal(await overflow(page), 0);
  assert.deepEqual(faults, []);
  console.log(JSON.stringify({ first_result_ms: took }));
} finally {
  watched.stop();
  await browser.close();
}
