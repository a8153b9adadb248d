-- A dialect is rows: what the tables refuse, what cannot be compiled and which
-- row is to blame, and that another wire needs no code.
\set organization regress_dialect
\set ECHO none
\i test/lib/service.sql
\pset format unaligned
\pset tuples_only on

-- What the tables refuse.
SELECT v || ' -> ' || pg_temp.fails(format($$ INSERT INTO kinderconnect.dialect VALUES (%s) $$, v)) FROM unnest(ARRAY[
	$$ '', 'no name', false, 'none' $$,
	$$ 'kinderbridge', 'there already', false, 'none' $$,
	$$ 'x', 'unknown authentication', false, 'basic' $$]) v;
SELECT change || ' -> ' || pg_temp.fails('UPDATE kinderconnect.dialect_operation SET ' || change || $$ WHERE dialect = 'kinderbridge' AND operation = 'submit' $$)
FROM unnest(ARRAY[
	$$ operation = 'billing' $$,
	$$ method = 'GET' $$,
	$$ path = 'v1/attendance' $$,
	$$ path = '/v1/attendance?a=b' $$,
	$$ path = '/v1/ attendance' $$,
	$$ list_path = '' $$,
	$$ list_path = 'results[]' $$,
	$$ nested_path = 'a..b' $$,
	$$ next_page_path = '.next' $$,
	$$ success_path = 'ok.', success_value = '1' $$,
	$$ success_path = 'ok' $$,
	$$ success_value = 'true' $$,
	$$ error_code_path = 'error[0]' $$,
	$$ error_message_path = '' $$,
	$$ bad_password_code = '' $$,
	$$ bad_provider_code = '' $$,
	$$ bad_provider_code = bad_password_code $$,
	$$ record_path = 'records[]' $$,
	$$ record_path = NULL $$,
	$$ max_records = 0 $$,
	$$ max_bytes = 1023 $$]) change;
SELECT pg_temp.fails($$ UPDATE kinderconnect.dialect_operation SET record_path = 'records' WHERE dialect = 'kinderbridge' AND operation = 'children' $$);
SELECT pg_temp.fails($$ UPDATE kinderconnect.dialect_operation SET max_records = 10 WHERE dialect = 'kinderbridge' AND operation = 'children' $$);
SELECT change || ' -> ' || pg_temp.fails('UPDATE kinderconnect.dialect_field SET ' || change || $$ WHERE dialect = 'kinderbridge' AND operation = 'readback' AND part = 'reply' AND position = 4 $$)
FROM unnest(ARRAY[
	$$ operation = 'billing' $$,
	$$ part = 'header' $$,
	$$ part = 'record', position = 99 $$,
	$$ position = 0 $$,
	$$ path = 'sessions[0].in' $$,
	$$ path = 'sessions[]in' $$,
	$$ path = '[]' $$,
	$$ path = NULL $$,
	$$ column_name = NULL $$,
	$$ constant = '"x"' $$,
	$$ path = NULL, constant = '"x"', format = 'HH24' $$,
	$$ path = NULL, constant = '"x"', required = true $$,
	$$ element = 0 $$,
	$$ element = 101 $$,
	$$ format = '' $$,
	$$ format = repeat('Y', 33) $$,
	$$ codes = '[]' $$,
	$$ codes = '{}' $$,
	$$ part = 'request', position = 99, column_name = 'child_id' $$,
	$$ part = 'request', position = 99, column_name = 'page', constant = '1' $$,
	$$ part = 'request', position = 99, column_name = 'page', element = 1 $$]) change;
-- what an endpoint speaks stays
SELECT pg_temp.fails($$ DELETE FROM kinderconnect.dialect WHERE dialect = 'kinderbridge' $$);

