# Nobody gets his own code run by somebody else's call: a schema that comes
# before pg_catalog, with everything in it that could be found instead.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('search_path', seed => made_seed(children => 3), days => 4);
my $path = 'SET search_path = evil, pg_temp, pg_catalog';

# In the catalog: a function has a body that was parsed when it was made, or
# its own search_path, or is C. With its owner's rights it has the path anyhow.
my $members = q{pg_catalog.pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'kinderconnect' JOIN pg_language l ON l.oid = p.prolang};
my $pinned = q{'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}'))};
is($night->sql("SELECT string_agg(p.oid::regprocedure::text, ', ') FROM $members
	WHERE p.prokind = 'f' AND NOT (l.lanname = 'c' OR $pinned OR p.prosqlbody IS NOT NULL AND NOT p.prosecdef)"), '', 'every function is safe by what it is');
is($night->sql("SELECT string_agg(p.oid::regprocedure::text, ', ') FROM $members WHERE p.prokind = 'p' AND p.proconfig IS NOT NULL"),
	'', 'no procedure has a setting, which would forbid it to commit');

# A procedure that commits names every schema by itself: of what it calls, of
# relations, types and operators.
my %keyword = map { $_ => 1 } qw(if elsif operator while for loop in not and or select from values coalesce nullif greatest least exists row array returning);
my $procedures = $night->sql("SELECT p.proname || ':' || regexp_replace(regexp_replace(p.prosrc, '--[^\\n]*', '', 'g'), '\\s+', ' ', 'g') FROM $members WHERE p.prokind = 'p' ORDER BY 1");
my @bare;
foreach my $procedure (split /\n/, $procedures)
{
	my ($name, $text) = split /:/, $procedure, 2;

	$text =~ s/'(?:[^']|'')*'//g;
	$text =~ s/SELECT \* FROM/SELECT FROM/g;
	push @bare, map { "$name: $_()" } grep { !$keyword{ lc $_ } } $text =~ /(?<![.\w])([A-Za-z_]\w*)\s*\(/g;
	push @bare, map { "$name: FROM $_" } $text =~ /\b(?:FROM|JOIN|INTO|UPDATE|CALL|PERFORM)\s+(?!kinderconnect\.|pg_catalog\.)(\w+)/g;
	push @bare, map { "$name: $_" } grep { !/^(?:record|pg_catalog\.)/ } $text =~ /^\s*DECLARE (.*?) BEGIN/ ? map { /^\s*\w+ (.*)/ } split /;/, $1 : ();
	push @bare, map { "$name: $_" } $text =~ /(\S*(?<!:)(?<!=)(?<!\()(?:::|\s(?:=|<>|<|>|<=|>=|\|\||\+|-|\*|\/|~|%)\s)\S*)/g;
}
is(join(', ', @bare), '', 'every procedure names the schemas of all it uses');
like($procedures, qr/^nightly:/m, 'the night among them');

# The trap: every function, operator, type and relation that could be meant
$night->sql(
	q{
	CREATE ROLE mallory LOGIN;
	CREATE SCHEMA evil AUTHORIZATION mallory;
	GRANT USAGE ON SCHEMA evil TO PUBLIC;
	GRANT SELECT ON ALL TABLES IN SCHEMA kinderconnect TO mallory;	-- for the views of the trap alone
	GRANT USAGE ON SCHEMA kinderconnect TO mallory;
	SET ROLE mallory;
	SET client_min_messages = error;
	DO $trap$
	DECLARE
		item record;
	BEGIN
		FOR item IN
			SELECT p.oid, p.proname, p.proretset, pg_get_function_identity_arguments(p.oid) AS arguments,
				(SELECT string_agg(format_type(t, NULL), ', ' ORDER BY n) FROM unnest(p.proargtypes) WITH ORDINALITY a(t, n)) AS types,
				pg_get_function_result(p.oid) AS result,
				CASE WHEN p.prorettype = 'void'::regtype THEN '' WHEN p.proretset THEN '' ELSE 'RETURN NULL;' END AS ending
			FROM pg_proc p
			WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a', 'w')
				AND p.proname !~ '^(ri_fki|plpgsql_|.*(in|out|recv|send|handler|typmodin|typmodout)$)'
		LOOP
			BEGIN
				EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', item.proname, item.types, item.result,
					format('BEGIN RAISE LOG ''evil ran: %s as %%'', pg_catalog."current_user"(); %s END', item.proname, item.ending));
			EXCEPTION WHEN OTHERS THEN
				NULL;
			END;
		END LOOP;
		FOR item IN
			SELECT o.oprname, format_type(o.oprleft, NULL) AS l, format_type(o.oprright, NULL) AS r, format_type(o.oprresult, NULL) AS result, o.oid
			FROM pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprkind = 'b'
		LOOP
			BEGIN
				EXECUTE format('CREATE FUNCTION evil.op_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', item.oid, item.l, item.r, item.result,
					format('BEGIN RAISE LOG ''evil ran: %% as %%'', %L, pg_catalog."current_user"(); RETURN NULL; END', item.oprname));
				EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.op_%s)', item.oprname, item.l, item.r, item.oid);
			EXCEPTION WHEN OTHERS THEN
				NULL;
			END;
		END LOOP;
		FOR item IN SELECT t.typname, format_type(t.oid, NULL) AS type FROM pg_type t
			WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typelem = 0 AND t.typname IN ('text', 'int4', 'int8', 'date', 'bool', 'name', 'timestamptz', 'interval', 'jsonb', 'numeric')
		LOOP
			EXECUTE format('CREATE DOMAIN evil.%I AS pg_catalog.%I CHECK (evil.spring(%L))', item.typname, item.typname, item.typname);
		END LOOP;
		FOR item IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'kinderconnect'::regnamespace AND c.relkind IN ('r', 'v')
		LOOP
			EXECUTE format('CREATE VIEW evil.%I AS SELECT k.*, evil.spring(%L) AS sprung FROM kinderconnect.%I k', item.relname, item.relname, item.relname);
			EXECUTE format('GRANT SELECT ON evil.%I TO PUBLIC', item.relname);
		END LOOP;
	END
	$trap$;
} =~ s{DO \$trap\$}{CREATE FUNCTION evil.spring(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS \$\$ BEGIN RAISE LOG 'evil ran: % as %', what, pg_catalog."current_user"(); RETURN true; END \$\$;\n\tDO \$trap\$}r);
cmp_ok($night->sql(q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'evil'::regnamespace}), '>', 2000, 'the trap has functions');
cmp_ok($night->sql(q{SELECT count(*) FROM pg_operator WHERE oprnamespace = 'evil'::regnamespace}), '>', 500, 'and operators');

