-- Step 1 of the night: customers, locations and agencies as the service lists
-- them, and the Manage location of each provider.

CREATE TABLE kinderconnect.agency (
	agency_id text COLLATE "C" PRIMARY KEY CHECK (agency_id <> ''),
	name      text,
	state     text CHECK (state ~ '^[A-Z]{2}$'),
	time_zone text
);
COMMENT ON TABLE kinderconnect.agency IS 'who pays and sets the rules; rules of the agency override those of its state';
COMMENT ON COLUMN kinderconnect.agency.agency_id IS 'the agency''s id on the wire';
COMMENT ON COLUMN kinderconnect.agency.name IS 'as listed';
COMMENT ON COLUMN kinderconnect.agency.state IS 'two-letter code';
COMMENT ON COLUMN kinderconnect.agency.time_zone IS 'IANA name, such as America/Chicago, or another zone that this server knows by name or rule; used only where Manage''s location has none';

-- Every clock reads this zone: one that the server does not know would be an
-- error to all organizations. An abbreviation is none: it has no summer, and
-- what it stands for is a setting of the session.
CREATE FUNCTION kinderconnect._check_time_zone() RETURNS trigger
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET TimeZone = 'UTC'
AS $$
BEGIN
	PERFORM set_config('TimeZone', NEW.time_zone, true), now() AT TIME ZONE NEW.time_zone
	WHERE NEW.time_zone ~ '^[[:alpha:]<]';
	IF NOT FOUND THEN
		RAISE invalid_parameter_value;
	END IF;
	RETURN NEW;
EXCEPTION WHEN invalid_parameter_value OR syntax_error OR invalid_datetime_format THEN
	RAISE EXCEPTION 'agency "%" has no known time zone "%"', NEW.agency_id, NEW.time_zone
		USING ERRCODE = 'KC001',
			HINT = 'Give the IANA name, such as America/Chicago: SELECT name FROM pg_timezone_names.';
END;
$$;
COMMENT ON FUNCTION kinderconnect._check_time_zone() IS 'an error (KC001) where an agency''s time zone is none that this server knows';

CREATE TRIGGER check_time_zone BEFORE INSERT OR UPDATE OF time_zone ON kinderconnect.agency
	FOR EACH ROW WHEN (NEW.time_zone IS NOT NULL) EXECUTE FUNCTION kinderconnect._check_time_zone();
COMMENT ON TRIGGER check_time_zone ON kinderconnect.agency IS 'refuses a time zone that this server does not know';

-- No foreign key says so, for the service may list a location before its agency.
CREATE FUNCTION kinderconnect._check_unused() RETURNS trigger
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM kinderconnect.provider p WHERE p.agency_id = OLD.agency_id AND p.enabled) THEN
		RAISE EXCEPTION 'agency "%" has providers', OLD.agency_id
			USING ERRCODE = 'foreign_key_violation', DETAIL = 'Its state''s rules and its time zone are those of their days.',
				HINT = 'Call kinderconnect.disable_provider() for each that kinderconnect.provider has enabled, first.';
	END IF;
	RETURN OLD;
END;
$$;
COMMENT ON FUNCTION kinderconnect._check_unused() IS 'an error where an agency that is to be deleted has providers that are not disabled';

CREATE TRIGGER check_unused BEFORE DELETE ON kinderconnect.agency
	FOR EACH ROW EXECUTE FUNCTION kinderconnect._check_unused();
COMMENT ON TRIGGER check_unused ON kinderconnect.agency IS 'refuses to delete an agency that has providers';

CREATE TABLE kinderconnect.customer (
	organization_id text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	customer_id     text COLLATE "C" NOT NULL,
	name            text,
	status          text,
	listed          boolean NOT NULL DEFAULT true,
	changed_at      timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, customer_id)
);
COMMENT ON TABLE kinderconnect.customer IS 'the customers the service lists under an organization''s group';
COMMENT ON COLUMN kinderconnect.customer.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.customer.customer_id IS 'the service''s id';
COMMENT ON COLUMN kinderconnect.customer.name IS 'as listed';
COMMENT ON COLUMN kinderconnect.customer.status IS 'as listed; other than active: nothing is sent for its locations';
COMMENT ON COLUMN kinderconnect.customer.listed IS 'whether the last list held it';
COMMENT ON COLUMN kinderconnect.customer.changed_at IS 'when any of this last changed';

