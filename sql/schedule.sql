-- The clock: one pg_cron job whose text is one bare CALL, and which only
-- ticks. pg_cron is looked up when it is needed; without it, any timer can
-- CALL the same procedure.

-- Written by every tick: unlogged, so that it costs neither a row nor WAL.
CREATE UNLOGGED SEQUENCE kinderconnect.last_tick MINVALUE 0 START 0;
COMMENT ON SEQUENCE kinderconnect.last_tick IS 'when tick() last ran, in seconds since 1970; begins anew after a crash of the server';

CREATE FUNCTION kinderconnect._tick(shard integer, shards integer) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	at     timestamptz := clock_timestamp();
	due_at timestamptz;
BEGIN
	IF num_nonnulls(shard, shards) > 0 THEN
		PERFORM kinderconnect._require_shard(shard, shards, NULL);
	END IF;
	IF pg_is_in_recovery() THEN
		RETURN false;
	END IF;
	PERFORM setval('kinderconnect.last_tick', extract(epoch FROM at)::bigint);
	IF (SELECT l.last_value FROM kinderconnect.next_look l) > extract(epoch FROM at) OR kinderconnect._stopped_because() IS NOT NULL THEN
		RETURN false;
	ELSIF EXISTS (SELECT FROM kinderconnect._due_now() d WHERE kinderconnect._in_shard(d.organization_id, shard, shards)) THEN
		RETURN true;
	END IF;
	BEGIN
		LOCK TABLE kinderconnect.provider_clock IN SHARE ROW EXCLUSIVE MODE NOWAIT;
	EXCEPTION WHEN lock_not_available THEN
		RETURN false;		-- see _look_again()
	END;
	SELECT min(CASE WHEN t.due_at IS NULL THEN kinderconnect._scheduled(t.cadence, t.local_time, t.days, t.anchor, t.month_days, t.time_zone, at, true)
		ELSE t.due_at END)
	INTO due_at
	FROM (SELECT DISTINCT d.cadence, d.local_time, d.days, d.anchor, d.month_days, d.time_zone, d.due_at FROM kinderconnect._due_as_of(at) d) t;
	PERFORM setval('kinderconnect.next_look', floor(extract(epoch FROM least(due_at, at + interval '1 hour')))::bigint);
	RETURN false;
END;
$$;
COMMENT ON FUNCTION kinderconnect._tick(integer, integer) IS 'whether a tick has anything to do; notes that there was one, and where there is nothing, when to look again';

