-- Where Manage keeps what the extension needs: four queries, written once.

SELECT kinderconnect.bind_manage('organization', $$
	SELECT portal_slug AS organization_id,
	       legal_name  AS name
	  FROM manage.company
$$);

SELECT kinderconnect.bind_manage('location', $$
	SELECT o.portal_slug         AS organization_id,
	       c.center_no::text     AS location_id,
	       c.display_name        AS name,
	       c.postal_code::text   AS zip,
	       c.tz_name             AS time_zone
	  FROM manage.center c
	  JOIN manage.company o USING (company_no)
$$);

SELECT kinderconnect.bind_manage('child', $$
	SELECT o.portal_slug               AS organization_id,
	       s.home_center_no::text      AS location_id,
	       s.student_no::text          AS child_id,
	       s.given_name                AS first_name,
	       s.middle_name,
	       s.family_name               AS last_name,
	       s.name_suffix               AS suffix,
	       s.birth_date                AS date_of_birth,
	       s.enrollment = 'enrolled'   AS active
	  FROM manage.student s
	  JOIN manage.company o USING (company_no)
$$);

SELECT kinderconnect.bind_manage('attendance', $$
	SELECT o.portal_slug           AS organization_id,
	       c.center_no::text       AS location_id,
	       p.student_no::text      AS child_id,
	       'P' || p.punch_no       AS attendance_id,
	       'session'               AS kind,
	       p.clock_in              AS check_in,
	       p.clock_out             AS check_out,
	       NULL::date              AS service_date,
	       NULL::text              AS reason,
	       p.changed_at            AS modified_at
	  FROM manage.attendance_punch p
	  JOIN manage.center c USING (center_no)
	  JOIN manage.company o USING (company_no)
	 WHERE NOT p.struck_out
	 UNION ALL
	SELECT o.portal_slug, c.center_no::text, a.student_no::text, 'A' || a.absence_no,
	       'absence', NULL, NULL, a.missed_on, a.why, a.changed_at
	  FROM manage.absence a
	  JOIN manage.center c USING (center_no)
	  JOIN manage.company o USING (company_no)
	 UNION ALL
	SELECT o.portal_slug, c.center_no::text, NULL, 'C' || x.closure_no,
	       'closure', NULL, NULL, x.closed_on, x.label, x.changed_at
	  FROM manage.center_closure x
	  JOIN manage.center c USING (center_no)
	  JOIN manage.company o USING (company_no)
$$);
