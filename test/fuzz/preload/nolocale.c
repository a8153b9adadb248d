/*
 * nolocale.c
 *	  Loaded before a server that runs under a sanitizer: under some C libraries
 *	  the sanitizer's start leaves the lock of message catalogues unbalanced, and
 *	  the server's first bindtextdomain() would wait for ever.  Messages are not
 *	  translated here.
 */
#include <stddef.h>

char	   *bindtextdomain(const char *domain, const char *directory);
char	   *bind_textdomain_codeset(const char *domain, const char *codeset);
char	   *textdomain(const char *domain);

char *
bindtextdomain(const char *domain, const char *directory)
{
	return NULL;
}

char *
bind_textdomain_codeset(const char *domain, const char *codeset)
{
	return NULL;
}

char *
textdomain(const char *domain)
{
	return NULL;
}
