-- Rows of Manage's attendance that belong to no child-day are seen all the
-- same. Two organizations; locations in a zone without clock changes.
\set VERBOSITY terse
BEGIN;
SET LOCAL client_min_messages = error;
TRUNCATE kinderconnect.endpoint, kinderconnect.agency CASCADE;
CREATE SCHEMA regress_attendance
	CREATE TABLE location (organization text, location text, zone text)
	CREATE TABLE child (organization text, child text)
	CREATE TABLE entry (organization text DEFAULT 'o', location text DEFAULT 'L1', child text, id text, kind text, check_in timestamptz, check_out timestamptz, day date, edited timestamptz);
INSERT INTO regress_attendance.location VALUES ('o', 'L1', 'America/Phoenix'), ('o', 'L2', 'America/Phoenix'), ('o', 'private', 'America/Phoenix'), ('o', 'of B', 'America/Phoenix'), ('o', 'no zone', NULL), ('p', 'of p', 'America/Phoenix');
INSERT INTO regress_attendance.child VALUES ('o', 'ann'), ('o', 'private'), ('p', 'of p'), ('o', 'formerly');
SELECT kinderconnect.bind_manage('organization', $$ SELECT DISTINCT organization AS organization_id, organization AS name FROM regress_attendance.location $$);
SELECT kinderconnect.bind_manage('location', $$ SELECT organization AS organization_id, location AS location_id, location AS name, NULL AS zip, zone AS time_zone FROM regress_attendance.location $$);
SELECT kinderconnect.bind_manage('child', $$ SELECT organization AS organization_id, NULL AS location_id, child AS child_id, child AS first_name, NULL AS middle_name, 'Lee' AS last_name, NULL AS suffix, '2020-02-02'::date AS date_of_birth, true AS active FROM regress_attendance.child $$);
SELECT kinderconnect.bind_manage('attendance', $$ SELECT organization AS organization_id, location AS location_id, child AS child_id, id AS attendance_id, kind, check_in, check_out, day AS service_date, NULL AS reason, edited AS modified_at FROM regress_attendance.entry $$);
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('e', 'kinderbridge', 'https://example.com');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) SELECT o, 'e', o, o, '2020-01-01' FROM unnest('{o,p}'::text[]) o;
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, configured_location_id) VALUES ('o', 'A', 'P1', true, 'L1'), ('o', 'A', 'P2', true, 'no zone'), ('o', 'A', 'P3', true, 'L2'), ('o', 'B', 'P1', true, 'of B');
UPDATE kinderconnect.provider SET enabled = false WHERE provider_id = 'P3';
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized)
SELECT 'o', 'A', c, c, 'Lee', '2020-02-02', true FROM unnest('{ann,formerly}'::text[]) c;
INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method) SELECT 'o', 'A', c, c, 'exact_location' FROM unnest('{ann,formerly}'::text[]) c;
SELECT (now() AT TIME ZONE 'America/Phoenix')::date AS today \gset
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date) VALUES
	('o', 'A', 'P1', 'ann', 'a', '2020-01-01', NULL), ('o', 'A', 'P1', 'formerly', 'a', '2020-01-01', '2020-12-31');
CREATE FUNCTION pg_temp.at(n integer, hour interval DEFAULT '8:00') RETURNS timestamptz STABLE LANGUAGE sql AS $$ SELECT ((now() AT TIME ZONE 'America/Phoenix')::date - n + hour) AT TIME ZONE 'America/Phoenix' $$;

-- nothing is the matter with these, or they are older than the horizon
INSERT INTO regress_attendance.entry (id, child, kind, check_in, check_out, day) VALUES
	('good', 'ann', 'session', pg_temp.at(3), pg_temp.at(3, '9:00'), NULL), ('good, out only', 'ann', 'session', NULL, pg_temp.at(4), NULL),
	('good absence', 'ann', 'absence', NULL, NULL, :'today'::date - 3), ('good closure', NULL, 'closure', NULL, NULL, :'today'::date - 3),
	('now', 'ann', 'session', pg_temp.at(0), NULL, NULL), ('old', NULL, 'session', pg_temp.at(60), NULL, NULL), ('old absence', NULL, 'absence', NULL, NULL, :'today'::date - 60);
INSERT INTO regress_attendance.entry (id, location, child, kind, check_in) VALUES ('private', 'private', 'private', 'session', pg_temp.at(3));
INSERT INTO regress_attendance.entry (id, child, kind, edited) VALUES ('edited long ago', 'ann', 'absence', pg_temp.at(60));
SELECT * FROM kinderconnect.attendance_problem;
SELECT count(*) AS "no false alarm" FROM kinderconnect.preview() WHERE state = 'unplaced';

