-- Recorded checks that the order of the log does not lead to: checks on demand, and those that were
-- recorded late or ahead of time. Who asks whether an old check was recorded looks here first. Written
-- in the transaction that records the check; it can be made anew from the log.
create table irregular_checks (
    monitor_id uuid not null,
    check_id   uuid not null,
    primary key (monitor_id, check_id)
);
