-- What an administrator enters, and what each role may do.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\set ON_ERROR_ROLLBACK on
BEGIN;
SET LOCAL client_min_messages = warning;
TRUNCATE kinderconnect.endpoint CASCADE;

-- An endpoint is https, or http to this machine alone, and has no place for
-- credentials, a query or a fragment.
SELECT url FROM unnest(ARRAY['https://api.example.com', 'https://api.example.com:8443/v1', 'https://[2001:db8::1]/x', 'http://127.0.0.1:8080',
	'http://localhost', 'http://[::1]:9/x', 'https://api.example.com/a@b']) url
WHERE url !~ (SELECT substring(pg_get_constraintdef(oid) FROM '''(.*)''::text') FROM pg_constraint WHERE conname = 'endpoint_base_url_is_https');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'http://api.example.com');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'http://127.0.0.1.example.com');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'http://localhost@example.com');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'http://127.0.0.1:80@example.com');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'https://user:pass@example.com');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'https://user@example.com');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'https://example.com/?key=1');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'https://example.com#x');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'http://127.0.0.1?@example.com');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'ftp://example.com');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'file:///etc/passwd');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'https://');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'https:///x');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', 'https://example.com/a b');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', E'https://example.com\n');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'kinderbridge', '');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('x', 'no such dialect', 'https://example.com');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('', 'kinderbridge', 'https://example.com');
INSERT INTO kinderconnect.endpoint VALUES ('x', 'kinderbridge', 'https://example.com', 'http://example.com/token', NULL, 'c', 's');
INSERT INTO kinderconnect.endpoint VALUES ('x', 'kinderbridge', 'https://example.com', 'https://u:p@example.com/token', NULL, 'c', 's');
INSERT INTO kinderconnect.endpoint VALUES ('x', 'kinderbridge', 'https://example.com', 'https://example.com/token?tenant=1', NULL, 'c', 's');
INSERT INTO kinderconnect.endpoint VALUES ('x', 'kinderbridge', 'https://example.com', 'https://example.com/token');
INSERT INTO kinderconnect.endpoint VALUES ('x', 'kinderbridge', 'https://example.com', NULL, NULL, 'c', 's');
INSERT INTO kinderconnect.endpoint VALUES ('x', 'kinderbridge', 'https://example.com', 'https://example.com/token', NULL, 'c', NULL);

-- Without an endpoint, or with two, it has to be named.
SELECT kinderconnect.set_secret('regress.group', 'sunflower');
SELECT kinderconnect.set_secret('group_regress', 'sunflower');
SELECT kinderconnect.enable_integration('regress', 'G-1', 'regress.group');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('regress', 'kinderbridge', 'https://example.com');
SAVEPOINT one;
SELECT kinderconnect.enable_integration('regress', 'G-1', 'regress.group');
SELECT endpoint FROM kinderconnect.organization;
ROLLBACK TO one;
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('regress 2', 'kinderbridge', 'https://example.com');
SELECT kinderconnect.enable_integration('regress', 'G-1', 'regress.group');
SELECT kinderconnect.enable_integration('regress', 'G-1', 'regress.group', 'regress 3');
SELECT kinderconnect.enable_integration(NULL, 'G-1', 'regress.group', 'regress');
SELECT kinderconnect.enable_integration(' ', 'G-1', 'regress.group', 'regress');
SELECT kinderconnect.enable_integration('regress', NULL, 'regress.group', 'regress');
SELECT kinderconnect.enable_integration('regress', '', 'regress.group', 'regress');
SELECT kinderconnect.enable_integration('regress', 'G-1', 'regress.group', 'regress', backfill_days => -1);
SELECT kinderconnect.enable_integration('regress', 'G-1', 'regress.group', 'regress', backfill_days => 367);
SELECT kinderconnect.enable_integration('regress', 'G-1', 'regress.group', 'regress', sends => NULL);
-- who passes the password itself does not find it in the server's log
\set VERBOSITY default
SELECT kinderconnect.enable_integration('regress', 'G-1', 'tr0ub4dor', 'regress');
SELECT kinderconnect.enable_integration('regress', 'G-1', 'correct horse: battery staple', 'regress');
SELECT kinderconnect.enable_integration('regress', 'G-1', repeat('tr0ub4dor', 30), 'regress');
SELECT kinderconnect.enable_integration('other', 'G-1', endpoint => 'regress');
SELECT kinderconnect.enable_integration('Sunshine Kids', 'G-1', endpoint => 'regress');
\set VERBOSITY terse
SELECT kinderconnect.enable_integration(NULL, NULL, 'tr0ub4dor', 'nowhere');
-- nor an organization by a name that only looks like it
SELECT kinderconnect.enable_integration(' regress', 'G-1', 'regress.group', 'regress');
SELECT kinderconnect.enable_integration(E'regress\n', 'G-1', 'regress.group', 'regress');
SELECT kinderconnect.enable_integration(E'reg\tress', 'G-1', 'regress.group', 'regress');
SAVEPOINT bound;
SELECT kinderconnect.bind_manage('organization', $$ SELECT 'regress' AS organization_id, 'Sunshine' AS name UNION ALL SELECT 'trailing ', NULL $$);
\set VERBOSITY default
SELECT kinderconnect.enable_integration('regres', 'G-1', 'regress.group', 'regress');
\set VERBOSITY terse
SELECT kinderconnect.enable_integration('trailing', 'G-1', 'regress.group', 'regress');
SELECT kinderconnect.enable_integration('trailing ', 'G-1', 'regress.group', 'regress');
SET LOCAL ROLE kinderconnect_admin;
SELECT kinderconnect.enable_integration('regress', 'G-1', 'regress.group', 'regress');
RESET ROLE;
SELECT organization_id FROM kinderconnect.organization ORDER BY 1;
-- who was enabled before Manage was bound
\set VERBOSITY default
SELECT kinderconnect.bind_manage('organization', $$ SELECT 'regress' AS organization_id, 'Sunshine' AS name $$);
SELECT kinderconnect.bind_manage('organization', $$ SELECT 'another' AS organization_id, 'Sunshine' AS name $$);
\set VERBOSITY terse
ROLLBACK TO bound;
SELECT count(*) AS "none of these was entered" FROM kinderconnect.organization WHERE organization_id IN ('regress', 'other');

-- defaults
SELECT kinderconnect.enable_integration('regress', 'G-1', endpoint => 'regress');
SELECT endpoint, group_id, group_password, enabled, first_enabled = (now() AT TIME ZONE 'Pacific/Honolulu')::date AS "first enabled today", backfill_days, adopt_providers
FROM kinderconnect.organization WHERE organization_id = 'regress';
-- its day is that of its westernmost clock; of these two the dates always differ
SAVEPOINT bound;
SELECT kinderconnect.bind_manage('organization', $$ SELECT o AS organization_id, 'Sunshine' AS name FROM unnest('{regress,regress_2}'::text[]) o $$);
CREATE TABLE public.regress_site (organization_id text, location_id text, time_zone text);
INSERT INTO public.regress_site VALUES ('regress', 'L1', 'Pacific/Kiritimati'), ('regress', 'L2', 'Pacific/Kiritimati'), ('regress_2', 'L3', 'Pacific/Honolulu');
SELECT kinderconnect.bind_manage('location', $$ SELECT organization_id, location_id, 'Main Street' AS name, NULL AS address, NULL AS zip, time_zone, NULL AS agency_id, NULL AS provider_id FROM public.regress_site $$);
CREATE FUNCTION public.regress_start() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM kinderconnect.organization;
	SET LOCAL ROLE kinderconnect_admin;
	PERFORM kinderconnect.enable_integration('regress', 'G-1', endpoint => 'regress');
	RESET ROLE;
	RETURN (SELECT CASE first_enabled WHEN (now() AT TIME ZONE 'Pacific/Kiritimati')::date THEN 'first' WHEN (now() AT TIME ZONE 'Pacific/Honolulu')::date THEN 'last' END
		FROM kinderconnect.organization);
END;
$$;
SELECT public.regress_start() AS "its own";
INSERT INTO public.regress_site VALUES ('regress', 'L4', 'Pacific/Honolulu');
SELECT public.regress_start() AS "the westernmost";
UPDATE public.regress_site SET time_zone = NULL WHERE location_id = 'L4';
SELECT public.regress_start() AS "it may be any";
DELETE FROM public.regress_site;
SELECT public.regress_start() AS "none";
ROLLBACK TO bound;
-- enabled again with something else: only the day of the first time stays
UPDATE kinderconnect.organization SET first_enabled = '2026-01-02' WHERE organization_id = 'regress';
SELECT kinderconnect.disable_integration('regress');
SELECT enabled FROM kinderconnect.organization WHERE organization_id = 'regress';
SELECT kinderconnect.enable_integration('regress', 'G-2', 'regress.group', 'regress 2', 0, false);
SELECT endpoint, group_id, group_password, enabled, to_char(first_enabled, 'YYYY-MM-DD') AS first_enabled, backfill_days, adopt_providers
FROM kinderconnect.organization WHERE organization_id = 'regress';
-- and what is sent and adopted, where they are left out
SELECT kinderconnect.disable_integration('regress');
SELECT kinderconnect.enable_integration('regress', 'G-3', 'regress.group', 'regress 2');
SELECT group_id, enabled, sends, backfill_days, adopt_providers FROM kinderconnect.organization WHERE organization_id = 'regress';
SELECT kinderconnect.disable_integration('nobody');
SELECT kinderconnect.disable_integration(NULL);

-- providers
SELECT kinderconnect.add_provider('nobody', 'TX-28', 'P1');
SELECT kinderconnect.add_provider('regress', NULL, 'P1');
SELECT kinderconnect.add_provider('regress', 'TX-28', ' ');
SELECT kinderconnect.add_provider('regress', 'TX-28 ', 'P1');
SELECT kinderconnect.add_provider('regress', 'TX-28', E'P1\n');
SELECT kinderconnect.enable_integration('regress', E'\tG-2', 'regress.group', 'regress 2');
SELECT kinderconnect.add_provider('regress', 'TX-28', 'P1', '');
SELECT kinderconnect.add_provider('regress', 'TX-28', 'P1');
-- an agency that was entered by mistake is deleted; one that has providers is not
SAVEPOINT agency;
SET LOCAL ROLE kinderconnect_admin;
INSERT INTO kinderconnect.agency (agency_id, state) VALUES ('TX-28', 'TX'), ('TX-82', 'TX');
DELETE FROM kinderconnect.agency WHERE agency_id = 'TX-82' RETURNING agency_id;
\set VERBOSITY default
DELETE FROM kinderconnect.agency WHERE agency_id = 'TX-28';
\set VERBOSITY terse
SELECT kinderconnect.disable_provider('regress', 'TX-28', 'P1');
DELETE FROM kinderconnect.agency WHERE agency_id = 'TX-28' RETURNING agency_id;
ROLLBACK TO agency;
SELECT kinderconnect.add_provider('regress', 'TX-28', '007', '17');
SELECT kinderconnect.bind_manage('location', $$ SELECT 'regress' AS organization_id, 17 AS location_id, 'Site' AS name, NULL AS zip, NULL AS time_zone
	UNION ALL SELECT 'another', 18, 'Site', NULL, NULL $$);
\set VERBOSITY default
SELECT kinderconnect.add_provider('regress', 'TX-28', 'P2', '18');
\set VERBOSITY terse
SELECT kinderconnect.add_provider('regress', 'TX-28', 'P2', '17');
SELECT kinderconnect.disable_provider('regress', 'TX-28', 'P2');
SELECT kinderconnect.disable_provider('regress', 'TX-28', 'P3');
SELECT kinderconnect.disable_provider('regress', NULL, 'P2');
SELECT provider_id, configured, enabled, configured_location_id, found_location_id, location_id FROM kinderconnect.provider
WHERE organization_id = 'regress' ORDER BY provider_id COLLATE "C";
-- added again: on, and with the location said now
SELECT kinderconnect.add_provider('regress', 'TX-28', 'P2');
SELECT provider_id, configured, enabled, location_id FROM kinderconnect.provider WHERE organization_id = 'regress' AND provider_id = 'P2';
-- what a function is limited by has to be there, and to be a period
SELECT kinderconnect.retry('regress', 'TX-29');
SELECT kinderconnect.retry('regress', 'TX-28', 'P22');
SELECT kinderconnect.retry('regress', provider_id => 'P22');
SELECT kinderconnect.retry('regress', 'TX-28', 'P2', NULL, '2026-03-02', '2026-03-01');
SELECT kinderconnect.preview('regress', 'TX-29');
SELECT kinderconnect.preview('regress', 'TX-28', 'P22');
SELECT kinderconnect.preview(agency_id => 'TX-29');
SELECT kinderconnect.preview(agency_id => 'TX-29', provider_id => 'P2');
SELECT kinderconnect.preview(from_date => '2026-03-02', to_date => '2026-03-01');
SELECT kinderconnect.reconcile('regress', '2026-03-01', '2026-03-02', 'TX-29');
SELECT kinderconnect.reconcile('regress', '2026-03-02', '2026-03-01', 'TX-29');
SELECT kinderconnect.retry('regress', 'TX-28', 'P2', NULL, '2026-03-01', '2026-03-01') AS "nothing to do";
-- a found location counts until one is configured, which wins
UPDATE kinderconnect.provider SET found_location_id = '16' WHERE organization_id = 'regress';
SELECT provider_id, location_id FROM kinderconnect.provider WHERE organization_id = 'regress' ORDER BY provider_id COLLATE "C";

-- agencies entered by hand: a zone that this server does not know would stop
-- every clock, and an abbreviation is no zone
\set VERBOSITY default
INSERT INTO kinderconnect.agency (agency_id, state, time_zone) VALUES ('MO-1', 'MO', 'Central');
\set VERBOSITY terse
INSERT INTO kinderconnect.agency (agency_id, state, time_zone) VALUES ('MO-1', 'MO', '');
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('MO-1', ' America/Chicago');
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('MO-1', 'America/Chcago');
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('MO-1', 'CDT');
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('MO-1', '-6');
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('MO-1', 'default');
SET LOCAL timezone = 'Asia/Kathmandu';
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('MO-1', 'America/Chicago'), ('MO-2', NULL), ('MO-3', '<S>6<D>5,59/0,300/2');
UPDATE kinderconnect.agency SET time_zone = 'Central' WHERE agency_id = 'MO-1';
UPDATE kinderconnect.agency SET state = 'MO', time_zone = NULL WHERE agency_id = 'MO-1';
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('MO-1', 'Central') ON CONFLICT (agency_id) DO UPDATE SET time_zone = excluded.time_zone;
SELECT agency_id, time_zone FROM kinderconnect.agency WHERE agency_id ~ '^MO' ORDER BY agency_id COLLATE "C";
SHOW timezone;

-- Each role does what is its own, and nothing of the next.
CREATE FUNCTION pg_temp.may(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	BEGIN
		EXECUTE statement;
		RAISE EXCEPTION USING ERRCODE = 'KCOKY';
	EXCEPTION WHEN insufficient_privilege THEN RETURN 'refused';
		WHEN OTHERS THEN RETURN CASE WHEN SQLSTATE = 'KCOKY' THEN 'yes' ELSE SQLSTATE || ' ' || SQLERRM END;
	END;
END;
$$;
CREATE TEMPORARY TABLE deed (n serial, statement text);
GRANT SELECT ON deed TO PUBLIC;
INSERT INTO deed (statement) VALUES
	('SELECT FROM kinderconnect.child_day'), ('SELECT FROM kinderconnect.ledger'), ('SELECT FROM kinderconnect.provider_summary'),
	('SELECT FROM kinderconnect.held_summary'), ('SELECT FROM kinderconnect.unlinked_child'), ('SELECT FROM kinderconnect.run'),
	('SELECT kinderconnect.fold(''x'')'),
	('SELECT FROM kinderconnect.endpoint'), ('SELECT FROM kinderconnect.provider_review'), ('SELECT FROM kinderconnect.manage_location'),
	('SELECT kinderconnect.accept_shrink(''regress'')'), ('SELECT kinderconnect.retry(''regress'')'),
	('SELECT kinderconnect._match_providers(''regress'')'), ('SELECT kinderconnect._recover(''regress'')'),
	('UPDATE kinderconnect.child_day SET state = state'), ('UPDATE kinderconnect.ledger SET state = state'),
	('DELETE FROM kinderconnect.ledger'), ('DELETE FROM kinderconnect.child_day'), ('DELETE FROM kinderconnect.child_link'),
	('TRUNCATE kinderconnect.run CASCADE'),
	('UPDATE kinderconnect.provider SET enabled = enabled'), ('UPDATE kinderconnect.provider SET configured_location_id = NULL'),
	('SELECT kinderconnect.enable_integration(''regress'', ''G-3'', ''regress.group'', ''regress'')'),
	('SELECT kinderconnect.disable_integration(''regress'')'),
	('SELECT kinderconnect.add_provider(''regress'', ''TX-28'', ''P9'', ''17'')'), ('SELECT kinderconnect.disable_provider(''regress'', ''TX-28'', ''P1'')'),
	('INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES (''y'', ''kinderbridge'', ''https://example.com'')'),
	('UPDATE kinderconnect.organization SET enabled = enabled'),
	('INSERT INTO kinderconnect.absence_reason VALUES (''regress'', ''sick'', ''S'')'), ('DELETE FROM kinderconnect.agency_rule'),
	('SELECT kinderconnect.bind_manage(''organization'', ''SELECT 1 AS organization_id, 2 AS name'')'),
	('SELECT kinderconnect._has_secret(''regress.group'')'), ('SELECT kinderconnect.set_secret(''regress.other'', ''x'')'),
	('SELECT pg_read_file(''kinderconnect.secrets'')'),
	('UPDATE kinderconnect.reason SET meaning = meaning'), ('UPDATE kinderconnect.rule SET meaning = meaning'),
	('CREATE TABLE kinderconnect.mine ()'), ('DROP TABLE kinderconnect.run'), ('ALTER TABLE kinderconnect.run ADD c integer');
SELECT statement, pg_temp.may('kinderconnect_analyst', statement) AS analyst, pg_temp.may('kinderconnect_operator', statement) AS operator,
	pg_temp.may('kinderconnect_admin', statement) AS admin
FROM deed ORDER BY n;
ROLLBACK;
SELECT kinderconnect.remove_secret(name) FROM unnest(ARRAY['regress.group', 'group_regress', 'regress.other']) name;
