/*
 * encode.c
 *	  Writes the body of a request by a plan, straight into a buffer.
 *
 * Invariant: what a record says is on the wire whole, or an error is raised
 * and nothing is sent.  The password is put in last, when the buffer has its
 * final size, so that no copy of it stays behind in freed memory.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "plan.h"

/* A column that is an array, taken apart */
typedef struct KcList
{
	Datum	   *values;
	bool	   *nulls;
	int			count;
} KcList;

typedef struct KcEncoder
{
	const KcPlan *plan;
	const KcArguments *arguments;
	const char *page;
	StringInfo	out;
	List	   *password_at;	/* offsets in out where it belongs */

	/* the record being written */
	MemoryContext record_context;
	Datum	   *values;
	bool	   *nulls;
	KcList	   *lists;			/* by attribute, of arrays */
	bool		kind_written;
} KcEncoder;

static void write_node(KcEncoder *encoder, const KcNode *node, int index);

/* What an error calls the record being written; ids are ours, not personal */
static const char *
record_name(const KcEncoder *encoder)
{
	TupleDesc	desc = encoder->plan->record_desc;

	for (int i = 0; i < desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), "record_id") == 0 &&
			!encoder->nulls[i])
			return TextDatumGetCString(encoder->values[i]);
	}
	return "";
}

/*
 * Where a request's argument comes from.  False where it is not given; then
 * its key is left out.
 */
static bool
get_argument(const KcEncoder *encoder, KcArgument which, const char **text, DateADT *date)
{
	const KcArguments *arguments = encoder->arguments;

	*text = NULL;
	switch (which)
	{
		case KC_ARG_GROUP_ID:
			*text = arguments->group_id;
			break;
		case KC_ARG_GROUP_PASSWORD:
			*text = "";
			break;
		case KC_ARG_AGENCY_ID:
			*text = arguments->agency_id;
			break;
		case KC_ARG_PROVIDER_ID:
			*text = arguments->provider_id;
			break;
		case KC_ARG_CUSTOMER_ID:
			*text = arguments->customer_id;
			break;
		case KC_ARG_PAGE:
			*text = encoder->page;
			break;
		case KC_ARG_BATCH_ID:
			*text = arguments->batch_id;
			break;
		case KC_ARG_MONTH:
			*date = arguments->month;
			return arguments->has_month;
		case KC_ARG_FROM_DATE:
			*date = arguments->from_date;
			return arguments->has_range;
		case KC_ARG_TO_DATE:
			*date = arguments->to_date;
			return arguments->has_range;
	}
	return *text != NULL;
}

/* Of what is sent hardly anything has to be escaped, which goes by the character */
static void
write_string(StringInfo out, const char *text)
{
	const unsigned char *p = (const unsigned char *) text;

	while (*p >= ' ' && *p != '"' && *p != '\\')
		p++;
	if (*p != '\0')
	{
		escape_json(out, text);
		return;
	}
	appendStringInfoChar(out, '"');
	appendBinaryStringInfo(out, text, (const char *) p - text);
	appendStringInfoChar(out, '"');
}

static void
write_date(StringInfo out, const KcField *field, DateADT date)
{
	char		text[KC_FORMAT_MAX + 1];

	if (!kc_format_write_date(field->format, date, text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is a date that cannot be sent", field->column->name),
				 errdetail("Dates on the wire are of the years 1 to 9999.")));
	write_string(out, text);
}

static void
write_time(KcEncoder *encoder, const KcField *field, TimeADT time)
{
	char		text[KC_FORMAT_MAX + 1];

	if (!kc_format_write_time(field->format, time, text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("record \"%s\" cannot be sent", record_name(encoder)),
				 errdetail("\"%s\" holds 24:00, which a clock does not show.", field->column->name)));
	write_string(encoder->out, text);
}

