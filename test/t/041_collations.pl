# Ids and keys are compared as bytes: no index rests on how a library sorts,
# which an upgrade of the system may change under it, and what collation Manage
# gives to its own is nothing to us.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('collations', seed => made_seed(providers => 2), days => 3);

is($night->sql(
		q{SELECT i.indexrelid::regclass, pg_get_indexdef(i.indexrelid, k::integer, true), c.id::regcollation
		FROM pg_index i
		JOIN pg_class t ON t.oid = i.indrelid AND t.relnamespace = 'kinderconnect'::regnamespace
		CROSS JOIN LATERAL unnest(i.indcollation) WITH ORDINALITY c(id, k)
		WHERE c.id NOT IN (0, 'pg_catalog."C"'::regcollation)}),
	'', 'no index depends on a collation of a library');

# An index of Manage's serves, where it is of the database's collation
$night->sql(q{CREATE INDEX visit_by_organization ON manage.visit (organization); ALTER DATABASE postgres SET enable_seqscan = off});
is($night->night->{state}, '', 'a night that finds what it asks Manage for');
ok($night->node->poll_query_until('postgres', q{SELECT idx_scan > 0 FROM pg_stat_user_indexes WHERE indexrelid = 'manage.visit_by_organization'::regclass}),
	'by an index');
$night->sql(q{ALTER DATABASE postgres RESET enable_seqscan; UPDATE manage.visit SET departed = departed + interval '1 minute'});

