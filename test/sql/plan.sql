-- What is to be done with every child-day. Days are counted back from the
-- location's today: day 1 is yesterday. Nothing depends on the day this runs:
-- locations are in a zone without clock changes, but for those that test them.
\set VERBOSITY terse
\set ON_ERROR_ROLLBACK on
BEGIN;
SET LOCAL client_min_messages = warning;
TRUNCATE kinderconnect.endpoint, kinderconnect.agency, kinderconnect.absence_reason CASCADE;
DELETE FROM kinderconnect.agency_rule WHERE NOT builtin;
CREATE SCHEMA regress_plan
	CREATE TABLE location (location_id text, zone text)
	CREATE TABLE child (child_id text, first_name text, last_name text, date_of_birth date DEFAULT '2020-02-02')
	CREATE TABLE visit (id serial, location_id text, child_id text, kind text, check_in timestamptz, check_out timestamptz, day date, reason text, edited timestamptz);
INSERT INTO regress_plan.location SELECT 'L' || n, 'America/Phoenix' FROM generate_series(1, 9) n;
SELECT kinderconnect.bind_manage('organization', $$ SELECT 'o' AS organization_id, 'Org' AS name $$);
SELECT kinderconnect.bind_manage('location', $$ SELECT 'o' AS organization_id, location_id, location_id AS name, NULL AS zip, zone AS time_zone FROM regress_plan.location $$);
SELECT kinderconnect.bind_manage('child', $$ SELECT 'o' AS organization_id, NULL AS location_id, child_id, first_name, NULL AS middle_name, last_name, NULL AS suffix, date_of_birth, true AS active FROM regress_plan.child $$);
SELECT kinderconnect.bind_manage('attendance', $$ SELECT 'o' AS organization_id, location_id, child_id, id AS attendance_id, kind, check_in, check_out, day AS service_date, reason, edited AS modified_at FROM regress_plan.visit $$);
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('e', 'kinderbridge', 'https://example.com');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) VALUES ('o', 'e', 'g', 'p', '2020-01-01');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, configured_location_id) VALUES ('o', 'A', 'P1', true, 'L1');

CREATE FUNCTION pg_temp.day(n integer) RETURNS date STABLE LANGUAGE sql AS $$ SELECT (now() AT TIME ZONE 'America/Phoenix')::date - n $$;
CREATE FUNCTION pg_temp.weekday(n integer) RETURNS text STABLE LANGUAGE sql AS $$ SELECT upper(left(to_char(pg_temp.day(n), 'Dy'), 2)) $$;
CREATE FUNCTION pg_temp.provider(id text, location text, agency text DEFAULT 'A', is_configured boolean DEFAULT true) RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, configured_location_id) VALUES ('o', agency, id, is_configured, location) $$;
CREATE FUNCTION pg_temp.authorize(id text, first integer DEFAULT 3, last integer DEFAULT 3, days text[] DEFAULT NULL, provider text DEFAULT 'P1', agency text DEFAULT 'A', name text DEFAULT 'a') RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, days)
	VALUES ('o', agency, provider, id, name, pg_temp.day(first), pg_temp.day(last), days) $$;
-- a child whose id is the same on both sides, linked
CREATE FUNCTION pg_temp.child(id text, linked boolean DEFAULT true, agency text DEFAULT 'A') RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized) VALUES ('o', agency, id, id, 'Lee', '2020-02-02', true);
	INSERT INTO regress_plan.child (child_id, first_name, last_name) SELECT id, id, 'Lee' WHERE linked;
	INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method) SELECT 'o', agency, id, id, 'exact_location' WHERE linked $$;
CREATE FUNCTION pg_temp.visit(id text, n integer, check_in interval, check_out interval, location text DEFAULT 'L1') RETURNS void LANGUAGE sql AS $$
	INSERT INTO regress_plan.visit (location_id, child_id, kind, check_in, check_out)
	SELECT location, id, 'session', (pg_temp.day(n) + visit.check_in) AT TIME ZONE zone, (pg_temp.day(n) + visit.check_out) AT TIME ZONE zone FROM regress_plan.location l WHERE l.location_id = location $$;
CREATE FUNCTION pg_temp.note(id text, n integer, kind text, reason text DEFAULT NULL, location text DEFAULT 'L1') RETURNS void LANGUAGE sql AS $$
	INSERT INTO regress_plan.visit (location_id, child_id, kind, day, reason) VALUES (location, id, kind, pg_temp.day(n), reason) $$;
-- the usual case: one day, day 3, and one session
CREATE FUNCTION pg_temp.one(id text, check_in interval DEFAULT NULL, check_out interval DEFAULT NULL, provider text DEFAULT 'P1', agency text DEFAULT 'A', location text DEFAULT 'L1') RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.child(id, agency => agency), pg_temp.authorize(id, provider => provider, agency => agency);
	SELECT pg_temp.visit(id, 3, check_in, check_out, location) WHERE num_nonnulls(check_in, check_out) > 0 $$;
CREATE FUNCTION pg_temp.planned(zone text DEFAULT 'America/Phoenix') RETURNS TABLE (child text, provider text, day integer, authorized boolean, state text, reason text, detail text, content text) LANGUAGE sql AS $$
	SELECT kinderconnect_child_id, provider_id, (now() AT TIME ZONE zone)::date - service_date, authorized, state, reason, regexp_replace(detail, '[0-9]{4}-[0-9]{2}-[0-9]{2}', 'DATE'), content FROM kinderconnect.child_day
	ORDER BY kinderconnect_child_id COLLATE "C", provider_id COLLATE "C", service_date $$;
CREATE VIEW pg_temp.previewed AS SELECT agency_id, provider_id, kinderconnect_child_id, service_date, location_id, child_id, state, reason, detail, session_in, session_out, absence_reason, content FROM kinderconnect.preview('o') WHERE finished;
CREATE VIEW pg_temp.written AS SELECT agency_id, provider_id, kinderconnect_child_id, service_date, location_id, child_id, state, reason, detail, session_in, session_out, absence_reason, content FROM kinderconnect.child_day;
CREATE VIEW pg_temp.apart AS (TABLE pg_temp.previewed EXCEPT TABLE pg_temp.written) UNION ALL (TABLE pg_temp.written EXCEPT TABLE pg_temp.previewed);
CREATE FUNCTION pg_temp.plan() RETURNS void LANGUAGE sql AS $$ SELECT kinderconnect._match('o'), kinderconnect._plan('o', NULL, NULL, NULL, NULL) $$;
-- every authorized finished day, counted day by day and without the plan
CREATE FUNCTION pg_temp.due() RETURNS TABLE (agency text, provider text, child text, day date) LANGUAGE sql AS $$
	SELECT DISTINCT p.agency_id, p.provider_id, c.kinderconnect_child_id, pg_temp.day(n)
	FROM kinderconnect.provider p, kinderconnect.child c, generate_series(1, current_setting('kinderconnect.horizon_days')::integer) n
	WHERE c.subsidized AND c.agency_id = p.agency_id
		AND (SELECT s.subsidized FROM kinderconnect.listed_subsidy s WHERE s.kinderconnect_child_id = c.kinderconnect_child_id AND (s.agency_id, s.provider_id) = (p.agency_id, p.provider_id)
			AND s.month <= pg_temp.day(n) ORDER BY s.month DESC LIMIT 1) IS NOT FALSE AND EXISTS (SELECT FROM kinderconnect.authorization a
		WHERE a.agency_id = p.agency_id AND a.provider_id = p.provider_id AND a.kinderconnect_child_id = c.kinderconnect_child_id AND a.closed_as IS DISTINCT FROM 'changed'
			AND NOT a.begin_date > pg_temp.day(n) AND NOT coalesce(a.end_date < pg_temp.day(n), false) AND coalesce(pg_temp.weekday(n) = ANY (a.days), true)
			AND (a.closed_as IS NULL OR pg_temp.day(n) < (a.known_until AT TIME ZONE 'America/Phoenix')::date)) $$;
SAVEPOINT empty;

-- What Manage says.
\o /dev/null
SELECT pg_temp.one('seconds are cut', '8:02:59', '16:31:59.9');
SELECT pg_temp.one('two sessions', '17:00', '18:10'), pg_temp.visit('two sessions', 3, '8:02', '16:31');
SELECT pg_temp.one('touching', '8:00', '12:00:40'), pg_temp.visit('touching', 3, '12:00:20', '16:00');
SELECT pg_temp.one('no check-out', '8:00', NULL);
SELECT pg_temp.one('no check-in', NULL, '16:00');
SELECT pg_temp.one('out before in', '16:00', '8:00');
SELECT pg_temp.one('one minute', '8:00:01', '8:00:59');
SELECT pg_temp.one('next minute', '8:00:59', '8:01:00');
SELECT pg_temp.one('25 hours', '8:00', '33:00');
SELECT pg_temp.one('24 hours', '8:00', '32:00');
SELECT pg_temp.one('out at infinity', '8:00', '9:00'), pg_temp.one('in at infinity', '8:00', '9:00'), pg_temp.one('and at infinity', '8:00', '9:00');
UPDATE regress_plan.visit SET check_out = 'infinity', check_in = CASE child_id WHEN 'in at infinity' THEN 'infinity' ELSE check_in END WHERE child_id IN ('out at infinity', 'in at infinity');
SELECT pg_temp.provider('elsewhere', 'L9');
INSERT INTO regress_plan.visit (location_id, child_id, kind, check_in, check_out) VALUES ('L9', 'and at infinity', 'session', 'infinity', 'infinity');
SELECT pg_temp.one('overlapping', '8:00', '12:01'), pg_temp.visit('overlapping', 3, '12:00', '16:00');
SELECT pg_temp.one('one within another', '8:00', '16:00'), pg_temp.visit('one within another', 3, '9:00', '10:00'), pg_temp.visit('one within another', 3, '15:00', '17:00');
SELECT pg_temp.one('there twice', '8:00', '16:00'), pg_temp.visit('there twice', 3, '8:00', '16:00');
SELECT pg_temp.one('over midnight', '18:00', '30:00');
SELECT pg_temp.one('midnight sharp', '18:00', '24:00');
SELECT pg_temp.one('late', '23:30', '23:59:59'), pg_temp.visit('late', 3, '0:00', '0:05');
SELECT pg_temp.one('good and bad', '8:00', '12:00'), pg_temp.visit('good and bad', 3, '13:00', NULL);
SELECT pg_temp.one('neither in nor out'), pg_temp.visit('neither in nor out', 3, NULL, NULL);
SELECT pg_temp.one('absence'), pg_temp.note('absence', 3, 'absence', 'Sick');
SELECT pg_temp.one('absence, no reason'), pg_temp.note('absence, no reason', 3, 'absence');
SELECT pg_temp.one('absence, blank reason'), pg_temp.note('absence, blank reason', 3, 'absence', ' ');
SELECT pg_temp.one('absence twice'), pg_temp.note('absence twice', 3, 'absence', 'Sick'), pg_temp.note('absence twice', 3, 'absence', 'Sick');
SELECT pg_temp.one('absences differ'), pg_temp.note('absences differ', 3, 'absence', 'Sick'), pg_temp.note('absences differ', 3, 'absence', 'Holiday');
SELECT pg_temp.one('absences differ, one null'), pg_temp.note('absences differ, one null', 3, 'absence', 'Sick'), pg_temp.note('absences differ, one null', 3, 'absence');
SELECT pg_temp.one('absence and session', '8:00', '9:00'), pg_temp.note('absence and session', 3, 'absence', 'Sick');
SELECT pg_temp.one('closure'), pg_temp.note('closure', 3, 'closure');
SELECT pg_temp.one('closure and session', '8:00', '9:00'), pg_temp.note('closure and session', 3, 'closure');
SELECT pg_temp.one('closure and absence'), pg_temp.note('closure and absence', 3, 'absence', 'Sick'), pg_temp.note('closure and absence', 3, 'closure');
SELECT pg_temp.one('unknown kind'), pg_temp.note('unknown kind', 3, 'Nap');
SELECT pg_temp.one('unknown kind and session', '8:00', '9:00'), pg_temp.note('unknown kind and session', 3, NULL);
SELECT pg_temp.one('nothing');
-- Whose day it is.
SELECT pg_temp.child('unmatched', false), pg_temp.authorize('unmatched'), pg_temp.visit('unmatched', 3, '8:00', '9:00');
SELECT pg_temp.child('matched tonight', false), pg_temp.authorize('matched tonight'), pg_temp.visit('matched tonight', 3, '8:00', '9:00');
INSERT INTO regress_plan.child VALUES ('matched tonight', 'Matched TONIGHT', 'Lee');
SELECT pg_temp.one('link disagrees', '8:00', '9:00'), pg_temp.one('child gone', '8:00', '9:00'), pg_temp.one('not subsidized', '8:00', '9:00');
UPDATE regress_plan.child SET date_of_birth = '2020-02-03' WHERE child_id = 'link disagrees';
DELETE FROM regress_plan.child WHERE child_id = 'child gone';
UPDATE kinderconnect.child SET subsidized = false WHERE kinderconnect_child_id = 'not subsidized';
SELECT pg_temp.one('private at another', '8:00', '9:00'), pg_temp.one('private again', '8:00', '9:00'), pg_temp.one('private no more', '8:00', '9:00'), pg_temp.one('private from next month', '8:00', '9:00');
SELECT pg_temp.child('private, no authorization'), pg_temp.visit('private, no authorization', 3, '8:00', '9:00');
INSERT INTO kinderconnect.listed_subsidy (organization_id, agency_id, provider_id, kinderconnect_child_id, month, subsidized)
SELECT 'o', 'A', s.provider, s.child, date_trunc('month', pg_temp.day(3))::date + s.month * interval '1 month', s.subsidized
FROM (VALUES ('P1', 'not subsidized', -1, false), ('P2', 'private at another', 0, false), ('P1', 'private again', -1, true), ('P1', 'private again', 0, false),
	('P1', 'private no more', -1, false), ('P1', 'private no more', 0, true), ('P1', 'private from next month', 0, true), ('P1', 'private from next month', 1, false),
	('P1', 'private, no authorization', 0, false)) s(provider, child, month, subsidized);
