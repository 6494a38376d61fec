import { expect, it } from 'vitest';
import { bodyOf, changesOf, copyOf, draftOf, mergePatch, newDraft, patchOf } from './draft';
import type { Monitor } from './types';

const monitor: Monitor = {
  id: '1',
  name: 'Shop',
  target: {
    type: 'http',
    url: 'https://shop.example.com/',
    method: 'POST',
    headers: { accept: 'application/json', host: 'shop.internal' },
    body: '{}',
    follow_redirects: false,
    max_redirects: 3,
    verify_tls: true,
    http_versions: '2',
    expected_status: ['2xx', '304'],
    assertions: [{ type: 'json_path', path: '$.n', operator: 'at_most', value: 100 }],
    auth: { type: 'basic', username: 'probe', password: { secret: 'id' } },
    secret_headers: { 'x-key': { secret: 'other' } },
  },
  status: 'up',
  interval_seconds: 30,
  timeout_ms: 5000,
  retries: { max_attempts: 2, initial_backoff_ms: 300 },
  confirmations: 2,
  regions: ['a', 'b'],
  regions_without_prober: [],
  quorum: 1,
  tags: { team: 'payments', urgent: '' },
  paused: false,
  version: 7,
  registered_at: '2026-01-01T00:00:00Z',
  changed_at: '2026-01-01T00:00:00Z',
};

/** RFC 7396, section 2. */
function apply(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const base = typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete (base as Record<string, unknown>)[name];
    else (base as Record<string, unknown>)[name] = apply((base as Record<string, unknown>)[name], value);
  }
  return base;
}

it('changes nothing of a monitor whose form nobody touched', () => {
  expect(patchOf(monitor, draftOf(monitor))).toEqual({});
});

it('sends only what was changed, and null for what was taken away', () => {
  const draft = { ...draftOf(monitor), headers: 'Accept: text/html', tags: 'team:web', quorum: null, interval: 60 };
  const patch = patchOf(monitor, draft);
  expect(patch).toEqual({
    target: { headers: { accept: 'text/html', host: null } },
    tags: { team: 'web', urgent: null },
    quorum: null,
    interval_seconds: 60,
  });
  expect(changesOf(bodyOf(draftOf(monitor)) as never, patch).map(({ field }) => field)).toContain('target.headers.host');
});

it('leads with its patch to what the form says, also for another authentication', () => {
  for (const auth of ['none', 'basic', 'bearer'] as const) {
    const draft = { ...draftOf(monitor), auth, secret: 'new', body: '' };
    const before = bodyOf(draftOf(monitor)) as never;
    expect(apply(before, mergePatch(before, bodyOf(draft) as never))).toEqual(bodyOf(draft));
  }
});

it('copies what the form does not show, and no secret', () => {
  const copy = copyOf(monitor, { ...draftOf(monitor), secretKept: null, auth: 'none' });
  const target = copy['target'] as Record<string, unknown>;
  expect(target['http_versions']).toBe('2');
  expect(target['max_redirects']).toBe(3);
  expect(JSON.stringify(copy)).not.toContain('"secret"');
});

it('takes a bare host for its https address', () => {
  expect(bodyOf({ ...newDraft(), url: ' example.com ' }).target).toMatchObject({ url: 'https://example.com' });
});
