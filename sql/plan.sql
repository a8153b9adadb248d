-- Step 4 of the night: every finished, authorized child-day, what Manage says
-- of it, what the service holds, and so what is to be done.

CREATE TABLE kinderconnect.child_day (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL,
	provider_id            text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	service_date           date NOT NULL,
	authorized             boolean NOT NULL,
	location_id            text COLLATE "C",
	child_id               text COLLATE "C",
	state                  text COLLATE "C" NOT NULL CHECK (state IN ('held', 'ready', 'sending', 'accepted', 'rejected', 'unknown', 'voided', 'not_due')),
	reason                 text,
	detail                 text,
	kind                   text CHECK (kind IN ('session', 'absence', 'closure')),
	session_in             time[],
	session_out            time[],
	absence_reason         text,
	content                text,
	window_ends            timestamptz,
	modified_at            timestamptz,
	basis                  text NOT NULL,
	record_id              text COLLATE "C",
	sent_content           text,
	sent_basis             text,
	code                   text,
	message                text,
	accepted_kind          text CHECK (accepted_kind IN ('session', 'absence', 'closure')),
	accepted_in            time[],
	accepted_out           time[],
	accepted_reason        text,
	accepted_content       text,
	accepted_record_id     text COLLATE "C",
	accepted_at            timestamptz,
	void_wanted            boolean NOT NULL DEFAULT false,
	planned_at             timestamptz NOT NULL DEFAULT now(),
	changed_at             timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date),
	CONSTRAINT child_day_says_why CHECK ((state IN ('held', 'not_due')) = (reason IS NOT NULL)),
	CONSTRAINT child_day_accepted_is_held_there CHECK (state <> 'accepted' OR (accepted_content = content) IS TRUE),
	CONSTRAINT child_day_accepted_is_whole CHECK (num_nulls(accepted_kind, accepted_content, accepted_record_id, accepted_at) IN (0, 4)),
	CONSTRAINT child_day_under_way_has_record CHECK (state NOT IN ('sending', 'unknown', 'rejected') OR record_id IS NOT NULL)
);
COMMENT ON TABLE kinderconnect.child_day IS
'the unit of work: one child, provider and service date. Every authorized, finished day has a row, in exactly one state';
COMMENT ON COLUMN kinderconnect.child_day.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_day.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_day.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.child_day.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_day.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.child_day.authorized IS 'an authorization covers the day; false: attendance without one';
COMMENT ON COLUMN kinderconnect.child_day.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.child_day.child_id IS 'the child in Manage; null while unmatched';
COMMENT ON COLUMN kinderconnect.child_day.state IS 'held (reason), ready, sending, accepted, rejected (code, message), unknown (sent, answer lost), voided (taken back), not_due (reason)';
COMMENT ON COLUMN kinderconnect.child_day.reason IS 'of held and not_due: kinderconnect.reason';
COMMENT ON COLUMN kinderconnect.child_day.detail IS 'the facts behind the reason';
COMMENT ON COLUMN kinderconnect.child_day.kind IS 'what Manage says: session, absence, closure; null: nothing that can be sent';
COMMENT ON COLUMN kinderconnect.child_day.session_in IS 'what Manage says: check-ins, wall time at the location to the minute, in order';
COMMENT ON COLUMN kinderconnect.child_day.session_out IS 'what Manage says: check-outs, parallel to session_in';
COMMENT ON COLUMN kinderconnect.child_day.absence_reason IS 'what Manage says, in the agency''s code';
COMMENT ON COLUMN kinderconnect.child_day.content IS 'kind, times and reason in one comparable text; null: nothing that can be sent';
COMMENT ON COLUMN kinderconnect.child_day.window_ends IS 'when the agency''s enforced window for the day closes; null: no such rule';
COMMENT ON COLUMN kinderconnect.child_day.modified_at IS 'when Manage last changed the rows that say so, by their modified_at; as of changed_at, and null where Manage does not tell';
COMMENT ON COLUMN kinderconnect.child_day.basis IS 'digest of link, authorization, location and rules: a rejected day is sent again when it changes';
COMMENT ON COLUMN kinderconnect.child_day.record_id IS 'of the last record made for it: kinderconnect.ledger';
COMMENT ON COLUMN kinderconnect.child_day.sent_content IS 'content of that record; void: it takes the day back';
COMMENT ON COLUMN kinderconnect.child_day.sent_basis IS 'basis when that record was made; null: retry()';
COMMENT ON COLUMN kinderconnect.child_day.code IS 'of rejected: the service''s code';
COMMENT ON COLUMN kinderconnect.child_day.message IS 'of rejected: the service''s words';
COMMENT ON COLUMN kinderconnect.child_day.accepted_kind IS 'what the service holds; null: nothing of ours';
COMMENT ON COLUMN kinderconnect.child_day.accepted_in IS 'what the service holds: check-ins';
COMMENT ON COLUMN kinderconnect.child_day.accepted_out IS 'what the service holds: check-outs';
COMMENT ON COLUMN kinderconnect.child_day.accepted_reason IS 'what the service holds: absence reason';
COMMENT ON COLUMN kinderconnect.child_day.accepted_content IS 'what the service holds, comparable to content';
COMMENT ON COLUMN kinderconnect.child_day.accepted_record_id IS 'the record that put it there';
COMMENT ON COLUMN kinderconnect.child_day.accepted_at IS 'when the service said so';
COMMENT ON COLUMN kinderconnect.child_day.void_wanted IS 'void_day() asked for it to be taken back';
COMMENT ON COLUMN kinderconnect.child_day.planned_at IS 'when the day was first planned';
COMMENT ON COLUMN kinderconnect.child_day.changed_at IS 'when anything of this row last changed';

-- held, too: a night counts what it holds without reading what it accepted
CREATE INDEX child_day_at_work ON kinderconnect.child_day (organization_id, agency_id, provider_id, state, service_date)
	WHERE state IN ('held', 'ready', 'sending', 'unknown');
CREATE INDEX child_day_by_date ON kinderconnect.child_day (organization_id, service_date);
CREATE INDEX child_day_void_wanted ON kinderconnect.child_day (organization_id, service_date) WHERE void_wanted;
CREATE INDEX child_day_shrunk ON kinderconnect.child_day (organization_id, agency_id, provider_id) WHERE reason = 'source_shrank';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child_day', '');

-- What the ledger cannot tell: a day held and then corrected was never sent.
-- A day that is planned once, sent and accepted has no row here.
CREATE TABLE kinderconnect.child_day_step (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL,
	provider_id            text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	service_date           date NOT NULL,
	at                     timestamptz NOT NULL,
	run_id                 bigint,
	was_state              text NOT NULL,
	was_reason             text,
	was_detail             text,
	was_content            text,
	was_modified_at        timestamptz,
	state                  text NOT NULL,
	reason                 text,
	detail                 text,
	content                text,
	modified_at            timestamptz,
	PRIMARY KEY (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, at)
);
COMMENT ON TABLE kinderconnect.child_day_step IS
'each time the plan judged a child-day otherwise than the plan before: what it was, and what it became. Never changed, never deleted';
COMMENT ON COLUMN kinderconnect.child_day_step.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_day_step.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_day_step.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.child_day_step.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_day_step.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.child_day_step.at IS 'when the plan was made';
COMMENT ON COLUMN kinderconnect.child_day_step.run_id IS 'the run that made it';
COMMENT ON COLUMN kinderconnect.child_day_step.was_state IS 'state before';
COMMENT ON COLUMN kinderconnect.child_day_step.was_reason IS 'reason before';
COMMENT ON COLUMN kinderconnect.child_day_step.was_detail IS 'facts before';
COMMENT ON COLUMN kinderconnect.child_day_step.was_content IS 'what Manage said before; null: nothing that can be sent';
COMMENT ON COLUMN kinderconnect.child_day_step.was_modified_at IS 'when Manage had last changed the rows that said so';
COMMENT ON COLUMN kinderconnect.child_day_step.state IS 'state from then on';
COMMENT ON COLUMN kinderconnect.child_day_step.reason IS 'of held and not_due: kinderconnect.reason';
COMMENT ON COLUMN kinderconnect.child_day_step.detail IS 'the facts behind the reason';
COMMENT ON COLUMN kinderconnect.child_day_step.content IS 'what Manage said from then on';
COMMENT ON COLUMN kinderconnect.child_day_step.modified_at IS 'when Manage last changed the rows that say so; null: it does not tell, or has none';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child_day_step', '');

