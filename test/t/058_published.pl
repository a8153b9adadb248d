# All tables of the database are published, for a copy of it elsewhere: nights,
# decisions and rules change their rows as ever.
use strict;
use warnings;

use KinderConnect;
use Test::More;

my $night = ready_night('published', seed => made_seed(children => 3), days => 2, conf => "wal_level = 'logical'");
$night->sql('CREATE PUBLICATION everything FOR ALL TABLES');

is($night->night->{state}, '', 'a night');
$night->sql(q{UPDATE manage.student SET last_name = 'Other' WHERE student = 'S1'; DELETE FROM manage.student WHERE student = 'S2'});
is($night->night->{state}, '', 'another, for which one child has another name, and one is gone');
is($night->sql('SELECT string_agg(child_id || coalesce(last_name, $$$$), $$ $$ ORDER BY child_id) FROM kinderconnect.known_child'), 'S1Other S3Family3', 'as Manage has them');

# these have no key but their rows
$night->sql(q{ALTER PUBLICATION everything SET (publish_generated_columns = stored)}) if $night->sql('SHOW server_version_num') >= 180000;
$night->sql(q{UPDATE kinderconnect.agency_rule SET note = 'as agreed'; UPDATE kinderconnect.absence_limit SET note = 'as agreed'; UPDATE kinderconnect.unit_band SET note = 'as agreed'});
is($night->sql(q{SELECT count(*) FROM kinderconnect.agency_rule WHERE note <> 'as agreed'}), 0, 'rules are edited');

done_testing;
