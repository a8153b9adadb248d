-- What became of records whose answer was lost: settled before the plan, and
-- again after the transfer; and what may be sent as long as it is not known.

-- What a dead run left under way may have arrived. Runs are locked out by
-- organization, so nothing else can be sending.
CREATE FUNCTION kinderconnect._recover(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.batch b SET state = CASE b.state WHEN 'sending' THEN 'lost' ELSE 'dropped' END, ended_at = clock_timestamp()
	WHERE b.organization_id = organization AND b.state IN ('sending', 'waiting');

	PERFORM kinderconnect._settle(organization, array_agg(l.record_id), 'unknown', NULL, NULL)
	FROM kinderconnect.ledger l
	WHERE l.organization_id = organization AND l.state = 'sending'
	HAVING count(*) > 0;
END;
$$;
COMMENT ON FUNCTION kinderconnect._recover(text) IS
'what a run that died left under way becomes unknown, to be resolved before anything new of the same days';

-- Days that the service accepted under an id that it has merged into another
-- since. Without a provider's row or beyond the horizon nothing is asked.
CREATE FUNCTION kinderconnect._merged_days(organization text)
	RETURNS TABLE (agency_id text, provider_id text, kinderconnect_child_id text, service_date date, former_id text)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	-- apart, for there are few; joined, they are looked for once for each link
	-- as long as the planner knows nothing of links
	WITH o AS MATERIALIZED (
		SELECT k.organization_id, k.agency_id, k.child_id, k.kinderconnect_child_id, k.end_reason
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NOT NULL AND k.end_reason LIKE 'merged into %'
	)
	SELECT DISTINCT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, f.kinderconnect_child_id
	FROM kinderconnect.organization g
	JOIN o ON o.organization_id = g.organization_id
	JOIN kinderconnect.child_link k ON (k.organization_id, k.agency_id, k.child_id) = (o.organization_id, o.agency_id, o.child_id)
		AND k.ended_at IS NULL AND k.kinderconnect_child_id <> o.kinderconnect_child_id
	JOIN kinderconnect.provider_standing p ON (p.organization_id, p.agency_id) = (k.organization_id, k.agency_id) AND p.barred IS NULL
	JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id)
			= (p.organization_id, p.agency_id, p.provider_id, k.kinderconnect_child_id)
		AND d.state = 'held' AND d.reason = 'merged_child' AND d.accepted_content IS NULL
	JOIN kinderconnect.child_day f ON (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
			= (o.organization_id, o.agency_id, d.provider_id, o.kinderconnect_child_id, d.service_date)
		AND f.state = 'held' AND f.accepted_content IS NOT NULL AND NOT f.void_wanted
	WHERE g.organization_id = organization
		AND d.service_date >= greatest((now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer, g.first_enabled - g.backfill_days);
END;
COMMENT ON FUNCTION kinderconnect._merged_days(text) IS
'days held as merged_child, and the id under which the service accepted them';

-- What it accepted under the former id and holds under the new one is the new
-- one's; what else it says leaves the day to a person.
CREATE FUNCTION kinderconnect._take_over_merged(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	taken_at timestamptz := clock_timestamp();
BEGIN
	WITH there AS MATERIALIZED (
		SELECT w.kinderconnect_child_id, w.service_date, min(w.record_id) AS record_id,
			min(kinderconnect.content(w.kind, w.session_in, w.session_out, w.absence_reason)) AS content
		FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w
		GROUP BY w.kinderconnect_child_id, w.service_date
		HAVING count(*) = 1
	), same AS MATERIALIZED (
		SELECT DISTINCT ON (m.kinderconnect_child_id, m.service_date) m.kinderconnect_child_id, m.service_date, m.former_id,
			f.accepted_kind, f.accepted_in, f.accepted_out, f.accepted_reason, f.accepted_content, f.accepted_record_id, t.record_id,
			EXISTS (SELECT FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w
				WHERE (w.kinderconnect_child_id, w.service_date) = (m.former_id, m.service_date)) AS twice
		FROM kinderconnect._merged_days(outcome.organization_id) m
		JOIN kinderconnect.child_day f ON (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
			= (outcome.organization_id, m.agency_id, m.provider_id, m.former_id, m.service_date)
		JOIN there t ON (t.kinderconnect_child_id, t.service_date, t.content) = (m.kinderconnect_child_id, m.service_date, f.accepted_content)
		WHERE (m.agency_id, m.provider_id) = (outcome.agency_id, outcome.provider_id)
		ORDER BY m.kinderconnect_child_id, m.service_date, m.former_id
	), touched AS MATERIALIZED (
		SELECT s.kinderconnect_child_id, s.service_date,
			format('the service holds it as record %s, accepted as child %s', coalesce(s.record_id, s.accepted_record_id), s.former_id) AS detail
		FROM same s
		UNION ALL
		SELECT s.former_id, s.service_date, 'the service holds it as child ' || s.kinderconnect_child_id
		FROM same s WHERE NOT s.twice
	), step AS (
		INSERT INTO kinderconnect.child_day_step
			(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, at, run_id,
			was_state, was_reason, was_detail, was_content, was_modified_at, state, reason, detail, content, modified_at)
		SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, taken_at, run,
			d.state, d.reason, d.detail, d.content, d.modified_at, d.state, d.reason, t.detail, d.content, d.modified_at
		FROM touched t
		JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (outcome.organization_id, outcome.agency_id, outcome.provider_id, t.kinderconnect_child_id, t.service_date)
	), gone AS (
		UPDATE kinderconnect.child_day d
		SET accepted_kind = NULL, accepted_in = NULL, accepted_out = NULL, accepted_reason = NULL, accepted_content = NULL,
			accepted_record_id = NULL, accepted_at = NULL, changed_at = now()
		FROM same s
		WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
				= (outcome.organization_id, outcome.agency_id, outcome.provider_id, s.former_id, s.service_date)
			AND NOT s.twice
	)
	UPDATE kinderconnect.child_day d
	SET accepted_kind = s.accepted_kind, accepted_in = s.accepted_in, accepted_out = s.accepted_out, accepted_reason = s.accepted_reason,
		accepted_content = s.accepted_content, accepted_record_id = coalesce(s.record_id, s.accepted_record_id), accepted_at = taken_at,
		changed_at = now()
	FROM same s
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
		= (outcome.organization_id, outcome.agency_id, outcome.provider_id, s.kinderconnect_child_id, s.service_date);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_over_merged(bigint, kinderconnect.call_outcome) IS
'days that the service accepted under an id and says it holds, the same, under the id that took its place are accepted days of that one; child_day_step tells';

-- One record may be what the service fails at, and with it every batch that it
-- is in. What was lost goes once more as it was, for mostly it was the service;
-- what was lost twice goes in quarters, and these in quarters, down to a single
-- record. What ended with the run, or with the server, tells nothing.
CREATE FUNCTION kinderconnect._lost_records(organization text, agency text, provider text) RETURNS TABLE (record_id text, times bigint, most integer)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.record_id, count(*), CASE count(*) WHEN 1 THEN min(b.records) ELSE (min(b.records) + 3) / 4 END
	FROM kinderconnect.batch b
	CROSS JOIN LATERAL unnest(b.record_ids) r(record_id)
	JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (b.organization_id, r.record_id) AND coalesce(l.state, '') <> 'accepted'
	WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider)
		AND b.state = 'lost' AND b.sqlstate <> 'KC104' AND b.created_at > now() - interval '30 days'
		-- what the service itself rejected since, it did not fail at
		AND (l.state <> 'rejected' OR NOT EXISTS (SELECT FROM kinderconnect.batch a
			WHERE (a.organization_id, a.agency_id, a.provider_id) = (organization, agency, provider)
				AND a.created_at > b.created_at AND a.state IN ('answered', 'refused') AND r.record_id = ANY (a.record_ids)))
	GROUP BY r.record_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._lost_records(text, text, text) IS
'the records of a provider that were in batches whose answer was lost within 30 days, and that the service has not accepted or rejected since: in how many, and in a batch of how many each may go next';

-- It was lost each time, by itself too, in a run in which the service answered
-- for others of the provider: three times, for a service that goes down in the
-- midst of a run loses one twice.
CREATE FUNCTION kinderconnect._culprits(organization text, agency text, provider text) RETURNS TABLE (record_id text, code text, message text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT DISTINCT ON (t.record_id) t.record_id, b.code, b.message
	FROM kinderconnect._lost_records(organization, agency, provider) t
	JOIN kinderconnect.batch b ON (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider)
		AND b.state = 'lost' AND b.sqlstate <> 'KC104' AND b.created_at > now() - interval '30 days' AND b.record_ids = ARRAY[t.record_id]
	WHERE t.times > 2
		AND EXISTS (SELECT FROM kinderconnect.batch a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.run_id) = (organization, agency, provider, b.run_id)
				AND a.created_at >= (SELECT r.started_at FROM kinderconnect.run r WHERE r.run_id = b.run_id) AND a.state = 'answered')
	ORDER BY t.record_id, b.ended_at DESC;
END;
$$;
COMMENT ON FUNCTION kinderconnect._culprits(text, text, text) IS
'the records of a provider whose answer was lost three times or more within 30 days, and that of a batch of their own in a run in which the service answered another; with what it said last';

-- What the search for a culprit may cost a provider in a night: two batches lost
-- in a row end it, as many as there are if the service is down, and so do eight
-- in all. What it answers meanwhile are quarters of what was lost, four of each
-- at most: of a night's own, 40 requests with those lost. And a night has six
-- more passes than two, with a read-back and a plan each.
CREATE FUNCTION kinderconnect._lost_so_far(run bigint, organization text, agency text, provider text, OUT last boolean, OUT enough boolean, OUT answered boolean)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT count(*) FILTER (WHERE b.since) > 0, count(*) FILTER (WHERE b.since) > 1 OR count(*) FILTER (WHERE b.state = 'lost') > 7, count(b.answered_at) > 0
	INTO last, enough, answered
	FROM (SELECT b.state, b.answered_at, b.state = 'lost' AND (b.ended_at <= b.answered_at) IS NOT TRUE AS since
		FROM (SELECT b.state, b.ended_at, max(b.ended_at) FILTER (WHERE b.state IN ('answered', 'refused')) OVER () AS answered_at
			FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id, b.run_id) = (organization, agency, provider, run)
				AND b.created_at >= (SELECT r.started_at FROM kinderconnect.run r WHERE r.run_id = run)) b) b;
END;
$$;
COMMENT ON FUNCTION kinderconnect._lost_so_far(bigint, text, text, text) IS
'of a provider''s batches in a run: whether the answer to the last was lost, whether so many were that no more is sent in this run, and whether any was answered or refused';

-- A record that is unknown keeps the days of its child from being sent, by
-- whichever id the agency knows it: none of the others. But a service that does
-- not answer is not sent the others to be lost too: only one that listed the
-- provider's children in this run and, where it lost a batch, has answered
-- another. What was lost before does not take along what was not, which goes
-- first.
CREATE FUNCTION kinderconnect._days_to_try(run bigint, organization text, agency text, provider text, from_date date, to_date date) RETURNS tid[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	doubt boolean := EXISTS (SELECT FROM kinderconnect.ledger l
		WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state IN ('sending', 'unknown'));
	lost  record;
BEGIN
	IF NOT doubt AND NOT EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider)
				AND b.state = 'lost' AND b.created_at > now() - interval '30 days') THEN
		RETURN NULL;
	END IF;
	lost := kinderconnect._lost_so_far(run, organization, agency, provider);
	IF lost.enough OR doubt AND (lost.last AND NOT lost.answered OR NOT kinderconnect._listed_tonight(run, organization, agency, provider)) THEN
		RETURN '{}';
	ELSIF NOT doubt AND NOT EXISTS (SELECT FROM kinderconnect._lost_records(organization, agency, provider)) THEN
		RETURN NULL;
	END IF;
	RETURN ARRAY(SELECT n.tid
		FROM (SELECT t.tid, t.most, max(t.most) OVER () AS first,
				row_number() OVER (ORDER BY t.most DESC, t.times NULLS FIRST, t.service_date, t.kinderconnect_child_id) AS n
			FROM (SELECT d.ctid AS tid, d.service_date, d.kinderconnect_child_id, r.times,
					coalesce(CASE WHEN d.accepted_record_id IS DISTINCT FROM d.record_id THEN r.most END, 2147483647) AS most
				FROM kinderconnect.child_day d
				LEFT JOIN kinderconnect._lost_records(organization, agency, provider) r ON r.record_id = d.record_id
				WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, agency, provider) AND d.state = 'ready'
					AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
					AND NOT EXISTS (SELECT FROM kinderconnect.ledger l
						WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state IN ('sending', 'unknown')
							AND l.service_date = d.service_date AND (l.kinderconnect_child_id = d.kinderconnect_child_id OR l.child_id = d.child_id))) t) n
		WHERE n.most = n.first AND n.n <= least(n.first, kinderconnect._most_records(organization, agency, provider))
		ORDER BY n.n);
