# The older dialect: no lists, no read-back, no void, two slots a day, and one
# word for every error.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $seed = made_seed(providers => 2, children => 30);
$seed->{groups}[0]{agencies}[0]{rules} = { loneOutAllowed => JSON::PP::true, batchFails => ['NOT_AUTHORIZED_ON_DATE'] };
my $night = ready_night('vendor', seed => $seed, organizations => { gateway => 'G-1' }, days => 7);
my $url = $night->url;
my $seen = 0;

# Of the history since the last time: "kind verdict" and how often
sub sent
{
	my $history = $night->admin("history?after=$seen")->{records};
	my %sent;

	$seen += @$history;
	foreach my $record (@$history)
	{
		my ($kind) = grep { $record->{$_} } qw(sessions absence closure);

		$sent{"$kind $record->{status}"}++;
	}
	return \%sent;
}

sub calls { return $night->admin('requests')->{operations}{ $_[0] }{received}; }
sub refusals { return scalar @{ $night->admin('refused')->{refused} }; }
sub fault { return $night->admin('faults', { faults => [@_] }); }
sub state_of { return $night->sql("SELECT state, reason, content, accepted_content FROM kinderconnect.child_day WHERE $_[0]"); }

# What an administrator enters where the service lists nothing, and a Manage
# that also knows closures. What the service ought to hold has no reasons, and
# no day of three sessions.
$night->sql(qq{
	INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('older', 'vendor-interface', '$url/vendor-interface');
	SELECT kinderconnect.enable_integration('gateway', 'G-1', endpoint => 'older');
	SELECT kinderconnect.add_provider('gateway', 'MO-1', provider, site) FROM manage.site;

	CREATE TABLE manage.closed (organization text, site text, day date);
	SELECT kinderconnect.bind_manage('attendance',
		'SELECT organization AS organization_id, site AS location_id, student AS child_id, ''V'' || visit AS attendance_id, ''session'' AS kind,
			arrived AS check_in, departed AS check_out, NULL::date AS service_date, NULL AS reason, NULL::timestamptz AS modified_at
		FROM manage.visit
		UNION ALL
		SELECT organization, site, student, ''A'' || absence, ''absence'', NULL, NULL, day, reason, NULL FROM manage.absence
		UNION ALL
		SELECT organization, site, NULL, ''C'' || day, ''closure'', NULL, NULL, day, NULL, NULL FROM manage.closed');

	CREATE OR REPLACE VIEW manage.truth AS
	SELECT s.organization, l.agency, l.provider, s.child, p.day, p.content
	FROM (SELECT v.organization, v.site, v.student, (coalesce(v.arrived, v.departed) AT TIME ZONE l.zone)::date AS day,
			string_agg(concat(to_char(v.arrived AT TIME ZONE l.zone, 'HH24:MI'), '-', to_char(v.departed AT TIME ZONE l.zone, 'HH24:MI')), ' ' ORDER BY v.arrived) AS content
		FROM manage.visit v JOIN manage.site l USING (organization, site)
		GROUP BY 1, 2, 3, 4 HAVING count(*) <= 2
		UNION ALL
		SELECT a.organization, a.site, a.student, a.day, 'absence' FROM manage.absence a
		UNION ALL
		SELECT c.organization, c.site, s.student, c.day, 'closure' FROM manage.closed c JOIN manage.student s USING (organization, site)) p
	JOIN manage.site l USING (organization, site)
	JOIN manage.student s USING (organization, student)
	WHERE EXISTS (SELECT FROM manage.entitled e
		WHERE (e.organization, e.agency, e.provider, e.child) = (s.organization, l.agency, l.provider, s.child)
			AND (e.days IS NULL OR to_char(p.day, 'DY') LIKE ANY (SELECT d || '_' FROM unnest(e.days) d)));

	-- S1 and S2 have a second session on their latest day, S3 two more; S4 was not checked out
	CREATE TABLE manage.latest AS SELECT DISTINCT ON (organization, student) * FROM manage.visit ORDER BY organization, student, arrived DESC;
	INSERT INTO manage.visit (organization, site, student, arrived, departed)
	SELECT organization, site, student, departed + n * interval '30 minutes', departed + (n + 1) * interval '30 minutes'
	FROM manage.latest, generate_series(1, 3, 2) n WHERE student IN ('S1', 'S2') AND n = 1 OR student = 'S3';
	UPDATE manage.visit SET departed = NULL WHERE visit = (SELECT visit FROM manage.latest WHERE student = 'S4');
	INSERT INTO manage.closed SELECT 'gateway', 'site P2', min(day) - 1 FROM manage.truth;
});

# before anything is sent
is($night->sql(q{SELECT count(*) FROM kinderconnect.check_dialect('vendor-interface') WHERE severity <> 'info'}), 0, 'nothing is wrong with the dialect');
is($night->sql(q{SELECT step, subject, ok, message FROM kinderconnect.test_connection('gateway')}),
	'secret|group password|t|in the secrets file
agencies|agency "MO-1"|f|the service lists none, and no state is entered: no rule of a state applies
children|agency "MO-1", provider "P1"|t|30 children this month
children|agency "MO-1", provider "P2"|t|30 children this month', 'the connection works, and what is not entered is named');

# the rule that lets a lone punch go is the state's, and whose state the agency
# is, is known from the administrator
$night->sql(q{INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source) VALUES ('MO', 'lone_punch', '(,)', 'send', true, 'this test')});
is($night->night->{state}, '', 'the first night');
is(state_of(q{kinderconnect_child_id = '1004' AND session_out IS NULL AND reason LIKE 'missing%'}), 'held|missing_check_out||', 'without the agency, a day with a lone punch is held');
$night->sql(q{INSERT INTO kinderconnect.agency (agency_id, name, state) VALUES ('MO-1', 'Office', 'MO')});
is($night->night->{state}, '', 'a night with it');
$night->agrees('all is there that has a slot');
is_deeply(sent(), {
		'sessions accepted' => $night->sql(q{SELECT count(*) FROM manage.truth WHERE content ~ ':'}),
		'absence accepted' => $night->sql(q{SELECT count(*) FROM manage.truth WHERE content = 'absence'}),
		'closure accepted' => 30 },
	'each once');
is(calls('token'), 0, 'no token was asked for');
is(calls('customers') + calls('locations') + calls('agencies') + calls('readback'), 0, 'nor anything that there is not');
is(refusals(), 0, 'every request was as agreed');
is($night->sql(q{SELECT state, reason, cardinality(regexp_split_to_array(detail, ' ')) FROM kinderconnect.child_day WHERE kinderconnect_child_id = '1003' AND reason = 'too_many_sessions'}),
	'held|too_many_sessions|3', 'three sessions are held, and were never sent');
is($night->sql(q{SELECT count(*), max(records) FROM kinderconnect.batch WHERE provider_id = 'P1' AND run_id = 1}), '2|200', 'no more than 200 records a call');
$night->night;
is_deeply(sent(), {}, 'nothing new, nothing sent');

# corrections, and what cannot be taken back
$night->sql(q{UPDATE manage.visit v SET departed = v.departed + interval '1 minute' FROM manage.latest l WHERE l.visit = v.visit AND l.student IN ('S5', 'S6')});
$night->sql(q{DELETE FROM manage.visit WHERE visit = (SELECT max(visit) FROM manage.visit WHERE student = 'S3')});
is($night->night->{state}, '', 'a night of corrections');
$night->agrees('the service has followed');
is_deeply(sent(), { 'sessions accepted' => 3 }, 'and only what changed was sent');
$night->sql(q{
	CREATE TABLE manage.undone AS SELECT v.* FROM manage.visit v JOIN manage.latest l USING (visit) WHERE l.student = 'S7';
	DELETE FROM manage.visit v USING manage.undone u WHERE u.visit = v.visit});
is($night->night->{state}, '', 'a night with a day deleted');
like(state_of(q{kinderconnect_child_id = '1007' AND reason = 'cannot_void'}), qr/^held\|cannot_void\|\|08:07-16:\d\d$/, 'it is held, with what the service holds');
like($night->try_sql(q{SELECT kinderconnect.void_day('gateway', 'MO-1', 'P1', '1007', (SELECT min(service_date) FROM kinderconnect.child_day))})->{stderr},
	qr/cannot take a day back/, 'nor can a person take it back');
$night->sql('INSERT INTO manage.visit OVERRIDING SYSTEM VALUE TABLE manage.undone');
$night->night;
is_deeply(sent(), {}, 'put back, there is nothing to send');
$night->agrees('and all agree');

# an answer that is lost: the same record again, before anything new
my $change = q{UPDATE manage.visit v SET departed = v.departed + interval '1 minute' FROM manage.latest l WHERE l.visit = v.visit AND l.student IN ('S8', 'S9')};
$night->sql($change);
fault({ kind => 'drop_after', operation => 'submit', times => 1 });
$night->night;
is_deeply(sent(), { 'sessions accepted' => 2, 'sessions duplicate' => 2 }, 'an answer that is lost is got the same night');
$night->agrees('and nothing is lost');
$night->sql($change);
fault({ kind => 'drop_after', operation => 'submit' });
is($night->night->{state}, 'KC402', 'a night in which no answer comes');
is($night->sql(q{SELECT count(*), count(*) FILTER (WHERE state = 'unknown') FROM kinderconnect.child_day WHERE accepted_content IS DISTINCT FROM content AND content IS NOT NULL}), '2|2', 'leaves days unknown');
$night->sql($change);
fault();
sent();
is($night->night->{state}, '', 'the night after, with a correction of what is unknown');
my @records = map { "$_->{childId} $_->{status}" } @{ $night->admin("history?after=$seen")->{records} };
is_deeply([ sort @records[ 0, 1 ] ], [ '1008 duplicate', '1009 duplicate' ], 'first the old record once more');
is_deeply([ sort @records[ 2 .. $#records ] ], [ '1008 accepted', '1009 accepted' ], 'then the correction');
sent();
$night->agrees('and all agree');

# Nor is a day that Manage no longer has by then taken back without a judgement:
# this service has no word for that, and a batch with one could never be sent.
$night->sql(q{UPDATE manage.visit v SET departed = v.departed + interval '1 minute' FROM manage.latest l WHERE l.visit = v.visit AND l.student = 'S9'});
fault({ kind => 'drop_after', operation => 'submit' });
$night->night;
fault();
$night->sql(q{
	CREATE TABLE manage.lost AS SELECT v.* FROM manage.visit v JOIN manage.latest l USING (visit) WHERE l.student = 'S9';
	DELETE FROM manage.visit v USING manage.lost u WHERE u.visit = v.visit});
is($night->night->{state}, '', 'a night after an answer was lost and the day deleted');
like(state_of(q{kinderconnect_child_id = '1009' AND reason = 'cannot_void'}), qr/^held\|cannot_void\|\|\d/, 'the day is held, with what the service holds');
is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger WHERE kind = 'void'}), 0, 'nothing was made that the service has no word for');
$night->sql('INSERT INTO manage.visit OVERRIDING SYSTEM VALUE TABLE manage.lost');
$night->night;
sent();
$night->agrees('put back, all agree');

# a server that dies with its call on the way
$night->sql($change);
fault({ kind => 'hang', operation => 'submit', times => 1 });
my $job = $night->start_sql('CALL kinderconnect.nightly()');
$night->wait_simulator(operation => 'submit', hanging => 1);
$night->node->stop('immediate');
$job->finish;
fault();
$night->admin('release', {});
$night->node->start;
is($night->night->{state}, '', 'the night after the server died');
is_deeply(sent(), { 'sessions accepted' => 2, 'sessions duplicate' => 2 }, 'repeats what had arrived');
$night->agrees('nothing lost, nothing doubled');

# an answer that leaves a record out
$night->sql($change);
fault({ kind => 'results_short', operation => 'submit', times => 1 });
$night->night;
is_deeply(sent(), { 'sessions accepted' => 2, 'sessions duplicate' => 1 }, 'what an answer leaves out is repeated');
$night->agrees('and all agree');
fault();

# whatever comes in place of an answer
foreach my $fault (
	(map { { kind => $_ } } qw(drop_before cut html empty truncated_json bad_utf8 nul_escape results_long results_shuffled
		batch_failed echo_password expire_token redirect)),
	(map { { kind => 'status', status => $_ } } 200, 500, 503, 413),
	{ kind => 'status', status => 200, contentType => 'application/json', body => '{}' })
{
	my $name = join ' ', map { $fault->{$_} // () } qw(kind status body);

	$night->sql($change);
	fault({ %$fault, operation => 'submit', times => 1 },
		map { { %$fault, operation => 'children', times => 1, match => { providerId => 'P1' } } } grep { !/^results|^batch|^expire/ } $fault->{kind});
	$night->night;
	fault();
	is($night->night->{state}, '', "a night after $name");
	$night->agrees("nothing lost, nothing doubled by $name");
}
sent();

# one word for every error: a batch that fails for one record. The service
# knows of a weekday, which this dialect does not tell.
$night->sql(q{
	UPDATE manage.visit SET departed = departed + interval '2 minutes' WHERE site = 'site P1';
	UPDATE manage.entitled SET days = ARRAY(SELECT unnest(ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])
		EXCEPT SELECT left(to_char(l.arrived AT TIME ZONE 'America/Chicago', 'DY'), 2) FROM manage.latest l WHERE l.student = 'S10')
	WHERE child = '1010'});
my ($child) = grep { $_->{childId} eq '1010' } @{ $night->seed->{groups}[0]{children} };
$child->{authorizations}[0]{days} = [ split / /, $night->sql(q{SELECT array_to_string(days, ' ') FROM manage.entitled WHERE child = '1010'}) ];
$night->admin('patch', { groupId => 'G-1', children => [$child] });
is($night->night->{state}, '', 'a batch that fails for one record');
my $verdicts = sent();
my $changed = $night->sql(q{SELECT count(*) FROM manage.truth WHERE provider = 'P1' AND content ~ '^\d\d:\d\d-\d'});
is($verdicts->{'sessions accepted'}, $changed, 'all the others are accepted the same night');
is($night->sql(q{SELECT kinderconnect_child_id, code, message ~ 'Attendance could not be posted' FROM kinderconnect.child_day WHERE state = 'rejected'}),
	'1010||t', 'it alone is rejected, in the words of the service');
cmp_ok($night->sql(q{SELECT count(*) FROM kinderconnect.batch WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run)}), '<=', 20, 'with few calls');
$night->night;
is_deeply(sent(), {}, 'and is not tried again');

