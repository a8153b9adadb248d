-- Row by row, both ways: what the simulator holds (the file named by the
-- environment variable STORE) against what the extension says that it holds,
-- and against what the truth in schema demo says that it should.

\set store `cat "$STORE"`

CREATE TEMPORARY TABLE at_service AS
SELECT o.organization_id, r."agencyId" AS agency_id, r."providerId" AS provider_id, r."childId" AS child_id,
       r."serviceDate" AS day,
       CASE WHEN r.sessions IS NOT NULL THEN 'session' WHEN r.absence IS NOT NULL THEN 'absence' WHEN r.closure THEN 'closure' END AS kind,
       (SELECT string_agg(s ->> 'in' || '-' || (s ->> 'out'), ' ' ORDER BY n)
          FROM jsonb_array_elements(r.sessions) WITH ORDINALITY AS t (s, n)) AS sessions,
       r.absence ->> 'reason' AS reason,
       r."recordId" AS record_id
  FROM jsonb_to_recordset(:'store'::jsonb -> 'records') AS r (
	"groupId" text, "agencyId" text, "providerId" text, "childId" text, "serviceDate" date,
	sessions jsonb, absence jsonb, closure boolean, "recordId" text)
  JOIN kinderconnect.organization o ON o.group_id = r."groupId";

CREATE TEMPORARY TABLE in_extension AS
SELECT organization_id, agency_id, provider_id, kinderconnect_child_id AS child_id, service_date AS day,
       accepted_kind AS kind,
       (SELECT string_agg(to_char(i, 'HH24:MI') || '-' || to_char(o, 'HH24:MI'), ' ' ORDER BY n)
          FROM unnest(accepted_in, accepted_out) WITH ORDINALITY AS t (i, o, n)) AS sessions,
       accepted_reason AS reason,
       accepted_record_id::text AS record_id
  FROM kinderconnect.child_day
 WHERE accepted_kind IS NOT NULL;

CREATE TEMPORARY TABLE in_truth AS
SELECT organization_id, agency_id, provider_id, child_id, day, kind FROM demo.sendable
 WHERE opens = 'now' OR EXISTS (SELECT FROM demo.change);

CREATE TEMPORARY TABLE difference AS
SELECT 'only the simulator has' AS which, s.* FROM (TABLE at_service EXCEPT TABLE in_extension) s
 UNION ALL
SELECT 'only the extension has', e.* FROM (TABLE in_extension EXCEPT TABLE at_service) e
 UNION ALL
SELECT 'sent, and should not be', s.*, NULL, NULL, NULL
  FROM (SELECT organization_id, agency_id, provider_id, child_id, day, kind FROM at_service EXCEPT TABLE in_truth) s
 UNION ALL
SELECT 'not sent, and should be', t.*, NULL, NULL, NULL
  FROM (TABLE in_truth EXCEPT SELECT organization_id, agency_id, provider_id, child_id, day, kind FROM at_service) t;

SELECT (SELECT count(*) FROM at_service) AS "simulator holds",
       (SELECT count(*) FROM in_extension) AS "extension says",
       (SELECT count(*) FROM in_truth) AS "truth demands",
       (SELECT count(*) FROM difference) AS differences;

SELECT count(*) > 0 AS differ FROM difference \gset
\if :differ
SELECT * FROM difference ORDER BY organization_id, agency_id, provider_id, child_id, day LIMIT 20;
\endif

DO $$
BEGIN
	IF EXISTS (SELECT FROM difference) OR NOT EXISTS (SELECT FROM at_service) THEN
		RAISE EXCEPTION 'the simulator and the extension do not agree';
	END IF;
END
$$;
