/*
 * settings.h
 *	  The settings named kinderconnect.*: each has one meaning, a unit and
 *	  bounds; zero never means "for ever".
 */
#ifndef KC_SETTINGS_H
#define KC_SETTINGS_H

#include "postgres.h"

extern char *kc_secrets_file;	/* "" = kinderconnect.secrets beside postgresql.conf */
extern char *kc_ca_file;		/* "" = the system's */
extern char *kc_client_certificate; /* "" = none */
extern char *kc_client_key;		/* "" = none */
extern int	kc_max_in_flight;	/* requests */
extern int	kc_connect_timeout; /* ms */
extern int	kc_request_timeout; /* ms spent waiting, from resolving to the last byte read */
extern int	kc_run_deadline;	/* s */
extern int	kc_max_response;	/* kB, after decompression */
extern int	kc_max_attempts;	/* of one call */
extern int	kc_retry_delay;		/* ms, of the first back-off; doubles */
extern int	kc_horizon_days;
extern int	kc_compare_providers;
extern int	kc_keep_attempts_days;
extern int	kc_keep_lists_days;
extern int	kc_keep_runs_days;
extern int	kc_shrink_floor;	/* entries */
extern int	kc_shrink_percent;

extern void kc_settings_init(void);

#endif							/* KC_SETTINGS_H */
