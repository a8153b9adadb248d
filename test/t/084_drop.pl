# DROP EXTENSION leaves nothing of ours behind but what is the server's: the
# roles and the secrets file.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('drop', seed => made_seed(children => 2), days => 3);
my $node = $night->node;

# an event trigger of the extension itself would be dropped before it fires
$night->sql(q{
	CREATE DATABASE tried;
	CREATE TABLE public.fired (tag text);
	CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.fired VALUES (tg_event || ' ' || tg_tag); END$$;
	CREATE EVENT TRIGGER of_extension ON sql_drop WHEN TAG IN ('DROP EXTENSION') EXECUTE FUNCTION public.note();
	ALTER EXTENSION kinderconnect ADD EVENT TRIGGER of_extension;
	CREATE ROLE night LOGIN IN ROLE kinderconnect_operator;
	GRANT USAGE ON SCHEMA cron TO night});
is($night->night->{state}, '', 'a night');
my $owner = $node->connstr('postgres') . ' user=night';
$node->psql('postgres', 'SELECT kinderconnect.schedule()', connstr => $owner);
is($night->sql('SELECT count(*) FROM cron.job'), 1, 'a job is there');
$night->sql(q{SELECT cron.schedule('of others', '0 0 1 1 *', 'SELECT 1'); CREATE EXTENSION citext; CREATE SCHEMA other_kinderconnect});
sub jobs { return $night->sql('SELECT count(*) FROM cron.job'); }
$night->sql($_) foreach 'DROP EXTENSION citext', 'DROP SCHEMA other_kinderconnect', 'BEGIN; DROP EXTENSION kinderconnect CASCADE; ROLLBACK';
is(jobs(), 2, 'a drop of something else leaves it, and one that is taken back');
# in a session in which strings are read otherwise
my $strings = 'SET standard_conforming_strings = off';
my $health = q{SELECT status, value FROM kinderconnect.health WHERE check_name = 'cron_job'};
is($night->sql("$strings; $health"), $night->sql($health), 'health finds the job');
is($night->sql("$strings; SET client_min_messages = warning; BEGIN; DROP EXTENSION kinderconnect CASCADE; SELECT jobname FROM cron.job; ROLLBACK"), 'of others', 'a drop ends it');
$night->sql('TRUNCATE public.fired');

my $ours = q{
	SELECT 'object', pg_describe_object(d.classid, d.objid, 0) FROM (
		SELECT 'pg_class'::regclass AS classid, oid AS objid FROM pg_class WHERE relnamespace = to_regnamespace('kinderconnect')
		UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace = to_regnamespace('kinderconnect') OR prosrc LIKE '%kinderconnect.%' OR probin LIKE '%kinderconnect%'
		UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace = to_regnamespace('kinderconnect')
		UNION ALL SELECT 'pg_policy'::regclass, oid FROM pg_policy WHERE pg_get_expr(polqual, polrelid) LIKE '%kinderconnect%'
		UNION ALL SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger) d
	UNION ALL SELECT 'view', viewname FROM pg_views WHERE definition LIKE '%kinderconnect%' AND schemaname NOT IN ('pg_catalog', 'information_schema')
	UNION ALL SELECT 'schema', nspname FROM pg_namespace WHERE nspname = 'kinderconnect'
	UNION ALL SELECT 'extension', extname FROM pg_extension WHERE extname = 'kinderconnect'
	UNION ALL SELECT 'setting', s::text FROM pg_db_role_setting s WHERE s::text LIKE '%kinderconnect.%'
	UNION ALL SELECT 'lock', l::text FROM pg_locks l WHERE locktype = 'advisory'
	ORDER BY 1, 2};
isnt($night->sql($ours), '', 'much is there');

my $manage = $night->sql('SELECT count(*) FROM manage.visit');
$night->sql('SET client_min_messages = warning; DROP EXTENSION kinderconnect CASCADE');
is($night->sql(q{SELECT string_agg(viewname, ' ' ORDER BY viewname) FROM pg_views WHERE schemaname = 'kinderconnect'}),
	'manage_attendance manage_child manage_location manage_organization', 'the schema and the views on Manage are not members, and stay');
$night->sql('SET client_min_messages = warning; DROP SCHEMA kinderconnect CASCADE');
is($night->sql($ours), '', 'nothing is left in the database');
is($night->sql('SELECT count(*) FROM manage.visit'), $manage, q{Manage's own tables are untouched});
is($night->sql('SELECT count(*) FROM public.fired'), 0, 'an event trigger that belongs to the extension is gone before it could fire');
is($night->sql(q{SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname LIKE 'kinderconnect%'}),
	'kinderconnect_admin kinderconnect_analyst kinderconnect_operator', 'the roles stay: other databases use them');
ok(-e $night->secrets_file, 'and the secrets file');

is($night->sql('SELECT jobname FROM cron.job'), 'of others', 'the job is gone, and no other');
$night->sql(q{SELECT cron.unschedule('of others')});

$night->sql(q{DROP OWNED BY kinderconnect_admin, kinderconnect_operator, kinderconnect_analyst; DROP OWNED BY night; DROP ROLE night, kinderconnect_admin, kinderconnect_operator, kinderconnect_analyst});
is($night->sql(q{SELECT count(*) FROM pg_roles WHERE rolname LIKE 'kinderconnect%'}), 0, 'the roles can be dropped when no database needs them');

# and back
$night->sql('SET client_min_messages = warning; CREATE EXTENSION kinderconnect CASCADE');
is($night->sql('SELECT count(*) FROM kinderconnect.organization'), 0, 'it can be installed anew');
$night->sql(q{CREATE ROLE night LOGIN IN ROLE kinderconnect_operator; GRANT USAGE ON SCHEMA cron TO night});
$node->psql('postgres', 'SELECT kinderconnect.schedule(shards => 3)', connstr => $owner);
is(jobs(), 3, 'a job for each shard');
$night->sql(q{SET client_min_messages = warning; CREATE SCHEMA aside; DROP SCHEMA IF EXISTS aside, "kinderconnect" CASCADE; SELECT 1});
is(jobs(), 0, 'DROP SCHEMA ends them too');
$night->sql(q{SET client_min_messages = warning; DROP OWNED BY night; DROP ROLE night; CREATE EXTENSION kinderconnect CASCADE});

# as doc/install.md says
my ($remove) = slurp_file('doc/install.md') =~ /^## Remove\n(.*)/ms;
$night->sql('CREATE ROLE kinderconnect_night LOGIN IN ROLE kinderconnect_operator; GRANT USAGE ON SCHEMA cron TO kinderconnect_night;
	SELECT kinderconnect.arm(); SET ROLE kinderconnect_night; SELECT kinderconnect.schedule()');
like(slurp_file($night->secrets_file), qr/^arm\./m, 'armed');
$night->sql("SET client_min_messages = warning; $_") foreach $remove =~ /^```sql\n(.*?)^```$/msg;
is($night->sql($ours), '', 'done as the page says nothing is left in the database');
is($night->sql(q{SELECT count(*) FROM cron.job}), 0, 'no job');
is($night->sql(q{SELECT count(*) FROM pg_roles WHERE rolname LIKE 'kinderconnect%'}), 0, 'and no role');
unlike(slurp_file($night->secrets_file), qr/^arm\.[0-9]+\.@{[ $night->sql('SELECT oid FROM pg_database WHERE datname = current_database()') ]}:/m, 'and nothing that says that this database may send');

done_testing;
