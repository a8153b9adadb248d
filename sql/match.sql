-- Step 3 of the night: which child of Manage is which child of KinderConnect.
-- A link is made only where one answer is possible; everything else says why.

CREATE TABLE kinderconnect.child_link (
	organization_id        text COLLATE "C" NOT NULL,
	agency_id              text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	child_id               text COLLATE "C" NOT NULL,
	method                 text NOT NULL CHECK (method IN ('stored_id', 'exact_location', 'exact_organization', 'person')),
	linked_at              timestamptz NOT NULL DEFAULT now(),
	linked_by              text NOT NULL DEFAULT session_user,
	differing              text[],
	flag                   text,
	ended_at               timestamptz,
	ended_by               text,
	end_reason             text,
	unlisted               boolean NOT NULL DEFAULT false,
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id, linked_at),
	FOREIGN KEY (organization_id, agency_id, kinderconnect_child_id) REFERENCES kinderconnect.child,
	CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
COMMENT ON TABLE kinderconnect.child_link IS
'which child of Manage a KinderConnect child is; at most one link in force on either side, ended ones kept';
COMMENT ON COLUMN kinderconnect.child_link.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_link.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_link.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_link.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.child_link.method IS 'stored_id: Manage stores the id; exact_location, exact_organization: first and last name and birth date, within the site or the organization; person: link_child()';
COMMENT ON COLUMN kinderconnect.child_link.linked_at IS 'when';
COMMENT ON COLUMN kinderconnect.child_link.linked_by IS 'login role';
COMMENT ON COLUMN kinderconnect.child_link.differing IS 'what spoke against it and was known when it was made: first_name, middle_name, last_name, suffix, date_of_birth; null: the next match looks';
COMMENT ON COLUMN kinderconnect.child_link.flag IS 'why a person should look at it. Its days are held for link_disagrees, birth date or both names no longer agree, or Manage stores the id of another child who agrees no worse, and child_gone, Manage no longer has the child; they go on for name_changed, a name differs that did not when the link was made. Null: it stands';
COMMENT ON COLUMN kinderconnect.child_link.ended_at IS 'when it ended; null: in force';
COMMENT ON COLUMN kinderconnect.child_link.ended_by IS 'login role';
COMMENT ON COLUMN kinderconnect.child_link.end_reason IS 'why';
COMMENT ON COLUMN kinderconnect.child_link.unlisted IS 'whether the child was listed in no month of the horizon when candidates were last looked for: the child of Manage is offered to others';

CREATE UNIQUE INDEX child_link_in_force ON kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id) WHERE ended_at IS NULL;
CREATE INDEX child_link_new ON kinderconnect.child_link (organization_id) WHERE ended_at IS NULL AND differing IS NULL;
CREATE UNIQUE INDEX child_link_in_force_in_manage ON kinderconnect.child_link (organization_id, child_id, agency_id) WHERE ended_at IS NULL;
CREATE INDEX child_link_ended ON kinderconnect.child_link (organization_id, kinderconnect_child_id) WHERE ended_at IS NOT NULL;
CREATE INDEX listed_authorization_by_child ON kinderconnect.listed_authorization (organization_id, kinderconnect_child_id);

-- What the last match rested on besides the two sides' children. Where it is
-- no longer so, or there was none, more children are due than have changed.
CREATE TABLE kinderconnect.match_state (
	organization_id text COLLATE "C" PRIMARY KEY REFERENCES kinderconnect.organization,
	matched_at      timestamptz NOT NULL,
	version         text NOT NULL,
	sites           numeric NOT NULL,
	stored_ids      numeric NOT NULL
);
COMMENT ON TABLE kinderconnect.match_state IS
'the last match of each organization; DELETE has the next one look at every child again';
COMMENT ON COLUMN kinderconnect.match_state.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.match_state.matched_at IS 'when; children that the service changed since are due';
COMMENT ON COLUMN kinderconnect.match_state.version IS 'version of the extension; another one may match by other rules: all children are due';
COMMENT ON COLUMN kinderconnect.match_state.sites IS 'digest of the providers'' locations; another: unlinked children are due';
COMMENT ON COLUMN kinderconnect.match_state.stored_ids IS 'digest of manage_child_id; another: unlinked children are due';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child_link', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.match_state', '');

CREATE FUNCTION kinderconnect._stored_ids(organization text)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	in_manage text COLLATE "default" := organization;
BEGIN
	IF kinderconnect._is_bound('child_id') THEN
		RETURN QUERY SELECT DISTINCT m.agency_id, m.kinderconnect_child_id, m.child_id
			FROM kinderconnect.manage_child_id m WHERE m.organization_id = in_manage;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._stored_ids(text) IS 'the ids of the service that Manage already stores, where that is bound';

-- An initial is a middle name too; of two words and one the first is compared.
CREATE FUNCTION kinderconnect._middle_agrees(a text, b text) RETURNS boolean
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN a = b OR NOT EXISTS (SELECT FROM unnest(string_to_array(a, ' '), string_to_array(b, ' ')) w(a, b)
		WHERE w.a <> w.b AND NOT (length(w.a) = 1 AND starts_with(w.b, w.a) OR length(w.b) = 1 AND starts_with(w.a, w.b)));
COMMENT ON FUNCTION kinderconnect._middle_agrees(text, text) IS 'whether two middle names, folded, may be one child''s; null where a side has none';

-- A child that the service has changed, whom something has marked as
-- not_matched_yet, and whose verdict depends on other children of the
-- service, or on the hour: these few are judged every night.
CREATE FUNCTION kinderconnect._is_due(changed_at timestamptz, unlinked_because text, since timestamptz) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN changed_at >= since OR unlinked_because COLLATE "C" IN ('not_matched_yet', 'several_at_service', 'already_linked', 'merged', 'rival_gone');
COMMENT ON FUNCTION kinderconnect._is_due(timestamptz, text, timestamptz) IS
'whether a child that the service lists is judged by a match, the one before having been then; null: it is linked, and has not changed';

