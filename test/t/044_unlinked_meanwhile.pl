# A link that a person ends while the night runs: nothing more is sent for that
# child, and the rest goes.
use strict;
use warnings;

use KinderConnect;
use Test::More;

foreach my $most (1, 2)
{
	my $night = ready_night("unlinked_$most", seed => made_seed(children => 4), days => 2, conf => 'kinderconnect.max_in_flight = 1');

	$night->sql("UPDATE kinderconnect.dialect_operation SET max_records = $most WHERE operation = 'submit'");
	# a day of each is accepted already, and to be corrected
	my $last = $night->sql('SELECT max(day) FROM manage.truth');

	is($night->night("from_date => '$last'")->{state}, '', "$most: a night of one day");
	$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});

	$night->admin('faults', { faults => [ { kind => 'hang', operation => 'submit', times => 1 } ] });
	my $job = $night->start_sql('CALL kinderconnect.nightly()');
	$night->wait_simulator(operation => 'submit', hanging => 1);
	is($night->sql(q{SELECT count(*) FROM kinderconnect.child_day WHERE kinderconnect_child_id IN ('1003', '1004') AND state = 'ready'}), 4, "$most: of two children nothing is sent yet");
	my $made = $night->sql('SELECT count(*) FROM kinderconnect.ledger');
	$night->sql(qq{SELECT kinderconnect.unlink_child('g-1', 'MO-1', id, 'another child') FROM unnest('{1003,1004}'::text[]) id});
	$night->admin('release', {});
	is($job->finish->{status}, 0, "$most: the night ends well");

	is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger l JOIN kinderconnect.child_link k USING (organization_id, agency_id, kinderconnect_child_id)
		WHERE l.created_at > k.ended_at}), 0, "$most: and makes no record for them any more");
	is($night->sql(q{SELECT string_agg(concat_ws(' ', kinderconnect_child_id, state, reason, detail), ', ' ORDER BY kinderconnect_child_id COLLATE "C", service_date)
			FROM kinderconnect.child_day WHERE content IS NOT NULL}),
		join(', ', (map { "$_ accepted" } '1001', '1001', '1002', '1002'),
			map { ("$_ held unmatched unlinked while the night ran", "$_ held authorization_lost unlinked while the night ran") } '1003', '1004'),
		"$most: which says so");
	is($night->sql('SELECT count(*) FROM kinderconnect.ledger') - $made, 4 - $most, "$most: the others were sent");
}

