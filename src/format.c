/*
 * format.c
 *	  Dates and times on the wire, by a pattern that is compiled once.
 *
 * PostgreSQL's own to_date() forgives what a service must not get wrong (it
 * takes 30 February in some patterns, and trailing text in all), and raises
 * where a decoder may not.  Invariant: a text is read only if writing the
 * result by the same pattern gives that text again.
 */
#include "postgres.h"

#include "format.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

typedef enum KcItemKind
{
	KC_YEAR,
	KC_MONTH,
	KC_DAY,
	KC_HOUR24,
	KC_HOUR12,
	KC_MINUTE,
	KC_SECOND,
	KC_MERIDIAN,
	KC_LITERAL
} KcItemKind;

#define KC_ITEM_KINDS (KC_LITERAL + 1)
#define KC_BIT(kind) (1 << (kind))

typedef struct KcItem
{
	KcItemKind	kind;
	int			digits;			/* 0 for what is not a number */
	bool		fill;			/* with leading zeros */
	char		literal;
} KcItem;

struct KcFormat
{
	char		pattern[KC_FORMAT_MAX + 1];
	int			nitems;
	KcItem		items[KC_FORMAT_MAX];
};

/* longest first where one begins with another */
static const struct
{
	const char *word;
	KcItem		item;
}			words[] =
{
	{"YYYY", {KC_YEAR, 4, true}},
	{"FMMM", {KC_MONTH, 2, false}},
	{"FMDD", {KC_DAY, 2, false}},
	{"FMHH24", {KC_HOUR24, 2, false}},
	{"FMHH12", {KC_HOUR12, 2, false}},
	{"MM", {KC_MONTH, 2, true}},
	{"DD", {KC_DAY, 2, true}},
	{"HH24", {KC_HOUR24, 2, true}},
	{"HH12", {KC_HOUR12, 2, true}},
	{"MI", {KC_MINUTE, 2, true}},
	{"SS", {KC_SECOND, 2, true}},
	{"AM", {KC_MERIDIAN, 0, false}}
};

/* What stands in each item, by its kind */
typedef int KcParts[KC_ITEM_KINDS];

static const char *
check_items(int seen, KcFormatUse use)
{
	const int	date = KC_BIT(KC_YEAR) | KC_BIT(KC_MONTH) | KC_BIT(KC_DAY);

	seen &= ~KC_BIT(KC_LITERAL);

	switch (use)
	{
		case KC_FORMAT_DATE:
			return seen == date ? NULL :
				"a date needs YYYY, MM and DD, and nothing of a time";
		case KC_FORMAT_MONTH:
			return seen == (date & ~KC_BIT(KC_DAY)) ? NULL :
				"a month needs YYYY and MM, and nothing else";
		case KC_FORMAT_TIME:
			seen &= ~KC_BIT(KC_SECOND);
			return (seen == (KC_BIT(KC_HOUR24) | KC_BIT(KC_MINUTE)) ||
					seen == (KC_BIT(KC_HOUR12) | KC_BIT(KC_MINUTE) | KC_BIT(KC_MERIDIAN))) ? NULL :
				"a time needs HH24 and MI, or HH12, MI and AM, and nothing of a date";
	}
	return NULL;
}

KcFormat *
kc_format_compile(const char *pattern, KcFormatUse use, const char **trouble)
{
	KcFormat   *format;
	int			seen = 0;
	bool		open_ended = false; /* may the last number be short? */

	*trouble = NULL;
	if (strlen(pattern) > KC_FORMAT_MAX)
	{
		*trouble = "it is longer than 32 characters";
		return NULL;
	}

	format = palloc0(sizeof(KcFormat));
	strlcpy(format->pattern, pattern, sizeof(format->pattern));

	while (*pattern != '\0')
	{
		KcItem	   *item = &format->items[format->nitems++];

		item->kind = KC_LITERAL;
		item->literal = *pattern;
		for (int i = 0; i < lengthof(words); i++)
		{
			if (strncmp(pattern, words[i].word, strlen(words[i].word)) == 0)
			{
				*item = words[i].item;
				pattern += strlen(words[i].word);
				break;
			}
		}

		if (item->kind == KC_LITERAL)
			pattern++;
		else if (seen & KC_BIT(item->kind))
		{
			*trouble = "a part stands in it twice";
			return NULL;
		}
		if (open_ended &&
			(item->digits > 0 || (item->kind == KC_LITERAL && isdigit((unsigned char) item->literal))))
		{
			*trouble = "a number without leading zero needs a separator after it";
			return NULL;
		}
		seen |= KC_BIT(item->kind);
		open_ended = (item->digits > 0 && !item->fill);
	}

	*trouble = check_items(seen, use);
	return *trouble ? NULL : format;
}

const char *
kc_format_pattern(const KcFormat *format)
{
	return format->pattern;
}

/* Reads one number at *text and steps over it */
static inline bool
read_number(const char **text, const KcItem *item, int *number)
{
	const char *p = *text;
	int			digits = 0;
	int			value = 0;

	while (digits < item->digits && *p >= '0' && *p <= '9')
	{
		value = value * 10 + (*p++ - '0');
		digits++;
	}
	*number = value;
	if (digits == 0 || (item->fill && digits < item->digits) ||
		(!item->fill && digits > 1 && **text == '0'))
		return false;
	*text = p;
	return true;
}

