-- What is about to be lost, the story of a day, and what was used of limits
-- and units, on rows made by hand. The client's time zone and date style are
-- far off on purpose; "today" is the agency's.
SET TimeZone = 'Pacific/Kiritimati';
SET DateStyle = 'ISO, DMY';
SET kinderconnect.horizon_days = 45;

-- What is shipped: each row has its source, and no state but these has one.
SELECT state, limit_name, counts, period_months, period_begins, at_most, needs_attended, enforced, source <> '' AS sourced
FROM kinderconnect.absence_limit WHERE builtin ORDER BY state, limit_name COLLATE "C";
SELECT state, unit, minutes, enforced, source <> '' AS sourced FROM kinderconnect.unit_band WHERE builtin ORDER BY state, minutes;
-- A band starts where the one before ends.
SELECT count(*) AS gaps FROM (SELECT state, lower(minutes) - lag(upper(minutes)) OVER (PARTITION BY state ORDER BY minutes) AS gap FROM kinderconnect.unit_band WHERE builtin) b
WHERE gap <> 0;
-- None of them is a rule of the plan.
SELECT kinderconnect._rules('nobody', '2025-03-03') AS rules;

BEGIN;
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
VALUES ('limits', 'kinderbridge', 'http://127.0.0.1:1', 'http://127.0.0.1:1/t', 'c', 's');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled)
VALUES ('lim', 'limits', 'G', 'p', '2024-01-01'), ('oth', 'limits', 'G', 'p', '2024-01-01');
INSERT INTO kinderconnect.agency VALUES ('L-TX', 'Board 28', 'TX', 'America/Chicago'), ('L-MO', 'Office', 'MO', 'America/Chicago'),
	('L-NY', 'Albany', 'NY', 'America/New_York'), ('L-NY80', 'Lewis', 'NY', 'America/New_York'), ('L-LA', 'LDOE', 'LA', 'America/Chicago'),
	('L-ZZ', 'A fifth state', 'ZZ', 'America/Denver'), ('L-CW', 'Corrections alone', 'ZY', 'America/Chicago');
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized)
SELECT o, a, c, 'Kim', c, '2021-01-01', true
FROM unnest(ARRAY['lim', 'oth']) o, unnest(ARRAY['L-TX', 'L-MO', 'L-NY', 'L-NY80', 'L-LA', 'L-ZZ', 'L-CW']) a, unnest(ARRAY['1', '2', '3', '4']) c;

SELECT (now() AT TIME ZONE 'America/Chicago')::date AS today \gset
CREATE FUNCTION pg_temp.day(agency text, child text, day date, state text, reason text DEFAULT NULL, kind text DEFAULT NULL,
	ins time[] DEFAULT NULL, outs time[] DEFAULT NULL, absence_reason text DEFAULT NULL, accepted text DEFAULT NULL, window_ends timestamptz DEFAULT NULL,
	provider text DEFAULT 'P', authorized boolean DEFAULT true, organization text DEFAULT 'lim') RETURNS void
LANGUAGE sql
BEGIN ATOMIC
	INSERT INTO kinderconnect.child_day (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, state, reason, kind, session_in, session_out,
		absence_reason, content, basis, record_id, accepted_kind, accepted_in, accepted_out, accepted_content, accepted_record_id, accepted_at, window_ends)
	VALUES (organization, agency, provider, child, day, authorized, state, reason, kind, ins, outs, absence_reason, kinderconnect.content(kind, ins, outs, absence_reason), 'b',
		CASE WHEN state NOT IN ('held', 'ready', 'not_due') OR accepted IS NOT NULL OR state = 'accepted' THEN 'r' END,
		CASE WHEN state = 'accepted' THEN kind WHEN accepted IS NOT NULL THEN 'session' END,
		CASE WHEN state = 'accepted' THEN ins WHEN accepted IS NOT NULL THEN ARRAY[split_part(accepted, '-', 1)::time] END,
		CASE WHEN state = 'accepted' THEN outs WHEN accepted IS NOT NULL THEN ARRAY[split_part(accepted, '-', 2)::time] END,
		CASE WHEN state = 'accepted' THEN kinderconnect.content(kind, ins, outs, absence_reason) ELSE accepted END,
		CASE WHEN state = 'accepted' OR accepted IS NOT NULL THEN 'r' END, CASE WHEN state = 'accepted' OR accepted IS NOT NULL THEN now() END, window_ends);
END;
CREATE FUNCTION pg_temp.closes(day date, days integer, zone text) RETURNS timestamptz
LANGUAGE sql RETURN (day + days + 1)::timestamp AT TIME ZONE zone;

