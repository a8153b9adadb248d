-- Binding Manage: each relation with a good query, and what a bad one is told.
\set VERBOSITY default
\set SHOW_CONTEXT never
\set ON_ERROR_ROLLBACK on
BEGIN;
CREATE SCHEMA regress_manage
	CREATE TABLE company (code integer, name varchar(50))
	CREATE TABLE center (company integer, id integer, name text, zip integer, zone text)
	CREATE TABLE student (company integer, id integer, center integer, first text, last text, born date, enrolled boolean)
	CREATE TABLE visit (company integer, center integer, student integer, id integer, what text, arrived timestamptz(0), departed timestamptz, day date, why text, arrived_wall timestamp);
INSERT INTO regress_manage.company VALUES (1, 'Sunshine'), (2, 'Rainbow');
INSERT INTO regress_manage.center VALUES (1, 17, 'Houston', 77002, 'America/Chicago'), (1, 18, 'El Paso', NULL, NULL);
INSERT INTO regress_manage.student VALUES (1, 4711, 17, 'Ana', 'Lee', '2021-02-03', true);
INSERT INTO regress_manage.visit VALUES (1, 17, 4711, 1, 'session', '2026-01-05 08:00-06', '2026-01-05 16:00-06', NULL), (1, 17, NULL, 2, 'closure', NULL, NULL, '2026-01-06');

-- nothing is bound yet
SET LOCAL client_min_messages = warning;
DO $$ DECLARE r text; BEGIN
	FOREACH r IN ARRAY ARRAY['organization', 'location', 'child', 'attendance', 'child_id', 'provider_id'] LOOP
		EXECUTE format('DROP VIEW IF EXISTS kinderconnect.%I', 'manage_' || r);
	END LOOP;
END $$;
SELECT kinderconnect._require_manage();

-- each relation; columns in any order, ids of any type, a column too many, a
-- semicolon or a comment at the end
SELECT kinderconnect.bind_manage('organization', 'SELECT name, code AS organization_id, 1 AS whatever FROM regress_manage.company;  ');
SELECT kinderconnect.bind_manage('location', $$ SELECT company AS organization_id, id AS location_id, name, zip, zone AS time_zone FROM regress_manage.center -- all of them $$);
SELECT kinderconnect._require_manage();
SELECT kinderconnect.bind_manage('child', $$ SELECT company AS organization_id, center AS location_id, id AS child_id, first AS first_name,
	NULL AS middle_name, last AS last_name, NULL AS suffix, born AS date_of_birth, enrolled AS active FROM regress_manage.student $$);
SELECT kinderconnect.bind_manage('attendance', $$ SELECT company AS organization_id, center AS location_id, student AS child_id, id AS attendance_id,
	what AS kind, arrived AS check_in, departed AS check_out, day AS service_date, why AS reason, NULL::timestamptz AS modified_at FROM regress_manage.visit $$);
SELECT kinderconnect._require_manage();
SELECT kinderconnect._is_bound('child_id') AS child_id, kinderconnect._is_bound('provider_id') AS provider_id;
SELECT kinderconnect.bind_manage('child_id', $$ SELECT 1 AS organization_id, 4711 AS child_id, 'TX-28' AS agency_id, '007' AS kinderconnect_child_id $$);
SELECT kinderconnect.bind_manage('provider_id', $$ SELECT 1 AS organization_id, 17 AS location_id, 'TX-28' AS agency_id, 'P1' AS provider_id $$);
SELECT kinderconnect._is_bound('child_id') AS child_id, kinderconnect._is_bound('provider_id') AS provider_id;
SELECT * FROM kinderconnect.manage_organization ORDER BY organization_id COLLATE "C";
SELECT * FROM kinderconnect.manage_location ORDER BY location_id COLLATE "C";
SELECT child_id, kind, location_id FROM kinderconnect.manage_attendance ORDER BY attendance_id COLLATE "C";
-- the views have the columns and types of manage_column, in its order
SELECT c.relation, c.column_name FROM kinderconnect.manage_column c
LEFT JOIN pg_attribute a ON a.attrelid = to_regclass('kinderconnect.manage_' || c.relation) AND a.attname = c.column_name
	AND a.attnum = c.position AND a.atttypid = c.data_type
WHERE a.attnum IS NULL;
SELECT obj_description('kinderconnect.manage_child'::regclass);
-- they do not belong to the extension: pg_dump keeps them
SELECT count(*) AS "members of the extension" FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND c.relname LIKE 'manage\_%' AND c.relkind = 'v';

