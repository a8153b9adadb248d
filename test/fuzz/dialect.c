/*
 * dialect.c
 *	  Rows of a dialect as a DBA may mistype them: they are compiled, or refused
 *	  by an error that says why; what is compiled reads and writes.
 *
 * An input is lines: operation (its first letter), part and position of the row
 * to change, then its path, column, format, codes, element, and nested path of
 * the operation.  An empty line leaves it as it is.
 */
#include "fuzz.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

static const char change[] =
	"WITH o AS (UPDATE kinderconnect.dialect_operation SET nested_path = coalesce($8, nested_path)"
	" WHERE dialect = 'fuzz' AND starts_with(operation, $1)) "
	"UPDATE kinderconnect.dialect_field SET path = coalesce($3, path), column_name = coalesce($4, column_name),"
	" format = coalesce($5, format), codes = coalesce($6::jsonb, codes), element = coalesce($7::int, element)"
	" WHERE dialect = 'fuzz' AND starts_with(operation, $1) AND position = $2::int";

static const char *const bodies[] = {
	"{\"children\": [{\"childId\": \"1\", \"firstName\": \"A\", \"authorizations\": [{\"beginDate\": \"2026-01-01\", \"days\": [\"MO\", 1, null, {}]}, [], 1]}, 7, [[]]], \"nextPage\": \"2\"}",
	"{\"records\": [{\"recordId\": 1, \"sessions\": [{\"in\": \"08:00\"}, {\"out\": \"09:00\"}], \"absence\": {\"reason\": \"X\"}, \"closure\": true}]}",
	"{\"results\": [{\"recordId\": \"1\", \"status\": \"accepted\", \"code\": {\"a\": [1]}}]}"
};

static void
use_plan(const KcPlan *plan)
{
	KcArguments arguments = {.group_id = "G",.agency_id = "A",.provider_id = "P",
		.customer_id = "C",.batch_id = "B",.has_month = true,.month = 9000,
		.has_range = true,.from_date = 9000,.to_date = 9001};
	KcReply		reply;

	for (int i = 0; i < lengthof(bodies); i++)
	{
		Tuplestorestate *store = tuplestore_begin_heap(false, false, 1024);
		KcDecoder  *decoder = kc_decoder_create(plan, store, NULL, CurrentMemoryContext);

		kc_decoder_begin(decoder, true);
		for (const char *c = bodies[i]; *c != '\0'; c++)
			kc_decoder_feed(decoder, c, 1);
		kc_decoder_end(decoder, &reply);
		tuplestore_end(store);
	}
	if (plan->record_desc == NULL)
	{
		StringInfoData out;

		initStringInfo(&out);
		kc_encode_request(plan, &arguments, "password", "page", &out);
	}
}

/* Class KC, or a constraint of the tables, or a value that is no JSON or int */
static bool
is_explained(int code)
{
	return code == ERRCODE_INVALID_PARAMETER_VALUE || code == ERRCODE_NULL_VALUE_NOT_ALLOWED ||
		code == ERRCODE_CHECK_VIOLATION || code == ERRCODE_INVALID_TEXT_REPRESENTATION ||
		code == ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE || code == ERRCODE_UNTRANSLATABLE_CHARACTER ||
		ERRCODE_TO_CATEGORY(code) == MAKE_SQLSTATE('K', 'C', '0', '0', '0') ||
		(PGUNSIXBIT(code) == 'K' && PGUNSIXBIT(code >> 6) == 'C');
}

static void
try_rows(Datum *values, const char *nulls)
{
	static Oid	types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	KcDialect  *dialect;

	SPI_connect();
	SPI_execute_with_args(change, lengthof(types), types, values, nulls, false, 0);
	SPI_finish();
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	dialect = kc_dialect_load("fuzz", CurrentMemoryContext);
	PopActiveSnapshot();
	for (int operation = 0; operation < KC_OPERATIONS; operation++)
	{
		if (kc_dialect_plan(dialect, operation) != NULL)
			use_plan(kc_dialect_plan(dialect, operation));
	}
}

static void
take(const char *data, size_t len)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Datum		values[8];
	char		nulls[8];
	char	   *text = pnstrdup(data, len);

	if (memchr(data, '\0', len) != NULL || !pg_verify_mbstr(PG_UTF8, data, len, true))
		return;
	for (int i = 0; i < lengthof(values); i++)
	{
		size_t		line = strcspn(text, "\n");

		nulls[i] = line == 0 ? 'n' : ' ';
		values[i] = PointerGetDatum(cstring_to_text_with_len(text, line));
		text += line + (text[line] == '\n');
	}

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(old);
	PG_TRY();
	{
		try_rows(values, nulls);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(old);
		error = CopyErrorData();
		FlushErrorState();
		if (!is_explained(error->sqlerrcode))
		{
			fprintf(stderr, "an error that explains nothing: %s %s\n",
					unpack_sql_state(error->sqlerrcode), error->message);
			abort();
		}
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
}

const KcFuzzTarget kc_fuzz_dialect = {"dialect", NULL, take};
