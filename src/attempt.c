/*
 * attempt.c
 *	  The memory of an attempt, and the wait after one that failed.
 *
 * Invariant: no secret of an attempt is left in freed memory, whether the
 * attempt ends by itself, by an ERROR, or with the transaction.
 */
#include "postgres.h"

#include <math.h>

#include "attempt.h"
#include "common/pg_prng.h"
#include "settings.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* No back-off is longer, whatever the service asks for */
#define KC_MAX_BACKOFF_MS (15 * 60 * 1000)

void
kc_attempt_begin(MemoryContext *attempt, MemoryContext parent,
				 MemoryContextCallback *cleanup,
				 MemoryContextCallbackFunction wipe, void *arg)
{
	if (*attempt == NULL)
		*attempt = AllocSetContextCreate(parent, "kinderconnect attempt",
										 ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(*attempt);
	cleanup->func = wipe;
	cleanup->arg = arg;
	MemoryContextRegisterResetCallback(*attempt, cleanup);
}

void
kc_wipe_string(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
}

/*
 * Exponential with full jitter, so that calls that failed together do not
 * come back together; or what the service asked for, where that is longer.
 */
TimestampTz
kc_back_off_until(TimestampTz now, int failures, int64 retry_after_ms)
{
	double		longest = Min(ldexp(kc_retry_delay, Min(failures - 1, 20)),
							  (double) KC_MAX_BACKOFF_MS);
	int64		delay = (int64) (longest * pg_prng_double(&pg_global_prng_state));

	delay = Max(delay, Min(retry_after_ms, KC_MAX_BACKOFF_MS));
	return TimestampTzPlusMilliseconds(now, delay);
}

void
kc_no_time_left(KcFault *fault)
{
	kc_fault_detail(fault, "No time is left for another attempt before the deadline of the run.%s%s",
					fault->detail[0] != '\0' ? " " : "", fault->detail);
}
