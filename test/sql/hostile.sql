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
