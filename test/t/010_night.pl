# One night after the other: what is new is sent, what is not is not, and what
# looks like an accident waits for a person.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('night', organizations => { sunshine => 'G-SUN' });
my $seen = 0;

# What was sent since the last time: "kind verdict" and how often
sub sent
{
	my $history = $night->admin("history?after=$seen")->{records};
	my %sent;

	$seen += @$history;
	foreach my $record (@$history)
	{
		my ($kind) = grep { $record->{$_} } qw(sessions absence closure void);

		$sent{"$kind $record->{status}"}++;
	}
	return \%sent;
}

# Which rows are there, in which version; not the days that have come since
sub rows
{
	return $night->sql(join ' UNION ALL ', map {
		my $days = $_ eq 'child_day' ? 'WHERE service_date <= (SELECT max(day) FROM manage.truth)' : '';

		"SELECT '$_', count(*), md5(string_agg(ctid::text || xmin, ' ' ORDER BY ctid)) FROM kinderconnect.$_ $days"
	} qw(agency customer organization_agency listed_location provider child "authorization" listed_authorization listed_subsidy
		child_link child_day ledger batch));
}

# refusals, before anything was done
$night->sql('SELECT kinderconnect.disarm()');
my $end = $night->night;
is($end->{state}, 'KC003', 'a database that is not armed refuses');
$night->sql('SELECT kinderconnect.arm()');
$end = $night->night('', 'BEGIN;');
is($end->{state}, '25001', 'a transaction of the caller is refused');
like($end->{stderr}, qr/nightly\(\) cannot run inside a transaction block\n.*HINT: +Turn autocommit on/s, '... in words that say what to do');
is($night->night(q{'nobody'})->{state}, 'KC001', 'an organization that is not there is refused');
is($night->night(q{'sunshine', provider_id => 'P0'})->{state}, 'KC001', 'a provider that is not there is refused');
is($night->night(q{provider_id => 'P55501'})->{state}, '22023', 'a provider of no organization is refused');
is($night->admin('requests')->{received}, 0, 'the service was not called');
is($night->sql('SELECT count(*) FROM kinderconnect.run'), 0, 'no run was begun');

# first and second
is($night->night->{state}, '', 'the first night');
$night->agrees('it sent all');
my $all = $night->sql('SELECT count(*) FROM manage.truth');
is_deeply(sent(), {
		'sessions accepted' => $night->sql(q{SELECT count(*) FROM manage.truth WHERE content NOT LIKE 'absence%'}),
		'absence accepted' => $night->sql(q{SELECT count(*) FROM manage.truth WHERE content LIKE 'absence%'}) },
	'each once');
is($night->sql('SELECT sum(sent), sum(accepted), sum(rejected), sum(unanswered), sum(ready) FROM kinderconnect.run_provider'),
	"$all|$all|0|0|0", 'and counted it');
my $before = rows();
is($night->night->{state}, '', 'the second night');
is_deeply(sent(), {}, 'nothing new, nothing sent');
is(rows(), $before, 'and nothing written');
is($night->sql('SELECT status, scope FROM kinderconnect.run ORDER BY run_id'), "succeeded|{}\nsucceeded|{}", 'but the runs');

# what changes: child 1001 is S1, 1002 is S2, ...
my $oldest = q{(SELECT min(day) FROM manage.truth)};
my $visit = q{(SELECT min(visit) FROM manage.visit WHERE student = '%s')};
$night->sql(join ";\n",
	sprintf("UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE visit = $visit", 'S1'),
	sprintf("DELETE FROM manage.visit WHERE visit = $visit", 'S3'),
	"INSERT INTO manage.visit (organization, site, student, arrived, departed)
		SELECT organization, site, student, arrived - interval '10 days', departed - interval '10 days' FROM manage.visit WHERE visit = " . sprintf($visit, 'S4'),
	"INSERT INTO manage.absence (organization, site, student, day, reason)
		SELECT organization, site, student, (arrived AT TIME ZONE 'America/Chicago')::date, 'VACATION' FROM manage.visit WHERE visit = " . sprintf($visit, 'S14'),
	sprintf("DELETE FROM manage.visit WHERE visit = $visit", 'S14'),
	"INSERT INTO manage.entitled VALUES ('sunshine', 'TX-28', 'P55501', '1009', '2020-01-06')");
