-- One-time tickets to the live feed, for browsers, which can set no header there. A ticket is kept as
-- its SHA-256, is good at every server, and stands for the credential that asked for it: what that may
-- do, and whether it still counts, is asked when the ticket is used.
create unlogged table live_tickets (
    ticket_hash     bytea primary key,
    user_id         uuid not null,
    organization_id uuid not null,
    session_id      uuid references sessions on delete cascade,
    api_key_id      uuid references api_keys on delete cascade,
    -- When the credential ends by itself: a connection lasts no longer.
    ends_at         timestamptz,
    expires_at      timestamptz not null,
    check (num_nonnulls(session_id, api_key_id) = 1)
);
create index live_tickets_by_age on live_tickets (expires_at);
