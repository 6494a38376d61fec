-- The event store: one order for a whole cell.

create table events (
    -- Columns of a fixed width first: no bytes are lost between them.
    position        bigint generated always as identity,
    sequence        bigint not null,
    recorded_at     timestamptz not null default clock_timestamp(),
    -- Filled from the metadata where an insert does not name it.
    organization_id uuid not null,
    aggregate_type  text not null,
    aggregate_id    text not null,
    event_type      text not null,
    event_version   text not null,
    payload         json not null,
    metadata        json not null,
    constraint events_sequence primary key (aggregate_type, aggregate_id, sequence)
);
create unique index events_position on events (position);

-- Positions are assigned under this lock, which lasts until the commit, so that they are visible in
-- the order of their numbers: who has read up to N has seen all that will ever be at or below N.
create function events_take_the_lock() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(7013846129);
    return null;
end $$;
create trigger events_in_commit_order before insert on events
    for each statement execute function events_take_the_lock();

create function events_fill_organization() returns trigger language plpgsql as $$
begin
    new.organization_id := (new.metadata ->> 'organization_id')::uuid;
    return new;
end $$;
create trigger events_organization before insert on events
    for each row when (new.organization_id is null) execute function events_fill_organization();

-- One notification a transaction, however many rows it inserts.
create function events_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('pulsetrail_events', '');
    return null;
end $$;
create trigger events_announced after insert on events
    for each statement execute function events_notify();

-- History is not altered by accident. (That it was not altered on purpose is for the seals to show.)
create function events_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'events are append-only' using errcode = 'restrict_violation';
end $$;
create trigger events_append_only before update or delete or truncate on events
    for each statement execute function events_refuse_change();

-- The state of an aggregate after `sequence`, so that loading it does not read its whole history.
create table snapshots (
    aggregate_type text not null,
    aggregate_id   text not null,
    sequence       bigint not null,
    state          json not null,
    primary key (aggregate_type, aggregate_id)
);

-- How far each reader of the log has come.
create table checkpoints (
    consumer   text primary key,
    position   bigint not null,
    updated_at timestamptz not null default clock_timestamp()
);

-- Who is the one active copy of a role. The database's clock alone decides.
create table leases (
    name       text primary key,
    holder     uuid not null,
    epoch      bigint not null,
    expires_at timestamptz not null
);

-- Messages that were themselves at fault.
create table dead_letters (
    dead_letter_id  uuid primary key,
    organization_id uuid,
    consumer        text not null,
    topic           text not null,
    partition       int not null,
    "offset"        bigint not null,
    reason          text not null,
    detail          text not null,
    key             bytea,
    payload         bytea,
    headers         json not null,
    created_at      timestamptz not null default clock_timestamp(),
    unique (consumer, topic, partition, "offset")
);
create index dead_letters_by_organization on dead_letters (organization_id, created_at);
