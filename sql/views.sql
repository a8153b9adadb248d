-- What analysts ask. The views read these tables alone: they call nobody, and
-- answer on a hot standby.

CREATE VIEW kinderconnect.provider_summary AS
SELECT s.organization_id, s.agency_id, s.provider_id, s.location_id, s.name, s.barred,
	coalesce(c.children, 0) AS children, coalesce(c.matched, 0) AS matched,
	coalesce(d.days, 0) AS days, coalesce(d.accepted, 0) AS accepted, coalesce(d.ready, 0) AS ready,
	coalesce(d.held, 0) AS held, coalesce(d.rejected, 0) AS rejected, coalesce(d.unknown, 0) AS unknown,
	coalesce(d.voided, 0) AS voided, coalesce(d.not_due, 0) AS not_due
FROM kinderconnect.provider_standing s
LEFT JOIN (SELECT a.organization_id, a.agency_id, a.provider_id,
		count(DISTINCT a.kinderconnect_child_id) AS children, count(DISTINCT k.kinderconnect_child_id) AS matched
	FROM kinderconnect.authorization a
	LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
	WHERE a.known_until = 'infinity'
	GROUP BY a.organization_id, a.agency_id, a.provider_id) c
	ON (c.organization_id, c.agency_id, c.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
LEFT JOIN (SELECT d.organization_id, d.agency_id, d.provider_id, count(*) AS days,
		count(*) FILTER (WHERE d.state = 'accepted') AS accepted, count(*) FILTER (WHERE d.state = 'ready') AS ready,
		count(*) FILTER (WHERE d.state = 'held') AS held, count(*) FILTER (WHERE d.state = 'rejected') AS rejected,
		count(*) FILTER (WHERE d.state IN ('sending', 'unknown')) AS unknown, count(*) FILTER (WHERE d.state = 'voided') AS voided,
		count(*) FILTER (WHERE d.state = 'not_due') AS not_due
	FROM kinderconnect.child_day d
	GROUP BY d.organization_id, d.agency_id, d.provider_id) d
	ON (d.organization_id, d.agency_id, d.provider_id) = (s.organization_id, s.agency_id, s.provider_id);
COMMENT ON VIEW kinderconnect.provider_summary IS
'each provider: its authorized children, how many are matched, and its child-days by state; days is the sum of the states';
COMMENT ON COLUMN kinderconnect.provider_summary.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_summary.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_summary.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_summary.location_id IS 'Manage''s location, or null';
COMMENT ON COLUMN kinderconnect.provider_summary.name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_summary.barred IS 'why nothing is asked or sent for it; null: it takes part';
COMMENT ON COLUMN kinderconnect.provider_summary.children IS 'children with an authorization that still stands';
COMMENT ON COLUMN kinderconnect.provider_summary.matched IS 'of these, linked to a child of Manage';
COMMENT ON COLUMN kinderconnect.provider_summary.days IS 'child-days, all';
COMMENT ON COLUMN kinderconnect.provider_summary.accepted IS 'the service holds what Manage says';
COMMENT ON COLUMN kinderconnect.provider_summary.ready IS 'to be sent by the next run';
COMMENT ON COLUMN kinderconnect.provider_summary.held IS 'not sent: held_summary says why';
COMMENT ON COLUMN kinderconnect.provider_summary.rejected IS 'the service refused it: code and message in child_day';
COMMENT ON COLUMN kinderconnect.provider_summary.unknown IS 'sent, and the answer is not in yet or was lost';
COMMENT ON COLUMN kinderconnect.provider_summary.voided IS 'taken back';
COMMENT ON COLUMN kinderconnect.provider_summary.not_due IS 'nothing to send, explained by its reason';

CREATE VIEW kinderconnect.held_summary AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.state, d.reason, count(*) AS days,
	min(d.service_date) AS oldest, max(d.service_date) AS newest,
	min(d.window_ends) FILTER (WHERE d.state = 'held' AND w.is_open) AS first_window_ends, count(*) FILTER (WHERE d.state = 'held' AND NOT w.is_open) AS lost,
	r.meaning, r.what_to_do
FROM kinderconnect.child_day d
JOIN kinderconnect.reason r ON r.reason = d.reason
LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
CROSS JOIN LATERAL (SELECT d.reason NOT IN ('window_closed', 'horizon_passed') AND kinderconnect._is_open(d.service_date, d.window_ends, g.time_zone) AS is_open) w
GROUP BY d.organization_id, d.agency_id, d.provider_id, d.state, d.reason, r.meaning, r.what_to_do;
COMMENT ON VIEW kinderconnect.held_summary IS 'why child-days are not sent, for each provider and reason, and what to do';
COMMENT ON COLUMN kinderconnect.held_summary.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.held_summary.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.held_summary.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.held_summary.state IS 'held, or not_due';
COMMENT ON COLUMN kinderconnect.held_summary.reason IS 'its code';
COMMENT ON COLUMN kinderconnect.held_summary.days IS 'how many child-days';
COMMENT ON COLUMN kinderconnect.held_summary.oldest IS 'first service date';
COMMENT ON COLUMN kinderconnect.held_summary.newest IS 'last service date';
COMMENT ON COLUMN kinderconnect.held_summary.first_window_ends IS 'of held: when the first window that is still open ends; null: no enforced window is open. The horizon may end before: unsettled_day';
COMMENT ON COLUMN kinderconnect.held_summary.lost IS 'of held: child-days whose enforced window is over, or that are older than the horizon';
COMMENT ON COLUMN kinderconnect.held_summary.meaning IS 'the reason in words';
COMMENT ON COLUMN kinderconnect.held_summary.what_to_do IS 'the cure, of those that are not lost; of each day: unsettled_day';

CREATE VIEW kinderconnect.unlinked_child AS
SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id, c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth,
	c.subsidized, c.unlinked_because, c.first_listed
FROM kinderconnect.child c
WHERE NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
	AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id));
