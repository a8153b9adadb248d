# What the service holds of a child's day it is not sent once more under
# another key: another provider ID of the location, or an id at two removes.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $seed = made_seed(groups => 2, providers => 2, children => 2);
my $night = ready_night('elsewhere', seed => $seed, days => 3, conf => 'kinderconnect.compare_providers = 0');
my $begin = $night->sql("SELECT min(day) FROM manage.truth");

sub days
{
	my ($organization, $children) = @_;

	return $night->sql(qq{SELECT string_agg(concat_ws(' ', provider_id, kinderconnect_child_id, state, reason, n), ', '
			ORDER BY provider_id COLLATE "C", kinderconnect_child_id COLLATE "C", state COLLATE "C")
		FROM (SELECT provider_id, kinderconnect_child_id, state, reason, count(*) AS n FROM kinderconnect.child_day
			WHERE organization_id = '$organization' AND kinderconnect_child_id IN ($children) AND (content IS NOT NULL OR accepted_content IS NOT NULL)
			GROUP BY 1, 2, 3, 4) d});
}

sub stored
{
	my ($group, @children) = @_;

	return scalar grep { my $r = $_; $r->{groupId} eq $group && grep { $r->{childId} eq $_ } @children } @{ $night->admin('store')->{records} };
}

# Both provider IDs are of one site, for its licence was issued anew. Of the
# first child the first one's answers are lost.
foreach my $organization ('g-1', 'g-2')
{
	$night->sql("SELECT kinderconnect.add_provider('$organization', 'MO-1', 'P2', 'site P1')");
}
$night->admin('faults', { faults => [ { kind => 'drop_after', operation => 'submit', match => { groupId => 'G-1', providerId => 'P1' } },
	{ kind => 'status', status => 503, operation => 'readback', match => { groupId => 'G-1' } } ] });
isnt($night->night->{state}, '', 'a night');
is(days('g-1', "'1001'"), 'P1 1001 unknown 3', 'answers were lost');
is(days('g-2', "'1001'"), 'P1 1001 accepted 3', 'and others were not');

# one ID lapses, and the child is authorized at the other, from before on
foreach my $group (@{ $seed->{groups} })
{
	my $child = $group->{children}[0];
	my $given = $child->{authorizations}[0];

	$child->{authorizations} = [ $given, { %$given, providerId => 'P2', authorizationId => 'anew', beginDate => $begin } ];
	$night->admin('patch', { groupId => $group->{groupId}, children => [$child], locations => [ { %{ $group->{locations}[0] }, status => 'inactive' } ] });
}
$night->night;
is(days('g-1', "'1001'"), 'P1 1001 unknown 3, P2 1001 held two_providers 3', 'what the service may hold under one ID waits under the other');
is(days('g-2', "'1001'"), 'P1 1001 accepted 3, P2 1001 held two_providers 3', 'and what it holds');
like($night->sql(q{SELECT min(detail) FROM kinderconnect.child_day WHERE organization_id = 'g-1' AND reason = 'two_providers'}), qr/^provider P1 may hold \d\d:\d\d-/, 'with the facts');
like($night->sql(q{SELECT min(detail) FROM kinderconnect.child_day WHERE organization_id = 'g-2' AND reason = 'two_providers'}), qr/^provider P1 holds \d\d:\d\d-/, 'of each');
is(stored($_, '1001'), 3, "$_: the service holds each day once") foreach 'G-1', 'G-2';

# an authorization that ends before the days that were accepted under it
my $group = $seed->{groups}[1];
my $child = $group->{children}[1];
my $given = $child->{authorizations}[0];
$child->{authorizations} = [ { %$given, endDate => $night->sql("SELECT date '$begin' - 1") }, { %$given, providerId => 'P2', authorizationId => 'later', beginDate => $begin } ];
$night->admin('faults', { faults => [] });
$night->admin('patch', { groupId => 'G-2', children => [$child], locations => [ $group->{locations}[0] ] });
$night->night;
is(days('g-2', "'1002'"), 'P1 1002 held authorization_lost 3, P2 1002 held two_providers 3', 'an authorization that moved to the other ID');
is(stored('G-2', '1002'), 3, 'sends nothing by itself');
$night->sql(q{SELECT kinderconnect.void_day(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date) FROM kinderconnect.child_day
	WHERE organization_id = 'g-2' AND reason = 'authorization_lost'});
$night->night foreach 1 .. 2;
is(days('g-2', "'1002'"), 'P1 1002 not_due other_provider 3, P2 1002 accepted 3', 'what a person takes back of one goes under the other');
is(stored('G-2', '1002'), 3, 'so that each day is there once');

# a child whose id is merged twice
$night = ready_night('merged_twice', seed => made_seed(children => 2), days => 2, conf => 'kinderconnect.compare_providers = 0');
is($night->night->{state}, '', 'a night');
my $merged = $night->seed->{groups}[0]{children}[0];
foreach my $id ('8001', '9001')
{
	$night->admin('patch', { groupId => 'G-1', removeChildren => [ { agencyId => 'MO-1', childId => $merged->{childId} } ], children => [ { %$merged, childId => $id } ] });
	$merged->{childId} = $id;
	is($night->night->{state}, '', 'a night after a merge');
	is(days('g-1', "'$id'"), "P1 $id held merged_child 2", "$id: what was accepted under the first id is not sent");
}
is(stored('G-1', '8001', '9001'), 0, 'under any other');
like($night->sql(q{SELECT min(detail) FROM kinderconnect.child_day WHERE kinderconnect_child_id = '9001' AND reason = 'merged_child'}),
	qr/^as 1001: \d\d:\d\d-\d\d:\d\d, accepted \d{4}-/, 'with the facts');
my $id = '9001';
$night->admin('merge', { groupId => 'G-1', agencyId => 'MO-1', childId => '1001', intoChildId => $id });
is($night->night->{state}, '', 'a night after the service carried over what it holds');
is(days('g-1', "'$id'"), "P1 $id accepted 2", 'takes it over');

done_testing;
