# A wire that nothing in C or SQL knows, and no simulator: rows teach the
# extension to speak it, and a service of forty lines answers.
use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use KinderConnect;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = made_seed(children => 12);
my ($weekdays) = grep { $_->{childId} eq '1003' } @{ $seed->{groups}[0]{children} };
$weekdays->{authorizations}[0]{days} = [qw(MO TU WE TH FR)];
my $json = JSON::PP->new->canonical->utf8;
my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', Proto => 'tcp') or die "could not listen: $@";
my $url = 'http://127.0.0.1:' . $listen->sockport;

my %number = (MO => 1, TU => 2, WE => 3, TH => 4, FR => 5, SA => 6, SU => 7);
my (%held, @history, $lose);
my $asked = 0;

sub dotted { return defined $_[0] && $_[0] =~ /^(\d+)-(\d+)-(\d+)$/ ? sprintf($_[1], $3, $2, $1) : undef; }

# What it answers to "enrolment" and "care"
sub enrolment
{
	my ($call) = @_;
	my @children = @{ $seed->{groups}[0]{children} };
	my %more = $call->{more} ? () : (more => 'rest');

	@children = $call->{more} ? splice @children, 7 : splice @children, 0, 7;
	return { ok => JSON::PP::true, %more, families => [ map { {
		no => 0 + $_->{childId}, name => { given => $_->{firstName}, family => $_->{lastName} },
		born => dotted($_->{dateOfBirth}, '%02d.%02d.%d'), paid_by => 'state',
		grants => [ map { {
			from => dotted($_->{beginDate}, '%d.%d.%d'), till => '', hours => 40,
			week => [ map { $number{$_} } @{ $_->{days} // [] } ] } } @{ $_->{authorizations} } ] } } @children ] };
}

sub care
{
	my ($call) = @_;
	my @lines;

	foreach my $record (@{ $call->{parcel}{days} })
	{
		my ($d, $m, $y) = split /\./, $record->{on};
		my %content = $record->{visits}
		  ? (sessions => [ map { { in => $_->{came} =~ tr/./:/r, out => $_->{went} =~ tr/./:/r } } @{ $record->{visits} } ])
		  : $record->{instead}{what} eq 'AWAY' ? (absence => { reason => $record->{instead}{why} })
		  : (void => JSON::PP::true);
		my $before = grep { $_->{recordId} eq $record->{id} && $_->{status} eq 'accepted' } @history;
		my %posted = (groupId => 'G-1', agencyId => 'MO-1', providerId => $call->{site}{no}, childId => "$record->{no}",
			serviceDate => "$y-$m-$d", recordId => $record->{id}, %content);

		push @history, { %posted, sequence => 1 + @history, status => $before ? 'duplicate' : 'accepted' };
		push @lines, { id => $record->{id}, taken => $before ? 'before' : 'yes' };
		next if $before;
		delete $held{"$record->{no} $record->{on}"};
		$held{"$record->{no} $record->{on}"} = \%posted unless $content{void};
	}
	return { ok => JSON::PP::true, lines => \@lines };
}

sub serve
{
	while (my $client = $listen->accept)
	{
		my ($what) = (<$client> // '') =~ m{^(?:PUT|GET) /(\w+) };
		next unless defined $what;
		my ($length, $body) = (0, '');

		while (defined(my $line = <$client>))
		{
			last if $line =~ /^\r?$/;
			$length = $1 if $line =~ /^Content-Length: (\d+)/i;
		}
		read $client, $body, $length;
		my $call = $length ? $json->decode($body) : {};
		my $answer;

		$lose = 1 if $what eq 'lose';
		$asked++ if $length;
		$answer = { asked => $asked, store => { records => [ values %held ] }, history => { records => \@history } } if $what eq 'look';
		$answer //= { answer => { ok => JSON::PP::false, fault => { no => 7, text => 'who is asking?' } } }
		  if $length && ($call->{site}{key} // '') ne 'pass-word-1';
		$answer //= { answer => { ok => JSON::PP::false, fault => { no => 8, text => 'where is that?' } } }
		  if $length && $call->{site}{no} !~ /^P\d$/;
		$answer //= { answer => enrolment($call) } if $what eq 'enrolment';
		$answer //= { answer => care($call) } if $what eq 'care';
		$lose = 0, next if $what eq 'care' && $lose;
		$body = $json->encode($answer // {});
		print $client "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ", length $body, "\r\n\r\n", $body;
	}
	return;
}

my $service = fork // die "could not fork: $!";
if ($service == 0)
{
	local $SIG{PIPE} = 'IGNORE';
	eval { serve(); };
	print STDERR $@;
	POSIX::_exit(1);
}
$listen->close;
END { my $status = $?; kill 'TERM', $service if $service; waitpid $service, 0 if $service; $? = $status; }

sub look { return $json->decode(HTTP::Tiny->new(proxy => undef, http_proxy => undef)->get("$url/look")->{content}); }

# the rows, and nothing else
my $night = ready_night('third', seed => $seed, organizations => { gateway => 'G-1' }, days => 7);
$night->sql(slurp_file('test/lib/third_dialect.sql') . qq{
	INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('third', 'third', '$url');
	SELECT kinderconnect.enable_integration('gateway', 'G-1', endpoint => 'third');
	SELECT kinderconnect.add_provider('gateway', 'MO-1', provider, site) FROM manage.site;
	INSERT INTO kinderconnect.agency (agency_id, state) VALUES ('MO-1', 'MO')});
is($night->sql(q{SELECT count(*) FROM kinderconnect.check_dialect('third') WHERE severity <> 'info'}), 0, 'the rows can work');

sub agree
{
	my ($name) = @_;
	my $there = look();

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($night->run_file('compare', store => $json->encode($there->{store}), history => $json->encode($there->{history}), whole => 1), '', $name);
	return scalar @{ $there->{history}{records} };
}

is($night->night->{state}, '', 'a night');
my $sent = agree('all is there, row by row');
is($sent, $night->sql('SELECT count(*) FROM manage.truth'), 'each once');
is($night->sql('SELECT count(*) > 1, max(records) FROM kinderconnect.batch'), 't|50', 'no more than 50 in a parcel');
$night->night;
is(agree('and after another night'), $sent, 'nothing new, nothing sent');

my $latest = q{(SELECT max(visit) FROM manage.visit WHERE student = '%s')};
$night->sql(join ';',
	sprintf("UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE visit = $latest", 'S1'),
	sprintf("DELETE FROM manage.visit WHERE visit = $latest", 'S2'));
HTTP::Tiny->new(proxy => undef, http_proxy => undef)->get("$url/lose");
$night->night;
is(agree('a correction and a deletion, whose answer was lost'), $sent + 4, 'were sent, and sent again with the same ids');

# the codes of a service mean what its dialect says
my $failed = q{SELECT sqlstate, halted FROM kinderconnect.run_organization ORDER BY run_id DESC LIMIT 1};
my $health = q{SELECT status FROM kinderconnect.health WHERE check_name = 'credentials' AND organization_id = 'gateway'};
my $ask = q{SELECT * FROM kinderconnect.api_children('gateway', 'MO-1', 'nowhere', '2026-11-01')};
is($night->sql($health), 'ok', 'and nothing is wrong with the key');
like($night->try_sql("\\set VERBOSITY verbose\n$ask")->{stderr}, qr/KC203: the provider ID does not belong to the group.*The service says: 8: where is that\?/s, 'a provider that it does not have');
$night->write_secrets(wrong => 'not the key');
$night->sql(q{UPDATE kinderconnect.organization SET group_password = 'wrong'});
my $before = look()->{asked};
my $end = $night->night('', 'SET kinderconnect.max_in_flight = 1;');
is($end->{state}, 'KC402', 'a wrong key');
like($end->{stderr}, qr/The service says: 7: who is asking\?.*KC202/s, 'is told in the words of the service');
is($night->sql($failed), 'KC202|t', 'and halts the organization');
is(look()->{asked} - $before, 1, 'at once');
is($night->sql($health), 'critical', 'and is a matter of health');
$before = look()->{asked};
$night->sql(q{UPDATE kinderconnect.dialect_operation SET bad_password_code = 'BAD_GROUP_PASSWORD', bad_provider_code = NULL WHERE dialect = 'third'});
like($night->try_sql("\\set VERBOSITY verbose\n$ask")->{stderr}, qr/KC204: .*The service says: 7: who is asking\?/s, 'where the dialect does not say so, it is any code');
$end = $night->night('', 'SET kinderconnect.max_in_flight = 1;');
is($night->sql($failed), '|f', 'which halts nobody') or diag $end->{stderr};
cmp_ok(look()->{asked} - $before, '>', 2, 'so that it is asked again');

done_testing;
