-- Which child of Manage is which child of KinderConnect: a link is made only
-- where one answer is possible.
\set VERBOSITY terse
\set ON_ERROR_ROLLBACK on
BEGIN;
SET LOCAL client_min_messages = warning;
TRUNCATE kinderconnect.endpoint, kinderconnect.agency CASCADE;
CREATE SCHEMA regress_match
	CREATE TABLE location (organization_id text, location_id text, name text, zip text)
	CREATE TABLE child (organization_id text DEFAULT 'o', location_id text, child_id text, first_name text, middle_name text, last_name text, suffix text, date_of_birth date, active boolean DEFAULT true)
	CREATE TABLE child_id (organization_id text DEFAULT 'o', child_id text, agency_id text DEFAULT 'A', kinderconnect_child_id text)
	CREATE TABLE provider_id (organization_id text DEFAULT 'o', location_id text, agency_id text, provider_id text);
INSERT INTO regress_match.location VALUES ('o', 'L1', 'Sunshine Houston', '77002'), ('o', 'L2', 'Sunshine El Paso', '79901-1234'), ('other', 'L3', 'Only there', '10001');
SELECT kinderconnect.bind_manage('organization', $$ SELECT 'o' AS organization_id, 'Org' AS name $$);
SELECT kinderconnect.bind_manage('location', 'SELECT *, NULL AS time_zone FROM regress_match.location');
SELECT kinderconnect.bind_manage('child', 'SELECT * FROM regress_match.child');
SELECT kinderconnect.bind_manage('child_id', 'SELECT * FROM regress_match.child_id');
SELECT kinderconnect.bind_manage('provider_id', 'SELECT * FROM regress_match.provider_id');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('e', 'kinderbridge', 'https://example.com');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) VALUES ('o', 'e', 'g', 'p', '2026-01-01'), ('other', 'e', 'g', 'p', '2026-01-01');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, configured_location_id) VALUES ('o', 'A', 'P1', true, 'L1'), ('o', 'B', 'P2', true, 'L2');

-- A child as the service lists it at P1 or P2, and one as Manage has it. Every
-- case has a birth date of its own, and so is apart from the others.
CREATE FUNCTION pg_temp.listed(case_no integer, id text, first_name text, last_name text, middle_name text DEFAULT NULL, suffix text DEFAULT NULL, agency text DEFAULT 'A') RETURNS void LANGUAGE sql AS $$
	INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, middle_name, last_name, suffix, date_of_birth, subsidized)
	VALUES ('o', agency, id, first_name, middle_name, last_name, suffix, date '2020-01-01' + case_no, true);
	-- the first day of this month is within any horizon
	INSERT INTO kinderconnect.listed_authorization VALUES ('o', agency, CASE agency WHEN 'A' THEN 'P1' ELSE 'P2' END, date_trunc('month', (now() AT TIME ZONE 'America/New_York')::date), id, '')
$$;
CREATE FUNCTION pg_temp.in_manage(case_no integer, id text, location text, first_name text, last_name text, middle_name text DEFAULT NULL, suffix text DEFAULT NULL, active boolean DEFAULT true) RETURNS void LANGUAGE sql AS $$
	INSERT INTO regress_match.child VALUES ('o', location, id, first_name, middle_name, last_name, suffix, date '2020-01-01' + case_no, active)
$$;
CREATE VIEW pg_temp.verdict AS SELECT kinderconnect_child_id AS listed, child_id AS "in Manage", method, unlinked_because
	FROM kinderconnect._new_links('o') ORDER BY agency_id COLLATE "C", kinderconnect_child_id COLLATE "C";

