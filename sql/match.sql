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
COMMENT ON COLUMN kinderconnect.child_link.flag IS 'why its days are held: link_disagrees, the two sides no longer agree; child_gone, Manage no longer has the child. Null: it stands';
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
CREATE FUNCTION kinderconnect._new_links(organization text)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, method text, unlinked_because text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH wanted AS MATERIALIZED (
		SELECT c.agency_id, c.kinderconnect_child_id, c.first_key, c.last_key, c.date_of_birth,
			nullif(translate(kinderconnect.fold(c.middle_name), '.', ''), '') AS middle_key,
			nullif(translate(kinderconnect.fold(c.suffix), '.,', ''), '') AS suffix_key
		FROM kinderconnect.child c
		WHERE c.organization_id = organization
			AND NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
				AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id))
	), manage AS MATERIALIZED (
		SELECT m.child_id, m.location_id, m.date_of_birth, coalesce(m.active, true) AS active,
			kinderconnect.fold(m.first_name) AS first_key, kinderconnect.fold(m.last_name) AS last_key,
			nullif(translate(kinderconnect.fold(m.middle_name), '.', ''), '') AS middle_key,
			nullif(translate(kinderconnect.fold(m.suffix), '.,', ''), '') AS suffix_key
		FROM kinderconnect.manage_child m
		WHERE m.organization_id = organization AND EXISTS (SELECT FROM wanted)
	), ended AS (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NOT NULL
	), site AS (
		SELECT DISTINCT l.agency_id, l.kinderconnect_child_id, p.location_id
		FROM kinderconnect.listed_authorization l
		JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (l.organization_id, l.agency_id, l.provider_id)
		WHERE l.organization_id = organization AND p.location_id IS NOT NULL
	), stored AS (
		SELECT s.agency_id, s.kinderconnect_child_id, s.child_id,
			(nullif(w.first_key, '') = m.first_key IS TRUE)::integer + (nullif(w.last_key, '') = m.last_key IS TRUE)::integer
				+ (w.date_of_birth = m.date_of_birth IS TRUE)::integer >= 2 AS agrees
		FROM kinderconnect._stored_ids(organization) s
		JOIN wanted w ON (w.agency_id, w.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		LEFT JOIN manage m ON m.child_id = s.child_id
		WHERE NOT EXISTS (SELECT FROM ended e WHERE (e.agency_id, e.kinderconnect_child_id, e.child_id)
			= (s.agency_id, s.kinderconnect_child_id, s.child_id))
	), fitting AS (
		SELECT w.agency_id, w.kinderconnect_child_id, m.child_id,
			bool_and((starts_with(w.middle_key, m.middle_key) OR starts_with(m.middle_key, w.middle_key)) IS NOT FALSE
				AND (w.suffix_key = m.suffix_key) IS NOT FALSE) AS whole,
			bool_or(s.location_id IS NOT NULL) AS at_site,
			bool_or(k.child_id IS NOT NULL) AS taken,
			min(CASE WHEN s.location_id IS NOT NULL AND m.active THEN 0 WHEN s.location_id IS NOT NULL OR m.active THEN 1 ELSE 2 END) AS rank
		FROM wanted w
		JOIN manage m ON (m.date_of_birth, m.last_key, m.first_key) = (w.date_of_birth, w.last_key, w.first_key)
		LEFT JOIN site s ON (s.agency_id, s.kinderconnect_child_id, s.location_id) = (w.agency_id, w.kinderconnect_child_id, m.location_id)
		LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.child_id) = (organization, w.agency_id, m.child_id)
		WHERE w.first_key <> '' AND w.last_key <> ''
			AND NOT EXISTS (SELECT FROM ended e WHERE (e.agency_id, e.kinderconnect_child_id, e.child_id)
				= (w.agency_id, w.kinderconnect_child_id, m.child_id))
		GROUP BY w.agency_id, w.kinderconnect_child_id, m.child_id
	), best AS (
		SELECT f.* FROM (
			SELECT f.*, min(f.rank) FILTER (WHERE f.whole) OVER (PARTITION BY f.agency_id, f.kinderconnect_child_id) AS best_rank
			FROM fitting f) f
		WHERE f.whole AND f.rank = f.best_rank
	), counted AS (
		SELECT b.*, count(*) OVER (PARTITION BY b.agency_id, b.kinderconnect_child_id) AS in_manage,
			count(*) OVER (PARTITION BY b.agency_id, b.child_id) AS at_service
		FROM best b
	), verdict AS (
		SELECT w.agency_id, w.kinderconnect_child_id,
			CASE
				WHEN st.n = 1 AND st.agrees THEN st.child_id
				WHEN st.n IS NULL AND c.in_manage = 1 AND c.at_service = 1 AND NOT c.taken THEN c.child_id
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
				WHEN c.in_manage > 1 THEN 'several_in_manage'
				WHEN c.at_service > 1 THEN 'several_at_service'
				WHEN c.taken THEN 'already_linked'
				WHEN EXISTS (SELECT FROM fitting f WHERE (f.agency_id, f.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id))
					THEN 'middle_name_or_suffix'
				ELSE 'not_in_manage'
			END AS because
		FROM wanted w
		LEFT JOIN (SELECT s.agency_id, s.kinderconnect_child_id, count(DISTINCT s.child_id) AS n, min(s.child_id) AS child_id, bool_and(s.agrees) AS agrees
			FROM stored s GROUP BY s.agency_id, s.kinderconnect_child_id) st
			ON (st.agency_id, st.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		LEFT JOIN (SELECT DISTINCT ON (c.agency_id, c.kinderconnect_child_id) c.* FROM counted c
			ORDER BY c.agency_id, c.kinderconnect_child_id, c.at_service DESC) c
			ON (c.agency_id, c.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
	), agreed AS (
		-- A stored id and an exact fit, or two stored ids, may still claim one
		-- child of Manage between them.
		SELECT v.*, count(v.child_id) OVER (PARTITION BY v.agency_id, v.child_id) AS claims,
			EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
				AND (k.organization_id, k.agency_id, k.child_id) = (organization, v.agency_id, v.child_id)) AS taken
		FROM verdict v
	)
	SELECT a.agency_id, a.kinderconnect_child_id,
		CASE WHEN a.claims = 1 AND NOT a.taken THEN a.child_id END,
		CASE WHEN a.claims = 1 AND NOT a.taken THEN a.method END,
		CASE WHEN a.child_id IS NULL THEN a.because
			WHEN a.taken THEN 'already_linked'
			WHEN a.claims > 1 THEN 'several_at_service' END
	FROM agreed a;
END;
$$;
COMMENT ON FUNCTION kinderconnect._new_links(text) IS
'every KinderConnect child of an organization without a link: the child of Manage it is, or why that cannot be told. Changes nothing';

-- An exact link stands while the birth date and at least one name agree; one
-- that a stored id or a person made, also where a birth date is missing.
CREATE FUNCTION kinderconnect._links(organization text, with_new boolean)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, flag text, unlinked_because text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
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
	)
	SELECT k.agency_id, k.kinderconnect_child_id, k.child_id,
		min(CASE
			WHEN k.child_id IS NULL THEN NULL
			WHEN m.child_id IS NULL THEN 'child_gone'
			WHEN (c.date_of_birth = m.date_of_birth) IS FALSE
				OR k.method LIKE 'exact%' AND (c.date_of_birth = m.date_of_birth) IS NULL
				OR (c.first_key = kinderconnect.fold(m.first_name)) IS NOT TRUE AND (c.last_key = kinderconnect.fold(m.last_name)) IS NOT TRUE
				THEN 'link_disagrees'
		END),
		min(k.because)
	FROM link k
	JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id)
	LEFT JOIN kinderconnect.manage_child m ON (m.organization_id, m.child_id) = (organization, k.child_id)
	GROUP BY k.agency_id, k.kinderconnect_child_id, k.child_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._links(text, boolean) IS
