/*
 * secrets.c
 *	  The secrets file: finding it, judging it, reading one value from it and
 *	  replacing it as a whole.
 *
 * Invariant: whatever this file reads lives in memory that is wiped when it is
 * freed, also when an error frees it, and the file itself is only ever seen by
 * others whole, mode 0600.
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "secrets.h"
#include "settings.h"
#include "storage/fd.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#define SECRETS_FILE "secrets file"
#define KEY_FILE "key file"
#define DEFAULT_NAME "kinderconnect.secrets"
#define MAX_FILE (1024 * 1024)
#define MAX_NAME 128
#define MAX_VALUE 4096
#define TOKEN_BYTES 32
#define NAME_HINT "A name has 1 to 128 letters, digits, \"_\", \".\" or \"-\"."

/* an arbitrary key of an advisory lock that is not of any database */
#define WRITE_LOCK_KEY1 0x6b696e64
#define WRITE_LOCK_KEY2 0x73656372

/* Memory of a secret: a context of its own, so that any way to free it wipes */
typedef struct WipedBlock
{
	MemoryContextCallback callback;
	size_t		size;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} WipedBlock;

typedef struct SecretsFile
{
	char		directory[PATH_MAX];	/* without symbolic links */
	char		path[PATH_MAX];
	bool		exists;
	char	   *text;			/* wiped memory; NULL unless it exists */
	size_t		len;
} SecretsFile;

/* One name:value line; all pointers into the text of the file */
typedef struct SecretLine
{
	const char *start;			/* NULL where there is no such line */
	const char *next;			/* start of the line after it, or the end */
	const char *value;
	size_t		value_len;
} SecretLine;

PG_FUNCTION_INFO_V1(kinderconnect_write_secret);
PG_FUNCTION_INFO_V1(kinderconnect_has_secret);
PG_FUNCTION_INFO_V1(kinderconnect_new_arm_token);
PG_FUNCTION_INFO_V1(kinderconnect_arm_digest);
PG_FUNCTION_INFO_V1(kinderconnect_missing_secrets_file);

static void
wipe_block(void *arg)
{
	WipedBlock *block = arg;

	explicit_bzero(block->data, block->size);
}

static char *
wiped_alloc(size_t size)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "kinderconnect secret",
												  ALLOCSET_SMALL_SIZES);
	WipedBlock *block = MemoryContextAlloc(context,
										   offsetof(WipedBlock, data) + size);

	block->size = size;
	block->callback.func = wipe_block;
	block->callback.arg = block;
	MemoryContextRegisterResetCallback(context, &block->callback);
	return block->data;
}

static void
wiped_free(char *data)
{
	if (data != NULL)
		MemoryContextDelete(GetMemoryChunkContext(data - offsetof(WipedBlock, data)));
}

/*
 * All faults about the file as such; the hint is where a DBA starts reading.
 */
static bool
file_fault(KcFault *fault, const char *kind, const char *path, const char *what, const char *hint)
{
	kc_fault_set(fault, KC_FAULT_SECRET, false,
				 "%s \"%s\" %s", kind, path, what);
	kc_fault_hint(fault, "%s", hint);
	return false;
}

/*
 * A failed system call; errno says why.
 */
static bool
system_fault(KcFault *fault, const char *doing, const char *path)
{
	kc_fault_set(fault, KC_FAULT_SECRET, false,
				 "could not %s \"%s\": %m", doing, path);
	kc_fault_hint(fault, "The server's operating system user must be able to use the file and its directory; it is named by the setting kinderconnect.secrets_file, or kinderconnect.client_key.");
	return false;
}

/*
 * Resolves the directory of a file that is named by a setting, here and once:
 * the name in it is opened without following a symbolic link.  Who can write
 * to the directory can put another file in its place; in one with the sticky
 * bit that would be a file of his own, which is refused for its owner.
 */
