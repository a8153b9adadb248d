-- What the randomised test keeps beside Manage (manage.sql): what is the matter
-- with children, places and days, and what the service has ever been told.
-- Variables: first, last: the oldest and the newest day that edits touch.
CREATE TABLE manage.house (organization text PRIMARY KEY, vendor boolean NOT NULL);
CREATE TABLE manage.closed (organization text, site text, day date, PRIMARY KEY (organization, site, day));
-- of a child: renamed or gone at the service; of a provider: not active
CREATE TABLE manage.mood (organization text, subject text, mood text, PRIMARY KEY (organization, subject));

-- every child-day ever heard of; what it may hold there, because Manage said so
-- once; and what was found there when nothing could change it any more
CREATE TABLE manage.heard (organization text, agency text, provider text, child text, day date,
	PRIMARY KEY (organization, agency, provider, child, day));
CREATE TABLE manage.said (organization text, agency text, provider text, child text, day date, content text,
	PRIMARY KEY (organization, agency, provider, child, day, content));
CREATE TABLE manage.frozen (organization text, agency text, provider text, child text, day date, content text,
	PRIMARY KEY (organization, agency, provider, child, day));
CREATE TABLE manage.posted (n bigint PRIMARY KEY, organization text, agency text, provider text, child text, day date,
	content text, record text, status text, fault text, batch text);
CREATE INDEX ON manage.posted (organization, record);
CREATE INDEX ON manage.posted (organization, child, day);

CREATE VIEW manage.spoken AS
WITH punch AS (
	SELECT v.organization, v.site, v.student, (coalesce(v.arrived, v.departed) AT TIME ZONE l.zone)::date AS day, 'session' AS kind,
		to_char(v.arrived AT TIME ZONE l.zone, 'HH24:MI-') || to_char(v.departed AT TIME ZONE l.zone, 'HH24:MI') AS content, v.arrived,
		v.departed IS NULL OR v.departed <= v.arrived
			OR v.arrived < lag(v.departed) OVER (PARTITION BY v.organization, v.site, v.student ORDER BY v.arrived, v.departed) AS bad
	FROM manage.visit v JOIN manage.site l USING (organization, site)
	UNION ALL
	SELECT a.organization, a.site, a.student, a.day, 'absence', CASE WHEN h.vendor THEN 'absence' ELSE 'absence ' || a.reason END, NULL, false
	FROM manage.absence a JOIN manage.house h USING (organization)
	UNION ALL
	SELECT DISTINCT c.organization, c.site, s.student, c.day, 'closure', 'closure', NULL::timestamptz, false
	FROM manage.closed c JOIN manage.site l USING (organization, site)
	JOIN manage.entitled e USING (organization, agency, provider) JOIN manage.student s USING (organization, child)
)
SELECT p.organization, l.agency, l.provider, s.child, p.day,
	CASE WHEN count(*) FILTER (WHERE kind = 'session') > 0 THEN string_agg(p.content, ' ' ORDER BY p.arrived) FILTER (WHERE kind = 'session')
		ELSE min(p.content) END AS content,
	bool_or(p.bad) OR count(DISTINCT p.kind) > 1 OR count(DISTINCT p.content) FILTER (WHERE kind = 'absence') > 1
		OR min(h.vendor::integer) = 1 AND count(*) FILTER (WHERE kind = 'session') > 2 AS bad
FROM punch p
JOIN manage.house h USING (organization)
JOIN manage.site l USING (organization, site)
JOIN manage.student s USING (organization, student)
GROUP BY 1, 2, 3, 4, 5;

-- What the service ought to hold of each child-day: exactly this; or what it
-- held, for what Manage says cannot be sent; or, for a child that the service
-- has lost or that Manage has at two sites, whatever Manage has said of it.
CREATE VIEW manage.expected AS
SELECT d.organization, d.agency, d.provider, d.child, d.day,
	CASE
		WHEN m.mood = 'gone' OR t.sites > 1 THEN 'loose'
		WHEN m.mood IS NOT NULL OR b.mood IS NOT NULL OR s.bad OR e.entitled IS NOT TRUE OR s.content IS NULL AND h.vendor THEN 'frozen'
		ELSE 'exact'
	END AS class, s.content
FROM (TABLE manage.heard UNION SELECT organization, agency, provider, child, day FROM manage.spoken) d
JOIN manage.house h USING (organization)
LEFT JOIN manage.spoken s USING (organization, agency, provider, child, day)
LEFT JOIN (SELECT organization, child, day, count(*) AS sites FROM manage.spoken GROUP BY 1, 2, 3) t USING (organization, child, day)
LEFT JOIN manage.mood m ON (m.organization, m.subject) = (d.organization, d.child)
LEFT JOIN manage.mood b ON (b.organization, b.subject) = (d.organization, d.provider)
LEFT JOIN LATERAL (SELECT bool_or(d.day >= e.begins AND (d.day <= e.ends) IS NOT FALSE) AS entitled
	FROM manage.entitled e WHERE (e.organization, e.agency, e.provider, e.child) = (d.organization, d.agency, d.provider, d.child)) e ON true;

-- After edits: what may be sent from now on
CREATE FUNCTION manage.note() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO manage.said SELECT organization, agency, provider, child, day, content FROM manage.expected
	WHERE class <> 'frozen' AND content IS NOT NULL ON CONFLICT DO NOTHING;
	DELETE FROM manage.frozen f USING manage.expected e
	WHERE (f.organization, f.agency, f.provider, f.child, f.day) = (e.organization, e.agency, e.provider, e.child, e.day) AND e.class <> 'frozen';
END $$;

-- The edits, each of what is there on that day at that site
CREATE FUNCTION manage.clear(o text, s text, d date) RETURNS void LANGUAGE sql AS $$
	DELETE FROM manage.visit v USING manage.site l
	WHERE v.organization = o AND v.student = s AND (l.organization, l.site) = (v.organization, v.site)
		AND (coalesce(v.arrived, v.departed) AT TIME ZONE l.zone)::date = d;
	DELETE FROM manage.absence a WHERE a.organization = o AND a.student = s AND a.day = d;
$$;
CREATE FUNCTION manage.attend(o text, s text, d date, i time, u time) RETURNS void LANGUAGE sql AS $$
	INSERT INTO manage.visit (organization, site, student, arrived, departed)
	SELECT o, s.site, s.student, (d + i) AT TIME ZONE l.zone, (d + u) AT TIME ZONE l.zone
	FROM manage.student s JOIN manage.site l USING (organization, site) WHERE s.organization = o AND s.student = attend.s;
$$;
CREATE FUNCTION manage.first(o text, s text, d date) RETURNS bigint LANGUAGE sql AS $$
	SELECT v.visit FROM manage.visit v JOIN manage.site l USING (organization, site)
	WHERE v.organization = o AND v.student = s AND (coalesce(v.arrived, v.departed) AT TIME ZONE l.zone)::date = d ORDER BY v.arrived, v.visit LIMIT 1;
$$;

SELECT kinderconnect.bind_manage('attendance',
	$$SELECT organization AS organization_id, site AS location_id, student AS child_id, 'V' || visit AS attendance_id, 'session' AS kind,
		arrived AS check_in, departed AS check_out, NULL::date AS service_date, NULL AS reason, NULL::timestamptz AS modified_at
	FROM manage.visit
	UNION ALL
	SELECT organization, site, student, 'A' || absence, 'absence', NULL, NULL, day, reason, NULL FROM manage.absence
	UNION ALL
	SELECT organization, site, NULL, 'C' || site || day, 'closure', NULL, NULL, day, NULL, NULL FROM manage.closed$$);
