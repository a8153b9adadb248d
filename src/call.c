/*
 * call.c
 *	  Calls to the service: their queue, their pages and their retries.
 *
 * A caller owns the calls given to it, and what it has read of organizations.
 * Every call is on exactly one list, that of its phase; a call leaves
 * KC_IN_FLIGHT only with the end of its exchange.
 *
 * Invariant: a call ends exactly once.  Whatever may raise on its behalf runs
 * while it stands among the ended ones with a fault that says so, so that an
 * ERROR that someone catches leaves no call that is neither under way nor
 * ended.
 */
#include "postgres.h"

#include "attempt.h"
#include "call.h"
#include "common/hashfn.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "organization.h"
#include "secrets.h"
#include "settings.h"
#include "token.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "version.h"

/* Rows of one call that are kept in memory; more go to a file */
#define KC_ROWS_KB 1024

#define KC_MAX_PAGES 10000

typedef enum KcPhase
{
	KC_QUEUED,					/* for room, or for its token */
	KC_IN_FLIGHT,
	KC_BACKING_OFF,				/* until not_before */
	KC_ENDED,
	KC_HANDED_OUT
} KcPhase;

#define KC_PHASES (KC_HANDED_OUT + 1)

struct KcCaller
{
	MemoryContext context;
	KcHttp	   *http;
	TimestampTz deadline;
	int			max_in_flight;
	int64		last_ticket;
	int			ncalls;
	dlist_head	phases[KC_PHASES];
	KcOrganizations *organizations;
};

typedef struct KcCallState
{
	KcCall		call;
	KcCaller   *caller;
	KcPhase		phase;
	dlist_node	node;
	MemoryContext context;
	MemoryContextCallback cleanup;
	MemoryContext attempt;		/* of one exchange */
	MemoryContextCallback attempt_cleanup;
	MemoryContext list;			/* of the list as far as it has come */
	MemoryContext store_context;	/* of the rows, see kc_begin_list() */
	KcOrganization *organization;
	KcPlan	   *plan;
	const KcPlanInfo *info;

	Tuplestorestate *store;
	KcDecoder  *decoder;
	char	   *page;			/* NULL = the first */
	HTAB	   *pages_seen;
	int64		rows_before;	/* this page */

	int			failures;		/* and renewed: since the list came so far */
	int			farthest;		/* page that is in; the list may begin again */
	TimestampTz not_before;
	bool		acted;			/* may any attempt have been acted upon? */
	bool		renewed;		/* the token, on account of a 401 */
	uint32		token_generation;

	/* while in flight */
	KcExchange	exchange;
	StringInfoData body;
	char	   *authorization;
	KcMask		mask;
	bool		begun;			/* the decoder reads a reply */
} KcCallState;

static void
kc_move(KcCallState *state, KcPhase phase)
{
	dlist_delete(&state->node);
	state->phase = phase;
	dlist_push_tail(&state->caller->phases[phase], &state->node);
}

static void
kc_wipe_request(void *arg)
{
	KcCallState *state = (KcCallState *) arg;

	if (state->body.data != NULL)
		explicit_bzero(state->body.data, state->body.maxlen);
	state->body.data = NULL;
	kc_wipe_string(state->authorization);
	state->authorization = NULL;
	kc_mask_wipe(&state->mask);
}

/*
 * Closing the file behind the rows writes what is left in its buffer, which
 * fails once more when the disk had no room for it, and at that while a
 * transaction aborts.  Nobody wants these rows.  The file itself, which nobody
 * can close then, goes with the session.
 */
static void
kc_end_store(Tuplestorestate *store)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		holdoff = InterruptHoldoffCount;

	PG_TRY();
	{
		tuplestore_end(store);
	}
	PG_CATCH();
	{
		/* errfinish() has reset it */
		InterruptHoldoffCount = holdoff;
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
}

/*
 * Rows live outside the call's context, because a context's children are gone
 * before its callback runs, and the file behind the rows must be closed first.
 */
static void
kc_free_store(KcCallState *state)
{
	if (state->store != NULL)
		kc_end_store(state->store);
	state->store = NULL;
	if (state->store_context != NULL)
		MemoryContextDelete(state->store_context);
	state->store_context = NULL;
}

static void
kc_call_cleanup(void *arg)
{
	kc_free_store((KcCallState *) arg);
}

