-- A day passes. People put things right in Manage; agencies authorize four more
-- children and a whole location.

BEGIN;

-- In Manage: of each child one day of the last week, so that no change meets
-- another. What the older interface has accepted it cannot take back, and one
-- of its days is corrected.
WITH candidate AS (
	SELECT DISTINCT ON (kid_no) c.*
	  FROM demo.claimable c JOIN demo.setting ON day >= today - 7
	 WHERE role = 'ordinary' AND opens = 'now' AND what IN ('present', 'nothing', 'no check-out')
	 ORDER BY kid_no, what = 'present', demo.pick('candidate' || kid_no || day, 1000), day
), numbered AS (
	SELECT *, what = 'present' AND speaks = 'vendor-interface' AS correct_only,
	       row_number() OVER (PARTITION BY what, what = 'present' AND speaks = 'vendor-interface'
	                          ORDER BY demo.pick('change' || kid_no, 1000000), kid_no) AS n
	  FROM candidate
)
INSERT INTO demo.change
SELECT CASE what WHEN 'nothing' THEN 'attendance entered late'
                 WHEN 'no check-out' THEN 'check-out added'
                 ELSE CASE WHEN correct_only OR n <= 2 THEN 'check-out corrected' ELSE 'attendance struck out' END END,
       organization_id, agency_id, provider_id, child_id, day,
       CASE WHEN what = 'present' AND n > 2 AND NOT correct_only THEN 'void' ELSE 'session' END, kid_no
  FROM numbered
 WHERE n <= CASE WHEN correct_only THEN 1 WHEN what = 'present' THEN 4 ELSE 3 END;

CREATE TEMPORARY VIEW punch AS
SELECT punch_no, change
  FROM demo.change
  JOIN manage.attendance_punch p ON p.student_no = demo.student_no(kid_no)
  JOIN manage.center USING (center_no)
 WHERE (clock_in AT TIME ZONE tz_name)::date = day;

UPDATE manage.attendance_punch SET clock_out = clock_out + interval '25 minutes', changed_at = now()
 WHERE punch_no IN (SELECT punch_no FROM punch WHERE change = 'check-out corrected');

UPDATE manage.attendance_punch SET clock_out = clock_in + interval '8 hours', changed_at = now()
 WHERE punch_no IN (SELECT punch_no FROM punch WHERE change = 'check-out added');

UPDATE manage.attendance_punch SET struck_out = true, changed_at = now()
 WHERE punch_no IN (SELECT punch_no FROM punch WHERE change = 'attendance struck out');

INSERT INTO manage.attendance_punch (student_no, center_no, clock_in, clock_out, changed_at)
SELECT demo.student_no(kid_no), center_no,
       (day + time '08:05') AT TIME ZONE tz_name, (day + time '16:30') AT TIME ZONE tz_name, now()
  FROM demo.change JOIN demo.kid USING (kid_no) JOIN manage.center USING (center_no)
 WHERE change = 'attendance entered late';

UPDATE demo.day d SET what = CASE change WHEN 'attendance struck out' THEN 'nothing' ELSE 'present' END
  FROM demo.change c
 WHERE c.kid_no = d.kid_no AND c.day = d.day;

-- At the agencies: four families who paid themselves until now, ten days back.
-- Those of the new location stand in demo.child since the beginning.
INSERT INTO demo.child
SELECT agency_id, child_id, kid_no, company_no, 'second night', true
  FROM demo.newcomer JOIN demo.kid USING (kid_no);
INSERT INTO demo.authorization
SELECT 'A' || 70000 + kid_no, agency_id, child_id, provider_id, today - 10, today + 170, 'Full day', NULL
  FROM demo.newcomer, demo.setting;

INSERT INTO demo.change
SELECT CASE WHEN c.opens = 'now' THEN 'child newly authorized' ELSE 'location newly listed' END,
       organization_id, s.agency_id, provider_id, child_id, day, kind, kid_no
  FROM demo.sendable s JOIN demo.center c USING (center_no)
 WHERE s.opens = 'second night';

COMMIT;
