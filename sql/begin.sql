-- A run begins: its scope is checked and written down, and each of its
-- organizations locked.

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
