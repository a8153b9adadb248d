-- When a timetable has a run, and who is due: fixed instants, so that no
-- test depends on today.
\pset format unaligned
\pset footer off
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

-- The clocks of New York go from 02:00 to 03:00 on 2026-03-08 at 07:00 UTC,
-- and from 02:00 back to 01:00 on 2026-11-01 at 06:00 UTC. A time that is
-- skipped is the first instant after the gap, one that comes twice the first.
SELECT w AS wall, kinderconnect._instant(w, 'America/New_York') AS instant
FROM unnest(ARRAY['2026-03-08 01:59:59', '2026-03-08 02:00', '2026-03-08 02:30', '2026-03-08 02:59:59', '2026-03-08 03:00',
	'2026-11-01 00:59:59', '2026-11-01 01:00', '2026-11-01 01:30', '2026-11-01 01:59:59', '2026-11-01 02:00', '2026-07-01 00:15']::timestamp[]) w;
-- Zones whose clocks change by half an hour, or at midnight.
SELECT w AS wall, z AS zone, kinderconnect._instant(w, z) AS instant
FROM (VALUES ('2026-10-04 02:10'::timestamp, 'Australia/Lord_Howe'), ('2026-04-05 01:45', 'Australia/Lord_Howe'),
	('2024-04-26 00:15', 'Africa/Cairo'), ('2024-10-31 23:30', 'Africa/Cairo'), ('2011-12-30 12:00', 'Pacific/Apia')) v (w, z);
-- The definition itself, minute by minute through both nights: nothing earlier
-- that day shows the time, or a later one.
SELECT count(*) AS minutes, count(*) FILTER (WHERE i.instant AT TIME ZONE z < w) AS too_early,
	count(*) FILTER (WHERE (i.instant - interval '1 second') AT TIME ZONE z >= w) AS too_late
FROM unnest(ARRAY['America/New_York', 'America/Chicago', 'America/Denver', 'America/Los_Angeles', 'America/Anchorage', 'Pacific/Honolulu']) z,
	unnest(ARRAY['2026-03-08', '2026-11-01']::timestamp[]) d, generate_series(d, d + interval '5 hours', '1 minute') w,
	LATERAL (SELECT kinderconnect._instant(w, z) AS instant) i
WHERE i.instant < d AT TIME ZONE z + interval '1 hour' OR i.instant >= d AT TIME ZONE z + interval '2 hours';

-- Each minute of those nights a tick: 02:30 and 01:30 run once each night.
CREATE FUNCTION pg_temp.ticks(local_time time, zone text, begins timestamptz, ends timestamptz, every interval) RETURNS SETOF timestamptz LANGUAGE plpgsql AS $$
DECLARE
	covered timestamptz := begins;
	at      timestamptz;
BEGIN
	FOR at IN SELECT g FROM generate_series(begins + every, ends, every) g LOOP
		IF kinderconnect._due_at(kinderconnect._scheduled('nightly', local_time, NULL, NULL, NULL, zone, at), covered, covered, covered, 0, NULL) <= at THEN
			covered := at;
			RETURN NEXT at;
		END IF;
	END LOOP;
END;
$$;
SELECT pg_temp.ticks('02:30', 'America/New_York', '2026-03-07 12:00+00', '2026-03-10 12:00+00', '1 minute');
SELECT pg_temp.ticks('01:30', 'America/New_York', '2026-10-31 12:00+00', '2026-11-03 12:00+00', '1 minute');
-- After downtime of a week: once, not once for each night.
SELECT pg_temp.ticks('00:15', 'America/New_York', '2026-03-01 12:00+00', '2026-03-10 12:00+00', '9 days');
SELECT count(*) FROM pg_temp.ticks('00:15', 'America/New_York', '2026-03-01 12:00+00', '2026-03-31 12:00+00', '15 minutes');

-- Six zones, one night, each on its own clock.
SELECT z AS zone, pg_temp.ticks('00:15', z, '2026-07-01 00:00+00', '2026-07-02 00:00+00', '15 minutes')
FROM unnest(ARRAY['America/New_York', 'America/Chicago', 'America/Denver', 'America/Los_Angeles', 'America/Anchorage', 'Pacific/Honolulu']) z;

