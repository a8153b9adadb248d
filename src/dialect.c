/*
 * dialect.c
 *	  Compiles the rows of a dialect into a plan for each operation.
 *
 * Invariant: a plan that exists can be encoded and decoded by without asking
 * again whether it makes sense; every row that does not is an error here,
 * which names the row and the cure.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "fault.h"
#include "plan.h"

struct KcDialect
{
	const char *name;
	bool		oauth2;
	KcPlan	   *plans[KC_OPERATIONS];
};

static const struct
{
	const char *name;
	const char *reply_type;
}			operations[] =
{
	[KC_CUSTOMERS] = {"customers", "reply_customer"},
	[KC_LOCATIONS] = {"locations", "reply_location"},
	[KC_AGENCIES] = {"agencies", "reply_agency"},
	[KC_CHILDREN] = {"children", "reply_child"},
	[KC_SUBMIT] = {"submit", "reply_result"},
	[KC_READBACK] = {"readback", "reply_record"}
};

static const char *const part_names[] = {"request", "record", "reply"};

static const struct
{
	const char *name;
	Oid			type_oid;
}			argument_columns[] =
{
	[KC_ARG_GROUP_ID] = {"group_id", TEXTOID},
	[KC_ARG_GROUP_PASSWORD] = {"group_password", TEXTOID},
	[KC_ARG_AGENCY_ID] = {"agency_id", TEXTOID},
	[KC_ARG_PROVIDER_ID] = {"provider_id", TEXTOID},
	[KC_ARG_CUSTOMER_ID] = {"customer_id", TEXTOID},
	[KC_ARG_MONTH] = {"month", DATEOID},
	[KC_ARG_PAGE] = {"page", TEXTOID},
	[KC_ARG_BATCH_ID] = {"batch_id", TEXTOID},
	[KC_ARG_FROM_DATE] = {"from_date", DATEOID},
	[KC_ARG_TO_DATE] = {"to_date", DATEOID}
};

/* The types a column may have, and whether a part that is sent may have it */
static const struct
{
	Oid			type_oid;
	KcType		type;
	bool		sent;
}			types[] =
{
	{TEXTOID, KC_TYPE_TEXT, true},
	{DATEOID, KC_TYPE_DATE, true},
	{TIMEOID, KC_TYPE_TIME, true},
	{BOOLOID, KC_TYPE_BOOLEAN, false},
	{TIMESTAMPTZOID, KC_TYPE_INSTANT, false}
};

PG_FUNCTION_INFO_V1(kinderconnect_compile_dialect);

/* The row being compiled, for messages */
typedef struct KcRow
{
	KcPlan	   *plan;
	const char *dialect;
	KcPart		part;
	int			position;
	const char *column_name;
	const char *path;
	const char *format;
} KcRow;

const char *
kc_operation_name(KcOperation operation)
{
	return operations[operation].name;
}

KcOperation
kc_operation_by_name(const char *name)
{
	for (int i = 0; i < KC_OPERATIONS; i++)
	{
		if (strcmp(name, operations[i].name) == 0)
			return (KcOperation) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("operation \"%s\" does not exist", name),
			 errhint("Operations are customers, locations, agencies, children, submit and readback.")));
}

KcPlan *
kc_dialect_plan(KcDialect *dialect, KcOperation operation)
{
	return dialect->plans[operation];
}

const KcPlanInfo *
kc_plan_info(const KcPlan *plan)
{
	return &plan->info;
}

pg_noreturn static void row_error(const KcRow *row, const char *hint,
								  const char *fmt,...) pg_attribute_printf(3, 4);

static void
row_error(const KcRow *row, const char *hint, const char *fmt,...)
{
	StringInfoData what;
	va_list		args;
	int			needed;

	initStringInfo(&what);
	for (;;)
	{
		va_start(args, fmt);
		needed = appendStringInfoVA(&what, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&what, needed);
	}

	ereport(ERROR,
			(errcode(ERRCODE_KC_CONFIG),
			 errmsg("dialect \"%s\" cannot be used: %s", row->dialect, what.data),
			 row->position == 0 ?
			 errdetail("The row of kinderconnect.dialect_operation is that of operation \"%s\".",
					   kc_operation_name(row->plan->operation)) :
			 errdetail("The row of kinderconnect.dialect_field is operation \"%s\", part \"%s\", position %d.",
					   kc_operation_name(row->plan->operation),
					   part_names[row->part], row->position),
			 errhint("%s", hint)));
}

