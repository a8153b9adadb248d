-- accept_shrink(): which of the lists set aside it lets through.
\set VERBOSITY default
\set SHOW_CONTEXT never
\set ON_ERROR_ROLLBACK on
BEGIN;
SET LOCAL client_min_messages = warning;
TRUNCATE kinderconnect.endpoint CASCADE;
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('e', 'kinderbridge', 'https://example.com');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) VALUES ('o', 'e', 'g', 'p', '2026-01-01'), ('other', 'e', 'g', 'p', '2026-01-01');
INSERT INTO kinderconnect.list_state (organization_id, operation, agency_id, provider_id, entries, set_aside_entries, set_aside_at) VALUES
	('o', 'customers', '', '', 20, 3, now()), ('o', 'agencies', '', '', 20, NULL, NULL), ('o', 'children', 'A', 'P1', 20, 3, now()),
	('o', 'children', 'A', 'P2', 20, 3, now()), ('o', 'children', 'B', 'P1', 20, 3, now()), ('o', 'children', 'B', 'P2', 20, NULL, NULL),
	('other', 'children', 'A', 'P1', 20, 3, now());
CREATE VIEW pg_temp.accepted AS SELECT organization_id, operation, agency_id, provider_id FROM kinderconnect.list_state WHERE accept_shrink
	ORDER BY organization_id COLLATE "C", operation COLLATE "C", agency_id COLLATE "C", provider_id COLLATE "C";
SAVEPOINT set_aside;

SELECT kinderconnect.accept_shrink(NULL);
SELECT kinderconnect.accept_shrink('nobody');
SELECT kinderconnect.accept_shrink('o', 'no such agency');
SELECT kinderconnect.accept_shrink('o', 'B', 'P2') AS "nothing of it is set aside";
SELECT * FROM pg_temp.accepted;
-- the whole organization, an agency, a provider of it, a provider ID anywhere
SELECT kinderconnect.accept_shrink('o');
SELECT * FROM pg_temp.accepted;
ROLLBACK TO set_aside;
SELECT kinderconnect.accept_shrink('o', 'A');
SELECT * FROM pg_temp.accepted;
ROLLBACK TO set_aside;
SELECT kinderconnect.accept_shrink('o', 'A', 'P2');
SELECT * FROM pg_temp.accepted;
ROLLBACK TO set_aside;
SELECT kinderconnect.accept_shrink('o', provider_id => 'P1');
SELECT * FROM pg_temp.accepted;
SET LOCAL ROLE kinderconnect_admin;
SELECT kinderconnect.accept_shrink('o');
ROLLBACK;
