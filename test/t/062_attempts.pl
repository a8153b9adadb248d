# What an operator or an analyst may try: to read a secret, to read a file, to
# have another host called. Each way is tried, as a login role.
use strict;
use warnings;

use IO::Socket::INET;
use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('attempts', seed => made_seed(children => 2), days => 3);
my $node = $night->node;
my $secret = 'pass-word-1|client-secret-1';

# Where a call of theirs would arrive
my $elsewhere = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Blocking => 0) or die "could not listen: $@";
my $url = 'http://127.0.0.1:' . $elsewhere->sockport;
my $canary = $node->basedir . '/canary';
append_to_file($canary, "canary-in-a-file\nx:y\n");
chmod 0600, $canary;

$night->sql(q{
	CREATE ROLE operator LOGIN IN ROLE kinderconnect_operator;
	CREATE ROLE analyst LOGIN IN ROLE kinderconnect_analyst;
	CREATE ROLE admin LOGIN IN ROLE kinderconnect_admin;
	CREATE ROLE nobody LOGIN});
is($night->night->{state}, '', 'a night');
my $said = '';
my $requests = $night->admin('requests')->{received};

sub as
{
	my ($role, $query) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query", extra_params => [ '-U', $role ]);

	$said .= "$stdout\n$stderr\n";
	return $stderr =~ /(?:ERROR|FATAL):  (\w{5}):/ ? $1 : "fine $stdout";
}

# Settings: the files that are read are the server's administrator's to name
foreach my $role (qw(operator analyst admin nobody))
{
	foreach my $setting (qw(secrets_file ca_file client_certificate client_key))
	{
		my $is = "SELECT kinderconnect.setting('$setting')";
		my $was = $night->sql($is);

		# before the library is loaded, anybody may set what nobody heeds
		like(as($role, "ALTER ROLE CURRENT_USER SET kinderconnect.$setting = '$canary'"), qr/^42501$/, "$role does not set $setting for his next login");
		is(as($role, "ALTER SYSTEM SET kinderconnect.$setting = '$canary'"), '42501', '... nor for all');
		next if $role eq 'nobody';
		is(as($role, "$is; SET kinderconnect.$setting = '$canary'"), '55P02', '... nor now');
		is(as($role, "$is; SELECT set_config('kinderconnect.$setting', '$canary', true)"), '55P02', '... nor by a function');
		is(as($role, "SET kinderconnect.$setting = '$canary'; $is"), "fine $was", '... nor beforehand');
		local $ENV{PGOPTIONS} = "-c kinderconnect.$setting=$canary";
		is(as($role, $is), '55P02', '... nor when he connects');
		is(as($role, $is), '55P02', '... however often he tries');
	}
}
foreach my $name (qw(secrets_file/../x ../data_directory data_directory), 'x; SELECT 1', '')
{
	is(as('analyst', "SELECT kinderconnect.setting('$name')"), '22023', "there is no setting \"$name\"");
}