END;
$$;
COMMENT ON FUNCTION kinderconnect._days_to_try(bigint, text, text, text, date, date) IS
'the ready days of a provider that may be sent together next, where the answer to any of its records is lost, or was within 30 days; null: of none, and all may';

-- Unknown records, where the service can be asked: it holds a record or it
-- does not. A void left nothing behind if it arrived. What it does not hold and
-- had a word for, that word refused: sent again it would get the same. And so
-- would a culprit. Of what may be an entry that cannot be read, nobody knows.
CREATE FUNCTION kinderconnect._take_readback(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	answer record;
BEGIN
	FOR answer IN
		WITH there AS MATERIALIZED (
			SELECT w.record_id, w.kinderconnect_child_id, w.service_date, w.problem IS NOT NULL AND w.record_id IS NULL AS is_anybody
			FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w
		)
		SELECT s.verdict, array_agg(s.record_id) AS record_ids, array_agg(s.code) AS codes, array_agg(s.message) AS messages
		FROM (SELECT l.record_id, CASE WHEN num_nonnulls(l.code, l.message) > 0 THEN l.code ELSE c.code END AS code,
				CASE WHEN num_nonnulls(l.code, l.message) > 0 THEN l.message
					ELSE concat_ws('; ', c.message, 'so it was each time this record was sent, by itself too, and the service does not hold it: correct the day, or report it to the service and call kinderconnect.retry()') END AS message,
				CASE
				WHEN l.record_id IN (SELECT t.record_id FROM there t) THEN 'accepted'
				WHEN EXISTS (SELECT FROM there t
					WHERE (t.is_anybody OR l.kind = 'void' AND num_nulls(t.kinderconnect_child_id, t.service_date) > 0)
						AND (t.kinderconnect_child_id = l.kinderconnect_child_id) IS NOT FALSE AND (t.service_date = l.service_date) IS NOT FALSE) THEN NULL
				WHEN l.kind = 'void' AND NOT EXISTS (SELECT FROM there t
					WHERE (t.kinderconnect_child_id, t.service_date) = (l.kinderconnect_child_id, l.service_date)) THEN 'accepted'
				WHEN num_nonnulls(l.code, l.message, c.record_id) > 0 THEN 'rejected'
				ELSE 'not_taken' END AS verdict
			FROM kinderconnect.ledger l
			LEFT JOIN kinderconnect._culprits(outcome.organization_id, outcome.agency_id, outcome.provider_id) c ON c.record_id = l.record_id
			WHERE (l.organization_id, l.agency_id, l.provider_id) = (outcome.organization_id, outcome.agency_id, outcome.provider_id)
				AND l.state = 'unknown') s
		WHERE s.verdict IS NOT NULL
		GROUP BY s.verdict
	LOOP
		PERFORM kinderconnect._settle(outcome.organization_id, answer.record_ids, answer.verdict,
			CASE WHEN answer.verdict = 'rejected' THEN answer.codes END, CASE WHEN answer.verdict = 'rejected' THEN answer.messages END);
	END LOOP;
	IF outcome.problems > 0 THEN
		PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, false, 'KC301',
			format('%s records of the read-back cannot be understood', outcome.problems),
			'Days whose answer was lost, and that may be one of these, stay unknown until it can be read; see kinderconnect.api_readback().');
	ELSE
		PERFORM kinderconnect._take_over_merged(run, outcome);
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_readback(bigint, kinderconnect.call_outcome) IS
'settles the unknown records of a provider by what the service says it holds, and takes over what it holds of merged children';

