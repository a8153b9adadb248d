-- Retention: what tells how the work was done goes after a while, what it came
-- to stays. Never deleted are the ledger, the child-days and their steps,
-- authorizations, links and decisions; nor is a call or a run of which
-- anything is still open, or that a night may look at.
--
-- The functions that delete run with the owner's rights: an operator may have
-- old rows purged by the server's settings, and can delete no other.

CREATE INDEX batch_by_end ON kinderconnect.batch (organization_id, ended_at);

-- In SQL, so that a LIMIT on it need not read all of them.
CREATE FUNCTION kinderconnect._old_calls(organization text) RETURNS TABLE (batch_id text, ended_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT b.batch_id, b.ended_at
	FROM kinderconnect.batch b
	WHERE b.organization_id = organization
		AND b.ended_at < now() - make_interval(days => nullif(kinderconnect.setting('keep_attempts_days')::integer, -1))
		AND b.state IN ('answered', 'refused', 'lost', 'dropped')
		AND NOT EXISTS (SELECT FROM kinderconnect.run r WHERE r.run_id = b.run_id AND r.status = 'running')
		AND NOT EXISTS (SELECT FROM unnest(b.record_ids) r(record_id)
			JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (b.organization_id, r.record_id)
			WHERE (l.state IN ('sending', 'unknown', 'not_taken')
					OR l.service_date >= current_date - kinderconnect.setting('horizon_days')::integer - 1));
END;
COMMENT ON FUNCTION kinderconnect._old_calls(text) IS
'batches older than keep_attempts_days whose records are all settled, and of days that no night looks at any more';

CREATE FUNCTION kinderconnect._old_lists(organization text) RETURNS TABLE (month date)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	days integer := kinderconnect.setting('keep_lists_days');
BEGIN
	IF days < 0 THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT DISTINCT l.month
	FROM kinderconnect.list_state l
	WHERE l.organization_id = organization AND isfinite(l.month) AND l.month + interval '1 month' < current_date - days;
END;
$$;
COMMENT ON FUNCTION kinderconnect._old_lists(text) IS 'months that ended more than keep_lists_days ago, of which lists of children are stored';

-- What came of each organization and provider last, and when it last went
-- well, is what health is judged by.
CREATE FUNCTION kinderconnect._old_runs() RETURNS TABLE (run_id bigint, ended_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	days integer := kinderconnect.setting('keep_runs_days');
BEGIN
	IF days < 0 THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT r.run_id, r.ended_at
	FROM kinderconnect.run r
	WHERE r.status <> 'running' AND r.ended_at < now() - make_interval(days => days)
		AND NOT EXISTS (SELECT FROM kinderconnect.batch b WHERE b.run_id = r.run_id)
		AND NOT EXISTS (SELECT FROM kinderconnect.ledger l WHERE l.run_id = r.run_id AND l.state IN ('sending', 'unknown', 'not_taken'))
		AND r.run_id NOT IN (
			SELECT max(o.run_id) FROM kinderconnect.run_organization o WHERE o.locked GROUP BY o.organization_id
			UNION ALL
			SELECT max(o.run_id) FROM kinderconnect.run_organization o WHERE o.locked AND o.sqlstate IS NULL GROUP BY o.organization_id
			UNION ALL
			SELECT max(p.run_id) FROM kinderconnect.run_provider p GROUP BY p.organization_id, p.agency_id, p.provider_id
			UNION ALL
			SELECT max(p.run_id) FROM kinderconnect.run_provider p WHERE p.sqlstate IS NULL GROUP BY p.organization_id, p.agency_id, p.provider_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect._old_runs() IS
'runs older than keep_runs_days of which no call is stored any more, but for the last one, and the last good one, of each organization and provider';

CREATE FUNCTION kinderconnect._purge_calls(organization text, most integer) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	purged bigint;
BEGIN
	IF (most > 0) IS NOT TRUE THEN
		RAISE EXCEPTION 'batch_size must be positive' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	WITH old AS MATERIALIZED (
		SELECT o.batch_id FROM kinderconnect._old_calls(organization) o ORDER BY o.ended_at LIMIT most
	)
	DELETE FROM kinderconnect.batch b USING old WHERE (b.organization_id, b.batch_id) = (organization, old.batch_id);
	GET DIAGNOSTICS purged = ROW_COUNT;
	RETURN purged;
END;
$$;
COMMENT ON FUNCTION kinderconnect._purge_calls(text, integer) IS 'deletes at most so many old batches of an organization; answers how many';

CREATE FUNCTION kinderconnect._purge_lists(organization text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	old    date := (SELECT min(o.month) FROM kinderconnect._old_lists(organization) o);
	purged bigint;
BEGIN
	DELETE FROM kinderconnect.list_problem p WHERE p.organization_id = organization AND p.month = old;
	DELETE FROM kinderconnect.listed_authorization l WHERE l.organization_id = organization AND l.month = old;
	-- the last word about a child stands
	DELETE FROM kinderconnect.listed_subsidy s WHERE s.organization_id = organization AND s.month = old
		AND EXISTS (SELECT FROM kinderconnect.listed_subsidy n
			WHERE (n.organization_id, n.agency_id, n.kinderconnect_child_id, n.provider_id)
				= (s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id) AND n.month > s.month);
	DELETE FROM kinderconnect.list_state l WHERE l.organization_id = organization AND l.month = old;
	GET DIAGNOSTICS purged = ROW_COUNT;
	RETURN purged;
END;
$$;
COMMENT ON FUNCTION kinderconnect._purge_lists(text) IS 'deletes the lists of an organization''s oldest month that is old; answers how many';

CREATE FUNCTION kinderconnect._purge_runs(most integer) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	purged bigint;
BEGIN
	IF (most > 0) IS NOT TRUE THEN
		RAISE EXCEPTION 'batch_size must be positive' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	WITH old AS MATERIALIZED (
		SELECT o.run_id FROM kinderconnect._old_runs() o ORDER BY o.run_id LIMIT most
	), providers AS (
		DELETE FROM kinderconnect.run_provider p USING old WHERE p.run_id = old.run_id
	), organizations AS (
		DELETE FROM kinderconnect.run_organization o USING old WHERE o.run_id = old.run_id
	)
	DELETE FROM kinderconnect.run r USING old WHERE r.run_id = old.run_id;
	GET DIAGNOSTICS purged = ROW_COUNT;
	RETURN purged;
END;
$$;
COMMENT ON FUNCTION kinderconnect._purge_runs(integer) IS 'deletes at most so many old runs, with the parts of organizations and providers; answers how many';

CREATE FUNCTION kinderconnect.purgeable() RETURNS TABLE (what text, setting text, rows bigint, oldest timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT 'attempts', 'kinderconnect.keep_attempts_days', count(*), min(c.ended_at)
	FROM kinderconnect.organization o CROSS JOIN LATERAL kinderconnect._old_calls(o.organization_id) c
	UNION ALL
	SELECT 'lists', 'kinderconnect.keep_lists_days', count(*), min(l.month)::timestamptz
	FROM kinderconnect.organization o CROSS JOIN LATERAL kinderconnect._old_lists(o.organization_id) m
	JOIN kinderconnect.list_state l ON (l.organization_id, l.month) = (o.organization_id, m.month)
	UNION ALL
	SELECT 'runs', 'kinderconnect.keep_runs_days', count(*), min(r.ended_at) FROM kinderconnect._old_runs() r;
END;
$$;
COMMENT ON FUNCTION kinderconnect.purgeable() IS
'what purge() would delete now, without deleting it: how many batches, lists and runs, and of when the oldest is. Runs whose calls go first are counted once those are gone';

CREATE PROCEDURE kinderconnect.purge(batch_size integer DEFAULT 1000)
	LANGUAGE plpgsql
AS $$
DECLARE
	organization pg_catalog.text;
	purged       pg_catalog.int8;
BEGIN
	PERFORM kinderconnect._require_no_transaction('purge');
	COMMIT;
	SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
	FOR organization IN SELECT o.organization_id FROM kinderconnect.organization o ORDER BY o.organization_id LOOP
		LOOP
			purged := kinderconnect._purge_calls(organization, batch_size);
			COMMIT AND CHAIN;
			EXIT WHEN purged OPERATOR(pg_catalog.=) 0;
		END LOOP;
		LOOP
			purged := kinderconnect._purge_lists(organization);
			COMMIT AND CHAIN;
			EXIT WHEN purged OPERATOR(pg_catalog.=) 0;
		END LOOP;
	END LOOP;
	LOOP
		purged := kinderconnect._purge_runs(batch_size);
		COMMIT AND CHAIN;
		EXIT WHEN purged OPERATOR(pg_catalog.=) 0;
	END LOOP;
END;
$$;
COMMENT ON PROCEDURE kinderconnect.purge(integer) IS
'deletes batches, lists and runs that are older than the settings keep_attempts_days, keep_lists_days and keep_runs_days, at most batch_size of each in one transaction. A night without arguments ends with it. The ledger, the child-days and what persons decided stay for ever';
