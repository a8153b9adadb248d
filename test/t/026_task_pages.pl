# The pages that are read while something is done: each statement works when
# it is typed, in the order of the page.
use strict;
use warnings;

use JSON::PP;
use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = new_night('task_pages',
	seed => {
		clients => [ { clientId => 'c', clientSecret => 'client-secret' } ],
		groups => [
			{
				groupId => 'G-1001',
				groupPassword => 'group-password',
				customers => [ { customerId => 'C-1', name => 'Sunshine', status => 'active' } ],
				agencies => [ { agencyId => 'TX-28', name => 'Gulf Coast', state => 'TX', timeZone => 'America/Chicago' } ],
				locations => [
					{
						providerId => 'P55501', agencyId => 'TX-28', customerId => 'C-1', name => 'Main Street', status => 'active',
						address => { zip => '77002' } } ],
				children => [ child('4710', 'Ana'), child('4711', 'Bo') ] } ] });

sub child
{
	my ($id, $name) = @_;

	return {
		agencyId => 'TX-28', childId => $id, firstName => $name, lastName => 'Day', dateOfBirth => '2022-05-17', subsidized => JSON::PP::true,
		authorizations => [ { providerId => 'P55501', authorizationId => "A-$id", beginDate => '2020-01-06' } ] };
}

# Bo's name is written otherwise in Manage
$night->install;
$night->write_secrets(group_sunshine => 'group-password');
$night->run_file('manage');
$night->sql(
	q{
	INSERT INTO manage.site VALUES ('sunshine', '17', 'Main Street', '77002', 'America/Chicago', 'TX-28', 'P55501');
	INSERT INTO manage.student VALUES
		('sunshine', 'm-9', '17', 'Ana', NULL, 'Day', NULL, '2022-05-17', 'TX-28', '4710'),
		('sunshine', 'm-17', '17', 'Boo', NULL, 'Day', NULL, '2022-05-17', 'TX-28', '4711'),
		('sunshine', 'm-18', '17', 'Bob', NULL, 'Dai', NULL, '2022-05-17', 'TX-28', 'none');
	INSERT INTO manage.visit (organization, site, student, arrived, departed)
	SELECT 'sunshine', '17', 'm-9', (today - n + time '08:00') AT TIME ZONE 'America/Chicago', (today - n + time '16:00') AT TIME ZONE 'America/Chicago'
	FROM generate_series(1, 3) n, LATERAL (SELECT (now() AT TIME ZONE 'America/Chicago')::date AS today) t});

sub type_page
{
	my ($name, $least) = @_;
	my @blocks = slurp_file("doc/$name.md") =~ /^```sql\n(.*?)^```$/msg;
	my ($status, $out, $err);

	cmp_ok(scalar @blocks, '>=', $least, "doc/$name.md has SQL");
	($status, $out, $err) = $night->node->psql('postgres', "SET client_min_messages = warning;\n" . join("\n\\echo ----\n", @blocks), on_error_stop => 0);
	is($err, '', "doc/$name.md as it is typed");
	my @said = split /^----$/m, $out, -1;
	is(scalar @said, scalar @blocks, 'each has its answer');
	return @said;
}

my $sent = sub { scalar @{ $night->admin('store')->{records} } };

# looks on, then sends; nothing is older than its first day that sends
my @said = type_page('go-live', 6);
unlike($said[0], qr/\|f\|/, 'the connection works');
like($said[2], qr/^TX-28\|P55501\|Main Street\|17\|$/m, 'the location is found');
like($said[3], qr/^linked\|1$/m, 'a child is linked');
is($night->sql(q{SELECT scope FROM kinderconnect.run ORDER BY run_id LIMIT 1}), '{"sends": false, "organization_id": "sunshine"}', 'the first night looks on');
is($night->sql('SELECT count(*) FROM kinderconnect.run'), 3, 'two more send');
is($sent->(), 0, 'no day before the first one is sent');
$night->sql(q{SET client_min_messages = warning; SELECT kinderconnect.enable_integration('sunshine', 'G-1001', 'group_sunshine', backfill_days => 30)});
is($night->night->{state}, '', 'with a backfill');
is($sent->(), 3, 'those before are');

