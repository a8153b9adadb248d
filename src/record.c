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

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "json.h"
#include "mb/pg_wchar.h"
#include "port/pg_bitutils.h"
#include "record.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The fuzzer switches it, to compare */
#ifndef KC_QUICK
#define KC_QUICK true
#else
extern bool KC_QUICK;
#endif

#define KC_TEXTS 4096			/* bytes */
#define KC_MAX_TEXT 1024		/* bytes */
#define KC_MAX_ID 64			/* characters */
#define KC_MAX_MOMENT 64		/* bytes; no date or time is longer */

/* What was found for a field; of one below an array, an item an element */
typedef struct KcFound
{
	KcJsonKind	kind;
	const char *text;			/* of a scalar; not ended by a zero */
	size_t		len;
	int			nitems;
	int			room;
	struct KcFound *items;
} KcFound;

/* An object or array that is open */
typedef struct KcOpen
{
	const KcNode *node;			/* NULL where nothing below it is wanted */
	int			next_key;		/* the child to look at first */
	uint64		seen;			/* which of the first 64 children had a key */
} KcOpen;

struct KcRecordReader
{
	const KcPlan *plan;
	Tuplestorestate *store;
	MemoryContext record_context;
	MemoryContext row_context;	/* one record may make very many rows */
	int32		ordinal;		/* over all pages */
	int64		problems;		/* rows with a problem, of the record */
	Datum	   *values;			/* of a row, by attribute */
	bool	   *nulls;
	StringInfoData row_problem;
	char	   *texts;			/* of a row: those that have room here */
	size_t		texts_used;

	/* the record being parsed; what it holds is in record_context */
	int			level;
	KcOpen		open[KC_MAX_DEPTH + 1];
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
take_value(KcRecordReader *reader, KcJsonKind kind, const char *text, size_t len)
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
			found->len = len;
		}
	}
}

static void
open_value(KcRecordReader *reader)
{
	Assert(reader->level <= KC_MAX_DEPTH);
	reader->open[reader->level++] = (KcOpen) {.node = reader->at};
}

static void
take_object(KcRecordReader *reader)
{
	take_value(reader, KC_JSON_OBJECT, NULL, 0);
	open_value(reader);
}

static void
take_array(KcRecordReader *reader)
{
	const KcNode *node = reader->at;
	ListCell   *lc;

	take_value(reader, KC_JSON_ARRAY, NULL, 0);
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
}

