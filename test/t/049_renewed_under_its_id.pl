# An authorization that is renewed under its id: two periods, both in force,
# and each month's list holds what touches it. What is listed is told apart by
# its begin, and nothing flips from list to list.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $seed = made_seed(children => 5);
my $night = ready_night('renewed', seed => $seed, days => 6, conf => 'fsync = off');
my @child = @{ $seed->{groups}[0]{children} };
my @given = map { $_->{authorizations}[0] } @child;
my ($d3, $d4, $d5, $last_month, $this_month) = split /\|/, $night->sql(q{SELECT today - 3, today - 4, today - 5,
	date_trunc('month', today)::date - 1, date_trunc('month', today)::date FROM CAST(now() AT TIME ZONE 'America/Chicago' AS date) today});
my $authorizations = q{SELECT string_agg(concat_ws(' ', authorization_id, begin_date, coalesce(end_date::text, 'open'), days, closed_as), ', '
	ORDER BY authorization_id, known_from) FROM kinderconnect.authorization WHERE kinderconnect_child_id = '%s'};
my $days = q{SELECT string_agg(concat_ws(' ', state, reason, n), ', ' ORDER BY state, reason) FROM (
	SELECT state, reason, count(*) AS n FROM kinderconnect.child_day WHERE kinderconnect_child_id = '%s' AND content IS NOT NULL GROUP BY 1, 2) d};
my $written = q{SELECT md5(string_agg(concat_ws(' ', ctid, xmin), ',' ORDER BY ctid)) FROM kinderconnect.authorization};

sub listed { return $night->admin('patch', { groupId => 'G-1', children => [@_] }); }
sub of { my ($query, $n) = @_; return $night->sql(sprintf $query, $child[$n]{childId}); }

sub settled
{
	my ($name) = @_;
	my $was = $night->sql($written);

	foreach my $number (1, 8)
	{
		is($night->night('', "SET kinderconnect.max_in_flight = $number;")->{state}, '', "$name: another night");
	}
	return is($night->sql($written), $was, "$name: nothing flips");
}

# from the first night on
$child[0]{authorizations} = [ { %{ $given[0] }, endDate => $d4 }, { %{ $given[0] }, beginDate => $d3 } ];
# in different months
$child[1]{authorizations} = [ { %{ $given[1] }, endDate => $last_month }, { %{ $given[1] }, beginDate => $this_month } ];
listed(@child);
is($night->night->{state}, '', 'a night');
is(of($authorizations, 0), "A-1-1 2020-01-06 $d4, A-1-1#2 $d3 open", 'two periods');
is(of($days, 0), 'accepted 6', 'all days are sent');
like(of($authorizations, 1), qr/^A-1-2(#2)? 2020-01-06 $last_month, A-1-2(#2)? $this_month open$|^A-1-2 $this_month open, A-1-2#2 2020-01-06 $last_month$/, 'two periods, a month each');
is(of($days, 1), 'accepted 6', 'all days are sent');
settled('two periods');

# one that was known is renewed, and the older is renamed nothing
$child[2]{authorizations} = [ { %{ $given[2] }, beginDate => $d3 }, { %{ $given[2] }, endDate => $d4 } ];
listed($child[2]);
is($night->night->{state}, '', 'a night with a renewal');
is(of($authorizations, 2), "A-1-3 2020-01-06 open changed, A-1-3 2020-01-06 $d4, A-1-3#2 $d3 open", 'the known one ends, a further one begins');
is(of($days, 2), 'accepted 6', 'all days are as they were');
settled('a renewal');

# the begin of the second changes, and of the first the end
$child[2]{authorizations} = [ { %{ $given[2] }, endDate => $d5 }, { %{ $given[2] }, beginDate => $d4 } ];
listed($child[2]);
is($night->night->{state}, '', 'a night with other days');
is(of($authorizations, 2), "A-1-3 2020-01-06 open changed, A-1-3 2020-01-06 $d4 changed, A-1-3 2020-01-06 $d5, A-1-3#2 $d3 open changed, A-1-3#2 $d4 open",
	'each is told by its begin, or by its days');
settled('other days');

# one of them cannot be read, and may be either
$child[2]{authorizations} = [ { %{ $given[2] }, endDate => $d5 }, { %{ $given[2] }, beginDate => 'soon' } ];
listed($child[2]);
settled('one that cannot be read');

# the second is gone, and comes back
$child[2]{authorizations} = [ { %{ $given[2] }, endDate => $d5 } ];
listed($child[2]);
is($night->night->{state}, '', 'a night without the second');
like(of($authorizations, 2), qr/, A-1-3#2 $d4 open vanished$/, 'it has vanished');
is(of($days, 2), 'accepted 6', 'its days until then stay');
$child[2]{authorizations} = [ { %{ $given[2] }, beginDate => $d4 } ];
listed($child[2]);
is($night->night->{state}, '', 'a night with the second alone');
like(of($authorizations, 2), qr/, A-1-3 2020-01-06 $d5 vanished, .*, A-1-3#2 $d4 open vanished, A-1-3#2 $d4 open$/, 'it is back, and the first is gone');
is(of($days, 2), 'accepted 6', 'the days stay');

# the begin of what is in force changes: it is not the one that is gone, whose days it shares
$child[2]{authorizations} = [ { %{ $given[2] }, beginDate => $d5 } ];
listed($child[2]);
is($night->night->{state}, '', 'a night with another begin of the second');
like(of($authorizations, 2), qr/, A-1-3 2020-01-06 $d5 vanished, .*, A-1-3#2 $d4 open changed, A-1-3#2 $d5 open$/, 'it is the second still');
settled('another begin of the second');

# a begin that changes is no further period
$child[3]{authorizations} = [ { %{ $given[3] }, beginDate => $d5 } ];
listed($child[3]);
is($night->night->{state}, '', 'a night with another begin');
is(of($authorizations, 3), "A-1-4 2020-01-06 open changed, A-1-4 $d5 open", 'it is the same');

# what cannot be told apart is a problem, in the lists of all months alike
my $far = '2099-12-31';
$child[4]{authorizations} = [ { %{ $given[4] }, endDate => $far }, { %{ $given[4] }, days => ['MO'] }, { %{ $given[4] }, endDate => $far },
	{ %{ $given[4] }, days => ['TU'] } ];
listed($child[4]);
is($night->night->{state}, '', 'a night with one listed twice');
is(of($authorizations, 4), "A-1-5 2020-01-06 open changed, A-1-5 2020-01-06 $far", 'the first counts');
is($night->sql(q{SELECT string_agg(DISTINCT concat_ws(' ', kinderconnect_child_id, part, problem), E'\n') FROM kinderconnect.list_problem}),
	join("\n", map { "1005 $_ authorization is listed again with the same begin and other terms, and the first counts" } 2, 4), 'the others are a problem');
settled('one listed twice');

done_testing;
