-- What analysts ask of authorizations, matches and money. As in views.sql,
-- nothing here calls anybody or writes: all of it answers on a hot standby.
-- "Today" is the agency's own date, whatever time zone the client has set.

CREATE VIEW kinderconnect.authorized_child AS
SELECT a.organization_id, a.agency_id, g.name AS agency, g.state, a.provider_id, p.name AS provider, p.location_id, p.barred,
	a.kinderconnect_child_id, c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth, coalesce(s.subsidized, true) AS subsidized,
	k.child_id, k.method AS matched_by, coalesce(k.flag, CASE WHEN k.child_id IS NULL THEN coalesce(c.unlinked_because, 'not_matched_yet') END) AS review,
	a.authorization_id, a.begin_date, a.end_date, a.units_of_care, a.days, a.known_from,
	a.begin_date <= t.today AND (a.days IS NULL OR t.weekday = ANY (a.days)) AS authorized_today
FROM kinderconnect.authorization a
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
LEFT JOIN kinderconnect.provider_standing p ON (p.organization_id, p.agency_id, p.provider_id) = (a.organization_id, a.agency_id, a.provider_id)
LEFT JOIN kinderconnect.agency g ON g.agency_id = a.agency_id
LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
	AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
CROSS JOIN LATERAL (SELECT d.today, (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d.today)::integer] AS weekday
	FROM (SELECT (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date AS today) d) t
LEFT JOIN LATERAL (SELECT s.subsidized FROM kinderconnect.listed_subsidy s
	WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id)
		= (a.organization_id, a.agency_id, a.kinderconnect_child_id, a.provider_id)
	ORDER BY s.month > t.today, abs(s.month - t.today) LIMIT 1) s ON true
WHERE a.known_until = 'infinity' AND (a.end_date IS NULL OR a.end_date >= t.today);
COMMENT ON VIEW kinderconnect.authorized_child IS
'every authorization that stands and has not ended, with its child, its match in Manage, its location and its agency; a child with two has two rows';
COMMENT ON COLUMN kinderconnect.authorized_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.authorized_child.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.authorized_child.agency IS 'its name, as listed';
COMMENT ON COLUMN kinderconnect.authorized_child.state IS 'its state, two-letter code';
COMMENT ON COLUMN kinderconnect.authorized_child.provider_id IS 'the provider ID the authorization is for';
COMMENT ON COLUMN kinderconnect.authorized_child.provider IS 'name of the site as the service lists it, else the provider ID';
COMMENT ON COLUMN kinderconnect.authorized_child.location_id IS 'Manage''s location; null: not found yet; operators see the candidates in provider_review';
COMMENT ON COLUMN kinderconnect.authorized_child.barred IS 'why nothing is sent for the provider; null: it takes part';
COMMENT ON COLUMN kinderconnect.authorized_child.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.authorized_child.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.middle_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.suffix IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.date_of_birth IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.subsidized IS 'false: by the provider''s list of this month its care there is not subsidized, and not sent';
COMMENT ON COLUMN kinderconnect.authorized_child.child_id IS 'the child in Manage; null: not matched';
COMMENT ON COLUMN kinderconnect.authorized_child.matched_by IS 'how it was matched: method of child_link';
COMMENT ON COLUMN kinderconnect.authorized_child.review IS 'why a person should look at the match: unlinked_because of child, flag of child_link, or not_matched_yet; null: it stands';
COMMENT ON COLUMN kinderconnect.authorized_child.authorization_id IS 'the service''s id, or begin date and units where its dialect has none; of a further period under the same id, the id with # and a number';
COMMENT ON COLUMN kinderconnect.authorized_child.begin_date IS 'first day of care, inclusive; may lie ahead';
COMMENT ON COLUMN kinderconnect.authorized_child.end_date IS 'last day of care, inclusive; null: open';
COMMENT ON COLUMN kinderconnect.authorized_child.units_of_care IS 'units authorized, as listed';
COMMENT ON COLUMN kinderconnect.authorized_child.days IS 'weekdays of care, MO to SU; null: every day';
COMMENT ON COLUMN kinderconnect.authorized_child.known_from IS 'since when the service says exactly this';
COMMENT ON COLUMN kinderconnect.authorized_child.authorized_today IS 'whether it covers today, by its dates and its weekdays';

