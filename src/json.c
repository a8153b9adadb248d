/*
 * json.c
 *	  Small JSON documents: what stands at one path of them.
 *
 * Knows nothing of plans or dialects.
 */
#include "postgres.h"

#include "attempt.h"
#include "json.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "wire.h"

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

KcJsonKind
kc_json_kind(JsonTokenType token)
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

/* A token of the service is among the scalars */
static KC_JSON_ACTION
search_scalar(void *state, char *token, JsonTokenType type)
{
	KcSearch   *search = state;

	if (search_is_there(search))
	{
		kc_wipe_string(search->text);
		search->kind = kc_json_kind(type);
		search->text = token;
	}
	else
		kc_wipe_string(token);
	KC_JSON_ACTION_DONE;
}

bool
kc_json_parse(const char *json, size_t len, JsonSemAction *actions)
{
	JsonLexContext *lexer;
	bool		parsed;

	if (len == 0 || len >= MaxAllocSize || !pg_verify_mbstr(PG_UTF8, json, len, true))
		return false;

	/* where each string is put together: not moved, and wiped in the end */
	lexer = kc_make_json_lexer(json, len, PG_UTF8);
	enlargeStringInfo(lexer->strval, len);
	parsed = pg_parse_json(lexer, actions) == JSON_SUCCESS;
	explicit_bzero(lexer->strval->data, lexer->strval->maxlen);
	/* a record has one of them for each string with an escape */
	kc_free_json_lexer(lexer);
	return parsed;
}

static KC_JSON_ACTION
keep_token(void *state, char *token, JsonTokenType type)
{
	*(char **) state = token;
	KC_JSON_ACTION_DONE;
}

char *
kc_json_string(const char *json, size_t len)
{
	char	   *text = NULL;
	JsonSemAction actions = {.semstate = &text,.scalar = keep_token};

	return kc_json_parse(json, len, &actions) ? text : NULL;
}

bool
kc_json_search(const char *json, size_t len, const char *path,
			   KcJsonKind *kind, char **text)
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

	if (!kc_json_parse(json, len, &actions))
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
	JsonSemAction nothing = {0};
	KcJsonKind	kind;
	char	   *text;
	char	   *result = NULL;

	/* what is no JSON may leave a string that the parser hands to nobody */
	if (!nests_too_deep(json, len) && kc_json_parse(json, len, &nothing) &&
		kc_json_search(json, len, path, &kind, &text) &&
		(kind == KC_JSON_STRING || kind == KC_JSON_NUMBER))
	{
		result = MemoryContextStrdup(old, text);
		kc_wipe_string(text);
	}

	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return result;
}
