-- Analysts who may see some organizations only. PostgreSQL's row-level
-- security does it: it is switched on with the first restriction and off with
-- the last. The policies are not made by CREATE EXTENSION, because pg_dump
-- takes those of an extension's tables for the user's own and would restore
-- them twice.

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
'the organizations that an analyst sees who is, by SET ROLE or by login, this role: all, but for restricted ones';

CREATE FUNCTION kinderconnect._separate_organizations() RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted boolean := EXISTS (SELECT FROM kinderconnect.restricted_analyst);
	item   record;
BEGIN
	FOR item IN
		SELECT c.oid::regclass AS relation, c.relrowsecurity AS separated,
			CASE WHEN a.attnum IS NOT NULL THEN 'organization_id = ANY (ARRAY(SELECT kinderconnect._visible_organizations(current_user)))'
				ELSE 'EXISTS (SELECT FROM kinderconnect.run_organization o WHERE o.run_id = run.run_id)' END AS condition
		FROM pg_extension e
		JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
		JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p')
		LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped
		WHERE e.extname = 'kinderconnect' AND (a.attnum IS NOT NULL OR c.oid = 'kinderconnect.run'::regclass)
		ORDER BY c.relname
	LOOP
		CONTINUE WHEN item.separated = wanted;
		IF wanted THEN
			EXECUTE format('CREATE POLICY kinderconnect_analyst ON %s FOR SELECT TO kinderconnect_analyst USING (%s)', item.relation, item.condition);
			EXECUTE format('CREATE POLICY kinderconnect_operator ON %s TO kinderconnect_operator, kinderconnect_admin USING (true)', item.relation);
			EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', item.relation);
		ELSE
			EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', item.relation);
			EXECUTE format('DROP POLICY IF EXISTS kinderconnect_analyst ON %s', item.relation);
			EXECUTE format('DROP POLICY IF EXISTS kinderconnect_operator ON %s', item.relation);
		END IF;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._separate_organizations() IS
'gives every table of organizations its policies while a role is restricted, and takes them away when none is';

CREATE FUNCTION kinderconnect.restrict_analyst(analyst regrole, VARIADIC organization_ids text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
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

	LOCK TABLE kinderconnect.restricted_analyst IN SHARE ROW EXCLUSIVE MODE;
	INSERT INTO kinderconnect.restricted_analyst AS r (analyst, organization_ids)
	VALUES (restrict_analyst.analyst, restrict_analyst.organization_ids)
	ON CONFLICT (analyst) DO UPDATE
	SET organization_ids = excluded.organization_ids, restricted_at = excluded.restricted_at, restricted_by = excluded.restricted_by;
	PERFORM kinderconnect._separate_organizations();
END;
$$;
COMMENT ON FUNCTION kinderconnect.restrict_analyst(regrole, text[]) IS
'has an analyst''s role, and its members, see these organizations only, in every table and view; calling it again replaces them. The first restriction locks every table for a moment';

CREATE FUNCTION kinderconnect.unrestrict_analyst(analyst regrole) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	LOCK TABLE kinderconnect.restricted_analyst IN SHARE ROW EXCLUSIVE MODE;
	DELETE FROM kinderconnect.restricted_analyst WHERE analyst = unrestrict_analyst.analyst;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM kinderconnect._separate_organizations();
	RETURN true;
END;
$$;
COMMENT ON FUNCTION kinderconnect.unrestrict_analyst(regrole) IS
'has a role see all organizations again; false where it was not restricted';
