SELECT kinderconnect.bind_manage('child',
	'SELECT organization AS organization_id, site AS location_id, student AS child_id, first_name, middle_name, last_name, suffix,
		born AS date_of_birth, true AS active FROM manage.student');
SELECT kinderconnect.bind_manage('attendance',
	$$SELECT organization AS organization_id, site AS location_id, student AS child_id, 'V' || visit AS attendance_id, 'session' AS kind,
		arrived AS check_in, departed AS check_out, NULL::date AS service_date, NULL AS reason, NULL::timestamptz AS modified_at
	FROM manage.visit
	UNION ALL
	SELECT organization, site, student, 'A' || absence, 'absence', NULL, NULL, day, reason, NULL FROM manage.absence$$);
