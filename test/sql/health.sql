-- Each check of view health, made to be well, to warn and to be critical. One
-- transaction, so that now() stands still.
\set organization regress_health
\set ECHO none
\i test/lib/service.sql
\pset format unaligned
\pset footer off
SET timezone = 'UTC';

-- What is wrong with the organization, or in all; times are left out.
CREATE FUNCTION pg_temp.bad(wanted text DEFAULT NULL) RETURNS TABLE (check_name text, status text, number numeric, unit text, threshold text, what_to_do text) LANGUAGE sql AS $$
	SELECT h.check_name, h.status, h.number, h.unit, h.threshold, h.what_to_do FROM kinderconnect.health h
	WHERE h.organization_id = 'regress_health' AND CASE WHEN wanted IS NULL THEN h.status <> 'ok' ELSE h.check_name = wanted END ORDER BY 1
$$;
-- as if P1's last run had been so long ago and failed so
CREATE FUNCTION pg_temp.fails_since(state text, since interval) RETURNS void LANGUAGE sql AS $$
	UPDATE kinderconnect.provider_clock SET sqlstate = state, failures = 1, failing_since = now() - since, attempted_at = now() - since, ended_at = now() - since
	WHERE organization_id = 'regress_health' AND provider_id = 'P1'
$$;

SELECT kinderconnect.add_provider('regress_health', 'A-1', 'P1'), kinderconnect.add_provider('regress_health', 'A-1', 'P2') \g /dev/null
INSERT INTO kinderconnect.provider_clock (organization_id, agency_id, provider_id, run_id, attempted_at, ended_at, covered_at)
SELECT 'regress_health', 'A-1', p, 1, now(), now(), now() FROM unnest(ARRAY['P1', 'P2']) p;
INSERT INTO kinderconnect.location_zone VALUES ('regress_health', '17', 'America/Chicago', '-infinity', 'infinity');

-- Every check is there, once for each organization or once in all, and every
-- organization's is well.
SELECT c.check_name FROM kinderconnect.health_check c
WHERE (SELECT count(*) FROM kinderconnect.health h WHERE h.check_name = c.check_name
		AND CASE WHEN c.per_organization THEN h.organization_id = 'regress_health' ELSE h.organization_id IS NULL END) <> 1;
SELECT count(*) FROM kinderconnect.health h WHERE NOT EXISTS (SELECT FROM kinderconnect.health_check c WHERE c.check_name = h.check_name);
SELECT check_name, status, value, number, threshold, what_to_do FROM kinderconnect.health
WHERE organization_id = 'regress_health' AND check_name <> 'last_success' ORDER BY check_name;
SELECT * FROM pg_temp.bad('last_success');

-- Not in Manage.
DELETE FROM kinderconnect.location_zone WHERE organization_id = 'regress_health';
SELECT * FROM pg_temp.bad();
INSERT INTO kinderconnect.location_zone VALUES ('regress_health', '17', 'America/Chicago', '-infinity', 'infinity');

-- Failing, by what failed.
SELECT pg_temp.fails_since('KC201', interval '90 minutes') \g /dev/null
SELECT * FROM pg_temp.bad() WHERE check_name <> 'overdue';
SELECT pg_temp.fails_since('KC202', interval '1 hour'); SELECT check_name, status FROM pg_temp.bad() WHERE check_name <> 'overdue';
SELECT pg_temp.fails_since('KC002', interval '1 hour'); SELECT check_name, status FROM pg_temp.bad() WHERE check_name <> 'overdue';
SELECT pg_temp.fails_since('KC102', interval '1 hour'); SELECT check_name, status FROM pg_temp.bad() WHERE check_name <> 'overdue';
SELECT pg_temp.fails_since('KC001', interval '1 hour'); SELECT check_name, status FROM pg_temp.bad() WHERE check_name <> 'overdue';
SELECT pg_temp.fails_since('42P01', interval '1 hour'); SELECT check_name, status FROM pg_temp.bad() WHERE check_name <> 'overdue';
SELECT pg_temp.fails_since('KC205', interval '1 hour'); SELECT check_name, status FROM pg_temp.bad() WHERE check_name <> 'overdue';
UPDATE kinderconnect.provider_clock SET sqlstate = NULL, failures = 0, failing_since = NULL WHERE organization_id = 'regress_health';

