# What of a child or an authorization cannot be read is a problem, and changes
# nothing of what is known: no end that is none means an authorization without
# an end, and nothing is taken to be gone. What can be read is taken in.
use strict;
use warnings;

use JSON::PP;
use KinderConnect;
use Test::More;

my $seed = made_seed(groups => 2, children => 9);
my $night = ready_night('unreadable', seed => $seed, organizations => { alpha => 'G-1', beta => 'G-2' }, days => 5, conf => 'fsync = off');
my $url = $night->url;
my ($ended, $weekday) = split /\|/, $night->sql(q{SELECT current_date - 3, upper(left(to_char(current_date - 2, 'DY'), 2))});
my @child = @{ $seed->{groups}[0]{children} };
my @older = @{ $seed->{groups}[1]{children} };

$night->sql(qq{
	INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('older', 'vendor-interface', '$url/vendor-interface');
	INSERT INTO kinderconnect.agency (agency_id, name, state, time_zone) VALUES ('MO-1', 'Office', 'MO', 'America/Chicago');
	SELECT kinderconnect.enable_integration('beta', 'G-2', endpoint => 'older');
	SELECT kinderconnect.add_provider('beta', 'MO-1', provider, site) FROM manage.site WHERE organization = 'beta'});

sub listed { return $night->admin('patch', { groupId => 'G-1', children => [@_] }); }
sub authorization { return $_[0]{authorizations}[0]; }

# each a child's authorizations, and what is known of it
my $authorizations = q{SELECT string_agg(concat_ws(' ', kinderconnect_child_id, authorization_id, begin_date, coalesce(end_date::text, 'open'), units_of_care, days, closed_as), E'\n'
	ORDER BY kinderconnect_child_id, authorization_id, known_from) FROM kinderconnect.authorization WHERE organization_id = '%s'};
my $children = q{SELECT string_agg(concat_ws('|', kinderconnect_child_id, first_name, middle_name, last_name, suffix, date_of_birth, subsidized), E'\n'
	ORDER BY kinderconnect_child_id) FROM kinderconnect.child WHERE organization_id = 'alpha' AND kinderconnect_child_id %s};
my $days = q{SELECT string_agg(concat_ws(' ', kinderconnect_child_id, service_date, state, reason, content), E'\n' ORDER BY kinderconnect_child_id, service_date)
	FROM kinderconnect.child_day WHERE organization_id = '%s' AND service_date > current_date - 8};
my $problems = q{SELECT string_agg(DISTINCT concat_ws(' ', kinderconnect_child_id, problem), E'\n') FROM kinderconnect.list_problem WHERE organization_id = '%s'};

authorization($child[0])->{endDate} = $ended;
authorization($child[1])->{days} = [$weekday];
$child[3]{subsidized} = JSON::PP::false;
@{ $child[6] }{qw(middleName suffix)} = ('Quinn', 'Jr');
$child[5]{authorizations} = [ authorization($child[5]), { %{ authorization($child[5]) }, authorizationId => 'B-1', beginDate => '2020-02-03' } ];
listed(@child);
is($night->night->{state}, '', 'a night');
my %known = (
	authorizations => $night->sql(sprintf $authorizations, 'alpha'),
	days => $night->sql(sprintf $days, 'alpha'),
	children => $night->sql(sprintf $children, "< '1007'"),
	older => $night->sql(sprintf $authorizations, 'beta'));
like($known{authorizations}, qr/^1001 A-1-1 2020-01-06 $ended FULL$/m, 'one ends');
like($known{authorizations}, qr/^1002 A-1-2 2020-01-06 open FULL \{$weekday\}$/m, 'one is for a weekday');

# the same, and not to be read
authorization($child[0])->{endDate} = '02/30/2026';
authorization($child[1])->{days} = $weekday;
$child[2]{subsidized} = 'no';
$child[3]{subsidized} = 'no';
authorization($child[4])->{beginDate} = 'soon';
$child[5]{authorizations} = [ { providerId => 'P1', endDate => $ended } ];
# a name, or all that tells who it is, and the authorization beside it
$child[6]{firstName} = { given => 'Nobody' };
@{ $child[6] }{qw(middleName suffix dateOfBirth)} = ({}, [], '2021-13-45');
authorization($child[6])->{unitsOfCare} = 'HALF';
$child[7]{lastName} = 'Renamed';
authorization($child[7])->{endDate} = 20260101;
$child[8]{authorizations} = [ { %{ authorization($child[8]) }, endDate => '2099-12-31' },
	{ %{ authorization($child[8]) }, authorizationId => 'B-2', days => [ 'MO', 5 ] } ];
# and whom nobody knows yet
push @child, { %{ $child[0] }, childId => '1010', firstName => 'New', subsidized => 'no',
	authorizations => [ { %{ authorization($child[0]) }, authorizationId => 'A-1-10', endDate => undef } ] };
push @child, { %{ $child[0] }, childId => '1011', firstName => 'Newer', authorizations => [ { %{ authorization($child[0]) }, authorizationId => 'A-1-11' } ] };
listed(@child);
is($night->night->{state}, '', 'a night of lists that cannot be read');

