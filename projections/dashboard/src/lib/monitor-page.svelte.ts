// What the page of one monitor needs beside its row: its checks, its uptimes, and its newest events.

import { analytics, learnFrom } from './analytics.svelte';
import { get } from './api';
import { mergeChecks } from './merge';
import type { Latency, Outages, Page, StoredCheck, Uptime, UptimeByDay } from './types';

/** Checks that the page holds at most. */
export const MOST = 1000;
/** What the page can show: `latest` are the newest checks, the others come from the analytics. */
export const RANGES = ['latest', '24h', '7d', '30d', '90d', '365d'] as const;
export type Range = (typeof RANGES)[number];

export const UPTIME_WINDOWS = ['24h', '7d', '30d', '90d'] as const;
export type UptimeWindow = (typeof UPTIME_WINDOWS)[number];

export class MonitorData {
  checks = $state.raw<readonly StoredCheck[]>([]);
  state = $state<'loading' | 'ready' | 'failed'>('loading');
  error = $state.raw<unknown>(null);
  uptimes = $state.raw<Partial<Record<UptimeWindow, Uptime>>>({});
  /** The last 90 days, oldest first. */
  days = $state.raw<readonly Uptime[] | null>(null);
  outages = $state.raw<Outages | null>(null);

  constructor(readonly id: string) {}

  async load(): Promise<void> {
    try {
      const page = await get<Page<StoredCheck>>(`/api/v1/monitors/${this.id}/checks?limit=${MOST}`);
      this.take(page.items);
      this.state = 'ready';
      this.error = null;
    } catch (error) {
      this.error = error;
      if (this.state === 'loading') this.state = 'failed';
    }
  }

  /** Adds checks, from an answer or from the feed. */
  take(checks: readonly StoredCheck[]): void {
    const merged = mergeChecks(this.checks, checks, MOST);
    if (merged.length !== this.checks.length || merged.at(-1) !== this.checks.at(-1)) this.checks = merged;
  }

  async loadUptimes(): Promise<void> {
    const uptimeOf = (query: string): Promise<UptimeByDay> => get(`/api/v1/monitors/${this.id}/uptime?window=${query}`);
    try {
      const has = analytics.has ?? learnFrom(await uptimeOf('24h'));
      const days = has ? '&by=day' : '';
      const [day, week, month, quarter] = await Promise.all(['24h', '7d', '30d', `90d${days}`].map(uptimeOf));
      if (day && week && month && quarter) this.uptimes = { '24h': day, '7d': week, '30d': month, '90d': quarter };
      this.days = quarter?.buckets ?? null;
      if (has) this.outages = await get<Outages>(`/api/v1/monitors/${this.id}/outages?window=90d&limit=20`);
    } catch {
      // They stay as they are until the next time.
    }
  }
}

/** The latency of a range, of one region or of all. */
export function loadLatency(id: string, range: Range, region: string): Promise<Latency> {
  const of = region === '' ? '' : `&region=${encodeURIComponent(region)}`;
  return get<Latency>(`/api/v1/monitors/${id}/latency?window=${range}&phase=total${of}`);
}

/** Each region's newest check, oldest region name first. */
export function votes(regions: readonly string[], checks: readonly StoredCheck[]): { region: string; last: StoredCheck | null }[] {
  const last = new Map<string, StoredCheck>();
  for (const check of checks) last.set(check.region, check);
  return regions.map((region) => ({ region, last: last.get(region) ?? null }));
}
