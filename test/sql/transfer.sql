-- What becomes of records: which go once more and as what, what the service's
-- answer changes, and what an answer that is lost does. Days are counted back
-- from the location's today, in a zone without clock changes. The replies are
-- the entries of pg_temp.said, instead of those that the service sends.
\set VERBOSITY terse
\set ON_ERROR_ROLLBACK on
BEGIN;
SET LOCAL client_min_messages = warning;
TRUNCATE kinderconnect.endpoint, kinderconnect.agency CASCADE;
DELETE FROM kinderconnect.agency_rule WHERE NOT builtin;
CREATE SCHEMA regress_transfer
	CREATE TABLE child (child_id text)
	CREATE TABLE visit (location_id text, child_id text, check_in timestamptz, check_out timestamptz);
SELECT kinderconnect.bind_manage('organization', $$ SELECT 'o' AS organization_id, 'Org' AS name $$);
SELECT kinderconnect.bind_manage('location', $$ SELECT 'o' AS organization_id, 'L' || n AS location_id, 'L' || n AS name, NULL AS zip, 'America/Phoenix' AS time_zone FROM generate_series(1, 3) n $$);
SELECT kinderconnect.bind_manage('child', $$ SELECT 'o' AS organization_id, NULL AS location_id, child_id, child_id AS first_name, NULL AS middle_name, 'Lee' AS last_name, NULL AS suffix, date '2020-02-02' AS date_of_birth, true AS active FROM regress_transfer.child $$);
SELECT kinderconnect.bind_manage('attendance', $$ SELECT 'o' AS organization_id, location_id, child_id, child_id || check_in AS attendance_id, 'session' AS kind, check_in, check_out, NULL::date AS service_date, NULL AS reason, NULL::timestamptz AS modified_at FROM regress_transfer.visit $$);
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('e', 'kinderbridge', 'https://example.com');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) VALUES ('o', 'e', 'g', 'p', '2020-01-01');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, configured_location_id) VALUES ('o', 'A', 'P1', true, 'L1'), ('o', 'A', 'P2', true, 'L2');
INSERT INTO kinderconnect.run (run_id, scope, started_at) VALUES (1, '{}', now());
INSERT INTO kinderconnect.run_organization (organization_id, run_id, locked) VALUES ('o', 1, true);
-- both have listed their children in this run
INSERT INTO kinderconnect.list_state (organization_id, operation, agency_id, provider_id, month, entries, taken_at)
SELECT 'o', 'children', 'A', p, date_trunc('month', now())::date, 9, now() FROM unnest('{P1,P2}'::text[]) p;

CREATE FUNCTION pg_temp.day(n integer) RETURNS date STABLE LANGUAGE sql AS $$ SELECT (now() AT TIME ZONE 'America/Phoenix')::date - n $$;
-- a child whose id is the same on both sides, linked, authorized, and there on day 3
CREATE FUNCTION pg_temp.child(id text, provider text DEFAULT 'P1') RETURNS void LANGUAGE sql AS $$
	INSERT INTO regress_transfer.child VALUES (id);
	INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized) VALUES ('o', 'A', id, id, 'Lee', '2020-02-02', true);
	INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, linked_at) VALUES ('o', 'A', id, id, 'person', now() - interval '9 days');
	INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date) VALUES ('o', 'A', provider, id, 'a', pg_temp.day(3), pg_temp.day(3));
	INSERT INTO regress_transfer.visit SELECT 'L' || right(provider, 1), id, (pg_temp.day(3) + time '8:00') AT TIME ZONE 'America/Phoenix', (pg_temp.day(3) + time '9:00') AT TIME ZONE 'America/Phoenix' $$;
CREATE FUNCTION pg_temp.later(id text) RETURNS void LANGUAGE sql AS $$
	UPDATE regress_transfer.visit SET check_out = check_out + interval '1 hour' WHERE child_id = id $$;
