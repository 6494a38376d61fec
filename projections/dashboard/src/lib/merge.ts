// Puts together what was loaded and what the live feed said since, in whatever order the two arrive.
//
// The read model of statuses is written in the same transaction as the events, and the feed sends an event after
// its commit. So an answer to a request holds at least every event that the feed had sent before the request, and a
// status that the feed sent after that is as new or newer. Configuration is not put together: an event of it says
// that the monitor must be read again, and the higher version counts.

import type { LiveEvent, Monitor, Status, StoredCheck } from './types';

/** How many recent checks a monitor keeps. */
export const RECENT = 40;

/** A monitor with what the feed said of it. A changed row is a new object. */
export interface Row {
  readonly monitor: Monitor;
  /** Its newest checks, oldest first. */
  readonly checks: readonly StoredCheck[];
  /** Whether `checks` holds those from before the feed began. */
  readonly checksLoaded: boolean;
}

/** Says of an answer which events it holds at least: those up to this position. */
export type Asked = { readonly position: number };

interface LiveStatus {
  position: number;
  status: Status;
  since: string;
}

export class MonitorStore {
  readonly rows = new Map<string, Row>();
  /** Counts the changes besides new checks: what a list is sorted and counted by. */
  changes = 0;
  #position = 0;
  #statuses = new Map<string, LiveStatus>();
  #archived = new Map<string, number>();
  /** The newest check of each monitor, by position. */
  #checkedAt = new Map<string, number>();
  /** Monitors that were resumed: their next check may change their status without an event that says so. */
  #firstCheckCounts = new Set<string>();
  /** Checks of monitors that are not loaded yet. */
  #early = new Map<string, StoredCheck[]>();

  /** The newest position that was taken in. */
  get position(): number {
    return this.#position;
  }

