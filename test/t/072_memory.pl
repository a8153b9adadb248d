# Nights of a library built with AddressSanitizer and UndefinedBehaviorSanitizer,
# each of the core's allocations a malloc() of its own: all goes well, and every
# way a call can fail. Then fifty nights in one session, which hold no more
# memory and no more files than ten.
use strict;
use warnings;
use lib "$ENV{TESTDIR}/test/lib";
use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $fuzz = "$ENV{TESTDIR}/test/fuzz";
my $asan = qx{gcc -print-file-name=libasan.so};
my ($out, $err);


chomp $asan;
SKIP:
{
	skip 'gcc has no AddressSanitizer', 1 unless -e $asan;
	skip 'from PostgreSQL 16 on the server has no place for contexts of our own', 1
		if qx{$ENV{PG_CONFIG} --version} !~ / 15\./;
	ok(IPC::Run::run([ 'make', '-s', '-C', $fuzz, 'MODE=asan', 'extension', "PG_CONFIG=$ENV{PG_CONFIG}" ], '>', \$out, '2>', \$err), 'the library is built')
		or BAIL_OUT($err);
	my $night = ready_night('sanitized', seed => made_seed(providers => 2));

	# the same functions, from that library
	$night->sql("UPDATE pg_proc SET probin = '$fuzz/build/asan/kinderconnect' WHERE probin = '\$libdir/kinderconnect'");
	{
		local $ENV{LD_PRELOAD} = slurp_file("$fuzz/build/asan/preload") =~ s/\n//r;
		local $ENV{ASAN_OPTIONS} = 'detect_leaks=0:detect_odr_violation=0:abort_on_error=1:allocator_may_return_null=1';
		local $ENV{UBSAN_OPTIONS} = 'print_stacktrace=1:halt_on_error=1:abort_on_error=1';
		$night->node->stop;
		# pg_ctl and what it starts
		$night->node->start;
	}
	is($night->night->{state}, '', 'a night');
	$night->agrees('all is there');
	foreach my $fault (
		{ kind => 'batch_failed', operation => 'submit', times => 3 }, { kind => 'status', status => 413, operation => 'submit', times => 1 },
		{ kind => 'cut', times => 5 }, { kind => 'drop_after', operation => 'submit', times => 1 }, { kind => 'truncated_json', times => 4 },
		{ kind => 'html', times => 4 }, { kind => 'bad_utf8', times => 4 }, { kind => 'gzip_bomb', bytes => 1000000, times => 4 },
		{ kind => 'deep_json', times => 4 }, { kind => 'repeat_page', times => 4 }, { kind => 'results_short', operation => 'submit', drop => 1, times => 1 },
		{ kind => 'results_long', operation => 'submit', times => 1 }, { kind => 'slow', ms => 1, bytes => 50, times => 6 },
		{ kind => 'expire_token', times => 2 }, { kind => 'hang', operation => 'children', times => 1 })
	{
		$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
		$night->admin('faults', { faults => [$fault] });
		my $end = $night->night('', "SET kinderconnect.request_timeout = '2s'; SET kinderconnect.max_response = '512kB';");
		like($end->{state}, qr/^(|KC402)$/, "a night of $fault->{kind}") or diag $end->{stderr};
		$night->admin('faults', { faults => [] });
	}
	$night->admin('release', {});
	is($night->night->{state}, '', 'and one without');
	$night->agrees('all is there');
	my $log = slurp_file($night->node->logfile);
	unlike($log, qr/AddressSanitizer|runtime error:|terminated by signal/, 'no word of the sanitizers');
	$night->node->stop;
}

# One session. Statistics are cached too, and are more of larger tables: they are
# made at the beginning, and no more.
my $night = ready_night('flat', seed => made_seed(providers => 2), conf => 'autovacuum = off');
my $measure = q{
	SELECT (regexp_match(pg_read_file('/proc/self/status', 0, 100000), 'RssAnon:\s+(\d+)'))[1],
		(SELECT count(*) FROM pg_ls_dir('/proc/self/fd')),
		(SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name NOT LIKE 'CachedPlan%'),
		(SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'CachedPlan%') \g
};
my $nights = "UPDATE manage.visit SET departed = departed + interval '1 minute';\nSET ROLE kinderconnect_operator;\nCALL kinderconnect.nightly();\nRESET ROLE;\n";
my $end = $night->try_sql("SET client_min_messages = warning;\n" . $nights x 10 . "ANALYZE;\n" . $nights x 2 . $measure . $nights x 50 . $measure);
is($end->{status}, 0, 'nights in one session') or diag $end->{stderr};
my ($before, $after) = map { [ split /\|/ ] } split /\n/, $end->{stdout};
note "kB, files, bytes in contexts, cached plans after twelve nights: @$before; after fifty more: @$after";
cmp_ok($after->[0] - $before->[0], '<', 3000, 'the backend has not grown');
# tables that grow have more; a leak would be one a night at least
cmp_ok($after->[1] - $before->[1], '<', 25, 'nor has it more files open');
cmp_ok($after->[2] - $before->[2], '<', 50_000, 'nor holds it more in its contexts');
# a plan that is made anew for a table that has grown may be another
cmp_ok($after->[3] - $before->[3], '<', 25, 'nor has it more plans');
$night->agrees('and all is there');

# A record of half a megabyte, of strings that nobody wants and that need to be
# unescaped each
my $highest = q{SELECT (regexp_match(pg_read_file('/proc/self/status', 0, 100000), 'VmHWM:\s+(\d+)'))[1];};
my $children = q{SELECT count(*) > 0 FROM kinderconnect.api_children('g-1', 'MO-1', 'P1', date_trunc('month', now())::date);};
$night->admin('faults', { faults => [ { kind => 'extra_rows', operation => 'children', skip => 1,
	rows => [ { childId => 'X', firstName => 'x', lastName => 'y', dateOfBirth => '2021-01-01', padding => [ ("\n") x 100_000 ] } ] } ] });
my ($low, $many, $high) = split /\n/, $night->sql("$children $highest $children $highest") =~ s/^t\n//r;
is($many, 't', 'a record of many strings');
note "kB at most, before it and after it: $low $high";
cmp_ok($high - $low, '<', 20_000, 'takes no more memory than it is long');

done_testing;