# a service that fails in the midst of a night: its one word is not taken for
# a rejection of each record
$night->sql(q{
	UPDATE kinderconnect.dialect_operation SET max_records = 100 WHERE dialect = 'vendor-interface' AND operation = 'submit';
	UPDATE manage.visit SET departed = departed + interval '2 minutes'
	WHERE site = 'site P1' AND visit <> (SELECT visit FROM manage.latest WHERE student = 'S10')});
fault({ kind => 'batch_failed', operation => 'submit', match => { providerId => 'P1' }, skip => 1 });
is($night->night->{state}, 'KC402', 'a service that fails after the first batch');
is($night->sql(q{SELECT state FROM kinderconnect.child_day WHERE message IS NOT NULL}), 'rejected', 'leaves what was rejected before, and nothing else, rejected');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE state = 'ready'}), $changed - 100, 'the rest waits');
fault();
is($night->night->{state}, '', 'a night later');
is(sent()->{'sessions accepted'}, $changed, 'all is accepted');

# and the errors that no halving can mend
$night->sql(q{SELECT kinderconnect.add_provider('gateway', 'MO-1', 'P9', 'site P1')});
$night->sql($change);
my $end = $night->night;
is($end->{state}, 'KC402', 'a provider that the service does not know');
like($end->{stderr}, qr/provider "P9": the service refused the request.*Provider is not known/, 'fails');
is_deeply(sent(), { 'sessions accepted' => 2 }, 'and the others do not');
$night->sql(q{SELECT kinderconnect.disable_provider('gateway', 'MO-1', 'P9')});

