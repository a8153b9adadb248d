# TLS behind nginx, with certificates good and bad: nothing is ever sent to a
# server that is not the one asked for.
use strict;
use warnings;

use IO::Socket::INET;
use KinderConnect;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = new_night('tls', seed => made_seed(children => 2), conf => "kinderconnect.ca_file = ''\nkinderconnect.client_certificate = ''\nkinderconnect.client_key = ''\nkinderconnect.max_attempts = 1\nkinderconnect.connect_timeout = '60s'");
my $node = $night->node;
my $directory = PostgreSQL::Test::Utils::tempdir_short();

# Authorities and certificates: [subject's name, names it is good for, issuer, days from, days to]
my %made;

sub openssl
{
	my ($stdout, $stderr) = ('', '');

	IPC::Run::run([ 'openssl', @_ ], '<', \undef, '>', \$stdout, '2>', \$stderr) or die "openssl @_: $stderr";
	return;
}

sub write_file
{
	my ($name, $text) = @_;

	unlink "$directory/$name";
	append_to_file("$directory/$name", $text);
	return "$directory/$name";
}

# "openssl ca" can say when a certificate begins and ends
sub certificate
{
	my ($name, %option) = @_;
	my $issuer = $option{issuer} // $name;
	my $begins = $option{begins} // '20200101000000Z';
	my $ends = $option{ends} // '20990101000000Z';
	my $extensions = $option{authority} ? "basicConstraints = critical, CA:true\nkeyUsage = critical, keyCertSign, cRLSign\n"
	  : "basicConstraints = critical, CA:false\nsubjectAltName = $option{names}\nextendedKeyUsage = serverAuth, clientAuth\n";

	openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', "$directory/$name.key");
	chmod 0600, "$directory/$name.key";
	openssl('req', '-new', '-key', "$directory/$name.key", '-subj', "/CN=$name", '-out', "$directory/$name.csr", '-config', write_file('req.cnf', "[req]\ndistinguished_name = dn\n[dn]\n"));
	write_file("$issuer.index", '') unless -e "$directory/$issuer.index";
	write_file("$issuer.index.attr", "unique_subject = no\n");
	write_file('ca.cnf', "[ca]\ndefault_ca = c\n[c]\ndatabase = $directory/$issuer.index\nnew_certs_dir = $directory\nrand_serial = yes\n"
		  . "default_md = sha256\npolicy = p\nx509_extensions = e\nemail_in_dn = no\n[p]\ncommonName = supplied\n[e]\n$extensions");
	openssl('ca', '-batch', '-notext', '-config', "$directory/ca.cnf", '-in', "$directory/$name.csr", '-out', "$directory/$name.crt", '-keyfile', "$directory/$issuer.key",
		'-startdate', $begins, '-enddate', $ends, $issuer eq $name ? '-selfsign' : ('-cert', "$directory/$issuer.crt"));
	return;
}

my $host = 'DNS:localhost, DNS:several.example, IP:127.0.0.1, IP:::1';
certificate('root', authority => 1);
certificate('middle', issuer => 'root', authority => 1);
certificate('good', issuer => 'middle', names => $host);
certificate('elsewhere', issuer => 'middle', names => 'DNS:elsewhere.example');
certificate('expired', issuer => 'middle', names => $host, begins => '20200101000000Z', ends => '20210101000000Z');
certificate('early', issuer => 'middle', names => $host, begins => '20980101000000Z');
certificate('alone', names => $host);
certificate('stranger', authority => 1);
certificate('strange', issuer => 'stranger', names => $host);
certificate('client', issuer => 'root', names => 'DNS:client');
certificate('other_client', issuer => 'stranger', names => 'DNS:client');
write_file("$_.chain", slurp_file("$directory/$_.crt") . slurp_file("$directory/middle.crt")) foreach qw(good elsewhere expired early);
write_file('alone.chain', slurp_file("$directory/alone.crt"));
write_file('strange.chain', slurp_file("$directory/strange.crt"));
write_file('missing.chain', slurp_file("$directory/good.crt"));
openssl('ec', '-in', "$directory/client.key", '-aes128', '-passout', 'pass:passphrase', '-out', "$directory/locked.key");
chmod 0600, "$directory/locked.key";

# A port for each way to be asked
my $target = $night->url;
my %port;
my $servers = '';

