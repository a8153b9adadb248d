# A window that closes while the night runs: what is not in a batch by then is
# held, and the rest goes.
use strict;
use warnings;

use KinderConnect;
use Test::More;

foreach my $most (1, 2)
{
	my $night = ready_night("window_$most", seed => made_seed(providers => 2, children => 2), days => 2);

	$night->sql(qq{
		UPDATE kinderconnect.dialect_operation SET max_records = $most WHERE operation = 'submit';
		INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('MO-1', 'entry_window_days', '(,)', '20', true, 'test')});
	$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', match => { providerId => 'P1' }, times => 1 } ] });
	my $job = $night->start_sql('CALL kinderconnect.nightly()');
	$night->wait_simulator(operation => 'submit', hanging => 1);
	my $waiting = q{kinderconnect_child_id = '1002' AND service_date = (SELECT max(service_date) FROM kinderconnect.child_day)};
	is($night->sql("SELECT state, window_ends > now() FROM kinderconnect.child_day WHERE $waiting"), 'ready|t', "$most: a day is not in a batch yet");
	$night->sql("UPDATE kinderconnect.child_day SET window_ends = now() WHERE $waiting");
	$night->admin('release', {});
	is($job->finish->{status}, 0, "$most: the night ends well");
	is($night->sql('SELECT state, reason, detail, count(*) FROM kinderconnect.child_day WHERE content IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1'),
		"accepted|||7\nheld|window_closed|closed while the night ran|1", "$most: the day is held, and all else was sent");
	is($night->sql("SELECT count(*) FROM kinderconnect.ledger WHERE $waiting"), 0, "$most: of it no record was made");
	is(scalar(@{ $night->admin('history')->{records} }), 7, "$most: and none was sent");

	# the clock was put forward for this day alone
	is($night->night->{state}, '', "$most: the next night");
	$night->agrees("$most: finds the window open, and sends it");
}

done_testing;
