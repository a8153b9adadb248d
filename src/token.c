/*
 * token.c
 *	  OAuth2 client credentials: fetch, renew, back off, and remember a refusal.
 *
 * Invariant: the value and the client secret are wiped before their memory is
 * freed, and the secret is in memory only while an exchange is under way.
 */
#include "postgres.h"

#include "attempt.h"
#include "secrets.h"
#include "settings.h"
#include "token.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "wire.h"

/* A token is renewed so long before it expires, or after 90 % of its life */
#define KC_TOKEN_MARGIN_S 60

/* The life of a token that does not tell */
#define KC_TOKEN_LIFE_S 300
#define KC_TOKEN_MAX_LIFE_S (24 * 60 * 60)

/*
 * After a refusal no one asks again so long: hundreds of calls with a wrong
 * client secret would look like an attack.
 */
#define KC_TOKEN_REFUSAL_MS (60 * 1000)

#define KC_TOKEN_REPLY_BYTES (64 * 1024)
#define KC_MAX_TOKEN_LEN (16 * 1024)

struct KcToken
{
	MemoryContext context;
	MemoryContextCallback cleanup;
	MemoryContext attempt;		/* of one exchange */
	MemoryContextCallback attempt_cleanup;
	KcHttp	   *http;
	TimestampTz deadline;
	char	   *endpoint;
	char	   *url;
	bool		http2;
	char	   *scope;
	char	   *client_id;
	char	   *client_secret;	/* its name */

	char	   *value;			/* NULL = none */
	uint32		generation;		/* counts the values */
	TimestampTz renew_at;

	bool		fetching;
	int			failures;
	TimestampTz not_before;
	KcFault		fault;
	TimestampTz refused_until;

	/* while fetching */
	KcExchange	exchange;
	char	   *secret;			/* form-encoded */
	KcMask		mask;
	char	   *reply;
	size_t		reply_len;
};

static void
kc_wipe_token_attempt(void *arg)
{
	KcToken    *token = (KcToken *) arg;

	kc_wipe_string(token->secret);
	token->secret = NULL;
	kc_mask_wipe(&token->mask);
	if (token->reply != NULL)
		explicit_bzero(token->reply, KC_TOKEN_REPLY_BYTES);
	token->reply = NULL;
}

static void
kc_wipe_token(void *arg)
{
	kc_wipe_string(((KcToken *) arg)->value);
}

KcToken *
kc_token_create(KcHttp *http, TimestampTz deadline, const char *endpoint,
				const char *url, bool http2, const char *scope,
				const char *client_id, const char *client_secret)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "kinderconnect token",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	KcToken    *token = (KcToken *) palloc0(sizeof(KcToken));

	token->context = context;
	token->http = http;
	token->deadline = deadline;
	token->endpoint = pstrdup(endpoint);
	token->url = pstrdup(url);
	token->http2 = http2;
	token->scope = scope == NULL ? NULL : pstrdup(scope);
	token->client_id = pstrdup(client_id);
	token->client_secret = pstrdup(client_secret);
	token->cleanup.func = kc_wipe_token;
	token->cleanup.arg = token;
	MemoryContextRegisterResetCallback(context, &token->cleanup);
	MemoryContextSwitchTo(old);
	return token;
}

void
kc_token_set_parent(KcToken *token, MemoryContext parent)
{
	MemoryContextSetParent(token->context, parent);
}

bool
kc_token_is_of(const KcToken *token, const char *endpoint, const char *client_id)
{
	return strcmp(token->endpoint, endpoint) == 0 &&
		strcmp(token->client_id, client_id) == 0;
}

TimestampTz
kc_token_not_before(const KcToken *token)
{
	return token->not_before;
}

const KcFault *
kc_token_fault(const KcToken *token)
{
	return &token->fault;
}

const char *
kc_token_value(const KcToken *token)
{
	return token->value;
}

uint32
kc_token_generation(const KcToken *token)
{
	return token->generation;
}

void
kc_token_expire(KcToken *token, uint32 generation)
{
	if (token->generation == generation)
		token->renew_at = 0;
}

/*
 * application/x-www-form-urlencoded, as RFC 6749 asks also for Basic.  out has
 * room for three times the text, and its end.
 */
static char *
kc_form_encode(const char *text, char *out)
{
	char	   *o = out;

	for (const unsigned char *t = (const unsigned char *) text; *t != '\0'; t++)
	{
		if ((*t >= '0' && *t <= '9') || (*t >= 'A' && *t <= 'Z') ||
			(*t >= 'a' && *t <= 'z') || strchr("-._*", *t) != NULL)
			*o++ = *t;
		else if (*t == ' ')
			*o++ = '+';
		else
			o += sprintf(o, "%%%02X", *t);
	}
	*o = '\0';
	return out;
}

