-- accept_shrink(): which of the lists set aside it lets through.
\set VERBOSITY default
\set SHOW_CONTEXT never
\set ON_ERROR_ROLLBACK on
BEGIN;
SET LOCAL client_min_messages = warning;
TRUNCATE kinderconnect.endpoint CASCADE;
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('e', 'kinderbridge', 'https://example.com');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) VALUES ('o', 'e', 'g', 'p', '2026-01-01'), ('other', 'e', 'g', 'p', '2026-01-01');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured)
SELECT 'o', a, p, true FROM unnest(ARRAY['A', 'B']) a, unnest(ARRAY['P1', 'P2']) p;
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
SELECT kinderconnect.accept_shrink('o', 'A', 'P3');
SELECT kinderconnect.accept_shrink('o', provider_id => 'P3');
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

-- Authorizations as history. The replies are these rows, instead of those
-- that the service sends; one that is torn is gone once the old row is closed.
BEGIN;
SET LOCAL client_min_messages = warning;
\set VERBOSITY terse
TRUNCATE kinderconnect.endpoint CASCADE;
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('e', 'kinderbridge', 'https://example.com');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) VALUES ('o', 'e', 'g', 'p', '2020-01-01');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured) VALUES ('o', 'A', 'P1', true);
INSERT INTO kinderconnect.run (run_id, scope, started_at) VALUES (0, '{}', now());
INSERT INTO kinderconnect.run_organization (organization_id, run_id, locked) VALUES ('o', 0, true);
CREATE TEMPORARY TABLE reply (child text, id text, begins date, ends date, units text, days text[], torn boolean);
CREATE OR REPLACE FUNCTION kinderconnect._children_reply(ticket bigint)
	RETURNS TABLE (ordinal integer, part integer, kinderconnect_child_id text, first_name text, middle_name text, last_name text,
		suffix text, date_of_birth date, subsidized boolean, authorization_id text, begin_date date, end_date date,
		units_of_care text, days text[], trouble text, sound boolean, unread text[])
	LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN QUERY SELECT (row_number() OVER (ORDER BY r.child, r.id))::integer, 1, r.child, 'Ana', NULL, 'Lee', NULL, date '2020-01-01', true,
		r.id, r.begins, r.ends, r.units, r.days, NULL, true, NULL::text[] FROM pg_temp.reply r WHERE r.torn IS NOT TRUE
		OR EXISTS (SELECT FROM kinderconnect.authorization a WHERE a.kinderconnect_child_id = r.child AND a.closed_as IS NULL);
END;
$$;
CREATE FUNCTION pg_temp.night() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	outcome kinderconnect.call_outcome;
	today   date := now() AT TIME ZONE 'America/New_York';
BEGIN
	outcome.organization_id := 'o';
	outcome.operation := 'children';
	outcome.agency_id := 'A';
	outcome.provider_id := 'P1';
	outcome.month := today;
	outcome.ok := true;
	outcome.entries := (SELECT count(*) FROM pg_temp.reply);
	PERFORM kinderconnect._take_children(0, ARRAY[outcome]);
	RETURN format('%s vanished', kinderconnect._close_vanished(0, 'o', date_trunc('month', today)::date, NULL));
END;
$$;
INSERT INTO pg_temp.reply SELECT 'c' || n, 'a', '2020-01-01', NULL, '5', NULL FROM generate_series(1, 3) n;
SELECT pg_temp.night();
SELECT pg_temp.night();
UPDATE pg_temp.reply SET units = '3' WHERE child = 'c1';
DELETE FROM pg_temp.reply WHERE child = 'c2';
SELECT pg_temp.night();
UPDATE pg_temp.reply SET days = '{MO}' WHERE child = 'c1';
INSERT INTO pg_temp.reply VALUES ('c2', 'a', '2020-01-01', NULL, '4');
SELECT pg_temp.night();
DELETE FROM pg_temp.reply WHERE child = 'c2';
SELECT pg_temp.night();
CREATE VIEW pg_temp.history AS SELECT kinderconnect_child_id AS child, row_number() OVER w AS n, units_of_care, days, closed_as,
	known_from = lag(known_until) OVER w AS "at once", known_from > lag(known_until) OVER w AS "later"
	FROM kinderconnect.authorization WINDOW w AS (PARTITION BY kinderconnect_child_id ORDER BY known_from) ORDER BY child, n;
