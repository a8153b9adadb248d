-- Step 2 of the night: the children of each provider and their
-- authorizations, with history. A night in which nothing changed writes
-- nothing but the time of the list.

CREATE VIEW kinderconnect.provider_standing AS
SELECT p.organization_id, p.agency_id, p.provider_id, p.location_id, p.configured,
	coalesce(l.name, p.provider_id) AS name,
	CASE
		WHEN NOT o.enabled THEN 'organization_disabled'
		WHEN NOT p.enabled OR NOT p.configured AND NOT o.adopt_providers THEN 'provider_disabled'
		WHEN lower(btrim(l.status)) <> 'active' OR lower(btrim(c.status)) <> 'active' THEN 'provider_inactive'
		WHEN NOT p.configured AND NOT (l.listed AND c.listed IS NOT FALSE) THEN 'provider_inactive'
	END AS barred
FROM kinderconnect.provider p
JOIN kinderconnect.organization o ON o.organization_id = p.organization_id
LEFT JOIN kinderconnect.listed_location l ON (l.organization_id, l.agency_id, l.provider_id) = (p.organization_id, p.agency_id, p.provider_id)
LEFT JOIN kinderconnect.customer c ON (c.organization_id, c.customer_id) = (l.organization_id, l.customer_id);
COMMENT ON VIEW kinderconnect.provider_standing IS 'each provider, and why nothing is asked or sent for it';
COMMENT ON COLUMN kinderconnect.provider_standing.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_standing.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_standing.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_standing.location_id IS 'Manage''s location, or null';
COMMENT ON COLUMN kinderconnect.provider_standing.configured IS 'entered by add_provider(), not only listed by the service';
COMMENT ON COLUMN kinderconnect.provider_standing.name IS 'as the service lists it, else the provider ID';
COMMENT ON COLUMN kinderconnect.provider_standing.barred IS 'null: it takes part; else the reason';

CREATE TABLE kinderconnect.child (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	first_name             text,
	middle_name            text,
	last_name              text,
	suffix                 text,
	date_of_birth          date,
	subsidized             boolean NOT NULL,
	first_key              text COLLATE "C" GENERATED ALWAYS AS (kinderconnect._first_key(first_name)) STORED,
	middle_key             text COLLATE "C" GENERATED ALWAYS AS (kinderconnect._middle_key(first_name, middle_name)) STORED,
	last_key               text COLLATE "C" GENERATED ALWAYS AS (kinderconnect._last_key(last_name)) STORED,
	suffix_key             text COLLATE "C" GENERATED ALWAYS AS (kinderconnect._suffix_key(first_name, last_name, suffix)) STORED,
	unlinked_because       text COLLATE "C",
	first_listed           timestamptz NOT NULL DEFAULT now(),
	changed_at             timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id)
);
COMMENT ON TABLE kinderconnect.child IS 'the children KinderConnect lists; an id belongs to an agency, so a child of two agencies is two rows';
COMMENT ON COLUMN kinderconnect.child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child.kinderconnect_child_id IS 'the child''s id at that agency';
COMMENT ON COLUMN kinderconnect.child.first_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.child.middle_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.child.last_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.child.suffix IS 'as listed';
COMMENT ON COLUMN kinderconnect.child.date_of_birth IS 'as listed';
COMMENT ON COLUMN kinderconnect.child.subsidized IS 'false: at no provider that lists it is its care subsidized, by the last month of each; listed, never sent. What holds for a provider is in listed_subsidy';
COMMENT ON COLUMN kinderconnect.child.first_key IS 'first word of the first name, folded';
COMMENT ON COLUMN kinderconnect.child.middle_key IS 'the other words of the first name, and the middle name, folded';
COMMENT ON COLUMN kinderconnect.child.last_key IS 'words of the last name without suffix, folded, in the order of the alphabet';
COMMENT ON COLUMN kinderconnect.child.suffix_key IS 'Jr, II, ..., wherever it was written, folded';
COMMENT ON COLUMN kinderconnect.child.unlinked_because IS 'why it has no link to a child of Manage: views.sql has the words; not_matched_yet: the next match looks. Null where it has one, and before the first match';
COMMENT ON COLUMN kinderconnect.child.first_listed IS 'when it was first listed';
COMMENT ON COLUMN kinderconnect.child.changed_at IS 'when the service last changed any of it';

CREATE INDEX child_by_name ON kinderconnect.child (organization_id, date_of_birth, last_key, first_key);
CREATE INDEX child_changed ON kinderconnect.child (organization_id, changed_at);
CREATE INDEX child_unlinked ON kinderconnect.child (organization_id, unlinked_because) WHERE unlinked_because IS NOT NULL;