/*
 * Nodes and paths
 */

/* Whether JSON has one way to write it that needs no escapes */
static bool
is_plain_key(const char *key)
{
	for (; *key; key++)
	{
		if (*key < 0x20 || *key == '"' || *key == '\\' || IS_HIGHBIT_SET(*key))
			return false;
	}
	return true;
}

static KcNode *
make_node(const KcNode *parent, const char *key)
{
	KcNode	   *node = palloc0(sizeof(KcNode));

	node->key = key;
	node->key_len = key ? strlen(key) : 0;
	if (key != NULL && is_plain_key(key))
	{
		node->quoted = psprintf("\"%s\"", key);
		node->quoted_len = node->key_len + 2;
	}
	if (parent == NULL)
		node->path = "";
	else if (key == NULL)
		node->path = psprintf("%s[]", parent->path);
	else
		node->path = psprintf("%s%s%s", parent->path, *parent->path ? "." : "", key);
	if (parent != NULL)
	{
		node->in_list = parent->in_list;
		node->nested = parent->nested;
	}
	return node;
}

/* The node at a path, made where it is not there yet */
static KcNode *
node_at(KcNode *node, const char *path)
{
	while (*path != '\0')
	{
		size_t		len = strcspn(path, ".[");
		KcNode	   *found = NULL;
		ListCell   *lc;

		foreach(lc, node->children)
		{
			KcNode	   *child = lfirst(lc);

			if (child->key_len == len && strncmp(child->key, path, len) == 0)
				found = child;
		}
		if (found == NULL)
		{
			found = make_node(node, pnstrdup(path, len));
			node->children = lappend(node->children, found);
		}
		node = found;
		path += len;

		if (*path == '[')
		{
			if (node->element == NULL)
			{
				node->element = make_node(node, NULL);
				node->element->in_list = true;
			}
			node = node->element;
			path += strlen("[]");
		}
		if (*path == '.')
			path++;
	}
	return node;
}

static List *
cut_path(const char *path)
{
	List	   *keys = NIL;

	for (;;)
	{
		size_t		len = strcspn(path, ".");

		keys = lappend(keys, pnstrdup(path, len));
		if (path[len] == '\0')
			return keys;
		path += len + 1;
	}
}

static int
count_arrays(const char *path)
{
	int			count = 0;

	for (; *path != '\0'; path++)
		count += (*path == '[');
	return count;
}

/* Gathers the fields below each node, and refuses keys of two kinds */
static void
finish_node(KcRow *row, KcNode *node)
{
	ListCell   *lc;

	check_stack_depth();
	node->below = list_copy(node->fields);
	foreach(lc, node->children)
	{
		KcNode	   *child = lfirst(lc);

		finish_node(row, child);
		node->below = list_concat(node->below, child->below);
	}
	if (node->element != NULL)
	{
		finish_node(row, node->element);
		node->below = list_concat(node->below, node->element->below);
	}

	if ((node->element != NULL) + node->is_records +
		(node->fields != NIL || node->children != NIL) > 1)
	{
		row->position = node->below ? ((KcField *) linitial(node->below))->position : 0;
		row_error(row, "Correct the path.",
				  "\"%s\" is an array, and is used as another kind of value too", node->path);
	}

	if (node->children == NIL)
		return;
	foreach(lc, node->fields)
	{
		KcField    *field = lfirst(lc);

		row->position = field->position;
		if (field->ncodes == 0)
			row_error(row, "Give it codes in which {} stands for the object, or correct the path.",
					  "\"%s\" is an object, because other paths go deeper, and cannot be a value",
					  node->path);
		for (int i = 0; i < field->ncodes && row->part != KC_PART_REPLY; i++)
		{
			if (field->codes[i].wire.kind != KC_JSON_NULL &&
				field->codes[i].wire.kind != KC_JSON_OBJECT)
				row_error(row, "Use {} or null as the code.",
						  "\"%s\" is an object, because other paths go deeper, and its code for \"%s\" is not",
						  node->path, field->codes[i].ours);
		}
	}
}

