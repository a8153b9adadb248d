/*
 * decode.c
 *	  Replies: the first byte of an input chooses the plan, the rest is the body.
 *
 * It is decoded whole, in pieces whose cuts come from its own bytes, and with
 * each record left to PostgreSQL's parser; all must give the same rows and the
 * same verdict.
 */
#include "fuzz.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "executor/tuptable.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

static const struct
{
	char		letter;
	const char *dialect;
	KcOperation operation;
}			letters[] =
{
	{'c', "kinderbridge", KC_CUSTOMERS},
	{'l', "kinderbridge", KC_LOCATIONS},
	{'a', "kinderbridge", KC_AGENCIES},
	{'k', "kinderbridge", KC_CHILDREN},
	{'s', "kinderbridge", KC_SUBMIT},
	{'r', "kinderbridge", KC_READBACK},
	{'K', "vendor-interface", KC_CHILDREN},
	{'S', "vendor-interface", KC_SUBMIT},
	{'t', "third", KC_CHILDREN},
	{'R', "third", KC_READBACK}
};

/* Does the core read ordinary records by itself? */
extern bool kc_fuzz_quick;
bool		kc_fuzz_quick = true;

static KcPlan *plans[lengthof(letters)];

static void
load_plans(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	for (int i = 0; i < lengthof(letters); i++)
	{
		if (plans[i] == NULL)
			plans[i] = kc_dialect_plan(kc_dialect_load(letters[i].dialect, TopMemoryContext),
									   letters[i].operation);
	}
	MemoryContextSwitchTo(old);
}

const KcPlan *
kc_fuzz_plan(char letter)
{
	load_plans();
	for (int i = 0; i < lengthof(letters); i++)
	{
		if (letters[i].letter == letter)
			return plans[i];
	}
	return plans[(unsigned char) letter % lengthof(letters)];
}

typedef struct Outcome
{
	KcReply		reply;
	Tuplestorestate *store;
} Outcome;

static void
feed(KcDecoder *decoder, const char *data, size_t len, bool *more)
{
	/* a piece of libcurl's buffer ends where it ends */
	char	   *piece = malloc(Max(len, 1));

	memcpy(piece, data, len);
	*more = kc_decoder_feed(decoder, piece, len);
	explicit_bzero(piece, len);
	free(piece);
}

static void
run(const KcPlan *plan, const char *data, size_t len, pg_prng_state *random, Outcome *outcome)
{
	KcDecoder  *decoder;
	bool		success = len == 0 || data[0] != ' ';
	bool		more = true;
	uint32		mode = random ? pg_prng_uint32(random) % 4 : 0;
	KcMask		mask = {0};

	kc_mask_add(&mask, "secret");
	outcome->store = tuplestore_begin_heap(false, false, 1024);
	decoder = kc_decoder_create(plan, outcome->store, &mask, CurrentMemoryContext);
	kc_decoder_begin(decoder, success);
	if (random == NULL)
		feed(decoder, data, len, &more);
	else
	{
		for (size_t at = 0; at < len && more;)
		{
			size_t		piece = mode == 0 ? 1 : 1 + pg_prng_uint32(random) % (mode == 1 ? 4 : mode == 2 ? 32 : 512);

			piece = Min(piece, len - at);
			feed(decoder, data + at, piece, &more);
			at += piece;
		}
	}
	kc_decoder_end(decoder, &outcome->reply);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
check_text(const char *text, size_t len, bool is_id)
{
	KC_HOLDS(pg_verify_mbstr(PG_UTF8, text, len, true));
	KC_HOLDS(memchr(text, '\0', len) == NULL);
	if (!is_id)
		return;
	KC_HOLDS(pg_mbstrlen_with_len(text, len) <= 64);
	for (size_t i = 0; i < len; i++)
		KC_HOLDS((unsigned char) text[i] >= 0x20 && text[i] != 0x7f);
}

/* Ours are ASCII: a problem that quotes a reply may hold anything */
static void
check_message(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		KC_HOLDS(text[i] >= ' ' && text[i] <= '~');
}

static void
check_row(const KcPlan *plan, TupleTableSlot *slot)
{
	TupleDesc	desc = plan->info.reply_desc;

	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		size_t		len = strlen(NameStr(att->attname));

		if (slot->tts_isnull[i] || att->atttypid != TEXTOID)
			continue;
		if (i == plan->problem_index)
			check_message(VARDATA_ANY(DatumGetPointer(slot->tts_values[i])),
						  VARSIZE_ANY_EXHDR(DatumGetPointer(slot->tts_values[i])));
		else
			check_text(VARDATA_ANY(DatumGetPointer(slot->tts_values[i])),
					   VARSIZE_ANY_EXHDR(DatumGetPointer(slot->tts_values[i])),
					   len > 3 && strcmp(NameStr(att->attname) + len - 3, "_id") == 0);
	}
}