static bool
locate_file(const char *kind, const char *setting, const char *named,
			SecretsFile *file, KcFault *fault)
{
	const char *slash = strrchr(named, '/');
	char	   *directory;
	char		data_directory[PATH_MAX];
	struct stat status;

	if (named[0] != '/' || slash[1] == '\0')
		return file_fault(fault, kind, named, "is not an absolute path of a file",
						  psprintf("Set %s to a path that begins with \"/\".", setting));

	directory = pnstrdup(named, Max(slash - named, 1));
	if (realpath(directory, file->directory) == NULL ||
		stat(file->directory, &status) != 0)
		return system_fault(fault, psprintf("find the directory of the %s", kind), directory);
	if (snprintf(file->path, sizeof(file->path), "%s/%s",
				 strcmp(file->directory, "/") == 0 ? "" : file->directory,
				 slash + 1) >= sizeof(file->path))
	{
		errno = ENAMETOOLONG;
		return system_fault(fault, psprintf("use the %s in", kind), file->directory);
	}

	if (realpath(DataDir, data_directory) == NULL)
		return system_fault(fault, "find the data directory", DataDir);
	if (path_is_prefix_of_path(data_directory, file->path))
		return file_fault(fault, kind, file->path, "is inside the data directory",
						  psprintf("There every base backup would carry it away. Set %s to a path elsewhere.", setting));
	if ((status.st_uid != geteuid() && status.st_uid != 0) ||
		((status.st_mode & (S_IWGRP | S_IWOTH)) && !(status.st_mode & S_ISVTX)))
		return file_fault(fault, kind, file->path, "is in a directory that others can write to",
						  "The directory must belong to root or to the operating system user that the server runs as, with no write permission for group and others.");
	return true;
}

static bool
locate_secrets(SecretsFile *file, KcFault *fault)
{
	char	   *named;

	if (kc_secrets_file[0] != '\0')
		named = kc_secrets_file;
	else
	{
		char	   *directory = pstrdup(ConfigFileName);

		get_parent_directory(directory);
		named = psprintf("%s/" DEFAULT_NAME, directory);
	}
	return locate_file(SECRETS_FILE, "kinderconnect.secrets_file", named, file, fault);
}

/*
 * What the open file is counts, not what its path is: the path may name
 * another file a moment later.
 */
static bool
judge_file(const char *kind, const char *path, const struct stat *status, KcFault *fault)
{
	if (!S_ISREG(status->st_mode))
		return file_fault(fault, kind, path, "is not a regular file",
						  "Replace it by a plain file of the server's operating system user, mode 0600.");
	if (status->st_uid != geteuid())
		return file_fault(fault, kind, path, "belongs to another operating system user",
						  "Change its owner to the operating system user that the server runs as.");
	if (status->st_mode & (S_IRWXG | S_IRWXO))
		return file_fault(fault, kind, path, "has group or world access",
						  "Change its mode: chmod 0600.");
	if (status->st_size > MAX_FILE)
		return file_fault(fault, kind, path, "is larger than 1 MB",
						  "Check that the setting names the right file.");
	return true;
}

/*
 * -1 and a fault where it cannot be used.  Without O_NONBLOCK the opening of a
 * FIFO would hang.
 */
static int
open_judged(const char *kind, const char *path, struct stat *status, KcFault *fault, bool *missing)
{
	int			fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);

	*missing = fd < 0 && errno == ENOENT;
	if (fd < 0)
	{
		if (errno == ELOOP)
			file_fault(fault, kind, path, "is a symbolic link",
					   "Name the file itself in the setting.");
		else
			system_fault(fault, psprintf("open %s", kind), path);
		return -1;
	}
	if (fstat(fd, status) != 0)
	{
		system_fault(fault, psprintf("examine %s", kind), path);
		CloseTransientFile(fd);
		return -1;
	}
	if (!judge_file(kind, path, status, fault))
	{
		CloseTransientFile(fd);
		return -1;
	}
	return fd;
}

bool
kc_key_file_is_private(const char *path, KcFault *fault)
{
	SecretsFile file;
	struct stat status;
	bool		missing;
	int			fd;

	if (!locate_file(KEY_FILE, "kinderconnect.client_key", path, &file, fault))
		return false;
	fd = open_judged(KEY_FILE, file.path, &status, fault, &missing);
	if (fd < 0)
		return false;
	CloseTransientFile(fd);
	return true;
}

static bool
load_secrets(SecretsFile *file, KcFault *fault)
{
	struct stat status;
	bool		missing;
	int			fd;
	size_t		room;

	file->exists = false;
	file->text = NULL;
	file->len = 0;
	if (!locate_secrets(file, fault))
		return false;

	fd = open_judged(SECRETS_FILE, file->path, &status, fault, &missing);
	if (fd < 0)
		return missing;

	/* one byte more than it should have tells that it has grown meanwhile */
	room = status.st_size + 1;
	file->text = wiped_alloc(room);
	while (file->len < room)
	{
		ssize_t		got = read(fd, file->text + file->len, room - file->len);

		if (got < 0)
		{
			system_fault(fault, "read secrets file", file->path);
			CloseTransientFile(fd);
			wiped_free(file->text);
			return false;
		}
		if (got == 0)
			break;
		file->len += got;
	}
	CloseTransientFile(fd);
	file->exists = true;

	if (file->len == room)
		file_fault(fault, SECRETS_FILE, file->path, "changed while it was read",
				   "Replace the file as a whole (write another one, then mv), or use kinderconnect.set_secret().");
	else if (memchr(file->text, '\0', file->len) != NULL)
		file_fault(fault, SECRETS_FILE, file->path, "contains a zero byte",
				   "It must be a plain text file in UTF-8 with a name:value a line.");
	else
		return true;
	wiped_free(file->text);
	return false;
}

