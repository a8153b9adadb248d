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

done_testing;
