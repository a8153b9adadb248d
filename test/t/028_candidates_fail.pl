# Candidates are for persons: where they cannot be found, links are made and
# days are sent all the same, and the run says what failed. And a night in which
# nothing changed leaves a child's row alone.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('candidates_fail', seed => made_seed(groups => 2, children => 3), days => 3);

# one of the children is another in Manage, so that there is a candidate
$night->sql(q{UPDATE manage.student SET first_name = 'Zebulon' WHERE student = 'S2' AND organization = 'g-1';
	ALTER TABLE kinderconnect.match_candidate ADD CONSTRAINT broken CHECK (false) NOT VALID});
my $end = $night->night;
is($end->{state}, 'KC402', 'a night whose candidates cannot be written fails');
is($night->sql(q{SELECT organization_id, sqlstate, error LIKE 'candidates failed: %', halted FROM kinderconnect.run_organization ORDER BY 1}),
	"g-1|23514|t|f\ng-2|||f", 'it is said of the organization, which goes on');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_link WHERE ended_at IS NULL}), 5, 'the other children are linked');
is($night->sql(q{SELECT count(DISTINCT (organization_id, kinderconnect_child_id)) FROM kinderconnect.child_day WHERE state = 'accepted'}), 5, 'and their days accepted');
is($night->sql('SELECT count(*) FROM kinderconnect.match_candidate'), 0, 'there are no candidates');
$night->sql('ALTER TABLE kinderconnect.match_candidate DROP CONSTRAINT broken');
is($night->night->{state}, '', 'the next night');
is($night->sql(q{SELECT kinderconnect_child_id = (SELECT kinderconnect_child_id FROM kinderconnect.child WHERE unlinked_because IS NOT NULL), child_id LIKE '%S2' FROM kinderconnect.match_candidate}),
	't|t', 'finds them');

my $rows = q{SELECT md5(string_agg(concat_ws(' ', ctid, xmin, xmax), ',' ORDER BY ctid)) FROM kinderconnect.%s};
my %was = map { $_ => $night->sql(sprintf $rows, $_) } qw(child agency authorization listed_authorization listed_subsidy known_child child_link match_candidate child_day ledger);
is($night->night->{state}, '', 'a night in which nothing changed');
is($night->sql(sprintf $rows, $_), $was{$_}, "writes, and locks, no row of $_") foreach sort keys %was;

done_testing;