SELECT * FROM pg_temp.history;
-- a change of which only the half would be written fails where it is made,
-- and not when the run commits
UPDATE pg_temp.reply SET units = '2', torn = true WHERE child = 'c1';
SELECT pg_temp.night();
SELECT * FROM pg_temp.history WHERE child = 'c1';
UPDATE pg_temp.reply SET torn = false;
SELECT pg_temp.night();
SELECT * FROM pg_temp.history WHERE child = 'c1';
-- that one is gone, say the lists of all months, of this run, and of none that
-- ended before them
SAVEPOINT gone;
SELECT date_trunc('month', now() AT TIME ZONE 'America/New_York')::date AS month \gset
DELETE FROM kinderconnect.listed_authorization WHERE kinderconnect_child_id = 'c3';
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date)
VALUES ('o', 'A', 'P1', 'c4', 'a', '2020-01-01', '2020-12-31');
SELECT kinderconnect._close_vanished(0, 'o', NULL, NULL) AS "by one of its months";
UPDATE kinderconnect.list_state SET taken_at = taken_at - interval '1 second';
SELECT kinderconnect._close_vanished(0, 'o', :'month', NULL) AS "by another run";
UPDATE kinderconnect.list_state SET taken_at = taken_at + interval '1 second';
SELECT kinderconnect._close_vanished(0, 'o', :'month', NULL) AS "by all";
SELECT child, n, closed_as FROM pg_temp.history WHERE child IN ('c3', 'c4');
ROLLBACK TO gone;
-- nobody writes a gap or an overlap, nor takes out of the middle
SET CONSTRAINTS ALL IMMEDIATE;
UPDATE kinderconnect.authorization SET known_until = known_until - interval '1 microsecond' WHERE kinderconnect_child_id = 'c1' AND units_of_care = '5';
UPDATE kinderconnect.authorization SET known_until = known_until + interval '1 microsecond' WHERE kinderconnect_child_id = 'c1' AND units_of_care = '5';
UPDATE kinderconnect.authorization SET known_from = known_from + interval '1 microsecond' WHERE kinderconnect_child_id = 'c1' AND units_of_care = '2';
UPDATE kinderconnect.authorization SET known_until = clock_timestamp(), closed_as = 'changed' WHERE kinderconnect_child_id = 'c3';
DELETE FROM kinderconnect.authorization WHERE kinderconnect_child_id = 'c1' AND units_of_care = '2';
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, known_from)
VALUES ('o', 'A', 'P1', 'c3', 'a', '2020-01-01', clock_timestamp());
-- the beginning may age away
DELETE FROM kinderconnect.authorization WHERE kinderconnect_child_id = 'c1' AND units_of_care = '5';
SELECT * FROM pg_temp.history WHERE child = 'c1';
ROLLBACK;

-- Lists of customers, agencies and locations, one after the other: what of them
-- is another organization's or customer's, is gone, comes back, is listed twice
-- or cannot be read. The replies are these entries.
BEGIN;
SET LOCAL client_min_messages = warning;
TRUNCATE kinderconnect.endpoint CASCADE;
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('e', 'kinderbridge', 'https://example.com');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) VALUES ('o', 'e', 'g', 'p', '2020-01-01'), ('other', 'e', 'g', 'p', '2020-01-01');
INSERT INTO kinderconnect.run (run_id, scope, started_at) VALUES (0, '{}', now());
INSERT INTO kinderconnect.run_organization (organization_id, run_id, locked) VALUES ('o', 0, true), ('other', 0, true);
CREATE TEMPORARY TABLE entry (ordinal integer GENERATED ALWAYS AS IDENTITY, said jsonb);
CREATE OR REPLACE FUNCTION kinderconnect._rows(ticket bigint, row_type anyelement) RETURNS SETOF anyelement LANGUAGE sql AS $$
	SELECT (jsonb_populate_record(row_type, e.said || jsonb_build_object('ordinal', e.ordinal))).* FROM pg_temp.entry e ORDER BY e.ordinal DESC
