-- The demonstration's data. The same seed on the same day gives the same rows:
-- every choice is a hash of the seed and of what is chosen for, no clock and no
-- random().
--
-- Schema demo is the truth, and the agencies' side of it: who is authorized
-- where, and what really happened each day. Schema manage is filled from it
-- with the slips that people make.

\if :{?seed}
\else
\set seed 1
\endif
-- The last day that has ended everywhere in the demonstration, and one more.
\if :{?today}
\else
SELECT (now() AT TIME ZONE 'America/Denver')::date AS today \gset
\endif

BEGIN;

CREATE SCHEMA demo;

CREATE TABLE demo.setting AS
SELECT :'seed'::bigint AS seed, :'today'::date AS today, :'today'::date - 22 AS first_day;

-- 0 to n - 1; the seed stands in the function itself
SELECT format('CREATE FUNCTION demo.pick(what text, n integer) RETURNS integer LANGUAGE sql IMMUTABLE STRICT
	RETURN (pg_catalog.hashtextextended(what, %s) & 1073741823) %% n', :'seed'::bigint) \gexec

-- The same name as another clerk would type it. All of these are equal to the
-- eye of the matching.
CREATE FUNCTION demo.retype(name text, way integer) RETURNS text
	LANGUAGE sql STABLE
	RETURN CASE way
		WHEN 0 THEN upper(name)
		WHEN 1 THEN translate(name, 'ÁÉÍÓÚÑÜáéíóúñüëèïôç', 'AEIOUNUaeiounueeioc')
		WHEN 2 THEN '  ' || replace(name, ' ', '  ') || ' '
		WHEN 3 THEN normalize(name, NFD)
		WHEN 4 THEN translate(name, '''’', '’''')
		WHEN 5 THEN replace(name, '-', ' ')
		ELSE lower(name)
	END;

-- Companies and their centers -------------------------------------------------

-- speaks: the interface that the company was given
CREATE TABLE demo.company (company_no integer PRIMARY KEY, slug text, legal_name text, brand text, speaks text DEFAULT 'kinderbridge');
INSERT INTO demo.company VALUES
	( 1, 'sunshine',     'Sunshine Early Learning, Inc.',       'Sunshine Early Learning'),
	( 2, 'lone-star',    'Lone Star Kids LLC',                  'Lone Star Kids'),
	( 3, 'frontera',     'La Frontera Niños y Familias',        'La Frontera'),
	( 4, 'alamo',        'Alamo Child Development',             'Alamo Children''s House'),
	( 5, 'bayou',        'Bayou Bright Beginnings LLC',         'Bayou Bright'),
	( 6, 'petite-ecole', 'La Petite École of Acadiana',         'La Petite École'),
	( 7, 'magnolia',     'Magnolia Montessori, L3C',            'Magnolia Montessori'),
	( 8, 'gateway',      'Gateway Children''s Centers',         'Gateway Children''s Center'),
	( 9, 'ozark',        'Ozark Academy for Children',          'Ozark Academy'),
	(10, 'flower-city',  'Flower City Child Care Cooperative',  'Flower City'),
	(11, 'hudson',       'Hudson & Harlem Nurseries, Inc.',     'Hudson & Harlem'),
	(12, 'queen-city',   'Queen City Playhouse',                'Queen City Playhouse');
UPDATE demo.company SET speaks = 'vendor-interface' WHERE slug = 'ozark';

-- registered: what the agency calls the place, where it is not what Manage says
CREATE TABLE demo.center (
	center_no  integer GENERATED ALWAYS AS IDENTITY (START WITH 201) PRIMARY KEY,
	company_no integer NOT NULL,
	street     text NOT NULL,
	city       text NOT NULL,
	zip        text NOT NULL,
	agency_id  text NOT NULL,
	registered text,
	opens      text NOT NULL DEFAULT 'now',
	UNIQUE (company_no, street)
);
INSERT INTO demo.center (company_no, street, city, zip, agency_id) VALUES
	( 1, 'Montrose Blvd',     'Houston',       '77006', 'TX-28'),
	( 1, 'Heights Blvd',      'Houston',       '77008', 'TX-28'),
	( 1, 'Bissonnet St',      'Houston',       '77036', 'TX-28'),
	( 1, 'Ella Blvd',         'Houston',       '77091', 'TX-28'),
	( 1, 'Telephone Rd',      'Houston',       '77023', 'TX-28'),
	( 1, 'Ryan St',           'Lake Charles',  '70601', 'LA-LDOE'),
	( 2, 'Cullen Blvd',       'Houston',       '77004', 'TX-28'),
	( 2, 'Fondren Rd',        'Houston',       '77096', 'TX-28'),
	( 2, 'Airline Dr',        'Houston',       '77037', 'TX-28'),
	( 2, 'Spencer Hwy',       'Pasadena',      '77505', 'TX-28'),
	( 2, 'Garth Rd',          'Baytown',       '77521', 'TX-28'),
	( 3, 'Mesa St',           'El Paso',       '79902', 'TX-10'),
	( 3, 'Alameda Ave',       'El Paso',       '79905', 'TX-10'),
	( 3, 'Zaragoza Rd',       'El Paso',       '79936', 'TX-10'),
	( 3, 'Doniphan Dr',       'El Paso',       '79922', 'TX-10'),
	( 4, 'Culebra Rd',        'San Antonio',   '78228', 'TX-20'),
	( 4, 'Commerce St',       'San Antonio',   '78207', 'TX-20'),
	( 4, 'Nogalitos St',      'San Antonio',   '78225', 'TX-20'),
	( 4, 'San Pedro Ave',     'San Antonio',   '78212', 'TX-20'),
	( 5, 'Magazine St',       'New Orleans',   '70115', 'LA-LDOE'),
	( 5, 'St. Claude Ave',    'New Orleans',   '70117', 'LA-LDOE'),
	( 5, 'Esplanade Ave',     'New Orleans',   '70119', 'LA-LDOE'),
	( 5, 'Gentilly Blvd',     'New Orleans',   '70122', 'LA-LDOE'),
	( 5, 'Barrow St',         'Houma',         '70360', 'LA-LDOE'),
	( 5, 'Veterans Blvd',     'Metairie',      '70005', 'LA-LDOE'),
	( 6, 'Jefferson St',      'Lafayette',     '70501', 'LA-LDOE'),
	( 6, 'Johnston St',       'Lafayette',     '70503', 'LA-LDOE'),
	( 6, 'Ambassador Caffery','Lafayette',     '70506', 'LA-LDOE'),
	( 6, 'Main St',           'New Iberia',    '70560', 'LA-LDOE'),
	( 7, 'Government St',     'Baton Rouge',   '70806', 'LA-LDOE'),
	( 7, 'Plank Rd',          'Baton Rouge',   '70805', 'LA-LDOE'),
	( 7, 'Perkins Rd',        'Baton Rouge',   '70808', 'LA-LDOE'),
	( 7, 'Line Ave',          'Shreveport',    '71104', 'LA-LDOE'),
	( 8, 'Delmar Blvd',       'St. Louis',     '63108', 'MO-DESE'),
	( 8, 'Cherokee St',       'St. Louis',     '63118', 'MO-DESE'),
	( 8, 'Gravois Ave',       'St. Louis',     '63116', 'MO-DESE'),
	( 8, 'Natural Bridge Ave','St. Louis',     '63121', 'MO-DESE'),
	( 8, 'Troost Ave',        'Kansas City',   '64110', 'MO-DESE'),
	( 8, 'Independence Ave',  'Kansas City',   '64124', 'MO-DESE'),
	( 9, 'Glenstone Ave',     'Springfield',   '65804', 'MO-DESE'),
	( 9, 'Kearney St',        'Springfield',   '65803', 'MO-DESE'),
	( 9, 'Main St',           'Joplin',        '64801', 'MO-DESE'),
	( 9, 'Providence Rd',     'Columbia',      '65203', 'MO-DESE'),
	( 9, 'Jefferson Ave',     'Lebanon',       '65536', 'MO-DESE'),
	(10, 'Monroe Ave',        'Rochester',     '14607', 'NY-MONROE'),
	(10, 'Genesee St',        'Rochester',     '14611', 'NY-MONROE'),
	(10, 'Joseph Ave',        'Rochester',     '14621', 'NY-MONROE'),
	(10, 'Lyell Ave',         'Rochester',     '14608', 'NY-MONROE'),
	(10, 'Ridge Rd',          'Irondequoit',   '14617', 'NY-MONROE'),
	(11, 'Grand Concourse',   'Bronx',         '10451', 'NY-ACS'),
	(11, 'Lenox Ave',         'New York',      '10027', 'NY-ACS'),
	(11, 'Amsterdam Ave',     'New York',      '10031', 'NY-ACS'),
	(11, 'Flatbush Ave',      'Brooklyn',      '11226', 'NY-ACS'),
	(11, 'Broadway',          'Yonkers',       '10701', 'NY-WESTCHESTER'),
	(11, 'White Plains Rd',   'Bronx',         '10467', 'NY-ACS'),
	(12, 'Elmwood Ave',       'Buffalo',       '14222', 'NY-ERIE'),
	(12, 'Grant St',          'Buffalo',       '14213', 'NY-ERIE'),
	(12, 'Fillmore Ave',      'Buffalo',       '14211', 'NY-ERIE'),
	(12, 'Seneca St',         'Buffalo',       '14210', 'NY-ERIE'),
	(12, 'Delaware Ave',      'Kenmore',       '14217', 'NY-ERIE'),
	-- joins with the second night
	( 3, 'Montana Ave',       'El Paso',       '79903', 'TX-10');

UPDATE demo.center SET registered = 'Little Stars of Pasadena #4'    WHERE street = 'Spencer Hwy';
UPDATE demo.center SET registered = 'OZARK ACAD CHILDREN - LEBANON'  WHERE street = 'Jefferson Ave';
UPDATE demo.center SET registered = 'Yonkers Nursery and Day School' WHERE city = 'Yonkers';
UPDATE demo.center SET opens = 'second night' WHERE street = 'Montana Ave';

CREATE TABLE demo.agency (agency_id text PRIMARY KEY, name text, state text, time_zone text, rules jsonb);
INSERT INTO demo.agency VALUES
	('LA-LDOE',        'Louisiana Department of Education',                    'LA', 'America/Chicago',  '{"closures": true}'),
	('MO-DESE',        'Missouri Office of Childhood',                         'MO', 'America/Chicago',  '{"closures": true, "absenceReasons": ["sick", "vacation", "family", "other"]}'),
	('NY-ACS',         'New York City Administration for Children''s Services', 'NY', 'America/New_York', '{"closures": true}'),
	('NY-WESTCHESTER', 'Westchester County Department of Social Services',     'NY', 'America/New_York', '{"closures": true}'),
	('NY-MONROE',      'Monroe County Department of Human Services',           'NY', 'America/New_York', '{"closures": true}'),
	('NY-ERIE',        'Erie County Department of Social Services',            'NY', 'America/New_York', '{"closures": true}'),
	('TX-28',          'Workforce Solutions Gulf Coast',                       'TX', 'America/Chicago',  '{"closures": false}'),
	('TX-20',          'Workforce Solutions Alamo',                            'TX', 'America/Chicago',  '{"closures": false}'),
	('TX-10',          'Workforce Solutions Borderplex',                       'TX', 'America/Denver',   '{"closures": false}');

CREATE TABLE demo.customer (
	company_no  integer,
	customer_id text PRIMARY KEY,
	name        text,
	status      text
);
INSERT INTO demo.customer
SELECT company_no, 'C' || 5000 + company_no, legal_name, 'active' FROM demo.company
UNION ALL VALUES
	(1, 'C5101', 'Sunshine Early Learning of Louisiana LLC', 'active'),
	(4, 'C5104', 'Alamo After School (closed 2024)', 'closed');

-- A provider ID is a location at an agency. Children of two counties come to
-- Bissonnet St, so it has two IDs at one agency; White Plains Rd is paid by the
-- city and by Westchester.
CREATE TABLE demo.provider (
	provider_id text PRIMARY KEY,
	agency_id   text NOT NULL,
	customer_id text NOT NULL,
	company_no  integer NOT NULL,
	center_no   integer,
	name        text NOT NULL,
	line1       text NOT NULL,
	city        text NOT NULL,
	zip         text NOT NULL,
	status      text NOT NULL DEFAULT 'active'
);
INSERT INTO demo.provider
SELECT 'P' || 55000 + center_no, agency_id,
       CASE WHEN company_no = 1 AND agency_id = 'LA-LDOE' THEN 'C5101' ELSE 'C' || 5000 + company_no END,
       company_no, center_no,
       coalesce(registered, demo.retype(brand || ' - ' || street, demo.pick('provider' || center_no, 7))),
       100 + demo.pick('house' || center_no, 8900) || ' ' || street, city, zip
  FROM demo.center JOIN demo.company USING (company_no);
INSERT INTO demo.provider
SELECT 'P' || 56000 + center_no, CASE street WHEN 'White Plains Rd' THEN 'NY-WESTCHESTER' ELSE agency_id END,
       customer_id, company_no, center_no, name, line1, p.city, p.zip
  FROM demo.provider p JOIN demo.center c USING (company_no, center_no, agency_id)
 WHERE street IN ('Bissonnet St', 'White Plains Rd');
INSERT INTO demo.provider VALUES
	('P58001', 'TX-20',   'C5104', 4, NULL, 'Alamo After School',        '12 Roosevelt Ave',  'San Antonio', '78210', 'active'),
	('P58002', 'LA-LDOE', 'C5005', 5, NULL, 'Bayou Bright - Canal St',   '4100 Canal St',     'New Orleans', '70119', 'inactive'),
	('P58003', 'MO-DESE', 'C5008', 8, NULL, 'Gateway Summer Day Camp',   '1 Forest Park Ave', 'St. Louis',   '63108', 'active');

-- Children ----------------------------------------------------------------------

CREATE TABLE demo.first_name (n integer PRIMARY KEY, name text, short text);
INSERT INTO demo.first_name
SELECT ord - 1, split_part(pair, '/', 1), nullif(split_part(pair, '/', 2), '')
  FROM string_to_table($$Olivia/Liv,Elizabeth/Lizzie,José/Pepe,María José/Majo,Mary-Kate/Katie,William/Liam,
Robert/Bobby,Zoë,D'Angelo,D’Andre/Dre,Ja’Marcus/Marcus,Renée,Chloé,Ángel,Sofía/Sofi,Nicolás/Nico,Anne-Marie/Annie,
Alexander/Alex,Alexandra/Lexi,Benjamin/Ben,Samuel/Sam,Samantha/Sammie,Isabella/Bella,Nguyệt,Matthew/Matt,Ximena,
Guadalupe/Lupita,Francisco/Paco,Ignacio/Nacho,Katherine/Kate,Margaret/Maggie,Theodore/Teddy,Jonathan/Jon,
Abdul-Malik/Malik,Aaliyah,Jayden,Nevaeh,DeShawn/Shawn,La’Keisha/Keisha,Siobhán,Joaquín,Lucía/Lucy,Andrés/Andy,
Mateo,Santiago/Santi,Valentina/Val,Camila/Cami,Jackson/Jack,Madison/Maddie,Abigail/Abby,Nathaniel/Nate,Josephine/Josie,
Gabriel/Gabe,Gabriella/Gabby,Tomás/Tommy,Raúl,Inés,Beyoncé,Amélie,Étienne,Jean-Luc/Luc,Noémie,Thaddeus/Tad,Mei-Ling/Mei,
Hoang,Oluwaseun/Seun,Chidi,Fatima,Ibrahim,Yusuf,Priya,Arjun,Kai,Makayla/Kayla,Brooklyn,Peyton,Zachary/Zach,
Christopher/Chris,Christina/Tina,Charlotte/Charlie,Emmanuel/Manny,Ezekiel/Zeke,Jeremiah/Jerry,Patricia/Trish,Rebecca/Becca,
Timothy/Tim,Victoria/Vicky,Daniel/Danny,Danielle/Dani,Edward/Eddie,Eleanor/Ellie,Frederick/Fred,Geneviève/Gen,Håkon,
Jamal,Keyshawn,Leilani,Marisol,Xóchitl$$, ',') WITH ORDINALITY AS t (raw, ord),
       LATERAL (SELECT btrim(raw, E' \n')) AS b (pair);

CREATE TABLE demo.last_name (n integer PRIMARY KEY, name text);
INSERT INTO demo.last_name
SELECT ord - 1, btrim(raw, E' \n')
  FROM string_to_table($$Smith,Johnson,Williams,García López,O'Brien,O’Connor,De La Cruz,Smith-Jones,Boudreaux,Thibodeaux,
Hébert,Núñez,Peña,Muñoz Rivera,Ortiz-Rivera,St. Pierre,LeBlanc,McDonald,MacKenzie,van der Berg,Washington,Jefferson,Jackson,
Nguyen,Trần,Phạm,D'Amico,D’Souza,Müller,Kowalczyk,Begay,Yazzie,Xiong,Vang,Abdul-Rahman,Al-Sayed,Okafor,Adeyemi,Hernández,
Martínez,Rodríguez,González Vda. de Soto,López,Pérez,Sánchez,Ramírez-Ortega,Torres,Flores,Gómez,Díaz,Reyes,Morales,Gutiérrez,
Chávez,Ruiz,Álvarez,Mendoza,Castillo,Vázquez Ramírez,Jiménez,Brown,Davis,Miller,Wilson,Anderson,Taylor,Thomas,Moore,Martin,
Lee,Thompson,White,Harris,Clark,Lewis,Robinson,Walker,Young,Allen,King,Wright,Scott,Green,Baker,Adams,Nelson,Hill,Campbell,
Mitchell,Carter,Roberts,Fontenot,Landry,Broussard,Guidry,Arceneaux,Robichaux,Delacroix,Batiste,Toussaint,Saint-Clair,
Lemoine-Dupré,Kim,Park,Chen,Wang,Li,Patel,Singh,Kaur,Khan,Hussain,Cohen,Goldberg,Rossi,Esposito,Murphy,Kelly,Sullivan,
Fitzgerald,Schmidt,Schneider,Johansson,Petrović,Ivanova,Silva,Dos Santos,Pereira,Kekoa,Tui$$, ',')
       WITH ORDINALITY AS t (raw, ord);

-- lot: what is special about a child. Each lot of a thousand holds one child of
-- a thousand, whatever the seed; most lots are ordinary.
CREATE TABLE demo.kid (
	kid_no      integer PRIMARY KEY,
	center_no   integer NOT NULL,
	company_no  integer NOT NULL,
	known       boolean NOT NULL,
	lot         integer NOT NULL,
	role        text NOT NULL,
	first_name  text NOT NULL,
	short_name  text,
	middle_name text,
	last_name   text NOT NULL,
	suffix      text,
	born        date NOT NULL
);
INSERT INTO demo.kid
WITH seat AS (
	SELECT row_number() OVER (ORDER BY center_no, seat)::integer AS kid_no, center_no, company_no, seat,
	       seat <= CASE opens WHEN 'now' THEN 20 + center_no * 7 % 11 ELSE 12 END AS known,
	       seat = 8 AND center_no % 2 = 0 AS twin
	  FROM demo.center,
	       generate_series(1, CASE opens WHEN 'now' THEN 30 + center_no * 7 % 11 ELSE 18 END) AS seat
), lot AS (
	SELECT *, CASE WHEN known
	               THEN (7919 * row_number() OVER (PARTITION BY known ORDER BY kid_no) + 31 * s.seed) % 1000
	               ELSE 999 END::integer AS lot,
	       CASE WHEN twin THEN kid_no - 1 ELSE kid_no END::text AS family
	  FROM seat, demo.setting s
)
SELECT kid_no, center_no, company_no, known, lot,
       CASE WHEN center_no = (SELECT center_no FROM demo.center WHERE opens <> 'now') THEN 'ordinary'
            WHEN lot < 6   THEN 'nickname'
            WHEN lot < 11  THEN 'typo'
            WHEN lot < 19  THEN 'unknown to Manage'
            WHEN lot < 22  THEN 'twice in Manage'
            WHEN lot < 24  THEN 'no birth date in Manage'
            WHEN lot = 24  THEN 'no birth date at the agency'
            WHEN lot < 34  THEN 'not subsidized'
            WHEN lot < 44  THEN 'authorization ended'
            WHEN lot < 54  THEN 'authorization to come'
            WHEN lot < 84  THEN 'three days a week'
            WHEN lot < 90  THEN 'no authorization'
            WHEN lot < 105 THEN 'authorization began'
            WHEN lot < 125 THEN 'authorization renewed'
            WHEN lot < 130 THEN 'withdrawn'
            WHEN lot < 300 THEN 'retyped'
            ELSE 'ordinary' END,
       f.name, f.short,
       CASE WHEN demo.pick('middle?' || kid_no, 100) < 35 THEN m.name END,
       l.name,
       CASE WHEN demo.pick('suffix' || family, 100) < 3 THEN (ARRAY['Jr.', 'II', 'III'])[1 + demo.pick('jr' || kid_no, 3)] END,
       today - 120 - demo.pick('born' || family, 1700) - CASE WHEN demo.pick('school' || family, 10) < 3 THEN 1800 ELSE 0 END
  FROM lot
  JOIN demo.first_name f ON f.n = (demo.pick('first' || family, (SELECT count(*) FROM demo.first_name)::integer) + CASE WHEN twin THEN 1 ELSE 0 END)
                                  % (SELECT count(*) FROM demo.first_name)
  JOIN demo.first_name m ON m.n = demo.pick('middle' || kid_no, (SELECT count(*) FROM demo.first_name)::integer)
  JOIN demo.last_name l ON l.n = demo.pick('last' || family, (SELECT count(*) FROM demo.last_name)::integer);

-- Some first names have no short form.
UPDATE demo.kid k SET first_name = f.name, short_name = f.short
  FROM (SELECT name, short, row_number() OVER (ORDER BY n) AS nth FROM demo.first_name WHERE short IS NOT NULL) f
 WHERE role = 'nickname' AND short_name IS NULL AND nth = 1 + lot;

-- No two strangers of one company share a name and a birthday.
UPDATE demo.kid k SET born = k.born - 400 - k.kid_no % 300
 WHERE EXISTS (SELECT FROM demo.kid o
                WHERE o.kid_no < k.kid_no AND o.company_no = k.company_no AND o.born = k.born
                  AND lower(o.last_name) = lower(k.last_name) AND lower(o.first_name) = lower(k.first_name));

-- What the agencies know. A child's ID is an agency's own: one child at two
-- agencies has two.
CREATE TABLE demo.child (
	agency_id  text,
	child_id   text,
	kid_no     integer NOT NULL,
	company_no integer NOT NULL,
	opens      text NOT NULL,
	subsidized boolean NOT NULL,
	PRIMARY KEY (agency_id, child_id)
);
CREATE TABLE demo.authorization (
	authorization_id text PRIMARY KEY,
	agency_id        text NOT NULL,
	child_id         text NOT NULL,
	provider_id      text NOT NULL,
	begin_date       date NOT NULL,
	end_date         date,
	units_of_care    text NOT NULL,
	days             text[]
);

INSERT INTO demo.child
SELECT p.agency_id, lpad((300000 + 7 * kid_no + demo.pick('id' || kid_no, 7))::text, 7, '0'),
       kid_no, k.company_no, c.opens, role <> 'not subsidized'
  FROM demo.kid k JOIN demo.center c USING (center_no) JOIN demo.provider p USING (center_no)
 WHERE known
   AND p.provider_id = CASE WHEN c.street = 'White Plains Rd' AND kid_no % 3 = 0 THEN 'P' || 56000 + center_no
                            ELSE 'P' || 55000 + center_no END;

INSERT INTO demo.authorization
SELECT 'A' || 70000 + kid_no || spell, h.agency_id, child_id, provider_id,
       CASE WHEN role = 'authorization to come' THEN today + 6
            WHEN role = 'authorization began' THEN today - 9
            WHEN spell = 'b' THEN today - 8
            ELSE today - 60 - demo.pick('begin' || kid_no, 120) END,
       CASE WHEN role = 'authorization ended' OR spell = 'a' THEN today - 9
            WHEN demo.pick('end' || kid_no, 10) < 8 THEN today + 30 + demo.pick('until' || kid_no, 200) END,
       CASE WHEN today - born > 5 * 365 THEN 'Part day' ELSE 'Full day' END,
       CASE WHEN role = 'three days a week' THEN ARRAY['MO', 'WE', 'FR']
            WHEN kid_no % 50 <> 0 THEN ARRAY['MO', 'TU', 'WE', 'TH', 'FR'] END
  FROM demo.setting, demo.child h JOIN demo.kid k USING (kid_no) JOIN demo.center c USING (center_no)
  JOIN demo.provider p ON p.center_no = c.center_no AND p.agency_id = h.agency_id,
       unnest(CASE role WHEN 'authorization renewed' THEN ARRAY['a', 'b'] ELSE ARRAY[''] END) AS spell
 WHERE role <> 'no authorization'
   AND (c.street <> 'Bissonnet St'
        OR p.provider_id = 'P' || CASE WHEN kid_no % 3 = 0 THEN 56000 ELSE 55000 END + c.center_no);

-- One mother moved across the county line, and both IDs still list her child.
INSERT INTO demo.authorization
SELECT a.authorization_id || 'x', a.agency_id, child_id, 'P' || 56000 + c.center_no, begin_date, end_date, units_of_care, days
  FROM demo.authorization a JOIN demo.child USING (agency_id, child_id) JOIN demo.kid USING (kid_no)
  JOIN demo.center c USING (center_no)
 WHERE street = 'Bissonnet St' AND role = 'ordinary' AND provider_id = 'P' || 55000 + c.center_no
 ORDER BY kid_no LIMIT 1;

-- Private-pay today, authorized from the second night on, ten days back.
CREATE TABLE demo.newcomer AS
SELECT min(kid_no) AS kid_no, agency_id, 'N' || 900000 + min(kid_no) AS child_id, 'P' || 55000 + center_no AS provider_id
  FROM demo.kid JOIN demo.center USING (center_no, company_no)
 WHERE NOT known AND center_no IN (212, 220, 234, 245)
 GROUP BY center_no, agency_id;

-- What happened ----------------------------------------------------------------

CREATE TABLE demo.closure (center_no integer, day date, label text, PRIMARY KEY (center_no, day));
INSERT INTO demo.closure
SELECT center_no, day::date, (ARRAY['Staff training', 'Weather', 'No water', 'Holiday'])[1 + demo.pick('why' || center_no, 4)]
  FROM demo.setting, demo.center, generate_series(first_day, today - 1, interval '1 day') AS day
 WHERE extract(isodow FROM day) < 6 AND demo.pick('closed' || center_no || day::date, 100) < 2;

CREATE TABLE demo.day (
	kid_no integer,
	day    date,
	what   text NOT NULL,
	PRIMARY KEY (kid_no, day)
);
INSERT INTO demo.day
SELECT kid_no, t.day,
       CASE WHEN x.center_no IS NOT NULL THEN CASE WHEN dice < 20 THEN 'present on a closed day' ELSE 'closure' END
            WHEN dice < 45 THEN 'absent'
            WHEN dice < 49 THEN 'no check-out'
            WHEN dice < 50 THEN 'no check-in'
            WHEN dice < 52 THEN 'overlap'
            WHEN dice < 53 THEN 'past midnight'
            WHEN dice < 54 THEN 'one minute'
            WHEN dice < 62 THEN 'nothing'
            WHEN today - born > 5 * 365 THEN 'two sessions'
            ELSE 'present' END
  FROM demo.setting
       CROSS JOIN demo.kid k
       CROSS JOIN generate_series(1, 22) AS ago
       CROSS JOIN LATERAL (SELECT today - ago) AS t (day)
       LEFT JOIN demo.closure x ON x.center_no = k.center_no AND x.day = t.day,
       LATERAL (SELECT demo.pick(kid_no || '@' || t.day, 1000)) AS d (dice)
 WHERE extract(isodow FROM t.day) < 6 AND role <> 'unknown to Manage';

-- What KinderSystems would hand out on paper. The passwords reach the secrets
-- file of the server and the simulator, and no table of the extension.
CREATE TABLE demo.secret AS
SELECT name, 'demo-' || left(md5(name || :'seed'), 20) AS value
  FROM (SELECT 'kinderconnect_client' UNION ALL SELECT 'group_' || slug FROM demo.company) n (name);

-- Manage ------------------------------------------------------------------------

INSERT INTO manage.company SELECT company_no, legal_name, slug FROM demo.company;

INSERT INTO manage.center
SELECT center_no, company_no, brand || ' - ' || street, line1, city, left(agency_id, 2),
       CASE WHEN center_no % 13 = 0 THEN NULL WHEN center_no % 7 = 0 THEN zip || '-' || 1000 + center_no ELSE zip END,
       CASE WHEN city = 'El Paso' THEN 'America/Denver' WHEN agency_id LIKE 'NY%' THEN 'America/New_York' ELSE 'America/Chicago' END
  FROM demo.center JOIN demo.company USING (company_no)
  JOIN (SELECT center_no, min(line1) AS line1 FROM demo.provider GROUP BY center_no) p USING (center_no);

CREATE FUNCTION demo.student_no(kid_no integer) RETURNS bigint
	LANGUAGE sql IMMUTABLE RETURN 100000 + kid_no;

INSERT INTO manage.student
SELECT demo.student_no(kid_no), company_no, center_no,
       CASE role WHEN 'nickname' THEN coalesce(short_name, left(first_name, 2) || 'y')
                 WHEN 'retyped' THEN demo.retype(first_name, demo.pick('retype' || kid_no, 7))
                 ELSE first_name END,
       CASE WHEN kid_no % 3 > 0 THEN middle_name END,
       CASE role WHEN 'typo' THEN left(last_name, 2) || substr(last_name, 2)
                 WHEN 'retyped' THEN demo.retype(last_name, demo.pick('retype too' || kid_no, 7))
                 ELSE last_name END,
       suffix,
       CASE WHEN role <> 'no birth date in Manage' THEN born END,
       CASE WHEN known THEN 'subsidy' ELSE 'private' END,
       CASE role WHEN 'withdrawn' THEN 'withdrawn' ELSE 'enrolled' END
  FROM demo.kid
 WHERE role <> 'unknown to Manage'
 UNION ALL
SELECT demo.student_no(kid_no) + 50000, company_no, center_no, first_name, NULL, last_name, suffix, born, 'private', 'enrolled'
  FROM demo.kid
 WHERE role = 'twice in Manage';

CREATE FUNCTION demo.clock(day date, at time, zone text, key text) RETURNS timestamptz
	LANGUAGE sql STABLE
	RETURN (day + at + demo.pick(key, 2400) * interval '1 second') AT TIME ZONE zone;

INSERT INTO manage.attendance_punch (student_no, center_no, clock_in, clock_out, changed_at)
SELECT demo.student_no(kid_no), center_no, punch_in, punch_out, coalesce(punch_out, punch_in)
  FROM demo.day d JOIN demo.kid USING (kid_no) JOIN manage.center USING (center_no),
       LATERAL (VALUES
		(1, d.what IN ('two sessions'), '06:30'::time, '07:30'::time),
		(2, d.what IN ('two sessions'), '15:05', '17:10'),
		(1, d.what IN ('present', 'present on a closed day', 'no check-out', 'no check-in', 'past midnight', 'one minute'), '07:15', '16:40'),
		(1, d.what IN ('overlap'), '07:15', '12:30'),
		(2, d.what IN ('overlap'), '11:10', '16:40')) AS s (n, goes, starts, ends),
       LATERAL (SELECT demo.clock(day, starts, tz_name, kid_no || 'in' || n || day),
                       demo.clock(day, ends, tz_name, kid_no || 'out' || n || day)) AS c (clock_in, clock_out),
       LATERAL (SELECT CASE WHEN d.what <> 'no check-in' THEN clock_in END,
                       CASE d.what WHEN 'no check-out' THEN NULL
                                   WHEN 'past midnight' THEN clock_out + interval '9 hours'
                                   WHEN 'one minute' THEN date_trunc('minute', clock_in) + interval '59 seconds'
                                   ELSE clock_out END) AS p (punch_in, punch_out)
 WHERE goes
 ORDER BY day, kid_no, n;

INSERT INTO manage.absence (student_no, center_no, missed_on, why, changed_at)
SELECT demo.student_no(kid_no), center_no, day, (ARRAY['sick', 'vacation', 'family', 'sick', 'other', 'no ride'])[1 + demo.pick('why' || kid_no || day, 6)],
       demo.clock(day, '09:30', tz_name, 'absent' || kid_no || day)
  FROM demo.day JOIN demo.kid USING (kid_no) JOIN manage.center USING (center_no)
 WHERE what = 'absent'
 ORDER BY day, kid_no;

INSERT INTO manage.center_closure (center_no, closed_on, label, changed_at)
SELECT center_no, day, label, demo.clock(day, '05:00', tz_name, 'closed' || center_no || day)
  FROM demo.closure JOIN manage.center USING (center_no)
 ORDER BY day, center_no;

COMMIT;

ANALYZE;
