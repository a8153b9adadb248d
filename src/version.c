/*
 * version.c
 *	  The versions of the library and of the SQL objects of this database.
 *
 * Between the installation of a new library and ALTER EXTENSION UPDATE, and in
 * a session that began before both, the two differ.  Reading goes on then;
 * whatever calls the service asks here first, each time: a session may outlive
 * an update.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "fault.h"
#include "fmgr.h"
#include "kc_curl_compat.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "version.h"

PG_FUNCTION_INFO_V1(kinderconnect_library_version);

/* NULL where there is no such extension */
static char *
kc_extension_version(void)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	char	   *version = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("kinderconnect"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(extensions), &isnull);

		if (!isnull)
			version = TextDatumGetCString(datum);
	}
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return version;
}

void
kc_require_one_version(void)
{
	char	   *version = kc_extension_version();

	if (version != NULL && strcmp(version, KC_VERSION) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_KC_CONFIG),
				 errmsg("the library of kinderconnect is of version %s, and its SQL in this database of version %s",
						KC_VERSION, version),
				 errhint("Run ALTER EXTENSION kinderconnect UPDATE; if that was done, connect anew.")));
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
