# An organization whose group becomes another one, as after a trial: what the
# first accepted the second may not have, and whoever changes it says which.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('another', seed => made_seed(groups => 2, children => 3), organizations => { alpha => 'G-1' }, days => 4, conf => 'fsync = off');
my $another = q{SELECT kinderconnect.enable_integration('alpha', 'G-2', group_password => 'group_another'%s)};
my $days = q{SELECT string_agg(concat_ws(' ', state, reason, n), ', ' ORDER BY state, reason) FROM (SELECT state, reason, count(*) AS n FROM kinderconnect.child_day GROUP BY 1, 2) d};

sub stored { my ($group) = @_; return join ' ', sort map { "$_->{childId} $_->{serviceDate}" } grep { $_->{groupId} eq $group } @{ $night->admin('store')->{records} }; }

$night->write_secrets('group_another' => $night->seed->{groups}[1]{groupPassword});
# a void and an unknown answer are of the first as well
is($night->night->{state}, '', 'a night of the first group');
$night->sql(q{DELETE FROM manage.visit WHERE visit = (SELECT min(visit) FROM manage.visit WHERE student = 'S1')});
is($night->night->{state}, '', 'another night of it');
$night->admin('faults', { faults => [ { kind => 'drop_after', operation => 'submit' }, { kind => 'status', status => 500, operation => 'readback' } ] });
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE student = 'S2'});
$night->night;
$night->admin('faults', { faults => [] });
my $was = $night->sql($days);
like($was, qr/\baccepted \d+,.*\bunknown \d+\b.*\bvoided 1$/, 'days of all kinds');
my $there = stored('G-1');

my $end = $night->try_sql(sprintf($another, ''));
like($end->{stderr}, qr/ERROR:  group "G-1" of endpoint "service" has accepted \d+ days of organization "alpha"/, 'to name another one is refused');
like($end->{stderr}, qr/HINT:  Pass holds_accepted => true .*; holds_accepted => false /, 'and it is said how it is done');
is($night->sql('SELECT group_id FROM kinderconnect.organization'), 'G-1', 'nothing has changed');
is($night->try_sql(q{SELECT kinderconnect.enable_integration('alpha', 'G-1')})->{stderr}, '', 'the same may be named again');

is($night->try_sql("BEGIN; SET LOCAL ROLE kinderconnect_admin; " . sprintf($another, ', holds_accepted => true') . '; COMMIT')->{stderr}, '', 'one that holds them');
is($night->sql($days), $was, 'leaves all as it was');
$night->sql(q{UPDATE kinderconnect.organization SET group_id = 'G-1', group_password = 'group_alpha'});

# what a run sends would be accepted by the first, and never sent to the second
my $anew = 'BEGIN; SET LOCAL ROLE kinderconnect_admin; ' . sprintf($another, ', holds_accepted => false') . '; COMMIT';
my $readback = { kind => 'status', status => 500, operation => 'readback' };
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE student = 'S3'});
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'children', times => 1 }, { kind => 'hang', operation => 'submit', times => 1 }, $readback ] });
my $job = $night->start_sql('CALL kinderconnect.nightly()');
foreach my $operation ('children', 'submit')
{
	$night->wait_simulator(operation => $operation, hanging => 1);
	like($night->try_sql($anew)->{stderr}, qr/ERROR:  a run is busy with organization "alpha"\nHINT:  It sends to the group and endpoint that it began with/, "not while a run waits at $operation");
	is($night->sql('SELECT group_id FROM kinderconnect.organization'), 'G-1', 'nothing has changed');
	$night->admin('release', {}) if $operation eq 'children';
}
is($night->try_sql(q{SELECT kinderconnect.enable_integration('alpha', 'G-1')})->{stderr}, '', 'the same may be named meanwhile');
my $pid = $job->pid;
$night->sql("SELECT pg_terminate_backend($pid)");
$job->finish;
$night->await(q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'});
like($night->try_sql($anew)->{stderr}, qr/ERROR:  days of organization "alpha" are being sent\nHINT:  CALL kinderconnect\.nightly\('alpha'\) ends/, 'nor while one that died has left days so');
is($night->sql('SELECT group_id FROM kinderconnect.organization'), 'G-1', 'nothing has changed');
$night->admin('release', {});
$night->admin('faults', { faults => [ $readback ] });
$night->night;
$night->admin('faults', { faults => [] });
is($night->sql(q{SELECT string_agg(state, ' ' ORDER BY state) FROM (SELECT DISTINCT state FROM kinderconnect.ledger) l WHERE state IN ('sending', 'unknown')}), 'unknown', 'an answer is lost still');
$there = stored('G-1');

is($night->try_sql($anew)->{stderr}, '', 'one that holds nothing');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE num_nonnulls(accepted_content, record_id) > 0}), 0, 'holds nothing');
is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger WHERE state = 'unknown'}), 0, 'and nothing of it is under way');
is($night->night->{state}, '', 'a night of the second group');
is(stored('G-2'), $night->sql(q{SELECT string_agg(child || ' ' || to_char(day, 'YYYY-MM-DD'), ' ' ORDER BY child COLLATE "C", day) FROM manage.truth}), 'sends all that there is');
is(stored('G-1'), $there, 'and nothing more to the first');

# nothing is accepted yet, and all is on its way
$night = ready_night('early', seed => made_seed(groups => 2, children => 3), organizations => { alpha => 'G-1' }, days => 4, conf => 'fsync = off');
$night->write_secrets('group_another' => $night->seed->{groups}[1]{groupPassword});
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', times => 1 } ] });
$job = $night->start_sql('CALL kinderconnect.nightly()');
$night->wait_simulator(operation => 'submit', hanging => 1);
like($night->try_sql(sprintf($another, ''))->{stderr}, qr/ERROR:  a run is busy with organization "alpha"/, 'another group is not named while the first night runs');
$night->admin('release', {});
is($job->finish->{stderr}, '', 'which ends well');
like($night->try_sql(sprintf($another, ''))->{stderr}, qr/ERROR:  group "G-1" of endpoint "service" has accepted 12 days/, 'and has to be told of what it sent');

done_testing;
