// What the API sends and takes. `schemas/openapi.json` is where each is described.

export type Role = 'viewer' | 'editor' | 'owner';
/** `pending` comes before the first result; `maintenance` is not sent yet. */
export type Status = 'pending' | 'up' | 'down' | 'unknown' | 'paused' | 'maintenance';
export type Outcome = 'up' | 'down' | 'blocked';

export interface User {
  id: string;
  email: string;
  name?: string | null;
  operator: boolean;
}
export interface Organization {
  id: string;
  name: string;
}
export interface Me {
  user: User;
  organization: Organization;
  role: Role;
  api_key_id?: string | null;
}
export interface Session extends Me {
  expires_in: number;
}

export interface Page<Item> {
  items: Item[];
  next_cursor?: string | null;
}
export interface Violation {
  pointer: string;
  detail: string;
}

export type SecretRef = string | { secret: string };
export type HttpAuth =
  | { type: 'basic'; username: string; password: SecretRef }
  | { type: 'bearer'; token: SecretRef };
export type TextOperator =
  | 'equals'
  | 'not_equals'
  | 'contains'
  | 'not_contains'
  | 'matches'
  | 'not_matches'
  | 'exists'
  | 'absent';
export type JsonOperator =
  | 'equals'
  | 'not_equals'
  | 'contains'
  | 'matches'
  | 'less_than'
  | 'at_most'
  | 'greater_than'
  | 'at_least'
  | 'exists'
  | 'absent';
export type Assertion =
  | { type: 'status'; expected: string[] }
  | { type: 'header'; name: string; operator: TextOperator; value?: string | null }
  | { type: 'body'; operator: TextOperator; value?: string | null }
  | { type: 'json_path'; path: string; operator: JsonOperator; value?: unknown }
  | { type: 'response_time'; max_ms: number };

export interface HttpTarget {
  type: 'http';
  url: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string | null;
  follow_redirects?: boolean;
  max_redirects?: number;
  allow_redirects_to_http?: boolean;
  verify_tls?: boolean;
  http_versions?: 'any' | '1.1' | '2';
  read_body?: boolean;
  expected_status?: string[];
  assertions?: Assertion[];
  auth?: HttpAuth | null;
  secret_headers?: Record<string, SecretRef>;
}
export interface TcpTarget {
  type: 'tcp';
  host: string;
  port: number;
}
export interface DnsTarget {
  type: 'dns';
  name: string;
  record_type: string;
  expected?: string[];
  resolver?: string | null;
}
export interface TlsTarget {
  type: 'tls';
  host: string;
  port?: number;
  warn_days?: number;
}
export interface HeartbeatTarget {
  type: 'heartbeat';
  grace_seconds?: number;
}
export type Target = HttpTarget | TcpTarget | DnsTarget | TlsTarget | HeartbeatTarget;
export type Kind = Target['type'];

export interface Retries {
  max_attempts?: number;
  initial_backoff_ms?: number;
  multiplier?: number;
  max_backoff_ms?: number;
}
export interface Monitor {
  id: string;
  name: string;
  target: Target;
  status: Status;
  status_since?: string | null;
  interval_seconds: number;
  timeout_ms: number;
  retries: Retries;
  confirmations: number;
  regions: string[];
  regions_without_prober: string[];
  quorum?: number | null;
  tags: Record<string, string>;
  paused: boolean;
  version: number;
  registered_at: string;
  changed_at: string;
  heartbeat_path?: string | null;
  warnings?: Violation[];
}

