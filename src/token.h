/*
 * token.h
 *	  OAuth2 client credentials: one token for an endpoint and client id,
 *	  fetched when a call first needs it, renewed before it expires.
 *
 * Invariant: at most one exchange for a token is under way, however many calls
 * wait for it, and after a refusal nobody asks again for a minute.
 */
#ifndef KC_TOKEN_H
#define KC_TOKEN_H

#include "postgres.h"

#include "http.h"
#include "mask.h"

typedef struct KcToken KcToken;

typedef enum KcTokenState
{
	KC_TOKEN_READY,				/* kc_token_value() can be used */
	KC_TOKEN_WAIT,				/* for its exchange, or until kc_token_not_before() */
	KC_TOKEN_FAILED				/* kc_token_fault() says why */
} KcTokenState;

/*
 * In a context of its own below the current one, to be handed on by
 * kc_token_set_parent().  client_secret is the name of a secret; scope may be
 * NULL.
 */
extern KcToken *kc_token_create(KcHttp *http, TimestampTz deadline,
								const char *endpoint, const char *url, bool http2,
								const char *scope, const char *client_id,
								const char *client_secret);
extern void kc_token_set_parent(KcToken *token, MemoryContext parent);
extern bool kc_token_is_of(const KcToken *token, const char *endpoint,
						   const char *client_id);

/*
 * Can a call use it now?  Where it is missing or too old, and there is room
 * in the http client, it is asked for.
 */
extern KcTokenState kc_token_prepare(KcToken *token, TimestampTz now);
extern TimestampTz kc_token_not_before(const KcToken *token);
extern const KcFault *kc_token_fault(const KcToken *token);
extern const char *kc_token_value(const KcToken *token);

/* Counts the values, so that a call knows whether another one has renewed it */
extern uint32 kc_token_generation(const KcToken *token);

/* The service did not take the value of this generation */
extern void kc_token_expire(KcToken *token, uint32 generation);

/* Adds the client secret, as it is and as it stands in our request for a token */
extern void kc_token_add_secrets(const KcToken *token, KcMask *mask);

/* The token whose exchange this is, or NULL */
extern KcToken *kc_token_of_exchange(const KcExchange *exchange);

/*
 * Takes in its exchange, which is done.  KC_TOKEN_FAILED ends all calls that
 * wait for it.
 */
extern KcTokenState kc_token_answered(KcToken *token);

#endif							/* KC_TOKEN_H */
