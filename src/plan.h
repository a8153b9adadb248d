/*
 * plan.h
 *	  A compiled operation of a dialect, as dialect.c makes it for encode.c,
 *	  decode.c and record.c.  Only what reads and writes JSON includes this.
 *
 * A part of a dialect (request, record, reply) is compiled into a tree of
 * keys; the fields hang at the nodes where their paths end.
 */
#ifndef KC_PLAN_H
#define KC_PLAN_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "format.h"
#include "wire.h"

/* JSON nested deeper than this is neither sent nor understood */
#define KC_MAX_DEPTH 64

/* The highest element of an array that can have a key of its own */
#define KC_MAX_ELEMENT 100

typedef enum KcPart
{
	KC_PART_REQUEST,
	KC_PART_RECORD,
	KC_PART_REPLY
} KcPart;

#define KC_PARTS (KC_PART_REPLY + 1)

/* What a request may carry, in the order of argument_columns in dialect.c */
typedef enum KcArgument
{
	KC_ARG_GROUP_ID,
	KC_ARG_GROUP_PASSWORD,
	KC_ARG_AGENCY_ID,
	KC_ARG_PROVIDER_ID,
	KC_ARG_CUSTOMER_ID,
	KC_ARG_MONTH,
	KC_ARG_PAGE,
	KC_ARG_BATCH_ID,
	KC_ARG_FROM_DATE,
	KC_ARG_TO_DATE
} KcArgument;

typedef enum KcType
{
	KC_TYPE_TEXT,
	KC_TYPE_BOOLEAN,
	KC_TYPE_DATE,
	KC_TYPE_TIME,
	KC_TYPE_INSTANT
} KcType;

typedef enum KcJsonKind
{
	KC_JSON_ABSENT,
	KC_JSON_NULL,
	KC_JSON_STRING,
	KC_JSON_NUMBER,
	KC_JSON_BOOLEAN,
	KC_JSON_OBJECT,
	KC_JSON_ARRAY,
	KC_JSON_MISSHAPEN			/* of a field: what stands in its way, and a
								 * problem says so */
} KcJsonKind;

typedef struct KcJson
{
	KcJsonKind	kind;
	char	   *raw;			/* as JSON */
	char	   *text;			/* of a scalar: without quotes and escapes */
	size_t		text_len;
} KcJson;

typedef struct KcCode
{
	char	   *ours;
	text	   *value;			/* the same */
	KcJson		wire;
} KcCode;

typedef struct KcColumn
{
	const char *name;
	int			index;			/* a KcArgument, or attribute number less 1 */
	KcType		type;			/* of an array: of its elements */
	bool		is_array;
	bool		is_id;
	bool		is_remark;		/* of the service on a record that was sent */
	Oid			type_oid;		/* of an array: of its elements */
	int16		len;
	bool		byval;
	char		align;
} KcColumn;

typedef struct KcField
{
	int			position;
	const char *path;			/* NULL for a constant of a reply */
	KcColumn   *column;			/* NULL for a constant of what is sent */
	int			element;		/* 0 = the whole column */
	KcFormat   *format;			/* NULL unless a date or a time */
	bool		has_constant;
	KcJson		constant;
	int			ncodes;
	KcCode	   *codes;
	bool		required;
	bool		nested;			/* of a reply: inside nested_path */
	int			slot;			/* of a reply: counted apart inside nested_path */
} KcField;

typedef struct KcNode
{
	const char *key;			/* NULL at the root and for "[]" */
	size_t		key_len;
	const char *quoted;			/* as it stands in JSON; NULL where that may
								 * differ */
	size_t		quoted_len;
	const char *path;			/* from the root, for messages */
	List	   *children;		/* KcNodes, by first position */
	struct KcNode *element;		/* "[]": each element of this array */
	bool		in_list;		/* at or below an element that makes no row */
	bool		nested;			/* at or below an element that makes a row */
	bool		is_records;		/* the array of records stands here */
	List	   *fields;			/* KcFields whose path ends here, by position */
	List	   *below;			/* and those of all nodes below */
} KcNode;

struct KcPlan
{
	KcPlanInfo	info;
	KcOperation operation;
	KcNode	   *roots[KC_PARTS];

	/* what is sent */
	Oid			record_type;	/* kinderconnect.wire_record */
	TupleDesc	record_desc;
	KcColumn  **record_columns; /* by attribute */
	int		   *record_elements;	/* by attribute: elements that have a key,
									 * KC_ANY_ELEMENT, or 0 */
	int			kind_index;		/* attribute number less 1 */

	/* what is read */
	const char *list_path;
	List	   *list_keys;		/* the same, cut at the dots */
	const char *next_page_path; /* this and the following may be NULL */
	const char *success_path;
	const char *success_value;
	const char *code_path;
	const char *message_path;
	List	  **reply_fields;	/* by attribute: its KcFields, by position */
	List	   *element_fields; /* all fields with an element */
	int			ordinal_index;	/* attribute number less 1 */
	int			problem_index;
	int			unread_index;	/* the same; -1: this type of row has none */
	int			nslots;			/* of fields outside nested_path */
	int			nnested_slots;
};

#define KC_ANY_ELEMENT (-1)

#endif							/* KC_PLAN_H */
