-- Where heartbeat monitors are reported to. The token is a secret: its SHA-256 alone is kept.

create table heartbeats (
    monitor_id      uuid primary key,
    organization_id uuid not null,
    token_hash      bytea not null unique,
    issued_at       timestamptz not null default clock_timestamp(),
    -- The slot of the newest report, in ms since the epoch; null before the first.
    newest_slot_ms  bigint
);
