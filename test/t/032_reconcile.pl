# reconcile() tells every difference between what the service holds and what we
# say it holds, and only those.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('reconcile', seed => made_seed(providers => 2, children => 2), days => 4);
my $range = q{(SELECT min(day) FROM manage.truth), (SELECT max(day) FROM manage.truth)};

sub differences
{
	my ($more) = @_;

	return $night->sql(qq{
		SET ROLE kinderconnect_operator;
		SELECT string_agg(concat_ws(' ', provider_id, difference, held_here, '/', held_there), '; ' ORDER BY provider_id, service_date, kinderconnect_child_id)
		FROM kinderconnect.reconcile('g-1', $range} . ($more // '') . q{)});
}

$night->sql('GRANT SELECT ON manage.truth TO kinderconnect_operator; GRANT USAGE ON SCHEMA manage TO kinderconnect_operator');
is($night->night->{state}, '', 'a night');
is(differences(), '', 'no difference');

# What somebody else did to the service, and what we never knew of.
$night->sql(q{
	SELECT kinderconnect.api_submit('g-1', 'MO-1', 'P1', 'b-1', ARRAY[
		ROW('r-1', kinderconnect_child_id, service_date, 'void', NULL, NULL, NULL)::kinderconnect.wire_record])
	FROM kinderconnect.child_day WHERE provider_id = 'P1' AND state = 'accepted' ORDER BY service_date, kinderconnect_child_id LIMIT 1;
	SELECT kinderconnect.api_submit('g-1', 'MO-1', 'P2', 'b-2', ARRAY[
		ROW('r-2', kinderconnect_child_id, service_date, 'session', '{06:00}', '{06:30}', NULL)::kinderconnect.wire_record])
	FROM kinderconnect.child_day WHERE provider_id = 'P2' AND state = 'accepted' ORDER BY service_date, kinderconnect_child_id LIMIT 1;
});
like(differences(), qr/^P1 missing_there \S.* \/; P2 different \S.* \/ 06:00-06:30$/, 'a day taken back and a day overwritten');
like(differences(q{, provider_id => 'P2'}), qr/^P2 different[^;]*$/, 'of one provider');

$night->sql(q{
	WITH gone AS (SELECT ctid FROM kinderconnect.child_day WHERE provider_id = 'P2' AND state = 'accepted' ORDER BY service_date DESC, kinderconnect_child_id DESC LIMIT 1)
	DELETE FROM kinderconnect.child_day d USING gone WHERE d.ctid = gone.ctid;
});
like(differences(q{, provider_id => 'P2'}), qr/; P2 missing_here \/ \S+/, 'a day we know nothing of');

$night->admin('faults', { faults => [ { operation => 'readback', kind => 'status', status => 500, match => { providerId => 'P1' } } ] });
like(differences(), qr/^P1 no_answer \/; P2 different/, 'a provider that cannot be asked hides no other');
$night->admin('faults', { faults => [] });

my $wrong = $night->try_sql(q{SELECT * FROM kinderconnect.reconcile('g-1', '2026-02-02', '2026-02-01')});
like($wrong->{stderr}, qr/from_date 2026-02-02 is after to_date 2026-02-01/, 'dates the wrong way round');
$wrong = $night->try_sql(q{SELECT * FROM kinderconnect.reconcile('nobody', '2026-02-01', '2026-02-02')});
like($wrong->{stderr}, qr/organization "nobody" has no KinderConnect integration/, 'an unknown organization');
is($night->sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), '0', 'no lock is left');

# The night compares a few providers by itself, those that it has not compared
# for longest first, writes down what differs, and does nothing about it
sub stand
{
	return $night->sql(q{SELECT provider_id, difference, held_here, held_there, gone IS NULL, last_seen > first_seen
		FROM kinderconnect.comparison_difference ORDER BY provider_id, service_date, kinderconnect_child_id, first_seen});
}

sub compared
{
	return $night->sql(q{SELECT provider_id, differences FROM kinderconnect.run_provider
		WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run) AND differences IS NOT NULL ORDER BY 1});
}

my $fresh = ready_night('compare', seed => made_seed(providers => 3, children => 2), days => 3);
($night, my $first) = ($fresh, $night);
is($night->night->{state}, '', 'a first night');
is(compared(), 'P1|0', 'compares one provider');
is($night->night->{state}, '', 'the next one');
is(compared(), 'P2|0', 'another');
$night->sql(q{
	SELECT kinderconnect.api_submit('g-1', 'MO-1', 'P3', 'b-' || n, ARRAY[CASE n
		WHEN 1 THEN ROW('r-1', kinderconnect_child_id, service_date, 'void', NULL, NULL, NULL)::kinderconnect.wire_record
		ELSE ROW('r-2', kinderconnect_child_id, service_date, 'session', '{06:00}', '{06:30}', NULL)::kinderconnect.wire_record END])
	FROM (SELECT *, row_number() OVER (ORDER BY service_date, kinderconnect_child_id) AS n FROM kinderconnect.child_day
		WHERE provider_id = 'P3' AND state = 'accepted') d WHERE n <= 2;
});
is($night->night->{state}, '', 'a night that finds differences');
is(compared(), 'P3|2', 'tells how many');
like(stand(), qr/^P3\|missing_there\|[^|]+\|\|t\|f\nP3\|different\|[^|]+\|06:00-06:30\|t\|f$/, 'and which');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE state <> 'accepted' AND content IS NOT NULL}), 0, 'and leaves the days alone');
is($night->sql(q{SELECT count(*) FROM kinderconnect.comparison_difference WHERE what_to_do LIKE '%retry()%'}), 2, 'and says what to do');
$night->night('', 'SET kinderconnect.compare_providers = 0;');
is(compared(), '', 'the setting switches it off');
$night->night('', 'SET kinderconnect.compare_providers = 10;');
is(compared(), "P1|0\nP2|0\nP3|2", 'or compares all');
like(stand(), qr/^P3\|missing_there\|[^|]+\|\|t\|t\nP3\|different\|[^|]+\|06:00-06:30\|t\|t$/, 'what stands is the same row');
$night->night(q{'g-1', 'MO-1'}, 'SET kinderconnect.compare_providers = 10;');
is(compared(), '', 'a night that is limited compares none');

