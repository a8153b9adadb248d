-- Rows of Manage's attendance that no child-day can say anything of: the plan
-- does not see them, so nobody would miss them.

CREATE FUNCTION kinderconnect._attendance_problems(organization text)
	RETURNS TABLE (problem text, location_id text, entries bigint, concerning bigint, oldest date, newest date, examples text[])
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	in_manage text COLLATE "default" := organization;
	since     date;
BEGIN
	SELECT greatest((now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer, o.first_enabled - o.backfill_days) INTO since
	FROM kinderconnect.organization o WHERE o.organization_id = organization;

	RETURN QUERY
	WITH site AS (
		SELECT z.location_id, z.zone, (now() AT TIME ZONE coalesce(z.zone, 'Pacific/Honolulu'))::date AS today,
			EXISTS (SELECT FROM kinderconnect.provider_standing s
				WHERE s.organization_id = organization AND s.location_id = z.location_id AND s.barred IS NULL) AS takes_part,
			ARRAY(SELECT s.agency_id FROM kinderconnect.provider_standing s
				WHERE s.organization_id = organization AND s.location_id = z.location_id) AS agencies
		FROM kinderconnect._location_zones(organization) z
	), eligible AS (
		SELECT k.child_id, array_agg(k.agency_id) AS agencies
		FROM kinderconnect.child_link k
		JOIN kinderconnect.authorization a ON (a.organization_id, a.agency_id, a.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id)
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND (a.end_date >= since) IS NOT FALSE AND (a.closed_as = 'changed') IS NOT TRUE
		GROUP BY k.child_id
	), place AS (
		SELECT l.location_id COLLATE "C" AS location_id, bool_or(l.organization_id = in_manage) AS ours FROM kinderconnect.manage_location l GROUP BY 1
	), kid AS (
		SELECT c.child_id COLLATE "C" AS child_id, bool_or(c.organization_id = in_manage) AS ours FROM kinderconnect.manage_child c GROUP BY 1
	), entry AS MATERIALIZED (
		SELECT m.attendance_id, m.location_id COLLATE "C" AS location_id, m.child_id COLLATE "C" AS child_id, m.kind, m.check_in, m.check_out, m.service_date
		FROM kinderconnect.manage_attendance m
		WHERE m.organization_id = in_manage
			AND (m.check_in >= since - interval '1 day'
				OR m.check_in IS NULL AND m.check_out >= since - interval '1 day'
				OR m.service_date >= since
				OR num_nonnulls(m.check_in, m.check_out, m.service_date) = 0 AND (m.modified_at >= since) IS NOT FALSE)
	), judged AS (
		SELECT e.attendance_id, e.location_id, w.day,
			CASE
				WHEN s.location_id IS NULL AND p.ours IS FALSE OR e.child_id IS NOT NULL AND k.ours IS FALSE THEN 'other_organization'
				WHEN s.location_id IS NULL AND p.ours IS NULL THEN 'unknown_location'
				WHEN e.child_id IS NULL AND e.kind IS DISTINCT FROM 'closure' THEN 'no_child'
				WHEN e.child_id IS NOT NULL AND k.ours IS NULL THEN 'unknown_child'
				WHEN (e.kind IN ('session', 'absence', 'closure')) IS NOT TRUE THEN 'unknown_kind'
				WHEN e.kind = 'session' AND num_nonnulls(e.check_in, e.check_out) = 0 THEN 'no_times'
				WHEN e.kind <> 'session' AND e.service_date IS NULL THEN 'no_date'
				WHEN (s.agencies && g.agencies) IS NOT TRUE AND g.child_id IS NOT NULL THEN 'no_provider'
				WHEN s.location_id IS NOT NULL AND s.zone IS NULL THEN 'no_time_zone'
				WHEN e.kind = 'session' AND w.day > s.today THEN 'future_session'
				WHEN e.kind <> 'session' AND w.day > s.today THEN 'not_yet'
			END AS problem,
			CASE WHEN k.ours THEN g.child_id IS NOT NULL ELSE s.takes_part IS TRUE OR g.child_id IS NOT NULL END AS concerning
		FROM entry e
		LEFT JOIN site s ON s.location_id = e.location_id
		LEFT JOIN place p ON p.location_id = e.location_id
		LEFT JOIN kid k ON k.child_id = e.child_id
		LEFT JOIN eligible g ON g.child_id = e.child_id
		CROSS JOIN LATERAL (SELECT CASE WHEN e.kind IN ('absence', 'closure') THEN e.service_date
			ELSE coalesce((coalesce(e.check_in, e.check_out) AT TIME ZONE coalesce(s.zone, 'UTC'))::date, e.service_date) END AS day) w
	)
	SELECT j.problem, j.location_id, count(*), count(*) FILTER (WHERE j.concerning AND j.problem <> 'not_yet'), min(j.day), max(j.day),
		(array_agg(j.attendance_id ORDER BY j.concerning DESC, j.attendance_id COLLATE "C"))[1:3]
	FROM judged j
	WHERE j.problem IS NOT NULL
	GROUP BY j.problem, j.location_id;
EXCEPTION WHEN data_exception THEN
	PERFORM kinderconnect._manage_fails(SQLSTATE);
END;
$$;
COMMENT ON FUNCTION kinderconnect._attendance_problems(text) IS
'rows of Manage''s attendance of an organization, not older than the horizon, that belong to no child-day, by problem and location; those of unknown_kind hold their day, where they have one';

CREATE VIEW kinderconnect.attendance_problem AS
SELECT o.organization_id, p.problem, p.location_id, p.entries, p.concerning, p.oldest, p.newest, p.examples, r.meaning, r.what_to_do
FROM kinderconnect.organization o
CROSS JOIN LATERAL kinderconnect._attendance_problems(o.organization_id) p
JOIN kinderconnect.reason r ON r.reason = p.problem
WHERE o.enabled;
COMMENT ON VIEW kinderconnect.attendance_problem IS
'rows of Manage''s attendance that no child-day can say anything of, and why. Reads Manage, so for operators; name the organization';
COMMENT ON COLUMN kinderconnect.attendance_problem.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.attendance_problem.problem IS 'code: kinderconnect.reason';
COMMENT ON COLUMN kinderconnect.attendance_problem.location_id IS 'location of the rows';
COMMENT ON COLUMN kinderconnect.attendance_problem.entries IS 'how many rows';
COMMENT ON COLUMN kinderconnect.attendance_problem.concerning IS 'of these, how many may be of an authorized child: the row says so, or the child cannot be told and the location has a provider. The others cost no subsidy';
COMMENT ON COLUMN kinderconnect.attendance_problem.oldest IS 'first date of them; null: they have none';
COMMENT ON COLUMN kinderconnect.attendance_problem.newest IS 'last date of them';
COMMENT ON COLUMN kinderconnect.attendance_problem.examples IS 'up to three attendance_id, those that concern first';
COMMENT ON COLUMN kinderconnect.attendance_problem.meaning IS 'the problem in words';
COMMENT ON COLUMN kinderconnect.attendance_problem.what_to_do IS 'the cure';
