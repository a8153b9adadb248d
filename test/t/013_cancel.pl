# Whatever the night waits for, it can be cancelled and terminated, and the
# next one is right.
use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use KinderConnect;
use PostgreSQL::Test::Utils;
use Socket;
use Test::More;
use Time::HiRes qw(time);

# no limit of ours ends a wait within the patience of gone()
my $night = ready_night('cancel', seed => made_seed(children => 3), days => 3,
	conf => "client_connection_check_interval = '50ms'\nkinderconnect.connect_timeout = '120s'\nkinderconnect.request_timeout = '30min'");
my @took;

# A name service that never answers for one name
my $source = $night->node->basedir . '/silent.c';
append_to_file($source, q{
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
		(int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **)) dlsym(RTLD_NEXT, "getaddrinfo");

	while (node != NULL && strcmp(node, "silent.example") == 0)
		pause();
	return next(node, service, hints, found);
}
});
system_or_bail('cc', '-shared', '-fPIC', '-o', "$source.so", $source, '-ldl');
{
	local $ENV{LD_PRELOAD} = "$source.so";
	$night->node->restart;
}

sub answered
{
	my ($operation) = @_;

	foreach my $try (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $night->admin('requests')->{operations}{$operation}{answered};
		select undef, undef, undef, 0.05;
	}
	die "no $operation was answered";
}

# Nothing listens to TLS here: who connects waits for an answer for ever
my $deaf = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Timeout => $PostgreSQL::Test::Utils::timeout_default) or die "could not listen: $@";
my @connected;

sub connecting
{
	my $socket = $deaf->accept or die "could not accept: $!";

	$socket->sysread(my $hello, 1) or die "nothing was sent: $!";
	push @connected, $socket;
	return;
}

# And nobody accepts here: the queue of the listener is full, so that whoever
# comes now is not even told that he was heard
my $full = IO::Socket::INET->new(Listen => 0, LocalAddr => '127.0.0.1') or die "could not listen: $@";
my @before;

foreach my $number (1 .. 16)
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0) or last;

	# one that is not heard would be taken for a backend's
	last unless IO::Select->new($socket)->can_write(0.2);
	push @before, $socket;
}

# Waits until somebody has asked for a connection to a port, in the kernel's list
sub knocking
{
	my ($port) = @_;
	my $wanted = sprintf ':%04X', $port;

	foreach my $try (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if grep { (split)[2] =~ /$wanted$/ && (split)[3] eq '02' } grep { !/rem_address/ } split /\n/, slurp_file('/proc/net/tcp');
		select undef, undef, undef, 0.05;
	}
	die "nobody knocks at $port";
}

# How many threads a process has: a name is resolved by one of its own
sub resolving
{
	my ($pid) = @_;

	foreach my $try (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if (slurp_file("/proc/$pid/status") =~ /^Threads:\s+(\d+)/m)[0] > 1;
		select undef, undef, undef, 0.05;
	}
	die 'no thread resolves a name';
}

# Waits until a session has ended, for less long than what it waits for may last
sub gone
{
	my ($pid) = @_;

	foreach my $try (1 .. 600)
	{
		return if $night->sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") == 0;
		select undef, undef, undef, 0.1;
	}
	die "session $pid does not end";
}

# That the service still holds its answer back
sub unanswered
{
	my ($operation) = @_;

	return $night->admin('requests')->{operations}{$operation}{answered} == 0;
}

sub endpoint
{
	my ($base, $token) = @_;

	$night->sql("UPDATE kinderconnect.endpoint SET base_url = '$base', token_url = '$token/oauth2/token'");
	return;
}

my $url = $night->url;
my @waits = (
	[ 'a reply that drips', { kind => 'slow', ms => 1000, operation => 'customers' }, sub { $night->wait_simulator(operation => 'customers', processed => 1) } ],
	[ 'headers', { kind => 'hang_before', operation => 'customers' }, sub { $night->wait_simulator(operation => 'customers', hanging => 1) } ],
	[ 'a reply to a submit', { kind => 'hang_before', operation => 'submit' }, sub { $night->wait_simulator(operation => 'submit', hanging => 1) } ],
	[ 'the next attempt', { kind => 'status', status => 503, retryAfter => '900', operation => 'children' }, sub { answered('children') } ],
	[ 'the next attempt at a token', { kind => 'status', status => 503, retryAfter => '900', operation => 'token' }, sub { answered('token') } ],
	[ 'a token', { kind => 'hang', operation => 'token' }, sub { $night->wait_simulator(operation => 'token', hanging => 1) } ],
	[ 'TLS', undef, \&connecting, $url, 'https://127.0.0.1:' . $deaf->sockport ],
	[ 'a connection', undef, sub { knocking($full->sockport) }, $url, 'https://127.0.0.1:' . $full->sockport ],
	[ 'a name', undef, \&resolving, $url, 'https://silent.example' ],
	[ 'a lock', undef, sub { $night->await(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'nightly'}) } ]);