my ($lucas) = grep { $_->{childId} eq '1009' } @{ $night->seed->{groups}[0]{children} };
my %new = (providerId => 'P55501', authorizationId => 'A-1009', beginDate => '2020-01-06', endDate => undef, unitsOfCare => 'FULL', days => undef);
$night->admin('patch', { groupId => 'G-SUN', children => [ { %$lucas, authorizations => [ \%new ] } ] });
is($night->sql(q{SELECT count(*), count(*) FILTER (WHERE kind = 'void') FROM kinderconnect.preview() WHERE state = 'ready'}),
	'4|1', 'what Manage has changed is seen in the preview');
is($night->night->{state}, '', 'the night of changes');
$night->agrees('the service has followed');
is_deeply(sent(), { 'sessions accepted' => 8, 'absence accepted' => 1, 'void accepted' => 1 },
	'a correction, a late entry and six days of a new authorization; an absence instead; a deletion');
is($night->sql(q{SELECT state, reason, accepted_content FROM kinderconnect.child_day WHERE kinderconnect_child_id = '1003' AND state = 'voided'}),
	'voided||', 'what was taken back is voided');
$night->night;
is_deeply(sent(), {}, 'and it stays so');

# an authorization that is taken back
my ($ava) = grep { $_->{childId} eq '1003' } @{ $night->seed->{groups}[0]{children} };
$night->admin('patch', { groupId => 'G-SUN', children => [ { %$ava, authorizations => [], providers => ['P55501'] } ] });
is($night->night->{state}, '', 'a night without an authorization that was there');
is_deeply(sent(), {}, 'takes nothing back by itself');
is($night->sql(q{SELECT closed_as FROM kinderconnect."authorization" WHERE kinderconnect_child_id = '1003'}), 'vanished', 'but remembers');
$night->agrees('what was accepted stays');

# a list that shrinks
my $authorized = q{SELECT count(*) FROM kinderconnect."authorization" WHERE provider_id = 'P55501' AND known_until = 'infinity'};
my $standing = $night->sql($authorized);
$night->admin('faults', { faults => [ { kind => 'short_list', keep => 2, operation => 'children', match => { providerId => 'P55501' } } ] });
$end = $night->night;
is($end->{state}, 'KC402', 'a list that has shrunk is an error');
like($end->{stderr}, qr/provider "P55501": list of children has shrunk from 10 to 2 entries.*accept_shrink/s, 'that says so');
is($night->sql($authorized), $standing, 'and changes nothing');
is($night->sql(q{SELECT kinderconnect.accept_shrink('sunshine', 'TX-28', 'P55501') > 0}), 't', 'a person accepts it');
is($night->night->{state}, '', 'then it is taken');
is($night->sql($authorized), 2, 'with what it says');
is_deeply(sent(), {}, 'nothing was sent for it');
$night->agrees('nor taken back');
$night->admin('faults', { faults => [] });
is($night->night->{state}, '', 'a list that grows again is taken at once');
is($night->sql($authorized), $standing, 'all stand again');
is_deeply(sent(), {}, 'and none was sent again');

# a binding that has lost most of its rows
$night->sql(q{
	CREATE TABLE manage.lost AS SELECT * FROM manage.visit WHERE site = 'site P55501' AND student <> 'S3';
	DELETE FROM manage.visit v USING manage.lost l WHERE v.visit = l.visit});
is($night->night->{state}, '', 'a night with most of a site gone from Manage');
is_deeply(sent(), {}, 'takes nothing back');
is($night->sql(q{SELECT count(*) > 10 AND count(*) = count(accepted_content) FROM kinderconnect.child_day WHERE reason = 'source_shrank'}), 't', 'and holds the days');
$night->sql(q{INSERT INTO manage.visit OVERRIDING SYSTEM VALUE TABLE manage.lost});
is($night->night->{state}, '', 'with the rows back');
is_deeply(sent(), {}, 'nothing has happened');
$night->agrees('to the service');
$night->sql(q{DELETE FROM manage.visit v USING manage.lost l WHERE v.visit = l.visit});
$night->night;
$night->sql(q{SELECT kinderconnect.accept_shrink('sunshine')});
is($night->night->{state}, '', 'where a person says that they are deleted');
my $sent = sent();
is_deeply([ keys %$sent ], ['void accepted'], 'they are taken back');
$night->agrees('and all agree');

done_testing;