static void
compare(const KcPlan *plan, Outcome *whole, Outcome *split)
{
	TupleDesc	desc = plan->info.reply_desc;
	TupleTableSlot *a = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *b = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	int64		rows = 0;

	KC_HOLDS(whole->reply.understood == split->reply.understood);
	KC_HOLDS(whole->reply.success == split->reply.success);
	KC_HOLDS(same_text(whole->reply.next_page, split->reply.next_page));
	KC_HOLDS(same_text(whole->reply.code, split->reply.code));
	KC_HOLDS(same_text(whole->reply.message, split->reply.message));
	KC_HOLDS(same_text(whole->reply.trouble, split->reply.trouble));
	KC_HOLDS(whole->reply.entries == split->reply.entries);
	KC_HOLDS(whole->reply.problems == split->reply.problems);
	KC_HOLDS(whole->reply.understood == (whole->reply.trouble == NULL));
	KC_HOLDS(whole->reply.understood || !whole->reply.success);
	if (whole->reply.trouble != NULL)
		check_message(whole->reply.trouble, strlen(whole->reply.trouble));

	for (;; rows++)
	{
		bool		more = tuplestore_gettupleslot(whole->store, true, false, a);
		MinimalTuple ta;
		MinimalTuple tb;
		bool		free_a;
		bool		free_b;

		KC_HOLDS(more == tuplestore_gettupleslot(split->store, true, false, b));
		if (!more)
			break;
		ta = ExecFetchSlotMinimalTuple(a, &free_a);
		tb = ExecFetchSlotMinimalTuple(b, &free_b);
		/* what stands before the data is not set where a store was in a file */
		KC_HOLDS(ta->t_len == tb->t_len &&
				 memcmp((char *) ta + MINIMAL_TUPLE_DATA_OFFSET, (char *) tb + MINIMAL_TUPLE_DATA_OFFSET,
						ta->t_len - MINIMAL_TUPLE_DATA_OFFSET) == 0);
		check_row(plan, a);
	}
	KC_HOLDS(rows >= whole->reply.entries);
	ExecDropSingleTupleTableSlot(a);
	ExecDropSingleTupleTableSlot(b);
}

static void
take(const char *data, size_t len)
{
	const KcPlan *plan;
	pg_prng_state random;
	Outcome		whole;
	Outcome		split;

	if (len < 1)
		return;
	plan = kc_fuzz_plan(data[0]);
	data++;
	len--;
	pg_prng_seed(&random, hash_bytes_extended((const unsigned char *) data, len, 0));
	run(plan, data, len, NULL, &whole);
	run(plan, data, len, &random, &split);
	compare(plan, &whole, &split);
	tuplestore_end(split.store);
	kc_fuzz_quick = false;
	run(plan, data, len, &random, &split);
	kc_fuzz_quick = true;
	tuplestore_rescan(whole.store);
	compare(plan, &whole, &split);
	tuplestore_end(split.store);
	tuplestore_end(whole.store);
}

const KcFuzzTarget kc_fuzz_decode = {"decode", load_plans, take};