CREATE TABLE kinderconnect.organization_agency (
	organization_id text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	customer_id     text COLLATE "C" NOT NULL,
	agency_id       text COLLATE "C" NOT NULL,
	listed          boolean NOT NULL DEFAULT true,
	changed_at      timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, customer_id, agency_id)
);
COMMENT ON TABLE kinderconnect.organization_agency IS 'the agencies the service lists for a customer';
COMMENT ON COLUMN kinderconnect.organization_agency.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.organization_agency.customer_id IS 'the customer';
COMMENT ON COLUMN kinderconnect.organization_agency.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.organization_agency.listed IS 'whether the last list held it';
COMMENT ON COLUMN kinderconnect.organization_agency.changed_at IS 'when any of this last changed';

CREATE TABLE kinderconnect.listed_location (
	organization_id text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id       text COLLATE "C" NOT NULL,
	provider_id     text COLLATE "C" NOT NULL,
	customer_id     text COLLATE "C" NOT NULL,
	name            text,
	line1           text,
	city            text,
	state           text,
	zip             text,
	status          text,
	listed          boolean NOT NULL DEFAULT true,
	changed_at      timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, agency_id, provider_id)
);
COMMENT ON TABLE kinderconnect.listed_location IS 'the locations the service lists: a provider ID at an agency each';
COMMENT ON COLUMN kinderconnect.listed_location.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.listed_location.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.listed_location.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.listed_location.customer_id IS 'the customer it belongs to';
COMMENT ON COLUMN kinderconnect.listed_location.name IS 'as listed';
COMMENT ON COLUMN kinderconnect.listed_location.line1 IS 'street, as listed';
COMMENT ON COLUMN kinderconnect.listed_location.city IS 'as listed';
COMMENT ON COLUMN kinderconnect.listed_location.state IS 'as listed';
COMMENT ON COLUMN kinderconnect.listed_location.zip IS 'as listed';
COMMENT ON COLUMN kinderconnect.listed_location.status IS 'as listed; other than active: nothing is sent for it';
COMMENT ON COLUMN kinderconnect.listed_location.listed IS 'whether the last list held it';
COMMENT ON COLUMN kinderconnect.listed_location.changed_at IS 'when any of this last changed';

-- One row a list that we ask for; absent parts of the key are '' and -infinity.
CREATE TABLE kinderconnect.list_state (
	organization_id   text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	operation         text COLLATE "C" NOT NULL,
	customer_id       text COLLATE "C" NOT NULL DEFAULT '',
	agency_id         text COLLATE "C" NOT NULL DEFAULT '',
	provider_id       text COLLATE "C" NOT NULL DEFAULT '',
	month             date NOT NULL DEFAULT '-infinity',
	entries           bigint,
	taken_at          timestamptz,
	set_aside_entries bigint,
	set_aside_at      timestamptz,
	accept_shrink     boolean NOT NULL DEFAULT false,
	PRIMARY KEY (organization_id, operation, customer_id, agency_id, provider_id, month)
);
COMMENT ON TABLE kinderconnect.list_state IS
'the lists of the service, how long each was when it was last taken, and which were set aside because they had shrunk';
COMMENT ON COLUMN kinderconnect.list_state.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.list_state.operation IS 'customers, locations, agencies, children; attendance: Manage''s own, see accept_shrink()';
COMMENT ON COLUMN kinderconnect.list_state.customer_id IS 'of locations and agencies, else empty';
COMMENT ON COLUMN kinderconnect.list_state.agency_id IS 'of children and attendance, else empty';
COMMENT ON COLUMN kinderconnect.list_state.provider_id IS 'of children and attendance, else empty';
COMMENT ON COLUMN kinderconnect.list_state.month IS 'of children, its first day, else -infinity';
COMMENT ON COLUMN kinderconnect.list_state.entries IS 'entries of the list in force';
COMMENT ON COLUMN kinderconnect.list_state.taken_at IS 'when a list was last taken';
COMMENT ON COLUMN kinderconnect.list_state.set_aside_entries IS 'entries of a list set aside and not accepted since';
COMMENT ON COLUMN kinderconnect.list_state.set_aside_at IS 'when it was first set aside';
COMMENT ON COLUMN kinderconnect.list_state.accept_shrink IS 'true: the next list is taken whatever its length';