\o /dev/null
-- the site first, folded; then the organization
SELECT pg_temp.listed(1, '01 site', 'MARIA JOSE', 'O''NEAL-GARCIA'), pg_temp.in_manage(1, 'm1', 'L1', U&'Mar\00EDa  Jos\00E9', U&'O\2019Neal Garcia');
SELECT pg_temp.listed(2, '02 organization', 'Ana', 'Lee'), pg_temp.in_manage(2, 'm2', 'L2', 'Ana', 'Lee');
SELECT pg_temp.listed(3, '03 site wins', 'Ana', 'Lee'), pg_temp.in_manage(3, 'm3', 'L1', 'Ana', 'Lee'), pg_temp.in_manage(3, 'm3 elsewhere', 'L2', 'Ana', 'Lee');
SELECT pg_temp.listed(4, '04 not in Manage', 'Ana', 'Lee'), pg_temp.in_manage(4, 'm4', 'L1', 'Anna', 'Lee');
SELECT pg_temp.listed(5, '05 other birth date', 'Only', 'Five'), pg_temp.in_manage(6, 'm5', 'L1', 'Only', 'Five');
SELECT pg_temp.listed(7, '07 De La Cruz', 'Sofia', 'De La Cruz'), pg_temp.in_manage(7, 'm7', 'L1', 'Sofia', 'Delacruz');
-- inactive children only where no active one fits; one who moved has both
SELECT pg_temp.listed(8, '08 left', 'Ana', 'Lee'), pg_temp.in_manage(8, 'm8', 'L1', 'Ana', 'Lee', active => false);
SELECT pg_temp.listed(9, '09 active first', 'Ana', 'Lee'), pg_temp.in_manage(9, 'm9', 'L1', 'Ana', 'Lee'), pg_temp.in_manage(9, 'm9 left', 'L1', 'Ana', 'Lee', active => false);
SELECT pg_temp.listed(10, '10 moved', 'Ana', 'Lee'), pg_temp.in_manage(10, 'm10 left', 'L1', 'Ana', 'Lee', active => false), pg_temp.in_manage(10, 'm10', 'L2', 'Ana', 'Lee');
SELECT pg_temp.listed(11, '11 active unknown', 'Ana', 'Lee'), pg_temp.in_manage(11, 'm11', 'L1', 'Ana', 'Lee', active => NULL);
-- duplicates on either side are never linked
SELECT pg_temp.listed(12, '12 twice in Manage', 'Ana', 'Lee'), pg_temp.in_manage(12, 'm12', 'L1', 'Ana', 'Lee'), pg_temp.in_manage(12, 'm12 again', 'L1', 'ANA', 'Lee');
SELECT pg_temp.listed(13, '13 twice at service', 'Ana', 'Lee'), pg_temp.listed(13, '13 twice at service (2)', 'Ana', 'Lee'), pg_temp.in_manage(13, 'm13', 'L1', 'Ana', 'Lee');
SELECT pg_temp.listed(14, '14 two, one fits both', 'Ana', 'Lee', 'Rose'), pg_temp.listed(14, '14 two, one fits both (2)', 'Ana', 'Lee'),
	pg_temp.in_manage(14, 'm14 Rose', 'L1', 'Ana', 'Lee', 'Rose'), pg_temp.in_manage(14, 'm14 Sue', 'L1', 'Ana', 'Lee', 'Sue');
-- twins
SELECT pg_temp.listed(15, '15 twin', 'Liam', 'Nguyen'), pg_temp.listed(15, '15 twin (2)', 'Noah', 'Nguyen'),
	pg_temp.in_manage(15, 'm15 Noah', 'L1', 'Noah', 'Nguyen'), pg_temp.in_manage(15, 'm15 Liam', 'L1', 'Liam', 'Nguyen');
SELECT pg_temp.listed(16, '16 twins, Manage has one', 'Liam', 'Nguyen'), pg_temp.listed(16, '16 twins, Manage has one (2)', 'Noah', 'Nguyen'), pg_temp.in_manage(16, 'm16', 'L1', 'Noah', 'Nguyen');
-- middle name and suffix speak where both sides have one
SELECT pg_temp.listed(17, '17 middle on one side', 'Ana', 'Lee', 'Rose'), pg_temp.in_manage(17, 'm17', 'L1', 'Ana', 'Lee');
SELECT pg_temp.listed(18, '18 initial', 'Ana', 'Lee', 'R.'), pg_temp.in_manage(18, 'm18', 'L1', 'Ana', 'Lee', 'Rose');
SELECT pg_temp.listed(19, '19 middle differs', 'Ana', 'Lee', 'Rose'), pg_temp.in_manage(19, 'm19', 'L1', 'Ana', 'Lee', 'Sue');
SELECT pg_temp.listed(20, '20 suffix', 'Rob', 'King', suffix => 'Jr.'), pg_temp.in_manage(20, 'm20', 'L1', 'Rob', 'King', suffix => 'JR');
SELECT pg_temp.listed(21, '21 suffix differs', 'Rob', 'King', suffix => 'Jr.'), pg_temp.in_manage(21, 'm21', 'L1', 'Rob', 'King', suffix => 'III');
SELECT pg_temp.listed(22, '22 middle chooses', 'Ana', 'Lee', 'Rose'), pg_temp.in_manage(22, 'm22 Rose', 'L1', 'Ana', 'Lee', 'R'), pg_temp.in_manage(22, 'm22 Sue', 'L1', 'Ana', 'Lee', 'Sue');
-- the site's does not fit whole, the organization's does
SELECT pg_temp.listed(23, '23 whole elsewhere', 'Ana', 'Lee', 'Rose'), pg_temp.in_manage(23, 'm23 Sue', 'L1', 'Ana', 'Lee', 'Sue'), pg_temp.in_manage(23, 'm23 Rose', 'L2', 'Ana', 'Lee', 'Rose');
-- what is missing or blank never fits
SELECT pg_temp.listed(NULL, '24 no birth date', 'Ana', 'Lee'), pg_temp.in_manage(NULL, 'm24', 'L1', 'Ana', 'Lee');
SELECT pg_temp.listed(25, '25 no first name', NULL, 'Lee'), pg_temp.in_manage(25, 'm25', 'L1', NULL, 'Lee');
SELECT pg_temp.listed(26, '26 blank last name', 'Ana', ' - '), pg_temp.in_manage(26, 'm26', 'L1', 'Ana', '');
-- the same number at another agency is another child, and one child of Manage
-- may have an id at each
SELECT pg_temp.listed(1, '01 site', 'Maria Jose', 'O Neal Garcia', agency => 'B'), pg_temp.listed(2, '02 at B', 'Ana', 'Lee', agency => 'B');
-- one child in two rows of Manage's query is one child
SELECT pg_temp.listed(27, '27 two rows', 'Ana', 'Lee'), pg_temp.in_manage(27, 'm27', 'L1', 'Ana', 'Lee'), pg_temp.in_manage(27, 'm27', 'L2', 'Ana', 'Lee');

