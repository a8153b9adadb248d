# What no HTTP server should say, said to every operation of both dialects:
# each ends as one clear error, what is stored stays, and the next night is
# right.
use strict;
use warnings;
use lib "$ENV{TESTDIR}/test/lib";
use Compress::Zlib;
use IO::Socket::INET;
use JSON::PP;
use KinderConnect;
use PostgreSQL::Test::Utils;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;

my $night = ready_night('hostile_wire', seed => made_seed(providers => 2));
my $dir = $night->node->basedir;

# A server that says these bytes to whoever asks, and then: close, reset, hang,
# drip (a byte at a time, for ever), or flood (the last line, for ever)
my $listener = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die $!;
my $url = 'http://127.0.0.1:' . $listener->sockport;
my $server = fork // die $!;
if ($server == 0)
{
	$SIG{PIPE} = 'IGNORE';
	$SIG{CHLD} = 'IGNORE';
	while (my $socket = $listener->accept)
	{
		next if fork;
		serve($socket);
		# none of the parent's END blocks
		require POSIX;
		POSIX::_exit(0);
	}
	POSIX::_exit(0);
}
close $listener;
END { my $status = $?; kill 'TERM', $server if $server; $? = $status; }

sub serve
{
	my ($socket) = @_;
	my ($request, $then, $bytes) = ('', split /\n/, slurp_file("$dir/says"), 2);

	until ($request =~ /\r\n\r\n/ && length($request) >= $+[0] + ($request =~ /^Content-Length: (\d+)/mi ? $1 : 0))
	{
		sysread $socket, $request, 65536, length $request or return;
	}
	append_to_file("$dir/said", '');
	$socket->syswrite($bytes) if length $bytes;
	if ($then eq 'reset')
	{
		setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
	}
	elsif ($then eq 'drip' || $then eq 'flood')
	{
		my $more = $then eq 'drip' ? ' ' : ' ' x 65536;

		while ($socket->syswrite($more))
		{
			select undef, undef, undef, 0.02 if $then eq 'drip';
		}
	}
	elsif ($then eq 'hang')
	{
		sysread $socket, $request, 1;
	}
	close $socket;
	return;
}

sub says
{
	my ($then, $bytes) = @_;

	unlink "$dir/says";
	append_to_file("$dir/says.new", "$then\n$bytes");
	rename "$dir/says.new", "$dir/says" or die $!;
	return;
}

sub reply
{
	my ($body, @headers) = @_;

	return join("\r\n", 'HTTP/1.1 200 OK', 'Content-Type: application/json', @headers,
		(grep { /^(Content-Length|Transfer-Encoding)/ } @headers) ? () : 'Content-Length: ' . length $body, '', $body);
}

# Both dialects, at that server
$night->write_secrets('group_older' => 'password', 'token' => 'secret');
$night->sql(qq{
	INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
	VALUES ('hostile', 'kinderbridge', '$url', '@{[ $night->url ]}/oauth2/token', 'kc-client', 'service'),
		('token', 'kinderbridge', '$url', '$url', 'kc-client', 'service'),
		('gone', 'kinderbridge', 'http://127.0.0.1:1', '@{[ $night->url ]}/oauth2/token', 'kc-client', 'service'),
		('nowhere', 'kinderbridge', 'https://kinderconnect.invalid', '@{[ $night->url ]}/oauth2/token', 'kc-client', 'service'),
		('older', 'vendor-interface', '$url', NULL, NULL, NULL);
	INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled, enabled)
	SELECT name, name, 'G-' || name, CASE name WHEN 'older' THEN 'group_older' ELSE 'group_g-1' END, current_date, false
	FROM unnest(ARRAY['hostile', 'token', 'gone', 'nowhere', 'older']) name;
	CREATE FUNCTION public.fails(statement text) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE detail text;
	BEGIN
		EXECUTE statement;
		RETURN 'it works';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
		RETURN concat_ws(' | ', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''));
	END \$\$});

my $record = q{ARRAY[ROW('r1', '1', '2024-03-09', 'absence', NULL, NULL, 'SICK')]::kinderconnect.wire_record[]};
my @calls = (
	(map { [ $_ => 'hostile' ] } qw(customers locations agencies children readback submit)),
	[ children => 'token' ],
	(map { [ $_ => 'older' ] } qw(children submit)));
