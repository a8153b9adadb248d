/*
 * format.h
 *	  Patterns of dates and times on the wire: YYYY, MM, DD, HH24, HH12, MI,
 *	  SS, AM, and FMMM, FMDD, FMHH24, FMHH12 without a leading zero; any other
 *	  character stands for itself.
 */
#ifndef KC_FORMAT_H
#define KC_FORMAT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/date.h"

/* What is written is never longer than its pattern */
#define KC_FORMAT_MAX 32

typedef enum KcFormatUse
{
	KC_FORMAT_DATE,
	KC_FORMAT_MONTH,			/* a date of which the day is not on the wire */
	KC_FORMAT_TIME
} KcFormatUse;

typedef struct KcFormat KcFormat;

/* NULL, and why as a clause in *trouble, where the pattern cannot work */
extern KcFormat *kc_format_compile(const char *pattern, KcFormatUse use,
								   const char **trouble);
extern const char *kc_format_pattern(const KcFormat *format);

/*
 * The whole of the text, or false.  What is read is what the same pattern
 * writes, and nothing else.
 */
extern bool kc_format_read_date(const KcFormat *format, const char *text, DateADT *date);
extern bool kc_format_read_time(const KcFormat *format, const char *text, TimeADT *time);

/*
 * Into a buffer of KC_FORMAT_MAX + 1; false for what four digits of a year or
 * a clock cannot show.  What the pattern does not name (seconds, the day) is
 * cut.
 */
extern bool kc_format_write_date(const KcFormat *format, DateADT date, char *out);
extern bool kc_format_write_time(const KcFormat *format, TimeADT time, char *out);

/* ISO 8601 with date, time and zone: 2026-11-23T08:02:11.5Z, ...-06:00 */
extern bool kc_read_timestamptz(const char *text, TimestampTz *instant);

#endif							/* KC_FORMAT_H */
