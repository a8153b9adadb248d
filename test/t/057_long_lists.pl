# Lists of many pages, and records of very many parts: what fails is tried again
# page by page, and not for ever; one record is no more than it should be.
use strict;
use warnings;
use lib "$ENV{TESTDIR}/test/lib";
use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('long_lists', seed => made_seed(providers => 1, children => 3));
my $dir = $night->node->basedir;
my $last = 6;

sub reply
{
	my ($body, $status) = @_;

	return join "\r\n", 'HTTP/1.1 ' . ($status // '200 OK'), 'Content-Type: application/json', 'Connection: close', 'Content-Length: ' . length $body, '', $body;
}

# Customers on six pages, each of which is answered so before it is told
sub pages
{
	my ($name, %before) = @_;
	my %asked;
	my $url = answering(sub {
		my $page = $_[0] =~ /"page":"p(\d+)"/ ? $1 : 1;
		my $whole = reply(sprintf '{"customers": [{"customerId": "%d", "name": "n"}, {"customerId": "x%d", "name": "n"}], "nextPage": %s}',
			$page, $page, $page < $last ? sprintf('"p%d"', $page + 1) : 'null');

		append_to_file("$dir/$name", "$page\n");
		return $before{$page}->($asked{$page}++, $whole) // $whole if exists $before{$page};
		return $whole;
	});

	$night->sql(qq{
		INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
		VALUES ('$name', 'kinderbridge', '$url', '@{[ $night->url ]}/oauth2/token', 'kc-client', 'service');
		INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled, enabled)
		VALUES ('$name', '$name', 'G-X', 'group_g-1', current_date, false)});
	return $night->try_sql("\\set VERBOSITY verbose\nSET kinderconnect.run_deadline = '60s';\nSELECT count(*), count(DISTINCT customer_id) FROM kinderconnect.api_customers('$name')");
}

sub asked { return () = slurp_file("$dir/$_[0]") =~ /\n/g; }

my $busy = reply('', '503 Busy');
my $unauthorized = reply('{"error": {"code": "TOKEN", "message": "expired"}}', '401 Unauthorized');

# Once a page is in, what failed before it is mended
my $end = pages('busy', map { $_ => sub { $_[0] < 3 ? $busy : undef } } 1 .. $last);
is($end->{stdout}, '12|12', 'a list of which each page fails three times') or diag $end->{stderr};
is(scalar(asked('busy')), 4 * $last, 'each is asked for again');
$end = pages('busy_for_long', 5 => sub { $_[0] < 4 ? $busy : undef });
like($end->{stderr}, qr/ERROR:  KC205:/, 'a list of which one page fails four times');
is(scalar(asked('busy_for_long')), 4 + 4, 'is not asked for a fifth time');
$end = pages('expired', map { $_ => sub { $_[0] < 1 ? $unauthorized : undef } } 1 .. $last);
is($end->{stdout}, '12|12', 'a token that expires at each page') or diag $end->{stderr};
$end = pages('expired_again', 5 => sub { $_[0] < 2 ? $unauthorized : undef });
like($end->{stderr}, qr/ERROR:  KC201:/, 'a token that is renewed, and not taken');
is(scalar(asked('expired_again')), 4 + 2, 'is not renewed again for the same page');

# One that breaks when rows of it are taken has the list begin again: pages that
# were in before are no progress
$end = pages('cut', $last => sub { substr $_[1], 0, -20 });
like($end->{stderr}, qr/ERROR:  KC103:/, 'a list whose last page always breaks');
is(scalar(asked('cut')), 4 * $last, 'is begun four times');
$end = pages('cut_at_times', $last => sub { $_[0] < 3 ? substr $_[1], 0, -20 : undef });
is($end->{stdout}, '12|12', 'one whose last page breaks three times') or diag $end->{stderr};

# A record makes a thousand rows at the most
my $children = answering(sub {
	my $n = slurp_file("$dir/nested");
	my $of = sub { join ',', map { qq({"authorizationId": "A$_", "beginDate": "2024-01-01"}) } 1 .. $_[0] };

	return reply(sprintf '{"children": [%s], "nextPage": null}', join ',',
		map { sprintf '{"childId": "%s", "firstName": "A", "lastName": "B", "dateOfBirth": "2021-01-01", "authorizations": [%s]}', $_->[0], $of->($_->[1]) }
			[ 1001, 1 ], [ 1002, $n ], [ 1003, 1 ]);
});
$night->sql(qq{
	INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
	VALUES ('nested', 'kinderbridge', '$children', '@{[ $night->url ]}/oauth2/token', 'kc-client', 'service');
	INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled, enabled)
	VALUES ('nested', 'nested', 'G-X', 'group_g-1', current_date, false)});
foreach my $case (
	[ 1000, "1|1001|1||\n2|1002|1000||\n3|1003|1||" ],
	[ 1001, qq{1|1001|1||\n2|1002|0|key "authorizations" has more than 1000 elements|{authorization_id,begin_date,end_date,units_of_care,days}\n3|1003|1||} ],
	[ 9000, qq{1|1001|1||\n2|1002|0|key "authorizations" has more than 1000 elements|{authorization_id,begin_date,end_date,units_of_care,days}\n3|1003|1||} ])
{
	my ($n, $expected) = @$case;

	unlink "$dir/nested";
	append_to_file("$dir/nested", $n);
	is($night->sql(q{
		SELECT ordinal, kinderconnect_child_id, count(authorization_id), problem, unread
		FROM kinderconnect.api_children('nested', 'MO-1', 'P1', '2024-03-01') GROUP BY 1, 2, 4, 5 ORDER BY 1}), $expected, "a child of $n authorizations");
}

# In a night such a child stays as it was known, and one row says why
is($night->night->{state}, '', 'a night');
$night->agrees('all is there');
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
$night->admin('faults', { faults => [ { kind => 'extra_rows', operation => 'children', rows => [
	{ childId => '9001', firstName => 'A', lastName => 'B', dateOfBirth => '2021-01-01', authorizations => [ (0) x 2000 ] } ] } ] });
$end = $night->night;
is($night->sql(q{SELECT DISTINCT kinderconnect_child_id, problem FROM kinderconnect.list_problem}), '9001|key "authorizations" has more than 1000 elements', 'a child of 2000 authorizations is one problem');
is($night->sql(q{SELECT max(part) FROM kinderconnect.list_problem}), 1, 'of one row');
$night->agrees('all is there');

done_testing;