/*
 * Starts the list from its first page with an empty store.
 *
 * The store outlives the transaction, so its file must not belong to one:
 * with interXact alone the file survives, but the store would still remember
 * the resource owner of this moment.  Only here is there to be no owner; when
 * rows are put, looking up temp_tablespaces needs the transaction's.
 */
static void
kc_begin_list(KcCallState *state)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext old;

	kc_free_store(state);
	if (state->list != NULL)
		MemoryContextReset(state->list);
	else
		state->list = AllocSetContextCreate(state->context, "kinderconnect list",
											ALLOCSET_SMALL_SIZES);
	state->page = NULL;
	state->pages_seen = NULL;
	state->call.pages = 0;
	state->call.entries = 0;
	state->call.problems = 0;

	state->store_context = AllocSetContextCreate(TopMemoryContext,
												 "kinderconnect rows",
												 ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(state->store_context);
	CurrentResourceOwner = NULL;
	state->store = tuplestore_begin_heap(false, true, KC_ROWS_KB);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(old);

	state->decoder = kc_decoder_create(state->plan, state->store, &state->mask, state->list);
}

/* The end, with the fault that stands in the call or with none */
static void
kc_end_call(KcCallState *state)
{
	KcCall	   *call = &state->call;

	if (call->fault.kind == KC_FAULT_NONE)
		call->rows = state->store;
	else
	{
		call->fault.sent = state->acted;
		kc_free_store(state);
	}
	if (state->list != NULL)
		MemoryContextDelete(state->list);
	state->list = NULL;
	state->decoder = NULL;
	if (state->attempt != NULL)
		MemoryContextDelete(state->attempt);
	state->attempt = NULL;
	if (call->arguments.records != NULL)
		pfree(call->arguments.records);
	call->arguments.records = NULL;
	call->ended = GetCurrentTimestamp();
	kc_move(state, KC_ENDED);
}

/* The last failure stays in the detail: it is why there was no time left */
static void
kc_end_at_deadline(KcCallState *state)
{
	KcFault    *fault = &state->call.fault;
	char		last[sizeof(fault->message)];

	strlcpy(last, fault->message, sizeof(last));
	kc_fault_set(fault, KC_FAULT_DEADLINE, state->acted,
				 "the deadline came before the call was done");
	if (last[0] != '\0')
		kc_fault_detail(fault, "The last attempt failed: %s.", last);
	kc_fault_hint(fault, "What was not done is done by the next run. The limit is the setting kinderconnect.run_deadline.");
	kc_end_call(state);
}

/*
 * An attempt failed with the fault that stands in the call: once more, or the
 * end.  A submit that may have been acted upon is never repeated here: neither
 * one without an answer nor one that a gateway gave up on (502, 504).
 */
static void
kc_call_failed(KcCallState *state, int64 retry_after_ms)
{
	KcCall	   *call = &state->call;
	TimestampTz now = GetCurrentTimestamp();
	bool		retry;

	state->acted |= call->fault.sent;
	state->failures++;

	retry = call->fault.kind == KC_FAULT_UNREACHABLE ||
		((call->fault.kind == KC_FAULT_BUSY || call->fault.kind == KC_FAULT_LOST) &&
		 !(call->operation == KC_SUBMIT && call->fault.sent));
	if (!retry || state->failures >= kc_max_attempts)
	{
		kc_end_call(state);
		return;
	}

	/* The deadline has not come: this is a failure of the call, not of the run */
	state->not_before = kc_back_off_until(now, state->failures, retry_after_ms);
	if (state->not_before >= state->caller->deadline)
	{
		kc_no_time_left(&call->fault);
		kc_end_call(state);
		return;
	}

	/* A page of which some rows have been taken cannot be taken out again */
	if (tuplestore_tuple_count(state->store) != state->rows_before)
		kc_begin_list(state);
	else if (state->begun)
	{
		KcReply		ignored;
		MemoryContext old = MemoryContextSwitchTo(state->attempt);

		kc_decoder_end(state->decoder, &ignored);
		MemoryContextSwitchTo(old);
	}
	kc_move(state, KC_BACKING_OFF);
}

/* "application/json", parameters may follow */
static bool
kc_is_json(const char *content_type)
{
	static const char json[] = "application/json";
	size_t		len = sizeof(json) - 1;

	/* strchr() finds the end of the string, too */
	return pg_strncasecmp(content_type, json, len) == 0 &&
		strchr(" \t;", content_type[len]) != NULL;
}

