/*
 * row.c
 *	  Makes rows of what was found in a record, and puts them into the store.
 *
 * Invariant: what is wrong with a record is told in the column problem of its
 * rows, which quotes nothing that stands in it; the column unread, where rows
 * have one, names the columns that it is wrong with.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "row.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define KC_TEXTS 4096			/* bytes */
#define KC_MAX_ID 64			/* characters */
#define KC_MAX_MOMENT 64		/* bytes; no date or time is longer */
#define KC_LIST_KEY 64			/* bytes */

/* The list that a field had last: most children come on the same days */
typedef struct KcLastList
{
	char		key[KC_LIST_KEY];	/* its strings, each after its length */
	int			key_len;		/* 0 = none yet */
	Datum		value;
} KcLastList;

struct KcRowMaker
{
	const KcPlan *plan;
	Tuplestorestate *store;
	const KcMask *mask;			/* or NULL */
	MemoryContext context;
	MemoryContext row_context;	/* one record may make very many rows */
	int32		ordinal;		/* over all pages */
	int64		problems;		/* rows with a problem, of the record */
	const KcFoundRecord *record;
	Datum	   *values;			/* of a row, by attribute */
	bool	   *nulls;
	bool	   *required;		/* by attribute: a field of it is */
	KcLastList *last_lists;		/* by slot, and after those the nested ones */
	StringInfoData problem;		/* of a row */
	bool		wrong;			/* so is the column that is being taken */
	Datum	   *unread;			/* of a row: names of columns that are */
	int			nunread;
	char	   *texts;			/* of a row: those that have room here */
	size_t		texts_used;
};

void
kc_add_problem(StringInfo problem, const char *fmt,...)
{
	int			start = problem->len;
	va_list		args;
	int			needed;

	if (start > KC_MAX_TEXT)
		return;
	if (start > 0)
		appendStringInfoString(problem, "; ");
	for (;;)
	{
		va_start(args, fmt);
		needed = appendStringInfoVA(problem, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(problem, needed);
	}
}

typedef enum KcTaken
{
	KC_NOTHING,					/* null, empty or absent */
	KC_TAKEN,
	KC_WRONG					/* and a problem says so */
} KcTaken;

static inline bool
is_there(const KcFound *found)
{
	return found != NULL && found->kind != KC_JSON_ABSENT && found->kind != KC_JSON_NULL &&
		found->kind != KC_JSON_MISSHAPEN &&
		!(found->kind == KC_JSON_STRING && found->len == 0);
}

static const KcCode *
our_value(const KcField *field, const KcFound *found)
{
	for (int i = 0; i < field->ncodes; i++)
	{
		const KcJson *wire = &field->codes[i].wire;

		if (wire->kind == found->kind && wire->text_len == found->len &&
			(found->len == 0 || memcmp(wire->text, found->text, found->len) == 0))
			return &field->codes[i];
	}
	return NULL;
}

static bool
is_all_digits(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
	}
	return true;
}

/* C0, DEL and C1, as in fault.c: ids stand in the log */
static bool
has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = text[i];

		if (c < 0x20 || c == 0x7f ||
			(c == 0xc2 && i + 1 < len && (unsigned char) text[i + 1] < 0xa0))
			return true;
	}
	return false;
}

/* As cstring_to_text_with_len(), until the row is put */
static text *
make_text(KcRowMaker *maker, const char *data, size_t len)
{
	size_t		size = INTALIGN(VARHDRSZ + len);
	text	   *result;

	if (maker->texts_used + size <= KC_TEXTS)
	{
		result = (text *) (maker->texts + maker->texts_used);
		maker->texts_used += size;
	}
	else
		result = palloc(size);
	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	return result;
}

/*
 * What the service says of a record may quote our request.  Its verdict may
 * look like a secret, and is to be read all the same.
 */
static void
mask_remark(const KcRowMaker *maker, text *remark)
{
	static const char *const verdicts[] = {"accepted", "duplicate", "rejected"};
	char	   *data = VARDATA(remark);
	size_t		len = VARSIZE(remark) - VARHDRSZ;

	for (int i = 0; i < lengthof(verdicts); i++)
	{
		if (strlen(verdicts[i]) == len && memcmp(verdicts[i], data, len) == 0)
			return;
	}
	kc_mask_apply(maker->mask, data, len);
}

