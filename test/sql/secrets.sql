-- Secrets and arming, as SQL sees them; test/t/ has what the file itself may
-- and may not be.
SELECT kinderconnect._has_secret('regress.one');
SELECT kinderconnect.set_secret('regress.one', 'first: value ');
SELECT kinderconnect.set_secret('regress.one', 'grüße');
SELECT kinderconnect._has_secret('regress.one');
SELECT kinderconnect.remove_secret('regress.one');
SELECT kinderconnect._has_secret('regress.one');

\set VERBOSITY terse
SELECT kinderconnect.remove_secret('regress.one');
SELECT kinderconnect.remove_secret(NULL);
SELECT kinderconnect.set_secret(NULL, 'x');
SELECT kinderconnect.set_secret('', 'x');
SELECT kinderconnect.set_secret('regress.one', NULL);
SELECT kinderconnect.set_secret('regress.one', '');
SELECT kinderconnect.set_secret('regress.one', E'two\nlines');
SELECT kinderconnect.set_secret('regress.one', E'carriage return\r');
SELECT kinderconnect.set_secret('regress.one', repeat('x', 4097));
-- the arguments swapped: what may be a password is not repeated
SELECT kinderconnect.set_secret('not a name', 'regress.one');
SELECT kinderconnect.set_secret(repeat('x', 129), 'x');
SELECT kinderconnect._has_secret('not a name');

-- Armed is who has the token in the file and its digest in the table.
SELECT kinderconnect.disarm();
SELECT kinderconnect._require_armed();
SELECT regexp_replace(kinderconnect.arm(), '\d+', 'N');
SELECT kinderconnect._require_armed();
SELECT digest = kinderconnect._arm_digest((kinderconnect._arm_key()).secret) AS "digest agrees",
	armed_by = session_user AS "by this user" FROM kinderconnect.arming;
\set VERBOSITY default
\set SHOW_CONTEXT never
UPDATE kinderconnect.arming SET digest = 'another';
SELECT kinderconnect._require_armed();
UPDATE kinderconnect.arming SET system_identifier = '1';
SELECT kinderconnect._require_armed();
SELECT regexp_replace(kinderconnect.arm(), '\d+', 'N');
SELECT kinderconnect.remove_secret((kinderconnect._arm_key()).secret);
SELECT kinderconnect._require_armed();
SELECT kinderconnect.disarm();
SELECT count(*) FROM kinderconnect.arming;