-- Overdue counts from the first instant that was missed, not from the last.
SELECT kinderconnect.set_schedule('regress_health', local_time => (now() AT TIME ZONE 'Pacific/Honolulu')::time) \g /dev/null
UPDATE kinderconnect.provider_clock SET covered_at = now() - interval '3 days' - interval '1 minute', attempted_at = now() - interval '3 days' - interval '1 minute'
WHERE organization_id = 'regress_health' AND provider_id = 'P1';
SELECT * FROM pg_temp.bad('overdue');
UPDATE kinderconnect.provider_clock SET covered_at = now() - interval '1 second' WHERE organization_id = 'regress_health';
SELECT * FROM pg_temp.bad('overdue');
UPDATE kinderconnect.provider_clock SET covered_at = now() WHERE organization_id = 'regress_health';
SELECT * FROM pg_temp.bad('overdue');

-- Days that wait: what is accepted, not due, or nobody recorded does not.
CREATE FUNCTION pg_temp.day(child text, age integer, state text, reason text, ends interval) RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.child_day (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, state, reason, window_ends, basis, record_id)
	VALUES ('regress_health', 'A-1', 'P1', child, (now() AT TIME ZONE 'UTC')::date - age, true, state, reason, now() + ends, '', 'r')
$$;
SELECT pg_temp.day('1', 40, 'held', 'nothing_recorded', interval '1 hour'), pg_temp.day('2', 40, 'not_due', 'closure_not_taken', interval '1 hour'),
	pg_temp.day('3', 40, 'held', 'window_closed', interval '-1 hour'), pg_temp.day('4', 40, 'voided', NULL, interval '1 hour') \g /dev/null
SELECT * FROM pg_temp.bad();
SELECT pg_temp.day('5', 2, 'ready', NULL, NULL), pg_temp.day('6', 2, 'held', 'unmatched', interval '73 hours') \g /dev/null
SELECT * FROM pg_temp.bad();
SELECT pg_temp.day('7', 3, 'ready', NULL, interval '71 hours') \g /dev/null
SELECT * FROM pg_temp.bad();
SELECT pg_temp.day('8', 7, 'unknown', NULL, interval '23 hours'), pg_temp.day('9', 5, 'rejected', NULL, interval '90 hours') \g /dev/null
SELECT * FROM pg_temp.bad();
-- what is not lost by itself, or switched off, does not count as about to be
SELECT pg_temp.day('10', 5, 'held', 'authorization_lost', interval '1 hour'), pg_temp.day('11', 5, 'held', 'provider_disabled', interval '1 hour') \g /dev/null
SELECT * FROM pg_temp.bad('window_closes');
SELECT count(pg_temp.day('c' || n, 1, 'held', 'unmatched', NULL)) FROM generate_series(1, 97) n \g /dev/null
SELECT * FROM pg_temp.bad('days_at_stake');
DELETE FROM kinderconnect.child_day WHERE organization_id = 'regress_health';

-- Children to review, and lists set aside.
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized, unlinked_because, first_listed)
SELECT 'regress_health', 'A-1', n, 'Given', 'Family', '2020-01-01', n <= 20, CASE WHEN n <> 20 THEN 'not_in_manage' END, now() - n * interval '12 hours' FROM generate_series(1, 30) n;
SELECT * FROM pg_temp.bad();
INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, flag) VALUES ('regress_health', 'A-1', '20', 'm', 'person', 'link_disagrees');
SELECT * FROM pg_temp.bad();
UPDATE kinderconnect.child SET unlinked_because = NULL WHERE organization_id = 'regress_health';
DELETE FROM kinderconnect.child_link WHERE organization_id = 'regress_health';
INSERT INTO kinderconnect.list_state (organization_id, operation, set_aside_entries, set_aside_at) VALUES ('regress_health', 'customers', 1, now());
SELECT * FROM pg_temp.bad();
DELETE FROM kinderconnect.list_state WHERE organization_id = 'regress_health';
SELECT * FROM pg_temp.bad();

INSERT INTO kinderconnect.comparison (organization_id, agency_id, provider_id, run_id, from_date, to_date, differences) VALUES ('regress_health', 'A-1', 'P1', 1, now(), now(), 2);
SELECT * FROM pg_temp.bad();

