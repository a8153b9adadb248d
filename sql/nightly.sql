-- The night. The procedure commits as it goes, so it can have no SET clause:
-- it only walks the steps, and every name in it is qualified. What is done in
-- a step is done by functions, each the error boundary of an organization, a
-- provider or a batch.

-- By a digest of the name, so that sessions that begin at different moments
-- agree without a word whose each is, whatever is enabled meanwhile.
CREATE FUNCTION kinderconnect._in_shard(organization text, shard integer, shards integer) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN shards IS NULL OR mod(hashtextextended(organization, 0) & 9223372036854775807, shards::bigint) = shard;
COMMENT ON FUNCTION kinderconnect._in_shard(text, integer, integer) IS 'whether an organization is of this one of so many shards; null: there are none';

CREATE FUNCTION kinderconnect._require_shard(shard integer, shards integer, organization text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF num_nonnulls(shard, shards) = 1 THEN
		RAISE EXCEPTION 'shard and shards must be given together' USING ERRCODE = 'invalid_parameter_value', HINT = 'For example shard => 0, shards => 2 in one session and shard => 1, shards => 2 in another.';
	ELSIF shards < 1 OR shards > 64 THEN
		RAISE EXCEPTION 'shards % is not between 1 and 64', shards USING ERRCODE = 'invalid_parameter_value';
	ELSIF shard < 0 OR shard >= shards THEN
		RAISE EXCEPTION 'shard % is not between 0 and %', shard, shards - 1 USING ERRCODE = 'invalid_parameter_value', HINT = 'Shards count from 0.';
	ELSIF shard IS NOT NULL AND organization IS NOT NULL THEN
		RAISE EXCEPTION 'shard cannot be given with organization_id' USING ERRCODE = 'invalid_parameter_value', HINT = 'Shards divide all organizations; one alone needs none.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_shard(integer, integer, text) IS 'an error unless shard is one of shards, counted from 0, or both are null';

CREATE FUNCTION kinderconnect._begin_run(organization text, agency text, provider text, from_date date, to_date date, only_due boolean,
		shard integer DEFAULT NULL, shards integer DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	run   bigint;
	dead  bigint;
	sends boolean;
BEGIN
	PERFORM kinderconnect._require_shard(shard, shards, organization);
	-- decided here, once: who is let send while this run is under way waits for the next
	sends := EXISTS (SELECT FROM kinderconnect.organization o
		WHERE o.enabled AND o.sends AND (organization IS NULL OR o.organization_id = organization)
			AND kinderconnect._in_shard(o.organization_id, shard, shards));
	IF sends THEN
		PERFORM kinderconnect._require_armed();
	END IF;
	PERFORM kinderconnect._require_ordinary_rights();
	PERFORM kinderconnect._require_not_stopped();
	IF organization IS NOT NULL THEN
		PERFORM kinderconnect._require_organization(organization);
		IF EXISTS (SELECT FROM kinderconnect.organization o WHERE o.organization_id = organization AND NOT o.enabled) THEN
			RAISE EXCEPTION 'integration of organization "%" is disabled', organization
				USING ERRCODE = 'KC001', HINT = 'Call kinderconnect.enable_integration().';
		END IF;
	ELSIF provider IS NOT NULL OR agency IS NOT NULL THEN
		RAISE EXCEPTION 'agency_id and provider_id need organization_id' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM kinderconnect._require_provider(organization, agency, provider);
	PERFORM kinderconnect._require_period(from_date, to_date);
	PERFORM kinderconnect._require_manage();

	INSERT INTO kinderconnect.run (scope)
	VALUES (jsonb_strip_nulls(jsonb_build_object('organization_id', organization, 'agency_id', agency, 'provider_id', provider,
		'from_date', from_date, 'to_date', to_date, 'due', nullif(only_due, false), 'sends', nullif(sends, true), 'shard', shard, 'shards', shards)))
	RETURNING run_id INTO run;

	INSERT INTO kinderconnect.run_organization (organization_id, run_id, locked, halted, sqlstate, error, hint)
	SELECT o.organization_id, run, l.locked, NOT l.locked,
		CASE WHEN NOT l.locked THEN 'KC401' END,
		CASE WHEN NOT l.locked THEN 'another run is busy with this organization' || coalesce(
			(SELECT format(': run %s of %s, process %s, since %s', b.run_id, b.started_by, b.pid, to_char(b.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'))
				FROM kinderconnect.run_organization ro JOIN kinderconnect.run b ON b.run_id = ro.run_id
				WHERE ro.organization_id = o.organization_id AND ro.locked AND b.status = 'running' AND b.run_id <> run
				ORDER BY b.run_id DESC LIMIT 1), '') END,
		CASE WHEN NOT l.locked THEN 'Let it end; it does all that this one would have done.' END
	FROM (SELECT o.* FROM kinderconnect.organization o
		WHERE o.enabled AND (organization IS NULL OR o.organization_id = organization) AND kinderconnect._in_shard(o.organization_id, shard, shards)
			AND (NOT only_due OR o.organization_id IN (SELECT d.organization_id FROM kinderconnect._due_now() d))
		ORDER BY o.organization_id) o
	CROSS JOIN LATERAL (SELECT kinderconnect._lock(o.organization_id) AS locked) l;

	-- dead: whose process is gone, or whose lock is ours now
	FOR dead IN UPDATE kinderconnect.run r SET status = 'interrupted', ended_at = clock_timestamp()
	WHERE r.status = 'running' AND r.run_id <> run
		AND (NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = r.pid AND a.pid <> pg_backend_pid())
			OR EXISTS (SELECT FROM kinderconnect.run_organization theirs
				JOIN kinderconnect.run_organization ours ON ours.organization_id = theirs.organization_id AND ours.run_id = run
				WHERE theirs.run_id = r.run_id AND theirs.locked AND ours.locked))
		RETURNING r.run_id
	LOOP
		PERFORM kinderconnect._tell_dead(dead);
	END LOOP;

	PERFORM kinderconnect._take_part(run);
	PERFORM kinderconnect._tell_begin(run);
	RETURN run;
END;
$$;
COMMENT ON FUNCTION kinderconnect._begin_run(text, text, text, date, date, boolean, integer, integer) IS
'checks the scope, writes the run down and takes the lock of each of its organizations; answers its id';

CREATE FUNCTION kinderconnect._step(run bigint, step text) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	UPDATE kinderconnect.run r SET step = _step.step, step_at = clock_timestamp() WHERE r.run_id = run;
END;
COMMENT ON FUNCTION kinderconnect._step(bigint, text) IS 'notes where a run is';

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

CREATE FUNCTION kinderconnect._detail(sqlstate text, detail text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN starts_with(sqlstate, 'KC') THEN nullif(detail, '') END;
COMMENT ON FUNCTION kinderconnect._detail(text, text) IS 'the detail of an error of our own; that of another may quote a row';

CREATE FUNCTION kinderconnect._is_busy() RETURNS boolean
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
	RETURN kinderconnect._pending() > 0;
COMMENT ON FUNCTION kinderconnect._is_busy() IS 'whether any call is still to be collected';

CREATE FUNCTION kinderconnect._has_unknown(run bigint) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.ledger l ON l.organization_id = w.organization_id AND l.state = 'unknown');
END;
COMMENT ON FUNCTION kinderconnect._has_unknown(bigint) IS 'whether any record of a run''s organizations is unknown';

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

-- An endpoint or dialect that cannot work halts its organization, not the
-- night; what is halted is asked no more.
CREATE FUNCTION kinderconnect._ask(run bigint, operation text, organization text, agency text DEFAULT NULL, provider text DEFAULT NULL,
		customer text DEFAULT NULL, month date DEFAULT NULL, from_date date DEFAULT NULL, to_date date DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	IF EXISTS (SELECT FROM kinderconnect.run_organization o WHERE (o.organization_id, o.run_id) = (organization, run) AND o.halted) THEN
		RETURN;
	END IF;
	PERFORM kinderconnect._start(operation, organization, agency, provider, customer, month, from_date, to_date);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	PERFORM kinderconnect._fail_organization(run, organization, true, state, concat_ws(': ', said, kinderconnect._detail(state, detail)), hint);
END;
$$;
COMMENT ON FUNCTION kinderconnect._ask(bigint, text, text, text, text, text, date, date, date) IS
'starts a reading call; one that cannot be started halts its organization';

CREATE FUNCTION kinderconnect._prepare(run bigint, INOUT organizations text[], agencies text[], providers text[], from_date date, to_date date,
		OUT batches text[])
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	unit   record;
	ready  record;
	units  text[] := organizations;
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	BEGIN
		SELECT coalesce(array_agg(n.organization_id), '{}') AS organizations, coalesce(array_agg(n.batch_id), '{}') AS batches INTO ready
		FROM kinderconnect._next_batches(run, units, agencies, providers, from_date, to_date) n;
		organizations := ready.organizations;
		batches := ready.batches;
		RETURN;
	EXCEPTION WHEN OTHERS THEN
		-- told below, of the one that it is about
		organizations := '{}';
		batches := '{}';
	END;
	FOR unit IN SELECT * FROM unnest(units, agencies, providers) u(organization, agency, provider) LOOP
		BEGIN
			SELECT array_agg(n.organization_id) AS organizations, array_agg(n.batch_id) AS batches INTO ready
			FROM kinderconnect._next_batches(run, ARRAY[unit.organization], ARRAY[unit.agency], ARRAY[unit.provider], from_date, to_date) n;
			organizations := organizations || ready.organizations;
			batches := batches || ready.batches;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			PERFORM kinderconnect._fail_provider(run, unit.organization, unit.agency, unit.provider, true, state,
				concat_ws(': ', said, kinderconnect._detail(state, detail)), hint);
		END;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._prepare(bigint, text[], text[], text[], date, date) IS
'the next batches of providers, as _next_batches(); one that cannot be written halts its provider';

CREATE FUNCTION kinderconnect._dispatch(run bigint, organizations text[], batches text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
DECLARE
	item   record;
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	PERFORM kinderconnect._know_sizes();
	FOR item IN
		SELECT b.organization_id, b.agency_id, b.provider_id, b.batch_id,
			(SELECT array_agg(ROW(l.record_id, l.kinderconnect_child_id, l.service_date, l.kind, l.session_in, l.session_out, l.absence_reason)::kinderconnect.wire_record
					ORDER BY l.service_date, l.kinderconnect_child_id, l.record_id)
				FROM unnest(b.record_ids) r(record_id)
				JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (b.organization_id, r.record_id)) AS records
		FROM unnest(organizations, batches) WITH ORDINALITY u(organization_id, batch_id, n)
		JOIN kinderconnect.batch b USING (organization_id, batch_id)
		WHERE b.state = 'sending'
		ORDER BY u.n
	LOOP
		BEGIN
			PERFORM kinderconnect._start_submit(item.organization_id, item.agency_id, item.provider_id, item.batch_id, item.records);
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			PERFORM kinderconnect._fail_provider(run, item.organization_id, item.agency_id, item.provider_id, true, state,
				concat_ws(': ', said, kinderconnect._detail(state, detail)), hint);
		END;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._dispatch(bigint, text[], text[]) IS
'starts the calls of batches that are committed as sending, given by organization and id; one that cannot be started halts its provider, and its records are resolved by the next run';

-- A step of one organization that only this database can fail at.
CREATE FUNCTION kinderconnect._guarded(run bigint, organization text, step text, agency text, provider text, from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	FOR attempt IN 1 .. 2 LOOP
		BEGIN
			CASE step
				WHEN 'recover' THEN PERFORM kinderconnect._recover(organization);
				WHEN 'providers' THEN PERFORM kinderconnect._match_providers(organization);
				WHEN 'clocks' THEN PERFORM kinderconnect._set_clocks(organization);
				WHEN 'vanished' THEN PERFORM kinderconnect._close_vanished(run, organization, from_date, to_date);
				WHEN 'match' THEN PERFORM kinderconnect._match(organization);
				WHEN 'candidates' THEN PERFORM kinderconnect._score(organization);
				WHEN 'repeat' THEN PERFORM kinderconnect._repeat_unknown(run, organization, agency, provider);
				WHEN 'plan' THEN PERFORM kinderconnect._plan(organization, agency, provider, from_date, to_date);
			END CASE;
			EXIT;
		EXCEPTION WHEN deadlock_detected THEN
			-- a person who decides of many at once may hold what this waits for, and
			-- wait for it: what he waited for he has now
			IF attempt = 2 THEN
				RAISE;
			END IF;
		END;
	END LOOP;
	-- what it wrote, for what reads it next: here another session's is not all
	-- that there is
	IF step IN ('providers', 'clocks', 'match', 'plan') THEN
		PERFORM kinderconnect._know_sizes();
	END IF;
	IF step IN ('match', 'plan') THEN
		UPDATE kinderconnect.run_organization o SET step = _guarded.step, step_ended_at = clock_timestamp()
		WHERE (o.organization_id, o.run_id) = (organization, run);
	END IF;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	-- without a plan of tonight nothing may be sent; candidates are for persons
	PERFORM kinderconnect._fail_organization(run, organization, step <> 'candidates', state,
		concat_ws(': ', format('%s failed', step), said, kinderconnect._detail(state, detail)), hint);
END;
$$;
COMMENT ON FUNCTION kinderconnect._guarded(bigint, text, text, text, text, date, date) IS
'does one step of one organization, once more after a deadlock; an error is noted and halts that organization, but for one of its candidates';

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

CREATE FUNCTION kinderconnect._unknown_to_resolve(run bigint)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, from_date date, to_date date, can_ask boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
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
COMMENT ON FUNCTION kinderconnect._unknown_to_resolve(bigint) IS
'providers with records whose answer was lost, or with days held as merged_child of which the service can be asked, and the dates these span';

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

-- Where errors have no code, a wrong password is told by this alone. PL/pgSQL
-- keeps its plan; it is asked of every answer.
CREATE FUNCTION kinderconnect._is_refused_alike(run bigint, outcome kinderconnect.call_outcome) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (outcome).operation = 'children' AND NOT (outcome).ok AND (outcome).http_status BETWEEN 200 AND 299 AND (outcome).sqlstate = 'KC204'
		AND NOT kinderconnect._listed_tonight(run, (outcome).organization_id, NULL, NULL)
		AND (SELECT count(*) > 1 FROM kinderconnect.run_provider p
			WHERE (p.organization_id, p.run_id, p.sqlstate, p.error)
				= ((outcome).organization_id, run, (outcome).sqlstate, kinderconnect._said(outcome)));
END;
$$;
COMMENT ON FUNCTION kinderconnect._is_refused_alike(bigint, kinderconnect.call_outcome) IS
'whether a service that tells errors in the body has refused two providers of an organization in the same words, and listed none, in this run';

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

-- Waits for at least one call and takes in all that have ended. What the
-- organization itself did wrong halts it: the same password would be refused
-- a thousand times.
CREATE FUNCTION kinderconnect._take(run bigint) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	more    boolean := false;
	outcome kinderconnect.call_outcome;
	state   text;
	said    text;
	detail  text;
	hint    text;
	compares boolean := EXISTS (SELECT FROM kinderconnect.run r WHERE r.run_id = run AND r.step = 'compare');
	ended    kinderconnect.call_outcome[] := ARRAY(SELECT c FROM kinderconnect._collect() c);
	together kinderconnect.call_outcome[];
	taken    bigint[] := '{}';
BEGIN
	-- Answers to batches, and short lists of children, one of each provider at a
	-- time. What cannot be taken in with others is taken in by itself, below,
	-- and told there.
	FOR together IN
		SELECT array_agg(l.outcome)
		FROM (SELECT e AS outcome, e.operation,
				row_number() OVER (PARTITION BY e.operation, e.organization_id, e.agency_id, e.provider_id ORDER BY e.ticket) AS turn
			FROM unnest(ended) e WHERE e.ok AND (e.operation = 'submit' OR e.operation = 'children' AND e.entries < 1000)) l
		GROUP BY l.operation, l.turn ORDER BY l.operation, l.turn
	LOOP
		BEGIN
			IF together[1].operation = 'submit' THEN
				PERFORM kinderconnect._take_answers(run, together);
			ELSE
				PERFORM kinderconnect._take_children(run, together);
			END IF;
			taken := taken || ARRAY(SELECT t.ticket FROM unnest(together) t);
		EXCEPTION WHEN OTHERS THEN
			EXIT;
		END;
	END LOOP;

	FOREACH outcome IN ARRAY ended LOOP
		BEGIN
			IF compares THEN
				-- what it cannot be asked fails no night
				PERFORM kinderconnect._take_comparison(run, outcome);
				PERFORM kinderconnect._release(outcome.ticket);
				CONTINUE;
			END IF;
			IF outcome.ticket = ANY (taken) THEN
				NULL;
			ELSIF outcome.operation = 'submit' AND outcome.ok THEN
				PERFORM kinderconnect._take_answers(run, ARRAY[outcome]);
			ELSIF outcome.operation = 'submit' THEN
				PERFORM kinderconnect._take_failure(run, outcome);
			ELSIF NOT outcome.ok AND outcome.provider_id IS NULL THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, false, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
			ELSIF NOT outcome.ok THEN
				PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, false,
					outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
			ELSIF outcome.operation = 'customers' THEN
				PERFORM kinderconnect._take_customers(run, outcome);
			ELSIF outcome.operation = 'agencies' THEN
				PERFORM kinderconnect._take_agencies(run, outcome);
			ELSIF outcome.operation = 'locations' THEN
				PERFORM kinderconnect._take_locations(run, outcome);
			ELSIF outcome.operation = 'children' THEN
				PERFORM kinderconnect._take_children(run, ARRAY[outcome]);
			ELSIF outcome.operation = 'readback' THEN
				PERFORM kinderconnect._take_readback(run, outcome);
			END IF;
			IF outcome.operation = 'submit' THEN
				more := more OR kinderconnect._has_more(outcome.organization_id, outcome.agency_id, outcome.provider_id);
			END IF;
			IF outcome.sqlstate = 'KC104' THEN
				UPDATE kinderconnect.run r SET sqlstate = 'KC104', error = 'deadline' WHERE r.run_id = run AND r.sqlstate IS NULL;
			ELSIF outcome.sqlstate IN ('KC001', 'KC002', 'KC201', 'KC202') THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, true, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
			ELSIF kinderconnect._is_refused_alike(run, outcome) THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, true, outcome.sqlstate,
					'all providers are refused alike: ' || kinderconnect._said(outcome),
					'Check the secret that group_password of kinderconnect.organization names.');
			END IF;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			said := concat_ws(': ', format('answer to %s could not be taken in', outcome.operation), said, kinderconnect._detail(state, detail));
			IF outcome.provider_id IS NULL THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, false, state, said, hint);
			ELSE
				PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, true, state, said, hint);
			END IF;
		END;
		PERFORM kinderconnect._release(outcome.ticket);
	END LOOP;
	PERFORM kinderconnect._know_sizes();
	RETURN more;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take(bigint) IS
'takes in the calls that have ended, waiting for one; each is an error boundary of its own. Answers whether a provider whose batch was answered has more to send';

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

CREATE PROCEDURE kinderconnect._make_room(run bigint, calls integer DEFAULT 1)
	LANGUAGE plpgsql
AS $$
BEGIN
	WHILE kinderconnect._room() OPERATOR(pg_catalog.<) calls LOOP
		PERFORM kinderconnect._take(run);
		COMMIT AND CHAIN;
	END LOOP;
END;
$$;
COMMENT ON PROCEDURE kinderconnect._make_room(bigint, integer) IS 'takes in calls that end, until so many more may be started; commits';

CREATE PROCEDURE kinderconnect._drain(run bigint)
	LANGUAGE plpgsql
AS $$
BEGIN
	WHILE kinderconnect._is_busy() LOOP
		PERFORM kinderconnect._take(run);
		COMMIT AND CHAIN;
	END LOOP;
END;
$$;
COMMENT ON PROCEDURE kinderconnect._drain(bigint) IS 'takes in calls that end, until none is left; commits';

CREATE PROCEDURE kinderconnect._send_together(run bigint, organizations text[], batches text[])
	LANGUAGE plpgsql
AS $$
BEGIN
	COMMIT AND CHAIN;
	IF pg_catalog.cardinality(batches) OPERATOR(pg_catalog.>) 0 THEN
		PERFORM kinderconnect._dispatch(run, organizations, batches);
		COMMIT AND CHAIN;
	END IF;
END;
$$;
COMMENT ON PROCEDURE kinderconnect._send_together(bigint, text[], text[]) IS
'commits batches that are marked as sending, given by organization and id, and starts their calls';

-- Walked as far as sending is not stopped and the deadline has not come. What
-- is under way then is waited for, and what waits its turn is ready again.
--
-- READ COMMITTED, whatever the role or the database has for default: what is
-- changed while an answer is waited for has to be seen when it is taken in, and
-- what was sent must not be forgotten for what another night has read. Hence
-- chained, or each transaction would begin with the default.
CREATE PROCEDURE kinderconnect._night(organization_id text, agency_id text, provider_id text, from_date date, to_date date, only_due boolean,
		shard integer, shards integer)
	LANGUAGE plpgsql
AS $$
DECLARE
	run      pg_catalog.int8;
	item     record;
	made     record;
	pass     pg_catalog.int4;
	last     pg_catalog.timestamptz;
	since    pg_catalog.timestamptz;
	month    pg_catalog.date;
	asked    pg_catalog.text[];
	started  pg_catalog.bool;
	more     pg_catalog.bool;
	failures pg_catalog.int8;
	together pg_catalog.int4 := kinderconnect.setting('max_in_flight');
BEGIN
	COMMIT;
	SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
	PERFORM kinderconnect._open(NULL);
	run := kinderconnect._begin_run(organization_id, agency_id, provider_id, from_date, to_date, only_due, shard, shards);
	COMMIT AND CHAIN;
	FOR item IN SELECT w AS organization FROM kinderconnect._left_under_way(run) w LOOP
		PERFORM kinderconnect._guarded(run, item.organization, 'recover', NULL, NULL, NULL, NULL);
		COMMIT AND CHAIN;
	END LOOP;

	<<steps>>
	BEGIN
		PERFORM kinderconnect._step(run, 'lists');
		COMMIT AND CHAIN;
		FOR item IN SELECT w AS organization FROM kinderconnect._at_work(run) w WHERE kinderconnect._speaks(w, 'customers') LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._ask(run, 'customers', item.organization);
			CALL kinderconnect._make_room(run);
		END LOOP;
		CALL kinderconnect._drain(run);
		FOR item IN SELECT * FROM kinderconnect._customers_to_ask(run) LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._ask(run, item.operation, item.organization_id, customer => item.customer_id);
			CALL kinderconnect._make_room(run);
		END LOOP;
		CALL kinderconnect._drain(run);
		EXIT steps WHEN NOT kinderconnect._goes_on(run);
		FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
			PERFORM kinderconnect._guarded(run, item.organization, 'providers', NULL, NULL, NULL, NULL);
			COMMIT AND CHAIN;
		END LOOP;
		PERFORM kinderconnect._take_part(run);
		COMMIT AND CHAIN;
		FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
			PERFORM kinderconnect._guarded(run, item.organization, 'clocks', NULL, NULL, NULL, NULL);
			COMMIT AND CHAIN;
		END LOOP;

		PERFORM kinderconnect._step(run, 'children');
		COMMIT AND CHAIN;
		FOR item IN SELECT * FROM kinderconnect._months_to_ask(run, agency_id, provider_id, from_date, to_date) LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			IF item.month OPERATOR(pg_catalog.<) month THEN
				CALL kinderconnect._drain(run);
			END IF;
			month := item.month;
			PERFORM kinderconnect._ask(run, 'children', item.organization_id, item.agency_id, item.provider_id, month => item.month);
			CALL kinderconnect._make_room(run);
		END LOOP;
		CALL kinderconnect._drain(run);

		PERFORM kinderconnect._step(run, 'match');
		COMMIT AND CHAIN;
		FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._guarded(run, item.organization, 'vanished', NULL, NULL, from_date, to_date);
			PERFORM kinderconnect._guarded(run, item.organization, 'match', NULL, NULL, NULL, NULL);
			COMMIT AND CHAIN;
			PERFORM kinderconnect._guarded(run, item.organization, 'candidates', NULL, NULL, NULL, NULL);
			COMMIT AND CHAIN;
		END LOOP;

		-- Unknown days are resolved before the plan, and once more after the
		-- transfer, so that an answer lost tonight is found tonight. And again
		-- for the providers of which a batch was lost, and another answered:
		-- one record may be what the service fails at, and in smaller ones it
		-- is soon alone.
		FOR pass IN 1..8 LOOP
			since := last;
			last := pg_catalog.clock_timestamp();
			asked := '{}';
			PERFORM kinderconnect._step(run, 'resolve');
			COMMIT AND CHAIN;
			FOR item IN SELECT * FROM kinderconnect._unknown_to_resolve(run) u
				WHERE pass OPERATOR(pg_catalog.<=) 2 OR kinderconnect._tries_on(run, u.organization_id, u.agency_id, u.provider_id, since)
			LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				asked := asked OPERATOR(pg_catalog.||) item.organization_id;
				IF item.can_ask THEN
					PERFORM kinderconnect._ask(run, 'readback', item.organization_id, item.agency_id, item.provider_id,
						from_date => item.from_date, to_date => item.to_date);
				ELSIF (agency_id OPERATOR(pg_catalog.<>) item.agency_id OR provider_id OPERATOR(pg_catalog.<>) item.provider_id) IS NOT TRUE THEN
					PERFORM kinderconnect._guarded(run, item.organization_id, 'repeat', item.agency_id, item.provider_id, NULL, NULL);
					COMMIT AND CHAIN;
				END IF;
				CALL kinderconnect._make_room(run);
			END LOOP;
			CALL kinderconnect._drain(run);
			EXIT WHEN pass OPERATOR(pg_catalog.>) 2 AND pg_catalog.cardinality(asked) OPERATOR(pg_catalog.=) 0;

			PERFORM kinderconnect._step(run, 'plan');
			COMMIT AND CHAIN;
			FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w
				WHERE pass OPERATOR(pg_catalog.<=) 2 OR pg_catalog.array_position(asked, w) IS NOT NULL
			LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				PERFORM kinderconnect._guarded(run, item.organization, 'plan', agency_id, provider_id, from_date, to_date);
				COMMIT AND CHAIN;
			END LOOP;

			PERFORM kinderconnect._step(run, 'transfer');
			COMMIT AND CHAIN;
			LOOP
				-- Providers take turns: each has one batch under way at most.
				-- As many as may be under way are committed together, when
				-- there is room for them: what is committed is sent at once.
				started := false;
				FOR item IN SELECT * FROM kinderconnect._providers_to_send(run, agency_id, provider_id, from_date, to_date, together) LOOP
					CALL kinderconnect._make_room(run, together);
					EXIT WHEN NOT kinderconnect._goes_on(run);
					made := kinderconnect._prepare(run, item.organizations, item.agencies, item.providers, from_date, to_date);
					CALL kinderconnect._send_together(run, made.organizations, made.batches);
					started := started OR pg_catalog.cardinality(made.batches) OPERATOR(pg_catalog.>) 0;
				END LOOP;
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				EXIT WHEN NOT started AND NOT kinderconnect._is_busy();
				-- making room may have taken in the last one, and left halves of it
				WHILE kinderconnect._is_busy() LOOP
					more := kinderconnect._take(run);
					COMMIT AND CHAIN;
					EXIT WHEN more;
				END LOOP;
			END LOOP;
			EXIT WHEN NOT kinderconnect._has_unknown(run);
		END LOOP;

		-- what the service holds by now, of a few providers
		IF pg_catalog.num_nonnulls(agency_id, provider_id, from_date, to_date) OPERATOR(pg_catalog.=) 0 THEN
			PERFORM kinderconnect._step(run, 'compare');
			COMMIT AND CHAIN;
			FOR item IN SELECT w AS organization, c.* FROM kinderconnect._at_work(run) w, kinderconnect._providers_to_compare(run, w) c LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				PERFORM kinderconnect._ask_comparison(run, item.organization, item.agency_id, item.provider_id, item.from_date, item.to_date);
				CALL kinderconnect._make_room(run);
			END LOOP;
			CALL kinderconnect._drain(run);
		END IF;
	END steps;

	CALL kinderconnect._drain(run);
	PERFORM kinderconnect._step(run, 'account');
	PERFORM kinderconnect._drop_waiting(w, NULL, NULL) FROM kinderconnect._locked(run) w;
	failures := kinderconnect._account(run);
	COMMIT AND CHAIN;
	PERFORM kinderconnect._close();
	IF pg_catalog.num_nonnulls(organization_id, agency_id, provider_id, from_date, to_date) OPERATOR(pg_catalog.=) 0 AND (shard OPERATOR(pg_catalog.>) 0) IS NOT TRUE THEN
		CALL kinderconnect.purge();
	END IF;
	PERFORM kinderconnect._report(run, failures);
END;
$$;
COMMENT ON PROCEDURE kinderconnect._night(text, text, text, date, date, boolean, integer, integer) IS
'a whole run, of nightly() or, only_due, of tick()';

CREATE PROCEDURE kinderconnect.nightly(organization_id text DEFAULT NULL, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL,
		from_date date DEFAULT NULL, to_date date DEFAULT NULL, shard integer DEFAULT NULL, shards integer DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM kinderconnect._require_no_transaction('nightly');
	PERFORM kinderconnect._require_in_horizon(from_date, to_date);
	COMMIT;
	CALL kinderconnect._night(organization_id, agency_id, provider_id, from_date, to_date, false, shard, shards);
END;
$$;
COMMENT ON PROCEDURE kinderconnect.nightly(text, text, text, date, date, integer, integer) IS
'the night: lists, children, match, resolve, plan, transfer, compare, account, for all enabled organizations or for the one, the agency, the provider and the service dates given; or, for sessions side by side, for shard of shards, counted from 0: each organization is of one of them. To be called by itself, not inside a transaction: it commits as it goes. Ends with an error (KC402; KC401 another run is busy; KC104 at its deadline) when a part failed, after everything good is done';
