/*
 * curl_memory.h
 *	  Sets up libcurl, with memory that is wiped as it is freed.
 */
#ifndef KC_CURL_MEMORY_H
#define KC_CURL_MEMORY_H

/* once, when the library is loaded */
extern void kc_curl_init(void);

#endif							/* KC_CURL_MEMORY_H */
