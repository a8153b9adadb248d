# What the service does wrong in a transfer, and that the night comes through.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = made_seed(providers => 2, children => 8);
$seed->{groups}[0]{agencies}[0]{rules} = { absenceReasons => ['SICK'], batchFails => ['UNKNOWN_ABSENCE_REASON'] };
my $night = ready_night('faults', seed => $seed, days => 3,
	conf => "kinderconnect.request_timeout = 20s\nkinderconnect.max_attempts = 3");
my $days = $night->sql(q{SELECT count(*) FROM manage.truth WHERE provider = 'P1'});
my $end = $night->night;
is($end->{state}, '', 'a night without faults');
$night->agrees('all is there');

# Every day of attendance is another one from now on
sub change
{
	$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
	return;
}

sub visits
{
	return $night->sql(q{SELECT count(*) FROM manage.visit WHERE site = 'site P1'});
}

# The n-th visit of P1, in the order of the batch, becomes an absence for a
# reason that fails the batch
sub spoil
{
	foreach my $n (@_)
	{
		$night->sql(qq{
			WITH bad AS (DELETE FROM manage.visit WHERE visit = (
				SELECT v.visit FROM manage.visit v JOIN manage.student s USING (organization, student) WHERE v.site = 'site P1'
				ORDER BY v.arrived::date, s.child OFFSET greatest($n, 1) - 1 LIMIT 1) RETURNING *)
			INSERT INTO manage.absence (organization, site, student, day, reason)
			SELECT organization, site, student, (arrived AT TIME ZONE 'America/Chicago')::date, 'WRONG' FROM bad});
	}
	return;
}

sub states
{
	my ($provider) = @_;

	return $night->sql(qq{SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM kinderconnect.child_day
		WHERE provider_id = '$provider' AND content IS NOT NULL GROUP BY 1) s});
}

sub sent
{
	return scalar @{ $night->admin('history')->{records} };
}

sub faults
{
	$night->admin('faults', { faults => [@_] });
	return;
}

# Culprits: all others are accepted in the same night
foreach my $case ([ 'one culprit', 5 ], [ 'the first', 1 ], [ 'the last', 'all' ], [ 'two side by side', 3, 4 ], [ 'two far apart', 1, 8 ])
{
	my ($name, @culprits) = @$case;
	my $bad = @culprits;

	change();
	spoil(map { $_ eq 'all' ? visits() : $_ } @culprits);
	$end = $night->night;
	# two may fall by lot into the only places where they look like all
	$end = $night->night if $bad > 1 && $end->{state} eq 'KC402';
	is($end->{state}, '', "$name: the night");
	is(states('P1'), sprintf('accepted %d, rejected %d', $days - $bad, $bad), "$name: found, the others are accepted");
	is(states('P2'), "accepted $days", "$name: the other provider has its days");
	is($night->sql(q{SELECT DISTINCT code, message IS NOT NULL FROM kinderconnect.child_day WHERE state = 'rejected'}), 'BATCH_FAILED|t', "$name: what the service said");
	is($night->sql(q{SELECT rejected FROM kinderconnect.run_provider WHERE provider_id = 'P1' ORDER BY run_id DESC LIMIT 1}), $bad, "$name: counted");
	my $before = sent();
	$night->night;
	is(sent(), $before, "$name: not sent again while nothing changes");
	$night->sql(q{UPDATE manage.absence SET reason = 'SICK' WHERE reason = 'WRONG'});
	is($night->night->{state}, '', "$name: corrected in Manage");
	$night->agrees("$name: all is there");
}

# Every batch of a provider
change();
faults({ kind => 'batch_failed', operation => 'submit', match => { providerId => 'P1' } });
$end = $night->night;
is($end->{state}, 'KC402', 'a provider whose every batch fails is an error at the end');
like($end->{stderr}, qr/First: organization "g-1", agency "MO-1", provider "P1": .*\(KC204\)/, 'that names it');
is(states('P1'), sprintf('accepted %d, ready %d', $days - visits(), visits()), 'its days stay ready, none is rejected for it');
is(states('P2'), "accepted $days", 'the other provider has its days');
is($night->sql(q{SELECT accepted, rejected, ready, halted FROM kinderconnect.run_provider ORDER BY run_id DESC, provider_id LIMIT 2}),
	"0|0|@{[ visits() ]}|t\n" . $night->sql(q{SELECT count(*) FROM manage.visit WHERE site = 'site P2'}) . '|0|0|f', 'and so they are counted');
