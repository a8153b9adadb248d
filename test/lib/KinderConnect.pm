# A night of its own for a TAP test: a server with pg_cron, a secrets file
# beside its data directory, and a simulator of the service.
#
#   my $night = new_night('crash', conf => "work_mem = '1MB'");
#   $night->install;                          # extension, endpoint, its secret
#   $night->enable('sunshine', 'G-SUN');      # organization, group of the seed
#   $night->sql("SELECT kinderconnect.arm()");
#
#   $night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit' } ] });
#   my $job = $night->start_sql('CALL kinderconnect.nightly()');
#   $night->wait_simulator(operation => 'submit', hanging => 1);
#   kill 'KILL', $job->pid;
#   my $end = $job->finish;                   # { status, stdout, stderr }
#
# Or ready for its first night, with a Manage that knows everybody in the seed:
#
#   my $night = ready_night('faults', seed => made_seed(providers => 2));
#   is($night->night->{state}, '', 'a night');
#   $night->agrees('nothing lost, nothing doubled');
package KinderConnect;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_night ready_night made_seed own_server answering);

my $lib = dirname(abs_path(__FILE__));
my $json = JSON::PP->new->utf8->canonical;
# nothing of the environment stands between a test and its simulator
my $http = HTTP::Tiny->new(
	timeout => $PostgreSQL::Test::Utils::timeout_default,
	proxy => undef,
	http_proxy => undef,
	https_proxy => undef);
my %simulators;

END
{
	my $status = $?;

	kill 'TERM', keys %simulators;
	$? = $status;
}

