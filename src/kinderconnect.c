/*
 * kinderconnect.c
 *	  What happens once when the library is loaded, and where a procedure that
 *	  commits may be called.
 *
 * Invariant: loading needs neither shared memory nor a preload, and leaves
 * nothing behind but settings and libcurl's own global state.
 */
#include "postgres.h"

#include "curl_memory.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "kc_compat.h"
#include "settings.h"
#include "utils/builtins.h"
#include "utils/guc.h"

KC_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(kinderconnect_require_no_transaction);

void		_PG_init(void);

void
_PG_init(void)
{
	kc_curl_init();
	kc_settings_init();
	MarkGUCPrefixReserved("kinderconnect");
}

/*
 * Called by a procedure before it does anything: its COMMIT would fail in
 * words that do not tell what to do.
 */
Datum
kinderconnect_require_no_transaction(PG_FUNCTION_ARGS)
{
	if (!SPI_inside_nonatomic_context())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s() cannot run inside a transaction block",
						text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errdetail("It commits as it goes, and nothing has been done yet."),
				 errhint("Turn autocommit on, and call it by itself: not after BEGIN, nor from a function, nor from a procedure that is SECURITY DEFINER, has a SET clause or catches exceptions.")));
	PG_RETURN_VOID();
}