-- Unknown records, where the service cannot be asked what it holds: the same
-- records once more, which it answers as duplicates if it had them.
CREATE FUNCTION kinderconnect._repeat_unknown(run bigint, organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	largest integer;
	part    text[];
	spared  text[];
	parts   text[] := '{}';
BEGIN
	-- what this run does not send stays unknown, not 'sending' in a batch that waits
	IF EXISTS (SELECT FROM kinderconnect.run_provider p
			WHERE (p.organization_id, p.run_id, p.agency_id, p.provider_id) = (organization, run, agency, provider) AND p.halted)
		OR NOT EXISTS (SELECT FROM kinderconnect.provider_standing p
			WHERE (p.organization_id, p.agency_id, p.provider_id) = (organization, agency, provider) AND p.barred IS NULL)
		OR (kinderconnect._lost_so_far(run, organization, agency, provider)).enough THEN
		RETURN;
	END IF;
	-- what was lost again and again lets tonight's new days go first
	spared := ARRAY(SELECT r.record_id FROM kinderconnect._lost_records(organization, agency, provider) r
		WHERE r.times > 1 AND NOT EXISTS (SELECT FROM kinderconnect.run_organization o
			WHERE (o.organization_id, o.run_id) = (organization, run) AND o.step = 'plan'));
	largest := kinderconnect._most_records(organization, agency, provider);
	FOR part IN
		SELECT array_agg(n.record_id)
		FROM (SELECT l.record_id, t.most, row_number() OVER (PARTITION BY t.most ORDER BY l.service_date, l.kinderconnect_child_id, l.record_id) - 1 AS n
			FROM kinderconnect.ledger l
			LEFT JOIN kinderconnect._lost_records(organization, agency, provider) r ON r.record_id = l.record_id
			CROSS JOIN LATERAL (SELECT least(r.most, largest) AS most) t
			WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state = 'unknown'
				AND l.record_id <> ALL (spared) AND kinderconnect._is_still_its(l)) n
		GROUP BY n.most, n.n / n.most
		-- by lot, so that it is not always the same that are not reached
		ORDER BY md5(run || min(n.record_id))
	LOOP
		PERFORM kinderconnect._new_batch(run, organization, agency, provider, NULL, false, true, part);
		parts := parts || part;
	END LOOP;
	UPDATE kinderconnect.ledger l SET state = 'sending', run_id = run
	WHERE l.organization_id = organization AND l.record_id = ANY (parts) AND l.state = 'unknown';
END;
$$;
COMMENT ON FUNCTION kinderconnect._repeat_unknown(bigint, text, text, text) IS
'puts the unknown records of a provider into waiting batches again, same ids and content';

-- The plan left alone what was unknown then. What Manage says of these days
-- by now is judged before any of it is sent, when the last batch of them is in;
-- what is unknown even then does not keep the others.
CREATE FUNCTION kinderconnect._plan_resolved(run bigint, organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM kinderconnect.ledger l
			WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state = 'sending') THEN
		PERFORM kinderconnect._plan(organization, agency, provider, (r.scope ->> 'from_date')::date, (r.scope ->> 'to_date')::date)
		FROM kinderconnect.run r WHERE r.run_id = run;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._plan_resolved(bigint, text, text, text) IS 'plans a provider anew, when none of its records is on its way any more';
