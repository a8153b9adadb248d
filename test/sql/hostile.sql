-- What a service must not say, it says here. Each reply is one clear error, or
-- rows with a problem, and the next call works.
\set organization regress_hostile
\set ECHO none
\i test/lib/service.sql
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION pg_temp.children() RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.fails($x$ SELECT kinderconnect.api_children('regress_hostile', 'NY-ALB', '00417', '2024-03-31') $x$);
$$;
CREATE FUNCTION pg_temp.held() RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.fails($x$ SELECT kinderconnect.api_readback('regress_hostile', 'NY-ALB', '00417', '2024-03-09', '2024-03-10') $x$);
$$;
PREPARE children AS SELECT ordinal, problem, kinderconnect_child_id AS child, first_name, last_name, date_of_birth
	FROM kinderconnect.api_children('regress_hostile', 'NY-ALB', '00417', '2024-03-31');
PREPARE held AS SELECT ordinal, problem, record_id, kinderconnect_child_id, absence_reason
	FROM kinderconnect.api_readback('regress_hostile', 'NY-ALB', '00417', '2024-03-09', '2024-03-10');

-- This is how it is when all is well.
SELECT status FROM kinderconnect.api_submit('regress_hostile', 'NY-ALB', '00417', 'batch', ARRAY[
	ROW('r1', '004001', '2024-03-09', 'absence', NULL, NULL, 'SICK'), ROW('r2', '004002', '2024-03-09', 'absence', NULL, NULL, 'VACATION')]::kinderconnect.wire_record[]);
EXECUTE children;
EXECUTE held;

-- Not what was asked for.
\! test/lib/admin faults '{"faults": [{"kind": "html", "operation": "children"}, {"kind": "html", "operation": "readback"}]}'
SELECT pg_temp.children();
SELECT pg_temp.held();
\! test/lib/admin faults '{"faults": [{"kind": "html", "operation": "token"}]}'
SELECT pg_temp.children();
\! test/lib/admin faults '{"faults": [{"kind": "status", "status": 200, "operation": "children", "body": "{\"children\": []}"}]}'
SELECT pg_temp.children();
\! test/lib/admin faults '{"faults": [{"kind": "redirect", "operation": "children"}, {"kind": "redirect", "operation": "readback", "status": 302, "location": "file:///etc/passwd"}]}'
SELECT pg_temp.children();
SELECT pg_temp.held();
\! test/lib/admin faults '{"faults": [{"kind": "redirect", "operation": "token"}]}'
SELECT pg_temp.children();
-- followed by nobody
\! test/lib/admin requests operations other received

-- Not all of it.
\! test/lib/admin faults '{"faults": [{"kind": "empty", "operation": "children"}, {"kind": "empty", "operation": "readback"}]}'
SELECT pg_temp.children();
SELECT pg_temp.held();
\! test/lib/admin faults '{"faults": [{"kind": "truncated_json", "operation": "children"}, {"kind": "truncated_json", "operation": "readback"}]}'
SELECT pg_temp.children();
SELECT pg_temp.held();
\! test/lib/admin faults '{"faults": [{"kind": "truncated_json", "operation": "token"}]}'
SELECT pg_temp.children();
\! test/lib/admin faults '{"faults": [{"kind": "cut", "operation": "children"}, {"kind": "cut", "operation": "readback"}]}'
SELECT pg_temp.children();
SELECT pg_temp.held();
\! test/lib/admin faults '{"faults": [{"kind": "drop_before", "operation": "children"}, {"kind": "drop_after", "operation": "readback"}]}'
SELECT pg_temp.children();
SELECT pg_temp.held();
SET kinderconnect.request_timeout = '200ms';
\! test/lib/admin faults '{"faults": [{"kind": "hang", "operation": "children"}, {"kind": "slow", "ms": 50, "operation": "readback"}]}'
SELECT pg_temp.children();
SELECT pg_temp.held();
\! test/lib/admin release
RESET kinderconnect.request_timeout;

