# A child may be subsidized at one provider and be cared for privately at
# another, or from some month on: what the list of a provider and month says
# holds for that provider and month, whichever list comes last.
use strict;
use warnings;

use JSON::PP;
use KinderConnect;
use Test::More;

my $seed = made_seed(providers => 3, children => 3);
my $night = ready_night('private_somewhere', seed => $seed, days => 3, conf => 'fsync = off');
my @child = @{ $seed->{groups}[0]{children} };
my $days = q{SELECT string_agg(concat_ws(' ', provider_id, state, reason, n), ', ' ORDER BY provider_id, state, reason) FROM (
	SELECT provider_id, state, reason, count(*) AS n FROM kinderconnect.child_day
	WHERE kinderconnect_child_id = '%s' AND service_date > current_date - 8 AND reason IS DISTINCT FROM 'nothing_recorded' AND state <> 'not_due' GROUP BY 1, 2, 3) d};
my $private = q{SELECT string_agg(concat_ws(' ', provider_id, subsidized, n), ', ' ORDER BY provider_id, subsidized) FROM (
	SELECT provider_id, subsidized, count(*) AS n FROM kinderconnect.listed_subsidy WHERE kinderconnect_child_id = '%s' GROUP BY 1, 2) s};
my $subsidized = q{SELECT subsidized FROM kinderconnect.child WHERE kinderconnect_child_id = '%s'};
my $months = $night->sql(q{SELECT count(*) FROM kinderconnect._months('g-1', NULL, NULL)});

sub listed { return $night->admin('patch', { groupId => 'G-1', children => [@_] }); }
sub of { my ($query, $n) = @_; return $night->sql(sprintf $query, $child[$n]{childId}); }

# it is listed without an authorization at two more, before and after its own
$child[3]{providers} = [ 'P1', 'P3' ];
$child[3]{privateAt} = [ 'P1', 'P3' ];
listed($child[3]);
is($night->night->{state}, '', 'a night');
is(of($days, 3), 'P2 accepted 3', 'what is subsidized is sent');
is(of($private, 3), "P1 f $months, P3 f $months", 'two lists say that it is not');
is(of($subsidized, 3), 't', 'the child is subsidized somewhere');
my $changed = $night->sql(q{SELECT max(changed_at) FROM kinderconnect.child});
foreach my $number (1, 2, 8)
{
	# many lists at once, in whatever order they come
	is($night->night('', "SET kinderconnect.max_in_flight = $number;")->{state}, '', "with $number calls at once");
	is(of($days, 3), 'P2 accepted 3', 'nothing is lost');
}
is($night->sql(q{SELECT max(changed_at) FROM kinderconnect.child}), $changed, 'nothing is written');
$night->agrees('all is there');

# attendance at a site where it is cared for privately is nobody's business
$night->sql(qq{INSERT INTO manage.visit (organization, site, student, arrived, departed)
	SELECT organization, 'site P3', student, arrived - interval '1 day', departed - interval '1 day' FROM manage.visit
	WHERE student = 'S4' ORDER BY arrived LIMIT 1});
is($night->night->{state}, '', 'a night with a visit there');
is(of($days, 3), 'P2 accepted 3', 'which has no day');

# an authorization at one that says it is not subsidized
push @{ $child[3]{authorizations} }, { %{ $child[3]{authorizations}[0] }, providerId => 'P3', authorizationId => 'X' };
listed($child[3]);
is($night->night->{state}, '', 'a night with an authorization there');
is(of($days, 3), 'P2 accepted 3', 'it counts for nothing');
is($night->sql(q{SELECT string_agg(provider_id || ' ' || subsidized, ', ' ORDER BY provider_id) FROM kinderconnect.authorized_child WHERE kinderconnect_child_id = '2001'}),
	'P2 true, P3 false', 'analysts see which');

# all of them say so, and then one does not any more
$child[3]{privateAt} = [ 'P1', 'P2', 'P3' ];
listed($child[3]);
is($night->night->{state}, '', 'a night in which all are private');
is(of($days, 3), 'P2 held authorization_lost 3', 'days accepted are for a person');
is(of($subsidized, 3), 'f', 'the child is subsidized nowhere');
$child[3]{privateAt} = ['P1'];
listed($child[3]);
is($night->night->{state}, '', 'a night in which two are not');
is(of($days, 3), 'P2 accepted 3, P3 accepted 1', 'they are again, and what was recorded at the other is sent');
is(of($subsidized, 3), 't', 'the child is subsidized');
is(of($private, 3), "P1 f $months, P2 t $months, P3 t $months", 'by its lists');

# one that is gone stays what it was
$child[0]{subsidized} = JSON::PP::false;
listed($child[0]);
is($night->night->{state}, '', 'a night in which another is private');
is(of($days, 0), 'P1 held authorization_lost 3', 'its days are for a person');
$night->admin('patch', { groupId => 'G-1', removeChildren => [ { agencyId => 'MO-1', childId => $child[0]{childId} } ] });
is($night->night->{state}, '', 'a night without it');
is(of($days, 0), 'P1 held authorization_lost 3', 'they stay so');

# what a list of a new month says of it cannot be read: it is as in the month
# before, and not as in an older one or a later one
$night->sql(qq{DELETE FROM kinderconnect.listed_subsidy WHERE kinderconnect_child_id = '$child[1]{childId}';
	INSERT INTO kinderconnect.listed_subsidy (organization_id, agency_id, provider_id, kinderconnect_child_id, month, subsidized)
	SELECT 'g-1', 'MO-1', 'P1', '$child[1]{childId}', date_trunc('month', now() AT TIME ZONE 'America/New_York') + n * interval '1 month', n <> -3 FROM unnest('{-4,-3,1}'::integer[]) n});
$child[1]{subsidized} = 'no';
listed($child[1]);
is($night->night->{state}, '', 'a night that cannot read it');
is(of(q{SELECT count(*), bool_or(subsidized) FROM kinderconnect.listed_subsidy WHERE kinderconnect_child_id = '%s'
	AND month BETWEEN date_trunc('month', now() AT TIME ZONE 'America/New_York') - interval '2 months' AND now()}, 1), "$months|f", 'it is as before');

done_testing;
