# Sessions side by side share the organizations: each is of one of them, none
# waits for another, and together they do what one would.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('shards', seed => made_seed(groups => 6, providers => 2, children => 2), days => 3, conf => "log_lock_waits = on\ndeadlock_timeout = '10ms'");
my $of = q{SELECT string_agg(organization_id, ' ' ORDER BY organization_id) FROM kinderconnect.organization WHERE kinderconnect._in_shard(organization_id, %d, 2)};
my @mine = map { $night->sql(sprintf $of, $_) } 0, 1;

is($night->sql(q{SELECT count(*) FROM generate_series(1, 1000) n WHERE (SELECT count(*) FROM generate_series(0, 6) s WHERE kinderconnect._in_shard('org ' || n, s, 7)) <> 1}),
	0, 'every name is of one shard, and of one only');
ok($mine[0] ne '' && $mine[1] ne '', 'both have some of these') or diag "@mine";

# what cannot be
foreach my $wrong (
	[ 'shard => 0', 'shard and shards must be given together' ], [ 'shards => 2', 'shard and shards must be given together' ],
	[ 'shard => 2, shards => 2', 'shard 2 is not between 0 and 1' ], [ 'shard => -1, shards => 2', 'shard -1 is not between 0 and 1' ],
	[ 'shard => 0, shards => 0', 'shards 0 is not between 1 and 64' ], [ q{'g-1', shard => 0, shards => 2}, 'shard cannot be given with organization_id' ])
{
	my $end = $night->night($wrong->[0]);

	is($end->{state}, '22023', "refused: $wrong->[0]");
	like($end->{stderr}, qr/$wrong->[1]/, 'and why');
}
is($night->try_sql('SET ROLE kinderconnect_operator; CALL kinderconnect.tick(3, 2)')->{status} == 0, '', 'nor for a tick');
is($night->sql('SELECT count(*) FROM kinderconnect.run'), 0, 'nothing was begun');

# both at once, each in the midst of a call while the other runs
$night->admin('faults', { faults => [ map { { kind => 'hang', operation => 'submit', times => 1, match => { groupId => uc((split / /, $_)[0]) } } } @mine ] });
my @job = map { $night->start_sql("SET ROLE kinderconnect_operator;\nCALL kinderconnect.nightly(shard => $_, shards => 2);") } 0, 1;
$night->wait_simulator(operation => 'submit', hanging => 2);
$night->admin('release', {});
is($_->finish->{status}, 0, 'a session ends well') foreach @job;
is($night->sql(q{SELECT scope ->> 'shard', string_agg(o.organization_id, ' ' ORDER BY o.organization_id) FROM kinderconnect.run r JOIN kinderconnect.run_organization o USING (run_id)
	GROUP BY 1 ORDER BY 1}), "0|$mine[0]\n1|$mine[1]", 'each did its own');
$night->agrees('all is there, once');

# once more, with all of it known
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
my $waits = () = PostgreSQL::Test::Utils::slurp_file($night->node->logfile) =~ /still waiting for/g;
@job = map { $night->start_sql("SET ROLE kinderconnect_operator;\nCALL kinderconnect.nightly(shard => $_, shards => 2);") } 0, 1;
is($_->finish->{status}, 0, 'an ordinary night') foreach @job;
is(scalar(() = PostgreSQL::Test::Utils::slurp_file($night->node->logfile) =~ /still waiting for/g), $waits, 'neither waited for a lock of the other');
$night->agrees('all is there');

# whatever the isolation that transactions begin with: each learns of the agency
# while the other does
$night->sql(q{CREATE TABLE manage.isolation (level text);
	CREATE FUNCTION manage.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		INSERT INTO manage.isolation VALUES (current_setting('transaction_isolation')); RETURN NULL; END $$});
$night->sql("CREATE TRIGGER note AFTER INSERT OR UPDATE ON kinderconnect.$_ FOR EACH STATEMENT EXECUTE FUNCTION manage.note()")
	foreach qw(run run_organization list_state batch ledger child_day);