static bool
kc_is_success(int http_status)
{
	return http_status >= 200 && http_status <= 299;
}

static void
kc_not_json_fault(KcCallState *state)
{
	KcExchange *exchange = &state->exchange;

	kc_mask_string(&state->mask, exchange->content_type);
	kc_fault_set(&exchange->fault, KC_FAULT_REPLY, true,
				 "the service answered with something other than JSON");
	kc_fault_detail(&exchange->fault,
					"The content type of the reply is \"%s\" where \"application/json\" was expected.",
					exchange->content_type);
	kc_fault_hint(&exchange->fault,
				  "Check base_url of kinderconnect.endpoint: another server may be answering there.");
	exchange->fault.http_status = exchange->http_status;
}

/* Takes a part of a call's reply; an error page that is no JSON is read past */
static bool
kc_call_sink(KcExchange *exchange, const char *data, size_t len)
{
	KcCallState *state = (KcCallState *) exchange->owner;
	bool		success = kc_is_success(exchange->http_status);
	MemoryContext old;
	bool		more;

	if (!kc_is_json(exchange->content_type))
	{
		if (success)
			kc_not_json_fault(state);
		return !success;
	}

	old = MemoryContextSwitchTo(state->attempt);
	if (!state->begun)
	{
		state->begun = true;
		kc_decoder_begin(state->decoder, success);
	}
	more = kc_decoder_feed(state->decoder, data, len);
	MemoryContextSwitchTo(old);
	return more;
}

