# What is written for many providers by one statement - lists of children,
# batches and their answers - fails for the one that it cannot be written for,
# and for no other.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('one_of_many', seed => made_seed(groups => 2, providers => 3, children => 2), days => 2);
my $provider = 'P1';
my $failed = q{SELECT organization_id = 'g-1' AND provider_id = '%s', sqlstate, error LIKE '%s', halted FROM kinderconnect.run_provider
	WHERE run_id = (SELECT max(run_id) FROM kinderconnect.run) AND sqlstate IS NOT NULL};
my $of = q{SELECT count(*) FROM kinderconnect.%s WHERE (organization_id, provider_id) %s ('g-1', '%s') %s};

# a list of children
$night->sql("ALTER TABLE kinderconnect.listed_authorization ADD CONSTRAINT broken CHECK (organization_id <> 'g-1' OR provider_id <> '$provider') NOT VALID");
is($night->night->{state}, 'KC402', 'a night with a list that cannot be written fails');
is($night->sql(sprintf $failed, $provider, 'answer to children could not be taken in: %%'), 't|23514|t|t', 'it is said of its provider');
is($night->sql(sprintf $of, 'listed_authorization', '<>', $provider, '') > 0, 1, 'the lists of the others are taken in');
is($night->sql(sprintf $of, 'authorization', '=', $provider, ''), 0, 'nothing of this one is');
is($night->sql(sprintf $of, 'child_day', '<>', $provider, q{AND state = 'accepted'}), 5 * 2 * 2, 'the days of the others are accepted');
$night->sql('ALTER TABLE kinderconnect.listed_authorization DROP CONSTRAINT broken');

# a batch
$night->sql("ALTER TABLE kinderconnect.ledger ADD CONSTRAINT broken CHECK (organization_id <> 'g-1' OR provider_id <> '$provider') NOT VALID;
	UPDATE manage.visit SET departed = departed + interval '1 minute'");
is($night->night->{state}, 'KC402', 'a night with a batch that cannot be written fails');
is($night->sql(sprintf $failed, $provider, '%%violates check constraint%%'), 't|23514|t|t', 'it is said of its provider');
is($night->sql(sprintf $of, 'child_day', '=', $provider, q{AND state = 'ready'}), 2 * 2, 'its days stay ready');
is($night->sql(sprintf $of, 'child_day', '<>', $provider, q{AND state IN ('ready', 'sending', 'unknown', 'rejected')}), 0, 'those of the others are accepted');
$night->sql('ALTER TABLE kinderconnect.ledger DROP CONSTRAINT broken');

# an answer
$night->sql("ALTER TABLE kinderconnect.ledger ADD CONSTRAINT broken CHECK (organization_id <> 'g-1' OR provider_id <> '$provider' OR state <> 'accepted') NOT VALID;
	UPDATE manage.visit SET departed = departed + interval '1 minute'");
is($night->night->{state}, 'KC402', 'a night with an answer that cannot be written fails');
is($night->sql(sprintf $failed, $provider, 'answer to submit could not be taken in: %%'), 't|23514|t|t', 'it is said of its provider');
is($night->sql(sprintf $of, 'ledger', '=', $provider, q{AND state = 'sending'}) > 0, 1, 'its records are not known to be accepted');
is($night->sql(sprintf $of, 'child_day', '<>', $provider, q{AND state IN ('ready', 'sending', 'unknown', 'rejected')}), 0, 'those of the others are');
$night->sql('ALTER TABLE kinderconnect.ledger DROP CONSTRAINT broken');
is($night->night->{state}, '', 'the next night resolves it');
$night->agrees('all is there, once');

# an answer to a batch that somebody deleted
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', times => 1 } ] });
my $job = $night->start_sql("SET ROLE kinderconnect_operator;\nCALL kinderconnect.nightly();");
$night->wait_simulator(operation => 'submit', hanging => 1);
$night->sql("DELETE FROM kinderconnect.batch WHERE organization_id = 'g-1' AND provider_id = '$provider' AND state = 'sending'");
$night->admin('release', {});
isnt($job->finish->{status}, 0, 'a night with an answer to a batch that is gone fails');
is($night->sql(sprintf $failed, $provider, 'answer to submit could not be taken in: batch %% was answered but is not in kinderconnect.batch'), 't|P0002|t|t', 'it is said of its provider');
is($night->sql(sprintf $of, 'child_day', '<>', $provider, q{AND state IN ('ready', 'sending', 'unknown', 'rejected')}), 0, 'the days of the others are accepted');
is($night->night->{state}, '', 'the next night resolves it');
$night->agrees('all is there, once');

done_testing;
