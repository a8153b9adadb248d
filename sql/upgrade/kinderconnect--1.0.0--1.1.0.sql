\echo Use "ALTER EXTENSION kinderconnect UPDATE" to load this file. \quit

-- An organization may look on: its nights ask, match and plan, and send nothing.

ALTER TABLE kinderconnect.organization ADD COLUMN IF NOT EXISTS sends boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN kinderconnect.organization.first_enabled IS 'UTC date of the first enable_integration(), or of the one that let it send first; no day older than this less backfill_days is sent';
COMMENT ON COLUMN kinderconnect.organization.sends IS 'false: its nights ask, match and plan, and send nothing; what they would send is ready';
COMMENT ON COLUMN kinderconnect.run.scope IS 'the arguments of nightly() that limited it; sends, false: none of its organizations sends, and it need not be armed; due: tick() started it, for the providers that were due';

CREATE OR REPLACE FUNCTION kinderconnect._sends(run bigint, organization text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.sends AND NOT r.scope ? 'sends'
	FROM kinderconnect.organization o, kinderconnect.run r
	WHERE o.organization_id = organization AND r.run_id = run;
END;
COMMENT ON FUNCTION kinderconnect._sends(bigint, text) IS 'whether a run may send for an organization';

REVOKE ALL ON FUNCTION kinderconnect._sends(bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kinderconnect._sends(bigint, text) TO kinderconnect_operator;

DROP FUNCTION kinderconnect.enable_integration(text, text, text, text, integer, boolean);
-- The password's name is checked against the secrets file, and never repeated
-- in an error: somebody may have passed the password itself.
CREATE OR REPLACE FUNCTION kinderconnect.enable_integration(organization_id text, group_id text,
		group_password text DEFAULT NULL, endpoint text DEFAULT NULL,
		backfill_days integer DEFAULT 30, adopt_providers boolean DEFAULT true, sends boolean DEFAULT true) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	secret_name text := coalesce(enable_integration.group_password, 'group_' || enable_integration.organization_id);
	service     text := enable_integration.endpoint;
BEGIN
	IF nullif(btrim(enable_integration.organization_id), '') IS NULL OR nullif(btrim(enable_integration.group_id), '') IS NULL
		OR enable_integration.backfill_days IS NULL OR enable_integration.adopt_providers IS NULL OR enable_integration.sends IS NULL THEN
		RAISE EXCEPTION 'organization_id, group_id, backfill_days, adopt_providers and sends must be given'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF enable_integration.backfill_days NOT BETWEEN 0 AND 366 THEN
		RAISE EXCEPTION 'backfill_days % is not between 0 and 366', enable_integration.backfill_days
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF service IS NULL THEN
		SELECT min(e.endpoint) INTO service FROM kinderconnect.endpoint e HAVING count(*) = 1;
		IF service IS NULL THEN
			RAISE EXCEPTION 'endpoint must be named: there is not exactly one'
				USING ERRCODE = 'KC001',
					HINT = 'INSERT the service into kinderconnect.endpoint, or name one with endpoint =>.';
		END IF;
	ELSIF NOT EXISTS (SELECT FROM kinderconnect.endpoint e WHERE e.endpoint = service) THEN
		RAISE EXCEPTION 'endpoint "%" does not exist', service
			USING ERRCODE = 'KC001', HINT = 'INSERT it into kinderconnect.endpoint first.';
	END IF;
	IF NOT kinderconnect._has_secret(secret_name) THEN
		RAISE EXCEPTION 'group password of organization "%" is not in the secrets file', enable_integration.organization_id
			USING ERRCODE = 'KC002',
				DETAIL = CASE WHEN enable_integration.group_password IS NULL THEN format('Looked for the name "%s".', secret_name)
					ELSE 'Looked for the name given as group_password.' END,
				HINT = 'group_password is the name of a line in the file of kinderconnect.secrets_file, not the password; write the line there, or call kinderconnect.set_secret(name, value).';
	END IF;

	INSERT INTO kinderconnect.organization AS o (organization_id, endpoint, group_id, group_password, first_enabled, backfill_days, adopt_providers, sends)
	VALUES (enable_integration.organization_id, service, enable_integration.group_id, secret_name,
		(now() AT TIME ZONE 'UTC')::date, enable_integration.backfill_days, enable_integration.adopt_providers,
		enable_integration.sends)
	ON CONFLICT (organization_id) DO UPDATE
	SET endpoint = excluded.endpoint, group_id = excluded.group_id, group_password = excluded.group_password,
		enabled = true, backfill_days = excluded.backfill_days, adopt_providers = excluded.adopt_providers, sends = excluded.sends,
		-- while it only looked on, its days were reported otherwise
		first_enabled = CASE
			WHEN excluded.sends AND NOT o.sends AND NOT EXISTS (SELECT FROM kinderconnect.ledger l WHERE l.organization_id = o.organization_id)
				THEN excluded.first_enabled
			ELSE o.first_enabled END;
END;
$$;
COMMENT ON FUNCTION kinderconnect.enable_integration(text, text, text, text, integer, boolean, boolean) IS
'lets an organization report to KinderConnect, or changes how. group_password is the NAME of its line in the secrets file (default group_<organization_id>); endpoint may be left out where there is one; sends => false has its nights look on and send nothing, and backfill_days count from when it first sends';

REVOKE ALL ON FUNCTION kinderconnect.enable_integration(text, text, text, text, integer, boolean, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kinderconnect.enable_integration(text, text, text, text, integer, boolean, boolean) TO kinderconnect_admin;

CREATE OR REPLACE FUNCTION kinderconnect._begin_run(organization text, agency text, provider text, from_date date, to_date date, only_due boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	run   bigint;
	dead  bigint;
	-- decided here, once: who is let send while this run is under way waits for the next
	sends boolean := EXISTS (SELECT FROM kinderconnect.organization o
		WHERE o.enabled AND o.sends AND (organization IS NULL OR o.organization_id = organization));
BEGIN
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
	IF provider IS NOT NULL AND NOT EXISTS (SELECT FROM kinderconnect.provider p
			WHERE p.organization_id = organization AND p.provider_id = provider AND (agency IS NULL OR p.agency_id = agency)) THEN
		RAISE EXCEPTION 'organization "%" has no provider "%"', organization, provider
			USING ERRCODE = 'KC001', HINT = 'Providers are listed in kinderconnect.provider.';
	END IF;
	IF from_date > to_date THEN
		RAISE EXCEPTION 'from_date % is after to_date %', from_date, to_date USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM kinderconnect._require_manage();

	INSERT INTO kinderconnect.run (scope)
	VALUES (jsonb_strip_nulls(jsonb_build_object('organization_id', organization, 'agency_id', agency, 'provider_id', provider,
		'from_date', from_date, 'to_date', to_date, 'due', nullif(only_due, false), 'sends', nullif(sends, true))))
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
		WHERE o.enabled AND (organization IS NULL OR o.organization_id = organization)
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

	PERFORM kinderconnect._take_part(run, o.organization_id) FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.locked;
	PERFORM kinderconnect._tell_begin(run);
	RETURN run;
END;
$$;
COMMENT ON FUNCTION kinderconnect._begin_run(text, text, text, date, date, boolean) IS
'checks the scope, writes the run down and takes the lock of each of its organizations; answers its id';

CREATE OR REPLACE FUNCTION kinderconnect._unknown_to_resolve(run bigint)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, from_date date, to_date date, can_ask boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
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
CREATE OR REPLACE FUNCTION kinderconnect._providers_to_send(run bigint, agency text, provider text, from_date date, to_date date)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT p.organization_id, p.agency_id, p.provider_id
	FROM kinderconnect._at_work(run) w(organization_id)
	JOIN kinderconnect.provider_standing p ON p.organization_id = w.organization_id AND p.barred IS NULL
	JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND k.run_id = run
	WHERE kinderconnect._sends(run, p.organization_id)
		AND (agency IS NULL OR p.agency_id = agency) AND (provider IS NULL OR p.provider_id = provider)
		AND (EXISTS (SELECT FROM kinderconnect.child_day d
				WHERE (d.organization_id, d.agency_id, d.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND d.state = 'ready'
					AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity'))
			OR EXISTS (SELECT FROM kinderconnect.batch b
				WHERE (b.organization_id, b.agency_id, b.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND b.state = 'waiting'))
	ORDER BY p.organization_id, p.agency_id, p.provider_id;
END;
COMMENT ON FUNCTION kinderconnect._providers_to_send(bigint, text, text, date, date) IS 'providers that have something to send';

-- Walked as far as sending is not stopped and the deadline has not come. What
-- is under way then is waited for, and what waits its turn is ready again.
CREATE OR REPLACE PROCEDURE kinderconnect._night(organization_id text, agency_id text, provider_id text, from_date date, to_date date, only_due boolean)
	LANGUAGE plpgsql
AS $$
DECLARE
	run      pg_catalog.int8;
	item     record;
	pass     pg_catalog.int4;
	batch    pg_catalog.text;
	started  pg_catalog.bool;
	failures pg_catalog.int8;
BEGIN
	PERFORM kinderconnect._open(NULL);
	run := kinderconnect._begin_run(organization_id, agency_id, provider_id, from_date, to_date, only_due);
	COMMIT;
	FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
		PERFORM kinderconnect._guarded(run, item.organization, 'recover', NULL, NULL, NULL, NULL);
		COMMIT;
	END LOOP;

	<<steps>>
	BEGIN
		PERFORM kinderconnect._step(run, 'lists');
		COMMIT;
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
			COMMIT;
		END LOOP;

		PERFORM kinderconnect._step(run, 'children');
		COMMIT;
		FOR item IN SELECT * FROM kinderconnect._months_to_ask(run, agency_id, provider_id, from_date, to_date) LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._ask(run, 'children', item.organization_id, item.agency_id, item.provider_id, month => item.month);
			CALL kinderconnect._make_room(run);
		END LOOP;
		CALL kinderconnect._drain(run);

		PERFORM kinderconnect._step(run, 'match');
		COMMIT;
		FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._guarded(run, item.organization, 'vanished', NULL, NULL, from_date, to_date);
			PERFORM kinderconnect._guarded(run, item.organization, 'match', NULL, NULL, NULL, NULL);
			COMMIT;
			PERFORM kinderconnect._guarded(run, item.organization, 'candidates', NULL, NULL, NULL, NULL);
			COMMIT;
		END LOOP;

		-- Unknown days are resolved before the plan, and once more after the
		-- transfer, so that an answer lost tonight is found tonight.
		FOR pass IN 1..2 LOOP
			PERFORM kinderconnect._step(run, 'resolve');
			COMMIT;
			FOR item IN SELECT * FROM kinderconnect._unknown_to_resolve(run) LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				IF item.can_ask THEN
					PERFORM kinderconnect._ask(run, 'readback', item.organization_id, item.agency_id, item.provider_id,
						from_date => item.from_date, to_date => item.to_date);
				ELSIF (agency_id OPERATOR(pg_catalog.<>) item.agency_id OR provider_id OPERATOR(pg_catalog.<>) item.provider_id) IS NOT TRUE THEN
					PERFORM kinderconnect._guarded(run, item.organization_id, 'repeat', item.agency_id, item.provider_id, NULL, NULL);
					COMMIT;
				END IF;
				CALL kinderconnect._make_room(run);
			END LOOP;
			CALL kinderconnect._drain(run);

			PERFORM kinderconnect._step(run, 'plan');
			COMMIT;
			FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				PERFORM kinderconnect._guarded(run, item.organization, 'plan', agency_id, provider_id, from_date, to_date);
				COMMIT;
			END LOOP;

			PERFORM kinderconnect._step(run, 'transfer');
			COMMIT;
			LOOP
				-- providers take turns: each has one batch under way at most
				started := false;
				FOR item IN SELECT * FROM kinderconnect._providers_to_send(run, agency_id, provider_id, from_date, to_date) LOOP
					EXIT steps WHEN NOT kinderconnect._goes_on(run);
					batch := kinderconnect._prepare(run, item.organization_id, item.agency_id, item.provider_id, from_date, to_date);
					COMMIT;
					CONTINUE WHEN batch IS NULL;
					started := true;
					PERFORM kinderconnect._dispatch(run, item.organization_id, item.agency_id, item.provider_id, batch);
					CALL kinderconnect._make_room(run);
				END LOOP;
				-- making room may have taken in the last one, and left halves of it
				EXIT WHEN NOT started AND NOT kinderconnect._is_busy();
				PERFORM kinderconnect._take(run);
				COMMIT;
			END LOOP;
			EXIT WHEN NOT kinderconnect._has_unknown(run);
		END LOOP;

		-- what the service holds by now, of a few providers
		IF pg_catalog.num_nonnulls(agency_id, provider_id, from_date, to_date) OPERATOR(pg_catalog.=) 0 THEN
			PERFORM kinderconnect._step(run, 'compare');
			COMMIT;
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
	COMMIT;
	PERFORM kinderconnect._close();
	IF pg_catalog.num_nonnulls(organization_id, agency_id, provider_id, from_date, to_date) OPERATOR(pg_catalog.=) 0 THEN
		CALL kinderconnect.purge();
	END IF;
	PERFORM kinderconnect._report(run, failures);
END;
$$;
COMMENT ON PROCEDURE kinderconnect._night(text, text, text, date, date, boolean) IS
'a whole run, of nightly() or, only_due, of tick()';

-- A day that is changed while it is made ready is not sent twice.

-- The next batch of a provider, marked as sending: a waiting half of a
-- refused one, else new records of ready days. One at a time for each
-- provider, and nothing new while any of its days is unknown.
--
-- Halves: the first half of what was refused last, down to a single record,
-- then the largest of what is left. So the search for a culprit soon meets a
-- batch without one, if there is any.
CREATE OR REPLACE FUNCTION kinderconnect._next_batch(run bigint, organization text, agency text, provider text, from_date date, to_date date) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
DECLARE
	id     text;
	most   integer;
	chosen text[];
	marks  bigint;
BEGIN
	IF EXISTS (SELECT FROM kinderconnect.run_provider p
			WHERE (p.organization_id, p.run_id, p.agency_id, p.provider_id) = (organization, run, agency, provider) AND p.halted)
		OR EXISTS (SELECT FROM kinderconnect.run_organization o WHERE (o.organization_id, o.run_id) = (organization, run) AND o.halted)
		OR EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider) AND b.state = 'sending') THEN
		RETURN NULL;
	END IF;

	SELECT b.batch_id INTO id FROM kinderconnect.batch b
	WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider) AND b.state = 'waiting'
	ORDER BY b.first_half DESC, b.records DESC, b.created_at LIMIT 1;

	IF id IS NULL THEN
		PERFORM kinderconnect._know_sizes();
		IF EXISTS (SELECT FROM kinderconnect.ledger l
				WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state IN ('sending', 'unknown')) THEN
			RETURN NULL;
		END IF;

		UPDATE kinderconnect.child_day d
		SET state = 'held', reason = 'window_closed', detail = 'closed while the night ran', changed_at = now()
		WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, agency, provider)
			AND d.state = 'ready' AND d.window_ends <= clock_timestamp();

		most := kinderconnect._most_records(organization, agency, provider);

		-- A record that is certainly not stored keeps its id if its content
		-- still stands; whatever else is new gets a new one.
		WITH claimed AS (
			SELECT d.ctid AS tid, d.kinderconnect_child_id, d.service_date, coalesce(d.kind, 'void') AS kind,
				d.session_in, d.session_out, d.absence_reason, coalesce(d.content, 'void') AS content, d.basis,
				-- a day that was taken over may be there under a record that is not ours
				coalesce(d.child_id, (SELECT a.child_id FROM kinderconnect.ledger a
					WHERE (a.organization_id, a.record_id) = (d.organization_id, d.accepted_record_id)),
					(SELECT k.child_id FROM kinderconnect.child_link k
					WHERE (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
					ORDER BY k.linked_at DESC LIMIT 1)) AS child_id,
				coalesce(CASE WHEN d.record_id IS NOT NULL THEN (SELECT l.record_id FROM kinderconnect.ledger l
					WHERE (l.organization_id, l.record_id) = (d.organization_id, d.record_id) AND l.state = 'not_taken'
						AND l.content = coalesce(d.content, 'void') AND (l.child_id = d.child_id) IS NOT FALSE) END,
					gen_random_uuid()::text) AS record_id
			FROM kinderconnect.child_day d
			WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, agency, provider) AND d.state = 'ready'
				AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
			ORDER BY d.service_date, d.kinderconnect_child_id
			LIMIT most
		), written AS (
			INSERT INTO kinderconnect.ledger AS l (organization_id, record_id, agency_id, provider_id, kinderconnect_child_id, service_date,
				child_id, kind, session_in, session_out, absence_reason, content, state, run_id)
			SELECT organization, c.record_id, agency, provider, c.kinderconnect_child_id, c.service_date,
				c.child_id, c.kind, c.session_in, c.session_out, c.absence_reason, c.content, 'sending', run
			FROM claimed c
			ON CONFLICT (organization_id, record_id) DO UPDATE
			SET state = 'sending', run_id = excluded.run_id, code = NULL, message = NULL, answered_at = NULL
			RETURNING l.record_id
		), marked AS (
			UPDATE kinderconnect.child_day d
			SET state = 'sending', record_id = c.record_id, sent_content = c.content, sent_basis = c.basis, changed_at = now()
			FROM claimed c
			WHERE d.organization_id = organization AND d.ctid = c.tid
			RETURNING d.record_id
		)
		SELECT array_agg(w.record_id), (SELECT count(*) FROM marked) INTO chosen, marks FROM written w;
		IF chosen IS NULL THEN
			RETURN NULL;
		END IF;
		-- A row that somebody changed meanwhile stands elsewhere. Its day would
		-- stay ready, and go once more.
		IF marks <> cardinality(chosen) THEN
			RAISE EXCEPTION '% of % child-days of provider "%" changed while they were made ready to be sent',
				cardinality(chosen) - marks, cardinality(chosen), provider
				USING ERRCODE = 'serialization_failure', HINT = 'Nothing of them was sent. The next run sends them.';
		END IF;
		id := kinderconnect._new_batch(run, organization, agency, provider, NULL, false, false, chosen);
	END IF;

	UPDATE kinderconnect.batch b SET state = 'sending', run_id = run, sent_at = clock_timestamp()
	WHERE b.organization_id = organization AND b.batch_id = id;
	RETURN id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._next_batch(bigint, text, text, text, date, date) IS
'marks the next batch of a provider as sending; null where there is none to send now. The caller commits, then calls _dispatch()';