COMMENT ON VIEW kinderconnect.unlinked_child IS
'KinderConnect children without a link to a child of Manage, and why: no_birth_date, no_name, not_in_manage, several_in_manage, several_at_service, middle_name_or_suffix, already_linked, id_disagrees, several_stored_ids; parted: a person said that the one who fits is another; merged: the agency gave the child another id, which has its link; rival_gone: a child of the same names and birth date has gone from Manage, and a match six hours later links, if that is still so; not_matched_yet: something changed, and the next match looks; null before the first match';
COMMENT ON COLUMN kinderconnect.unlinked_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unlinked_child.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unlinked_child.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.unlinked_child.first_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.middle_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.last_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.suffix IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.date_of_birth IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.subsidized IS 'false: at no provider, and never sent';
COMMENT ON COLUMN kinderconnect.unlinked_child.unlinked_because IS 'why it has no link';
COMMENT ON COLUMN kinderconnect.unlinked_child.first_listed IS 'when it was first listed';

CREATE VIEW kinderconnect.provider_review AS
SELECT s.organization_id, s.agency_id, s.provider_id, s.name, l.city, l.zip,
	ARRAY(SELECT DISTINCT c.location_id FROM kinderconnect._location_candidates(s.organization_id) c
		WHERE (c.agency_id, c.provider_id) = (s.agency_id, s.provider_id) ORDER BY c.location_id) AS candidates