SELECT pg_temp.child('other weekday'), pg_temp.authorize('other weekday', 3, 1, ARRAY[pg_temp.weekday(2)]), pg_temp.visit('other weekday', 3, '8:00', '9:00');
SELECT pg_temp.child('two weekdays'), pg_temp.authorize('two weekdays', 4, 1, ARRAY[pg_temp.weekday(1), pg_temp.weekday(3)]);
SELECT pg_temp.child('no authorization'), pg_temp.visit('no authorization', 3, '8:00', '9:00');
SELECT pg_temp.child('no authorization, unknown'), pg_temp.note('no authorization, unknown', 3, 'Nap');
SELECT pg_temp.child('before it begins'), pg_temp.authorize('before it begins', 3, 3), pg_temp.visit('before it begins', 4, '8:00', '9:00'), pg_temp.visit('before it begins', 2, '8:00', '9:00');
SELECT pg_temp.child('two authorizations'), pg_temp.authorize('two authorizations', 4, 2), pg_temp.authorize('two authorizations', 3, 1, name => 'b');
SELECT pg_temp.child('today is not over'), pg_temp.authorize('today is not over', 2, -3), pg_temp.visit('today is not over', 1, '8:00', '9:00'), pg_temp.visit('today is not over', 0, '0:00', '0:01');
SELECT pg_temp.child('vanished'), pg_temp.child('vanished and back'), pg_temp.child('changed');
SELECT pg_temp.visit('vanished', 1, '8:00', '9:00');
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, known_from, known_until, closed_as)
SELECT 'o', 'A', 'P1', v.child, 'a', pg_temp.day(4), pg_temp.day(v.last), now() - interval '9 days', (pg_temp.day(2) + time '12:00') AT TIME ZONE 'America/Phoenix', v.how
FROM (VALUES ('vanished', NULL, 'vanished'), ('vanished and back', 1, 'vanished'), ('changed', 1, 'changed')) v(child, last, how);
SELECT pg_temp.authorize('vanished and back', 4, 2), pg_temp.authorize('changed', 2, 2);
\o
CREATE TABLE regress_plan.preview AS TABLE pg_temp.previewed;
SELECT count(*) AS "preview changes nothing" FROM kinderconnect.child_day;
SELECT pg_temp.plan();
SELECT * FROM pg_temp.planned();
SELECT (SELECT count(*) FROM pg_temp.apart) AS "apart from preview now",
	(SELECT count(*) FROM (TABLE regress_plan.preview EXCEPT TABLE pg_temp.written) x) + (SELECT count(*) FROM (TABLE pg_temp.written EXCEPT TABLE regress_plan.preview) x) AS "apart from preview before";
SELECT count(*) AS "other than content() says" FROM kinderconnect.child_day WHERE content IS DISTINCT FROM kinderconnect.content(kind, session_in, session_out, absence_reason);
SELECT count(*) AS "with seconds" FROM kinderconnect.child_day, unnest(session_in || session_out) punch WHERE extract(second FROM punch) <> 0;
-- no authorized finished day is missing, and none is there that is not one
SELECT count(*) FILTER (WHERE d IS NULL) AS missing, count(*) FILTER (WHERE u IS NULL) AS "too many", count(u) > 0 AS some
FROM pg_temp.due() u FULL JOIN (SELECT * FROM kinderconnect.child_day WHERE authorized) d
	ON (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date) = (u.agency, u.provider, u.child, u.day);
-- the client's time zone is nobody's business
CREATE TABLE regress_plan.first AS TABLE pg_temp.previewed;
SET LOCAL TimeZone = 'Pacific/Kiritimati';
SELECT count(*) AS apart FROM (TABLE pg_temp.previewed EXCEPT TABLE regress_plan.first) x;
SET LOCAL TimeZone = 'Etc/GMT+12';
SELECT count(*) AS apart FROM (TABLE pg_temp.previewed EXCEPT TABLE regress_plan.first) x;
SET LOCAL TimeZone = 'America/Phoenix';
-- planning again writes nothing, however the client writes dates
SET LOCAL DateStyle = 'SQL, DMY';
UPDATE kinderconnect.child_day SET changed_at = '2020-01-01';
SELECT pg_temp.plan();
SELECT count(*) AS rewritten FROM kinderconnect.child_day WHERE changed_at <> '2020-01-01';
-- the arguments limit it
CREATE TABLE regress_plan.part AS TABLE kinderconnect.child_day;
DELETE FROM kinderconnect.child_day;
SELECT kinderconnect._plan('o', 'A', 'P1', pg_temp.day(2), pg_temp.day(2));
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE service_date <> pg_temp.day(2)) AS others, count(*) = (SELECT count(*) FROM regress_plan.part WHERE service_date = pg_temp.day(2)) AS "all of that day" FROM kinderconnect.child_day;
SELECT kinderconnect.preview('o', 'B');
SELECT kinderconnect.preview('nobody');
ROLLBACK TO empty;

-- A location that is closed as a whole.
\o /dev/null
SELECT pg_temp.note(NULL, 3, 'closure');
SELECT pg_temp.one('closed'), pg_temp.one('closed, and closed'), pg_temp.note('closed, and closed', 3, 'closure'), pg_temp.one('closed, and came', '8:00', '9:00'), pg_temp.one('closed, and absent'), pg_temp.note('closed, and absent', 3, 'absence');
SELECT pg_temp.provider('P2', 'L2'), pg_temp.one('at another location', provider => 'P2', location => 'L2');
SELECT pg_temp.child('not authorized that day'), pg_temp.authorize('not authorized that day', 2, 2);
SELECT pg_temp.plan();
\o
SELECT * FROM pg_temp.planned();
ROLLBACK TO empty;

-- Rules: of the agency before the state's, our own before the shipped,
-- enforced ones only, by the service date.
INSERT INTO kinderconnect.agency (agency_id, state) VALUES ('R', 'XX'), ('S', 'XX'), ('N', 'XX');
INSERT INTO kinderconnect.agency_rule (agency_id, state, rule, valid, value, enforced, source)
SELECT 'R', NULL, rule, daterange(NULL, NULL), value, true, 'test' FROM (VALUES ('lone_punch', 'send'), ('overnight', 'whole'), ('sessions_per_day', '2'), ('closures', 'omit'), ('absences', 'omit'), ('entry_window_days', '5')) r(rule, value)
UNION ALL SELECT 'N', NULL, rule, daterange(NULL, NULL), value, false, 'test' FROM (VALUES ('lone_punch', 'send'), ('overnight', 'whole'), ('sessions_per_day', '2'), ('closures', 'omit'), ('absences', 'omit'), ('entry_window_days', '5')) r(rule, value)
UNION ALL SELECT NULL, 'XX', 'sessions_per_day', daterange(NULL, NULL), '1', true, 'test'
UNION ALL SELECT NULL, 'XX', 'entry_window_days', daterange(NULL, pg_temp.day(3)), '1', true, 'test';
SELECT kinderconnect._rules('R', pg_temp.day(3)) ->> 'sessions_per_day' AS agency, kinderconnect._rules('S', pg_temp.day(3)) AS state,
	kinderconnect._rules('S', pg_temp.day(4)) AS "state, a day before", kinderconnect._rules('N', pg_temp.day(3)) AS "agency's, not enforced", kinderconnect._rules('unknown', pg_temp.day(3)) AS none;
INSERT INTO kinderconnect.agency (agency_id, state) VALUES ('T', 'TX');
SELECT kinderconnect._rules('T', '2026-03-31') AS "Texas in March", kinderconnect._rules('T', '2026-04-01') AS "in April";
INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source) VALUES ('TX', 'entry_window_days', '(,)', '6', true, 'the agency said so'), ('TX', 'lone_punch', '[2026-04-01,)', 'hold', false, 'not so');
SELECT kinderconnect._rules('T', '2026-04-01') AS "our own win";
INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source) VALUES ('TX', 'entry_window_days', '[2026-01-01,)', '7', true, 'twice');
INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source) VALUES ('TX', 'sessions_per_day', '(,)', 'two', true, 'no number');
INSERT INTO kinderconnect.agency_rule (rule, valid, value, enforced, source) VALUES ('sessions_per_day', '(,)', '2', true, 'of nobody');
\o /dev/null
SELECT pg_temp.provider('PR', 'L1', 'R'), pg_temp.provider('PN', 'L1', 'N');
-- the same at an agency that enforces them and at one that does not
CREATE FUNCTION pg_temp.both(id text, check_in interval DEFAULT NULL, check_out interval DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.child(id, agency => 'R'), pg_temp.authorize(id, provider => 'PR', agency => 'R'), pg_temp.authorize(id, provider => 'PN', agency => 'N');
	INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized) VALUES ('o', 'N', id, id, 'Lee', '2020-02-02', true);
	INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method) VALUES ('o', 'N', id, id, 'exact_location');
	SELECT pg_temp.visit(id, 3, check_in, check_out) WHERE num_nonnulls(check_in, check_out) > 0 $$;
SELECT pg_temp.both('lone in', '8:00', NULL), pg_temp.both('lone out', NULL, '16:00'), pg_temp.both('over midnight', '18:00', '30:00'), pg_temp.both('24 hours', '8:00', '32:00'), pg_temp.both('25 hours', '8:00', '33:00');
SELECT pg_temp.both('lone out of a session', '8:00', '16:00'), pg_temp.visit('lone out of a session', 3, NULL, '16:00');
SELECT pg_temp.both('lone in twice', '8:00:05', NULL), pg_temp.visit('lone in twice', 3, '8:00:45', NULL);
SELECT pg_temp.both('two sessions', '8:00', '9:00'), pg_temp.visit('two sessions', 3, '10:00', '11:00');
SELECT pg_temp.both('three sessions', '8:00', '9:00'), pg_temp.visit('three sessions', 3, '10:00', '11:00'), pg_temp.visit('three sessions', 3, '12:00', '13:00');
SELECT pg_temp.both('closure'), pg_temp.note('closure', 3, 'closure'), pg_temp.both('absence'), pg_temp.note('absence', 3, 'absence', 'Sick');
SELECT pg_temp.child('window', agency => 'R'), pg_temp.authorize('window', 7, 4, provider => 'PR', agency => 'R'), pg_temp.visit('window', 6, '8:00', '9:00'), pg_temp.visit('window', 5, '8:00', '9:00');
SELECT pg_temp.plan();
\o
SELECT child, provider, day, state, reason, CASE WHEN reason = 'window_closed' THEN detail = 'closed DATE, 08:00-09:00' ELSE detail IS NOT NULL END AS detail, content FROM pg_temp.planned();
SELECT kinderconnect_child_id, pg_temp.day(0) - service_date AS day, window_ends = (service_date + 6)::timestamp AT TIME ZONE 'America/Phoenix' AS "five days and its own" FROM kinderconnect.child_day WHERE kinderconnect_child_id = 'window' ORDER BY service_date;
SELECT detail LIKE 'closed ' || to_char(pg_temp.day(0), 'YYYY-MM-DD') || ',%' AS "since when" FROM kinderconnect.child_day WHERE reason = 'window_closed';
-- absence reasons of the agency
INSERT INTO kinderconnect.absence_reason VALUES ('N', 'Sick', 'S'), ('N', 'Vacation', 'V');
INSERT INTO kinderconnect.absence_reason VALUES ('N', 'SICK', 'K');
\o /dev/null
SELECT pg_temp.both('no reason'), pg_temp.note('no reason', 3, 'absence');
SELECT pg_temp.both('unlisted'), pg_temp.note('unlisted', 3, 'absence', 'Dentist');
SELECT pg_temp.both('folded'), pg_temp.note('folded', 3, 'absence', ' SICK ');
SELECT pg_temp.plan();
\o
SELECT child, state, reason, detail, content FROM pg_temp.planned() WHERE provider = 'PN' AND child IN ('absence', 'no reason', 'unlisted', 'folded');
SELECT count(*) AS apart FROM pg_temp.apart;
ROLLBACK TO empty;

-- Providers: what bars one, and who counts where there are two.
\o /dev/null
INSERT INTO kinderconnect.customer (organization_id, customer_id, status, listed) VALUES ('o', 'C1', 'Active', true), ('o', 'C2', 'closed', true), ('o', 'C3', 'active', false);
SELECT pg_temp.provider('P ' || v.name, v.location, is_configured => v.configured), pg_temp.child('at ' || v.name), pg_temp.authorize('at ' || v.name, provider => 'P ' || v.name), pg_temp.visit('at ' || v.name, 3, '8:00', '9:00', v.location)
FROM (VALUES ('disabled', 'L2', true), ('unmatched', NULL, true), ('no zone', 'L3', true), ('status', 'L4', true), ('customer', 'L5', false), ('unlisted', 'L6', false), ('customer unlisted', 'L7', false), ('configured, unlisted', 'L8', true), ('no status', 'L9', false)) v(name, location, configured);
UPDATE kinderconnect.provider SET enabled = false WHERE provider_id = 'P disabled';
UPDATE regress_plan.location SET zone = 'nowhere' WHERE location_id = 'L3';
INSERT INTO kinderconnect.listed_location (organization_id, agency_id, provider_id, customer_id, status, listed) VALUES ('o', 'A', 'P status', 'C1', 'suspended', true), ('o', 'A', 'P customer', 'C2', 'active', true),
	('o', 'A', 'P unlisted', 'C1', 'active', false), ('o', 'A', 'P customer unlisted', 'C3', 'active', true), ('o', 'A', 'P configured, unlisted', 'C1', 'active', false), ('o', 'A', 'P no status', 'C1', NULL, true);
