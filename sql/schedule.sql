-- The clock: one pg_cron job whose text is one bare CALL, and which only
-- ticks. pg_cron is looked up when it is needed; without it, any timer can
-- CALL the same procedure.

-- Written by every tick: unlogged, so that it costs neither a row nor WAL.
CREATE UNLOGGED SEQUENCE kinderconnect.last_tick MINVALUE 0 START 0;
COMMENT ON SEQUENCE kinderconnect.last_tick IS 'when tick() last ran, in seconds since 1970; begins anew after a crash of the server';

CREATE FUNCTION kinderconnect._tick() RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF pg_is_in_recovery() THEN
		RETURN false;
	END IF;
	PERFORM setval('kinderconnect.last_tick', extract(epoch FROM clock_timestamp())::bigint);
	RETURN kinderconnect._stopped_because() IS NULL AND EXISTS (SELECT FROM kinderconnect._due_now());
END;
$$;
COMMENT ON FUNCTION kinderconnect._tick() IS 'whether a tick has anything to do; notes that there was one';

CREATE PROCEDURE kinderconnect.tick()
	LANGUAGE plpgsql
AS $$
BEGIN
	-- Inside a caller's transaction this fails, before anything is done.
	COMMIT;
	IF kinderconnect._tick() THEN
		CALL kinderconnect._night(NULL, NULL, NULL, NULL, NULL, true);
	END IF;
END;
$$;
COMMENT ON PROCEDURE kinderconnect.tick() IS
'runs the night for the providers that are due by the timetable, if there are any; to be called every few minutes, by itself, not inside a transaction. Does nothing on a standby or while sending is stopped';

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

CREATE FUNCTION kinderconnect.schedule(schedule text DEFAULT '*/15 * * * *') RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job       bigint;
	active    bigint;
	cron_name text;
	cron      record;
	caller    record;
BEGIN
	PERFORM kinderconnect._require_ordinary_rights();
	SELECT r.rolcanlogin, r.rolconnlimit INTO STRICT caller FROM pg_roles r WHERE r.rolname = current_user;
	IF NOT caller.rolcanlogin THEN
		RAISE EXCEPTION 'role "%" cannot log in, so pg_cron could not run its job', current_user
			USING ERRCODE = 'KC001', HINT = 'Call schedule() as a login role that is a member of kinderconnect_operator.';
	ELSIF caller.rolconnlimit = 0 OR NOT has_database_privilege(current_database(), 'CONNECT') THEN
		RAISE EXCEPTION 'role "%" cannot connect to database "%", so pg_cron could not run its job', current_user, current_database()
			USING ERRCODE = 'KC001', HINT = format('GRANT CONNECT ON DATABASE %I TO %I; and look at its CONNECTION LIMIT.', current_database(), current_user);
	END IF;
	cron_name := kinderconnect._cron_schema();
	SELECT * INTO cron FROM kinderconnect._cron_settings();
	EXECUTE format('SELECT %I.schedule(%L, %L, %L)', cron_name, 'kinderconnect', schedule.schedule, 'CALL kinderconnect.tick()') INTO job;

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
	RETURN job;
END;
$$;
COMMENT ON FUNCTION kinderconnect.schedule(text) IS
'has pg_cron call tick() as the calling role, every 15 minutes; when whose night runs is a matter of set_schedule(). Five cron fields, in pg_cron''s time zone. Calling it again changes them; answers the job''s id';

CREATE FUNCTION kinderconnect.unschedule() RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	cron  text := kinderconnect._cron_schema();
	ended bigint;
BEGIN
	EXECUTE format('SELECT count(%1$I.unschedule(j.jobid)) FROM %1$I.job j WHERE j.jobname = %2$L AND j.username = current_user AND j.database = current_database()', cron, 'kinderconnect')
		INTO ended;
	RETURN ended > 0;
END;
$$;
COMMENT ON FUNCTION kinderconnect.unschedule() IS 'ends the calling role''s job; a run under way goes on to its end. False where there was none';