CREATE TABLE kinderconnect.list_problem (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	operation              text COLLATE "C" NOT NULL,
	customer_id            text COLLATE "C" NOT NULL DEFAULT '',
	agency_id              text COLLATE "C" NOT NULL DEFAULT '',
	provider_id            text COLLATE "C" NOT NULL DEFAULT '',
	month                  date NOT NULL DEFAULT '-infinity',
	ordinal                integer NOT NULL,
	part                   integer NOT NULL DEFAULT 1,
	kinderconnect_child_id text COLLATE "C",
	problem                text NOT NULL,
	PRIMARY KEY (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part)
);
COMMENT ON TABLE kinderconnect.list_problem IS 'records of the lists in force that are not as agreed; each was taken as far as it goes: what cannot be read of a child or an authorization stays as it was known';
COMMENT ON COLUMN kinderconnect.list_problem.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.list_problem.operation IS 'which list, as in list_state';
COMMENT ON COLUMN kinderconnect.list_problem.customer_id IS 'which list, as in list_state';
COMMENT ON COLUMN kinderconnect.list_problem.agency_id IS 'which list, as in list_state';
COMMENT ON COLUMN kinderconnect.list_problem.provider_id IS 'which list, as in list_state';
COMMENT ON COLUMN kinderconnect.list_problem.month IS 'which list, as in list_state';
COMMENT ON COLUMN kinderconnect.list_problem.ordinal IS 'place in the list, from 1';
COMMENT ON COLUMN kinderconnect.list_problem.part IS 'row within that record, from 1';
COMMENT ON COLUMN kinderconnect.list_problem.kinderconnect_child_id IS 'the child, where its id could be read';
COMMENT ON COLUMN kinderconnect.list_problem.problem IS 'what is wrong';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.agency', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.customer', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.organization_agency', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.listed_location', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.list_state', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.list_problem', '');

CREATE FUNCTION kinderconnect._another_night() RETURNS interval
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN interval '6 hours';
COMMENT ON FUNCTION kinderconnect._another_night() IS
'what has been said for so long has been said by another night, and is believed: that a list has shrunk, that a child has gone from Manage';

-- A list that has suddenly shrunk would close authorizations that may well
-- stand: it waits for a person, or for another night that says the same. An
-- empty one does so however short the last one was: most organizations have
-- few customers, agencies and locations, and without them a night would do
-- nothing and call that success.
CREATE FUNCTION kinderconnect._take_list(run bigint, outcome kinderconnect.call_outcome) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	last       kinderconnect.list_state;
	take       boolean;
	message    text;
BEGIN
	INSERT INTO kinderconnect.list_state (organization_id, operation, customer_id, agency_id, provider_id, month)
	VALUES (outcome.organization_id, outcome.operation, coalesce(outcome.customer_id, ''), coalesce(outcome.agency_id, ''),
		coalesce(outcome.provider_id, ''), coalesce(date_trunc('month', outcome.month)::date, '-infinity'))
	ON CONFLICT DO NOTHING;
	SELECT * INTO STRICT last FROM kinderconnect.list_state l
	WHERE (l.organization_id, l.operation, l.customer_id, l.agency_id, l.provider_id, l.month)
		= (outcome.organization_id, outcome.operation, coalesce(outcome.customer_id, ''), coalesce(outcome.agency_id, ''),
			coalesce(outcome.provider_id, ''), coalesce(date_trunc('month', outcome.month)::date, '-infinity'));

	take := last.entries IS NULL OR last.accept_shrink
		OR last.entries < kinderconnect.setting('shrink_floor')::bigint AND outcome.entries > 0
		OR outcome.entries * 100 >= last.entries * kinderconnect.setting('shrink_percent')::bigint
		OR (last.set_aside_entries = outcome.entries AND last.set_aside_at < now() - kinderconnect._another_night()) IS TRUE;

	UPDATE kinderconnect.list_state l
	SET entries = CASE WHEN take THEN outcome.entries ELSE l.entries END,
		taken_at = CASE WHEN take THEN now() ELSE l.taken_at END,
		accept_shrink = false,
		set_aside_entries = CASE WHEN NOT take THEN outcome.entries END,
		set_aside_at = CASE WHEN take THEN NULL WHEN l.set_aside_entries = outcome.entries THEN l.set_aside_at ELSE now() END
	WHERE (l.organization_id, l.operation, l.customer_id, l.agency_id, l.provider_id, l.month)
		= (last.organization_id, last.operation, last.customer_id, last.agency_id, last.provider_id, last.month);

	IF NOT take THEN
		message := format('list of %s has shrunk from %s to %s entries and is set aside', outcome.operation, last.entries, outcome.entries);
		IF outcome.provider_id IS NULL THEN
			PERFORM kinderconnect._fail_organization(run, outcome.organization_id, false, 'KC301', message,
				'If that is right, call kinderconnect.accept_shrink(); another night that says the same takes it too.');
		ELSE
			PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, false, 'KC301', message,
				'If that is right, call kinderconnect.accept_shrink(); another night that says the same takes it too.');
		END IF;
	END IF;
	RETURN take;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_list(bigint, kinderconnect.call_outcome) IS