-- Too much of it.
\! test/lib/admin faults '{"faults": [{"kind": "huge", "bytes": 1000000, "operation": "children"}, {"kind": "gzip_bomb", "bytes": 10000000, "operation": "readback"}]}'
SELECT pg_temp.children();
SELECT pg_temp.held();
SET kinderconnect.max_response = '64kB';
SELECT pg_temp.children();
SELECT pg_temp.held();
\! test/lib/admin faults '{"faults": [{"kind": "huge", "bytes": 1000000, "operation": "token"}]}'
SELECT pg_temp.children();
RESET kinderconnect.max_response;
\! test/lib/admin faults '{"faults": [{"kind": "deep_json", "operation": "children"}, {"kind": "deep_json", "depth": 64, "operation": "readback"}]}'
SELECT pg_temp.children();
SELECT pg_temp.held();
-- as deep as may be
\! test/lib/admin faults '{"faults": [{"kind": "deep_json", "depth": 63, "operation": "readback"}]}'
EXECUTE held;
\! test/lib/admin faults '{"faults": [{"kind": "deep_json", "operation": "token"}]}'
SELECT pg_temp.children();
\! test/lib/admin faults '{"faults": [{"kind": "repeat_page", "operation": "children"}, {"kind": "repeat_page", "operation": "readback"}]}'
SELECT pg_temp.children();
SELECT pg_temp.held();

-- Text that is none, in one record: the others are there.
\! test/lib/admin faults '{"faults": [{"kind": "bad_utf8", "operation": "children"}, {"kind": "bad_utf8", "operation": "readback"}]}'
EXECUTE children;
EXECUTE held;
\! test/lib/admin faults '{"faults": [{"kind": "nul_escape", "operation": "children"}, {"kind": "nul_escape", "operation": "readback"}]}'
EXECUTE children;
EXECUTE held;

-- Records that no service sends.
CREATE FUNCTION pg_temp.adds(VARIADIC records text[]) RETURNS text LANGUAGE sql AS $$
	SELECT '{"faults": [{"kind": "extra_rows", "operation": "children", "rows": [' || array_to_string(records, ',') || ']}]}';
$$;
SELECT pg_temp.adds('null', 'true', '17', '"text"', '[]', '["childId"]', '{}',
	'{"childId": ' || repeat('9', 1000) || ', "firstName": "Many", "lastName": "Digits", "dateOfBirth": "2020-01-01"}',
	'{"childId": "' || repeat('x', 65) || '", "firstName": "' || repeat('y', 1025) || '", "lastName": "Long", "dateOfBirth": "2020-01-01"}',
	'{"childId": "1e400", "firstName": 1e400, "lastName": -0.0, "dateOfBirth": "2020-01-01"}',
	'{"childId": "big", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01", "padding": "' || repeat('x', 1048576) || '"}',
	'{"childId": "deep", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01", "padding": ' || repeat('[', 61) || repeat(']', 61) || '}',
	'{"childId": "control", "firstName": "\u0007\u001b[31m", "lastName": "\u202eB", "dateOfBirth": "2020-01-01"}')
\g |test/lib/admin faults -
SELECT ordinal, problem, left(kinderconnect_child_id, 8), length(first_name), length(last_name), date_of_birth
FROM kinderconnect.api_children('regress_hostile', 'NY-ALB', '00417', '2024-03-31');
-- Keys twice, and values of every wrong kind.
SELECT pg_temp.adds(
	'{"childId": "1", "childId": "2", "firstName": "A", "firstName": null, "lastName": "B", "dateOfBirth": "2020-01-01"}',
	'{"childId": ["1"], "firstName": {"a": 1}, "lastName": true, "dateOfBirth": 20200101, "subsidized": "yes"}',
	'{"childId": true, "firstName": [], "lastName": {}, "dateOfBirth": {"year": 2020}, "subsidized": 1}',
	'{"childId": 1.5, "firstName": 7, "lastName": -0.5e3, "dateOfBirth": true}',
	'{"childId": "\u0007", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01"}',
	'{"childId": "a\nb", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01"}',
	'{"childId": "\u007f", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01"}',
	'{"childId": "a\u009b2Jb", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01"}',
	'{"childId": "a\u0085b", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01"}',
	'{"childId": "a\u00a0b", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01"}',
	'{"childId": "' || repeat('é', 64) || '", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01"}',
	'{"childId": "' || repeat('é', 65) || '", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01"}') \g |test/lib/admin faults -
SELECT ordinal, problem, left(kinderconnect_child_id, 8), first_name, last_name, date_of_birth, subsidized
FROM kinderconnect.api_children('regress_hostile', 'NY-ALB', '00417', '2024-03-31') WHERE ordinal > 2;