static bool
read_parts(const KcFormat *format, const char *text, KcParts parts)
{
	memset(parts, 0, sizeof(KcParts));
	parts[KC_DAY] = 1;
	parts[KC_MERIDIAN] = -1;

	for (int i = 0; i < format->nitems; i++)
	{
		const KcItem *item = &format->items[i];

		if (item->digits > 0)
		{
			if (!read_number(&text, item, &parts[item->kind]))
				return false;
		}
		else if (item->kind == KC_MERIDIAN)
		{
			if ((text[0] != 'A' && text[0] != 'P') || text[1] != 'M')
				return false;
			parts[KC_MERIDIAN] = (text[0] == 'P');
			text += 2;
		}
		else if (*text++ != item->literal)
			return false;
	}
	return *text == '\0';
}

static bool
compose_date(int year, int month, int day, DateADT *date)
{
	if (year < 1 || month < 1 || month > MONTHS_PER_YEAR ||
		day < 1 || day > day_tab[isleap(year)][month - 1])
		return false;
	*date = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	return true;
}

static bool
compose_time(int hour, int minute, int second, TimeADT *time)
{
	if (hour >= HOURS_PER_DAY || minute >= MINS_PER_HOUR || second >= SECS_PER_MINUTE)
		return false;
	*time = ((hour * MINS_PER_HOUR + minute) * SECS_PER_MINUTE + second) * USECS_PER_SEC;
	return true;
}

bool
kc_format_read_date(const KcFormat *format, const char *text, DateADT *date)
{
	KcParts		parts;

	return read_parts(format, text, parts) &&
		compose_date(parts[KC_YEAR], parts[KC_MONTH], parts[KC_DAY], date);
}

bool
kc_format_read_time(const KcFormat *format, const char *text, TimeADT *time)
{
	KcParts		parts;
	int			hour;

	if (!read_parts(format, text, parts))
		return false;

	hour = parts[KC_HOUR24];
	if (parts[KC_MERIDIAN] >= 0)
	{
		hour = parts[KC_HOUR12];
		if (hour < 1 || hour > 12)
			return false;
		hour = hour % 12 + (parts[KC_MERIDIAN] ? 12 : 0);
	}
	return compose_time(hour, parts[KC_MINUTE], parts[KC_SECOND], time);
}

static void
write_parts(const KcFormat *format, const KcParts parts, char *out)
{
	for (int i = 0; i < format->nitems; i++)
	{
		const KcItem *item = &format->items[i];

		if (item->digits > 0)
			out = pg_ultostr_zeropad(out, parts[item->kind], item->fill ? item->digits : 1);
		else if (item->kind == KC_MERIDIAN)
		{
			memcpy(out, parts[KC_MERIDIAN] ? "PM" : "AM", 2);
			out += 2;
		}
		else
			*out++ = item->literal;
	}
	*out = '\0';
}

bool
kc_format_write_date(const KcFormat *format, DateADT date, char *out)
{
	KcParts		parts = {0};

	if (DATE_NOT_FINITE(date))
		return false;
	j2date(date + POSTGRES_EPOCH_JDATE, &parts[KC_YEAR], &parts[KC_MONTH], &parts[KC_DAY]);
	if (parts[KC_YEAR] < 1 || parts[KC_YEAR] > 9999)
		return false;
	write_parts(format, parts, out);
	return true;
}

bool
kc_format_write_time(const KcFormat *format, TimeADT time, char *out)
{
	KcParts		parts = {0};
	int			minutes = time / USECS_PER_MINUTE;

	if (time < 0 || time >= USECS_PER_DAY)
		return false;
	parts[KC_HOUR24] = minutes / MINS_PER_HOUR;
	parts[KC_HOUR12] = (parts[KC_HOUR24] + 11) % 12 + 1;
	parts[KC_MERIDIAN] = parts[KC_HOUR24] >= 12;
	parts[KC_MINUTE] = minutes % MINS_PER_HOUR;
	parts[KC_SECOND] = time / USECS_PER_SEC % SECS_PER_MINUTE;
	write_parts(format, parts, out);
	return true;
}

/* A number of two digits at text, or -1 */
static int
two_digits(const char *text)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return -1;
	return (text[0] - '0') * 10 + (text[1] - '0');
}

/* What follows the seconds: Z, or an offset from UTC in hours and minutes */
static bool
read_zone(const char *text, int64 *offset)
{
	int			hours;
	int			minutes = 0;
	bool		west = (*text == '-');

	*offset = 0;
	if (strcmp(text, "Z") == 0)
		return true;
	if (*text != '+' && *text != '-')
		return false;

	hours = two_digits(++text);
	if (hours < 0 || hours > 15)
		return false;
	text += 2;
	if (*text != '\0')
	{
		if (*text == ':')
			text++;
		minutes = two_digits(text);
		if (minutes < 0 || minutes >= MINS_PER_HOUR || text[2] != '\0')
			return false;
	}
	*offset = (hours * MINS_PER_HOUR + minutes) * USECS_PER_MINUTE;
	if (west)
		*offset = -*offset;
	return true;
}

bool
kc_read_timestamptz(const char *text, TimestampTz *instant)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd";
	DateADT		date;
	TimeADT		time;
	int64		offset;
	int64		unit = USECS_PER_SEC / 10;

	for (const char *s = shape; *s != '\0'; s++)
	{
		char		c = text[s - shape];

		if (*s == 'd' ? (c < '0' || c > '9') : c != *s)
			return false;
	}
	if (!compose_date(two_digits(text) * 100 + two_digits(text + 2),
				   two_digits(text + 5), two_digits(text + 8), &date) ||
		!compose_time(two_digits(text + 11), two_digits(text + 14), two_digits(text + 17), &time))
		return false;

	text += sizeof(shape) - 1;
	if (*text == '.')
	{
		if (*++text < '0' || *text > '9')
			return false;
		for (; *text >= '0' && *text <= '9'; text++, unit /= 10)
			time += (*text - '0') * unit;
	}
	if (!read_zone(text, &offset))
		return false;

	*instant = date * USECS_PER_DAY + time - offset;
	return true;
}
