-- The second dialect, call by call; a third that is made up; and what is said
-- of a dialect before any call is made. test/t/ has their nights.
\set organization regress_vendor
\set ECHO none
\i test/lib/service.sql
\pset format unaligned
\pset tuples_only on
-- nothing depends on the client's clock
SET timezone = 'Pacific/Kiritimati';
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('regress.vendor', 'vendor-interface', :'simulator' || '/vendor-interface');
-- what it holds is seen by the other dialect
SELECT kinderconnect.enable_integration('regress_witness', 'G-SUN', 'regress.group', 'regress') \g /dev/null
UPDATE kinderconnect.organization SET endpoint = 'regress.vendor' WHERE organization_id = 'regress_vendor';

-- A row for each authorization that touches the month; no weekdays, no suffix,
-- and nobody whose care is not subsidized.
SELECT * FROM kinderconnect.api_children('regress_vendor', 'MO-1', 'P29001', '2023-01-31');
SELECT kinderconnect_child_id, begin_date, end_date, units_of_care
FROM kinderconnect.api_children('regress_vendor', 'MO-1', 'P29001', '2022-12-01') WHERE kinderconnect_child_id = '3003';
SELECT kinderconnect_child_id, last_name, problem FROM kinderconnect.api_children('regress_vendor', 'TX-28', 'P55501', '2024-02-29');

-- What is sent arrives as it was said: slots, noon and midnight, a lone punch,
-- an absence, a closure. The reason of an absence has no place.
CREATE FUNCTION pg_temp.send(VARIADIC records kinderconnect.wire_record[]) RETURNS SETOF kinderconnect.reply_result LANGUAGE sql AS $$
	SELECT * FROM kinderconnect.api_submit('regress_vendor', 'MO-1', 'P29001', 'batch', records);
$$;
\! test/lib/admin patch '{"groupId": "G-SUN", "agencies": [{"agencyId": "MO-1", "state": "MO", "timeZone": "America/Chicago", "rules": {"loneOutAllowed": true}}]}'
SELECT * FROM pg_temp.send(
	ROW('a', '1001', '2024-02-29', 'session', '{08:02,12:30}', '{12:00,16:31}', NULL),
	ROW('b', '1001', '2024-03-01', 'session', '{00:00}', '{09:59}', NULL),
	ROW('c', '3002', '2024-03-01', 'session', ARRAY['13:05', NULL]::time[], ARRAY[NULL, '23:59']::time[], NULL),
	ROW('d', '3003', '2024-03-01', 'absence', NULL, NULL, 'SICK'),
	ROW('e', '3003', '2024-03-10', 'closure', NULL, NULL, NULL),
	ROW('f', '4711', '2024-03-01', 'session', '{08:00}', '{09:00}', NULL));
SELECT record_id, kinderconnect_child_id, service_date, kind, session_in, session_out, absence_reason
FROM kinderconnect.api_readback('regress_witness', 'MO-1', 'P29001', '2024-02-01', '2024-03-31');
-- the same again is safe; something else replaces it
SELECT record_id, status FROM pg_temp.send(ROW('a', '1001', '2024-02-29', 'session', '{08:02,12:30}', '{12:00,16:31}', NULL),
	ROW('g', '3003', '2024-03-01', 'session', '{09:00}', '{10:00}', NULL));
SELECT record_id, kind, session_in FROM kinderconnect.api_readback('regress_witness', 'MO-1', 'P29001', '2024-03-01', '2024-03-01')
WHERE kinderconnect_child_id = '3003';
-- what has no place in it is not sent
SELECT pg_temp.fails('SELECT pg_temp.send(' || record || ')') FROM unnest(ARRAY[
	$$ ROW('h', '1001', '2024-02-29', 'session', '{08:00,10:00,12:00}', '{09:00,11:00,13:00}', NULL) $$,
	$$ ROW('h', '1001', '2024-02-29', 'void', NULL, NULL, NULL) $$]) record;