static bool
name_is_valid(const char *name, size_t len)
{
	if (len < 1 || len > MAX_NAME)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		char		c = name[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			  (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'))
			return false;
	}
	return true;
}

/*
 * NULL, or why it cannot be a value.
 */
static const char *
value_complaint(const char *value, size_t len)
{
	if (len == 0)
		return "has an empty value";
	if (len > MAX_VALUE)
		return "has a value of more than 4096 bytes";
	if (memchr(value, '\r', len) != NULL || memchr(value, '\n', len) != NULL)
		return "has a carriage return or line feed in its value";
	if (pg_encoding_verifymbstr(PG_UTF8, value, len) != len)
		return "has a value that is not valid UTF-8";
	return NULL;
}

/* Nothing ends the text but its length */
static bool
is_blank(const char *start, const char *stop)
{
	while (start < stop && (*start == ' ' || *start == '\t'))
		start++;
	return start == stop;
}

/*
 * Looks at every line, so that a spoilt file is noticed whatever is asked of
 * it.  A fault tells a line's number and never quotes it: a line without a
 * colon may well be a password.
 */
static bool
find_line(const SecretsFile *file, const char *name, SecretLine *line, KcFault *fault)
{
	const char *end = file->text + file->len;
	const char *start = file->text;
	size_t		name_len = strlen(name);
	int			number = 0;

	line->start = NULL;
	for (const char *next; start < end; start = next)
	{
		const char *stop = memchr(start, '\n', end - start);
		const char *colon;
		const char *complaint = NULL;

		number++;
		if (stop == NULL)
			stop = next = end;
		else
			next = stop + 1;
		if (*start == '#' || is_blank(start, stop))
			continue;

		colon = memchr(start, ':', stop - start);
		if (colon == NULL)
			complaint = "has no colon";
		else if (!name_is_valid(start, colon - start))
			complaint = "does not begin with a valid name";
		else if (stop[-1] == '\r')
			complaint = "ends with a carriage return";
		else
			complaint = value_complaint(colon + 1, stop - colon - 1);
		if (complaint != NULL)
		{
			kc_fault_set(fault, KC_FAULT_SECRET, false,
						 "line %d of secrets file \"%s\" %s", number, file->path, complaint);
			kc_fault_hint(fault, "A line is name:value, the name of letters, digits, \"_\", \".\" and \"-\", the value up to the end of the line; or it begins with \"#\", or is blank.");
			return false;
		}

		if (colon - start != name_len || memcmp(start, name, name_len) != 0)
			continue;
		if (line->start != NULL)
		{
			kc_fault_set(fault, KC_FAULT_SECRET, false,
						 "secrets file \"%s\" has more than one value of \"%s\"",
						 file->path, name);
			kc_fault_hint(fault, "Line %d is the second one. Remove the one that is out of date.", number);
			return false;
		}
		line->start = start;
		line->next = next;
		line->value = colon + 1;
		line->value_len = stop - line->value;
	}
	return true;
}

/*
 * An invalid name is not repeated: it may be a password in the wrong place.
 */
static bool
check_name(const char *name, KcFault *fault)
{
	if (name_is_valid(name, strlen(name)))
		return true;
	kc_fault_set(fault, KC_FAULT_SECRET, false, "invalid name of a secret");
	kc_fault_hint(fault, NAME_HINT);
	return false;
}

/*
 * The value of a name in wiped memory, or NULL where the file has none; false
 * and a fault where the file cannot be used.
 */
static bool
look_up(const char *name, char **value, bool *file_exists, char *path, KcFault *fault)
{
	SecretsFile file;
	SecretLine	line;
	bool		usable;

	*value = NULL;
	if (!check_name(name, fault) || !load_secrets(&file, fault))
		return false;
	*file_exists = file.exists;
	strlcpy(path, file.path, PATH_MAX);
	if (!file.exists)
		return true;

	usable = find_line(&file, name, &line, fault);
	if (usable && line.start != NULL)
	{
		*value = wiped_alloc(line.value_len + 1);
		memcpy(*value, line.value, line.value_len);
		(*value)[line.value_len] = '\0';
	}
	wiped_free(file.text);
	return usable;
}

/*
 * The value lives in a child of the current memory context: an error that the
 * caller does not survive wipes it too.
 */
char *
kc_secret_read(KcSecretKind kind, const char *owner, const char *name, KcFault *fault)
{
	char		path[PATH_MAX];
	char	   *value;
	bool		file_exists;

	if (!name_is_valid(name, strlen(name)))
	{
		kc_fault_set(fault, KC_FAULT_SECRET, false,
					 "invalid name of a secret in %s \"%s\"",
					 kind == KC_GROUP_PASSWORD ? "group_password of organization" : "client_secret of endpoint",
					 owner);
		kc_fault_hint(fault, NAME_HINT);
		return NULL;
	}
	if (!look_up(name, &value, &file_exists, path, fault))
		return NULL;
	if (value == NULL)
	{
		const char *what = kind == KC_GROUP_PASSWORD ? "group password" : "client secret";

		if (file_exists)
			kc_fault_set(fault, KC_FAULT_SECRET, false,
						 "%s is not in secrets file \"%s\"", what, path);
		else
			kc_fault_set(fault, KC_FAULT_SECRET, false,
						 "%s cannot be read: secrets file \"%s\" does not exist",
						 what, path);
		kc_fault_hint(fault, "Write the line that %s names, or call kinderconnect.set_secret().",
					  kind == KC_GROUP_PASSWORD ? "group_password of kinderconnect.organization" : "client_secret of kinderconnect.endpoint");
	}
	return value;
}

char *
kc_secret_alloc(size_t size)
{
	return wiped_alloc(size);
}

void
kc_secret_free(char *value)
{
	wiped_free(value);
}

/*
 * Is not interrupted.  All that may raise is to open a file, for want of
 * descriptors: before the new one is made, or after it is in place.  So it is
 * either in place or gone.  The name of the new file is always the same: what a crash
 * has left behind is removed by the next writer.
 */
static bool
replace_secrets(const SecretsFile *file, const char *text, size_t len, KcFault *fault)
{
	char		new_path[PATH_MAX];
	int			fd;
	bool		written;

	if (snprintf(new_path, sizeof(new_path), "%s.new", file->path) >= sizeof(new_path))
	{
		errno = ENAMETOOLONG;
		return system_fault(fault, "write secrets file", file->path);
	}
	if (unlink(new_path) != 0 && errno != ENOENT)
		return system_fault(fault, "remove file", new_path);
	fd = OpenTransientFilePerm(new_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
							   S_IRUSR | S_IWUSR);
	if (fd < 0)
		return system_fault(fault, "create file", new_path);

	written = true;
	for (size_t done = 0; written && done < len;)
	{
		ssize_t		put = write(fd, text + done, len - done);

		if (put <= 0)
		{
			if (put == 0)
				errno = ENOSPC;
			written = system_fault(fault, "write file", new_path);
		}
		else
			done += put;
	}
	if (written && pg_fsync(fd) != 0)
		written = system_fault(fault, "fsync file", new_path);
	if (CloseTransientFile(fd) != 0 && written)
		written = system_fault(fault, "close file", new_path);
	if (written && rename(new_path, file->path) != 0)
		written = system_fault(fault, "rename file", new_path);
	if (!written)
	{
		unlink(new_path);
		return false;
	}

	fd = OpenTransientFile(file->directory, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return system_fault(fault, "open directory", file->directory);
	if (pg_fsync(fd) != 0)
		written = system_fault(fault, "fsync directory", file->directory);
	CloseTransientFile(fd);
	return written;
}

/*
 * Sets one line, or removes it where value is NULL; every other line stays as
 * it is.
 */
static void
write_line(const char *name, const char *value, size_t value_len)
{
	SecretsFile file;
	SecretLine	line = {NULL};
	KcFault		fault;
	char	   *text;
	size_t		len = 0;
	size_t		name_len = strlen(name);

	if (!load_secrets(&file, &fault))
		kc_fault_raise(&fault);
	if (file.exists && !find_line(&file, name, &line, &fault))
	{
		wiped_free(file.text);
		kc_fault_raise(&fault);
	}
	if (line.start == NULL && value == NULL)
	{
		wiped_free(file.text);
		return;
	}

	/* name, colon, value, and a line feed before and after */
	text = wiped_alloc(file.len + name_len + value_len + 3);
	if (file.exists)
	{
		len = line.start ? line.start - file.text : file.len;
		memcpy(text, file.text, len);
		if (len > 0 && text[len - 1] != '\n')
			text[len++] = '\n';
	}
	if (value != NULL)
	{
		memcpy(text + len, name, name_len);
		len += name_len;
		text[len++] = ':';
		memcpy(text + len, value, value_len);
		len += value_len;
		text[len++] = '\n';
	}
	if (line.start != NULL)
	{
		size_t		rest = file.text + file.len - line.next;

		memcpy(text + len, line.next, rest);
		len += rest;
	}
	wiped_free(file.text);

	if (len > MAX_FILE)
		file_fault(&fault, SECRETS_FILE, file.path, "would become larger than 1 MB",
				   "Remove secrets that nothing uses any more: kinderconnect.remove_secret().");
	else if (replace_secrets(&file, text, len, &fault))
	{
		wiped_free(text);
		return;
	}
	wiped_free(text);
	kc_fault_raise(&fault);
}

/*
 * Databases of one server may share the file, and locks taken from SQL are of
 * one database: so the lock is taken here.  Whoever has it waits for no other,
 * and lets go of it when the file is in place, which no rollback takes back:
 * held any longer it could be part of a deadlock, and the report of that has
 * the statement with the value in it.
 */
static void
write_secret(const char *name, const char *value, size_t value_len)
{
	KcFault		fault;
	LOCKTAG		tag;
	const char *complaint;

	PreventCommandDuringRecovery("a change of the secrets file");

	if (!check_name(name, &fault))
		kc_fault_raise(&fault);
	if (value != NULL && (complaint = value_complaint(value, value_len)) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret \"%s\" %s", name, complaint)));

	SET_LOCKTAG_ADVISORY(tag, InvalidOid, WRITE_LOCK_KEY1, WRITE_LOCK_KEY2, 2);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	write_line(name, value, value_len);
	LockRelease(&tag, ExclusiveLock, false);
}

