-- Binding Manage: a query for each relation, checked before it takes the
-- place of the one in force. What cannot work is refused. What would cost
-- some of the rows their effect is a warning, with a count, and examples by
-- key: names and birth dates are never told, for warnings reach logs.

CREATE FUNCTION kinderconnect._warn_of_rows(relation text, keys text[], condition text, what text, hint text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found    bigint;
	sampled  bigint;
	examples text;
BEGIN
	EXECUTE format('SELECT count(*), array_to_string((array_agg(DISTINCT concat_ws(''/'', %s) COLLATE "C"))[1:3], '', '')
		FROM pg_temp.kinderconnect_sample s WHERE %s',
		(SELECT string_agg(format('s.%I', k), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u(k, n)), condition)
		INTO found, examples;
	IF found > 0 THEN
		EXECUTE 'SELECT count(*) FROM pg_temp.kinderconnect_sample' INTO sampled;
		RAISE WARNING 'Manage''s "%", % of % rows: %', relation, found, sampled, what
			USING DETAIL = format('By %s: %s.', array_to_string(keys, '/'), examples), HINT = hint;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._warn_of_rows(text, text[], text, text, text) IS
'warns of the rows of a sample for which a condition holds, with the first keys of them';

CREATE FUNCTION kinderconnect._check_sample(relation text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	keys     text[] := ARRAY(SELECT c.column_name FROM kinderconnect.manage_column c WHERE c.relation = _check_sample.relation AND c.is_key ORDER BY c.position);
	key_list text := (SELECT string_agg(format('s.%I', k), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u(k, n));
	sampled  bigint;
	found    bigint;
	bad      text;
	item     record;
BEGIN
	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.is_bad), array_to_string((array_agg(DISTINCT k.key COLLATE "C") FILTER (WHERE k.is_bad))[1:3], '', '')
		FROM pg_temp.kinderconnect_sample s
		CROSS JOIN LATERAL (SELECT num_nulls(%s) > 0, array_to_string(ARRAY[%s], ''/'', ''null'')) k (is_bad, key)',
		key_list, (SELECT string_agg(format('s.%I::text', k), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u(k, n)))
		INTO sampled, found, bad;
	IF found > 0 THEN
		RAISE EXCEPTION 'query for Manage''s "%" has rows without a key', _check_sample.relation
			USING ERRCODE = 'not_null_violation',
				DETAIL = format('In %s of the first %s rows one of %s is null. By %s: %s.', found, sampled, array_to_string(keys, ', '), array_to_string(keys, '/'), bad),
				HINT = 'Leave such rows out with WHERE, or give the column a value.';
	END IF;
	IF _check_sample.relation = 'location' THEN
		EXECUTE 'SELECT sum(z.n), array_to_string((array_agg(format(''"%s"'', z.time_zone) ORDER BY z.time_zone COLLATE "C"))[1:3], '', '')
			FROM (SELECT s.time_zone, count(*) AS n FROM pg_temp.kinderconnect_sample s GROUP BY 1) z
			WHERE z.time_zone IS NOT NULL AND kinderconnect._zone(z.time_zone) IS NULL' INTO found, bad;
		IF found > 0 THEN
			RAISE EXCEPTION 'query for Manage''s "location" has unknown time zones'
				USING ERRCODE = 'invalid_parameter_value',
					DETAIL = format('Unknown in %s of the first %s rows: %s.', found, sampled, bad),
					HINT = 'Zones are IANA names, such as America/Chicago.';
		END IF;
	ELSIF _check_sample.relation = 'attendance' THEN
		EXECUTE 'SELECT sum(k.n), array_to_string((array_agg(format(''"%s"'', k.kind) ORDER BY k.kind COLLATE "C"))[1:3], '', '')
			FROM (SELECT s.kind, count(*) AS n FROM pg_temp.kinderconnect_sample s GROUP BY 1) k
			WHERE k.kind NOT IN (''session'', ''absence'', ''closure'')' INTO found, bad;
		IF found > 0 THEN
			RAISE EXCEPTION 'query for Manage''s "attendance" has unknown kinds'
				USING ERRCODE = 'invalid_parameter_value',
					DETAIL = format('Unknown in %s of the first %s rows: %s.', found, sampled, bad),
					HINT = 'A kind is session, absence or closure: translate Manage''s own words with CASE.';
		END IF;
	END IF;

	PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
		format('(%1$s) IN (SELECT %1$s FROM pg_temp.kinderconnect_sample s GROUP BY %1$s HAVING count(*) > 1)', key_list), 'a repeated key',
		CASE _check_sample.relation
			WHEN 'child' THEN 'Such children are never linked by name: several_in_manage.'
			WHEN 'attendance' THEN 'The same session twice is held as overlapping_sessions.'
			ELSE 'Which of them counts is not determined.' END);
	-- What has a letter is a name, folded too. By "C", for a collation of Manage's
	-- that takes different letters for equal knows no regular expressions.
	FOR item IN
		SELECT * FROM (VALUES
			('location', 'coalesce(s.name, '''') COLLATE "C" !~ ''[A-Za-z]'' AND coalesce(kinderconnect.fold(s.name), '''') = ''''', 'no name',
				'The location of a provider ID is found by name and ZIP; without a name, add_provider() has to tell it.'),
			('location', 'nullif(btrim(s.zip), '''') COLLATE "C" !~ ''^[0-9]{5}(-?[0-9]{4})?$''', 'a ZIP code that is none',
				'A number has lost its leading zeros: lpad(zip::text, 5, ''0'').'),
			('child', 'coalesce(s.first_name, '''') COLLATE "C" !~ ''[A-Za-z]'' AND coalesce(kinderconnect.fold(s.first_name), '''') = ''''
				OR coalesce(s.last_name, '''') COLLATE "C" !~ ''[A-Za-z]'' AND coalesce(kinderconnect.fold(s.last_name), '''') = ''''',
				'no first or no last name', 'They cannot be matched; link_child() can link them.'),
			('child', 's.date_of_birth IS NULL', 'no birth date', 'They cannot be matched; link_child() can link them.'),
			('child', 's.date_of_birth > current_date + 1 OR s.date_of_birth < current_date - 36525', 'an impossible birth date',
				'They are in the future or a hundred years back; correct them in Manage.'),
			('attendance', 's.kind <> ''closure'' AND s.child_id IS NULL', 'a session or an absence of nobody',
				'No night looks at them: only a closure, of the whole location, is without a child.'),
			('attendance', 's.kind = ''session'' AND s.check_in IS NULL AND s.check_out IS NULL', 'a session without check-in and check-out',
				'No night looks at them.'),
			('attendance', 's.kind <> ''session'' AND s.service_date IS NULL', 'an absence or a closure without service_date',
				'No night looks at them.'),
			('attendance', 's.kind = ''session'' AND s.check_out < s.check_in', 'a session whose check-out is before the check-in',
				'Their days are held as out_before_in until Manage is corrected. If it is most of them, the columns may be swapped.'),
			('attendance', 's.kind = ''session'' AND s.check_out > s.check_in + interval ''24 hours''', 'a session of more than 24 hours',
				'Their days are held as too_long until Manage is corrected.'),
			('attendance', 's.kind = ''session'' AND s.check_in > now() + interval ''1 day''', 'a session in the future',
				'If they are not corrected they wait until their day is over. The times may be of another zone or year.')
		) AS c (relation, condition, what, hint)
		WHERE c.relation = _check_sample.relation
	LOOP
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys, item.condition, item.what, item.hint);
	END LOOP;

	IF _check_sample.relation IN ('child', 'attendance') AND kinderconnect._is_bound('location') THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			's.location_id IS NOT NULL AND NOT EXISTS (SELECT FROM kinderconnect.manage_location m WHERE (m.organization_id, m.location_id) = (s.organization_id COLLATE "C", s.location_id COLLATE "C"))',
			'a location that manage_location does not have',
			CASE _check_sample.relation WHEN 'child' THEN 'They are matched within the organization only.' ELSE 'No night looks at them.' END);
	END IF;
	IF _check_sample.relation = 'attendance' AND kinderconnect._is_bound('child') THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			's.child_id IS NOT NULL AND NOT EXISTS (SELECT FROM kinderconnect.manage_child m WHERE (m.organization_id, m.child_id) = (s.organization_id COLLATE "C", s.child_id COLLATE "C"))',
			'a child that manage_child does not have', 'No night looks at them.');
	END IF;
	IF _check_sample.relation = 'child_id' THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			'(s.organization_id, s.agency_id, s.kinderconnect_child_id) IN (SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id
				FROM pg_temp.kinderconnect_sample d GROUP BY 1, 2, 3 HAVING count(DISTINCT d.child_id) > 1)',
			'one id of the service for several children', 'Such a child is not linked: several_stored_ids.');
	ELSIF _check_sample.relation = 'provider_id' THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			'(s.organization_id, s.agency_id, s.provider_id) IN (SELECT d.organization_id, d.agency_id, d.provider_id
				FROM pg_temp.kinderconnect_sample d GROUP BY 1, 2, 3 HAVING count(DISTINCT d.location_id) > 1)',
			'one provider ID for several locations', 'Such a provider is held as provider_unmatched until add_provider() tells its location.');
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._check_sample(text) IS
'what bind_manage() says of the rows of its sample: an error where they cannot be used, else warnings';

