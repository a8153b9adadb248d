# Wherever the night dies, the next one heals it: nothing lost, nothing doubled.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('crash', seed => made_seed(providers => 2, children => 3), days => 4);
my $node = $night->node;

# several batches for each provider
$night->sql(q{UPDATE kinderconnect.dialect_operation SET max_records = 5 WHERE operation = 'submit'});
is($night->night->{state}, '', 'a night');
$night->agrees('all is there');

# Every day is another one from now on
sub change
{
	$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
	return;
}

# A night that hangs in its second submit, ended by $die; $then happens before
# the next one, $later after it
sub dies
{
	my ($name, $fault, $die, $then, $later) = @_;

	change();
	$night->admin('faults', { faults => [ { kind => $fault, operation => 'submit', skip => 1, times => 1 } ] });
	my $job = $night->start_sql('CALL kinderconnect.nightly()');
	$night->wait_simulator(operation => 'submit', hanging => 1);
	$die->($job->pid);
	isnt($job->finish->{status}, 0, "$name: it died");
	$night->await('SELECT true');
	is($night->sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, "$name: no lock is left");
	$then->() if $then;
	is($night->night->{state}, '', "$name: the next night");
	$later->() if $later;
	$night->agrees("$name: healed");
	is($night->sql('SELECT status FROM kinderconnect.run ORDER BY run_id DESC OFFSET 1 LIMIT 1'), 'interrupted', "$name: and it says so");
	return;
}

my $kill = sub { kill 'KILL', $_[0] };
my $stop = sub { $node->stop('immediate'); $node->start };
my $arrive = sub
{
	$night->admin('release', {});
	$night->wait_simulator(operation => 'submit', idle => 1);
};
my $forget = sub { $night->admin('reset', { keepStore => JSON::PP::true }) };

dies('kill -9 after the service took it', 'hang', $kill);
dies('kill -9 and it never arrives', 'hang_before', $kill, $forget);
dies('kill -9 and it arrives before the next night', 'hang_before', $kill, $arrive);
dies('kill -9 and it arrives after the next night', 'hang_before', $kill, undef, $arrive);
dies('kill -9 after the service took it, and Manage changes', 'hang', $kill, \&change);
dies('immediate stop after the service took it', 'hang', $stop);
dies('immediate stop and it never arrives', 'hang_before', $stop, $forget);

# The commit of the outbox, and then the end: before each step and after it,
# one after the other.
my %signature = (
	_guarded => [ 'run bigint, organization text, step text, agency text, provider text, from_date date, to_date date', 'void' ],
	_ask => [ 'run bigint, operation text, organization text, agency text DEFAULT NULL, provider text DEFAULT NULL,
		customer text DEFAULT NULL, month date DEFAULT NULL, from_date date DEFAULT NULL, to_date date DEFAULT NULL', 'void' ],
	_take => [ 'run bigint', 'void' ],
	_next_batch => [ 'run bigint, organization text, agency text, provider text, from_date date, to_date date', 'text' ],
	_dispatch => [ 'run bigint, organization text, agency text, provider text, batch text', 'void' ],
	_account => [ 'run bigint', 'bigint' ]);

$night->sql(q{
	CREATE SEQUENCE manage.spot;
	CREATE FUNCTION manage.may_die() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF nextval('manage.spot') = nullif(current_setting('manage.dies_at', true), '')::bigint THEN
			PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(60);
		END IF;
	END $$;
	GRANT USAGE ON SCHEMA manage TO kinderconnect_operator;
	GRANT USAGE ON SEQUENCE manage.spot TO kinderconnect_operator;
});
foreach my $function (sort keys %signature)
{
	my ($arguments, $result) = @{ $signature{$function} };
	my $names = join ', ', $arguments =~ /(?:^|,)\s*(\w+) /g;
	my $types = join ', ', $arguments =~ /(?:^|,)\s*\w+ (\w+)/g;

	$night->sql(qq{
		ALTER FUNCTION kinderconnect.$function($types) RENAME TO ${function}_then;
		CREATE FUNCTION kinderconnect.$function($arguments) RETURNS $result LANGUAGE plpgsql AS \$\$
		DECLARE answer text;
		BEGIN
			PERFORM manage.may_die();
			SELECT kinderconnect.${function}_then($names) INTO answer;
			PERFORM manage.may_die();
			RETURN @{[ $result eq 'void' ? '' : "answer::$result" ]};
		END \$\$;
	});
}
change();
is($night->night->{state}, '', 'a night with spots to die at');
my $spots = $night->sql('SELECT last_value FROM manage.spot');
my ($died, $healed) = (0, 0);
foreach my $spot (1 .. $spots)
{
	$night->sql(q{
		UPDATE manage.visit SET departed = departed + interval '1 minute';
		SELECT setval('manage.spot', 1, false)});
	$died++ unless $night->night('', "SET manage.dies_at = $spot;")->{status} == 0;
	my $end = $night->night;
	if ($end->{state} eq '')
	{
		$healed++;
	}
	else
	{
		diag("spot $spot: $end->{stderr}");
	}
	$night->agrees("died at $spot and healed") if $spot % 4 == 0 || $spot == $spots;
}
cmp_ok($died, '>', $spots / 2, 'it died at most spots');
is($healed, $spots, 'the next night was always right');

# A service that cannot be asked what it holds is told the same once more
$night->sql(q{
	DELETE FROM kinderconnect.dialect_field WHERE operation = 'readback';
	DELETE FROM kinderconnect.dialect_operation WHERE operation = 'readback'});
dies('without read-back, after the service took it', 'hang', $kill);
dies('without read-back, and it never arrives', 'hang_before', $kill, $forget);
dies('without read-back, after the service took it, and Manage changes', 'hang', $kill, \&change);

done_testing;
