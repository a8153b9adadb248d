-- test_connection(): the real calls, row by row, each fault named apart from
-- the others.
\set organization regress_connection
\set ECHO none
\i test/lib/service.sql
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION pg_temp.test(change text DEFAULT 'SELECT 1') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	rows text[];
BEGIN
	BEGIN
		EXECUTE change;
		SELECT array_agg(replace(regexp_replace(concat_ws(E'\n    ', format('%s %s, %s: %s', CASE WHEN t.ok THEN '+' ELSE '-' END, t.step, t.subject, t.message), t.hint),
				'libcurl says: [^\n]*', 'libcurl says: ...'), current_setting('regress.simulator'), 'SIMULATOR') ORDER BY n)
		INTO rows FROM kinderconnect.test_connection('regress_connection') WITH ORDINALITY AS t (step, subject, ok, message, hint, n);
		-- the change is undone
		RAISE EXCEPTION USING ERRCODE = 'KC999';
	EXCEPTION WHEN SQLSTATE 'KC999' THEN
		RETURN QUERY SELECT unnest(rows);
	END;
END
$$;

-- All is well; no provider yet.
SELECT pg_temp.test();

-- A provider whose location is known, one whose is not, one that is disabled,
-- and one that the group does not have.
SELECT kinderconnect.add_provider('regress_connection', 'TX-28', 'P55501', 'houston');
SELECT kinderconnect.add_provider('regress_connection', 'MO-1', 'P29001');
SELECT kinderconnect.add_provider('regress_connection', 'LA-1', 'P70001');
SELECT kinderconnect.disable_provider('regress_connection', 'LA-1', 'P70001');
SELECT kinderconnect.add_provider('regress_connection', 'TX-28', 'P55502', 'el paso');
SELECT pg_temp.test();

-- Secrets that are not there, and those that are wrong.
SELECT pg_temp.test($$ UPDATE kinderconnect.organization SET group_password = 'regress.absent' WHERE organization_id = 'regress_connection' $$);
SELECT pg_temp.test($$ UPDATE kinderconnect.endpoint SET client_secret = 'regress.absent' WHERE endpoint = 'regress' $$);
SELECT pg_temp.test($$ UPDATE kinderconnect.organization SET group_password = 'regress.wrong' WHERE organization_id = 'regress_connection' $$);
SELECT pg_temp.test($$ UPDATE kinderconnect.organization SET group_id = 'G-MOON' WHERE organization_id = 'regress_connection' $$);
SELECT pg_temp.test($$ UPDATE kinderconnect.endpoint SET client_secret = 'regress.wrong' WHERE endpoint = 'regress' $$);

-- A name that is none: the call says whose, and does not repeat it.
\set SHOW_CONTEXT never
SAVEPOINT name;
UPDATE kinderconnect.organization SET group_password = 'regress.wrong ' WHERE organization_id = 'regress_connection';
SELECT * FROM kinderconnect.api_customers('regress_connection');
ROLLBACK TO name;
SAVEPOINT name;
UPDATE kinderconnect.endpoint SET client_secret = ' regress.wrong' WHERE endpoint = 'regress';
SELECT * FROM kinderconnect.api_customers('regress_connection');
ROLLBACK TO name;

-- Nobody there, or somebody else.
SELECT pg_temp.test($$ UPDATE kinderconnect.organization SET endpoint = 'regress.nowhere' WHERE organization_id = 'regress_connection' $$);
SELECT pg_temp.test($$ UPDATE kinderconnect.endpoint SET base_url = base_url || '/v2' WHERE endpoint = 'regress' $$);
\! test/lib/admin faults '{"faults": [{"kind": "html", "operation": "customers"}]}'
SELECT pg_temp.test();

-- What fails for one customer or provider does not keep the others from being
-- looked at.
\! test/lib/admin faults '{"faults": [{"kind": "status", "status": 503, "operation": "agencies"}, {"kind": "empty", "operation": "children", "match": {"agencyId": "MO-1"}}]}'
SELECT pg_temp.test();

-- A service without lists is asked for the children alone; what it does not
-- list has to be entered.
\! test/lib/admin faults '{"faults": []}'
CREATE FUNCTION pg_temp.without_lists() RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.dialect SELECT 'children', description, false, auth FROM kinderconnect.dialect WHERE dialect = 'kinderbridge';
	INSERT INTO kinderconnect.dialect_operation SELECT (jsonb_populate_record(o, '{"dialect": "children"}')).*
	FROM kinderconnect.dialect_operation o WHERE dialect = 'kinderbridge' AND operation = 'children';
	INSERT INTO kinderconnect.dialect_field SELECT (jsonb_populate_record(f, '{"dialect": "children"}')).*
	FROM kinderconnect.dialect_field f WHERE dialect = 'kinderbridge' AND operation = 'children';
	UPDATE kinderconnect.endpoint SET dialect = 'children' WHERE endpoint = 'regress' $$;
SELECT pg_temp.test('SELECT pg_temp.without_lists()');
SELECT pg_temp.test($$ SELECT pg_temp.without_lists(); INSERT INTO kinderconnect.agency (agency_id, state) VALUES ('TX-28', 'TX'), ('MO-1', 'MO') $$);
SELECT pg_temp.test($$ SELECT pg_temp.without_lists(); UPDATE kinderconnect.provider SET enabled = false WHERE organization_id = 'regress_connection' $$);

-- Who configures and who runs the night may test; who only reads may not.
SELECT kinderconnect.disable_provider('regress_connection', 'TX-28', 'P55502');
SET ROLE kinderconnect_admin;
SELECT step, ok FROM kinderconnect.test_connection('regress_connection');
SET ROLE kinderconnect_operator;
SELECT step, ok FROM kinderconnect.test_connection('regress_connection');
\! test/lib/admin faults '{"faults": [{"kind": "empty", "operation": "customers"}]}'
SELECT step, ok, message FROM kinderconnect.test_connection('regress_connection') WHERE NOT ok;
SET ROLE kinderconnect_admin;
SELECT step, ok, message FROM kinderconnect.test_connection('regress_connection') WHERE NOT ok;
SET ROLE kinderconnect_analyst;
SELECT step, ok FROM kinderconnect.test_connection('regress_connection');
RESET ROLE;

SELECT pg_temp.fails($$ SELECT kinderconnect.test_connection('nobody') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.test_connection(NULL) $$);
-- nothing was sent, nothing is changed
\! test/lib/admin history records
SELECT count(*) FROM kinderconnect.listed_location WHERE organization_id = 'regress_connection';

ROLLBACK;
SELECT kinderconnect.remove_secret(name) FROM unnest(ARRAY['regress.client', 'regress.group', 'regress.wrong']) name;