CREATE FUNCTION kinderconnect.content(kind text, session_in time[], session_out time[], absence_reason text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE kind
		WHEN 'session' THEN (SELECT string_agg(concat(to_char(s.i, 'HH24:MI'), '-', to_char(s.o, 'HH24:MI')), ' ' ORDER BY s.n)
			FROM unnest(session_in::interval[], session_out::interval[]) WITH ORDINALITY s(i, o, n))
		WHEN 'absence' THEN concat_ws(' ', 'absence', absence_reason)
		ELSE kind
	END;
END;
COMMENT ON FUNCTION kinderconnect.content(text, time[], time[], text) IS
'a child-day''s content in one text: 08:02-16:31 17:00-18:10, absence SICK, closure';

-- Of an hour that the clocks repeat the service, like people, takes the first
-- reading: it cannot be told a punch of the second.
--
-- Not STRICT and one expression, so that it is inlined: it is asked for every
-- punch.
CREATE FUNCTION kinderconnect._is_second_reading(at timestamptz, wall timestamp, zone text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN isfinite(at) AND (at - interval '1 hour') AT TIME ZONE zone = wall;
COMMENT ON FUNCTION kinderconnect._is_second_reading(timestamptz, timestamp, text) IS
'whether the clocks of a zone, which show this wall time at this instant, showed it an hour before: they were set back';

-- Infinity less infinity is an error: nothing is taken from another instant.
-- Not STRICT and one expression, as above.
CREATE FUNCTION kinderconnect._may_be_stay(began timestamptz, ended timestamptz) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN ended >= began AND ended - interval '24 hours' <= began AND began < 'infinity';
COMMENT ON FUNCTION kinderconnect._may_be_stay(timestamptz, timestamptz) IS
'whether two instants may be the begin and the end of one stay: in order, within 24 hours, and not at infinity; null where one is not known';

-- Whether a service can take a day back, by its dialect.
CREATE FUNCTION kinderconnect._can_void(organization text) RETURNS boolean
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect.organization o
		JOIN kinderconnect.endpoint e ON e.endpoint = o.endpoint
		JOIN kinderconnect.dialect_field f ON f.dialect = e.dialect AND f.operation = 'submit' AND f.part = 'record'
		WHERE o.organization_id = organization AND f.column_name = 'kind'
			AND f.codes ? 'void' AND f.codes -> 'void' <> 'null');
END;
COMMENT ON FUNCTION kinderconnect._can_void(text) IS 'whether the organization''s service can take a day back';

-- What an organization's service has no place for, in the words of _rules().
-- Days for which the dialect has no key must never reach the encoder: it
-- would refuse the whole batch.
CREATE FUNCTION kinderconnect._wire_limits(organization text) RETURNS jsonb
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	WITH field AS (
		SELECT f.column_name, f.element, f.codes
		FROM kinderconnect.organization o
		JOIN kinderconnect.endpoint e ON e.endpoint = o.endpoint
		JOIN kinderconnect.dialect_field f ON f.dialect = e.dialect AND f.operation = 'submit' AND f.part = 'record'
		WHERE o.organization_id = organization
	)
	SELECT jsonb_strip_nulls(jsonb_build_object(
		'slots', (SELECT (min(n) - 1)::text FROM generate_series(1, 101) n
			CROSS JOIN (VALUES ('session_in'), ('session_out')) c(column_name)
			WHERE NOT EXISTS (SELECT FROM field f WHERE f.column_name = c.column_name AND coalesce(f.element, n) = n)),
		'absences', CASE WHEN NOT EXISTS (SELECT FROM field f
			WHERE f.column_name = 'kind' AND (f.codes -> 'absence' <> 'null') IS NOT FALSE) THEN 'omit' END,
		'closures', CASE WHEN NOT EXISTS (SELECT FROM field f
			WHERE f.column_name = 'kind' AND (f.codes -> 'closure' <> 'null') IS NOT FALSE) THEN 'omit' END,
		'absence_reasons', CASE WHEN NOT EXISTS (SELECT FROM field f WHERE f.column_name = 'absence_reason') THEN 'omit' END));
END;
COMMENT ON FUNCTION kinderconnect._wire_limits(text) IS
'what the organization''s service cannot be told, by its dialect: slots is how many sessions a day has places for; absences, closures, absence_reasons are omitted. A key is there only where there is a limit';

-- The whole judgement, read-only: _plan() writes it down, preview() shows it,
-- and with it tonight's links and today, as it stands.
--
-- Which days: those an authorization covers, those of a linked child with
-- attendance all the same, and those already in child_day. What is said of
-- each is decided in one place, "judged" below, first reason that holds.
--
-- What is older than the horizon is not read, but for days that a person wants
-- taken back: a night costs what is in the window, not what is in the history.
--
-- Every step joins whole sets of one organization whose sizes the planner
-- cannot know, so it is kept from the plans that are quadratic: nested loops,
-- and merges by the provider alone that filter all its days for each day. The
-- cost it then reckons with would set off JIT, which takes longer than the
-- query. What is inlined is copied anew for each level above it while this is
-- planned: so a small step is materialized, and those that only compute are one.
CREATE FUNCTION kinderconnect._planned(organization text, agency text, provider text, from_date date, to_date date, foresee boolean, at timestamptz DEFAULT now())
	RETURNS TABLE (agency_id text, provider_id text, kinderconnect_child_id text, service_date date, authorized boolean,
		location_id text, child_id text, state text, reason text, detail text,
		kind text, session_in time[], session_out time[], absence_reason text, content text, window_ends timestamptz, basis text,
		modified_at timestamptz, finished boolean)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	can_void     boolean := kinderconnect._can_void(organization);
	wire_limits  jsonb := kinderconnect._wire_limits(organization);
	shrink_floor integer := kinderconnect.setting('shrink_floor');
	shrink_ratio integer := kinderconnect.setting('shrink_percent');
	horizon      integer := kinderconnect.setting('horizon_days');
	since        date;
BEGIN
	SELECT greatest((at AT TIME ZONE 'Pacific/Honolulu')::date - horizon, o.first_enabled - o.backfill_days) INTO since
	FROM kinderconnect.organization o WHERE o.organization_id = organization;

	RETURN QUERY
	WITH site AS MATERIALIZED (
		-- the last zone of the country where nothing better is known, so that
		-- no day counts as finished too early
		SELECT s.agency_id, s.provider_id, s.location_id, z.zone, t.today,
			greatest(t.today - horizon, since) AS first_day, t.today - (NOT foresee)::integer AS last_day,
			coalesce(s.barred, CASE WHEN s.location_id IS NULL THEN 'provider_unmatched' WHEN z.zone IS NULL THEN 'no_time_zone' END) AS barred,
			v.accept_shrink IS TRUE AS void_anyway
		FROM kinderconnect.provider_standing s
		LEFT JOIN kinderconnect.list_state v ON (v.organization_id, v.operation, v.agency_id, v.provider_id)
			= (organization, 'attendance', s.agency_id, s.provider_id)
		LEFT JOIN kinderconnect._location_zones(organization) z ON z.location_id = s.location_id
		LEFT JOIN kinderconnect.agency a ON a.agency_id = s.agency_id
		CROSS JOIN LATERAL (SELECT (at AT TIME ZONE coalesce(z.zone, a.time_zone, 'Pacific/Honolulu'))::date AS today) t
		WHERE s.organization_id = organization
	), rules AS MATERIALIZED (
		-- from the day before on, for the care that goes past its midnight; in
		-- words for all children of a day at once
		SELECT d.agency_id, d.day, r.r, r.r::text AS words
		FROM (SELECT s.agency_id, d::date AS day
			FROM site s CROSS JOIN LATERAL generate_series((s.first_day - 1)::timestamp, s.last_day::timestamp, interval '1 day') d
			UNION
			SELECT d.agency_id, d.service_date FROM kinderconnect.child_day d WHERE d.organization_id = organization AND d.void_wanted) d
		CROSS JOIN LATERAL (SELECT kinderconnect._rules(d.agency_id, d.day) || wire_limits AS r OFFSET 0) r
	), link AS MATERIALIZED (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, k.flag, NULL AS unlinked_because, NULL AS formerly
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND NOT foresee
		UNION ALL
		SELECT n.* FROM kinderconnect._links(organization) n WHERE foresee
	), known_as AS MATERIALIZED (
		-- a child's id, and those that it took the place of, at whatever remove
		SELECT k.agency_id, k.kinderconnect_child_id, k.kinderconnect_child_id AS sent_as, k.child_id, 'infinity'::timestamptz AS until
		FROM link k WHERE k.child_id IS NOT NULL
		UNION
		SELECT k.agency_id, k.kinderconnect_child_id, o.kinderconnect_child_id, k.child_id, max(o.ended_at)
		FROM link k
		JOIN kinderconnect.child_link o ON (o.organization_id, o.agency_id, o.child_id) = (organization, k.agency_id, k.child_id)
			AND o.end_reason LIKE 'merged into %'
		GROUP BY k.agency_id, k.kinderconnect_child_id, o.kinderconnect_child_id, k.child_id
		UNION
		SELECT k.agency_id, k.kinderconnect_child_id, k.formerly, k.child_id, 'infinity' FROM link k WHERE k.formerly IS NOT NULL
	), merged AS MATERIALIZED (
		SELECT k.agency_id, d.provider_id, k.kinderconnect_child_id, d.service_date AS day,
			string_agg(DISTINCT format('as %s: %s, %s', d.kinderconnect_child_id, coalesce(d.accepted_content, d.sent_content),
				coalesce('accepted ' || to_char(d.accepted_at AT TIME ZONE coalesce(s.zone, 'Pacific/Honolulu'), 'YYYY-MM-DD'), 'its answer was lost')), '; ') AS facts
		FROM known_as k
		JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.kinderconnect_child_id)
			= (organization, k.agency_id, k.sent_as) AND d.service_date >= since AND (d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))
		JOIN site s ON (s.agency_id, s.provider_id) = (d.agency_id, d.provider_id)
		WHERE k.sent_as <> k.kinderconnect_child_id
			-- that id may have come to be another child of Manage since
			AND (SELECT l.child_id <> k.child_id AND l.created_at > k.until FROM kinderconnect.ledger l
				WHERE (l.organization_id, l.record_id) = (organization, coalesce(d.accepted_record_id, d.record_id))) IS NOT TRUE
		GROUP BY k.agency_id, d.provider_id, k.kinderconnect_child_id, d.service_date
	), private AS MATERIALIZED (
		-- the days on which care at a provider is not subsidized: a month that
		-- no list has answered for is as the one before
		SELECT s.agency_id, s.provider_id, s.kinderconnect_child_id, range_agg(daterange(s.since, s.until)) AS days
		FROM (SELECT s.agency_id, s.provider_id, s.kinderconnect_child_id, s.subsidized,
				CASE WHEN lag(s.month) OVER w IS NULL THEN '-infinity' ELSE s.month END AS since, coalesce(lead(s.month) OVER w, 'infinity') AS until
			FROM kinderconnect.listed_subsidy s
			WHERE s.organization_id = organization
			WINDOW w AS (PARTITION BY s.agency_id, s.kinderconnect_child_id, s.provider_id ORDER BY s.month)) s
		WHERE NOT s.subsidized
		GROUP BY s.agency_id, s.provider_id, s.kinderconnect_child_id
	), said AS MATERIALIZED (
		-- what stands now, and what vanished and has not come back, up to the
		-- day it vanished
		SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id, a.begin_date, a.days, e.end_date, v.days AS private, a.closed_as IS NULL AS stands,
			concat_ws('/', a.authorization_id, to_char(a.begin_date, 'YYYY-MM-DD'), to_char(e.end_date, 'YYYY-MM-DD'), array_to_string(a.days, '+')) AS words
		FROM kinderconnect.authorization a
		JOIN site s ON (s.agency_id, s.provider_id) = (a.agency_id, a.provider_id)
		LEFT JOIN private v ON (v.agency_id, v.provider_id, v.kinderconnect_child_id) = (a.agency_id, a.provider_id, a.kinderconnect_child_id)
		CROSS JOIN LATERAL (SELECT CASE WHEN a.closed_as = 'vanished' THEN least(a.end_date, (a.known_until AT TIME ZONE coalesce(s.zone, 'Pacific/Honolulu'))::date - 1)
			ELSE a.end_date END AS end_date) e
		WHERE a.organization_id = organization
			AND (a.closed_as IS NULL OR a.closed_as = 'vanished' AND NOT EXISTS (SELECT FROM kinderconnect.authorization n
				WHERE (n.organization_id, n.agency_id, n.provider_id, n.kinderconnect_child_id, n.authorization_id)
					= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
					AND n.known_from > a.known_from))
	), covered AS MATERIALIZED (
		-- ordered as a whole: an aggregate with an order of its own sorts each
		-- group by itself. By the child first, here and below: to compare what
		-- is mostly the same, agencies and providers, takes longer
		SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, a.day,
			bool_or(a.days IS NULL OR (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM a.day)::integer] = ANY (a.days)) AS authorized,
			bool_or(a.stands) AS stands, string_agg(a.words, ' ') AS by
		FROM (SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, d::date AS day, a.days, a.stands, a.words
			FROM said a
			JOIN site s ON (s.agency_id, s.provider_id) = (a.agency_id, a.provider_id)
			CROSS JOIN LATERAL generate_series(greatest(a.begin_date, s.first_day)::timestamp,
				least(a.end_date, s.last_day)::timestamp, interval '1 day') d
			WHERE (a.private @> d::date) IS NOT TRUE
			ORDER BY a.kinderconnect_child_id, d::date, a.provider_id, a.agency_id, a.authorization_id) a
		GROUP BY a.kinderconnect_child_id, a.day, a.provider_id, a.agency_id
	), lapsed AS MATERIALIZED (
		SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, max(coalesce(a.end_date, 'infinity')) AS ended
		FROM said a GROUP BY a.agency_id, a.provider_id, a.kinderconnect_child_id
	), seen AS MATERIALIZED (
		SELECT t.* FROM kinderconnect._attendance(organization, since) t
	), placed AS MATERIALIZED (
		SELECT k.agency_id, t.provider_id, k.kinderconnect_child_id, t.first_day, t.last_day, t.location_id, t.child_id,
			t.kind, t.check_in, t.check_out, t.day, t.reason, t.zone, t.modified_at, r.r ->> 'overnight' AS overnight,
			CASE WHEN r.r ->> 'overnight' = 'split' AND t.kind = 'session' AND kinderconnect._may_be_stay(t.check_in, t.check_out)
				AND (t.check_out AT TIME ZONE t.zone)::date > t.day THEN (t.day + 1)::timestamp AT TIME ZONE t.zone END AS midnight
		FROM (SELECT s.agency_id, s.provider_id, s.first_day, s.last_day, t.*
			FROM seen t JOIN site s ON s.location_id = t.location_id
			OFFSET 0) t		-- or every link is joined with every site first
		JOIN link k ON k.agency_id = t.agency_id AND k.child_id = t.child_id
		LEFT JOIN rules r ON (r.agency_id, r.day) = (t.agency_id, t.day)
	), punch AS MATERIALIZED (
		SELECT p.*, date_trunc('minute', p.check_in AT TIME ZONE p.zone) AS wall_in, date_trunc('minute', p.check_out AT TIME ZONE p.zone) AS wall_out
		FROM (SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.location_id, p.child_id, p.kind, p.check_in,
				coalesce(p.midnight, p.check_out) AS check_out, p.day, p.reason, p.zone, p.modified_at
			FROM placed p WHERE p.day BETWEEN p.first_day AND p.last_day
			UNION ALL
			SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.location_id, p.child_id, p.kind, p.midnight,
				p.check_out, p.day + 1, p.reason, p.zone, p.modified_at
			FROM placed p WHERE date_trunc('minute', p.check_out) > p.midnight AND p.day + 1 BETWEEN p.first_day AND p.last_day) p
	), closure AS (
		SELECT DISTINCT s.agency_id, s.provider_id, t.day
		FROM seen t
		JOIN site s ON s.location_id = t.location_id
		WHERE t.child_id IS NULL AND t.kind = 'closure'
	), rover AS MATERIALIZED (
		SELECT t.child_id FROM seen t WHERE t.kind = 'session' GROUP BY t.child_id HAVING min(t.location_id) <> max(t.location_id)
	), abroad AS MATERIALIZED (
		-- sessions of the children that were at more than one site: nobody is
		-- at two at a time, whoever pays. One that is impossible by itself
		-- says nothing about another
		SELECT t.child_id, t.location_id, t.zone, t.check_in, t.check_out, m.began, m.ended, u AS bucket
		FROM seen t
		JOIN rover c ON c.child_id = t.child_id
		CROSS JOIN LATERAL (SELECT date_trunc('minute', coalesce(t.check_in, t.check_out)) AS began, date_trunc('minute', coalesce(t.check_out, t.check_in)) AS ended) m
		CROSS JOIN LATERAL generate_series(date_trunc('day', m.began AT TIME ZONE 'UTC'), m.ended AT TIME ZONE 'UTC', interval '1 day') u
		WHERE t.kind = 'session' AND kinderconnect._may_be_stay(m.began, m.ended)
	), stay AS MATERIALIZED (
		-- the same as each provider has them: what is split at midnight is of two days
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.child_id, p.location_id, p.day, p.zone, m.began, m.ended, u AS bucket
		FROM punch p
		JOIN rover c ON c.child_id = p.child_id
		CROSS JOIN LATERAL (SELECT date_trunc('minute', coalesce(p.check_in, p.check_out)) AS began, date_trunc('minute', coalesce(p.check_out, p.check_in)) AS ended) m
		CROSS JOIN LATERAL generate_series(date_trunc('day', m.began AT TIME ZONE 'UTC'), m.ended AT TIME ZONE 'UTC', interval '1 day') u
		WHERE p.kind = 'session' AND kinderconnect._may_be_stay(m.began, m.ended)
	), night AS MATERIALIZED (
		-- care past midnight that goes with the day of its check-in
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.zone, p.check_in, p.check_out, date_trunc('minute', p.check_out) AS ended
		FROM placed p
		WHERE p.overnight = 'whole' AND p.kind = 'session' AND kinderconnect._may_be_stay(p.check_in, p.check_out)
			AND (p.check_out AT TIME ZONE p.zone)::date > p.day
	), crossing AS MATERIALIZED (
		SELECT x.agency_id, x.provider_id, x.kinderconnect_child_id, x.day, string_agg(DISTINCT x.facts, ', ') AS facts
		FROM (SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, a.day, concat('at ', b.location_id, ' ', to_char(b.check_in AT TIME ZONE b.zone, 'HH24:MI'), '-',
				to_char(b.check_out AT TIME ZONE b.zone, 'HH24:MI'), ' ' || nullif(b.zone, a.zone)) AS facts
			FROM stay a
			JOIN abroad b ON (b.child_id, b.bucket) = (a.child_id, a.bucket) AND b.location_id <> a.location_id AND a.began < b.ended AND b.began < a.ended
			UNION ALL
			SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, d.day, concat(d.facts, to_char(d.check_in AT TIME ZONE d.zone, 'HH24:MI'), '-',
				to_char(d.check_out AT TIME ZONE d.zone, 'HH24:MI'))
			FROM night n
			JOIN punch p ON (p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day) = (n.agency_id, n.provider_id, n.kinderconnect_child_id, n.day + 1)
			CROSS JOIN LATERAL (SELECT date_trunc('minute', coalesce(p.check_in, p.check_out)) AS began, date_trunc('minute', coalesce(p.check_out, p.check_in)) AS ended) m
			CROSS JOIN LATERAL (VALUES (n.day, 'the day after ', p.check_in, p.check_out, p.zone), (p.day, 'the night before ', n.check_in, n.check_out, n.zone)) d(day, facts, check_in, check_out, zone)
			WHERE p.kind = 'session' AND m.began < n.ended AND kinderconnect._may_be_stay(m.began, m.ended)) x
		GROUP BY x.agency_id, x.provider_id, x.kinderconnect_child_id, x.day
	), attended AS MATERIALIZED (
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.location_id, bool_or(p.kind = 'session') AS came,
			bool_or(p.kind = 'absence') AS absent, bool_or(p.kind = 'closure') AS closed
		FROM punch p GROUP BY p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.location_id
	), company AS MATERIALIZED (
		-- which other providers authorize the child on that day: at the same
		-- location, where what stands has no rival in what has vanished; with
		-- sessions elsewhere, and with an absence or a closure elsewhere that
		-- the agency takes
		SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day,
			CASE WHEN count(*) FILTER (WHERE v.claims AND v.stands) OVER here > 0
				THEN count(*) FILTER (WHERE v.claims AND v.stands) OVER here - (v.claims AND v.stands)::integer
				ELSE count(*) FILTER (WHERE v.claims) OVER here - v.claims::integer END AS rivals,
			count(*) FILTER (WHERE v.authorized AND v.came) OVER that_day - count(*) FILTER (WHERE v.authorized AND v.came) OVER here AS came_elsewhere,
			count(*) FILTER (WHERE v.authorized AND v.noted) OVER that_day - count(*) FILTER (WHERE v.authorized AND v.noted) OVER here AS noted_elsewhere,
			count(*) FILTER (WHERE v.authorized AND v.known) OVER that_day - count(*) FILTER (WHERE v.authorized AND v.known) OVER here AS known_elsewhere,
			string_agg(v.provider_id, ', ') FILTER (WHERE v.authorized AND v.known) OVER others AS others
		FROM (SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day, v.authorized, v.stands, s.location_id, v.authorized AND s.barred IS NULL AS claims, t.came IS TRUE AS came,
				n.noted AND t.came IS NOT TRUE AS noted, n.noted OR t.day IS NOT NULL AS known
			FROM covered v
			JOIN (SELECT v.agency_id, v.kinderconnect_child_id, v.day FROM covered v
				GROUP BY v.agency_id, v.kinderconnect_child_id, v.day HAVING count(*) > 1) m
				ON (m.agency_id, m.kinderconnect_child_id, m.day) = (v.agency_id, v.kinderconnect_child_id, v.day)
			JOIN site s ON (s.agency_id, s.provider_id) = (v.agency_id, v.provider_id)
			JOIN rules r ON (r.agency_id, r.day) = (v.agency_id, v.day)
			LEFT JOIN attended t ON (t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day)
				= (v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day)
			LEFT JOIN closure z ON (z.agency_id, z.provider_id, z.day) = (v.agency_id, v.provider_id, v.day)
			CROSS JOIN LATERAL (SELECT t.absent IS TRUE AND r.r ->> 'absences' IS DISTINCT FROM 'omit'
				OR (t.closed IS TRUE OR z.day IS NOT NULL) AND r.r ->> 'closures' IS DISTINCT FROM 'omit' AS noted) n) v
		WINDOW that_day AS (PARTITION BY v.agency_id, v.kinderconnect_child_id, v.day),
			here AS (PARTITION BY v.agency_id, v.kinderconnect_child_id, v.day, v.location_id),
			others AS (PARTITION BY v.agency_id, v.kinderconnect_child_id, v.day ORDER BY v.provider_id
				ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW)
	), neighbour AS MATERIALIZED (
		-- hardly ever any, nor of these: then the days below are not read
		SELECT s.agency_id, s.provider_id, o.provider_id AS other_id
		FROM site s JOIN site o ON (o.agency_id, o.location_id) = (s.agency_id, s.location_id) AND o.provider_id <> s.provider_id
	), mover AS MATERIALIZED (
		SELECT DISTINCT m.agency_id, m.kinderconnect_child_id, m.sent_as, m.provider_id
		FROM (SELECT k.agency_id, k.kinderconnect_child_id, k.sent_as, a.provider_id, min(a.provider_id) OVER w <> max(a.provider_id) OVER w AS moves
			FROM known_as k
			JOIN kinderconnect.authorization a ON (a.organization_id, a.agency_id, a.kinderconnect_child_id) = (organization, k.agency_id, k.sent_as)
			WINDOW w AS (PARTITION BY k.kinderconnect_child_id, k.agency_id)) m
		WHERE m.moves
	), sent AS (
		SELECT n.agency_id, n.other_id AS provider_id, d.kinderconnect_child_id, d.service_date AS day, d.provider_id AS sent_by,
			d.accepted_content, d.sent_content
		FROM kinderconnect.child_day d
		JOIN neighbour n ON (n.agency_id, n.provider_id) = (d.agency_id, d.provider_id)
		WHERE d.organization_id = organization AND d.service_date >= since
			AND (d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))
		UNION
		-- a provider ID may be another location's by now, or none's, and the
		-- child go by another id: the record says whose attendance it was
		SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day, d.provider_id, d.accepted_content, d.sent_content
		FROM mover m
		JOIN link k ON (k.agency_id, k.kinderconnect_child_id) = (m.agency_id, m.kinderconnect_child_id)
		CROSS JOIN LATERAL (SELECT d.* FROM kinderconnect.child_day d
			WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id) = (organization, m.agency_id, m.provider_id, m.sent_as)
				AND d.service_date >= since AND (d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))
			OFFSET 0) d
		CROSS JOIN LATERAL (SELECT l.location_id FROM kinderconnect.ledger l
			WHERE (l.organization_id, l.record_id) = (organization, coalesce(d.accepted_record_id, d.record_id)) AND l.child_id = k.child_id
			OFFSET 0) l
		JOIN covered v ON (v.agency_id, v.kinderconnect_child_id, v.day) = (m.agency_id, m.kinderconnect_child_id, d.service_date)
			AND v.provider_id <> m.provider_id
		JOIN site s ON (s.agency_id, s.provider_id, s.location_id) = (v.agency_id, v.provider_id, l.location_id)
		WHERE EXISTS (SELECT FROM mover)
	), elsewhere AS MATERIALIZED (
		-- sent under another provider ID, whatever became of that one: there is
		-- one attendance, and it is there already
		SELECT t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day,
			string_agg(format('provider %s %s', t.sent_by, coalesce('holds ' || t.accepted_content, 'may hold ' || t.sent_content)), '; '
				ORDER BY t.sent_by) AS facts
		FROM sent t
		GROUP BY t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day
	), stray AS MATERIALIZED (
		-- attendance that no authorization covers, under one provider ID of
		-- its location: one that takes part, and lists the child, else the first.
		-- Nobody asks for care that is not subsidized
		SELECT t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day
		FROM (SELECT DISTINCT ON (t.agency_id, t.location_id, t.kinderconnect_child_id, t.day) t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day,
				(x.days @> t.day) IS TRUE AS private
			FROM (SELECT t.* FROM attended t
				WHERE NOT EXISTS (SELECT FROM covered v JOIN site s ON (s.agency_id, s.provider_id) = (v.agency_id, v.provider_id)
					WHERE v.agency_id = t.agency_id AND s.location_id = t.location_id
						AND v.kinderconnect_child_id = t.kinderconnect_child_id AND v.day = t.day)
				OFFSET 0) t		-- hardly ever any
			JOIN site s ON (s.agency_id, s.provider_id) = (t.agency_id, t.provider_id)
			LEFT JOIN kinderconnect.listed_authorization l
				ON (l.organization_id, l.agency_id, l.provider_id, l.month, l.kinderconnect_child_id)
					= (organization, t.agency_id, t.provider_id, date_trunc('month', t.day)::date, t.kinderconnect_child_id)
				AND l.month >= date_trunc('month', since::timestamp)
			JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id)
				= (organization, t.agency_id, t.kinderconnect_child_id) AND c.subsidized
			LEFT JOIN private x ON (x.agency_id, x.provider_id, x.kinderconnect_child_id) = (t.agency_id, t.provider_id, t.kinderconnect_child_id)
			ORDER BY t.agency_id, t.location_id, t.kinderconnect_child_id, t.day, s.barred IS NOT NULL, l.provider_id IS NULL, private, t.provider_id) t
		WHERE NOT t.private
	), theirs AS MATERIALIZED (
		-- days that another provider ID of the location is authorized for: its
		-- attendance is said there
		SELECT n.agency_id, n.other_id AS provider_id, v.kinderconnect_child_id, v.day, string_agg(v.provider_id, ', ' ORDER BY v.provider_id) AS others
		FROM neighbour n
		JOIN site s ON (s.agency_id, s.provider_id) = (n.agency_id, n.provider_id) AND s.barred IS NULL
		JOIN covered v ON (v.agency_id, v.provider_id) = (n.agency_id, n.provider_id) AND v.authorized
		GROUP BY n.agency_id, n.other_id, v.kinderconnect_child_id, v.day
	), day AS (
		SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day FROM covered v WHERE v.authorized
		UNION
		SELECT t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day
		FROM attended t
		JOIN covered v ON (v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day) = (t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day)
		LEFT JOIN company w ON (w.agency_id, w.provider_id, w.kinderconnect_child_id, w.day) = (t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day)
		WHERE NOT v.authorized AND coalesce(w.rivals, 0) = 0
		UNION
		SELECT t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day FROM stray t
		UNION
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date
		FROM kinderconnect.child_day d JOIN site s ON (s.agency_id, s.provider_id) = (d.agency_id, d.provider_id)
		WHERE d.organization_id = organization AND (d.service_date >= since OR d.void_wanted) AND (d.service_date >= s.first_day OR d.void_wanted)
	), session AS (
		-- ordered as a whole, for all that is gathered of it below
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.check_in, p.check_out,
			date_trunc('minute', p.check_in) AS minute_in, date_trunc('minute', p.check_out) AS minute_out,
			p.wall_in, p.wall_out, to_char(p.wall_in, 'HH24:MI') AS said_in, to_char(p.wall_out, 'HH24:MI') AS said_out, p.zone, p.modified_at,
			date_trunc('minute', max(coalesce(p.check_out, p.check_in)) OVER before) AS busy_until
		FROM punch p WHERE p.kind = 'session' AND num_nonnulls(p.check_in, p.check_out) > 0
		WINDOW before AS (PARTITION BY p.kinderconnect_child_id, p.day, p.provider_id, p.agency_id
			ORDER BY coalesce(p.check_in, p.check_out), p.check_out ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
		ORDER BY p.kinderconnect_child_id, p.day, p.provider_id, p.agency_id, coalesce(p.check_in, p.check_out), p.check_out
	), sessions AS (
		SELECT s.agency_id, s.provider_id, s.kinderconnect_child_id, s.day, count(*) AS n,
			array_agg(s.wall_in::time) AS session_in,
			array_agg(s.wall_out::time) AS session_out,
			string_agg(concat(s.said_in, '-', s.said_out,
				' (+' || CASE WHEN isfinite(s.wall_out) THEN nullif(s.wall_out::date - s.day, 0) END || ')'), ' ') AS facts,
			string_agg(concat(s.said_in, '-', s.said_out), ' ') AS said,
			bool_or(s.check_in IS NULL) AS missing_in,
			bool_or(s.check_out IS NULL) AS missing_out,
			bool_or(s.check_out < s.check_in) AS out_before_in,
			bool_or(s.minute_out = s.minute_in) AS too_short,
			-- infinity less infinity is an error, and not of that session alone
			bool_or(s.check_out - interval '24 hours' > s.check_in
				OR s.wall_out - interval '24 hours' > s.wall_in) AS too_long,
			bool_or(coalesce(s.minute_in, s.minute_out) < s.busy_until
				OR num_nulls(s.check_in, s.check_out) = 1 AND coalesce(s.minute_in, s.minute_out) = s.busy_until) AS overlapping,
			bool_or(s.wall_out::date > s.day) AS over_midnight,
			bool_or(kinderconnect._is_second_reading(s.minute_in, s.wall_in, s.zone)
				OR kinderconnect._is_second_reading(s.minute_out, s.wall_out, s.zone)) AS ambiguous,
			max(s.modified_at) AS modified_at
		FROM session s
		GROUP BY s.kinderconnect_child_id, s.day, s.provider_id, s.agency_id
	), absence AS MATERIALIZED (
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day,
			count(*) FILTER (WHERE p.kind = 'absence') AS absences,
			count(DISTINCT coalesce(kinderconnect.fold(p.reason), '')) FILTER (WHERE p.kind = 'absence') AS reasons,
			min(p.reason) FILTER (WHERE p.kind = 'absence') AS reason,
			count(*) FILTER (WHERE p.kind = 'closure') AS closures,
			string_agg(DISTINCT coalesce(p.kind, 'null'), ', ') FILTER (WHERE (p.kind IN ('absence', 'closure')) IS NOT TRUE) AS unknown,
			max(p.modified_at) AS modified_at
		FROM punch p WHERE p.kind IS DISTINCT FROM 'session'
		GROUP BY p.kinderconnect_child_id, p.day, p.provider_id, p.agency_id
	), facts AS (
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day, s.location_id, s.zone, s.barred,
			(s.void_anyway AND e.reason = 'source_shrank') IS TRUE AS void_anyway, d.day < s.today AS finished,
			coalesce(v.authorized, false) AS authorized, v.day IS NOT NULL AS covered, p.ended, k.child_id, k.flag,
			CASE WHEN foresee THEN k.unlinked_because ELSE c.unlinked_because END AS unlinked_because,
			r.r AS rules, n.n AS sessions, n.session_in, n.session_out, n.facts, n.said, n.missing_in, n.missing_out, n.out_before_in,
			n.too_short, n.too_long, n.overlapping, n.over_midnight, n.ambiguous, y.facts AS crossing,
			coalesce(a.absences, 0) AS absences, coalesce(a.reasons, 0) AS reasons, a.reason AS manage_reason,
			coalesce(a.closures, 0) + (z.day IS NOT NULL)::integer AS closures,
			m.code AS reason_code,
			EXISTS (SELECT FROM kinderconnect.absence_reason l WHERE l.agency_id = d.agency_id) AS reasons_listed,
			CASE WHEN e.accepted_content IS NULL THEN x.facts END AS merged,
			CASE WHEN e.accepted_content IS NULL THEN h.facts END AS elsewhere,
			w.rivals > 0 AS rival_here, w.came_elsewhere > 0 AS came_elsewhere, w.noted_elsewhere > 0 AS noted_elsewhere,
			w.known_elsewhere > 0 AS known_elsewhere, coalesce(w.others, q.others) AS others, q.others IS NOT NULL AS is_theirs, greatest(n.modified_at, a.modified_at) AS modified_at,
			coalesce(n.n, 0) + coalesce(a.absences, 0) + coalesce(a.closures, 0) = 0 AND a.unknown IS NULL AS silent, a.unknown,
			md5(concat_ws('|', k.child_id, k.flag, s.location_id, v.by, r.words)) AS basis,
			e.state AS was, e.content AS was_content, e.accepted_kind, e.accepted_content, e.accepted_record_id, e.sent_content, e.sent_basis,
			coalesce(e.void_wanted AND e.accepted_content IS NOT NULL, false) AS wish
		FROM day d
		JOIN site s ON (s.agency_id, s.provider_id) = (d.agency_id, d.provider_id)
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, d.agency_id, d.kinderconnect_child_id)
		JOIN rules r ON (r.agency_id, r.day) = (d.agency_id, d.day)
		LEFT JOIN covered v ON (v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN company w ON (w.agency_id, w.provider_id, w.kinderconnect_child_id, w.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN theirs q ON (q.agency_id, q.provider_id, q.kinderconnect_child_id, q.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN lapsed p ON (p.agency_id, p.provider_id, p.kinderconnect_child_id) = (d.agency_id, d.provider_id, d.kinderconnect_child_id)
		LEFT JOIN link k ON (k.agency_id, k.kinderconnect_child_id) = (d.agency_id, d.kinderconnect_child_id)
		LEFT JOIN crossing y ON (y.agency_id, y.provider_id, y.kinderconnect_child_id, y.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN merged x ON (x.agency_id, x.provider_id, x.kinderconnect_child_id, x.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN elsewhere h ON (h.agency_id, h.provider_id, h.kinderconnect_child_id, h.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN sessions n ON (n.agency_id, n.provider_id, n.kinderconnect_child_id, n.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN absence a ON (a.agency_id, a.provider_id, a.kinderconnect_child_id, a.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN closure z ON (z.agency_id, z.provider_id, z.day) = (d.agency_id, d.provider_id, d.day)
		LEFT JOIN kinderconnect.absence_reason m ON m.agency_id = d.agency_id AND kinderconnect.fold(m.reason) = kinderconnect.fold(a.reason)
		LEFT JOIN kinderconnect.child_day e ON (e.organization_id, e.agency_id, e.provider_id, e.kinderconnect_child_id, e.service_date)
			= (organization, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
			AND (e.service_date >= since OR e.void_wanted)
		WHERE d.day <= s.last_day
			-- with voids all are looked at, see counted
			AND (can_void OR (agency IS NULL OR d.agency_id = agency) AND (provider IS NULL OR d.provider_id = provider))
	), spoken AS (
		SELECT f.*, k.said_kind,
			-- who the day belongs to
			CASE
				WHEN f.barred IS NOT NULL THEN f.barred
				WHEN f.child_id IS NULL THEN 'unmatched'
				WHEN f.flag <> 'name_changed' THEN f.flag
				WHEN f.merged IS NOT NULL THEN 'merged_child'
				WHEN NOT f.covered AND f.ended < f.day THEN 'authorization_ended'
				WHEN NOT f.covered THEN 'not_authorized'
				WHEN NOT f.authorized THEN 'not_authorized_weekday'
				WHEN f.elsewhere IS NOT NULL AND k.said_kind IS NOT NULL THEN 'two_providers'
				WHEN f.rival_here AND f.sessions > 0 THEN 'two_providers'
				WHEN (f.rival_here OR f.noted_elsewhere)
					AND (k.said_kind = 'absence' AND f.rules ->> 'absences' IS DISTINCT FROM 'omit'
						OR k.said_kind = 'closure' AND f.rules ->> 'closures' IS DISTINCT FROM 'omit') THEN 'two_providers'
			END AS stranger,
			-- whether what Manage says can be said to the service. What it has
			-- accepted was, whatever a rule has come to be since
			CASE
				WHEN f.unknown IS NOT NULL THEN 'unknown_kind'
				WHEN f.sessions IS NULL AND (f.came_elsewhere OR f.absences = 0 AND f.closures = 0) THEN NULL
				WHEN f.sessions > 0 AND f.absences + f.closures > 0 OR f.absences > 0 AND f.closures > 0
					OR f.reasons > 1 AND f.rules ->> 'absence_reasons' IS NULL THEN 'conflict'
				WHEN f.out_before_in THEN 'out_before_in'
				WHEN f.too_long THEN 'too_long'
				WHEN f.too_short THEN 'too_short'
				WHEN f.overlapping OR f.crossing IS NOT NULL THEN 'overlapping_sessions'
				WHEN f.missing_out AND f.rules ->> 'lone_punch' IS DISTINCT FROM 'send' THEN 'missing_check_out'
				WHEN f.missing_in AND f.rules ->> 'lone_punch' IS DISTINCT FROM 'send' THEN 'missing_check_in'
				WHEN f.over_midnight AND f.rules ->> 'overnight' IS NULL AND NOT k.stands THEN 'over_midnight'
				WHEN f.ambiguous THEN 'clock_change'
				WHEN f.sessions > least((f.rules ->> 'sessions_per_day')::integer, (f.rules ->> 'slots')::integer) AND NOT k.stands THEN 'too_many_sessions'
				-- the service refuses the whole call for what cannot be a code
				WHEN f.absences > 0 AND f.rules ->> 'absence_reasons' IS NULL AND f.manage_reason IS NOT NULL AND f.reason_code IS NULL AND NOT k.stands
					AND (f.reasons_listed OR length(f.manage_reason) > 64 OR f.manage_reason ~ '[[:cntrl:]]') THEN 'absence_reason'
			END AS unsayable
		FROM facts f
		-- A child that came to another of its providers was there: that an
		-- absence or a closure is noted here too claims nothing. What the
		-- agency takes none of leaves nothing to say in place of what it holds
		CROSS JOIN LATERAL (SELECT CASE
				WHEN f.sessions > 0 THEN 'session'
				WHEN f.came_elsewhere THEN NULL
				WHEN f.absences > 0 THEN CASE WHEN (f.rules ->> 'absences' = 'omit' AND f.accepted_kind <> 'absence') IS NOT TRUE THEN 'absence' END
				WHEN f.closures > 0 THEN CASE WHEN (f.rules ->> 'closures' = 'omit' AND f.accepted_kind <> 'closure') IS NOT TRUE THEN 'closure' END
			END AS said_kind,
			(coalesce(f.said, 'absence ' || f.manage_reason) = f.accepted_content) IS TRUE AS stands) k
		OFFSET 0		-- or each use below has it computed again
	), weighed AS (
		-- a call of content() for each day takes longer than all of this
		SELECT s.*, v.void_wanted, k.kind, t.sayable_in, t.sayable_out, t.absence_reason,
			((s.day + 1 + coalesce(CASE WHEN s.accepted_content IS NOT NULL THEN s.rules ->> 'correction_window_days' END,
				s.rules ->> 'entry_window_days')::integer)::timestamp AT TIME ZONE s.zone) AS window_ends,
			CASE k.kind WHEN 'session' THEN s.said WHEN 'absence' THEN concat_ws(' ', 'absence', t.absence_reason) ELSE k.kind END AS content,
			-- true: all of it is; false: its sessions are, and Manage made absences of them
			CASE WHEN s.accepted_content IS NOT NULL AND s.unsayable IS NULL AND s.stranger IS NULL AND s.was NOT IN ('sending', 'unknown') THEN
				CASE WHEN s.said_kind IS NULL THEN true WHEN s.accepted_kind = 'session' AND s.said_kind <> 'session' THEN false END
			END AS gone
		FROM spoken s
		-- what a person wants taken back is, as long as it has no authorization or link
		CROSS JOIN LATERAL (SELECT s.wish AND s.stranger IN ('unmatched', 'not_authorized', 'authorization_ended', 'not_authorized_weekday') IS TRUE AS void_wanted) v
		CROSS JOIN LATERAL (SELECT CASE WHEN s.unsayable IS NULL AND NOT v.void_wanted THEN s.said_kind END AS kind) k
		CROSS JOIN LATERAL (SELECT CASE WHEN k.kind = 'session' THEN s.session_in END AS sayable_in,
			CASE WHEN k.kind = 'session' THEN s.session_out END AS sayable_out,
			CASE WHEN k.kind = 'absence' AND s.rules ->> 'absence_reasons' IS NULL THEN coalesce(s.reason_code, s.manage_reason) END AS absence_reason) t
	), counted AS (
		-- over all days of the provider: a night limited to one must see it too;
		-- and over all providers, for many small ones may lose all they have,
		-- and even one day must not go because Manage is empty
		SELECT w.*,
			count(w.gone) OVER p AS losses,
			count(*) FILTER (WHERE w.accepted_content IS NOT NULL) OVER p AS held_there,
			count(w.gone) FILTER (WHERE NOT w.void_anyway) OVER () AS all_losses,
			count(*) FILTER (WHERE w.accepted_content IS NOT NULL AND NOT w.void_anyway) OVER () AS all_held_there,
			NOT EXISTS (SELECT FROM punch) AS nothing_left
		FROM weighed w
		WINDOW p AS (PARTITION BY w.agency_id, w.provider_id)
	), judged AS (
		-- '!' marks a state with a reason; the first that holds
		SELECT c.*,
			CASE
				WHEN c.was IN ('sending', 'unknown') THEN c.was
				WHEN c.void_wanted THEN CASE WHEN c.sent_content = 'void' AND c.was = 'rejected' AND c.sent_basis = c.basis THEN 'rejected'
					WHEN c.window_ends <= at THEN '!window_closed' ELSE 'ready' END
				WHEN c.accepted_content IS NOT NULL AND c.stranger IN ('unmatched', 'not_authorized', 'authorization_ended', 'not_authorized_weekday') THEN '!authorization_lost'
				WHEN c.accepted_content IS NOT NULL AND c.content = c.accepted_content THEN 'accepted'
				WHEN c.silent AND c.accepted_content IS NULL AND c.stranger IN ('not_authorized', 'authorization_ended', 'not_authorized_weekday') THEN '!not_authorized_any_more'
				WHEN c.is_theirs AND c.accepted_content IS NULL AND c.stranger IN ('not_authorized', 'authorization_ended', 'not_authorized_weekday') THEN '!other_provider'
				WHEN c.stranger IS NOT NULL THEN '!' || c.stranger
				WHEN c.unsayable IS NOT NULL THEN '!' || c.unsayable
				WHEN c.content IS NULL AND c.accepted_content IS NULL AND c.was = 'voided' THEN 'voided'
				WHEN c.content IS NULL AND c.accepted_content IS NULL AND (c.came_elsewhere OR c.known_elsewhere) THEN '!other_provider'
				WHEN c.content IS NULL AND c.accepted_content IS NULL THEN '!nothing_recorded'
				WHEN c.kind = 'closure' AND c.rules ->> 'closures' = 'omit' AND c.accepted_content IS NULL THEN '!closure_not_taken'
				WHEN c.kind = 'absence' AND c.rules ->> 'absences' = 'omit' AND c.accepted_content IS NULL THEN '!absence_not_taken'
				WHEN c.window_ends <= at THEN '!window_closed'
				WHEN c.gone AND NOT can_void THEN '!cannot_void'
				WHEN c.accepted_content IS NOT NULL AND NOT c.void_anyway AND NOT (c.was = 'ready' AND c.was_content IS NOT DISTINCT FROM c.content)
					AND (c.gone IS NOT NULL AND (c.losses >= shrink_floor AND c.losses * 100 > c.held_there * (100 - shrink_ratio)
							OR c.all_losses >= shrink_floor AND c.all_losses * 100 > c.all_held_there * (100 - shrink_ratio)
							OR c.nothing_left)
						-- what it was accepted of may still stand there
						OR (SELECT l.location_id FROM kinderconnect.ledger l WHERE (l.organization_id, l.record_id) = (organization, c.accepted_record_id))
							<> c.location_id) THEN '!source_shrank'
				WHEN c.was = 'rejected' AND c.sent_content = coalesce(c.content, 'void') AND c.sent_basis = c.basis THEN 'rejected'
				WHEN NOT c.finished THEN '!unfinished_day'
				ELSE 'ready'
			END AS verdict
		FROM counted c
		OFFSET 0		-- as in spoken
	)
	SELECT j.agency_id, j.provider_id, j.kinderconnect_child_id, j.day, j.authorized, j.location_id, j.child_id,
		CASE WHEN j.verdict NOT LIKE '!%' THEN j.verdict
			WHEN j.verdict IN ('!other_provider', '!closure_not_taken', '!absence_not_taken', '!not_authorized_any_more') THEN 'not_due'
			ELSE 'held' END,
		CASE WHEN j.verdict LIKE '!%' THEN substr(j.verdict, 2) END,
		CASE
			WHEN j.verdict LIKE '!%' THEN nullif(concat_ws(', ',
				CASE
					WHEN j.verdict = '!unmatched' OR j.verdict = '!authorization_lost' AND j.stranger = 'unmatched' THEN j.unlinked_because
					WHEN j.verdict = '!authorization_lost' THEN j.stranger
					WHEN j.verdict = '!authorization_ended' THEN 'ended ' || to_char(j.ended, 'YYYY-MM-DD')
					WHEN j.verdict = '!window_closed' THEN 'closed ' || to_char(j.window_ends AT TIME ZONE j.zone, 'YYYY-MM-DD')
					WHEN j.verdict = '!absence_reason' THEN j.manage_reason
					WHEN j.verdict = '!unknown_kind' THEN j.unknown
					WHEN j.verdict = '!two_providers' AND j.elsewhere IS NOT NULL THEN j.elsewhere
					WHEN j.verdict IN ('!two_providers', '!other_provider') THEN 'provider ' || j.others
					WHEN j.verdict = '!merged_child' THEN j.merged
					WHEN j.verdict = '!source_shrank' THEN concat_ws(', ', CASE WHEN j.gone IS NOT NULL THEN format('%s of %s accepted days', j.losses, j.held_there) END,
						(SELECT 'accepted of location ' || l.location_id FROM kinderconnect.ledger l
						WHERE (l.organization_id, l.record_id) = (organization, j.accepted_record_id) AND l.location_id <> j.location_id))
				END,
				j.facts, CASE WHEN j.verdict <> '!absence_reason' THEN nullif(j.absences, 0) || ' absence(s)' END, nullif(j.closures, 0) || ' closure(s)', j.crossing), '')
		END,
		j.kind, j.sayable_in, j.sayable_out, j.absence_reason, j.content, j.window_ends, j.basis, j.modified_at, j.finished
	FROM judged j
	WHERE (agency IS NULL OR j.agency_id = agency) AND (provider IS NULL OR j.provider_id = provider)
		AND j.day BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity');
END;
$$;
COMMENT ON FUNCTION kinderconnect._planned(text, text, text, date, date, boolean, timestamptz) IS
'what is to be done with every child-day of an organization in the horizon, as of a moment; foresee: by the links that tonight would make, and today''s days too. Changes nothing. The columns are those of child_day; finished is false for today''s';

-- To plan the judgement takes as long as to judge 200 days. Of many organizations
-- each is a small part of every table, and one plan is right for all; of a few
-- the dates decide whether an index is used, unless there is little to read.
CREATE FUNCTION kinderconnect._plan(organization text, agency text, provider text, from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
AS $$
DECLARE
	planned_at timestamptz := clock_timestamp();
	run        bigint;
BEGIN
	SELECT max(o.run_id) INTO run
	FROM kinderconnect.run_organization o JOIN kinderconnect.run r ON r.run_id = o.run_id
	WHERE o.organization_id = organization AND o.locked AND r.ended_at IS NULL;
	PERFORM kinderconnect._note_zones(organization);
	-- whoever accepts now that days are gone has the next plan in mind
	PERFORM FROM kinderconnect.list_state l WHERE l.organization_id = organization AND l.operation = 'attendance' FOR UPDATE;
	IF (SELECT count(*) FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.locked)
			> (CASE WHEN pg_relation_size('kinderconnect.child_day') < 8388608 THEN 1 ELSE 8 END) THEN
		PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);		-- as long as this function runs
	END IF;

	WITH planned AS MATERIALIZED (
		SELECT * FROM kinderconnect._planned(organization, agency, provider, from_date, to_date, false)
	), apart AS MATERIALIZED (
		SELECT p.*, d.state AS was_state, d.reason AS was_reason, d.detail AS was_detail, d.content AS was_content, d.modified_at AS was_modified_at,
			d.accepted_content AS was_accepted, d.void_wanted AS was_wanted
		FROM planned p
		LEFT JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
		WHERE d.state IS NULL
			OR (d.authorized, d.location_id, d.child_id, d.state, d.reason, d.detail, d.content, d.absence_reason, d.window_ends, d.basis)
				IS DISTINCT FROM (p.authorized, p.location_id, p.child_id, p.state, p.reason, p.detail, p.content, p.absence_reason, p.window_ends, p.basis)
	), known AS (
		UPDATE kinderconnect.child_day d
		SET authorized = p.authorized, location_id = p.location_id, child_id = p.child_id, state = p.state, reason = p.reason,
			detail = p.detail, kind = p.kind, session_in = p.session_in, session_out = p.session_out,
			absence_reason = p.absence_reason, content = p.content, window_ends = p.window_ends, modified_at = p.modified_at, basis = p.basis,
			code = CASE WHEN p.state = 'rejected' THEN d.code END,
			message = CASE WHEN p.state = 'rejected' THEN d.message END,
			void_wanted = d.void_wanted AND (p.authorized AND p.child_id IS NOT NULL) IS NOT TRUE, changed_at = now()
		FROM apart p
		WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
				= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
			-- what a person decided meanwhile stands, until the next plan
			AND (d.state, d.accepted_content, d.void_wanted) IS NOT DISTINCT FROM (p.was_state, p.was_accepted, p.was_wanted)
		RETURNING d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date
	), since AS MATERIALIZED (
		-- read with the plan: somebody may change it meanwhile
		SELECT o.first_enabled - o.backfill_days AS start FROM kinderconnect.organization o WHERE o.organization_id = organization
	), passed AS (
		-- what tonight's plan does not look at, tonight's transfer must not
		-- send; a day may be unfinished again at a site that moved west
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, d.state AS was_state, d.reason AS was_reason, d.detail AS was_detail,
			d.content, d.modified_at, CASE WHEN r.reason = 'before_start' THEN 'not_due' ELSE 'held' END AS state, r.reason
		FROM kinderconnect.child_day d
		CROSS JOIN LATERAL (SELECT CASE WHEN d.service_date < (SELECT y.start FROM since y) AND d.accepted_content IS NULL THEN 'before_start'
			WHEN d.service_date >= (now() AT TIME ZONE 'Pacific/Honolulu')::date THEN 'unfinished_day' ELSE 'horizon_passed' END AS reason) r
		WHERE d.organization_id = organization AND d.state = 'ready'
			AND (agency IS NULL OR d.agency_id = agency) AND (provider IS NULL OR d.provider_id = provider)
			AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
			AND NOT EXISTS (SELECT FROM planned p
				WHERE (p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
					= (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date))
		UNION ALL
		-- nor does anything wait for a person of what was planned while the
		-- organization looked on, and is older than what it sends
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, d.state, d.reason, d.detail, d.content, d.modified_at, 'not_due', 'before_start'
		FROM kinderconnect.child_day d
		WHERE d.organization_id = organization AND d.state = 'held' AND d.accepted_content IS NULL
			AND (agency IS NULL OR d.agency_id = agency) AND (provider IS NULL OR d.provider_id = provider)
			AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
			AND d.service_date < (SELECT y.start FROM since y) AND d.service_date >= (now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer
	), stopped AS (
		UPDATE kinderconnect.child_day d
		SET state = p.state, reason = p.reason, detail = NULL, changed_at = now()
		FROM passed p
		WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
	), step AS (
		INSERT INTO kinderconnect.child_day_step
			(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, at, run_id,
			was_state, was_reason, was_detail, was_content, was_modified_at, state, reason, detail, content, modified_at)
		SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, planned_at, run,
			p.was_state, p.was_reason, p.was_detail, p.was_content, p.was_modified_at, p.state, p.reason, p.detail, p.content, p.modified_at
		FROM apart p
		JOIN known k ON (k.agency_id, k.provider_id, k.kinderconnect_child_id, k.service_date)
			= (p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
		WHERE (p.was_state, p.was_reason, p.was_detail, p.was_content) IS DISTINCT FROM (p.state, p.reason, p.detail, p.content)
		UNION ALL
		SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, planned_at, run,
			p.was_state, p.was_reason, p.was_detail, p.content, p.modified_at, p.state, p.reason, NULL, p.content, p.modified_at
		FROM passed p
	)
	INSERT INTO kinderconnect.child_day
		(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, location_id, child_id,
		state, reason, detail, kind, session_in, session_out, absence_reason, content, window_ends, modified_at, basis, planned_at)
	SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, p.authorized, p.location_id, p.child_id,
		p.state, p.reason, p.detail, p.kind, p.session_in, p.session_out, p.absence_reason, p.content, p.window_ends, p.modified_at, p.basis, planned_at
	FROM apart p
	WHERE p.was_state IS NULL;

	-- an acceptance is for one plan of the whole; a limited one leaves the rest
	-- of it for the next
	INSERT INTO kinderconnect.list_state AS l (organization_id, operation, agency_id, provider_id, set_aside_at)
	SELECT DISTINCT organization, 'attendance', d.agency_id, d.provider_id, now()
	FROM kinderconnect.child_day d WHERE d.organization_id = organization AND d.reason = 'source_shrank'
	ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month) DO UPDATE
	SET set_aside_at = coalesce(l.set_aside_at, excluded.set_aside_at),
		accept_shrink = l.accept_shrink AND num_nonnulls(agency, provider, from_date, to_date) > 0;
	DELETE FROM kinderconnect.list_state l
	WHERE l.organization_id = organization AND l.operation = 'attendance'
		AND NOT EXISTS (SELECT FROM kinderconnect.child_day d
			WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, l.agency_id, l.provider_id) AND d.reason = 'source_shrank');
END;
$$;
COMMENT ON FUNCTION kinderconnect._plan(text, text, text, date, date) IS
'writes down what is to be done with every child-day; days under way are left as they are, only what Manage says is brought up to date';
