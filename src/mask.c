/*
 * mask.c
 *	  Finds our secrets in what the service says.
 */
#include "postgres.h"

#include "mask.h"
#include "mb/pg_wchar.h"

/* Of a secret that a text ends with cut off, so many bytes are too many */
#define MIN_CUT 6

/* What may follow where a text was cut off: an ellipsis, quotes, brackets */
#define CUT_MARKS " .,:;'\"`)]}>\\\t\r\n\xE2\x80\xA6"

void
kc_mask_add(KcMask *mask, const char *secret)
{
	Assert(mask->count < KC_MAX_MASKED);
	mask->secrets[mask->count] = pstrdup(secret);
	mask->count++;
}

void
kc_mask_wipe(KcMask *mask)
{
	for (int i = 0; i < mask->count; i++)
		explicit_bzero(mask->secrets[i], strlen(mask->secrets[i]));
	mask->count = 0;
	mask->unknown = false;
}

/* Of the four hexadecimal digits after a u; 0 where they are none */
static pg_wchar
unicode_unit(const char *p, const char *end)
{
	pg_wchar	unit = 0;

	if (end - p < 5 || *p++ != 'u')
		return 0;
	for (int i = 0; i < 4; i++, p++)
	{
		if (*p >= '0' && *p <= '9')
			unit = unit * 16 + *p - '0';
		else if ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'f')
			unit = unit * 16 + (*p | 0x20) - 'a' + 10;
		else
			return 0;
	}
	return unit;
}

static const char *
skip_backslashes(const char *p, const char *end)
{
	while (p < end && *p == '\\')
		p++;
	return p;
}

/*
 * The character of which p is the escape, without its backslash, in UTF-8;
 * answers the byte after it, or NULL where it stands for itself.
 */
static const char *
read_escape(const char *p, const char *end, char *utf8)
{
	static const char letters[] = "bft";
	static const char controls[] = "\b\f\t";
	const char *letter = *p != '\0' ? strchr(letters, *p) : NULL;
	pg_wchar	code = unicode_unit(p, end);

	memset(utf8, 0, MAX_MULTIBYTE_CHAR_LEN + 1);
	if (letter != NULL)
		utf8[0] = controls[letter - letters];
	else if (code != 0)
	{
		const char *next = skip_backslashes(p + 5, end);

		if (is_utf16_surrogate_first(code) && is_utf16_surrogate_second(unicode_unit(next, end)))
		{
			code = surrogate_pair_to_codepoint(code, unicode_unit(next, end));
			p = next;
		}
		unicode_to_utf8(code, (unsigned char *) utf8);
		return p + 5;
	}
	return letter != NULL ? p + 1 : NULL;
}

/* After such a byte no secret begins: "invalid_client" is not cut off */
static bool
is_in_word(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

/*
 * How many bytes at p say a secret, or its beginning where nothing more
 * follows; 0 = none.  In JSON of JSON a character has many backslashes, so
 * they do not count.
 */
static size_t
said_at(const char *text, const char *p, const char *end, const char *secret, size_t len)
{
	const char *start = p;
	size_t		same = 0;

	if (end - p >= len && memcmp(p, secret, len) == 0)
		return len;
	for (;;)
	{
		const char *at = skip_backslashes(p, end);
		char		utf8[MAX_MULTIBYTE_CHAR_LEN + 1];
		const char *after;
		int			n;

		while (*secret == '\\')
			secret++;
		if (*secret == '\0')
			return same >= KC_MIN_MASKED ? p - start : 0;
		if (at == end)
			break;
		n = pg_utf_mblen((const unsigned char *) secret);
		after = at > p ? read_escape(at, end, utf8) : NULL;
		if (after != NULL && strncmp(secret, utf8, n) == 0)
			p = after;
		else if (end - at >= n && strncmp(secret, at, n) == 0)
			p = at + n;
		else
			break;
		secret += n;
		same += n;
	}

	if (same < MIN_CUT || (start > text && is_in_word(start[-1])))
		return 0;
	for (const char *rest = p; rest < end; rest++)
	{
		if (*rest == '\0' || strchr(CUT_MARKS, *rest) == NULL)
			return 0;
	}
	return p - start;
}

void
kc_mask_apply(const KcMask *mask, char *text, size_t len)
{
	char	   *end = text + len;

	if (mask->unknown)
		memset(text, '*', len);
	for (int i = 0; i < mask->count && !mask->unknown; i++)
	{
		const char *secret = mask->secrets[i];
		size_t		secret_len = strlen(secret);
		size_t		said;

		if (secret_len < KC_MIN_MASKED)
			continue;
		for (char *p = text; p < end; p += Max(said, 1))
		{
			said = 0;
			if (*p == *secret || (*p == '\\' && (p == text || p[-1] != '\\')))
				said = said_at(text, p, end, secret, secret_len);
			memset(p, '*', said);
		}
	}
}

void
kc_mask_string(const KcMask *mask, char *text)
{
	if (text != NULL)
		kc_mask_apply(mask, text, strlen(text));
}
