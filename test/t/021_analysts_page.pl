# Every query of doc/analysts.md works when an analyst types it, has something
# to answer after nights in which something happened, and answers the same on
# a hot standby.
use strict;
use warnings;

use JSON::PP;
use KinderConnect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file('doc/analysts.md');
my @queries = $page =~ /^```sql\n(.*?)^```$/msg;

cmp_ok(scalar @queries, '>', 15, 'the page has queries');

my $night = new_night('analysts',
	conf => 'kinderconnect.shrink_floor = 1',
	init => { allows_streaming => 1 },
	seed => {
		clients => [ { clientId => 'c', clientSecret => 'client-secret' } ],
		groups => [
			{
				groupId => 'G',
				groupPassword => 'group-password',
				customers => [ { customerId => 'C', name => 'Sunshine', status => 'active' } ],
				agencies => [
					{
						agencyId => 'MO-1', name => 'Office', state => 'MO', timeZone => 'America/Chicago',
						rules => { absenceReasons => ['SICK'] } } ],
				locations => [
					{ providerId => 'P1', agencyId => 'MO-1', customerId => 'C', name => 'Main Street', status => 'active', address => { zip => '63101' } } ],
				children => [
					child('4711', 'Ana', '2022-05-17', 'A', undef),
					child('4712', 'Bo', '2021-01-05', 'B', '2020-06-30'),
					child('4713', 'Cy', 'no date', 'C', undef) ] } ] });

sub child
{
	my ($id, $name, $born, $authorization, $end) = @_;

	return {
		agencyId => 'MO-1', childId => $id, firstName => $name, lastName => 'Day', dateOfBirth => $born, subsidized => JSON::PP::true,
		authorizations => [
			{ providerId => 'P1', authorizationId => $authorization, beginDate => '2020-01-06', endDate => $end, unitsOfCare => 'FULL', days => undef } ] };
}

# Ana comes on three days and is absent on one for a reason that the agency
# does not know; Bo is not in Manage.
$night->install;
$night->enable('sunshine', 'G');
$night->run_file('manage');
$night->sql(
	q{
	INSERT INTO manage.site VALUES ('sunshine', '17', 'Main Street', '63101', 'America/Chicago', 'MO-1', 'P1');
	INSERT INTO manage.student VALUES ('sunshine', '9', '17', 'Ana', NULL, 'Day', NULL, '2022-05-17', 'MO-1', '4711');
	CREATE TEMPORARY VIEW local AS SELECT (now() AT TIME ZONE 'America/Chicago')::date AS today;
	INSERT INTO manage.visit (organization, site, student, arrived, departed)
	SELECT 'sunshine', '17', '9', (today - n + time '08:00') AT TIME ZONE 'America/Chicago', (today - n + time '16:00') AT TIME ZONE 'America/Chicago'
	FROM local, generate_series(1, 3) n;
	INSERT INTO manage.absence (organization, site, student, day, reason) SELECT 'sunshine', '17', '9', today - 4, 'WEATHER' FROM local;
	INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source) VALUES ('MO-1', 'entry_window_days', '(,)', '20', true, 'test');
	SELECT kinderconnect.arm();
});
is($night->night->{state}, '', 'a first night');

# Bo's authorization is extended, and ends soon; then somebody deletes a day at
# the agency, and the service's list of agencies is empty.
my $end = $night->sql(q{SELECT (now() AT TIME ZONE 'America/Chicago')::date + 10});
$night->admin('patch', { groupId => 'G', children => [ child('4712', 'Bo', '2021-01-05', 'B', $end) ] });
is($night->night->{state}, '', 'a second night');
$night->sql(q{SELECT kinderconnect.api_submit(organization_id, agency_id, provider_id, 'b', ARRAY[
		ROW('r', kinderconnect_child_id, service_date, 'void', NULL, NULL, NULL)::kinderconnect.wire_record])
	FROM (SELECT * FROM kinderconnect.child_day WHERE state = 'accepted' ORDER BY service_date LIMIT 1) d});
$night->admin('faults', { faults => [ { kind => 'empty_list', operation => 'agencies' } ] });
is($night->night->{state}, 'KC402', 'a third night that has something to report');

$night->sql('CREATE ROLE ana LOGIN IN ROLE kinderconnect_analyst');
$night->node->backup('morning');
my $standby = PostgreSQL::Test::Cluster->new('analysts_standby');
$standby->init_from_backup($night->node, 'morning', has_streaming => 1);
$standby->start;
$night->node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'a hot standby');

foreach my $query (@queries)
{
	my ($name) = $query =~ /FROM kinderconnect\.(\w+)/;
	my @answers = map {
		my ($status, $answer, $error) = $_->psql('postgres', "SET TimeZone = 'America/Chicago';\n$query", extra_params => [ '-U', 'ana' ]);

		diag($error) if $status;
		$answer;
	} $night->node, $standby;

	isnt($answers[0], '', "$name has an answer");
	is($answers[1], $answers[0], '... and the same on a standby');
}

my ($complete) = grep { /in_child_day/ } @queries;
like($night->sql($complete), qr/^sunshine\|(\d+)\|\1$/, 'every authorized and finished day has a row');

# The page and the database speak of the same reasons.
my %told = map { $_ => 1 } map { /`(\w+)`/g } $page =~ /^\| (`.*?) \|/mg;
my $code = $night->sql(
	q{SELECT string_agg(pg_get_functiondef(oid), '') FROM pg_proc
	WHERE pronamespace = 'kinderconnect'::regnamespace AND proname IN ('_new_links', '_flag', '_match')});
my %given = map { $_ => 1 } $code =~ /(?:THEN|ELSE) '(\w+)'/g;

delete @given{qw(stored_id exact_location exact_organization)};
$given{not_matched_yet} = 1;
is(join(' ', sort keys %told), join(' ', sort keys %given), 'every reason of a child without a link is told');

# doc/states.md tells what is shipped, and what it says to type works.
my $states = slurp_file('doc/states.md');
my %shipped = map { $_ => 1 } split /\n/, $night->sql(
	q{SELECT source FROM kinderconnect.agency_rule WHERE builtin UNION SELECT source FROM kinderconnect.absence_limit WHERE builtin
	UNION SELECT source FROM kinderconnect.unit_band WHERE builtin});

cmp_ok(scalar keys %shipped, '>', 5, 'there are shipped rules');
foreach my $source (sort keys %shipped)
{
	cmp_ok(index($states, $source), '>', 0, "doc/states.md names the source $source");
}
foreach my $block ($states =~ /^```sql\n(.*?)^```$/msg)
{
	is($night->try_sql($block)->{stderr}, '', 'SQL of doc/states.md');
}

$standby->stop;
done_testing;
