/*
 * http.c
 *	  Many HTTP exchanges at once from one backend.
 *
 * Owns every libcurl handle, socket and wait event set of the extension.  All
 * of them hang on one memory context and are freed by its reset callback, so
 * that a return, an ERROR and the abort of a transaction clean up alike.
 *
 * Invariant: an exchange is sent at most once.  libcurl would by itself repeat
 * a request on a fresh connection when a kept one turns out to be dead; that
 * needs the body to be read again, which is refused here, so that repeating
 * is always the decision of the caller.
 *
 * For the same reason a connection carries one exchange at a time, also where
 * HTTP/2 could carry more: with HTTP/1.1 and HTTP/2 connections to one host,
 * libcurl 7.88 has been seen to put two exchanges on one HTTP/1.1 connection
 * and to give each the answer of the other.
 *
 * The timeouts are kept here and not by libcurl, which looks at its clock
 * before it looks at the socket: an answer that arrived while the backend was
 * busy elsewhere, waiting for a lock perhaps, would be thrown away as late.
 * Only the time spent in a wait counts, by a clock that nobody sets.  The
 * deadline is a time of day.
 */
#include "postgres.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>

#include "http.h"
#include "kc_compat.h"
#include "kc_curl_compat.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "secrets.h"
#include "settings.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

/* Of one reply; far more than any honest service sends */
#define KC_MAX_HEADER_BYTES (64 * 1024)

/*
 * Events taken from one wait: all there can be, so that nothing is late that
 * lies there to be read.  max_in_flight is 64 at most; who connects may do so
 * to two addresses at once.
 */
#define KC_MAX_EVENTS (2 * 64 + 2)

/* For less than this libcurl's timer is not put off, for it is at every event */
#define KC_AWAY_US 1000

typedef struct KcSlot
{
	KcHttp	   *http;
	CURL	   *easy;			/* kept for the life of the client */
	struct curl_slist *headers;
	KcExchange *exchange;		/* NULL = the slot is free */
	bool		done;			/* waits to be handed out */
	size_t		body_read;		/* bytes of the body libcurl has taken */
	size_t		header_bytes;
	bool		stopped;		/* the sink wants no more */
	int64		began;			/* http->waited at its start */
	int64		away;			/* us since then that were no wait, as far as
								 * they are told to libcurl */
	char		host[128];		/* for messages */
	char		error_text[CURL_ERROR_SIZE];
} KcSlot;

typedef struct KcSocket
{
	curl_socket_t fd;
	uint32		events;			/* WL_SOCKET_* */
} KcSocket;

struct KcHttp
{
	MemoryContext context;
	MemoryContextCallback cleanup;
	bool		closing;		/* libcurl's callbacks have nothing to do */

	CURLM	   *multi;
	int			nfds;			/* descriptors announced to fd.c */
	int			nslots;
	int			in_flight;		/* slots that are not free */
	sigset_t	signals;		/* the mask outside libcurl */
	KcSlot	   *slots;

	/* what libcurl wants us to wait for */
	KcSocket   *sockets;
	int			nsockets;
	int			max_sockets;
	bool		sockets_changed;
	WaitEventSet *wait_set;		/* NULL = to be built */
	int64		timer;			/* by kc_http_clock(); 0 = none */

	/* us */
	int64		waited;			/* in all */
	int64		counted_to;		/* by kc_http_clock() */

	/* an ERROR of a sink, until libcurl has returned */
	MemoryContext error_context;
	ErrorData  *error;
};

/* They hold the bearer token */
static void
kc_http_free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *h = headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(headers);
}

/*
 * Frees what palloc does not know of.  May run while a transaction aborts, so
 * nothing in here can raise.
 */
static void
kc_http_cleanup(void *arg)
{
	KcHttp	   *http = (KcHttp *) arg;

	http->closing = true;
	if (http->wait_set != NULL)
		FreeWaitEventSet(http->wait_set);
	for (int i = 0; i < http->nslots; i++)
	{
		KcSlot	   *slot = &http->slots[i];

		if (slot->easy != NULL)
		{
			curl_multi_remove_handle(http->multi, slot->easy);
			curl_easy_cleanup(slot->easy);
		}
		kc_http_free_headers(slot->headers);
	}
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	while (http->nfds-- > 0)
		ReleaseExternalFD();
}