-- Authorizations of every wrong kind: each a row, none of them another's.
SELECT pg_temp.adds(
	'{"childId": "1", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01", "authorizations": ["x", 5, null, [], {}, {"authorizationId": "A", "beginDate": "2026-01-01", "days": "MO"}, {"authorizationId": "B", "beginDate": "2026-01-02", "days": [["MO"], {"a": 1}, true, null, 7, "TU"]}]}',
	'{"childId": "2", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01", "authorizations": {"authorizationId": "A", "beginDate": "2026-01-01"}}',
	'{"childId": "3", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01", "authorizations": "none"}',
	'{"childId": "4", "firstName": "A", "lastName": "B", "dateOfBirth": "2020-01-01", "authorizations": [{"authorizationId": "A", "beginDate": "2026-01-01"}], "authorizations": [{"authorizationId": "B", "beginDate": "2026-01-02", "days": ["MO"], "days": ["TU"]}]}') \g |test/lib/admin faults -
SELECT ordinal, problem, kinderconnect_child_id AS child, authorization_id, begin_date, days
FROM kinderconnect.api_children('regress_hostile', 'NY-ALB', '00417', '2024-03-31') WHERE ordinal > 2;

-- Dates that are on no calendar, times that are on no clock.
SELECT '{"faults": [{"kind": "extra_rows", "operation": "children", "rows": [' || string_agg(json_build_object(
	'childId', 'd', 'firstName', 'A', 'lastName', 'B', 'dateOfBirth', d)::text, ',' ORDER BY n) || ']}]}'
FROM unnest(ARRAY['2024-02-29', '2023-02-29', '2026-02-30', '2026-13-01', '2026-00-01', '0000-00-00', '0001-01-01', '9999-12-31', '99999-01-01',
	'-001-01-01', '0044-03-15 BC', '2026-1-1', '2026-01-01 ', ' 2026-01-01', '2026-01-01T00:00:00Z', '20260101', '２０２６-01-01', 'infinity', 'now']) WITH ORDINALITY d (d, n) \g |test/lib/admin faults -
SELECT problem, date_of_birth FROM kinderconnect.api_children('regress_hostile', 'NY-ALB', '00417', '2024-03-31') WHERE ordinal > 2;
SELECT '{"faults": [{"kind": "extra_rows", "operation": "readback", "rows": [' || string_agg(json_build_object(
	'recordId', 't', 'childId', '1', 'serviceDate', '2024-03-09', 'sessions', json_build_array(json_build_object('in', t, 'out', t)), 'receivedAt', a)::text, ',' ORDER BY n) || ']}]}'
FROM unnest(ARRAY['00:00', '23:59', '24:00', '25:61', '08:60', '8:02', '08:02:00', '08:02 ', '-1:00', '08.02', ''],
	ARRAY['2026-11-23T08:02:11Z', '2026-11-23T08:02:11.123456789-06:30', '2026-11-23T24:00:00Z', '2026-11-23T08:02:60Z', '2026-02-30T08:02:11Z',
	'2026-11-23 08:02:11Z', '2026-11-23T08:02:11', '2026-11-23T08:02:11+16', '99999-11-23T08:02:11Z', '0000-11-23T08:02:11Z', 'epoch']) WITH ORDINALITY x (t, a, n) \g |test/lib/admin faults -
SELECT problem, session_in, session_out, received_at AT TIME ZONE 'UTC' FROM kinderconnect.api_readback('regress_hostile', 'NY-ALB', '00417', '2024-03-09', '2024-03-10') WHERE record_id = 't';

SELECT pg_temp.adds('{"childId": "deep", "padding": ' || repeat('[', 62) || repeat(']', 62) || '}') \g |test/lib/admin faults -
SELECT pg_temp.children();

-- A list that stands twice, or not where it should; a next page that is none.
CREATE FUNCTION pg_temp.says(body text) RETURNS text LANGUAGE sql AS $$
	SELECT json_build_object('faults', json_build_array(json_build_object('operation', 'children',
		'kind', 'status', 'status', 200, 'contentType', 'application/json', 'body', body)))::text;
