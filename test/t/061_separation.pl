# An analyst who may see one organization sees that one, in every relation,
# whatever he does; the night does not notice, and a dump keeps it so.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('separation', seed => made_seed(groups => 3, providers => 2, children => 3), days => 4);
my $node = $night->node;

$night->sql(q{
	CREATE ROLE one LOGIN IN ROLE kinderconnect_analyst;
	CREATE ROLE two LOGIN IN ROLE one;
	CREATE ROLE free LOGIN IN ROLE kinderconnect_analyst;
	CREATE ROLE admin LOGIN IN ROLE kinderconnect_admin;
	CREATE ROLE night LOGIN IN ROLE kinderconnect_operator;
	CREATE ROLE other LOGIN;
	GRANT USAGE ON SCHEMA kinderconnect TO other;
	GRANT SELECT ON kinderconnect.ledger TO other});

sub as
{
	my ($role, $query) = @_;
	my ($status, $stdout, $stderr) = $node->psql($night->{database}, "\\set VERBOSITY verbose\n$query", extra_params => [ '-U', $role ]);

	return $status == 0 ? $stdout : $stderr =~ /ERROR:  (\w{5}): (.*)/ ? "$1 $2" : $stderr;
}

# A first night in which something of everything happens
$night->sql(q{UPDATE manage.student SET last_name = 'Another' WHERE student IN (SELECT min(student) FROM manage.student GROUP BY organization)});
$night->night;
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
$night->night;

my @relations = split /\n/, $night->sql(
	q{SELECT c.oid::regclass || CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id') THEN ' organization' ELSE '' END
	FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'kinderconnect'
	WHERE c.relkind IN ('r', 'v') AND has_table_privilege('kinderconnect_analyst', c.oid, 'SELECT') ORDER BY 1});
