/*
 * secrets.h
 *	  The secrets file: one "name:value" a line, owned by the server's user,
 *	  mode 0600, a plain file outside the data directory.
 *
 * What kc_secret_read() answers is wiped by kc_secret_free(), and by an ERROR
 * that frees it.  Whoever makes something of it wipes that.
 */
#ifndef KC_SECRETS_H
#define KC_SECRETS_H

#include "postgres.h"

#include "fault.h"

typedef enum KcSecretKind
{
	KC_GROUP_PASSWORD,
	KC_CLIENT_SECRET
} KcSecretKind;

/*
 * NULL and a fault of kind SECRET where the name, or the file, is not usable.
 * The fault says what is missing and of which organization or endpoint, not
 * the name: somebody may have entered the secret in its place.
 */
extern char *kc_secret_read(KcSecretKind kind, const char *owner, const char *name, KcFault *fault);
extern void kc_secret_free(char *value);	/* wipes; NULL is fine */

/* memory for what is made of a secret, to be freed like one */
extern char *kc_secret_alloc(size_t size);

/* false and a fault of kind SECRET where a file is not as private as ours */
extern bool kc_key_file_is_private(const char *path, KcFault *fault);

#endif							/* KC_SECRETS_H */