CREATE FUNCTION pg_temp.plan() RETURNS void LANGUAGE sql AS $$ SELECT kinderconnect._match('o'), kinderconnect._plan('o', NULL, NULL, NULL, NULL) $$;
-- the next batch of a provider is on its way; answers whose records it carries
CREATE FUNCTION pg_temp.send(provider text DEFAULT 'P1') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	b text := (SELECT n.batch_id FROM kinderconnect._next_batches(1, ARRAY['o'], ARRAY['A'], ARRAY[provider], NULL, NULL) n);
BEGIN
	RETURN (SELECT string_agg(format('%s: %s', l.kinderconnect_child_id, l.content), ', ' ORDER BY l.kinderconnect_child_id COLLATE "C")
		FROM kinderconnect.batch_record r JOIN kinderconnect.ledger l USING (organization_id, record_id) WHERE r.batch_id = b);
END;
$$;
CREATE TEMPORARY TABLE said (ordinal integer GENERATED ALWAYS AS IDENTITY, said jsonb);
CREATE OR REPLACE FUNCTION kinderconnect._rows(ticket bigint, row_type anyelement) RETURNS SETOF anyelement LANGUAGE sql AS $$
	SELECT (jsonb_populate_record(row_type, jsonb_build_object('ordinal', s.ordinal) || s.said)).* FROM pg_temp.said s $$;
-- what is on its way to a provider is answered so, or fails so
CREATE FUNCTION pg_temp.outcome(provider text, operation text) RETURNS kinderconnect.call_outcome LANGUAGE plpgsql AS $$
DECLARE
	outcome kinderconnect.call_outcome;
BEGIN
	outcome.ticket := 1;
	outcome.operation := operation;
	outcome.organization_id := 'o';
	outcome.agency_id := 'A';
	outcome.provider_id := provider;
	outcome.batch_id := (SELECT b.batch_id FROM kinderconnect.batch b WHERE b.provider_id = provider AND b.state = 'sending');
	outcome.ok := true;
	outcome.problems := (SELECT count(*) FROM pg_temp.said s WHERE s.said ? 'problem');
	RETURN outcome;
END;
$$;
CREATE FUNCTION pg_temp.record_of(child text) RETURNS text LANGUAGE sql AS $$
	SELECT d.record_id FROM kinderconnect.child_day d WHERE d.kinderconnect_child_id = child $$;
CREATE FUNCTION pg_temp.says(VARIADIC entries jsonb[]) RETURNS void LANGUAGE sql AS $$
	DELETE FROM pg_temp.said;
	INSERT INTO pg_temp.said (said) SELECT e FROM unnest(entries) WITH ORDINALITY u(e, n) ORDER BY n $$;