static KcTaken
take_text(KcRowMaker *maker, const KcField *field, const KcFound *found, Datum *value)
{
	const char *text = found->text;
	size_t		len = found->len;

	if (found->kind == KC_JSON_BOOLEAN && field->ncodes == 0)
		kc_add_problem(&maker->problem, "key \"%s\" is not a string", field->path);
	else if (found->kind == KC_JSON_NUMBER && len > KC_MAX_ID)
		kc_add_problem(&maker->problem, "key \"%s\" is a number of more than %d digits", field->path, KC_MAX_ID);
	else if (found->kind == KC_JSON_NUMBER && field->column->is_id &&
			 !is_all_digits(text, len))
		kc_add_problem(&maker->problem, "key \"%s\" is neither a string nor a whole number", field->path);
	else if (field->column->is_id && len > KC_MAX_ID && pg_mbstrlen_with_len(text, len) > KC_MAX_ID)
		kc_add_problem(&maker->problem, "key \"%s\" is longer than %d characters", field->path, KC_MAX_ID);
	else if (field->column->is_id && has_control(text, len))
		kc_add_problem(&maker->problem, "key \"%s\" has a control character", field->path);
	else if (len > KC_MAX_TEXT)
		kc_add_problem(&maker->problem, "key \"%s\" is longer than %d bytes", field->path, KC_MAX_TEXT);
	else
	{
		struct varlena *made = make_text(maker, text, len);

		if (field->column->is_remark && maker->mask != NULL)
			mask_remark(maker, made);
		*value = PointerGetDatum(made);
		return KC_TAKEN;
	}
	return KC_WRONG;
}

static KcTaken
take_moment(KcRowMaker *maker, const KcField *field, const KcFound *found, Datum *value)
{
	DateADT		date;
	TimeADT		time;
	TimestampTz instant;
	char		text[KC_MAX_MOMENT + 1];
	bool		is_string = (found->kind == KC_JSON_STRING && found->len <= KC_MAX_MOMENT);

	if (is_string)
	{
		memcpy(text, found->text, found->len);
		text[found->len] = '\0';
	}
	switch (field->column->type)
	{
		case KC_TYPE_DATE:
			if (is_string && kc_format_read_date(field->format, text, &date))
			{
				*value = DateADTGetDatum(date);
				return KC_TAKEN;
			}
			kc_add_problem(&maker->problem, "key \"%s\" is not a date in format %s", field->path,
						kc_format_pattern(field->format));
			break;
		case KC_TYPE_TIME:
			if (is_string && kc_format_read_time(field->format, text, &time))
			{
				*value = TimeADTGetDatum(time);
				return KC_TAKEN;
			}
			kc_add_problem(&maker->problem, "key \"%s\" is not a time in format %s", field->path,
						kc_format_pattern(field->format));
			break;
		default:
			if (is_string && kc_read_timestamptz(text, &instant))
			{
				*value = TimestampTzGetDatum(instant);
				return KC_TAKEN;
			}
			kc_add_problem(&maker->problem, "key \"%s\" is not a timestamp in ISO 8601 with a zone", field->path);
			break;
	}
	return KC_WRONG;
}

/* What is there */
static KcTaken
take_found(KcRowMaker *maker, const KcField *field, const KcFound *found, Datum *value)
{
	const KcCode *code = our_value(field, found);

	if (code != NULL)
	{
		*value = field->column->type == KC_TYPE_BOOLEAN ?
			BoolGetDatum(strcmp(code->ours, "true") == 0) : PointerGetDatum(code->value);
		return KC_TAKEN;
	}
	if (found->kind == KC_JSON_OBJECT || found->kind == KC_JSON_ARRAY)
	{
		if (field->ncodes > 0 && field->column->type != KC_TYPE_BOOLEAN)
			return KC_NOTHING;
		kc_add_problem(&maker->problem, "key \"%s\" is not a single value", field->path);
		return KC_WRONG;
	}

	switch (field->column->type)
	{
		case KC_TYPE_TEXT:
			return take_text(maker, field, found, value);
		case KC_TYPE_BOOLEAN:
			if (found->kind == KC_JSON_BOOLEAN)
			{
				*value = BoolGetDatum(*found->text == 't');
				return KC_TAKEN;
			}
			kc_add_problem(&maker->problem, "key \"%s\" is neither true nor false", field->path);
			return KC_WRONG;
		default:
			return take_moment(maker, field, found, value);
	}
}

static inline KcTaken
take_scalar(KcRowMaker *maker, const KcField *field, const KcFound *found, Datum *value)
{
	if (found != NULL && found->kind == KC_JSON_MISSHAPEN)
		maker->wrong = true;
	return is_there(found) ? take_found(maker, field, found, value) : KC_NOTHING;
}

static Datum
make_array(const KcColumn *column, Datum *values, bool *nulls, int count)
{
	int			lower = 1;

	if (count == 0)
		return PointerGetDatum(construct_empty_array(column->type_oid));
	return PointerGetDatum(construct_md_array(values, nulls, 1, &count, &lower,
											  column->type_oid, column->len,
											  column->byval, column->align));
}

