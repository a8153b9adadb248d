# The arguments of the night: what they limit it to is sent, and nothing else
# is asked or sent.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('scope', seed => made_seed(groups => 2, providers => 2, children => 2), days => 6);
my ($asked, $seen) = (0, 0);
my ($first, $last) = split /\|/, $night->sql('SELECT min(day), max(day) FROM manage.truth');
my @days = split /\n/, $night->sql('SELECT DISTINCT day FROM manage.truth ORDER BY day');

# What has arrived since the last time: "group provider first-day last-day n"
sub sent
{
	my $history = $night->admin("history?after=$seen")->{records};
	my %sent;

	$seen += @$history;
	push @{ $sent{"$_->{groupId} $_->{providerId}"} }, $_->{serviceDate} foreach @$history;
	foreach my $days (values %sent)
	{
		my @sorted = sort @$days;

		$days = "$sorted[0] $sorted[-1] " . @sorted;
	}
	return \%sent;
}

# How many lists of children were asked for since the last time
sub children
{
	my $received = $night->admin('requests')->{operations}{children}{received};
	my $since = $received - $asked;

	$asked = $received;
	return $since;
}

# known before the first night lists it
$night->sql(q{SELECT kinderconnect.add_provider('g-1', 'MO-1', 'P1', 'site P1')});
my $months = sub { $night->sql("SELECT count(*) FROM generate_series(date_trunc('month', '$_[0]'::date), date_trunc('month', '$_[1]'::date), '1 month')") };

is($night->night("'g-1', 'MO-1', 'P1', '$days[2]', '$days[3]'")->{state}, '', 'two days of a provider');
is_deeply(sent(), { 'G-1 P1' => "$days[2] $days[3] 4" }, 'are sent, and nothing else');
is(children(), $months->($days[2], $days[3]), 'only its months are asked for');
is($night->sql('SELECT scope FROM kinderconnect.run ORDER BY run_id DESC LIMIT 1'),
	qq({"to_date": "$days[3]", "agency_id": "MO-1", "from_date": "$days[2]", "provider_id": "P1", "organization_id": "g-1"}), 'the run says so');
$night->agrees('so far', whole => 0);

is($night->night("'g-1', provider_id => 'P1'")->{state}, '', 'a provider');
is_deeply(sent(), { 'G-1 P1' => "$first $last 8" }, 'has the rest of its days');
is($night->night("'g-1', from_date => '$days[5]'")->{state}, '', 'an organization from a day on');
is_deeply(sent(), { 'G-1 P2' => "$days[5] $last 2" }, 'has the days from then');
is($night->night("'g-2', to_date => '$days[0]'")->{state}, '', 'an organization up to a day');
is_deeply(sent(), { 'G-2 P1' => "$first $days[0] 2", 'G-2 P2' => "$first $days[0] 2" }, 'has the days until then');
is($night->night("'g-1', 'MO-1'")->{state}, '', 'an agency');
is_deeply(sent(), { 'G-1 P2' => "$first $days[4] 10" }, 'has the rest of its days');
$night->agrees('so far', whole => 0);

like($night->night("'g-1', from_date => current_date + 2")->{stderr}, qr/22023: from_date [\d-]+ is in the future/, 'a begin in the future is refused');
like($night->night("'g-1', to_date => current_date - 1000")->{stderr}, qr/22023: to_date [\d-]+ is before the horizon of \d+ days/, 'and an end before the horizon');
is($night->night("'g-1', from_date => '$days[3]', to_date => '$days[2]'")->{state}, '22023', 'an end before its begin is refused');
is($night->night(q{'g-1', 'MO-2'})->{state}, 'KC001', 'so is an agency that it has no provider at');
like($night->night(q{'g-1', 'MO-2', 'P1'})->{stderr}, qr/organization "g-1" has no provider "P1" at agency "MO-2"/, 'and a provider of another agency');
is_deeply(sent(), {}, 'and does nothing');
is($night->night->{state}, '', 'all');
is_deeply(sent(), { 'G-2 P1' => "$days[1] $last 10", 'G-2 P2' => "$days[1] $last 10" }, 'is what is left');
$night->agrees('all is there, once');

# disabled
$night->sql(q{SELECT kinderconnect.disable_integration('g-2'); SELECT kinderconnect.disable_provider('g-1', 'MO-1', 'P2');
	UPDATE manage.visit SET departed = departed + interval '1 minute'});
children();
is($night->night->{state}, '', 'an organization and a provider are switched off');
is_deeply([ map { s/ .*//r } keys %{ sent() } ], ['G-1'], 'nothing is sent for the one');
is($night->sql(q{SELECT DISTINCT provider_id FROM kinderconnect.ledger WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run)}), 'P1', 'nor for the other');
is($night->night(q{'g-2'})->{state}, 'KC001', 'asked for by name it is an error');
$night->sql(q{SELECT kinderconnect.enable_integration('g-2', 'G-2'); SELECT kinderconnect.add_provider('g-1', 'MO-1', 'P2')});
is($night->night->{state}, '', 'switched on again');
$night->agrees('all is there');

# switched off while the night runs and its first calls are on their way
$night = ready_night('switched_off', seed => made_seed(providers => 4, children => 1), days => 2, conf => 'kinderconnect.max_in_flight = 1');
foreach my $off (q{disable_provider('g-1', 'MO-1', 'P4')}, q{disable_integration('g-1')}, q{enable_integration('g-1', 'G-1', sends => false)})
{
	$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
	$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', match => { providerId => 'P1' }, times => 1 } ] });
	my $job = $night->start_sql('CALL kinderconnect.nightly()');
	$night->wait_simulator(operation => 'submit', hanging => 1);
	$night->sql("SELECT kinderconnect.$off");
	$night->admin('release', {});
	is($job->finish->{stderr}, '', "$off: the night ends well");
	is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run) AND provider_id = 'P4'}), 0, "$off: nothing of it is sent any more");
	$night->sql(q{SELECT kinderconnect.enable_integration('g-1', 'G-1'); SELECT kinderconnect.add_provider('g-1', 'MO-1', 'P4')});
	is($night->night->{state}, '', "$off: the next night, when it is taken back");
	$night->agrees("$off: all is there, once");
}

done_testing;