CREATE FUNCTION pg_temp.answer(child text, status text, message text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('record_id', pg_temp.record_of(child), 'status', status, 'code', upper(message), 'message', message) $$;
CREATE FUNCTION pg_temp.held(record text, child text, begins text DEFAULT '08:00', ends text DEFAULT '09:00') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('record_id', record, 'kinderconnect_child_id', child, 'service_date', pg_temp.day(3), 'kind', 'session', 'session_in', ARRAY[begins], 'session_out', ARRAY[ends]) $$;
CREATE FUNCTION pg_temp.answered(provider text DEFAULT 'P1') RETURNS void LANGUAGE sql AS $$
	SELECT kinderconnect._take_answers(1, ARRAY[pg_temp.outcome(provider, 'submit')]) $$;
CREATE FUNCTION pg_temp.read_back(provider text DEFAULT 'P1') RETURNS void LANGUAGE sql AS $$
	SELECT kinderconnect._take_readback(1, pg_temp.outcome(provider, 'readback')) $$;
CREATE FUNCTION pg_temp.fails(http integer, message text, is_sent boolean DEFAULT false, provider text DEFAULT 'P1') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	outcome kinderconnect.call_outcome := pg_temp.outcome(provider, 'submit');
BEGIN
	outcome.ok := false;
	outcome.sent := is_sent;
	outcome.sqlstate := CASE WHEN is_sent THEN 'KC103' ELSE 'KC204' END;
	outcome.http_status := http;
	outcome.code := upper(message);
	outcome.message := message;
	PERFORM kinderconnect._take_failure(1, outcome);
END;
$$;
CREATE FUNCTION pg_temp.settle(outcome text) RETURNS void LANGUAGE sql AS $$
	SELECT kinderconnect._settle('o', array_agg(l.record_id), outcome, NULL, NULL) FROM kinderconnect.ledger l WHERE l.state IN ('sending', 'unknown');
	UPDATE kinderconnect.batch SET state = 'answered', ended_at = clock_timestamp() WHERE state = 'sending' $$;
CREATE VIEW pg_temp.state AS SELECT kinderconnect_child_id AS child, state, reason, content, accepted_content AS there, code, message FROM kinderconnect.child_day
	ORDER BY kinderconnect_child_id COLLATE "C";
CREATE VIEW pg_temp.record AS SELECT kinderconnect_child_id AS child, child_id, kind, content, state, code, message, answered_at IS NOT NULL AS answered, location_id FROM kinderconnect.ledger
	ORDER BY kinderconnect_child_id COLLATE "C", created_at;
CREATE VIEW pg_temp.failure AS SELECT provider_id, halted, sqlstate, error FROM kinderconnect.run_provider WHERE sqlstate IS NOT NULL ORDER BY provider_id;
SAVEPOINT nights;

-- Whether a record that was not taken goes once more, or another is made.
\o /dev/null
SELECT pg_temp.child(id) FROM unnest('{as it was,changed,site,whose}'::text[]) id;
SELECT pg_temp.plan(), pg_temp.send(), pg_temp.settle('not_taken'), pg_temp.later('changed');
UPDATE regress_transfer.visit SET location_id = 'L3' WHERE child_id = 'site';
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, configured_location_id) VALUES ('o', 'A', 'P3', true, 'L1');
UPDATE kinderconnect.provider SET configured_location_id = 'L3' WHERE provider_id = 'P1';
UPDATE regress_transfer.visit SET location_id = 'L3';
INSERT INTO regress_transfer.child VALUES ('another');
SELECT kinderconnect.link_child('o', 'A', 'whose', 'another');
UPDATE regress_transfer.visit SET child_id = 'another' WHERE child_id = 'whose';
SELECT pg_temp.plan();
\o
SELECT pg_temp.send();
SELECT * FROM pg_temp.record;
ROLLBACK TO nights;

-- One that was rejected is not judged again under its id.
\o /dev/null
SELECT pg_temp.child('rejected'), pg_temp.plan(), pg_temp.send();
SELECT pg_temp.says(pg_temp.answer('rejected', 'rejected', 'late')), pg_temp.answered();
SELECT kinderconnect.retry('o'), pg_temp.plan(), pg_temp.send(), pg_temp.settle('accepted');
\o
SELECT * FROM pg_temp.record;
-- and an outcome that comes late changes none
SELECT kinderconnect._settle('o', array_agg(record_id), 'unknown', NULL, NULL) FROM kinderconnect.ledger;
SELECT * FROM pg_temp.record;
ROLLBACK TO nights;

-- What settles a record that is not the last of its day is the record's alone.
SELECT pg_temp.child('day'), pg_temp.plan(), pg_temp.send() \g /dev/null
UPDATE kinderconnect.child_day SET record_id = 'a later one';
SELECT pg_temp.settle('accepted');
SELECT state, accepted_record_id FROM kinderconnect.child_day;
ROLLBACK TO nights;

-- What takes a day back and was not taken goes again.
\o /dev/null
SET LOCAL kinderconnect.shrink_floor = 9;
SELECT pg_temp.child(id) FROM unnest('{deleted,stays}'::text[]) id;
SELECT pg_temp.plan(), pg_temp.send(), pg_temp.settle('accepted');
DELETE FROM regress_transfer.visit WHERE child_id = 'deleted';
SELECT pg_temp.plan();
\o
SELECT pg_temp.send();
SELECT pg_temp.settle('not_taken');
SELECT * FROM pg_temp.state;
SELECT pg_temp.send();
ROLLBACK TO nights;