/*
 * Columns
 */

static Oid
type_by_name(const char *name)
{
	Oid			schema = get_namespace_oid("kinderconnect", false);
	Oid			type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
									   CStringGetDatum(name), ObjectIdGetDatum(schema));

	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type \"kinderconnect.%s\" does not exist", name),
				 errhint("Run ALTER EXTENSION kinderconnect UPDATE.")));
	return type;
}

static KcColumn *
make_column(KcRow *row, const char *name, int index, Oid type_oid)
{
	KcColumn   *column = palloc0(sizeof(KcColumn));
	Oid			element_type = get_element_type(type_oid);
	size_t		len = strlen(name);

	column->name = pstrdup(name);
	column->index = index;
	column->is_array = OidIsValid(element_type);
	column->is_id = len > 3 && strcmp(name + len - 3, "_id") == 0;
	column->is_remark = row->part == KC_PART_REPLY && row->plan->operation == KC_SUBMIT && !column->is_id;
	column->type_oid = column->is_array ? element_type : type_oid;
	get_typlenbyvalalign(column->type_oid, &column->len, &column->byval, &column->align);

	for (int i = 0; i < lengthof(types); i++)
	{
		if (types[i].type_oid == column->type_oid &&
			(types[i].sent || row->part == KC_PART_REPLY))
		{
			column->type = types[i].type;
			return column;
		}
	}
	row_error(row, "Choose another column.",
			  "column \"%s\" is of a type that cannot stand on the wire", name);
}

static KcColumn *
find_column(KcRow *row)
{
	KcPlan	   *plan = row->plan;
	TupleDesc	desc = row->part == KC_PART_RECORD ? plan->record_desc : plan->info.reply_desc;

	if (row->part == KC_PART_REQUEST)
	{
		for (int i = 0; i < lengthof(argument_columns); i++)
		{
			if (strcmp(row->column_name, argument_columns[i].name) == 0)
				return make_column(row, row->column_name, i, argument_columns[i].type_oid);
		}
		row_error(row, "See the comment on kinderconnect.dialect_field.column_name.",
				  "a request has no column \"%s\"", row->column_name);
	}

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || strcmp(row->column_name, NameStr(att->attname)) != 0 ||
			(row->part == KC_PART_REPLY && (i == plan->ordinal_index || i == plan->problem_index || i == plan->unread_index)))
			continue;
		return row->part == KC_PART_RECORD ? plan->record_columns[i] :
			make_column(row, row->column_name, i, att->atttypid);
	}
	row_error(row,
			  psprintf("The columns are the attributes of type %s: see \\d %s in psql.",
					   format_type_be_qualified(desc->tdtypeid),
					   format_type_be_qualified(desc->tdtypeid)),
			  "a %s has no column \"%s\"", part_names[row->part], row->column_name);
}

static int
find_attribute(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i;
	}
	return -1;
}

static int
attribute_index(TupleDesc desc, const char *name)
{
	int			index = find_attribute(desc, name);

	if (index >= 0)
		return index;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("type %s has no attribute \"%s\"", format_type_be_qualified(desc->tdtypeid), name),
			 errhint("Run ALTER EXTENSION kinderconnect UPDATE.")));
}

/*
 * Fields
 */

static void
set_json(KcJson *json, JsonbValue *value)
{
	Jsonb	   *jsonb = JsonbValueToJsonb(value);

	json->raw = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
	switch (value->type)
	{
		case jbvNull:
			json->kind = KC_JSON_NULL;
			break;
		case jbvString:
			json->kind = KC_JSON_STRING;
			json->text = pnstrdup(value->val.string.val, value->val.string.len);
			break;
		case jbvNumeric:
			json->kind = KC_JSON_NUMBER;
			json->text = json->raw;
			break;
		case jbvBool:
			json->kind = KC_JSON_BOOLEAN;
			json->text = json->raw;
			break;
		default:
			json->kind = JB_ROOT_IS_OBJECT(jsonb) ? KC_JSON_OBJECT : KC_JSON_ARRAY;
			break;
	}
	json->text_len = json->text ? strlen(json->text) : 0;
}

