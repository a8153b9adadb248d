/*
 * record.c
 *	  Reads one record of a reply by a plan: where the plan's tree has fields,
 *	  values are left as they were found, for row.c to make rows of.
 *
 * A record is read as a whole, in a context that is reset after it.
 *
 * Invariant: both ways to read a record, PostgreSQL's parser and our own, find
 * the same in it; nothing in a record raises.
 */
#include "postgres.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "found.h"
#include "json.h"
#include "mb/pg_wchar.h"
#include "port/pg_bitutils.h"
#include "record.h"
#include "row.h"
#include "utils/memutils.h"

/* The fuzzer switches it, to compare */
#ifndef KC_QUICK
#define KC_QUICK true
#else
extern bool KC_QUICK;
#endif

#define KC_ROOM (16 * 1024)		/* bytes, a multiple of what is aligned */

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
	KcRowMaker *rows;
	MemoryContext record_context;

	/* the record being parsed; what it holds is in record_context */
	int			level;
	KcOpen		open[KC_MAX_DEPTH + 1];
	const KcNode *at;			/* where the next value belongs, or NULL */
	KcFoundRecord record;
	int			nested_room;
	char	   *room;			/* of the record: what of it has room here */
	size_t		room_used;
};

/* Until the record is read: in a context of its own where it does not fit */
static inline void *
make_room(KcRecordReader *reader, size_t size)
{
	void	   *result = reader->room + reader->room_used;

	if (size > KC_ROOM - reader->room_used)
		return palloc(size);
	reader->room_used += MAXALIGN(size);
	return result;
}

/*
 * A record, parsed: values are left where the plan's tree has fields
 */

