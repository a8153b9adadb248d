-- Who is due, and when: a timetable on the location's own clock against the
-- last run that covered it.

CREATE TABLE kinderconnect.timetable (
	organization_id text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id       text COLLATE "C" NOT NULL DEFAULT '',
	provider_id     text COLLATE "C" NOT NULL DEFAULT '',
	cadence         text NOT NULL CHECK (cadence IN ('nightly', 'weekdays', 'weekly', 'every_other_week', 'monthly')),
	local_time      time NOT NULL CHECK (local_time < '24:00'),
	days            text[] CHECK (cardinality(days) > 0 AND days <@ ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU']),
	anchor          date CHECK (isfinite(anchor)),
	month_days      integer[] CHECK (cardinality(month_days) > 0 AND 1 <= ALL (month_days) AND 31 >= ALL (month_days)),
	PRIMARY KEY (organization_id, agency_id, provider_id),
	CONSTRAINT timetable_provider_has_agency CHECK (provider_id = '' OR agency_id <> ''),
	CONSTRAINT timetable_days_of_weekly CHECK ((cadence = 'weekly') = (days IS NOT NULL)),
	CONSTRAINT timetable_anchor_of_every_other_week CHECK ((cadence = 'every_other_week') = (anchor IS NOT NULL)),
	CONSTRAINT timetable_month_days_of_monthly CHECK ((cadence = 'monthly') = (month_days IS NOT NULL))
);
COMMENT ON TABLE kinderconnect.timetable IS
'when tick() runs the night: for an organization, or one agency or provider of it, which wins. Without a row: nightly at 00:15. Written by set_schedule()';
COMMENT ON COLUMN kinderconnect.timetable.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.timetable.agency_id IS 'the agency, or empty: all';
COMMENT ON COLUMN kinderconnect.timetable.provider_id IS 'the provider ID, or empty: all';
COMMENT ON COLUMN kinderconnect.timetable.cadence IS 'the local dates on which it runs: nightly, each; weekdays, Monday to Friday; weekly, those of days; every_other_week, anchor and every 14 days before and after; monthly, those of month_days';
COMMENT ON COLUMN kinderconnect.timetable.local_time IS 'on the location''s clock. On the days clocks change: at the first instant at which they show this time or a later one';
COMMENT ON COLUMN kinderconnect.timetable.days IS 'of weekly: MO to SU';
COMMENT ON COLUMN kinderconnect.timetable.anchor IS 'of every_other_week: a date on which it runs';
COMMENT ON COLUMN kinderconnect.timetable.month_days IS 'of monthly: 1 to 31; what a month does not have is its last day';

CREATE TABLE kinderconnect.provider_clock (
	organization_id text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id       text COLLATE "C" NOT NULL,
	provider_id     text COLLATE "C" NOT NULL,
	time_zone       text,
	run_id          bigint NOT NULL,
	attempted_at    timestamptz,
	ended_at        timestamptz,
	covered_at      timestamptz,
	failures        integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
	failing_since   timestamptz,
	sqlstate        text,
	PRIMARY KEY (organization_id, agency_id, provider_id),
	CHECK ((failures = 0) = (failing_since IS NULL))
);
COMMENT ON TABLE kinderconnect.provider_clock IS
'the runs of each provider, in short: what is due is told from it. Agency and provider empty: an organization of which no provider is known yet. Runs limited to dates do not count';
COMMENT ON COLUMN kinderconnect.provider_clock.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_clock.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_clock.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_clock.time_zone IS 'of the location, when a run last looked; null: not known, the agency''s counts, else the last of the country';
COMMENT ON COLUMN kinderconnect.provider_clock.run_id IS 'the run it last had a part in';
COMMENT ON COLUMN kinderconnect.provider_clock.attempted_at IS 'begin of the last run that was to cover it';
COMMENT ON COLUMN kinderconnect.provider_clock.ended_at IS 'end of that run; null: under way, or interrupted';
COMMENT ON COLUMN kinderconnect.provider_clock.covered_at IS 'begin of the last run that did, without an error of it or its organization';
COMMENT ON COLUMN kinderconnect.provider_clock.failures IS 'runs since then that did not, one under way included';
COMMENT ON COLUMN kinderconnect.provider_clock.failing_since IS 'begin of the first of these';
COMMENT ON COLUMN kinderconnect.provider_clock.sqlstate IS 'why the last one did not; null while under way or interrupted';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.timetable', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.provider_clock', '');

