// The organization's monitors, loaded once and kept up to date by the feed.

import { ApiError, get } from './api';
import { openFeed } from './feed.svelte';
import { MonitorStore, RECENT, type Row } from './merge';
import type { Monitor, OrganizationUptime, Page, StoredCheck, Uptime } from './types';

let store = new MonitorStore();

type Loading = 'loading' | 'ready' | 'failed';

/** `version` counts every change; what reads rows reads it, too. Pictures are drawn at most once a frame. */
export const monitors = $state<{ version: number; state: Loading; error: unknown }>({
  version: 0,
  state: 'loading',
  error: null,
});

export const WINDOWS = ['24h', '30d', '90d'] as const;
export type Window = (typeof WINDOWS)[number];

/** Uptimes of all monitors by window. */
class Uptimes {
  value = $state.raw<Partial<Record<Window, Map<string, Uptime>>>>({});
}
export const uptimes = new Uptimes();

export function allRows(): Row[] {
  void monitors.version;
  return [...store.rows.values()];
}

export function rowOf(id: string): Row | undefined {
  void monitors.version;
  return store.rows.get(id);
}

let drawn = true;
function changed(): void {
  if (!drawn) return;
  drawn = false;
  const draw = (): void => {
    if (drawn) return;
    drawn = true;
    monitors.version += 1;
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
    forgotten() {
      store = new MonitorStore();
      location.reload();
    },
  });
  // The list is there before the feed, or without it.
  void loadMonitors();
  setInterval(() => void loadUptimes(), 60_000);
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
  void loadUptimes();
}

export async function loadUptimes(): Promise<void> {
  if (store.rows.size === 0) return;
  for (const window of WINDOWS) {
    const loaded = await get<OrganizationUptime>(`/api/v1/uptime?window=${window}`).catch(() => null);
    if (loaded === null) return;
    const byMonitor = new Map(loaded.monitors.map((uptime) => [uptime.monitor_id, uptime as Uptime]));
    uptimes.value = { ...uptimes.value, [window]: byMonitor };
  }
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
    else await Promise.all(ids.map((one) => readMonitor(one)));
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
  changed();
}
export function showMonitor(id: string): void {
  hidden.delete(id);
  changed();
}
const hidden = new Set<string>();
export const isHidden = (id: string): boolean => hidden.has(id);

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