Datum
kinderconnect_write_secret(PG_FUNCTION_ARGS)
{
	text	   *value = NULL;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a secret must not be null")));
	if (!PG_ARGISNULL(1))
		value = PG_GETARG_TEXT_PP(1);

	write_secret(text_to_cstring(PG_GETARG_TEXT_PP(0)),
				 value ? VARDATA_ANY(value) : NULL,
				 value ? VARSIZE_ANY_EXHDR(value) : 0);
	PG_RETURN_VOID();
}

/*
 * The value of a name, NULL where there is none; raises where the file cannot
 * be used.
 */
static char *
read_or_raise(const char *name)
{
	char		path[PATH_MAX];
	char	   *value;
	bool		file_exists;
	KcFault		fault;

	if (!look_up(name, &value, &file_exists, path, &fault))
		kc_fault_raise(&fault);
	return value;
}

Datum
kinderconnect_has_secret(PG_FUNCTION_ARGS)
{
	char	   *value = read_or_raise(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	bool		found = value != NULL;

	kc_secret_free(value);
	PG_RETURN_BOOL(found);
}

static text *
digest_of(const char *token)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char		hex[2 * PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) token, strlen(token)) < 0 ||
		pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute a SHA-256 digest: %s",
						pg_cryptohash_error(hash))));
	pg_cryptohash_free(hash);

	hex_encode((const char *) digest, sizeof(digest), hex);
	return cstring_to_text_with_len(hex, sizeof(hex));
}

