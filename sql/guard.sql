-- What is done in a step, each function the error boundary of an organization, a
-- provider or a batch: one that fails is told, and the night goes on.

CREATE FUNCTION kinderconnect._detail(sqlstate text, detail text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN starts_with(sqlstate, 'KC') THEN nullif(detail, '') END;
COMMENT ON FUNCTION kinderconnect._detail(text, text) IS 'the detail of an error of our own; that of another may quote a row';

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
	-- that there is. Whatever is counted has the judgement planned anew, which
	-- takes longer than to read a few pages
	IF step IN ('providers', 'clocks', 'match') OR step = 'plan' AND pg_relation_size('kinderconnect.child_day') > 524288 THEN
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

CREATE FUNCTION kinderconnect._is_busy() RETURNS boolean
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
	RETURN kinderconnect._pending() > 0;
COMMENT ON FUNCTION kinderconnect._is_busy() IS 'whether any call is still to be collected';

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
