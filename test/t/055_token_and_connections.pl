# A token serves all calls until shortly before it expires, and is asked for with
# the scope of the endpoint; connections serve one call after the other.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $most = 3;
my $night = ready_night('token', seed => made_seed(providers => 12, children => 1), days => 2, conf => "kinderconnect.max_in_flight = $most");

sub tokens
{
	return join ', ', map { "$_->{clientId} " . ($_->{scope} // 'without') } @{ $night->admin('tokens')->{tokens} };
}

is($night->night->{state}, '', 'a night');
my $requests = $night->admin('requests');
cmp_ok($requests->{received}, '>', 10 * $most, 'of many calls');
is($requests->{operations}{token}{received}, 1, 'with one token');
is(tokens(), 'kc-client without', 'without a scope, where the endpoint has none');
cmp_ok($requests->{connections}, '<=', $most, 'over as many connections as may be in flight');

# the first token has expired when the first call has its answer
my $scope = 'attendance/write children.read&100% a+b';
$night->sql(qq{UPDATE kinderconnect.endpoint SET scope = '$scope'});
$night->admin('reset', { keepStore => JSON::PP::true });
$night->admin('faults', { faults => [
	{ kind => 'short_token', seconds => 2, operation => 'token', times => 1 },
	{ kind => 'latency', ms => 2500, operation => 'customers', times => 1 } ] });
is($night->night->{state}, '', 'a night with a token that soon expires');
$requests = $night->admin('requests');
cmp_ok($requests->{operations}{$_}{received}, '>', 0, "goes on after that: $_") foreach qw(locations agencies children);
is($requests->{operations}{token}{received}, 2, 'with another token');
is(join(' ', keys %{ $requests->{statuses} }), '200', 'for which nobody had to tell it');
is(tokens(), "kc-client $scope, kc-client $scope", 'with the scope of the endpoint, as it is written');
$night->agrees('all is there');

done_testing;
