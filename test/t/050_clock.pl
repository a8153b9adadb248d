# The clock: who is due and who is not, what a tick costs that has nothing to
# do, the stop switch and the deadline.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('clock',
	seed => made_seed(groups => 2, providers => 2, children => 2),
	days => 3,
	conf => "max_prepared_transactions = 1\nautovacuum = off\nlog_checkpoints = off\ncheckpoint_timeout = '1d'");
my $seen = 0;

# A tick, as an operator: { status, stdout, stderr, state }, and how many runs it made
sub tick
{
	my ($before) = @_;
	my $runs = runs();
	# what this test edits no function has changed
	$night->sql(q{SELECT setval('kinderconnect.next_look', 0)});
	my $end = $night->try_sql(join "\n", '\set VERBOSITY verbose', 'SET ROLE kinderconnect_operator;', $before // '', 'CALL kinderconnect.tick();');

	$end->{state} = $end->{stderr} =~ /ERROR:  ([0-9A-Z]{5}):/ ? $1 : '';
	$end->{runs} = runs() - $runs;
	return $end;
}

sub runs { return $night->sql('SELECT count(*) FROM kinderconnect.run'); }

# "group provider" of what has arrived since the last time
sub sent
{
	my $history = $night->admin("history?after=$seen")->{records};
	my %sent = map { ("$_->{groupId} $_->{providerId}" => 1) } @$history;

	$seen += @$history;
	return join ', ', sort keys %sent;
}

# As if the last run that covered them, all or some, was so long ago; and all
# days are to be sent again
sub age
{
	my ($age, $which) = @_;

	$night->sql(qq{UPDATE kinderconnect.provider_clock SET attempted_at = attempted_at - interval '$age', ended_at = ended_at - interval '$age',
		covered_at = covered_at - interval '$age' WHERE } . ($which // 'true'));
	$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE } . ((($which // '') =~ /organization_id = '(.*?)'/) ? "organization = '$1'" : 'true'));
	return;
}

sub clock { return $night->sql("SELECT failures, sqlstate, covered_at = attempted_at FROM kinderconnect.provider_clock WHERE $_[0]"); }

# Never run: due at once
my $end = tick();
is($end->{state}, '', 'a first tick') or diag $end->{stderr};
is($end->{runs}, 1, 'runs a night');
is($night->sql('SELECT scope, status, started_by IS NOT NULL FROM kinderconnect.run'), '{"due": true}|succeeded|t', 'that says why');
$night->agrees('all is there');
is($night->sql('SELECT count(*), count(DISTINCT run_id) FROM kinderconnect.provider_clock WHERE covered_at = attempted_at AND failures = 0'), '6|1', 'all are covered, also what it came to know');
is($night->sql('SELECT count(*) FROM kinderconnect.due WHERE is_due'), 0, 'nobody is due');
sent();

# A tick with nothing to do
my $state = q{SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot())};
my ($before, $after);
tick();
foreach my $try (1 .. 5)
{
	$before = $night->sql($state);
	is(tick()->{runs}, 0, 'a tick with nothing to do leaves no run');
	$after = $night->sql($state);
	last if $before eq $after;
}
is($after, $before, 'no transaction id and no WAL');
ok($night->sql(q{SELECT last_value BETWEEN extract(epoch FROM now()) - 600 AND extract(epoch FROM now()) + 1 FROM kinderconnect.last_tick}) eq 't', 'but that there was one');
$end = $night->try_sql('SET ROLE kinderconnect_operator; BEGIN; CALL kinderconnect.tick(); COMMIT;');
like($end->{stderr}, qr/tick\(\) cannot run inside a transaction block/, 'it refuses a transaction');

# Nor does it look who is due, up to when somebody may be; whatever changes that
# has it look
my $look = q{SELECT CASE WHEN last_value = 0 THEN 'at once' WHEN last_value BETWEEN extract(epoch FROM now()) AND extract(epoch FROM now()) + 3600 THEN 'later' ELSE 'no' END FROM kinderconnect.next_look};
my $unlooked = 'SET ROLE kinderconnect_operator; CALL kinderconnect.tick()';
is($night->sql($look), 'later', 'it says when to look again');
$night->sql(q{UPDATE kinderconnect.provider_clock SET covered_at = covered_at - interval '25 hours', attempted_at = attempted_at - interval '25 hours', ended_at = ended_at - interval '25 hours'});
$before = runs();
$night->try_sql($unlooked);
is(runs(), $before, 'before that no tick looks');
foreach my $change (q{set_schedule('g-1')}, q{clear_schedule('g-1')}, q{add_provider('g-1', 'MO-1', 'P1')}, q{enable_integration('g-1', 'G-1')})
{
	$night->sql(q{SELECT setval('kinderconnect.next_look', extract(epoch FROM now() + interval '50 minutes')::bigint)});
	is($night->sql($look), 'later', 'as it is');
	$night->sql("SELECT kinderconnect.$change");
	is($night->sql($look), 'at once', "$change: the next one does");
}
# nor may a change that a tick cannot see yet be forgotten
$night->sql(q{UPDATE kinderconnect.provider_clock SET covered_at = now(), attempted_at = now(), ended_at = now()});
$night->sql(q{BEGIN; SELECT kinderconnect.set_schedule('g-1'); PREPARE TRANSACTION 'a change'});
is($night->try_sql($unlooked)->{status}, 0, 'a tick while a timetable is changed');
is($night->sql($look), 'at once', 'leaves it to the next one to look');
$night->sql(q{COMMIT PREPARED 'a change'});
is($night->try_sql($unlooked)->{status}, 0, 'that one');
is($night->sql($look), 'later', 'sees it, and says when to look again');
$night->sql(q{UPDATE kinderconnect.provider_clock SET covered_at = covered_at - interval '25 hours', attempted_at = attempted_at - interval '25 hours', ended_at = ended_at - interval '25 hours'});
$night->sql(q{SELECT setval('kinderconnect.next_look', extract(epoch FROM now() - interval '1 second')::bigint)});
$night->try_sql($unlooked);
is(runs(), $before + 1, 'and when that time has come');
is($night->sql($look), 'at once', 'and after a run');
sent();

# One provider of four is due: it is asked for and sent, and nobody else
age('25 hours', q{organization_id = 'g-1' AND provider_id = 'P1'});
my $asked = $night->admin('requests')->{operations};
is(tick()->{runs}, 1, 'one provider is due');
is(sent(), 'G-1 P1', 'it is sent');
my $now = $night->admin('requests')->{operations};
is($now->{customers}{received} - $asked->{customers}{received}, 1, 'its lists are asked once');
is($now->{children}{received} - $asked->{children}{received}, $night->sql(q{SELECT count(*) FROM kinderconnect._months('g-1', NULL, NULL)}), 'its children too');
is($night->sql('SELECT organization_id, provider_id, sent > 0 FROM kinderconnect.run_provider WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run)'),
	'g-1|P1|t', 'the run is its run');
is($night->sql(q{SELECT count(*) FROM kinderconnect.run_organization WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run)}), 1, 'and its organization\'s');
is(tick()->{runs}, 0, 'then nobody is');
is($night->night->{state}, '', 'a night by hand');
is(sent(), 'G-1 P2', 'sends the rest');
$night->agrees('all is there');

# A month of downtime is one run
age('30 days');
is(tick()->{runs}, 1, 'after a month of downtime: one run');
is(tick()->{runs}, 0, 'and no second');
is(sent(), 'G-1 P1, G-1 P2, G-2 P1, G-2 P2', 'that sends all');

# A provider fails; the others are covered
age('25 hours');
$night->admin('faults', { faults => [ { kind => 'status', status => 503, operation => 'submit', match => { groupId => 'G-1', providerId => 'P1' } } ] });
is(tick()->{state}, 'KC402', 'a provider fails');
is($night->sql(q{SELECT string_agg(organization_id || ' ' || provider_id, ', ' ORDER BY organization_id, provider_id) FROM kinderconnect.run_provider
	WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run) AND accepted > 0}), 'g-1 P2, g-2 P1, g-2 P2', 'the others do not');
is(clock(q{organization_id = 'g-1' AND provider_id = 'P1'}), '1|KC205|f', 'it is known why');
is(tick()->{runs}, 0, 'the next tick leaves it alone');
$night->sql(q{UPDATE kinderconnect.provider_clock SET ended_at = ended_at - interval '15 minutes'});
$end = tick();
is("$end->{runs} $end->{state}", '1 KC402', 'after 15 minutes it is tried again');
is(clock(q{organization_id = 'g-1' AND provider_id = 'P1'}), '2|KC205|f', 'it failed twice');
$night->sql(q{UPDATE kinderconnect.provider_clock SET ended_at = ended_at - interval '29 minutes'});
is(tick()->{runs}, 0, 'after 29 minutes more it is not');
$night->sql(q{UPDATE kinderconnect.provider_clock SET ended_at = ended_at - interval '1 minute'});
$night->admin('faults', { faults => [] });
is(tick()->{state}, '', 'after 30 it is, and works');
is(clock(q{organization_id = 'g-1' AND provider_id = 'P1'}), '0||t', 'and all is forgotten');
$night->agrees('all is there');
sent();

# A wrong password is not tried again and again
age('25 hours');
$night->sql(q{SELECT kinderconnect.set_secret('wrong', 'not the password'); UPDATE kinderconnect.organization SET group_password = 'wrong' WHERE organization_id = 'g-1'});
is(tick()->{state}, 'KC402', 'a wrong password');
is(clock(q{organization_id = 'g-1' AND provider_id = 'P2'}), '1|KC202|f', 'is every provider\'s');
$asked = $night->admin('requests')->{received};
$night->sql(q{UPDATE kinderconnect.provider_clock SET ended_at = ended_at - interval '5 hours'});
is(tick()->{runs}, 0, 'it is not tried again in this night');
is($night->admin('requests')->{received}, $asked, 'nothing is asked');
$night->sql(q{UPDATE kinderconnect.organization SET group_password = 'group_g-1' WHERE organization_id = 'g-1'});
is($night->night(q{'g-1'})->{state}, '', 'a night by hand, with the right one');
is(clock(q{organization_id = 'g-1' AND provider_id = 'P2'}), '0||t', 'covers it');
$night->agrees('all is there');
sent();

# A run limited to dates covers nobody
age('25 hours', q{organization_id = 'g-1'});
is($night->night(q{'g-1', from_date => current_date - 1})->{state}, '', 'a run limited to dates');
is($night->sql(q{SELECT count(*) FROM kinderconnect.due WHERE is_due AND organization_id = 'g-1'}), 2, 'covers nobody');
is(tick()->{state}, '', 'so a tick does');
$night->agrees('all is there');
sent();

# A run that died is tried again, after a while
age('25 hours');
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', times => 1 } ] });
my $job = $night->start_sql("SET ROLE kinderconnect_operator;\nCALL kinderconnect.tick();");
$night->wait_simulator(operation => 'submit', hanging => 1);
is(tick()->{runs}, 0, 'while a run is under way a tick does nothing');
$night->sql(q{UPDATE kinderconnect.provider_clock SET attempted_at = attempted_at - interval '20 minutes'});
is(tick()->{runs}, 0, 'nor when it takes long');
$night->sql(q{UPDATE kinderconnect.provider_clock SET attempted_at = attempted_at + interval '20 minutes'});
$night->sql('SELECT pg_terminate_backend(' . $job->pid . ')');
$job->finish;
$night->admin('release', {});
is(tick()->{runs}, 0, 'one that died is not tried again at once');
is(clock(q{organization_id = 'g-1' AND provider_id = 'P1'}), '1||f', 'it counts as one that failed');
$night->sql(q{UPDATE kinderconnect.provider_clock SET attempted_at = attempted_at - interval '15 minutes'});
is(tick()->{state}, '', 'after 15 minutes it is');
$night->agrees('all is there');
sent();

# Stopped while a batch is under way: what it had begun is done, no more
age('25 hours');
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', times => 1 } ] });
$job = $night->start_sql("SET ROLE kinderconnect_operator;\nSET kinderconnect.max_in_flight = 1;\nCALL kinderconnect.tick();");
$night->wait_simulator(operation => 'submit', hanging => 1);
$night->sql(q{SET ROLE kinderconnect_operator; SELECT kinderconnect.stop('the agency changes its system')});
$night->admin('release', {});
$end = $job->finish;
is($end->{status}, 0, 'a run that is stopped ends well') or diag $end->{stderr};
is($night->sql(q{SELECT status, sqlstate FROM kinderconnect.run ORDER BY run_id DESC LIMIT 1}), 'stopped|KC403', 'as stopped');
unlike(sent(), qr/G-2/, 'what it had not begun is not sent');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE state IN ('sending', 'unknown')}), 0, 'nothing hangs in the air');
is($night->sql(q{SELECT count(*) FROM kinderconnect.batch WHERE state IN ('waiting', 'sending')}), 0, 'and nothing waits');
is(tick()->{runs}, 0, 'a tick does nothing');
$end = $night->night;
is($end->{state}, 'KC403', 'a night by hand refuses');
like($end->{stderr}, qr/stopped by \w+ since 20.* UTC: the agency changes its system\.\s+HINT:  kinderconnect\.resume\(\)/, 'and says who stopped it, when and why');
is(sent(), '', 'nothing is sent');
$night->sql('SET ROLE kinderconnect_operator; SELECT kinderconnect.resume()');
$end = tick();
is("$end->{runs} $end->{state}", '1 ', 'resumed: the next tick goes on') or diag $end->{stderr};
is(clock(q{provider_id <> '' GROUP BY 1, 2, 3}), '0||t', 'and all are covered');
$night->agrees('all is there, once');
sent();