-- A copy, under another name, is made so.
CREATE FUNCTION pg_temp.copy_dialect(original text, copy text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.dialect SELECT copy, description, false, auth FROM kinderconnect.dialect WHERE dialect = original;
	INSERT INTO kinderconnect.dialect_operation (dialect, operation, method, path, list_path, nested_path, next_page_path,
		success_path, success_value, error_code_path, error_message_path, record_path, max_records, max_bytes)
	SELECT copy, operation, method, path, list_path, nested_path, next_page_path,
		success_path, success_value, error_code_path, error_message_path, record_path, max_records, max_bytes
	FROM kinderconnect.dialect_operation WHERE dialect = original;
	INSERT INTO kinderconnect.dialect_field (dialect, operation, part, position, column_name, element, path, format, constant, codes, required)
	SELECT copy, operation, part, position, column_name, element, path, format, constant, codes, required
	FROM kinderconnect.dialect_field WHERE dialect = original;
$$;
SELECT pg_temp.copy_dialect('kinderbridge', 'copy');
UPDATE kinderconnect.endpoint SET dialect = 'copy' WHERE endpoint = 'regress.nowhere';
UPDATE kinderconnect.organization SET endpoint = 'regress.nowhere' WHERE organization_id = 'regress_dialect';

-- It compiles: what fails is that nobody listens there.
SELECT pg_temp.fails($$ SELECT kinderconnect.api_customers('regress_dialect') $$);

-- What cannot be compiled. Any call finds it, also in another operation, and
-- names the row and the cure.
CREATE FUNCTION pg_temp.broken(operation text, part text, position_ integer, change text) RETURNS text LANGUAGE sql AS $$
	SELECT format(E'-- %s, %s %s: %s\n', operation, part, position_, change) || pg_temp.fails(format(
		'UPDATE kinderconnect.dialect_field SET %s WHERE (dialect, operation, part, position) = (''copy'', %L, %L, %s);
		SELECT kinderconnect.api_customers(''regress_dialect'')', change, operation, part, position_));
$$;
SELECT pg_temp.broken(operation, part, position_, change) FROM (VALUES
	-- columns
	('submit', 'record', 2, 'column_name = ''child_id'''),
	('customers', 'reply', 3, 'column_name = ''zip'''),
	('customers', 'reply', 3, 'column_name = ''problem'''),
	('customers', 'reply', 3, 'column_name = ''ordinal'''),
	-- paths and shapes
	('customers', 'request', 1, 'path = ''groups[].id'''),
	('locations', 'reply', 5, 'path = ''addresses[].line1'''),
	('locations', 'reply', 5, 'path = ''a[].b[].c[]'''),
	('locations', 'reply', 5, 'path = repeat(''a'', 513)'),
	('locations', 'reply', 5, 'path = repeat(''a.'', 32) || ''a'''),
	('locations', 'reply', 5, 'element = 1'),
	('children', 'reply', 12, 'path = ''authorizations[].days'''),
	('children', 'reply', 12, 'element = 1'),
	('children', 'reply', 11, 'path = ''authorizations.unitsOfCare'''),
	('readback', 'reply', 4, 'path = ''sessions'''),
	('submit', 'record', 5, 'column_name = ''session_in'''),
	('submit', 'record', 5, 'column_name = ''session_in'', element = 2, path = ''in2'''),
	('submit', 'record', 6, 'codes = NULL'),
	('submit', 'record', 6, 'codes = ''{"absence": true}'''),
	('submit', 'request', 3, 'path = ''records'''),
	-- formats
	('children', 'reply', 4, 'format = ''YYYY'''),
	('children', 'reply', 6, 'format = ''YYYY-MM'''),
	('children', 'reply', 6, 'format = ''DD.MM.YYYY HH24:MI'''),
	('children', 'reply', 6, 'format = ''DD.MM.YYYY MM'''),
	('children', 'reply', 6, 'format = ''FMMMDDYYYY'''),
	('children', 'request', 5, 'format = ''MM/DD/YYYY'''),
	('submit', 'record', 4, 'format = ''HH12:MI'''),
	('submit', 'record', 4, 'format = ''HH24:MI AM'''),
	('readback', 'reply', 11, 'format = ''YYYY-MM-DD'''),
	-- codes and constants
	('submit', 'request', 2, 'codes = ''{"a": "b"}'''),
	('children', 'reply', 6, 'codes = ''{"2020-01-01": "b"}'''),
	('children', 'reply', 7, 'codes = ''{"yes": "Y"}'''),
	('submit', 'reply', 2, 'codes = ''{"accepted": [1]}'''),
	('submit', 'reply', 2, 'codes = ''{"accepted": {"a": 1}}'''),
	('readback', 'reply', 10, 'constant = ''1'''),
	('readback', 'reply', 10, 'column_name = ''service_date'''),
	('readback', 'reply', 10, 'column_name = ''session_in''')) v (operation, part, position_, change);

-- The same of an operation's own row.
CREATE FUNCTION pg_temp.broken(operation text, change text) RETURNS text LANGUAGE sql AS $$
	SELECT format(E'-- %s: %s\n', operation, change) || pg_temp.fails(format(
		'UPDATE kinderconnect.dialect_operation SET %s WHERE (dialect, operation) = (''copy'', %L);
		SELECT kinderconnect.api_customers(''regress_dialect'')', change, operation));
$$;
SELECT pg_temp.broken(operation, change) FROM (VALUES
	('agencies', 'list_path = repeat(''a.'', 32) || ''a'''),
	('submit', 'record_path = repeat(''a.'', 16) || ''a'''),
	('submit', 'record_path = ''agencyId'''),
	('children', 'nested_path = repeat(''a.'', 32) || ''a'''),
	('children', 'nested_path = NULL'),
	('children', 'nested_path = ''lastName''')) v (operation, change);

-- An operation without a row is one that the service does not have; one with
-- tokens needs to know where to get them.
SELECT pg_temp.fails($$
	DELETE FROM kinderconnect.dialect_operation WHERE dialect = 'copy' AND operation = 'customers';
	SELECT kinderconnect.api_customers('regress_dialect') $$);
SELECT pg_temp.fails($$
	UPDATE kinderconnect.endpoint SET token_url = NULL, client_id = NULL, client_secret = NULL WHERE endpoint = 'regress.nowhere';
	SELECT kinderconnect.api_customers('regress_dialect') $$);

-- Another wire: one address, no tokens, success told in the body, dates as in
-- Missouri, times by twelve hours, a key for each of two sessions. The
-- simulator recites what such a service would say.
INSERT INTO kinderconnect.dialect VALUES ('slots', 'for this test', false, 'none');
INSERT INTO kinderconnect.dialect_operation (dialect, operation, path, list_path, success_path, success_value, error_code_path, error_message_path, record_path, max_records)
VALUES ('slots', 'children', '', 'Data.Children', 'Status', 'OK', 'Fault.No', 'Fault.Text', NULL, NULL),
	('slots', 'submit', '', 'Results', 'Status', 'OK', NULL, 'Message', 'Post.Attendance', 2),
	('slots', 'readback', '', 'Data.Rows', 'Status', 'OK', NULL, 'Message', NULL, NULL);
INSERT INTO kinderconnect.dialect_field (dialect, operation, part, position, column_name, element, path, format, constant, codes, required)
VALUES ('slots', 'children', 'request', 1, NULL, NULL, 'Method', NULL, '"GetChildren"', NULL, false),
	('slots', 'children', 'request', 2, 'group_password', NULL, 'Password', NULL, NULL, NULL, true),
	('slots', 'children', 'request', 3, 'month', NULL, 'Month', 'MM/YYYY', NULL, NULL, true),
	('slots', 'children', 'reply', 1, 'kinderconnect_child_id', NULL, 'ChildID', NULL, NULL, NULL, true),
	('slots', 'children', 'reply', 2, 'first_name', NULL, 'First', NULL, NULL, NULL, true),
	('slots', 'children', 'reply', 3, 'last_name', NULL, 'Last', NULL, NULL, NULL, true),
	('slots', 'children', 'reply', 4, 'date_of_birth', NULL, 'DOB', 'FMMM/FMDD/YYYY', NULL, NULL, true),
	('slots', 'children', 'reply', 5, 'subsidized', NULL, 'Pay', NULL, NULL, '{"true": "S", "false": "P"}', false),
	('slots', 'children', 'reply', 6, 'begin_date', NULL, 'AuthFrom', 'MM/DD/YYYY', NULL, NULL, false),
	('slots', 'children', 'reply', 7, 'end_date', NULL, 'AuthTo', 'MM/DD/YYYY', NULL, NULL, false),
	('slots', 'submit', 'request', 1, NULL, NULL, 'Post.Method', NULL, '"PostAttendance"', NULL, false),
	('slots', 'submit', 'request', 2, 'group_password', NULL, 'Post.Password', NULL, NULL, NULL, true),
	('slots', 'submit', 'record', 1, 'record_id', NULL, 'Ref', NULL, NULL, NULL, true),
	('slots', 'submit', 'record', 2, 'session_in', 1, 'In1', 'FMHH12:MI AM', NULL, NULL, false),
	('slots', 'submit', 'record', 3, 'session_out', 1, 'Out1', 'FMHH12:MI AM', NULL, NULL, false),
	('slots', 'submit', 'record', 4, 'session_in', 2, 'In2', 'FMHH12:MI AM', NULL, NULL, false),
	('slots', 'submit', 'record', 5, 'session_out', 2, 'Out2', 'FMHH12:MI AM', NULL, NULL, false),
	('slots', 'submit', 'record', 6, 'kind', NULL, 'Code', NULL, NULL, '{"absence": "A", "session": null, "closure": null, "void": null}', false),
	('slots', 'submit', 'reply', 1, 'record_id', NULL, 'Ref', NULL, NULL, NULL, true),
	('slots', 'submit', 'reply', 2, 'status', NULL, 'Posted', NULL, NULL, '{"accepted": true, "rejected": false}', true),
	('slots', 'submit', 'reply', 3, 'message', NULL, 'Note', NULL, NULL, NULL, false);
INSERT INTO kinderconnect.dialect_field (dialect, operation, part, position, column_name, element, path, format, codes, required)
SELECT dialect, 'readback', 'reply', position, column_name, element, path, format, codes, required
FROM kinderconnect.dialect_field WHERE dialect = 'slots' AND operation = 'submit' AND part = 'record';
INSERT INTO kinderconnect.dialect_field (dialect, operation, part, position, column_name, path, constant)
VALUES ('slots', 'readback', 'reply', 7, 'received_at', 'Seen', NULL),
	('slots', 'readback', 'reply', 8, 'kind', NULL, '"session"');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('regress.slots', 'slots', :'simulator' || '/v1/children');
UPDATE kinderconnect.organization SET endpoint = 'regress.slots' WHERE organization_id = 'regress_dialect';

CREATE FUNCTION pg_temp.says(body text) RETURNS text LANGUAGE sql AS $$
	SELECT json_build_object('faults', json_build_array(
		json_build_object('kind', 'status', 'status', 200, 'contentType', 'application/json', 'body', body)))::text;
$$;
SELECT pg_temp.says('{"Status": "OK", "Data": {"Children": [
	{"ChildID": 7, "First": "Zoë", "Last": "Ford", "DOB": "2/29/2020", "Pay": "S", "AuthFrom": "01/06/2020", "AuthTo": ""},
	{"ChildID": "8", "First": "Li", "Last": "Ng", "DOB": "12/1/2021", "Pay": "P"},
	{"ChildID": "9", "First": "Al", "Last": "No", "DOB": "2/30/2020", "Pay": "X", "AuthFrom": "1/6/2020"},
	{"ChildID": "007", "First": "Bo", "DOB": "2/01/2020"}]}}') \g |test/lib/admin faults -
SELECT * FROM kinderconnect.api_children('regress_dialect', 'MO-1', 'P29001', '2026-11-30');

-- The copy with other names, the array one deeper, pages told by a number.
\! test/lib/admin reset
UPDATE kinderconnect.dialect_operation SET list_path = 'Reply.Kids', next_page_path = 'Reply.More', nested_path = 'Care.Auths'
WHERE dialect = 'copy' AND operation = 'children';
UPDATE kinderconnect.dialect_field SET path = replace(path, 'authorizations[]', 'Care.Auths[]'), format = CASE WHEN column_name ~ 'date' THEN 'DD.MM.YYYY' END
WHERE dialect = 'copy' AND operation = 'children' AND part = 'reply';
UPDATE kinderconnect.dialect_field SET path = 'Child.Number' WHERE dialect = 'copy' AND operation = 'children' AND column_name = 'kinderconnect_child_id';
UPDATE kinderconnect.endpoint SET dialect = 'copy' WHERE endpoint = 'regress';
UPDATE kinderconnect.organization SET endpoint = 'regress' WHERE organization_id = 'regress_dialect';
SELECT json_build_object('faults', json_agg(json_build_object('operation', 'children', 'times', 1,
	'kind', 'status', 'status', 200, 'contentType', 'application/json', 'body', body)))
FROM unnest(ARRAY[
	'{"Reply": {"More": 7, "Kids": [{"Child": {"Number": "a"}, "firstName": "A", "lastName": "B", "dateOfBirth": "17.05.2022", "Care": {"Auths": [
		{"authorizationId": 1, "beginDate": "01.02.2026", "days": ["MO", "TU"]},
		{"authorizationId": 2, "beginDate": "01.03.2026", "endDate": "31.03.2026", "unitsOfCare": "FULL"}]}}]}}',
	'{"Reply": {"More": "", "Kids": [{"Child": {"Number": "b"}, "firstName": "A", "lastName": "C", "dateOfBirth": "18.05.2022", "Care": {"Auths": []}},
		{"Child": {"Number": "c"}, "firstName": "A", "lastName": "D", "dateOfBirth": "19.05.2022", "Care": null}]}}']) body \g |test/lib/admin faults -