/* Is this page new in the list?  ERROR only for want of memory */
static bool
kc_note_page(KcCallState *state, const char *page)
{
	uint64		key;
	bool		found;

	if (state->pages_seen == NULL)
	{
		HASHCTL		control = {
			.keysize = sizeof(uint64),
			.entrysize = sizeof(uint64),
			.hcxt = state->list
		};

		state->pages_seen = hash_create("kinderconnect pages", 64, &control,
										HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	key = hash_bytes_extended((const unsigned char *) page, strlen(page), 0);
	hash_search(state->pages_seen, &key, HASH_ENTER, &found);
	return !found;
}

/* A whole page is in: the next one, or the end of the list */
static void
kc_page_done(KcCallState *state, const KcReply *reply)
{
	KcCall	   *call = &state->call;
	KcFault    *fault = &call->fault;

	call->entries += reply->entries;
	call->problems += reply->problems;
	call->pages++;

	if (reply->next_page == NULL || call->operation == KC_SUBMIT)
	{
		memset(fault, 0, sizeof(*fault));
		fault->http_status = state->exchange.http_status;
		kc_end_call(state);
	}
	else if (!kc_note_page(state, reply->next_page) || call->pages >= KC_MAX_PAGES)
	{
		kc_fault_set(fault, KC_FAULT_REPLY, true, "the list of the service has no end");
		if (call->pages >= KC_MAX_PAGES)
			kc_fault_detail(fault, "It names more than %d pages.", KC_MAX_PAGES);
		else
			kc_fault_detail(fault, "Page %d names a page as the next one that it has named before.",
							call->pages);
		kc_call_failed(state, -1);
	}
	else
	{
		if (state->page != NULL)
			pfree(state->page);
		state->page = NULL;
		state->page = MemoryContextStrdup(state->list, reply->next_page);
		memset(fault, 0, sizeof(*fault));
		if (call->pages > state->farthest)
		{
			state->farthest = call->pages;
			state->failures = 0;
			state->renewed = false;
		}
		kc_move(state, KC_QUEUED);
	}
}

/* A 401 renews the token once a page */
static bool
kc_renew_token(KcCallState *state)
{
	if (!state->info->oauth2 || state->renewed)
		return false;
	state->renewed = true;
	kc_token_expire(state->organization->token, state->token_generation);
	memset(&state->call.fault, 0, sizeof(KcFault));
	kc_move(state, KC_QUEUED);
	return true;
}

/* The service says no; what its code means is the dialect's to say */
static void
kc_refused_fault(KcCallState *state, const KcReply *reply)
{
	const KcPlanInfo *info = state->info;
	KcFaultKind meaning = KC_FAULT_REFUSED;

	if (reply->code != NULL)
	{
		if (info->bad_password_code != NULL && strcmp(reply->code, info->bad_password_code) == 0)
			meaning = KC_FAULT_BAD_PASSWORD;
		else if (info->bad_provider_code != NULL && strcmp(reply->code, info->bad_provider_code) == 0)
			meaning = KC_FAULT_BAD_PROVIDER;
	}
	kc_fault_from_http(&state->call.fault, state->exchange.http_status, meaning,
					   reply->code, reply->message);
}

static void
kc_call_answered(KcCallState *state)
{
	KcCall	   *call = &state->call;
	KcExchange *exchange = &state->exchange;
	KcReply		reply = {0};
	MemoryContext old;

	kc_fault_set(&call->fault, KC_FAULT_REPLY, true,
				 "the reply of the service could not be stored");
	kc_fault_hint(&call->fault, KC_HINT_NOT_STORED);
	kc_move(state, KC_ENDED);
	call->ended = GetCurrentTimestamp();
	call->bytes += exchange->bytes_in;

	if (exchange->fault.kind == KC_FAULT_NONE &&
		kc_is_success(exchange->http_status) &&
		!kc_is_json(exchange->content_type))
		kc_not_json_fault(state);

	if (exchange->fault.kind != KC_FAULT_NONE)
	{
		kc_wipe_request(state);
		call->fault = exchange->fault;
		kc_call_failed(state, exchange->retry_after_ms);
		return;
	}

	old = MemoryContextSwitchTo(state->attempt);
	if (kc_is_success(exchange->http_status) && !state->begun)
	{
		kc_decoder_begin(state->decoder, true);
		state->begun = true;
	}
	if (state->begun)
		kc_decoder_end(state->decoder, &reply);
	state->begun = false;
	kc_mask_string(&state->mask, reply.code);
	kc_mask_string(&state->mask, reply.message);
	MemoryContextSwitchTo(old);
	kc_wipe_request(state);

	if (exchange->http_status == 401 && kc_renew_token(state))
		return;
	if (!kc_is_success(exchange->http_status))
	{
		kc_refused_fault(state, &reply);
		kc_call_failed(state, exchange->retry_after_ms);
	}
	else if (!reply.understood)
	{
		kc_fault_set(&call->fault, KC_FAULT_REPLY, true,
					 "the reply of the service cannot be understood");
		if (reply.trouble != NULL)
			kc_fault_detail(&call->fault, "%s", reply.trouble);
		call->fault.http_status = exchange->http_status;
		kc_call_failed(state, -1);
	}
	else if (!reply.success)
	{
		kc_refused_fault(state, &reply);
		kc_call_failed(state, -1);
	}
	else
		kc_page_done(state, &reply);
}

/* A random UUID: nothing of ours can be read from it */
static char *
kc_new_uuid(void)
{
	Datum		uuid = DirectFunctionCall1(gen_random_uuid, (Datum) 0);

	return DatumGetCString(DirectFunctionCall1(uuid_out, uuid));
}

/* In one piece: psprintf() would leave the beginning of a long one in freed memory */
static char *
kc_bearer_header(const char *token)
{
	static const char name[] = "Authorization: Bearer ";
	size_t		size = sizeof(name) + strlen(token);
	char	   *header = (char *) palloc(size);

	snprintf(header, size, "%s%s", name, token);
	return header;
}

static int
kc_record_count(const KcCallState *state)
{
	ArrayType  *records = state->call.arguments.records;

	return records == NULL ? 0 : ArrayGetNItems(ARR_NDIM(records), ARR_DIMS(records));
}

/*
 * Says of a batch that is over the limits what the service would say, so that
 * whoever sent it halves it in either case.
 */
static void
kc_too_large_fault(KcFault *fault, int limit, const char *unit)
{
	kc_fault_from_http(fault, 413, KC_FAULT_REFUSED, "TOO_LARGE", NULL);
	kc_fault_detail(fault, "The dialect allows %d %s in a request. Nothing was sent.",
					limit, unit);
}

/* Makes the request in the attempt's context; false with a fault in the call */
static bool
kc_make_request(KcCallState *state)
{
	KcCall	   *call = &state->call;
	const KcPlanInfo *info = state->info;
	KcOrganization *organization = state->organization;
	int			nrecords = kc_record_count(state);
	KcExchange *exchange = &state->exchange;
	char	   *password;
	const char **headers;

	if (info->max_records > 0 && nrecords > info->max_records)
	{
		kc_too_large_fault(&call->fault, info->max_records, "records");
		return false;
	}

	password = kc_secret_read(KC_GROUP_PASSWORD, organization->organization_id,
							  organization->group_password, &call->fault);
	if (password == NULL)
		return false;
	initStringInfo(&state->body);
	enlargeStringInfo(&state->body, 4096 + 512 * Min(nrecords, 10000));
	kc_encode_request(state->plan, &call->arguments, password, state->page, &state->body);
	kc_mask_add(&state->mask, password);
	kc_secret_free(password);
	if (organization->token != NULL)
		kc_token_add_secrets(organization->token, &state->mask);
	if (info->max_bytes > 0 && state->body.len > info->max_bytes)
	{
		kc_too_large_fault(&call->fault, info->max_bytes, "bytes");
		return false;
	}

	headers = (const char **) palloc(5 * sizeof(char *));
	headers[0] = "Content-Type: application/json";
	headers[1] = "Accept: application/json";
	headers[2] = psprintf("X-Request-Id: %s", kc_new_uuid());
	headers[3] = NULL;
	headers[4] = NULL;
	if (info->oauth2)
	{
		state->authorization = kc_bearer_header(kc_token_value(organization->token));
		state->token_generation = kc_token_generation(organization->token);
		kc_mask_add(&state->mask, kc_token_value(organization->token));
		headers[3] = state->authorization;
	}

	memset(exchange, 0, sizeof(*exchange));
	exchange->method = info->method;
	exchange->url = psprintf("%s%s", organization->base_url, info->path);
	exchange->headers = headers;
	exchange->body = state->body.data;
	exchange->body_len = state->body.len;
	exchange->http2 = organization->http2;
	exchange->deadline = state->caller->deadline;
	exchange->sink = kc_call_sink;
	exchange->owner = state;
	return true;
}

static void
kc_send(KcCallState *state)
{
	KcCall	   *call = &state->call;
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext old;
	bool		made;

	/* Until it is made: an ERROR in between is the call's end */
	kc_fault_set(&call->fault, KC_FAULT_CONFIG, state->acted,
				 "the request could not be made");
	call->ended = now;
	kc_move(state, KC_ENDED);

	kc_attempt_begin(&state->attempt, state->context, &state->attempt_cleanup,
					 kc_wipe_request, state);
	if (state->list == NULL)
		kc_begin_list(state);

	old = MemoryContextSwitchTo(state->attempt);
	made = kc_make_request(state);
	MemoryContextSwitchTo(old);
	if (!made)
	{
		kc_end_call(state);
		return;
	}

	kc_http_start(state->caller->http, &state->exchange);
	memset(&call->fault, 0, sizeof(call->fault));
	call->attempts++;
	if (call->first_sent == 0)
		call->first_sent = now;
	call->ended = 0;
	state->begun = false;
	state->rows_before = tuplestore_tuple_count(state->store);
	kc_move(state, KC_IN_FLIGHT);
}

/*
 * Tokens
 */

/* Nobody else can end a call that waits for a token: it stands in the queue */
static void
kc_take_token(KcCaller *caller, KcToken *token)
{
	dlist_mutable_iter iter;

	if (kc_token_answered(token) != KC_TOKEN_FAILED)
		return;
	dlist_foreach_modify(iter, &caller->phases[KC_QUEUED])
	{
		KcCallState *state = dlist_container(KcCallState, node, iter.cur);

		if (state->info->oauth2 && state->organization->token == token)
		{
			state->call.fault = *kc_token_fault(token);
			kc_end_call(state);
		}
	}
}

/* May the call be sent now?  Where its token cannot be had, the call ends */
static bool
kc_token_ready(KcCallState *state, TimestampTz now)
{
	if (!state->info->oauth2)
		return true;
	switch (kc_token_prepare(state->organization->token, now))
	{
		case KC_TOKEN_READY:
			return true;
		case KC_TOKEN_WAIT:
			return false;
		case KC_TOKEN_FAILED:
			state->call.fault = *kc_token_fault(state->organization->token);
			kc_end_call(state);
			break;
	}
	return false;
}

/*
 * The caller
 */

KcCaller *
kc_caller_create(MemoryContext parent, int max_in_flight, TimestampTz deadline)
{
	MemoryContext context;
	KcCaller   *caller;

	kc_require_one_version();
	context = AllocSetContextCreate(parent, "kinderconnect caller",
									ALLOCSET_DEFAULT_SIZES);
	caller = (KcCaller *) MemoryContextAllocZero(context, sizeof(KcCaller));
	caller->context = context;
	caller->deadline = deadline;
	caller->max_in_flight = max_in_flight;
	for (int i = 0; i < KC_PHASES; i++)
		dlist_init(&caller->phases[i]);
	caller->http = kc_http_create(context, max_in_flight);
	caller->organizations = kc_organizations_create(context, caller->http, deadline);
	return caller;
}

void
kc_caller_destroy(KcCaller *caller)
{
	MemoryContextDelete(caller->context);
}

static KcPlan *
kc_require_plan(const KcOrganization *organization, KcOperation operation)
{
	KcPlan	   *plan = kc_dialect_plan(organization->dialect, operation);

	if (plan == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_KC_CONFIG),
				 errmsg("the service of organization \"%s\" has no operation \"%s\"",
						organization->organization_id, kc_operation_name(operation)),
				 errdetail("Endpoint \"%s\" speaks dialect \"%s\".",
						   organization->endpoint, organization->dialect_name)));
	if (kc_plan_info(plan)->oauth2 && organization->token == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_KC_CONFIG),
				 errmsg("endpoint \"%s\" has no token_url", organization->endpoint),
				 errdetail("Its dialect \"%s\" needs a token for the operation \"%s\".",
						   organization->dialect_name, kc_operation_name(operation)),
				 errhint("Set token_url, client_id and client_secret of kinderconnect.endpoint.")));
	return plan;
}

