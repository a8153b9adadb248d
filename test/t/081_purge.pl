# What purge() deletes, and that nothing which an analyst, a day's history or
# the next night needs is among it.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('purge', seed => made_seed(groups => 2, providers => 2, children => 3), days => 5);
my $node = $night->node;

# Some nights, one of them with a correction, a rejection and a lost answer,
# and one day that is left open.
is($night->night->{state}, '', 'a night');
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE visit % 3 = 0});
is($night->night->{state}, '', 'another, with corrections');
$night->admin('faults', { faults => [ { kind => 'status', status => 422, operation => 'submit', match => { providerId => 'P2' } } ] });
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE visit % 5 = 0});
$night->night;
$night->admin('faults', { faults => [ { kind => 'cut', operation => 'submit' }, { kind => 'cut', operation => 'readback' } ] });
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE visit % 7 = 0});
$night->night;
$night->admin('faults', { faults => [] });

my $runs = $night->sql('SELECT count(*) FROM kinderconnect.run');
is($night->sql(q{SELECT what, rows FROM kinderconnect.purgeable() ORDER BY what}), "attempts|0\nlists|0\nruns|0", 'nothing of it is old');
$night->sql('CALL kinderconnect.purge()');
is($night->sql('SELECT count(*) FROM kinderconnect.run'), $runs, 'so nothing is purged');

# Three years pass: all of it, and many calls and runs and lists besides, is
# pushed back; then a night of today.
$night->sql(q{
	BEGIN;
	UPDATE kinderconnect.run SET started_at = started_at - interval '3 years', ended_at = ended_at - interval '3 years';
	UPDATE kinderconnect.batch SET created_at = created_at - interval '3 years', sent_at = sent_at - interval '3 years', ended_at = ended_at - interval '3 years';
	UPDATE kinderconnect.ledger SET created_at = created_at - interval '3 years', answered_at = answered_at - interval '3 years';
	UPDATE kinderconnect.ledger SET service_date = service_date - 1096 WHERE kinderconnect_child_id LIKE '1%';
	UPDATE kinderconnect.child_day SET service_date = service_date - 1096 WHERE kinderconnect_child_id LIKE '1%';
	INSERT INTO kinderconnect.run (started_at, ended_at, status, scope)
	SELECT now() - make_interval(days => 400 + n), now() - make_interval(days => 400 + n) + interval '1 hour', 'succeeded', '{}' FROM generate_series(1, 700) n;
	INSERT INTO kinderconnect.run_organization (organization_id, run_id, locked) SELECT o.organization_id, r.run_id, true FROM kinderconnect.run r, kinderconnect.organization o ON CONFLICT DO NOTHING;
	INSERT INTO kinderconnect.list_state (organization_id, operation, agency_id, provider_id, month, entries)
	SELECT 'g-1', 'children', 'MO-1', 'P1', m, 3 FROM generate_series('2015-01-01'::timestamp, '2020-12-01', '1 month') m;
	INSERT INTO kinderconnect.listed_authorization (organization_id, agency_id, provider_id, month, kinderconnect_child_id, authorization_id)
	SELECT 'g-1', 'MO-1', 'P1', m, '1001', 'A' FROM generate_series('2015-01-01'::timestamp, '2020-12-01', '1 month') m;
	INSERT INTO kinderconnect.listed_subsidy (organization_id, agency_id, provider_id, month, kinderconnect_child_id, subsidized)
	SELECT 'g-1', 'MO-1', 'P1', m, 'long gone', m < '2020-06-01' FROM generate_series('2015-01-01'::timestamp, '2020-12-01', '1 month') m;
	COMMIT});
my $unknown = $night->sql(q{SELECT count(*) FROM kinderconnect.ledger WHERE state IN ('unknown', 'not_taken')});
cmp_ok($unknown, '>', 0, 'some records are open');

