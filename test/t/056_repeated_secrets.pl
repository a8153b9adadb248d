# A service that repeats our secrets: in the message of a record, in a content
# type, as JSON spells them, or cut off. None of it is kept or shown.
use strict;
use warnings;
use lib "$ENV{TESTDIR}/test/lib";
use JSON::PP;
use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('repeated', seed => made_seed(providers => 1, children => 3));
my $dir = $night->node->basedir;

# A service that says these bytes to whoever asks. Its tokens are short: a text
# of more than half a kilobyte is cut or not kept
my $url = answering(sub {
	my ($bearer) = $_[0] =~ /^Authorization: Bearer (\S+)/mi;

	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" . encode_json({ access_token => 'token-' x 10, token_type => 'Bearer', expires_in => 3600 })
	  if $_[0] =~ m{^POST /oauth2/token };
	return slurp_file("$dir/says") =~ s/BEARER/$bearer/gr;
});

sub says
{
	my ($body, $content_type, $status) = @_;
	my $head = join "\r\n", 'HTTP/1.1 ' . ($status // '200 OK'), 'Content-Type: ' . ($content_type // 'application/json'), 'Connection: close', '', '';

	unlink "$dir/says";
	append_to_file("$dir/says.new", $head . $body);
	rename "$dir/says.new", "$dir/says" or die $!;
	return;
}

# A password that JSON may spell in many ways, and a client secret that is
# another one in a form
my $password = 'p&ss/w<rd-é-9';
my $client = $night->seed->{clients}[0];
$night->write_secrets('group_echo' => $password);
$night->sql(qq{
	INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
	VALUES ('echo', 'kinderbridge', '$url', '$url/oauth2/token', '$client->{clientId}', 'service');
	INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled, enabled)
	VALUES ('echo', 'echo', 'G-1', 'group_echo', current_date, false)});

my $submit = q{kinderconnect.api_submit('echo', 'MO-1', 'P1', 'batch', ARRAY[ROW('r1', '1', '2024-03-09', 'absence', NULL, NULL, 'SICK')]::kinderconnect.wire_record[])};
my $json = JSON::PP->new->allow_nonref;

# What is left of it in the message of a record, and in that of an error
sub kept
{
	my ($message) = @_;
	my $quoted = $json->encode($message);

	says(qq({"results": [{"recordId": "r1", "status": "rejected", "code": "X", "message": $quoted}]}));
	my $row = $night->sql("SELECT message FROM $submit");
	says(qq({"error": {"code": "X", "message": $quoted}}), undef, '422 No');
	my ($detail) = $night->try_sql("SELECT * FROM $submit")->{stderr} =~ /The service says: X: (.*)/;
	return ($row, $detail);
}

sub is_kept
{
	my ($name, $message, $expected) = @_;

	is_deeply([ kept($message) ], [ $expected, $expected ], $name);
	return;
}

my $stars = '*' x length $password;
is_kept('a message without', 'the child is not known', 'the child is not known');
is_kept('the password', "password $password is wrong", "password $stars is wrong");
is_kept('twice, side by side', "$password$password", $stars x 2);
is_kept('the client secret', "not $client->{clientSecret}!", 'not ' . '*' x length($client->{clientSecret}) . '!');
foreach my $said (kept('token BEARER is old'))
{
	like($said, qr/^token \*{20,} is old$/, 'the token');
}
foreach my $spelled ('p&ss\/w<rd-é-9', 'p\u0026ss/w\u003Crd-é-9', 'p&ss/w<rd-\u00e9-9', '\u0070&ss\\\\/w\\\\u003crd-\\\\u00E9-9')
{
	is_kept("in JSON, $spelled", qq({"groupPassword":"$spelled","x":1}), '{"groupPassword":"' . '*' x length($spelled) . '","x":1}');
}
foreach my $cut ('p&ss/w', 'p&ss/w<rd-', 'p&ss\/w')
{
	is_kept("cut off after $cut", "body was {$cut$_", 'body was {' . '*' x length($cut) . $_) foreach '', '...', '"}', '…';
}
is_kept('a word that ends with its beginning', 'code invalid_p&ss/w', 'code invalid_p&ss/w');
is_kept('too little of it', 'see p&ss/', 'see p&ss/');
is_kept('the same begin of another word', 'p&ss/w<ndow is not it', 'p&ss/w<ndow is not it');
is_kept('another character that begins with the same byte', 'body was p&ss/w<rd-ê', 'body was p&ss/w<rd-ê');

# What the service decides is read all the same
$night->sql(q{SELECT kinderconnect.set_secret('group_echo', 'accepted-by-all')});
says('{"results": [{"recordId": "r1", "status": "accepted", "code": null, "message": null}]}');
is($night->sql("SELECT status, code, message FROM $submit"), 'accepted||', 'a verdict that looks like a password');
says('{"results": [{"recordId": "r1", "status": "not accepted-by-all", "code": "accepted-by-all", "message": null}]}');
is($night->sql("SELECT status, code, message FROM $submit"), 'not ***************|***************|', 'and a word of its own that has it');
$night->sql(qq{SELECT kinderconnect.set_secret('group_echo', '$password')});

# A content type
says('{}', "text/html; charset=$password");
like($night->try_sql("SELECT * FROM $submit")->{stderr}, qr/^DETAIL:  The content type of the reply is "text\/html; charset=\*+" where/m, 'a content type');

# Where the client secret is no longer there to be looked for, nothing is kept
says('{"results": [{"recordId": "r1", "status": "rejected", "code": "X", "message": "what it says"}]}');
is($night->sql(qq{
	SELECT kinderconnect._open(NULL);
	SELECT kinderconnect._start_submit('echo', 'MO-1', 'P1', 'b', ARRAY[ROW('r1', '1', '2024-03-09', 'absence', NULL, NULL, 'SICK')]::kinderconnect.wire_record[]);
	SELECT ok FROM kinderconnect._collect();
	SELECT kinderconnect.remove_secret('service');
	SELECT kinderconnect._start_submit('echo', 'MO-1', 'P1', 'b', ARRAY[ROW('r1', '1', '2024-03-09', 'absence', NULL, NULL, 'SICK')]::kinderconnect.wire_record[]);
	SELECT ok FROM kinderconnect._collect();
	SELECT status, message FROM kinderconnect._rows(2, NULL::kinderconnect.reply_result);
	SELECT kinderconnect._close()}) =~ s/^\s+|\s+$//gr, "1\nt\n\n2\nt\nrejected|************", 'without the secret');

# A night of such answers leaves nothing of it in any table
$night->sql(qq{SELECT kinderconnect.set_secret('service', '$client->{clientSecret}')});
my ($own) = slurp_file($night->secrets_file) =~ /^group_g-1:(.*)/m;
is($night->night->{state}, '', 'a night');
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
$night->admin('faults', { faults => [ { kind => 'results_unknown_status', operation => 'submit', value => "unreadable: $own", stores => JSON::PP::false } ] });
$night->night;
$night->admin('faults', { faults => [] });
is($night->sql(q{SELECT DISTINCT message FROM kinderconnect.ledger WHERE message IS NOT NULL}), 'status "unreadable: ' . '*' x length($own) . '"', 'the ledger has what else was said');
my $said = join '', map { $night->sql("SELECT t::text FROM $_ t") } split /\n/,
	$night->sql(q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'kinderconnect'::regnamespace AND relkind IN ('r', 'v')});
unlike($said, qr/\Q$own\E/, 'no table or view has the password');

done_testing;