export interface Failure {
  cause: string;
  detail: string;
}
export interface Timings {
  dns: number;
  connect: number;
  tls: number;
  first_byte: number;
  total: number;
}
export interface Certificate {
  subject: string;
  issuer: string;
  expires_at: string;
  days_left: number;
  chain_length: number;
}
export interface Attempt {
  after_ms: number;
  took_ms: number;
  outcome: Outcome;
  http_status?: number | null;
  cause?: string | null;
}
export interface Findings {
  http_version?: string | null;
  certificate?: Certificate | null;
  warnings?: { code: string; detail: string }[];
  answers?: string[];
  assertion?: { index: number; expected: string; got?: string | null } | null;
  attempts?: Attempt[];
}
export interface Check {
  check_id: string;
  region: string;
  scheduled_at: string;
  started_at: string;
  outcome: Outcome;
  http_status?: number | null;
  failure?: Failure | null;
  timings_us: Timings;
  attempts: number;
  config_version: number;
  valid_for_ms: number;
  findings?: Findings | null;
}
/** A check that was recorded, with its place in the log. */
export interface StoredCheck extends Check {
  position: number;
  recorded_at: string;
}

export interface Uptime {
  from: string;
  to: string;
  uptime_ratio?: number | null;
  uptime_percent?: string | null;
  coverage?: number | null;
  up_seconds: number;
  down_seconds: number;
  paused_seconds: number;
  excluded_seconds: number;
  unknown_seconds: number;
  checks_expected: number;
  checks_missed: number;
  checks_total: number;
  checks_up: number;
  outages: number;
}
export interface UptimeByDay extends Uptime {
  buckets?: Uptime[];
}
export interface OrganizationUptime extends Uptime {
  monitors: (Uptime & { monitor_id: string })[];
}
/** A window of a listed monitor's uptime. */
export interface WindowFigures {
  uptime_ratio?: number | null;
  uptime_percent?: string | null;
  down_seconds: number;
  outages: number;
}
/** A monitor in a list, with figures. */
export interface ListedMonitor extends Monitor {
  uptime?: Record<'24h' | '30d' | '90d', WindowFigures> | null;
  latency?: { count: number; p50_ms?: number | null; p95_ms?: number | null } | null;
}

export interface LatencyBucket {
  at: string;
  count: number;
  p50_ms?: number | null;
  p95_ms?: number | null;
  p99_ms?: number | null;
  max_ms?: number | null;
}
export interface Latency {
  from: string;
  to: string;
  step_seconds: number;
  buckets: LatencyBucket[];
}
export interface Outage {
  monitor_id: string;
  started_at: string;
  ended_at?: string | null;
  duration_seconds: number;
  cause?: string | null;
  detail?: string | null;
}
export interface Outages extends Page<Outage> {
  mttr_seconds?: number | null;
  mtbf_seconds?: number | null;
}

export interface Member {
  user_id: string;
  email: string;
  name?: string | null;
  role: Role;
  joined_at: string;
}
export interface Invitation {
  id: string;
  email: string;
  role: Role;
  invited_by: string;
  created_at: string;
  expires_at: string;
}
export interface ApiKey {
  id: string;
  name: string;
  role: Role;
  hint: string;
  created_by: string;
  created_at: string;
  expires_at?: string | null;
  last_used_at?: string | null;
}
export interface Membership {
  id: string;
  name: string;
  role: Role;
}

export interface BulkResult {
  items: { index: number; status: number; id?: string | null; problem?: Problem | null }[];
  succeeded: number;
  failed: number;
}
export interface Problem {
  status: number;
  code: string;
  title: string;
  detail?: string | null;
  errors?: Violation[];
  request_id?: string | null;
}

/** An event of the log, as the live feed sends it. */
export interface LiveEvent {
  type: 'event';
  position: number;
  monitor_id: string;
  event: { type: string; time: string; data: Record<string, unknown> };
}
export type FeedMessage =
  | LiveEvent
  | { type: 'subscribed'; monitors: 'all' | string[]; position: number }
  | { type: 'replayed'; through: number }
  | { type: 'presence'; monitor_id: string; viewers: number }
  | { type: 'lagged'; resume_after: number }
  | { type: 'pong' }
  | { type: 'error'; code: string; detail: string };