static void
set_constant(KcRow *row, KcField *field, Jsonb *jsonb)
{
	JsonbValue	value;

	if (!JsonbExtractScalar(&jsonb->root, &value))
	{
		value.type = jbvBinary;
		value.val.binary.data = &jsonb->root;
		value.val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	}
	field->has_constant = true;
	set_json(&field->constant, &value);

	if (row->part == KC_PART_REPLY &&
		(field->constant.kind != KC_JSON_STRING || field->column->type != KC_TYPE_TEXT ||
		 field->column->is_array))
		row_error(row, "Use a JSON string and a column of type text.",
				  "a constant of a reply cannot be the value of column \"%s\"", row->column_name);
}

static void
set_codes(KcRow *row, KcField *field, Jsonb *jsonb)
{
	JsonbIterator *it = JsonbIteratorInit(&jsonb->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	KcCode	   *code = NULL;

	if (field->column->index == KC_ARG_GROUP_PASSWORD && row->part == KC_PART_REQUEST)
		row_error(row, "Remove the codes.", "a password has no codes");
	if (field->column->type != KC_TYPE_TEXT && field->column->type != KC_TYPE_BOOLEAN)
		row_error(row, "Use format instead.", "column \"%s\" is a date or a time and has no codes",
				  row->column_name);

	field->codes = palloc0(sizeof(KcCode) * Max(JB_ROOT_COUNT(jsonb), 1));
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			code = &field->codes[field->ncodes++];
			code->ours = pnstrdup(value.val.string.val, value.val.string.len);
			code->value = cstring_to_text(code->ours);
		}
		else if (token == WJB_VALUE && code != NULL)
		{
			set_json(&code->wire, &value);
			if (row->part == KC_PART_REPLY &&
				(code->wire.kind == KC_JSON_ARRAY ||
				 (code->wire.kind == KC_JSON_OBJECT && strcmp(code->wire.raw, "{}") != 0)))
				row_error(row, "Use {}, null, a string, a number, true or false.",
						  "the code for \"%s\" cannot be compared with a reply", code->ours);
			if (field->column->type == KC_TYPE_BOOLEAN &&
				strcmp(code->ours, "true") != 0 && strcmp(code->ours, "false") != 0)
				row_error(row, "Codes of a boolean are those of \"true\" and \"false\".",
						  "\"%s\" is not a boolean", code->ours);
		}
	}
}

static void
set_format(KcRow *row, KcField *field)
{
	KcFormatUse use;
	const char *pattern = row->format;
	const char *trouble;

	if (field->column->type == KC_TYPE_DATE &&
		row->part == KC_PART_REQUEST && field->column->index == KC_ARG_MONTH)
	{
		use = KC_FORMAT_MONTH;
		pattern = pattern ? pattern : "YYYY-MM";
	}
	else if (field->column->type == KC_TYPE_DATE)
	{
		use = KC_FORMAT_DATE;
		pattern = pattern ? pattern : "YYYY-MM-DD";
	}
	else if (field->column->type == KC_TYPE_TIME)
	{
		use = KC_FORMAT_TIME;
		pattern = pattern ? pattern : "HH24:MI";
	}
	else if (pattern == NULL)
		return;
	else
		row_error(row, "Remove the format.",
				  "column \"%s\" is neither a date nor a time and takes no format", row->column_name);

	field->format = kc_format_compile(pattern, use, &trouble);
	if (field->format == NULL)
		row_error(row, "See the comment on kinderconnect.dialect_field.format.",
				  "format \"%s\" cannot be used: %s", pattern, trouble);
}

