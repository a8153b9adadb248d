# The agency merges two ids of a child, and carries over what it holds, or does
# not: no day is sent twice, whatever dies in between, and none that it holds
# stays with a person if it can be asked.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $children = 6;
my $seed = made_seed(groups => 2, children => $children);
my $night = ready_night('merged', seed => $seed, organizations => { alpha => 'G-1', beta => 'G-2' }, days => 2,
	conf => "kinderconnect.horizon_days = 4\nkinderconnect.max_in_flight = 1\nkinderconnect.compare_providers = 0");
my $url = $night->url;
my %group = (alpha => 'G-1', beta => 'G-2');

$night->build_death;
$night->sql(qq{
	INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('older', 'vendor-interface', '$url/vendor-interface');
	INSERT INTO kinderconnect.agency (agency_id, name, state, time_zone) VALUES ('MO-1', 'Office', 'MO', 'America/Chicago');
	SELECT kinderconnect.enable_integration('beta', 'G-2', endpoint => 'older');
	SELECT kinderconnect.add_provider('beta', 'MO-1', provider, site) FROM manage.site WHERE organization = 'beta';
	-- which has no reasons
	DELETE FROM manage.absence WHERE organization = 'beta';
});
is($night->night->{state}, '', 'a night');
$night->agrees('all is there');