-- In all.
CREATE FUNCTION pg_temp.whole(wanted text) RETURNS TABLE (check_name text, status text, number numeric, value text, what_to_do text) LANGUAGE sql AS $$
	SELECT h.check_name, h.status, h.number, h.value, h.what_to_do FROM kinderconnect.health h WHERE h.organization_id IS NULL AND h.check_name = wanted
$$;
SELECT * FROM pg_temp.whole('stopped');
SELECT kinderconnect.stop('a test') \g /dev/null
SELECT check_name, status, number, value = format('by %s: a test', session_user) AS says_who FROM pg_temp.whole('stopped');
UPDATE kinderconnect.stop_switch SET stopped_at = now() - interval '1 day' WHERE resumed_at IS NULL;
SELECT check_name, status, number, what_to_do FROM pg_temp.whole('stopped');
SELECT kinderconnect.resume() \g /dev/null
SELECT check_name, status, number, what_to_do FROM pg_temp.whole('armed');
SELECT * FROM pg_temp.whole('cron_job');
SELECT check_name, status FROM pg_temp.whole('ledger_size');
SELECT setval('kinderconnect.last_tick', extract(epoch FROM now() - interval '59 minutes')::bigint) \g /dev/null
SELECT check_name, status FROM pg_temp.whole('last_tick');
SELECT setval('kinderconnect.last_tick', extract(epoch FROM now() - interval '61 minutes')::bigint) \g /dev/null
SELECT check_name, status, what_to_do FROM pg_temp.whole('last_tick');
SELECT setval('kinderconnect.last_tick', extract(epoch FROM now() - interval '181 minutes')::bigint) \g /dev/null
SELECT check_name, status FROM pg_temp.whole('last_tick');
-- times say of which zone they are
SET LOCAL timezone = 'Asia/Kathmandu';
SELECT setval('kinderconnect.last_tick', extract(epoch FROM timestamptz '2026-03-01 00:00Z')::bigint) \g /dev/null
SELECT check_name, value FROM pg_temp.whole('last_tick');
UPDATE kinderconnect.provider_clock SET sqlstate = 'KC202', failures = 1, failing_since = '2026-03-01 00:00Z' WHERE organization_id = 'regress_health' AND provider_id = 'P1';
SELECT check_name, value FROM kinderconnect.health WHERE organization_id = 'regress_health' AND check_name = 'credentials';
UPDATE kinderconnect.provider_clock SET sqlstate = NULL, failures = 0, failing_since = NULL WHERE organization_id = 'regress_health';
SET LOCAL timezone = 'UTC';
SELECT setval('kinderconnect.last_tick', 0, false) \g /dev/null
SELECT check_name, value FROM pg_temp.whole('last_tick');
INSERT INTO kinderconnect.run (run_id, started_at, ended_at, status, scope) VALUES (9223372036854775806, now() - interval '6 days', now(), 'interrupted', '{}');
SELECT check_name, status, value FROM pg_temp.whole('last_run');
INSERT INTO kinderconnect.run_organization (organization_id, run_id, locked) VALUES ('regress_health', 9223372036854775806, true);
SELECT check_name, status, value FROM pg_temp.whole('last_run');
SELECT check_name, status, number >= 1 AS counted FROM pg_temp.whole('interrupted_runs');
UPDATE kinderconnect.run SET status = 'failed', sqlstate = 'KC104', error = 'deadline' WHERE run_id = 9223372036854775806;
SELECT check_name, status, value FROM pg_temp.whole('last_run');
UPDATE kinderconnect.run SET status = 'stopped' WHERE run_id = 9223372036854775806;
SELECT check_name, status FROM pg_temp.whole('last_run');
-- another organization's later run hides no failure, and one at another
-- organization is none
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled)
SELECT 'regress_health_2', endpoint, 'G-2', group_password, first_enabled FROM kinderconnect.organization WHERE organization_id = 'regress_health';
UPDATE kinderconnect.run SET status = 'failed', sqlstate = NULL, error = NULL WHERE run_id = 9223372036854775806;
INSERT INTO kinderconnect.run_provider (organization_id, run_id, agency_id, provider_id, children, held, sqlstate, error, hint)
VALUES ('regress_health', 9223372036854775806, 'A-1', 'P1', 7, 2, 'KC203', 'not of the group', 'Look.'), ('regress_health', 9223372036854775806, 'A-1', 'P2', 8, 3, NULL, NULL, NULL);
INSERT INTO kinderconnect.run (run_id, started_at, ended_at, status, scope) VALUES (9223372036854775807, now(), now(), 'succeeded', '{}');
INSERT INTO kinderconnect.run_organization (organization_id, run_id, locked) VALUES ('regress_health_2', 9223372036854775807, true), ('regress_health', 9223372036854775807, false);
SELECT check_name, status, value FROM pg_temp.whole('last_run');
UPDATE kinderconnect.run SET status = 'failed' WHERE run_id = 9223372036854775807;
DELETE FROM kinderconnect.run_provider WHERE run_id = 9223372036854775806 AND sqlstate IS NOT NULL;
SELECT check_name, status, value FROM pg_temp.whole('last_run');
UPDATE kinderconnect.run_organization SET sqlstate = 'KC202', error = 'refused', hint = 'Mend it.' WHERE run_id = 9223372036854775807 AND locked;
SELECT check_name, status, value FROM pg_temp.whole('last_run');
-- what each provider's last run did for it
INSERT INTO kinderconnect.run_provider (organization_id, run_id, agency_id, provider_id, children, held, sqlstate, error, hint)
VALUES ('regress_health', 9223372036854775806, 'A-1', 'P1', 7, 2, 'KC203', 'not of the group', 'Look.');
UPDATE kinderconnect.provider_clock SET run_id = 9223372036854775806 WHERE organization_id = 'regress_health';
INSERT INTO kinderconnect.provider_clock (organization_id, agency_id, provider_id, run_id) VALUES ('regress_health_2', '', '', 9223372036854775807);
SELECT kinderconnect.add_provider('regress_health', 'A-1', 'P3'), kinderconnect.add_provider('regress_health', 'A-1', 'P4'), kinderconnect.disable_provider('regress_health', 'A-1', 'P4') \g /dev/null
SELECT organization_id, agency_id, provider_id, run_id, status, children, held, sqlstate, error, hint FROM kinderconnect.last_night
WHERE organization_id ~ '^regress_health' ORDER BY 1, 2, 3;