Datum
kinderconnect_new_arm_token(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *bytes = wiped_alloc(TOKEN_BYTES);
	char	   *token = wiped_alloc(2 * TOKEN_BYTES + 1);
	text	   *digest;

	if (!pg_strong_random(bytes, TOKEN_BYTES))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
	hex_encode(bytes, TOKEN_BYTES, token);
	token[2 * TOKEN_BYTES] = '\0';
	wiped_free(bytes);

	write_secret(name, token, 2 * TOKEN_BYTES);
	digest = digest_of(token);
	wiped_free(token);
	PG_RETURN_TEXT_P(digest);
}

Datum
kinderconnect_arm_digest(PG_FUNCTION_ARGS)
{
	char	   *token = read_or_raise(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	text	   *digest;

	if (token == NULL)
		PG_RETURN_NULL();
	digest = digest_of(token);
	kc_secret_free(token);
	PG_RETURN_TEXT_P(digest);
}

/*
 * Its path, or NULL where there is one.
 */
Datum
kinderconnect_missing_secrets_file(PG_FUNCTION_ARGS)
{
	SecretsFile file;
	KcFault		fault;

	if (!load_secrets(&file, &fault))
		kc_fault_raise(&fault);
	if (file.exists)
	{
		wiped_free(file.text);
		PG_RETURN_NULL();
	}
	PG_RETURN_TEXT_P(cstring_to_text(file.path));
}