'whether a list that has arrived replaces the one in force, by the settings shrink_floor and shrink_percent; notes what it decided';

CREATE FUNCTION kinderconnect.accept_shrink(organization_id text, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	accepted bigint;
BEGIN
	PERFORM kinderconnect._require_organization(accept_shrink.organization_id);
	PERFORM kinderconnect._require_provider(accept_shrink.organization_id, accept_shrink.agency_id, accept_shrink.provider_id);
	UPDATE kinderconnect.list_state l SET accept_shrink = true
	WHERE l.organization_id = accept_shrink.organization_id
		AND l.set_aside_at IS NOT NULL
		AND (accept_shrink.agency_id IS NULL OR l.agency_id = accept_shrink.agency_id)
		AND (accept_shrink.provider_id IS NULL OR l.provider_id = accept_shrink.provider_id);
	GET DIAGNOSTICS accepted = ROW_COUNT;
	RETURN accepted;
END;
$$;
COMMENT ON FUNCTION kinderconnect.accept_shrink(text, text, text) IS
'the lists that were set aside because they had shrunk are taken by the next run, and the days held as source_shrank taken back, of an organization, or of one agency or provider of it; answers how many lists, the attendance of a provider counting as one';

CREATE FUNCTION kinderconnect._take_customers(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT kinderconnect._take_list(run, outcome) THEN
		RETURN;
	END IF;
	WITH reply AS MATERIALIZED (
		SELECT * FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_customer)
	), cleared AS (
		DELETE FROM kinderconnect.list_problem p
		WHERE p.organization_id = outcome.organization_id AND p.operation = 'customers'
			AND NOT EXISTS (SELECT FROM reply r WHERE r.ordinal = p.ordinal AND r.problem IS NOT NULL)
	), problems AS (
		INSERT INTO kinderconnect.list_problem AS p (organization_id, operation, ordinal, problem)
		SELECT outcome.organization_id, 'customers', r.ordinal, r.problem FROM reply r WHERE r.problem IS NOT NULL
		ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part) DO UPDATE
		SET problem = excluded.problem
	), gone AS (
		UPDATE kinderconnect.customer c SET listed = false, changed_at = now()
		WHERE c.organization_id = outcome.organization_id AND c.listed
			AND NOT EXISTS (SELECT FROM reply r WHERE r.customer_id = c.customer_id)
	)
	INSERT INTO kinderconnect.customer AS c (organization_id, customer_id, name, status)
	SELECT DISTINCT ON (r.customer_id) outcome.organization_id, r.customer_id, r.name, r.status
	FROM reply r WHERE r.customer_id IS NOT NULL
	ORDER BY r.customer_id, r.ordinal
	ON CONFLICT (organization_id, customer_id) DO UPDATE
	SET name = excluded.name, status = excluded.status, listed = true, changed_at = now()
	WHERE (c.name, c.status, c.listed) IS DISTINCT FROM (excluded.name, excluded.status, true);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_customers(bigint, kinderconnect.call_outcome) IS 'takes in a list of customers';