-- stored ids: two of first name, last name and birth date have to agree
SELECT pg_temp.listed(41, '41 id', 'Ana', 'Lee'), pg_temp.in_manage(41, 'm41', 'L2', 'Ana', 'Lee');
SELECT pg_temp.listed(42, '42 id, other last name', 'Ana', 'Lee'), pg_temp.in_manage(42, 'm42', 'L1', 'Ana', 'Young');
SELECT pg_temp.listed(43, '43 id, other birth date', 'Ana', 'Lee'), pg_temp.in_manage(143, 'm43', 'L1', 'Ana', 'Lee');
SELECT pg_temp.listed(NULL, '44 id, no birth date', 'Ana', 'Lee'), pg_temp.in_manage(144, 'm44', 'L1', 'Ana', 'Lee');
SELECT pg_temp.listed(45, '45 id disagrees', 'Ana', 'Lee'), pg_temp.in_manage(45, 'm45', 'L1', 'Bob', 'Young');
SELECT pg_temp.listed(46, '46 blanks do not agree', 'Ana', ''), pg_temp.in_manage(146, 'm46', 'L1', 'Ana', '');
SELECT pg_temp.listed(47, '47 several ids', 'Ana', 'Lee'), pg_temp.in_manage(47, 'm47', 'L1', 'Ana', 'Lee'), pg_temp.in_manage(47, 'm47 too', 'L1', 'Ana', 'Leigh');
SELECT pg_temp.listed(48, '48 id of a child gone', 'Ana', 'Lee'), pg_temp.in_manage(48, 'm48', 'L1', 'Ana', 'Lee');
SELECT pg_temp.listed(49, '49 id decides', 'Ana', 'Lee'), pg_temp.in_manage(49, 'm49', 'L2', 'Ana', 'Lee'), pg_temp.in_manage(49, 'm49 namesake', 'L1', 'Ana', 'Lee');
SELECT pg_temp.listed(50, '50 two ids claim one', 'Ana', 'Lee'), pg_temp.listed(50, '50 two ids claim one (2)', 'Ana', 'Lee'), pg_temp.in_manage(50, 'm50', 'L1', 'Ana', 'Lee');
SELECT pg_temp.listed(51, '51 id and fit claim one', 'Ana', 'Young'), pg_temp.listed(51, '51 id and fit claim one (2)', 'Ana', 'Lee'), pg_temp.in_manage(51, 'm51', 'L1', 'Ana', 'Lee');
SELECT pg_temp.listed(52, '52 id at another agency', 'Ana', 'Lee'), pg_temp.in_manage(152, 'm52', 'L1', 'Ana', 'Lee');
SELECT pg_temp.listed(53, '53 id, two rows', 'Ana', 'Lee'), pg_temp.in_manage(53, 'm53', 'L1', 'Ana', 'Lee'), pg_temp.in_manage(53, 'm53', 'L2', 'Ana', 'Lee');
-- of twins, exchanged: last name and birth date are two, and another has all three
SELECT pg_temp.listed(54, '54 Anna', 'Anna', 'Lee'), pg_temp.listed(54, '54 Ben', 'Ben', 'Lee'), pg_temp.in_manage(54, 'm54 Anna', 'L1', 'Anna', 'Lee'), pg_temp.in_manage(54, 'm54 Ben', 'L1', 'Ben', 'Lee');
SELECT pg_temp.listed(55, '55 id, another fits', 'Ana', 'Lee'), pg_temp.in_manage(55, 'm55', 'L1', 'Ana', 'Young'), pg_temp.in_manage(55, 'm55 fits', 'L2', 'Ana', 'Lee', 'Sue');
SELECT pg_temp.listed(56, '56 id, another fits less', 'Ana', 'Lee'), pg_temp.in_manage(56, 'm56', 'L1', 'Ana', 'Young'), pg_temp.in_manage(56, 'm56 less', 'L1', 'Anna', 'Lee');
INSERT INTO regress_match.child_id (child_id, kinderconnect_child_id) VALUES
	('m54 Ben', '54 Anna'), ('m54 Anna', '54 Ben'), ('m55', '55 id, another fits'), ('m56', '56 id, another fits less'),
	('m41', '41 id'), ('m41', '41 id'), ('m42', '42 id, other last name'), ('m43', '43 id, other birth date'), ('m44', '44 id, no birth date'),
	('m45', '45 id disagrees'), ('m46', '46 blanks do not agree'), ('m47', '47 several ids'), ('m47 too', '47 several ids'), ('no such child', '48 id of a child gone'),
	('m49', '49 id decides'), ('m50', '50 two ids claim one'), ('m50', '50 two ids claim one (2)'), ('m51', '51 id and fit claim one'), ('m53', '53 id, two rows');
