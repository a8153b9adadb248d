-- What a perfect clerk would get accepted, worked out from the truth in schema
-- demo alone. Of what the extension stores only its horizon is looked at.

-- The child-days of authorized children whom one can tell apart.
CREATE VIEW demo.claimable AS
SELECT slug AS organization_id, a.agency_id, a.provider_id, a.child_id, d.day, d.what,
       CASE d.what WHEN 'absent' THEN 'absence' WHEN 'closure' THEN 'closure' ELSE 'session' END AS kind,
       k.kid_no, k.center_no, k.role, h.opens, y.rules, o.speaks
  FROM demo.authorization a
  JOIN demo.child h USING (agency_id, child_id)
  JOIN demo.kid k USING (kid_no)
  JOIN demo.company o ON o.company_no = k.company_no
  JOIN demo.agency y USING (agency_id)
  JOIN kinderconnect.organization e ON e.organization_id = slug
  JOIN demo.day d ON d.kid_no = k.kid_no
   AND d.day BETWEEN a.begin_date AND coalesce(a.end_date, 'infinity')
   AND d.day >= e.first_enabled - e.backfill_days
   AND (a.days IS NULL OR (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d.day)::integer] = ANY (a.days))
 WHERE subsidized
   AND role NOT IN ('nickname', 'typo', 'unknown to Manage', 'twice in Manage',
		'no birth date in Manage', 'no birth date at the agency')
   -- where two provider IDs claim the child, a person must say which
   AND NOT EXISTS (SELECT FROM demo.authorization o
                    WHERE o.agency_id = a.agency_id AND o.child_id = a.child_id AND o.provider_id <> a.provider_id);

-- The older interface has no reasons of absences.
CREATE VIEW demo.sendable AS
SELECT c.*
  FROM demo.claimable c
  LEFT JOIN manage.absence x ON x.student_no = demo.student_no(c.kid_no) AND x.missed_on = c.day
 WHERE what IN ('present', 'two sessions')
    OR what = 'absent' AND (speaks = 'vendor-interface' OR coalesce(rules -> 'absenceReasons' ? x.why, true))
    OR what = 'closure' AND (rules ->> 'closures')::boolean;

-- Each row is a child-day that the second night must send. changes.sql fills it.
CREATE TABLE demo.change (
	change          text NOT NULL,
	organization_id text NOT NULL,
	agency_id       text NOT NULL,
	provider_id     text NOT NULL,
	child_id        text NOT NULL,
	day             date NOT NULL,
	kind            text NOT NULL,
	kid_no          integer NOT NULL,
	PRIMARY KEY (agency_id, provider_id, child_id, day)
);