-- What the nights so far rest on must be found in the new source. If nothing
-- of it is, the source is another one, or its ids are: bound all the same, it
-- would have every day held, or taken back. Who means it drops the view first.
CREATE FUNCTION kinderconnect._check_rebind(relation text, source text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	known    bigint;
	found    bigint;
	examples text;
	what     text;
	hint     text;
BEGIN
	CASE _check_rebind.relation
		WHEN 'organization' THEN
			what := 'enabled organizations';
			hint := 'Their nights find nothing in Manage: enable_integration() takes the organization_id of manage_organization.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(k.key ORDER BY k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT format(''"%%s"'', o.organization_id) AS key, EXISTS (SELECT FROM (%s) m WHERE m.organization_id COLLATE "C" = o.organization_id) AS found
					FROM kinderconnect.organization o
					WHERE o.enabled) k', source) INTO known, found, examples;
		WHEN 'location' THEN
			what := 'locations of providers';
			hint := 'They are found anew by name, but for those that add_provider() has told.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(DISTINCT k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT DISTINCT concat_ws(''/'', p.organization_id, p.location_id) AS key, m.location_id IS NOT NULL AS found
					FROM kinderconnect.provider p
					JOIN kinderconnect.organization o ON o.organization_id = p.organization_id AND o.enabled
					LEFT JOIN (%s) m ON (m.organization_id COLLATE "C", m.location_id COLLATE "C") = (p.organization_id, p.location_id)
					WHERE p.enabled AND p.location_id IS NOT NULL) k', source) INTO known, found, examples;
		WHEN 'child' THEN
			-- a name written as it was has its key
			what := 'linked children';
			hint := 'Their days are held as child_gone or link_disagrees.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(k.key ORDER BY k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT concat_ws(''/'', l.organization_id, l.child_id) AS key,
						coalesce(bool_or(c.date_of_birth = m.date_of_birth
							AND (c.first_name = m.first_name OR c.last_name = m.last_name
								OR kinderconnect._first_key(m.first_name) COLLATE "C" = c.first_key OR kinderconnect._last_key(m.last_name) COLLATE "C" = c.last_key)), false) AS found
					FROM kinderconnect.child_link l
					JOIN kinderconnect.organization o ON o.organization_id = l.organization_id AND o.enabled
					JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (l.organization_id, l.agency_id, l.kinderconnect_child_id)
					LEFT JOIN (%s) m ON (m.organization_id COLLATE "C", m.child_id COLLATE "C") = (l.organization_id, l.child_id)
					WHERE l.ended_at IS NULL AND (l.flag IN (''link_disagrees'', ''child_gone'')) IS NOT TRUE
					GROUP BY l.organization_id, l.child_id) k', source) INTO known, found, examples;
		WHEN 'attendance' THEN
			what := 'children with accepted days';
			hint := 'Their days of the horizon are taken back, or held as source_shrank.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(k.key ORDER BY k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT DISTINCT concat_ws(''/'', d.organization_id, d.child_id) AS key, m.child_id IS NOT NULL AS found
					FROM kinderconnect.child_day d
					JOIN kinderconnect.organization o ON o.organization_id = d.organization_id AND o.enabled
					LEFT JOIN (SELECT DISTINCT q.organization_id, q.child_id FROM (%s) q) m ON (m.organization_id COLLATE "C", m.child_id COLLATE "C") = (d.organization_id, d.child_id)
					WHERE d.accepted_kind IN (''session'', ''absence'') AND d.child_id IS NOT NULL
						AND d.service_date >= current_date - kinderconnect.setting(''horizon_days'')::integer) k', source) INTO known, found, examples;
		ELSE
			RETURN;
	END CASE;
	IF found = known THEN
		RETURN;
	END IF;
	IF found = 0 AND _check_rebind.relation <> 'organization' AND kinderconnect._is_bound(_check_rebind.relation) THEN
		RAISE EXCEPTION 'query for Manage''s "%" has none of the % % that the binding in force has', _check_rebind.relation, known, what
			USING ERRCODE = 'KC001', DETAIL = format('Not there, by id: %s.', examples),
				HINT = format('Its ids are others, or its rows are. If that is meant, DROP VIEW kinderconnect.manage_%s first.', _check_rebind.relation);
	END IF;
	RAISE WARNING 'Manage''s "%": % of % % are not in it%', _check_rebind.relation, known - found, known, what,
			CASE WHEN _check_rebind.relation = 'organization' THEN '' ELSE ' as they were' END
		USING DETAIL = format('By id: %s.', examples), HINT = hint;
