/*
 * fault.c
 *	  Says in words what a libcurl code or an HTTP status means, and as an
 *	  SQLSTATE what any fault is.
 *
 * Invariant: recording a fault cannot fail, whatever bytes the service or
 * libcurl put into it; nothing here allocates, and only kc_fault_raise()
 * raises.
 */
#include "postgres.h"

#include "fault.h"
#include "kc_curl_compat.h"
#include "mb/pg_wchar.h"
#include "settings.h"

#define HINT_ADDRESS \
	"Check base_url and token_url of kinderconnect.endpoint, and this server's name resolution and firewall."

/*
 * Copies as many whole characters as fit.  Control characters (C0, DEL and
 * C1) would let a service forge lines of the server's log, and bytes that are
 * no UTF-8 could not be stored in a table: the ones become spaces, the others
 * question marks.
 */
static void
copy_clean(char *dst, size_t size, const char *src)
{
	const unsigned char *s = (const unsigned char *) src;
	size_t		left = strlen(src);
	size_t		used = 0;

	while (left > 0)
	{
		int			len = pg_utf_mblen(s);
		char		instead = '\0';

		if (len > left || !pg_utf8_islegal(s, len))
		{
			len = 1;
			instead = '?';
		}
		else if ((len == 1 && (*s < 0x20 || *s == 0x7f)) ||
				 (len == 2 && s[0] == 0xc2 && s[1] < 0xa0))
			instead = ' ';

		if (used + (instead ? 1 : len) >= size)
			break;
		if (instead)
			dst[used++] = instead;
		else
		{
			memcpy(dst + used, s, len);
			used += len;
		}
		s += len;
		left -= len;
	}
	dst[used] = '\0';
}

static void pg_attribute_printf(3, 0)
format_clean(char *dst, size_t size, const char *fmt, va_list args)
{
	char		text[2 * sizeof(((KcFault *) NULL)->detail)];

	vsnprintf(text, sizeof(text), fmt, args);
	copy_clean(dst, size, text);
}

void
kc_fault_set(KcFault *fault, KcFaultKind kind, bool sent, const char *fmt,...)
{
	va_list		args;

	memset(fault, 0, sizeof(*fault));
	fault->kind = kind;
	fault->sent = sent;
	va_start(args, fmt);
	format_clean(fault->message, sizeof(fault->message), fmt, args);
	va_end(args);
}

void
kc_fault_detail(KcFault *fault, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	format_clean(fault->detail, sizeof(fault->detail), fmt, args);
	va_end(args);
}

void
kc_fault_hint(KcFault *fault, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	format_clean(fault->hint, sizeof(fault->hint), fmt, args);
	va_end(args);
}

/*
 * libcurl does not tell which of its two timers ended an exchange.  Before
 * the request is sent it is the shorter one; after that the connect timer no
 * longer runs.
 */
static void
fault_from_timeout(KcFault *fault, bool sent, const char *host)
{
	if (sent)
	{
		kc_fault_set(fault, KC_FAULT_LOST, true,
					 "no complete answer from \"%s\" within %d ms",
					 host, kc_request_timeout);
		kc_fault_hint(fault, "The limit is the setting kinderconnect.request_timeout. Whether the service acted on the request is not known.");
	}
	else if (kc_request_timeout < kc_connect_timeout)
	{
		kc_fault_set(fault, KC_FAULT_UNREACHABLE, false,
					 "could not send a request to \"%s\" within %d ms",
					 host, kc_request_timeout);
		kc_fault_hint(fault, "The limit is the setting kinderconnect.request_timeout. " HINT_ADDRESS);
	}
	else
	{
		kc_fault_set(fault, KC_FAULT_UNREACHABLE, false,
					 "could not connect to \"%s\" within %d ms",
					 host, kc_connect_timeout);
		kc_fault_hint(fault, "The limit is the setting kinderconnect.connect_timeout. " HINT_ADDRESS);
	}
}

/*
 * sent says whether any byte of the request may have left; it decides whether
 * an exchange that broke off is LOST or may simply be tried again.
 */
