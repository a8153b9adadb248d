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

typedef struct KcRecordReader KcRecordReader;

extern KcRecordReader *kc_record_reader_create(const KcPlan *plan, Tuplestorestate *store,
											   MemoryContext context);

/*
 * Puts the rows of the next record into the store, and answers how many of
 * them have a problem.  json is NULL for a record that is larger than
 * KC_MAX_RECORD; else it nests no deeper than KC_MAX_DEPTH.
 */
extern int64 kc_record_take(KcRecordReader *reader, const char *json, size_t len);

#endif							/* KC_RECORD_H */