faults();
is($night->night->{state}, '', 'the next night goes on');
$night->agrees('and all is there');

# One record that is too large by itself: refused alone, and sent again when a
# person says so
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE visit = (SELECT max(visit) FROM manage.visit WHERE site = 'site P2')});
faults({ kind => 'status', status => 413, operation => 'submit' });
is($night->night->{state}, '', 'a record that is too large');
is($night->sql(q{SELECT code, count(*) FROM kinderconnect.child_day WHERE state = 'rejected' GROUP BY 1}), 'TOO_LARGE|1', 'is rejected as such');
faults();
is($night->night->{state}, '', 'and the next night leaves it alone');
is(states('P2'), sprintf('accepted %d, rejected 1', $days - 1), 'as it is');
is($night->sql(q{SELECT kinderconnect.retry('g-1', provider_id => 'P2')}), 1, 'retry()');
is($night->night->{state}, '', 'sends it');
$night->agrees('and all is there');

# A fault that one night gets over by itself: its SQLSTATE at the end, and what
# it says of it
foreach my $case (
	[ 'too many records for one call', '', undef, { kind => 'status', status => 413, times => 1 } ],
	[ 'busy, and says for how long', '', undef, { kind => 'status', status => 429, retryAfter => '1', times => 1 } ],
	[ 'down for a moment', '', undef, { kind => 'status', status => 503, times => 2 } ],
	[ 'a token that has expired', '', undef, { kind => 'expire_token', times => 1 } ],
	[ 'slow', '', undef, { kind => 'slow', ms => 1, bytes => 500 } ],
	[ 'late', '', undef, { kind => 'latency', ms => 200 } ],
	[ 'in another order', '', undef, { kind => 'results_shuffled' } ],
	[ 'an answer that leaves records out', 'KC402', qr/leaves 2 of \d+ records out/, { kind => 'results_short', drop => 2, times => 1 } ],
	[ 'an answer that says two things of one', 'KC402', qr/says two things of 1 of \d+ records/, { kind => 'results_contradict', times => 1 } ],
	[ 'an answer that names others', 'KC402', qr/names 1 records that were not sent/, { kind => 'results_long', times => 1 } ],
	[ 'a gateway that gives up', 'KC402', qr/HTTP status 504.*KC205/, { kind => 'status', status => 504, times => 1 } ],
	[ 'no answer to what was taken', 'KC402', qr/KC103/, { kind => 'drop_after', times => 1 } ],
	[ 'a reset to what was taken', 'KC402', qr/KC103/, { kind => 'drop_after', reset => JSON::PP::true, times => 1 } ],
	[ 'no answer, and nothing was taken', 'KC402', qr/KC103/, { kind => 'drop_before', times => 1 } ],
	[ 'half of an answer', 'KC402', qr/KC103/, { kind => 'cut', times => 1 } ],
	[ 'a page of HTML', 'KC402', qr/KC\d03|KC301/, { kind => 'html', times => 1 } ],
	[ 'nothing', 'KC402', qr/KC301/, { kind => 'empty', times => 1 } ],
	[ 'half of the JSON', 'KC402', qr/KC301/, { kind => 'truncated_json', times => 1 } ],
	[ 'bytes that are no text', 'KC402', qr/KC301/, { kind => 'bad_utf8', times => 1 } ])
{
	my ($name, $state, $says, $fault) = @$case;

	change();
	faults({ operation => 'submit', %$fault });
	$end = $night->night;
	is($end->{state}, $state, "$name: the night") or diag $end->{stderr};
	like($end->{stderr}, $says, "$name: says so") if $says;
	$night->agrees("$name: all is there in the same night");
}

