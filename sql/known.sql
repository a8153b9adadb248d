-- Manage's children as the last match read them, with the keys that names are
-- matched by. Manage tells nobody what changed: it is read once a night, and
-- what differs from here is what changed. The keys of a name are made once.
--
-- On the first night no table here has statistics, and whole sets are joined:
-- so here, in review.sql and in match.sql the planner is kept from the one
-- plan that is quadratic, and from JIT, as in plan.sql.

-- Rows of one child are told apart by this: a row that is as it was has the
-- row it had.
CREATE FUNCTION kinderconnect._digest(first_name text, middle_name text, last_name text, suffix text, date_of_birth date, active boolean) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN hash_record_extended(ROW(first_name COLLATE "default", middle_name COLLATE "default", last_name COLLATE "default", suffix COLLATE "default",
		date_of_birth, active), 0);
COMMENT ON FUNCTION kinderconnect._digest(text, text, text, text, date, boolean) IS 'of what Manage says about a child, to tell whether it still does';

-- No key to its organization, nor has listed_authorization one: both hold what
-- another has said and will say again, and to look the organization up for
-- each row takes longer than to write it. What is of a key must not be
-- generated: where all tables are published, PostgreSQL 18 does not let such rows
-- be removed.
CREATE TABLE kinderconnect.known_child (
	organization_id text COLLATE "C" NOT NULL,
	child_id        text COLLATE "C" NOT NULL,
	location_id     text COLLATE "C" NOT NULL,
	first_name      text,
	middle_name     text,
	last_name       text,
	suffix          text,
	date_of_birth   date,
	active          boolean NOT NULL,
	digest          bigint NOT NULL,
	first_key       text COLLATE "C" GENERATED ALWAYS AS (kinderconnect._first_key(first_name)) STORED,
	middle_key      text COLLATE "C" GENERATED ALWAYS AS (kinderconnect._middle_key(first_name, middle_name)) STORED,
	last_key        text COLLATE "C" GENERATED ALWAYS AS (kinderconnect._last_key(last_name)) STORED,
	suffix_key      text COLLATE "C" GENERATED ALWAYS AS (kinderconnect._suffix_key(first_name, last_name, suffix)) STORED,
	changed_at      timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, child_id, location_id, digest)
);
COMMENT ON TABLE kinderconnect.known_child IS
'Manage''s children as the last match read them, with folded keys; made again from manage_child where it is missing';
COMMENT ON COLUMN kinderconnect.known_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.known_child.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.known_child.location_id IS 'as in Manage, empty where it has none; a child may have a row at several sites, or two that differ at one';
COMMENT ON COLUMN kinderconnect.known_child.first_name IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.middle_name IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.last_name IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.suffix IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.date_of_birth IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.active IS 'as in Manage; true where it does not say';
COMMENT ON COLUMN kinderconnect.known_child.digest IS 'of the names, birth date and active';
COMMENT ON COLUMN kinderconnect.known_child.first_key IS 'first word of the first name, folded';
COMMENT ON COLUMN kinderconnect.known_child.middle_key IS 'the other words of the first name, and the middle name, folded';
COMMENT ON COLUMN kinderconnect.known_child.last_key IS 'words of the last name without suffix, folded, in the order of the alphabet';
COMMENT ON COLUMN kinderconnect.known_child.suffix_key IS 'Jr, II, ..., wherever it was written, folded';
COMMENT ON COLUMN kinderconnect.known_child.changed_at IS 'when it was first read so; infinity: a person''s decision has it looked at again';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.known_child', '');

CREATE INDEX known_child_by_name ON kinderconnect.known_child (organization_id, date_of_birth, last_key, first_key);

CREATE INDEX known_child_changed ON kinderconnect.known_child (organization_id, changed_at);

