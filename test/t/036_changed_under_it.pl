# A day that somebody changes at the very moment in which it is made ready to
# go: it is sent once, that night or the next.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('changed_under_it', seed => made_seed(children => 2), days => 3);
my $waits = q{SELECT FROM pg_locks WHERE locktype = '%s' AND NOT granted};

# Holds a day's row until somebody waits for a lock of this type.
sub hold
{
	my ($type) = @_;

	return $night->start_sql(sprintf q{
		BEGIN;
		UPDATE kinderconnect.child_day SET changed_at = now()
		WHERE (kinderconnect_child_id, service_date) = (SELECT kinderconnect_child_id, max(service_date) FROM kinderconnect.child_day GROUP BY 1 ORDER BY 1 LIMIT 1);
		DO $$ BEGIN
			WHILE NOT EXISTS (%s) LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
		END $$;
		COMMIT;
	}, sprintf $waits, $type);
}

# All days are ready, and stand in the table as the next plan would leave them.
sub make_ready
{
	$night->sql('UPDATE kinderconnect.organization SET sends = false');
	is($night->night->{state}, '', 'a night that looks on');
	is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE state = 'ready'}), 6, 'all days are ready');
	$night->sql('UPDATE kinderconnect.organization SET sends = true');
}

sub sent { return scalar @{ $night->admin('history')->{records} }; }

# changed once: the second attempt finds it as it is now
make_ready();
my $other = hold('transactionid');
$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 'kinderconnect.child_day'::regclass AND pid <> pg_backend_pid()});
is($night->night->{state}, '', 'a night in which a day was changed while it was wanted');
is($other->finish->{stderr}, '', 'it was');
is(sent(), 6, 'each day is sent once');
$night->agrees('all is there, once');

# and changed again: somebody else waits for it when the night is told
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
make_ready();
$other = hold('tuple');
$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 'kinderconnect.child_day'::regclass AND pid <> pg_backend_pid()});
my $run = $night->start_sql("SET ROLE kinderconnect_operator;\nCALL kinderconnect.nightly();");
$night->await('SELECT EXISTS (' . sprintf($waits, 'transactionid') . ')');
my $third = hold('transactionid');
isnt($run->finish->{status}, 0, 'a night in which it was changed twice fails');
is($_->finish->{stderr}, '', 'it was') foreach $other, $third;
is($night->sql(q{SELECT sqlstate, error FROM kinderconnect.run_provider ORDER BY run_id DESC LIMIT 1}),
	'40001|1 of 6 child-days of provider "P1" changed while they were made ready to be sent', 'and says which');
is(sent(), 6, 'nothing of the batch is sent');
is($night->night->{state}, '', 'the next night');
is(sent(), 12, 'sends each once');
$night->agrees('all is there, once');

done_testing;