-- bad ones
SELECT kinderconnect.bind_manage('children', 'SELECT 1');
SELECT kinderconnect.bind_manage(NULL, 'SELECT 1');
SELECT kinderconnect.bind_manage('organization', NULL);
SELECT kinderconnect.bind_manage('organization', '  ');
SELECT kinderconnect.bind_manage('organization', 'SELECT code AS organization_id FROM');
SELECT kinderconnect.bind_manage('organization', 'regress_manage.company');
SELECT kinderconnect.bind_manage('organization', 'SELECT code FROM regress_manage.company');
SELECT kinderconnect.bind_manage('organization', 'SELECT code AS organization_id, name FROM company');
SELECT kinderconnect.bind_manage('organization', 'DELETE FROM regress_manage.company');
SELECT kinderconnect.bind_manage('organization', 'SELECT 1 AS organization_id, 2 AS name) AS q; DROP TABLE regress_manage.company; --');
SELECT kinderconnect.bind_manage('organization', 'SELECT nullif(code, 2) AS organization_id, name FROM regress_manage.company');
SELECT kinderconnect.bind_manage('child', $$ SELECT company AS organization_id, center AS location_id, id AS child_id, first AS first_name,
	NULL AS middle_name, last AS last_name, NULL AS suffix, born::text AS date_of_birth, 1 AS active FROM regress_manage.student $$);
SELECT kinderconnect.bind_manage('child', $$ SELECT company AS organization_id, center AS location_id, id AS child_id, first AS first_name,
	NULL AS middle_name, last AS last_name, NULL AS suffix, born AS date_of_birth, NULL AS active FROM regress_manage.student $$);
SELECT kinderconnect.bind_manage('attendance', $$ SELECT company AS organization_id, center AS location_id, student AS child_id, id AS attendance_id,
	what AS kind, arrived_wall AS check_in, NULL AS check_out, day AS service_date, why AS reason, NULL::timestamptz AS modified_at FROM regress_manage.visit $$);
SELECT kinderconnect.bind_manage('attendance', $$ SELECT company AS organization_id, center AS location_id, student AS child_id, id AS attendance_id,
	upper(what) AS kind, arrived AS check_in, departed AS check_out, day AS service_date, why AS reason, NULL::timestamptz AS modified_at FROM regress_manage.visit $$);
SELECT kinderconnect.bind_manage('location', $$ SELECT company AS organization_id, id AS location_id, name, zip, 'Central' AS time_zone FROM regress_manage.center $$);
SELECT kinderconnect.bind_manage('location', $$ SELECT company AS organization_id, id AS location_id, name, zip, 'CST6CDT' AS time_zone FROM regress_manage.center $$);
SELECT kinderconnect.bind_manage('location', $$ SELECT company AS organization_id, CASE n % 5 WHEN 0 THEN NULL ELSE 'L' || n END AS location_id, 'A' AS name, NULL AS zip,
	'America/Chicago' AS time_zone FROM generate_series(1, 20) n, unnest('{3,1,2,4}'::text[]) company $$);
-- none of them touched what was bound, or left anything behind
SELECT * FROM kinderconnect.manage_organization ORDER BY organization_id COLLATE "C";
SELECT count(*) FROM kinderconnect.manage_location;
SELECT to_regclass('pg_temp.kinderconnect_bind') IS NULL AS "nothing left behind", to_regclass('regress_manage.company') IS NOT NULL AS "still there";

-- bound again: another source
SELECT kinderconnect.bind_manage('organization', $$ SELECT '9' AS organization_id, 'Elsewhere' AS name $$);
SELECT * FROM kinderconnect.manage_organization;

-- An admin who may read the tables binds them, and operators read the views;
-- one who may not cannot.
DROP VIEW kinderconnect.manage_organization, kinderconnect.manage_provider_id;
SET LOCAL ROLE kinderconnect_admin;
SELECT kinderconnect.bind_manage('organization', 'SELECT code AS organization_id, name FROM regress_manage.company');
RESET ROLE;
GRANT USAGE ON SCHEMA regress_manage TO kinderconnect_admin;
GRANT SELECT ON regress_manage.company TO kinderconnect_admin;
SET LOCAL ROLE kinderconnect_admin;
SELECT kinderconnect.bind_manage('organization', 'SELECT code AS organization_id, name FROM regress_manage.company');
SELECT kinderconnect.bind_manage('organization', 'SELECT code AS organization_id, upper(name) AS name FROM regress_manage.company');
-- a view that is another's
SELECT kinderconnect.bind_manage('location', $$ SELECT code AS organization_id, 1 AS location_id, name, NULL AS zip, NULL AS time_zone FROM regress_manage.company $$);
-- a table that is not granted
SELECT kinderconnect.bind_manage('provider_id', $$ SELECT company AS organization_id, id AS location_id, 'TX-28' AS agency_id, 'P1' AS provider_id FROM regress_manage.center $$);
-- nor by the view's owner, when another one binds
RESET ROLE;
SELECT kinderconnect.bind_manage('organization', 'SELECT company AS organization_id, name FROM regress_manage.center');
SET LOCAL ROLE kinderconnect_operator;
SELECT * FROM kinderconnect.manage_organization ORDER BY organization_id COLLATE "C";
SELECT FROM regress_manage.company;
SET LOCAL ROLE kinderconnect_analyst;
SELECT FROM kinderconnect.manage_organization;