SELECT pg_temp.plan();
\o
SELECT child, state, reason FROM pg_temp.planned();
SELECT count(*) AS apart FROM pg_temp.apart;
UPDATE kinderconnect.organization SET adopt_providers = false;
SELECT pg_temp.plan();
SELECT child, state, reason FROM pg_temp.planned() WHERE child IN ('at no status', 'at configured, unlisted');
UPDATE kinderconnect.organization SET enabled = false;
SELECT pg_temp.plan();
SELECT DISTINCT state, reason FROM pg_temp.planned();
SELECT DISTINCT state, reason FROM kinderconnect.preview('o') WHERE state <> 'unplaced';
SELECT count(*) AS "previewed with all" FROM kinderconnect.preview();
ROLLBACK TO empty;
-- the agency's zone where Manage has none
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('A', 'America/Phoenix');
UPDATE regress_plan.location SET zone = NULL;
SELECT zone FROM kinderconnect._location_zones('o');
-- of two agencies the clock, by whatever name; where they differ it is not guessed
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('B', 'Etc/GMT+7'), ('C', NULL);
SELECT pg_temp.provider('PB', 'L1', 'B'), pg_temp.provider('PC', 'L1', 'C');
SELECT zone FROM kinderconnect._location_zones('o');
UPDATE kinderconnect.agency SET time_zone = 'America/Denver' WHERE agency_id = 'B';
SELECT zone FROM kinderconnect._location_zones('o');
UPDATE kinderconnect.agency SET time_zone = 'America/Los_Angeles' WHERE agency_id = 'B';
SELECT zone FROM kinderconnect._location_zones('o');
UPDATE regress_plan.location SET zone = 'America/Denver';
SELECT zone FROM kinderconnect._location_zones('o');
ROLLBACK TO empty;

\o /dev/null
-- two provider IDs of one location
SELECT pg_temp.provider('P2', 'L1'), pg_temp.provider('P3', 'L2');
CREATE FUNCTION pg_temp.twice(id text, other text DEFAULT 'P2', days text[] DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.child(id), pg_temp.authorize(id), pg_temp.authorize(id, days => days, provider => other) $$;
SELECT pg_temp.twice('both, session'), pg_temp.visit('both, session', 3, '8:00', '9:00');
SELECT pg_temp.twice('both, absence'), pg_temp.note('both, absence', 3, 'absence');
SELECT pg_temp.twice('both, closure'), pg_temp.note('both, closure', 3, 'closure');
SELECT pg_temp.twice('both, nothing');
SELECT pg_temp.twice('one weekday only', days => ARRAY[pg_temp.weekday(2)]), pg_temp.visit('one weekday only', 3, '8:00', '9:00');
SELECT pg_temp.one('one of the two', '8:00', '9:00');
-- two locations: the attendance decides
SELECT pg_temp.twice('went to the other', 'P3'), pg_temp.visit('went to the other', 3, '8:00', '9:00', 'L2');
SELECT pg_temp.twice('went to both', 'P3'), pg_temp.visit('went to both', 3, '8:00', '9:00', 'L2'), pg_temp.visit('went to both', 3, '10:00', '11:00');
SELECT pg_temp.twice('went to none', 'P3');
SELECT pg_temp.child('went where it may not'), pg_temp.authorize('went where it may not'), pg_temp.visit('went where it may not', 3, '8:00', '9:00', 'L2');
-- attendance without authorization is shown once
SELECT pg_temp.child('stray'), pg_temp.visit('stray', 3, '8:00', '9:00');
SELECT pg_temp.child('stray, listed at P2'), pg_temp.visit('stray, listed at P2', 3, '8:00', '9:00');
INSERT INTO kinderconnect.listed_authorization VALUES ('o', 'A', 'P2', date_trunc('month', pg_temp.day(3)), 'stray, listed at P2', ''), ('o', 'A', 'P2', date_trunc('month', pg_temp.day(3)), 'stray, listed at P2', 'old');
SELECT pg_temp.plan();
\o
SELECT child, provider, authorized, state, reason, content FROM pg_temp.planned();
SELECT count(*) AS apart FROM pg_temp.apart;
-- one of the two is switched off: the other counts
UPDATE kinderconnect.provider SET enabled = false WHERE provider_id = 'P1';
\o /dev/null
SELECT pg_temp.child('stray, later'), pg_temp.visit('stray, later', 3, '8:00', '9:00');
\o
SELECT pg_temp.plan();
SELECT child, provider, state, reason, content FROM pg_temp.planned() WHERE child IN ('both, session', 'both, closure', 'stray, later');
ROLLBACK TO empty;

-- One child, two sites: A session decides where the child was; what is said of
-- the other site then claims nothing. Only an agency's own closures and
-- absences are compared, but nobody is at two sites at a time, whoever pays.
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('A', 'America/Phoenix'), ('B', 'America/Phoenix'), ('O', 'America/Phoenix');
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('O', 'closures', '(,)', 'omit', true, 'test');
\o /dev/null
SELECT pg_temp.provider('P2', 'L2'), pg_temp.provider('B2', 'L2', 'B'), pg_temp.provider('O1', 'L1', 'O'), pg_temp.provider('O2', 'L2', 'O'), pg_temp.provider('P4', 'L4');
UPDATE regress_plan.location SET zone = 'Etc/GMT+8' WHERE location_id = 'L4';
CREATE FUNCTION pg_temp.two(id text, agency text DEFAULT 'A', one text DEFAULT 'P1', other text DEFAULT 'P2') RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.child(id, agency => agency), pg_temp.authorize(id, provider => one, agency => agency), pg_temp.authorize(id, provider => other, agency => agency) $$;
SELECT pg_temp.two('came, absent'), pg_temp.visit('came, absent', 3, '8:00', '9:00'), pg_temp.note('came, absent', 3, 'absence', 'Sick', 'L2');
SELECT pg_temp.two('came, closed'), pg_temp.visit('came, closed', 3, '8:00', '9:00'), pg_temp.note('came, closed', 3, 'closure', NULL, 'L2');
SELECT pg_temp.two('came, absent and closed'), pg_temp.visit('came, absent and closed', 3, '8:00', NULL), pg_temp.note('came, absent and closed', 3, 'closure', NULL, 'L2'), pg_temp.note('came, absent and closed', 3, 'absence', NULL, 'L2');
SELECT pg_temp.two('came, unknown'), pg_temp.visit('came, unknown', 3, '8:00', '9:00'), pg_temp.note('came, unknown', 3, 'Nap', NULL, 'L2');
SELECT pg_temp.two('absent, absent'), pg_temp.note('absent, absent', 3, 'absence'), pg_temp.note('absent, absent', 3, 'absence', 'Sick', 'L2');
SELECT pg_temp.two('absent, closed'), pg_temp.note('absent, closed', 3, 'absence', 'Sick'), pg_temp.note('absent, closed', 3, 'closure', NULL, 'L2');
SELECT pg_temp.two('absent, nothing'), pg_temp.note('absent, nothing', 3, 'absence', 'Sick');
SELECT pg_temp.two('absent, not taken', 'O', 'O1', 'O2'), pg_temp.note('absent, not taken', 3, 'absence', 'Sick'), pg_temp.note('absent, not taken', 3, 'closure', NULL, 'L2');
SELECT pg_temp.two('closed, not taken', 'O', 'O1', 'O2'), pg_temp.note('closed, not taken', 3, 'closure'), pg_temp.note('closed, not taken', 3, 'closure', NULL, 'L2');
SELECT pg_temp.two('one after another'), pg_temp.visit('one after another', 3, '8:00', '12:00:40'), pg_temp.visit('one after another', 3, '12:00:20', '16:00', 'L2');
SELECT pg_temp.two('at the same time'), pg_temp.visit('at the same time', 3, '8:00', '12:01'), pg_temp.visit('at the same time', 3, '12:00', '16:00', 'L2');
SELECT pg_temp.two('lone within'), pg_temp.visit('lone within', 3, '8:00', '12:00'), pg_temp.visit('lone within', 3, '9:00', NULL, 'L2');
SELECT pg_temp.two('impossible by itself'), pg_temp.visit('impossible by itself', 3, '8:00', '12:00'), pg_temp.visit('impossible by itself', 3, '7:00', '33:00', 'L2'), pg_temp.visit('impossible by itself', 3, '12:00', '7:00', 'L2');
-- where it is not authorized, it was there all the same
SELECT pg_temp.one('not authorized there', '8:00', '12:00'), pg_temp.visit('not authorized there', 3, '11:00', '13:00', 'L2');
-- 10:00 to 11:00 at the one is 9:00 to 10:00 at the other
SELECT pg_temp.two('two zones', other => 'P4'), pg_temp.visit('two zones', 3, '9:00', '10:00'), pg_temp.visit('two zones', 3, '8:30', '9:30', 'L4');
SELECT pg_temp.two('two zones, apart', other => 'P4'), pg_temp.visit('two zones, apart', 3, '9:00', '10:00'), pg_temp.visit('two zones, apart', 3, '9:30', '10:30', 'L4');
-- two agencies
SELECT pg_temp.child('two agencies'), pg_temp.authorize('two agencies'), pg_temp.visit('two agencies', 3, '8:00', '10:00'), pg_temp.visit('two agencies', 3, '9:00', '11:00', 'L2');
SELECT pg_temp.child('two agencies, absent'), pg_temp.authorize('two agencies, absent'), pg_temp.note('two agencies, absent', 3, 'absence'), pg_temp.visit('two agencies, absent', 3, '9:00', '11:00', 'L2');
SELECT pg_temp.child('two agencies, absent at both'), pg_temp.authorize('two agencies, absent at both'), pg_temp.note('two agencies, absent at both', 3, 'absence', 'Sick'), pg_temp.note('two agencies, absent at both', 3, 'absence', 'Ill', 'L2');
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized)
SELECT 'o', 'B', id, id, 'Lee', '2020-02-02', true FROM unnest('{two agencies,"two agencies, absent","two agencies, absent at both"}'::text[]) id;
INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method) SELECT 'o', 'B', id, id, 'exact_location' FROM unnest('{two agencies,"two agencies, absent","two agencies, absent at both"}'::text[]) id;
SELECT pg_temp.authorize(id, provider => 'B2', agency => 'B') FROM unnest('{two agencies,"two agencies, absent","two agencies, absent at both"}'::text[]) id;
SELECT pg_temp.plan();
\o
SELECT child, provider, state, reason, detail, content FROM pg_temp.planned();
SELECT count(*) AS apart FROM pg_temp.apart;
-- both sites closed as a whole: nobody knows which one to claim
\o /dev/null
TRUNCATE regress_plan.visit;
SELECT pg_temp.note(NULL, 3, 'closure'), pg_temp.note(NULL, 3, 'closure', NULL, 'L2'), pg_temp.visit('came, closed', 3, '8:00', '9:00', 'L2');
SELECT pg_temp.plan();
\o
SELECT child, provider, state, reason, detail, content FROM pg_temp.planned() WHERE child IN ('absent, absent', 'came, closed', 'closed, not taken', 'two agencies');
ROLLBACK TO empty;

-- Before midnight: every reason of a day that is not over yet, as it stands.
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('A', 'America/Phoenix');
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'closures', '(,)', 'omit', true, 'test'), ('A', 'sessions_per_day', '(,)', '2', true, 'test');
INSERT INTO kinderconnect.absence_reason VALUES ('A', 'Sick', 'S');
\o /dev/null
SELECT pg_temp.provider('P2', 'L1'), pg_temp.provider('P3', 'L3'), pg_temp.provider('off', 'L4'), pg_temp.provider('nowhere', NULL), pg_temp.provider('no zone', 'L5');
UPDATE kinderconnect.provider SET enabled = false WHERE provider_id = 'off';
UPDATE regress_plan.location SET zone = NULL WHERE location_id = 'L5';
UPDATE kinderconnect.agency SET time_zone = NULL;
CREATE FUNCTION pg_temp.today(id text, check_in interval DEFAULT NULL, check_out interval DEFAULT NULL, provider text DEFAULT 'P1', location text DEFAULT 'L1', linked boolean DEFAULT true) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.child(id, linked), pg_temp.authorize(id, (location = 'L1' AND provider IN ('nowhere', 'no zone'))::integer, -9, provider => provider);
	SELECT pg_temp.visit(id, 0, check_in, check_out, location) WHERE num_nonnulls(check_in, check_out) > 0 $$;
SELECT pg_temp.today('good', '8:00', '9:00'), pg_temp.today('no check-out', '8:00'), pg_temp.today('no check-in', NULL, '9:00'), pg_temp.today('out before in', '9:00', '8:00'), pg_temp.today('too short', '8:00', '8:00:30'),
	pg_temp.today('too long', '8:00', '33:00'), pg_temp.today('over midnight', '20:00', '25:00'), pg_temp.today('nothing'), pg_temp.today('unmatched', '8:00', '9:00', linked => false), pg_temp.today('unauthorized', '8:00', '9:00', 'off'), pg_temp.today('provider off', '8:00', '9:00', 'off', 'L4'),
	pg_temp.today('provider nowhere', provider => 'nowhere'), pg_temp.today('no zone', provider => 'no zone');