CREATE FUNCTION kinderconnect._take_agencies(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT kinderconnect._take_list(run, outcome) THEN
		RETURN;
	END IF;
	WITH reply AS MATERIALIZED (
		SELECT r.ordinal, r.agency_id, r.name, upper(btrim(r.state)) AS state, r.time_zone,
			coalesce(r.problem, CASE
				WHEN upper(btrim(r.state)) !~ '^[A-Z]{2}$' THEN 'state is not a two-letter code'
				WHEN r.time_zone IS NOT NULL AND kinderconnect._zone(r.time_zone) IS NULL THEN 'time zone is unknown' END) AS problem
		FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_agency) r
	), cleared AS (
		DELETE FROM kinderconnect.list_problem p
		WHERE p.organization_id = outcome.organization_id AND p.operation = 'agencies' AND p.customer_id = outcome.customer_id
			AND NOT EXISTS (SELECT FROM reply r WHERE r.ordinal = p.ordinal AND r.problem IS NOT NULL)
	), problems AS (
		INSERT INTO kinderconnect.list_problem AS p (organization_id, operation, customer_id, ordinal, problem)
		SELECT outcome.organization_id, 'agencies', outcome.customer_id, r.ordinal, r.problem FROM reply r WHERE r.problem IS NOT NULL
		ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part) DO UPDATE
		SET problem = excluded.problem
	), agencies AS (
		INSERT INTO kinderconnect.agency AS a (agency_id, name, state, time_zone)
		SELECT r.agency_id, r.name, r.state, r.time_zone
		FROM (SELECT DISTINCT ON (r.agency_id) r.agency_id, r.name,
				CASE WHEN r.state ~ '^[A-Z]{2}$' THEN r.state END AS state, kinderconnect._zone(r.time_zone) AS time_zone
			FROM reply r WHERE r.agency_id IS NOT NULL
			ORDER BY r.agency_id, r.ordinal) r
		-- a conflict would lock the row, which other sessions' organizations have too
		WHERE NOT EXISTS (SELECT FROM kinderconnect.agency a WHERE a.agency_id = r.agency_id
			AND (a.name, a.state, a.time_zone) IS NOT DISTINCT FROM
				(coalesce(r.name, a.name), coalesce(r.state, a.state), coalesce(r.time_zone, a.time_zone)))
		ON CONFLICT (agency_id) DO UPDATE
		SET name = coalesce(excluded.name, a.name), state = coalesce(excluded.state, a.state), time_zone = coalesce(excluded.time_zone, a.time_zone)
		WHERE (a.name, a.state, a.time_zone) IS DISTINCT FROM
			(coalesce(excluded.name, a.name), coalesce(excluded.state, a.state), coalesce(excluded.time_zone, a.time_zone))
	), gone AS (
		UPDATE kinderconnect.organization_agency o SET listed = false, changed_at = now()
		WHERE o.organization_id = outcome.organization_id AND o.customer_id = outcome.customer_id AND o.listed
			AND NOT EXISTS (SELECT FROM reply r WHERE r.agency_id = o.agency_id)
	)
	INSERT INTO kinderconnect.organization_agency AS o (organization_id, customer_id, agency_id)
	SELECT DISTINCT outcome.organization_id, outcome.customer_id, r.agency_id FROM reply r WHERE r.agency_id IS NOT NULL
	ON CONFLICT (organization_id, customer_id, agency_id) DO UPDATE
	SET listed = true, changed_at = now() WHERE NOT o.listed;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_agencies(bigint, kinderconnect.call_outcome) IS 'takes in a customer''s list of agencies';