INSERT INTO regress_match.child_id (child_id, agency_id, kinderconnect_child_id) VALUES ('m52', 'B', '52 id at another agency');
INSERT INTO regress_match.child_id (organization_id, child_id, kinderconnect_child_id) VALUES ('other', 'm45', '04 not in Manage');
-- another organization's children are not looked at
INSERT INTO regress_match.child (organization_id, location_id, child_id, first_name, last_name, date_of_birth) VALUES ('other', 'L1', 'm4 other', 'Ana', 'Lee', date '2020-01-01' + 4);
\o

SELECT * FROM pg_temp.verdict;
-- every child without a link has one verdict, and a link or a reason
SELECT (SELECT count(*) FROM kinderconnect.child) = count(*) AS "one each", count(*) = count(DISTINCT (agency_id, kinderconnect_child_id)) AS "no repeats",
	bool_and(num_nonnulls(child_id, unlinked_because) = 1) AS "link or reason" FROM kinderconnect._new_links('o');
SELECT count(*) AS "looked, not touched" FROM kinderconnect.child_link;

SELECT kinderconnect._match('o');
SELECT count(*) AS links, count(flag) AS flagged FROM kinderconnect.child_link;
SELECT kinderconnect_child_id, child_id, method, flag FROM kinderconnect.child_link WHERE flag IS NOT NULL;
-- what it wrote is what the view said
SELECT count(*) AS "differs" FROM kinderconnect._new_links('o') n JOIN kinderconnect.child c USING (agency_id, kinderconnect_child_id)
WHERE n.child_id IS NOT NULL OR n.unlinked_because IS DISTINCT FROM c.unlinked_because;
-- once more changes nothing, for whoever is linked is not looked for
SELECT kinderconnect._match('o');
SELECT count(*) AS links FROM kinderconnect.child_link;

-- The two sides drift apart, and come back.
CREATE VIEW pg_temp.flags AS SELECT kinderconnect_child_id AS listed, flag FROM kinderconnect.child_link
	WHERE flag IS NOT NULL AND ended_at IS NULL AND kinderconnect_child_id NOT LIKE '43%' ORDER BY kinderconnect_child_id COLLATE "C";
CREATE TABLE regress_match.before AS TABLE regress_match.child;
UPDATE regress_match.child SET last_name = 'Married' WHERE child_id = 'm2';
UPDATE regress_match.child SET last_name = 'Married', first_name = 'Anna' WHERE child_id = 'm3';
UPDATE regress_match.child SET date_of_birth = '2019-01-01' WHERE child_id = 'm8';
UPDATE regress_match.child SET date_of_birth = NULL WHERE child_id IN ('m9', 'm41');
UPDATE regress_match.child SET first_name = NULL, last_name = NULL WHERE child_id = 'm10';
UPDATE regress_match.child SET first_name = 'X', last_name = 'Y' WHERE child_id = 'm27' AND location_id = 'L2';
DELETE FROM regress_match.child WHERE child_id = 'm11';
SELECT kinderconnect._match('o');
SELECT * FROM pg_temp.flags;
TRUNCATE regress_match.child;
INSERT INTO regress_match.child TABLE regress_match.before;
UPDATE kinderconnect.child SET date_of_birth = '2018-01-01' WHERE kinderconnect_child_id = '17 middle on one side';
SELECT kinderconnect._match('o');
SELECT * FROM pg_temp.flags;
-- a child gone is not linked to whoever else would fit: a person decides
DELETE FROM regress_match.child WHERE child_id = 'm15 Noah';
SELECT pg_temp.in_manage(15, 'm15 merged', 'L1', 'Noah', 'Nguyen');
SELECT kinderconnect._match('o');
SELECT child_id, flag FROM kinderconnect.child_link WHERE kinderconnect_child_id = '15 twin (2)';

-- A person decides.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT kinderconnect.link_child('nobody', 'A', '04 not in Manage', 'm4');
SELECT kinderconnect.link_child('o', 'A', 'nobody', 'm4');
SELECT kinderconnect.link_child('o', 'B', '04 not in Manage', 'm4');
SELECT kinderconnect.link_child('o', 'A', '04 not in Manage', 'nobody');
SELECT kinderconnect.link_child('o', 'A', '04 not in Manage', 'm4 other');
SELECT kinderconnect.link_child('o', 'A', '04 not in Manage', 'm1');
SELECT kinderconnect.link_child('o', 'A', '04 not in Manage', NULL);
SELECT kinderconnect.link_child('o', 'A', NULL, 'm4');
SELECT kinderconnect.unlink_child('o', 'A', '04 not in Manage', 'never was');
SELECT kinderconnect.unlink_child('o', 'A', '01 site', NULL);
SELECT kinderconnect.unlink_child('nobody', 'A', '01 site', 'wrong child');
SELECT kinderconnect.unlink_child('o', NULL, '01 site', 'wrong child');
SELECT kinderconnect.unlink_child('o', 'A', '01 site', ' ');
\set VERBOSITY terse
CREATE VIEW pg_temp.history AS SELECT kinderconnect_child_id AS listed, child_id, method, flag, linked_by = session_user AS "linked by me",
	ended_at IS NOT NULL AS ended, ended_by = session_user AS "ended by me", end_reason, c.unlinked_because
	FROM kinderconnect.child_link k JOIN kinderconnect.child c USING (organization_id, agency_id, kinderconnect_child_id);
