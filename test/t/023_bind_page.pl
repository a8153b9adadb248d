# The bindings of doc/bind.md for tables of one server do what the page says.
# Its third shape, another server, is 022_foreign_manage.pl.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file('doc/bind.md');
my ($concepts, $events) = map { blocks($_) } 'One table per concept', 'Events: a row for each check-in and each check-out';

# The SQL under a heading
sub blocks
{
	my ($section) = $page =~ /^## \Q$_[0]\E\n(.*?)(?:^## |\z)/ms;

	return [ $section =~ /^```sql\n(.*?)^```$/msg ];
}

is(scalar @{$concepts}, 2, 'one table per concept: a block, and one for ids');
is(scalar @{$events}, 1, 'events: a block');

my $night = new_night('bind');
$night->install;
$night->run_file('crm');

# One table per concept
$night->sql($_) foreach @{$concepts};
is($night->sql('SELECT * FROM kinderconnect.manage_location'), 'sunshine|17|Main Street|77002|America/Chicago', 'a location');
is($night->sql('SELECT * FROM kinderconnect.manage_child ORDER BY child_id'),
	"sunshine|17|8|Bo|Lee|Day|Jr|2021-01-05|f\nsunshine|17|9|Ana||Day||2022-05-17|t", 'children');
is($night->sql('SELECT attendance_id, location_id, child_id, kind, check_in IS NOT NULL, check_out IS NOT NULL, service_date, reason FROM kinderconnect.manage_attendance ORDER BY 1'),
	"absence 1|17|9|absence|f|f|2026-03-04|sick\nclosure 1|17||closure|f|f|2026-03-05|\nvisit 1|17|9|session|t|t||\nvisit 2|17|9|session|t|f||", 'attendance');
is($night->sql('SELECT * FROM kinderconnect.manage_child_id'), 'sunshine|9|TX-28|4711', 'an id of the service');
is($night->sql('SELECT * FROM kinderconnect.manage_provider_id'), 'sunshine|17|TX-28|P55501', 'a provider ID');

