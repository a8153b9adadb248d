# When the planner is told how large the tables are. What another session has
# written and not committed is no reason to take a large one for an empty one;
# and of an organization that it knows nothing of, children are read as often as
# of one that it knows.
use strict;
use warnings;

use KinderConnect;
use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('sizes', conf => "max_prepared_transactions = 1\nautovacuum = off");
my $insert = q{INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, subsidized)
	SELECT (SELECT min(organization_id) FROM kinderconnect.organization), 'none', 'C%2$s-' || n, true FROM generate_series(1, %1$s) n};
my $known = q{SELECT reltuples, relpages > 8 FROM pg_class WHERE oid = 'kinderconnect.child'::regclass};

# each statement is a transaction of its own
sub add { $night->sql(sprintf $insert, @_); }
sub count { $night->sql('SELECT kinderconnect._know_sizes()'); return $night->sql($known); }

$night->sql("BEGIN; @{[ sprintf $insert, 2000, 'A' ]}; PREPARE TRANSACTION 'another'");
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

# The rows of children that a night reads, for each child
my $fetched = q{SELECT sum(idx_tup_fetch + seq_tup_read) FROM pg_stat_user_tables
	WHERE schemaname = 'kinderconnect' AND relname IN ('child', 'known_child', 'child_link')};
my $groups = 3;
my $children = 250;
$night = ready_night('unknown', seed => made_seed(groups => $groups, children => $children), days => 1,
	conf => "autovacuum = off\nkinderconnect.horizon_days = 3");
$night->sql(q{UPDATE kinderconnect.organization SET enabled = organization_id = 'g-1'});
is($night->night->{state}, '', 'a night of the first organization');
$night->sql('ANALYZE');
$night->sql('UPDATE kinderconnect.organization SET enabled = true');
is($night->night->{state}, '', 'a night of more than have been counted');
is($night->sql(q{SELECT most_common_vals::text, n_distinct FROM pg_stats WHERE schemaname = 'kinderconnect' AND tablename = 'known_child' AND attname = 'organization_id'}),
	'{g-1}|1', 'of which the planner does not know');

my $before = $night->sql($fetched);
is($night->night->{state}, '', 'a night in which nothing changed');
cmp_ok(($night->sql($fetched) - $before) / ($groups * $children), '<', 40, 'reads each child some times, and not for each other child');
$night->sql(q{UPDATE manage.student SET last_name = last_name || 'x' WHERE student IN ('S7', 'S8')});
$before = $night->sql($fetched);
is($night->night->{state}, '', 'a night in which little changed');
cmp_ok(($night->sql($fetched) - $before) / ($groups * $children), '<', 60, 'neither');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_link WHERE flag = 'name_changed'}), 2 * $groups, 'and sees what changed');

# Each child of a list is sought by its key, also by a session that made its plans
# while the tables were empty: a join would read all of them for each
$night = ready_night('lists_by_key', seed => made_seed(providers => 4, children => 60), days => 1,
	conf => join "\n", 'kinderconnect.max_in_flight = 1', "shared_preload_libraries = 'pg_cron, auto_explain'", 'auto_explain.log_min_duration = 0',
	'auto_explain.log_analyze = on', 'auto_explain.log_timing = off', 'auto_explain.log_nested_statements = on');

is($night->night->{state}, '', 'a first night, a list at a time');
my @plans = grep { /Query Text: (?:WITH list AS|WITH reply AS|INSERT INTO kinderconnect\.authorization)/ }
  split /^(?=\S.* LOG:  duration: )/m, slurp_file($night->node->logfile);
cmp_ok(scalar(grep { /Query Text: WITH list AS MATERIALIZED/ } @plans), '>', 3, 'lists came in apart');
like(join('', @plans), qr/Index Scan using authorization_pkey.* loops=60\)/, 'their plans are there');

my ($loops, $most, $where) = (0, 0, '');
foreach my $line (map { split /\n/ } @plans)
{
	$loops = $1 if $line =~ /actual rows=\S+ loops=(\d+)/;
	next unless $line =~ /Rows Removed by (?:Join )?Filter: ([0-9.]+)/;
	($most, $where) = ($1 * max($loops, 1), $line) if $1 * max($loops, 1) > $most;
}
cmp_ok($most, '<=', 4 * 60, 'no row was looked at for many others') or diag($where);
$night->agrees('all is there, once');

# What a night did is counted for some organizations at a time
$night = ready_night('many', seed => made_seed(groups => 101, children => 1), days => 1, conf => "fsync = off\nkinderconnect.horizon_days = 3");
is($night->night->{state}, '', 'a night of 101 organizations');
is($night->sql(q{SELECT count(DISTINCT organization_id), count(*), min(children), max(children), min(accepted), max(accepted) FROM kinderconnect.run_provider}),
	$night->sql(q{SELECT '101|101|1|1', min(n), max(n) FROM (SELECT count(*) AS n FROM kinderconnect.ledger WHERE state = 'accepted' GROUP BY organization_id) l}), 'each is counted');
isnt($night->sql('SELECT sum(accepted) FROM kinderconnect.run_provider'), 0, '... and was sent');

done_testing;