-- the windows of an agency: its own before its state's, ours before the shipped, enforced or not, each on its dates
INSERT INTO kinderconnect.agency_rule (agency_id, state, rule, valid, value, enforced, source) VALUES
	('L-MO', NULL, 'entry_window_days', '(,)', '10', true, 'test'),
	('L-MO', NULL, 'correction_window_days', '(,)', '3', true, 'test'),
	('L-CW', NULL, 'correction_window_days', '(,)', '3', true, 'test'),
	(NULL, 'MO', 'entry_window_days', '(,)', '99', true, 'test'),
	(NULL, 'TX', 'entry_window_days', '[2020-01-01,2021-01-01)', '13', true, 'test');
SELECT agency_id, rule, days, enforced, valid FROM kinderconnect.entry_window WHERE agency_id LIKE 'L-%' ORDER BY agency_id, rule COLLATE "C", days;

-- about to be lost: Texas believes in 6 days, Missouri's office enforces 10 and 3 for corrections, Louisiana says nothing
SELECT pg_temp.day('L-TX', '1', :'today'::date - 6, 'held', 'missing_check_out'),
	pg_temp.day('L-TX', '1', :'today'::date - 7, 'held', 'missing_check_out'),
	pg_temp.day('L-TX', '1', :'today'::date - 1, 'ready', kind => 'absence'),
	pg_temp.day('L-TX', '1', :'today'::date - 2, 'rejected', kind => 'absence'),
	pg_temp.day('L-TX', '1', :'today'::date - 3, 'accepted', kind => 'absence'),
	pg_temp.day('L-TX', '1', :'today'::date - 4, 'unknown', kind => 'absence'),
	pg_temp.day('L-TX', '1', :'today'::date - 5, 'not_due', 'closure_not_taken', kind => 'closure'),
	pg_temp.day('L-MO', '1', :'today'::date - 10, 'held', 'unmatched', window_ends => pg_temp.closes(:'today'::date - 10, 10, 'America/Chicago')),
	pg_temp.day('L-MO', '1', :'today'::date - 11, 'held', 'window_closed', window_ends => pg_temp.closes(:'today'::date - 11, 10, 'America/Chicago')),
	pg_temp.day('L-MO', '2', :'today'::date - 11, 'held', 'too_short', window_ends => pg_temp.closes(:'today'::date - 11, 10, 'America/Chicago')),
	pg_temp.day('L-MO', '1', :'today'::date - 2, 'ready', kind => 'session', ins => '{8:00}', outs => '{17:00}', accepted => '08:00-16:00',
		window_ends => pg_temp.closes(:'today'::date - 2, 3, 'America/Chicago')),
	-- the location's own zone is another one than the agency's
	pg_temp.day('L-MO', '2', :'today'::date - 4, 'held', 'nothing_recorded', window_ends => pg_temp.closes(:'today'::date - 4, 10, 'America/New_York')),
	pg_temp.day('L-MO', '3', :'today'::date - 4, 'held', 'nothing_recorded', window_ends => pg_temp.closes(:'today'::date - 4, 10, 'Pacific/Honolulu')),
	-- decided under the new rule by no plan yet
	pg_temp.day('L-MO', '4', :'today'::date - 9, 'held', 'nothing_recorded'),
	pg_temp.day('L-CW', '1', :'today'::date - 2, 'ready', kind => 'session', ins => '{8:00}', outs => '{17:00}', accepted => '08:00-16:00'),
	pg_temp.day('L-CW', '2', :'today'::date - 2, 'ready', kind => 'session', ins => '{8:00}', outs => '{17:00}'),
	pg_temp.day('L-LA', '1', :'today'::date - 45, 'held', 'nothing_recorded'),
	pg_temp.day('L-LA', '1', :'today'::date - 46, 'held', 'horizon_passed'),
	pg_temp.day('L-LA', '2', :'today'::date - 46, 'unknown', kind => 'absence'),
	pg_temp.day('L-LA', '2', :'today'::date - 30, 'held', 'nothing_recorded'),
	pg_temp.day('L-LA', '3', :'today'::date - 30, 'held', 'cannot_void', accepted => '08:00-16:00'),
	pg_temp.day('L-LA', '4', :'today'::date - 30, 'held', 'authorization_lost', accepted => '08:00-16:00'),
	pg_temp.day('L-LA', '4', :'today'::date - 40, 'held', 'provider_disabled'),
	pg_temp.day('L-LA', '4', :'today'::date - 41, 'held', 'organization_disabled') \g /dev/null