CREATE TABLE kinderconnect.authorization (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL,
	provider_id            text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	authorization_id       text COLLATE "C" NOT NULL,
	begin_date             date NOT NULL,
	end_date               date,
	units_of_care          text,
	days                   text[] CHECK (cardinality(days) > 0 AND days <@ ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU']),
	known_from             timestamptz NOT NULL DEFAULT now(),
	known_until            timestamptz NOT NULL DEFAULT 'infinity',
	closed_as              text CHECK (closed_as IN ('changed', 'vanished')),
	succeeded_at           timestamptz GENERATED ALWAYS AS (CASE closed_as WHEN 'changed' THEN known_until END) STORED,
	PRIMARY KEY (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, known_from),
	-- no gap: what changed has a row that says to what, from that moment on
	CONSTRAINT authorization_no_gap FOREIGN KEY
		(organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, succeeded_at)
		REFERENCES kinderconnect.authorization DEFERRABLE INITIALLY DEFERRED,
	CHECK (known_from < known_until),
	CHECK ((known_until = 'infinity') = (closed_as IS NULL)),
	-- No overlap. By 128 bits of the four texts, which is the smaller index; and
	-- by the texts themselves the gap's check would take it for its own.
	CONSTRAINT authorization_no_overlap EXCLUDE USING gist (
		hash_record_extended(ROW(agency_id, provider_id, kinderconnect_child_id, authorization_id), 0) WITH =,
		hash_record_extended(ROW(agency_id, provider_id, kinderconnect_child_id, authorization_id), 1) WITH =,
		organization_id WITH =, tstzrange(known_from, known_until) WITH &&)
);
COMMENT ON TABLE kinderconnect.authorization IS
'authorizations as history: each row is what the service said from known_from until known_until; what it says now has known_until infinity. Where the lists of two months do not agree, the later month''s counts, and list_problem says so';
COMMENT ON COLUMN kinderconnect.authorization.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.authorization.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.authorization.provider_id IS 'the provider ID it is for';
COMMENT ON COLUMN kinderconnect.authorization.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.authorization.authorization_id IS 'the service''s id, or begin date and units where its dialect has none; of a further period under the same id, the id with # and a number';
COMMENT ON COLUMN kinderconnect.authorization.begin_date IS 'first day of care, inclusive';
COMMENT ON COLUMN kinderconnect.authorization.end_date IS 'last day of care, inclusive; null: open';
COMMENT ON COLUMN kinderconnect.authorization.units_of_care IS 'units authorized, as listed; the unit is the agency''s';
COMMENT ON COLUMN kinderconnect.authorization.days IS 'weekdays of care, MO to SU; null: every day';
COMMENT ON COLUMN kinderconnect.authorization.known_from IS 'when the service was first seen to say so';
COMMENT ON COLUMN kinderconnect.authorization.known_until IS 'when it was first seen to say otherwise; infinity: it still does';
COMMENT ON COLUMN kinderconnect.authorization.closed_as IS 'changed: the next row says to what; vanished: it was no longer listed. Its days before that stay authorized';
COMMENT ON COLUMN kinderconnect.authorization.succeeded_at IS 'known_until, where it changed: the known_from of the next row';

CREATE TABLE kinderconnect.listed_authorization (
	organization_id        text COLLATE "C" NOT NULL,
	agency_id              text COLLATE "C" NOT NULL,
	provider_id            text COLLATE "C" NOT NULL,
	month                  date NOT NULL CHECK (month = date_trunc('month', month)),
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	authorization_id       text COLLATE "C" NOT NULL,
	PRIMARY KEY (organization_id, agency_id, provider_id, month, kinderconnect_child_id, authorization_id)
);
COMMENT ON TABLE kinderconnect.listed_authorization IS 'which child and authorization the list of each provider and month in force holds';
COMMENT ON COLUMN kinderconnect.listed_authorization.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.listed_authorization.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.listed_authorization.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.listed_authorization.month IS 'first day of the month';
COMMENT ON COLUMN kinderconnect.listed_authorization.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.listed_authorization.authorization_id IS 'the authorization; empty for a child listed without one';

-- Most children are subsidized wherever they are listed, and have no row. One
-- that is not has a row for each month in which the provider lists it, and
-- keeps them: an authorization that has vanished covers days, too.
CREATE TABLE kinderconnect.listed_subsidy (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	provider_id            text COLLATE "C" NOT NULL,
	month                  date NOT NULL CHECK (month = date_trunc('month', month)),
	subsidized             boolean NOT NULL,
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id, provider_id, month)
);
COMMENT ON TABLE kinderconnect.listed_subsidy IS
'whether a child''s care at a provider is subsidized, month by month, for those of whom a list of the provider has said that it is not; no row: it is. A month that no list has answered for is as the one before';
COMMENT ON COLUMN kinderconnect.listed_subsidy.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.listed_subsidy.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.listed_subsidy.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.listed_subsidy.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.listed_subsidy.month IS 'first day of the month';
COMMENT ON COLUMN kinderconnect.listed_subsidy.subsidized IS 'as listed; false: nothing is sent of that month';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.authorization', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.listed_authorization', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.listed_subsidy', '');