# What was refused or lost is not sent once more for a child that somebody has
# unlinked since; the service that is asked for nothing cannot take it back.
foreach my $dialect ('kinderbridge', 'vendor-interface')
{
	my $night = ready_night("again_$dialect", seed => made_seed(children => 4), days => 2, conf => 'kinderconnect.max_in_flight = 1');
	my $url = $night->url;

	$night->sql(qq{
		INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('older', 'vendor-interface', '$url/vendor-interface');
		INSERT INTO kinderconnect.agency (agency_id, name, state, time_zone) VALUES ('MO-1', 'Office', 'MO', 'America/Chicago');
		SELECT kinderconnect.enable_integration('g-1', 'G-1', endpoint => 'older');
		SELECT kinderconnect.add_provider('g-1', 'MO-1', provider, site) FROM manage.site;
	}) if $dialect eq 'vendor-interface';
	my $stored = sub { join ' ', sort map { "$_->{childId}" } @{ $night->admin('store')->{records} } };
	my $states = q{SELECT string_agg(concat_ws(' ', kinderconnect_child_id, state, reason, n), ', ' ORDER BY kinderconnect_child_id COLLATE "C", state)
		FROM (SELECT kinderconnect_child_id, state, reason, count(*) AS n FROM kinderconnect.child_day WHERE state <> 'held' GROUP BY 1, 2, 3) d};

	# the batch is refused as a whole, and the first of its halves waits for an answer
	$night->admin('faults', { faults => [ $dialect eq 'kinderbridge' ? ({ kind => 'batch_failed', operation => 'submit', times => 1 }, { kind => 'hang_before', operation => 'submit', times => 1 })
		: { kind => 'drop_before', operation => 'submit' } ] });
	my $job = $night->start_sql('CALL kinderconnect.nightly()');
	if ($dialect eq 'kinderbridge')
	{
		$night->wait_simulator(operation => 'submit', hanging => 1);
		# of the other half
		my $one = $night->sql(q{SELECT min(l.kinderconnect_child_id COLLATE "C") FROM kinderconnect.batch b JOIN kinderconnect.batch_record r USING (organization_id, batch_id)
			JOIN kinderconnect.ledger l USING (organization_id, record_id) WHERE b.state = 'waiting' AND l.kinderconnect_child_id NOT IN (SELECT l.kinderconnect_child_id
			FROM kinderconnect.batch b JOIN kinderconnect.batch_record r USING (organization_id, batch_id) JOIN kinderconnect.ledger l USING (organization_id, record_id)
			WHERE b.state = 'sending')});
		$one = $night->sql(q{SELECT min(l.kinderconnect_child_id COLLATE "C") FROM kinderconnect.batch b JOIN kinderconnect.batch_record r USING (organization_id, batch_id)
			JOIN kinderconnect.ledger l USING (organization_id, record_id) WHERE b.state = 'waiting'}) if $one eq '';
		my $under_way = $night->sql(qq{SELECT count(*) FROM kinderconnect.batch b JOIN kinderconnect.batch_record r USING (organization_id, batch_id)
			JOIN kinderconnect.ledger l USING (organization_id, record_id) WHERE b.state = 'sending' AND l.kinderconnect_child_id = '$one'});
		$night->sql("SELECT kinderconnect.unlink_child('g-1', 'MO-1', '$one', 'another child')");
		$night->admin('release', {});
		is($job->finish->{status}, 0, "$dialect: the night ends well");
		is($stored->(), join(' ', map { ($_) x ($_ eq $one ? $under_way : 2) } '1001' .. '1004'), "$dialect: what waited of that child was not sent, the others were");
	}
	else
	{
		isnt($job->finish->{status}, 0, "$dialect: all answers are lost");
		is($stored->(), '', "$dialect: the service has nothing");
		$night->sql(q{SELECT kinderconnect.unlink_child('g-1', 'MO-1', '1002', 'another child')});
		$night->admin('faults', { faults => [] });
		is($night->night->{state}, '', "$dialect: the next night");
		is($stored->(), '1001 1001 1003 1003 1004 1004', "$dialect: sends the others again");
		is($night->sql($states), '1001 accepted 2, 1002 unknown 2, 1003 accepted 2, 1004 accepted 2', "$dialect: and says of that child that it is not known");
		$night->sql(q{SELECT kinderconnect.link_child('g-1', 'MO-1', '1002', 'S2')});
		is($night->night->{state}, '', "$dialect: a night after it was linked after all");
		is($night->sql($states), join(', ', map { "$_ accepted 2" } '1001' .. '1004'), "$dialect: sends it");
	}
}

# A session that locks rows of a table until so many wait, or have decided, and a
# night whose match waits for it
sub held_match
{
	my ($night, $table, $rows, $others) = @_;

	my $holder = $night->start_sql(qq{
		BEGIN;
		SELECT FROM kinderconnect.$table WHERE $rows FOR UPDATE;
		DO \$\$ BEGIN
			WHILE (SELECT count(*) FROM kinderconnect.child_decision) + (SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted) <= $others LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
		END \$\$;
		COMMIT;
	});
	$night->await("SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowShareLock' AND relation = 'kinderconnect.$table'::regclass AND pid <> pg_backend_pid()");
	my $job = $night->start_sql('CALL kinderconnect.nightly()');
	$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted});
	return ($holder, $job);
}

