# Who watches: the view, the line with an exit code, Prometheus' queries,
# NOTIFY, the log, and a night under way as another session sees it.
use strict;
use warnings;

use JSON::PP;
use KinderConnect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('health',
	seed => made_seed(groups => 2, providers => 2, children => 2),
	days => 3,
	init => { allows_streaming => 1 });
my $page = slurp_file('doc/health.md');
my ($line) = $page =~ /^```sh\n(.*?)\n```$/ms;
my $private = qr/Given|Family|pass-word|client-secret|2021-\d\d-\d\d/;

$night->sql('CREATE ROLE watch LOGIN IN ROLE kinderconnect_analyst');

# The documented line as a monitor runs it: (exit code, what it printed)
sub monitor
{
	my ($node) = @_;
	my $command = $line;
	my $connection = $node->connstr('postgres') . ' user=watch';
	my $out = '';

	$command =~ s/-d manage/-d "$connection"/ or die 'the line names no database';
	IPC::Run::run([ 'sh', '-c', $command ], '>', \$out, '2>', '/dev/null');
	return ($? >> 8, $out);
}

# What LISTENers hear of something that is done: decoded payloads
sub heard
{
	my ($what) = @_;
	my $gate = $night->start_sql("SELECT pg_advisory_lock(1);\nSELECT pg_sleep(600);");

	$night->await(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND granted});
	my $listener = $night->start_sql("LISTEN kinderconnect;\nSELECT pg_advisory_lock(1);");
	$night->await(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted});
	$what->();
	$night->sql(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND granted});
	$gate->finish;
	my $out = $listener->finish->{stdout};
	my @payloads = $out =~ /"kinderconnect" with payload "(.*)" received/g;

	unlike($out, $private, 'nothing private is told');
	ok(!(grep { length >= 8000 } @payloads), 'nor too much');
	return map { decode_json($_) } @payloads;
}

# A night that is well, and one that is not
my @told = heard(sub { is($night->night->{state}, '', 'a night') });
is(join(' ', map { "$_->{event} $_->{run_id}" } @told), 'start 1 end 1', 'a listener hears its begin and its end');
is("$told[0]{organizations} $told[1]{status} $told[1]{accepted} $told[1]{failed_providers}", '2 succeeded 24 0', 'and what it did');
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
$night->admin('faults', { faults => [ { kind => 'status', status => 404, operation => 'submit', match => { groupId => 'G-1', providerId => 'P1' } } ] });
@told = heard(sub { is($night->night->{state}, 'KC402', 'a night of which a part fails') });
is(join(' ', map { $_->{event} } @told), 'start failure', 'is a failure');
is("$told[1]{status} $told[1]{failed_providers}", 'failed 1', 'of one provider');
my $log = slurp_file($night->node->logfile);
my @lines = $log =~ /LOG:  (kinderconnect: .*)/g;
is(scalar @lines, 5, 'the log has a line for begin and end, and for what failed') or diag(join "\n", @lines);
is($lines[0], 'kinderconnect: run 1 begins, 2 organizations, started by hand', 'a begin');
like($lines[1], qr/^kinderconnect: run 1 succeeded after \d+ s: 24 accepted, 0 rejected, 0 taken back, 0 unanswered, \d+ held; 0 organizations and 0 providers failed$/, 'an end');
is($lines[3], 'kinderconnect: run 2: organization "g-1", agency "MO-1", provider "P1" failed: refused (KC204)', 'a provider');
unlike(join("\n", @lines), $private, 'nothing private is in them');
$night->admin('faults', { faults => [] });
is($night->night->{state}, '', 'a night that heals it');

# The line and its exit code
my ($code, $said) = monitor($night->node);
is($code, 1, 'no job of pg_cron is a warning') or diag $said;
like($said, qr/^WARNING - 0 critical, 1 warning, \d+ ok: cron_job \(no job\) \| critical=0 warning=1 ok=\d+$/, 'that is said');
$night->sql(q{SELECT kinderconnect.set_threshold('cron_job', NULL, NULL)});
($code, $said) = monitor($night->node);
is($code, 0, 'without it all is well');
like($said, qr/^OK - 0 critical, 0 warning, \d+ ok \|/, 'that too');
$night->sql(q{SELECT kinderconnect.stop('a test'); UPDATE kinderconnect.stop_switch SET stopped_at = now() - interval '2 days'});
($code, $said) = monitor($night->node);
is($code, 2, 'stopped for long is critical');
like($said, qr/^CRITICAL - 1 critical.*stopped \(by \w+: a test\)/, 'that too');
$night->sql('SELECT kinderconnect.resume()');
$night->sql('SELECT kinderconnect.disarm()');
is((monitor($night->node))[0], 2, 'not armed is critical');
is($night->sql(q{SELECT value FROM kinderconnect.health WHERE check_name = 'armed'}), 'database "postgres" is not armed', 'and says so');
$night->sql('SELECT kinderconnect.arm()');

