# Wherever the night dies, the next one heals it: nothing lost, nothing
# doubled, nothing under a wrong name. First at every commit of a night that
# has some of everything, before it and after it; which commits there are is
# found by running it. Then what hangs, and arrives late or never.
use strict;
use warnings;

use KinderConnect;
use Test::More;

# alpha reports by kinderbridge and beta by vendor-interface; each has P1 with
# the children 1001 and 1002, and P2 with 2001 and 2002, on two days
my $seed = made_seed(groups => 2, providers => 2, children => 2);
$_->{agencies}[0]{rules} = { maxSessions => 1, batchFails => ['TOO_MANY_SESSIONS'] } foreach @{ $seed->{groups} };
my $night = ready_night('crash', seed => $seed, organizations => { alpha => 'G-1', beta => 'G-2' }, days => 2,
	conf => join "\n", map { "kinderconnect.$_" } 'horizon_days = 4', 'max_in_flight = 1', 'max_attempts = 2', 'request_timeout = 20s');
my $node = $night->node;
my ($url, $minute, $round) = ($night->url, 0, 0);

$night->build_death;
$night->sql(qq{
	INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('older', 'vendor-interface', '$url/vendor-interface');
	INSERT INTO kinderconnect.agency (agency_id, name, state, time_zone) VALUES ('MO-1', 'Office', 'MO', 'America/Chicago');
	SELECT kinderconnect.enable_integration('beta', 'G-2', endpoint => 'older');
	SELECT kinderconnect.add_provider('beta', 'MO-1', provider, site) FROM manage.site WHERE organization = 'beta';

	-- two sessions on the first day of 1001: it fails every batch that it is in,
	-- and is never taken
	CREATE TABLE manage.culprit AS SELECT visit, organization, site, student, arrived FROM manage.visit v
	WHERE student = 'S1' AND arrived = (SELECT min(arrived) FROM manage.visit WHERE student = 'S1');
	INSERT INTO manage.visit (organization, site, student, arrived, departed)
	SELECT organization, site, student, arrived - interval '2 hours', arrived - interval '1 hour' FROM manage.culprit;
	CREATE OR REPLACE VIEW manage.truth AS
	SELECT s.organization, l.agency, l.provider, s.child, (v.arrived AT TIME ZONE l.zone)::date AS day,
		min(to_char(v.arrived AT TIME ZONE l.zone, 'HH24:MI-') || to_char(v.departed AT TIME ZONE l.zone, 'HH24:MI')) AS content
	FROM manage.visit v JOIN manage.site l USING (organization, site) JOIN manage.student s USING (organization, student)
	GROUP BY 1, 2, 3, 4, 5 HAVING count(*) = 1;

	-- the children go home at so many minutes past four
	CREATE FUNCTION manage.home(minute integer, students text[], n integer) RETURNS void LANGUAGE sql AS \$\$
		UPDATE manage.visit v SET departed = date_trunc('day', v.arrived AT TIME ZONE 'America/Chicago') AT TIME ZONE 'America/Chicago'
			+ interval '16 hours' + home.minute * interval '1 minute'
		FROM (SELECT v.visit, row_number() OVER (PARTITION BY v.organization, v.student ORDER BY v.arrived DESC) AS n
			FROM manage.visit v WHERE v.student = ANY (home.students)) d
		WHERE v.visit = d.visit AND d.n <= home.n;
	\$\$;
	-- of the two days of 2002 at alpha one is there, the other deleted, and the
	-- other way round the next time
	CREATE TABLE manage.deleted (LIKE manage.visit);
	CREATE FUNCTION manage.swap() RETURNS void LANGUAGE sql AS \$\$
		WITH back AS (DELETE FROM manage.deleted RETURNING *),
			gone AS (DELETE FROM manage.visit WHERE organization = 'alpha' AND student = 'S4' RETURNING *),
			kept AS (INSERT INTO manage.deleted TABLE gone)
		INSERT INTO manage.visit OVERRIDING SYSTEM VALUE TABLE back;
	\$\$;
	WITH gone AS (DELETE FROM manage.visit WHERE visit = (SELECT min(visit) FROM manage.visit WHERE organization = 'alpha' AND student = 'S4') RETURNING *)
	INSERT INTO manage.deleted TABLE gone;
});
is($night->night->{state}, '', 'a night');
$night->agrees('all is there');
is($night->sql(q{SELECT DISTINCT state FROM kinderconnect.child_day d JOIN manage.culprit c ON d.organization_id = c.organization AND d.kinderconnect_child_id = '1001'
		AND d.service_date = (c.arrived AT TIME ZONE 'America/Chicago')::date}), 'rejected', 'but for the day that fails its batch');

sub home
{
	my ($n, @students) = @_;

	$minute = ($minute + 1) % 240;
	return "SELECT manage.home($minute, '{" . join(',', @students) . "}', $n);";
}

sub faults
{
	$night->admin('faults', { faults => [@_] });
	return;
}