/* Answers the length of what tells a list from all others; 0 where nothing short does */
static int
make_list_key(const KcFound *found, char *key)
{
	int			len = 0;

	for (int i = 0; i < found->nitems; i++)
	{
		const KcFound *item = &found->items[i];

		if (item->kind != KC_JSON_STRING || item->len >= KC_LIST_KEY - len)
			return 0;
		key[len++] = (char) item->len;
		for (int j = 0; j < item->len; j++)
			key[len++] = item->text[j];
	}
	return len;
}

static void
remember_list(KcLastList *last, const char *key, int key_len, Datum value, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	if (last->key_len > 0)
		pfree(DatumGetPointer(last->value));
	last->value = datumCopy(value, false, -1);
	memcpy(last->key, key, key_len);
	last->key_len = key_len;
	MemoryContextSwitchTo(old);
}

/* A column that is one array on the wire; of bad items one problem is told */
static KcTaken
take_list(KcRowMaker *maker, const KcField *field, const KcFound *found, Datum *value)
{
	KcLastList *last = &maker->last_lists[field->slot + (field->nested ? maker->plan->nslots : 0)];
	char		key[KC_LIST_KEY];
	int			key_len;
	Datum	   *values;
	bool	   *nulls;
	bool		wrong = false;
	StringInfo	problem = &maker->problem;

	if (found == NULL)
		return KC_NOTHING;
	if (found->kind == KC_JSON_MISSHAPEN)
		maker->wrong = true;
	if (found->kind != KC_JSON_ARRAY)
		return KC_NOTHING;

	key_len = make_list_key(found, key);
	if (key_len > 0 && key_len == last->key_len && memcmp(key, last->key, key_len) == 0)
	{
		*value = last->value;
		return KC_TAKEN;
	}

	values = palloc0(sizeof(Datum) * Max(found->nitems, 1));
	nulls = palloc(sizeof(bool) * Max(found->nitems, 1));
	for (int i = 0; i < found->nitems; i++)
	{
		int			len = problem->len;
		KcTaken		taken = take_scalar(maker, field, &found->items[i], &values[i]);

		nulls[i] = (taken != KC_TAKEN);
		if (taken == KC_WRONG && wrong)
		{
			problem->len = len;
			problem->data[len] = '\0';
		}
		wrong |= (taken == KC_WRONG);
	}
	maker->wrong |= wrong;
	*value = make_array(field->column, values, nulls, found->nitems);
	if (key_len > 0 && !wrong)
		remember_list(last, key, key_len, *value, maker->context);
	return KC_TAKEN;
}

/* Columns spread over keys are as long as the longest: they run in parallel */
static KcTaken
take_elements(KcRowMaker *maker, const List *fields, const KcFound *found, int count,
			  Datum *value)
{
	Datum		values[KC_MAX_ELEMENT] = {0};
	bool		nulls[KC_MAX_ELEMENT];
	ListCell   *lc;

	memset(nulls, true, sizeof(nulls));
	foreach(lc, fields)
	{
		const KcField *field = lfirst(lc);
		int			i = field->element - 1;
		KcTaken		taken = nulls[i] ? take_scalar(maker, field, &found[field->slot], &values[i]) : KC_NOTHING;

		maker->wrong |= (taken == KC_WRONG);
		if (taken == KC_TAKEN)
			nulls[i] = false;
	}
	if (count == 0)
		return KC_NOTHING;
	*value = make_array(((KcField *) linitial(fields))->column, values, nulls, count);
	return KC_TAKEN;
}

static int
count_elements(const KcRowMaker *maker, const KcFound *nested)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, maker->plan->element_fields)
	{
		const KcField *field = lfirst(lc);
		const KcFound *found = field->nested ? nested : maker->record->found;

		if (found != NULL && is_there(&found[field->slot]))
			count = Max(count, field->element);
	}
	return count;
}

/* The first of a column's fields that has a value */
static KcTaken
take_column(KcRowMaker *maker, const List *fields, const KcFound *nested, Datum *value)
{
	ListCell   *lc;

	foreach(lc, fields)
	{
		const KcField *field = lfirst(lc);
		const KcFound *found = field->nested ? nested : maker->record->found;
		KcTaken		taken;

		if (field->has_constant)
		{
			*value = CStringGetTextDatum(field->constant.text);
			return KC_TAKEN;
		}
		if (found == NULL)
			continue;
		if (field->element != 0)
			return take_elements(maker, fields, found, count_elements(maker, nested), value);
		if (field->column->is_array)
			taken = take_list(maker, field, &found[field->slot], value);
		else
			taken = take_scalar(maker, field, &found[field->slot], value);
		maker->wrong |= (taken == KC_WRONG);
		if (taken != KC_NOTHING)
			return taken;
	}
	return KC_NOTHING;
}

