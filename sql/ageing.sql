-- What is about to be lost, what became of one day, and what was used of
-- limits and units. As in analyst.sql: these views call nobody and read
-- nothing of Manage, and "today" is the agency's own date.

-- Rules of an agency with the dates on which each is the one that counts: its
-- own dates less those of whatever wins over it, in the order of _rules(). They
-- are few: MATERIALIZED has the dates computed once, not for each child-day.
CREATE VIEW kinderconnect.entry_window AS
WITH w AS MATERIALIZED (
	SELECT a.agency_id, r.rule, r.value::integer AS days, r.enforced,
		datemultirange(r.valid) - coalesce((SELECT range_agg(o.valid) FROM kinderconnect.agency_rule o
			WHERE o.rule = r.rule AND (o.agency_id = a.agency_id OR o.state = a.state)
				AND (o.agency_id IS NULL, o.builtin) < (r.agency_id IS NULL, r.builtin)), '{}') AS valid,
		r.source
	FROM kinderconnect.agency a
	JOIN kinderconnect.agency_rule r ON (r.agency_id = a.agency_id OR r.state = a.state)
	WHERE r.rule IN ('entry_window_days', 'correction_window_days')
)
SELECT * FROM w
WHERE NOT isempty(w.valid);
COMMENT ON VIEW kinderconnect.entry_window IS 'how many days back each agency takes entries and corrections, enforced or only believed, and for which service dates';
COMMENT ON COLUMN kinderconnect.entry_window.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.entry_window.rule IS 'entry_window_days or correction_window_days';
COMMENT ON COLUMN kinderconnect.entry_window.days IS 'its value';
COMMENT ON COLUMN kinderconnect.entry_window.enforced IS 'false: believed, nothing is held back for it';
COMMENT ON COLUMN kinderconnect.entry_window.valid IS 'service dates for which it is the one that counts';
COMMENT ON COLUMN kinderconnect.entry_window.source IS 'where it is written';

CREATE VIEW kinderconnect.absence_limit_in_force AS
WITH l AS MATERIALIZED (
	SELECT a.agency_id, a.state, r.limit_name, r.counts, r.uncounted_reasons, r.counts_unrecorded, r.period_months, r.period_begins,
		r.at_most, r.needs_attended, r.enforced,
		datemultirange(r.valid) - coalesce((SELECT range_agg(o.valid) FROM kinderconnect.absence_limit o
			WHERE o.limit_name = r.limit_name AND (o.agency_id = a.agency_id OR o.state = a.state)
				AND (o.agency_id IS NULL, o.builtin) < (r.agency_id IS NULL, r.builtin)), '{}') AS valid,
		r.source, r.note
	FROM kinderconnect.agency a
	JOIN kinderconnect.absence_limit r ON (r.agency_id = a.agency_id OR r.state = a.state)
)
SELECT * FROM l
WHERE NOT isempty(l.valid) AND num_nonnulls(l.at_most, l.needs_attended) > 0;
COMMENT ON VIEW kinderconnect.absence_limit_in_force IS 'the absence limits of each agency, its own or its state''s';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.state IS 'its state';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.limit_name IS 'which';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.counts IS 'absence or closure';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.uncounted_reasons IS 'absences that do not count';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.counts_unrecorded IS 'whether a day with nothing recorded counts for the agency';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.period_months IS 'length of the period';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.period_begins IS 'month in which it begins; null: the last months up to today';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.at_most IS 'so many in a period';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.needs_attended IS 'attended days needed in the period';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.enforced IS 'whether the law or the agency says so today';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.valid IS 'dates for which it is the one that counts';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.note IS 'what else is known';

CREATE VIEW kinderconnect.unit_band_in_force AS
WITH b AS MATERIALIZED (
	SELECT a.agency_id, a.state, r.unit, r.minutes, r.enforced,
		datemultirange(r.valid) - coalesce((SELECT range_agg(o.valid) FROM kinderconnect.unit_band o
			WHERE (o.agency_id = a.agency_id OR o.state = a.state)
				AND ((o.agency_id IS NULL, o.shipped IS NOT NULL) < (r.agency_id IS NULL, r.shipped IS NOT NULL)
					-- one that was edited stands in the place of its like alone
					OR o.shipped IS NOT NULL AND NOT o.builtin AND r.builtin AND o.minutes && r.minutes)), '{}') AS valid,
		r.source, r.note
	FROM kinderconnect.agency a
	JOIN kinderconnect.unit_band r ON (r.agency_id = a.agency_id OR r.state = a.state)
)
SELECT * FROM b
WHERE NOT isempty(b.valid);
COMMENT ON VIEW kinderconnect.unit_band_in_force IS 'the unit bands of each agency, its own or its state''s';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.state IS 'its state';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.unit IS 'name of the unit';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.minutes IS 'minutes of care on a day that make it';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.enforced IS 'whether the law or the agency says so';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.valid IS 'service dates for which it is the one that counts';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.note IS 'what else is known';

