-- The doors of the C core. Names that begin with an underscore are for the
-- procedures of the night; the others are for people.

CREATE FUNCTION kinderconnect.library_version() RETURNS text
	AS 'MODULE_PATHNAME', 'kinderconnect_library_version'
	LANGUAGE c STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kinderconnect.library_version() IS
'version of the loaded library, with libcurl''s and its TLS library''s';

CREATE FUNCTION kinderconnect.setting(name text) RETURNS text
	AS 'MODULE_PATHNAME', 'kinderconnect_setting'
	LANGUAGE c STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kinderconnect.setting(text) IS
'the effective, checked value of a kinderconnect.* setting, name without the prefix, in its base unit';

CREATE FUNCTION kinderconnect._require_no_transaction(procedure_name text) RETURNS void
	AS 'MODULE_PATHNAME', 'kinderconnect_require_no_transaction'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._require_no_transaction(text) IS
'an error unless the procedure that calls it, and is named, may commit';

CREATE FUNCTION kinderconnect._write_secret(name text, value text) RETURNS void
	AS 'MODULE_PATHNAME', 'kinderconnect_write_secret'
	LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._write_secret(text, text) IS
'sets, or with a null value removes, one line of the secrets file, atomically; writers of all databases wait for one another until their transactions end';

CREATE FUNCTION kinderconnect._has_secret(name text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kinderconnect_has_secret'
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION kinderconnect._has_secret(text) IS
'whether the secrets file holds this name; an error where the file cannot be used';

CREATE FUNCTION kinderconnect._new_arm_token(name text) RETURNS text
	AS 'MODULE_PATHNAME', 'kinderconnect_new_arm_token'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._new_arm_token(text) IS
'writes a fresh random token under this name into the secrets file; answers its SHA-256 in hexadecimal, never the token';

CREATE FUNCTION kinderconnect._arm_digest(name text) RETURNS text
	AS 'MODULE_PATHNAME', 'kinderconnect_arm_digest'
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION kinderconnect._arm_digest(text) IS
'SHA-256 in hexadecimal of the token of this name in the secrets file; null where there is none';

CREATE FUNCTION kinderconnect._missing_secrets_file() RETURNS text
	AS 'MODULE_PATHNAME', 'kinderconnect_missing_secrets_file'
	LANGUAGE c VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION kinderconnect._missing_secrets_file() IS
'the path of the secrets file, if it does not exist';

CREATE FUNCTION kinderconnect._compile_dialect(dialect text, operation text) RETURNS void
	AS 'MODULE_PATHNAME', 'kinderconnect_compile_dialect'
	LANGUAGE c STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._compile_dialect(text, text) IS
'an error, which names the row and the cure, where the rows of an operation make no sense; nothing of it is kept';

-- One call each, run to its end, for a person at psql. Errors are raised, of
-- a null argument too.

CREATE FUNCTION kinderconnect.api_customers(organization_id text)
	RETURNS SETOF kinderconnect.reply_customer
	AS 'MODULE_PATHNAME', 'kinderconnect_api_customers'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION kinderconnect.api_customers(text) IS
'asks the service now: the customers of an organization''s group, all pages';

CREATE FUNCTION kinderconnect.api_locations(organization_id text, customer_id text)
	RETURNS SETOF kinderconnect.reply_location
	AS 'MODULE_PATHNAME', 'kinderconnect_api_locations'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION kinderconnect.api_locations(text, text) IS
'asks the service now: the locations of a customer, all pages';

CREATE FUNCTION kinderconnect.api_agencies(organization_id text, customer_id text)
	RETURNS SETOF kinderconnect.reply_agency
	AS 'MODULE_PATHNAME', 'kinderconnect_api_agencies'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION kinderconnect.api_agencies(text, text) IS
'asks the service now: the agencies a customer reports to, all pages';

CREATE FUNCTION kinderconnect.api_children(organization_id text, agency_id text, provider_id text, month date)
	RETURNS SETOF kinderconnect.reply_child
	AS 'MODULE_PATHNAME', 'kinderconnect_api_children'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION kinderconnect.api_children(text, text, text, date) IS
'asks the service now: the children of a provider and their authorizations touching the month of the date, all pages';

CREATE FUNCTION kinderconnect.api_readback(organization_id text, agency_id text, provider_id text, from_date date, to_date date)
	RETURNS SETOF kinderconnect.reply_record
	AS 'MODULE_PATHNAME', 'kinderconnect_api_readback'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000;
COMMENT ON FUNCTION kinderconnect.api_readback(text, text, text, date, date) IS
'asks the service now: the attendance it holds for a provider, dates inclusive, all pages';

CREATE FUNCTION kinderconnect.api_submit(organization_id text, agency_id text, provider_id text, batch_id text, records kinderconnect.wire_record[])
	RETURNS SETOF kinderconnect.reply_result
	AS 'MODULE_PATHNAME', 'kinderconnect_api_submit'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION kinderconnect.api_submit(text, text, text, text, kinderconnect.wire_record[]) IS
'sends attendance now, past the ledger: for adapting a dialect against a test service. Granted to nobody; the night never uses it';

-- Many calls at once, living across the transactions of a procedure.

CREATE FUNCTION kinderconnect._open(deadline interval) RETURNS void
	AS 'MODULE_PATHNAME', 'kinderconnect_open'
	LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._open(interval) IS
'opens this session''s engine of calls; null: the setting run_deadline. An error anywhere in the caller closes it';

CREATE FUNCTION kinderconnect._close() RETURNS void
	AS 'MODULE_PATHNAME', 'kinderconnect_close'
	LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._close() IS
'ends all calls, and gives back every lock taken by _lock()';

CREATE FUNCTION kinderconnect._lock(organization_id text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kinderconnect_lock'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._lock(text) IS
'tries to take the run lock of an organization for this session, past COMMIT; given back by _close() and by any error that ends the caller';

CREATE FUNCTION kinderconnect._unlock(organization_id text) RETURNS void
	AS 'MODULE_PATHNAME', 'kinderconnect_unlock'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._unlock(text) IS
'gives back the run lock of one organization';

CREATE FUNCTION kinderconnect._room() RETURNS integer
	AS 'MODULE_PATHNAME', 'kinderconnect_room'
	LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._room() IS
'how many more calls to start before collecting some';

CREATE FUNCTION kinderconnect._pending() RETURNS integer
	AS 'MODULE_PATHNAME', 'kinderconnect_pending'
	LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._pending() IS
'calls started and not yet released';

CREATE FUNCTION kinderconnect._start(operation text, organization_id text,
		agency_id text DEFAULT NULL, provider_id text DEFAULT NULL, customer_id text DEFAULT NULL,
		month date DEFAULT NULL, from_date date DEFAULT NULL, to_date date DEFAULT NULL)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'kinderconnect_start'
	LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._start(text, text, text, text, text, date, date, date) IS
'queues a reading call; answers its ticket';

CREATE FUNCTION kinderconnect._start_submit(organization_id text, agency_id text, provider_id text,
		batch_id text, records kinderconnect.wire_record[])
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'kinderconnect_start_submit'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._start_submit(text, text, text, text, kinderconnect.wire_record[]) IS
'queues the sending of one batch, whose outbox row is committed; answers its ticket';

CREATE FUNCTION kinderconnect._collect(wait interval DEFAULT NULL)
	RETURNS SETOF kinderconnect.call_outcome
	AS 'MODULE_PATHNAME', 'kinderconnect_collect'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 8;
COMMENT ON FUNCTION kinderconnect._collect(interval) IS
'the calls that have ended and were not collected yet, waiting for at least one while any is under way, no longer than wait (null: until one ends)';

CREATE FUNCTION kinderconnect._rows(ticket bigint, row_type anyelement)
	RETURNS SETOF anyelement
	AS 'MODULE_PATHNAME', 'kinderconnect_rows'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION kinderconnect._rows(bigint, anyelement) IS
'the rows of a collected call, of the type of the null given: _rows(7, NULL::kinderconnect.reply_child)';

CREATE FUNCTION kinderconnect._release(ticket bigint) RETURNS void
	AS 'MODULE_PATHNAME', 'kinderconnect_release'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._release(bigint) IS
'forgets a collected call and its rows';
