-- Step 5 of the night: days that are ready go, in batches through the outbox, and
-- what the service answers is taken in.

-- Somebody may have decided otherwise since it was noted who has something to
-- send: of a night, hours ago.
CREATE FUNCTION kinderconnect._is_let_send(organization text, agency text, provider text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM kinderconnect.provider_standing p
		JOIN kinderconnect.organization o ON o.organization_id = p.organization_id AND o.sends
		WHERE (p.organization_id, p.agency_id, p.provider_id) = (organization, agency, provider) AND p.barred IS NULL);
END;
$$;
COMMENT ON FUNCTION kinderconnect._is_let_send(text, text, text) IS 'whether a provider takes part and its organization sends, now';

-- The next batch of each of these providers, marked as sending: a waiting half
-- of a refused one, else new records of ready days. One at a time for each
-- provider, and of a child's day nothing new while a record of it is unknown.
--
-- Halves: the first half of what was refused last, down to a single record,
-- then the largest of what is left. So the search for a culprit soon meets a
-- batch without one, if there is any.
CREATE FUNCTION kinderconnect._next_batches(run bigint, organizations text[], agencies text[], providers text[], from_date date, to_date date)
	RETURNS TABLE (organization_id text, batch_id text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
	made   record;
	parted record;
BEGIN
	SELECT array_agg(u.organization_id), array_agg(u.agency_id), array_agg(u.provider_id) INTO organizations, agencies, providers
	FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
	WHERE kinderconnect._is_let_send(u.organization_id, u.agency_id, u.provider_id)
		AND NOT EXISTS (SELECT FROM kinderconnect.run_provider p
			WHERE (p.organization_id, p.run_id, p.agency_id, p.provider_id) = (u.organization_id, run, u.agency_id, u.provider_id) AND p.halted)
		AND NOT EXISTS (SELECT FROM kinderconnect.run_organization o WHERE (o.organization_id, o.run_id) = (u.organization_id, run) AND o.halted)
		AND NOT EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (u.organization_id, u.agency_id, u.provider_id) AND b.state = 'sending');

	-- what waits with a record of whom somebody unlinked is made anew
	FOR parted IN
		SELECT DISTINCT b.organization_id, b.agency_id, b.provider_id
		FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
		JOIN kinderconnect.batch b ON (b.organization_id, b.agency_id, b.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
			AND b.state = 'waiting'
		CROSS JOIN LATERAL unnest(b.record_ids) r(record_id)
		JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (b.organization_id, r.record_id)
		WHERE NOT kinderconnect._is_still_its(l)
	LOOP
		PERFORM kinderconnect._drop_waiting(parted.organization_id, parted.agency_id, parted.provider_id);
	END LOOP;

	RETURN QUERY
	UPDATE kinderconnect.batch b SET state = 'sending', run_id = run, sent_at = clock_timestamp()
	FROM (SELECT DISTINCT ON (b.organization_id, b.agency_id, b.provider_id) b.organization_id, b.batch_id
		FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
		JOIN kinderconnect.batch b ON (b.organization_id, b.agency_id, b.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
			AND b.state = 'waiting'
		ORDER BY b.organization_id, b.agency_id, b.provider_id, b.first_half DESC, b.records DESC, b.created_at) w
	WHERE (b.organization_id, b.batch_id) = (w.organization_id, w.batch_id)
	RETURNING b.organization_id, b.batch_id;

	SELECT array_agg(u.organization_id), array_agg(u.agency_id), array_agg(u.provider_id) INTO organizations, agencies, providers
	FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
	WHERE NOT EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (u.organization_id, u.agency_id, u.provider_id) AND b.state = 'sending');

	-- the rare case is asked for first, a provider at a time: joined, all ready
	-- days would be read for these
	IF EXISTS (SELECT FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
			CROSS JOIN LATERAL (SELECT FROM kinderconnect.child_day d
				WHERE (d.organization_id, d.agency_id, d.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
					AND d.state = 'ready' AND d.window_ends <= clock_timestamp() OFFSET 0) d) THEN
		UPDATE kinderconnect.child_day d
		SET state = 'held', reason = 'window_closed', detail = 'closed while the night ran', changed_at = now()
		FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
		WHERE (d.organization_id, d.agency_id, d.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
			AND d.state = 'ready' AND d.window_ends <= clock_timestamp();
	END IF;

	-- A record that is certainly not stored keeps its id if its content
	-- still stands; whatever else is new gets a new one.
	FOR made IN
		WITH claimed AS MATERIALIZED (
			SELECT c.*
			FROM (SELECT u.*, kinderconnect._most_records(u.organization_id, u.agency_id, u.provider_id) AS most,
					kinderconnect._days_to_try(run, u.organization_id, u.agency_id, u.provider_id, from_date, to_date) AS chosen
				FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
				OFFSET 0) u		-- each is asked once, not for every day
			CROSS JOIN LATERAL (
				SELECT d.ctid AS tid, d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
					coalesce(d.kind, 'void') AS kind, d.session_in, d.session_out, d.absence_reason, coalesce(d.content, 'void') AS content, d.basis, d.location_id,
					-- whom somebody unlinked since the plan
					d.void_wanted OR EXISTS (SELECT FROM kinderconnect.child_link k
						WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id)
							= (d.organization_id, d.agency_id, d.kinderconnect_child_id) AND k.child_id = d.child_id) AS linked,
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
				WHERE (d.organization_id, d.agency_id, d.provider_id) = (u.organization_id, u.agency_id, u.provider_id) AND d.state = 'ready'
					AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
					AND (u.chosen IS NULL OR d.ctid = ANY (u.chosen))
				ORDER BY d.service_date, d.kinderconnect_child_id
				LIMIT u.most) c
		), written AS (
			INSERT INTO kinderconnect.ledger AS l (organization_id, record_id, agency_id, provider_id, kinderconnect_child_id, service_date,
				child_id, kind, session_in, session_out, absence_reason, content, state, run_id, location_id)
			SELECT c.organization_id, c.record_id, c.agency_id, c.provider_id, c.kinderconnect_child_id, c.service_date,
				c.child_id, c.kind, c.session_in, c.session_out, c.absence_reason, c.content, 'sending', run, c.location_id
			FROM claimed c
			WHERE c.linked
			ON CONFLICT (organization_id, record_id) DO UPDATE
			SET state = 'sending', run_id = excluded.run_id, code = NULL, message = NULL, answered_at = NULL, location_id = excluded.location_id
			RETURNING l.organization_id, l.agency_id, l.provider_id, l.record_id
		), marked AS (
			UPDATE kinderconnect.child_day d
			SET state = 'sending', record_id = c.record_id, sent_content = c.content, sent_basis = c.basis, changed_at = now()
			FROM claimed c
			WHERE d.organization_id = c.organization_id AND d.ctid = c.tid AND c.linked
			RETURNING d.organization_id, d.agency_id, d.provider_id
		), parted AS (
			UPDATE kinderconnect.child_day d
			SET state = 'held', reason = CASE WHEN d.accepted_content IS NULL THEN 'unmatched' ELSE 'authorization_lost' END,
				detail = 'unlinked while the night ran', changed_at = now()
			FROM claimed c
			WHERE d.organization_id = c.organization_id AND d.ctid = c.tid AND NOT c.linked
		), batched AS (
			INSERT INTO kinderconnect.batch AS b (organization_id, batch_id, agency_id, provider_id, run_id, records, record_ids, state, sent_at)
			SELECT w.organization_id, gen_random_uuid(), w.agency_id, w.provider_id, run, count(*), array_agg(w.record_id), 'sending', clock_timestamp()
			FROM written w
			GROUP BY w.organization_id, w.agency_id, w.provider_id
			RETURNING b.organization_id, b.agency_id, b.provider_id, b.batch_id, b.records
		)
		SELECT c.organization_id, c.agency_id, c.provider_id, b.batch_id, b.records, coalesce(m.marks, 0) AS marks
		FROM (SELECT DISTINCT c.organization_id, c.agency_id, c.provider_id FROM claimed c) c
		LEFT JOIN batched b ON (b.organization_id, b.agency_id, b.provider_id) = (c.organization_id, c.agency_id, c.provider_id)
		LEFT JOIN (SELECT m.organization_id, m.agency_id, m.provider_id, count(*) AS marks FROM marked m
			GROUP BY m.organization_id, m.agency_id, m.provider_id) m
			ON (m.organization_id, m.agency_id, m.provider_id) = (c.organization_id, c.agency_id, c.provider_id)
	LOOP
		-- all that it was going to send is held now; it may have more
		IF made.batch_id IS NULL THEN
			RETURN QUERY SELECT n.* FROM kinderconnect._next_batches(run, ARRAY[made.organization_id], ARRAY[made.agency_id], ARRAY[made.provider_id],
				from_date, to_date) n;
			CONTINUE;
		END IF;
		-- A row that somebody changed meanwhile stands elsewhere. Its day would
		-- stay ready, and go once more.
		IF made.marks <> made.records THEN
			RAISE EXCEPTION '% of % child-days of provider "%" changed while they were made ready to be sent',
				made.records - made.marks, made.records, made.provider_id
				USING ERRCODE = 'serialization_failure', HINT = 'Nothing of them was sent. The next run sends them.';
		END IF;
		organization_id := made.organization_id;
		batch_id := made.batch_id;
		RETURN NEXT;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._next_batches(bigint, text[], text[], text[], date, date) IS
'marks the next batch of each of these providers as sending, all of them or, by an error, none; a provider that has none to send now is left out. The caller commits, then calls _dispatch()';

-- A service that tells errors in the body of a success has one word for all
-- of them. If it knew the provider and the password a moment ago, the word is
-- about the records.
CREATE FUNCTION kinderconnect._listed_tonight(run bigint, organization text, agency text, provider text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect.list_state l
		JOIN kinderconnect.run r ON r.run_id = run
		WHERE l.organization_id = organization AND l.operation = 'children'
			AND l.agency_id = coalesce(agency, l.agency_id) AND l.provider_id = coalesce(provider, l.provider_id)
			AND greatest(l.taken_at, l.set_aside_at) >= r.started_at);
END;
COMMENT ON FUNCTION kinderconnect._listed_tonight(bigint, text, text, text) IS
'whether the service listed the children of a provider, or of any of the organization, in this run';

-- Takes in the answers to batches. Only what the service truly said changes
-- anything: a record it did not name is unknown, and one it names twice with
-- different words too. A word that nobody agreed upon is a question where the
-- service can be asked what it holds, and a refusal where it cannot.
CREATE FUNCTION kinderconnect._take_answers(run bigint, outcomes kinderconnect.call_outcome[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tickets       bigint[];
	organizations text[];
	record_ids    text[];
	again         boolean[];
	verdicts      text[];
	codes         text[];
	messages      text[];
	words         bigint[];
	item          record;
BEGIN
	WITH answered AS (
		UPDATE kinderconnect.batch b
		SET state = 'answered', sqlstate = o.sqlstate, http_status = o.http_status, code = o.code,
			message = nullif(kinderconnect._said(o), ''), attempts = o.attempts, ended_at = clock_timestamp()
		FROM unnest(outcomes) o
		WHERE (b.organization_id, b.batch_id) = (o.organization_id, o.batch_id)
		RETURNING o.ticket, b.organization_id, b.record_ids, b.repeats
	)
	SELECT array_agg(a.ticket), array_agg(a.organization_id), array_agg(r.record_id), array_agg(a.repeats)
	INTO tickets, organizations, record_ids, again
	FROM answered a CROSS JOIN LATERAL unnest(a.record_ids) r(record_id);
	FOR item IN SELECT o.batch_id, o.provider_id FROM unnest(outcomes) o WHERE (o.ticket = ANY (tickets)) IS NOT TRUE LOOP
		RAISE EXCEPTION 'batch "%" of provider "%" was answered but is not in kinderconnect.batch', item.batch_id, item.provider_id
			USING ERRCODE = 'no_data_found', HINT = 'Its records are unknown to the next run, which resolves them.';
	END LOOP;

	SELECT array_agg(s.ticket), array_agg(s.organization_id), array_agg(s.record_id), array_agg(s.again), array_agg(s.verdict),
		array_agg(s.code), array_agg(CASE WHEN s.again AND s.verdict = 'rejected'
			THEN concat_ws('; ', s.message, 'it was sent before and that answer was lost, so the service may hold it') ELSE s.message END), array_agg(s.words)
	INTO tickets, organizations, record_ids, again, verdicts, codes, messages, words
	FROM (SELECT r.ticket, r.organization_id, r.record_id, r.again, count(DISTINCT w.verdict) AS words,
			-- of two answers the one that is not yes is why, if it is not held there
			(array_agg(w.code ORDER BY w.verdict = 'accepted', w.ordinal))[1] AS code,
			(array_agg(w.message ORDER BY w.verdict = 'accepted', w.ordinal))[1] AS message,
			CASE
				WHEN count(DISTINCT w.verdict) = 1 THEN min(w.verdict)
				ELSE 'unknown'
			END AS verdict
		FROM unnest(tickets, organizations, record_ids, again) r(ticket, organization_id, record_id, again)
		LEFT JOIN (SELECT o.ticket, w.record_id, w.ordinal, w.code,
				CASE WHEN w.status IN ('accepted', 'duplicate', 'rejected') THEN w.message
					ELSE concat_ws(': ', format('status "%s"', w.status), w.message) END AS message,
				CASE
					WHEN w.status IN ('accepted', 'duplicate') THEN 'accepted'
					WHEN w.status = 'rejected' OR NOT kinderconnect._speaks(o.organization_id, 'readback') THEN 'rejected'
					ELSE 'unknown'		-- a word of its own: it may have stored it all the same
				END AS verdict
			FROM unnest(outcomes) o
			CROSS JOIN LATERAL kinderconnect._rows(o.ticket, NULL::kinderconnect.reply_result) w
			WHERE w.status IS NOT NULL) w USING (ticket, record_id)
		GROUP BY r.ticket, r.organization_id, r.record_id, r.again) s;

	PERFORM kinderconnect._settle_each(organizations, record_ids, verdicts, codes, messages);

	FOR item IN
		SELECT o.organization_id, o.agency_id, o.provider_id, s.records, s.left_out, s.contradicted, s.again,
			(SELECT count(*) FROM kinderconnect._rows(o.ticket, NULL::kinderconnect.reply_result) w
				WHERE w.record_id IS NULL OR w.record_id <> ALL (s.record_ids)) AS strays
		FROM unnest(outcomes) o
		JOIN (SELECT s.ticket, count(*) AS records, array_agg(s.record_id) AS record_ids, bool_or(s.again) AS again,
				count(*) FILTER (WHERE s.words = 0) AS left_out, count(*) FILTER (WHERE s.words > 1) AS contradicted
			FROM unnest(tickets, record_ids, again, words) s(ticket, record_id, again, words)
			GROUP BY s.ticket) s USING (ticket)
		ORDER BY o.ticket
	LOOP
		IF item.left_out > 0 THEN
			PERFORM kinderconnect._fail_provider(run, item.organization_id, item.agency_id, item.provider_id, false, 'KC301',
				format('answer of the service leaves %s of %s records out', item.left_out, item.records),
				'They are unknown; of these children''s days nothing new is sent until they are resolved.');
		END IF;
		IF item.contradicted > 0 THEN
			PERFORM kinderconnect._fail_provider(run, item.organization_id, item.agency_id, item.provider_id, false, 'KC301',
				format('answer of the service says two things of %s of %s records', item.contradicted, item.records),
				'They are unknown; of these children''s days nothing new is sent until they are resolved.');
		END IF;
		IF item.strays > 0 THEN
			PERFORM kinderconnect._fail_provider(run, item.organization_id, item.agency_id, item.provider_id, false, 'KC301',
				format('answer of the service names %s records that were not sent', item.strays),
				'They changed nothing; report it to the service.');
		END IF;
		IF item.again THEN
			PERFORM kinderconnect._plan_resolved(run, item.organization_id, item.agency_id, item.provider_id);
		END IF;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_answers(bigint, kinderconnect.call_outcome[]) IS
'takes in the answers to batches, record by record; all of them or, by an error, none';

-- Takes in the outcome of a batch that was not answered: what was not sent is
-- only noted, and what may have arrived is unknown.
CREATE FUNCTION kinderconnect._take_failure(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	org      text := outcome.organization_id;
	agency   text := outcome.agency_id;
	provider text := outcome.provider_id;
	records  text[];
	halves   boolean := NOT outcome.sent AND (outcome.http_status IN (413, 422)
		OR outcome.http_status BETWEEN 200 AND 299 AND kinderconnect._listed_tonight(run, org, agency, provider));
	hopeless boolean;
	again    boolean;
	doubt    text := 'it was sent before and that answer was lost, so the service may hold it';
BEGIN
	UPDATE kinderconnect.batch b
	SET state = CASE WHEN outcome.sent THEN 'lost' ELSE 'refused' END,
		sqlstate = outcome.sqlstate, http_status = outcome.http_status, code = outcome.code,
		message = nullif(kinderconnect._said(outcome), ''), attempts = outcome.attempts, ended_at = clock_timestamp()
	WHERE b.organization_id = org AND b.batch_id = outcome.batch_id
	RETURNING b.repeats, b.record_ids INTO STRICT again, records;

	IF outcome.sent THEN
		PERFORM kinderconnect._settle(org, records, 'unknown', NULL, NULL);
		PERFORM kinderconnect._fail_provider(run, org, agency, provider, false, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
		IF (kinderconnect._lost_so_far(run, org, agency, provider)).enough THEN
			PERFORM kinderconnect._drop_waiting(org, agency, provider);
		END IF;
	ELSIF halves AND cardinality(records) > 1 THEN
		-- by lot, so that two culprits do not fall into the same places every night
		records := ARRAY(SELECT r FROM unnest(records) r ORDER BY md5(outcome.batch_id || r));
		PERFORM kinderconnect._new_batch(run, org, agency, provider, outcome.batch_id, true, again, records[:cardinality(records) / 2]);
		PERFORM kinderconnect._new_batch(run, org, agency, provider, outcome.batch_id, false, again, records[cardinality(records) / 2 + 1:]);
	ELSIF halves THEN
		-- Two single records in a row that fail alike, and nothing of this
		-- provider accepted in this run: it is not the records' fault. Where
		-- one word stands for all errors, the service may also have failed in
		-- the midst of it: then it takes eight.
		SELECT coalesce(min(b.n) FILTER (WHERE NOT b.alike), count(*) + 1) > CASE
				WHEN NOT bool_or(b.answered) THEN 2 WHEN outcome.http_status BETWEEN 200 AND 299 THEN 8 END
		INTO hopeless
		FROM (SELECT row_number() OVER (ORDER BY b.ended_at DESC) AS n, b.state = 'answered' AS answered,
				b.records = 1 AND b.state = 'refused' AND (b.code, b.message) IS NOT DISTINCT FROM (outcome.code, kinderconnect._said(outcome)) AS alike
			FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id, b.run_id) = (org, agency, provider, run)
				AND b.ended_at IS NOT NULL AND (b.records = 1 OR b.state = 'answered')) b;
		IF hopeless THEN
			PERFORM kinderconnect._acquit(run, org, agency, provider);
			PERFORM kinderconnect._settle(org, records, CASE WHEN again THEN 'unknown' ELSE 'not_taken' END, NULL, NULL);
			PERFORM kinderconnect._give_up(run, org, agency, provider, outcome);
		ELSE
			PERFORM kinderconnect._settle(org, records, 'rejected',
				ARRAY[CASE WHEN outcome.http_status = 413 THEN 'TOO_LARGE' ELSE outcome.code END],
				ARRAY[concat_ws('; ', kinderconnect._said(outcome), CASE WHEN again THEN doubt END)]);
		END IF;
	ELSE
		PERFORM kinderconnect._settle(org, records, CASE WHEN again THEN 'unknown' ELSE 'not_taken' END, NULL, NULL);
		PERFORM kinderconnect._give_up(run, org, agency, provider, outcome);
	END IF;

	IF again THEN
		PERFORM kinderconnect._plan_resolved(run, org, agency, provider);
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_failure(bigint, kinderconnect.call_outcome) IS
'takes in the outcome of a batch that failed: halved, rejected, unknown, or the provider given up for this run';

-- Where the provider turns out to be at fault, the record that was refused by
-- itself before was not.
CREATE FUNCTION kinderconnect._acquit(run bigint, organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	WITH acquitted AS (
		UPDATE kinderconnect.ledger l
		SET state = CASE WHEN b.repeats THEN 'unknown' ELSE 'not_taken' END, code = NULL, message = NULL,
			answered_at = CASE WHEN NOT b.repeats THEN l.answered_at END
		FROM kinderconnect.batch b
		WHERE (b.organization_id, b.agency_id, b.provider_id, b.run_id) = (organization, agency, provider, run)
			AND b.records = 1 AND b.state = 'refused'
			AND (l.organization_id, l.record_id) = (b.organization_id, b.record_ids[1]) AND l.state = 'rejected'
		RETURNING l.record_id, l.state
	)
	UPDATE kinderconnect.child_day d
	SET state = CASE a.state WHEN 'unknown' THEN 'unknown' ELSE 'ready' END, code = NULL, message = NULL, changed_at = now()
	FROM acquitted a
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.record_id) = (organization, agency, provider, a.record_id) AND d.state = 'rejected';
END;
$$;
COMMENT ON FUNCTION kinderconnect._acquit(bigint, text, text, text) IS
'records of a run that were rejected because their batch of one was refused are as if they had not been sent';

CREATE FUNCTION kinderconnect._drop_waiting(organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	unsent record;
BEGIN
	FOR unsent IN
		WITH dropped AS (
			UPDATE kinderconnect.batch b SET state = 'dropped', ended_at = clock_timestamp()
			WHERE b.organization_id = organization AND b.state = 'waiting'
				AND (agency IS NULL OR b.agency_id = agency) AND (provider IS NULL OR b.provider_id = provider)
			RETURNING b.record_ids, b.repeats
		)
		SELECT dropped.repeats, array_agg(r.record_id) AS record_ids
		FROM dropped CROSS JOIN LATERAL unnest(dropped.record_ids) r(record_id)
		GROUP BY dropped.repeats
	LOOP
		PERFORM kinderconnect._settle(organization, unsent.record_ids, CASE WHEN unsent.repeats THEN 'unknown' ELSE 'not_taken' END, NULL, NULL);
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._drop_waiting(text, text, text) IS
'drops the batches that wait, of an organization or of one provider; their days are ready again, or unknown if they were sent before';

CREATE FUNCTION kinderconnect._give_up(run bigint, organization text, agency text, provider text, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM kinderconnect._fail_provider(run, organization, agency, provider, true, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
	PERFORM kinderconnect._drop_waiting(organization, agency, provider);
END;
$$;
COMMENT ON FUNCTION kinderconnect._give_up(bigint, text, text, text, kinderconnect.call_outcome) IS
'nothing more is sent for a provider in this run; what waited is ready again';

-- The night never takes back by itself what it accepted under an authorization
-- or link that is gone: that is a person's decision.
CREATE FUNCTION kinderconnect.void_day(organization_id text, agency_id text, provider_id text, kinderconnect_child_id text, service_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(void_day.organization_id);
	IF num_nulls(void_day.agency_id, void_day.provider_id, void_day.kinderconnect_child_id, void_day.service_date) > 0 THEN
		RAISE EXCEPTION 'agency_id, provider_id, kinderconnect_child_id and service_date must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT kinderconnect._can_void(void_day.organization_id) THEN
		RAISE EXCEPTION 'service of organization "%" cannot take a day back', void_day.organization_id
			USING ERRCODE = 'KC001', HINT = 'Delete the day in the agency''s portal.';
	END IF;
	UPDATE kinderconnect.child_day d SET void_wanted = true
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (void_day.organization_id, void_day.agency_id, void_day.provider_id, void_day.kinderconnect_child_id, void_day.service_date)
		AND d.accepted_kind IS NOT NULL AND d.reason = 'authorization_lost';
	IF NOT FOUND THEN
		RAISE EXCEPTION 'child "%" of agency "%" has no such day that is held as authorization_lost', void_day.kinderconnect_child_id, void_day.agency_id
			USING ERRCODE = 'KC001', DETAIL = format('Provider "%s", %s.', void_day.provider_id, to_char(void_day.service_date, 'YYYY-MM-DD')),
				HINT = 'Days held are listed in kinderconnect.child_day; a day deleted in Manage is taken back by itself.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect.void_day(text, text, text, text, date) IS
'the next run takes back an accepted day whose authorization or link is gone';
