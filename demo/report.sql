-- What an analyst sees.

SET ROLE kinderconnect_analyst;

-- Every authorized, finished child-day is in exactly one state:
SELECT state, count(*) AS days FROM kinderconnect.child_day GROUP BY state ORDER BY days DESC;

-- Three organizations, a line for each provider ID:
SELECT agency_id, provider_id, location_id AS site, children, matched, days, accepted, held, rejected, not_due
  FROM kinderconnect.provider_summary
 WHERE organization_id IN ('sunshine', 'frontera', 'hudson')
 ORDER BY organization_id, agency_id, provider_id;

-- And all twelve:
SELECT organization_id, count(*) AS providers, sum(children) AS children, sum(matched) AS matched,
       sum(days) AS days, sum(accepted) AS accepted, sum(held) AS held, sum(rejected) AS rejected, sum(not_due) AS not_due
  FROM kinderconnect.provider_summary
 GROUP BY organization_id
 ORDER BY organization_id;

-- Why days are held, and what to do about it:
SELECT reason, sum(days) AS days, what_to_do
  FROM kinderconnect.held_summary
 WHERE state = 'held'
 GROUP BY reason, what_to_do
 ORDER BY days DESC;

-- Children that KinderConnect knows, and that nobody in Manage could be proved to be:
SELECT unlinked_because, count(*) AS children
  FROM kinderconnect.unlinked_child
 GROUP BY unlinked_because
 ORDER BY children DESC;

-- What an agency refused, in its own words:
SELECT agency_id, code, message, count(*) AS days
  FROM kinderconnect.child_day
 WHERE state = 'rejected'
 GROUP BY agency_id, code, message
 ORDER BY days DESC;

RESET ROLE;
