-- One row for each event that changed what is known of a monitor. From `at` on the monitor has
-- `status`, until a row of a later position says otherwise: at a moment t it has the status of the
-- row of the highest position among those with `at` <= t. (WentDown reaches back to its `since`.)

create table if not exists transitions (
    organization_id UUID,
    monitor_id      UUID,
    position        Int64,
    recorded_at     DateTime64(6, 'UTC'),
    at              DateTime64(6, 'UTC'),
    -- registered, observed, went_down, recovered, paused, resumed, observation_resumed, archived,
    -- observation_lost, observation_regained
    kind            LowCardinality(String),
    -- pending, up, down, unknown, paused, archived
    status          LowCardinality(String),
    -- What the checks say, which goes on while nothing is counted: pending, up, down, unknown.
    health          LowCardinality(String),
    -- No later row reaches back before this.
    settled_at      DateTime64(6, 'UTC'),
    -- The check that showed it, where it was one; else the nil UUID.
    check_id        UUID,
    -- Empty where nothing failed.
    failure_cause   LowCardinality(String),
    failure_detail  String
)
engine = ReplacingMergeTree
order by (organization_id, monitor_id, position)
settings fsync_after_insert = 1, fsync_part_directory = 1;
