-- Does the service hold what we say it holds? Asked of the service itself,
-- where its dialect can tell.

CREATE TYPE kinderconnect.reconcile_difference AS (
	organization_id        text,
	agency_id              text,
	provider_id            text,
	kinderconnect_child_id text,
	service_date           date,
	difference             text,
	state                  text,
	held_here              text,
	held_there             text,
	record_here            text,
	record_there           text,
	message                text
);
COMMENT ON TYPE kinderconnect.reconcile_difference IS
'a row of reconcile(). difference: missing_there, we say that the service holds the day; missing_here, it holds a day we know nothing of; different, another content, or ours under a record that is not ours; unresolved, the day''s answer is still unknown; unreadable, a record of the reply; no_answer, a provider could not be asked, message says why. held_here and held_there are contents, as in child_day';

-- One provider, of which the service has told by a read-back of these dates.
CREATE FUNCTION kinderconnect._differences(ticket bigint, organization text, agency text, provider text, from_date date, to_date date)
	RETURNS TABLE (kinderconnect_child_id text, service_date date, difference text, state text, held_here text, held_there text,
		record_here text, record_there text, problem text, kind text, session_in time[], session_out time[], absence_reason text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH there AS (
		SELECT r.*, kinderconnect.content(r.kind, r.session_in, r.session_out, r.absence_reason) AS content
		FROM kinderconnect._rows(ticket, NULL::kinderconnect.reply_record) r
	), here AS (
		SELECT d.kinderconnect_child_id, d.service_date, d.accepted_record_id AS record_id, d.accepted_content AS content, d.state
		FROM kinderconnect.child_day d
		WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, agency, provider)
			AND d.service_date BETWEEN from_date AND to_date
			AND (d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))
	)
	SELECT coalesce(h.kinderconnect_child_id, t.kinderconnect_child_id), coalesce(h.service_date, t.service_date),
		CASE
			WHEN t.problem IS NOT NULL THEN 'unreadable'
			WHEN h.state IN ('sending', 'unknown') THEN 'unresolved'
			WHEN t.content IS NULL THEN 'missing_there'
			WHEN h.content IS NULL THEN 'missing_here'
			ELSE 'different'
		END,
		h.state, h.content, t.content, h.record_id, t.record_id, t.problem, t.kind, t.session_in, t.session_out, t.absence_reason
	FROM here h
	FULL JOIN there t ON (t.kinderconnect_child_id, t.service_date) = (h.kinderconnect_child_id, h.service_date)
	WHERE (h.content, h.record_id) IS DISTINCT FROM (t.content, t.record_id)
		OR t.problem IS NOT NULL OR h.state IN ('sending', 'unknown')
	ORDER BY 2, 1;
END;
$$;
COMMENT ON FUNCTION kinderconnect._differences(bigint, text, text, text, date, date) IS
'what a provider''s collected read-back says otherwise than child_day; the last columns are what the service holds';

CREATE FUNCTION kinderconnect.reconcile(organization_id text, from_date date, to_date date,
		agency_id text DEFAULT NULL, provider_id text DEFAULT NULL)
	RETURNS SETOF kinderconnect.reconcile_difference
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	org     text := reconcile.organization_id;
	item    record;
	outcome kinderconnect.call_outcome;
	more    boolean := true;
