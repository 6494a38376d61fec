// Who is signed in. The tokens lie in cookies that no script can read; what is kept in `localStorage` says only that
// there is a session and until when its access token is good, so that a reader who is not signed in causes no
// request that is refused.

import { requestWithoutSession, get } from './api';
import { currentPath, navigate } from './router.svelte';
import type { Me, Session } from './types';

const MARK = 'pulsetrail.session_until';
/** The token is renewed when less than this is left of it. */
const MARGIN_MS = 60_000;

export const session = $state<{ me: Me | null; known: boolean; endedElsewhere: boolean }>({
  me: null,
  known: false,
  endedElsewhere: false,
});

export const canEdit = (): boolean => session.me?.role === 'editor' || session.me?.role === 'owner';
export const canManage = (): boolean => session.me?.role === 'owner';

/** Finds out whether there is a session. An error other than "no session" is thrown. */
export async function findSession(): Promise<void> {
  if (localStorage.getItem(MARK) !== null) session.me = await get<Me>('/api/v1/me').catch(signedOutIfRefused);
  session.known = true;
}

function signedOutIfRefused(error: unknown): null {
  if (error instanceof Error && 'status' in error && error.status === 401) return null;
  throw error;
}

export async function signIn(email: string, password: string): Promise<void> {
  const body = { email, password, cookies: true };
  begin(await requestWithoutSession<Session>('POST', '/api/v1/auth/login', body));
}

export async function signUp(email: string, password: string, name: string): Promise<void> {
  const body = { email, password, cookies: true, ...(name === '' ? {} : { name }) };
  begin(await requestWithoutSession<Session>('POST', '/api/v1/auth/register', body));
}

export async function signOut(): Promise<void> {
  await requestWithoutSession('POST', '/api/v1/auth/logout').catch(() => undefined);
  localStorage.removeItem(MARK);
  // Nothing of this session stays in memory.
  location.assign('/sign-in');
}

/** Takes over a session that an answer brought. */
export function begin(opened: Session): void {
  remember(opened);
  session.me = { user: opened.user, organization: opened.organization, role: opened.role };
  session.known = true;
  session.endedElsewhere = false;
}

function remember(opened: Session): void {
  localStorage.setItem(MARK, String(Date.now() + opened.expires_in * 1000));
}

const until = (): number => Number(localStorage.getItem(MARK) ?? 0);

export const sessionIsOld = (): boolean => until() > 0 && until() - Date.now() < MARGIN_MS;

/** The session was ended, here or elsewhere: back to the door, and afterwards to the same place. */
export function sessionEnded(): void {
  localStorage.removeItem(MARK);
  if (session.me === null) return;
  session.me = null;
  session.endedElsewhere = true;
  navigate(`/sign-in?next=${encodeURIComponent(currentPath())}`, { replace: true });
}

let renewing: Promise<boolean> | null = null;

/** Renews the access token; whether there is a session afterwards. A refresh token is good once, and all tabs share
 *  it: they take turns, and a tab that comes second finds that the work is done. */
export function renewSession(): Promise<boolean> {
  renewing ??= oneTabAtATime(async () => {
    if (until() - Date.now() > MARGIN_MS * 2) return true;
    try {
      remember(await requestWithoutSession<Session>('POST', '/api/v1/auth/refresh'));
      return true;
    } catch (error) {
      // A server that is away ends no session.
      return !(error instanceof Error && 'status' in error && (error.status === 401 || error.status === 403));
    }
  }).finally(() => (renewing = null));
  return renewing;
}

const LOCK = 'pulsetrail.renewing';

async function oneTabAtATime<Result>(work: () => Promise<Result>): Promise<Result> {
  // Only secure contexts have locks; without TLS on another host than localhost there are none.
  if ('locks' in navigator) return navigator.locks.request(LOCK, work);
  const mine = `${Date.now()} ${Math.random()}`;
  for (;;) {
    const [since] = (localStorage.getItem(LOCK) ?? '0').split(' ');
    if (Date.now() - Number(since) > 10_000) {
      localStorage.setItem(LOCK, mine);
      await pause(50);
      if (localStorage.getItem(LOCK) === mine) break;
    }
    await pause(50 + Math.random() * 100);
  }
  try {
    return await work();
  } finally {
    localStorage.removeItem(LOCK);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
