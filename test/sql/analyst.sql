-- What analysts query, on rows made by hand: each line of the answers can be
-- checked against them. The client's own time zone and date style are far off
-- on purpose; "today" is the agency's.
SET TimeZone = 'Pacific/Kiritimati';
SET DateStyle = 'ISO, DMY';
BEGIN;
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
VALUES ('analyst', 'kinderbridge', 'http://127.0.0.1:1', 'http://127.0.0.1:1/t', 'c', 's');
INSERT INTO kinderconnect.agency VALUES ('AN-H', 'Honolulu Office', 'HI', 'Pacific/Honolulu'), ('AN-N', NULL, 'NY', 'America/New_York');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled)
VALUES ('ana', 'analyst', 'G', 'p', '2025-01-01'), ('bea', 'analyst', 'G', 'p', '2025-01-01');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, enabled, configured_location_id)
VALUES ('ana', 'AN-H', 'P1', true, true, 'L1'), ('ana', 'AN-H', 'P2', true, false, NULL), ('bea', 'AN-N', 'P1', true, true, 'L9');
INSERT INTO kinderconnect.customer (organization_id, customer_id, status) VALUES ('ana', 'C', 'active');
INSERT INTO kinderconnect.listed_location (organization_id, agency_id, provider_id, customer_id, name, status)
VALUES ('ana', 'AN-H', 'P1', 'C', 'Palm House', 'active');

SELECT (now() AT TIME ZONE 'Pacific/Honolulu')::date AS today \gset
SELECT (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM :'today'::date)::integer] AS weekday,
	(ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[1 + extract(isodow FROM :'today'::date)::integer % 7] AS other_weekday \gset

-- Children 1 to 8, first listed so many days ago; 1 to 3 linked, 3 flagged.
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized, unlinked_because, first_listed)
VALUES
	('ana', 'AN-H', '1', 'One', 'A', '2021-01-01', true, NULL, now() - interval '90 days'),
	('ana', 'AN-H', '2', 'Two', 'A', '2021-01-02', true, NULL, now() - interval '90 days'),
	('ana', 'AN-H', '3', 'Three', 'A', '2021-01-03', true, NULL, now() - interval '90 days'),
	('ana', 'AN-H', '4', 'Four', 'A', '2021-01-04', true, 'not_in_manage', now() - interval '31 days'),
	('ana', 'AN-H', '5', 'Five', 'A', '2021-01-05', true, 'not_in_manage', now() - interval '29 days'),
	('ana', 'AN-H', '6', 'Six', 'A', NULL, true, 'no_birth_date', now() - interval '8 days'),
	('ana', 'AN-H', '7', 'Seven', 'A', '2021-01-07', false, 'not_in_manage', now() - interval '6 days'),
	('ana', 'AN-H', '8', 'Eight', 'A', '2021-01-08', true, NULL, now()),
	('bea', 'AN-N', '1', 'Other', 'B', '2021-01-01', true, 'not_in_manage', now());
INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, flag, ended_at, ended_by)
VALUES ('ana', 'AN-H', '1', 'm1', 'exact_location', NULL, NULL, NULL),
	('ana', 'AN-H', '2', 'm2', 'person', NULL, NULL, NULL),
	('ana', 'AN-H', '3', 'm3', 'stored_id', 'link_disagrees', NULL, NULL),
	('ana', 'AN-H', '4', 'm4', 'person', NULL, now(), 'x');