BEGIN
	PERFORM kinderconnect._require_organization(org);
	IF reconcile.from_date IS NULL OR reconcile.to_date IS NULL THEN
		RAISE EXCEPTION 'from_date and to_date must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM kinderconnect._require_period(reconcile.from_date, reconcile.to_date);
	PERFORM kinderconnect._require_provider(org, reconcile.agency_id, reconcile.provider_id);
	IF NOT kinderconnect._speaks(org, 'readback') THEN
		RAISE EXCEPTION 'service of organization "%" cannot be asked what it holds', org
			USING ERRCODE = 'KC001', HINT = 'Its dialect has no operation "readback"; compare in the agency''s portal.';
	END IF;

	-- Every provider of which either side may hold something, also one that
	-- takes part no more.
	PERFORM kinderconnect._open(NULL);
	FOR item IN
		SELECT p.agency_id, p.provider_id FROM kinderconnect.provider p
		WHERE p.organization_id = org
			AND (reconcile.agency_id IS NULL OR p.agency_id = reconcile.agency_id)
			AND (reconcile.provider_id IS NULL OR p.provider_id = reconcile.provider_id)
		ORDER BY p.agency_id, p.provider_id
	LOOP
		PERFORM kinderconnect._start('readback', org, item.agency_id, item.provider_id,
			from_date => reconcile.from_date, to_date => reconcile.to_date);
	END LOOP;

	WHILE more LOOP
		more := false;
		FOR outcome IN SELECT * FROM kinderconnect._collect() LOOP
			more := true;
			IF outcome.ok THEN
				RETURN QUERY
				SELECT org, outcome.agency_id, outcome.provider_id, d.kinderconnect_child_id, d.service_date, d.difference, d.state,
					d.held_here, d.held_there, d.record_here, d.record_there, d.problem
				FROM kinderconnect._differences(outcome.ticket, org, outcome.agency_id, outcome.provider_id,
					reconcile.from_date, reconcile.to_date) d;
			ELSE
				RETURN NEXT (org, outcome.agency_id, outcome.provider_id, NULL, NULL, 'no_answer', NULL, NULL, NULL, NULL, NULL,
					kinderconnect._said(outcome))::kinderconnect.reconcile_difference;
			END IF;
			PERFORM kinderconnect._release(outcome.ticket);
		END LOOP;
	END LOOP;
	PERFORM kinderconnect._close();
END;
$$;
COMMENT ON FUNCTION kinderconnect.reconcile(text, date, date, text, text) IS
'asks the service what attendance it holds for an organization, service dates inclusive, or for one agency or provider of it, and answers the differences from what we say it holds: no rows, no difference. Changes nothing';

-- The night compares a few providers by itself, those first that it has not
-- compared for longest. A difference changes nothing: it is written down, with
-- what a person may do.

CREATE TABLE kinderconnect.comparison (
	organization_id text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id       text COLLATE "C" NOT NULL,
	provider_id     text COLLATE "C" NOT NULL,
	run_id          bigint NOT NULL,
	from_date       date NOT NULL,
	to_date         date NOT NULL,
	asked_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
	compared_at     timestamptz,
	differences     integer,
	error           text,
	PRIMARY KEY (organization_id, agency_id, provider_id)
);
COMMENT ON TABLE kinderconnect.comparison IS 'when the night last compared what the service holds for a provider with what we say it holds';
COMMENT ON COLUMN kinderconnect.comparison.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.comparison.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.comparison.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.comparison.run_id IS 'the run that asked last';
COMMENT ON COLUMN kinderconnect.comparison.from_date IS 'first service date asked for';
COMMENT ON COLUMN kinderconnect.comparison.to_date IS 'last service date asked for';
COMMENT ON COLUMN kinderconnect.comparison.asked_at IS 'when the service was asked last';
COMMENT ON COLUMN kinderconnect.comparison.compared_at IS 'when it last answered so that the two could be compared; null: never';
COMMENT ON COLUMN kinderconnect.comparison.differences IS 'how many differences there were then: the open rows of comparison_difference';
COMMENT ON COLUMN kinderconnect.comparison.error IS 'why the last question led to no comparison; null: it did';

