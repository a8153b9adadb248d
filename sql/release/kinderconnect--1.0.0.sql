\echo Use "CREATE EXTENSION kinderconnect" to load this file. \quit
-- Who may do what: three roles without login. They belong to the cluster, not
-- to the extension, and stay when it is dropped.

DO $$
DECLARE
	role record;
BEGIN
	IF current_setting('server_encoding') <> 'UTF8' THEN
		RAISE EXCEPTION 'kinderconnect needs a database in the encoding UTF8, not %', current_setting('server_encoding')
			USING ERRCODE = 'feature_not_supported',
				HINT = 'Create the database with ENCODING ''UTF8'' TEMPLATE template0.';
	END IF;

	FOR role IN
		SELECT * FROM (VALUES
			('kinderconnect_admin', 'configures kinderconnect: endpoints, organizations, bindings, secrets'),
			('kinderconnect_operator', 'runs the night of kinderconnect and reviews its matches'),
			('kinderconnect_analyst', 'reads the tables of kinderconnect')) AS wanted (name, purpose)
		WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name)
	LOOP
		EXECUTE format('CREATE ROLE %I NOLOGIN', role.name);
		EXECUTE format('COMMENT ON ROLE %I IS %L', role.name, role.purpose);
	END LOOP;
END
$$;

GRANT USAGE ON SCHEMA kinderconnect TO kinderconnect_admin, kinderconnect_operator, kinderconnect_analyst;
-- bind_manage() makes its views as whoever calls it
GRANT CREATE ON SCHEMA kinderconnect TO kinderconnect_admin;
-- The rows that cross between SQL and the service: what one record of a reply
-- or of an attendance request looks like in our own words. The C core finds
-- the columns by name; a dialect says where each stands on the wire.

CREATE TYPE kinderconnect.reply_customer AS (
	ordinal     integer,
	problem     text,
	customer_id text,
	name        text,
	status      text
);
COMMENT ON TYPE kinderconnect.reply_customer IS
'a customer as the service lists it; ordinal counts from 1 over all pages, problem says what is wrong with the record, else null';

CREATE TYPE kinderconnect.reply_location AS (
	ordinal     integer,
	problem     text,
	provider_id text,
	agency_id   text,
	customer_id text,
	name        text,
	line1       text,
	city        text,
	state       text,
	zip         text,
	status      text
);
COMMENT ON TYPE kinderconnect.reply_location IS
'a location as the service lists it: a provider ID at an agency';

CREATE TYPE kinderconnect.reply_agency AS (
	ordinal   integer,
	problem   text,
	agency_id text,
	name      text,
	state     text,
	time_zone text
);
COMMENT ON TYPE kinderconnect.reply_agency IS
'an agency as the service lists it; state is its two-letter code, time_zone an IANA name';

CREATE TYPE kinderconnect.reply_child AS (
	ordinal                integer,
	problem                text,
	kinderconnect_child_id text,
	first_name             text,
	middle_name            text,
	last_name              text,
	suffix                 text,
	date_of_birth          date,
	subsidized             boolean,
	authorization_id       text,
	begin_date             date,
	end_date               date,
	units_of_care          text,
	days                   text[]
);
COMMENT ON TYPE kinderconnect.reply_child IS
'a child as the service lists it, a row for each authorization; one row with null authorization columns where it has none. Dates inclusive, a null end is open; days as on the wire (MO to SU), null or empty for every day';

CREATE TYPE kinderconnect.reply_result AS (
	ordinal   integer,
	problem   text,
	record_id text,
	status    text,
	code      text,
	message   text
);
COMMENT ON TYPE kinderconnect.reply_result IS
'the service''s answer to one record of attendance: accepted, duplicate, rejected, or a word it invented';

CREATE TYPE kinderconnect.reply_record AS (
	ordinal                integer,
	problem                text,
	record_id              text,
	kinderconnect_child_id text,
	service_date           date,
	kind                   text,
	session_in             time[],
	session_out            time[],
	absence_reason         text,
	received_at            timestamptz
);
COMMENT ON TYPE kinderconnect.reply_record IS
'one child-day as the service holds it; session_in and session_out run in parallel, wall time at the location, null where that punch is missing';

CREATE TYPE kinderconnect.wire_record AS (
	record_id              text,
	kinderconnect_child_id text,
	service_date           date,
	kind                   text,
	session_in             time[],
	session_out            time[],
	absence_reason         text
);
COMMENT ON TYPE kinderconnect.wire_record IS
'one child-day as it is sent: kind is session, absence, closure or void; session_in and session_out run in parallel, wall time at the location';

CREATE TYPE kinderconnect.call_outcome AS (
	ticket          bigint,
	operation       text,
	organization_id text,
	agency_id       text,
	provider_id     text,
	customer_id     text,
	month           date,
	batch_id        text,
	ok              boolean,
	sent            boolean,
	sqlstate        text,
	message         text,
	detail          text,
	hint            text,
	http_status     integer,
	code            text,
	entries         bigint,
	problems        bigint,
	pages           integer,
	attempts        integer,
	bytes           bigint,
	elapsed_ms      double precision
);
COMMENT ON TYPE kinderconnect.call_outcome IS
'how one call to the service ended: ok, or sqlstate, message, detail and hint; sent tells whether the service may have acted on it; code is the service''s own error code';
-- How a service speaks, as rows. The C core compiles them into a plan for each
-- operation, and no name of the wire stands anywhere else. To adapt one, copy
-- it with INSERT ... SELECT under another name and UPDATE the copy; upgrades
-- replace the shipped ones, and a dump leaves them out.

CREATE TABLE kinderconnect.dialect (
	dialect     text PRIMARY KEY CHECK (dialect <> ''),
	description text NOT NULL,
	builtin     boolean NOT NULL DEFAULT false,
	auth        text NOT NULL CHECK (auth IN ('oauth2', 'none'))
);
COMMENT ON TABLE kinderconnect.dialect IS
'the ways a service may speak; an endpoint names one. The shipped names of operations, paths and keys are our own, not a specification of KinderSystems';
COMMENT ON COLUMN kinderconnect.dialect.dialect IS 'a name of your choice';
COMMENT ON COLUMN kinderconnect.dialect.description IS 'which service speaks so, and from which paper this was taken';
COMMENT ON COLUMN kinderconnect.dialect.builtin IS
'shipped with the extension: replaced by upgrades and left out of dumps. Leave it false in your own, and change no row of a dialect where it is true';
COMMENT ON COLUMN kinderconnect.dialect.auth IS
'oauth2: each call carries a token, got with the endpoint''s client credentials; none: what stands in the request is all';

CREATE TABLE kinderconnect.dialect_operation (
	dialect            text NOT NULL REFERENCES kinderconnect.dialect ON DELETE CASCADE,
	operation          text NOT NULL,
	method             text NOT NULL DEFAULT 'POST',
	path               text NOT NULL,
	list_path          text NOT NULL,
	nested_path        text,
	next_page_path     text,
	success_path       text,
	success_value      text,
	error_code_path    text,
	error_message_path text,
	record_path        text,
	max_records        integer,
	max_bytes          integer,
	PRIMARY KEY (dialect, operation),
	CONSTRAINT dialect_operation_is_known CHECK (operation IN ('customers', 'locations', 'agencies', 'children', 'submit', 'readback')),
	CONSTRAINT dialect_operation_method_has_body CHECK (method IN ('POST', 'PUT', 'PATCH')),
	CONSTRAINT dialect_operation_path_is_relative CHECK (path ~ '^(/[^?#[:space:]]*)?$'),
	CONSTRAINT dialect_operation_list_path_is_keys CHECK (list_path ~ '^[^].[]+(\.[^].[]+)*$'),
	CONSTRAINT dialect_operation_nested_path_is_keys CHECK (nested_path ~ '^[^].[]+(\.[^].[]+)*$'),
	CONSTRAINT dialect_operation_next_page_path_is_keys CHECK (next_page_path ~ '^[^].[]+(\.[^].[]+)*$'),
	CONSTRAINT dialect_operation_success_path_is_keys CHECK (success_path ~ '^[^].[]+(\.[^].[]+)*$'),
	CONSTRAINT dialect_operation_error_code_path_is_keys CHECK (error_code_path ~ '^[^].[]+(\.[^].[]+)*$'),
	CONSTRAINT dialect_operation_error_message_path_is_keys CHECK (error_message_path ~ '^[^].[]+(\.[^].[]+)*$'),
	CONSTRAINT dialect_operation_record_path_is_keys CHECK (record_path ~ '^[^].[]+(\.[^].[]+)*$'),
	CONSTRAINT dialect_operation_success_is_whole CHECK ((success_path IS NULL) = (success_value IS NULL)),
	CONSTRAINT dialect_operation_only_submit_has_records CHECK ((operation = 'submit') = (record_path IS NOT NULL)),
	CONSTRAINT dialect_operation_max_records_is_sane CHECK (max_records IS NULL OR max_records > 0 AND operation = 'submit'),
	CONSTRAINT dialect_operation_max_bytes_is_sane CHECK (max_bytes >= 1024)
);
COMMENT ON TABLE kinderconnect.dialect_operation IS
'what a service can be asked, and the frame of each request and reply. An operation without a row is one the service does not have. A key path is keys of JSON objects joined by dots: error.code';
COMMENT ON COLUMN kinderconnect.dialect_operation.dialect IS 'the dialect this belongs to';
COMMENT ON COLUMN kinderconnect.dialect_operation.operation IS
'customers, locations, agencies and children are lists; submit sends attendance; readback asks for the attendance that the service holds';
COMMENT ON COLUMN kinderconnect.dialect_operation.method IS 'HTTP method; the request is always a body, never a part of the URL';
COMMENT ON COLUMN kinderconnect.dialect_operation.path IS 'joined to the base_url of the endpoint; empty where base_url is the whole address';
COMMENT ON COLUMN kinderconnect.dialect_operation.list_path IS 'key path in the reply where the array of records is';
COMMENT ON COLUMN kinderconnect.dialect_operation.nested_path IS
'key path in a record of an array, each element of which makes a row of its own; one row with nulls where it is absent or empty. Fields in it have paths that begin with it and []: authorizations[].beginDate';
COMMENT ON COLUMN kinderconnect.dialect_operation.next_page_path IS
'key path in the reply of what the next request must carry as page; null, empty or absent there ends the list. Null here: one reply is the whole list';
COMMENT ON COLUMN kinderconnect.dialect_operation.success_path IS
'key path in the reply of what tells success from failure, beside the HTTP status; null: the status alone decides';
COMMENT ON COLUMN kinderconnect.dialect_operation.success_value IS 'what stands at success_path in a success: a string, the digits of a number, true or false';
COMMENT ON COLUMN kinderconnect.dialect_operation.error_code_path IS 'key path of the service''s error code in a reply that is a failure';
COMMENT ON COLUMN kinderconnect.dialect_operation.error_message_path IS 'key path of the service''s error text in a reply that is a failure';
COMMENT ON COLUMN kinderconnect.dialect_operation.record_path IS 'submit: key path in the request where the array of records stands';
COMMENT ON COLUMN kinderconnect.dialect_operation.max_records IS 'submit: no request carries more records; null for no limit';
COMMENT ON COLUMN kinderconnect.dialect_operation.max_bytes IS 'no request is larger; null for no limit';

CREATE TABLE kinderconnect.dialect_field (
	dialect     text NOT NULL,
	operation   text NOT NULL,
	part        text NOT NULL,
	position    integer NOT NULL,
	column_name text,
	element     integer,
	path        text,
	format      text,
	constant    jsonb,
	codes       jsonb,
	required    boolean NOT NULL DEFAULT false,
	PRIMARY KEY (dialect, operation, part, position),
	FOREIGN KEY (dialect, operation) REFERENCES kinderconnect.dialect_operation ON DELETE CASCADE,
	CONSTRAINT dialect_field_part_is_known CHECK (part IN ('request', 'record', 'reply')),
	CONSTRAINT dialect_field_record_is_of_submit CHECK (part <> 'record' OR operation = 'submit'),
	CONSTRAINT dialect_field_position_is_positive CHECK (position > 0),
	CONSTRAINT dialect_field_path_is_keys CHECK (path ~ '^[^].[]+(\[\])?(\.[^].[]+(\[\])?)*$'),
	CONSTRAINT dialect_field_request_has_one_source CHECK (part = 'reply' OR path IS NOT NULL AND num_nonnulls(column_name, constant) = 1),
	CONSTRAINT dialect_field_reply_has_one_source CHECK (part <> 'reply' OR column_name IS NOT NULL AND num_nonnulls(path, constant) = 1),
	CONSTRAINT dialect_field_request_column_is_known CHECK (part <> 'request' OR column_name IN
		('group_id', 'group_password', 'agency_id', 'provider_id', 'customer_id', 'month', 'page', 'batch_id', 'from_date', 'to_date')),
	CONSTRAINT dialect_field_element_is_sane CHECK (element IS NULL OR element BETWEEN 1 AND 100 AND part <> 'request'),
	CONSTRAINT dialect_field_format_is_short CHECK (length(format) BETWEEN 1 AND 32),
	CONSTRAINT dialect_field_codes_is_object CHECK (jsonb_typeof(codes) = 'object' AND codes <> '{}'),
	CONSTRAINT dialect_field_constant_stands_alone CHECK (constant IS NULL OR num_nonnulls(element, format, codes) = 0 AND NOT required)
);
COMMENT ON TABLE kinderconnect.dialect_field IS
'where each of our columns stands on the wire. Dates are written YYYY-MM-DD, times HH24:MI and months YYYY-MM unless format says otherwise';
COMMENT ON COLUMN kinderconnect.dialect_field.dialect IS 'the dialect this belongs to';
COMMENT ON COLUMN kinderconnect.dialect_field.operation IS 'the operation this belongs to';
COMMENT ON COLUMN kinderconnect.dialect_field.part IS
'request: what a request says once; record: one record of attendance in a submit; reply: one record of the reply''s list';
COMMENT ON COLUMN kinderconnect.dialect_field.position IS
'the order of keys in what is sent, and of precedence: of several fields at one path the last that has a value is sent, of several fields for one column of a reply the first that has a value is taken';
COMMENT ON COLUMN kinderconnect.dialect_field.column_name IS
'our column. request: group_id, group_password, agency_id, provider_id, customer_id, month, page, batch_id, from_date or to_date, whose keys are left out where they do not apply; record: an attribute of kinderconnect.wire_record; reply: an attribute of kinderconnect.reply_customer, reply_location, reply_agency, reply_child, reply_result (submit) or reply_record (readback)';
COMMENT ON COLUMN kinderconnect.dialect_field.element IS
'for an array column that is spread over keys (In1, Out1, In2): which element stands here, from 1. A key without an element is left out';
COMMENT ON COLUMN kinderconnect.dialect_field.path IS
'key path inside the request or the record; [] after a key is each element of an array: sessions[].in, days[]. In a reply null where constant is set';
COMMENT ON COLUMN kinderconnect.dialect_field.format IS
'pattern of a date or time: YYYY, MM or FMMM, DD or FMDD, HH24 or FMHH24, HH12 or FMHH12 with AM, MI, SS; FM means without leading zero, anything else stands for itself. What is read must be exactly so. A timestamp is always ISO 8601 with a zone and takes no format';
COMMENT ON COLUMN kinderconnect.dialect_field.constant IS
'request, record: JSON that is sent as it stands; reply: the value of the column where no other field gave one';
COMMENT ON COLUMN kinderconnect.dialect_field.codes IS
'our values and what stands for them on the wire, as a JSON object: {"accepted": true, "rejected": false}. Sent: null leaves the key out, a value of ours that is not listed goes as it is; a record of a kind other than session is refused where every code for that kind is null. Read: {} stands for any object, null for nothing, a value that is not listed is taken as it is';
COMMENT ON COLUMN kinderconnect.dialect_field.required IS
'sent: a null is an error and nothing is sent; read: a record without it is reported as a problem';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.dialect', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.dialect_operation',
	'WHERE dialect NOT IN (SELECT d.dialect FROM kinderconnect.dialect d WHERE d.builtin)');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.dialect_field',
	'WHERE dialect NOT IN (SELECT d.dialect FROM kinderconnect.dialect d WHERE d.builtin)');
-- The dialect kinderbridge: JSON over POST, OAuth2, paging, read-back. The
-- names are our own, made from what users of the service tell in public.

INSERT INTO kinderconnect.dialect (dialect, description, builtin, auth) VALUES
	('kinderbridge', 'REST with OAuth2 client credentials; group ID and group password in each request', true, 'oauth2');

INSERT INTO kinderconnect.dialect_operation
	(dialect, operation, path, list_path, nested_path, next_page_path, error_code_path, error_message_path, record_path, max_records, max_bytes)
VALUES
	('kinderbridge', 'customers', '/v1/customers', 'customers', NULL, 'nextPage', 'error.code', 'error.message', NULL, NULL, NULL),
	('kinderbridge', 'locations', '/v1/locations', 'locations', NULL, 'nextPage', 'error.code', 'error.message', NULL, NULL, NULL),
	('kinderbridge', 'agencies', '/v1/agencies', 'agencies', NULL, 'nextPage', 'error.code', 'error.message', NULL, NULL, NULL),
	('kinderbridge', 'children', '/v1/children', 'children', 'authorizations', 'nextPage', 'error.code', 'error.message', NULL, NULL, NULL),
	('kinderbridge', 'submit', '/v1/attendance', 'results', NULL, NULL, 'error.code', 'error.message', 'records', 500, 1048576),
	('kinderbridge', 'readback', '/v1/attendance/query', 'records', NULL, 'nextPage', 'error.code', 'error.message', NULL, NULL, NULL);

INSERT INTO kinderconnect.dialect_field
	(dialect, operation, part, position, column_name, path, required)
SELECT 'kinderbridge', o.operation, 'request', f.position, f.column_name, f.path, f.required
FROM kinderconnect.dialect_operation o
CROSS JOIN (VALUES
	(1, 'group_id', 'group.groupId', true),
	(2, 'group_password', 'group.groupPassword', true)) f (position, column_name, path, required)
WHERE o.dialect = 'kinderbridge';

INSERT INTO kinderconnect.dialect_field
	(dialect, operation, part, position, column_name, path, required)
VALUES
	('kinderbridge', 'customers', 'request', 3, 'page', 'page', false),

	('kinderbridge', 'locations', 'request', 3, 'customer_id', 'customerId', true),
	('kinderbridge', 'locations', 'request', 4, 'page', 'page', false),

	('kinderbridge', 'agencies', 'request', 3, 'customer_id', 'customerId', true),
	('kinderbridge', 'agencies', 'request', 4, 'page', 'page', false),

	('kinderbridge', 'children', 'request', 3, 'agency_id', 'agencyId', true),
	('kinderbridge', 'children', 'request', 4, 'provider_id', 'providerId', true),
	('kinderbridge', 'children', 'request', 5, 'month', 'month', true),
	('kinderbridge', 'children', 'request', 6, 'page', 'page', false),

	('kinderbridge', 'submit', 'request', 3, 'agency_id', 'agencyId', true),
	('kinderbridge', 'submit', 'request', 4, 'provider_id', 'providerId', true),
	('kinderbridge', 'submit', 'request', 5, 'batch_id', 'batchId', true),

	('kinderbridge', 'readback', 'request', 3, 'agency_id', 'agencyId', true),
	('kinderbridge', 'readback', 'request', 4, 'provider_id', 'providerId', true),
	('kinderbridge', 'readback', 'request', 5, 'from_date', 'from', true),
	('kinderbridge', 'readback', 'request', 6, 'to_date', 'to', true),
	('kinderbridge', 'readback', 'request', 7, 'page', 'page', false),

	('kinderbridge', 'customers', 'reply', 1, 'customer_id', 'customerId', true),
	('kinderbridge', 'customers', 'reply', 2, 'name', 'name', true),
	('kinderbridge', 'customers', 'reply', 3, 'status', 'status', false),

	('kinderbridge', 'locations', 'reply', 1, 'provider_id', 'providerId', true),
	('kinderbridge', 'locations', 'reply', 2, 'agency_id', 'agencyId', true),
	('kinderbridge', 'locations', 'reply', 3, 'customer_id', 'customerId', true),
	('kinderbridge', 'locations', 'reply', 4, 'name', 'name', true),
	('kinderbridge', 'locations', 'reply', 5, 'line1', 'address.line1', false),
	('kinderbridge', 'locations', 'reply', 6, 'city', 'address.city', false),
	('kinderbridge', 'locations', 'reply', 7, 'state', 'address.state', false),
	('kinderbridge', 'locations', 'reply', 8, 'zip', 'address.zip', false),
	('kinderbridge', 'locations', 'reply', 9, 'status', 'status', false),

	('kinderbridge', 'agencies', 'reply', 1, 'agency_id', 'agencyId', true),
	('kinderbridge', 'agencies', 'reply', 2, 'name', 'name', true),
	('kinderbridge', 'agencies', 'reply', 3, 'state', 'state', false),
	('kinderbridge', 'agencies', 'reply', 4, 'time_zone', 'timeZone', false),

	('kinderbridge', 'children', 'reply', 1, 'kinderconnect_child_id', 'childId', true),
	('kinderbridge', 'children', 'reply', 2, 'first_name', 'firstName', true),
	('kinderbridge', 'children', 'reply', 3, 'middle_name', 'middleName', false),
	('kinderbridge', 'children', 'reply', 4, 'last_name', 'lastName', true),
	('kinderbridge', 'children', 'reply', 5, 'suffix', 'suffix', false),
	('kinderbridge', 'children', 'reply', 6, 'date_of_birth', 'dateOfBirth', true),
	('kinderbridge', 'children', 'reply', 7, 'subsidized', 'subsidized', false),
	('kinderbridge', 'children', 'reply', 8, 'authorization_id', 'authorizations[].authorizationId', true),
	('kinderbridge', 'children', 'reply', 9, 'begin_date', 'authorizations[].beginDate', true),
	('kinderbridge', 'children', 'reply', 10, 'end_date', 'authorizations[].endDate', false),
	('kinderbridge', 'children', 'reply', 11, 'units_of_care', 'authorizations[].unitsOfCare', false),
	('kinderbridge', 'children', 'reply', 12, 'days', 'authorizations[].days[]', false),

	('kinderbridge', 'submit', 'reply', 1, 'record_id', 'recordId', true),
	('kinderbridge', 'submit', 'reply', 2, 'status', 'status', true),
	('kinderbridge', 'submit', 'reply', 3, 'code', 'code', false),
	('kinderbridge', 'submit', 'reply', 4, 'message', 'message', false);

-- A record of attendance, sent and read back: the kind is told by which of
-- absence, closure and void stands in it.

INSERT INTO kinderconnect.dialect_field
	(dialect, operation, part, position, column_name, path, codes, required)
SELECT 'kinderbridge', o.operation, o.part, f.position, f.column_name, f.path, f.codes, f.required
FROM (VALUES ('submit', 'record'), ('readback', 'reply')) o (operation, part)
CROSS JOIN (VALUES
	(1, 'record_id', 'recordId', NULL::jsonb, true),
	(2, 'kinderconnect_child_id', 'childId', NULL, true),
	(3, 'service_date', 'serviceDate', NULL, true),
	(4, 'session_in', 'sessions[].in', NULL, false),
	(5, 'session_out', 'sessions[].out', NULL, false),
	(6, 'kind', 'absence', '{"absence": {}, "session": null, "closure": null, "void": null}', false),
	(7, 'absence_reason', 'absence.reason', NULL, false),
	(8, 'kind', 'closure', '{"closure": true, "session": null, "absence": null, "void": null}', false),
	(9, 'kind', 'void', '{"void": true, "session": null, "absence": null, "closure": null}', false)
	) f (position, column_name, path, codes, required);

INSERT INTO kinderconnect.dialect_field
	(dialect, operation, part, position, column_name, path, constant)
VALUES
	('kinderbridge', 'readback', 'reply', 10, 'kind', NULL, '"session"'),
	('kinderbridge', 'readback', 'reply', 11, 'received_at', 'receivedAt', NULL);
-- The dialect vendor-interface: the older one, as Missouri's providers meet
-- it. One address, a password in each request, no lists but that of children,
-- and success told in the body. The names are our own, made from what users of
-- the service tell in public.

INSERT INTO kinderconnect.dialect (dialect, description, builtin, auth) VALUES
	('vendor-interface', 'one web-service address; agency ID, provider ID and web-service password in each request', true, 'none');

INSERT INTO kinderconnect.dialect_operation
	(dialect, operation, path, list_path, success_path, success_value, error_message_path, record_path, max_records)
VALUES
	('vendor-interface', 'children', '', 'Children', 'Status', 'OK', 'Message', NULL, NULL),
	('vendor-interface', 'submit', '', 'Results', 'Status', 'OK', 'Message', 'Attendance', 200);

INSERT INTO kinderconnect.dialect_field
	(dialect, operation, part, position, column_name, path, constant, required)
SELECT 'vendor-interface', o.operation, 'request', f.position, f.column_name, f.path, CASE WHEN f.column_name IS NULL THEN o.method END,
	f.column_name IS NOT NULL
FROM (VALUES ('children', '"GetChildren"'::jsonb), ('submit', '"PostAttendance"')) o (operation, method)
CROSS JOIN (VALUES
	(1, NULL, 'Method'),
	(2, 'agency_id', 'AgencyID'),
	(3, 'provider_id', 'ProviderID'),
	(4, 'group_password', 'Password')) f (position, column_name, path);

INSERT INTO kinderconnect.dialect_field
	(dialect, operation, part, position, column_name, path, format, required)
VALUES
	('vendor-interface', 'children', 'request', 5, 'month', 'ServiceMonth', 'MM/YYYY', true),

	('vendor-interface', 'children', 'reply', 1, 'kinderconnect_child_id', 'ChildID', NULL, true),
	('vendor-interface', 'children', 'reply', 2, 'first_name', 'First', NULL, true),
	('vendor-interface', 'children', 'reply', 3, 'last_name', 'Last', NULL, true),
	('vendor-interface', 'children', 'reply', 4, 'date_of_birth', 'DOB', 'MM/DD/YYYY', true),
	('vendor-interface', 'children', 'reply', 5, 'begin_date', 'AuthFrom', 'MM/DD/YYYY', true),
	('vendor-interface', 'children', 'reply', 6, 'end_date', 'AuthTo', 'MM/DD/YYYY', false),
	('vendor-interface', 'children', 'reply', 7, 'units_of_care', 'Units', NULL, false);

-- A day has two slots, or a code for what it was instead of attendance.
INSERT INTO kinderconnect.dialect_field
	(dialect, operation, part, position, column_name, element, path, format, codes, required)
VALUES
	('vendor-interface', 'submit', 'record', 1, 'record_id', NULL, 'Ref', NULL, NULL, true),
	('vendor-interface', 'submit', 'record', 2, 'kinderconnect_child_id', NULL, 'ChildID', NULL, NULL, true),
	('vendor-interface', 'submit', 'record', 3, 'service_date', NULL, 'Date', 'MM/DD/YYYY', NULL, true),
	('vendor-interface', 'submit', 'record', 4, 'session_in', 1, 'In1', 'FMHH12:MI AM', NULL, false),
	('vendor-interface', 'submit', 'record', 5, 'session_out', 1, 'Out1', 'FMHH12:MI AM', NULL, false),
	('vendor-interface', 'submit', 'record', 6, 'session_in', 2, 'In2', 'FMHH12:MI AM', NULL, false),
	('vendor-interface', 'submit', 'record', 7, 'session_out', 2, 'Out2', 'FMHH12:MI AM', NULL, false),
	('vendor-interface', 'submit', 'record', 8, 'kind', NULL, 'AbsenceCode', NULL,
		'{"absence": "A", "closure": "H", "session": null, "void": null}', false),

	('vendor-interface', 'submit', 'reply', 1, 'record_id', NULL, 'Ref', NULL, NULL, true),
	('vendor-interface', 'submit', 'reply', 2, 'status', NULL, 'Posted', NULL, '{"accepted": true, "rejected": false}', true),
	('vendor-interface', 'submit', 'reply', 3, 'message', NULL, 'Note', NULL, NULL, false);
-- Where the service is. Admins write here; nothing else names a host.

CREATE TABLE kinderconnect.endpoint (
	endpoint      text PRIMARY KEY CHECK (endpoint <> ''),
	dialect       text NOT NULL REFERENCES kinderconnect.dialect,
	base_url      text NOT NULL,
	token_url     text,
	scope         text CHECK (scope <> ''),
	client_id     text CHECK (client_id <> ''),
	client_secret text CHECK (client_secret <> ''),
	http2         boolean NOT NULL DEFAULT false,
	CONSTRAINT endpoint_base_url_is_https CHECK (base_url ~ '^(https://([^]/@?#:%\\[:space:][:cntrl:]]+|\[[0-9A-Fa-f:.]+\])|http://(127\.0\.0\.1|\[::1\]|localhost))(:[0-9]{1,5})?(/[^?#[:space:][:cntrl:]]*)?$'),
	CONSTRAINT endpoint_token_url_is_https CHECK (token_url ~ '^(https://([^]/@?#:%\\[:space:][:cntrl:]]+|\[[0-9A-Fa-f:.]+\])|http://(127\.0\.0\.1|\[::1\]|localhost))(:[0-9]{1,5})?(/[^?#[:space:][:cntrl:]]*)?$'),
	CONSTRAINT endpoint_token_is_whole CHECK ((token_url IS NULL) = (client_id IS NULL) AND (client_id IS NULL) = (client_secret IS NULL))
);
COMMENT ON TABLE kinderconnect.endpoint IS
'the services that may be called: https, or http to this machine alone';
COMMENT ON COLUMN kinderconnect.endpoint.endpoint IS 'a name of your choice';
COMMENT ON COLUMN kinderconnect.endpoint.dialect IS 'how this service speaks: kinderconnect.dialect';
COMMENT ON COLUMN kinderconnect.endpoint.base_url IS 'the paths of the dialect are joined to it';
COMMENT ON COLUMN kinderconnect.endpoint.token_url IS 'OAuth2 token endpoint; null where the dialect has no tokens';
COMMENT ON COLUMN kinderconnect.endpoint.scope IS 'OAuth2 scope, or null';
COMMENT ON COLUMN kinderconnect.endpoint.client_id IS 'OAuth2 client id; not secret';
COMMENT ON COLUMN kinderconnect.endpoint.client_secret IS 'name of the OAuth2 client secret in the secrets file, never the secret itself';
COMMENT ON COLUMN kinderconnect.endpoint.http2 IS 'may HTTP/2 be used; HTTP/1.1 over a pool of connections is the default';
-- Who takes part: organizations (one KinderConnect group each) and their
-- providers. Admins write, through the functions of setup.sql.

CREATE TABLE kinderconnect.organization (
	organization_id text PRIMARY KEY CHECK (organization_id <> ''),
	endpoint        text NOT NULL REFERENCES kinderconnect.endpoint,
	group_id        text NOT NULL CHECK (group_id <> ''),
	group_password  text NOT NULL CHECK (group_password <> ''),
	enabled         boolean NOT NULL DEFAULT true,
	first_enabled   date NOT NULL,
	backfill_days   integer NOT NULL DEFAULT 30 CHECK (backfill_days BETWEEN 0 AND 366),
	adopt_providers boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE kinderconnect.organization IS
'the customers of the management system that report to KinderConnect: one KinderConnect group each';
COMMENT ON COLUMN kinderconnect.organization.organization_id IS 'Manage''s id of the customer';
COMMENT ON COLUMN kinderconnect.organization.endpoint IS 'the service it reports to';
COMMENT ON COLUMN kinderconnect.organization.group_id IS 'the group at KinderConnect; not secret';
COMMENT ON COLUMN kinderconnect.organization.group_password IS 'name of the group password in the secrets file, never the password itself';
COMMENT ON COLUMN kinderconnect.organization.enabled IS 'false: no run touches it';
COMMENT ON COLUMN kinderconnect.organization.first_enabled IS 'UTC date of the first enable_integration(); no day older than this less backfill_days is sent';
COMMENT ON COLUMN kinderconnect.organization.backfill_days IS 'days before first_enabled that are sent too';
COMMENT ON COLUMN kinderconnect.organization.adopt_providers IS 'send also for locations that the service lists and nobody configured';
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

CREATE FUNCTION kinderconnect._compile_dialect(dialect text, operation text) RETURNS void
	AS 'MODULE_PATHNAME', 'kinderconnect_compile_dialect'
	LANGUAGE c STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._compile_dialect(text, text) IS
'an error, which names the row and the cure, where the rows of an operation make no sense; nothing of it is kept';

-- One call each, run to its end, for a person at psql. Errors are raised.

CREATE FUNCTION kinderconnect.api_customers(organization_id text)
	RETURNS SETOF kinderconnect.reply_customer
	AS 'MODULE_PATHNAME', 'kinderconnect_api_customers'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION kinderconnect.api_customers(text) IS
'asks the service now: the customers of an organization''s group, all pages';

CREATE FUNCTION kinderconnect.api_locations(organization_id text, customer_id text)
	RETURNS SETOF kinderconnect.reply_location
	AS 'MODULE_PATHNAME', 'kinderconnect_api_locations'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION kinderconnect.api_locations(text, text) IS
'asks the service now: the locations of a customer, all pages';

CREATE FUNCTION kinderconnect.api_agencies(organization_id text, customer_id text)
	RETURNS SETOF kinderconnect.reply_agency
	AS 'MODULE_PATHNAME', 'kinderconnect_api_agencies'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION kinderconnect.api_agencies(text, text) IS
'asks the service now: the agencies a customer reports to, all pages';

CREATE FUNCTION kinderconnect.api_children(organization_id text, agency_id text, provider_id text, month date)
	RETURNS SETOF kinderconnect.reply_child
	AS 'MODULE_PATHNAME', 'kinderconnect_api_children'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION kinderconnect.api_children(text, text, text, date) IS
'asks the service now: the children of a provider and their authorizations touching the month of the date, all pages';

CREATE FUNCTION kinderconnect.api_readback(organization_id text, agency_id text, provider_id text, from_date date, to_date date)
	RETURNS SETOF kinderconnect.reply_record
	AS 'MODULE_PATHNAME', 'kinderconnect_api_readback'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 1000;
COMMENT ON FUNCTION kinderconnect.api_readback(text, text, text, date, date) IS
'asks the service now: the attendance it holds for a provider, dates inclusive, all pages';

CREATE FUNCTION kinderconnect.api_submit(organization_id text, agency_id text, provider_id text, batch_id text, records kinderconnect.wire_record[])
	RETURNS SETOF kinderconnect.reply_result
	AS 'MODULE_PATHNAME', 'kinderconnect_api_submit'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 100;
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
-- Whether a dialect can work, told before any call is made: for whoever adapts
-- a copy to another service. The core finds rows that make no sense; here is
-- what makes sense and yet would leave the night without something it needs.

CREATE FUNCTION kinderconnect.check_dialect(dialect text)
	RETURNS TABLE (part text, problem text, severity text, cure text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	speech kinderconnect.dialect;
	item   record;
	detail text;
BEGIN
	SELECT * INTO speech FROM kinderconnect.dialect d WHERE d.dialect = check_dialect.dialect;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'dialect "%" does not exist', check_dialect.dialect
			USING ERRCODE = 'KC001', HINT = 'See the table kinderconnect.dialect for those that do.';
	END IF;

	FOR item IN SELECT o.operation FROM kinderconnect.dialect_operation o WHERE o.dialect = speech.dialect ORDER BY o.operation LOOP
		BEGIN
			PERFORM kinderconnect._compile_dialect(speech.dialect, item.operation);
		EXCEPTION WHEN SQLSTATE 'KC001' THEN
			GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, cure = PG_EXCEPTION_HINT;
			part := concat_ws(' ', item.operation, substring(detail FROM 'part "(\w+)"'), substring(detail FROM 'position (\d+)'));
			problem := replace(problem, format('dialect "%s" cannot be used: ', speech.dialect), '');
			severity := 'error';
			RETURN NEXT;
		END;
	END LOOP;

	RETURN QUERY
	WITH spoken AS (
		SELECT * FROM kinderconnect.dialect_operation o WHERE o.dialect = speech.dialect
	), field AS (
		SELECT * FROM kinderconnect.dialect_field f WHERE f.dialect = speech.dialect
	), kind AS (
		-- which kinds of a child-day the service can be told
		SELECT k.kind, EXISTS (SELECT FROM field f WHERE f.operation = 'submit' AND f.part = 'record' AND f.column_name = 'kind'
			AND CASE k.kind WHEN 'void' THEN coalesce(f.codes -> 'void', 'null') <> 'null'
				ELSE (f.codes -> k.kind <> 'null') IS NOT FALSE END) AS sayable
		FROM (VALUES ('absence'), ('closure'), ('void')) k (kind)
	), trouble (part, problem, severity, cure) AS (
		SELECT 'dialect', 'builtin is true: pg_dump leaves it out, and an upgrade replaces it', 'warning', 'Set builtin to false.'
		WHERE speech.builtin AND speech.dialect NOT IN ('kinderbridge', 'vendor-interface')

		UNION ALL
		SELECT w.operation, w.problem, w.severity, w.cure
		FROM (VALUES
			('children', 'error', 'the service is not asked which children are authorized', 'Add the operation to kinderconnect.dialect_operation.'),
			('submit', 'error', 'attendance cannot be sent', 'Add the operation to kinderconnect.dialect_operation.'),
			('customers', 'info', 'the service does not list customers', 'Nothing, if it cannot.'),
			('locations', 'info', 'the service does not list locations', 'Enter each provider with add_provider() and its location.'),
			('agencies', 'info', 'the service does not list agencies', 'Insert each with its state into kinderconnect.agency, so that the rules of the state are known.'),
			('readback', 'info', 'the service cannot be asked what it holds: after a lost answer the same records are sent again', 'Nothing, if it cannot.')
			) w (operation, severity, problem, cure)
		WHERE w.operation NOT IN (SELECT s.operation FROM spoken s)

		UNION ALL
		SELECT s.operation, 'it is asked for each customer, and customers are not listed', 'warning', 'Add the operation customers.'
		FROM spoken s
		WHERE s.operation IN ('locations', 'agencies') AND 'customers' NOT IN (SELECT c.operation FROM spoken c)

		UNION ALL
		SELECT w.operation || ' ' || w.part, w.problem, w.severity,
			CASE w.severity WHEN 'info' THEN format('Nothing, if the service has no place for it; else add a field for the column "%s".', w.column_name)
				ELSE format('Add a field for the column "%s".', w.column_name) END
		FROM (VALUES
			('children', 'request', 'provider_id', 'error', 'it does not say which provider it is about'),
			('children', 'request', 'agency_id', 'warning', 'it does not say of which agency the provider is'),
			('children', 'request', 'month', 'warning', 'it does not say which month is asked for'),
			('children', 'reply', 'kinderconnect_child_id', 'error', 'children have no id'),
			('children', 'reply', 'first_name', 'error', 'children have no first name, without which none is matched'),
			('children', 'reply', 'last_name', 'error', 'children have no last name, without which none is matched'),
			('children', 'reply', 'date_of_birth', 'error', 'children have no birth date, without which none is matched'),
			('children', 'reply', 'begin_date', 'error', 'authorizations have no first day, without which none counts'),
			('children', 'reply', 'end_date', 'warning', 'authorizations have no last day: every one is open'),
			('submit', 'request', 'provider_id', 'error', 'it does not say which provider it is about'),
			('submit', 'request', 'agency_id', 'warning', 'it does not say of which agency the provider is'),
			('submit', 'record', 'record_id', 'error', 'records have no id'),
			('submit', 'record', 'kinderconnect_child_id', 'error', 'records do not say which child'),
			('submit', 'record', 'service_date', 'error', 'records do not say which day'),
			('submit', 'record', 'session_in', 'error', 'records have no check-in'),
			('submit', 'record', 'session_out', 'error', 'records have no check-out'),
			('submit', 'record', 'absence_reason', 'info', 'the reason of an absence is not sent'),
			('submit', 'reply', 'record_id', 'error', 'results do not say which record they are about'),
			('submit', 'reply', 'status', 'error', 'results do not say whether the record was accepted'),
			('submit', 'reply', 'message', 'warning', 'results do not say why a record was rejected'),
			('customers', 'reply', 'customer_id', 'error', 'customers have no id'),
			('locations', 'request', 'customer_id', 'warning', 'it does not say which customer it is about'),
			('locations', 'reply', 'agency_id', 'error', 'locations do not say which agency'),
			('locations', 'reply', 'provider_id', 'error', 'locations have no provider ID'),
			('locations', 'reply', 'name', 'warning', 'locations have no name, and are found in Manage only if they are entered with add_provider()'),
			('agencies', 'request', 'customer_id', 'warning', 'it does not say which customer it is about'),
			('agencies', 'reply', 'agency_id', 'error', 'agencies have no id'),
			('agencies', 'reply', 'state', 'warning', 'agencies have no state, and no rules of a state'),
			('readback', 'request', 'provider_id', 'error', 'it does not say which provider it is about'),
			('readback', 'request', 'agency_id', 'warning', 'it does not say of which agency the provider is'),
			('readback', 'request', 'from_date', 'warning', 'it does not say from which day on'),
			('readback', 'request', 'to_date', 'warning', 'it does not say up to which day'),
			('readback', 'reply', 'record_id', 'error', 'records have no id: a record whose answer was lost is taken for one that never arrived'),
			('readback', 'reply', 'kinderconnect_child_id', 'error', 'records do not say which child'),
			('readback', 'reply', 'service_date', 'error', 'records do not say which day'),
			('readback', 'reply', 'kind', 'warning', 'records do not say whether they are a session, an absence or a closure'),
			('readback', 'reply', 'session_in', 'warning', 'records have no check-in'),
			('readback', 'reply', 'session_out', 'warning', 'records have no check-out')
			) w (operation, part, column_name, severity, problem)
		JOIN spoken s ON s.operation = w.operation
		WHERE NOT EXISTS (SELECT FROM field f WHERE (f.operation, f.part, f.column_name) = (w.operation, w.part, w.column_name))

		UNION ALL
		SELECT s.operation || ' request', 'nothing in it proves who asks', 'warning', 'Add a field for the column "group_password".'
		FROM spoken s
		WHERE speech.auth = 'none'
			AND NOT EXISTS (SELECT FROM field f WHERE (f.operation, f.part, f.column_name) = (s.operation, 'request', 'group_password'))

		UNION ALL
		-- what a call of each operation knows
		SELECT concat_ws(' ', f.operation, f.part, f.position), format('"%s" is required, and %s', f.column_name,
				CASE f.column_name WHEN 'page' THEN 'the first request has none' ELSE 'this operation never has it' END),
			'error', 'Remove the field, or set required to false.'
		FROM field f
		WHERE f.part = 'request' AND f.required AND f.column_name NOT IN ('group_id', 'group_password')
			AND (f.operation, f.column_name) NOT IN (VALUES
				('children', 'agency_id'), ('children', 'provider_id'), ('children', 'month'),
				('submit', 'agency_id'), ('submit', 'provider_id'), ('submit', 'batch_id'),
				('locations', 'customer_id'), ('agencies', 'customer_id'),
				('readback', 'agency_id'), ('readback', 'provider_id'), ('readback', 'from_date'), ('readback', 'to_date'))

		UNION ALL
		SELECT concat_ws(' ', f.operation, f.part, f.position), format('"%s" is required, and not every record has it', f.column_name),
			'error', 'Set required to false.'
		FROM field f
		WHERE f.part = 'record' AND f.required AND f.column_name IN ('session_in', 'session_out', 'absence_reason')

		UNION ALL
		SELECT s.operation, 'its pages have names, and no field of the request asks for one by its name', 'error', 'Add a field for the column "page" to the request.'
		FROM spoken s
		WHERE s.next_page_path IS NOT NULL AND s.operation <> 'submit'
			AND NOT EXISTS (SELECT FROM field f WHERE (f.operation, f.part, f.column_name) = (s.operation, 'request', 'page'))

		UNION ALL
		SELECT concat_ws(' ', f.operation, f.part, f.position), 'a page can be asked for, and nothing in the reply names it: only the first is read', 'warning', 'Set next_page_path of the operation.'
		FROM field f JOIN spoken s ON s.operation = f.operation
		WHERE f.part = 'request' AND f.column_name = 'page' AND s.next_page_path IS NULL

		UNION ALL
		SELECT f.operation || ' reply', format('a record without "%s" is passed over in silence', f.column_name), 'warning', 'Set required to true.'
		FROM field f
		WHERE f.part = 'reply' AND f.constant IS NULL
			AND (f.operation, f.column_name) IN (VALUES ('customers', 'customer_id'), ('locations', 'agency_id'), ('locations', 'provider_id'),
				('agencies', 'agency_id'), ('children', 'kinderconnect_child_id'), ('submit', 'record_id'))
		GROUP BY f.operation, f.column_name
		HAVING NOT bool_or(f.required)

		UNION ALL
		SELECT s.operation, 'what the service says of an error is lost', 'warning', 'Set error_message_path.'
		FROM spoken s WHERE s.error_message_path IS NULL

		UNION ALL
		SELECT 'submit reply',
			CASE WHEN bool_or(f.codes IS NOT NULL) THEN 'no code of the status stands for "accepted"'
				ELSE 'whatever the service says but "accepted" and "duplicate" counts as rejected' END,
			CASE WHEN bool_or(f.codes IS NOT NULL) THEN 'error' ELSE 'info' END,
			'Give the status codes for "accepted" and "rejected", where the service has words of its own.'
		FROM field f
		WHERE (f.operation, f.part, f.column_name) = ('submit', 'reply', 'status') AND f.constant IS NULL
		HAVING count(*) > 0 AND NOT coalesce(bool_or(f.codes ? 'accepted'), false)

		UNION ALL
		SELECT 'submit record', format('"%s" has no place for session %s, and places for others after it or beside it', c.column_name, n.n), 'error', 'Add the field, or remove the others.'
		FROM (VALUES ('session_in'), ('session_out')) c (column_name)
		CROSS JOIN generate_series(1, (SELECT max(f.element) FROM field f WHERE f.part = 'record')) n (n)
		WHERE EXISTS (SELECT FROM field f WHERE f.part = 'record' AND f.column_name = c.column_name)
			AND NOT EXISTS (SELECT FROM field f WHERE f.part = 'record' AND f.column_name = c.column_name AND coalesce(f.element, n.n) = n.n)

		UNION ALL
		SELECT 'submit record',
			CASE k.kind
				WHEN 'absence' THEN 'it has no word for an absence: absences are not sent'
				WHEN 'closure' THEN 'it has no word for a closure: closures are not sent'
				ELSE 'it cannot take a day back: one that is deleted in Manage is held as cannot_void'
			END,
			'info', 'Nothing, if the service cannot; else add a code for it to a field for the column "kind".'
		FROM kind k
		WHERE NOT k.sayable AND 'submit' IN (SELECT s.operation FROM spoken s)

		UNION ALL
		SELECT format('endpoint "%s"', e.endpoint), 'it has no token_url, and the dialect needs a token', 'error', 'Set token_url, client_id and client_secret.'
		FROM kinderconnect.endpoint e WHERE e.dialect = speech.dialect AND speech.auth = 'oauth2' AND e.token_url IS NULL
		UNION ALL
		SELECT format('endpoint "%s"', e.endpoint), 'it has a token_url, and the dialect never asks for a token', 'warning', 'Set auth of the dialect to oauth2, or remove the token_url.'
		FROM kinderconnect.endpoint e WHERE e.dialect = speech.dialect AND speech.auth = 'none' AND e.token_url IS NOT NULL
	)
	SELECT t.part, t.problem, t.severity, t.cure FROM trouble t
	ORDER BY array_position(ARRAY['error', 'warning', 'info'], t.severity), t.part COLLATE "C", t.problem COLLATE "C";
END;
$$;
COMMENT ON FUNCTION kinderconnect.check_dialect(text) IS
'what is missing in a dialect or cannot work, before any call is made. part: operation, part and position of the row; severity: error (it cannot work), warning (something is lost), info (what the service does not have, and what stands in for it); of rows that make no sense the first of each operation';
-- Secrets, and whether this database may send at all. The functions below run
-- with the owner's rights; who may call them is a matter of EXECUTE alone.

-- A failed statement is logged with its text, and this one's text holds the
-- secret: hence log_min_error_statement.
CREATE FUNCTION kinderconnect.set_secret(name text, value text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET log_min_error_statement = panic
AS $$
BEGIN
	IF name IS NULL OR name = '' OR value IS NULL OR value = '' THEN
		RAISE EXCEPTION 'a secret needs a name and a value'
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'To remove one, use kinderconnect.remove_secret(name).';
	END IF;
	PERFORM kinderconnect._write_secret(name, value);
END
$$;
COMMENT ON FUNCTION kinderconnect.set_secret(text, text) IS
'writes a secret into the secrets file, at once and for good: a ROLLBACK does not take it back. With log_statement on, the statement itself is logged; an editor leaves no trace';

CREATE FUNCTION kinderconnect.remove_secret(name text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF name IS NULL OR name = '' THEN
		RAISE EXCEPTION 'the name of a secret must not be null or empty'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF NOT kinderconnect._has_secret(name) THEN
		RAISE EXCEPTION 'there is no secret "%"', name
			USING ERRCODE = 'undefined_object';
	END IF;
	PERFORM kinderconnect._write_secret(name, NULL);
END
$$;
COMMENT ON FUNCTION kinderconnect.remove_secret(text) IS
'removes a secret from the secrets file, at once and for good: a ROLLBACK does not take it back';

-- Not dumped: a restored database must not send before somebody arms it.
CREATE TABLE kinderconnect.arming (
	system_identifier text NOT NULL,
	database          oid NOT NULL,
	digest            text NOT NULL,
	armed_at          timestamptz NOT NULL,
	armed_by          text NOT NULL,
	PRIMARY KEY (system_identifier, database)
);
COMMENT ON TABLE kinderconnect.arming IS
'the database that may send; it does when the secrets file holds the token of this digest. Written by arm() and disarm() alone';
COMMENT ON COLUMN kinderconnect.arming.system_identifier IS 'of the server that was armed: pg_control_system()';
COMMENT ON COLUMN kinderconnect.arming.database IS 'oid of the database that was armed';
COMMENT ON COLUMN kinderconnect.arming.digest IS 'SHA-256 of the token in the secrets file';
COMMENT ON COLUMN kinderconnect.arming.armed_at IS 'when';
COMMENT ON COLUMN kinderconnect.arming.armed_by IS 'the role that had logged in';

CREATE FUNCTION kinderconnect._arm_key(OUT system_identifier text, OUT database oid, OUT secret text)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT c.system_identifier::text, d.oid, format('arm.%s.%s', c.system_identifier, d.oid)
	FROM pg_catalog.pg_control_system() AS c, pg_catalog.pg_database AS d
	WHERE d.datname = current_database();
END;
COMMENT ON FUNCTION kinderconnect._arm_key() IS
'what this database is, and the name of its token in the secrets file';

CREATE FUNCTION kinderconnect.arm() RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key record;
BEGIN
	SELECT * INTO key FROM kinderconnect._arm_key();
	-- a second arm() waits here, so that file and table end up with one token
	LOCK TABLE kinderconnect.arming IN SHARE ROW EXCLUSIVE MODE;
	DELETE FROM kinderconnect.arming;
	INSERT INTO kinderconnect.arming (system_identifier, database, digest, armed_at, armed_by)
	VALUES (key.system_identifier, key.database, kinderconnect._new_arm_token(key.secret), now(), session_user);
	RETURN format('Database "%s" of server %s is armed: runs will send.', current_database(), key.system_identifier);
END
$$;
COMMENT ON FUNCTION kinderconnect.arm() IS
'lets this database, on this server, send: puts a token into the secrets file and its digest into kinderconnect.arming';

CREATE FUNCTION kinderconnect.disarm() RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key record;
BEGIN
	SELECT * INTO key FROM kinderconnect._arm_key();
	LOCK TABLE kinderconnect.arming IN SHARE ROW EXCLUSIVE MODE;
	DELETE FROM kinderconnect.arming;
	PERFORM kinderconnect._write_secret(key.secret, NULL);
	RETURN format('Database "%s" is disarmed: no run will send.', current_database());
END
$$;
COMMENT ON FUNCTION kinderconnect.disarm() IS
'lets no further run of this database start; one that is under way goes on to its end';

CREATE FUNCTION kinderconnect._require_armed() RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key      record;
	in_table text;
	in_file  text;
BEGIN
	IF pg_is_in_recovery() THEN
		RAISE EXCEPTION 'a standby does not send'
			USING ERRCODE = 'KC003',
				HINT = 'Run the night on the primary.';
	END IF;

	SELECT * INTO key FROM kinderconnect._arm_key();
	SELECT a.digest INTO in_table
	FROM kinderconnect.arming AS a
	WHERE a.system_identifier = key.system_identifier AND a.database = key.database;
	in_file := kinderconnect._arm_digest(key.secret);

	IF in_table = in_file THEN
		RETURN;
	END IF;
	RAISE EXCEPTION 'database "%" is not armed', current_database()
		USING ERRCODE = 'KC003',
			DETAIL = CASE
				WHEN in_table IS NULL THEN 'Nobody has armed this database on this server; a restored or cloned database starts so.'
				WHEN in_file IS NULL THEN 'The secrets file of this server has no token for this database.'
				ELSE 'The token in the secrets file is not the one that this database was armed with.'
			END,
			HINT = 'Run SELECT kinderconnect.arm() if this, and no other, is the database that reports to KinderConnect.';
END
$$;
COMMENT ON FUNCTION kinderconnect._require_armed() IS
'an error (KC003) unless this very database, on this server, has been armed';

-- The queries that are bound run with the rights of whoever runs the night:
-- for a superuser, an administrator's query would be a way to be one.
CREATE FUNCTION kinderconnect._require_ordinary_rights() RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
		RAISE EXCEPTION 'the night does not run as a superuser'
			USING ERRCODE = 'insufficient_privilege',
				DETAIL = 'It runs the queries bound to Manage with the rights of its caller.',
				HINT = 'SET ROLE kinderconnect_operator, or log in as a member of it.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_ordinary_rights() IS
'an error for a superuser';
-- Names are compared folded: what two people typing one name may differ in,
-- and nothing more.

-- unaccent() is bound here, at creation, to the extension that the control
-- file requires, wherever its schema is. Declared immutable although a
-- superuser may edit unaccent's rules: then the keys are made again by the
-- next sync. An accent alone is a space to NFKC, and a hyphen that is
-- not seen is one to unaccent(): these two go first.
CREATE FUNCTION kinderconnect.fold(name text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	-- plain letters and spaces, most names, need no more than lower()
	SELECT CASE WHEN name ~ '^[A-Za-z]+( [A-Za-z]+)*$' THEN lower(name) ELSE btrim(regexp_replace(
		translate(
			regexp_replace(lower(unaccent(normalize(translate(name, U&'\00B4\0384\1FBD\1FBF\1FFD\00AD', ''''''''''''), NFKC))), U&'[\0300-\036F\00AD\200B-\200F\2060\FEFF]', '', 'g'),
			U&'-\2010\2011\2012\2013\2014\2015\2212\FE63\FF0D\2043\058A\05BE\1400\1806\2E17\2E1A\2E3A\2E3B\2E40\2E5D\301C\3030\30A0\+010EAD\00A0\2007\202F'
				|| U&'''\2018\2019\201B\02BB\02BC\02BE\02BF\02B9\02CA\02EE\2032\2035\00B4`\FF07\055A\05F3\07F4\07F5\275B\275C\A78B\A78C',
			repeat(' ', 28)),
		'\s+', ' ', 'g')) END;
END;
COMMENT ON FUNCTION kinderconnect.fold(text) IS
'a name for comparing: lower case, without accents and apostrophes, every hyphen a space, single spaces';

-- What matching reads from the fields of a name, however they were filled: a
-- middle name may stand with the first name, a suffix behind the last or the
-- first, two last names in either order. Full stops and commas count for
-- nothing. A name of one plain word, as most are, is not looked at further.
CREATE FUNCTION kinderconnect._words(name text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN btrim(regexp_replace(translate(kinderconnect.fold(name), '.,', '  '), ' +', ' ', 'g'));
COMMENT ON FUNCTION kinderconnect._words(text) IS 'the words of a name, folded';

CREATE FUNCTION kinderconnect._sorted(words text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN (SELECT string_agg(w, ' ' ORDER BY w COLLATE "C") FROM unnest(string_to_array(words, ' ')) w);
COMMENT ON FUNCTION kinderconnect._sorted(text) IS 'words in the order of the alphabet';

CREATE FUNCTION kinderconnect._first_key(first_name text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE WHEN first_name ~ '^[A-Za-z]+$' THEN lower(first_name) ELSE split_part(kinderconnect._words(first_name), ' ', 1) END;
COMMENT ON FUNCTION kinderconnect._first_key(text) IS 'first word of the first name, folded; empty where there is none';

CREATE FUNCTION kinderconnect._middle_key(first_name text, middle_name text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN middle_name IS NULL AND first_name ~ '^[A-Za-z]*$' THEN NULL
		ELSE nullif(concat_ws(' ', substring(regexp_replace(kinderconnect._words(first_name), '( (jr|sr|ii|iii|iv))+$', '') FROM ' (.*)'),
			nullif(kinderconnect._words(middle_name), '')), '') END;
COMMENT ON FUNCTION kinderconnect._middle_key(text, text) IS 'the words of the first name after the first, and the middle name, folded; null: none';

CREATE FUNCTION kinderconnect._last_key(last_name text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE WHEN last_name ~ '^[A-Za-z]+$' THEN lower(last_name)
		ELSE coalesce(kinderconnect._sorted(regexp_replace(kinderconnect._words(last_name), '( (jr|sr|ii|iii|iv))+$', '')), '') END;
COMMENT ON FUNCTION kinderconnect._last_key(text) IS 'the words of the last name but for a suffix, folded, in the order of the alphabet; empty where there is none';

CREATE FUNCTION kinderconnect._suffix_key(first_name text, last_name text, suffix text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN suffix IS NULL AND last_name ~ '^[A-Za-z]*$' AND first_name ~ '^[A-Za-z]*$' THEN NULL
		ELSE coalesce(nullif(kinderconnect._words(suffix), ''), substring(kinderconnect._words(last_name) FROM ' (jr|sr|ii|iii|iv)$'),
			substring(kinderconnect._words(first_name) FROM ' (jr|sr|ii|iii|iv)$')) END;
COMMENT ON FUNCTION kinderconnect._suffix_key(text, text, text) IS 'the suffix, from its own field or else from behind the last or the first name, folded; null: none';
-- Manage: the management system's own tables, bound once by a query each. The
-- views stand outside the extension, so that pg_dump keeps them.

CREATE TABLE kinderconnect.manage_column (
	relation    text NOT NULL,
	position    integer NOT NULL,
	column_name text NOT NULL,
	data_type   regtype NOT NULL,
	is_key      boolean NOT NULL,
	meaning     text NOT NULL,
	PRIMARY KEY (relation, column_name)
);
COMMENT ON TABLE kinderconnect.manage_column IS
'what bind_manage() asks of each query; shipped, not edited';
COMMENT ON COLUMN kinderconnect.manage_column.relation IS 'first argument of bind_manage()';
COMMENT ON COLUMN kinderconnect.manage_column.position IS 'order in the view';
COMMENT ON COLUMN kinderconnect.manage_column.column_name IS 'name the query must give the column';
COMMENT ON COLUMN kinderconnect.manage_column.data_type IS 'type it must have; text is cast from anything that is written like it: numbers, uuid, varchar';
COMMENT ON COLUMN kinderconnect.manage_column.is_key IS 'never null; a row is told from the others by these together';
COMMENT ON COLUMN kinderconnect.manage_column.meaning IS 'what stands in it';

INSERT INTO kinderconnect.manage_column VALUES
	('organization', 1, 'organization_id', 'text', true, 'Manage''s id of the customer'),
	('organization', 2, 'name', 'text', false, 'its name'),
	('location', 1, 'organization_id', 'text', true, 'the customer'),
	('location', 2, 'location_id', 'text', true, 'Manage''s id of the site, unique in the organization'),
	('location', 3, 'name', 'text', false, 'its name'),
	('location', 4, 'zip', 'text', false, 'ZIP code, or null'),
	('location', 5, 'time_zone', 'text', false, 'IANA name, such as America/Chicago; null: the agency''s'),
	('child', 1, 'organization_id', 'text', true, 'the customer'),
	('child', 2, 'location_id', 'text', false, 'the child''s own site; narrows matching only'),
	('child', 3, 'child_id', 'text', true, 'Manage''s id of the child, unique in the organization'),
	('child', 4, 'first_name', 'text', false, 'first name'),
	('child', 5, 'middle_name', 'text', false, 'middle name, or null'),
	('child', 6, 'last_name', 'text', false, 'last name, both of two'),
	('child', 7, 'suffix', 'text', false, 'Jr, II, ..., or null'),
	('child', 8, 'date_of_birth', 'date', false, 'birth date'),
	('child', 9, 'active', 'boolean', false, 'false: left; may still be matched, for last week''s days'),
	('attendance', 1, 'organization_id', 'text', true, 'the customer'),
	('attendance', 2, 'location_id', 'text', true, 'where it was; decides the provider'),
	('attendance', 3, 'child_id', 'text', false, 'the child; null only in a closure of the whole location'),
	('attendance', 4, 'attendance_id', 'text', true, 'Manage''s id of the row'),
	('attendance', 5, 'kind', 'text', true, 'session, absence or closure'),
	('attendance', 6, 'check_in', 'timestamp with time zone', false, 'of a session; null where it is missing'),
	('attendance', 7, 'check_out', 'timestamp with time zone', false, 'of a session; null where it is missing'),
	('attendance', 8, 'service_date', 'date', false, 'of an absence or closure; a session''s date is that of its check-in'),
	('attendance', 9, 'reason', 'text', false, 'of an absence: Manage''s word for it'),
	('attendance', 10, 'modified_at', 'timestamp with time zone', false, 'last change; information only'),
	('child_id', 1, 'organization_id', 'text', true, 'the customer'),
	('child_id', 2, 'child_id', 'text', true, 'Manage''s id of the child'),
	('child_id', 3, 'agency_id', 'text', true, 'the agency'),
	('child_id', 4, 'kinderconnect_child_id', 'text', true, 'the child''s id at that agency'),
	('provider_id', 1, 'organization_id', 'text', true, 'the customer'),
	('provider_id', 2, 'location_id', 'text', true, 'the site'),
	('provider_id', 3, 'agency_id', 'text', true, 'the agency'),
	('provider_id', 4, 'provider_id', 'text', true, 'the site''s provider ID at that agency');

CREATE FUNCTION kinderconnect._is_bound(relation text) RETURNS boolean
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
	RETURN to_regclass('kinderconnect.' || quote_ident('manage_' || relation)) IS NOT NULL;
COMMENT ON FUNCTION kinderconnect._is_bound(text) IS 'whether bind_manage() made this view';

-- A name that PostgreSQL would have to guess at is no zone.
CREATE FUNCTION kinderconnect._zone(name text) RETURNS text
	LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF name !~ '^[A-Za-z_]+(/[A-Za-z_-]+)+$|^Etc/GMT[+-][0-9]{1,2}$|^UTC$' THEN
		RETURN NULL;
	END IF;
	PERFORM now() AT TIME ZONE name;
	RETURN name;
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN NULL;
END;
$$;
COMMENT ON FUNCTION kinderconnect._zone(text) IS 'the name of an IANA zone this server knows, else null';

CREATE FUNCTION kinderconnect._require_manage() RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unbound text;
BEGIN
	SELECT string_agg(r, ', ') INTO unbound
	FROM unnest(ARRAY['organization', 'location', 'child', 'attendance']) r
	WHERE NOT kinderconnect._is_bound(r);
	IF unbound IS NOT NULL THEN
		RAISE EXCEPTION 'Manage is not bound'
			USING ERRCODE = 'KC001',
				DETAIL = 'Not bound: ' || unbound || '.',
				HINT = 'Bind each with SELECT kinderconnect.bind_manage(relation, query).';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_manage() IS 'an error unless the four relations of Manage are bound';
-- What an administrator enters: a group password's name and the providers.

CREATE TABLE kinderconnect.provider (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL CHECK (agency_id <> ''),
	provider_id            text NOT NULL CHECK (provider_id <> ''),
	configured             boolean NOT NULL,
	enabled                boolean NOT NULL DEFAULT true,
	configured_location_id text CHECK (configured_location_id <> ''),
	found_location_id      text CHECK (found_location_id <> ''),
	location_id            text GENERATED ALWAYS AS (coalesce(configured_location_id, found_location_id)) STORED,
	PRIMARY KEY (organization_id, agency_id, provider_id)
);
COMMENT ON TABLE kinderconnect.provider IS
'what one call to the service is about: a site''s provider ID at an agency; a site may have several';
COMMENT ON COLUMN kinderconnect.provider.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider.provider_id IS 'the agency''s id of the site';
COMMENT ON COLUMN kinderconnect.provider.configured IS 'true: entered by add_provider(); false: adopted from the service''s list';
COMMENT ON COLUMN kinderconnect.provider.enabled IS 'false: nothing is asked or sent for it';
COMMENT ON COLUMN kinderconnect.provider.configured_location_id IS 'Manage''s location as entered; wins';
COMMENT ON COLUMN kinderconnect.provider.found_location_id IS 'Manage''s location as found by stored id, or by name and ZIP';
COMMENT ON COLUMN kinderconnect.provider.location_id IS 'Manage''s location in force; null: its days are held as provider_unmatched';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.endpoint', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.organization', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.provider', '');

CREATE FUNCTION kinderconnect._require_organization(organization_id text) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF organization_id IS NULL THEN
		RAISE EXCEPTION 'organization_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT EXISTS (SELECT FROM kinderconnect.organization o WHERE o.organization_id = _require_organization.organization_id) THEN
		RAISE EXCEPTION 'organization "%" has no KinderConnect integration', organization_id
			USING ERRCODE = 'KC001',
				HINT = 'Enable it with SELECT kinderconnect.enable_integration(organization_id, group_id).';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_organization(text) IS 'an error unless the organization was ever enabled';

-- The password's name is checked against the secrets file, and never repeated
-- in an error: somebody may have passed the password itself.
CREATE FUNCTION kinderconnect.enable_integration(organization_id text, group_id text,
		group_password text DEFAULT NULL, endpoint text DEFAULT NULL,
		backfill_days integer DEFAULT 30, adopt_providers boolean DEFAULT true) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	secret_name text := coalesce(enable_integration.group_password, 'group_' || enable_integration.organization_id);
	service     text := enable_integration.endpoint;
BEGIN
	IF nullif(btrim(enable_integration.organization_id), '') IS NULL OR nullif(btrim(enable_integration.group_id), '') IS NULL
		OR enable_integration.backfill_days IS NULL OR enable_integration.adopt_providers IS NULL THEN
		RAISE EXCEPTION 'organization_id, group_id, backfill_days and adopt_providers must be given'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF enable_integration.backfill_days NOT BETWEEN 0 AND 366 THEN
		RAISE EXCEPTION 'backfill_days % is not between 0 and 366', enable_integration.backfill_days
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF service IS NULL THEN
		SELECT min(e.endpoint) INTO service FROM kinderconnect.endpoint e HAVING count(*) = 1;
		IF service IS NULL THEN
			RAISE EXCEPTION 'endpoint must be named: there is not exactly one'
				USING ERRCODE = 'KC001',
					HINT = 'INSERT the service into kinderconnect.endpoint, or name one with endpoint =>.';
		END IF;
	ELSIF NOT EXISTS (SELECT FROM kinderconnect.endpoint e WHERE e.endpoint = service) THEN
		RAISE EXCEPTION 'endpoint "%" does not exist', service
			USING ERRCODE = 'KC001', HINT = 'INSERT it into kinderconnect.endpoint first.';
	END IF;
	IF NOT kinderconnect._has_secret(secret_name) THEN
		RAISE EXCEPTION 'group password of organization "%" is not in the secrets file', enable_integration.organization_id
			USING ERRCODE = 'KC002',
				DETAIL = CASE WHEN enable_integration.group_password IS NULL THEN format('Looked for the name "%s".', secret_name)
					ELSE 'Looked for the name given as group_password.' END,
				HINT = 'group_password is the name of a line in the file of kinderconnect.secrets_file, not the password; write the line there, or call kinderconnect.set_secret(name, value).';
	END IF;

	INSERT INTO kinderconnect.organization AS o (organization_id, endpoint, group_id, group_password, first_enabled, backfill_days, adopt_providers)
	VALUES (enable_integration.organization_id, service, enable_integration.group_id, secret_name,
		(now() AT TIME ZONE 'UTC')::date, enable_integration.backfill_days, enable_integration.adopt_providers)
	ON CONFLICT (organization_id) DO UPDATE
	SET endpoint = excluded.endpoint, group_id = excluded.group_id, group_password = excluded.group_password,
		enabled = true, backfill_days = excluded.backfill_days, adopt_providers = excluded.adopt_providers;
END;
$$;
COMMENT ON FUNCTION kinderconnect.enable_integration(text, text, text, text, integer, boolean) IS
'lets an organization report to KinderConnect, or changes how. group_password is the NAME of its line in the secrets file (default group_<organization_id>); endpoint may be left out where there is one';

CREATE FUNCTION kinderconnect.disable_integration(organization_id text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(disable_integration.organization_id);
	UPDATE kinderconnect.organization SET enabled = false WHERE organization_id = disable_integration.organization_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect.disable_integration(text) IS
'no run touches the organization any more; everything known of it stays. enable_integration() takes it up again';

CREATE FUNCTION kinderconnect.add_provider(organization_id text, agency_id text, provider_id text, location_id text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(add_provider.organization_id);
	IF nullif(btrim(add_provider.agency_id), '') IS NULL OR nullif(btrim(add_provider.provider_id), '') IS NULL THEN
		RAISE EXCEPTION 'agency_id and provider_id must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF add_provider.location_id IS NOT NULL AND kinderconnect._is_bound('location') THEN
		PERFORM FROM kinderconnect.manage_location m
		WHERE m.organization_id = add_provider.organization_id AND m.location_id = add_provider.location_id;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'organization "%" has no location "%" in Manage', add_provider.organization_id, add_provider.location_id
				USING ERRCODE = 'KC001', HINT = 'Locations are listed in kinderconnect.manage_location.';
		END IF;
	END IF;
	INSERT INTO kinderconnect.provider AS p (organization_id, agency_id, provider_id, configured, configured_location_id)
	VALUES (add_provider.organization_id, add_provider.agency_id, add_provider.provider_id, true, add_provider.location_id)
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET configured = true, enabled = true, configured_location_id = excluded.configured_location_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect.add_provider(text, text, text, text) IS
'enters a provider ID of an agency, as many as wanted; location_id is Manage''s location, or null to have it found by stored id, or name and ZIP';

CREATE FUNCTION kinderconnect.disable_provider(organization_id text, agency_id text, provider_id text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	UPDATE kinderconnect.provider SET enabled = false
	WHERE (organization_id, agency_id, provider_id) = (disable_provider.organization_id, disable_provider.agency_id, disable_provider.provider_id);
	IF NOT FOUND THEN
		RAISE EXCEPTION 'organization "%" has no provider "%" at agency "%"',
			disable_provider.organization_id, disable_provider.provider_id, disable_provider.agency_id
			USING ERRCODE = 'KC001', HINT = 'Providers are listed in kinderconnect.provider.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect.disable_provider(text, text, text) IS
'asks and sends nothing for a provider; add_provider() takes it up again';

-- Whether an organization's dialect has an operation at all.
CREATE FUNCTION kinderconnect._speaks(organization_id text, operation text) RETURNS boolean
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect.organization o
		JOIN kinderconnect.endpoint e ON e.endpoint = o.endpoint
		JOIN kinderconnect.dialect_operation d ON d.dialect = e.dialect
		WHERE o.organization_id = _speaks.organization_id AND d.operation = _speaks.operation);
END;
COMMENT ON FUNCTION kinderconnect._speaks(text, text) IS 'whether the organization''s service has this operation';
-- What each run did: the run, its organizations, its providers.

CREATE TABLE kinderconnect.run (
	run_id     bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	ended_at   timestamptz,
	status     text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'succeeded', 'failed', 'stopped', 'interrupted')),
	step       text NOT NULL DEFAULT 'begin',
	step_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
	started_by text NOT NULL DEFAULT session_user,
	pid        integer NOT NULL DEFAULT pg_backend_pid(),
	scope      jsonb NOT NULL,
	sqlstate   text,
	error      text,
	CHECK ((status = 'running') = (ended_at IS NULL)),
	CHECK ((sqlstate IS NULL) = (error IS NULL))
);
COMMENT ON TABLE kinderconnect.run IS 'one execution of nightly()';
COMMENT ON COLUMN kinderconnect.run.run_id IS 'counts up';
COMMENT ON COLUMN kinderconnect.run.started_at IS 'when it began';
COMMENT ON COLUMN kinderconnect.run.ended_at IS 'when it ended; of an interrupted one, when that was noticed';
COMMENT ON COLUMN kinderconnect.run.status IS 'running; succeeded; failed: a part of it failed, the rest is done; stopped: by stop(), what it had begun is done; interrupted: its session died or was cancelled, the next run heals it';
COMMENT ON COLUMN kinderconnect.run.step IS 'lists, children, match, resolve, plan, transfer, compare, account: where it is, or was when it was interrupted';
COMMENT ON COLUMN kinderconnect.run.step_at IS 'when that step began';
COMMENT ON COLUMN kinderconnect.run.started_by IS 'login role';
COMMENT ON COLUMN kinderconnect.run.pid IS 'server process';
COMMENT ON COLUMN kinderconnect.run.scope IS 'the arguments of nightly() that limited it; due: tick() started it, for the providers that were due';
COMMENT ON COLUMN kinderconnect.run.sqlstate IS 'why it ended before its end: KC104 its deadline, KC403 stop(); null: it did not';
COMMENT ON COLUMN kinderconnect.run.error IS 'the same in words';

CREATE TABLE kinderconnect.run_organization (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	run_id          bigint NOT NULL,
	locked          boolean NOT NULL,
	halted          boolean NOT NULL DEFAULT false,
	step            text,
	step_ended_at   timestamptz,
	sqlstate        text,
	error           text,
	hint            text,
	PRIMARY KEY (organization_id, run_id)
);
COMMENT ON TABLE kinderconnect.run_organization IS 'an organization''s part in a run';
COMMENT ON COLUMN kinderconnect.run_organization.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.run_organization.run_id IS 'the run';
COMMENT ON COLUMN kinderconnect.run_organization.locked IS 'false: another run was busy with it, so this one left it alone';
COMMENT ON COLUMN kinderconnect.run_organization.halted IS 'true: nothing more was done for it in this run';
COMMENT ON COLUMN kinderconnect.run_organization.step IS 'match or plan: the last of them that was done for it';
COMMENT ON COLUMN kinderconnect.run_organization.step_ended_at IS 'when';
COMMENT ON COLUMN kinderconnect.run_organization.sqlstate IS 'first error, SQLSTATE; null where all went well';
COMMENT ON COLUMN kinderconnect.run_organization.error IS 'first error, message and detail';
COMMENT ON COLUMN kinderconnect.run_organization.hint IS 'what to do about it';

CREATE TABLE kinderconnect.run_provider (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	run_id          bigint NOT NULL,
	agency_id       text NOT NULL,
	provider_id     text NOT NULL,
	children        integer,
	matched         integer,
	sent            integer NOT NULL DEFAULT 0,
	accepted        integer NOT NULL DEFAULT 0,
	rejected        integer NOT NULL DEFAULT 0,
	voided          integer NOT NULL DEFAULT 0,
	unanswered      integer NOT NULL DEFAULT 0,
	differences     integer,
	held            integer,
	ready           integer,
	halted          boolean NOT NULL DEFAULT false,
	sqlstate        text,
	error           text,
	hint            text,
	PRIMARY KEY (organization_id, run_id, agency_id, provider_id)
);
COMMENT ON TABLE kinderconnect.run_provider IS 'a provider''s part in a run';
COMMENT ON COLUMN kinderconnect.run_provider.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.run_provider.run_id IS 'the run';
COMMENT ON COLUMN kinderconnect.run_provider.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.run_provider.provider_id IS 'the provider';
COMMENT ON COLUMN kinderconnect.run_provider.children IS 'authorized children at the end of the run';
COMMENT ON COLUMN kinderconnect.run_provider.matched IS 'of these, linked to a child of Manage';
COMMENT ON COLUMN kinderconnect.run_provider.sent IS 'child-days the service answered for in this run';
COMMENT ON COLUMN kinderconnect.run_provider.accepted IS 'of these, accepted';
COMMENT ON COLUMN kinderconnect.run_provider.rejected IS 'of these, rejected';
COMMENT ON COLUMN kinderconnect.run_provider.voided IS 'of these, taken back';
COMMENT ON COLUMN kinderconnect.run_provider.unanswered IS 'child-days sent whose answer is unknown at the end of the run';
COMMENT ON COLUMN kinderconnect.run_provider.differences IS 'child-days of which the service holds something else than we say: comparison_difference; null: not compared in this run';
COMMENT ON COLUMN kinderconnect.run_provider.held IS 'child-days held at the end of the run';
COMMENT ON COLUMN kinderconnect.run_provider.ready IS 'child-days still to be sent at the end of the run';
COMMENT ON COLUMN kinderconnect.run_provider.halted IS 'true: nothing more was sent for it in this run';
COMMENT ON COLUMN kinderconnect.run_provider.sqlstate IS 'first error, SQLSTATE; null where all went well';
COMMENT ON COLUMN kinderconnect.run_provider.error IS 'first error, message and detail';
COMMENT ON COLUMN kinderconnect.run_provider.hint IS 'what to do about it';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.run', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.run_run_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.run_organization', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.run_provider', '');

-- Only the first error is kept: it is the one that explains the others.
CREATE FUNCTION kinderconnect._fail_organization(run bigint, organization text, halt boolean, sqlstate text, error text, hint text) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	UPDATE kinderconnect.run_organization o
	SET halted = o.halted OR halt, sqlstate = coalesce(o.sqlstate, _fail_organization.sqlstate),
		error = CASE WHEN o.sqlstate IS NULL THEN _fail_organization.error ELSE o.error END,
		hint = CASE WHEN o.sqlstate IS NULL THEN _fail_organization.hint ELSE o.hint END
	WHERE o.organization_id = organization AND o.run_id = run;
END;
COMMENT ON FUNCTION kinderconnect._fail_organization(bigint, text, boolean, text, text, text) IS
'notes an organization''s error; halt: nothing more is done for it in this run';

CREATE FUNCTION kinderconnect._fail_provider(run bigint, organization text, agency text, provider text, halt boolean, sqlstate text, error text, hint text) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	INSERT INTO kinderconnect.run_provider AS p (organization_id, run_id, agency_id, provider_id, halted, sqlstate, error, hint)
	VALUES (organization, run, agency, provider, halt, _fail_provider.sqlstate, _fail_provider.error, _fail_provider.hint)
	ON CONFLICT (organization_id, run_id, agency_id, provider_id) DO UPDATE
	SET halted = p.halted OR excluded.halted, sqlstate = coalesce(p.sqlstate, excluded.sqlstate),
		error = CASE WHEN p.sqlstate IS NULL THEN excluded.error ELSE p.error END,
		hint = CASE WHEN p.sqlstate IS NULL THEN excluded.hint ELSE p.hint END;
END;
COMMENT ON FUNCTION kinderconnect._fail_provider(bigint, text, text, text, boolean, text, text, text) IS
'notes a provider''s error; halt: nothing more is sent for it in this run';

CREATE FUNCTION kinderconnect._said(outcome kinderconnect.call_outcome) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN concat_ws(': ', (outcome).message, nullif((outcome).detail, ''));
COMMENT ON FUNCTION kinderconnect._said(kinderconnect.call_outcome) IS 'message and detail of a failed call in one line';

-- The first night fills empty tables, and its session keeps the plans it made
-- for them; the server itself looks after them once a minute at best.
-- ANALYZE makes plans anew, and each time a table is eight times as large as
-- the last count is seldom enough to cost nothing.
CREATE FUNCTION kinderconnect._know_sizes() RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	grown text;
BEGIN
	FOR grown IN
		SELECT format('%I.%I', n.nspname, c.relname)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'kinderconnect' AND c.relname IN ('child', 'authorization', 'listed_authorization', 'child_link', 'known_child',
				'child_day', 'ledger', 'batch', 'batch_record') AND c.relkind = 'r'
			AND pg_relation_size(c.oid) > 8 * current_setting('block_size')::integer * greatest(c.relpages, 2)
	LOOP
		EXECUTE 'ANALYZE (SKIP_LOCKED) ' || grown;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._know_sizes() IS
'counts anew the tables that have outgrown what the planner knows of them, with the owner''s rights: only an owner may';
-- The switch that stops all sending. A run looks at it before each step and
-- each batch.

CREATE TABLE kinderconnect.stop_switch (
	stop_id    bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	stopped_at timestamptz NOT NULL DEFAULT now(),
	stopped_by text NOT NULL DEFAULT session_user,
	reason     text NOT NULL CHECK (btrim(reason) <> ''),
	resumed_at timestamptz,
	resumed_by text,
	CHECK ((resumed_at IS NULL) = (resumed_by IS NULL))
);
COMMENT ON TABLE kinderconnect.stop_switch IS 'when sending was stopped, by whom and why; a row that is not resumed: it is stopped now. Written by stop() and resume()';
COMMENT ON COLUMN kinderconnect.stop_switch.stop_id IS 'counts up';
COMMENT ON COLUMN kinderconnect.stop_switch.stopped_at IS 'when';
COMMENT ON COLUMN kinderconnect.stop_switch.stopped_by IS 'login role';
COMMENT ON COLUMN kinderconnect.stop_switch.reason IS 'in the words of who stopped it';
COMMENT ON COLUMN kinderconnect.stop_switch.resumed_at IS 'when it went on; null: it is stopped';
COMMENT ON COLUMN kinderconnect.stop_switch.resumed_by IS 'login role';

CREATE UNIQUE INDEX stop_switch_now ON kinderconnect.stop_switch ((resumed_at IS NULL)) WHERE resumed_at IS NULL;

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.stop_switch', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.stop_switch_stop_id_seq', '');

CREATE FUNCTION kinderconnect._stopped_because() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT format('stopped by %s since %s: %s', s.stopped_by, to_char(s.stopped_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), s.reason)
	FROM kinderconnect.stop_switch s WHERE s.resumed_at IS NULL;
END;
COMMENT ON FUNCTION kinderconnect._stopped_because() IS 'who stopped sending, when and why; null: nobody did';

CREATE FUNCTION kinderconnect.stop(reason text) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF nullif(btrim(stop.reason), '') IS NULL THEN
		RAISE EXCEPTION 'a reason must be given' USING ERRCODE = 'null_value_not_allowed', HINT = 'It is what the next person reads.';
	END IF;
	INSERT INTO kinderconnect.stop_switch (reason) VALUES (stop.reason) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'sending is stopped already'
			USING ERRCODE = 'KC403', DETAIL = kinderconnect._stopped_because() || '.', HINT = 'kinderconnect.resume() lets it go on.';
	END IF;
	RETURN 'Stopped: a run under way ends after the calls it has begun; nothing is sent until kinderconnect.resume().';
END;
$$;
COMMENT ON FUNCTION kinderconnect.stop(text) IS
'stops all sending, once this transaction is committed: a run under way takes in the answers it waits for and ends as stopped; no other starts until resume(). Who, when and why stay in stop_switch';

CREATE FUNCTION kinderconnect.resume() RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.stop_switch s SET resumed_at = now(), resumed_by = session_user WHERE s.resumed_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'sending is not stopped' USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	RETURN 'Resumed: what became due meanwhile is done at the next tick.';
END;
$$;
COMMENT ON FUNCTION kinderconnect.resume() IS 'takes back stop(); what became due meanwhile is done at the next tick, once';

CREATE FUNCTION kinderconnect._require_not_stopped() RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF kinderconnect._stopped_because() IS NOT NULL THEN
		RAISE EXCEPTION 'sending is stopped'
			USING ERRCODE = 'KC403', DETAIL = kinderconnect._stopped_because() || '.', HINT = 'kinderconnect.resume() lets it go on.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_not_stopped() IS 'an error (KC403) while sending is stopped';

-- Asked before each step and each batch. The first reason to end stays.
CREATE FUNCTION kinderconnect._goes_on(run bigint) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.run r
	SET sqlstate = CASE WHEN s.why IS NULL THEN 'KC104' ELSE 'KC403' END, error = coalesce(s.why, 'deadline')
	FROM (SELECT kinderconnect._stopped_because() AS why) s
	WHERE r.run_id = run AND r.sqlstate IS NULL
		AND (s.why IS NOT NULL
			OR clock_timestamp() >= r.started_at + make_interval(secs => kinderconnect.setting('run_deadline')::integer));
	RETURN EXISTS (SELECT FROM kinderconnect.run r WHERE r.run_id = run AND r.sqlstate IS NULL);
END;
$$;
COMMENT ON FUNCTION kinderconnect._goes_on(bigint) IS
'whether a run may begin anything more: false, and noted in run, once sending is stopped or its deadline has come';
-- What a run tells whoever listens, and the server's log. Many may read both:
-- no name, no birth date, no secret and nothing that the service wrote ever
-- stands in them.

CREATE FUNCTION kinderconnect._failure_word(sqlstate text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE sqlstate
		WHEN 'KC001' THEN 'configuration'
		WHEN 'KC002' THEN 'a secret or its file'
		WHEN 'KC101' THEN 'not reached'
		WHEN 'KC102' THEN 'no trusted TLS connection'
		WHEN 'KC103' THEN 'the answer was lost'
		WHEN 'KC104' THEN 'the deadline'
		WHEN 'KC201' THEN 'token refused'
		WHEN 'KC202' THEN 'group password refused'
		WHEN 'KC203' THEN 'provider not in the group'
		WHEN 'KC204' THEN 'refused'
		WHEN 'KC205' THEN 'busy or down'
		WHEN 'KC301' THEN 'an answer not as agreed, or a list that shrank'
		WHEN 'KC302' THEN 'an answer too large'
		WHEN 'KC401' THEN 'another run is busy with it'
		WHEN 'KC403' THEN 'stopped'
		ELSE CASE WHEN starts_with(sqlstate, 'KC') THEN 'an error' ELSE 'an error of the database' END
	END;
COMMENT ON FUNCTION kinderconnect._failure_word(text) IS 'an SQLSTATE in a few words of ours, fit for a log';

CREATE FUNCTION kinderconnect._tell_begin(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	begun         kinderconnect.run;
	organizations bigint;
BEGIN
	SELECT * INTO STRICT begun FROM kinderconnect.run r WHERE r.run_id = run;
	SELECT count(*) INTO organizations FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.locked;
	PERFORM pg_notify('kinderconnect', jsonb_build_object('event', 'start', 'run_id', run, 'at', begun.started_at,
		'organizations', organizations, 'due', begun.scope ? 'due')::text);
	RAISE LOG 'kinderconnect: run % begins, % organizations, started by %', run, organizations,
		CASE WHEN begun.scope ? 'due' THEN 'the clock' ELSE 'hand' END;
END;
$$;
COMMENT ON FUNCTION kinderconnect._tell_begin(bigint) IS 'NOTIFY kinderconnect and a line of the log, at the begin of a run';

CREATE FUNCTION kinderconnect._tell_dead(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pg_notify('kinderconnect', jsonb_build_object('event', 'failure', 'run_id', run, 'at', clock_timestamp(), 'status', 'interrupted')::text);
	RAISE LOG 'kinderconnect: run % was interrupted; the next one heals it', run;
END;
$$;
COMMENT ON FUNCTION kinderconnect._tell_dead(bigint) IS 'NOTIFY kinderconnect and a line of the log, for a run found dead';

CREATE FUNCTION kinderconnect._tell_end(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ended   kinderconnect.run;
	failing record;
	total   record;
BEGIN
	SELECT * INTO STRICT ended FROM kinderconnect.run r WHERE r.run_id = run;
	SELECT coalesce(sum(p.sent), 0) AS sent, coalesce(sum(p.accepted), 0) AS accepted, coalesce(sum(p.rejected), 0) AS rejected,
		coalesce(sum(p.voided), 0) AS voided, coalesce(sum(p.unanswered), 0) AS unanswered, coalesce(sum(p.held), 0) AS held,
		count(*) FILTER (WHERE p.sqlstate IS NOT NULL) AS failed_providers,
		(SELECT count(*) FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.sqlstate IS NOT NULL) AS failed_organizations,
		extract(epoch FROM ended.ended_at - ended.started_at)::bigint AS seconds
	INTO total FROM kinderconnect.run_provider p WHERE p.run_id = run;

	FOR failing IN
		SELECT format('organization "%s"', o.organization_id) AS who, o.sqlstate FROM kinderconnect.run_organization o
		WHERE o.run_id = run AND o.sqlstate IS NOT NULL
		UNION ALL
		SELECT format('organization "%s", agency "%s", provider "%s"', p.organization_id, p.agency_id, p.provider_id), p.sqlstate
		FROM kinderconnect.run_provider p WHERE p.run_id = run AND p.sqlstate IS NOT NULL
		ORDER BY 1
	LOOP
		RAISE LOG 'kinderconnect: run %: % failed: % (%)', run, failing.who, kinderconnect._failure_word(failing.sqlstate), failing.sqlstate;
	END LOOP;
	RAISE LOG 'kinderconnect: run % % after % s%: % accepted, % rejected, % taken back, % unanswered, % held; % organizations and % providers failed',
		run, ended.status, total.seconds, coalesce(' (' || kinderconnect._failure_word(ended.sqlstate) || ')', ''),
		total.accepted, total.rejected, total.voided, total.unanswered, total.held, total.failed_organizations, total.failed_providers;
	PERFORM pg_notify('kinderconnect', jsonb_build_object('event', CASE ended.status WHEN 'failed' THEN 'failure' ELSE 'end' END,
		'run_id', run, 'at', ended.ended_at, 'status', ended.status, 'sqlstate', ended.sqlstate, 'seconds', total.seconds,
		'sent', total.sent, 'accepted', total.accepted, 'rejected', total.rejected, 'voided', total.voided, 'unanswered', total.unanswered,
		'held', total.held, 'failed_organizations', total.failed_organizations, 'failed_providers', total.failed_providers)::text);
END;
$$;
COMMENT ON FUNCTION kinderconnect._tell_end(bigint) IS 'NOTIFY kinderconnect and lines of the log, at the end of a run';
-- Step 1 of the night: customers, locations and agencies as the service lists
-- them, and the Manage location of each provider.

CREATE TABLE kinderconnect.agency (
	agency_id text PRIMARY KEY CHECK (agency_id <> ''),
	name      text,
	state     text CHECK (state ~ '^[A-Z]{2}$'),
	time_zone text
);
COMMENT ON TABLE kinderconnect.agency IS 'who pays and sets the rules; rules of the agency override those of its state';
COMMENT ON COLUMN kinderconnect.agency.agency_id IS 'the agency''s id on the wire';
COMMENT ON COLUMN kinderconnect.agency.name IS 'as listed';
COMMENT ON COLUMN kinderconnect.agency.state IS 'two-letter code';
COMMENT ON COLUMN kinderconnect.agency.time_zone IS 'IANA name; used only where Manage''s location has none';

CREATE TABLE kinderconnect.customer (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	customer_id     text NOT NULL,
	name            text,
	status          text,
	listed          boolean NOT NULL DEFAULT true,
	changed_at      timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, customer_id)
);
COMMENT ON TABLE kinderconnect.customer IS 'the customers the service lists under an organization''s group';
COMMENT ON COLUMN kinderconnect.customer.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.customer.customer_id IS 'the service''s id';
COMMENT ON COLUMN kinderconnect.customer.name IS 'as listed';
COMMENT ON COLUMN kinderconnect.customer.status IS 'as listed; other than active: nothing is sent for its locations';
COMMENT ON COLUMN kinderconnect.customer.listed IS 'whether the last list held it';
COMMENT ON COLUMN kinderconnect.customer.changed_at IS 'when any of this last changed';

CREATE TABLE kinderconnect.organization_agency (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	customer_id     text NOT NULL,
	agency_id       text NOT NULL,
	listed          boolean NOT NULL DEFAULT true,
	changed_at      timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, customer_id, agency_id)
);
COMMENT ON TABLE kinderconnect.organization_agency IS 'the agencies the service lists for a customer';
COMMENT ON COLUMN kinderconnect.organization_agency.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.organization_agency.customer_id IS 'the customer';
COMMENT ON COLUMN kinderconnect.organization_agency.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.organization_agency.listed IS 'whether the last list held it';
COMMENT ON COLUMN kinderconnect.organization_agency.changed_at IS 'when any of this last changed';

CREATE TABLE kinderconnect.listed_location (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	agency_id       text NOT NULL,
	provider_id     text NOT NULL,
	customer_id     text NOT NULL,
	name            text,
	line1           text,
	city            text,
	state           text,
	zip             text,
	status          text,
	listed          boolean NOT NULL DEFAULT true,
	changed_at      timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, agency_id, provider_id)
);
COMMENT ON TABLE kinderconnect.listed_location IS 'the locations the service lists: a provider ID at an agency each';
COMMENT ON COLUMN kinderconnect.listed_location.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.listed_location.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.listed_location.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.listed_location.customer_id IS 'the customer it belongs to';
COMMENT ON COLUMN kinderconnect.listed_location.name IS 'as listed';
COMMENT ON COLUMN kinderconnect.listed_location.line1 IS 'street, as listed';
COMMENT ON COLUMN kinderconnect.listed_location.city IS 'as listed';
COMMENT ON COLUMN kinderconnect.listed_location.state IS 'as listed';
COMMENT ON COLUMN kinderconnect.listed_location.zip IS 'as listed';
COMMENT ON COLUMN kinderconnect.listed_location.status IS 'as listed; other than active: nothing is sent for it';
COMMENT ON COLUMN kinderconnect.listed_location.listed IS 'whether the last list held it';
COMMENT ON COLUMN kinderconnect.listed_location.changed_at IS 'when any of this last changed';

-- One row a list that we ask for; absent parts of the key are '' and -infinity.
CREATE TABLE kinderconnect.list_state (
	organization_id   text NOT NULL REFERENCES kinderconnect.organization,
	operation         text NOT NULL,
	customer_id       text NOT NULL DEFAULT '',
	agency_id         text NOT NULL DEFAULT '',
	provider_id       text NOT NULL DEFAULT '',
	month             date NOT NULL DEFAULT '-infinity',
	entries           bigint,
	taken_at          timestamptz,
	set_aside_entries bigint,
	set_aside_at      timestamptz,
	accept_shrink     boolean NOT NULL DEFAULT false,
	PRIMARY KEY (organization_id, operation, customer_id, agency_id, provider_id, month)
);
COMMENT ON TABLE kinderconnect.list_state IS
'the lists of the service, how long each was when it was last taken, and which were set aside because they had shrunk';
COMMENT ON COLUMN kinderconnect.list_state.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.list_state.operation IS 'customers, locations, agencies, children; attendance: Manage''s own, see accept_shrink()';
COMMENT ON COLUMN kinderconnect.list_state.customer_id IS 'of locations and agencies, else empty';
COMMENT ON COLUMN kinderconnect.list_state.agency_id IS 'of children and attendance, else empty';
COMMENT ON COLUMN kinderconnect.list_state.provider_id IS 'of children and attendance, else empty';
COMMENT ON COLUMN kinderconnect.list_state.month IS 'of children, its first day, else -infinity';
COMMENT ON COLUMN kinderconnect.list_state.entries IS 'entries of the list in force';
COMMENT ON COLUMN kinderconnect.list_state.taken_at IS 'when a list was last taken';
COMMENT ON COLUMN kinderconnect.list_state.set_aside_entries IS 'entries of a list set aside and not accepted since';
COMMENT ON COLUMN kinderconnect.list_state.set_aside_at IS 'when it was first set aside';
COMMENT ON COLUMN kinderconnect.list_state.accept_shrink IS 'true: the next list is taken whatever its length';

CREATE TABLE kinderconnect.list_problem (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	operation              text NOT NULL,
	customer_id            text NOT NULL DEFAULT '',
	agency_id              text NOT NULL DEFAULT '',
	provider_id            text NOT NULL DEFAULT '',
	month                  date NOT NULL DEFAULT '-infinity',
	ordinal                integer NOT NULL,
	part                   integer NOT NULL DEFAULT 1,
	kinderconnect_child_id text,
	problem                text NOT NULL,
	PRIMARY KEY (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part)
);
COMMENT ON TABLE kinderconnect.list_problem IS 'records of the lists in force that are not as agreed; each was taken as far as it goes';
COMMENT ON COLUMN kinderconnect.list_problem.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.list_problem.operation IS 'which list, as in list_state';
COMMENT ON COLUMN kinderconnect.list_problem.customer_id IS 'which list, as in list_state';
COMMENT ON COLUMN kinderconnect.list_problem.agency_id IS 'which list, as in list_state';
COMMENT ON COLUMN kinderconnect.list_problem.provider_id IS 'which list, as in list_state';
COMMENT ON COLUMN kinderconnect.list_problem.month IS 'which list, as in list_state';
COMMENT ON COLUMN kinderconnect.list_problem.ordinal IS 'place in the list, from 1';
COMMENT ON COLUMN kinderconnect.list_problem.part IS 'row within that record, from 1';
COMMENT ON COLUMN kinderconnect.list_problem.kinderconnect_child_id IS 'the child, where its id could be read';
COMMENT ON COLUMN kinderconnect.list_problem.problem IS 'what is wrong';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.agency', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.customer', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.organization_agency', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.listed_location', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.list_state', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.list_problem', '');

-- A list that has suddenly shrunk would close authorizations that may well
-- stand: it waits for a person, or for another night that says the same. An
-- empty one does so however short the last one was: most organizations have
-- few customers, agencies and locations, and without them a night would do
-- nothing and call that success.
CREATE FUNCTION kinderconnect._take_list(run bigint, outcome kinderconnect.call_outcome) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	last       kinderconnect.list_state;
	take       boolean;
	message    text;
BEGIN
	INSERT INTO kinderconnect.list_state (organization_id, operation, customer_id, agency_id, provider_id, month)
	VALUES (outcome.organization_id, outcome.operation, coalesce(outcome.customer_id, ''), coalesce(outcome.agency_id, ''),
		coalesce(outcome.provider_id, ''), coalesce(date_trunc('month', outcome.month)::date, '-infinity'))
	ON CONFLICT DO NOTHING;
	SELECT * INTO STRICT last FROM kinderconnect.list_state l
	WHERE (l.organization_id, l.operation, l.customer_id, l.agency_id, l.provider_id, l.month)
		= (outcome.organization_id, outcome.operation, coalesce(outcome.customer_id, ''), coalesce(outcome.agency_id, ''),
			coalesce(outcome.provider_id, ''), coalesce(date_trunc('month', outcome.month)::date, '-infinity'));

	take := last.entries IS NULL OR last.accept_shrink
		OR last.entries < kinderconnect.setting('shrink_floor')::bigint AND outcome.entries > 0
		OR outcome.entries * 100 >= last.entries * kinderconnect.setting('shrink_percent')::bigint
		OR (last.set_aside_entries = outcome.entries AND last.set_aside_at < now() - interval '6 hours') IS TRUE;

	UPDATE kinderconnect.list_state l
	SET entries = CASE WHEN take THEN outcome.entries ELSE l.entries END,
		taken_at = CASE WHEN take THEN now() ELSE l.taken_at END,
		accept_shrink = false,
		set_aside_entries = CASE WHEN NOT take THEN outcome.entries END,
		set_aside_at = CASE WHEN take THEN NULL WHEN l.set_aside_entries = outcome.entries THEN l.set_aside_at ELSE now() END
	WHERE (l.organization_id, l.operation, l.customer_id, l.agency_id, l.provider_id, l.month)
		= (last.organization_id, last.operation, last.customer_id, last.agency_id, last.provider_id, last.month);

	IF NOT take THEN
		message := format('list of %s has shrunk from %s to %s entries and is set aside', outcome.operation, last.entries, outcome.entries);
		IF outcome.provider_id IS NULL THEN
			PERFORM kinderconnect._fail_organization(run, outcome.organization_id, false, 'KC301', message,
				'If that is right, call kinderconnect.accept_shrink(); another night that says the same takes it too.');
		ELSE
			PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, false, 'KC301', message,
				'If that is right, call kinderconnect.accept_shrink(); another night that says the same takes it too.');
		END IF;
	END IF;
	RETURN take;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_list(bigint, kinderconnect.call_outcome) IS
'whether a list that has arrived replaces the one in force, by the settings shrink_floor and shrink_percent; notes what it decided';

CREATE FUNCTION kinderconnect.accept_shrink(organization_id text, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	accepted bigint;
BEGIN
	PERFORM kinderconnect._require_organization(accept_shrink.organization_id);
	UPDATE kinderconnect.list_state l SET accept_shrink = true
	WHERE l.organization_id = accept_shrink.organization_id
		AND l.set_aside_at IS NOT NULL
		AND (accept_shrink.agency_id IS NULL OR l.agency_id = accept_shrink.agency_id)
		AND (accept_shrink.provider_id IS NULL OR l.provider_id = accept_shrink.provider_id);
	GET DIAGNOSTICS accepted = ROW_COUNT;
	RETURN accepted;
END;
$$;
COMMENT ON FUNCTION kinderconnect.accept_shrink(text, text, text) IS
'the lists that were set aside because they had shrunk are taken by the next run, and the days held as source_shrank taken back, of an organization, or of one agency or provider of it; answers how many lists, the attendance of a provider counting as one';

CREATE FUNCTION kinderconnect._take_customers(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT kinderconnect._take_list(run, outcome) THEN
		RETURN;
	END IF;
	WITH reply AS MATERIALIZED (
		SELECT * FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_customer)
	), cleared AS (
		DELETE FROM kinderconnect.list_problem p
		WHERE p.organization_id = outcome.organization_id AND p.operation = 'customers'
			AND NOT EXISTS (SELECT FROM reply r WHERE r.ordinal = p.ordinal AND r.problem IS NOT NULL)
	), problems AS (
		INSERT INTO kinderconnect.list_problem AS p (organization_id, operation, ordinal, problem)
		SELECT outcome.organization_id, 'customers', r.ordinal, r.problem FROM reply r WHERE r.problem IS NOT NULL
		ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part) DO UPDATE
		SET problem = excluded.problem
	), gone AS (
		UPDATE kinderconnect.customer c SET listed = false, changed_at = now()
		WHERE c.organization_id = outcome.organization_id AND c.listed
			AND NOT EXISTS (SELECT FROM reply r WHERE r.customer_id = c.customer_id)
	)
	INSERT INTO kinderconnect.customer AS c (organization_id, customer_id, name, status)
	SELECT DISTINCT ON (r.customer_id) outcome.organization_id, r.customer_id, r.name, r.status
	FROM reply r WHERE r.customer_id IS NOT NULL
	ORDER BY r.customer_id, r.ordinal
	ON CONFLICT (organization_id, customer_id) DO UPDATE
	SET name = excluded.name, status = excluded.status, listed = true, changed_at = now()
	WHERE (c.name, c.status, c.listed) IS DISTINCT FROM (excluded.name, excluded.status, true);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_customers(bigint, kinderconnect.call_outcome) IS 'takes in a list of customers';

CREATE FUNCTION kinderconnect._take_agencies(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT kinderconnect._take_list(run, outcome) THEN
		RETURN;
	END IF;
	WITH reply AS MATERIALIZED (
		SELECT r.ordinal, r.agency_id, r.name, upper(btrim(r.state)) AS state, r.time_zone,
			coalesce(r.problem, CASE
				WHEN upper(btrim(r.state)) !~ '^[A-Z]{2}$' THEN 'state is not a two-letter code'
				WHEN r.time_zone IS NOT NULL AND kinderconnect._zone(r.time_zone) IS NULL THEN 'time zone is unknown' END) AS problem
		FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_agency) r
	), cleared AS (
		DELETE FROM kinderconnect.list_problem p
		WHERE p.organization_id = outcome.organization_id AND p.operation = 'agencies' AND p.customer_id = outcome.customer_id
			AND NOT EXISTS (SELECT FROM reply r WHERE r.ordinal = p.ordinal AND r.problem IS NOT NULL)
	), problems AS (
		INSERT INTO kinderconnect.list_problem AS p (organization_id, operation, customer_id, ordinal, problem)
		SELECT outcome.organization_id, 'agencies', outcome.customer_id, r.ordinal, r.problem FROM reply r WHERE r.problem IS NOT NULL
		ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part) DO UPDATE
		SET problem = excluded.problem
	), agencies AS (
		INSERT INTO kinderconnect.agency AS a (agency_id, name, state, time_zone)
		SELECT DISTINCT ON (r.agency_id) r.agency_id, r.name,
			CASE WHEN r.state ~ '^[A-Z]{2}$' THEN r.state END, kinderconnect._zone(r.time_zone)
		FROM reply r WHERE r.agency_id IS NOT NULL
		ORDER BY r.agency_id, r.ordinal
		ON CONFLICT (agency_id) DO UPDATE
		SET name = coalesce(excluded.name, a.name), state = coalesce(excluded.state, a.state), time_zone = coalesce(excluded.time_zone, a.time_zone)
		WHERE (a.name, a.state, a.time_zone) IS DISTINCT FROM
			(coalesce(excluded.name, a.name), coalesce(excluded.state, a.state), coalesce(excluded.time_zone, a.time_zone))
	), gone AS (
		UPDATE kinderconnect.organization_agency o SET listed = false, changed_at = now()
		WHERE o.organization_id = outcome.organization_id AND o.customer_id = outcome.customer_id AND o.listed
			AND NOT EXISTS (SELECT FROM reply r WHERE r.agency_id = o.agency_id)
	)
	INSERT INTO kinderconnect.organization_agency AS o (organization_id, customer_id, agency_id)
	SELECT DISTINCT outcome.organization_id, outcome.customer_id, r.agency_id FROM reply r WHERE r.agency_id IS NOT NULL
	ON CONFLICT (organization_id, customer_id, agency_id) DO UPDATE
	SET listed = true, changed_at = now() WHERE NOT o.listed;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_agencies(bigint, kinderconnect.call_outcome) IS 'takes in a customer''s list of agencies';

CREATE FUNCTION kinderconnect._take_locations(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT kinderconnect._take_list(run, outcome) THEN
		RETURN;
	END IF;
	WITH reply AS MATERIALIZED (
		SELECT * FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_location)
	), cleared AS (
		DELETE FROM kinderconnect.list_problem p
		WHERE p.organization_id = outcome.organization_id AND p.operation = 'locations' AND p.customer_id = outcome.customer_id
			AND NOT EXISTS (SELECT FROM reply r WHERE r.ordinal = p.ordinal AND r.problem IS NOT NULL)
	), problems AS (
		INSERT INTO kinderconnect.list_problem AS p (organization_id, operation, customer_id, ordinal, problem)
		SELECT outcome.organization_id, 'locations', outcome.customer_id, r.ordinal, r.problem FROM reply r WHERE r.problem IS NOT NULL
		ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part) DO UPDATE
		SET problem = excluded.problem
	), gone AS (
		UPDATE kinderconnect.listed_location l SET listed = false, changed_at = now()
		WHERE l.organization_id = outcome.organization_id AND l.customer_id = outcome.customer_id AND l.listed
			AND NOT EXISTS (SELECT FROM reply r WHERE (r.agency_id, r.provider_id) = (l.agency_id, l.provider_id))
	)
	INSERT INTO kinderconnect.listed_location AS l
		(organization_id, agency_id, provider_id, customer_id, name, line1, city, state, zip, status)
	SELECT DISTINCT ON (r.agency_id, r.provider_id) outcome.organization_id, r.agency_id, r.provider_id, outcome.customer_id,
		r.name, r.line1, r.city, r.state, r.zip, r.status
	FROM reply r WHERE r.agency_id IS NOT NULL AND r.provider_id IS NOT NULL
	ORDER BY r.agency_id, r.provider_id, r.ordinal
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET customer_id = excluded.customer_id, name = excluded.name, line1 = excluded.line1, city = excluded.city,
		state = excluded.state, zip = excluded.zip, status = excluded.status, listed = true, changed_at = now()
	WHERE (l.customer_id, l.name, l.line1, l.city, l.state, l.zip, l.status, l.listed) IS DISTINCT FROM
		(excluded.customer_id, excluded.name, excluded.line1, excluded.city, excluded.state, excluded.zip, excluded.status, true);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_locations(bigint, kinderconnect.call_outcome) IS 'takes in a customer''s list of locations';

-- The locations of Manage that could be a provider's, by stored id, else by
-- equal folded name where the ZIPs do not contradict.
CREATE FUNCTION kinderconnect._location_candidates(organization text)
	RETURNS TABLE (agency_id text, provider_id text, location_id text, by_id boolean)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF kinderconnect._is_bound('provider_id') THEN
		RETURN QUERY
		SELECT DISTINCT m.agency_id, m.provider_id, m.location_id, true
		FROM kinderconnect.manage_provider_id m
		WHERE m.organization_id = organization;
	END IF;
	RETURN QUERY
	SELECT l.agency_id, l.provider_id, m.location_id, false
	FROM kinderconnect.listed_location l
	JOIN kinderconnect.manage_location m ON m.organization_id = organization AND kinderconnect.fold(m.name) = kinderconnect.fold(l.name)
		AND (nullif(btrim(l.zip), '') IS NULL OR nullif(btrim(m.zip), '') IS NULL OR left(btrim(l.zip), 5) = left(btrim(m.zip), 5))
	WHERE l.organization_id = organization AND kinderconnect.fold(l.name) <> '';
END;
$$;
COMMENT ON FUNCTION kinderconnect._location_candidates(text) IS
'Manage locations that could be a provider''s, by stored id or by name and ZIP';

-- Adopts what the service lists, and finds the location of every provider
-- that has none: a stored id wins, and only a single candidate is taken.
CREATE FUNCTION kinderconnect._match_providers(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured)
	SELECT l.organization_id, l.agency_id, l.provider_id, false
	FROM kinderconnect.listed_location l
	JOIN kinderconnect.organization o ON o.organization_id = l.organization_id AND o.adopt_providers
	WHERE l.organization_id = organization AND l.listed
	ON CONFLICT DO NOTHING;

	WITH candidate AS (
		SELECT c.agency_id, c.provider_id, min(c.location_id) AS location_id
		FROM (SELECT c.*, bool_or(c.by_id) OVER (PARTITION BY c.agency_id, c.provider_id) AS id_known
			FROM kinderconnect._location_candidates(organization) c) c
		WHERE c.by_id = c.id_known
		GROUP BY c.agency_id, c.provider_id
		HAVING count(DISTINCT c.location_id) = 1
	)
	UPDATE kinderconnect.provider p SET found_location_id = f.location_id
	FROM (SELECT p.agency_id, p.provider_id, c.location_id
		FROM kinderconnect.provider p
		LEFT JOIN candidate c ON (c.agency_id, c.provider_id) = (p.agency_id, p.provider_id)
		WHERE p.organization_id = organization AND p.configured_location_id IS NULL) f
	WHERE p.organization_id = organization AND (p.agency_id, p.provider_id) = (f.agency_id, f.provider_id)
		AND p.found_location_id IS DISTINCT FROM f.location_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._match_providers(text) IS
'adopts the providers the service lists, and finds the Manage location of each that nobody configured';
-- Step 2 of the night: the children of each provider and their
-- authorizations, with history. A night in which nothing changed writes
-- nothing but the time of the list.

CREATE VIEW kinderconnect.provider_standing AS
SELECT p.organization_id, p.agency_id, p.provider_id, p.location_id, p.configured,
	coalesce(l.name, p.provider_id) AS name,
	CASE
		WHEN NOT o.enabled THEN 'organization_disabled'
		WHEN NOT p.enabled OR NOT p.configured AND NOT o.adopt_providers THEN 'provider_disabled'
		WHEN lower(btrim(l.status)) <> 'active' OR lower(btrim(c.status)) <> 'active' THEN 'provider_inactive'
		WHEN NOT p.configured AND NOT (l.listed AND c.listed IS NOT FALSE) THEN 'provider_inactive'
	END AS barred
FROM kinderconnect.provider p
JOIN kinderconnect.organization o ON o.organization_id = p.organization_id
LEFT JOIN kinderconnect.listed_location l ON (l.organization_id, l.agency_id, l.provider_id) = (p.organization_id, p.agency_id, p.provider_id)
LEFT JOIN kinderconnect.customer c ON (c.organization_id, c.customer_id) = (l.organization_id, l.customer_id);
COMMENT ON VIEW kinderconnect.provider_standing IS 'each provider, and why nothing is asked or sent for it';
COMMENT ON COLUMN kinderconnect.provider_standing.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_standing.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_standing.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_standing.location_id IS 'Manage''s location, or null';
COMMENT ON COLUMN kinderconnect.provider_standing.configured IS 'entered by add_provider(), not only listed by the service';
COMMENT ON COLUMN kinderconnect.provider_standing.name IS 'as the service lists it, else the provider ID';
COMMENT ON COLUMN kinderconnect.provider_standing.barred IS 'null: it takes part; else the reason';

CREATE TABLE kinderconnect.child (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	first_name             text,
	middle_name            text,
	last_name              text,
	suffix                 text,
	date_of_birth          date,
	subsidized             boolean NOT NULL,
	first_key              text GENERATED ALWAYS AS (kinderconnect._first_key(first_name)) STORED,
	middle_key             text GENERATED ALWAYS AS (kinderconnect._middle_key(first_name, middle_name)) STORED,
	last_key               text GENERATED ALWAYS AS (kinderconnect._last_key(last_name)) STORED,
	suffix_key             text GENERATED ALWAYS AS (kinderconnect._suffix_key(first_name, last_name, suffix)) STORED,
	unlinked_because       text,
	first_listed           timestamptz NOT NULL DEFAULT now(),
	changed_at             timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id)
);
COMMENT ON TABLE kinderconnect.child IS 'the children KinderConnect lists; an id belongs to an agency, so a child of two agencies is two rows';
COMMENT ON COLUMN kinderconnect.child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child.kinderconnect_child_id IS 'the child''s id at that agency';
COMMENT ON COLUMN kinderconnect.child.first_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.child.middle_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.child.last_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.child.suffix IS 'as listed';
COMMENT ON COLUMN kinderconnect.child.date_of_birth IS 'as listed';
COMMENT ON COLUMN kinderconnect.child.subsidized IS 'false: listed, never sent';
COMMENT ON COLUMN kinderconnect.child.first_key IS 'first word of the first name, folded';
COMMENT ON COLUMN kinderconnect.child.middle_key IS 'the other words of the first name, and the middle name, folded';
COMMENT ON COLUMN kinderconnect.child.last_key IS 'words of the last name without suffix, folded, in the order of the alphabet';
COMMENT ON COLUMN kinderconnect.child.suffix_key IS 'Jr, II, ..., wherever it was written, folded';
COMMENT ON COLUMN kinderconnect.child.unlinked_because IS 'why it has no link to a child of Manage: views.sql has the words; not_matched_yet: the next match looks. Null where it has one, and before the first match';
COMMENT ON COLUMN kinderconnect.child.first_listed IS 'when it was first listed';
COMMENT ON COLUMN kinderconnect.child.changed_at IS 'when the service last changed any of it';

CREATE INDEX child_by_name ON kinderconnect.child (organization_id, date_of_birth, last_key, first_key);
CREATE INDEX child_changed ON kinderconnect.child (organization_id, changed_at);
CREATE INDEX child_unlinked ON kinderconnect.child (organization_id, unlinked_because) WHERE unlinked_because IS NOT NULL;

CREATE TABLE kinderconnect.authorization (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	provider_id            text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	authorization_id       text NOT NULL,
	begin_date             date NOT NULL,
	end_date               date,
	units_of_care          text,
	days                   text[] CHECK (cardinality(days) > 0 AND days <@ ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU']),
	known_from             timestamptz NOT NULL DEFAULT now(),
	known_until            timestamptz NOT NULL DEFAULT 'infinity',
	closed_as              text CHECK (closed_as IN ('changed', 'vanished')),
	succeeded_at           timestamptz GENERATED ALWAYS AS (CASE closed_as WHEN 'changed' THEN known_until END) STORED,
	PRIMARY KEY (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, known_from),
	-- no gap: what changed has a row that says to what, from that moment on
	CONSTRAINT authorization_no_gap FOREIGN KEY
		(organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, succeeded_at)
		REFERENCES kinderconnect.authorization DEFERRABLE INITIALLY DEFERRED,
	CHECK (known_from < known_until),
	CHECK ((known_until = 'infinity') = (closed_as IS NULL)),
	-- No overlap. By 128 bits of the four texts, which is the smaller index; and
	-- by the texts themselves the gap's check would take it for its own.
	CONSTRAINT authorization_no_overlap EXCLUDE USING gist (
		hash_record_extended(ROW(agency_id, provider_id, kinderconnect_child_id, authorization_id), 0) WITH =,
		hash_record_extended(ROW(agency_id, provider_id, kinderconnect_child_id, authorization_id), 1) WITH =,
		organization_id WITH =, tstzrange(known_from, known_until) WITH &&)
);
COMMENT ON TABLE kinderconnect.authorization IS
'authorizations as history: each row is what the service said from known_from until known_until; what it says now has known_until infinity';
COMMENT ON COLUMN kinderconnect.authorization.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.authorization.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.authorization.provider_id IS 'the provider ID it is for';
COMMENT ON COLUMN kinderconnect.authorization.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.authorization.authorization_id IS 'the service''s id, or begin date and units where its dialect has none';
COMMENT ON COLUMN kinderconnect.authorization.begin_date IS 'first day of care, inclusive';
COMMENT ON COLUMN kinderconnect.authorization.end_date IS 'last day of care, inclusive; null: open';
COMMENT ON COLUMN kinderconnect.authorization.units_of_care IS 'units authorized, as listed; the unit is the agency''s';
COMMENT ON COLUMN kinderconnect.authorization.days IS 'weekdays of care, MO to SU; null: every day';
COMMENT ON COLUMN kinderconnect.authorization.known_from IS 'when the service was first seen to say so';
COMMENT ON COLUMN kinderconnect.authorization.known_until IS 'when it was first seen to say otherwise; infinity: it still does';
COMMENT ON COLUMN kinderconnect.authorization.closed_as IS 'changed: the next row says to what; vanished: it was no longer listed. Its days before that stay authorized';
COMMENT ON COLUMN kinderconnect.authorization.succeeded_at IS 'known_until, where it changed: the known_from of the next row';

CREATE TABLE kinderconnect.listed_authorization (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	provider_id            text NOT NULL,
	month                  date NOT NULL CHECK (month = date_trunc('month', month)),
	kinderconnect_child_id text NOT NULL,
	authorization_id       text NOT NULL,
	PRIMARY KEY (organization_id, agency_id, provider_id, month, kinderconnect_child_id, authorization_id)
);
COMMENT ON TABLE kinderconnect.listed_authorization IS 'which child and authorization the list of each provider and month in force holds';
COMMENT ON COLUMN kinderconnect.listed_authorization.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.listed_authorization.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.listed_authorization.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.listed_authorization.month IS 'first day of the month';
COMMENT ON COLUMN kinderconnect.listed_authorization.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.listed_authorization.authorization_id IS 'the authorization; empty for a child listed without one';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.authorization', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.listed_authorization', '');

-- The months that the horizon touches, seen from the first and the last zone
-- of the country: too many rather than too few.
CREATE FUNCTION kinderconnect._months(organization text, from_date date, to_date date) RETURNS SETOF date
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT g::date
	FROM kinderconnect.organization o,
		generate_series(
			date_trunc('month', greatest(
				(now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer,
				o.first_enabled - o.backfill_days, coalesce(from_date, '-infinity'))::timestamp),
			date_trunc('month', least((now() AT TIME ZONE 'America/New_York')::date, coalesce(to_date, 'infinity'))::timestamp),
			interval '1 month') g
	WHERE o.organization_id = organization;
END;
$$;
COMMENT ON FUNCTION kinderconnect._months(text, date, date) IS 'first days of the months an organization''s horizon touches';

-- An authorization that lacks its begin, ends before it, or has a day that is
-- none is listed as a problem and changes nothing.
CREATE FUNCTION kinderconnect._children_reply(ticket bigint)
	RETURNS TABLE (ordinal integer, part integer, kinderconnect_child_id text, first_name text, middle_name text, last_name text,
		suffix text, date_of_birth date, subsidized boolean, authorization_id text, begin_date date, end_date date,
		units_of_care text, days text[], trouble text, sound boolean)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 100
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.ordinal, (row_number() OVER (PARTITION BY r.ordinal))::integer, r.kinderconnect_child_id, r.first_name, r.middle_name,
		r.last_name, r.suffix, r.date_of_birth, coalesce(r.subsidized, true),
		CASE WHEN r.authorization_id IS NULL AND r.begin_date IS NULL THEN ''
			ELSE coalesce(r.authorization_id, to_char(r.begin_date, 'YYYY-MM-DD') || coalesce('/' || r.units_of_care, '')) END,
		r.begin_date, r.end_date, r.units_of_care, d.days,
		CASE WHEN r.problem IS NULL THEN t.trouble ELSE concat_ws('; ', r.problem, t.trouble) END,
		r.kinderconnect_child_id IS NOT NULL AND r.begin_date IS NOT NULL AND t.trouble IS NULL
	FROM kinderconnect._rows(_children_reply.ticket, NULL::kinderconnect.reply_child) r
	CROSS JOIN LATERAL (SELECT array_agg(DISTINCT upper(btrim(u))) AS days FROM unnest(r.days) u) d
	CROSS JOIN LATERAL (SELECT CASE
		WHEN r.end_date < r.begin_date THEN 'authorization ends before it begins'
		WHEN NOT d.days <@ ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'] THEN 'authorization has an unknown weekday'
		END AS trouble) t;
END;
$$;
COMMENT ON FUNCTION kinderconnect._children_reply(bigint) IS
'the rows of a children call as they are taken in: authorization_id filled in (empty: none), weekdays in upper case without repeats, trouble in words, sound where the authorization counts';

-- A list is small beside the tables, and they were empty when the first night
-- made the plans that its session keeps.
CREATE FUNCTION kinderconnect._take_children(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
DECLARE
	org      text := outcome.organization_id;
	agency   text := outcome.agency_id;
	provider text := outcome.provider_id;
	listed   date := date_trunc('month', outcome.month);
	taken_at timestamptz := clock_timestamp();
BEGIN
	IF NOT kinderconnect._take_list(run, outcome) THEN
		RETURN;
	END IF;
	PERFORM kinderconnect._know_sizes();

	-- Who is new at this site, or no longer there, is matched anew.
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	FROM (SELECT l.kinderconnect_child_id
		FROM (SELECT l.kinderconnect_child_id, true AS was
			FROM kinderconnect.listed_authorization l
			WHERE (l.organization_id, l.agency_id, l.provider_id, l.month) = (org, agency, provider, listed)
			UNION ALL
			SELECT r.kinderconnect_child_id, false FROM kinderconnect._children_reply(outcome.ticket) r) l
		GROUP BY l.kinderconnect_child_id
		HAVING bool_and(l.was) OR NOT bool_or(l.was)) l
	WHERE c.unlinked_because IS NOT NULL
		AND (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (org, agency, l.kinderconnect_child_id)
		AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization o
			WHERE (o.organization_id, o.agency_id, o.provider_id, o.kinderconnect_child_id) = (org, agency, provider, l.kinderconnect_child_id)
				AND o.month <> listed);

	WITH reply AS MATERIALIZED (
		SELECT * FROM kinderconnect._children_reply(outcome.ticket)
	), cleared AS (
		DELETE FROM kinderconnect.list_problem p
		WHERE (p.organization_id, p.operation, p.agency_id, p.provider_id, p.month) = (org, 'children', agency, provider, listed)
			AND NOT EXISTS (SELECT FROM reply r WHERE (r.ordinal, r.part) = (p.ordinal, p.part) AND r.trouble IS NOT NULL)
	), problems AS (
		INSERT INTO kinderconnect.list_problem AS p (organization_id, operation, agency_id, provider_id, month, ordinal, part, kinderconnect_child_id, problem)
		SELECT org, 'children', agency, provider, listed, r.ordinal, r.part, r.kinderconnect_child_id, r.trouble
		FROM reply r WHERE r.trouble IS NOT NULL
		ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part) DO UPDATE
		SET kinderconnect_child_id = excluded.kinderconnect_child_id, problem = excluded.problem
		WHERE (p.kinderconnect_child_id, p.problem) IS DISTINCT FROM (excluded.kinderconnect_child_id, excluded.problem)
	), children AS (
		INSERT INTO kinderconnect.child AS c
			(organization_id, agency_id, kinderconnect_child_id, first_name, middle_name, last_name, suffix, date_of_birth, subsidized)
		SELECT DISTINCT ON (r.kinderconnect_child_id) org, agency, r.kinderconnect_child_id,
			r.first_name, r.middle_name, r.last_name, r.suffix, r.date_of_birth, r.subsidized
		FROM reply r WHERE r.kinderconnect_child_id IS NOT NULL
		ORDER BY r.kinderconnect_child_id, r.ordinal
		ON CONFLICT (organization_id, agency_id, kinderconnect_child_id) DO UPDATE
		SET first_name = excluded.first_name, middle_name = excluded.middle_name, last_name = excluded.last_name,
			suffix = excluded.suffix, date_of_birth = excluded.date_of_birth, subsidized = excluded.subsidized, changed_at = now()
		WHERE (c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth, c.subsidized) IS DISTINCT FROM
			(excluded.first_name, excluded.middle_name, excluded.last_name, excluded.suffix, excluded.date_of_birth, excluded.subsidized)
	), listing AS (
		SELECT DISTINCT r.kinderconnect_child_id, r.authorization_id FROM reply r WHERE r.kinderconnect_child_id IS NOT NULL
	), unlisted AS (
		DELETE FROM kinderconnect.listed_authorization l
		WHERE (l.organization_id, l.agency_id, l.provider_id, l.month) = (org, agency, provider, listed)
			AND NOT EXISTS (SELECT FROM listing n WHERE (n.kinderconnect_child_id, n.authorization_id) = (l.kinderconnect_child_id, l.authorization_id))
	), newly_listed AS (
		INSERT INTO kinderconnect.listed_authorization (organization_id, agency_id, provider_id, month, kinderconnect_child_id, authorization_id)
		SELECT org, agency, provider, listed, n.kinderconnect_child_id, n.authorization_id FROM listing n
		ON CONFLICT DO NOTHING
	)
	UPDATE kinderconnect.authorization a SET known_until = taken_at, closed_as = 'changed'
	FROM (SELECT DISTINCT ON (r.kinderconnect_child_id, r.authorization_id) r.*
		FROM reply r WHERE r.sound ORDER BY r.kinderconnect_child_id, r.authorization_id, r.ordinal, r.part) s
	WHERE (a.organization_id, a.agency_id, a.provider_id) = (org, agency, provider) AND a.known_until = 'infinity'
		AND (a.kinderconnect_child_id, a.authorization_id) = (s.kinderconnect_child_id, s.authorization_id)
		AND (a.begin_date, a.end_date, a.units_of_care, a.days) IS DISTINCT FROM (s.begin_date, s.end_date, s.units_of_care, s.days);

	-- Apart from the update, so that the old row is closed before the new one
	-- is checked against it.
	INSERT INTO kinderconnect.authorization
		(organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, units_of_care, days, known_from)
	SELECT DISTINCT ON (r.kinderconnect_child_id, r.authorization_id)
		org, agency, provider, r.kinderconnect_child_id, r.authorization_id, r.begin_date, r.end_date, r.units_of_care, r.days, taken_at
	FROM kinderconnect._children_reply(outcome.ticket) r
	WHERE r.sound
		AND NOT EXISTS (SELECT FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id) = (org, agency, provider) AND a.known_until = 'infinity'
				AND (a.kinderconnect_child_id, a.authorization_id) = (r.kinderconnect_child_id, r.authorization_id))
	ORDER BY r.kinderconnect_child_id, r.authorization_id, r.ordinal, r.part;

	-- now, where it is this provider's error, and not when the run commits
	SET CONSTRAINTS kinderconnect.authorization_no_gap IMMEDIATE;
	SET CONSTRAINTS kinderconnect.authorization_no_gap DEFERRED;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_children(bigint, kinderconnect.call_outcome) IS
'takes in a provider''s children of one month';

-- Only a provider whose every month was taken in this run can say that
-- something is no longer there.
CREATE FUNCTION kinderconnect._close_vanished(run bigint, organization text, from_date date, to_date date) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	closed bigint;
BEGIN
	WITH month AS (
		SELECT m FROM kinderconnect._months(organization, from_date, to_date) m
	), whole AS (
		SELECT l.agency_id, l.provider_id
		FROM kinderconnect.list_state l
		JOIN kinderconnect.run r ON r.run_id = run
		JOIN month ON month.m = l.month
		WHERE l.organization_id = organization AND l.operation = 'children' AND l.taken_at >= r.started_at
		GROUP BY l.agency_id, l.provider_id
		HAVING count(*) = (SELECT count(*) FROM month)
	)
	UPDATE kinderconnect.authorization a SET known_until = clock_timestamp(), closed_as = 'vanished'
	FROM whole w
	WHERE a.organization_id = organization AND a.known_until = 'infinity'
		AND (a.agency_id, a.provider_id) = (w.agency_id, w.provider_id)
		AND EXISTS (SELECT FROM month
			WHERE a.begin_date < (month.m + interval '1 month')::date AND (a.end_date >= month.m) IS NOT FALSE)
		AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN month ON month.m = l.month
			WHERE (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.authorization_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id));
	GET DIAGNOSTICS closed = ROW_COUNT;
	RETURN closed;
END;
$$;
COMMENT ON FUNCTION kinderconnect._close_vanished(bigint, text, date, date) IS
'ends the authorizations that are no longer listed in any month they should touch';
-- Short and pet names of first names, as families in the United States use
-- them. A pair says that two names may be one child's; it never makes a link,
-- it only lets a candidate be seen.

CREATE TABLE kinderconnect.nickname (
	name     text NOT NULL CHECK (name <> '' AND name = kinderconnect.fold(name)),
	nickname text NOT NULL CHECK (nickname <> '' AND nickname = kinderconnect.fold(nickname)),
	builtin  boolean NOT NULL DEFAULT false,
	PRIMARY KEY (name, nickname),
	CHECK (name <> nickname)
);
COMMENT ON TABLE kinderconnect.nickname IS
'names and their short forms, used both ways; add pairs of your own, folded: INSERT INTO kinderconnect.nickname VALUES (kinderconnect.fold(''María''), ''mari'')';
COMMENT ON COLUMN kinderconnect.nickname.name IS 'the full name, folded';
COMMENT ON COLUMN kinderconnect.nickname.nickname IS 'what a child of that name is called, folded';
COMMENT ON COLUMN kinderconnect.nickname.builtin IS 'shipped with the extension; false: added here, kept by pg_dump';

INSERT INTO kinderconnect.nickname (name, nickname, builtin)
SELECT n.name, w.nickname, true
FROM (VALUES
	-- girls
	('abigail', 'abby abbie abbey abi gail'),
	('addison', 'addie addy'),
	('adelaide', 'addie addy heidi della laidey'),
	('adeline', 'addie addy della'),
	('adriana', 'adri ana'),
	('agnes', 'aggie nessie'),
	('aileen', 'allie lena'),
	('alana', 'lana allie'),
	('alexandra', 'alex alexa allie lexi lexie sandra sandy sasha andra xandra lexa'),
	('alexandria', 'alex alexa allie lexi lexie dria'),
	('alexis', 'alex lexi lexie lex'),
	('alice', 'allie ali'),
	('alicia', 'ali allie lisa licia'),
	('alison', 'ali allie'),
	('allison', 'ali allie'),
	('alyssa', 'aly lyssa ally'),
	('amanda', 'mandy manda mandi amy'),
	('amelia', 'amy millie mia mila amie melia lia'),
	('anastasia', 'ana anna stacy stacey tasia stasia'),
	('andrea', 'andi andie dre drea andy'),
	('angela', 'angie ang angel'),
	('angelica', 'angie angel'),
	('angelina', 'angie lina angel'),
	('anna', 'annie ann ana nan'),
	('annabelle', 'anna annie belle bella ann'),
	('antoinette', 'toni nettie tonie'),
	('antonia', 'toni tonya'),
	('arabella', 'bella belle ara'),
	('ariana', 'ari aria'),
	('ashley', 'ash lee'),
	('aubrey', 'bree'),
	('audrey', 'audie audi dree'),
	('aurora', 'rory rora'),
	('barbara', 'barb barbie babs bobbie'),
	('beatrice', 'bea bee trixie trix'),
	('bernadette', 'bernie detta'),
	('bethany', 'beth bethie'),
	('beverly', 'bev'),
	('bridget', 'bridie biddy bridgie'),
	('brianna', 'bri bree brie anna'),
	('brittany', 'britt brit brittie'),
	('brooklyn', 'brook brooke'),
	('calliope', 'callie poppy'),
	('camila', 'cami mila cammie'),
	('camille', 'cami cammie millie'),
	('candace', 'candy candi'),
	('carla', 'carly'),
	('caroline', 'carrie caro carol callie lina carly'),
	('carolyn', 'carrie carol lyn'),
	('cassandra', 'cassie cass sandra sandy'),
	('catalina', 'cata lina cat'),
	('catherine', 'cathy cat kate katie cate kathy kit kitty cassie cath rina'),
	('cecilia', 'cece celia cissy ceci sissy'),
	('celeste', 'cece'),
	('charlotte', 'charlie lottie char lotta charley carly tottie'),
	('chelsea', 'chels'),
	('cheyenne', 'chey shy'),
	('chloe', 'clo coco'),
	('christina', 'chris chrissy christy tina chrissie crissy'),
	('christine', 'chris chrissy christy tina'),
	('claire', 'clairey'),
	('clara', 'clare clary'),
	('clementine', 'clemmie clem'),
	('colleen', 'coll lena'),
	('constance', 'connie'),
	('cordelia', 'cora delia cordy'),
	('courtney', 'court courty'),
	('crystal', 'crys chrissy'),
	('cynthia', 'cindy cyndi cyn'),
	('daisy', 'dais'),
	('danielle', 'dani danni ellie elle'),
	('deborah', 'deb debbie debby debi'),
	('delilah', 'lila lilah dell'),
	('destiny', 'desi dess tiny'),
	('diana', 'di didi'),
	('dolores', 'lola dee'),
	('dominique', 'nikki dom mimi'),
	('dorothy', 'dot dottie dolly dory dee'),
	('eleanor', 'ellie nora ella nell nellie elle lenny'),
	('elena', 'ellie lena nena'),
	('eliana', 'ellie ana lia'),
	('elizabeth', 'liz beth lizzie betty betsy eliza ellie libby lisa liza bess bessie bette elsie lizzy elle ella birdie lilibet buffy'),
	('ella', 'ellie elle'),
	('emily', 'em emmy emmie millie emme'),
	('emma', 'em emmy emmie'),
	('emmaline', 'emma emmy emmie'),
	('erica', 'ricki rikki'),
	('erin', 'rin'),
	('esmeralda', 'esme essie alda'),
	('esther', 'essie hettie ettie'),
	('eugenia', 'genie gena'),
	('evangeline', 'eva evie angie vangie eve'),
	('evelyn', 'eve evie lyn eva evy'),
	('faith', 'fay faye'),
	('felicity', 'fee lissie liss fliss'),
	('florence', 'flo flora flossie florrie'),
	('frances', 'fran frannie frankie francie fanny'),
	('francesca', 'fran frannie frankie chessie cesca'),
	('gabriella', 'gabby gabi ella bella brie gaby'),
	('gabrielle', 'gabby gabi elle brie gaby'),
	('genesis', 'gen genny'),
	('genevieve', 'gen genny jenny evie vivi viv eve gigi'),
	('georgia', 'georgie gia'),
	('georgina', 'georgie gina georgia'),
	('geraldine', 'gerry geri'),
	('gianna', 'gia gigi'),
	('gloria', 'glory'),
	('grace', 'gracie'),
	('gwendolyn', 'gwen wendy gwennie'),
	('hadley', 'haddie'),
	('hannah', 'hanna annie hanny'),
	('harmony', 'harm harmie'),
	('harriet', 'hattie harri hettie'),
	('hayley', 'hales'),
	('heather', 'heath'),
	('helen', 'nell nellie lena'),
	('henrietta', 'etta hettie henri hattie'),
	('hope', 'hopie'),
	('imogen', 'immy gen'),
	('irene', 'renie rena'),
	('isabel', 'izzy bella belle isa ibby issy'),
	('isabella', 'bella izzy belle isa ella izzie issy'),
	('isabelle', 'izzy belle bella isa'),
	('isadora', 'izzy dora issy'),
	('ivy', 'ives'),
	('jacqueline', 'jackie jacqui jacky lina'),
	('jane', 'janie jenny'),
	('janet', 'jan'),
	('janice', 'jan'),
	('jasmine', 'jaz jazzy jas mina jazz'),
	('jean', 'jeannie'),
	('jeanette', 'jean nettie jeannie'),
	('jennifer', 'jen jenny jenn jenna'),
	('jessica', 'jess jessie jessi'),
	('jillian', 'jill jilly'),
	('joanna', 'jo joanie anna joey'),
	('jocelyn', 'joss lyn josie'),
	('jordan', 'jordy jo'),
	('josephine', 'jo josie joey posy fifi josy'),
	('joyce', 'joy'),
	('judith', 'judy jude judi'),
	('julia', 'jules julie'),
	('juliana', 'jules julie ana jule'),
	('juliet', 'jules julie'),
	('june', 'junie'),
	('kaitlyn', 'kate katie kait kat'),
	('kamryn', 'kam kammie'),
	('katarina', 'kat kate rina katie'),
	('kate', 'katie'),
	('katelyn', 'kate katie kat'),
	('katherine', 'kate katie kathy kit kitty kat kathie katy kay kath kitsy'),
	('kathleen', 'kathy kate katie kay kath'),
	('kathryn', 'kate katie kathy kat kay katy'),
	('kayla', 'kay kaykay'),
	('kaylee', 'kay'),
	('kendall', 'ken kenny'),
	('kennedy', 'ken kenny'),
	('kimberly', 'kim kimmy kimmie kimber'),
	('kinsley', 'kins'),
	('kristen', 'kris kristy krissy'),
	('kristina', 'kris kristy tina krissy'),
	('kristine', 'kris kristy krissy'),
	('laura', 'laurie lori'),
	('lauren', 'laurie ren'),
	('leah', 'lee'),
	('leilani', 'lani lei leila'),
	('leticia', 'letty tish lettie'),
	('lillian', 'lily lil lilly lillie'),
	('linda', 'lindy lin'),
	('lindsay', 'lin linds'),
	('louise', 'lou lulu'),
	('lucille', 'lucy lu lucie'),
	('lucinda', 'lucy cindy'),
	('lucy', 'lu lulu'),
	('lydia', 'lyddie liddy'),
	('mackenzie', 'kenzie mac mack kenz'),
	('madeline', 'maddie maddy mady lina'),
	('madeleine', 'maddie maddy mady lena'),
	('madelyn', 'maddie maddy lyn'),
	('madison', 'maddie maddy mady'),
	('magdalena', 'maggie lena magda'),
	('makayla', 'kayla mak kay'),
	('marcella', 'marcy ella marcie'),
	('margaret', 'maggie meg peggy marge margie greta rita megan peg daisy margo madge maisie meggie mamie may'),
	('maria', 'mia ria mari mary'),
	('mariah', 'riah mari'),
	('marianne', 'mari anne mary annie'),
	('marissa', 'mari rissa missy'),
	('marjorie', 'marge margie jorie midge'),
	('martha', 'marty mattie patsy'),
	('mary', 'molly polly mamie may mae'),
	('matilda', 'tilly mattie tilda tillie maddie'),
	('maureen', 'mo reenie'),
	('mckenna', 'kenna mac'),
	('mckenzie', 'kenzie mac kenz'),
	('megan', 'meg meggie'),
	('melanie', 'mel lanie melly'),
	('melinda', 'mindy mel lindy'),
	('melissa', 'missy mel lissa millie'),
	('mercedes', 'mercy sadie'),
	('meredith', 'mer merry edie'),
	('michaela', 'mickey kayla micki mia'),
	('michelle', 'shelly chelle mickey shell'),
	('mildred', 'millie milly'),
	('miranda', 'randi mandy mira'),
	('miriam', 'mimi mim miri'),
	('monica', 'mona nica monnie'),
	('morgan', 'mo morgie'),
	('nadia', 'nadi'),
	('nancy', 'nan nance'),
	('naomi', 'nomi omi'),
	('natalia', 'nat talia nattie'),
	('natalie', 'nat nattie talie'),
	('natasha', 'tasha nat'),
	('nevaeh', 'nev'),
	('nicole', 'nikki nicky nic coley nicki'),
	('olivia', 'liv livvy livi ollie via livie'),
	('ophelia', 'phelia lia'),
	('pamela', 'pam pammy'),
	('patience', 'pat patty'),
	('patricia', 'pat patty trish tricia patti patsy'),
	('paula', 'polly'),
	('penelope', 'penny nell poppy nellie pen'),
	('philippa', 'pippa pip'),
	('phoebe', 'bee phebes'),
	('priscilla', 'cilla prissy pris'),
	('prudence', 'pru prue'),
	('rachel', 'rach rae shelly'),
	('raelynn', 'rae lynn'),
	('rebecca', 'becky becca bec beck reba'),
	('regina', 'gina reggie'),
	('roberta', 'bobbie robbie bertie'),
	('rosalie', 'rose rosie'),
	('rosalind', 'roz rose lindy'),
	('rose', 'rosie'),
	('rosemary', 'rose rosie romy'),
	('ruth', 'ruthie'),
	('sabrina', 'brina bri'),
	('samantha', 'sam sammy sammie mantha'),
	('sandra', 'sandy sandi'),
	('sarah', 'sally sadie'),
	('savannah', 'savvy vanna sav anna'),
	('scarlett', 'scar lettie letty'),
	('selena', 'lena sel'),
	('serenity', 'ren serena'),
	('shannon', 'shan'),
	('sharon', 'shari sherry'),
	('shelby', 'shel'),
	('shirley', 'shirl'),
	('sierra', 'cece'),
	('sienna', 'si enna'),
	('skylar', 'sky skye'),
	('sophia', 'sophie soph fia sofie'),
	('stella', 'stell ella'),
	('stephanie', 'steph stephie stevie annie'),
	('summer', 'sum summie'),
	('susan', 'sue suzy susie suzie'),
	('susanna', 'sue anna susie zanna'),
	('suzanne', 'sue suzy susie'),
	('sydney', 'syd sid'),
	('sylvia', 'syl sylvie'),
	('tabitha', 'tabby'),
	('tamara', 'tammy tam mara'),
	('tatiana', 'tati tanya tiana'),
	('taylor', 'tay'),
	('teresa', 'terry tess tessa tracy reese teri'),
	('theodora', 'dora teddy thea theo dory'),
	('theresa', 'terry tess tessa tessie reese resa'),
	('tiffany', 'tiff tiffy'),
	('trinity', 'trin trina'),
	('valentina', 'val tina vale'),
	('valerie', 'val vallie'),
	('vanessa', 'nessa van ness'),
	('veronica', 'ronnie vera roni nica'),
	('victoria', 'vicky tori vicki vic tory toria'),
	('violet', 'vi lettie'),
	('virginia', 'ginny ginger gina'),
	('vivian', 'viv vivi'),
	('wendy', 'wen'),
	('wilhelmina', 'billie mina willa minnie willie'),
	('winifred', 'winnie freddie win'),
	('yolanda', 'yoli landa'),
	('zoe', 'zo zozo'),
	-- boys
	('aaron', 'ron ronnie erin'),
	('abraham', 'abe bram'),
	('adam', 'addy'),
	('adrian', 'ade'),
	('albert', 'al bert bertie'),
	('alexander', 'alex al xander sandy lex sasha zander alec'),
	('alfred', 'al fred alfie freddie'),
	('alvin', 'al vinny'),
	('andrew', 'andy drew'),
	('anthony', 'tony ant'),
	('archibald', 'archie'),
	('arnold', 'arnie'),
	('arthur', 'art artie'),
	('augustus', 'gus augie'),
	('august', 'gus augie'),
	('austin', 'aus'),
	('barnabas', 'barney'),
	('bartholomew', 'bart'),
	('benedict', 'ben benny'),
	('benjamin', 'ben benny benji benjie'),
	('bernard', 'bernie'),
	('bradley', 'brad'),
	('brandon', 'bran brand'),
	('brendan', 'bren'),
	('bryson', 'bry'),
	('caleb', 'cal cale'),
	('calvin', 'cal vinny'),
	('cameron', 'cam cammy'),
	('carter', 'cart'),
	('charles', 'charlie chuck chas chip charley chaz chuckie'),
	('chester', 'chet'),
	('christian', 'chris'),
	('christopher', 'chris topher kit christy kip'),
	('clarence', 'clare'),
	('clayton', 'clay'),
	('clifford', 'cliff'),
	('clinton', 'clint'),
	('colton', 'colt'),
	('cornelius', 'neil corny con'),
	('curtis', 'curt'),
	('cyrus', 'cy'),
	('dalton', 'dal'),
	('damian', 'dame'),
	('daniel', 'dan danny'),
	('david', 'dave davey davy'),
	('dennis', 'denny den'),
	('derek', 'rick'),
	('desmond', 'des dez'),
	('dominic', 'dom nick nico'),
	('donald', 'don donnie'),
	('donovan', 'don van'),
	('douglas', 'doug dougie'),
	('dustin', 'dusty'),
	('edgar', 'ed eddie'),
	('edmund', 'ed eddie ned'),
	('edward', 'ed eddie ted teddy ned eddy'),
	('edwin', 'ed eddie win'),
	('elias', 'eli'),
	('elijah', 'eli lijah'),
	('elliott', 'eli'),
	('emmanuel', 'manny manu'),
	('ernest', 'ernie'),
	('eugene', 'gene'),
	('evan', 'ev'),
	('everett', 'ev rett'),
	('ezekiel', 'zeke'),
	('ezra', 'ez'),
	('ferdinand', 'ferdie nando'),
	('finley', 'finn fin'),
	('finnegan', 'finn'),
	('francis', 'frank frankie'),
	('franklin', 'frank frankie'),
	('frederick', 'fred freddie rick freddy fritz'),
	('gabriel', 'gabe gab'),
	('garrett', 'gary garry'),
	('gavin', 'gav'),
	('geoffrey', 'geoff jeff'),
	('george', 'georgie'),
	('gerald', 'jerry gerry'),
	('gilbert', 'gil bert'),
	('grayson', 'gray'),
	('gregory', 'greg gregg'),
	('harold', 'hal harry'),
	('harrison', 'harry'),
	('harvey', 'harv'),
	('henry', 'hank harry hal'),
	('herbert', 'herb bert'),
	('howard', 'howie'),
	('hudson', 'hud'),
	('hunter', 'hunt'),
	('ignatius', 'iggy nate'),
	('irving', 'irv'),
	('isaac', 'ike zac'),
	('isaiah', 'zay ike'),
	('israel', 'izzy'),
	('jackson', 'jack jax'),
	('jacob', 'jake jay coby'),
	('james', 'jim jimmy jamie jem jimmie'),
	('jameson', 'jamie'),
	('jason', 'jay jase'),
	('jayden', 'jay'),
	('jedidiah', 'jed'),
	('jefferson', 'jeff'),
	('jeffrey', 'jeff'),
	('jeremiah', 'jerry jeremy jem miah'),
	('jeremy', 'jerry jem'),
	('jerome', 'jerry rome'),
	('john', 'johnny jack jackie johnnie'),
	('johnathan', 'john johnny jon nathan'),
	('jonah', 'jo'),
	('jonathan', 'jon jonny johnny nathan nate'),
	('joseph', 'joe joey jo'),
	('joshua', 'josh'),
	('josiah', 'joe jo siah'),
	('judah', 'jude'),
	('julian', 'jules'),
	('justin', 'jus'),
	('kenneth', 'ken kenny'),
	('kevin', 'kev'),
	('lachlan', 'lachie'),
	('lawrence', 'larry lars laurie law'),
	('leo', 'lee'),
	('leonard', 'leo len lenny leon'),
	('leonardo', 'leo nardo'),
	('leroy', 'lee roy'),
	('leslie', 'les'),
	('lewis', 'lew lou'),
	('lincoln', 'linc'),
	('lionel', 'leo'),
	('logan', 'logie'),
	('louis', 'lou louie'),
	('lucas', 'luke luc'),
	('malachi', 'mal kai'),
	('malcolm', 'mal'),
	('marcus', 'marc mark'),
	('marshall', 'marsh'),
	('martin', 'marty'),
	('marvin', 'marv'),
	('mason', 'mase'),
	('matthew', 'matt matty mattie'),
	('maverick', 'mav rick'),
	('maximilian', 'max milian'),
	('maximus', 'max'),
	('maxwell', 'max'),
	('melvin', 'mel'),
	('michael', 'mike mikey mick mickey micky'),
	('miles', 'milo'),
	('mitchell', 'mitch'),
	('montgomery', 'monty'),
	('mordechai', 'motti mordy'),
	('morris', 'mo morrie'),
	('moses', 'moe moshe'),
	('nathan', 'nate nat'),
	('nathaniel', 'nate nat nathan natty thaniel'),
	('nehemiah', 'nemo miah'),
	('nelson', 'nels'),
	('nicholas', 'nick nicky nico cole klaus nik'),
	('nolan', 'nole'),
	('norman', 'norm'),
	('oliver', 'ollie olly'),
	('orlando', 'lando'),
	('oscar', 'ozzie oz'),
	('oswald', 'oz ozzie'),
	('patrick', 'pat paddy rick patty'),
	('percival', 'percy'),
	('peter', 'pete petey'),
	('philip', 'phil pip'),
	('phillip', 'phil pip'),
	('preston', 'pres'),
	('quentin', 'quin'),
	('ralph', 'ralphie'),
	('randall', 'randy rand'),
	('raymond', 'ray'),
	('reginald', 'reggie reg'),
	('reuben', 'rube ben'),
	('richard', 'rick dick rich richie ricky dickie'),
	('robert', 'rob bob bobby robbie bert bobbie'),
	('roderick', 'rod rick roddy'),
	('rodney', 'rod'),
	('roger', 'rog rodge'),
	('roland', 'rollie'),
	('ronald', 'ron ronnie'),
	('rudolph', 'rudy'),
	('russell', 'russ rusty'),
	('ryder', 'ry'),
	('samuel', 'sam sammy'),
	('santino', 'sonny'),
	('saul', 'solly'),
	('sebastian', 'seb bas bash sebby'),
	('seymour', 'sy'),
	('shawn', 'shawnie'),
	('sheldon', 'shelly shel'),
	('silas', 'si'),
	('simon', 'si'),
	('solomon', 'sol solly'),
	('spencer', 'spence'),
	('stanley', 'stan'),
	('stephen', 'steve stevie'),
	('steven', 'steve stevie'),
	('stuart', 'stu stew'),
	('sylvester', 'sly'),
	('terence', 'terry'),
	('thaddeus', 'thad tad teddy'),
	('theodore', 'ted teddy theo'),
	('thomas', 'tom tommy thom'),
	('timothy', 'tim timmy'),
	('tobias', 'toby'),
	('travis', 'trav'),
	('trenton', 'trent'),
	('tristan', 'tris'),
	('tyler', 'ty'),
	('tyrone', 'ty'),
	('tyson', 'ty'),
	('valentine', 'val'),
	('vernon', 'vern'),
	('victor', 'vic'),
	('vincent', 'vince vinny vin vinnie'),
	('wallace', 'wally'),
	('walter', 'walt wally'),
	('warren', 'ren'),
	('wesley', 'wes'),
	('weston', 'wes'),
	('wilbur', 'will'),
	('willard', 'will'),
	('william', 'bill will billy willie liam willy wills billie'),
	('winston', 'win winnie'),
	('wyatt', 'wy'),
	('xavier', 'xavi zave'),
	('zachary', 'zach zack zac zak'),
	('zechariah', 'zach zeke'),
	-- Spanish
	('adrian', 'adri'),
	('agustin', 'agus tin tincho'),
	('alberto', 'beto tito berto'),
	('alejandra', 'ale jandra alex sandra'),
	('alejandro', 'ale alex jandro jano sandro'),
	('alfonso', 'poncho fon foncho alf'),
	('alfredo', 'fredo fredy feyo'),
	('ana', 'anita anabel'),
	('anabel', 'belita'),
	('andres', 'andy'),
	('antonio', 'tony tono toni antony'),
	('armando', 'mando'),
	('arturo', 'turo tury'),
	('beatriz', 'bea betty ticha'),
	('bernardo', 'berna nardo'),
	('carlos', 'charlie carlitos carlito'),
	('carmen', 'carmelita carmencita mela'),
	('carolina', 'caro caroline lina'),
	('claudia', 'clau'),
	('concepcion', 'concha conchita connie'),
	('consuelo', 'chelo connie'),
	('cristina', 'cris tina cristy'),
	('cristobal', 'cris toby'),
	('daniela', 'dani nela'),
	('diego', 'dieguito'),
	('dulce', 'dulcita'),
	('eduardo', 'lalo edu eddie wayo'),
	('enrique', 'quique kike henry'),
	('ernesto', 'neto ernie'),
	('esperanza', 'espe'),
	('esteban', 'teban steve'),
	('felipe', 'pipe lipe'),
	('fernanda', 'fer nanda'),
	('fernando', 'fer nando ferny'),
	('francisca', 'paca pancha paquita'),
	('francisco', 'paco pancho frank cisco kiko paquito frankie quico'),
	('gerardo', 'gera lalo jerry'),
	('gilberto', 'beto gil'),
	('gonzalo', 'gonza chalo'),
	('graciela', 'chela grace'),
	('gregorio', 'goyo greg'),
	('guadalupe', 'lupe lupita pita'),
	('guillermo', 'memo willy guille will'),
	('gustavo', 'tavo gus'),
	('hector', 'tito'),
	('humberto', 'beto berto'),
	('ignacio', 'nacho nacio'),
	('isidro', 'chilo'),
	('ismael', 'mayo isma'),
	('jaime', 'jimmy jaimito'),
	('javier', 'javi'),
	('jesus', 'chuy chucho chus'),
	('joaquin', 'quin joaco'),
	('jorge', 'george coco jorgito'),
	('jose', 'pepe joe chepe pepito joseito cheo'),
	('josefina', 'pepa fina josie chepina'),
	('juan', 'juanito johnny john juancho'),
	('juana', 'juanita'),
	('julio', 'julito'),
	('leonor', 'leo nora'),
	('lourdes', 'lulu lula'),
	('lucia', 'lucy luci chia'),
	('luis', 'lucho luisito louie lou'),
	('luisa', 'lulu lucha'),
	('manuel', 'manny manolo manu lolo'),
	('manuela', 'manu nela'),
	('marcela', 'marce chela'),
	('marco', 'marcos'),
	('margarita', 'mago rita maggie margo'),
	('mariana', 'mari nana'),
	('mario', 'mayito'),
	('maria guadalupe', 'lupita lupe'),
	('maria jose', 'majo marijo'),
	('maria fernanda', 'mafer mafe'),
	('mateo', 'teo matt'),
	('mauricio', 'mau mauri'),
	('mercedes', 'meche merche'),
	('miguel', 'mike migue miguelito mickey'),
	('nicolas', 'nico nick'),
	('octavio', 'tavo'),
	('pablo', 'pablito paul'),
	('patricio', 'pato pat'),
	('pedro', 'pete perico pedrito'),
	('pilar', 'pili'),
	('rafael', 'rafa ralph rafi'),
	('ramon', 'moncho ray mon'),
	('raul', 'rulo'),
	('refugio', 'cuco cuca'),
	('ricardo', 'rick ricky richard ric cardo'),
	('roberto', 'beto rob bobby robert tito'),
	('rocio', 'chio'),
	('rodolfo', 'rudy fito rodo'),
	('rodrigo', 'rodri rigo'),
	('rogelio', 'roge roger'),
	('rosario', 'chayo charo rosie'),
	('salvador', 'chava sal salva'),
	('santiago', 'santi chago diego'),
	('sergio', 'checo serge'),
	('silvia', 'silvi'),
	('sofia', 'sofi chofi sophie'),
	('socorro', 'coco'),
	('soledad', 'sole chole'),
	('susana', 'susi susy'),
	('teodoro', 'teo doro'),
	('tomas', 'tommy tom'),
	('valeria', 'vale val'),
	('veronica', 'vero'),
	('vicente', 'chente vince'),
	('victoria', 'vico'),
	('ximena', 'xime mena'),
	('yesenia', 'yesi jessie'),
	('yolanda', 'yola'),
	-- Slavic
	('aleksandr', 'sasha alex sanya'),
	('aleksandra', 'sasha ola alex'),
	('anastasiya', 'nastya stasia'),
	('dmitri', 'dima mitya'),
	('ekaterina', 'katya kate'),
	('ivan', 'vanya'),
	('katarzyna', 'kasia kate'),
	('ludmila', 'luda mila'),
	('maksim', 'max'),
	('malgorzata', 'gosia'),
	('mikhail', 'misha mike'),
	('natalya', 'natasha nata'),
	('nikolai', 'kolya nick'),
	('oksana', 'ksenia ksyusha'),
	('pavel', 'pasha'),
	('sergei', 'seryozha serge'),
	('svetlana', 'sveta lana'),
	('tatyana', 'tanya'),
	('vladimir', 'vlad vova'),
	('yelena', 'lena'),
	('yevgeny', 'zhenya gene'),
	('yuliya', 'yulia julia'),
	-- Hebrew, Arabic, South Asian and African names
	('abdullah', 'abdul'),
	('abdulrahman', 'abdul rahman abdu'),
	('ahmad', 'ahmed'),
	('aisha', 'ayesha isha'),
	('avraham', 'avi abe'),
	('ayodele', 'ayo dele'),
	('binyamin', 'benny ben'),
	('chaya', 'chayale'),
	('fatima', 'fatma fati tima fatou'),
	('hussein', 'hussain'),
	('ibrahim', 'ibra abe ibby'),
	('ifeoluwa', 'ife'),
	('jamal', 'jam'),
	('khadija', 'dija khadi'),
	('mohammad', 'mo mohamed muhammad moe'),
	('mohammed', 'mo moe mohamed muhammad mohammad'),
	('muhammad', 'mo moe'),
	('menachem', 'mendel mendy'),
	('mustafa', 'mus'),
	('oluwaseun', 'seun'),
	('oluwatobi', 'tobi'),
	('rivka', 'rivky becky'),
	('shmuel', 'shmuly sam'),
	('siddharth', 'sid siddhu'),
	('temitope', 'temi tope'),
	('yaakov', 'yanky jake'),
	('yehuda', 'yudi'),
	('yitzchak', 'itzik yitzy isaac'),
	('yosef', 'yossi joey'),
	('zainab', 'zee zaynab'),
	-- French, Italian, German, Portuguese
	('dominique', 'domi'),
	('genevieve', 'ginette'),
	('giovanni', 'gio gianni vanni'),
	('giuseppe', 'beppe joe peppe'),
	('guillaume', 'will gui'),
	('johann', 'hans'),
	('johannes', 'hans'),
	('margarethe', 'greta gretel'),
	('matthias', 'matt'),
	('salvatore', 'sal turi'),
	('vincenzo', 'enzo vince'),
	('lorenzo', 'enzo renzo'),
	-- Hawaiian
	('makoa', 'koa'),
	('nalani', 'lani')) n (name, nicknames)
CROSS JOIN LATERAL (SELECT DISTINCT w FROM unnest(string_to_array(n.nicknames, ' ')) w) w (nickname);

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.nickname', 'WHERE NOT builtin');

-- Bill and Will are one name: they share William.
CREATE VIEW kinderconnect.same_name AS
SELECT n.name AS one, n.nickname AS other FROM kinderconnect.nickname n
UNION
SELECT n.nickname, n.name FROM kinderconnect.nickname n
UNION
SELECT a.nickname, b.nickname FROM kinderconnect.nickname a
JOIN kinderconnect.nickname b ON b.name = a.name AND b.nickname <> a.nickname;
COMMENT ON VIEW kinderconnect.same_name IS
'pairs of different first names that may be one child''s, each both ways: a name and its nickname, or two nicknames of one name';
COMMENT ON COLUMN kinderconnect.same_name.one IS 'first name, folded';
COMMENT ON COLUMN kinderconnect.same_name.other IS 'first name, folded';
-- Manage's children as the last match read them, with the keys that names are
-- matched by. Manage tells nobody what changed: it is read once a night, and
-- what differs from here is what changed. The keys of a name are made once.
--
-- On the first night no table here has statistics, and whole sets are joined:
-- so here, in review.sql and in match.sql the planner is kept from the one
-- plan that is quadratic, and from JIT, as in plan.sql.

-- Rows of one child are told apart by this: a row that is as it was has the
-- row it had.
CREATE FUNCTION kinderconnect._digest(first_name text, middle_name text, last_name text, suffix text, date_of_birth date, active boolean) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN hash_record_extended(ROW(first_name, middle_name, last_name, suffix, date_of_birth, active), 0);
COMMENT ON FUNCTION kinderconnect._digest(text, text, text, text, date, boolean) IS 'of what Manage says about a child, to tell whether it still does';

CREATE TABLE kinderconnect.known_child (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	child_id        text NOT NULL,
	location_id     text NOT NULL,
	first_name      text,
	middle_name     text,
	last_name       text,
	suffix          text,
	date_of_birth   date,
	active          boolean NOT NULL,
	digest          bigint GENERATED ALWAYS AS (kinderconnect._digest(first_name, middle_name, last_name, suffix, date_of_birth, active)) STORED,
	first_key       text GENERATED ALWAYS AS (kinderconnect._first_key(first_name)) STORED,
	middle_key      text GENERATED ALWAYS AS (kinderconnect._middle_key(first_name, middle_name)) STORED,
	last_key        text GENERATED ALWAYS AS (kinderconnect._last_key(last_name)) STORED,
	suffix_key      text GENERATED ALWAYS AS (kinderconnect._suffix_key(first_name, last_name, suffix)) STORED,
	changed_at      timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, child_id, location_id, digest)
);
COMMENT ON TABLE kinderconnect.known_child IS
'Manage''s children as the last match read them, with folded keys; made again from manage_child where it is missing';
COMMENT ON COLUMN kinderconnect.known_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.known_child.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.known_child.location_id IS 'as in Manage, empty where it has none; a child may have a row at several sites, or two that differ at one';
COMMENT ON COLUMN kinderconnect.known_child.first_name IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.middle_name IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.last_name IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.suffix IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.date_of_birth IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.known_child.active IS 'as in Manage; true where it does not say';
COMMENT ON COLUMN kinderconnect.known_child.digest IS 'of the names, birth date and active';
COMMENT ON COLUMN kinderconnect.known_child.first_key IS 'first word of the first name, folded';
COMMENT ON COLUMN kinderconnect.known_child.middle_key IS 'the other words of the first name, and the middle name, folded';
COMMENT ON COLUMN kinderconnect.known_child.last_key IS 'words of the last name without suffix, folded, in the order of the alphabet';
COMMENT ON COLUMN kinderconnect.known_child.suffix_key IS 'Jr, II, ..., wherever it was written, folded';
COMMENT ON COLUMN kinderconnect.known_child.changed_at IS 'when it was first read so; infinity: a person''s decision has it looked at again';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.known_child', '');

CREATE INDEX known_child_by_name ON kinderconnect.known_child (organization_id, date_of_birth, last_key, first_key);

CREATE INDEX known_child_changed ON kinderconnect.known_child (organization_id, changed_at);

-- A row that changed is one that is gone and one that has come, and concerns
-- whoever has the keys of either.
CREATE FUNCTION kinderconnect._read_children(organization text, tell boolean DEFAULT true)
	RETURNS TABLE (child_id text, date_of_birth date, last_key text, first_key text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH difference AS MATERIALIZED (
		SELECT m.*, k.child_id AS gone_child_id, k.location_id AS gone_location_id, k.digest AS gone_digest
		FROM (SELECT m.child_id, coalesce(m.location_id, '') AS location_id, m.first_name, m.middle_name, m.last_name, m.suffix,
				m.date_of_birth, coalesce(m.active, true) AS active,
				kinderconnect._digest(m.first_name, m.middle_name, m.last_name, m.suffix, m.date_of_birth, coalesce(m.active, true)) AS digest
			FROM kinderconnect.manage_child m WHERE m.organization_id = organization) m
		FULL JOIN (SELECT k.child_id, k.location_id, k.digest FROM kinderconnect.known_child k WHERE k.organization_id = organization) k
			ON (k.child_id, k.location_id, k.digest) = (m.child_id, m.location_id, m.digest)
		WHERE m.child_id IS NULL OR k.child_id IS NULL
	), gone AS (
		DELETE FROM kinderconnect.known_child k USING difference d
		WHERE (k.organization_id, k.child_id, k.location_id, k.digest) = (organization, d.gone_child_id, d.gone_location_id, d.gone_digest)
		RETURNING k.child_id, k.date_of_birth, k.last_key, k.first_key
	), come AS (
		INSERT INTO kinderconnect.known_child AS k
			(organization_id, child_id, location_id, first_name, middle_name, last_name, suffix, date_of_birth, active)
		SELECT organization, d.child_id, d.location_id, d.first_name, d.middle_name, d.last_name, d.suffix, d.date_of_birth, d.active
		FROM difference d WHERE d.child_id IS NOT NULL
		ON CONFLICT DO NOTHING
		RETURNING k.child_id, k.date_of_birth, k.last_key, k.first_key
	)
	SELECT * FROM gone WHERE tell UNION ALL SELECT * FROM come WHERE tell;
END;
$$;
COMMENT ON FUNCTION kinderconnect._read_children(text, boolean) IS
'brings known_child of an organization up to what Manage says; with tell, answers what it removed and what it added';

CREATE FUNCTION kinderconnect._manage_now(organization text)
	RETURNS TABLE (child_id text, location_id text, date_of_birth date, active boolean, first_key text, middle_key text, last_key text, suffix_key text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
BEGIN
	RETURN QUERY
	SELECT m.child_id, m.location_id, m.date_of_birth, m.active,
		CASE WHEN k.child_id IS NOT NULL THEN k.first_key ELSE kinderconnect._first_key(m.first_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.middle_key ELSE kinderconnect._middle_key(m.first_name, m.middle_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.last_key ELSE kinderconnect._last_key(m.last_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.suffix_key ELSE kinderconnect._suffix_key(m.first_name, m.last_name, m.suffix) END
	FROM (SELECT m.child_id, coalesce(m.location_id, '') AS location_id, m.first_name, m.middle_name, m.last_name, m.suffix,
			m.date_of_birth, coalesce(m.active, true) AS active,
			kinderconnect._digest(m.first_name, m.middle_name, m.last_name, m.suffix, m.date_of_birth, coalesce(m.active, true)) AS digest
		FROM kinderconnect.manage_child m WHERE m.organization_id = organization) m
	LEFT JOIN kinderconnect.known_child k ON (k.organization_id, k.child_id, k.location_id, k.digest) = (organization, m.child_id, m.location_id, m.digest);
END;
$$;
COMMENT ON FUNCTION kinderconnect._manage_now(text) IS
'Manage''s children as they are now, for looking without writing; names that known_child knows have their keys already';
-- Who an unlinked child might be: up to five candidates of Manage with a score
-- and the reason in words, for a person to decide. Nothing here makes a link.
--
-- Children are compared where one of a few blocks brings them together, so
-- that no night compares everybody with everybody. Birth date, last and first
-- name are compared each by itself; a comparison ends in one finding, and a
-- finding has its worth.

CREATE TABLE kinderconnect.child_decision (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	child_id               text NOT NULL,
	decision               text NOT NULL CHECK (decision IN ('link', 'reject', 'unlink')),
	decided_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
	decided_by             text NOT NULL DEFAULT session_user,
	reason                 text,
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id, child_id, decided_at)
);
COMMENT ON TABLE kinderconnect.child_decision IS
'what persons decided about pairs of children; the last one about a pair counts, and no night undoes it';
COMMENT ON COLUMN kinderconnect.child_decision.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_decision.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_decision.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_decision.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.child_decision.decision IS 'link: they are one child; reject, unlink: they are not';
COMMENT ON COLUMN kinderconnect.child_decision.decided_at IS 'when';
COMMENT ON COLUMN kinderconnect.child_decision.decided_by IS 'login role';
COMMENT ON COLUMN kinderconnect.child_decision.reason IS 'why, in the person''s words';

CREATE VIEW kinderconnect.parted_pair AS
SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id, d.child_id
FROM (SELECT DISTINCT ON (d.organization_id, d.agency_id, d.kinderconnect_child_id, d.child_id) d.*
	FROM kinderconnect.child_decision d
	ORDER BY d.organization_id, d.agency_id, d.kinderconnect_child_id, d.child_id, d.decided_at DESC) d
WHERE d.decision <> 'link';
COMMENT ON VIEW kinderconnect.parted_pair IS 'pairs that a person has said are two children: never linked, never offered';
COMMENT ON COLUMN kinderconnect.parted_pair.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.parted_pair.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.parted_pair.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.parted_pair.child_id IS 'the child in Manage';

CREATE TABLE kinderconnect.scored_child (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	scored_at              timestamptz NOT NULL,
	date_of_birth          date,
	last_key               text,
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id)
);
COMMENT ON TABLE kinderconnect.scored_child IS 'unlinked children whose candidates are known; those changed since are scored again';
COMMENT ON COLUMN kinderconnect.scored_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.scored_child.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.scored_child.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.scored_child.scored_at IS 'when; -infinity: due';
COMMENT ON COLUMN kinderconnect.scored_child.date_of_birth IS 'the child''s, then';
COMMENT ON COLUMN kinderconnect.scored_child.last_key IS 'the child''s, then';

CREATE INDEX scored_child_by_family ON kinderconnect.scored_child (organization_id, date_of_birth, last_key);

CREATE TABLE kinderconnect.score_state (
	organization_id text PRIMARY KEY REFERENCES kinderconnect.organization,
	scored_at       timestamptz NOT NULL,
	version         text NOT NULL,
	names           numeric NOT NULL
);
COMMENT ON TABLE kinderconnect.score_state IS
'the last scoring of each organization; DELETE has all unlinked children compared again';
COMMENT ON COLUMN kinderconnect.score_state.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.score_state.scored_at IS 'when; children of Manage read anew since are compared with all unlinked ones';
COMMENT ON COLUMN kinderconnect.score_state.version IS 'version of the extension; another one may score by other rules';
COMMENT ON COLUMN kinderconnect.score_state.names IS 'digest of kinderconnect.nickname';

CREATE TABLE kinderconnect.match_candidate (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	child_id               text NOT NULL,
	position               integer NOT NULL CHECK (position BETWEEN 1 AND 5),
	score                  numeric(4, 3) NOT NULL CHECK (score BETWEEN 0 AND 1),
	reason                 text NOT NULL,
	first_name             text,
	last_name              text,
	date_of_birth          date,
	location_id            text,
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id, child_id)
);
COMMENT ON TABLE kinderconnect.match_candidate IS
'up to five children of Manage that an unlinked child might be; decide with link_child() or reject_match()';
COMMENT ON COLUMN kinderconnect.match_candidate.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.match_candidate.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.match_candidate.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.match_candidate.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.match_candidate.position IS '1: the likeliest';
COMMENT ON COLUMN kinderconnect.match_candidate.score IS '1: all equal; 0: nothing is';
COMMENT ON COLUMN kinderconnect.match_candidate.reason IS 'what speaks for and against it, in words';
COMMENT ON COLUMN kinderconnect.match_candidate.first_name IS 'first name in Manage';
COMMENT ON COLUMN kinderconnect.match_candidate.last_name IS 'last name in Manage';
COMMENT ON COLUMN kinderconnect.match_candidate.date_of_birth IS 'birth date in Manage';
COMMENT ON COLUMN kinderconnect.match_candidate.location_id IS 'the child''s site in Manage';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child_decision', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.scored_child', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.match_candidate', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.score_state', '');

-- One word for what comparing two names shows, the best that applies. Keys
-- longer than any name are cut: levenshtein() refuses more than 255.
CREATE FUNCTION kinderconnect._compare_names(a text, b text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN a = b THEN 'equal'
		WHEN a IS NULL OR b IS NULL OR a = '' OR b = '' THEN 'missing'
		WHEN replace(a, ' ', '') = replace(b, ' ', '') THEN 'spaced'
		WHEN levenshtein_less_equal(a, b, 1) <= 1 THEN 'one letter'
		-- an insertion and a deletion: one letter stands elsewhere
		WHEN length(a) = length(b) AND levenshtein_less_equal(a, b, 2) = 2 AND levenshtein_less_equal(a, b, 1, 1, 3, 2) = 2 THEN 'swapped letters'
		WHEN string_to_array(a, ' ') && string_to_array(b, ' ') THEN 'in part'
		WHEN least(length(a), length(b)) >= 5 AND levenshtein_less_equal(a, b, 2) = 2 THEN 'two letters'
		WHEN length(dmetaphone(a)) > 1 AND dmetaphone(a) = dmetaphone(b) THEN 'sound'
		WHEN least(length(a), length(b)) >= 3 AND (starts_with(a, b) OR starts_with(b, a)) THEN 'beginning'
		WHEN similarity(a, b) >= 0.35 OR levenshtein(a, b) * 3 <= greatest(length(a), length(b)) THEN 'similar'
		WHEN left(a, 1) = left(b, 1) THEN 'initial'
		ELSE 'different'
	END;
COMMENT ON FUNCTION kinderconnect._compare_names(text, text) IS 'the finding of comparing two folded names';

CREATE FUNCTION kinderconnect._compare_dates(a text, b text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN a = b THEN 'equal'
		WHEN a IS NULL OR b IS NULL THEN 'missing'
		WHEN left(a, 4) = left(b, 4) AND substr(a, 5, 2) = right(b, 2) AND right(a, 2) = substr(b, 5, 2) THEN 'day and month'
		WHEN levenshtein_less_equal(a, b, 1) = 1 THEN
			CASE WHEN left(a, 4) <> left(b, 4) THEN 'digit of year' WHEN right(a, 2) <> right(b, 2) THEN 'digit of day' ELSE 'digit of month' END
		WHEN levenshtein_less_equal(a, b, 2) = 2 AND levenshtein_less_equal(a, b, 1, 1, 3, 2) = 2 THEN 'swapped digits'
		WHEN left(a, 4) = left(b, 4) AND substr(a, 5, 2) = substr(b, 5, 2) THEN 'day'
		WHEN left(a, 4) = left(b, 4) AND right(a, 2) = right(b, 2) THEN 'month'
		WHEN right(a, 4) = right(b, 4) THEN 'year'
		WHEN levenshtein_less_equal(a, b, 2) = 2 THEN 'two digits'
		ELSE 'different'
	END;
COMMENT ON FUNCTION kinderconnect._compare_dates(text, text) IS 'the finding of comparing two dates written YYYYMMDD';

CREATE FUNCTION kinderconnect._sound(name text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN nullif(dmetaphone(name), '');
COMMENT ON FUNCTION kinderconnect._sound(text) IS 'how a folded name sounds in English; null where it has no Latin letters';

CREATE FUNCTION kinderconnect._few_to_score(organization text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	-- the first night has no statistics
	SELECT EXISTS (SELECT FROM kinderconnect.score_state t WHERE t.organization_id = organization) AND count(*) <= 1000
	FROM (SELECT FROM kinderconnect.scored_child s WHERE s.organization_id = organization AND s.scored_at = '-infinity' LIMIT 1001) s;
END;
COMMENT ON FUNCTION kinderconnect._few_to_score(text) IS 'whether so few children are due for scoring that each is better looked up by itself';

-- The blocks. Within a site names need only be alike, for a site's children
-- are few; across the organization, which may have a million, what agrees must
-- be rare. Whether two children are compared is told by these two alone, or a
-- night could not look at what changed alone. For few children each block is
-- an index of known_child.
CREATE INDEX known_child_by_site ON kinderconnect.known_child (organization_id, location_id);
CREATE INDEX known_child_by_last_name ON kinderconnect.known_child (organization_id, last_key);
CREATE INDEX known_child_by_beginning ON kinderconnect.known_child (organization_id, left(last_key, 2), left(first_key, 2));
CREATE INDEX known_child_by_sound ON kinderconnect.known_child (organization_id, kinderconnect._sound(last_key), kinderconnect._sound(first_key));

CREATE FUNCTION kinderconnect._pairs(organization text, since timestamptz)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	changed text[];
BEGIN
	IF since IS NOT NULL THEN
		changed := ARRAY(SELECT DISTINCT k.child_id FROM kinderconnect.known_child k WHERE k.organization_id = organization AND k.changed_at >= since);
	ELSIF kinderconnect._few_to_score(organization) THEN
		PERFORM set_config('enable_nestloop', 'on', true);
	END IF;
	RETURN QUERY
	WITH c AS MATERIALIZED (
		SELECT c.agency_id, c.kinderconnect_child_id, c.date_of_birth, nullif(c.first_key, '') AS first_key, nullif(c.last_key, '') AS last_key,
			kinderconnect._sound(c.first_key) AS first_sound, kinderconnect._sound(c.last_key) AS last_sound,
			to_char(c.date_of_birth, 'YYYYMMDD') AS born
		FROM kinderconnect.child c
		WHERE c.organization_id = organization AND c.unlinked_because IS NOT NULL
			AND (since IS NOT NULL OR (c.agency_id, c.kinderconnect_child_id) IN (SELECT s.agency_id, s.kinderconnect_child_id
				FROM kinderconnect.scored_child s WHERE s.organization_id = organization AND s.scored_at = '-infinity'))
	), m AS NOT MATERIALIZED (
		SELECT k.child_id, k.location_id, k.date_of_birth, k.first_key, k.last_key,
			kinderconnect._sound(k.first_key) AS first_sound, kinderconnect._sound(k.last_key) AS last_sound
		FROM kinderconnect.known_child k
		-- all its rows: one finds the pair, another may score it
		WHERE k.organization_id = organization AND (since IS NULL OR k.child_id = ANY (changed))
	), at_site AS MATERIALIZED (
		SELECT DISTINCT c.*, p.location_id
		FROM c
		JOIN kinderconnect.listed_authorization l ON (l.organization_id, l.agency_id, l.kinderconnect_child_id)
			= (organization, c.agency_id, c.kinderconnect_child_id)
		JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (organization, l.agency_id, l.provider_id)
		WHERE p.location_id IS NOT NULL
	)
	-- the site's children born that day, or on the day of that month turned round
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON (m.location_id, m.date_of_birth) = (c.location_id, c.date_of_birth)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON m.location_id = c.location_id AND to_char(m.date_of_birth, 'YYYYDDMM') = c.born
	UNION
	-- the site's children whose names both end alike, or both begin alike
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON m.location_id = c.location_id
		AND right(m.last_key, 2) = right(c.last_key, 2) AND right(m.first_key, 2) = right(c.first_key, 2)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON m.location_id = c.location_id
		AND left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
	UNION
	-- the site's children with a first or last name that sounds alike, or one for the other
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON (m.location_id, m.last_sound) = (c.location_id, c.last_sound)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON (m.location_id, m.first_sound) = (c.location_id, c.first_sound)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON (m.location_id, m.first_sound) = (c.location_id, c.last_sound)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON (m.location_id, m.last_sound) = (c.location_id, c.first_sound)
	UNION
	-- born that day, and a name begins or ends alike, straight or crosswise, or is missing
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON m.date_of_birth = c.date_of_birth
	WHERE (left(c.last_key, 2) IN (left(m.last_key, 2), left(m.first_key, 2)) OR left(c.first_key, 2) IN (left(m.first_key, 2), left(m.last_key, 2))
			OR right(c.last_key, 3) = right(m.last_key, 3) OR right(c.first_key, 3) = right(m.first_key, 3)
			OR m.last_key = '' OR m.first_key = '')
		IS NOT FALSE
	UNION
	-- last name, and the initial of the first
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON m.last_key = c.last_key AND left(m.first_key, 1) = left(c.first_key, 1)
	UNION
	-- both names begin alike, by three letters, or by two and of day, month and year two are equal, or turned round
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
		AND left(m.last_key, 3) = left(c.last_key, 3) AND left(m.first_key, 3) = left(c.first_key, 3)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
		AND to_char(m.date_of_birth, 'YYYYMM') = left(c.born, 6)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
		AND to_char(m.date_of_birth, 'YYYYDD') = left(c.born, 4) || right(c.born, 2)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
		AND to_char(m.date_of_birth, 'MMDD') = right(c.born, 4)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
		AND to_char(m.date_of_birth, 'YYYYDDMM') = c.born
	UNION
	-- both names sound alike, or one for the other
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON m.last_sound = c.last_sound AND m.first_sound = c.first_sound
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON m.last_sound = c.first_sound AND m.first_sound = c.last_sound;
END;
$$;
COMMENT ON FUNCTION kinderconnect._pairs(text, timestamptz) IS
'the pairs worth comparing: of unlinked children that are due for scoring; or, with since, of all unlinked ones and the children of Manage changed since';

-- What a finding is worth, of 1 for the field. A field that is missing neither
-- proves nor disproves.
CREATE FUNCTION kinderconnect._worth(finding text) RETURNS double precision
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE finding
		WHEN 'different' THEN 0
		WHEN 'equal' THEN 1
		WHEN 'initial' THEN 0.10
		-- of names
		WHEN 'spaced' THEN 0.95
		WHEN 'nickname' THEN 0.90
		WHEN 'one letter' THEN 0.85
		WHEN 'swapped letters' THEN 0.85
		WHEN 'in part' THEN 0.80
		WHEN 'two letters' THEN 0.70
		WHEN 'sound' THEN 0.70
		WHEN 'beginning' THEN 0.60
		WHEN 'similar' THEN 0.50
		WHEN 'missing' THEN 0.35
		-- of dates
		WHEN 'day and month' THEN 0.85
		WHEN 'digit of year' THEN 0.80
		WHEN 'digit of month' THEN 0.80
		WHEN 'digit of day' THEN 0.80
		WHEN 'swapped digits' THEN 0.80
		WHEN 'day' THEN 0.40
		WHEN 'month' THEN 0.40
		WHEN 'year' THEN 0.40
		WHEN 'two digits' THEN 0.40
	END;
COMMENT ON FUNCTION kinderconnect._worth(text) IS 'what a finding of _compare_names() or _compare_dates() is worth, from 0 to 1';

CREATE FUNCTION kinderconnect._in_words(field text, finding text, a text, b text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE finding
		WHEN 'equal' THEN field || ' equal'
		WHEN 'missing' THEN field || ' missing'
		WHEN 'day and month' THEN 'day and month swapped'
		WHEN 'digit of year' THEN 'one digit of the year'
		WHEN 'digit of month' THEN 'one digit of the month'
		WHEN 'digit of day' THEN 'one digit of the day'
		WHEN 'swapped digits' THEN 'two digits of the birth date swapped'
		WHEN 'day' THEN 'only the day of birth different'
		WHEN 'month' THEN 'only the month of birth different'
		WHEN 'year' THEN 'only the year of birth different'
		WHEN 'two digits' THEN 'two digits of the birth date'
		ELSE field || CASE finding
			WHEN 'spaced' THEN ' equal but for a space'
			WHEN 'nickname' THEN ' a nickname'
			WHEN 'one letter' THEN ' one letter'
			WHEN 'swapped letters' THEN ' two letters swapped'
			WHEN 'in part' THEN ' equal in part'
			WHEN 'two letters' THEN ' two letters'
			WHEN 'sound' THEN ' sounds alike'
			WHEN 'beginning' THEN ' begins alike'
			WHEN 'similar' THEN ' similar'
			ELSE ' different' END || coalesce(': ' || a || ' / ' || b, '')
	END;
COMMENT ON FUNCTION kinderconnect._in_words(text, text, text, text) IS 'a finding about a field, for people; a and b are what is written on the two sides';

-- The score: birth date 0.40, last name 0.33, first name 0.27, each times what
-- its finding is worth.
CREATE FUNCTION kinderconnect._candidates(organization text)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, location_id text, "position" integer, score numeric, reason text,
		first_name text, last_name text, date_of_birth date)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	IF kinderconnect._few_to_score(organization) THEN
		PERFORM set_config('enable_nestloop', 'on', true);
	END IF;
	RETURN QUERY
	WITH same_name AS MATERIALIZED (
		SELECT n.one, n.other FROM kinderconnect.same_name n
	), pair AS (
		SELECT p.agency_id, p.kinderconnect_child_id, p.child_id, m.location_id, m.digest, m.active,
			left(c.first_key, 60) AS a_first, left(c.last_key, 60) AS a_last, left(m.first_key, 60) AS b_first, left(m.last_key, 60) AS b_last,
			to_char(c.date_of_birth, 'YYYYMMDD') AS a_born, to_char(m.date_of_birth, 'YYYYMMDD') AS b_born,
			-- Van Dyke, and Vandyke: in a key the words are sorted
			c.last_key <> m.last_key AND strpos(c.last_key || m.last_key, ' ') > 0
				AND replace(kinderconnect._words(c.last_name), ' ', '') = replace(kinderconnect._words(m.last_name), ' ', '') AS last_spaced,
			-- Mary Ann, and Maryann
			c.first_key <> m.first_key AND (c.middle_key IS NOT NULL OR m.middle_key IS NOT NULL)
				AND replace(concat(c.first_key, c.middle_key), ' ', '') = replace(concat(m.first_key, m.middle_key), ' ', '') AS first_spaced,
			n.one IS NOT NULL AS nickname,
			kinderconnect._middle_agrees(c.middle_key, m.middle_key) AS middle_agrees,
			c.suffix_key = m.suffix_key AS suffix_agrees
		FROM kinderconnect._pairs(organization, NULL) p
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, p.agency_id, p.kinderconnect_child_id)
		JOIN kinderconnect.known_child m ON (m.organization_id, m.child_id) = (organization, p.child_id)
		LEFT JOIN same_name n ON (n.one, n.other) = (c.first_key, m.first_key)
		-- or each use of a column would compute it anew
		OFFSET 0
	), compared AS (
		SELECT p.*, kinderconnect._compare_dates(p.a_born, p.b_born) AS birth,
			CASE WHEN p.last_spaced THEN 'spaced' ELSE kinderconnect._compare_names(p.a_last, p.b_last) END AS last,
			CASE WHEN p.nickname THEN 'nickname' WHEN p.first_spaced THEN 'spaced' ELSE kinderconnect._compare_names(p.a_first, p.b_first) END AS first
		FROM pair p
		OFFSET 0
	), crossed AS (
		-- where the names do not fit, they may stand one in the other's field
		SELECT d.*, kinderconnect._worth(d.birth) * 0.40 AS birth_points,
			kinderconnect._worth(d.last) * 0.33 + kinderconnect._worth(d.first) * 0.27 AS name_points,
			CASE WHEN kinderconnect._worth(d.last) + kinderconnect._worth(d.first) < 1 THEN kinderconnect._compare_names(d.a_first, d.b_last) END AS first_as_last,
			CASE WHEN kinderconnect._worth(d.last) + kinderconnect._worth(d.first) < 1 THEN kinderconnect._compare_names(d.a_last, d.b_first) END AS last_as_first
		FROM compared d
		OFFSET 0
	), scored AS MATERIALIZED (
		SELECT DISTINCT ON (x.agency_id, x.kinderconnect_child_id, x.child_id)
			x.agency_id, x.kinderconnect_child_id, x.child_id, x.location_id, x.digest, x.birth, x.last, x.first, x.middle_agrees, x.suffix_agrees, x.active,
			CASE WHEN s.swapped > x.name_points THEN CASE WHEN s.both THEN 'both' ELSE 'one' END END AS swapped,
			x.birth_points + greatest(x.name_points, s.swapped)
				-- no fields of their own, but they may speak against
				- CASE WHEN NOT x.suffix_agrees THEN 0.05 ELSE 0 END - CASE WHEN NOT x.middle_agrees THEN 0.03 ELSE 0 END AS score,
			-- for telling twins
			CASE WHEN x.birth = 'equal' AND x.last = 'equal' THEN kinderconnect._worth(x.first) END AS fit
		FROM crossed x
		CROSS JOIN LATERAL (SELECT
			0.85 * (kinderconnect._worth(x.first_as_last) * 0.33 + kinderconnect._worth(x.last_as_first) * 0.27) AS swapped,
			least(kinderconnect._worth(x.first_as_last), kinderconnect._worth(x.last_as_first)) >= 0.5 AS both) s
		WHERE x.birth_points + greatest(x.name_points, s.swapped) >= 0.30
		ORDER BY x.agency_id, x.kinderconnect_child_id, x.child_id, score DESC, x.active DESC, x.location_id, x.digest
	), told_apart AS (
		-- Twins: born one day, of one last name, and for each there is a first
		-- name on the other side that fits better than this one.
		SELECT s.*, coalesce(s.fit <= 0.60
				AND max(s.fit) OVER (PARTITION BY s.agency_id, s.kinderconnect_child_id) > s.fit
				AND max(s.fit) OVER (PARTITION BY s.agency_id, s.child_id) > s.fit, false) AS twin
		FROM scored s
	), placed AS (
		SELECT t.*, row_number() OVER (PARTITION BY t.agency_id, t.kinderconnect_child_id ORDER BY t.score DESC, t.active DESC, t.child_id) AS place
		FROM told_apart t
		WHERE NOT t.twin
			AND NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
				AND (k.organization_id, k.agency_id, k.child_id) = (organization, t.agency_id, t.child_id))
			AND NOT EXISTS (SELECT FROM kinderconnect.parted_pair r WHERE (r.organization_id, r.agency_id, r.kinderconnect_child_id, r.child_id)
				= (organization, t.agency_id, t.kinderconnect_child_id, t.child_id))
	)
	SELECT f.agency_id, f.kinderconnect_child_id, f.child_id, f.location_id, f.place::integer, round(greatest(f.score, 0)::numeric, 3),
		concat_ws(', ', kinderconnect._in_words('birth date', f.birth, to_char(c.date_of_birth, 'YYYY-MM-DD'), to_char(m.date_of_birth, 'YYYY-MM-DD')),
			CASE WHEN f.swapped IS NOT NULL THEN format('%s: %s %s / %s %s',
				CASE f.swapped WHEN 'both' THEN 'first and last name swapped' ELSE 'one name in the other''s field' END,
				c.first_name, c.last_name, m.first_name, m.last_name)
			ELSE concat_ws(', ',
				CASE WHEN f.last = 'equal' AND split_part(kinderconnect._words(c.last_name), ' ', 1) <> split_part(kinderconnect._words(m.last_name), ' ', 1)
						THEN 'surnames swapped'
					ELSE kinderconnect._in_words('last name', f.last, c.last_name, m.last_name) END,
				kinderconnect._in_words('first name', f.first, c.first_name, m.first_name)) END,
			CASE WHEN NOT f.middle_agrees THEN 'middle name different' END,
			CASE WHEN NOT f.suffix_agrees THEN 'suffix different' END,
			CASE WHEN NOT f.active THEN 'inactive in Manage' END),
		m.first_name, m.last_name, m.date_of_birth
	FROM placed f
	JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, f.agency_id, f.kinderconnect_child_id)
	JOIN kinderconnect.known_child m ON (m.organization_id, m.child_id, m.location_id, m.digest) = (organization, f.child_id, f.location_id, f.digest)
	WHERE f.place <= 5;
END;
$$;
COMMENT ON FUNCTION kinderconnect._candidates(text) IS 'the candidates of the children that are due for scoring; changes nothing';

-- A child is scored again when it, its site, one of its candidates or what
-- these could be has changed, and with it all of one last name and birth date:
-- they may be its twin. What a match knows of that it notes here, before it
-- brings its tables up to date.
CREATE FUNCTION kinderconnect._unscore(organization text, since timestamptz, changed text[], born date[], last_keys text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
BEGIN
	UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
	WHERE s.organization_id = organization AND s.scored_at <> '-infinity'
		AND ((s.agency_id, s.kinderconnect_child_id) IN (SELECT c.agency_id, c.kinderconnect_child_id FROM kinderconnect.child c
				WHERE c.organization_id = organization AND (c.changed_at >= since OR c.unlinked_because = 'not_matched_yet'))
			OR (s.agency_id, s.kinderconnect_child_id) IN (SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.match_candidate n
				WHERE n.organization_id = organization AND n.child_id = ANY (changed))
			OR (s.date_of_birth, s.last_key) IN (SELECT * FROM unnest(born, last_keys)));
END;
$$;
COMMENT ON FUNCTION kinderconnect._unscore(text, timestamptz, text[], date[], text[]) IS
'notes whose candidates are no longer sure: of the children that changed since or are not_matched_yet, and those whom the changed children of Manage concern';

CREATE FUNCTION kinderconnect._score(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	last    kinderconnect.score_state;
	present kinderconnect.score_state;
BEGIN
	SELECT * INTO last FROM kinderconnect.score_state s WHERE s.organization_id = organization;
	SELECT organization, now(), e.extversion,
		(SELECT coalesce(sum(hashtextextended(ROW(n.name, n.nickname)::text, 0)), 0) FROM kinderconnect.nickname n)
	INTO STRICT present
	FROM pg_extension e WHERE e.extname = 'kinderconnect';

	IF (last.version, last.names) IS DISTINCT FROM (present.version, present.names) THEN
		DELETE FROM kinderconnect.scored_child s WHERE s.organization_id = organization;
		DELETE FROM kinderconnect.match_candidate n WHERE n.organization_id = organization;
	ELSIF EXISTS (SELECT FROM kinderconnect.known_child k WHERE k.organization_id = organization AND k.changed_at >= last.scored_at) THEN
		UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
		FROM (SELECT DISTINCT p.agency_id, p.kinderconnect_child_id FROM kinderconnect._pairs(organization, last.scored_at) p) p
		WHERE s.organization_id = organization AND s.scored_at <> '-infinity'
			AND (s.agency_id, s.kinderconnect_child_id) = (p.agency_id, p.kinderconnect_child_id);
		UPDATE kinderconnect.known_child k SET changed_at = now() WHERE k.organization_id = organization AND k.changed_at = 'infinity';
	END IF;

	-- whose child of Manage is another's by now
	UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
	FROM kinderconnect.match_candidate n
	JOIN kinderconnect.child_link k ON k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.child_id) = (n.organization_id, n.agency_id, n.child_id)
	WHERE s.organization_id = organization AND s.scored_at <> '-infinity'
		AND (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (s.organization_id, s.agency_id, s.kinderconnect_child_id);
	-- new ones
	INSERT INTO kinderconnect.scored_child (organization_id, agency_id, kinderconnect_child_id, scored_at)
	SELECT organization, c.agency_id, c.kinderconnect_child_id, '-infinity'
	FROM kinderconnect.child c
	WHERE c.organization_id = organization AND c.unlinked_because IS NOT NULL
	ON CONFLICT (organization_id, agency_id, kinderconnect_child_id) DO NOTHING;
	-- the families that those had who are due or linked by now, and those that they have
	UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
	FROM (SELECT d.date_of_birth, d.last_key FROM kinderconnect.scored_child d
			JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
			WHERE d.organization_id = organization AND (d.scored_at = '-infinity' OR c.unlinked_because IS NULL)
		UNION
		SELECT c.date_of_birth, c.last_key FROM kinderconnect.scored_child d
			JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
			WHERE d.organization_id = organization AND d.scored_at = '-infinity') f
	WHERE s.organization_id = organization AND s.scored_at <> '-infinity' AND (s.date_of_birth, s.last_key) = (f.date_of_birth, f.last_key);
	-- a link settles it
	WITH settled AS (
		DELETE FROM kinderconnect.scored_child s USING kinderconnect.child c
		WHERE s.organization_id = organization AND c.unlinked_because IS NULL
			AND (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (s.organization_id, s.agency_id, s.kinderconnect_child_id)
		RETURNING s.agency_id, s.kinderconnect_child_id
	)
	DELETE FROM kinderconnect.match_candidate n USING settled s
	WHERE n.organization_id = organization AND (n.agency_id, n.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id);

	IF EXISTS (SELECT FROM kinderconnect.scored_child s WHERE s.organization_id = organization AND s.scored_at = '-infinity') THEN
		DELETE FROM kinderconnect.match_candidate n USING kinderconnect.scored_child s
		WHERE n.organization_id = organization AND s.scored_at = '-infinity'
			AND (s.organization_id, s.agency_id, s.kinderconnect_child_id) = (n.organization_id, n.agency_id, n.kinderconnect_child_id);
		INSERT INTO kinderconnect.match_candidate
			(organization_id, agency_id, kinderconnect_child_id, child_id, position, score, reason, first_name, last_name, date_of_birth, location_id)
		SELECT organization, n.agency_id, n.kinderconnect_child_id, n.child_id, n.position, n.score, n.reason,
			n.first_name, n.last_name, n.date_of_birth, nullif(n.location_id, '')
		FROM kinderconnect._candidates(organization) n;
		UPDATE kinderconnect.scored_child s SET scored_at = now(), date_of_birth = c.date_of_birth, last_key = c.last_key
		FROM kinderconnect.child c
		WHERE s.organization_id = organization AND s.scored_at = '-infinity'
			AND (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (s.organization_id, s.agency_id, s.kinderconnect_child_id);
	END IF;

	INSERT INTO kinderconnect.score_state AS s (organization_id, scored_at, version, names)
	VALUES (organization, present.scored_at, present.version, present.names)
	ON CONFLICT (organization_id) DO UPDATE
	SET scored_at = excluded.scored_at, version = excluded.version, names = excluded.names;
END;
$$;
COMMENT ON FUNCTION kinderconnect._score(text) IS
'finds the candidates of an organization''s unlinked children, where anything changed since it last did; after _match()';

CREATE FUNCTION kinderconnect.reject_match(organization_id text, agency_id text, kinderconnect_child_id text, child_id text, reason text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(reject_match.organization_id);
	IF NOT EXISTS (SELECT FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
			= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id)) THEN
		RAISE EXCEPTION 'agency "%" lists no child "%"', reject_match.agency_id, reject_match.kinderconnect_child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.child.';
	END IF;
	IF EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.kinderconnect_child_id, k.child_id)
				= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id)) THEN
		RAISE EXCEPTION 'child "%" of agency "%" is linked to child "%" of Manage', reject_match.kinderconnect_child_id,
			reject_match.agency_id, reject_match.child_id
			USING ERRCODE = 'object_in_use', HINT = 'End the link: SELECT kinderconnect.unlink_child(organization_id, agency_id, kinderconnect_child_id, reason).';
	END IF;
	INSERT INTO kinderconnect.child_decision (organization_id, agency_id, kinderconnect_child_id, child_id, decision, reason)
	VALUES (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id, 'reject', reject_match.reason);
	DELETE FROM kinderconnect.match_candidate n
	WHERE (n.organization_id, n.agency_id, n.kinderconnect_child_id, n.child_id)
		= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id);
	-- another may take its place
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id) AND c.unlinked_because IS NOT NULL;
	UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
	WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id)
		= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect.reject_match(text, text, text, text, text) IS
'a person''s decision that a KinderConnect child is not this child of Manage: they are never linked by a night, nor offered again. link_child() takes it back';
-- Step 3 of the night: which child of Manage is which child of KinderConnect.
-- A link is made only where one answer is possible; everything else says why.

CREATE TABLE kinderconnect.child_link (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	child_id               text NOT NULL,
	method                 text NOT NULL CHECK (method IN ('stored_id', 'exact_location', 'exact_organization', 'person')),
	linked_at              timestamptz NOT NULL DEFAULT now(),
	linked_by              text NOT NULL DEFAULT session_user,
	differing              text[],
	flag                   text,
	ended_at               timestamptz,
	ended_by               text,
	end_reason             text,
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id, linked_at),
	FOREIGN KEY (organization_id, agency_id, kinderconnect_child_id) REFERENCES kinderconnect.child,
	CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
COMMENT ON TABLE kinderconnect.child_link IS
'which child of Manage a KinderConnect child is; at most one link in force on either side, ended ones kept';
COMMENT ON COLUMN kinderconnect.child_link.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_link.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_link.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_link.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.child_link.method IS 'stored_id: Manage stores the id; exact_location, exact_organization: first and last name and birth date, within the site or the organization; person: link_child()';
COMMENT ON COLUMN kinderconnect.child_link.linked_at IS 'when';
COMMENT ON COLUMN kinderconnect.child_link.linked_by IS 'login role';
COMMENT ON COLUMN kinderconnect.child_link.differing IS 'what spoke against it and was known when it was made: first_name, middle_name, last_name, suffix, date_of_birth; null: the next match looks';
COMMENT ON COLUMN kinderconnect.child_link.flag IS 'why a person should look at it. Its days are held for link_disagrees, birth date or both names no longer agree, and child_gone, Manage no longer has the child; they go on for name_changed, a name differs that did not when the link was made. Null: it stands';
COMMENT ON COLUMN kinderconnect.child_link.ended_at IS 'when it ended; null: in force';
COMMENT ON COLUMN kinderconnect.child_link.ended_by IS 'login role';
COMMENT ON COLUMN kinderconnect.child_link.end_reason IS 'why';

CREATE UNIQUE INDEX child_link_in_force ON kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id) WHERE ended_at IS NULL;
CREATE INDEX child_link_new ON kinderconnect.child_link (organization_id) WHERE ended_at IS NULL AND differing IS NULL;
CREATE UNIQUE INDEX child_link_in_force_in_manage ON kinderconnect.child_link (organization_id, agency_id, child_id) WHERE ended_at IS NULL;
CREATE INDEX child_link_by_manage ON kinderconnect.child_link (organization_id, child_id) WHERE ended_at IS NULL;
CREATE INDEX child_link_ended ON kinderconnect.child_link (organization_id, kinderconnect_child_id) WHERE ended_at IS NOT NULL;
CREATE INDEX listed_authorization_by_child ON kinderconnect.listed_authorization (organization_id, kinderconnect_child_id);

-- What the last match rested on besides the two sides' children. Where it is
-- no longer so, or there was none, more children are due than have changed.
CREATE TABLE kinderconnect.match_state (
	organization_id text PRIMARY KEY REFERENCES kinderconnect.organization,
	matched_at      timestamptz NOT NULL,
	version         text NOT NULL,
	sites           numeric NOT NULL,
	stored_ids      numeric NOT NULL
);
COMMENT ON TABLE kinderconnect.match_state IS
'the last match of each organization; DELETE has the next one look at every child again';
COMMENT ON COLUMN kinderconnect.match_state.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.match_state.matched_at IS 'when; children that the service changed since are due';
COMMENT ON COLUMN kinderconnect.match_state.version IS 'version of the extension; another one may match by other rules: all children are due';
COMMENT ON COLUMN kinderconnect.match_state.sites IS 'digest of the providers'' locations; another: unlinked children are due';
COMMENT ON COLUMN kinderconnect.match_state.stored_ids IS 'digest of manage_child_id; another: unlinked children are due';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child_link', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.match_state', '');

CREATE FUNCTION kinderconnect._stored_ids(organization text)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF kinderconnect._is_bound('child_id') THEN
		RETURN QUERY SELECT DISTINCT m.agency_id, m.kinderconnect_child_id, m.child_id
			FROM kinderconnect.manage_child_id m WHERE m.organization_id = organization;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._stored_ids(text) IS 'the ids of the service that Manage already stores, where that is bound';

-- An initial is a middle name too; of two words and one the first is compared.
CREATE FUNCTION kinderconnect._middle_agrees(a text, b text) RETURNS boolean
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN a = b OR NOT EXISTS (SELECT FROM unnest(string_to_array(a, ' '), string_to_array(b, ' ')) w(a, b)
		WHERE w.a <> w.b AND NOT (length(w.a) = 1 AND starts_with(w.b, w.a) OR length(w.b) = 1 AND starts_with(w.a, w.b)));
COMMENT ON FUNCTION kinderconnect._middle_agrees(text, text) IS 'whether two middle names, folded, may be one child''s; null where a side has none';

-- Read-only, so that preview() sees tonight's links without making them.
--
-- Due is a child that the service has changed, whom something has marked as
-- not_matched_yet, and whose verdict depends on other children of the
-- service: these few are judged every night. Who may be the same child of
-- Manage as a due one is looked at along with it, and keeps the verdict, for
-- that rests on Manage alone.
--
-- A stored id is taken when two of first name, last name and birth date agree.
-- Else the names and the birth date must be equal, folded; middle name and
-- suffix speak only where both sides have one. The site's active children come
-- first (rank 0), then the site's inactive and the organization's active ones
-- together, for a child who moved has both, then the rest. A pair that a
-- person has parted stays parted.
CREATE FUNCTION kinderconnect._new_links(organization text, read boolean DEFAULT false, since timestamptz DEFAULT '-infinity')
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, method text, unlinked_because text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	-- the ids of wanted, where they are few: each is looked up by itself
	few text[];
BEGIN
	IF since > '-infinity' AND EXISTS (SELECT FROM kinderconnect.match_state s WHERE s.organization_id = organization) THEN
		few := ARRAY(SELECT c.kinderconnect_child_id FROM kinderconnect.child c
			WHERE c.organization_id = organization
				AND (c.changed_at >= since OR c.unlinked_because IN ('not_matched_yet', 'several_at_service', 'already_linked'))
			LIMIT 5001);
		IF cardinality(few) <= 5000 THEN
			PERFORM set_config('enable_nestloop', 'on', true);
			few := few || ARRAY(SELECT o.kinderconnect_child_id
				FROM (SELECT DISTINCT n.date_of_birth, n.last_key, n.first_key
					FROM kinderconnect.child c
					JOIN kinderconnect.known_child m ON (m.organization_id, m.date_of_birth, m.last_key, m.first_key)
						= (organization, c.date_of_birth, c.last_key, c.first_key)
					JOIN kinderconnect.known_child n ON (n.organization_id, n.child_id) = (organization, m.child_id)
					WHERE c.organization_id = organization
						AND (c.changed_at >= since OR c.unlinked_because IN ('not_matched_yet', 'several_at_service', 'already_linked'))) n
				JOIN kinderconnect.child o ON (o.organization_id, o.date_of_birth, o.last_key, o.first_key)
					= (organization, n.date_of_birth, n.last_key, n.first_key));
		ELSE
			few := NULL;
		END IF;
	END IF;
	RETURN QUERY
	WITH near AS (
		-- names and birth dates of whom a due one may be, in each of their rows
		SELECT DISTINCT o.date_of_birth, o.last_key, o.first_key
		FROM kinderconnect.child c
		JOIN kinderconnect.known_child m ON (m.organization_id, m.date_of_birth, m.last_key, m.first_key)
			= (organization, c.date_of_birth, c.last_key, c.first_key)
		JOIN kinderconnect.known_child o ON (o.organization_id, o.child_id) = (organization, m.child_id)
		WHERE since > '-infinity' AND c.organization_id = organization
			AND (c.changed_at >= since OR c.unlinked_because IN ('not_matched_yet', 'several_at_service', 'already_linked'))
	), wanted AS MATERIALIZED (
		SELECT true AS due, c.agency_id, c.kinderconnect_child_id, c.first_key, c.last_key, c.date_of_birth, c.middle_key, c.suffix_key
		FROM kinderconnect.child c
		WHERE c.organization_id = organization
			AND (c.changed_at >= since OR c.unlinked_because IN ('not_matched_yet', 'several_at_service', 'already_linked'))
			AND NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
				AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id))
		UNION ALL
		SELECT false, c.agency_id, c.kinderconnect_child_id, c.first_key, c.last_key, c.date_of_birth, c.middle_key, c.suffix_key
		FROM kinderconnect.child c
		WHERE since > '-infinity' AND c.organization_id = organization AND c.changed_at < since
			AND c.unlinked_because NOT IN ('not_matched_yet', 'several_at_service', 'already_linked')
			AND (c.date_of_birth, c.last_key, c.first_key) IN (SELECT * FROM near)
	), now AS MATERIALIZED (
		SELECT * FROM kinderconnect._manage_now(organization) WHERE NOT read AND EXISTS (SELECT FROM wanted)
	), manage AS NOT MATERIALIZED (
		SELECT m.child_id, m.location_id, m.date_of_birth, m.active, m.first_key, m.middle_key, m.last_key, m.suffix_key
		FROM kinderconnect.known_child m
		WHERE read AND m.organization_id = organization
		UNION ALL
		SELECT n.child_id, n.location_id, n.date_of_birth, n.active, n.first_key, n.middle_key, n.last_key, n.suffix_key FROM now n
	), ended AS (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, k.end_reason LIKE 'merged into %' AS merged
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NOT NULL AND (few IS NULL OR k.kinderconnect_child_id = ANY (few))
		UNION
		SELECT r.agency_id, r.kinderconnect_child_id, r.child_id, false
		FROM kinderconnect.parted_pair r
		WHERE r.organization_id = organization
	), site AS (
		SELECT DISTINCT l.agency_id, l.kinderconnect_child_id, p.location_id
		FROM kinderconnect.listed_authorization l
		JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (l.organization_id, l.agency_id, l.provider_id)
		WHERE l.organization_id = organization AND p.location_id IS NOT NULL AND (few IS NULL OR l.kinderconnect_child_id = ANY (few))
	), stored AS (
		SELECT s.agency_id, s.kinderconnect_child_id, s.child_id,
			bool_or((nullif(w.first_key, '') = m.first_key IS TRUE)::integer + (nullif(w.last_key, '') = m.last_key IS TRUE)::integer
				+ (w.date_of_birth = m.date_of_birth IS TRUE)::integer >= 2) AS agrees
		FROM kinderconnect._stored_ids(organization) s
		JOIN wanted w ON (w.agency_id, w.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		LEFT JOIN manage m ON m.child_id = s.child_id
		WHERE NOT EXISTS (SELECT FROM ended e WHERE (e.agency_id, e.kinderconnect_child_id, e.child_id)
			= (s.agency_id, s.kinderconnect_child_id, s.child_id))
		GROUP BY s.agency_id, s.kinderconnect_child_id, s.child_id
	), fitting AS MATERIALIZED (
		SELECT w.agency_id, w.kinderconnect_child_id, m.child_id,
			bool_and(CASE WHEN w.middle_key IS NOT NULL AND m.middle_key IS NOT NULL THEN kinderconnect._middle_agrees(w.middle_key, m.middle_key) ELSE true END
				AND (w.suffix_key = m.suffix_key) IS NOT FALSE) AS whole,
			bool_or(s.location_id IS NOT NULL) AS at_site,
			min(CASE WHEN s.location_id IS NOT NULL AND m.active THEN 0 WHEN s.location_id IS NOT NULL OR m.active THEN 1 ELSE 2 END) AS rank
		FROM wanted w
		JOIN manage m ON (m.date_of_birth, m.last_key, m.first_key) = (w.date_of_birth, w.last_key, w.first_key)
		LEFT JOIN site s ON (s.agency_id, s.kinderconnect_child_id, s.location_id) = (w.agency_id, w.kinderconnect_child_id, m.location_id)
		WHERE w.first_key <> '' AND w.last_key <> ''
			AND NOT EXISTS (SELECT FROM ended e WHERE (e.agency_id, e.kinderconnect_child_id, e.child_id)
				= (w.agency_id, w.kinderconnect_child_id, m.child_id))
		GROUP BY w.agency_id, w.kinderconnect_child_id, m.child_id
	), by_child AS (
		SELECT f.agency_id, f.kinderconnect_child_id, count(*) AS fits, min(f.child_id) AS child_id,
			bool_and(f.whole) AS whole, bool_or(f.at_site) AS at_site, min(f.rank) FILTER (WHERE f.whole) AS best_rank
		FROM fitting f GROUP BY f.agency_id, f.kinderconnect_child_id
	), by_manage AS (
		SELECT f.agency_id, f.child_id, count(*) AS fits FROM fitting f GROUP BY f.agency_id, f.child_id
	), outcome AS MATERIALIZED (
		-- most children have one fit, and that one no other
		SELECT b.agency_id, b.kinderconnect_child_id, b.child_id, b.whole, b.at_site, b.best_rank, b.fits = 1 AND n.fits = 1 AS alone
		FROM by_child b
		JOIN by_manage n ON (n.agency_id, n.child_id) = (b.agency_id, b.child_id)
	), best AS (
		SELECT f.agency_id, f.kinderconnect_child_id, f.child_id, f.at_site
		FROM fitting f
		JOIN outcome o ON NOT o.alone AND (o.agency_id, o.kinderconnect_child_id, o.best_rank) = (f.agency_id, f.kinderconnect_child_id, f.rank)
		WHERE f.whole
	), counted AS (
		SELECT b.*, count(*) OVER (PARTITION BY b.agency_id, b.kinderconnect_child_id) AS in_manage,
			count(*) OVER (PARTITION BY b.agency_id, b.child_id) AS at_service
		FROM best b
	), fit AS (
		SELECT o.agency_id, o.kinderconnect_child_id, CASE WHEN o.whole THEN o.child_id END AS child_id, o.at_site, 1 AS in_manage, 1 AS at_service
		FROM outcome o WHERE o.alone
		UNION ALL
		(SELECT DISTINCT ON (o.agency_id, o.kinderconnect_child_id) o.agency_id, o.kinderconnect_child_id,
			c.child_id, c.at_site, c.in_manage, c.at_service
		FROM outcome o
		LEFT JOIN counted c ON (c.agency_id, c.kinderconnect_child_id) = (o.agency_id, o.kinderconnect_child_id)
		WHERE NOT o.alone
		ORDER BY o.agency_id, o.kinderconnect_child_id, c.at_service DESC)
	), apart AS (
		-- whose own child is in Manage, but is not theirs to have
		SELECT w.agency_id, w.kinderconnect_child_id, bool_and(e.merged) AS merged
		FROM wanted w
		JOIN ended e ON (e.agency_id, e.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		JOIN manage m ON m.child_id = e.child_id AND (m.date_of_birth, m.last_key, m.first_key) = (w.date_of_birth, w.last_key, w.first_key)
		GROUP BY w.agency_id, w.kinderconnect_child_id
	), verdict AS (
		SELECT w.due, w.agency_id, w.kinderconnect_child_id,
			CASE
				WHEN st.n = 1 AND st.agrees THEN st.child_id
				WHEN st.n IS NULL AND c.in_manage = 1 AND c.at_service = 1 THEN c.child_id
			END AS child_id,
			CASE
				WHEN st.n IS NOT NULL THEN 'stored_id'
				WHEN c.at_site THEN 'exact_location'
				ELSE 'exact_organization'
			END AS method,
			CASE
				WHEN st.n > 1 THEN 'several_stored_ids'
				WHEN NOT st.agrees THEN 'id_disagrees'
				WHEN w.date_of_birth IS NULL THEN 'no_birth_date'
				WHEN coalesce(w.first_key, '') = '' OR coalesce(w.last_key, '') = '' THEN 'no_name'
				WHEN c.kinderconnect_child_id IS NULL AND a.merged THEN 'merged'
				WHEN c.kinderconnect_child_id IS NULL AND NOT a.merged THEN 'parted'
				WHEN c.kinderconnect_child_id IS NULL THEN 'not_in_manage'
				WHEN c.child_id IS NULL THEN 'middle_name_or_suffix'
				WHEN c.in_manage > 1 THEN 'several_in_manage'
				WHEN c.at_service > 1 THEN 'several_at_service'
			END AS because
		FROM wanted w
		LEFT JOIN (SELECT s.agency_id, s.kinderconnect_child_id, count(*) AS n, min(s.child_id) AS child_id, coalesce(bool_and(s.agrees), false) AS agrees
			FROM stored s GROUP BY s.agency_id, s.kinderconnect_child_id) st
			ON (st.agency_id, st.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		LEFT JOIN fit c ON (c.agency_id, c.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		LEFT JOIN apart a ON (a.agency_id, a.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
	), clash AS (
		-- A stored id and an exact fit, or two stored ids, may still claim one
		-- child of Manage between them.
		SELECT v.agency_id, v.child_id
		FROM verdict v
		JOIN (SELECT DISTINCT s.agency_id, s.child_id FROM verdict s WHERE s.method = 'stored_id') s
			ON (s.agency_id, s.child_id) = (v.agency_id, v.child_id)
		GROUP BY v.agency_id, v.child_id
		HAVING count(*) > 1
	), agreed AS (
		SELECT v.*, k.child_id IS NOT NULL AS taken, d.child_id IS NOT NULL AS clashes
		FROM verdict v
		LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.child_id) = (organization, v.agency_id, v.child_id)
		LEFT JOIN clash d ON (d.agency_id, d.child_id) = (v.agency_id, v.child_id)
	)
	SELECT a.agency_id, a.kinderconnect_child_id,
		CASE WHEN NOT a.clashes AND NOT a.taken THEN a.child_id END,
		CASE WHEN NOT a.clashes AND NOT a.taken AND a.child_id IS NOT NULL THEN a.method END,
		CASE WHEN a.child_id IS NULL THEN a.because
			WHEN a.taken THEN 'already_linked'
			WHEN a.clashes THEN 'several_at_service' END
	FROM agreed a
	WHERE a.due;
END;
$$;
COMMENT ON FUNCTION kinderconnect._new_links(text, boolean, timestamptz) IS
'the KinderConnect children of an organization without a link that are due since then, by default all: the child of Manage each is, or why that cannot be told. Changes nothing. With read, known_child is what Manage says; else Manage itself is asked';

CREATE FUNCTION kinderconnect._differing(c kinderconnect.child, date_of_birth date, first_key text, middle_key text, last_key text, suffix_key text) RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN array_remove(ARRAY[
		CASE WHEN (c.first_key = _differing.first_key) IS NOT TRUE THEN 'first_name' END,
		CASE WHEN NOT kinderconnect._middle_agrees(c.middle_key, _differing.middle_key) THEN 'middle_name' END,
		CASE WHEN (c.last_key = _differing.last_key) IS NOT TRUE THEN 'last_name' END,
		CASE WHEN c.suffix_key <> _differing.suffix_key THEN 'suffix' END,
		CASE WHEN c.date_of_birth <> _differing.date_of_birth THEN 'date_of_birth' END], NULL);
COMMENT ON FUNCTION kinderconnect._differing(kinderconnect.child, date, text, text, text, text) IS
'what speaks against a child''s being one of Manage: names of columns';

-- A link stands while the birth date and at least one name agree; one that a
-- stored id or a person made, also where a birth date is missing. What a
-- person saw and linked all the same is no news. Where Manage has a child in
-- several rows, one that agrees is enough.
CREATE FUNCTION kinderconnect._flag(method text, known text[], differing text[], born boolean, gone boolean) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN gone THEN 'child_gone'
		WHEN 'date_of_birth' = ANY (differing) OR method LIKE 'exact%' AND NOT born OR differing @> '{first_name,last_name}' THEN 'link_disagrees'
		WHEN NOT differing <@ known THEN 'name_changed'
	END;
COMMENT ON FUNCTION kinderconnect._flag(text, text[], text[], boolean, boolean) IS
'the flag that a link deserves; known is what spoke against it when it was made, differing what does now, born whether both sides have a birth date, gone that Manage has no such child';

-- The agency merged two ids: the one that is linked is no longer listed in any
-- month looked at, another of the same name and birth date is, and would be
-- linked but for that. Who fits is settled by then, so these are few.
CREATE FUNCTION kinderconnect._merges(organization text, taken_agencies text[], taken_children text[])
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, into_id text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH listed AS (
		SELECT n.agency_id, n.kinderconnect_child_id, n.date_of_birth, n.last_key, n.first_key
		FROM unnest(taken_agencies, taken_children) t (agency_id, kinderconnect_child_id)
		JOIN kinderconnect.child n ON (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (organization, t.agency_id, t.kinderconnect_child_id)
		WHERE EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
				WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (n.organization_id, n.agency_id, n.kinderconnect_child_id))
	)
	SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, min(n.kinderconnect_child_id)
	FROM listed n
	JOIN kinderconnect.child o ON (o.organization_id, o.agency_id, o.date_of_birth, o.last_key, o.first_key)
		= (organization, n.agency_id, n.date_of_birth, n.last_key, n.first_key)
	JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (organization, o.agency_id, o.kinderconnect_child_id)
	WHERE NOT EXISTS (SELECT FROM kinderconnect.parted_pair r WHERE (r.organization_id, r.agency_id, r.kinderconnect_child_id, r.child_id)
			= (organization, n.agency_id, n.kinderconnect_child_id, k.child_id))
		AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
			WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (organization, o.agency_id, o.kinderconnect_child_id))
	GROUP BY k.agency_id, k.kinderconnect_child_id, k.child_id
	-- of two, nobody knows which
	HAVING count(*) = 1;
END;
$$;
COMMENT ON FUNCTION kinderconnect._merges(text, text[], text[]) IS
'the linked ids that the agency merged into another, of those whose child of Manage is taken; given by agency and id. Changes nothing';

-- preview()'s, for all links there would be. An id that takes the place of
-- another tonight has its child, if that one fits.
CREATE FUNCTION kinderconnect._links(organization text)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, flag text, unlinked_because text, formerly text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH standing AS MATERIALIZED (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, k.method, k.differing, NULL::text AS because
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NULL
		UNION ALL
		SELECT n.agency_id, n.kinderconnect_child_id, n.child_id, n.method, NULL, n.unlinked_because FROM kinderconnect._new_links(organization) n
	), manage AS MATERIALIZED (
		SELECT * FROM kinderconnect._manage_now(organization)
	), merge AS MATERIALIZED (
		SELECT m.agency_id, m.kinderconnect_child_id, m.into_id, m.child_id,
			EXISTS (SELECT FROM manage g JOIN kinderconnect.child n ON (n.date_of_birth, n.last_key, n.first_key) = (g.date_of_birth, g.last_key, g.first_key)
				WHERE g.child_id = m.child_id AND (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (organization, m.agency_id, m.into_id)) AS fits
		FROM kinderconnect._merges(organization,
			(SELECT array_agg(s.agency_id ORDER BY s.agency_id, s.kinderconnect_child_id) FROM standing s WHERE s.because = 'already_linked'),
			(SELECT array_agg(s.kinderconnect_child_id ORDER BY s.agency_id, s.kinderconnect_child_id) FROM standing s WHERE s.because = 'already_linked')) m
	), link AS (
		SELECT s.agency_id, s.kinderconnect_child_id,
			CASE WHEN o.agency_id IS NOT NULL THEN NULL WHEN n.fits THEN n.child_id ELSE s.child_id END AS child_id,
			CASE WHEN n.fits THEN 'exact_location' ELSE s.method END AS method, s.differing,
			CASE WHEN o.agency_id IS NOT NULL THEN 'merged' WHEN n.fits THEN NULL ELSE s.because END AS because,
			CASE WHEN n.fits THEN n.kinderconnect_child_id END AS formerly
		FROM standing s
		LEFT JOIN merge o ON (o.agency_id, o.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		LEFT JOIN merge n ON (n.agency_id, n.into_id) = (s.agency_id, s.kinderconnect_child_id)
	)
	SELECT DISTINCT ON (k.agency_id, k.kinderconnect_child_id) k.agency_id, k.kinderconnect_child_id, k.child_id, f.flag, k.because, k.formerly
	FROM link k
	JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id)
	LEFT JOIN manage m ON m.child_id = k.child_id
	CROSS JOIN LATERAL (SELECT CASE WHEN k.child_id IS NOT NULL THEN kinderconnect._flag(k.method, k.differing,
		kinderconnect._differing(c, m.date_of_birth, m.first_key, m.middle_key, m.last_key, m.suffix_key),
		c.date_of_birth = m.date_of_birth IS NOT NULL, m.child_id IS NULL) END AS flag) f
	ORDER BY k.agency_id, k.kinderconnect_child_id, f.flag DESC NULLS FIRST;
END;
$$;
COMMENT ON FUNCTION kinderconnect._links(text) IS
'the links in force and those that _match() would make, each with the flag it deserves now, and the children that stay without one; formerly is an id that the agency merged into this one since the last match. Changes nothing';

CREATE FUNCTION kinderconnect._few_changed(organization text, since timestamptz, changed text[]) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT since > '-infinity' AND coalesce(cardinality(changed), 0) <= 5000
		-- the first night has no statistics
		AND EXISTS (SELECT FROM kinderconnect.match_state s WHERE s.organization_id = organization)
		AND (SELECT count(*) <= 5000 FROM (SELECT FROM kinderconnect.child c WHERE c.organization_id = organization AND c.changed_at >= since LIMIT 5001) c)
		AND (SELECT count(*) <= 5000 FROM (SELECT FROM kinderconnect.child_link k
			WHERE k.organization_id = organization AND k.ended_at IS NULL AND k.differing IS NULL LIMIT 5001) k);
END;
COMMENT ON FUNCTION kinderconnect._few_changed(text, timestamptz, text[]) IS
'whether so few children changed, changed naming those of Manage, that each is better looked up by itself';

-- changed: the children of Manage that are not as they were.
CREATE FUNCTION kinderconnect._flag_links(organization text, since timestamptz, changed text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
BEGIN
	IF kinderconnect._few_changed(organization, since, changed) THEN
		PERFORM set_config('enable_nestloop', 'on', true);
	END IF;
	UPDATE kinderconnect.child_link k SET flag = s.flag, differing = coalesce(k.differing, s.differing)
	FROM (
		SELECT DISTINCT ON (k.agency_id, k.kinderconnect_child_id) k.agency_id, k.kinderconnect_child_id, d.differing, f.flag
		FROM kinderconnect.child_link k
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (k.organization_id, k.agency_id, k.kinderconnect_child_id)
		LEFT JOIN kinderconnect.known_child m ON (m.organization_id, m.child_id) = (organization, k.child_id)
		CROSS JOIN LATERAL (SELECT kinderconnect._differing(c, m.date_of_birth, m.first_key, m.middle_key, m.last_key, m.suffix_key) AS differing) d
		CROSS JOIN LATERAL (SELECT kinderconnect._flag(k.method, k.differing, d.differing, c.date_of_birth = m.date_of_birth IS NOT NULL, m.child_id IS NULL) AS flag) f
		WHERE k.organization_id = organization AND k.ended_at IS NULL
			AND (k.agency_id, k.kinderconnect_child_id) IN (
				SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child n WHERE n.organization_id = organization AND n.changed_at >= since
				UNION ALL
				SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child_link n
				WHERE n.organization_id = organization AND n.ended_at IS NULL AND n.differing IS NULL
				UNION ALL
				SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child_link n
				WHERE n.organization_id = organization AND n.ended_at IS NULL AND n.child_id = ANY (changed))
		ORDER BY k.agency_id, k.kinderconnect_child_id, f.flag DESC NULLS FIRST, cardinality(d.differing), d.differing) s
	WHERE k.organization_id = organization AND k.ended_at IS NULL
		AND (k.agency_id, k.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		AND (k.flag IS DISTINCT FROM s.flag OR k.differing IS NULL);
END;
$$;
COMMENT ON FUNCTION kinderconnect._flag_links(text, timestamptz, text[]) IS
'flags the links of an organization whose two sides no longer agree, and clears those that agree again: where one of them is new or has changed';

CREATE FUNCTION kinderconnect._end_merged(organization text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	WITH merged AS (
		SELECT m.agency_id, m.kinderconnect_child_id, m.into_id
		FROM (SELECT array_agg(n.agency_id) AS agencies, array_agg(n.kinderconnect_child_id) AS children
			FROM kinderconnect.child n WHERE n.organization_id = organization AND n.unlinked_because = 'already_linked') n
		CROSS JOIN LATERAL kinderconnect._merges(organization, n.agencies, n.children) m
	), ended AS (
		UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = 'merged into ' || m.into_id
		FROM merged m
		WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (organization, m.agency_id, m.kinderconnect_child_id)
		RETURNING k.agency_id, k.kinderconnect_child_id, k.child_id
	), free AS (
		UPDATE kinderconnect.known_child m SET changed_at = 'infinity'
		FROM ended e
		WHERE (m.organization_id, m.child_id) = (organization, e.child_id)
	)
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	FROM ended e
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, e.agency_id, e.kinderconnect_child_id);
	RETURN FOUND;
END;
$$;
COMMENT ON FUNCTION kinderconnect._end_merged(text) IS 'ends the links of ids that the agency merged into another; answers whether there were any';

CREATE FUNCTION kinderconnect._match(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	last    kinderconnect.match_state;
	present kinderconnect.match_state;
	since   timestamptz := '-infinity';
	changed text[];
	born    date[];
	lasts   text[];
	firsts  text[];
BEGIN
	SELECT * INTO last FROM kinderconnect.match_state s WHERE s.organization_id = organization;
	-- of the text: the digests of two records that exchange a value have one sum
	SELECT organization, now(), e.extversion,
		(SELECT coalesce(sum(hashtextextended(ROW(p.agency_id, p.provider_id, p.location_id)::text, 0)), 0)
			FROM kinderconnect.provider p WHERE p.organization_id = organization),
		(SELECT coalesce(sum(hashtextextended(ROW(i.agency_id, i.kinderconnect_child_id, i.child_id)::text, 0)), 0)
			FROM kinderconnect._stored_ids(organization) i)
	INTO STRICT present
	FROM pg_extension e WHERE e.extname = 'kinderconnect';
	IF last.version = present.version THEN
		since := last.matched_at;
	ELSIF last.version IS NOT NULL THEN
		-- by its rules the keys may be others
		DELETE FROM kinderconnect.known_child k WHERE k.organization_id = organization;
		UPDATE kinderconnect.child c SET first_name = c.first_name WHERE c.organization_id = organization;
		DELETE FROM kinderconnect.scored_child s WHERE s.organization_id = organization;
	END IF;

	SELECT array_agg(r.child_id), array_agg(r.date_of_birth), array_agg(r.last_key), array_agg(r.first_key)
	INTO changed, born, lasts, firsts
	FROM kinderconnect._read_children(organization, since > '-infinity') r;
	IF since > '-infinity' THEN
		IF kinderconnect._few_changed(organization, since, changed) THEN
			PERFORM set_config('enable_nestloop', 'on', true);
		END IF;
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		WHERE c.organization_id = organization AND c.unlinked_because <> 'not_matched_yet'
			AND (present.sites, present.stored_ids) IS DISTINCT FROM (last.sites, last.stored_ids);
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		WHERE c.organization_id = organization AND c.unlinked_because <> 'not_matched_yet'
			AND (c.date_of_birth, c.last_key, c.first_key) IN (SELECT * FROM unnest(born, lasts, firsts));
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		WHERE c.organization_id = organization AND c.unlinked_because <> 'not_matched_yet'
			AND (c.agency_id, c.kinderconnect_child_id) IN (SELECT i.agency_id, i.kinderconnect_child_id
				FROM kinderconnect._stored_ids(organization) i WHERE i.child_id = ANY (changed));
		PERFORM kinderconnect._unscore(organization, since, changed, born, lasts);
	END IF;

	PERFORM kinderconnect._flag_links(organization, since, changed);
	LOOP
		WITH found AS MATERIALIZED (
			SELECT * FROM kinderconnect._new_links(organization, true, since)
		), linked AS (
			INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, differing)
			SELECT organization, f.agency_id, f.kinderconnect_child_id, f.child_id, f.method, CASE WHEN f.method LIKE 'exact%' THEN '{}'::text[] END
			FROM found f WHERE f.child_id IS NOT NULL
		)
		UPDATE kinderconnect.child c SET unlinked_because = f.unlinked_because
		FROM found f
		WHERE c.organization_id = organization
			AND (c.agency_id, c.kinderconnect_child_id) = (f.agency_id, f.kinderconnect_child_id)
			AND c.unlinked_because IS DISTINCT FROM f.unlinked_because;
		since := 'infinity';
		EXIT WHEN NOT kinderconnect._end_merged(organization);
	END LOOP;
	PERFORM kinderconnect._flag_links(organization, since, NULL);

	INSERT INTO kinderconnect.match_state AS s (organization_id, matched_at, version, sites, stored_ids)
	VALUES (organization, present.matched_at, present.version, present.sites, present.stored_ids)
	ON CONFLICT (organization_id) DO UPDATE
	SET matched_at = excluded.matched_at, version = excluded.version, sites = excluded.sites, stored_ids = excluded.stored_ids;
END;
$$;
COMMENT ON FUNCTION kinderconnect._match(text) IS
'links the children that can be, notes why the others cannot, and flags links whose two sides no longer agree; looks at what has changed since the last match, at all if there was none';

CREATE FUNCTION kinderconnect.link_child(organization_id text, agency_id text, kinderconnect_child_id text, child_id text, reason text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	other text;
BEGIN
	PERFORM kinderconnect._require_organization(link_child.organization_id);
	IF NOT EXISTS (SELECT FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
			= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id)) THEN
		RAISE EXCEPTION 'agency "%" lists no child "%"', link_child.agency_id, link_child.kinderconnect_child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.child.';
	END IF;
	IF NOT EXISTS (SELECT FROM kinderconnect.manage_child m WHERE (m.organization_id, m.child_id) = (link_child.organization_id, link_child.child_id)) THEN
		RAISE EXCEPTION 'organization "%" has no child "%" in Manage', link_child.organization_id, link_child.child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.manage_child.';
	END IF;
	SELECT k.kinderconnect_child_id INTO other FROM kinderconnect.child_link k
	WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.child_id) = (link_child.organization_id, link_child.agency_id, link_child.child_id)
		AND k.kinderconnect_child_id <> link_child.kinderconnect_child_id;
	IF FOUND THEN
		RAISE EXCEPTION 'child "%" of Manage is linked to child "%" of agency "%"', link_child.child_id, other, link_child.agency_id
			USING ERRCODE = 'unique_violation', HINT = 'End that link first: SELECT kinderconnect.unlink_child(organization_id, agency_id, kinderconnect_child_id, reason).';
	END IF;
	WITH replaced AS (
		UPDATE kinderconnect.child_link k SET ended_at = now(), ended_by = session_user, end_reason = 'replaced'
		WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id)
			= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id)
		RETURNING k.child_id
	)
	UPDATE kinderconnect.known_child m SET changed_at = 'infinity'
	FROM replaced r WHERE (m.organization_id, m.child_id) = (link_child.organization_id, r.child_id);
	INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, linked_at)
	VALUES (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id, link_child.child_id, 'person', clock_timestamp());
	INSERT INTO kinderconnect.child_decision (organization_id, agency_id, kinderconnect_child_id, child_id, decision, reason)
	VALUES (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id, link_child.child_id, 'link', link_child.reason);
	UPDATE kinderconnect.child c SET unlinked_because = NULL
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect.link_child(text, text, text, text, text) IS
'a person''s decision that a KinderConnect child is this child of Manage; replaces a link in force';

CREATE FUNCTION kinderconnect.unlink_child(organization_id text, agency_id text, kinderconnect_child_id text, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	parted text;
BEGIN
	IF nullif(btrim(unlink_child.reason), '') IS NULL THEN
		RAISE EXCEPTION 'a reason must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = unlink_child.reason
	WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id)
		= (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id)
	RETURNING k.child_id INTO parted;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'child "%" of agency "%" has no link', unlink_child.kinderconnect_child_id, unlink_child.agency_id
			USING ERRCODE = 'KC001', HINT = 'Links are listed in kinderconnect.child_link.';
	END IF;
	INSERT INTO kinderconnect.child_decision (organization_id, agency_id, kinderconnect_child_id, child_id, decision, reason)
	VALUES (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id, parted, 'unlink', unlink_child.reason);
	-- whoever it might be instead, and who else the child of Manage might be
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id);
	UPDATE kinderconnect.known_child m SET changed_at = 'infinity'
	WHERE (m.organization_id, m.child_id) = (unlink_child.organization_id, parted);
END;
$$;
COMMENT ON FUNCTION kinderconnect.unlink_child(text, text, text, text) IS
'ends a link, with the reason; its days already accepted are held as authorization_lost, void_day() takes them back';

CREATE VIEW kinderconnect.child_match_status AS
SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id, c.first_name, c.last_name, c.date_of_birth,
	CASE WHEN k.child_id IS NULL THEN coalesce(c.unlinked_because, 'not_matched_yet') ELSE coalesce(k.flag, 'linked') END AS status,
	k.child_id, k.method, m.first_name AS manage_first_name, m.last_name AS manage_last_name, m.date_of_birth AS manage_date_of_birth,
	NOT m.active AS inactive_in_manage, coalesce(o.organizations, 0) AS other_organizations, coalesce(n.candidates, 0) AS candidates, n.best_score
FROM kinderconnect.child c
LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
	AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)
LEFT JOIN (SELECT DISTINCT ON (m.organization_id, m.child_id) m.* FROM kinderconnect.known_child m
	ORDER BY m.organization_id, m.child_id, m.active DESC, m.location_id) m ON (m.organization_id, m.child_id) = (k.organization_id, k.child_id)
LEFT JOIN (SELECT o.agency_id, o.kinderconnect_child_id, count(*) - 1 AS organizations FROM kinderconnect.child o
	GROUP BY o.agency_id, o.kinderconnect_child_id) o ON (o.agency_id, o.kinderconnect_child_id) = (c.agency_id, c.kinderconnect_child_id)
LEFT JOIN (SELECT n.organization_id, n.agency_id, n.kinderconnect_child_id, count(*) AS candidates, max(n.score) AS best_score
	FROM kinderconnect.match_candidate n GROUP BY n.organization_id, n.agency_id, n.kinderconnect_child_id) n
	ON k.child_id IS NULL AND (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id);
COMMENT ON VIEW kinderconnect.child_match_status IS
'every KinderConnect child once, with both sides of its link, or why it has none; the sum over status is the number of children';
COMMENT ON COLUMN kinderconnect.child_match_status.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_match_status.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_match_status.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_match_status.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.child_match_status.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.child_match_status.date_of_birth IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.child_match_status.status IS 'linked; flag of child_link; unlinked_because of child; or not_matched_yet';
COMMENT ON COLUMN kinderconnect.child_match_status.child_id IS 'the child of Manage it is linked to';
COMMENT ON COLUMN kinderconnect.child_match_status.method IS 'how it was linked';
COMMENT ON COLUMN kinderconnect.child_match_status.manage_first_name IS 'as Manage had it at the last match';
COMMENT ON COLUMN kinderconnect.child_match_status.manage_last_name IS 'as Manage had it at the last match';
COMMENT ON COLUMN kinderconnect.child_match_status.manage_date_of_birth IS 'as Manage had it at the last match';
COMMENT ON COLUMN kinderconnect.child_match_status.inactive_in_manage IS 'Manage says that the child left';
COMMENT ON COLUMN kinderconnect.child_match_status.other_organizations IS 'how many more organizations the agency lists this id for';
COMMENT ON COLUMN kinderconnect.child_match_status.candidates IS 'children of Manage it might be: match_candidate';
COMMENT ON COLUMN kinderconnect.child_match_status.best_score IS 'score of the likeliest';
-- What the agencies ask of a child-day: rows, so that another state, or a rule
-- that changes on a date, needs no code.

CREATE TABLE kinderconnect.rule (
	rule    text PRIMARY KEY,
	unit    text NOT NULL,
	meaning text NOT NULL
);
COMMENT ON TABLE kinderconnect.rule IS 'the rules that can be set; shipped, not edited';
COMMENT ON COLUMN kinderconnect.rule.rule IS 'name in agency_rule';
COMMENT ON COLUMN kinderconnect.rule.unit IS 'what its value is';
COMMENT ON COLUMN kinderconnect.rule.meaning IS 'what it does';

INSERT INTO kinderconnect.rule VALUES
	('entry_window_days', 'days', 'a service date is open while it is not older than the location''s local date less so many days'),
	('correction_window_days', 'days', 'the same for a day already accepted; without it entry_window_days'),
	('sessions_per_day', 'sessions', 'In/Out pairs the agency takes on a day'),
	('lone_punch', 'send or hold', 'a day with only one of check-in and check-out; without it such a day is held'),
	('closures', 'send or omit', 'closures of the site; without it they are sent'),
	('absences', 'send or omit', 'absences; without it they are sent'),
	('overnight', 'whole or split', 'care past midnight: whole, with the day of its check-in; split, at midnight, each part with its day; without it it is held');

CREATE TABLE kinderconnect.agency_rule (
	agency_id text CHECK (agency_id <> ''),
	state     text CHECK (state ~ '^[A-Z]{2}$'),
	rule      text NOT NULL REFERENCES kinderconnect.rule,
	valid     daterange NOT NULL CHECK (NOT isempty(valid)),
	value     text NOT NULL,
	enforced  boolean NOT NULL,
	source    text NOT NULL,
	note      text,
	shipped   bigint,
	builtin   boolean NOT NULL GENERATED ALWAYS AS ((shipped = hash_record_extended(ROW(agency_id, state, rule, valid, value, enforced, source, note), 0)) IS TRUE) STORED,
	CONSTRAINT agency_rule_is_of_one CHECK (num_nonnulls(agency_id, state) = 1),
	CONSTRAINT agency_rule_value CHECK (CASE
		WHEN rule IN ('entry_window_days', 'correction_window_days', 'sessions_per_day') THEN value ~ '^[0-9]{1,4}$'
		WHEN rule = 'lone_punch' THEN value IN ('send', 'hold')
		WHEN rule IN ('closures', 'absences') THEN value IN ('send', 'omit')
		WHEN rule = 'overnight' THEN value IN ('whole', 'split')
		ELSE true END),
	CONSTRAINT agency_rule_one_at_a_time EXCLUDE USING gist ((coalesce(agency_id, '')) WITH =, (coalesce(state, '')) WITH =, rule WITH =, (builtin::integer) WITH =, valid WITH &&)
);
COMMENT ON TABLE kinderconnect.agency_rule IS
'rules of an agency or of a state, the agency''s first; what is not publicly known has no row and holds nothing back';
COMMENT ON COLUMN kinderconnect.agency_rule.agency_id IS 'the agency, or null for a rule of the state';
COMMENT ON COLUMN kinderconnect.agency_rule.state IS 'two-letter code, or null for a rule of the agency';
COMMENT ON COLUMN kinderconnect.agency_rule.rule IS 'which: kinderconnect.rule';
COMMENT ON COLUMN kinderconnect.agency_rule.valid IS 'service dates it holds for';
COMMENT ON COLUMN kinderconnect.agency_rule.value IS 'in the unit of the rule';
COMMENT ON COLUMN kinderconnect.agency_rule.enforced IS 'false: known from a secondary source only, nothing is held back for it';
COMMENT ON COLUMN kinderconnect.agency_rule.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.agency_rule.note IS 'what else is known';
COMMENT ON COLUMN kinderconnect.agency_rule.shipped IS 'digest of the row as it was shipped; null: it was not';
COMMENT ON COLUMN kinderconnect.agency_rule.builtin IS 'true: as shipped, replaced by an upgrade. Your own row beside it wins; one that you edit is your own from then on: an upgrade leaves it, and pg_dump keeps it';

INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source, note, shipped)
SELECT v.*, hash_record_extended(ROW(NULL::text, v.*), 0) FROM (VALUES
	('TX', 'lone_punch', '(,2026-04-01)'::daterange, 'send', true,
		'TWC, Provider Attendance Matrix, as retold by a third party', 'one of In and Out made a day; sending it holds nothing back'),
	('TX', 'lone_punch', '[2026-04-01,)', 'hold', true,
		'Workforce Solutions Rural Capital Area, 2026-03-23: A simple shift, a stronger system', 'from 1 April 2026 both In and Out on the same day'),
	('TX', 'entry_window_days', '(,)', '6', false,
		'TWC, Provider Attendance Matrix, as retold by a third party', 'the agency decides; set enforced once it is confirmed'),
	('TX', 'closures', '(,)', 'omit', false,
		'TWC, Provider Attendance Matrix, as retold by a third party', 'providers enter no closures, training days or holidays')) v (state, rule, valid, value, enforced, source, note);

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.agency_rule', 'WHERE NOT builtin');

CREATE TABLE kinderconnect.absence_reason (
	agency_id text NOT NULL CHECK (agency_id <> ''),
	reason    text NOT NULL CHECK (reason <> ''),
	code      text NOT NULL CHECK (code <> ''),
	PRIMARY KEY (agency_id, reason)
);
COMMENT ON TABLE kinderconnect.absence_reason IS
'an agency''s code for each of Manage''s absence reasons. An agency without rows gets Manage''s word as it is';
COMMENT ON COLUMN kinderconnect.absence_reason.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.absence_reason.reason IS 'Manage''s word, compared folded';
COMMENT ON COLUMN kinderconnect.absence_reason.code IS 'the agency''s code';

CREATE UNIQUE INDEX absence_reason_folded ON kinderconnect.absence_reason (agency_id, kinderconnect.fold(reason));

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.absence_reason', '');

-- Why a child-day is not sent, and what to do: the manual of the held.
CREATE TABLE kinderconnect.reason (
	reason     text PRIMARY KEY,
	meaning    text NOT NULL,
	what_to_do text NOT NULL
);
COMMENT ON TABLE kinderconnect.reason IS 'why a child-day is not sent, and what to do about it; shipped, not edited';
COMMENT ON COLUMN kinderconnect.reason.reason IS 'code in child_day';
COMMENT ON COLUMN kinderconnect.reason.meaning IS 'in words';
COMMENT ON COLUMN kinderconnect.reason.what_to_do IS 'the cure';

INSERT INTO kinderconnect.reason VALUES
	('organization_disabled', 'the organization''s integration is switched off', 'Call enable_integration() to take it up again.'),
	('provider_disabled', 'the provider is switched off, or is only listed and the organization adopts none', 'Call add_provider().'),
	('provider_inactive', 'the service lists the provider or its customer as not active, or no longer at all', 'Ask the agency; nothing is sent until it lists the provider again.'),
	('provider_unmatched', 'no single location of Manage was found for the provider', 'See provider_review; call add_provider() with the location.'),
	('no_time_zone', 'neither Manage''s location nor the agency has a known time zone', 'Give the location its IANA zone in Manage.'),
	('unmatched', 'the child has no link to a child of Manage; detail says why', 'Correct the name or birth date where it is wrong, or call link_child().'),
	('link_disagrees', 'name or birth date of the linked children no longer agree', 'Correct the side that is wrong, or call unlink_child() or link_child().'),
	('child_gone', 'Manage no longer has the linked child', 'If Manage merged two records, call link_child() with the one that stayed.'),
	('merged_child', 'the service accepted the day under the child''s former id', 'Nothing, if the agency carried the day over; else void_day() of the former id.'),
	('not_authorized', 'attendance on a day that no authorization covers', 'Ask the agency to extend the authorization; the day is sent when it arrives.'),
	('authorization_ended', 'attendance after the child''s last authorization at the provider has ended', 'Ask the agency to renew it; the day is sent when the new one arrives.'),
	('not_authorized_weekday', 'the authorization leaves this weekday out', 'Ask the agency, or correct the day in Manage.'),
	('authorization_lost', 'the service accepted the day, and its authorization or link is gone since', 'A person decides: void_day() takes the day back; else leave it.'),
	('two_providers', 'two provider IDs authorize the child on this day: of one location, or with an absence or a closure at both', 'Ask the agency which one counts; then disable_provider(), end the other authorization, or delete the absence in Manage.'),
	('other_provider', 'the child was at another authorized provider on this day, or is absent there', 'Nothing: the day is said there.'),
	('nothing_recorded', 'authorized, and Manage has neither session, absence nor closure', 'Record the attendance or the absence in Manage: an unclaimed day.'),
	('missing_check_out', 'a session without a check-out', 'Enter the check-out in Manage.'),
	('missing_check_in', 'a session without a check-in', 'Enter the check-in in Manage.'),
	('out_before_in', 'a session whose check-out is before its check-in', 'Correct the session in Manage.'),
	('too_short', 'check-in and check-out in the same minute', 'Correct or delete the session in Manage.'),
	('too_long', 'a session of more than 24 hours', 'Correct the session in Manage.'),
	('overlapping_sessions', 'two sessions overlap, at one site or at two, or one is there twice', 'Correct the sessions in Manage.'),
	('over_midnight', 'a session ends on a later date, and the agency has no rule for that', 'Correct it if it is wrong; else ask the agency and add a row "overnight" to agency_rule.'),
	('clock_change', 'the clocks change on this day, and the wall times cannot say when the session was', 'Report the day to the agency by hand.'),
	('too_many_sessions', 'more sessions than the agency takes on a day, or than its service has places for', 'Report the day to the agency by hand, or join the sessions in Manage.'),
	('unknown_kind', 'a row of Manage that is neither session, absence nor closure', 'Mend the query bound as "attendance": its CASE has to cover this word.'),
	('conflict', 'session, absence and closure contradict each other on this day', 'Delete the wrong ones in Manage.'),
	('absence_reason', 'the agency has a list of absence reasons, and this one is not in it', 'Add the reason to absence_reason, or correct it in Manage.'),
	('window_closed', 'the agency no longer takes entries for this day', 'Report it to the agency by its own way of late entries.'),
	('unfinished_day', 'the day is not over at the location', 'Nothing: this is how it stands, and the night after it decides.'),
	('horizon_passed', 'still to be sent when it grew older than the horizon, so that Manage is no longer looked at', 'Raise kinderconnect.horizon_days, or report the day to the agency by hand.'),
	('cannot_void', 'deleted in Manage after the service accepted it, and the service cannot take a day back', 'Delete it in the agency''s portal.'),
	('source_shrank', 'most accepted days of the provider or the organization, or all attendance, have suddenly vanished from Manage', 'If they were deleted on purpose, call accept_shrink(); else mend the binding.'),
	('no_child', 'rows of Manage: a session or an absence of nobody', 'Only a closure, of the whole location, is without a child: give the rows their child, or leave them out of the binding.'),
	('unknown_child', 'rows of Manage: of a child that manage_child does not have', 'Bind "child" and "attendance" to the same ids.'),
	('unknown_location', 'rows of Manage: at a location that manage_location does not have', 'Bind "location" and "attendance" to the same ids.'),
	('other_organization', 'rows of Manage: the child or the location is another organization''s', 'Correct organization_id in the query bound as "attendance".'),
	('no_times', 'rows of Manage: a session with neither check-in nor check-out', 'Enter the times in Manage, or delete the session.'),
	('no_date', 'rows of Manage: an absence or a closure without service_date', 'Enter the date in Manage.'),
	('no_provider', 'rows of Manage: of an authorized child, at a location without a provider ID', 'If the agency lists the location, call add_provider(); else correct the location in Manage.'),
	('future_session', 'rows of Manage: a session that is dated after today', 'Correct its times in Manage; else it waits until its day is over.'),
	('not_yet', 'rows of Manage: an absence or a closure after today', 'Nothing: it is planned when its day is over.'),
	('not_authorized_any_more', 'the authorization was taken back, and nothing was recorded or sent for the day', 'Nothing.'),
	('closure_not_taken', 'a closure, and the agency takes none, or its service has no word for one', 'Nothing.'),
	('absence_not_taken', 'an absence, and the agency takes none, or its service has no word for one', 'Nothing.');

-- The rules in force for an agency on a day, as one object: the agency's win
-- over the state's, the DBA's over the shipped.
CREATE FUNCTION kinderconnect._rules(agency text, day date) RETURNS jsonb
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT coalesce(jsonb_object_agg(r.rule, r.value) FILTER (WHERE r.enforced), '{}')
	FROM (SELECT DISTINCT ON (r.rule) r.rule, r.value, r.enforced
		FROM kinderconnect.agency_rule r
		LEFT JOIN kinderconnect.agency a ON a.agency_id = agency
		WHERE (r.agency_id = agency OR r.state = a.state) AND r.valid @> day
		ORDER BY r.rule, r.agency_id NULLS LAST, r.builtin) r;
END;
COMMENT ON FUNCTION kinderconnect._rules(text, date) IS 'the enforced rules of an agency, or its state, for a service date';
-- What the states say of absences and units: rows, as in rule.sql, but nothing
-- here is asked by the plan. A limit warns and a band informs; both hold
-- nothing back, for the agency counts for itself.

CREATE TABLE kinderconnect.absence_limit (
	agency_id         text CHECK (agency_id <> ''),
	state             text CHECK (state ~ '^[A-Z]{2}$'),
	limit_name        text NOT NULL CHECK (limit_name <> ''),
	valid             daterange NOT NULL CHECK (NOT isempty(valid)),
	counts            text NOT NULL CHECK (counts IN ('absence', 'closure')),
	uncounted_reasons text[],
	counts_unrecorded boolean NOT NULL DEFAULT false,
	period_months     integer NOT NULL CHECK (period_months BETWEEN 1 AND 12 AND 12 % period_months = 0),
	period_begins     integer CHECK (period_begins BETWEEN 1 AND 12),
	at_most           integer CHECK (at_most >= 0),
	needs_attended    integer CHECK (needs_attended > 0),
	enforced          boolean NOT NULL,
	source            text NOT NULL,
	note              text,
	shipped           bigint,
	builtin           boolean NOT NULL GENERATED ALWAYS AS ((shipped = hash_record_extended(ROW(agency_id, state, limit_name, valid, counts, uncounted_reasons,
		counts_unrecorded, period_months, period_begins, at_most, needs_attended, enforced, source, note), 0)) IS TRUE) STORED,
	CONSTRAINT absence_limit_is_of_one CHECK (num_nonnulls(agency_id, state) = 1),
	CONSTRAINT absence_limit_says_one CHECK (num_nonnulls(at_most, needs_attended) <= 1),
	CONSTRAINT absence_limit_one_at_a_time EXCLUDE USING gist ((coalesce(agency_id, '')) WITH =, (coalesce(state, '')) WITH =, limit_name WITH =, (builtin::integer) WITH =, valid WITH &&)
);
COMMENT ON TABLE kinderconnect.absence_limit IS
'how many absences or closures an agency or a state pays or bears; the agency''s rows win over the state''s, your own over the shipped, name by name. They warn in absence_use and never hold a day back; what is not publicly known has no row';
COMMENT ON COLUMN kinderconnect.absence_limit.agency_id IS 'the agency, or null for a limit of the state';
COMMENT ON COLUMN kinderconnect.absence_limit.state IS 'two-letter code, or null for a limit of the agency';
COMMENT ON COLUMN kinderconnect.absence_limit.limit_name IS 'which: a row of the agency with the same name takes the place of the state''s';
COMMENT ON COLUMN kinderconnect.absence_limit.valid IS 'a period is judged by the row that holds on its last day, or today while it runs';
COMMENT ON COLUMN kinderconnect.absence_limit.counts IS 'what is counted: absence or closure';
COMMENT ON COLUMN kinderconnect.absence_limit.uncounted_reasons IS 'absences that do not count: reasons as child_day.absence_reason has them; null: all count';
COMMENT ON COLUMN kinderconnect.absence_limit.counts_unrecorded IS 'true: the agency takes an authorized day with nothing recorded for such an absence too';
COMMENT ON COLUMN kinderconnect.absence_limit.period_months IS 'length of the period';
COMMENT ON COLUMN kinderconnect.absence_limit.period_begins IS 'month in which a period begins, 1 to 12; null: the period is the last months up to today';
COMMENT ON COLUMN kinderconnect.absence_limit.at_most IS 'so many in a period; null: no such number. With needs_attended null as well: the agency has no such limit';
COMMENT ON COLUMN kinderconnect.absence_limit.needs_attended IS 'they count for anything only if the child attended so many days in the same period';
COMMENT ON COLUMN kinderconnect.absence_limit.enforced IS 'true: the law or the agency says so today; false: known from an old or a secondary source. It warns either way';
COMMENT ON COLUMN kinderconnect.absence_limit.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.absence_limit.note IS 'what else is known';
COMMENT ON COLUMN kinderconnect.absence_limit.shipped IS 'digest of the row as it was shipped; null: it was not';
COMMENT ON COLUMN kinderconnect.absence_limit.builtin IS 'true: as shipped, replaced by an upgrade. Your own row beside it wins; one that you edit is your own from then on: an upgrade leaves it, and pg_dump keeps it';

INSERT INTO kinderconnect.absence_limit
	(state, limit_name, valid, counts, counts_unrecorded, period_months, period_begins, at_most, needs_attended, enforced, source, note, shipped)
SELECT v.*, hash_record_extended(ROW(NULL::text, v.state, v.limit_name, v.valid, v.counts, NULL::text[],
	v.counts_unrecorded, v.period_months, v.period_begins, v.at_most, v.needs_attended, v.enforced, v.source, v.note), 0)
FROM (VALUES
	('TX', 'unexplained absences', '(,)'::daterange, 'absence', true, 12, NULL::integer, 40, NULL::integer, true,
		'40 TAC 809.78, current to 8 November 2024',
		'of eligibility, not of payment. Chronic illness, disability and court-ordered visits do not count: an own row names their reasons. A missed recording counts, unless the system was down'),
	('NY', 'paid absences', '(,)', 'absence', false, 12, 1, 24, NULL, true,
		'18 NYCRR 415.6 (b), current to 25 September 2024: https://regulations.justia.com/states/new-york/title-18/chapter-ii/subchapter-c/article-2/part-415/section-415-6',
		'24 a year are paid everywhere; a district may pay up to 80 and says so in its plan: an own row for its agency. Which year is not said; Lewis County counts its fiscal year'),
	('MO', 'absence in a month without attendance', '(,)', 'absence', false, 1, 1, NULL, 1, false,
		'Missouri DSS, Child Care Manual 1225.020.00 (2013): https://dss.mo.gov/fsd/iman/chldcare/1225-020-00.html',
		'payable only if the child attended at least one unit in the month. How many absences are paid depends on the units authorized; that table is not publicly readable'),
	('MO', 'holidays in a fiscal year', '(,)', 'closure', false, 12, 7, 11, NULL, false,
		'Missouri DSS, Child Care Manual 1225.020.00 (2013): https://dss.mo.gov/fsd/iman/chldcare/1225-020-00.html',
		'a holiday is any day the site is closed in its normal hours; with all 11 used, an absence may not be claimed instead. Fiscal year: July to June')) v (state, limit_name, valid, counts, counts_unrecorded, period_months, period_begins, at_most, needs_attended, enforced, source, note);

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.absence_limit', 'WHERE NOT builtin');

CREATE TABLE kinderconnect.unit_band (
	agency_id text CHECK (agency_id <> ''),
	state     text CHECK (state ~ '^[A-Z]{2}$'),
	unit      text NOT NULL CHECK (unit <> ''),
	valid     daterange NOT NULL CHECK (NOT isempty(valid)),
	minutes   int4range NOT NULL CHECK (NOT isempty(minutes) AND lower(minutes) >= 0),
	enforced  boolean NOT NULL,
	source    text NOT NULL,
	note      text,
	shipped   bigint,
	builtin   boolean NOT NULL GENERATED ALWAYS AS ((shipped = hash_record_extended(ROW(agency_id, state, unit, valid, minutes, enforced, source, note), 0)) IS TRUE) STORED,
	CONSTRAINT unit_band_is_of_one CHECK (num_nonnulls(agency_id, state) = 1),
	CONSTRAINT unit_band_one_for_a_length EXCLUDE USING gist ((coalesce(agency_id, '')) WITH =, (coalesce(state, '')) WITH =, (builtin::integer) WITH =, valid WITH &&, minutes WITH &&)
);
COMMENT ON TABLE kinderconnect.unit_band IS
'the unit of care that a day of so many minutes makes. The agency''s bands stand in the place of all of the state''s, your own of all the shipped, for the dates they hold. Information for unit_use: the agency computes the units';
COMMENT ON COLUMN kinderconnect.unit_band.agency_id IS 'the agency, or null for a band of the state';
COMMENT ON COLUMN kinderconnect.unit_band.state IS 'two-letter code, or null for a band of the agency';
COMMENT ON COLUMN kinderconnect.unit_band.unit IS 'name of the unit';
COMMENT ON COLUMN kinderconnect.unit_band.valid IS 'service dates it holds for';
COMMENT ON COLUMN kinderconnect.unit_band.minutes IS 'minutes of care on a day that make it: [180,300) is 3:00 to 4:59';
COMMENT ON COLUMN kinderconnect.unit_band.enforced IS 'true: the law or the agency says so; false: known from a secondary source';
COMMENT ON COLUMN kinderconnect.unit_band.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.unit_band.note IS 'what else is known';
COMMENT ON COLUMN kinderconnect.unit_band.shipped IS 'digest of the row as it was shipped; null: it was not';
COMMENT ON COLUMN kinderconnect.unit_band.builtin IS 'true: as shipped, replaced by an upgrade. Your own row beside it wins; one that you edit is your own from then on: an upgrade leaves it, and pg_dump keeps it';

INSERT INTO kinderconnect.unit_band (state, unit, valid, minutes, enforced, source, note, shipped)
SELECT v.*, hash_record_extended(ROW(NULL::text, v.*), 0) FROM (VALUES
	('MO', 'part', '(,)'::daterange, '[30,180)'::int4range, true, 'https://dssmanuals.mo.gov/obsolete/2020-000-00/',
		'0:30 to 2:59. Care that begins or ends after 19:00, before 6:00 or at the weekend is an evening or weekend unit of the same length'),
	('MO', 'half', '(,)', '[180,300)', true, 'https://dssmanuals.mo.gov/obsolete/2020-000-00/', '3:00 to 4:59'),
	('MO', 'full', '(,)', '[300,721)', true, 'https://dssmanuals.mo.gov/obsolete/2020-000-00/', '5:00 to 12:00; what more than 12 hours make is not publicly known'),
	('TX', 'part-day', '(,)', '[1,360)', true, '40 TAC 809.93', 'less than 6 hours'),
	('TX', 'full-day', '(,)', '[360,721)', true, '40 TAC 809.93', '6 to 12 hours in 24; blended days of school-age and pre-K children are not told apart'),
	('NY', 'part-day', '(,)', '[1,360)', false, 'PolicyEngine, parameters gov/states/ny/ocfs/ccap/duration, citing 18 NYCRR 415.9 and 22-OCFS-LCM-14',
		'less than 6 hours; 30 hours and more in a week are a weekly rate'),
	('NY', 'daily', '(,)', '[360,720)', false, 'PolicyEngine, parameters gov/states/ny/ocfs/ccap/duration, citing 18 NYCRR 415.9 and 22-OCFS-LCM-14',
		'6 to less than 12 hours; 30 hours and more in a week are a weekly rate')) v (state, unit, valid, minutes, enforced, source, note);

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.unit_band', 'WHERE NOT builtin');
-- Step 4 of the night: every finished, authorized child-day, what Manage says
-- of it, what the service holds, and so what is to be done.

CREATE TABLE kinderconnect.child_day (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	provider_id            text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	service_date           date NOT NULL,
	authorized             boolean NOT NULL,
	location_id            text,
	child_id               text,
	state                  text NOT NULL CHECK (state IN ('held', 'ready', 'sending', 'accepted', 'rejected', 'unknown', 'voided', 'not_due')),
	reason                 text,
	detail                 text,
	kind                   text CHECK (kind IN ('session', 'absence', 'closure')),
	session_in             time[],
	session_out            time[],
	absence_reason         text,
	content                text,
	window_ends            timestamptz,
	modified_at            timestamptz,
	basis                  text NOT NULL,
	record_id              text,
	sent_content           text,
	sent_basis             text,
	code                   text,
	message                text,
	accepted_kind          text CHECK (accepted_kind IN ('session', 'absence', 'closure')),
	accepted_in            time[],
	accepted_out           time[],
	accepted_reason        text,
	accepted_content       text,
	accepted_record_id     text,
	accepted_at            timestamptz,
	void_wanted            boolean NOT NULL DEFAULT false,
	planned_at             timestamptz NOT NULL DEFAULT now(),
	changed_at             timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date),
	CONSTRAINT child_day_says_why CHECK ((state IN ('held', 'not_due')) = (reason IS NOT NULL)),
	CONSTRAINT child_day_accepted_is_held_there CHECK (state <> 'accepted' OR (accepted_content = content) IS TRUE),
	CONSTRAINT child_day_accepted_is_whole CHECK (num_nulls(accepted_kind, accepted_content, accepted_record_id, accepted_at) IN (0, 4)),
	CONSTRAINT child_day_under_way_has_record CHECK (state NOT IN ('sending', 'unknown', 'rejected') OR record_id IS NOT NULL)
);
COMMENT ON TABLE kinderconnect.child_day IS
'the unit of work: one child, provider and service date. Every authorized, finished day has a row, in exactly one state';
COMMENT ON COLUMN kinderconnect.child_day.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_day.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_day.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.child_day.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_day.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.child_day.authorized IS 'an authorization covers the day; false: attendance without one';
COMMENT ON COLUMN kinderconnect.child_day.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.child_day.child_id IS 'the child in Manage; null while unmatched';
COMMENT ON COLUMN kinderconnect.child_day.state IS 'held (reason), ready, sending, accepted, rejected (code, message), unknown (sent, answer lost), voided (taken back), not_due (reason)';
COMMENT ON COLUMN kinderconnect.child_day.reason IS 'of held and not_due: kinderconnect.reason';
COMMENT ON COLUMN kinderconnect.child_day.detail IS 'the facts behind the reason';
COMMENT ON COLUMN kinderconnect.child_day.kind IS 'what Manage says: session, absence, closure; null: nothing that can be sent';
COMMENT ON COLUMN kinderconnect.child_day.session_in IS 'what Manage says: check-ins, wall time at the location to the minute, in order';
COMMENT ON COLUMN kinderconnect.child_day.session_out IS 'what Manage says: check-outs, parallel to session_in';
COMMENT ON COLUMN kinderconnect.child_day.absence_reason IS 'what Manage says, in the agency''s code';
COMMENT ON COLUMN kinderconnect.child_day.content IS 'kind, times and reason in one comparable text; null: nothing that can be sent';
COMMENT ON COLUMN kinderconnect.child_day.window_ends IS 'when the agency''s enforced window for the day closes; null: no such rule';
COMMENT ON COLUMN kinderconnect.child_day.modified_at IS 'when Manage last changed the rows that say so, by their modified_at; as of changed_at, and null where Manage does not tell';
COMMENT ON COLUMN kinderconnect.child_day.basis IS 'digest of link, authorization, location and rules: a rejected day is sent again when it changes';
COMMENT ON COLUMN kinderconnect.child_day.record_id IS 'of the last record made for it: kinderconnect.ledger';
COMMENT ON COLUMN kinderconnect.child_day.sent_content IS 'content of that record; void: it takes the day back';
COMMENT ON COLUMN kinderconnect.child_day.sent_basis IS 'basis when that record was made; null: retry()';
COMMENT ON COLUMN kinderconnect.child_day.code IS 'of rejected: the service''s code';
COMMENT ON COLUMN kinderconnect.child_day.message IS 'of rejected: the service''s words';
COMMENT ON COLUMN kinderconnect.child_day.accepted_kind IS 'what the service holds; null: nothing of ours';
COMMENT ON COLUMN kinderconnect.child_day.accepted_in IS 'what the service holds: check-ins';
COMMENT ON COLUMN kinderconnect.child_day.accepted_out IS 'what the service holds: check-outs';
COMMENT ON COLUMN kinderconnect.child_day.accepted_reason IS 'what the service holds: absence reason';
COMMENT ON COLUMN kinderconnect.child_day.accepted_content IS 'what the service holds, comparable to content';
COMMENT ON COLUMN kinderconnect.child_day.accepted_record_id IS 'the record that put it there';
COMMENT ON COLUMN kinderconnect.child_day.accepted_at IS 'when the service said so';
COMMENT ON COLUMN kinderconnect.child_day.void_wanted IS 'void_day() asked for it to be taken back';
COMMENT ON COLUMN kinderconnect.child_day.planned_at IS 'when the day was first planned';
COMMENT ON COLUMN kinderconnect.child_day.changed_at IS 'when anything of this row last changed';

-- held, too: a night counts what it holds without reading what it accepted
CREATE INDEX child_day_at_work ON kinderconnect.child_day (organization_id, agency_id, provider_id, state, service_date)
	WHERE state IN ('held', 'ready', 'sending', 'unknown');
CREATE INDEX child_day_by_date ON kinderconnect.child_day (organization_id, service_date);
CREATE INDEX child_day_void_wanted ON kinderconnect.child_day (organization_id, service_date) WHERE void_wanted;
CREATE INDEX child_day_shrunk ON kinderconnect.child_day (organization_id, agency_id, provider_id) WHERE reason = 'source_shrank';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child_day', '');

-- What the ledger cannot tell: a day held and then corrected was never sent.
-- A day that is planned once, sent and accepted has no row here.
CREATE TABLE kinderconnect.child_day_step (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	provider_id            text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	service_date           date NOT NULL,
	at                     timestamptz NOT NULL,
	run_id                 bigint,
	was_state              text NOT NULL,
	was_reason             text,
	was_detail             text,
	was_content            text,
	was_modified_at        timestamptz,
	state                  text NOT NULL,
	reason                 text,
	detail                 text,
	content                text,
	modified_at            timestamptz,
	PRIMARY KEY (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, at)
);
COMMENT ON TABLE kinderconnect.child_day_step IS
'each time the plan judged a child-day otherwise than the plan before: what it was, and what it became. Never changed, never deleted';
COMMENT ON COLUMN kinderconnect.child_day_step.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_day_step.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_day_step.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.child_day_step.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_day_step.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.child_day_step.at IS 'when the plan was made';
COMMENT ON COLUMN kinderconnect.child_day_step.run_id IS 'the run that made it';
COMMENT ON COLUMN kinderconnect.child_day_step.was_state IS 'state before';
COMMENT ON COLUMN kinderconnect.child_day_step.was_reason IS 'reason before';
COMMENT ON COLUMN kinderconnect.child_day_step.was_detail IS 'facts before';
COMMENT ON COLUMN kinderconnect.child_day_step.was_content IS 'what Manage said before; null: nothing that can be sent';
COMMENT ON COLUMN kinderconnect.child_day_step.was_modified_at IS 'when Manage had last changed the rows that said so';
COMMENT ON COLUMN kinderconnect.child_day_step.state IS 'state from then on';
COMMENT ON COLUMN kinderconnect.child_day_step.reason IS 'of held and not_due: kinderconnect.reason';
COMMENT ON COLUMN kinderconnect.child_day_step.detail IS 'the facts behind the reason';
COMMENT ON COLUMN kinderconnect.child_day_step.content IS 'what Manage said from then on';
COMMENT ON COLUMN kinderconnect.child_day_step.modified_at IS 'when Manage last changed the rows that say so; null: it does not tell, or has none';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child_day_step', '');

-- A site that moves to another zone keeps the wall times of the days it had in
-- the old one. Where Manage had the wrong zone all along, and the days are to
-- be corrected: delete the location's rows.
CREATE TABLE kinderconnect.location_zone (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	location_id     text NOT NULL,
	zone            text NOT NULL,
	valid_from      timestamptz NOT NULL,
	valid_until     timestamptz NOT NULL CHECK (valid_from < valid_until),
	PRIMARY KEY (organization_id, location_id, valid_from)
);
COMMENT ON TABLE kinderconnect.location_zone IS
'the zone each location was planned in. When Manage names another one, days already planned keep the one they had; delete a location''s rows to have all its days of the horizon read in the present one';
COMMENT ON COLUMN kinderconnect.location_zone.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.location_zone.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.location_zone.zone IS 'IANA name';
COMMENT ON COLUMN kinderconnect.location_zone.valid_from IS 'attendance from this moment on is read in it';
COMMENT ON COLUMN kinderconnect.location_zone.valid_until IS 'up to this one; infinity: it is the present zone';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.location_zone', '');

CREATE FUNCTION kinderconnect.content(kind text, session_in time[], session_out time[], absence_reason text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE kind
		WHEN 'session' THEN (SELECT string_agg(concat(to_char(s.i, 'HH24:MI'), '-', to_char(s.o, 'HH24:MI')), ' ' ORDER BY s.n)
			FROM unnest(session_in::interval[], session_out::interval[]) WITH ORDINALITY s(i, o, n))
		WHEN 'absence' THEN concat_ws(' ', 'absence', absence_reason)
		ELSE kind
	END;
END;
COMMENT ON FUNCTION kinderconnect.content(text, time[], time[], text) IS
'a child-day''s content in one text: 08:02-16:31 17:00-18:10, absence SICK, closure';

-- PostgreSQL takes the second reading of a repeated hour; the service, like
-- people, takes the first.
--
-- Not STRICT and one expression, so that it is inlined: it is asked for every
-- punch.
CREATE FUNCTION kinderconnect._first_reading(wall timestamp, zone text) RETURNS timestamptz
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN CASE WHEN (wall AT TIME ZONE zone - interval '1 hour') AT TIME ZONE zone = wall
		THEN wall AT TIME ZONE zone - interval '1 hour' ELSE wall AT TIME ZONE zone END;
COMMENT ON FUNCTION kinderconnect._first_reading(timestamp, text) IS
'the instant a wall time names in a zone: the first, where the clocks repeat it';

-- Whether a service can take a day back, by its dialect.
CREATE FUNCTION kinderconnect._can_void(organization text) RETURNS boolean
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect.organization o
		JOIN kinderconnect.endpoint e ON e.endpoint = o.endpoint
		JOIN kinderconnect.dialect_field f ON f.dialect = e.dialect AND f.operation = 'submit' AND f.part = 'record'
		WHERE o.organization_id = organization AND f.column_name = 'kind'
			AND f.codes ? 'void' AND f.codes -> 'void' <> 'null');
END;
COMMENT ON FUNCTION kinderconnect._can_void(text) IS 'whether the organization''s service can take a day back';

-- What an organization's service has no place for, in the words of _rules().
-- Days for which the dialect has no key must never reach the encoder: it
-- would refuse the whole batch.
CREATE FUNCTION kinderconnect._wire_limits(organization text) RETURNS jsonb
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	WITH field AS (
		SELECT f.column_name, f.element, f.codes
		FROM kinderconnect.organization o
		JOIN kinderconnect.endpoint e ON e.endpoint = o.endpoint
		JOIN kinderconnect.dialect_field f ON f.dialect = e.dialect AND f.operation = 'submit' AND f.part = 'record'
		WHERE o.organization_id = organization
	)
	SELECT jsonb_strip_nulls(jsonb_build_object(
		'slots', (SELECT (min(n) - 1)::text FROM generate_series(1, 101) n
			CROSS JOIN (VALUES ('session_in'), ('session_out')) c(column_name)
			WHERE NOT EXISTS (SELECT FROM field f WHERE f.column_name = c.column_name AND coalesce(f.element, n) = n)),
		'absences', CASE WHEN NOT EXISTS (SELECT FROM field f
			WHERE f.column_name = 'kind' AND (f.codes -> 'absence' <> 'null') IS NOT FALSE) THEN 'omit' END,
		'closures', CASE WHEN NOT EXISTS (SELECT FROM field f
			WHERE f.column_name = 'kind' AND (f.codes -> 'closure' <> 'null') IS NOT FALSE) THEN 'omit' END,
		'absence_reasons', CASE WHEN NOT EXISTS (SELECT FROM field f WHERE f.column_name = 'absence_reason') THEN 'omit' END));
END;
COMMENT ON FUNCTION kinderconnect._wire_limits(text) IS
'what the organization''s service cannot be told, by its dialect: slots is how many sessions a day has places for; absences, closures, absence_reasons are omitted. A key is there only where there is a limit';

-- What Manage has for the children of an organization that are linked, a row
-- for each punch pair, absence or closure, on the location's own clock. Where
-- a location has several provider IDs, a row for each.
CREATE FUNCTION kinderconnect._attendance(organization text, since date)
	RETURNS TABLE (location_id text, child_id text, kind text, check_in timestamptz, check_out timestamptz, day date, reason text, zone text, modified_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT m.location_id, m.child_id, m.kind, m.check_in, m.check_out,
		CASE WHEN m.kind IN ('absence', 'closure') THEN m.service_date
			ELSE coalesce((coalesce(m.check_in, m.check_out) AT TIME ZONE coalesce(l.zone, z.zone))::date, CASE WHEN m.kind IS DISTINCT FROM 'session' THEN m.service_date END) END,
		nullif(btrim(m.reason), ''), coalesce(l.zone, z.zone), m.modified_at
	FROM kinderconnect.manage_attendance m
	JOIN kinderconnect._location_zones(organization) z ON z.location_id = m.location_id
	LEFT JOIN kinderconnect.location_zone l ON (l.organization_id, l.location_id) = (organization, m.location_id)
		AND l.valid_until < 'infinity' AND l.valid_from <= coalesce(m.check_in, m.check_out) AND l.valid_until > coalesce(m.check_in, m.check_out)
	WHERE m.organization_id = organization AND z.zone IS NOT NULL
		AND (m.check_in >= since - interval '1 day'
			OR m.check_in IS NULL AND m.check_out >= since - interval '1 day'
			OR m.kind IS DISTINCT FROM 'session' AND m.service_date >= since);
END;
$$;
COMMENT ON FUNCTION kinderconnect._attendance(text, date) IS
'Manage''s attendance of an organization from a date on, with the local day and zone of each row';

CREATE FUNCTION kinderconnect._location_zones(organization text)
	RETURNS TABLE (location_id text, zone text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT p.location_id, coalesce(kinderconnect._zone(min(m.time_zone)), CASE WHEN min(m.time_zone) IS NULL THEN min(a.time_zone) END)
	FROM kinderconnect.provider p
	LEFT JOIN kinderconnect.manage_location m ON (m.organization_id, m.location_id) = (p.organization_id, p.location_id)
	LEFT JOIN kinderconnect.agency a ON a.agency_id = p.agency_id
	WHERE p.organization_id = organization AND p.location_id IS NOT NULL
	GROUP BY p.location_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._location_zones(text) IS
'the zone of each location that has a provider: Manage''s, else the agency''s; null where it is not known';

-- A zone that is new holds from the first day on that is not planned yet.
CREATE FUNCTION kinderconnect._note_zones(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	moved record;
BEGIN
	FOR moved IN
		SELECT z.location_id, z.zone, l.zone AS was, l.valid_from,
			(SELECT (max(d.service_date) + 1)::timestamp AT TIME ZONE l.zone FROM kinderconnect.child_day d
				WHERE d.organization_id = organization AND d.location_id = z.location_id) AS moved_at
		FROM kinderconnect._location_zones(organization) z
		LEFT JOIN kinderconnect.location_zone l ON (l.organization_id, l.location_id, l.valid_until) = (organization, z.location_id, 'infinity')
		WHERE z.zone IS DISTINCT FROM l.zone AND z.zone IS NOT NULL
	LOOP
		IF moved.moved_at > moved.valid_from THEN
			UPDATE kinderconnect.location_zone l SET valid_until = moved.moved_at
			WHERE (l.organization_id, l.location_id, l.valid_from) = (organization, moved.location_id, moved.valid_from);
			INSERT INTO kinderconnect.location_zone VALUES (organization, moved.location_id, moved.zone, moved.moved_at, 'infinity');
		ELSE
			INSERT INTO kinderconnect.location_zone AS l VALUES (organization, moved.location_id, moved.zone, coalesce(moved.valid_from, '-infinity'), 'infinity')
			ON CONFLICT (organization_id, location_id, valid_from) DO UPDATE SET zone = excluded.zone;
		END IF;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._note_zones(text) IS 'remembers the zone of each location, and from when on it holds';

-- The whole judgement, read-only: _plan() writes it down, preview() shows it,
-- and with it tonight's links and today, as it stands.
--
-- Which days: those an authorization covers, those of a linked child with
-- attendance all the same, and those already in child_day. What is said of
-- each is decided in one place, "judged" below, first reason that holds.
--
-- What is older than the horizon is not read, but for days that a person wants
-- taken back: a night costs what is in the window, not what is in the history.
--
-- Every step joins whole sets of one organization whose sizes the planner
-- cannot know, so it is kept from the plans that are quadratic: nested loops,
-- and merges by the provider alone that filter all its days for each day. The
-- cost it then reckons with would set off JIT, which takes longer than the
-- query.
CREATE FUNCTION kinderconnect._planned(organization text, agency text, provider text, from_date date, to_date date, foresee boolean, at timestamptz DEFAULT now())
	RETURNS TABLE (agency_id text, provider_id text, kinderconnect_child_id text, service_date date, authorized boolean,
		location_id text, child_id text, state text, reason text, detail text,
		kind text, session_in time[], session_out time[], absence_reason text, content text, window_ends timestamptz, basis text,
		modified_at timestamptz, finished boolean)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	can_void     boolean := kinderconnect._can_void(organization);
	wire_limits  jsonb := kinderconnect._wire_limits(organization);
	shrink_floor integer := kinderconnect.setting('shrink_floor');
	shrink_ratio integer := kinderconnect.setting('shrink_percent');
	horizon      integer := kinderconnect.setting('horizon_days');
	since        date;
BEGIN
	SELECT greatest((at AT TIME ZONE 'Pacific/Honolulu')::date - horizon, o.first_enabled - o.backfill_days) INTO since
	FROM kinderconnect.organization o WHERE o.organization_id = organization;

	RETURN QUERY
	WITH site AS MATERIALIZED (
		-- the last zone of the country where nothing better is known, so that
		-- no day counts as finished too early
		SELECT s.agency_id, s.provider_id, s.location_id, z.zone, t.today,
			greatest(t.today - horizon, since) AS first_day, t.today - (NOT foresee)::integer AS last_day,
			coalesce(s.barred, CASE WHEN s.location_id IS NULL THEN 'provider_unmatched' WHEN z.zone IS NULL THEN 'no_time_zone' END) AS barred,
			v.accept_shrink IS TRUE AS void_anyway
		FROM kinderconnect.provider_standing s
		LEFT JOIN kinderconnect.list_state v ON (v.organization_id, v.operation, v.agency_id, v.provider_id)
			= (organization, 'attendance', s.agency_id, s.provider_id)
		LEFT JOIN kinderconnect._location_zones(organization) z ON z.location_id = s.location_id
		LEFT JOIN kinderconnect.agency a ON a.agency_id = s.agency_id
		CROSS JOIN LATERAL (SELECT (at AT TIME ZONE coalesce(z.zone, a.time_zone, 'Pacific/Honolulu'))::date AS today) t
		WHERE s.organization_id = organization
	), rules AS MATERIALIZED (
		-- from the day before on, for the care that goes past its midnight
		SELECT d.agency_id, d.day, kinderconnect._rules(d.agency_id, d.day) || wire_limits AS r
		FROM (SELECT s.agency_id, d::date AS day
			FROM site s CROSS JOIN LATERAL generate_series((s.first_day - 1)::timestamp, s.last_day::timestamp, interval '1 day') d
			UNION
			SELECT d.agency_id, d.service_date FROM kinderconnect.child_day d WHERE d.organization_id = organization AND d.void_wanted) d
	), link AS MATERIALIZED (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, k.flag, NULL AS unlinked_because, NULL AS formerly
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND NOT foresee
		UNION ALL
		SELECT n.* FROM kinderconnect._links(organization) n WHERE foresee
	), merged AS (
		-- accepted under the id that this one took the place of
		SELECT k.agency_id, d.provider_id, k.kinderconnect_child_id, d.service_date AS day,
			string_agg(DISTINCT format('as %s: %s, accepted %s', d.kinderconnect_child_id, d.accepted_content,
				to_char(d.accepted_at AT TIME ZONE coalesce(s.zone, 'Pacific/Honolulu'), 'YYYY-MM-DD')), '; ') AS facts
		FROM (SELECT k.agency_id, k.kinderconnect_child_id, o.kinderconnect_child_id AS formerly
			FROM link k
			JOIN kinderconnect.child_link o ON (o.organization_id, o.agency_id, o.child_id) = (organization, k.agency_id, k.child_id)
				AND o.end_reason = 'merged into ' || k.kinderconnect_child_id
			UNION ALL
			SELECT k.agency_id, k.kinderconnect_child_id, k.formerly FROM link k WHERE k.formerly IS NOT NULL) k
		JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.kinderconnect_child_id)
			= (organization, k.agency_id, k.formerly) AND d.service_date >= since AND d.accepted_content IS NOT NULL
		JOIN site s ON (s.agency_id, s.provider_id) = (d.agency_id, d.provider_id)
		GROUP BY k.agency_id, d.provider_id, k.kinderconnect_child_id, d.service_date
	), said AS MATERIALIZED (
		-- what stands now, and what vanished and has not come back, up to the
		-- day it vanished
		SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id, a.begin_date, a.days, e.end_date,
			concat_ws('/', a.authorization_id, to_char(a.begin_date, 'YYYY-MM-DD'), to_char(e.end_date, 'YYYY-MM-DD'), array_to_string(a.days, '+')) AS words
		FROM kinderconnect.authorization a
		JOIN site s ON (s.agency_id, s.provider_id) = (a.agency_id, a.provider_id)
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id)
			= (a.organization_id, a.agency_id, a.kinderconnect_child_id) AND c.subsidized
		CROSS JOIN LATERAL (SELECT CASE WHEN a.closed_as = 'vanished' THEN least(a.end_date, (a.known_until AT TIME ZONE coalesce(s.zone, 'Pacific/Honolulu'))::date - 1)
			ELSE a.end_date END AS end_date) e
		WHERE a.organization_id = organization
			AND (a.closed_as IS NULL OR a.closed_as = 'vanished' AND NOT EXISTS (SELECT FROM kinderconnect.authorization n
				WHERE (n.organization_id, n.agency_id, n.provider_id, n.kinderconnect_child_id, n.authorization_id)
					= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
					AND n.known_from > a.known_from))
	), covered AS MATERIALIZED (
		SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, d::date AS day,
			bool_or(a.days IS NULL OR (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d)::integer] = ANY (a.days)) AS authorized,
			string_agg(a.words, ' ' ORDER BY a.authorization_id) AS by
		FROM said a
		JOIN site s ON (s.agency_id, s.provider_id) = (a.agency_id, a.provider_id)
		CROSS JOIN LATERAL generate_series(greatest(a.begin_date, s.first_day)::timestamp,
			least(a.end_date, s.last_day)::timestamp, interval '1 day') d
		GROUP BY a.agency_id, a.provider_id, a.kinderconnect_child_id, d
	), lapsed AS (
		SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, max(coalesce(a.end_date, 'infinity')) AS ended
		FROM said a GROUP BY a.agency_id, a.provider_id, a.kinderconnect_child_id
	), seen AS MATERIALIZED (
		SELECT t.* FROM kinderconnect._attendance(organization, since) t
	), placed AS MATERIALIZED (
		SELECT k.agency_id, s.provider_id, k.kinderconnect_child_id, s.first_day, s.last_day, t.*,
			CASE WHEN r.r ->> 'overnight' = 'split' AND t.kind = 'session' AND t.check_out > t.check_in AND t.check_out - t.check_in <= interval '24 hours'
				AND (t.check_out AT TIME ZONE t.zone)::date > t.day THEN (t.day + 1)::timestamp AT TIME ZONE t.zone END AS midnight
		FROM seen t
		JOIN site s ON s.location_id = t.location_id
		JOIN link k ON k.agency_id = s.agency_id AND k.child_id = t.child_id
		LEFT JOIN rules r ON (r.agency_id, r.day) = (s.agency_id, t.day)
	), punch AS MATERIALIZED (
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.location_id, p.child_id, p.kind, p.check_in,
			coalesce(p.midnight, p.check_out) AS check_out, p.day, p.reason, p.zone, p.modified_at
		FROM placed p WHERE p.day BETWEEN p.first_day AND p.last_day
		UNION ALL
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.location_id, p.child_id, p.kind, p.midnight,
			p.check_out, p.day + 1, p.reason, p.zone, p.modified_at
		FROM placed p WHERE date_trunc('minute', p.check_out) > p.midnight AND p.day + 1 BETWEEN p.first_day AND p.last_day
	), closure AS (
		SELECT DISTINCT s.agency_id, s.provider_id, t.day
		FROM seen t
		JOIN site s ON s.location_id = t.location_id
		WHERE t.child_id IS NULL AND t.kind = 'closure'
	), abroad AS (
		-- sessions of the children that were at more than one site: nobody is
		-- at two at a time, whoever pays. One that is impossible by itself
		-- says nothing about another
		SELECT t.child_id, t.location_id, t.day, t.zone, t.check_in, t.check_out, m.began, m.ended, u AS bucket
		FROM seen t
		JOIN (SELECT t.child_id FROM seen t WHERE t.kind = 'session' GROUP BY t.child_id HAVING min(t.location_id) <> max(t.location_id)) c ON c.child_id = t.child_id
		CROSS JOIN LATERAL (SELECT date_trunc('minute', coalesce(t.check_in, t.check_out)) AS began, date_trunc('minute', coalesce(t.check_out, t.check_in)) AS ended) m
		CROSS JOIN LATERAL generate_series(date_trunc('day', m.began AT TIME ZONE 'UTC'), m.ended AT TIME ZONE 'UTC', interval '1 day') u
		WHERE t.kind = 'session' AND m.ended - m.began BETWEEN interval '0' AND interval '24 hours'
	), crossing AS (
		SELECT a.child_id, a.location_id, a.day, string_agg(DISTINCT concat('at ', b.location_id, ' ', to_char(b.check_in AT TIME ZONE b.zone, 'HH24:MI'), '-',
			to_char(b.check_out AT TIME ZONE b.zone, 'HH24:MI'), ' ' || nullif(b.zone, a.zone)), ', ') AS facts
		FROM abroad a
		JOIN abroad b ON (b.child_id, b.bucket) = (a.child_id, a.bucket) AND b.location_id <> a.location_id AND a.began < b.ended AND b.began < a.ended
		GROUP BY a.child_id, a.location_id, a.day
	), attended AS MATERIALIZED (
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.location_id, bool_or(p.kind = 'session') AS came,
			bool_or(p.kind = 'absence') AS absent, bool_or(p.kind = 'closure') AS closed
		FROM punch p GROUP BY p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.location_id
	), company AS MATERIALIZED (
		-- which other providers authorize the child on that day: at the same
		-- location, with sessions elsewhere, and with an absence or a closure
		-- elsewhere that the agency takes
		SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day,
			count(*) FILTER (WHERE v.authorized AND v.barred IS NULL) OVER here - (v.authorized AND v.barred IS NULL)::integer AS rivals,
			count(*) FILTER (WHERE v.authorized AND v.came) OVER that_day - count(*) FILTER (WHERE v.authorized AND v.came) OVER here AS came_elsewhere,
			count(*) FILTER (WHERE v.authorized AND v.noted) OVER that_day - count(*) FILTER (WHERE v.authorized AND v.noted) OVER here AS noted_elsewhere,
			count(*) FILTER (WHERE v.authorized AND v.known) OVER that_day - count(*) FILTER (WHERE v.authorized AND v.known) OVER here AS known_elsewhere,
			string_agg(v.provider_id, ', ') FILTER (WHERE v.authorized AND v.known) OVER others AS others
		FROM (SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day, v.authorized, s.location_id, s.barred, t.came IS TRUE AS came,
				n.noted AND t.came IS NOT TRUE AS noted, n.noted OR t.day IS NOT NULL AS known
			FROM covered v
			JOIN (SELECT v.agency_id, v.kinderconnect_child_id, v.day FROM covered v
				GROUP BY v.agency_id, v.kinderconnect_child_id, v.day HAVING count(*) > 1) m
				ON (m.agency_id, m.kinderconnect_child_id, m.day) = (v.agency_id, v.kinderconnect_child_id, v.day)
			JOIN site s ON (s.agency_id, s.provider_id) = (v.agency_id, v.provider_id)
			JOIN rules r ON (r.agency_id, r.day) = (v.agency_id, v.day)
			LEFT JOIN attended t ON (t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day)
				= (v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day)
			LEFT JOIN closure z ON (z.agency_id, z.provider_id, z.day) = (v.agency_id, v.provider_id, v.day)
			CROSS JOIN LATERAL (SELECT t.absent IS TRUE AND r.r ->> 'absences' IS DISTINCT FROM 'omit'
				OR (t.closed IS TRUE OR z.day IS NOT NULL) AND r.r ->> 'closures' IS DISTINCT FROM 'omit' AS noted) n) v
		WINDOW that_day AS (PARTITION BY v.agency_id, v.kinderconnect_child_id, v.day),
			here AS (PARTITION BY v.agency_id, v.kinderconnect_child_id, v.day, v.location_id),
			others AS (PARTITION BY v.agency_id, v.kinderconnect_child_id, v.day ORDER BY v.provider_id
				ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW)
	), stray AS (
		-- attendance that no authorization covers, under one provider ID of
		-- its location: one that takes part, and lists the child, else the first
		SELECT DISTINCT ON (t.agency_id, t.location_id, t.kinderconnect_child_id, t.day) t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day
		FROM attended t
		JOIN site s ON (s.agency_id, s.provider_id) = (t.agency_id, t.provider_id)
		LEFT JOIN kinderconnect.listed_authorization l
			ON (l.organization_id, l.agency_id, l.provider_id, l.month, l.kinderconnect_child_id)
				= (organization, t.agency_id, t.provider_id, date_trunc('month', t.day)::date, t.kinderconnect_child_id)
			AND l.month >= date_trunc('month', since::timestamp)
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id)
			= (organization, t.agency_id, t.kinderconnect_child_id) AND c.subsidized
		WHERE NOT EXISTS (SELECT FROM covered v JOIN site s ON (s.agency_id, s.provider_id) = (v.agency_id, v.provider_id)
			WHERE v.agency_id = t.agency_id AND s.location_id = t.location_id
				AND v.kinderconnect_child_id = t.kinderconnect_child_id AND v.day = t.day)
		ORDER BY t.agency_id, t.location_id, t.kinderconnect_child_id, t.day, s.barred IS NOT NULL, l.provider_id IS NULL, t.provider_id
	), day AS (
		SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day FROM covered v WHERE v.authorized
		UNION
		SELECT t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day
		FROM attended t
		JOIN covered v ON (v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day) = (t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day)
		LEFT JOIN company w ON (w.agency_id, w.provider_id, w.kinderconnect_child_id, w.day) = (t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day)
		WHERE NOT v.authorized AND coalesce(w.rivals, 0) = 0
		UNION
		SELECT t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day FROM stray t
		UNION
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date
		FROM kinderconnect.child_day d JOIN site s ON (s.agency_id, s.provider_id) = (d.agency_id, d.provider_id)
		WHERE d.organization_id = organization AND (d.service_date >= since OR d.void_wanted) AND (d.service_date >= s.first_day OR d.void_wanted)
	), session AS (
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.check_in, p.check_out,
			date_trunc('minute', p.check_in) AS minute_in, date_trunc('minute', p.check_out) AS minute_out,
			date_trunc('minute', p.check_in AT TIME ZONE p.zone) AS wall_in, date_trunc('minute', p.check_out AT TIME ZONE p.zone) AS wall_out, p.zone, p.modified_at,
			date_trunc('minute', max(coalesce(p.check_out, p.check_in)) OVER before) AS busy_until
		FROM punch p WHERE p.kind = 'session' AND num_nonnulls(p.check_in, p.check_out) > 0
		WINDOW before AS (PARTITION BY p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day
			ORDER BY coalesce(p.check_in, p.check_out), p.check_out ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
	), sessions AS (
		SELECT s.agency_id, s.provider_id, s.kinderconnect_child_id, s.day, count(*) AS n,
			array_agg(s.wall_in::time ORDER BY coalesce(s.check_in, s.check_out), s.check_out) AS session_in,
			array_agg(s.wall_out::time ORDER BY coalesce(s.check_in, s.check_out), s.check_out) AS session_out,
			string_agg(concat(to_char(s.wall_in, 'HH24:MI'), '-', to_char(s.wall_out, 'HH24:MI'),
				' (+' || nullif(s.wall_out::date - s.day, 0) || ')'), ' ' ORDER BY coalesce(s.check_in, s.check_out), s.check_out) AS facts,
			string_agg(concat(to_char(s.wall_in, 'HH24:MI'), '-', to_char(s.wall_out, 'HH24:MI')), ' ' ORDER BY coalesce(s.check_in, s.check_out), s.check_out) AS said,
			bool_or(s.check_in IS NULL) AS missing_in,
			bool_or(s.check_out IS NULL) AS missing_out,
			bool_or(s.check_out < s.check_in) AS out_before_in,
			bool_or(s.minute_out = s.minute_in) AS too_short,
			bool_or(s.check_out - s.check_in > interval '24 hours'
				OR s.wall_out - s.wall_in > interval '24 hours') AS too_long,
			bool_or(coalesce(s.minute_in, s.minute_out) < s.busy_until
				OR num_nulls(s.check_in, s.check_out) = 1 AND coalesce(s.minute_in, s.minute_out) = s.busy_until) AS overlapping,
			bool_or(s.wall_out::date > s.day) AS over_midnight,
			bool_or(s.minute_in <> kinderconnect._first_reading(s.wall_in, s.zone)
				OR s.minute_out <> kinderconnect._first_reading(s.wall_out, s.zone)) AS ambiguous,
			max(s.modified_at) AS modified_at
		FROM session s
		GROUP BY s.agency_id, s.provider_id, s.kinderconnect_child_id, s.day
	), absence AS (
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day,
			count(*) FILTER (WHERE p.kind = 'absence') AS absences,
			count(DISTINCT coalesce(kinderconnect.fold(p.reason), '')) FILTER (WHERE p.kind = 'absence') AS reasons,
			min(p.reason) FILTER (WHERE p.kind = 'absence') AS reason,
			count(*) FILTER (WHERE p.kind = 'closure') AS closures,
			string_agg(DISTINCT coalesce(p.kind, 'null'), ', ') FILTER (WHERE (p.kind IN ('absence', 'closure')) IS NOT TRUE) AS unknown,
			max(p.modified_at) AS modified_at
		FROM punch p WHERE p.kind IS DISTINCT FROM 'session'
		GROUP BY p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day
	), facts AS (
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day, s.location_id, s.zone, s.barred, s.void_anyway, d.day < s.today AS finished,
			coalesce(v.authorized, false) AS authorized, v.day IS NOT NULL AS covered, p.ended, k.child_id, k.flag,
			CASE WHEN foresee THEN k.unlinked_because ELSE c.unlinked_because END AS unlinked_because,
			r.r AS rules, n.n AS sessions, n.session_in, n.session_out, n.facts, n.said, n.missing_in, n.missing_out, n.out_before_in,
			n.too_short, n.too_long, n.overlapping, n.over_midnight, n.ambiguous, y.facts AS crossing,
			coalesce(a.absences, 0) AS absences, coalesce(a.reasons, 0) AS reasons, a.reason AS manage_reason,
			coalesce(a.closures, 0) + (z.day IS NOT NULL)::integer AS closures,
			m.code AS reason_code,
			EXISTS (SELECT FROM kinderconnect.absence_reason l WHERE l.agency_id = d.agency_id) AS reasons_listed,
			CASE WHEN e.accepted_content IS NULL THEN x.facts END AS merged,
			w.rivals > 0 AS rival_here, w.came_elsewhere > 0 AS came_elsewhere, w.noted_elsewhere > 0 AS noted_elsewhere,
			w.known_elsewhere > 0 AS known_elsewhere, w.others, greatest(n.modified_at, a.modified_at) AS modified_at,
			coalesce(n.n, 0) + coalesce(a.absences, 0) + coalesce(a.closures, 0) = 0 AND a.unknown IS NULL AS silent, a.unknown,
			md5(concat_ws('|', k.child_id, k.flag, s.location_id, v.by, r.r)) AS basis,
			e.state AS was, e.content AS was_content, e.accepted_kind, e.accepted_content, e.sent_content, e.sent_basis,
			coalesce(e.void_wanted AND e.accepted_content IS NOT NULL, false) AS void_wanted
		FROM day d
		JOIN site s ON (s.agency_id, s.provider_id) = (d.agency_id, d.provider_id)
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, d.agency_id, d.kinderconnect_child_id)
		JOIN rules r ON (r.agency_id, r.day) = (d.agency_id, d.day)
		LEFT JOIN covered v ON (v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN company w ON (w.agency_id, w.provider_id, w.kinderconnect_child_id, w.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN lapsed p ON (p.agency_id, p.provider_id, p.kinderconnect_child_id) = (d.agency_id, d.provider_id, d.kinderconnect_child_id)
		LEFT JOIN link k ON (k.agency_id, k.kinderconnect_child_id) = (d.agency_id, d.kinderconnect_child_id)
		LEFT JOIN crossing y ON (y.child_id, y.location_id, y.day) = (k.child_id, s.location_id, d.day)
		LEFT JOIN merged x ON (x.agency_id, x.provider_id, x.kinderconnect_child_id, x.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN sessions n ON (n.agency_id, n.provider_id, n.kinderconnect_child_id, n.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN absence a ON (a.agency_id, a.provider_id, a.kinderconnect_child_id, a.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN closure z ON (z.agency_id, z.provider_id, z.day) = (d.agency_id, d.provider_id, d.day)
		LEFT JOIN kinderconnect.absence_reason m ON m.agency_id = d.agency_id AND kinderconnect.fold(m.reason) = kinderconnect.fold(a.reason)
		LEFT JOIN kinderconnect.child_day e ON (e.organization_id, e.agency_id, e.provider_id, e.kinderconnect_child_id, e.service_date)
			= (organization, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
			AND (e.service_date >= since OR e.void_wanted)
		WHERE (agency IS NULL OR d.agency_id = agency) AND (provider IS NULL OR d.provider_id = provider) AND d.day <= s.last_day
	), spoken AS (
		SELECT f.*, k.said_kind,
			-- who the day belongs to
			CASE
				WHEN f.barred IS NOT NULL THEN f.barred
				WHEN f.child_id IS NULL THEN 'unmatched'
				WHEN f.flag <> 'name_changed' THEN f.flag
				WHEN f.merged IS NOT NULL THEN 'merged_child'
				WHEN NOT f.covered AND f.ended < f.day THEN 'authorization_ended'
				WHEN NOT f.covered THEN 'not_authorized'
				WHEN NOT f.authorized THEN 'not_authorized_weekday'
				WHEN f.rival_here AND f.sessions > 0 THEN 'two_providers'
				WHEN (f.rival_here OR f.noted_elsewhere)
					AND (k.said_kind = 'absence' AND f.rules ->> 'absences' IS DISTINCT FROM 'omit'
						OR k.said_kind = 'closure' AND f.rules ->> 'closures' IS DISTINCT FROM 'omit') THEN 'two_providers'
			END AS stranger,
			-- whether what Manage says can be said to the service
			CASE
				WHEN f.unknown IS NOT NULL THEN 'unknown_kind'
				WHEN f.sessions IS NULL AND (f.came_elsewhere OR f.absences = 0 AND f.closures = 0) THEN NULL
				WHEN f.sessions > 0 AND f.absences + f.closures > 0 OR f.absences > 0 AND f.closures > 0 OR f.reasons > 1 THEN 'conflict'
				WHEN f.out_before_in THEN 'out_before_in'
				WHEN f.too_long THEN 'too_long'
				WHEN f.too_short THEN 'too_short'
				WHEN f.overlapping OR f.crossing IS NOT NULL THEN 'overlapping_sessions'
				WHEN f.missing_out AND f.rules ->> 'lone_punch' IS DISTINCT FROM 'send' THEN 'missing_check_out'
				WHEN f.missing_in AND f.rules ->> 'lone_punch' IS DISTINCT FROM 'send' THEN 'missing_check_in'
				WHEN f.over_midnight AND f.rules ->> 'overnight' IS NULL THEN 'over_midnight'
				WHEN f.ambiguous THEN 'clock_change'
				WHEN f.sessions > least((f.rules ->> 'sessions_per_day')::integer, (f.rules ->> 'slots')::integer) THEN 'too_many_sessions'
				WHEN f.absences > 0 AND f.rules ->> 'absence_reasons' IS NULL AND f.reasons_listed AND f.manage_reason IS NOT NULL AND f.reason_code IS NULL THEN 'absence_reason'
			END AS unsayable
		FROM facts f
		-- A child that came to another of its providers was there: that an
		-- absence or a closure is noted here too claims nothing. What the
		-- agency takes none of leaves nothing to say in place of what it holds
		CROSS JOIN LATERAL (SELECT CASE
				WHEN f.sessions > 0 THEN 'session'
				WHEN f.came_elsewhere THEN NULL
				WHEN f.absences > 0 THEN CASE WHEN (f.rules ->> 'absences' = 'omit' AND f.accepted_kind <> 'absence') IS NOT TRUE THEN 'absence' END
				WHEN f.closures > 0 THEN CASE WHEN (f.rules ->> 'closures' = 'omit' AND f.accepted_kind <> 'closure') IS NOT TRUE THEN 'closure' END
			END AS said_kind) k
	), said_of AS (
		SELECT s.*,
			CASE WHEN s.unsayable IS NULL AND NOT s.void_wanted THEN s.said_kind END AS kind,
			CASE WHEN s.unsayable IS NULL AND NOT s.void_wanted AND s.said_kind = 'session' THEN s.session_in END AS sayable_in,
			CASE WHEN s.unsayable IS NULL AND NOT s.void_wanted AND s.said_kind = 'session' THEN s.session_out END AS sayable_out,
			CASE WHEN s.unsayable IS NULL AND NOT s.void_wanted AND s.said_kind = 'absence' AND s.rules ->> 'absence_reasons' IS NULL
				THEN coalesce(s.reason_code, s.manage_reason) END AS absence_reason,
			((s.day + 1 + coalesce(CASE WHEN s.accepted_content IS NOT NULL THEN s.rules ->> 'correction_window_days' END,
				s.rules ->> 'entry_window_days')::integer)::timestamp AT TIME ZONE s.zone) AS window_ends
		FROM spoken s
	), weighed AS (
		-- a call of content() for each day takes longer than all of this
		SELECT s.*, CASE s.kind WHEN 'session' THEN s.said WHEN 'absence' THEN concat_ws(' ', 'absence', s.absence_reason) ELSE s.kind END AS content,
			s.said_kind IS NULL AND s.unsayable IS NULL AND s.accepted_content IS NOT NULL AND s.stranger IS NULL AND s.was NOT IN ('sending', 'unknown') AS to_void
		FROM said_of s
	), counted AS (
		-- over all days of the provider: a night limited to one must see it too;
		-- and over all providers, for many small ones may lose all they have,
		-- and even one day must not go because Manage is empty
		SELECT w.*,
			count(*) FILTER (WHERE w.to_void) OVER p AS voids,
			count(*) FILTER (WHERE w.accepted_content IS NOT NULL) OVER p AS held_there,
			count(*) FILTER (WHERE w.to_void AND NOT w.void_anyway) OVER () AS all_voids,
			count(*) FILTER (WHERE w.accepted_content IS NOT NULL AND NOT w.void_anyway) OVER () AS all_held_there,
			NOT EXISTS (SELECT FROM punch) AS nothing_left
		FROM weighed w
		WINDOW p AS (PARTITION BY w.agency_id, w.provider_id)
	), judged AS (
		-- '!' marks a state with a reason; the first that holds
		SELECT c.*,
			CASE
				WHEN c.was IN ('sending', 'unknown') THEN c.was
				WHEN c.void_wanted THEN CASE WHEN c.sent_content = 'void' AND c.was = 'rejected' AND c.sent_basis = c.basis THEN 'rejected' ELSE 'ready' END
				WHEN c.accepted_content IS NOT NULL AND c.stranger IN ('unmatched', 'not_authorized', 'authorization_ended', 'not_authorized_weekday') THEN '!authorization_lost'
				WHEN c.accepted_content IS NOT NULL AND c.content = c.accepted_content THEN 'accepted'
				WHEN c.silent AND c.accepted_content IS NULL AND c.stranger IN ('not_authorized', 'authorization_ended', 'not_authorized_weekday') THEN '!not_authorized_any_more'
				WHEN c.stranger IS NOT NULL THEN '!' || c.stranger
				WHEN c.unsayable IS NOT NULL THEN '!' || c.unsayable
				WHEN c.content IS NULL AND c.accepted_content IS NULL AND c.was = 'voided' THEN 'voided'
				WHEN c.content IS NULL AND c.accepted_content IS NULL AND (c.came_elsewhere OR c.known_elsewhere) THEN '!other_provider'
				WHEN c.content IS NULL AND c.accepted_content IS NULL THEN '!nothing_recorded'
				WHEN c.kind = 'closure' AND c.rules ->> 'closures' = 'omit' AND c.accepted_content IS NULL THEN '!closure_not_taken'
				WHEN c.kind = 'absence' AND c.rules ->> 'absences' = 'omit' AND c.accepted_content IS NULL THEN '!absence_not_taken'
				WHEN c.window_ends <= at THEN '!window_closed'
				WHEN c.to_void AND NOT can_void THEN '!cannot_void'
				WHEN c.to_void AND NOT c.void_anyway AND NOT (c.was = 'ready' AND c.was_content IS NULL)
					AND (c.voids >= shrink_floor AND c.voids * 100 > c.held_there * (100 - shrink_ratio)
						OR c.all_voids >= shrink_floor AND c.all_voids * 100 > c.all_held_there * (100 - shrink_ratio)
						OR c.nothing_left) THEN '!source_shrank'
				WHEN c.was = 'rejected' AND c.sent_content = coalesce(c.content, 'void') AND c.sent_basis = c.basis THEN 'rejected'
				WHEN NOT c.finished THEN '!unfinished_day'
				ELSE 'ready'
			END AS verdict
		FROM counted c
	)
	SELECT j.agency_id, j.provider_id, j.kinderconnect_child_id, j.day, j.authorized, j.location_id, j.child_id,
		CASE WHEN j.verdict NOT LIKE '!%' THEN j.verdict
			WHEN j.verdict IN ('!other_provider', '!closure_not_taken', '!absence_not_taken', '!not_authorized_any_more') THEN 'not_due'
			ELSE 'held' END,
		CASE WHEN j.verdict LIKE '!%' THEN substr(j.verdict, 2) END,
		CASE
			WHEN j.verdict LIKE '!%' THEN nullif(concat_ws(', ',
				CASE
					WHEN j.verdict = '!unmatched' OR j.verdict = '!authorization_lost' AND j.stranger = 'unmatched' THEN j.unlinked_because
					WHEN j.verdict = '!authorization_lost' THEN j.stranger
					WHEN j.verdict = '!authorization_ended' THEN 'ended ' || to_char(j.ended, 'YYYY-MM-DD')
					WHEN j.verdict = '!window_closed' THEN 'closed ' || to_char(j.window_ends AT TIME ZONE j.zone, 'YYYY-MM-DD')
					WHEN j.verdict = '!absence_reason' THEN j.manage_reason
					WHEN j.verdict = '!unknown_kind' THEN j.unknown
					WHEN j.verdict IN ('!two_providers', '!other_provider') THEN 'provider ' || j.others
					WHEN j.verdict = '!merged_child' THEN j.merged
					WHEN j.verdict = '!source_shrank' THEN format('%s of %s accepted days', j.voids, j.held_there)
				END,
				j.facts, CASE WHEN j.verdict <> '!absence_reason' THEN nullif(j.absences, 0) || ' absence(s)' END, nullif(j.closures, 0) || ' closure(s)', j.crossing), '')
		END,
		j.kind, j.sayable_in, j.sayable_out, j.absence_reason, j.content, j.window_ends, j.basis, j.modified_at, j.finished
	FROM judged j
	WHERE j.day BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity');
END;
$$;
COMMENT ON FUNCTION kinderconnect._planned(text, text, text, date, date, boolean, timestamptz) IS
'what is to be done with every child-day of an organization in the horizon, as of a moment; foresee: by the links that tonight would make, and today''s days too. Changes nothing. The columns are those of child_day; finished is false for today''s';

CREATE FUNCTION kinderconnect._plan(organization text, agency text, provider text, from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	planned_at timestamptz := clock_timestamp();
	run        bigint;
BEGIN
	SELECT max(o.run_id) INTO run
	FROM kinderconnect.run_organization o JOIN kinderconnect.run r ON r.run_id = o.run_id
	WHERE o.organization_id = organization AND o.locked AND r.ended_at IS NULL;
	PERFORM kinderconnect._note_zones(organization);

	WITH planned AS MATERIALIZED (
		SELECT * FROM kinderconnect._planned(organization, agency, provider, from_date, to_date, false)
	), apart AS MATERIALIZED (
		SELECT p.*, d.state AS was_state, d.reason AS was_reason, d.detail AS was_detail, d.content AS was_content, d.modified_at AS was_modified_at
		FROM planned p
		LEFT JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
		WHERE d.state IS NULL
			OR (d.authorized, d.location_id, d.child_id, d.state, d.reason, d.detail, d.content, d.absence_reason, d.window_ends, d.basis)
				IS DISTINCT FROM (p.authorized, p.location_id, p.child_id, p.state, p.reason, p.detail, p.content, p.absence_reason, p.window_ends, p.basis)
	), known AS (
		UPDATE kinderconnect.child_day d
		SET authorized = p.authorized, location_id = p.location_id, child_id = p.child_id, state = p.state, reason = p.reason,
			detail = p.detail, kind = p.kind, session_in = p.session_in, session_out = p.session_out,
			absence_reason = p.absence_reason, content = p.content, window_ends = p.window_ends, modified_at = p.modified_at, basis = p.basis,
			code = CASE WHEN p.state = 'rejected' THEN d.code END,
			message = CASE WHEN p.state = 'rejected' THEN d.message END,
			changed_at = now()
		FROM apart p
		WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
				= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
	), passed AS (
		-- what tonight's plan does not look at, tonight's transfer must not
		-- send; a day may be unfinished again at a site that moved west
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, d.content, d.modified_at,
			CASE WHEN d.service_date >= (now() AT TIME ZONE 'Pacific/Honolulu')::date THEN 'unfinished_day' ELSE 'horizon_passed' END AS reason
		FROM kinderconnect.child_day d
		WHERE d.organization_id = organization AND d.state = 'ready'
			AND (agency IS NULL OR d.agency_id = agency) AND (provider IS NULL OR d.provider_id = provider)
			AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
			AND NOT EXISTS (SELECT FROM planned p
				WHERE (p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
					= (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date))
	), stopped AS (
		UPDATE kinderconnect.child_day d
		SET state = 'held', reason = p.reason, detail = NULL, changed_at = now()
		FROM passed p
		WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
	), step AS (
		INSERT INTO kinderconnect.child_day_step
			(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, at, run_id,
			was_state, was_reason, was_detail, was_content, was_modified_at, state, reason, detail, content, modified_at)
		SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, planned_at, run,
			p.was_state, p.was_reason, p.was_detail, p.was_content, p.was_modified_at, p.state, p.reason, p.detail, p.content, p.modified_at
		FROM apart p
		WHERE p.was_state IS NOT NULL
			AND (p.was_state, p.was_reason, p.was_detail, p.was_content) IS DISTINCT FROM (p.state, p.reason, p.detail, p.content)
		UNION ALL
		SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, planned_at, run,
			'ready', NULL, NULL, p.content, p.modified_at, 'held', p.reason, NULL, p.content, p.modified_at
		FROM passed p
	)
	INSERT INTO kinderconnect.child_day
		(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, location_id, child_id,
		state, reason, detail, kind, session_in, session_out, absence_reason, content, window_ends, modified_at, basis, planned_at)
	SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, p.authorized, p.location_id, p.child_id,
		p.state, p.reason, p.detail, p.kind, p.session_in, p.session_out, p.absence_reason, p.content, p.window_ends, p.modified_at, p.basis, planned_at
	FROM apart p
	WHERE p.was_state IS NULL;

	-- an acceptance is for one plan of the whole; a limited one leaves the rest
	-- of it for the next
	INSERT INTO kinderconnect.list_state AS l (organization_id, operation, agency_id, provider_id, set_aside_at)
	SELECT DISTINCT organization, 'attendance', d.agency_id, d.provider_id, now()
	FROM kinderconnect.child_day d WHERE d.organization_id = organization AND d.reason = 'source_shrank'
	ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month) DO UPDATE
	SET set_aside_at = coalesce(l.set_aside_at, excluded.set_aside_at),
		accept_shrink = l.accept_shrink AND num_nonnulls(agency, provider, from_date, to_date) > 0;
	DELETE FROM kinderconnect.list_state l
	WHERE l.organization_id = organization AND l.operation = 'attendance'
		AND NOT EXISTS (SELECT FROM kinderconnect.child_day d
			WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, l.agency_id, l.provider_id) AND d.reason = 'source_shrank');
END;
$$;
COMMENT ON FUNCTION kinderconnect._plan(text, text, text, date, date) IS
'writes down what is to be done with every child-day; days under way are left as they are, only what Manage says is brought up to date';
-- Who is due, and when: a timetable on the location's own clock against the
-- last run that covered it.

CREATE TABLE kinderconnect.timetable (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	agency_id       text NOT NULL DEFAULT '',
	provider_id     text NOT NULL DEFAULT '',
	cadence         text NOT NULL CHECK (cadence IN ('nightly', 'weekdays', 'weekly', 'every_other_week', 'monthly')),
	local_time      time NOT NULL CHECK (local_time < '24:00'),
	days            text[] CHECK (cardinality(days) > 0 AND days <@ ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU']),
	anchor          date CHECK (isfinite(anchor)),
	month_days      integer[] CHECK (cardinality(month_days) > 0 AND 1 <= ALL (month_days) AND 31 >= ALL (month_days)),
	PRIMARY KEY (organization_id, agency_id, provider_id),
	CONSTRAINT timetable_provider_has_agency CHECK (provider_id = '' OR agency_id <> ''),
	CONSTRAINT timetable_days_of_weekly CHECK ((cadence = 'weekly') = (days IS NOT NULL)),
	CONSTRAINT timetable_anchor_of_every_other_week CHECK ((cadence = 'every_other_week') = (anchor IS NOT NULL)),
	CONSTRAINT timetable_month_days_of_monthly CHECK ((cadence = 'monthly') = (month_days IS NOT NULL))
);
COMMENT ON TABLE kinderconnect.timetable IS
'when tick() runs the night: for an organization, or one agency or provider of it, which wins. Without a row: nightly at 00:15. Written by set_schedule()';
COMMENT ON COLUMN kinderconnect.timetable.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.timetable.agency_id IS 'the agency, or empty: all';
COMMENT ON COLUMN kinderconnect.timetable.provider_id IS 'the provider ID, or empty: all';
COMMENT ON COLUMN kinderconnect.timetable.cadence IS 'the local dates on which it runs: nightly, each; weekdays, Monday to Friday; weekly, those of days; every_other_week, anchor and every 14 days before and after; monthly, those of month_days';
COMMENT ON COLUMN kinderconnect.timetable.local_time IS 'on the location''s clock. On the days clocks change: at the first instant at which they show this time or a later one';
COMMENT ON COLUMN kinderconnect.timetable.days IS 'of weekly: MO to SU';
COMMENT ON COLUMN kinderconnect.timetable.anchor IS 'of every_other_week: a date on which it runs';
COMMENT ON COLUMN kinderconnect.timetable.month_days IS 'of monthly: 1 to 31; what a month does not have is its last day';

CREATE TABLE kinderconnect.provider_clock (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	agency_id       text NOT NULL,
	provider_id     text NOT NULL,
	time_zone       text,
	run_id          bigint NOT NULL,
	attempted_at    timestamptz,
	ended_at        timestamptz,
	covered_at      timestamptz,
	failures        integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
	failing_since   timestamptz,
	sqlstate        text,
	PRIMARY KEY (organization_id, agency_id, provider_id),
	CHECK ((failures = 0) = (failing_since IS NULL))
);
COMMENT ON TABLE kinderconnect.provider_clock IS
'the runs of each provider, in short: what is due is told from it. Agency and provider empty: an organization of which no provider is known yet. Runs limited to dates do not count';
COMMENT ON COLUMN kinderconnect.provider_clock.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_clock.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_clock.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_clock.time_zone IS 'of the location, when a run last looked; null: not known, the agency''s counts, else the last of the country';
COMMENT ON COLUMN kinderconnect.provider_clock.run_id IS 'the run it last had a part in';
COMMENT ON COLUMN kinderconnect.provider_clock.attempted_at IS 'begin of the last run that was to cover it';
COMMENT ON COLUMN kinderconnect.provider_clock.ended_at IS 'end of that run; null: under way, or interrupted';
COMMENT ON COLUMN kinderconnect.provider_clock.covered_at IS 'begin of the last run that did, without an error of it or its organization';
COMMENT ON COLUMN kinderconnect.provider_clock.failures IS 'runs since then that did not, one under way included';
COMMENT ON COLUMN kinderconnect.provider_clock.failing_since IS 'begin of the first of these';
COMMENT ON COLUMN kinderconnect.provider_clock.sqlstate IS 'why the last one did not; null while under way or interrupted';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.timetable', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.provider_clock', '');

CREATE FUNCTION kinderconnect.set_schedule(organization_id text, cadence text DEFAULT 'nightly', local_time time DEFAULT '00:15',
		days text[] DEFAULT NULL, anchor date DEFAULT NULL, month_days integer[] DEFAULT NULL,
		agency_id text DEFAULT NULL, provider_id text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	weekdays text[] := (SELECT array_agg(upper(btrim(d)) ORDER BY n) FROM unnest(set_schedule.days) WITH ORDINALITY u(d, n));
	needs    text := CASE set_schedule.cadence WHEN 'weekly' THEN 'days' WHEN 'every_other_week' THEN 'anchor' WHEN 'monthly' THEN 'month_days' END;
	given    text[] := array_remove(ARRAY[CASE WHEN set_schedule.days IS NOT NULL THEN 'days' END,
		CASE WHEN set_schedule.anchor IS NOT NULL THEN 'anchor' END, CASE WHEN set_schedule.month_days IS NOT NULL THEN 'month_days' END], NULL);
	stray    text;
BEGIN
	PERFORM kinderconnect._require_organization(set_schedule.organization_id);
	IF set_schedule.cadence IS NULL OR set_schedule.local_time IS NULL THEN
		RAISE EXCEPTION 'cadence and local_time must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF set_schedule.cadence NOT IN ('nightly', 'weekdays', 'weekly', 'every_other_week', 'monthly') THEN
		RAISE EXCEPTION 'unknown cadence "%"', set_schedule.cadence
			USING ERRCODE = 'invalid_parameter_value', HINT = 'One of nightly, weekdays, weekly, every_other_week, monthly.';
	END IF;
	IF set_schedule.local_time = '24:00' THEN
		RAISE EXCEPTION 'local_time 24:00 is no time of a day'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Midnight is 00:00 of the next day.';
	END IF;
	IF needs IS NOT NULL AND needs <> ALL (given) THEN
		RAISE EXCEPTION 'cadence "%" needs %', set_schedule.cadence, needs
			USING ERRCODE = 'null_value_not_allowed', HINT = CASE needs
				WHEN 'days' THEN 'For example days => ''{TU}''.'
				WHEN 'anchor' THEN 'A date on which it runs; the others are every 14 days before and after it.'
				ELSE 'For example month_days => ''{1,16}''; 31 is the last day of each month.' END;
	END IF;
	SELECT g INTO stray FROM unnest(given) g WHERE g IS DISTINCT FROM needs LIMIT 1;
	IF stray IS NOT NULL THEN
		RAISE EXCEPTION 'cadence "%" takes no %', set_schedule.cadence, stray
			USING ERRCODE = 'invalid_parameter_value', HINT = 'days is for weekly, anchor for every_other_week, month_days for monthly.';
	END IF;
	SELECT coalesce(d, 'null') INTO stray FROM unnest(weekdays) d
	WHERE (d IN ('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU')) IS NOT TRUE LIMIT 1;
	IF stray IS NOT NULL OR cardinality(set_schedule.days) = 0 THEN
		RAISE EXCEPTION 'unknown weekday "%"', coalesce(stray, '')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'MO, TU, WE, TH, FR, SA, SU.';
	END IF;
	IF NOT isfinite(set_schedule.anchor) THEN
		RAISE EXCEPTION 'anchor must be a date' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT coalesce(d::text, 'null') INTO stray FROM unnest(set_schedule.month_days) d WHERE (d BETWEEN 1 AND 31) IS NOT TRUE LIMIT 1;
	IF stray IS NOT NULL OR cardinality(set_schedule.month_days) = 0 THEN
		RAISE EXCEPTION 'no month has a day %', coalesce(stray, 'of none')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Days are 1 to 31; 31 is the last day of each month.';
	END IF;
	IF set_schedule.provider_id IS NOT NULL AND set_schedule.agency_id IS NULL THEN
		RAISE EXCEPTION 'provider_id needs agency_id' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF set_schedule.agency_id IS NOT NULL AND NOT EXISTS (SELECT FROM kinderconnect.provider p
			WHERE p.organization_id = set_schedule.organization_id AND p.agency_id = set_schedule.agency_id
				AND (set_schedule.provider_id IS NULL OR p.provider_id = set_schedule.provider_id)) THEN
		RAISE EXCEPTION 'organization "%" has no provider%at agency "%"', set_schedule.organization_id,
				coalesce(' "' || set_schedule.provider_id || '" ', ' '), set_schedule.agency_id
			USING ERRCODE = 'KC001', HINT = 'Providers are listed in kinderconnect.provider.';
	END IF;

	INSERT INTO kinderconnect.timetable (organization_id, agency_id, provider_id, cadence, local_time, days, anchor, month_days)
	VALUES (set_schedule.organization_id, coalesce(set_schedule.agency_id, ''), coalesce(set_schedule.provider_id, ''), set_schedule.cadence,
		set_schedule.local_time, weekdays, set_schedule.anchor, set_schedule.month_days)
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET cadence = excluded.cadence, local_time = excluded.local_time, days = excluded.days, anchor = excluded.anchor, month_days = excluded.month_days;
END;
$$;
COMMENT ON FUNCTION kinderconnect.set_schedule(text, text, time, text[], date, integer[], text, text) IS
'when the night of an organization runs, or of one agency or provider of it: cadence and time of day on each location''s own clock, as in timetable. View due shows what comes of it';

CREATE FUNCTION kinderconnect.clear_schedule(organization_id text, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(clear_schedule.organization_id);
	DELETE FROM kinderconnect.timetable t
	WHERE (t.organization_id, t.agency_id, t.provider_id)
		= (clear_schedule.organization_id, coalesce(clear_schedule.agency_id, ''), coalesce(clear_schedule.provider_id, ''));
	RETURN FOUND;
END;
$$;
COMMENT ON FUNCTION kinderconnect.clear_schedule(text, text, text) IS
'takes back one set_schedule(): a provider goes by its agency''s timetable again, an agency by the organization''s, an organization by nightly at 00:15. False where there was none';

-- One rule for both days on which clocks change: the first instant at which
-- they show this time or a later one. PostgreSQL reads a time that does not
-- exist by the offset before the gap, and one that comes twice as the second.
CREATE FUNCTION kinderconnect._instant(wall timestamp, zone text) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	guess timestamptz := wall AT TIME ZONE zone;
	early timestamptz := guess - interval '12 hours';
	first timestamptz := (wall - (early AT TIME ZONE zone - early AT TIME ZONE 'UTC')) AT TIME ZONE 'UTC';
	low   bigint := 0;
	high  bigint := 86400;
	mid   bigint;
BEGIN
	IF first AT TIME ZONE zone = wall THEN
		RETURN least(first, CASE WHEN guess AT TIME ZONE zone = wall THEN guess END);
	ELSIF guess AT TIME ZONE zone = wall THEN
		RETURN guess;
	END IF;
	-- the gap: its end is the first second, of the day around it, that is late enough
	WHILE low < high LOOP
		mid := (low + high) / 2;
		IF (early + make_interval(secs => mid)) AT TIME ZONE zone >= wall THEN
			high := mid;
		ELSE
			low := mid + 1;
		END IF;
	END LOOP;
	RETURN early + make_interval(secs => low);
END;
$$;
COMMENT ON FUNCTION kinderconnect._instant(timestamp, text) IS
'the first instant at which the clocks of a zone show this time or, where they skip it, a later one';

CREATE FUNCTION kinderconnect._runs_on(day date, cadence text, days text[], anchor date, month_days integer[]) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE cadence
		WHEN 'nightly' THEN true
		WHEN 'weekdays' THEN extract(isodow FROM day) < 6
		WHEN 'weekly' THEN (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM day)::integer] = ANY (days)
		WHEN 'every_other_week' THEN (day - anchor) % 14 = 0
		WHEN 'monthly' THEN extract(day FROM day)::integer = ANY (month_days)
			OR extract(day FROM day + 1) = 1 AND extract(day FROM day)::integer < ANY (month_days)
	END;
COMMENT ON FUNCTION kinderconnect._runs_on(date, text, text[], date, integer[]) IS 'whether a timetable has a run on this local date';

-- Two months hold a date of every cadence.
CREATE FUNCTION kinderconnect._scheduled(cadence text, local_time time, days text[], anchor date, month_days integer[], zone text, at timestamptz, next boolean DEFAULT false)
	RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	today   date := (at AT TIME ZONE zone)::date;
	instant timestamptz;
BEGIN
	FOR n IN -1..62 LOOP
		IF kinderconnect._runs_on(CASE WHEN next THEN today + n ELSE today - n END, cadence, days, anchor, month_days) THEN
			instant := kinderconnect._instant(CASE WHEN next THEN today + n ELSE today - n END + local_time, zone);
			IF next AND instant > at OR NOT next AND instant <= at THEN
				RETURN instant;
			END IF;
		END IF;
	END LOOP;
	RETURN NULL;
END;
$$;
COMMENT ON FUNCTION kinderconnect._scheduled(text, time, text[], date, integer[], text, timestamptz, boolean) IS
'the last instant of a timetable at or before this one on the clock of a zone; next: the first after it';

-- What the next run cannot mend - configuration, a password, a list that
-- shrank - waits for the next date of the timetable.
CREATE FUNCTION kinderconnect._retry_after(failures integer, sqlstate text) RETURNS interval
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN failures = 0 OR sqlstate = 'KC403' THEN interval '0'
		WHEN sqlstate ~ '^KC[023]' AND sqlstate <> 'KC205' THEN interval '24 hours'
		ELSE least(interval '15 minutes' * 2 ^ least(failures - 1, 10), interval '4 hours')
	END;
COMMENT ON FUNCTION kinderconnect._retry_after(integer, text) IS
'how long after its end a run that failed may be followed by another: 15 minutes, doubling to 4 hours; 24 hours after what a person must mend; at once after stop()';

CREATE FUNCTION kinderconnect._due_at(scheduled timestamptz, covered_at timestamptz, attempted_at timestamptz, ended_at timestamptz, failures integer, sqlstate text)
	RETURNS timestamptz
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN covered_at >= scheduled THEN NULL
		WHEN attempted_at >= scheduled THEN coalesce(ended_at, attempted_at) + kinderconnect._retry_after(failures, sqlstate)
		ELSE scheduled
	END;
COMMENT ON FUNCTION kinderconnect._due_at(timestamptz, timestamptz, timestamptz, timestamptz, integer, text) IS
'from when on a run is due that covers a scheduled instant; null: one has. However many instants were missed, one run covers them';

-- Zones and timetables are few: each pair is worked out once.
CREATE FUNCTION kinderconnect._due_as_of(at timestamptz)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, cadence text, local_time time, days text[], anchor date, month_days integer[],
		time_zone text, scheduled_at timestamptz, attempted_at timestamptz, covered_at timestamptz, failures integer, failing_since timestamptz, sqlstate text,
		due_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH unit AS (
		SELECT p.organization_id, p.agency_id, p.provider_id FROM kinderconnect.provider_standing p WHERE p.barred IS NULL
		UNION ALL
		SELECT o.organization_id, '', '' FROM kinderconnect.organization o
		WHERE o.enabled AND NOT EXISTS (SELECT FROM kinderconnect.provider_standing p WHERE p.organization_id = o.organization_id AND p.barred IS NULL)
	), timed AS MATERIALIZED (
		SELECT u.organization_id, u.agency_id, u.provider_id,
			coalesce(t.cadence, a.cadence, o.cadence, 'nightly') AS cadence,
			coalesce(t.local_time, a.local_time, o.local_time, '00:15') AS local_time,
			CASE WHEN t.cadence IS NOT NULL THEN t.days WHEN a.cadence IS NOT NULL THEN a.days ELSE o.days END AS days,
			CASE WHEN t.cadence IS NOT NULL THEN t.anchor WHEN a.cadence IS NOT NULL THEN a.anchor ELSE o.anchor END AS anchor,
			CASE WHEN t.cadence IS NOT NULL THEN t.month_days WHEN a.cadence IS NOT NULL THEN a.month_days ELSE o.month_days END AS month_days,
			coalesce(c.time_zone, g.time_zone, 'Pacific/Honolulu') AS time_zone,
			c.attempted_at, c.ended_at, c.covered_at, coalesce(c.failures, 0) AS failures, c.failing_since, c.sqlstate
		FROM unit u
		LEFT JOIN kinderconnect.provider_clock c ON (c.organization_id, c.agency_id, c.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
		LEFT JOIN kinderconnect.agency g ON g.agency_id = u.agency_id
		LEFT JOIN kinderconnect.timetable t ON u.provider_id <> '' AND (t.organization_id, t.agency_id, t.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
		LEFT JOIN kinderconnect.timetable a ON u.agency_id <> '' AND (a.organization_id, a.agency_id, a.provider_id) = (u.organization_id, u.agency_id, '')
		LEFT JOIN kinderconnect.timetable o ON (o.organization_id, o.agency_id, o.provider_id) = (u.organization_id, '', '')
	), clock AS MATERIALIZED (
		SELECT k.*, kinderconnect._scheduled(k.cadence, k.local_time, k.days, k.anchor, k.month_days, k.time_zone, at) AS scheduled_at
		FROM (SELECT DISTINCT t.cadence, t.local_time, t.days, t.anchor, t.month_days, t.time_zone FROM timed t) k
	)
	SELECT t.organization_id, t.agency_id, t.provider_id, t.cadence, t.local_time, t.days, t.anchor, t.month_days, t.time_zone,
		k.scheduled_at, t.attempted_at, t.covered_at, t.failures, t.failing_since, t.sqlstate,
		kinderconnect._due_at(k.scheduled_at, t.covered_at, t.attempted_at, t.ended_at, t.failures, t.sqlstate)
	FROM timed t
	JOIN clock k ON (k.cadence, k.local_time, k.time_zone) = (t.cadence, t.local_time, t.time_zone)
		AND (k.days, k.anchor, k.month_days) IS NOT DISTINCT FROM (t.days, t.anchor, t.month_days);
END;
COMMENT ON FUNCTION kinderconnect._due_as_of(timestamptz) IS
'every provider that takes part, its timetable, what became of it last, and from when on it is due as of an instant; of an organization without one, itself';

CREATE VIEW kinderconnect.due AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.cadence, d.local_time, d.days, d.anchor, d.month_days, d.time_zone,
	d.scheduled_at, d.attempted_at, d.covered_at, d.failures, d.failing_since, d.sqlstate, d.due_at, (d.due_at <= now()) IS TRUE AS is_due,
	kinderconnect._scheduled(d.cadence, d.local_time, d.days, d.anchor, d.month_days, d.time_zone, now(), true) AS next_at
FROM kinderconnect._due_as_of(now()) d;
COMMENT ON VIEW kinderconnect.due IS
'when each provider''s night runs, by its own clock, and whether it has; agency and provider empty: an organization of which no provider is known yet';
COMMENT ON COLUMN kinderconnect.due.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.due.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.due.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.due.cadence IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.local_time IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.days IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.anchor IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.month_days IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.time_zone IS 'the clock it goes by';
COMMENT ON COLUMN kinderconnect.due.scheduled_at IS 'the last instant of the timetable';
COMMENT ON COLUMN kinderconnect.due.attempted_at IS 'begin of the last run that was to cover it';
COMMENT ON COLUMN kinderconnect.due.covered_at IS 'begin of the last run that did';
COMMENT ON COLUMN kinderconnect.due.failures IS 'runs since then that did not';
COMMENT ON COLUMN kinderconnect.due.failing_since IS 'begin of the first of these';
COMMENT ON COLUMN kinderconnect.due.sqlstate IS 'why the last one did not';
COMMENT ON COLUMN kinderconnect.due.due_at IS 'from when on the next tick runs it; null: scheduled_at is covered';
COMMENT ON COLUMN kinderconnect.due.is_due IS 'the next tick runs it, unless a run is busy with its organization';
COMMENT ON COLUMN kinderconnect.due.next_at IS 'the next instant of the timetable';

-- Whose run is under way is not due: it would only be told so.
CREATE FUNCTION kinderconnect._due_now() RETURNS TABLE (organization_id text, agency_id text, provider_id text)
	LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT d.organization_id, d.agency_id, d.provider_id FROM kinderconnect._due_as_of(clock_timestamp()) d
	WHERE d.due_at <= clock_timestamp()
		AND NOT EXISTS (SELECT FROM kinderconnect.run r
			JOIN kinderconnect.run_organization o ON o.run_id = r.run_id AND o.organization_id = d.organization_id AND o.locked
			JOIN pg_stat_activity a ON a.pid = r.pid AND a.pid <> pg_backend_pid()
			WHERE r.status = 'running');
END;
COMMENT ON FUNCTION kinderconnect._due_now() IS 'the providers that a tick runs now';

-- Whose part a run is, and that it has been tried: written before anything is
-- done, so that a run that dies has been one.
CREATE FUNCTION kinderconnect._take_part(run bigint, organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO kinderconnect.provider_clock AS c
		(organization_id, agency_id, provider_id, run_id, attempted_at, failures, failing_since)
	SELECT organization, d.agency_id, d.provider_id, run, w.started_at, (w.started_at IS NOT NULL)::integer, w.started_at
	FROM kinderconnect._due_as_of(clock_timestamp()) d
	JOIN kinderconnect.run r ON r.run_id = run
	CROSS JOIN LATERAL (SELECT CASE WHEN NOT r.scope ?| ARRAY['from_date', 'to_date'] THEN r.started_at END AS started_at) w
	WHERE d.organization_id = organization
		AND (r.scope ->> 'agency_id' IS NULL OR d.agency_id = r.scope ->> 'agency_id')
		AND (r.scope ->> 'provider_id' IS NULL OR d.provider_id = r.scope ->> 'provider_id')
		AND (NOT r.scope ? 'due' OR d.due_at <= clock_timestamp())
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET run_id = excluded.run_id,
		attempted_at = coalesce(excluded.attempted_at, c.attempted_at),
		ended_at = CASE WHEN excluded.attempted_at IS NULL THEN c.ended_at END,
		failures = c.failures + excluded.failures,
		failing_since = coalesce(c.failing_since, excluded.failing_since),
		sqlstate = CASE WHEN excluded.attempted_at IS NULL THEN c.sqlstate END
	WHERE c.run_id <> run;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_part(bigint, text) IS
'writes down which providers of an organization have a part in a run, by its scope; again for those that it has come to know meanwhile';

CREATE FUNCTION kinderconnect._set_clocks(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.provider_clock c SET time_zone = z.zone
	FROM kinderconnect.provider p
	LEFT JOIN kinderconnect._location_zones(organization) z ON z.location_id = p.location_id
	WHERE p.organization_id = organization
		AND (c.organization_id, c.agency_id, c.provider_id) = (organization, p.agency_id, p.provider_id)
		AND c.time_zone IS DISTINCT FROM z.zone;
END;
$$;
COMMENT ON FUNCTION kinderconnect._set_clocks(text) IS 'brings the zones of provider_clock up to date with Manage, so that a tick need not ask it';

-- A run that is stopped was nobody's failure. What is not to be told to all
-- providers alike stands with each.
CREATE FUNCTION kinderconnect._keep_time(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.provider_clock c
	SET ended_at = clock_timestamp(), sqlstate = e.sqlstate,
		covered_at = CASE WHEN e.sqlstate IS NULL THEN c.attempted_at ELSE c.covered_at END,
		failures = CASE WHEN e.sqlstate IS NULL THEN 0 WHEN e.sqlstate = 'KC403' THEN c.failures - 1 ELSE c.failures END,
		failing_since = CASE WHEN e.sqlstate IS NULL OR e.sqlstate = 'KC403' AND c.failures = 1 THEN NULL ELSE c.failing_since END
	FROM (SELECT k.organization_id, k.agency_id, k.provider_id, coalesce(r.sqlstate, o.sqlstate, p.sqlstate) AS sqlstate
		FROM kinderconnect.run r
		JOIN kinderconnect.run_organization o ON o.run_id = r.run_id AND o.locked
		JOIN kinderconnect.provider_clock k ON k.organization_id = o.organization_id AND k.run_id = r.run_id AND k.attempted_at = r.started_at
		LEFT JOIN kinderconnect.run_provider p ON (p.organization_id, p.run_id, p.agency_id, p.provider_id)
			= (k.organization_id, r.run_id, k.agency_id, k.provider_id)
		WHERE r.run_id = run) e
	WHERE (c.organization_id, c.agency_id, c.provider_id) = (e.organization_id, e.agency_id, e.provider_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect._keep_time(bigint) IS 'notes for each provider of a run that ends whether it was covered, and if not, why';
-- Binding Manage: a query for each relation, checked before it takes the
-- place of the one in force. What cannot work is refused. What would cost
-- some of the rows their effect is a warning, with a count, and examples by
-- key: names and birth dates are never told, for warnings reach logs.

CREATE FUNCTION kinderconnect._warn_of_rows(relation text, keys text[], condition text, what text, hint text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found    bigint;
	sampled  bigint;
	examples text;
BEGIN
	EXECUTE format('SELECT count(*), array_to_string((array_agg(DISTINCT concat_ws(''/'', %s) COLLATE "C"))[1:3], '', '')
		FROM pg_temp.kinderconnect_sample s WHERE %s',
		(SELECT string_agg(format('s.%I', k), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u(k, n)), condition)
		INTO found, examples;
	IF found > 0 THEN
		EXECUTE 'SELECT count(*) FROM pg_temp.kinderconnect_sample' INTO sampled;
		RAISE WARNING 'Manage''s "%": % of % rows %', relation, found, sampled, what
			USING DETAIL = format('By %s: %s.', array_to_string(keys, '/'), examples), HINT = hint;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._warn_of_rows(text, text[], text, text, text) IS
'warns of the rows of a sample for which a condition holds, with the first keys of them';

CREATE FUNCTION kinderconnect._check_sample(relation text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	keys     text[] := ARRAY(SELECT c.column_name FROM kinderconnect.manage_column c WHERE c.relation = _check_sample.relation AND c.is_key ORDER BY c.position);
	key_list text := (SELECT string_agg(format('s.%I', k), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u(k, n));
	sampled  bigint;
	found    bigint;
	bad      text;
	item     record;
BEGIN
	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE num_nulls(%s) > 0) FROM pg_temp.kinderconnect_sample s', key_list) INTO sampled, found;
	IF found > 0 THEN
		RAISE EXCEPTION 'query for Manage''s "%" has rows without a key', _check_sample.relation
			USING ERRCODE = 'not_null_violation',
				DETAIL = format('In %s of the first %s rows one of %s is null.', found, sampled, array_to_string(keys, ', ')),
				HINT = 'Leave such rows out with WHERE, or give the column a value.';
	END IF;
	IF _check_sample.relation = 'location' THEN
		EXECUTE 'SELECT string_agg(format(''"%s"'', z.time_zone), '', '' ORDER BY z.time_zone COLLATE "C")
			FROM (SELECT DISTINCT s.time_zone FROM pg_temp.kinderconnect_sample s) z
			WHERE z.time_zone IS NOT NULL AND kinderconnect._zone(z.time_zone) IS NULL' INTO bad;
		IF bad IS NOT NULL THEN
			RAISE EXCEPTION 'query for Manage''s "location" has unknown time zones'
				USING ERRCODE = 'invalid_parameter_value',
					DETAIL = 'Unknown: ' || bad || '.',
					HINT = 'Zones are IANA names, such as America/Chicago.';
		END IF;
	ELSIF _check_sample.relation = 'attendance' THEN
		EXECUTE 'SELECT string_agg(format(''"%s"'', k.kind), '', '' ORDER BY k.kind COLLATE "C")
			FROM (SELECT DISTINCT s.kind FROM pg_temp.kinderconnect_sample s) k
			WHERE k.kind NOT IN (''session'', ''absence'', ''closure'')' INTO bad;
		IF bad IS NOT NULL THEN
			RAISE EXCEPTION 'query for Manage''s "attendance" has unknown kinds'
				USING ERRCODE = 'invalid_parameter_value',
					DETAIL = 'Unknown: ' || bad || '.',
					HINT = 'A kind is session, absence or closure: translate Manage''s own words with CASE.';
		END IF;
	END IF;

	PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
		format('(%1$s) IN (SELECT %1$s FROM pg_temp.kinderconnect_sample s GROUP BY %1$s HAVING count(*) > 1)', key_list), 'share their key with another',
		CASE _check_sample.relation
			WHEN 'child' THEN 'Such children are never linked by name: several_in_manage.'
			WHEN 'attendance' THEN 'The same session twice is held as overlapping_sessions.'
			ELSE 'Which of them counts is not determined.' END);
	-- what has a letter is a name, folded too
	FOR item IN
		SELECT * FROM (VALUES
			('location', 'coalesce(s.name, '''') !~ ''[A-Za-z]'' AND coalesce(kinderconnect.fold(s.name), '''') = ''''', 'have no name',
				'The location of a provider ID is found by name and ZIP; without a name, add_provider() has to tell it.'),
			('location', 'nullif(btrim(s.zip), '''') !~ ''^[0-9]{5}(-?[0-9]{4})?$''', 'have a ZIP code that is none',
				'A number has lost its leading zeros: lpad(zip::text, 5, ''0'').'),
			('child', 'coalesce(s.first_name, '''') !~ ''[A-Za-z]'' AND coalesce(kinderconnect.fold(s.first_name), '''') = ''''
				OR coalesce(s.last_name, '''') !~ ''[A-Za-z]'' AND coalesce(kinderconnect.fold(s.last_name), '''') = ''''',
				'lack a first or a last name', 'They cannot be matched; link_child() can link them.'),
			('child', 's.date_of_birth IS NULL', 'have no birth date', 'They cannot be matched; link_child() can link them.'),
			('child', 's.date_of_birth > current_date + 1 OR s.date_of_birth < current_date - 36525', 'have an impossible birth date',
				'They are in the future or a hundred years back; correct them in Manage.'),
			('attendance', 's.kind <> ''closure'' AND s.child_id IS NULL', 'are a session or an absence of nobody',
				'No night looks at them: only a closure, of the whole location, is without a child.'),
			('attendance', 's.kind = ''session'' AND s.check_in IS NULL AND s.check_out IS NULL', 'are sessions without check-in and check-out',
				'No night looks at them.'),
			('attendance', 's.kind <> ''session'' AND s.service_date IS NULL', 'are an absence or a closure without service_date',
				'No night looks at them.'),
			('attendance', 's.kind = ''session'' AND s.check_out < s.check_in', 'are sessions whose check-out is before the check-in',
				'Their days are held as out_before_in until Manage is corrected. If it is most of them, the columns may be swapped.'),
			('attendance', 's.kind = ''session'' AND s.check_out > s.check_in + interval ''24 hours''', 'are sessions of more than 24 hours',
				'Their days are held as too_long until Manage is corrected.'),
			('attendance', 's.kind = ''session'' AND s.check_in > now() + interval ''1 day''', 'are sessions in the future',
				'If they are not corrected they wait until their day is over. The times may be of another zone or year.')
		) AS c (relation, condition, what, hint)
		WHERE c.relation = _check_sample.relation
	LOOP
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys, item.condition, item.what, item.hint);
	END LOOP;

	IF _check_sample.relation IN ('child', 'attendance') AND kinderconnect._is_bound('location') THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			's.location_id IS NOT NULL AND NOT EXISTS (SELECT FROM kinderconnect.manage_location m WHERE (m.organization_id, m.location_id) = (s.organization_id, s.location_id))',
			'are at a location that manage_location does not have',
			CASE _check_sample.relation WHEN 'child' THEN 'They are matched within the organization only.' ELSE 'No night looks at them.' END);
	END IF;
	IF _check_sample.relation = 'attendance' AND kinderconnect._is_bound('child') THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			's.child_id IS NOT NULL AND NOT EXISTS (SELECT FROM kinderconnect.manage_child m WHERE (m.organization_id, m.child_id) = (s.organization_id, s.child_id))',
			'are of a child that manage_child does not have', 'No night looks at them.');
	END IF;
	IF _check_sample.relation = 'child_id' THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			'(s.organization_id, s.agency_id, s.kinderconnect_child_id) IN (SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id
				FROM pg_temp.kinderconnect_sample d GROUP BY 1, 2, 3 HAVING count(DISTINCT d.child_id) > 1)',
			'give one id of the service to several children', 'Such a child is not linked: several_stored_ids.');
	ELSIF _check_sample.relation = 'provider_id' THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			'(s.organization_id, s.agency_id, s.provider_id) IN (SELECT d.organization_id, d.agency_id, d.provider_id
				FROM pg_temp.kinderconnect_sample d GROUP BY 1, 2, 3 HAVING count(DISTINCT d.location_id) > 1)',
			'give one provider ID to several locations', 'Such a provider is held as provider_unmatched until add_provider() tells its location.');
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._check_sample(text) IS
'what bind_manage() says of the rows of its sample: an error where they cannot be used, else warnings';

-- What the nights so far rest on must be found in the new source. If nothing
-- of it is, the source is another one, or its ids are: bound all the same, it
-- would have every day held, or taken back. Who means it drops the view first.
CREATE FUNCTION kinderconnect._check_rebind(relation text, source text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	known    bigint;
	found    bigint;
	examples text;
	what     text;
	hint     text;
BEGIN
	CASE _check_rebind.relation
		WHEN 'location' THEN
			what := 'locations of providers';
			hint := 'They are found anew by name, but for those that add_provider() has told.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(DISTINCT k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT DISTINCT concat_ws(''/'', p.organization_id, p.location_id) AS key, m.location_id IS NOT NULL AS found
					FROM kinderconnect.provider p
					JOIN kinderconnect.organization o ON o.organization_id = p.organization_id AND o.enabled
					LEFT JOIN (%s) m ON (m.organization_id, m.location_id) = (p.organization_id, p.location_id)
					WHERE p.enabled AND p.location_id IS NOT NULL) k', source) INTO known, found, examples;
		WHEN 'child' THEN
			-- a name written as it was has its key
			what := 'linked children';
			hint := 'Their days are held as child_gone or link_disagrees.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(k.key ORDER BY k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT concat_ws(''/'', l.organization_id, l.child_id) AS key,
						coalesce(bool_or(c.date_of_birth = m.date_of_birth
							AND (c.first_name = m.first_name OR c.last_name = m.last_name
								OR c.first_key = kinderconnect._first_key(m.first_name) OR c.last_key = kinderconnect._last_key(m.last_name))), false) AS found
					FROM kinderconnect.child_link l
					JOIN kinderconnect.organization o ON o.organization_id = l.organization_id AND o.enabled
					JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (l.organization_id, l.agency_id, l.kinderconnect_child_id)
					LEFT JOIN (%s) m ON (m.organization_id, m.child_id) = (l.organization_id, l.child_id)
					WHERE l.ended_at IS NULL AND (l.flag IN (''link_disagrees'', ''child_gone'')) IS NOT TRUE
					GROUP BY l.organization_id, l.child_id) k', source) INTO known, found, examples;
		WHEN 'attendance' THEN
			what := 'children with accepted days';
			hint := 'Their days of the horizon are taken back, or held as source_shrank.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(k.key ORDER BY k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT DISTINCT concat_ws(''/'', d.organization_id, d.child_id) AS key, m.child_id IS NOT NULL AS found
					FROM kinderconnect.child_day d
					JOIN kinderconnect.organization o ON o.organization_id = d.organization_id AND o.enabled
					LEFT JOIN (SELECT DISTINCT q.organization_id, q.child_id FROM (%s) q) m ON (m.organization_id, m.child_id) = (d.organization_id, d.child_id)
					WHERE d.accepted_kind IN (''session'', ''absence'') AND d.child_id IS NOT NULL
						AND d.service_date >= current_date - kinderconnect.setting(''horizon_days'')::integer) k', source) INTO known, found, examples;
		ELSE
			RETURN;
	END CASE;
	IF found = known THEN
		RETURN;
	END IF;
	IF found = 0 AND kinderconnect._is_bound(_check_rebind.relation) THEN
		RAISE EXCEPTION 'query for Manage''s "%" has none of the % % that the binding in force has', _check_rebind.relation, known, what
			USING ERRCODE = 'KC001', DETAIL = format('Not there, by id: %s.', examples),
				HINT = format('Its ids are others, or its rows are. If that is meant, DROP VIEW kinderconnect.manage_%s first.', _check_rebind.relation);
	END IF;
	RAISE WARNING 'Manage''s "%": % of % % are not in it as they were', _check_rebind.relation, known - found, known, what
		USING DETAIL = format('By id: %s.', examples), HINT = hint;
END;
$$;
COMMENT ON FUNCTION kinderconnect._check_rebind(text, text) IS
'whether a new source of Manage still has the locations, the linked children or the attendance that the nights so far rest on: an error where it has none of them, a warning where it lacks some';

-- The query is checked as a temporary view first, so that a wrong one leaves
-- the binding in force untouched.
CREATE FUNCTION kinderconnect.bind_manage(relation text, query text) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	view_name   text := 'manage_' || bind_manage.relation;
	missing     text;
	mistyped    text;
	hint        text;
	select_list text;
	source      text;
	sample_size CONSTANT integer := 100000;
	sampled     bigint;
BEGIN
	IF bind_manage.relation IS NULL OR NOT EXISTS (SELECT FROM kinderconnect.manage_column c WHERE c.relation = bind_manage.relation) THEN
		RAISE EXCEPTION 'Manage has no relation "%"', bind_manage.relation
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Relations are: ' || (SELECT string_agg(DISTINCT c.relation, ', ') FROM kinderconnect.manage_column c) || '.';
	END IF;
	IF query IS NULL OR btrim(query) = '' THEN
		RAISE EXCEPTION 'query for Manage''s "%" is empty', bind_manage.relation USING ERRCODE = 'invalid_parameter_value';
	END IF;

	IF to_regclass('pg_temp.kinderconnect_bind') IS NOT NULL THEN
		DROP VIEW pg_temp.kinderconnect_bind;
	END IF;
	EXECUTE format(E'CREATE TEMPORARY VIEW kinderconnect_bind AS SELECT * FROM (%s\n) AS q', rtrim(query, E'; \n\t'));

	-- An id is text: of words, numbers, and what is written like one.
	SELECT string_agg(format('"%s" (%s)', c.column_name, c.data_type), ', ' ORDER BY c.position)
			FILTER (WHERE a.attname IS NULL),
		string_agg(format('"%s" is %s, not %s', c.column_name, format_type(a.atttypid, a.atttypmod), c.data_type), ', ' ORDER BY c.position)
			FILTER (WHERE a.atttypid <> c.data_type
				AND (c.data_type <> 'text'::regtype OR t.typcategory NOT IN ('S', 'N', 'E') AND t.oid <> 'uuid'::regtype)),
		CASE WHEN bool_or(a.atttypid = 'timestamp'::regtype AND c.data_type = 'timestamptz'::regtype)
			THEN 'A timestamp without time zone becomes one by: check_in AT TIME ZONE ''America/Chicago''.'
			ELSE 'Cast the column in the query.' END,
		string_agg(format('q.%I::%s AS %I', c.column_name, c.data_type, c.column_name), ', ' ORDER BY c.position)
	INTO missing, mistyped, hint, select_list
	FROM kinderconnect.manage_column c
	LEFT JOIN pg_attribute a ON a.attrelid = 'pg_temp.kinderconnect_bind'::regclass
		AND a.attname = c.column_name AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_type t ON t.oid = a.atttypid
	WHERE c.relation = bind_manage.relation;

	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'query for Manage''s "%" lacks columns', bind_manage.relation
			USING ERRCODE = 'undefined_column',
				DETAIL = 'Missing: ' || missing || '.',
				HINT = 'Name each column as listed in kinderconnect.manage_column; a column that Manage does not have may be NULL::type.';
	END IF;
	IF mistyped IS NOT NULL THEN
		RAISE EXCEPTION 'query for Manage''s "%" has columns of the wrong type', bind_manage.relation
			USING ERRCODE = 'datatype_mismatch', DETAIL = 'Column ' || mistyped || '.', HINT = hint;
	END IF;

	source := format('SELECT %s FROM pg_temp.kinderconnect_bind q', select_list);
	IF to_regclass('pg_temp.kinderconnect_sample') IS NOT NULL THEN
		DROP TABLE pg_temp.kinderconnect_sample;
	END IF;
	BEGIN
		EXECUTE format('CREATE TEMPORARY TABLE kinderconnect_sample AS %s LIMIT %s', source, sample_size);
		GET DIAGNOSTICS sampled = ROW_COUNT;
	EXCEPTION WHEN data_exception THEN
		RAISE EXCEPTION 'query for Manage''s "%" fails on its rows', bind_manage.relation
			USING ERRCODE = SQLSTATE,
				DETAIL = 'PostgreSQL''s own words may quote a row, and are kept back.',
				HINT = 'Run the query by itself to see them.';
	END;
	PERFORM kinderconnect._check_sample(bind_manage.relation);
	PERFORM kinderconnect._check_rebind(bind_manage.relation, source);
	DROP TABLE pg_temp.kinderconnect_sample;
	DROP VIEW pg_temp.kinderconnect_bind;

	EXECUTE format(E'CREATE OR REPLACE VIEW kinderconnect.%I AS SELECT %s FROM (%s\n) AS q', view_name, select_list, rtrim(query, E'; \n\t'));
	EXECUTE format('GRANT SELECT ON kinderconnect.%I TO kinderconnect_operator, kinderconnect_admin', view_name);
	EXECUTE format('COMMENT ON VIEW kinderconnect.%I IS %L', view_name,
		format('Manage''s %s, bound by kinderconnect.bind_manage()', bind_manage.relation));
	RETURN format('kinderconnect.%s is bound, %s rows sampled', view_name, sampled);
END;
$$;
COMMENT ON FUNCTION kinderconnect.bind_manage(text, text) IS
'binds one of Manage''s relations (organization, location, child, attendance; optional child_id, provider_id) to a query, and makes the view kinderconnect.manage_<relation> of it. Columns: kinderconnect.manage_column. The query''s tables must be schema-qualified. Refuses missing columns, wrong types, null keys, unknown zones and kinds, and a source that has nothing of what is linked; warns of duplicate keys and of rows that no night can use';
-- Step 5 of the night: the outbox. What is about to be sent is committed
-- before each call and its outcome after it, so that wherever the night dies,
-- the next one knows what may have arrived.

CREATE TABLE kinderconnect.ledger (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	record_id              text NOT NULL,
	agency_id              text NOT NULL,
	provider_id            text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	service_date           date NOT NULL,
	child_id               text NOT NULL,
	kind                   text NOT NULL CHECK (kind IN ('session', 'absence', 'closure', 'void')),
	session_in             time[],
	session_out            time[],
	absence_reason         text,
	content                text NOT NULL,
	state                  text NOT NULL CHECK (state IN ('sending', 'accepted', 'rejected', 'unknown', 'not_taken')),
	code                   text,
	message                text,
	run_id                 bigint NOT NULL,
	created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
	answered_at            timestamptz,
	PRIMARY KEY (organization_id, record_id)
);
COMMENT ON TABLE kinderconnect.ledger IS
'every record made for the service, what it said, and what became of it; never deleted, never changed but for the outcome';
COMMENT ON COLUMN kinderconnect.ledger.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.ledger.record_id IS 'our id on the wire; one content has one id for ever';
COMMENT ON COLUMN kinderconnect.ledger.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.ledger.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.ledger.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.ledger.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.ledger.child_id IS 'the child in Manage whose attendance it says';
COMMENT ON COLUMN kinderconnect.ledger.kind IS 'session, absence, closure, or void: takes back what was sent';
COMMENT ON COLUMN kinderconnect.ledger.session_in IS 'check-ins, wall time at the location';
COMMENT ON COLUMN kinderconnect.ledger.session_out IS 'check-outs, parallel to session_in';
COMMENT ON COLUMN kinderconnect.ledger.absence_reason IS 'the agency''s code';
COMMENT ON COLUMN kinderconnect.ledger.content IS 'all of it in one comparable text';
COMMENT ON COLUMN kinderconnect.ledger.state IS 'sending; accepted; rejected; unknown: sent, answer lost; not_taken: certainly not stored, made anew or sent again later';
COMMENT ON COLUMN kinderconnect.ledger.code IS 'the service''s code';
COMMENT ON COLUMN kinderconnect.ledger.message IS 'the service''s words; of unknown: what it answered with a status that says neither yes nor no';
COMMENT ON COLUMN kinderconnect.ledger.run_id IS 'the run that sent it last';
COMMENT ON COLUMN kinderconnect.ledger.created_at IS 'when it was made';
COMMENT ON COLUMN kinderconnect.ledger.answered_at IS 'when its outcome was known';

-- None is led by the organization: where the table was empty when a plan was
-- made, the primary key would seem no better than another index by it, and
-- each record would be sought among all of the organization's.
CREATE INDEX ledger_by_day ON kinderconnect.ledger (kinderconnect_child_id, service_date, organization_id, agency_id, provider_id, created_at);
CREATE INDEX ledger_under_way ON kinderconnect.ledger (provider_id, agency_id, organization_id) WHERE state IN ('sending', 'unknown');
CREATE INDEX ledger_by_run ON kinderconnect.ledger (run_id, organization_id);

CREATE TABLE kinderconnect.batch (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	batch_id        text NOT NULL,
	agency_id       text NOT NULL,
	provider_id     text NOT NULL,
	run_id          bigint NOT NULL,
	parent_batch_id text,
	records         integer NOT NULL CHECK (records > 0),
	first_half      boolean NOT NULL DEFAULT false,
	repeats         boolean NOT NULL DEFAULT false,
	state           text NOT NULL CHECK (state IN ('waiting', 'sending', 'answered', 'refused', 'lost', 'dropped')),
	sqlstate        text,
	http_status     integer,
	code            text,
	message         text,
	attempts        integer,
	created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
	sent_at         timestamptz,
	ended_at        timestamptz,
	PRIMARY KEY (organization_id, batch_id)
);
COMMENT ON TABLE kinderconnect.batch IS 'the calls that carried records: the outbox';
COMMENT ON COLUMN kinderconnect.batch.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.batch.batch_id IS 'id on the wire';
COMMENT ON COLUMN kinderconnect.batch.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.batch.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.batch.run_id IS 'the run';
COMMENT ON COLUMN kinderconnect.batch.parent_batch_id IS 'the refused batch it is a half of';
COMMENT ON COLUMN kinderconnect.batch.records IS 'how many records it carries';
COMMENT ON COLUMN kinderconnect.batch.first_half IS 'the half that is tried first';
COMMENT ON COLUMN kinderconnect.batch.repeats IS 'its records were sent before and their answer was lost: a refusal of the batch does not say that they are not stored';
COMMENT ON COLUMN kinderconnect.batch.state IS 'waiting; sending: committed before the call; answered: record by record; refused: nothing of it stored; lost: the answer was; dropped: never sent';
COMMENT ON COLUMN kinderconnect.batch.sqlstate IS 'of refused and lost: the fault';
COMMENT ON COLUMN kinderconnect.batch.http_status IS 'of the last attempt';
COMMENT ON COLUMN kinderconnect.batch.code IS 'the service''s error code';
COMMENT ON COLUMN kinderconnect.batch.message IS 'the fault in words';
COMMENT ON COLUMN kinderconnect.batch.attempts IS 'HTTP requests made for it';
COMMENT ON COLUMN kinderconnect.batch.created_at IS 'when it was made';
COMMENT ON COLUMN kinderconnect.batch.sent_at IS 'when it was committed for sending';
COMMENT ON COLUMN kinderconnect.batch.ended_at IS 'when its outcome was taken in';

CREATE INDEX batch_too_large ON kinderconnect.batch (organization_id, agency_id, provider_id, created_at) WHERE http_status = 413;
CREATE INDEX batch_at_work ON kinderconnect.batch (organization_id, agency_id, provider_id) WHERE state IN ('waiting', 'sending');

CREATE TABLE kinderconnect.batch_record (
	organization_id text NOT NULL,
	batch_id        text NOT NULL,
	record_id       text NOT NULL,
	PRIMARY KEY (organization_id, batch_id, record_id),
	FOREIGN KEY (organization_id, batch_id) REFERENCES kinderconnect.batch,
	FOREIGN KEY (organization_id, record_id) REFERENCES kinderconnect.ledger
);
COMMENT ON TABLE kinderconnect.batch_record IS 'which records a batch carried; a record of a halved batch was in several';
COMMENT ON COLUMN kinderconnect.batch_record.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.batch_record.batch_id IS 'the batch';
COMMENT ON COLUMN kinderconnect.batch_record.record_id IS 'the record';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.ledger', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.batch', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.batch_record', '');

-- What handles one batch finds its rows by their keys, whatever the planner
-- thought of tables that were empty when the night began: its plans, and those
-- of the foreign keys, are kept for the session.

-- Settles what became of records, in the ledger and in their child-days: the
-- only way out of 'sending' and 'unknown'. A record that is no longer its
-- day's last one settles in the ledger alone.
CREATE FUNCTION kinderconnect._settle(organization text, record_ids text[], outcome text, codes text[], messages text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
BEGIN
	WITH settled AS (
		UPDATE kinderconnect.ledger l
		SET state = outcome, code = u.code, message = u.message,
			answered_at = CASE WHEN outcome <> 'unknown' THEN clock_timestamp() END
		FROM unnest(record_ids, codes, messages) u(record_id, code, message)
		WHERE l.organization_id = organization AND l.record_id = u.record_id AND l.state IN ('sending', 'unknown')
		RETURNING l.*
	)
	UPDATE kinderconnect.child_day d
	SET state = CASE
			WHEN outcome = 'unknown' THEN 'unknown'
			WHEN outcome = 'rejected' THEN 'rejected'
			WHEN outcome = 'accepted' AND s.kind = 'void' AND d.content IS NULL THEN 'voided'
			WHEN outcome = 'accepted' AND s.content = d.content THEN 'accepted'
			ELSE 'ready'		-- not taken, or Manage says something else by now
		END,
		code = CASE WHEN outcome = 'rejected' THEN s.code END,
		message = CASE WHEN outcome = 'rejected' THEN s.message END,
		void_wanted = d.void_wanted AND outcome <> 'accepted',
		accepted_kind = CASE WHEN outcome <> 'accepted' THEN d.accepted_kind WHEN s.kind <> 'void' THEN s.kind END,
		accepted_in = CASE WHEN outcome = 'accepted' THEN s.session_in ELSE d.accepted_in END,
		accepted_out = CASE WHEN outcome = 'accepted' THEN s.session_out ELSE d.accepted_out END,
		accepted_reason = CASE WHEN outcome = 'accepted' THEN s.absence_reason ELSE d.accepted_reason END,
		accepted_content = CASE WHEN outcome <> 'accepted' THEN d.accepted_content WHEN s.kind <> 'void' THEN s.content END,
		accepted_record_id = CASE WHEN outcome <> 'accepted' THEN d.accepted_record_id WHEN s.kind <> 'void' THEN s.record_id END,
		accepted_at = CASE WHEN outcome <> 'accepted' THEN d.accepted_at WHEN s.kind <> 'void' THEN clock_timestamp() END,
		changed_at = now()
	FROM settled s
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.service_date)
		AND d.record_id = s.record_id AND d.state IN ('sending', 'unknown');
END;
$$;
COMMENT ON FUNCTION kinderconnect._settle(text, text[], text, text[], text[]) IS
'records, and with them their child-days, become accepted, rejected, unknown or not_taken';

-- What a dead run left under way may have arrived. Runs are locked out by
-- organization, so nothing else can be sending.
CREATE FUNCTION kinderconnect._recover(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.batch b SET state = CASE b.state WHEN 'sending' THEN 'lost' ELSE 'dropped' END, ended_at = clock_timestamp()
	WHERE b.organization_id = organization AND b.state IN ('sending', 'waiting');

	PERFORM kinderconnect._settle(organization, array_agg(l.record_id), 'unknown', NULL, NULL)
	FROM kinderconnect.ledger l
	WHERE l.organization_id = organization AND l.state = 'sending'
	HAVING count(*) > 0;
END;
$$;
COMMENT ON FUNCTION kinderconnect._recover(text) IS
'what a run that died left under way becomes unknown, to be resolved before anything new';

-- Puts records into a batch; the caller commits before it is sent.
CREATE FUNCTION kinderconnect._new_batch(run bigint, organization text, agency text, provider text, parent text, leads boolean, again boolean, record_ids text[]) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
DECLARE
	id text := gen_random_uuid();
BEGIN
	INSERT INTO kinderconnect.batch (organization_id, batch_id, agency_id, provider_id, run_id, parent_batch_id, records, first_half, repeats, state)
	VALUES (organization, id, agency, provider, run, parent, cardinality(record_ids), leads, again, 'waiting');
	INSERT INTO kinderconnect.batch_record (organization_id, batch_id, record_id)
	SELECT organization, id, r FROM unnest(record_ids) r;
	RETURN id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._new_batch(bigint, text, text, text, text, boolean, boolean, text[]) IS 'a waiting batch of these records; answers its id';

-- What was too large is not tried again for a month: half of it went through,
-- or was halved again. Small batches are not made smaller for good: that costs
-- more calls than it saves.
CREATE FUNCTION kinderconnect._most_records(organization text, agency text, provider text) RETURNS integer
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT least(coalesce(o.max_records, 500), (SELECT min(b.records) / 2 FROM kinderconnect.batch b
		WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider)
			AND b.http_status = 413 AND b.records >= 16 AND b.created_at > now() - interval '30 days'))
	FROM kinderconnect.organization g
	JOIN kinderconnect.endpoint e ON e.endpoint = g.endpoint
	JOIN kinderconnect.dialect_operation o ON o.dialect = e.dialect AND o.operation = 'submit'
	WHERE g.organization_id = organization;
END;
COMMENT ON FUNCTION kinderconnect._most_records(text, text, text) IS
'how many records a batch of a provider may carry: as the dialect says, or half of the smallest of 16 or more that was too large (HTTP status 413) within 30 days';

-- The next batch of a provider, marked as sending: a waiting half of a
-- refused one, else new records of ready days. One at a time for each
-- provider, and nothing new while any of its days is unknown.
--
-- Halves: the first half of what was refused last, down to a single record,
-- then the largest of what is left. So the search for a culprit soon meets a
-- batch without one, if there is any.
CREATE FUNCTION kinderconnect._next_batch(run bigint, organization text, agency text, provider text, from_date date, to_date date) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
DECLARE
	id     text;
	most   integer;
	chosen text[];
BEGIN
	IF EXISTS (SELECT FROM kinderconnect.run_provider p
			WHERE (p.organization_id, p.run_id, p.agency_id, p.provider_id) = (organization, run, agency, provider) AND p.halted)
		OR EXISTS (SELECT FROM kinderconnect.run_organization o WHERE (o.organization_id, o.run_id) = (organization, run) AND o.halted)
		OR EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider) AND b.state = 'sending') THEN
		RETURN NULL;
	END IF;

	SELECT b.batch_id INTO id FROM kinderconnect.batch b
	WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider) AND b.state = 'waiting'
	ORDER BY b.first_half DESC, b.records DESC, b.created_at LIMIT 1;

	IF id IS NULL THEN
		PERFORM kinderconnect._know_sizes();
		IF EXISTS (SELECT FROM kinderconnect.ledger l
				WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state IN ('sending', 'unknown')) THEN
			RETURN NULL;
		END IF;

		UPDATE kinderconnect.child_day d
		SET state = 'held', reason = 'window_closed', detail = 'closed while the night ran', changed_at = now()
		WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, agency, provider)
			AND d.state = 'ready' AND d.window_ends <= clock_timestamp();

		most := kinderconnect._most_records(organization, agency, provider);

		-- A record that is certainly not stored keeps its id if its content
		-- still stands; whatever else is new gets a new one.
		WITH claimed AS (
			SELECT d.ctid AS tid, d.kinderconnect_child_id, d.service_date, coalesce(d.kind, 'void') AS kind,
				d.session_in, d.session_out, d.absence_reason, coalesce(d.content, 'void') AS content, d.basis,
				-- a day that was taken over may be there under a record that is not ours
				coalesce(d.child_id, (SELECT a.child_id FROM kinderconnect.ledger a
					WHERE (a.organization_id, a.record_id) = (d.organization_id, d.accepted_record_id)),
					(SELECT k.child_id FROM kinderconnect.child_link k
					WHERE (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
					ORDER BY k.linked_at DESC LIMIT 1)) AS child_id,
				coalesce(CASE WHEN d.record_id IS NOT NULL THEN (SELECT l.record_id FROM kinderconnect.ledger l
					WHERE (l.organization_id, l.record_id) = (d.organization_id, d.record_id) AND l.state = 'not_taken'
						AND l.content = coalesce(d.content, 'void') AND (l.child_id = d.child_id) IS NOT FALSE) END,
					gen_random_uuid()::text) AS record_id
			FROM kinderconnect.child_day d
			WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, agency, provider) AND d.state = 'ready'
				AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
			ORDER BY d.service_date, d.kinderconnect_child_id
			LIMIT most
		), written AS (
			INSERT INTO kinderconnect.ledger AS l (organization_id, record_id, agency_id, provider_id, kinderconnect_child_id, service_date,
				child_id, kind, session_in, session_out, absence_reason, content, state, run_id)
			SELECT organization, c.record_id, agency, provider, c.kinderconnect_child_id, c.service_date,
				c.child_id, c.kind, c.session_in, c.session_out, c.absence_reason, c.content, 'sending', run
			FROM claimed c
			ON CONFLICT (organization_id, record_id) DO UPDATE
			SET state = 'sending', run_id = excluded.run_id, code = NULL, message = NULL, answered_at = NULL
			RETURNING l.record_id
		), marked AS (
			UPDATE kinderconnect.child_day d
			SET state = 'sending', record_id = c.record_id, sent_content = c.content, sent_basis = c.basis, changed_at = now()
			FROM claimed c
			WHERE d.organization_id = organization AND d.ctid = c.tid
		)
		SELECT array_agg(w.record_id) INTO chosen FROM written w;
		IF chosen IS NULL THEN
			RETURN NULL;
		END IF;
		id := kinderconnect._new_batch(run, organization, agency, provider, NULL, false, false, chosen);
	END IF;

	UPDATE kinderconnect.batch b SET state = 'sending', run_id = run, sent_at = clock_timestamp()
	WHERE b.organization_id = organization AND b.batch_id = id;
	RETURN id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._next_batch(bigint, text, text, text, date, date) IS
'marks the next batch of a provider as sending; null where there is none to send now. The caller commits, then calls _dispatch()';

CREATE FUNCTION kinderconnect._send(organization text, batch text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
BEGIN
	RETURN kinderconnect._start_submit(b.organization_id, b.agency_id, b.provider_id, b.batch_id,
		(SELECT array_agg(ROW(l.record_id, l.kinderconnect_child_id, l.service_date, l.kind, l.session_in, l.session_out, l.absence_reason)::kinderconnect.wire_record
				ORDER BY l.service_date, l.kinderconnect_child_id, l.record_id)
			FROM kinderconnect.batch_record r
			JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (r.organization_id, r.record_id)
			WHERE (r.organization_id, r.batch_id) = (b.organization_id, b.batch_id)))
	FROM kinderconnect.batch b
	WHERE b.organization_id = organization AND b.batch_id = batch AND b.state = 'sending';
END;
$$;
COMMENT ON FUNCTION kinderconnect._send(text, text) IS 'starts the call for a batch that is committed as sending; answers its ticket';

-- A service that tells errors in the body of a success has one word for all
-- of them. If it knew the provider and the password a moment ago, the word is
-- about the records.
CREATE FUNCTION kinderconnect._listed_tonight(run bigint, organization text, agency text, provider text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect.list_state l
		JOIN kinderconnect.run r ON r.run_id = run
		WHERE l.organization_id = organization AND l.operation = 'children'
			AND l.agency_id = coalesce(agency, l.agency_id) AND l.provider_id = coalesce(provider, l.provider_id)
			AND greatest(l.taken_at, l.set_aside_at) >= r.started_at);
END;
COMMENT ON FUNCTION kinderconnect._listed_tonight(bigint, text, text, text) IS
'whether the service listed the children of a provider, or of any of the organization, in this run';

-- Takes in the outcome of a batch. Only what the service truly said changes
-- anything: a record it did not name is unknown, one it names twice with
-- different words too, and one that was not sent is only noted. A word that
-- nobody agreed upon is a question where the service can be asked what it
-- holds, and a refusal where it cannot.
CREATE FUNCTION kinderconnect._take_submit(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	org      text := outcome.organization_id;
	agency   text := outcome.agency_id;
	provider text := outcome.provider_id;
	records  text[];
	answer   record;
	strays   bigint;
	halves   boolean := NOT outcome.ok AND NOT outcome.sent AND (outcome.http_status IN (413, 422)
		OR outcome.http_status BETWEEN 200 AND 299 AND kinderconnect._listed_tonight(run, org, agency, provider));
	hopeless boolean;
	again    boolean;
	can_ask  boolean := kinderconnect._speaks(outcome.organization_id, 'readback');
	doubt    text := 'it was sent before and that answer was lost, so the service may hold it';
BEGIN
	-- by lot, so that two culprits do not fall into the same places every night
	SELECT array_agg(r.record_id ORDER BY md5(r.batch_id || r.record_id)) INTO STRICT records
	FROM kinderconnect.batch_record r
	WHERE r.organization_id = org AND r.batch_id = outcome.batch_id;

	UPDATE kinderconnect.batch b
	SET state = CASE WHEN outcome.ok THEN 'answered' WHEN outcome.sent THEN 'lost' ELSE 'refused' END,
		sqlstate = outcome.sqlstate, http_status = outcome.http_status, code = outcome.code,
		message = nullif(kinderconnect._said(outcome), ''), attempts = outcome.attempts, ended_at = clock_timestamp()
	WHERE b.organization_id = org AND b.batch_id = outcome.batch_id
	RETURNING b.repeats INTO again;

	IF outcome.ok THEN
		FOR answer IN
			SELECT s.verdict, array_agg(s.record_id) AS record_ids, array_agg(s.code) AS codes,
				array_agg(CASE WHEN again AND s.verdict = 'rejected' THEN concat_ws('; ', s.message, doubt) ELSE s.message END) AS messages,
				count(*) FILTER (WHERE s.verdicts = 0) AS left_out, count(*) FILTER (WHERE s.verdicts > 1) AS contradicted
			FROM (SELECT r.record_id, count(DISTINCT w.verdict) AS verdicts,
					-- of two answers the one that is not yes is why, if it is not held there
					(array_agg(w.code ORDER BY w.verdict = 'accepted', w.ordinal))[1] AS code,
					(array_agg(w.message ORDER BY w.verdict = 'accepted', w.ordinal))[1] AS message,
					CASE
						WHEN count(DISTINCT w.verdict) = 1 THEN min(w.verdict)
						ELSE 'unknown'
					END AS verdict
				FROM unnest(records) r(record_id)
				LEFT JOIN (SELECT w.record_id, w.ordinal, w.code,
						CASE WHEN w.status IN ('accepted', 'duplicate', 'rejected') THEN w.message
							ELSE concat_ws(': ', format('status "%s"', w.status), w.message) END AS message,
						CASE
							WHEN w.status IN ('accepted', 'duplicate') THEN 'accepted'
							WHEN w.status = 'rejected' OR NOT can_ask THEN 'rejected'
							ELSE 'unknown'		-- a word of its own: it may have stored it all the same
						END AS verdict
					FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_result) w
					WHERE w.status IS NOT NULL) w USING (record_id)
				GROUP BY r.record_id) s
			GROUP BY s.verdict
		LOOP
			PERFORM kinderconnect._settle(org, answer.record_ids, answer.verdict, answer.codes, answer.messages);
			IF answer.left_out > 0 THEN
				PERFORM kinderconnect._fail_provider(run, org, agency, provider, false, 'KC301',
					format('answer of the service leaves %s of %s records out', answer.left_out, cardinality(records)),
					'They are unknown, and are resolved before anything new is sent for the provider.');
			END IF;
			IF answer.contradicted > 0 THEN
				PERFORM kinderconnect._fail_provider(run, org, agency, provider, false, 'KC301',
					format('answer of the service says two things of %s of %s records', answer.contradicted, cardinality(records)),
					'They are unknown, and are resolved before anything new is sent for the provider.');
			END IF;
		END LOOP;
		SELECT count(*) INTO strays
		FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_result) w
		WHERE w.record_id IS NULL OR w.record_id <> ALL (records);
		IF strays > 0 THEN
			PERFORM kinderconnect._fail_provider(run, org, agency, provider, false, 'KC301',
				format('answer of the service names %s records that were not sent', strays),
				'They changed nothing; report it to the service.');
		END IF;
	ELSIF outcome.sent THEN
		PERFORM kinderconnect._settle(org, records, 'unknown', NULL, NULL);
		PERFORM kinderconnect._fail_provider(run, org, agency, provider, false, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
	ELSIF halves AND cardinality(records) > 1 THEN
		PERFORM kinderconnect._new_batch(run, org, agency, provider, outcome.batch_id, true, again, records[:cardinality(records) / 2]);
		PERFORM kinderconnect._new_batch(run, org, agency, provider, outcome.batch_id, false, again, records[cardinality(records) / 2 + 1:]);
	ELSIF halves THEN
		-- Two single records in a row that fail alike, and nothing of this
		-- provider accepted in this run: it is not the records' fault. Where
		-- one word stands for all errors, the service may also have failed in
		-- the midst of it: then it takes eight.
		SELECT coalesce(min(b.n) FILTER (WHERE NOT b.alike), count(*) + 1) > CASE
				WHEN NOT bool_or(b.answered) THEN 2 WHEN outcome.http_status BETWEEN 200 AND 299 THEN 8 END
		INTO hopeless
		FROM (SELECT row_number() OVER (ORDER BY b.ended_at DESC) AS n, b.state = 'answered' AS answered,
				b.records = 1 AND b.state = 'refused' AND (b.code, b.message) IS NOT DISTINCT FROM (outcome.code, kinderconnect._said(outcome)) AS alike
			FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id, b.run_id) = (org, agency, provider, run)
				AND b.ended_at IS NOT NULL AND (b.records = 1 OR b.state = 'answered')) b;
		IF hopeless THEN
			PERFORM kinderconnect._acquit(run, org, agency, provider);
			PERFORM kinderconnect._settle(org, records, CASE WHEN again THEN 'unknown' ELSE 'not_taken' END, NULL, NULL);
			PERFORM kinderconnect._give_up(run, org, agency, provider, outcome);
		ELSE
			PERFORM kinderconnect._settle(org, records, 'rejected',
				ARRAY[CASE WHEN outcome.http_status = 413 THEN 'TOO_LARGE' ELSE outcome.code END],
				ARRAY[concat_ws('; ', kinderconnect._said(outcome), CASE WHEN again THEN doubt END)]);
		END IF;
	ELSE
		PERFORM kinderconnect._settle(org, records, CASE WHEN again THEN 'unknown' ELSE 'not_taken' END, NULL, NULL);
		PERFORM kinderconnect._give_up(run, org, agency, provider, outcome);
	END IF;

	-- The plan left alone what was unknown then. What Manage says of these days
	-- by now is judged before any of it is sent.
	IF again AND NOT EXISTS (SELECT FROM kinderconnect.ledger l
			WHERE (l.organization_id, l.agency_id, l.provider_id) = (org, agency, provider) AND l.state IN ('sending', 'unknown')) THEN
		PERFORM kinderconnect._plan(org, agency, provider, (r.scope ->> 'from_date')::date, (r.scope ->> 'to_date')::date)
		FROM kinderconnect.run r WHERE r.run_id = run;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_submit(bigint, kinderconnect.call_outcome) IS
'takes in the outcome of a batch: record by record, halved, unknown, or the provider given up for this run';

-- Where the provider turns out to be at fault, the record that was refused by
-- itself before was not.
CREATE FUNCTION kinderconnect._acquit(run bigint, organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	WITH acquitted AS (
		UPDATE kinderconnect.ledger l
		SET state = CASE WHEN b.repeats THEN 'unknown' ELSE 'not_taken' END, code = NULL, message = NULL,
			answered_at = CASE WHEN NOT b.repeats THEN l.answered_at END
		FROM kinderconnect.batch b
		JOIN kinderconnect.batch_record r ON (r.organization_id, r.batch_id) = (b.organization_id, b.batch_id)
		WHERE (b.organization_id, b.agency_id, b.provider_id, b.run_id) = (organization, agency, provider, run)
			AND b.records = 1 AND b.state = 'refused'
			AND (l.organization_id, l.record_id) = (r.organization_id, r.record_id) AND l.state = 'rejected'
		RETURNING l.record_id, l.state
	)
	UPDATE kinderconnect.child_day d
	SET state = CASE a.state WHEN 'unknown' THEN 'unknown' ELSE 'ready' END, code = NULL, message = NULL, changed_at = now()
	FROM acquitted a
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.record_id) = (organization, agency, provider, a.record_id) AND d.state = 'rejected';
END;
$$;
COMMENT ON FUNCTION kinderconnect._acquit(bigint, text, text, text) IS
'records of a run that were rejected because their batch of one was refused are as if they had not been sent';

CREATE FUNCTION kinderconnect._drop_waiting(organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unsent record;
BEGIN
	FOR unsent IN
		WITH dropped AS (
			UPDATE kinderconnect.batch b SET state = 'dropped', ended_at = clock_timestamp()
			WHERE b.organization_id = organization AND b.state = 'waiting'
				AND (agency IS NULL OR b.agency_id = agency) AND (provider IS NULL OR b.provider_id = provider)
			RETURNING b.batch_id, b.repeats
		)
		SELECT dropped.repeats, array_agg(r.record_id) AS record_ids
		FROM kinderconnect.batch_record r JOIN dropped USING (batch_id)
		WHERE r.organization_id = organization
		GROUP BY dropped.repeats
	LOOP
		PERFORM kinderconnect._settle(organization, unsent.record_ids, CASE WHEN unsent.repeats THEN 'unknown' ELSE 'not_taken' END, NULL, NULL);
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._drop_waiting(text, text, text) IS
'drops the batches that wait, of an organization or of one provider; their days are ready again, or unknown if they were sent before';

CREATE FUNCTION kinderconnect._give_up(run bigint, organization text, agency text, provider text, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM kinderconnect._fail_provider(run, organization, agency, provider, true, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
	PERFORM kinderconnect._drop_waiting(organization, agency, provider);
END;
$$;
COMMENT ON FUNCTION kinderconnect._give_up(bigint, text, text, text, kinderconnect.call_outcome) IS
'nothing more is sent for a provider in this run; what waited is ready again';

-- Unknown records, where the service cannot be asked what it holds: the same
-- records once more, which it answers as duplicates if it had them.
CREATE FUNCTION kinderconnect._repeat_unknown(run bigint, organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	most integer;
	part text[];
BEGIN
	-- what this run does not send stays unknown, not 'sending' in a batch that waits
	IF EXISTS (SELECT FROM kinderconnect.run_provider p
			WHERE (p.organization_id, p.run_id, p.agency_id, p.provider_id) = (organization, run, agency, provider) AND p.halted)
		OR NOT EXISTS (SELECT FROM kinderconnect.provider_standing p
			WHERE (p.organization_id, p.agency_id, p.provider_id) = (organization, agency, provider) AND p.barred IS NULL) THEN
		RETURN;
	END IF;
	most := kinderconnect._most_records(organization, agency, provider);
	FOR part IN
		SELECT array_agg(n.record_id)
		FROM (SELECT l.record_id, row_number() OVER (ORDER BY l.service_date, l.kinderconnect_child_id, l.record_id) - 1 AS n
			FROM kinderconnect.ledger l
			WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state = 'unknown') n
		GROUP BY n.n / most
	LOOP
		PERFORM kinderconnect._new_batch(run, organization, agency, provider, NULL, false, true, part);
	END LOOP;
	UPDATE kinderconnect.ledger l SET state = 'sending', run_id = run
	WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state = 'unknown';
END;
$$;
COMMENT ON FUNCTION kinderconnect._repeat_unknown(bigint, text, text, text) IS
'puts the unknown records of a provider into waiting batches again, same ids and content';

-- Days that the service accepted under an id that it has merged into another
-- since. Without a provider's row or beyond the horizon nothing is asked.
CREATE FUNCTION kinderconnect._merged_days(organization text)
	RETURNS TABLE (agency_id text, provider_id text, kinderconnect_child_id text, service_date date, former_id text)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT DISTINCT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, f.kinderconnect_child_id
	FROM kinderconnect.organization g
	JOIN kinderconnect.child_link o ON o.organization_id = g.organization_id AND o.end_reason LIKE 'merged into %'
	JOIN kinderconnect.child_link k ON (k.organization_id, k.agency_id, k.child_id) = (o.organization_id, o.agency_id, o.child_id)
		AND k.ended_at IS NULL AND o.end_reason = 'merged into ' || k.kinderconnect_child_id
	JOIN kinderconnect.provider_standing p ON (p.organization_id, p.agency_id) = (k.organization_id, k.agency_id) AND p.barred IS NULL
	JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id)
			= (p.organization_id, p.agency_id, p.provider_id, k.kinderconnect_child_id)
		AND d.state = 'held' AND d.reason = 'merged_child' AND d.accepted_content IS NULL
	JOIN kinderconnect.child_day f ON (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
			= (o.organization_id, o.agency_id, d.provider_id, o.kinderconnect_child_id, d.service_date)
		AND f.state = 'held' AND f.accepted_content IS NOT NULL AND NOT f.void_wanted
	WHERE g.organization_id = organization
		AND d.service_date >= greatest((now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer, g.first_enabled - g.backfill_days);
END;
COMMENT ON FUNCTION kinderconnect._merged_days(text) IS
'days held as merged_child, and the id under which the service accepted them';

-- What it accepted under the former id and holds under the new one is the new
-- one's; what else it says leaves the day to a person.
CREATE FUNCTION kinderconnect._take_over_merged(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	taken_at timestamptz := clock_timestamp();
BEGIN
	WITH there AS MATERIALIZED (
		SELECT w.kinderconnect_child_id, w.service_date, min(w.record_id) AS record_id,
			min(kinderconnect.content(w.kind, w.session_in, w.session_out, w.absence_reason)) AS content
		FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w
		GROUP BY w.kinderconnect_child_id, w.service_date
		HAVING count(*) = 1
	), same AS MATERIALIZED (
		SELECT DISTINCT ON (m.kinderconnect_child_id, m.service_date) m.kinderconnect_child_id, m.service_date, m.former_id,
			f.accepted_kind, f.accepted_in, f.accepted_out, f.accepted_reason, f.accepted_content, f.accepted_record_id, t.record_id,
			EXISTS (SELECT FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w
				WHERE (w.kinderconnect_child_id, w.service_date) = (m.former_id, m.service_date)) AS twice
		FROM kinderconnect._merged_days(outcome.organization_id) m
		JOIN kinderconnect.child_day f ON (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
			= (outcome.organization_id, m.agency_id, m.provider_id, m.former_id, m.service_date)
		JOIN there t ON (t.kinderconnect_child_id, t.service_date, t.content) = (m.kinderconnect_child_id, m.service_date, f.accepted_content)
		WHERE (m.agency_id, m.provider_id) = (outcome.agency_id, outcome.provider_id)
		ORDER BY m.kinderconnect_child_id, m.service_date, m.former_id
	), touched AS MATERIALIZED (
		SELECT s.kinderconnect_child_id, s.service_date,
			format('the service holds it as record %s, accepted as child %s', coalesce(s.record_id, s.accepted_record_id), s.former_id) AS detail
		FROM same s
		UNION ALL
		SELECT s.former_id, s.service_date, 'the service holds it as child ' || s.kinderconnect_child_id
		FROM same s WHERE NOT s.twice
	), step AS (
		INSERT INTO kinderconnect.child_day_step
			(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, at, run_id,
			was_state, was_reason, was_detail, was_content, was_modified_at, state, reason, detail, content, modified_at)
		SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, taken_at, run,
			d.state, d.reason, d.detail, d.content, d.modified_at, d.state, d.reason, t.detail, d.content, d.modified_at
		FROM touched t
		JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (outcome.organization_id, outcome.agency_id, outcome.provider_id, t.kinderconnect_child_id, t.service_date)
	), gone AS (
		UPDATE kinderconnect.child_day d
		SET accepted_kind = NULL, accepted_in = NULL, accepted_out = NULL, accepted_reason = NULL, accepted_content = NULL,
			accepted_record_id = NULL, accepted_at = NULL, changed_at = now()
		FROM same s
		WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
				= (outcome.organization_id, outcome.agency_id, outcome.provider_id, s.former_id, s.service_date)
			AND NOT s.twice
	)
	UPDATE kinderconnect.child_day d
	SET accepted_kind = s.accepted_kind, accepted_in = s.accepted_in, accepted_out = s.accepted_out, accepted_reason = s.accepted_reason,
		accepted_content = s.accepted_content, accepted_record_id = coalesce(s.record_id, s.accepted_record_id), accepted_at = taken_at,
		changed_at = now()
	FROM same s
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
		= (outcome.organization_id, outcome.agency_id, outcome.provider_id, s.kinderconnect_child_id, s.service_date);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_over_merged(bigint, kinderconnect.call_outcome) IS
'days that the service accepted under an id and says it holds, the same, under the id that took its place are accepted days of that one; child_day_step tells';

-- Unknown records, where the service can be asked: it holds a record or it
-- does not. A void left nothing behind if it arrived. What it does not hold and
-- had a word for, that word refused: sent again it would get the same.
CREATE FUNCTION kinderconnect._take_readback(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	answer record;
BEGIN
	IF outcome.problems > 0 THEN
		PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, false, 'KC301',
			format('%s records of the read-back cannot be understood', outcome.problems),
			'Days whose answer was lost stay unknown until it can be read; see kinderconnect.api_readback().');
		RETURN;
	END IF;
	FOR answer IN
		SELECT s.verdict, array_agg(s.record_id) AS record_ids, array_agg(s.code) AS codes, array_agg(s.message) AS messages
		FROM (SELECT l.record_id, l.code, l.message, CASE
				WHEN l.kind = 'void' AND NOT EXISTS (SELECT FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w
					WHERE w.kinderconnect_child_id = l.kinderconnect_child_id AND w.service_date = l.service_date) THEN 'accepted'
				WHEN l.record_id IN (SELECT w.record_id FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w) THEN 'accepted'
				WHEN num_nonnulls(l.code, l.message) > 0 THEN 'rejected'
				ELSE 'not_taken' END AS verdict
			FROM kinderconnect.ledger l
			WHERE (l.organization_id, l.agency_id, l.provider_id) = (outcome.organization_id, outcome.agency_id, outcome.provider_id)
				AND l.state = 'unknown') s
		GROUP BY s.verdict
	LOOP
		PERFORM kinderconnect._settle(outcome.organization_id, answer.record_ids, answer.verdict,
			CASE WHEN answer.verdict = 'rejected' THEN answer.codes END, CASE WHEN answer.verdict = 'rejected' THEN answer.messages END);
	END LOOP;
	PERFORM kinderconnect._take_over_merged(run, outcome);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_readback(bigint, kinderconnect.call_outcome) IS
'settles the unknown records of a provider by what the service says it holds, and takes over what it holds of merged children';

-- The night never takes back by itself what it accepted under an authorization
-- or link that is gone: that is a person's decision.
CREATE FUNCTION kinderconnect.void_day(organization_id text, agency_id text, provider_id text, kinderconnect_child_id text, service_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(void_day.organization_id);
	IF NOT kinderconnect._can_void(void_day.organization_id) THEN
		RAISE EXCEPTION 'service of organization "%" cannot take a day back', void_day.organization_id
			USING ERRCODE = 'KC001', HINT = 'Delete the day in the agency''s portal.';
	END IF;
	UPDATE kinderconnect.child_day d SET void_wanted = true
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (void_day.organization_id, void_day.agency_id, void_day.provider_id, void_day.kinderconnect_child_id, void_day.service_date)
		AND d.accepted_kind IS NOT NULL AND d.reason = 'authorization_lost';
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no such day is held as authorization_lost'
			USING ERRCODE = 'KC001', HINT = 'Days held are listed in kinderconnect.child_day; a day deleted in Manage is taken back by itself.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect.void_day(text, text, text, text, date) IS
'the next run takes back an accepted day whose authorization or link is gone';
-- Does the service hold what we say it holds? Asked of the service itself,
-- where its dialect can tell.

CREATE TYPE kinderconnect.reconcile_difference AS (
	organization_id        text,
	agency_id              text,
	provider_id            text,
	kinderconnect_child_id text,
	service_date           date,
	difference             text,
	state                  text,
	held_here              text,
	held_there             text,
	record_here            text,
	record_there           text,
	message                text
);
COMMENT ON TYPE kinderconnect.reconcile_difference IS
'a row of reconcile(). difference: missing_there, we say that the service holds the day; missing_here, it holds a day we know nothing of; different, another content, or ours under a record that is not ours; unresolved, the day''s answer is still unknown; unreadable, a record of the reply; no_answer, a provider could not be asked, message says why. held_here and held_there are contents, as in child_day';

-- One provider, of which the service has told by a read-back of these dates.
CREATE FUNCTION kinderconnect._differences(ticket bigint, organization text, agency text, provider text, from_date date, to_date date)
	RETURNS TABLE (kinderconnect_child_id text, service_date date, difference text, state text, held_here text, held_there text,
		record_here text, record_there text, problem text, kind text, session_in time[], session_out time[], absence_reason text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH there AS (
		SELECT r.*, kinderconnect.content(r.kind, r.session_in, r.session_out, r.absence_reason) AS content
		FROM kinderconnect._rows(ticket, NULL::kinderconnect.reply_record) r
	), here AS (
		SELECT d.kinderconnect_child_id, d.service_date, d.accepted_record_id AS record_id, d.accepted_content AS content, d.state
		FROM kinderconnect.child_day d
		WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, agency, provider)
			AND d.service_date BETWEEN from_date AND to_date
			AND (d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))
	)
	SELECT coalesce(h.kinderconnect_child_id, t.kinderconnect_child_id), coalesce(h.service_date, t.service_date),
		CASE
			WHEN t.problem IS NOT NULL THEN 'unreadable'
			WHEN h.state IN ('sending', 'unknown') THEN 'unresolved'
			WHEN t.content IS NULL THEN 'missing_there'
			WHEN h.content IS NULL THEN 'missing_here'
			ELSE 'different'
		END,
		h.state, h.content, t.content, h.record_id, t.record_id, t.problem, t.kind, t.session_in, t.session_out, t.absence_reason
	FROM here h
	FULL JOIN there t ON (t.kinderconnect_child_id, t.service_date) = (h.kinderconnect_child_id, h.service_date)
	WHERE (h.content, h.record_id) IS DISTINCT FROM (t.content, t.record_id)
		OR t.problem IS NOT NULL OR h.state IN ('sending', 'unknown')
	ORDER BY 2, 1;
END;
$$;
COMMENT ON FUNCTION kinderconnect._differences(bigint, text, text, text, date, date) IS
'what a provider''s collected read-back says otherwise than child_day; the last columns are what the service holds';

CREATE FUNCTION kinderconnect.reconcile(organization_id text, from_date date, to_date date,
		agency_id text DEFAULT NULL, provider_id text DEFAULT NULL)
	RETURNS SETOF kinderconnect.reconcile_difference
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	org     text := reconcile.organization_id;
	item    record;
	outcome kinderconnect.call_outcome;
	more    boolean := true;
BEGIN
	PERFORM kinderconnect._require_organization(org);
	IF reconcile.from_date IS NULL OR reconcile.to_date IS NULL THEN
		RAISE EXCEPTION 'from_date and to_date must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF reconcile.from_date > reconcile.to_date THEN
		RAISE EXCEPTION 'from_date % is after to_date %', reconcile.from_date, reconcile.to_date USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF NOT kinderconnect._speaks(org, 'readback') THEN
		RAISE EXCEPTION 'service of organization "%" cannot be asked what it holds', org
			USING ERRCODE = 'KC001', HINT = 'Its dialect has no operation "readback"; compare in the agency''s portal.';
	END IF;

	-- Every provider of which either side may hold something, also one that
	-- takes part no more.
	PERFORM kinderconnect._open(NULL);
	FOR item IN
		SELECT p.agency_id, p.provider_id FROM kinderconnect.provider p
		WHERE p.organization_id = org
			AND (reconcile.agency_id IS NULL OR p.agency_id = reconcile.agency_id)
			AND (reconcile.provider_id IS NULL OR p.provider_id = reconcile.provider_id)
		ORDER BY p.agency_id, p.provider_id
	LOOP
		PERFORM kinderconnect._start('readback', org, item.agency_id, item.provider_id,
			from_date => reconcile.from_date, to_date => reconcile.to_date);
	END LOOP;

	WHILE more LOOP
		more := false;
		FOR outcome IN SELECT * FROM kinderconnect._collect() LOOP
			more := true;
			IF outcome.ok THEN
				RETURN QUERY
				SELECT org, outcome.agency_id, outcome.provider_id, d.kinderconnect_child_id, d.service_date, d.difference, d.state,
					d.held_here, d.held_there, d.record_here, d.record_there, d.problem
				FROM kinderconnect._differences(outcome.ticket, org, outcome.agency_id, outcome.provider_id,
					reconcile.from_date, reconcile.to_date) d;
			ELSE
				RETURN NEXT (org, outcome.agency_id, outcome.provider_id, NULL, NULL, 'no_answer', NULL, NULL, NULL, NULL, NULL,
					kinderconnect._said(outcome))::kinderconnect.reconcile_difference;
			END IF;
			PERFORM kinderconnect._release(outcome.ticket);
		END LOOP;
	END LOOP;
	PERFORM kinderconnect._close();
END;
$$;
COMMENT ON FUNCTION kinderconnect.reconcile(text, date, date, text, text) IS
'asks the service what attendance it holds for an organization, service dates inclusive, or for one agency or provider of it, and answers the differences from what we say it holds: no rows, no difference. Changes nothing';

-- The night compares a few providers by itself, those first that it has not
-- compared for longest. A difference changes nothing: it is written down, with
-- what a person may do.

CREATE TABLE kinderconnect.comparison (
	organization_id text NOT NULL REFERENCES kinderconnect.organization,
	agency_id       text NOT NULL,
	provider_id     text NOT NULL,
	run_id          bigint NOT NULL,
	from_date       date NOT NULL,
	to_date         date NOT NULL,
	asked_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
	compared_at     timestamptz,
	differences     integer,
	error           text,
	PRIMARY KEY (organization_id, agency_id, provider_id)
);
COMMENT ON TABLE kinderconnect.comparison IS 'when the night last compared what the service holds for a provider with what we say it holds';
COMMENT ON COLUMN kinderconnect.comparison.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.comparison.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.comparison.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.comparison.run_id IS 'the run that asked last';
COMMENT ON COLUMN kinderconnect.comparison.from_date IS 'first service date asked for';
COMMENT ON COLUMN kinderconnect.comparison.to_date IS 'last service date asked for';
COMMENT ON COLUMN kinderconnect.comparison.asked_at IS 'when the service was asked last';
COMMENT ON COLUMN kinderconnect.comparison.compared_at IS 'when it last answered so that the two could be compared; null: never';
COMMENT ON COLUMN kinderconnect.comparison.differences IS 'how many differences there were then: the open rows of comparison_difference';
COMMENT ON COLUMN kinderconnect.comparison.error IS 'why the last question led to no comparison; null: it did';

CREATE TABLE kinderconnect.comparison_difference (
	organization_id        text NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text NOT NULL,
	provider_id            text NOT NULL,
	kinderconnect_child_id text NOT NULL,
	service_date           date NOT NULL,
	first_seen             timestamptz NOT NULL,
	last_seen              timestamptz NOT NULL,
	gone                   timestamptz,
	difference             text NOT NULL CHECK (difference IN ('missing_there', 'missing_here', 'different')),
	state                  text,
	held_here              text,
	held_there             text,
	record_here            text,
	record_there           text,
	kind_there             text,
	in_there               time[],
	out_there              time[],
	reason_there           text,
	what_to_do             text GENERATED ALWAYS AS (CASE difference
		WHEN 'missing_there' THEN 'The agency may have deleted the day: ask. retry() sends it again.'
		WHEN 'different' THEN CASE WHEN held_here = held_there THEN 'Nothing need be done: somebody entered the same at the agency.' ELSE 'Somebody may have entered the day at the agency: ask. retry() sends again what Manage says.' END
		ELSE 'Somebody may have entered the day at the agency. If Manage has it too, it is sent in its place; else delete it in the agency''s portal.'
	END) STORED,
	PRIMARY KEY (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, first_seen)
);
COMMENT ON TABLE kinderconnect.comparison_difference IS
'where what the service holds was found otherwise than what we say it holds, a row from when it was first seen until it is gone. Nothing is done about it until a person does';
COMMENT ON COLUMN kinderconnect.comparison_difference.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.comparison_difference.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.comparison_difference.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.comparison_difference.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.comparison_difference.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.comparison_difference.first_seen IS 'when a comparison first found it';
COMMENT ON COLUMN kinderconnect.comparison_difference.last_seen IS 'when one last did';
COMMENT ON COLUMN kinderconnect.comparison_difference.gone IS 'when one found it no longer, or otherwise; null: it stands';
COMMENT ON COLUMN kinderconnect.comparison_difference.difference IS 'missing_there, we say that the service holds the day; missing_here, it holds a day we know nothing of; different, another content, or ours under a record that is not ours';
COMMENT ON COLUMN kinderconnect.comparison_difference.state IS 'the day''s state here when it was last seen; null: no such day';
COMMENT ON COLUMN kinderconnect.comparison_difference.held_here IS 'what we say the service holds, as in child_day';
COMMENT ON COLUMN kinderconnect.comparison_difference.held_there IS 'what it holds, likewise';
COMMENT ON COLUMN kinderconnect.comparison_difference.record_here IS 'the record of ours that put it there';
COMMENT ON COLUMN kinderconnect.comparison_difference.record_there IS 'the record the service names';
COMMENT ON COLUMN kinderconnect.comparison_difference.kind_there IS 'what it holds: session, absence, closure';
COMMENT ON COLUMN kinderconnect.comparison_difference.in_there IS 'what it holds: check-ins, wall time at the location';
COMMENT ON COLUMN kinderconnect.comparison_difference.out_there IS 'what it holds: check-outs';
COMMENT ON COLUMN kinderconnect.comparison_difference.reason_there IS 'what it holds: absence reason';
COMMENT ON COLUMN kinderconnect.comparison_difference.what_to_do IS 'the cure';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.comparison', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.comparison_difference', '');

CREATE FUNCTION kinderconnect._providers_to_compare(run bigint, organization text)
	RETURNS TABLE (agency_id text, provider_id text, from_date date, to_date date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT p.agency_id, p.provider_id,
		greatest((now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer, o.first_enabled - o.backfill_days),
		(now() AT TIME ZONE 'Pacific/Honolulu')::date
	FROM kinderconnect.organization o
	JOIN kinderconnect.provider_standing p ON p.organization_id = o.organization_id AND p.barred IS NULL
	JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND k.run_id = run
	LEFT JOIN kinderconnect.comparison c ON (c.organization_id, c.agency_id, c.provider_id) = (p.organization_id, p.agency_id, p.provider_id)
	WHERE o.organization_id = organization AND kinderconnect._speaks(organization, 'readback')
	ORDER BY c.asked_at NULLS FIRST, p.agency_id, p.provider_id
	LIMIT kinderconnect.setting('compare_providers')::integer;
END;
COMMENT ON FUNCTION kinderconnect._providers_to_compare(bigint, text) IS
'the providers of an organization with a part in a run that it compares, and the service dates: its horizon; none where the service cannot be asked what it holds';

CREATE FUNCTION kinderconnect._ask_comparison(run bigint, organization text, agency text, provider text, from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM kinderconnect._start('readback', organization, agency, provider, from_date => _ask_comparison.from_date, to_date => _ask_comparison.to_date);
	INSERT INTO kinderconnect.comparison AS c (organization_id, agency_id, provider_id, run_id, from_date, to_date, error)
	VALUES (organization, agency, provider, run, _ask_comparison.from_date, _ask_comparison.to_date, 'no answer yet')
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET run_id = excluded.run_id, from_date = excluded.from_date, to_date = excluded.to_date, asked_at = excluded.asked_at, error = excluded.error;
EXCEPTION WHEN OTHERS THEN
	-- the next night will say so where it matters
	RAISE LOG 'could not ask what the service holds for provider "%" of organization "%" (%)', provider, organization, SQLSTATE;
END;
$$;
COMMENT ON FUNCTION kinderconnect._ask_comparison(bigint, text, text, text, date, date) IS 'asks the service what it holds for a provider, to compare it';

CREATE FUNCTION kinderconnect._take_comparison(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	asked kinderconnect.comparison;
	found integer;
	trouble text := CASE
		WHEN NOT outcome.ok THEN kinderconnect._said(outcome)
		WHEN outcome.problems > 0 THEN format('%s records of the read-back cannot be understood', outcome.problems) END;
BEGIN
	SELECT * INTO STRICT asked FROM kinderconnect.comparison c
	WHERE (c.organization_id, c.agency_id, c.provider_id) = (outcome.organization_id, outcome.agency_id, outcome.provider_id);
	IF trouble IS NULL THEN
		WITH differs AS MATERIALIZED (
			SELECT * FROM kinderconnect._differences(outcome.ticket, asked.organization_id, asked.agency_id, asked.provider_id, asked.from_date, asked.to_date) d
			WHERE d.difference <> 'unresolved'
		), known AS (
			UPDATE kinderconnect.comparison_difference f
			SET last_seen = clock_timestamp(), state = d.state
			FROM differs d
			WHERE (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
					= (asked.organization_id, asked.agency_id, asked.provider_id, d.kinderconnect_child_id, d.service_date)
				AND f.gone IS NULL
				AND (f.difference, f.held_here, f.held_there, f.record_here, f.record_there)
					IS NOT DISTINCT FROM (d.difference, d.held_here, d.held_there, d.record_here, d.record_there)
			RETURNING f.kinderconnect_child_id, f.service_date
		), gone AS (
			UPDATE kinderconnect.comparison_difference f SET gone = clock_timestamp()
			WHERE (f.organization_id, f.agency_id, f.provider_id) = (asked.organization_id, asked.agency_id, asked.provider_id)
				AND f.gone IS NULL AND f.service_date BETWEEN asked.from_date AND asked.to_date
				AND NOT EXISTS (SELECT FROM differs d
					WHERE (f.kinderconnect_child_id, f.service_date, f.difference) = (d.kinderconnect_child_id, d.service_date, d.difference)
						AND (f.held_here, f.held_there, f.record_here, f.record_there)
							IS NOT DISTINCT FROM (d.held_here, d.held_there, d.record_here, d.record_there))
		), new AS (
			INSERT INTO kinderconnect.comparison_difference (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date,
				first_seen, last_seen, difference, state, held_here, held_there, record_here, record_there, kind_there, in_there, out_there, reason_there)
			SELECT asked.organization_id, asked.agency_id, asked.provider_id, d.kinderconnect_child_id, d.service_date,
				clock_timestamp(), clock_timestamp(), d.difference, d.state, d.held_here, d.held_there, d.record_here, d.record_there,
				d.kind, d.session_in, d.session_out, d.absence_reason
			FROM differs d
			WHERE NOT EXISTS (SELECT FROM known k WHERE (k.kinderconnect_child_id, k.service_date) = (d.kinderconnect_child_id, d.service_date))
		)
		SELECT count(*) INTO found FROM differs;
		INSERT INTO kinderconnect.run_provider AS p (organization_id, run_id, agency_id, provider_id, differences)
		VALUES (asked.organization_id, run, asked.agency_id, asked.provider_id, found)
		ON CONFLICT (organization_id, run_id, agency_id, provider_id) DO UPDATE SET differences = excluded.differences;
	END IF;
	UPDATE kinderconnect.comparison c
	SET compared_at = CASE WHEN trouble IS NULL THEN clock_timestamp() ELSE c.compared_at END,
		differences = coalesce(found, c.differences), error = trouble
	WHERE (c.organization_id, c.agency_id, c.provider_id) = (asked.organization_id, asked.agency_id, asked.provider_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_comparison(bigint, kinderconnect.call_outcome) IS
'writes down where what the service holds differs from what we say it holds; where it cannot be asked only that';

CREATE FUNCTION kinderconnect.retry(organization_id text, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL,
		kinderconnect_child_id text DEFAULT NULL, from_date date DEFAULT NULL, to_date date DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	rejected bigint;
	differing bigint;
BEGIN
	PERFORM kinderconnect._require_organization(retry.organization_id);
	UPDATE kinderconnect.child_day d SET sent_basis = NULL
	WHERE d.organization_id = retry.organization_id AND d.state = 'rejected'
		AND (retry.agency_id IS NULL OR d.agency_id = retry.agency_id)
		AND (retry.provider_id IS NULL OR d.provider_id = retry.provider_id)
		AND (retry.kinderconnect_child_id IS NULL OR d.kinderconnect_child_id = retry.kinderconnect_child_id)
		AND d.service_date BETWEEN coalesce(retry.from_date, '-infinity') AND coalesce(retry.to_date, 'infinity')
		AND d.service_date > (now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer;
	GET DIAGNOSTICS rejected = ROW_COUNT;

	-- where a comparison found that the service holds something else, that is
	-- what is to be corrected
	UPDATE kinderconnect.child_day d
	SET state = 'ready', accepted_kind = f.kind_there, accepted_in = f.in_there, accepted_out = f.out_there, accepted_reason = f.reason_there,
		accepted_content = f.held_there,
		accepted_record_id = CASE WHEN f.held_there IS NOT NULL THEN d.accepted_record_id END,
		accepted_at = CASE WHEN f.held_there IS NOT NULL THEN d.accepted_at END, changed_at = now()
	FROM kinderconnect.comparison_difference f
	WHERE f.organization_id = retry.organization_id AND f.gone IS NULL AND f.difference IN ('missing_there', 'different')
		AND f.held_there IS DISTINCT FROM f.held_here
		AND (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
		AND d.state = 'accepted' AND d.accepted_content = f.held_here
		AND (retry.agency_id IS NULL OR d.agency_id = retry.agency_id)
		AND (retry.provider_id IS NULL OR d.provider_id = retry.provider_id)
		AND (retry.kinderconnect_child_id IS NULL OR d.kinderconnect_child_id = retry.kinderconnect_child_id)
		AND d.service_date BETWEEN coalesce(retry.from_date, '-infinity') AND coalesce(retry.to_date, 'infinity')
		AND d.service_date > (now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer;
	GET DIAGNOSTICS differing = ROW_COUNT;
	RETURN rejected + differing;
END;
$$;
COMMENT ON FUNCTION kinderconnect.retry(text, text, text, text, date, date) IS
'the next run sends these days again although nothing changed in Manage: rejected ones, and accepted ones of which the service holds something else or nothing (comparison_difference); answers how many. Days older than the horizon are not looked at';
-- Retention: what tells how the work was done goes after a while, what it came
-- to stays. Never deleted are the ledger, the child-days and their steps,
-- authorizations, links and decisions; nor is a call or a run of which
-- anything is still open, or that a night may look at.
--
-- The functions that delete run with the owner's rights: an operator may have
-- old rows purged by the server's settings, and can delete no other.

CREATE INDEX batch_by_end ON kinderconnect.batch (organization_id, ended_at);

-- In SQL, so that a LIMIT on it need not read all of them.
CREATE FUNCTION kinderconnect._old_calls(organization text) RETURNS TABLE (batch_id text, ended_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT b.batch_id, b.ended_at
	FROM kinderconnect.batch b
	WHERE b.organization_id = organization
		AND b.ended_at < now() - make_interval(days => nullif(kinderconnect.setting('keep_attempts_days')::integer, -1))
		AND b.state IN ('answered', 'refused', 'lost', 'dropped')
		AND NOT EXISTS (SELECT FROM kinderconnect.run r WHERE r.run_id = b.run_id AND r.status = 'running')
		AND NOT EXISTS (SELECT FROM kinderconnect.batch_record r
			JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (r.organization_id, r.record_id)
			WHERE (r.organization_id, r.batch_id) = (b.organization_id, b.batch_id)
				AND (l.state IN ('sending', 'unknown', 'not_taken')
					OR l.service_date >= current_date - kinderconnect.setting('horizon_days')::integer - 1));
END;
COMMENT ON FUNCTION kinderconnect._old_calls(text) IS
'batches older than keep_attempts_days whose records are all settled, and of days that no night looks at any more';

CREATE FUNCTION kinderconnect._old_lists(organization text) RETURNS TABLE (month date)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	days integer := kinderconnect.setting('keep_lists_days');
BEGIN
	IF days < 0 THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT DISTINCT l.month
	FROM kinderconnect.list_state l
	WHERE l.organization_id = organization AND isfinite(l.month) AND l.month + interval '1 month' < current_date - days;
END;
$$;
COMMENT ON FUNCTION kinderconnect._old_lists(text) IS 'months that ended more than keep_lists_days ago, of which lists of children are stored';

-- What came of each organization and provider last, and when it last went
-- well, is what health is judged by.
CREATE FUNCTION kinderconnect._old_runs() RETURNS TABLE (run_id bigint, ended_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	days integer := kinderconnect.setting('keep_runs_days');
BEGIN
	IF days < 0 THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT r.run_id, r.ended_at
	FROM kinderconnect.run r
	WHERE r.status <> 'running' AND r.ended_at < now() - make_interval(days => days)
		AND NOT EXISTS (SELECT FROM kinderconnect.batch b WHERE b.run_id = r.run_id)
		AND NOT EXISTS (SELECT FROM kinderconnect.ledger l WHERE l.run_id = r.run_id AND l.state IN ('sending', 'unknown', 'not_taken'))
		AND r.run_id NOT IN (
			SELECT max(o.run_id) FROM kinderconnect.run_organization o WHERE o.locked GROUP BY o.organization_id
			UNION ALL
			SELECT max(o.run_id) FROM kinderconnect.run_organization o WHERE o.locked AND o.sqlstate IS NULL GROUP BY o.organization_id
			UNION ALL
			SELECT max(p.run_id) FROM kinderconnect.run_provider p GROUP BY p.organization_id, p.agency_id, p.provider_id
			UNION ALL
			SELECT max(p.run_id) FROM kinderconnect.run_provider p WHERE p.sqlstate IS NULL GROUP BY p.organization_id, p.agency_id, p.provider_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect._old_runs() IS
'runs older than keep_runs_days of which no call is stored any more, but for the last one, and the last good one, of each organization and provider';

CREATE FUNCTION kinderconnect._purge_calls(organization text, most integer) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	purged bigint;
BEGIN
	IF (most > 0) IS NOT TRUE THEN
		RAISE EXCEPTION 'batch_size must be positive' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	WITH old AS MATERIALIZED (
		SELECT o.batch_id FROM kinderconnect._old_calls(organization) o ORDER BY o.ended_at LIMIT most
	), carried AS (
		DELETE FROM kinderconnect.batch_record r USING old
		WHERE (r.organization_id, r.batch_id) = (organization, old.batch_id)
	)
	DELETE FROM kinderconnect.batch b USING old WHERE (b.organization_id, b.batch_id) = (organization, old.batch_id);
	GET DIAGNOSTICS purged = ROW_COUNT;
	RETURN purged;
END;
$$;
COMMENT ON FUNCTION kinderconnect._purge_calls(text, integer) IS 'deletes at most so many old batches of an organization; answers how many';

CREATE FUNCTION kinderconnect._purge_lists(organization text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	old    date := (SELECT min(o.month) FROM kinderconnect._old_lists(organization) o);
	purged bigint;
BEGIN
	DELETE FROM kinderconnect.list_problem p WHERE p.organization_id = organization AND p.month = old;
	DELETE FROM kinderconnect.listed_authorization l WHERE l.organization_id = organization AND l.month = old;
	DELETE FROM kinderconnect.list_state l WHERE l.organization_id = organization AND l.month = old;
	GET DIAGNOSTICS purged = ROW_COUNT;
	RETURN purged;
END;
$$;
COMMENT ON FUNCTION kinderconnect._purge_lists(text) IS 'deletes the lists of an organization''s oldest month that is old; answers how many';

CREATE FUNCTION kinderconnect._purge_runs(most integer) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	purged bigint;
BEGIN
	IF (most > 0) IS NOT TRUE THEN
		RAISE EXCEPTION 'batch_size must be positive' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	WITH old AS MATERIALIZED (
		SELECT o.run_id FROM kinderconnect._old_runs() o ORDER BY o.run_id LIMIT most
	), providers AS (
		DELETE FROM kinderconnect.run_provider p USING old WHERE p.run_id = old.run_id
	), organizations AS (
		DELETE FROM kinderconnect.run_organization o USING old WHERE o.run_id = old.run_id
	)
	DELETE FROM kinderconnect.run r USING old WHERE r.run_id = old.run_id;
	GET DIAGNOSTICS purged = ROW_COUNT;
	RETURN purged;
END;
$$;
COMMENT ON FUNCTION kinderconnect._purge_runs(integer) IS 'deletes at most so many old runs, with the parts of organizations and providers; answers how many';

CREATE FUNCTION kinderconnect.purgeable() RETURNS TABLE (what text, setting text, rows bigint, oldest timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT 'attempts', 'kinderconnect.keep_attempts_days', count(*), min(c.ended_at)
	FROM kinderconnect.organization o CROSS JOIN LATERAL kinderconnect._old_calls(o.organization_id) c
	UNION ALL
	SELECT 'lists', 'kinderconnect.keep_lists_days', count(*), min(l.month)::timestamptz
	FROM kinderconnect.organization o CROSS JOIN LATERAL kinderconnect._old_lists(o.organization_id) m
	JOIN kinderconnect.list_state l ON (l.organization_id, l.month) = (o.organization_id, m.month)
	UNION ALL
	SELECT 'runs', 'kinderconnect.keep_runs_days', count(*), min(r.ended_at) FROM kinderconnect._old_runs() r;
END;
$$;
COMMENT ON FUNCTION kinderconnect.purgeable() IS
'what purge() would delete now, without deleting it: how many batches, lists and runs, and of when the oldest is. Runs whose calls go first are counted once those are gone';

CREATE PROCEDURE kinderconnect.purge(batch_size integer DEFAULT 1000)
	LANGUAGE plpgsql
AS $$
DECLARE
	organization pg_catalog.text;
	purged       pg_catalog.int8;
BEGIN
	-- Inside a caller's transaction this fails, before anything is done.
	COMMIT;
	FOR organization IN SELECT o.organization_id FROM kinderconnect.organization o ORDER BY o.organization_id LOOP
		LOOP
			purged := kinderconnect._purge_calls(organization, batch_size);
			COMMIT;
			EXIT WHEN purged OPERATOR(pg_catalog.=) 0;
		END LOOP;
		LOOP
			purged := kinderconnect._purge_lists(organization);
			COMMIT;
			EXIT WHEN purged OPERATOR(pg_catalog.=) 0;
		END LOOP;
	END LOOP;
	LOOP
		purged := kinderconnect._purge_runs(batch_size);
		COMMIT;
		EXIT WHEN purged OPERATOR(pg_catalog.=) 0;
	END LOOP;
END;
$$;
COMMENT ON PROCEDURE kinderconnect.purge(integer) IS
'deletes batches, lists and runs that are older than the settings keep_attempts_days, keep_lists_days and keep_runs_days, at most batch_size of each in one transaction. A night without arguments ends with it. The ledger, the child-days and what persons decided stay for ever';
-- The night. The procedure commits as it goes, so it can have no SET clause:
-- it only walks the steps, and every name in it is qualified. What is done in
-- a step is done by functions, each the error boundary of an organization, a
-- provider or a batch.

CREATE FUNCTION kinderconnect._begin_run(organization text, agency text, provider text, from_date date, to_date date, only_due boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	run  bigint;
	dead bigint;
BEGIN
	IF organization IS NOT NULL THEN
		PERFORM kinderconnect._require_organization(organization);
		IF EXISTS (SELECT FROM kinderconnect.organization o WHERE o.organization_id = organization AND NOT o.enabled) THEN
			RAISE EXCEPTION 'integration of organization "%" is disabled', organization
				USING ERRCODE = 'KC001', HINT = 'Call kinderconnect.enable_integration().';
		END IF;
	ELSIF provider IS NOT NULL OR agency IS NOT NULL THEN
		RAISE EXCEPTION 'agency_id and provider_id need organization_id' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF provider IS NOT NULL AND NOT EXISTS (SELECT FROM kinderconnect.provider p
			WHERE p.organization_id = organization AND p.provider_id = provider AND (agency IS NULL OR p.agency_id = agency)) THEN
		RAISE EXCEPTION 'organization "%" has no provider "%"', organization, provider
			USING ERRCODE = 'KC001', HINT = 'Providers are listed in kinderconnect.provider.';
	END IF;
	IF from_date > to_date THEN
		RAISE EXCEPTION 'from_date % is after to_date %', from_date, to_date USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM kinderconnect._require_manage();

	INSERT INTO kinderconnect.run (scope)
	VALUES (jsonb_strip_nulls(jsonb_build_object('organization_id', organization, 'agency_id', agency, 'provider_id', provider,
		'from_date', from_date, 'to_date', to_date, 'due', nullif(only_due, false))))
	RETURNING run_id INTO run;

	INSERT INTO kinderconnect.run_organization (organization_id, run_id, locked, halted, sqlstate, error, hint)
	SELECT o.organization_id, run, l.locked, NOT l.locked,
		CASE WHEN NOT l.locked THEN 'KC401' END,
		CASE WHEN NOT l.locked THEN 'another run is busy with this organization' || coalesce(
			(SELECT format(': run %s of %s, process %s, since %s', b.run_id, b.started_by, b.pid, to_char(b.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'))
				FROM kinderconnect.run_organization ro JOIN kinderconnect.run b ON b.run_id = ro.run_id
				WHERE ro.organization_id = o.organization_id AND ro.locked AND b.status = 'running' AND b.run_id <> run
				ORDER BY b.run_id DESC LIMIT 1), '') END,
		CASE WHEN NOT l.locked THEN 'Let it end; it does all that this one would have done.' END
	FROM (SELECT o.* FROM kinderconnect.organization o
		WHERE o.enabled AND (organization IS NULL OR o.organization_id = organization)
			AND (NOT only_due OR o.organization_id IN (SELECT d.organization_id FROM kinderconnect._due_now() d))
		ORDER BY o.organization_id) o
	CROSS JOIN LATERAL (SELECT kinderconnect._lock(o.organization_id) AS locked) l;

	-- dead: whose process is gone, or whose lock is ours now
	FOR dead IN UPDATE kinderconnect.run r SET status = 'interrupted', ended_at = clock_timestamp()
	WHERE r.status = 'running' AND r.run_id <> run
		AND (NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = r.pid AND a.pid <> pg_backend_pid())
			OR EXISTS (SELECT FROM kinderconnect.run_organization theirs
				JOIN kinderconnect.run_organization ours ON ours.organization_id = theirs.organization_id AND ours.run_id = run
				WHERE theirs.run_id = r.run_id AND theirs.locked AND ours.locked))
		RETURNING r.run_id
	LOOP
		PERFORM kinderconnect._tell_dead(dead);
	END LOOP;

	PERFORM kinderconnect._take_part(run, o.organization_id) FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.locked;
	PERFORM kinderconnect._tell_begin(run);
	RETURN run;
END;
$$;
COMMENT ON FUNCTION kinderconnect._begin_run(text, text, text, date, date, boolean) IS
'checks the scope, writes the run down and takes the lock of each of its organizations; answers its id';

CREATE FUNCTION kinderconnect._step(run bigint, step text) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	UPDATE kinderconnect.run r SET step = _step.step, step_at = clock_timestamp() WHERE r.run_id = run;
END;
COMMENT ON FUNCTION kinderconnect._step(bigint, text) IS 'notes where a run is';

-- Asking and sending stop where an organization is halted; what only this
-- database does goes on, so that its days have their rows all the same.
CREATE FUNCTION kinderconnect._locked(run bigint) RETURNS SETOF text
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.organization_id FROM kinderconnect.run_organization o
	WHERE o.run_id = run AND o.locked
	ORDER BY o.organization_id;
END;
COMMENT ON FUNCTION kinderconnect._locked(bigint) IS 'organizations of a run';

CREATE FUNCTION kinderconnect._at_work(run bigint) RETURNS SETOF text
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.organization_id FROM kinderconnect.run_organization o
	WHERE o.run_id = run AND o.locked AND NOT o.halted
	ORDER BY o.organization_id;
END;
COMMENT ON FUNCTION kinderconnect._at_work(bigint) IS 'organizations of a run that are not halted';

CREATE FUNCTION kinderconnect._detail(sqlstate text, detail text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN starts_with(sqlstate, 'KC') THEN nullif(detail, '') END;
COMMENT ON FUNCTION kinderconnect._detail(text, text) IS 'the detail of an error of our own; that of another may quote a row';

CREATE FUNCTION kinderconnect._has_room() RETURNS boolean
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
	RETURN kinderconnect._room() > 0;
COMMENT ON FUNCTION kinderconnect._has_room() IS 'whether to start another call before collecting';

CREATE FUNCTION kinderconnect._is_busy() RETURNS boolean
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
	RETURN kinderconnect._pending() > 0;
COMMENT ON FUNCTION kinderconnect._is_busy() IS 'whether any call is still to be collected';

CREATE FUNCTION kinderconnect._has_unknown(run bigint) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.ledger l ON l.organization_id = w.organization_id AND l.state = 'unknown');
END;
COMMENT ON FUNCTION kinderconnect._has_unknown(bigint) IS 'whether any record of a run''s organizations is unknown';

-- An endpoint or dialect that cannot work halts its organization, not the
-- night; what is halted is asked no more.
CREATE FUNCTION kinderconnect._ask(run bigint, operation text, organization text, agency text DEFAULT NULL, provider text DEFAULT NULL,
		customer text DEFAULT NULL, month date DEFAULT NULL, from_date date DEFAULT NULL, to_date date DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	IF EXISTS (SELECT FROM kinderconnect.run_organization o WHERE (o.organization_id, o.run_id) = (organization, run) AND o.halted) THEN
		RETURN;
	END IF;
	PERFORM kinderconnect._start(operation, organization, agency, provider, customer, month, from_date, to_date);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	PERFORM kinderconnect._fail_organization(run, organization, true, state, concat_ws(': ', said, kinderconnect._detail(state, detail)), hint);
END;
$$;
COMMENT ON FUNCTION kinderconnect._ask(bigint, text, text, text, text, text, date, date, date) IS
'starts a reading call; one that cannot be started halts its organization';

CREATE FUNCTION kinderconnect._prepare(run bigint, organization text, agency text, provider text, from_date date, to_date date) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	RETURN kinderconnect._next_batch(run, organization, agency, provider, from_date, to_date);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	PERFORM kinderconnect._fail_provider(run, organization, agency, provider, true, state, concat_ws(': ', said, kinderconnect._detail(state, detail)), hint);
	RETURN NULL;
END;
$$;
COMMENT ON FUNCTION kinderconnect._prepare(bigint, text, text, text, date, date) IS
'the next batch of a provider, as _next_batch(); one that cannot be written halts its provider';

CREATE FUNCTION kinderconnect._dispatch(run bigint, organization text, agency text, provider text, batch text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	PERFORM kinderconnect._send(organization, batch);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	PERFORM kinderconnect._fail_provider(run, organization, agency, provider, true, state, concat_ws(': ', said, kinderconnect._detail(state, detail)), hint);
END;
$$;
COMMENT ON FUNCTION kinderconnect._dispatch(bigint, text, text, text, text) IS
'starts the call of a batch; one that cannot be started halts its provider, and its records are resolved by the next run';

-- A step of one organization that only this database can fail at.
CREATE FUNCTION kinderconnect._guarded(run bigint, organization text, step text, agency text, provider text, from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	CASE step
		WHEN 'recover' THEN PERFORM kinderconnect._recover(organization);
		WHEN 'providers' THEN
			PERFORM kinderconnect._match_providers(organization);
			PERFORM kinderconnect._take_part(run, organization);
			PERFORM kinderconnect._set_clocks(organization);
		WHEN 'vanished' THEN PERFORM kinderconnect._close_vanished(run, organization, from_date, to_date);
		WHEN 'match' THEN PERFORM kinderconnect._match(organization);
		WHEN 'candidates' THEN PERFORM kinderconnect._score(organization);
		WHEN 'repeat' THEN PERFORM kinderconnect._repeat_unknown(run, organization, agency, provider);
		WHEN 'plan' THEN PERFORM kinderconnect._plan(organization, agency, provider, from_date, to_date);
	END CASE;
	IF step IN ('match', 'plan') THEN
		UPDATE kinderconnect.run_organization o SET step = _guarded.step, step_ended_at = clock_timestamp()
		WHERE (o.organization_id, o.run_id) = (organization, run);
	END IF;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	-- without a plan of tonight nothing may be sent; candidates are for persons
	PERFORM kinderconnect._fail_organization(run, organization, step <> 'candidates', state,
		concat_ws(': ', format('%s failed', step), said, kinderconnect._detail(state, detail)), hint);
END;
$$;
COMMENT ON FUNCTION kinderconnect._guarded(bigint, text, text, text, text, date, date) IS
'does one step of one organization; an error is noted and halts that organization, but for one of its candidates';

CREATE FUNCTION kinderconnect._customers_to_ask(run bigint) RETURNS TABLE (organization_id text, customer_id text, operation text)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT c.organization_id, c.customer_id, o.operation
	FROM kinderconnect._at_work(run) w(organization_id)
	JOIN kinderconnect.customer c ON c.organization_id = w.organization_id AND c.listed
		AND coalesce(lower(btrim(c.status)), 'active') = 'active'
	CROSS JOIN (VALUES ('agencies'), ('locations')) o(operation)
	WHERE kinderconnect._speaks(c.organization_id, o.operation)
	ORDER BY c.organization_id, c.customer_id, o.operation;
END;
COMMENT ON FUNCTION kinderconnect._customers_to_ask(bigint) IS 'the lists of agencies and locations to ask for';

CREATE FUNCTION kinderconnect._months_to_ask(run bigint, agency text, provider text, from_date date, to_date date)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, month date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT p.organization_id, p.agency_id, p.provider_id, m.month
	FROM kinderconnect._at_work(run) w(organization_id)
	JOIN kinderconnect.provider_standing p ON p.organization_id = w.organization_id AND p.barred IS NULL
	JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND k.run_id = run
	CROSS JOIN LATERAL kinderconnect._months(p.organization_id, from_date, to_date) m(month)
	WHERE (agency IS NULL OR p.agency_id = agency) AND (provider IS NULL OR p.provider_id = provider)
	ORDER BY p.organization_id, p.agency_id, p.provider_id, m.month;
END;
COMMENT ON FUNCTION kinderconnect._months_to_ask(bigint, text, text, date, date) IS 'the lists of children to ask for';

CREATE FUNCTION kinderconnect._unknown_to_resolve(run bigint)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, from_date date, to_date date, can_ask boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT d.organization_id, d.agency_id, d.provider_id, min(d.service_date), max(d.service_date),
		kinderconnect._speaks(d.organization_id, 'readback')
	FROM (SELECT l.organization_id, l.agency_id, l.provider_id, l.service_date
		FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.ledger l ON l.organization_id = w.organization_id AND l.state = 'unknown'
		UNION ALL
		SELECT w.organization_id, m.agency_id, m.provider_id, m.service_date
		FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.run r ON r.run_id = run
		CROSS JOIN LATERAL kinderconnect._merged_days(w.organization_id) m
		WHERE kinderconnect._speaks(w.organization_id, 'readback')
			AND m.agency_id = coalesce(r.scope ->> 'agency_id', m.agency_id) AND m.provider_id = coalesce(r.scope ->> 'provider_id', m.provider_id)
			AND m.service_date BETWEEN coalesce((r.scope ->> 'from_date')::date, '-infinity') AND coalesce((r.scope ->> 'to_date')::date, 'infinity')) d
	GROUP BY d.organization_id, d.agency_id, d.provider_id
	ORDER BY d.organization_id, d.agency_id, d.provider_id;
END;
COMMENT ON FUNCTION kinderconnect._unknown_to_resolve(bigint) IS
'providers with records whose answer was lost, or with days held as merged_child of which the service can be asked, and the dates these span';

-- A provider that is barred is sent nothing new; what waits of it stays.
CREATE FUNCTION kinderconnect._providers_to_send(run bigint, agency text, provider text, from_date date, to_date date)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT p.organization_id, p.agency_id, p.provider_id
	FROM kinderconnect._at_work(run) w(organization_id)
	JOIN kinderconnect.provider_standing p ON p.organization_id = w.organization_id AND p.barred IS NULL
	JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND k.run_id = run
	WHERE (agency IS NULL OR p.agency_id = agency) AND (provider IS NULL OR p.provider_id = provider)
		AND (EXISTS (SELECT FROM kinderconnect.child_day d
				WHERE (d.organization_id, d.agency_id, d.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND d.state = 'ready'
					AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity'))
			OR EXISTS (SELECT FROM kinderconnect.batch b
				WHERE (b.organization_id, b.agency_id, b.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND b.state = 'waiting'))
	ORDER BY p.organization_id, p.agency_id, p.provider_id;
END;
COMMENT ON FUNCTION kinderconnect._providers_to_send(bigint, text, text, date, date) IS 'providers that have something to send';

-- Where errors have no code, a wrong password is told by this alone. PL/pgSQL
-- keeps its plan; it is asked of every answer.
CREATE FUNCTION kinderconnect._is_refused_alike(run bigint, outcome kinderconnect.call_outcome) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (outcome).operation = 'children' AND NOT (outcome).ok AND (outcome).http_status BETWEEN 200 AND 299 AND (outcome).sqlstate = 'KC204'
		AND NOT kinderconnect._listed_tonight(run, (outcome).organization_id, NULL, NULL)
		AND (SELECT count(*) > 1 FROM kinderconnect.run_provider p
			WHERE (p.organization_id, p.run_id, p.sqlstate, p.error)
				= ((outcome).organization_id, run, (outcome).sqlstate, kinderconnect._said(outcome)));
END;
$$;
COMMENT ON FUNCTION kinderconnect._is_refused_alike(bigint, kinderconnect.call_outcome) IS
'whether a service that tells errors in the body has refused two providers of an organization in the same words, and listed none, in this run';

-- Waits for at least one call and takes in all that have ended. What the
-- organization itself did wrong halts it: the same password would be refused
-- a thousand times.
CREATE FUNCTION kinderconnect._take(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	outcome kinderconnect.call_outcome;
	state   text;
	said    text;
	detail  text;
	hint    text;
	compares boolean := EXISTS (SELECT FROM kinderconnect.run r WHERE r.run_id = run AND r.step = 'compare');
BEGIN
	FOR outcome IN SELECT * FROM kinderconnect._collect() LOOP
		BEGIN
			IF compares THEN
				-- what it cannot be asked fails no night
				PERFORM kinderconnect._take_comparison(run, outcome);
				PERFORM kinderconnect._release(outcome.ticket);
				CONTINUE;
			END IF;
			IF outcome.operation = 'submit' THEN
				PERFORM kinderconnect._take_submit(run, outcome);
			ELSIF NOT outcome.ok AND outcome.provider_id IS NULL THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, false, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
			ELSIF NOT outcome.ok THEN
				PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, false,
					outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
			ELSIF outcome.operation = 'customers' THEN
				PERFORM kinderconnect._take_customers(run, outcome);
			ELSIF outcome.operation = 'agencies' THEN
				PERFORM kinderconnect._take_agencies(run, outcome);
			ELSIF outcome.operation = 'locations' THEN
				PERFORM kinderconnect._take_locations(run, outcome);
			ELSIF outcome.operation = 'children' THEN
				PERFORM kinderconnect._take_children(run, outcome);
			ELSIF outcome.operation = 'readback' THEN
				PERFORM kinderconnect._take_readback(run, outcome);
			END IF;
			IF outcome.sqlstate = 'KC104' THEN
				UPDATE kinderconnect.run r SET sqlstate = 'KC104', error = 'deadline' WHERE r.run_id = run AND r.sqlstate IS NULL;
			ELSIF outcome.sqlstate IN ('KC001', 'KC002', 'KC201', 'KC202') THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, true, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
			ELSIF kinderconnect._is_refused_alike(run, outcome) THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, true, outcome.sqlstate,
					'all providers are refused alike: ' || kinderconnect._said(outcome),
					'Check the secret that group_password of kinderconnect.organization names.');
			END IF;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			said := concat_ws(': ', format('answer to %s could not be taken in', outcome.operation), said, kinderconnect._detail(state, detail));
			IF outcome.provider_id IS NULL THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, false, state, said, hint);
			ELSE
				PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, true, state, said, hint);
			END IF;
		END;
		PERFORM kinderconnect._release(outcome.ticket);
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take(bigint) IS
'takes in the calls that have ended, waiting for one; each is an error boundary of its own';

CREATE FUNCTION kinderconnect._account(run bigint) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	failures bigint;
BEGIN
	INSERT INTO kinderconnect.run_provider AS p
		(organization_id, run_id, agency_id, provider_id, children, matched, sent, accepted, rejected, voided, unanswered, held, ready)
	SELECT s.organization_id, run, s.agency_id, s.provider_id, coalesce(c.children, 0), coalesce(c.matched, 0),
		coalesce(l.sent, 0), coalesce(l.accepted, 0), coalesce(l.rejected, 0), coalesce(l.voided, 0), coalesce(l.unanswered, 0),
		coalesce(d.held, 0), coalesce(d.ready, 0)
	FROM kinderconnect.provider_standing s
	JOIN kinderconnect.run_organization o ON o.organization_id = s.organization_id AND o.run_id = run AND o.locked
	JOIN kinderconnect.run r ON r.run_id = run AND (NOT r.scope ? 'due' OR EXISTS (SELECT FROM kinderconnect.provider_clock k
		WHERE (k.organization_id, k.agency_id, k.provider_id, k.run_id) = (s.organization_id, s.agency_id, s.provider_id, run)))
	LEFT JOIN (SELECT a.organization_id, a.agency_id, a.provider_id, count(DISTINCT a.kinderconnect_child_id) AS children,
			count(DISTINCT k.kinderconnect_child_id) AS matched
		FROM kinderconnect.authorization a
		LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
		WHERE a.known_until = 'infinity'
		GROUP BY a.organization_id, a.agency_id, a.provider_id) c
		ON (c.organization_id, c.agency_id, c.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
	LEFT JOIN (SELECT l.organization_id, l.agency_id, l.provider_id,
			count(*) FILTER (WHERE l.state IN ('accepted', 'rejected')) AS sent,
			count(*) FILTER (WHERE l.state = 'accepted' AND l.kind <> 'void') AS accepted,
			count(*) FILTER (WHERE l.state = 'accepted' AND l.kind = 'void') AS voided,
			count(*) FILTER (WHERE l.state = 'rejected') AS rejected,
			count(*) FILTER (WHERE l.state IN ('sending', 'unknown')) AS unanswered
		FROM kinderconnect.ledger l WHERE l.run_id = run
		GROUP BY l.organization_id, l.agency_id, l.provider_id) l
		ON (l.organization_id, l.agency_id, l.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
	LEFT JOIN (SELECT d.organization_id, d.agency_id, d.provider_id,
			count(*) FILTER (WHERE d.state = 'held') AS held, count(*) FILTER (WHERE d.state = 'ready') AS ready
		FROM kinderconnect.child_day d
		WHERE d.state IN ('held', 'ready')
		GROUP BY d.organization_id, d.agency_id, d.provider_id) d
		ON (d.organization_id, d.agency_id, d.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
	ON CONFLICT (organization_id, run_id, agency_id, provider_id) DO UPDATE
	SET children = excluded.children, matched = excluded.matched, sent = excluded.sent, accepted = excluded.accepted,
		rejected = excluded.rejected, voided = excluded.voided, unanswered = excluded.unanswered, held = excluded.held, ready = excluded.ready;

	SELECT (SELECT count(*) FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.sqlstate IS NOT NULL)
		+ (SELECT count(*) FROM kinderconnect.run_provider p WHERE p.run_id = run AND p.sqlstate IS NOT NULL)
	INTO failures;
	PERFORM kinderconnect._keep_time(run);
	UPDATE kinderconnect.run r
	SET status = CASE WHEN r.sqlstate = 'KC403' THEN 'stopped' WHEN r.sqlstate IS NOT NULL OR failures > 0 THEN 'failed' ELSE 'succeeded' END,
		ended_at = clock_timestamp()
	WHERE r.run_id = run;
	PERFORM kinderconnect._tell_end(run);
	RETURN failures;
END;
$$;
COMMENT ON FUNCTION kinderconnect._account(bigint) IS
'counts what a run did for each provider and ends it; answers how many organizations and providers had an error';

-- Everything good is committed by now; the error is for whoever watches the
-- job. It reaches logs, so only what we said ourselves stands in it.
CREATE FUNCTION kinderconnect._report(run bigint, failures bigint) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	first record;
	ended kinderconnect.run;
BEGIN
	SELECT * INTO STRICT ended FROM kinderconnect.run r WHERE r.run_id = run;
	IF ended.status IN ('succeeded', 'stopped') THEN
		RETURN;
	END IF;
	SELECT f.*, count(*) FILTER (WHERE f.sqlstate <> 'KC401') OVER () = 0 AS all_busy INTO first FROM (
		SELECT 1 AS rank, o.organization_id, format('organization "%s"', o.organization_id) AS who, o.sqlstate, o.error, o.hint
		FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.sqlstate IS NOT NULL
		UNION ALL
		SELECT 2, p.organization_id, format('organization "%s", agency "%s", provider "%s"', p.organization_id, p.agency_id, p.provider_id), p.sqlstate, p.error, p.hint
		FROM kinderconnect.run_provider p WHERE p.run_id = run AND p.sqlstate IS NOT NULL) f
	ORDER BY f.rank, f.who LIMIT 1;
	RAISE EXCEPTION USING
		ERRCODE = CASE WHEN ended.sqlstate IS NOT NULL THEN ended.sqlstate WHEN first.all_busy THEN 'KC401' ELSE 'KC402' END,
		MESSAGE = format(CASE ended.sqlstate WHEN 'KC104' THEN 'run %s ended at its deadline, with %s failures' ELSE 'run %s had %s failures' END, run, failures),
		DETAIL = CASE WHEN first.who IS NULL THEN 'No part of it failed.' ELSE format('First: %s: %s (%s).', first.who,
			CASE WHEN starts_with(first.sqlstate, 'KC') THEN first.error ELSE 'an error of the database' END, first.sqlstate) END,
		HINT = concat_ws(' ', CASE WHEN ended.sqlstate IS NULL THEN nullif(first.hint, '') END,
			CASE ended.sqlstate WHEN 'KC104' THEN 'What was not done is done by the next run. The limit is the setting kinderconnect.run_deadline.'
				ELSE 'All else is done and committed; see kinderconnect.run_organization and run_provider.' END);
END;
$$;
COMMENT ON FUNCTION kinderconnect._report(bigint, bigint) IS 'an error that tells the first of a run''s failures, if there were any';

CREATE PROCEDURE kinderconnect._make_room(run bigint)
	LANGUAGE plpgsql
AS $$
BEGIN
	WHILE NOT kinderconnect._has_room() LOOP
		PERFORM kinderconnect._take(run);
		COMMIT;
	END LOOP;
END;
$$;
COMMENT ON PROCEDURE kinderconnect._make_room(bigint) IS 'takes in calls that end, until another may be started; commits';

CREATE PROCEDURE kinderconnect._drain(run bigint)
	LANGUAGE plpgsql
AS $$
BEGIN
	WHILE kinderconnect._is_busy() LOOP
		PERFORM kinderconnect._take(run);
		COMMIT;
	END LOOP;
END;
$$;
COMMENT ON PROCEDURE kinderconnect._drain(bigint) IS 'takes in calls that end, until none is left; commits';

-- Walked as far as sending is not stopped and the deadline has not come. What
-- is under way then is waited for, and what waits its turn is ready again.
CREATE PROCEDURE kinderconnect._night(organization_id text, agency_id text, provider_id text, from_date date, to_date date, only_due boolean)
	LANGUAGE plpgsql
AS $$
DECLARE
	run      pg_catalog.int8;
	item     record;
	pass     pg_catalog.int4;
	batch    pg_catalog.text;
	started  pg_catalog.bool;
	failures pg_catalog.int8;
BEGIN
	PERFORM kinderconnect._require_armed();
	PERFORM kinderconnect._require_ordinary_rights();
	PERFORM kinderconnect._require_not_stopped();
	PERFORM kinderconnect._open(NULL);
	run := kinderconnect._begin_run(organization_id, agency_id, provider_id, from_date, to_date, only_due);
	COMMIT;
	FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
		PERFORM kinderconnect._guarded(run, item.organization, 'recover', NULL, NULL, NULL, NULL);
		COMMIT;
	END LOOP;

	<<steps>>
	BEGIN
		PERFORM kinderconnect._step(run, 'lists');
		COMMIT;
		FOR item IN SELECT w AS organization FROM kinderconnect._at_work(run) w WHERE kinderconnect._speaks(w, 'customers') LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._ask(run, 'customers', item.organization);
			CALL kinderconnect._make_room(run);
		END LOOP;
		CALL kinderconnect._drain(run);
		FOR item IN SELECT * FROM kinderconnect._customers_to_ask(run) LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._ask(run, item.operation, item.organization_id, customer => item.customer_id);
			CALL kinderconnect._make_room(run);
		END LOOP;
		CALL kinderconnect._drain(run);
		EXIT steps WHEN NOT kinderconnect._goes_on(run);
		FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
			PERFORM kinderconnect._guarded(run, item.organization, 'providers', NULL, NULL, NULL, NULL);
			COMMIT;
		END LOOP;

		PERFORM kinderconnect._step(run, 'children');
		COMMIT;
		FOR item IN SELECT * FROM kinderconnect._months_to_ask(run, agency_id, provider_id, from_date, to_date) LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._ask(run, 'children', item.organization_id, item.agency_id, item.provider_id, month => item.month);
			CALL kinderconnect._make_room(run);
		END LOOP;
		CALL kinderconnect._drain(run);

		PERFORM kinderconnect._step(run, 'match');
		COMMIT;
		FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._guarded(run, item.organization, 'vanished', NULL, NULL, from_date, to_date);
			PERFORM kinderconnect._guarded(run, item.organization, 'match', NULL, NULL, NULL, NULL);
			COMMIT;
			PERFORM kinderconnect._guarded(run, item.organization, 'candidates', NULL, NULL, NULL, NULL);
			COMMIT;
		END LOOP;

		-- Unknown days are resolved before the plan, and once more after the
		-- transfer, so that an answer lost tonight is found tonight.
		FOR pass IN 1..2 LOOP
			PERFORM kinderconnect._step(run, 'resolve');
			COMMIT;
			FOR item IN SELECT * FROM kinderconnect._unknown_to_resolve(run) LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				IF item.can_ask THEN
					PERFORM kinderconnect._ask(run, 'readback', item.organization_id, item.agency_id, item.provider_id,
						from_date => item.from_date, to_date => item.to_date);
				ELSIF (agency_id OPERATOR(pg_catalog.<>) item.agency_id OR provider_id OPERATOR(pg_catalog.<>) item.provider_id) IS NOT TRUE THEN
					PERFORM kinderconnect._guarded(run, item.organization_id, 'repeat', item.agency_id, item.provider_id, NULL, NULL);
					COMMIT;
				END IF;
				CALL kinderconnect._make_room(run);
			END LOOP;
			CALL kinderconnect._drain(run);

			PERFORM kinderconnect._step(run, 'plan');
			COMMIT;
			FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				PERFORM kinderconnect._guarded(run, item.organization, 'plan', agency_id, provider_id, from_date, to_date);
				COMMIT;
			END LOOP;

			PERFORM kinderconnect._step(run, 'transfer');
			COMMIT;
			LOOP
				-- providers take turns: each has one batch under way at most
				started := false;
				FOR item IN SELECT * FROM kinderconnect._providers_to_send(run, agency_id, provider_id, from_date, to_date) LOOP
					EXIT steps WHEN NOT kinderconnect._goes_on(run);
					batch := kinderconnect._prepare(run, item.organization_id, item.agency_id, item.provider_id, from_date, to_date);
					COMMIT;
					CONTINUE WHEN batch IS NULL;
					started := true;
					PERFORM kinderconnect._dispatch(run, item.organization_id, item.agency_id, item.provider_id, batch);
					CALL kinderconnect._make_room(run);
				END LOOP;
				-- making room may have taken in the last one, and left halves of it
				EXIT WHEN NOT started AND NOT kinderconnect._is_busy();
				PERFORM kinderconnect._take(run);
				COMMIT;
			END LOOP;
			EXIT WHEN NOT kinderconnect._has_unknown(run);
		END LOOP;

		-- what the service holds by now, of a few providers
		IF pg_catalog.num_nonnulls(agency_id, provider_id, from_date, to_date) OPERATOR(pg_catalog.=) 0 THEN
			PERFORM kinderconnect._step(run, 'compare');
			COMMIT;
			FOR item IN SELECT w AS organization, c.* FROM kinderconnect._at_work(run) w, kinderconnect._providers_to_compare(run, w) c LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				PERFORM kinderconnect._ask_comparison(run, item.organization, item.agency_id, item.provider_id, item.from_date, item.to_date);
				CALL kinderconnect._make_room(run);
			END LOOP;
			CALL kinderconnect._drain(run);
		END IF;
	END steps;

	CALL kinderconnect._drain(run);
	PERFORM kinderconnect._step(run, 'account');
	PERFORM kinderconnect._drop_waiting(w, NULL, NULL) FROM kinderconnect._locked(run) w;
	failures := kinderconnect._account(run);
	COMMIT;
	PERFORM kinderconnect._close();
	IF pg_catalog.num_nonnulls(organization_id, agency_id, provider_id, from_date, to_date) OPERATOR(pg_catalog.=) 0 THEN
		CALL kinderconnect.purge();
	END IF;
	PERFORM kinderconnect._report(run, failures);
END;
$$;
COMMENT ON PROCEDURE kinderconnect._night(text, text, text, date, date, boolean) IS
'a whole run, of nightly() or, only_due, of tick()';

CREATE PROCEDURE kinderconnect.nightly(organization_id text DEFAULT NULL, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL,
		from_date date DEFAULT NULL, to_date date DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	-- Inside a caller's transaction this fails, before anything is done.
	COMMIT;
	CALL kinderconnect._night(organization_id, agency_id, provider_id, from_date, to_date, false);
END;
$$;
COMMENT ON PROCEDURE kinderconnect.nightly(text, text, text, date, date) IS
'the night: lists, children, match, resolve, plan, transfer, compare, account, for all enabled organizations or for the one, the agency, the provider and the service dates given. To be called by itself, not inside a transaction: it commits as it goes. Ends with an error (KC402; KC401 another run is busy; KC104 at its deadline) when a part failed, after everything good is done';
-- Rows of Manage's attendance that no child-day can say anything of: the plan
-- does not see them, so nobody would miss them.

CREATE FUNCTION kinderconnect._attendance_problems(organization text)
	RETURNS TABLE (problem text, location_id text, entries bigint, concerning bigint, oldest date, newest date, examples text[])
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	since date;
BEGIN
	SELECT greatest((now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer, o.first_enabled - o.backfill_days) INTO since
	FROM kinderconnect.organization o WHERE o.organization_id = organization;

	RETURN QUERY
	WITH site AS (
		SELECT z.location_id, z.zone, (now() AT TIME ZONE coalesce(z.zone, 'Pacific/Honolulu'))::date AS today,
			EXISTS (SELECT FROM kinderconnect.provider_standing s
				WHERE s.organization_id = organization AND s.location_id = z.location_id AND s.barred IS NULL) AS takes_part
		FROM kinderconnect._location_zones(organization) z
	), eligible AS (
		SELECT DISTINCT k.child_id
		FROM kinderconnect.child_link k
		JOIN kinderconnect.authorization a ON (a.organization_id, a.agency_id, a.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id)
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND (a.end_date >= since) IS NOT FALSE AND (a.closed_as = 'changed') IS NOT TRUE
	), place AS (
		SELECT l.location_id, bool_or(l.organization_id = organization) AS ours FROM kinderconnect.manage_location l GROUP BY l.location_id
	), kid AS (
		SELECT c.child_id, bool_or(c.organization_id = organization) AS ours FROM kinderconnect.manage_child c GROUP BY c.child_id
	), entry AS MATERIALIZED (
		SELECT m.attendance_id, m.location_id, m.child_id, m.kind, m.check_in, m.check_out, m.service_date
		FROM kinderconnect.manage_attendance m
		WHERE m.organization_id = organization
			AND (m.check_in >= since - interval '1 day'
				OR m.check_in IS NULL AND m.check_out >= since - interval '1 day'
				OR m.service_date >= since
				OR num_nonnulls(m.check_in, m.check_out, m.service_date) = 0 AND (m.modified_at >= since) IS NOT FALSE)
	), judged AS (
		SELECT e.attendance_id, e.location_id, w.day,
			CASE
				WHEN s.location_id IS NULL AND p.ours IS FALSE OR e.child_id IS NOT NULL AND k.ours IS FALSE THEN 'other_organization'
				WHEN s.location_id IS NULL AND p.ours IS NULL THEN 'unknown_location'
				WHEN e.child_id IS NULL AND e.kind IS DISTINCT FROM 'closure' THEN 'no_child'
				WHEN e.child_id IS NOT NULL AND k.ours IS NULL THEN 'unknown_child'
				WHEN (e.kind IN ('session', 'absence', 'closure')) IS NOT TRUE THEN 'unknown_kind'
				WHEN e.kind = 'session' AND num_nonnulls(e.check_in, e.check_out) = 0 THEN 'no_times'
				WHEN e.kind <> 'session' AND e.service_date IS NULL THEN 'no_date'
				WHEN s.location_id IS NULL AND g.child_id IS NOT NULL THEN 'no_provider'
				WHEN s.location_id IS NOT NULL AND s.zone IS NULL THEN 'no_time_zone'
				WHEN e.kind = 'session' AND w.day > s.today THEN 'future_session'
				WHEN e.kind <> 'session' AND w.day > s.today THEN 'not_yet'
			END AS problem,
			CASE WHEN k.ours THEN g.child_id IS NOT NULL ELSE s.takes_part IS TRUE OR g.child_id IS NOT NULL END AS concerning
		FROM entry e
		LEFT JOIN site s ON s.location_id = e.location_id
		LEFT JOIN place p ON p.location_id = e.location_id
		LEFT JOIN kid k ON k.child_id = e.child_id
		LEFT JOIN eligible g ON g.child_id = e.child_id
		CROSS JOIN LATERAL (SELECT CASE WHEN e.kind IN ('absence', 'closure') THEN e.service_date
			ELSE coalesce((coalesce(e.check_in, e.check_out) AT TIME ZONE coalesce(s.zone, 'UTC'))::date, e.service_date) END AS day) w
	)
	SELECT j.problem, j.location_id, count(*), count(*) FILTER (WHERE j.concerning AND j.problem <> 'not_yet'), min(j.day), max(j.day),
		(array_agg(j.attendance_id ORDER BY j.concerning DESC, j.attendance_id COLLATE "C"))[1:3]
	FROM judged j
	WHERE j.problem IS NOT NULL
	GROUP BY j.problem, j.location_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._attendance_problems(text) IS
'rows of Manage''s attendance of an organization, not older than the horizon, that belong to no child-day, by problem and location; those of unknown_kind hold their day, where they have one';

CREATE VIEW kinderconnect.attendance_problem AS
SELECT o.organization_id, p.problem, p.location_id, p.entries, p.concerning, p.oldest, p.newest, p.examples, r.meaning, r.what_to_do
FROM kinderconnect.organization o
CROSS JOIN LATERAL kinderconnect._attendance_problems(o.organization_id) p
JOIN kinderconnect.reason r ON r.reason = p.problem
WHERE o.enabled;
COMMENT ON VIEW kinderconnect.attendance_problem IS
'rows of Manage''s attendance that no child-day can say anything of, and why. Reads Manage, so for operators; name the organization';
COMMENT ON COLUMN kinderconnect.attendance_problem.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.attendance_problem.problem IS 'code: kinderconnect.reason';
COMMENT ON COLUMN kinderconnect.attendance_problem.location_id IS 'location of the rows';
COMMENT ON COLUMN kinderconnect.attendance_problem.entries IS 'how many rows';
COMMENT ON COLUMN kinderconnect.attendance_problem.concerning IS 'of these, how many may be of an authorized child: the row says so, or the child cannot be told and the location has a provider. The others cost no subsidy';
COMMENT ON COLUMN kinderconnect.attendance_problem.oldest IS 'first date of them; null: they have none';
COMMENT ON COLUMN kinderconnect.attendance_problem.newest IS 'last date of them';
COMMENT ON COLUMN kinderconnect.attendance_problem.examples IS 'up to three attendance_id, those that concern first';
COMMENT ON COLUMN kinderconnect.attendance_problem.meaning IS 'the problem in words';
COMMENT ON COLUMN kinderconnect.attendance_problem.what_to_do IS 'the cure';
-- Before the night: what it would send, and whether it could.

CREATE TYPE kinderconnect.preview_day AS (
	organization_id        text,
	agency_id              text,
	provider_id            text,
	kinderconnect_child_id text,
	service_date           date,
	location_id            text,
	child_id               text,
	state                  text,
	reason                 text,
	detail                 text,
	what_to_do             text,
	kind                   text,
	session_in             time[],
	session_out            time[],
	absence_reason         text,
	content                text,
	accepted_content       text,
	finished               boolean
);
COMMENT ON TYPE kinderconnect.preview_day IS
'a row of preview(): the columns of child_day as the night would plan them; kind void takes a day back; finished is false for today''s days at the location. State unplaced: rows of Manage that belong to no day, as attendance_problem has them';

CREATE FUNCTION kinderconnect.preview(organization_id text DEFAULT NULL, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL,
		from_date date DEFAULT NULL, to_date date DEFAULT NULL)
	RETURNS SETOF kinderconnect.preview_day
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	organization text;
BEGIN
	IF preview.organization_id IS NOT NULL THEN
		PERFORM kinderconnect._require_organization(preview.organization_id);
	END IF;
	PERFORM kinderconnect._require_manage();
	FOR organization IN
		SELECT o.organization_id FROM kinderconnect.organization o
		WHERE o.organization_id = preview.organization_id OR o.enabled AND preview.organization_id IS NULL
		ORDER BY o.organization_id
	LOOP
		RETURN QUERY
		SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, p.location_id, p.child_id,
			p.state, p.reason, p.detail, r.what_to_do,
			CASE WHEN p.state = 'ready' AND p.content IS NULL THEN 'void' ELSE p.kind END,
			p.session_in, p.session_out, p.absence_reason, p.content, d.accepted_content, p.finished
		FROM kinderconnect._planned(organization, preview.agency_id, preview.provider_id, preview.from_date, preview.to_date, true) p
		LEFT JOIN kinderconnect.reason r ON r.reason = p.reason
		LEFT JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date);
		IF num_nonnulls(preview.agency_id, preview.provider_id, preview.from_date, preview.to_date) = 0 THEN
			RETURN QUERY
			SELECT organization, NULL, NULL, NULL, NULL::date, p.location_id, NULL, 'unplaced', p.problem,
				format('%s of %s rows may concern an authorized child: %s', p.concerning, p.entries, array_to_string(p.examples, ', ')), r.what_to_do,
				NULL, NULL::time[], NULL::time[], NULL, NULL, NULL, NULL::boolean
			FROM kinderconnect._attendance_problems(organization) p
			JOIN kinderconnect.reason r ON r.reason = p.problem
			WHERE p.concerning > 0;
		END IF;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect.preview(text, text, text, date, date) IS
'the dry run: every child-day of the horizon as the night would plan it now, by the lists last fetched and tonight''s links; state ready is what would be sent, content is what, kind void takes a day back. Today''s days are there as they stand, those that nothing is wrong with as unfinished_day; and, unless it is limited, rows of Manage that belong to no day and may concern an authorized child. Sends and changes nothing';

CREATE FUNCTION kinderconnect.test_connection(organization_id text)
	RETURNS TABLE (step text, subject text, ok boolean, message text, hint text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	org       kinderconnect.organization;
	service   kinderconnect.endpoint;
	customers text[];
	item      record;
	entries   bigint;
	detail    text;
BEGIN
	PERFORM kinderconnect._require_organization(test_connection.organization_id);
	SELECT * INTO STRICT org FROM kinderconnect.organization o WHERE o.organization_id = test_connection.organization_id;
	SELECT * INTO STRICT service FROM kinderconnect.endpoint e WHERE e.endpoint = org.endpoint;

	FOR item IN SELECT * FROM (VALUES ('group password', org.group_password), ('client secret', service.client_secret)) s(what, name) WHERE s.name IS NOT NULL LOOP
		step := 'secret';
		subject := item.what;
		BEGIN
			ok := kinderconnect._has_secret(item.name);
			message := CASE WHEN ok THEN 'in the secrets file' ELSE format('"%s" is not in the secrets file', item.name) END;
			hint := CASE WHEN NOT ok THEN 'Write the line into the file of kinderconnect.secrets_file, or call kinderconnect.set_secret().' END;
		EXCEPTION WHEN OTHERS THEN
			ok := false;
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			message := concat_ws(': ', message, kinderconnect._detail(SQLSTATE, detail));
			hint := nullif(hint, '');
		END;
		RETURN NEXT;
		IF NOT ok THEN
			RETURN;
		END IF;
	END LOOP;

	IF kinderconnect._speaks(org.organization_id, 'customers') THEN
		step := 'customers';
		subject := format('group "%s" at %s', org.group_id, service.base_url);
		BEGIN
			SELECT array_agg(c.customer_id ORDER BY c.customer_id)
				FILTER (WHERE c.customer_id IS NOT NULL AND coalesce(lower(btrim(c.status)), 'active') = 'active'), count(*)
			INTO customers, entries FROM kinderconnect.api_customers(org.organization_id) c;
			ok := true;
			message := format('%s customers, %s active', entries, coalesce(cardinality(customers), 0));
			hint := NULL;
		EXCEPTION WHEN OTHERS THEN
			ok := false;
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			message := concat_ws(': ', message, kinderconnect._detail(SQLSTATE, detail));
			hint := nullif(hint, '');
		END;
		RETURN NEXT;
		IF NOT ok THEN
			RETURN;
		END IF;

		FOR item IN SELECT c.customer_id, o.operation FROM unnest(customers) c(customer_id)
				CROSS JOIN (VALUES ('agencies'), ('locations')) o(operation) ORDER BY c.customer_id, o.operation LOOP
			CONTINUE WHEN NOT kinderconnect._speaks(org.organization_id, item.operation);
			step := item.operation;
			subject := format('customer "%s"', item.customer_id);
			BEGIN
				IF item.operation = 'agencies' THEN
					SELECT count(*) INTO entries FROM kinderconnect.api_agencies(org.organization_id, item.customer_id);
				ELSE
					SELECT count(*) INTO entries FROM kinderconnect.api_locations(org.organization_id, item.customer_id);
				END IF;
				ok := true;
				message := format('%s %s', entries, item.operation);
				hint := NULL;
			EXCEPTION WHEN OTHERS THEN
				ok := false;
				GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
				message := concat_ws(': ', message, kinderconnect._detail(SQLSTATE, detail));
				hint := nullif(hint, '');
			END;
			RETURN NEXT;
		END LOOP;
	END IF;

	FOR item IN SELECT p.agency_id, p.provider_id, p.location_id FROM kinderconnect.provider_standing p
			WHERE p.organization_id = org.organization_id AND p.barred IS NULL ORDER BY p.agency_id, p.provider_id LOOP
		step := 'children';
		subject := format('agency "%s", provider "%s"', item.agency_id, item.provider_id);
		BEGIN
			SELECT count(DISTINCT c.kinderconnect_child_id) INTO entries
			FROM kinderconnect.api_children(org.organization_id, item.agency_id, item.provider_id, (now() AT TIME ZONE 'America/Chicago')::date) c;
			ok := item.location_id IS NOT NULL;
			message := format('%s children this month', entries) || CASE WHEN NOT ok THEN ', but no location of Manage' ELSE '' END;
			hint := CASE WHEN NOT ok THEN 'The night looks for the location by name and ZIP; or enter it: add_provider(organization_id, agency_id, provider_id, location_id).' END;
		EXCEPTION WHEN OTHERS THEN
			ok := false;
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			message := concat_ws(': ', message, kinderconnect._detail(SQLSTATE, detail));
			hint := nullif(hint, '');
		END;
		RETURN NEXT;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect.test_connection(text) IS
'makes the real calls and says row by row what works: secrets, the group, its lists, each provider''s children. Changes and sends nothing';
-- The clock: one pg_cron job whose text is one bare CALL, and which only
-- ticks. pg_cron is looked up when it is needed; without it, any timer can
-- CALL the same procedure.

-- Written by every tick: unlogged, so that it costs neither a row nor WAL.
CREATE UNLOGGED SEQUENCE kinderconnect.last_tick MINVALUE 0 START 0;
COMMENT ON SEQUENCE kinderconnect.last_tick IS 'when tick() last ran, in seconds since 1970; begins anew after a crash of the server';

CREATE FUNCTION kinderconnect._tick() RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF pg_is_in_recovery() THEN
		RETURN false;
	END IF;
	PERFORM setval('kinderconnect.last_tick', extract(epoch FROM clock_timestamp())::bigint);
	RETURN kinderconnect._stopped_because() IS NULL AND EXISTS (SELECT FROM kinderconnect._due_now());
END;
$$;
COMMENT ON FUNCTION kinderconnect._tick() IS 'whether a tick has anything to do; notes that there was one';

CREATE PROCEDURE kinderconnect.tick()
	LANGUAGE plpgsql
AS $$
BEGIN
	-- Inside a caller's transaction this fails, before anything is done.
	COMMIT;
	IF kinderconnect._tick() THEN
		CALL kinderconnect._night(NULL, NULL, NULL, NULL, NULL, true);
	END IF;
END;
$$;
COMMENT ON PROCEDURE kinderconnect.tick() IS
'runs the night for the providers that are due by the timetable, if there are any; to be called every few minutes, by itself, not inside a transaction. Does nothing on a standby or while sending is stopped';

-- pg_cron hides its settings from those who are not superusers.
CREATE FUNCTION kinderconnect._cron_settings(OUT home text, OUT host text, OUT uses_workers boolean, OUT max_running_jobs integer,
		OUT max_worker_processes integer, OUT loaded boolean)
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT current_setting('cron.database_name', true), current_setting('cron.host', true),
		coalesce(current_setting('cron.use_background_workers', true), 'off')::boolean,
		current_setting('cron.max_running_jobs', true)::integer, current_setting('max_worker_processes')::integer,
		current_setting('shared_preload_libraries') ~ '\mpg_cron\M';
END;
COMMENT ON FUNCTION kinderconnect._cron_settings() IS 'how pg_cron is set up; loaded: it is among shared_preload_libraries';

CREATE FUNCTION kinderconnect._cron_schema() RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_name text;
	cron        record;
BEGIN
	SELECT 'cron' INTO schema_name FROM pg_extension e WHERE e.extname = 'pg_cron';
	SELECT * INTO cron FROM kinderconnect._cron_settings();
	IF NOT cron.loaded THEN
		RAISE EXCEPTION 'pg_cron is not loaded'
			USING ERRCODE = 'KC001',
				HINT = 'Add pg_cron to shared_preload_libraries, restart, and CREATE EXTENSION pg_cron; or let another timer run: CALL kinderconnect.tick().';
	ELSIF schema_name IS NULL THEN
		RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database()
			USING ERRCODE = 'KC001',
				HINT = CASE WHEN cron.home <> current_database()
					THEN format('In database "%s" run as a superuser: SELECT cron.schedule_in_database(''kinderconnect'', ''*/15 * * * *'', ''CALL kinderconnect.tick()'', %L, %L).',
						cron.home, current_database(), current_user)
					ELSE 'CREATE EXTENSION pg_cron.' END;
	END IF;
	IF NOT has_schema_privilege(schema_name, 'USAGE') THEN
		RAISE EXCEPTION 'role "%" may not use pg_cron', current_user
			USING ERRCODE = 'insufficient_privilege', HINT = format('GRANT USAGE ON SCHEMA %I TO %I.', schema_name, current_user);
	END IF;
	RETURN schema_name;
END;
$$;
COMMENT ON FUNCTION kinderconnect._cron_schema() IS 'the schema of pg_cron, or an error that says how to get it';

CREATE FUNCTION kinderconnect.schedule(schedule text DEFAULT '*/15 * * * *') RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job       bigint;
	active    bigint;
	cron_name text;
	cron      record;
	caller    record;
BEGIN
	PERFORM kinderconnect._require_ordinary_rights();
	SELECT r.rolcanlogin, r.rolconnlimit INTO STRICT caller FROM pg_roles r WHERE r.rolname = current_user;
	IF NOT caller.rolcanlogin THEN
		RAISE EXCEPTION 'role "%" cannot log in, so pg_cron could not run its job', current_user
			USING ERRCODE = 'KC001', HINT = 'Call schedule() as a login role that is a member of kinderconnect_operator.';
	ELSIF caller.rolconnlimit = 0 OR NOT has_database_privilege(current_database(), 'CONNECT') THEN
		RAISE EXCEPTION 'role "%" cannot connect to database "%", so pg_cron could not run its job', current_user, current_database()
			USING ERRCODE = 'KC001', HINT = format('GRANT CONNECT ON DATABASE %I TO %I; and look at its CONNECTION LIMIT.', current_database(), current_user);
	END IF;
	cron_name := kinderconnect._cron_schema();
	SELECT * INTO cron FROM kinderconnect._cron_settings();
	EXECUTE format('SELECT %I.schedule(%L, %L, %L)', cron_name, 'kinderconnect', schedule.schedule, 'CALL kinderconnect.tick()') INTO job;

	EXECUTE format('SELECT count(*) FROM %I.job j WHERE j.active', cron_name) INTO active;
	IF active > cron.max_running_jobs THEN
		RAISE WARNING 'pg_cron runs at most % jobs at once, and has %', cron.max_running_jobs, active
			USING HINT = 'A tick may have to wait for the others. Raise cron.max_running_jobs.';
	END IF;
	IF cron.uses_workers THEN
		-- one for pg_cron itself, one for logical replication's launcher
		IF cron.max_worker_processes < cron.max_running_jobs + 2 THEN
			RAISE WARNING 'max_worker_processes is %, too few for % jobs of pg_cron at once', cron.max_worker_processes, cron.max_running_jobs
				USING HINT = format('Raise it to at least %s, and by what parallel queries and other extensions need; or lower cron.max_running_jobs.', cron.max_running_jobs + 2);
		END IF;
	ELSE
		RAISE NOTICE 'pg_cron will connect to "%" as role "%"', coalesce(nullif(cron.host, ''), 'localhost'), current_user
			USING HINT = 'pg_hba.conf must let it in without a prompt, or .pgpass of the server''s user hold its password; or set cron.use_background_workers = on.';
	END IF;
	RETURN job;
END;
$$;
COMMENT ON FUNCTION kinderconnect.schedule(text) IS
'has pg_cron call tick() as the calling role, every 15 minutes; when whose night runs is a matter of set_schedule(). Five cron fields, in pg_cron''s time zone. Calling it again changes them; answers the job''s id';

CREATE FUNCTION kinderconnect.unschedule() RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	cron  text := kinderconnect._cron_schema();
	ended bigint;
BEGIN
	EXECUTE format('SELECT count(%1$I.unschedule(j.jobid)) FROM %1$I.job j WHERE j.jobname = %2$L AND j.username = current_user AND j.database = current_database()', cron, 'kinderconnect')
		INTO ended;
	RETURN ended > 0;
END;
$$;
COMMENT ON FUNCTION kinderconnect.unschedule() IS 'ends the calling role''s job; a run under way goes on to its end. False where there was none';
-- How far a run is, from what it has committed.

CREATE INDEX run_running ON kinderconnect.run (run_id) WHERE status = 'running';
CREATE INDEX run_organization_by_run ON kinderconnect.run_organization (run_id);
CREATE INDEX run_provider_by_run ON kinderconnect.run_provider (run_id);
CREATE INDEX batch_by_run ON kinderconnect.batch (organization_id, run_id);

CREATE VIEW kinderconnect.progress AS
SELECT r.run_id, o.organization_id, r.step, r.started_at, r.step_at,
	least(w.done, w.total) AS done, w.total, t.answered AS days_answered, d.remaining AS days_remaining,
	round(t.answered * 60 / nullif(extract(epoch FROM now() - t.since), 0), 1) AS days_per_minute,
	date_trunc('second', (now() - t.since) * (d.remaining / nullif(t.answered, 0)::double precision)) AS remains,
	(SELECT count(*) FROM kinderconnect.run_provider p WHERE (p.organization_id, p.run_id) = (o.organization_id, o.run_id) AND p.sqlstate IS NOT NULL) AS providers_failed,
	o.halted
FROM kinderconnect.run r
JOIN kinderconnect.run_organization o ON o.run_id = r.run_id AND o.locked
CROSS JOIN LATERAL (SELECT coalesce(sum(b.records) FILTER (WHERE b.state = 'answered' OR b.state = 'refused' AND b.records = 1), 0) AS answered,
		min(b.sent_at) AS since
	FROM kinderconnect.batch b WHERE (b.organization_id, b.run_id) = (o.organization_id, o.run_id)) t
CROSS JOIN LATERAL (SELECT count(*) AS remaining
	FROM kinderconnect.provider_clock k
	JOIN kinderconnect.child_day c ON (c.organization_id, c.agency_id, c.provider_id) = (k.organization_id, k.agency_id, k.provider_id)
		AND c.state IN ('ready', 'sending', 'unknown')
	WHERE (k.organization_id, k.run_id) = (o.organization_id, o.run_id) AND r.step IN ('transfer', 'account')) d
CROSS JOIN LATERAL (SELECT count(*) AS taken FROM kinderconnect.list_state l
	WHERE l.organization_id = o.organization_id AND greatest(l.taken_at, l.set_aside_at) >= r.started_at
		AND CASE r.step WHEN 'lists' THEN l.operation IN ('customers', 'agencies', 'locations') WHEN 'children' THEN l.operation = 'children' END) l
CROSS JOIN LATERAL (SELECT
	CASE r.step
		WHEN 'lists' THEN 1 + 2 * (SELECT count(*) FROM kinderconnect.customer c
			WHERE c.organization_id = o.organization_id AND c.listed AND coalesce(lower(btrim(c.status)), 'active') = 'active')
		WHEN 'children' THEN (SELECT count(*) FROM kinderconnect.provider_clock k WHERE (k.organization_id, k.run_id) = (o.organization_id, o.run_id) AND k.provider_id <> '')
			* (SELECT count(*) FROM kinderconnect._months(o.organization_id, (r.scope ->> 'from_date')::date, (r.scope ->> 'to_date')::date))
		WHEN 'match' THEN 1
		WHEN 'plan' THEN 1
		WHEN 'transfer' THEN (t.answered + d.remaining)::bigint
	END AS total,
	CASE
		WHEN r.step IN ('lists', 'children') THEN l.taken
		WHEN r.step IN ('match', 'plan') THEN (o.step = r.step AND o.step_ended_at >= r.step_at)::integer
		WHEN r.step = 'transfer' THEN t.answered::bigint
	END AS done) w
WHERE r.status = 'running';
COMMENT ON VIEW kinderconnect.progress IS
'how far a run under way is, an organization a row; of what is committed, so that any session sees it. A run that died is here until the next one finds it';
COMMENT ON COLUMN kinderconnect.progress.run_id IS 'the run';
COMMENT ON COLUMN kinderconnect.progress.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.progress.step IS 'where the run is: lists, children, match, resolve, plan, transfer, account';
COMMENT ON COLUMN kinderconnect.progress.started_at IS 'when the run began';
COMMENT ON COLUMN kinderconnect.progress.step_at IS 'when the step began';
COMMENT ON COLUMN kinderconnect.progress.done IS 'of total: lists taken; organizations matched or planned; child-days answered';
COMMENT ON COLUMN kinderconnect.progress.total IS 'of the step, as far as is known by now; null: it has no parts';
COMMENT ON COLUMN kinderconnect.progress.days_answered IS 'child-days the service has answered for in this run';
COMMENT ON COLUMN kinderconnect.progress.days_remaining IS 'child-days still to be sent or answered for; counted from the transfer on';
COMMENT ON COLUMN kinderconnect.progress.days_per_minute IS 'since the first call of the transfer';
COMMENT ON COLUMN kinderconnect.progress.remains IS 'how long the rest takes at that rate; null: not known yet';
COMMENT ON COLUMN kinderconnect.progress.providers_failed IS 'providers with an error so far';
COMMENT ON COLUMN kinderconnect.progress.halted IS 'nothing more is asked or sent for it in this run';
-- Whether all is well: a row for each check, with what to do where it is not.
-- Everything is read from tables; nobody is called, Manage neither, so that it
-- answers on a hot standby and while the service is down.

CREATE TABLE kinderconnect.health_check (
	check_name       text PRIMARY KEY,
	per_organization boolean NOT NULL,
	unit             text NOT NULL,
	low_is_bad       boolean NOT NULL DEFAULT false,
	warning          numeric,
	critical         numeric,
	meaning          text NOT NULL,
	what_to_do       text NOT NULL
);
COMMENT ON TABLE kinderconnect.health_check IS 'the checks of view health; shipped, not edited: set_threshold() overrides';
COMMENT ON COLUMN kinderconnect.health_check.check_name IS 'its name';
COMMENT ON COLUMN kinderconnect.health_check.per_organization IS 'whether it has a row for each organization, or one in all';
COMMENT ON COLUMN kinderconnect.health_check.unit IS 'of health.number and of both thresholds';
COMMENT ON COLUMN kinderconnect.health_check.low_is_bad IS 'true: less than the threshold is bad; false: as much as it, or more';
COMMENT ON COLUMN kinderconnect.health_check.warning IS 'threshold as shipped; null: it never warns';
COMMENT ON COLUMN kinderconnect.health_check.critical IS 'threshold as shipped; null: it is never critical';
COMMENT ON COLUMN kinderconnect.health_check.meaning IS 'what the number is';
COMMENT ON COLUMN kinderconnect.health_check.what_to_do IS 'the cure';

INSERT INTO kinderconnect.health_check VALUES
	('last_tick', false, 'minutes', false, 60, 180, 'since tick() was last called on this server, or since it started', 'Call schedule(), or look at the timer that calls tick(): doc/schedule.md.'),
	('cron_job', false, 'level', false, 1, 2, 'pg_cron''s job: 1, it is switched off or its last run failed', 'Read return_message of cron.job_run_details and run_organization; schedule() sets the job up again.'),
	('armed', false, 'level', false, NULL, 1, '1: this database may not send', 'SELECT kinderconnect.arm(), if this is the database that reports to KinderConnect.'),
	('stopped', false, 'hours', false, 0, 24, 'since somebody called stop()', 'SELECT kinderconnect.resume() once the reason is gone.'),
	('manage_bound', false, 'relations', false, NULL, 1, 'relations of Manage that are not bound', 'Bind each with bind_manage(relation, query).'),
	('last_run', false, 'level', false, 1, NULL, '1: the last run failed or was interrupted', 'See run_organization and run_provider of that run, columns error and hint.'),
	('interrupted_runs', false, 'runs', false, 1, 5, 'of the last seven days, whose session died or was cancelled', 'The next run heals it. If it comes again, look at the server''s log around run.ended_at.'),
	('ledger_size', false, 'GB', false, 50, 200, 'of ledger, batch and batch_record with their indexes', 'It only grows: plan the disk.'),
	('last_success', true, 'hours', false, NULL, NULL, 'since a run last covered a provider of the organization', 'See due, and run_organization.'),
	('overdue', true, 'hours', false, 2, 26, 'since the earliest instant of a timetable that no run has covered yet', 'See due: who, since when and why. CALL kinderconnect.nightly(organization_id) runs it now.'),
	('token', true, 'hours', false, 0, 0, 'since the token endpoint refused our credentials', 'client_id, scope and the secret that client_secret of endpoint names; then CALL kinderconnect.nightly(organization_id).'),
	('credentials', true, 'hours', false, 0, 0, 'since the group password is refused or cannot be read', 'The secret that group_password of organization names; then CALL kinderconnect.nightly(organization_id).'),
	('certificate', true, 'hours', false, 0, 0, 'since there is no trusted TLS connection', 'See run_provider.error; the certificate of the service, or kinderconnect.ca_file.'),
	('configuration', true, 'hours', false, 0, 0, 'since a run failed for configuration or arming', 'See run_organization.error and hint; test_connection(organization_id) names the row.'),
	('manage_source', true, 'hours', false, 0, 0, 'since the database fails at a step: most often a bound query, or the server it reads', 'See run_organization.error; SELECT from the manage_* views as the role that runs the night.'),
	('providers_failing', true, 'providers', false, 1, NULL, 'that the last run did not cover', 'See due and run_provider.error.'),
	('oldest_unsent', true, 'days', false, 3, 7, 'age of the oldest child-day that is ready, or under way, and not accepted', 'See overdue and providers_failing; child_day where state = ''ready''.'),
	('window_closes', true, 'days', true, 3, 1, 'until the first child-day that is not accepted, and has something to say, is lost', 'See about_to_be_lost, column what_to_do.'),
	('days_at_stake', true, 'child-days', false, 100, 1000, 'held or rejected, with something to say, and still in time', 'See held_ageing; each reason has its cure in held_summary.'),
	('rejected', true, 'child-days', false, 1, NULL, 'that the service refused', 'See code and message of child_day where state = ''rejected''; retry().'),
	('differences', true, 'child-days', false, 1, NULL, 'of which the service holds something else than we say it does', 'See comparison_difference, column what_to_do.'),
	('review_backlog', true, 'children', false, 20, 200, 'subsidized and unmatched, or matched with a flag', 'See child_match_status and match_candidate; link_child() or reject_match().'),
	('review_age', true, 'days', false, 7, 30, 'since the first of these was listed', 'See child_match_status and match_candidate; link_child() or reject_match().'),
	('lists_set_aside', true, 'lists', false, 1, NULL, 'that shrank, and wait for a person or another night', 'See list_state; accept_shrink(organization_id) if that is right.');

CREATE TABLE kinderconnect.health_threshold (
	check_name text PRIMARY KEY REFERENCES kinderconnect.health_check,
	warning    numeric,
	critical   numeric,
	set_at     timestamptz NOT NULL DEFAULT now(),
	set_by     text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE kinderconnect.health_threshold IS 'thresholds that differ from those shipped; written by set_threshold()';
COMMENT ON COLUMN kinderconnect.health_threshold.check_name IS 'the check';
COMMENT ON COLUMN kinderconnect.health_threshold.warning IS 'null: it never warns';
COMMENT ON COLUMN kinderconnect.health_threshold.critical IS 'null: it is never critical';
COMMENT ON COLUMN kinderconnect.health_threshold.set_at IS 'when';
COMMENT ON COLUMN kinderconnect.health_threshold.set_by IS 'login role';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.health_threshold', '');

-- What the checks read, so that they need not read the tables.
CREATE INDEX child_day_unsettled ON kinderconnect.child_day (organization_id, window_ends) INCLUDE (state, reason)
	WHERE state IN ('held', 'ready', 'sending', 'unknown', 'rejected') AND reason IS DISTINCT FROM 'nothing_recorded';
CREATE INDEX child_to_review ON kinderconnect.child (organization_id, first_listed) WHERE unlinked_because IS NOT NULL AND subsidized;
CREATE INDEX child_link_flagged ON kinderconnect.child_link (organization_id, linked_at) WHERE flag IS NOT NULL AND ended_at IS NULL;
CREATE INDEX list_state_set_aside ON kinderconnect.list_state (organization_id, set_aside_at) WHERE set_aside_at IS NOT NULL;

CREATE FUNCTION kinderconnect.set_threshold(check_name text, warning numeric, critical numeric) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	low_is_bad boolean;
BEGIN
	SELECT c.low_is_bad INTO low_is_bad FROM kinderconnect.health_check c WHERE c.check_name = set_threshold.check_name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no check "%"', set_threshold.check_name
			USING ERRCODE = 'undefined_object', HINT = 'SELECT check_name, unit, meaning FROM kinderconnect.health_check.';
	END IF;
	IF set_threshold.warning < 0 OR set_threshold.critical < 0 OR set_threshold.warning = 'NaN' OR set_threshold.critical = 'NaN' THEN
		RAISE EXCEPTION 'a threshold must not be negative' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF (CASE WHEN low_is_bad THEN set_threshold.warning < set_threshold.critical ELSE set_threshold.warning > set_threshold.critical END) THEN
		RAISE EXCEPTION 'check "%" would be critical before it warns', set_threshold.check_name
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO kinderconnect.health_threshold (check_name, warning, critical)
	VALUES (set_threshold.check_name, set_threshold.warning, set_threshold.critical)
	ON CONFLICT (check_name) DO UPDATE
	SET warning = excluded.warning, critical = excluded.critical, set_at = excluded.set_at, set_by = excluded.set_by;
END;
$$;
COMMENT ON FUNCTION kinderconnect.set_threshold(text, numeric, numeric) IS 'from when on a check warns and is critical, in its unit; null: never';

CREATE FUNCTION kinderconnect.reset_threshold(check_name text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	DELETE FROM kinderconnect.health_threshold WHERE check_name = reset_threshold.check_name;
	RETURN FOUND;
END;
$$;
COMMENT ON FUNCTION kinderconnect.reset_threshold(text) IS 'takes back set_threshold(); false where there was none';

-- An unlogged sequence cannot be read on a standby, where nothing ticks.
CREATE FUNCTION kinderconnect._last_tick() RETURNS timestamptz
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF pg_is_in_recovery() THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT to_timestamp(t.last_value) FROM kinderconnect.last_tick t WHERE t.is_called);
END;
$$;
COMMENT ON FUNCTION kinderconnect._last_tick() IS 'when tick() last ran on this server; null: not since a crash, or it is a standby';

CREATE FUNCTION kinderconnect._why_not_armed() RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM kinderconnect._require_armed();
	RETURN NULL;
EXCEPTION
	WHEN SQLSTATE 'KC003' THEN
		RETURN SQLERRM;
	WHEN OTHERS THEN
		-- the name of a file is not for everybody
		RETURN format('the secrets file cannot be used (%s)', SQLSTATE);
END;
$$;
COMMENT ON FUNCTION kinderconnect._why_not_armed() IS 'why this database may not send; null: it may';

-- Others' jobs are not for everybody, and this one's messages neither.
CREATE FUNCTION kinderconnect._cron_job(OUT jobs bigint, OUT active boolean, OUT schedule text, OUT status text, OUT ended_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job bigint;
BEGIN
	jobs := 0;
	IF to_regclass('cron.job_run_details') IS NULL OR NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		jobs := NULL;
		RETURN;
	END IF;
	EXECUTE 'SELECT count(*) OVER (), j.active, j.schedule, j.jobid FROM cron.job j
			WHERE j.database = current_database() AND j.command ~ ''kinderconnect\.(tick|nightly)''
			ORDER BY j.active DESC, j.jobid DESC LIMIT 1'
		INTO jobs, active, schedule, job;
	jobs := coalesce(jobs, 0);
	-- it has no index but that of runid, and no retention
	EXECUTE 'SELECT d.status, d.end_time FROM cron.job_run_details d
			WHERE d.runid > (SELECT max(m.runid) - 10000 FROM cron.job_run_details m) AND d.jobid = $1 AND d.status IN (''succeeded'', ''failed'')
			ORDER BY d.runid DESC LIMIT 1'
		INTO status, ended_at USING job;
END;
$$;
COMMENT ON FUNCTION kinderconnect._cron_job() IS
'the job of pg_cron that ticks here, and how it last ended; jobs null: pg_cron is not in this database';

CREATE VIEW kinderconnect.health AS
WITH due AS MATERIALIZED (
	SELECT d.organization_id, count(*) FILTER (WHERE d.failures > 0) AS failing, max(d.covered_at) AS covered_at,
		min(CASE WHEN d.covered_at >= d.scheduled_at THEN NULL WHEN d.covered_at IS NULL THEN d.scheduled_at
			ELSE kinderconnect._scheduled(d.cadence, d.local_time, d.days, d.anchor, d.month_days, d.time_zone, d.covered_at, true) END) AS uncovered_since,
		min(d.failing_since) FILTER (WHERE d.sqlstate = 'KC201') AS token,
		min(d.failing_since) FILTER (WHERE d.sqlstate IN ('KC002', 'KC202')) AS credentials,
		min(d.failing_since) FILTER (WHERE d.sqlstate = 'KC102') AS certificate,
		min(d.failing_since) FILTER (WHERE d.sqlstate IN ('KC001', 'KC003')) AS configuration,
		min(d.failing_since) FILTER (WHERE d.sqlstate !~ '^KC') AS manage_source
	FROM kinderconnect._due_as_of(now()) d
	GROUP BY d.organization_id
), measure AS (
	SELECT 'last_tick' AS check_name, NULL AS organization_id,
		CASE WHEN NOT pg_is_in_recovery() THEN extract(epoch FROM now() - coalesce(t.at, pg_postmaster_start_time())) / 60 END AS number,
		CASE WHEN pg_is_in_recovery() THEN 'a standby' ELSE coalesce(t.at::timestamp(0) || ' ' || current_setting('TimeZone'), 'none yet') END AS value
	FROM (SELECT kinderconnect._last_tick() AS at) t
	UNION ALL
	SELECT 'cron_job', NULL, CASE WHEN j.jobs = 0 OR NOT j.active OR j.status = 'failed' THEN 1 WHEN j.jobs > 0 THEN 0 END,
		CASE WHEN j.jobs IS NULL THEN 'pg_cron is not in this database' WHEN j.jobs = 0 THEN 'no job'
			ELSE concat_ws(', ', j.schedule, CASE WHEN NOT j.active THEN 'switched off' END, 'last run ' || j.status || ' at ' || j.ended_at::timestamp(0)) END
	FROM kinderconnect._cron_job() j
	UNION ALL
	SELECT 'armed', NULL, CASE WHEN pg_is_in_recovery() THEN NULL WHEN a.why IS NULL THEN 0 ELSE 1 END,
		CASE WHEN pg_is_in_recovery() THEN 'a standby' ELSE coalesce(a.why, 'yes') END
	FROM (SELECT kinderconnect._why_not_armed() AS why) a
	UNION ALL
	SELECT 'stopped', NULL, extract(epoch FROM now() - s.stopped_at) / 3600, coalesce('by ' || s.stopped_by || ': ' || s.reason, 'no')
	FROM (SELECT) one LEFT JOIN kinderconnect.stop_switch s ON s.resumed_at IS NULL
	UNION ALL
	SELECT 'manage_bound', NULL, count(*) FILTER (WHERE to_regclass('kinderconnect.manage_' || r) IS NULL),
		coalesce('not bound: ' || string_agg(r, ', ') FILTER (WHERE to_regclass('kinderconnect.manage_' || r) IS NULL), 'yes')
	FROM unnest(ARRAY['organization', 'location', 'child', 'attendance']) r
	UNION ALL
	SELECT 'last_run', NULL, CASE WHEN r.status IN ('failed', 'interrupted') THEN 1 WHEN r.status IS NOT NULL THEN 0 END,
		coalesce('run ' || r.run_id || ': ' || concat_ws(', ', r.status, r.sqlstate), 'none yet')
	FROM (SELECT) one LEFT JOIN (SELECT * FROM kinderconnect.run r WHERE r.status <> 'running' ORDER BY r.run_id DESC LIMIT 1) r ON true
	UNION ALL
	SELECT 'interrupted_runs', NULL, count(*), count(*)::text
	FROM (SELECT r.* FROM kinderconnect.run r ORDER BY r.run_id DESC LIMIT 2000) r
	WHERE r.started_at > now() - interval '7 days' AND (r.status = 'interrupted'
		OR r.status = 'running' AND NOT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = r.pid))
	UNION ALL
	SELECT 'ledger_size', NULL, s.bytes / 1073741824, pg_size_pretty(s.bytes)
	FROM (SELECT sum(pg_total_relation_size(t))::numeric AS bytes
		FROM unnest(ARRAY['kinderconnect.ledger', 'kinderconnect.batch', 'kinderconnect.batch_record']::regclass[]) t) s
	UNION ALL
	SELECT m.check_name, o.organization_id, m.number, m.value
	FROM kinderconnect.organization o
	LEFT JOIN due d ON d.organization_id = o.organization_id
	CROSS JOIN LATERAL (SELECT min(c.service_date) AS oldest, count(*) AS days FROM kinderconnect.child_day c
		WHERE c.organization_id = o.organization_id AND c.state IN ('ready', 'sending', 'unknown')) w
	CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE c.state IN ('held', 'rejected')) AS days, count(*) FILTER (WHERE c.state = 'rejected') AS rejected,
			min(c.window_ends) FILTER (WHERE (c.reason IN ('authorization_lost', 'merged_child', 'cannot_void', 'source_shrank')) IS NOT TRUE) AS first_ends
		FROM kinderconnect.child_day c
		WHERE c.organization_id = o.organization_id AND (c.window_ends > now() OR c.window_ends IS NULL)
			AND c.state IN ('held', 'ready', 'sending', 'unknown', 'rejected') AND c.reason IS DISTINCT FROM 'nothing_recorded'
			AND (c.reason IN ('window_closed', 'horizon_passed')) IS NOT TRUE) u
	CROSS JOIN LATERAL (SELECT count(*) AS children, min(r.since) AS since FROM (
			SELECT c.first_listed AS since FROM kinderconnect.child c
			WHERE c.organization_id = o.organization_id AND c.unlinked_because IS NOT NULL AND c.subsidized
			UNION ALL
			SELECT k.linked_at FROM kinderconnect.child_link k
			WHERE k.organization_id = o.organization_id AND k.flag IS NOT NULL AND k.ended_at IS NULL) r) v
	CROSS JOIN LATERAL (SELECT count(*) AS lists, min(l.set_aside_at) AS since FROM kinderconnect.list_state l
		WHERE l.organization_id = o.organization_id AND l.set_aside_at IS NOT NULL) l
	CROSS JOIN LATERAL (SELECT coalesce(sum(c.differences), 0) AS days FROM kinderconnect.comparison c WHERE c.organization_id = o.organization_id) f
	CROSS JOIN LATERAL (VALUES
		('last_success', extract(epoch FROM now() - coalesce(d.covered_at, o.first_enabled)) / 3600, coalesce(d.covered_at::timestamp(0)::text, 'none yet')),
		('overdue', extract(epoch FROM now() - d.uncovered_since) / 3600, coalesce('since ' || d.uncovered_since::timestamp(0), 'no')),
		('token', extract(epoch FROM now() - d.token) / 3600, coalesce('refused since ' || d.token::timestamp(0), 'ok')),
		('credentials', extract(epoch FROM now() - d.credentials) / 3600, coalesce('failing since ' || d.credentials::timestamp(0), 'ok')),
		('certificate', extract(epoch FROM now() - d.certificate) / 3600, coalesce('not trusted since ' || d.certificate::timestamp(0), 'ok')),
		('configuration', extract(epoch FROM now() - d.configuration) / 3600, coalesce('wrong since ' || d.configuration::timestamp(0), 'ok')),
		('manage_source', extract(epoch FROM now() - d.manage_source) / 3600, coalesce('failing since ' || d.manage_source::timestamp(0), 'ok')),
		('providers_failing', coalesce(d.failing, 0), coalesce(d.failing, 0)::text),
		('oldest_unsent', (now() AT TIME ZONE 'UTC')::date - w.oldest, coalesce(w.oldest || ', of ' || w.days || ' child-days', 'none')),
		('window_closes', extract(epoch FROM u.first_ends - now()) / 86400, coalesce('first on ' || u.first_ends::timestamp(0), 'none')),
		('days_at_stake', u.days, u.days::text),
		('rejected', u.rejected, u.rejected::text),
		('differences', f.days, f.days::text),
		('review_backlog', v.children, v.children::text),
		('review_age', extract(epoch FROM now() - v.since) / 86400, coalesce('since ' || v.since::timestamp(0), 'none')),
		('lists_set_aside', l.lists, concat(l.lists, ' since ' || l.since::timestamp(0)))
		) m (check_name, number, value)
	WHERE o.enabled
), judged AS (
	SELECT m.check_name, m.organization_id, round(m.number, 2) AS number, m.value, c.unit, c.low_is_bad, c.what_to_do,
		CASE WHEN t.check_name IS NULL THEN c.warning ELSE t.warning END AS warning,
		CASE WHEN t.check_name IS NULL THEN c.critical ELSE t.critical END AS critical
	FROM measure m
	JOIN kinderconnect.health_check c ON c.check_name = m.check_name
	LEFT JOIN kinderconnect.health_threshold t ON t.check_name = m.check_name
), decided AS (
	SELECT j.*, CASE
			WHEN CASE WHEN j.low_is_bad THEN j.number < j.critical ELSE j.number >= j.critical END THEN 'critical'
			WHEN CASE WHEN j.low_is_bad THEN j.number < j.warning ELSE j.number >= j.warning END THEN 'warning'
			ELSE 'ok' END AS status
	FROM judged j
)
SELECT d.check_name, d.organization_id, d.status, d.value, d.number, d.unit,
	concat_ws(', ', CASE WHEN d.low_is_bad THEN 'warning below ' ELSE 'warning at ' END || d.warning,
		CASE WHEN d.low_is_bad THEN 'critical below ' ELSE 'critical at ' END || d.critical) AS threshold,
	CASE WHEN d.status <> 'ok' THEN d.what_to_do END AS what_to_do
FROM decided d;
COMMENT ON VIEW kinderconnect.health IS
'whether all is well: each check, for the whole or for each enabled organization. Reads tables alone: it calls neither the service nor Manage, and answers on a hot standby';
COMMENT ON COLUMN kinderconnect.health.check_name IS 'as in health_check';
COMMENT ON COLUMN kinderconnect.health.organization_id IS 'the organization; null: the whole';
COMMENT ON COLUMN kinderconnect.health.status IS 'ok, warning or critical';
COMMENT ON COLUMN kinderconnect.health.value IS 'what was found, in words; times in the session''s time zone';
COMMENT ON COLUMN kinderconnect.health.number IS 'the same in unit, for comparing; null: there is nothing to measure, and that is well';
COMMENT ON COLUMN kinderconnect.health.unit IS 'of number; level: 0 is well';
COMMENT ON COLUMN kinderconnect.health.threshold IS 'from when on it warns and is critical: set_threshold()';
COMMENT ON COLUMN kinderconnect.health.what_to_do IS 'the cure; null where all is well';

CREATE VIEW kinderconnect.health_summary AS
SELECT CASE WHEN h.critical > 0 THEN 2 WHEN h.warning > 0 THEN 1 ELSE 0 END AS exit_code,
	concat(CASE WHEN h.critical > 0 THEN 'CRITICAL' WHEN h.warning > 0 THEN 'WARNING' ELSE 'OK' END,
		format(' - %s critical, %s warning, %s ok', h.critical, h.warning, h.ok), ': ' || h.worst,
		format(' | critical=%s warning=%s ok=%s', h.critical, h.warning, h.ok)) AS line
FROM (
	SELECT count(*) FILTER (WHERE n.status = 'critical') AS critical, count(*) FILTER (WHERE n.status = 'warning') AS warning,
		count(*) FILTER (WHERE n.status = 'ok') AS ok,
		string_agg(translate(concat_ws(' ', n.check_name, n.organization_id, '(' || n.value || ')'), E'|\r\n', '/  '), '; '
			ORDER BY n.place) FILTER (WHERE n.status <> 'ok' AND n.place <= 8) AS worst
	FROM (SELECT h.*, row_number() OVER (ORDER BY h.status = 'ok', h.status = 'warning', h.check_name, h.organization_id) AS place
		FROM kinderconnect.health h) n) h;
COMMENT ON VIEW kinderconnect.health_summary IS 'health in one line, as monitoring plugins print it';
COMMENT ON COLUMN kinderconnect.health_summary.exit_code IS '0 ok, 1 warning, 2 critical';
COMMENT ON COLUMN kinderconnect.health_summary.line IS 'how many checks of each, the worst eight, and numbers for a graph';
-- What analysts ask. The views read these tables alone: they call nobody, and
-- answer on a hot standby.

CREATE VIEW kinderconnect.provider_summary AS
SELECT s.organization_id, s.agency_id, s.provider_id, s.location_id, s.name, s.barred,
	coalesce(c.children, 0) AS children, coalesce(c.matched, 0) AS matched,
	coalesce(d.days, 0) AS days, coalesce(d.accepted, 0) AS accepted, coalesce(d.ready, 0) AS ready,
	coalesce(d.held, 0) AS held, coalesce(d.rejected, 0) AS rejected, coalesce(d.unknown, 0) AS unknown,
	coalesce(d.voided, 0) AS voided, coalesce(d.not_due, 0) AS not_due
FROM kinderconnect.provider_standing s
LEFT JOIN (SELECT a.organization_id, a.agency_id, a.provider_id,
		count(DISTINCT a.kinderconnect_child_id) AS children, count(DISTINCT k.kinderconnect_child_id) AS matched
	FROM kinderconnect.authorization a
	LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
	WHERE a.known_until = 'infinity'
	GROUP BY a.organization_id, a.agency_id, a.provider_id) c
	ON (c.organization_id, c.agency_id, c.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
LEFT JOIN (SELECT d.organization_id, d.agency_id, d.provider_id, count(*) AS days,
		count(*) FILTER (WHERE d.state = 'accepted') AS accepted, count(*) FILTER (WHERE d.state = 'ready') AS ready,
		count(*) FILTER (WHERE d.state = 'held') AS held, count(*) FILTER (WHERE d.state = 'rejected') AS rejected,
		count(*) FILTER (WHERE d.state IN ('sending', 'unknown')) AS unknown, count(*) FILTER (WHERE d.state = 'voided') AS voided,
		count(*) FILTER (WHERE d.state = 'not_due') AS not_due
	FROM kinderconnect.child_day d
	GROUP BY d.organization_id, d.agency_id, d.provider_id) d
	ON (d.organization_id, d.agency_id, d.provider_id) = (s.organization_id, s.agency_id, s.provider_id);
COMMENT ON VIEW kinderconnect.provider_summary IS
'each provider: its authorized children, how many are matched, and its child-days by state; days is the sum of the states';
COMMENT ON COLUMN kinderconnect.provider_summary.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_summary.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_summary.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_summary.location_id IS 'Manage''s location, or null';
COMMENT ON COLUMN kinderconnect.provider_summary.name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_summary.barred IS 'why nothing is asked or sent for it; null: it takes part';
COMMENT ON COLUMN kinderconnect.provider_summary.children IS 'children with an authorization that still stands';
COMMENT ON COLUMN kinderconnect.provider_summary.matched IS 'of these, linked to a child of Manage';
COMMENT ON COLUMN kinderconnect.provider_summary.days IS 'child-days, all';
COMMENT ON COLUMN kinderconnect.provider_summary.accepted IS 'the service holds what Manage says';
COMMENT ON COLUMN kinderconnect.provider_summary.ready IS 'to be sent by the next run';
COMMENT ON COLUMN kinderconnect.provider_summary.held IS 'not sent: held_summary says why';
COMMENT ON COLUMN kinderconnect.provider_summary.rejected IS 'the service refused it: code and message in child_day';
COMMENT ON COLUMN kinderconnect.provider_summary.unknown IS 'sent, and the answer is not in yet or was lost';
COMMENT ON COLUMN kinderconnect.provider_summary.voided IS 'taken back';
COMMENT ON COLUMN kinderconnect.provider_summary.not_due IS 'nothing to send, explained by its reason';

CREATE VIEW kinderconnect.held_summary AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.state, d.reason, count(*) AS days,
	min(d.service_date) AS oldest, max(d.service_date) AS newest, min(d.window_ends) AS first_window_ends, r.meaning, r.what_to_do
FROM kinderconnect.child_day d
JOIN kinderconnect.reason r ON r.reason = d.reason
GROUP BY d.organization_id, d.agency_id, d.provider_id, d.state, d.reason, r.meaning, r.what_to_do;
COMMENT ON VIEW kinderconnect.held_summary IS 'why child-days are not sent, for each provider and reason, and what to do';
COMMENT ON COLUMN kinderconnect.held_summary.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.held_summary.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.held_summary.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.held_summary.state IS 'held, or not_due';
COMMENT ON COLUMN kinderconnect.held_summary.reason IS 'its code';
COMMENT ON COLUMN kinderconnect.held_summary.days IS 'how many child-days';
COMMENT ON COLUMN kinderconnect.held_summary.oldest IS 'first service date';
COMMENT ON COLUMN kinderconnect.held_summary.newest IS 'last service date';
COMMENT ON COLUMN kinderconnect.held_summary.first_window_ends IS 'when the first of them is lost; null: no enforced window';
COMMENT ON COLUMN kinderconnect.held_summary.meaning IS 'the reason in words';
COMMENT ON COLUMN kinderconnect.held_summary.what_to_do IS 'the cure';

CREATE VIEW kinderconnect.unlinked_child AS
SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id, c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth,
	c.subsidized, c.unlinked_because, c.first_listed
FROM kinderconnect.child c
WHERE NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
	AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id));
COMMENT ON VIEW kinderconnect.unlinked_child IS
'KinderConnect children without a link to a child of Manage, and why: no_birth_date, no_name, not_in_manage, several_in_manage, several_at_service, middle_name_or_suffix, already_linked, id_disagrees, several_stored_ids; parted: a person said that the one who fits is another; merged: the agency gave the child another id, which has its link; not_matched_yet: something changed, and the next match looks; null before the first match';
COMMENT ON COLUMN kinderconnect.unlinked_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unlinked_child.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unlinked_child.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.unlinked_child.first_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.middle_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.last_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.suffix IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.date_of_birth IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.subsidized IS 'false: never sent';
COMMENT ON COLUMN kinderconnect.unlinked_child.unlinked_because IS 'why it has no link';
COMMENT ON COLUMN kinderconnect.unlinked_child.first_listed IS 'when it was first listed';

CREATE VIEW kinderconnect.provider_review AS
SELECT s.organization_id, s.agency_id, s.provider_id, s.name, l.city, l.zip,
	ARRAY(SELECT DISTINCT c.location_id FROM kinderconnect._location_candidates(s.organization_id) c
		WHERE (c.agency_id, c.provider_id) = (s.agency_id, s.provider_id) ORDER BY c.location_id) AS candidates
FROM kinderconnect.provider_standing s
LEFT JOIN kinderconnect.listed_location l ON (l.organization_id, l.agency_id, l.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
WHERE s.location_id IS NULL AND s.barred IS NULL;
COMMENT ON VIEW kinderconnect.provider_review IS
'providers without a location of Manage, with the candidates, if any; decide with add_provider(). Reads Manage, so for operators';
COMMENT ON COLUMN kinderconnect.provider_review.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_review.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_review.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_review.name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_review.city IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_review.zip IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_review.candidates IS 'Manage locations that fit by id, or by name and ZIP; empty: none does';
-- What analysts ask of authorizations, matches and money. As in views.sql,
-- nothing here calls anybody or writes: all of it answers on a hot standby.
-- "Today" is the agency's own date, whatever time zone the client has set.

CREATE VIEW kinderconnect.authorized_child AS
SELECT a.organization_id, a.agency_id, g.name AS agency, g.state, a.provider_id, p.name AS provider, p.location_id, p.barred,
	a.kinderconnect_child_id, c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth, c.subsidized,
	k.child_id, k.method AS matched_by, coalesce(k.flag, CASE WHEN k.child_id IS NULL THEN coalesce(c.unlinked_because, 'not_matched_yet') END) AS review,
	a.authorization_id, a.begin_date, a.end_date, a.units_of_care, a.days, a.known_from,
	a.begin_date <= t.today AND (a.days IS NULL OR t.weekday = ANY (a.days)) AS authorized_today
FROM kinderconnect.authorization a
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
LEFT JOIN kinderconnect.provider_standing p ON (p.organization_id, p.agency_id, p.provider_id) = (a.organization_id, a.agency_id, a.provider_id)
LEFT JOIN kinderconnect.agency g ON g.agency_id = a.agency_id
LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
	AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
CROSS JOIN LATERAL (SELECT d.today, (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d.today)::integer] AS weekday
	FROM (SELECT (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date AS today) d) t
WHERE a.known_until = 'infinity' AND (a.end_date IS NULL OR a.end_date >= t.today);
COMMENT ON VIEW kinderconnect.authorized_child IS
'every authorization that stands and has not ended, with its child, its match in Manage, its location and its agency; a child with two has two rows';
COMMENT ON COLUMN kinderconnect.authorized_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.authorized_child.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.authorized_child.agency IS 'its name, as listed';
COMMENT ON COLUMN kinderconnect.authorized_child.state IS 'its state, two-letter code';
COMMENT ON COLUMN kinderconnect.authorized_child.provider_id IS 'the provider ID the authorization is for';
COMMENT ON COLUMN kinderconnect.authorized_child.provider IS 'name of the site as the service lists it, else the provider ID';
COMMENT ON COLUMN kinderconnect.authorized_child.location_id IS 'Manage''s location; null: not found yet, see provider_review';
COMMENT ON COLUMN kinderconnect.authorized_child.barred IS 'why nothing is sent for the provider; null: it takes part';
COMMENT ON COLUMN kinderconnect.authorized_child.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.authorized_child.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.middle_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.suffix IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.date_of_birth IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.subsidized IS 'false: listed, never sent';
COMMENT ON COLUMN kinderconnect.authorized_child.child_id IS 'the child in Manage; null: not matched';
COMMENT ON COLUMN kinderconnect.authorized_child.matched_by IS 'how it was matched: method of child_link';
COMMENT ON COLUMN kinderconnect.authorized_child.review IS 'why a person should look at the match: unlinked_because of child, flag of child_link, or not_matched_yet; null: it stands';
COMMENT ON COLUMN kinderconnect.authorized_child.authorization_id IS 'the service''s id, or begin date and units where its dialect has none';
COMMENT ON COLUMN kinderconnect.authorized_child.begin_date IS 'first day of care, inclusive; may lie ahead';
COMMENT ON COLUMN kinderconnect.authorized_child.end_date IS 'last day of care, inclusive; null: open';
COMMENT ON COLUMN kinderconnect.authorized_child.units_of_care IS 'units authorized, as listed';
COMMENT ON COLUMN kinderconnect.authorized_child.days IS 'weekdays of care, MO to SU; null: every day';
COMMENT ON COLUMN kinderconnect.authorized_child.known_from IS 'since when the service says exactly this';
COMMENT ON COLUMN kinderconnect.authorized_child.authorized_today IS 'whether it covers today, by its dates and its weekdays';

CREATE FUNCTION kinderconnect.authorizations_ending(days integer) RETURNS SETOF kinderconnect.authorized_child
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.* FROM kinderconnect.authorized_child a
	LEFT JOIN kinderconnect.agency g ON g.agency_id = a.agency_id
	WHERE a.end_date <= (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date + authorizations_ending.days
		AND NOT EXISTS (SELECT FROM kinderconnect.authorization n
			WHERE (n.organization_id, n.agency_id, n.provider_id, n.kinderconnect_child_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id)
				AND n.known_until = 'infinity' AND n.begin_date <= a.end_date + 1 AND (n.end_date IS NULL OR n.end_date > a.end_date));
END;
COMMENT ON FUNCTION kinderconnect.authorizations_ending(integer) IS
'rows of authorized_child whose last day is today or one of the next days, and that no other authorization of the child at the provider takes up the day after';

CREATE FUNCTION kinderconnect.newly_authorized(since date)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, location_id text, kinderconnect_child_id text,
		first_name text, last_name text, child_id text, authorization_id text, begin_date date, end_date date, units_of_care text,
		listed_at timestamptz, new_child boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.organization_id, a.agency_id, a.provider_id, p.location_id, a.kinderconnect_child_id, c.first_name, c.last_name, k.child_id,
		a.authorization_id, a.begin_date, a.end_date, a.units_of_care, f.first_known,
		NOT EXISTS (SELECT FROM kinderconnect.authorization o
			WHERE (o.organization_id, o.agency_id, o.provider_id, o.kinderconnect_child_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id) AND o.known_from < f.first_known)
	FROM kinderconnect.authorization a
	JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
	LEFT JOIN kinderconnect.agency g ON g.agency_id = a.agency_id
	LEFT JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (a.organization_id, a.agency_id, a.provider_id)
	LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
	CROSS JOIN LATERAL (SELECT min(o.known_from) AS first_known FROM kinderconnect.authorization o
		WHERE (o.organization_id, o.agency_id, o.provider_id, o.kinderconnect_child_id, o.authorization_id)
			= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)) f
	WHERE a.known_until = 'infinity' AND (f.first_known AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date >= since;
END;
COMMENT ON FUNCTION kinderconnect.newly_authorized(date) IS
'authorizations that stand and were first listed on this date or later, also those for days gone by; new_child: the child had none at the provider before. One that vanished and came back is not new';

-- One row an event. A change of several things is several rows of one moment.
CREATE VIEW kinderconnect.authorization_history AS
SELECT h.organization_id, h.agency_id, h.provider_id, h.kinderconnect_child_id, h.authorization_id,
	coalesce(e.on_date, (e.at AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date) AS day,
	e.event, e.was, e.became, e.at AS seen_at
FROM (SELECT a.*,
		concat_ws(', ', to_char(a.begin_date, 'YYYY-MM-DD') || ' to ' || coalesce(to_char(a.end_date, 'YYYY-MM-DD'), 'open'), a.units_of_care,
			array_to_string(a.days, ' ')) AS terms,
		lag(a.closed_as) OVER w AS before, lag(a.begin_date) OVER w AS begin_before, lag(a.end_date) OVER w AS end_before,
		lag(a.units_of_care) OVER w AS units_before, lag(a.days) OVER w AS days_before, lead(a.known_from) OVER w IS NULL AS is_last
	FROM kinderconnect.authorization a
	WINDOW w AS (PARTITION BY a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id ORDER BY a.known_from)) h
LEFT JOIN kinderconnect.agency g ON g.agency_id = h.agency_id
CROSS JOIN LATERAL (
	SELECT h.known_from AS at, NULL::date AS on_date, 'listed' AS event, NULL AS was, h.terms AS became WHERE h.before IS NULL
	UNION ALL SELECT h.known_from, NULL, 'came_back', NULL, h.terms WHERE h.before = 'vanished'
	UNION ALL SELECT h.known_from, NULL, 'begin_changed', to_char(h.begin_before, 'YYYY-MM-DD'), to_char(h.begin_date, 'YYYY-MM-DD') WHERE h.before IS NOT NULL AND h.begin_before <> h.begin_date
	UNION ALL SELECT h.known_from, NULL, 'end_changed', coalesce(to_char(h.end_before, 'YYYY-MM-DD'), 'open'), coalesce(to_char(h.end_date, 'YYYY-MM-DD'), 'open')
		WHERE h.before IS NOT NULL AND h.end_before IS DISTINCT FROM h.end_date
	UNION ALL SELECT h.known_from, NULL, 'units_changed', h.units_before, h.units_of_care WHERE h.before IS NOT NULL AND h.units_before IS DISTINCT FROM h.units_of_care
	UNION ALL SELECT h.known_from, NULL, 'days_changed', coalesce(array_to_string(h.days_before, ' '), 'every day'), coalesce(array_to_string(h.days, ' '), 'every day')
		WHERE h.before IS NOT NULL AND h.days_before IS DISTINCT FROM h.days
	UNION ALL SELECT h.known_until, NULL, 'vanished', h.terms, NULL WHERE h.closed_as = 'vanished'
	UNION ALL SELECT NULL, h.begin_date, 'begins', NULL, NULL WHERE h.is_last AND h.closed_as IS NULL
	UNION ALL SELECT NULL, h.end_date, 'ends', NULL, NULL WHERE h.is_last AND h.closed_as IS NULL AND h.end_date IS NOT NULL) e;
COMMENT ON VIEW kinderconnect.authorization_history IS
'what happened to each authorization: listed, begin_changed, end_changed, units_changed, days_changed, vanished, came_back, and of one that stands the days it begins and ends, also ahead. Order by day, seen_at';
COMMENT ON COLUMN kinderconnect.authorization_history.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.authorization_history.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.authorization_history.provider_id IS 'the provider ID it is for';
COMMENT ON COLUMN kinderconnect.authorization_history.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.authorization_history.authorization_id IS 'the authorization';
COMMENT ON COLUMN kinderconnect.authorization_history.day IS 'when: of begins and ends that date, else the agency''s date on which it was first seen';
COMMENT ON COLUMN kinderconnect.authorization_history.event IS 'what';
COMMENT ON COLUMN kinderconnect.authorization_history.was IS 'of a change and of vanished: what the service said before';
COMMENT ON COLUMN kinderconnect.authorization_history.became IS 'of listed, came_back and a change: what it says from then on';
COMMENT ON COLUMN kinderconnect.authorization_history.seen_at IS 'the moment it was first seen; null: begins and ends';

CREATE VIEW kinderconnect.unmatched_summary AS
SELECT u.organization_id, u.agency_id, u.reason, count(*) AS children, count(*) FILTER (WHERE u.authorized) AS authorized,
	count(*) FILTER (WHERE u.first_listed > now() - interval '7 days') AS this_week,
	count(*) FILTER (WHERE u.first_listed <= now() - interval '7 days' AND u.first_listed > now() - interval '30 days') AS this_month,
	count(*) FILTER (WHERE u.first_listed <= now() - interval '30 days') AS older,
	min(u.first_listed) AS oldest, coalesce(sum(d.days), 0)::bigint AS days_held, min(d.oldest_day) AS oldest_day, min(d.first_window_ends) AS first_window_ends
FROM (SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id, c.first_listed,
		coalesce(k.flag, c.unlinked_because, 'not_matched_yet') AS reason,
		EXISTS (SELECT FROM kinderconnect.authorization a WHERE a.known_until = 'infinity'
			AND (a.organization_id, a.agency_id, a.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)) AS authorized
	FROM kinderconnect.child c
	LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)
	WHERE k.child_id IS NULL OR k.flag IS NOT NULL) u
LEFT JOIN (SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id, count(*) AS days, min(d.service_date) AS oldest_day, min(d.window_ends) AS first_window_ends
	FROM kinderconnect.child_day d
	WHERE d.reason IN ('unmatched', 'link_disagrees', 'child_gone')
	GROUP BY d.organization_id, d.agency_id, d.kinderconnect_child_id) d
	ON (d.organization_id, d.agency_id, d.kinderconnect_child_id) = (u.organization_id, u.agency_id, u.kinderconnect_child_id)
GROUP BY u.organization_id, u.agency_id, u.reason;
COMMENT ON VIEW kinderconnect.unmatched_summary IS
'KinderConnect children without a link to a child of Manage, or with one that is flagged, by reason and age; together with the links that stand they are all children listed';
COMMENT ON COLUMN kinderconnect.unmatched_summary.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unmatched_summary.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unmatched_summary.reason IS 'unlinked_because of child, flag of child_link, or not_matched_yet';
COMMENT ON COLUMN kinderconnect.unmatched_summary.children IS 'how many; the sum of the three ages';
COMMENT ON COLUMN kinderconnect.unmatched_summary.authorized IS 'of these, with an authorization that stands';
COMMENT ON COLUMN kinderconnect.unmatched_summary.this_week IS 'first listed less than 7 days ago';
COMMENT ON COLUMN kinderconnect.unmatched_summary.this_month IS 'first listed 7 to 30 days ago';
COMMENT ON COLUMN kinderconnect.unmatched_summary.older IS 'first listed more than 30 days ago';
COMMENT ON COLUMN kinderconnect.unmatched_summary.oldest IS 'when the first of them was first listed';
COMMENT ON COLUMN kinderconnect.unmatched_summary.days_held IS 'child-days that wait for the match';
COMMENT ON COLUMN kinderconnect.unmatched_summary.oldest_day IS 'the first of these days';
COMMENT ON COLUMN kinderconnect.unmatched_summary.first_window_ends IS 'when the first of these days is lost; null: no enforced window';

CREATE VIEW kinderconnect.unclaimed_day AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.location_id, d.kinderconnect_child_id, d.child_id, c.first_name, c.last_name,
	d.service_date, (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d.service_date)::integer] AS weekday,
	d.window_ends, (d.window_ends > now()) IS NOT FALSE AS is_open
FROM kinderconnect.child_day d
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
WHERE d.reason = 'nothing_recorded' AND d.authorized;
COMMENT ON VIEW kinderconnect.unclaimed_day IS
'money nobody asked for: authorized, finished days of matched children for which Manage has neither attendance nor absence nor closure. Days of unmatched children are in unmatched_summary';
COMMENT ON COLUMN kinderconnect.unclaimed_day.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unclaimed_day.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unclaimed_day.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.unclaimed_day.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.unclaimed_day.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.unclaimed_day.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.unclaimed_day.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unclaimed_day.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unclaimed_day.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.unclaimed_day.weekday IS 'MO to SU: an authorization that names no weekdays covers the weekend too';
COMMENT ON COLUMN kinderconnect.unclaimed_day.window_ends IS 'when the agency stops taking it; null: no enforced window';
COMMENT ON COLUMN kinderconnect.unclaimed_day.is_open IS 'true: recorded in Manage today, it is still sent';

-- Two ways of counting the same child-days: what Manage says of them, and
-- what became of them. A day whose record cannot be sent as it is counts as
-- attended or absent all the same.
CREATE VIEW kinderconnect.provider_month AS
SELECT d.organization_id, d.agency_id, d.provider_id, date_trunc('month', d.service_date::timestamp)::date AS month,
	count(*) AS days,
	count(*) FILTER (WHERE d.authorized) AS authorized,
	count(*) FILTER (WHERE d.kind = 'session' OR d.reason IN ('missing_check_out', 'missing_check_in', 'out_before_in', 'too_short', 'too_long',
		'overlapping_sessions', 'over_midnight', 'clock_change', 'too_many_sessions')) AS attended,
	count(*) FILTER (WHERE d.kind = 'absence' OR d.reason = 'absence_reason') AS absent,
	count(*) FILTER (WHERE d.kind = 'closure') AS closed,
	count(*) FILTER (WHERE d.reason = 'nothing_recorded' AND d.authorized) AS unclaimed,
	count(*) FILTER (WHERE d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown', 'rejected', 'voided')) AS sent,
	count(*) FILTER (WHERE d.state = 'accepted') AS accepted,
	count(*) FILTER (WHERE d.state = 'ready') AS ready,
	count(*) FILTER (WHERE d.state = 'held') AS held,
	count(*) FILTER (WHERE d.state = 'rejected') AS rejected,
	count(*) FILTER (WHERE d.state IN ('sending', 'unknown')) AS unknown,
	count(*) FILTER (WHERE d.state = 'voided') AS voided,
	count(*) FILTER (WHERE d.state = 'not_due') AS not_due
FROM kinderconnect.child_day d
GROUP BY d.organization_id, d.agency_id, d.provider_id, date_trunc('month', d.service_date::timestamp)::date;
COMMENT ON VIEW kinderconnect.provider_month IS
'each provider and month in child-days: what Manage says of them (attended, absent, closed, unclaimed) and what became of them; accepted, ready, held, rejected, unknown, voided and not_due add up to days';
COMMENT ON COLUMN kinderconnect.provider_month.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_month.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_month.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_month.month IS 'first day of the month';
COMMENT ON COLUMN kinderconnect.provider_month.days IS 'child-days, all: authorized, and attendance without an authorization';
COMMENT ON COLUMN kinderconnect.provider_month.authorized IS 'an authorization covers the day';
COMMENT ON COLUMN kinderconnect.provider_month.attended IS 'Manage has sessions, complete or not';
COMMENT ON COLUMN kinderconnect.provider_month.absent IS 'Manage has an absence';
COMMENT ON COLUMN kinderconnect.provider_month.closed IS 'Manage has a closure';
COMMENT ON COLUMN kinderconnect.provider_month.unclaimed IS 'authorized, and Manage has nothing: unclaimed_day lists them. They are held';
COMMENT ON COLUMN kinderconnect.provider_month.sent IS 'ever sent: accepted or rejected, taken back, or without an answer yet';
COMMENT ON COLUMN kinderconnect.provider_month.accepted IS 'the service holds what Manage says';
COMMENT ON COLUMN kinderconnect.provider_month.ready IS 'to be sent by the next run';
COMMENT ON COLUMN kinderconnect.provider_month.held IS 'not sent: held_summary says why';
COMMENT ON COLUMN kinderconnect.provider_month.rejected IS 'the service refused it';
COMMENT ON COLUMN kinderconnect.provider_month.unknown IS 'sent, and the answer is not in yet or was lost';
COMMENT ON COLUMN kinderconnect.provider_month.voided IS 'taken back';
COMMENT ON COLUMN kinderconnect.provider_month.not_due IS 'nothing to send, explained by its reason';
-- What is about to be lost, what became of one day, and what was used of
-- limits and units. As in analyst.sql: these views call nobody and read
-- nothing of Manage, and "today" is the agency's own date.

-- Rules of an agency with the dates on which each is the one that counts: its
-- own dates less those of whatever wins over it, in the order of _rules(). They
-- are few: MATERIALIZED has the dates computed once, not for each child-day.
CREATE VIEW kinderconnect.entry_window AS
WITH w AS MATERIALIZED (
	SELECT a.agency_id, r.rule, r.value::integer AS days, r.enforced,
		datemultirange(r.valid) - coalesce((SELECT range_agg(o.valid) FROM kinderconnect.agency_rule o
			WHERE o.rule = r.rule AND (o.agency_id = a.agency_id OR o.state = a.state)
				AND (o.agency_id IS NULL, o.builtin) < (r.agency_id IS NULL, r.builtin)), '{}') AS valid,
		r.source
	FROM kinderconnect.agency a
	JOIN kinderconnect.agency_rule r ON (r.agency_id = a.agency_id OR r.state = a.state)
	WHERE r.rule IN ('entry_window_days', 'correction_window_days')
)
SELECT * FROM w
WHERE NOT isempty(w.valid);
COMMENT ON VIEW kinderconnect.entry_window IS 'how many days back each agency takes entries and corrections, enforced or only believed, and for which service dates';
COMMENT ON COLUMN kinderconnect.entry_window.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.entry_window.rule IS 'entry_window_days or correction_window_days';
COMMENT ON COLUMN kinderconnect.entry_window.days IS 'its value';
COMMENT ON COLUMN kinderconnect.entry_window.enforced IS 'false: believed, nothing is held back for it';
COMMENT ON COLUMN kinderconnect.entry_window.valid IS 'service dates for which it is the one that counts';
COMMENT ON COLUMN kinderconnect.entry_window.source IS 'where it is written';

CREATE VIEW kinderconnect.absence_limit_in_force AS
WITH l AS MATERIALIZED (
	SELECT a.agency_id, a.state, r.limit_name, r.counts, r.uncounted_reasons, r.counts_unrecorded, r.period_months, r.period_begins,
		r.at_most, r.needs_attended, r.enforced,
		datemultirange(r.valid) - coalesce((SELECT range_agg(o.valid) FROM kinderconnect.absence_limit o
			WHERE o.limit_name = r.limit_name AND (o.agency_id = a.agency_id OR o.state = a.state)
				AND (o.agency_id IS NULL, o.builtin) < (r.agency_id IS NULL, r.builtin)), '{}') AS valid,
		r.source, r.note
	FROM kinderconnect.agency a
	JOIN kinderconnect.absence_limit r ON (r.agency_id = a.agency_id OR r.state = a.state)
)
SELECT * FROM l
WHERE NOT isempty(l.valid) AND num_nonnulls(l.at_most, l.needs_attended) > 0;
COMMENT ON VIEW kinderconnect.absence_limit_in_force IS 'the absence limits of each agency, its own or its state''s';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.state IS 'its state';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.limit_name IS 'which';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.counts IS 'absence or closure';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.uncounted_reasons IS 'absences that do not count';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.counts_unrecorded IS 'whether a day with nothing recorded counts for the agency';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.period_months IS 'length of the period';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.period_begins IS 'month in which it begins; null: the last months up to today';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.at_most IS 'so many in a period';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.needs_attended IS 'attended days needed in the period';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.enforced IS 'whether the law or the agency says so today';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.valid IS 'dates for which it is the one that counts';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.note IS 'what else is known';

CREATE VIEW kinderconnect.unit_band_in_force AS
WITH b AS MATERIALIZED (
	SELECT a.agency_id, a.state, r.unit, r.minutes, r.enforced,
		datemultirange(r.valid) - coalesce((SELECT range_agg(o.valid) FROM kinderconnect.unit_band o
			WHERE (o.agency_id = a.agency_id OR o.state = a.state)
				AND ((o.agency_id IS NULL, o.shipped IS NOT NULL) < (r.agency_id IS NULL, r.shipped IS NOT NULL)
					-- one that was edited stands in the place of its like alone
					OR o.shipped IS NOT NULL AND NOT o.builtin AND r.builtin AND o.minutes && r.minutes)), '{}') AS valid,
		r.source, r.note
	FROM kinderconnect.agency a
	JOIN kinderconnect.unit_band r ON (r.agency_id = a.agency_id OR r.state = a.state)
)
SELECT * FROM b
WHERE NOT isempty(b.valid);
COMMENT ON VIEW kinderconnect.unit_band_in_force IS 'the unit bands of each agency, its own or its state''s';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.state IS 'its state';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.unit IS 'name of the unit';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.minutes IS 'minutes of care on a day that make it';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.enforced IS 'whether the law or the agency says so';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.valid IS 'service dates for which it is the one that counts';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.note IS 'what else is known';

-- The agency's midnight and the location's may be hours apart, never twelve:
-- so the date on which an enforced window closes is the same for both.
--
-- Whatever the agency takes, a day older than the horizon is no longer looked
-- at; its setting is read as it stands, and is 45 where the library is not
-- loaded and no file says otherwise.
CREATE VIEW kinderconnect.unsettled_day AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.location_id, d.kinderconnect_child_id, d.child_id, c.first_name, c.last_name,
	d.service_date, (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d.service_date)::integer] AS weekday,
	d.authorized, d.state, d.reason, d.detail, d.content, d.accepted_content,
	t.today - d.service_date AS age,
	CASE WHEN w.last_day <= h.last_day AND (w.enforced OR w.last_day >= t.today) THEN CASE WHEN w.enforced THEN 'enforced' ELSE 'believed' END
		ELSE 'horizon' END AS closes_by,
	CASE WHEN w.last_day <= h.last_day AND (w.enforced OR w.last_day >= t.today) THEN w.last_day ELSE h.last_day END AS last_day,
	CASE WHEN w.last_day <= h.last_day AND (w.enforced OR w.last_day >= t.today) THEN w.last_day ELSE h.last_day END - t.today AS days_left,
	(NOT w.enforced AND w.last_day < t.today) IS TRUE AS believed_closed,
	coalesce(r.what_to_do, CASE d.state
		WHEN 'rejected' THEN 'See code and message of child_day: correct it in Manage, or call retry().'
		WHEN 'ready' THEN 'Nothing: the next run sends it.'
		ELSE 'Nothing: the next run asks what became of it.' END) AS what_to_do
FROM kinderconnect.child_day d
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
LEFT JOIN kinderconnect.reason r ON r.reason = d.reason
LEFT JOIN kinderconnect.entry_window e ON e.agency_id = d.agency_id AND e.rule = 'entry_window_days' AND e.valid @> d.service_date
LEFT JOIN kinderconnect.entry_window o ON o.agency_id = d.agency_id AND o.rule = 'correction_window_days' AND o.valid @> d.service_date
	AND d.accepted_content IS NOT NULL
CROSS JOIN LATERAL (SELECT coalesce(g.time_zone, 'Pacific/Honolulu') AS zone, (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date AS today) t
CROSS JOIN LATERAL (SELECT
	coalesce((d.window_ends AT TIME ZONE t.zone + interval '12 hours')::date - 1, d.service_date + coalesce(o.days, e.days)) AS last_day,
	d.window_ends IS NOT NULL OR coalesce(o.enforced, e.enforced, false) AS enforced) w
CROSS JOIN LATERAL (SELECT d.service_date + coalesce(nullif(current_setting('kinderconnect.horizon_days', true), ''), '45')::integer AS last_day) h
WHERE d.state IN ('held', 'ready', 'sending', 'unknown', 'rejected');
COMMENT ON VIEW kinderconnect.unsettled_day IS
'every child-day that the service does not hold as Manage has it, and that something could still be done about: how old it is, and until when';
COMMENT ON COLUMN kinderconnect.unsettled_day.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unsettled_day.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unsettled_day.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.unsettled_day.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.unsettled_day.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.unsettled_day.child_id IS 'the child in Manage; null while unmatched';
COMMENT ON COLUMN kinderconnect.unsettled_day.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unsettled_day.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unsettled_day.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.unsettled_day.weekday IS 'MO to SU: an authorization that names no weekdays covers the weekend too';
COMMENT ON COLUMN kinderconnect.unsettled_day.authorized IS 'an authorization covers the day';
COMMENT ON COLUMN kinderconnect.unsettled_day.state IS 'held, ready, sending, unknown or rejected';
COMMENT ON COLUMN kinderconnect.unsettled_day.reason IS 'of held: its code';
COMMENT ON COLUMN kinderconnect.unsettled_day.detail IS 'the facts behind the reason';
COMMENT ON COLUMN kinderconnect.unsettled_day.content IS 'what Manage says, if it can be sent';
COMMENT ON COLUMN kinderconnect.unsettled_day.accepted_content IS 'what the service holds; not null: a correction waits';
COMMENT ON COLUMN kinderconnect.unsettled_day.age IS 'days since the service date';
COMMENT ON COLUMN kinderconnect.unsettled_day.closes_by IS 'what closes first: enforced, the agency''s window; believed, one that is not enforced, for it is known from a secondary source only; horizon, the setting horizon_days, after which Manage is no longer asked';
COMMENT ON COLUMN kinderconnect.unsettled_day.last_day IS 'last date on which the day can be sent, by closes_by';
COMMENT ON COLUMN kinderconnect.unsettled_day.days_left IS 'days until then; 0: today is the last; negative: lost';
COMMENT ON COLUMN kinderconnect.unsettled_day.believed_closed IS 'the believed window is over: it is sent all the same, and may be refused';
COMMENT ON COLUMN kinderconnect.unsettled_day.what_to_do IS 'the cure';

CREATE VIEW kinderconnect.about_to_be_lost AS
SELECT u.organization_id, u.agency_id, u.provider_id, u.location_id, u.kinderconnect_child_id, u.child_id, u.first_name, u.last_name,
	u.service_date, u.weekday, u.authorized, u.state, u.reason, u.detail, u.days_left, u.last_day, u.closes_by, u.what_to_do
FROM kinderconnect.unsettled_day u
WHERE u.days_left >= 0 AND (u.reason NOT IN ('window_closed', 'horizon_passed', 'authorization_lost', 'merged_child', 'cannot_void', 'source_shrank')) IS NOT FALSE
ORDER BY u.days_left, u.closes_by = 'horizon', u.closes_by = 'believed', u.service_date, u.organization_id, u.agency_id, u.provider_id, u.kinderconnect_child_id;
COMMENT ON VIEW kinderconnect.about_to_be_lost IS
'days that are not accepted and soon cannot be, most urgent first: on the same day left, enforced windows before believed ones before the horizon. What is lost already, and what only a person can take back, is not here';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.child_id IS 'the child in Manage; null while unmatched';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.weekday IS 'MO to SU';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.authorized IS 'an authorization covers the day';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.state IS 'held, ready, sending, unknown or rejected';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.reason IS 'of held: its code';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.detail IS 'the facts behind the reason';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.days_left IS '0: today is the last day';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.last_day IS 'last date on which the day can be sent';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.closes_by IS 'enforced, believed or horizon: see unsettled_day';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.what_to_do IS 'the cure';

CREATE VIEW kinderconnect.held_ageing AS
SELECT u.organization_id, u.agency_id, u.provider_id, u.state, u.reason, count(*) AS days,
	count(*) FILTER (WHERE u.age < 7) AS this_week, count(*) FILTER (WHERE u.age BETWEEN 7 AND 29) AS this_month, count(*) FILTER (WHERE u.age >= 30) AS older,
	count(*) FILTER (WHERE u.lost) AS lost, count(*) FILTER (WHERE NOT u.lost AND u.days_left <= 1) AS left_to_tomorrow,
	count(*) FILTER (WHERE NOT u.lost AND u.days_left BETWEEN 2 AND 6) AS left_under_a_week, count(*) FILTER (WHERE NOT u.lost AND u.days_left >= 7) AS left_longer,
	count(*) FILTER (WHERE u.believed_closed) AS believed_closed, min(u.service_date) AS oldest, min(u.last_day) FILTER (WHERE NOT u.lost) AS next_last_day
FROM (SELECT s.*, s.days_left < 0 OR (s.reason IN ('window_closed', 'horizon_passed')) IS TRUE AS lost FROM kinderconnect.unsettled_day s) u
GROUP BY u.organization_id, u.agency_id, u.provider_id, u.state, u.reason;
COMMENT ON VIEW kinderconnect.held_ageing IS
'unsettled days of each provider by state and reason, once by age and once by the days left; each way adds up to days';
COMMENT ON COLUMN kinderconnect.held_ageing.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.held_ageing.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.held_ageing.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.held_ageing.state IS 'held, ready, sending, unknown or rejected';
COMMENT ON COLUMN kinderconnect.held_ageing.reason IS 'of held: its code';
COMMENT ON COLUMN kinderconnect.held_ageing.days IS 'how many';
COMMENT ON COLUMN kinderconnect.held_ageing.this_week IS 'by age: less than 7 days old';
COMMENT ON COLUMN kinderconnect.held_ageing.this_month IS 'by age: 7 to 29 days old';
COMMENT ON COLUMN kinderconnect.held_ageing.older IS 'by age: 30 days and more';
COMMENT ON COLUMN kinderconnect.held_ageing.lost IS 'by days left: the enforced window or the horizon is over';
COMMENT ON COLUMN kinderconnect.held_ageing.left_to_tomorrow IS 'by days left: today or tomorrow is the last';
COMMENT ON COLUMN kinderconnect.held_ageing.left_under_a_week IS 'by days left: 2 to 6';
COMMENT ON COLUMN kinderconnect.held_ageing.left_longer IS 'by days left: 7 and more';
COMMENT ON COLUMN kinderconnect.held_ageing.believed_closed IS 'of all of these, those whose believed window is over';
COMMENT ON COLUMN kinderconnect.held_ageing.oldest IS 'first service date';
COMMENT ON COLUMN kinderconnect.held_ageing.next_last_day IS 'when the next of them is lost';

-- Finds the calls of one record without reading all of its organization's.
CREATE INDEX batch_record_by_record ON kinderconnect.batch_record (organization_id, record_id);

CREATE VIEW kinderconnect.child_day_history AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	a.known_from AS at, 'authorized'::text AS event, NULL::text AS content, NULL::text AS was, NULL::text AS state,
	concat_ws(', ', a.authorization_id, to_char(a.begin_date, 'YYYY-MM-DD') || ' to ' || coalesce(to_char(a.end_date, 'YYYY-MM-DD'), 'open'), a.units_of_care) AS said,
	NULL::text AS record_id, NULL::bigint AS run_id
FROM kinderconnect.child_day d
JOIN kinderconnect.authorization a ON (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id)
	= (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id)
	AND a.begin_date <= d.service_date AND (a.end_date >= d.service_date) IS NOT FALSE
UNION ALL
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	k.linked_at, 'linked', NULL, NULL, NULL, concat_ws(', ', k.child_id, k.method, k.linked_by), NULL, NULL
FROM kinderconnect.child_day d
JOIN kinderconnect.child_link k ON (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
UNION ALL
-- the first plan: what the first step says was before it, else what still is
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	e.at, e.event, f.content, NULL, e.state, e.said, NULL, NULL
FROM kinderconnect.child_day d
LEFT JOIN LATERAL (SELECT s.* FROM kinderconnect.child_day_step s
	WHERE (s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.service_date)
		= (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
	ORDER BY s.at LIMIT 1) s ON true
CROSS JOIN LATERAL (SELECT
	CASE WHEN s.at IS NULL THEN d.reason ELSE s.was_reason END AS reason, CASE WHEN s.at IS NULL THEN d.detail ELSE s.was_detail END AS detail,
	CASE WHEN s.at IS NULL THEN d.content ELSE s.was_content END AS content, CASE WHEN s.at IS NULL THEN d.modified_at ELSE s.was_modified_at END AS modified_at,
	CASE WHEN coalesce(s.was_state, d.state) IN ('held', 'not_due') THEN coalesce(s.was_state, d.state) ELSE 'ready' END AS state) f
CROSS JOIN LATERAL (VALUES (f.modified_at, 'edited', NULL, NULL), (d.planned_at, 'planned', f.state, nullif(concat_ws(': ', f.reason, f.detail), ''))) e(at, event, state, said)
WHERE e.at IS NOT NULL
UNION ALL
SELECT s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.service_date,
	e.at, e.event, s.content, e.was, e.state, e.said, NULL, e.run_id
FROM kinderconnect.child_day_step s
CROSS JOIN LATERAL (VALUES
	(CASE WHEN s.modified_at IS DISTINCT FROM s.was_modified_at THEN s.modified_at END, 'edited', NULL, NULL, NULL, NULL),
	(s.at, 'planned', s.was_content, s.state, nullif(concat_ws(': ', s.reason, s.detail), ''), s.run_id)) e(at, event, was, state, said, run_id)
WHERE e.at IS NOT NULL
UNION ALL
SELECT l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date,
	l.created_at, 'made', l.content,
	(SELECT b.content FROM kinderconnect.ledger b
		WHERE (b.organization_id, b.agency_id, b.provider_id, b.kinderconnect_child_id, b.service_date)
			= (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date) AND b.created_at < l.created_at
		ORDER BY b.created_at DESC LIMIT 1),
	NULL, NULL, l.record_id, l.run_id
FROM kinderconnect.ledger l
UNION ALL
SELECT l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date,
	b.sent_at, 'sent', l.content, NULL, b.state, concat_ws(', ', 'batch ' || b.batch_id, 'HTTP ' || b.http_status, b.code, b.message), l.record_id, b.run_id
FROM kinderconnect.ledger l
JOIN kinderconnect.batch_record r ON (r.organization_id, r.record_id) = (l.organization_id, l.record_id)
JOIN kinderconnect.batch b ON (b.organization_id, b.batch_id) = (r.organization_id, r.batch_id)
WHERE b.sent_at IS NOT NULL
UNION ALL
SELECT l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date,
	l.answered_at, 'answered', l.content, NULL, l.state, nullif(concat_ws(': ', l.code, l.message), ''), l.record_id, l.run_id
FROM kinderconnect.ledger l
WHERE l.answered_at IS NOT NULL
UNION ALL
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	d.changed_at, 'now', d.content, d.accepted_content, d.state, nullif(concat_ws(': ', coalesce(d.reason, d.code), coalesce(d.detail, d.message)), ''),
	d.record_id, NULL
FROM kinderconnect.child_day d;
COMMENT ON VIEW kinderconnect.child_day_history IS
'the story of a child-day: authorized, linked, edited in Manage, planned, then each record made of what Manage said, when it was sent (again) and answered, and now, where it stands. Name the whole key of a day, and order by event = ''now'', at';
COMMENT ON COLUMN kinderconnect.child_day_history.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_day_history.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_day_history.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.child_day_history.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.child_day_history.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.child_day_history.at IS 'when; of now, when the day last changed';
COMMENT ON COLUMN kinderconnect.child_day_history.event IS 'authorized, linked; edited: Manage''s modified_at, where it tells; planned: the first plan, and each that judged otherwise; made, sent, answered: a record; now';
COMMENT ON COLUMN kinderconnect.child_day_history.content IS 'of made, sent, answered: what the record says; of edited, planned, now: what Manage says; null: nothing that can be sent';
COMMENT ON COLUMN kinderconnect.child_day_history.was IS 'of made: what the record before it said, so that a correction shows; of planned: what Manage said before; of now: what the service holds';
COMMENT ON COLUMN kinderconnect.child_day_history.state IS 'of planned and now: of the day; of sent: of the batch; of answered: of the record in ledger';
COMMENT ON COLUMN kinderconnect.child_day_history.said IS 'the authorization, the link, the call, the service''s code and words, or why the day is held';
COMMENT ON COLUMN kinderconnect.child_day_history.record_id IS 'the record';
COMMENT ON COLUMN kinderconnect.child_day_history.run_id IS 'the run';

-- Twelve months to the last day of February are those from 1 March, also where
-- the year before had a 29th: PostgreSQL cuts the day of a month that is too
-- short, so each of the two ways to reckon may give a day too many.
CREATE FUNCTION kinderconnect._absence_period(day date, today date, months integer, begins integer)
	RETURNS TABLE (period_begin date, period_end date)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT
		CASE WHEN begins IS NULL THEN greatest((today - make_interval(months => months))::date + 1, (today + 1 - make_interval(months => months))::date)
			ELSE (date_trunc('month', day::timestamp) - make_interval(months => p.since))::date END,
		CASE WHEN begins IS NULL THEN today
			ELSE (date_trunc('month', day::timestamp) + make_interval(months => months - p.since))::date - 1 END
	-- months from the beginning of the period to that of the day
	FROM (SELECT (extract(month FROM day)::integer - begins + 12) % months AS since) p;
END;
COMMENT ON FUNCTION kinderconnect._absence_period(date, date, integer, integer) IS
'the period of an absence limit that a day belongs to: so many months up to today, or from the month of the year in which they begin; both dates inclusive';

CREATE VIEW kinderconnect.absence_use AS
SELECT u.organization_id, u.agency_id, u.state, u.kinderconnect_child_id, c.first_name, c.last_name, u.limit_name, u.counts, u.period_begin, u.period_end,
	u.at_most, u.needs_attended, u.used, u.attended, u.unrecorded, u.counts_unrecorded, u.first_day, u.enforced, u.source, u.note,
	u.at_most - u.used AS remaining,
	CASE
		WHEN u.used > 0 AND u.attended < u.needs_attended THEN 'not_attended'
		WHEN u.used > u.at_most THEN 'exceeded'
		WHEN u.used = u.at_most THEN 'reached'
		WHEN u.counts_unrecorded AND u.used + u.unrecorded > u.at_most THEN 'unrecorded'
		WHEN u.used * 5 >= u.at_most * 4 THEN 'near'
	END AS warning
FROM (
	SELECT d.organization_id, d.agency_id, min(l.state) AS state, d.kinderconnect_child_id, l.limit_name, l.counts, p.period_begin, p.period_end, l.at_most, l.needs_attended,
		count(*) FILTER (WHERE CASE l.counts WHEN 'closure' THEN d.closed ELSE d.absent AND (d.absence_reason = ANY (l.uncounted_reasons)) IS NOT TRUE END) AS used,
		count(*) FILTER (WHERE d.attended) AS attended, count(*) FILTER (WHERE d.unrecorded) AS unrecorded,
		l.counts_unrecorded, min(d.service_date) AS first_day, l.enforced, min(l.source) AS source, min(l.note) AS note
	FROM (
		-- a day counts once, at however many providers
		SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id, d.service_date,
			bool_or(s.said = 'absence' AND d.authorized) IS TRUE AS absent, bool_or(s.said = 'closure' AND d.authorized) IS TRUE AS closed,
			bool_or(s.said = 'session') IS TRUE AS attended, bool_or(d.reason = 'nothing_recorded' AND d.authorized) IS TRUE AS unrecorded,
			min(coalesce(d.absence_reason, d.accepted_reason)) FILTER (WHERE s.said = 'absence') AS absence_reason
		FROM kinderconnect.child_day d
		CROSS JOIN LATERAL (SELECT coalesce(d.kind, CASE
			WHEN d.reason IN ('missing_check_out', 'missing_check_in', 'out_before_in', 'too_short', 'too_long',
				'overlapping_sessions', 'over_midnight', 'clock_change', 'too_many_sessions') THEN 'session'
			WHEN d.reason = 'absence_reason' THEN 'absence' END, d.accepted_kind) AS said) s
		GROUP BY d.organization_id, d.agency_id, d.kinderconnect_child_id, d.service_date) d
	JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
	JOIN kinderconnect.absence_limit_in_force l ON l.agency_id = d.agency_id
	CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date AS today) t
	CROSS JOIN LATERAL kinderconnect._absence_period(d.service_date, t.today, l.period_months, l.period_begins) p
	WHERE d.service_date BETWEEN p.period_begin AND p.period_end AND l.valid @> least(p.period_end, t.today)
	GROUP BY d.organization_id, d.agency_id, d.kinderconnect_child_id, l.limit_name, l.counts, p.period_begin, p.period_end,
		l.at_most, l.needs_attended, l.counts_unrecorded, l.enforced) u
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (u.organization_id, u.agency_id, u.kinderconnect_child_id)
WHERE u.used > 0 OR u.counts_unrecorded AND u.unrecorded > 0;
COMMENT ON VIEW kinderconnect.absence_use IS
'absences and closures of each child against the limits of its agency, a row for each limit and period with any. By what Manage says, else what the service holds; over all providers of the agency. It warns; nothing is held back';
COMMENT ON COLUMN kinderconnect.absence_use.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.absence_use.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.absence_use.state IS 'its state';
COMMENT ON COLUMN kinderconnect.absence_use.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.absence_use.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.absence_use.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.absence_use.limit_name IS 'absence_limit';
COMMENT ON COLUMN kinderconnect.absence_use.counts IS 'absence or closure';
COMMENT ON COLUMN kinderconnect.absence_use.period_begin IS 'first day of the period';
COMMENT ON COLUMN kinderconnect.absence_use.period_end IS 'its last day; of one that moves along, today';
COMMENT ON COLUMN kinderconnect.absence_use.at_most IS 'the limit, or null';
COMMENT ON COLUMN kinderconnect.absence_use.needs_attended IS 'attended days without which none of them counts for anything, or null';
COMMENT ON COLUMN kinderconnect.absence_use.used IS 'authorized days with one';
COMMENT ON COLUMN kinderconnect.absence_use.attended IS 'days attended in the period';
COMMENT ON COLUMN kinderconnect.absence_use.unrecorded IS 'authorized days in the period for which nothing is recorded';
COMMENT ON COLUMN kinderconnect.absence_use.counts_unrecorded IS 'whether these count for the agency, too. They are not in used: an authorization that names no weekdays has such days every weekend';
COMMENT ON COLUMN kinderconnect.absence_use.first_day IS 'first day of the period that is known here; what was before, is not counted';
COMMENT ON COLUMN kinderconnect.absence_use.enforced IS 'whether the law or the agency says so today';
COMMENT ON COLUMN kinderconnect.absence_use.source IS 'where the limit is written';
COMMENT ON COLUMN kinderconnect.absence_use.note IS 'what else is known';
COMMENT ON COLUMN kinderconnect.absence_use.remaining IS 'at_most less used; negative: exceeded';
COMMENT ON COLUMN kinderconnect.absence_use.warning IS 'exceeded; reached; near: four fifths are used; unrecorded: exceeded if all unrecorded days count; not_attended: absences, and fewer attended days than needed; null: none';

-- Wall times are read as the plan reads them, an hour that comes twice as its
-- first coming, so that a day on which the clocks change has its real length.
CREATE VIEW kinderconnect.unit_use AS
SELECT m.organization_id, m.agency_id, m.state, m.provider_id, m.kinderconnect_child_id, c.first_name, c.last_name, m.month,
	m.days_authorized, m.days_attended, m.days_absent, m.minutes, coalesce(m.units, '{}') AS units, m.units_used, m.outside_bands, m.not_measured,
	a.units_of_care,
	CASE WHEN a.alike AND a.units_of_care ~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN a.units_of_care::numeric END AS units_authorized,
	CASE WHEN a.alike AND a.units_of_care ~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN a.units_of_care::numeric - m.units_used END AS left_if_of_month,
	CASE WHEN a.alike AND a.units_of_care ~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN a.units_of_care::numeric * m.days_authorized - m.units_used END AS left_if_of_day,
	CASE
		WHEN a.units_of_care IS NULL THEN 'none_listed'
		WHEN NOT a.alike THEN 'several'
		WHEN a.units_of_care !~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN 'not_a_number'
		WHEN NOT m.has_bands THEN 'no_bands'
	END AS not_compared
FROM (
	SELECT u.organization_id, u.agency_id, u.state, u.provider_id, u.kinderconnect_child_id, u.month,
		sum(u.days_authorized)::bigint AS days_authorized, sum(u.days_attended)::bigint AS days_attended, sum(u.days_absent)::bigint AS days_absent,
		sum(u.minutes)::bigint AS minutes, jsonb_object_agg(u.unit, u.measured) FILTER (WHERE u.unit IS NOT NULL) AS units,
		coalesce(sum(u.measured) FILTER (WHERE u.unit IS NOT NULL), 0)::bigint AS units_used,
		coalesce(sum(u.measured) FILTER (WHERE u.unit IS NULL), 0)::bigint AS outside_bands,
		sum(u.days_attended - u.measured)::bigint AS not_measured,
		EXISTS (SELECT FROM kinderconnect.unit_band_in_force b WHERE b.agency_id = u.agency_id) AS has_bands
	FROM (
		SELECT d.organization_id, d.agency_id, g.state, d.provider_id, d.kinderconnect_child_id, date_trunc('month', d.service_date::timestamp)::date AS month, b.unit,
			count(*) FILTER (WHERE d.authorized) AS days_authorized, count(*) FILTER (WHERE s.said = 'session') AS days_attended,
			count(*) FILTER (WHERE s.said = 'absence') AS days_absent, coalesce(sum(t.minutes), 0) AS minutes, count(t.minutes) AS measured
		FROM kinderconnect.child_day d
		LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
		CROSS JOIN LATERAL (SELECT coalesce(d.kind, CASE
			WHEN d.reason IN ('missing_check_out', 'missing_check_in', 'out_before_in', 'too_short', 'too_long',
				'overlapping_sessions', 'over_midnight', 'clock_change', 'too_many_sessions') THEN 'session'
			WHEN d.reason = 'absence_reason' THEN 'absence' END, d.accepted_kind) AS said) s
		CROSS JOIN LATERAL (SELECT coalesce(g.time_zone, 'UTC') AS zone,
			(d.service_date + 2)::timestamp AT TIME ZONE coalesce(g.time_zone, 'UTC')
				- d.service_date::timestamp AT TIME ZONE coalesce(g.time_zone, 'UTC') <> interval '48 hours' AS clocks_change) z
		CROSS JOIN LATERAL (SELECT CASE WHEN count(*) = count(x.length) THEN (sum(extract(epoch FROM x.length)) / 60)::integer END AS minutes
			FROM (SELECT CASE WHEN z.clocks_change
					THEN CASE WHEN (w.wall_out AT TIME ZONE z.zone - interval '1 hour') AT TIME ZONE z.zone = w.wall_out
							THEN w.wall_out AT TIME ZONE z.zone - interval '1 hour' ELSE w.wall_out AT TIME ZONE z.zone END
						- CASE WHEN (w.wall_in AT TIME ZONE z.zone - interval '1 hour') AT TIME ZONE z.zone = w.wall_in
							THEN w.wall_in AT TIME ZONE z.zone - interval '1 hour' ELSE w.wall_in AT TIME ZONE z.zone END
					ELSE w.wall_out - w.wall_in END AS length
				FROM (SELECT d.service_date + r.i AS wall_in, d.service_date + (r.o <= r.i)::integer + r.o AS wall_out
					FROM unnest(CASE WHEN d.kind IS NULL THEN d.accepted_in ELSE d.session_in END,
						CASE WHEN d.kind IS NULL THEN d.accepted_out ELSE d.session_out END) r (i, o)
					WHERE s.said = 'session') w) x) t
		LEFT JOIN kinderconnect.unit_band_in_force b ON b.agency_id = d.agency_id AND b.valid @> d.service_date AND b.minutes @> t.minutes
		GROUP BY d.organization_id, d.agency_id, g.state, d.provider_id, d.kinderconnect_child_id, date_trunc('month', d.service_date::timestamp)::date, b.unit) u
	GROUP BY u.organization_id, u.agency_id, u.state, u.provider_id, u.kinderconnect_child_id, u.month) m
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (m.organization_id, m.agency_id, m.kinderconnect_child_id)
CROSS JOIN LATERAL (SELECT string_agg(DISTINCT btrim(a.units_of_care), ', ') AS units_of_care,
		count(DISTINCT btrim(a.units_of_care)) = 1 AND count(*) = count(a.units_of_care) AS alike
	FROM kinderconnect.authorization a
	WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id) = (m.organization_id, m.agency_id, m.provider_id, m.kinderconnect_child_id)
		AND a.known_until = 'infinity' AND a.begin_date < m.month + interval '1 month' AND (a.end_date >= m.month) IS NOT FALSE) a;
COMMENT ON VIEW kinderconnect.unit_use IS
'care of each child, provider and month in minutes and units, next to the units authorized. By what Manage says, else what the service holds; only finished days. The agency computes for itself: this is for finding what is far apart';
COMMENT ON COLUMN kinderconnect.unit_use.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unit_use.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unit_use.state IS 'its state';
COMMENT ON COLUMN kinderconnect.unit_use.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.unit_use.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.unit_use.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unit_use.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unit_use.month IS 'first day of the month';
COMMENT ON COLUMN kinderconnect.unit_use.days_authorized IS 'finished days that an authorization covers';
COMMENT ON COLUMN kinderconnect.unit_use.days_attended IS 'days with sessions, complete or not';
COMMENT ON COLUMN kinderconnect.unit_use.days_absent IS 'days with an absence';
COMMENT ON COLUMN kinderconnect.unit_use.minutes IS 'minutes of care on the days that can be measured';
COMMENT ON COLUMN kinderconnect.unit_use.units IS 'days by unit, after unit_band: {"full": 12, "part": 3}';
COMMENT ON COLUMN kinderconnect.unit_use.units_used IS 'their sum';
COMMENT ON COLUMN kinderconnect.unit_use.outside_bands IS 'days measured that are in no band';
COMMENT ON COLUMN kinderconnect.unit_use.not_measured IS 'days attended without both times of every session, or held for their times';
COMMENT ON COLUMN kinderconnect.unit_use.units_of_care IS 'as listed, of the authorizations that stand and touch the month';
COMMENT ON COLUMN kinderconnect.unit_use.units_authorized IS 'the same as a number; null: see not_compared';
COMMENT ON COLUMN kinderconnect.unit_use.left_if_of_month IS 'what is left if units_authorized is meant for the month: that is not publicly known';
COMMENT ON COLUMN kinderconnect.unit_use.left_if_of_day IS 'what is left if it is meant for each authorized day';
COMMENT ON COLUMN kinderconnect.unit_use.not_compared IS 'why units are not compared: none_listed, several that differ, not_a_number, no_bands known for the agency; null: they are';
-- Analysts who may see some organizations only, by PostgreSQL's row-level
-- security. Policies hold for everybody, and let all through to whom nothing
-- restricts. This part comes after the last table.

CREATE TABLE kinderconnect.restricted_analyst (
	analyst          regrole PRIMARY KEY,
	organization_ids text[] NOT NULL,
	restricted_at    timestamptz NOT NULL DEFAULT now(),
	restricted_by    text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE kinderconnect.restricted_analyst IS
'roles that see some organizations only; written by restrict_analyst() and unrestrict_analyst()';
COMMENT ON COLUMN kinderconnect.restricted_analyst.analyst IS 'the role; holds for its members too';
COMMENT ON COLUMN kinderconnect.restricted_analyst.organization_ids IS 'the organizations it sees; empty: none';
COMMENT ON COLUMN kinderconnect.restricted_analyst.restricted_at IS 'when';
COMMENT ON COLUMN kinderconnect.restricted_analyst.restricted_by IS 'the role that had logged in';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.restricted_analyst', '');

-- Both the role in force and the one that has logged in count, so that SET
-- ROLE is no way out. A superuser is a member of every role, and restricted by
-- none.
CREATE FUNCTION kinderconnect._is_restricted(role name) RETURNS boolean
	LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT EXISTS (
		SELECT FROM pg_catalog.pg_roles u JOIN kinderconnect.restricted_analyst r ON pg_has_role(u.oid, r.analyst, 'MEMBER')
		WHERE u.rolname IN (role, session_user) AND NOT u.rolsuper);
END;
COMMENT ON FUNCTION kinderconnect._is_restricted(name) IS
'whether an analyst who is, by SET ROLE or by login, this role sees some organizations only';

CREATE FUNCTION kinderconnect._visible_organizations(role name) RETURNS SETOF text
	LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER ROWS 10
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT o.organization_id
	FROM kinderconnect.organization o
	WHERE NOT EXISTS (
		SELECT FROM pg_catalog.pg_roles u
		WHERE u.rolname IN (role, session_user) AND NOT u.rolsuper
			AND EXISTS (SELECT FROM kinderconnect.restricted_analyst r WHERE pg_has_role(u.oid, r.analyst, 'MEMBER'))
			AND NOT EXISTS (SELECT FROM kinderconnect.restricted_analyst r
				WHERE pg_has_role(u.oid, r.analyst, 'MEMBER') AND o.organization_id = ANY (r.organization_ids)));
END;
COMMENT ON FUNCTION kinderconnect._visible_organizations(name) IS
'the organizations that an analyst sees who is, by SET ROLE or by login, this role';

-- The first condition is evaluated once in a query, and then, for most, it is
-- the only one.
DO $$
DECLARE
	item record;
BEGIN
	FOR item IN
		SELECT c.oid::regclass AS relation, EXISTS (SELECT FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped) AS of_organizations
		FROM pg_catalog.pg_class c
		WHERE c.relnamespace = 'kinderconnect'::regnamespace AND c.relkind IN ('r', 'p')
		ORDER BY c.relname
	LOOP
		CONTINUE WHEN NOT item.of_organizations AND item.relation <> 'kinderconnect.run'::regclass;
		EXECUTE format('CREATE POLICY analyst ON %s FOR SELECT TO kinderconnect_analyst
			USING (NOT (SELECT kinderconnect._is_restricted(current_user)) OR %s)', item.relation,
			CASE WHEN item.of_organizations THEN 'organization_id IN (SELECT kinderconnect._visible_organizations(current_user))'
				ELSE 'run_id IN (SELECT o.run_id FROM kinderconnect.run_organization o)' END);
		EXECUTE format('CREATE POLICY operator ON %s TO kinderconnect_operator, kinderconnect_admin USING (true)', item.relation);
		EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', item.relation);
	END LOOP;
END
$$;

CREATE FUNCTION kinderconnect.restrict_analyst(analyst regrole, VARIADIC organization_ids text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	unknown text;
BEGIN
	IF restrict_analyst.analyst IS NULL OR restrict_analyst.organization_ids IS NULL OR array_position(restrict_analyst.organization_ids, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'analyst and organization_ids must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF EXISTS (SELECT FROM pg_roles r WHERE r.oid = restrict_analyst.analyst
			AND (r.rolsuper OR r.rolbypassrls OR r.rolname IN ('kinderconnect_admin', 'kinderconnect_operator', 'kinderconnect_analyst')))
		OR pg_has_role(restrict_analyst.analyst, 'kinderconnect_operator', 'MEMBER') OR pg_has_role(restrict_analyst.analyst, 'kinderconnect_admin', 'MEMBER') THEN
		RAISE EXCEPTION 'role % cannot be restricted to organizations', restrict_analyst.analyst
			USING ERRCODE = 'invalid_parameter_value',
				DETAIL = 'Superusers, roles with BYPASSRLS, administrators and operators see all, and the shipped roles stay as they are.',
				HINT = 'Restrict a role of your own that is a member of kinderconnect_analyst alone.';
	END IF;
	SELECT string_agg(format('"%s"', w.id), ', ' ORDER BY w.id) INTO unknown FROM unnest(restrict_analyst.organization_ids) w(id)
	WHERE NOT EXISTS (SELECT FROM kinderconnect.organization o WHERE o.organization_id = w.id);
	IF unknown IS NOT NULL THEN
		RAISE EXCEPTION 'organizations are not known: %', unknown
			USING ERRCODE = 'KC001', HINT = 'SELECT organization_id FROM kinderconnect.organization lists those that are.';
	END IF;

	INSERT INTO kinderconnect.restricted_analyst AS r (analyst, organization_ids)
	VALUES (restrict_analyst.analyst, restrict_analyst.organization_ids)
	ON CONFLICT (analyst) DO UPDATE
	SET organization_ids = excluded.organization_ids, restricted_at = excluded.restricted_at, restricted_by = excluded.restricted_by;
END;
$$;
COMMENT ON FUNCTION kinderconnect.restrict_analyst(regrole, text[]) IS
'has an analyst''s role, and its members, see these organizations only, in every table and view; calling it again replaces them';

CREATE FUNCTION kinderconnect.unrestrict_analyst(analyst regrole) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	DELETE FROM kinderconnect.restricted_analyst WHERE analyst = unrestrict_analyst.analyst;
	RETURN FOUND;
END;
$$;
COMMENT ON FUNCTION kinderconnect.unrestrict_analyst(regrole) IS
'has a role see all organizations again; false where it was not restricted';
-- Who may do what. Nothing for PUBLIC; a new object without a line here is
-- its owner's alone.

REVOKE ALL ON ALL ROUTINES IN SCHEMA kinderconnect FROM PUBLIC;
DO $$
DECLARE
	item record;
BEGIN
	FOR item IN SELECT c.oid::regclass AS name, c.relkind FROM pg_catalog.pg_class c
		WHERE c.relnamespace = 'kinderconnect'::regnamespace AND c.relkind IN ('c', 'v')
	LOOP
		IF item.relkind = 'c' THEN
			EXECUTE format('REVOKE ALL ON TYPE %s FROM PUBLIC', item.name);
		ELSE
			-- what a restricted analyst may not see in a table, he does not see in a view
			EXECUTE format('ALTER VIEW %s SET (security_invoker = true)', item.name);
		END IF;
	END LOOP;
END
$$;

-- Analysts read, and call nothing that leaves the server.
GRANT SELECT ON
	kinderconnect.organization, kinderconnect.provider, kinderconnect.agency, kinderconnect.customer,
	kinderconnect.organization_agency, kinderconnect.listed_location, kinderconnect.list_state, kinderconnect.list_problem,
	kinderconnect.child, kinderconnect.authorization, kinderconnect.listed_authorization, kinderconnect.child_link,
	kinderconnect.nickname, kinderconnect.same_name, kinderconnect.known_child, kinderconnect.child_decision, kinderconnect.parted_pair,
	kinderconnect.scored_child, kinderconnect.match_candidate, kinderconnect.child_match_status, kinderconnect.match_state, kinderconnect.score_state,
	kinderconnect.rule, kinderconnect.agency_rule, kinderconnect.absence_reason, kinderconnect.reason,
	kinderconnect.child_day, kinderconnect.child_day_step, kinderconnect.location_zone,
	kinderconnect.ledger, kinderconnect.batch, kinderconnect.batch_record,
	kinderconnect.run, kinderconnect.run_organization, kinderconnect.run_provider,
	kinderconnect.comparison, kinderconnect.comparison_difference,
	kinderconnect.provider_standing, kinderconnect.provider_summary, kinderconnect.held_summary, kinderconnect.unlinked_child,
	kinderconnect.authorized_child, kinderconnect.authorization_history, kinderconnect.unmatched_summary,
	kinderconnect.unclaimed_day, kinderconnect.provider_month,
	kinderconnect.absence_limit, kinderconnect.unit_band, kinderconnect.entry_window, kinderconnect.absence_limit_in_force,
	kinderconnect.unit_band_in_force, kinderconnect.unsettled_day, kinderconnect.about_to_be_lost, kinderconnect.held_ageing,
	kinderconnect.child_day_history, kinderconnect.absence_use, kinderconnect.unit_use
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect.library_version(), kinderconnect.setting(text), kinderconnect.fold(text),
	kinderconnect.content(text, time[], time[], text), kinderconnect._absence_period(date, date, integer, integer),
	kinderconnect.authorizations_ending(integer), kinderconnect.newly_authorized(date),
	kinderconnect._is_restricted(name), kinderconnect._visible_organizations(name)
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;

-- Operators run the night and look after what it holds back. They read the
-- configuration, and the names of secrets, but change neither.
GRANT SELECT ON
	kinderconnect.endpoint, kinderconnect.dialect, kinderconnect.dialect_operation, kinderconnect.dialect_field,
	kinderconnect.arming, kinderconnect.manage_column, kinderconnect.provider_review, kinderconnect.restricted_analyst, kinderconnect.attendance_problem
	TO kinderconnect_operator, kinderconnect_admin;
GRANT INSERT, UPDATE, DELETE ON
	kinderconnect.agency, kinderconnect.customer, kinderconnect.organization_agency, kinderconnect.listed_location,
	kinderconnect.list_state, kinderconnect.list_problem, kinderconnect.child, kinderconnect.authorization,
	kinderconnect.listed_authorization, kinderconnect.known_child, kinderconnect.scored_child, kinderconnect.match_candidate, kinderconnect.match_state, kinderconnect.score_state
	TO kinderconnect_operator;
GRANT INSERT ON kinderconnect.child_decision, kinderconnect.child_day_step TO kinderconnect_operator;
GRANT INSERT, UPDATE ON kinderconnect.location_zone TO kinderconnect_operator;
GRANT DELETE ON kinderconnect.location_zone TO kinderconnect_admin;
GRANT INSERT, UPDATE, DELETE ON kinderconnect.nickname TO kinderconnect_operator, kinderconnect_admin;
GRANT INSERT, UPDATE ON
	kinderconnect.child_link, kinderconnect.child_day, kinderconnect.ledger, kinderconnect.batch, kinderconnect.batch_record,
	kinderconnect.run, kinderconnect.run_organization, kinderconnect.run_provider,
	kinderconnect.comparison, kinderconnect.comparison_difference
	TO kinderconnect_operator;
GRANT INSERT (organization_id, agency_id, provider_id, configured), UPDATE (found_location_id) ON kinderconnect.provider TO kinderconnect_operator;
GRANT USAGE ON SEQUENCE kinderconnect.run_run_id_seq TO kinderconnect_operator;
GRANT EXECUTE ON FUNCTION
	kinderconnect._require_armed(), kinderconnect._require_ordinary_rights(),
	kinderconnect._has_secret(text), kinderconnect.api_customers(text), kinderconnect.api_locations(text, text), kinderconnect.api_agencies(text, text),
	kinderconnect.api_children(text, text, text, date), kinderconnect.api_readback(text, text, text, date, date),
	kinderconnect.test_connection(text), kinderconnect.check_dialect(text), kinderconnect._compile_dialect(text, text),
	kinderconnect.preview(text, text, text, date, date), kinderconnect.reconcile(text, date, date, text, text),
	kinderconnect.link_child(text, text, text, text, text), kinderconnect.reject_match(text, text, text, text, text),
	kinderconnect.unlink_child(text, text, text, text),
	kinderconnect.retry(text, text, text, text, date, date), kinderconnect.void_day(text, text, text, text, date),
	kinderconnect.accept_shrink(text, text, text),
	kinderconnect.schedule(text), kinderconnect.unschedule(), kinderconnect._cron_schema(),
	kinderconnect._open(interval), kinderconnect._close(), kinderconnect._lock(text), kinderconnect._unlock(text),
	kinderconnect._room(), kinderconnect._pending(), kinderconnect._has_room(), kinderconnect._detail(text, text), kinderconnect._is_busy(),
	kinderconnect._start(text, text, text, text, text, date, date, date),
	kinderconnect._start_submit(text, text, text, text, kinderconnect.wire_record[]),
	kinderconnect._collect(interval), kinderconnect._rows(bigint, anyelement), kinderconnect._release(bigint),
	kinderconnect._said(kinderconnect.call_outcome), kinderconnect._is_bound(text), kinderconnect._require_manage(),
	kinderconnect._require_organization(text), kinderconnect._speaks(text, text), kinderconnect._zone(text),
	kinderconnect._know_sizes(), kinderconnect._fail_organization(bigint, text, boolean, text, text, text),
	kinderconnect._fail_provider(bigint, text, text, text, boolean, text, text, text),
	kinderconnect._take_list(bigint, kinderconnect.call_outcome), kinderconnect._take_customers(bigint, kinderconnect.call_outcome),
	kinderconnect._take_agencies(bigint, kinderconnect.call_outcome), kinderconnect._take_locations(bigint, kinderconnect.call_outcome),
	kinderconnect._take_children(bigint, kinderconnect.call_outcome), kinderconnect._children_reply(bigint),
	kinderconnect._location_candidates(text), kinderconnect._match_providers(text), kinderconnect._months(text, date, date),
	kinderconnect._close_vanished(bigint, text, date, date), kinderconnect._stored_ids(text), kinderconnect._new_links(text, boolean, timestamptz),
	kinderconnect._links(text), kinderconnect._middle_agrees(text, text),
	kinderconnect._differing(kinderconnect.child, date, text, text, text, text), kinderconnect._flag(text, text[], text[], boolean, boolean),
	kinderconnect._flag_links(text, timestamptz, text[]), kinderconnect._merges(text, text[], text[]), kinderconnect._end_merged(text), kinderconnect._match(text),
	kinderconnect._digest(text, text, text, text, date, boolean), kinderconnect._read_children(text, boolean), kinderconnect._manage_now(text),
	kinderconnect._unscore(text, timestamptz, text[], date[], text[]),
	kinderconnect._words(text), kinderconnect._sorted(text), kinderconnect._first_key(text), kinderconnect._middle_key(text, text),
	kinderconnect._last_key(text), kinderconnect._suffix_key(text, text, text), kinderconnect._sound(text),
	kinderconnect._compare_names(text, text), kinderconnect._compare_dates(text, text), kinderconnect._worth(text),
	kinderconnect._in_words(text, text, text, text), kinderconnect._few_changed(text, timestamptz, text[]), kinderconnect._few_to_score(text), kinderconnect._pairs(text, timestamptz), kinderconnect._candidates(text), kinderconnect._score(text), kinderconnect._rules(text, date), kinderconnect._first_reading(timestamp, text),
	kinderconnect._can_void(text), kinderconnect._wire_limits(text), kinderconnect._location_zones(text), kinderconnect._attendance(text, date), kinderconnect._note_zones(text), kinderconnect._attendance_problems(text),
	kinderconnect._planned(text, text, text, date, date, boolean, timestamptz), kinderconnect._plan(text, text, text, date, date),
	kinderconnect._settle(text, text[], text, text[], text[]), kinderconnect._recover(text),
	kinderconnect._merged_days(text), kinderconnect._take_over_merged(bigint, kinderconnect.call_outcome),
	kinderconnect._new_batch(bigint, text, text, text, text, boolean, boolean, text[]),
	kinderconnect._differences(bigint, text, text, text, date, date), kinderconnect._providers_to_compare(bigint, text),
	kinderconnect._ask_comparison(bigint, text, text, text, date, date),
	kinderconnect._take_comparison(bigint, kinderconnect.call_outcome),
	kinderconnect._most_records(text, text, text), kinderconnect._next_batch(bigint, text, text, text, date, date), kinderconnect._send(text, text),
	kinderconnect._listed_tonight(bigint, text, text, text), kinderconnect._is_refused_alike(bigint, kinderconnect.call_outcome),
	kinderconnect._take_submit(bigint, kinderconnect.call_outcome),
	kinderconnect._give_up(bigint, text, text, text, kinderconnect.call_outcome),
	kinderconnect._acquit(bigint, text, text, text),
	kinderconnect._repeat_unknown(bigint, text, text, text), kinderconnect._take_readback(bigint, kinderconnect.call_outcome),
	kinderconnect._begin_run(text, text, text, date, date, boolean), kinderconnect._step(bigint, text), kinderconnect._locked(bigint),
	kinderconnect._at_work(bigint), kinderconnect._has_unknown(bigint),
	kinderconnect._ask(bigint, text, text, text, text, text, date, date, date), kinderconnect._dispatch(bigint, text, text, text, text),
	kinderconnect._prepare(bigint, text, text, text, date, date),
	kinderconnect._guarded(bigint, text, text, text, text, date, date), kinderconnect._customers_to_ask(bigint),
	kinderconnect._months_to_ask(bigint, text, text, date, date), kinderconnect._unknown_to_resolve(bigint),
	kinderconnect._providers_to_send(bigint, text, text, date, date), kinderconnect._take(bigint),
	kinderconnect._account(bigint), kinderconnect._report(bigint, bigint)
	TO kinderconnect_operator;
GRANT EXECUTE ON PROCEDURE
	kinderconnect._make_room(bigint), kinderconnect._drain(bigint), kinderconnect.nightly(text, text, text, date, date)
	TO kinderconnect_operator;

GRANT EXECUTE ON FUNCTION
	kinderconnect.purgeable(), kinderconnect._old_calls(text), kinderconnect._old_lists(text), kinderconnect._old_runs(),
	kinderconnect._purge_calls(text, integer), kinderconnect._purge_lists(text), kinderconnect._purge_runs(integer)
	TO kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON PROCEDURE kinderconnect.purge(integer) TO kinderconnect_operator, kinderconnect_admin;

-- Admins configure, and hold the secrets file's pen; what they cannot do is
-- read a secret.
GRANT INSERT, UPDATE, DELETE ON
	kinderconnect.endpoint, kinderconnect.dialect, kinderconnect.dialect_operation, kinderconnect.dialect_field,
	kinderconnect.agency_rule, kinderconnect.absence_limit, kinderconnect.unit_band, kinderconnect.absence_reason,
	kinderconnect.restricted_analyst
	TO kinderconnect_admin;
GRANT INSERT, UPDATE ON kinderconnect.organization, kinderconnect.provider, kinderconnect.agency TO kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect.set_secret(text, text), kinderconnect.remove_secret(text), kinderconnect._has_secret(text),
	kinderconnect.arm(), kinderconnect.disarm(), kinderconnect._require_armed(),
	kinderconnect.enable_integration(text, text, text, text, integer, boolean), kinderconnect.disable_integration(text),
	kinderconnect.add_provider(text, text, text, text), kinderconnect.disable_provider(text, text, text),
	kinderconnect.bind_manage(text, text), kinderconnect._check_sample(text), kinderconnect._check_rebind(text, text),
	kinderconnect._words(text), kinderconnect._sorted(text), kinderconnect._first_key(text), kinderconnect._last_key(text),
	kinderconnect._warn_of_rows(text, text[], text, text, text), kinderconnect._is_bound(text), kinderconnect._require_organization(text),
	kinderconnect._speaks(text, text), kinderconnect._zone(text), kinderconnect._detail(text, text),
	kinderconnect.test_connection(text), kinderconnect.api_customers(text), kinderconnect.api_locations(text, text),
	kinderconnect.api_agencies(text, text), kinderconnect.api_children(text, text, text, date),
	kinderconnect.api_readback(text, text, text, date, date),
	kinderconnect.check_dialect(text), kinderconnect._compile_dialect(text, text),
	kinderconnect.restrict_analyst(regrole, text[]), kinderconnect.unrestrict_analyst(regrole),
	kinderconnect._attendance_problems(text), kinderconnect._location_zones(text), kinderconnect._location_candidates(text)
	TO kinderconnect_admin;

-- The clock and its health.
GRANT SELECT ON kinderconnect.stop_switch, kinderconnect.timetable, kinderconnect.provider_clock, kinderconnect.due
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._instant(timestamp, text), kinderconnect._runs_on(date, text, text[], date, integer[]),
	kinderconnect._scheduled(text, time, text[], date, integer[], text, timestamptz, boolean),
	kinderconnect._retry_after(integer, text), kinderconnect._due_at(timestamptz, timestamptz, timestamptz, timestamptz, integer, text),
	kinderconnect._due_as_of(timestamptz)
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT INSERT (reason), UPDATE (resumed_at, resumed_by) ON kinderconnect.stop_switch TO kinderconnect_operator, kinderconnect_admin;
GRANT USAGE ON SEQUENCE kinderconnect.stop_switch_stop_id_seq TO kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION kinderconnect.stop(text), kinderconnect.resume(), kinderconnect._stopped_because()
	TO kinderconnect_operator, kinderconnect_admin;
GRANT INSERT, UPDATE ON kinderconnect.provider_clock TO kinderconnect_operator;
GRANT UPDATE ON SEQUENCE kinderconnect.last_tick TO kinderconnect_operator;
GRANT EXECUTE ON FUNCTION
	kinderconnect._require_not_stopped(), kinderconnect._goes_on(bigint), kinderconnect._due_now(), kinderconnect._tick(),
	kinderconnect._take_part(bigint, text), kinderconnect._set_clocks(text), kinderconnect._keep_time(bigint),
	kinderconnect._drop_waiting(text, text, text), kinderconnect._cron_settings()
	TO kinderconnect_operator;
GRANT EXECUTE ON PROCEDURE kinderconnect._night(text, text, text, date, date, boolean), kinderconnect.tick() TO kinderconnect_operator;
GRANT INSERT, UPDATE, DELETE ON kinderconnect.timetable TO kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect.set_schedule(text, text, time, text[], date, integer[], text, text), kinderconnect.clear_schedule(text, text, text)
	TO kinderconnect_admin;
GRANT SELECT ON kinderconnect.health_check, kinderconnect.health_threshold, kinderconnect.health, kinderconnect.health_summary, kinderconnect.progress
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT SELECT ON SEQUENCE kinderconnect.last_tick TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION kinderconnect._last_tick(), kinderconnect._why_not_armed(), kinderconnect._cron_job(), kinderconnect._months(text, date, date)
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._failure_word(text), kinderconnect._tell_begin(bigint), kinderconnect._tell_dead(bigint), kinderconnect._tell_end(bigint)
	TO kinderconnect_operator;
GRANT INSERT, UPDATE, DELETE ON kinderconnect.health_threshold TO kinderconnect_admin;
GRANT EXECUTE ON FUNCTION kinderconnect.set_threshold(text, numeric, numeric), kinderconnect.reset_threshold(text) TO kinderconnect_admin;
