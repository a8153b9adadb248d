-- Everybody whom a group of the seed lists, in Manage, with a visit on each of
-- the last :days days, or, for every fifth child, an absence on the first of
-- them. Variables: seed, group, organization, days.
CREATE TEMPORARY TABLE listed AS
SELECT g FROM jsonb_array_elements(:'seed'::jsonb -> 'groups') g WHERE g ->> 'groupId' = :'group';

INSERT INTO manage.site
SELECT :'organization', 'site ' || (l ->> 'providerId'), l ->> 'name', l #>> '{address,zip}', a ->> 'timeZone', l ->> 'agencyId', l ->> 'providerId'
FROM listed, jsonb_array_elements(g -> 'locations') l, jsonb_array_elements(g -> 'agencies') a
WHERE a -> 'agencyId' = l -> 'agencyId';

INSERT INTO manage.student
SELECT :'organization', 'S' || n, 'site ' || coalesce(c #>> '{authorizations,0,providerId}', c #>> '{providers,0}'),
	c ->> 'firstName', c ->> 'middleName', c ->> 'lastName', c ->> 'suffix', (c ->> 'dateOfBirth')::date, c ->> 'agencyId', c ->> 'childId'
FROM listed, jsonb_array_elements(g -> 'children') WITH ORDINALITY AS t(c, n);

INSERT INTO manage.entitled
SELECT :'organization', c ->> 'agencyId', a ->> 'providerId', c ->> 'childId', (a ->> 'beginDate')::date, (a ->> 'endDate')::date,
	(SELECT array_agg(d) FROM jsonb_array_elements_text(nullif(a -> 'days', 'null')) d)
FROM listed, jsonb_array_elements(g -> 'children') c, jsonb_array_elements(c -> 'authorizations') a
WHERE coalesce((c ->> 'subsidized')::boolean, true);

CREATE TEMPORARY TABLE care AS
SELECT s.organization, s.site, s.student, l.zone, substr(s.student, 2)::integer AS n, ago, (now() AT TIME ZONE l.zone)::date - ago AS day
FROM manage.student s JOIN manage.site l USING (organization, site), generate_series(1, :days) ago
WHERE s.organization = :'organization';

INSERT INTO manage.visit (organization, site, student, arrived, departed)
SELECT organization, site, student, (day + make_time(8, n % 60, 0)) AT TIME ZONE zone, (day + make_time(16, (n * 7 + ago) % 60, 0)) AT TIME ZONE zone
FROM care WHERE NOT (n % 5 = 0 AND ago = :days);

INSERT INTO manage.absence (organization, site, student, day, reason)
SELECT organization, site, student, day, 'SICK' FROM care WHERE n % 5 = 0 AND ago = :days;
