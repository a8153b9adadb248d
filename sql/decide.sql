-- What a person decides of a match: that it is this child, that it is no longer,
-- that it is not. A night leaves it as it is, and goes by it.

-- What a match has locked it has read anew, or looks at itself, and to wait for
-- it could be for ever: it may wait for the link.
CREATE FUNCTION kinderconnect._seek_again(organization text, child text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.known_child m SET changed_at = 'infinity'
	FROM (SELECT k.organization_id, k.child_id, k.location_id, k.digest FROM kinderconnect.known_child k
		WHERE (k.organization_id, k.child_id) = (organization, child)
		FOR NO KEY UPDATE SKIP LOCKED) k
	WHERE (m.organization_id, m.child_id, m.location_id, m.digest) = (k.organization_id, k.child_id, k.location_id, k.digest);
END;
$$;
COMMENT ON FUNCTION kinderconnect._seek_again(text, text) IS
'a child of Manage is looked for again among the children of the service that have no link';

CREATE FUNCTION kinderconnect.link_child(organization_id text, agency_id text, kinderconnect_child_id text, child_id text, reason text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	other  text;
	parted text;
BEGIN
	PERFORM kinderconnect._require_organization(link_child.organization_id);
	IF num_nulls(link_child.agency_id, link_child.kinderconnect_child_id, link_child.child_id) > 0 THEN
		RAISE EXCEPTION 'agency_id, kinderconnect_child_id and child_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	-- before its link, as a match does
	PERFORM FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id) FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'agency "%" lists no child "%"', link_child.agency_id, link_child.kinderconnect_child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.child.';
	END IF;
	IF NOT EXISTS (SELECT FROM kinderconnect.manage_child m
			WHERE (m.organization_id, m.child_id) = (link_child.organization_id COLLATE "default", link_child.child_id COLLATE "default")) THEN
		RAISE EXCEPTION 'organization "%" has no child "%" in Manage', link_child.organization_id, link_child.child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.manage_child.';
	END IF;
	-- again where another has linked one of them meanwhile
	LOOP
		SELECT k.kinderconnect_child_id INTO other FROM kinderconnect.child_link k
		WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.child_id) = (link_child.organization_id, link_child.agency_id, link_child.child_id)
			AND k.kinderconnect_child_id <> link_child.kinderconnect_child_id;
		IF FOUND THEN
			IF EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(link_child.organization_id, NULL, NULL) m ON m = l.month
					WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (link_child.organization_id, link_child.agency_id, other)) THEN
				RAISE EXCEPTION 'child "%" of Manage is linked to child "%" of agency "%"', link_child.child_id, other, link_child.agency_id
					USING ERRCODE = 'unique_violation',
						HINT = 'If the agency gave the child a new id, link_child() takes the link over as soon as the other is no longer listed, and what was accepted under it is not sent again. If that link is wrong, end it: SELECT kinderconnect.unlink_child(organization_id, agency_id, kinderconnect_child_id, reason).';
			END IF;
			-- merged ids, of which a match sees those alone whose names and birth date are equal
			PERFORM FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
				= (link_child.organization_id, link_child.agency_id, other) FOR NO KEY UPDATE;
			WITH merged AS (
				UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user,
					end_reason = 'merged into ' || link_child.kinderconnect_child_id
				WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id, k.child_id)
					= (link_child.organization_id, link_child.agency_id, other, link_child.child_id)
				RETURNING k.kinderconnect_child_id
			)
			UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
			FROM merged m
			WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
				= (link_child.organization_id, link_child.agency_id, m.kinderconnect_child_id);
		END IF;
		WITH replaced AS (
			UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = 'replaced'
			WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id)
				= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id)
			RETURNING k.child_id
		)
		SELECT r.child_id INTO parted FROM replaced r;
		PERFORM kinderconnect._seek_again(link_child.organization_id, parted);
		INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, linked_at)
		VALUES (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id, link_child.child_id, 'person', clock_timestamp())
		ON CONFLICT DO NOTHING;
		EXIT WHEN FOUND;
	END LOOP;
	INSERT INTO kinderconnect.child_decision (organization_id, agency_id, kinderconnect_child_id, child_id, decision, reason)
	VALUES (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id, link_child.child_id, 'link', link_child.reason);
	UPDATE kinderconnect.child c SET unlinked_because = NULL
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect.link_child(text, text, text, text, text) IS
'a person''s decision that a KinderConnect child is this child of Manage; replaces a link in force, and takes over that of an id of the agency which is no longer listed: days accepted under it are held as merged_child';