-- Whose day it is that a person takes back, where there is no link any more: of
-- him for whom it was sent, else, where the record is not ours, of the last.
\o /dev/null
SELECT pg_temp.child(id) FROM unnest('{ours,theirs}'::text[]) id;
SELECT pg_temp.plan(), pg_temp.send(), pg_temp.settle('accepted');
UPDATE kinderconnect.child_day SET accepted_record_id = 'theirs' WHERE kinderconnect_child_id = 'theirs';
SELECT kinderconnect.unlink_child('o', 'A', id, 'wrong') FROM unnest('{ours,theirs}'::text[]) id;
INSERT INTO regress_transfer.child VALUES ('another');
SELECT kinderconnect.link_child('o', 'A', 'ours', 'another'), kinderconnect.unlink_child('o', 'A', 'ours', 'wrong again');
SELECT pg_temp.plan();
SELECT kinderconnect.void_day('o', 'A', 'P1', id, pg_temp.day(3)) FROM unnest('{ours,theirs}'::text[]) id;
SELECT pg_temp.plan();
\o
SELECT pg_temp.send();
SELECT child, child_id FROM pg_temp.record WHERE kind = 'void';
ROLLBACK TO nights;

-- A person links another between the plan and the transfer.
\o /dev/null
SELECT pg_temp.child(id) FROM unnest('{stays,whose}'::text[]) id;
SELECT pg_temp.plan();
INSERT INTO regress_transfer.child VALUES ('another');
SELECT kinderconnect.link_child('o', 'A', 'whose', 'another');
\o
SELECT pg_temp.send();
SELECT child, state, reason FROM pg_temp.state;
ROLLBACK TO nights;

-- Nothing more is sent for who is halted in this run.
SELECT pg_temp.child('waits'), pg_temp.plan() \g /dev/null
INSERT INTO kinderconnect.run_provider (organization_id, run_id, agency_id, provider_id, halted) VALUES ('o', 0, 'A', 'P1', true), ('o', 1, 'A', 'P1', true);
SELECT pg_temp.send() AS "of a provider";
DELETE FROM kinderconnect.run_provider WHERE run_id = 1;
UPDATE kinderconnect.run_organization SET halted = true;
SELECT pg_temp.send() AS "of an organization";
UPDATE kinderconnect.run_organization SET halted = false;
SELECT pg_temp.send();
ROLLBACK TO nights;

-- What an answer says of a record: nothing, two things, or of one that nobody sent.
\o /dev/null
SELECT pg_temp.child(id) FROM unnest('{accepted,left out,no word,no and yes,yes and no}'::text[]) id;
SELECT pg_temp.plan(), pg_temp.send();
SELECT pg_temp.says(pg_temp.answer('accepted', 'accepted', 'thank you'), pg_temp.answer('no word', NULL, 'what'),
	pg_temp.answer('no and yes', 'rejected', 'no'), pg_temp.answer('no and yes', 'accepted', 'yes'),
	pg_temp.answer('yes and no', 'accepted', 'yes'), pg_temp.answer('yes and no', 'rejected', 'no'), '{"status": "accepted"}');
SAVEPOINT said;
SELECT pg_temp.answered();
\o
SELECT child, state, code, message, answered FROM pg_temp.record;
SELECT * FROM pg_temp.failure;
ROLLBACK TO said;
-- where the service cannot be asked what it holds, it is the same
DELETE FROM kinderconnect.dialect_operation WHERE operation = 'readback';
SELECT pg_temp.answered();
SELECT child, state, code, message, answered FROM pg_temp.record;
ROLLBACK TO said;
DELETE FROM pg_temp.said WHERE said ->> 'status' IS NULL OR said ->> 'message' IN ('yes', 'no');
SELECT pg_temp.says(VARIADIC array_agg(pg_temp.answer(id, 'accepted')) || '{"status": "accepted"}'::jsonb) FROM unnest('{accepted,left out,no word,no and yes,yes and no}'::text[]) id;
SELECT pg_temp.answered();
SELECT * FROM pg_temp.failure;
ROLLBACK TO nights;

