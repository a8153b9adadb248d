/*
 * context.c
 *	  Memory contexts for the sanitizer: each chunk is a malloc() of its own, so
 *	  that one byte beyond it, and any use after a reset, is seen.
 *
 * The server's own palloc(), repalloc() and pfree() find the methods through
 * the word before the chunk.  That is how PostgreSQL 15 does it; from 16 on
 * methods have fixed numbers, and the server's contexts are used.
 */
#include "fuzz.h"

#include "lib/ilist.h"
#include "utils/memutils.h"

/* The build names kc_fuzz_context_create() in its place */
#undef AllocSetContextCreateInternal
extern MemoryContext AllocSetContextCreateInternal(MemoryContext parent, const char *name,
												   Size min_size, Size init_size, Size max_size);

#if PG_VERSION_NUM < 160000

typedef struct KcContext
{
	MemoryContextData header;
	dlist_head	chunks;
} KcContext;

typedef struct KcChunk
{
	dlist_node	node;
	Size		size;
	MemoryContext owner;		/* must stand right before the data */
	char		data[FLEXIBLE_ARRAY_MEMBER];
} KcChunk;

#define CHUNK_OF(pointer) ((KcChunk *) ((char *) (pointer) - offsetof(KcChunk, data)))

static void *
context_alloc(MemoryContext context, Size size)
{
	KcChunk    *chunk = malloc(offsetof(KcChunk, data) + size);

	if (chunk == NULL)
		return NULL;
	chunk->size = size;
	chunk->owner = context;
	dlist_push_tail(&((KcContext *) context)->chunks, &chunk->node);
	context->mem_allocated += size;
	return chunk->data;
}

static void
context_free(MemoryContext context, void *pointer)
{
	KcChunk    *chunk = CHUNK_OF(pointer);

	dlist_delete(&chunk->node);
	context->mem_allocated -= chunk->size;
	free(chunk);
}

static void *
context_realloc(MemoryContext context, void *pointer, Size size)
{
	void	   *moved = context_alloc(context, size);

	if (moved == NULL)
		return NULL;
	memcpy(moved, pointer, Min(size, CHUNK_OF(pointer)->size));
	context_free(context, pointer);
	return moved;
}

static void
context_reset(MemoryContext context)
{
	KcContext  *own = (KcContext *) context;

	while (!dlist_is_empty(&own->chunks))
		context_free(context, dlist_head_element(KcChunk, node, &own->chunks)->data);
}

static void
context_delete(MemoryContext context)
{
	context_reset(context);
	free(context);
}

static Size
context_chunk_space(MemoryContext context, void *pointer)
{
	return offsetof(KcChunk, data) + CHUNK_OF(pointer)->size;
}

static bool
context_is_empty(MemoryContext context)
{
	return dlist_is_empty(&((KcContext *) context)->chunks);
}

static void
context_stats(MemoryContext context, MemoryStatsPrintFunc printfunc, void *passthru,
			  MemoryContextCounters *totals, bool print_to_stderr)
{
}

#ifdef MEMORY_CONTEXT_CHECKING
static void
context_check(MemoryContext context)
{
}
#endif

static const MemoryContextMethods methods = {
	context_alloc,
	context_free,
	context_realloc,
	context_reset,
	context_delete,
	context_chunk_space,
	context_is_empty,
	context_stats
#ifdef MEMORY_CONTEXT_CHECKING
	,context_check
#endif
};

MemoryContext
kc_fuzz_context(MemoryContext parent, const char *name)
{
	KcContext  *context = calloc(1, sizeof(KcContext));

	KC_HOLDS(context != NULL);
	dlist_init(&context->chunks);
	MemoryContextCreate(&context->header, T_AllocSetContext, &methods, parent, name);
	return &context->header;
}

#else

MemoryContext
kc_fuzz_context(MemoryContext parent, const char *name)
{
	return AllocSetContextCreateInternal(parent, name, ALLOCSET_DEFAULT_SIZES);
}

#endif

extern MemoryContext kc_fuzz_context_create(MemoryContext parent, const char *name,
											Size min_size, Size init_size, Size max_size);

MemoryContext
kc_fuzz_context_create(MemoryContext parent, const char *name,
					   Size min_size, Size init_size, Size max_size)
{
	return kc_fuzz_context(parent, name);
}
