# One record that the service cannot answer for: it alone stays, and the others
# of its provider go.
use strict;
use warnings;

use KinderConnect;
use Test::More;

# The last day of Manage but so many, as a literal
sub latest
{
	my ($night, $n) = @_;

	return $night->sql("SELECT quote_literal(max(day) - $n) FROM manage.truth");
}

sub states
{
	my ($night) = @_;

	return $night->sql(q{SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM kinderconnect.child_day WHERE content IS NOT NULL GROUP BY 1) s});
}

sub submits { return $_[0]->admin('requests')->{operations}{submit}{received} // 0; }

# Of an older dialect, which has no read-back
sub older_night
{
	my ($name, %option) = @_;
	my $night = ready_night($name, seed => made_seed(children => $option{children}), organizations => { gateway => 'G-1' },
		days => $option{days}, conf => 'kinderconnect.max_attempts = 2');

	my $url = $night->url;
	$night->sql(qq{
		INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('older', 'vendor-interface', '$url/vendor-interface');
		SELECT kinderconnect.enable_integration('gateway', 'G-1', endpoint => 'older');
		INSERT INTO kinderconnect.agency (agency_id, name, state, time_zone) VALUES ('MO-1', 'Office', 'MO', 'America/Chicago');
		SELECT kinderconnect.add_provider('gateway', 'MO-1', provider, site) FROM manage.site});
	return $night;
}

# A record that each answer leaves out
my $night = older_night('left_out', children => 4, days => 5);
my $all = $night->sql('SELECT count(*) FROM manage.truth');
$night->admin('faults', { faults => [ { kind => 'results_short', operation => 'submit', drop => 1 } ] });
my $end = $night->night('to_date => ' . latest($night, 2));
is($end->{state}, 'KC402', 'an answer that leaves a record out: an error at the end');
my $culprit = $night->sql(q{SELECT record_id FROM kinderconnect.ledger WHERE state = 'unknown'});
like($culprit, qr/^[-0-9a-f]{36}$/, 'one is unknown');
$night->admin('faults', { faults => [ { kind => 'results_short', operation => 'submit', drop => 1, match => { recordId => $culprit } } ] });
foreach my $days (1, 0)
{
	$end = $night->night('to_date => ' . latest($night, $days));
	is($end->{state}, 'KC402', 'another night that gets no answer for it: an error at the end');
	like($end->{stderr}, qr/answer of the service leaves 1 of 1 records out/, 'that says so');
	is($night->sql(q{SELECT record_id FROM kinderconnect.ledger WHERE state = 'unknown'}), $culprit, 'it stays unknown');
	is($night->sql('SELECT count(*) FROM kinderconnect.child_day WHERE state NOT IN (\'accepted\', \'unknown\') AND content IS NOT NULL AND service_date <= ' . latest($night, $days)),
		0, 'and the new days of its provider are accepted all the same');
}
is(states($night), 'accepted ' . ($all - 1) . ', unknown 1', 'all but that one');

# its day is changed, its child is known by another id: neither goes before it
$night->sql(qq{
	CREATE TABLE manage.doubt AS SELECT kinderconnect_child_id AS child, service_date AS day FROM kinderconnect.ledger WHERE record_id = '$culprit';
	UPDATE manage.visit v SET departed = departed + interval '1 minute' FROM manage.student s, manage.doubt d
	WHERE (s.organization, s.student) = (v.organization, v.student) AND s.child = d.child AND (v.arrived AT TIME ZONE 'America/Chicago')::date = d.day});
my $before = submits($night);
is($night->night->{state}, 'KC402', 'a night after its day was changed');
is(submits($night) - $before, 2, 'the old record is tried, twice');
is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger l JOIN manage.doubt d ON (d.child, d.day) = (l.kinderconnect_child_id, l.service_date)}), 1, 'and nothing else is made for it');
is(states($night), 'accepted ' . ($all - 1) . ', unknown 1', 'the day waits');
$night->admin('faults', { faults => [] });
is($night->night->{state}, '', 'a night that gets the answer');
$night->agrees('all is there, as Manage has it by now');

# and when the agency gives its child another id meanwhile, the day does not go
# under that one
$night->sql(q{INSERT INTO manage.visit (organization, site, student, arrived, departed)
	SELECT organization, site, student, arrived - interval '10 days', departed - interval '10 days' FROM manage.visit ORDER BY arrived DESC, visit LIMIT 1});