# The job of pg_cron
$night->sql(q{SELECT kinderconnect.reset_threshold('cron_job');
	INSERT INTO cron.job (schedule, command, nodename, nodeport, database, username, active, jobname)
	VALUES ('0 0 1 1 *', 'CALL kinderconnect.tick()', 'localhost', 1, 'postgres', 'watch', true, 'kinderconnect')});
my $job = q{SET ROLE watch; SELECT status, value FROM kinderconnect.health WHERE check_name = 'cron_job'};
is($night->sql($job), 'ok|0 0 1 1 *', 'a job that has not run yet');
$night->sql(q{INSERT INTO cron.job_run_details (jobid, runid, status, return_message, end_time) SELECT jobid, 1, 'failed', 'a message', '2026-01-01' FROM cron.job});
like($night->sql($job), qr/^warning\|0 0 1 1 \*, last run failed at 2026-01-01 00:00:00 \+00:00$/, 'one that failed, and its message is not for everybody');
$night->sql(q{INSERT INTO cron.job_run_details (jobid, runid, status, end_time) SELECT jobid, 2, 'succeeded', '2026-01-01' FROM cron.job; UPDATE cron.job SET active = false});
like($night->sql($job), qr/^warning\|.*switched off/, 'one that is switched off');
$night->sql(q{UPDATE cron.job SET active = true;
	INSERT INTO cron.job (schedule, command, nodename, nodeport, database, username, active, jobname)
	VALUES ('0 0 1 1 *', 'CALL kinderconnect.tick()', 'localhost', 1, 'postgres', 'other', true, 'kinderconnect')});
like($night->sql($job), qr/^warning\|0 0 1 1 \*, jobs of roles "other" and "watch"/, 'one of two roles');
$night->sql(q{UPDATE cron.job SET active = false WHERE username = 'other'});
like($night->sql($job), qr/^ok\|/, 'not if only one of them is active');
$night->sql('DELETE FROM cron.job');

# Prometheus' queries, as its role
my $queries = slurp_file('doc/monitoring/postgres_exporter.yaml');
my %metrics = map { /^(\w+):$/m; my $name = $1; ($name => $_) } split /^(?=kinderconnect_)/m, $queries =~ s/\A.*?(?=^kinderconnect_)//msr;
is(join(' ', sort keys %metrics), 'kinderconnect_health kinderconnect_last_run kinderconnect_progress', 'three queries');
foreach my $name (sort keys %metrics)
{
	my ($query) = $metrics{$name} =~ /^  query: "(.*)"$/m;
	my @columns = $metrics{$name} =~ /^    - (\w+):$/mg;
	my $answer = $night->sql("SET ROLE watch; SELECT coalesce(json_agg(q), '[]') FROM ($query) q");

	unlike($answer, $private, "$name tells nothing private");
	next if $name eq 'kinderconnect_progress';
	my $rows = decode_json($answer);
	cmp_ok(scalar @$rows, '>', 1, "$name has rows");
	is(join(' ', sort keys %{ $rows->[0] }), join(' ', sort @columns), '... with the columns it describes');
}

# A night under way, as another session sees it
sub progress
{
	return 'SELECT organization_id, step, done, total, days_answered, days_remaining, remains IS NOT NULL FROM kinderconnect.progress ORDER BY organization_id';
}
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
my ($months, $last) = split /\|/, $night->sql(q{SELECT count(*), to_char(min(m), 'YYYY-MM') FROM kinderconnect._months('g-1', NULL, NULL) m});
is($night->sql(progress()), '', 'no run, no progress');
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'children', match => { groupId => 'G-1', providerId => 'P1', month => $last }, times => 1 } ] });
my $running = $night->start_sql('CALL kinderconnect.nightly()');
$night->wait_simulator(operation => 'children', hanging => 1);
$night->await(progress(), join "\n", join('|', 'g-1', 'children', 2 * $months - 1, 2 * $months, 0, 0, 'f'), join('|', 'g-2', 'children', 2 * $months, 2 * $months, 0, 0, 'f'));
pass('lists taken, of those to take');
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', match => { groupId => 'G-1', providerId => 'P1' }, times => 1 } ] });
$night->admin('release', {});
$night->wait_simulator(operation => 'submit', hanging => 1);
$night->await(progress(), "g-1|transfer|6|12|6|6|t\ng-2|transfer|12|12|12|0|t");
pass('child-days answered, and left');
is($night->sql('SET ROLE watch; ' . progress()), "g-1|transfer|6|12|6|6|t\ng-2|transfer|12|12|12|0|t", 'an analyst sees it');
is($night->sql(q{SELECT number FROM kinderconnect.health WHERE check_name = 'interrupted_runs'}), '0.00', 'a run under way is none that died');

