-- The session's engine: calls and locks that outlive a transaction, and what
-- ends them.
\set organization regress_engine
\set ECHO none
\i test/lib/service.sql
\pset format unaligned
\pset tuples_only on
SET kinderconnect.max_in_flight = 1;

-- All that ends, by ticket; elapsed and bytes differ from run to run.
CREATE FUNCTION pg_temp.all_ended() RETURNS TABLE (ticket bigint, operation text, ok boolean, sent boolean, sqlstate text, message text, entries bigint, attempts integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	more  kinderconnect.call_outcome[];
	ended kinderconnect.call_outcome[] := '{}';
BEGIN
	LOOP
		more := ARRAY(SELECT c FROM kinderconnect._collect() c);
		EXIT WHEN more = '{}';
		ended := ended || more;
	END LOOP;
	RETURN QUERY SELECT e.ticket, e.operation, e.ok, e.sent, e.sqlstate, e.message, e.entries, e.attempts FROM unnest(ended) e ORDER BY 1;
END
$$;

-- Without one there is nothing to do, and closing is no error.
SELECT kinderconnect._close();
SELECT statement || ' -> ' || pg_temp.fails('SELECT ' || statement) FROM unnest(ARRAY[
	$$ kinderconnect._room() $$,
	$$ kinderconnect._pending() $$,
	$$ kinderconnect._start('customers', 'regress_engine') $$,
	$$ kinderconnect._collect() $$,
	$$ kinderconnect._lock('regress_engine') $$,
	$$ kinderconnect._open('0 s') $$]) statement;

SELECT kinderconnect._open('5 minutes');
SELECT pg_temp.fails('SELECT kinderconnect._open(NULL)');
SELECT kinderconnect._room(), kinderconnect._pending();
SELECT statement || ' -> ' || pg_temp.fails('SELECT ' || statement) FROM unnest(ARRAY[
	$$ kinderconnect._start('customers', NULL) $$,
	$$ kinderconnect._start('billing', 'regress_engine') $$,
	$$ kinderconnect._start('submit', 'regress_engine') $$,
	$$ kinderconnect._start('customers', 'regress_nobody') $$,
	$$ kinderconnect._start('children', 'regress_engine', 'TX-28', 'P55501') $$,
	$$ kinderconnect._start('children', 'regress_engine', 'TX-28', 'P55501', month => 'infinity') $$,
	$$ kinderconnect._start('readback', 'regress_engine', 'TX-28', 'P55501', from_date => '2026-11-01') $$,
	$$ kinderconnect._start_submit('regress_engine', 'TX-28', 'P55501', 'b', '{}') $$,
	$$ kinderconnect._rows(1, NULL::kinderconnect.reply_child) $$,
	$$ kinderconnect._release(1) $$,
	$$ kinderconnect._unlock('regress_engine') $$]) statement;
SELECT kinderconnect._pending();

-- A record that the dialect cannot say is the error of whoever sends it, at
-- once and also where it would have to wait; nobody else's call is harmed, nor
-- is the engine by what aborts within the transaction.
SELECT kinderconnect._start('customers', 'regress_engine'), kinderconnect._start('agencies', 'regress_engine', customer_id => 'C-100');
SELECT kinderconnect._room();
SELECT pg_temp.fails($$ SELECT kinderconnect._start_submit('regress_engine', 'TX-28', 'P55501', 'b', ARRAY[ROW('a', '7', '2026-11-20', 'session', '{24:00}', '{09:00}', NULL)::kinderconnect.wire_record]) $$);
SELECT * FROM pg_temp.all_ended();
SELECT pg_temp.fails($$ SELECT * FROM kinderconnect._rows(1, NULL::kinderconnect.reply_child) $$);
SELECT ordinal, customer_id FROM kinderconnect._rows(1, NULL::kinderconnect.reply_customer);
-- as often as one likes
SELECT count(*) FROM kinderconnect._rows(1, NULL::kinderconnect.reply_customer);
SELECT kinderconnect._release(1), kinderconnect._release(2);
SELECT kinderconnect._pending(), kinderconnect._room();
SELECT pg_temp.fails('SELECT kinderconnect._release(1)');

-- A call that fails has no rows.
UPDATE kinderconnect.organization SET group_password = 'regress.wrong' WHERE organization_id = 'regress_engine';
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT * FROM pg_temp.all_ended();
SELECT kinderconnect._close();
SELECT kinderconnect._open('5 minutes');
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT * FROM pg_temp.all_ended();
SELECT pg_temp.fails('SELECT * FROM kinderconnect._rows(1, NULL::kinderconnect.reply_customer)');
UPDATE kinderconnect.organization SET group_password = 'regress.group' WHERE organization_id = 'regress_engine';
SELECT kinderconnect._close();

-- The deadline ends what waits, sent or not.
SELECT kinderconnect._open('10 ms');
SELECT pg_sleep(0.02);
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT * FROM pg_temp.all_ended();
SELECT kinderconnect._close();

-- Where the service asks for a longer pause than there is time, a call ends
-- with what it failed at, and not as if the deadline had come. Of a token that
-- cannot be had nobody asks again meanwhile.
\! test/lib/admin reset
SELECT kinderconnect._open('5 minutes');
\! test/lib/admin faults '{"faults": [{"kind": "status", "status": 429, "retryAfter": "900", "operation": "token"}]}'
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT * FROM pg_temp.all_ended();
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT * FROM pg_temp.all_ended();
\! test/lib/admin requests operations token received
SELECT kinderconnect._close();
SELECT kinderconnect._open('5 minutes');
\! test/lib/admin faults '{"faults": [{"kind": "status", "status": 429, "retryAfter": "900", "operation": "customers"}]}'
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT sqlstate, detail, attempts FROM kinderconnect._collect();
-- It may name the moment, which may have passed.
\! test/lib/admin faults '{"faults": [{"kind": "status", "status": 429, "retryAfter": "Fri, 31 Dec 2100 23:59:59 GMT", "operation": "customers"}]}'
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT sqlstate, detail, attempts FROM kinderconnect._collect();
\! test/lib/admin faults '{"faults": [{"kind": "status", "status": 503, "retryAfter": "Sun, 06 Nov 1994 08:49:37 GMT", "operation": "customers", "times": 1}]}'
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT ok, attempts FROM kinderconnect._collect();
SELECT kinderconnect._close();
\! test/lib/admin faults '{"faults": []}'

-- An answer that came while the session was busy with something else is not
-- late.
SELECT kinderconnect._open('5 minutes');
\! test/lib/admin reset
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT * FROM pg_temp.all_ended();
SET kinderconnect.request_timeout = '100ms';
SELECT kinderconnect._start('customers', 'regress_engine');
\! test/lib/admin 'wait?operation=customers&processed=2' processed
SELECT pg_sleep(0.2);
SELECT * FROM pg_temp.all_ended();
RESET kinderconnect.request_timeout;
SELECT kinderconnect._close();

-- Nor is one that comes within the time that is left by then.
SELECT kinderconnect._open('5 minutes');
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT * FROM pg_temp.all_ended();
\! test/lib/admin faults '{"faults": [{"kind": "latency", "ms": 5000, "operation": "customers"}]}'
SET kinderconnect.request_timeout = '4s';
SELECT kinderconnect._start('customers', 'regress_engine');
SELECT pg_sleep(4.5);
SELECT * FROM pg_temp.all_ended();
RESET kinderconnect.request_timeout;
SELECT kinderconnect._close();
\! test/lib/admin faults '{"faults": []}'

-- A call whose next page still waits for its turn when the deadline comes failed
-- at nothing: what an attempt failed at before has been mended.
SELECT kinderconnect._open('4 seconds');
\! test/lib/admin faults '{"faults": [{"kind": "status", "status": 503, "operation": "children", "times": 1}, {"kind": "endless_pages", "operation": "children"}, {"kind": "latency", "ms": 300, "operation": "agencies"}, {"kind": "hang", "operation": "locations"}]}'
SELECT kinderconnect._start('children', 'regress_engine', 'TX-28', 'P55501', month => '2026-11-01');
SELECT kinderconnect._start('agencies', 'regress_engine', customer_id => 'C-100');
SELECT operation, ok FROM kinderconnect._collect();
SELECT kinderconnect._start('locations', 'regress_engine', customer_id => 'C-100');
SELECT operation, sqlstate, detail FROM kinderconnect._collect() ORDER BY operation COLLATE "C";
SELECT kinderconnect._close();
\! test/lib/admin reset
\! test/lib/admin faults '{"faults": []}'

-- A submit that a gateway gave up on may have been acted upon: it is not
-- repeated. One that the service did not take is.
SELECT kinderconnect._open('5 minutes');
\! test/lib/admin faults '{"faults": [{"kind": "status", "status": 502, "operation": "submit", "times": 1}, {"kind": "status", "status": 503, "operation": "submit", "times": 1}]}'
SELECT kinderconnect._start_submit('regress_engine', 'TX-28', 'P55501', 'b1', ARRAY[ROW('a', '7', '2026-11-20', 'absence', NULL, NULL, 'SICK')::kinderconnect.wire_record]);
SELECT * FROM pg_temp.all_ended();
SELECT kinderconnect._start_submit('regress_engine', 'TX-28', 'P55501', 'b2', ARRAY[ROW('a', '7', '2026-11-20', 'absence', NULL, NULL, 'SICK')::kinderconnect.wire_record]);
SELECT * FROM pg_temp.all_ended();
SELECT kinderconnect._close();
-- A value without a code, where a code has to make an object; and a request
-- over the limit. Neither is sent; the second one's size is known only with
-- its token.
INSERT INTO kinderconnect.dialect
SELECT 'regress_engine', d.description, false, d.auth FROM kinderconnect.dialect d WHERE d.dialect = 'kinderbridge';
INSERT INTO kinderconnect.dialect_operation
SELECT (jsonb_populate_record(o, '{"dialect": "regress_engine"}')).* FROM kinderconnect.dialect_operation o WHERE o.dialect = 'kinderbridge';
INSERT INTO kinderconnect.dialect_field
SELECT (jsonb_populate_record(f, '{"dialect": "regress_engine"}')).* FROM kinderconnect.dialect_field f WHERE f.dialect = 'kinderbridge';
UPDATE kinderconnect.dialect_field SET path = 'provider.id'
WHERE dialect = 'regress_engine' AND operation = 'children' AND part = 'request' AND column_name = 'provider_id';
UPDATE kinderconnect.dialect_field SET path = 'provider', codes = '{"TX-28": {"in": "Texas"}, "LA-1": {}}'
WHERE dialect = 'regress_engine' AND operation = 'children' AND part = 'request' AND column_name = 'agency_id';
UPDATE kinderconnect.dialect_operation SET max_bytes = 1024 WHERE dialect = 'regress_engine' AND operation = 'locations';
UPDATE kinderconnect.endpoint SET dialect = 'regress_engine' WHERE endpoint = 'regress';
\! test/lib/admin reset
SELECT pg_temp.fails($$ SELECT * FROM kinderconnect.api_children('regress_engine', 'MO-1', 'P29001', '2026-11-01') $$);
SELECT pg_temp.fails($$ SELECT * FROM kinderconnect.api_locations('regress_engine', repeat('C', 1024)) $$);
\! test/lib/admin requests operations children received
\! test/lib/admin requests operations locations received

-- An engine and its locks end with a transaction that aborts, and go on past
-- one that commits.
ROLLBACK;
BEGIN;
SELECT kinderconnect._open('5 minutes');
SELECT kinderconnect._lock('regress_engine'), kinderconnect._lock('regress_engine');
COMMIT;
BEGIN;
SELECT kinderconnect._lock('regress_other');
-- one that was taken from it is taken anew
SELECT pg_advisory_unlock_all();
SELECT kinderconnect._lock('regress_other');
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
SELECT kinderconnect._lock('regress_engine'), kinderconnect._lock('regress_engine');
SELECT kinderconnect._unlock('regress_other');
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
ROLLBACK;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
SELECT pg_temp.fails('SELECT kinderconnect._pending()');

-- They end with the subtransaction in which it was opened, for what failed in
-- there cannot close it; not with another one, nor with one of a later
-- transaction.
BEGIN;
SAVEPOINT opened;
SELECT kinderconnect._open('5 minutes'), kinderconnect._lock('regress_engine');
ROLLBACK TO opened;
SELECT pg_temp.fails('SELECT kinderconnect._pending()');
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
SAVEPOINT released;
SELECT kinderconnect._open('5 minutes');
RELEASE released;
SELECT kinderconnect._pending();
ROLLBACK TO opened;
SELECT pg_temp.fails('SELECT kinderconnect._pending()');
SELECT kinderconnect._open('5 minutes');
SELECT pg_temp.fails('SELECT 1 / 0');
SELECT kinderconnect._pending();
COMMIT;
BEGIN;
SAVEPOINT later;
ROLLBACK TO later;
COMMIT;
SELECT kinderconnect._pending();
SELECT kinderconnect._close();
SELECT kinderconnect.remove_secret(name) FROM unnest(ARRAY['regress.client', 'regress.group', 'regress.wrong']) name;
