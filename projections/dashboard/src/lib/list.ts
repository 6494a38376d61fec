// The list of monitors as the address describes it: searched, filtered, sorted and grouped.

import { percentile, targetText } from './format';
import type { Row } from './merge';
import type { ListedMonitor, Monitor, Status } from './types';

export interface View {
  search: string;
  status: Status | '';
  tag: string;
  sort: SortKey;
  descending: boolean;
  group: string;
}
export type SortKey = 'status' | 'name' | 'p50' | 'p95' | 'errors' | '24h' | '30d' | '90d';
export const SORT_KEYS: readonly SortKey[] = ['status', 'name', 'p50', 'p95', 'errors', '24h', '30d', '90d'];

export function viewOf(parameters: URLSearchParams): View {
  const sort = parameters.get('sort') ?? 'status';
  const key = sort.replace(/^-/, '') as SortKey;
  return {
    search: parameters.get('q') ?? '',
    status: (parameters.get('status') ?? '') as Status | '',
    tag: parameters.get('tag') ?? '',
    sort: SORT_KEYS.includes(key) ? key : 'status',
    descending: sort.startsWith('-'),
    group: parameters.get('group') ?? '',
  };
}

/** What needs somebody first. */
const URGENCY: Record<Status, number> = { down: 0, unknown: 1, pending: 2, up: 3, maintenance: 4, paused: 5 };

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

/** What names are sorted by: without case and accents, and numbers by their size. Collators take ten times as long. */
const keys = new WeakMap<Monitor, string>();
function keyOf(monitor: Monitor): string {
  const known = keys.get(monitor);
  if (known !== undefined) return known;
  const plain = monitor.name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  const key = plain.replace(/\d+/g, (digits) => digits.padStart(15, '0')) + monitor.id;
  keys.set(monitor, key);
  return key;
}
export const compareNames = (one: Row, other: Row): number =>
  keyOf(one.monitor) < keyOf(other.monitor) ? -1 : 1;

export type Line = { kind: 'group'; name: string; count: number } | { kind: 'row'; row: Row };
type FiguresById = ReadonlyMap<string, Pick<ListedMonitor, 'uptime' | 'latency'>>;

/** The share of the recent checks that did not succeed; null before the first. */
export function errorShare(row: Row): number | null {
  if (row.checks.length === 0) return null;
  return row.checks.filter(({ outcome }) => outcome !== 'up').length / row.checks.length;
}

/** In ms: as the server says it, or of the recent checks. */
export function time(ms: number | null | undefined, row: Row, part: number): number | null {
  if (ms !== undefined) return ms;
  const us = percentile(row.checks, part);
  return us === null ? null : us / 1000;
}

function figure(row: Row, key: SortKey, figures: FiguresById): number | null {
  switch (key) {
    case 'status':
      return URGENCY[row.monitor.status];
    case 'p50':
      return time(figures.get(row.monitor.id)?.latency?.p50_ms, row, 0.5);
    case 'p95':
      return time(figures.get(row.monitor.id)?.latency?.p95_ms, row, 0.95);
    case 'errors':
      return errorShare(row);
    case 'name':
      return null;
    default:
      return figures.get(row.monitor.id)?.uptime?.[key].uptime_ratio ?? null;
  }
}

/** The rows that fit, in order. Rows without the figure come last either way. */
export function select(rows: readonly Row[], view: View, byId: FiguresById): Row[] {
  const words = view.search.toLowerCase().split(/\s+/).filter(Boolean);
  const [tagKey = '', tagValue] = view.tag.split(/:(.*)/s);
  const found = rows.filter(({ monitor }) => {
    if (view.status !== '' && monitor.status !== view.status) return false;
    if (view.tag !== '' && !(tagKey in monitor.tags && (tagValue === undefined || monitor.tags[tagKey] === tagValue)))
      return false;
    if (words.length === 0) return true;
    const text = `${monitor.name} ${targetText(monitor.target)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const sign = view.descending ? -1 : 1;
  if (view.sort === 'name') return found.sort((one, other) => sign * compareNames(one, other));
  const figures = new Map(found.map((row) => [row, figure(row, view.sort, byId)]));
  return found.sort((one, other) => {
    const [a, b] = [figures.get(one) ?? null, figures.get(other) ?? null];
    if (a === b) return compareNames(one, other);
    if (a === null) return 1;
    if (b === null) return -1;
    return sign * (a - b);
  });
}

/** The same with a line before each group of one tag's values. */
export function grouped(rows: readonly Row[], key: string, without: string): Line[] {
  if (key === '') return rows.map((row) => ({ kind: 'row', row }));
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const value = row.monitor.tags[key];
    const name = value === undefined ? without : value;
    const group = groups.get(name);
    if (group) group.push(row);
    else groups.set(name, [row]);
  }
  const names = [...groups.keys()].sort((one, other) =>
    one === without ? 1 : other === without ? -1 : collator.compare(one, other),
  );
  return names.flatMap((name): Line[] => {
    const members = groups.get(name) ?? [];
    return [{ kind: 'group', name, count: members.length }, ...members.map((row): Line => ({ kind: 'row', row }))];
  });
}

/** The tags that are in use: each key, and each key with a value. */
export function tagsOf(rows: readonly Row[]): { keys: string[]; pairs: string[] } {
  const keys = new Set<string>();
  const pairs = new Set<string>();
  for (const { monitor } of rows) {
    for (const [key, value] of Object.entries(monitor.tags)) {
      keys.add(key);
      pairs.add(`${key}:${value}`);
    }
  }
  return { keys: [...keys].sort(collator.compare), pairs: [...pairs].sort(collator.compare).slice(0, 200) };
}