-- What cannot be asked is sent once more. A refusal then does not say that it is
-- not there: not alone, not for the provider's fault, and not where it waited.
\o /dev/null
DELETE FROM kinderconnect.dialect_operation WHERE operation = 'readback';
SELECT pg_temp.child(id) FROM unnest('{one,two}'::text[]) id;
SELECT pg_temp.plan(), pg_temp.send(), pg_temp.fails(NULL, 'no answer', true);
UPDATE kinderconnect.dialect_operation SET max_records = 1 WHERE operation = 'submit';
-- in a run before
UPDATE kinderconnect.batch SET created_at = created_at - interval '1 day', run_id = 0;
DELETE FROM kinderconnect.run_provider;
CREATE FUNCTION pg_temp.repeated() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kinderconnect._repeat_unknown(1, 'o', 'A', 'P1');
	RETURN format('%s waiting, %s unknown', (SELECT count(*) FROM kinderconnect.batch WHERE state = 'waiting'), (SELECT count(*) FROM kinderconnect.ledger WHERE state = 'unknown'));
END;
$$;
-- and once more, in this run or another
CREATE FUNCTION pg_temp.lost_again(run bigint) RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.batch SELECT (jsonb_populate_record(b, jsonb_build_object('batch_id', 'again', 'run_id', run, 'created_at', CASE run WHEN 1 THEN now() ELSE b.created_at END))).*
	FROM kinderconnect.batch b WHERE b.state = 'lost' AND b.batch_id <> 'again' $$;
SAVEPOINT lost;
\o
SELECT pg_temp.repeated();
SELECT count(*) AS batches, count(*) FILTER (WHERE repeats) AS "sent before", max(records) AS most FROM kinderconnect.batch WHERE state = 'waiting';
SAVEPOINT repeated;
SELECT length(pg_temp.send()) > 0 AS sent;
SELECT pg_temp.fails(422, 'bad');
SELECT state, code, message, answered, count(*) FROM pg_temp.record GROUP BY 1, 2, 3, 4 ORDER BY 1;
SELECT length(pg_temp.send()) > 0 AS sent;
SELECT pg_temp.fails(422, 'bad');
SELECT state, code, message, answered, count(*) FROM pg_temp.record GROUP BY 1, 2, 3, 4 ORDER BY 1;
SELECT state, code, message, count(*) FROM pg_temp.state GROUP BY 1, 2, 3;
SELECT * FROM pg_temp.failure;
-- in other words
ROLLBACK TO repeated;
SELECT length(pg_temp.send()) > 0 AS sent;
SELECT pg_temp.fails(422, 'bad');
SELECT length(pg_temp.send()) > 0 AS sent;
SELECT pg_temp.fails(422, 'worse');
SELECT state, code, count(*) FROM pg_temp.state GROUP BY 1, 2 ORDER BY 2;
-- given up
ROLLBACK TO repeated;
SELECT length(pg_temp.send()) > 0 AS sent;
SELECT pg_temp.fails(404, 'who');
SELECT state, code, message, answered, count(*) FROM pg_temp.record GROUP BY 1, 2, 3, 4 ORDER BY 1;
SELECT state, count(*) FROM pg_temp.state GROUP BY 1;
SELECT * FROM pg_temp.failure;
-- halved
ROLLBACK TO lost;
UPDATE kinderconnect.dialect_operation SET max_records = NULL WHERE operation = 'submit';
SELECT pg_temp.repeated();
SELECT pg_temp.send();
SELECT pg_temp.fails(422, 'bad');
SELECT count(*) AS batches, count(*) FILTER (WHERE repeats) AS "sent before", max(records) AS most FROM kinderconnect.batch WHERE state = 'waiting';
-- what is not to be sent stays unknown, and not 'sending'
ROLLBACK TO lost;
INSERT INTO kinderconnect.run_provider (organization_id, run_id, agency_id, provider_id, halted) VALUES ('o', 1, 'A', 'P1', true);
SELECT pg_temp.repeated() AS halted;
ROLLBACK TO lost;
UPDATE kinderconnect.provider SET enabled = false;
SELECT pg_temp.repeated() AS "switched off";
ROLLBACK TO lost;
UPDATE kinderconnect.batch SET created_at = now(), run_id = 1;
SELECT pg_temp.lost_again(1);
UPDATE kinderconnect.run_organization SET step = 'plan';
SELECT pg_temp.repeated() AS "lost twice in this run";
-- what was lost twice lets new days go first, and goes after the plan
ROLLBACK TO lost;
SELECT pg_temp.lost_again(0);
SELECT pg_temp.repeated() AS "before the plan";
UPDATE kinderconnect.run_organization SET step = 'match';
SELECT pg_temp.repeated() AS "nor then";
UPDATE kinderconnect.run_organization SET step = 'plan';
SELECT pg_temp.repeated() AS "after it";
-- When the last of them is in, what Manage says by now is judged.
ROLLBACK TO lost;
SELECT pg_temp.later(id) FROM unnest('{one,two}'::text[]) id \g /dev/null
SELECT pg_temp.plan();
SELECT pg_temp.repeated();
SELECT length(pg_temp.send()) > 0 AS sent;
SELECT pg_temp.says(jsonb_build_object('record_id', l.record_id, 'status', 'accepted')) FROM kinderconnect.ledger l JOIN kinderconnect.batch b ON l.record_id = ANY (b.record_ids) WHERE b.state = 'sending';
SELECT pg_temp.answered();
SELECT state, content, there, count(*) FROM pg_temp.state GROUP BY 1, 2, 3 ORDER BY 3;
SELECT length(pg_temp.send()) > 0 AS sent;
SELECT pg_temp.fails(422, 'bad');
SELECT state, content, there, code, count(*) FROM pg_temp.state GROUP BY 1, 2, 3, 4 ORDER BY 3;
ROLLBACK TO nights;

