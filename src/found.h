/*
 * found.h
 *	  What was found in a record of a reply for the fields of its plan: read by
 *	  record.c, made into rows by row.c.
 */
#ifndef KC_FOUND_H
#define KC_FOUND_H

#include "postgres.h"

#include "json.h"
#include "lib/stringinfo.h"

#define KC_MAX_TEXT 1024		/* bytes */

/* What was found for a field; of one below an array, an item an element */
typedef struct KcFound
{
	KcJsonKind	kind;
	uint32		len;
	const char *text;			/* of a scalar; not ended by a zero */
	struct KcFound *items;
	int			nitems;
	int			room;
} KcFound;

/* A whole record; what it points to lives as long as the record is read */
typedef struct KcFoundRecord
{
	KcFound    *found;			/* by slot */
	KcFound   **nested;			/* by element of nested_path, by slot */
	int			nnested;
	bool		nested_misshapen;	/* no array, or too long a one, stands at
									 * nested_path */
	StringInfoData problem;		/* of all rows of the record */
} KcFoundRecord;

/*
 * Adds a sentence to a problem, which quotes nothing that stands in the record.
 * They are few and short: one for each key at the most.
 */
extern void kc_add_problem(StringInfo problem, const char *fmt,...) pg_attribute_printf(2, 3);

#endif							/* KC_FOUND_H */