# Statements, each by whom it is not for: rights on what is configured, the
# secrets file, and the doors of the C core
my %tried = (
	'operator analyst nobody' => [
		qq{UPDATE kinderconnect.endpoint SET base_url = '$url'},
		qq{UPDATE kinderconnect.endpoint SET token_url = '$url'},
		qq{UPDATE kinderconnect.endpoint SET client_secret = 'group_g-1'},
		qq{INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('mine', 'kinderbridge', '$url')},
		q{DELETE FROM kinderconnect.endpoint},
		q{SELECT * FROM kinderconnect.endpoint FOR UPDATE},
		q{UPDATE kinderconnect.dialect_operation SET path = '@elsewhere.example/'},
		q{UPDATE kinderconnect.dialect_field SET path = 'x'},
		q{INSERT INTO kinderconnect.dialect (dialect, description) VALUES ('mine', 'mine')},
		q{UPDATE kinderconnect.organization SET endpoint = 'mine'},
		q{UPDATE kinderconnect.organization SET group_password = 'service'},
		q{UPDATE kinderconnect.organization SET group_id = 'x'},
		q{UPDATE kinderconnect.provider SET enabled = true},
		q{INSERT INTO kinderconnect.arming SELECT * FROM kinderconnect.arming},
		q{DELETE FROM kinderconnect.arming},
		q{SELECT kinderconnect.set_secret('group_g-1', 'x')},
		q{SELECT kinderconnect.remove_secret('group_g-1')},
		q{SELECT kinderconnect.arm()},
		q{SELECT kinderconnect.disarm()},
		q{SELECT kinderconnect._write_secret('group_g-1', 'x')},
		q{SELECT kinderconnect._arm_digest('group_g-1')},
		q{SELECT kinderconnect._new_arm_token('group_g-1')},
		q{SELECT kinderconnect.enable_integration('g-1', 'G-2')},
		q{SELECT kinderconnect.add_provider('g-1', 'MO-1', 'P9')},
		q{SELECT kinderconnect.bind_manage('organization', 'SELECT pg_read_file(''x'') AS organization_id, NULL AS name')},
		q{SELECT kinderconnect.restrict_analyst('analyst', 'g-1')},
		q{SELECT * FROM kinderconnect.api_submit('g-1', 'MO-1', 'P1', 'b', '{}')},
		q{CREATE TABLE kinderconnect.mine ()},
		q{CREATE FUNCTION kinderconnect.fold(varchar) RETURNS text LANGUAGE sql AS 'SELECT ''x''::text'},
		q{CREATE OR REPLACE VIEW kinderconnect.manage_child AS SELECT 1},
		q{CREATE TRIGGER mine BEFORE UPDATE ON kinderconnect.child_day FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()},
		q{CREATE RULE mine AS ON SELECT TO kinderconnect.run DO INSTEAD NOTHING},
		q{CREATE POLICY mine ON kinderconnect.ledger USING (true)},
		q{ALTER TABLE kinderconnect.endpoint DROP CONSTRAINT endpoint_base_url_is_https},
		q{ALTER EXTENSION kinderconnect DROP TABLE kinderconnect.endpoint},
		q{CREATE FUNCTION pg_temp.door(text) RETURNS text LANGUAGE c AS '$libdir/kinderconnect', 'kinderconnect_arm_digest'},
		q{SELECT pg_read_file('kinderconnect.secrets')},
		q{SELECT pg_read_binary_file('} . $night->secrets_file . q{')},
		q{COPY (SELECT 1) TO PROGRAM 'true'},
		q{CREATE TEMPORARY TABLE x (line text); COPY x FROM '} . $night->secrets_file . q{'},
		q{SELECT lo_import('} . $night->secrets_file . q{')},
		q{SELECT * FROM manage.student},
		q{DO $$ BEGIN EXECUTE 'UPDATE kinderconnect.endpoint SET base_url = base_url'; END $$},
		q{CREATE FUNCTION pg_temp.mine() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM kinderconnect.arm(); END $$; SELECT pg_temp.mine()} ],
	'analyst nobody' => [
		q{CALL kinderconnect.nightly()},
		q{SELECT kinderconnect._open('1 minute')},
		q{SELECT kinderconnect._start('customers', 'g-1')},
		q{SELECT kinderconnect._start_submit('g-1', 'MO-1', 'P1', 'b', '{}')},
		q{SELECT * FROM kinderconnect._collect()},
		q{SELECT * FROM kinderconnect._rows(1, NULL::kinderconnect.reply_child)},
		q{SELECT kinderconnect._has_secret('group_g-1')},
		q{SELECT * FROM kinderconnect.api_customers('g-1')},
		q{SELECT * FROM kinderconnect.test_connection('g-1')},
		q{SELECT * FROM kinderconnect.preview()},
		q{SELECT * FROM kinderconnect.reconcile('g-1', '2026-01-01', '2026-01-02')},
		q{SELECT * FROM kinderconnect.manage_child},
		q{SELECT * FROM kinderconnect.endpoint},
		q{SELECT kinderconnect.schedule()},
		q{UPDATE kinderconnect.ledger SET state = 'accepted'},
		q{DELETE FROM kinderconnect.child} ],
	'nobody' => [
		q{SELECT * FROM kinderconnect.ledger},
		q{SELECT * FROM kinderconnect.reason},
		q{SELECT kinderconnect.fold('x')},
		q{SELECT NULL::kinderconnect.reply_child},
		q{CREATE TEMPORARY TABLE x (y kinderconnect.call_outcome)} ],
	'admin' => [
		q{CALL kinderconnect.nightly()},
		q{SELECT kinderconnect._start_submit('g-1', 'MO-1', 'P1', 'b', '{}')},
		q{SELECT kinderconnect._arm_digest('group_g-1')},
		q{SELECT kinderconnect._write_secret('arm', 'x')},
		q{INSERT INTO kinderconnect.arming SELECT * FROM kinderconnect.arming},
		q{UPDATE kinderconnect.ledger SET state = 'accepted'},
		q{SELECT pg_read_file('kinderconnect.secrets')},
		q{ALTER TABLE kinderconnect.endpoint DROP CONSTRAINT endpoint_base_url_is_https} ]);
