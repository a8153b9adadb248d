# One bad record fails a whole batch, and the service does not say which: it is
# found by halving, in about 2k*log2(n) calls for k among n, and all the others
# are accepted in the same night.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $records = 500;
my $seed = made_seed(children => 100);
$seed->{groups}[0]{agencies}[0]{rules} = { maxSessions => 1, batchFails => [ 'TOO_MANY_SESSIONS', 'UNKNOWN_ABSENCE_REASON' ], absenceReasons => ['SICK'] };
my $night = ready_night('halving', seed => $seed, days => 5);

is($night->night->{state}, '', 'a night');
is($night->sql(q{SELECT count(*), max(b.records) FROM kinderconnect.child_day d, kinderconnect.batch b WHERE d.state = 'accepted'}), "$records|$records", 'all in one batch');
$night->sql(q{
	CREATE TABLE manage.numbered AS
	SELECT v.*, row_number() OVER (ORDER BY (v.arrived AT TIME ZONE 'America/Chicago')::date, s.child) AS n
	FROM manage.visit v JOIN manage.student s USING (organization, student)});

# each is one of these visits: a second session; or, the last so many, absent
# for a reason that nobody knows
foreach my $case ([ 'one', 0, 1 ], [ 'one in the middle', 0, 250 ], [ 'two side by side', 0, 100, 101 ], [ 'two far apart', 0, 2, 399 ],
	[ 'two for two reasons', 1, 77, 333 ], [ 'three side by side', 0, 200 .. 202 ], [ 'three far apart', 0, 5, 190, 390 ],
	[ 'eight side by side', 0, 301 .. 308 ], [ 'eight far apart', 0, map { 45 * $_ } 1 .. 8 ])
{
	my ($name, $absent, @culprits) = @$case;
	my $k = @culprits;
	my $list = join ',', @culprits;
	my $away = join ',', 0, splice @{ [@culprits] }, $k - $absent;

	$night->sql(qq{
		UPDATE manage.visit SET departed = departed + interval '1 minute';
		INSERT INTO manage.visit (organization, site, student, arrived, departed)
		SELECT organization, site, student, arrived - interval '2 hours', arrived - interval '1 hour' FROM manage.numbered
		WHERE n IN ($list) AND n NOT IN ($away);
		INSERT INTO manage.absence (organization, site, student, day, reason)
		SELECT organization, site, student, (arrived AT TIME ZONE 'America/Chicago')::date, 'WRONG' FROM manage.numbered WHERE n IN ($away);
		DELETE FROM manage.visit v USING manage.numbered d WHERE d.visit = v.visit AND d.n IN ($away)});
	my $end = $night->night;
	is($end->{state}, '', "$name: the night") or diag $end->{stderr};
	is($night->sql(q{SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM kinderconnect.child_day WHERE content IS NOT NULL GROUP BY 1) s}),
		sprintf('accepted %d, rejected %d', $records - $k, $k), "$name: found, the others are accepted");
	my $calls = $night->sql(q{SELECT count(*) FROM kinderconnect.batch WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run)});
	cmp_ok($calls, '<=', 2 * $k * 9 + 1, "$name: in $calls calls");

	$night->sql(qq{
		DELETE FROM manage.visit v WHERE NOT EXISTS (SELECT FROM manage.numbered d WHERE d.visit = v.visit);
		DELETE FROM manage.absence WHERE reason = 'WRONG';
		INSERT INTO manage.visit OVERRIDING SYSTEM VALUE
		SELECT visit, organization, site, student, arrived, departed + interval '3 minutes' FROM manage.numbered WHERE n IN ($away)});
	is($night->night->{state}, '', "$name: corrected in Manage");
	$night->agrees("$name: all is there");
}

done_testing;
