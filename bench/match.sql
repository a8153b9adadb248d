-- Record linkage's benchmark sets as a night's work: the originals are
-- Manage's children, the duplicates those of KinderConnect. Of a record only
-- given_name, surname and date_of_birth are used. Each duplicate of a person
-- is listed by another agency, for one agency lists a child once.
--
-- The file's records come in by COPY ... FROM STDIN into bench.record.
\set ON_ERROR_STOP on
-- binding such a file has much to say about its birth dates
SET client_min_messages = error;

-- A birth date that no calendar has is none.
CREATE FUNCTION bench.born(yyyymmdd text) RETURNS date
	LANGUAGE plpgsql IMMUTABLE STRICT
AS $$
BEGIN
	RETURN to_date(nullif(yyyymmdd, ''), 'YYYYMMDD');
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
	RETURN NULL;
END;
$$;

CREATE TABLE bench.person AS
SELECT btrim(rec_id) AS record, split_part(rec_id, '-', 2) AS person, rec_id ~ '-org *$' AS original,
	nullif(btrim(given_name), '') AS first_name, nullif(btrim(surname), '') AS last_name, bench.born(btrim(date_of_birth)) AS born,
	nullif(btrim(date_of_birth), '') AS written_born,
	'A' || coalesce(nullif(split_part(btrim(rec_id), '-', 4), ''), '0') AS agency
FROM bench.record;

SELECT kinderconnect.bind_manage('organization', $$ SELECT 'bench' AS organization_id, 'bench' AS name $$) \g /dev/null
SELECT kinderconnect.bind_manage('location', $$ SELECT 'bench' AS organization_id, '1' AS location_id, 'bench' AS name, NULL AS zip,
	'America/Chicago' AS time_zone $$) \g /dev/null
SELECT kinderconnect.bind_manage('child', $$ SELECT 'bench' AS organization_id, '1' AS location_id, person AS child_id, first_name,
	NULL AS middle_name, last_name, NULL AS suffix, born AS date_of_birth, true AS active FROM bench.person WHERE original $$) \g /dev/null

INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('bench', 'kinderbridge', 'https://localhost');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled)
VALUES ('bench', 'bench', 'bench', 'bench', '2020-01-01');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, configured_location_id)
SELECT DISTINCT 'bench', agency, 'P1', true, '1' FROM bench.person WHERE NOT original;
INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized)
SELECT 'bench', agency, record, first_name, last_name, born, true FROM bench.person WHERE NOT original;
INSERT INTO kinderconnect.listed_authorization (organization_id, agency_id, provider_id, month, kinderconnect_child_id, authorization_id)
SELECT 'bench', agency, 'P1', date_trunc('month', (now() AT TIME ZONE 'America/New_York')::date), record, '' FROM bench.person WHERE NOT original;
ANALYZE;

SELECT clock_timestamp() AS began \gset
SELECT kinderconnect._match('bench'), kinderconnect._score('bench') \g /dev/null
SELECT clock_timestamp() AS ended \gset

-- A child that was linked has that one as its first and only candidate.
CREATE TABLE bench.result AS
SELECT p.record, k.child_id AS linked, k.child_id = p.person AS right_link,
	coalesce(CASE WHEN k.child_id = p.person THEN 1 END, n.position) AS place,
	p.written_born IS NOT NULL OR p.first_name IS NOT NULL AND p.last_name IS NOT NULL AS fair
FROM bench.person p
LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
	AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = ('bench', p.agency, p.record)
LEFT JOIN kinderconnect.match_candidate n
	ON (n.organization_id, n.agency_id, n.kinderconnect_child_id, n.child_id) = ('bench', p.agency, p.record, p.person)
WHERE NOT p.original AND EXISTS (SELECT FROM bench.person o WHERE o.original AND o.person = p.person);

-- Beside it, what everybody does: the three fields as they are typed, and a
-- link where one original is equal.
CREATE TABLE bench.exact AS
SELECT p.record, CASE WHEN count(o.person) = 1 THEN min(o.person) = min(p.person) END AS right_link
FROM bench.person p
LEFT JOIN bench.person o ON o.original AND (o.first_name, o.last_name, o.born) = (p.first_name, p.last_name, p.born)
WHERE NOT p.original
GROUP BY p.record;

\pset footer off
SELECT (SELECT count(*) FROM bench.person WHERE original) AS "children in Manage", count(*) AS "at KinderConnect",
	count(*) FILTER (WHERE fair) AS "with a birth date or both names",
	round(extract(epoch FROM :'ended'::timestamptz - :'began')::numeric, 2) AS "seconds"
FROM bench.result;

SELECT 'exact names and birth date' AS method, count(right_link) AS links, count(*) FILTER (WHERE NOT right_link) AS wrong,
	round(avg(right_link::integer), 3) AS precision, round(count(*) FILTER (WHERE right_link) * 1.0 / count(*), 3) AS recall,
	NULL::numeric AS top1, NULL::numeric AS top3
FROM bench.exact
UNION ALL
SELECT 'kinderconnect', count(linked), count(*) FILTER (WHERE NOT right_link), round(avg(right_link::integer), 3),
	round(count(*) FILTER (WHERE right_link) * 1.0 / count(*), 3),
	round(avg((coalesce(place, 9) = 1)::integer) FILTER (WHERE fair), 4), round(avg((coalesce(place, 9) <= 3)::integer) FILTER (WHERE fair), 4)
FROM bench.result;

\pset tuples_only on
\pset format unaligned
SELECT format('precision=%s recall=%s top1=%s top3=%s', coalesce(round(avg(right_link::integer), 3)::text, 'none'),
	round(count(*) FILTER (WHERE right_link) * 1.0 / count(*), 3),
	round(avg((coalesce(place, 9) = 1)::integer) FILTER (WHERE fair), 4), round(avg((coalesce(place, 9) <= 3)::integer) FILTER (WHERE fair), 4))
FROM bench.result;
