-- How far these tables have come. The birth is written once, into empty tables; a mark counts only
-- beside the birth of its own generation, so that tables that were emptied are told from complete ones.

create table if not exists projected (
    generation  UUID,
    -- birth or mark
    kind        LowCardinality(String),
    position    Int64,
    -- Names the event at that position, so that another log is told from the one that was read.
    fingerprint String,
    written_at  DateTime64(6, 'UTC') default now64(6)
)
engine = ReplacingMergeTree(position)
order by (generation, kind)
settings fsync_after_insert = 1, fsync_part_directory = 1;
