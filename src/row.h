/*
 * row.h
 *	  Rows of a reply, from what was found in its records.
 */
#ifndef KC_ROW_H
#define KC_ROW_H

#include "postgres.h"

#include "found.h"
#include "plan.h"
#include "utils/tuplestore.h"

typedef struct KcRowMaker KcRowMaker;

extern KcRowMaker *kc_row_maker_create(const KcPlan *plan, Tuplestorestate *store,
									   const KcMask *mask, MemoryContext context);

/*
 * Puts the rows of the next record into the store, and answers how many of
 * them have a problem.  whole: all of the record was read, so that a key that
 * is required and was not found is missing.
 */
extern int64 kc_rows_put(KcRowMaker *maker, const KcFoundRecord *record, bool whole);

#endif							/* KC_ROW_H */
