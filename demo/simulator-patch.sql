-- Prints what the agencies changed since the simulator was seeded: one document
-- a line, for POST /_admin/patch.

SELECT jsonb_strip_nulls(jsonb_build_object(
	'groupId', 'G-' || 1000 + company_no,
	'locations', (SELECT jsonb_agg(document) FROM demo.service_location l WHERE l.company_no = o.company_no AND opens <> 'now'),
	'children', (SELECT jsonb_agg(document) FROM demo.service_child c WHERE c.company_no = o.company_no AND opens <> 'now')))
  FROM demo.company o
 WHERE company_no IN (SELECT company_no FROM demo.child WHERE opens <> 'now')
 ORDER BY company_no;
