-- Who watches which monitor at which server, for all servers together. Every server keeps its own row
-- alive and deletes those of servers that did not; what a crash of Postgres takes away, the servers
-- write again with their next sign of life.
create unlogged table live_servers (
    server_id  uuid primary key,
    expires_at timestamptz not null
);

create unlogged table live_viewers (
    monitor_id uuid not null,
    -- A person's id, or a key's.
    viewer     uuid not null,
    server_id  uuid not null references live_servers on delete cascade,
    primary key (monitor_id, viewer, server_id)
);
create index live_viewers_by_server on live_viewers (server_id);