# A pair that a person parts while the night matches is not linked by it, or the
# person is told that it is: wherever the match waits, at its first row or its last.
my @child = ('1001', '1002', '1003', '1004');
foreach my $held (@child)
{
	my $night = ready_night("rejected_$held", seed => made_seed(children => 4), days => 2);
	$night->sql('CREATE TABLE manage.away AS TABLE manage.student; DELETE FROM manage.student');
	is($night->night->{state}, '', "$held: a night without children in Manage");
	$night->sql(q{INSERT INTO manage.student TABLE manage.away; UPDATE kinderconnect.child SET unlinked_because = 'not_matched_yet'});
	my ($holder, $job) = held_match($night, 'child', "kinderconnect_child_id = '$held'", 3);
	my @person = map { $night->start_sql("SELECT kinderconnect.reject_match('g-1', 'MO-1', '$_', 'S' || right('$_', 1))") } grep { $_ ne $held } @child;
	is($holder->finish->{stderr} . $job->finish->{stderr}, '', "$held: a night in which they are back");
	like($_->finish->{stderr}, qr/^$|is linked to child/, "$held: a person parts a pair, or is told that it is linked") foreach @person;
	is($night->sql('SELECT count(*) FROM kinderconnect.child_link k NATURAL JOIN kinderconnect.parted_pair r WHERE k.ended_at IS NULL'), 0, "$held: no pair that is parted is linked");
	is($night->sql('SELECT count(*) FROM kinderconnect.ledger l NATURAL JOIN kinderconnect.parted_pair r'), 0, "$held: and nothing was sent for it");
	is($night->sql('SELECT count(*) FROM kinderconnect.ledger') > 0, 1, "$held: for others it was");
}

# A pair that a person links while the night matches is linked, whatever the match
# made of the two, or the person is told whose link is in the way; and each child
# without a link has a reason.
foreach my $held (@child)
{
	my $night = ready_night("linked_$held", seed => made_seed(children => 4), days => 2);
	$night->sql('CREATE TABLE manage.away AS TABLE manage.student; DELETE FROM manage.student');
	is($night->night->{state}, '', "$held: a night without children in Manage");
	# one of them by a name of which the match can make nothing
	$night->sql(q{INSERT INTO manage.student TABLE manage.away; UPDATE manage.student SET first_name = 'Other' WHERE student = 'S4';
		UPDATE kinderconnect.child SET unlinked_because = 'not_matched_yet'});
	# as if the service had never listed them before: the match has nothing to tell them
	$night->sql(q{UPDATE kinderconnect.child SET unlinked_because = NULL, changed_at = now()}) if $held gt '1002';
	my ($holder, $job) = held_match($night, 'child', "kinderconnect_child_id = '$held'", 3);
	# the first is who the held one would be, the others are the next ones
	my @other = grep { $_ ne $held } @child;
	my @is = ($held, @other[2, 0]);
	my @person = map { $night->start_sql("SELECT kinderconnect.link_child('g-1', 'MO-1', '$other[$_]', 'S' || right('$is[$_]', 1))") } 0 .. $#other;
	is($holder->finish->{stderr} . $job->finish->{stderr}, '', "$held: a night in which they are back");
	my @said = map { $_->finish->{stderr} } @person;
	like($_, qr/^$|is linked to child/, "$held: a person links a pair, or is told what is in the way") foreach @said;
	is($night->sql(q{SELECT count(*) FROM kinderconnect.child_decision d NATURAL JOIN kinderconnect.child_link k WHERE d.decision = 'link' AND k.ended_at IS NULL}),
		scalar(grep { $_ eq '' } @said), "$held: what was linked is");
	is($night->sql(q{SELECT string_agg(c.kinderconnect_child_id, ' ') FROM kinderconnect.child c LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND k.kinderconnect_child_id = c.kinderconnect_child_id WHERE (k.child_id IS NULL) = (c.unlinked_because IS NULL) OR c.unlinked_because = 'not_matched_yet'}), '', "$held: who has no link, and none else, has a reason");
	is($night->night->{state}, '', "$held: the next night");
	is($night->sql(q{SELECT count(*) FROM kinderconnect.child_decision d NATURAL JOIN kinderconnect.child_link k WHERE d.decision = 'link' AND k.ended_at IS NULL}),
		scalar(grep { $_ eq '' } @said), "$held: leaves them so");

	# Two persons and one child: the one who came first does not fail
	next if $held ne $child[0];
	$holder = $night->start_sql(q{
		BEGIN;
		SELECT FROM kinderconnect.child_link WHERE kinderconnect_child_id = '1002' AND ended_at IS NULL FOR UPDATE;
		DO $$ BEGIN
			WHILE (SELECT count(*) FROM pg_locks WHERE NOT granted) < 2 LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
		END $$;
		COMMIT;
	});
	$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowShareLock' AND relation = 'kinderconnect.child_link'::regclass AND pid <> pg_backend_pid()});
	@person = $night->start_sql(q{SELECT kinderconnect.unlink_child('g-1', 'MO-1', '1002', 'another child')});
	$night->await(q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted});
	push @person, $night->start_sql(q{SELECT kinderconnect.link_child('g-1', 'MO-1', '1002', 'S1')});
	is(join('', map { $_->finish->{stderr} } $holder, @person), '', 'one unlinks a child, another one links it');
	is($night->sql(q{SELECT child_id, method FROM kinderconnect.child_link WHERE kinderconnect_child_id = '1002' AND ended_at IS NULL}), 'S1|person', 'and so it is');
}