/* One value for a column that takes one, many for a column that takes many */
static void
check_shape(KcRow *row, const KcField *field)
{
	int			arrays = count_arrays(row->path) - (field->nested ? 1 : 0);
	const KcColumn *column = field->column;

	if (column == NULL || !column->is_array)
	{
		if (arrays > 0)
			row_error(row,
					  row->part == KC_PART_REPLY ?
					  "Set nested_path of the operation to the array, or correct the path." :
					  "Correct the path.",
					  "path \"%s\" leads into an array, and gives more than one value", row->path);
		if (field->element != 0)
			row_error(row, "Remove element.", "only an array has elements");
	}
	else if (field->element != 0 ? arrays != 0 : arrays != 1)
		row_error(row,
				  "Mark the one array in the path with [], or use element to give each element a path of its own.",
				  "column \"%s\" is an array, and path \"%s\" is not", row->column_name, row->path);
}

/* Fields of one array column must agree how it is spread */
static void
note_element(KcRow *row, const KcField *field, int *elements)
{
	int			seen = *elements;

	if ((field->element == 0 && seen != 0) || (field->element != 0 && seen == KC_ANY_ELEMENT))
		row_error(row, "Remove one of the fields.",
				  "column \"%s\" stands at more than one path as a whole", row->column_name);
	*elements = field->element == 0 ? KC_ANY_ELEMENT : Max(seen, field->element);
}

static void
add_field(KcRow *row, int element, bool required, Jsonb *constant, Jsonb *codes, int *elements)
{
	KcPlan	   *plan = row->plan;
	KcField    *field = palloc0(sizeof(KcField));
	KcNode	   *node = NULL;

	field->position = row->position;
	field->path = row->path;
	field->element = element;
	field->required = required;
	if (row->column_name != NULL)
		field->column = find_column(row);
	if (row->path != NULL)
	{
		if (count_arrays(row->path) > 2 || strlen(row->path) > 512 ||
			list_length(cut_path(row->path)) > KC_MAX_DEPTH / 2)
			row_error(row, "Correct the path.", "path \"%s\" is too deep", row->path);
		node = node_at(plan->roots[row->part], row->path);
		node->fields = lappend(node->fields, field);
		field->nested = node->nested;
		check_shape(row, field);
	}
	if (constant != NULL)
		set_constant(row, field, constant);
	if (codes != NULL)
		set_codes(row, field, codes);
	if (field->column == NULL)
		return;

	set_format(row, field);
	if (field->column->is_array)
		note_element(row, field, &elements[field->column->index]);
	if (row->part == KC_PART_RECORD)
		plan->record_elements[field->column->index] = elements[field->column->index];
	if (row->part == KC_PART_REPLY)
	{
		List	  **fields = &plan->reply_fields[field->column->index];

		*fields = lappend(*fields, field);
		if (element != 0)
			plan->element_fields = lappend(plan->element_fields, field);
		field->slot = field->nested ? plan->nnested_slots++ : plan->nslots++;
	}
}

/*
 * Rows
 */