/*
 * libcurl adds, changes or removes a socket to wait for.  It does so for
 * almost every exchange, hence a plain list; the wait event set is built anew
 * before the next wait.
 */
static int
kc_http_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	KcHttp	   *http = (KcHttp *) arg;
	uint32		events = 0;
	int			i;

	if (http->closing)
		return 0;

	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= WL_SOCKET_READABLE;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= WL_SOCKET_WRITEABLE;

	http->sockets_changed = true;
	for (i = 0; i < http->nsockets; i++)
	{
		if (http->sockets[i].fd == fd)
			break;
	}

	if (events == 0)
	{
		if (i < http->nsockets)
			http->sockets[i] = http->sockets[--http->nsockets];
		return 0;
	}

	if (i == http->max_sockets)
	{
		KcSocket   *larger;

		larger = (KcSocket *) MemoryContextAllocExtended(http->context,
														 2 * http->max_sockets * sizeof(KcSocket),
														 MCXT_ALLOC_NO_OOM);
		if (larger == NULL)
			return -1;
		memcpy(larger, http->sockets, http->nsockets * sizeof(KcSocket));
		pfree(http->sockets);
		http->sockets = larger;
		http->max_sockets *= 2;
	}
	if (i == http->nsockets)
		http->nsockets++;
	http->sockets[i].fd = fd;
	http->sockets[i].events = events;
	return 0;
}

static int64
kc_http_clock(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

static int
kc_http_on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	KcHttp	   *http = (KcHttp *) arg;

	if (timeout_ms < 0)
		http->timer = 0;
	else
		http->timer = kc_http_clock() + (int64) timeout_ms * 1000;
	return 0;
}

/*
 * The body is read by a callback, and not copied from a pointer, to know
 * whether any of it has gone out.
 */
static size_t
kc_http_on_read(char *buffer, size_t size, size_t nitems, void *arg)
{
	KcSlot	   *slot = (KcSlot *) arg;
	size_t		len = Min(size * nitems, slot->exchange->body_len - slot->body_read);

	memcpy(buffer, slot->exchange->body + slot->body_read, len);
	slot->body_read += len;
	return len;
}

/*
 * Called when libcurl wants to send the body once more, on a fresh connection
 * in place of one that died.  What has been read may have been acted upon.
 */
static int
kc_http_on_seek(void *arg, curl_off_t offset, int origin)
{
	KcSlot	   *slot = (KcSlot *) arg;

	if (origin == SEEK_SET && offset == (curl_off_t) slot->body_read)
		return CURL_SEEKFUNC_OK;
	return CURL_SEEKFUNC_FAIL;
}

static size_t
kc_http_on_header(char *data, size_t size, size_t nitems, void *arg)
{
	KcSlot	   *slot = (KcSlot *) arg;
	size_t		len = size * nitems;

	slot->header_bytes += len;
	if (slot->header_bytes > KC_MAX_HEADER_BYTES)
	{
		kc_fault_set(&slot->exchange->fault, KC_FAULT_REPLY, true,
					 "the reply of \"%s\" has more than %d bytes of headers",
					 slot->host, KC_MAX_HEADER_BYTES);
		return 0;
	}
	return len;
}

static void
kc_http_read_status(KcSlot *slot)
{
	KcExchange *exchange = slot->exchange;
	long		status = 0;
	char	   *content_type = NULL;

	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(slot->easy, CURLINFO_CONTENT_TYPE, &content_type);
	exchange->http_status = (int) status;
	strlcpy(exchange->content_type, content_type ? content_type : "",
			sizeof(exchange->content_type));
}

/*
 * The resolver's threads inherit the signal mask: with all signals blocked
 * while they may be created, no handler of the backend ever runs on one.
 */
static void
kc_http_block_signals(KcHttp *http)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &http->signals);
}

static void
kc_http_unblock_signals(KcHttp *http)
{
	pthread_sigmask(SIG_SETMASK, &http->signals, NULL);
}

