-- How often each range was refused to an organization: what its log says, counted as it grows.
create table egress_counts (
    organization_id uuid not null,
    range           text not null,
    blocked         bigint not null,
    last_blocked_at timestamptz not null,
    primary key (organization_id, range)
);
insert into egress_counts
    select organization_id, payload ->> 'range', count(*), max(recorded_at)
    from events where aggregate_type = 'egress' group by 1, 2;

-- Appends refusals, each to its organization's stream, which has no invariants and so takes whatever
-- sequence comes next. One element a refusal.
create function egress_append(
    organizations uuid[], names text[], versions text[], payloads text[], metadata json
) returns void language plpgsql volatile as $$
begin
    -- In a statement of its own, so that the next one sees every sequence.
    perform pg_advisory_xact_lock(7013846129);
    with heads as materialized (
        select organization, coalesce((
            select sequence from events
            where aggregate_type = 'egress' and aggregate_id = organization::text
            order by sequence desc limit 1), 0) as head
        from (select distinct unnest(organizations) as organization) as those
    )
    insert into events (aggregate_type, aggregate_id, sequence, organization_id,
                        event_type, event_version, payload, metadata)
    select 'egress', organization::text,
           head + row_number() over (partition by organization order by turn), organization,
           name, version, payload::json, egress_append.metadata
    from unnest(organizations, names, versions, payloads)
         with ordinality as new (organization, name, version, payload, turn)
    join heads using (organization)
    order by turn;
    insert into egress_counts as counts
    select organization, payload::json ->> 'range', count(*), clock_timestamp()
    from unnest(organizations, payloads) as new (organization, payload)
    group by 1, 2
    on conflict (organization_id, range) do update
        set blocked = counts.blocked + excluded.blocked,
            last_blocked_at = excluded.last_blocked_at;
end $$;
