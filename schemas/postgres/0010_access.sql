-- Who gets in, and what they may do: operators, sessions, API keys, invitations. Secrets are kept as
-- SHA-256 hashes: they are random, so that nothing slower is needed.

-- Who runs the installation: the first person who registered.
alter table users add column operator boolean not null default false;
update users set operator = true
where user_id = (select user_id from users order by created_at, user_id limit 1);

-- What begins with a sign-in. Its refresh token changes with every use; one that was used before ends
-- the session.
create table sessions (
    session_id      uuid primary key,
    user_id         uuid not null references users on delete cascade,
    organization_id uuid not null references organizations on delete cascade,
    refresh_hash    bytea not null,
    created_at      timestamptz not null default clock_timestamp(),
    refreshed_at    timestamptz not null default clock_timestamp(),
    expires_at      timestamptz not null,
    revoked_at      timestamptz
);
create index sessions_by_user on sessions (user_id);

create table api_keys (
    api_key_id      uuid primary key,
    organization_id uuid not null references organizations on delete cascade,
    -- A key can do no more than who made it can, and ends with them.
    created_by      uuid not null references users on delete cascade,
    name            text not null,
    role            text not null check (role in ('viewer', 'editor', 'owner')),
    secret_hash     bytea not null,
    -- The last characters of the secret, so that people can tell keys apart.
    hint            text not null,
    created_at      timestamptz not null default clock_timestamp(),
    expires_at      timestamptz,
    last_used_at    timestamptz,
    revoked_at      timestamptz,
    constraint api_keys_secret unique (secret_hash)
);
create index api_keys_by_organization on api_keys (organization_id, api_key_id);

create table invitations (
    invitation_id   uuid primary key,
    organization_id uuid not null references organizations on delete cascade,
    invited_by      uuid not null references users on delete cascade,
    email           text not null,
    role            text not null check (role in ('viewer', 'editor', 'owner')),
    token_hash      bytea not null,
    created_at      timestamptz not null default clock_timestamp(),
    expires_at      timestamptz not null,
    accepted_by     uuid references users on delete cascade,
    constraint invitations_token unique (token_hash)
);
create index invitations_by_organization on invitations (organization_id, invitation_id);

-- The first body that came with an Idempotency-Key: another one under the same key is refused. The
-- effects are kept from happening twice by their own ids, not by this.
create table idempotency_keys (
    organization_id uuid not null references organizations on delete cascade,
    route           text not null,
    key             text not null,
    body_hash       bytea not null,
    created_at      timestamptz not null default clock_timestamp(),
    primary key (organization_id, route, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
