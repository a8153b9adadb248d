/*
 * http.h
 *	  Many HTTP exchanges at once from one backend, over libcurl's multi
 *	  interface: connections kept and reused, every wait interruptible.
 *
 * Knows nothing of tokens, dialects or retries: bytes out, bytes in.
 */
#ifndef KC_HTTP_H
#define KC_HTTP_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fault.h"

typedef struct KcHttp KcHttp;
typedef struct KcExchange KcExchange;

/*
 * Called with a part of the reply's body, inside a libcurl callback but under
 * PG_TRY with interrupts held: an ERROR is kept and raised again by
 * kc_http_next().  http_status is known.  Answers false to stop reading; then
 * the exchange ends with what fault says, or as a short but successful read
 * where it says nothing.
 */
typedef bool (*KcSink) (KcExchange *exchange, const char *data, size_t len);

struct KcExchange
{
	/* set by the owner before kc_http_start(), and kept until it is done */
	const char *method;
	const char *url;
	const char **headers;		/* "Name: value", NULL-terminated */
	const char *user;			/* HTTP Basic, or NULL */
	const char *password;
	const char *body;
	size_t		body_len;
	bool		http2;			/* may HTTP/2 be used? */
	TimestampTz deadline;		/* absolute; cuts the request timeout */
	KcSink		sink;
	void	   *owner;

	/* set when it is done */
	int			http_status;	/* 0 where there was no answer */
	int64		retry_after_ms; /* -1 where the server did not say */
	char		content_type[128];
	int64		bytes_in;		/* decompressed body */
	KcFault		fault;			/* kind NONE: a whole answer of any status */
};

/* Everything is freed with parent */
extern KcHttp *kc_http_create(MemoryContext parent, int max_in_flight);

extern int	kc_http_room(const KcHttp *http);	/* exchanges that may be started now */

/*
 * The next kc_http_next() sends it, also one that does not wait; room must be
 * over 0.  After an ERROR nothing is under way.
 */
extern void kc_http_start(KcHttp *http, KcExchange *exchange);

/*
 * The next exchange that is done, waiting for one until the given time; NULL
 * when that time has come.  A time in the past looks without waiting.  Cancel
 * and terminate end the wait at once.
 */
extern KcExchange *kc_http_next(KcHttp *http, TimestampTz until);

#endif							/* KC_HTTP_H */
