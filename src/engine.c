/*
 * engine.c
 *	  The SQL functions that make calls: one call run to its end (api_*), and
 *	  the session's engine, whose calls go on across the transactions of a
 *	  procedure.
 *
 * Invariant: a session has at most one engine, and the abort of the
 * transaction or subtransaction in which it was opened ends it with all its
 * calls and locks, as does that of a later transaction.  The abort of any other
 * subtransaction leaves it alone: a night goes on when one provider fails.
 */
#include "postgres.h"

#include "access/xact.h"
#include "call.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "settings.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

/*
 * First key of the run locks; the second is a hash of the organization's id.
 * Two organizations whose hashes collide cannot run at the same time: the
 * later one is skipped, as if it were running already, and comes in the next
 * run.  Nothing is ever done twice for it.
 */
#define KC_LOCK_CLASS 0x6b63636e

/* Advisory locks on two int4 have this in the fourth field of their tag */
#define KC_LOCK_TWO_KEYS 2

typedef struct KcLock
{
	dlist_node	node;
	LOCKTAG		tag;
	char		organization_id[FLEXIBLE_ARRAY_MEMBER];
} KcLock;

typedef struct KcEngine
{
	MemoryContext context;
	KcCaller   *caller;
	dlist_head	locks;
	SubTransactionId opened_in; /* in the end the top's, which no later one has */
} KcEngine;

static KcEngine *engine = NULL;

PG_FUNCTION_INFO_V1(kinderconnect_api_customers);
PG_FUNCTION_INFO_V1(kinderconnect_api_locations);
PG_FUNCTION_INFO_V1(kinderconnect_api_agencies);
PG_FUNCTION_INFO_V1(kinderconnect_api_children);
PG_FUNCTION_INFO_V1(kinderconnect_api_readback);
PG_FUNCTION_INFO_V1(kinderconnect_api_submit);
PG_FUNCTION_INFO_V1(kinderconnect_open);
PG_FUNCTION_INFO_V1(kinderconnect_close);
PG_FUNCTION_INFO_V1(kinderconnect_lock);
PG_FUNCTION_INFO_V1(kinderconnect_unlock);
PG_FUNCTION_INFO_V1(kinderconnect_room);
PG_FUNCTION_INFO_V1(kinderconnect_pending);
PG_FUNCTION_INFO_V1(kinderconnect_start);
PG_FUNCTION_INFO_V1(kinderconnect_start_submit);
PG_FUNCTION_INFO_V1(kinderconnect_collect);
PG_FUNCTION_INFO_V1(kinderconnect_rows);
PG_FUNCTION_INFO_V1(kinderconnect_release);

/*
 * Arguments
 */

static void
kc_require(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

static char *
kc_text_argument(FunctionCallInfo fcinfo, int number)
{
	if (PG_ARGISNULL(number))
		return NULL;
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* false where it is null */
static bool
kc_date_argument(FunctionCallInfo fcinfo, int number, const char *name, DateADT *date)
{
	if (PG_ARGISNULL(number))
		return false;
	*date = PG_GETARG_DATEADT(number);
	if (DATE_NOT_FINITE(*date))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("argument \"%s\" must not be infinite", name)));
	return true;
}

static void
kc_range_arguments(FunctionCallInfo fcinfo, int number, KcArguments *arguments)
{
	bool		has_from = kc_date_argument(fcinfo, number, "from_date", &arguments->from_date);
	bool		has_to = kc_date_argument(fcinfo, number + 1, "to_date", &arguments->to_date);

	if (has_from != has_to)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_date and to_date must be given together")));
	arguments->has_range = has_from;
}

static ArrayType *
kc_records_argument(FunctionCallInfo fcinfo, int number)
{
	ArrayType  *records = PG_GETARG_ARRAYTYPE_P(number);

	if (ARR_NDIM(records) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("argument \"records\" must be an array of one dimension with at least one element")));
	return records;
}

static TimestampTz
kc_after(FunctionCallInfo fcinfo, int number)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(GetCurrentTimestamp()),
												   PG_GETARG_DATUM(number)));
}

static TimestampTz
kc_default_deadline(void)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   (int64) kc_run_deadline * 1000);
}

