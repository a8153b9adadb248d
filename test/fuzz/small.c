/*
 * small.c
 *	  The small readers: one key path of a document (tokens and their errors),
 *	  patterns of dates and times, and the secrets file.
 */
#include "fuzz.h"

#include "mask.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* The parser of the file is not seen from outside */
#include "../../src/secrets.c"

/* Settings of those parts of the core that have any */
char	   *kc_secrets_file = "/nowhere";
char	   *kc_ca_file = "";
char	   *kc_client_certificate = "";
int			kc_connect_timeout = 10000;
int			kc_retry_delay = 500;
int			kc_request_timeout = 60000;
int			kc_max_response = 256 * 1024;

static void
take_json(const char *data, size_t len)
{
	static const char *const paths[] = {"access_token", "expires_in", "error", "a.b", ""};

	for (int i = 0; i < lengthof(paths); i++)
	{
		char	   *text = kc_json_get(data, len, paths[i]);

		if (text != NULL)
			KC_HOLDS(pg_verify_mbstr(PG_UTF8, text, strlen(text), true));
	}
}

const KcFuzzTarget kc_fuzz_json = {"json", NULL, take_json};

/* What a pattern reads it writes again; the server reads the same in its own */
static void
check_format(const char *pattern, KcFormatUse use, const char *text)
{
	const char *trouble;
	KcFormat   *format = kc_format_compile(pattern, use, &trouble);
	char		out[KC_FORMAT_MAX + 1];
	DateADT		date;
	TimeADT		time;

	KC_HOLDS((format == NULL) == (trouble != NULL));
	if (format == NULL)
		return;
	if (use == KC_FORMAT_TIME)
	{
		if (kc_format_read_time(format, text, &time))
		{
			KC_HOLDS(time >= 0 && time < USECS_PER_DAY);
			KC_HOLDS(kc_format_write_time(format, time, out) && strcmp(out, text) == 0);
		}
	}
	else if (kc_format_read_date(format, text, &date))
	{
		KC_HOLDS(kc_format_write_date(format, date, out) && strcmp(out, text) == 0);
		if (strcmp(pattern, "YYYY-MM-DD") == 0)
			KC_HOLDS(DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(text))) == date);
	}
}

static void
take_format(const char *data, size_t len)
{
	char	   *pattern = pnstrdup(data, len);
	char	   *text = strchr(pattern, '\n');
	TimestampTz instant;

	if (text == NULL)
		return;
	*text++ = '\0';
	check_format(pattern, KC_FORMAT_DATE, text);
	check_format(pattern, KC_FORMAT_MONTH, text);
	check_format(pattern, KC_FORMAT_TIME, text);
	if (kc_read_timestamptz(text, &instant))
	{
		const char *fraction = strchr(text, '.');

		/* the server rounds what is finer, and takes no year of a longer zone */
		if (fraction == NULL || strspn(fraction + 1, "0123456789") <= 6)
			KC_HOLDS(DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
															 ObjectIdGetDatum(InvalidOid),
															 Int32GetDatum(-1))) == instant);
	}
}

const KcFuzzTarget kc_fuzz_format = {"format", NULL, take_format};

/* The first line is the name asked for, the rest is the file */
static void
take_secrets(const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);
	SecretsFile file = {.path = "/secrets",.exists = true};
	SecretLine	line;
	KcFault		fault;
	char	   *name;

	if (end == NULL)
		return;
	name = pnstrdup(data, end - data);
	memset(&fault, 0, sizeof(fault));
	file.len = data + len - (end + 1);
	file.text = palloc(Max(file.len, 1));
	memcpy(file.text, end + 1, file.len);
	if (memchr(file.text, '\0', file.len) != NULL)
		return;
	if (check_name(name, &fault) && find_line(&file, name, &line, &fault))
	{
		KC_HOLDS(fault.kind == KC_FAULT_NONE);
		if (line.start != NULL)
		{
			char	   *value = pnstrdup(line.value, line.value_len);
			char	   *text = pnstrdup(data, len);
			KcMask		mask = {0};

			KC_HOLDS(line.value_len > 0 && line.value_len <= MAX_VALUE);
			KC_HOLDS(line.value >= file.text && line.value + line.value_len <= file.text + file.len);
			KC_HOLDS(line.next > line.value && line.next <= file.text + file.len);
			kc_mask_add(&mask, value);
			kc_mask_apply(&mask, text, strlen(text));
			KC_HOLDS(strlen(value) < KC_MIN_MASKED || strspn(value, "*") == strlen(value) ||
					 strstr(text, value) == NULL);
			KC_HOLDS(!pg_verify_mbstr(PG_UTF8, data, strlen(text), true) ||
					 pg_verify_mbstr(PG_UTF8, text, strlen(text), true));
		}
	}
	else
	{
		KC_HOLDS(fault.kind == KC_FAULT_SECRET);
		KC_HOLDS(pg_verify_mbstr(PG_UTF8, fault.message, strlen(fault.message), true));
	}
}

const KcFuzzTarget kc_fuzz_secrets = {"secrets", NULL, take_secrets};
