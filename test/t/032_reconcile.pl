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

done_testing;