SELECT pg_temp.today('overlapping', '8:00', '9:00'), pg_temp.visit('overlapping', 0, '8:30', '9:30');
SELECT pg_temp.today('three', '8:00', '9:00'), pg_temp.visit('three', 0, '10:00', '11:00'), pg_temp.visit('three', 0, '12:00', '13:00');
SELECT pg_temp.today('conflict', '8:00', '9:00'), pg_temp.note('conflict', 0, 'absence', 'Sick');
SELECT pg_temp.today('reason'), pg_temp.note('reason', 0, 'absence', 'Dentist'), pg_temp.today('closed'), pg_temp.note('closed', 0, 'closure'), pg_temp.today('unknown kind'), pg_temp.note('unknown kind', 0, 'Nap');
SELECT pg_temp.today('two providers', '8:00', '9:00'), pg_temp.authorize('two providers', 0, 0, provider => 'P2'), pg_temp.today('other provider'), pg_temp.authorize('other provider', 0, 0, provider => 'P3'), pg_temp.visit('other provider', 0, '8:00', '9:00', 'L3');
SELECT pg_temp.child('ended'), pg_temp.authorize('ended', 9, 1), pg_temp.visit('ended', 0, '8:00', '9:00'), pg_temp.child('weekday'), pg_temp.authorize('weekday', 0, 0, ARRAY[pg_temp.weekday(1)]), pg_temp.visit('weekday', 0, '8:00', '9:00');
SELECT pg_temp.today('link disagrees', '8:00', '9:00'), pg_temp.today('child gone', '8:00', '9:00'), pg_temp.today('no birth date', '8:00', '9:00', linked => false);
UPDATE regress_plan.child SET date_of_birth = '2020-02-03' WHERE child_id = 'link disagrees';
DELETE FROM regress_plan.child WHERE child_id = 'child gone';
UPDATE kinderconnect.child SET date_of_birth = NULL WHERE kinderconnect_child_id = 'no birth date';
\o
SET LOCAL transaction_read_only = on;
SELECT kinderconnect_child_id AS child, provider_id AS provider, state, reason, regexp_replace(detail, '[0-9]{4}-[0-9]{2}-[0-9]{2}', 'DATE') AS detail, content, what_to_do IS NOT NULL AS told
FROM kinderconnect.preview('o') WHERE NOT finished AND service_date BETWEEN pg_temp.day(0) - 1 AND pg_temp.day(0) ORDER BY kinderconnect_child_id COLLATE "C", provider_id COLLATE "C", service_date DESC;
ROLLBACK TO empty;
-- the clocks go back today, at two: a zone made for it, by which it is today whatever the hour
INSERT INTO kinderconnect.agency (agency_id, time_zone) SELECT 'A', format('<S>7<D>6,%s/0,%s/2', (d + 180) % 365, d) FROM (SELECT extract(doy FROM now() AT TIME ZONE 'Etc/GMT+6')::integer - 1 AS d) x RETURNING true AS made \gset
UPDATE regress_plan.location SET zone = NULL WHERE location_id = 'L1';
\o /dev/null
SELECT (now() AT TIME ZONE time_zone)::date AS today FROM kinderconnect.agency \gset
SELECT pg_temp.child(id) FROM unnest('{first reading,second reading}'::text[]) id;
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date) SELECT 'o', 'A', 'P1', id, 'a', :'today', :'today' FROM unnest('{first reading,second reading}'::text[]) id;
INSERT INTO regress_plan.visit (location_id, child_id, kind, check_in, check_out)
SELECT 'L1', id, 'session', (:'today' || ' 00:10 ' || off)::timestamptz, (:'today' || out)::timestamptz FROM (VALUES ('first reading', '-06', ' 01:30 -06'), ('second reading', '-06', ' 01:30 -07')) v(id, off, out);
\o
SELECT kinderconnect_child_id AS child, finished, state, reason, detail, content FROM kinderconnect.preview('o') WHERE state <> 'unplaced' ORDER BY kinderconnect_child_id COLLATE "C";
ROLLBACK TO empty;
-- what the plan wrote of it: nothing
\o /dev/null
SELECT pg_temp.child('good'), pg_temp.authorize('good', 0, 0), pg_temp.visit('good', 0, '8:00', '9:00');
SELECT pg_temp.plan();
\o
SELECT count(*) AS "of today" FROM kinderconnect.child_day;
ROLLBACK TO empty;

-- From night to night. A night plans, sends what is ready, and hears this.
CREATE FUNCTION pg_temp.night(outcome text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	sent text := '';
	p    text;
	b    text;
	said text;
BEGIN
	PERFORM pg_temp.plan();
	FOR p IN SELECT provider_id FROM kinderconnect.provider ORDER BY provider_id COLLATE "C" LOOP
		b := (SELECT n.batch_id FROM kinderconnect._next_batches(1, ARRAY['o'], ARRAY['A'], ARRAY[p], NULL, NULL) n);
		CONTINUE WHEN b IS NULL;
		SELECT string_agg(format('%s: %s', l.kinderconnect_child_id, l.content), ', ' ORDER BY l.kinderconnect_child_id COLLATE "C", l.service_date) INTO said
		FROM kinderconnect.batch_record r JOIN kinderconnect.ledger l USING (organization_id, record_id) WHERE r.batch_id = b;
		sent := concat_ws('; ', nullif(sent, ''), said);
		UPDATE kinderconnect.batch SET state = 'answered' WHERE batch_id = b;
		IF outcome <> 'sending' THEN
			PERFORM kinderconnect._settle('o', array_agg(record_id), outcome, array_agg(CASE outcome WHEN 'rejected' THEN 'CODE' END), array_agg(CASE outcome WHEN 'rejected' THEN 'words' END))
			FROM kinderconnect.batch_record WHERE batch_id = b;
		END IF;
	END LOOP;
	RETURN sent;
END;
$$;
CREATE VIEW pg_temp.state AS SELECT kinderconnect_child_id AS child, pg_temp.day(0) - service_date AS day, state, reason, detail, content, accepted_content AS there, code FROM kinderconnect.child_day
	ORDER BY kinderconnect_child_id COLLATE "C", service_date;
SET LOCAL kinderconnect.shrink_floor = 3;
SAVEPOINT nights;

\o /dev/null
SELECT pg_temp.one(id, '8:00', '9:00') FROM unnest('{corrected,deleted,changed back,made bad,made unknown,not authorized,weekday taken away,unlinked,vanished,child gone,closed then,absent then}'::text[]) id;
\o
SELECT pg_temp.one('nothing, and authorized no more'), pg_temp.child('stray, and deleted'), pg_temp.visit('stray, and deleted', 3, '8:00', '9:00');
SELECT pg_temp.night('accepted');
SELECT DISTINCT state, content, there FROM pg_temp.state;
SELECT pg_temp.night('accepted') AS "nothing twice";
UPDATE regress_plan.visit SET check_out = check_out + interval '1 hour' WHERE child_id IN ('corrected', 'changed back');
DELETE FROM regress_plan.visit WHERE child_id IN ('deleted', 'closed then', 'absent then', 'stray, and deleted');
UPDATE regress_plan.visit SET check_out = NULL WHERE child_id = 'made bad';
UPDATE regress_plan.visit SET kind = 'Session' WHERE child_id = 'made unknown';
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'closures', '(,)', 'omit', true, 'test'), ('A', 'absences', '(,)', 'omit', true, 'test');
\o /dev/null
SELECT pg_temp.note('closed then', 3, 'closure'), pg_temp.note('absent then', 3, 'absence', 'Sick');
DELETE FROM kinderconnect.authorization WHERE kinderconnect_child_id IN ('not authorized', 'nothing, and authorized no more');
UPDATE kinderconnect.authorization SET days = ARRAY[pg_temp.weekday(2)] WHERE kinderconnect_child_id = 'weekday taken away';
UPDATE kinderconnect.authorization SET known_from = now() - interval '9 days', known_until = now() - interval '8 days', closed_as = 'vanished' WHERE kinderconnect_child_id = 'vanished';
SELECT kinderconnect.unlink_child('o', 'A', 'unlinked', 'wrong');
DELETE FROM regress_plan.child WHERE child_id = 'child gone';
SELECT pg_temp.plan();
\o
SELECT * FROM pg_temp.state;
SELECT count(*) AS apart FROM pg_temp.apart;
SELECT kinderconnect_child_id, kind, accepted_content, what_to_do FROM kinderconnect.preview('o') WHERE state = 'ready' ORDER BY kinderconnect_child_id COLLATE "C";
-- changed back before it was sent
UPDATE regress_plan.visit SET check_out = check_out - interval '1 hour' WHERE child_id = 'changed back';
SELECT pg_temp.night('accepted');
SELECT * FROM pg_temp.state;
SELECT kinderconnect_child_id, num_nonnulls(accepted_kind, accepted_in, accepted_out, accepted_reason, accepted_content, accepted_at, accepted_record_id) AS there FROM kinderconnect.child_day WHERE state = 'voided' ORDER BY kinderconnect_child_id COLLATE "C";
-- taken back, and then recorded again; the rule does not let closures through
SELECT pg_temp.visit('deleted', 3, '8:00', '9:00');
SELECT pg_temp.night('accepted');
SELECT * FROM pg_temp.state WHERE child IN ('deleted', 'closed then', 'absent then');
-- what was lost comes back
UPDATE kinderconnect.authorization SET days = NULL WHERE kinderconnect_child_id = 'weekday taken away';
SELECT pg_temp.authorize('not authorized');
SELECT pg_temp.plan();
SELECT * FROM pg_temp.state WHERE child IN ('not authorized', 'weekday taken away');
-- a person takes a lost day back
SELECT kinderconnect.void_day('o', 'A', 'P1', 'corrected', pg_temp.day(3));
SELECT kinderconnect.void_day('o', 'A', 'P1', 'unlinked', pg_temp.day(4));
SELECT kinderconnect.void_day('nobody', 'A', 'P1', 'unlinked', pg_temp.day(3));
SELECT kinderconnect.void_day('o', 'A', 'P1', 'unlinked', NULL);
SELECT kinderconnect.void_day('o', 'A', 'P1', 'unlinked', pg_temp.day(3)), kinderconnect.void_day('o', 'A', 'P1', 'vanished', pg_temp.day(3));
SELECT pg_temp.night('rejected');
SELECT * FROM pg_temp.state WHERE child IN ('unlinked', 'vanished');
SELECT pg_temp.night('accepted') AS "rejected stays so";
SELECT kinderconnect.retry('o', kinderconnect_child_id => 'unlinked');
SELECT pg_temp.night('accepted');
SELECT * FROM pg_temp.state WHERE child IN ('unlinked', 'vanished');
-- the day taken back is not sent again while there is no link, and is not
-- forgotten
SELECT pg_temp.night('accepted') AS "nothing more";
SELECT child, state, reason FROM pg_temp.state WHERE child = 'unlinked';
ROLLBACK TO nights;

-- What the ledger cannot tell: held, corrected in Manage, sent, corrected again.
-- An ordinary day costs no row.
\o /dev/null
SELECT pg_temp.one('ordinary', '8:00', '9:00'), pg_temp.one('story', '8:00', NULL), pg_temp.one('changed before it was sent', '8:00', '9:00');
UPDATE regress_plan.visit SET edited = '2020-01-03' WHERE child_id = 'story';
SELECT pg_temp.plan();
UPDATE regress_plan.visit SET check_out = check_in + interval '2 hours', edited = '2020-01-05' WHERE child_id <> 'ordinary';
SELECT pg_temp.plan();
\o
SELECT pg_temp.night('accepted');
UPDATE regress_plan.visit SET edited = '2020-01-06' WHERE child_id = 'story';
SELECT pg_temp.plan();
SELECT count(*) AS "modified_at alone changes nothing" FROM kinderconnect.child_day WHERE modified_at = '2020-01-06';
UPDATE regress_plan.visit SET check_out = NULL, edited = '2020-01-07' WHERE child_id = 'story';
SELECT pg_temp.night('accepted');
DELETE FROM regress_plan.visit WHERE child_id = 'story';
SELECT pg_temp.night('accepted');
SELECT kinderconnect_child_id AS child, was_state, was_reason, was_detail, was_content, state, reason, detail, content FROM kinderconnect.child_day_step ORDER BY kinderconnect_child_id COLLATE "C", at;
-- (what was made within this one transaction has one time; the order is that of the story)
SELECT CASE event WHEN 'edited' THEN to_char(h.at, 'YYYY-MM-DD') END AS at, event, content, was, state, said FROM kinderconnect.child_day_history h
WHERE kinderconnect_child_id = 'story' AND event IN ('edited', 'planned', 'made', 'answered')
ORDER BY h.at, array_position('{edited,planned,made,answered}', event);
ROLLBACK TO nights;

-- An absence that was accepted gives way to a session at another site, and a
-- session that moves to another day to that day.
\o /dev/null
SELECT pg_temp.provider('P2', 'L2'), pg_temp.child('c'), pg_temp.authorize('c'), pg_temp.authorize('c', provider => 'P2'), pg_temp.note('c', 3, 'absence', 'Sick');
SELECT pg_temp.child('m'), pg_temp.authorize('m', 4, 3), pg_temp.visit('m', 4, '8:00', '9:00');
SELECT pg_temp.night('accepted');
SELECT pg_temp.visit('c', 3, '8:00', '9:00', 'L2');
UPDATE regress_plan.visit SET check_in = check_in + interval '1 day', check_out = check_out + interval '1 day' WHERE child_id = 'm';
\o
SELECT pg_temp.night('accepted');
SELECT child, provider, day, state, reason, detail FROM pg_temp.planned();
SELECT pg_temp.plan();
SELECT child, provider, day, state, reason, detail FROM pg_temp.planned() WHERE child = 'c';
ROLLBACK TO nights;

-- The agency merges an id into another: foreseen, with what was accepted.
\o /dev/null
SELECT pg_temp.child(id), pg_temp.authorize(id, 4, 3), pg_temp.visit(id, 3, '8:00', '9:00') FROM unnest('{old,bystander}'::text[]) id;
INSERT INTO kinderconnect.listed_authorization SELECT 'o', 'A', 'P1', m, id, 'a' FROM kinderconnect._months('o', NULL, NULL) m, unnest('{old,bystander}'::text[]) id;
SELECT pg_temp.night('accepted');
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized) VALUES ('o', 'A', 'new', 'old', 'Lee', '2020-02-02', true);
SELECT pg_temp.authorize('new', 4, 2), pg_temp.visit('old', 2, '8:00', '9:00');
UPDATE kinderconnect.listed_authorization SET kinderconnect_child_id = 'new' WHERE kinderconnect_child_id = 'old';
CREATE TABLE regress_plan.foreseen AS TABLE pg_temp.previewed;
SELECT pg_temp.plan();
\o
SELECT child, day, state, reason, detail, content FROM pg_temp.planned() WHERE child <> 'bystander';
SELECT (SELECT count(*) FROM (TABLE regress_plan.foreseen EXCEPT TABLE pg_temp.written) x) + (SELECT count(*) FROM (TABLE pg_temp.written EXCEPT TABLE regress_plan.foreseen) x) AS "apart from preview before";
SELECT count(*) AS "and after" FROM pg_temp.apart;
ROLLBACK TO nights;

