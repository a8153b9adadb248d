-- Settings: checked values in base units, bounds, and no others.
SELECT name, CASE WHEN name = 'secrets_file' THEN '...' ELSE kinderconnect.setting(name) END AS value
FROM unnest(ARRAY['secrets_file', 'ca_file', 'client_certificate', 'client_key', 'max_in_flight', 'connect_timeout', 'request_timeout', 'run_deadline',
	'max_response', 'max_attempts', 'retry_delay', 'horizon_days', 'compare_providers', 'keep_attempts_days', 'keep_lists_days', 'keep_runs_days', 'shrink_floor', 'shrink_percent']) AS name;

SELECT name, unit, context, min_val, max_val FROM pg_settings WHERE name LIKE 'kinderconnect.%' ORDER BY name;
SELECT name FROM pg_settings WHERE name LIKE 'kinderconnect.%' AND short_desc = '';

SET kinderconnect.connect_timeout = '2s';
SELECT kinderconnect.setting('connect_timeout');
RESET kinderconnect.connect_timeout;

SELECT kinderconnect.setting('no_such_setting');
SELECT kinderconnect.setting('');
SELECT kinderconnect.setting(NULL) IS NULL AS "null of null";
-- out of bounds, unknown, or not for a session; the words differ between versions
\set VERBOSITY sqlstate
SET kinderconnect.no_such_setting = 1;
SET kinderconnect.connect_timeout = '10min';
SET kinderconnect.max_in_flight = 0;
SET kinderconnect.run_deadline = 0;
SET kinderconnect.secrets_file = '/tmp/elsewhere';
SET kinderconnect.client_key = '/tmp/elsewhere';
