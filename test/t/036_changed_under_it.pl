# A day that somebody changes at the very moment in which it is made ready to
# go: it is sent once, that night or the next.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('changed_under_it', seed => made_seed(children => 2), days => 3);
my $day = q{(kinderconnect_child_id, service_date) = (SELECT kinderconnect_child_id, max(service_date) FROM kinderconnect.child_day GROUP BY 1 ORDER BY 1 LIMIT 1)};

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
# holds the row until the night waits for it
my $other = $night->start_sql(qq{
	BEGIN;
	UPDATE kinderconnect.child_day SET changed_at = now() WHERE $day;
	DO \$\$ BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted) LOOP
			PERFORM pg_sleep(0.01);
		END LOOP;
	END \$\$;
	COMMIT;
});
$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 'kinderconnect.child_day'::regclass AND pid <> pg_backend_pid()});
is($night->night->{state}, '', 'a night in which a day was changed while it was wanted');
is($other->finish->{stderr}, '', 'it was');
is(sent(), 6, 'each day is sent once');
$night->agrees('all is there, once');

# and one that cannot be marked as sent, however often it is tried
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
make_ready();
$night->sql("ALTER TABLE kinderconnect.child_day ADD COLUMN stays boolean; UPDATE kinderconnect.child_day SET stays = true WHERE $day;" . q{
	CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
	CREATE TRIGGER stay BEFORE UPDATE ON kinderconnect.child_day FOR EACH ROW WHEN (OLD.stays AND NEW.state = 'sending') EXECUTE FUNCTION stay()});
is($night->night->{state}, 'KC402', 'a night in which it stays ready fails');
is($night->sql(q{SELECT sqlstate, error FROM kinderconnect.run_provider ORDER BY run_id DESC LIMIT 1}),
	'40001|1 of 6 child-days of provider "P1" changed while they were made ready to be sent', 'and says which');
is(sent(), 6, 'nothing of the batch is sent');
$night->sql('DROP TRIGGER stay ON kinderconnect.child_day');
is($night->night->{state}, '', 'the next night');
is(sent(), 12, 'sends each once');
$night->agrees('all is there, once');

# how far back it sends is changed while the plan waits, which has begun
$night->sql(q{
	INSERT INTO manage.visit (organization, site, student, arrived, departed)
	SELECT organization, site, student, arrived - interval '7 days', departed - interval '7 days' FROM manage.visit;
	SELECT kinderconnect.enable_integration('g-1', 'G-1', backfill_days => 3);
	INSERT INTO kinderconnect.list_state (organization_id, operation, agency_id, provider_id, set_aside_at) VALUES ('g-1', 'attendance', 'MO-1', 'P1', now())});
is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE state = 'held' AND service_date < current_date - 5}) > 0, 1, 'days are held that it does not look at for now');
$other = $night->start_sql(q{
	BEGIN;
	SELECT FROM kinderconnect.list_state WHERE operation = 'attendance' FOR UPDATE;
	DO $$ BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted) LOOP
			PERFORM pg_sleep(0.01);
		END LOOP;
	END $$;
	SELECT kinderconnect.enable_integration('g-1', 'G-1', backfill_days => 30);
	COMMIT;
});
$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowShareLock' AND relation = 'kinderconnect.list_state'::regclass AND pid <> pg_backend_pid()});
is($night->night->{stderr}, '', 'a night meanwhile');
is($other->finish->{stderr}, '', 'it was changed');
$night->agrees('all is there, once');

done_testing;
