# A dump brings all of it back, but not the leave to send.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('dump', organizations => { sunshine => 'G-SUN' });
my $node = $night->node;
# health tells of this database and this hour; compiling so many views takes longer than running them
my $tables = 'SET jit = off; ' . $night->sql(q{SELECT string_agg(format('SELECT %L, count(*), md5(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C")) FROM kinderconnect.%I t', relname, relname), ' UNION ALL ' ORDER BY relname)
	FROM pg_class WHERE relnamespace = 'kinderconnect'::regnamespace AND relkind IN ('r', 'v') AND relname NOT IN ('arming', 'health', 'health_summary', 'agency_rule', 'absence_limit', 'unit_band')})
	# of the rules, what is not as it was shipped; the views have those in force
	. join '', map { qq{ UNION ALL SELECT '$_', count(*), md5(string_agg(t::text, E'\n' ORDER BY t::text COLLATE "C")) FROM kinderconnect.$_ t WHERE NOT builtin} } qw(agency_rule absence_limit unit_band);

# something of everything: a rule, a person's link, a rejection, history
$night->sql(q{
	INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source, note) VALUES ('NY-ALB', 'entry_window_days', '(,)', '40', true, 'a letter', 'as told');
	INSERT INTO kinderconnect.absence_reason VALUES ('NY-ALB', 'Sick', 'SICK');
	INSERT INTO kinderconnect.absence_limit (agency_id, limit_name, valid, counts, period_months, period_begins, at_most, enforced, source)
	VALUES ('NY-ALB', 'paid absences', '(,)', 'absence', 12, 10, 80, true, 'its plan');
	INSERT INTO kinderconnect.unit_band (agency_id, unit, valid, minutes, enforced, source) VALUES ('NY-ALB', 'hour', '(,)', '[1,61)', true, 'its plan');
	UPDATE kinderconnect.agency_rule SET value = 'send' WHERE state = 'TX' AND rule = 'closures';
	UPDATE kinderconnect.absence_limit SET at_most = 80 WHERE state = 'NY';
	UPDATE kinderconnect.unit_band SET minutes = '[360,781)' WHERE state = 'TX' AND unit = 'full-day';
	UPDATE manage.student SET last_name = last_name || ' X' WHERE student = 'S2'});
is($night->night->{state}, '', 'a night');
$night->sql(q{SELECT kinderconnect.link_child('sunshine', 'TX-28', '1002', 'S2')});
$night->sql(q{UPDATE manage.absence SET reason = 'LATE' WHERE site = 'site 00417'; DELETE FROM manage.visit WHERE visit = (SELECT min(visit) FROM manage.visit WHERE student = 'S1')});
$night->admin('faults', { faults => [ { kind => 'status', status => 404, operation => 'submit', match => { providerId => 'P29001' } } ] });
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE site = 'site P29001'});
is($night->night->{state}, 'KC402', 'one that fails in part');
$night->admin('faults', { faults => [] });
is($night->night->{state}, '', 'one that goes on');
$night->agrees('all is there', whole => 0);

# an authorization that was another until the first night
$night->sql(q{INSERT INTO kinderconnect.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, known_from, known_until, closed_as)
	SELECT organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date - 1, known_from - interval '1 day', known_from, 'changed'
	FROM kinderconnect.authorization WHERE kinderconnect_child_id = '1002'});

$night->sql('DROP EXTENSION pg_cron');
my $before = $night->sql($tables);
my $sequence = $night->sql(q{SELECT last_value, is_called FROM kinderconnect.run_run_id_seq});
my $file = $node->basedir . '/dump';
# the one warning is that of doc/upgrade.md
command_checks_all([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('postgres') ], 0, [ qr/^$/ ],
	[ qr/\A(?:(?!warning).)*warning: there are circular foreign-key constraints on this table:?.*authorization(?:(?!warning).)*\z/s ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $file ], 'pg_restore');
# the same as a script
$node->safe_psql('postgres', 'CREATE DATABASE script TEMPLATE template0');
$node->command_ok([ 'pg_dump', '-f', "$file.sql", '-d', $node->connstr('postgres') ], 'pg_dump into a script');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$file.sql", '-d', $node->connstr('script') ], 'psql');
$night->{database} = 'script';
is($night->sql($tables), $before, 'every row by the script');

$night->{database} = 'restored';
is($night->sql($tables), $before, 'every row of every table is back, and the views on Manage');
is($night->sql(q{SELECT last_value, is_called FROM kinderconnect.run_run_id_seq}), $sequence, 'and the count of runs');
is($night->sql(q{SELECT kinderconnect._rules('TX-28', '2026-05-01') ->> 'closures'}), '', 'what was shipped stands beside what was edited')
	or diag 'its enforced is still false';
is($night->sql(q{SELECT value, builtin FROM kinderconnect.agency_rule WHERE state = 'TX' AND rule = 'closures' ORDER BY builtin}), "send|f\nomit|t", 'and the edited rule too');
is($night->sql(q{SELECT count(*) FROM pg_description d JOIN pg_class c ON c.oid = d.objoid WHERE c.relname = 'manage_child' AND d.description <> ''}), 1, 'with their comments');
is($night->sql(q{SELECT has_table_privilege('kinderconnect_operator', 'kinderconnect.manage_child', 'SELECT')}), 't', 'and privileges');
like($night->try_sql(q{DELETE FROM kinderconnect.authorization WHERE kinderconnect_child_id = '1002' AND known_until = 'infinity'})->{stderr},
	qr/authorization_no_gap/, 'history goes on without gaps');
my $sent = @{ $night->admin('history')->{records} };
my $received = $night->admin('requests')->{received};
is($night->night->{state}, 'KC003', 'the restored database does not send');
is($night->admin('requests')->{received}, $received, 'nor ask');
$night->sql('SELECT kinderconnect.arm()');
is($night->night->{state}, '', 'until it is armed');
is(scalar @{ $night->admin('history')->{records} }, $sent, 'and then it has nothing new to say');
$night->agrees('it knows what the service holds', whole => 0);
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
is($night->night->{state}, '', 'it goes on from there');
$night->agrees('as if nothing had been');

done_testing;
