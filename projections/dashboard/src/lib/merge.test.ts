// The store against a model: a server whose events, answers and feed arrive in random order.

import { describe, expect, it } from 'vitest';
import { mergeChecks, MonitorStore, RECENT, type Asked } from './merge';
import type { LiveEvent, Monitor, Status, StoredCheck } from './types';

/** Numbers that are the same for the same seed (mulberry32). */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides;
  };
}

const time = (position: number): string => new Date(1_750_000_000_000 + position * 1000).toISOString();

function monitor(id: string, position: number): Monitor {
  return {
    id,
    name: id,
    target: { type: 'http', url: `https://${id}.example.com` },
    status: 'pending',
    status_since: time(position),
    interval_seconds: 60,
    timeout_ms: 1000,
    retries: {},
    confirmations: 1,
    regions: ['default'],
    regions_without_prober: [],
    tags: {},
    paused: false,
    version: 1,
    registered_at: time(position),
    changed_at: time(position),
  };
}

function check(position: number, outcome: 'up' | 'down' = 'up'): StoredCheck {
  return {
    check_id: `check ${position}`,
    position,
    region: 'default',
    scheduled_at: time(position),
    started_at: time(position),
    recorded_at: time(position),
    outcome,
    timings_us: { dns: 0, connect: 0, tls: 0, first_byte: 0, total: position },
    attempts: 1,
    config_version: 1,
    valid_for_ms: 1000,
  };
}

/** What a server does: it appends events, keeps its read model in the same step, and sends events later, in order. */
class Server {
  position = 0;
  readonly monitors = new Map<string, { monitor: Monitor; health: Status; since: string; checks: StoredCheck[] }>();
  readonly unsent: LiveEvent[] = [];
  readonly #archived: number[] = [];

  constructor(readonly roll: (sides: number) => number) {}

  #append(id: string, type: string, data: object): void {
    this.unsent.push({
      type: 'event',
      position: this.position,
      monitor_id: id,
      event: { type: `pulsetrail.${type}`, time: time(this.position), data: data as Record<string, unknown> },
    });
  }

  /** Something happens to some monitor. */
  step(): void {
    this.position += 1 + this.roll(3);
    // An id is never used again.
    const slot = this.roll(5);
    const id = `m${slot}.${this.#archived[slot] ?? 0}`;
    const known = this.monitors.get(id);
    const since = time(this.position);
    if (!known) {
      const made = monitor(id, this.position);
      this.monitors.set(id, { monitor: made, health: 'pending', since, checks: [] });
      this.#append(id, 'monitor.MonitorRegistered', { monitor_id: id });
      return;
    }
    const configure = (type: string, change: Partial<Monitor>): void => {
      known.monitor = { ...known.monitor, ...change, version: known.monitor.version + 1, changed_at: since };
      this.#append(id, `monitor.${type}`, {});
    };
    const health = (type: string, status: Status, data: object = {}): void => {
      known.health = status;
      known.since = since;
      this.#append(id, `health.${type}`, { since, ...data });
    };
    switch (this.roll(10)) {
      case 0:
        if (!known.monitor.paused) configure('MonitorPaused', { paused: true });
        break;
      case 1:
        if (known.monitor.paused) configure('MonitorResumed', { paused: false });
        break;
      case 2:
        configure('MonitorReconfigured', { name: `${id} at ${this.position}` });
        break;
      case 3:
        if (this.roll(4) === 0) {
          this.monitors.delete(id);
          this.#archived[slot] = (this.#archived[slot] ?? 0) + 1;
          this.#append(id, 'monitor.MonitorArchived', {});
        }
        break;
      case 4:
        if (known.health !== 'unknown') health('ObservationLost', 'unknown');
        else health('ObservationRegained', 'up', { status: 'up' });
        break;
      default: {
        const outcome = this.roll(3) === 0 ? 'down' : 'up';
        const done = check(this.position, outcome);
        known.checks = [...known.checks, done];
        this.#append(id, 'health.CheckCompleted', done);
        if (known.health === 'pending' && outcome === 'up') {
          // No event says so yet.
          known.health = 'up';
          known.since = since;
        } else if (outcome === 'down' && known.health !== 'down') {
          this.position += 1;
          health('WentDown', 'down');
        } else if (outcome === 'up' && known.health === 'down') {
          this.position += 1;
          health('Recovered', 'up');
        }
      }
    }
  }

  body(id: string): Monitor | null {
    const known = this.monitors.get(id);
    if (!known) return null;
    if (known.monitor.paused) return { ...known.monitor, status: 'paused', status_since: known.monitor.changed_at };
    return { ...known.monitor, status: known.health, status_since: known.since };
  }

  bodies(): Monitor[] {
    return [...this.monitors.keys()].map((id) => this.body(id)).filter((body) => body !== null);
  }
}

