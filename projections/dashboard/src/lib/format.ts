// How numbers, times and targets are written.

import type { Monitor, Outcome, Status, StoredCheck, Target, Timings, Uptime } from './types';

/** An uptime as the API writes it; rounded down as the API does, so that 100 % means that nothing was missing. */
export function percent(uptime: Pick<Uptime, 'uptime_percent' | 'uptime_ratio'> | undefined | null): string {
  const text = uptime?.uptime_percent ?? floored(uptime?.uptime_ratio);
  return text === null ? '–' : `${text}%`;
}

function floored(ratio: number | null | undefined): string | null {
  if (ratio === null || ratio === undefined) return null;
  return (Math.floor(ratio * 100_000) / 1000).toFixed(3);
}

/** Microseconds as milliseconds, with as many digits as say something. */
export function milliseconds(us: number): string {
  const ms = us / 1000;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 10_000) return `${Math.round(ms).toLocaleString('en')} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

/** A length of time in at most two units: `3 d 4 h`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return seconds > 0 && seconds < 1 ? `${seconds.toFixed(1)} s` : `${whole} s`;
  const units: [number, string][] = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  const first = units.findIndex(([size]) => whole >= size);
  const parts: string[] = [];
  let rest = whole;
  for (const [size, name] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${name}`);
  }
  return parts.join(' ');
}

const dateTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
const day = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC' });
const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

/** In the reader's zone. */
export const localTime = (time: string): string => dateTime.format(new Date(time));
export const localClock = (time: string): string => clock.format(new Date(time));
export const utcDay = (time: string): string => day.format(new Date(time));
/** The same moment in UTC, for whoever compares with a log. */
export const utcTime = (time: string): string => `${new Date(time).toISOString().replace('T', ' ').slice(0, 19)} UTC`;

export function ago(time: string, now: number): string {
  const seconds = (now - Date.parse(time)) / 1000;
  return seconds < 1 ? 'just now' : `${duration(seconds)} ago`;
}

/** What is checked, in one line. */
export function targetText(target: Target): string {
  switch (target.type) {
    case 'http':
      return target.url.replace(/^https:\/\//, '').replace(/^([^/?#]+)\/$/, '$1');
    case 'tcp':
      return hostAndPort(target.host, target.port);
    case 'dns':
      return `${target.name} ${target.record_type}`;
    case 'tls':
      return hostAndPort(target.host, target.port ?? 443);
    case 'heartbeat':
      return 'reports by itself';
  }
}

const hostAndPort = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

/** The percentile of the successful checks' times, in microseconds; by nearest rank. */
export function percentile(checks: readonly StoredCheck[], part: number): number | null {
  const times = checks.filter(({ outcome }) => outcome === 'up').map(({ timings_us }) => timings_us.total);
  if (times.length === 0) return null;
  times.sort((one, other) => one - other);
  return times[Math.max(0, Math.ceil(part * times.length) - 1)] ?? null;
}

/** The mark of an outcome: what the shield refused says nothing of the target. */
export const markOf = (outcome: Outcome): Status => (outcome === 'blocked' ? 'unknown' : outcome);

export type Phase = 'dns' | 'connect' | 'tls' | 'first_byte' | 'body';
export const PHASES: readonly Phase[] = ['dns', 'connect', 'tls', 'first_byte', 'body'];

/** Each phase with its start and length in microseconds. What is left of the whole is the body, with what passed
 *  between the phases. */
export function phases(timings: Timings): { phase: Phase; from: number; length: number }[] {
  const { dns, connect, tls, first_byte, total } = timings;
  const rest = Math.max(0, total - dns - connect - tls - first_byte);
  const lengths: Record<Phase, number> = { dns, connect, tls, first_byte, body: rest };
  let from = 0;
  return PHASES.map((phase) => {
    const part = { phase, from, length: lengths[phase] };
    from += lengths[phase];
    return part;
  });
}

export function cadence(monitor: Monitor): string {
  const every = `every ${duration(monitor.interval_seconds)}`;
  return monitor.target.type === 'heartbeat' ? `expected ${every}` : every;
}