-- Read-only, so that preview() sees tonight's links without making them.
--
-- Who may be the same child of Manage as one that is due is looked at along with
-- it, and keeps the verdict, for that rests on Manage alone.
--
-- A stored id is taken when two of first name, last name and birth date agree,
-- and in no other child all three do: the ids of twins may be exchanged. Else
-- the names and the birth date must be equal, folded; middle name and suffix
-- speak only where both sides have one. The site's active children come
-- first (rank 0), then the site's inactive and the organization's active ones
-- together, for a child who moved has both, then the rest. A pair that a
-- person has parted stays parted.
CREATE FUNCTION kinderconnect._new_links(organization text, read boolean DEFAULT false, since timestamptz DEFAULT '-infinity')
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, method text, unlinked_because text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	-- the ids of wanted, where they are few, and the keys of near: each is
	-- looked up by itself
	few    text[];
	born   date[];
	lasts  text[];
	firsts text[];
BEGIN
	IF since > '-infinity' AND EXISTS (SELECT FROM kinderconnect.match_state s WHERE s.organization_id = organization) THEN
		SELECT array_agg(c.kinderconnect_child_id), array_agg(c.date_of_birth), array_agg(c.last_key), array_agg(c.first_key)
		INTO few, born, lasts, firsts
		FROM (SELECT c.* FROM kinderconnect.child c
			WHERE c.organization_id = organization
				AND kinderconnect._is_due(c.changed_at, c.unlinked_because, since)
			LIMIT 1001) c;
		IF few IS NULL THEN
			RETURN;		-- nobody is due
		ELSIF kinderconnect._are_few(organization, cardinality(few)) THEN
			PERFORM set_config('enable_nestloop', 'on', true);
			-- in this order: of an organization that the planner knows nothing
			-- of it might take all of it for each of these few
			SELECT array_agg(n.date_of_birth), array_agg(n.last_key), array_agg(n.first_key) INTO born, lasts, firsts
			FROM (SELECT DISTINCT n.date_of_birth, n.last_key, n.first_key
				FROM unnest(born, lasts, firsts) c(date_of_birth, last_key, first_key)
				CROSS JOIN LATERAL (SELECT m.child_id FROM kinderconnect.known_child m
					WHERE (m.organization_id, m.date_of_birth, m.last_key, m.first_key) = (organization, c.date_of_birth, c.last_key, c.first_key) OFFSET 0) m
				CROSS JOIN LATERAL (SELECT n.date_of_birth, n.last_key, n.first_key FROM kinderconnect.known_child n
					WHERE (n.organization_id, n.child_id) = (organization, m.child_id) OFFSET 0) n) n;
			few := few || ARRAY(SELECT o.kinderconnect_child_id
				FROM unnest(born, lasts, firsts) n(date_of_birth, last_key, first_key)
				CROSS JOIN LATERAL (SELECT o.kinderconnect_child_id FROM kinderconnect.child o
					WHERE (o.organization_id, o.date_of_birth, o.last_key, o.first_key) = (organization, n.date_of_birth, n.last_key, n.first_key) OFFSET 0) o);
		ELSE
			few := NULL;
		END IF;
	END IF;
	RETURN QUERY
	WITH near AS (
		-- names and birth dates of whom a due one may be, in each of their rows
		SELECT * FROM unnest(born, lasts, firsts) WHERE few IS NOT NULL
		UNION ALL
		SELECT DISTINCT o.date_of_birth, o.last_key, o.first_key
		FROM kinderconnect.child c
		JOIN kinderconnect.known_child m ON (m.organization_id, m.date_of_birth, m.last_key, m.first_key)
			= (organization, c.date_of_birth, c.last_key, c.first_key)
		JOIN kinderconnect.known_child o ON (o.organization_id, o.child_id) = (organization, m.child_id)
		WHERE few IS NULL AND since > '-infinity' AND c.organization_id = organization
			AND kinderconnect._is_due(c.changed_at, c.unlinked_because, since)
	), wanted AS MATERIALIZED (
		SELECT true AS due, c.agency_id, c.kinderconnect_child_id, c.first_key, c.last_key, c.date_of_birth, c.middle_key, c.suffix_key
		FROM kinderconnect.child c
		WHERE c.organization_id = organization
			AND kinderconnect._is_due(c.changed_at, c.unlinked_because, since)
			AND NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
				AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id))
		UNION ALL
		SELECT false, c.agency_id, c.kinderconnect_child_id, c.first_key, c.last_key, c.date_of_birth, c.middle_key, c.suffix_key
		FROM kinderconnect.child c
		WHERE since > '-infinity' AND c.organization_id = organization
			AND NOT kinderconnect._is_due(c.changed_at, c.unlinked_because, since)
			AND (c.date_of_birth, c.last_key, c.first_key) IN (SELECT * FROM near)
	), now AS MATERIALIZED (
		SELECT * FROM kinderconnect._manage_now(organization) WHERE NOT read AND EXISTS (SELECT FROM wanted)
	), manage AS NOT MATERIALIZED (
		SELECT m.child_id, m.location_id, m.date_of_birth, m.active, m.first_key, m.middle_key, m.last_key, m.suffix_key
		FROM kinderconnect.known_child m
		WHERE read AND m.organization_id = organization
		UNION ALL
		SELECT n.child_id, n.location_id, n.date_of_birth, n.active, n.first_key, n.middle_key, n.last_key, n.suffix_key FROM now n
	), taken_back AS MATERIALIZED (
		-- merges: the former id is listed again, and the one that took its place is not
		SELECT k.agency_id, k.kinderconnect_child_id, k.linked_at
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NOT NULL AND k.end_reason LIKE 'merged into %'
			AND (few IS NULL OR k.kinderconnect_child_id = ANY (few))
			AND EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
				WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id))
			AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
				WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (organization, k.agency_id, substr(k.end_reason, length('merged into _'))))
	), ended AS (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, k.end_reason LIKE 'merged into %' AS merged
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NOT NULL AND (few IS NULL OR k.kinderconnect_child_id = ANY (few))
			AND NOT EXISTS (SELECT FROM taken_back b WHERE (b.agency_id, b.kinderconnect_child_id, b.linked_at) = (k.agency_id, k.kinderconnect_child_id, k.linked_at))
		UNION
		SELECT r.agency_id, r.kinderconnect_child_id, r.child_id, false
		FROM kinderconnect.parted_pair r
		WHERE r.organization_id = organization
	), site AS (
		SELECT DISTINCT l.agency_id, l.kinderconnect_child_id, p.location_id
		FROM kinderconnect.listed_authorization l
		JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (l.organization_id, l.agency_id, l.provider_id)
		WHERE l.organization_id = organization AND p.location_id IS NOT NULL AND (few IS NULL OR l.kinderconnect_child_id = ANY (few))
	), stored AS (
		SELECT s.agency_id, s.kinderconnect_child_id, s.child_id,
			bool_or((nullif(w.first_key, '') = m.first_key IS TRUE)::integer + (nullif(w.last_key, '') = m.last_key IS TRUE)::integer
				+ (w.date_of_birth = m.date_of_birth IS TRUE)::integer >= 2) AS agrees
		FROM kinderconnect._stored_ids(organization) s
		JOIN wanted w ON (w.agency_id, w.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		LEFT JOIN manage m ON m.child_id = s.child_id
		WHERE NOT EXISTS (SELECT FROM ended e WHERE (e.agency_id, e.kinderconnect_child_id, e.child_id)
			= (s.agency_id, s.kinderconnect_child_id, s.child_id))
		GROUP BY s.agency_id, s.kinderconnect_child_id, s.child_id
	), fitting AS MATERIALIZED (
		SELECT w.agency_id, w.kinderconnect_child_id, m.child_id,
			bool_and(CASE WHEN w.middle_key IS NOT NULL AND m.middle_key IS NOT NULL THEN kinderconnect._middle_agrees(w.middle_key, m.middle_key) ELSE true END
				AND (w.suffix_key = m.suffix_key) IS NOT FALSE) AS whole,
			bool_or(s.location_id IS NOT NULL) AS at_site,
			min(CASE WHEN s.location_id IS NOT NULL AND m.active THEN 0 WHEN s.location_id IS NOT NULL OR m.active THEN 1 ELSE 2 END) AS rank
		FROM wanted w
		JOIN manage m ON (m.date_of_birth, m.last_key, m.first_key) = (w.date_of_birth, w.last_key, w.first_key)
		LEFT JOIN site s ON (s.agency_id, s.kinderconnect_child_id, s.location_id) = (w.agency_id, w.kinderconnect_child_id, m.location_id)
		WHERE w.first_key <> '' AND w.last_key <> ''
			AND NOT EXISTS (SELECT FROM ended e WHERE (e.agency_id, e.kinderconnect_child_id, e.child_id)
				= (w.agency_id, w.kinderconnect_child_id, m.child_id))
		GROUP BY w.agency_id, w.kinderconnect_child_id, m.child_id
	), by_child AS (
		SELECT f.agency_id, f.kinderconnect_child_id, count(*) AS fits, min(f.child_id) AS child_id,
			bool_and(f.whole) AS whole, bool_or(f.at_site) AS at_site, min(f.rank) FILTER (WHERE f.whole) AS best_rank
		FROM fitting f GROUP BY f.agency_id, f.kinderconnect_child_id
	), by_manage AS (
		SELECT f.agency_id, f.child_id, count(*) AS fits FROM fitting f GROUP BY f.agency_id, f.child_id
	), outcome AS MATERIALIZED (
		-- most children have one fit, and that one no other
		SELECT b.agency_id, b.kinderconnect_child_id, b.child_id, b.whole, b.at_site, b.best_rank, b.fits = 1 AND n.fits = 1 AS alone
		FROM by_child b
		JOIN by_manage n ON (n.agency_id, n.child_id) = (b.agency_id, b.child_id)
	), best AS (
		SELECT f.agency_id, f.kinderconnect_child_id, f.child_id, f.at_site
		FROM fitting f
		JOIN outcome o ON NOT o.alone AND (o.agency_id, o.kinderconnect_child_id, o.best_rank) = (f.agency_id, f.kinderconnect_child_id, f.rank)
		WHERE f.whole
	), counted AS (
		SELECT b.*, count(*) OVER (PARTITION BY b.agency_id, b.kinderconnect_child_id) AS in_manage,
			count(*) OVER (PARTITION BY b.agency_id, b.child_id) AS at_service
		FROM best b
	), fit AS (
		SELECT o.agency_id, o.kinderconnect_child_id, CASE WHEN o.whole THEN o.child_id END AS child_id, o.at_site, 1 AS in_manage, 1 AS at_service
		FROM outcome o WHERE o.alone
		UNION ALL
		(SELECT DISTINCT ON (o.agency_id, o.kinderconnect_child_id) o.agency_id, o.kinderconnect_child_id,
			c.child_id, c.at_site, c.in_manage, c.at_service
		FROM outcome o
		LEFT JOIN counted c ON (c.agency_id, c.kinderconnect_child_id) = (o.agency_id, o.kinderconnect_child_id)
		WHERE NOT o.alone
		ORDER BY o.agency_id, o.kinderconnect_child_id, c.at_service DESC)
	), apart AS (
		-- whose own child is in Manage, but is not theirs to have
		SELECT w.agency_id, w.kinderconnect_child_id, bool_and(e.merged) AS merged
		FROM wanted w
		JOIN ended e ON (e.agency_id, e.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		JOIN manage m ON m.child_id = e.child_id AND (m.date_of_birth, m.last_key, m.first_key) = (w.date_of_birth, w.last_key, w.first_key)
		GROUP BY w.agency_id, w.kinderconnect_child_id
	), verdict AS (
		SELECT w.due, w.agency_id, w.kinderconnect_child_id,
			CASE
				WHEN st.n = 1 AND st.agrees THEN st.child_id
				WHEN st.n IS NULL AND c.in_manage = 1 AND c.at_service = 1 THEN c.child_id
			END AS child_id,
			CASE
				WHEN st.n IS NOT NULL THEN 'stored_id'
				WHEN c.at_site THEN 'exact_location'
				ELSE 'exact_organization'
			END AS method,
			CASE
				WHEN st.n > 1 THEN 'several_stored_ids'
				WHEN NOT st.agrees THEN 'id_disagrees'
				WHEN w.date_of_birth IS NULL THEN 'no_birth_date'
				WHEN coalesce(w.first_key, '') = '' OR coalesce(w.last_key, '') = '' THEN 'no_name'
				WHEN c.kinderconnect_child_id IS NULL AND a.merged THEN 'merged'
				WHEN c.kinderconnect_child_id IS NULL AND NOT a.merged THEN 'parted'
				WHEN c.kinderconnect_child_id IS NULL THEN 'not_in_manage'
				WHEN c.child_id IS NULL THEN 'middle_name_or_suffix'
				WHEN c.in_manage > 1 THEN 'several_in_manage'
				WHEN c.at_service > 1 THEN 'several_at_service'
			END AS because
		FROM wanted w
		LEFT JOIN (SELECT s.agency_id, s.kinderconnect_child_id, count(*) AS n, min(s.child_id) AS child_id, coalesce(bool_and(s.agrees), false) AS agrees
			FROM (SELECT s.agency_id, s.kinderconnect_child_id, s.child_id, s.agrees AND coalesce(bool_or(f.child_id = s.child_id), true) AS agrees
				FROM stored s
				LEFT JOIN fitting f ON (f.agency_id, f.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
				GROUP BY s.agency_id, s.kinderconnect_child_id, s.child_id, s.agrees) s
			GROUP BY s.agency_id, s.kinderconnect_child_id) st
			ON (st.agency_id, st.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		LEFT JOIN fit c ON (c.agency_id, c.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		LEFT JOIN apart a ON (a.agency_id, a.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
	), clash AS (
		-- A stored id and an exact fit, or two stored ids, may still claim one
		-- child of Manage between them.
		SELECT v.agency_id, v.child_id
		FROM verdict v
		JOIN (SELECT DISTINCT s.agency_id, s.child_id FROM verdict s WHERE s.method = 'stored_id') s
			ON (s.agency_id, s.child_id) = (v.agency_id, v.child_id)
		GROUP BY v.agency_id, v.child_id
		HAVING count(*) > 1
	), agreed AS (
		SELECT v.*, k.child_id IS NOT NULL AS taken, d.child_id IS NOT NULL AS clashes
		FROM verdict v
		LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.child_id) = (organization, v.agency_id, v.child_id)
		LEFT JOIN clash d ON (d.agency_id, d.child_id) = (v.agency_id, v.child_id)
	)
	SELECT a.agency_id, a.kinderconnect_child_id,
		CASE WHEN NOT a.clashes AND NOT a.taken THEN a.child_id END,
		CASE WHEN NOT a.clashes AND NOT a.taken AND a.child_id IS NOT NULL THEN a.method END,
		CASE WHEN a.child_id IS NULL THEN a.because
			WHEN a.taken THEN 'already_linked'
			WHEN a.clashes THEN 'several_at_service' END
	FROM agreed a
	WHERE a.due;
END;
$$;
COMMENT ON FUNCTION kinderconnect._new_links(text, boolean, timestamptz) IS
'the KinderConnect children of an organization without a link that are due since then, by default all: the child of Manage each is, or why that cannot be told. Changes nothing. With read, known_child is what Manage says; else Manage itself is asked';

CREATE FUNCTION kinderconnect._differing(c kinderconnect.child, date_of_birth date, first_key text, middle_key text, last_key text, suffix_key text) RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN array_remove(ARRAY[
		CASE WHEN (c.first_key = _differing.first_key) IS NOT TRUE THEN 'first_name' END,
		CASE WHEN NOT kinderconnect._middle_agrees(c.middle_key, _differing.middle_key) THEN 'middle_name' END,
		CASE WHEN (c.last_key = _differing.last_key) IS NOT TRUE THEN 'last_name' END,
		CASE WHEN c.suffix_key <> _differing.suffix_key THEN 'suffix' END,
		CASE WHEN c.date_of_birth <> _differing.date_of_birth THEN 'date_of_birth' END], NULL);
COMMENT ON FUNCTION kinderconnect._differing(kinderconnect.child, date, text, text, text, text) IS
'what speaks against a child''s being one of Manage: names of columns';

-- A link stands while the birth date and at least one name agree; one that a
-- stored id or a person made, also where a birth date is missing. What a
-- person saw and linked all the same is no news. Where Manage has a child in
-- several rows, one that agrees is enough.
CREATE FUNCTION kinderconnect._flag(method text, known text[], differing text[], born boolean, gone boolean) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN gone THEN 'child_gone'
		WHEN 'date_of_birth' = ANY (differing) OR method LIKE 'exact%' AND NOT born OR differing @> '{first_name,last_name}' THEN 'link_disagrees'
		WHEN NOT differing <@ known THEN 'name_changed'
	END;
COMMENT ON FUNCTION kinderconnect._flag(text, text[], text[], boolean, boolean) IS
'the flag that a link deserves; known is what spoke against it when it was made, differing what does now, born whether both sides have a birth date, gone that Manage has no such child';

-- What speaks against a link that a match made: Manage stores the id of another
-- child, who agrees in two of first name, last name and birth date, and no
-- worse than the linked one; or it was made by a stored id although a name
-- differed, and in another child all three agree.
CREATE FUNCTION kinderconnect._contradicted(organization text, read boolean DEFAULT true)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH stored AS MATERIALIZED (
		SELECT * FROM kinderconnect._stored_ids(organization)
	), now AS MATERIALIZED (
		SELECT * FROM kinderconnect._manage_now(organization) WHERE NOT read
	), manage AS NOT MATERIALIZED (
		SELECT m.child_id, m.date_of_birth, m.first_key, m.last_key FROM kinderconnect.known_child m
		WHERE read AND m.organization_id = organization
		UNION ALL
		SELECT n.child_id, n.date_of_birth, n.first_key, n.last_key FROM now n
	), rival AS MATERIALIZED (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, s.child_id AS other, true AS stored
		FROM kinderconnect.child_link k
		JOIN stored s ON (s.agency_id, s.kinderconnect_child_id) = (k.agency_id, k.kinderconnect_child_id) AND s.child_id <> k.child_id
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND k.method <> 'person'
			AND NOT EXISTS (SELECT FROM stored o WHERE (o.agency_id, o.kinderconnect_child_id, o.child_id) = (k.agency_id, k.kinderconnect_child_id, k.child_id))
		UNION
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, m.child_id, false
		FROM kinderconnect.child_link k
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id)
		JOIN manage m ON (m.date_of_birth, m.last_key, m.first_key) = (c.date_of_birth, c.last_key, c.first_key) AND m.child_id <> k.child_id
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND k.method = 'stored_id' AND k.differing && '{first_name,last_name}'
			AND c.first_key <> '' AND c.last_key <> ''
	), agreeing AS (
		SELECT r.agency_id, r.kinderconnect_child_id, r.stored, coalesce(max(a.n) FILTER (WHERE m.child_id = r.child_id), 0) AS linked,
			coalesce(max(a.n) FILTER (WHERE m.child_id = r.other), 0) AS other
		FROM rival r
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, r.agency_id, r.kinderconnect_child_id)
		CROSS JOIN LATERAL (VALUES (r.child_id), (r.other)) e(child_id)
		JOIN manage m ON m.child_id = e.child_id
		CROSS JOIN LATERAL (SELECT (nullif(c.first_key, '') = m.first_key IS TRUE)::integer + (nullif(c.last_key, '') = m.last_key IS TRUE)::integer
			+ (c.date_of_birth = m.date_of_birth IS TRUE)::integer AS n) a
		-- a person, or a match, has looked at it
		WHERE NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NOT NULL
				AND (k.organization_id, k.agency_id, k.kinderconnect_child_id, k.child_id) = (organization, r.agency_id, r.kinderconnect_child_id, r.other))
			AND NOT EXISTS (SELECT FROM kinderconnect.parted_pair p
				WHERE (p.organization_id, p.agency_id, p.kinderconnect_child_id, p.child_id) = (organization, r.agency_id, r.kinderconnect_child_id, r.other))
		GROUP BY r.agency_id, r.kinderconnect_child_id, r.child_id, r.other, r.stored
	)
	SELECT DISTINCT a.agency_id, a.kinderconnect_child_id
	FROM agreeing a
	WHERE CASE WHEN a.stored THEN a.other >= greatest(a.linked, 2) ELSE a.linked < 3 END;
END;
$$;
COMMENT ON FUNCTION kinderconnect._contradicted(text, boolean) IS
'the links made by a match of which a stored id, or the names and birth date of another child of Manage, clearly say otherwise. With read, known_child is what Manage says; else Manage itself is asked';

-- The agency merged two ids: the one that is linked is no longer listed in any
-- month looked at, another of the same name and birth date is, and would be
-- linked but for that. Who fits is settled by then, so these are few.
CREATE FUNCTION kinderconnect._merges(organization text, taken_agencies text[], taken_children text[])
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, into_id text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	IF taken_children IS NULL THEN
		RETURN;
	END IF;
	RETURN QUERY
	WITH listed AS (
		SELECT n.agency_id, n.kinderconnect_child_id, n.date_of_birth, n.last_key, n.first_key
		FROM unnest(taken_agencies, taken_children) t (agency_id, kinderconnect_child_id)
		JOIN kinderconnect.child n ON (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (organization, t.agency_id, t.kinderconnect_child_id)
		WHERE EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
				WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (n.organization_id, n.agency_id, n.kinderconnect_child_id))
	)
	SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, min(n.kinderconnect_child_id)
	FROM listed n
	JOIN kinderconnect.child o ON (o.organization_id, o.agency_id, o.date_of_birth, o.last_key, o.first_key)
		= (organization, n.agency_id, n.date_of_birth, n.last_key, n.first_key)
	JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (organization, o.agency_id, o.kinderconnect_child_id)
	WHERE NOT EXISTS (SELECT FROM kinderconnect.parted_pair r WHERE (r.organization_id, r.agency_id, r.kinderconnect_child_id, r.child_id)
			= (organization, n.agency_id, n.kinderconnect_child_id, k.child_id))
		AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
			WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (organization, o.agency_id, o.kinderconnect_child_id))
	GROUP BY k.agency_id, k.kinderconnect_child_id, k.child_id
	-- of two, nobody knows which
	HAVING count(*) = 1;
END;
$$;
COMMENT ON FUNCTION kinderconnect._merges(text, text[], text[]) IS
'the linked ids that the agency merged into another, of those whose child of Manage is taken; given by agency and id. Changes nothing';

-- preview()'s, for all links there would be. An id that takes the place of
-- another tonight has its child, if that one fits.
CREATE FUNCTION kinderconnect._links(organization text)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, flag text, unlinked_because text, formerly text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH manage AS MATERIALIZED (
		SELECT * FROM kinderconnect._manage_now(organization)
	), gone AS MATERIALIZED (
		SELECT g.date_of_birth, g.last_key, g.first_key
		FROM (SELECT g.child_id, g.date_of_birth, g.last_key, g.first_key FROM kinderconnect.gone_child g
			WHERE g.organization_id = organization AND g.gone_at > now() - kinderconnect._another_night()
			UNION
			SELECT k.child_id, k.date_of_birth, k.last_key, k.first_key FROM kinderconnect.known_child k
			WHERE k.organization_id = organization) g
		WHERE NOT EXISTS (SELECT FROM manage m WHERE m.child_id = g.child_id)
	), standing AS MATERIALIZED (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, k.method, k.differing, NULL::text AS because
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NULL
		UNION ALL
		SELECT n.agency_id, n.kinderconnect_child_id, CASE WHEN w.agency_id IS NULL THEN n.child_id END, n.method, NULL,
			CASE WHEN w.agency_id IS NULL THEN n.unlinked_because ELSE 'rival_gone' END
		FROM kinderconnect._new_links(organization) n
		LEFT JOIN (SELECT c.agency_id, c.kinderconnect_child_id FROM kinderconnect.child c
			WHERE c.organization_id = organization AND (c.date_of_birth, c.last_key, c.first_key) IN (SELECT * FROM gone)) w
			ON n.method LIKE 'exact%' AND (w.agency_id, w.kinderconnect_child_id) = (n.agency_id, n.kinderconnect_child_id)
	), merge AS MATERIALIZED (
		SELECT m.agency_id, m.kinderconnect_child_id, m.into_id, m.child_id,
			EXISTS (SELECT FROM manage g JOIN kinderconnect.child n ON (n.date_of_birth, n.last_key, n.first_key) = (g.date_of_birth, g.last_key, g.first_key)
				WHERE g.child_id = m.child_id AND (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (organization, m.agency_id, m.into_id)) AS fits
		FROM kinderconnect._merges(organization,
			(SELECT array_agg(s.agency_id ORDER BY s.agency_id, s.kinderconnect_child_id) FROM standing s WHERE s.because = 'already_linked'),
			(SELECT array_agg(s.kinderconnect_child_id ORDER BY s.agency_id, s.kinderconnect_child_id) FROM standing s WHERE s.because = 'already_linked')) m
	), link AS (
		SELECT s.agency_id, s.kinderconnect_child_id,
			CASE WHEN o.agency_id IS NOT NULL THEN NULL WHEN n.fits THEN n.child_id ELSE s.child_id END AS child_id,
			CASE WHEN n.fits THEN 'exact_location' ELSE s.method END AS method, s.differing,
			CASE WHEN o.agency_id IS NOT NULL THEN 'merged' WHEN n.fits THEN NULL ELSE s.because END AS because,
			CASE WHEN n.fits THEN n.kinderconnect_child_id END AS formerly
		FROM standing s
		LEFT JOIN merge o ON (o.agency_id, o.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		LEFT JOIN merge n ON (n.agency_id, n.into_id) = (s.agency_id, s.kinderconnect_child_id)
	)
	SELECT DISTINCT ON (k.agency_id, k.kinderconnect_child_id) k.agency_id, k.kinderconnect_child_id, k.child_id, f.flag, k.because, k.formerly
	FROM link k
	JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id)
	LEFT JOIN manage m ON m.child_id = k.child_id
	LEFT JOIN kinderconnect._contradicted(organization, false) x ON (x.agency_id, x.kinderconnect_child_id) = (k.agency_id, k.kinderconnect_child_id)
	CROSS JOIN LATERAL (SELECT CASE WHEN x.agency_id IS NOT NULL AND m.child_id IS NOT NULL THEN 'link_disagrees'
		WHEN k.child_id IS NOT NULL THEN kinderconnect._flag(k.method, k.differing,
		kinderconnect._differing(c, m.date_of_birth, m.first_key, m.middle_key, m.last_key, m.suffix_key),
		c.date_of_birth = m.date_of_birth IS NOT NULL, m.child_id IS NULL) END AS flag) f
	ORDER BY k.agency_id, k.kinderconnect_child_id, f.flag DESC NULLS FIRST;
END;
$$;
COMMENT ON FUNCTION kinderconnect._links(text) IS
'the links in force and those that _match() would make, each with the flag it deserves now, and the children that stay without one; formerly is an id that the agency merged into this one since the last match. Changes nothing';

CREATE FUNCTION kinderconnect._few_changed(organization text, since timestamptz, changed text[]) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT since > '-infinity'
		-- the first night has no statistics
		AND EXISTS (SELECT FROM kinderconnect.match_state s WHERE s.organization_id = organization)
		AND kinderconnect._are_few(organization, coalesce(cardinality(changed), 0)
			+ (SELECT count(*) FROM (SELECT FROM kinderconnect.child c WHERE c.organization_id = organization AND c.changed_at >= since LIMIT 1001) c)
			+ (SELECT count(*) FROM (SELECT FROM kinderconnect.child_link k
				WHERE k.organization_id = organization AND k.ended_at IS NULL AND k.differing IS NULL LIMIT 1001) k));
END;
COMMENT ON FUNCTION kinderconnect._few_changed(text, timestamptz, text[]) IS
'whether so few children changed, changed naming those of Manage, that each is better looked up by itself';

-- changed: the children of Manage that are not as they were.
CREATE FUNCTION kinderconnect._flag_links(organization text, since timestamptz, changed text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	-- whom it concerns, and who they are in Manage, where they are few. The
	-- joins stay of whole sets: a nested loop over an organization that the
	-- planner knows nothing of takes all of it for each of its links.
	few    text[];
	theirs text[];
	-- agencies and ids of the links that what Manage says of others contradicts
	agencies text[];
	contrary text[];
BEGIN
	IF NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.organization_id = organization AND k.ended_at IS NULL
			AND (since < 'infinity' OR k.differing IS NULL)) THEN
		RETURN;
	END IF;
	-- none of those that this match made
	IF since < 'infinity' THEN
		SELECT array_agg(x.agency_id), array_agg(x.kinderconnect_child_id) INTO agencies, contrary
		FROM kinderconnect._contradicted(organization) x;
	END IF;
	IF kinderconnect._few_changed(organization, since, changed) THEN
		SELECT array_agg(k.kinderconnect_child_id), array_agg(k.child_id) INTO few, theirs
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NULL
			AND (k.differing IS NULL OR k.child_id = ANY (changed) OR k.flag = 'link_disagrees' AND since < 'infinity'
				OR (k.agency_id, k.kinderconnect_child_id) IN (SELECT * FROM unnest(agencies, contrary))
				OR (k.agency_id, k.kinderconnect_child_id) IN
					(SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child n WHERE n.organization_id = organization AND n.changed_at >= since));
		IF few IS NULL THEN
			RETURN;
		END IF;
	END IF;
	UPDATE kinderconnect.child_link k SET flag = s.flag, differing = coalesce(k.differing, s.differing)
	FROM (
		SELECT DISTINCT ON (k.agency_id, k.kinderconnect_child_id) k.agency_id, k.kinderconnect_child_id, d.differing, f.flag
		FROM kinderconnect.child_link k
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (k.organization_id, k.agency_id, k.kinderconnect_child_id)
			AND (few IS NULL OR c.kinderconnect_child_id = ANY (few))
		LEFT JOIN kinderconnect.known_child m ON (m.organization_id, m.child_id) = (organization, k.child_id) AND (few IS NULL OR m.child_id = ANY (theirs))
		LEFT JOIN unnest(agencies, contrary) x(agency_id, kinderconnect_child_id) ON (x.agency_id, x.kinderconnect_child_id) = (k.agency_id, k.kinderconnect_child_id)
		CROSS JOIN LATERAL (SELECT kinderconnect._differing(c, m.date_of_birth, m.first_key, m.middle_key, m.last_key, m.suffix_key) AS differing) d
		CROSS JOIN LATERAL (SELECT CASE WHEN x.agency_id IS NOT NULL AND m.child_id IS NOT NULL THEN 'link_disagrees' ELSE
			kinderconnect._flag(k.method, k.differing, d.differing, c.date_of_birth = m.date_of_birth IS NOT NULL, m.child_id IS NULL) END AS flag) f
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND (few IS NULL OR k.kinderconnect_child_id = ANY (few))
			AND (k.agency_id, k.kinderconnect_child_id) IN (
				SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child n WHERE n.organization_id = organization AND n.changed_at >= since
				UNION ALL
				SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child_link n
				WHERE n.organization_id = organization AND n.ended_at IS NULL AND n.differing IS NULL
				UNION ALL
				SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child_link n
				WHERE n.organization_id = organization AND n.ended_at IS NULL
					AND (n.child_id = ANY (changed) OR n.flag = 'link_disagrees' AND since < 'infinity')
				UNION ALL
				SELECT * FROM unnest(agencies, contrary))
		ORDER BY k.agency_id, k.kinderconnect_child_id, f.flag DESC NULLS FIRST, cardinality(d.differing), d.differing) s
	WHERE k.organization_id = organization AND k.ended_at IS NULL AND (few IS NULL OR k.kinderconnect_child_id = ANY (few))
		AND (k.agency_id, k.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		AND (k.flag IS DISTINCT FROM s.flag OR k.differing IS NULL);
END;
$$;
COMMENT ON FUNCTION kinderconnect._flag_links(text, timestamptz, text[]) IS
'flags the links of an organization whose two sides no longer agree, and clears those that agree again: where one of them is new or has changed';

CREATE FUNCTION kinderconnect._end_merged(organization text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM kinderconnect.child n WHERE n.organization_id = organization AND n.unlinked_because = 'already_linked') THEN
		RETURN false;
	END IF;
	WITH merged AS (
		SELECT m.agency_id, m.kinderconnect_child_id, m.into_id
		FROM (SELECT array_agg(n.agency_id) AS agencies, array_agg(n.kinderconnect_child_id) AS children
			FROM kinderconnect.child n WHERE n.organization_id = organization AND n.unlinked_because = 'already_linked') n
		CROSS JOIN LATERAL kinderconnect._merges(organization, n.agencies, n.children) m
	), heir AS MATERIALIZED (
		-- the child whose link it becomes before the other, as link_child() does
		SELECT m.* FROM merged m
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, m.agency_id, m.into_id)
		FOR NO KEY UPDATE OF c
	), ended AS (
		UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = 'merged into ' || m.into_id
		FROM heir m
		WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (organization, m.agency_id, m.kinderconnect_child_id)
		RETURNING k.agency_id, k.kinderconnect_child_id, k.child_id
	), free AS (
		UPDATE kinderconnect.known_child m SET changed_at = 'infinity'
		FROM ended e
		WHERE (m.organization_id, m.child_id) = (organization, e.child_id)
	)
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	FROM ended e
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, e.agency_id, e.kinderconnect_child_id);
	RETURN FOUND;
END;
$$;
COMMENT ON FUNCTION kinderconnect._end_merged(text) IS 'ends the links of ids that the agency merged into another; answers whether there were any';

CREATE FUNCTION kinderconnect._match(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	last      kinderconnect.match_state;
	present   kinderconnect.match_state;
	since     timestamptz := '-infinity';
	changed   text[];
	born      date[];
	lasts     text[];
	firsts    text[];
	overtaken boolean;
BEGIN
	SELECT * INTO last FROM kinderconnect.match_state s WHERE s.organization_id = organization;
	-- of the text: the digests of two records that exchange a value have one sum
	SELECT organization, now(), e.extversion,
		(SELECT coalesce(sum(hashtextextended(ROW(p.agency_id, p.provider_id, p.location_id)::text, 0)), 0)
			FROM kinderconnect.provider p WHERE p.organization_id = organization),
		(SELECT coalesce(sum(hashtextextended(ROW(i.agency_id, i.kinderconnect_child_id, i.child_id)::text, 0)), 0)
			FROM kinderconnect._stored_ids(organization) i)
	INTO STRICT present
	FROM pg_extension e WHERE e.extname = 'kinderconnect';
	IF last.version = present.version THEN
		since := last.matched_at;
	ELSIF last.version IS NOT NULL THEN
		-- by its rules the keys may be others
		DELETE FROM kinderconnect.known_child k WHERE k.organization_id = organization;
		UPDATE kinderconnect.child c SET first_name = c.first_name WHERE c.organization_id = organization;
		DELETE FROM kinderconnect.scored_child s WHERE s.organization_id = organization;
	END IF;

	SELECT array_agg(r.child_id), array_agg(r.date_of_birth), array_agg(r.last_key), array_agg(r.first_key)
	INTO changed, born, lasts, firsts
	FROM kinderconnect._read_children(organization, since > '-infinity') r;
	IF since > '-infinity' THEN
		IF kinderconnect._few_changed(organization, since, changed) THEN
			PERFORM set_config('enable_nestloop', 'on', true);
		END IF;
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		WHERE c.organization_id = organization AND c.unlinked_because <> 'not_matched_yet'
			AND (present.sites, present.stored_ids) IS DISTINCT FROM (last.sites, last.stored_ids);
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		WHERE c.organization_id = organization AND c.unlinked_because <> 'not_matched_yet'
			AND (c.date_of_birth, c.last_key, c.first_key) IN (SELECT * FROM unnest(born, lasts, firsts));
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		WHERE c.organization_id = organization AND c.unlinked_because <> 'not_matched_yet'
			AND (c.agency_id, c.kinderconnect_child_id) IN (SELECT i.agency_id, i.kinderconnect_child_id
				FROM kinderconnect._stored_ids(organization) i WHERE i.child_id = ANY (changed));
		PERFORM kinderconnect._unscore(organization, since, changed, born, lasts);
	END IF;

	PERFORM kinderconnect._note_gone(organization, changed, born, lasts, firsts);
	PERFORM kinderconnect._flag_links(organization, since, changed);
	-- of the foreign keys, which would be planned anew for each row
	PERFORM set_config('plan_cache_mode', 'auto', true);
	LOOP
		WITH waits AS MATERIALIZED (
			SELECT c.agency_id, c.kinderconnect_child_id
			FROM kinderconnect.child c
			WHERE c.organization_id = organization AND EXISTS (SELECT FROM kinderconnect.gone_child g WHERE g.organization_id = organization)
				AND (c.date_of_birth, c.last_key, c.first_key) IN
					(SELECT g.date_of_birth, g.last_key, g.first_key FROM kinderconnect.gone_child g WHERE g.organization_id = organization)
		), found AS MATERIALIZED (
			SELECT n.agency_id, n.kinderconnect_child_id, n.method, CASE WHEN w.agency_id IS NULL THEN n.child_id END AS child_id,
				CASE WHEN w.agency_id IS NULL THEN n.unlinked_because ELSE 'rival_gone' END AS unlinked_because
			FROM kinderconnect._new_links(organization, true, since) n
			LEFT JOIN waits w ON n.method LIKE 'exact%' AND (w.agency_id, w.kinderconnect_child_id) = (n.agency_id, n.kinderconnect_child_id)
		), told AS (
			UPDATE kinderconnect.child c SET unlinked_because = f.unlinked_because
			FROM found f
			WHERE c.organization_id = organization
				AND (c.agency_id, c.kinderconnect_child_id) = (f.agency_id, f.kinderconnect_child_id)
				AND c.unlinked_because IS DISTINCT FROM f.unlinked_because
			RETURNING 1
		), linked AS (
			-- children before links, as link_child() does: neither waits for the
			-- other for ever. What it linked since this statement began, stands.
			INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, differing)
			SELECT organization, f.agency_id, f.kinderconnect_child_id, f.child_id, f.method, CASE WHEN f.method LIKE 'exact%' THEN '{}'::text[] END
			FROM (SELECT count(*) FROM told) t CROSS JOIN found f WHERE f.child_id IS NOT NULL
			ON CONFLICT DO NOTHING
			RETURNING 1
		)
		SELECT (SELECT count(*) FROM linked) < count(f.child_id) INTO overtaken FROM found f;
		UPDATE kinderconnect.child c SET unlinked_because = NULL
		FROM kinderconnect.child_link k
		WHERE c.organization_id = organization AND c.unlinked_because IS NOT NULL AND k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (organization, c.agency_id, c.kinderconnect_child_id);
		IF overtaken THEN
			UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
			WHERE c.organization_id = organization AND c.unlinked_because IS NULL
				AND NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
					AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (organization, c.agency_id, c.kinderconnect_child_id));
		END IF;
		since := 'infinity';
		EXIT WHEN NOT kinderconnect._end_merged(organization) AND NOT overtaken;
	END LOOP;
	-- Whom a person parted since the statement above began. From its end on the
	-- child's row is locked, and reject_match() waits, and is told of the link.
	IF EXISTS (SELECT FROM kinderconnect.child_decision d WHERE d.organization_id = organization AND d.decision <> 'link') THEN
		WITH parted AS (
			UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = 'parted while it was linked'
			FROM kinderconnect.parted_pair r
			WHERE r.organization_id = organization AND k.ended_at IS NULL AND k.linked_at = now()
				AND (k.organization_id, k.agency_id, k.kinderconnect_child_id, k.child_id)
					= (r.organization_id, r.agency_id, r.kinderconnect_child_id, r.child_id)
			RETURNING k.agency_id, k.kinderconnect_child_id
		)
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		FROM parted p
		WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, p.agency_id, p.kinderconnect_child_id);
	END IF;
	PERFORM kinderconnect._flag_links(organization, since, NULL);

	INSERT INTO kinderconnect.match_state AS s (organization_id, matched_at, version, sites, stored_ids)
	VALUES (organization, present.matched_at, present.version, present.sites, present.stored_ids)
	ON CONFLICT (organization_id) DO UPDATE
	SET matched_at = excluded.matched_at, version = excluded.version, sites = excluded.sites, stored_ids = excluded.stored_ids;