SELECT * FROM kinderconnect.api_children('regress_dialect', 'MO-1', 'P29001', '2026-11-30');
\! test/lib/admin requests operations children received
UPDATE kinderconnect.organization SET endpoint = 'regress.slots' WHERE organization_id = 'regress_dialect';

-- Failure, too, is told in the body, in the service's words; and success is
-- the very value.
SELECT pg_temp.says('{"Status": "ERROR", "Fault": {"No": 17, "Text": "Provider is not known"}}') \g |test/lib/admin faults -
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_dialect', 'MO-1', 'P29001', '2026-11-30') $$);
SELECT pg_temp.says('{"Status": "ok", "Data": {"Children": []}}') \g |test/lib/admin faults -
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_dialect', 'MO-1', 'P29001', '2026-11-30') $$);
SELECT pg_temp.says('{"Data": {"Children": []}}') \g |test/lib/admin faults -
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_dialect', 'MO-1', 'P29001', '2026-11-30') $$);
SELECT pg_temp.says('{"Status": "OK", "Children": []}') \g |test/lib/admin faults -
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_dialect', 'MO-1', 'P29001', '2026-11-30') $$);

-- A key for each session, either way; noon and midnight.
SELECT pg_temp.says('{"Data": {"Rows": [
	{"Ref": "a", "In1": "8:02 AM", "Out1": "12:00 PM", "In2": "12:30 PM", "Out2": "4:31 PM", "Seen": "2026-11-23T08:02:11.5-06:00"},
	{"Ref": "b", "In1": "12:00 AM", "Out2": "5:00 PM"},
	{"Ref": "c", "Code": "A", "In1": null},
	{"Ref": "d", "In1": "08:02 AM", "Out1": "13:00 PM", "Seen": "2026-11-23 08:02"}]}, "Status": "OK"}') \g |test/lib/admin faults -