-- The list as it comes, without an order of ours.
SELECT days_left, closes_by, agency_id, kinderconnect_child_id AS child, :'today'::date - service_date AS age, state, reason, last_day - :'today'::date AS last_day, left(what_to_do, 40) AS what_to_do
FROM kinderconnect.about_to_be_lost WHERE organization_id = 'lim';
-- Every other unsettled day is lost, or nothing to lose. What was the cure is
-- none any more.
SELECT agency_id, kinderconnect_child_id AS child, age, state, reason, closes_by, days_left, believed_closed, left(what_to_do, 40) AS what_to_do FROM kinderconnect.unsettled_day u
WHERE organization_id = 'lim' AND NOT EXISTS (SELECT FROM kinderconnect.about_to_be_lost a
	WHERE (a.organization_id, a.agency_id, a.kinderconnect_child_id, a.service_date) = (u.organization_id, u.agency_id, u.kinderconnect_child_id, u.service_date))
ORDER BY 1, 2, 3;
-- With a shorter horizon nothing of the agency's matters.
SET LOCAL kinderconnect.horizon_days = 5;
SELECT agency_id, kinderconnect_child_id AS child, :'today'::date - service_date AS age, closes_by, days_left FROM kinderconnect.about_to_be_lost WHERE organization_id = 'lim';
SELECT agency_id, kinderconnect_child_id AS child, age, state, reason, closes_by, left(what_to_do, 40) AS what_to_do
FROM kinderconnect.unsettled_day WHERE organization_id = 'lim' AND days_left < 0 ORDER BY 1, 2, 3;
-- With a longer one, what the last plan gave up is the next one's.
SET LOCAL kinderconnect.horizon_days = 47;
SELECT reason, days_left FROM kinderconnect.unsettled_day WHERE organization_id = 'lim' AND agency_id = 'L-LA' AND reason = 'horizon_passed';
SELECT count(*) AS "and not here" FROM kinderconnect.about_to_be_lost WHERE organization_id = 'lim' AND reason = 'horizon_passed';
SET LOCAL kinderconnect.horizon_days = 45;
-- A believed window that is over is told beside what else closes.
SELECT age, closes_by, days_left FROM kinderconnect.unsettled_day WHERE organization_id = 'lim' AND believed_closed;

SELECT agency_id, state, reason, days, this_week, this_month, older, lost, left_to_tomorrow AS tomorrow, left_under_a_week AS under_a_week, left_longer AS longer,
	believed_closed, :'today'::date - oldest AS oldest, next_last_day - :'today'::date AS next_last_day
FROM kinderconnect.held_ageing WHERE organization_id = 'lim' ORDER BY agency_id, state, reason COLLATE "C";
SELECT count(*) AS "rows that do not add up" FROM kinderconnect.held_ageing
WHERE days <> this_week + this_month + older OR days <> lost + left_to_tomorrow + left_under_a_week + left_longer;
SELECT (SELECT sum(days) FROM kinderconnect.held_ageing WHERE organization_id = 'lim')
	= (SELECT held + ready + rejected + unknown FROM (SELECT count(*) FILTER (WHERE state = 'held') AS held, count(*) FILTER (WHERE state = 'ready') AS ready,
		count(*) FILTER (WHERE state = 'rejected') AS rejected, count(*) FILTER (WHERE state IN ('sending', 'unknown')) AS unknown
		FROM kinderconnect.child_day WHERE organization_id = 'lim') d) AS "nothing is left out";

-- Between the midnight of the agency and that of the location: in the one's
-- morning a window that is open still, in the other's evening one that is not.
SAVEPOINT midnights;
CREATE TABLE pg_temp.clock AS
SELECT 'L-' || hour AS agency, 'Etc/GMT' || CASE WHEN ahead > 0 THEN '-' ELSE '+' END || abs(ahead) AS zone
FROM unnest(ARRAY[6, 18]) hour, LATERAL (SELECT (hour - extract(hour FROM now() AT TIME ZONE 'UTC')::integer + 36) % 24 - 12 AS ahead) a;
INSERT INTO kinderconnect.agency SELECT agency, NULL, NULL, zone FROM pg_temp.clock;
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, subsidized) SELECT 'lim', agency, '1', true FROM pg_temp.clock;
SELECT pg_temp.day(agency, '1', (now() AT TIME ZONE zone)::date - 1, 'held', 'unmatched', window_ends => now() + CASE agency WHEN 'L-6' THEN 1 ELSE -1 END * interval '1 second')
FROM pg_temp.clock \g /dev/null
SELECT c.agency, extract(hour FROM now() AT TIME ZONE c.zone) AS hour, u.closes_by, u.days_left, left(u.what_to_do, 40) AS what_to_do
FROM kinderconnect.unsettled_day u JOIN pg_temp.clock c ON c.agency = u.agency_id ORDER BY 1 DESC;
ROLLBACK TO midnights;

-- one child-day, from the authorization to where it stands
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, units_of_care, known_from) VALUES
	('oth', 'L-TX', 'P', '1', 'A1', '2025-01-01', '2025-03-31', 'FULL', '2025-02-01 12:00Z'),
	('oth', 'L-TX', 'P', '1', 'A0', '2024-01-01', '2025-03-02', 'FULL', '2025-01-01 12:00Z'),
	('oth', 'L-TX', 'P', '1', 'A2', '2025-04-01', NULL, 'FULL', '2025-02-01 12:00Z'),
	('oth', 'L-TX', 'P', '2', 'A1', '2025-01-01', '2025-03-31', 'FULL', '2025-02-01 12:00Z');
INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, linked_at, linked_by)
VALUES ('oth', 'L-TX', '1', 'm1', 'person', '2025-03-02 12:00Z', 'ana');
INSERT INTO kinderconnect.ledger (organization_id, record_id, agency_id, provider_id, kinderconnect_child_id, service_date, child_id, kind, content, state, code, message, run_id, created_at, answered_at) VALUES
	('oth', 'r1', 'L-TX', 'P', '1', '2025-03-03', 'm1', 'session', '08:00-16:00', 'accepted', NULL, NULL, 1, '2025-03-04 08:00Z', '2025-03-05 08:03Z'),
	('oth', 'r2', 'L-TX', 'P', '1', '2025-03-03', 'm1', 'session', '08:00-17:00', 'rejected', 'LATE', 'too late', 2, '2025-03-06 08:00Z', '2025-03-06 08:02Z'),
	('oth', 'r3', 'L-TX', 'P', '1', '2025-03-04', 'm1', 'session', '08:00-17:30', 'sending', NULL, NULL, 2, '2025-03-06 08:00Z', NULL),
	('oth', 'r4', 'L-TX', 'P', '2', '2025-03-03', 'm2', 'session', '08:00-17:30', 'sending', NULL, NULL, 2, '2025-03-06 08:00Z', NULL);
INSERT INTO kinderconnect.batch (organization_id, batch_id, agency_id, provider_id, run_id, records, record_ids, state, http_status, message, created_at, sent_at) VALUES
	('oth', 'b1', 'L-TX', 'P', 1, 1, '{r1}', 'lost', NULL, 'no answer', '2025-03-04 08:00Z', '2025-03-04 08:01Z'),
	('oth', 'b2', 'L-TX', 'P', 1, 1, '{r1}', 'answered', 200, NULL, '2025-03-05 08:00Z', '2025-03-05 08:02Z'),
	('oth', 'b3', 'L-TX', 'P', 2, 2, '{r2,r3}', 'answered', 200, NULL, '2025-03-06 08:00Z', '2025-03-06 08:01Z'),
	('oth', 'b4', 'L-TX', 'P', 2, 1, '{r2}', 'waiting', NULL, NULL, '2025-03-06 08:00Z', NULL);
SELECT pg_temp.day('L-TX', '1', '2025-03-03', 'rejected', kind => 'session', ins => '{8:00}', outs => '{17:00}', accepted => '08:00-16:00', organization => 'oth'),
	pg_temp.day('L-TX', '1', '2025-03-04', 'held', 'conflict', organization => 'oth') \g /dev/null
