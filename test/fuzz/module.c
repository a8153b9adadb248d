/*
 * module.c
 *	  The doors of the fuzzing module: fuzz(target, arguments) under libFuzzer,
 *	  replay(target, file ...) without it, and decode() for who wants to see or
 *	  to time the rows of a body.
 */
#include "fuzz.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/jsonapi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "kc_compat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(fuzz);
PG_FUNCTION_INFO_V1(replay);
PG_FUNCTION_INFO_V1(decode);
PG_FUNCTION_INFO_V1(decode_peak);
PG_FUNCTION_INFO_V1(parse);

static const KcFuzzTarget *const targets[] = {
	&kc_fuzz_decode, &kc_fuzz_json, &kc_fuzz_format, &kc_fuzz_encode, &kc_fuzz_dialect,
	&kc_fuzz_secrets
};

static const KcFuzzTarget *target;

static void
choose_target(const char *name)
{
	target = NULL;
	for (int i = 0; i < lengthof(targets); i++)
	{
		if (strcmp(targets[i]->name, name) == 0)
			target = targets[i];
	}
	if (target == NULL)
		elog(ERROR, "no target \"%s\"", name);
	if (target->prepare != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		target->prepare();
		MemoryContextSwitchTo(old);
	}
}

/* One input.  An ERROR that gets here is one that must not have been raised */
static int
take_input(const uint8_t *data, size_t len)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext context = kc_fuzz_context(old, "input");
	/* nothing stands behind it, not even a zero */
	char	   *copy = malloc(len);

	memcpy(copy, data, len);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		target->take(copy, len);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		fprintf(stderr, "an error was raised: %s\n", CopyErrorData()->message);
		abort();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	free(copy);
	return 0;
}

#ifdef KC_LIBFUZZER
extern int	LLVMFuzzerRunDriver(int *argc, char ***argv,
								int (*take) (const uint8_t *data, size_t len));