# Stopped before a step
age('25 hours');
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'customers', times => 1 } ] });
$job = $night->start_sql("SET ROLE kinderconnect_operator;\nCALL kinderconnect.tick();");
$night->wait_simulator(operation => 'customers', hanging => 1);
$night->sql(q{SELECT kinderconnect.stop('again')});
$night->admin('release', {});
is($job->finish->{status}, 0, 'stopped in the first step');
is($night->sql(q{SELECT status, (SELECT count(*) FROM kinderconnect.run_provider p WHERE p.run_id = r.run_id AND sqlstate IS NOT NULL) FROM kinderconnect.run r ORDER BY run_id DESC LIMIT 1}),
	'stopped|0', 'nobody failed');
is(sent(), '', 'nothing is sent');
is($night->sql('SELECT count(*), count(resumed_by) FROM kinderconnect.stop_switch'), '2|1', 'who stopped it, and who did not resume it, is kept');
$night->sql('SELECT kinderconnect.resume()');
is(tick()->{state}, '', 'resumed');
$night->agrees('all is there');
sent();

# The deadline, with a batch of one provider under way and the other waiting
age('25 hours');
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', times => 1 } ] });
$end = tick("SET kinderconnect.run_deadline = 10;\nSET kinderconnect.max_in_flight = 1;");
is($end->{state}, 'KC104', 'the deadline comes');
like($end->{stderr}, qr/run \d+ ended at its deadline, with \d failures/, 'and that is what is said');
is($night->sql(q{SELECT status, sqlstate, error FROM kinderconnect.run ORDER BY run_id DESC LIMIT 1}), 'failed|KC104|deadline', 'the run is accounted so');
is(sent(), 'G-1 P1', 'nothing new was started');
$night->admin('release', {});
is($night->sql(q{SELECT count(DISTINCT (organization_id, provider_id)) FROM kinderconnect.child_day WHERE state = 'unknown'}), 1, 'what was under way is left to be resolved');
is(tick()->{runs}, 0, 'the next tick waits');
$night->sql(q{UPDATE kinderconnect.provider_clock SET ended_at = ended_at - interval '15 minutes'});
is(tick()->{state}, '', 'and then one goes on');
$night->agrees('all is there, once');

# Two sites of an organization, two clocks: six hours of the day lie between
# them, and each is due by its own.
$night->sql(q{UPDATE manage.site SET zone = 'Pacific/Honolulu' WHERE organization = 'g-1' AND provider = 'P2'});
age('25 hours');
is(tick()->{state}, '', 'a site moves to Hawaii');
is($night->sql(q{SELECT provider_id, time_zone FROM kinderconnect.due WHERE organization_id = 'g-1' ORDER BY provider_id}), "P1|America/Chicago\nP2|Pacific/Honolulu", 'each provider has its clock');
is($night->sql(q{SELECT provider_id FROM kinderconnect._due_as_of('2026-07-02 06:00+00') WHERE organization_id = 'g-1' AND scheduled_at > '2026-07-02 00:00+00'}), 'P1', 'at one in the morning in Chicago one is due');
is($night->sql(q{SELECT string_agg(provider_id, ' ' ORDER BY provider_id) FROM kinderconnect._due_as_of('2026-07-02 10:15+00') WHERE organization_id = 'g-1' AND scheduled_at > '2026-07-02 00:00+00'}), 'P1 P2', 'at a quarter past midnight in Hawaii the other');

done_testing;