UPDATE kinderconnect.child_day SET planned_at = '2025-03-04 07:59Z', changed_at = '2025-03-06 08:02Z', code = 'LATE', message = 'too late' WHERE organization_id = 'oth' AND service_date = '2025-03-03';
SELECT to_char(at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS at, event, content, was, state, said, record_id, run_id FROM kinderconnect.child_day_history
WHERE (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date) = ('oth', 'L-TX', 'P', '1', '2025-03-03')
ORDER BY event = 'now', kinderconnect.child_day_history.at;

-- and one that the agency takes no closure of
SELECT pg_temp.day('L-TX', '2', '2025-03-05', 'not_due', 'closure_not_taken', kind => 'closure', organization => 'oth') \g /dev/null
UPDATE kinderconnect.child_day SET planned_at = '2025-03-06 07:59Z', changed_at = '2025-03-06 07:59Z' WHERE organization_id = 'oth' AND service_date = '2025-03-05';
SELECT event, content, state, said FROM kinderconnect.child_day_history WHERE organization_id = 'oth' AND service_date = '2025-03-05' ORDER BY event = 'now', kinderconnect.child_day_history.at;

-- absences: those of the last 12 months in Texas, with and without what is not recorded
INSERT INTO kinderconnect.absence_limit (agency_id, limit_name, valid, counts, period_months, period_begins, at_most, enforced, source) VALUES
	('L-NY80', 'paid absences', '(,)', 'absence', 12, 10, 80, true, 'its plan');
SELECT agency_id, limit_name, at_most, needs_attended, valid FROM kinderconnect.absence_limit_in_force WHERE agency_id LIKE 'L-%' ORDER BY agency_id, limit_name COLLATE "C";

DELETE FROM kinderconnect.child_day;
-- Child 1: 40 within the 12 months that end today, one on the day before they
-- begin; 2: 31 and 9 not recorded; 3: 32 and 9; 4: 41, one of them twice.
SELECT period_begin AS first_day FROM kinderconnect._absence_period(:'today', :'today', 12, NULL) \gset
SELECT pg_temp.day('L-TX', '1', :'first_day'::date + n, 'accepted', kind => 'absence') FROM generate_series(-1, 39) n \g /dev/null
SELECT pg_temp.day('L-TX', '2', :'today'::date - n, 'accepted', kind => 'absence') FROM generate_series(1, 31) n \g /dev/null
SELECT pg_temp.day('L-TX', '2', :'today'::date - n, 'held', 'nothing_recorded') FROM generate_series(101, 109) n \g /dev/null
SELECT pg_temp.day('L-TX', '3', :'today'::date - n, 'accepted', kind => 'absence') FROM generate_series(1, 32) n \g /dev/null
SELECT pg_temp.day('L-TX', '3', :'today'::date - n, 'held', 'nothing_recorded') FROM generate_series(101, 109) n \g /dev/null
SELECT pg_temp.day('L-TX', '4', :'today'::date - n, 'accepted', kind => 'absence', absence_reason => CASE WHEN n % 2 = 0 THEN 'ILL' END) FROM generate_series(1, 41) n \g /dev/null
SELECT pg_temp.day('L-TX', '4', :'today'::date - 1, 'held', 'absence_reason', provider => 'Q'),
	pg_temp.day('L-TX', '4', :'today'::date - 50, 'held', 'not_authorized', kind => 'absence', authorized => false),
	pg_temp.day('L-TX', '4', :'today'::date - 51, 'accepted', kind => 'session', ins => '{8:00}', outs => '{16:00}') \g /dev/null
SELECT kinderconnect_child_id AS child, :'first_day' = period_begin AND :'today' = period_end AS "12 months to today", used, attended, unrecorded, at_most, remaining, warning,
	greatest(first_day, period_begin) = first_day AS in_period
FROM kinderconnect.absence_use WHERE organization_id = 'lim' AND state = 'TX' ORDER BY 1;
-- and one of whom nothing but that is known
SELECT pg_temp.day('L-TX', '1', :'today'::date - n, 'held', 'nothing_recorded', organization => 'oth') FROM generate_series(1, 41) n \g /dev/null
SELECT used, unrecorded, counts_unrecorded, warning FROM kinderconnect.absence_use WHERE organization_id = 'oth';
-- Our own row for the state names the reasons that do not count.
INSERT INTO kinderconnect.absence_limit (state, limit_name, valid, counts, uncounted_reasons, period_months, at_most, enforced, source)
VALUES ('TX', 'unexplained absences', '(,)', 'absence', '{ILL}', 12, 40, true, 'ours');
SELECT kinderconnect_child_id AS child, used, remaining, unrecorded, warning FROM kinderconnect.absence_use WHERE organization_id = 'lim' AND state = 'TX' ORDER BY 1;

-- the last and the next: of 40, of 24, of 80, of 11
CREATE TABLE pg_temp.border (agency text, at_most integer, kind text, first_day date);
INSERT INTO pg_temp.border VALUES ('L-TX', 40, 'absence', :'first_day'), ('L-NY', 24, 'absence', '2024-02-10'), ('L-NY80', 80, 'absence', '2024-02-10'), ('L-MO', 11, 'closure', '2024-02-22');
DELETE FROM kinderconnect.absence_limit WHERE NOT builtin AND state = 'TX';
DELETE FROM kinderconnect.child_day;
SELECT pg_temp.day(agency, (n + 2)::text, first_day + i, 'accepted', kind => kind) FROM pg_temp.border, generate_series(-1, 1) n, generate_series(1, at_most + n) i \g /dev/null
SELECT agency_id, limit_name, kinderconnect_child_id AS child, used, remaining, warning FROM kinderconnect.absence_use WHERE organization_id = 'lim' ORDER BY at_most, kinderconnect_child_id;
DELETE FROM kinderconnect.child_day;
-- the months up to a day: never a day too many, and none twice
SELECT today, period_begin FROM unnest('{2023-02-28,2023-03-01,2024-02-28,2024-02-29,2024-03-01,2025-02-27,2025-02-28,2025-03-01,2024-12-31}'::date[]) WITH ORDINALITY u(today, n), kinderconnect._absence_period(today, today, 12, NULL) ORDER BY n;
SELECT count(*) AS days, count(*) FILTER (WHERE period_begin + make_interval(months => m) <= today OR (period_begin - 1) + make_interval(months => m) > today OR period_end <> today) AS wrong
FROM generate_series('2023-01-01'::timestamp, '2028-12-31', interval '1 day') d, unnest('{1,2,3,4,6,12}'::integer[]) m, date(d) today, kinderconnect._absence_period(today, today, m, NULL);
-- and the periods of the year: each day in one, each follows the one before, and each begins with its month
SELECT count(DISTINCT (m, b, period_begin)) AS periods, count(*) FILTER (WHERE today NOT BETWEEN period_begin AND period_end) AS outside,
	count(*) FILTER (WHERE today > '2023-12-31' AND previous <> period_begin - 1 AND today = period_begin) AS apart,
	count(*) FILTER (WHERE extract(day FROM period_begin) <> 1 OR (extract(month FROM period_begin)::integer - b) % m <> 0 OR period_begin + make_interval(months => m) <> period_end + 1) AS crooked
FROM (SELECT today, m, b, period_begin, period_end, lag(period_end) OVER (PARTITION BY m, b ORDER BY today) AS previous
	FROM generate_series('2023-01-01'::timestamp, '2028-12-31', interval '1 day') d, unnest('{1,2,3,4,6,12}'::integer[]) m, generate_series(1, 12) b, date(d) today, kinderconnect._absence_period(today, '2026-01-01', m, b)) p;

-- New York: 24 in a calendar year, 80 in a year from October where the district says so
SELECT pg_temp.day(a, '1', '2025-12-20'::date + n, 'accepted', kind => 'absence') FROM generate_series(0, 35) n, unnest(ARRAY['L-NY', 'L-NY80']) a \g /dev/null
SELECT agency_id, period_begin, period_end, used, at_most, warning FROM kinderconnect.absence_use WHERE organization_id = 'lim' AND state = 'NY' ORDER BY 1, 2;

-- Missouri: absences of a month without attendance; 11 holidays from July to June
SELECT pg_temp.day('L-MO', '1', '2025-02-28', 'accepted', kind => 'absence'),
	pg_temp.day('L-MO', '1', '2025-03-01', 'held', 'missing_check_out'),
	pg_temp.day('L-MO', '1', '2025-03-31', 'accepted', kind => 'absence'),
	pg_temp.day('L-MO', '1', '2025-04-01', 'accepted', kind => 'session', ins => '{8:00}', outs => '{16:00}') \g /dev/null
SELECT pg_temp.day('L-MO', '2', '2024-06-20'::date + n, 'accepted', kind => 'closure') FROM generate_series(0, 22) n \g /dev/null
SELECT kinderconnect_child_id AS child, limit_name, period_begin, period_end, used, attended, at_most, remaining, warning
FROM kinderconnect.absence_use WHERE organization_id = 'lim' AND state = 'MO' ORDER BY 1, 3;

-- a fifth state is rows; a limit that ends is judged on the last day of its period; one with neither number is none
INSERT INTO kinderconnect.absence_limit (state, limit_name, valid, counts, period_months, period_begins, at_most, enforced, source) VALUES
	('ZZ', 'quarter', '[2024-01-01,2025-04-01)', 'absence', 3, 2, 2, true, 'test'),
	('ZZ', 'quarter', '[2025-04-01,)', 'absence', 3, 2, 3, true, 'test');
SELECT pg_temp.day('L-ZZ', '1', d::date, 'accepted', kind => 'absence') FROM unnest(ARRAY['2025-01-31', '2025-02-01', '2025-03-15', '2025-04-30', '2025-05-01', '2025-07-31']) d \g /dev/null
SELECT period_begin, period_end, used, at_most, warning FROM kinderconnect.absence_use WHERE organization_id = 'lim' AND agency_id = 'L-ZZ' ORDER BY 1;
-- and in a period that goes on, by what counts today
INSERT INTO kinderconnect.absence_limit (agency_id, limit_name, valid, counts, period_months, period_begins, at_most, enforced, source) VALUES
	('L-CW', 'year', daterange(NULL, :'today'::date + 1), 'absence', 12, extract(month FROM :'today'::date), 2, true, 'test'),
	('L-CW', 'year', daterange(:'today'::date + 1, NULL), 'absence', 12, extract(month FROM :'today'::date), 3, true, 'test');
SELECT pg_temp.day('L-CW', '1', :'today', 'accepted', kind => 'absence') \g /dev/null
SELECT used, at_most FROM kinderconnect.absence_use WHERE organization_id = 'lim' AND agency_id = 'L-CW';
INSERT INTO kinderconnect.absence_limit (agency_id, limit_name, valid, counts, period_months, enforced, source) VALUES ('L-ZZ', 'quarter', '(,)', 'absence', 3, true, 'has none');
SELECT count(*) FROM kinderconnect.absence_use WHERE organization_id = 'lim' AND agency_id = 'L-ZZ';
SELECT count(*) AS "Louisiana: not known" FROM kinderconnect.absence_limit_in_force WHERE agency_id = 'L-LA';

-- units: each band by its first and last minute
DELETE FROM kinderconnect.child_day;
CREATE FUNCTION pg_temp.minutes(agency text, VARIADIC lengths integer[]) RETURNS void LANGUAGE sql
BEGIN ATOMIC
	SELECT pg_temp.day(agency, '1', '2025-03-02'::date + n::integer, 'accepted', kind => 'session', ins => ARRAY['6:00'::time], outs => ARRAY['6:00'::time + make_interval(mins => l)])
	FROM unnest(lengths) WITH ORDINALITY m(l, n);
END;
SELECT pg_temp.minutes('L-MO', 29, 30, 179, 180, 299, 300, 720, 721), pg_temp.minutes('L-TX', 1, 359, 360, 720, 721), pg_temp.minutes('L-NY', 1, 359, 360, 719, 720),
	pg_temp.minutes('L-LA', 30, 300) \g /dev/null
SELECT agency_id, month, days_attended, minutes, units, units_used, outside_bands, not_measured, not_compared FROM kinderconnect.unit_use WHERE organization_id = 'lim' ORDER BY 1;

-- A shipped row that is edited is one's own, and an upgrade's new one beside it
-- changes nothing; of the bands, the others stay.
SELECT count(*) AS shipped, count(*) FILTER (WHERE builtin) AS "as shipped" FROM kinderconnect.unit_band WHERE state = 'MO' AND shipped IS NOT NULL;
UPDATE kinderconnect.unit_band SET minutes = '[300,781)' WHERE state = 'MO' AND unit = 'full';
SELECT unit, minutes, builtin FROM kinderconnect.unit_band WHERE state = 'MO' ORDER BY minutes;
SELECT units, outside_bands FROM kinderconnect.unit_use WHERE organization_id = 'lim' AND agency_id = 'L-MO';
INSERT INTO kinderconnect.unit_band (state, unit, valid, minutes, enforced, source, note, shipped)
SELECT state, unit, valid, '[300,721)', enforced, source, note, shipped FROM kinderconnect.unit_band WHERE state = 'MO' AND unit = 'full';
SELECT count(*) FILTER (WHERE builtin) AS shipped, count(*) FILTER (WHERE NOT builtin) AS edited FROM kinderconnect.unit_band WHERE state = 'MO' AND unit = 'full';
SELECT units, outside_bands FROM kinderconnect.unit_use WHERE organization_id = 'lim' AND agency_id = 'L-MO';
UPDATE kinderconnect.absence_limit SET at_most = 30 WHERE state = 'NY';
SELECT builtin FROM kinderconnect.absence_limit WHERE state = 'NY';
UPDATE kinderconnect.agency_rule SET note = note || '!' WHERE state = 'TX' AND rule = 'closures';
SELECT rule, builtin FROM kinderconnect.agency_rule WHERE state = 'TX' AND shipped IS NOT NULL ORDER BY rule, valid;

-- an agency's bands stand in the place of all of its state's, from their date on
INSERT INTO kinderconnect.unit_band (agency_id, unit, valid, minutes, enforced, source) VALUES ('L-MO', 'any', '[2025-03-07,)', '[1,1441)', true, 'test');
SELECT units, outside_bands FROM kinderconnect.unit_use WHERE organization_id = 'lim' AND agency_id = 'L-MO';

-- what is measured: several sessions, care past midnight, the night the clocks change, a punch that is missing, what only the service holds
DELETE FROM kinderconnect.child_day;
SELECT pg_temp.day('L-TX', '1', '2025-03-03', 'accepted', kind => 'session', ins => '{8:00,13:00}', outs => '{12:00,16:30}'),
	pg_temp.day('L-TX', '1', '2025-04-03', 'accepted', kind => 'session', ins => '{20:00}', outs => '{6:00}'),
	pg_temp.day('L-TX', '1', '2025-05-03', 'accepted', kind => 'session', ins => '{18:00}', outs => '{0:00}'),
	pg_temp.day('L-TX', '2', '2025-03-09', 'accepted', kind => 'session', ins => '{1:00}', outs => '{4:00}'),
	pg_temp.day('L-TX', '2', '2025-11-02', 'accepted', kind => 'session', ins => '{0:30}', outs => '{1:30}'),
	pg_temp.day('L-TX', '2', '2025-12-02', 'accepted', kind => 'session', ins => '{0:30}', outs => '{3:30}'),
	pg_temp.day('L-TX', '3', '2025-03-03', 'accepted', kind => 'session', ins => '{8:00}', outs => ARRAY[NULL::time]),
	pg_temp.day('L-TX', '3', '2025-03-04', 'held', 'over_midnight'),
	pg_temp.day('L-TX', '3', '2025-03-08', 'accepted', kind => 'session', ins => '{8:00,13:00}', outs => ARRAY['12:00'::time, NULL]),
	pg_temp.day('L-TX', '3', '2025-03-05', 'held', 'conflict'),
	pg_temp.day('L-TX', '3', '2025-03-06', 'accepted', kind => 'absence'),
	pg_temp.day('L-TX', '3', '2025-03-07', 'held', 'not_authorized', kind => 'session', ins => '{8:00}', outs => '{9:00}', authorized => false),
	pg_temp.day('L-TX', '4', '2025-03-03', 'held', 'cannot_void', accepted => '08:00-15:00'),
	pg_temp.day('L-TX', '4', '2025-11-02', 'accepted', kind => 'session', ins => '{0:30}', outs => '{3:30}') \g /dev/null
SELECT kinderconnect_child_id AS child, month, days_authorized AS authorized, days_attended AS attended, days_absent AS absent, minutes, units, units_used, not_measured
FROM kinderconnect.unit_use WHERE organization_id = 'lim' ORDER BY 1, 2;

-- units authorized: compared where they are one number
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, units_of_care, known_from, known_until, closed_as) VALUES
	('lim', 'L-TX', 'P', '1', 'a', '2025-03-01', '2025-03-31', ' 20 ', now(), 'infinity', NULL),
	('lim', 'L-TX', 'P', '1', 'b', '2025-04-01', '2025-04-15', '20', now(), 'infinity', NULL),
	('lim', 'L-TX', 'P', '1', 'c', '2025-04-16', '2025-04-30', '21', now(), 'infinity', NULL),
	('lim', 'L-TX', 'P', '1', 'd', '2025-05-01', NULL, '0.5', now(), 'infinity', NULL),
	('lim', 'L-TX', 'P', '1', 'e', '2025-05-01', NULL, '99', now() - interval '1 day', now(), 'vanished'),
	('lim', 'L-TX', 'P', '2', 'f', '2025-03-01', '2025-03-31', 'FULL', now(), 'infinity', NULL),
	('lim', 'L-TX', 'P', '2', 'g', '2025-11-01', '2025-11-30', '10', now(), 'infinity', NULL),
	('lim', 'L-TX', 'P', '2', 'h', '2025-11-01', '2025-11-30', NULL, now(), 'infinity', NULL);
