-- Analysts who may see some organizations only, by PostgreSQL's row-level
-- security. Policies hold for everybody, and let all through to whom nothing
-- restricts. This part comes after the last table.

CREATE TABLE kinderconnect.restricted_analyst (
	analyst          regrole PRIMARY KEY,
	organization_ids text[] NOT NULL,
	restricted_at    timestamptz NOT NULL DEFAULT now(),
	restricted_by    text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE kinderconnect.restricted_analyst IS
'roles that see some organizations only; written by restrict_analyst() and unrestrict_analyst()';
COMMENT ON COLUMN kinderconnect.restricted_analyst.analyst IS 'the role; holds for its members too';
COMMENT ON COLUMN kinderconnect.restricted_analyst.organization_ids IS 'the organizations it sees; empty: none';
COMMENT ON COLUMN kinderconnect.restricted_analyst.restricted_at IS 'when';
COMMENT ON COLUMN kinderconnect.restricted_analyst.restricted_by IS 'the role that had logged in';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.restricted_analyst', '');

-- Both the role in force and the one that has logged in count, so that SET
-- ROLE is no way out. A superuser is a member of every role, and restricted by
-- none.
CREATE FUNCTION kinderconnect._is_restricted(role name) RETURNS boolean
	LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT EXISTS (
		SELECT FROM pg_catalog.pg_roles u JOIN kinderconnect.restricted_analyst r ON pg_has_role(u.oid, r.analyst, 'MEMBER')
		WHERE u.rolname IN (role, session_user) AND NOT u.rolsuper);
END;
COMMENT ON FUNCTION kinderconnect._is_restricted(name) IS
'whether an analyst who is, by SET ROLE or by login, this role sees some organizations only';

CREATE FUNCTION kinderconnect._visible_organizations(role name) RETURNS SETOF text
	LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER ROWS 10
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT o.organization_id
	FROM kinderconnect.organization o
	WHERE NOT EXISTS (
		SELECT FROM pg_catalog.pg_roles u
		WHERE u.rolname IN (role, session_user) AND NOT u.rolsuper
			AND EXISTS (SELECT FROM kinderconnect.restricted_analyst r WHERE pg_has_role(u.oid, r.analyst, 'MEMBER'))
			AND NOT EXISTS (SELECT FROM kinderconnect.restricted_analyst r
				WHERE pg_has_role(u.oid, r.analyst, 'MEMBER') AND o.organization_id = ANY (r.organization_ids)));
END;
COMMENT ON FUNCTION kinderconnect._visible_organizations(name) IS
'the organizations that an analyst sees who is, by SET ROLE or by login, this role';

-- The first condition is evaluated once in a query, and then, for most, it is
-- the only one. What others have put into the schema is theirs to guard.
DO $$
DECLARE
	item record;
BEGIN
	FOR item IN
		SELECT c.oid::regclass AS relation, EXISTS (SELECT FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped) AS of_organizations
		FROM pg_catalog.pg_class c
		WHERE c.relnamespace = 'kinderconnect'::regnamespace AND c.relkind IN ('r', 'p')
			AND EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
				AND d.refobjid = (SELECT e.oid FROM pg_catalog.pg_extension e WHERE e.extname = 'kinderconnect'))
		ORDER BY c.relname
	LOOP
		CONTINUE WHEN NOT item.of_organizations AND item.relation <> 'kinderconnect.run'::regclass;
		EXECUTE format('CREATE POLICY analyst ON %s FOR SELECT TO kinderconnect_analyst
			USING (NOT (SELECT kinderconnect._is_restricted(current_user)) OR %s)', item.relation,
			CASE WHEN item.of_organizations THEN 'organization_id IN (SELECT kinderconnect._visible_organizations(current_user))'
				ELSE 'run_id IN (SELECT o.run_id FROM kinderconnect.run_organization o)' END);
		EXECUTE format('CREATE POLICY operator ON %s TO kinderconnect_operator, kinderconnect_admin USING (true)', item.relation);
		EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', item.relation);
	END LOOP;
END
$$;

CREATE FUNCTION kinderconnect.restrict_analyst(analyst regrole, VARIADIC organization_ids text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	unknown text;
BEGIN
	IF restrict_analyst.analyst IS NULL OR restrict_analyst.organization_ids IS NULL OR array_position(restrict_analyst.organization_ids, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'analyst and organization_ids must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF EXISTS (SELECT FROM pg_roles r WHERE r.oid = restrict_analyst.analyst
			AND (r.rolsuper OR r.rolbypassrls OR r.rolname IN ('kinderconnect_admin', 'kinderconnect_operator', 'kinderconnect_analyst')))
		OR pg_has_role(restrict_analyst.analyst, 'kinderconnect_operator', 'MEMBER') OR pg_has_role(restrict_analyst.analyst, 'kinderconnect_admin', 'MEMBER') THEN
		RAISE EXCEPTION 'role % cannot be restricted to organizations', restrict_analyst.analyst
			USING ERRCODE = 'invalid_parameter_value',
				DETAIL = 'Superusers, roles with BYPASSRLS, administrators and operators see all, and the shipped roles stay as they are.',
				HINT = 'Restrict a role of your own that is a member of kinderconnect_analyst alone.';
	END IF;
	SELECT string_agg(format('"%s"', w.id), ', ' ORDER BY w.id) INTO unknown FROM unnest(restrict_analyst.organization_ids) w(id)
	WHERE NOT EXISTS (SELECT FROM kinderconnect.organization o WHERE o.organization_id = w.id);
	IF unknown IS NOT NULL THEN
		RAISE EXCEPTION 'organizations are not known: %', unknown
			USING ERRCODE = 'KC001', HINT = 'SELECT organization_id FROM kinderconnect.organization lists those that are.';
	END IF;

	INSERT INTO kinderconnect.restricted_analyst AS r (analyst, organization_ids)
	VALUES (restrict_analyst.analyst, restrict_analyst.organization_ids)
	ON CONFLICT (analyst) DO UPDATE
	SET organization_ids = excluded.organization_ids, restricted_at = excluded.restricted_at, restricted_by = excluded.restricted_by;
END;
$$;
COMMENT ON FUNCTION kinderconnect.restrict_analyst(regrole, text[]) IS
'has an analyst''s role, and its members, see these organizations only, in every table and view; calling it again replaces them';

CREATE FUNCTION kinderconnect.unrestrict_analyst(analyst regrole) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	DELETE FROM kinderconnect.restricted_analyst WHERE analyst = unrestrict_analyst.analyst;
	RETURN FOUND;
END;
$$;
COMMENT ON FUNCTION kinderconnect.unrestrict_analyst(regrole) IS
'has a role see all organizations again; false where it was not restricted';
