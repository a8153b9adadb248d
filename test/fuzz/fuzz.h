/*
 * fuzz.h
 *	  The module that feeds the real core inside a real backend.  It is built
 *	  from the same files as the extension, beside it, and never installed.
 */
#ifndef KC_FUZZ_H
#define KC_FUZZ_H

#include "postgres.h"

#include "plan.h"

/* A memory context whose every chunk is one malloc(), see context.c */
extern MemoryContext kc_fuzz_context(MemoryContext parent, const char *name);

/* What does not hold is the end of the process, with a trace */
#define KC_HOLDS(what) \
	do { \
		if (!(what)) \
		{ \
			fprintf(stderr, "does not hold: %s (%s:%d)\n", #what, __FILE__, __LINE__); \
			abort(); \
		} \
	} while (0)

typedef struct KcFuzzTarget
{
	const char *name;
	void		(*prepare) (void);	/* once, in TopMemoryContext; or NULL */
	void		(*take) (const char *data, size_t len);
} KcFuzzTarget;

extern const KcFuzzTarget kc_fuzz_decode;
extern const KcFuzzTarget kc_fuzz_json;
extern const KcFuzzTarget kc_fuzz_format;
extern const KcFuzzTarget kc_fuzz_encode;
extern const KcFuzzTarget kc_fuzz_dialect;
extern const KcFuzzTarget kc_fuzz_secrets;

/* Of a plan by its letter, see decode.c here; NULL where no plan has it */
extern const KcPlan *kc_fuzz_plan(char letter);

#endif							/* KC_FUZZ_H */
