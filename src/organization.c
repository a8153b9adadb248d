/*
 * organization.c
 *	  Reads organizations, their endpoints and dialects, for one caller.
 *
 * Invariant: what stands on one of the three lists is whole and lives as long
 * as the caller; whatever is half made when an ERROR comes goes with the
 * context in which it was made.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/pg_list.h"
#include "organization.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

typedef struct KcNamedDialect
{
	char	   *name;
	KcDialect  *dialect;
} KcNamedDialect;

struct KcOrganizations
{
	MemoryContext context;
	KcHttp	   *http;
	TimestampTz deadline;
	List	   *organizations;
	List	   *dialects;
	List	   *tokens;
};

KcOrganizations *
kc_organizations_create(MemoryContext context, KcHttp *http, TimestampTz deadline)
{
	KcOrganizations *all = (KcOrganizations *)
		MemoryContextAllocZero(context, sizeof(KcOrganizations));

	all->context = context;
	all->http = http;
	all->deadline = deadline;
	return all;
}

static KcToken *
kc_find_token(KcOrganizations *all, const char *endpoint, const char *client_id)
{
	ListCell   *lc;

	foreach(lc, all->tokens)
	{
		KcToken    *token = (KcToken *) lfirst(lc);

		if (kc_token_is_of(token, endpoint, client_id))
			return token;
	}
	return NULL;
}

static KcDialect *
kc_get_dialect(KcOrganizations *all, const char *name)
{
	KcNamedDialect *named;
	MemoryContext context;
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, all->dialects)
	{
		named = (KcNamedDialect *) lfirst(lc);
		if (strcmp(named->name, name) == 0)
			return named->dialect;
	}

	context = AllocSetContextCreate(CurrentMemoryContext, "kinderconnect dialect",
									ALLOCSET_DEFAULT_SIZES);
	named = (KcNamedDialect *) MemoryContextAlloc(context, sizeof(KcNamedDialect));
	named->name = MemoryContextStrdup(context, name);
	named->dialect = kc_dialect_load(name, context);

	old = MemoryContextSwitchTo(all->context);
	all->dialects = lappend(all->dialects, named);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, all->context);
	return named->dialect;
}

static char *
kc_column(MemoryContext context, int number)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number);

	return value == NULL ? NULL : MemoryContextStrdup(context, value);
}

static KcOrganization *
kc_find_organization(KcOrganizations *all, const char *organization_id)
{
	ListCell   *lc;

	foreach(lc, all->organizations)
	{
		KcOrganization *organization = (KcOrganization *) lfirst(lc);

		if (strcmp(organization->organization_id, organization_id) == 0)
			return organization;
	}
	return NULL;
}

/* What its endpoint says of tokens: all NULL where it has none */
typedef struct KcTokenRow
{
	char	   *url;
	char	   *scope;
	char	   *client_id;
	char	   *client_secret;	/* its name */
} KcTokenRow;

/* Its row and that of its endpoint */
static void
kc_read_organization(KcOrganization *organization, KcTokenRow *token, MemoryContext context)
{
	static const char *const query =
		"SELECT o.group_id, o.group_password, e.endpoint, e.dialect, e.base_url,"
		" e.http2, e.token_url, e.scope, e.client_id, e.client_secret"
		" FROM kinderconnect.organization o JOIN kinderconnect.endpoint e"
		" ON e.endpoint OPERATOR(pg_catalog.=) o.endpoint"
		" WHERE o.organization_id OPERATOR(pg_catalog.=) $1";
	Oid			types[] = {TEXTOID};
	Datum		values[1];
	char	   *http2;
	size_t		len;

	SPI_connect();
	values[0] = CStringGetTextDatum(organization->organization_id);
	if (SPI_execute_with_args(query, 1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not read the organization")));
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_KC_CONFIG),
				 errmsg("organization \"%s\" is not known", organization->organization_id),
				 errhint("SELECT organization_id FROM kinderconnect.organization lists those that are; kinderconnect.enable_integration() adds one.")));
	organization->group_id = kc_column(context, 1);
	organization->group_password = kc_column(context, 2);
	organization->endpoint = kc_column(context, 3);
	organization->dialect_name = kc_column(context, 4);
	organization->base_url = kc_column(context, 5);
	http2 = kc_column(context, 6);
	token->url = kc_column(context, 7);
	token->scope = kc_column(context, 8);
	token->client_id = kc_column(context, 9);
	token->client_secret = kc_column(context, 10);
	SPI_finish();

	organization->http2 = http2 != NULL && http2[0] == 't';
	len = strlen(organization->base_url);
	while (len > 0 && organization->base_url[len - 1] == '/')
		organization->base_url[--len] = '\0';
}

/*
 * Everything is made below the current context and handed on when it is whole,
 * so that an ERROR in between leaves nothing.
 */
KcOrganization *
kc_organization_get(KcOrganizations *all, const char *organization_id)
{
	KcOrganization *organization = kc_find_organization(all, organization_id);
	KcToken    *new_token = NULL;
	KcTokenRow	token;
	MemoryContext context;
	MemoryContext old;

	if (organization != NULL)
		return organization;

	context = AllocSetContextCreate(CurrentMemoryContext, "kinderconnect organization",
									ALLOCSET_SMALL_SIZES);
	organization = (KcOrganization *) MemoryContextAllocZero(context, sizeof(KcOrganization));
	organization->organization_id = MemoryContextStrdup(context, organization_id);
	kc_read_organization(organization, &token, context);
	organization->dialect = kc_get_dialect(all, organization->dialect_name);
	if (token.url != NULL)
	{
		organization->token = kc_find_token(all, organization->endpoint, token.client_id);
		if (organization->token == NULL)
		{
			new_token = kc_token_create(all->http, all->deadline, organization->endpoint,
										token.url, organization->http2, token.scope,
										token.client_id, token.client_secret);
			organization->token = new_token;
		}
	}

	old = MemoryContextSwitchTo(all->context);
	all->organizations = lappend(all->organizations, organization);
	MemoryContextSetParent(context, all->context);
	if (new_token != NULL)
	{
		kc_token_set_parent(new_token, all->context);
		all->tokens = lappend(all->tokens, new_token);
	}
	MemoryContextSwitchTo(old);
	return organization;
}