END;
$$;
COMMENT ON FUNCTION kinderconnect._match(text) IS
'links the children that can be, notes why the others cannot, and flags links whose two sides no longer agree; looks at what has changed since the last match, at all if there was none';

CREATE VIEW kinderconnect.child_match_status AS
SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id, c.first_name, c.last_name, c.date_of_birth,
	CASE WHEN k.child_id IS NULL THEN coalesce(c.unlinked_because, 'not_matched_yet') ELSE coalesce(k.flag, 'linked') END AS status,
	k.child_id, k.method, m.first_name AS manage_first_name, m.last_name AS manage_last_name, m.date_of_birth AS manage_date_of_birth,
	NOT m.active AS inactive_in_manage, coalesce(o.organizations, 0) AS other_organizations, coalesce(n.candidates, 0) AS candidates, n.best_score
FROM kinderconnect.child c
LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
	AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)
LEFT JOIN (SELECT DISTINCT ON (m.organization_id, m.child_id) m.* FROM kinderconnect.known_child m
	ORDER BY m.organization_id, m.child_id, m.active DESC, m.location_id) m ON (m.organization_id, m.child_id) = (k.organization_id, k.child_id)
LEFT JOIN (SELECT o.agency_id, o.kinderconnect_child_id, count(*) - 1 AS organizations FROM kinderconnect.child o
	GROUP BY o.agency_id, o.kinderconnect_child_id) o ON (o.agency_id, o.kinderconnect_child_id) = (c.agency_id, c.kinderconnect_child_id)