# Before a night that is to have some of everything: the answer for a day of
# 2001 is lost, of alpha one time and of beta the next, when it had arrived and
# when it had not, and then Manage says something else of it. The other days of
# P1 and P2 are corrected; one of P1 fails its batch; one of alpha's P2 is
# deleted and one is new; and the batch of P2 is too large.
sub prepare
{
	my @first = @_;

	my $lost = $round % 2 ? 'beta' : 'alpha';

	$round++;
	$night->sql(home(1, 'S3'));
	faults({ kind => $round % 4 < 2 ? 'drop_after' : 'drop_before', operation => 'submit' }, { kind => 'status', status => 500, operation => 'readback' });
	$night->night("'$lost', 'MO-1', 'P2'");
	$night->sql(join "\n", qq{DO \$\$ BEGIN ASSERT '$lost' = (SELECT organization_id FROM kinderconnect.ledger WHERE state = 'unknown'); END \$\$;},
		home(2, 'S1', 'S2', 'S4'), home(1, 'S3'), 'SELECT manage.swap();');
	faults(@first, map { { kind => 'status', status => 413, operation => 'submit', times => 1, match => { groupId => $_, childId => '2002' } } } 'G-1', 'G-2');
	return;
}

# What happened, then what Manage says by then, one more night, and the
# comparison
sub heals
{
	my ($name) = @_;

	faults();
	$night->sql(home(2, 'S2', 'S3')) if $round % 4 == 1;
	$night->sql('SELECT manage.swap()') if $round % 4 == 3;
	my $end = $night->night;
	is($end->{state}, '', "$name: the next night") or diag $end->{stderr};
	return $night->agrees("$name: healed");
}

# How many there are, and that all of it is among them
prepare();
my $alive = $night->mortal_night(0, 'before');
is($alive->{state}, '', 'a night that has some of everything');
is($night->sql(q{SELECT string_agg(DISTINCT concat_ws(' ', organization_id, provider_id, state, http_status, code), ', ') FROM kinderconnect.batch
		WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run) AND state <> 'answered'}),
	'alpha P1 refused 422 BATCH_FAILED, alpha P2 refused 413 SIMULATED, beta P1 refused 200, beta P2 refused 413', 'a batch that fails, and one too large');
is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger WHERE kind = 'void' AND state = 'accepted' AND run_id = (SELECT max(run_id) FROM kinderconnect.run)}), 1, 'a day taken back');
$night->agrees('all is there');

# Every commit. How many a night has differs by a few: two calls that end at the
# same moment are taken in at once.
my ($deaths, $n) = (0, 0);
for (my $lives = 0; $lives < 2 || $n <= $alive->{commits};)
{
	$lives = 0;
	$n++;
	foreach my $when ('before', 'after')
	{
		prepare();
		if ($night->mortal_night($n, $when)->{status} == 0)
		{
			$lives++;
			$night->agrees("no commit $n: all is there");
			next;
		}
		$deaths++;
		$night->await_restart;
		heals("$when commit $n");
	}
}
cmp_ok($alive->{commits}, '>', 30, 'it has many commits');
cmp_ok($deaths, '>=', 2 * ($alive->{commits} - 5), 'it died before and after all of them');
is($night->sql(q{SELECT string_agg(step, ' ' ORDER BY step) FROM (SELECT DISTINCT step FROM kinderconnect.run WHERE status = 'interrupted') s}),
	'begin children compare lists match plan resolve transfer', 'in every step');
note("$alive->{commits} commits, $deaths deaths");

# Every call: cut off before the service takes it, after it has stored it, in
# the midst of the answer; and the session killed while it waits, whereupon what
# was under way has arrived, arrives later, or never does
sub received
{
	return $night->admin('requests')->{received};
}

# Whether the night came to that call
sub met
{
	return $night->admin('faults')->{faults}[0]{met};
}

# How many there are depends on what was lost before: a day that was lost twice
# and is not there goes by itself.
my ($fewest, $most) = (1000, 0);
foreach my $n (1 .. 4)
{
	prepare();
	my $before = received();
	is($night->night->{state}, '', 'once more a night that has some of everything');
	my $calls = received() - $before;
	$fewest = $calls if $calls < $fewest;
	$most = $calls if $calls > $most;
	$night->agrees('all is there');
}

foreach my $call (1 .. $most)
{
	my $met = 0;

	foreach my $kind ('drop_before', 'drop_after', 'cut')
	{
		prepare({ kind => $kind, operation => '*', skip => $call - 1, times => 1 });
		$night->night;
		$met += met();
		heals("$kind at call $call");
	}
	next if $call > $fewest;
	is($met, 3, "call $call was met each time");

	my $how = ('arrived', 'late', 'never')[$call % 3];
	prepare({ kind => $how eq 'arrived' ? 'hang' : 'hang_before', operation => '*', skip => $call - 1, times => 1 });
	my $job = $night->start_sql('CALL kinderconnect.nightly()');
	$night->wait_simulator(hanging => 1);
	kill 'KILL', $job->pid;
	isnt($job->finish->{status}, 0, "killed at call $call: it died");
	$night->await_restart;
	$night->admin('release', {}) if $how eq 'late';
	$night->admin('reset', { keepStore => JSON::PP::true }) if $how eq 'never';
	$night->wait_simulator(idle => 1);
	heals("killed at call $call, and it $how");
}
cmp_ok($fewest, '>', 20, 'it has many calls');
cmp_ok($most - $fewest, '<=', 2, 'and about as many each time');
note("$fewest to $most calls");

done_testing;