SELECT kinderconnect_child_id AS child, month, units_used, days_authorized, units_of_care, units_authorized, left_if_of_month, left_if_of_day, not_compared
FROM kinderconnect.unit_use WHERE organization_id = 'lim' AND kinderconnect_child_id IN ('1', '2') ORDER BY 1, 2;

-- an analyst reads all of it, an admin sets the rows
SET ROLE kinderconnect_analyst;
SELECT (SELECT count(*) > 0 FROM kinderconnect.unsettled_day) AS unsettled, (SELECT count(*) >= 0 FROM kinderconnect.about_to_be_lost) AS lost,
	(SELECT count(*) > 0 FROM kinderconnect.held_ageing) AS ageing, (SELECT count(*) > 0 FROM kinderconnect.child_day_history) AS history,
	(SELECT count(*) >= 0 FROM kinderconnect.absence_use) AS absences, (SELECT count(*) > 0 FROM kinderconnect.unit_use) AS units;
RESET ROLE;
SELECT r, has_table_privilege(r, 'kinderconnect.absence_limit', 'INSERT') AS limits, has_table_privilege(r, 'kinderconnect.unit_band', 'INSERT') AS bands
FROM unnest(ARRAY['kinderconnect_admin', 'kinderconnect_analyst', 'kinderconnect_operator']) r;

