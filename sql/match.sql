-- Step 3 of the night: which child of Manage is which child of KinderConnect.
-- A link is made only where one answer is possible; everything else says why.

CREATE TABLE kinderconnect.child_link (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	child_id               text NOT NULL,
	method                 text NOT NULL CHECK (method IN ('stored_id', 'exact_location', 'exact_organization', 'person')),
	linked_at              timestamptz NOT NULL DEFAULT now(),
	linked_by              text NOT NULL DEFAULT session_user,
	flag                   text,
	ended_at               timestamptz,
	ended_by               text,
	end_reason             text,
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
COMMENT ON COLUMN kinderconnect.child_link.flag IS 'why a person should look at it. Its days are held for link_disagrees, birth date or both names no longer agree, and child_gone, Manage no longer has the child; they go on for name_changed, one name no longer agrees. Null: it stands';
COMMENT ON COLUMN kinderconnect.child_link.ended_at IS 'when it ended; null: in force';
COMMENT ON COLUMN kinderconnect.child_link.ended_by IS 'login role';
COMMENT ON COLUMN kinderconnect.child_link.end_reason IS 'why';

CREATE UNIQUE INDEX child_link_in_force ON kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX child_link_in_force_in_manage ON kinderconnect.child_link (organization_id, agency_id, child_id) WHERE ended_at IS NULL;

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child_link', '');

CREATE FUNCTION kinderconnect._stored_ids(organization text)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF kinderconnect._is_bound('child_id') THEN
		RETURN QUERY SELECT DISTINCT m.agency_id, m.kinderconnect_child_id, m.child_id
			FROM kinderconnect.manage_child_id m WHERE m.organization_id = organization;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._stored_ids(text) IS 'the ids of the service that Manage already stores, where that is bound';

-- Read-only, so that preview() sees tonight's links without making them.
--
-- A stored id is taken when two of first name, last name and birth date agree.
-- Else the names and the birth date must be equal, folded; middle name and
-- suffix speak only where both sides have one, and an initial is a middle name
-- too. The site's active children come first (rank 0), then the site's
-- inactive and the organization's active ones together, for a child who moved
-- has both, then the rest. A pair that a person has parted stays parted.
CREATE FUNCTION kinderconnect._new_links(organization text, read boolean DEFAULT false)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, method text, unlinked_because text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH wanted AS MATERIALIZED (
		SELECT c.agency_id, c.kinderconnect_child_id, c.first_key, c.last_key, c.date_of_birth,
			c.middle_key, c.suffix_key
		FROM kinderconnect.child c
		WHERE c.organization_id = organization
			AND NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
				AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id))
	), manage AS MATERIALIZED (
		SELECT m.child_id, m.location_id, m.date_of_birth, m.active, m.first_key, m.middle_key, m.last_key, m.suffix_key
		FROM kinderconnect.known_child m
		WHERE read AND m.organization_id = organization AND EXISTS (SELECT FROM wanted)
		UNION ALL
		SELECT * FROM kinderconnect._manage_now(organization) WHERE NOT read AND EXISTS (SELECT FROM wanted)
	), ended AS (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NOT NULL
		UNION
		SELECT r.agency_id, r.kinderconnect_child_id, r.child_id
		FROM kinderconnect.parted_pair r
		WHERE r.organization_id = organization
	), site AS (
		SELECT DISTINCT l.agency_id, l.kinderconnect_child_id, p.location_id
		FROM kinderconnect.listed_authorization l
		JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (l.organization_id, l.agency_id, l.provider_id)
		WHERE l.organization_id = organization AND p.location_id IS NOT NULL
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
			bool_and((starts_with(w.middle_key, m.middle_key) OR starts_with(m.middle_key, w.middle_key)) IS NOT FALSE
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
	), verdict AS (
		SELECT w.agency_id, w.kinderconnect_child_id,
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
				WHEN c.kinderconnect_child_id IS NULL THEN 'not_in_manage'
				WHEN c.child_id IS NULL THEN 'middle_name_or_suffix'
				WHEN c.in_manage > 1 THEN 'several_in_manage'
				WHEN c.at_service > 1 THEN 'several_at_service'
			END AS because
		FROM wanted w
		LEFT JOIN (SELECT s.agency_id, s.kinderconnect_child_id, count(*) AS n, min(s.child_id) AS child_id, coalesce(bool_and(s.agrees), false) AS agrees
			FROM stored s GROUP BY s.agency_id, s.kinderconnect_child_id) st
			ON (st.agency_id, st.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		LEFT JOIN fit c ON (c.agency_id, c.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
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
	FROM agreed a;
END;
$$;
COMMENT ON FUNCTION kinderconnect._new_links(text, boolean) IS
'every KinderConnect child of an organization without a link: the child of Manage it is, or why that cannot be told. Changes nothing. With read, known_child is what Manage says; else Manage itself is asked';

-- An exact link stands while the birth date and at least one name agree; one
-- that a stored id or a person made, also where a birth date is missing.
CREATE FUNCTION kinderconnect._links(organization text, with_new boolean)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, flag text, unlinked_because text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH link AS (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, k.method, NULL::text AS because
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NULL
		UNION ALL
		SELECT n.* FROM kinderconnect._new_links(organization) n WHERE with_new
	), manage AS (
		SELECT m.child_id, m.date_of_birth, m.first_key, m.last_key FROM kinderconnect.known_child m
		WHERE NOT with_new AND m.organization_id = organization
		UNION ALL
		SELECT m.child_id, m.date_of_birth, m.first_key, m.last_key FROM kinderconnect._manage_now(organization) m WHERE with_new
	)
	SELECT k.agency_id, k.kinderconnect_child_id, k.child_id,
		min(CASE
			WHEN k.child_id IS NULL THEN NULL
			WHEN m.child_id IS NULL THEN 'child_gone'
			WHEN (c.date_of_birth = m.date_of_birth) IS FALSE
				OR k.method LIKE 'exact%' AND (c.date_of_birth = m.date_of_birth) IS NULL
				OR (c.first_key = m.first_key) IS NOT TRUE AND (c.last_key = m.last_key) IS NOT TRUE
				THEN 'link_disagrees'
			-- both names agreed when it was made
			WHEN k.method LIKE 'exact%' AND (c.first_key, c.last_key) IS DISTINCT FROM (m.first_key, m.last_key) THEN 'name_changed'
		END),
		min(k.because)
	FROM link k
	JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id)
	LEFT JOIN manage m ON m.child_id = k.child_id
	GROUP BY k.agency_id, k.kinderconnect_child_id, k.child_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._links(text, boolean) IS
'the links in force, each with the flag it deserves now; with_new: with those that _match() would make, and the children that stay without one. Changes nothing';

CREATE FUNCTION kinderconnect._match(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
BEGIN
	PERFORM kinderconnect._read_children(organization);

	-- The agency merged two ids: the one that is linked is no longer listed in
	-- any month looked at, another of the same name and birth date is. The new
	-- one is matched like any other.
	UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = 'merged into ' || n.kinderconnect_child_id
	FROM kinderconnect.child o
	JOIN kinderconnect.child n ON (n.organization_id, n.agency_id, n.date_of_birth, n.last_key, n.first_key)
			= (o.organization_id, o.agency_id, o.date_of_birth, o.last_key, o.first_key)
		AND n.kinderconnect_child_id <> o.kinderconnect_child_id
	WHERE k.organization_id = organization AND k.ended_at IS NULL
		AND (o.organization_id, o.agency_id, o.kinderconnect_child_id) = (k.organization_id, k.agency_id, k.kinderconnect_child_id)
		AND NOT EXISTS (SELECT FROM kinderconnect.child_link l WHERE l.ended_at IS NULL
			AND (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (n.organization_id, n.agency_id, n.kinderconnect_child_id))
		AND NOT EXISTS (SELECT FROM kinderconnect.parted_pair r WHERE (r.organization_id, r.agency_id, r.kinderconnect_child_id, r.child_id)
			= (n.organization_id, n.agency_id, n.kinderconnect_child_id, k.child_id))
		AND EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
			WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (n.organization_id, n.agency_id, n.kinderconnect_child_id))
		AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
			WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (o.organization_id, o.agency_id, o.kinderconnect_child_id));

	WITH found AS MATERIALIZED (
		SELECT * FROM kinderconnect._new_links(organization, true)
	), linked AS (
		INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method)
		SELECT organization, f.agency_id, f.kinderconnect_child_id, f.child_id, f.method
		FROM found f WHERE f.child_id IS NOT NULL
	)
	UPDATE kinderconnect.child c SET unlinked_because = f.unlinked_because
	FROM found f
	WHERE c.organization_id = organization
		AND (c.agency_id, c.kinderconnect_child_id) = (f.agency_id, f.kinderconnect_child_id)
		AND c.unlinked_because IS DISTINCT FROM f.unlinked_because;

	UPDATE kinderconnect.child_link k SET flag = s.flag
	FROM kinderconnect._links(organization, false) s
	WHERE k.organization_id = organization AND k.ended_at IS NULL
		AND (k.agency_id, k.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		AND k.flag IS DISTINCT FROM s.flag;

	PERFORM kinderconnect._score(organization);
END;
$$;
COMMENT ON FUNCTION kinderconnect._match(text) IS
'links the children that can be, notes why the others cannot and who they might be, and flags links whose two sides no longer agree';

CREATE FUNCTION kinderconnect.link_child(organization_id text, agency_id text, kinderconnect_child_id text, child_id text, reason text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	other text;
BEGIN
	PERFORM kinderconnect._require_organization(link_child.organization_id);
	IF NOT EXISTS (SELECT FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
			= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id)) THEN
		RAISE EXCEPTION 'agency "%" lists no child "%"', link_child.agency_id, link_child.kinderconnect_child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.child.';
	END IF;
	IF NOT EXISTS (SELECT FROM kinderconnect.manage_child m WHERE (m.organization_id, m.child_id) = (link_child.organization_id, link_child.child_id)) THEN
		RAISE EXCEPTION 'organization "%" has no child "%" in Manage', link_child.organization_id, link_child.child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.manage_child.';
	END IF;
	SELECT k.kinderconnect_child_id INTO other FROM kinderconnect.child_link k
	WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.child_id) = (link_child.organization_id, link_child.agency_id, link_child.child_id)
		AND k.kinderconnect_child_id <> link_child.kinderconnect_child_id;
	IF FOUND THEN
		RAISE EXCEPTION 'child "%" of Manage is linked to child "%" of agency "%"', link_child.child_id, other, link_child.agency_id
			USING ERRCODE = 'unique_violation', HINT = 'End that link first: SELECT kinderconnect.unlink_child(organization_id, agency_id, kinderconnect_child_id, reason).';
	END IF;
	UPDATE kinderconnect.child_link k SET ended_at = now(), ended_by = session_user, end_reason = 'replaced'
	WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id)
		= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id);
	INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, linked_at)
	VALUES (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id, link_child.child_id, 'person', clock_timestamp());
	INSERT INTO kinderconnect.child_decision (organization_id, agency_id, kinderconnect_child_id, child_id, decision, reason)
	VALUES (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id, link_child.child_id, 'link', link_child.reason);
	UPDATE kinderconnect.child c SET unlinked_because = NULL
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect.link_child(text, text, text, text, text) IS
'a person''s decision that a KinderConnect child is this child of Manage; replaces a link in force';

CREATE FUNCTION kinderconnect.unlink_child(organization_id text, agency_id text, kinderconnect_child_id text, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	parted text;
BEGIN
	IF nullif(btrim(unlink_child.reason), '') IS NULL THEN
		RAISE EXCEPTION 'a reason must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = unlink_child.reason
	WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id)
		= (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id)
	RETURNING k.child_id INTO parted;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'child "%" of agency "%" has no link', unlink_child.kinderconnect_child_id, unlink_child.agency_id
			USING ERRCODE = 'KC001', HINT = 'Links are listed in kinderconnect.child_link.';
	END IF;
	INSERT INTO kinderconnect.child_decision (organization_id, agency_id, kinderconnect_child_id, child_id, decision, reason)
	VALUES (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id, parted, 'unlink', unlink_child.reason);
	-- whoever it might be instead, and who else the child of Manage might be
	UPDATE kinderconnect.known_child m SET changed_at = clock_timestamp()
	WHERE (m.organization_id, m.child_id) = (unlink_child.organization_id, parted);
END;
$$;
COMMENT ON FUNCTION kinderconnect.unlink_child(text, text, text, text) IS
'ends a link, with the reason; its days already accepted are held as authorization_lost, void_day() takes them back';

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