/*
 * Hands a part of the body to the sink.  A longjmp through libcurl's frames
 * would leave its handles unusable for good, so an ERROR is caught here and
 * raised again as soon as libcurl has returned.  That is no recovery: nobody
 * goes on in between, hence no subtransaction.
 */
static bool
kc_http_call_sink(KcSlot *slot, const char *data, size_t len)
{
	KcHttp	   *http = slot->http;
	KcExchange *exchange = slot->exchange;
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	uint32		holdoff;
	volatile bool more = false;

	/* a decompressed reply is many parts: somebody may want to end that */
	kc_http_unblock_signals(http);
	HOLD_INTERRUPTS();
	holdoff = InterruptHoldoffCount;
	PG_TRY();
	{
		more = exchange->sink(exchange, data, len);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		/* errfinish() has reset it */
		InterruptHoldoffCount = holdoff;
		CurrentResourceOwner = owner;
		if (http->error == NULL)
			MemoryContextReset(http->error_context);
		MemoryContextSwitchTo(http->error_context);
		error = CopyErrorData();
		FlushErrorState();
		MemoryContextSwitchTo(context);
		kc_fault_set(&exchange->fault, KC_FAULT_REPLY, true,
					 "the reply of \"%s\" could not be stored", slot->host);
		kc_fault_detail(&exchange->fault, "PostgreSQL says: %s.", error->message);
		kc_fault_hint(&exchange->fault, KC_HINT_NOT_STORED);
		if (http->error == NULL)
			http->error = error;
	}
	PG_END_TRY();
	RESUME_INTERRUPTS();
	kc_http_block_signals(http);

	return more;
}

static size_t
kc_http_on_write(char *data, size_t size, size_t nitems, void *arg)
{
	KcSlot	   *slot = (KcSlot *) arg;
	KcExchange *exchange = slot->exchange;
	size_t		len = size * nitems;

	if (exchange->bytes_in == 0)
		kc_http_read_status(slot);
	exchange->bytes_in += len;

	if (exchange->bytes_in > (int64) kc_max_response * 1024)
	{
		kc_fault_set(&exchange->fault, KC_FAULT_TOO_LARGE, true,
					 "the reply of \"%s\" is larger than %d kB",
					 slot->host, kc_max_response);
		kc_fault_hint(&exchange->fault,
					  "The limit is the setting kinderconnect.max_response.");
		return CURL_WRITEFUNC_ERROR;
	}

	if (!kc_http_call_sink(slot, data, len))
	{
		slot->stopped = true;
		return CURL_WRITEFUNC_ERROR;
	}
	/* kc_http_act() lets it happen; until then the answer is lost */
	if (QueryCancelPending || ProcDiePending)
		return CURL_WRITEFUNC_ERROR;
	return len;
}

static bool
kc_http_set_multi_options(KcHttp *http)
{
	CURLM	   *multi = http->multi;
	long		most = http->nslots;

	return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, kc_http_on_socket) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, kc_http_on_timer) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, most) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, most) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, most) == CURLM_OK &&
		kc_curl_multi_quick_exit(multi) == CURLM_OK;
}

KcHttp *
kc_http_create(MemoryContext parent, int max_in_flight)
{
	MemoryContext context;
	KcHttp	   *http;
	bool		ok;

	context = AllocSetContextCreate(parent, "kinderconnect http",
									ALLOCSET_DEFAULT_SIZES);
	http = (KcHttp *) MemoryContextAllocZero(context, sizeof(KcHttp));
	http->context = context;
	http->slots = (KcSlot *) MemoryContextAllocZero(context,
													max_in_flight * sizeof(KcSlot));
	http->nslots = max_in_flight;
	http->max_sockets = 2 * max_in_flight;
	http->sockets = (KcSocket *) MemoryContextAlloc(context,
													http->max_sockets * sizeof(KcSocket));

	/* Its first block is there from the start: an ERROR for want of memory fits */
	http->error_context = AllocSetContextCreate(context, "kinderconnect http error",
												ALLOCSET_DEFAULT_INITSIZE,
												ALLOCSET_DEFAULT_INITSIZE,
												ALLOCSET_DEFAULT_MAXSIZE);

	http->cleanup.func = kc_http_cleanup;
	http->cleanup.arg = http;
	MemoryContextRegisterResetCallback(context, &http->cleanup);

	for (; http->nfds < max_in_flight; http->nfds++)
	{
		if (!AcquireExternalFD())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("too many open files for %d requests at once", max_in_flight),
					 errhint("Lower the setting kinderconnect.max_in_flight, or raise max_files_per_process.")));
	}

	http->multi = curl_multi_init();
	ok = http->multi != NULL;
	for (int i = 0; ok && i < max_in_flight; i++)
	{
		http->slots[i].http = http;
		http->slots[i].easy = curl_easy_init();
		ok = http->slots[i].easy != NULL;
	}
	if (!ok || !kc_http_set_multi_options(http))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not set up libcurl")));
	return http;
}

