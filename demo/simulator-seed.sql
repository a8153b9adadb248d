-- Prints what the simulator is to know before the first night. The simulator
-- is not told what Manage recorded, only whom the agencies authorized.

CREATE VIEW demo.service_location AS
SELECT p.company_no, coalesce(c.opens, 'now') AS opens,
       jsonb_build_object(
	'providerId', provider_id, 'agencyId', p.agency_id, 'customerId', customer_id, 'name', p.name,
	'address', jsonb_build_object('line1', line1, 'city', p.city, 'state', a.state, 'zip', p.zip),
	'status', status) AS document
  FROM demo.provider p JOIN demo.agency a USING (agency_id) LEFT JOIN demo.center c USING (center_no)
 ORDER BY provider_id;

CREATE VIEW demo.service_child AS
SELECT h.company_no, h.opens,
       jsonb_build_object(
	'agencyId', h.agency_id, 'childId', h.child_id,
	'firstName', first_name, 'middleName', middle_name, 'lastName', last_name, 'suffix', suffix,
	'dateOfBirth', CASE WHEN role <> 'no birth date at the agency' THEN born END,
	'subsidized', subsidized,
	'providers', coalesce(a.providers, jsonb_build_array('P' || 55000 + center_no)),
	'authorizations', coalesce(a.authorizations, '[]')) AS document
  FROM demo.child h JOIN demo.kid k USING (kid_no)
  LEFT JOIN (
	SELECT agency_id, child_id, jsonb_agg(DISTINCT provider_id) AS providers,
	       jsonb_agg(jsonb_build_object(
			'providerId', provider_id, 'authorizationId', authorization_id,
			'beginDate', begin_date, 'endDate', end_date,
			'unitsOfCare', units_of_care, 'days', days) ORDER BY authorization_id) AS authorizations
	  FROM demo.authorization GROUP BY agency_id, child_id) a USING (agency_id, child_id)
 ORDER BY h.agency_id, h.child_id;

SELECT jsonb_build_object(
	'clients', jsonb_build_array(jsonb_build_object(
		'clientId', 'manage-nightly',
		'clientSecret', (SELECT value FROM demo.secret WHERE name = 'kinderconnect_client'))),
	'groups', jsonb_agg(jsonb_build_object(
		'groupId', 'G-' || 1000 + company_no,
		'groupPassword', (SELECT value FROM demo.secret WHERE name = 'group_' || slug),
		'customers', (
			SELECT jsonb_agg(jsonb_build_object('customerId', customer_id, 'name', name, 'status', status) ORDER BY customer_id)
			  FROM demo.customer c WHERE c.company_no = o.company_no),
		'agencies', (
			SELECT jsonb_agg(jsonb_build_object('agencyId', agency_id, 'name', name, 'state', state, 'timeZone', time_zone, 'rules', rules) ORDER BY agency_id)
			  FROM demo.agency WHERE agency_id IN (SELECT agency_id FROM demo.provider p WHERE p.company_no = o.company_no)),
		'locations', (SELECT jsonb_agg(document) FROM demo.service_location l WHERE l.company_no = o.company_no AND opens = 'now'),
		'children', (SELECT jsonb_agg(document) FROM demo.service_child c WHERE c.company_no = o.company_no AND opens = 'now')
	) ORDER BY company_no))
  FROM demo.company o;
