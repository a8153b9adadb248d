/*
 * wire.h
 *	  The operations of the service in our own words.
 *
 * No field name of a dialect stands in a C file: dialect.c compiles the rows
 * of kinderconnect.dialect_* into a plan, encode.c writes a request by it and
 * decode.c reads a reply by it.
 */
#ifndef KC_WIRE_H
#define KC_WIRE_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "mask.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/tuplestore.h"

typedef enum KcOperation
{
	KC_CUSTOMERS,
	KC_LOCATIONS,
	KC_AGENCIES,
	KC_CHILDREN,
	KC_SUBMIT,
	KC_READBACK
} KcOperation;

#define KC_OPERATIONS (KC_READBACK + 1)

/* the name in kinderconnect.dialect_operation, and back; ERROR when unknown */
extern const char *kc_operation_name(KcOperation operation);
extern KcOperation kc_operation_by_name(const char *name);

typedef struct KcDialect KcDialect;
typedef struct KcPlan KcPlan;

/* What an operation's plan tells its caller */
typedef struct KcPlanInfo
{
	const char *method;
	const char *path;			/* joined to the endpoint's base_url */
	bool		oauth2;			/* else no token is asked for */
	TupleDesc	reply_desc;		/* of kinderconnect.reply_*, blessed */
	int			max_records;	/* 0 = no limit; submit only */
	int			max_bytes;		/* 0 = no limit; of a request's body */
	const char *bad_password_code;	/* this and the following may be NULL */
	const char *bad_provider_code;
} KcPlanInfo;

/* What stands in a request beside the secret and the page; NULL = not given */
typedef struct KcArguments
{
	char	   *group_id;
	char	   *agency_id;
	char	   *provider_id;
	char	   *customer_id;
	char	   *batch_id;
	bool		has_month;
	DateADT		month;			/* any day of it */
	bool		has_range;
	DateADT		from_date;
	DateADT		to_date;
	ArrayType  *records;		/* kinderconnect.wire_record[], submit only */
} KcArguments;

/* What the whole of one reply said, beside its rows */
typedef struct KcReply
{
	bool		understood;		/* JSON of the expected shape, complete */
	bool		success;		/* by the dialect's own sign of success */
	char	   *next_page;		/* NULL at the end of a list */
	char	   *code;			/* the service's error code, or NULL */
	char	   *message;		/* the service's error text, or NULL */
	char	   *trouble;		/* why it is not understood: a sentence for the
								 * detail of a fault, no content quoted */
	int64		entries;		/* elements of the list on this page */
	int64		problems;		/* rows with a problem on this page */
} KcReply;

/*
 * dialect.c: reads the rows through SPI (call inside a transaction), allocates
 * in context.  ERROR (KC001) when the dialect is unknown or cannot be
 * compiled.
 */
extern KcDialect *kc_dialect_load(const char *name, MemoryContext context);

/* NULL where the service has no such operation in this dialect */
extern KcPlan *kc_dialect_plan(KcDialect *dialect, KcOperation operation);
extern const KcPlanInfo *kc_plan_info(const KcPlan *plan);

/*
 * encode.c: appends the body of a request.  page is NULL for the first.  The
 * caller wipes the buffer: it holds the password.
 */
extern void kc_encode_request(const KcPlan *plan, const KcArguments *arguments,
							  const char *group_password, const char *page,
							  StringInfo out);

/*
 * decode.c: a decoder lives as long as a call and takes its pages one after
 * the other.  Rows go to the store as their records arrive; only one record is
 * ever held.  kc_decoder_feed() may raise only what palloc and the tuplestore
 * raise; it answers false when the rest of the page need not be read.
 * kc_decoder_end() resets it for the next page; strings of the reply live in
 * the context that is current then.  mask, or NULL, is of the request whose
 * reply it is, for what the service says of a record.
 */
typedef struct KcDecoder KcDecoder;

extern KcDecoder *kc_decoder_create(const KcPlan *plan, Tuplestorestate *store,
									const KcMask *mask, MemoryContext context);
extern void kc_decoder_begin(KcDecoder *decoder, bool success_status);
extern bool kc_decoder_feed(KcDecoder *decoder, const char *data, size_t len);
extern void kc_decoder_end(KcDecoder *decoder, KcReply *reply);

/*
 * json.c: the string, or number as its digits, at a key path of a small
 * document ("error.code"); NULL when it is not there, null, or not JSON.
 */
extern char *kc_json_get(const char *json, size_t len, const char *path);

#endif							/* KC_WIRE_H */
