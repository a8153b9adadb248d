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
	IF reconcile.from_date > reconcile.to_date THEN
		RAISE EXCEPTION 'from_date % is after to_date %', reconcile.from_date, reconcile.to_date USING ERRCODE = 'invalid_parameter_value';
	END IF;
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
				WITH there AS (
					SELECT r.kinderconnect_child_id, r.service_date, r.record_id, r.problem,
						kinderconnect.content(r.kind, r.session_in, r.session_out, r.absence_reason) AS content
					FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) r
				), here AS (
					SELECT d.kinderconnect_child_id, d.service_date, d.accepted_record_id AS record_id, d.accepted_content AS content, d.state
					FROM kinderconnect.child_day d
					WHERE (d.organization_id, d.agency_id, d.provider_id) = (org, outcome.agency_id, outcome.provider_id)
						AND d.service_date BETWEEN reconcile.from_date AND reconcile.to_date
						AND (d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))
				)
				SELECT org, outcome.agency_id, outcome.provider_id,
					coalesce(h.kinderconnect_child_id, t.kinderconnect_child_id), coalesce(h.service_date, t.service_date),
					CASE
						WHEN t.problem IS NOT NULL THEN 'unreadable'
						WHEN h.state IN ('sending', 'unknown') THEN 'unresolved'
						WHEN t.content IS NULL THEN 'missing_there'
						WHEN h.content IS NULL THEN 'missing_here'
						ELSE 'different'
					END,
					h.state, h.content, t.content, h.record_id, t.record_id, t.problem
				FROM here h
				FULL JOIN there t ON (t.kinderconnect_child_id, t.service_date) = (h.kinderconnect_child_id, h.service_date)
				WHERE (h.content, h.record_id) IS DISTINCT FROM (t.content, t.record_id)
					OR t.problem IS NOT NULL OR h.state IN ('sending', 'unknown')
				ORDER BY 5, 4;
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
