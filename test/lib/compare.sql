-- Row by row, what the simulator holds and was ever sent, what the extension
-- says of it, and what Manage and the seed make of it. Answers a line for each
-- difference. Variables: store, history (replies of the simulator; of the
-- history what is new is enough), whole: whether everything that can be sent should be
-- there.
CREATE FUNCTION pg_temp.content(r jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT CASE
		WHEN r ? 'sessions' THEN (SELECT string_agg(concat(s ->> 'in', '-', s ->> 'out'), ' ' ORDER BY n) FROM jsonb_array_elements(r -> 'sessions') WITH ORDINALITY AS t(s, n))
		WHEN r ? 'absence' THEN concat_ws(' ', 'absence', r #>> '{absence,reason}')
		WHEN r ? 'closure' THEN 'closure'
		ELSE 'void' END
$$;

CREATE TEMPORARY TABLE there AS
SELECT o.organization_id AS organization, r ->> 'agencyId' AS agency, r ->> 'providerId' AS provider, r ->> 'childId' AS child,
	(r ->> 'serviceDate')::date AS day, pg_temp.content(r) AS content, r ->> 'recordId' AS record
FROM jsonb_array_elements(:'store'::jsonb -> 'records') r
LEFT JOIN kinderconnect.organization o ON o.group_id = r ->> 'groupId';

INSERT INTO manage.sent
SELECT o.organization_id AS organization, r ->> 'agencyId' AS agency, r ->> 'providerId' AS provider, r ->> 'childId' AS child,
	(r ->> 'serviceDate')::date AS day, pg_temp.content(r) AS content, r ->> 'recordId' AS record,
	(r ->> 'sequence')::bigint AS n, r ->> 'status' AS status
FROM jsonb_array_elements(:'history'::jsonb -> 'records') r
LEFT JOIN kinderconnect.organization o ON o.group_id = r ->> 'groupId'
ON CONFLICT (n) DO NOTHING;

CREATE TEMPORARY VIEW here AS
SELECT organization_id AS organization, agency_id AS agency, provider_id AS provider, kinderconnect_child_id AS child,
	service_date AS day, accepted_content AS content, accepted_record_id AS record
FROM kinderconnect.child_day WHERE accepted_content IS NOT NULL;

CREATE TEMPORARY VIEW written AS
SELECT organization_id AS organization, agency_id AS agency, provider_id AS provider, kinderconnect_child_id AS child,
	service_date AS day, content, record_id AS record, state
FROM kinderconnect.ledger;

SELECT 'only the service holds it', t.* FROM (TABLE there EXCEPT TABLE here) t
UNION ALL
SELECT 'only the extension says so', t.* FROM (TABLE here EXCEPT TABLE there) t
UNION ALL
SELECT 'the service holds it, and Manage does not say so', t.*, NULL
FROM (SELECT organization, agency, provider, child, day, content FROM there EXCEPT TABLE manage.truth) t
UNION ALL
SELECT 'Manage says so, and the service does not hold it', t.*, NULL
FROM (TABLE manage.truth EXCEPT SELECT organization, agency, provider, child, day, content FROM there) t
WHERE :'whole'::boolean
UNION ALL
-- one id, one content; and never an id that the ledger does not have
SELECT 'sent, and not so in the ledger', t.*
FROM (SELECT organization, agency, provider, child, day, content, record FROM manage.sent
	EXCEPT SELECT organization, agency, provider, child, day, content, record FROM written) t
UNION ALL
SELECT 'accepted, and not so in the ledger', t.*
FROM (SELECT organization, agency, provider, child, day, content, record FROM manage.sent WHERE status = 'accepted'
	EXCEPT SELECT organization, agency, provider, child, day, content, record FROM written WHERE state = 'accepted') t
UNION ALL
SELECT 'accepted in the ledger alone', t.*
FROM (SELECT organization, agency, provider, child, day, content, record FROM written WHERE state = 'accepted'
	EXCEPT SELECT organization, agency, provider, child, day, content, record FROM manage.sent WHERE status = 'accepted') t
UNION ALL
-- a day that the service took twice as the same
SELECT 'sent twice', t.organization, t.agency, t.provider, t.child, t.day, t.content, t.record
FROM (SELECT p.*, lag(p.content) OVER (PARTITION BY p.organization, p.agency, p.provider, p.child, p.day ORDER BY p.n) AS before
	FROM manage.sent p WHERE p.status = 'accepted') t
WHERE t.content = t.before
UNION ALL
SELECT 'left ' || state, organization, agency, provider, child, day, content, record FROM written WHERE state IN ('sending', 'unknown')
UNION ALL
SELECT 'left a batch ' || state, organization_id, agency_id, provider_id, NULL, NULL, NULL, batch_id
FROM kinderconnect.batch WHERE state IN ('waiting', 'sending')
ORDER BY 1, 2, 3, 4, 5, 6, 8
LIMIT 20;