foreach my $roles (sort keys %tried)
{
	foreach my $role (split / /, $roles)
	{
		my @done = grep { as($role, $_) ne '42501' } @{ $tried{$roles} };

		is(join("\n", @done), '', scalar(@{ $tried{$roles} }) . " statements are refused to $role");
	}
}

# The night: by itself, and with ordinary rights
my $runs = $night->sql('SELECT count(*) FROM kinderconnect.run');
$night->sql(q{
	CREATE FUNCTION public.function() RETURNS void LANGUAGE plpgsql AS 'BEGIN CALL kinderconnect.nightly(); END';
	CREATE FUNCTION public.definer() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN CALL kinderconnect.nightly(); END';
	CREATE PROCEDURE public.defining() LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN CALL kinderconnect.nightly(); END';
	CREATE PROCEDURE public.setting() LANGUAGE plpgsql SET work_mem = '4MB' AS 'BEGIN CALL kinderconnect.nightly(); END'});
is(as('operator', 'BEGIN; CALL kinderconnect.nightly(); COMMIT'), '25001', 'not in a transaction');
is(as('operator', 'SELECT public.function()'), '25001', 'nor in a function');
is(as('operator', 'SELECT public.definer()'), '25001', 'nor with somebody else\'s rights');
is(as('operator', 'CALL public.defining()'), '25001', '... by a procedure');
is(as('operator', 'CALL public.setting()'), '25001', 'nor where a setting lasts for a call');
is(as('postgres', 'CALL kinderconnect.nightly()'), '42501', 'nor as a superuser');
is(as('postgres', 'SELECT kinderconnect.schedule()'), '42501', '... who does not schedule it either');
is($night->sql('SELECT count(*) FROM kinderconnect.run'), $runs, 'none of them has begun a run');
is($night->admin('requests')->{received}, $requests, 'or called');

# An advisory lock is for whoever may connect to take: nobody waits for one
my $holder = $night->start_sql(q{SET SESSION AUTHORIZATION nobody; SELECT pg_advisory_lock(hashtextextended('kinderconnect.next_look', 0)); SELECT pg_sleep(600)});
my $holding = $holder->pid;
$night->await("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = $holding");
is(as('operator', q{SET lock_timeout = '10s'; CALL kinderconnect.nightly()}), 'fine ', 'a night waits for nobody');
is(as('operator', q{SELECT setval('kinderconnect.next_look', 0) \g /dev/null
	CALL kinderconnect.tick(); SELECT last_value > 0 FROM kinderconnect.next_look}), 'fine t', 'nor is a tick kept from looking');