-- Manage's side may be read while it is being filled, or be there in part. Of
-- two children that fit, the one that is left must not be taken for the only
-- one: that one has gone is believed of another night, as of a list that has
-- shrunk.
CREATE TABLE kinderconnect.gone_child (
	organization_id text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	child_id        text COLLATE "C" NOT NULL,
	date_of_birth   date NOT NULL,
	last_key        text COLLATE "C" NOT NULL,
	first_key       text COLLATE "C" NOT NULL,
	gone_at         timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, child_id, date_of_birth, last_key, first_key)
);
COMMENT ON TABLE kinderconnect.gone_child IS
'children that Manage has no longer, for six hours after the match that missed them: nobody is linked meanwhile by a name and a birth date that one of them had';
COMMENT ON COLUMN kinderconnect.gone_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.gone_child.child_id IS 'the child in Manage, while it was there';
COMMENT ON COLUMN kinderconnect.gone_child.date_of_birth IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.gone_child.last_key IS 'as in known_child';
COMMENT ON COLUMN kinderconnect.gone_child.first_key IS 'as in known_child';
COMMENT ON COLUMN kinderconnect.gone_child.gone_at IS 'when a match first missed it';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.gone_child', '');

-- A statement about a few children looks each up by itself; one about many joins
-- whole sets, and is kept from nested loops: what the planner reckons of an
-- organization that it has no statistics of is a row.
CREATE FUNCTION kinderconnect._are_few(organization text, number bigint) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT number <= 1000 AND count(*) > number * 20
	FROM (SELECT FROM kinderconnect.known_child k WHERE k.organization_id = organization LIMIT least(number, 1000) * 20 + 1) k;
END;
COMMENT ON FUNCTION kinderconnect._are_few(text, bigint) IS
'whether so many are so few of an organization''s children that each is better looked up by itself';

