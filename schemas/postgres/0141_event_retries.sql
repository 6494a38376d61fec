-- The events that somebody asked a consumer of the log to retry: it looks for them every second.
create index dead_letters_to_retry on dead_letters (consumer)
    where position is not null and resolved_at is null and retried_at > failed_at;
