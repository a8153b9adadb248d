# What is edited in Manage while the night sends it goes the next night: the
# service never holds half of an edit.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('edited', seed => made_seed(groups => 2, children => 3), organizations => { alpha => 'G-1', beta => 'G-2' }, days => 2,
	conf => 'kinderconnect.compare_providers = 0');
my $url = $night->url;

$night->sql(qq{
	INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('older', 'vendor-interface', '$url/vendor-interface');
	INSERT INTO kinderconnect.agency (agency_id, name, state, time_zone) VALUES ('MO-1', 'Office', 'MO', 'America/Chicago');
	SELECT kinderconnect.enable_integration('beta', 'G-2', endpoint => 'older');
	SELECT kinderconnect.add_provider('beta', 'MO-1', provider, site) FROM manage.site WHERE organization = 'beta';

	-- of the first child the last day has two sessions
	INSERT INTO manage.visit (organization, site, student, arrived, departed)
	SELECT organization, site, student, max(departed) + interval '20 minutes', max(departed) + interval '50 minutes'
	FROM manage.visit WHERE student = 'S1' GROUP BY organization, site, student;
	-- and the second has one day less, to come in later
	CREATE TABLE manage.later (LIKE manage.visit);
	WITH gone AS (DELETE FROM manage.visit v USING (SELECT organization, max(visit) AS visit FROM manage.visit WHERE student = 'S2' GROUP BY organization) g
		WHERE v.visit = g.visit RETURNING v.*)
	INSERT INTO manage.later TABLE gone;
	CREATE TABLE manage.before AS TABLE manage.truth;
});
my $sessions = q{SELECT count(*) FROM manage.before WHERE content LIKE '% %'};
is($night->sql($sessions), 2, 'days of two sessions');

# What the service holds, and what Manage says in a relation
sub stored
{
	return join "\n", sort map { join ' ', @{$_}{qw(groupId childId serviceDate)}, map { "$_->{in}-$_->{out}" } @{ $_->{sessions} } } @{ $night->admin('store')->{records} };
}

sub said
{
	my ($relation) = @_;

	return join "\n", sort split /\n/, $night->sql(qq{SELECT concat_ws(' ', CASE organization WHEN 'alpha' THEN 'G-1' ELSE 'G-2' END, child, to_char(day, 'YYYY-MM-DD'), content) FROM $relation});
}

# the calls are on their way, and wait before or after the service has them
foreach my $kind ('hang_before', 'hang')
{
	$night->admin('faults', { faults => [ { kind => $kind, operation => 'submit', times => 2 } ] });
	my $job = $night->start_sql('CALL kinderconnect.nightly()');
	$night->wait_simulator(operation => 'submit', hanging => 2);

	# of two sessions the second ends later; a day goes; another one comes
	$night->sql(q{
		BEGIN;
		UPDATE manage.visit SET departed = departed + interval '7 minutes'
		WHERE visit IN (SELECT max(visit) FROM manage.visit WHERE student = 'S1' GROUP BY organization);
		DELETE FROM manage.visit v USING (SELECT organization, min(visit) AS visit FROM manage.visit WHERE student = 'S3' AND organization = 'alpha' GROUP BY organization) g
		WHERE v.visit = g.visit;
		WITH back AS (DELETE FROM manage.later RETURNING *)
		INSERT INTO manage.visit OVERRIDING SYSTEM VALUE TABLE back;
		COMMIT;});
	$night->admin('release', {});
	is($job->finish->{status}, 0, "$kind: the night ends well");
	is(stored(), said('manage.before'), "$kind: what is there is what Manage said before");
	$night->admin('faults', { faults => [] });
	is($night->night->{state}, '', "$kind: the next night");
	is(stored(), said('manage.truth'), "$kind: sends the rest");
	$night->agrees("$kind: and all agree");

	is($night->sql($sessions), 2, "$kind: there was more than one session to halve");
	# something to be sent again
	$night->sql(q{
		UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE student IN ('S1', 'S2', 'S3');
		TRUNCATE manage.before;
		INSERT INTO manage.before TABLE manage.truth});
}
is($night->sql(q{SELECT string_agg(organization_id || ' ' || kind || ' ' || n, ', ' ORDER BY organization_id COLLATE "C", kind COLLATE "C")
	FROM (SELECT organization_id, kind, count(*) AS n FROM kinderconnect.ledger WHERE state = 'accepted' GROUP BY 1, 2) l}),
	'alpha session 13, alpha void 2, beta session 14', 'and nothing besides was sent');

# What a person decides while the night plans stands: a day that the service has
# lost goes again, although the plan has taken it for accepted.
is($night->night->{state}, '', 'a night in which nobody edits');
my $yesterday = $night->sql(q{SELECT max(service_date) FROM kinderconnect.child_day WHERE organization_id = 'alpha' AND kinderconnect_child_id = '1001' AND state = 'accepted'});
$night->sql(qq{SELECT kinderconnect.api_submit('alpha', 'MO-1', 'P1', 'person', ARRAY[ROW('person', '1001', '$yesterday', 'void', NULL, NULL, NULL)::kinderconnect.wire_record])});
is($night->night("'alpha'", 'SET kinderconnect.compare_providers = 1;')->{state}, '', 'a night that compares');
is($night->sql(q{SELECT string_agg(concat_ws(' ', kinderconnect_child_id, difference), ', ') FROM kinderconnect.comparison_difference WHERE gone IS NULL}), '1001 missing_there', 'and misses a day');
$night->sql(q{INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('MO-1', 'sessions_per_day', '(,)', '5', true, 'test')});
my $person = $night->start_sql(q{
	SET statement_timeout = '60s';
	BEGIN;
	SELECT kinderconnect.retry('alpha');
	DO $$ BEGIN
		WHILE (SELECT count(*) FROM pg_locks WHERE NOT granted) < 1 LOOP
			PERFORM pg_sleep(0.01);
		END LOOP;
	END $$;
	COMMIT;
});
$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 'kinderconnect.child_day'::regclass AND pid <> pg_backend_pid()});
is($night->night("'alpha'")->{state}, '', 'a night in which a person has a day sent again');
is($person->finish->{status}, 0, 'who waits for nobody');
is(stored(), said('manage.truth'), 'and it has been sent');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day_step s WHERE s.organization_id = 'alpha' AND (s.state, s.content) IS NOT DISTINCT FROM (s.was_state, s.was_content)
	AND (s.reason, s.detail) IS NOT DISTINCT FROM (s.was_reason, s.was_detail)}), 0, 'no step leads nowhere');
is($night->sql(q{SELECT kinderconnect.retry('alpha')}), 0, 'and what was found before is not sent once more');

done_testing;
