# What README says to type works when it is typed, in its order.
use strict;
use warnings;

use JSON::PP;
use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file('README.md');
my ($install) = $readme =~ /^## Install\n(.*?)^## /ms;
my ($ask) = $readme =~ /^## What analysts ask\n(.*?)^## /ms;
my @install = $install =~ /^```sql\n(.*?)^```$/msg;
my @ask = $ask =~ /^```sql\n(.*?)^```$/msg;

is(scalar @install, 7, 'seven blocks of SQL to go live');
is(scalar(() = join('', @ask) =~ /;$/mg), 5, 'five questions');

# The service that README speaks of, with one child of its own.
my $night = new_night('readme',
	seed => {
		clients => [ { clientId => 'your client id', clientSecret => 'the OAuth client secret' } ],
		groups => [
			{
				groupId => 'G-1001',
				groupPassword => 'the group password',
				customers => [ { customerId => 'C-1', name => 'Sunshine', status => 'active' } ],
				agencies => [ { agencyId => 'TX-28', name => 'Gulf Coast', state => 'TX', timeZone => 'America/Chicago' } ],
				locations => [
					{
						providerId => 'P55501', agencyId => 'TX-28', customerId => 'C-1', name => 'Main Street', status => 'active',
						address => { line1 => '1 Main St', city => 'Houston', state => 'TX', zip => '77002' } } ],
				children => [
					{
						agencyId => 'TX-28', childId => '4711', firstName => 'Ana', lastName => 'de la Cruz', dateOfBirth => '2022-05-17',
						subsidized => JSON::PP::true,
						authorizations => [ { providerId => 'P55501', authorizationId => 'A-1', beginDate => '2020-01-01' } ] } ] } ] });

# Its management system, with three days of attendance and an absence.
$night->sql(
	q{
	SET client_min_messages = warning;
	CREATE EXTENSION pg_cron;
	CREATE SCHEMA crm;
	CREATE TABLE crm.company (code text, name text);
	CREATE TABLE crm.center (company text, id integer, name text, zip text, time_zone text);
	CREATE TABLE crm.student (company text, center integer, id integer, first_name text, middle_name text, last_name text,
		suffix text, born date, enrolled boolean);
	CREATE TABLE crm.visit (company text, center integer, student integer, id integer,
		arrived timestamptz, departed timestamptz, changed timestamptz);
	CREATE TABLE crm.absence (company text, center integer, student integer, id integer, day date, reason text, changed timestamptz);
	INSERT INTO crm.company VALUES ('sunshine', 'Sunshine');
	INSERT INTO crm.center VALUES ('sunshine', 17, 'Sunshine on Main', '77002', 'America/Chicago');
	INSERT INTO crm.student VALUES ('sunshine', 17, 9, 'ANA', NULL, 'De La Cruz', NULL, '2022-05-17', true);
	INSERT INTO crm.visit
	SELECT 'sunshine', 17, 9, n, (day + time '08:02') AT TIME ZONE 'America/Chicago', (day + time '16:31') AT TIME ZONE 'America/Chicago', now()
	FROM generate_series(2, 4) n, LATERAL (SELECT (now() AT TIME ZONE 'America/Chicago')::date - n AS day) d;
	INSERT INTO crm.absence VALUES ('sunshine', 17, 9, 1, (now() AT TIME ZONE 'America/Chicago')::date - 1, 'sick', now());
});

$night->write_secrets('kinderconnect_client' => 'the OAuth client secret', 'group_sunshine' => 'the group password');

my $url = $night->url;
my $script = join '', @install;
$script =~ s{https://api\.example\.com}{$url};
$script =~ s{https://login\.example\.com}{$url};

my ($status, $stdout, $stderr) = $night->node->psql('postgres', "SET client_min_messages = warning;\n$script", on_error_stop => 0);
my @errors = $stderr =~ /ERROR:\s+(.*)/g;

is(scalar @errors, 0, 'no error') or diag($stderr);
unlike($stdout, qr/\|f\|/, 'the connection works');
is($night->sql(q{SELECT string_agg(concat_ws(' ', status, scope ->> 'sends', (SELECT count(*) FROM kinderconnect.ledger l WHERE l.run_id = r.run_id)), ', ' ORDER BY run_id)
	FROM kinderconnect.run r}), 'succeeded false 0, succeeded 4', 'one night looked on, and one sent');
is(scalar(() = $stdout =~ /^sunshine\|TX-28\|P55501\|4711\|.*\|ready\|/mg), 4, 'what it would send was shown before');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE state = 'accepted'}), '4', 'and was accepted');
is(scalar @{ $night->admin('store')->{records} }, 4, 'by the service too');
is($night->sql(q{SELECT username || ' ' || command FROM cron.job}), 'kinderconnect_night CALL kinderconnect.tick()', 'the job is scheduled');

foreach my $question (join('', @ask) =~ /^((?:SELECT|WITH).*?;)$/msg)
{
	my $answer = $night->try_sql("SET ROLE kinderconnect_analyst; $question");

	is($answer->{status}, 0, ($question =~ /FROM (\S+)/)[0]) or diag($answer->{stderr});
	is(scalar(() = $answer->{stdout} =~ /^/mg), 4, '... of each day that was sent') if $question =~ /kinderconnect\.ledger/;
}

# What it says to ask when something is wrong has an answer then.
my ($wrong) = $readme =~ /^## When something is wrong\n(.*?)^## /ms;
my ($failed) = $wrong =~ /`(SELECT \* FROM kinderconnect\.run_organization [^`]*)`/;

like($wrong, qr/\Q$failed\E` and the\s+same of `run_provider`/, 'the errors of organizations, and of providers');
$night->sql(q{SELECT kinderconnect.add_provider('sunshine', 'TX-28', 'P0')});
is($night->night->{state}, 'KC402', 'a provider that is not of the group');
$night->sql(q{SELECT kinderconnect.set_secret('group_sunshine', 'another')});
is($night->night->{state}, 'KC402', 'a password that is refused');
foreach my $table ('run_organization', 'run_provider')
{
	my $question = $failed =~ s/run_organization/$table/r;
	my $code = $table eq 'run_organization' ? 'KC202' : 'KC203';

	like($night->sql("SET ROLE kinderconnect_analyst; $question"), qr/^[^\n]*\b$code\b/, "$table tells of it");
}

done_testing;