/* Keys mostly come in the order in which the dialect names them */
static void
take_key(KcRecordReader *reader, const char *key, size_t len)
{
	KcOpen	   *open = &reader->open[reader->level - 1];
	const KcNode *node = open->node;
	int			count;
	int			at;

	reader->at = NULL;
	if (node == NULL)
		return;
	count = list_length(node->children);
	at = open->next_key;
	for (int i = 0; i < count; i++, at++)
	{
		const KcNode *child;

		if (at >= count)
			at = 0;
		child = list_nth(node->children, at);
		if (child->key_len == len && memcmp(child->key, key, len) == 0)
		{
			reader->at = child;
			open->next_key = at + 1;
			if (at >= 64 || (open->seen & (UINT64CONST(1) << at)))
				forget(reader, child);
			else
				open->seen |= UINT64CONST(1) << at;
			return;
		}
	}
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

static void
take_element(KcRecordReader *reader)
{
	const KcNode *node = reader->open[reader->level - 1].node;
	ListCell   *lc;

	reader->at = node ? node->element : NULL;
	if (reader->at == NULL)
		return;

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
}

/* The same as PostgreSQL's parser tells it */

static KC_JSON_ACTION
record_close(void *state)
{
	((KcRecordReader *) state)->level--;
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_object(void *state)
{
	take_object(state);
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_array(void *state)
{
	take_array(state);
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_key(void *state, char *key, bool isnull)
{
	take_key(state, key, strlen(key));
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_element(void *state, bool isnull)
{
	take_element(state);
	KC_JSON_ACTION_DONE;
}

static KC_JSON_ACTION
record_scalar(void *state, char *token, JsonTokenType type)
{
	take_value(state, kc_json_kind(type), token, strlen(token));
	KC_JSON_ACTION_DONE;
}

/*
 * The same, read by ourselves.  PostgreSQL's parser copies and checks each
 * token by itself, which costs most of the time of a night's lists.  Here a
 * record that is as records ordinarily are is read where it stands; at the
 * least doubt nothing is decided, and that parser reads it.
 */

/* Bytes that stand in a string for themselves, and are ASCII */
static const bool is_plain[256] = {
	[0x20 ... 0x21] = true,[0x23 ... 0x5b] = true,[0x5d ... 0x7f] = true
};

/*
 * To the first byte that is not plain, or to less than a word before the end;
 * what follows is looked at byte by byte.
 */
static inline const char *
skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"');
	const __m128i backslash = _mm_set1_epi8('\\');
	const __m128i control = _mm_set1_epi8(0x1f);

	for (; end - p >= 16; p += 16)
	{
		__m128i		v = _mm_loadu_si128((const __m128i *) p);
		__m128i		odd = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)),
									   _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
		int			mask = _mm_movemask_epi8(_mm_or_si128(odd, v));

		if (mask != 0)
			return p + pg_rightmost_one_pos32(mask);
	}
#else
	const uint64 ones = UINT64CONST(0x0101010101010101);
	const uint64 high = UINT64CONST(0x8080808080808080);

	for (; end - p >= 8; p += 8)
	{
		uint64		w;
		uint64		quote;
		uint64		backslash;

		memcpy(&w, p, sizeof(w));
		quote = w ^ (ones * '"');
		backslash = w ^ (ones * '\\');
		if (((quote - ones) | (backslash - ones) | (w - ones * 0x20) | w) & high)
			break;
	}
#endif
	return p;
}

static inline const char *
skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

static KC_JSON_ACTION
keep_token(void *state, char *token, JsonTokenType type)
{
	*(char **) state = token;
	KC_JSON_ACTION_DONE;
}

/*
 * The string whose first byte after the quote is p; answers the byte after its
 * closing quote, or NULL.  One with escapes is PostgreSQL's to read.
 */
static inline const char *
read_string(const char *p, const char *end, const char **text, size_t *len)
{
	const char *start = p;
	bool		escaped = false;
	bool		high = false;

	for (;;)
	{
		p = skip_plain(p, end);
		while (p < end && is_plain[(unsigned char) *p])
			p++;
		if (p == end || (unsigned char) *p < 0x20)
			return NULL;
		if (*p == '"')
			break;
		if (*p == '\\')
		{
			escaped = true;
			if (++p == end)
				return NULL;
		}
		else
			high = true;
		p++;
	}

	*text = start;
	*len = p - start;
	if (escaped)
	{
		char	   *token = NULL;
		JsonSemAction actions = {.semstate = &token,.scalar = keep_token};

		if (!kc_json_parse(start - 1, p + 1 - (start - 1), &actions))
			return NULL;
		*text = token;
		*len = strlen(token);
	}
	else if (high && !pg_verify_mbstr(PG_UTF8, start, p - start, true))
		return NULL;
	return p + 1;
}

static inline bool
is_digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

static const char *
read_number(const char *p, const char *end)
{
	if (*p == '-')
		p++;
	if (!is_digit(p, end))
		return NULL;
	if (*p++ != '0')
	{
		while (is_digit(p, end))
			p++;
	}
	if (p < end && *p == '.')
	{
		if (!is_digit(++p, end))
			return NULL;
		while (is_digit(p, end))
			p++;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (!is_digit(p, end))
			return NULL;
		while (is_digit(p, end))
			p++;
	}
	return p;
}

/* A scalar; what follows it is judged by the caller */
static inline const char *
read_scalar(KcRecordReader *reader, const char *p, const char *end)
{
	static const struct
	{
		const char *word;
		size_t		len;
		KcJsonKind	kind;
	}			words[] =
	{
		{"null", 4, KC_JSON_NULL},
		{"true", 4, KC_JSON_BOOLEAN},
		{"false", 5, KC_JSON_BOOLEAN}
	};
	const char *start = p;
	const char *text;
	size_t		len;

	if (*p == '"')
	{
		p = read_string(p + 1, end, &text, &len);
		if (p != NULL)
			take_value(reader, KC_JSON_STRING, text, len);
		return p;
	}
	for (int i = 0; i < lengthof(words); i++)
	{
		if (*p == words[i].word[0])
		{
			if (end - p < words[i].len || memcmp(p, words[i].word, words[i].len) != 0)
				return NULL;
			take_value(reader, words[i].kind, p, words[i].len);
			return p + words[i].len;
		}
	}
	p = read_number(p, end);
	if (p != NULL)
		take_value(reader, KC_JSON_NUMBER, start, p - start);
	return p;
}

/*
 * The object that begins at p; answers the byte after it, or NULL where it does
 * not end before end, nests deeper, or is anything but plain.
 */
static const char *
read_record(KcRecordReader *reader, const char *p, const char *end, int max_depth)
{
	uint64		objects = 0;	/* which of the open ones are */

	for (;;)
	{
		/* a value */
		if (p == end)
			return NULL;
		if (*p == '{' || *p == '[')
		{
			bool		is_object = *p == '{';

			if (reader->level == max_depth)
				return NULL;
			if (is_object)
				take_object(reader);
			else
				take_array(reader);
			objects = (objects << 1) | is_object;
			p = skip_space(p + 1, end);
			if (p == end)
				return NULL;
			if (*p == (is_object ? '}' : ']'))
				goto close;
			goto member;
		}
		p = read_scalar(reader, p, end);
		if (p == NULL)
			return NULL;

		/* what follows a value */
next:
		p = skip_space(p, end);
		if (p == end)
			return NULL;
		if (*p == ',')
		{
			p = skip_space(p + 1, end);
			goto member;
		}
		if (*p != ((objects & 1) ? '}' : ']'))
			return NULL;
close:
		p++;
		objects >>= 1;
		if (--reader->level == 0)
			return p;
		goto next;

		/* a key, or the next element */
member:
		if (objects & 1)
		{
			const char *key;
			size_t		len;

			if (p == end || *p != '"')
				return NULL;
			p = read_string(p + 1, end, &key, &len);
			if (p == NULL)
				return NULL;
			p = skip_space(p, end);
			if (p == end || *p != ':')
				return NULL;
			p = skip_space(p + 1, end);
			take_key(reader, key, len);
		}
		else
			take_element(reader);
	}
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
		!(found->kind == KC_JSON_STRING && found->len == 0);
}

static inline bool
is_text(const KcFound *found, const char *text)
{
	return strlen(text) == found->len && memcmp(text, found->text, found->len) == 0;
}

static const char *
our_value(const KcField *field, const KcFound *found)
{
	for (int i = 0; i < field->ncodes; i++)
	{
		const KcJson *wire = &field->codes[i].wire;

		if (wire->kind == found->kind &&
			(wire->kind == KC_JSON_OBJECT || is_text(found, wire->text)))
			return field->codes[i].ours;
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

static bool
has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if ((unsigned char) text[i] < 0x20 || text[i] == 0x7f)
			return true;
	}
	return false;
}

/* As cstring_to_text_with_len(), until the row is put */
static text *
make_text(KcRecordReader *reader, const char *data, size_t len)
{
	size_t		size = INTALIGN(VARHDRSZ + len);
	text	   *result;

	if (reader->texts_used + size <= KC_TEXTS)
	{
		result = (text *) (reader->texts + reader->texts_used);
		reader->texts_used += size;
	}
	else
		result = palloc(size);
	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	return result;
}

static KcTaken
take_text(KcRecordReader *reader, const KcField *field, const KcFound *found, Datum *value)
{
	const char *text = found->text;
	size_t		len = found->len;

	if (found->kind == KC_JSON_BOOLEAN && field->ncodes == 0)
		add_problem(&reader->row_problem, "key \"%s\" is not a string", field->path);
	else if (found->kind == KC_JSON_NUMBER && len > KC_MAX_ID)
		add_problem(&reader->row_problem, "key \"%s\" is a number of more than %d digits", field->path, KC_MAX_ID);
	else if (found->kind == KC_JSON_NUMBER && field->column->is_id &&
			 !is_all_digits(text, len))
		add_problem(&reader->row_problem, "key \"%s\" is neither a string nor a whole number", field->path);
	else if (field->column->is_id && len > KC_MAX_ID && pg_mbstrlen_with_len(text, len) > KC_MAX_ID)
		add_problem(&reader->row_problem, "key \"%s\" is longer than %d characters", field->path, KC_MAX_ID);
	else if (field->column->is_id && has_control(text, len))
		add_problem(&reader->row_problem, "key \"%s\" has a control character", field->path);
	else if (len > KC_MAX_TEXT)
		add_problem(&reader->row_problem, "key \"%s\" is longer than %d bytes", field->path, KC_MAX_TEXT);
	else
	{
		*value = PointerGetDatum(make_text(reader, text, len));
		return KC_TAKEN;
	}
	return KC_WRONG;
}

static KcTaken
take_moment(KcRecordReader *reader, const KcField *field, const KcFound *found, Datum *value)
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
			add_problem(&reader->row_problem, "key \"%s\" is not a date in format %s", field->path,
						kc_format_pattern(field->format));
			break;
		case KC_TYPE_TIME:
			if (is_string && kc_format_read_time(field->format, text, &time))
			{
				*value = TimeADTGetDatum(time);
				return KC_TAKEN;
			}
			add_problem(&reader->row_problem, "key \"%s\" is not a time in format %s", field->path,
						kc_format_pattern(field->format));
			break;
		default:
			if (is_string && kc_read_timestamptz(text, &instant))
			{
				*value = TimestampTzGetDatum(instant);
				return KC_TAKEN;
			}
			add_problem(&reader->row_problem, "key \"%s\" is not a timestamp in ISO 8601 with a zone", field->path);
			break;
	}
	return KC_WRONG;
}

