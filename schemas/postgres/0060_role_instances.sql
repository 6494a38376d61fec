-- The copies of roles that are alive, as each announces itself every few seconds. What a crash of
-- Postgres takes is announced again: nothing here needs to be kept.
create unlogged table role_instances (
    instance_id uuid primary key,
    announced   jsonb not null,
    seen_at     timestamptz not null default clock_timestamp()
);
