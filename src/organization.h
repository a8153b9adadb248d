/*
 * organization.h
 *	  An organization as the service knows it: its group, its endpoint, the
 *	  dialect spoken there and the token used there.
 *
 * Invariant: each is read once a caller and stays as it was; whoever changes a
 * row sees it heeded by the next run.
 */
#ifndef KC_ORGANIZATION_H
#define KC_ORGANIZATION_H

#include "postgres.h"

#include "http.h"
#include "token.h"
#include "wire.h"

typedef struct KcOrganization
{
	char	   *organization_id;
	char	   *group_id;
	char	   *group_password; /* its name */
	char	   *endpoint;
	char	   *base_url;		/* no slash at its end */
	bool		http2;
	KcDialect  *dialect;
	char	   *dialect_name;
	KcToken    *token;			/* NULL where the endpoint has none */
} KcOrganization;

/* All that one caller has read; freed with context */
typedef struct KcOrganizations KcOrganizations;

extern KcOrganizations *kc_organizations_create(MemoryContext context, KcHttp *http,
												TimestampTz deadline);

/* Reads rows through SPI where it has to; ERROR (KC001) where it is not known */
extern KcOrganization *kc_organization_get(KcOrganizations *all,
										   const char *organization_id);

#endif							/* KC_ORGANIZATION_H */
