-- The trace that a check on demand is a part of: its event keeps no metadata, and the trace came from
-- outside, so that nothing leads to it. (That of a check of the schedule is derived from its id.)
create table check_traces (
    check_id    uuid primary key,
    traceparent text not null,
    created_at  timestamptz not null default clock_timestamp()
);
create index check_traces_by_age on check_traces (created_at);