# What was too large is not tried again, until a month has passed
my $largest = q{SELECT max(records) FROM kinderconnect.batch WHERE provider_id = 'P1' AND run_id = (SELECT max(run_id) FROM kinderconnect.run)};
my $all = visits();
$night->sql(q{UPDATE kinderconnect.batch SET created_at = created_at - interval '31 days' WHERE http_status = 413});
change();
faults({ kind => 'status', status => 413, operation => 'submit', match => { providerId => 'P1' }, times => 2 });
is($night->night->{state}, '', 'too large, and half of it too, this once');
change();
faults();
is($night->night->{state}, '', 'the next night');
is($night->sql($largest), int($all / 2), 'sends none that is larger than the half, but of halves it makes no rule');
change();
$night->sql(q{UPDATE kinderconnect.batch SET created_at = created_at - interval '31 days' WHERE http_status = 413});
is($night->night->{state}, '', 'a month later');
is($night->sql($largest), $all, 'it tries all at once again');
$night->agrees('all is there');

# One provider that is down does not stop its neighbour, whatever it fails at
foreach my $case (
	[ 'its children', 'KC204', { kind => 'status', status => 500, operation => 'children', match => { providerId => 'P1' } } ],
	[ 'its submits, for good', 'KC205', { kind => 'status', status => 503, operation => 'submit', match => { providerId => 'P1' } } ],
	[ 'its submits, not found', 'KC204', { kind => 'status', status => 404, operation => 'submit', match => { providerId => 'P1' } } ],
	[ 'its submits, not in the group', 'KC203', { kind => 'status', status => 403, operation => 'submit', match => { providerId => 'P1' },
		contentType => 'application/json', body => '{"error": {"code": "PROVIDER_NOT_IN_GROUP", "message": "no such provider", "requestId": "1"}}' } ])
{
	my ($name, $state, $fault) = @$case;

	change();
	faults($fault);
	$end = $night->night;
	is($end->{state}, 'KC402', "$name: an error at the end");
	like($end->{stderr}, qr/run \d+ had 1 failure\b.*First: organization "g-1", agency "MO-1", provider "P1": .*\($state\)/s, "$name: the provider is named");
	is(states('P2'), "accepted $days", "$name: the other provider has its days");
	faults();
	is($night->night->{state}, '', "$name: the next night");
	$night->agrees("$name: all is there");
}