CREATE FUNCTION kinderconnect.authorizations_ending(days integer) RETURNS SETOF kinderconnect.authorized_child
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
AS $$
#variable_conflict use_column
BEGIN
	IF (authorizations_ending.days >= 0) IS NOT TRUE THEN
		RAISE EXCEPTION 'days must not be negative or null' USING ERRCODE = 'invalid_parameter_value', HINT = '0 is today alone.';
	END IF;
	RETURN QUERY
	SELECT a.* FROM kinderconnect.authorized_child a
	LEFT JOIN kinderconnect.agency g ON g.agency_id = a.agency_id
	WHERE a.end_date <= (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date + authorizations_ending.days
		AND NOT EXISTS (SELECT FROM kinderconnect.authorization n
			WHERE (n.organization_id, n.agency_id, n.provider_id, n.kinderconnect_child_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id)
				AND n.known_until = 'infinity' AND n.begin_date <= a.end_date + 1 AND (n.end_date IS NULL OR n.end_date > a.end_date));
END;
$$;
COMMENT ON FUNCTION kinderconnect.authorizations_ending(integer) IS
'rows of authorized_child whose last day is today or one of the next days, and that no other authorization of the child at the provider takes up the day after';

CREATE FUNCTION kinderconnect.newly_authorized(since date)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, location_id text, kinderconnect_child_id text,
		first_name text, last_name text, child_id text, authorization_id text, begin_date date, end_date date, units_of_care text,
		listed_at timestamptz, new_child boolean)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
