# Of all the copies of a database, one sends: the one that was armed, where it
# was armed.
use strict;
use warnings;

use File::Find;
use KinderConnect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = ready_night('copies', seed => made_seed(children => 2), days => 3, init => { allows_streaming => 1 });
my $node = $night->node;

sub received { return $night->admin('requests')->{received}; }

# a base backup, and a standby of it
$node->backup('base');
my %secret = map { split /:/, $_, 2 } split /\n/, slurp_file($night->secrets_file);
my $secrets = join '|', map { quotemeta } values %secret;
my (@secret_files, @found);
find({ no_chdir => 1, wanted => sub {
	push @secret_files, $_ if /kinderconnect\.secrets/;
	push @found, $_ if -f $_ && slurp_file($_) =~ /$secrets/;
} }, $node->backup_dir);
is("@secret_files", '', 'a base backup has no secrets file');
is("@found", '', 'nor a secret');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
foreach my $call ('CALL kinderconnect.nightly()', q{CALL kinderconnect.nightly('g-1')})
{
	my ($status, $stdout, $stderr) = $standby->psql('postgres', "\\set VERBOSITY verbose\n$call");
	like($stderr, qr/ERROR:  KC003: a standby does not send/, "a standby refuses: $call");
}
is(received(), 0, 'and calls nobody');
is($night->night->{state}, '', 'the primary does');
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT sum(accepted) FROM kinderconnect.provider_summary}),
	$night->sql('SELECT count(*) FROM manage.truth'), 'the standby answers analysts');
$standby->stop;

# the same backup with a secrets file of its own, as on another machine
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init_from_backup($node, 'base');
append_to_file($other->basedir . '/kinderconnect.secrets', '');
chmod 0600, $other->basedir . '/kinderconnect.secrets';
append_to_file($other->basedir . '/kinderconnect.secrets', join '', map { "$_:$secret{$_}\n" } grep { !/^arm/ } keys %secret);
$other->append_conf('postgresql.conf', "kinderconnect.secrets_file = '" . $other->basedir . "/kinderconnect.secrets'");
$other->start;
my $asked = received();
my ($status, $stdout, $stderr) = $other->psql('postgres', "\\set VERBOSITY verbose\nCALL kinderconnect.nightly()");
like($stderr, qr/ERROR:  KC003: database "postgres" is not armed/, 'a restored backup refuses on another machine');
is(received(), $asked, 'and calls nobody');
$other->stop;

# a copy in the same server; pg_cron would be in the way of it
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$node->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
($status, $stdout, $stderr) = $node->psql('copy', "\\set VERBOSITY verbose\nCALL kinderconnect.nightly()");
like($stderr, qr/ERROR:  KC003: database "copy" is not armed/, 'a copied database refuses');
is(received(), $asked, 'and calls nobody');
is($night->night->{state}, '', 'the one it was copied from does not mind');
$night->agrees('all is there, once');

done_testing;