$night->sql($change);
$night->write_secrets(wrong => 'not the password');
$night->sql(q{SELECT kinderconnect.enable_integration('gateway', 'G-1', 'wrong', endpoint => 'older')});
my $before = calls('submit');
$end = $night->night;
is($end->{state}, 'KC402', 'a wrong password');
like($end->{stderr}, qr/organization "gateway": all providers are refused alike: .*Invalid web service password.*group_password/s, 'is told by all providers that are refused alike');
is(calls('submit') - $before, 0, 'and nothing is sent with it');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE state = 'ready'}), 2, 'what is to be sent waits');
$night->sql(q{SELECT kinderconnect.enable_integration('gateway', 'G-1', endpoint => 'older')});
is($night->night->{state}, '', 'with the right one');
is_deeply(sent(), { 'sessions accepted' => 2 }, 'it goes');

# What is refused the second time may have been taken the first: a person is
# told, because nobody can ask.
$night->sql($change);
fault({ kind => 'drop_after', operation => 'submit' });
$night->night;
fault();
my %agency = %{ $seed->{groups}[0]{agencies}[0] };
$agency{rules} = { cycleSubmittedThrough => $night->sql('SELECT max(day) FROM manage.truth') };
$night->admin('patch', { groupId => 'G-1', agencies => [ \%agency ] });
is($night->night->{state}, '', 'a repetition that is refused');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day
		WHERE state = 'rejected' AND kinderconnect_child_id IN ('1008', '1009')
			AND message = 'the billing cycle of this date has been submitted; it was sent before and that answer was lost, so the service may hold it'}),
	2, 'says that the service may hold it');

done_testing;
