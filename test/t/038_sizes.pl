# When the planner is told how large the tables are. What another session has
# written and not committed is no reason to take a large one for an empty one.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('sizes', conf => "max_prepared_transactions = 1\nautovacuum = off");
my $children = q{INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, subsidized)
	SELECT (SELECT min(organization_id) FROM kinderconnect.organization), 'none', 'C%2$s-' || n, true FROM generate_series(1, %1$s) n};
my $known = q{SELECT reltuples, relpages > 8 FROM pg_class WHERE oid = 'kinderconnect.child'::regclass};

# each statement is a transaction of its own
sub add { $night->sql(sprintf $children, @_); }
sub count { $night->sql('SELECT kinderconnect._know_sizes()'); return $night->sql($known); }

$night->sql("BEGIN; @{[ sprintf $children, 2000, 'A' ]}; PREPARE TRANSACTION 'another'");
is(count(), '0|t', 'pages of another session, and no row');
$night->sql(q{COMMIT PREPARED 'another'});
add(100, 'B');
is(count(), '2100|t', 'are counted again as the table grows');
add(100, 'C');
is(count(), '2100|t', 'but not each time');
add(15000, 'D');
is(count(), '17200|t', 'and when there are eight times as many');

$night->sql(q{UPDATE pg_class SET relpages = 2147483647, reltuples = 1e11 WHERE oid = 'kinderconnect.child'::regclass});
is(count(), '1e+11|t', 'however large it is');

done_testing;