CREATE FUNCTION kinderconnect._take_locations(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT kinderconnect._take_list(run, outcome) THEN
		RETURN;
	END IF;
	WITH reply AS MATERIALIZED (
		SELECT * FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_location)
	), cleared AS (
		DELETE FROM kinderconnect.list_problem p
		WHERE p.organization_id = outcome.organization_id AND p.operation = 'locations' AND p.customer_id = outcome.customer_id
			AND NOT EXISTS (SELECT FROM reply r WHERE r.ordinal = p.ordinal AND r.problem IS NOT NULL)
	), problems AS (
		INSERT INTO kinderconnect.list_problem AS p (organization_id, operation, customer_id, ordinal, problem)
		SELECT outcome.organization_id, 'locations', outcome.customer_id, r.ordinal, r.problem FROM reply r WHERE r.problem IS NOT NULL
		ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part) DO UPDATE
		SET problem = excluded.problem
	), gone AS (
		UPDATE kinderconnect.listed_location l SET listed = false, changed_at = now()
		WHERE l.organization_id = outcome.organization_id AND l.customer_id = outcome.customer_id AND l.listed
			AND NOT EXISTS (SELECT FROM reply r WHERE (r.agency_id, r.provider_id) = (l.agency_id, l.provider_id))
	)
	INSERT INTO kinderconnect.listed_location AS l
		(organization_id, agency_id, provider_id, customer_id, name, line1, city, state, zip, status)
	SELECT DISTINCT ON (r.agency_id, r.provider_id) outcome.organization_id, r.agency_id, r.provider_id, outcome.customer_id,
		r.name, r.line1, r.city, r.state, r.zip, r.status
	FROM reply r WHERE r.agency_id IS NOT NULL AND r.provider_id IS NOT NULL
	ORDER BY r.agency_id, r.provider_id, r.ordinal
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET customer_id = excluded.customer_id, name = excluded.name, line1 = excluded.line1, city = excluded.city,
		state = excluded.state, zip = excluded.zip, status = excluded.status, listed = true, changed_at = now()
	WHERE (l.customer_id, l.name, l.line1, l.city, l.state, l.zip, l.status, l.listed) IS DISTINCT FROM
		(excluded.customer_id, excluded.name, excluded.line1, excluded.city, excluded.state, excluded.zip, excluded.status, true);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_locations(bigint, kinderconnect.call_outcome) IS 'takes in a customer''s list of locations';

-- The locations of Manage that could be a provider's, by stored id, else by
-- equal folded name where the ZIPs do not contradict.
CREATE FUNCTION kinderconnect._location_candidates(organization text)
	RETURNS TABLE (agency_id text, provider_id text, location_id text, by_id boolean)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	in_manage text COLLATE "default" := organization;
BEGIN
	IF kinderconnect._is_bound('provider_id') THEN
		RETURN QUERY
		SELECT DISTINCT m.agency_id, m.provider_id, m.location_id, true
		FROM kinderconnect.manage_provider_id m
		WHERE m.organization_id = in_manage;
	END IF;
	RETURN QUERY
	SELECT l.agency_id, l.provider_id, m.location_id, false
	FROM kinderconnect.listed_location l
	JOIN kinderconnect.manage_location m ON m.organization_id = in_manage AND kinderconnect.fold(m.name) = kinderconnect.fold(l.name)
		AND (nullif(btrim(l.zip), '') IS NULL OR nullif(btrim(m.zip), '') IS NULL OR left(btrim(l.zip), 5) = left(btrim(m.zip), 5))
	WHERE l.organization_id = organization AND kinderconnect.fold(l.name) <> '';
END;
$$;
COMMENT ON FUNCTION kinderconnect._location_candidates(text) IS
'Manage locations that could be a provider''s, by stored id or by name and ZIP';

-- Adopts what the service lists, and finds the location of every provider
-- that has none: a stored id wins, and only a single candidate is taken.
CREATE FUNCTION kinderconnect._match_providers(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured)
	SELECT l.organization_id, l.agency_id, l.provider_id, false
	FROM kinderconnect.listed_location l
	JOIN kinderconnect.organization o ON o.organization_id = l.organization_id AND o.adopt_providers
	WHERE l.organization_id = organization AND l.listed
	ON CONFLICT DO NOTHING;

	WITH candidate AS (
		SELECT c.agency_id, c.provider_id, min(c.location_id) AS location_id
		FROM (SELECT c.*, bool_or(c.by_id) OVER (PARTITION BY c.agency_id, c.provider_id) AS id_known
			FROM kinderconnect._location_candidates(organization) c) c
		WHERE c.by_id = c.id_known
		GROUP BY c.agency_id, c.provider_id
		HAVING count(DISTINCT c.location_id) = 1
	)
	UPDATE kinderconnect.provider p SET found_location_id = f.location_id
	FROM (SELECT p.agency_id, p.provider_id, c.location_id
		FROM kinderconnect.provider p
		LEFT JOIN candidate c ON (c.agency_id, c.provider_id) = (p.agency_id, p.provider_id)
		WHERE p.organization_id = organization AND p.configured_location_id IS NULL) f
	WHERE p.organization_id = organization AND (p.agency_id, p.provider_id) = (f.agency_id, f.provider_id)
		AND p.found_location_id IS DISTINCT FROM f.location_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._match_providers(text) IS
'adopts the providers the service lists, and finds the Manage location of each that nobody configured';
