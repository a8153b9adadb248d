/*
 * record.c
 *	  Reads one record of a reply by a plan, and puts its rows into the store.
 *
 * A record is parsed as a whole, in a context that is reset after it.  Where
 * the plan's tree has fields, values are left as they were found; then each of
 * our columns is made of them.
 *
 * Invariant: what is wrong with a record is told in the column problem of its
 * rows, which quotes nothing that stands in it; nothing in a record raises.
 */
#include "postgres.h"

#include "json.h"
#include "mb/pg_wchar.h"
#include "record.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define KC_MAX_TEXT 1024		/* bytes */
#define KC_MAX_ID 64			/* characters */

/* What was found for a field; of one below an array, an item an element */
typedef struct KcFound
{
	KcJsonKind	kind;
	char	   *text;			/* of a scalar */
	int			nitems;
	int			room;
	struct KcFound *items;
} KcFound;

struct KcRecordReader
{
	const KcPlan *plan;
	Tuplestorestate *store;
	MemoryContext record_context;
	MemoryContext row_context;	/* one record may make very many rows */
	int32		ordinal;		/* over all pages */
	int64		problems;		/* rows with a problem, of the record */

	/* the record being parsed; all in record_context */
	int			level;
	const KcNode *open[KC_MAX_DEPTH + 1];
	const KcNode *at;			/* where the next value belongs, or NULL */
	KcFound    *found;			/* by slot */
	KcFound   **nested;			/* by element of nested_path, by slot */
	int			nnested;
	int			nested_room;
	StringInfoData problem;		/* of all rows of the record */
};

/*
 * A record, parsed: values are left where the plan's tree has fields
 */

static KcFound *
found_at(KcRecordReader *reader, const KcField *field)
{
	if (!field->nested)
		return &reader->found[field->slot];
	if (reader->nnested == 0)
		return NULL;
	return &reader->nested[reader->nnested - 1][field->slot];
}

/* The place of the value now read: of a field in a list, its last item */
static KcFound *
value_at(KcRecordReader *reader, const KcNode *node, const KcField *field)
{
	KcFound    *found = found_at(reader, field);

	if (found == NULL || !node->in_list)
		return found;
	return found->nitems > 0 ? &found->items[found->nitems - 1] : NULL;
}

/* A key that occurs twice counts the last time */
static void
forget(KcRecordReader *reader, const KcNode *node)
{
	ListCell   *lc;

	foreach(lc, node->below)
	{
		const KcField *field = lfirst(lc);
		KcFound    *found;

		if (field->nested && !node->nested)
		{
			reader->nnested = 0;
			continue;
		}
		found = value_at(reader, node, field);
		if (found != NULL)
		{
			found->kind = KC_JSON_ABSENT;
			found->nitems = 0;
		}
	}
}

static void add_problem(StringInfo problem, const char *fmt,...) pg_attribute_printf(2, 3);

/* Problems are few and short: one for each key at the most */
static void
add_problem(StringInfo problem, const char *fmt,...)
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

/* A value of the wrong shape, where the tree goes deeper than it does */
static void
check_value_shape(KcRecordReader *reader, const KcNode *node, KcJsonKind kind)
{
	const char *want = NULL;

	if (kind == KC_JSON_NULL)
		return;
	if (node->element != NULL && kind != KC_JSON_ARRAY)
		want = "an array";
	else if (node->children != NIL && kind != KC_JSON_OBJECT)
		want = "an object";
	if (want != NULL)
		add_problem(&reader->problem, "key \"%s\" is not %s", node->path, want);
}

static void
take_value(KcRecordReader *reader, KcJsonKind kind, char *text)
{
	const KcNode *node = reader->at;
	ListCell   *lc;

	if (node == NULL)
		return;
	if (reader->level == 0)
	{
		if (kind != KC_JSON_OBJECT)
			add_problem(&reader->problem, "the record is not an object");
		return;
	}
	check_value_shape(reader, node, kind);
	foreach(lc, node->fields)
	{
		KcFound    *found = value_at(reader, node, lfirst(lc));

		if (found != NULL)
		{
			found->kind = kind;
			found->text = text;
		}
	}
}

static void
open_value(KcRecordReader *reader)
{
	Assert(reader->level <= KC_MAX_DEPTH);
	reader->open[reader->level++] = reader->at;
}