SELECT kinderconnect.link_child('o', 'A', '04 not in Manage', 'm4');
SELECT kinderconnect.link_child('o', 'A', '24 no birth date', 'm24');
SELECT kinderconnect.link_child('o', 'A', '15 twin (2)', 'm15 merged');
SELECT kinderconnect._match('o');
SELECT * FROM pg_temp.history WHERE listed LIKE ANY ('{04%,24%,15 twin (2)}') ORDER BY listed COLLATE "C", ended DESC;
-- parted, the pair is not linked again; with another it may be
SELECT kinderconnect.unlink_child('o', 'A', '01 site', 'wrong child');
SELECT kinderconnect.unlink_child('o', 'A', '01 site', 'again');
SELECT kinderconnect.unlink_child('o', 'A', '41 id', 'wrong child');
SELECT kinderconnect.unlink_child('o', 'A', '15 twin (2)', 'wrong child');
SELECT kinderconnect._match('o');
SELECT * FROM pg_temp.history WHERE listed LIKE ANY ('{01%,41%,15 twin (2)}') ORDER BY listed COLLATE "C", ended DESC, child_id COLLATE "C";
SELECT pg_temp.in_manage(41, 'm41 right', 'L1', 'Ana', 'Lee');
-- a night later
UPDATE kinderconnect.child_link SET linked_at = linked_at - interval '1 day';
SELECT kinderconnect._match('o');
SELECT * FROM pg_temp.history WHERE listed LIKE '41%' ORDER BY ended DESC;
-- a person may link again what was parted
SELECT kinderconnect.link_child('o', 'A', '01 site', 'm1');
SELECT kinderconnect._match('o');
SELECT * FROM pg_temp.history WHERE listed = '01 site' ORDER BY ended DESC, child_id COLLATE "C";
-- never two links in force on either side
SELECT count(*) FROM (SELECT FROM kinderconnect.child_link WHERE ended_at IS NULL GROUP BY agency_id, kinderconnect_child_id HAVING count(*) > 1
	UNION ALL SELECT FROM kinderconnect.child_link WHERE ended_at IS NULL GROUP BY agency_id, child_id HAVING count(*) > 1) twice;
-- a child of Manage that is linked is not given away
SELECT pg_temp.listed(2, '02 newly listed', 'Ana', 'Lee');
SELECT * FROM pg_temp.verdict WHERE listed LIKE '02%';

-- What each change does to a link, however it was made: the same on both sides.
CREATE TABLE regress_match.drift AS
SELECT 300 + row_number() OVER () AS n, 'd' || row_number() OVER () AS id, made, side, change
FROM unnest(ARRAY['by names', 'by id', 'by a person']) made, unnest(ARRAY['in Manage', 'listed']) side,
	unnest(ARRAY['first name', 'last name', 'both names', 'birth date', 'no birth date', 'middle name', 'to an initial', 'suffix']) change;
\o /dev/null
SELECT pg_temp.listed(n::integer, id, 'Ana', 'Lee', 'Rose', 'Jr'), pg_temp.in_manage(n::integer, id, 'L1', 'Ana', 'Lee', 'Rose', 'Jr') FROM regress_match.drift;
INSERT INTO regress_match.child_id (child_id, kinderconnect_child_id) SELECT id, id FROM regress_match.drift WHERE made = 'by id';
SELECT kinderconnect.link_child('o', 'A', id, id) FROM regress_match.drift WHERE made = 'by a person';
SELECT kinderconnect._match('o');
\o
SELECT d.made, k.method, count(*), count(k.flag) AS flagged FROM regress_match.drift d JOIN kinderconnect.child_link k ON k.kinderconnect_child_id = d.id
GROUP BY d.made, k.method ORDER BY d.made COLLATE "C";
UPDATE regress_match.child c SET first_name = CASE WHEN d.change IN ('first name', 'both names') THEN 'Anna' ELSE c.first_name END,
	last_name = CASE WHEN d.change IN ('last name', 'both names') THEN 'Leigh' ELSE c.last_name END,
	date_of_birth = CASE d.change WHEN 'birth date' THEN c.date_of_birth + 1000 WHEN 'no birth date' THEN NULL ELSE c.date_of_birth END,
	middle_name = CASE d.change WHEN 'middle name' THEN 'Sue' WHEN 'to an initial' THEN 'R.' ELSE c.middle_name END,
	suffix = CASE d.change WHEN 'suffix' THEN 'III' ELSE c.suffix END
