# The lists of two months hold the same authorization, and do not agree: the
# later month's counts, in whatever order the calls are answered, and nothing
# flips from night to night. What the later list no longer holds, the earlier
# one may say.
use strict;
use warnings;

use JSON::PP;
use KinderConnect;
use Test::More;

my $seed = made_seed(children => 3);
my $night = ready_night('disagree', seed => $seed, days => 6, conf => 'fsync = off');
my @child = @{ $seed->{groups}[0]{children} };
my ($before, $this, $ended, $last) = split /\|/, $night->sql(q{SELECT to_char(m - 1, 'YYYY-MM'), to_char(m, 'YYYY-MM'), m - 10, m - 1
	FROM CAST(date_trunc('month', now() AT TIME ZONE 'America/Chicago') AS date) m});
my $authorizations = q{SELECT string_agg(concat_ws(' ', authorization_id, coalesce(end_date::text, 'open'), units_of_care, days, closed_as), ', '
	ORDER BY known_from) FROM kinderconnect.authorization WHERE kinderconnect_child_id = '%s'};
my $problems = q{SELECT string_agg(concat_ws(' ', to_char(month, 'YYYY-MM'), kinderconnect_child_id, problem), ', ' ORDER BY kinderconnect_child_id) FROM kinderconnect.list_problem};
my $written = q{SELECT md5(string_agg(concat_ws(' ', ctid, xmin), ',' ORDER BY ctid)) FROM (
	SELECT ctid, xmin FROM kinderconnect.authorization UNION ALL SELECT ctid, xmin FROM kinderconnect.list_problem
	UNION ALL SELECT ctid, xmin FROM kinderconnect.child) w};

# the month before is looked at on every day of this one
$night->sql('UPDATE kinderconnect.organization SET backfill_days = 45');

sub of { my ($query, $n) = @_; return $night->sql(sprintf $query, $child[$n]{childId}); }

# what the list of one month holds of the children, beside the terms that the other has
sub says
{
	my ($month, @terms) = @_;

	return { kind => 'status', status => 200, operation => 'children', match => { month => $month }, contentType => 'application/json',
		body => encode_json({ nextPage => undef, children => [ map {
			my ($listed, $n) = ($child[$_], $_);
			+{ (map { ($_ => $terms[$n]{$_} // $listed->{$_}) } qw(childId firstName lastName dateOfBirth)), authorizations =>
				[ $terms[$n]{none} ? () : +{ %{ $listed->{authorizations}[0] }, %{ $terms[$n] } } ] }
		} 0 .. $#child ] }) };
}

sub a_night
{
	my ($name, @faults) = @_;

	$night->admin('faults', { faults => \@faults });
	foreach my $late ('', $before, $this)
	{
		my $was = $night->sql($written);

		$night->admin('faults', { faults => [ (map { { kind => 'latency', ms => 300, operation => 'children', match => { month => $_ } } } grep { $_ } $late), @faults ] });
		is($night->night->{state}, '', "$name: a night" . ($late && ", $late answered last"));
		is($night->sql($written), $was, "$name: nothing flips") if $late;
	}
	return;
}

a_night('as listed', says($before, {}, {}, {}));
is(of($authorizations, $_), 'A-1-' . ($_ + 1) . ' open FULL', 'the same in both') for 0 .. 2;
is($night->sql($problems), '', 'and no problem');

a_night('otherwise', says($before, { days => ['MO'] }, { unitsOfCare => '4', firstName => 'Mistyped' }, { endDate => $ended }));
is($night->sql("SELECT count(*) FROM kinderconnect.child WHERE first_name = 'Mistyped'"), 0, 'and so do its names');
is(of($authorizations, $_), 'A-1-' . ($_ + 1) . ' open FULL', 'the later list counts') for 0 .. 2;
is($night->sql($problems), join(', ', map { "$before $_ authorization has other days in the list of a later month, which counts" } 1001, 1003),
	'and what it is that disagrees can be seen');

# shortened: the list of this month does not hold it any more
a_night('shortened', says($before, {}, {}, { endDate => $ended }), says($this, {}, {}, { none => 1 }));
is(of($authorizations, 2), "A-1-3 open FULL changed, A-1-3 $ended FULL", 'what no later list holds is as the earlier one says');
is($night->sql($problems), '', 'and no problem is left');

# and a list that was not asked for counts still
$night->admin('faults', { faults => [ says($before, { endDate => $last }, {}, { endDate => $ended }), says($this, {}, {}, { none => 1 }) ] });
is($night->night("'g-1', to_date => '$last'")->{state}, '', 'a night for the month before');
is(of($authorizations, 0), 'A-1-1 open FULL', 'the later list counts, though it was not asked for');

# but not one that could not be had: the earlier one is all that is known
$night->admin('faults', { faults => [ says($before, { endDate => $last }, {}, { endDate => $ended }),
	{ kind => 'status', status => 404, operation => 'children', match => { month => $this } } ] });
is($night->night->{state}, 'KC402', 'a night in which the later list could not be had');
is(of($authorizations, 0), "A-1-1 open FULL changed, A-1-1 $last FULL", 'the earlier one is believed');

done_testing;
