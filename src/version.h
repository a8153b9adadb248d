/*
 * version.h
 *	  Whether the library and the SQL of this database are of one version.
 */
#ifndef KC_VERSION_H
#define KC_VERSION_H

extern void kc_require_one_version(void);

#endif							/* KC_VERSION_H */
