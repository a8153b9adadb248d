-- Manage: the management system's own tables, bound once by a query each. The
-- views stand outside the extension, so that pg_dump keeps them.
--
-- Our ids are of collation "C", and so is what a function is called with by
-- them. Manage is asked for an organization in the collation of the database:
-- by "C" no index of Manage's would serve. What it answers is compared by "C",
-- for its columns may have collations of their own.

CREATE TABLE kinderconnect.manage_column (
	relation    text COLLATE "C" NOT NULL,
	position    integer NOT NULL,
	column_name text COLLATE "C" NOT NULL,
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
COMMENT ON COLUMN kinderconnect.manage_column.data_type IS 'type it must have; text is cast from anything that is written like it: numbers, uuid, varchar';
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
	LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF name COLLATE "C" !~ '^[A-Za-z_]+(/[A-Za-z_-]+)+$|^Etc/GMT[+-][0-9]{1,2}$|^UTC$' THEN
		RETURN NULL;
	END IF;
	PERFORM now() AT TIME ZONE name;
	RETURN name;
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN NULL;
END;
$$;
COMMENT ON FUNCTION kinderconnect._zone(text) IS 'the name of an IANA zone this server knows, else null';

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

-- A view of Manage's fails in PostgreSQL's own words, which may quote a row of
-- it: a child's name, to whoever asked and to the server's log.
CREATE FUNCTION kinderconnect._manage_fails(sqlstate text) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION 'a query that is bound to Manage fails on its rows'
		USING ERRCODE = _manage_fails.sqlstate,
			DETAIL = 'PostgreSQL''s own words may quote a row, and are kept back.',
			HINT = 'SELECT from kinderconnect.manage_location, manage_child and manage_attendance to see them.';
END;
$$;
COMMENT ON FUNCTION kinderconnect._manage_fails(text) IS 'the error, with this SQLSTATE, that stands for one of class 22 of Manage''s views';
