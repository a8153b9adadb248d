# A day that somebody changes at the very moment in which it is made ready to
# go: it is sent once, that night or the next.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('changed_under_it', seed => made_seed(children => 2), days => 3);

# the days are ready, and stand in the table as the next plan would leave them
$night->sql('UPDATE kinderconnect.organization SET sends = false');
is($night->night->{state}, '', 'a night that looks on');
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE state = 'ready'}), 6, 'all days are ready');
$night->sql('UPDATE kinderconnect.organization SET sends = true');

# holds the row until the night waits for it
my $other = $night->start_sql(q{
	BEGIN;
	UPDATE kinderconnect.child_day SET changed_at = now()
	WHERE (kinderconnect_child_id, service_date) = (SELECT kinderconnect_child_id, max(service_date) FROM kinderconnect.child_day GROUP BY 1 ORDER BY 1 LIMIT 1);
	DO $$ BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted) LOOP
			PERFORM pg_sleep(0.01);
		END LOOP;
	END $$;
	COMMIT;
});
$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 'kinderconnect.child_day'::regclass AND pid <> pg_backend_pid()});

my $end = $night->night;
is($other->finish->{stderr}, '', 'changed while the night wanted it');
is($end->{state}, 'KC402', 'the night says that a part failed');
is($night->sql(q{SELECT sqlstate, error FROM kinderconnect.run_provider ORDER BY run_id DESC LIMIT 1}),
	'40001|1 of 6 child-days of provider "P1" changed while they were made ready to be sent', 'and which');
is(scalar @{ $night->admin('history')->{records} }, 0, 'nothing of the batch is sent');
is($night->night->{state}, '', 'the next night');
is(scalar @{ $night->admin('history')->{records} }, 6, 'each day is sent once');
$night->agrees('all is there, once');

done_testing;