/* Copies what the service listed into the result of a materialized function */
static void
kc_copy_rows(FunctionCallInfo fcinfo, KcCall *call)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TupleTableSlot *slot;

	slot = MakeSingleTupleTableSlot(call->row_desc, &TTSOpsMinimalTuple);
	tuplestore_rescan(call->rows);
	while (tuplestore_gettupleslot(call->rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_puttupleslot(rsinfo->setResult, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * One call, run to its end
 */

static Datum
kc_run_call(FunctionCallInfo fcinfo, KcOperation operation, KcArguments *arguments)
{
	KcCaller   *caller;
	KcCall	   *call;

	kc_require(fcinfo, 0, "organization_id");
	InitMaterializedSRF(fcinfo, 0);
	caller = kc_caller_create(CurrentMemoryContext, 1, kc_default_deadline());
	kc_caller_add(caller, operation, text_to_cstring(PG_GETARG_TEXT_PP(0)), arguments);
	kc_caller_wait(caller, DT_NOEND);
	call = kc_caller_hand_out(caller);
	if (call->fault.kind != KC_FAULT_NONE)
	{
		KcFault		fault = call->fault;

		kc_caller_destroy(caller);
		kc_fault_raise(&fault);
	}
	kc_copy_rows(fcinfo, call);
	kc_caller_destroy(caller);
	return (Datum) 0;
}

Datum
kinderconnect_api_customers(PG_FUNCTION_ARGS)
{
	KcArguments arguments = {0};

	return kc_run_call(fcinfo, KC_CUSTOMERS, &arguments);
}

Datum
kinderconnect_api_locations(PG_FUNCTION_ARGS)
{
	KcArguments arguments = {0};

	kc_require(fcinfo, 1, "customer_id");
	arguments.customer_id = kc_text_argument(fcinfo, 1);
	return kc_run_call(fcinfo, KC_LOCATIONS, &arguments);
}

Datum
kinderconnect_api_agencies(PG_FUNCTION_ARGS)
{
	KcArguments arguments = {0};

	kc_require(fcinfo, 1, "customer_id");
	arguments.customer_id = kc_text_argument(fcinfo, 1);
	return kc_run_call(fcinfo, KC_AGENCIES, &arguments);
}

Datum
kinderconnect_api_children(PG_FUNCTION_ARGS)
{
	KcArguments arguments = {0};

	kc_require(fcinfo, 1, "agency_id");
	kc_require(fcinfo, 2, "provider_id");
	kc_require(fcinfo, 3, "month");
	arguments.agency_id = kc_text_argument(fcinfo, 1);
	arguments.provider_id = kc_text_argument(fcinfo, 2);
	arguments.has_month = kc_date_argument(fcinfo, 3, "month", &arguments.month);
	return kc_run_call(fcinfo, KC_CHILDREN, &arguments);
}

Datum
kinderconnect_api_readback(PG_FUNCTION_ARGS)
{
	KcArguments arguments = {0};

	kc_require(fcinfo, 1, "agency_id");
	kc_require(fcinfo, 2, "provider_id");
	kc_require(fcinfo, 3, "from_date");
	kc_require(fcinfo, 4, "to_date");
	arguments.agency_id = kc_text_argument(fcinfo, 1);
	arguments.provider_id = kc_text_argument(fcinfo, 2);
	kc_range_arguments(fcinfo, 3, &arguments);
	return kc_run_call(fcinfo, KC_READBACK, &arguments);
}

static void
kc_submit_arguments(FunctionCallInfo fcinfo, KcArguments *arguments)
{
	kc_require(fcinfo, 1, "agency_id");
	kc_require(fcinfo, 2, "provider_id");
	kc_require(fcinfo, 3, "batch_id");
	kc_require(fcinfo, 4, "records");
	arguments->agency_id = kc_text_argument(fcinfo, 1);
	arguments->provider_id = kc_text_argument(fcinfo, 2);
	arguments->batch_id = kc_text_argument(fcinfo, 3);
	arguments->records = kc_records_argument(fcinfo, 4);
}

Datum
kinderconnect_api_submit(PG_FUNCTION_ARGS)
{
	KcArguments arguments = {0};

	kc_submit_arguments(fcinfo, &arguments);
	return kc_run_call(fcinfo, KC_SUBMIT, &arguments);
}

/*
 * The session's engine
 */

static void
kc_release_lock(KcLock *lock)
{
	dlist_delete(&lock->node);
	if (kc_lock_is_held(&lock->tag, ExclusiveLock))
		LockRelease(&lock->tag, ExclusiveLock, true);
	pfree(lock);
}

/* Also called while a transaction aborts: nothing in here raises */
static void
kc_engine_destroy(void)
{
	KcEngine   *closing = engine;
	dlist_mutable_iter iter;

	engine = NULL;
	dlist_foreach_modify(iter, &closing->locks)
	{
		kc_release_lock(dlist_container(KcLock, node, iter.cur));
	}
	MemoryContextDelete(closing->context);
}

static void
kc_engine_xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT && engine != NULL)
		kc_engine_destroy();
}

/* Whoever opened it and failed cannot close it */
static void
kc_engine_subxact_callback(SubXactEvent event, SubTransactionId subid,
						   SubTransactionId parent, void *arg)
{
	if (engine == NULL || engine->opened_in != subid)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		kc_engine_destroy();
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		engine->opened_in = parent;
}

static KcEngine *
kc_require_engine(void)
{
	if (engine == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no engine of calls is open in this session"),
				 errhint("kinderconnect._open() opens one; an error that ends a transaction closes it.")));
	return engine;
}

