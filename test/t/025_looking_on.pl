# An organization that only looks on: its nights ask, match and plan, on a
# database that is not even armed, and send nothing.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('looking_on', seed => made_seed(groups => 2, providers => 1, children => 2), days => 6);
$night->sql('SELECT kinderconnect.disarm()');
my $sent = sub { scalar @{ $night->admin('history')->{records} } };
my $ready = sub { $night->sql("SELECT count(*) FROM kinderconnect.child_day WHERE organization_id = '$_[0]' AND state = 'ready'") };
my $looks_on = sub { $night->sql("SELECT kinderconnect.enable_integration('$_[0]', '" . uc($_[0]) . "', backfill_days => $_[1], sends => $_[2])") };

$looks_on->('g-1', 30, 'false');
is($night->night->{state}, 'KC003', 'one of two sends: not armed');
is($night->night(q{'g-2'})->{state}, 'KC003', 'that one: not armed');
is($night->sql('SELECT count(*) FROM kinderconnect.run'), 0, 'and nothing is done');

is($night->night(q{'g-1'})->{state}, '', 'the other may look on unarmed');
is($night->sql('SELECT status, scope FROM kinderconnect.run'), 'succeeded|{"sends": false, "organization_id": "g-1"}', '... as its run says');
is($ready->('g-1'), 12, 'its days are ready');
is($sent->(), 0, 'nothing is sent');
is($night->admin('requests')->{operations}{submit}{received} // 0, 0, 'nor tried');

$looks_on->('g-2', 30, 'false');
is($night->night->{state}, '', 'both look on');
is($sent->(), 0, 'nothing is sent');

# Who is let send while a run is under way that was not armed
$night->sql(q{UPDATE kinderconnect.organization SET sends = true});
is($night->sql(q{SELECT bool_or(kinderconnect._sends(run_id, 'g-1')) FROM kinderconnect.run}), 'f', 'what began unarmed never sends');
$looks_on->($_, 30, 'false') foreach 'g-1', 'g-2';

$night->sql('SELECT kinderconnect.arm()');
is($night->night->{state}, '', 'armed, they look on all the same');
is($sent->(), 0, 'nothing is sent');

# Days that were reported otherwise while it looked on
$night->sql(q{UPDATE kinderconnect.organization SET first_enabled = first_enabled - 20});
$looks_on->('g-2', 3, 'true');
is($night->sql(q{SELECT (now() AT TIME ZONE 'America/Chicago')::date - first_enabled FROM kinderconnect.organization ORDER BY organization_id}), "20\n0",
	'backfill counts from when it first sends');
is($night->night->{state}, '', 'one sends');
my $after = $sent->();
cmp_ok($after, '>=', 4, 'the days of its backfill');
cmp_ok($after, '<=', 8, '... and no older ones');
is($night->sql(q{SELECT DISTINCT state, reason FROM kinderconnect.child_day
	WHERE organization_id = 'g-2' AND service_date < (SELECT first_enabled - backfill_days FROM kinderconnect.organization WHERE organization_id = 'g-2')}),
	'not_due|before_start', '... of which nobody is asked anything');
is($night->sql(q{SELECT DISTINCT organization_id FROM kinderconnect.ledger}), 'g-2', '... its own alone');
is($ready->('g-1'), 12, 'the other looks on');

# One that has sent looks on again
$night->sql(q{UPDATE kinderconnect.organization SET first_enabled = first_enabled - 20 WHERE organization_id = 'g-2'});
$looks_on->('g-2', 30, 'false');
is($night->night->{state}, '', 'taken back');
is($sent->(), $after, 'nothing more is sent');
cmp_ok($ready->('g-2'), '>', 0, 'what it would send is ready');
$looks_on->('g-2', 30, 'true');
$looks_on->('g-1', 30, 'true');
is($night->sql(q{SELECT (now() AT TIME ZONE 'America/Chicago')::date - first_enabled FROM kinderconnect.organization WHERE organization_id = 'g-2'}), 20,
	'one that has sent goes on where it was');
is($night->night->{state}, '', 'both send');
$night->agrees('all is there, once');

done_testing;
