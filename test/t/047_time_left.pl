# An organization whose next attempt would come after the deadline, or whose
# service cannot be reached towards it, has failed by itself: the deadline has
# not come for the others.
use strict;
use warnings;

use IO::Socket::INET;
use KinderConnect;
use Test::More;

my $night = ready_night('time_left', seed => made_seed(groups => 2, children => 3), days => 3,
	conf => "kinderconnect.run_deadline = 10min\nkinderconnect.request_timeout = 20min");
my $failed = q{SELECT o.organization_id, o.sqlstate FROM kinderconnect.run_organization o WHERE o.run_id = (SELECT max(run_id) FROM kinderconnect.run) AND o.sqlstate IS NOT NULL
	UNION SELECT p.organization_id, p.sqlstate FROM kinderconnect.run_provider p WHERE p.run_id = (SELECT max(run_id) FROM kinderconnect.run) AND p.sqlstate IS NOT NULL};

sub accepted
{
	return $night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE organization_id = 'g-2' AND state = 'accepted'});
}

# It asks for a pause that is longer than the time that is left
$night->admin('faults', { faults => [ { kind => 'status', status => 429, retryAfter => '900', operation => 'children', match => { groupId => 'G-1' } } ] });
my $end = $night->night;
is($end->{state}, 'KC402', 'one that is to come back after the deadline: an error at the end') or diag $end->{stderr};
is($night->sql($failed), 'g-1|KC205', 'that is its own');
my $days = accepted();
cmp_ok($days, '>', 0, 'the other one has its days');
$night->admin('faults', { faults => [] });
is($night->night->{state}, '', 'the next night');
$night->agrees('all is there');

# Nobody answers there, and the timeout of a request is longer than the run
my $deaf = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "could not listen: $@";
my $at = 'https://127.0.0.1:' . $deaf->sockport;
$night->sql(qq{
	INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret) VALUES ('deaf', 'kinderbridge', '$at', '$at/token', 'x', 'service');
	SELECT kinderconnect.enable_integration('g-1', 'G-1', endpoint => 'deaf', holds_accepted => true);
	UPDATE manage.visit SET departed = departed + interval '1 minute'});
$end = $night->night('', 'SET kinderconnect.connect_timeout = 100; SET kinderconnect.max_attempts = 1;');
is($end->{state}, 'KC402', 'one that cannot be reached: an error at the end') or diag $end->{stderr};
is($night->sql($failed), 'g-1|KC101', 'that is its own');
is(accepted(), $days, 'the other one has its days');
is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger WHERE organization_id = 'g-2' AND state = 'accepted'}), 2 * $days, 'as Manage has them by now');

done_testing;
