-- How often somebody tried to get in, counted by all servers together. Not logged: after a crash of
-- Postgres everybody begins anew. `subject` is a hash: no address lies here.
create unlogged table rate_limits (
    subject bytea primary key,
    -- When what was counted so far is used up at the allowed rate (GCRA: the theoretical arrival time).
    free_at timestamptz not null
) with (fillfactor = 50);
