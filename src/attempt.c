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
#include "secrets.h"
#include "settings.h"
#include "utils/json.h"
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

void
kc_mask_secret(char *text, const char *name)
{
	KcFault		fault;
	char	   *secret;
	StringInfoData quoted;

	if (text == NULL)
		return;
	secret = kc_secret_read(KC_GROUP_PASSWORD, "", name, &fault);
	if (secret == NULL)
	{
		text[0] = '\0';
		return;
	}
	/* so big that it is never moved */
	quoted.maxlen = strlen(secret) * 6 + 3;
	quoted.data = kc_secret_alloc(quoted.maxlen);
	resetStringInfo(&quoted);
	escape_json(&quoted, secret);
	quoted.data[quoted.len - 1] = '\0';
	kc_secret_mask(text, quoted.data + 1);
	kc_secret_mask(text, secret);
	kc_secret_free(quoted.data);
	kc_secret_free(secret);
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