LEFT JOIN (SELECT n.organization_id, n.agency_id, n.kinderconnect_child_id, count(*) AS candidates, max(n.score) AS best_score
	FROM kinderconnect.match_candidate n GROUP BY n.organization_id, n.agency_id, n.kinderconnect_child_id) n
	ON k.child_id IS NULL AND (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id);
COMMENT ON VIEW kinderconnect.child_match_status IS
'every KinderConnect child once, with both sides of its link, or why it has none; the sum over status is the number of children';
COMMENT ON COLUMN kinderconnect.child_match_status.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_match_status.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_match_status.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_match_status.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.child_match_status.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.child_match_status.date_of_birth IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.child_match_status.status IS 'linked; flag of child_link; unlinked_because of child; or not_matched_yet';
COMMENT ON COLUMN kinderconnect.child_match_status.child_id IS 'the child of Manage it is linked to';
COMMENT ON COLUMN kinderconnect.child_match_status.method IS 'how it was linked';
COMMENT ON COLUMN kinderconnect.child_match_status.manage_first_name IS 'as Manage had it at the last match';
COMMENT ON COLUMN kinderconnect.child_match_status.manage_last_name IS 'as Manage had it at the last match';
COMMENT ON COLUMN kinderconnect.child_match_status.manage_date_of_birth IS 'as Manage had it at the last match';
COMMENT ON COLUMN kinderconnect.child_match_status.inactive_in_manage IS 'Manage says that the child left';
COMMENT ON COLUMN kinderconnect.child_match_status.other_organizations IS 'how many more organizations the agency lists this id for';
COMMENT ON COLUMN kinderconnect.child_match_status.candidates IS 'children of Manage it might be: match_candidate';
COMMENT ON COLUMN kinderconnect.child_match_status.best_score IS 'score of the likeliest';
