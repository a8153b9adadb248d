/*
 * mask.h
 *	  Our secrets in what the service says, which may quote our request.
 *
 * Knows nothing of where secrets come from.
 */
#ifndef KC_MASK_H
#define KC_MASK_H

#include "postgres.h"

#define KC_MAX_MASKED 8

/* A shorter one would make any text unreadable, and is no secret */
#define KC_MIN_MASKED 4

typedef struct KcMask
{
	int			count;
	char	   *secrets[KC_MAX_MASKED];
	bool		unknown;		/* one of them could not be read: nothing is kept */
} KcMask;

/* Copies it into the current context; whoever frees that wipes the mask first */
extern void kc_mask_add(KcMask *mask, const char *secret);
extern void kc_mask_wipe(KcMask *mask);

/*
 * Replaces by asterisks every occurrence of a secret in text, as it is or
 * escaped as in JSON, and the beginning of one with which the text ends.  The
 * text is UTF-8 and stays so, and as long as it is.
 */
extern void kc_mask_apply(const KcMask *mask, char *text, size_t len);
extern void kc_mask_string(const KcMask *mask, char *text); /* NULL is fine */

#endif							/* KC_MASK_H */
