-- What a run did: counted, told, and an error for whoever watches.

-- What each table says is counted once, for the run's organizations alone. Of
-- the run's own tables the planner may know nothing, and take it that there is
-- one provider; a nested loop would count all of it for each that there is.
-- By index, whatever the planner believes: of a first night it knows nothing.
CREATE FUNCTION kinderconnect._count(run bigint, organizations text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET enable_seqscan = off
	SET jit = off
AS $$
DECLARE
	due boolean := (SELECT r.scope ? 'due' FROM kinderconnect.run r WHERE r.run_id = run);
BEGIN
	INSERT INTO kinderconnect.run_provider AS p
		(organization_id, run_id, agency_id, provider_id, children, matched, sent, accepted, rejected, voided, unanswered, held, ready)
	SELECT s.organization_id, run, s.agency_id, s.provider_id, coalesce(c.children, 0), coalesce(c.matched, 0),
		coalesce(l.sent, 0), coalesce(l.accepted, 0), coalesce(l.rejected, 0), coalesce(l.voided, 0), coalesce(l.unanswered, 0),
		coalesce(d.held, 0), coalesce(d.ready, 0)
	FROM kinderconnect.provider_standing s
	LEFT JOIN (SELECT a.organization_id, a.agency_id, a.provider_id, count(DISTINCT a.kinderconnect_child_id) AS children,
			count(DISTINCT k.kinderconnect_child_id) AS matched
		FROM kinderconnect.authorization a
		LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL AND k.organization_id = ANY (organizations)
			AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
		WHERE a.known_until = 'infinity' AND a.organization_id = ANY (organizations)
		GROUP BY a.organization_id, a.agency_id, a.provider_id) c
		ON (c.organization_id, c.agency_id, c.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
	LEFT JOIN (SELECT l.organization_id, l.agency_id, l.provider_id,
			count(*) FILTER (WHERE l.state IN ('accepted', 'rejected')) AS sent,
			count(*) FILTER (WHERE l.state = 'accepted' AND l.kind <> 'void') AS accepted,
			count(*) FILTER (WHERE l.state = 'accepted' AND l.kind = 'void') AS voided,
			count(*) FILTER (WHERE l.state = 'rejected') AS rejected,
			count(*) FILTER (WHERE l.state IN ('sending', 'unknown')) AS unanswered
		FROM kinderconnect.ledger l WHERE l.run_id = run AND l.organization_id = ANY (organizations)
		GROUP BY l.organization_id, l.agency_id, l.provider_id) l
		ON (l.organization_id, l.agency_id, l.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
	LEFT JOIN (SELECT d.organization_id, d.agency_id, d.provider_id,
			count(*) FILTER (WHERE d.state = 'held') AS held, count(*) FILTER (WHERE d.state = 'ready') AS ready
		FROM kinderconnect.child_day d
		WHERE d.state IN ('held', 'ready') AND d.organization_id = ANY (organizations)
		GROUP BY d.organization_id, d.agency_id, d.provider_id) d
		ON (d.organization_id, d.agency_id, d.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
	WHERE s.organization_id = ANY (organizations)
		AND (NOT due OR EXISTS (SELECT FROM kinderconnect.provider_clock k
			WHERE (k.organization_id, k.agency_id, k.provider_id, k.run_id) = (s.organization_id, s.agency_id, s.provider_id, run)))
	ON CONFLICT (organization_id, run_id, agency_id, provider_id) DO UPDATE
	SET children = excluded.children, matched = excluded.matched, sent = excluded.sent, accepted = excluded.accepted,
		rejected = excluded.rejected, voided = excluded.voided, unanswered = excluded.unanswered, held = excluded.held, ready = excluded.ready;
END;
$$;
COMMENT ON FUNCTION kinderconnect._count(bigint, text[]) IS 'counts what a run did for each provider of some organizations';

CREATE FUNCTION kinderconnect._account(run bigint) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	organizations text[] := ARRAY(SELECT o.organization_id FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.locked);
	failures      bigint;
BEGIN
	-- some at a time, so that memory does not grow with the night
	FOR i IN 1 .. cardinality(organizations) BY 50 LOOP
		PERFORM kinderconnect._count(run, organizations[i : i + 49]);
	END LOOP;

	SELECT (SELECT count(*) FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.sqlstate IS NOT NULL)
		+ (SELECT count(*) FROM kinderconnect.run_provider p WHERE p.run_id = run AND p.sqlstate IS NOT NULL)
	INTO failures;
	PERFORM kinderconnect._keep_time(run);
	UPDATE kinderconnect.run r
	SET status = CASE WHEN r.sqlstate = 'KC403' THEN 'stopped' WHEN r.sqlstate IS NOT NULL OR failures > 0 THEN 'failed' ELSE 'succeeded' END,
		ended_at = clock_timestamp()
	WHERE r.run_id = run;
	PERFORM kinderconnect._tell_end(run);
	RETURN failures;
END;
$$;
COMMENT ON FUNCTION kinderconnect._account(bigint) IS
'counts what a run did for each provider and ends it; answers how many organizations and providers had an error';

-- Everything good is committed by now; the error is for whoever watches the
-- job. It reaches logs, so only what we said ourselves stands in it.
CREATE FUNCTION kinderconnect._report(run bigint, failures bigint) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	first record;
	ended kinderconnect.run;
BEGIN
	SELECT * INTO STRICT ended FROM kinderconnect.run r WHERE r.run_id = run;
	IF ended.status IN ('succeeded', 'stopped') THEN
		RETURN;
	END IF;
	SELECT f.*, count(*) FILTER (WHERE f.sqlstate <> 'KC401') OVER () = 0 AS all_busy INTO first FROM (
		SELECT 1 AS rank, o.organization_id, format('organization "%s"', o.organization_id) AS who, o.sqlstate, o.error, o.hint
		FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.sqlstate IS NOT NULL
		UNION ALL
		SELECT 2, p.organization_id, format('organization "%s", agency "%s", provider "%s"', p.organization_id, p.agency_id, p.provider_id), p.sqlstate, p.error, p.hint
		FROM kinderconnect.run_provider p WHERE p.run_id = run AND p.sqlstate IS NOT NULL) f
	ORDER BY f.rank, f.who LIMIT 1;
	RAISE EXCEPTION USING
		ERRCODE = CASE WHEN ended.sqlstate IS NOT NULL THEN ended.sqlstate WHEN first.all_busy THEN 'KC401' ELSE 'KC402' END,
		MESSAGE = format(CASE ended.sqlstate WHEN 'KC104' THEN 'run %s ended at its deadline, with %s' ELSE 'run %s had %s' END, run, failures || CASE failures WHEN 1 THEN ' failure' ELSE ' failures' END),
		DETAIL = CASE WHEN first.who IS NULL THEN 'No part of it failed.' ELSE format('First: %s: %s (%s).', first.who,
			CASE WHEN starts_with(first.sqlstate, 'KC') THEN first.error ELSE 'an error of the database' END, first.sqlstate) END,
		HINT = concat_ws(' ', CASE WHEN ended.sqlstate IS NULL THEN nullif(first.hint, '') END,
			CASE ended.sqlstate WHEN 'KC104' THEN 'What was not done is done by the next run. The limit is the setting kinderconnect.run_deadline.'
				ELSE 'All else is done and committed; see kinderconnect.run_organization and run_provider.' END);
END;
$$;
COMMENT ON FUNCTION kinderconnect._report(bigint, bigint) IS 'an error that tells the first of a run''s failures, if there were any';