# Manage's own, another one in each relation, or this one in all
sub bind_all
{
	my ($collation) = @_;
	my $queries = q{SELECT kinderconnect.bind_manage('organization', 'SELECT DISTINCT organization COLLATE "POSIX" AS organization_id, organization AS name FROM manage.site');
		SELECT kinderconnect.bind_manage('location', 'SELECT organization COLLATE "POSIX" AS organization_id, site COLLATE "POSIX" AS location_id,
			name COLLATE "POSIX" AS name, zip COLLATE "POSIX" AS zip, zone COLLATE "POSIX" AS time_zone FROM manage.site');
		SELECT kinderconnect.bind_manage('child', 'SELECT organization COLLATE "ucs_basic" AS organization_id, site COLLATE "ucs_basic" AS location_id,
			student COLLATE "ucs_basic" AS child_id, first_name COLLATE "ucs_basic" AS first_name, middle_name COLLATE "ucs_basic" AS middle_name,
			last_name COLLATE "ucs_basic" AS last_name, suffix COLLATE "ucs_basic" AS suffix, born AS date_of_birth, true AS active FROM manage.student');
		SELECT kinderconnect.bind_manage('attendance', 'SELECT organization COLLATE "C" AS organization_id, site COLLATE "POSIX" AS location_id,
			student COLLATE "POSIX" AS child_id, ''V'' || visit AS attendance_id, ''session'' COLLATE "POSIX" AS kind, arrived AS check_in, departed AS check_out,
			NULL::date AS service_date, NULL COLLATE "POSIX" AS reason, NULL::timestamptz AS modified_at FROM manage.visit
			UNION ALL SELECT organization, site, student, ''A'' || absence, ''absence'', NULL, NULL, day, reason, NULL FROM manage.absence');
		SELECT kinderconnect.bind_manage('child_id', 'SELECT organization COLLATE "POSIX" AS organization_id, student COLLATE "ucs_basic" AS child_id,
			agency COLLATE "POSIX" AS agency_id, child COLLATE "POSIX" AS kinderconnect_child_id FROM manage.student WHERE student LIKE ''%1''');
		SELECT kinderconnect.bind_manage('provider_id', 'SELECT organization COLLATE "POSIX" AS organization_id, site COLLATE "ucs_basic" AS location_id,
			agency COLLATE "POSIX" AS agency_id, provider COLLATE "POSIX" AS provider_id FROM manage.site')};

	$queries =~ s/COLLATE "\w+"/COLLATE $collation/g if defined $collation;
	$night->sql($queries);
	return;
}

my $bound = 'kinderconnect.manage_organization, kinderconnect.manage_location, kinderconnect.manage_child, kinderconnect.manage_attendance';
$night->sql("DROP VIEW $bound");
bind_all();
is($night->night->{state}, '', 'a night');
$night->agrees('with collations of Manage that differ from ours');
isnt($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE state = 'accepted'}), 0, 'days were accepted');
bind_all();
isnt($night->sql('SELECT count(*) FROM kinderconnect.preview()'), 0, 'a preview');
is($night->sql('SELECT count(*) FROM kinderconnect.attendance_problem'), 0, 'no problem is seen where there is none');

# what is looked for one by one, and changes
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute';
	UPDATE manage.student SET first_name = first_name || 'a' WHERE student = (SELECT min(student) FROM manage.student)});
is($night->night->{state}, '', 'a night of changes');
$night->agrees('and the changes');
my ($organization, $agency, $child, $kid) = split /\|/, $night->sql(
	q{SELECT organization_id, agency_id, kinderconnect_child_id, child_id FROM kinderconnect.child_link WHERE ended_at IS NULL ORDER BY 1, 2, 3 LIMIT 1});
$night->sql(qq{SET ROLE kinderconnect_operator; SELECT kinderconnect.unlink_child('$organization', '$agency', '$child', 'by test')});
# called with columns of ours, functions have their collation
$night->sql(qq{SET ROLE kinderconnect_operator; SELECT kinderconnect.link_child(c.organization_id, c.agency_id, c.kinderconnect_child_id, '$kid', 'by test')
	FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id) = ('$organization', '$agency', '$child')});
$night->sql(q{SET ROLE kinderconnect_admin; SELECT kinderconnect.add_provider(p.organization_id, p.agency_id, p.provider_id, p.location_id) FROM kinderconnect.provider p});
is($night->night->{state}, '', 'a night of another link');
$night->agrees('and the link');

# A collation that takes different letters for equal, with which the server has
# no regular expressions
SKIP:
{
	skip 'a server without ICU', 6 if $night->sql(q{SELECT count(*) FROM pg_collation WHERE collprovider = 'i'}) == 0;
	my $known = q{SELECT string_agg(concat_ws(' ', child_id, xmin), ', ' ORDER BY child_id) FROM kinderconnect.known_child};

	$night->sql(qq{CREATE COLLATION manage.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		DROP VIEW $bound, kinderconnect.manage_child_id, kinderconnect.manage_provider_id});
	bind_all('manage.any_case');
	$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute';
		UPDATE manage.student SET first_name = upper(first_name) WHERE student = (SELECT min(student) FROM manage.student)});
	cmp_ok($night->sql(q{SELECT count(*) FROM kinderconnect.preview() WHERE state = 'ready'}), '>', 0, 'a preview of what has no case');
	is($night->night->{state}, '', 'a night');
	$night->agrees('and what it sends');
	my $before = $night->sql($known);
	is($night->night->{state}, '', 'another');
	is($night->sql($known), $before, 'to which every child is as it was');

	# and a database of a language that has another small letter for I
	$night->sql(q{CREATE DATABASE other_letters ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C' TEMPLATE template0});
	$night->node->safe_psql('other_letters', 'SET client_min_messages = warning; CREATE EXTENSION kinderconnect CASCADE');
	is($night->node->safe_psql('other_letters', q{SELECT kinderconnect.fold('MARIA INES'), kinderconnect.fold('GARCIA-IBAÑEZ III'), kinderconnect._first_key('IRIS'),
		kinderconnect._last_key('IVES'), kinderconnect._suffix_key('Bo', 'King', 'III')}),
		'maria ines|garcia ibanez iii|iris|ives|iii', 'names are folded the same');
}

# A database of another encoding is told, by name, and has nothing of ours
foreach my $encoding (qw(LATIN1 SQL_ASCII))
{
	$night->sql("CREATE DATABASE other_\L$encoding\E ENCODING '$encoding' TEMPLATE template0 LOCALE 'C'");
	my ($status, $out, $err) = $night->node->psql("other_\L$encoding\E", 'CREATE EXTENSION kinderconnect CASCADE');
	like($err, qr/ERROR:  kinderconnect needs a database in the encoding UTF8, not $encoding\nHINT:  Create the database with ENCODING 'UTF8'/, "$encoding");
	is($night->node->safe_psql("other_\L$encoding\E", q{SELECT count(*) FROM pg_namespace WHERE nspname = 'kinderconnect'}), 0, 'and nothing is there');
}

# So is a session that would read every backslash of the script otherwise
$night->sql('CREATE DATABASE other_strings TEMPLATE template0');
my $strings = 'SET standard_conforming_strings = off; SET escape_string_warning = off';
my ($status, $out, $err) = $night->node->psql('other_strings', "$strings; CREATE EXTENSION kinderconnect CASCADE");
like($err, qr/ERROR:  kinderconnect cannot be installed while standard_conforming_strings is off\nHINT:  SET standard_conforming_strings = on/, 'strings with escapes');

done_testing;
