-- Manage: the management system's own tables, bound once by a query each. The
-- views stand outside the extension, so that pg_dump keeps them.

CREATE TABLE kinderconnect.manage_column (
	relation    text NOT NULL,
	position    integer NOT NULL,
	column_name text NOT NULL,
	data_type   regtype NOT NULL,
	is_key      boolean NOT NULL,
	meaning     text NOT NULL,
	PRIMARY KEY (relation, column_name)
);
COMMENT ON TABLE kinderconnect.manage_column IS
'what bind_manage() asks of each query; shipped, not edited';
COMMENT ON COLUMN kinderconnect.manage_column.relation IS 'first argument of bind_manage()';
COMMENT ON COLUMN kinderconnect.manage_column.position IS 'order in the view';
COMMENT ON COLUMN kinderconnect.manage_column.column_name IS 'name the query must give the column';
COMMENT ON COLUMN kinderconnect.manage_column.data_type IS 'type it must have; text columns are cast from any type';
COMMENT ON COLUMN kinderconnect.manage_column.is_key IS 'never null; a row is told from the others by these together';
COMMENT ON COLUMN kinderconnect.manage_column.meaning IS 'what stands in it';

INSERT INTO kinderconnect.manage_column VALUES
	('organization', 1, 'organization_id', 'text', true, 'Manage''s id of the customer'),
	('organization', 2, 'name', 'text', false, 'its name'),
	('location', 1, 'organization_id', 'text', true, 'the customer'),
	('location', 2, 'location_id', 'text', true, 'Manage''s id of the site, unique in the organization'),
	('location', 3, 'name', 'text', false, 'its name'),
	('location', 4, 'zip', 'text', false, 'ZIP code, or null'),
	('location', 5, 'time_zone', 'text', false, 'IANA name, such as America/Chicago; null: the agency''s'),
	('child', 1, 'organization_id', 'text', true, 'the customer'),
	('child', 2, 'location_id', 'text', false, 'the child''s own site; narrows matching only'),
	('child', 3, 'child_id', 'text', true, 'Manage''s id of the child, unique in the organization'),
	('child', 4, 'first_name', 'text', false, 'first name'),
	('child', 5, 'middle_name', 'text', false, 'middle name, or null'),
	('child', 6, 'last_name', 'text', false, 'last name, both of two'),
	('child', 7, 'suffix', 'text', false, 'Jr, II, ..., or null'),
	('child', 8, 'date_of_birth', 'date', false, 'birth date'),
	('child', 9, 'active', 'boolean', false, 'false: left; may still be matched, for last week''s days'),
	('attendance', 1, 'organization_id', 'text', true, 'the customer'),
	('attendance', 2, 'location_id', 'text', true, 'where it was; decides the provider'),
	('attendance', 3, 'child_id', 'text', false, 'the child; null only in a closure of the whole location'),
	('attendance', 4, 'attendance_id', 'text', true, 'Manage''s id of the row'),
	('attendance', 5, 'kind', 'text', true, 'session, absence or closure'),
	('attendance', 6, 'check_in', 'timestamp with time zone', false, 'of a session; null where it is missing'),
	('attendance', 7, 'check_out', 'timestamp with time zone', false, 'of a session; null where it is missing'),
	('attendance', 8, 'service_date', 'date', false, 'of an absence or closure; a session''s date is that of its check-in'),
	('attendance', 9, 'reason', 'text', false, 'of an absence: Manage''s word for it'),
	('attendance', 10, 'modified_at', 'timestamp with time zone', false, 'last change; information only'),
	('child_id', 1, 'organization_id', 'text', true, 'the customer'),
	('child_id', 2, 'child_id', 'text', true, 'Manage''s id of the child'),
	('child_id', 3, 'agency_id', 'text', true, 'the agency'),
	('child_id', 4, 'kinderconnect_child_id', 'text', true, 'the child''s id at that agency'),
	('provider_id', 1, 'organization_id', 'text', true, 'the customer'),
	('provider_id', 2, 'location_id', 'text', true, 'the site'),
	('provider_id', 3, 'agency_id', 'text', true, 'the agency'),
	('provider_id', 4, 'provider_id', 'text', true, 'the site''s provider ID at that agency');