/* False for a code that leaves the key out; is_object where {} was the code */
static bool
write_text(KcEncoder *encoder, const KcField *field, const char *text, bool *is_object)
{
	for (int i = 0; i < field->ncodes; i++)
	{
		const KcCode *code = &field->codes[i];

		if (strcmp(code->ours, text) == 0)
		{
			if (code->wire.kind == KC_JSON_NULL)
				return false;
			*is_object = (code->wire.kind == KC_JSON_OBJECT);
			appendStringInfoString(encoder->out, code->wire.raw);
			return true;
		}
	}
	write_string(encoder->out, text);
	return true;
}

static bool
write_argument(KcEncoder *encoder, const KcField *field, bool *is_object)
{
	const char *text;
	DateADT		date = 0;

	if (!get_argument(encoder, field->column->index, &text, &date))
	{
		if (field->required)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("operation \"%s\" needs \"%s\"",
							kc_operation_name(encoder->plan->operation), field->column->name)));
		return false;
	}
	if (field->column->index == KC_ARG_GROUP_PASSWORD)
		encoder->password_at = lappend_int(encoder->password_at, encoder->out->len);
	else if (text == NULL)
		write_date(encoder->out, field, date);
	else
		return write_text(encoder, field, text, is_object);
	return true;
}

/* The column's element of this index, from 0; of a scalar the index is -1 */
static bool
get_column(const KcEncoder *encoder, const KcField *field, int index, Datum *value)
{
	int			attribute = field->column->index;
	const KcList *list = &encoder->lists[attribute];

	if (!field->column->is_array)
	{
		*value = encoder->values[attribute];
		return !encoder->nulls[attribute];
	}
	if (field->element > 0)
		index = field->element - 1;
	if (index < 0 || index >= list->count || list->nulls[index])
		return false;
	*value = list->values[index];
	return true;
}

static bool
write_column(KcEncoder *encoder, const KcField *field, int index, bool *is_object)
{
	Datum		value;

	if (!get_column(encoder, field, index, &value))
	{
		if (field->required)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("record \"%s\" cannot be sent", record_name(encoder)),
					 errdetail("\"%s\" is null.", field->column->name)));
		return false;
	}
	switch (field->column->type)
	{
		case KC_TYPE_DATE:
			write_date(encoder->out, field, DatumGetDateADT(value));
			return true;
		case KC_TYPE_TIME:
			write_time(encoder, field, DatumGetTimeADT(value));
			return true;
		default:
			if (!write_text(encoder, field, TextDatumGetCString(value), is_object))
				return false;
			encoder->kind_written |= (field->column->index == encoder->plan->kind_index);
			return true;
	}
}

/* Writes the last of a node's fields that has a value; false if none has */
static bool
write_fields(KcEncoder *encoder, const KcNode *node, int index, bool *is_object)
{
	*is_object = false;
	for (int i = list_length(node->fields) - 1; i >= 0; i--)
	{
		const KcField *field = list_nth(node->fields, i);

		if (field->has_constant)
		{
			appendStringInfoString(encoder->out, field->constant.raw);
			return true;
		}
		if (encoder->values != NULL ?
			write_column(encoder, field, index, is_object) :
			write_argument(encoder, field, is_object))
			return true;
	}
	return false;
}

static void
take_back(StringInfo out, int len)
{
	out->len = len;
	out->data[len] = '\0';
}

static void
write_members(KcEncoder *encoder, const KcNode *node, int index)
{
	ListCell   *lc;

	foreach(lc, node->children)
		write_node(encoder, lfirst(lc), index);
}

/*
 * An object of keys.  It is written when any of its keys is, when a code says
 * {}, or when it must be.
 */
