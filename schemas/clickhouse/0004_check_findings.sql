-- What a check found out besides how it ended, as JSON; empty where that is nothing.

alter table checks add column if not exists findings String codec(ZSTD);
