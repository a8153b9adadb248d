/*
 * kc_curl_compat.h
 *	  Every difference between the libcurl versions we support (from 7.88).
 */
#ifndef KC_CURL_COMPAT_H
#define KC_CURL_COMPAT_H

#include <curl/curl.h>

#if LIBCURL_VERSION_NUM < 0x075800
#error "kinderconnect needs libcurl 7.88 or later"
#endif

/*
 * From 8.20 on the resolver's threads belong to the multi handle, which has
 * to be told that nobody waits for them; before, the easy handle's
 * CURLOPT_QUICK_EXIT is enough.
 */
static inline CURLMcode
kc_curl_multi_quick_exit(CURLM *multi)
{
#if LIBCURL_VERSION_NUM >= 0x081400
	return curl_multi_setopt(multi, CURLMOPT_QUICK_EXIT, 1L);
#else
	return CURLM_OK;
#endif
}

/*
 * What libcurl says of a client's key that it cannot use: CURLE_SSL_CERTPROBLEM
 * of old; 8.23 was seen to blame the argument.
 */
#define KC_CURL_IS_BAD_KEY(code) ((code) == CURLE_BAD_FUNCTION_ARGUMENT)

#endif							/* KC_CURL_COMPAT_H */
