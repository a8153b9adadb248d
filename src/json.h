/*
 * json.h
 *	  Small JSON documents, parsed by PostgreSQL's own parser.
 *
 * Invariant: whatever stands in a document, nothing but want of memory raises.
 */
#ifndef KC_JSON_H
#define KC_JSON_H

#include "postgres.h"

#include "kc_compat.h"
#include "plan.h"

extern KcJsonKind kc_json_kind(JsonTokenType token);

/* False where it is not JSON in UTF-8; it must not nest deeper than KC_MAX_DEPTH */
extern bool kc_json_parse(const char *json, size_t len, JsonSemAction *actions);

/* The text of a JSON string with its quotes; NULL where it is none */
extern char *kc_json_string(const char *json, size_t len);

/*
 * What stands at a key path of a document that nests no deeper than
 * KC_MAX_DEPTH.  A key that occurs twice counts the last time.
 */
extern bool kc_json_search(const char *json, size_t len, const char *path,
						   KcJsonKind *kind, char **text);

#endif							/* KC_JSON_H */