Datum
fuzz(PG_FUNCTION_ARGS)
{
	char	   *arguments = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	  **argv = palloc0(sizeof(char *) * (strlen(arguments) + 2));
	int			argc = 0;

	choose_target(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	argv[argc++] = "fuzz";
	for (char *word = strtok(arguments, " "); word != NULL; word = strtok(NULL, " "))
		argv[argc++] = word;
	LLVMFuzzerRunDriver(&argc, &argv, take_input);
	PG_RETURN_VOID();
}
#else
Datum
fuzz(PG_FUNCTION_ARGS)
{
	elog(ERROR, "built without libFuzzer");
}
#endif

static void
replay_file(const char *path)
{
	FILE	   *file = AllocateFile(path, "rb");
	struct stat status;
	char	   *data;

	if (file == NULL || fstat(fileno(file), &status) != 0)
		elog(ERROR, "could not open \"%s\": %m", path);
	data = palloc(status.st_size + 1);
	if (fread(data, 1, status.st_size, file) != status.st_size)
		elog(ERROR, "could not read \"%s\"", path);
	FreeFile(file);
	take_input((const uint8_t *) data, status.st_size);
	pfree(data);
}

/* Every file of a directory; answers how many */
Datum
replay(PG_FUNCTION_ARGS)
{
	char	   *directory = text_to_cstring(PG_GETARG_TEXT_PP(1));
	DIR		   *dir = AllocateDir(directory);
	struct dirent *entry;
	int32		count = 0;

	choose_target(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	while ((entry = ReadDir(dir, directory)) != NULL)
	{
		if (entry->d_name[0] == '.')
			continue;
		replay_file(psprintf("%s/%s", directory, entry->d_name));
		count++;
	}
	FreeDir(dir);
	PG_RETURN_INT32(count);
}

/*
 * decode(plan "char", body bytea, piece integer, row_type anyelement): the
 * rows of a body that comes in pieces of this size, 0 = whole.  What the page
 * says beside its rows is a notice.
 */
Datum
decode(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const KcPlan *plan = kc_fuzz_plan(PG_GETARG_CHAR(0));
	bytea	   *body = PG_GETARG_BYTEA_PP(1);
	size_t		len = VARSIZE_ANY_EXHDR(body);
	size_t		piece = PG_GETARG_INT32(2) > 0 ? PG_GETARG_INT32(2) : Max(len, 1);
	MemoryContext old = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	Tuplestorestate *store = tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0, false, 1024);
	KcDecoder  *decoder;
	KcReply		reply;

	MemoryContextSwitchTo(old);
	decoder = kc_decoder_create(plan, store, NULL, CurrentMemoryContext);
	kc_decoder_begin(decoder, true);
	for (size_t at = 0; at < len; at += piece)
	{
		if (!kc_decoder_feed(decoder, VARDATA_ANY(body) + at, Min(piece, len - at)))
			break;
	}
	kc_decoder_end(decoder, &reply);
	if (!reply.understood || !reply.success || reply.next_page != NULL)
		ereport(NOTICE,
				(errmsg("understood %d, success %d", reply.understood, reply.success),
				 errdetail("trouble %s, next page %s, code %s, message %s.",
						   reply.trouble ? reply.trouble : "-", reply.next_page ? reply.next_page : "-",
						   reply.code ? reply.code : "-", reply.message ? reply.message : "-")));

	result->returnMode = SFRM_Materialize;
	result->setResult = store;
	/* the executor frees what it is given */
	result->setDesc = CreateTupleDescCopy(kc_plan_info(plan)->reply_desc);
	return (Datum) 0;
}

/* The most memory that this process has ever had, in kB */
static int64
peak(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

/*
 * decode_peak(mb integer): what the peak of the backend grows by when a reply
 * of so many MB, which never is in memory, is decoded into a file.
 */
Datum
decode_peak(PG_FUNCTION_ARGS)
{
	static const char record[] = "{\"childId\": \"1234567\", \"firstName\": \"Maria\", \"lastName\": \"van der Berg\","
		" \"dateOfBirth\": \"2021-05-06\", \"subsidized\": true, \"authorizations\": [{\"authorizationId\": \"A-1\","
		" \"beginDate\": \"2026-01-05\", \"endDate\": null, \"unitsOfCare\": \"FULL\", \"days\": [\"MO\", \"TU\"]}]},";
	int64		records = (int64) PG_GETARG_INT32(0) * 1024 * 1024 / (sizeof(record) - 1);
	const KcPlan *plan = kc_fuzz_plan('k');
	Tuplestorestate *store = tuplestore_begin_heap(false, false, 1024);
	KcDecoder  *decoder = kc_decoder_create(plan, store, NULL, CurrentMemoryContext);
	KcReply		reply;
	int64		start = peak();

	kc_decoder_begin(decoder, true);
	kc_decoder_feed(decoder, "{\"children\": [", 14);
	for (int64 i = 0; i < records; i++)
	{
		CHECK_FOR_INTERRUPTS();
		kc_decoder_feed(decoder, record, sizeof(record) - 1 - (i == records - 1));
	}
	kc_decoder_feed(decoder, "]}", 2);
	kc_decoder_end(decoder, &reply);
	if (!reply.understood || reply.entries != records)
		elog(ERROR, "the reply was not understood");
	tuplestore_end(store);
	PG_RETURN_INT64(peak() - start);
}

/* parse(body bytea): PostgreSQL's parser over the whole, with empty actions */
Datum
parse(PG_FUNCTION_ARGS)
{
	bytea	   *body = PG_GETARG_BYTEA_PP(0);
	JsonSemAction nothing = {0};
	JsonLexContext *lex;

#if PG_VERSION_NUM >= 170000
	lex = makeJsonLexContextCstringLen(NULL, VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), PG_UTF8, false);
#else
	lex = makeJsonLexContextCstringLen(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), PG_UTF8, false);
#endif
	PG_RETURN_BOOL(pg_parse_json(lex, &nothing) == JSON_SUCCESS);
}
