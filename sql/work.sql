-- What a run has to do next, as it asks itself on the way.

-- Asking and sending stop where an organization is halted; what only this
-- database does goes on, so that its days have their rows all the same.
CREATE FUNCTION kinderconnect._locked(run bigint) RETURNS SETOF text
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.organization_id FROM kinderconnect.run_organization o
	WHERE o.run_id = run AND o.locked
	ORDER BY o.organization_id;
END;
COMMENT ON FUNCTION kinderconnect._locked(bigint) IS 'organizations of a run';

CREATE FUNCTION kinderconnect._at_work(run bigint) RETURNS SETOF text
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.organization_id FROM kinderconnect.run_organization o
	WHERE o.run_id = run AND o.locked AND NOT o.halted
	ORDER BY o.organization_id;
END;
COMMENT ON FUNCTION kinderconnect._at_work(bigint) IS 'organizations of a run that are not halted';

CREATE FUNCTION kinderconnect._left_under_way(run bigint) RETURNS SETOF text
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT o.organization_id FROM kinderconnect.run_organization o
	WHERE o.run_id = run AND o.locked
		AND (EXISTS (SELECT FROM kinderconnect.batch b WHERE b.organization_id = o.organization_id AND b.state IN ('waiting', 'sending'))
			OR EXISTS (SELECT FROM kinderconnect.ledger l WHERE l.organization_id = o.organization_id AND l.state = 'sending'))
	ORDER BY o.organization_id;
END;
COMMENT ON FUNCTION kinderconnect._left_under_way(bigint) IS 'organizations of a run of which a run that died left anything under way';

CREATE FUNCTION kinderconnect._customers_to_ask(run bigint) RETURNS TABLE (organization_id text, customer_id text, operation text)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT c.organization_id, c.customer_id, o.operation
	FROM kinderconnect._at_work(run) w(organization_id)
	JOIN kinderconnect.customer c ON c.organization_id = w.organization_id AND c.listed
		AND coalesce(lower(btrim(c.status)), 'active') = 'active'
	CROSS JOIN (VALUES ('agencies'), ('locations')) o(operation)
	WHERE kinderconnect._speaks(c.organization_id, o.operation)
	ORDER BY c.organization_id, c.customer_id, o.operation;
END;
COMMENT ON FUNCTION kinderconnect._customers_to_ask(bigint) IS 'the lists of agencies and locations to ask for';

CREATE FUNCTION kinderconnect._months_to_ask(run bigint, agency text, provider text, from_date date, to_date date)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, month date)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT p.organization_id, p.agency_id, p.provider_id, m.month
	FROM kinderconnect._at_work(run) w(organization_id)
	JOIN kinderconnect.provider_standing p ON p.organization_id = w.organization_id AND p.barred IS NULL
	JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND k.run_id = run
	CROSS JOIN LATERAL kinderconnect._months(p.organization_id, from_date, to_date) m(month)
	WHERE (agency IS NULL OR p.agency_id = agency) AND (provider IS NULL OR p.provider_id = provider)
	ORDER BY m.month DESC, p.organization_id, p.agency_id, p.provider_id;
END;
COMMENT ON FUNCTION kinderconnect._months_to_ask(bigint, text, text, date, date) IS 'the lists of children to ask for, of the last month first';

CREATE FUNCTION kinderconnect._sends(run bigint, organization text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.sends AND NOT r.scope ? 'sends'
	FROM kinderconnect.organization o, kinderconnect.run r
	WHERE o.organization_id = organization AND r.run_id = run;
END;
COMMENT ON FUNCTION kinderconnect._sends(bigint, text) IS 'whether a run may send for an organization';

CREATE FUNCTION kinderconnect._has_unknown(run bigint) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.ledger l ON l.organization_id = w.organization_id AND l.state = 'unknown');
END;
COMMENT ON FUNCTION kinderconnect._has_unknown(bigint) IS 'whether any record of a run''s organizations is unknown';