$$;
-- each entry is of the columns that are named, in their order
CREATE FUNCTION pg_temp.arrives(organization text, operation text, customer text, columns text[], VARIADIC entries text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	outcome kinderconnect.call_outcome;
BEGIN
	TRUNCATE pg_temp.entry RESTART IDENTITY;
	INSERT INTO pg_temp.entry (said) SELECT jsonb_object(columns, string_to_array(e, '|', '')) FROM unnest(entries) WITH ORDINALITY u(e, n) ORDER BY n;
	outcome.organization_id := organization;
	outcome.operation := operation;
	outcome.customer_id := customer;
	outcome.ok := true;
	outcome.entries := cardinality(entries);
	EXECUTE format('SELECT kinderconnect._take_%s(0, $1)', operation) USING outcome;
END;
$$;
CREATE FUNCTION pg_temp.customers(organization text, VARIADIC entries text[]) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.arrives(organization, 'customers', NULL, '{customer_id,name,status,problem}', VARIADIC entries) $$;
CREATE FUNCTION pg_temp.locations(organization text, customer text, VARIADIC entries text[]) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.arrives(organization, 'locations', customer, '{provider_id,agency_id,name,zip,status,problem}', VARIADIC entries) $$;
CREATE FUNCTION pg_temp.agencies(organization text, customer text, VARIADIC entries text[]) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.arrives(organization, 'agencies', customer, '{agency_id,name,state,time_zone,problem}', VARIADIC entries) $$;
CREATE VIEW pg_temp.problem AS SELECT organization_id, operation, customer_id, ordinal, problem FROM kinderconnect.list_problem
	ORDER BY organization_id COLLATE "C", operation COLLATE "C", customer_id COLLATE "C", ordinal;
CREATE VIEW pg_temp.customer AS SELECT organization_id, customer_id, name, status, listed FROM kinderconnect.customer ORDER BY organization_id COLLATE "C", customer_id COLLATE "C";
CREATE VIEW pg_temp.place AS SELECT organization_id, provider_id, customer_id, name, zip, status, listed FROM kinderconnect.listed_location ORDER BY organization_id COLLATE "C", provider_id COLLATE "C";
CREATE VIEW pg_temp.office AS SELECT organization_id, customer_id, agency_id, listed, name, state, time_zone
	FROM kinderconnect.organization_agency JOIN kinderconnect.agency USING (agency_id) ORDER BY organization_id COLLATE "C", customer_id COLLATE "C", agency_id COLLATE "C";

\o /dev/null
SELECT pg_temp.customers('other', 'C1|One|active|', '||active|no id', 'C9|Nine|active|');
SELECT pg_temp.customers('o', 'C1|One|active|', 'C2|Two|active|');
\o
-- one is gone, one is listed twice, one cannot be read
SELECT pg_temp.customers('o', 'C1|First|active|', '||active|no id', 'C1|Second|inactive|') \g /dev/null
SELECT * FROM pg_temp.customer;
SELECT * FROM pg_temp.problem;
-- it is back, and another's status is another
SELECT pg_temp.customers('o', 'C2|Two|active|', 'C1|First|Inactive|') \g /dev/null
SELECT * FROM pg_temp.customer;
SELECT * FROM pg_temp.problem;

\o /dev/null
SELECT pg_temp.locations('other', 'C1', 'P9|A|Nine|9|active|');
SELECT pg_temp.locations('o', 'C1', 'P1|A|One|1|active|', 'P2|A|Two|2|active|', 'P4|A|Four|4|active|');
SELECT pg_temp.locations('o', 'C2', 'P3|A|Three|3|active|', '|A|Nowhere||active|no id');
\o
-- one is gone, one is listed twice, and the other customer's are as they were
SELECT pg_temp.locations('o', 'C1', 'P1|A|First|1|active|', 'P1|A|Second|1|inactive|', 'P4|A|Four|4|active|') \g /dev/null
SELECT * FROM pg_temp.place;
SELECT * FROM pg_temp.problem WHERE operation = 'locations';
-- it is back, and the other customer's; so is one that was still listed here
SELECT pg_temp.locations('o', 'C2', 'P3|A|Three|3|active|', 'P2|A|Two|2|active|', 'P4|A|Four|4|active|') \g /dev/null
SELECT pg_temp.locations('o', 'C1', 'P1|A|First|1|active|') \g /dev/null
SELECT * FROM pg_temp.place;
SELECT * FROM pg_temp.problem WHERE operation = 'locations';

-- Who takes part: one that a person has entered while nobody says that it is
-- closed, one that was adopted while it and its customer are listed.
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured) SELECT 'o', 'A', p, p = 'P1' FROM unnest('{P1,P2,P3,P4}'::text[]) p;
SELECT pg_temp.customers('o', 'C1|One|active|', 'C2|Two|active|') \g /dev/null
CREATE VIEW pg_temp.standing AS SELECT provider_id, configured, barred FROM kinderconnect.provider_standing WHERE organization_id = 'o' ORDER BY provider_id COLLATE "C";
SAVEPOINT places;
SELECT pg_temp.customers('o', 'C1|One||', 'C2|Two| ACTIVE |') \g /dev/null
SELECT pg_temp.locations('o', 'C2', 'P3|A|Three|3| Active |', 'P2|A|Two|2|Closed|') \g /dev/null
SELECT * FROM pg_temp.standing;
SELECT pg_temp.customers('o', 'C1|One|closed|', 'C2|Two|closed|') \g /dev/null
SELECT * FROM pg_temp.standing;
ROLLBACK TO places;
SELECT pg_temp.customers('o', 'C3|Three|active|') \g /dev/null
SELECT * FROM pg_temp.standing;
ROLLBACK TO places;
UPDATE kinderconnect.organization SET adopt_providers = false;
SELECT * FROM pg_temp.standing;
ROLLBACK TO places;

