-- One call each: what the service lists, as typed rows; what it is sent, read
-- back; and how each refusal is named.
\set organization regress_api
\set ECHO none
\i test/lib/service.sql
\pset format unaligned
\pset footer off
-- nothing depends on the client's clock
SET timezone = 'Pacific/Kiritimati';

-- The lists.
SELECT * FROM kinderconnect.api_customers('regress_api');
SELECT * FROM kinderconnect.api_locations('regress_api', 'C-100');
SELECT * FROM kinderconnect.api_agencies('regress_api', 'C-100');
SELECT count(*) FROM kinderconnect.api_locations('regress_api', 'C-200');

-- Any day of the month asks for the month. The child without a birth date is
-- a row with a problem, those without an authorization have null columns.
SELECT * FROM kinderconnect.api_children('regress_api', 'TX-28', 'P55501', '2024-03-31');
-- the number of a child at another agency
SELECT ordinal, kinderconnect_child_id, first_name, suffix, authorization_id, begin_date, end_date, units_of_care
FROM kinderconnect.api_children('regress_api', 'MO-1', 'P29001', '2023-01-31');
SELECT ordinal, kinderconnect_child_id, authorization_id, begin_date, end_date
FROM kinderconnect.api_children('regress_api', 'MO-1', 'P29001', '2022-12-01') WHERE kinderconnect_child_id = '3003';
-- leading zeros are part of an id
SELECT kinderconnect_child_id, last_name, days FROM kinderconnect.api_children('regress_api', 'NY-ALB', '00417', '2024-02-29');

-- A number is taken as an id. What is wrong with a record is told in its row,
-- and in no other; nothing that the service wrote is repeated there.
SELECT jsonb_build_object('groupId', 'G-SUN', 'children', jsonb_agg('{"agencyId": "LA-1", "providers": ["P70001"]}' || child)) FROM unnest(ARRAY[
	'{"childId": 4711, "firstName": "Ida", "lastName": "Number", "dateOfBirth": "2020-02-29", "authorizations": [{"providerId": "P70001", "authorizationId": 90210, "beginDate": "2020-01-06", "endDate": "2030-12-31", "unitsOfCare": 12.5, "days": []}]}',
	'{"childId": "4712", "firstName": "Two", "lastName": "Authorizations", "dateOfBirth": "2020-02-28", "subsidized": true, "authorizations": [{"providerId": "P70001", "authorizationId": "a", "beginDate": "2020-01-06", "days": ["MO", "WE"]}, {"providerId": "P70001", "authorizationId": "b"}]}',
	'{"childId": "4713", "firstName": "", "middleName": 5, "lastName": "No First Name", "dateOfBirth": "2020-02-28"}',
	'{"childId": "4714", "firstName": "Born", "lastName": "Never", "dateOfBirth": "2021-02-29", "subsidized": "yes"}',
	'{"childId": "4715", "firstName": {"first": "Deep"}, "lastName": ["List"], "suffix": false, "dateOfBirth": 20200228}',
	'{"childId": "4716", "firstName": "Wrong", "lastName": "Dates", "dateOfBirth": "2020-2-28", "authorizations": [{"providerId": "P70001", "authorizationId": 1.5, "beginDate": "soon", "endDate": "2024-13-01", "days": "MO"}]}',
	'{"childId": "4717", "firstName": "Ünïcödé", "lastName": "李 😀 O''Neal", "dateOfBirth": "0001-01-01"}']::jsonb[]) child
\g (format=unaligned tuples_only=on) |test/lib/admin patch -
SELECT * FROM kinderconnect.api_children('regress_api', 'LA-1', 'P70001', '2024-03-31') WHERE kinderconnect_child_id LIKE '47%';

-- Lists of many children are alike, or almost.
SELECT jsonb_build_object('groupId', 'G-SUN', 'children', jsonb_agg(jsonb_build_object('agencyId', 'LA-1', 'providers', ARRAY['P70001'], 'childId', 4720 + n,
	'firstName', 'Child', 'lastName', 'Number ' || n, 'dateOfBirth', '2020-02-28', 'authorizations',
	jsonb_build_array(jsonb_build_object('providerId', 'P70001', 'authorizationId', n, 'beginDate', '2020-01-06', 'days', days::jsonb)))))
