-- What run :night sent, beside what changed since the one before.

SELECT change, count(DISTINCT kid_no) AS children, count(*) AS "changed days",
       count(l.record_id) AS "sent by the run"
  FROM demo.change c
  LEFT JOIN kinderconnect.ledger l
    ON (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date, l.kind)
     = (c.organization_id, c.agency_id, c.provider_id, c.child_id, c.day, c.kind)
   AND l.run_id = :night
 GROUP BY change
 ORDER BY change;

CREATE TEMPORARY TABLE difference AS
WITH sent AS (
	SELECT organization_id, agency_id, provider_id, kinderconnect_child_id AS child_id, service_date AS day, kind
	  FROM kinderconnect.ledger
	 WHERE run_id = :night
), changed AS (
	SELECT organization_id, agency_id, provider_id, child_id, day, kind FROM demo.change
)
SELECT 'sent, and had not changed' AS which, s.* FROM (TABLE sent EXCEPT ALL TABLE changed) s
 UNION ALL
SELECT 'changed, and was not sent', c.* FROM (TABLE changed EXCEPT ALL TABLE sent) c;

SELECT count(*) > 0 AS differ FROM difference \gset
\if :differ
SELECT * FROM difference ORDER BY organization_id, agency_id, provider_id, child_id, day LIMIT 20;
\endif

DO $$
BEGIN
	IF EXISTS (SELECT FROM difference) OR NOT EXISTS (SELECT FROM demo.change) THEN
		RAISE EXCEPTION 'the second night did not send exactly the changes';
	END IF;
END
$$;
