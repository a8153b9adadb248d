-- What the agencies ask of a child-day: rows, so that another state, or a rule
-- that changes on a date, needs no code.

CREATE TABLE kinderconnect.rule (
	rule    text COLLATE "C" PRIMARY KEY,
	unit    text NOT NULL,
	meaning text NOT NULL
);
COMMENT ON TABLE kinderconnect.rule IS 'the rules that can be set; shipped, not edited';
COMMENT ON COLUMN kinderconnect.rule.rule IS 'name in agency_rule';
COMMENT ON COLUMN kinderconnect.rule.unit IS 'what its value is';
COMMENT ON COLUMN kinderconnect.rule.meaning IS 'what it does';

INSERT INTO kinderconnect.rule VALUES
	('entry_window_days', 'days', 'a service date is open while it is not older than the location''s local date less so many days'),
	('correction_window_days', 'days', 'the same for a day already accepted; without it entry_window_days'),
	('sessions_per_day', 'sessions', 'In/Out pairs the agency takes on a day'),
	('lone_punch', 'send or hold', 'a day with only one of check-in and check-out; without it such a day is held'),
	('closures', 'send or omit', 'closures of the site; without it they are sent'),
	('absences', 'send or omit', 'absences; without it they are sent'),
	('overnight', 'whole or split', 'care past midnight: whole, with the day of its check-in; split, at midnight, each part with its day; without it it is held');

CREATE TABLE kinderconnect.agency_rule (
	agency_id text COLLATE "C" CHECK (agency_id <> ''),
	state     text COLLATE "C" CHECK (state ~ '^[A-Z]{2}$'),
	rule      text COLLATE "C" NOT NULL REFERENCES kinderconnect.rule,
	valid     daterange NOT NULL CHECK (NOT isempty(valid)),
	value     text NOT NULL,
	enforced  boolean NOT NULL,
	source    text NOT NULL,
	note      text,
	shipped   bigint,
	builtin   boolean NOT NULL GENERATED ALWAYS AS ((shipped = hash_record_extended(ROW(agency_id, state, rule, valid, value, enforced, source, note), 0)) IS TRUE) STORED,
	CONSTRAINT agency_rule_is_of_one CHECK (num_nonnulls(agency_id, state) = 1),
	CONSTRAINT agency_rule_value CHECK (CASE
		WHEN rule IN ('entry_window_days', 'correction_window_days', 'sessions_per_day') THEN value ~ '^[0-9]{1,4}$'
		WHEN rule = 'lone_punch' THEN value IN ('send', 'hold')
		WHEN rule IN ('closures', 'absences') THEN value IN ('send', 'omit')
		WHEN rule = 'overnight' THEN value IN ('whole', 'split')
		ELSE true END),
	CONSTRAINT agency_rule_one_at_a_time EXCLUDE USING gist ((coalesce(agency_id, '')) WITH =, (coalesce(state, '')) WITH =, rule WITH =, (builtin::integer) WITH =, valid WITH &&)
);
-- it has no primary key, and may be of a publication of all tables
ALTER TABLE kinderconnect.agency_rule REPLICA IDENTITY FULL;
COMMENT ON TABLE kinderconnect.agency_rule IS
'rules of an agency or of a state, the agency''s first; what is not publicly known has no row and holds nothing back';
COMMENT ON COLUMN kinderconnect.agency_rule.agency_id IS 'the agency, or null for a rule of the state';
COMMENT ON COLUMN kinderconnect.agency_rule.state IS 'two-letter code, or null for a rule of the agency';
COMMENT ON COLUMN kinderconnect.agency_rule.rule IS 'which: kinderconnect.rule';
COMMENT ON COLUMN kinderconnect.agency_rule.valid IS 'service dates it holds for';
COMMENT ON COLUMN kinderconnect.agency_rule.value IS 'in the unit of the rule';
COMMENT ON COLUMN kinderconnect.agency_rule.enforced IS 'false: known from a secondary source only, nothing is held back for it';
COMMENT ON COLUMN kinderconnect.agency_rule.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.agency_rule.note IS 'what else is known';
COMMENT ON COLUMN kinderconnect.agency_rule.shipped IS 'digest of the row as it was shipped; null: it was not';
COMMENT ON COLUMN kinderconnect.agency_rule.builtin IS 'true: as shipped, replaced by an upgrade. Your own row beside it wins; one that you edit is your own from then on: an upgrade leaves it, and pg_dump keeps it';

INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source, note, shipped)
SELECT v.*, hash_record_extended(ROW(NULL::text, v.*), 0) FROM (VALUES
	('TX', 'lone_punch', '(,2026-04-01)'::daterange, 'send', true,
		'TWC, Provider Attendance Matrix, as retold by a third party', 'one of In and Out made a day; sending it holds nothing back'),
	('TX', 'lone_punch', '[2026-04-01,)', 'hold', true,
		'Workforce Solutions Rural Capital Area, 2026-03-23: A simple shift, a stronger system', 'from 1 April 2026 both In and Out on the same day'),
	('TX', 'entry_window_days', '(,)', '6', false,
		'TWC, Provider Attendance Matrix, as retold by a third party', 'the agency decides; set enforced once it is confirmed'),
	('TX', 'closures', '(,)', 'omit', false,
		'TWC, Provider Attendance Matrix, as retold by a third party', 'providers enter no closures, training days or holidays')) v (state, rule, valid, value, enforced, source, note);

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.agency_rule', 'WHERE NOT builtin');