-- Rejected is rejected until something has changed.
\o /dev/null
SELECT pg_temp.one(id, '8:00', '9:00') FROM unnest('{as it was,content,authorization,retry}'::text[]) id;
\o
SELECT pg_temp.night('rejected');
SELECT * FROM pg_temp.state;
UPDATE regress_plan.visit SET check_out = check_out + interval '1 hour' WHERE child_id = 'content';
UPDATE kinderconnect.authorization SET end_date = end_date + 1 WHERE kinderconnect_child_id = 'authorization';
SELECT kinderconnect.retry('o', 'A', 'P1', 'retry', pg_temp.day(2)), kinderconnect.retry('o', 'A', 'P1', 'retry');
SELECT kinderconnect.retry('nobody');
SELECT pg_temp.night('accepted');
SELECT * FROM pg_temp.state;
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'sessions_per_day', '(,)', '5', true, 'test');
SELECT pg_temp.night('accepted') AS "by another rule";
ROLLBACK TO nights;

-- Under way it stays under way, whatever Manage says.
SELECT pg_temp.one('sending', '8:00', '9:00'), pg_temp.one('still right', '8:00', '9:00');
SELECT pg_temp.night('sending');
UPDATE regress_plan.visit SET check_out = check_out + interval '1 hour' WHERE child_id = 'sending';
SELECT pg_temp.plan();
SELECT * FROM pg_temp.state;
SELECT kinderconnect._recover('o');
SELECT pg_temp.night('accepted') AS "nothing new while unknown";
SELECT * FROM pg_temp.state;
-- it had arrived: so the correction is due, and only that
SELECT kinderconnect._settle('o', array_agg(record_id), 'accepted', NULL, NULL) FROM kinderconnect.ledger WHERE state = 'unknown';
SELECT * FROM pg_temp.state;
SELECT pg_temp.night('not_taken');
SELECT * FROM pg_temp.state;
-- what was certainly not taken keeps its record, whose content still stands
SELECT record_id AS before FROM kinderconnect.child_day WHERE kinderconnect_child_id = 'sending' \gset
SELECT pg_temp.night('accepted');
SELECT record_id = :'before' AS "same record", (SELECT count(*) FROM kinderconnect.ledger WHERE kinderconnect_child_id = 'sending') AS records FROM kinderconnect.child_day WHERE kinderconnect_child_id = 'sending';
ROLLBACK TO nights;

-- Most accepted days gone at once: a person is asked.
\o /dev/null
SELECT pg_temp.child('c'), pg_temp.authorize('c', 6, 1);
SELECT pg_temp.visit('c', n, '8:00', '9:00') FROM generate_series(1, 6) n;
SELECT pg_temp.provider('P2', 'L2'), pg_temp.one('elsewhere', '8:00', '9:00', 'P2', location => 'L2');
SELECT pg_temp.night('accepted');
\o
SAVEPOINT there;
-- half of them: no
DELETE FROM regress_plan.visit WHERE child_id = 'c' AND id % 2 = 0;
SELECT pg_temp.plan();
SELECT state, reason, detail, count(*) FROM pg_temp.state GROUP BY 1, 2, 3 ORDER BY 1, 2;
ROLLBACK TO there;
-- fewer than the floor: no
SET LOCAL kinderconnect.shrink_floor = 7;
DELETE FROM regress_plan.visit WHERE child_id = 'c';
SELECT pg_temp.plan();
SELECT state, reason, detail, count(*) FROM pg_temp.state GROUP BY 1, 2, 3 ORDER BY 1, 2;
ROLLBACK TO there;
-- of each provider fewer than the floor, but not of all together: yes
SET LOCAL kinderconnect.shrink_floor = 7;
DELETE FROM regress_plan.visit;
SELECT pg_temp.visit('c', 7, '8:00', '9:00');
SAVEPOINT small;
SELECT pg_temp.plan();
SELECT state, reason, detail, count(*) FROM pg_temp.state GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
ROLLBACK TO small;
-- and a night that is limited to one of them sees it too
SELECT kinderconnect._plan('o', 'A', 'P2', NULL, NULL);
SELECT state, reason, detail, count(*) FROM pg_temp.state GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
ROLLBACK TO there;
-- most sessions gone, and absences made of them: yes
UPDATE regress_plan.visit SET kind = 'absence', day = (check_in AT TIME ZONE 'America/Phoenix')::date, check_in = NULL, check_out = NULL WHERE child_id = 'c' AND id % 2 = 0;
SAVEPOINT half;
SELECT pg_temp.night('accepted') AS "half of them: corrected";
ROLLBACK TO half;
UPDATE regress_plan.visit SET kind = 'absence', day = (check_in AT TIME ZONE 'America/Phoenix')::date, check_in = NULL, check_out = NULL WHERE child_id = 'c' AND kind = 'session';
SELECT pg_temp.night('accepted') AS "nothing sent";
SELECT state, reason, detail, count(*) FROM pg_temp.state GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT kinderconnect.accept_shrink('o');
SELECT pg_temp.night('accepted') AS "corrected";
ROLLBACK TO there;
-- a provider that is another location now has nothing corrected by what is there
UPDATE kinderconnect.provider SET configured_location_id = 'L3' WHERE provider_id = 'P2';
SELECT pg_temp.visit('elsewhere', 3, '8:00', '9:00', 'L3');
SAVEPOINT same;
SELECT pg_temp.night('accepted') AS "the same there: nothing to send";
SELECT state, reason, detail FROM pg_temp.state WHERE child = 'elsewhere';
ROLLBACK TO same;
SELECT pg_temp.visit('elsewhere', 3, '10:00', '11:00', 'L3');
SELECT pg_temp.night('accepted') AS "nothing sent";
SELECT state, reason, detail FROM pg_temp.state WHERE child = 'elsewhere';
ROLLBACK TO there;
-- fewer than any floor, but Manage is empty: yes
SET LOCAL kinderconnect.shrink_floor = 100;
DELETE FROM regress_plan.visit;
SELECT pg_temp.plan();
SELECT state, reason, detail, count(*) FROM pg_temp.state GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
ROLLBACK TO there;
-- more than half: yes
DELETE FROM regress_plan.visit WHERE child_id = 'c' AND (id % 2 = 0 OR id = (SELECT max(id) FROM regress_plan.visit WHERE child_id = 'c' AND id % 2 = 1));
SAVEPOINT gone;
-- a night that is limited to one day sees it too
SELECT min(service_date) AS gone FROM kinderconnect.child_day d WHERE NOT EXISTS (SELECT FROM regress_plan.visit v WHERE v.child_id = d.child_id AND (v.check_in AT TIME ZONE 'America/Phoenix')::date = d.service_date) \gset
SELECT kinderconnect._plan('o', 'A', 'P1', :'gone', :'gone');
SELECT state, reason, detail, count(*) FROM pg_temp.state GROUP BY 1, 2, 3 ORDER BY 1, 2;
ROLLBACK TO gone;
SELECT pg_temp.night('accepted') AS "nothing taken back";
SELECT state, reason, detail, count(*) FROM pg_temp.state GROUP BY 1, 2, 3 ORDER BY 1, 2;
SELECT count(*) AS apart FROM pg_temp.apart;
SELECT operation, agency_id, provider_id, set_aside_at IS NOT NULL AS "set aside", accept_shrink FROM kinderconnect.list_state;
SAVEPOINT shrunk;
SELECT kinderconnect.accept_shrink('nobody');
SELECT kinderconnect.accept_shrink('o');
-- one that is limited to another provider leaves it for the next
SELECT kinderconnect._plan('o', 'A', 'P2', NULL, NULL);
SELECT pg_temp.night('accepted') AS "taken back";
SELECT state, reason, count(*) FROM pg_temp.state GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS "nothing set aside" FROM kinderconnect.list_state;
ROLLBACK TO shrunk;
-- what goes after a person has accepted is not accepted
DELETE FROM regress_plan.visit WHERE child_id = 'c' AND id <> (SELECT max(id) FROM regress_plan.visit WHERE child_id = 'c');
SELECT kinderconnect.accept_shrink('o');
SELECT pg_temp.night('accepted') AS "those that were seen";
SELECT state, reason, count(*) FROM pg_temp.state GROUP BY 1, 2 ORDER BY 1, 2;
ROLLBACK TO shrunk;
-- of one agency or provider; whose it is not, it does not touch
SELECT kinderconnect.accept_shrink('o', 'B');
SELECT kinderconnect.accept_shrink('o', provider_id => 'P2') AS "nor of this one";
SELECT pg_temp.night('accepted') AS "nothing taken back";
SELECT kinderconnect.accept_shrink('o', 'A', 'P1') AS "of one";
SELECT pg_temp.night('accepted') AS "taken back";
SELECT state, reason, count(*) FROM pg_temp.state GROUP BY 1, 2 ORDER BY 1, 2;
ROLLBACK TO shrunk;
-- what a person accepted of one provider does not free what another lost
DELETE FROM regress_plan.visit;
SELECT pg_temp.plan();
SELECT agency_id, provider_id, reason, count(*) FROM kinderconnect.child_day WHERE reason = 'source_shrank' GROUP BY 1, 2, 3 ORDER BY 1, 2;
SELECT kinderconnect.accept_shrink('o', 'A', 'P1') AS "of one of two";
SELECT pg_temp.plan();
SELECT agency_id, provider_id, state, reason, count(*) FROM kinderconnect.child_day WHERE accepted_content IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3;
ROLLBACK TO shrunk;
-- and is not held against it either
DELETE FROM regress_plan.visit;
SELECT pg_temp.visit('c', 7, '8:00', '9:00');
SELECT pg_temp.plan();
SELECT agency_id, provider_id, reason, count(*) FROM kinderconnect.child_day WHERE reason = 'source_shrank' GROUP BY 1, 2, 3 ORDER BY 1, 2;
SELECT kinderconnect.accept_shrink('o', 'A', 'P1') AS "of one of two";
SELECT pg_temp.plan();
SELECT agency_id, provider_id, state, reason, count(*) FROM kinderconnect.child_day WHERE accepted_content IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3;
ROLLBACK TO shrunk;
-- it was the binding: nothing has happened
SELECT pg_temp.visit('c', pg_temp.day(0) - service_date, '8:00', '9:00') FROM kinderconnect.child_day WHERE reason = 'source_shrank';
SELECT pg_temp.night('accepted') AS "nothing sent";
SELECT state, reason, count(*) FROM pg_temp.state GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS "nothing set aside" FROM kinderconnect.list_state;
ROLLBACK TO there;
-- a service that cannot take a day back
UPDATE kinderconnect.dialect_field SET codes = codes - 'void' WHERE operation = 'submit' AND column_name = 'kind';
DELETE FROM regress_plan.visit WHERE child_id = 'elsewhere';
SELECT pg_temp.night('accepted') AS "nothing taken back";
SELECT state, reason, count(*) FROM pg_temp.state GROUP BY 1, 2 ORDER BY 1, 2;
SELECT kinderconnect.void_day('o', 'A', 'P2', 'elsewhere', pg_temp.day(3));
ROLLBACK TO nights;

-- Corrections have a window of their own.
\o /dev/null
SELECT pg_temp.one('corrected', '8:00', '9:00'), pg_temp.one('entered', '8:00', NULL);
SELECT pg_temp.night('accepted');
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'entry_window_days', '(,)', '9', true, 'test'), ('A', 'correction_window_days', '(,)', '2', true, 'test');
UPDATE regress_plan.visit SET check_out = check_in + interval '3 hours';
\o
SELECT pg_temp.night('accepted');
SELECT child, state, reason, content, there FROM pg_temp.state;
ROLLBACK TO nights;

-- A person's void obeys it too, and says so once.
\o /dev/null
SELECT pg_temp.one('lost', '8:00', '9:00');
SELECT pg_temp.night('accepted');
DELETE FROM kinderconnect.authorization;
SELECT pg_temp.plan();
SELECT kinderconnect.void_day('o', 'A', 'P1', 'lost', pg_temp.day(3));
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'correction_window_days', '(,)', '2', true, 'test');
SELECT pg_temp.plan();
\o
SELECT state, reason, kind FROM kinderconnect.preview('o') WHERE finished;
SELECT pg_temp.night('accepted') AS "nothing sent";
SELECT pg_temp.night('accepted') AS "nothing sent";
SELECT was_state, was_reason, state, reason FROM kinderconnect.child_day_step WHERE was_reason = 'window_closed' OR reason = 'window_closed';
-- and goes as soon as the agency takes it
UPDATE kinderconnect.agency_rule SET value = '3' WHERE agency_id = 'A';
SELECT pg_temp.night('accepted');
SELECT state FROM pg_temp.state;
ROLLBACK TO nights;

-- It is for days that have no authorization or no link, and ends with that.
\o /dev/null
SELECT pg_temp.one('back', '8:00', '9:00'), pg_temp.one('back and changed', '8:00', '9:00'), pg_temp.one('still lost', '8:00', '9:00');
SELECT pg_temp.night('accepted');
UPDATE kinderconnect.authorization SET begin_date = begin_date - 9, end_date = end_date - 9;
SELECT pg_temp.plan();
SELECT kinderconnect.void_day('o', 'A', 'P1', id, pg_temp.day(3)) FROM unnest('{back,back and changed,still lost}'::text[]) id;
UPDATE kinderconnect.authorization SET begin_date = begin_date + 9, end_date = end_date + 9 WHERE kinderconnect_child_id LIKE 'back%';
UPDATE regress_plan.visit SET check_out = check_out + interval '1 hour' WHERE child_id = 'back and changed';
\o
SAVEPOINT wished;
SELECT pg_temp.night('accepted');
SELECT child, state, reason, there FROM pg_temp.state;
SELECT count(*) AS wishes FROM kinderconnect.child_day WHERE void_wanted;
ROLLBACK TO wished;
UPDATE kinderconnect.provider SET enabled = false;
SELECT pg_temp.night('accepted') AS "nothing sent";
SELECT child, state, reason, there FROM pg_temp.state;
UPDATE kinderconnect.provider SET enabled = true;
SELECT pg_temp.night('accepted');
ROLLBACK TO nights;