static char *
kc_copy_string(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

/* Into the current context */
static void
kc_copy_arguments(KcArguments *copy, const KcArguments *arguments)
{
	*copy = *arguments;
	copy->agency_id = kc_copy_string(arguments->agency_id);
	copy->provider_id = kc_copy_string(arguments->provider_id);
	copy->customer_id = kc_copy_string(arguments->customer_id);
	copy->batch_id = kc_copy_string(arguments->batch_id);
	if (arguments->records != NULL)
	{
		copy->records = (ArrayType *) palloc(VARSIZE(arguments->records));
		memcpy(copy->records, arguments->records, VARSIZE(arguments->records));
	}
}

/*
 * What the dialect cannot say is an ERROR for whoever asks, and at once: when
 * the request is made, whoever happens to wait for another call would get it.
 */
static void
kc_check_request(KcCallState *state)
{
	StringInfoData scratch;

	initStringInfo(&scratch);
	kc_encode_request(state->plan, &state->call.arguments, "", NULL, &scratch);
}

KcCall *
kc_caller_add(KcCaller *caller, KcOperation operation,
			  const char *organization_id, const KcArguments *arguments)
{
	KcOrganization *organization = kc_organization_get(caller->organizations, organization_id);
	KcPlan	   *plan = kc_require_plan(organization, operation);
	MemoryContext context;
	MemoryContext old;
	KcCallState *state;
	KcCall	   *call;

	context = AllocSetContextCreate(CurrentMemoryContext, "kinderconnect call",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	state = (KcCallState *) palloc0(sizeof(KcCallState));
	state->caller = caller;
	state->context = context;
	state->organization = organization;
	state->plan = plan;
	state->info = kc_plan_info(plan);

	call = &state->call;
	call->state = state;
	call->operation = operation;
	call->organization_id = organization->organization_id;
	call->row_desc = state->info->reply_desc;
	kc_copy_arguments(&call->arguments, arguments);
	call->arguments.group_id = organization->group_id;
	state->attempt = AllocSetContextCreate(context, "kinderconnect attempt",
										   ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(state->attempt);
	kc_check_request(state);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->attempt);

	call->ticket = ++caller->last_ticket;
	state->cleanup.func = kc_call_cleanup;
	state->cleanup.arg = state;
	MemoryContextRegisterResetCallback(context, &state->cleanup);
	MemoryContextSetParent(context, caller->context);
	state->phase = KC_QUEUED;
	dlist_push_tail(&caller->phases[KC_QUEUED], &state->node);
	caller->ncalls++;
	return call;
}

int
kc_caller_pending(const KcCaller *caller)
{
	return caller->ncalls;
}

int
kc_caller_room(const KcCaller *caller)
{
	return Max(2 * caller->max_in_flight - caller->ncalls, 0);
}

/* Puts under way what can be at this time */
static void
kc_dispatch(KcCaller *caller, TimestampTz now)
{
	bool		too_late = now >= caller->deadline;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &caller->phases[KC_BACKING_OFF])
	{
		KcCallState *state = dlist_container(KcCallState, node, iter.cur);

		if (too_late)
			kc_end_at_deadline(state);
		else if (state->not_before <= now)
			kc_move(state, KC_QUEUED);
	}

	dlist_foreach_modify(iter, &caller->phases[KC_QUEUED])
	{
		KcCallState *state = dlist_container(KcCallState, node, iter.cur);

		if (too_late)
			kc_end_at_deadline(state);
		else if (kc_http_room(caller->http) == 0)
			break;
		else if (kc_token_ready(state, now) && kc_http_room(caller->http) > 0)
			kc_send(state);
	}
}

static void
kc_take(KcCaller *caller, KcExchange *exchange)
{
	KcToken    *token = kc_token_of_exchange(exchange);

	if (token != NULL)
		kc_take_token(caller, token);
	else
		kc_call_answered((KcCallState *) exchange->owner);
}

void
kc_caller_pump(KcCaller *caller)
{
	KcExchange *exchange;

	kc_dispatch(caller, GetCurrentTimestamp());
	while ((exchange = kc_http_next(caller->http, DT_NOBEGIN)) != NULL)
	{
		kc_take(caller, exchange);
		kc_dispatch(caller, GetCurrentTimestamp());
	}
}

/*
 * When kc_dispatch() will have something to do even if no answer comes.  now
 * is what it was told last: what has come due since then is still to be done.
 */
static TimestampTz
kc_wake_time(KcCaller *caller, TimestampTz now)
{
	TimestampTz wake = DT_NOEND;
	dlist_iter	iter;

	if (!dlist_is_empty(&caller->phases[KC_QUEUED]) ||
		!dlist_is_empty(&caller->phases[KC_BACKING_OFF]))
		wake = caller->deadline;
	dlist_foreach(iter, &caller->phases[KC_BACKING_OFF])
	{
		wake = Min(wake, dlist_container(KcCallState, node, iter.cur)->not_before);
	}
	dlist_foreach(iter, &caller->phases[KC_QUEUED])
	{
		KcCallState *state = dlist_container(KcCallState, node, iter.cur);

		if (state->info->oauth2 && kc_token_not_before(state->organization->token) > now)
			wake = Min(wake, kc_token_not_before(state->organization->token));
	}
	return wake;
}

void
kc_caller_wait(KcCaller *caller, TimestampTz until)
{
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		KcExchange *exchange;

		kc_dispatch(caller, now);
		if (!dlist_is_empty(&caller->phases[KC_ENDED]))
			return;
		if (dlist_is_empty(&caller->phases[KC_QUEUED]) &&
			dlist_is_empty(&caller->phases[KC_BACKING_OFF]) &&
			dlist_is_empty(&caller->phases[KC_IN_FLIGHT]))
			return;

		exchange = kc_http_next(caller->http, Min(until, kc_wake_time(caller, now)));
		if (exchange != NULL)
			kc_take(caller, exchange);
		else if (GetCurrentTimestamp() >= until)
			return;
	}
}

KcCall *
kc_caller_hand_out(KcCaller *caller)
{
	KcCallState *state;

	if (dlist_is_empty(&caller->phases[KC_ENDED]))
		return NULL;
	state = dlist_head_element(KcCallState, node, &caller->phases[KC_ENDED]);
	kc_move(state, KC_HANDED_OUT);
	return &state->call;
}

KcCall *
kc_caller_find(KcCaller *caller, int64 ticket)
{
	dlist_iter	iter;

	for (KcPhase phase = KC_ENDED; phase <= KC_HANDED_OUT; phase++)
	{
		dlist_foreach(iter, &caller->phases[phase])
		{
			KcCallState *state = dlist_container(KcCallState, node, iter.cur);

			if (state->call.ticket == ticket)
				return &state->call;
		}
	}
	return NULL;
}

void
kc_caller_release(KcCaller *caller, KcCall *call)
{
	KcCallState *state = call->state;

	Assert(state->phase == KC_ENDED || state->phase == KC_HANDED_OUT);
	dlist_delete(&state->node);
	caller->ncalls--;
	MemoryContextDelete(state->context);
}