-- The months that the horizon touches, seen from the first and the last zone
-- of the country: too many rather than too few.
CREATE FUNCTION kinderconnect._months(organization text, from_date date, to_date date) RETURNS SETOF date
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT g::date
	FROM kinderconnect.organization o,
		generate_series(
			date_trunc('month', greatest(
				(now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer,
				o.first_enabled - o.backfill_days, coalesce(from_date, '-infinity'))::timestamp),
			date_trunc('month', least((now() AT TIME ZONE 'America/New_York')::date, coalesce(to_date, 'infinity'))::timestamp),
			interval '1 month') g
	WHERE o.organization_id = organization;
END;
$$;
COMMENT ON FUNCTION kinderconnect._months(text, date, date) IS 'first days of the months an organization''s horizon touches';

-- What cannot be read is a problem, and changes nothing: an authorization with
-- a begin, an end or weekdays that are none, or that ends before it begins, is
-- not taken for one that is open, or for every day. Nor is it gone: one that
-- cannot be told from others may be any that the child has, and of a child that
-- cannot be told from others, any child's.
CREATE FUNCTION kinderconnect._children_reply(ticket bigint)
	RETURNS TABLE (ordinal integer, part integer, kinderconnect_child_id text, first_name text, middle_name text, last_name text,
		suffix text, date_of_birth date, subsidized boolean, authorization_id text, begin_date date, end_date date,
		units_of_care text, days text[], trouble text, sound boolean, unread text[])
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 100
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.ordinal, (row_number() OVER (PARTITION BY r.ordinal))::integer, r.kinderconnect_child_id, r.first_name, r.middle_name,
		r.last_name, r.suffix, r.date_of_birth,
		CASE WHEN ('subsidized' = ANY (r.unread)) IS NOT TRUE THEN coalesce(r.subsidized, true) END,
		CASE WHEN 'begin_date' = ANY (r.unread) AND (r.authorization_id IS NULL OR 'authorization_id' = ANY (r.unread)) THEN NULL
			WHEN r.authorization_id IS NULL AND r.begin_date IS NULL THEN ''
			ELSE coalesce(r.authorization_id, to_char(r.begin_date, 'YYYY-MM-DD') || coalesce('/' || r.units_of_care, '')) END,
		r.begin_date, r.end_date, r.units_of_care, d.days,
		CASE WHEN r.problem IS NULL THEN t.trouble ELSE concat_ws('; ', r.problem, t.trouble) END,
		r.kinderconnect_child_id IS NOT NULL AND r.begin_date IS NOT NULL AND t.trouble IS NULL
			AND (r.unread && ARRAY['begin_date', 'end_date', 'days']) IS NOT TRUE,
		r.unread
	FROM kinderconnect._rows(_children_reply.ticket, NULL::kinderconnect.reply_child) r
	CROSS JOIN LATERAL (SELECT array_agg(DISTINCT upper(btrim(u))) AS days FROM unnest(r.days) u) d
	CROSS JOIN LATERAL (SELECT CASE
		WHEN r.end_date < r.begin_date THEN 'authorization ends before it begins'
		WHEN NOT d.days <@ ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'] THEN 'authorization has an unknown weekday'
		END AS trouble) t;
END;
$$;
COMMENT ON FUNCTION kinderconnect._children_reply(bigint) IS
'the rows of a children call as they are taken in: authorization_id filled in (empty: none; null: one, but not which), subsidized null where it cannot be read, weekdays in upper case without repeats, trouble in words, sound where the authorization counts, unread as in reply_child';

-- A service may renew an authorization under its id: two periods, and each a
-- history of its own. The first is known by the id, the others by the id and a
-- number, in the order in which they were seen. A list of a month need not hold
-- all of them, so that which one an entry is, is told by its begin; by its days,
-- where the begin has changed; and what shares no day with any that is known
-- is a further one, whichever month is taken in first.
CREATE FUNCTION kinderconnect._further_periods(outcomes kinderconnect.call_outcome[])
	RETURNS TABLE (ticket bigint, kinderconnect_child_id text, authorization_id text, begin_date date, known_as text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH reply AS MATERIALIZED (
		SELECT o.ticket, o.organization_id, o.agency_id, o.provider_id, r.kinderconnect_child_id, r.authorization_id, r.begin_date, r.end_date, r.ordinal, r.part
		FROM unnest(outcomes) o CROSS JOIN LATERAL kinderconnect._children_reply(o.ticket) r
		WHERE r.sound
	), changed AS MATERIALIZED (
		-- mostly none: of an id that is listed twice, one at least begins
		-- otherwise than what is known as the id
		SELECT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.kinderconnect_child_id, r.authorization_id, r.begin_date
		FROM reply r
		LEFT JOIN LATERAL (SELECT true AS known FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
					= (r.organization_id, r.agency_id, r.provider_id, r.kinderconnect_child_id, r.authorization_id)
				AND a.known_until = 'infinity' AND a.begin_date = r.begin_date
			ORDER BY a.known_from LIMIT 1) a ON true
		WHERE a.known IS NULL
	), odd AS MATERIALIZED (
		SELECT c.ticket, c.organization_id, c.agency_id, c.provider_id, c.kinderconnect_child_id, c.authorization_id
		FROM changed c
		LEFT JOIN LATERAL (SELECT true AS known FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
				= (c.organization_id, c.agency_id, c.provider_id, c.kinderconnect_child_id, c.authorization_id)
			ORDER BY a.known_from LIMIT 1) a ON true
		GROUP BY c.ticket, c.organization_id, c.agency_id, c.provider_id, c.kinderconnect_child_id, c.authorization_id
		HAVING bool_or(a.known) OR min(c.begin_date) <> max(c.begin_date)
	), entry AS MATERIALIZED (
		SELECT DISTINCT ON (r.ticket, r.kinderconnect_child_id, r.authorization_id, r.begin_date) r.*
		FROM reply r
		WHERE ((r.ticket, r.kinderconnect_child_id, r.authorization_id) IN (SELECT d.ticket, d.kinderconnect_child_id, d.authorization_id FROM odd d)) IS TRUE
		ORDER BY r.ticket, r.kinderconnect_child_id, r.authorization_id, r.begin_date, r.ordinal, r.part
	), known AS MATERIALIZED (
		SELECT DISTINCT ON (d.ticket, d.kinderconnect_child_id, d.authorization_id, a.authorization_id)
			d.ticket, d.kinderconnect_child_id, d.authorization_id, a.authorization_id AS known_as, a.begin_date, a.end_date, a.closed_as IS NOT NULL AS is_gone,
			coalesce(nullif(substr(a.authorization_id, length(d.authorization_id) + 2), ''), '1')::integer AS number
		FROM odd d
		CROSS JOIN LATERAL (SELECT a.* FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id)
					= (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id)
				AND (a.authorization_id = d.authorization_id
					OR left(a.authorization_id, length(d.authorization_id) + 1) = d.authorization_id || '#'
						AND substr(a.authorization_id, length(d.authorization_id) + 2) ~ '^[1-9][0-9]{0,5}$'
						-- the service's own, where it is in the list
						AND ((d.ticket, a.kinderconnect_child_id, a.authorization_id) IN
							(SELECT r.ticket, r.kinderconnect_child_id, r.authorization_id FROM reply r)) IS NOT TRUE)
			OFFSET 0) a
		ORDER BY d.ticket, d.kinderconnect_child_id, d.authorization_id, a.authorization_id, a.known_from DESC
	), by_begin AS MATERIALIZED (
		SELECT DISTINCT ON (e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date)
			e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date, k.known_as
		FROM entry e
		JOIN known k ON (k.ticket, k.kinderconnect_child_id, k.authorization_id, k.begin_date)
			= (e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date)
		ORDER BY e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date, k.is_gone, k.number
	), by_days AS MATERIALIZED (
		SELECT DISTINCT ON (p.ticket, p.kinderconnect_child_id, p.authorization_id, p.begin_date)
			p.ticket, p.kinderconnect_child_id, p.authorization_id, p.begin_date, p.known_as
		FROM (SELECT DISTINCT ON (k.ticket, k.kinderconnect_child_id, k.known_as)
				e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date, k.known_as, k.is_gone, k.number
			FROM entry e
			JOIN known k ON (k.ticket, k.kinderconnect_child_id, k.authorization_id) = (e.ticket, e.kinderconnect_child_id, e.authorization_id)
				AND e.begin_date <= coalesce(k.end_date, 'infinity') AND k.begin_date <= coalesce(e.end_date, 'infinity')
			WHERE NOT EXISTS (SELECT FROM by_begin b WHERE (b.ticket, b.kinderconnect_child_id, b.authorization_id, b.begin_date)
					= (e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date))
				AND NOT EXISTS (SELECT FROM by_begin b WHERE (b.ticket, b.kinderconnect_child_id, b.known_as)
					= (k.ticket, k.kinderconnect_child_id, k.known_as))
			ORDER BY k.ticket, k.kinderconnect_child_id, k.known_as, e.begin_date) p
		ORDER BY p.ticket, p.kinderconnect_child_id, p.authorization_id, p.begin_date, p.is_gone, p.number
	), found AS (
		SELECT * FROM by_begin UNION ALL SELECT * FROM by_days
	), further AS (
		SELECT e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date,
			coalesce((SELECT max(k.number) FROM known k WHERE (k.ticket, k.kinderconnect_child_id, k.authorization_id)
				= (e.ticket, e.kinderconnect_child_id, e.authorization_id)), 0)
				+ row_number() OVER (PARTITION BY e.ticket, e.kinderconnect_child_id, e.authorization_id ORDER BY e.begin_date) AS number
		FROM entry e
		WHERE NOT EXISTS (SELECT FROM found f WHERE (f.ticket, f.kinderconnect_child_id, f.authorization_id, f.begin_date)
			= (e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date))
	)
	SELECT f.ticket, f.kinderconnect_child_id, f.authorization_id, f.begin_date, f.known_as
	FROM found f WHERE f.known_as <> f.authorization_id
	UNION ALL
	SELECT f.ticket, f.kinderconnect_child_id, f.authorization_id, f.begin_date, f.authorization_id || '#' || f.number
	FROM further f WHERE f.number > 1;
END;
$$;
COMMENT ON FUNCTION kinderconnect._further_periods(kinderconnect.call_outcome[]) IS
'of the authorizations in lists of children, those that are a further period under an id that another one has, and what each is known as: the id, # and a number';

-- A child or an authorization that two months hold otherwise is as the later one
-- says: which was taken in before, or is not asked for by this run.
CREATE FUNCTION kinderconnect._is_listed_later(run bigint, organization text, agency text, provider text, month date, child text, authorization_id text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM kinderconnect.run r
		CROSS JOIN kinderconnect.listed_authorization l
		JOIN kinderconnect.list_state t ON (t.organization_id, t.operation, t.customer_id, t.agency_id, t.provider_id, t.month)
			= (l.organization_id, 'children', '', l.agency_id, l.provider_id, l.month)
		WHERE r.run_id = run
			AND (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id) = (organization, agency, provider, child)
			AND (_is_listed_later.authorization_id IS NULL OR l.authorization_id = _is_listed_later.authorization_id)
			AND l.month > _is_listed_later.month AND (t.taken_at >= r.started_at OR l.month > (r.scope ->> 'to_date')::date));
END;
$$;
COMMENT ON FUNCTION kinderconnect._is_listed_later(bigint, text, text, text, date, text, text) IS
'whether a later month''s list of the provider, which counts in this run, holds the child, with this authorization or, where that is null, any';

-- Lists that have arrived together are taken in together: 30 children are soon
-- written, and to begin a statement takes as long. They are of one month for
-- each provider, so that what the others of a provider list stands.
--
-- All of it is small beside the tables, which were empty when the first night
-- made the plans that its session keeps: rows of a table are sought one by one,
-- by its key and not by another index (LATERAL with LIMIT, or OFFSET 0; ORDER BY
-- what only the key sorts), and rows of the lists by IN, which hashes whatever is
-- switched off. An empty table that is joined is read whole, for each of them.
CREATE FUNCTION kinderconnect._take_children(run bigint, outcomes kinderconnect.call_outcome[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
DECLARE
	taken_at timestamptz := clock_timestamp();
	tickets  bigint[];
	children text[];
	ids      text[];
	begins   date[];
	names    text[];
BEGIN
	outcomes := ARRAY(SELECT o FROM unnest(outcomes) o WHERE kinderconnect._take_list(run, o));

	-- Who is new at a site, or no longer there, is matched anew.
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	FROM (SELECT o.organization_id, o.agency_id, o.provider_id, l.listed, l.kinderconnect_child_id
		FROM unnest(outcomes) o
		CROSS JOIN LATERAL (SELECT date_trunc('month', o.month)::date AS listed, l.kinderconnect_child_id, true AS was
			FROM kinderconnect.listed_authorization l
			WHERE (l.organization_id, l.agency_id, l.provider_id, l.month)
				= (o.organization_id, o.agency_id, o.provider_id, date_trunc('month', o.month)::date)
			UNION ALL
			SELECT date_trunc('month', o.month)::date, r.kinderconnect_child_id, false FROM kinderconnect._children_reply(o.ticket) r) l
		GROUP BY o.organization_id, o.agency_id, o.provider_id, l.listed, l.kinderconnect_child_id
		HAVING bool_and(l.was) OR NOT bool_or(l.was)) l
	-- coalesce, so that it is not all without a link that are read
	WHERE coalesce(c.unlinked_because, '') <> ''
		AND (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (l.organization_id, l.agency_id, l.kinderconnect_child_id)
		AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization o
			WHERE (o.organization_id, o.agency_id, o.provider_id, o.kinderconnect_child_id)
					= (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id)
				AND o.month <> l.listed);

	SELECT array_agg(p.ticket), array_agg(p.kinderconnect_child_id), array_agg(p.authorization_id), array_agg(p.begin_date), array_agg(p.known_as)
	INTO tickets, children, ids, begins, names
	FROM kinderconnect._further_periods(outcomes) p;

	WITH list AS MATERIALIZED (
		SELECT o.ticket, o.organization_id, o.agency_id, o.provider_id, date_trunc('month', o.month)::date AS month FROM unnest(outcomes) o
	), reply AS MATERIALIZED (
		SELECT o.*, r.ordinal, r.part, r.kinderconnect_child_id, r.first_name, r.middle_name, r.last_name, r.suffix, r.date_of_birth, r.subsidized,
			coalesce(p.known_as, r.authorization_id) AS authorization_id, r.begin_date, r.end_date, r.units_of_care, r.days, r.sound, r.unread,
			row_number() OVER w AS place, CASE WHEN r.sound AND (r.end_date, r.units_of_care, r.days) IS DISTINCT FROM
				(first_value(r.end_date) OVER w, first_value(r.units_of_care) OVER w, first_value(r.days) OVER w)
			THEN concat_ws('; ', r.trouble, 'authorization is listed again with the same begin and other terms, and the first counts')
			ELSE r.trouble END AS trouble
		FROM list o CROSS JOIN LATERAL kinderconnect._children_reply(o.ticket) r
		LEFT JOIN unnest(tickets, children, ids, begins, names) p(ticket, kinderconnect_child_id, authorization_id, begin_date, known_as)
			ON (p.ticket, p.kinderconnect_child_id, p.authorization_id, p.begin_date) = (o.ticket, r.kinderconnect_child_id, r.authorization_id, r.begin_date)
		WINDOW w AS (PARTITION BY o.ticket, r.kinderconnect_child_id, r.authorization_id, r.begin_date, r.sound ORDER BY r.ordinal, r.part)
	), changed AS MATERIALIZED (
		-- apart, and one by one: the list is not walked for each authorization
		SELECT s.ticket, s.ordinal, s.part, s.organization_id, s.agency_id, s.provider_id, s.month, s.kinderconnect_child_id, s.authorization_id,
			a.known_from, a.other_days
		FROM (SELECT r.* FROM reply r WHERE r.sound AND r.place = 1) s
		CROSS JOIN LATERAL (SELECT a.known_from, (a.begin_date, a.end_date, a.days) IS DISTINCT FROM (s.begin_date, s.end_date, s.days) AS other_days
			FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
					= (s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.authorization_id)
				AND a.known_until = 'infinity'
				AND (a.begin_date, a.end_date, a.units_of_care, a.days) IS DISTINCT FROM (s.begin_date, s.end_date, s.units_of_care, s.days)
			ORDER BY a.known_from LIMIT 1) a
	), overruled AS MATERIALIZED (
		SELECT c.ticket, c.ordinal, c.part, c.other_days
		FROM changed c
		WHERE kinderconnect._is_listed_later(run, c.organization_id, c.agency_id, c.provider_id, c.month, c.kinderconnect_child_id, c.authorization_id)
	), trouble AS MATERIALIZED (
		SELECT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.month, r.ordinal, r.part, r.kinderconnect_child_id, t.trouble
		FROM reply r
		CROSS JOIN LATERAL (SELECT nullif(concat_ws('; ', r.trouble,
			CASE WHEN ((r.ticket, r.ordinal, r.part) IN (SELECT v.ticket, v.ordinal, v.part FROM overruled v WHERE v.other_days)) IS TRUE
			THEN 'authorization has other days in the list of a later month, which counts' END), '') AS trouble OFFSET 0) t
		WHERE t.trouble IS NOT NULL
	), cleared AS (
		DELETE FROM kinderconnect.list_problem p
		USING list o
		WHERE (p.organization_id, p.operation, p.customer_id, p.agency_id, p.provider_id, p.month)
				= (o.organization_id, 'children', '', o.agency_id, o.provider_id, o.month)
			AND (o.ticket, p.ordinal, p.part) NOT IN (SELECT t.ticket, t.ordinal, t.part FROM trouble t)
	), problems AS (
		INSERT INTO kinderconnect.list_problem AS p (organization_id, operation, agency_id, provider_id, month, ordinal, part, kinderconnect_child_id, problem)
		SELECT t.organization_id, 'children', t.agency_id, t.provider_id, t.month, t.ordinal, t.part, t.kinderconnect_child_id, t.trouble
		FROM trouble t
		ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part) DO UPDATE
		SET kinderconnect_child_id = excluded.kinderconnect_child_id, problem = excluded.problem
		WHERE (p.kinderconnect_child_id, p.problem) IS DISTINCT FROM (excluded.kinderconnect_child_id, excluded.problem)
	), answered AS MATERIALIZED (
		-- of whom the list says that it is not subsidized, or one of the
		-- provider has said so; true where any entry says so
		SELECT r.organization_id, r.agency_id, r.provider_id, r.month, r.kinderconnect_child_id, bool_or(r.subsidized) AS said
		FROM reply r
		WHERE ((r.ticket, r.kinderconnect_child_id) IN (SELECT q.ticket, q.kinderconnect_child_id
			FROM reply q
			LEFT JOIN LATERAL (SELECT true AS known FROM kinderconnect.listed_subsidy s
				WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id)
					= (q.organization_id, q.agency_id, q.kinderconnect_child_id, q.provider_id) LIMIT 1) s ON true
			WHERE q.kinderconnect_child_id IS NOT NULL AND (q.subsidized IS NOT TRUE OR s.known))) IS TRUE
		GROUP BY r.organization_id, r.agency_id, r.provider_id, r.month, r.kinderconnect_child_id
	), answer AS MATERIALIZED (
		-- what cannot be read is as it was, and who is new is not subsidized
		SELECT a.organization_id, a.agency_id, a.provider_id, a.month, a.kinderconnect_child_id, s.subsidized IS NOT NULL AS known,
			coalesce(a.said, s.subsidized, (SELECT true FROM kinderconnect.listed_authorization l
				WHERE (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id)
					= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id) LIMIT 1), false) AS subsidized
		FROM answered a
		LEFT JOIN LATERAL (SELECT s.subsidized FROM kinderconnect.listed_subsidy s
			WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id)
				= (a.organization_id, a.agency_id, a.kinderconnect_child_id, a.provider_id)
			ORDER BY s.month > a.month, abs(s.month - a.month) LIMIT 1) s ON true
	), subsidy AS MATERIALIZED (
		SELECT a.organization_id, a.agency_id, a.provider_id, a.month, a.kinderconnect_child_id, a.subsidized
		FROM answer a WHERE a.known OR NOT a.subsidized
		UNION ALL
		-- so far it was in every month
		SELECT DISTINCT a.organization_id, a.agency_id, a.provider_id, l.month, a.kinderconnect_child_id, true
		FROM answer a
		JOIN kinderconnect.listed_authorization l ON (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id) AND l.month <> a.month
		WHERE NOT a.known AND NOT a.subsidized
	), subsidies AS (
		INSERT INTO kinderconnect.listed_subsidy AS s (organization_id, agency_id, provider_id, month, kinderconnect_child_id, subsidized)
		SELECT n.* FROM subsidy n
		WHERE NOT EXISTS (SELECT FROM kinderconnect.listed_subsidy s
			WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id, s.month, s.subsidized)
				= (n.organization_id, n.agency_id, n.kinderconnect_child_id, n.provider_id, n.month, n.subsidized))
		ON CONFLICT (organization_id, agency_id, kinderconnect_child_id, provider_id, month) DO UPDATE SET subsidized = excluded.subsidized
	), concerned AS MATERIALIZED (
		SELECT DISTINCT n.organization_id, n.agency_id, n.kinderconnect_child_id FROM subsidy n
	), private AS MATERIALIZED (
		-- these children, where no provider has it otherwise
		SELECT l.organization_id, l.agency_id, l.kinderconnect_child_id
		FROM (SELECT DISTINCT ON (l.organization_id, l.agency_id, l.kinderconnect_child_id, l.provider_id) l.*
			FROM (SELECT n.organization_id, n.agency_id, n.kinderconnect_child_id, n.provider_id, n.month, n.subsidized FROM subsidy n
				UNION ALL
				SELECT s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id, s.month, s.subsidized
				FROM concerned c
				JOIN kinderconnect.listed_subsidy s ON (s.organization_id, s.agency_id, s.kinderconnect_child_id)
					= (c.organization_id, c.agency_id, c.kinderconnect_child_id)
				WHERE ((s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id, s.month) IN
					(SELECT n.organization_id, n.agency_id, n.kinderconnect_child_id, n.provider_id, n.month FROM subsidy n)) IS NOT TRUE
				UNION ALL
				SELECT l.organization_id, l.agency_id, l.kinderconnect_child_id, l.provider_id, '-infinity', true
				FROM concerned c
				JOIN kinderconnect.listed_authorization l ON (l.organization_id, l.agency_id, l.kinderconnect_child_id)
					= (c.organization_id, c.agency_id, c.kinderconnect_child_id)
				UNION ALL
				SELECT r.organization_id, r.agency_id, r.kinderconnect_child_id, r.provider_id, '-infinity', true
				FROM reply r
				WHERE ((r.organization_id, r.agency_id, r.kinderconnect_child_id) IN
					(SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id FROM concerned c)) IS TRUE) l
			ORDER BY l.organization_id, l.agency_id, l.kinderconnect_child_id, l.provider_id, l.month DESC) l
		GROUP BY l.organization_id, l.agency_id, l.kinderconnect_child_id
		HAVING NOT bool_or(l.subsidized)
	), children AS (
		INSERT INTO kinderconnect.child AS c
			(organization_id, agency_id, kinderconnect_child_id, first_name, middle_name, last_name, suffix, date_of_birth, subsidized)
		SELECT r.organization_id, r.agency_id, r.kinderconnect_child_id, n.*
		FROM (SELECT DISTINCT ON (r.kinderconnect_child_id, r.agency_id, r.organization_id) r.* FROM reply r
			WHERE r.kinderconnect_child_id IS NOT NULL
			ORDER BY r.kinderconnect_child_id, r.agency_id, r.organization_id, r.ticket DESC, r.ordinal) r
		LEFT JOIN LATERAL (SELECT c.* FROM kinderconnect.child c
			-- by = it would need no sorting, and several indexes might do
			WHERE (c.organization_id, c.agency_id) = (r.organization_id, r.agency_id)
				AND c.kinderconnect_child_id BETWEEN r.kinderconnect_child_id AND r.kinderconnect_child_id
			ORDER BY c.kinderconnect_child_id LIMIT 1) c ON true
		CROSS JOIN LATERAL (SELECT CASE
			WHEN c.organization_id IS NOT NULL AND (c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth) IS DISTINCT FROM
				(r.first_name, r.middle_name, r.last_name, r.suffix, r.date_of_birth)
			THEN kinderconnect._is_listed_later(run, r.organization_id, r.agency_id, r.provider_id, r.month, r.kinderconnect_child_id, NULL)
			END AS is_overruled OFFSET 0) o
		CROSS JOIN LATERAL (SELECT
			CASE WHEN o.is_overruled OR 'first_name' = ANY (r.unread) THEN c.first_name ELSE r.first_name END AS first_name,
			CASE WHEN o.is_overruled OR 'middle_name' = ANY (r.unread) THEN c.middle_name ELSE r.middle_name END AS middle_name,
			CASE WHEN o.is_overruled OR 'last_name' = ANY (r.unread) THEN c.last_name ELSE r.last_name END AS last_name,
			CASE WHEN o.is_overruled OR 'suffix' = ANY (r.unread) THEN c.suffix ELSE r.suffix END AS suffix,
			CASE WHEN o.is_overruled OR 'date_of_birth' = ANY (r.unread) THEN c.date_of_birth ELSE r.date_of_birth END AS date_of_birth,
			((r.organization_id, r.agency_id, r.kinderconnect_child_id) IN (SELECT p.organization_id, p.agency_id, p.kinderconnect_child_id FROM private p)) IS NOT TRUE AS subsidized) n
		-- a conflict would lock, and so write, a row that is as it was
		WHERE c.organization_id IS NULL
			OR (c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth, c.subsidized) IS DISTINCT FROM
				(n.first_name, n.middle_name, n.last_name, n.suffix, n.date_of_birth, n.subsidized)
		ON CONFLICT (organization_id, agency_id, kinderconnect_child_id) DO UPDATE
		SET first_name = excluded.first_name, middle_name = excluded.middle_name, last_name = excluded.last_name,
			suffix = excluded.suffix, date_of_birth = excluded.date_of_birth, subsidized = excluded.subsidized, changed_at = now()
		WHERE (c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth, c.subsidized) IS DISTINCT FROM
			(excluded.first_name, excluded.middle_name, excluded.last_name, excluded.suffix, excluded.date_of_birth, excluded.subsidized)
	), listing AS MATERIALIZED (
		SELECT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.month, r.kinderconnect_child_id, coalesce(r.authorization_id, '') AS authorization_id
		FROM reply r WHERE r.kinderconnect_child_id IS NOT NULL
		UNION ALL
		-- it may be any that the child has, or that has its id
		SELECT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.month, r.kinderconnect_child_id, a.authorization_id
		FROM (SELECT r.* FROM reply r WHERE r.kinderconnect_child_id IS NOT NULL AND NOT r.sound AND r.authorization_id IS DISTINCT FROM '') r
		CROSS JOIN LATERAL (SELECT a.authorization_id FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id)
					= (r.organization_id, r.agency_id, r.provider_id, r.kinderconnect_child_id)
				AND (r.authorization_id IS NULL OR left(a.authorization_id, length(r.authorization_id) + 1) = r.authorization_id || '#')
				AND a.known_until = 'infinity' AND a.begin_date < (r.month + interval '1 month')::date AND (a.end_date >= r.month) IS NOT FALSE
			OFFSET 0) a
		UNION ALL
		-- or any of the provider's, where it may be any child's
		SELECT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.month, a.kinderconnect_child_id, a.authorization_id
		FROM (SELECT DISTINCT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.month,
				CASE WHEN 'authorization_id' = ANY (r.unread) THEN NULL ELSE r.authorization_id END AS authorization_id
			FROM reply r
			WHERE r.kinderconnect_child_id IS NULL AND r.authorization_id IS DISTINCT FROM '') r
		CROSS JOIN LATERAL (SELECT a.kinderconnect_child_id, a.authorization_id FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id) = (r.organization_id, r.agency_id, r.provider_id)
				AND (r.authorization_id IS NULL OR a.authorization_id = r.authorization_id
					OR left(a.authorization_id, length(r.authorization_id) + 1) = r.authorization_id || '#')
				AND a.known_until = 'infinity' AND a.begin_date < (r.month + interval '1 month')::date AND (a.end_date >= r.month) IS NOT FALSE
			OFFSET 0) a
	), was_listed AS MATERIALIZED (
		-- apart, for the planner takes it that IN hashes anew for each list
		SELECT o.*, l.kinderconnect_child_id, l.authorization_id
		FROM list o
		CROSS JOIN LATERAL (SELECT l.kinderconnect_child_id, l.authorization_id FROM kinderconnect.listed_authorization l
			WHERE (l.organization_id, l.agency_id, l.provider_id, l.month) = (o.organization_id, o.agency_id, o.provider_id, o.month) OFFSET 0) l
	), unlisted AS (
		DELETE FROM kinderconnect.listed_authorization l
		USING was_listed w
		WHERE (l.organization_id, l.agency_id, l.provider_id, l.month, l.kinderconnect_child_id, l.authorization_id)
				= (w.organization_id, w.agency_id, w.provider_id, w.month, w.kinderconnect_child_id, w.authorization_id)
			AND (w.ticket, w.kinderconnect_child_id, w.authorization_id) NOT IN
				(SELECT n.ticket, n.kinderconnect_child_id, n.authorization_id FROM listing n)
	), newly_listed AS (
		INSERT INTO kinderconnect.listed_authorization (organization_id, agency_id, provider_id, month, kinderconnect_child_id, authorization_id)
		SELECT n.organization_id, n.agency_id, n.provider_id, n.month, n.kinderconnect_child_id, n.authorization_id FROM listing n
		ON CONFLICT DO NOTHING
	)
	UPDATE kinderconnect.authorization a SET known_until = taken_at, closed_as = 'changed'
	FROM changed s
	WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id, a.known_from)
			= (s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.authorization_id, s.known_from)
		AND ((s.ticket, s.ordinal, s.part) IN (SELECT v.ticket, v.ordinal, v.part FROM overruled v)) IS NOT TRUE;

	-- Apart from the update, so that the old row is closed before the new one
	-- is checked against it.
	INSERT INTO kinderconnect.authorization
		(organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, units_of_care, days, known_from)
	SELECT DISTINCT ON (o.ticket, r.kinderconnect_child_id, r.authorization_id)
		o.organization_id, o.agency_id, o.provider_id, r.kinderconnect_child_id, r.authorization_id,
		r.begin_date, r.end_date, r.units_of_care, r.days, taken_at
	FROM unnest(outcomes) o
	CROSS JOIN LATERAL (SELECT r.kinderconnect_child_id, coalesce(p.known_as, r.authorization_id) AS authorization_id,
			r.begin_date, r.end_date, r.units_of_care, r.days, r.ordinal, r.part
		FROM kinderconnect._children_reply(o.ticket) r
		LEFT JOIN unnest(tickets, children, ids, begins, names) p(ticket, kinderconnect_child_id, authorization_id, begin_date, known_as)
			ON (p.ticket, p.kinderconnect_child_id, p.authorization_id, p.begin_date) = (o.ticket, r.kinderconnect_child_id, r.authorization_id, r.begin_date)
		WHERE r.sound) r
	LEFT JOIN LATERAL (SELECT true AS known FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
					= (o.organization_id, o.agency_id, o.provider_id, r.kinderconnect_child_id, r.authorization_id)
				AND a.known_until = 'infinity'
			ORDER BY a.known_from LIMIT 1) a ON true
	WHERE a.known IS NULL
	ORDER BY o.ticket, r.kinderconnect_child_id, r.authorization_id, r.ordinal, r.part;

	-- now, where it is these providers' error, and not when the run commits
	SET CONSTRAINTS kinderconnect.authorization_no_gap IMMEDIATE;
	SET CONSTRAINTS kinderconnect.authorization_no_gap DEFERRED;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_children(bigint, kinderconnect.call_outcome[]) IS
