-- After a round: what is wrong, a line each, and last how many child-days were
-- compared. Variables: store, history (replies of the simulator; the history
-- since the last time), clean: nothing is the matter, and a night has ended
-- well.
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
JOIN kinderconnect.organization o ON o.group_id = r ->> 'groupId';

CREATE TEMPORARY TABLE fresh AS
SELECT (r ->> 'sequence')::bigint AS n, o.organization_id AS organization, r ->> 'agencyId' AS agency, r ->> 'providerId' AS provider, r ->> 'childId' AS child,
	(r ->> 'serviceDate')::date AS day, pg_temp.content(r) AS content, r ->> 'recordId' AS record, r ->> 'status' AS status, r ->> 'fault' AS fault, r ->> 'batchId' AS batch
FROM jsonb_array_elements(:'history'::jsonb -> 'records') r
JOIN kinderconnect.organization o ON o.group_id = r ->> 'groupId';
INSERT INTO manage.posted SELECT * FROM fresh;

CREATE TEMPORARY TABLE here AS
SELECT organization_id AS organization, agency_id AS agency, provider_id AS provider, kinderconnect_child_id AS child,
	service_date AS day, accepted_content AS content, accepted_record_id AS record, state, reason
FROM kinderconnect.child_day;

INSERT INTO manage.heard
SELECT organization, agency, provider, child, day FROM there UNION SELECT organization, agency, provider, child, day FROM here
UNION SELECT organization, agency, provider, child, day FROM manage.spoken
ON CONFLICT DO NOTHING;

-- A service that cannot be asked took it and said a word that means no; or it
-- was sent again after a lost answer and refused: of these only a person can
-- know what became.
CREATE TEMPORARY TABLE excused AS
SELECT DISTINCT p.organization, p.agency, p.provider, p.child, p.day FROM manage.posted p JOIN manage.house h USING (organization)
WHERE p.fault LIKE '%results_unknown_status%' AND h.vendor
UNION
SELECT organization_id, agency_id, provider_id, kinderconnect_child_id, service_date FROM kinderconnect.ledger WHERE message LIKE '%so the service may hold it';

CREATE TEMPORARY TABLE pending AS
SELECT organization_id AS organization, agency_id AS agency, provider_id AS provider, kinderconnect_child_id AS child, service_date AS day, state
FROM kinderconnect.ledger WHERE state IN ('sending', 'unknown');

CREATE TEMPORARY TABLE compared AS
SELECT d.*, e.class, e.content AS wanted, t.content AS there, t.record AS there_record, h.content AS here, h.record AS here_record, h.state, h.reason,
	p.day IS NOT NULL AS pending, x.day IS NOT NULL AS excused, f.day IS NOT NULL AS frozen, f.content AS froze
FROM manage.heard d
LEFT JOIN manage.expected e USING (organization, agency, provider, child, day)
LEFT JOIN there t USING (organization, agency, provider, child, day)
LEFT JOIN here h USING (organization, agency, provider, child, day)
LEFT JOIN pending p USING (organization, agency, provider, child, day)
LEFT JOIN excused x USING (organization, agency, provider, child, day)
LEFT JOIN manage.frozen f USING (organization, agency, provider, child, day);

-- the last run of each organization that came to its end: it has taken up
-- what those before it left
CREATE TEMPORARY TABLE ended AS
SELECT o.organization_id, max(o.run_id) AS run_id
FROM kinderconnect.run_organization o JOIN kinderconnect.run r USING (run_id)
WHERE o.locked AND r.status NOT IN ('running', 'interrupted')
GROUP BY o.organization_id;

CREATE TEMPORARY VIEW difference AS
-- at all times
SELECT 'the service holds what Manage never said' AS what, c.organization, c.provider, c.child, c.day, c.there, c.here, c.wanted, c.class, c.state, c.reason
FROM compared c
WHERE c.there IS NOT NULL AND NOT EXISTS (SELECT FROM manage.said s
	WHERE (s.organization, s.agency, s.provider, s.child, s.day, s.content) = (c.organization, c.agency, c.provider, c.child, c.day, c.there))
UNION ALL
SELECT 'service and extension do not agree', c.organization, c.provider, c.child, c.day, c.there, c.here, c.wanted, c.class, c.state, c.reason
FROM compared c JOIN manage.house h USING (organization)
WHERE NOT c.pending AND NOT c.excused AND (c.there IS DISTINCT FROM c.here OR NOT h.vendor AND c.there_record IS DISTINCT FROM c.here_record)
UNION ALL
SELECT 'sent, and not so in the ledger', f.organization, f.provider, f.child, f.day, f.content, l.content, f.record, f.status, l.state, NULL
FROM fresh f LEFT JOIN kinderconnect.ledger l ON l.record_id = f.record
WHERE (f.agency, f.provider, f.child, f.day, f.content)
		IS DISTINCT FROM (l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date, l.content)
	-- whose a refused post was, the service may not know
	OR f.organization <> l.organization_id AND f.status <> 'refused'