my %statement = (
	customers => "api_customers(%s)",
	locations => "api_locations(%s, 'C')",
	agencies => "api_agencies(%s, 'C')",
	children => "api_children(%s, 'MO-1', 'P1', '2024-03-31')",
	readback => "api_readback(%s, 'MO-1', 'P1', '2024-03-09', '2024-03-10')",
	submit => "api_submit(%s, 'MO-1', 'P1', 'batch', $record)");

# How each of the calls fails, in one session
sub failures
{
	my (@which) = @_ ? @_ : @calls;
	my $sql = "SET kinderconnect.max_attempts = 1; SET kinderconnect.request_timeout = '700ms'; SET kinderconnect.max_response = '64kB';\n";

	foreach my $call (@which)
	{
		my $statement = sprintf $statement{ $call->[0] }, "'$call->[1]'";
		$sql .= 'SELECT public.fails($x$ SELECT kinderconnect.' . $statement . " \$x\$);\n";
	}
	my $said = $night->sql($sql);
	$said =~ s/127\.0\.0\.1:\d+/SERVER/g;
	return split /\n/, $said;
}

# What is known of a batch that was sent to that server
sub batch_outcome
{
	my ($organization, $columns) = @_;

	return $night->sql("SET kinderconnect.max_attempts = 1; SELECT kinderconnect._open(NULL);
		SELECT kinderconnect._start_submit('$organization', 'MO-1', 'P1', 'batch', $record);
		SELECT $columns FROM kinderconnect._collect(); SELECT kinderconnect._close()") =~ s/^\n*\d+\n|\n+$//gr;
}

my $held = q{
	SELECT md5(string_agg(line, E'\n' ORDER BY line)) FROM (
		SELECT d::text FROM kinderconnect.child d UNION ALL SELECT d::text FROM kinderconnect.authorization d
		UNION ALL SELECT d::text FROM kinderconnect.listed_location d UNION ALL SELECT d::text FROM kinderconnect.child_day d
		UNION ALL SELECT d::text FROM kinderconnect.ledger d) x (line)};
is($night->night->{state}, '', 'a night');
$night->agrees('all is there');
my $stored = $night->sql($held);

my $bomb = (' ' x 1048576);
my $json = '{"customers": [], "locations": [], "agencies": [], "children": [], "records": [], "results": [], "Status": "OK", "Children": [], "Results": [], "access_token": "';
my $lost = qr/^KC103 (the connection to "SERVER" broke before the whole answer arrived|no complete answer from "SERVER" within 700 ms)/;
my $not_json = qr/^KC301 .*(something other than JSON|access_token)/;
my $too_large = qr/^KC302 the reply of "SERVER" is larger than 64 kB/;
# not every libcurl unpacks these
my $packed = qr/^KC(302|103) the (reply|connection)/;
my @cases = (
	[ 'nothing', $lost, close => '' ],
	[ 'a reset', $lost, reset => '' ],
	[ 'a reset in the body', $lost, reset => substr(reply($json . '"}'), 0, -10) ],
	[ 'silence', $lost, hang => '' ],
	[ 'half a status line', $lost, close => 'HTTP/1.' ],
	[ 'half the headers', qr/^KC(103|301) /, close => "HTTP/1.1 200 OK\r\nContent-Type: appl" ],
	[ 'HTTP/0.9', $lost, close => $json . '"}' ],
	[ 'a status that is none', $lost, close => "HTTP/1.1 2x0 OK\r\n\r\n" ],
	[ 'status 600', qr/^KC204 .*HTTP status 600/, close => "HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n" ],
	[ 'status 204', qr/^KC(204|301) /, close => "HTTP/1.1 204 No Content\r\n\r\n" ],
	[ 'status 304', qr/^KC204 .*a redirect/, close => "HTTP/1.1 304 Not Modified\r\n\r\n" ],
	[ 'a redirect', qr/^KC204 .*a redirect \(HTTP status 302\)/, close => "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n" ],
	[ 'continue, for ever', qr/^KC(103|301) /, flood => "HTTP/1.1 100 Continue\r\n\r\n" ],
	[ 'other protocols', $lost, close => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" ],
	[ 'a header of a megabyte', qr/^KC(103|301) /, close => "HTTP/1.1 200 OK\r\nX: " . ('x' x 1048576) . "\r\n\r\n" ],
	[ 'headers without end', qr/^KC301 .*more than 65536 bytes of headers/, close => "HTTP/1.1 200 OK\r\n" . ("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" x 50000) ],
	[ 'a header with a zero byte', $lost, close => reply('{}', "X-Zero: a\0b") ],
	[ 'a content type of HTML', $not_json, close => "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<h1>" ],
	[ 'no content type', $not_json, close => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" ],
	[ 'an empty body', qr/^KC301 .*(The reply is empty|access_token)/, close => reply('') ],
	[ 'a gigabyte announced, and cut', $lost, close => reply($json, 'Content-Length: 1073741824') ],
	[ 'a gigabyte announced, and silence', $lost, hang => reply($json, 'Content-Length: 1073741824') ],
	[ 'a negative length', $lost, close => reply('{}', 'Content-Length: -1') ],
	[ 'a length of thirty digits', qr/^KC(103|204|301) /, close => reply('{}', 'Content-Length: ' . '9' x 30) ],
	[ 'two lengths', qr/^KC(103|301) /, close => reply('{}', 'Content-Length: 2', 'Content-Length: 1') ],
	[ 'a length that is too short', qr/^KC301 .*(The reply is cut off|access_token)/, close => reply($json . '"}', 'Content-Length: 30') ],
	[ 'a byte at a time', $lost, drip => reply('', 'Content-Length: 60000') ],
	[ 'a body without end', $too_large, flood => reply('', 'Content-Length: 1073741824') ],
	[ 'a chunk that is none', $lost, close => reply("zz\r\n{}\r\n0\r\n\r\n", 'Transfer-Encoding: chunked') ],
	[ 'a chunk of 2^70', $lost, close => reply("400000000000000000\r\n{}", 'Transfer-Encoding: chunked') ],
	[ 'chunks without end', $lost, close => reply("2\r\n{}\r\n", 'Transfer-Encoding: chunked') ],
	[ 'gzip that is none', $lost, close => reply('{"children": []}', 'Content-Encoding: gzip') ],
	[ 'gzip that is cut', qr/^KC(103|301) /, close => reply(substr(Compress::Zlib::memGzip($json . ('x' x 5000) . '"}'), 0, 60), 'Content-Encoding: gzip') ],
	[ 'gzip with a wrong sum', $lost, close => reply(substr(Compress::Zlib::memGzip($json . '"}'), 0, -8) . 'abcdefgh', 'Content-Encoding: gzip') ],
	[ 'gzip that unpacks to a megabyte', $too_large, close => reply(Compress::Zlib::memGzip($bomb), 'Content-Encoding: gzip') ],
	[ 'gzip in gzip', $too_large, close => reply(Compress::Zlib::memGzip(Compress::Zlib::memGzip($bomb)), 'Content-Encoding: gzip, gzip') ],
	[ 'gzip twenty times', $lost, close => reply('{}', 'Content-Encoding: ' . join ', ', ('gzip') x 20) ],
	[ 'deflate that unpacks to a megabyte', $too_large, close => reply(Compress::Zlib::compress($bomb), 'Content-Encoding: deflate') ],
	[ 'br that is none', $lost, close => reply('{}', 'Content-Encoding: br') ],
	[ 'br that unpacks to a megabyte', $packed, close => reply(pack('H*', '59ffff8f5f02241e0b0472ef1f00'), 'Content-Encoding: br') ],
	[ 'zstd that unpacks to a megabyte', $packed, close => reply(pack('H*', '28b52ffda4000010004c000008200100fcff3910020200102002001020020010200200102002001020020010200300102085f8fa42'), 'Content-Encoding: zstd') ],
	[ 'an encoding that nobody knows', $lost, close => reply('{}', 'Content-Encoding: rot13') ],
	[ 'two documents', qr/^KC301 .*(Something follows|access_token)/, close => reply($json . '"}' . $json . '"}') ],
	[ 'a name that is a number', qr/^KC301 .*(not valid JSON|access_token)/, close => reply('{"children": NaN, "Children": NaN, "access_token": NaN}') ],
);
foreach my $case (@cases)
{
	my ($name, $expected, $then, $bytes) = @$case;

	says($then, $bytes);
	my @said = failures();
	is(scalar(@said), scalar(@calls), "$name: an outcome of each call");
	my @other = grep { $_ !~ $expected } @said;
	is_deeply(\@other, [], "$name: is said so");
}

# Nobody there
like($_, qr/^KC101 could not connect/, 'nobody listens') foreach failures([ children => 'gone' ], [ submit => 'gone' ]);
like($_, qr/^KC101 could not resolve/, 'nobody has that name') foreach failures([ children => 'nowhere' ], [ submit => 'nowhere' ]);

# Whatever came of it before its fault, a night keeps what it has
foreach my $name ('nothing', 'HTTP/0.9', 'an empty body', 'a length that is too short', 'gzip that unpacks to a megabyte', 'a chunk that is none')
{
	my ($case) = grep { $_->[0] eq $name } @cases;

	says($case->[2], $case->[3]);
	$night->sql("UPDATE kinderconnect.endpoint SET base_url = '$url' WHERE endpoint = 'service'");
	my $end = $night->night('', "SET kinderconnect.max_attempts = 1; SET kinderconnect.max_response = '64kB';");
	is($end->{state}, 'KC402', "$name: a night") or diag $end->{stderr};
	is($night->sql($held), $stored, "$name: all is kept");
}

# A name of the next page that would make every request a large one
says('close', reply('{"children": [], "nextPage": "' . 'x' x 4096 . '"}', 'Connection: close'));
like((failures([ children => 'hostile' ]))[0], qr/^KC301 the list of the service has no end/, 'a name of a page as long as may be');
says('close', reply('{"children": [], "nextPage": "' . 'x' x 4097 . '"}', 'Connection: close'));
like((failures([ children => 'hostile' ]))[0], qr/^KC301 .*Key "nextPage" of the reply is longer than 4096 bytes/, 'and a longer one');

# A small reply that takes a long time to unpack and to read does not make the
# session deaf. Whoever reads to its end says that it is too large.
{
	my ($packer) = Compress::Zlib::deflateInit(-WindowBits => -Compress::Zlib::MAX_WBITS(), -Level => 9);
	my $begin = $packer->deflate('{"children": [') . $packer->flush(Compress::Zlib::Z_FULL_FLUSH());
	my $piece = $packer->deflate(('{"childId": "1", "x": [' . join(', ', ('"\\n"') x 20_000) . ']}, ') x 10) . $packer->flush(Compress::Zlib::Z_FULL_FLUSH());

	my $packed = Compress::Zlib::memGzip("\x1f\x8b\x08\0\0\0\0\0\0\x03" . $begin . $piece x 300);

	cmp_ok(length $packed, '<', 10_000, 'a small reply');
	says('hang', reply($packed, 'Content-Encoding: gzip, gzip'));
	foreach my $how (qw(cancel terminate))
	{
		unlink "$dir/said";
		my $job = $night->start_sql(sprintf "SELECT kinderconnect.$statement{children};", "'hostile'");
		my $pid = $job->pid;
		foreach my $try (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
		{
			last if -e "$dir/said";
			select undef, undef, undef, 0.05;
		}
		$night->await("SELECT wait_event IS NULL FROM pg_stat_activity WHERE pid = $pid");
		is($night->sql("SELECT pg_${how}_backend($pid)"), 't', "pg_${how}_backend() while it reads");
		like($job->finish->{stderr}, $how eq 'cancel' ? qr/ERROR:  57014:/ : qr/FATAL:  57P01:/, 'ends it');
	}
}

# A batch that was sent to one who answers so is not known to be unsent
foreach my $name ('HTTP/0.9', 'a status that is none', 'nothing')
{
	my ($case) = grep { $_->[0] eq $name } @cases;

	says($case->[2], $case->[3]);
	is(batch_outcome('hostile', 'sent'), 't', "$name: a batch may have arrived");
}

# Nor is one that somebody on the way answered, who gives neither the sign of
# success nor an error
foreach my $body ('{}', '{"Status": null, "Results": []}', '{"Status": {}}', '{"Results": [{"Ref": "r1", "Posted": true}]}', '{"message": "Endpoint request timed out"}')
{
	says('close', reply($body));
	is(batch_outcome('older', 'sent, sqlstate, detail'), 't|KC301|The reply has no value "Status".', "$body: a batch may have arrived");
}
foreach my $body ('{"Status": "ERROR"}', '{"Message": "no"}', '{"Status": "ERROR", "Message": "no"}')
{
	says('close', reply($body));
	is(batch_outcome('older', 'sent, sqlstate'), 'f|KC204', "$body: a batch was refused");
}

$night->sql("UPDATE kinderconnect.endpoint SET base_url = '@{[ $night->url ]}' WHERE endpoint = 'service'");
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
is($night->night->{state}, '', 'the next night is right');
$night->agrees('all is there');

done_testing;