sub serve
{
	my ($name, $certificate, $key, @lines) = @_;

	$port{$name} = PostgreSQL::Test::Cluster::get_free_port();
	$servers .= "server {\n" . join("\n", "listen 127.0.0.1:$port{$name} ssl" . ((grep { /^http2/ } @lines) ? ' http2;' : ';'),
		"listen [::1]:$port{$name} ssl" . ((grep { /^http2/ } @lines) ? ' http2;' : ';'),
		"ssl_certificate $directory/$certificate.chain; ssl_certificate_key $directory/$key.key;",
		'location / { proxy_pass ' . $target . '; proxy_set_header X-Seen "$server_protocol $ssl_client_verify"; }',
		grep { !/^http2/ } @lines) . "\n}\n";
	return;
}

serve($_, $_, $_) foreach qw(good elsewhere expired early alone strange);
serve('missing', 'missing', 'good');
serve('http2', 'good', 'good', 'http2');
serve('old', 'good', 'good', 'ssl_protocols TLSv1 TLSv1.1; ssl_ciphers DEFAULT:@SECLEVEL=0;');
serve('wants', 'good', 'good', "ssl_verify_client on; ssl_client_certificate $directory/root.crt; ssl_verify_depth 2;");
foreach my $status (301, 302, 307, 308)
{
	serve("redirect$status", 'good', 'good', "error_page 400 =400 /; location /v1 { return $status https://127.0.0.1:$port{good}\$request_uri; }", "location /oauth2 { return $status $target\$request_uri; }");
}
my $log = "$directory/access.log";
write_file('nginx.conf', "daemon off;\nmaster_process off;\npid $directory/nginx.pid;\nerror_log $directory/error.log;\nevents {}\nhttp {\naccess_log $log;\n"
	  . join('', map { "${_}_temp_path $directory/$_;\n" } qw(client_body proxy fastcgi uwsgi scgi)) . "client_max_body_size 8m;\n$servers}\n");
my ($nginx) = grep { -x } qw(/usr/sbin/nginx /usr/local/sbin/nginx /usr/bin/nginx);
die 'nginx is needed: package nginx-light' unless defined $nginx;
my $said = '';
my $server = IPC::Run::start([ $nginx, '-e', "$directory/error.log", '-p', $directory, '-c', "$directory/nginx.conf" ], '<', \undef, '>', \$said, '2>&1');
END { $server->signal('TERM') if defined $server; }
foreach my $try (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port{good});
	die "nginx did not start: $said" . slurp_file("$directory/error.log") unless $server->pumpable;
	select undef, undef, undef, 0.05;
}

$night->install;
$night->enable('sunshine', 'G-1');

sub setting
{
	my ($name, $value) = @_;

	$node->adjust_conf('postgresql.conf', "kinderconnect.$name", "'$value'");
	$node->reload;
	$night->await("SELECT kinderconnect.setting('$name') = '$value'");
	return;
}