UNION ALL
SELECT 'certainly not stored, and the service holds it', t.organization, t.provider, t.child, t.day, t.content, l.content, t.record, l.code, l.state, NULL
FROM there t JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (t.organization, t.record)
WHERE l.state = 'not_taken'
UNION ALL
SELECT 'sent twice', t.organization, t.provider, t.child, t.day, t.content, t.before, t.record, t.status, t.fault, NULL
FROM (SELECT p.*, lag(p.content) OVER (PARTITION BY p.organization, p.agency, p.provider, p.child, p.day ORDER BY p.n) AS before
	FROM manage.posted p JOIN (SELECT DISTINCT organization, agency, provider, child, day FROM fresh) f USING (organization, agency, provider, child, day)
	WHERE p.status = 'accepted') t
JOIN fresh f USING (n)
LEFT JOIN excused x ON (x.organization, x.agency, x.provider, x.child, x.day) = (t.organization, t.agency, t.provider, t.child, t.day)
WHERE t.content = t.before AND x.day IS NULL
UNION ALL
SELECT 'state of the day, and not of its record', d.organization_id, d.provider_id, d.kinderconnect_child_id, d.service_date, d.content, d.accepted_content, d.record_id, l.content, d.state, l.state
FROM kinderconnect.child_day d
LEFT JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (d.organization_id, d.record_id)
LEFT JOIN kinderconnect.ledger a ON (a.organization_id, a.record_id) = (d.organization_id, d.accepted_record_id)
WHERE (d.state IN ('sending', 'unknown')) <> (coalesce(l.state, '') IN ('sending', 'unknown'))
	-- one that died repeating what was unknown left it so
	OR d.state IN ('sending', 'unknown', 'rejected') AND d.state <> l.state AND NOT (d.state = 'unknown' AND l.state = 'sending'
		AND NOT EXISTS (SELECT FROM ended e WHERE e.organization_id = d.organization_id AND e.run_id >= l.run_id))
	OR d.accepted_record_id IS NOT NULL AND (a.state, a.content, a.service_date, a.kinderconnect_child_id)
		IS DISTINCT FROM ('accepted', d.accepted_content, d.service_date, d.kinderconnect_child_id)
UNION ALL
SELECT 'left as sending', l.organization_id, l.provider_id, l.kinderconnect_child_id, l.service_date, l.content, NULL, l.record_id, NULL, l.state, NULL
FROM kinderconnect.ledger l JOIN ended e ON e.organization_id = l.organization_id AND e.run_id >= l.run_id WHERE l.state = 'sending'
UNION ALL
SELECT 'a batch left ' || b.state, b.organization_id, b.provider_id, NULL, NULL, NULL, NULL, b.batch_id, NULL, NULL, NULL
FROM kinderconnect.batch b JOIN ended e ON e.organization_id = b.organization_id AND e.run_id >= b.run_id WHERE b.state IN ('sending', 'waiting')
UNION ALL
-- when all is done
SELECT 'the service does not hold what Manage says', c.organization, c.provider, c.child, c.day, c.there, c.here, c.wanted, c.class, c.state, c.reason
FROM compared c
WHERE :'clean'::boolean AND (c.class = 'exact' AND c.there IS DISTINCT FROM c.wanted AND NOT (c.excused AND c.wanted IS NULL)
	OR c.class = 'frozen' AND c.frozen AND c.there IS DISTINCT FROM c.froze)
UNION ALL
SELECT 'state is not what it ought to be', c.organization, c.provider, c.child, c.day, c.there, c.here, c.wanted, c.class, c.state, c.reason
FROM compared c
WHERE :'clean'::boolean AND (c.class = 'exact' AND c.wanted IS NOT NULL AND c.state IS DISTINCT FROM 'accepted'
	OR c.class = 'exact' AND c.wanted IS NULL AND (c.state IN ('voided', 'held', 'not_due')) IS NOT TRUE
	OR c.class = 'frozen' AND c.wanted IS NOT NULL AND (c.state = 'accepted' AND c.there = c.wanted OR c.state = 'held' OR (c.state = 'not_due' OR c.state IS NULL) AND c.there IS NULL) IS NOT TRUE)
UNION ALL
SELECT 'unknown, and nothing is the matter', c.organization, c.provider, c.child, c.day, c.there, c.here, c.wanted, c.class, c.state, c.reason
FROM compared c WHERE :'clean'::boolean AND c.pending
UNION ALL
SELECT 'the service took it, and the ledger does not say so', p.organization, p.provider, p.child, p.day, p.content, l.content, p.record, p.status, l.state, p.fault
FROM manage.posted p JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (p.organization, p.record)
LEFT JOIN excused x USING (organization, agency, provider, child, day)
WHERE :'clean'::boolean AND p.status = 'accepted' AND l.state <> 'accepted' AND x.day IS NULL
UNION ALL
SELECT 'the ledger says it took it, and it did not', l.organization_id, l.provider_id, l.kinderconnect_child_id, l.service_date, NULL, l.content, l.record_id, NULL, l.state, NULL
FROM kinderconnect.ledger l
WHERE :'clean'::boolean AND l.state = 'accepted' AND NOT EXISTS (SELECT FROM manage.posted p
	WHERE (p.organization, p.record) = (l.organization_id, l.record_id) AND p.status IN ('accepted', 'duplicate'));

SELECT * FROM difference ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 20;

INSERT INTO manage.frozen SELECT organization, agency, provider, child, day, there FROM compared
WHERE :'clean'::boolean AND class = 'frozen' ON CONFLICT DO NOTHING;

SELECT count(*) || ' child-days' FROM compared;