# What the page says of a change of Manage's tables
my $alter = 'ALTER TABLE crm.student ALTER COLUMN id TYPE bigint';
like($night->try_sql($alter)->{stderr}, qr/view kinderconnect\.manage_child\b/, 'a column that a view reads keeps its type');
$night->sql("BEGIN; DROP VIEW kinderconnect.manage_child, kinderconnect.manage_child_id; $alter; " . join('', @{$concepts}) . ' COMMIT');
is($night->sql('SELECT count(*) FROM kinderconnect.manage_child'), 2, 'until the view is dropped, and bound again');
$night->sql('CREATE ROLE new_dba LOGIN IN ROLE kinderconnect_admin; GRANT USAGE ON SCHEMA crm TO new_dba; GRANT SELECT ON crm.student TO new_dba;
	ALTER VIEW kinderconnect.manage_child OWNER TO new_dba');
is($night->sql('SET ROLE kinderconnect_operator; SELECT count(*) FROM kinderconnect.manage_child'), 2, 'and it may be given to another role');

# Events: what happened to a child on a day, and the sessions made of it.
# A day later than the horizon, so that each case has a day of its own.
my @cases = (
	[ 'a session', '08:00i 16:30o', '08:00-16:30' ],
	[ 'two sessions', '06:50i 08:10o 15:00i 17:30o', '06:50-08:10 15:00-17:30' ],
	[ 'nobody checked out', '08:00i', '08:00-' ],
	[ 'nobody checked in', '16:30o', '-16:30' ],
	[ 'two taps at the door', '08:00i 08:01i 16:30o 16:31o', '08:00-16:30' ],
	[ 'a chain of taps', '08:00i 08:04i 08:08i 16:30o', '08:00-16:30' ],
	[ 'checked in again later: a check-out is missing', '08:00i 13:00i 16:30o', '08:00- 13:00-16:30' ],
	[ 'checked out again later: a check-in is missing', '08:00i 12:00o 16:30o', '-16:30 08:00-12:00' ],
	[ 'out and in again within the minutes of a double tap', '08:00i 12:00o 12:02i 16:30o', '08:00-12:00 12:02-16:30' ],
	[ 'in and out within the minutes of a double tap', '08:00i 08:02o', '08:00-08:02' ],
	[ 'first out, then in', '07:00o 09:00i', '-07:00 09:00-' ],
	[ 'late in the evening, on the eve of the next case', '20:00i', '20:00-' ],
	[ 'early in the morning, the day after', '00:30o 08:00i 16:00o', '-00:30 08:00-16:00' ]);

$night->sql($events->[0]);
foreach my $n (0 .. $#cases)
{
	while ($cases[$n][1] =~ /([\d:]+)([io])/g)
	{
		my ($time, $what) = ($1, { i => 'in', o => 'out' }->{$2});

		$night->sql(
			qq{INSERT INTO crm.event (company, center, student, at, what)
			SELECT 'sunshine', 17, 9, ((now() AT TIME ZONE 'America/Chicago')::date - 30 + $n + time '$time') AT TIME ZONE 'America/Chicago', '$what'});
	}
}
# another child, another site and another customer, all on the first case's day
$night->sql(
	q{
	INSERT INTO crm.center VALUES ('sunshine', 18, 'Elm Street', '77003', 'America/Denver', NULL), ('moon', 17, 'Crater', '10001', 'America/New_York', NULL);
	INSERT INTO crm.event (company, center, student, at, what)
	SELECT o.*, e.at + interval '1 hour', 'in'
	FROM crm.event e, (VALUES ('sunshine', 17, 8), ('sunshine', 18, 9), ('moon', 17, 9)) o
	WHERE e.id = 1;
});
my $sessions = q{
	SELECT coalesce(string_agg(concat(to_char(check_in AT TIME ZONE 'America/Chicago', 'HH24:MI'), '-', to_char(check_out AT TIME ZONE 'America/Chicago', 'HH24:MI')),
		' ' ORDER BY check_in NULLS FIRST), '')
	FROM kinderconnect.manage_attendance
	WHERE organization_id = 'sunshine' AND location_id = '17' AND child_id = '9'
		AND (coalesce(check_in, check_out) AT TIME ZONE 'America/Chicago')::date = (now() AT TIME ZONE 'America/Chicago')::date - 30 + };
foreach my $n (0 .. $#cases)
{
	is($night->sql("$sessions $n"), $cases[$n][2], "events: $cases[$n][0]");
}
is($night->sql(q{SELECT count(*) FROM kinderconnect.manage_attendance WHERE check_out IS NULL AND (organization_id, location_id, child_id) IN (('sunshine', '17', '8'), ('sunshine', '18', '9'), ('moon', '17', '9'))}),
	3, 'nobody is paired with somebody else');
is($night->sql('SELECT count(*) - count(DISTINCT (organization_id, attendance_id)) FROM kinderconnect.manage_attendance'), 0, 'each session has an id of its own');

# One customer is found by the index, however many others there are.
$night->sql(
	q{
	INSERT INTO crm.center SELECT 'c' || n, 1, 'x', NULL, 'America/Chicago', NULL FROM generate_series(1, 200) n;
	INSERT INTO crm.event (company, center, student, at, what)
	SELECT 'c' || n, 1, e % 10, now() - interval '1 hour' * e, CASE e % 2 WHEN 0 THEN 'in' ELSE 'out' END
	FROM generate_series(1, 200) n, generate_series(1, 100) e;
	ANALYZE crm.event, crm.center;
});
like($night->sql(q{EXPLAIN (COSTS OFF) SELECT * FROM kinderconnect.manage_attendance WHERE organization_id = 'sunshine' AND check_in > now() - interval '45 days'}),
	qr/Index Cond: \(\(company = 'sunshine'::text\) AND \(at > /, 'one customer is found by the index');

done_testing;