# What a call to a URL comes to: '' or its error, in one string
sub call
{
	my ($base, %option) = @_;
	my $token = $option{token} // "$base/oauth2/token";
	my $http2 = $option{http2} // 'false';

	$night->sql("UPDATE kinderconnect.endpoint SET base_url = '$base', token_url = '$token', http2 = $http2");
	my $end = $night->try_sql("\\set VERBOSITY verbose\nSET ROLE kinderconnect_operator; SELECT * FROM kinderconnect.api_customers('sunshine')");

	return '' if $end->{status} == 0;
	return join ' / ', map { s/^\S*?:\d+: //r } grep { /ERROR|DETAIL|HINT/ } split /\n/, $end->{stderr};
}

sub at { return 'https://localhost:' . $port{ $_[0] }; }
sub received { return $night->admin('requests')->{received}; }

# a good chain, by a private authority
my $before = received();
like(call(at('good')), qr/KC102: the certificate of "localhost:\d+" is not trusted/, 'an authority that nobody knows');
is(received(), $before, '... and nothing is sent');
setting('ca_file', "$directory/root.crt");
is(call(at('good')), '', 'a private authority that is trusted');
cmp_ok(received(), '>', $before, '... and is called');

# bad ones
my $untrusted = qr/KC102: the certificate of "localhost:\d+" is not trusted.*DETAIL:  libcurl says: .*HINT:  Nothing was sent\./;
foreach my $bad (
	[ 'missing', $untrusted, 'an intermediate certificate is missing' ],
	[ 'elsewhere', $untrusted, 'another host\'s' ],
	[ 'expired', $untrusted, 'expired' ],
	[ 'early', $untrusted, 'not yet valid' ],
	[ 'alone', $untrusted, 'self-signed' ],
	[ 'strange', $untrusted, 'another authority\'s' ],
	[ 'old', qr/KC102: could not agree on a TLS connection with "localhost:\d+".*HINT:  Nothing was sent\..*TLS 1\.2/, 'TLS 1.1 at most' ])
{
	my ($name, $expected, $what) = @$bad;

	$before = received();
	like(call(at($name)), $expected, $what);
	is(received(), $before, '... and nothing is sent');
	# the token is had from a good host, and the call goes to a bad one
	like(call(at($name), token => at('good') . '/oauth2/token'), $expected, "$what, where the calls go");
	is(received() - $before, 1, '... and nothing but the token is asked for');
}
setting('ca_file', "$directory/alone.crt");
is(call(at('alone')), '', 'self-signed, and trusted by name');
like(call(at('good')), $untrusted, '... which trusts no other');
foreach my $bad ("$directory/nothing.pem", "$directory", $night->secrets_file)
{
	setting('ca_file', $bad);
	my $is = call(at('good'));

	like($is, qr/KC102: (?:the certificate authorities to trust could not be read|the certificate of)/, 'a file of authorities that is none');
	unlike($is, qr/client-secret|pass-word/, '... is not quoted');
}
setting('ca_file', "$directory/root.crt");

# addresses
is(call('https://127.0.0.1:' . $port{good}), '', 'an IPv4 address');
is(call('https://[::1]:' . $port{good}), '', 'an IPv6 address');
like(call('https://127.0.0.1:' . $port{elsewhere}), qr/KC102: the certificate of "127\.0\.0\.1:\d+" is not trusted/, 'an address that the certificate has not');
is(call('https://LOCALHOST:' . $port{good} . '/', token => at('good') . '/oauth2/token'), '', 'capitals, and a slash at the end');
like(call('https://localhost.:' . $port{good}), qr/^$|KC101: could not resolve/, 'a dot at the end of the name');
like(call('https://localhost:99999'), qr/KC001: the address of "localhost:99999" cannot be used/, 'a port that is none');
like(call('https://localhost:0'), qr/KC(?:001|101): /, 'port 0');
like(call('https://nowhere.invalid'), qr/KC101: could not resolve the host name "nowhere\.invalid"/, 'a name that is not there');
like(call("https://b\x{fc}cher.invalid" =~ s/\x{fc}/\xc3\xbc/r), qr/KC(?:101|001): /, 'a name that is not ASCII');
like(call('https://localhost:' . $port{good} . '/a/../../v9'), qr/KC20[14]: /, 'dots in a path stay on the host');
like(call('http://localhost:' . $port{good}), qr/KC20[14]: .*HTTP status 400/, 'http where https is spoken');
like(call($target =~ s/^http:/https:/r), qr/KC102: could not agree on a TLS connection/, 'https where http is spoken');

# HTTP/2. What was asked for is written down after it has been answered
sub protocols { return slurp_file($log) =~ m{"POST /v1/customers (HTTP/[\d.]+)"}g; }

my $written = () = protocols();
is(call(at('http2'), http2 => 'true'), '', 'HTTP/2');
is(call(at('good'), http2 => 'true'), '', 'HTTP/1.1 where HTTP/2 is allowed and not spoken');
is(call(at('http2')), '', 'HTTP/1.1 where only we do not speak HTTP/2');
my @protocols;
foreach my $try (1 .. 1000)
{
	last if (@protocols = protocols()) == $written + 3;
	select undef, undef, undef, 0.01;
}
is("@protocols[$written .. $#protocols]", 'HTTP/2.0 HTTP/1.1 HTTP/1.1', 'each is what was spoken');

# a client certificate
like(call(at('wants')), qr/KC204: .*400|KC20[14]: /, 'a service that wants a certificate gets none');
setting('client_certificate', "$directory/client.crt");
like(call(at('wants')), qr/KC001: a client certificate needs its key/, 'a certificate without its key');
setting('client_key', "$directory/client.key");
is(call(at('wants')), '', 'with its key it is accepted');
is(call(at('good')), '', 'and is not in the way where none is wanted');
chmod 0640, "$directory/client.key";
like(call(at('wants')), qr/KC002: key file "\S+client\.key" has group or world access/, 'a key that others can read');
chmod 0600, "$directory/client.key";
foreach my $bad ([ 'good.key', qr/KC102: the client certificate or its key cannot be used/, 'another key' ],
	[ 'locked.key', qr/KC102: the client certificate or its key cannot be used/, 'a key with a passphrase, which nobody is asked for' ],
	[ 'client.csr', qr/KC002: key file "\S+" has group or world access/, 'no key' ],
	[ 'nothing.key', qr/KC002: could not open key file "\S+nothing\.key": No such file/, 'a key that is not there' ])
{
	my ($file, $expected, $what) = @$bad;

	setting('client_key', "$directory/$file");
	like(call(at('wants')), $expected, $what);
}
symlink "$directory/client.key", "$directory/link.key";
setting('client_key', "$directory/link.key");
like(call(at('wants')), qr/KC002: key file "\S+link\.key" is a symbolic link/, 'a link to a key');
setting('client_certificate', "$directory/other_client.crt");
setting('client_key', "$directory/other_client.key");
like(call(at('wants')), qr/KC20[14]: |KC102: /, 'a certificate of another authority');
setting('client_certificate', '');
like(call(at('wants')), qr/KC001: a client certificate needs its key/, 'a key without its certificate');
setting('client_key', '');

# redirects, to the same service and to another host
foreach my $status (301, 302, 307, 308)
{
	$before = received();
	like(call(at("redirect$status")), qr/KC204: the service answered with a redirect \(HTTP status $status\)/, "$status for a token");
	is(received(), $before, '... is not followed');
	like(call(at("redirect$status"), token => at('good') . '/oauth2/token'), qr/KC204: the service answered with a redirect \(HTTP status $status\)/, "$status for a call");
	is(received() - $before, 1, '... is not followed');
}

# The server's environment: nothing of it decides where a call goes
my $proxy = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Blocking => 0) or die "could not listen: $@";
{
	my $way = 'http://127.0.0.1:' . $proxy->sockport;
	local @ENV{qw(http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY)} = ($way) x 5;
	local $ENV{SSL_CERT_FILE} = "$directory/stranger.crt";
	local $ENV{CURL_CA_BUNDLE} = "$directory/stranger.crt";
	my $home = $node->basedir . '/home';
	mkdir $home;
	append_to_file("$home/.netrc", "machine localhost login x password y\n");
	append_to_file("$home/.curlrc", "insecure\nproxy = $way\n");
	local $ENV{HOME} = $home;
	local $ENV{CURL_HOME} = $home;
	delete local @ENV{qw(no_proxy NO_PROXY)};
	# a name with two addresses, of which the first one refuses
	my $source = "$home/several.c";
	append_to_file($source, q{
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
		(int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **)) dlsym(RTLD_NEXT, "getaddrinfo");
	struct addrinfo *last;

	if (node == NULL || strcmp(node, "several.example") != 0)
		return next(node, service, hints, found);
	if (next("127.0.0.9", service, hints, found) != 0)
		return EAI_FAIL;
	for (last = *found; last->ai_next != NULL; last = last->ai_next)
		;
	return next("127.0.0.1", service, hints, &last->ai_next);
}
});
	system_or_bail('cc', '-shared', '-fPIC', '-o', "$source.so", $source, '-ldl');
	local $ENV{LD_PRELOAD} = "$source.so";
	$node->restart;
	is(call("https://several.example:$port{good}"), '', 'the second address of a name is tried where the first is dead');
	like(call("https://several.example:$port{elsewhere}"), qr/KC102: the certificate of "several\.example:\d+" is not trusted/, '... and verified like any');
	is(call(at('good')), '', 'a proxy in the environment is not asked');
	is(call($target), '', '... for http either');
	like(call(at('strange')), $untrusted, 'nor is an authority of the environment believed');
	ok(!defined $proxy->accept, 'nobody has come to the proxy');
}

# The memory of a backend that has called, while it lives on
call(at('good'));
my $job = $night->start_sql(q{SET ROLE kinderconnect_operator; SELECT * FROM kinderconnect.api_customers('sunshine'); SELECT pg_sleep(600)});
my $pid = $job->pid;
$night->await("SELECT query LIKE '%pg_sleep%' FROM pg_stat_activity WHERE pid = $pid");
my $secrets = join '|', map { quotemeta } qw(client-secret-1 pass-word-1), encode_base64('kc-client:client-secret-1', '');
my $in_memory = $night->in_memory($pid, qr/$secrets|sim-[0-9a-f]{64}/);
SKIP:
{
	skip 'no process may look into another here', 1 unless defined $in_memory;
	is($in_memory, '', 'neither a secret nor a token is left in it');
}
$night->sql("SELECT pg_terminate_backend($pid)");
$job->finish;

done_testing;
