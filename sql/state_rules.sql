-- What the states say of absences and units: rows, as in rule.sql, but nothing
-- here is asked by the plan. A limit warns and a band informs; both hold
-- nothing back, for the agency counts for itself.

CREATE TABLE kinderconnect.absence_limit (
	agency_id         text COLLATE "C" CHECK (agency_id <> ''),
	state             text COLLATE "C" CHECK (state ~ '^[A-Z]{2}$'),
	limit_name        text COLLATE "C" NOT NULL CHECK (limit_name <> ''),
	valid             daterange NOT NULL CHECK (NOT isempty(valid)),
	counts            text NOT NULL CHECK (counts IN ('absence', 'closure')),
	uncounted_reasons text[],
	counts_unrecorded boolean NOT NULL DEFAULT false,
	period_months     integer NOT NULL CHECK (period_months BETWEEN 1 AND 12 AND 12 % period_months = 0),
	period_begins     integer CHECK (period_begins BETWEEN 1 AND 12),
	at_most           integer CHECK (at_most >= 0),
	needs_attended    integer CHECK (needs_attended > 0),
	enforced          boolean NOT NULL,
	source            text NOT NULL,
	note              text,
	shipped           bigint,
	builtin           boolean NOT NULL GENERATED ALWAYS AS ((shipped = hash_record_extended(ROW(agency_id, state, limit_name, valid, counts, uncounted_reasons,
		counts_unrecorded, period_months, period_begins, at_most, needs_attended, enforced, source, note), 0)) IS TRUE) STORED,
	CONSTRAINT absence_limit_is_of_one CHECK (num_nonnulls(agency_id, state) = 1),
	CONSTRAINT absence_limit_says_one CHECK (num_nonnulls(at_most, needs_attended) <= 1),
	CONSTRAINT absence_limit_one_at_a_time EXCLUDE USING gist ((coalesce(agency_id, '')) WITH =, (coalesce(state, '')) WITH =, limit_name WITH =, (builtin::integer) WITH =, valid WITH &&)
);
-- it has no primary key, and may be of a publication of all tables
ALTER TABLE kinderconnect.absence_limit REPLICA IDENTITY FULL;
COMMENT ON TABLE kinderconnect.absence_limit IS
'how many absences or closures an agency or a state pays or bears; the agency''s rows win over the state''s, your own over the shipped, name by name. They warn in absence_use and never hold a day back; what is not publicly known has no row';
COMMENT ON COLUMN kinderconnect.absence_limit.agency_id IS 'the agency, or null for a limit of the state';
COMMENT ON COLUMN kinderconnect.absence_limit.state IS 'two-letter code, or null for a limit of the agency';
COMMENT ON COLUMN kinderconnect.absence_limit.limit_name IS 'which: a row of the agency with the same name takes the place of the state''s';
COMMENT ON COLUMN kinderconnect.absence_limit.valid IS 'a period is judged by the row that holds on its last day, or today while it runs';
COMMENT ON COLUMN kinderconnect.absence_limit.counts IS 'what is counted: absence or closure';
COMMENT ON COLUMN kinderconnect.absence_limit.uncounted_reasons IS 'absences that do not count: reasons as child_day.absence_reason has them; null: all count';
COMMENT ON COLUMN kinderconnect.absence_limit.counts_unrecorded IS 'true: the agency takes an authorized day with nothing recorded for such an absence too';
COMMENT ON COLUMN kinderconnect.absence_limit.period_months IS 'length of the period';
COMMENT ON COLUMN kinderconnect.absence_limit.period_begins IS 'month in which a period begins, 1 to 12; null: the period is the last months up to today';
COMMENT ON COLUMN kinderconnect.absence_limit.at_most IS 'so many in a period; null: no such number. With needs_attended null as well: the agency has no such limit';
COMMENT ON COLUMN kinderconnect.absence_limit.needs_attended IS 'they count for anything only if the child attended so many days in the same period';
COMMENT ON COLUMN kinderconnect.absence_limit.enforced IS 'true: the law or the agency says so today; false: known from an old or a secondary source. It warns either way';
COMMENT ON COLUMN kinderconnect.absence_limit.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.absence_limit.note IS 'what else is known';
COMMENT ON COLUMN kinderconnect.absence_limit.shipped IS 'digest of the row as it was shipped; null: it was not';
COMMENT ON COLUMN kinderconnect.absence_limit.builtin IS 'true: as shipped, replaced by an upgrade. Your own row beside it wins; one that you edit is your own from then on: an upgrade leaves it, and pg_dump keeps it';

INSERT INTO kinderconnect.absence_limit
	(state, limit_name, valid, counts, counts_unrecorded, period_months, period_begins, at_most, needs_attended, enforced, source, note, shipped)
SELECT v.*, hash_record_extended(ROW(NULL::text, v.state, v.limit_name, v.valid, v.counts, NULL::text[],
	v.counts_unrecorded, v.period_months, v.period_begins, v.at_most, v.needs_attended, v.enforced, v.source, v.note), 0)
