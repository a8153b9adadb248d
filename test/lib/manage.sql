-- A small management system. Besides what is bound, it knows the truth about
-- each child, for manage.truth: what the service ought to hold.
CREATE SCHEMA manage;

CREATE TABLE manage.site (
	organization text NOT NULL,
	site         text NOT NULL,
	name         text NOT NULL,
	zip          text,
	zone         text NOT NULL,
	agency       text NOT NULL,
	provider     text NOT NULL,
	PRIMARY KEY (organization, site)
);

CREATE TABLE manage.student (
	organization text NOT NULL,
	student      text NOT NULL,
	site         text NOT NULL,
	first_name   text,
	middle_name  text,
	last_name    text,
	suffix       text,
	born         date,
	agency       text NOT NULL,
	child        text NOT NULL,
	PRIMARY KEY (organization, student)
);

CREATE TABLE manage.entitled (
	organization text NOT NULL,
	agency       text NOT NULL,
	provider     text NOT NULL,
	child        text NOT NULL,
	begins       date NOT NULL,
	ends         date,
	days         text[]
);

CREATE TABLE manage.visit (
	visit        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	organization text NOT NULL,
	site         text NOT NULL,
	student      text NOT NULL,
	arrived      timestamptz NOT NULL,
	departed     timestamptz
);

CREATE TABLE manage.absence (
	absence      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	organization text NOT NULL,
	site         text NOT NULL,
	student      text NOT NULL,
	day          date NOT NULL,
	reason       text NOT NULL
);

-- what the service was sent, as it tells (compare.sql)
CREATE TABLE manage.sent (
	organization text,
	agency       text,
	provider     text,
	child        text,
	day          date,
	content      text,
	record       text,
	n            bigint PRIMARY KEY,
	status       text
);

CREATE VIEW manage.truth AS
SELECT s.organization, l.agency, l.provider, s.child, p.day, p.content
FROM (SELECT v.organization, v.site, v.student, (v.arrived AT TIME ZONE l.zone)::date AS day,
		string_agg(to_char(v.arrived AT TIME ZONE l.zone, 'HH24:MI-') || to_char(v.departed AT TIME ZONE l.zone, 'HH24:MI'), ' ' ORDER BY v.arrived) AS content
	FROM manage.visit v JOIN manage.site l USING (organization, site)
	GROUP BY 1, 2, 3, 4
	UNION ALL
	SELECT a.organization, a.site, a.student, a.day, 'absence ' || a.reason FROM manage.absence a) p
JOIN manage.site l USING (organization, site)
JOIN manage.student s USING (organization, student)
WHERE s.born IS NOT NULL AND s.agency = l.agency AND p.content IS NOT NULL
	AND EXISTS (SELECT FROM manage.entitled e
		WHERE (e.organization, e.agency, e.provider, e.child) = (s.organization, l.agency, l.provider, s.child)
			AND p.day >= e.begins AND (p.day <= e.ends) IS NOT FALSE
			AND (e.days IS NULL OR to_char(p.day, 'DY') LIKE ANY (SELECT d || '_' FROM unnest(e.days) d)));

SELECT kinderconnect.bind_manage('organization',
	'SELECT DISTINCT organization AS organization_id, organization AS name FROM manage.site');
SELECT kinderconnect.bind_manage('location',
	'SELECT organization AS organization_id, site AS location_id, name, zip, zone AS time_zone FROM manage.site');
SELECT kinderconnect.bind_manage('child',
	'SELECT organization AS organization_id, site AS location_id, student AS child_id, first_name, middle_name, last_name, suffix,
		born AS date_of_birth, true AS active FROM manage.student');
SELECT kinderconnect.bind_manage('attendance',
	$$SELECT organization AS organization_id, site AS location_id, student AS child_id, 'V' || visit AS attendance_id, 'session' AS kind,
		arrived AS check_in, departed AS check_out, NULL::date AS service_date, NULL AS reason, NULL::timestamptz AS modified_at
	FROM manage.visit
	UNION ALL
	SELECT organization, site, student, 'A' || absence, 'absence', NULL, NULL, day, reason, NULL FROM manage.absence$$);
