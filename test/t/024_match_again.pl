# A night looks at what has changed alone, and comes to what a match of
# everybody would: edits of every kind on both sides, by a seed, and after
# each few of them both are compared. ROUNDS and SEEDS in the environment.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = $ENV{ROUNDS} // 100;
my @seeds  = split /\s+/, $ENV{SEEDS} // '1 3';

my $node = PostgreSQL::Test::Cluster->new('again');
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf', "fsync = off\njit = off\nkinderconnect.shrink_floor = 1000000\n");
$node->start;

my %seen;
foreach my $seed (@seeds)
{
	my $world = "world_$seed";

	$node->safe_psql('postgres', "CREATE DATABASE $world");
	$node->safe_psql($world, 'CREATE EXTENSION kinderconnect CASCADE');
	$node->safe_psql($world, slurp_file('test/lib/match_again.sql'));
	my ($status, $said, $noise) = $node->psql($world, "CALL again.run($rounds, $seed / 1000.0)");
	is($status, 0, "$rounds rounds of seed $seed") or diag($noise);
	is($node->safe_psql($world, q{SELECT format('%s: %s %s', round, side, what) FROM again.difference ORDER BY round, what LIMIT 10}), '',
		'what changed, and everybody, come to the same');
	foreach (split /\n/, $node->safe_psql($world, 'SELECT what, n FROM again.seen'))
	{
		my ($what, $n) = split /\|/;
		$seen{$what} += $n;
	}
}
cmp_ok($seen{$_} // 0, '>', 0, "the rounds have seen $_") foreach 'taken over', qw(linked ended not_in_manage several_in_manage
	several_at_service middle_name_or_suffix already_linked id_disagrees several_stored_ids no_birth_date no_name parted
	name_changed link_disagrees child_gone candidates untouched rival_gone);

done_testing;
