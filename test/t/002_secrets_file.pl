# What the secrets file may be, and that nothing else is read or written.
use strict;
use warnings;

use KinderConnect;
use PostgreSQL::Test::Utils;
use Test::More;

my $night = new_night('secrets', init => { allows_streaming => 1 });
my $node = $night->node;
my $file = $night->secrets_file;

sub become
{
	my ($text, $mode) = @_;

	unlink $file;
	append_to_file($file, $text);
	chmod $mode // 0600, $file or die "could not chmod $file: $!";
	return;
}

sub refused
{
	my ($pattern, $what) = @_;
	my $end = $night->try_sql("SELECT kinderconnect._has_secret('a')");

	like($end->{stderr}, $pattern, $what);
	unlike($end->{stderr}, qr/hunter2/, "$what: no secret in the error");
	return;
}

sub named
{
	my ($path) = @_;

	$node->adjust_conf('postgresql.conf', 'kinderconnect.secrets_file', "'$path'");
	$node->reload;
	$night->await("SELECT kinderconnect.setting('secrets_file') = '$path'");
	return;
}

$night->install;

become("# a comment\n\n  \na:hunter2\nb:c:d \n");
is($night->sql("SELECT kinderconnect._has_secret('a')"), 't', 'comments and blank lines are fine');
become('a:hunter2');
is($night->sql("SELECT kinderconnect._has_secret('a')"), 't', 'the last line feed may be missing');
become("a:hunter2\n", 0400);
is($night->sql("SELECT kinderconnect._has_secret('a')"), 't', 'read-only is fine');

become("a:hunter2\n", 0640);
refused(qr/has group or world access/, 'group may read');
become("a:hunter2\n", 0602);
refused(qr/has group or world access/, 'world may write');
become("a:hunter2\nhunter2\n");
refused(qr/line 2 .* has no colon/, 'a line without a colon');
become("a:hunter2\nhunter2 x:y\n");
refused(qr/line 2 .* valid name/, 'a name with a space');
become("b:x\r\na:hunter2\n");
refused(qr/line 1 .* ends with a carriage return/, 'line ends of Windows');
become("a:hunter2\xff\n");
refused(qr/not valid UTF-8/, 'Latin-1');
become("a:hunter2\0\n");
refused(qr/zero byte/, 'a zero byte');
become("a:\n");
refused(qr/empty value/, 'an empty value');
become("a:hunter2\nb:x\na:hunter2\n");
refused(qr/more than one value of "a"/, 'a name twice');
become('a:' . 'x' x 4097 . "\n");
refused(qr/more than 4096 bytes/, 'a long value');
become('#' x (1024 * 1024) . "\na:hunter2\n");
refused(qr/larger than 1 MB/, 'a large file');

unlink $file;
is($night->sql("SELECT kinderconnect._has_secret('a')"), 'f', 'no file has no secrets');
like($night->try_sql('SELECT kinderconnect._require_armed()')->{stderr},
	qr/is not armed: the secrets file does not exist\nDETAIL: +Looked for "\Q$file\E"\.\nHINT: +Put the file there/, 'which is said, and where it was looked for');
is($night->sql(q{SELECT value FROM kinderconnect.health WHERE check_name = 'armed'}), 'database "postgres" is not armed: the secrets file does not exist', 'health says it too');
mkdir $file or die "could not make $file: $!";
refused(qr/is not a regular file/, 'a directory');
rmdir $file;
system_or_bail('mkfifo', '-m', '600', $file);
refused(qr/is not a regular file/, 'a pipe, without waiting for its writer');
unlink $file;
become("a:hunter2\n");
rename $file, "$file.real" or die "could not rename $file: $!";
symlink "$file.real", $file or die "could not link $file: $!";
refused(qr/is a symbolic link/, 'a symbolic link');
my $end = $night->try_sql("SELECT kinderconnect.set_secret('a', 'hunter3')");
like($end->{stderr}, qr/is a symbolic link/, 'nor is one replaced');
is(slurp_file("$file.real"), "a:hunter2\n", 'or written through');
unlink $file, "$file.real";

