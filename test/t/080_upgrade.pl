# ALTER EXTENSION UPDATE from each released version makes what CREATE EXTENSION
# makes, and keeps what is not ours. Until there is one, and to see that a step
# forgotten is seen, a version is made up: the present one, taken back a little.
use strict;
use warnings;

use Digest::SHA;
use KinderConnect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($version) = slurp_file('kinderconnect.control') =~ /^default_version = '(.+)'$/m;
my @released = map { m{--(.+)\.sql$} } glob 'sql/release/kinderconnect--*.sql';

# what was released stays as it was
my %sum;
if (-e 'sql/release/SHA256SUMS')
{
	%sum = reverse map { split /  /, $_, 2 } split /\n/, slurp_file('sql/release/SHA256SUMS');
}
is_deeply(\%sum, { map { my $file = "kinderconnect--$_.sql"; $file => Digest::SHA->new(256)->addfile("sql/release/$file")->hexdigest } @released },
	'sql/release holds what was released, and nothing else');

my ($server, $scripts) = own_server(PostgreSQL::Test::Utils::tempdir_short());
my $present = slurp_file("$scripts/kinderconnect--$version.sql");
if (grep { $_ eq $version } @released)
{
	ok($present eq slurp_file("sql/release/kinderconnect--$version.sql"),
		"$version is released: what is new belongs into sql/upgrade and a next version");
}

# The text of an object in the present script, with its comments
sub part
{
	my ($name) = @_;
	my ($head) = $present =~ /^(CREATE (?:VIEW|FUNCTION) \Qkinderconnect.$name\E\b.*?)(?:;|\$\$|BEGIN ATOMIC)\n/ms;
	my ($end) = $present =~ /^\Q$head\E(;|\$\$\n.*?^\$\$;|BEGIN ATOMIC\n.*?^END;)\n/ms;
	my @found = ("$head$end\n");

	push @found, $present =~ /^(COMMENT\ ON\ (?:VIEW|COLUMN|FUNCTION)\ \Qkinderconnect.$name\E\b.*?';\n)/msgx;
	return join '', @found;
}

# name of a step of the upgrade => what the made-up version lacks, and the step
my @steps = (
	'a view, with comments' => 'DROP VIEW kinderconnect.provider_month;', part('provider_month'),
	'whose rights it reads with' => '', 'ALTER VIEW kinderconnect.provider_month SET (security_invoker = true);',
	'its privileges' => '', 'GRANT SELECT ON kinderconnect.provider_month TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;',
	'a column' => 'ALTER TABLE kinderconnect.batch DROP COLUMN attempts;', 'ALTER TABLE kinderconnect.batch ADD COLUMN IF NOT EXISTS attempts integer;',
	'its comment' => '', q{COMMENT ON COLUMN kinderconnect.batch.attempts IS 'HTTP requests made for it';},
	'a default' => 'ALTER TABLE kinderconnect.organization ALTER COLUMN backfill_days SET DEFAULT 60;', 'ALTER TABLE kinderconnect.organization ALTER COLUMN backfill_days SET DEFAULT 30;',
	'a constraint' => 'ALTER TABLE kinderconnect.child_day DROP CONSTRAINT child_day_says_why;',
		'ALTER TABLE kinderconnect.child_day ADD CONSTRAINT child_day_says_why ' . ($present =~ /CONSTRAINT child_day_says_why (CHECK .*?),?\n/)[0] . ';',
	'an index' => 'DROP INDEX kinderconnect.child_day_by_date;', ($present =~ /^(CREATE INDEX child_day_by_date .*?;)$/ms)[0],
	'a function' => 'DROP FUNCTION kinderconnect.retry;', part('retry'),
	'nothing of it for PUBLIC' => '', 'REVOKE ALL ON FUNCTION kinderconnect.retry FROM PUBLIC;',
	'who may call it' => '', 'GRANT EXECUTE ON FUNCTION kinderconnect.retry TO kinderconnect_operator;',
	'a changed body' => q{CREATE OR REPLACE FUNCTION kinderconnect._said(outcome kinderconnect.call_outcome) RETURNS text
		LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN (outcome).message;}, part('_said') =~ s/^CREATE FUNCTION/CREATE OR REPLACE FUNCTION/r,
	'what pg_dump keeps' => q{SELECT pg_catalog.pg_extension_config_dump('kinderconnect.agency_rule', '');},
		q{SELECT pg_catalog.pg_extension_config_dump('kinderconnect.agency_rule', 'WHERE NOT builtin');},
	'shipped rows' => q{DELETE FROM kinderconnect.agency_rule WHERE rule = 'closures' AND builtin; UPDATE kinderconnect.agency_rule SET note = 'as of old',
		shipped = hash_record_extended(ROW(agency_id, state, rule, valid, value, enforced, source, 'as of old'::text), 0) WHERE builtin;},
		'DELETE FROM kinderconnect.agency_rule WHERE builtin;' . ($present =~ /^(INSERT INTO kinderconnect\.agency_rule .*?\);\n)/ms)[0],
	'words of a reason' => q{UPDATE kinderconnect.reason SET what_to_do = 'wait' WHERE reason = 'unmatched';},
		'DELETE FROM kinderconnect.reason;' . ($present =~ /^(INSERT INTO kinderconnect\.reason .*?\);\n)/ms)[0]);