static KcFound *
found_at(KcRecordReader *reader, const KcField *field)
{
	if (!field->nested)
		return &reader->record.found[field->slot];
	if (reader->record.nnested == 0)
		return NULL;
	return &reader->record.nested[reader->record.nnested - 1][field->slot];
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
			reader->record.nnested = 0;
			reader->record.nested_misshapen = false;
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

/* A value of the wrong shape, where the tree goes deeper than it does */
static void
check_value_shape(KcRecordReader *reader, const KcNode *node, KcJsonKind kind)
{
	const char *want = NULL;
	ListCell   *lc;

	if (node->element != NULL && kind != KC_JSON_ARRAY)
		want = "an array";
	else if (node->children != NIL && kind != KC_JSON_OBJECT)
		want = "an object";
	if (want == NULL)
		return;
	kc_add_problem(&reader->record.problem, "key \"%s\" is not %s", node->path, want);
	foreach(lc, node->below)
	{
		const KcField *field = lfirst(lc);
		KcFound    *found;

		if (field->nested && !node->nested)
		{
			reader->record.nested_misshapen = true;
			continue;
		}
		found = value_at(reader, node, field);
		if (found != NULL)
			found->kind = KC_JSON_MISSHAPEN;
	}
}

/* A value inside the record */
static inline void
take_inner_value(KcRecordReader *reader, KcJsonKind kind, const char *text, size_t len)
{
	const KcNode *node = reader->at;
	ListCell   *lc;

	if (node == NULL)
		return;
	if (kind != KC_JSON_NULL && (node->element != NULL || node->children != NIL))
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
take_value(KcRecordReader *reader, KcJsonKind kind, const char *text, size_t len)
{
	if (reader->level > 0)
		take_inner_value(reader, kind, text, len);
	else if (kind != KC_JSON_OBJECT)
		kc_add_problem(&reader->record.problem, "the record is not an object");
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

/* A child of the open object has its key */
static inline void
enter(KcRecordReader *reader, KcOpen *open, int at)
{
	reader->at = list_nth(open->node->children, at);
	open->next_key = at + 1;
	if (at >= 64 || (open->seen & (UINT64CONST(1) << at)))
		forget(reader, reader->at);
	else
		open->seen |= UINT64CONST(1) << at;
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
			enter(reader, open, at);
			return;
		}
	}
}

/* Each makes a row with all that stands around them; false where it makes none */
static bool
add_nested(KcRecordReader *reader, const KcNode *array)
{
	KcFound    *element;

	if (reader->record.nested_misshapen)
		return false;
	if (reader->record.nnested == KC_MAX_NESTED)
	{
		/* what was wrong with some of them no longer matters */
		resetStringInfo(&reader->record.problem);
		kc_add_problem(&reader->record.problem, "key \"%s\" has more than %d elements", array->path, KC_MAX_NESTED);
		reader->record.nnested = 0;
		reader->record.nested_misshapen = true;
		return false;
	}
	if (reader->record.nnested == reader->nested_room)
	{
		KcFound   **nested;

		reader->nested_room = Max(8, reader->nested_room * 2);
		nested = make_room(reader, sizeof(KcFound *) * reader->nested_room);
		if (reader->record.nnested > 0)
			memcpy(nested, reader->record.nested, sizeof(KcFound *) * reader->record.nnested);
		reader->record.nested = nested;
	}
	element = make_room(reader, sizeof(KcFound) * reader->plan->nnested_slots);
	memset(element, 0, sizeof(KcFound) * reader->plan->nnested_slots);
	reader->record.nested[reader->record.nnested++] = element;
	return true;
}

static inline void
add_item(KcRecordReader *reader, KcFound *found)
{
	if (found->nitems == found->room)
	{
		KcFound    *items;

		found->room = Max(8, found->room * 2);
		items = make_room(reader, sizeof(KcFound) * found->room);
		if (found->nitems > 0)
			memcpy(items, found->items, sizeof(KcFound) * found->nitems);
		found->items = items;
	}
	memset(&found->items[found->nitems++], 0, sizeof(KcFound));
}

static inline void
take_element(KcRecordReader *reader)
{
	const KcNode *node = reader->open[reader->level - 1].node;
	ListCell   *lc;

	reader->at = node ? node->element : NULL;
	if (reader->at == NULL)
		return;

	if (!reader->at->in_list)
	{
		if (!add_nested(reader, node))
			reader->at = NULL;
	}
	else
	{
		foreach(lc, reader->at->below)
		{
			KcFound    *found = found_at(reader, lfirst(lc));

			if (found != NULL)
				add_item(reader, found);
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
	while (p < end && (unsigned char) *p <= ' ' &&
		   (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
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
		*text = kc_json_string(start - 1, p + 1 - (start - 1));
		if (*text == NULL)
			return NULL;
		*len = strlen(*text);
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
	KcJsonKind	kind = KC_JSON_BOOLEAN;
	const char *word = NULL;
	const char *text = p;
	size_t		len;

	switch (*p)
	{
		case '"':
			kind = KC_JSON_STRING;
			p = read_string(p + 1, end, &text, &len);
			break;
		case 'n':
			kind = KC_JSON_NULL;
			word = "null";
			break;
		case 't':
			word = "true";
			break;
		case 'f':
			word = "false";
			break;
		default:
			kind = KC_JSON_NUMBER;
			p = read_number(p, end);
			len = p != NULL ? p - text : 0;
			break;
	}
	if (word != NULL)
	{
		len = strlen(word);
		p = end - p >= len && memcmp(p, word, len) == 0 ? p + len : NULL;
	}
	if (p != NULL)
		take_inner_value(reader, kind, text, len);
	return p;
}

/* As memcmp() == 0, without a call: keys are short, and mostly as expected */
static inline bool
is_same(const char *a, const char *b, size_t len)
{
	uint64		x;
	uint64		y;

	if (len < sizeof(x))
		return memcmp(a, b, len) == 0;
	for (size_t i = 0; i + sizeof(x) < len; i += sizeof(x))
	{
		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		if (x != y)
			return false;
	}
	memcpy(&x, a + len - sizeof(x), sizeof(x));
	memcpy(&y, b + len - sizeof(y), sizeof(y));
	return x == y;
}

/* The next key, where it is the one that comes next in the dialect */
static inline const char *
read_next_key(KcRecordReader *reader, const char *p, const char *end)
{
	KcOpen	   *open = &reader->open[reader->level - 1];
	const KcNode *child;

	if (open->node == NULL || open->next_key >= list_length(open->node->children))
		return NULL;
	child = list_nth(open->node->children, open->next_key);
	if (child->quoted == NULL || end - p < child->quoted_len ||
		!is_same(p, child->quoted, child->quoted_len))
		return NULL;
	enter(reader, open, open->next_key);
	return p + child->quoted_len;
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
			const char *after = read_next_key(reader, p, end);

			if (after == NULL)
			{
				const char *key;
				size_t		len;

				if (p == end || *p != '"')
					return NULL;
				after = read_string(p + 1, end, &key, &len);
				if (after == NULL)
					return NULL;
				take_key(reader, key, len);
			}
			p = skip_space(after, end);
			if (p == end || *p != ':')
				return NULL;
			p = skip_space(p + 1, end);
		}
		else
			take_element(reader);
	}
}

static void
begin_record(KcRecordReader *reader)
{
	reader->level = 0;
	reader->at = reader->plan->roots[KC_PART_REPLY];
	memset(reader->record.found, 0, sizeof(KcFound) * reader->plan->nslots);
	reader->record.nested = NULL;
	reader->record.nnested = reader->nested_room = 0;
	reader->record.nested_misshapen = false;
	reader->room_used = 0;
	resetStringInfo(&reader->record.problem);
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
		kc_add_problem(&reader->record.problem, "the record is larger than %d kB", KC_MAX_RECORD / 1024);
	else if (!kc_json_parse(json, len, &actions))
	{
		resetStringInfo(&reader->record.problem);
		kc_add_problem(&reader->record.problem, "the record is not valid JSON in UTF-8");
	}
	else
		return len > 0 && json[0] == '{';
	return false;
}

/*
 * The outside
 */

KcRecordReader *
kc_record_reader_create(const KcPlan *plan, Tuplestorestate *store, const KcMask *mask,
						MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	KcRecordReader *reader = palloc0(sizeof(KcRecordReader));

	reader->plan = plan;
	reader->rows = kc_row_maker_create(plan, store, mask, context);
	reader->record.found = palloc(sizeof(KcFound) * Max(plan->nslots, 1));
	reader->room = palloc(KC_ROOM);
	initStringInfo(&reader->record.problem);
	reader->record_context = AllocSetContextCreate(context, "kinderconnect record",
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
		*problems += kc_rows_put(reader->rows, &reader->record, true);
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
	bool		whole = parse_record(reader, json, len);
	int64		problems = kc_rows_put(reader->rows, &reader->record, whole);

	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->record_context);
	return problems;
}