$$;
SELECT pg_temp.says('{"children": [], "children": []}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": null}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": {}}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"data": {"children": []}}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('[]') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": [],}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": [}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": [1,,2]}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": []}{}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": [], "nextPage": ["2"]}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": [], "nextPage": {}}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"error": {"code": "GONE", "message": "with status 200"}}') \g |test/lib/admin faults -
SELECT pg_temp.children();
-- surrogates by halves, control characters, what is no number; in one record,
-- and around the list
SELECT pg_temp.says(format('{"children": [{"childId": "%s"}, {"childId": "2"}]}', x)) FROM unnest(ARRAY['\ud83d']) x \g |test/lib/admin faults -
EXECUTE children;
SELECT pg_temp.says('{"children": [{"childId": "\ude00\ud83d"}, {"childId": NaN}, {"childId": 01}, {"childId": "\x41"}, {"childId": 1,}, {"childId": "2"}]}') \g |test/lib/admin faults -
EXECUTE children;
SELECT pg_temp.says(E'{"children": [{"childId": "a\tb"}, {"childId": "2"}]}') \g |test/lib/admin faults -
EXECUTE children;
SELECT pg_temp.says('{"children": [], "other": "\ud83d"}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": [], "other": NaN}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": [{"a": [}]]}') \g |test/lib/admin faults -
EXECUTE children;
-- keys that nobody asked for may be what they like
SELECT pg_temp.says('{"a": ' || repeat('[', 62) || repeat(']', 62) || ', "children": [{"childId": "2", "b": {"children": [{"childId": "3"}]}, "c": 1e400, "d": "' || repeat('x', 100000) || '"}], "e": {"children": [1]}}') \g |test/lib/admin faults -
EXECUTE children;
-- a next page that is a number is asked for; one of a megabyte is none, nor is true
SELECT json_build_object('faults', json_build_array(json_build_object('operation', 'children', 'kind', 'status', 'status', 200, 'contentType', 'application/json',
	'body', '{"children": [{"childId": "first"}], "nextPage": 17}', 'times', 1), json_build_object('operation', 'children', 'kind', 'status', 'status', 200,
	'contentType', 'application/json', 'body', '{"children": [{"childId": "second"}]}'))) \g |test/lib/admin faults -
EXECUTE children;
SELECT pg_temp.says('{"children": [], "nextPage": "' || repeat('x', 1048576) || '"}') \g |test/lib/admin faults -
SELECT pg_temp.children();
SELECT pg_temp.says('{"children": [], "nextPage": true}') \g |test/lib/admin faults -
SELECT pg_temp.children();
-- white space, a byte order mark, keys in another order or with escapes
SELECT pg_temp.says(U&'\FEFF' || E' {"nextPage" : null ,\n"\\u0063hildren":[ {"dateOfBirth":"2020-01-01","lastName":"B\\u00e9\\ud83d\\ude00","firstName":"\\"\\\\","childId":"a\\/b"}\r\n] }\n') \g |test/lib/admin faults -
EXECUTE children;

-- Its own errors may be anything, too; control characters do not get through.
SELECT json_build_object('faults', json_build_array(json_build_object('operation', 'children',
	'kind', 'status', 'status', 418, 'contentType', 'application/json', 'body', body)))
FROM (VALUES (E'{"error": {"code": "\\n\\u001b[2J", "message": "first\\nERROR:  second\\u0085' || repeat('é', 5000) || '"}}')) v (body) \g |test/lib/admin faults -
SELECT regexp_replace(pg_temp.children(), 'é{100,}', 'é...');
SELECT json_build_object('faults', json_build_array(json_build_object('operation', 'children',
	'kind', 'status', 'status', 403, 'contentType', 'application/json', 'body', '{"error": {"code": ["BAD"], "message": {"a": 1}}}'))) \g |test/lib/admin faults -
SELECT pg_temp.children();

-- A secret that the service repeats does not get through either.
\! test/lib/admin faults '{"faults": [{"kind": "echo_password", "operation": "children"}, {"kind": "echo_password", "operation": "token", "times": 1}]}'
SELECT pg_temp.children();
SELECT pg_temp.children();

-- After all that, it is as it was.
\! test/lib/admin faults '{"faults": []}'
EXECUTE children;
EXECUTE held;

ROLLBACK;
SELECT kinderconnect.remove_secret(name) FROM unnest(ARRAY['regress.client', 'regress.group', 'regress.wrong']) name;
