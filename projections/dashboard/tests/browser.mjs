// A browser for the tests, and what every page must keep to.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

export const origin = process.env.PULSETRAIL_TEST_URL;
export const PATIENCE = 60_000;

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export async function launch() {
  const executablePath = BROWSERS.find(existsSync);
  assert(executablePath, `one of ${BROWSERS.join(', ')}`);
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-default-apps',
      '--disable-sync',
      '--no-first-run',
      '--no-proxy-server',
    ],
  });
}

/** A page of a context of its own, with what went wrong in it. Faults are texts; there must be none at the end. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ baseURL: origin, viewport: { width: 1440, height: 900 }, ...options });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const faults = watch(page);
  return { context, page, faults };
}

export function watch(page) {
  const faults = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on('pageerror', (error) => faults.push(`exception: ${error.stack ?? error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin) faults.push(`a request left the origin: ${request.url()}`);
  });
  page.on('websocket', (socket) => {
    if (new URL(socket.url()).host !== new URL(origin).host) faults.push(`a WebSocket left the origin: ${socket.url()}`);
  });
  return faults;
}

let people = 0;
/** Signs somebody new up, by the form. */
export async function signUp(page, name = '') {
  const email = `person-${process.pid}-${(people += 1)}@example.com`;
  await page.goto('/sign-up');
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password').fill('correct horse battery');
  if (name) await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Create an account' }).click();
  await page.waitForURL('**/monitors');
  return email;
}

/** A request to the API with the session of a page. */
export async function api(page, method, path, body) {
  const answer = await page.request.fetch(path, {
    method,
    headers: { Origin: origin, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    ...(body === undefined ? {} : { data: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status(), body: text === '' ? null : JSON.parse(text) };
}

export async function addMonitor(page, monitor) {
  const { status, body } = await api(page, 'POST', '/api/v1/monitors', { interval_seconds: 1, timeout_ms: 900, ...monitor });
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

/** Waits until something is so, and says what was seen last if it never is. */
export async function eventually(what, look, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const [done, seen] = await look();
    if (done) return seen;
    if (Date.now() > end) throw new Error(`${what}: not within ${patience} ms; seen last: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** An HTTP target on loopback that answers with a status that tests can change. */
export async function target() {
  const state = { status: 200, url: '' };
  const server = createServer((_request, response) => {
    response.statusCode = state.status;
    response.end('fine');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  state.url = `http://127.0.0.1:${server.address().port}/`;
  state.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return state;
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds on a page (WCAG 2.2 AA and best practices), one line each. */
export async function violations(page) {
  // The page's own policy lets no other script in; the test's comes through the debugger.
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => ({ id, html, failureSummary })));
  });
  return found.map(({ id, html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary?.replace(/\s+/g, ' ').slice(0, 300)}`);
}

/** Whether the page is wider than its window. */
export async function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

export { assert };
