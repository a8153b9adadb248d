# pg_upgrade from each older PostgreSQL that is installed beside this one, one
# after the other, keeps everything; and so does a dump of the oldest restored
# into the newest. "make matrix" has 15, 17 and 18 side by side.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $here = `"$ENV{PG_CONFIG}" --bindir`);
my ($root, $newest) = $here =~ m{^(.*)/([0-9]+)/bin$};
my @versions = !defined $root ? () : sort { $a <=> $b } grep { $_ <= $newest && -e "$root/$_/bin/pg_upgrade" }
  map { m{/([0-9]+)/lib/kinderconnect\.so$} } glob "$root/*/lib/kinderconnect.so";

plan skip_all => 'several versions of PostgreSQL, with kinderconnect and side by side, are not here' if @versions < 2;

my $night = ready_night("v$versions[0]", server => "$root/$versions[0]", organizations => { sunshine => 'G-SUN' });
# what is about the server and not in the database: whether it is armed, and the clock
my $all = q{SELECT string_agg(format('SELECT %L, count(*), md5(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C")) FROM kinderconnect.%I t', relname, relname), ' UNION ALL ' ORDER BY relname)
	FROM pg_class WHERE relnamespace = 'kinderconnect'::regnamespace AND relkind IN ('r', 'v') AND relname NOT IN ('arming', 'health', 'health_summary')};

# something of everything, and an answer that is lost
$night->sql(q{
	INSERT INTO kinderconnect.agency_rule (agency_id, rule, valid, value, enforced, source, note) VALUES ('NY-ALB', 'entry_window_days', '(,)', '40', true, 'a letter', 'as told');
	UPDATE manage.student SET last_name = last_name || ' X' WHERE student = 'S2';
	CREATE ROLE reader LOGIN;
	GRANT SELECT ON kinderconnect.batch TO reader;
	GRANT EXECUTE ON FUNCTION kinderconnect.fold(text) TO reader;
	REVOKE SELECT ON kinderconnect.run FROM kinderconnect_analyst;
	CREATE ROLE clock LOGIN IN ROLE kinderconnect_operator;
	GRANT USAGE ON SCHEMA cron TO clock;
	SET ROLE clock;
	SELECT kinderconnect.schedule('0 0 30 2 *')});
is($night->night->{state}, '', 'a night');
$night->sql(q{SELECT kinderconnect.link_child('sunshine', 'TX-28', '1002', 'S2');
	UPDATE manage.visit SET departed = departed + interval '1 minute'
	WHERE student = (SELECT min(child_id) FROM kinderconnect.ledger WHERE kind = 'session' AND state = 'accepted')});
$night->admin('faults', { faults => [ { kind => 'cut', operation => 'submit' }, { kind => 'cut', operation => 'readback' } ] });
$night->night;
$night->admin('faults', { faults => [] });
cmp_ok($night->sql(q{SELECT count(*) FROM kinderconnect.ledger WHERE state = 'unknown'}), '>', 0, 'some answers are lost');
my $tables = $night->sql($all);
$tables = "SET jit = off; $tables";
my $before = $night->sql($tables);
# an owner's own are more with PostgreSQL 17
my $privileges = q{SELECT n.name, x.grantee::regrole, x.privilege_type FROM (SELECT relname, relacl, relowner FROM pg_class WHERE relnamespace = 'kinderconnect'::regnamespace
	UNION ALL SELECT oid::regprocedure::text, proacl, proowner FROM pg_proc WHERE pronamespace = 'kinderconnect'::regnamespace) n (name, acl, owner), aclexplode(n.acl) x
	WHERE x.grantee <> n.owner ORDER BY n.name COLLATE "C", x.grantee::regrole::text COLLATE "C", 3};
my $granted = $night->sql($privileges);
my $sequence = $night->sql('SELECT last_value, is_called FROM kinderconnect.run_run_id_seq');

my $job = q{SELECT jobname, schedule, command, username, active FROM cron.job};
my $jobs = $night->sql($job);
like($jobs, qr/^kinderconnect\|0 0 30 2 \*\|CALL kinderconnect\.tick\(\)\|clock\|t$/, 'a job of pg_cron');

my $dump = $night->node->basedir . '/dump';
$night->node->command_ok([ "$root/$newest/bin/pg_dump", '-Fc', '--exclude-extension=pg_cron', '-f', $dump, '-d', $night->node->connstr('postgres') ], "pg_dump of $newest reads $versions[0]");

