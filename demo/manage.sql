-- "Manage": a childcare management system as a real one might store it. Its
-- names and habits are its own; bind.sql translates. Nothing here knows of
-- KinderConnect.

CREATE SCHEMA manage;

CREATE TABLE manage.company (
	company_no  integer PRIMARY KEY,
	legal_name  text NOT NULL,
	portal_slug text NOT NULL UNIQUE
);

CREATE TABLE manage.center (
	center_no    integer PRIMARY KEY,
	company_no   integer NOT NULL REFERENCES manage.company,
	display_name text NOT NULL,
	street       text NOT NULL,
	city         text NOT NULL,
	state_code   character(2) NOT NULL,
	postal_code  character varying(10),
	tz_name      text NOT NULL
);

CREATE TABLE manage.student (
	student_no     bigint PRIMARY KEY,
	company_no     integer NOT NULL REFERENCES manage.company,
	home_center_no integer NOT NULL REFERENCES manage.center,
	given_name     text NOT NULL,
	middle_name    text,
	family_name    text NOT NULL,
	name_suffix    text,
	birth_date     date,
	payer_class    text NOT NULL CHECK (payer_class IN ('subsidy', 'private')),
	enrollment     text NOT NULL CHECK (enrollment IN ('enrolled', 'withdrawn'))
);
CREATE INDEX ON manage.student (company_no);

-- A punch is never deleted, it is struck out.
CREATE TABLE manage.attendance_punch (
	punch_no   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	student_no bigint NOT NULL REFERENCES manage.student,
	center_no  integer NOT NULL REFERENCES manage.center,
	clock_in   timestamp with time zone,
	clock_out  timestamp with time zone,
	struck_out boolean NOT NULL DEFAULT false,
	changed_at timestamp with time zone NOT NULL,
	CHECK (clock_in IS NOT NULL OR clock_out IS NOT NULL)
);
CREATE INDEX ON manage.attendance_punch (student_no);
CREATE INDEX ON manage.attendance_punch (center_no, clock_in);

CREATE TABLE manage.absence (
	absence_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	student_no bigint NOT NULL REFERENCES manage.student,
	center_no  integer NOT NULL REFERENCES manage.center,
	missed_on  date NOT NULL,
	why        text NOT NULL,
	changed_at timestamp with time zone NOT NULL
);
CREATE INDEX ON manage.absence (center_no, missed_on);

CREATE TABLE manage.center_closure (
	closure_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	center_no  integer NOT NULL REFERENCES manage.center,
	closed_on  date NOT NULL,
	label      text NOT NULL,
	changed_at timestamp with time zone NOT NULL,
	UNIQUE (center_no, closed_on)
);
