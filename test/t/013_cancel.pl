# Whatever the night waits for, it can be cancelled and terminated, and the
# next one is right.
use strict;
use warnings;

use IO::Socket::INET;
use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('cancel', seed => made_seed(children => 3), days => 3);
my %end = (pg_cancel_backend => qr/ERROR:  57014:/, pg_terminate_backend => qr/FATAL:  57P01:/);

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

my @waits = (
	[ 'a reply that drips', { kind => 'slow', ms => 1000, operation => 'customers' }, sub { $night->wait_simulator(operation => 'customers', processed => 1) } ],
	[ 'a reply to a submit', { kind => 'hang_before', operation => 'submit' }, sub { $night->wait_simulator(operation => 'submit', hanging => 1) } ],
	[ 'the next attempt', { kind => 'status', status => 503, retryAfter => '50', operation => 'children' }, sub { answered('children') } ],
	[ 'a token', { kind => 'hang', operation => 'token' }, sub { $night->wait_simulator(operation => 'token', hanging => 1) } ],
	[ 'a connection', undef, \&connecting ]);

foreach my $wait (@waits)
{
	my ($name, $fault, $reached) = @$wait;

	foreach my $how (sort keys %end)
	{
		$night->admin('reset', { keepStore => JSON::PP::true });
		$night->admin('faults', { faults => [ $fault // () ] });
		$night->sql("UPDATE kinderconnect.endpoint SET token_url = 'https://127.0.0.1:" . $deaf->sockport . "/oauth2/token'") unless $fault;
		my $job = $night->start_sql('CALL kinderconnect.nightly()');
		$reached->();
		is($night->sql("SELECT $how(" . $job->pid . ')'), 't', "$how while it waits for $name");
		my $ended = $job->finish;
		like($ended->{stderr}, $end{$how}, 'ends it');
		is($night->admin('requests')->{operations}{submit}{hanging}, 1, 'and the service still hangs') if $fault && $fault->{kind} eq 'hang_before';
		is($night->sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, 'no lock is left');
	}
}
$night->sql('UPDATE kinderconnect.endpoint SET token_url = base_url || \'/oauth2/token\'');
$night->admin('reset', { keepStore => JSON::PP::true });
is($night->night->{state}, '', 'the next night');
$night->agrees('does all');
is($night->sql(q{SELECT status, count(*) FROM kinderconnect.run GROUP BY 1 ORDER BY 1}), "interrupted|10\nsucceeded|1", 'the others are interrupted');

done_testing;