# It dies
my $pid = $running->pid;
$night->sql("SELECT pg_terminate_backend($pid)");
$running->finish;
$night->admin('release', {});
$night->await("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
is($night->sql(q{SELECT status, number FROM kinderconnect.health WHERE check_name = 'interrupted_runs'}), 'warning|1.00', 'one that died is seen before the next run finds it');
@told = heard(sub { is($night->night->{state}, '', 'which heals it') });
is(join(' ', map { "$_->{event} " . ($_->{status} // '') } @told), 'failure interrupted start  end succeeded', 'and tells of it');
is($night->sql(progress()), '', 'no run, no progress');
$night->agrees('all is there, once');

# On a standby: all of it answers, and a tick does nothing
$night->node->backup('health');
my $standby = PostgreSQL::Test::Cluster->new('health_standby');
$standby->init_from_backup($night->node, 'health', has_streaming => 1);
$standby->start;
$night->node->wait_for_catchup($standby);
($code, $said) = monitor($standby);
is($code, 1, 'the line on a standby');
is($standby->safe_psql('postgres', q{SET ROLE kinderconnect_analyst; SELECT status, value FROM kinderconnect.health WHERE check_name IN ('armed', 'last_tick')}), "ok|a standby\nok|a standby", 'neither ticks nor arms');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM kinderconnect.due; SELECT count(*) FROM kinderconnect.progress'), "4\n0", 'due and progress');
is($standby->psql('postgres', 'SET ROLE kinderconnect_operator; CALL kinderconnect.tick()'), 0, 'a tick does nothing');
$standby->stop;

# No check reads a table of days from end to end
$night->sql(q{
	INSERT INTO kinderconnect.child_day (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, state, reason, kind, content, basis,
		accepted_kind, accepted_content, accepted_record_id, accepted_at, window_ends)
	SELECT 'g-1', 'MO-1', 'P' || n % 50, n / 40, date '2025-01-01' + n % 40, true, CASE WHEN n % 20 = 0 THEN 'held' ELSE 'accepted' END,
		CASE WHEN n % 20 = 0 THEN 'nothing_recorded' END, CASE WHEN n % 20 > 0 THEN 'closure' END, CASE WHEN n % 20 > 0 THEN 'closure' END, '',
		CASE WHEN n % 20 > 0 THEN 'closure' END, CASE WHEN n % 20 > 0 THEN 'closure' END, CASE WHEN n % 20 > 0 THEN n::text END, CASE WHEN n % 20 > 0 THEN now() END, now()
	FROM generate_series(1, 40000) n;
	INSERT INTO kinderconnect.ledger (organization_id, record_id, agency_id, provider_id, kinderconnect_child_id, service_date, child_id, kind, content, state, run_id)
	SELECT 'g-1', n, 'MO-1', 'P1', n / 40, date '2025-01-01' + n % 40, n / 40, 'closure', 'closure', 'accepted', 1 FROM generate_series(1, 20000) n;
	ANALYZE});
my $plan = $night->sql('EXPLAIN SELECT * FROM kinderconnect.health');
unlike($plan, qr/Seq Scan on (child_day|ledger|batch|batch_record)\b/, 'health reads indexes') or diag $plan;
like($plan, qr/child_day_unsettled/, 'its own, of what is not settled') or diag $plan;
like($plan, qr/child_day_at_work/, 'and that of what is under way') or diag $plan;
$plan = $night->sql('EXPLAIN SELECT * FROM kinderconnect.progress');
unlike($plan, qr/Seq Scan on (child_day|ledger)\b/, 'as does progress') or diag $plan;

# No answer
$night->node->stop;
($code, $said) = monitor($night->node);
is("$code $said", "3 UNKNOWN - no answer\n", 'a server that is gone');

done_testing;