sub sprung
{
	return join ', ', slurp_file($night->node->logfile) =~ /LOG:  evil ran: (.*)/g;
}

# Everything that a role may call, by its name alone and by its operator
$night->try_sql("$path; SET client_min_messages = warning; SELECT 1 = 1, now() FROM kinderconnect.reason LIMIT 1");
like(sprung(), qr/= as postgres/, 'the trap springs on who walks into it');
my $so_far = sprung();

my $temp = join ' ', map { "CREATE TEMPORARY TABLE $_ (x pg_catalog.int4);" } qw(organization run child_day ledger batch endpoint provider reason arming);
is($night->night('', "$temp $path;")->{state}, '', 'a night');
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
is($night->night(q{'g-1'}, "$temp $path;")->{state}, '', 'another');
my %does = (
	kinderconnect_operator => [
		'SELECT pg_catalog.count(*) FROM kinderconnect.preview()',
		q{SELECT pg_catalog.count(*) FROM kinderconnect.reconcile('g-1', '2020-01-01', '2099-01-01')},
		q{SELECT * FROM kinderconnect.test_connection('g-1')},
		q{SELECT pg_catalog.count(*) FROM kinderconnect.api_customers('g-1')},
		q{SELECT * FROM kinderconnect.check_dialect('kinderbridge')},
		q{SELECT kinderconnect.retry('g-1')},
		q{SELECT kinderconnect.reject_match('g-1', 'MO-1', '1001', 'nobody')},
		q{SELECT kinderconnect.link_child('g-1', 'MO-1', '1001', 'nobody')},
		q{SELECT kinderconnect.unlink_child('g-1', 'MO-1', '1001')},
		q{SELECT kinderconnect.void_day('g-1', 'MO-1', 'P1', '1001', '2026-01-05')},
		q{SELECT kinderconnect.accept_shrink('g-1')},
		'SELECT * FROM kinderconnect.provider_review' ],
	kinderconnect_admin => [
		q{SELECT kinderconnect.set_secret('a', 'b'); SELECT kinderconnect.remove_secret('a')},
		'SELECT kinderconnect.disarm(); SELECT kinderconnect.arm()',
		q{SELECT kinderconnect.enable_integration('g-1', 'G-1', 'group_g-1')},
		q{SELECT kinderconnect.add_provider('g-1', 'MO-1', 'P9'); SELECT kinderconnect.disable_provider('g-1', 'MO-1', 'P9')},
		q{SELECT kinderconnect.test_connection('g-1')} ],
	kinderconnect_analyst => [
		(map { "SELECT * FROM kinderconnect.$_" } split /\n/,
			$night->sql(q{SELECT relname FROM pg_class WHERE relnamespace = 'kinderconnect'::regnamespace AND relkind = 'v' AND has_table_privilege('kinderconnect_analyst', oid, 'SELECT')})),
		q{SELECT kinderconnect.fold('Zoë'), kinderconnect.content('session', '{08:00}', '{16:00}', NULL)},
		q{SELECT kinderconnect.authorizations_ending(30); SELECT kinderconnect.newly_authorized('2020-01-01')} ]);
foreach my $role (sort keys %does)
{
	foreach my $statement (@{ $does{$role} })
	{
		$night->try_sql("SET ROLE $role; $temp $path; $statement");
	}
}
is(sprung(), $so_far, 'nothing of it has run');
$night->agrees('and all is sent, once');

done_testing;