int
kc_http_room(const KcHttp *http)
{
	return http->nslots - http->in_flight;
}

/* Ends the use of a slot's handle; what the handle kept alive lives on */
static void
kc_http_reset_slot(KcSlot *slot)
{
	curl_easy_reset(slot->easy);
	kc_http_free_headers(slot->headers);
	slot->headers = NULL;
}

/* Has any of the request left? */
static bool
kc_http_is_sent(KcSlot *slot)
{
	long		request_size = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_REQUEST_SIZE, &request_size);
	return slot->body_read > 0 || request_size > 0;
}

/*
 * Turns what libcurl says of a finished transfer into the outcome of its
 * exchange.  Where it is not certain that nothing went out, it counts as sent.
 */
static void
kc_http_finish(KcHttp *http, KcSlot *slot, CURLcode code)
{
	KcExchange *exchange = slot->exchange;
	curl_off_t	retry_after = 0;
	bool		sent;

	kc_http_read_status(slot);
	curl_easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &retry_after);
	sent = kc_http_is_sent(slot) || exchange->http_status != 0;
	if (retry_after > 0)
		exchange->retry_after_ms = (int64) Min(retry_after, INT_MAX) * 1000;

	if (exchange->fault.kind == KC_FAULT_NONE && code != CURLE_OK && !slot->stopped)
	{
		if (code == CURLE_OPERATION_TIMEDOUT && GetCurrentTimestamp() >= exchange->deadline)
		{
			kc_fault_set(&exchange->fault, KC_FAULT_DEADLINE, sent,
						 "the deadline came before the answer of \"%s\"", slot->host);
			kc_fault_hint(&exchange->fault,
						  "The limit is the setting kinderconnect.run_deadline.");
		}
		else if (code == CURLE_SEND_FAIL_REWIND)
			/* that is our own doing, see kc_http_on_seek() */
			kc_fault_from_curl(&exchange->fault, CURLE_GOT_NOTHING, true,
							   slot->host, NULL);
		else
			kc_fault_from_curl(&exchange->fault, code, sent, slot->host,
							   slot->error_text);
	}

	curl_multi_remove_handle(http->multi, slot->easy);
	kc_http_reset_slot(slot);
	slot->done = true;
}

/*
 * Counts the time since the last count.  libcurl's own timer while it connects,
 * which it needs to share the time among the addresses of a host, is put off
 * by what was no wait.
 */
static int64
kc_http_count_time(KcHttp *http, bool waited)
{
	int64		now = kc_http_clock();
	int64		passed = now - http->counted_to;

	http->counted_to = now;
	if (waited)
		http->waited += passed;
	if (waited || passed < KC_AWAY_US)
		return now;
	for (int i = 0; i < http->nslots; i++)
	{
		KcSlot	   *slot = &http->slots[i];

		if (slot->exchange == NULL || slot->done)
			continue;
		slot->away += passed;
		curl_easy_setopt(slot->easy, CURLOPT_CONNECTTIMEOUT_MS,
						 Min(kc_connect_timeout, kc_request_timeout) + (long) (slot->away / 1000));
	}
	return now;
}

/* How long it may still be waited for, in us */
static int64
kc_http_time_left(KcSlot *slot)
{
	int			timeout = kc_request_timeout;

	if (kc_connect_timeout < timeout && !kc_http_is_sent(slot))
		timeout = kc_connect_timeout;
	return (int64) timeout * 1000 - (slot->http->waited - slot->began);
}

