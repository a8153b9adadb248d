-- A child's name where a date should be: PostgreSQL's error quotes it
SELECT kinderconnect.bind_manage('child',
	'SELECT organization AS organization_id, site AS location_id, student AS child_id, first_name, middle_name, last_name, suffix,
		last_name::date AS date_of_birth, true AS active FROM manage.student');