# The n-th child of an organization gets another id; carry => what it holds too,
# name => and another first name
sub merge
{
	my ($organization, $n, %option) = @_;
	my ($group) = grep { $_->{groupId} eq $group{$organization} } @{ $seed->{groups} };
	my $child = $group->{children}[ $n - 1 ];
	my $id = $option{into} // "9$child->{childId}";

	$night->admin('patch', { groupId => $group->{groupId}, removeChildren => [ { agencyId => 'MO-1', childId => $child->{childId} } ],
			children => [ { %$child, childId => $id, firstName => $option{name} // $child->{firstName} } ] });
	$night->admin('merge', { groupId => $group->{groupId}, agencyId => 'MO-1', childId => $child->{childId}, intoChildId => $id }) if $option{carry};
	$night->sql("UPDATE manage.student SET child = '$id' WHERE (organization, child) = ('$organization', '$child->{childId}');
		UPDATE manage.entitled SET child = '$id' WHERE (organization, child) = ('$organization', '$child->{childId}')");
	$child->{childId} = $id;
	return $id;
}

sub days
{
	my ($organization, $id) = @_;

	return $night->sql(qq{SELECT string_agg(concat_ws(' ', state, reason), ', ' ORDER BY service_date) FROM kinderconnect.child_day
		WHERE organization_id = '$organization' AND kinderconnect_child_id = '$id' AND content IS NOT NULL});
}

sub posted
{
	my ($organization, $id) = @_;

	return scalar grep { $_->{groupId} eq $group{$organization} && $_->{childId} eq $id } @{ $night->admin('history')->{records} };
}

# what the service carried over
my $id = merge('alpha', 1, carry => 1);
is($night->night->{state}, '', 'a night after a merge');
is(days('alpha', $id), 'held merged_child, held merged_child', 'what was accepted under the former id is held');
like($night->sql("SELECT min(detail) FROM kinderconnect.child_day WHERE organization_id = 'alpha' AND kinderconnect_child_id = '$id' AND reason = 'merged_child'"),
	qr/^as 1001: \d\d:\d\d-\d\d:\d\d, accepted \d{4}-\d\d-\d\d, \d\d:\d\d-\d\d:\d\d$/, 'with the facts');
my $foreseen = q{SELECT * FROM kinderconnect.preview('alpha') ORDER BY provider_id, kinderconnect_child_id, service_date};
my $preview = $night->sql($foreseen);
is($night->sql($foreseen), $preview, 'the preview changes nothing');
like($preview, qr/\|$id\|.*\|merged_child\|/, 'and says the same');
is($night->night->{state}, '', 'the next night');
is(days('alpha', $id), 'accepted, accepted', 'takes over what the service holds under the new id');
$night->agrees('both say the same');
is(posted('alpha', $id), 0, 'nothing was sent for it');
is($night->sql("SELECT count(*) FROM kinderconnect.child_day WHERE organization_id = 'alpha' AND kinderconnect_child_id = '1001' AND (accepted_content IS NOT NULL OR state <> 'held')"), 0,
	'the former id holds nothing any more');
is($night->sql("SELECT count(*) FROM kinderconnect.child_day_history h JOIN kinderconnect.child_day d USING (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date)
	WHERE kinderconnect_child_id = '$id' AND h.said = 'merged_child: the service holds it as record ' || d.accepted_record_id || ', accepted as child 1001'"), 2, 'the history tells where it came from');
is($night->sql(q{SELECT count(*) FROM kinderconnect.reconcile('alpha', current_date - 40, current_date)}), 0, 'reconcile() finds no difference');
is($night->night->{state}, '', 'one more night');
is(posted('alpha', $id), 0, 'nothing either');

# a correction, and a deletion, go under the new id
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '3 minutes' WHERE visit = (SELECT min(visit) FROM manage.visit WHERE organization = 'alpha' AND student = 'S1');
	DELETE FROM manage.visit WHERE visit = (SELECT max(visit) FROM manage.visit WHERE organization = 'alpha' AND student = 'S1')});
is($night->night->{state}, '', 'a night after changes in Manage');
$night->agrees('they are there');
is(posted('alpha', $id), 2, 'each once');

# held and different; not held at all
$id = merge('alpha', 2);
$night->night;
$night->sql(qq{SELECT kinderconnect.api_submit('alpha', 'MO-1', 'P1', 'person', ARRAY[
		ROW('person', '$id', min(service_date), 'session', '{06:00}', '{06:30}', NULL)::kinderconnect.wire_record])
	FROM kinderconnect.child_day WHERE organization_id = 'alpha' AND kinderconnect_child_id = '$id' AND reason = 'merged_child'});
is($night->night->{state}, '', 'a night after a merge that carried nothing over');
is(days('alpha', $id), 'held merged_child, held merged_child', 'another content, or none, leaves the day to a person');
is(posted('alpha', $id), 1, 'and sends nothing');

# its name is another too: a person says that it is the child, and no more
$id = merge('alpha', 6, carry => 1, name => 'Zebulon');
is($night->night->{state}, '', 'a night after a merge that renames');
is($night->sql("SELECT unlinked_because FROM kinderconnect.child WHERE organization_id = 'alpha' AND kinderconnect_child_id = '$id'"), 'not_in_manage', 'links nobody');
like($night->sql("SELECT reason FROM kinderconnect.match_candidate WHERE organization_id = 'alpha' AND kinderconnect_child_id = '$id' AND child_id = 'S6'"),
	qr/, linked to child 1006, which is no longer listed$/, 'who is offered the child of the former id');
$night->sql("SELECT kinderconnect.link_child('alpha', 'MO-1', '$id', 'S6', 'asked the agency')");
is($night->night->{state}, '', 'a night after it was linked');
is(days('alpha', $id), 'held merged_child, held merged_child', 'what was accepted under the former id is held');
is($night->night->{state}, '', 'the next night');
is(days('alpha', $id), 'accepted, accepted', 'takes it over');
is(posted('alpha', $id), 0, 'nothing was sent for it');

# where it cannot be asked
$id = merge('beta', 1, carry => 1);
is($night->night->{state}, '', 'a night') foreach 1 .. 2;
is(days('beta', $id), 'held merged_child, held merged_child', 'a service that cannot be asked: held');
like($night->sql("SELECT min(detail) FROM kinderconnect.child_day WHERE organization_id = 'beta' AND kinderconnect_child_id = '$id' AND reason = 'merged_child'"),
	qr/^as 1001: .*, accepted \d{4}-/, 'with the facts');
is(posted('beta', $id), 0, 'and nothing is sent');

# the merge is taken back, before anything was sent under the new id
my $former = $id = merge('beta', 2);
is($night->night->{state}, '', 'a night after a merge');
is(days('beta', $id), 'held merged_child, held merged_child', 'that it may take back');
my $posted = posted('beta', $id = merge('beta', 2, into => $id =~ s/^9//r));
is($night->night->{state}, '', 'a night after it was');
is(days('beta', $id), 'accepted, accepted', 'the days are those of the id that is listed again');
is(posted('beta', $id), $posted, 'and none is sent again');
is($night->sql("SELECT unlinked_because FROM kinderconnect.child WHERE organization_id = 'beta' AND kinderconnect_child_id = '$former'"), 'merged', 'the other is the former one now');
$former = merge('beta', 2);
is($night->night->{state}, '', 'a night after it was merged once more');
is(days('beta', $former), 'held merged_child, held merged_child', 'and nothing is sent');
is(posted('beta', $former), 0, 'under either');

# An answer lost just before, and at each commit of the two nights a death
$id = merge('alpha', 3, carry => 1);
$night->night;
$night->admin('faults', { faults => [ { kind => 'status', status => 500, operation => 'readback', times => 3 } ] });
isnt($night->night->{state}, '', 'a night that cannot ask');
is(days('alpha', $id), 'held merged_child, held merged_child', 'leaves it as it is');
$night->admin('faults', { faults => [] });

# one child after the other, so that the night that heals one finds the next
my ($deaths, $merges) = (0, 0);
sub another
{
	$merges++;
	return merge('alpha', 4 + $merges % 2, carry => 1, into => "8$merges");
}

$id = another();
is($night->night("'alpha'")->{state}, '', 'a night');
for (my $alive = 0, my $n = 1; !$alive; $n++)
{
	foreach my $when ('before', 'after')
	{
		is(days('alpha', $id), 'held merged_child, held merged_child', "$when commit $n: held");
		if ($night->mortal_night($n, $when, "'alpha'")->{status} == 0) { $alive = 1; }
		else { $deaths++; $night->await_restart; }

		my $next = another();

		is($night->night("'alpha'")->{state}, '', "$when commit $n: the next night");
		is(days('alpha', $id), 'accepted, accepted', "$when commit $n: taken over");
		is(posted('alpha', $id), 0, "$when commit $n: not sent");
		$id = $next;
	}
}
cmp_ok($deaths, '>', 20, 'it died often');

# A link that was wrong went to another id; the former id's child came afterwards,
# and what it holds is not the other's
$night = ready_night('not_merged', seed => made_seed(children => 2), days => 2);
$night->sql(q{CREATE TABLE manage.late AS SELECT organization, site, student, arrived - interval '7 days' AS arrived, departed - interval '7 days' AS departed FROM manage.visit});
is($night->night->{state}, '', 'a night');
$night->sql(q{SELECT kinderconnect.unlink_child('g-1', 'MO-1', '1002', 'a mistake'), kinderconnect.link_child('g-1', 'MO-1', '1001', 'S2')});
$night->admin('patch', { groupId => 'G-1', removeChildren => [ { agencyId => 'MO-1', childId => '1001' } ] });
is($night->night->{state}, '', 'one in which the id is not listed');
$night->sql(q{SELECT kinderconnect.link_child('g-1', 'MO-1', '1002', 'S2')});
is($night->sql(q{SELECT end_reason FROM kinderconnect.child_link WHERE (kinderconnect_child_id, child_id) = ('1001', 'S2')}), 'merged into 1002', 'it is taken over');
$night->admin('patch', { groupId => 'G-1', children => [ KinderConnect::made_child(1, 1) ] });
$night->sql(q{SELECT kinderconnect.link_child('g-1', 'MO-1', '1001', 'S1')});
foreach my $student ('S1', 'S2')
{
	$night->sql("INSERT INTO manage.visit (organization, site, student, arrived, departed) SELECT * FROM manage.late WHERE student = '$student'");
	is($night->night->{state}, '', "a night with more of $student");
	$night->agrees("all of $student is there");
}

done_testing;
