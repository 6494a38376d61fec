// A monitor as the form holds it, and as the API takes it.

import type { Assertion, HttpAuth, HttpTarget, Kind, Monitor, SecretRef, Target } from './types';

export interface Draft {
  kind: Kind;
  name: string;
  interval: number;
  timeout: number;
  tags: string;
  regions: string[];
  confirmations: number;
  quorum: number | null;
  attempts: number;
  // HTTP
  url: string;
  method: string;
  expectedStatus: string;
  headers: string;
  body: string;
  followRedirects: boolean;
  verifyTls: boolean;
  assertions: Assertion[];
  auth: 'none' | 'basic' | 'bearer';
  username: string;
  /** What was typed; empty keeps the secret that is there. */
  secret: string;
  secretKept: SecretRef | null;
  // TCP, TLS, DNS
  host: string;
  port: number;
  warnDays: number;
  recordType: string;
  expected: string;
  resolver: string;
  // Heartbeat
  grace: number;
}

/** The API's defaults. */
export function newDraft(): Draft {
  return {
    kind: 'http',
    name: '',
    interval: 60,
    timeout: 10_000,
    tags: '',
    regions: [],
    confirmations: 1,
    quorum: null,
    attempts: 1,
    url: '',
    method: 'GET',
    expectedStatus: '2xx',
    headers: '',
    body: '',
    followRedirects: true,
    verifyTls: true,
    assertions: [],
    auth: 'none',
    username: '',
    secret: '',
    secretKept: null,
    host: '',
    port: 443,
    warnDays: 14,
    recordType: 'A',
    expected: '',
    resolver: '',
    grace: 60,
  };
}

export function draftOf(monitor: Monitor): Draft {
  const draft: Draft = {
    ...newDraft(),
    kind: monitor.target.type,
    name: monitor.name,
    interval: monitor.interval_seconds,
    timeout: monitor.timeout_ms,
    tags: Object.entries(monitor.tags)
      .map(([key, value]) => (value === '' ? key : `${key}:${value}`))
      .join(', '),
    regions: [...monitor.regions],
    confirmations: monitor.confirmations,
    quorum: monitor.quorum ?? null,
    attempts: monitor.retries.max_attempts ?? 1,
  };
  return { ...draft, ...targetDraft(monitor.target) };
}

function targetDraft(target: Target): Partial<Draft> {
  switch (target.type) {
    case 'http':
      return {
        url: target.url,
        method: target.method ?? 'GET',
        expectedStatus: (target.expected_status ?? ['2xx']).join(', '),
        headers: Object.entries(target.headers ?? {})
          .map(([name, value]) => `${name}: ${value}`)
          .join('\n'),
        body: target.body ?? '',
        followRedirects: target.follow_redirects ?? true,
        verifyTls: target.verify_tls ?? true,
        assertions: structuredClone(target.assertions ?? []),
        ...authDraft(target.auth ?? null),
      };
    case 'tcp':
      return { host: target.host, port: target.port };
    case 'tls':
      return { host: target.host, port: target.port ?? 443, warnDays: target.warn_days ?? 14 };
    case 'dns':
      return {
        host: target.name,
        recordType: target.record_type,
        expected: (target.expected ?? []).join('\n'),
        resolver: target.resolver ?? '',
      };
    case 'heartbeat':
      return { grace: target.grace_seconds ?? 60 };
  }
}

function authDraft(auth: HttpAuth | null): Partial<Draft> {
  if (auth === null) return {};
  return auth.type === 'basic'
    ? { auth: 'basic', username: auth.username, secretKept: auth.password }
    : { auth: 'bearer', secretKept: auth.token };
}

/** What the API takes: the fields of the form, and no others. */
export interface MonitorBody {
  name?: string;
  target: Record<string, unknown>;
  interval_seconds: number;
  timeout_ms?: number;
  tags: Record<string, string>;
  regions?: string[];
  confirmations?: number;
  quorum?: number | null;
  retries?: { max_attempts: number };
}

export function bodyOf(draft: Draft): MonitorBody {
  const name = draft.name.trim();
  const common: MonitorBody = {
    ...(name === '' ? {} : { name }),
    target: targetOf(draft),
    interval_seconds: draft.interval,
    tags: tagsOf(draft.tags),
  };
  if (draft.kind === 'heartbeat') return common;
  return {
    ...common,
    timeout_ms: draft.timeout,
    ...(draft.regions.length > 0 ? { regions: draft.regions } : {}),
    confirmations: draft.confirmations,
    ...(draft.quorum === null ? {} : { quorum: draft.quorum }),
    retries: { max_attempts: draft.attempts },
  };
}

