-- The clock of each location, and Manage's attendance on it.

-- A site that moves to another zone keeps the wall times of the days it had in
-- the old one, if the service holds any. Where Manage had the wrong zone all
-- along, and the days are to be corrected: delete the location's rows.
CREATE TABLE kinderconnect.location_zone (
	organization_id text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	location_id     text COLLATE "C" NOT NULL,
	zone            text NOT NULL,
	valid_from      timestamptz NOT NULL,
	valid_until     timestamptz NOT NULL CHECK (valid_from < valid_until),
	PRIMARY KEY (organization_id, location_id, valid_from)
);
COMMENT ON TABLE kinderconnect.location_zone IS
'the zone each location was planned in. When Manage names another one, days already planned keep the one they had, if the service holds any of the location; delete a location''s rows to have all its days of the horizon read in the present one';
COMMENT ON COLUMN kinderconnect.location_zone.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.location_zone.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.location_zone.zone IS 'IANA name';
COMMENT ON COLUMN kinderconnect.location_zone.valid_from IS 'attendance from this moment on is read in it';
COMMENT ON COLUMN kinderconnect.location_zone.valid_until IS 'up to this one; infinity: it is the present zone';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.location_zone', '');

CREATE FUNCTION kinderconnect._location_zones(organization text)
	RETURNS TABLE (location_id text, zone text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
AS $$
#variable_conflict use_column
DECLARE
	in_manage   text COLLATE "default" := organization;
	this_year   timestamptz := date_trunc('year', now(), 'UTC');
	this_summer timestamptz := this_year + interval '6 months';
BEGIN
	RETURN QUERY
	WITH named AS MATERIALIZED (
		-- agencies that go by two clocks do not say which is the location's
		SELECT p.location_id, min(m.time_zone) AS name,
			CASE WHEN min(m.time_zone) IS NULL AND count(m.location_id) > 0
					AND min(this_year AT TIME ZONE a.time_zone) IS NOT DISTINCT FROM max(this_year AT TIME ZONE a.time_zone)
					AND min(this_summer AT TIME ZONE a.time_zone) IS NOT DISTINCT FROM max(this_summer AT TIME ZONE a.time_zone)
				THEN min(a.time_zone) END AS of_agency
		FROM kinderconnect.provider p
		LEFT JOIN kinderconnect.manage_location m ON m.organization_id = in_manage AND m.location_id COLLATE "C" = p.location_id
		LEFT JOIN kinderconnect.agency a ON a.agency_id = p.agency_id
		WHERE p.organization_id = organization AND p.location_id IS NOT NULL
		GROUP BY p.location_id
	), zone AS MATERIALIZED (
		-- a name at a time, for to ask the server takes a subtransaction
		SELECT n.name, kinderconnect._zone(n.name) AS zone FROM (SELECT DISTINCT n.name FROM named n) n
	)
	SELECT n.location_id, coalesce(z.zone, n.of_agency)
	FROM named n LEFT JOIN zone z ON z.name = n.name;
END;
$$;
COMMENT ON FUNCTION kinderconnect._location_zones(text) IS
'the zone of each location that has a provider: Manage''s, or where Manage has the location without one, that of its agencies; null where it is not known, or they differ';

-- A zone that is new holds from the first day on that is not planned yet.
CREATE FUNCTION kinderconnect._moves(organization text)
	RETURNS TABLE (location_id text, zone text, was text, valid_from timestamptz, moved_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT z.location_id, z.zone, l.zone, l.valid_from,
		-- where the service holds nothing, there is nothing to leave as it is
		CASE WHEN z.zone <> l.zone THEN (SELECT (max(d.service_date) + 1)::timestamp AT TIME ZONE l.zone FROM kinderconnect.child_day d
			WHERE d.organization_id = organization AND d.location_id = z.location_id
			HAVING bool_or(d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))) END
	FROM kinderconnect._location_zones(organization) z
	LEFT JOIN kinderconnect.location_zone l ON (l.organization_id, l.location_id, l.valid_until) = (organization, z.location_id, 'infinity');
END;
$$;
COMMENT ON FUNCTION kinderconnect._moves(text) IS
'the zone of each location that has a provider, the one that the last plan read it in, since when, and, where that is another and the service holds days of the location, from when on the new one holds';

CREATE FUNCTION kinderconnect._note_zones(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	moved record;
BEGIN
	FOR moved IN SELECT m.* FROM kinderconnect._moves(organization) m WHERE m.zone IS DISTINCT FROM m.was AND m.zone IS NOT NULL
	LOOP
		IF moved.moved_at > moved.valid_from THEN
			UPDATE kinderconnect.location_zone l SET valid_until = moved.moved_at
			WHERE (l.organization_id, l.location_id, l.valid_from) = (organization, moved.location_id, moved.valid_from);
			INSERT INTO kinderconnect.location_zone VALUES (organization, moved.location_id, moved.zone, moved.moved_at, 'infinity');
		ELSE
			INSERT INTO kinderconnect.location_zone AS l VALUES (organization, moved.location_id, moved.zone, coalesce(moved.valid_from, '-infinity'), 'infinity')
			ON CONFLICT (organization_id, location_id, valid_from) DO UPDATE SET zone = excluded.zone;
		END IF;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._note_zones(text) IS 'remembers the zone of each location, and from when on it holds';

-- What Manage has for the children of an organization that are linked, a row
-- for each punch pair, absence or closure, on the location's own clock. Where
-- a location has several provider IDs, a row for each.
CREATE FUNCTION kinderconnect._attendance(organization text, since date)
	RETURNS TABLE (location_id text, child_id text, kind text, check_in timestamptz, check_out timestamptz, day date, reason text, zone text, modified_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
AS $$
#variable_conflict use_column
DECLARE
	in_manage text COLLATE "default" := organization;
BEGIN
	RETURN QUERY
	SELECT m.location_id, m.child_id, m.kind, m.check_in, m.check_out,
		CASE WHEN m.kind IN ('absence', 'closure') THEN m.service_date
			ELSE coalesce((p.at AT TIME ZONE c.zone)::date, CASE WHEN m.kind IS DISTINCT FROM 'session' THEN m.service_date END) END,
		nullif(btrim(m.reason), ''), c.zone, m.modified_at
	FROM kinderconnect.manage_attendance m
	CROSS JOIN LATERAL (SELECT coalesce(m.check_in, m.check_out) AS at) p
	JOIN kinderconnect._moves(organization) z ON z.location_id = m.location_id
	LEFT JOIN kinderconnect.location_zone l ON (l.organization_id, l.location_id) = (organization, m.location_id COLLATE "C")
		AND l.valid_until < 'infinity' AND l.valid_from <= p.at AND l.valid_until > p.at
	CROSS JOIN LATERAL (SELECT coalesce(l.zone, CASE WHEN p.at >= z.valid_from AND p.at < z.moved_at THEN z.was END, z.zone) AS zone) c
	WHERE m.organization_id = in_manage AND z.zone IS NOT NULL
		AND (m.check_in >= since - interval '1 day'
			OR m.check_in IS NULL AND m.check_out >= since - interval '1 day'
			OR m.kind IS DISTINCT FROM 'session' AND m.service_date >= since);
END;
$$;
COMMENT ON FUNCTION kinderconnect._attendance(text, date) IS
'Manage''s attendance of an organization from a date on, with the local day and zone of each row';
