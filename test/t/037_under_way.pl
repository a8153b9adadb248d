# Records and days that are under way are found by their keys, however few of
# them there were when the planner's statistics were taken.
use strict;
use warnings;

use KinderConnect;
use Test::More;

# a provider at a time, so that the plan is asked for often enough to be kept
my $night = ready_night('under_way', seed => made_seed(groups => 2, providers => 6, children => 8), days => 3,
	conf => "kinderconnect.max_in_flight = 1\nsession_preload_libraries = 'auto_explain'\nauto_explain.log_nested_statements = on");

is($night->night->{state}, '', 'a first night');
$night->sql('VACUUM ANALYZE');
is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger WHERE state <> 'accepted'}), 0, 'nothing is under way');
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'; ALTER SYSTEM SET auto_explain.log_min_duration = 0; SELECT pg_reload_conf()});
my $from = -s $night->node->logfile;
is($night->night->{state}, '', 'a night in which all is sent again');

my @settled = grep { /\AWITH settled AS \(\s+UPDATE kinderconnect\.ledger/ } split /Query Text: /, substr PostgreSQL::Test::Utils::slurp_file($night->node->logfile), $from;
s/\n\S*\s*(?:LOG|ERROR):.*//s, s/.*^(?=Update on child_day)//ms foreach @settled;
cmp_ok(scalar @settled, '>', 5, 'answers are taken in');
is(scalar(grep { /using ledger_pkey/ && /using child_day_pkey/ } @settled), scalar @settled, 'records and days are found by their keys');
is_deeply([ grep { /ledger_under_way|child_day_at_work|Seq Scan/ } @settled ], [], 'and by nothing else');

done_testing;
