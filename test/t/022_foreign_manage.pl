# Manage in another server, bound as doc/bind.md says: when it is down, goes
# down in the middle of the night, or is up but empty, nothing is lost and
# nothing is taken back, and the next night heals.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file('doc/bind.md');
my ($concepts) = $page =~ /^## One table per concept\n.*?^```sql\n(.*?)^```$/ms;
my ($foreign) = $page =~ /^## Another server: postgres_fdw\n.*?^```sql\n(.*?)^```$/ms;

# Four children at P1, one at P2: so few days that a list as short as
# theirs is not checked for shrinking.
my $seed = made_seed(providers => 2);
my $children = $seed->{groups}[0]{children};
splice @{$children}, 5;

my $night = new_night('foreign', seed => $seed);
$night->install;
$night->enable('sunshine', 'G-1');

my $manage = PostgreSQL::Test::Cluster->new('manage');
$manage->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$manage->start;
$manage->safe_psql('postgres', slurp_file('test/lib/crm.sql') . q{
	TRUNCATE crm.company, crm.center, crm.student, crm.visit, crm.absence, crm.closure;
	CREATE ROLE kinderconnect_reader LOGIN;
	GRANT USAGE ON SCHEMA crm TO kinderconnect_reader;
	GRANT SELECT ON ALL TABLES IN SCHEMA crm TO kinderconnect_reader;
	INSERT INTO crm.company VALUES ('sunshine', 'Sunshine');
	INSERT INTO crm.center SELECT 'sunshine', p, 'Place ' || p, '6300' || p, 'America/Chicago' FROM generate_series(1, 2) p;
});
foreach my $child (@{$children})
{
	$manage->safe_psql('postgres',
		"INSERT INTO crm.student VALUES ('sunshine', left('$child->{childId}', 1)::integer, $child->{childId}, '$child->{firstName}', NULL, '$child->{lastName}', NULL, '$child->{dateOfBirth}', true)");
}
attend(6, 2);

my $host = $manage->host;
my $port = $manage->port;
$foreign =~ s/host 'crm\.example\.com', port '5432', dbname 'crm'/host '$host', port '$port', dbname 'postgres'/ or die 'the server of the page';
$night->sql('CREATE ROLE dba LOGIN IN ROLE kinderconnect_admin');
$night->sql($foreign);
$night->sql("SET ROLE dba;\n$concepts");
$night->sql('SELECT kinderconnect.arm()');

# Everybody's visits of these days ago
sub attend
{
	my ($first, $last) = @_;

	$manage->safe_psql('postgres',
		qq{INSERT INTO crm.visit (company, center, student, arrived, departed)
		SELECT s.company, s.center, s.id, (d.day + time '08:00') AT TIME ZONE 'America/Chicago', (d.day + time '16:00') AT TIME ZONE 'America/Chicago'
		FROM crm.student s, generate_series($last, $first) n, LATERAL (SELECT (now() AT TIME ZONE 'America/Chicago')::date - n AS day) d});
	return;
}

sub one_night
{
	return $night->night(undef, 'SET ROLE kinderconnect_operator;')->{state};
}

# The child-days by what the service holds, and how often it was ever told
sub standing
{
	return $night->sql(
		q{SELECT concat_ws(' ', state, reason, count(*)) FROM kinderconnect.child_day WHERE accepted_content IS NOT NULL
		GROUP BY state, reason ORDER BY state, reason COLLATE "C"})
	  . '; there: ' . @{ $night->admin('store')->{records} } . ', sent: ' . @{ $night->admin('history')->{records} };
}

sub last_error
{
	return $night->sql('SELECT sqlstate, error FROM kinderconnect.run_organization WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run)');
}

is(one_night(), '', 'a night with Manage elsewhere');
is(standing(), 'accepted 25; there: 25, sent: 25', 'all that is there was sent');
$night->sql("SET ROLE dba;\n$concepts");
is(one_night(), '', 'bound again while nights rest on it');
is(standing(), 'accepted 25; there: 25, sent: 25', '... to the same');

# Down
attend(1, 1);
$manage->stop('fast');
is(one_night(), 'KC402', 'a night without Manage reports it');
like(last_error(), qr/^08001\|.*could not connect to server "crm"/, 'as the failure of the organization');
unlike(last_error(), qr/\Q$host\E/, '... without what the connection\'s own error would tell');
is(standing(), 'accepted 25; there: 25, sent: 25', '... and nothing was sent or taken back');
is($night->sql('SELECT count(*) FROM kinderconnect.child_link WHERE ended_at IS NULL AND flag IS NULL'), 5, '... and every link stands');
$manage->start;
is(one_night(), '', 'the next night');
is(standing(), 'accepted 30; there: 30, sent: 30', '... sends what was missed');

# Down in the middle: the night has read the locations, and not yet the children
$night->admin('faults', { faults => [ { kind => 'hang_before', operation => 'children', times => 1 } ] });
my $job = $night->start_sql('CALL kinderconnect.nightly()');
$night->wait_simulator(operation => 'children', hanging => 1);
$manage->stop('immediate');
$night->admin('release', {});
like($job->finish->{stderr}, qr/ERROR:  KC402:/, 'a night that loses Manage on its way reports it');
like(last_error(), qr/^08/, '... as the failure of the organization');
is(standing(), 'accepted 30; there: 30, sent: 30', '... and nothing was sent or taken back');
$manage->start;
is(one_night(), '', 'the next night');
is(standing(), 'accepted 30; there: 30, sent: 30', '... has nothing left to do');

# Up, but somebody is loading it: first without attendance, then without
# anything
$manage->safe_psql('postgres', 'CREATE TABLE visit AS TABLE crm.visit; TRUNCATE crm.visit');
is(one_night(), '', 'a night with no attendance in Manage');
is(standing(), 'held source_shrank 30; there: 30, sent: 30', '... takes nothing back, also of the small provider');
$manage->safe_psql('postgres', 'CREATE TABLE student AS TABLE crm.student; CREATE TABLE center AS TABLE crm.center; TRUNCATE crm.student, crm.center');
is(one_night(), '', 'a night with nothing in Manage');
is(standing(), 'held provider_unmatched 30; there: 30, sent: 30', '... takes nothing back');
$manage->safe_psql('postgres', 'INSERT INTO crm.center TABLE center');
is(one_night(), '', 'a night with locations');
is(standing(), 'held child_gone 30; there: 30, sent: 30', '... takes nothing back');
$manage->safe_psql('postgres', 'INSERT INTO crm.student TABLE student; INSERT INTO crm.visit OVERRIDING SYSTEM VALUE TABLE visit');
is(one_night(), '', 'a night with all of it again');
is(standing(), 'accepted 30; there: 30, sent: 30', '... has nothing left to do');

$manage->stop;
done_testing;
