# A hot standby answers analysts and sends nothing. Promoted, it sends if it has
# been given the secrets file of the old primary, and asks to be armed if not:
# who copies that file to it has said which of the two is to go on.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('primary', seed => made_seed(children => 3), days => 4, init => { allows_streaming => 1 });
my $primary = $night->node;
my $views = $night->sql(q{SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'kinderconnect' WHERE c.relkind IN ('r', 'v')});
my @views = split ' ', $views;
my @functions = map { "kinderconnect.$_" } q{authorizations_ending(30)}, q{newly_authorized(current_date)}, q{preview('g-1')}, q{purgeable()}, q{fold('É')};

is($night->night->{state}, '', 'a night');
$primary->backup('base');

my (%standby, %secrets);
foreach my $name (qw(trusted stranger))
{
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init_from_backup($primary, 'base', has_streaming => 1);
	$secrets{$name} = $node->basedir . '/kinderconnect.secrets';
	$node->append_conf('postgresql.conf', "kinderconnect.secrets_file = '$secrets{$name}'\ncron.host = '" . $node->host . q{'});
	$node->start;
	$standby{$name} = $node;
}

# an answer that is lost while they follow
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute'});
$night->admin('faults', { faults => [ { kind => 'cut', operation => 'submit' }, { kind => 'cut', operation => 'readback' } ] });
$night->night;
$night->admin('faults', { faults => [] });
my $unknown = $night->sql(q{SELECT count(*) FROM kinderconnect.ledger WHERE state = 'unknown'});
cmp_ok($unknown, '>', 0, 'some answers are lost');

sub contents
{
	my ($node) = @_;

	# health answers too, of the server that is asked
	return join "\n", map { my $words = /^health(_summary)?$/ ? 'NULL' : 't::text';
		$node->safe_psql('postgres', "SET ROLE kinderconnect_operator; SELECT '$_', count(*), md5(string_agg($words, E'\\n' ORDER BY $words COLLATE \"C\")) FROM kinderconnect.$_ t") }
	  grep { $_ ne 'restricted_analyst' } @views;
}

my $said = contents($primary);
cmp_ok(scalar @views, '>', 50, 'all tables and views are asked');
foreach my $name (sort keys %standby)
{
	my $node = $standby{$name};

	$primary->wait_for_catchup($node);
	is(contents($node), $said, "$name: each table and view says what the primary says");
	foreach my $function (@functions)
	{
		is($node->safe_psql('postgres', "SELECT count(*) FROM $function"), $primary->safe_psql('postgres', "SELECT count(*) FROM $function"), "$name: $function");
	}
	my $received = $night->admin('requests')->{received};
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE kinderconnect_operator;\nCALL kinderconnect.nightly();");
	like($stderr, qr/KC003: a standby does not send/, "$name: it refuses to send");
	is($night->admin('requests')->{received}, $received, "$name: and calls nobody");
	foreach my $call ('SELECT kinderconnect.arm()', 'CALL kinderconnect.purge()', q{SELECT kinderconnect.retry('g-1')}, q{SELECT kinderconnect.set_secret('a', 'b')})
	{
		($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$call");
		isnt($status, 0, "$name: $call does nothing");
	}
}

# The primary is lost, with what it had not heard.
$primary->stop('immediate');
my $file = slurp_file($night->secrets_file);

# one is given the service's secrets, but nobody said that it is to go on
append_to_file($secrets{stranger}, '');
chmod 0600, $secrets{stranger};
append_to_file($secrets{stranger}, join '', map { "$_\n" } grep { !/^arm/ } split /\n/, $file);
$standby{stranger}->promote;
$night->{node} = $standby{stranger};
my $received = $night->admin('requests')->{received};
my $end = $night->night;
is($end->{state}, 'KC003', 'promoted, without the token of the old primary: it asks to be armed');
like($end->{stderr}, qr/The secrets file of this server has no token for this database/, 'and says why');
is($night->admin('requests')->{received}, $received, 'and calls nobody');
$standby{stranger}->stop;

# the other gets the whole file
append_to_file($secrets{trusted}, '');
chmod 0600, $secrets{trusted};
append_to_file($secrets{trusted}, $file);
$standby{trusted}->promote;
$night->{node} = $standby{trusted};
$night->sql(q{UPDATE manage.visit SET departed = departed + interval '1 minute' WHERE visit = 1});
is($night->night->{state}, '', 'promoted, with the secrets file: it goes on');
is($night->sql(q{SELECT count(*) FROM kinderconnect.ledger WHERE state IN ('unknown', 'sending')}), 0, 'what the old primary left unknown is resolved');
$night->agrees('nothing is lost, nothing sent twice');

done_testing;
