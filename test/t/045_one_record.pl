# One record that the service cannot answer for: it alone stays, and the others
# of its provider go.
use strict;
use warnings;

use KinderConnect;
use Test::More;

# The last day of Manage but so many, as a literal
sub latest
{
	my ($night, $n) = @_;

	return $night->sql("SELECT quote_literal(max(day) - $n) FROM manage.truth");
}

sub states
{
	my ($night) = @_;

	return $night->sql(q{SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM kinderconnect.child_day WHERE content IS NOT NULL GROUP BY 1) s});
}

sub submits { return $_[0]->admin('requests')->{operations}{submit}{received} // 0; }

# Of an older dialect, which has no read-back
sub older_night
{
	my ($name, %option) = @_;
	my $night = ready_night($name, seed => made_seed(children => $option{children}), organizations => { gateway => 'G-1' },
		days => $option{days}, conf => 'kinderconnect.max_attempts = 2');

	my $url = $night->url;
	$night->sql(qq{
		INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('older', 'vendor-interface', '$url/vendor-interface');
		SELECT kinderconnect.enable_integration('gateway', 'G-1', endpoint => 'older');
		INSERT INTO kinderconnect.agency (agency_id, name, state, time_zone) VALUES ('MO-1', 'Office', 'MO', 'America/Chicago');
		SELECT kinderconnect.add_provider('gateway', 'MO-1', provider, site) FROM manage.site});
	return $night;
}

# A record that each answer leaves out
my $night = older_night('left_out', children => 4, days => 5);
my $all = $night->sql('SELECT count(*) FROM manage.truth');
$night->admin('faults', { faults => [ { kind => 'results_short', operation => 'submit', drop => 1 } ] });
my $end = $night->night('to_date => ' . latest($night, 2));
is($end->{state}, 'KC402', 'an answer that leaves a record out: an error at the end');
my $culprit = $night->sql(q{SELECT record_id FROM kinderconnect.ledger WHERE state = 'unknown'});
like($culprit, qr/^[-0-9a-f]{36}$/, 'one is unknown');
$night->admin('faults', { faults => [ { kind => 'results_short', operation => 'submit', drop => 1, match => { recordId => $culprit } } ] });
foreach my $days (1, 0)
{
	$end = $night->night('to_date => ' . latest($night, $days));
	is($end->{state}, 'KC402', 'another night that gets no answer for it: an error at the end');
	like($end->{stderr}, qr/answer of the service leaves 1 of 1 records out/, 'that says so');
	is($night->sql(q{SELECT record_id FROM kinderconnect.ledger WHERE state = 'unknown'}), $culprit, 'it stays unknown');
	is($night->sql('SELECT count(*) FROM kinderconnect.child_day WHERE state NOT IN (\'accepted\', \'unknown\') AND content IS NOT NULL AND service_date <= ' . latest($night, $days)),
		0, 'and the new days of its provider are accepted all the same');
}
is(states($night), 'accepted ' . ($all - 1) . ', unknown 1', 'all but that one');

# its day is changed, its child is known by another id: neither goes before it
$night->sql(qq{
	CREATE TABLE manage.doubt AS SELECT kinderconnect_child_id AS child, service_date AS day FROM kinderconnect.ledger WHERE record_id = '$culprit';
	UPDATE manage.visit v SET departed = departed + interval '1 minute' FROM manage.student s, manage.doubt d
	WHERE (s.organization, s.student) = (v.organization, v.student) AND s.child = d.child AND (v.arrived AT TIME ZONE 'America/Chicago')::date = d.day});
my $before = submits($night);
is($night->night->{state}, 'KC402', 'a night after its day was changed');
is(submits($night) - $before, 2, 'the old record is tried, twice');
is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger l JOIN manage.doubt d ON (d.child, d.day) = (l.kinderconnect_child_id, l.service_date)}), 1, 'and nothing else is made for it');
is(states($night), 'accepted ' . ($all - 1) . ', unknown 1', 'the day waits');
$night->admin('faults', { faults => [] });
is($night->night->{state}, '', 'a night that gets the answer');
$night->agrees('all is there, as Manage has it by now');

done_testing;
