# soak.pl ROUNDS SEED: the randomised test, by hand. Called by test/soak.
use strict;
use warnings;

use Soak;
use Test::More;

my ($rounds, $seed) = @ARGV;
# what PostgreSQL's test modules leave of the standard output
my $out = Test::More->builder->output;
my ($soak, $found) = (undef, '');

$out->autoflush(1);
print $out "seed $seed\n";
eval
{
	$soak = Soak->new('soak', seed => $seed);
	foreach my $round (1 .. $rounds)
	{
		$found = $soak->round($round);
		last if $found ne '';
		print $out $soak->summary, "\n" if $round % 50 == 0 && $round < $rounds;
	}
};
if ($@)
{
	print $out 'it broke off', $soak ? ' after ' . $soak->summary : '', ": $@";
	exit 2;
}
print $out $found, $soak->summary, "\n";
exit($found ne '' ? 1 : 0);
