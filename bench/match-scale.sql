-- As many children at KinderConnect as in Manage, one in twenty of them with
-- an error in a name or the birth date, or not in Manage at all.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SELECT setseed(0.42) \g /dev/null

-- Names as frequent as names are: a few everywhere, most of them rare.
CREATE TABLE bench.first_name AS
SELECT row_number() OVER (ORDER BY md5(n.name)) AS n, initcap(n.name) AS name FROM (SELECT DISTINCT name FROM kinderconnect.nickname) n;
CREATE TABLE bench.last_name AS
SELECT n, initcap(a.s || b.s || coalesce(c.s, '')) AS name
FROM (SELECT row_number() OVER (ORDER BY md5(a::text || b::text || c::text)) AS n, a, b, c
	FROM generate_series(1, 24) a, generate_series(1, 24) b, generate_series(0, 24) c) x
CROSS JOIN LATERAL (SELECT (string_to_array('ba car den el fer gar han jo ken lo mar nor os per quin ro sal tor un van wil xi yor zan', ' '))[x.a] AS s) a
CROSS JOIN LATERAL (SELECT (string_to_array('man dez son ton ley field berg well ster nez ra lo mi ka chi gu ham ing der lan more stein vak wood', ' '))[x.b] AS s) b
CROSS JOIN LATERAL (SELECT (string_to_array('a ez s o er is an y in e ski es us or io ian ic eau ar en ow ell ino ett', ' '))[x.c] AS s) c;
CREATE INDEX ON bench.first_name (n);
CREATE INDEX ON bench.last_name (n);
ANALYZE bench.first_name, bench.last_name;

-- power of a uniform number: the first of 500 names has one child in 60, the
-- first of 14,000 last names one in 120
CREATE TABLE bench.child AS
SELECT i, 'o' || i % :organizations AS organization_id, 'l' || (i % :organizations) || '-' || (i / :organizations) % (:locations / :organizations) AS location_id,
	f.name AS first_name, l.name AS last_name, date '2014-01-01' + (random() * 3650)::integer AS born, abs(hashint4(i)) % 20 = 7 AS spoilt, random() AS how
FROM (SELECT i, 1 + floor(500 * random() ^ 1.5)::integer AS fn, 1 + floor(14000 * random() ^ 2)::integer AS ln FROM generate_series(1, :children) i) r
JOIN bench.first_name f ON f.n = r.fn
JOIN bench.last_name l ON l.n = r.ln;
ANALYZE bench.child;

SELECT kinderconnect.bind_manage('organization', $$ SELECT DISTINCT organization_id, organization_id AS name FROM bench.child $$) \g /dev/null
SELECT kinderconnect.bind_manage('location', $$ SELECT DISTINCT organization_id, location_id, location_id AS name, NULL AS zip,
	'America/Chicago' AS time_zone FROM bench.child $$) \g /dev/null
CREATE TABLE bench.manage AS
SELECT organization_id, location_id, 'm' || i AS child_id, first_name, last_name, born AS date_of_birth, true AS active FROM bench.child;
CREATE INDEX ON bench.manage (organization_id);
SELECT kinderconnect.bind_manage('child', $$ SELECT organization_id, location_id, child_id, first_name, NULL AS middle_name, last_name,
	NULL AS suffix, date_of_birth, active FROM bench.manage $$) \g /dev/null

INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('bench', 'kinderbridge', 'https://localhost');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled)
SELECT DISTINCT organization_id, 'bench', organization_id, 'bench', date '2020-01-01' FROM bench.child;
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, configured_location_id)
SELECT DISTINCT organization_id, 'A', location_id, true, location_id FROM bench.child;
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized)
SELECT organization_id, 'A', 'k' || i,
	CASE WHEN spoilt AND how < 0.25 THEN overlay(first_name PLACING 'x' FROM 2 FOR 1)
		WHEN spoilt AND how < 0.40 THEN last_name
		WHEN spoilt AND how > 0.90 THEN 'Nobody' ELSE first_name END,
	CASE WHEN spoilt AND how BETWEEN 0.40 AND 0.65 THEN overlay(last_name PLACING 'q' FROM 3 FOR 1)
		WHEN spoilt AND how < 0.40 AND how >= 0.25 THEN first_name
		WHEN spoilt AND how > 0.90 THEN 'Known' || i ELSE last_name END,
	CASE WHEN spoilt AND how BETWEEN 0.65 AND 0.90 THEN born + 10 WHEN spoilt AND how > 0.90 THEN born + 400 ELSE born END, true
FROM bench.child;
INSERT INTO kinderconnect.listed_authorization (organization_id, agency_id, provider_id, month, kinderconnect_child_id, authorization_id)
SELECT organization_id, 'A', location_id, date_trunc('month', (now() AT TIME ZONE 'America/New_York')::date), 'k' || i, '' FROM bench.child;
VACUUM ANALYZE;

CREATE TABLE bench.time (n bigint GENERATED ALWAYS AS IDENTITY, what text, seconds numeric, cpu numeric);

-- What others do on the machine counts in seconds, and not in these: of one
-- process, so nothing is done in parallel.
SET max_parallel_workers_per_gather = 0;
CREATE FUNCTION bench.cpu() RETURNS numeric
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT (f[1]::numeric + f[2]::numeric) / 100
	FROM regexp_match(pg_read_file('/proc/self/stat', 0, 1000), '\) (?:\S+ ){11}(\d+) (\d+)') f;
END;

CREATE PROCEDURE bench.run(what text, command text, runs integer DEFAULT 1)
	LANGUAGE plpgsql
AS $$
DECLARE
	began timestamptz;
	spent numeric;
	o     text;
	i     integer;
