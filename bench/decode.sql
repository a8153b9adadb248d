-- For goal 1: a children reply as a service would write it, the ways to read
-- it, and a check that they read the same.
\set ON_ERROR_STOP on
CREATE FUNCTION decode(plan "char", body bytea, piece integer, row_type anyelement) RETURNS SETOF anyelement
	AS :'module', 'decode' LANGUAGE c;
CREATE FUNCTION parse(body bytea) RETURNS boolean AS :'module', 'parse' LANGUAGE c STRICT;
CREATE FUNCTION decode_peak(mb integer) RETURNS bigint AS :'module', 'decode_peak' LANGUAGE c STRICT;

CREATE TABLE reply (body bytea);
ALTER TABLE reply ALTER body SET STORAGE EXTERNAL;
INSERT INTO reply
SELECT convert_to('{"children": [' || string_agg(format(
	'{"childId": "%s", "firstName": "%s", "middleName": %s, "lastName": "%s", "suffix": null, "dateOfBirth": "%s", "subsidized": true, "authorizations": [{"authorizationId": "A-%s", "beginDate": "2026-01-05", "endDate": %s, "unitsOfCare": "FULL", "days": ["MO", "TU", "WE", "TH", "FR"]}]}',
	1000000 + n, (ARRAY['Grace', 'Henry', 'José', 'Maria Fernanda', 'Li'])[1 + n % 5], CASE WHEN n % 3 = 0 THEN '"Anne"' ELSE 'null' END,
	(ARRAY['van der Berg', 'Cohen', 'Núñez', 'Smith', 'O''Brien', 'Nguyen', 'Okonkwo'])[1 + n % 7], date '2019-01-01' + n % 1800,
	n, CASE WHEN n % 2 = 0 THEN '"2026-12-31"' ELSE 'null' END), ', ' ORDER BY n) || '], "nextPage": null}', 'UTF8')
FROM generate_series(1, :mb * 3300) n;

CREATE VIEW ours AS
SELECT d.* FROM reply, decode('k', body, 16384, NULL::kinderconnect.reply_child) d;
CREATE VIEW recordset_children AS
SELECT c.* FROM reply, jsonb_to_recordset(convert_from(body, 'UTF8')::jsonb -> 'children') AS c ("childId" text, "firstName" text, "middleName" text,
	"lastName" text, suffix text, "dateOfBirth" date, subsidized boolean, authorizations jsonb);
CREATE VIEW recordset AS
SELECT c."childId", c."firstName", c."middleName", c."lastName", c.suffix, c."dateOfBirth", c.subsidized, a.*
FROM recordset_children c
LEFT JOIN LATERAL jsonb_to_recordset(c.authorizations) AS a ("authorizationId" text, "beginDate" date, "endDate" date, "unitsOfCare" text, days text[]) ON true;

CREATE VIEW bench_ours AS SELECT count(*) FROM ours;
CREATE VIEW bench_recordset AS SELECT count(x) FROM recordset x;
CREATE VIEW bench_recordset_flat AS SELECT count(x) FROM recordset_children x;
CREATE VIEW bench_parse AS SELECT parse(body) FROM reply;
CREATE VIEW bench_differences AS
(SELECT kinderconnect_child_id, first_name, middle_name, last_name, suffix, date_of_birth, subsidized, authorization_id, begin_date, end_date, units_of_care, days
 FROM ours WHERE problem IS NULL EXCEPT SELECT * FROM recordset)
UNION ALL
(SELECT * FROM recordset EXCEPT
 SELECT kinderconnect_child_id, first_name, middle_name, last_name, suffix, date_of_birth, subsidized, authorization_id, begin_date, end_date, units_of_care, days
 FROM ours WHERE problem IS NULL);
VACUUM ANALYZE reply;
