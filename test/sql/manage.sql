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
SELECT kinderconnect.bind_manage('organization', 'SELECT code FROM regress_manage.company');
SELECT kinderconnect.bind_manage('organization', 'SELECT code AS organization_id, name FROM company');
SELECT kinderconnect.bind_manage('organization', 'DELETE FROM regress_manage.company');
SELECT kinderconnect.bind_manage('organization', 'SELECT 1 AS organization_id, 2 AS name) AS q; DROP TABLE regress_manage.company; --');
SELECT kinderconnect.bind_manage('organization', 'SELECT nullif(code, 2) AS organization_id, name FROM regress_manage.company');
SELECT kinderconnect.bind_manage('child', $$ SELECT company AS organization_id, center AS location_id, id AS child_id, first AS first_name,
	NULL AS middle_name, last AS last_name, NULL AS suffix, born::text AS date_of_birth, 1 AS active FROM regress_manage.student $$);
SELECT kinderconnect.bind_manage('attendance', $$ SELECT company AS organization_id, center AS location_id, student AS child_id, id AS attendance_id,
	what AS kind, arrived_wall AS check_in, NULL AS check_out, day AS service_date, why AS reason, NULL::timestamptz AS modified_at FROM regress_manage.visit $$);
SELECT kinderconnect.bind_manage('attendance', $$ SELECT company AS organization_id, center AS location_id, student AS child_id, id AS attendance_id,
	upper(what) AS kind, arrived AS check_in, departed AS check_out, day AS service_date, why AS reason, NULL::timestamptz AS modified_at FROM regress_manage.visit $$);
SELECT kinderconnect.bind_manage('location', $$ SELECT company AS organization_id, id AS location_id, name, zip, 'Central' AS time_zone FROM regress_manage.center $$);
SELECT kinderconnect.bind_manage('location', $$ SELECT company AS organization_id, id AS location_id, name, zip, 'CST6CDT' AS time_zone FROM regress_manage.center $$);
-- none of them touched what was bound, or left anything behind
SELECT * FROM kinderconnect.manage_organization ORDER BY organization_id COLLATE "C";
SELECT count(*) FROM kinderconnect.manage_location;
SELECT to_regclass('pg_temp.kinderconnect_bind') IS NULL AS "nothing left behind", to_regclass('regress_manage.company') IS NOT NULL AS "still there";

-- bound again: another source
SELECT kinderconnect.bind_manage('organization', $$ SELECT '9' AS organization_id, 'Elsewhere' AS name $$);
SELECT * FROM kinderconnect.manage_organization;

-- An admin who may read the tables binds them, and operators read the views;
-- one who may not cannot.
DROP VIEW kinderconnect.manage_organization;
SET LOCAL ROLE kinderconnect_admin;
SELECT kinderconnect.bind_manage('organization', 'SELECT code AS organization_id, name FROM regress_manage.company');
RESET ROLE;
GRANT USAGE ON SCHEMA regress_manage TO kinderconnect_admin;
GRANT SELECT ON regress_manage.company TO kinderconnect_admin;
SET LOCAL ROLE kinderconnect_admin;
SELECT kinderconnect.bind_manage('organization', 'SELECT code AS organization_id, name FROM regress_manage.company');
SELECT kinderconnect.bind_manage('organization', 'SELECT code AS organization_id, upper(name) AS name FROM regress_manage.company');
-- a table that is not granted
SELECT kinderconnect.bind_manage('provider_id', $$ SELECT company AS organization_id, id AS location_id, 'TX-28' AS agency_id, 'P1' AS provider_id FROM regress_manage.center $$);
SET LOCAL ROLE kinderconnect_operator;
SELECT * FROM kinderconnect.manage_organization ORDER BY organization_id COLLATE "C";
SELECT FROM regress_manage.company;
SET LOCAL ROLE kinderconnect_analyst;
SELECT FROM kinderconnect.manage_organization;
ROLLBACK;