foreach my $change (q{add_provider('g-1', 'MO-1', 'P1')}, q{set_schedule('g-1')}, q{clear_schedule('g-1')}, q{enable_integration('g-1', 'G-1')})
{
	is(as('admin', qq{BEGIN; SET LOCAL lock_timeout = '10s'; SELECT kinderconnect.$change \\g /dev/null
		SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid(); COMMIT}), 'fine 0', "$change neither, and takes none");
}
$night->sql("SELECT pg_terminate_backend($holding)");
$holder->finish;

# What an operator may call takes no host and no path
foreach my $id ("../../x", '@127.0.0.1', "x\r\nHost: y", '//127.0.0.1', 'a?b#c', '%0d%0aX-Y: z', "\x{1}", "x' OR 'a' = 'a")
{
	(my $quoted = $id) =~ s/'/''/g;
	as('operator', "SELECT * FROM kinderconnect.api_locations('g-1', E'$quoted')");
	as('operator', "SELECT * FROM kinderconnect.api_children('g-1', E'$quoted', E'$quoted', '2026-01-01')");
	as('operator', "SELECT * FROM kinderconnect.api_customers(E'$quoted')");
}
is(as('operator', q{SELECT kinderconnect._has_secret('../../etc/passwd')}), 'KC002', 'a name of a secret is no path');
is(as('operator', q{SELECT kinderconnect._open('1 minute'); SELECT kinderconnect._start('customers', 'http://127.0.0.1')}), 'KC001', 'nor is an organization a host');

# An administrator says where, within bounds
my $long = 'x' x 300;
foreach my $bad ('http://example.com', 'ftp://127.0.0.1', 'file:///etc/passwd', 'gopher://127.0.0.1', 'https://a@b', 'https://a:b@c', 'https://', 'https:///x',
	'HTTPS://example.com', ' https://example.com', 'https://example.com x', "https://example.com\r\nX: y", 'https://example.com/?a=b', 'https://example.com/#a',
	'http://127.0.0.1.example.com', 'http://localhost.example.com', 'http://127.0.0.1@example.com', 'http://[::1]@example.com', 'http://127.0.0.2', 'http://0.0.0.0',
	'http://2130706433', 'https://example.com\@127.0.0.1', 'https://exa%6dple.com', "https://example.com\t", '//example.com', 'example.com')
{
	(my $quoted = $bad) =~ s/'/''/g;
	foreach my $column (qw(base_url token_url))
	{
		is(as('admin', "UPDATE kinderconnect.endpoint SET $column = '$quoted'"), '23514', "$column is not " . ($bad =~ s/[\r\n\t]/ /gr));
	}
}
foreach my $bad ('@127.0.0.1/', '//127.0.0.1', 'x', '/a?b', '/a#b', '/a b', "/a\r\nX: y", '.evil.example', ':99/')
{
	my $is = as('admin', "UPDATE kinderconnect.dialect_operation SET path = '$bad'");

	is($is, $bad eq '//127.0.0.1' ? 'fine ' : '23514', 'a path is not ' . ($bad =~ s/[\r\n]/ /gr));
}
ok(!defined $elsewhere->accept, 'nobody has called elsewhere');
unlike($said, qr/$secret/, 'and nobody was told a secret');
unlike($said, qr/canary-in-a-file/, 'nor a line of a file');
unlike($said, qr/\bx:y\b/, 'nor its other line');

# Nor does it help him that the configuration file spells a name otherwise
$node->append_conf('postgresql.conf', "KinderConnect.CA_File = '/nowhere'");
$node->restart;
{
	local $ENV{PGOPTIONS} = "-c kinderconnect.ca_file=$canary";
	is(as('operator', "SELECT kinderconnect.setting('ca_file')"), '55P02', 'a name in another case');
}
is(as('operator', "SELECT kinderconnect.setting('ca_file')"), 'fine /nowhere', 'which counts all the same');
$night->sql("UPDATE kinderconnect.endpoint SET base_url = '" . $night->url . "', token_url = '" . $night->url . "/oauth2/token'");

done_testing;