$night->admin('faults', { faults => [ { kind => 'results_short', operation => 'submit', drop => 1 } ] });
is($night->night->{state}, 'KC402', 'another answer that leaves a record out');
my ($record, $id) = split /\|/, $night->sql(q{SELECT record_id, kinderconnect_child_id FROM kinderconnect.ledger WHERE state = 'unknown'});
my ($child) = grep { $_->{childId} eq $id } @{ $night->seed->{groups}[0]{children} };
my $under = "SELECT string_agg(state, ', ' ORDER BY service_date) FROM kinderconnect.child_day WHERE kinderconnect_child_id = '9$id' AND content IS NOT NULL";
$night->admin('faults', { faults => [ { kind => 'results_short', operation => 'submit', drop => 1, match => { recordId => $record } } ] });
$night->admin('patch', { groupId => 'G-1', removeChildren => [ { agencyId => 'MO-1', childId => $id } ], children => [ { %$child, childId => "9$id" } ] });
$night->sql("UPDATE manage.student SET child = '9$id' WHERE child = '$id'; UPDATE manage.entitled SET child = '9$id' WHERE child = '$id'");
is($night->night->{state}, 'KC402', 'a night after its child has another id');
unlike($night->sql($under), qr/ready|accepted/, 'the day is not sent under the new id');
$night->admin('faults', { faults => [] });
is($night->night->{state}, '', 'a night that gets the answer');
like($night->sql($under), qr/accepted/, 'it is, when the service has refused it under the former one');

# A record that the service fails at, and with it every batch that it is in: how
# it fails, what is said of it, how many children and days, and which is at fault
foreach my $case (
	[ 'an error of the server', qr/HTTP status 500/, 20, 4, '1001', { kind => 'status', status => 500 } ],
	[ 'a connection that breaks', qr/connection .* broke/, 20, 4, '1013', { kind => 'drop_before' } ],
	[ 'a gateway that gives up', qr/HTTP status 504/, 150, 4, '1150', { kind => 'status', status => 504 } ],
	[ 'an error at one of two', qr/HTTP status 502/, 2, 1, '1001', { kind => 'status', status => 502 } ])
{
	my ($name, $says, $children, $days, $culprit, $fault) = @$case;
	my $number = 0;

	$night = ready_night("fails_$children$culprit", seed => made_seed(providers => 2, children => $children), days => $days, conf => 'kinderconnect.max_attempts = 2');
	$night->sql(qq{
		CREATE TABLE manage.culprit AS SELECT v.* FROM manage.visit v JOIN manage.student s USING (organization, student) WHERE s.child = '$culprit' ORDER BY v.arrived LIMIT 1;
		DELETE FROM manage.visit v USING manage.student s WHERE (s.organization, s.student) = (v.organization, v.student) AND s.child = '$culprit'
			AND v.visit NOT IN (SELECT visit FROM manage.culprit);
		DELETE FROM manage.absence v USING manage.student s WHERE (s.organization, s.student) = (v.organization, v.student) AND s.child = '$culprit'});
	$all = $night->sql('SELECT count(*) FROM manage.truth');
	$night->admin('faults', { faults => [ { %$fault, operation => 'submit', match => { childId => $culprit } } ] });
	do
	{
		my $before = submits($night);

		$number++;
		$end = $night->night;
		is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE provider_id = 'P2' AND content IS NOT NULL AND state <> 'accepted'}), 0, "$name: the other provider has its days")
		  if $number == 1;
		cmp_ok(submits($night) - $before, '<=', 2 * 2 + 40, "$name: no more requests than are allowed in night $number");
	} while ($number < 3 && states($night) ne 'accepted ' . ($all - 1) . ', rejected 1');
	is(states($night), 'accepted ' . ($all - 1) . ', rejected 1', "$name: all but one are accepted in $number nights");
	like($night->sql(q{SELECT message FROM kinderconnect.child_day WHERE state = 'rejected'}), qr/$says.*by itself too.*retry\(\)/, "$name: it alone is rejected, with what to do");
	is($night->sql(q{SELECT string_agg(DISTINCT kinderconnect_child_id, ', ') FROM kinderconnect.child_day WHERE state = 'rejected'}), $culprit, "$name: it is the one at fault");
	my $before = submits($night);
	is($night->night->{state}, '', "$name: the next night");
	is(submits($night) - $before, 0, "$name: sends nothing");
	$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
	is($night->night->{state}, 'KC402', "$name: a night of corrections");
	is($night->sql(qq{SELECT count(*) FROM kinderconnect.child_day WHERE state = 'accepted' AND content = accepted_content AND kinderconnect_child_id <> '$culprit'}),
		$all - 1, "$name: all but that one are accepted at once");
	$night->admin('faults', { faults => [] });
	$night->night;
	$night->sql(q{SELECT kinderconnect.retry('g-1')});
	is($night->night->{state}, '', "$name: nights without fault, and retry()");
	$night->agrees("$name: nothing lost, nothing doubled");
}