CREATE TABLE kinderconnect.absence_reason (
	agency_id text COLLATE "C" NOT NULL CHECK (agency_id <> ''),
	reason    text COLLATE "C" NOT NULL CHECK (reason <> ''),
	code      text NOT NULL CHECK (code <> ''),
	PRIMARY KEY (agency_id, reason)
);
COMMENT ON TABLE kinderconnect.absence_reason IS
'an agency''s code for each of Manage''s absence reasons. An agency without rows gets Manage''s word as it is';
COMMENT ON COLUMN kinderconnect.absence_reason.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.absence_reason.reason IS 'Manage''s word, compared folded';
COMMENT ON COLUMN kinderconnect.absence_reason.code IS 'the agency''s code';

CREATE UNIQUE INDEX absence_reason_folded ON kinderconnect.absence_reason (agency_id, kinderconnect.fold(reason));

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.absence_reason', '');

-- Why a child-day is not sent, and what to do: the manual of the held.
CREATE TABLE kinderconnect.reason (
	reason     text COLLATE "C" PRIMARY KEY,
	meaning    text NOT NULL,
	what_to_do text NOT NULL
);
COMMENT ON TABLE kinderconnect.reason IS 'why a child-day is not sent, and what to do about it; shipped, not edited';
COMMENT ON COLUMN kinderconnect.reason.reason IS 'code in child_day';
COMMENT ON COLUMN kinderconnect.reason.meaning IS 'in words';
COMMENT ON COLUMN kinderconnect.reason.what_to_do IS 'the cure';