CREATE TABLE kinderconnect.comparison_difference (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL,
	provider_id            text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	service_date           date NOT NULL,
	first_seen             timestamptz NOT NULL,
	last_seen              timestamptz NOT NULL,
	gone                   timestamptz,
	difference             text NOT NULL CHECK (difference IN ('missing_there', 'missing_here', 'different')),
	state                  text,
	held_here              text,
	held_there             text,
	record_here            text,
	record_there           text,
	kind_there             text,
	in_there               time[],
	out_there              time[],
	reason_there           text,
	what_to_do             text GENERATED ALWAYS AS (CASE difference
		WHEN 'missing_there' THEN 'The agency may have deleted the day: ask. retry() sends it again.'
		WHEN 'different' THEN CASE WHEN held_here = held_there THEN 'Nothing need be done: somebody entered the same at the agency.' ELSE 'Somebody may have entered the day at the agency: ask. retry() sends again what Manage says.' END
		ELSE 'Somebody may have entered the day at the agency. If Manage has it too, it is sent in its place; else delete it in the agency''s portal.'
	END) STORED,
	PRIMARY KEY (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, first_seen)
);
COMMENT ON TABLE kinderconnect.comparison_difference IS
'where what the service holds was found otherwise than what we say it holds, a row from when it was first seen until it is gone. Nothing is done about it until a person does';
COMMENT ON COLUMN kinderconnect.comparison_difference.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.comparison_difference.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.comparison_difference.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.comparison_difference.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.comparison_difference.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.comparison_difference.first_seen IS 'when a comparison first found it';
COMMENT ON COLUMN kinderconnect.comparison_difference.last_seen IS 'when one last did';
COMMENT ON COLUMN kinderconnect.comparison_difference.gone IS 'when one found it no longer, or otherwise; null: it stands';
COMMENT ON COLUMN kinderconnect.comparison_difference.difference IS 'missing_there, we say that the service holds the day; missing_here, it holds a day we know nothing of; different, another content, or ours under a record that is not ours';
COMMENT ON COLUMN kinderconnect.comparison_difference.state IS 'the day''s state here when it was last seen; null: no such day';
COMMENT ON COLUMN kinderconnect.comparison_difference.held_here IS 'what we say the service holds, as in child_day';
COMMENT ON COLUMN kinderconnect.comparison_difference.held_there IS 'what it holds, likewise';
COMMENT ON COLUMN kinderconnect.comparison_difference.record_here IS 'the record of ours that put it there';
COMMENT ON COLUMN kinderconnect.comparison_difference.record_there IS 'the record the service names';
COMMENT ON COLUMN kinderconnect.comparison_difference.kind_there IS 'what it holds: session, absence, closure';
COMMENT ON COLUMN kinderconnect.comparison_difference.in_there IS 'what it holds: check-ins, wall time at the location';
COMMENT ON COLUMN kinderconnect.comparison_difference.out_there IS 'what it holds: check-outs';
COMMENT ON COLUMN kinderconnect.comparison_difference.reason_there IS 'what it holds: absence reason';
COMMENT ON COLUMN kinderconnect.comparison_difference.what_to_do IS 'the cure';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.comparison', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.comparison_difference', '');

