-- When a session ended, or will end. A sign-in deletes those that ended long ago.
create index sessions_by_end on sessions (least(expires_at, revoked_at));