foreach my $level ('repeatable read', 'serializable')
{
	$night->sql(qq{UPDATE manage.visit SET departed = departed + interval '1 minute'; UPDATE kinderconnect.agency SET name = NULL;
		ALTER DATABASE postgres SET default_transaction_isolation = '$level'});
	$night->admin('faults', { faults => [ map { { kind => 'hang', operation => 'agencies', times => 1, match => { groupId => uc((split / /, $_)[0]) } } } @mine ] });
	@job = map { $night->start_sql("SET ROLE kinderconnect_operator;\nCALL kinderconnect.nightly(shard => $_, shards => 2);\nSHOW transaction_isolation;") } 0, 1;
	$night->wait_simulator(operation => 'agencies', hanging => 2);
	$night->admin('release', {});
	foreach my $end (map { $_->finish } @job)
	{
		is($end->{status}, 0, "$level: a session ends well") or diag $end->{stderr};
		like($end->{stdout}, qr/^$level$/m, "$level: and is as it was");
	}
	$night->agrees("$level: all is there");
}
is($night->sql('SELECT DISTINCT level FROM manage.isolation'), 'read committed', 'no step of a night has another');
$night->sql('ALTER DATABASE postgres RESET default_transaction_isolation');
$night->sql("DROP TRIGGER note ON kinderconnect.$_") foreach qw(run run_organization list_state batch ledger child_day);

# by the clock
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute';
	UPDATE kinderconnect.provider_clock SET attempted_at = NULL, ended_at = NULL, covered_at = NULL; SELECT setval('kinderconnect.next_look', 0)});
is($night->try_sql('SET ROLE kinderconnect_operator; CALL kinderconnect.tick(1, 2)')->{status}, 0, 'a tick of one');
is($night->sql(q{SELECT string_agg(DISTINCT organization_id, ' ' ORDER BY organization_id) FROM kinderconnect.due WHERE is_due}), $mine[0], 'leaves those of the other due');
is($night->try_sql('SET ROLE kinderconnect_operator; CALL kinderconnect.tick(1, 2)')->{status}, 0, 'another tick of it');
is($night->sql('SELECT count(*) FROM kinderconnect.run'), 9, 'has nothing to do');
is($night->try_sql('SET ROLE kinderconnect_operator; CALL kinderconnect.tick(0, 2)')->{status}, 0, 'and of the other');
$night->agrees('all is there');

# the schedule
$night->sql('CREATE ROLE night LOGIN IN ROLE kinderconnect_operator; GRANT USAGE ON SCHEMA cron TO night');
my $jobs = q{SELECT string_agg(jobname || ' ' || command, ', ' ORDER BY jobname) FROM cron.job};
sub as_night { return $night->node->psql('postgres', $_[0], extra_params => [ '-U', 'night' ]); }
as_night('SELECT kinderconnect.schedule(shards => 3)');
is($night->sql($jobs), 'kinderconnect CALL kinderconnect.tick(0, 3), kinderconnect-1 CALL kinderconnect.tick(1, 3), kinderconnect-2 CALL kinderconnect.tick(2, 3)', 'a job for each shard');
as_night('SELECT kinderconnect.schedule(shards => 2)');
is($night->sql($jobs), 'kinderconnect CALL kinderconnect.tick(0, 2), kinderconnect-1 CALL kinderconnect.tick(1, 2)', 'fewer, and none is left that would do the same');
as_night('SELECT kinderconnect.schedule()');
is($night->sql($jobs), 'kinderconnect CALL kinderconnect.tick()', 'one');
as_night('SELECT kinderconnect.schedule(shards => 2)');
my $health = q{SELECT status FROM kinderconnect.health WHERE check_name = 'cron_job'};
is($night->sql($health), 'ok', 'both jobs are well');
$night->sql(q{SELECT cron.alter_job(jobid, active => false) FROM cron.job WHERE jobname = 'kinderconnect-1'});
is($night->sql($health), 'warning', 'one that is switched off is missed');
as_night('SELECT kinderconnect.unschedule()');
is($night->sql('SELECT count(*) FROM cron.job'), 0, 'unschedule() ends them all');

done_testing;