/* After all that was there to be read has been */
static void
kc_http_end_late(KcHttp *http)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < http->nslots; i++)
	{
		KcSlot	   *slot = &http->slots[i];

		if (slot->exchange != NULL && !slot->done &&
			(slot->exchange->deadline <= now || kc_http_time_left(slot) <= 0))
			kc_http_finish(http, slot, CURLE_OPERATION_TIMEDOUT);
	}
}

/* Everything that calls libcurl to do work goes through here */
static void
kc_http_act(KcHttp *http, curl_socket_t fd, int what)
{
	CURLMcode	code;
	CURLMsg    *message;
	int			left;

	kc_http_count_time(http, false);
	kc_http_block_signals(http);
	code = curl_multi_socket_action(http->multi, fd, what, &left);
	kc_http_unblock_signals(http);

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		char	   *slot = NULL;
		CURLcode	result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
		kc_http_finish(http, (KcSlot *) slot, result);
	}

	if (http->error != NULL)
	{
		ErrorData  *error = http->error;

		http->error = NULL;
		ReThrowError(error);
	}
	CHECK_FOR_INTERRUPTS();
	if (code != CURLM_OK)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION),
				 errmsg("libcurl failed: %s", curl_multi_strerror(code))));
}

static void
kc_http_run_timer(KcHttp *http)
{
	if (http->timer != 0 && http->timer <= kc_http_clock())
	{
		/* libcurl sets it anew where it needs one */
		http->timer = 0;
		kc_http_act(http, CURL_SOCKET_TIMEOUT, 0);
	}
}

/* Of the owner's headers and our own; false when memory is short */
static bool
kc_http_make_headers(KcSlot *slot, const char **headers)
{
	/* No round trip before the body, and no form type of libcurl's choice */
	static const char *const ours[] = {"Expect:", NULL};

	for (int part = 0; part < 2; part++)
	{
		for (const char *const *h = part == 0 ? ours : headers; h != NULL && *h != NULL; h++)
		{
			struct curl_slist *longer = curl_slist_append(slot->headers, *h);

			if (longer == NULL)
				return false;
			slot->headers = longer;
		}
	}
	return true;
}

/* host[:port] of the URL */
static void
kc_http_set_host(KcSlot *slot, const char *url)
{
	const char *start = strstr(url, "://");

	start = start == NULL ? url : start + 3;
	strlcpy(slot->host, start, Min(sizeof(slot->host), strcspn(start, "/?#") + 1));
}

/*
 * The TLS library keeps what it has received in a buffer of its own, tokens
 * and names of children, and frees that as it is unless it is told.
 */
static CURLcode
kc_http_on_tls(CURL *easy, void *tls_context, void *arg)
{
	SSL_CTX_set_options((SSL_CTX *) tls_context, SSL_OP_CLEANSE_PLAINTEXT);
	return CURLE_OK;
}

static bool
kc_http_is_openssl(void)
{
	const char *version = curl_version_info(CURLVERSION_NOW)->ssl_version;

	return version != NULL && strncmp(version, "OpenSSL/", 8) == 0;
}

/*
 * All options of one exchange.  The answer is the first that libcurl did not
 * take: then nothing may be sent, for it may be the one that verifies.
 */