INSERT INTO kinderconnect.reason VALUES
	('organization_disabled', 'the organization''s integration is switched off', 'Nothing, if that is meant; else call enable_integration().'),
	('provider_disabled', 'the provider is switched off, or is only listed and the organization adopts none', 'Nothing, if that is meant; else call add_provider().'),
	('provider_inactive', 'the service lists the provider or its customer as not active, or no longer at all', 'Ask the agency; nothing is sent until it lists the provider again.'),
	('provider_unmatched', 'no single location of Manage was found for the provider', 'Call add_provider() with the location; operators see the candidates in provider_review.'),
	('no_time_zone', 'Manage has not got the location, or has no known time zone for it, and its agencies have none, or several', 'Give the location its IANA zone in Manage.'),
	('unmatched', 'the child has no link to a child of Manage; detail says why', 'Correct the name or birth date where it is wrong, or call link_child().'),
	('link_disagrees', 'name or birth date of the linked children no longer agree, or Manage stores the id of another child who fits', 'Correct the side that is wrong, or call unlink_child() or link_child().'),
	('child_gone', 'Manage no longer has the linked child', 'If Manage merged two records, call link_child() with the one that stayed.'),
	('merged_child', 'the service accepted the day under the child''s former id', 'Nothing, if the agency carried the day over; else void_day() of the former id.'),
	('not_authorized', 'attendance on a day that no authorization covers', 'Ask the agency to extend the authorization; the day is sent when it arrives.'),
	('authorization_ended', 'attendance after the child''s last authorization at the provider has ended', 'Ask the agency to renew it; the day is sent when the new one arrives.'),
	('not_authorized_weekday', 'the authorization leaves this weekday out', 'Ask the agency, or correct the day in Manage.'),
	('authorization_lost', 'the service accepted the day, and its authorization or link is gone since', 'A person decides: void_day() takes the day back; else leave it.'),
	('two_providers', 'two provider IDs authorize the child on this day: of one location, or with an absence or a closure at both; or the service holds the day under another ID of the location', 'Ask the agency which one counts; then disable_provider(), end the other authorization, or delete the absence in Manage.'),
	('other_provider', 'the child was at another authorized provider on this day, or is absent there', 'Nothing: the day is said there.'),
	('nothing_recorded', 'authorized, and Manage has neither session, absence nor closure', 'Record the attendance or the absence in Manage: an unclaimed day.'),
	('missing_check_out', 'a session without a check-out', 'Enter the check-out in Manage.'),
	('missing_check_in', 'a session without a check-in', 'Enter the check-in in Manage.'),
	('out_before_in', 'a session whose check-out is before its check-in', 'Correct the session in Manage.'),
	('too_short', 'check-in and check-out in the same minute', 'Correct or delete the session in Manage.'),
	('too_long', 'a session of more than 24 hours', 'Correct the session in Manage.'),
	('overlapping_sessions', 'two sessions overlap, at one site or at two, or one is there twice', 'Correct the sessions in Manage.'),
	('over_midnight', 'a session ends on a later date, and the agency has no rule for that', 'Correct it if it is wrong; else ask the agency and add a row "overnight" to agency_rule.'),
	('clock_change', 'the clocks change on this day, and the wall times cannot say when the session was', 'Report the day to the agency by hand.'),
	('too_many_sessions', 'more sessions than the agency takes on a day, or than its service has places for', 'Report the day to the agency by hand, or join the sessions in Manage.'),
	('unknown_kind', 'a row of Manage that is neither session, absence nor closure', 'Mend the query bound as "attendance": its CASE has to cover this word.'),
	('conflict', 'session, absence and closure contradict each other on this day', 'Delete the wrong ones in Manage.'),
	('absence_reason', 'the agency has a list of absence reasons, and this one is not in it; or it is no code: longer than 64 characters, or of several lines', 'Add the reason to absence_reason, or correct it in Manage.'),
	('window_closed', 'the agency no longer takes entries for this day', 'Report it to the agency by its own way of late entries.'),
	('unfinished_day', 'the day is not over at the location', 'Nothing: this is how it stands, and the night after it decides.'),
	('horizon_passed', 'still to be sent when it grew older than the horizon, so that Manage is no longer looked at', 'Raise kinderconnect.horizon_days, or report the day to the agency by hand.'),
	('before_start', 'older than what the organization sends: before first_enabled less backfill_days', 'Nothing, if it was reported otherwise; else call enable_integration() with more backfill_days.'),
	('cannot_void', 'deleted in Manage after the service accepted it, and the service cannot take a day back', 'Delete it in the agency''s portal.'),
	('source_shrank', 'most accepted days of the provider or the organization, or all attendance, have suddenly vanished from Manage, or become absences; or the provider is another location now than when the day was accepted', 'If they were deleted on purpose, call accept_shrink(); else mend the binding.'),
	('no_child', 'rows of Manage: a session or an absence of nobody', 'Only a closure, of the whole location, is without a child: give the rows their child, or leave them out of the binding.'),
	('unknown_child', 'rows of Manage: of a child that manage_child does not have', 'Bind "child" and "attendance" to the same ids.'),
	('unknown_location', 'rows of Manage: at a location that manage_location does not have', 'Bind "location" and "attendance" to the same ids.'),
	('other_organization', 'rows of Manage: the child or the location is another organization''s', 'Correct organization_id in the query bound as "attendance".'),
	('no_times', 'rows of Manage: a session with neither check-in nor check-out', 'Enter the times in Manage, or delete the session.'),
	('no_date', 'rows of Manage: an absence or a closure without service_date', 'Enter the date in Manage.'),
	('no_provider', 'rows of Manage: of an authorized child, at a location without a provider ID of its agency', 'If the agency lists the location, call add_provider(); else correct the location in Manage.'),
	('future_session', 'rows of Manage: a session that is dated after today', 'Correct its times in Manage; else it waits until its day is over.'),
	('not_yet', 'rows of Manage: an absence or a closure after today', 'Nothing: it is planned when its day is over.'),
	('not_authorized_any_more', 'the authorization was taken back, and nothing was recorded or sent for the day', 'Nothing.'),
	('closure_not_taken', 'a closure, and the agency takes none, or its service has no word for one', 'Nothing.'),
	('absence_not_taken', 'an absence, and the agency takes none, or its service has no word for one', 'Nothing.');

-- The rules in force for an agency on a day, as one object: the agency's win
-- over the state's, the DBA's over the shipped.
CREATE FUNCTION kinderconnect._rules(agency text, day date) RETURNS jsonb
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT coalesce(jsonb_object_agg(r.rule, r.value) FILTER (WHERE r.enforced), '{}')
	FROM (SELECT DISTINCT ON (r.rule) r.rule, r.value, r.enforced
		FROM kinderconnect.agency_rule r
		LEFT JOIN kinderconnect.agency a ON a.agency_id = agency
		WHERE (r.agency_id = agency OR r.state = a.state) AND r.valid @> day
		ORDER BY r.rule, r.agency_id NULLS LAST, r.builtin) r;
END;
COMMENT ON FUNCTION kinderconnect._rules(text, date) IS 'the enforced rules of an agency, or its state, for a service date';

-- What closes a day, for the views. The setting is read as it stands, and is
-- 45 where the library is not loaded and no file says otherwise.
CREATE FUNCTION kinderconnect._horizon_days() RETURNS integer
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN coalesce(nullif(current_setting('kinderconnect.horizon_days', true), ''), '45')::integer;
COMMENT ON FUNCTION kinderconnect._horizon_days() IS 'the setting horizon_days, days, without loading the library';

CREATE FUNCTION kinderconnect._is_open(day date, window_ends timestamptz, zone text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN (window_ends > now()) IS NOT FALSE
		AND day + kinderconnect._horizon_days() >= (now() AT TIME ZONE coalesce(zone, 'Pacific/Honolulu'))::date;
COMMENT ON FUNCTION kinderconnect._is_open(date, timestamptz, text) IS
'whether a service date can still be sent: its enforced window, if any, has not ended, and it is not older than the horizon on the clock of the agency''s zone (null: Honolulu''s)';