FROM regress_match.drift d WHERE d.side = 'in Manage' AND c.child_id = d.id;
UPDATE kinderconnect.child c SET first_name = CASE WHEN d.change IN ('first name', 'both names') THEN 'Anna' ELSE c.first_name END,
	last_name = CASE WHEN d.change IN ('last name', 'both names') THEN 'Leigh' ELSE c.last_name END,
	date_of_birth = CASE d.change WHEN 'birth date' THEN c.date_of_birth + 1000 WHEN 'no birth date' THEN NULL ELSE c.date_of_birth END,
	middle_name = CASE d.change WHEN 'middle name' THEN 'Sue' WHEN 'to an initial' THEN 'R.' ELSE c.middle_name END,
	suffix = CASE d.change WHEN 'suffix' THEN 'III' ELSE c.suffix END, changed_at = now()
FROM regress_match.drift d WHERE d.side = 'listed' AND c.kinderconnect_child_id = d.id;
SELECT kinderconnect._match('o');
SELECT d.change, string_agg(DISTINCT coalesce(k.flag, 'stands'), ', ') FILTER (WHERE d.made = 'by names') AS "by names",
	string_agg(DISTINCT coalesce(k.flag, 'stands'), ', ') FILTER (WHERE d.made = 'by id') AS "by id",
	string_agg(DISTINCT coalesce(k.flag, 'stands'), ', ') FILTER (WHERE d.made = 'by a person') AS "by a person"
FROM regress_match.drift d JOIN kinderconnect.child_link k ON k.kinderconnect_child_id = d.id AND k.ended_at IS NULL GROUP BY d.change ORDER BY d.change COLLATE "C";
-- who says that it is still the child ends the flag of a name, not of a birth date
\o /dev/null
SELECT kinderconnect.link_child('o', 'A', id, id, 'asked') FROM regress_match.drift WHERE side = 'in Manage' AND made = 'by names';
SELECT kinderconnect._match('o');
\o
SELECT d.change, coalesce(k.flag, 'stands') AS flag FROM regress_match.drift d JOIN kinderconnect.child_link k ON k.kinderconnect_child_id = d.id AND k.ended_at IS NULL
WHERE d.side = 'in Manage' AND d.made = 'by names' ORDER BY d.change COLLATE "C";

-- A stored id that clearly says otherwise is not passed over: twins who were
-- linked crosswise before their ids were put right, or before anybody looked.
\o /dev/null
SELECT pg_temp.listed(n, n || ' Anna', 'Anna', 'Lee'), pg_temp.listed(n, n || ' Ben', 'Ben', 'Lee'),
	pg_temp.in_manage(n, n || ' Anna', 'L1', 'Anna', 'Lee'), pg_temp.in_manage(n, n || ' Ben', 'L1', 'Ben', 'Lee') FROM generate_series(401, 404) n;
-- 401: crossed, as are the ids; 402: crossed, and the ids are right; 403: right, and the ids are crossed; 404: a person's
INSERT INTO regress_match.child_id (child_id, kinderconnect_child_id) VALUES ('401 Anna', '401 Ben'), ('401 Ben', '401 Anna'), ('402 Anna', '402 Anna'), ('402 Ben', '402 Ben'),
	('403 Anna', '403 Ben'), ('403 Ben', '403 Anna'), ('404 Anna', '404 Anna'), ('404 Ben', '404 Ben');
INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, differing)
SELECT 'o', 'A', n || a, n || CASE WHEN n = 403 THEN a ELSE b END, CASE WHEN n = 404 THEN 'person' ELSE 'stored_id' END, CASE WHEN n = 403 THEN '{}' ELSE '{first_name}'::text[] END
FROM generate_series(401, 404) n, (VALUES (' Anna', ' Ben'), (' Ben', ' Anna')) t(a, b);
-- 405: another has the id now, and agrees in all; 406: in as much as the linked; 407: in less; 408: in too little; 409: of two ids one is the link's
SELECT pg_temp.listed(n, n || ' Anna', 'Anna', 'Lee') FROM generate_series(405, 409) n;
SELECT pg_temp.in_manage(n, n || ' linked', 'L1', CASE WHEN n IN (405, 406) THEN 'Ann' ELSE 'Anna' END, 'Lee') FROM generate_series(405, 409) n;
INSERT INTO regress_match.child_id (child_id, kinderconnect_child_id) SELECT n || ' linked', n || ' Anna' FROM generate_series(405, 409) n;
SELECT kinderconnect._match('o');
SELECT pg_temp.in_manage(405, '405 other', 'L1', 'Anna', 'Lee'), pg_temp.in_manage(406, '406 other', 'L1', 'Anne', 'Lee'), pg_temp.in_manage(407, '407 other', 'L1', 'Ben', 'Lee'),
	pg_temp.in_manage(408, '408 other', 'L1', 'Ben', 'Young'), pg_temp.in_manage(409, '409 other', 'L1', 'Anna', 'Lee');
