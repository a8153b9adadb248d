# A source of Manage that answers, and has nothing, says nothing of any day: not
# where the answer to it was lost before, and not of a location's clock. Nor does
# a name without end stop the others.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night;

sub days
{
	return $night->sql(q{SELECT string_agg(concat_ws(' ', provider_id, state, reason, n), ', ' ORDER BY provider_id COLLATE "C", state COLLATE "C", reason)
		FROM (SELECT provider_id, state, reason, count(*) AS n FROM kinderconnect.child_day
			WHERE content IS NOT NULL OR sent_content IS NOT NULL GROUP BY 1, 2, 3) d});
}

sub voids
{
	return scalar grep { $_->{void} } @{ $night->admin('history')->{records} };
}

# Attendance is gone when a night learns what became of an answer that was
# lost: the one that planned it, the one after, or one to which it is too old
foreach my $which ('same', 'next', 'late')
{
	$night = ready_night("emptied_$which", seed => made_seed(providers => 2), conf => 'kinderconnect.max_attempts = 2');
	$night->admin('faults', { faults => [ { kind => 'drop_after', operation => 'submit', match => { providerId => 'P1' } },
		{ kind => 'status', status => 503, operation => 'readback' } ] });
	isnt($night->night->{state}, '', "$which: a night that loses answers");
	is(days(), 'P1 unknown 24, P2 accepted 24', "$which: of one provider");

	$night->sql('CREATE TABLE manage.kept_visit AS TABLE manage.visit; CREATE TABLE manage.kept_absence AS TABLE manage.absence;
		TRUNCATE manage.visit, manage.absence');
	if ($which ne 'same')
	{
		isnt($night->night->{state}, '', "$which: a night that finds Manage empty, and cannot ask");
		is(days(), 'P1 unknown 24, P2 held source_shrank 24', "$which: leaves it unknown");
	}
	$night->admin('faults', { faults => $which eq 'same' ? [ { kind => 'status', status => 503, operation => 'readback', times => 2 } ] : [] });
	if ($which eq 'late')
	{
		$night->night('', 'SET kinderconnect.horizon_days = 1;');
		my $days = $night->sql(q{SELECT count(*) FROM kinderconnect.child_day
			WHERE provider_id = 'P1' AND sent_content IS NOT NULL AND reason = 'horizon_passed' AND accepted_content IS NOT NULL});
		cmp_ok($days, '>=', 16, 'late: what the service turns out to have is held, and says that nobody looks at it any more');
		is(voids(), 0, 'late: and not taken back');
		next;
	}
	$night->night;
	is(days(), 'P1 held source_shrank 24, P2 held source_shrank 24', "$which: what the service turns out to have is held");
	is(voids(), 0, "$which: and not taken back");

	$night->sql(q{INSERT INTO manage.visit OVERRIDING SYSTEM VALUE TABLE manage.kept_visit;
		INSERT INTO manage.absence OVERRIDING SYSTEM VALUE TABLE manage.kept_absence;
		DELETE FROM manage.visit WHERE visit IN (SELECT visit FROM manage.visit WHERE site = 'site P1' ORDER BY visit LIMIT 2)});
	is($night->night->{state}, '', "$which: a night when Manage is back");
	is(voids(), 2, "$which: takes back what was deleted");
	$night->agrees("$which: and all agree");
}

# A person accepts that days are gone while a plan is made that has not seen it:
# that is for the next one.
$night = ready_night('accepted_meanwhile', seed => made_seed(children => 3), days => 4);
is($night->night->{state}, '', 'a night');
$night->sql(q{TRUNCATE manage.visit, manage.absence;
	CREATE FUNCTION manage.wait() RETURNS boolean LANGUAGE sql VOLATILE AS $$ SELECT pg_advisory_lock_shared(1) IS NOT NULL AND pg_advisory_unlock_shared(1) $$;
	DO $$ BEGIN EXECUTE format('CREATE OR REPLACE VIEW kinderconnect.manage_attendance AS SELECT q.* FROM (%s) q
		WHERE (SELECT manage.wait())', rtrim(pg_get_viewdef('kinderconnect.manage_attendance'), ';')); END $$});
is($night->night->{state}, '', 'a night that finds Manage empty');
is(days(), 'P1 held source_shrank 12', 'holds all');
my $holder = $night->start_sql(q{
	BEGIN;
	SELECT pg_advisory_xact_lock(1);
	DO $$ BEGIN
		WHILE NOT EXISTS (SELECT FROM kinderconnect.list_state WHERE accept_shrink)
			AND NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted) LOOP
			PERFORM pg_sleep(0.01);
		END LOOP;
	END $$;
	COMMIT;
});
$night->await(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted AND objid = 1});
my $job = $night->start_sql('CALL kinderconnect.nightly()');
$night->await(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
is($night->sql(q{SELECT kinderconnect.accept_shrink('g-1')}), 1, 'accepted while the next night plans');
is($holder->finish->{stderr} . $job->finish->{stderr}, '', 'which ends well');
is(voids(), 0, 'and takes nothing back');
is($night->night->{state}, '', 'the one after it');
is(days(), 'P1 voided 12', 'takes back all');

# A site is in New York, its agency in Chicago. The last day is not planned yet
# when Manage has no locations.
$night = ready_night('no_locations', seed => made_seed(children => 1), days => 3);
$night->sql(q{UPDATE manage.site SET zone = 'America/New_York'; SELECT kinderconnect.add_provider('g-1', 'MO-1', 'P1', 'site P1')});

my $last = $night->sql('SELECT max(day) FROM manage.truth');
my $last_day = qq{SELECT concat_ws(' ', state, reason, content) FROM kinderconnect.child_day WHERE service_date = '$last'};

is($night->night("to_date => date '$last' - 1")->{state}, '', 'a night that does not look at the last day');
is($night->sql($last_day), '', 'which has no row yet');
$night->sql('CREATE TABLE manage.kept_site AS TABLE manage.site; DELETE FROM manage.site');
is($night->night->{state}, '', 'a night without locations');
is($night->sql($last_day), 'held no_time_zone', 'reads no clock');
$night->sql('INSERT INTO manage.site TABLE manage.kept_site');
is($night->night->{state}, '', 'a night when they are back');
like($night->sql($last_day), qr/^accepted \d/, 'sends it');
$night->agrees('by the clock of the site');
is($night->sql('SELECT zone, valid_until FROM kinderconnect.location_zone'), 'America/New_York|infinity', 'which it always had');

# The site is found at a new record of it in Manage, and its attendance is not
$night = ready_night('moved', seed => made_seed(providers => 2, children => 3), days => 3);
is($night->night->{state}, '', 'a night');
is(days(), 'P1 accepted 9, P2 accepted 9', 'sends all');
$night->sql(q{UPDATE manage.site SET name = 'Place 1 (old)' WHERE site = 'site P1';
	INSERT INTO manage.site SELECT organization, 'new P1', 'Place 1', zip, zone, agency, provider FROM manage.site WHERE site = 'site P1'});
is($night->night->{state}, '', 'a night after another record took the place of a site');
is(days(), 'P1 held source_shrank 9, P2 accepted 9', 'what stands at the old one is held');
is($night->sql(q{SELECT DISTINCT detail FROM kinderconnect.child_day WHERE reason = 'source_shrank'}), '9 of 9 accepted days, accepted of location site P1', 'with the facts');
is(voids(), 0, 'nothing was taken back');
$night->sql(q{UPDATE manage.visit SET site = 'new P1' WHERE site = 'site P1' AND visit <> (SELECT min(visit) FROM manage.visit WHERE site = 'site P1');
	UPDATE manage.absence SET site = 'new P1' WHERE site = 'site P1'});
is($night->night->{state}, '', 'a night after all but a visit moved, too');
is(days(), 'P1 accepted 8, P1 held source_shrank 1, P2 accepted 9', 'only that one waits for a person');
$night->sql(q{SELECT kinderconnect.accept_shrink('g-1', 'MO-1', 'P1')});
is($night->night->{state}, '', 'who accepts that it is gone');
is(voids(), 1, 'and it is taken back');

# What was refused before the site moved goes from the new one, under the same
# id, and is of that one
$night = ready_night('moved_between', seed => made_seed(children => 2), days => 3);
$night->admin('faults', { faults => [ { kind => 'status', status => 403, operation => 'submit' } ] });
isnt($night->night->{state}, '', 'a night that is refused');
is($night->sql(q{SELECT state, count(*) FROM kinderconnect.ledger GROUP BY 1}), 'not_taken|6', 'whole');
$night->admin('faults', { faults => [] });
$night->sql(q{UPDATE manage.site SET name = 'Place 1 (old)' WHERE site = 'site P1';
	INSERT INTO manage.site SELECT organization, 'new P1', 'Place 1', zip, zone, agency, provider FROM manage.site WHERE site = 'site P1';
	UPDATE manage.visit SET site = 'new P1'; UPDATE manage.absence SET site = 'new P1'});
is($night->night->{state}, '', 'a night after the site moved with all it has');
is($night->sql(q{SELECT state, location_id, count(*) FROM kinderconnect.ledger GROUP BY 1, 2}), 'accepted|new P1|6', 'sends the same records of it');
$night->sql(q{DELETE FROM manage.visit WHERE visit = (SELECT min(visit) FROM manage.visit)});
is($night->night->{state}, '', 'a night after one was deleted');
is(voids(), 1, 'takes it back');

# What is too long to be a name is none, and the trouble of that child alone
$night = ready_night('long_names', seed => made_seed(children => 5), days => 3);
my @letters = map { join '', map { chr(97 + rand 26) } 1 .. $_ } 1024, 1024, 20000;
$night->admin('patch', { groupId => 'G-1', children => [ { %{ $night->seed->{groups}[0]{children}[1] }, firstName => $letters[0], lastName => $letters[1] } ] });
$night->sql("UPDATE manage.student SET first_name = '$letters[0]', last_name = '$letters[1]' WHERE student = 'S2'");
is($night->night->{state}, '', 'a night with names as long as may be');
is(days(), 'P1 accepted 15', 'links them, and sends all');
$night->sql("UPDATE manage.student SET first_name = '$letters[2]' WHERE student = 'S1';
	UPDATE manage.student SET first_name = '$letters[2]', last_name = '$letters[2]' WHERE student = 'S3';
	UPDATE manage.visit SET departed = departed + interval '1 minute'");
is($night->try_sql('SET ROLE kinderconnect_operator; SELECT count(*) FROM kinderconnect.preview()')->{status}, 0, 'a preview of longer ones');
is($night->night->{state}, '', 'a night');
is($night->sql(q{SELECT string_agg(concat_ws(' ', child_id, flag), ', ' ORDER BY child_id) FROM kinderconnect.child_link WHERE ended_at IS NULL}),
	'S1 name_changed, S2, S3 link_disagrees, S4, S5', 'says whose they are');
is(days(), 'P1 accepted 12, P1 held link_disagrees 3', 'and sends for all others');

# ... as a word too long to be a reason, or of several lines, is of that day
foreach my $reason ('x' x 65, "called in\nfever")
{
	$night->sql("UPDATE manage.absence SET reason = '$reason'; UPDATE manage.visit SET departed = departed + interval '1 minute'");
	is($night->night->{state}, '', 'a night with what is no reason');
	is(days(), 'P1 accepted 11, P1 held absence_reason 1, P1 held link_disagrees 3', 'holds that day, and sends the others');
}
$night->sql(q{INSERT INTO kinderconnect.absence_reason VALUES ('MO-1', 'Called in: fever', 'SICK'), ('MO-1', 'called in fever', 'SICK')});
is($night->night->{state}, '', 'a night that knows what it means');
is(days(), 'P1 accepted 12, P1 held link_disagrees 3', 'sends it');
$night->sql(q{DELETE FROM kinderconnect.absence_reason});
foreach my $reason ('x' x 64, '')
{
	$night->sql("UPDATE manage.absence SET reason = '$reason'; UPDATE manage.visit SET departed = departed + interval '1 minute'");
	is($night->night->{state}, '', 'a night with a reason as long, and as short, as may be');
	is(days(), 'P1 accepted 12, P1 held link_disagrees 3', 'sends it');
}

done_testing;
