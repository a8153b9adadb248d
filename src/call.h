/*
 * call.h
 *	  A call: one operation of the service, with its token, its pages and its
 *	  retries.  A caller holds many calls in a queue; as many as the http
 *	  client has room for are under way.
 *
 * Invariant: a call ends exactly once, with a whole list or with a fault, and
 * a submit whose request may have reached the service is never repeated here
 * unless the service itself answered that it did not take it.
 */
#ifndef KC_CALL_H
#define KC_CALL_H

#include "postgres.h"

#include "http.h"
#include "wire.h"

typedef struct KcCaller KcCaller;

typedef struct KcCall
{
	/* what was asked */
	int64		ticket;
	KcOperation operation;
	char	   *organization_id;
	KcArguments arguments;

	/* the outcome; fault.kind NONE = success */
	KcFault		fault;
	Tuplestorestate *rows;		/* of kinderconnect.reply_* */
	TupleDesc	row_desc;
	int64		entries;
	int64		problems;
	int			pages;
	int			attempts;		/* HTTP exchanges of this call, tokens not counted */
	int64		bytes;			/* of replies, decompressed */
	TimestampTz first_sent;		/* 0 = never */
	TimestampTz ended;

	/* private to call.c */
	struct KcCallState *state;
} KcCall;

/* Lives in a child of parent; deadline is absolute */
extern KcCaller *kc_caller_create(MemoryContext parent, int max_in_flight,
								  TimestampTz deadline);
extern void kc_caller_destroy(KcCaller *caller);

/*
 * Queues a call; arguments are copied.  ERROR (KC001) for an organization
 * that is not known or whose dialect has no such operation, and for arguments
 * or records that its dialect cannot say.
 */
extern KcCall *kc_caller_add(KcCaller *caller, KcOperation operation,
							 const char *organization_id, const KcArguments *arguments);

/* Calls queued, under way, or done and not yet released */
extern int	kc_caller_pending(const KcCaller *caller);

/* How many more calls a careful user queues: twice max_in_flight less pending */
extern int	kc_caller_room(const KcCaller *caller);

/* Sends what can be sent and takes in what has arrived, without waiting */
extern void kc_caller_pump(KcCaller *caller);

/*
 * Lets calls go on until one has ended and was not handed out yet, or until
 * that time; no longer than any is queued or under way.
 */
extern void kc_caller_wait(KcCaller *caller, TimestampTz until);

/* The next call that has ended and was not handed out yet, or NULL */
extern KcCall *kc_caller_hand_out(KcCaller *caller);

/* An ended call by its ticket, or NULL; and its end */
extern KcCall *kc_caller_find(KcCaller *caller, int64 ticket);
extern void kc_caller_release(KcCaller *caller, KcCall *call);

#endif							/* KC_CALL_H */