AS $$
#variable_conflict use_column
BEGIN
	IF since IS NULL THEN
		RAISE EXCEPTION 'since must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	RETURN QUERY
	SELECT a.organization_id, a.agency_id, a.provider_id, p.location_id, a.kinderconnect_child_id, c.first_name, c.last_name, k.child_id,
		a.authorization_id, a.begin_date, a.end_date, a.units_of_care, f.first_known,
		NOT EXISTS (SELECT FROM kinderconnect.authorization o
			WHERE (o.organization_id, o.agency_id, o.provider_id, o.kinderconnect_child_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id) AND o.known_from < f.first_known)
	FROM kinderconnect.authorization a
	JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
	LEFT JOIN kinderconnect.agency g ON g.agency_id = a.agency_id
	LEFT JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (a.organization_id, a.agency_id, a.provider_id)
	LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
	CROSS JOIN LATERAL (SELECT min(o.known_from) AS first_known FROM kinderconnect.authorization o
		WHERE (o.organization_id, o.agency_id, o.provider_id, o.kinderconnect_child_id, o.authorization_id)
			= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)) f
	WHERE a.known_until = 'infinity' AND (f.first_known AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date >= since;
END;
$$;
COMMENT ON FUNCTION kinderconnect.newly_authorized(date) IS
'authorizations that stand and were first listed on this date or later, also those for days gone by; new_child: the child had none at the provider before. One that vanished and came back is not new';

-- One row an event. A change of several things is several rows of one moment.
CREATE VIEW kinderconnect.authorization_history AS
SELECT h.organization_id, h.agency_id, h.provider_id, h.kinderconnect_child_id, h.authorization_id,
	coalesce(e.on_date, (e.at AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date) AS day,
	e.event, e.was, e.became, e.at AS seen_at
FROM (SELECT a.*,
		concat_ws(', ', to_char(a.begin_date, 'YYYY-MM-DD') || ' to ' || coalesce(to_char(a.end_date, 'YYYY-MM-DD'), 'open'), a.units_of_care,
			array_to_string(a.days, ' ')) AS terms,
		lag(a.closed_as) OVER w AS before, lag(a.begin_date) OVER w AS begin_before, lag(a.end_date) OVER w AS end_before,
		lag(a.units_of_care) OVER w AS units_before, lag(a.days) OVER w AS days_before, lead(a.known_from) OVER w IS NULL AS is_last
	FROM kinderconnect.authorization a
	WINDOW w AS (PARTITION BY a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id ORDER BY a.known_from)) h
LEFT JOIN kinderconnect.agency g ON g.agency_id = h.agency_id
CROSS JOIN LATERAL (
	SELECT h.known_from AS at, NULL::date AS on_date, 'listed' AS event, NULL AS was, h.terms AS became WHERE h.before IS NULL
	UNION ALL SELECT h.known_from, NULL, 'came_back', NULL, h.terms WHERE h.before = 'vanished'
	UNION ALL SELECT h.known_from, NULL, 'begin_changed', to_char(h.begin_before, 'YYYY-MM-DD'), to_char(h.begin_date, 'YYYY-MM-DD') WHERE h.before IS NOT NULL AND h.begin_before <> h.begin_date
	UNION ALL SELECT h.known_from, NULL, 'end_changed', coalesce(to_char(h.end_before, 'YYYY-MM-DD'), 'open'), coalesce(to_char(h.end_date, 'YYYY-MM-DD'), 'open')
		WHERE h.before IS NOT NULL AND h.end_before IS DISTINCT FROM h.end_date
	UNION ALL SELECT h.known_from, NULL, 'units_changed', h.units_before, h.units_of_care WHERE h.before IS NOT NULL AND h.units_before IS DISTINCT FROM h.units_of_care
	UNION ALL SELECT h.known_from, NULL, 'days_changed', coalesce(array_to_string(h.days_before, ' '), 'every day'), coalesce(array_to_string(h.days, ' '), 'every day')
		WHERE h.before IS NOT NULL AND h.days_before IS DISTINCT FROM h.days
	UNION ALL SELECT h.known_until, NULL, 'vanished', h.terms, NULL WHERE h.closed_as = 'vanished'
	UNION ALL SELECT NULL, h.begin_date, 'begins', NULL, NULL WHERE h.is_last AND h.closed_as IS NULL
	UNION ALL SELECT NULL, h.end_date, 'ends', NULL, NULL WHERE h.is_last AND h.closed_as IS NULL AND h.end_date IS NOT NULL) e;
COMMENT ON VIEW kinderconnect.authorization_history IS
'what happened to each authorization: listed, begin_changed, end_changed, units_changed, days_changed, vanished, came_back, and of one that stands the days it begins and ends, also ahead. Order by day, seen_at';
COMMENT ON COLUMN kinderconnect.authorization_history.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.authorization_history.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.authorization_history.provider_id IS 'the provider ID it is for';
COMMENT ON COLUMN kinderconnect.authorization_history.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.authorization_history.authorization_id IS 'the authorization';
COMMENT ON COLUMN kinderconnect.authorization_history.day IS 'when: of begins and ends that date, else the agency''s date on which it was first seen';
COMMENT ON COLUMN kinderconnect.authorization_history.event IS 'what';
COMMENT ON COLUMN kinderconnect.authorization_history.was IS 'of a change and of vanished: what the service said before';
COMMENT ON COLUMN kinderconnect.authorization_history.became IS 'of listed, came_back and a change: what it says from then on';
COMMENT ON COLUMN kinderconnect.authorization_history.seen_at IS 'the moment it was first seen; null: begins and ends';

CREATE VIEW kinderconnect.unmatched_summary AS
SELECT u.organization_id, u.agency_id, u.reason, count(*) AS children, count(*) FILTER (WHERE u.authorized) AS authorized,
	count(*) FILTER (WHERE u.first_listed > now() - interval '7 days') AS this_week,
	count(*) FILTER (WHERE u.first_listed <= now() - interval '7 days' AND u.first_listed > now() - interval '30 days') AS this_month,
	count(*) FILTER (WHERE u.first_listed <= now() - interval '30 days') AS older,
	min(u.first_listed) AS oldest, coalesce(sum(d.days), 0)::bigint AS days_held, min(d.oldest_day) AS oldest_day,
	min(d.first_window_ends) AS first_window_ends, coalesce(sum(d.lost), 0)::bigint AS days_lost
FROM (SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id, c.first_listed,
		coalesce(k.flag, c.unlinked_because, 'not_matched_yet') AS reason,
		EXISTS (SELECT FROM kinderconnect.authorization a WHERE a.known_until = 'infinity'
			AND (a.organization_id, a.agency_id, a.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)) AS authorized
	FROM kinderconnect.child c
	LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)
	WHERE k.child_id IS NULL OR k.flag IS NOT NULL) u
LEFT JOIN (SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id, count(*) AS days, min(d.service_date) AS oldest_day,
		min(d.window_ends) FILTER (WHERE kinderconnect._is_open(d.service_date, d.window_ends, g.time_zone)) AS first_window_ends,
		count(*) FILTER (WHERE NOT kinderconnect._is_open(d.service_date, d.window_ends, g.time_zone)) AS lost
	FROM kinderconnect.child_day d
	LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
	WHERE d.reason IN ('unmatched', 'link_disagrees', 'child_gone')
	GROUP BY d.organization_id, d.agency_id, d.kinderconnect_child_id) d
	ON (d.organization_id, d.agency_id, d.kinderconnect_child_id) = (u.organization_id, u.agency_id, u.kinderconnect_child_id)
GROUP BY u.organization_id, u.agency_id, u.reason;
COMMENT ON VIEW kinderconnect.unmatched_summary IS
'KinderConnect children without a link to a child of Manage, or with one that is flagged, by reason and age; together with the links that stand they are all children listed';
COMMENT ON COLUMN kinderconnect.unmatched_summary.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unmatched_summary.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unmatched_summary.reason IS 'unlinked_because of child, flag of child_link, or not_matched_yet';
COMMENT ON COLUMN kinderconnect.unmatched_summary.children IS 'how many; the sum of the three ages';
COMMENT ON COLUMN kinderconnect.unmatched_summary.authorized IS 'of these, with an authorization that stands';
COMMENT ON COLUMN kinderconnect.unmatched_summary.this_week IS 'first listed less than 7 days ago';
COMMENT ON COLUMN kinderconnect.unmatched_summary.this_month IS 'first listed 7 to 30 days ago';
COMMENT ON COLUMN kinderconnect.unmatched_summary.older IS 'first listed more than 30 days ago';
COMMENT ON COLUMN kinderconnect.unmatched_summary.oldest IS 'when the first of them was first listed';
COMMENT ON COLUMN kinderconnect.unmatched_summary.days_held IS 'child-days that wait for the match';
COMMENT ON COLUMN kinderconnect.unmatched_summary.oldest_day IS 'the first of these days';
COMMENT ON COLUMN kinderconnect.unmatched_summary.first_window_ends IS 'when the first window of these days that is still open ends; null: no enforced window is open. The horizon may end before: unsettled_day';
COMMENT ON COLUMN kinderconnect.unmatched_summary.days_lost IS 'of these days, those whose enforced window is over, or that are older than the horizon: no match brings them back';

CREATE VIEW kinderconnect.unclaimed_day AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.location_id, d.kinderconnect_child_id, d.child_id, c.first_name, c.last_name,
	d.service_date, (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d.service_date)::integer] AS weekday,
	d.window_ends, kinderconnect._is_open(d.service_date, d.window_ends, g.time_zone) AS is_open
