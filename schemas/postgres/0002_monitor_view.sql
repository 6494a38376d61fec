-- The read model of monitors. Each half is written by one writer, and only by a newer version.

-- Configuration: written right after the command's commit and again from the log.
create table monitor_view (
    monitor_id      uuid primary key,
    organization_id uuid not null,
    version         bigint not null,
    name            text not null,
    config          jsonb not null,
    paused          boolean not null,
    archived        boolean not null,
    registered_at   timestamptz not null,
    changed_at      timestamptz not null
);
create index monitor_view_by_organization on monitor_view (organization_id, monitor_id);

-- Status: written by the recorder in its append transaction.
create table monitor_status (
    monitor_id      uuid primary key,
    health_version  bigint not null,
    status          text not null,
    status_since    timestamptz
);