CREATE FUNCTION kinderconnect._is_bound(relation text) RETURNS boolean
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
	RETURN to_regclass('kinderconnect.' || quote_ident('manage_' || relation)) IS NOT NULL;
COMMENT ON FUNCTION kinderconnect._is_bound(text) IS 'whether bind_manage() made this view';

-- A name that PostgreSQL would have to guess at is no zone.
CREATE FUNCTION kinderconnect._zone(name text) RETURNS text
	LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF name !~ '^[A-Za-z_]+(/[A-Za-z_-]+)+$|^Etc/GMT[+-][0-9]{1,2}$|^UTC$' THEN
		RETURN NULL;
	END IF;
	PERFORM now() AT TIME ZONE name;
	RETURN name;
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN NULL;
END;
$$;
COMMENT ON FUNCTION kinderconnect._zone(text) IS 'the name of an IANA zone this server knows, else null';

-- The query is checked as a temporary view first, so that a wrong one leaves
-- the binding in force untouched.
CREATE FUNCTION kinderconnect.bind_manage(relation text, query text) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	view_name   text := 'manage_' || bind_manage.relation;
	missing     text;
	mistyped    text;
	select_list text;
	key_list    text;
	key_nulls   bigint;
	sampled     bigint;
	bad         text;
BEGIN
	IF bind_manage.relation IS NULL OR NOT EXISTS (SELECT FROM kinderconnect.manage_column c WHERE c.relation = bind_manage.relation) THEN
		RAISE EXCEPTION 'Manage has no relation "%"', bind_manage.relation
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Relations are: ' || (SELECT string_agg(DISTINCT c.relation, ', ') FROM kinderconnect.manage_column c) || '.';
	END IF;
	IF query IS NULL OR btrim(query) = '' THEN
		RAISE EXCEPTION 'query for Manage''s "%" is empty', bind_manage.relation USING ERRCODE = 'invalid_parameter_value';
	END IF;

	IF to_regclass('pg_temp.kinderconnect_bind') IS NOT NULL THEN
		DROP VIEW pg_temp.kinderconnect_bind;
	END IF;
	EXECUTE format(E'CREATE TEMPORARY VIEW kinderconnect_bind AS SELECT * FROM (%s\n) AS q', rtrim(query, E'; \n\t'));

	SELECT string_agg(format('"%s" (%s)', c.column_name, c.data_type), ', ' ORDER BY c.position)
			FILTER (WHERE a.attname IS NULL),
		string_agg(format('"%s" is %s, not %s', c.column_name, format_type(a.atttypid, a.atttypmod), c.data_type), ', ' ORDER BY c.position)
			FILTER (WHERE a.atttypid <> c.data_type AND c.data_type <> 'text'::regtype),
		string_agg(format('q.%I::%s AS %I', c.column_name, c.data_type, c.column_name), ', ' ORDER BY c.position),
		string_agg(format('q.%I', c.column_name), ', ' ORDER BY c.position) FILTER (WHERE c.is_key)
	INTO missing, mistyped, select_list, key_list
	FROM kinderconnect.manage_column c
	LEFT JOIN pg_attribute a ON a.attrelid = 'pg_temp.kinderconnect_bind'::regclass
		AND a.attname = c.column_name AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relation = bind_manage.relation;

	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'query for Manage''s "%" lacks columns', bind_manage.relation
			USING ERRCODE = 'undefined_column',
				DETAIL = 'Missing: ' || missing || '.',
				HINT = 'Name each column as listed in kinderconnect.manage_column; a column that Manage does not have may be NULL::type.';
	END IF;
	IF mistyped IS NOT NULL THEN
		RAISE EXCEPTION 'query for Manage''s "%" has columns of the wrong type', bind_manage.relation
			USING ERRCODE = 'datatype_mismatch',
				DETAIL = 'Column ' || mistyped || '.',
				HINT = 'A timestamp without time zone becomes one by: check_in AT TIME ZONE ''America/Chicago''.';
	END IF;

	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE num_nulls(%s) > 0) FROM (SELECT * FROM pg_temp.kinderconnect_bind LIMIT 1000) AS q', key_list)
		INTO sampled, key_nulls;
	IF key_nulls > 0 THEN
		RAISE EXCEPTION 'query for Manage''s "%" has rows without a key', bind_manage.relation
			USING ERRCODE = 'not_null_violation',
				DETAIL = format('In %s of the first %s rows one of %s is null.', key_nulls, sampled, replace(key_list, 'q.', '')),
				HINT = 'Leave such rows out with WHERE, or give the column a value.';
	END IF;

	IF bind_manage.relation = 'location' THEN
		SELECT string_agg(DISTINCT format('"%s"', l.time_zone), ', ') INTO bad
		FROM pg_temp.kinderconnect_bind l
		WHERE l.time_zone IS NOT NULL AND kinderconnect._zone(l.time_zone::text) IS NULL;
		IF bad IS NOT NULL THEN
			RAISE EXCEPTION 'query for Manage''s "location" has unknown time zones'
				USING ERRCODE = 'invalid_parameter_value',
					DETAIL = 'Unknown: ' || bad || '.',
					HINT = 'Zones are IANA names, such as America/Chicago.';
		END IF;
	ELSIF bind_manage.relation = 'attendance' THEN
		SELECT string_agg(DISTINCT format('"%s"', s.kind), ', ') INTO bad
		FROM (SELECT kind FROM pg_temp.kinderconnect_bind LIMIT 1000) s
		WHERE s.kind NOT IN ('session', 'absence', 'closure');
		IF bad IS NOT NULL THEN
			RAISE EXCEPTION 'query for Manage''s "attendance" has unknown kinds'
				USING ERRCODE = 'invalid_parameter_value',
					DETAIL = 'Unknown: ' || bad || '.',
					HINT = 'A kind is session, absence or closure: translate Manage''s own words with CASE.';
		END IF;
	END IF;
	DROP VIEW pg_temp.kinderconnect_bind;

	EXECUTE format(E'CREATE OR REPLACE VIEW kinderconnect.%I AS SELECT %s FROM (%s\n) AS q', view_name, select_list, rtrim(query, E'; \n\t'));
	EXECUTE format('GRANT SELECT ON kinderconnect.%I TO kinderconnect_operator, kinderconnect_admin', view_name);
	EXECUTE format('COMMENT ON VIEW kinderconnect.%I IS %L', view_name,
		format('Manage''s %s, bound by kinderconnect.bind_manage()', bind_manage.relation));
	RETURN format('kinderconnect.%s is bound, %s rows sampled', view_name, sampled);
END;
$$;
COMMENT ON FUNCTION kinderconnect.bind_manage(text, text) IS
'binds one of Manage''s relations (organization, location, child, attendance; optional child_id, provider_id) to a query, and makes the view kinderconnect.manage_<relation> of it. Columns: kinderconnect.manage_column. The query''s tables must be schema-qualified. Refuses missing columns, wrong types, null keys, unknown zones and kinds';

CREATE FUNCTION kinderconnect._require_manage() RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unbound text;
BEGIN
	SELECT string_agg(r, ', ') INTO unbound
	FROM unnest(ARRAY['organization', 'location', 'child', 'attendance']) r
	WHERE NOT kinderconnect._is_bound(r);
	IF unbound IS NOT NULL THEN
		RAISE EXCEPTION 'Manage is not bound'
			USING ERRCODE = 'KC001',
				DETAIL = 'Not bound: ' || unbound || '.',
				HINT = 'Bind each with SELECT kinderconnect.bind_manage(relation, query).';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_manage() IS 'an error unless the four relations of Manage are bound';