-- A provider ID that is issued anew, for days that were sent under another one:
-- there is one attendance, and it is there already.
\o /dev/null
SELECT pg_temp.one('c', '8:00', '9:00'), pg_temp.one('other', '8:00', '9:00');
SELECT pg_temp.night('accepted');
\o
SAVEPOINT issued;
-- the first is another location's now
UPDATE kinderconnect.provider SET configured_location_id = 'L2' WHERE provider_id = 'P1';
SELECT pg_temp.provider('P3', 'L1'), pg_temp.authorize('c', provider => 'P3'), pg_temp.visit('other', 3, '8:00', '9:00', 'L2');
SELECT pg_temp.night('accepted') AS "nothing sent";
SELECT * FROM pg_temp.planned() WHERE child = 'c';
SELECT count(*) AS apart FROM pg_temp.apart;
ROLLBACK TO issued;
-- or none's
UPDATE kinderconnect.provider SET configured_location_id = 'L9', enabled = false WHERE provider_id = 'P1';
SELECT pg_temp.provider('P3', 'L1'), pg_temp.authorize('c', provider => 'P3');
SELECT pg_temp.night('accepted') AS "nothing sent";
SELECT provider, state, reason, detail FROM pg_temp.planned() WHERE child = 'c';
ROLLBACK TO issued;
-- what was sent of another child of Manage under the id is not this one's
UPDATE kinderconnect.provider SET configured_location_id = 'L2' WHERE provider_id = 'P1';
UPDATE kinderconnect.ledger SET child_id = 'other' WHERE kinderconnect_child_id = 'c';
SELECT pg_temp.provider('P3', 'L1'), pg_temp.authorize('c', provider => 'P3');
SELECT pg_temp.night('accepted');
ROLLBACK TO issued;
-- what Manage says of another site goes there at once
UPDATE regress_plan.visit SET location_id = 'L2' WHERE child_id = 'c';
SELECT pg_temp.provider('P3', 'L2'), pg_temp.authorize('c', provider => 'P3');
SELECT pg_temp.night('accepted');
ROLLBACK TO issued;
-- and the child has another id
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized) VALUES ('o', 'A', 'new', 'new', 'Lee', '2020-02-02', true);
UPDATE kinderconnect.child_link SET linked_at = now() - interval '1 day', ended_at = now(), ended_by = 'match', end_reason = 'merged into new' WHERE kinderconnect_child_id = 'c';
INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method) VALUES ('o', 'A', 'new', 'c', 'exact_location');
UPDATE kinderconnect.provider SET configured_location_id = 'L2' WHERE provider_id = 'P1';
SELECT pg_temp.provider('P3', 'L1'), pg_temp.authorize('new', provider => 'P3');
SELECT kinderconnect._plan('o', NULL, NULL, NULL, NULL);
SELECT child, provider, state, reason, detail FROM pg_temp.planned() WHERE child = 'new';
ROLLBACK TO issued;
-- care at two sites under two IDs is no such thing
SELECT pg_temp.provider('P3', 'L3'), pg_temp.authorize('c', provider => 'P3'), pg_temp.visit('c', 3, '10:00', '11:00', 'L3');
SELECT pg_temp.night('accepted');
ROLLBACK TO nights;

-- Two reasons of one absence are no conflict for a service that asks for none.
\o /dev/null
SELECT pg_temp.one('absent'), pg_temp.note('absent', 3, 'absence', 'Sick'), pg_temp.note('absent', 3, 'absence', 'Holiday');
\o
SELECT pg_temp.night('accepted') AS "nothing sent";
SELECT child, state, reason, detail FROM pg_temp.state;
DELETE FROM kinderconnect.dialect_field WHERE operation = 'submit' AND column_name = 'absence_reason';
SELECT pg_temp.night('accepted');
ROLLBACK TO nights;

-- A record goes once more while its child is linked to whose attendance it is, or
-- was until another id took its place; and what takes a day back always.
\o /dev/null
SELECT pg_temp.one('c', '8:00', '9:00');
SELECT pg_temp.night('sending');
\o
SELECT kinderconnect._is_still_its(l) AS linked FROM kinderconnect.ledger l;
UPDATE kinderconnect.child_link SET child_id = 'another';
SELECT kinderconnect._is_still_its(l) AS "linked to another" FROM kinderconnect.ledger l;
UPDATE kinderconnect.child_link SET child_id = 'c', linked_at = now() - interval '1 day', ended_at = now(), ended_by = 'match', end_reason = 'merged into new';
SELECT kinderconnect._is_still_its(l) AS merged FROM kinderconnect.ledger l;
UPDATE kinderconnect.child_link SET end_reason = 'another child';
SELECT kinderconnect._is_still_its(l) AS unlinked FROM kinderconnect.ledger l;
UPDATE kinderconnect.ledger SET kind = 'void', session_in = NULL, session_out = NULL, content = 'void';
SELECT kinderconnect._is_still_its(l) AS "a void" FROM kinderconnect.ledger l;
ROLLBACK TO nights;

-- An authorization that moved to another ID of the location: what has vanished is
-- no rival of what stands.
\o /dev/null
SELECT pg_temp.child('c'), pg_temp.authorize('c', 5, 1), pg_temp.visit('c', 3, '8:00', '9:00'), pg_temp.visit('c', 4, '8:00', '9:00');
UPDATE kinderconnect.authorization SET known_from = now() - interval '9 days', known_until = now() - interval '10 minutes', closed_as = 'vanished';
SELECT pg_temp.provider('P3', 'L1'), pg_temp.authorize('c', 4, 1, provider => 'P3', name => 'b');
\o
SELECT pg_temp.night('accepted');
SELECT provider, day, state, reason FROM pg_temp.planned() WHERE day IN (3, 4);
ROLLBACK TO nights;

-- A rule that comes later does not undo what was accepted before: there is
-- nothing to report by hand. It holds what has changed since, and a punch that is
-- missing.
\o /dev/null
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'overnight', '(,)', 'whole', true, 'test'), ('A', 'lone_punch', '(,)', 'send', true, 'test');
SELECT pg_temp.one(id, '8:00', '9:00'), pg_temp.visit(id, 3, '10:00', '11:00'), pg_temp.visit(id, 3, '12:00', '13:00') FROM unnest('{three,three and changed}'::text[]) id;
SELECT pg_temp.one(id, '20:00', '30:00') FROM unnest('{night,night and changed}'::text[]) id;
SELECT pg_temp.one(id), pg_temp.note(id, 3, 'absence', 'Sick') FROM unnest('{absence,absence and changed}'::text[]) id;
SELECT pg_temp.one('lone', '8:00', NULL);
SELECT pg_temp.night('accepted');
DELETE FROM kinderconnect.agency_rule WHERE agency_id = 'A';
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'sessions_per_day', '(,)', '2', true, 'test');
INSERT INTO kinderconnect.absence_reason VALUES ('A', 'Vacation', 'V');
UPDATE regress_plan.visit SET check_out = check_out + interval '1 minute', reason = 'Ill' WHERE child_id LIKE '% and changed';
\o
SELECT pg_temp.night('accepted') AS "nothing sent";
SELECT * FROM pg_temp.state;
SELECT count(*) AS apart FROM pg_temp.apart;
ROLLBACK TO nights;

-- The horizon: what it passes stays, but is not sent on an old judgement.
\o /dev/null
SELECT pg_temp.child('c'), pg_temp.authorize('c', 50, 1), pg_temp.visit('c', 46, '8:00', '9:00'), pg_temp.visit('c', 45, '8:00', '9:00'), pg_temp.visit('c', 44, '8:00', '9:00'), pg_temp.visit('c', 1, '8:00', '9:00');
SELECT pg_temp.plan();
\o
SELECT min(day) AS newest, max(day) AS oldest, count(*) AS days, count(*) FILTER (WHERE state = 'ready') AS ready FROM pg_temp.state;
SET LOCAL kinderconnect.horizon_days = 44;
SELECT pg_temp.night('accepted');
SELECT day, state, reason FROM pg_temp.state WHERE day >= 44 OR state <> 'held' ORDER BY day;
SELECT count(*) AS days FROM pg_temp.state;
SET LOCAL kinderconnect.horizon_days = 60;
SELECT pg_temp.night('accepted') AS "a longer horizon takes it up again";
-- the organization's own start
UPDATE kinderconnect.organization SET first_enabled = pg_temp.day(5), backfill_days = 2;
SELECT max(pg_temp.day(0) - service_date) AS oldest FROM kinderconnect.preview('o');
ROLLBACK TO nights;

-- What is accepted on the day on which it grows too old, and gone from Manage, is
-- told so; where the date is always one ahead of the last zone's.
\o /dev/null
UPDATE regress_plan.location SET zone = 'Pacific/Kiritimati' WHERE location_id = 'L1';
SELECT pg_temp.child('c');
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date) VALUES ('o', 'A', 'P1', 'c', 'a', '2020-01-01');
INSERT INTO regress_plan.visit (location_id, child_id, kind, day)
SELECT 'L1', 'c', 'absence', (now() AT TIME ZONE 'Pacific/Kiritimati')::date - n FROM unnest('{45,46}'::integer[]) n;
SET LOCAL kinderconnect.horizon_days = 46;
SELECT pg_temp.night('sending');
DELETE FROM regress_plan.visit;
SELECT pg_temp.plan();
SET LOCAL kinderconnect.horizon_days = 45;
SELECT kinderconnect._settle('o', array_agg(record_id), 'accepted', NULL, NULL) FROM kinderconnect.ledger;
SELECT pg_temp.plan();
\o
SELECT day, state, reason FROM pg_temp.planned('Pacific/Kiritimati') WHERE day > 44;
ROLLBACK TO nights;

-- One that looked on and then sends: nobody is asked for days that are older than
-- its backfill, until that is made longer.
\o /dev/null
UPDATE kinderconnect.organization SET first_enabled = pg_temp.day(20), backfill_days = 0, sends = false;
SELECT pg_temp.child('c'), pg_temp.authorize('c', 60, -9), pg_temp.visit('c', 19, '8:00', '9:00'), pg_temp.visit('c', 18, '8:00', NULL), pg_temp.visit('c', 5, '8:00', '9:00'), pg_temp.visit('c', 4, '8:00', NULL);
SELECT pg_temp.plan();
UPDATE kinderconnect.organization SET first_enabled = pg_temp.day(5), sends = true;
\o
SELECT pg_temp.night('accepted');
SELECT state, reason, min(day) AS newest, max(day) AS oldest, count(*) AS days FROM pg_temp.state WHERE day > 3 GROUP BY 1, 2 ORDER BY 3;
SELECT max(pg_temp.day(0) - service_date) AS oldest FROM kinderconnect.unsettled_day;
SELECT was_state, was_reason, state, reason, count(*) FROM kinderconnect.child_day_step GROUP BY 1, 2, 3, 4 ORDER BY 5, 1;
SELECT pg_temp.plan();
SELECT count(*) AS "no step twice" FROM kinderconnect.child_day_step;
UPDATE kinderconnect.organization SET backfill_days = 14;
SELECT pg_temp.night('accepted');
SELECT state, reason, min(day) AS newest, max(day) AS oldest, count(*) AS days FROM pg_temp.state WHERE day > 17 GROUP BY 1, 2 ORDER BY 3;
ROLLBACK TO nights;
-- What the service holds is not forgotten when an organization sends less.
\o /dev/null
UPDATE kinderconnect.organization SET first_enabled = pg_temp.day(20), backfill_days = 0;
SELECT pg_temp.child('c'), pg_temp.authorize('c', 11, 8), pg_temp.visit('c', 11, '8:00', '9:00'), pg_temp.visit('c', 10, '8:00', '9:00'), pg_temp.visit('c', 9, '8:00', '9:00');
SELECT pg_temp.night('accepted');
UPDATE regress_plan.visit SET check_out = CASE check_in WHEN min THEN check_out + interval '1 hour' WHEN max THEN NULL ELSE check_out END FROM (SELECT min(check_in), max(check_in) FROM regress_plan.visit) m;
SELECT pg_temp.plan();
UPDATE kinderconnect.organization SET first_enabled = pg_temp.day(5);
SELECT pg_temp.plan();
\o
SELECT day, state, reason, there FROM pg_temp.state WHERE day > 5;
ROLLBACK TO nights;

-- The days clocks change: each in a zone that had it within the last 364
-- days, whatever day it is; of these two one always has.
SET LOCAL kinderconnect.horizon_days = 366;
CREATE TABLE regress_plan.change AS
SELECT DISTINCT ON (back) zone, d::date AS day, back,
	(SELECT max(t) FROM generate_series(d AT TIME ZONE zone, (d + interval '1 day') AT TIME ZONE zone, interval '30 minutes') t
		WHERE (t AT TIME ZONE zone) - ((t - interval '1 second') AT TIME ZONE zone) <> interval '1 second') AS at
FROM unnest(ARRAY['America/Chicago', 'Europe/London']) zone, generate_series(pg_temp.day(364)::timestamp, pg_temp.day(1)::timestamp, interval '1 day') d,
	LATERAL (SELECT (d + interval '1 day') AT TIME ZONE zone - d AT TIME ZONE zone AS length) l, LATERAL (SELECT length > interval '24 hours' AS back) b
WHERE length <> interval '24 hours' ORDER BY back, zone COLLATE "C", d DESC;
SELECT back, (d2.length = interval '25 hours') AS "25 hours" FROM regress_plan.change c, LATERAL (SELECT ((day + 1)::timestamp AT TIME ZONE zone) - (day::timestamp AT TIME ZONE zone) AS length) d2 ORDER BY back;
UPDATE regress_plan.location l SET zone = c.zone FROM regress_plan.change c WHERE l.location_id = CASE WHEN c.back THEN 'L2' ELSE 'L3' END;
\o /dev/null
SELECT pg_temp.provider('back', 'L2'), pg_temp.provider('forward', 'L3');
-- minutes before and after the change
CREATE FUNCTION pg_temp.around(id text, arrived integer, departed integer, was_back boolean DEFAULT true, days_before integer DEFAULT 0) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.child(id);
	INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date)
	SELECT 'o', 'A', CASE WHEN was_back THEN 'back' ELSE 'forward' END, id, 'a', c.day - days_before, c.day - days_before FROM regress_plan.change c WHERE c.back = was_back;
	INSERT INTO regress_plan.visit (location_id, child_id, kind, check_in, check_out)
	SELECT CASE WHEN was_back THEN 'L2' ELSE 'L3' END, id, 'session', at + arrived * interval '1 minute', at + departed * interval '1 minute' FROM regress_plan.change c WHERE c.back = was_back $$;
