-- A dead letter is a message or an event of the log, and says what became of it.

alter table dead_letters
    alter column topic drop not null,
    alter column partition drop not null,
    alter column "offset" drop not null,
    -- The event, where it is one; then there is no message.
    add column position        bigint,
    -- SHA-256 of key, value and headers: offsets begin anew where Kafka was deleted.
    add column digest          bytea not null default '',
    -- Whether key, value and headers were too long to be kept.
    add column content_missing boolean not null default false,
    -- How often it failed, and when it did last.
    add column failures        int not null default 1,
    add column failed_at       timestamptz not null default clock_timestamp(),
    -- When somebody asked for it to be tried again last, and who.
    add column retried_at      timestamptz,
    add column retried_by      text,
    -- The message of the retry that failed last.
    add column retry_partition int,
    add column retry_offset    bigint,
    -- When a retry was seen to succeed.
    add column resolved_at     timestamptz,
    -- When it was last copied to the topic of dead letters.
    add column copied_at       timestamptz,
    add constraint dead_letters_origin check (
        case when position is null
             then topic is not null and partition is not null and "offset" is not null
             else topic is null and partition is null and "offset" is null end),
    drop constraint dead_letters_consumer_topic_partition_offset_key;
create unique index dead_letters_message on dead_letters (consumer, topic, partition, "offset", digest)
    where position is null;
create unique index dead_letters_event on dead_letters (consumer, position) where position is not null;
create index dead_letters_to_copy on dead_letters (failed_at) where copied_at is null;

-- Lists are newest first, by id, which begins with the time.
drop index dead_letters_by_organization;
create index dead_letters_by_organization on dead_letters (organization_id, dead_letter_id);