# A service that is down is not asked more often for it
$before = submits($night);
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
$night->admin('faults', { faults => [ { kind => 'status', status => 500, operation => 'submit' } ] });
foreach my $number (1 .. 3)
{
	is($night->night->{state}, 'KC402', 'a service that fails at everything');
	is(submits($night) - $before, 4 * $number, "is sent two batches of each provider in night $number");
}
$night->admin('faults', { faults => [] });
is($night->night->{state}, '', 'when it does no more');
$night->agrees('all is there');

# One that goes down before the last of a night loses the same record twice, by
# itself, and has answered others: that is no reason to reject it
$night = ready_night('goes_down', seed => made_seed(children => 6), days => 1, conf => 'kinderconnect.max_attempts = 2');
$night->sql(q{UPDATE kinderconnect.dialect_operation SET max_records = 1 WHERE operation = 'submit'; DELETE FROM manage.absence});
$all = $night->sql('SELECT count(*) FROM manage.truth');
$night->admin('faults', { faults => [ { kind => 'drop_before', operation => 'submit', skip => $all - 1 } ] });
is($night->night->{state}, 'KC402', 'a night in which the service goes down');
is($night->sql(q{SELECT count(*), max(n) FROM (SELECT count(*) AS n FROM kinderconnect.batch WHERE state = 'lost' GROUP BY record_ids) b}), '1|2', 'one record is lost twice');
unlike(states($night), qr/rejected/, 'and not rejected');
$night->admin('faults', { faults => [] });
is($night->night->{state}, '', 'the next night');
$night->agrees('all is there');

# Where every other one is lost, the night does not go on for ever
$night = ready_night('every_other', seed => made_seed(children => 2), days => 12, conf => 'kinderconnect.max_attempts = 2');
$night->sql(q{UPDATE kinderconnect.dialect_operation SET max_records = 1 WHERE operation = 'submit'; DELETE FROM manage.absence});
$night->admin('faults', { faults => [ { kind => 'status', status => 500, operation => 'submit', match => { childId => '1001' } } ] });
is($night->night->{state}, 'KC402', 'a night in which every other record is lost');
is($night->sql(q{SELECT count(*) FROM kinderconnect.batch WHERE state = 'lost'}), 8, 'ends it after eight');
like(states($night), qr/ready/, 'and leaves the rest to the next');

# The same where it cannot be asked what it holds: the one stays unknown
$night = older_night('older_fails', children => 20, days => 4);
$all = $night->sql('SELECT count(*) FROM manage.truth');
$night->admin('faults', { faults => [ { kind => 'status', status => 500, operation => 'submit', match => { childId => '1004' } } ] });
$night->sql(q{
	DELETE FROM manage.absence;
	DELETE FROM manage.visit v USING manage.student s WHERE (s.organization, s.student) = (v.organization, v.student) AND s.child = '1004'
		AND v.arrived > (SELECT min(arrived) + interval '12 hours' FROM manage.visit)});
$all = $night->sql('SELECT count(*) FROM manage.truth');
foreach my $days (2, 1, 0)
{
	$end = $night->night('to_date => ' . latest($night, $days));
	is($end->{state}, 'KC402', 'a night that gets no answer for one record');
}
is(states($night), 'accepted ' . ($all - 1) . ', unknown 1', 'all but that one are accepted in three nights, the new days too');
$before = submits($night);
is($night->night->{state}, 'KC402', 'another night');
is(submits($night) - $before, 1, 'tries it once');
$night->admin('faults', { faults => [] });
is($night->night->{state}, '', 'a night that gets the answer');
$night->agrees('all is there');

done_testing;