-- What a run that died left: what was on its way may have arrived.
\o /dev/null
SELECT pg_temp.child(id) FROM unnest('{one,two}'::text[]) id;
SELECT pg_temp.plan(), pg_temp.send(), pg_temp.fails(413, 'too large'), pg_temp.send();
SELECT kinderconnect._recover('o');
\o
SELECT state, count(*) FROM kinderconnect.batch GROUP BY 1 ORDER BY 1;
SELECT state, count(*) FROM pg_temp.record GROUP BY 1;
ROLLBACK TO nights;

-- How often a record was lost, and in a batch of how many it may go next.
\o /dev/null
SELECT pg_temp.child(n::text) FROM generate_series(1, 8) n;
SELECT pg_temp.plan(), pg_temp.send(), pg_temp.fails(NULL, 'no answer', true);
CREATE VIEW pg_temp.lost AS SELECT count(*) AS records, min(times) AS times, min(most) AS most FROM kinderconnect._lost_records('o', 'A', 'P1');
-- some of what is there was lost or answered once more, by itself or all together
CREATE FUNCTION pg_temp.batch(state text, sqlstate text DEFAULT 'KC103', alone text DEFAULT NULL, run bigint DEFAULT 1) RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.batch SELECT (jsonb_populate_record(NULL::kinderconnect.batch, to_jsonb(b) || jsonb_build_object('batch_id', gen_random_uuid(), 'state', batch.state, 'sqlstate', batch.sqlstate, 'run_id', run,
		'records', CASE WHEN alone IS NULL THEN 8 ELSE 1 END, 'record_ids', CASE WHEN alone IS NULL THEN b.record_ids ELSE ARRAY[pg_temp.record_of(alone)] END,
		'created_at', clock_timestamp(), 'ended_at', clock_timestamp()))).* FROM (SELECT * FROM kinderconnect.batch ORDER BY created_at LIMIT 1) b $$;
