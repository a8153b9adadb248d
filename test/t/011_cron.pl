# pg_cron wakes the night, in both of its modes, as a role that may run it and
# nothing else.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('cron', seed => made_seed(providers => 2, children => 2), days => 3);
my @operator = (extra_params => [ '-U', 'night_operator' ]);

# What an operator gets, or is told: (stdout, stderr)
sub operator
{
	my ($status, $stdout, $stderr) = $night->node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]", @operator);

	return wantarray ? ($stdout, $stderr) : $stdout;
}

# Waits for the end of pg_cron's n-th job
sub wait_for_job
{
	my ($n) = @_;

	$night->await(qq{SELECT count(*) = $n FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')});
	return $night->sql(q{SELECT status, username, command FROM cron.job_run_details ORDER BY runid DESC LIMIT 1});
}

sub uncover { return $night->sql(q{UPDATE kinderconnect.provider_clock SET attempted_at = NULL, ended_at = NULL, covered_at = NULL; SELECT setval('kinderconnect.next_look', 0)}); }

sub reconfigure
{
	my ($lines) = @_;

	$night->node->append_conf('postgresql.conf', $lines);
	$night->node->restart;
	return;
}

# What stands in the way is said, and how to move it
$night->sql('CREATE ROLE night_operator LOGIN IN ROLE kinderconnect_operator');
my $end = $night->try_sql('SET ROLE kinderconnect_operator; SELECT kinderconnect.schedule()');
like($end->{stderr}, qr/role "kinderconnect_operator" cannot log in/, 'a role that cannot log in is refused');
$end = $night->try_sql('SELECT kinderconnect.schedule()');
like($end->{stderr}, qr/superuser.*HINT: +Call schedule\(\) as a login role/s, 'and a superuser');
is((operator('SELECT kinderconnect.schedule(NULL)'))[1] =~ /ERROR:  (\w+):/ ? $1 : '', '22004', 'and a null schedule');
like((operator('SELECT kinderconnect.schedule()'))[1], qr/role "night_operator" may not use pg_cron.*GRANT USAGE ON SCHEMA cron TO night_operator/s, 'and who may not use pg_cron');
$night->sql('GRANT USAGE ON SCHEMA cron TO night_operator; REVOKE CONNECT ON DATABASE postgres FROM PUBLIC');
$end = $night->try_sql('SET ROLE night_operator; SELECT kinderconnect.schedule()');
like($end->{stderr}, qr/role "night_operator" cannot connect to database "postgres".*GRANT CONNECT ON DATABASE postgres TO night_operator/s, 'and who may not connect');
$night->sql('GRANT CONNECT ON DATABASE postgres TO PUBLIC');
$night->sql('CREATE DATABASE elsewhere');
my $elsewhere = $night->node->psql('elsewhere', 'CREATE EXTENSION kinderconnect CASCADE; GRANT USAGE ON SCHEMA kinderconnect TO night_operator; SET ROLE night_operator; SELECT kinderconnect.schedule()',
	stderr => \my $stderr);
like($stderr, qr/pg_cron is not installed in database "elsewhere"/, 'and another database than pg_cron\'s');
my ($command) = $stderr =~ /In database "postgres" run as a superuser: (SELECT cron\.schedule_in_database.*\))\./;
$night->sql($command // 'SELECT no_command');
is($night->sql('SELECT jobname, schedule, command, database, username FROM cron.job'), 'kinderconnect|*/15 * * * *|CALL kinderconnect.tick()|elsewhere|night_operator',
	'with the statement that works there') or diag $stderr;
$night->sql('SELECT cron.unschedule(jobid) FROM cron.job; DROP DATABASE elsewhere (FORCE)');

# Over connections
my ($job, $notice) = operator('SELECT kinderconnect.schedule()');
like($notice, qr/pg_cron will connect to "\S+" as role "night_operator".*pg_hba\.conf/s, 'how it will connect is said');
is($night->sql('SELECT jobname, schedule, command, username, active FROM cron.job'),
	'kinderconnect|*/15 * * * *|CALL kinderconnect.tick()|night_operator|t', 'by default it ticks each quarter of an hour');
$night->admin('faults', { faults => [ { kind => 'status', status => 404, operation => 'submit', match => { providerId => 'P1' } } ] });
is((operator(q{SELECT kinderconnect.schedule('* * * * *')}))[0], $job, 'scheduled again it is the same job');
is($night->sql('SELECT schedule FROM cron.job'), '* * * * *', 'at other times');
is(wait_for_job(1), 'failed|night_operator|CALL kinderconnect.tick()', 'a night in which a provider fails is a failed job');
like($night->sql('SELECT return_message FROM cron.job_run_details'), qr/run 1 had 1 failure\b.*provider "P1"/s, 'that says which');
is($night->sql(q{SELECT DISTINCT provider_id FROM kinderconnect.child_day WHERE state = 'accepted'}), 'P2', 'the others are done');

# In background workers
$night->admin('faults', { faults => [] });
uncover();
reconfigure("cron.use_background_workers = on\ncron.max_running_jobs = 7");
# on no day
like((operator(q{SELECT kinderconnect.schedule('0 0 31 2 *', 8)}))[1], qr/WARNING:.*pg_cron runs at most 7 jobs at once, and has 8.*Raise cron\.max_running_jobs/s, 'more jobs than can run at once are told of');
unlike((operator(q{SELECT kinderconnect.schedule('0 0 31 2 *', 7)}))[1], qr/pg_cron runs at most/, 'as many are not');
like((operator(q{SELECT kinderconnect.schedule('* * * * *')}))[1], qr/WARNING:.*max_worker_processes is 8, too few for 7 jobs.*Raise it to at least 9/s, 'too few workers are told of');
is(wait_for_job(2), 'succeeded|night_operator|CALL kinderconnect.tick()', 'the next is a job that succeeded');
is(operator('SELECT kinderconnect.unschedule()'), 't', 'unschedule()');
is($night->sql('SELECT count(*) FROM cron.job'), 0, 'ends it');
is(operator('SELECT kinderconnect.unschedule()'), 'f', 'once');
is($night->sql('SELECT status, started_by FROM kinderconnect.run ORDER BY run_id'), "failed|night_operator\nsucceeded|night_operator", 'the runs say who');
$night->agrees('all is there, once');

# A server that does not load pg_cron
reconfigure("shared_preload_libraries = ''");
like((operator('SELECT kinderconnect.schedule()'))[1], qr/pg_cron is not loaded.*shared_preload_libraries/s, 'a pg_cron that is not loaded is told of');
uncover();
is($night->try_sql('SET ROLE kinderconnect_operator; CALL kinderconnect.tick()')->{status}, 0, 'any timer can tick');
is($night->sql('SELECT count(*) FROM kinderconnect.run'), 3, 'and runs the night');

done_testing;