Datum
kinderconnect_open(PG_FUNCTION_ARGS)
{
	static bool registered = false;
	TimestampTz deadline;
	MemoryContext context;
	KcEngine   *opening;

	if (engine != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("an engine of calls is open in this session already"),
				 errdetail("A night is running in this session, or has ended without kinderconnect._close()."),
				 errhint("Run one night at a time in a session.")));

	deadline = PG_ARGISNULL(0) ? kc_default_deadline() : kc_after(fcinfo, 0);
	if (deadline <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"deadline\" must be more than zero")));

	if (!registered)
	{
		RegisterXactCallback(kc_engine_xact_callback, NULL);
		RegisterSubXactCallback(kc_engine_subxact_callback, NULL);
		registered = true;
	}

	/* It belongs to the session only when it is whole */
	context = AllocSetContextCreate(CurrentMemoryContext, "kinderconnect engine",
									ALLOCSET_SMALL_SIZES);
	opening = (KcEngine *) MemoryContextAllocZero(context, sizeof(KcEngine));
	opening->context = context;
	opening->opened_in = GetCurrentSubTransactionId();
	dlist_init(&opening->locks);
	opening->caller = kc_caller_create(context, kc_max_in_flight, deadline);
	MemoryContextSetParent(context, TopMemoryContext);
	engine = opening;
	PG_RETURN_VOID();
}

/* Nothing to close is no error: whoever tidies up need not know */
Datum
kinderconnect_close(PG_FUNCTION_ARGS)
{
	if (engine != NULL)
		kc_engine_destroy();
	PG_RETURN_VOID();
}

static KcLock *
kc_find_lock(const char *organization_id)
{
	dlist_iter	iter;

	dlist_foreach(iter, &engine->locks)
	{
		KcLock	   *lock = dlist_container(KcLock, node, iter.cur);

		if (strcmp(lock->organization_id, organization_id) == 0)
			return lock;
	}
	return NULL;
}

/*
 * Session locks are counted, so one that this engine holds is not taken
 * again.  Whoever has the session let go of all its advisory locks, as DISCARD
 * ALL does, has let go of this one too: then it is taken anew, or is another's.
 * The note of it is made before the lock is, lest it be lost.
 */
Datum
kinderconnect_lock(PG_FUNCTION_ARGS)
{
	char	   *organization_id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	size_t		len = strlen(organization_id);
	KcLock	   *lock;

	kc_require_engine();
	lock = kc_find_lock(organization_id);
	if (lock != NULL && kc_lock_is_held(&lock->tag, ExclusiveLock))
		PG_RETURN_BOOL(true);
	if (lock != NULL)
		kc_release_lock(lock);

	lock = (KcLock *) MemoryContextAllocZero(engine->context,
											 offsetof(KcLock, organization_id) + len + 1);
	memcpy(lock->organization_id, organization_id, len + 1);
	SET_LOCKTAG_ADVISORY(lock->tag, MyDatabaseId, KC_LOCK_CLASS,
						 hash_bytes((const unsigned char *) organization_id, len),
						 KC_LOCK_TWO_KEYS);
	if (LockAcquire(&lock->tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		pfree(lock);
		PG_RETURN_BOOL(false);
	}
	dlist_push_tail(&engine->locks, &lock->node);
	PG_RETURN_BOOL(true);
}

Datum
kinderconnect_unlock(PG_FUNCTION_ARGS)
{
	char	   *organization_id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	KcLock	   *lock;

	kc_require_engine();
	lock = kc_find_lock(organization_id);
	if (lock == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this session does not hold the run lock of organization \"%s\"",
						organization_id)));
	kc_release_lock(lock);
	PG_RETURN_VOID();
}