my (@names, %older, %step);
while (my ($name, $less, $more) = splice @steps, 0, 3)
{
	push @names, $name;
	($older{$name}, $step{$name}) = ($less, $more);
}

my $first = '\echo Use "CREATE EXTENSION kinderconnect" to load this file. \quit' . "\n";
append_to_file("$scripts/kinderconnect--0.9.9.sql", join "\n", $present, @older{@names}, '');
append_to_file("$scripts/kinderconnect--0.9.9--$version.sql", join "\n", $first, @step{@names}, '');
foreach my $n (0 .. $#names)
{
	append_to_file("$scripts/kinderconnect--0.9.9--0.9.9.$n.sql", join "\n", $first, @step{ grep { $_ ne $names[$n] } @names }, '');
}
foreach my $release (grep { $_ ne $version } @released)
{
	# it may have been installed once
	unlink "$scripts/kinderconnect--$release.sql";
	append_to_file("$scripts/kinderconnect--$release.sql", slurp_file("sql/release/kinderconnect--$release.sql"));
}

my $night = new_night('upgrade', server => $server);
my $node = $night->node;
my $catalog = slurp_file('test/lib/catalog.sql');

sub in_database
{
	my ($database, @queries) = @_;

	return join "\n", map { $node->safe_psql($database, "SET client_min_messages = warning; SET search_path = pg_catalog; $_") } @queries;
}

sub made
{
	my ($database, $from, $to) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	in_database($database, "CREATE EXTENSION kinderconnect VERSION '$from' CASCADE");
	in_database($database, "ALTER EXTENSION kinderconnect UPDATE TO '$to'") if defined $to;
	return in_database($database, $catalog);
}

# what the one has and the other has not
sub apart
{
	my ($one, $other) = @_;
	my %seen = map { $_ => 1 } split /^(?=\S.* \| )/m, "$other\n";

	return join '', grep { !$seen{$_} } split /^(?=\S.* \| )/m, "$one\n";
}

my $fresh = made('fresh', $version);
cmp_ok(() = $fresh =~ /\n/g, '>', 1000, 'a fresh installation is listed');
is(in_database('fresh', $catalog), $fresh, 'the same way each time');

foreach my $release (grep { $_ ne $version } @released)
{
	(my $database = "from_$release") =~ s/\W/_/g;
	is(apart($fresh, made($database, $release, $version)), '', "$release becomes $version: nothing is missing");
	is(apart(in_database($database, $catalog), $fresh), '', "$release becomes $version: nothing is left");
}

# which records the batches of 1.0.0 carried; and what it requires may be elsewhere
$node->safe_psql('postgres', 'CREATE DATABASE carried');
in_database('carried', 'CREATE SCHEMA elsewhere; CREATE EXTENSION unaccent SCHEMA elsewhere', q{CREATE EXTENSION kinderconnect VERSION '1.0.0' CASCADE},
	'CREATE TABLE kinderconnect.theirs (organization_id text); CREATE PUBLICATION everything FOR ALL TABLES',
	q{INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('e', 'vendor-interface', 'https://a.example')},
	q{INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) VALUES ('o', 'e', 'g', 'p', '2026-01-01')},
	q{INSERT INTO kinderconnect.ledger (organization_id, record_id, agency_id, provider_id, kinderconnect_child_id, service_date, child_id, kind, content, state, run_id)
		SELECT 'o', 'r' || n, 'A', 'P', 'k' || n, '2026-01-05', 'c' || n, 'closure', 'closure', 'accepted', 1 FROM generate_series(1, 5) n},
	q{INSERT INTO kinderconnect.batch (organization_id, batch_id, agency_id, provider_id, run_id, records, state) VALUES ('o', 'b1', 'A', 'P', 1, 3, 'refused'), ('o', 'b2', 'A', 'P', 1, 2, 'answered')},
	q{INSERT INTO kinderconnect.batch_record VALUES ('o', 'b1', 'r1'), ('o', 'b1', 'r2'), ('o', 'b1', 'r5'), ('o', 'b2', 'r3'), ('o', 'b2', 'r4')},
	q{INSERT INTO kinderconnect.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, subsidized)
		SELECT 'o', 'A', k, 'Ana', k || ' Ödön', true FROM unnest('{a,B,_,ä,Z,z,-1}'::text[]) k});
