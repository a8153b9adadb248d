/*
 * settings.c
 *	  The settings named kinderconnect.*.
 *
 * Invariant: every number is within the bounds given here, whoever set it; the
 * files can be named by the server's administrator alone.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "kc_compat.h"
#include "settings.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define MS_PER_S 1000
#define S_PER_HOUR 3600
#define KB_PER_MB 1024
#define KC_MIN_AGE_DAYS 367	/* the most that horizon_days can be, and one */

char	   *kc_secrets_file = NULL;
char	   *kc_ca_file = NULL;
char	   *kc_client_certificate = NULL;
char	   *kc_client_key = NULL;
int			kc_max_in_flight = 8;
int			kc_connect_timeout = 10 * MS_PER_S;
int			kc_request_timeout = 60 * MS_PER_S;
int			kc_run_deadline = 4 * S_PER_HOUR;
int			kc_max_response = 256 * KB_PER_MB;
int			kc_max_attempts = 4;
int			kc_retry_delay = 500;
int			kc_horizon_days = 45;
int			kc_compare_providers = 1;
int			kc_keep_attempts_days = 400;
int			kc_keep_lists_days = 400;
int			kc_keep_runs_days = 400;
int			kc_shrink_floor = 10;
int			kc_shrink_percent = 50;

PG_FUNCTION_INFO_V1(kinderconnect_setting);

/*
 * Before the library is loaded, a client may give any value to a name that
 * nobody knows.  When the setting is defined the server drops that value, and
 * with it the one of the configuration file, and goes on with the default: so
 * a client could do away with ca_file.  Such a session is refused.
 */
static void
kc_refuse_client_value(const char *name)
{
	int			number;
	struct config_generic **variables = kc_guc_variables(&number);

	for (int i = 0; i < number; i++)
	{
		/* spelled as whoever named it first did */
		if (pg_strcasecmp(variables[i]->name, name) == 0 &&
			variables[i]->reset_source > PGC_S_ARGV)
			ereport(ERROR,
					(errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM),
					 errmsg("setting \"%s\" can be made in the server's configuration only", name),
					 errhint("Connect without it: see PGOPTIONS, ALTER ROLE and ALTER DATABASE.")));
	}
}

/* What a year's nights may look at is kept, or all of it */
static bool
kc_check_age(int *newval, void **extra, GucSource source)
{
	if (*newval >= 0 && *newval < KC_MIN_AGE_DAYS)
	{
		GUC_check_errdetail("It is at least %d days, or -1 for ever.", KC_MIN_AGE_DAYS);
		return false;
	}
	return true;
}

void
kc_settings_init(void)
{
	/* nothing is defined yet, so that loading the library may be tried again */
	kc_refuse_client_value("kinderconnect.secrets_file");
	kc_refuse_client_value("kinderconnect.ca_file");
	kc_refuse_client_value("kinderconnect.client_certificate");
	kc_refuse_client_value("kinderconnect.client_key");

	DefineCustomStringVariable("kinderconnect.secrets_file",
							   "File that holds the passwords and client secrets.",
							   "An absolute path outside the data directory; empty: "
							   "kinderconnect.secrets beside the server's configuration file.",
							   &kc_secrets_file, "",
							   PGC_SIGHUP, 0,
							   NULL, NULL, NULL);

	DefineCustomStringVariable("kinderconnect.ca_file",
							   "File of the certificate authorities that are trusted.",
							   "Empty: those of the operating system.",
							   &kc_ca_file, "",
							   PGC_SIGHUP, 0,
							   NULL, NULL, NULL);

	DefineCustomStringVariable("kinderconnect.client_certificate",
							   "File of the certificate that is shown to services that ask for one.",
							   "PEM, with the intermediate certificates after it; empty: none.",
							   &kc_client_certificate, "",
							   PGC_SIGHUP, 0,
							   NULL, NULL, NULL);

	DefineCustomStringVariable("kinderconnect.client_key",
							   "File of the key of kinderconnect.client_certificate.",
							   "PEM without a passphrase; as private as the secrets file.",
							   &kc_client_key, "",
							   PGC_SIGHUP, 0,
							   NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.max_in_flight",
							"Requests that may be under way at once.",
							NULL,
							&kc_max_in_flight, 8, 1, 64,
							PGC_USERSET, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.connect_timeout",
							"Longest time to resolve, connect and agree on TLS.",
							NULL,
							&kc_connect_timeout, 10 * MS_PER_S, 100, 120 * MS_PER_S,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.request_timeout",
							"Longest time for one request and its whole reply.",
							"Time in which the session is busy with something else is not counted.",
							&kc_request_timeout, 60 * MS_PER_S, 100, 1800 * MS_PER_S,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.run_deadline",
							"Longest time for a whole run.",
							NULL,
							&kc_run_deadline, 4 * S_PER_HOUR, 10, 24 * S_PER_HOUR,
							PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.max_response",
							"Largest reply that is read, after decompression.",
							NULL,
							&kc_max_response, 256 * KB_PER_MB, 64, INT_MAX / 1024,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.max_attempts",
							"How often one call is tried, the first time included.",
							"Of a list that comes in pages, each page.",
							&kc_max_attempts, 4, 1, 10,
							PGC_USERSET, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.retry_delay",
							"Time before the second attempt of a call; it doubles for each further one.",
							NULL,
							&kc_retry_delay, 500, 10, 60 * MS_PER_S,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.horizon_days",
							"How many days back attendance is looked at.",
							NULL,
							&kc_horizon_days, 45, 1, 366,
							PGC_USERSET, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.compare_providers",
							"Providers of each organization that a night compares with what the service holds.",
							"Those not compared for longest come first; 0 compares none.",
							&kc_compare_providers, 1, 0, 100000,
							PGC_USERSET, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.keep_attempts_days",
							"How many days purge() keeps the calls that carried records.",
							"-1 keeps them for ever; days that a night may still look at keep theirs.",
							&kc_keep_attempts_days, 400, -1, 36500,
							PGC_SIGHUP, 0,
							kc_check_age, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.keep_lists_days",
							"How many days after its end purge() keeps what was listed of a month.",
							"-1 keeps it for ever; it is at least what horizon_days can be.",
							&kc_keep_lists_days, 400, -1, 36500,
							PGC_SIGHUP, 0,
							kc_check_age, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.keep_runs_days",
							"How many days purge() keeps the account of a run.",
							"-1 keeps it for ever; the last of each provider stays.",
							&kc_keep_runs_days, 400, -1, 36500,
							PGC_SIGHUP, 0,
							kc_check_age, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.shrink_floor",
							"Entries a list must have had for its shrinking to be noticed.",
							NULL,
							&kc_shrink_floor, 10, 0, 1000000,
							PGC_USERSET, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("kinderconnect.shrink_percent",
							"A list with fewer than this percentage of last time's entries is set aside.",
							"0 takes every list as it comes.",
							&kc_shrink_percent, 50, 0, 100,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
}

/*
 * Calling this loads the library, so that what it answers has been checked;
 * current_setting() may answer a placeholder that nobody has.
 */
Datum
kinderconnect_setting(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *value = GetConfigOption(psprintf("kinderconnect.%s", name),
										true, false);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown setting \"kinderconnect.%s\"", name),
				 errhint("SELECT name, short_desc FROM pg_settings WHERE name LIKE 'kinderconnect.%%' lists them.")));

	PG_RETURN_TEXT_P(cstring_to_text(value));
}