#define KC_FORM_ROOM(text) (3 * strlen(text) + 1)

/* What stands behind "Basic" in the request for a token, in wiped memory */
static char *
kc_basic_credentials(const char *client_id, const char *encoded_secret)
{
	size_t		id_room = KC_FORM_ROOM(client_id);
	char	   *pair = kc_secret_alloc(id_room + 1 + strlen(encoded_secret));
	char	   *basic;
	int			room;
	int			len;

	kc_form_encode(client_id, pair);
	strcat(pair, ":");
	strcat(pair, encoded_secret);
	room = pg_b64_enc_len(strlen(pair)) + 1;
	basic = kc_secret_alloc(room);
	len = kc_b64_encode(pair, strlen(pair), basic, room);
	basic[Max(len, 0)] = '\0';
	kc_secret_free(pair);
	return basic;
}

void
kc_token_add_secrets(const KcToken *token, KcMask *mask)
{
	KcFault		fault;
	char	   *secret = kc_secret_read(KC_CLIENT_SECRET, token->endpoint, token->client_secret, &fault);
	char	   *encoded;
	char	   *basic;

	if (secret == NULL)
	{
		mask->unknown = true;
		return;
	}
	encoded = kc_form_encode(secret, kc_secret_alloc(KC_FORM_ROOM(secret)));
	basic = kc_basic_credentials(token->client_id, encoded);
	kc_mask_add(mask, basic);
	kc_mask_add(mask, encoded);
	kc_mask_add(mask, secret);
	kc_secret_free(basic);
	kc_secret_free(encoded);
	kc_secret_free(secret);
}

static bool
kc_token_sink(KcExchange *exchange, const char *data, size_t len)
{
	KcToken    *token = (KcToken *) exchange->owner;

	if (token->reply_len + len > KC_TOKEN_REPLY_BYTES)
	{
		kc_fault_set(&exchange->fault, KC_FAULT_TOO_LARGE, true,
					 "the reply of the token endpoint is larger than %d kB",
					 KC_TOKEN_REPLY_BYTES / 1024);
		return false;
	}
	memcpy(token->reply + token->reply_len, data, len);
	token->reply_len += len;
	return true;
}

/* Asks for a token; false with token->fault where that cannot even be sent */
static bool
kc_token_fetch(KcToken *token)
{
	static const char *headers[] = {
		"Content-Type: application/x-www-form-urlencoded",
		"Accept: application/json",
		NULL
	};
	KcExchange *exchange = &token->exchange;
	MemoryContext old;
	char	   *secret;

	kc_attempt_begin(&token->attempt, token->context, &token->attempt_cleanup,
					 kc_wipe_token_attempt, token);
	old = MemoryContextSwitchTo(token->attempt);
	memset(exchange, 0, sizeof(*exchange));
	secret = kc_secret_read(KC_CLIENT_SECRET, token->endpoint, token->client_secret, &token->fault);
	if (secret == NULL)
	{
		MemoryContextSwitchTo(old);
		return false;
	}
	exchange->method = "POST";
	exchange->url = token->url;
	exchange->headers = headers;
	exchange->user = kc_form_encode(token->client_id,
									(char *) palloc(KC_FORM_ROOM(token->client_id)));
	token->secret = kc_form_encode(secret, (char *) palloc(KC_FORM_ROOM(secret)));
	kc_secret_free(secret);
	kc_token_add_secrets(token, &token->mask);
	exchange->password = token->secret;
	exchange->body = token->scope == NULL ? "grant_type=client_credentials" :
		psprintf("grant_type=client_credentials&scope=%s",
				 kc_form_encode(token->scope, (char *) palloc(KC_FORM_ROOM(token->scope))));
	exchange->body_len = strlen(exchange->body);
	exchange->http2 = token->http2;
	exchange->deadline = token->deadline;
	exchange->sink = kc_token_sink;
	exchange->owner = token;
	token->reply = (char *) palloc(KC_TOKEN_REPLY_BYTES);
	token->reply_len = 0;
	MemoryContextSwitchTo(old);

	kc_http_start(token->http, exchange);
	token->fetching = true;
	return true;
}

/* A header is made of it: visible ASCII alone */
static bool
kc_token_is_sane(const char *value)
{
	size_t		len = strlen(value);

	if (len == 0 || len > KC_MAX_TOKEN_LEN)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (value[i] < 0x21 || value[i] > 0x7e)
			return false;
	}
	return true;
}

