-- People, their organizations, and who belongs to which. Personal data lies here and nowhere else, so
-- that it can be erased: events name people by their id alone.

create table users (
    user_id       uuid primary key,
    -- Normalised: trimmed and in lower case.
    email         text not null,
    -- None of somebody who gave none.
    name          text,
    -- A PHC string: algorithm, parameters, salt and hash.
    password_hash text not null,
    created_at    timestamptz not null default clock_timestamp(),
    constraint users_email unique (email)
);

create table organizations (
    organization_id uuid primary key,
    name            text not null,
    created_at      timestamptz not null default clock_timestamp()
);

create table members (
    organization_id uuid not null references organizations on delete cascade,
    user_id         uuid not null references users on delete cascade,
    role            text not null check (role in ('viewer', 'editor', 'owner')),
    created_at      timestamptz not null default clock_timestamp(),
    primary key (organization_id, user_id)
);
create index members_by_user on members (user_id, created_at);
