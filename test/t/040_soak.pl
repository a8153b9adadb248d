# Faults, edits and nights, mixed from a seed: whatever comes, nothing is lost,
# doubled or mislabelled. `make soak ROUNDS=5000 SEED=n` goes on for longer.
use strict;
use warnings;

use Soak;
use Test::More;

my ($rounds, $seed) = (200, 2026);
my $soak = Soak->new('soak', seed => $seed);

note("seed $seed");
is($soak->run($rounds), '', "$rounds rounds from seed $seed");
like($soak->summary, qr/^$rounds rounds, [1-9]\d{4,} child-days, 0 differences$/, 'counted');
note($soak->summary);

done_testing;