-- Authorizations, by their days from today: what stands, and one that has
-- ended, one that vanished, one whose other terms are known no longer.
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, units_of_care, days, known_from, known_until, closed_as)
VALUES
	('ana', 'AN-H', 'P1', '1', 'a1', :'today'::date - 300, NULL, 'FULL', NULL, now() - interval '90 days', 'infinity', NULL),
	('ana', 'AN-H', 'P1', '2', 'a2', :'today'::date - 300, :'today'::date, 'HALF', ARRAY[:'weekday'], now() - interval '80 days', now() - interval '9 days', 'changed'),
	('ana', 'AN-H', 'P1', '2', 'a2', :'today'::date - 300, :'today'::date, 'FULL', ARRAY[:'weekday'], now() - interval '9 days', 'infinity', NULL),
	('ana', 'AN-H', 'P1', '3', 'a3', :'today'::date - 300, :'today'::date + 30, 'FULL', ARRAY[:'other_weekday'], now() - interval '70 days', 'infinity', NULL),
	('ana', 'AN-H', 'P1', '4', 'a4', :'today'::date - 300, :'today'::date + 5, 'FULL', NULL, now() - interval '60 days', 'infinity', NULL),
	('ana', 'AN-H', 'P1', '4', 'a4b', :'today'::date + 6, :'today'::date + 99, 'FULL', NULL, now() - interval '2 days', 'infinity', NULL),
	('ana', 'AN-H', 'P2', '5', 'a5', :'today'::date - 300, :'today'::date + 31, 'FULL', NULL, now() - interval '1 day', 'infinity', NULL),
	('ana', 'AN-H', 'P1', '5', 'a5', :'today'::date - 20, :'today'::date - 1, 'FULL', NULL, now() - interval '1 day', 'infinity', NULL),
	('ana', 'AN-H', 'P1', '6', 'a6', :'today'::date - 300, NULL, 'FULL', NULL, now() - interval '50 days', now() - interval '5 days', 'vanished'),
	('ana', 'AN-H', 'P1', '7', 'a7', :'today'::date - 300, NULL, 'FULL', NULL, now() - interval '50 days', now() - interval '5 days', 'vanished'),
	('ana', 'AN-H', 'P1', '7', 'a7', :'today'::date - 300, NULL, 'FULL', NULL, now() - interval '2 days', 'infinity', NULL);
INSERT INTO kinderconnect.listed_subsidy (organization_id, agency_id, provider_id, kinderconnect_child_id, month, subsidized)
SELECT DISTINCT organization_id, agency_id, provider_id, kinderconnect_child_id, date '2020-01-01', false FROM kinderconnect.authorization WHERE kinderconnect_child_id = '7';

-- Neither what has ended (5 at P1) nor what vanished (6); 7 came back.
SELECT kinderconnect_child_id AS child, authorization_id AS "authorization", agency, state, provider, location_id, barred, subsidized, child_id, matched_by, review,
	begin_date - :'today'::date AS begins, end_date - :'today'::date AS ends, units_of_care AS units, authorized_today
FROM kinderconnect.authorized_child WHERE organization_id = 'ana' ORDER BY 1, 2;
SELECT count(*) FROM kinderconnect.authorized_child WHERE organization_id = 'bea';

-- Child 4 is taken up by its next authorization, 5 ends a day too late.
SELECT kinderconnect_child_id AS child, end_date - :'today'::date AS ends FROM kinderconnect.authorizations_ending(30) WHERE organization_id = 'ana' ORDER BY 1;
SELECT kinderconnect_child_id AS child, end_date - :'today'::date AS ends FROM kinderconnect.authorizations_ending(31) WHERE organization_id = 'ana' ORDER BY 1;
SELECT kinderconnect_child_id AS child, end_date - :'today'::date AS ends FROM kinderconnect.authorizations_ending(0) WHERE organization_id = 'ana' ORDER BY 1;

-- 2 only changed, and 7 only came back; 4 is renewed; 5 is new at both of its
-- providers, at one of them for days gone by.
SELECT kinderconnect_child_id AS child, provider_id, authorization_id AS "authorization", location_id, child_id, end_date - :'today'::date AS ends, new_child
FROM kinderconnect.newly_authorized(:'today'::date - 3) WHERE organization_id = 'ana' ORDER BY 1, 2, 3;
SELECT count(*) AS "all that stand" FROM kinderconnect.newly_authorized('2000-01-01') WHERE organization_id = 'ana';
SELECT count(*) AS "of tomorrow" FROM kinderconnect.newly_authorized(:'today'::date + 1) WHERE organization_id = 'ana';
\set VERBOSITY terse
\set ON_ERROR_ROLLBACK on
SELECT kinderconnect.authorizations_ending(NULL);
SELECT kinderconnect.authorizations_ending(-1);
SELECT kinderconnect.newly_authorized(NULL);
\set ON_ERROR_ROLLBACK off
\set VERBOSITY default

