/*
 * encode.c
 *	  Requests: whatever stands in a record is sent as valid JSON, and reads
 *	  back as the same record, or is refused by an error that says why.
 *
 * An input is lines: the letter of the plan and the kind; record ID, child ID,
 * reason, password; then a line for each session, "HHMM HHMM", or a time
 * that is missing.
 */
#include "fuzz.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "json.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#define MAX_SESSIONS 8

static KcDialect *dialects[3];

static void
load(void)
{
	static const char *const names[] = {"kinderbridge", "vendor-interface", "third"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (dialects[i] == NULL)
			dialects[i] = kc_dialect_load(names[i], TopMemoryContext);
	}
	kc_fuzz_plan('r');
}

static char *
next_line(char **text)
{
	char	   *line = *text;
	char	   *end = strchr(line, '\n');

	if (end == NULL)
		*text = line + strlen(line);
	else
	{
		*end = '\0';
		*text = end + 1;
	}
	return line;
}

static bool
read_time(const char *text, Datum *time)
{
	int			minutes = 0;

	for (int i = 0; i < 4; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		minutes = minutes * (i == 2 ? 6 : 10) + text[i] - '0';
	}
	*time = TimeADTGetDatum((int64) minutes % 1441 * USECS_PER_MINUTE);
	return true;
}

static Datum
time_array(Datum *times, bool *nulls, int count)
{
	int			lower = 1;

	if (count == 0)
		return PointerGetDatum(construct_empty_array(TIMEOID));
	return PointerGetDatum(construct_md_array(times, nulls, 1, &count, &lower, TIMEOID,
											  sizeof(TimeADT), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static bool
encode(const KcPlan *plan, const KcArguments *arguments, const char *password, StringInfo out)
{
	MemoryContext old = CurrentMemoryContext;
	volatile bool sent = false;

	PG_TRY();
	{
		kc_encode_request(plan, arguments, password, NULL, out);
		sent = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(old);
		error = CopyErrorData();
		FlushErrorState();
		KC_HOLDS(error->sqlerrcode == ERRCODE_INVALID_PARAMETER_VALUE);
	}
	PG_END_TRY();
	return sent;
}

static bool
is_same(const KcPlan *from, const Datum *values, const bool *nulls,
		const KcPlan *to, TupleTableSlot *slot, const char *name)
{
	Datum		a = (Datum) 0;
	Datum		b = (Datum) 0;
	bool		a_null = true;
	bool		b_null = true;
	Oid			type = InvalidOid;

	for (int i = 0; i < from->record_desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(from->record_desc, i)->attname), name) == 0)
		{
			type = TupleDescAttr(from->record_desc, i)->atttypid;
			a = values[i];
			a_null = nulls[i];
		}
	}
	for (int i = 0; i < to->info.reply_desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(to->info.reply_desc, i)->attname), name) == 0)
		{
			b = slot->tts_values[i];
			b_null = slot->tts_isnull[i];
		}
	}
	if (type == TEXTOID && !a_null && VARSIZE_ANY_EXHDR(DatumGetPointer(a)) == 0)
		a_null = true;
	if (a_null || b_null)
		return a_null == b_null;
	if (type == TEXTOID)
		return strcmp(TextDatumGetCString(a), TextDatumGetCString(b)) == 0;
	if (type == DATEOID)
		return a == b;
	return DatumGetBool(DirectFunctionCall2(array_eq, a, b));
}

/* What kinderbridge is sent is what it is read back as */
static void
read_back(const KcPlan *from, const Datum *values, const bool *nulls, const char *json)
{
	const KcPlan *plan = kc_fuzz_plan('r');
	const char *records = strstr(json, "\"records\":");
	Tuplestorestate *store = tuplestore_begin_heap(false, false, 1024);
	KcDecoder  *decoder = kc_decoder_create(plan, store, NULL, CurrentMemoryContext);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(plan->info.reply_desc, &TTSOpsMinimalTuple);
	KcReply		reply;

	/* the last one: a name before it may hold the same */
	for (const char *next = records; next != NULL; next = strstr(next + 1, "\"records\":"))
		records = next;
	KC_HOLDS(records != NULL);
	kc_decoder_begin(decoder, true);
	kc_decoder_feed(decoder, "{", 1);
	kc_decoder_feed(decoder, records, strlen(records));
	kc_decoder_end(decoder, &reply);
	KC_HOLDS(reply.understood && reply.success && reply.entries == 1);
	KC_HOLDS(tuplestore_gettupleslot(store, true, false, slot));
	slot_getallattrs(slot);
	if (slot->tts_isnull[plan->problem_index])
	{
		static const char *const names[] = {"record_id", "kinderconnect_child_id", "service_date", "absence_reason"};

		for (int i = 0; i < lengthof(names); i++)
			KC_HOLDS(is_same(from, values, nulls, plan, slot, names[i]));
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(store);
}

static void
take(const char *data, size_t len)
{
	static const char *const kinds[] = {"session", "absence", "closure", "void", "other", ""};
	JsonSemAction nothing = {0};
	const KcPlan *plan;
	TupleDesc	desc;
	KcArguments arguments = {.group_id = "G",.agency_id = "A",.provider_id = "P",.batch_id = "B"};
	char	   *text = pnstrdup(data, len);
	char	   *head;
	char	   *password;
	Datum		values[16];
	bool		nulls[16] = {false};
	Datum		in[MAX_SESSIONS];
	Datum		out[MAX_SESSIONS];
	bool		in_null[MAX_SESSIONS];
	bool		out_null[MAX_SESSIONS];
	int			sessions = 0;
	Datum		record;
	StringInfoData body;

	if (memchr(data, '\0', len) != NULL || !pg_verify_mbstr(PG_UTF8, data, len, true) || len < 2)
		return;
	head = next_line(&text);
	plan = kc_dialect_plan(dialects[(unsigned char) head[0] % lengthof(dialects)], KC_SUBMIT);
	desc = plan->record_desc;
	KC_HOLDS(desc->natts == 7);
	values[0] = CStringGetTextDatum(next_line(&text));
	values[1] = CStringGetTextDatum(next_line(&text));
	values[2] = DateADTGetDatum(8728 + (head[0] == 0 ? 0 : (signed char) head[1] * 7919));
	values[3] = CStringGetTextDatum(kinds[strlen(head) % lengthof(kinds)]);
	values[6] = CStringGetTextDatum(next_line(&text));
	nulls[6] = VARSIZE_ANY_EXHDR(DatumGetPointer(values[6])) == 0;
	password = next_line(&text);
	arguments.batch_id = password;
	while (*text != '\0' && sessions < MAX_SESSIONS)
	{
		char	   *line = next_line(&text);

		in_null[sessions] = strlen(line) < 4 || !read_time(line, &in[sessions]);
		out_null[sessions] = strlen(line) < 9 || !read_time(line + 5, &out[sessions]);
		sessions++;
	}
	values[4] = time_array(in, in_null, sessions);
	values[5] = time_array(out, out_null, sessions);
	record = heap_copy_tuple_as_datum(heap_form_tuple(desc, values, nulls), desc);
	arguments.records = construct_array(&record, 1, plan->record_type, -1, false, TYPALIGN_DOUBLE);

	initStringInfo(&body);
	if (!encode(plan, &arguments, password, &body))
		return;
	KC_HOLDS(kc_json_parse(body.data, body.len, &nothing));
	if (plan == kc_dialect_plan(dialects[0], KC_SUBMIT))
		read_back(plan, values, nulls, body.data);
}

const KcFuzzTarget kc_fuzz_encode = {"encode", load, take};