BEGIN
	FOR i IN 1 .. runs LOOP
		began := clock_timestamp();
		spent := bench.cpu();
		IF command ~ '\$1' THEN
			FOR o IN SELECT organization_id FROM kinderconnect.organization LOOP
				EXECUTE command USING o;
				COMMIT;
			END LOOP;
		ELSE
			EXECUTE command;
			COMMIT;
		END IF;
		INSERT INTO bench.time (what, seconds, cpu) VALUES (run.what, extract(epoch FROM clock_timestamp() - began), bench.cpu() - spent);
	END LOOP;
END;
$$;

\echo == first night
CALL bench.run('reading Manage and making the keys, first night', 'SELECT kinderconnect._read_children($1)');
VACUUM ANALYZE kinderconnect.known_child;
CALL bench.run('bare hash join on the keys',
	'SELECT count(*) FROM kinderconnect.child c JOIN kinderconnect.known_child m
		ON (m.organization_id, m.date_of_birth, m.last_key, m.first_key) = (c.organization_id, c.date_of_birth, c.last_key, c.first_key)', 5);
CALL bench.run('bare hash join on the keys and the location',
	'SELECT count(*) FROM kinderconnect.child c
	JOIN kinderconnect.listed_authorization l
		ON (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)
	JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (l.organization_id, l.agency_id, l.provider_id)
	JOIN kinderconnect.known_child m ON (m.organization_id, m.location_id, m.date_of_birth, m.last_key, m.first_key)
		= (c.organization_id, p.location_id, c.date_of_birth, c.last_key, c.first_key)', 5);
CALL bench.run('bare hash join on the keys, the names folded as it goes',
	'SELECT count(*) FROM kinderconnect.child c JOIN kinderconnect.manage_child m
		ON (m.organization_id, m.date_of_birth, kinderconnect.fold(m.last_name), kinderconnect.fold(m.first_name))
			= (c.organization_id, c.date_of_birth, kinderconnect.fold(c.last_name), kinderconnect.fold(c.first_name))', 3);
CALL bench.run('automatic pass: every child''s link or reason', 'SELECT count(child_id) FROM kinderconnect._new_links($1, true)', 5);
CALL bench.run('step match, first night: Manage known, links and reasons written', 'SELECT kinderconnect._match($1)');
SELECT count(*) FILTER (WHERE ended_at IS NULL) AS linked, (SELECT count(*) FROM kinderconnect.unlinked_child) AS unlinked,
	count(*) FILTER (WHERE substr(kinderconnect_child_id, 2) <> substr(child_id, 2)) AS wrong
FROM kinderconnect.child_link;
CALL bench.run('candidates of all unlinked children', 'SELECT kinderconnect._score($1)');
SELECT count(DISTINCT (organization_id, kinderconnect_child_id)) AS with_candidates, count(*) AS candidates FROM kinderconnect.match_candidate;
VACUUM ANALYZE;

\echo == a night in which nothing changed
CALL bench.run('no change: step match', 'SELECT kinderconnect._match($1)', 3);
CALL bench.run('no change: candidates', 'SELECT kinderconnect._score($1)', 3);
CALL bench.run('of it, comparing Manage with what is known', 'SELECT kinderconnect._read_children($1)', 3);

\echo == a night in which 1 in 10,000 children of Manage changed
UPDATE bench.manage SET last_name = last_name || 's' WHERE substr(child_id, 2)::integer % 10000 = 7;
CALL bench.run('1 in 10,000 changed: step match', 'SELECT kinderconnect._match($1)');
CALL bench.run('1 in 10,000 changed: candidates', 'SELECT kinderconnect._score($1)');

CREATE VIEW bench.median AS
SELECT t.what, min(t.n) AS n, count(*) AS runs, percentile_cont(0.5) WITHIN GROUP (ORDER BY t.seconds) AS seconds,
	min(t.seconds) AS least, max(t.seconds) AS most, percentile_cont(0.5) WITHIN GROUP (ORDER BY t.cpu) AS cpu
FROM bench.time t GROUP BY t.what;

SELECT string_agg(name || ' ' || current_setting(name), ', ') AS settings
FROM unnest(ARRAY['shared_buffers', 'work_mem', 'hash_mem_multiplier', 'max_parallel_workers_per_gather']) name;
SELECT what, round(seconds::numeric, 2) AS "median s", round(least, 2) AS min, round(most, 2) AS max, round(cpu::numeric, 2) AS "CPU s", runs
FROM bench.median ORDER BY n;

\pset tuples_only on
\pset format unaligned
SELECT format('%s: %s, target %s, %s', w.name, round(w.measured::numeric, 2), w.target, CASE WHEN w.measured <= w.target THEN 'met' ELSE 'short' END)
FROM (SELECT jsonb_object_agg(what, cpu) FROM bench.median) c(of),
	(SELECT jsonb_object_agg(what, seconds) FROM bench.median) s(of), LATERAL (VALUES
	('automatic pass, of the CPU time of the join on names and birth date',
		(c.of->>'automatic pass: every child''s link or reason')::float8 / nullif((c.of->>'bare hash join on the keys')::float8, 0), 2.0),
	('automatic pass, of the CPU time of the join on location, names and birth date',
		(c.of->>'automatic pass: every child''s link or reason')::float8 / nullif((c.of->>'bare hash join on the keys and the location')::float8, 0), 2.0),
	('candidates of all unlinked children, seconds', (s.of->>'candidates of all unlinked children')::float8, 120),
	('a night without a change, of the time of comparing Manage with what is known',
		(s.of->>'no change: step match')::float8 / (s.of->>'of it, comparing Manage with what is known')::float8, 2.0),
	('a night with 1 in 10,000 changed, of that without a change',
		(s.of->>'1 in 10,000 changed: step match')::float8 / (s.of->>'no change: step match')::float8, 2.0)) w(name, measured, target);