-- The agency's midnight and the location's may be hours apart, never twelve:
-- so the date on which an enforced window closes is the same for both. Between
-- the two midnights what counts is whether it has ended.
--
-- Whatever the agency takes, a day older than the horizon is no longer looked
-- at.
CREATE VIEW kinderconnect.unsettled_day AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.location_id, d.kinderconnect_child_id, d.child_id, c.first_name, c.last_name,
	d.service_date, (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d.service_date)::integer] AS weekday,
	d.authorized, d.state, d.reason, d.detail, d.content, d.accepted_content,
	t.today - d.service_date AS age,
	x.closes_by, x.last_day, x.last_day - t.today AS days_left,
	(NOT w.enforced AND w.last_day < t.today) IS TRUE AS believed_closed,
	coalesce(z.what_to_do, r.what_to_do, CASE d.state
		WHEN 'rejected' THEN 'See code and message of child_day: correct it in Manage, or call retry().'
		WHEN 'ready' THEN 'Nothing: the next run sends it.'
		ELSE 'Nothing: the next run asks what became of it.' END) AS what_to_do
FROM kinderconnect.child_day d
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
LEFT JOIN kinderconnect.reason r ON r.reason = d.reason
LEFT JOIN kinderconnect.entry_window e ON e.agency_id = d.agency_id AND e.rule = 'entry_window_days' AND e.valid @> d.service_date
LEFT JOIN kinderconnect.entry_window o ON o.agency_id = d.agency_id AND o.rule = 'correction_window_days' AND o.valid @> d.service_date
	AND d.accepted_content IS NOT NULL