-- Every error is a success of HTTP, and is told by its words.
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_vendor', 'MO-1', 'P00000', '2024-02-29') $$);
UPDATE kinderconnect.organization SET group_password = 'regress.wrong' WHERE organization_id = 'regress_vendor';
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_vendor', 'MO-1', 'P29001', '2024-02-29') $$);
UPDATE kinderconnect.organization SET group_password = 'regress.group' WHERE organization_id = 'regress_vendor';
\! test/lib/admin faults '{"faults": [{"kind": "batch_failed", "times": 1}, {"kind": "echo_password"}]}'
SELECT pg_temp.fails($$ SELECT pg_temp.send(ROW('i', '1001', '2024-02-29', 'absence', NULL, NULL, NULL)) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_vendor', 'MO-1', 'P29001', '2024-02-29') $$);
\! test/lib/admin reset
SELECT pg_temp.fails($$ SELECT kinderconnect.api_customers('regress_vendor') $$);
\! test/lib/admin requests received

-- A third: the simulator recites what such a service would say.
\i test/lib/third_dialect.sql
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('regress.third', 'third', :'simulator');
SELECT * FROM kinderconnect.check_dialect('third');
-- its addresses are not the simulator's
UPDATE kinderconnect.dialect_operation SET method = 'POST', path = '/v1/children' WHERE dialect = 'third';
UPDATE kinderconnect.organization SET endpoint = 'regress.third' WHERE organization_id = 'regress_vendor';
CREATE FUNCTION pg_temp.says(body text, page text DEFAULT '') RETURNS text LANGUAGE sql AS $$
	SELECT json_build_object('faults', json_build_array(
		json_build_object('kind', 'status', 'status', 200, 'contentType', 'application/json', 'times', 1, 'body', body),
		json_build_object('kind', 'status', 'status', 200, 'contentType', 'application/json', 'body', page)))::text;
$$;
SELECT pg_temp.says('{"answer": {"ok": true, "more": 2, "families": [
	{"no": 7, "name": {"given": "Zoë", "family": "Ford"}, "born": "29.02.2020", "paid_by": "state",
		"grants": [{"from": "6.1.2020", "till": "31.12.2022", "hours": 12.5}, {"from": "1.1.2023", "week": [1, 2, 5]}]},
	{"no": "8", "name": {"given": "Li", "family": "Ng"}, "born": "01.12.2021", "paid_by": "family", "grants": []}]}}',
	'{"answer": {"families": [{"no": "9", "name": {"given": "Al"}, "born": "30.02.2020", "grants": [{"from": "06/01/2020", "week": [8]}]}], "ok": true}}') \g |test/lib/admin faults -
SELECT * FROM kinderconnect.api_children('regress_vendor', 'MO-1', 'P29001', '2026-11-30');
-- a column that two keys may fill: the one that is required is missed all the same
INSERT INTO kinderconnect.dialect_field (dialect, operation, part, position, column_name, path) VALUES ('third', 'children', 'reply', 10, 'last_name', 'name.former');
SELECT pg_temp.says('{"answer": {"ok": true, "families": [
	{"no": 7, "name": {"given": "Zoë", "family": "Ford", "former": "Fox"}, "born": "29.02.2020"},
	{"no": 8, "name": {"given": "Li", "former": "Ng"}, "born": "01.12.2021"}]}}') \g |test/lib/admin faults -
SELECT ordinal, problem, last_name FROM kinderconnect.api_children('regress_vendor', 'MO-1', 'P29001', '2026-11-30');
DELETE FROM kinderconnect.dialect_field WHERE dialect = 'third' AND path = 'name.former';
SELECT pg_temp.says('{"answer": {"ok": false, "fault": {"no": 17, "text": "who is asking?"}}}') \g |test/lib/admin faults -
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_vendor', 'MO-1', 'P29001', '2026-11-30') $$);
SELECT pg_temp.says('{"answer": {"ok": true, "lines": [{"id": "a", "taken": "yes"}, {"id": "b", "taken": "before"}, {"id": "c", "taken": "no", "because": {"no": 4, "text": "too late"}}, {"id": "d", "taken": "perhaps"}]}}') \g |test/lib/admin faults -
SELECT * FROM pg_temp.send(ROW('a', '7', '2026-11-20', 'void', NULL, NULL, NULL));
\! test/lib/admin reset

-- Nothing is wrong with what is shipped.
SELECT * FROM kinderconnect.check_dialect('kinderbridge');
SELECT * FROM kinderconnect.check_dialect('vendor-interface');
SELECT pg_temp.fails($$ SELECT kinderconnect.check_dialect('fourth') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.check_dialect(NULL) $$);

