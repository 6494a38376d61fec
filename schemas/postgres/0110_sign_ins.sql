-- What a session and a sign-in are told from a guess by.

-- The refresh token before the newest one: only that one shows that two have the session. None before the
-- first refresh.
alter table sessions add column former_hash bytea;

-- Where a person signed in from. `address_mark` is an HMAC with a key of the installation: no address lies
-- here.
create table known_addresses (
    user_id      uuid not null references users on delete cascade,
    address_mark bytea not null,
    seen_at      timestamptz not null default clock_timestamp(),
    primary key (user_id, address_mark)
);