DELETE FROM regress_match.child_id WHERE child_id LIKE '40_ linked' AND child_id <> '409 linked';
INSERT INTO regress_match.child_id (child_id, kinderconnect_child_id) SELECT n || ' other', n || ' Anna' FROM generate_series(405, 409) n;
CREATE TABLE regress_match.expected AS SELECT kinderconnect_child_id, child_id, flag FROM kinderconnect._links('o') WHERE kinderconnect_child_id LIKE '40_ %';
SELECT kinderconnect._match('o');
\o
SELECT kinderconnect_child_id AS listed, child_id, method, flag FROM kinderconnect.child_link WHERE kinderconnect_child_id LIKE '40_ %' ORDER BY 1;
SELECT count(*) AS "not foreseen" FROM regress_match.expected f JOIN kinderconnect.child_link k USING (kinderconnect_child_id)
WHERE (f.child_id, f.flag) IS DISTINCT FROM (k.child_id, k.flag);
-- a person says that it is not the other; the id is put right; the links are ended
\o /dev/null
SELECT kinderconnect.reject_match('o', 'A', '405 Anna', '405 other');
DELETE FROM regress_match.child_id WHERE child_id LIKE '406%';
UPDATE kinderconnect.child_link SET linked_at = linked_at - interval '1 day' WHERE kinderconnect_child_id LIKE '40_ %';
SELECT kinderconnect.unlink_child('o', 'A', n || t, 'crossed') FROM generate_series(401, 402) n, unnest('{" Anna"," Ben"}'::text[]) t;
SELECT kinderconnect._match('o');
\o
SELECT k.kinderconnect_child_id AS listed, k.child_id, k.method, k.flag, c.unlinked_because FROM kinderconnect.child c
LEFT JOIN kinderconnect.child_link k ON k.kinderconnect_child_id = c.kinderconnect_child_id AND k.ended_at IS NULL
WHERE c.kinderconnect_child_id LIKE ANY ('{401%,402%,405%,406%}') ORDER BY c.kinderconnect_child_id;

-- Manage may be there in part: of two that fit the one that is left is not taken
-- for the only one, until the other has been gone for six hours.
\o /dev/null
SELECT pg_temp.listed(n, n || ' ' || what, 'Ana', 'Lee'), pg_temp.in_manage(n, n || ' stays', 'L1', 'Ana', 'Lee')
FROM (VALUES (501, 'stays gone'), (502, 'comes back'), (503, 'has an id'), (505, 'is another''s'), (507, 'linked')) c(n, what);
SELECT pg_temp.in_manage(504, '504 stays', 'L1', 'Ana', 'Lee'), pg_temp.listed(506, '506 the only one', 'Ana', 'Lee');
SELECT pg_temp.in_manage(n, n || ' goes', 'L1', 'Ana', 'Lee') FROM generate_series(501, 506) n;
SELECT kinderconnect._match('o');
SELECT pg_temp.in_manage(507, '507 goes', 'L1', 'Ana', 'Lee');
SELECT kinderconnect._match('o');
CREATE TABLE regress_match.went AS SELECT * FROM regress_match.child WHERE child_id LIKE '50% goes' AND child_id <> '505 goes';
DELETE FROM regress_match.child c USING regress_match.went w WHERE c.child_id = w.child_id;
UPDATE regress_match.child SET date_of_birth = date_of_birth + 1000 WHERE child_id = '505 goes';
INSERT INTO regress_match.child_id (child_id, kinderconnect_child_id) VALUES ('503 stays', '503 has an id');
SELECT pg_temp.listed(504, '504 comes later', 'Ana', 'Lee');
CREATE VIEW pg_temp.waiting AS SELECT c.kinderconnect_child_id AS listed, k.child_id, k.flag, c.unlinked_because
	FROM kinderconnect.child c LEFT JOIN kinderconnect.child_link k USING (organization_id, agency_id, kinderconnect_child_id)
	WHERE c.kinderconnect_child_id LIKE '50_ %' ORDER BY 1;
CREATE TABLE regress_match.foreseen AS SELECT kinderconnect_child_id, child_id, flag, unlinked_because FROM kinderconnect._links('o');
SELECT kinderconnect._match('o');
\o
SELECT * FROM pg_temp.waiting;
SELECT count(*) AS "not foreseen" FROM pg_temp.waiting w JOIN regress_match.foreseen f ON f.kinderconnect_child_id = w.listed
WHERE (f.child_id, f.flag, f.unlinked_because) IS DISTINCT FROM (w.child_id, w.flag, w.unlinked_because);
INSERT INTO regress_match.child SELECT * FROM regress_match.went WHERE child_id = '502 goes';
UPDATE kinderconnect.gone_child SET gone_at = gone_at - interval '5:59:59';
SELECT kinderconnect._match('o');
SELECT * FROM pg_temp.waiting WHERE unlinked_because IS NOT NULL;
SELECT child_id AS "gone" FROM kinderconnect.gone_child ORDER BY 1;
UPDATE kinderconnect.gone_child SET gone_at = gone_at - interval '1 second';
SELECT count(*) AS "linked" FROM kinderconnect._links('o') WHERE kinderconnect_child_id IN ('501 stays gone', '504 comes later') AND child_id IS NOT NULL;
SELECT kinderconnect._match('o');
SELECT * FROM pg_temp.waiting;
SELECT count(*) AS "gone" FROM kinderconnect.gone_child;
-- one who waits is due by that alone, and so is one of many
\o /dev/null
CREATE FUNCTION pg_temp.wait_for(n integer) RETURNS TABLE (waiting bigint, linked bigint) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.listed(n, n || ' waits', 'Ana', 'Lee'), pg_temp.in_manage(n, n || ' stays', 'L1', 'Ana', 'Lee'), pg_temp.in_manage(n, n || ' goes', 'L1', 'Ana', 'Lee');
	PERFORM kinderconnect._match('o');
	DELETE FROM regress_match.child WHERE child_id = n || ' goes';
	PERFORM kinderconnect._match('o');
	UPDATE kinderconnect.child SET changed_at = changed_at - interval '6 hours';
	UPDATE kinderconnect.known_child SET changed_at = changed_at - interval '6 hours';
	UPDATE kinderconnect.child SET unlinked_because = 'not_in_manage' WHERE unlinked_because <> 'rival_gone';
	waiting := count(*) FROM kinderconnect.child WHERE unlinked_because = 'rival_gone';
	UPDATE kinderconnect.gone_child SET gone_at = gone_at - interval '6 hours';
	PERFORM kinderconnect._match('o');
	linked := count(*) FROM kinderconnect.child_link k WHERE k.child_id = n || ' stays' AND k.ended_at IS NULL;
	RETURN NEXT;