-- The history of one authorization with all that can happen to it. The first
-- moment is 23:30 of 4 January in Honolulu.
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, units_of_care, days, known_from, known_until, closed_as)
VALUES
	('ana', 'AN-H', 'P1', '8', 'h', '2025-01-06', NULL, 'HALF', NULL, '2025-01-05 09:30Z', '2025-02-01 12:00Z', 'changed'),
	('ana', 'AN-H', 'P1', '8', 'h', '2025-01-06', '2025-12-31', 'FULL', NULL, '2025-02-01 12:00Z', '2025-03-01 12:00Z', 'vanished'),
	('ana', 'AN-H', 'P1', '8', 'h', '2025-01-06', '2025-12-31', 'FULL', '{MO,WE}', '2025-04-01 12:00Z', '2025-05-01 12:00Z', 'changed'),
	('ana', 'AN-H', 'P1', '8', 'h', '2025-01-13', NULL, NULL, NULL, '2025-05-01 12:00Z', '2025-06-01 12:00Z', 'vanished'),
	('ana', 'AN-H', 'P1', '8', 'h', '2025-01-13', '2025-12-31', 'DAY', NULL, '2025-07-01 12:00Z', 'infinity', NULL),
	('ana', 'AN-H', 'P1', '8', 'gone', '2025-01-06', '2025-12-31', NULL, NULL, '2025-01-05 12:00Z', '2025-02-01 12:00Z', 'vanished');
SELECT day, event, was, became, seen_at AT TIME ZONE 'UTC' AS seen_at_utc FROM kinderconnect.authorization_history
WHERE organization_id = 'ana' AND authorization_id = 'h' ORDER BY day, seen_at, event;
-- What vanished neither begins nor ends.
SELECT day, event, was, became FROM kinderconnect.authorization_history WHERE organization_id = 'ana' AND authorization_id = 'gone' ORDER BY day, seen_at;
-- The database keeps two truths of one moment apart.
SAVEPOINT overlap;
\set VERBOSITY sqlstate
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, known_from, known_until, closed_as)
VALUES ('ana', 'AN-H', 'P1', '8', 'h', '2025-01-06', '2025-04-15', '2025-04-16', 'vanished');
\set VERBOSITY default
ROLLBACK TO overlap;

-- Child-days: what was recorded, and what became of it.
INSERT INTO kinderconnect.child_day (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, location_id, child_id, state, reason, kind, content, basis,
	record_id, accepted_kind, accepted_content, accepted_record_id, accepted_at, window_ends)
SELECT 'ana', 'AN-H', 'P1', child, day, authorized, 'L1', 'm', state, reason, kind, content, 'b',
	CASE WHEN state IN ('accepted', 'rejected', 'voided', 'sending', 'unknown') OR accepted IS NOT NULL THEN 'r' END,
	CASE WHEN accepted IS NOT NULL THEN 'session' END, accepted, CASE WHEN accepted IS NOT NULL THEN 'r' END, CASE WHEN accepted IS NOT NULL THEN now() END, window_ends