foreach my $n (1 .. $#versions)
{
	my ($old, $new) = @versions[ $n - 1, $n ];
	my $from = $night->node;
	my $to = PostgreSQL::Test::Cluster->new("v$new", install_path => "$root/$new");

	$to->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8', $new >= 18 ? '--no-data-checksums' : () ]);
	$to->append_conf('postgresql.conf', join "\n",
		"shared_preload_libraries = 'pg_cron'", "cron.database_name = 'postgres'", "cron.host = '" . $to->host . "'",
		"kinderconnect.secrets_file = '" . $night->secrets_file . "'", 'kinderconnect.retry_delay = 10ms');
	$from->stop;
	# its working directory is where it writes its scripts
	chdir $to->basedir or die "could not change to " . $to->basedir . ": $!";
	command_ok([ "$root/$new/bin/pg_upgrade", '--no-sync', '-d', $from->data_dir, '-D', $to->data_dir, '-b', "$root/$old/bin", '-B', "$root/$new/bin",
			'-s', $to->host, '-p', $from->port, '-P', $to->port ], "pg_upgrade from $old to $new");
	chdir $ENV{TESTDIR} or die "could not change back: $!";
	$to->start;
	$night->{node} = $to;

	is('SET jit = off; ' . $night->sql($all), $tables, "$new: all tables and views are there");
	is($night->sql($tables), $before, "$new: every row of them");
	is($night->sql($privileges), $granted, "$new: privileges");
	is($night->sql('SELECT last_value, is_called FROM kinderconnect.run_run_id_seq'), $sequence, "$new: and the count of runs");
	is($night->sql($job), $jobs, "$new: and the job of pg_cron");
	my $received = $night->admin('requests')->{received};
	my $end = $night->night;
	is($end->{state}, 'KC003', "$new: another system identifier, so it asks to be armed");
	is($night->sql(q{SELECT status FROM kinderconnect.health WHERE check_name = 'armed'}), 'critical', "$new: health says so");
	is($night->admin('requests')->{received}, $received, "$new: and calls nobody");
}

$night->sql('CREATE DATABASE restored TEMPLATE template0');
$night->node->command_ok([ "$root/$newest/bin/pg_restore", '--exit-on-error', '-d', $night->node->connstr('restored'), $dump ], "pg_restore into $newest");
{
	local $night->{database} = 'restored';
	is($night->sql($tables), $before, 'every row of every table is in it too');
	is($night->sql($privileges), $granted, 'all privileges');
	is($night->night->{state}, 'KC003', 'and it does not send');
}

# Only what was not accepted, or is another content now
my $accepted = q{SELECT count(*), md5(string_agg(l::text, E'\n' ORDER BY l.record_id COLLATE "C")) FROM kinderconnect.ledger l JOIN manage.before USING (organization_id, record_id)};
$night->sql(q{
	CREATE TABLE manage.before AS SELECT organization_id, record_id, kinderconnect_child_id, service_date FROM kinderconnect.ledger WHERE state = 'accepted';
	UPDATE manage.visit SET departed = departed + interval '2 minutes'
	WHERE visit = (SELECT max(v.visit) FROM manage.visit v JOIN kinderconnect.ledger l ON l.child_id = v.student AND l.kind = 'session' AND l.state = 'accepted'
		AND l.service_date = (v.arrived AT TIME ZONE 'America/Chicago')::date WHERE l.child_id NOT IN (SELECT child_id FROM kinderconnect.ledger WHERE state = 'unknown'))});
my $same = $night->sql($accepted);
like($same, qr/^[1-9]/, 'days that are accepted');
$night->sql('SELECT kinderconnect.arm()');
is($night->night->{state}, '', 'armed, it goes on');
$night->agrees('what was unknown before is resolved, nothing is lost or sent twice');
is($night->sql($accepted), $same, 'what was accepted is as it was');
is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger l JOIN manage.before b USING (organization_id, kinderconnect_child_id, service_date)
	WHERE l.run_id = (SELECT max(run_id) FROM kinderconnect.run) AND l.record_id <> b.record_id}), 1, 'of its days that one goes anew which was edited since');
my $received = @{ $night->admin('history')->{records} };
is($night->night->{state}, '', 'the next night');
is(scalar @{ $night->admin('history')->{records} }, $received, 'sends nothing');

done_testing;
