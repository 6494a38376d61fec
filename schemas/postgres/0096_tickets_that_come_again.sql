-- A ticket that an event source has shown is good again, until it expires: an event source comes back to the same
-- address by itself.
alter table live_tickets add column comes_again boolean not null default false;