# it fails no night
$night->admin('faults', { faults => [ { operation => 'readback', kind => 'status', status => 500, match => { providerId => 'P1' } } ] });
is($night->night('', 'SET kinderconnect.compare_providers = 10;')->{state}, '', 'a read-back that fails fails no night');
is(compared(), "P2|0\nP3|2", 'and hides no other');
like($night->sql(q{SELECT error FROM kinderconnect.comparison WHERE compared_at < asked_at}), qr/HTTP status 500/, 'it is written down');
$night->admin('faults', { faults => [] });

# a person decides
is($night->sql(q{SELECT kinderconnect.retry('g-1', provider_id => 'P2'), kinderconnect.retry('g-1')}), '0|2', 'retry() of what differs');
is($night->night('', 'SET kinderconnect.compare_providers = 10;')->{state}, '', 'the night after');
is(compared(), "P1|0\nP2|0\nP3|0", 'finds no difference');
like(stand(), qr/^P3\|missing_there\|[^|]+\|\|f\|t\nP3\|different\|[^|]+\|06:00-06:30\|f\|t$/, 'and says since when');
is($night->sql(q{SELECT count(*) FROM kinderconnect.reconcile('g-1', current_date - 40, current_date)}), 0, 'nor does reconcile()');

# nor does it ask where it cannot
$night->sql(q{
	DELETE FROM kinderconnect.dialect_field WHERE operation = 'readback';
	DELETE FROM kinderconnect.dialect_operation WHERE operation = 'readback'});
is($night->night->{state}, '', 'without read-back');
is(compared(), '', 'nothing is compared');

done_testing;