-- Cadences: the dates of a quarter.
CREATE FUNCTION pg_temp.dates(cadence text, days text[] DEFAULT NULL, anchor date DEFAULT NULL, month_days integer[] DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(to_char(d, 'MM-DD'), ' ' ORDER BY d) FROM generate_series('2026-01-15'::date, '2026-03-01', '1 day') d
	WHERE kinderconnect._runs_on(d::date, cadence, days, anchor, month_days);
$$;
SELECT pg_temp.dates('nightly');
SELECT pg_temp.dates('weekdays');
SELECT pg_temp.dates('weekly', days => '{SU}');
SELECT pg_temp.dates('weekly', days => '{MO,TH}');
SELECT pg_temp.dates('every_other_week', anchor => '2026-02-10');
SELECT pg_temp.dates('every_other_week', anchor => '2031-02-11');
SELECT pg_temp.dates('monthly', month_days => '{1,16}');
SELECT pg_temp.dates('monthly', month_days => '{31}');
SELECT pg_temp.dates('monthly', month_days => '{28,30}');
SELECT kinderconnect._runs_on('2028-02-28', 'monthly', NULL, NULL, '{31}') AS not_yet, kinderconnect._runs_on('2028-02-29', 'monthly', NULL, NULL, '{29}') AS leap_day;
-- the last and the next instant of each
SELECT c.cadence, kinderconnect._scheduled(c.cadence, '00:15', c.days, c.anchor, c.month_days, 'America/Chicago', '2026-02-18 12:00+00') AS last,
	kinderconnect._scheduled(c.cadence, '00:15', c.days, c.anchor, c.month_days, 'America/Chicago', '2026-02-18 12:00+00', true) AS next
FROM (VALUES ('nightly', NULL::text[], NULL::date, NULL::integer[]), ('weekdays', NULL, NULL, NULL), ('weekly', '{FR}', NULL, NULL),
	('every_other_week', NULL, '2026-02-05', NULL), ('monthly', NULL, NULL, '{31}')) c (cadence, days, anchor, month_days);
-- an instant is its own last one, and no next one
SELECT kinderconnect._scheduled('nightly', '00:15', NULL, NULL, NULL, 'UTC', '2026-02-18 00:15+00') AS last,
	kinderconnect._scheduled('nightly', '00:15', NULL, NULL, NULL, 'UTC', '2026-02-18 00:15+00', true) AS next,
	kinderconnect._scheduled('nightly', '00:15', NULL, NULL, NULL, 'UTC', '2026-02-18 00:14:59+00') AS before;

-- What failed is tried again at a pace that slows down; what only a person can
-- mend waits for the next date.
SELECT n AS failures, kinderconnect._retry_after(n, 'KC103') AS lost, kinderconnect._retry_after(n, 'KC205') AS busy,
	kinderconnect._retry_after(n, NULL) AS interrupted, kinderconnect._retry_after(n, '40P01') AS database, kinderconnect._retry_after(n, 'KC104') AS deadline,
	kinderconnect._retry_after(n, 'KC202') AS password, kinderconnect._retry_after(n, 'KC001') AS configuration,
	kinderconnect._retry_after(n, 'KC301') AS shrunk, kinderconnect._retry_after(n, 'KC403') AS stopped
FROM unnest(ARRAY[0, 1, 2, 3, 4, 5, 6, 100]) n;
-- runs of a night and a day with a wrong password, and with a service that is down
CREATE FUNCTION pg_temp.tries(state text, ends timestamptz) RETURNS SETOF timestamptz LANGUAGE plpgsql AS $$
DECLARE
	tried    timestamptz := '2026-07-01 04:15+00';
	failures integer := 0;
	at       timestamptz;
BEGIN
	FOR at IN SELECT g FROM generate_series('2026-07-02 00:00+00', ends, interval '15 minutes') g LOOP
		IF kinderconnect._due_at(kinderconnect._scheduled('nightly', '00:15', NULL, NULL, NULL, 'America/New_York', at),
				'2026-07-01 04:15+00', tried, tried + interval '1 minute', failures, state) <= at THEN
			tried := at;
			failures := failures + 1;
			RETURN NEXT at;
		END IF;
	END LOOP;
END;
$$;
SELECT pg_temp.tries('KC202', '2026-07-05 00:00+00');
SELECT pg_temp.tries('KC101', '2026-07-03 12:00+00');

-- Setting it, and what is refused.
\set organization regress_due
\set ECHO none
\i test/lib/service.sql
\set ECHO all
SELECT kinderconnect.add_provider('regress_due', 'A-1', 'P1'), kinderconnect.add_provider('regress_due', 'A-1', 'P2'), kinderconnect.add_provider('regress_due', 'A-2', 'P1');
SELECT kinderconnect.set_schedule('regress_due', 'weekdays', '03:00');
SELECT kinderconnect.set_schedule('regress_due', 'weekly', days => '{tu, sa}', agency_id => 'A-1');
SELECT kinderconnect.set_schedule('regress_due', 'monthly', month_days => '{1,31}', agency_id => 'A-1', provider_id => 'P2');
SELECT agency_id, provider_id, cadence, local_time, days, month_days, time_zone, is_due FROM kinderconnect.due WHERE organization_id = 'regress_due' ORDER BY 1, 2;
SELECT kinderconnect.set_schedule('regress_due', agency_id => 'A-1');
SELECT kinderconnect.clear_schedule('regress_due', 'A-1', 'P2') AS cleared, kinderconnect.clear_schedule('regress_due', 'A-1', 'P2') AS again;
SELECT agency_id, provider_id, cadence, local_time FROM kinderconnect.due WHERE organization_id = 'regress_due' ORDER BY 1, 2;
SELECT kinderconnect.clear_schedule('regress_due'), kinderconnect.clear_schedule('regress_due', 'A-1');
SELECT DISTINCT cadence, local_time FROM kinderconnect.due WHERE organization_id = 'regress_due';
\pset tuples_only on
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('nobody') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', NULL) $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'hourly') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', local_time => '24:00') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'weekly') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'weekly', days => '{}') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'weekly', days => '{MO,Tuesday}') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'weekly', days => '{MO,NULL}') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'every_other_week') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'every_other_week', anchor => 'infinity') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'monthly') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'monthly', month_days => '{0}') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'monthly', month_days => '{1,32}') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'monthly', month_days => '{NULL}') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'nightly', days => '{MO}') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', 'monthly', month_days => '{1}', anchor => '2026-01-01') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', provider_id => 'P1') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', agency_id => 'A-3') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.set_schedule('regress_due', agency_id => 'A-2', provider_id => 'P2') $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.clear_schedule('nobody') $$);
-- nor past the setter
SELECT pg_temp.fails($$ INSERT INTO kinderconnect.timetable VALUES ('regress_due', '', 'P1', 'nightly', '00:15') $$);
SELECT pg_temp.fails($$ INSERT INTO kinderconnect.timetable VALUES ('regress_due', '', '', 'weekly', '00:15') $$);
SELECT pg_temp.fails($$ INSERT INTO kinderconnect.timetable VALUES ('regress_due', '', '', 'monthly', '00:15', NULL, NULL, '{40}') $$);

-- The stop switch.
SELECT pg_temp.fails($$ SELECT kinderconnect.resume() $$);
SELECT pg_temp.fails($$ SELECT kinderconnect.stop(' ') $$);
SELECT kinderconnect.stop('the agency changes its system');
SELECT regexp_replace(pg_temp.fails($$ SELECT kinderconnect.stop('again') $$), 'by .* since .* UTC', 'by ... since ...');
SELECT stopped_by = session_user, stopped_at IS NOT NULL, reason, resumed_at, resumed_by FROM kinderconnect.stop_switch;
SELECT kinderconnect.resume();
SELECT reason, resumed_at IS NOT NULL, resumed_by = session_user FROM kinderconnect.stop_switch;
SET ROLE kinderconnect_analyst;
SELECT pg_temp.fails($$ SELECT kinderconnect.stop('analyst') $$);
RESET ROLE;

ROLLBACK;
SELECT kinderconnect.remove_secret(name) FROM unnest(ARRAY['regress.client', 'regress.group', 'regress.wrong']) name;
