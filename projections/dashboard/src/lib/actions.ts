// What people do to monitors, one or many.

import { ApiError, request } from './api';
import { explain } from './errors';
import { milliseconds } from './format';
import { hideMonitor, loadMonitors, rowOf, showMonitor, takeMonitor } from './monitors.svelte';
import { t } from './strings';
import { say, warn, withUndo } from './toasts.svelte';
import type { BulkResult, Check, Monitor } from './types';

/** Operations in one call: a request that outlives its page may have 64 KiB. */
const BULK = 500;

type Action = 'pause' | 'resume' | 'archive';

export const pauseMonitors = (ids: string[]): Promise<void> => change('pause', ids, t.done.paused);
export const resumeMonitors = (ids: string[]): Promise<void> => change('resume', ids, t.done.resumed);

async function change(action: Action, ids: string[], done: (count: number) => string): Promise<void> {
  const [only] = ids;
  try {
    if (ids.length === 1 && only !== undefined) {
      takeMonitor(await request<Monitor>('POST', `/api/v1/monitors/${only}/${action}`));
      say(done(1));
      return;
    }
    const { succeeded, failed, detail } = await bulk(action, ids);
    if (succeeded > 0) say(done(succeeded));
    if (failed > 0) warn(t.done.someFailed(failed, detail));
    void loadMonitors();
  } catch (error) {
    warn(explain(error));
  }
}

async function bulk(action: Action, ids: string[], keepalive = false): Promise<{ succeeded: number; failed: number; detail: string }> {
  const total = { succeeded: 0, failed: 0, detail: '' };
  for (let from = 0; from < ids.length; from += BULK) {
    const operations = ids.slice(from, from + BULK).map((id) => ({ action, id }));
    const result = await request<BulkResult>('POST', '/api/v1/monitors/bulk', { body: { operations }, keepalive });
    total.succeeded += result.succeeded;
    total.failed += result.failed;
    total.detail ||= result.items.find(({ problem }) => problem)?.problem?.detail ?? '';
  }
  return total;
}

/** Archiving is final, so the command waits 8 s for "Undo". */
export function archiveMonitors(ids: string[]): void {
  ids.forEach(hideMonitor);
  const back = (): void => ids.forEach(showMonitor);
  withUndo(
    t.done.archiving(ids.length),
    (closing) => {
      bulk('archive', ids, closing)
        .then(({ succeeded, failed, detail }) => {
          if (failed > 0) {
            back();
            warn(t.done.someFailed(failed, detail));
          }
          if (succeeded > 0) say(t.done.archived(succeeded));
          void loadMonitors();
        })
        .catch((error: unknown) => {
          back();
          warn(explain(error));
        });
    },
    back,
  );
}

/** Checks now, waits for the result and says it. */
export async function checkNow(id: string): Promise<Check | null> {
  try {
    const result = await request<Check | { check_id: string }>('POST', `/api/v1/monitors/${id}/check?wait=10s`);
    if (!('outcome' in result)) {
      say(t.monitor.checkAsked);
      return null;
    }
    const name = rowOf(id)?.monitor.name ?? '';
    if (result.outcome === 'up') say(`${name}: ${t.monitor.checkedUp(milliseconds(result.timings_us.total))}`);
    else warn(`${name}: ${t.monitor.checkedDown(result.failure?.detail ?? '')}`);
    return result;
  } catch (error) {
    warn(error instanceof ApiError && error.status === 409 ? error.message : explain(error));
    return null;
  }
}