void
kc_fault_from_curl(KcFault *fault, int curl_code, bool sent,
				   const char *host, const char *curl_text)
{
	/* of an answer that is no HTTP, libcurl says the same as of an odd address */
	if (sent && curl_code == CURLE_UNSUPPORTED_PROTOCOL)
		curl_code = CURLE_WEIRD_SERVER_REPLY;
	if (KC_CURL_IS_BAD_KEY(curl_code) && !sent && kc_client_certificate[0] != '\0')
		curl_code = CURLE_SSL_CERTPROBLEM;

	switch (curl_code)
	{
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_URL_MALFORMAT:
			kc_fault_set(fault, KC_FAULT_CONFIG, false,
						 "the address of \"%s\" cannot be used", host);
			kc_fault_hint(fault, "Check base_url and token_url of kinderconnect.endpoint.");
			break;

		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_RESOLVE_HOST:
			kc_fault_set(fault, KC_FAULT_UNREACHABLE, false,
						 "could not resolve the host name \"%s\"", host);
			kc_fault_hint(fault, HINT_ADDRESS);
			break;

		case CURLE_COULDNT_CONNECT:
		case CURLE_INTERFACE_FAILED:
			kc_fault_set(fault, KC_FAULT_UNREACHABLE, false,
						 "could not connect to \"%s\"", host);
			kc_fault_hint(fault, HINT_ADDRESS);
			break;

		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_SSL_INVALIDCERTSTATUS:
			kc_fault_set(fault, KC_FAULT_TLS, false,
						 "the certificate of \"%s\" is not trusted", host);
			kc_fault_hint(fault, "Nothing was sent. If the service's certificate authority is not one of the operating system's, name its file in the setting kinderconnect.ca_file; also check this server's clock.");
			break;

		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_CRL_BADFILE:
			kc_fault_set(fault, KC_FAULT_TLS, false,
						 "the certificate authorities to trust could not be read");
			if (kc_ca_file[0] != '\0')
				kc_fault_hint(fault, "The setting kinderconnect.ca_file must name a file of PEM certificates that the server's operating system user can read.");
			else
				kc_fault_hint(fault, "Install the operating system's certificates (package ca-certificates), or set kinderconnect.ca_file.");
			break;

		case CURLE_SSL_CERTPROBLEM:
			kc_fault_set(fault, KC_FAULT_TLS, false,
						 "the client certificate or its key cannot be used");
			kc_fault_hint(fault, "The settings kinderconnect.client_certificate and kinderconnect.client_key must name a certificate and its own key, both PEM, the key without a passphrase, that the server's operating system user can read.");
			break;

		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_ENGINE_NOTFOUND:
		case CURLE_SSL_ENGINE_SETFAILED:
		case CURLE_SSL_ENGINE_INITFAILED:
		case CURLE_USE_SSL_FAILED:
			kc_fault_set(fault, KC_FAULT_TLS, false,
						 "could not agree on a TLS connection with \"%s\"", host);
			kc_fault_hint(fault, "Nothing was sent. Check that base_url and token_url of kinderconnect.endpoint name a port that speaks https, with TLS 1.2 or later.");
			break;

		case CURLE_OPERATION_TIMEDOUT:
			fault_from_timeout(fault, sent, host);
			break;

		case CURLE_FILESIZE_EXCEEDED:
			kc_fault_set(fault, KC_FAULT_TOO_LARGE, sent,
						 "the reply of \"%s\" is larger than %d kB",
						 host, kc_max_response);
			kc_fault_hint(fault, "The limit is the setting kinderconnect.max_response.");
			break;

			/* whatever else breaks off an exchange, today and in later libcurls */
		default:
			if (sent)
			{
				kc_fault_set(fault, KC_FAULT_LOST, true,
							 "the connection to \"%s\" broke before the whole answer arrived",
							 host);
				kc_fault_hint(fault, "Whether the service acted on the request is not known.");
			}
			else
			{
				kc_fault_set(fault, KC_FAULT_UNREACHABLE, false,
							 "the connection to \"%s\" broke before the request was sent",
							 host);
				kc_fault_hint(fault, HINT_ADDRESS);
			}
			break;
	}

	if (curl_text == NULL || curl_text[0] == '\0')
		curl_text = curl_easy_strerror(curl_code);
	/* some of its sentences end with a full stop, some do not */
	kc_fault_detail(fault, "libcurl says: %.*s.", (int) (strlen(curl_text) - (curl_text[strlen(curl_text) - 1] == '.')), curl_text);
}

/*
 * A refusal says that the service did not take the request.  Behind a
 * gateway (502, 504), or after a crash of its own (500), it may have.
 */
static bool
may_have_acted(int http_status)
{
	return http_status >= 500 && http_status != 503;
}

