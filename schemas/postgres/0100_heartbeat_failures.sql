-- Whether the newest report said that something failed: only a report that says the same repeats it.

alter table heartbeats add column newest_failed boolean not null default false;