FROM unnest(ARRAY['["MO", "WE"]', '["MO", "WE"]', '["MO", "TH"]', '["MOW", "E"]', '["MO", "WE", ""]', '["MO", "WE"]', '["MO", "WE", null]', '["MO", 5]', '["MO", "WE"]',
	'["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "each day"]',
	'["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "weekends"]', '["MO", true]', '["MO", "WE"]']) WITH ORDINALITY d(days, n)
\g (format=unaligned tuples_only=on) |test/lib/admin patch -
SELECT kinderconnect_child_id, days, problem FROM kinderconnect.api_children('regress_api', 'LA-1', 'P70001', '2024-03-31') WHERE kinderconnect_child_id LIKE '472%' OR kinderconnect_child_id LIKE '473%'
ORDER BY ordinal;

-- A list of many pages is one list. A page that fails is asked for again, and
-- nothing is lost or there twice, also where some of its rows were in.
SELECT jsonb_build_object('groupId', 'G-SUN', 'children', jsonb_agg(jsonb_build_object('agencyId', 'TX-28', 'childId', n, 'firstName', 'Child',
	'lastName', 'Number ' || n, 'dateOfBirth', date '2020-01-01' + n, 'providers', ARRAY['P55501']))) FROM generate_series(50001, 50240) n
\g (format=unaligned tuples_only=on) |test/lib/admin patch -
CREATE FUNCTION pg_temp.many() RETURNS TABLE (rows bigint, children bigint, first integer, last integer, problems bigint) LANGUAGE sql AS $$
	SELECT count(*), count(DISTINCT kinderconnect_child_id), min(ordinal), max(ordinal), count(problem)
	FROM kinderconnect.api_children('regress_api', 'TX-28', 'P55501', '2024-03-31');
$$;
\! test/lib/admin requests operations children received
SELECT * FROM pg_temp.many();
\! test/lib/admin requests operations children received
\! test/lib/admin faults '{"faults": [{"operation": "children", "kind": "status", "status": 503, "skip": 1, "times": 1}]}'
SELECT * FROM pg_temp.many();
\! test/lib/admin faults '{"faults": [{"operation": "children", "kind": "cut", "skip": 2, "times": 1}]}'
SELECT * FROM pg_temp.many();
\! test/lib/admin faults faults 0 met
\! test/lib/admin reset

-- What is sent is what is read back: two pairs, an absence with and without a
-- reason, a closure. The answers are the service's, record by record.
CREATE FUNCTION pg_temp.send(VARIADIC records kinderconnect.wire_record[]) RETURNS SETOF kinderconnect.reply_result LANGUAGE sql AS $$
	SELECT * FROM kinderconnect.api_submit('regress_api', 'MO-1', 'P29001', 'batch', records);
$$;
CREATE FUNCTION pg_temp.held() RETURNS TABLE (ordinal integer, problem text, record_id text, child text, service_date date, kind text,
	session_in time[], session_out time[], absence_reason text, received boolean) LANGUAGE sql AS $$
	SELECT ordinal, problem, record_id, kinderconnect_child_id, service_date, kind, session_in, session_out, absence_reason,
		received_at BETWEEN clock_timestamp() - interval '1 hour' AND clock_timestamp()
	FROM kinderconnect.api_readback('regress_api', 'MO-1', 'P29001', '2024-03-11', '2024-03-12');
$$;
SELECT * FROM pg_temp.send(
	ROW('r1', '1001', '2024-03-11', 'session', '{08:02,12:30}', '{12:00,16:31}', NULL),
	ROW('r2', '3002', '2024-03-11', 'absence', NULL, NULL, NULL),
	ROW('r3', '3003', '2024-03-11', 'absence', NULL, NULL, 'Sick "today"'),
	ROW('r3b', '3003', '2024-03-12', 'absence', NULL, NULL, 'Sick\today'),
	ROW('r4', '1001', '2024-03-12', 'closure', NULL, NULL, NULL),
	ROW('r5', '3002', '2024-03-12', 'session', '{NULL}', '{17:00}', NULL),
	ROW('r6', '1002', '2024-03-12', 'session', '{08:00:59}', '{17:00}', NULL),
	ROW('r7', '3003', '2024-03-13', 'session', '{22:00}', '{06:00}', NULL));