INSERT INTO regress_attendance.entry (id, location, child, kind, check_in, day) VALUES
	('a1', 'L1', 'ann', 'absence', NULL, NULL), ('a2', 'L1', 'private', 'absence', NULL, NULL), ('a3', 'L1', NULL, 'closure', NULL, NULL), ('a4', 'L1', 'formerly', 'closure', pg_temp.at(2), NULL),
	('a5', 'L2', NULL, 'closure', NULL, NULL),
	('b1', 'L1', 'ann', 'session', NULL, NULL), ('b2', 'L1', 'ann', 'session', NULL, :'today'::date - 2),
	('c1', 'nowhere', 'ann', 'session', pg_temp.at(2), NULL), ('c2', 'nowhere', 'private', 'session', pg_temp.at(2), NULL), ('c3', 'nowhere', NULL, 'closure', NULL, :'today'),
	('d1', 'L1', NULL, 'session', pg_temp.at(2), NULL), ('d2', 'L2', NULL, 'absence', NULL, :'today'), ('d3', 'L1', NULL, 'Nap', pg_temp.at(2), NULL),
	('e1', 'L1', 'nobody', 'session', pg_temp.at(2), NULL), ('e2', 'private', 'nobody', 'session', pg_temp.at(2), NULL),
	('f1', 'L1', 'ann', 'Nap', pg_temp.at(2), NULL), ('f2', 'L1', 'ann', NULL, NULL, NULL), ('f3', 'L1', 'private', 'Nap', NULL, NULL),
	('g1', 'L1', 'ann', 'session', pg_temp.at(-1), NULL), ('g2', 'L1', 'private', 'session', pg_temp.at(-400), NULL),
	('h1', 'L1', 'ann', 'absence', NULL, :'today'::date + 1), ('h2', 'L1', NULL, 'closure', NULL, :'today'::date + 30),
	('i1', 'private', 'ann', 'session', pg_temp.at(2), NULL), ('i3', 'of B', 'ann', 'session', pg_temp.at(2), NULL), ('i2', 'private', 'formerly', 'session', pg_temp.at(2), NULL),
	('j1', 'no zone', 'ann', 'session', pg_temp.at(2), NULL), ('j2', 'no zone', 'private', 'session', pg_temp.at(2), NULL),
	('k1', 'of p', 'ann', 'session', pg_temp.at(2), NULL), ('k2', 'L1', 'of p', 'session', pg_temp.at(2), NULL), ('k3', 'private', 'of p', 'session', pg_temp.at(2), NULL);
SELECT problem, location_id, entries, concerning, :'today' - oldest AS oldest, :'today' - newest AS newest, examples
FROM kinderconnect.attendance_problem WHERE organization_id = 'o' ORDER BY problem COLLATE "C", location_id COLLATE "C";
-- each row that no day says anything of is counted once: all but the good and the old
SELECT (SELECT sum(entries) FROM kinderconnect.attendance_problem) AS entries, (SELECT count(*) FROM regress_attendance.entry WHERE id ~ '^[a-k][0-9]' AND id <> 'i2') AS "all of them",
	(SELECT count(*) FROM kinderconnect.attendance_problem WHERE meaning IS NULL OR what_to_do IS NULL) AS unexplained;
SELECT location_id, reason, detail, what_to_do IS NOT NULL AS explained FROM kinderconnect.preview('o') WHERE state = 'unplaced' ORDER BY reason COLLATE "C", location_id COLLATE "C";
SELECT count(*) AS "not where it is limited" FROM kinderconnect.preview('o', 'A') WHERE state = 'unplaced';
SELECT count(*) AS "of another" FROM kinderconnect.preview('p') WHERE state = 'unplaced';

-- who may look
SET LOCAL ROLE kinderconnect_operator;
SELECT count(*) > 0 AS operator FROM kinderconnect.attendance_problem;
SET LOCAL ROLE kinderconnect_admin;
SELECT count(*) > 0 AS admin, (SELECT count(*) >= 0 FROM kinderconnect.provider_review) AS review FROM kinderconnect.attendance_problem;
SAVEPOINT s;
SET LOCAL ROLE kinderconnect_analyst;
SELECT count(*) FROM kinderconnect.attendance_problem;
ROLLBACK;