sub known
{
	my ($name) = @_;
	my @now = split /\n/, $night->sql(sprintf $authorizations, 'alpha');
	my @was = split /\n/, $known{authorizations};

	is(join("\n", grep { /^100[1-6]/ } @now), join("\n", grep { /^100[1-6]/ } @was), "$name: authorizations are what they were");
	is(join("\n", grep { /^1007/ } @now), "1007 A-1-7 2020-01-06 open FULL changed\n1007 A-1-7 2020-01-06 open HALF", "$name: one changed beside a name that cannot be read");
	is(join("\n", grep { /^1008/ } @now), '1008 A-1-8 2020-01-06 open FULL', "$name: one cannot be read beside a name that changed");
	is(join("\n", grep { /^1009/ } @now), "1009 A-1-9 2020-01-06 open FULL changed\n1009 A-1-9 2020-01-06 2099-12-31 FULL", "$name: one can be read beside one that cannot");
	is(join("\n", grep { /^101/ } @now), '1010 A-1-10 2020-01-06 open FULL', "$name: of the new ones, one is known");
	is($night->sql(sprintf $children, "< '1007'"), $known{children}, "$name: children are what they were");
	is($night->sql(sprintf $children, "> '1006'"), join("\n", '1007|Given1-7|Quinn|Family7|Jr|2021-08-08|t', '1008|Given1-8|Renamed|2021-09-09|t',
			'1009|Given1-9|Family9|2021-10-10|t', '1010|New|Family1|2021-02-02|f', '1011|Newer|Family1|2021-02-02|t'), "$name: a name that can be read is taken");
	is($night->sql(sprintf $days, 'alpha'), $known{days}, "$name: the days are what they were");
	return;
}

known('at once');
is($night->sql(sprintf $problems, 'alpha'), join("\n",
		'1001 key "authorizations[].endDate" is not a date in format YYYY-MM-DD',
		'1002 key "authorizations[].days" is not an array',
		'1003 key "subsidized" is neither true nor false',
		'1004 key "subsidized" is neither true nor false',
		'1005 key "authorizations[].beginDate" is not a date in format YYYY-MM-DD',
		'1006 missing key "authorizations[].authorizationId"; missing key "authorizations[].beginDate"',
		'1007 key "firstName" is not a single value; key "middleName" is not a single value; key "suffix" is not a single value; key "dateOfBirth" is not a date in format YYYY-MM-DD',
		'1008 key "authorizations[].endDate" is not a date in format YYYY-MM-DD',
		'1009 authorization has an unknown weekday',
		'1010 key "subsidized" is neither true nor false',
		'1011 key "authorizations[].endDate" is not a date in format YYYY-MM-DD'), 'each is a problem');
is($night->night->{state}, '', 'another night');
known('the next night');

# where an authorization has no id, it is not gone because its begin cannot be read
authorization($older[0])->{beginDate} = 'soon';
authorization($older[1])->{endDate} = 'later';
$night->admin('patch', { groupId => 'G-2', children => [ @older[ 0, 1 ] ] });
is($night->night->{state}, '', 'a night with the older dialect');
is($night->sql(sprintf $authorizations, 'beta'), $known{older}, 'authorizations are what they were');
is($night->sql(sprintf $problems, 'beta'), join("\n", '2001 key "AuthFrom" is not a date in format MM/DD/YYYY', '2002 key "AuthTo" is not a date in format MM/DD/YYYY') =~ s/200/100/gr,
	'each is a problem');

# once they can be read, they are taken at their word
authorization($child[0])->{endDate} = undef;
authorization($child[1])->{days} = undef;
$child[5]{authorizations} = [];
$child[9]{subsidized} = JSON::PP::true;
listed(@child);
is($night->night->{state}, '', 'a night of some that can');
my $now = $night->sql(sprintf $authorizations, 'alpha');
like($now, qr/^1001 A-1-1 2020-01-06 open FULL$/m, 'one goes on');
like($now, qr/^1002 A-1-2 2020-01-06 open FULL$/m, 'one is for every day');
like($now, qr/^1006 A-1-6 2020-01-06 open FULL vanished\n1006 B-1 2020-02-03 open FULL vanished$/m, 'two are gone');
like($night->sql(sprintf $children, "= '1010'"), qr/\|t$/, 'one child is subsidized');

# whose an entry is cannot be read: it is the one whose authorization it is
my $of = sub { return join "\n", grep { /^100[2459]/ } split /\n/, $night->sql(sprintf $authorizations, 'alpha') };
my $relist = sub {
	my ($gone, @listed) = @_;

	$night->admin('patch', { groupId => 'G-1', removeChildren => [ map { { agencyId => 'MO-1', childId => $_ } } @$gone ], children => [@listed] });
};
my $was = $of->();
my %whose = %{ $child[4] };
authorization(\%whose)->{beginDate} = '2020-01-06';
$relist->([ '1004', '1005' ], { %whose, childId => "1005\x01" });
is($night->night->{state}, '', 'a night of a child that cannot be read');
is($of->(), $was =~ s/^(1004 .*)$/$1 vanished/mr, 'its authorization is what it was, and one that is not listed is gone');
like($night->sql(sprintf $problems, 'alpha'), qr/^key "childId" has a control character$/m, 'a problem');

# or it may be anybody's
$was = $of->();
$relist->(['1009'], { %whose, childId => "1005\x01", authorizations => [ { %{ authorization(\%whose) }, authorizationId => [] } ] });
is($night->night->{state}, '', 'a night of a child and an authorization that cannot be read');
is($of->(), $was, 'nothing is gone');
$relist->([ "1005\x01" ], \%whose);
is($night->night->{state}, '', 'a night of all that can');
is($of->(), $was =~ s/^(1009 .*2099-12-31 FULL)$/$1 vanished/mr, 'one is gone');

done_testing;