SAVEPOINT once;
\o
SELECT * FROM pg_temp.lost;
SELECT pg_temp.batch('lost') \g /dev/null
SELECT * FROM pg_temp.lost;
UPDATE kinderconnect.batch SET created_at = created_at - interval '31 days' WHERE batch_id = (SELECT batch_id FROM kinderconnect.batch ORDER BY created_at LIMIT 1);
SELECT * FROM pg_temp.lost;
UPDATE kinderconnect.batch SET sqlstate = 'KC104';
SELECT * FROM pg_temp.lost;
ROLLBACK TO once;
UPDATE kinderconnect.ledger SET state = CASE kinderconnect_child_id WHEN '1' THEN 'accepted' ELSE 'rejected' END;
SELECT * FROM pg_temp.lost;
SELECT pg_temp.batch('answered', alone => '2'), pg_temp.batch('refused', alone => '3'), pg_temp.batch('dropped', alone => '4') \g /dev/null
SELECT * FROM pg_temp.lost;
ROLLBACK TO once;
-- A culprit was lost three times, by itself too, in a run that had other answers.
CREATE VIEW pg_temp.culprit AS SELECT l.kinderconnect_child_id AS child, c.message FROM kinderconnect._culprits('o', 'A', 'P1') c JOIN kinderconnect.ledger l USING (record_id);
SELECT pg_temp.batch('lost'), pg_temp.batch('lost'), pg_temp.batch('answered', NULL, '8') \g /dev/null
SELECT * FROM pg_temp.culprit;
SELECT pg_temp.batch('lost', 'KC104', alone => '1'), pg_temp.batch('lost', 'KC103', '2', 2) \g /dev/null
SELECT * FROM pg_temp.culprit;
SELECT pg_temp.batch('lost', 'KC103', alone => '3') \g /dev/null
SELECT * FROM pg_temp.culprit;
ROLLBACK TO once;
-- While one is unknown, the others go: the same child's on another day too; but
-- not to a service that has not listed the provider's children in this run.
UPDATE kinderconnect.batch SET created_at = created_at - interval '1 day', run_id = 0;
SELECT pg_temp.child('new') \g /dev/null
UPDATE kinderconnect.authorization SET begin_date = begin_date - 1 WHERE kinderconnect_child_id = '1';
INSERT INTO regress_transfer.visit SELECT location_id, child_id, check_in - interval '1 day', check_out - interval '1 day' FROM regress_transfer.visit WHERE child_id = '1';
SELECT pg_temp.plan() \g /dev/null
SAVEPOINT others;
SELECT pg_temp.send();
ROLLBACK TO others;
UPDATE kinderconnect.list_state SET taken_at = now() - interval '1 day';
SAVEPOINT unlisted;
SELECT pg_temp.send();
ROLLBACK TO unlisted;
UPDATE kinderconnect.list_state SET taken_at = now() WHERE provider_id = 'P2';
SELECT pg_temp.send();
ROLLBACK TO unlisted;
UPDATE kinderconnect.list_state SET set_aside_at = now() WHERE provider_id = 'P1';
SELECT pg_temp.send();
ROLLBACK TO nights;

-- How many go together: as the dialect says, else 500.
SELECT kinderconnect._most_records('o', 'A', 'P1');
UPDATE kinderconnect.dialect_operation SET max_records = NULL;
SELECT kinderconnect._most_records('o', 'A', 'P1');
ROLLBACK TO nights;

-- What the service says it holds: an entry that cannot be read, and is certainly
-- another record's, leaves none in doubt.
\o /dev/null
SELECT pg_temp.child(id) FROM unnest('{there,not there}'::text[]) id;
SELECT pg_temp.plan(), pg_temp.send(), pg_temp.fails(NULL, 'no answer', true);
SELECT pg_temp.says(pg_temp.held(pg_temp.record_of('there'), 'there'), '{"record_id": "another", "problem": "no date"}');
SELECT pg_temp.read_back();
\o
SELECT child, state FROM pg_temp.record;
ROLLBACK TO nights;