static KcTaken
take_scalar(KcRecordReader *reader, const KcField *field, const KcFound *found, Datum *value)
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
		add_problem(&reader->row_problem, "key \"%s\" is not a single value", field->path);
		return KC_WRONG;
	}

	switch (field->column->type)
	{
		case KC_TYPE_TEXT:
			return take_text(reader, field, found, value);
		case KC_TYPE_BOOLEAN:
			if (found->kind == KC_JSON_BOOLEAN)
			{
				*value = BoolGetDatum(is_text(found, "true"));
				return KC_TAKEN;
			}
			add_problem(&reader->row_problem, "key \"%s\" is neither true nor false", field->path);
			return KC_WRONG;
		default:
			return take_moment(reader, field, found, value);
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
take_list(KcRecordReader *reader, const KcField *field, const KcFound *found, Datum *value)
{
	Datum	   *values;
	bool	   *nulls;
	bool		wrong = false;
	StringInfo	problem = &reader->row_problem;

	if (found == NULL || found->kind != KC_JSON_ARRAY)
		return KC_NOTHING;

	values = palloc0(sizeof(Datum) * Max(found->nitems, 1));
	nulls = palloc(sizeof(bool) * Max(found->nitems, 1));
	for (int i = 0; i < found->nitems; i++)
	{
		int			len = problem->len;
		KcTaken		taken = take_scalar(reader, field, &found->items[i], &values[i]);

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
take_elements(KcRecordReader *reader, const List *fields, const KcFound *found, int count,
			  Datum *value)
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

		if (nulls[i] && take_scalar(reader, field, &found[field->slot], &values[i]) == KC_TAKEN)
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
take_column(KcRecordReader *reader, const List *fields, const KcFound *nested, Datum *value)
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
			return take_elements(reader, fields, found, count_elements(reader, nested), value);
		if (field->column->is_array)
			taken = take_list(reader, field, &found[field->slot], value);
		else
			taken = take_scalar(reader, field, &found[field->slot], value);
		if (taken != KC_NOTHING)
			return taken;
	}
	return KC_NOTHING;
}

static void
check_required(KcRecordReader *reader, const List *fields, const KcFound *nested)
{
	ListCell   *lc;

	foreach(lc, fields)
	{
		const KcField *field = lfirst(lc);
		const KcFound *found = field->nested ? nested : reader->found;

		if (field->required && found != NULL && !is_there(&found[field->slot]))
			add_problem(&reader->row_problem, "missing key \"%s\"", field->path);
	}
}

/* One row; nested is the element of nested_path that makes it, or NULL */
static void
put_row(KcRecordReader *reader, const KcFound *nested, bool whole)
{
	const KcPlan *plan = reader->plan;
	TupleDesc	desc = plan->info.reply_desc;
	MemoryContext old = MemoryContextSwitchTo(reader->row_context);
	Datum	   *values = reader->values;
	bool	   *nulls = reader->nulls;
	StringInfo	problem = &reader->row_problem;

	reader->texts_used = 0;
	resetStringInfo(problem);
	if (reader->problem.len > 0)
		appendBinaryStringInfo(problem, reader->problem.data, reader->problem.len);

	for (int i = 0; i < desc->natts; i++)
	{
		const List *fields = plan->reply_fields[i];

		values[i] = (Datum) 0;
		nulls[i] = take_column(reader, fields, nested, &values[i]) != KC_TAKEN;
		if (whole)
			check_required(reader, fields, nested);
	}

	values[plan->ordinal_index] = Int32GetDatum(reader->ordinal);
	nulls[plan->ordinal_index] = false;
	if (problem->len > 0)
	{
		values[plan->problem_index] =
			PointerGetDatum(cstring_to_text_with_len(problem->data, problem->len));
		nulls[plan->problem_index] = false;
		reader->problems++;
	}
	tuplestore_putvalues(reader->store, desc, values, nulls);

	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->row_context);
}

