-- For the tests that make calls: included with ECHO none and the variable
-- organization set, and ended by ROLLBACK. Makes the organization, which
-- reports as the seed's group G-SUN to the simulator, and pg_temp.fails().
-- Retries are quick.
\getenv simulator KC_SIMULATOR
\! test/lib/admin reset
\set QUIET on
\o /dev/null
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
SET kinderconnect.retry_delay = '10ms';
SET kinderconnect.max_attempts = 2;

SELECT kinderconnect.set_secret('regress.client', 'client-secret-1');
SELECT kinderconnect.set_secret('regress.group', 'sunflower-grüße-77');
SELECT kinderconnect.set_secret('regress.wrong', 'not the password');

-- How a statement fails: SQLSTATE and message, detail and hint, a line each,
-- without what differs from run to run: where the simulator and the secrets
-- file are, and libcurl's words. Nothing of the statement stays.
CREATE FUNCTION pg_temp.fails(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	message  text;
	detail   text;
	hint     text;
	violated text;
BEGIN
	EXECUTE statement;
	RAISE EXCEPTION 'it works';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, violated = CONSTRAINT_NAME;
	IF violated <> '' THEN
		RETURN format('%s: %s', SQLSTATE, violated);
	END IF;
	message := concat_ws(E'\n', format('%s: %s', SQLSTATE, message),
		'DETAIL: ' || nullif(CASE WHEN starts_with(detail, 'libcurl says: ') THEN 'libcurl says: ...' ELSE detail END, ''),
		'HINT: ' || nullif(hint, ''));
	RETURN regexp_replace(replace(message, replace(current_setting('regress.simulator'), 'http://', ''), 'SIMULATOR'),
		'(secrets file) "[^"]*"', '\1 "SECRETS"', 'g');
END
$$;

BEGIN;
SELECT set_config('regress.simulator', :'simulator', false);
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
VALUES ('regress', 'kinderbridge', :'simulator', :'simulator' || '/oauth2/token', 'kc-client', 'regress.client'),
	('regress.nowhere', 'kinderbridge', 'http://127.0.0.1:1', 'http://127.0.0.1:1', 'kc-client', 'regress.client');
SELECT kinderconnect.enable_integration(:'organization', 'G-SUN', 'regress.group', 'regress');
\o
\set ON_ERROR_ROLLBACK on
\set ECHO all
