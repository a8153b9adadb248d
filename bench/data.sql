-- Manage's side of what bench/server.c knows:
-- :locations of :per_organization each to an organization, :children to a
-- location, and a session of each child on each of the last :days days.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;

CREATE SCHEMA manage;

CREATE TABLE manage.site AS
SELECT l AS site_no, 'org' || (l - 1) / :per_organization + 1 AS company, 'Site ' || l AS name, to_char(l % 100000, 'FM00000') AS zip
FROM generate_series(1, :locations) l;
ALTER TABLE manage.site ADD PRIMARY KEY (site_no);
CREATE INDEX ON manage.site (company);

CREATE TABLE manage.kid AS
SELECT k AS kid_no, s.site_no, s.company, (ARRAY['Ana', 'Ben', 'Cleo', 'Dora', 'Emil', 'Fay', 'Gus', 'Hana'])[k % 8 + 1] AS first_name,
	'M' || translate(to_char(k % 100000000, 'FM00000000'), '0123456789', 'abcdefghij') AS last_name,
	date '2020-01-01' + k % 1500 AS born
FROM manage.site s CROSS JOIN generate_series((s.site_no - 1) * :children + 1, s.site_no * :children) k;
ALTER TABLE manage.kid ADD PRIMARY KEY (kid_no);
CREATE INDEX ON manage.kid (company);

CREATE TABLE manage.visit (
	visit_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kid_no   integer NOT NULL,
	site_no  integer NOT NULL,
	company  text NOT NULL,
	arrived  timestamptz,
	departed timestamptz
);
INSERT INTO manage.visit (kid_no, site_no, company, arrived, departed)
SELECT k.kid_no, k.site_no, k.company,
	(d + make_interval(hours => 8, mins => k.kid_no % 30)) AT TIME ZONE 'America/Chicago',
	(d + make_interval(hours => 16, mins => k.kid_no % 50)) AT TIME ZONE 'America/Chicago'
FROM generate_series(1, :days) n
CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE 'America/Chicago')::date - n + time '00:00' AS d) day
CROSS JOIN manage.kid k;
CREATE INDEX ON manage.visit (company, arrived);
VACUUM ANALYZE manage.site, manage.kid, manage.visit;