FROM (VALUES
	('1', '2025-02-28'::date, true, 'accepted', NULL, 'session', '08:00-17:00', '08:00-17:00', NULL::timestamptz),
	('1', '2025-03-01', true, 'accepted', NULL, 'session', '08:00-17:00', '08:00-17:00', NULL),
	('1', '2025-03-02', true, 'ready', NULL, 'session', '08:00-17:00', NULL, NULL),
	('1', '2025-03-03', true, 'ready', NULL, 'session', '08:00-17:00', '08:00-16:00', NULL),
	('1', '2025-03-04', true, 'rejected', NULL, 'absence', 'absence', NULL, NULL),
	('1', '2025-03-05', true, 'held', 'missing_check_out', NULL, NULL, NULL, NULL),
	('1', '2025-03-06', true, 'held', 'absence_reason', NULL, NULL, NULL, NULL),
	('1', '2025-03-07', true, 'held', 'nothing_recorded', NULL, NULL, NULL, NULL),
	('1', '2025-03-08', true, 'held', 'nothing_recorded', NULL, NULL, NULL, now() - interval '1 second'),
	('1', '2025-03-09', false, 'held', 'not_authorized', 'session', '08:00-17:00', NULL, NULL),
	('1', '2025-03-10', true, 'not_due', 'closure_not_taken', 'closure', 'closure', NULL, NULL),
	('1', '2025-03-11', true, 'voided', NULL, NULL, NULL, NULL, NULL),
	('1', '2025-03-12', true, 'unknown', NULL, 'session', '08:00-17:00', NULL, NULL),
	('1', '2025-03-13', true, 'sending', NULL, 'session', '08:00-17:00', NULL, NULL),
	('1', '2025-03-14', true, 'held', 'conflict', NULL, NULL, NULL, NULL),
	('1', '2025-03-15', true, 'held', 'window_closed', 'session', '08:00-17:00', NULL, NULL),
	('1', '2025-03-31', true, 'held', 'nothing_recorded', NULL, NULL, NULL, now() + interval '1 day'),
	('4', '2025-03-03', true, 'held', 'unmatched', NULL, NULL, NULL, '2025-03-10 10:00Z'),
	('4', '2025-03-04', true, 'held', 'unmatched', NULL, NULL, NULL, '2025-03-11 10:00Z'),
	('3', '2025-03-04', true, 'held', 'link_disagrees', 'session', '08:00-17:00', NULL, NULL)
) AS made (child, day, authorized, state, reason, kind, content, accepted, window_ends);

SELECT service_date, weekday, child_id, last_name, is_open FROM kinderconnect.unclaimed_day WHERE organization_id = 'ana' ORDER BY 1;

\x on
SELECT * FROM kinderconnect.provider_month WHERE organization_id = 'ana' ORDER BY month;
\x off
-- The states are all of the days, and so is provider_summary's account of them.
SELECT count(*) AS "months that do not add up" FROM kinderconnect.provider_month
WHERE days <> accepted + ready + held + rejected + unknown + voided + not_due;
SELECT s.accepted = m.accepted AND s.held = m.held AND s.rejected = m.rejected AND s.unknown = m.unknown AND s.days = m.days AS "both views agree"
FROM kinderconnect.provider_summary s
JOIN (SELECT provider_id, sum(accepted) AS accepted, sum(held) AS held, sum(rejected) AS rejected, sum(unknown) AS unknown, sum(days) AS days
	FROM kinderconnect.provider_month WHERE organization_id = 'ana' GROUP BY provider_id) m USING (provider_id)
WHERE s.organization_id = 'ana';

-- A reason for which a day is held may say by itself that Manage has sessions
-- or an absence, or nothing. These do not.
SAVEPOINT reasons;
DELETE FROM kinderconnect.child_day;
INSERT INTO kinderconnect.child_day (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, state, reason, basis)
SELECT 'ana', 'AN-H', r.reason, '1', '2025-03-01', true, 'held', r.reason, 'b' FROM kinderconnect.reason r;
SELECT provider_id AS reason FROM kinderconnect.provider_month WHERE attended + absent + unclaimed = 0 ORDER BY provider_id COLLATE "C";
ROLLBACK TO reasons;

-- Unmatched and under review, by reason and age. With the links that stand
-- they are every child.
SELECT reason, children, "authorized", this_week, this_month, older, extract(day FROM now() - oldest) AS days_old, days_held, oldest_day,
	first_window_ends AT TIME ZONE 'UTC' AS first_window_ends_utc
FROM kinderconnect.unmatched_summary WHERE organization_id = 'ana' ORDER BY reason;
SELECT (SELECT sum(children) FROM kinderconnect.unmatched_summary WHERE organization_id = 'ana')
	+ (SELECT count(*) FROM kinderconnect.child_link WHERE organization_id = 'ana' AND ended_at IS NULL AND flag IS NULL)
	= (SELECT count(*) FROM kinderconnect.child WHERE organization_id = 'ana') AS "nobody is left out";

