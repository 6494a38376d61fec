-- What people say about times of monitors. A row belongs to its events and is stored with them; reads as of a
-- position take the rows that were made by then and not withdrawn by then.
create table annotations (
    annotation_id      uuid primary key,
    organization_id    uuid not null,
    monitor_id         uuid not null,
    -- From the first moment until before the second.
    from_at            timestamptz not null,
    to_at              timestamptz not null,
    -- maintenance, false_alarm, note
    kind               text not null,
    note               text not null,
    -- The person who made it, as in the event's metadata; null where no person did.
    made_by            uuid,
    made_at            timestamptz not null,
    position           bigint not null,
    -- Null while it stands.
    withdrawn_position bigint
);
-- Of a monitor, newest time first; and those that touch a window.
create index annotations_of_monitor on annotations (organization_id, monitor_id, from_at desc, annotation_id desc);