/* What a 200 said; false with token->fault */
static bool
kc_token_take(KcToken *token)
{
	char	   *value = kc_json_get(token->reply, token->reply_len, "access_token");
	char	   *type = kc_json_get(token->reply, token->reply_len, "token_type");
	char	   *expires = kc_json_get(token->reply, token->reply_len, "expires_in");
	int64		life = KC_TOKEN_LIFE_S;
	bool		ok;

	ok = value != NULL && kc_token_is_sane(value) &&
		(type == NULL || pg_strcasecmp(type, "bearer") == 0);
	if (ok)
	{
		if (expires != NULL)
			life = Max(1, Min(strtol(expires, NULL, 10), KC_TOKEN_MAX_LIFE_S));
		kc_wipe_string(token->value);
		if (token->value != NULL)
			pfree(token->value);
		token->value = NULL;
		token->value = MemoryContextStrdup(token->context, value);
		token->generation++;
		token->renew_at = GetCurrentTimestamp() + life * USECS_PER_SEC -
			Min(KC_TOKEN_MARGIN_S * USECS_PER_SEC, life * USECS_PER_SEC / 10);
	}
	else
	{
		kc_fault_set(&token->fault, KC_FAULT_REPLY, false,
					 "the reply of the token endpoint cannot be understood");
		kc_fault_detail(&token->fault,
						"It must be a JSON object with an access_token of the type Bearer.");
		kc_fault_hint(&token->fault, "Check token_url of kinderconnect.endpoint.");
	}
	kc_wipe_string(value);
	return ok;
}

/* What any other status said */
static void
kc_token_refused(KcToken *token)
{
	int			status = token->exchange.http_status;
	char	   *code = kc_json_get(token->reply, token->reply_len, "error");
	char	   *message = kc_json_get(token->reply, token->reply_len, "error_description");

	kc_mask_string(&token->mask, code);
	kc_mask_string(&token->mask, message);
	kc_fault_from_http(&token->fault, status, KC_FAULT_REFUSED, code, message);
	if (status == 400 || status == 401 || status == 403)
	{
		token->fault.kind = KC_FAULT_TOKEN;
		snprintf(token->fault.message, sizeof(token->fault.message),
				 "the token endpoint does not accept our credentials (HTTP status %d)",
				 status);
		kc_fault_hint(&token->fault, "Check client_id and scope of kinderconnect.endpoint, and the secret that its column client_secret names.");
	}
}

/* Once more later, or the end of all calls that wait for it */
static KcTokenState
kc_token_failed(KcToken *token)
{
	KcFault    *fault = &token->fault;
	TimestampTz now = GetCurrentTimestamp();

	token->failures++;
	if ((fault->kind == KC_FAULT_UNREACHABLE || fault->kind == KC_FAULT_BUSY ||
		 fault->kind == KC_FAULT_LOST) && token->failures < kc_max_attempts)
	{
		TimestampTz not_before = kc_back_off_until(now, token->failures,
												   token->exchange.retry_after_ms);

		if (not_before < token->deadline)
		{
			token->not_before = not_before;
			return KC_TOKEN_WAIT;
		}
		kc_no_time_left(fault);
		token->refused_until = not_before;
	}

	token->failures = 0;
	token->not_before = 0;
	if (fault->kind == KC_FAULT_TOKEN)
		token->refused_until = TimestampTzPlusMilliseconds(now, KC_TOKEN_REFUSAL_MS);
	return KC_TOKEN_FAILED;
}

KcToken *
kc_token_of_exchange(const KcExchange *exchange)
{
	return exchange->sink == kc_token_sink ? (KcToken *) exchange->owner : NULL;
}

KcTokenState
kc_token_answered(KcToken *token)
{
	MemoryContext old;
	bool		ok = false;

	token->fetching = false;
	kc_fault_set(&token->fault, KC_FAULT_REPLY, false,
				 "the reply of the token endpoint could not be stored");

	old = MemoryContextSwitchTo(token->attempt);
	if (token->exchange.fault.kind != KC_FAULT_NONE)
		token->fault = token->exchange.fault;
	else if (token->exchange.http_status == 200)
		ok = kc_token_take(token);
	else
		kc_token_refused(token);
	MemoryContextSwitchTo(old);
	kc_wipe_token_attempt(token);

	if (!ok)
		return kc_token_failed(token);
	token->failures = 0;
	token->not_before = 0;
	return KC_TOKEN_READY;
}

KcTokenState
kc_token_prepare(KcToken *token, TimestampTz now)
{
	if (token->fetching || token->not_before > now)
		return KC_TOKEN_WAIT;
	if (token->value != NULL && now < token->renew_at)
		return KC_TOKEN_READY;
	if (kc_http_room(token->http) == 0)
		return KC_TOKEN_WAIT;
	if (token->refused_until <= now && kc_token_fetch(token))
		return KC_TOKEN_WAIT;
	return KC_TOKEN_FAILED;
}