-- Open is what is neither behind its window nor behind the horizon, whose last
-- day is the agency's date less so many.
SAVEPOINT horizon;
DELETE FROM kinderconnect.child_day;
INSERT INTO kinderconnect.child_day (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, state, reason, basis, window_ends)
SELECT 'ana', 'AN-H', 'P1', child, :'today'::date - age, true, state, reason, 'b', now() + ends
FROM (VALUES
	('1', 45, 'held', 'nothing_recorded', NULL::interval), ('1', 46, 'held', 'nothing_recorded', NULL), ('1', 47, 'held', 'nothing_recorded', '1 day'),
	('1', 44, 'held', 'nothing_recorded', '-1 second'), ('1', 43, 'held', 'nothing_recorded', '2 days'), ('1', 42, 'held', 'nothing_recorded', '1 second'),
	('4', 45, 'held', 'unmatched', '3 days'), ('4', 46, 'held', 'unmatched', '2 days'), ('4', 10, 'held', 'unmatched', '-1 hour'), ('4', 9, 'held', 'unmatched', NULL),
	('2', 60, 'not_due', 'closure_not_taken', '-1 hour'), ('2', 10, 'held', 'window_closed', NULL)
) AS made (child, age, state, reason, ends);
SELECT :'today'::date - service_date AS age, window_ends - now() AS ends, is_open FROM kinderconnect.unclaimed_day ORDER BY 1;
SELECT state, reason, days, lost, first_window_ends - now() AS first_window_ends FROM kinderconnect.held_summary ORDER BY 1, 2;
SELECT u.state, u.reason, u.days, u.lost FROM kinderconnect.held_ageing u ORDER BY 1, 2;
SELECT reason, days_held, days_lost, first_window_ends - now() AS first_window_ends FROM kinderconnect.unmatched_summary WHERE days_held > 0;
SELECT check_name, number FROM kinderconnect.health WHERE organization_id = 'ana' AND check_name = 'days_at_stake';
SELECT number BETWEEN 0 AND 1 AS "today is the last" FROM kinderconnect.health WHERE organization_id = 'ana' AND check_name = 'window_closes';
SET LOCAL kinderconnect.horizon_days = 47;
SELECT reason, lost, first_window_ends - now() AS first_window_ends FROM kinderconnect.held_summary WHERE state = 'held' ORDER BY 1;
SELECT count(*) FROM kinderconnect.unclaimed_day WHERE is_open;
ROLLBACK TO horizon;

-- An analyst reads all of it, and can do no more.
SET ROLE kinderconnect_analyst;
SELECT (SELECT count(*) FROM kinderconnect.authorized_child WHERE organization_id = 'ana') AS authorized_child,
	(SELECT count(*) FROM kinderconnect.authorizations_ending(30) WHERE organization_id = 'ana') AS ending,
	(SELECT count(*) FROM kinderconnect.newly_authorized(:'today'::date - 3) WHERE organization_id = 'ana') AS new,
	(SELECT count(*) > 0 FROM kinderconnect.authorization_history WHERE organization_id = 'ana') AS history,
	(SELECT count(*) FROM kinderconnect.unmatched_summary WHERE organization_id = 'ana') AS unmatched,
	(SELECT count(*) FROM kinderconnect.unclaimed_day WHERE organization_id = 'ana') AS unclaimed,
	(SELECT count(*) FROM kinderconnect.provider_month WHERE organization_id = 'ana') AS months;
RESET ROLE;

-- None of it writes, calls out, or reads Manage: the views that an analyst can
-- read use no function of the extension that reads, and no view of Manage, but for those of
-- the clock and of the setting horizon_days.
SELECT DISTINCT v.relname, f.proname
FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_proc'::regclass
JOIN pg_proc f ON f.oid = d.refobjid
WHERE v.relnamespace = 'kinderconnect'::regnamespace AND v.relkind = 'v' AND v.relname NOT LIKE 'manage\_%' AND v.relname NOT IN ('due', 'health', 'progress') AND f.pronamespace = 'kinderconnect'::regnamespace AND f.provolatile <> 'i'
	AND f.proname NOT IN ('_horizon_days', '_is_open')
	AND has_table_privilege('kinderconnect_analyst', v.oid, 'SELECT');
SELECT DISTINCT v.relname, m.relname
FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class m ON m.oid = d.refobjid AND m.relname LIKE 'manage\_%'
WHERE v.relnamespace = 'kinderconnect'::regnamespace AND v.relname NOT LIKE 'manage\_%' AND has_table_privilege('kinderconnect_analyst', v.oid, 'SELECT');
ROLLBACK;
