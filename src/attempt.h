/*
 * attempt.h
 *	  What an attempt is, of a call and of a token alike: memory that is wiped
 *	  before it is freed, and the wait after one that failed.
 */
#ifndef KC_ATTEMPT_H
#define KC_ATTEMPT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fault.h"

/*
 * Empties the memory of an attempt, or makes it below parent, and sees to it
 * that whatever frees it calls wipe first.  cleanup belongs to this attempt
 * and lives longer than it.
 */
extern void kc_attempt_begin(MemoryContext *attempt, MemoryContext parent,
							 MemoryContextCallback *cleanup,
							 MemoryContextCallbackFunction wipe, void *arg);

/* NULL is fine */
extern void kc_wipe_string(char *text);

/* failures counts the last one; retry_after_ms is what the service asked for, or -1 */
extern TimestampTz kc_back_off_until(TimestampTz now, int failures, int64 retry_after_ms);

/* Says of the last failure why it is not tried again, before its own detail */
extern void kc_no_time_left(KcFault *fault);

#endif							/* KC_ATTEMPT_H */
