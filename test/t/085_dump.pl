# Every form of pg_dump brings back the same, and what no dump has is written
# down here with the reason.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my %not_dumped = (
	arming => 'a copy must not send',
	last_tick => 'of the server that ran it',
	next_look => 'told anew',
	manage_column => 'shipped, not edited',
	reason => 'shipped, not edited',
	health_check => 'shipped, not edited',
	rule => 'shipped, not edited');

my $night = ready_night('dumps', organizations => { sunshine => 'G-SUN' });
my $node = $night->node;
$night->sql('DROP EXTENSION pg_cron');

my %reason = %not_dumped;
my $member = q{pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'kinderconnect'};
is($night->sql("SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM $member WHERE c.relkind IN ('r', 'S') AND c.oid <> ALL (e.extconfig)"),
	join(' ', sort keys %not_dumped), 'every table and sequence is dumped, or there is a reason why not');
is($night->sql("SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM $member JOIN pg_attribute a ON a.attrelid = c.oid AND a.attidentity <> '' WHERE c.relkind = 'r'
	AND pg_get_serial_sequence(format('kinderconnect.%I', c.relname), a.attname)::regclass <> ALL (e.extconfig)"), '', 'and the sequence of each identity column');
is($night->sql("SELECT string_agg(c.relname || ' ' || k.condition, ', ' ORDER BY c.relname) FROM pg_extension e, unnest(e.extconfig, e.extcondition) k (config, condition) JOIN pg_class c ON c.oid = k.config
	WHERE e.extname = 'kinderconnect' AND k.condition <> '' AND k.condition !~ 'builtin'"), '', 'whole, but for the rows that are shipped');

# Something of everything that people write, and two nights
$night->sql(q{
	INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source, note) VALUES ('NY-ALB', 'entry_window_days', '(,)', '40', true, 'a letter', 'as told');
	INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source) VALUES ('TX', 'entry_window_days', '(,)', '9', true, 'in the place of a shipped one');
	INSERT INTO kinderconnect.absence_reason VALUES ('NY-ALB', 'Sick', 'SICK');
	INSERT INTO kinderconnect.nickname (name, nickname) VALUES ('annamirl', 'mirl');
	INSERT INTO kinderconnect.dialect (dialect, description, auth) VALUES ('ours', 'the paper', 'oauth2');
	INSERT INTO kinderconnect.dialect_operation SELECT (jsonb_populate_record(o, '{"dialect": "ours"}')).* FROM kinderconnect.dialect_operation o WHERE dialect = 'kinderbridge';
	INSERT INTO kinderconnect.dialect_field SELECT (jsonb_populate_record(f, '{"dialect": "ours"}')).* FROM kinderconnect.dialect_field f WHERE dialect = 'kinderbridge';
	UPDATE kinderconnect.endpoint SET dialect = 'ours';
	UPDATE manage.student SET last_name = last_name || ' X' WHERE student = 'S2';
	CREATE ROLE reader LOGIN;
	GRANT SELECT ON kinderconnect.ledger TO reader;
	GRANT EXECUTE ON FUNCTION kinderconnect.fold(text) TO reader;
	REVOKE SELECT ON kinderconnect.run FROM kinderconnect_analyst});
is($night->night->{state}, '', 'a night');
$night->sql(q{SELECT kinderconnect.link_child('sunshine', 'TX-28', '1002', 'S2'); UPDATE manage.visit SET departed = departed + interval '1 minute'});
is($night->night->{state}, '', 'and another');
# an authorization changes, and its former row stands before the one that it refers to
$night->sql(q{
	BEGIN;
	UPDATE kinderconnect.authorization SET known_until = now(), closed_as = 'changed' WHERE kinderconnect_child_id = '1002' AND closed_as IS NULL;
	INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, units_of_care, days)
	SELECT organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, units_of_care || '0', days
	FROM kinderconnect.authorization WHERE kinderconnect_child_id = '1002' AND closed_as = 'changed';
	COMMIT});

my $tables = $night->sql(q{SELECT string_agg(format('SELECT %L, count(*), md5(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C")) FROM kinderconnect.%I t', relname, relname), ' UNION ALL ' ORDER BY relname)
	FROM pg_class WHERE relnamespace = 'kinderconnect'::regnamespace AND relkind IN ('r', 'v') AND relname NOT IN ('arming', 'health', 'health_summary')});
my $granted = q{SELECT n.name, x.grantee::regrole, x.privilege_type FROM (SELECT relname, relacl FROM pg_class WHERE relnamespace = 'kinderconnect'::regnamespace
	UNION ALL SELECT oid::regprocedure::text, proacl FROM pg_proc WHERE pronamespace = 'kinderconnect'::regnamespace) n (name, acl), aclexplode(n.acl) x ORDER BY 1, 2, 3};
$tables = "SET jit = off; $tables";
my $before = $night->sql($tables);
my $privileges = $night->sql($granted);
my $dump = $node->basedir . '/dump';
my @source = ('-d', $node->connstr('postgres'));

# With several jobs pg_restore loads the tables of an extension in any order,
# though their foreign keys stand already: they are not to be looked at.
my %form = (
	plain => [ [ 'pg_dump', '-f', "$dump.plain", @source ], sub { [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.plain", '-d', $_[0] ] } ],
	custom => [ [ 'pg_dump', '-Fc', '-f', "$dump.custom", @source ], sub { [ 'pg_restore', '--exit-on-error', '-d', $_[0], "$dump.custom" ] } ],
	directory => [ [ 'pg_dump', '-Fd', '-j2', '-f', "$dump.directory", @source ], sub { [ 'pg_restore', '--exit-on-error', '-d', $_[0], "$dump.directory" ] } ],
	jobs => [ [ 'pg_dump', '-Fd', '-j2', '-f', "$dump.jobs", @source ],
		sub { [ 'env', 'PGOPTIONS=-c session_replication_role=replica', 'pg_restore', '-j3', '--exit-on-error', '-d', $_[0], "$dump.jobs" ] } ],
	inserts => [ [ 'pg_dump', '--column-inserts', '-f', "$dump.inserts", @source ], sub { [ 'psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.inserts", '-d', $_[0] ] } ],
	apart => [ [ 'pg_dump', '--schema-only', '-f', "$dump.schema", @source ], sub { [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.schema", '-d', $_[0] ] } ]);
foreach my $form (sort keys %form)
{
	my ($out, $in) = @{ $form{$form} };

	$node->command_ok($out, "$form: pg_dump");
	$night->sql("CREATE DATABASE \"$form\" TEMPLATE template0");
	$node->command_ok($in->($node->connstr($form)), "$form: into an empty database");
	if ($form eq 'apart')
	{
		is($node->safe_psql($form, 'SELECT count(*) FROM kinderconnect.ledger'), 0, 'the schema alone has no rows');
		is($node->safe_psql($form, 'SELECT count(*) > 0 FROM kinderconnect.dialect_field WHERE dialect = $$kinderbridge$$'), 't', 'but those that are shipped');
		$node->command_ok([ 'pg_dump', '-Fc', '--data-only', '-f', "$dump.data", @source ], 'apart: the data alone');
		$node->command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '-d', $node->connstr($form), "$dump.data" ], 'apart: and back');
	}
	local $night->{database} = $form;
	is($night->sql($tables), $before, "$form: every row of every table, and the views on Manage");
	is($night->sql($granted), $privileges, "$form: and all privileges, given or taken");
	is($night->night->{state}, 'KC003', "$form: it does not send");
	unlike(slurp_file($_), qr/pass-word|client-secret|sun-password/, "$form: no secret in $_") foreach grep { -f } "$dump.$form", "$dump.schema";
}

done_testing;