-- What is told of the rows, not refused: how many, and examples by key.
SET LOCAL ROLE NONE;
CREATE TABLE regress_manage.odd (company text, site text, kid text, name text, zip text, first text, last text, born date,
	what text, arrived timestamptz, departed timestamptz, day date, id integer);
CREATE FUNCTION regress_manage.odd_location() RETURNS text LANGUAGE sql
	RETURN kinderconnect.bind_manage('location', 'SELECT company AS organization_id, site AS location_id, name, zip, ''America/Chicago'' AS time_zone FROM regress_manage.odd');
CREATE FUNCTION regress_manage.odd_child() RETURNS text LANGUAGE sql
	RETURN kinderconnect.bind_manage('child', 'SELECT company AS organization_id, site AS location_id, kid AS child_id, first AS first_name, NULL AS middle_name,
		last AS last_name, NULL AS suffix, born AS date_of_birth, true AS active FROM regress_manage.odd');
CREATE FUNCTION regress_manage.odd_attendance() RETURNS text LANGUAGE sql
	RETURN kinderconnect.bind_manage('attendance', 'SELECT company AS organization_id, site AS location_id, kid AS child_id, id AS attendance_id, what AS kind,
		arrived AS check_in, departed AS check_out, day AS service_date, NULL AS reason, NULL::timestamptz AS modified_at FROM regress_manage.odd');
INSERT INTO regress_manage.odd (company, site, name, zip) VALUES ('1', '17', 'Houston', '77002-0001'), ('1', '18', ' ', '2116'), ('1', '19', NULL, '77002'),
	('1', '20', 'Twice', NULL), ('1', '20', 'Twice', '');
SELECT regress_manage.odd_location();
TRUNCATE regress_manage.odd;
INSERT INTO regress_manage.odd (company, site, kid, first, last, born) VALUES
	('1', '17', 'good', 'Ana', 'Lee', '2021-02-03'), ('1', NULL, 'nowhere', 'Ana', 'Lee', '2021-02-03'),
	('1', '17', 'no birth date', 'Ana', 'Lee', NULL), ('1', '17', 'no first', '''', 'Lee', '2021-02-03'), ('1', '17', 'no last', 'Ana', NULL, '2021-02-03'),
	('1', '17', 'unborn', 'Ana', 'Lee', current_date + 20), ('1', '17', 'ancient', 'Ana', 'Lee', '0021-02-03'), ('1', '17', 'old', 'Ana', 'Lee', current_date - 36000),
	('1', '99', 'elsewhere', 'Ana', 'Lee', '2021-02-03'), ('2', '17', 'elsewhere', 'Ana', 'Lee', '2021-02-03'),
	('1', '17', 'twice', 'Ana', 'Lee', '2021-02-03'), ('1', '18', 'twice', 'Ana', 'Lee', '2021-02-03'), ('2', NULL, 'twice', 'Ana', 'Lee', '2021-02-03');
SELECT regress_manage.odd_child();
TRUNCATE regress_manage.odd;
INSERT INTO regress_manage.odd (company, site, kid, what, arrived, departed, day, id) VALUES
	('1', '17', 'good', 'session', '2026-01-05 08:00-06', '2026-01-05 16:00-06', NULL, 1),
	('1', '17', 'good', 'session', '2026-01-06 08:00-06', NULL, NULL, 2), ('1', '17', 'good', 'session', NULL, '2026-01-07 16:00-06', NULL, 3),
	('1', '17', 'good', 'session', NULL, NULL, NULL, 4),
	('1', '17', 'good', 'session', '2026-01-08 16:00-06', '2026-01-08 08:00-06', NULL, 5), ('1', '17', 'good', 'session', '2026-01-09 16:00-06', '2026-01-08 08:00-06', NULL, 6),
	('1', '17', 'good', 'session', '2026-01-12 08:00-06', '2026-01-13 08:01-06', NULL, 7), ('1', '17', 'good', 'session', '2026-01-14 08:00-06', '2026-01-15 08:00-06', NULL, 8),
	('1', '17', 'good', 'session', now() + interval '2 days', NULL, NULL, 9), ('1', '17', 'good', 'session', now() + interval '3 hours', NULL, NULL, 10),
	('1', '17', 'good', 'absence', NULL, NULL, '2026-01-16', 11), ('1', '17', 'good', 'absence', NULL, NULL, NULL, 12),
	('1', '17', NULL, 'closure', NULL, NULL, '2026-01-16', 13), ('1', '17', NULL, 'closure', NULL, NULL, NULL, 14),
	('1', '17', NULL, 'session', '2026-01-05 08:00-06', '2026-01-05 16:00-06', NULL, 15), ('1', '17', NULL, 'absence', NULL, NULL, '2026-01-16', 16),
	('1', '17', 'good', 'session', '2026-01-19 08:00-06', '2026-01-19 16:00-06', NULL, 17), ('1', '17', 'good', 'session', '2026-01-19 08:00-06', '2026-01-19 16:00-06', NULL, 17);
SELECT regress_manage.odd_attendance();
-- where locations and children are known, one that is not is told
SELECT kinderconnect.bind_manage('location', $$ SELECT '1' AS organization_id, '17' AS location_id, 'Houston' AS name, NULL AS zip, NULL AS time_zone $$);
SELECT kinderconnect.bind_manage('child', $$ SELECT '1' AS organization_id, v.site AS location_id, v.id AS child_id, 'Ana' AS first_name, NULL AS middle_name,
	'Lee' AS last_name, NULL AS suffix, '2021-02-03'::date AS date_of_birth, true AS active
	FROM (VALUES ('17', 'good'), ('18', 'elsewhere'), (NULL, 'nowhere')) v(site, id) $$);
DELETE FROM regress_manage.odd WHERE id > 1;
INSERT INTO regress_manage.odd (company, site, kid, what, arrived, departed, day, id) VALUES
	('1', '18', 'good', 'session', '2026-01-05 08:00-06', '2026-01-05 16:00-06', NULL, 2), ('1', '17', 'bad', 'session', '2026-01-05 08:00-06', '2026-01-05 16:00-06', NULL, 3),
	('2', '17', NULL, 'closure', NULL, NULL, '2026-01-16', 4);
SELECT regress_manage.odd_attendance();
SELECT kinderconnect.bind_manage('child_id', $$ SELECT '1' AS organization_id, v.child AS child_id, v.agency AS agency_id, v.id AS kinderconnect_child_id
	FROM (VALUES ('a', 'A', '1'), ('b', 'A', '1'), ('a', 'B', '1'), ('c', 'A', '2')) v(child, agency, id) $$);
SELECT kinderconnect.bind_manage('provider_id', $$ SELECT '1' AS organization_id, v.site AS location_id, v.agency AS agency_id, v.id AS provider_id
	FROM (VALUES ('17', 'A', 'P1'), ('17', 'B', 'P1'), ('18', 'B', 'P1'), ('17', 'C', 'P2'), ('17', 'C', 'P2')) v(site, agency, id) $$);
-- an id is text, or written like text
SELECT kinderconnect.bind_manage('organization', $$ SELECT '6fbd4e3e-8a77-4f7c-9d2a-000000000001'::uuid AS organization_id, 'x'::varchar(9) AS name $$);
SELECT kinderconnect.bind_manage('organization', $$ SELECT true AS organization_id, now() AS name $$);
SELECT kinderconnect.bind_manage('organization', $$ SELECT '{1}'::text[] AS organization_id, '\x00'::bytea AS name $$);
-- what PostgreSQL says of a row is not repeated
SELECT kinderconnect.bind_manage('child', $$ SELECT '1' AS organization_id, '17' AS location_id, '1' AS child_id, first_name, NULL AS middle_name,
	'Lee' AS last_name, NULL AS suffix, first_name::date AS date_of_birth, true AS active FROM (VALUES ('Ana')) v(first_name) $$);

-- Bound again while nights rest on it: links, locations and accepted days.
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
VALUES ('regress_manage', 'kinderbridge', 'http://127.0.0.1:1', 'http://127.0.0.1:1/t', 'c', 's');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, enabled, first_enabled) VALUES
	('1', 'regress_manage', 'G', 'p', true, '2026-01-01'), ('off', 'regress_manage', 'G', 'p', false, '2026-01-01');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, enabled, configured_location_id, found_location_id) VALUES
	('1', 'A', 'P1', true, true, '17', NULL), ('1', 'A', 'P2', false, true, NULL, '18'), ('1', 'A', 'P3', true, false, 'gone', NULL), ('off', 'A', 'P1', true, true, 'gone', NULL);
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized)
SELECT o, 'A', id, 'Ana ' || id, 'Lee', '2021-02-03', true FROM (VALUES ('1', 'k1'), ('1', 'k2'), ('1', 'k3'), ('1', 'k4'), ('off', 'k1')) v(o, id);
INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, flag, ended_at, ended_by) VALUES
	('1', 'A', 'k1', 'm1', 'person', NULL, NULL, NULL), ('1', 'A', 'k2', 'm2', 'person', NULL, NULL, NULL),
	('1', 'A', 'k3', 'gone', 'person', 'child_gone', NULL, NULL), ('1', 'A', 'k4', 'parted', 'person', NULL, now(), 'x'), ('off', 'A', 'k1', 'm9', 'person', NULL, NULL, NULL);
INSERT INTO kinderconnect.child_day (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, child_id, state, kind, content, basis,
	record_id, accepted_kind, accepted_content, accepted_record_id, accepted_at)
SELECT '1', 'A', 'P1', k, current_date - ago, true, m, 'accepted', 'session', '08:00-16:00', 'b', 'r', 'session', '08:00-16:00', 'r', now()
FROM (VALUES ('k1', 'm1', 3), ('k1', 'm1', 4), ('k2', 'm2', 3), ('k3', 'm3', 300)) v(k, m, ago);
CREATE FUNCTION regress_manage.rebind(relation text, ids text[], first text DEFAULT 'Ana k1', last text DEFAULT 'Lee', born date DEFAULT '2021-02-03') RETURNS text LANGUAGE sql AS $$
	SELECT kinderconnect.bind_manage(relation, CASE relation
		WHEN 'location' THEN format('SELECT ''1'' AS organization_id, i AS location_id, ''x '' || i AS name, NULL AS zip, NULL AS time_zone FROM unnest(%L::text[]) i', ids)
		WHEN 'child' THEN format('SELECT ''1'' AS organization_id, NULL AS location_id, i AS child_id, %L AS first_name, NULL AS middle_name, %L AS last_name,
			NULL AS suffix, %L::date AS date_of_birth, true AS active FROM unnest(%L::text[]) i', first, last, born, ids)
		ELSE format('SELECT ''1'' AS organization_id, ''17'' AS location_id, i AS child_id, i AS attendance_id, ''absence'' AS kind, NULL::timestamptz AS check_in,
			NULL::timestamptz AS check_out, current_date - 3 AS service_date, NULL AS reason, NULL::timestamptz AS modified_at FROM unnest(%L::text[]) i', ids) END)
$$;
-- all there; some there; none there, which is refused and changes nothing
SELECT regress_manage.rebind('location', '{17,18,19}');
SELECT regress_manage.rebind('location', '{17}');
SELECT regress_manage.rebind('location', '{0017,0018}');
SELECT location_id FROM kinderconnect.manage_location;
SELECT regress_manage.rebind('child', '{m1,m2,m3}');
SELECT regress_manage.rebind('child', '{m2,m3}');
SELECT regress_manage.rebind('child', '{1,2,3}');
-- the same ids of other children: the birth date and one name have to agree,
-- as for a link
SELECT regress_manage.rebind('child', '{m1,m2}', born => '2021-02-04');
SELECT regress_manage.rebind('child', '{m1,m2}', first => 'Bo');
SELECT regress_manage.rebind('child', '{m1,m2}', first => 'Bo', last => 'Day');
SELECT string_agg(child_id, ' ' ORDER BY child_id COLLATE "C") FROM kinderconnect.manage_child;
SELECT regress_manage.rebind('attendance', '{m1,m2}');
SELECT regress_manage.rebind('attendance', '{m1,m3}');
SELECT regress_manage.rebind('attendance', '{m3}');
SELECT regress_manage.rebind('attendance', '{}');
SELECT count(*) FROM kinderconnect.manage_attendance;
-- who means it drops the view first, and is warned
DROP VIEW kinderconnect.manage_child;
SELECT regress_manage.rebind('child', '{1,2,3}');
ROLLBACK;