SELECT * FROM pg_temp.held();
-- what is no text is sent as it is, in JSON
SELECT * FROM pg_temp.send(ROW('rt', '3003', '2024-03-12', 'absence', NULL, NULL, E'Sick\ttoday'));
-- the same again changes nothing; a later record replaces, and takes back
SELECT * FROM pg_temp.send(
	ROW('r1', '1001', '2024-03-11', 'session', '{08:02,12:30}', '{12:00,16:31}', NULL),
	ROW('r4', '1001', '2024-03-12', 'session', '{08:00}', '{09:00}', NULL));
SELECT * FROM pg_temp.send(
	ROW('r8', '1001', '2024-03-11', 'session', '{08:02}', '{16:31}', NULL),
	ROW('r9', '3003', '2024-03-11', 'void', NULL, NULL, NULL));
SELECT * FROM pg_temp.held();

-- A reply that does not fit what was sent is shown as it is; who sent must
-- look.
\! test/lib/admin faults '{"faults": [{"kind": "results_short", "times": 1}, {"kind": "results_long", "times": 1}, {"kind": "results_shuffled", "times": 1}, {"kind": "results_unknown_status", "times": 1}]}'
PREPARE again AS SELECT ordinal, record_id, status FROM pg_temp.send(
	ROW('r8', '1001', '2024-03-11', 'session', '{08:02}', '{16:31}', NULL),
	ROW('r2', '3002', '2024-03-11', 'absence', NULL, NULL, NULL));
EXECUTE again;
EXECUTE again;
EXECUTE again;
EXECUTE again;

-- Nothing is asked with a null; other arguments that cannot be asked for.
\pset tuples_only on
\! test/lib/admin reset
SELECT pg_temp.fails($$ SELECT kinderconnect.api_customers(NULL) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_locations('regress_api', NULL) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_locations(NULL, 'C-100') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_agencies('regress_api', NULL) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_api', NULL, 'P55501', '2024-03-31') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_api', 'TX-28', NULL, '2024-03-31') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_api', 'TX-28', 'P55501', NULL) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_readback('regress_api', NULL, 'P55501', '2024-03-01', '2024-03-31') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_readback('regress_api', 'TX-28', NULL, '2024-03-01', '2024-03-31') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_readback('regress_api', 'TX-28', 'P55501', NULL, '2024-03-31') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_readback('regress_api', 'TX-28', 'P55501', '2024-03-01', NULL) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_submit('regress_api', 'TX-28', 'P55501', NULL, '{}') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_submit('regress_api', 'TX-28', 'P55501', 'batch', NULL) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_customers('nobody') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_api', 'TX-28', 'P55501', 'infinity') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_readback('regress_api', 'TX-28', 'P55501', '2024-03-01', '-infinity') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_api', 'TX-28', 'P55501', '0001-01-01 BC') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_submit('regress_api', 'TX-28', 'P55501', 'batch', '{}') $$);
SELECT pg_temp.fails($$ SELECT * FROM pg_temp.send(ROW('r', '1001', '2024-03-11', 'holiday', NULL, NULL, NULL)) $$);
\! test/lib/admin requests received