  /** To be called before a request whose answer goes to `loaded`. */
  ask(): Asked {
    return { position: this.#position };
  }

  /** The feed begins after a position: what is loaded from now on holds everything before it. */
  begun(position: number): void {
    this.#position = Math.max(this.#position, position);
  }

  /** Takes in monitors that were asked for. With `all`, monitors that are not among them are gone. Returns those that
   *  must be read again, because a check came meanwhile that may have given them their first status. */
  loaded(asked: Asked, monitors: readonly Monitor[], all = false): string[] {
    for (const monitor of monitors) this.#loadedOne(asked, monitor);
    const early = monitors.filter(({ id }) => this.#isPending(id) && (this.#checkedAt.get(id) ?? 0) > asked.position);
    const again = early.map(({ id }) => id);
    if (!all) return again;
    const present = new Set(monitors.map((monitor) => monitor.id));
    for (const id of this.rows.keys()) {
      // One that was registered, or read alone, after the question may not be in the answer.
      if (!present.has(id) && (this.#readAt.get(id) ?? 0) <= asked.position) this.#forget(id);
    }
    return again;
  }

  #isPending(id: string): boolean {
    return this.rows.get(id)?.monitor.status === 'pending';
  }

  /** When a monitor was asked for last, in positions. */
  #readAt = new Map<string, number>();

  #loadedOne(asked: Asked, loaded: Monitor): void {
    const archived = this.#archived.get(loaded.id);
    if (archived !== undefined && archived > asked.position) return;
    this.#archived.delete(loaded.id);
    const before = this.rows.get(loaded.id);
    const readAt = this.#readAt.get(loaded.id) ?? 0;
    // An answer that another one has overtaken.
    if (before && before.monitor.version > loaded.version) return;
    if (before && before.monitor.version === loaded.version && readAt > asked.position) return;
    this.#readAt.set(loaded.id, Math.max(asked.position, readAt));
    const live = this.#statuses.get(loaded.id);
    const newer = live !== undefined && live.position > asked.position && !loaded.paused;
    const monitor = newer ? { ...loaded, status: live.status, status_since: live.since } : loaded;
    const early = this.#early.get(loaded.id) ?? [];
    this.#early.delete(loaded.id);
    this.changes += 1;
    const row = before ?? { monitor, checks: [], checksLoaded: false };
    this.rows.set(loaded.id, { ...row, monitor, checks: mergeChecks(row.checks, early) });
  }

  /** Takes in the answer that a monitor is not there (any more). */
  gone(id: string): void {
    this.#forget(id);
  }

  /** Takes in checks from before the feed began. */
  checksLoaded(id: string, checks: readonly StoredCheck[]): void {
    const row = this.rows.get(id);
    if (row) this.rows.set(id, { ...row, checks: mergeChecks(row.checks, checks), checksLoaded: true });
  }

  /** Takes in an event; whether its monitor must be read again. An event that was taken in before changes nothing. */
  event({ position, monitor_id: id, event }: LiveEvent): boolean {
    if (position <= this.#position) return false;
    this.#position = position;
    const data = event.data;
    switch (event.type.split('.').at(-1)) {
      case 'CheckCompleted':
        this.#checked(id, { ...(data as unknown as StoredCheck), position, recorded_at: event.time });
        this.#checkedAt.set(id, position);
        return this.#firstCheckCounts.delete(id) || this.#isPending(id) || !this.rows.has(id);
      case 'WentDown':
        return this.#status(id, position, 'down', data['since']);
      case 'Recovered':
        return this.#status(id, position, 'up', data['since']);
      case 'ObservationLost':
        return this.#status(id, position, 'unknown', data['since']);
      case 'ObservationRegained':
        return this.#status(id, position, data['status'] as Status, data['since']);
      case 'MonitorArchived': {
        this.#archived.set(id, position);
        this.#forget(id);
        return false;
      }
      case 'MonitorResumed':
      case 'ObservationResumed':
        this.#firstCheckCounts.add(id);
        return true;
      default:
        return true;
    }
  }

  #status(id: string, position: number, status: Status, since: unknown): boolean {
    this.#statuses.set(id, { position, status, since: String(since) });
    this.#firstCheckCounts.delete(id);
    const row = this.rows.get(id);
    if (!row) return true;
    // A late result of a paused monitor changes what it will be, not what is shown.
    if (row.monitor.paused) return false;
    this.changes += 1;
    this.rows.set(id, { ...row, monitor: { ...row.monitor, status, status_since: String(since) } });
    return false;
  }

  #checked(id: string, check: StoredCheck): void {
    const row = this.rows.get(id);
    if (row) this.rows.set(id, { ...row, checks: mergeChecks(row.checks, [check]) });
    else this.#early.set(id, [...(this.#early.get(id) ?? []).slice(1 - RECENT), check]);
  }

  #forget(id: string): void {
    if (this.rows.delete(id)) this.changes += 1;
    this.#checkedAt.delete(id);
    this.#statuses.delete(id);
    this.#firstCheckCounts.delete(id);
    this.#early.delete(id);
    this.#readAt.delete(id);
  }
}

/** The newest of both, each check once, oldest first. */
export function mergeChecks(
  some: readonly StoredCheck[],
  others: readonly StoredCheck[],
  limit = RECENT,
): readonly StoredCheck[] {
  if (others.length === 0) return some;
  const last = some.at(-1);
  const [only] = others;
  // The usual case: one check, newer than all.
  if (others.length === 1 && only && (!last || inOrder(last, only) < 0)) return [...some, only].slice(-limit);
  const byPosition = new Map<number, StoredCheck>();
  for (const check of some) byPosition.set(check.position, check);
  for (const check of others) byPosition.set(check.position, check);
  return [...byPosition.values()].sort(inOrder).slice(-limit);
}

function inOrder(one: StoredCheck, other: StoredCheck): number {
  const times = Date.parse(one.scheduled_at) - Date.parse(other.scheduled_at);
  return times !== 0 ? times : one.position - other.position;
}
