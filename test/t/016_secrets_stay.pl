# Secrets are in their file and on the wire, and nowhere else; names of
# children are not in the log.
use strict;
use warnings;
use utf8;

use File::Find;
use JSON::PP ();
use KinderConnect;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;

# a client secret that is another one in a form, and a password that is another
# one in JSON
my $seed = PostgreSQL::Test::Utils::tempdir() . '/seed.json';
append_to_file($seed, slurp_file("$ENV{TESTDIR}/test/data/seed.json") =~ s{client-secret-1}{client/secret+1 & more}r =~ s{sunflower-}{sunflower-\\"\\\\}r);
my $night = ready_night('secrets_stay', seed => $seed, organizations => { sunshine => 'G-SUN' },
	conf => join "\n", "shared_preload_libraries = 'pg_cron, pg_stat_statements, auto_explain'", 'log_statement = all', 'log_min_messages = debug5',
	'log_error_verbosity = verbose', 'log_min_duration_statement = 0', 'log_parameter_max_length = -1', 'log_parameter_max_length_on_error = -1',
	'log_connections = on', 'log_lock_waits = on', 'log_temp_files = 0', 'auto_explain.log_min_duration = 0', 'auto_explain.log_nested_statements = on',
	"pg_stat_statements.track = 'all'", 'track_activity_query_size = 1MB', 'wal_level = logical', 'full_page_writes = on',
	# from 16 on it writes the parameters of nested statements, as doc/security.md says
	(map { /^PostgreSQL (\d+)/ && $1 >= 16 ? 'auto_explain.log_parameter_max_length = 0' : () } scalar `"$ENV{PG_CONFIG}" --version`));
my $node = $night->node;
my $said = '';

# The first lines that have it
sub lines
{
	my ($text, $pattern) = @_;
	my @lines = grep { /$pattern/ } split /\n/, $text;

	return join "\n", @lines > 5 ? @lines[0 .. 4] : @lines;
}

sub one_night
{
	my ($name, $state, @faults) = @_;

	$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
	$night->admin('faults', { faults => \@faults });
	my $end = $night->night;
	$said .= $end->{stderr} . $end->{stdout};
	is($end->{state}, $state, "a night: $name");
	return;
}

one_night('as it should be', '');
one_night('the service repeats the password, to lists', 'KC402', { kind => 'echo_password', operation => 'customers', times => 1 }, { kind => 'echo_password', operation => 'children', times => 2 });
one_night('the service repeats the password, to submits', 'KC402', { kind => 'echo_password', operation => 'submit' });
$night->sql('SELECT kinderconnect.retry(organization_id) FROM kinderconnect.organization');
one_night('the service repeats the client secret', 'KC402', { kind => 'expire_token', operation => 'customers', times => 1 }, { kind => 'echo_password', operation => 'token' });
one_night('the service repeats how we named ourselves', 'KC402', { kind => 'expire_token', operation => 'customers', times => 1 }, { kind => 'echo_header', operation => 'token' });
one_night('the same, to calls', 'KC402', { kind => 'echo_header', operation => 'children' });
one_night('the service repeats the request', 'KC402', { kind => 'echo_body', operation => 'children' });
one_night('the token is refused', 'KC402', { kind => 'expire_token' });
one_night('an answer in pieces', 'KC402', { kind => 'truncated_json', operation => 'children', times => 2 }, { kind => 'bad_utf8', operation => 'submit', times => 1 }, { kind => 'nul_escape', operation => 'readback', times => 1 });
one_night('a connection that breaks', 'KC402', { kind => 'drop_before', operation => 'customers', times => 1 }, { kind => 'drop_after', reset => JSON::PP::true, operation => 'submit', times => 1 }, { kind => 'cut', operation => 'children', times => 2 });
$night->sql(q{UPDATE kinderconnect.endpoint SET base_url = replace(base_url, 'http:', 'https:')});
one_night('https where http is spoken', 'KC402');
$night->sql(q{UPDATE kinderconnect.endpoint SET base_url = replace(base_url, 'https:', 'http:')});
foreach my $query (q{SELECT * FROM kinderconnect.test_connection('sunshine')}, q{SELECT * FROM kinderconnect.api_customers('sunshine')})
{
	$night->admin('faults', { faults => [ { kind => 'echo_password' } ] });
	my $end = $night->try_sql("\\set VERBOSITY verbose\n$query");
	$said .= $end->{stderr} . $end->{stdout};
}

# Manage fails with a child's name in PostgreSQL's own words
$night->run_file('bind_badly');
one_night('Manage has a name for a date', 'KC402');
foreach my $query (q{SELECT * FROM kinderconnect.preview('sunshine')}, q{SELECT * FROM kinderconnect.attendance_problem WHERE organization_id = 'sunshine'})
{
	my $end = $night->try_sql("SET ROLE kinderconnect_operator;\n\\set VERBOSITY verbose\n$query");

	like($end->{stderr}, qr/ERROR:  22007: a query that is bound to Manage fails on its rows/, "$query says so");
	unlike($end->{stderr}, qr/invalid input/, 'in other words than PostgreSQL');
}
$night->run_file('bind_well');

# while it runs
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', times => 1 } ] });
my $job = $night->start_sql('CALL kinderconnect.nightly()');
$night->wait_simulator(operation => 'submit', hanging => 1);
$said .= $night->sql('SELECT a::text FROM pg_stat_activity a');
$night->admin('release', {});
is($job->finish->{status}, 0, 'a night that is watched');
# a call comes last, before others take the memory that it leaves
my $broken = '{"access_token": "' . '-token' x 9 . '" #';
$night->admin('faults', { faults => [ { kind => 'status', operation => 'token', status => 200, body => $broken, skip => 1, times => 1 } ] });
$job = $night->start_sql("CALL kinderconnect.nightly();\nDO \$\$ BEGIN PERFORM kinderconnect.api_customers('sunshine'); EXCEPTION WHEN SQLSTATE 'KC301' THEN END \$\$;\nSELECT count(*) FROM kinderconnect.api_customers('sunshine');\nSELECT pg_sleep(600);");
my $pid = $job->pid;
$night->await("SELECT query LIKE '%pg_sleep%' FROM pg_stat_activity WHERE pid = $pid");
one_night('the last', '');
$night->agrees('all is there');

is($night->sql('CREATE EXTENSION pg_stat_statements; SELECT count(*) > 100 FROM pg_stat_statements'), 't', 'statements are counted');
$said .= $night->sql('SELECT query FROM pg_stat_statements');

# what is never to be seen
my %secret = map { split /:/, $_, 2 } split /\n/, slurp_file($night->secrets_file);
is(scalar(keys %secret), 3, 'client secret, group password and the token that arms');
my $client = $night->seed->{clients}[0];
my $form = join '+', map { s/([^\w.*-])/sprintf '%%%02X', ord $1/ger } split / /, $client->{clientSecret};
my $basic = encode_base64("$client->{clientId}:$form", '');
my @bytes = map { quotemeta } values %secret, $form, $basic;
my $never = join '|', @bytes, 'sunflower', 'hunter-2', 'sim-[0-9a-f]{64}|(?:-token){3}';
is($form, 'client%2Fsecret%2B1+%26+more', 'a form has it otherwise');
ok($client->{clientSecret} =~ /$never/ && "sim-@{[ 'a' x 64 ]}" =~ /$never/, 'what is looked for would be found');

SKIP:
{
	my $found = $night->in_memory($pid, qr/$never/);

	skip 'no process may look into another here', 2 unless defined $found;
	is($found, '', 'no secret in the memory of a backend after its night');
	like($night->in_memory($pid, qr/kinderconnect\.nightly/), qr/./, 'where things are found');
}
$night->sql("SELECT pg_terminate_backend($pid)");
$job->finish;

# a secret that is written by a statement, where statements are not logged
$night->sql(q{SET log_statement = 'none'; SET log_min_duration_statement = -1; SET auto_explain.log_min_duration = -1;
	SELECT kinderconnect.set_secret('written', 'hunter-2-by-statement')});

# one that is passed where its name should be, whatever else is wrong
foreach my $mistake (q{'sunshine', 'G-SUN', group_password => 'hunter-2-by-mistake'}, q{NULL, 'G-SUN', group_password => 'hunter-2-by-mistake', endpoint => 'nowhere'})
{
	my $end = $night->try_sql(qq{SET log_statement = 'none'; SET log_min_duration_statement = -1; SET auto_explain.log_min_duration = -1;
		SET ROLE kinderconnect_admin;
		SELECT kinderconnect.enable_integration($mistake)});

	like($end->{stderr}, qr/is not in the secrets file|must not be null/, 'a password for its name');
	# psql itself repeats the line
	$said .= $end->{stderr} =~ s/^(?:LINE|STATEMENT): .*//mgr;
}
$said .= $night->sql('SELECT query FROM pg_stat_statements');
is(lines($said, $never), '', 'no secret in what was said');
is(lines(slurp_file($node->logfile), $never), '', 'no secret in the log');
my ($dump, $error) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);
like($dump, qr/COPY kinderconnect.ledger/, 'a dump');
is(lines($dump, $never), '', 'no secret in the dump');
$said = join '', map { $night->sql("SELECT t::text FROM $_ t") } split /\n/,
  $night->sql(q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'kinderconnect'::regnamespace AND relkind IN ('r', 'v')});
is(lines($said, $never), '', 'no secret in a table or view');
$night->sql('CHECKPOINT');
$node->stop;
my @found;
find({ no_chdir => 1, wanted => sub { push @found, $_ if -f $_ && slurp_file($_) =~ /$never/ } }, $node->data_dir);
is("@found", '', 'no secret in any file of the server, the WAL among them');

my $log = slurp_file($node->logfile);
like($log, qr/CALL kinderconnect.nightly/, 'the log has statements');
my @names = map { my $name = $_; utf8::encode($name); quotemeta $name }
  grep { defined && length > 4 } map { @{$_}{qw(firstName lastName)} } @{ $night->seed->{groups}[0]{children} };
cmp_ok(scalar @names, '>', 10, 'names are known');
push @names, map { quotemeta } grep { defined } map { $_->{dateOfBirth} } @{ $night->seed->{groups}[0]{children} };
my $names = join '|', @names;
like($dump, qr/$names/, 'and in the dump');
like($log, qr/Query Text: /, 'plans are in the log');
is(lines($log, $names), '', 'no name or birth date of a child in the log');

done_testing;