static bool
write_object(KcEncoder *encoder, const KcNode *node, int index, bool must)
{
	StringInfo	out = encoder->out;
	int			start = out->len;
	bool		is_object;

	if (write_fields(encoder, node, index, &is_object))
	{
		if (!is_object)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 encoder->values != NULL ?
					 errmsg("record \"%s\" cannot be sent", record_name(encoder)) :
					 errmsg("operation \"%s\" cannot be sent",
							kc_operation_name(encoder->plan->operation)),
					 errdetail("The dialect has no code for its value at path \"%s\".", node->path)));
		/* keys below join those of the code */
		take_back(out, out->len - 1);
		must = true;
	}
	else
		appendStringInfoChar(out, '{');

	write_members(encoder, node, index);
	if (!must && out->len == start + 1)
	{
		take_back(out, start);
		return false;
	}
	appendStringInfoChar(out, '}');
	return true;
}

/* The arrays that stand below an element run in parallel */
static int
count_elements(const KcEncoder *encoder, const KcNode *element)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, element->below)
	{
		const KcField *field = lfirst(lc);

		if (field->column != NULL)
			count = Max(count, encoder->lists[field->column->index].count);
	}
	return count;
}

/* An array of values, or of objects with every key, null where there is none */
static bool
write_array(KcEncoder *encoder, const KcNode *element)
{
	StringInfo	out = encoder->out;
	int			count = count_elements(encoder, element);
	bool		is_object;

	for (int i = 0; i < count; i++)
	{
		appendStringInfoChar(out, i == 0 ? '[' : ',');
		if (element->children != NIL)
			write_object(encoder, element, i, true);
		else if (!write_fields(encoder, element, i, &is_object))
			appendStringInfoString(out, "null");
	}
	if (count > 0)
		appendStringInfoChar(out, ']');
	return count > 0;
}

/* Never cuts a record: an element for which there is no key is an error */
static void
check_elements(const KcEncoder *encoder)
{
	TupleDesc	desc = encoder->plan->record_desc;

	for (int i = 0; i < desc->natts; i++)
	{
		int			room = encoder->plan->record_elements[i];

		if (room == KC_ANY_ELEMENT || encoder->lists[i].count <= room)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("record \"%s\" cannot be sent", record_name(encoder)),
				 errdetail("\"%s\" has %d elements, and the dialect has keys for %d.",
						   NameStr(TupleDescAttr(desc, i)->attname),
						   encoder->lists[i].count, room)));
	}
}

static bool
has_elements(const KcEncoder *encoder)
{
	for (int i = 0; i < encoder->plan->record_desc->natts; i++)
	{
		for (int j = 0; j < encoder->lists[i].count; j++)
		{
			if (!encoder->lists[i].nulls[j])
				return true;
		}
	}
	return false;
}

/*
 * A record that came out empty would tell the service that nothing was
 * recorded.  Sessions speak for themselves; any other kind must be said.
 */
static void
check_kind(const KcEncoder *encoder)
{
	int			index = encoder->plan->kind_index;
	const char *kind = encoder->nulls[index] ? "" : TextDatumGetCString(encoder->values[index]);

	if (strcmp(kind, "session") != 0 ? encoder->kind_written : has_elements(encoder))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("record \"%s\" cannot be sent", record_name(encoder)),
			 strcmp(kind, "session") == 0 ?
			 errdetail("It is of kind \"session\" and has no session.") :
			 errdetail("The dialect has no code for kind \"%s\".", kind)));
}

static void
split_lists(KcEncoder *encoder)
{
	const KcPlan *plan = encoder->plan;

	for (int i = 0; i < plan->record_desc->natts; i++)
	{
		const KcColumn *column = plan->record_columns[i];
		KcList	   *list = &encoder->lists[i];

		list->count = 0;
		if (column->is_array && !encoder->nulls[i])
			deconstruct_array(DatumGetArrayTypeP(encoder->values[i]),
							  column->type_oid, column->len, column->byval, column->align,
							  &list->values, &list->nulls, &list->count);
	}
}