SELECT pg_temp.around('1 around it', -90, 120), pg_temp.around('2 all in the first reading', -50, -10), pg_temp.around('3 all in the second reading', 10, 50),
	pg_temp.around('4 first to second', -50, 10), pg_temp.around('5 out in the first', -90, -20), pg_temp.around('6 out in the second', -90, 20), pg_temp.around('7 in in the second', 20, 90),
	pg_temp.around('8 after it', 60, 120), pg_temp.around('9 at the change itself', 0, 90), pg_temp.around('9 last minute of the first', -90, -1);
SELECT pg_temp.around('f1 around it', -30, 30, false), pg_temp.around('f2 at it', -30, 0, false), pg_temp.around('f3 from it', 0, 30, false);
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'overnight', '(,)', 'whole', true, 'test');
-- a day and a bit on the clock, less than one on the sun: it would read as minutes
SELECT pg_temp.around('a day and a bit on the sun, not on the clock', -1020, 480, true, 1);
SELECT pg_temp.around('f4 whole day on the clock', -960, 450, false, 1);
SELECT pg_temp.plan();
\o
SELECT kinderconnect_child_id AS child, state, reason,
	extract(epoch FROM session_out[1] - session_in[1])::integer / 60 AS "minutes on the clock", cardinality(session_in) AS sessions
FROM kinderconnect.child_day WHERE kinderconnect_child_id ~ '^(f?[0-9]|a day)' ORDER BY kinderconnect_child_id COLLATE "C";
SELECT count(*) AS apart FROM pg_temp.apart;
ROLLBACK TO nights;

-- A year of any sessions in seven zones, and many around each change of their
-- clocks: the content says the wall minutes, or the day is held for its times.
-- Chile sets its clocks back in April, so that one change is among them
-- whatever day it is.
SET LOCAL kinderconnect.horizon_days = 366;
\o /dev/null
CREATE FUNCTION pg_temp.any(seed text, below integer) RETURNS integer IMMUTABLE LANGUAGE sql AS $$ SELECT (('x' || substr(md5(seed), 1, 7))::bit(28)::integer % below) $$;
CREATE TABLE regress_plan.zone AS SELECT 'L' || n + 1 AS location, zone, 'Z' || n AS id
FROM unnest('{America/New_York,America/Chicago,America/Denver,America/Phoenix,America/Los_Angeles,Pacific/Honolulu,America/Santiago}'::text[]) WITH ORDINALITY z(zone, n);
UPDATE regress_plan.location l SET zone = z.zone FROM regress_plan.zone z WHERE z.location = l.location_id;
SELECT pg_temp.provider(id, location), pg_temp.child(id) FROM regress_plan.zone;
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date) SELECT 'o', 'A', id, id, 'a', '2020-01-01' FROM regress_plan.zone;
INSERT INTO regress_plan.visit (location_id, child_id, kind, check_in, check_out)
SELECT location, id, 'session', a.at, a.at + pg_temp.any(id || n || 'long', 50400) * interval '1 second'
FROM regress_plan.zone, generate_series(1, 364) n, LATERAL (SELECT (pg_temp.day(n) + pg_temp.any(id || n, 86400) * interval '1 second') AT TIME ZONE zone AS at) a;
-- a child for each session
CREATE TABLE regress_plan.near AS
SELECT z.*, format('%s near %s', z.id, row_number() OVER (ORDER BY z.id, t, n)) AS child, t.t + (pg_temp.any(z.id || n || 'near', 18000) - 9000) * interval '1 second' AS at, n
FROM regress_plan.zone z,
	generate_series(date_trunc('hour', now()) - interval '360 days', now() - interval '5 days', interval '1 hour') t, generate_series(1, 25) n
WHERE (t.t AT TIME ZONE z.zone) - ((t.t - interval '1 second') AT TIME ZONE z.zone) <> interval '1 second';
SELECT pg_temp.child(child) FROM regress_plan.near;
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date)
SELECT 'o', 'A', id, child, 'a', (at AT TIME ZONE zone)::date, (at AT TIME ZONE zone)::date FROM regress_plan.near;
INSERT INTO regress_plan.visit (location_id, child_id, kind, check_in, check_out)
SELECT location, child, 'session', at, at + pg_temp.any(child, 12000) * interval '1 second' FROM regress_plan.near;
SELECT pg_temp.plan();
-- said another way: a wall time is the first of its kind, or an hour before it was the same
CREATE VIEW regress_plan.oracle AS
SELECT v.child_id, (v.check_in AT TIME ZONE z.zone)::date AS day, CASE
		WHEN to_char(v.check_in, 'YYYY-MM-DD HH24:MI') = to_char(v.check_out, 'YYYY-MM-DD HH24:MI') THEN 'too_short'
		WHEN (v.check_out AT TIME ZONE z.zone)::date <> (v.check_in AT TIME ZONE z.zone)::date THEN 'over_midnight'
		WHEN to_char((v.check_in - interval '1 hour') AT TIME ZONE z.zone, 'YYYY-MM-DD HH24:MI') = to_char(v.check_in AT TIME ZONE z.zone, 'YYYY-MM-DD HH24:MI')
			OR to_char((v.check_out - interval '1 hour') AT TIME ZONE z.zone, 'YYYY-MM-DD HH24:MI') = to_char(v.check_out AT TIME ZONE z.zone, 'YYYY-MM-DD HH24:MI') THEN 'clock_change'
		ELSE to_char(v.check_in AT TIME ZONE z.zone, 'HH24:MI-') || to_char(v.check_out AT TIME ZONE z.zone, 'HH24:MI') END AS said
FROM regress_plan.visit v JOIN regress_plan.zone z ON z.location = v.location_id
-- that of yesterday goes on in Hawaii
WHERE (v.check_in AT TIME ZONE z.zone)::date < (now() AT TIME ZONE z.zone)::date;
\o
SELECT count(*) > 2000 AS many, count(*) FILTER (WHERE coalesce(d.content, d.reason) IS DISTINCT FROM o.said) AS other,
	count(*) FILTER (WHERE o.said = 'over_midnight') > 0 AS some_over, count(*) FILTER (WHERE o.said = 'clock_change') > 0 AS some_changed
FROM regress_plan.oracle o LEFT JOIN kinderconnect.child_day d ON (d.kinderconnect_child_id, d.service_date) = (o.child_id, o.day)
WHERE (o.day > pg_temp.day(364));
-- a day is over when it is over there, and each is in one state with one reason
SELECT count(*) FILTER (WHERE newest <> today - 1) AS wrong, count(*) AS zones
FROM (SELECT z.zone, (now() AT TIME ZONE z.zone)::date AS today, max(d.service_date) AS newest FROM kinderconnect.child_day d JOIN regress_plan.zone z ON z.location = d.location_id GROUP BY z.zone) n;
SELECT sum(n) = (SELECT count(*) FROM kinderconnect.child_day) AS "adds up", sum(n) FILTER (WHERE reason = 'nothing_recorded') > 0 AS silent,
	array_agg(DISTINCT state ORDER BY state) AS states, sum(n) = (SELECT sum(days) FROM kinderconnect.provider_summary) AND sum(n) = (SELECT sum(accepted + ready + held + rejected + unknown + voided + not_due) FROM kinderconnect.provider_summary) AS "in the views too"
FROM (SELECT state, reason, count(*) AS n FROM kinderconnect.child_day GROUP BY state, reason) s;
ROLLBACK TO nights;

-- Care past midnight, split: at the end of a month too, and to a day that is
-- not authorized, and today.
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'overnight', '(,)', 'split', true, 'test');
\o /dev/null
SELECT pg_temp.one('the next day', '20:00', '30:00'), pg_temp.authorize('the next day', 2, 2, name => 'b');
SELECT pg_temp.one('and more there', '20:00', '30:00'), pg_temp.authorize('and more there', 2, 2, name => 'b'), pg_temp.visit('and more there', 2, '8:00', '9:00');
SELECT pg_temp.one('overlaps there', '20:00', '32:00'), pg_temp.authorize('overlaps there', 2, 2, name => 'b'), pg_temp.visit('overlaps there', 2, '7:00', '9:00');
SELECT pg_temp.one('not authorized there', '20:00', '30:00');
SELECT pg_temp.one('midnight sharp', '20:00', '24:00:59');
SELECT pg_temp.one('too long', '8:00', '33:00');
SELECT pg_temp.one('no check-out', '20:00', NULL);
SELECT pg_temp.child('into today'), pg_temp.authorize('into today', 1, 0), pg_temp.visit('into today', 1, '20:00', '25:00');
SELECT pg_temp.child('over the end of a month'), pg_temp.authorize('over the end of a month', 45, 1);
INSERT INTO regress_plan.visit (location_id, child_id, kind, check_in, check_out)
SELECT 'L1', 'over the end of a month', 'session', (m - interval '2 hours') AT TIME ZONE 'America/Phoenix', (m + interval '3 hours') AT TIME ZONE 'America/Phoenix'
FROM date_trunc('month', pg_temp.day(5)::timestamp) m;
SELECT pg_temp.plan();
\o
SELECT child, day, state, reason, detail, content FROM pg_temp.planned() WHERE child <> 'over the end of a month';
SELECT service_date = date_trunc('month', pg_temp.day(5))::date AS first_of_month, state, content FROM kinderconnect.child_day
WHERE kinderconnect_child_id = 'over the end of a month' AND content IS NOT NULL ORDER BY service_date;
SELECT content FROM kinderconnect.preview('o') WHERE kinderconnect_child_id = 'into today' AND NOT finished;
SELECT count(*) AS apart FROM pg_temp.apart;
ROLLBACK TO nights;

-- Nobody is at two sites at a time, past midnight either: of care that is split
-- there, the part that does not fit is held.
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'overnight', '(,)', 'split', true, 'test');
\o /dev/null
SELECT pg_temp.provider('P2', 'L2');
SELECT pg_temp.child(id), pg_temp.authorize(id, 4, 3), pg_temp.authorize(id, 4, 3, provider => 'P2'), pg_temp.visit(id, 4, '20:00', '30:00') FROM unnest('{before midnight,after midnight,after the night}'::text[]) id;
SELECT pg_temp.visit('before midnight', 4, '19:00', '21:00', 'L2'), pg_temp.visit('after midnight', 3, '5:00', '8:00', 'L2'), pg_temp.visit('after the night', 3, '6:00', '8:00', 'L2');
SELECT pg_temp.plan();
\o
SELECT child, provider, day, state, reason, detail, content FROM pg_temp.planned() WHERE reason IS DISTINCT FROM 'other_provider';
SELECT count(*) AS apart FROM pg_temp.apart;
ROLLBACK TO nights;

-- Kept whole, a night is held with what it runs into the day after, at the edge
-- of the horizon too. One that is impossible by itself says nothing about it.
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'overnight', '(,)', 'whole', true, 'test');
\o /dev/null
SELECT pg_temp.provider('P2', 'L2');
SELECT pg_temp.child(id), pg_temp.authorize(id, 4, 3), pg_temp.visit(id, 4, '20:00', '30:00') FROM unnest('{overlaps,to the minute,lone within,at another site,out before in}'::text[]) id;
SELECT pg_temp.visit('out before in', 3, '5:00', '4:00'), pg_temp.visit('overlaps', 3, '5:59', '8:00'), pg_temp.visit('to the minute', 3, '6:00', '8:00'), pg_temp.visit('lone within', 3, '5:00', NULL), pg_temp.authorize('at another site', 4, 3, provider => 'P2'), pg_temp.visit('at another site', 3, '5:00', '8:00', 'L2');
SELECT pg_temp.child('closed in the morning'), pg_temp.authorize('closed in the morning', 4, 3), pg_temp.visit('closed in the morning', 4, '8:00', '31:55'), pg_temp.visit('closed in the morning', 3, '7:30', '17:00');
SELECT pg_temp.child('too long'), pg_temp.authorize('too long', 4, 3), pg_temp.visit('too long', 4, '8:00', '33:00'), pg_temp.visit('too long', 3, '8:00', '9:00');
SELECT pg_temp.child('edge'), pg_temp.authorize('edge', 46, 45), pg_temp.visit('edge', 46, '20:00', '30:00'), pg_temp.visit('edge', 45, '5:00', '8:00');
SELECT pg_temp.plan();
\o
SELECT child, provider, day, state, reason, detail, content FROM pg_temp.planned() WHERE reason IS DISTINCT FROM 'other_provider';
SELECT count(*) AS apart FROM pg_temp.apart;
ROLLBACK TO nights;

