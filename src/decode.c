/*
 * decode.c
 *	  Reads a reply by a plan, as it arrives, into rows.
 *
 * A scanner that knows no more of JSON than strings, escapes and depth cuts
 * the elements of the list out of the stream.  Each is parsed as soon as it is
 * whole, in a context of its own that is reset after it, and its rows go to
 * the tuplestore.  What stands around the list, the envelope, is kept and
 * parsed at the end.
 *
 * Invariants: memory does not grow with the reply; nothing in it can raise an
 * error; and no problem or trouble ever quotes what stands in it.
 */
#include "postgres.h"

#include "kc_compat.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "plan.h"

#define KC_MAX_ENVELOPE (64 * 1024)
#define KC_MAX_RECORD (1024 * 1024)
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

typedef enum KcWhere
{
	KC_OUTSIDE,					/* in the envelope */
	KC_BETWEEN,					/* in the list, between its elements */
	KC_INSIDE					/* in an element of the list */
} KcWhere;

typedef enum KcExpect
{
	KC_FIRST_OR_END,
	KC_COMMA_OR_END,
	KC_ELEMENT
} KcExpect;

struct KcDecoder
{
	const KcPlan *plan;
	Tuplestorestate *store;
	MemoryContext context;
	MemoryContext record_context;
	MemoryContext row_context;	/* one record may make very many rows */
	int32		ordinal;		/* over all pages */

	/* the page */
	bool		success_status;
	const char *trouble;		/* NULL = none so far */
	int64		entries;
	int64		problems;
	KcWhere		where;
	bool		in_string;
	bool		escaped;
	StringInfoData envelope;	/* the list in it is empty */

	/* the envelope's structure */
	int			depth;
	int			on_path;		/* so many of the open ones lead to the list */
	bool		is_object[KC_MAX_DEPTH];
	bool		expect_key;
	bool		in_key;			/* in a key that may be the list's */
	int			key_start;		/* in envelope */
	bool		key_matches;	/* the next value is on the path */
	bool		ended;			/* the outermost object is closed */
	bool		list_seen;

