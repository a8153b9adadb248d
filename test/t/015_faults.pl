# What the service does wrong in a transfer, and that the night comes through.
use strict;
use warnings;

use KinderConnect;
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

# The n-th visit of P1, in the order of the batch, is an absence for a reason
# that fails the batch
sub spoil
{
	foreach my $n (@_)
	{
		$night->sql(qq{
			WITH bad AS (DELETE FROM manage.visit WHERE visit = (
				SELECT v.visit FROM manage.visit v JOIN manage.student s USING (organization, student) WHERE v.site = 'site P1'
				ORDER BY v.arrived::date, s.child OFFSET $n - 1 LIMIT 1) RETURNING *)
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
foreach my $case ([ 'one culprit', 5 ], [ 'the first', 1 ], [ 'the last', $days - 1 ], [ 'two side by side', 3, 4 ], [ 'two far apart', 1, $days / 2 ])
{
	my ($name, @culprits) = @$case;
	my $bad = @culprits;

	change();
	spoil(@culprits);
	is($night->night->{state}, '', "$name: the night");
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
is(states('P1'), 'accepted 1, ready ' . ($days - 1), 'its days stay ready, none is rejected for it') or diag $night->sql(q{SELECT state, code, message, batch_id, records, first_half FROM kinderconnect.batch ORDER BY created_at DESC LIMIT 12});
is(states('P2'), "accepted $days", 'the other provider has its days');
is($night->sql(q{SELECT accepted, rejected, ready, halted FROM kinderconnect.run_provider ORDER BY run_id DESC, provider_id LIMIT 2}),
	"0|0|@{[ $days - 1 ]}|t\n@{[ $days - 0 ]}|0|0|f", 'and so they are counted');
faults();
is($night->night->{state}, '', 'the next night goes on');
$night->agrees('and all is there');

done_testing;