'takes in lists of children, each of one month and at most one of each provider; all of them or, by an error, none';

-- Only a provider whose every month was taken in this run can say that
-- something is no longer there.
CREATE FUNCTION kinderconnect._close_vanished(run bigint, organization text, from_date date, to_date date) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
AS $$
DECLARE
	closed bigint;
BEGIN
	WITH month AS (
		SELECT m FROM kinderconnect._months(organization, from_date, to_date) m
	), whole AS (
		SELECT l.agency_id, l.provider_id
		FROM kinderconnect.list_state l
		JOIN kinderconnect.run r ON r.run_id = run
		JOIN month ON month.m = l.month
		WHERE l.organization_id = organization AND l.operation = 'children' AND l.taken_at >= r.started_at
		GROUP BY l.agency_id, l.provider_id
		HAVING count(*) = (SELECT count(*) FROM month)
	)
	UPDATE kinderconnect.authorization a SET known_until = clock_timestamp(), closed_as = 'vanished'
	FROM whole w
	WHERE a.organization_id = organization AND a.known_until = 'infinity'
		AND (a.agency_id, a.provider_id) = (w.agency_id, w.provider_id)
		AND EXISTS (SELECT FROM month
			WHERE a.begin_date < (month.m + interval '1 month')::date AND (a.end_date >= month.m) IS NOT FALSE)
		AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN month ON month.m = l.month
			WHERE (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.authorization_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id));
	GET DIAGNOSTICS closed = ROW_COUNT;
	RETURN closed;
END;
$$;
COMMENT ON FUNCTION kinderconnect._close_vanished(bigint, text, date, date) IS
'ends the authorizations that are no longer listed in any month they should touch';