FROM (VALUES
	('TX', 'unexplained absences', '(,)'::daterange, 'absence', true, 12, NULL::integer, 40, NULL::integer, true,
		'40 TAC 809.78, current to 8 November 2024',
		'of eligibility, not of payment. Chronic illness, disability and court-ordered visits do not count: an own row names their reasons. A missed recording counts, unless the system was down'),
	('NY', 'paid absences', '(,)', 'absence', false, 12, 1, 24, NULL, true,
		'18 NYCRR 415.6 (b), current to 25 September 2024: https://regulations.justia.com/states/new-york/title-18/chapter-ii/subchapter-c/article-2/part-415/section-415-6',
		'24 a year are paid everywhere; a district may pay up to 80 and says so in its plan: an own row for its agency. Which year is not said; Lewis County counts its fiscal year'),
	('MO', 'absence in a month without attendance', '(,)', 'absence', false, 1, 1, NULL, 1, false,
		'Missouri DSS, Child Care Manual 1225.020.00 (2013): https://dss.mo.gov/fsd/iman/chldcare/1225-020-00.html',
		'payable only if the child attended at least one unit in the month. How many absences are paid depends on the units authorized; that table is not publicly readable'),
	('MO', 'holidays in a fiscal year', '(,)', 'closure', false, 12, 7, 11, NULL, false,
		'Missouri DSS, Child Care Manual 1225.020.00 (2013): https://dss.mo.gov/fsd/iman/chldcare/1225-020-00.html',
		'a holiday is any day the site is closed in its normal hours; with all 11 used, an absence may not be claimed instead. Fiscal year: July to June')) v (state, limit_name, valid, counts, counts_unrecorded, period_months, period_begins, at_most, needs_attended, enforced, source, note);

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.absence_limit', 'WHERE NOT builtin');

CREATE TABLE kinderconnect.unit_band (
	agency_id text COLLATE "C" CHECK (agency_id <> ''),
	state     text COLLATE "C" CHECK (state ~ '^[A-Z]{2}$'),
	unit      text NOT NULL CHECK (unit <> ''),
	valid     daterange NOT NULL CHECK (NOT isempty(valid)),
	minutes   int4range NOT NULL CHECK (NOT isempty(minutes) AND lower(minutes) >= 0),
	enforced  boolean NOT NULL,
	source    text NOT NULL,
	note      text,
	shipped   bigint,
	builtin   boolean NOT NULL GENERATED ALWAYS AS ((shipped = hash_record_extended(ROW(agency_id, state, unit, valid, minutes, enforced, source, note), 0)) IS TRUE) STORED,
	CONSTRAINT unit_band_is_of_one CHECK (num_nonnulls(agency_id, state) = 1),
	CONSTRAINT unit_band_one_for_a_length EXCLUDE USING gist ((coalesce(agency_id, '')) WITH =, (coalesce(state, '')) WITH =, (builtin::integer) WITH =, valid WITH &&, minutes WITH &&)
);
ALTER TABLE kinderconnect.unit_band REPLICA IDENTITY FULL;
COMMENT ON TABLE kinderconnect.unit_band IS
'the unit of care that a day of so many minutes makes. The agency''s bands stand in the place of all of the state''s, your own of all the shipped, for the dates they hold. Information for unit_use: the agency computes the units';
COMMENT ON COLUMN kinderconnect.unit_band.agency_id IS 'the agency, or null for a band of the state';
COMMENT ON COLUMN kinderconnect.unit_band.state IS 'two-letter code, or null for a band of the agency';
COMMENT ON COLUMN kinderconnect.unit_band.unit IS 'name of the unit';
COMMENT ON COLUMN kinderconnect.unit_band.valid IS 'service dates it holds for';
COMMENT ON COLUMN kinderconnect.unit_band.minutes IS 'minutes of care on a day that make it: [180,300) is 3:00 to 4:59';
COMMENT ON COLUMN kinderconnect.unit_band.enforced IS 'true: the law or the agency says so; false: known from a secondary source';
COMMENT ON COLUMN kinderconnect.unit_band.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.unit_band.note IS 'what else is known';
COMMENT ON COLUMN kinderconnect.unit_band.shipped IS 'digest of the row as it was shipped; null: it was not';
COMMENT ON COLUMN kinderconnect.unit_band.builtin IS 'true: as shipped, replaced by an upgrade. Your own row beside it wins; one that you edit is your own from then on: an upgrade leaves it, and pg_dump keeps it';

INSERT INTO kinderconnect.unit_band (state, unit, valid, minutes, enforced, source, note, shipped)
SELECT v.*, hash_record_extended(ROW(NULL::text, v.*), 0) FROM (VALUES
	('MO', 'part', '(,)'::daterange, '[30,180)'::int4range, true, 'https://dssmanuals.mo.gov/obsolete/2020-000-00/',
		'0:30 to 2:59. Care that begins or ends after 19:00, before 6:00 or at the weekend is an evening or weekend unit of the same length'),
	('MO', 'half', '(,)', '[180,300)', true, 'https://dssmanuals.mo.gov/obsolete/2020-000-00/', '3:00 to 4:59'),
	('MO', 'full', '(,)', '[300,721)', true, 'https://dssmanuals.mo.gov/obsolete/2020-000-00/', '5:00 to 12:00; what more than 12 hours make is not publicly known'),
	('TX', 'part-day', '(,)', '[1,360)', true, '40 TAC 809.93', 'less than 6 hours'),
	('TX', 'full-day', '(,)', '[360,721)', true, '40 TAC 809.93', '6 to 12 hours in 24; blended days of school-age and pre-K children are not told apart'),
	('NY', 'part-day', '(,)', '[1,360)', false, 'PolicyEngine, parameters gov/states/ny/ocfs/ccap/duration, citing 18 NYCRR 415.9 and 22-OCFS-LCM-14',
		'less than 6 hours; 30 hours and more in a week are a weekly rate'),
	('NY', 'daily', '(,)', '[360,720)', false, 'PolicyEngine, parameters gov/states/ny/ocfs/ccap/duration, citing 18 NYCRR 415.9 and 22-OCFS-LCM-14',
		'6 to less than 12 hours; 30 hours and more in a week are a weekly rate')) v (state, unit, valid, minutes, enforced, source, note);

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.unit_band', 'WHERE NOT builtin');