/** Answers that are on their way: read at one time, taken in later. */
type Answer = () => void;

function play(seed: number, broken = false): { store: MonitorStore; server: Server } {
  const roll = dice(seed);
  const server = new Server(roll);
  const store = new MonitorStore();
  const answers: Answer[] = [];
  // With the fault of the positive control the question is dated with the answer.
  const ask = (): Asked => store.ask();
  const dated = (asked: Asked): Asked => (broken ? store.ask() : asked);

  const readAll = (): void => {
    const asked = ask();
    const bodies = server.bodies();
    answers.push(() => store.loaded(dated(asked), bodies, true).forEach(readOne));
  };
  const readOne = (id: string): void => {
    const asked = ask();
    const body = server.body(id);
    answers.push(() => (body ? store.loaded(dated(asked), [body]).forEach(readOne) : store.gone(id)));
  };
  const deliver = (): void => {
    const event = server.unsent.shift();
    if (event && store.event(event)) readOne(event.monitor_id);
  };
  const answer = (): void => {
    // Answers overtake each other.
    const [taken] = answers.splice(roll(Math.max(1, answers.length)), 1);
    taken?.();
  };

  for (let step = 0; step < 5; step += 1) server.step();
  // The feed is opened in the middle of the log: what came before is never sent.
  store.begun(server.position);
  server.unsent.length = 0;
  readAll();
  for (let step = 0; step < 120; step += 1) {
    [() => server.step(), deliver, deliver, answer, () => roll(12) === 0 && readAll()][roll(5)]?.();
  }
  // Everything arrives in the end; what was read because of it, too.
  for (let step = 0; server.unsent.length + answers.length > 0 && step < 5000; step += 1) {
    if (roll(2) === 0) deliver();
    else answer();
  }
  return { store, server };
}

const seen = (store: MonitorStore) =>
  [...store.rows.values()]
    .map(({ monitor: { id, name, status, status_since, paused, version } }) => ({ id, name, status, status_since, paused, version }))
    .sort((one, other) => (one.id < other.id ? -1 : 1));
const told = (server: Server) =>
  server
    .bodies()
    .map(({ id, name, status, status_since, paused, version }) => ({ id, name, status, status_since, paused, version }))
    .sort((one, other) => (one.id < other.id ? -1 : 1));

describe('the store of monitors', () => {
  it('says what the server says, in whatever order answers and events arrive', () => {
    for (let seed = 1; seed <= 3000; seed += 1) {
      const { store, server } = play(seed);
      expect(seen(store), `seed ${seed}`).toEqual(told(server));
    }
  });

  it('would say something else if answers were taken for newer than their questions', () => {
    const wrong = Array.from({ length: 300 }, (_, seed) => play(seed + 1, true)).filter(
      ({ store, server }) => JSON.stringify(seen(store)) !== JSON.stringify(told(server)),
    );
    expect(wrong.length).toBeGreaterThan(0);
  });

  it('takes an event once', () => {
    const store = new MonitorStore();
    store.loaded(store.ask(), [monitor('m', 1)]);
    const event: LiveEvent = {
      type: 'event',
      position: 5,
      monitor_id: 'm',
      event: { type: 'pulsetrail.health.CheckCompleted', time: time(5), data: { ...check(5) } },
    };
    store.event(event);
    const row = store.rows.get('m');
    expect(row?.checks).toHaveLength(1);
    expect(store.event(event)).toBe(false);
    expect(store.rows.get('m')).toBe(row);
  });

  it('makes a new row for a change, and leaves the others as they are', () => {
    const store = new MonitorStore();
    store.loaded(store.ask(), [monitor('a', 1), monitor('b', 2)]);
    const before = { a: store.rows.get('a'), b: store.rows.get('b') };
    store.event({
      type: 'event',
      position: 9,
      monitor_id: 'a',
      event: { type: 'pulsetrail.health.WentDown', time: time(9), data: { since: time(9) } },
    });
    expect(store.rows.get('a')).not.toBe(before.a);
    expect(store.rows.get('b')).toBe(before.b);
  });
});

describe('checks', () => {
  it('are the newest of both lists, each once, in the order of their slots', () => {
    for (let seed = 1; seed <= 500; seed += 1) {
      const roll = dice(seed);
      const all = Array.from({ length: 60 }, (_, index) => check(index + 1));
      let merged: readonly StoredCheck[] = [];
      for (let step = 0; step < 30; step += 1) {
        const from = roll(60);
        merged = mergeChecks(merged, all.slice(from, from + 1 + roll(10)));
      }
      merged = mergeChecks(merged, all.slice(-RECENT));
      expect(merged, `seed ${seed}`).toEqual(all.slice(-RECENT));
    }
  });
});