static void
write_record(KcEncoder *encoder, Datum record)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(record);
	HeapTupleData tuple;

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, encoder->plan->record_desc, encoder->values, encoder->nulls);

	split_lists(encoder);
	check_elements(encoder);
	encoder->kind_written = false;
	write_object(encoder, encoder->plan->roots[KC_PART_RECORD], -1, true);
	check_kind(encoder);
}

static void
write_records(KcEncoder *encoder)
{
	const KcPlan *plan = encoder->plan;
	ArrayType  *array = encoder->arguments->records;
	Datum	   *records;
	bool	   *nulls;
	int			count;

	if (array == NULL || ARR_ELEMTYPE(array) != plan->record_type)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("operation \"%s\" needs an array of kinderconnect.wire_record",
						kc_operation_name(plan->operation))));

	deconstruct_array(array, plan->record_type, -1, false, TYPALIGN_DOUBLE,
					  &records, &nulls, &count);
	encoder->values = palloc(sizeof(Datum) * plan->record_desc->natts);
	encoder->nulls = palloc(sizeof(bool) * plan->record_desc->natts);
	encoder->lists = palloc(sizeof(KcList) * plan->record_desc->natts);
	encoder->record_context = AllocSetContextCreate(CurrentMemoryContext,
													"kinderconnect record",
													ALLOCSET_DEFAULT_SIZES);

	appendStringInfoChar(encoder->out, '[');
	for (int i = 0; i < count; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(encoder->record_context);

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("record %d is null", i + 1)));
		if (i > 0)
			appendStringInfoChar(encoder->out, ',');
		write_record(encoder, records[i]);
		MemoryContextSwitchTo(old);
		MemoryContextReset(encoder->record_context);
	}
	appendStringInfoChar(encoder->out, ']');

	/* from here on fields are of the request again */
	encoder->values = NULL;
	MemoryContextDelete(encoder->record_context);
}

/* Writes a key with its value, or takes the key back where there is none */
static void
write_node(KcEncoder *encoder, const KcNode *node, int index)
{
	StringInfo	out = encoder->out;
	int			start = out->len;
	bool		written = true;
	bool		is_object;

	if (out->data[start - 1] != '{')
		appendStringInfoChar(out, ',');
	if (node->quoted != NULL)
		appendBinaryStringInfo(out, node->quoted, node->quoted_len);
	else
		escape_json(out, node->key);
	appendStringInfoChar(out, ':');

	if (node->is_records)
		write_records(encoder);
	else if (node->element != NULL)
		written = write_array(encoder, node->element);
	else if (node->children != NIL)
		written = write_object(encoder, node, index, false);
	else
		written = write_fields(encoder, node, index, &is_object);

	if (!written && index >= 0)
		appendStringInfoString(out, "null");
	else if (!written)
		take_back(out, start);
}

static void
put_password(KcEncoder *encoder, const char *password)
{
	StringInfo	out = encoder->out;
	StringInfoData quoted;

	/* big enough from the start: six bytes for each character at the worst */
	initStringInfo(&quoted);
	enlargeStringInfo(&quoted, strlen(password) * 6 + 2);
	escape_json(&quoted, password);

	enlargeStringInfo(out, quoted.len * list_length(encoder->password_at));
	for (int i = list_length(encoder->password_at) - 1; i >= 0; i--)
	{
		int			at = list_nth_int(encoder->password_at, i);

		memmove(out->data + at + quoted.len, out->data + at, out->len - at + 1);
		memcpy(out->data + at, quoted.data, quoted.len);
		out->len += quoted.len;
	}

	explicit_bzero(quoted.data, quoted.maxlen);
	pfree(quoted.data);
}

void
kc_encode_request(const KcPlan *plan, const KcArguments *arguments,
				  const char *group_password, const char *page, StringInfo out)
{
	KcEncoder	encoder = {.plan = plan,.arguments = arguments,.page = page,.out = out};

	write_object(&encoder, plan->roots[KC_PART_REQUEST], -1, true);
	if (encoder.password_at != NIL)
		put_password(&encoder, group_password);
}