# Nor does one whose outbox cannot be written
change();
faults();
$night->sql(q{
	CREATE FUNCTION manage.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room for %', NEW.child_id; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON kinderconnect.ledger FOR EACH ROW WHEN (NEW.provider_id = 'P1') EXECUTE FUNCTION manage.refuse()});
$end = $night->night;
is($end->{state}, 'KC402', 'an outbox that cannot be written: an error at the end');
like($end->{stderr}, qr/First: organization "g-1", agency "MO-1", provider "P1": an error of the database \(P0001\)/, 'that does not repeat what may be private');
is(states('P2'), "accepted $days", 'the other provider has its days');
$night->sql('DROP FUNCTION manage.refuse() CASCADE');
is($night->night->{state}, '', 'the next night');
$night->agrees('all is there');

# Nor does one whose answer cannot be taken in: what it said is asked for by the
# next night
change();
$night->sql(q{
	CREATE FUNCTION manage.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room for %', NEW.child_id; END $$;
	CREATE TRIGGER refuse BEFORE UPDATE ON kinderconnect.ledger FOR EACH ROW WHEN (NEW.provider_id = 'P1' AND NEW.state = 'accepted') EXECUTE FUNCTION manage.refuse()});
$end = $night->night;
is($end->{state}, 'KC402', 'an answer that cannot be taken in: an error at the end');
like($end->{stderr}, qr/First: organization "g-1", agency "MO-1", provider "P1": an error of the database \(P0001\)/, 'that does not repeat what may be private');
is(states('P1'), sprintf('accepted %d, sending %d', $days - visits(), visits()), 'what it was about is not known');
is(states('P2'), "accepted $days", 'the other provider has its days');
$night->sql('DROP FUNCTION manage.refuse() CASCADE');
is($night->night->{state}, '', 'the next night');
$night->agrees('all is there');

# nor one whose answer the disk has no room for
change();
faults({ kind => 'extra_rows', operation => 'children', match => { providerId => 'P1' }, times => 1,
	rows => [ map { { childId => "X$_", firstName => 'x' x 60, lastName => 'y' x 60, dateOfBirth => '2021-01-01' } } 1 .. 8000 ] });
{
	local $ENV{PGOPTIONS} = '-c temp_file_limit=64kB';
	$end = $night->night;
}
is($end->{state}, 'KC402', 'an answer that cannot be stored: an error at the end');
like($end->{stderr}, qr/run \d+ had 1 failure\b.*First: organization "g-1", agency "MO-1", provider "P1": the reply of ".*" could not be stored: PostgreSQL says: temporary file size exceeds "?temp_file_limit"? \(64kB\)\. \(KC301\)/s, 'that says so');
like($end->{stderr}, qr/HINT:  The fault is this server's, not the service's/, 'and whose fault it is');
like(slurp_file($night->node->logfile), qr/LOG:  temporary file size exceeds "?temp_file_limit"? \(64kB\)\n(?!.*(?:CONTEXT|STATEMENT):)/, 'so does the log, by itself');
$night->agrees('all is there all the same');

# The deadline of the run comes while a submit has no answer
change();
faults({ kind => 'hang', operation => 'submit', match => { providerId => 'P1' }, times => 1 });
$end = $night->night('', 'SET client_min_messages = warning; SET kinderconnect.run_deadline = 10;');
is($end->{state}, 'KC104', 'the deadline comes');
like($end->{stderr}, qr/\(KC104\)/, 'and that is what is said') or diag $end->{stderr};
is(states('P1'), sprintf('accepted %d, unknown %d', $days - visits(), visits()), 'what was sent is unknown');
is($night->night->{state}, '', 'the next night');
$night->agrees('all is there');

# The answer is lost for good, even to the question what is held: what is not
# known is not sent again
change();
faults({ kind => 'drop_after', operation => 'submit', match => { providerId => 'P1' } }, { kind => 'status', status => 500, operation => 'readback' });
is($night->night->{state}, 'KC402', 'neither answer nor read-back');
is(states('P1'), sprintf('accepted %d, unknown %d', $days - visits(), visits()), 'the days are unknown');
is($night->sql(q{SELECT sent, unanswered FROM kinderconnect.run_provider WHERE provider_id = 'P1' ORDER BY run_id DESC LIMIT 1}), '0|' . visits(), 'and counted so');
change();
$night->sql(q{INSERT INTO manage.visit (organization, site, student, arrived, departed)
	SELECT organization, site, student, arrived - interval '10 days', departed - interval '10 days' FROM manage.visit
	WHERE visit = (SELECT min(visit) FROM manage.visit WHERE site = 'site P1')});
my $again = q{SELECT count(*), max(records) FROM kinderconnect.batch WHERE provider_id = 'P1' AND run_id = (SELECT max(run_id) FROM kinderconnect.run)};
is($night->night->{state}, 'KC402', 'another night without read-back');
is(states('P1'), sprintf('accepted %d, unknown %d', $days - visits() + 1, visits()), 'and with a new day');
is($night->sql($again), '1|1', 'sends that one, and after it is lost nothing else');
faults();
is($night->night->{state}, '', 'with read-back');
$night->agrees('all is there, as Manage has it by now');

# Halves that wait while the night dies
change();
faults({ kind => 'batch_failed', operation => 'submit', match => { providerId => 'P1' }, times => 1 },
	{ kind => 'hang', operation => 'submit', match => { providerId => 'P1' }, times => 1 });
my $job = $night->start_sql('CALL kinderconnect.nightly()');
$night->wait_simulator(operation => 'submit', hanging => 1);
$night->sql('SELECT pg_terminate_backend(' . $job->pid . ')');
$job->finish;
is($night->sql(q{SELECT state, count(*) FROM kinderconnect.batch WHERE state IN ('waiting', 'sending') GROUP BY 1 ORDER BY 1}), "sending|1\nwaiting|1", 'one half is under way, one waits');
is($night->night->{state}, '', 'the next night');
$night->agrees('all is there');

# A status that nobody agreed upon: the service is asked what it holds
change();
faults({ kind => 'results_unknown_status', operation => 'submit', match => { providerId => 'P1' }, times => 1 });
is($night->night->{state}, '', 'a status that is not known');
$night->agrees('it had stored them: they are accepted');
change();
faults({ kind => 'results_unknown_status', stores => JSON::PP::false, operation => 'submit', match => { providerId => 'P1' }, times => 1 });
is($night->night->{state}, '', 'the same, and it has stored nothing');
is($night->sql(q{SELECT code, message, count(*) FROM kinderconnect.child_day WHERE state = 'rejected' GROUP BY 1, 2}), '|status "postponed"|' . visits(), 'is a rejection in its words');
faults();
my $before = sent();
is($night->night->{state}, '', 'the next night');
is(sent(), $before, 'does not send them again');
is($night->sql(q{SELECT kinderconnect.retry('g-1')}), visits(), 'retry()');
is($night->night->{state}, '', 'does');
$night->agrees('all is there');

# The read-back has entries that cannot be read: what may be one of them stays
# unknown, and all else is as it says
change();
my ($one, $other, $gone, @rest) = map { [ split /\|/ ] } split /\n/, $night->sql(q{
	SELECT DISTINCT ON (s.child) s.child, v.arrived::date, v.visit FROM manage.visit v JOIN manage.student s USING (organization, student)
	WHERE v.site = 'site P1' ORDER BY s.child, v.arrived});
$night->sql(sprintf q{DELETE FROM manage.visit WHERE visit IN (%s)}, join ', ', map { $_->[2] } $gone, @rest);
faults({ kind => 'drop_before', operation => 'submit', match => { providerId => 'P1' }, times => 1 },
	{ kind => 'extra_rows', operation => 'readback', rows => [
		{ recordId => [], childId => $one->[0], serviceDate => $one->[1] },
		{ recordId => "\x01", childId => $other->[0], serviceDate => 'lately' },
		{ recordId => 'another', childId => $gone->[0], serviceDate => 'lately' } ] });
is($night->night->{state}, 'KC402', 'a night that is lost, and a read-back that cannot be read');
is($night->sql(q{SELECT string_agg(DISTINCT concat_ws(' ', kinderconnect_child_id, kind, CASE WHEN kinderconnect_child_id <> '} . $other->[0] . q{' THEN service_date END), ', ')
		FROM kinderconnect.ledger WHERE state = 'unknown'}),
	"$one->[0] session $one->[1], $other->[0] session, $gone->[0] void $gone->[1]", 'what may be one of them is unknown');
is($night->night->{state}, 'KC402', 'the next night');
is($night->sql(qq{SELECT count(*) FROM kinderconnect.child_day WHERE provider_id = 'P1' AND kinderconnect_child_id NOT IN ('$one->[0]', '$other->[0]', '$gone->[0]')
	AND content IS NOT NULL AND state <> 'accepted'}), 0, 'all else was sent again');
faults();
is($night->night->{state}, '', 'with a read-back that can be read');
$night->agrees('all is there');
change();
faults({ kind => 'drop_after', operation => 'submit', match => { providerId => 'P1' }, times => 1 }, { kind => 'extra_rows', operation => 'readback', rows => [ {} ] });
is($night->night->{state}, 'KC402', 'nothing of an entry can be read, and all had arrived');
$night->agrees('all is there all the same');

# and where it cannot be asked, that is a rejection at once, whatever became of it
$night->sql(q{CREATE TABLE manage.asked AS SELECT * FROM kinderconnect.dialect_field WHERE operation = 'readback';
	DELETE FROM kinderconnect.dialect_field WHERE operation = 'readback';
	CREATE TABLE manage.asked_how AS SELECT * FROM kinderconnect.dialect_operation WHERE operation = 'readback';
	DELETE FROM kinderconnect.dialect_operation WHERE operation = 'readback'});
change();
faults({ kind => 'results_unknown_status', operation => 'submit', match => { providerId => 'P1' }, times => 1 });
is($night->night->{state}, '', 'a status that is not known, and no read-back');
is($night->sql(q{SELECT message, count(*) FROM kinderconnect.child_day WHERE state = 'rejected' GROUP BY 1}), 'status "postponed"|' . visits(), 'counts as a rejection');
is($night->sql(q{SELECT kinderconnect.retry('g-1')}), visits(), 'retry()');
is($night->night->{state}, '', 'sends them again');
is(states('P1'), 'accepted ' . $night->sql(q{SELECT count(*) FROM manage.truth WHERE provider = 'P1'}), 'and they are accepted');

done_testing;