FROM kinderconnect.child_day d
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
WHERE (d.reason = 'nothing_recorded' OR d.state = 'voided') AND d.authorized;
COMMENT ON VIEW kinderconnect.unclaimed_day IS
'money nobody asked for: authorized, finished days of matched children for which Manage has neither attendance nor absence nor closure, or has it no longer. Days of unmatched children are in unmatched_summary';
COMMENT ON COLUMN kinderconnect.unclaimed_day.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unclaimed_day.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unclaimed_day.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.unclaimed_day.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.unclaimed_day.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.unclaimed_day.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.unclaimed_day.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unclaimed_day.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unclaimed_day.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.unclaimed_day.weekday IS 'MO to SU: an authorization that names no weekdays covers the weekend too';
COMMENT ON COLUMN kinderconnect.unclaimed_day.window_ends IS 'when the agency stops taking it; null: no enforced window';
COMMENT ON COLUMN kinderconnect.unclaimed_day.is_open IS 'true: recorded in Manage today, it is still sent; false: its enforced window is over, or it is older than the horizon';

-- Two ways of counting the same child-days: what Manage says of them, and
-- what became of them. A day whose record cannot be sent as it is counts as
-- attended or absent all the same.
CREATE VIEW kinderconnect.provider_month AS
SELECT d.organization_id, d.agency_id, d.provider_id, date_trunc('month', d.service_date::timestamp)::date AS month,
	count(*) AS days,
	count(*) FILTER (WHERE d.authorized) AS authorized,
	count(*) FILTER (WHERE d.kind = 'session' OR d.reason IN ('missing_check_out', 'missing_check_in', 'out_before_in', 'too_short', 'too_long',
		'overlapping_sessions', 'over_midnight', 'clock_change', 'too_many_sessions')) AS attended,
	count(*) FILTER (WHERE d.kind = 'absence' OR d.reason = 'absence_reason') AS absent,
	count(*) FILTER (WHERE d.kind = 'closure') AS closed,
	count(*) FILTER (WHERE (d.reason = 'nothing_recorded' OR d.state = 'voided') AND d.authorized) AS unclaimed,
	count(*) FILTER (WHERE d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown', 'rejected', 'voided')) AS sent,
	count(*) FILTER (WHERE d.state = 'accepted') AS accepted,
	count(*) FILTER (WHERE d.state = 'ready') AS ready,
	count(*) FILTER (WHERE d.state = 'held') AS held,
	count(*) FILTER (WHERE d.state = 'rejected') AS rejected,
	count(*) FILTER (WHERE d.state IN ('sending', 'unknown')) AS unknown,
	count(*) FILTER (WHERE d.state = 'voided') AS voided,
	count(*) FILTER (WHERE d.state = 'not_due') AS not_due
FROM kinderconnect.child_day d
GROUP BY d.organization_id, d.agency_id, d.provider_id, date_trunc('month', d.service_date::timestamp)::date;
COMMENT ON VIEW kinderconnect.provider_month IS
'each provider and month in child-days: what Manage says of them (attended, absent, closed, unclaimed) and what became of them; accepted, ready, held, rejected, unknown, voided and not_due add up to days';
COMMENT ON COLUMN kinderconnect.provider_month.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_month.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_month.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_month.month IS 'first day of the month';
COMMENT ON COLUMN kinderconnect.provider_month.days IS 'child-days, all: authorized, and attendance without an authorization';
COMMENT ON COLUMN kinderconnect.provider_month.authorized IS 'an authorization covers the day';
COMMENT ON COLUMN kinderconnect.provider_month.attended IS 'Manage has sessions, which can be sent or are held for what is wrong with them; one of conflict or unknown_kind counts for nothing';
COMMENT ON COLUMN kinderconnect.provider_month.absent IS 'Manage has an absence';
COMMENT ON COLUMN kinderconnect.provider_month.closed IS 'Manage has a closure';
COMMENT ON COLUMN kinderconnect.provider_month.unclaimed IS 'authorized, and Manage has nothing: unclaimed_day lists them. They are held, or voided';
COMMENT ON COLUMN kinderconnect.provider_month.sent IS 'ever sent: accepted or rejected, taken back, or without an answer yet';
COMMENT ON COLUMN kinderconnect.provider_month.accepted IS 'the service holds what Manage says';
COMMENT ON COLUMN kinderconnect.provider_month.ready IS 'to be sent by the next run';
COMMENT ON COLUMN kinderconnect.provider_month.held IS 'not sent: held_summary says why';
COMMENT ON COLUMN kinderconnect.provider_month.rejected IS 'the service refused it';
COMMENT ON COLUMN kinderconnect.provider_month.unknown IS 'sent, and the answer is not in yet or was lost';
COMMENT ON COLUMN kinderconnect.provider_month.voided IS 'taken back';
COMMENT ON COLUMN kinderconnect.provider_month.not_due IS 'nothing to send, explained by its reason';
