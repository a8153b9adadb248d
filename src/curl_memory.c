/*
 * curl_memory.c
 *	  The memory of libcurl, which keeps copies of what it is given: the
 *	  request's headers, user and password, what goes out and what comes in.
 *
 * Invariant: where libcurl is set up here, none of it is freed before it is
 * wiped.
 */
#include "postgres.h"

#include <stddef.h>

#include "curl_memory.h"
#include "kc_curl_compat.h"

/* Each block begins with its size */
#define KC_BLOCK_HEADER MAXALIGN(sizeof(max_align_t))

static void *
kc_curl_malloc(size_t size)
{
	char	   *block;

	if (size > SIZE_MAX - KC_BLOCK_HEADER)
		return NULL;
	block = (char *) malloc(KC_BLOCK_HEADER + size);
	if (block == NULL)
		return NULL;
	*(size_t *) block = size;
	return block + KC_BLOCK_HEADER;
}

static void
kc_curl_free(void *pointer)
{
	char	   *block;

	if (pointer == NULL)
		return;
	block = (char *) pointer - KC_BLOCK_HEADER;
	explicit_bzero(pointer, *(size_t *) block);
	free(block);
}

static void *
kc_curl_realloc(void *pointer, size_t size)
{
	void	   *larger = kc_curl_malloc(size);

	if (pointer == NULL || larger == NULL)
		return larger;
	memcpy(larger, pointer,
		   Min(size, *(size_t *) ((char *) pointer - KC_BLOCK_HEADER)));
	kc_curl_free(pointer);
	return larger;
}

static void *
kc_curl_calloc(size_t number, size_t size)
{
	void	   *pointer;

	if (size != 0 && number > SIZE_MAX / size)
		return NULL;
	pointer = kc_curl_malloc(number * size);
	if (pointer != NULL)
		memset(pointer, 0, number * size);
	return pointer;
}

static char *
kc_curl_strdup(const char *text)
{
	size_t		size = strlen(text) + 1;
	char	   *copy = (char *) kc_curl_malloc(size);

	if (copy != NULL)
		memcpy(copy, text, size);
	return copy;
}

/*
 * libcurl's global state is set up once and never torn down: another
 * extension in this backend may share it, and it is not safe to do later, once
 * a resolver thread may run.  If that one came first, its allocator stays.
 */
void
kc_curl_init(void)
{
	CURLcode	code = curl_global_init_mem(CURL_GLOBAL_DEFAULT,
											kc_curl_malloc, kc_curl_free,
											kc_curl_realloc, kc_curl_strdup,
											kc_curl_calloc);

	if (code != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION),
				 errmsg("could not initialize libcurl: %s",
						curl_easy_strerror(code))));
}
