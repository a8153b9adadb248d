-- Whoever may create in our schema, or in one of those that hold what we
-- require, could have a function or operator of his found here in the place of
-- the server's, and have it run with the rights of a superuser. So what is ours
-- is named with its schema, and all else is PostgreSQL's.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Who may do what: three roles without login. They belong to the cluster, not
-- to the extension, and stay when it is dropped.

DO $$
DECLARE
	role record;
BEGIN
	IF current_setting('server_encoding') <> 'UTF8' THEN
		RAISE EXCEPTION 'kinderconnect needs a database in the encoding UTF8, not %', current_setting('server_encoding')
			USING ERRCODE = 'feature_not_supported',
				HINT = 'Create the database with ENCODING ''UTF8'' TEMPLATE template0.';
	-- by then the script has been read, every backslash of it otherwise
	ELSIF NOT current_setting('standard_conforming_strings')::boolean THEN
		RAISE EXCEPTION 'kinderconnect cannot be installed while standard_conforming_strings is off'
			USING ERRCODE = 'feature_not_supported',
				HINT = 'SET standard_conforming_strings = on before CREATE EXTENSION; afterwards it may be off.';
	END IF;

	FOR role IN
		SELECT * FROM (VALUES
			('kinderconnect_admin', 'configures kinderconnect: endpoints, organizations, bindings, secrets'),
			('kinderconnect_operator', 'runs the night of kinderconnect and reviews its matches'),
			('kinderconnect_analyst', 'reads the tables of kinderconnect')) AS wanted (name, purpose)
		WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name)
	LOOP
		EXECUTE format('CREATE ROLE %I NOLOGIN', role.name);
		EXECUTE format('COMMENT ON ROLE %I IS %L', role.name, role.purpose);
	END LOOP;
END
$$;

GRANT USAGE ON SCHEMA kinderconnect TO kinderconnect_admin, kinderconnect_operator, kinderconnect_analyst;
-- bind_manage() makes its views as whoever calls it
GRANT CREATE ON SCHEMA kinderconnect TO kinderconnect_admin;
