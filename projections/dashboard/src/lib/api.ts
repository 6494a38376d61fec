// Requests to the API with the session's cookies. Scripts never see a token.

import { renewSession, sessionEnded, sessionIsOld } from './session.svelte';
import type { Problem, Violation } from './types';

/** A request that was refused, or that got no answer (`status` 0, `code` `offline`). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly violations: Violation[] = [],
    readonly retryAfterSeconds: number | null = null,
    readonly requestId: string | null = null,
  ) {
    super(message);
  }

  /** Whether the same request may succeed later. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export interface Options {
  body?: unknown;
  ifMatch?: number;
  /** Sent even if the page closes. */
  keepalive?: boolean;
  signal?: AbortSignal;
  idempotencyKey?: string;
}

/** Sends a request and returns the body of the answer; `undefined` for 204. */
export async function request<Answer>(method: string, path: string, options: Options = {}): Promise<Answer> {
  if (sessionIsOld()) await renewSession();
  let response = await send(method, path, options);
  if (response.status === 401 && (await renewSession())) response = await send(method, path, options);
  if (response.status === 401) sessionEnded();
  return read<Answer>(response);
}

/** As `request`, for what comes before there is a session. */
export async function requestWithoutSession<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
  return read<Answer>(await send(method, path, body === undefined ? {} : { body }));
}

export const get = <Answer>(path: string, signal?: AbortSignal): Promise<Answer> =>
  request<Answer>('GET', path, signal ? { signal } : {});

async function send(method: string, path: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  if (options.ifMatch !== undefined) headers['If-Match'] = `"${options.ifMatch}"`;
  if (options.idempotencyKey !== undefined) headers['Idempotency-Key'] = options.idempotencyKey;
  try {
    return await fetch(path, {
      method,
      headers,
      credentials: 'same-origin',
      cache: 'no-store',
      keepalive: options.keepalive ?? false,
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, 'offline', 'The server cannot be reached.');
  }
}

async function read<Answer>(response: Response): Promise<Answer> {
  if (response.ok) {
    return (response.status === 204 ? undefined : await response.json()) as Answer;
  }
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const retryAfter = Number(response.headers.get('Retry-After'));
  throw new ApiError(
    response.status,
    problem.code ?? 'unexpected',
    problem.detail ?? problem.title ?? `The server answered with ${response.status}.`,
    problem.errors ?? [],
    retryAfter > 0 ? retryAfter : null,
    problem.request_id ?? response.headers.get('X-Request-Id'),
  );
}