FROM kinderconnect.provider_standing s
LEFT JOIN kinderconnect.listed_location l ON (l.organization_id, l.agency_id, l.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
WHERE s.location_id IS NULL AND s.barred IS NULL;
COMMENT ON VIEW kinderconnect.provider_review IS
'providers without a location of Manage, with the candidates, if any; decide with add_provider(). Reads Manage, so for operators';
COMMENT ON COLUMN kinderconnect.provider_review.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_review.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_review.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_review.name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_review.city IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_review.zip IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_review.candidates IS 'Manage locations that fit by id, or by name and ZIP; empty: none does';

-- Organizations, and providers of other clocks, have nights apart: the last run
-- of all tells of some of them.
CREATE VIEW kinderconnect.last_night AS
SELECT u.organization_id, u.agency_id, u.provider_id, r.run_id, r.started_at, r.ended_at, r.status,
	p.children, p.matched, p.sent, p.accepted, p.rejected, p.voided, p.unanswered, p.differences, p.held, p.ready,
	coalesce(p.sqlstate, o.sqlstate, r.sqlstate) AS sqlstate,
	CASE WHEN p.sqlstate IS NOT NULL THEN p.error WHEN o.sqlstate IS NOT NULL THEN o.error ELSE r.error END AS error,
	CASE WHEN p.sqlstate IS NOT NULL THEN p.hint WHEN o.sqlstate IS NOT NULL THEN o.hint END AS hint
FROM (SELECT s.organization_id, s.agency_id, s.provider_id FROM kinderconnect.provider_standing s WHERE s.barred IS NULL
	UNION ALL
	SELECT o.organization_id, '', '' FROM kinderconnect.organization o
	WHERE o.enabled AND NOT EXISTS (SELECT FROM kinderconnect.provider_standing s WHERE s.organization_id = o.organization_id AND s.barred IS NULL)) u
LEFT JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
LEFT JOIN kinderconnect.run r ON r.run_id = k.run_id
LEFT JOIN kinderconnect.run_provider p ON (p.organization_id, p.run_id, p.agency_id, p.provider_id) = (u.organization_id, r.run_id, u.agency_id, u.provider_id)
LEFT JOIN kinderconnect.run_organization o ON (o.organization_id, o.run_id) = (u.organization_id, r.run_id);
COMMENT ON VIEW kinderconnect.last_night IS
'what the last run that each provider had a part in did for it, and what went wrong; of the providers that take part. Agency and provider empty: an organization of which no provider is known yet. Counts are null while the run is under way, and if it died';
COMMENT ON COLUMN kinderconnect.last_night.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.last_night.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.last_night.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.last_night.run_id IS 'the run; null: it had a part in none yet';
COMMENT ON COLUMN kinderconnect.last_night.started_at IS 'when the run began';
COMMENT ON COLUMN kinderconnect.last_night.ended_at IS 'when it ended; null: it is under way';
COMMENT ON COLUMN kinderconnect.last_night.status IS 'of the run, for all that it did: running, succeeded, failed, stopped or interrupted';
COMMENT ON COLUMN kinderconnect.last_night.children IS 'authorized children at the end of the run';
COMMENT ON COLUMN kinderconnect.last_night.matched IS 'of these, linked to a child of Manage';
COMMENT ON COLUMN kinderconnect.last_night.sent IS 'child-days the service answered for in the run';
COMMENT ON COLUMN kinderconnect.last_night.accepted IS 'of these, accepted';
COMMENT ON COLUMN kinderconnect.last_night.rejected IS 'of these, rejected';
COMMENT ON COLUMN kinderconnect.last_night.voided IS 'of these, taken back';
COMMENT ON COLUMN kinderconnect.last_night.unanswered IS 'child-days sent whose answer was unknown at the end of the run';
COMMENT ON COLUMN kinderconnect.last_night.differences IS 'child-days of which the service holds something else than we say; null: not compared in the run';
COMMENT ON COLUMN kinderconnect.last_night.held IS 'child-days held at the end of the run';
COMMENT ON COLUMN kinderconnect.last_night.ready IS 'child-days still to be sent at the end of the run';
COMMENT ON COLUMN kinderconnect.last_night.sqlstate IS 'the provider''s first error, else its organization''s, else why the run ended before its end; null: all went well';
COMMENT ON COLUMN kinderconnect.last_night.error IS 'the same in words';
COMMENT ON COLUMN kinderconnect.last_night.hint IS 'what to do about it';
