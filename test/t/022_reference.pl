# The pages of reference tell of what is there: every SQLSTATE, every reason,
# and a dialect adapted as doc/dialect.md says.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The codes that a page or a source file names
sub codes
{
	my %seen;

	foreach my $file (@_)
	{
		$seen{$_}++ foreach slurp_file($file) =~ /\b(KC\d{3})\b/g;
	}
	return keys %seen;
}

my $states = slurp_file('src/fault.h');
my %known = map { join('', /'(.)'/g) => 1 } $states =~ /MAKE_SQLSTATE\(([^)]*)\)/g;
$known{$_} = 1 foreach codes(glob 'sql/*.sql');

my $errors = slurp_file('doc/errors.md');
my %told = map { $_ => 1 } map { /KC\d{3}/g } $errors =~ /^## (.*)$/mg;

is(join(' ', sort keys %told), join(' ', sort keys %known), 'doc/errors.md has every SQLSTATE, and no other');

# What our own C code says of a call stands in the page, with capitals for what differs.
my @unsaid;
foreach my $file (qw(attempt call fault http token))
{
	foreach my $message (slurp_file("src/$file.c") =~ /kc_fault_set\([^;]*?"((?:[^"\\]|\\.)*)"/g)
	{
		# up to the first thing that differs, at most two words beyond the start
		my ($start) = $message =~ /^((?:[^%\\])*)/;

		$start =~ s/\s+\(HTTP status\s*$//;
		$start =~ s/\s+$//;
		push @unsaid, $message if $start ne '' && index(join(' ', split ' ', $errors), $start) < 0;
	}
}
is("@unsaid", '', 'doc/errors.md has every message of a call');

# And what our SQL raises under a code of ours, each part between its names
my $flat = join ' ', split ' ', $errors;
my $raised = 0;
@unsaid = ();
foreach my $file (glob 'sql/*.sql')
{
	foreach my $raise (slurp_file($file) =~ /RAISE EXCEPTION ('(?:[^']|'')*'[^;]*?ERRCODE = 'KC)/g)
	{
		my ($message) = $raise =~ /^'((?:[^']|'')*)'/;

		$raised++;
		push @unsaid, "$file: $message" if grep { length > 3 && index($flat, $_) < 0 } map { s/^[" ]+|[" ]+$//gr } split /%/, $message =~ s/''/'/gr;
	}
}
cmp_ok($raised, '>', 20, 'errors of our SQL');
is("@unsaid", '', 'doc/errors.md has every one of them');

my $night = new_night('reference');
$night->install;

foreach my $page (qw(reasons reference))
{
	is(slurp_file("doc/$page.md"), $night->sql(slurp_file("doc/$page.sql")) . "\n", "doc/$page.md is what doc/generate makes of the catalog");
}
unlike(slurp_file('doc/reference.md'), qr/\|  \|$/m, 'nothing of the reference lacks its words');

# The page as it is typed, then a submit by the dialect that comes of it
my $page = slurp_file('doc/dialect.md');
my @blocks = $page =~ /^```sql\n(.*?)^```$/msg;
cmp_ok(scalar @blocks, '>', 8, 'doc/dialect.md has SQL');
$night->write_secrets(group_trial => 'group-password');
foreach my $number (1 .. @blocks)
{
	my $ran = $night->try_sql($blocks[ $number - 1 ]);

	is($ran->{stderr}, '', "SQL $number of doc/dialect.md");
}
is($night->sql(q{SELECT string_agg(concat_ws(': ', part, problem), E'\n') FROM kinderconnect.check_dialect('ours') WHERE severity = 'error'}),
	'', 'the dialect of doc/dialect.md has no errors');
is($night->sql('SELECT organization_id FROM kinderconnect.organization'), join(' ', $page =~ /api_submit\('([^']*)'/), 'and the organization of its trial is there');

done_testing();
