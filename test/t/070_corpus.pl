# The corpus of the fuzzer, replayed in a backend of its own under
# AddressSanitizer and UndefinedBehaviorSanitizer: each reply is decoded whole
# and in pieces, to the same rows.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $fuzz = "$ENV{TESTDIR}/test/fuzz";
my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
my ($out, $err);

# gcc's own name where it has none
my $asan = qx{gcc -print-file-name=libasan.so};
chomp $asan;
plan skip_all => 'gcc has no AddressSanitizer' unless -e $asan;

ok(IPC::Run::run([ 'make', '-s', '-C', $fuzz, 'MODE=asan', "PG_CONFIG=$pg_config" ], '>', \$out, '2>', \$err), 'the module is built')
	or BAIL_OUT($err);

my $node = PostgreSQL::Test::Cluster->new('corpus');
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->start;
chdir $ENV{TESTDIR};
$node->command_ok([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', 'test/fuzz/setup.sql' ], 'its dialects');
$node->stop;

$ENV{PGDATA} = $node->data_dir;
delete $ENV{PGOPTIONS};
foreach my $corpus (sort glob "$fuzz/corpus/*")
{
	my ($target) = $corpus =~ /([a-z]+)$/;
	my $files = () = glob "$corpus/*";

	IPC::Run::run([ 'sh', "$fuzz/in-backend", 'asan', "SELECT replay('$target', '$corpus') AS files" ], '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	like($out, qr/files = "$files"/, "$target: $files inputs") or diag $err;
}

done_testing;
