-- Where the log's clock went back. Events are looked for by the time at which they were recorded, which is a binary
-- search within each stretch of the log between two of these rows.
create table clock_setbacks (
    -- The last event of a stretch, and when it was recorded: later than the clock showed at the next append.
    position    bigint primary key,
    recorded_at timestamptz not null
);

create or replace function events_take_the_lock() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(7013846129);
    -- A statement of its own: it sees what was committed before the lock was given.
    insert into clock_setbacks (position, recorded_at)
    select position, recorded_at
    from (select position, recorded_at from events order by position desc limit 1) as newest
    where newest.recorded_at > clock_timestamp()
    on conflict (position) do nothing;
    return null;
end $$;