# writing
become("# kept\n\nb:2\na:old\nc:3");
$night->sql("SELECT kinderconnect.set_secret('a', 'new: value')");
$night->sql("SELECT kinderconnect.set_secret('d', '4')");
$night->sql("SELECT kinderconnect.remove_secret('b')");
is(slurp_file($file), "# kept\n\na:new: value\nc:3\nd:4\n", 'other lines stay as they are');
is((stat $file)[2] & 07777, 0600, 'a written file is private');
append_to_file("$file.new", 'left behind by a crash');
$night->sql("SELECT kinderconnect.set_secret('e', '5')");
ok(!-e "$file.new", 'what a crash left behind is gone');

# two databases of a server share the file
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other',
	'SET client_min_messages = warning; CREATE EXTENSION kinderconnect CASCADE');
unlink $file;
my $here = $night->start_sql(join '', map { "SELECT kinderconnect.set_secret('here.$_', 'x');\n" } 1 .. 50);
$node->safe_psql('other',
	join '', map { "SELECT kinderconnect.set_secret('there.$_', 'x');\n" } 1 .. 50);
is($here->finish->{status}, 0, 'both have written');
is(scalar(() = slurp_file($file) =~ /\n/g), 100, 'and nothing was lost');

# places
named('/etc/passwd');
refused(qr/belongs to another operating system user/, 'a file of root');
named('relative/path');
refused(qr/is not an absolute path/, 'a relative path');
named($node->data_dir . '/base/secrets');
refused(qr/is inside the data directory/, 'in the data directory');
my $way_in = $node->basedir . '/way_in';
symlink $node->data_dir, $way_in or die "could not link $way_in: $!";
named("$way_in/secrets");
refused(qr/is inside the data directory/, 'in the data directory by way of a link');
named('');
refused(qr/is inside the data directory/, 'beside postgresql.conf, which is there too');
named($node->basedir . '/nowhere/secrets');
refused(qr/No such file or directory/, 'in a directory that is not there');
my $open = $node->basedir . '/open';
mkdir $open or die "could not make $open: $!";
append_to_file("$open/secrets", "a:hunter2\n");
chmod 0600, "$open/secrets" or die "could not chmod: $!";
named("$open/secrets");
foreach my $mode (0777, 0775, 0757)
{
	chmod $mode, $open or die "could not chmod: $!";
	refused(qr/is in a directory that others can write to/, sprintf 'in a directory of mode %o', $mode);
}
foreach my $mode (01777, 0755, 0700)
{
	chmod $mode, $open or die "could not chmod: $!";
	is($night->sql("SELECT kinderconnect._has_secret('a')"), 't', sprintf 'a directory of mode %o will do', $mode);
}
named($file);

# whoever writes holds no lock until his transaction ends, with which another
# session's lock could be part of a deadlock
my $locks = q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'};
is($night->sql(qq{BEGIN; SELECT kinderconnect.set_secret('a', 'hunter2'); $locks; COMMIT}) =~ s/\s//gr, '0', 'a writer lets go at once');
chmod 0640, $file or die "could not chmod $file: $!";
is($night->sql(qq{
	BEGIN;
	DO \$\$ BEGIN PERFORM kinderconnect.set_secret('a', 'hunter2'); EXCEPTION WHEN OTHERS THEN NULL; END \$\$;
	$locks;
	COMMIT}) =~ s/\s//gr, '0', 'also of a file that cannot be used');
chmod 0600, $file or die "could not chmod $file: $!";

# a failed statement is logged with its text: not this one
$night->try_sql(q{SELECT kinderconnect.set_secret('not a name', 'hunter4')});
$night->try_sql(q{SELECT kinderconnect.set_secret('name', E'hunter4\n')});
my $log = slurp_file($node->logfile);
$log =~ s/LOG:  statement: .*//g;
unlike($log, qr/hunter/, 'no secret in an error of the log');

# a standby neither sends nor writes, and goes on once it is promoted
$night->sql('SELECT kinderconnect.arm()');
$node->stop;
append_to_file($node->data_dir . '/standby.signal', '');
$node->start;
like($night->try_sql('SELECT kinderconnect._require_armed()')->{stderr},
	qr/a standby does not send/, 'a standby does not send');
like($night->try_sql("SELECT kinderconnect.set_secret('f', '6')")->{stderr},
	qr/during recovery/, 'a standby does not write secrets');
like($night->try_sql('SELECT kinderconnect.arm()')->{stderr},
	qr/during recovery/, 'a standby cannot be armed');
$node->promote;
is($night->try_sql('SELECT kinderconnect._require_armed()')->{status}, 0,
	'a promoted standby with the secrets file is armed');

done_testing;
