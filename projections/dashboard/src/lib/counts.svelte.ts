// How many monitors have which status.

import { allRows } from './monitors.svelte';
import type { Status } from './types';

export type Counts = Record<Status, number> & { all: number };

export function rowsByStatus(): Counts {
  const counts: Counts = { all: 0, up: 0, down: 0, unknown: 0, paused: 0, pending: 0, maintenance: 0 };
  for (const { monitor } of allRows()) {
    counts.all += 1;
    counts[monitor.status] += 1;
  }
  return counts;
}