static void
check_required(KcRowMaker *maker, const List *fields, const KcFound *nested)
{
	ListCell   *lc;

	foreach(lc, fields)
	{
		const KcField *field = lfirst(lc);
		const KcFound *found = field->nested ? nested : maker->record->found;

		if (field->required && found != NULL && !is_there(&found[field->slot]))
		{
			kc_add_problem(&maker->problem, "missing key \"%s\"", field->path);
			maker->wrong = true;
		}
	}
}

/* Where a record was not read to its end, what was found may not be the last */
static bool
is_unread(const KcRowMaker *maker, const List *fields, const KcFound *nested, bool whole)
{
	ListCell   *lc;

	if (!whole)
		return fields != NIL;
	if (maker->wrong)
		return true;
	if (nested != NULL || !maker->record->nested_misshapen)
		return false;
	foreach(lc, fields)
	{
		if (((KcField *) lfirst(lc))->nested)
			return true;
	}
	return false;
}

/* One row; nested is the element of nested_path that makes it, or NULL */
static void
put_row(KcRowMaker *maker, const KcFound *nested, bool whole)
{
	const KcPlan *plan = maker->plan;
	TupleDesc	desc = plan->info.reply_desc;
	MemoryContext old = MemoryContextSwitchTo(maker->row_context);
	Datum	   *values = maker->values;
	bool	   *nulls = maker->nulls;
	StringInfo	problem = &maker->problem;

	maker->texts_used = 0;
	maker->nunread = 0;
	resetStringInfo(problem);
	if (maker->record->problem.len > 0)
		appendBinaryStringInfo(problem, maker->record->problem.data, maker->record->problem.len);

	for (int i = 0; i < desc->natts; i++)
	{
		const List *fields = plan->reply_fields[i];

		values[i] = (Datum) 0;
		maker->wrong = false;
		nulls[i] = take_column(maker, fields, nested, &values[i]) != KC_TAKEN;
		if (maker->required[i] && whole && (nulls[i] || list_length(fields) > 1))
			check_required(maker, fields, nested);
		if (plan->unread_index >= 0 &&
			(maker->wrong || !whole || maker->record->nested_misshapen) &&
			is_unread(maker, fields, nested, whole))
			maker->unread[maker->nunread++] = CStringGetTextDatum(NameStr(TupleDescAttr(desc, i)->attname));
	}

	values[plan->ordinal_index] = Int32GetDatum(maker->ordinal);
	nulls[plan->ordinal_index] = false;
	if (problem->len > 0)
	{
		values[plan->problem_index] =
			PointerGetDatum(cstring_to_text_with_len(problem->data, problem->len));
		nulls[plan->problem_index] = false;
		maker->problems++;
	}
	if (maker->nunread > 0)
	{
		values[plan->unread_index] =
			PointerGetDatum(construct_array(maker->unread, maker->nunread, TEXTOID, -1, false, TYPALIGN_INT));
		nulls[plan->unread_index] = false;
	}
	tuplestore_putvalues(maker->store, desc, values, nulls);

	MemoryContextSwitchTo(old);
	MemoryContextReset(maker->row_context);
}

KcRowMaker *
kc_row_maker_create(const KcPlan *plan, Tuplestorestate *store, const KcMask *mask,
					MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	KcRowMaker *maker = palloc0(sizeof(KcRowMaker));
	int			natts = plan->info.reply_desc->natts;

	maker->plan = plan;
	maker->store = store;
	maker->mask = mask;
	maker->context = context;
	maker->values = palloc(sizeof(Datum) * natts);
	maker->nulls = palloc(sizeof(bool) * natts);
	maker->required = palloc0(sizeof(bool) * natts);
	maker->unread = palloc(sizeof(Datum) * natts);
	maker->last_lists = palloc0(sizeof(KcLastList) * (plan->nslots + plan->nnested_slots));
	for (int i = 0; i < natts; i++)
	{
		ListCell   *lc;

		foreach(lc, plan->reply_fields[i])
			maker->required[i] |= ((KcField *) lfirst(lc))->required;
	}
	maker->texts = palloc(KC_TEXTS);
	initStringInfo(&maker->problem);
	maker->row_context = AllocSetContextCreate(context, "kinderconnect row",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(old);
	return maker;
}

int64
kc_rows_put(KcRowMaker *maker, const KcFoundRecord *record, bool whole)
{
	maker->record = record;
	maker->ordinal++;
	maker->problems = 0;
	if (record->nnested == 0)
		put_row(maker, NULL, whole);
	for (int i = 0; i < record->nnested; i++)
		put_row(maker, record->nested[i], whole);
	return maker->problems;
}
