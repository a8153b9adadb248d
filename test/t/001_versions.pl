# The control file says the version; everything else that names it agrees.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my ($version) = slurp_file('kinderconnect.control') =~ /^default_version = '(.+)'$/m;
my $meta = JSON::PP->new->utf8->decode(slurp_file('META.json'));
my ($newest) = slurp_file('CHANGELOG.md') =~ /^## (\S+)/m;
my ($listed) = slurp_file('Makefile') =~ /^REGRESS = ((?:.*\\\n)*.*)$/m;
my %listed = map { $_ => 1 } grep { $_ ne '\\' } split ' ', $listed;

is($meta->{version}, $version, 'META.json');
is($meta->{provides}{kinderconnect}{version}, $version, 'META.json, provides');
is($newest, $version, 'CHANGELOG.md');

# a test that nobody runs promises nothing
is_deeply([ sort keys %listed ], [ sort map { m{([^/]+)\.sql$} } glob 'test/sql/*.sql' ],
	'the Makefile lists every regression test');

done_testing;
