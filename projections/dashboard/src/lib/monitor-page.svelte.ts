// What the page of one monitor needs beside its row: its checks, its uptimes, and its newest events.

import { get } from './api';
import { mergeChecks } from './merge';
import type { Page, StoredCheck, Uptime } from './types';

/** Checks that the page holds at most. */
export const MOST = 1000;
export const UPTIME_WINDOWS = ['24h', '7d', '30d', '90d'] as const;
export type UptimeWindow = (typeof UPTIME_WINDOWS)[number];

export class MonitorData {
  checks = $state.raw<readonly StoredCheck[]>([]);
  state = $state<'loading' | 'ready' | 'failed'>('loading');
  error = $state.raw<unknown>(null);
  uptimes = $state.raw<Partial<Record<UptimeWindow, Uptime>>>({});

  constructor(readonly id: string) {}

  async load(): Promise<void> {
    try {
      const page = await get<Page<StoredCheck>>(`/api/v1/monitors/${this.id}/checks?limit=${MOST}`);
      this.take(page.items);
      this.state = 'ready';
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
    const loaded = await Promise.all(
      UPTIME_WINDOWS.map(async (window) => {
        const uptime = await get<Uptime>(`/api/v1/monitors/${this.id}/uptime?window=${window}`).catch(() => null);
        return [window, uptime] as const;
      }),
    );
    this.uptimes = { ...this.uptimes, ...Object.fromEntries(loaded.filter(([, uptime]) => uptime !== null)) };
  }
}

/** Each region's newest check, oldest region name first. */
export function votes(regions: readonly string[], checks: readonly StoredCheck[]): { region: string; last: StoredCheck | null }[] {
  const last = new Map<string, StoredCheck>();
  for (const check of checks) last.set(check.region, check);
  return regions.map((region) => ({ region, last: last.get(region) ?? null }));
}