'the links in force, each with the flag it deserves now; with_new: with those that _match() would make, and the children that stay without one. Changes nothing';

CREATE FUNCTION kinderconnect._match(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	WITH found AS MATERIALIZED (
		SELECT * FROM kinderconnect._new_links(organization)
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
END;
$$;
COMMENT ON FUNCTION kinderconnect._match(text) IS
'links the children that can be, notes why the others cannot, and flags links whose two sides no longer agree';

CREATE FUNCTION kinderconnect.link_child(organization_id text, agency_id text, kinderconnect_child_id text, child_id text) RETURNS void
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
	UPDATE kinderconnect.child c SET unlinked_because = NULL
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect.link_child(text, text, text, text) IS
'a person''s decision that a KinderConnect child is this child of Manage; replaces a link in force';

CREATE FUNCTION kinderconnect.unlink_child(organization_id text, agency_id text, kinderconnect_child_id text, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF nullif(btrim(unlink_child.reason), '') IS NULL THEN
		RAISE EXCEPTION 'a reason must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = unlink_child.reason
	WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id)
		= (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id);
	IF NOT FOUND THEN
		RAISE EXCEPTION 'child "%" of agency "%" has no link', unlink_child.kinderconnect_child_id, unlink_child.agency_id
			USING ERRCODE = 'KC001', HINT = 'Links are listed in kinderconnect.child_link.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect.unlink_child(text, text, text, text) IS
'ends a link, with the reason; its days already accepted are held as authorization_lost, void_day() takes them back';