static CURLcode
kc_http_set_options(KcSlot *slot)
{
	KcExchange *exchange = slot->exchange;
	CURL	   *easy = slot->easy;
	bool		https = pg_strncasecmp(exchange->url, "https://", 8) == 0;
	CURLcode	code = CURLE_OK;

#define SET(option, value) \
	(code = code == CURLE_OK ? curl_easy_setopt(easy, option, value) : code)

	SET(CURLOPT_ERRORBUFFER, slot->error_text);
	SET(CURLOPT_PRIVATE, slot);
	SET(CURLOPT_URL, exchange->url);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);

	/* where it may go */
	SET(CURLOPT_PROTOCOLS_STR, https ? "https" : "http");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (https && kc_http_is_openssl())
		SET(CURLOPT_SSL_CTX_FUNCTION, kc_http_on_tls);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	if (kc_ca_file[0] != '\0')
	{
		SET(CURLOPT_CAINFO, kc_ca_file);
		SET(CURLOPT_CAPATH, (char *) NULL);
	}
	if (https && kc_client_certificate[0] != '\0')
	{
		SET(CURLOPT_SSLCERT, kc_client_certificate);
		SET(CURLOPT_SSLKEY, kc_client_key);
		/* with none at all, a key that has a passphrase is asked for at the terminal */
		SET(CURLOPT_KEYPASSWD, "");
	}

	/* how long, as far as libcurl is to know: see kc_http_end_late() */
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) Min(kc_connect_timeout, kc_request_timeout));
	SET(CURLOPT_TIMEOUT_MS, 0L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);

	/* what goes out */
	SET(CURLOPT_HTTP_VERSION, exchange->http2 ? (long) CURL_HTTP_VERSION_2TLS : (long) CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_POST, 1L);
	if (strcmp(exchange->method, "POST") != 0)
		SET(CURLOPT_CUSTOMREQUEST, exchange->method);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) exchange->body_len);
	SET(CURLOPT_READFUNCTION, kc_http_on_read);
	SET(CURLOPT_READDATA, slot);
	SET(CURLOPT_SEEKFUNCTION, kc_http_on_seek);
	SET(CURLOPT_SEEKDATA, slot);
	SET(CURLOPT_USERAGENT, "kinderconnect/" KC_VERSION);
	SET(CURLOPT_ACCEPT_ENCODING, "");
	SET(CURLOPT_HTTPHEADER, slot->headers);
	if (exchange->user != NULL)
	{
		SET(CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
		SET(CURLOPT_USERNAME, exchange->user);
		SET(CURLOPT_PASSWORD, exchange->password);
	}

	/* what comes in */
	SET(CURLOPT_HEADERFUNCTION, kc_http_on_header);
	SET(CURLOPT_HEADERDATA, slot);
	SET(CURLOPT_WRITEFUNCTION, kc_http_on_write);
	SET(CURLOPT_WRITEDATA, slot);
#undef SET

	return code;
}

/* The key is opened by the TLS library, which would not mind who can read it */
static bool
kc_http_check_key(KcExchange *exchange)
{
	if (kc_client_certificate[0] == '\0' && kc_client_key[0] == '\0')
		return true;
	if (kc_client_certificate[0] == '\0' || kc_client_key[0] == '\0')
	{
		kc_fault_set(&exchange->fault, KC_FAULT_CONFIG, false,
					 "a client certificate needs its key, and a key its certificate");
		kc_fault_hint(&exchange->fault,
					  "Set both kinderconnect.client_certificate and kinderconnect.client_key, or neither.");
		return false;
	}
	return kc_key_file_is_private(kc_client_key, &exchange->fault);
}

/*
 * Whatever may raise comes before the slot is taken: from then on there is an
 * exchange that has to end.
 */
void
kc_http_start(KcHttp *http, KcExchange *exchange)
{
	KcSlot	   *slot = NULL;
	bool		allowed;
	CURLcode	code;
	CURLMcode	multi_code;

	for (int i = 0; i < http->nslots && slot == NULL; i++)
	{
		if (http->slots[i].exchange == NULL)
			slot = &http->slots[i];
	}
	if (slot == NULL)
		elog(ERROR, "no room for another request");

	exchange->http_status = 0;
	exchange->retry_after_ms = -1;
	exchange->content_type[0] = '\0';
	exchange->bytes_in = 0;
	memset(&exchange->fault, 0, sizeof(exchange->fault));
	allowed = kc_http_check_key(exchange);

	/* what passed before is not of this one */
	kc_http_count_time(http, false);
	slot->exchange = exchange;
	slot->done = !allowed;
	slot->body_read = 0;
	slot->header_bytes = 0;
	slot->stopped = false;
	slot->began = http->waited;
	slot->away = 0;
	slot->error_text[0] = '\0';
	kc_http_set_host(slot, exchange->url);
	http->in_flight++;
	if (!allowed)
		return;

	code = kc_http_make_headers(slot, exchange->headers) ?
		kc_http_set_options(slot) : CURLE_OUT_OF_MEMORY;
	if (code != CURLE_OK)
	{
		kc_fault_set(&exchange->fault, KC_FAULT_CONFIG, false,
					 "libcurl cannot send a request as it has to be sent: %s",
					 curl_easy_strerror(code));
		kc_http_reset_slot(slot);
		slot->done = true;
		return;
	}

	kc_http_block_signals(http);
	multi_code = curl_multi_add_handle(http->multi, slot->easy);
	kc_http_unblock_signals(http);
	if (multi_code != CURLM_OK)
	{
		kc_fault_set(&exchange->fault, KC_FAULT_CONFIG, false,
					 "libcurl cannot send a request: %s",
					 curl_multi_strerror(multi_code));
		kc_http_reset_slot(slot);
		slot->done = true;
	}
}

