-- Which version of the aggregate's fold made the state: of another one it says nothing. 0 is of none.
alter table snapshots add column fold_version int not null default 0;