-- A row that changed is one that is gone and one that has come, and concerns
-- whoever has the keys of either.
--
-- A name of more bytes than the service's may have is none: an index has no
-- room for its key, and without it nobody of the organization would be read.
CREATE FUNCTION kinderconnect._read_children(organization text, tell boolean DEFAULT true)
	RETURNS TABLE (child_id text, date_of_birth date, last_key text, first_key text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
	SET enable_nestloop = off
AS $$
BEGIN
	-- Planned anew for each organization by EXECUTE: by force_custom_plan the
	-- foreign keys would be too, for each row.
	RETURN QUERY EXECUTE $sql$
	WITH difference AS MATERIALIZED (
		SELECT m.*, k.child_id AS gone_child_id, k.location_id AS gone_location_id, k.digest AS gone_digest
		FROM (SELECT m.child_id COLLATE "C" AS child_id, coalesce(m.location_id, '') COLLATE "C" AS location_id, n.first_name, m.middle_name, n.last_name, m.suffix,
				m.date_of_birth, coalesce(m.active, true) AS active,
				kinderconnect._digest(n.first_name, m.middle_name, n.last_name, m.suffix, m.date_of_birth, coalesce(m.active, true)) AS digest
			FROM kinderconnect.manage_child m
			CROSS JOIN LATERAL (SELECT CASE WHEN octet_length(m.first_name) <= 1024 THEN m.first_name END AS first_name,
				CASE WHEN octet_length(m.last_name) <= 1024 THEN m.last_name END AS last_name) n
			WHERE m.organization_id = $1) m
		FULL JOIN (SELECT k.child_id, k.location_id, k.digest FROM kinderconnect.known_child k WHERE k.organization_id = $1) k
			ON (k.child_id, k.location_id, k.digest) = (m.child_id, m.location_id, m.digest)
		WHERE m.child_id IS NULL OR k.child_id IS NULL
	), gone AS (
		DELETE FROM kinderconnect.known_child k USING difference d
		WHERE (k.organization_id, k.child_id, k.location_id, k.digest) = ($1, d.gone_child_id, d.gone_location_id, d.gone_digest)
		RETURNING k.child_id, k.date_of_birth, k.last_key, k.first_key
	), come AS (
		INSERT INTO kinderconnect.known_child AS k
			(organization_id, child_id, location_id, first_name, middle_name, last_name, suffix, date_of_birth, active, digest)
		SELECT $1, d.child_id, d.location_id, d.first_name, d.middle_name, d.last_name, d.suffix, d.date_of_birth, d.active, d.digest
		FROM difference d WHERE d.child_id IS NOT NULL
		ON CONFLICT DO NOTHING
		RETURNING k.child_id, k.date_of_birth, k.last_key, k.first_key
	)
	SELECT * FROM gone WHERE $2 UNION ALL SELECT * FROM come WHERE $2
	$sql$ USING organization, tell;
END;
$$;
COMMENT ON FUNCTION kinderconnect._read_children(text, boolean) IS
'brings known_child of an organization up to what Manage says; with tell, answers what it removed and what it added';

-- Both are few beside known_child, where each is looked up.
CREATE FUNCTION kinderconnect._note_gone(organization text, children text[], born date[], lasts text[], firsts text[]) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
	SET enable_nestloop = on
	SET enable_hashjoin = off
	SET enable_mergejoin = off
	SET enable_seqscan = off
BEGIN ATOMIC
	DELETE FROM kinderconnect.gone_child g
	WHERE g.organization_id = organization
		AND (g.gone_at <= now() - kinderconnect._another_night()
			OR EXISTS (SELECT FROM kinderconnect.known_child k WHERE (k.organization_id, k.child_id) = (organization, g.child_id)));
	INSERT INTO kinderconnect.gone_child (organization_id, child_id, date_of_birth, last_key, first_key)
	SELECT DISTINCT organization, c.child_id, c.date_of_birth, c.last_key, c.first_key
	FROM unnest(children, born, lasts, firsts) c(child_id, date_of_birth, last_key, first_key)
	WHERE c.date_of_birth IS NOT NULL AND c.last_key <> '' AND c.first_key <> ''
		AND NOT EXISTS (SELECT FROM kinderconnect.known_child k WHERE (k.organization_id, k.child_id) = (organization, c.child_id))
	ON CONFLICT DO NOTHING;
END;
COMMENT ON FUNCTION kinderconnect._note_gone(text, text[], date[], text[], text[]) IS
'brings gone_child of an organization up to known_child; given the rows of it that a match removed or added';

CREATE FUNCTION kinderconnect._manage_now(organization text)
	RETURNS TABLE (child_id text, location_id text, date_of_birth date, active boolean, first_key text, middle_key text, last_key text, suffix_key text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	in_manage text COLLATE "default" := organization;
BEGIN
	RETURN QUERY
	SELECT m.child_id, m.location_id, m.date_of_birth, m.active,
		CASE WHEN k.child_id IS NOT NULL THEN k.first_key ELSE kinderconnect._first_key(m.first_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.middle_key ELSE kinderconnect._middle_key(m.first_name, m.middle_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.last_key ELSE kinderconnect._last_key(m.last_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.suffix_key ELSE kinderconnect._suffix_key(m.first_name, m.last_name, m.suffix) END
	FROM (SELECT m.child_id COLLATE "C" AS child_id, coalesce(m.location_id, '') COLLATE "C" AS location_id, n.first_name, m.middle_name, n.last_name, m.suffix,
			m.date_of_birth, coalesce(m.active, true) AS active,
			kinderconnect._digest(n.first_name, m.middle_name, n.last_name, m.suffix, m.date_of_birth, coalesce(m.active, true)) AS digest
		FROM kinderconnect.manage_child m
		CROSS JOIN LATERAL (SELECT CASE WHEN octet_length(m.first_name) <= 1024 THEN m.first_name END AS first_name,
			CASE WHEN octet_length(m.last_name) <= 1024 THEN m.last_name END AS last_name) n
		WHERE m.organization_id = in_manage) m
	LEFT JOIN kinderconnect.known_child k ON (k.organization_id, k.child_id, k.location_id, k.digest) = (organization, m.child_id, m.location_id, m.digest);
END;
$$;
COMMENT ON FUNCTION kinderconnect._manage_now(text) IS
'Manage''s children as they are now, for looking without writing; names that known_child knows have their keys already';
