# The randomised test: rounds of edits in Manage, changes at the service, faults
# and nights, all drawn from a seed, and after each the question whether the
# service, the extension and Manage agree.
#
#   my $soak = Soak->new('soak', seed => 7);
#   my $found = $soak->run(200);
#   print $soak->summary;     # N rounds, N child-days, N differences
#
# Timing may decide where a night dies that is killed, and which of two comes
# first; all else is the same for the same seed.
package Soak;

use strict;
use warnings;

use KinderConnect;
use Test::More;

# every so many rounds nothing is the matter, and all has to agree exactly
my $clean_every = 5;
# edits touch the days that ended 1 to so many days ago, and one in three one of
# the so many that were edited last, or were left under way by a night
my $days = 12;
my $remembered = 12;

my %dialect = (alpha => 'kinderbridge', beta => 'kinderbridge', gamma => 'vendor-interface');
my %group = (alpha => 'G-1', beta => 'G-2', gamma => 'G-3');

sub new
{
	my ($class, $name, %option) = @_;
	my $seed = KinderConnect::made_seed(groups => 3, providers => 2, children => 4);

	# one record that the service does not like fails the whole batch
	$seed->{groups}[1]{agencies}[0]{rules} = { batchFails => [ 'UNKNOWN_CHILD', 'NOT_AUTHORIZED_ON_DATE' ] };
	my $night = KinderConnect::ready_night($name, seed => $seed, days => 5, organizations => \%group,
		conf => join "\n", 'fsync = off', 'kinderconnect.request_timeout = 1500ms', 'kinderconnect.max_attempts = 2', 'kinderconnect.max_response = 1MB');
	my $self = bless { night => $night, seed => $option{seed}, state => $option{seed} % 2**32, rounds => 0, compared => 0,
		differences => 0, seen => 0, secret => {}, mood => {}, recent => [] }, $class;
	my $url = $night->url;

	$self->{group}{ $_->{groupId} } = $_ foreach @{ $seed->{groups} };
	$self->{clients} = $seed->{clients};
	$self->{organizations} = [ sort keys %group ];
	# finished in every zone, however long this runs
	$self->{today} = $night->sql(q{SELECT (now() AT TIME ZONE 'Pacific/Honolulu')::date});
	$night->build_death;
	$night->run_file('soak');
	$night->sql(join ";\n", "INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('older', 'vendor-interface', '$url/vendor-interface')",
		q{INSERT INTO kinderconnect.agency (agency_id, name, state, time_zone) VALUES ('MO-1', 'Office', 'MO', 'America/Chicago') ON CONFLICT DO NOTHING},
		q{UPDATE kinderconnect.dialect_operation SET max_records = 7 WHERE operation = 'submit'},
		map({ "INSERT INTO manage.house VALUES ('$_', @{[ $dialect{$_} eq 'vendor-interface' ? 'true' : 'false' ]})" } @{ $self->{organizations} }),
		map({ "SELECT kinderconnect.enable_integration('$_', '$group{$_}', endpoint => 'older');
			SELECT kinderconnect.add_provider('$_', 'MO-1', provider, site) FROM manage.site WHERE organization = '$_'" } grep { $dialect{$_} eq 'vendor-interface' } @{ $self->{organizations} }),
		'SELECT manage.note()');
	# who is who is known before anything changes
	die "the first night failed: $_->{stderr}" foreach grep { $_->{state} ne '' } $night->night;
	return $self;
}

# The next number of the seed's sequence, from 0 to one less than this
sub number
{
	my ($self, $below) = @_;

	$self->{state} = ($self->{state} * 1664525 + 1013904223) % 2**32;
	return int($self->{state} / 2**32 * $below);
}

sub one_of
{
	my ($self, @list) = @_;

	return $list[ $self->number(scalar @list) ];
}

# One of these words, as often as their weights say: word => weight
sub weighed
{
	my ($self, %weight) = @_;
	my $left = 0;

	$left += $_ foreach values %weight;
	$left = $self->number($left);
	foreach my $word (sort keys %weight)
	{
		return $word if ($left -= $weight{$word}) < 0;
	}
	return;
}

# Edits and changes, all at once, and what may be sent from now on
sub enter
{
	my ($self, @sql) = @_;

	$self->{night}->sql(join "\n", 'BEGIN;', @sql, 'SELECT manage.note(); COMMIT;');
	return;
}

# An edit in Manage, as SQL
sub edit
{
	my ($self) = @_;
	my $o = $self->one_of(@{ $self->{organizations} });
	my ($p, $n) = (1 + $self->number(2), 1 + $self->number(4));
	my $student = 'S' . (($p - 1) * 4 + $n);
	my $ago = 1 + $self->number($days);

	($o, $student, $ago) = @{ $self->one_of(@{ $self->{recent} }) } if $self->number(3) == 0 && @{ $self->{recent} };
	push @{ $self->{recent} }, [ $o, $student, $ago ];
	splice @{ $self->{recent} }, 0, -$remembered if @{ $self->{recent} } > $remembered;
	my $day = "(date '$self->{today}' - $ago)";
	my $key = "'$o', '$student', $day";
	my $late = sprintf '15:%02d', $self->number(60);
	my $clear = "SELECT manage.clear($key)";
	my $site = "'site P" . (1 + $self->number(2)) . "'";
	my $reason = $self->one_of('SICK', 'VACATION');
	my $what = $self->weighed(correct => 8, late => 6, anew => 6, everybody => 5, delete => 4, absent => 3, contradict => 1, second => 3, third => 1,
		lone => 2, backwards => 1, twice => 1, shift => 3, move => 3, closed => 1, open => 2);
	my %sql = (
		correct => "UPDATE manage.visit SET departed = ($day + time '$late') AT TIME ZONE 'America/Chicago' WHERE visit = manage.first($key)",
		late => "SELECT manage.attend($key, '08:10', '$late') WHERE manage.first($key) IS NULL",
		anew => "$clear; SELECT manage.attend($key, '07:45', '$late')",
		everybody => "UPDATE manage.visit SET departed = ($day + time '$late') AT TIME ZONE 'America/Chicago'
			WHERE visit IN (SELECT manage.first('$o', student, $day) FROM manage.student WHERE organization = '$o')",
		delete => $clear,
		absent => "$clear; INSERT INTO manage.absence (organization, site, student, day, reason)
			SELECT '$o', site, '$student', $day, '$reason' FROM manage.student WHERE (organization, student) = ('$o', '$student')",
		contradict => "INSERT INTO manage.absence (organization, site, student, day, reason)
			SELECT '$o', site, '$student', $day, '$reason' FROM manage.student WHERE (organization, student) = ('$o', '$student')",
		second => "SELECT manage.attend($key, '17:00', '17:30')",
		third => "SELECT manage.attend($key, '18:00', '18:20')",
		lone => "UPDATE manage.visit SET departed = NULL WHERE visit = manage.first($key)",
		backwards => "UPDATE manage.visit SET departed = arrived - interval '10 minutes' WHERE visit = manage.first($key)",
		twice => "SELECT manage.attend($key, '08:10', '$late'), manage.attend($key, '08:10', '$late')",
		shift => "UPDATE manage.visit SET arrived = arrived - interval '24 hours', departed = departed - interval '24 hours' WHERE visit = manage.first($key)",
		move => "UPDATE manage.visit SET site = $site WHERE visit = manage.first($key)",
		closed => "INSERT INTO manage.closed VALUES ('$o', $site, $day - $days) ON CONFLICT DO NOTHING",
		open => "DELETE FROM manage.closed WHERE (organization, site) = ('$o', $site) AND ctid IN (SELECT min(ctid) FROM manage.closed WHERE organization = '$o')");

	push @{ $self->{told} }, "$what $o $student -$ago";
	return "$sql{$what};";
}

# A change at the service: told there by this; answers SQL, so that Manage's
# truth knows of it
sub change
{
	my ($self, $what, $o, $n) = @_;
	my $group = $self->{group}{ $group{ $o //= $self->one_of(@{ $self->{organizations} }) } };
	my $vendor = $dialect{$o} eq 'vendor-interface';
	my $child = $group->{children}[ $n //= $self->number(8) ];
	my $authorization = $child->{authorizations}[0];
	my $id = $child->{childId};
	my $mood = $self->{mood}{"$o $id"} // '';
	my $sql = 'SELECT 1';
	my $entitled = "(organization, child, provider) = ('$o', '$id', '$authorization->{providerId}')";
	my $ago = 2 + $self->number($days - 2);
	my $date = sub { return $self->{night}->sql("SELECT date '$self->{today}' - $_[0]"); };
	my %patch = (groupId => $group->{groupId});

	$what //= $self->weighed(ends => 3, goes_on => 3, begins => 1, another => 1, gone => 2, renamed => 2, marries => 1, back => 4, password => 1, closes => 1);
	push @{ $self->{told} }, "$what $o $id";
	if ($what eq 'ends' || $what eq 'goes_on')
	{
		my $end = $what eq 'ends' ? $date->($ago) : undef;

		$authorization->{endDate} = $end;
		$sql = "UPDATE manage.entitled SET ends = " . ($end ? "'$end'" : 'NULL') . " WHERE $entitled";
	}
	elsif ($what eq 'begins' && !$vendor)
	{
		$authorization->{beginDate} = $self->number(2) ? '2020-01-06' : $date->($days + 3);
		$sql = "UPDATE manage.entitled SET begins = '$authorization->{beginDate}' WHERE $entitled";
	}
	elsif ($what eq 'another' && @{ $child->{authorizations} } == 1)
	{
		my $other = $authorization->{providerId} eq 'P1' ? 'P2' : 'P1';

		push @{ $child->{authorizations} }, { %$authorization, providerId => $other, authorizationId => "B-$id", beginDate => '2020-01-07', endDate => undef };
		$sql = "INSERT INTO manage.entitled VALUES ('$o', 'MO-1', '$other', '$id', '2020-01-07', NULL, NULL)";
	}
	elsif ($what eq 'gone' && !$mood)
	{
		$self->{mood}{"$o $id"} = 'gone';
		$sql = "INSERT INTO manage.mood VALUES ('$o', '$id', 'gone')";
		$patch{removeChildren} = [ { agencyId => 'MO-1', childId => $id } ];
	}
	elsif ($what eq 'renamed' && !$mood)
	{
		$self->{mood}{"$o $id"} = 'renamed';
		$child->{firstName} = $child->{lastName} = 'Another';
		$sql = "INSERT INTO manage.mood VALUES ('$o', '$id', 'renamed')";
	}
	elsif ($what eq 'marries' && !$mood)
	{
		$child->{lastName} = 'Newly';
	}
	elsif ($what eq 'back')
	{
		my ($p, $s) = $id =~ /^(\d)0*(\d+)$/;

		@{$child}{qw(firstName lastName)} = ("Given$p-$s", "Family$s");
		$sql = "DELETE FROM manage.mood WHERE (organization, subject) = ('$o', '$id')";
		delete $self->{mood}{"$o $id"};
	}
	elsif ($what eq 'closes' && !$vendor)
	{
		my $place = $group->{locations}[ $n % 2 ];
		my $closed = $place->{status} eq 'active';

		$place->{status} = $closed ? 'inactive' : 'active';
		$sql = $closed ? "INSERT INTO manage.mood VALUES ('$o', '$place->{providerId}', 'closed')"
		  : "DELETE FROM manage.mood WHERE (organization, subject) = ('$o', '$place->{providerId}')";
		$patch{locations} = [$place];
	}
	elsif ($what eq 'password')
	{
		my $right = $self->{secret}{$o} //= $group->{groupPassword};

		$group->{groupPassword} = $group->{groupPassword} eq $right ? 'another-pass-word' : $right;
		$patch{groupPassword} = $group->{groupPassword};
	}
	else
	{
		return '';
	}
	$patch{children} = [$child] unless $patch{removeChildren} || ($self->{mood}{"$o $id"} // '') eq 'gone';
	$self->{night}->admin('patch', \%patch);
	return "$sql;";
}

# What the service is to do wrong. All of it ends by itself; not among it is
# what no client can know: a list of what is held that leaves records out.
sub fault
{
	my ($self) = @_;
	my $operation = $self->weighed(submit => 16, children => 4, readback => 3, token => 1, customers => 1, locations => 1, agencies => 1);
	my %weight = (latency => 1, status => 6, drop_before => 4, drop_after => 5, cut => 2, html => 1, empty => 1, truncated_json => 1, huge => 1, gzip_bomb => 1,
		deep_json => 1, bad_utf8 => 1, nul_escape => 1, redirect => 1, echo_password => 1, slow => 1, hang => 1, hang_before => 2,
		$operation eq 'token' ? () : (expire_token => 1),
		$operation eq 'submit' ? (batch_failed => 4, results_short => 2, results_long => 1, results_shuffled => 1, results_unknown_status => 2, results_contradict => 1) : (),
		grep({ $operation eq $_ } qw(customers locations agencies children)) ? (short_list => 2, empty_list => 2) : (),
		grep({ $operation eq $_ } qw(customers locations agencies children readback)) ? (repeat_page => 1, endless_pages => 1) : ());
	my $kind = $self->weighed(%weight);
	my %fault = (kind => $kind, operation => $operation, times => 1 + $self->number($kind =~ /^hang/ ? 1 : 3), skip => $operation eq 'submit' ? $self->one_of(0, 0, 1, 3) : $self->number(4));

	$fault{match} = { providerId => $self->one_of('P1', 'P2') } if $operation =~ /^(?:submit|children|readback)$/ && $self->number(3) == 0;
	$fault{ms} = $self->number(30) if $kind eq 'latency';
	@fault{qw(ms bytes)} = (1, 400) if $kind eq 'slow';
	$fault{bytes} = 1200000 if $kind eq 'huge' || $kind eq 'gzip_bomb';
	$fault{status} = $self->one_of(200, 400, 401, 403, 404, 409, 413, 413, 422, 429, 500, 502, 503, 504) if $kind eq 'status';
	$fault{reset} = $self->number(2) ? JSON::PP::true : JSON::PP::false if $kind eq 'drop_after';
	$fault{stores} = $self->number(2) ? JSON::PP::true : JSON::PP::false if $kind eq 'results_unknown_status';
	$fault{drop} = 1 + $self->number(3) if $kind eq 'results_short';
	$fault{keep} = $self->number(4) if $kind eq 'short_list';
	return \%fault;
}

# What a night is limited to, mostly nothing
sub limits
{
	my ($self) = @_;
	my $o = $self->one_of(@{ $self->{organizations} });

	return '' if $self->number(6);
	return "'$o'" if $self->number(3) == 0;
	return "'$o', 'MO-1', 'P" . (1 + $self->number(2)) . "'" if $self->number(2);
	return "from_date => date '$self->{today}' - " . (3 + $self->number(8)) . ", to_date => date '$self->{today}' - " . (1 + $self->number(2));
}

# A night in the background that dies: where a call hangs, or after so many
# calls, wherever that is
sub killed_night
{
	my ($self, $how, $arguments, @faults) = @_;
	my $night = $self->{night};
	my $spot = 1 + $self->number(30);
	my $kind = $self->one_of('hang', 'hang_before', 'none');
	my $arrives = $self->number(2);

	push @{ $self->{told} }, "$how at $kind $spot";
	@faults = ({ kind => $kind, operation => $self->weighed(submit => 4, children => 1, readback => 1), skip => $self->number(3), times => 1 }) if $kind ne 'none';
	$night->admin('faults', { faults => \@faults });
	my $before = $night->admin('requests')->{processed};
	my $job = $night->start_sql("SET kinderconnect.request_timeout = '20s';\nCALL kinderconnect.nightly($arguments);\n");
	my $pid;
	until ($pid)
	{
		$pid = $night->sql("SELECT pid FROM pg_stat_activity WHERE application_name = '$job->{name}' AND backend_type = 'client backend' AND query_start IS NOT NULL");
		last unless $self->works($job);
	}
	while ($self->works($job))
	{
		my $now = $night->admin('requests');

		last if $kind eq 'none' ? $now->{processed} - $before >= $spot : $now->{hanging} > 0;
		select undef, undef, undef, 0.002;
	}
	if ($pid && $self->works($job))
	{
		if ($how eq 'kill') { kill 'KILL', $pid; }
		else { $night->try_sql("SELECT pg_${how}_backend($pid)"); }
	}
	$job->finish;
	foreach my $try (1 .. 1000)
	{
		last if $night->try_sql(q{SELECT 1 FROM pg_locks WHERE locktype = 'advisory' HAVING count(*) = 0})->{stdout} eq '1';
		select undef, undef, undef, 0.02;
	}
	# what hangs before it is processed arrives now, or never
	$night->admin('release', {}) if $arrives;
	return;
}

sub works
{
	my ($self, $job) = @_;

	$job->{run}->pump_nb if $job->{run}->pumpable;
	return $job->{run}->pumpable;
}

# An edit is hardest to get right where it meets what is under way
sub remember
{
	my ($self) = @_;
	my $night = $self->{night};

	push @{ $self->{recent} }, map { [ split /\|/ ] } split /\n/, $night->sql(qq{
		SELECT o, student, ago FROM (
			SELECT l.organization_id AS o, s.student, date '$self->{today}' - l.service_date AS ago
			FROM kinderconnect.ledger l JOIN manage.student s ON (s.organization, s.child) = (l.organization_id, l.kinderconnect_child_id)
			WHERE l.state IN ('sending', 'unknown')) l
		WHERE ago BETWEEN 1 AND $days ORDER BY o COLLATE "C", student COLLATE "C", ago LIMIT $remembered});
	splice @{ $self->{recent} }, 0, -$remembered if @{ $self->{recent} } > $remembered;
	return;
}

# Ends all faults, and all calls that hang: what of them has not been processed
# never will
sub calm
{
	my ($self) = @_;
	my $night = $self->{night};
	my @groups = map
	{
		my $group = $_;
		my ($o) = grep { $group{$_} eq $group->{groupId} } keys %group;
		+{ %$group, children => [ grep { ($self->{mood}{"$o $_->{childId}"} // '') ne 'gone' } @{ $group->{children} } ] }
	} map { $self->{group}{$_} } sort keys %{ $self->{group} };

	$night->admin('reset', { keepStore => JSON::PP::true, seed => { clients => $self->{clients}, groups => \@groups } });
	$night->wait_simulator(idle => 1);
	# what was too large once is not for ever
	$night->sql(q{UPDATE kinderconnect.batch SET created_at = created_at - interval '31 days' WHERE http_status = 413});
	return;
}

# One round; the number of it decides whether it ends in calm. Answers what is
# wrong after it, or ''
sub round
{
	my ($self, $round) = @_;
	my $night = $self->{night};
	my $clean = $round % $clean_every == 0;
	my $wrong = '';

	$self->{told} = [];
	$self->enter(map({ $self->edit } 1 .. 1 + $self->number(8)), map({ $self->change } 1 .. $self->number(3)));
	my @faults = map { $self->fault } 1 .. $self->weighed(0 => 2, 1 => 4, 2 => 4, 3 => 2);
	push @{ $self->{told} }, map { "$_->{operation}: $_->{kind}" . ($_->{status} // '') . " x$_->{times}" } @faults;
	$night->admin('faults', { faults => \@faults });
	my $how = $self->weighed(night => 24, death => 6, kill => 2, terminate => 2, cancel => 2, two => 3, edited => 3);
	my $arguments = $self->limits;
	push @{ $self->{told} }, "$how($arguments)";
	if ($how eq 'night')
	{
		$self->{state_of} = $night->night($arguments)->{state};
	}
	elsif ($how eq 'two' || $how eq 'edited')
	{
		my $job = $night->start_sql("CALL kinderconnect.nightly($arguments);\n");

		if ($how eq 'two') { $night->night($self->limits); }
		else { $self->enter($self->edit); }
		$job->finish;
	}
	elsif ($how eq 'death')
	{
		my ($at, $when) = (1 + $self->number(60), $self->one_of('before', 'after'));

		push @{ $self->{told} }, "$when commit $at";
		$night->await_restart if $night->mortal_night($at, $when, $arguments)->{status} == 2;
	}
	else
	{
		$self->killed_night($how, $arguments, @faults);
	}
	$self->calm;
	$self->remember;
	if ($clean)
	{
		my @calmed;

		foreach my $o (@{ $self->{organizations} })
		{
			my $group = $self->{group}{ $group{$o} };

			push @calmed, $self->change('password', $o, 0) if $self->{secret}{$o} && $group->{groupPassword} ne $self->{secret}{$o};
			foreach my $n (0 .. 7)
			{
				push @calmed, $self->change('back', $o, $n) if ($self->{mood}{"$o $group->{children}[$n]{childId}"} // '') eq 'gone';
			}
		}
		$self->enter(@calmed);
		foreach my $try (1, 2)
		{
			my $retry = join ' ', map { "SELECT kinderconnect.retry('$_');" } @{ $self->{organizations} };
			my $end = $night->night('', "SET kinderconnect.request_timeout = '60s'; $retry");

			$wrong = $end->{state} eq '' ? '' : "a night without faults failed: $end->{stderr}\n";
			last if $wrong eq '' && $self->number(2);
		}
	}
	return $self->compare($round, $clean, $wrong);
}

sub compare
{
	my ($self, $round, $clean, $wrong) = @_;
	my $night = $self->{night};
	my $history = $night->admin("history?after=$self->{seen}");

	$self->{seen} += @{ $history->{records} };
	my @lines = split /\n/, $night->run_file('soak_compare', store => JSON::PP->new->utf8->canonical->encode($night->admin('store')),
		history => JSON::PP->new->utf8->canonical->encode($history), clean => $clean ? 'true' : 'false');
	(pop @lines) =~ /^(\d+) child-days$/ or die 'the comparison broke off';
	$self->{compared} += $1;
	$self->{rounds}++;
	$self->{differences} += @lines + ($wrong ne '' ? 1 : 0);
	return '' if $wrong eq '' && !@lines;
	return join "\n", "seed $self->{seed}, round $round" . ($clean ? ', all calm' : '') . ': ' . join('; ', @{ $self->{told} }), $wrong ne '' ? $wrong : (),
	  'what|organization|provider|child|day|at the service|as the extension says|wanted|class|state|reason', @lines,
	  "again: make soak ROUNDS=$round SEED=$self->{seed}", '';
}

# Rounds until one finds a difference; answers what was found, or ''
sub run
{
	my ($self, $rounds) = @_;

	foreach my $round (1 .. $rounds)
	{
		my $found = $self->round($round);

		return $found if $found ne '';
	}
	return '';
}

sub summary
{
	my ($self) = @_;

	return "$self->{rounds} rounds, $self->{compared} child-days, $self->{differences} differences";
}

1;
