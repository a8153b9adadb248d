# Two nights at once never meet in an organization, and a lock never outlives
# its night.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('two_nights', seed => made_seed(groups => 2, children => 2), days => 3);
my $locks = q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'};

$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', match => { groupId => 'G-1' }, times => 1 } ] });
my $first = $night->start_sql(q{CALL kinderconnect.nightly('g-1')});
$night->wait_simulator(operation => 'submit', hanging => 1);
my $pid = $first->pid;
my $end = $night->night(q{'g-1'});
is($end->{state}, 'KC401', 'a second night of the same organization refuses');
like($end->{stderr}, qr/organization "g-1": another run is busy with this organization: run 1 of \w+, process $pid, since 20.* UTC/, 'and says which one is busy');
is($night->sql(q{SELECT organization_id, locked, sqlstate FROM kinderconnect.run_organization WHERE run_id = 2}), 'g-1|f|KC401', 'as does its row');
is($night->night(q{'g-2'})->{state}, '', 'one of another organization does not mind');
is($night->night->{state}, 'KC401', 'one of all does the others');
is($night->sql('SELECT status FROM kinderconnect.run WHERE run_id = 1'), 'running', 'the first still runs');
my $due = q{UPDATE kinderconnect.provider_clock SET attempted_at = NULL, ended_at = NULL, covered_at = NULL; SELECT setval('kinderconnect.next_look', 0)};
$night->sql($due);
is($night->sql('SELECT DISTINCT organization_id FROM kinderconnect.due WHERE is_due ORDER BY 1'), "g-1\ng-2", 'where both are due');
is($night->sql('SELECT DISTINCT organization_id FROM kinderconnect._due_now()'), 'g-2', 'a tick would take the other alone');
$night->admin('release', {});
is($first->finish->{status}, 0, 'and ends');
$night->agrees('all is there, once');
is($night->sql($locks), 0, 'no lock is left');

# of all organizations, twice
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', times => 2 } ] });
$first = $night->start_sql('CALL kinderconnect.nightly()');
$night->wait_simulator(operation => 'submit', hanging => 2);
$end = $night->night;
is($end->{state}, 'KC401', 'a second night of all organizations refuses');
like($end->{stderr}, qr/run \d+ had 2 failures/, 'for each');
$night->admin('release', {});
is($first->finish->{status}, 0, 'the first ends');
$night->agrees('all is there, once');

# after an error
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
$night->admin('faults', { faults => [ { kind => 'status', status => 404, operation => 'submit', match => { groupId => 'G-1' } } ] });
is($night->night->{state}, 'KC402', 'a night that fails in part');
is($night->sql($locks), 0, 'leaves no lock');

# after a cancel, in a session that lives on
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', times => 1 } ] });
my $living = $night->start_sql(q{
	\set ON_ERROR_STOP 0
	CALL kinderconnect.nightly('g-1');
	SELECT pg_sleep(600);
});
$night->wait_simulator(operation => 'submit', hanging => 1);
$pid = $living->pid;
$night->sql("SELECT pg_cancel_backend($pid)");
$night->await("SELECT query LIKE '%pg_sleep%' FROM pg_stat_activity WHERE pid = $pid");
is($night->sql($locks), 0, 'a session whose night was cancelled holds no lock');
$night->sql($due);
is($night->try_sql("SET ROLE kinderconnect_operator;\nCALL kinderconnect.tick();")->{status}, 0, 'a tick');
is($night->sql(q{SELECT o.organization_id, r.status FROM kinderconnect.run r JOIN kinderconnect.run_organization o USING (run_id)
	WHERE r.run_id = (SELECT max(run_id) FROM kinderconnect.run) AND r.scope ? 'due' ORDER BY 1}), "g-1|succeeded\ng-2|succeeded", 'does not wait for that session to end');
is($night->night->{state}, '', 'the next night is free');
$night->agrees('and right');
is($night->sql("SELECT count(*) FROM kinderconnect.run WHERE status = 'running'"), 0, 'nothing claims to run');
$night->sql("SELECT pg_cancel_backend($pid)");
$living->finish;

# a session that runs one night after the other
is($night->night('', 'CALL kinderconnect.nightly();')->{state}, '', 'two nights in one session');

done_testing;