# What must not change: every view that analysts have, and every table but
# those that are purged. What is said of one day by a call that is purged goes
# from its history; nothing else does.
my $views = 'SET jit = off; ' . $night->sql(q{SELECT string_agg(format('SELECT %L, count(*), md5(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C")) FROM kinderconnect.%I t', relname, relname), ' UNION ALL ' ORDER BY relname)
	FROM pg_class WHERE relnamespace = 'kinderconnect'::regnamespace AND relkind IN ('r', 'v')
		AND relname NOT IN ('batch', 'batch_record', 'run', 'run_organization', 'run_provider', 'list_state', 'list_problem', 'listed_authorization', 'listed_subsidy', 'child_day_history',
			-- of the hour
			'health', 'health_summary', 'due')});
my $history = q{SELECT * FROM kinderconnect.child_day_history WHERE event <> 'sent' OR service_date >= current_date - 46 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
my %before = (views => $night->sql($views), history => $night->sql($history),
	open => $night->sql(q{SELECT b.*, r.record_id FROM kinderconnect.batch b JOIN kinderconnect.batch_record r USING (organization_id, batch_id)
		JOIN kinderconnect.ledger l USING (organization_id, record_id) WHERE l.state IN ('unknown', 'not_taken') ORDER BY b.batch_id, r.record_id}));

my $due = $night->sql(q{SELECT count(*) FROM kinderconnect.batch b WHERE NOT EXISTS (SELECT FROM kinderconnect.batch_record r JOIN kinderconnect.ledger l USING (organization_id, record_id)
	WHERE r.batch_id = b.batch_id AND (l.state IN ('unknown', 'not_taken') OR l.service_date >= current_date - 46))});
cmp_ok($due, '>', 0, 'some calls are due');
is($night->sql(q{SELECT what, rows FROM kinderconnect.purgeable() WHERE what <> 'runs' ORDER BY what}), "attempts|$due\nlists|72", 'purgeable() says how much');
my $total = $night->sql('SELECT count(*) FROM kinderconnect.batch');
is($night->sql(q{SELECT count(*) FROM kinderconnect.batch}), $total, 'and deletes nothing');

like($night->try_sql('BEGIN; CALL kinderconnect.purge()')->{stderr}, qr/purge\(\) cannot run inside a transaction block/, 'not in a transaction');
like($night->try_sql('CALL kinderconnect.purge(0)')->{stderr}, qr/batch_size must be positive/, 'not by none at a time');
is($night->sql(q{SELECT count(*) FROM kinderconnect.batch}), $total, 'which deleted nothing');
like($night->try_sql('SET ROLE kinderconnect_analyst; CALL kinderconnect.purge()')->{stderr}, qr/permission denied/, 'nor by an analyst');
like($night->try_sql(q{SELECT kinderconnect.setting('keep_runs_days'); SET kinderconnect.keep_runs_days = 400})->{stderr}, qr/cannot be changed now/, 'an operator does not choose the ages');
like($night->try_sql('SET ROLE kinderconnect_operator; DELETE FROM kinderconnect.batch')->{stderr}, qr/permission denied/, 'nor what is deleted');

# a transaction for each handful, in READ COMMITTED whatever the default
$night->sql(q{CREATE TABLE manage.isolation (level text);
	CREATE FUNCTION manage.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		INSERT INTO manage.isolation VALUES (current_setting('transaction_isolation')); RETURN NULL; END $$});
$night->sql("CREATE TRIGGER note AFTER DELETE ON kinderconnect.$_ FOR EACH STATEMENT EXECUTE FUNCTION manage.note()") foreach qw(batch list_state run);
my $xact = $night->sql('SELECT pg_current_xact_id()');
is($night->try_sql("SET default_transaction_isolation = 'serializable';\nSET ROLE kinderconnect_operator;\nCALL kinderconnect.purge(7);")->{stderr}, '', 'an operator purges');
cmp_ok($night->sql('SELECT pg_current_xact_id()') - $xact, '>', 72 + 650 / 7, 'in many transactions');
is($night->sql('SELECT DISTINCT level FROM manage.isolation'), 'read committed', 'none of them has another isolation');
$night->sql("DROP TRIGGER note ON kinderconnect.$_") foreach qw(batch list_state run);

is($night->sql($views), $before{views}, 'every other table and every view of analysts is as it was');
is($night->sql($history), $before{history}, 'so is the history of days, but for the calls that are gone');
is($night->sql(q{SELECT b.*, r.record_id FROM kinderconnect.batch b JOIN kinderconnect.batch_record r USING (organization_id, batch_id)
		JOIN kinderconnect.ledger l USING (organization_id, record_id) WHERE l.state IN ('unknown', 'not_taken') ORDER BY b.batch_id, r.record_id}),
	$before{open}, 'the calls of open records are all there');
is($night->sql('SELECT count(*) FROM kinderconnect.batch'), $total - $due, 'the others that were due are gone');
is($night->sql(q{SELECT string_agg(DISTINCT what || ' ' || rows, ', ') FROM kinderconnect.purgeable() WHERE rows > 0}), '', 'and nothing is left to purge');
is($night->sql(q{SELECT count(*) FROM kinderconnect.list_state WHERE month < '2021-01-01' AND isfinite(month)}), 0, 'old lists are gone');
is($night->sql(q{SELECT count(*) FROM kinderconnect.listed_authorization WHERE month < '2021-01-01'}), 0, 'with what stood in them');
is($night->sql(q{SELECT month, subsidized FROM kinderconnect.listed_subsidy}), '2020-12-01|f', 'but for the last word about a child');
is($night->sql(q{SELECT count(*) FROM kinderconnect.batch b LEFT JOIN kinderconnect.run r USING (run_id) WHERE r.run_id IS NULL}), 0, 'every call has its run');
is($night->sql(q{SELECT count(*) FROM kinderconnect.run_organization o LEFT JOIN kinderconnect.run r USING (run_id) WHERE r.run_id IS NULL}), 0, 'and every part of a run');
is($night->sql(q{SELECT count(*) FROM (SELECT FROM kinderconnect.run_organization WHERE sqlstate IS NULL GROUP BY organization_id) o}), 2, 'each organization has its last good run');
cmp_ok($night->sql('SELECT count(*) FROM kinderconnect.run'), '<', 20, 'most runs are gone');

# for ever, where that is said
$night->sql(q{UPDATE kinderconnect.run SET ended_at = ended_at - interval '10 years'});
$node->append_conf('postgresql.conf', "kinderconnect.keep_attempts_days = -1\nkinderconnect.keep_lists_days = -1\nkinderconnect.keep_runs_days = -1");
$node->reload;
$night->await(q{SELECT kinderconnect.setting('keep_runs_days') = '-1'});
is($night->sql(q{SELECT sum(rows) FROM kinderconnect.purgeable()}), 0, '-1 keeps everything');
$node->append_conf('postgresql.conf', "kinderconnect.keep_attempts_days = 30\nkinderconnect.keep_runs_days = 400");
$node->reload;
foreach my $try (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if $night->try_sql(q{SELECT kinderconnect.setting('keep_runs_days')})->{stdout} eq '400';
	select undef, undef, undef, 0.1;
}
like($night->try_sql(q{SELECT kinderconnect.setting('keep_attempts_days')})->{stderr},
	qr/invalid value for parameter "kinderconnect.keep_attempts_days": 30\nDETAIL:  It is at least 367 days, or -1 for ever/, 'less than a year is refused');
$node->append_conf('postgresql.conf', 'kinderconnect.keep_attempts_days = 400');
$node->reload;
$night->await(q{SELECT kinderconnect.setting('keep_attempts_days') = '400'});

# The next night finds all that it needs, and purges by itself.
$night->sql(q{UPDATE kinderconnect.ledger SET service_date = service_date + 1096 WHERE service_date < current_date - 365;
	UPDATE kinderconnect.child_day SET service_date = service_date + 1096 WHERE service_date < current_date - 365});
$night->sql(q{INSERT INTO kinderconnect.run (started_at, ended_at, status, scope) VALUES (now() - interval '500 days', now() - interval '500 days', 'succeeded', '{"mark": 1}')});
is($night->night(q{'g-1'})->{state}, '', 'a night of one organization');
is($night->sql(q{SELECT count(*) FROM kinderconnect.run WHERE scope ? 'mark'}), 1, 'purges nothing');
is($night->night->{state}, '', 'the next whole one');
is($night->sql(q{SELECT count(*) FROM kinderconnect.run WHERE scope ? 'mark'}), 0, 'purges');
$night->agrees('and nothing was lost or sent twice');

done_testing;
