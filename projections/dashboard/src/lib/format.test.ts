import { expect, it } from 'vitest';
import { duration, milliseconds, percent, percentile, phases } from './format';
import { buckets } from './buckets';
import { grouped, select, viewOf } from './list';
import { match, safeNext } from './paths';
import type { StoredCheck } from './types';

it('writes the API’s own text of an uptime, and rounds nothing up', () => {
  expect(percent({ uptime_ratio: 0.5, uptime_percent: '12.340' })).toBe('12.340%');
  expect(percent({ uptime_ratio: 0.9999999 })).toBe('99.999%');
  expect(percent({ uptime_ratio: 1 })).toBe('100.000%');
  expect(percent({ uptime_ratio: 0 })).toBe('0.000%');
  expect(percent({ uptime_ratio: null, uptime_percent: null })).toBe('–');
  expect(percent(undefined)).toBe('–');
});

it('writes lengths of time in two units', () => {
  expect(duration(0.4)).toBe('0.4 s');
  expect(duration(59)).toBe('59 s');
  expect(duration(60)).toBe('1 min');
  expect(duration(3661)).toBe('1 h 1 min');
  expect(duration(90_000)).toBe('1 d 1 h');
});

it('writes microseconds with as many digits as say something', () => {
  expect(milliseconds(812)).toBe('0.8 ms');
  expect(milliseconds(79_102)).toBe('79 ms');
  expect(milliseconds(12_400_000)).toBe('12.4 s');
});

const check = (outcome: string, total: number, at = 0): StoredCheck =>
  ({ outcome, timings_us: { total }, scheduled_at: new Date(at).toISOString() }) as StoredCheck;

it('takes percentiles of successful checks by nearest rank', () => {
  const checks = [5, 1, 4, 2, 3].map((total) => check('up', total)).concat(check('down', 999));
  expect([0.5, 0.95, 0.2].map((part) => percentile(checks, part))).toEqual([3, 5, 1]);
  expect(percentile([check('down', 1)], 0.5)).toBeNull();
});

it('leaves a gap where no check succeeded', () => {
  const series = buckets([check('up', 1000, 0), check('down', 1, 1000), check('up', 3000, 2000)], 3);
  expect(series[0]).toHaveLength(3);
  expect(series[3]).toEqual([1, null, 3]);
});

it('gives every microsecond of a check to one phase', () => {
  const parts = phases({ dns: 10, connect: 20, tls: 0, first_byte: 30, total: 100 });
  expect(parts.map(({ length }) => length)).toEqual([10, 20, 0, 30, 40]);
  expect(parts.map(({ from }) => from)).toEqual([0, 10, 30, 30, 60]);
});

it('leads only to addresses of the dashboard', () => {
  expect(safeNext('/monitors/1?q=a')).toBe('/monitors/1?q=a');
  for (const next of [null, 'https://evil.example', '//evil.example', '/\\evil.example', 'javascript:alert(1)']) {
    expect(safeNext(next), String(next)).toBe('/monitors');
  }
});

it('matches paths part by part', () => {
  expect(match('/monitors/:id', '/monitors/7')).toEqual({ id: '7' });
  expect(match('/monitors/:id', '/monitors/7/')).toEqual({ id: '7' });
  expect(match('/monitors/:id', '/monitors/7/edit')).toBeNull();
});

it('sorts what needs somebody first, and searches names and addresses', () => {
  const row = (id: string, status: string, tags = {}) =>
    ({ monitor: { id, name: id, status, tags, target: { type: 'http', url: `https://${id}.example.com` } }, checks: [], checksLoaded: true }) as never;
  const rows = [row('a', 'up'), row('b', 'down', { team: 'x' }), row('c', 'paused'), row('d', 'unknown', { team: 'x' })];
  const names = (query: string): string[] =>
    select(rows, viewOf(new URLSearchParams(query)), new Map()).map(({ monitor }) => monitor.name);
  expect(names('')).toEqual(['b', 'd', 'a', 'c']);
  expect(names('sort=-name')).toEqual(['d', 'c', 'b', 'a']);
  expect(names('q=C.example')).toEqual(['c']);
  expect(names('tag=team:x')).toEqual(['b', 'd']);
  expect(names('tag=team:y')).toEqual([]);
  const lines = grouped(select(rows, viewOf(new URLSearchParams('')), new Map()), 'team', 'none');
  expect(lines.map((line) => (line.kind === 'group' ? `${line.name} ${line.count}` : line.row.monitor.name))).toEqual([
    'x 2', 'b', 'd', 'none 2', 'a', 'c',
  ]);
});
