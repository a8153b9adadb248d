/*
 * kinderconnect.c
 *	  What happens once when the library is loaded.
 *
 * Invariant: loading needs neither shared memory nor a preload, and leaves
 * nothing behind but settings and libcurl's own global state.
 */
#include "postgres.h"

#include "curl_memory.h"
#include "fmgr.h"
#include "kc_compat.h"
#include "settings.h"
#include "utils/guc.h"

KC_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	kc_curl_init();
	kc_settings_init();
	MarkGUCPrefixReserved("kinderconnect");
}
