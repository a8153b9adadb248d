-- What a run tells whoever listens, and the server's log. Many may read both:
-- no name, no birth date, no secret and nothing that the service wrote ever
-- stands in them.

CREATE FUNCTION kinderconnect._failure_word(sqlstate text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE sqlstate
		WHEN 'KC001' THEN 'configuration'
		WHEN 'KC002' THEN 'a secret or its file'
		WHEN 'KC101' THEN 'not reached'
		WHEN 'KC102' THEN 'no trusted TLS connection'
		WHEN 'KC103' THEN 'the answer was lost'
		WHEN 'KC104' THEN 'the deadline'
		WHEN 'KC201' THEN 'token refused'
		WHEN 'KC202' THEN 'group password refused'
		WHEN 'KC203' THEN 'provider not in the group'
		WHEN 'KC204' THEN 'refused'
		WHEN 'KC205' THEN 'busy or down'
		WHEN 'KC301' THEN 'an answer not as agreed, or a list that shrank'
		WHEN 'KC302' THEN 'an answer too large'
		WHEN 'KC401' THEN 'another run is busy with it'
		WHEN 'KC403' THEN 'stopped'
		ELSE CASE WHEN starts_with(sqlstate, 'KC') THEN 'an error' ELSE 'an error of the database' END
	END;
COMMENT ON FUNCTION kinderconnect._failure_word(text) IS 'an SQLSTATE in a few words of ours, fit for a log';

CREATE FUNCTION kinderconnect._tell_begin(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	begun         kinderconnect.run;
	organizations bigint;
BEGIN
	SELECT * INTO STRICT begun FROM kinderconnect.run r WHERE r.run_id = run;
	SELECT count(*) INTO organizations FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.locked;
	PERFORM pg_notify('kinderconnect', jsonb_build_object('event', 'start', 'run_id', run, 'at', begun.started_at,
		'organizations', organizations, 'due', begun.scope ? 'due')::text);
	RAISE LOG 'kinderconnect: run % begins, % organizations, started by %', run, organizations,
		CASE WHEN begun.scope ? 'due' THEN 'the clock' ELSE 'hand' END;
END;
$$;
COMMENT ON FUNCTION kinderconnect._tell_begin(bigint) IS 'NOTIFY kinderconnect and a line of the log, at the begin of a run';

CREATE FUNCTION kinderconnect._tell_dead(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pg_notify('kinderconnect', jsonb_build_object('event', 'failure', 'run_id', run, 'at', clock_timestamp(), 'status', 'interrupted')::text);
	RAISE LOG 'kinderconnect: run % was interrupted; the next one heals it', run;
END;
$$;
COMMENT ON FUNCTION kinderconnect._tell_dead(bigint) IS 'NOTIFY kinderconnect and a line of the log, for a run found dead';

CREATE FUNCTION kinderconnect._tell_end(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ended   kinderconnect.run;
	failing record;
	total   record;
BEGIN
	SELECT * INTO STRICT ended FROM kinderconnect.run r WHERE r.run_id = run;
	SELECT coalesce(sum(p.sent), 0) AS sent, coalesce(sum(p.accepted), 0) AS accepted, coalesce(sum(p.rejected), 0) AS rejected,
		coalesce(sum(p.voided), 0) AS voided, coalesce(sum(p.unanswered), 0) AS unanswered, coalesce(sum(p.held), 0) AS held,
		count(*) FILTER (WHERE p.sqlstate IS NOT NULL) AS failed_providers,
		(SELECT count(*) FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.sqlstate IS NOT NULL) AS failed_organizations,
		extract(epoch FROM ended.ended_at - ended.started_at)::bigint AS seconds
	INTO total FROM kinderconnect.run_provider p WHERE p.run_id = run;

	FOR failing IN
		SELECT format('organization "%s"', o.organization_id) AS who, o.sqlstate FROM kinderconnect.run_organization o
		WHERE o.run_id = run AND o.sqlstate IS NOT NULL
		UNION ALL
		SELECT format('organization "%s", agency "%s", provider "%s"', p.organization_id, p.agency_id, p.provider_id), p.sqlstate
		FROM kinderconnect.run_provider p WHERE p.run_id = run AND p.sqlstate IS NOT NULL
		ORDER BY 1
	LOOP
		RAISE LOG 'kinderconnect: run %: % failed: % (%)', run, failing.who, kinderconnect._failure_word(failing.sqlstate), failing.sqlstate;
	END LOOP;
	RAISE LOG 'kinderconnect: run % % after % s%: % accepted, % rejected, % taken back, % unanswered, % held; % organizations and % providers failed',
		run, ended.status, total.seconds, coalesce(' (' || kinderconnect._failure_word(ended.sqlstate) || ')', ''),
		total.accepted, total.rejected, total.voided, total.unanswered, total.held, total.failed_organizations, total.failed_providers;
	PERFORM pg_notify('kinderconnect', jsonb_build_object('event', CASE ended.status WHEN 'failed' THEN 'failure' ELSE 'end' END,
		'run_id', run, 'at', ended.ended_at, 'status', ended.status, 'sqlstate', ended.sqlstate, 'seconds', total.seconds,
		'sent', total.sent, 'accepted', total.accepted, 'rejected', total.rejected, 'voided', total.voided, 'unanswered', total.unanswered,
		'held', total.held, 'failed_organizations', total.failed_organizations, 'failed_providers', total.failed_providers)::text);
END;
$$;
COMMENT ON FUNCTION kinderconnect._tell_end(bigint) IS 'NOTIFY kinderconnect and lines of the log, at the end of a run';