CREATE FUNCTION kinderconnect._providers_to_compare(run bigint, organization text)
	RETURNS TABLE (agency_id text, provider_id text, from_date date, to_date date)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	-- apart, so that who stands how is asked once, and not for each clock
	WITH p AS MATERIALIZED (
		SELECT s.organization_id, s.agency_id, s.provider_id FROM kinderconnect.provider_standing s
		WHERE s.organization_id = organization AND s.barred IS NULL
	)
	SELECT p.agency_id, p.provider_id,
		greatest((now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer, o.first_enabled - o.backfill_days),
		(now() AT TIME ZONE 'Pacific/Honolulu')::date
	FROM kinderconnect.organization o
	JOIN p ON p.organization_id = o.organization_id
	JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND k.run_id = run
	LEFT JOIN kinderconnect.comparison c ON (c.organization_id, c.agency_id, c.provider_id) = (p.organization_id, p.agency_id, p.provider_id)
	WHERE o.organization_id = organization AND kinderconnect._speaks(organization, 'readback')
	ORDER BY c.asked_at NULLS FIRST, p.agency_id, p.provider_id
	LIMIT kinderconnect.setting('compare_providers')::integer;
END;
COMMENT ON FUNCTION kinderconnect._providers_to_compare(bigint, text) IS
'the providers of an organization with a part in a run that it compares, and the service dates: its horizon; none where the service cannot be asked what it holds';

CREATE FUNCTION kinderconnect._ask_comparison(run bigint, organization text, agency text, provider text, from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM kinderconnect._start('readback', organization, agency, provider, from_date => _ask_comparison.from_date, to_date => _ask_comparison.to_date);
	INSERT INTO kinderconnect.comparison AS c (organization_id, agency_id, provider_id, run_id, from_date, to_date, error)
	VALUES (organization, agency, provider, run, _ask_comparison.from_date, _ask_comparison.to_date, 'no answer yet')
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET run_id = excluded.run_id, from_date = excluded.from_date, to_date = excluded.to_date, asked_at = excluded.asked_at, error = excluded.error;
EXCEPTION WHEN OTHERS THEN
	-- the next night will say so where it matters
	RAISE LOG 'could not ask what the service holds for provider "%" of organization "%" (%)', provider, organization, SQLSTATE;
END;
$$;
COMMENT ON FUNCTION kinderconnect._ask_comparison(bigint, text, text, text, date, date) IS 'asks the service what it holds for a provider, to compare it';

CREATE FUNCTION kinderconnect._take_comparison(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	asked   kinderconnect.comparison;
	seen_at timestamptz := clock_timestamp();
	found   integer;
	trouble text := CASE
		WHEN NOT outcome.ok THEN kinderconnect._said(outcome)
		WHEN outcome.problems > 0 THEN format('%s records of the read-back cannot be understood', outcome.problems) END;
BEGIN
	SELECT * INTO STRICT asked FROM kinderconnect.comparison c
	WHERE (c.organization_id, c.agency_id, c.provider_id) = (outcome.organization_id, outcome.agency_id, outcome.provider_id);
	IF trouble IS NULL THEN
		WITH differs AS MATERIALIZED (
			SELECT * FROM kinderconnect._differences(outcome.ticket, asked.organization_id, asked.agency_id, asked.provider_id, asked.from_date, asked.to_date) d
			WHERE d.difference <> 'unresolved'
		), known AS (
			UPDATE kinderconnect.comparison_difference f
			SET last_seen = seen_at, state = d.state
			FROM differs d
			WHERE (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
					= (asked.organization_id, asked.agency_id, asked.provider_id, d.kinderconnect_child_id, d.service_date)
				AND f.gone IS NULL
				AND (f.difference, f.held_here, f.held_there, f.record_here, f.record_there)
					IS NOT DISTINCT FROM (d.difference, d.held_here, d.held_there, d.record_here, d.record_there)
			RETURNING f.kinderconnect_child_id, f.service_date
		), gone AS (
			UPDATE kinderconnect.comparison_difference f SET gone = seen_at
			WHERE (f.organization_id, f.agency_id, f.provider_id) = (asked.organization_id, asked.agency_id, asked.provider_id)
				AND f.gone IS NULL AND f.service_date BETWEEN asked.from_date AND asked.to_date
				AND NOT EXISTS (SELECT FROM differs d
					WHERE (f.kinderconnect_child_id, f.service_date, f.difference) = (d.kinderconnect_child_id, d.service_date, d.difference)
						AND (f.held_here, f.held_there, f.record_here, f.record_there)
							IS NOT DISTINCT FROM (d.held_here, d.held_there, d.record_here, d.record_there))
		), new AS (
			INSERT INTO kinderconnect.comparison_difference (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date,
				first_seen, last_seen, difference, state, held_here, held_there, record_here, record_there, kind_there, in_there, out_there, reason_there)
			SELECT asked.organization_id, asked.agency_id, asked.provider_id, d.kinderconnect_child_id, d.service_date,
				seen_at, seen_at, d.difference, d.state, d.held_here, d.held_there, d.record_here, d.record_there,
				d.kind, d.session_in, d.session_out, d.absence_reason
			FROM differs d
			WHERE NOT EXISTS (SELECT FROM known k WHERE (k.kinderconnect_child_id, k.service_date) = (d.kinderconnect_child_id, d.service_date))
		)
		SELECT count(*) INTO found FROM differs;
		INSERT INTO kinderconnect.run_provider AS p (organization_id, run_id, agency_id, provider_id, differences)
		VALUES (asked.organization_id, run, asked.agency_id, asked.provider_id, found)
		ON CONFLICT (organization_id, run_id, agency_id, provider_id) DO UPDATE SET differences = excluded.differences;
	END IF;
	UPDATE kinderconnect.comparison c
	SET compared_at = CASE WHEN trouble IS NULL THEN seen_at ELSE c.compared_at END,
		differences = coalesce(found, c.differences), error = trouble
	WHERE (c.organization_id, c.agency_id, c.provider_id) = (asked.organization_id, asked.agency_id, asked.provider_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_comparison(bigint, kinderconnect.call_outcome) IS
'writes down where what the service holds differs from what we say it holds; where it cannot be asked only that';

CREATE FUNCTION kinderconnect.retry(organization_id text, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL,
		kinderconnect_child_id text DEFAULT NULL, from_date date DEFAULT NULL, to_date date DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	rejected bigint;
	differing bigint;
BEGIN
	PERFORM kinderconnect._require_organization(retry.organization_id);
	PERFORM kinderconnect._require_provider(retry.organization_id, retry.agency_id, retry.provider_id);
	PERFORM kinderconnect._require_period(retry.from_date, retry.to_date);
	UPDATE kinderconnect.child_day d SET sent_basis = NULL
	WHERE d.organization_id = retry.organization_id AND d.state = 'rejected'
		AND (retry.agency_id IS NULL OR d.agency_id = retry.agency_id)
		AND (retry.provider_id IS NULL OR d.provider_id = retry.provider_id)
		AND (retry.kinderconnect_child_id IS NULL OR d.kinderconnect_child_id = retry.kinderconnect_child_id)
		AND d.service_date BETWEEN coalesce(retry.from_date, '-infinity') AND coalesce(retry.to_date, 'infinity')
		AND d.service_date > (now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer;
	GET DIAGNOSTICS rejected = ROW_COUNT;

	-- where a comparison found that the service holds something else, that is
	-- what is to be corrected
	UPDATE kinderconnect.child_day d
	SET state = 'ready', accepted_kind = f.kind_there, accepted_in = f.in_there, accepted_out = f.out_there, accepted_reason = f.reason_there,
		accepted_content = f.held_there,
		accepted_record_id = CASE WHEN f.held_there IS NOT NULL THEN d.accepted_record_id END,
		accepted_at = CASE WHEN f.held_there IS NOT NULL THEN d.accepted_at END, changed_at = now()
	FROM kinderconnect.comparison_difference f
	WHERE f.organization_id = retry.organization_id AND f.gone IS NULL AND f.difference IN ('missing_there', 'different')
		-- and not what has been sent since
		AND f.held_there IS DISTINCT FROM f.held_here AND f.last_seen > d.accepted_at
		AND (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
		AND d.state = 'accepted' AND d.accepted_content = f.held_here
		AND (retry.agency_id IS NULL OR d.agency_id = retry.agency_id)
		AND (retry.provider_id IS NULL OR d.provider_id = retry.provider_id)
		AND (retry.kinderconnect_child_id IS NULL OR d.kinderconnect_child_id = retry.kinderconnect_child_id)
		AND d.service_date BETWEEN coalesce(retry.from_date, '-infinity') AND coalesce(retry.to_date, 'infinity')
		AND d.service_date > (now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer;
	GET DIAGNOSTICS differing = ROW_COUNT;
	RETURN rejected + differing;
END;
$$;
COMMENT ON FUNCTION kinderconnect.retry(text, text, text, text, date, date) IS
'the next run sends these days again although nothing changed in Manage: rejected ones, and accepted ones of which the service holds something else or nothing (comparison_difference); answers how many. Days older than the horizon are not looked at';