# seed: a file or a hash, default test/data/seed.json; simulator: its further
# options; conf: lines of postgresql.conf; init: arguments of the node's init;
# server: of own_server()
sub new_night
{
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, defined $option{server} ? (install_path => $option{server}) : ());
	my $self = bless {
		node => $node,
		database => 'postgres',
		seed => $option{seed} // "$lib/../data/seed.json",
		options => $option{simulator} // [],
		secrets => $node->basedir . '/kinderconnect.secrets',
		jobs => 0 }, __PACKAGE__;

	if (ref $self->{seed})
	{
		my $file = $node->basedir . '/seed.json';

		append_to_file($file, $json->encode($self->{seed}));
		$self->{seed} = $file;
	}

	$node->init(
		extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ],
		%{ $option{init} // {} });
	$node->append_conf('postgresql.conf', join "\n",
		'restart_after_crash = on',
		"shared_preload_libraries = 'pg_cron'",
		"cron.database_name = '$self->{database}'",
		"cron.host = '" . $node->host . "'",
		"kinderconnect.secrets_file = '$self->{secrets}'",
		'kinderconnect.retry_delay = 10ms',
		$option{conf} // '');
	$node->start;
	$self->start_simulator;
	return $self;
}

# A copy of the server's installation in a directory of the test's own, where
# further scripts of the extension can be put: ($path, $extension_directory)
sub own_server
{
	my ($root) = @_;
	my %where;

	foreach my $what (qw(bindir pkglibdir sharedir))
	{
		chomp($where{$what} = `"$ENV{PG_CONFIG}" --$what`);
		system_or_bail('mkdir', '-p', dirname("$root$where{$what}"));
	}
	# a program finds the rest from where it is, not from where a link to it is
	system_or_bail('cp', '-R', $where{bindir}, "$root$where{bindir}");
	symlink $where{pkglibdir}, "$root$where{pkglibdir}" or die "could not link $where{pkglibdir}: $!";
	mkdir "$root$where{sharedir}" or die "could not make $root$where{sharedir}: $!";
	mkdir "$root$where{sharedir}/extension" or die "could not make $root$where{sharedir}/extension: $!";
	foreach my $file (glob "$where{sharedir}/* $where{sharedir}/extension/*")
	{
		symlink $file, "$root$file" unless -e "$root$file";
	}
	return (dirname("$root$where{bindir}"), "$root$where{sharedir}/extension");
}

# A service of the test's own, for what the simulator does not say: it answers
# each request with the bytes that this function makes of it, one after the
# other, and closes. What the function remembers is not seen from outside.
# Answers its URL.
sub answering
{
	my ($answer) = @_;
	my $listener = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "could not listen: $!";
	my $process = fork // die "could not fork: $!";

	if ($process == 0)
	{
		local $SIG{PIPE} = 'IGNORE';
		while (my $socket = $listener->accept)
		{
			my $request = '';

			until ($request =~ /\r\n\r\n/ && length($request) >= $+[0] + ($request =~ /^Content-Length: (\d+)/mi ? $1 : 0))
			{
				sysread $socket, $request, 65536, length $request or last;
			}
			my $bytes = eval { $answer->($request) };
			$socket->syswrite($bytes) if defined $bytes;
			close $socket;
		}
		# none of the parent's END blocks
		POSIX::_exit(0);
	}
	$simulators{$process} = 1;
	return 'http://127.0.0.1:' . $listener->sockport;
}

# organizations: organization => group of the seed, default all of its groups,
# each as the organization of its name in lower case; days: of attendance
sub ready_night
{
	my ($name, %option) = @_;
	my $self = new_night($name, %option);
	my %organization = %{ $option{organizations}
		  // { map { lc $_->{groupId} => $_->{groupId} } @{ $self->seed->{groups} } } };

	$self->install;
	$self->run_file('manage');
	foreach my $organization (sort keys %organization)
	{
		$self->run_file('manage_group',
			seed => slurp_file($self->{seed}),
			group => $organization{$organization},
			organization => $organization,
			days => $option{days} // 6);
		$self->enable($organization, $organization{$organization});
	}
	$self->sql('SELECT kinderconnect.arm()');
	return $self;
}

# A seed of children whom nothing is the matter with: groups G-1, G-2, ...,
# in each the providers P1, P2, ... of agency MO-1
sub made_seed
{
	my (%number) = (groups => 1, providers => 1, children => 4, @_);
	my @groups;

	foreach my $g (1 .. $number{groups})
	{
		my %group = (
			groupId => "G-$g",
			groupPassword => "pass-word-$g",
			customers => [ { customerId => 'C', name => 'Customer', status => 'active' } ],
			agencies => [ { agencyId => 'MO-1', name => 'Office', state => 'MO', timeZone => 'America/Chicago' } ]);

		foreach my $p (1 .. $number{providers})
		{
			push @{ $group{locations} },
			  { providerId => "P$p", agencyId => 'MO-1', customerId => 'C', name => "Place $p",
				address => { zip => sprintf '63%03d', $p }, status => 'active' };
			push @{ $group{children} }, map { made_child($p, $_) } 1 .. $number{children};
		}
		push @groups, \%group;
	}
	return {
		clients => [ { clientId => 'kc-client', clientSecret => 'client-secret-1' } ],
		groups => \@groups };
}

sub made_child
{
	my ($p, $n) = @_;

	return {
		agencyId => 'MO-1', childId => "$p" . sprintf('%03d', $n), firstName => "Given$p-$n", middleName => undef,
		lastName => "Family$n", suffix => undef, dateOfBirth => sprintf('2021-%02d-%02d', 1 + $n % 12, 1 + $n % 28), subsidized => JSON::PP::true,
		authorizations => [ { providerId => "P$p", authorizationId => "A-$p-$n", beginDate => '2020-01-06',
			endDate => undef, unitsOfCare => 'FULL', days => undef } ] };
}

# The module that ends a session at a commit of its choice, built here
sub build_death
{
	my ($self) = @_;
	my $directory = $self->{node}->basedir . '/death';
	my $source = abs_path("$lib/../modules/death");

	mkdir $directory or die "could not make $directory: $!";
	PostgreSQL::Test::Utils::system_or_bail('make', '-s', '-C', $directory, '-f', "$source/Makefile", "VPATH=$source",
		'PG_CONFIG=' . ($ENV{PG_CONFIG} // 'pg_config'));
	$self->{death} = "$directory/death";
	return;
}

# A night that dies by itself at the n-th of its commits, 'before' it or
# 'after' it, or with 0 at none: as night(), and how many commits it had
sub mortal_night
{
	my ($self, $at, $when, $arguments) = @_;

	$self->{alive_at} = -s $self->{node}->logfile;
	local $ENV{PGOPTIONS} = "-c session_preload_libraries=$self->{death} -c death.at=$at -c death.after=" . ($when eq 'after' ? 'on' : 'off');
	my $end = $self->night($arguments, '', 'SHOW death.commits;');
	($end->{commits}) = $end->{stdout} =~ /^(\d+)$/m;
	return $end;
}

sub node { return $_[0]{node}; }
sub url { return $_[0]{url}; }
sub secrets_file { return $_[0]{secrets}; }

# The extension, and the seed's first client as the endpoint "service"
sub install
{
	my ($self) = @_;
	my $client = $self->seed->{clients}[0];

	$self->write_secrets('service' => $client->{clientSecret});
	$self->sql(
		qq{
		SET client_min_messages = warning;
		CREATE EXTENSION IF NOT EXISTS pg_cron;
		CREATE EXTENSION kinderconnect CASCADE;
		INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
		VALUES ('service', 'kinderbridge', '$self->{url}', '$self->{url}/oauth2/token', '$client->{clientId}', 'service');
	});
	return;
}

# An organization that reports as a group of the seed
sub enable
{
	my ($self, $organization, $group) = @_;
	my ($found) = grep { $_->{groupId} eq $group } @{ $self->seed->{groups} };

	die "the seed has no group $group" unless $found;
	$self->write_secrets("group_$organization" => $found->{groupPassword});
	$self->sql("SELECT kinderconnect.enable_integration('$organization', '$group')");
	return;
}

# The seed as a hash
sub seed
{
	my ($self) = @_;

	return $json->decode(slurp_file($self->{seed}));
}

# Adds lines to the secrets file; names that are in it stay as they are
sub write_secrets
{
	my ($self, %secret) = @_;
	my $text = -e $self->{secrets} ? slurp_file($self->{secrets}) : '';

	foreach my $name (sort keys %secret)
	{
		my $value = $secret{$name};

		utf8::encode($value) if utf8::is_utf8($value);
		$text .= "$name:$value\n" unless $text =~ /^\Q$name\E:/m;
	}
	unlink $self->{secrets};
	append_to_file($self->{secrets}, '');
	chmod 0600, $self->{secrets} or die "could not chmod $self->{secrets}: $!";
	append_to_file($self->{secrets}, $text);
	return;
}

# The output of a query that must work
sub sql
{
	my ($self, $query) = @_;

	return $self->{node}->safe_psql($self->{database}, $query);
}

# What becomes of a query that need not work: { status, stdout, stderr }
sub try_sql
{
	my ($self, $query) = @_;
	my ($status, $stdout, $stderr) = $self->{node}->psql($self->{database}, $query);

	return { status => $status, stdout => $stdout, stderr => $stderr };
}

# The night, as an operator, with these arguments, between these statements:
# { status, stdout, stderr, state }, state '' or the SQLSTATE of its error
sub night
{
	my ($self, $arguments, $before, $after) = @_;
	my $end = $self->try_sql(join "\n", '\set VERBOSITY verbose', 'SET ROLE kinderconnect_operator;', $before // '',
		'CALL kinderconnect.nightly(' . ($arguments // '') . ');', $after // '');

	$end->{state} = $end->{stderr} =~ /ERROR:  ([0-9A-Z]{5}):/ ? $1 : '';
	return $end;
}

# A file of this directory, with these psql variables; answers its output. It
# has names in it that the log is not to have from a test.
sub run_file
{
	my ($self, $file, %variable) = @_;
	my $text = "SET log_statement = 'none';\nSET log_min_duration_statement = -1;\n"
	  . "SET auto_explain.log_min_duration = -1;\nSET pg_stat_statements.track = 'none';\n";

	foreach my $name (sort keys %variable)
	{
		my $path = $self->{node}->basedir . "/variable.$name";

		unlink $path;
		append_to_file($path, $variable{$name});
		$text .= "\\set $name `cat '$path'`\n";
	}
	return $self->sql($text . slurp_file("$lib/$file.sql"));
}

# A test that the simulator, the extension and Manage agree about every day,
# and that nothing was ever sent twice, or under an id of something else.
# whole => 0: something that could be sent is not there yet
sub agrees
{
	my ($self, $name, %option) = @_;
	my $history = $self->admin('history?after=' . ($self->{seen} // 0));
	my $difference = $self->run_file('compare',
		store => $json->encode($self->admin('store')),
		history => $json->encode($history),
		whole => $option{whole} // 1);

	$self->{seen} += @{ $history->{records} };

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($difference, '', $name);
}

# Where a stack holds the frames of signals of x86-64: begin and size of each
# save area, which names its size 464 bytes from its begin
sub saved_registers
{
	my ($stack) = @_;
	my @area;

	while ($stack =~ /SXPF(.{4})/gs)
	{
		my ($begin, $size) = ($-[0] - 464, unpack 'V', $1);

		push @area, [ $begin, $size ] if $begin >= 0 && $begin + $size <= length $stack && substr($stack, $begin + $size - 4, 4) eq 'EXPF';
	}
	return @area;
}

# Where in the memory of a process a pattern is found, a line each; undef where
# the operating system does not let anybody look
sub in_memory
{
	my ($self, $pid, $pattern) = @_;
	my $chunk = 4 * 1024 * 1024;
	my @found;

	no warnings 'portable';
	open my $memory, '<:raw', "/proc/$pid/mem" or return;
	foreach my $map (split /\n/, slurp_file("/proc/$pid/maps"))
	{
		my ($from, $to, $rights, $what) = $map =~ /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)/ or next;
		my ($at, $end, $kept) = (hex $from, hex $to, '');

		next if $rights !~ /^rw/ || $what =~ /^\[v/;
		while ($at < $end)
		{
			my $size = $end - $at < $chunk ? $end - $at : $chunk;

			defined sysseek($memory, $at, 0) or last;
			(sysread($memory, my $bytes, $size) // 0) == $size or last;
			# what a signal saved of the registers, where memcpy() leaves a secret
			substr $bytes, $_->[0], $_->[1], "\0" x $_->[1] foreach $what eq '[stack]' ? saved_registers($bytes) : ();
			my $text = $kept . $bytes;
			push @found, "$map: " . ($& =~ s/[^ -~]/?/gr) while $text =~ /$pattern/g;
			$kept = substr $text, -256;
			$at += $size;
		}
	}
	return join "\n", @found;
}

# The same in the background; statements that are apart stay apart, so that a
# procedure may commit. A night is an operator's.
sub start_sql
{
	my ($self, $query) = @_;

	$query =~ s/^(?=\s*CALL kinderconnect\.nightly)/SET ROLE kinderconnect_operator;\n/m
	  unless $query =~ /SET ROLE/;
	$self->{alive_at} = -s $self->{node}->logfile;
	return KinderConnect::Job->start($self, 'job ' . ++$self->{jobs}, $query);
}

# Waits until the server is there again, after the death of a backend of the
# last mortal night or job. A query alone may be answered before the server
# has noticed it.
sub await_restart
{
	my ($self) = @_;

	$self->{node}->wait_for_log(qr/terminated by signal 9.*ready to accept connections/s, $self->{alive_at});
	return;
}

# Waits until a query answers 't', or what is expected
sub await
{
	my ($self, $query, $expected) = @_;

	$self->{node}->poll_query_until($self->{database}, $query, $expected // 't')
	  or die "waited in vain for: $query";
	return;
}

sub start_simulator
{
	my ($self) = @_;
	my @options = @{ $self->{options} };
	my ($stdout, $stderr) = ('', '');

	# the endpoint's row holds the port, so that it must be the same again
	push @options, '--port', $1
	  if defined $self->{url} && $self->{url} =~ /:(\d+)$/;
	IPC::Run::run(
		[ 'sh', "$lib/simulator-up", $self->{node}->basedir, $self->{seed}, @options ],
		'>', \$stdout, '2>', \$stderr)
	  or die $stderr;
	($self->{process}, $self->{url}) = $stdout =~ /^(\d+) (\S+)$/
	  or die "simulator-up said: $stdout";
	$simulators{ $self->{process} } = 1;
	return;
}

# As a service that is gone: its port refuses connections
sub stop_simulator
{
	my ($self) = @_;
	my $port = ($self->{url} =~ /:(\d+)$/)[0];

	kill 'TERM', $self->{process};
	delete $simulators{ $self->{process} };
	foreach my $try (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return unless kill 0, $self->{process};
		select undef, undef, undef, 0.1;
	}
	die "the simulator at port $port did not end";
}

# GET /_admin/$what, or POST it with a body; answers the decoded reply
sub admin
{
	my ($self, $what, $body) = @_;
	my $url = "$self->{url}/_admin/$what";
	my $reply =
	  defined $body
	  ? $http->post($url,
		{
			headers => { 'Content-Type' => 'application/json' },
			content => $json->encode($body) })
	  : $http->get($url);

	die "$url: $reply->{status} $reply->{content}" unless $reply->{success};
	return $json->decode($reply->{content});
}

# Waits at the simulator, which answers the moment it is so:
# operation => 'submit', and inFlight, hanging or processed => N, or idle => 1
sub wait_simulator
{
	my ($self, %wanted) = @_;

	return $self->admin('wait?' . $http->www_form_urlencode(\%wanted));
}

package KinderConnect::Job;

use strict;
use warnings;

sub start
{
	my ($class, $night, $name, $query) = @_;
	my $self = bless { night => $night, name => $name, stdout => '', stderr => '' }, $class;
	my $node = $night->{node};

	my $file = $node->basedir . "/$name.sql";

	PostgreSQL::Test::Utils::append_to_file($file, $query);
	local $ENV{PGAPPNAME} = $name;
	$self->{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-v', 'ON_ERROR_STOP=1',
			'-v', 'VERBOSITY=verbose', '-d', $node->connstr($night->{database}), '-f', $file
		],
		'<', \undef, '>', \$self->{stdout}, '2>', \$self->{stderr},
		IPC::Run::timer(2 * $PostgreSQL::Test::Utils::timeout_default));
	return $self;
}

# Of its backend, once it has begun. Between two of its statements it is idle,
# so that its state would not say so twice
sub pid
{
	my ($self) = @_;
	my $backend = "FROM pg_stat_activity WHERE application_name = '$self->{name}' AND backend_type = 'client backend' AND query_start IS NOT NULL";

	$self->{night}->await("SELECT count(*) = 1 $backend");
	return $self->{night}->sql("SELECT pid $backend");
}

# Waits for its end: status is 0, or 3 after an error, 2 after a lost connection
sub finish
{
	my ($self) = @_;

	$self->{run}->finish;
	return {
		status => $self->{run}->full_result >> 8,
		stdout => $self->{stdout},
		stderr => $self->{stderr} };
}

1;
