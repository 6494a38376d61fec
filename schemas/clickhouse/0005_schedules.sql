-- One row for each event that changed when a monitor is checked, or from where. The slots that were due
-- follow from these rows alone.

create table if not exists schedules (
    organization_id UUID,
    monitor_id      UUID,
    position        Int64,
    recorded_at     DateTime64(6, 'UTC'),
    -- registered, reconfigured, paused, resumed, archived
    kind            LowCardinality(String),
    -- Of registered and reconfigured; else 0.
    interval_ms     Int64,
    timeout_ms      Int64,
    -- Where checks are made from; empty for a heartbeat monitor, and of the other kinds.
    regions         Array(LowCardinality(String))
)
engine = ReplacingMergeTree
order by (organization_id, monitor_id, position)
settings fsync_after_insert = 1, fsync_part_directory = 1;