CROSS JOIN LATERAL (SELECT coalesce(g.time_zone, 'Pacific/Honolulu') AS zone, (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date AS today) t
CROSS JOIN LATERAL (SELECT (d.window_ends AT TIME ZONE t.zone + interval '12 hours')::date - 1 AS last_day) n
CROSS JOIN LATERAL (SELECT
	coalesce(CASE WHEN d.window_ends > now() THEN greatest(n.last_day, t.today) WHEN d.window_ends <= now() THEN least(n.last_day, t.today - 1) END,
		d.service_date + coalesce(o.days, e.days)) AS last_day,
	d.window_ends IS NOT NULL OR coalesce(o.enforced, e.enforced, false) AS enforced) w
CROSS JOIN LATERAL (SELECT d.service_date + kinderconnect._horizon_days() AS last_day) h
CROSS JOIN LATERAL (SELECT w.last_day <= h.last_day AND (w.enforced OR w.last_day >= t.today) AS first) f
CROSS JOIN LATERAL (SELECT CASE WHEN f.first THEN w.last_day ELSE h.last_day END AS last_day,
	CASE WHEN f.first IS NOT TRUE THEN 'horizon' WHEN w.enforced THEN 'enforced' ELSE 'believed' END AS closes_by) x
-- of what is too late the cure is another, but where it is a person's
LEFT JOIN kinderconnect.reason z ON x.last_day < t.today AND d.state IN ('held', 'ready', 'rejected')
	AND (d.reason NOT IN ('authorization_lost', 'merged_child', 'cannot_void', 'source_shrank')) IS NOT FALSE
	AND z.reason = CASE WHEN w.enforced AND w.last_day < t.today THEN 'window_closed' ELSE 'horizon_passed' END
WHERE d.state IN ('held', 'ready', 'sending', 'unknown', 'rejected');
COMMENT ON VIEW kinderconnect.unsettled_day IS
'every child-day that the service does not hold as Manage has it, and that something could still be done about: how old it is, and until when';
COMMENT ON COLUMN kinderconnect.unsettled_day.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unsettled_day.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unsettled_day.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.unsettled_day.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.unsettled_day.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.unsettled_day.child_id IS 'the child in Manage; null while unmatched';
COMMENT ON COLUMN kinderconnect.unsettled_day.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unsettled_day.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unsettled_day.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.unsettled_day.weekday IS 'MO to SU: an authorization that names no weekdays covers the weekend too';
COMMENT ON COLUMN kinderconnect.unsettled_day.authorized IS 'an authorization covers the day';
COMMENT ON COLUMN kinderconnect.unsettled_day.state IS 'held, ready, sending, unknown or rejected';
COMMENT ON COLUMN kinderconnect.unsettled_day.reason IS 'of held: its code';
COMMENT ON COLUMN kinderconnect.unsettled_day.detail IS 'the facts behind the reason';
COMMENT ON COLUMN kinderconnect.unsettled_day.content IS 'what Manage says, if it can be sent';
COMMENT ON COLUMN kinderconnect.unsettled_day.accepted_content IS 'what the service holds; not null: a correction waits';
COMMENT ON COLUMN kinderconnect.unsettled_day.age IS 'days since the service date';
COMMENT ON COLUMN kinderconnect.unsettled_day.closes_by IS 'what closes first: enforced, the agency''s window; believed, one that is not enforced, for it is known from a secondary source only; horizon, the setting horizon_days, after which Manage is no longer asked';
COMMENT ON COLUMN kinderconnect.unsettled_day.last_day IS 'last date on which the day can be sent, by closes_by';
COMMENT ON COLUMN kinderconnect.unsettled_day.days_left IS 'days until then; 0: today is the last, and a night after midnight too late; negative: lost';
COMMENT ON COLUMN kinderconnect.unsettled_day.believed_closed IS 'the believed window is over: it is sent all the same, and may be refused';
COMMENT ON COLUMN kinderconnect.unsettled_day.what_to_do IS 'the cure; of what is lost, that of window_closed or horizon_passed';

CREATE VIEW kinderconnect.about_to_be_lost AS
SELECT u.organization_id, u.agency_id, u.provider_id, u.location_id, u.kinderconnect_child_id, u.child_id, u.first_name, u.last_name,
	u.service_date, u.weekday, u.authorized, u.state, u.reason, u.detail, u.days_left, u.last_day, u.closes_by, u.what_to_do
FROM kinderconnect.unsettled_day u
WHERE u.days_left >= 0 AND (u.reason NOT IN ('window_closed', 'horizon_passed', 'authorization_lost', 'merged_child', 'cannot_void', 'source_shrank',
		'provider_disabled', 'organization_disabled')) IS NOT FALSE
ORDER BY u.days_left, u.closes_by = 'horizon', u.closes_by = 'believed', u.service_date, u.organization_id, u.agency_id, u.provider_id, u.kinderconnect_child_id;
COMMENT ON VIEW kinderconnect.about_to_be_lost IS
'days that are not accepted and soon cannot be, most urgent first: on the same day left, enforced windows before believed ones before the horizon. What is lost already, what only a person can take back, and what is switched off is not here';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.child_id IS 'the child in Manage; null while unmatched';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.weekday IS 'MO to SU';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.authorized IS 'an authorization covers the day';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.state IS 'held, ready, sending, unknown or rejected';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.reason IS 'of held: its code';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.detail IS 'the facts behind the reason';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.days_left IS '0: today is the last day, and a night after midnight too late';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.last_day IS 'last date on which the day can be sent';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.closes_by IS 'enforced, believed or horizon: see unsettled_day';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.what_to_do IS 'the cure';

CREATE VIEW kinderconnect.held_ageing AS
SELECT u.organization_id, u.agency_id, u.provider_id, u.state, u.reason, count(*) AS days,
	count(*) FILTER (WHERE u.age < 7) AS this_week, count(*) FILTER (WHERE u.age BETWEEN 7 AND 29) AS this_month, count(*) FILTER (WHERE u.age >= 30) AS older,
	count(*) FILTER (WHERE u.lost) AS lost, count(*) FILTER (WHERE NOT u.lost AND u.days_left <= 1) AS left_to_tomorrow,
	count(*) FILTER (WHERE NOT u.lost AND u.days_left BETWEEN 2 AND 6) AS left_under_a_week, count(*) FILTER (WHERE NOT u.lost AND u.days_left >= 7) AS left_longer,
	count(*) FILTER (WHERE u.believed_closed) AS believed_closed, min(u.service_date) AS oldest, min(u.last_day) FILTER (WHERE NOT u.lost) AS next_last_day
FROM (SELECT s.*, s.days_left < 0 OR (s.reason IN ('window_closed', 'horizon_passed')) IS TRUE AS lost FROM kinderconnect.unsettled_day s) u
GROUP BY u.organization_id, u.agency_id, u.provider_id, u.state, u.reason;
COMMENT ON VIEW kinderconnect.held_ageing IS
'unsettled days of each provider by state and reason, once by age and once by the days left; each way adds up to days';
COMMENT ON COLUMN kinderconnect.held_ageing.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.held_ageing.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.held_ageing.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.held_ageing.state IS 'held, ready, sending, unknown or rejected';
COMMENT ON COLUMN kinderconnect.held_ageing.reason IS 'of held: its code';
COMMENT ON COLUMN kinderconnect.held_ageing.days IS 'how many';
COMMENT ON COLUMN kinderconnect.held_ageing.this_week IS 'by age: less than 7 days old';
COMMENT ON COLUMN kinderconnect.held_ageing.this_month IS 'by age: 7 to 29 days old';
COMMENT ON COLUMN kinderconnect.held_ageing.older IS 'by age: 30 days and more';
COMMENT ON COLUMN kinderconnect.held_ageing.lost IS 'by days left: the enforced window or the horizon is over';
COMMENT ON COLUMN kinderconnect.held_ageing.left_to_tomorrow IS 'by days left: today or tomorrow is the last';
COMMENT ON COLUMN kinderconnect.held_ageing.left_under_a_week IS 'by days left: 2 to 6';
COMMENT ON COLUMN kinderconnect.held_ageing.left_longer IS 'by days left: 7 and more';
COMMENT ON COLUMN kinderconnect.held_ageing.believed_closed IS 'of all of these, those whose believed window is over';
COMMENT ON COLUMN kinderconnect.held_ageing.oldest IS 'first service date';
COMMENT ON COLUMN kinderconnect.held_ageing.next_last_day IS 'when the next of them is lost';

-- Finds the calls of one record among those of its provider while it had no
-- answer.
CREATE INDEX batch_by_provider ON kinderconnect.batch (organization_id, agency_id, provider_id, created_at);

CREATE VIEW kinderconnect.child_day_history AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	a.known_from AS at, 'authorized'::text AS event, NULL::text AS content, NULL::text AS was, NULL::text AS state,
	concat_ws(', ', a.authorization_id, to_char(a.begin_date, 'YYYY-MM-DD') || ' to ' || coalesce(to_char(a.end_date, 'YYYY-MM-DD'), 'open'), a.units_of_care) AS said,
	NULL::text AS record_id, NULL::bigint AS run_id
FROM kinderconnect.child_day d
JOIN kinderconnect.authorization a ON (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id)
	= (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id)
	AND a.begin_date <= d.service_date AND (a.end_date >= d.service_date) IS NOT FALSE
UNION ALL
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	k.linked_at, 'linked', NULL, NULL, NULL, concat_ws(', ', k.child_id, k.method, k.linked_by), NULL, NULL
FROM kinderconnect.child_day d
JOIN kinderconnect.child_link k ON (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
UNION ALL
-- the first plan: what the first step says was before it, else what still is
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	e.at, e.event, f.content, NULL, e.state, e.said, NULL, NULL
FROM kinderconnect.child_day d
LEFT JOIN LATERAL (SELECT s.* FROM kinderconnect.child_day_step s
	WHERE (s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.service_date)
		= (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
	ORDER BY s.at LIMIT 1) s ON true
CROSS JOIN LATERAL (SELECT
	CASE WHEN s.at IS NULL THEN d.reason ELSE s.was_reason END AS reason, CASE WHEN s.at IS NULL THEN d.detail ELSE s.was_detail END AS detail,
	CASE WHEN s.at IS NULL THEN d.content ELSE s.was_content END AS content, CASE WHEN s.at IS NULL THEN d.modified_at ELSE s.was_modified_at END AS modified_at,
	CASE WHEN coalesce(s.was_state, d.state) IN ('held', 'not_due') THEN coalesce(s.was_state, d.state) ELSE 'ready' END AS state) f
CROSS JOIN LATERAL (VALUES (f.modified_at, 'edited', NULL, NULL), (d.planned_at, 'planned', f.state, nullif(concat_ws(': ', f.reason, f.detail), ''))) e(at, event, state, said)
WHERE e.at IS NOT NULL
UNION ALL
SELECT s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.service_date,
	e.at, e.event, s.content, e.was, e.state, e.said, NULL, e.run_id
FROM kinderconnect.child_day_step s
CROSS JOIN LATERAL (VALUES
	(CASE WHEN s.modified_at IS DISTINCT FROM s.was_modified_at THEN s.modified_at END, 'edited', NULL, NULL, NULL, NULL),
	(s.at, 'planned', s.was_content, s.state, nullif(concat_ws(': ', s.reason, s.detail), ''), s.run_id)) e(at, event, was, state, said, run_id)
WHERE e.at IS NOT NULL
UNION ALL
SELECT l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date,
	l.created_at, 'made', l.content,
	(SELECT b.content FROM kinderconnect.ledger b
		WHERE (b.organization_id, b.agency_id, b.provider_id, b.kinderconnect_child_id, b.service_date)
			= (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date) AND b.created_at < l.created_at
		ORDER BY b.created_at DESC LIMIT 1),
	NULL, NULL, l.record_id, l.run_id
FROM kinderconnect.ledger l
UNION ALL
SELECT l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date,
	b.sent_at, 'sent', l.content, NULL, b.state, concat_ws(', ', 'batch ' || b.batch_id, 'HTTP ' || b.http_status, b.code, b.message), l.record_id, b.run_id
FROM kinderconnect.ledger l
JOIN kinderconnect.batch b ON (b.organization_id, b.agency_id, b.provider_id) = (l.organization_id, l.agency_id, l.provider_id)
	AND b.created_at BETWEEN l.created_at AND coalesce(l.answered_at, 'infinity') AND l.record_id = ANY (b.record_ids)
WHERE b.sent_at IS NOT NULL
UNION ALL
SELECT l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date,
	l.answered_at, 'answered', l.content, NULL, l.state, nullif(concat_ws(': ', l.code, l.message), ''), l.record_id, l.run_id
FROM kinderconnect.ledger l
WHERE l.answered_at IS NOT NULL
UNION ALL
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	d.changed_at, 'now', d.content, d.accepted_content, d.state, nullif(concat_ws(': ', coalesce(d.reason, d.code), coalesce(d.detail, d.message)), ''),
	d.record_id, NULL
FROM kinderconnect.child_day d;
COMMENT ON VIEW kinderconnect.child_day_history IS
'the story of a child-day: authorized, linked, edited in Manage, planned, then each record made of what Manage said, when it was sent (again) and answered, and now, where it stands. Name the whole key of a day, and order by event = ''now'', at';
COMMENT ON COLUMN kinderconnect.child_day_history.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_day_history.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_day_history.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.child_day_history.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.child_day_history.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.child_day_history.at IS 'when; of now, when the day last changed';
COMMENT ON COLUMN kinderconnect.child_day_history.event IS 'authorized, linked; edited: Manage''s modified_at, where it tells; planned: the first plan, and each that judged otherwise; made, sent, answered: a record; now';
COMMENT ON COLUMN kinderconnect.child_day_history.content IS 'of made, sent, answered: what the record says; of edited, planned, now: what Manage says; null: nothing that can be sent';
COMMENT ON COLUMN kinderconnect.child_day_history.was IS 'of made: what the record before it said, so that a correction shows; of planned: what Manage said before; of now: what the service holds';
COMMENT ON COLUMN kinderconnect.child_day_history.state IS 'of planned and now: of the day; of sent: of the batch; of answered: of the record in ledger';
COMMENT ON COLUMN kinderconnect.child_day_history.said IS 'the authorization, the link, the call, the service''s code and words, or why the day is held';
COMMENT ON COLUMN kinderconnect.child_day_history.record_id IS 'the record';
COMMENT ON COLUMN kinderconnect.child_day_history.run_id IS 'the run';

-- Twelve months to the last day of February are those from 1 March, also where
-- the year before had a 29th: PostgreSQL cuts the day of a month that is too
-- short, so each of the two ways to reckon may give a day too many.
CREATE FUNCTION kinderconnect._absence_period(day date, today date, months integer, begins integer)
	RETURNS TABLE (period_begin date, period_end date)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT
		CASE WHEN begins IS NULL THEN greatest((today - make_interval(months => months))::date + 1, (today + 1 - make_interval(months => months))::date)
			ELSE (date_trunc('month', day::timestamp) - make_interval(months => p.since))::date END,
		CASE WHEN begins IS NULL THEN today
			ELSE (date_trunc('month', day::timestamp) + make_interval(months => months - p.since))::date - 1 END
	-- months from the beginning of the period to that of the day
	FROM (SELECT (extract(month FROM day)::integer - begins + 12) % months AS since) p;
END;
COMMENT ON FUNCTION kinderconnect._absence_period(date, date, integer, integer) IS
'the period of an absence limit that a day belongs to: so many months up to today, or from the month of the year in which they begin; both dates inclusive';

CREATE VIEW kinderconnect.absence_use AS
-- What does not depend on the day is told once, and joined last: of days there
-- are many.
WITH lim AS MATERIALIZED (
	SELECT l.*, row_number() OVER () AS number, t.today, m.period_begin AS moving_begin
	FROM kinderconnect.absence_limit_in_force l
	JOIN kinderconnect.agency g ON g.agency_id = l.agency_id
	CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date AS today) t
	LEFT JOIN LATERAL kinderconnect._absence_period(t.today, t.today, l.period_months, NULL) m ON l.period_begins IS NULL
)
SELECT u.organization_id, u.agency_id, l.state, u.kinderconnect_child_id, c.first_name, c.last_name, l.limit_name, l.counts, u.period_begin, u.period_end,
	l.at_most, l.needs_attended, u.used, u.attended, u.unrecorded, l.counts_unrecorded, u.first_day, l.enforced, l.source, l.note,
	l.at_most - u.used AS remaining,
	CASE
		WHEN u.used > 0 AND u.attended < l.needs_attended THEN 'not_attended'
		WHEN u.used > l.at_most THEN 'exceeded'
		WHEN u.used = l.at_most THEN 'reached'
		WHEN l.counts_unrecorded AND u.used + u.unrecorded > l.at_most THEN 'unrecorded'
		WHEN u.used * 5 >= l.at_most * 4 THEN 'near'
	END AS warning
FROM (
	SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id, l.number, p.period_begin, min(p.period_end) AS period_end,
		count(*) FILTER (WHERE CASE l.counts WHEN 'closure' THEN d.closed ELSE d.absent AND (d.absence_reason = ANY (l.uncounted_reasons)) IS NOT TRUE END) AS used,
		count(*) FILTER (WHERE d.attended) AS attended, count(*) FILTER (WHERE d.unrecorded) AS unrecorded, min(d.service_date) AS first_day
	FROM (
		-- a day counts once, at however many providers
		SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id, d.service_date,
			bool_or(s.said = 'absence' AND d.authorized) IS TRUE AS absent, bool_or(s.said = 'closure' AND d.authorized) IS TRUE AS closed,
			bool_or(s.said = 'session') IS TRUE AS attended, bool_or(d.reason = 'nothing_recorded' AND d.authorized) IS TRUE AS unrecorded,
			min(coalesce(d.absence_reason, d.accepted_reason)) FILTER (WHERE s.said = 'absence') AS absence_reason
		FROM kinderconnect.child_day d
		CROSS JOIN LATERAL (SELECT coalesce(d.kind, CASE
			WHEN d.reason IN ('missing_check_out', 'missing_check_in', 'out_before_in', 'too_short', 'too_long',
				'overlapping_sessions', 'over_midnight', 'clock_change', 'too_many_sessions') THEN 'session'
			WHEN d.reason = 'absence_reason' THEN 'absence' END, d.accepted_kind) AS said) s
		GROUP BY d.organization_id, d.agency_id, d.kinderconnect_child_id, d.service_date) d
	JOIN (SELECT l.agency_id, l.number, l.counts, l.uncounted_reasons, l.valid, l.period_months, l.period_begins, l.moving_begin, l.today FROM lim l) l
		ON l.agency_id = d.agency_id
	CROSS JOIN LATERAL kinderconnect._absence_period(d.service_date, l.today, l.period_months, l.period_begins) f
	CROSS JOIN LATERAL (SELECT coalesce(l.moving_begin, f.period_begin) AS period_begin,
		CASE WHEN l.moving_begin IS NULL THEN f.period_end ELSE l.today END AS period_end) p
	WHERE d.service_date BETWEEN p.period_begin AND p.period_end AND l.valid @> least(p.period_end, l.today)
	GROUP BY d.organization_id, d.agency_id, d.kinderconnect_child_id, l.number, p.period_begin) u
JOIN lim l ON l.number = u.number
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (u.organization_id, u.agency_id, u.kinderconnect_child_id)
WHERE u.used > 0 OR l.counts_unrecorded AND u.unrecorded > 0;
COMMENT ON VIEW kinderconnect.absence_use IS
'absences and closures of each child against the limits of its agency, a row for each limit and period with any. By what Manage says, else what the service holds; over all providers of the agency. It warns; nothing is held back';
COMMENT ON COLUMN kinderconnect.absence_use.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.absence_use.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.absence_use.state IS 'its state';
COMMENT ON COLUMN kinderconnect.absence_use.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.absence_use.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.absence_use.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.absence_use.limit_name IS 'absence_limit';
COMMENT ON COLUMN kinderconnect.absence_use.counts IS 'absence or closure';
COMMENT ON COLUMN kinderconnect.absence_use.period_begin IS 'first day of the period';
COMMENT ON COLUMN kinderconnect.absence_use.period_end IS 'its last day; of one that moves along, today';
COMMENT ON COLUMN kinderconnect.absence_use.at_most IS 'the limit, or null';
COMMENT ON COLUMN kinderconnect.absence_use.needs_attended IS 'attended days without which none of them counts for anything, or null';
COMMENT ON COLUMN kinderconnect.absence_use.used IS 'authorized days with one';
COMMENT ON COLUMN kinderconnect.absence_use.attended IS 'days attended in the period';
COMMENT ON COLUMN kinderconnect.absence_use.unrecorded IS 'authorized days in the period for which nothing is recorded';
COMMENT ON COLUMN kinderconnect.absence_use.counts_unrecorded IS 'whether these count for the agency, too. They are not in used: an authorization that names no weekdays has such days every weekend';
COMMENT ON COLUMN kinderconnect.absence_use.first_day IS 'first day of the period that is known here; what was before, is not counted';
COMMENT ON COLUMN kinderconnect.absence_use.enforced IS 'whether the law or the agency says so today';
COMMENT ON COLUMN kinderconnect.absence_use.source IS 'where the limit is written';
COMMENT ON COLUMN kinderconnect.absence_use.note IS 'what else is known';
COMMENT ON COLUMN kinderconnect.absence_use.remaining IS 'at_most less used; negative: exceeded';
COMMENT ON COLUMN kinderconnect.absence_use.warning IS 'exceeded; reached; near: four fifths are used; unrecorded: exceeded if all unrecorded days count; not_attended: absences, and fewer attended days than needed; null: none';

-- Wall times are read as the plan reads them, an hour that comes twice as its
-- first coming, so that a day on which the clocks change has its real length.
CREATE VIEW kinderconnect.unit_use AS
SELECT m.organization_id, m.agency_id, m.state, m.provider_id, m.kinderconnect_child_id, c.first_name, c.last_name, m.month,
	m.days_authorized, m.days_attended, m.days_absent, m.minutes, coalesce(m.units, '{}') AS units, m.units_used, m.outside_bands, m.not_measured,
	a.units_of_care,
	CASE WHEN a.alike AND a.units_of_care ~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN a.units_of_care::numeric END AS units_authorized,
	CASE WHEN a.alike AND a.units_of_care ~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN a.units_of_care::numeric - m.units_used END AS left_if_of_month,
	CASE WHEN a.alike AND a.units_of_care ~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN a.units_of_care::numeric * m.days_authorized - m.units_used END AS left_if_of_day,
	CASE
		WHEN a.units_of_care IS NULL THEN 'none_listed'
		WHEN NOT a.alike THEN 'several'
		WHEN a.units_of_care !~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN 'not_a_number'
		WHEN NOT m.has_bands THEN 'no_bands'
	END AS not_compared
FROM (
	SELECT u.organization_id, u.agency_id, u.state, u.provider_id, u.kinderconnect_child_id, u.month,
		sum(u.days_authorized)::bigint AS days_authorized, sum(u.days_attended)::bigint AS days_attended, sum(u.days_absent)::bigint AS days_absent,
		sum(u.minutes)::bigint AS minutes, jsonb_object_agg(u.unit, u.measured) FILTER (WHERE u.unit IS NOT NULL) AS units,
		coalesce(sum(u.measured) FILTER (WHERE u.unit IS NOT NULL), 0)::bigint AS units_used,
		coalesce(sum(u.measured) FILTER (WHERE u.unit IS NULL), 0)::bigint AS outside_bands,
		sum(u.days_attended - u.measured)::bigint AS not_measured,
		EXISTS (SELECT FROM kinderconnect.unit_band_in_force b WHERE b.agency_id = u.agency_id) AS has_bands
	FROM (
		SELECT d.organization_id, d.agency_id, g.state, d.provider_id, d.kinderconnect_child_id, date_trunc('month', d.service_date::timestamp)::date AS month, b.unit,
			count(*) FILTER (WHERE d.authorized) AS days_authorized, count(*) FILTER (WHERE s.said = 'session') AS days_attended,
			count(*) FILTER (WHERE s.said = 'absence') AS days_absent, coalesce(sum(t.minutes), 0) AS minutes, count(t.minutes) AS measured
		FROM kinderconnect.child_day d
		LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
		CROSS JOIN LATERAL (SELECT coalesce(d.kind, CASE
			WHEN d.reason IN ('missing_check_out', 'missing_check_in', 'out_before_in', 'too_short', 'too_long',
				'overlapping_sessions', 'over_midnight', 'clock_change', 'too_many_sessions') THEN 'session'
			WHEN d.reason = 'absence_reason' THEN 'absence' END, d.accepted_kind) AS said) s
		CROSS JOIN LATERAL (SELECT coalesce(g.time_zone, 'UTC') AS zone,
			(d.service_date + 2)::timestamp AT TIME ZONE coalesce(g.time_zone, 'UTC')
				- d.service_date::timestamp AT TIME ZONE coalesce(g.time_zone, 'UTC') <> interval '48 hours' AS clocks_change) z
		CROSS JOIN LATERAL (SELECT CASE WHEN count(*) = count(x.length) THEN (sum(extract(epoch FROM x.length)) / 60)::integer END AS minutes
			FROM (SELECT CASE WHEN z.clocks_change
					THEN CASE WHEN (w.wall_out AT TIME ZONE z.zone - interval '1 hour') AT TIME ZONE z.zone = w.wall_out
							THEN w.wall_out AT TIME ZONE z.zone - interval '1 hour' ELSE w.wall_out AT TIME ZONE z.zone END
						- CASE WHEN (w.wall_in AT TIME ZONE z.zone - interval '1 hour') AT TIME ZONE z.zone = w.wall_in
							THEN w.wall_in AT TIME ZONE z.zone - interval '1 hour' ELSE w.wall_in AT TIME ZONE z.zone END
					ELSE w.wall_out - w.wall_in END AS length
				FROM (SELECT d.service_date + r.i AS wall_in, d.service_date + (r.o <= r.i)::integer + r.o AS wall_out
					FROM unnest(CASE WHEN d.kind IS NULL THEN d.accepted_in ELSE d.session_in END,
						CASE WHEN d.kind IS NULL THEN d.accepted_out ELSE d.session_out END) r (i, o)
					WHERE s.said = 'session') w) x) t
		LEFT JOIN kinderconnect.unit_band_in_force b ON b.agency_id = d.agency_id AND b.valid @> d.service_date AND b.minutes @> t.minutes
		GROUP BY d.organization_id, d.agency_id, g.state, d.provider_id, d.kinderconnect_child_id, date_trunc('month', d.service_date::timestamp)::date, b.unit) u
	GROUP BY u.organization_id, u.agency_id, u.state, u.provider_id, u.kinderconnect_child_id, u.month) m
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (m.organization_id, m.agency_id, m.kinderconnect_child_id)
CROSS JOIN LATERAL (SELECT string_agg(DISTINCT btrim(a.units_of_care), ', ') AS units_of_care,
		count(DISTINCT btrim(a.units_of_care)) = 1 AND count(*) = count(a.units_of_care) AS alike
	FROM kinderconnect.authorization a
	WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id) = (m.organization_id, m.agency_id, m.provider_id, m.kinderconnect_child_id)
		AND a.known_until = 'infinity' AND a.begin_date < m.month + interval '1 month' AND (a.end_date >= m.month) IS NOT FALSE) a;
COMMENT ON VIEW kinderconnect.unit_use IS
'care of each child, provider and month in minutes and units, next to the units authorized. By what Manage says, else what the service holds; only finished days. The agency computes for itself: this is for finding what is far apart';
COMMENT ON COLUMN kinderconnect.unit_use.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unit_use.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unit_use.state IS 'its state';
COMMENT ON COLUMN kinderconnect.unit_use.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.unit_use.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.unit_use.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unit_use.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unit_use.month IS 'first day of the month';
COMMENT ON COLUMN kinderconnect.unit_use.days_authorized IS 'finished days that an authorization covers';
COMMENT ON COLUMN kinderconnect.unit_use.days_attended IS 'days with sessions, complete or not';
COMMENT ON COLUMN kinderconnect.unit_use.days_absent IS 'days with an absence';
COMMENT ON COLUMN kinderconnect.unit_use.minutes IS 'minutes of care on the days that can be measured';
COMMENT ON COLUMN kinderconnect.unit_use.units IS 'days by unit, after unit_band: {"full": 12, "part": 3}';
COMMENT ON COLUMN kinderconnect.unit_use.units_used IS 'their sum';
COMMENT ON COLUMN kinderconnect.unit_use.outside_bands IS 'days measured that are in no band';
COMMENT ON COLUMN kinderconnect.unit_use.not_measured IS 'days attended without both times of every session, or held for their times';
COMMENT ON COLUMN kinderconnect.unit_use.units_of_care IS 'as listed, of the authorizations that stand and touch the month';
COMMENT ON COLUMN kinderconnect.unit_use.units_authorized IS 'the same as a number; null: see not_compared';
COMMENT ON COLUMN kinderconnect.unit_use.left_if_of_month IS 'what is left if units_authorized is meant for the month: that is not publicly known';
COMMENT ON COLUMN kinderconnect.unit_use.left_if_of_day IS 'what is left if it is meant for each authorized day';
COMMENT ON COLUMN kinderconnect.unit_use.not_compared IS 'why units are not compared: none_listed, several that differ, not_a_number, no_bands known for the agency; null: they are';