# Links that persons end while the night flags them, having read another name of
# their children: neither waits for the other for ever.
foreach my $held (@child)
{
	my $night = ready_night("renamed_$held", seed => made_seed(children => 4), days => 2);
	is($night->night->{state}, '', "$held: a night that links");
	$night->sql(q{UPDATE manage.student SET first_name = 'Another'});
	my ($holder, $job) = held_match($night, 'child_link', "kinderconnect_child_id = '$held'", 3);
	my @person = map { $night->start_sql("SELECT kinderconnect.unlink_child('g-1', 'MO-1', '$_', 'another child')") } grep { $_ ne $held } @child;
	is(join('', map { $_->finish->{stderr} } $holder, $job, @person), '', "$held: persons end links while the night flags them");
	is($night->sql('SELECT kinderconnect_child_id, flag FROM kinderconnect.child_link WHERE ended_at IS NULL'), "$held|name_changed", "$held: and they are ended");
}

# One who ends two in one transaction and a match that flags them may wait for each
# other; if it is the match that gives way, it begins again.
foreach my $two (['1004', '1001'], ['1001', '1004'])
{
	my $night = ready_night("two_$two->[0]", seed => made_seed(children => 4), days => 2, conf => 'deadlock_timeout = 10ms');
	is($night->night->{state}, '', "$two->[0]: a night that links");
	$night->sql(q{UPDATE manage.student SET first_name = 'Another'});
	my ($holder, $job) = held_match($night, 'child_link', "kinderconnect_child_id = '1002'", 1);
	my $person = $night->start_sql("SET deadlock_timeout = '1h';\nBEGIN;\n"
		. join('', map { "SELECT kinderconnect.unlink_child('g-1', 'MO-1', '$_', 'another child');\n" } @$two) . 'COMMIT;');
	is(join('', map { $_->finish->{stderr} } $holder, $job, $person), '', "$two->[0]: a night in which two links are ended at once");
	is($night->sql(q{SELECT string_agg(kinderconnect_child_id || ' ' || flag, ', ' ORDER BY kinderconnect_child_id) FROM kinderconnect.child_link WHERE ended_at IS NULL}),
		'1002 name_changed, 1003 name_changed', "$two->[0]: as are they");
}

# An id that takes the place of another, by a person and by the match at once
my $seed = made_seed(children => 4);
my $night = ready_night('merged', seed => $seed, days => 2);
my $new = { %{ $seed->{groups}[0]{children}[0] }, childId => '9001' };
$new->{authorizations} = [ { %{ $new->{authorizations}[0] }, authorizationId => 'B' } ];
is($night->night->{state}, '', 'a night');
$night->admin('patch', { groupId => 'G-1', children => [ $new ] });
is($night->night->{state}, '', 'and one in which a child has two ids');
is($night->sql('SELECT kinderconnect_child_id, unlinked_because FROM kinderconnect.child WHERE unlinked_because IS NOT NULL'), '9001|already_linked', 'of which one is linked');
$night->admin('patch', { groupId => 'G-1', removeChildren => [ { agencyId => 'MO-1', childId => '1001' } ] });
my ($holder, $job) = held_match($night, 'known_child', q{child_id = 'S1'}, 1);
my $person = $night->start_sql(q{SELECT kinderconnect.link_child('g-1', 'MO-1', '9001', 'S1')});
is(join('', map { $_->finish->{stderr} } $holder, $job, $person), '', 'a person links the other, while the match does');
is($night->sql(q{SELECT kinderconnect_child_id, method FROM kinderconnect.child_link WHERE child_id = 'S1' AND ended_at IS NULL}), '9001|person', 'and so it is');

done_testing;