CREATE FUNCTION kinderconnect.unlink_child(organization_id text, agency_id text, kinderconnect_child_id text, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	parted text;
BEGIN
	PERFORM kinderconnect._require_organization(unlink_child.organization_id);
	IF num_nulls(unlink_child.agency_id, unlink_child.kinderconnect_child_id) > 0 THEN
		RAISE EXCEPTION 'agency_id and kinderconnect_child_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF nullif(btrim(unlink_child.reason), '') IS NULL THEN
		RAISE EXCEPTION 'a reason must be given' USING ERRCODE = 'null_value_not_allowed', HINT = 'It stays in kinderconnect.child_decision, for who asks later.';
	END IF;
	PERFORM FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id) FOR NO KEY UPDATE;
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
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id);
	PERFORM kinderconnect._seek_again(unlink_child.organization_id, parted);
END;
$$;
COMMENT ON FUNCTION kinderconnect.unlink_child(text, text, text, text) IS
'ends a link, with the reason; its days already accepted are held as authorization_lost, void_day() takes them back';

CREATE FUNCTION kinderconnect.reject_match(organization_id text, agency_id text, kinderconnect_child_id text, child_id text, reason text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(reject_match.organization_id);
	IF num_nulls(reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id) > 0 THEN
		RAISE EXCEPTION 'agency_id, kinderconnect_child_id and child_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	-- a match that is linking this child is waited for: see _match()
	PERFORM FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id) FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'agency "%" lists no child "%"', reject_match.agency_id, reject_match.kinderconnect_child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.child.';
	END IF;
	-- the one that was meant would still be taken for him; a candidate may have left Manage since
	IF NOT EXISTS (SELECT FROM kinderconnect.match_candidate n WHERE (n.organization_id, n.agency_id, n.kinderconnect_child_id, n.child_id)
			= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id)) THEN
		IF NOT EXISTS (SELECT FROM kinderconnect.manage_child m
				WHERE (m.organization_id, m.child_id) = (reject_match.organization_id COLLATE "default", reject_match.child_id COLLATE "default")) THEN
			RAISE EXCEPTION 'organization "%" has no child "%" in Manage', reject_match.organization_id, reject_match.child_id
				USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.manage_child.';
		END IF;
	END IF;
	IF EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.kinderconnect_child_id, k.child_id)
				= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id)) THEN
		RAISE EXCEPTION 'child "%" of agency "%" is linked to child "%" of Manage', reject_match.kinderconnect_child_id,
			reject_match.agency_id, reject_match.child_id
			USING ERRCODE = 'object_in_use', HINT = 'End the link: SELECT kinderconnect.unlink_child(organization_id, agency_id, kinderconnect_child_id, reason).';
	END IF;
	INSERT INTO kinderconnect.child_decision (organization_id, agency_id, kinderconnect_child_id, child_id, decision, reason)
	VALUES (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id, 'reject', reject_match.reason);
	DELETE FROM kinderconnect.match_candidate n
	WHERE (n.organization_id, n.agency_id, n.kinderconnect_child_id, n.child_id)
		= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id);
	-- another may take its place
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id) AND c.unlinked_because IS NOT NULL;
	-- What a match has locked it has made due itself, and to wait for it could be
	-- for ever: it may wait for the child.
	UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
	FROM (SELECT t.organization_id, t.agency_id, t.kinderconnect_child_id FROM kinderconnect.scored_child t
		WHERE (t.organization_id, t.agency_id, t.kinderconnect_child_id)
			= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id)
		FOR NO KEY UPDATE SKIP LOCKED) t
	WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id) = (t.organization_id, t.agency_id, t.kinderconnect_child_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect.reject_match(text, text, text, text, text) IS
'a person''s decision that a KinderConnect child is not this child of Manage: they are never linked by a night, nor offered again. link_child() takes it back';