-- Thresholds.
SELECT kinderconnect.set_threshold('ledger_size', 0, 0);
SELECT h.status, h.threshold FROM kinderconnect.health h WHERE check_name = 'ledger_size';
SELECT kinderconnect.set_threshold('ledger_size', 0, NULL);
SELECT h.status, h.threshold FROM kinderconnect.health h WHERE check_name = 'ledger_size';
SELECT kinderconnect.set_threshold('ledger_size', NULL, NULL);
SELECT h.status, h.threshold FROM kinderconnect.health h WHERE check_name = 'ledger_size';
SELECT kinderconnect.reset_threshold('ledger_size'), kinderconnect.reset_threshold('ledger_size');
SELECT h.status, h.threshold FROM kinderconnect.health h WHERE check_name = 'ledger_size';
\pset tuples_only on
SELECT pg_temp.fails($$ SELECT kinderconnect.set_threshold('weather', 1, 2) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.reset_threshold('overdu') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.reset_threshold(NULL) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_threshold('overdue', 2, 1) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_threshold('window_closes', 1, 2) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_threshold('overdue', -1, 1) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_threshold('overdue', 'NaN', 1) $$);

-- An analyst may look; nobody else's job, file or secret is told.
SET ROLE kinderconnect_analyst;
SELECT count(*) > 20 FROM kinderconnect.health;
SELECT exit_code IN (0, 1, 2), line ~ '^(OK|WARNING|CRITICAL) - \d+ critical, \d+ warning, \d+ ok.* \| critical=\d+ warning=\d+ ok=\d+$' FROM kinderconnect.health_summary;
SELECT count(*) >= 0 FROM kinderconnect.progress;
SELECT pg_temp.fails($$ SELECT kinderconnect.set_threshold('overdue', 1, 1) $$);
RESET ROLE;

ROLLBACK;
SELECT setval('kinderconnect.last_tick', 0, false);
SELECT kinderconnect.remove_secret(name) FROM unnest(ARRAY['regress.client', 'regress.group', 'regress.wrong']) name;