-- Whoever configures may ask, and whoever runs the night.
SET ROLE kinderconnect_admin;
SELECT count(*) FROM kinderconnect.check_dialect('third') WHERE severity <> 'info';
SET ROLE kinderconnect_operator;
SELECT count(*) FROM kinderconnect.check_dialect('third') WHERE severity <> 'info';
RESET ROLE;

-- What is wrong with a copy; nothing of a change stays.
CREATE FUNCTION pg_temp.copy_dialect(original text, copy text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.dialect SELECT copy, description, false, auth FROM kinderconnect.dialect WHERE dialect = original;
	INSERT INTO kinderconnect.dialect_operation SELECT (jsonb_populate_record(o, jsonb_build_object('dialect', copy))).*
	FROM kinderconnect.dialect_operation o WHERE dialect = original;
	INSERT INTO kinderconnect.dialect_field SELECT (jsonb_populate_record(f, jsonb_build_object('dialect', copy))).*
	FROM kinderconnect.dialect_field f WHERE dialect = original;
$$;
SELECT pg_temp.copy_dialect('kinderbridge', 'copy') \g /dev/null
SELECT pg_temp.copy_dialect('vendor-interface', 'older copy') \g /dev/null
CREATE FUNCTION pg_temp.breaks(dialect text, change text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	before text[] := ARRAY(SELECT c::text FROM kinderconnect.check_dialect(breaks.dialect) c);
	after  text[];
BEGIN
	BEGIN
		EXECUTE replace(replace(replace(change, 'FIELD', 'kinderconnect.dialect_field'), 'OPERATION', 'kinderconnect.dialect_operation'), 'MINE', format('dialect = %L AND operation', breaks.dialect));
		SELECT array_agg(concat_ws(' | ', '  ' || c.severity, c.part, c.problem, c.cure) ORDER BY n) INTO after
		FROM kinderconnect.check_dialect(breaks.dialect) WITH ORDINALITY c (part, problem, severity, cure, n)
		WHERE ROW(c.part, c.problem, c.severity, c.cure)::text <> ALL (before);
		RAISE EXCEPTION USING ERRCODE = 'KC999';
	EXCEPTION WHEN SQLSTATE 'KC999' THEN
		RETURN QUERY SELECT change UNION ALL SELECT a FROM unnest(after) a;
	END;
END
$$;
SELECT pg_temp.breaks('copy', change) FROM unnest(ARRAY[
	-- operations that are not there
	$$DELETE FROM OPERATION WHERE MINE = 'children'$$,
	$$DELETE FROM OPERATION WHERE MINE = 'submit'$$,
	$$DELETE FROM OPERATION WHERE MINE = 'customers'$$,
	$$DELETE FROM OPERATION WHERE MINE = 'locations'$$,
	$$DELETE FROM OPERATION WHERE MINE = 'readback'$$,
	-- columns that have no field
	$$DELETE FROM FIELD WHERE MINE = 'children' AND part = 'reply' AND column_name IN ('kinderconnect_child_id', 'date_of_birth', 'begin_date', 'end_date')$$,
	$$DELETE FROM FIELD WHERE MINE = 'children' AND part = 'request' AND column_name <> 'group_id'$$,
	$$DELETE FROM FIELD WHERE MINE = 'submit' AND part = 'record' AND column_name IN ('record_id', 'session_out')$$,
	$$DELETE FROM FIELD WHERE MINE = 'submit' AND part = 'record' AND column_name IN ('kind', 'absence_reason')$$,
	$$DELETE FROM FIELD WHERE MINE = 'submit' AND part = 'reply'$$,
	$$DELETE FROM FIELD WHERE MINE IN ('customers', 'locations', 'agencies') AND part = 'reply'$$,
	$$DELETE FROM FIELD WHERE MINE = 'readback' AND part = 'reply' AND column_name = 'record_id'$$,
	-- what is asked of a call that it does not have
	$$UPDATE FIELD SET required = true WHERE MINE = 'children' AND column_name = 'page'$$,
	$$UPDATE FIELD SET column_name = 'month' WHERE MINE = 'submit' AND column_name = 'batch_id'$$,
	$$UPDATE FIELD SET required = true WHERE MINE = 'submit' AND part = 'record' AND column_name = 'session_in'$$,
	-- pages, errors, results
	$$UPDATE OPERATION SET next_page_path = NULL WHERE MINE = 'locations'$$,
	$$UPDATE OPERATION SET error_message_path = NULL WHERE MINE = 'submit'$$,
	$$UPDATE OPERATION SET error_code_path = NULL WHERE MINE = 'submit'$$,
	$$UPDATE OPERATION SET bad_password_code = NULL WHERE MINE = 'submit'$$,
	$$UPDATE FIELD SET required = false WHERE MINE = 'children' AND part = 'reply' AND column_name = 'kinderconnect_child_id'$$,
	$$UPDATE FIELD SET codes = '{"ok": "OK"}' WHERE MINE = 'submit' AND part = 'reply' AND column_name = 'status'$$,
	$$UPDATE FIELD SET codes = '{"accepted": "OK"}' WHERE MINE = 'submit' AND part = 'reply' AND column_name = 'status'$$,
	-- rows that make no sense, of each operation the first
	$$UPDATE FIELD SET column_name = 'zip' WHERE MINE IN ('customers', 'agencies') AND part = 'reply'$$,
	$$UPDATE FIELD SET path = 'addresses[].line1' WHERE MINE = 'locations' AND column_name = 'line1'$$,
	$$UPDATE OPERATION SET record_path = 'agencyId' WHERE MINE = 'submit'$$,
	-- the dialect and its endpoints
	$$UPDATE kinderconnect.dialect SET builtin = true WHERE dialect = 'copy'$$,
	$$INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('regress.copy', 'copy', 'https://example.com')$$]) change;
SELECT pg_temp.breaks('older copy', change) FROM unnest(ARRAY[
	$$DELETE FROM FIELD WHERE MINE = 'submit' AND column_name = 'group_password'$$,
	$$DELETE FROM FIELD WHERE MINE = 'submit' AND path = 'Out1'$$,
	$$DELETE FROM FIELD WHERE MINE = 'submit' AND element = 1$$,
	$$UPDATE FIELD SET codes = '{"absence": "A", "closure": null, "session": null, "void": null}' WHERE MINE = 'submit' AND column_name = 'kind'$$,
	$$UPDATE FIELD SET codes = '{"absence": "A", "closure": "H", "session": null, "void": "X"}' WHERE MINE = 'submit' AND column_name = 'kind'$$,
	$$UPDATE kinderconnect.endpoint SET dialect = 'older copy' WHERE endpoint = 'regress.nowhere'$$]) change;

-- What the plan makes of it: limits where there are any, and only there.
CREATE FUNCTION pg_temp.limits(change text DEFAULT 'SELECT 1') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	limits jsonb;
BEGIN
	BEGIN
		EXECUTE replace(change, 'FIELD', 'kinderconnect.dialect_field');
		limits := kinderconnect._wire_limits('regress_vendor');
		RAISE EXCEPTION USING ERRCODE = 'KC999';
	EXCEPTION WHEN SQLSTATE 'KC999' THEN
		RETURN limits;
	END;
END
$$;
SELECT kinderconnect._wire_limits('regress_witness'), kinderconnect._wire_limits('regress_vendor');
UPDATE kinderconnect.organization SET endpoint = 'regress.vendor' WHERE organization_id = 'regress_vendor';
SELECT pg_temp.limits(change) FROM unnest(ARRAY[
	$$SELECT 1$$,
	$$DELETE FROM FIELD WHERE dialect = 'vendor-interface' AND path = 'Out2'$$,
	$$DELETE FROM FIELD WHERE dialect = 'vendor-interface' AND path = 'In1'$$,
	$$INSERT INTO FIELD (dialect, operation, part, position, column_name, element, path) VALUES ('vendor-interface', 'submit', 'record', 11, 'session_in', 3, 'In3'), ('vendor-interface', 'submit', 'record', 12, 'session_out', 3, 'Out3')$$,
	$$INSERT INTO FIELD (dialect, operation, part, position, column_name, path) VALUES ('vendor-interface', 'submit', 'record', 11, 'absence_reason', 'Why')$$,
	$$UPDATE FIELD SET codes = '{"absence": null, "closure": null}' WHERE dialect = 'vendor-interface' AND column_name = 'kind'$$,
	$$UPDATE FIELD SET codes = NULL WHERE dialect = 'vendor-interface' AND column_name = 'kind'$$,
	$$DELETE FROM FIELD WHERE dialect = 'vendor-interface' AND column_name = 'kind'$$]) change;

ROLLBACK;
SELECT kinderconnect.remove_secret(name) FROM unnest(ARRAY['regress.client', 'regress.group', 'regress.wrong']) name;
