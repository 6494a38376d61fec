-- Who may move a checkpoint: the holder of the lease that claimed it last. One that was replaced without
-- knowing it moves nothing. 0 where nobody claims it.
alter table checkpoints add column epoch bigint not null default 0;
