/*
 * fault.h
 *	  What can go wrong between us and the service, as data.
 *
 * A fault is recorded where it happens, also inside a libcurl callback, where
 * nothing may be raised.  Whoever asked for the call decides later whether it
 * becomes an error or a row.  What a libcurl code or an HTTP status means is
 * said here, by whoever knows more of it there; which SQLSTATE a fault has, only
 * here.
 *
 * Invariant: nothing of our own in a fault is secret or personal.  Whoever puts
 * words of the service into one has masked our secrets in them; what else they
 * say is the service's.
 */
#ifndef KC_FAULT_H
#define KC_FAULT_H

#include "postgres.h"

#include "kc_compat.h"

typedef enum KcFaultKind
{
	KC_FAULT_NONE = 0,
	KC_FAULT_CONFIG,			/* our own configuration; nothing was sent */
	KC_FAULT_SECRET,			/* a secret is missing or unreadable */
	KC_FAULT_UNREACHABLE,		/* no address, no connection */
	KC_FAULT_TLS,				/* no trusted connection */
	KC_FAULT_LOST,				/* sent, but the answer was lost or late */
	KC_FAULT_TOKEN,				/* the token endpoint refused us */
	KC_FAULT_BAD_PASSWORD,		/* the group password is refused */
	KC_FAULT_BAD_PROVIDER,		/* the provider is not in the group */
	KC_FAULT_REFUSED,			/* the service answered with another error */
	KC_FAULT_BUSY,				/* 429, 502, 503, 504 */
	KC_FAULT_REPLY,				/* an answer that cannot be understood */
	KC_FAULT_TOO_LARGE,			/* request or reply over its limit */
	KC_FAULT_DEADLINE			/* the run's deadline came first */
} KcFaultKind;

typedef struct KcFault
{
	KcFaultKind kind;
	bool		sent;			/* may the service have acted on it? */
	int			http_status;	/* 0 where there was no answer */
	char		code[65];		/* the service's own error code, or "" */
	char		message[384];
	char		detail[512];	/* or "" */
	char		hint[384];		/* or "" */
} KcFault;

/*
 * SQLSTATEs, all of our own class "KC"; doc/ explains each with its cure.
 */
#define ERRCODE_KC_CONFIG			MAKE_SQLSTATE('K','C','0','0','1')
#define ERRCODE_KC_SECRET			MAKE_SQLSTATE('K','C','0','0','2')
#define ERRCODE_KC_NOT_ARMED		MAKE_SQLSTATE('K','C','0','0','3')
#define ERRCODE_KC_UNREACHABLE		MAKE_SQLSTATE('K','C','1','0','1')
#define ERRCODE_KC_TLS				MAKE_SQLSTATE('K','C','1','0','2')
#define ERRCODE_KC_LOST				MAKE_SQLSTATE('K','C','1','0','3')
#define ERRCODE_KC_DEADLINE			MAKE_SQLSTATE('K','C','1','0','4')
#define ERRCODE_KC_TOKEN			MAKE_SQLSTATE('K','C','2','0','1')
#define ERRCODE_KC_BAD_PASSWORD		MAKE_SQLSTATE('K','C','2','0','2')
#define ERRCODE_KC_BAD_PROVIDER		MAKE_SQLSTATE('K','C','2','0','3')
#define ERRCODE_KC_REFUSED			MAKE_SQLSTATE('K','C','2','0','4')
#define ERRCODE_KC_BUSY				MAKE_SQLSTATE('K','C','2','0','5')
#define ERRCODE_KC_REPLY			MAKE_SQLSTATE('K','C','3','0','1')
#define ERRCODE_KC_TOO_LARGE		MAKE_SQLSTATE('K','C','3','0','2')
/* raised from SQL: KC401 a night already runs, KC402 part of a night failed */

/* Of a reply that is as it should be, and that we cannot keep */
#define KC_HINT_NOT_STORED \
	"The fault is this server's, not the service's: see its log, the room on the disk of its temporary files, and the setting temp_file_limit."

/*
 * kc_fault_set() begins a fault anew: status, code, detail and hint are empty
 * until set.  None of these allocates or raises.  Texts are cut to fit, without
 * control characters and always valid UTF-8.
 */
extern void kc_fault_set(KcFault *fault, KcFaultKind kind, bool sent,
						 const char *fmt,...) pg_attribute_printf(4, 5);
extern void kc_fault_detail(KcFault *fault, const char *fmt,...) pg_attribute_printf(2, 3);
extern void kc_fault_hint(KcFault *fault, const char *fmt,...) pg_attribute_printf(2, 3);

/* curl_code is a CURLcode, curl_text its error buffer or NULL; host is for the message */
extern void kc_fault_from_curl(KcFault *fault, int curl_code, bool sent,
							   const char *host, const char *curl_text);

/*
 * A reply that is an error.  code and message are the service's, or NULL;
 * meaning is what the dialect says of the code: KC_FAULT_BAD_PASSWORD,
 * KC_FAULT_BAD_PROVIDER, or KC_FAULT_REFUSED where the status alone tells.
 */
extern void kc_fault_from_http(KcFault *fault, int http_status, KcFaultKind meaning,
							   const char *code, const char *message);

extern int	kc_fault_sqlstate(const KcFault *fault);
pg_noreturn extern void kc_fault_raise(const KcFault *fault);

#endif							/* KC_FAULT_H */