Datum
kinderconnect_room(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(kc_caller_room(kc_require_engine()->caller));
}

Datum
kinderconnect_pending(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(kc_caller_pending(kc_require_engine()->caller));
}

/*
 * Lets calls go on: until one has ended, or until that time; then whatever
 * can go on without waiting.
 *
 * An ERROR on behalf of one of them, such as a reply for which the disk has no
 * room, is the end of that call, which says so (see call.c), and of nothing
 * else.  As each one ends a call, there are no more of them than calls.
 */
static void
kc_go_on(KcCaller *caller, TimestampTz until)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile int errors = 0;
	volatile bool done = false;

	while (!done)
	{
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			kc_caller_wait(caller, until);
			kc_caller_pump(caller);
			ReleaseCurrentSubTransaction();
			done = true;
		}
		PG_CATCH();
		{
			ErrorData  *error;

			MemoryContextSwitchTo(context);
			error = CopyErrorData();
			FlushErrorState();
			RollbackAndReleaseCurrentSubTransaction();
			MemoryContextSwitchTo(context);
			CurrentResourceOwner = owner;
			if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
				error->sqlerrcode == ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION ||
				++errors > kc_caller_pending(caller))
				ReThrowError(error);
			/* the call's own fault may not tell what it was */
			ereport(LOG,
					(errcode(error->sqlerrcode),
					 errmsg_internal("%s", error->message),
					 error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
					 error->hint != NULL ? errhint("%s", error->hint) : 0,
					 errhidestmt(true), errhidecontext(true)));
			FreeErrorData(error);
		}
		PG_END_TRY();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
}

/* Queues a call and sends at once what can be sent */
static Datum
kc_start_call(KcOperation operation, const char *organization_id, KcArguments *arguments)
{
	KcCaller   *caller = engine->caller;
	KcCall	   *call = kc_caller_add(caller, operation, organization_id, arguments);
	int64		ticket = call->ticket;

	kc_go_on(caller, DT_NOBEGIN);
	return Int64GetDatum(ticket);
}

Datum
kinderconnect_start(PG_FUNCTION_ARGS)
{
	KcArguments arguments = {0};
	KcOperation operation;

	kc_require_engine();
	kc_require(fcinfo, 0, "operation");
	kc_require(fcinfo, 1, "organization_id");
	operation = kc_operation_by_name(kc_text_argument(fcinfo, 0));
	if (operation == KC_SUBMIT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a submit cannot be started as a reading call"),
				 errhint("Use kinderconnect._start_submit().")));
	arguments.agency_id = kc_text_argument(fcinfo, 2);
	arguments.provider_id = kc_text_argument(fcinfo, 3);
	arguments.customer_id = kc_text_argument(fcinfo, 4);
	arguments.has_month = kc_date_argument(fcinfo, 5, "month", &arguments.month);
	kc_range_arguments(fcinfo, 6, &arguments);
	return kc_start_call(operation, kc_text_argument(fcinfo, 1), &arguments);
}

Datum
kinderconnect_start_submit(PG_FUNCTION_ARGS)
{
	KcArguments arguments = {0};

	kc_require_engine();
	kc_submit_arguments(fcinfo, &arguments);
	return kc_start_call(KC_SUBMIT, kc_text_argument(fcinfo, 0), &arguments);
}

/* One row of kinderconnect.call_outcome, whose columns are in this order */
static void
kc_put_outcome(ReturnSetInfo *rsinfo, const KcCall *call)
{
	enum
	{
		TICKET, OPERATION, ORGANIZATION_ID, AGENCY_ID, PROVIDER_ID, CUSTOMER_ID,
		MONTH, BATCH_ID, OK, SENT, SQLSTATE, MESSAGE, DETAIL, HINT, HTTP_STATUS,
		CODE, ENTRIES, PROBLEMS, PAGES, ATTEMPTS, BYTES, ELAPSED_MS, NCOLUMNS
	};
	const KcFault *fault = &call->fault;
	const KcArguments *arguments = &call->arguments;
	bool		ok = fault->kind == KC_FAULT_NONE;
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS] = {false};

