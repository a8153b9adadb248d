-- The clock: one pg_cron job whose text is one bare CALL. pg_cron is looked up
-- when it is needed; without it, any timer can CALL the same procedure.

CREATE FUNCTION kinderconnect._cron_schema() RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_name text;
	home        text := (SELECT s.setting FROM pg_settings s WHERE s.name = 'cron.database_name');	-- null where the role may not see it
BEGIN
	SELECT 'cron' INTO schema_name FROM pg_extension e WHERE e.extname = 'pg_cron';
	IF schema_name IS NULL THEN
		RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database()
			USING ERRCODE = 'KC001',
				HINT = CASE
					WHEN home IS NULL THEN 'Add pg_cron to shared_preload_libraries, restart, and CREATE EXTENSION pg_cron; or let another timer run: CALL kinderconnect.nightly().'
					WHEN home <> current_database() THEN format('In database "%s" run: SELECT cron.schedule_in_database(''kinderconnect'', ''15 8 * * *'', ''CALL kinderconnect.nightly()'', %L).', home, current_database())
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

CREATE FUNCTION kinderconnect.schedule(schedule text DEFAULT '15 8 * * *') RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job bigint;
BEGIN
	PERFORM kinderconnect._require_ordinary_rights();
	IF NOT (SELECT r.rolcanlogin FROM pg_roles r WHERE r.rolname = current_user) THEN
		RAISE EXCEPTION 'role "%" cannot log in, so pg_cron could not run its job', current_user
			USING ERRCODE = 'KC001', HINT = 'Call schedule() as a login role that is a member of kinderconnect_operator.';
	END IF;
	EXECUTE format('SELECT %I.schedule(%L, %L, %L)', kinderconnect._cron_schema(), 'kinderconnect', schedule.schedule, 'CALL kinderconnect.nightly()') INTO job;
	RETURN job;
END;
$$;
COMMENT ON FUNCTION kinderconnect.schedule(text) IS
'has pg_cron run the night as the calling role; five cron fields in pg_cron''s time zone, GMT unless cron.timezone says otherwise. The default is 01:15 Mountain and 03:15 Eastern standard time: past midnight in each state. Calling it again changes the time; answers the job''s id';

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