my @of_organizations = grep { s/ organization$// } @relations;
cmp_ok(scalar @of_organizations, '>', 30, 'relations of organizations');

# What a role sees of each: "relation: organizations"
sub sees
{
	my ($role, $before) = @_;

	return as($role, ($before // '') . join ' UNION ALL ', map {
			"SELECT '$_', string_agg(DISTINCT organization_id, ' ' ORDER BY organization_id) FROM $_" } @of_organizations);
}
my $all = sees('free');
my %filled = map { split /\|/ } split /\n/, $all;
my @filled = grep { ($filled{$_} // '') eq 'g-1 g-2 g-3' } sort keys %filled;
cmp_ok(scalar @filled, '>', 15, 'most of them have rows of all three') or diag($all);
is(sees('one'), $all, 'nobody is restricted at first');

# ... as doc/security.md says it is done
foreach my $page (slurp_file('doc/security.md') =~ /^```sql\n(.*?)^```$/msg)
{
	my $ran = $night->try_sql($page =~ s/sunshine/g-1/gr);

	is($ran->{stderr}, '', 'the SQL of doc/security.md');
	is($ran->{stdout}, "\nauditor|{g-1}\nt", '... says what it does');
}

# ... in the catalog: who sees a table of organizations sees it by a policy
is($night->sql(q{SELECT string_agg(c.relname, ', ') FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'kinderconnect'
	WHERE c.relkind = 'r' AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id')
		AND NOT (c.relrowsecurity AND (SELECT count(*) = 2 FROM pg_policy p WHERE p.polrelid = c.oid))}), '', 'every table has its policies');
is($night->sql(q{SELECT string_agg(c.relname, ', ') FROM pg_class c WHERE c.relnamespace = 'kinderconnect'::regnamespace AND c.relkind = 'v'
	AND c.relname NOT LIKE 'manage\_%' AND NOT 'security_invoker=true' = ANY (coalesce(c.reloptions, '{}'))}), '', 'every view has the rights of who asks');

# who may restrict whom
like(as('one', q{SELECT kinderconnect.restrict_analyst('one', 'g-1')}), qr/^42501 /, 'an analyst restricts nobody');
like(as('night', q{SELECT kinderconnect.restrict_analyst('one', 'g-1')}), qr/^42501 /, 'nor does an operator');
foreach my $role (qw(night admin postgres kinderconnect_analyst kinderconnect_operator))
{
	like(as('admin', "SELECT kinderconnect.restrict_analyst('$role', 'g-1')"), qr/^22023 role $role cannot be restricted/, "$role is not restricted");
}
like(as('admin', q{SELECT kinderconnect.restrict_analyst('one', 'g-1', 'g-9')}), qr/^KC001 organizations are not known: "g-9"/, 'to an organization that is not there');
like(as('admin', q{SELECT kinderconnect.restrict_analyst('one', 'g-1', NULL)}), qr/^22004 /, 'to null');
is(as('admin', q{SELECT kinderconnect.restrict_analyst('one', 'g-1')}), '', 'an administrator restricts');

# every relation
(my $only = $all) =~ s/g-1 g-2 g-3/g-1/g;
is(sees('one'), $only, 'one sees one organization everywhere');
is(sees('two'), $only, 'so does a member');
is(sees('two', 'SET ROLE one;'), $only, 'by another name');
is(sees('one', 'SET ROLE kinderconnect_analyst;'), $only, 'or by that of the role that is not restricted');
is(as('one', 'SET row_security = off; SELECT count(*) FROM kinderconnect.ledger') =~ /^42501/, 1, 'without row-level security one sees nothing');
is(sees('free'), $all, 'another analyst sees all');
is(sees('night'), $all, 'an operator does');
is(sees('admin'), $all, 'an administrator does');
is(as('other', 'SELECT count(*) FROM kinderconnect.ledger'), 0, 'a role that has rights on a table alone sees nothing');
foreach my $relation (grep { !/ / } @relations)
{
	next if grep { $_ eq $relation } @of_organizations;
	my $rows = as('one', "SELECT r::text FROM $relation r");

	unlike($rows, qr/g-[23]/, "nothing of others in $relation");
}
is(as('one', q{SELECT count(*) FROM kinderconnect.authorizations_ending(100000) a WHERE a::text ~ 'g-[23]'}), 0, 'nor by a function');
is(as('one', q{SELECT count(*) FROM kinderconnect.newly_authorized('2000-01-01') a WHERE a::text ~ 'g-[23]'}), 0, 'nor by the other');
is(as('one', q{SELECT count(*) FROM pg_stats WHERE schemaname = 'kinderconnect' AND tablename IN ('child', 'ledger')}), 0, 'nor in statistics');

# A cheap function of one's own that tells what it is given
is(as('one', q{CREATE FUNCTION pg_temp.tells(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN IF $1 <> 'g-1' THEN RAISE EXCEPTION 'told %', $1; END IF; RETURN true; END $$;
	SELECT count(*) > 0 FROM kinderconnect.child_day WHERE pg_temp.tells(organization_id)}), 't', 'a function that leaks has nothing to tell');
is(as('one', q{CREATE FUNCTION pg_temp.tells(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN IF $1 <> 'g-1' THEN RAISE EXCEPTION 'told %', $1; END IF; RETURN true; END $$;
	SELECT count(*) > 0 FROM kinderconnect.provider_summary WHERE pg_temp.tells(organization_id)}), 't', 'nor through a view');
like(as('one', q{SELECT kinderconnect.unrestrict_analyst('one')}), qr/^42501 /, 'one does not free himself');
like(as('one', q{UPDATE kinderconnect.restricted_analyst SET organization_ids = '{g-1,g-2}'}), qr/^42501 /, 'nor by hand');

# two restrictions, none, a new name
is(as('admin', q{SELECT kinderconnect.restrict_analyst('two', 'g-1', 'g-2')}), '', 'two is given one more');
like(sees('two'), qr/ledger\|g-1 g-2\n/, 'and sees both');
like(sees('two', 'SET ROLE one;'), qr/ledger\|g-1\n/, 'as one, one');
is(as('admin', q{SELECT kinderconnect.restrict_analyst('one', VARIADIC '{}')}), '', 'one is left without any');
is(as('one', 'SELECT count(*) FROM kinderconnect.organization'), 0, 'and sees nothing');
$night->sql('ALTER ROLE one RENAME TO uno');
is(as('uno', 'SELECT count(*) FROM kinderconnect.organization'), 0, 'by a new name too');
$night->sql('ALTER ROLE uno RENAME TO one');

# the night
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
is(as('night', 'CALL kinderconnect.nightly()'), '', 'a night, with the policies in force');
is($night->sql(q{SELECT string_agg(DISTINCT l.organization_id, ' ') FROM kinderconnect.ledger l WHERE l.run_id = (SELECT max(run_id) FROM kinderconnect.run)}), 'g-1 g-2 g-3', 'sends for all');
is(as('night', q{EXPLAIN (COSTS off) SELECT * FROM kinderconnect.ledger l WHERE l.organization_id = 'g-1' AND l.record_id = 'x'}),
	$night->sql(q{EXPLAIN (COSTS off) SELECT * FROM kinderconnect.ledger l WHERE l.organization_id = 'g-1' AND l.record_id = 'x'}), 'an operator\'s plans have no trace of them');

# a dump, and its restore
my $file = $node->basedir . '/dump';
my $policies = $night->sql(q{SELECT tablename, policyname, roles, cmd, qual FROM pg_policies WHERE schemaname = 'kinderconnect' ORDER BY 1, 2});
$node->command_ok([ 'pg_dump', '-Fc', '--exclude-schema=cron', '--extension=kinderconnect', '--extension=btree_gist', '--extension=fuzzystrmatch',
		'--extension=pg_trgm', '--extension=unaccent', '-f', $file, '-d', $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $file ], 'pg_restore');
$night->{database} = 'restored';
is($night->sql(q{SELECT tablename, policyname, roles, cmd, qual FROM pg_policies WHERE schemaname = 'kinderconnect' ORDER BY 1, 2}), $policies, 'the restored database has the policies');
like(sees('two'), qr/ledger\|g-1 g-2\n/, 'and two sees two organizations there');
is(as('one', 'SELECT count(*) FROM kinderconnect.organization'), 0, 'and one none');

# the end of it
is(as('admin', q{SELECT kinderconnect.unrestrict_analyst('one'), kinderconnect.unrestrict_analyst('two'), kinderconnect.unrestrict_analyst('free')}), 't|t|f', 'both are free');
is(sees('one'), sees('free'), 'one sees all');

done_testing;
