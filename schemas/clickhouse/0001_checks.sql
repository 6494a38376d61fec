-- One row for each CheckCompleted. A row is a function of its event alone, and its key holds the
-- event's position: inserted twice, it is the same row, and reads with FINAL see it once.

create table if not exists checks (
    organization_id UUID,
    monitor_id      UUID,
    scheduled_at    DateTime64(6, 'UTC') codec(Delta, ZSTD),
    position        Int64 codec(Delta, ZSTD),
    recorded_at     DateTime64(6, 'UTC') codec(Delta, ZSTD),
    started_at      DateTime64(6, 'UTC') codec(Delta, ZSTD),
    check_id        UUID,
    region          LowCardinality(String),
    outcome         LowCardinality(String),
    http_status     Nullable(UInt16),
    -- Empty where nothing failed.
    failure_cause   LowCardinality(String),
    failure_detail  String codec(ZSTD),
    -- In microseconds.
    timing_dns        UInt32 codec(T64, ZSTD),
    timing_connect    UInt32 codec(T64, ZSTD),
    timing_tls        UInt32 codec(T64, ZSTD),
    timing_first_byte UInt32 codec(T64, ZSTD),
    timing_total      UInt32 codec(T64, ZSTD),
    attempts        UInt32,
    config_version  Int64,
    valid_for_ms    Int64
)
engine = ReplacingMergeTree
partition by toYYYYMM(scheduled_at)
order by (organization_id, monitor_id, scheduled_at, position)
settings fsync_after_insert = 1, fsync_part_directory = 1;
