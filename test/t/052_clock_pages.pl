# The SQL of doc/schedule.md and doc/health.md works as it is typed.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = new_night('clock_pages', seed => made_seed());
$night->install;
$night->enable('sunshine', 'G-1');
$night->sql(q{
	SELECT kinderconnect.add_provider('sunshine', 'TX-28', 'P55501');
	CREATE ROLE kinderconnect_night LOGIN IN ROLE kinderconnect_operator;
	GRANT USAGE ON SCHEMA cron TO kinderconnect_night});

foreach my $name (qw(schedule health))
{
	my @blocks = slurp_file("doc/$name.md") =~ /^```sql\n(.*?)^```$/msg;

	cmp_ok(scalar @blocks, '>', 2, "doc/$name.md has SQL");
	foreach my $number (1 .. @blocks)
	{
		my $ran = $night->try_sql($blocks[ $number - 1 ]);

		is($ran->{status}, 0, "block $number") or diag($ran->{stderr});
	}
}
is($night->sql('SELECT username, command FROM cron.job'), 'kinderconnect_night|CALL kinderconnect.tick()', 'the job is there');
is($night->sql('SELECT cadence, count(*) FROM kinderconnect.timetable GROUP BY 1 ORDER BY 1'), "nightly|1\nweekdays|1", 'the timetables are, but for the one taken back');
is($night->sql('SELECT count(resumed_at) FROM kinderconnect.stop_switch'), 1, 'what was stopped goes on');
is($night->sql('SELECT check_name FROM kinderconnect.health_threshold'), 'rejected', 'the threshold that was set is');

done_testing;
