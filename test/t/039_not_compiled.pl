# Costs reckoned for what the planner does not know of yet would set off JIT,
# which takes a thousand times as long as the statements it compiles.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('not_compiled', seed => made_seed(groups => 2, providers => 2, children => 4), days => 3,
	conf => "session_preload_libraries = 'auto_explain'\nauto_explain.log_nested_statements = on\nauto_explain.log_analyze = on\nauto_explain.log_timing = off");

plan skip_all => 'a server without JIT' unless $night->sql('SELECT pg_jit_available()') eq 't';
$night->sql('ALTER SYSTEM SET jit_above_cost = 0; ALTER SYSTEM SET auto_explain.log_min_duration = 0; SELECT pg_reload_conf()');
$night->await(q{SELECT setting FROM pg_settings WHERE name = 'jit_above_cost'}, '0');
my $from = -s $night->node->logfile;
is($night->night->{state}, '', 'a night with no cost too low for it');
is($night->try_sql("SELECT setval('kinderconnect.next_look', 0); SET ROLE kinderconnect_operator; CALL kinderconnect.tick()")->{status}, 0, 'and a tick that looks who is due');

my @plan = map { s/\n\S*\s*(?:LOG|ERROR|CONTEXT):.*//sr } split /Query Text: /, substr PostgreSQL::Test::Utils::slurp_file($night->node->logfile), $from;
cmp_ok(scalar(grep { /^\s+JIT:/m } @plan), '>', 0, 'compiles what the night itself asks of its run');
is_deeply([ map { substr $_, 0, 120 } grep { /^\s+JIT:/m && / on "?(?:child|authorization|listed_\w+|child_link|known_child|child_day|ledger|batch|provider\w*|manage_\w+)"?\s/ } @plan ], [],
	'and nothing that reads what there may be much of');

done_testing;
