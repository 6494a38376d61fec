-- What checks need and the log must not know: passwords, tokens and secret header values, sealed with a
-- key that is not in here. Events hold the ids. A row is written in the transaction of the event that
-- names it first, never changed by a command, and deleted in that of the event that names it no more.

create table secrets (
    secret_id       uuid primary key,
    organization_id uuid not null,
    monitor_id      uuid not null,
    -- Which key it is sealed with, the nonce, and AES-256-GCM's output with the tag behind it. It is
    -- bound to the organization and to the secret's id.
    key_id          bytea not null check (octet_length(key_id) = 8),
    nonce           bytea not null check (octet_length(nonce) = 12),
    ciphertext      bytea not null check (octet_length(ciphertext) > 16),
    created_at      timestamptz not null default clock_timestamp()
);

create index secrets_of_monitor on secrets (monitor_id);
create index secrets_of_organization on secrets (organization_id);