-- Days that the service accepted under an id that it has merged into another:
-- they are asked for while both are as a merge leaves them.
\o /dev/null
SELECT pg_temp.child('old'), pg_temp.plan(), pg_temp.send(), pg_temp.settle('accepted');
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized) VALUES ('o', 'A', 'new', 'old', 'Lee', '2020-02-02', true);
UPDATE kinderconnect.child_link SET ended_at = now(), ended_by = 'match', end_reason = 'merged into new';
INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method) VALUES ('o', 'A', 'new', 'old', 'person');
UPDATE kinderconnect.authorization SET known_from = now() - interval '2 days', known_until = now() - interval '1 day', closed_as = 'vanished';
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date) SELECT 'o', 'A', p, 'new', 'b', pg_temp.day(3), pg_temp.day(3) FROM unnest('{P1,P2}'::text[]) p;
SELECT pg_temp.plan();
CREATE VIEW pg_temp.merged AS SELECT count(*) AS merged FROM kinderconnect._merged_days('o');
CREATE VIEW pg_temp.days AS SELECT provider_id, kinderconnect_child_id AS child, state, reason, accepted_content AS there, accepted_record_id AS record FROM kinderconnect.child_day ORDER BY provider_id, kinderconnect_child_id COLLATE "C";
UPDATE kinderconnect.child_day SET accepted_record_id = 'as old' WHERE kinderconnect_child_id = 'old';
SAVEPOINT merged;
\o
SELECT * FROM pg_temp.days;
SELECT * FROM pg_temp.merged;
UPDATE kinderconnect.provider SET enabled = false;
SELECT * FROM pg_temp.merged;
ROLLBACK TO merged;
UPDATE kinderconnect.child_day SET void_wanted = true WHERE kinderconnect_child_id = 'old';
SELECT * FROM pg_temp.merged;
ROLLBACK TO merged;
UPDATE kinderconnect.child_day SET state = 'unknown', reason = NULL WHERE kinderconnect_child_id = 'old';
SELECT * FROM pg_temp.merged;
ROLLBACK TO merged;
UPDATE kinderconnect.child_day SET reason = 'window_closed' WHERE kinderconnect_child_id = 'new';
SELECT * FROM pg_temp.merged;
ROLLBACK TO merged;
UPDATE kinderconnect.child_day SET accepted_kind = 'absence', accepted_content = 'absence', accepted_record_id = 'r', accepted_at = now() WHERE kinderconnect_child_id = 'new';
SELECT * FROM pg_temp.merged;
ROLLBACK TO merged;
SET LOCAL kinderconnect.horizon_days = 1;
SELECT * FROM pg_temp.merged;
ROLLBACK TO merged;
-- what it holds under the new id, and the same, is the new one's
SELECT pg_temp.says(pg_temp.held('as new', 'new')), pg_temp.read_back() \g /dev/null
SELECT * FROM pg_temp.days;
-- and nothing of the old one is left to be taken back
SELECT kinderconnect.void_day('o', 'A', 'P1', 'old', pg_temp.day(3));
ROLLBACK TO merged;
-- under both
SELECT pg_temp.says(pg_temp.held('as new', 'new'), pg_temp.held('as old', 'old')), pg_temp.read_back() \g /dev/null
SELECT * FROM pg_temp.days;
SELECT kinderconnect_child_id AS child, detail FROM kinderconnect.child_day_step ORDER BY 1;
ROLLBACK TO merged;
-- twice, or beside what cannot be read: not
SELECT pg_temp.says(pg_temp.held('as new', 'new'), pg_temp.held('once more', 'new', '10:00', '11:00')), pg_temp.read_back() \g /dev/null
SELECT * FROM pg_temp.days;
ROLLBACK TO merged;
SELECT pg_temp.says(pg_temp.held('as new', 'new'), '{"problem": "no date"}'), pg_temp.read_back() \g /dev/null
SELECT * FROM pg_temp.days;
ROLLBACK TO merged;
-- of another provider: not
SELECT pg_temp.says(pg_temp.held('as new', 'new')), pg_temp.read_back('P2') \g /dev/null
SELECT * FROM pg_temp.days;
ROLLBACK;