@said = type_page('daily', 6);
like($said[3], qr/^sunshine\|TX-28\|4711\|Bo\|Day\|2022-05-17\|not_in_manage\|m-17\|/m, 'a candidate for the child');
is($night->sql(q{SELECT child_id FROM kinderconnect.child_link WHERE kinderconnect_child_id = '4711' AND ended_at IS NULL}), 'm-17', 'and it is linked');

@said = type_page('trouble', 2);
like($said[0], qr/^linked\|m-17\|/m, 'the story of a child');
unlike($said[1], qr/\w/, 'the service holds what we say');

# a rule that changes on a date, in place of a shipped one, then of an own one
my ($change, $misspelt) = slurp_file('doc/daily.md') =~ /^(    UPDATE kinderconnect\.agency_rule .*?;\n.*?;)\n\n.*?^(    SELECT agency_id.*?;)\n/ms;
my $window = sub {
	$night->sql("SELECT days FROM kinderconnect.entry_window WHERE agency_id = 'TX-28' AND rule = 'entry_window_days' AND valid \@> date '$_[0]'");
};

$night->sql($change);
is($window->('2026-12-31') . ' ' . $window->('2027-01-01'), '6 8', 'an own rule wins from its first day on');
$night->sql($change =~ s/2027-01-01/2028-01-01/gr =~ s/'8'/'9'/r);
is(join(' ', map { $window->($_) } '2026-12-31', '2027-12-31', '2028-01-01'), '6 8 9', 'until the next one');
is($night->sql($misspelt), '', 'each is of an agency that is there');
$night->sql($change =~ s/TX-28/TX28/gr);
is($night->sql($misspelt), 'TX28|entry_window_days', 'and one that is not is found');

# who stops a run at once
my ($cancel) = slurp_file('doc/trouble.md') =~ /^    (SELECT pg_cancel_backend.*)$/m;
$night->admin('faults', { faults => [ { kind => 'hang_before', operation => 'children' } ] });
my $job = $night->start_sql('CALL kinderconnect.nightly()');
$night->wait_simulator(operation => 'children', hanging => 1);
is($night->sql($cancel), 't', 'a run is cancelled');
like($job->finish->{stderr}, qr/ERROR:  57014/, '... at once');
is($night->sql($cancel), '', '... and nobody else is');
$night->admin('faults', { faults => [] });

# the site gets another provider ID, for two days that were sent under the old
# one, and leaves
my ($enter, $leave) = slurp_file('doc/daily.md') =~ /^    (SELECT kinderconnect\.(?:add|disable)_provider\(.*\);)$/mg;
my $date = sub { $night->sql("SELECT (now() AT TIME ZONE 'America/Chicago')::date - $_[0]") };
my $ana = child('4710', 'Ana');
my $stands = sub {
	$night->sql(q{SELECT provider_id, state, reason, count(*) FROM kinderconnect.child_day
		WHERE kinderconnect_child_id = '4710' AND record_id IS NOT NULL OR reason = 'two_providers' GROUP BY 1, 2, 3 ORDER BY 1, 2});
};

$ana->{authorizations} = [
	{ providerId => 'P55501', authorizationId => 'A-4710', beginDate => '2020-01-06', endDate => $date->(3) },
	{ providerId => 'P99901', authorizationId => 'A-2', beginDate => $date->(2) } ];
$night->admin('patch', { groupId => 'G-1001', children => [$ana], locations => [
	{ providerId => 'P99901', agencyId => 'TX-28', customerId => 'C-1', name => 'Elsewhere', status => 'active', address => { zip => '77002' } } ] });
$night->sql($enter);
is($night->night->{state}, '', 'a night with another provider ID');
is($stands->(), "P55501|accepted||1\nP55501|held|authorization_lost|2\nP99901|held|two_providers|2", 'what the old ID was sent is held');
$night->sql(q{SELECT kinderconnect.void_day(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date)
	FROM kinderconnect.child_day WHERE reason = 'authorization_lost'});
is($night->night->{state}, '', 'a night that takes it back');
is($night->night->{state}, '', 'and one that sends it anew');
is($stands->(), "P55501|accepted||1\nP55501|not_due|other_provider|2\nP99901|accepted||2", 'under the new ID');
$night->sql("$leave DELETE FROM manage.visit; DELETE FROM manage.site");
is($night->night->{state}, '', 'a night after it has left');
is($sent->(), 3, 'nothing is taken back');

done_testing;