static void
put_rows(KcRecordReader *reader, bool whole)
{
	if (reader->nnested == 0)
		put_row(reader, NULL, whole);
	for (int i = 0; i < reader->nnested; i++)
		put_row(reader, reader->nested[i], whole);
}

static void
begin_record(KcRecordReader *reader)
{
	reader->level = 0;
	reader->at = reader->plan->roots[KC_PART_REPLY];
	memset(reader->found, 0, sizeof(KcFound) * reader->plan->nslots);
	reader->nested = NULL;
	reader->nnested = reader->nested_room = 0;
	resetStringInfo(&reader->problem);
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

	begin_record(reader);
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
	MemoryContext old = MemoryContextSwitchTo(context);
	KcRecordReader *reader = palloc0(sizeof(KcRecordReader));
	int			natts = plan->info.reply_desc->natts;

	reader->plan = plan;
	reader->store = store;
	reader->found = palloc(sizeof(KcFound) * Max(plan->nslots, 1));
	reader->values = palloc(sizeof(Datum) * natts);
	reader->nulls = palloc(sizeof(bool) * natts);
	reader->texts = palloc(KC_TEXTS);
	initStringInfo(&reader->problem);
	initStringInfo(&reader->row_problem);
	reader->record_context = AllocSetContextCreate(context, "kinderconnect record",
												   ALLOCSET_DEFAULT_SIZES);
	reader->row_context = AllocSetContextCreate(context, "kinderconnect row",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(old);
	return reader;
}

const char *
kc_record_try(KcRecordReader *reader, const char *json, const char *end, int max_depth,
			  int64 *problems)
{
	MemoryContext old = MemoryContextSwitchTo(reader->record_context);
	const char *after;

	begin_record(reader);
	after = *json == '{' && KC_QUICK ? read_record(reader, json, end, max_depth) : NULL;
	if (after != NULL && after - json <= KC_MAX_RECORD)
	{
		reader->ordinal++;
		reader->problems = 0;
		put_rows(reader, true);
		*problems += reader->problems;
	}
	else
		after = NULL;

	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->record_context);
	return after;
}

int64
kc_record_take(KcRecordReader *reader, const char *json, size_t len)
{
	MemoryContext old = MemoryContextSwitchTo(reader->record_context);

	reader->ordinal++;
	reader->problems = 0;
	put_rows(reader, parse_record(reader, json, len));

	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->record_context);
	return reader->problems;
}