static void
kc_http_build_wait_set(KcHttp *http)
{
	if (http->wait_set != NULL)
	{
		FreeWaitEventSet(http->wait_set);
		http->wait_set = NULL;
	}
	http->sockets_changed = true;	/* until the set is whole */
	http->wait_set = kc_create_wait_event_set(http->context, http->nsockets + 2);
	AddWaitEventToSet(http->wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(http->wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < http->nsockets; i++)
		AddWaitEventToSet(http->wait_set, http->sockets[i].events,
						  http->sockets[i].fd, NULL, NULL);
	http->sockets_changed = false;
}

/* How long to wait, in ms: until then, or until something is due before */
static long
kc_http_wait_time(KcHttp *http, TimestampTz until, int64 now)
{
	int64		longest = PG_INT64_MAX;
	TimestampTz wall = GetCurrentTimestamp();

	if (http->timer != 0)
		longest = http->timer - now;
	for (int i = 0; i < http->nslots; i++)
	{
		KcSlot	   *slot = &http->slots[i];

		if (slot->exchange == NULL || slot->done)
			continue;
		longest = Min(longest, kc_http_time_left(slot));
		until = Min(until, slot->exchange->deadline);
	}
	/* the subtraction may overflow where until is infinitely far in the past */
	if (until <= wall || longest <= 0)
		return 0;
	longest = (Min(longest, (int64) INT_MAX * 1000) + 999) / 1000;
	return Min(longest, TimestampDifferenceMilliseconds(wall, until));
}

/* One wait, not beyond until, and all the work it brings */
static void
kc_http_wait(KcHttp *http, TimestampTz until)
{
	WaitEvent	events[KC_MAX_EVENTS];
	int			nevents;
	int64		now;

	if (http->wait_set == NULL || http->sockets_changed)
		kc_http_build_wait_set(http);

	now = kc_http_count_time(http, false);
	nevents = WaitEventSetWait(http->wait_set, kc_http_wait_time(http, until, now),
							   events, lengthof(events), kc_wait_event());
	kc_http_count_time(http, true);

	for (int i = 0; i < nevents; i++)
	{
		int			what = 0;

		if (events[i].events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
			continue;
		}
		if (events[i].events & WL_SOCKET_READABLE)
			what |= CURL_CSELECT_IN;
		if (events[i].events & WL_SOCKET_WRITEABLE)
			what |= CURL_CSELECT_OUT;
		kc_http_act(http, events[i].fd, what);
	}
	kc_http_run_timer(http);
	kc_http_end_late(http);
}

static KcExchange *
kc_http_take_done(KcHttp *http)
{
	for (int i = 0; i < http->nslots; i++)
	{
		KcSlot	   *slot = &http->slots[i];

		if (slot->done)
		{
			KcExchange *exchange = slot->exchange;

			slot->exchange = NULL;
			slot->done = false;
			http->in_flight--;
			return exchange;
		}
	}
	return NULL;
}

KcExchange *
kc_http_next(KcHttp *http, TimestampTz until)
{
	KcExchange *exchange = kc_http_take_done(http);

	while (exchange == NULL)
	{
		CHECK_FOR_INTERRUPTS();
		kc_http_wait(http, until);
		exchange = kc_http_take_done(http);
		if (exchange == NULL && GetCurrentTimestamp() >= until)
			break;
	}
	return exchange;
}