	/* the list */
	KcExpect	expect;
	int			inner_depth;	/* inside the element */
	bool		too_large;		/* the element, that is */
	StringInfoData record;		/* of an element that came in pieces */

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

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/*
 * Small documents
 */

typedef struct KcSearch
{
	char	  **keys;
	int			nkeys;
	int			depth;
	int			matched;		/* so many keys lead to where we are */
	KcJsonKind	kind;
	char	   *text;
} KcSearch;

static KC_JSON_ACTION
search_close(void *state)
{
	((KcSearch *) state)->depth--;
	KC_JSON_ACTION_DONE;
}

static bool
search_is_there(const KcSearch *search)
{
	return search->matched == search->nkeys && search->depth == search->nkeys;
}

static KC_JSON_ACTION
search_object(void *state)
{
	KcSearch   *search = state;

	if (search_is_there(search))
		search->kind = KC_JSON_OBJECT;
	search->depth++;
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
search_array(void *state)
{
	KcSearch   *search = state;

	if (search_is_there(search))
		search->kind = KC_JSON_ARRAY;
	search->depth++;
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
search_key(void *state, char *key, bool isnull)
{
	KcSearch   *search = state;

	if (search->matched == search->depth - 1 && search->depth <= search->nkeys &&
		strcmp(key, search->keys[search->depth - 1]) == 0)
	{
		search->matched = search->depth;
		search->kind = KC_JSON_ABSENT;
	}
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
search_key_end(void *state, char *key, bool isnull)
{
	KcSearch   *search = state;

	if (search->matched == search->depth)
		search->matched--;
	KC_JSON_ACTION_DONE;
}

static KcJsonKind
kind_of_token(JsonTokenType token)
{
	switch (token)
	{
		case JSON_TOKEN_STRING:
			return KC_JSON_STRING;
		case JSON_TOKEN_NUMBER:
			return KC_JSON_NUMBER;
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
			return KC_JSON_BOOLEAN;
		default:
			return KC_JSON_NULL;
	}
}

static KC_JSON_ACTION
search_scalar(void *state, char *token, JsonTokenType type)
{
	KcSearch   *search = state;

	if (search_is_there(search))
	{
		search->kind = kind_of_token(type);
		search->text = token;
	}
	KC_JSON_ACTION_DONE;
}

/* False where it is not JSON in UTF-8; nothing but memory can raise here */
static bool
parse_json(const char *json, size_t len, JsonSemAction *actions)
{
	return len > 0 && len <= MaxAllocSize &&
		pg_verify_mbstr(PG_UTF8, json, len, true) &&
		pg_parse_json(kc_make_json_lexer(json, len, PG_UTF8), actions) == JSON_SUCCESS;
}

/*
 * What stands at a key path of a document that nests no deeper than
 * KC_MAX_DEPTH.  A key that occurs twice counts the last time.
 */
static bool
search_json(const char *json, size_t len, const char *path, KcJsonKind *kind, char **text)
{
	char	   *keys[KC_MAX_DEPTH];
	KcSearch	search = {.keys = keys};
	JsonSemAction actions = {
		.semstate = &search,
		.object_start = search_object,
		.object_end = search_close,
		.array_start = search_array,
		.array_end = search_close,
		.object_field_start = search_key,
		.object_field_end = search_key_end,
		.scalar = search_scalar
	};

	for (; search.nkeys < KC_MAX_DEPTH; path++)
	{
		size_t		key_len = strcspn(path, ".");

		keys[search.nkeys++] = pnstrdup(path, key_len);
		path += key_len;
		if (*path == '\0')
			break;
	}

	if (!parse_json(json, len, &actions))
		return false;
	*kind = search.kind;
	*text = search.text;
	return true;
}

static bool
nests_too_deep(const char *json, size_t len)
{
	int			depth = 0;
	bool		in_string = false;

	for (size_t i = 0; i < len; i++)
	{
		char		c = json[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
		{
			if (++depth > KC_MAX_DEPTH)
				return true;
		}
		else if (!in_string && (c == '}' || c == ']'))
			depth--;
	}
	return false;
}

char *
kc_json_get(const char *json, size_t len, const char *path)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext,
											   "kinderconnect json",
											   ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	KcJsonKind	kind;
	char	   *text;
	char	   *result = NULL;

	if (!nests_too_deep(json, len) && search_json(json, len, path, &kind, &text) &&
		(kind == KC_JSON_STRING || kind == KC_JSON_NUMBER))
		result = MemoryContextStrdup(old, text);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return result;
}

/*
 * A record, parsed: values are left where the plan's tree has fields
 */

static KcFound *
found_at(KcDecoder *decoder, const KcField *field)
{
	if (!field->nested)
		return &decoder->found[field->slot];
	if (decoder->nnested == 0)
		return NULL;
	return &decoder->nested[decoder->nnested - 1][field->slot];
}

/* The place of the value now read: of a field in a list, its last item */
static KcFound *
value_at(KcDecoder *decoder, const KcNode *node, const KcField *field)
{
	KcFound    *found = found_at(decoder, field);

	if (found == NULL || !node->in_list)
		return found;
	return found->nitems > 0 ? &found->items[found->nitems - 1] : NULL;
}

/* A key that occurs twice counts the last time */
static void
forget(KcDecoder *decoder, const KcNode *node)
{
	ListCell   *lc;

	foreach(lc, node->below)
	{
		const KcField *field = lfirst(lc);
		KcFound    *found;

		if (field->nested && !node->nested)
		{
			decoder->nnested = 0;
			continue;
		}
		found = value_at(decoder, node, field);
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
check_value_shape(KcDecoder *decoder, const KcNode *node, KcJsonKind kind)
{
	const char *want = NULL;

	if (kind == KC_JSON_NULL)
		return;
	if (node->element != NULL && kind != KC_JSON_ARRAY)
		want = "an array";
	else if (node->children != NIL && kind != KC_JSON_OBJECT)
		want = "an object";
	if (want != NULL)
		add_problem(&decoder->problem, "key \"%s\" is not %s", node->path, want);
}

static void
take_value(KcDecoder *decoder, KcJsonKind kind, char *text)
{
	const KcNode *node = decoder->at;
	ListCell   *lc;

	if (node == NULL)
		return;
	if (decoder->level == 0)
	{
		if (kind != KC_JSON_OBJECT)
			add_problem(&decoder->problem, "the record is not an object");
		return;
	}
	check_value_shape(decoder, node, kind);
	foreach(lc, node->fields)
	{
		KcFound    *found = value_at(decoder, node, lfirst(lc));

		if (found != NULL)
		{
			found->kind = kind;
			found->text = text;
		}
	}
}

static void
open_value(KcDecoder *decoder)
{
	Assert(decoder->level <= KC_MAX_DEPTH);
	decoder->open[decoder->level++] = decoder->at;
}

static KC_JSON_ACTION
record_close(void *state)
{
	((KcDecoder *) state)->level--;
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
	KcDecoder  *decoder = state;
	const KcNode *node = decoder->at;
	ListCell   *lc;

	take_value(decoder, KC_JSON_ARRAY, NULL);
	if (node != NULL && node->element != NULL && node->element->in_list)
	{
		foreach(lc, node->element->below)
		{
			KcFound    *found = found_at(decoder, lfirst(lc));

			if (found != NULL)
				found->kind = KC_JSON_ARRAY;
		}
	}
	open_value(decoder);
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_key(void *state, char *key, bool isnull)
{
	KcDecoder  *decoder = state;
	const KcNode *node = decoder->open[decoder->level - 1];
	ListCell   *lc;

	decoder->at = NULL;
	if (node == NULL)
		KC_JSON_ACTION_DONE;
	foreach(lc, node->children)
	{
		const KcNode *child = lfirst(lc);

		if (strcmp(child->key, key) == 0)
		{
			decoder->at = child;
			forget(decoder, child);
			break;
		}
	}
	KC_JSON_ACTION_DONE;
}

static void
add_nested(KcDecoder *decoder)
{
	if (decoder->nnested == decoder->nested_room)
	{
		decoder->nested_room = Max(8, decoder->nested_room * 2);
		if (decoder->nested == NULL)
			decoder->nested = palloc(sizeof(KcFound *) * decoder->nested_room);
		else
			decoder->nested = repalloc(decoder->nested,
									   sizeof(KcFound *) * decoder->nested_room);
	}
	decoder->nested[decoder->nnested++] =
		palloc0(sizeof(KcFound) * Max(decoder->plan->nnested_slots, 1));
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
	KcDecoder  *decoder = state;
	const KcNode *node = decoder->open[decoder->level - 1];
	ListCell   *lc;

	decoder->at = node ? node->element : NULL;
	if (decoder->at == NULL)
		KC_JSON_ACTION_DONE;

	if (!decoder->at->in_list)
		add_nested(decoder);
	else
	{
		foreach(lc, decoder->at->below)
		{
			KcFound    *found = found_at(decoder, lfirst(lc));

			if (found != NULL)
				add_item(found);
		}
	}
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_scalar(void *state, char *token, JsonTokenType type)
{
	take_value(state, kind_of_token(type), token);
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
count_elements(const KcDecoder *decoder, const KcFound *nested)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, decoder->plan->element_fields)
	{
		const KcField *field = lfirst(lc);
		const KcFound *found = field->nested ? nested : decoder->found;

		if (found != NULL && is_there(&found[field->slot]))
			count = Max(count, field->element);
	}
	return count;
}

/* The first of a column's fields that has a value */
static KcTaken
take_column(const KcDecoder *decoder, const List *fields, const KcFound *nested,
			StringInfo problem, Datum *value)
{
	ListCell   *lc;

	foreach(lc, fields)
	{
		const KcField *field = lfirst(lc);
		const KcFound *found = field->nested ? nested : decoder->found;
		KcTaken		taken;

		if (field->has_constant)
		{
			*value = CStringGetTextDatum(field->constant.text);
			return KC_TAKEN;
		}
		if (found == NULL)
			continue;
		if (field->element != 0)
			return take_elements(fields, found, count_elements(decoder, nested), problem, value);
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
check_required(const KcDecoder *decoder, const List *fields, const KcFound *nested,
			   StringInfo problem)
{
	ListCell   *lc;

	foreach(lc, fields)
	{
		const KcField *field = lfirst(lc);
		const KcFound *found = field->nested ? nested : decoder->found;

		if (field->required && found != NULL && !is_there(&found[field->slot]))
			add_problem(problem, "missing key \"%s\"", field->path);
	}
}

/* One row; nested is the element of nested_path that makes it, or NULL */
static void
put_row(KcDecoder *decoder, const KcFound *nested, bool whole)
{
	const KcPlan *plan = decoder->plan;
	TupleDesc	desc = plan->info.reply_desc;
	MemoryContext old = MemoryContextSwitchTo(decoder->row_context);
	Datum	   *values = palloc0(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	StringInfoData problem;

	initStringInfo(&problem);
	appendBinaryStringInfo(&problem, decoder->problem.data, decoder->problem.len);

	for (int i = 0; i < desc->natts; i++)
	{
		nulls[i] = take_column(decoder, plan->reply_fields[i], nested, &problem,
							   &values[i]) != KC_TAKEN;
		if (whole)
			check_required(decoder, plan->reply_fields[i], nested, &problem);
	}

	values[plan->ordinal_index] = Int32GetDatum(decoder->ordinal);
	nulls[plan->ordinal_index] = false;
	if (problem.len > 0)
	{
		values[plan->problem_index] =
			PointerGetDatum(cstring_to_text_with_len(problem.data, problem.len));
		nulls[plan->problem_index] = false;
		decoder->problems++;
	}
	tuplestore_putvalues(decoder->store, desc, values, nulls);

	MemoryContextSwitchTo(old);
	MemoryContextReset(decoder->row_context);
}

/* Fills found, nested and problem; false where the record is not whole */
static bool
parse_record(KcDecoder *decoder, const char *json, size_t len)
{
	JsonSemAction actions = {
		.semstate = decoder,
		.object_start = record_object,
		.object_end = record_close,
		.array_start = record_array,
		.array_end = record_close,
		.object_field_start = record_key,
		.array_element_start = record_element,
		.scalar = record_scalar
	};

	decoder->level = 0;
	decoder->at = decoder->plan->roots[KC_PART_REPLY];
	decoder->found = palloc0(sizeof(KcFound) * Max(decoder->plan->nslots, 1));
	decoder->nested = NULL;
	decoder->nnested = decoder->nested_room = 0;
	initStringInfo(&decoder->problem);

	if (decoder->too_large)
		add_problem(&decoder->problem, "the record is larger than %d kB", KC_MAX_RECORD / 1024);
	else if (!parse_json(json, len, &actions))
	{
		resetStringInfo(&decoder->problem);
		add_problem(&decoder->problem, "the record is not valid JSON in UTF-8");
	}
	else
		return len > 0 && json[0] == '{';
	return false;
}

static void
take_record(KcDecoder *decoder, const char *json, size_t len)
{
	MemoryContext old = MemoryContextSwitchTo(decoder->record_context);
	bool		whole;

	decoder->entries++;
	decoder->ordinal++;
	whole = parse_record(decoder, json, len);

	if (decoder->nnested == 0)
		put_row(decoder, NULL, whole);
	for (int i = 0; i < decoder->nnested; i++)
		put_row(decoder, decoder->nested[i], whole);

	MemoryContextSwitchTo(old);
	MemoryContextReset(decoder->record_context);
}

/*
 * The scanner.  Each of the three functions takes what it knows and answers
 * where it stopped: at the end, or where another of them goes on.
 */

static void
keep_envelope(KcDecoder *decoder, const char *data, size_t len)
{
	if (decoder->envelope.len + len > KC_MAX_ENVELOPE)
		decoder->trouble = "The reply holds more than 64 kB beside its list.";
	else
		appendBinaryStringInfo(&decoder->envelope, data, len);
}

/* The key that ends the envelope so far: is it the next on the list's path? */
static bool
is_key_on_path(KcDecoder *decoder)
{
	const char *key = decoder->envelope.data + decoder->key_start;
	size_t		len = decoder->envelope.len - decoder->key_start;
	const char *wanted = list_nth(decoder->plan->list_keys, decoder->depth - 1);
	MemoryContext old;
	KcSearch	search = {0};
	JsonSemAction actions = {.semstate = &search,.scalar = search_scalar};
	bool		matches;

	if (memchr(key, '\\', len) == NULL)
		return len == strlen(wanted) + 2 && memcmp(key + 1, wanted, len - 2) == 0;

	old = MemoryContextSwitchTo(decoder->record_context);
	matches = parse_json(key, len, &actions) && strcmp(search.text, wanted) == 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(decoder->record_context);
	return matches;
}

static void
open_outer(KcDecoder *decoder, bool is_object)
{
	int			nkeys = list_length(decoder->plan->list_keys);

	if (decoder->depth == KC_MAX_DEPTH)
	{
		decoder->trouble = "The reply is nested deeper than 64 levels.";
		return;
	}
	if (is_object && decoder->on_path == decoder->depth && decoder->depth < nkeys &&
		(decoder->depth == 0 || decoder->key_matches))
		decoder->on_path++;
	decoder->is_object[decoder->depth++] = is_object;
	decoder->expect_key = is_object;
	decoder->key_matches = false;
}

static void
close_outer(KcDecoder *decoder)
{
	decoder->depth--;
	decoder->on_path = Min(decoder->on_path, decoder->depth);
	decoder->expect_key = false;
	decoder->key_matches = false;
	decoder->ended = (decoder->depth == 0);
}

static void
begin_list(KcDecoder *decoder)
{
	if (decoder->list_seen)
		decoder->trouble = "The list stands twice in the reply.";
	decoder->list_seen = true;
	decoder->key_matches = false;
	decoder->where = KC_BETWEEN;
	decoder->expect = KC_FIRST_OR_END;
}

/* Outside the outermost object; a byte order mark before it is let pass */
static bool
may_stand_outside(const KcDecoder *decoder, char c)
{
	return is_space(c) ||
		(!decoder->ended && (c == '{' || c == '\xEF' || c == '\xBB' || c == '\xBF'));
}

static const char *
scan_outside(KcDecoder *decoder, const char *p, const char *end)
{
	const char *kept = p;
	int			nkeys = list_length(decoder->plan->list_keys);

	for (; p < end && decoder->trouble == NULL; p++)
	{
		if (decoder->in_string)
		{
			if (decoder->escaped)
				decoder->escaped = false;
			else if (*p == '\\')
				decoder->escaped = true;
			else if (*p == '"')
			{
				decoder->in_string = false;
				if (!decoder->in_key)
					continue;
				decoder->in_key = false;
				keep_envelope(decoder, kept, p + 1 - kept);
				kept = p + 1;
				decoder->key_matches = decoder->trouble == NULL && is_key_on_path(decoder);
			}
			continue;
		}

		if (decoder->depth == 0 && !may_stand_outside(decoder, *p))
		{
			decoder->trouble = decoder->ended ? "Something follows the end of the reply." :
				"The reply is not a JSON object.";
			break;
		}
		switch (*p)
		{
			case '"':
				decoder->in_string = true;
				decoder->in_key = (decoder->success_status && decoder->expect_key &&
								   decoder->on_path == decoder->depth);
				decoder->key_start = decoder->envelope.len + (p - kept);
				decoder->expect_key = false;
				break;
			case '[':
				if (decoder->key_matches && decoder->depth == nkeys)
				{
					keep_envelope(decoder, kept, p + 1 - kept);
					begin_list(decoder);
					return p + 1;
				}
				open_outer(decoder, false);
				break;
			case '{':
				open_outer(decoder, true);
				break;
			case ']':
			case '}':
				close_outer(decoder);
				break;
			case ',':
				decoder->expect_key = decoder->is_object[decoder->depth - 1];
				decoder->key_matches = false;
				break;
		}
	}
	if (decoder->trouble == NULL)
		keep_envelope(decoder, kept, p - kept);
	return p;
}

static const char *
scan_between(KcDecoder *decoder, const char *p, const char *end)
{
	for (; p < end; p++)
	{
		if (is_space(*p))
			continue;
		if (*p == ']' && decoder->expect != KC_ELEMENT)
		{
			decoder->where = KC_OUTSIDE;
			keep_envelope(decoder, p, 1);
			return p + 1;
		}
		if (*p == ',' && decoder->expect == KC_COMMA_OR_END)
		{
			decoder->expect = KC_ELEMENT;
			continue;
		}
		if (decoder->expect == KC_COMMA_OR_END || *p == ',' || *p == ']' || *p == '}')
		{
			decoder->trouble = "The list in the reply is broken.";
			return p;
		}
		decoder->where = KC_INSIDE;
		decoder->inner_depth = 0;
		decoder->too_large = false;
		return p;
	}
	return p;
}

static void
hold_record(KcDecoder *decoder, const char *data, size_t len)
{
	if (decoder->record.len + len > KC_MAX_RECORD)
		decoder->too_large = true;
	if (!decoder->too_large)
		appendBinaryStringInfo(&decoder->record, data, len);
}

/* The element is whole; one that came in one piece is not copied */
static void
end_record(KcDecoder *decoder, const char *data, size_t len)
{
	if (decoder->record.len == 0 && !decoder->too_large && len <= KC_MAX_RECORD)
		take_record(decoder, data, len);
	else
	{
		hold_record(decoder, data, len);
		take_record(decoder, decoder->record.data, decoder->record.len);
		resetStringInfo(&decoder->record);
	}
	decoder->where = KC_BETWEEN;
	decoder->expect = KC_COMMA_OR_END;
}

static const char *
scan_inside(KcDecoder *decoder, const char *p, const char *end)
{
	const char *start = p;

	for (; p < end; p++)
	{
		if (decoder->in_string)
		{
			if (decoder->escaped)
				decoder->escaped = false;
			else if (*p == '\\')
				decoder->escaped = true;
			else if (*p == '"')
			{
				decoder->in_string = false;
				if (decoder->inner_depth == 0)
				{
					end_record(decoder, start, p + 1 - start);
					return p + 1;
				}
			}
			continue;
		}

		switch (*p)
		{
			case '"':
				decoder->in_string = true;
				break;
			case '{':
			case '[':
				if (decoder->depth + 1 + decoder->inner_depth == KC_MAX_DEPTH)
				{
					decoder->trouble = "The reply is nested deeper than 64 levels.";
					return p;
				}
				decoder->inner_depth++;
				break;
			case '}':
			case ']':
				if (decoder->inner_depth > 0 && --decoder->inner_depth == 0)
				{
					end_record(decoder, start, p + 1 - start);
					return p + 1;
				}
				/* FALLTHROUGH */
			case ',':
			case ' ':
			case '\t':
			case '\n':
			case '\r':
				/* the end of a number or a word, and no part of it */
				if (decoder->inner_depth == 0)
				{
					end_record(decoder, start, p - start);
					return p;
				}
				break;
		}
	}
	hold_record(decoder, start, p - start);
	return p;
}

/*
 * The outside
 */

static void
reset_page(KcDecoder *decoder)
{
	decoder->trouble = NULL;
	decoder->entries = 0;
	decoder->problems = 0;
	decoder->where = KC_OUTSIDE;
	decoder->in_string = false;
	decoder->escaped = false;
	decoder->depth = 0;
	decoder->on_path = 0;
	decoder->expect_key = false;
	decoder->in_key = false;
	decoder->key_matches = false;
	decoder->ended = false;
	decoder->list_seen = false;
	resetStringInfo(&decoder->envelope);
	resetStringInfo(&decoder->record);
}

KcDecoder *
kc_decoder_create(const KcPlan *plan, Tuplestorestate *store, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	KcDecoder  *decoder = palloc0(sizeof(KcDecoder));

	decoder->plan = plan;
	decoder->store = store;
	decoder->context = context;
	decoder->record_context = AllocSetContextCreate(context, "kinderconnect record",
													ALLOCSET_DEFAULT_SIZES);
	decoder->row_context = AllocSetContextCreate(context, "kinderconnect row",
												 ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&decoder->envelope);
	initStringInfo(&decoder->record);

	MemoryContextSwitchTo(old);
	return decoder;
}

void
kc_decoder_begin(KcDecoder *decoder, bool success_status)
{
	reset_page(decoder);
	decoder->success_status = success_status;
}

bool
kc_decoder_feed(KcDecoder *decoder, const char *data, size_t len)
{
	const char *p = data;
	const char *end = data + len;

	while (p < end && decoder->trouble == NULL)
	{
		switch (decoder->where)
		{
			case KC_OUTSIDE:
				p = scan_outside(decoder, p, end);
				break;
			case KC_BETWEEN:
				p = scan_between(decoder, p, end);
				break;
			case KC_INSIDE:
				p = scan_inside(decoder, p, end);
				break;
		}
	}
	return decoder->trouble == NULL;
}

/* A scalar of the envelope, in the decoder's context; NULL for anything else */
static char *
envelope_get(KcDecoder *decoder, const char *path, KcJsonKind *kind)
{
	static const char mark[] = "\xEF\xBB\xBF";
	const char *json = decoder->envelope.data;
	size_t		len = decoder->envelope.len;
	char	   *text = NULL;

	*kind = KC_JSON_ABSENT;
	if (path == NULL)
		return NULL;
	if (strncmp(json, mark, strlen(mark)) == 0)
	{
		json += strlen(mark);
		len -= strlen(mark);
	}
	if (!search_json(json, len, path, kind, &text))
	{
		decoder->trouble = "The reply is not valid JSON in UTF-8.";
		return NULL;
	}
	if (*kind != KC_JSON_STRING && *kind != KC_JSON_NUMBER && *kind != KC_JSON_BOOLEAN)
		return NULL;
	return MemoryContextStrdup(decoder->context, text);
}

static char *
error_text(KcDecoder *decoder, const char *path)
{
	KcJsonKind	kind;
	char	   *text = envelope_get(decoder, path, &kind);

	return kind == KC_JSON_STRING || kind == KC_JSON_NUMBER ? text : NULL;
}

static void
read_envelope(KcDecoder *decoder, KcReply *reply)
{
	const KcPlan *plan = decoder->plan;
	KcJsonKind	kind;
	char	   *text;

	/* also shows whether it is JSON at all */
	text = envelope_get(decoder, plan->success_path ? plan->success_path : plan->list_path, &kind);
	if (decoder->trouble != NULL)
		return;

	reply->success = decoder->success_status &&
		(plan->success_path == NULL ||
		 (text != NULL && strcmp(text, plan->success_value) == 0));
	if (!reply->success)
	{
		reply->code = error_text(decoder, plan->code_path);
		reply->message = error_text(decoder, plan->message_path);
		return;
	}

	if (!decoder->list_seen)
	{
		decoder->trouble = psprintf("The reply has no list \"%s\".", plan->list_path);
		return;
	}
	text = envelope_get(decoder, plan->next_page_path, &kind);
	if (kind == KC_JSON_BOOLEAN || kind == KC_JSON_OBJECT || kind == KC_JSON_ARRAY)
		decoder->trouble = psprintf("Key \"%s\" of the reply is neither a string nor a number.",
									plan->next_page_path);
	else if (text != NULL && text[0] != '\0')
		reply->next_page = text;
}

void
kc_decoder_end(KcDecoder *decoder, KcReply *reply)
{
	MemoryContext old = MemoryContextSwitchTo(decoder->record_context);

	memset(reply, 0, sizeof(KcReply));
	reply->entries = decoder->entries;
	reply->problems = decoder->problems;

	if (decoder->trouble == NULL && !decoder->ended)
		decoder->trouble = decoder->depth == 0 ? "The reply is empty." : "The reply is cut off.";
	if (decoder->trouble == NULL)
		read_envelope(decoder, reply);

	reply->understood = (decoder->trouble == NULL);
	if (!reply->understood)
	{
		reply->success = false;
		reply->trouble = MemoryContextStrdup(decoder->context, decoder->trouble);
	}

	reset_page(decoder);
	MemoryContextSwitchTo(old);
	MemoryContextReset(decoder->record_context);
}