-- Most nights have none, and to look takes less time than to plan all of this.
CREATE FUNCTION kinderconnect._unknown_to_resolve(run bigint)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, from_date date, to_date date, can_ask boolean)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	IF NOT kinderconnect._has_unknown(run) AND NOT EXISTS (SELECT FROM kinderconnect._at_work(run) w(organization_id)
			JOIN kinderconnect.child_link k ON k.organization_id = w.organization_id AND k.ended_at IS NOT NULL AND k.end_reason LIKE 'merged into %') THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT d.organization_id, d.agency_id, d.provider_id, min(d.service_date), max(d.service_date),
		kinderconnect._speaks(d.organization_id, 'readback')
	FROM (SELECT l.organization_id, l.agency_id, l.provider_id, l.service_date
		FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.ledger l ON l.organization_id = w.organization_id AND l.state = 'unknown'
		WHERE kinderconnect._sends(run, l.organization_id) OR kinderconnect._speaks(l.organization_id, 'readback')
		UNION ALL
		SELECT w.organization_id, m.agency_id, m.provider_id, m.service_date
		FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.run r ON r.run_id = run
		CROSS JOIN LATERAL kinderconnect._merged_days(w.organization_id) m
		WHERE kinderconnect._speaks(w.organization_id, 'readback')
			AND m.agency_id = coalesce(r.scope ->> 'agency_id', m.agency_id) AND m.provider_id = coalesce(r.scope ->> 'provider_id', m.provider_id)
			AND m.service_date BETWEEN coalesce((r.scope ->> 'from_date')::date, '-infinity') AND coalesce((r.scope ->> 'to_date')::date, 'infinity')) d
	GROUP BY d.organization_id, d.agency_id, d.provider_id
	ORDER BY d.organization_id, d.agency_id, d.provider_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._unknown_to_resolve(bigint) IS
'providers with records whose answer was lost, or with days held as merged_child of which the service can be asked, and the dates these span';

CREATE FUNCTION kinderconnect._tries_on(run bigint, organization text, agency text, provider text, since timestamptz) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	lost record;
BEGIN
	lost := kinderconnect._lost_so_far(run, organization, agency, provider);
	RETURN lost.answered AND NOT lost.enough
		AND EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id, b.run_id) = (organization, agency, provider, run)
				AND b.created_at >= (SELECT r.started_at FROM kinderconnect.run r WHERE r.run_id = run)
				AND b.state = 'lost' AND b.ended_at > since);
END;
$$;
COMMENT ON FUNCTION kinderconnect._tries_on(bigint, text, text, text, timestamptz) IS
'whether the answer to a batch of a provider was lost since, and the service answers others in this run: a smaller one is tried';

-- A provider that is barred is sent nothing new; what waits of it stays.
CREATE FUNCTION kinderconnect._providers_to_send(run bigint, agency text, provider text, from_date date, to_date date, together integer)
	RETURNS TABLE (organizations text[], agencies text[], providers text[])
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT array_agg(s.organization_id ORDER BY s.turn), array_agg(s.agency_id ORDER BY s.turn), array_agg(s.provider_id ORDER BY s.turn)
	FROM (SELECT p.organization_id, p.agency_id, p.provider_id,
			row_number() OVER (ORDER BY p.organization_id, p.agency_id, p.provider_id) - 1 AS turn
		FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.provider_standing p ON p.organization_id = w.organization_id AND p.barred IS NULL
		JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND k.run_id = run
		WHERE kinderconnect._sends(run, p.organization_id)
			AND (agency IS NULL OR p.agency_id = agency) AND (provider IS NULL OR p.provider_id = provider)
			AND (EXISTS (SELECT FROM kinderconnect.child_day d
					WHERE (d.organization_id, d.agency_id, d.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND d.state = 'ready'
						AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity'))
				OR EXISTS (SELECT FROM kinderconnect.batch b
					WHERE (b.organization_id, b.agency_id, b.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND b.state = 'waiting'))) s
	GROUP BY s.turn / together
	ORDER BY s.turn / together;
END;
COMMENT ON FUNCTION kinderconnect._providers_to_send(bigint, text, text, date, date, integer) IS
'providers that have something to send, so many in a row at most: their organizations, agencies and ids in three parallel arrays';

CREATE FUNCTION kinderconnect._has_more(organization text, agency text, provider text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider) AND b.state = 'waiting')
		OR EXISTS (SELECT FROM kinderconnect.child_day d
			WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, agency, provider) AND d.state = 'ready');
END;
$$;
COMMENT ON FUNCTION kinderconnect._has_more(text, text, text) IS 'whether batches of a provider wait, or days of it are ready';