-- What a row may not be.
\set ON_ERROR_ROLLBACK on
\set VERBOSITY sqlstate
INSERT INTO kinderconnect.absence_limit (agency_id, state, limit_name, valid, counts, period_months, enforced, source) VALUES ('L-ZZ', 'ZZ', 'x', '(,)', 'absence', 1, true, 's');
INSERT INTO kinderconnect.absence_limit (state, limit_name, valid, counts, period_months, enforced, source) VALUES ('ZZ', 'x', '(,)', 'absence', 5, true, 's');
INSERT INTO kinderconnect.absence_limit (state, limit_name, valid, counts, period_months, at_most, needs_attended, enforced, source) VALUES ('ZZ', 'x', '(,)', 'absence', 1, 1, 1, true, 's');
INSERT INTO kinderconnect.absence_limit (state, limit_name, valid, counts, period_months, at_most, enforced, source) VALUES ('ZZ', 'quarter', '[2026-01-01,)', 'absence', 1, 1, true, 's');
INSERT INTO kinderconnect.unit_band (agency_id, unit, valid, minutes, enforced, source) VALUES ('L-MO', 'other', '[2026-01-01,)', '[1400,1500)', true, 's');
INSERT INTO kinderconnect.unit_band (state, unit, valid, minutes, enforced, source) VALUES ('ZZ', 'other', 'empty', '[1,2)', true, 's');
\set VERBOSITY default
ROLLBACK;
