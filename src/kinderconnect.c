/*
 * kinderconnect.c
 *	  What happens once when the library is loaded.
 *
 * Invariant: loading needs neither shared memory nor a preload, and leaves
 * nothing behind but settings and libcurl's own global state.
 */
#include "postgres.h"

#include "fmgr.h"
#include "http.h"
#include "kc_compat.h"
#include "kc_curl_compat.h"
#include "settings.h"
#include "utils/builtins.h"
#include "utils/guc.h"

KC_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(kinderconnect_library_version);

void		_PG_init(void);

void
_PG_init(void)
{
	kc_http_init();
	kc_settings_init();
	MarkGUCPrefixReserved("kinderconnect");
}

/*
 * Our own version is the first word, so that a query can compare it with the
 * version of the installed SQL.
 */
Datum
kinderconnect_library_version(PG_FUNCTION_ARGS)
{
	curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s libcurl/%s %s", KC_VERSION,
											  info->version,
											  info->ssl_version ? info->ssl_version : "no TLS")));
}
