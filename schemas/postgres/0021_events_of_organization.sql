-- The log of one organization, in order, without reading that of the others: for subscribers who come
-- back, auditors and exports. It takes some 45 bytes an event.
create index events_of_organization on events (organization_id, position);
