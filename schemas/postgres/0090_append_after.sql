-- The batch append for a writer that follows what others append: it says up to which position it knows
-- every head, and only the heads that have moved since are looked up. Looking all of them up took half as
-- long again as storing the events.

drop function events_append(
    text[], text[], bigint[], uuid[], text[], text[], bigint[],
    bigint[], bigint[], text[], text[], text[], text[]);

-- The batch append in one call. It is `volatile`, so that each of its statements sees what was
-- committed before it began: the heads are read after the lock is held, and stay as they are read.
create function events_append(
    -- One element an aggregate.
    types text[], ids text[], expected bigint[], organizations uuid[],
    guard_types text[], guard_ids text[], guards_expected bigint[],
    -- One element an event: the place of its aggregate, and its number in this append, both from 1.
    places bigint[], numbers bigint[], names text[], versions text[], payloads text[],
    -- None where all of it can be derived.
    metadatas text[] default null,
    -- Every expected version was its aggregate's head when the log ended here, or later. Null where
    -- the caller does not know.
    known_through bigint default null,
    -- The places, from 1, of the aggregates that were not at the expected version, or whose guard was
    -- not; nothing of theirs is stored, and everything else is.
    out conflicts bigint[],
    -- The aggregates that others appended to after `known_through`; null where they are too many, or
    -- where it is null.
    out moved text[],
    -- Where the log ends now, with these events.
    out reached bigint
) language plpgsql volatile as $$
declare
    -- Of each aggregate the head that its events follow; null where it, or its guard, has moved. An
    -- array, because a join with the events would be planned for a handful of rows.
    heads bigint[];
    knows bool;
begin
    perform pg_advisory_xact_lock(7013846129);
    reached := coalesce((select position from events order by position desc limit 1), 0);
    if reached between known_through and known_through + 10000 then
        moved := array(
            select distinct aggregate_id from events
            where position > known_through and position <= reached);
    end if;
    knows := moved is not null;
    -- Heads are looked for from the expected version on. Without that bound the index would hand over
    -- every sequence of the aggregate that lies on the same leaf, some hundred, to find the last one.
    -- A head below the expected version comes out as 0, and is a conflict as well.
    heads := array(
        select case
            when (expects is null or expects = head)
             and (guard_expects is null or guard_expects = case
                when knows and guard_id not in (select unnest(moved)) then guard_expects
                else coalesce((
                    select sequence from events
                    where aggregate_type = guard_type and aggregate_id = guard_id
                      and sequence >= guard_expects
                    order by sequence desc limit 1), 0)
                end)
            then head
        end
        from (
            select one.*, case
                when knows and expects is not null and id not in (select unnest(moved)) then expects
                else coalesce((
                    select sequence from events
                    where aggregate_type = one.type and aggregate_id = one.id
                      and sequence >= coalesce(one.expects, 0)
                    order by sequence desc limit 1), 0)
                end as head
            from unnest(types, ids, expected, guard_types, guard_ids, guards_expected)
                 as one (type, id, expects, guard_type, guard_id, guard_expects)
            offset 0
        ) as wanted);
    -- Positions are given in the order of the arrays.
    insert into events (aggregate_type, aggregate_id, sequence, organization_id,
                        event_type, event_version, payload, metadata)
    select types[place], ids[place], heads[place] + number, organizations[place],
           name, version, payload::json, coalesce(metadata::json, '{}')
    from unnest(places, numbers, names, versions, payloads, metadatas)
         as new (place, number, name, version, payload, metadata)
    where heads[place] is not null;
    reached := coalesce((select position from events order by position desc limit 1), 0);
    conflicts := array(
        select place from generate_subscripts(heads, 1) as place where heads[place] is null);
end $$;

-- The events of commands to monitors, and the configuration half of the read model as it is after
-- them, so that whoever commanded reads their own write. It returns the place, from 1, of each monitor
-- that was at the expected version, and when its last event was recorded; of the others nothing is
-- stored.
create or replace function monitors_append(
    -- One element a monitor: what is expected and known of it, and how it is after its events.
    ids text[], expected bigint[], organizations uuid[],
    reached bigint[], view_names text[], configs jsonb[], are_paused boolean[], are_archived boolean[],
    -- Null of one that these events begin.
    since timestamptz[],
    -- One element an event, as above.
    places bigint[], numbers bigint[], names text[], versions text[], payloads text[],
    metadatas text[]
) returns table (stored_place bigint, stored_at timestamptz) language plpgsql volatile as $$
declare
    moved bigint[];
    monitors int := cardinality(ids);
begin
    moved := (select conflicts from events_append(
        array_fill('monitor'::text, array[monitors]), ids, expected, organizations,
        array_fill(null::text, array[monitors]), array_fill(null::text, array[monitors]),
        array_fill(null::bigint, array[monitors]),
        places, numbers, names, versions, payloads, metadatas));
    return query
    with stored as (
        select one.*, event.recorded_at
        from unnest(ids, organizations, reached, view_names, configs, are_paused, are_archived, since)
             with ordinality as one
             (id, organization, version, name, config, is_paused, is_archived, registered_at, place)
        join events as event on event.aggregate_type = 'monitor' and event.aggregate_id = one.id
                            and event.sequence = one.version
        where place <> all (moved)
    ), viewed as (
        insert into monitor_view as view (monitor_id, organization_id, version, name, config, paused,
                                          archived, registered_at, changed_at)
        select id::uuid, organization, version, name, config, is_paused, is_archived,
               coalesce(registered_at, recorded_at), recorded_at
        from stored
        on conflict (monitor_id) do update
            set version = excluded.version, name = excluded.name, config = excluded.config,
                paused = excluded.paused, archived = excluded.archived,
                changed_at = excluded.changed_at
            where view.version < excluded.version
    )
    select place, recorded_at from stored;
end $$;
