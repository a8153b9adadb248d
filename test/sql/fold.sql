-- Names compared folded, the content of a day, wall times on the days the
-- clocks change, and what is a zone.
SELECT kinderconnect.fold(name) FROM (VALUES
	(1, 'MARIA'), (2, U&'Mar\00EDa'), (3, U&'Mari\0301a'), (4, U&'M\FF21R\FF29a'), (5, '  Ana   Maria '),
	(6, E'Ana\tMaria\n'), (7, 'De La Cruz'), (8, 'Delacruz'), (9, 'Smith-Jones'), (10, 'O''Neal'), (11, 'O Neal'),
	(12, U&'Zo\00EB'), (13, U&'N\0303un\0303ez'), (14, U&'Stra\00DFe'), (15, U&'\0141ukasz'), (16, U&'\00C6gir'),
	(17, 'St. James'), (18, ''), (19, '   '), (20, NULL)) AS n (i, name) ORDER BY i;

-- every apostrophe is none, every hyphen and space is one space
SELECT to_hex(code) AS "not an apostrophe" FROM unnest(ARRAY[x'27', x'60', x'b4', x'2018', x'2019', x'201b', x'2b9', x'2bb', x'2bc', x'2032', x'ff07',
	x'2bd', x'2be', x'2bf', x'2ca', x'2cb', x'2ee', x'384', x'1fbd', x'1fbf', x'1fef', x'1ffd', x'55a', x'5f3', x'7f4', x'7f5', x'2035', x'275b', x'275c', x'a78b', x'a78c', x'ff40']::integer[]) AS code
WHERE kinderconnect.fold('O' || chr(code) || 'Neal') <> 'oneal';
SELECT to_hex(code) AS "not a hyphen" FROM unnest(ARRAY[x'2d', x'2010', x'2011', x'2012', x'2013', x'2014', x'2015', x'2212', x'fe63', x'ff0d', x'2043',
	-- the others of Unicode's category Pd
	x'58a', x'5be', x'1400', x'1806', x'2e17', x'2e1a', x'2e3a', x'2e3b', x'2e40', x'2e5d', x'301c', x'3030', x'30a0', x'fe31', x'fe32', x'fe58', x'10ead']::integer[]) AS code
WHERE kinderconnect.fold('Smith' || chr(code) || 'Jones') <> 'smith jones';
SELECT to_hex(code) AS "not a space" FROM unnest(ARRAY[x'20', x'9', x'a', x'd', x'a0', x'2002', x'2007', x'2009', x'202f', x'3000']::integer[]) AS code
WHERE kinderconnect.fold(chr(code) || 'De' || chr(code) || chr(code) || 'Cruz' || chr(code)) <> 'de cruz';
-- what is not seen does not count
SELECT to_hex(code) AS "seen" FROM unnest(ARRAY[x'ad', x'200b', x'200d', x'200e', x'2060', x'feff']::integer[]) AS code
WHERE kinderconnect.fold('An' || chr(code) || 'na') <> 'anna';
-- folding what is folded changes nothing
SELECT name FROM (VALUES ('Mr. O''Neal-Smith'), (U&'\00C5NGSTR\00D6M'), (U&' - \2019 '), (U&'\00B4x\00B4')) AS n (name)
WHERE kinderconnect.fold(kinderconnect.fold(name)) <> kinderconnect.fold(name);

SELECT kinderconnect.content('session', '{08:02,17:00}', '{16:31,18:10}', NULL);
SELECT kinderconnect.content('session', '{08:02}', ARRAY[NULL]::time[], NULL);
SELECT kinderconnect.content('session', ARRAY[NULL]::time[], '{16:31}', NULL);
SELECT kinderconnect.content('session', '{00:00}', '{23:59}', 'ignored');
SELECT kinderconnect.content('absence', NULL, NULL, 'SICK');
SELECT kinderconnect.content('absence', NULL, NULL, NULL);
SELECT kinderconnect.content('closure', NULL, NULL, NULL);
SELECT kinderconnect.content(NULL, NULL, NULL, NULL) IS NULL AS "nothing to say";

-- A repeated hour is read the first time: its summer time. Which session time
-- zone the client has does not matter, and nothing else is read twice.
SET DateStyle = ISO;
CREATE TEMPORARY VIEW second_reading AS
SELECT t AT TIME ZONE 'UTC' AS utc, w AS wall
FROM generate_series('2025-11-02 05:00+00'::timestamptz, '2025-11-02 09:00+00', interval '15 minutes') t
CROSS JOIN LATERAL (SELECT t AT TIME ZONE 'America/Chicago' AS w) w
WHERE kinderconnect._is_second_reading(t, w, 'America/Chicago');
SELECT * FROM second_reading ORDER BY utc;
SET TimeZone = 'Pacific/Kiritimati';
SELECT * FROM second_reading ORDER BY utc;
RESET TimeZone;
SELECT zone, count(*) FILTER (WHERE n > 1) AS twice, count(*) FILTER (WHERE kinderconnect._is_second_reading(at, wall, zone) <> (n > 1)) AS wrong
FROM (SELECT zone, at, at AT TIME ZONE zone AS wall, row_number() OVER (PARTITION BY zone, at AT TIME ZONE zone ORDER BY at) AS n
	FROM unnest('{America/New_York,America/Denver,America/Phoenix,Pacific/Honolulu}'::text[]) zone
	CROSS JOIN generate_series('2025-01-01 00:00+00'::timestamptz, '2026-01-01 00:00+00', interval '15 minutes') at) y
GROUP BY zone ORDER BY zone;
SELECT kinderconnect._is_second_reading('infinity', 'infinity', 'America/Chicago') AS forever,
	kinderconnect._is_second_reading(NULL, NULL, 'America/Chicago') AS missing;

SELECT name, kinderconnect._zone(name) FROM (VALUES
	(1, 'America/Chicago'), (2, 'America/Argentina/Buenos_Aires'), (3, 'America/Port-au-Prince'), (4, 'America/Indiana/Indianapolis'), (5, 'UTC'), (6, 'Etc/GMT+5'),
	(7, 'CST'), (8, 'CST6CDT'), (9, '-06'), (10, 'America/Chikago'), (11, 'America/Foo5'), (12, 'Etc/GMT+5x'), (13, ''), (14, ' America/Chicago'),
	(15, '2025-01-01'), (16, NULL)) AS z (i, name) ORDER BY i;
