# A link that a person ends while the night runs: nothing more is sent for that
# child, and the rest goes.
use strict;
use warnings;

use KinderConnect;
use Test::More;

foreach my $most (1, 2)
{
	my $night = ready_night("unlinked_$most", seed => made_seed(children => 4), days => 2, conf => 'kinderconnect.max_in_flight = 1');

	$night->sql("UPDATE kinderconnect.dialect_operation SET max_records = $most WHERE operation = 'submit'");
	# a day of each is accepted already, and to be corrected
	my $last = $night->sql('SELECT max(day) FROM manage.truth');

	is($night->night("from_date => '$last'")->{state}, '', "$most: a night of one day");
	$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});

	$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', times => 1 } ] });
	my $job = $night->start_sql('CALL kinderconnect.nightly()');
	$night->wait_simulator(operation => 'submit', hanging => 1);
	is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE kinderconnect_child_id IN ('1003', '1004') AND state = 'ready'}), 4, "$most: of two children nothing is sent yet");
	my $made = $night->sql('SELECT count(*) FROM kinderconnect.ledger');
	$night->sql(qq{SELECT kinderconnect.unlink_child('g-1', 'MO-1', id, 'another child') FROM unnest('{1003,1004}'::text[]) id});
	$night->admin('release', {});
	is($job->finish->{status}, 0, "$most: the night ends well");

	is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger l JOIN kinderconnect.child_link k USING (organization_id, agency_id, kinderconnect_child_id)
		WHERE l.created_at > k.ended_at}), 0, "$most: and makes no record for them any more");
	is($night->sql(q{SELECT string_agg(concat_ws(' ', kinderconnect_child_id, state, reason, detail), ', ' ORDER BY kinderconnect_child_id COLLATE "C", service_date)
			FROM kinderconnect.child_day WHERE content IS NOT NULL}),
		join(', ', (map { "$_ accepted" } '1001', '1001', '1002', '1002'),
			map { ("$_ held unmatched unlinked while the night ran", "$_ held authorization_lost unlinked while the night ran") } '1003', '1004'),
		"$most: which says so");
	is($night->sql('SELECT count(*) FROM kinderconnect.ledger') - $made, 4 - $most, "$most: the others were sent");
}

# A pair that a person parts while the night matches is not linked by it, or the
# person is told that it is. One row is held until all have said so, or wait: the
# first that the match comes to, or the last.
my @child = ('1001', '1002', '1003', '1004');
foreach my $held (@child)
{
	my $night = ready_night("rejected_$held", seed => made_seed(children => 4), days => 2);
	$night->sql('CREATE TABLE manage.away AS TABLE manage.student; DELETE FROM manage.student');
	is($night->night->{state}, '', "$held: a night without children in Manage");
	$night->sql(q{INSERT INTO manage.student TABLE manage.away; UPDATE kinderconnect.child SET unlinked_because = 'not_matched_yet'});
	my $holder = $night->start_sql(qq{
		BEGIN;
		SELECT FROM kinderconnect.child WHERE kinderconnect_child_id = '$held' FOR UPDATE;
		DO \$\$ BEGIN
			WHILE (SELECT count(*) FROM kinderconnect.child_decision) + (SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted) < 4 LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
		END \$\$;
		COMMIT;
	});
	$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowShareLock' AND relation = 'kinderconnect.child'::regclass AND pid <> pg_backend_pid()});
	my $job = $night->start_sql('CALL kinderconnect.nightly()');
	$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted});
	my @person = map { $night->start_sql("SELECT kinderconnect.reject_match('g-1', 'MO-1', '$_', 'S' || right('$_', 1))") } grep { $_ ne $held } @child;
	is($holder->finish->{stderr} . $job->finish->{stderr}, '', "$held: a night in which they are back");
	like($_->finish->{stderr}, qr/^$|is linked to child/, "$held: a person parts a pair, or is told that it is linked") foreach @person;
	is($night->sql('SELECT count(*) FROM kinderconnect.child_link k NATURAL JOIN kinderconnect.parted_pair r WHERE k.ended_at IS NULL'), 0, "$held: no pair that is parted is linked");
	is($night->sql('SELECT count(*) FROM kinderconnect.ledger l NATURAL JOIN kinderconnect.parted_pair r'), 0, "$held: and nothing was sent for it");
	is($night->sql('SELECT count(*) FROM kinderconnect.ledger') > 0, 1, "$held: for others it was");
}

done_testing;