SET timezone = 'Asia/Kathmandu';
SELECT * FROM kinderconnect.api_readback('regress_dialect', 'MO-1', 'P29001', '2026-11-01', '2026-11-30');
SELECT pg_temp.says('{"Status": "OK", "Results": [{"Ref": "a", "Posted": true, "Note": "Attendance successfully posted"}, {"Ref": "b", "Posted": false}, {"Ref": "c", "Posted": "maybe"}]}') \g |test/lib/admin faults -
CREATE FUNCTION pg_temp.send(VARIADIC records kinderconnect.wire_record[]) RETURNS SETOF kinderconnect.reply_result LANGUAGE sql AS $$
	SELECT * FROM kinderconnect.api_submit('regress_dialect', 'MO-1', 'P29001', 'batch', records);
$$;
SELECT * FROM pg_temp.send(ROW('a', '7', '2026-11-20', 'session', '{08:02,12:30}', '{12:00,16:31}', NULL));

-- What has no place in the dialect is not cut to fit: nothing is sent.
\! test/lib/admin reset
SELECT pg_temp.fails('SELECT * FROM pg_temp.send(' || record || ')') FROM unnest(ARRAY[
	$$ ROW('a', '7', '2026-11-20', 'session', '{08:00,10:00,12:00}', '{09:00,11:00,13:00}', NULL) $$,
	$$ ROW('a', '7', '2026-11-20', 'session', '{24:00}', '{09:00}', NULL) $$,
	$$ ROW('a', '7', '2026-11-20', 'session', '{}', NULL, NULL) $$,
	$$ ROW('a', '7', '2026-11-20', 'session', '{NULL}', '{NULL}', NULL) $$,
	$$ ROW('a', '7', '2026-11-20', 'closure', NULL, NULL, NULL) $$,
	$$ ROW('a', '7', '2026-11-20', 'void', NULL, NULL, NULL) $$,
	$$ ROW('a', '7', '2026-11-20', NULL, NULL, NULL, NULL) $$,
	$$ ROW(NULL, '7', '2026-11-20', 'absence', NULL, NULL, NULL) $$,
	$$ NULL $$,
	$$ ROW('a', '7', '2026-11-20', 'absence', NULL, NULL, NULL), ROW('b', '7', '2026-11-20', 'absence', NULL, NULL, NULL), ROW('c', '7', '2026-11-20', 'absence', NULL, NULL, NULL) $$]) record;
\! test/lib/admin requests received

ROLLBACK;
SELECT kinderconnect.remove_secret(name) FROM unnest(ARRAY['regress.client', 'regress.group', 'regress.wrong']) name;
