/*
 * record.h
 *	  One record of a reply, from JSON to rows.
 */
#ifndef KC_RECORD_H
#define KC_RECORD_H

#include "postgres.h"

#include "plan.h"

/* No record of a reply is larger, in bytes */
#define KC_MAX_RECORD (1024 * 1024)

/* Nor makes it more rows */
#define KC_MAX_NESTED 1000

typedef struct KcRecordReader KcRecordReader;

extern KcRecordReader *kc_record_reader_create(const KcPlan *plan, Tuplestorestate *store,
											   const KcMask *mask, MemoryContext context);

/*
 * The next record, where all of it stands between json and end and it is as
 * records ordinarily are, nesting no deeper than max_depth: its rows are put
 * into the store, those with a problem added to *problems, and the byte after
 * it answered.  NULL where nothing was done: kc_record_take() is for it.
 */
extern const char *kc_record_try(KcRecordReader *reader, const char *json, const char *end,
								 int max_depth, int64 *problems);

/*
 * Puts the rows of the next record into the store, and answers how many of
 * them have a problem.  json is NULL for a record that is larger than
 * KC_MAX_RECORD; else it nests no deeper than KC_MAX_DEPTH.
 */
extern int64 kc_record_take(KcRecordReader *reader, const char *json, size_t len);

#endif							/* KC_RECORD_H */