static KC_JSON_ACTION
record_close(void *state)
{
	((KcRecordReader *) state)->level--;
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_object(void *state)
{
	take_value(state, KC_JSON_OBJECT, NULL);
	open_value(state);
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_array(void *state)
{
	KcRecordReader *reader = state;
	const KcNode *node = reader->at;
	ListCell   *lc;

	take_value(reader, KC_JSON_ARRAY, NULL);
	if (node != NULL && node->element != NULL && node->element->in_list)
	{
		foreach(lc, node->element->below)
		{
			KcFound    *found = found_at(reader, lfirst(lc));

			if (found != NULL)
				found->kind = KC_JSON_ARRAY;
		}
	}
	open_value(reader);
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_key(void *state, char *key, bool isnull)
{
	KcRecordReader *reader = state;
	const KcNode *node = reader->open[reader->level - 1];
	ListCell   *lc;

	reader->at = NULL;
	if (node == NULL)
		KC_JSON_ACTION_DONE;
	foreach(lc, node->children)
	{
		const KcNode *child = lfirst(lc);

		if (strcmp(child->key, key) == 0)
		{
			reader->at = child;
			forget(reader, child);
			break;
		}
	}
	KC_JSON_ACTION_DONE;
}

static void
add_nested(KcRecordReader *reader)
{
	if (reader->nnested == reader->nested_room)
	{
		reader->nested_room = Max(8, reader->nested_room * 2);
		if (reader->nested == NULL)
			reader->nested = palloc(sizeof(KcFound *) * reader->nested_room);
		else
			reader->nested = repalloc(reader->nested,
									   sizeof(KcFound *) * reader->nested_room);
	}
	reader->nested[reader->nnested++] =
		palloc0(sizeof(KcFound) * Max(reader->plan->nnested_slots, 1));
}

static void
add_item(KcFound *found)
{
	if (found->nitems == found->room)
	{
		found->room = Max(4, found->room * 2);
		if (found->items == NULL)
			found->items = palloc(sizeof(KcFound) * found->room);
		else
			found->items = repalloc(found->items, sizeof(KcFound) * found->room);
	}
	memset(&found->items[found->nitems++], 0, sizeof(KcFound));
}

static KC_JSON_ACTION
record_element(void *state, bool isnull)
{
	KcRecordReader *reader = state;
	const KcNode *node = reader->open[reader->level - 1];
	ListCell   *lc;

	reader->at = node ? node->element : NULL;
	if (reader->at == NULL)
		KC_JSON_ACTION_DONE;

	if (!reader->at->in_list)
		add_nested(reader);
	else
	{
		foreach(lc, reader->at->below)
		{
			KcFound    *found = found_at(reader, lfirst(lc));

			if (found != NULL)
				add_item(found);
		}
	}
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_scalar(void *state, char *token, JsonTokenType type)
{
	take_value(state, kc_json_kind(type), token);
	KC_JSON_ACTION_DONE;
}

/*
 * From what was found to our columns
 */

typedef enum KcTaken
{
	KC_NOTHING,					/* null, empty or absent */
	KC_TAKEN,
	KC_WRONG					/* and a problem says so */
} KcTaken;

static bool
is_there(const KcFound *found)
{
	return found != NULL && found->kind != KC_JSON_ABSENT && found->kind != KC_JSON_NULL &&
		!(found->kind == KC_JSON_STRING && found->text[0] == '\0');
}

static const char *
our_value(const KcField *field, const KcFound *found)
{
	for (int i = 0; i < field->ncodes; i++)
	{
		const KcJson *wire = &field->codes[i].wire;

		if (wire->kind == found->kind &&
			(wire->kind == KC_JSON_OBJECT || strcmp(wire->text, found->text) == 0))
			return field->codes[i].ours;
	}
	return NULL;
}

static KcTaken
take_text(const KcField *field, const KcFound *found, StringInfo problem, Datum *value)
{
	const char *text = found->text;
	size_t		len = strlen(text);

	if (found->kind == KC_JSON_BOOLEAN && field->ncodes == 0)
		add_problem(problem, "key \"%s\" is not a string", field->path);
	else if (found->kind == KC_JSON_NUMBER && len > KC_MAX_ID)
		add_problem(problem, "key \"%s\" is a number of more than %d digits", field->path, KC_MAX_ID);
	else if (found->kind == KC_JSON_NUMBER && field->column->is_id &&
			 strspn(text, "0123456789") != len)
		add_problem(problem, "key \"%s\" is neither a string nor a whole number", field->path);
	else if (field->column->is_id && pg_mbstrlen_with_len(text, len) > KC_MAX_ID)
		add_problem(problem, "key \"%s\" is longer than %d characters", field->path, KC_MAX_ID);
	else if (len > KC_MAX_TEXT)
		add_problem(problem, "key \"%s\" is longer than %d bytes", field->path, KC_MAX_TEXT);
	else
	{
		*value = PointerGetDatum(cstring_to_text_with_len(text, len));
		return KC_TAKEN;
	}
	return KC_WRONG;
}

static KcTaken
take_moment(const KcField *field, const KcFound *found, StringInfo problem, Datum *value)
{
	DateADT		date;
	TimeADT		time;
	TimestampTz instant;
	bool		is_string = (found->kind == KC_JSON_STRING);

	switch (field->column->type)
	{
		case KC_TYPE_DATE:
			if (is_string && kc_format_read_date(field->format, found->text, &date))
			{
				*value = DateADTGetDatum(date);
				return KC_TAKEN;
			}
			add_problem(problem, "key \"%s\" is not a date in format %s", field->path,
						kc_format_pattern(field->format));
			break;
		case KC_TYPE_TIME:
			if (is_string && kc_format_read_time(field->format, found->text, &time))
			{
				*value = TimeADTGetDatum(time);
				return KC_TAKEN;
			}
			add_problem(problem, "key \"%s\" is not a time in format %s", field->path,
						kc_format_pattern(field->format));
			break;
		default:
			if (is_string && kc_read_timestamptz(found->text, &instant))
			{
				*value = TimestampTzGetDatum(instant);
				return KC_TAKEN;
			}
			add_problem(problem, "key \"%s\" is not a timestamp in ISO 8601 with a zone", field->path);
			break;
	}
	return KC_WRONG;
}

static KcTaken
take_scalar(const KcField *field, const KcFound *found, StringInfo problem, Datum *value)
{
	const char *ours;

	if (!is_there(found))
		return KC_NOTHING;

	ours = our_value(field, found);
	if (ours != NULL)
	{
		*value = field->column->type == KC_TYPE_BOOLEAN ?
			BoolGetDatum(strcmp(ours, "true") == 0) : CStringGetTextDatum(ours);
		return KC_TAKEN;
	}
	if (found->kind == KC_JSON_OBJECT || found->kind == KC_JSON_ARRAY)
	{
		if (field->ncodes > 0)
			return KC_NOTHING;
		add_problem(problem, "key \"%s\" is not a single value", field->path);
		return KC_WRONG;
	}

	switch (field->column->type)
	{
		case KC_TYPE_TEXT:
			return take_text(field, found, problem, value);
		case KC_TYPE_BOOLEAN:
			if (found->kind == KC_JSON_BOOLEAN)
			{
				*value = BoolGetDatum(strcmp(found->text, "true") == 0);
				return KC_TAKEN;
			}
			add_problem(problem, "key \"%s\" is neither true nor false", field->path);
			return KC_WRONG;
		default:
			return take_moment(field, found, problem, value);
	}
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

/* A column that is one array on the wire; of bad items one problem is told */
static KcTaken
take_list(const KcField *field, const KcFound *found, StringInfo problem, Datum *value)
{
	Datum	   *values;
	bool	   *nulls;
	bool		wrong = false;

	if (found == NULL || found->kind != KC_JSON_ARRAY)
		return KC_NOTHING;

	values = palloc0(sizeof(Datum) * Max(found->nitems, 1));
	nulls = palloc(sizeof(bool) * Max(found->nitems, 1));
	for (int i = 0; i < found->nitems; i++)
	{
		int			len = problem->len;
		KcTaken		taken = take_scalar(field, &found->items[i], problem, &values[i]);

		nulls[i] = (taken != KC_TAKEN);
		if (taken == KC_WRONG && wrong)
		{
			problem->len = len;
			problem->data[len] = '\0';
		}
		wrong |= (taken == KC_WRONG);
	}
	*value = make_array(field->column, values, nulls, found->nitems);
	return KC_TAKEN;
}

/* Columns spread over keys are as long as the longest: they run in parallel */
static KcTaken
take_elements(const List *fields, const KcFound *found, int count,
			  StringInfo problem, Datum *value)
{
	Datum		values[KC_MAX_ELEMENT] = {0};
	bool		nulls[KC_MAX_ELEMENT];
	ListCell   *lc;

	if (count == 0)
		return KC_NOTHING;

	memset(nulls, true, sizeof(nulls));
	foreach(lc, fields)
	{
		const KcField *field = lfirst(lc);
		int			i = field->element - 1;

		if (nulls[i] && take_scalar(field, &found[field->slot], problem, &values[i]) == KC_TAKEN)
			nulls[i] = false;
	}
	*value = make_array(((KcField *) linitial(fields))->column, values, nulls, count);
	return KC_TAKEN;
}

static int
count_elements(const KcRecordReader *reader, const KcFound *nested)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, reader->plan->element_fields)
	{
		const KcField *field = lfirst(lc);
		const KcFound *found = field->nested ? nested : reader->found;

		if (found != NULL && is_there(&found[field->slot]))
			count = Max(count, field->element);
	}
	return count;
}

/* The first of a column's fields that has a value */
static KcTaken
take_column(const KcRecordReader *reader, const List *fields, const KcFound *nested,
			StringInfo problem, Datum *value)
{
	ListCell   *lc;

	foreach(lc, fields)
	{
		const KcField *field = lfirst(lc);
		const KcFound *found = field->nested ? nested : reader->found;
		KcTaken		taken;

		if (field->has_constant)
		{
			*value = CStringGetTextDatum(field->constant.text);
			return KC_TAKEN;
		}
		if (found == NULL)
			continue;
		if (field->element != 0)
			return take_elements(fields, found, count_elements(reader, nested), problem, value);
		if (field->column->is_array)
			taken = take_list(field, &found[field->slot], problem, value);
		else
			taken = take_scalar(field, &found[field->slot], problem, value);
		if (taken != KC_NOTHING)
			return taken;
	}
	return KC_NOTHING;
}

static void
check_required(const KcRecordReader *reader, const List *fields, const KcFound *nested,
			   StringInfo problem)
{
	ListCell   *lc;

	foreach(lc, fields)
	{
		const KcField *field = lfirst(lc);
		const KcFound *found = field->nested ? nested : reader->found;

		if (field->required && found != NULL && !is_there(&found[field->slot]))
			add_problem(problem, "missing key \"%s\"", field->path);
	}
}

/* One row; nested is the element of nested_path that makes it, or NULL */
static void
put_row(KcRecordReader *reader, const KcFound *nested, bool whole)
{
	const KcPlan *plan = reader->plan;
	TupleDesc	desc = plan->info.reply_desc;
	MemoryContext old = MemoryContextSwitchTo(reader->row_context);
	Datum	   *values = palloc0(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	StringInfoData problem;

	initStringInfo(&problem);
	appendBinaryStringInfo(&problem, reader->problem.data, reader->problem.len);

	for (int i = 0; i < desc->natts; i++)
	{
		nulls[i] = take_column(reader, plan->reply_fields[i], nested, &problem,
							   &values[i]) != KC_TAKEN;
		if (whole)
			check_required(reader, plan->reply_fields[i], nested, &problem);
	}

	values[plan->ordinal_index] = Int32GetDatum(reader->ordinal);
	nulls[plan->ordinal_index] = false;
	if (problem.len > 0)
	{
		values[plan->problem_index] =
			PointerGetDatum(cstring_to_text_with_len(problem.data, problem.len));
		nulls[plan->problem_index] = false;
		reader->problems++;
	}
	tuplestore_putvalues(reader->store, desc, values, nulls);

	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->row_context);
}

/* Fills found, nested and problem; false where the record is not whole */
static bool
parse_record(KcRecordReader *reader, const char *json, size_t len)
{
	JsonSemAction actions = {
		.semstate = reader,
		.object_start = record_object,
		.object_end = record_close,
		.array_start = record_array,
		.array_end = record_close,
		.object_field_start = record_key,
		.array_element_start = record_element,
		.scalar = record_scalar
	};

	reader->level = 0;
	reader->at = reader->plan->roots[KC_PART_REPLY];
	reader->found = palloc0(sizeof(KcFound) * Max(reader->plan->nslots, 1));
	reader->nested = NULL;
	reader->nnested = reader->nested_room = 0;
	initStringInfo(&reader->problem);

	if (json == NULL)
		add_problem(&reader->problem, "the record is larger than %d kB", KC_MAX_RECORD / 1024);
	else if (!kc_json_parse(json, len, &actions))
	{
		resetStringInfo(&reader->problem);
		add_problem(&reader->problem, "the record is not valid JSON in UTF-8");
	}
	else
		return len > 0 && json[0] == '{';
	return false;
}

/*
 * The outside
 */

KcRecordReader *
kc_record_reader_create(const KcPlan *plan, Tuplestorestate *store, MemoryContext context)
{
	KcRecordReader *reader = MemoryContextAllocZero(context, sizeof(KcRecordReader));

	reader->plan = plan;
	reader->store = store;
	reader->record_context = AllocSetContextCreate(context, "kinderconnect record",
												   ALLOCSET_DEFAULT_SIZES);
	reader->row_context = AllocSetContextCreate(context, "kinderconnect row",
												ALLOCSET_DEFAULT_SIZES);
	return reader;
}

int64
kc_record_take(KcRecordReader *reader, const char *json, size_t len)
{
	MemoryContext old = MemoryContextSwitchTo(reader->record_context);
	bool		whole;

	reader->ordinal++;
	reader->problems = 0;
	whole = parse_record(reader, json, len);

	if (reader->nnested == 0)
		put_row(reader, NULL, whole);
	for (int i = 0; i < reader->nnested; i++)
		put_row(reader, reader->nested[i], whole);

	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->record_context);
	return reader->problems;
}
