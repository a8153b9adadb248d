/*
 * decode.c
 *	  Reads a reply by a plan, as it arrives, into rows.
 *
 * An element of the list that stands as a whole in what has arrived becomes
 * rows at once, see record.c.  Any other is cut out of the stream by a scanner
 * that knows no more of JSON than strings, escapes and depth, and becomes rows
 * as soon as it is whole.  What stands around the list, the envelope, is kept
 * and parsed at the end.
 *
 * Invariants: memory does not grow with the reply; nothing in it can raise an
 * error; and no problem or trouble ever quotes what stands in it.
 */
#include "postgres.h"

#include "json.h"
#include "record.h"
#include "utils/memutils.h"

#define KC_MAX_ENVELOPE (64 * 1024)

/* Of the name of a page, which goes back in the next request */
#define KC_MAX_PAGE 4096

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
	KcRecordReader *reader;
	MemoryContext result;		/* of what kc_decoder_end() answers */
	MemoryContext scratch;

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
};

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
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
	char	   *text;
	bool		matches;

	if (memchr(key, '\\', len) == NULL)
		return len == strlen(wanted) + 2 && memcmp(key + 1, wanted, len - 2) == 0;

	old = MemoryContextSwitchTo(decoder->scratch);
	text = kc_json_string(key, len);
	matches = text != NULL && strcmp(text, wanted) == 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(decoder->scratch);
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

/* Most records stand as a whole in what has arrived, and need no scan before */
static const char *
try_record(KcDecoder *decoder, const char *p, const char *end)
{
	const char *after = kc_record_try(decoder->reader, p, end, KC_MAX_DEPTH - 1 - decoder->depth,
									  &decoder->problems);

	if (after != NULL)
	{
		decoder->entries++;
		decoder->expect = KC_COMMA_OR_END;
	}
	return after;
}

static const char *
scan_between(KcDecoder *decoder, const char *p, const char *end)
{
	for (; p < end; p++)
	{
		const char *after;

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
		after = *p == '{' ? try_record(decoder, p, end) : NULL;
		if (after != NULL)
		{
			p = after - 1;
			continue;
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

static void
take_record(KcDecoder *decoder, const char *json, size_t len)
{
	if (!decoder->too_large && len > 0 && json[0] == '{' && try_record(decoder, json, json + len) != NULL)
		return;
	decoder->entries++;
	decoder->problems += kc_record_take(decoder->reader,
										decoder->too_large ? NULL : json, len);
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
kc_decoder_create(const KcPlan *plan, Tuplestorestate *store, const KcMask *mask,
				  MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	KcDecoder  *decoder = palloc0(sizeof(KcDecoder));

	decoder->plan = plan;
	decoder->reader = kc_record_reader_create(plan, store, mask, context);
	decoder->scratch = AllocSetContextCreate(context, "kinderconnect envelope",
											 ALLOCSET_SMALL_SIZES);
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

/* A scalar of the envelope, in the result's context; NULL for anything else */
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
	if (!kc_json_search(json, len, path, kind, &text))
	{
		decoder->trouble = "The reply is not valid JSON in UTF-8.";
		return NULL;
	}
	if (*kind != KC_JSON_STRING && *kind != KC_JSON_NUMBER && *kind != KC_JSON_BOOLEAN)
		return NULL;
	return MemoryContextStrdup(decoder->result, text);
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
		/* neither a success nor a refusal: whoever said it may not know */
		if (decoder->success_status && text == NULL &&
			reply->code == NULL && reply->message == NULL)
			decoder->trouble = psprintf("The reply has no value \"%s\".", plan->success_path);
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
	else if (text != NULL && strlen(text) > KC_MAX_PAGE)
		decoder->trouble = psprintf("Key \"%s\" of the reply is longer than %d bytes.",
									plan->next_page_path, KC_MAX_PAGE);
	else if (text != NULL && text[0] != '\0')
		reply->next_page = text;
}

void
kc_decoder_end(KcDecoder *decoder, KcReply *reply)
{
	MemoryContext old = MemoryContextSwitchTo(decoder->scratch);

	decoder->result = old;
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
		reply->trouble = MemoryContextStrdup(decoder->result, decoder->trouble);
	}

	reset_page(decoder);
	MemoryContextSwitchTo(old);
	MemoryContextReset(decoder->scratch);
}
