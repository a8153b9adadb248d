-- Manage's children as the last match read them, with the keys that names are
-- matched by. The keys of a name are made once, when it is first seen or has
-- changed; the night compares and joins them.
--
-- On the first night no table here has statistics, and whole sets are joined
-- every night: so here, in review.sql and in match.sql the planner is kept
-- from the one plan that is quadratic, and from JIT, as in plan.sql.

CREATE TABLE kinderconnect.known_child (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	child_id        text NOT NULL,
	location_id     text NOT NULL,
	first_name      text,
	middle_name     text,
	last_name       text,
	suffix          text,
	date_of_birth   date,
	active          boolean NOT NULL,
	first_key       text GENERATED ALWAYS AS (kinderconnect._first_key(first_name)) STORED,
	middle_key      text GENERATED ALWAYS AS (kinderconnect._middle_key(first_name, middle_name)) STORED,
	last_key        text GENERATED ALWAYS AS (kinderconnect._last_key(last_name)) STORED,
	suffix_key      text GENERATED ALWAYS AS (kinderconnect._suffix_key(first_name, last_name, suffix)) STORED,
	changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (organization_id, child_id, location_id)
);
COMMENT ON TABLE kinderconnect.known_child IS
'Manage''s children as the last match read them, with folded keys; made again from manage_child where it is missing';
COMMENT ON COLUMN kinderconnect.known_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.known_child.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.known_child.location_id IS 'as in Manage, empty where it has none; a child may have a row at several sites';
COMMENT ON COLUMN kinderconnect.known_child.first_name IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.middle_name IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.last_name IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.suffix IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.date_of_birth IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.active IS 'as in Manage; true where it does not say';
COMMENT ON COLUMN kinderconnect.known_child.first_key IS 'first word of the first name, folded';
COMMENT ON COLUMN kinderconnect.known_child.middle_key IS 'the other words of the first name, and the middle name, folded';
COMMENT ON COLUMN kinderconnect.known_child.last_key IS 'words of the last name without suffix, folded, in the order of the alphabet';
COMMENT ON COLUMN kinderconnect.known_child.suffix_key IS 'Jr, II, ..., wherever it was written, folded';
COMMENT ON COLUMN kinderconnect.known_child.changed_at IS 'when it was first read, or read differently';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.known_child', '');

CREATE INDEX known_child_by_name ON kinderconnect.known_child (organization_id, date_of_birth, last_key, first_key);

-- Neither a child that is as it was is written, nor its key made again.
CREATE FUNCTION kinderconnect._read_children(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
BEGIN
	INSERT INTO kinderconnect.known_child AS k
		(organization_id, child_id, location_id, first_name, middle_name, last_name, suffix, date_of_birth, active)
	SELECT DISTINCT ON (m.child_id, m.location_id) organization, m.child_id, coalesce(m.location_id, ''), m.first_name, m.middle_name, m.last_name, m.suffix,
		m.date_of_birth, coalesce(m.active, true)
	FROM kinderconnect.manage_child m
	LEFT JOIN kinderconnect.known_child k ON (k.organization_id, k.child_id, k.location_id) = (organization, m.child_id, coalesce(m.location_id, ''))
	WHERE m.organization_id = organization
		AND (k.child_id IS NULL
			OR (k.first_name, k.middle_name, k.last_name, k.suffix, k.date_of_birth, k.active) IS DISTINCT FROM
				(m.first_name, m.middle_name, m.last_name, m.suffix, m.date_of_birth, coalesce(m.active, true)))
	ORDER BY m.child_id, m.location_id, m.active DESC NULLS FIRST, m.last_name, m.first_name
	ON CONFLICT (organization_id, child_id, location_id) DO UPDATE
	SET first_name = excluded.first_name, middle_name = excluded.middle_name,
		last_name = excluded.last_name, suffix = excluded.suffix, date_of_birth = excluded.date_of_birth, active = excluded.active,
		changed_at = clock_timestamp();

	DELETE FROM kinderconnect.known_child k
	WHERE k.organization_id = organization
		AND NOT EXISTS (SELECT FROM kinderconnect.manage_child m WHERE (m.organization_id, m.child_id, coalesce(m.location_id, '')) = (organization, k.child_id, k.location_id));
END;
$$;
COMMENT ON FUNCTION kinderconnect._read_children(text) IS 'brings known_child of an organization up to what Manage says';

CREATE FUNCTION kinderconnect._manage_now(organization text)
	RETURNS TABLE (child_id text, location_id text, date_of_birth date, active boolean, first_key text, middle_key text, last_key text, suffix_key text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
BEGIN
	RETURN QUERY
	SELECT m.child_id, m.location_id, m.date_of_birth, coalesce(m.active, true),
		CASE WHEN k.child_id IS NOT NULL THEN k.first_key ELSE kinderconnect._first_key(m.first_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.middle_key ELSE kinderconnect._middle_key(m.first_name, m.middle_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.last_key ELSE kinderconnect._last_key(m.last_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.suffix_key ELSE kinderconnect._suffix_key(m.first_name, m.last_name, m.suffix) END
	FROM kinderconnect.manage_child m
	LEFT JOIN kinderconnect.known_child k ON (k.organization_id, k.child_id, k.location_id) = (organization, m.child_id, coalesce(m.location_id, ''))
		AND (k.first_name, k.middle_name, k.last_name, k.suffix) IS NOT DISTINCT FROM (m.first_name, m.middle_name, m.last_name, m.suffix)
	WHERE m.organization_id = organization;
END;
$$;
COMMENT ON FUNCTION kinderconnect._manage_now(text) IS
'Manage''s children as they are now, for looking without writing; names that known_child knows have their keys already';
