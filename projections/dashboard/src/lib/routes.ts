// The pages and their addresses. The server answers each with the same document:
// `PAGES` in projections/src/dashboard/mod.rs.

import type { IconName } from '../components/Icon.svelte';
import { match } from './paths';
import { t } from './strings';

export type PageName =
  | 'sign-in'
  | 'sign-up'
  | 'invitation'
  | 'monitors'
  | 'new'
  | 'monitor'
  | 'edit'
  | 'check'
  | 'settings'
  | 'nothing';

const ROUTES: [string, PageName][] = [
  ['/sign-in', 'sign-in'],
  ['/sign-up', 'sign-up'],
  ['/invitation', 'invitation'],
  ['/', 'monitors'],
  ['/monitors', 'monitors'],
  ['/monitors/new', 'new'],
  ['/monitors/:id', 'monitor'],
  ['/monitors/:id/edit', 'edit'],
  ['/monitors/:id/checks/:check', 'check'],
  ['/settings', 'settings'],
  ['/settings/:section', 'settings'],
];

export interface Route {
  page: PageName;
  parts: Record<string, string>;
}

export function routeOf(path: string): Route {
  for (const [pattern, page] of ROUTES) {
    const parts = match(pattern, path);
    if (parts) return { page, parts };
  }
  return { page: 'nothing', parts: {} };
}

/** Pages that need no session. */
export const isPublic = (page: PageName): boolean => page === 'sign-in' || page === 'sign-up' || page === 'invitation';

/** What the navigation leads to. */
export const pages: { path: string; name: string; icon: IconName; is: PageName[] }[] = [
  { path: '/monitors', name: t.nav.monitors, icon: 'monitors', is: ['monitors', 'new', 'monitor', 'edit', 'check'] },
  { path: '/settings', name: t.nav.settings, icon: 'settings', is: ['settings'] },
];