static int
get_int(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

static Jsonb *
get_jsonb(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

static KcPlan *
make_plan(KcDialect *dialect, HeapTuple tuple, TupleDesc desc)
{
	KcPlan	   *plan = palloc0(sizeof(KcPlan));
	KcRow		row = {.plan = plan,.dialect = dialect->name};
	char	   *nested_path = SPI_getvalue(tuple, desc, 5);
	char	   *record_path = SPI_getvalue(tuple, desc, 11);
	TupleDesc	reply;

	plan->operation = kc_operation_by_name(SPI_getvalue(tuple, desc, 1));
	plan->info.method = SPI_getvalue(tuple, desc, 2);
	plan->info.path = SPI_getvalue(tuple, desc, 3);
	plan->info.oauth2 = dialect->oauth2;
	plan->info.max_records = get_int(tuple, desc, 12);
	plan->info.max_bytes = get_int(tuple, desc, 13);
	plan->info.bad_password_code = SPI_getvalue(tuple, desc, 14);
	plan->info.bad_provider_code = SPI_getvalue(tuple, desc, 15);

	plan->list_path = SPI_getvalue(tuple, desc, 4);
	plan->list_keys = cut_path(plan->list_path);
	if (list_length(plan->list_keys) > KC_MAX_DEPTH / 2)
		row_error(&row, "Correct list_path.", "path \"%s\" is too deep", plan->list_path);
	plan->next_page_path = SPI_getvalue(tuple, desc, 6);
	plan->success_path = SPI_getvalue(tuple, desc, 7);
	plan->success_value = SPI_getvalue(tuple, desc, 8);
	plan->code_path = SPI_getvalue(tuple, desc, 9);
	plan->message_path = SPI_getvalue(tuple, desc, 10);

	for (int part = 0; part < KC_PARTS; part++)
		plan->roots[part] = make_node(NULL, NULL);
	if (nested_path != NULL && list_length(cut_path(nested_path)) > KC_MAX_DEPTH / 2)
		row_error(&row, "Correct nested_path.", "path \"%s\" is too deep", nested_path);
	if (nested_path != NULL)
	{
		KcNode	   *element = node_at(plan->roots[KC_PART_REPLY], psprintf("%s[]", nested_path));

		element->nested = true;
		element->in_list = false;
	}

	reply = lookup_rowtype_tupdesc_copy(type_by_name(operations[plan->operation].reply_type), -1);
	plan->info.reply_desc = BlessTupleDesc(reply);
	plan->ordinal_index = attribute_index(reply, "ordinal");
	plan->problem_index = attribute_index(reply, "problem");
	plan->unread_index = find_attribute(reply, "unread");
	plan->reply_fields = palloc0(sizeof(List *) * reply->natts);

	if (record_path != NULL)
	{
		plan->record_type = type_by_name("wire_record");
		plan->record_desc = lookup_rowtype_tupdesc_copy(plan->record_type, -1);
		plan->kind_index = attribute_index(plan->record_desc, "kind");
		plan->record_elements = palloc0(sizeof(int) * plan->record_desc->natts);
		plan->record_columns = palloc(sizeof(KcColumn *) * plan->record_desc->natts);
		row.part = KC_PART_RECORD;
		for (int i = 0; i < plan->record_desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(plan->record_desc, i);

			plan->record_columns[i] = make_column(&row, NameStr(att->attname), i, att->atttypid);
		}
	}

	return plan;
}

/* The record_path's node is made last: its key stands after the others */
static void
finish_plan(KcDialect *dialect, KcPlan *plan, const char *record_path)
{
	KcRow		row = {.plan = plan,.dialect = dialect->name};

	if (record_path != NULL)
	{
		if (list_length(cut_path(record_path)) > KC_MAX_DEPTH / 4)
			row_error(&row, "Correct record_path.", "path \"%s\" is too deep", record_path);
		node_at(plan->roots[KC_PART_REQUEST], record_path)->is_records = true;
	}
	for (int part = 0; part < KC_PARTS; part++)
	{
		row.part = part;
		row.position = 0;
		finish_node(&row, plan->roots[part]);
	}
}

/* A dialect's name, and an operation's where only that one is asked for */
typedef struct KcWanted
{
	Oid			types[2];
	Datum		values[2];
	char		nulls[2];
} KcWanted;

#define OF_WHAT_IS_WANTED \
	" WHERE dialect OPERATOR(pg_catalog.=) $1" \
	" AND operation OPERATOR(pg_catalog.=) COALESCE($2, operation)"

static void
load_operations(KcDialect *dialect, KcWanted *wanted, MemoryContext context,
				char **record_paths)
{
	SPI_execute_with_args("SELECT operation, method, path, list_path, nested_path, next_page_path,"
						  " success_path, success_value, error_code_path, error_message_path,"
						  " record_path, max_records, max_bytes, bad_password_code, bad_provider_code"
						  " FROM kinderconnect.dialect_operation" OF_WHAT_IS_WANTED,
						  2, wanted->types, wanted->values, wanted->nulls, true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		KcPlan	   *plan = make_plan(dialect, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);

		dialect->plans[plan->operation] = plan;
		record_paths[plan->operation] = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 11);
		MemoryContextSwitchTo(old);
	}
}

static void
load_fields(KcDialect *dialect, KcWanted *wanted, MemoryContext context)
{
	int			elements[MaxTupleAttributeNumber] = {0};
	KcRow		row = {.dialect = dialect->name};

	SPI_execute_with_args("SELECT operation, part, position, column_name, path, format,"
						  " element, constant, codes, required"
						  " FROM kinderconnect.dialect_field" OF_WHAT_IS_WANTED
						  " ORDER BY operation, part, position",
						  2, wanted->types, wanted->values, wanted->nulls, true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(context);
		KcPlan	   *plan = dialect->plans[kc_operation_by_name(SPI_getvalue(tuple, desc, 1))];
		char	   *part_name = SPI_getvalue(tuple, desc, 2);
		KcPart		part = KC_PART_REQUEST;
		bool		isnull;

		if (plan == NULL)
			elog(ERROR, "dialect \"%s\" has fields of an operation that it has not", dialect->name);
		while (part < KC_PART_REPLY && strcmp(part_name, part_names[part]) != 0)
			part++;
		if (plan != row.plan || part != row.part)
			memset(elements, 0, sizeof(elements));

		row.plan = plan;
		row.part = part;
		row.position = get_int(tuple, desc, 3);
		row.column_name = SPI_getvalue(tuple, desc, 4);
		row.path = SPI_getvalue(tuple, desc, 5);
		row.format = SPI_getvalue(tuple, desc, 6);
		add_field(&row, get_int(tuple, desc, 7),
				  DatumGetBool(SPI_getbinval(tuple, desc, 10, &isnull)),
				  get_jsonb(tuple, desc, 8), get_jsonb(tuple, desc, 9), elements);
		MemoryContextSwitchTo(old);
	}
}

static bool
load_head(KcDialect *dialect, KcWanted *wanted)
{
	SPI_execute_with_args("SELECT auth FROM kinderconnect.dialect"
						  " WHERE dialect OPERATOR(pg_catalog.=) $1",
						  1, wanted->types, wanted->values, NULL, true, 0);
	if (SPI_processed == 0)
		return false;
	dialect->oauth2 = strcmp(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
							 "oauth2") == 0;
	return true;
}

/* operation is NULL for all of them */
static KcDialect *
load_dialect(const char *name, const char *operation, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	KcDialect  *dialect = palloc0(sizeof(KcDialect));
	KcWanted	wanted = {.types = {TEXTOID, TEXTOID},.nulls = {' ', 'n'}};
	char	   *record_paths[KC_OPERATIONS] = {0};

	wanted.values[0] = CStringGetTextDatum(name);
	if (operation != NULL)
	{
		wanted.values[1] = CStringGetTextDatum(operation);
		wanted.nulls[1] = ' ';
	}

	dialect->name = pstrdup(name);
	SPI_connect();
	if (!load_head(dialect, &wanted))
		ereport(ERROR,
				(errcode(ERRCODE_KC_CONFIG),
				 errmsg("dialect \"%s\" does not exist", name),
				 errhint("See the table kinderconnect.dialect for those that do.")));
	load_operations(dialect, &wanted, context, record_paths);
	load_fields(dialect, &wanted, context);
	SPI_finish();

	MemoryContextSwitchTo(context);
	for (int i = 0; i < KC_OPERATIONS; i++)
	{
		if (dialect->plans[i] != NULL)
			finish_plan(dialect, dialect->plans[i], record_paths[i]);
	}
	MemoryContextSwitchTo(old);
	return dialect;
}

KcDialect *
kc_dialect_load(const char *name, MemoryContext context)
{
	return load_dialect(name, NULL, context);
}

/*
 * Compiles one operation for its errors alone, so that those of one do not
 * hide those of another.
 */
Datum
kinderconnect_compile_dialect(PG_FUNCTION_ARGS)
{
	load_dialect(text_to_cstring(PG_GETARG_TEXT_PP(0)),
				 text_to_cstring(PG_GETARG_TEXT_PP(1)), CurrentMemoryContext);
	PG_RETURN_VOID();
}
