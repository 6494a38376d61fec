// The organization's monitors, loaded once and kept up to date by the feed.

import { analytics, learnFrom } from './analytics.svelte';
import { ApiError, get } from './api';
import { openFeed } from './feed.svelte';
import { MonitorStore, RECENT, type Row } from './merge';
import type { ListedMonitor, Monitor, OrganizationUptime, Page, StoredCheck } from './types';

let store = new MonitorStore();

type Loading = 'loading' | 'ready' | 'failed';

/** `version` counts every change, and `changes` those besides new checks; what reads rows reads one of them, too. Both
 *  move at most once a frame: 200 events a second redraw the rows in view, and do not sort the list 200 times. */
export const monitors = $state<{ version: number; changes: number; state: Loading; error: unknown }>({
  version: 0,
  changes: 0,
  state: 'loading',
  error: null,
});

/** What the analytics say of a monitor: they follow the log, and are asked for again from time to time. */
export type Figures = Pick<ListedMonitor, 'uptime' | 'latency'>;

class FiguresOfMonitors {
  value = $state.raw<ReadonlyMap<string, Figures>>(new Map());
}
export const figures = new FiguresOfMonitors();

/** All rows; read again when anything but their checks changed. */
export function allRows(): Row[] {
  void monitors.changes;
  return [...store.rows.values()].filter(({ monitor }) => !hidden.has(monitor.id));
}

export function rowOf(id: string): Row | undefined {
  void monitors.version;
  return store.rows.get(id);
}

let drawn = true;
let drawnChanges = 0;
function changed(): void {
  if (!drawn) return;
  drawn = false;
  const draw = (): void => {
    if (drawn) return;
    drawn = true;
    monitors.version += 1;
    if (store.changes !== drawnChanges) monitors.changes += 1;
    drawnChanges = store.changes;
  };
  // A page in the background draws no frames, and must not fall behind.
  requestAnimationFrame(draw);
  setTimeout(draw, 250);
}

/** Begins to follow the organization's monitors. */
export function followMonitors(): void {
  openFeed({
    position: () => store.position,
    begun(position) {
      store.begun(position);
      void loadMonitors();
    },
    event(event) {
      if (store.event(event)) readSoon(event.monitor_id);
      changed();
    },
    caughtUp() {
      // What failed while the server was away.
      if (monitors.error) void loadMonitors();
    },
    forgotten() {
      store = new MonitorStore();
      location.reload();
    },
  });
  // The list is there before the feed, or without it.
  void loadMonitors();
  setInterval(() => void loadFigures(), 60_000);
}

/** The newest call counts: an older one that is still under way adds nothing that is missing in it. */
export async function loadMonitors(): Promise<void> {
  const asked = store.ask();
  const found: Monitor[] = [];
  try {
    let cursor = '';
    do {
      const page = await get<Page<Monitor>>(`/api/v1/monitors?limit=1000${cursor}`);
      found.push(...page.items);
      cursor = page.next_cursor ? `&cursor=${encodeURIComponent(page.next_cursor)}` : '';
    } while (cursor !== '');
    store.loaded(asked, found, true).forEach(readSoon);
    monitors.state = 'ready';
    monitors.error = null;
  } catch (error) {
    monitors.error = error;
    if (monitors.state === 'loading') monitors.state = 'failed';
    return;
  } finally {
    changed();
  }
  void loadFigures();
}

/** Monitors whose figures come in one answer. */
const FIGURES = 200;
let loadingFigures = false;

/** Loads the figures of all monitors. What fails stays as it is until the next time: the list is good without. */
export async function loadFigures(): Promise<void> {
  if (loadingFigures || store.rows.size === 0) return;
  loadingFigures = true;
  try {
    if (analytics.has ?? learnFrom(await uptimeOf('24h'))) await loadPages();
    else await loadUptimes();
  } catch {
    // The next time.
  } finally {
    loadingFigures = false;
  }
}

const uptimeOf = (window: string): Promise<OrganizationUptime> => get(`/api/v1/uptime?window=${window}`);

async function loadPages(): Promise<void> {
  const next = new Map(figures.value);
  let cursor = '';
  do {
    const path = `/api/v1/monitors?include=uptime,latency&limit=${FIGURES}${cursor}`;
    const page = await get<Page<ListedMonitor>>(path);
    for (const { id, uptime, latency } of page.items) next.set(id, { uptime: uptime ?? null, latency: latency ?? null });
    figures.value = new Map(next);
    cursor = page.next_cursor ? `&cursor=${encodeURIComponent(page.next_cursor)}` : '';
  } while (cursor !== '');
}

/** The same from a server that has uptimes alone. */
async function loadUptimes(): Promise<void> {
  const [day, month, quarter] = [await uptimeOf('24h'), await uptimeOf('30d'), await uptimeOf('90d')];
  const byId = (answer: OrganizationUptime) => new Map(answer.monitors.map((uptime) => [uptime.monitor_id, uptime]));
  const [months, quarters] = [byId(month), byId(quarter)];
  figures.value = new Map(
    day.monitors.flatMap((uptime) => {
      const [of30, of90] = [months.get(uptime.monitor_id), quarters.get(uptime.monitor_id)];
      return of30 && of90 ? [[uptime.monitor_id, { uptime: { '24h': uptime, '30d': of30, '90d': of90 } }]] : [];
    }),
  );
}

/** Above this many, the whole list is read instead of one monitor after the other. */
const MANY = 20;
const toRead = new Set<string>();
let reading: ReturnType<typeof setTimeout> | undefined;

function readSoon(id: string): void {
  toRead.add(id);
  reading ??= setTimeout(async () => {
    const ids = [...toRead];
    toRead.clear();
    reading = undefined;
    if (ids.length > MANY) await loadMonitors();
    else await Promise.all(ids.map((one) => readMonitor(one).catch((error: unknown) => (monitors.error = error))));
  }, 30);
}

/** Reads one monitor again. */
export async function readMonitor(id: string): Promise<Row | undefined> {
  const asked = store.ask();
  try {
    store.loaded(asked, [await get<Monitor>(`/api/v1/monitors/${id}`)]).forEach(readSoon);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) store.gone(id);
    else throw error;
  } finally {
    changed();
  }
  return store.rows.get(id);
}

/** Takes in a monitor as a command answered with it. */
export function takeMonitor(monitor: Monitor): void {
  store.loaded(store.ask(), [monitor]).forEach(readSoon);
  changed();
}

/** Takes a monitor out of the list at once, before the server was asked; `loadMonitors` brings it back. */
export function hideMonitor(id: string): void {
  hidden.add(id);
  monitors.changes += 1;
}
export function showMonitor(id: string): void {
  hidden.delete(id);
  monitors.changes += 1;
}
const hidden = new Set<string>();

const wanted: string[] = [];
const asked = new Set<string>();
let underWay = 0;

/** Loads the recent checks of a monitor that came into view. A few at a time: the newest wish first. */
export function wantChecks(id: string): void {
  if (asked.has(id)) return;
  asked.add(id);
  wanted.push(id);
  void loadWanted();
}

async function loadWanted(): Promise<void> {
  if (underWay >= 4) return;
  const id = wanted.pop();
  if (id === undefined) return;
  underWay += 1;
  try {
    const page = await get<Page<StoredCheck>>(`/api/v1/monitors/${id}/checks?limit=${RECENT}`);
    store.checksLoaded(id, page.items);
    changed();
  } catch {
    asked.delete(id);
  } finally {
    underWay -= 1;
    void loadWanted();
  }
}
