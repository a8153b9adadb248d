/*
 * death.c
 *	  Ends its own backend as kill -9 does, at a commit that is chosen.
 *
 * For tests, which load it with session_preload_libraries.  Counted is every
 * commit of this session that wrote something, wherever it stands in a
 * procedure.  Before the commit nothing of its transaction is on disk; after
 * it all of it is, and nothing of what comes next has begun.
 */
#include "postgres.h"

#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "access/xact.h"
#include "fmgr.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static int	die_at = 0;
static bool die_after = false;
static int	commits = 0;
static bool counted = false;

static void
die_of_it(void)
{
	kill(getpid(), SIGKILL);
	pause();
}

static void
death_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			counted = TransactionIdIsValid(GetTopTransactionIdIfAny());
			if (counted && ++commits == die_at && !die_after)
				die_of_it();
			break;
		case XACT_EVENT_COMMIT:
			if (counted && commits == die_at && die_after)
				die_of_it();
			break;
		default:
			break;
	}
}

void
_PG_init(void)
{
	DefineCustomIntVariable("death.at",
							"The commit of this session to die at, from 1; 0: none.",
							NULL,
							&die_at, 0, 0, INT_MAX,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("death.after",
							 "Die after that commit, not before it.",
							 NULL,
							 &die_after, false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("death.commits",
							"Commits of this session that wrote something.",
							NULL,
							&commits, 0, 0, INT_MAX,
							PGC_INTERNAL, 0,
							NULL, NULL, NULL);
	RegisterXactCallback(death_xact_callback, NULL);
}