# how it ends: the statement, its SQLSTATE, what is set before
my @ends = (
	[ 'pg_cancel_backend', qr/ERROR:  57014:/ ],
	[ 'pg_terminate_backend', qr/FATAL:  57P01:/ ],
	[ 'statement_timeout', qr/ERROR:  57014:/ ],
	[ 'SIGINT of psql', qr/ERROR:  57014:/ ],
	[ 'a client that is gone', qr/^$/ ]);
my $nights = 0;

foreach my $wait (@waits)
{
	my ($name, $fault, $reached, $base, $token) = @$wait;

	foreach my $end (@ends)
	{
		my ($how, $expected) = @$end;

		# the clock of a statement begins before it waits: once is enough
		next if $how eq 'statement_timeout' && $name ne 'headers';
		next if $how =~ /psql|gone/ && $name !~ /^(?:headers|a name|a connection|the next attempt|a lock)$/;

		$night->admin('reset', { keepStore => JSON::PP::true });
		$night->admin('faults', { faults => [ $fault // () ] });
		endpoint($base // $url, $token // $url);
		my $lock;
		if ($name eq 'a lock')
		{
			$lock = $night->start_sql('BEGIN; LOCK TABLE kinderconnect.list_state; SELECT pg_sleep(600)');
			$night->await(q{SELECT count(*) = 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'list_state' AND l.mode = 'AccessExclusiveLock' AND l.granted});
		}
		$nights++;
		my $job = $night->start_sql(($how eq 'statement_timeout' ? "SET statement_timeout = '2s';\n" : '') . 'CALL kinderconnect.nightly()');
		my $pid = $how eq 'statement_timeout' ? 0 : $job->pid;
		$reached->($pid) if $pid;
		my $begin = time;
		if ($how =~ /^pg_/) { is($night->sql("SELECT $how($pid)"), 't', "$how while it waits for $name"); }
		elsif ($how =~ /psql|gone/) { $job->{run}->signal($how =~ /psql/ ? 'INT' : 'KILL'); }
		gone($pid) if $pid;
		push @took, [ "$name, $how", time - $begin ] unless $how eq 'statement_timeout';
		my $ended = $job->finish;
		like($ended->{stderr}, $expected, "$how ends it: $name");
		ok(unanswered($fault->{operation}), 'while the service still holds its answer back') if $fault && $fault->{kind} ne 'status';
		is($night->admin('requests')->{operations}{submit}{hanging}, 1, 'and the service still hangs') if $name eq 'a reply to a submit';
		is($night->sql(q{SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'kinderconnect.list_state'::regclass AND granted}), 1, 'and another session still has the lock') if $lock;
		is($night->sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, 'no lock is left');
		if ($lock)
		{
			$night->sql('SELECT pg_terminate_backend(' . $lock->pid . ')');
			$lock->finish;
		}
	}
}
endpoint($url, $url);

like(slurp_file($night->node->logfile), qr/FATAL:  connection to client lost/, 'the loss of a client is noticed');

# In a session that lives on: as many descriptors and threads as before it
$night->admin('reset', { keepStore => JSON::PP::true });
is($night->night->{state}, '', 'the next night');
$night->agrees('does all');
is($night->sql(q{SELECT status, count(*) FROM kinderconnect.run GROUP BY 1 ORDER BY 1}), "interrupted|$nights\nsucceeded|1", 'the others are interrupted');
my $living = $night->node->basedir . '/living.sql';
my $call = q{SET statement_timeout = '1s'; SELECT * FROM kinderconnect.api_customers('g-1');};
my $count = q{SELECT count(*) FROM pg_ls_dir('/proc/self/fd') f;} ;
my @open;
foreach my $fault ({ kind => 'hang_before', operation => 'customers' }, { kind => 'hang', operation => 'token' }, { kind => 'slow', ms => 1000, operation => 'customers' })
{
	$night->admin('reset', { keepStore => JSON::PP::true });
	$night->admin('faults', { faults => [ $fault ] });
	my ($status, $stdout) = $night->node->psql('postgres', "SELECT kinderconnect.library_version(); $count" . ("$call RESET statement_timeout; $count") x 3, on_error_stop => 0);
	my @counts = $stdout =~ /^(\d+)$/mg;

	is(scalar @counts, 4, "three calls are cancelled: $fault->{kind}");
	is($counts[3], $counts[1], 'and leave no descriptor open');
}
$night->admin('reset', { keepStore => JSON::PP::true });
diag(sprintf '%-60s %.2f s', @$_) foreach grep { $ENV{KC_TELL_TIMES} } sort { $b->[1] <=> $a->[1] } @took;

done_testing;
