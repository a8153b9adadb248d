-- The nickname table: what is shipped, and what a user adds.
BEGIN;
SELECT count(*) >= 800 AS "enough of them", bool_and(builtin) AS "all shipped",
	bool_and(name = kinderconnect.fold(name) AND nickname = kinderconnect.fold(nickname)) AS "all folded" FROM kinderconnect.nickname;
-- from more than one community
SELECT n.name, string_agg(n.nickname, ' ' ORDER BY n.nickname COLLATE "C") AS nicknames FROM kinderconnect.nickname n
WHERE n.name IN ('katherine', 'guadalupe', 'francisco', 'aleksandr', 'muhammad', 'yitzchak') GROUP BY n.name ORDER BY n.name COLLATE "C";
-- both ways, and through the name they share; nothing is its own nickname
SELECT v.one, v.other, EXISTS (SELECT FROM kinderconnect.same_name s WHERE (s.one, s.other) = (v.one, v.other)) AS "may be one"
FROM (VALUES ('katherine', 'katie'), ('katie', 'katherine'), ('bill', 'will'), ('will', 'bill'), ('lupita', 'lupe'), ('liam', 'noah'), ('emma', 'olivia'),
	('jose', 'pepe'), ('william', 'katie')) v (one, other);
SELECT count(*) AS "one way only" FROM kinderconnect.same_name s WHERE NOT EXISTS (SELECT FROM kinderconnect.same_name t WHERE (t.one, t.other) = (s.other, s.one));
SELECT count(*) AS "of themselves" FROM kinderconnect.same_name s WHERE s.one = s.other;
-- what a user adds is not shipped, and is what pg_dump keeps
INSERT INTO kinderconnect.nickname VALUES ('zenobia', 'zen');
SELECT * FROM kinderconnect.nickname WHERE name = 'zenobia';
SELECT x.condition FROM pg_extension e, unnest(e.extconfig, e.extcondition) x (relation, condition)
WHERE e.extname = 'kinderconnect' AND x.relation = 'kinderconnect.nickname'::regclass;
-- a name that is not folded would never be found
\set VERBOSITY terse
INSERT INTO kinderconnect.nickname VALUES (U&'Zo\00EB', 'zo');
ROLLBACK;