my $keys = q{SELECT string_agg(kinderconnect_child_id || ':' || last_key, ' ' ORDER BY kinderconnect_child_id COLLATE "C") FROM kinderconnect.child};
my $keys_were = in_database('carried', $keys);
my $carried = q{SELECT batch_id, record_id FROM kinderconnect.batch_record WHERE organization_id = 'o' ORDER BY 1, 2};
my $had = in_database('carried', $carried);
my ($status, $out, $err) = $node->psql('carried', 'SET standard_conforming_strings = off; ALTER EXTENSION kinderconnect UPDATE');
like($err, qr/ERROR:  kinderconnect cannot be updated while standard_conforming_strings is off\nHINT:  SET standard_conforming_strings = on/, 'no update that would read its script otherwise');
in_database('carried', 'ALTER EXTENSION kinderconnect UPDATE');
is(in_database('carried', q{SELECT relrowsecurity FROM pg_class WHERE oid = 'kinderconnect.theirs'::regclass}), 'f', 'an update leaves a table of others as it is');
is(in_database('carried', $carried), $had, 'batches of 1.0.0 keep their records');
is(in_database('carried', q{SELECT batch_id, records, record_ids FROM kinderconnect.batch ORDER BY 1}), "b1|3|{r1,r2,r5}\nb2|2|{r3,r4}", 'in themselves');
is(in_database('carried', $keys), $keys_were, 'the keys of names are what they were');
in_database('carried', 'CREATE EXTENSION amcheck SCHEMA public');
is(in_database('carried', q{SELECT count(public.bt_index_check(i.indexrelid, true)) > 50 FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree'
		WHERE c.relnamespace = 'kinderconnect'::regnamespace}), 't', 'and every index has its rows in their order');

# what others built on 1.0.0 is not taken away, and what they gave is told
$node->safe_psql('postgres', 'CREATE DATABASE theirs');
in_database('theirs', q{CREATE EXTENSION kinderconnect VERSION '1.0.0' CASCADE},
	'CREATE ROLE auditor',
	'CREATE VIEW public.late AS SELECT * FROM kinderconnect.about_to_be_lost',
	'CREATE POLICY mine ON kinderconnect.child TO auditor USING (true)',
	'GRANT SELECT ON kinderconnect.child, kinderconnect.health TO auditor',
	'GRANT SELECT (cadence) ON kinderconnect.due TO auditor',
	'REVOKE SELECT ON kinderconnect.health_summary FROM kinderconnect_analyst',
	'GRANT EXECUTE ON FUNCTION kinderconnect.authorizations_ending(integer) TO auditor WITH GRANT OPTION');
my $privileges = q{SELECT c.oid::regclass || ' ' || x.grantee::regrole || ' ' || x.privilege_type || x.is_grantable
	FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL
	CROSS JOIN LATERAL aclexplode(coalesce(a.attacl, c.relacl)) x
	WHERE c.relname IN ('health', 'due', 'health_summary') AND c.relnamespace = 'kinderconnect'::regnamespace
	UNION ALL
	SELECT p.oid::regprocedure || ' ' || x.grantee::regrole || x.is_grantable FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) x
	WHERE p.proname = 'authorizations_ending'
	ORDER BY 1};
