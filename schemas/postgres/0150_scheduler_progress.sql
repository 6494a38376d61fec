-- How far the scheduler has come, for the copy that takes over. Of each monitor as its events up to
-- `position` say, every slot up to `through_ms` (ms since the epoch) was emitted or counted as dropped.
create table scheduler_progress (
    only_row   boolean primary key default true check (only_row),
    through_ms bigint not null,
    position   bigint not null,
    -- The lease under which it was noted: a copy that was replaced notes nothing any more.
    epoch      bigint not null
);