\o /dev/null
SELECT pg_temp.agencies('other', 'C1', 'L-A|Office|TX|America/Chicago|', 'L-C|Other|NY|America/New_York|');
SELECT pg_temp.agencies('o', 'C1', 'L-A|Office|TX|America/Chicago|', 'L-B|Bureau|MO|America/Chicago|');
SELECT pg_temp.agencies('o', 'C2', 'L-A|Office|TX|America/Chicago|', 'L-D|Desk|LA|America/Chicago|', '|Nobody|TX||no id');
\o
-- one is gone; of one nothing is said any more, which is no reason to forget it
SELECT pg_temp.agencies('o', 'C1', 'L-A||||') \g /dev/null
SELECT * FROM pg_temp.office;
SELECT * FROM pg_temp.problem WHERE operation = 'agencies';
-- it is back; what cannot be read is a problem, and nothing else is
SELECT pg_temp.agencies('o', 'C1', 'L-B|Bureau| mo |America/Chicago|', 'L-A|Renamed|Texas|Mars/Olympus|', 'L-A|Again|OK|America/Denver|', 'L-E|New|MO|Mars/Olympus|') \g /dev/null
SELECT * FROM pg_temp.office;
SELECT * FROM pg_temp.problem WHERE operation = 'agencies';
ROLLBACK;
