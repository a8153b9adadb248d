-- A child's name where a date or a time should be, once it is bound: PostgreSQL's error
-- quotes it
CREATE TABLE manage.goes_bad (since timestamptz);
SELECT kinderconnect.bind_manage('child',
	'SELECT organization AS organization_id, site AS location_id, student AS child_id, first_name, middle_name, last_name, suffix,
		CASE WHEN EXISTS (SELECT FROM manage.goes_bad) THEN last_name::date ELSE born END AS date_of_birth, true AS active FROM manage.student');
SELECT kinderconnect.bind_manage('attendance',
	$$SELECT organization AS organization_id, site AS location_id, student AS child_id, 'V' || visit AS attendance_id, 'session' AS kind,
		arrived AS check_in, CASE WHEN EXISTS (SELECT FROM manage.goes_bad) THEN last_name::timestamptz ELSE departed END AS check_out,
		NULL::date AS service_date, NULL AS reason, NULL::timestamptz AS modified_at
	FROM manage.visit JOIN manage.student USING (organization, site, student)$$);
INSERT INTO manage.goes_bad VALUES (now());