END;
$$;
SELECT kinderconnect._match('o');
\o
SELECT * FROM pg_temp.wait_for(508);
SELECT kinderconnect._are_few('o', 1);
SAVEPOINT many;
DELETE FROM regress_match.child WHERE child_id NOT LIKE '50% %';
SELECT * FROM pg_temp.wait_for(509);
SELECT kinderconnect._are_few('o', 1);
ROLLBACK TO many;

-- The location of a provider: a stored id, else name and ZIP, one answer only;
-- what is configured wins.
INSERT INTO kinderconnect.customer (organization_id, customer_id, status) VALUES ('o', 'C', 'active');
INSERT INTO regress_match.location VALUES ('o', 'L4', 'Twice', '1'), ('o', 'L5', 'TWICE', NULL), ('o', 'L6', U&'Caf\00E9 Kids', NULL), ('o', 'L7', '', NULL), ('o', 'L8', 'By Id', '8');
INSERT INTO kinderconnect.listed_location (organization_id, agency_id, provider_id, customer_id, name, zip, listed) VALUES
	('o', 'A', '1 name and ZIP', 'C', 'SUNSHINE HOUSTON', '77002-0001', true), ('o', 'A', '2 other ZIP', 'C', 'Sunshine Houston', '77003', true),
	('o', 'A', '3 no ZIP', 'C', 'Sunshine El Paso', ' ', true), ('o', 'A', '4 ambiguous', 'C', 'Twice', '1', true), ('o', 'A', '5 other ZIP of one', 'C', 'Twice', '2', true),
	('o', 'A', '6 none', 'C', 'Nowhere', NULL, true), ('o', 'A', '7 folded', 'C', 'Cafe  Kids', '5', true), ('o', 'A', '8 no name', 'C', NULL, NULL, true),
	('o', 'A', '9 blank name', 'C', ' ', NULL, true), ('o', 'A', 'a id', 'C', 'Sunshine Houston', '77002', true), ('o', 'A', 'b two ids', 'C', 'By Id', '8', true),
	('o', 'A', 'c configured', 'C', 'Sunshine Houston', '77002', true), ('o', 'A', 'd not listed', 'C', 'Sunshine Houston', '77002', false),
	('o', 'A', 'e of another organization', 'C', 'Only there', '10001', true);
INSERT INTO regress_match.provider_id (location_id, agency_id, provider_id) VALUES ('L8', 'A', 'a id'), ('L8', 'A', 'b two ids'), ('L1', 'A', 'b two ids'), ('L8', 'B', '6 none');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, configured_location_id) VALUES ('o', 'A', 'c configured', true, 'L2');
CREATE VIEW pg_temp.places AS SELECT provider_id, configured, location_id FROM kinderconnect.provider
	WHERE organization_id = 'o' AND provider_id NOT LIKE 'P%' ORDER BY provider_id COLLATE "C";
SELECT kinderconnect._match_providers('o');
SELECT * FROM pg_temp.places;
SELECT provider_id, candidates FROM kinderconnect.provider_review WHERE organization_id = 'o' ORDER BY provider_id COLLATE "C";
-- what was found is lost when it no longer is one answer, and comes back
INSERT INTO regress_match.location VALUES ('o', 'L9', 'sunshine houston', NULL);
SELECT kinderconnect._match_providers('o');
SELECT * FROM pg_temp.places WHERE provider_id LIKE '1%';
DELETE FROM regress_match.location WHERE location_id = 'L9';
SELECT kinderconnect._match_providers('o');
SELECT * FROM pg_temp.places WHERE provider_id LIKE '1%';
-- an organization that adopts none
UPDATE kinderconnect.organization SET adopt_providers = false WHERE organization_id = 'o';
INSERT INTO kinderconnect.listed_location (organization_id, agency_id, provider_id, customer_id, name) VALUES ('o', 'A', 'new', 'C', 'Sunshine Houston');
SELECT kinderconnect._match_providers('o');
SELECT count(*) AS "adopted" FROM kinderconnect.provider WHERE provider_id = 'new';
ROLLBACK;
