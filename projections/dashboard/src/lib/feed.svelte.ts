// The live feed: one WebSocket, which comes back by itself and then goes on where it was.

import { renewSession } from './session.svelte';
import type { FeedMessage, LiveEvent } from './types';

type Health = 'connecting' | 'live' | 'replaying' | 'waiting';

/** What the reader is shown of the feed. */
export const feed = $state<{
  health: Health;
  /** When it tries again, in ms since 1970; only while it waits. */
  retryAt: number;
  /** Events that came since the page was opened. */
  events: number;
  /** How often the server said that it had to read events again, because this page was too slow. */
  lagged: number;
  viewers: Record<string, number>;
}>({ health: 'connecting', retryAt: 0, events: 0, lagged: 0, viewers: {} });

interface Receiver {
  /** Where to go on; 0 before the first message. */
  position(): number;
  /** Everything after the position follows. */
  begun(position: number): void;
  event(event: LiveEvent): void;
  /** Everything that was missed has come. */
  caughtUp(): void;
  /** The log is another one: all must be loaded again. */
  forgotten(): void;
}

/** How long the server may say nothing, also not to a ping. */
const SILENCE_MS = 40_000;
const PING_MS = 15_000;

let socket: WebSocket | null = null;
let receiver: Receiver | null = null;
let attempts = 0;
let retry: ReturnType<typeof setTimeout> | undefined;
let heardAt = 0;
let watched: string | null = null;

/** Opens the feed and keeps it open. */
export function openFeed(to: Receiver): void {
  receiver = to;
  addEventListener('online', connectNow);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible' && feed.health === 'waiting') connectNow();
  });
  setInterval(() => {
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (Date.now() - heardAt > SILENCE_MS) socket.close();
    else say({ type: 'ping' });
  }, PING_MS);
  connect();
}

/** Says which monitor this person looks at, so that others see it. */
export function watch(monitor: string | null): void {
  if (watched !== null) say({ type: 'unsubscribe', monitors: [watched] });
  watched = monitor;
  if (monitor !== null) say({ type: 'subscribe', monitors: [monitor] });
}

export function connectNow(): void {
  clearTimeout(retry);
  attempts = 0;
  if (socket === null) connect();
}

function say(message: object): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function connect(): void {
  feed.health = 'connecting';
  const opened = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/api/v1/live`);
  socket = opened;
  opened.onopen = () => {
    heardAt = Date.now();
    const after = receiver?.position() ?? 0;
    if (after > 0) feed.health = 'replaying';
    say({ type: 'subscribe', monitors: 'all', ...(after > 0 ? { after } : {}) });
    if (watched !== null) say({ type: 'subscribe', monitors: [watched] });
  };
  opened.onmessage = ({ data }) => {
    heardAt = Date.now();
    take(JSON.parse(String(data)) as FeedMessage);
  };
  opened.onclose = ({ code }) => {
    if (socket === opened) socket = null;
    void comeBack(code);
  };
}

function take(message: FeedMessage): void {
  switch (message.type) {
    case 'event':
      feed.events += 1;
      receiver?.event(message);
      break;
    case 'subscribed':
      attempts = 0;
      // Without `after` nothing is replayed, and what is loaded from now on holds what came before.
      if (message.monitors === 'all' && feed.health === 'connecting') {
        feed.health = 'live';
        receiver?.begun(message.position);
      }
      break;
    case 'replayed':
      feed.health = 'live';
      receiver?.caughtUp();
      break;
    case 'lagged':
      feed.health = 'replaying';
      feed.lagged += 1;
      break;
    case 'presence':
      feed.viewers[message.monitor_id] = message.viewers;
      break;
    case 'error':
      if (message.code === 'unknown_position') receiver?.forgotten();
      break;
    case 'pong':
      break;
  }
}

/** The credential ended; see `docs/decisions/live-feed.md`. */
const UNAUTHORIZED = 4401;

async function comeBack(code: number): Promise<void> {
  attempts += 1;
  if (code === UNAUTHORIZED || attempts === 2) await renewSession();
  const wait = code === UNAUTHORIZED && attempts === 1 ? 0 : Math.min(15_000, 300 * 2 ** attempts) * (0.5 + Math.random() / 2);
  feed.health = 'waiting';
  feed.retryAt = Date.now() + wait;
  clearTimeout(retry);
  retry = setTimeout(() => {
    if (socket === null) connect();
  }, wait);
}