#define PUT_TEXT(column, text) \
	do { \
		const char *text_ = (text); \
		nulls[column] = text_ == NULL || text_[0] == '\0'; \
		if (!nulls[column]) \
			values[column] = CStringGetTextDatum(text_); \
	} while (0)

	values[TICKET] = Int64GetDatum(call->ticket);
	PUT_TEXT(OPERATION, kc_operation_name(call->operation));
	PUT_TEXT(ORGANIZATION_ID, call->organization_id);
	PUT_TEXT(AGENCY_ID, arguments->agency_id);
	PUT_TEXT(PROVIDER_ID, arguments->provider_id);
	PUT_TEXT(CUSTOMER_ID, arguments->customer_id);
	values[MONTH] = DateADTGetDatum(arguments->month);
	nulls[MONTH] = !arguments->has_month;
	PUT_TEXT(BATCH_ID, arguments->batch_id);
	values[OK] = BoolGetDatum(ok);
	values[SENT] = BoolGetDatum(ok || fault->sent);
	PUT_TEXT(SQLSTATE, ok ? NULL : unpack_sql_state(kc_fault_sqlstate(fault)));
	PUT_TEXT(MESSAGE, fault->message);
	PUT_TEXT(DETAIL, fault->detail);
	PUT_TEXT(HINT, fault->hint);
	values[HTTP_STATUS] = Int32GetDatum(fault->http_status);
	nulls[HTTP_STATUS] = fault->http_status == 0;
	PUT_TEXT(CODE, fault->code);
	values[ENTRIES] = Int64GetDatum(call->entries);
	values[PROBLEMS] = Int64GetDatum(call->problems);
	values[PAGES] = Int32GetDatum(call->pages);
	values[ATTEMPTS] = Int32GetDatum(call->attempts);
	values[BYTES] = Int64GetDatum(call->bytes);
	nulls[ELAPSED_MS] = call->first_sent == 0;
	values[ELAPSED_MS] = Float8GetDatum((call->ended - call->first_sent) / 1000.0);
#undef PUT_TEXT

	if (rsinfo->setDesc->natts != NCOLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type kinderconnect.call_outcome does not fit the loaded library"),
				 errhint("Run ALTER EXTENSION kinderconnect UPDATE.")));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

Datum
kinderconnect_collect(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	KcCall	   *call;

	kc_require_engine();
	InitMaterializedSRF(fcinfo, 0);
	kc_go_on(engine->caller, PG_ARGISNULL(0) ? DT_NOEND : kc_after(fcinfo, 0));
	while ((call = kc_caller_hand_out(engine->caller)) != NULL)
		kc_put_outcome(rsinfo, call);
	return (Datum) 0;
}

static KcCall *
kc_require_call(int64 ticket)
{
	KcCall	   *call = kc_caller_find(kc_require_engine()->caller, ticket);

	if (call == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no ended call with ticket %lld", (long long) ticket),
				 errdetail("It was never started, has not ended, or was released.")));
	return call;
}

Datum
kinderconnect_rows(PG_FUNCTION_ARGS)
{
	KcCall	   *call;
	Oid			row_type = get_fn_expr_argtype(fcinfo->flinfo, 1);

	kc_require(fcinfo, 0, "ticket");
	call = kc_require_call(PG_GETARG_INT64(0));
	if (row_type != call->row_desc->tdtypeid)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the rows of operation \"%s\" are of type %s, not %s",
						kc_operation_name(call->operation),
						format_type_be(call->row_desc->tdtypeid),
						format_type_be(row_type))));
	if (call->rows == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the call with ticket %lld failed and has no rows",
						(long long) call->ticket)));
	InitMaterializedSRF(fcinfo, 0);
	kc_copy_rows(fcinfo, call);
	return (Datum) 0;
}

Datum
kinderconnect_release(PG_FUNCTION_ARGS)
{
	KcCall	   *call = kc_require_call(PG_GETARG_INT64(0));

	kc_caller_release(engine->caller, call);
	PG_RETURN_VOID();
}