-- Who is refused is told what to look at.
CREATE FUNCTION pg_temp.fails_with(change text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.fails(change || $x$; SELECT kinderconnect.api_children('regress_api', 'TX-28', 'P55501', '2024-03-31') $x$);
$$;
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.organization SET group_password = 'regress.wrong' WHERE organization_id = 'regress_api' $$);
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.organization SET group_id = 'G-MOON' WHERE organization_id = 'regress_api' $$);
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.organization SET group_password = 'regress.absent' WHERE organization_id = 'regress_api' $$);
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.endpoint SET client_secret = 'regress.absent' WHERE endpoint = 'regress' $$);
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.endpoint SET client_secret = 'regress.wrong' WHERE endpoint = 'regress' $$);
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.endpoint SET client_id = 'nobody' WHERE endpoint = 'regress' $$);
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.endpoint SET base_url = base_url || '/v2/' WHERE endpoint = 'regress' $$);
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.endpoint SET token_url = base_url || '/token' WHERE endpoint = 'regress' $$);
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.organization SET endpoint = 'regress.nowhere' WHERE organization_id = 'regress_api' $$);
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.endpoint SET base_url = 'http://127.0.0.1:1' WHERE endpoint = 'regress' $$);
SELECT pg_temp.fails_with($$ UPDATE kinderconnect.endpoint SET base_url = 'https://name..invalid' WHERE endpoint = 'regress' $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_api', 'TX-28', 'P55502', '2024-03-31') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_children('regress_api', 'TX-99', 'P55501', '2024-03-31') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_locations('regress_api', 'C-999') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.api_readback('regress_api', 'TX-28', 'P55501', '2024-03-31', '2024-03-01') $$);
-- one record fails its whole batch here
SELECT pg_temp.fails($$ SELECT kinderconnect.api_submit('regress_api', 'TX-ELP', 'P55502', 'batch', ARRAY[
	ROW('r1', '2001', '2024-03-11', 'absence', NULL, NULL, NULL), ROW('r2', '2002', '2024-03-10', 'absence', NULL, NULL, NULL)]::kinderconnect.wire_record[]) $$);

-- What is busy is asked again, what refuses is not.
CREATE FUNCTION pg_temp.fails() RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.fails($x$ SELECT kinderconnect.api_children('regress_api', 'TX-28', 'P55501', '2024-03-31') $x$);
$$;
\! test/lib/admin reset
\! test/lib/admin faults '{"faults": [{"operation": "children", "kind": "status", "status": 429}]}'
SELECT pg_temp.fails();
\! test/lib/admin requests operations children received
\! test/lib/admin faults '{"faults": [{"operation": "children", "kind": "status", "status": 502, "contentType": "text/html", "body": "<h1>Bad gateway</h1>"}]}'
SELECT pg_temp.fails();
\! test/lib/admin requests operations children received
\! test/lib/admin faults '{"faults": [{"operation": "children", "kind": "status", "status": 500}]}'
SELECT pg_temp.fails();
\! test/lib/admin requests operations children received
\! test/lib/admin faults '{"faults": [{"operation": "token", "kind": "status", "status": 503, "times": 1}, {"operation": "children", "kind": "drop_after", "times": 1}]}'
SELECT count(*) FROM kinderconnect.api_children('regress_api', 'TX-28', 'P55501', '2024-03-31');
\! test/lib/admin requests operations children received

-- A token that has expired is renewed once.
\! test/lib/admin reset
\! test/lib/admin faults '{"faults": [{"operation": "children", "kind": "expire_token", "times": 1}]}'
SELECT count(*) FROM kinderconnect.api_children('regress_api', 'TX-28', 'P55501', '2024-03-31');
\! test/lib/admin requests operations token received
\! test/lib/admin faults '{"faults": [{"operation": "children", "kind": "expire_token"}]}'
SELECT pg_temp.fails();
\! test/lib/admin requests operations token received

-- Where the service gives a code, that counts, whatever the status is.
\! test/lib/admin faults '{"faults": [{"operation": "children", "kind": "status", "status": 401, "contentType": "application/json", "body": "{\"error\": {\"code\": \"BAD_GROUP_PASSWORD\", \"message\": \"Who are you?\"}}"}]}'
SELECT pg_temp.fails();
\! test/lib/admin faults '{"faults": [{"operation": "children", "kind": "status", "status": 401, "contentType": "application/json", "body": "{\"error\": {\"code\": \"PROVIDER_NOT_IN_GROUP\", \"message\": \"Not yours.\"}}"}]}'
SELECT pg_temp.fails();

-- A submit whose answer is lost is not sent a second time.
\! test/lib/admin faults '{"faults": [{"operation": "submit", "kind": "drop_after"}]}'
SELECT pg_temp.fails($$ SELECT * FROM pg_temp.send(ROW('r1', '1001', '2024-03-11', 'absence', NULL, NULL, NULL)) $$);
\! test/lib/admin faults '{"faults": [{"operation": "submit", "kind": "status", "status": 503, "times": 1}]}'
SELECT * FROM pg_temp.send(ROW('r1', '1001', '2024-03-11', 'absence', NULL, NULL, NULL));
\! test/lib/admin requests operations submit received

ROLLBACK;
SELECT kinderconnect.remove_secret(name) FROM unnest(ARRAY['regress.client', 'regress.group', 'regress.wrong']) name;
