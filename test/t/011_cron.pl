# pg_cron wakes the night, as a role that may run it and nothing else.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('cron', seed => made_seed(providers => 2, children => 2), days => 3);
my @operator = (extra_params => [ '-U', 'night_operator' ]);

sub operator
{
	return $night->node->safe_psql('postgres', $_[0], @operator);
}

sub wait_for_run
{
	my ($n) = @_;

	$night->await(qq{SELECT count(*) = $n FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')});
	return $night->sql(q{SELECT status, username, command FROM cron.job_run_details ORDER BY runid DESC LIMIT 1});
}

$night->sql('CREATE ROLE night_operator LOGIN IN ROLE kinderconnect_operator');
my $end = $night->try_sql('SET ROLE kinderconnect_operator; SELECT kinderconnect.schedule()');
like($end->{stderr}, qr/role "kinderconnect_operator" cannot log in/, 'a role that cannot log in is refused');

$night->sql('GRANT USAGE ON SCHEMA cron TO night_operator');
operator('SELECT kinderconnect.schedule()');
is($night->sql('SELECT jobname, schedule, command, username, active FROM cron.job'),
	'kinderconnect|15 8 * * *|CALL kinderconnect.nightly()|night_operator|t', 'the default is past midnight in every state');
$night->admin('faults', { faults => [ { kind => 'status', status => 404, operation => 'submit', match => { providerId => 'P1' } } ] });
operator(q{SELECT kinderconnect.schedule('* * * * *')});
is($night->sql('SELECT schedule FROM cron.job'), '* * * * *', 'scheduled again it is the same job at another time');

is(wait_for_run(1), 'failed|night_operator|CALL kinderconnect.nightly()', 'a night in which a provider fails is a failed job');
like($night->sql('SELECT return_message FROM cron.job_run_details'), qr/run 1 had 1 failures.*provider "P1"/s, 'that says which');
is($night->sql(q{SELECT DISTINCT provider_id FROM kinderconnect.child_day WHERE state = 'accepted'}), 'P2', 'the others are done');
$night->admin('faults', { faults => [] });
is(wait_for_run(2), 'succeeded|night_operator|CALL kinderconnect.nightly()', 'the next is a job that succeeded');
is(operator('SELECT kinderconnect.unschedule()'), 't', 'unschedule()');
is($night->sql('SELECT count(*) FROM cron.job'), 0, 'ends it');
is(operator('SELECT kinderconnect.unschedule()'), 'f', 'once');
is($night->sql('SELECT status, started_by FROM kinderconnect.run ORDER BY run_id'), "failed|night_operator\nsucceeded|night_operator", 'the runs say who');
$night->agrees('all is there, once');

done_testing;