function targetOf(draft: Draft): Record<string, unknown> {
  const host = draft.host.trim();
  switch (draft.kind) {
    case 'http':
      return httpTargetOf(draft);
    case 'tcp':
      return { type: 'tcp', host, port: draft.port };
    case 'tls':
      return { type: 'tls', host, port: draft.port, warn_days: draft.warnDays };
    case 'dns':
      return {
        type: 'dns',
        name: host,
        record_type: draft.recordType,
        expected: lines(draft.expected),
        ...(draft.resolver.trim() === '' ? {} : { resolver: draft.resolver.trim() }),
      };
    case 'heartbeat':
      return { type: 'heartbeat', grace_seconds: draft.grace };
  }
}

function httpTargetOf(draft: Draft): Record<string, unknown> {
  const url = draft.url.trim();
  const secret = draft.secret === '' ? draft.secretKept : draft.secret;
  const auth =
    draft.auth === 'basic'
      ? { type: 'basic', username: draft.username, password: secret ?? '' }
      : draft.auth === 'bearer'
        ? { type: 'bearer', token: secret ?? '' }
        : null;
  return {
    type: 'http',
    url: url === '' || url.includes('://') ? url : `https://${url}`,
    method: draft.method,
    expected_status: list(draft.expectedStatus),
    headers: headersOf(draft.headers),
    ...(draft.body === '' ? {} : { body: draft.body }),
    follow_redirects: draft.followRedirects,
    verify_tls: draft.verifyTls,
    assertions: draft.assertions,
    ...(auth === null ? {} : { auth }),
  };
}

const list = (text: string): string[] => text.split(/[,\s]+/).filter(Boolean);
const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

function headersOf(text: string): Record<string, string> {
  return Object.fromEntries(
    lines(text).map((line) => {
      const [name = '', value = ''] = line.split(/:(.*)/s);
      return [name.trim().toLowerCase(), value.trim()];
    }),
  );
}

export function tagsOf(text: string): Record<string, string> {
  const tags = text
    .split(',')
    .map((tag) => tag.trim())
    .filter(Boolean);
  return Object.fromEntries(
    tags.map((tag) => {
      const [key = '', value = ''] = tag.split(/:(.*)/s);
      return [key.trim(), value.trim()];
    }),
  );
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What turns one body into another (RFC 7396); null for what is left out in the other. */
export function mergePatch(before: Json, after: Json): Json {
  const patch: Json = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, now] = [before[name], after[name]];
    if (now === undefined) {
      patch[name] = null;
    } else if (isObject(old) && isObject(now)) {
      const inner = old['type'] === now['type'] ? mergePatch(old, now) : { ...withoutOld(old, now), ...now };
      if (Object.keys(inner).length > 0) patch[name] = inner;
    } else if (JSON.stringify(old) !== JSON.stringify(now)) {
      patch[name] = now;
    }
  }
  return patch;
}

/** Of another kind: what the old one had alone goes away. */
function withoutOld(old: Json, now: Json): Json {
  return Object.fromEntries(Object.keys(old).filter((name) => !(name in now)).map((name) => [name, null]));
}

/** What turns a loaded monitor into what the form says. What the form does not show stays as it is. */
export function patchOf(monitor: Monitor, draft: Draft): Json {
  return mergePatch(bodyOf(draftOf(monitor)) as unknown as Json, bodyOf(draft) as unknown as Json);
}

/** The body of a copy: what the form does not show comes from the original, secrets do not. */
export function copyOf(monitor: Monitor, draft: Draft): Json {
  const body = bodyOf(draft) as unknown as Json;
  if (draft.kind !== monitor.target.type) return body;
  const { auth: _auth, secret_headers: _secrets, ...target } = monitor.target as HttpTarget;
  return { ...body, retries: { ...monitor.retries, max_attempts: draft.attempts }, target: { ...target, ...(body['target'] as Json) } };
}

/** The patch line by line, for the reader: `target.url`, before and after. */
export function changesOf(before: Json, patch: Json, path = ''): { field: string; before: string; after: string }[] {
  return Object.entries(patch).flatMap(([name, now]) => {
    const field = path === '' ? name : `${path}.${name}`;
    const old = before[name];
    if (isObject(now) && isObject(old)) return changesOf(old, now, field);
    return [{ field, before: shown(field, old), after: shown(field, now) }];
  });
}

function shown(field: string, value: unknown): string {
  if (value === undefined || value === null) return '–';
  if (/auth\.(password|token)$/.test(field) || field.endsWith('.auth')) return '•••';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
