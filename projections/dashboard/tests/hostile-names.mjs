// Names that somebody chose to do harm are texts: nothing of them runs, and no page breaks.

import { api, assert, eventually, launch, open, overflow, signUp, target } from './browser.mjs';

const NAMES = [
  '<img src=x onerror="globalThis.harmed=1">',
  '"><script>globalThis.harmed=1</script>',
  "javascript:alert('x')",
  '{{constructor.constructor("globalThis.harmed=1")()}}',
  '\u202eevil\u202c \u2066rtl\u2069 שלום مرحبا',
  '👩‍👩‍👧‍👦'.repeat(20),
  'zero\u200bwidth\u200d\ufeff\u2060name',
  `combining ${'a\u0301\u0302\u0303\u0304\u0305'.repeat(20)}`,
  'x'.repeat(200),
  'y '.repeat(99).trim(),
];

const browser = await launch();
const watched = await target();
try {
  const { page, faults } = await open(browser);
  await signUp(page, '<b onmouseover=alert(1)>Ada</b>');
  // The longest name that the API takes is 200 characters.
  const long = await api(page, 'POST', '/api/v1/monitors', { url: watched.url, name: 'x'.repeat(10_000) });
  assert.equal(long.status, 422);
  const monitors = [];
  for (const name of NAMES) {
    const tags = { note: name };
    const url = `${watched.url}?q=${'z'.repeat(900)}`;
    const made = await api(page, 'POST', '/api/v1/monitors', { url, name, tags, interval_seconds: 1, timeout_ms: 900 });
    // The API may refuse a name; then it is the name that it objects to.
    if (made.status === 201) monitors.push(made.body);
    else assert(made.body.errors.some(({ pointer }) => pointer === '/name'), JSON.stringify(made.body));
  }
  assert(monitors.length >= 6, 'what is written in visible characters is a name');
  for (const width of [360, 1440, 2560]) {
    await page.setViewportSize({ width, height: 900 });
    await page.goto('/monitors');
    await page.locator('.row').first().waitFor();
    await eventually('all names are listed', async () => {
      const count = await page.locator('.row').count();
      return [count === monitors.length, count];
    });
    assert.equal(await overflow(page), 0, `the list at ${width} px`);
    const heights = await page.locator('.row').evaluateAll((rows) => rows.map((row) => row.getBoundingClientRect().height));
    assert.equal(new Set(heights).size, 1, `all rows have one height: ${heights}`);
    const shown = await page.locator('.row .main').allTextContents();
    assert.deepEqual(new Set(shown), new Set(monitors.map(({ name }) => name)), 'each name stands there as it is');
    for (const { id, name } of monitors) {
      await page.goto(`/monitors/${id}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), name);
      assert.equal(await overflow(page), 0, `the page of ${name.slice(0, 30)} at ${width} px`);
    }
    await page.goto(`/monitors/${monitors[0].id}/edit`);
    await page.getByRole('heading', { name: 'Edit monitor' }).waitFor();
    await page.getByLabel('Address').waitFor();
    assert.equal(await overflow(page), 0, `the form at ${width} px`);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox').fill('img');
  await page.locator('#palette-items [role=option]').first().waitFor();
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => globalThis.harmed), undefined);
  assert.equal(await page.locator('img[src=x], script:not([src])').count(), 0);
  assert.deepEqual(faults, []);
} finally {
  watched.stop();
  await browser.close();
}
