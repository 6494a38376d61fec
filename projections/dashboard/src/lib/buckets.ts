// Checks put together by time, for a chart.

import { percentile } from './format';
import type { LatencyBucket, StoredCheck } from './types';

/** Times in seconds, and p99, p95 and p50 in ms; null where no check of the bucket succeeded. */
export type Series = [number[], (number | null)[], (number | null)[], (number | null)[]];

/** Splits the time from the first to the last check into at most `count` equal parts. */
export function buckets(checks: readonly StoredCheck[], count: number): Series {
  const series: Series = [[], [], [], []];
  const [first, last] = [checks[0], checks.at(-1)];
  if (!first || !last) return series;
  const from = Date.parse(first.scheduled_at);
  const step = Math.max(1000, Math.ceil((Date.parse(last.scheduled_at) - from + 1) / count));
  const parts = new Map<number, StoredCheck[]>();
  for (const check of checks) {
    const index = Math.floor((Date.parse(check.scheduled_at) - from) / step);
    const part = parts.get(index);
    if (part) part.push(check);
    else parts.set(index, [check]);
  }
  const end = Math.floor((Date.parse(last.scheduled_at) - from) / step);
  for (let index = 0; index <= end; index += 1) {
    const part = parts.get(index) ?? [];
    series[0].push((from + index * step) / 1000);
    const value = (share: number): number | null => {
      const us = percentile(part, share);
      return us === null ? null : us / 1000;
    };
    series[1].push(value(0.99));
    series[2].push(value(0.95));
    series[3].push(value(0.5));
  }
  return series;
}

/** The same out of what the analytics answer. */
export function seriesOf(latency: readonly LatencyBucket[]): Series {
  return [
    latency.map(({ at }) => Date.parse(at) / 1000),
    latency.map(({ p99_ms }) => p99_ms ?? null),
    latency.map(({ p95_ms }) => p95_ms ?? null),
    latency.map(({ p50_ms }) => p50_ms ?? null),
  ];
}
