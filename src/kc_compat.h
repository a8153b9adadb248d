/*
 * kc_compat.h
 *	  Every difference between the PostgreSQL versions we support (15 to 18).
 *
 * No other file tests PG_VERSION_NUM.
 */
#ifndef KC_COMPAT_H
#define KC_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "kinderconnect needs PostgreSQL 15 or later"
#endif

#include "common/base64.h"
#include "common/jsonapi.h"
#include "storage/latch.h"
#include "storage/lock.h"
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/wait_event.h"

/*
 * From 18 on the server can show the library's version.
 */
#if PG_VERSION_NUM >= 180000
#define KC_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "kinderconnect", .version = KC_VERSION)
#else
#define KC_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/*
 * The mark of a function that never returns stands before it from 18 on,
 * under a new name.
 */
#if PG_VERSION_NUM < 180000 && !defined(pg_noreturn)
#define pg_noreturn pg_attribute_noreturn()
#endif

/*
 * JSON semantic actions return a parse result from 16 on, nothing before.
 */
#if PG_VERSION_NUM >= 160000
#define KC_JSON_ACTION JsonParseErrorType
#define KC_JSON_ACTION_DONE return JSON_SUCCESS
#else
#define KC_JSON_ACTION void
#define KC_JSON_ACTION_DONE return
#endif

/*
 * The lexer takes an optional caller-owned struct, and a size_t, from 17 on.
 */
static inline JsonLexContext *
kc_make_json_lexer(const char *json, size_t len, int encoding)
{
#if PG_VERSION_NUM >= 170000
	return makeJsonLexContextCstringLen(NULL, json, len, encoding, true);
#else
	return makeJsonLexContextCstringLen(unconstify(char *, json), (int) len,
										encoding, true);
#endif
}

/*
 * Its end, with all it holds: a function of its own from 17 on.
 */
static inline void
kc_free_json_lexer(JsonLexContext *lexer)
{
#if PG_VERSION_NUM >= 170000
	freeJsonLexContext(lexer);
#else
	pfree(lexer->strval->data);
	pfree(lexer->strval);
	pfree(lexer);
#endif
}

/*
 * Bytes in base64 are uint8 from 18 on, char before; a void pointer is either.
 */
static inline int
kc_b64_encode(const void *from, int len, char *to, int room)
{
	return pg_b64_encode(from, len, to, room);
}

/*
 * A wait event set belongs to a memory context up to 16 and to a resource
 * owner from 17.  Ours outlives transactions, so from 17 it has no owner and
 * is freed by its client alone.
 */
static inline WaitEventSet *
kc_create_wait_event_set(MemoryContext context, int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(context, nevents);
#endif
}

/*
 * Whether this session holds a lock, in one mode or, from 17 on where that is
 * asked for, in a stronger one.
 */
static inline bool
kc_lock_is_held(const LOCKTAG *tag, LOCKMODE mode)
{
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(tag, mode, false);
#else
	return LockHeldByMe(tag, mode);
#endif
}

/*
 * All settings of the server: an array of its own up to 15, a copy from 16.
 */
static inline struct config_generic **
kc_guc_variables(int *number)
{
#if PG_VERSION_NUM >= 160000
	return get_guc_variables(number);
#else
	*number = GetNumConfigOptions();
	return get_guc_variables();
#endif
}

/*
 * What pg_stat_activity says while we wait for the service: a name of our own
 * from 17 on.
 */
static inline uint32
kc_wait_event(void)
{
#if PG_VERSION_NUM >= 170000
	static uint32 event = 0;

	if (event == 0)
		event = WaitEventExtensionNew("KinderConnectReply");
	return event;
#else
	return PG_WAIT_EXTENSION;
#endif
}

#endif							/* KC_COMPAT_H */