CREATE FUNCTION kinderconnect.set_schedule(organization_id text, cadence text DEFAULT 'nightly', local_time time DEFAULT '00:15',
		days text[] DEFAULT NULL, anchor date DEFAULT NULL, month_days integer[] DEFAULT NULL,
		agency_id text DEFAULT NULL, provider_id text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	weekdays text[] := (SELECT array_agg(upper(btrim(d)) ORDER BY n) FROM unnest(set_schedule.days) WITH ORDINALITY u(d, n));
	needs    text := CASE set_schedule.cadence WHEN 'weekly' THEN 'days' WHEN 'every_other_week' THEN 'anchor' WHEN 'monthly' THEN 'month_days' END;
	given    text[] := array_remove(ARRAY[CASE WHEN set_schedule.days IS NOT NULL THEN 'days' END,
		CASE WHEN set_schedule.anchor IS NOT NULL THEN 'anchor' END, CASE WHEN set_schedule.month_days IS NOT NULL THEN 'month_days' END], NULL);
	stray    text;
BEGIN
	PERFORM kinderconnect._require_organization(set_schedule.organization_id);
	IF set_schedule.cadence IS NULL OR set_schedule.local_time IS NULL THEN
		RAISE EXCEPTION 'cadence and local_time must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF set_schedule.cadence NOT IN ('nightly', 'weekdays', 'weekly', 'every_other_week', 'monthly') THEN
		RAISE EXCEPTION 'unknown cadence "%"', set_schedule.cadence
			USING ERRCODE = 'invalid_parameter_value', HINT = 'One of nightly, weekdays, weekly, every_other_week, monthly.';
	END IF;
	IF set_schedule.local_time = '24:00' THEN
		RAISE EXCEPTION 'local_time 24:00 is no time of a day'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Midnight is 00:00 of the next day.';
	END IF;
	IF needs IS NOT NULL AND needs <> ALL (given) THEN
		RAISE EXCEPTION 'cadence "%" needs %', set_schedule.cadence, needs
			USING ERRCODE = 'null_value_not_allowed', HINT = CASE needs
				WHEN 'days' THEN 'For example days => ''{TU}''.'
				WHEN 'anchor' THEN 'A date on which it runs; the others are every 14 days before and after it.'
				ELSE 'For example month_days => ''{1,16}''; 31 is the last day of each month.' END;
	END IF;
	SELECT g INTO stray FROM unnest(given) g WHERE g IS DISTINCT FROM needs LIMIT 1;
	IF stray IS NOT NULL THEN
		RAISE EXCEPTION 'cadence "%" takes no %', set_schedule.cadence, stray
			USING ERRCODE = 'invalid_parameter_value', HINT = 'days is for weekly, anchor for every_other_week, month_days for monthly.';
	END IF;
	SELECT coalesce(d, 'null') INTO stray FROM unnest(weekdays) d
	WHERE (d IN ('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU')) IS NOT TRUE LIMIT 1;
	IF stray IS NOT NULL OR cardinality(set_schedule.days) = 0 THEN
		RAISE EXCEPTION 'unknown weekday "%"', coalesce(stray, '')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'MO, TU, WE, TH, FR, SA, SU.';
	END IF;
	IF NOT isfinite(set_schedule.anchor) THEN
		RAISE EXCEPTION 'anchor must be a date' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT coalesce(d::text, 'null') INTO stray FROM unnest(set_schedule.month_days) d WHERE (d BETWEEN 1 AND 31) IS NOT TRUE LIMIT 1;
	IF stray IS NOT NULL OR cardinality(set_schedule.month_days) = 0 THEN
		RAISE EXCEPTION 'no month has a day %', coalesce(stray, 'of none')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Days are 1 to 31; 31 is the last day of each month.';
	END IF;
	IF set_schedule.provider_id IS NOT NULL AND set_schedule.agency_id IS NULL THEN
		RAISE EXCEPTION 'provider_id needs agency_id' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM kinderconnect._require_provider(set_schedule.organization_id, set_schedule.agency_id, set_schedule.provider_id);

	INSERT INTO kinderconnect.timetable (organization_id, agency_id, provider_id, cadence, local_time, days, anchor, month_days)
	VALUES (set_schedule.organization_id, coalesce(set_schedule.agency_id, ''), coalesce(set_schedule.provider_id, ''), set_schedule.cadence,
		set_schedule.local_time, weekdays, set_schedule.anchor, set_schedule.month_days)
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET cadence = excluded.cadence, local_time = excluded.local_time, days = excluded.days, anchor = excluded.anchor, month_days = excluded.month_days;
	PERFORM kinderconnect._look_again();
END;
$$;
COMMENT ON FUNCTION kinderconnect.set_schedule(text, text, time, text[], date, integer[], text, text) IS
'when the night of an organization runs, or of one agency or provider of it: cadence and time of day on each location''s own clock, as in timetable. View due shows what comes of it';

CREATE FUNCTION kinderconnect.clear_schedule(organization_id text, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(clear_schedule.organization_id);
	DELETE FROM kinderconnect.timetable t
	WHERE (t.organization_id, t.agency_id, t.provider_id)
		= (clear_schedule.organization_id, coalesce(clear_schedule.agency_id, ''), coalesce(clear_schedule.provider_id, ''));
	IF FOUND THEN
		PERFORM kinderconnect._look_again();
		RETURN true;
	END IF;
	RETURN false;
END;
$$;
COMMENT ON FUNCTION kinderconnect.clear_schedule(text, text, text) IS
'takes back one set_schedule(): a provider goes by its agency''s timetable again, an agency by the organization''s, an organization by nightly at 00:15. False where there was none';

-- One rule for both days on which clocks change: the first instant at which
-- they show this time or a later one. PostgreSQL reads a time that does not
-- exist by the offset before the gap, and one that comes twice as the second.
CREATE FUNCTION kinderconnect._instant(wall timestamp, zone text) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	guess timestamptz := wall AT TIME ZONE zone;
	early timestamptz := guess - interval '12 hours';
	first timestamptz := (wall - (early AT TIME ZONE zone - early AT TIME ZONE 'UTC')) AT TIME ZONE 'UTC';
	low   bigint := 0;
	high  bigint := 86400;
	mid   bigint;
BEGIN
	IF first AT TIME ZONE zone = wall THEN
		RETURN least(first, CASE WHEN guess AT TIME ZONE zone = wall THEN guess END);
	ELSIF guess AT TIME ZONE zone = wall THEN
		RETURN guess;
	END IF;
	-- the gap: its end is the first second, of the day around it, that is late enough
	WHILE low < high LOOP
		mid := (low + high) / 2;
		IF (early + make_interval(secs => mid)) AT TIME ZONE zone >= wall THEN
			high := mid;
		ELSE
			low := mid + 1;
		END IF;
	END LOOP;
	RETURN early + make_interval(secs => low);
END;
$$;
COMMENT ON FUNCTION kinderconnect._instant(timestamp, text) IS
'the first instant at which the clocks of a zone show this time or, where they skip it, a later one';

CREATE FUNCTION kinderconnect._runs_on(day date, cadence text, days text[], anchor date, month_days integer[]) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE cadence
		WHEN 'nightly' THEN true
		WHEN 'weekdays' THEN extract(isodow FROM day) < 6
		WHEN 'weekly' THEN (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM day)::integer] = ANY (days)
		WHEN 'every_other_week' THEN (day - anchor) % 14 = 0
		WHEN 'monthly' THEN extract(day FROM day)::integer = ANY (month_days)
			OR extract(day FROM day + 1) = 1 AND extract(day FROM day)::integer < ANY (month_days)
	END;
COMMENT ON FUNCTION kinderconnect._runs_on(date, text, text[], date, integer[]) IS 'whether a timetable has a run on this local date';

-- Two months hold a date of every cadence.
CREATE FUNCTION kinderconnect._scheduled(cadence text, local_time time, days text[], anchor date, month_days integer[], zone text, at timestamptz, next boolean DEFAULT false)
	RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	today   date := (at AT TIME ZONE zone)::date;
	instant timestamptz;
BEGIN
	FOR n IN -1..62 LOOP
		IF kinderconnect._runs_on(CASE WHEN next THEN today + n ELSE today - n END, cadence, days, anchor, month_days) THEN
			instant := kinderconnect._instant(CASE WHEN next THEN today + n ELSE today - n END + local_time, zone);
			IF next AND instant > at OR NOT next AND instant <= at THEN
				RETURN instant;
			END IF;
		END IF;
	END LOOP;
	RETURN NULL;
END;
$$;
COMMENT ON FUNCTION kinderconnect._scheduled(text, time, text[], date, integer[], text, timestamptz, boolean) IS
'the last instant of a timetable at or before this one on the clock of a zone; next: the first after it';

-- What the next run cannot mend - configuration, a password, a list that
-- shrank - waits for the next date of the timetable.
CREATE FUNCTION kinderconnect._retry_after(failures integer, sqlstate text) RETURNS interval
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN failures = 0 OR sqlstate = 'KC403' THEN interval '0'
		WHEN sqlstate ~ '^KC[023]' AND sqlstate <> 'KC205' THEN interval '24 hours'
		ELSE least(interval '15 minutes' * 2 ^ least(failures - 1, 10), interval '4 hours')
	END;
COMMENT ON FUNCTION kinderconnect._retry_after(integer, text) IS
'how long after its end a run that failed may be followed by another: 15 minutes, doubling to 4 hours; 24 hours after what a person must mend; at once after stop()';

-- STABLE, as adding an interval is: else it would not be inlined.
CREATE FUNCTION kinderconnect._due_at(scheduled timestamptz, covered_at timestamptz, attempted_at timestamptz, ended_at timestamptz, failures integer, sqlstate text)
	RETURNS timestamptz
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN CASE
		WHEN covered_at >= scheduled THEN NULL
		WHEN attempted_at >= scheduled THEN coalesce(ended_at, attempted_at) + kinderconnect._retry_after(failures, sqlstate)
		ELSE scheduled
	END;
COMMENT ON FUNCTION kinderconnect._due_at(timestamptz, timestamptz, timestamptz, timestamptz, integer, text) IS
'from when on a run is due that covers a scheduled instant; null: one has. However many instants were missed, one run covers them';

-- Zones and timetables are few: each pair is worked out once.
CREATE FUNCTION kinderconnect._due_as_of(at timestamptz, organizations text[] DEFAULT NULL)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, cadence text, local_time time, days text[], anchor date, month_days integer[],
		time_zone text, scheduled_at timestamptz, attempted_at timestamptz, covered_at timestamptz, failures integer, failing_since timestamptz, sqlstate text,
		due_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH unit AS (
		SELECT p.organization_id, p.agency_id, p.provider_id FROM kinderconnect.provider_standing p
		WHERE p.barred IS NULL AND p.organization_id = ANY (coalesce(organizations, ARRAY(SELECT o.organization_id FROM kinderconnect.organization o)))
		UNION ALL
		SELECT o.organization_id, '', '' FROM kinderconnect.organization o
		WHERE o.enabled AND (organizations IS NULL OR o.organization_id = ANY (organizations))
			AND NOT EXISTS (SELECT FROM kinderconnect.provider_standing p WHERE p.organization_id = o.organization_id AND p.barred IS NULL)
	), timed AS MATERIALIZED (
		SELECT u.organization_id, u.agency_id, u.provider_id,
			coalesce(t.cadence, a.cadence, o.cadence, 'nightly') AS cadence,
			coalesce(t.local_time, a.local_time, o.local_time, '00:15') AS local_time,
			CASE WHEN t.cadence IS NOT NULL THEN t.days WHEN a.cadence IS NOT NULL THEN a.days ELSE o.days END AS days,
			CASE WHEN t.cadence IS NOT NULL THEN t.anchor WHEN a.cadence IS NOT NULL THEN a.anchor ELSE o.anchor END AS anchor,
			CASE WHEN t.cadence IS NOT NULL THEN t.month_days WHEN a.cadence IS NOT NULL THEN a.month_days ELSE o.month_days END AS month_days,
			coalesce(c.time_zone, g.time_zone, 'Pacific/Honolulu') AS time_zone,
			c.attempted_at, c.ended_at, c.covered_at, coalesce(c.failures, 0) AS failures, c.failing_since, c.sqlstate
		FROM unit u
		LEFT JOIN kinderconnect.provider_clock c ON (c.organization_id, c.agency_id, c.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
		LEFT JOIN kinderconnect.agency g ON g.agency_id = u.agency_id
		LEFT JOIN kinderconnect.timetable t ON u.provider_id <> '' AND (t.organization_id, t.agency_id, t.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
		LEFT JOIN kinderconnect.timetable a ON u.agency_id <> '' AND (a.organization_id, a.agency_id, a.provider_id) = (u.organization_id, u.agency_id, '')
		LEFT JOIN kinderconnect.timetable o ON (o.organization_id, o.agency_id, o.provider_id) = (u.organization_id, '', '')
	), clock AS MATERIALIZED (
		SELECT k.*, kinderconnect._scheduled(k.cadence, k.local_time, k.days, k.anchor, k.month_days, k.time_zone, at) AS scheduled_at
		FROM (SELECT DISTINCT t.cadence, t.local_time, t.days, t.anchor, t.month_days, t.time_zone FROM timed t) k
	)
	SELECT t.organization_id, t.agency_id, t.provider_id, t.cadence, t.local_time, t.days, t.anchor, t.month_days, t.time_zone,
		k.scheduled_at, t.attempted_at, t.covered_at, t.failures, t.failing_since, t.sqlstate,
		kinderconnect._due_at(k.scheduled_at, t.covered_at, t.attempted_at, t.ended_at, t.failures, t.sqlstate)
	FROM timed t
	JOIN clock k ON (k.cadence, k.local_time, k.time_zone) = (t.cadence, t.local_time, t.time_zone)
		AND (k.days, k.anchor, k.month_days) IS NOT DISTINCT FROM (t.days, t.anchor, t.month_days);
END;
COMMENT ON FUNCTION kinderconnect._due_as_of(timestamptz, text[]) IS
'every provider, of all organizations or of these, that takes part, its timetable, what became of it last, and from when on it is due as of an instant; of an organization without one, itself';

CREATE VIEW kinderconnect.due AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.cadence, d.local_time, d.days, d.anchor, d.month_days, d.time_zone,
	d.scheduled_at, d.attempted_at, d.covered_at, d.failures, d.failing_since, d.sqlstate, d.due_at, (d.due_at <= now()) IS TRUE AS is_due,
	kinderconnect._scheduled(d.cadence, d.local_time, d.days, d.anchor, d.month_days, d.time_zone, now(), true) AS next_at
FROM kinderconnect._due_as_of(now()) d;
COMMENT ON VIEW kinderconnect.due IS
'when each provider''s night runs, by its own clock, and whether it has; agency and provider empty: an organization of which no provider is known yet';
COMMENT ON COLUMN kinderconnect.due.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.due.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.due.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.due.cadence IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.local_time IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.days IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.anchor IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.month_days IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.time_zone IS 'the clock it goes by';
COMMENT ON COLUMN kinderconnect.due.scheduled_at IS 'the last instant of the timetable';
COMMENT ON COLUMN kinderconnect.due.attempted_at IS 'begin of the last run that was to cover it';
COMMENT ON COLUMN kinderconnect.due.covered_at IS 'begin of the last run that did';
COMMENT ON COLUMN kinderconnect.due.failures IS 'runs since then that did not';
COMMENT ON COLUMN kinderconnect.due.failing_since IS 'begin of the first of these';
COMMENT ON COLUMN kinderconnect.due.sqlstate IS 'why the last one did not';
COMMENT ON COLUMN kinderconnect.due.due_at IS 'from when on the next tick runs it; null: scheduled_at is covered';
COMMENT ON COLUMN kinderconnect.due.is_due IS 'the next tick runs it, unless a run is busy with its organization';
COMMENT ON COLUMN kinderconnect.due.next_at IS 'the next instant of the timetable';

-- Whose run is under way is not due: it would only be told so. It is while it
-- has a run lock (KC_LOCK_CLASS of engine.c): the session of one that was
-- cancelled may live on, and that of one that died have left its number to
-- another.
CREATE FUNCTION kinderconnect._due_now() RETURNS TABLE (organization_id text, agency_id text, provider_id text)
	LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT d.organization_id, d.agency_id, d.provider_id FROM kinderconnect._due_as_of(clock_timestamp()) d
	WHERE d.due_at <= clock_timestamp()
		AND NOT EXISTS (SELECT FROM kinderconnect.run r
			JOIN kinderconnect.run_organization o ON o.run_id = r.run_id AND o.organization_id = d.organization_id AND o.locked
			JOIN pg_locks k ON k.pid = r.pid AND k.pid <> pg_backend_pid() AND k.locktype = 'advisory' AND (k.classid, k.objsubid) = (1801675630, 2)
				AND k.database = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())
			WHERE r.status = 'running');
END;
COMMENT ON FUNCTION kinderconnect._due_now() IS 'the providers that a tick runs now';

-- Whose part a run is, and that it has been tried: written before anything is
-- done, so that a run that dies has been one.
CREATE FUNCTION kinderconnect._take_part(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	INSERT INTO kinderconnect.provider_clock AS c
		(organization_id, agency_id, provider_id, run_id, attempted_at, failures, failing_since)
	SELECT d.organization_id, d.agency_id, d.provider_id, run, w.started_at, (w.started_at IS NOT NULL)::integer, w.started_at
	FROM kinderconnect._due_as_of(clock_timestamp(),
		ARRAY(SELECT o.organization_id FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.locked)) d
	JOIN kinderconnect.run r ON r.run_id = run
	CROSS JOIN LATERAL (SELECT CASE WHEN NOT r.scope ?| ARRAY['from_date', 'to_date'] THEN r.started_at END AS started_at) w
	WHERE (r.scope ->> 'agency_id' IS NULL OR d.agency_id = r.scope ->> 'agency_id')
		AND (r.scope ->> 'provider_id' IS NULL OR d.provider_id = r.scope ->> 'provider_id')
		AND (NOT r.scope ? 'due' OR d.due_at <= clock_timestamp())
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET run_id = excluded.run_id,
		attempted_at = coalesce(excluded.attempted_at, c.attempted_at),
		ended_at = CASE WHEN excluded.attempted_at IS NULL THEN c.ended_at END,
		failures = c.failures + excluded.failures,
		failing_since = coalesce(c.failing_since, excluded.failing_since),
		sqlstate = CASE WHEN excluded.attempted_at IS NULL THEN c.sqlstate END
	WHERE c.run_id <> run;
	PERFORM kinderconnect._look_again();
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_part(bigint) IS
'writes down which providers have a part in a run, by its scope; again for those that it has come to know meanwhile';

CREATE FUNCTION kinderconnect._set_clocks(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.provider_clock c SET time_zone = z.zone
	FROM kinderconnect.provider p
	LEFT JOIN kinderconnect._location_zones(organization) z ON z.location_id = p.location_id
	WHERE p.organization_id = organization
		AND (c.organization_id, c.agency_id, c.provider_id) = (organization, p.agency_id, p.provider_id)
		AND c.time_zone IS DISTINCT FROM z.zone;
END;
$$;
COMMENT ON FUNCTION kinderconnect._set_clocks(text) IS 'brings the zones of provider_clock up to date with Manage, so that a tick need not ask it';

-- A run that is stopped was nobody's failure. What is not to be told to all
-- providers alike stands with each.
CREATE FUNCTION kinderconnect._keep_time(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.provider_clock c
	SET ended_at = clock_timestamp(), sqlstate = e.sqlstate,
		covered_at = CASE WHEN e.sqlstate IS NULL THEN c.attempted_at ELSE c.covered_at END,
		failures = CASE WHEN e.sqlstate IS NULL THEN 0 WHEN e.sqlstate = 'KC403' THEN c.failures - 1 ELSE c.failures END,
		failing_since = CASE WHEN e.sqlstate IS NULL OR e.sqlstate = 'KC403' AND c.failures = 1 THEN NULL ELSE c.failing_since END
	FROM (SELECT k.organization_id, k.agency_id, k.provider_id, coalesce(r.sqlstate, o.sqlstate, p.sqlstate) AS sqlstate
		FROM kinderconnect.run r
		JOIN kinderconnect.run_organization o ON o.run_id = r.run_id AND o.locked
		JOIN kinderconnect.provider_clock k ON k.organization_id = o.organization_id AND k.run_id = r.run_id AND k.attempted_at = r.started_at
		LEFT JOIN kinderconnect.run_provider p ON (p.organization_id, p.run_id, p.agency_id, p.provider_id)
			= (k.organization_id, r.run_id, k.agency_id, k.provider_id)
		WHERE r.run_id = run) e
	WHERE (c.organization_id, c.agency_id, c.provider_id) = (e.organization_id, e.agency_id, e.provider_id);
	PERFORM kinderconnect._look_again();
END;
$$;
COMMENT ON FUNCTION kinderconnect._keep_time(bigint) IS 'notes for each provider of a run that ends whether it was covered, and if not, why';

-- A night for days of which none can be there would succeed without a word.
CREATE FUNCTION kinderconnect._require_in_horizon(from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	horizon integer := kinderconnect.setting('horizon_days');
BEGIN
	IF from_date > (now() AT TIME ZONE 'Pacific/Kiritimati')::date THEN
		RAISE EXCEPTION 'from_date % is in the future', to_char(from_date, 'YYYY-MM-DD')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'A night looks at days that are over.';
	ELSIF to_date < (now() AT TIME ZONE 'Pacific/Honolulu')::date - horizon THEN
		RAISE EXCEPTION 'to_date % is before the horizon of % days', to_char(to_date, 'YYYY-MM-DD'), horizon
			USING ERRCODE = 'invalid_parameter_value', HINT = 'kinderconnect.horizon_days says how many days back a night looks.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_in_horizon(date, date) IS 'an error where no day of this period can be one that a night looks at; null: open';
