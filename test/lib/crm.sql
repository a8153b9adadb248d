-- The management system that doc/bind.md speaks of.
CREATE SCHEMA crm;
CREATE TABLE crm.company (code text PRIMARY KEY, name text);
CREATE TABLE crm.center (company text, id integer, name text, zip text, time_zone text, license text, PRIMARY KEY (company, id));
CREATE TABLE crm.student (company text, center integer, id integer, first_name text, middle_name text, last_name text,
	suffix text, born date, enrolled boolean, case_number text, PRIMARY KEY (company, id));
CREATE TABLE crm.visit (company text, center integer, student integer, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	arrived timestamptz, departed timestamptz, changed timestamptz);
CREATE TABLE crm.absence (company text, center integer, student integer, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	day date, reason text, changed timestamptz);
CREATE TABLE crm.closure (company text, center integer, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, day date);
CREATE TABLE crm.event (company text, center integer, student integer, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz, what text CHECK (what IN ('in', 'out')));
CREATE INDEX ON crm.event (company, at);

INSERT INTO crm.company VALUES ('sunshine', 'Sunshine');
INSERT INTO crm.center VALUES ('sunshine', 17, 'Main Street', '77002', 'America/Chicago', 'P55501');
INSERT INTO crm.student VALUES ('sunshine', 17, 9, 'Ana', NULL, 'Day', NULL, '2022-05-17', true, '4711'),
	('sunshine', 17, 8, 'Bo', 'Lee', 'Day', 'Jr', '2021-01-05', false, NULL);
INSERT INTO crm.visit (company, center, student, arrived, departed)
VALUES ('sunshine', 17, 9, '2026-03-02 14:02Z', '2026-03-02 22:31Z'), ('sunshine', 17, 9, '2026-03-03 14:05Z', NULL);
INSERT INTO crm.absence (company, center, student, day, reason) VALUES ('sunshine', 17, 9, '2026-03-04', 'sick');
INSERT INTO crm.closure (company, center, day) VALUES ('sunshine', 17, '2026-03-05');