static void
fault_from_status(KcFault *fault, int http_status, KcFaultKind meaning)
{
	bool		sent = may_have_acted(http_status);

	if (meaning == KC_FAULT_BAD_PASSWORD)
	{
		kc_fault_set(fault, KC_FAULT_BAD_PASSWORD, sent,
					 "the service does not accept the group password (HTTP status %d)",
					 http_status);
		kc_fault_hint(fault, "Check group_id of kinderconnect.organization, and the secret that its column group_password names.");
	}
	else if (meaning == KC_FAULT_BAD_PROVIDER)
	{
		kc_fault_set(fault, KC_FAULT_BAD_PROVIDER, sent,
					 "the provider ID does not belong to the group (HTTP status %d)",
					 http_status);
		kc_fault_hint(fault, "Check agency_id and provider_id of kinderconnect.provider, and group_id of kinderconnect.organization.");
	}
	else if (http_status == 401)
	{
		kc_fault_set(fault, KC_FAULT_TOKEN, sent,
					 "the service does not accept our credentials (HTTP status 401)");
		kc_fault_hint(fault, "Check client_id and scope of kinderconnect.endpoint, and the secret that its column client_secret names; of a service without these, the secret that group_password of kinderconnect.organization names.");
	}
	else if (http_status >= 300 && http_status < 400)
	{
		kc_fault_set(fault, KC_FAULT_REFUSED, sent,
					 "the service answered with a redirect (HTTP status %d)",
					 http_status);
		kc_fault_hint(fault, "Redirects are never followed. Set base_url or token_url of kinderconnect.endpoint to the address that the service really has.");
	}
	else if (http_status == 404 || http_status == 405)
	{
		kc_fault_set(fault, KC_FAULT_REFUSED, sent,
					 "the service does not know this address or what it asks for (HTTP status %d)",
					 http_status);
		kc_fault_hint(fault, "Check base_url and token_url of kinderconnect.endpoint, and the paths of its dialect.");
	}
	else if (http_status == 413)
	{
		kc_fault_set(fault, KC_FAULT_REFUSED, sent,
					 "the request is too large for the service (HTTP status 413)");
		kc_fault_hint(fault, "Lower the number of records in a request in the rows of the dialect.");
	}
	else if (http_status == 429)
	{
		kc_fault_set(fault, KC_FAULT_BUSY, sent,
					 "the service asks for fewer requests (HTTP status 429)");
		kc_fault_hint(fault, "Try again later, or lower the setting kinderconnect.max_in_flight.");
	}
	else if (http_status == 502 || http_status == 503 || http_status == 504)
	{
		kc_fault_set(fault, KC_FAULT_BUSY, sent,
					 "the service is not available at the moment (HTTP status %d)",
					 http_status);
		kc_fault_hint(fault, "Try again later. If it stays so, ask the service's support.");
	}
	else
	{
		kc_fault_set(fault, KC_FAULT_REFUSED, sent,
					 "the service refused the request (HTTP status %d)", http_status);
		if (sent)
			kc_fault_hint(fault, "The service failed at it; whether it acted on the request is not known. If it stays so, ask the service's support.");
	}
	fault->http_status = http_status;
}

/*
 * The caller has masked the secrets in message.
 */
void
kc_fault_from_http(KcFault *fault, int http_status, KcFaultKind meaning,
				   const char *code, const char *message)
{
	if (code == NULL)
		code = "";
	fault_from_status(fault, http_status, meaning);
	copy_clean(fault->code, sizeof(fault->code), code);

	if (message != NULL && message[0] != '\0')
	{
		if (code[0] != '\0')
			kc_fault_detail(fault, "The service says: %s: %s", fault->code, message);
		else
			kc_fault_detail(fault, "The service says: %s", message);
	}
	else if (code[0] != '\0')
		kc_fault_detail(fault, "The service says: %s", fault->code);
}

int
kc_fault_sqlstate(const KcFault *fault)
{
	switch (fault->kind)
	{
		case KC_FAULT_NONE:
			return ERRCODE_SUCCESSFUL_COMPLETION;
		case KC_FAULT_CONFIG:
			return ERRCODE_KC_CONFIG;
		case KC_FAULT_SECRET:
			return ERRCODE_KC_SECRET;
		case KC_FAULT_UNREACHABLE:
			return ERRCODE_KC_UNREACHABLE;
		case KC_FAULT_TLS:
			return ERRCODE_KC_TLS;
		case KC_FAULT_LOST:
			return ERRCODE_KC_LOST;
		case KC_FAULT_TOKEN:
			return ERRCODE_KC_TOKEN;
		case KC_FAULT_BAD_PASSWORD:
			return ERRCODE_KC_BAD_PASSWORD;
		case KC_FAULT_BAD_PROVIDER:
			return ERRCODE_KC_BAD_PROVIDER;
		case KC_FAULT_REFUSED:
			return ERRCODE_KC_REFUSED;
		case KC_FAULT_BUSY:
			return ERRCODE_KC_BUSY;
		case KC_FAULT_REPLY:
			return ERRCODE_KC_REPLY;
		case KC_FAULT_TOO_LARGE:
			return ERRCODE_KC_TOO_LARGE;
		case KC_FAULT_DEADLINE:
			return ERRCODE_KC_DEADLINE;
	}
	pg_unreachable();
}

void
kc_fault_raise(const KcFault *fault)
{
	ereport(ERROR,
			(errcode(kc_fault_sqlstate(fault)),
			 errmsg_internal("%s", fault->message),
			 fault->detail[0] != '\0' ? errdetail_internal("%s", fault->detail) : 0,
			 fault->hint[0] != '\0' ? errhint("%s", fault->hint) : 0));
	pg_unreachable();
}