-- A site that moves to another zone: what was planned there keeps its wall
-- times, is neither sent again nor taken back; what comes is read in the new one.
\o /dev/null
SELECT pg_temp.child('c'), pg_temp.authorize('c', 4, -9), pg_temp.visit('c', 4, '23:30', '23:45'), pg_temp.visit('c', 3, '8:00', '9:00'), pg_temp.visit('c', 2, '0:10', '0:20');
SELECT pg_temp.night('accepted');
\o
UPDATE regress_plan.location SET zone = 'Pacific/Honolulu' WHERE location_id = 'L1';
SELECT count(*) AS "previewed as sent" FROM kinderconnect.preview('o') WHERE finished AND state = 'ready';
-- entered late, on a day that was planned before; and today
SELECT pg_temp.visit('c', 2, '20:00', '21:00');
UPDATE regress_plan.visit SET check_in = check_in - interval '3 hours', check_out = check_out - interval '3 hours' WHERE id = (SELECT max(id) FROM regress_plan.visit);
SELECT pg_temp.night('accepted') AS "the late one alone";
SELECT child, day, state, reason, content FROM pg_temp.planned() WHERE reason IS DISTINCT FROM 'nothing_recorded';
INSERT INTO regress_plan.visit (location_id, child_id, kind, check_in, check_out)
SELECT 'L1', 'c', 'session', (pg_temp.day(0) + time '11:00') AT TIME ZONE 'America/Phoenix', (pg_temp.day(0) + time '12:00') AT TIME ZONE 'America/Phoenix';
SELECT t.content, t.zone FROM kinderconnect._attendance('o', pg_temp.day(0)) a, LATERAL (SELECT to_char(a.check_in AT TIME ZONE a.zone, 'HH24:MI') AS content, a.zone) t WHERE a.check_in >= pg_temp.day(0)::timestamp AT TIME ZONE 'America/Phoenix';
SELECT zone, valid_from = '-infinity' AS "from ever", valid_until = 'infinity' AS still, (valid_from = pg_temp.day(0)::timestamp AT TIME ZONE 'America/Phoenix') AS "from today" FROM kinderconnect.location_zone ORDER BY location_zone.valid_from;
-- no zone for a night, and there again: nothing
UPDATE regress_plan.location SET zone = NULL WHERE location_id = 'L1';
SELECT pg_temp.night('accepted');
UPDATE regress_plan.location SET zone = 'Pacific/Honolulu' WHERE location_id = 'L1';
SELECT pg_temp.night('accepted') AS nothing;
-- it was the wrong zone all along
DELETE FROM kinderconnect.location_zone;
SELECT pg_temp.plan();
SELECT count(*) FILTER (WHERE content <> accepted_content) > 0 AS "corrected" FROM kinderconnect.child_day;
ROLLBACK TO nights;

-- A zone that is put right before anything is sent: nothing was sent in the wrong
-- one, so nothing keeps it.
\o /dev/null
UPDATE kinderconnect.organization SET sends = false;
SELECT pg_temp.child('c'), pg_temp.authorize('c', 4, 1), pg_temp.visit('c', 3, '8:00', '9:00'), pg_temp.visit('c', 2, '8:00', NULL);
UPDATE regress_plan.location SET zone = 'Etc/GMT+5' WHERE location_id = 'L1';
SELECT pg_temp.plan();
UPDATE regress_plan.location SET zone = 'America/Phoenix' WHERE location_id = 'L1';
SELECT pg_temp.plan();
UPDATE kinderconnect.organization SET sends = true;
\o
SELECT content FROM kinderconnect.preview('o') WHERE state = 'ready';
SELECT pg_temp.night('accepted');
SELECT zone, valid_from, valid_until FROM kinderconnect.location_zone WHERE location_id = 'L1';
ROLLBACK TO nights;

-- One whose answer was lost may have been taken as it was sent.
\o /dev/null
SELECT pg_temp.child('c'), pg_temp.authorize('c', 3, 3), pg_temp.visit('c', 3, '8:00', '9:00');
SELECT pg_temp.night('unknown');
UPDATE regress_plan.location SET zone = 'Pacific/Honolulu' WHERE location_id = 'L1';
SELECT pg_temp.plan();
\o
SELECT zone, valid_until = 'infinity' AS still FROM kinderconnect.location_zone WHERE location_id = 'L1' ORDER BY location_zone.valid_from;
ROLLBACK TO nights;

-- A day that was ready, and is not over any more, is no longer looked at, and is
-- not sent: whether it is ahead or behind. Both are steps.
INSERT INTO kinderconnect.child_day (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, state, content, basis)
SELECT 'o', 'A', 'P1', 'c', day, true, 'ready', '08:00-09:00', 'b' FROM unnest(ARRAY[pg_temp.day(-1), pg_temp.day(90)]) day;
SELECT pg_temp.night('accepted');
SELECT day, state, reason FROM pg_temp.planned();
SELECT was_state, state, reason FROM kinderconnect.child_day_step ORDER BY service_date;
ROLLBACK TO nights;

-- Entered late, and moved to another day.
\o /dev/null
SELECT pg_temp.child('late'), pg_temp.authorize('late', 40, 1);
SELECT pg_temp.night('accepted');
SELECT pg_temp.visit('late', 40, '8:00', '9:00');
\o
SELECT pg_temp.night('accepted');
UPDATE regress_plan.visit SET check_in = check_in + interval '2 days', check_out = check_out + interval '2 days';
SELECT pg_temp.night('accepted');
UPDATE kinderconnect.dialect_field SET codes = codes - 'void' WHERE operation = 'submit' AND column_name = 'kind';
UPDATE regress_plan.visit SET check_in = check_in + interval '1 day', check_out = check_out + interval '1 day';
SELECT pg_temp.night('accepted');
SELECT child, day, state, reason FROM pg_temp.planned() WHERE reason IS DISTINCT FROM 'nothing_recorded';
ROLLBACK TO nights;

-- Days of long ago, planned as of then. 29 February: a day like any other, of
-- an authorization, an absence, a window, and of care past midnight into and
-- out of it; and the end of a year.
INSERT INTO kinderconnect.agency (agency_id, time_zone) VALUES ('A', 'America/Phoenix');
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'overnight', '(,)', 'split', true, 'test');
CREATE FUNCTION pg_temp.then(id text, begins date, ends date, days text[] DEFAULT NULL, provider text DEFAULT 'P1', agency text DEFAULT 'A') RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, days) VALUES ('o', agency, provider, id, 'a', begins, ends, days) $$;
CREATE FUNCTION pg_temp.session(id text, arrived text, departed text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO regress_plan.visit (location_id, child_id, kind, check_in, check_out) VALUES ('L1', id, 'session', arrived::timestamp AT TIME ZONE 'America/Phoenix', departed::timestamp AT TIME ZONE 'America/Phoenix') $$;
CREATE FUNCTION pg_temp.as_of(at text) RETURNS TABLE (child text, day date, state text, reason text, detail text, content text) LANGUAGE sql AS $$
	SELECT kinderconnect_child_id, service_date, state, reason, detail, content FROM kinderconnect._planned('o', NULL, NULL, NULL, NULL, false, at::timestamp AT TIME ZONE 'America/Phoenix')
	ORDER BY kinderconnect_child_id COLLATE "C", service_date $$;
\o /dev/null
SELECT pg_temp.child(id) FROM unnest('{to the leap day,before it,thursdays,nights,absent,new year}'::text[]) id;
SELECT pg_temp.then('to the leap day', '2024-02-28', '2024-02-29'), pg_temp.session('to the leap day', '2024-02-29 8:00', '2024-02-29 9:00'), pg_temp.session('to the leap day', '2024-03-01 8:00', '2024-03-01 9:00');
SELECT pg_temp.then('before it', '2024-02-01', '2024-02-28'), pg_temp.session('before it', '2024-02-29 8:00', '2024-02-29 9:00');
SELECT pg_temp.then('thursdays', '2024-02-26', '2024-03-03', '{TH}');
SELECT pg_temp.then('nights', '2024-02-28', '2024-03-01'), pg_temp.session('nights', '2024-02-28 20:00', '2024-02-29 6:00'), pg_temp.session('nights', '2024-02-29 20:00', '2024-03-01 6:00');
SELECT pg_temp.then('absent', '2024-02-29', '2024-02-29');
INSERT INTO regress_plan.visit (location_id, child_id, kind, day, reason) VALUES ('L1', 'absent', 'absence', '2024-02-29', 'Sick');
SELECT pg_temp.then('new year', '2024-12-31', '2025-01-01'), pg_temp.session('new year', '2024-12-31 20:00', '2025-01-01 2:00');
\o
SELECT * FROM pg_temp.as_of('2024-03-03 12:00') WHERE day >= '2024-02-28' AND child <> 'new year';
SELECT * FROM pg_temp.as_of('2025-01-02 0:00') WHERE child = 'new year';
-- a day is over when the next begins, and a window closes with its last day
INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('A', 'entry_window_days', '(,)', '1', true, 'test');
SELECT at, (SELECT coalesce(a.reason, a.state) FROM pg_temp.as_of(at) a WHERE child = 'absent') AS "29 February"
FROM unnest('{2024-02-29 23:59:59.999,2024-03-01 0:00,2024-03-01 23:59:59.999,2024-03-02 0:00}'::text[]) at;
-- of a horizon that begins with it
SET LOCAL kinderconnect.horizon_days = 3;
SELECT min(day) AS oldest FROM pg_temp.as_of('2024-03-03 12:00');
ROLLBACK TO nights;

-- Texas: one of In and Out until 31 March 2026, both from 1 April on.
\o /dev/null
INSERT INTO kinderconnect.agency (agency_id, state, time_zone) VALUES ('T', 'TX', 'America/Phoenix');
SELECT pg_temp.provider('PT', 'L1', 'T'), pg_temp.child('in', agency => 'T'), pg_temp.child('out', agency => 'T');
INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date) SELECT 'o', 'T', 'PT', id, 'a', '2026-03-31', '2026-04-01' FROM unnest('{in,out}'::text[]) id;
INSERT INTO regress_plan.visit (location_id, child_id, kind, check_in, check_out)
SELECT 'L1', id, 'session', CASE id WHEN 'in' THEN at END, CASE id WHEN 'out' THEN at END FROM unnest('{in,out}'::text[]) id, unnest('{2026-03-31 23:59:59-07,2026-04-01 00:00-07}'::timestamptz[]) at;
\o
SELECT kinderconnect_child_id AS child, service_date, state, reason, content FROM kinderconnect._planned('o', NULL, NULL, NULL, NULL, false, '2026-04-03 12:00-07') ORDER BY 1, 2;
ROLLBACK TO nights;

-- What is older than the horizon is not read, however much there is: but for a
-- day that a person wants taken back.
\o /dev/null
SELECT pg_temp.child(id) FROM unnest('{c,d,e}'::text[]) id;
SELECT pg_temp.authorize(id, 900, 1) FROM unnest('{c,d,e}'::text[]) id;
INSERT INTO kinderconnect.child_day (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, location_id, child_id, state, kind, content, basis, record_id, accepted_kind, accepted_content, accepted_record_id, accepted_at)
SELECT 'o', 'A', 'P1', id, pg_temp.day(n), true, 'L1', id, 'accepted', 'closure', 'closure', 'b', 'r', 'closure', 'closure', 'r', now() FROM unnest('{c,d,e}'::text[]) id, generate_series(5, 900) n;
ANALYZE kinderconnect.child_day;
SET LOCAL kinderconnect.horizon_days = 10;
SET LOCAL enable_seqscan = off;
SELECT seq_tup_read + idx_tup_fetch AS read FROM pg_stat_xact_user_tables WHERE relid = 'kinderconnect.child_day'::regclass \gset
\o
SELECT count(*) AS planned FROM kinderconnect._planned('o', NULL, NULL, NULL, NULL, false);
SELECT seq_tup_read + idx_tup_fetch - :read < 200 AS "few were read" FROM pg_stat_xact_user_tables WHERE relid = 'kinderconnect.child_day'::regclass;
UPDATE kinderconnect.child_day SET void_wanted = true WHERE (kinderconnect_child_id, service_date) = ('c', pg_temp.day(800));
SELECT pg_temp.day(0) - service_date AS day, state, content FROM kinderconnect._planned('o', NULL, NULL, NULL, NULL, false) WHERE service_date < pg_temp.day(10);
ROLLBACK TO nights;

-- A fifth state is rows.
INSERT INTO kinderconnect.agency (agency_id, state, time_zone) VALUES ('F', 'QQ', 'America/Phoenix');
INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source)
SELECT 'QQ', r.rule, daterange(pg_temp.day(3), NULL), r.value, true, 'QQ code' FROM (VALUES ('entry_window_days', '3'), ('sessions_per_day', '1'), ('lone_punch', 'send'), ('closures', 'omit'), ('overnight', 'whole')) r(rule, value);
INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source) VALUES ('QQ', 'sessions_per_day', daterange(NULL, pg_temp.day(3)), '2', true, 'QQ code, until then');
INSERT INTO kinderconnect.absence_limit (state, limit_name, valid, counts, period_months, at_most, enforced, source) VALUES ('QQ', 'two', '(,)', 'absence', 12, 2, true, 'QQ code');
INSERT INTO kinderconnect.unit_band (state, unit, valid, minutes, enforced, source) VALUES ('QQ', 'short', '(,)', '[1,61)', true, 'QQ code'), ('QQ', 'long', '(,)', '[61,1441)', true, 'QQ code');
INSERT INTO kinderconnect.absence_reason VALUES ('F', 'Sick', '17');
\o /dev/null
SELECT pg_temp.provider('PF', 'L1', 'F'), pg_temp.child('f', agency => 'F'), pg_temp.authorize('f', 10, 1, provider => 'PF', agency => 'F');
SELECT pg_temp.visit('f', 4, '8:00', '9:00'), pg_temp.visit('f', 4, '10:00', '11:00'), pg_temp.visit('f', 3, '8:00', '9:00'), pg_temp.visit('f', 3, '10:00', '11:00'), pg_temp.visit('f', 2, '18:00', '30:00'), pg_temp.visit('f', 1, '8:00', NULL);
SELECT pg_temp.note('f', n, 'absence', 'Sick') FROM generate_series(5, 7) n;
SELECT pg_temp.note('f', 8, 'closure');
SELECT pg_temp.plan();
\o
SELECT day, state, reason, content FROM pg_temp.planned() WHERE day < 9 ORDER BY day;
SELECT used, at_most, warning FROM kinderconnect.absence_use WHERE agency_id = 'F';
SELECT sum(minutes) AS minutes, sum((units ->> 'long')::integer) AS long, sum((units ->> 'short')::integer) AS short, sum(units_used) AS units_used FROM kinderconnect.unit_use WHERE agency_id = 'F';
SELECT pg_temp.day(0) - service_date AS day, days_left, closes_by FROM kinderconnect.about_to_be_lost WHERE agency_id = 'F' AND closes_by = 'enforced';
ROLLBACK;
