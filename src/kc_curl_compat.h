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

#endif							/* KC_CURL_COMPAT_H */