END;
$$;
COMMENT ON FUNCTION kinderconnect._check_rebind(text, text) IS
'whether a new source of Manage has the organizations that are enabled, and still has the locations, the linked children or the attendance that the nights so far rest on: a warning where it lacks some, an error where it has none of the last three';

-- The query is checked as a temporary view first, so that a wrong one leaves
-- the binding in force untouched.
CREATE FUNCTION kinderconnect.bind_manage(relation text, query text) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	view_name   text := 'manage_' || bind_manage.relation;
	view_owner  regrole;
	missing     text;
	mistyped    text;
	hint        text;
	select_list text;
	source      text;
	sample_size CONSTANT integer := 100000;
	sampled     bigint;
	said        text;
BEGIN
	IF bind_manage.relation IS NULL THEN
		RAISE EXCEPTION 'relation must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT EXISTS (SELECT FROM kinderconnect.manage_column c WHERE c.relation = bind_manage.relation) THEN
		RAISE EXCEPTION 'Manage has no relation "%"', bind_manage.relation
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Relations are: ' || (SELECT string_agg(DISTINCT c.relation, ', ') FROM kinderconnect.manage_column c) || '.';
	END IF;
	IF query IS NULL OR btrim(query) = '' THEN
		RAISE EXCEPTION 'query for Manage''s "%" is empty', bind_manage.relation USING ERRCODE = 'invalid_parameter_value';
	END IF;

	SELECT c.relowner INTO view_owner FROM pg_class c WHERE c.oid = to_regclass(format('kinderconnect.%I', view_name));
	IF NOT pg_has_role(view_owner, 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of view %', view_name
			USING ERRCODE = 'insufficient_privilege', DETAIL = format('Role %s owns it.', view_owner),
				HINT = format('Bind as a member of that role, or have a superuser run ALTER VIEW kinderconnect.%I OWNER TO %I.', view_name, current_user);
	END IF;

	IF to_regclass('pg_temp.kinderconnect_bind') IS NOT NULL THEN
		DROP VIEW pg_temp.kinderconnect_bind;
	END IF;
	BEGIN
		EXECUTE format(E'CREATE TEMPORARY VIEW kinderconnect_bind AS SELECT * FROM (%s\n) AS q', rtrim(query, E'; \n\t'));
	EXCEPTION WHEN syntax_error THEN
		RAISE EXCEPTION 'query for Manage''s "%" is not a valid SELECT', bind_manage.relation
			USING ERRCODE = 'syntax_error', DETAIL = format('PostgreSQL says: %s.', SQLERRM),
				HINT = 'Write a SELECT, such as SELECT ... FROM schema.table; the name of a table alone will not do.';
	END;

	-- An id is text: of words, numbers, and what is written like one.
	SELECT string_agg(format('"%s" (%s)', c.column_name, c.data_type), ', ' ORDER BY c.position)
			FILTER (WHERE a.attname IS NULL),
		string_agg(format('"%s" is %s, not %s', c.column_name, format_type(a.atttypid, a.atttypmod), c.data_type), ', ' ORDER BY c.position)
			FILTER (WHERE a.atttypid <> c.data_type
				AND (c.data_type <> 'text'::regtype OR t.typcategory NOT IN ('S', 'N', 'E') AND t.oid <> 'uuid'::regtype)),
		CASE WHEN bool_or(a.atttypid = 'timestamp'::regtype AND c.data_type = 'timestamptz'::regtype)
			THEN 'A timestamp without time zone becomes one by: check_in AT TIME ZONE ''America/Chicago''.'
				ELSE concat('Cast the column in the query', '; if Manage has no such column: ' || string_agg(format('NULL::%s AS %I', c.data_type, c.column_name), ', ' ORDER BY c.position)
				FILTER (WHERE a.atttypid = 'text'::regtype AND c.data_type <> 'text'::regtype), '.') END,
		string_agg(format('q.%I::%s AS %I', c.column_name, c.data_type, c.column_name), ', ' ORDER BY c.position)
	INTO missing, mistyped, hint, select_list
	FROM kinderconnect.manage_column c
	LEFT JOIN pg_attribute a ON a.attrelid = 'pg_temp.kinderconnect_bind'::regclass
		AND a.attname = c.column_name AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_type t ON t.oid = a.atttypid
	WHERE c.relation = bind_manage.relation;

	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'query for Manage''s "%" lacks columns', bind_manage.relation
			USING ERRCODE = 'undefined_column',
				DETAIL = 'Missing: ' || missing || '.',
				HINT = 'Name each column as listed in kinderconnect.manage_column; a column that Manage does not have may be NULL::type.';
	END IF;
	IF mistyped IS NOT NULL THEN
		RAISE EXCEPTION 'query for Manage''s "%" has columns of the wrong type', bind_manage.relation
			USING ERRCODE = 'datatype_mismatch', DETAIL = 'Column ' || mistyped || '.', HINT = hint;
	END IF;

	source := format('SELECT %s FROM pg_temp.kinderconnect_bind q', select_list);
	IF to_regclass('pg_temp.kinderconnect_sample') IS NOT NULL THEN
		DROP TABLE pg_temp.kinderconnect_sample;
	END IF;
	BEGIN
		EXECUTE format('CREATE TEMPORARY TABLE kinderconnect_sample AS %s LIMIT %s', source, sample_size);
		GET DIAGNOSTICS sampled = ROW_COUNT;
	EXCEPTION WHEN data_exception THEN
		RAISE EXCEPTION 'query for Manage''s "%" fails on its rows', bind_manage.relation
			USING ERRCODE = SQLSTATE,
				DETAIL = 'PostgreSQL''s own words may quote a row, and are kept back.',
				HINT = 'Run the query by itself to see them.';
	END;
	PERFORM kinderconnect._check_sample(bind_manage.relation);
	PERFORM kinderconnect._check_rebind(bind_manage.relation, source);
	DROP TABLE pg_temp.kinderconnect_sample;
	DROP VIEW pg_temp.kinderconnect_bind;

	EXECUTE format(E'CREATE OR REPLACE VIEW kinderconnect.%I AS SELECT %s FROM (%s\n) AS q', view_name, select_list, rtrim(query, E'; \n\t'));
	-- the sample was read as the caller; the view stays its owner's, and reads as he may
	BEGIN
		EXECUTE format('SELECT FROM kinderconnect.%I LIMIT 0', view_name);
	EXCEPTION WHEN insufficient_privilege THEN
		GET STACKED DIAGNOSTICS said = MESSAGE_TEXT;
		RAISE EXCEPTION 'query for Manage''s "%" cannot be read by role %, who owns the view', bind_manage.relation,
				(SELECT c.relowner::regrole FROM pg_class c WHERE c.oid = format('kinderconnect.%I', view_name)::regclass)
			USING ERRCODE = 'insufficient_privilege', DETAIL = said || '.',
				HINT = format('Grant it to that role, or ALTER VIEW kinderconnect.%I OWNER TO one that may, and bind again.', view_name);
	END;
	EXECUTE format('GRANT SELECT ON kinderconnect.%I TO kinderconnect_operator, kinderconnect_admin', view_name);
	EXECUTE format('COMMENT ON VIEW kinderconnect.%I IS %L', view_name,
		format('Manage''s %s, bound by kinderconnect.bind_manage()', bind_manage.relation));
	RETURN format('kinderconnect.%s is bound, %s rows sampled', view_name, sampled);
END;
$$;
COMMENT ON FUNCTION kinderconnect.bind_manage(text, text) IS
'binds one of Manage''s relations (organization, location, child, attendance; optional child_id, provider_id) to a query, and makes the view kinderconnect.manage_<relation> of it. Columns: kinderconnect.manage_column. The query''s tables must be schema-qualified. Refuses missing columns, wrong types, null keys, unknown zones and kinds, and a source that has nothing of what is linked; warns of duplicate keys and of rows that no night can use';