my $given = in_database('theirs', $privileges);
my $as_was = in_database('theirs', $catalog);
($status, $out, $err) = $node->psql('theirs', "\\set VERBOSITY verbose\nALTER EXTENSION kinderconnect UPDATE");
like($err, qr/ERROR:  2BP01: .*These do: policy mine on kinderconnect\.child, view public\.late\.\n/s, 'an update names what others built on the tables');
is(in_database('theirs', $catalog), $as_was, 'and changes nothing');
in_database('theirs', 'DROP VIEW public.late', 'DROP POLICY mine ON kinderconnect.child');
($status, $out, $err) = $node->psql('theirs', 'ALTER EXTENSION kinderconnect UPDATE');
is($status, 0, 'without it, it updates');
my ($again) = $err =~ /^DETAIL:  (.*)$/m;
isnt(in_database('theirs', $privileges), $given, 'privileges are as shipped');
in_database('theirs', $again // '');
is(in_database('theirs', $privileges), $given, 'the update told what makes them what they were');

# Who may create in the schema has nothing of his run, or built in, by the
# superuser who installs or updates. The trap fits the better, or comes first.
my $trap = q{AS $$ BEGIN RAISE EXCEPTION 'a trap ran as %', current_user; END $$ LANGUAGE plpgsql};
$node->safe_psql('postgres', 'CREATE DATABASE planted');
in_database('planted', q{CREATE EXTENSION kinderconnect VERSION '1.0.0' CASCADE}, 'CREATE ROLE sly IN ROLE kinderconnect_admin',
	"SET ROLE sly; CREATE FUNCTION kinderconnect.format(text, name, regclass) RETURNS text $trap;
	CREATE FUNCTION kinderconnect.format(text, text, text) RETURNS text $trap;
	CREATE TABLE kinderconnect.kinderconnect_reader (type text, identity text, depth integer)");
is($node->psql('planted', 'ALTER EXTENSION kinderconnect UPDATE'), 0, 'an update runs nothing that an administrator planted');
$node->safe_psql('postgres', 'CREATE DATABASE prepared');
in_database('prepared', 'CREATE ROLE squatter; GRANT CREATE ON DATABASE prepared TO squatter',
	"SET ROLE squatter; CREATE SCHEMA kinderconnect;
	CREATE FUNCTION kinderconnect.format(text, regclass) RETURNS text $trap;
	CREATE FUNCTION kinderconnect.unaccent(text) RETURNS text IMMUTABLE $trap;
	CREATE FUNCTION kinderconnect.dmetaphone(text) RETURNS text IMMUTABLE $trap;
	CREATE FUNCTION kinderconnect.similarity(text, text) RETURNS real IMMUTABLE $trap;
	CREATE TABLE kinderconnect.theirs (organization_id text)");
is($node->psql('prepared', 'CREATE EXTENSION kinderconnect CASCADE'), 0, 'nor does CREATE EXTENSION, of what was in the schema before');
is(in_database('prepared', q{SELECT kinderconnect.fold('Zoë'), kinderconnect._sound('zoe'), kinderconnect._compare_names('katharina', 'catrina')}),
	'zoe|S|similar', 'and names are folded and compared by what it requires');
is(in_database('prepared', q{SELECT relrowsecurity FROM pg_class WHERE oid = 'kinderconnect.theirs'::regclass}), 'f', 'a table of others is left as it is');
foreach my $script (map { slurp_file($_) } "$scripts/kinderconnect--$version.sql", glob 'sql/upgrade/*.sql')
{
	like($script, qr/\A\\echo .*\n(?:\s*--.*\n|\n)*SET LOCAL search_path = pg_catalog, pg_temp;\n/, 'a script looks nowhere else from its first statement on');
}

my $upgraded = made('whole', '0.9.9', $version);
is(apart($fresh, $upgraded), '', 'what the upgrade of a version made up lacks');
is(apart($upgraded, $fresh), '', 'and has too much');
foreach my $n (0 .. $#names)
{
	# a later step may fail without it
	my $there = eval { made("step$n", '0.9.9', "0.9.9.$n") } // 'an error';

	isnt($there, $fresh, "an upgrade that forgets this is seen: $names[$n]");
}

# what others have put in stays
$node->safe_psql('postgres', 'CREATE DATABASE used');
in_database('used', q{CREATE EXTENSION kinderconnect VERSION '0.9.9' CASCADE},
	q{INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source) VALUES ('TX', 'entry_window_days', '(,)', '9', true, 'a letter');
	INSERT INTO kinderconnect.absence_limit (state, limit_name, valid, counts, period_months, period_begins, at_most, enforced, source) VALUES ('NY', 'paid absences', '(,)', 'absence', 12, 1, 80, true, 'a letter');
	INSERT INTO kinderconnect.absence_reason VALUES ('TX-28', 'Sick', 'S')},
	# and what was shipped, and edited
	q{UPDATE kinderconnect.agency_rule SET value = 'send', enforced = true WHERE state = 'TX' AND rule = 'lone_punch' AND value = 'hold';
	UPDATE kinderconnect.unit_band SET minutes = '[360,781)' WHERE state = 'TX' AND unit = 'full-day'},
	q{INSERT INTO kinderconnect.dialect (dialect, description, auth) VALUES ('ours', 'the paper', 'oauth2');
	INSERT INTO kinderconnect.dialect_operation SELECT (jsonb_populate_record(o, '{"dialect": "ours", "path": "/other"}')).* FROM kinderconnect.dialect_operation o WHERE dialect = 'kinderbridge';
	INSERT INTO kinderconnect.dialect_field SELECT (jsonb_populate_record(f, '{"dialect": "ours"}')).* FROM kinderconnect.dialect_field f WHERE dialect = 'kinderbridge';
	INSERT INTO kinderconnect.agency (agency_id, state) VALUES ('TX-28', 'TX')},
	q{INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret) VALUES ('service', 'ours', 'https://a.example', 'https://a.example/token', 'me', 'mine')},
	q{INSERT INTO kinderconnect.nickname (name, nickname) VALUES ('annamirl', 'mirl')},
	q{GRANT SELECT ON kinderconnect.batch TO PUBLIC; REVOKE SELECT ON kinderconnect.run FROM kinderconnect_analyst});
my $kept = q{SELECT to_jsonb(a) FROM kinderconnect.agency_rule a WHERE NOT builtin UNION ALL SELECT to_jsonb(l) FROM kinderconnect.absence_limit l WHERE NOT builtin
	UNION ALL SELECT to_jsonb(b) FROM kinderconnect.unit_band b WHERE NOT builtin UNION ALL SELECT to_jsonb(r) FROM kinderconnect.absence_reason r
	UNION ALL SELECT to_jsonb(kinderconnect._rules('TX-28', '2026-05-01')) UNION ALL SELECT to_jsonb(f) FROM kinderconnect.dialect_field f WHERE dialect = 'ours' UNION ALL SELECT to_jsonb(d) FROM kinderconnect.dialect d WHERE NOT builtin
	UNION ALL SELECT to_jsonb(o) FROM kinderconnect.dialect_operation o WHERE dialect = 'ours' UNION ALL SELECT to_jsonb(e) FROM kinderconnect.endpoint e
	UNION ALL SELECT to_jsonb(n) FROM kinderconnect.nickname n WHERE NOT builtin
	UNION ALL SELECT to_jsonb(array_agg(concat_ws(' ', c.relname, x.grantee, x.privilege_type) ORDER BY c.relname, x.grantee, x.privilege_type))
		FROM pg_class c, aclexplode(c.relacl) x WHERE c.oid IN ('kinderconnect.batch'::regclass, 'kinderconnect.run'::regclass) ORDER BY 1};
my $before = in_database('used', $kept);

# The new library is there before the update is run.
sub said { my ($status, $stdout, $stderr) = $node->psql('used', "\\set VERBOSITY verbose\n$_[0]"); return $stderr; }

is(in_database('used', q{SELECT kinderconnect.fold('É'), count(*) FROM kinderconnect.provider_summary}), 'e|0', 'before the update reading goes on');
like(said(q{SELECT kinderconnect._open(NULL)}),
	qr/ERROR:  KC001: the library of kinderconnect is of version \Q$version\E, and its SQL in this database of version 0\.9\.9\nHINT:  Run ALTER EXTENSION kinderconnect UPDATE/,
	'calling the service does not');
like(said(q{SELECT * FROM kinderconnect.api_customers('x')}), qr/KC001: the library of kinderconnect/, 'nor for a single call');

in_database('used', 'ALTER EXTENSION kinderconnect UPDATE');
is(in_database('used', $kept), $before, 'rules, dialects, names, endpoints and privileges of others are as before');
is(said(q{SELECT kinderconnect._open(NULL); SELECT kinderconnect._close()}), '', 'after the update the service can be called');

done_testing;
