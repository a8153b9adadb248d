# prove.pl COUNT-FILE INCLUDE ...
# Runs test/t/*.pl, shows what failed and why, and writes "PASSED FAILED" into
# the file. A skipped test counts as neither; a file that breaks off, as failed.
use strict;
use warnings;

use TAP::Harness;
use TAP::Parser::Aggregator;

my ($count_file, @include) = @ARGV;
my $harness = TAP::Harness->new({ lib => \@include, timer => 1, failures => 1 });
my $result = TAP::Parser::Aggregator->new;
my ($passed, $failed) = (0, 0);

# One file at a time: the harness dies of a file that bails out.
$result->start;
foreach my $test (sort glob 'test/t/*.pl')
{
	my $bad;

	eval { $harness->aggregate_tests($result, $test); };
	print "$@\n" if $@;
	if (my ($parser) = $result->parsers($test))
	{
		$bad = scalar $parser->failed;
		$bad = 1 if $bad == 0 && ($parser->exit || $parser->parse_errors);
		$passed += scalar($parser->passed) - scalar($parser->skipped);
	}
	else
	{
		$bad = 1;
	}
	$failed += $bad;
	show_log($test) if $bad;
}
$result->stop;
$harness->summary($result) if $result->descriptions;

open my $out, '>', $count_file or die "could not open $count_file: $!";
print $out "$passed $failed\n";
close $out or die "could not write $count_file: $!";
exit($failed > 0);

# The end of the log that PostgreSQL's test modules keep for a test file.
sub show_log
{
	my ($test) = @_;
	my ($name) = $test =~ m{([^/]+)\.pl$};
	my ($log) = glob "tmp_check/log/regress_log_$name";
	my @lines;

	return unless defined $log && open my $in, '<', $log;
	@lines = <$in>;
	splice @lines, 0, -60 if @lines > 60;
	print "--- the end of the log of $test\n", @lines;
	return;
}