CREATE PROCEDURE kinderconnect.tick(shard integer DEFAULT NULL, shards integer DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM kinderconnect._require_no_transaction('tick');
	COMMIT;
	IF kinderconnect._tick(shard, shards) THEN
		CALL kinderconnect._night(NULL, NULL, NULL, NULL, NULL, true, shard, shards);
	END IF;
END;
$$;
COMMENT ON PROCEDURE kinderconnect.tick(integer, integer) IS
'runs the night for the providers that are due by the timetable, if there are any; of all organizations, or of those in shard of shards, as in nightly(). To be called every few minutes, by itself, not inside a transaction. Does nothing on a standby or while sending is stopped';

-- pg_cron hides its settings from those who are not superusers.
CREATE FUNCTION kinderconnect._cron_settings(OUT home text, OUT host text, OUT uses_workers boolean, OUT max_running_jobs integer,
		OUT max_worker_processes integer, OUT loaded boolean)
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT current_setting('cron.database_name', true), current_setting('cron.host', true),
		coalesce(current_setting('cron.use_background_workers', true), 'off')::boolean,
		current_setting('cron.max_running_jobs', true)::integer, current_setting('max_worker_processes')::integer,
		current_setting('shared_preload_libraries') ~ '\mpg_cron\M';
END;
COMMENT ON FUNCTION kinderconnect._cron_settings() IS 'how pg_cron is set up; loaded: it is among shared_preload_libraries';

CREATE FUNCTION kinderconnect._cron_schema() RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_name text;
	cron        record;
BEGIN
	SELECT 'cron' INTO schema_name FROM pg_extension e WHERE e.extname = 'pg_cron';
	SELECT * INTO cron FROM kinderconnect._cron_settings();
	IF NOT cron.loaded THEN
		RAISE EXCEPTION 'pg_cron is not loaded'
			USING ERRCODE = 'KC001',
				HINT = 'Add pg_cron to shared_preload_libraries, restart, and CREATE EXTENSION pg_cron; or let another timer run: CALL kinderconnect.tick().';
	ELSIF schema_name IS NULL THEN
		RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database()
			USING ERRCODE = 'KC001',
				HINT = CASE WHEN cron.home <> current_database()
					THEN format('In database "%s" run as a superuser: SELECT cron.schedule_in_database(''kinderconnect'', ''*/15 * * * *'', ''CALL kinderconnect.tick()'', %L, %L).',
						cron.home, current_database(), current_user)
					ELSE 'CREATE EXTENSION pg_cron.' END;
	END IF;
	IF NOT has_schema_privilege(schema_name, 'USAGE') THEN
		RAISE EXCEPTION 'role "%" may not use pg_cron', current_user
			USING ERRCODE = 'insufficient_privilege', HINT = format('GRANT USAGE ON SCHEMA %I TO %I.', schema_name, current_user);
	END IF;
	RETURN schema_name;
END;
$$;
COMMENT ON FUNCTION kinderconnect._cron_schema() IS 'the schema of pg_cron, or an error that says how to get it';

CREATE FUNCTION kinderconnect._job_name(shard integer) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'kinderconnect' || CASE WHEN shard > 0 THEN '-' || shard ELSE '' END;
COMMENT ON FUNCTION kinderconnect._job_name(integer) IS 'the name of the job of pg_cron for a shard';

CREATE FUNCTION kinderconnect.schedule(schedule text DEFAULT '*/15 * * * *', shards integer DEFAULT 1) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job       bigint;
	first_job bigint;
	active    bigint;
	cron_name text;
	cron      record;
	caller    record;
	login_hint CONSTANT text := 'Call schedule() as a login role that is a member of kinderconnect_operator, for example after SET ROLE kinderconnect_night.';
BEGIN
	IF num_nulls(schedule.schedule, shards) > 0 THEN
		RAISE EXCEPTION 'schedule and shards must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM kinderconnect._require_shard(0, shards, NULL);
	SELECT r.rolsuper, r.rolcanlogin, r.rolconnlimit INTO STRICT caller FROM pg_roles r WHERE r.rolname = current_user;
	IF caller.rolsuper THEN
		RAISE EXCEPTION 'the night does not run as a superuser'
			USING ERRCODE = 'insufficient_privilege', DETAIL = 'The job of pg_cron runs as the role that calls schedule().', HINT = login_hint;
	ELSIF NOT caller.rolcanlogin THEN
		RAISE EXCEPTION 'role "%" cannot log in, so pg_cron could not run its job', current_user
			USING ERRCODE = 'KC001', HINT = login_hint;
	ELSIF caller.rolconnlimit = 0 OR NOT has_database_privilege(current_database(), 'CONNECT') THEN
		RAISE EXCEPTION 'role "%" cannot connect to database "%", so pg_cron could not run its job', current_user, current_database()
			USING ERRCODE = 'KC001', HINT = format('GRANT CONNECT ON DATABASE %I TO %I; and look at its CONNECTION LIMIT.', current_database(), current_user);
	END IF;
	cron_name := kinderconnect._cron_schema();
	SELECT * INTO cron FROM kinderconnect._cron_settings();
	FOR shard IN 0 .. shards - 1 LOOP
		EXECUTE format('SELECT %I.schedule(%L, %L, %L)', cron_name, kinderconnect._job_name(shard), schedule.schedule,
			CASE WHEN shards = 1 THEN 'CALL kinderconnect.tick()' ELSE format('CALL kinderconnect.tick(%s, %s)', shard, shards) END) INTO job;
		first_job := coalesce(first_job, job);
	END LOOP;
	-- of a schedule with more of them
	EXECUTE format('SELECT count(%1$I.unschedule(j.jobid)) FROM %1$I.job j
		WHERE j.jobname = ANY ($1) AND j.username = current_user AND j.database = current_database()', cron_name)
	USING ARRAY(SELECT kinderconnect._job_name(s) FROM generate_series(shards, 63) s);

	EXECUTE format('SELECT count(*) FROM %I.job j WHERE j.active', cron_name) INTO active;
	IF active > cron.max_running_jobs THEN
		RAISE WARNING 'pg_cron runs at most % jobs at once, and has %', cron.max_running_jobs, active
			USING HINT = 'A tick may have to wait for the others. Raise cron.max_running_jobs.';
	END IF;
	IF cron.uses_workers THEN
		-- one for pg_cron itself, one for logical replication's launcher
		IF cron.max_worker_processes < cron.max_running_jobs + 2 THEN
			RAISE WARNING 'max_worker_processes is %, too few for % jobs of pg_cron at once', cron.max_worker_processes, cron.max_running_jobs
				USING HINT = format('Raise it to at least %s, and by what parallel queries and other extensions need; or lower cron.max_running_jobs.', cron.max_running_jobs + 2);
		END IF;
	ELSE
		RAISE NOTICE 'pg_cron will connect to "%" as role "%"', coalesce(nullif(cron.host, ''), 'localhost'), current_user
			USING HINT = 'pg_hba.conf must let it in without a prompt, or .pgpass of the server''s user hold its password; or set cron.use_background_workers = on.';
	END IF;
	RETURN first_job;
END;
$$;
COMMENT ON FUNCTION kinderconnect.schedule(text, integer) IS
'has pg_cron call tick() as the calling role, every 15 minutes; when whose night runs is a matter of set_schedule(). Five cron fields, in pg_cron''s time zone. With shards more than 1, so many jobs, each for its part of the organizations, run side by side. Calling it again changes them; answers the id of the first job';

CREATE FUNCTION kinderconnect.unschedule() RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	cron  text := kinderconnect._cron_schema();
	ended bigint;
BEGIN
	EXECUTE format('SELECT count(%1$I.unschedule(j.jobid)) FROM %1$I.job j WHERE j.jobname = ANY ($1) AND j.username = current_user AND j.database = current_database()', cron)
		INTO ended USING ARRAY(SELECT kinderconnect._job_name(s) FROM generate_series(0, 63) s);
	RETURN ended > 0;
END;
$$;
COMMENT ON FUNCTION kinderconnect.unschedule() IS 'ends the calling role''s jobs; a run under way goes on to its end. False where there was none';

-- A job that outlived the extension would fail every few minutes, for ever. An
-- event trigger on sql_drop would be gone before it could fire, and before the
-- drop only its words tell what is dropped: of a statement that is written out,
-- and not made by a function. In PL/pgSQL, or a library that is gone would hold
-- up every DROP SCHEMA.
CREATE FUNCTION kinderconnect._before_drop() RETURNS event_trigger
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM regexp_split_to_table(current_query(), ';') statement
			WHERE statement ~* E'^\\s*drop\\s+(extension|schema)\\s+(if\\s+exists\\s+)?([^,]+,)*\\s*"?kinderconnect"?\\s*(,[^,]+)*(cascade|restrict)?\\s*$')
		AND EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		EXECUTE 'SELECT count(cron.unschedule(j.jobid)) FROM cron.job j
			WHERE j.database = current_database() AND j.command ~ ''^CALL kinderconnect[.]tick[(]''';
	END IF;
EXCEPTION WHEN insufficient_privilege THEN
	RAISE WARNING 'jobs of pg_cron that call kinderconnect.tick() stay' USING HINT = 'SELECT cron.unschedule(jobid) as their owner or a superuser.';
END;
$$;
COMMENT ON FUNCTION kinderconnect._before_drop() IS 'ends the jobs of pg_cron in this database that call tick(), before DROP EXTENSION kinderconnect and DROP SCHEMA kinderconnect';

CREATE EVENT TRIGGER kinderconnect_before_drop ON ddl_command_start
	WHEN TAG IN ('DROP EXTENSION', 'DROP SCHEMA')
	EXECUTE FUNCTION kinderconnect._before_drop();
COMMENT ON EVENT TRIGGER kinderconnect_before_drop IS 'DROP EXTENSION kinderconnect leaves no job of pg_cron behind';
