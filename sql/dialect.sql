-- How a service speaks, as rows. The C core compiles them into a plan for each
-- operation, and no name of the wire stands anywhere else. To adapt one, copy
-- it with INSERT ... SELECT under another name and UPDATE the copy; upgrades
-- replace the shipped ones, and a dump leaves them out.

CREATE TABLE kinderconnect.dialect (
	dialect     text COLLATE "C" PRIMARY KEY CHECK (dialect <> ''),
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
	dialect            text COLLATE "C" NOT NULL REFERENCES kinderconnect.dialect ON DELETE CASCADE,
	operation          text COLLATE "C" NOT NULL,
	method             text NOT NULL DEFAULT 'POST',
	path               text NOT NULL,
	list_path          text NOT NULL,
	nested_path        text,
	next_page_path     text,
	success_path       text,
	success_value      text,
	error_code_path    text,
	error_message_path text,
	bad_password_code  text,
	bad_provider_code  text,
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
	CONSTRAINT dialect_operation_bad_codes_are_words CHECK (bad_password_code <> '' AND bad_provider_code <> '' AND bad_password_code <> bad_provider_code),
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
COMMENT ON COLUMN kinderconnect.dialect_operation.bad_password_code IS
'what stands at error_code_path where the group password is wrong: nothing more is sent for the organization in that run; null: no code says so';
COMMENT ON COLUMN kinderconnect.dialect_operation.bad_provider_code IS
'what stands at error_code_path where the provider ID is not one of the group; null: no code says so';
COMMENT ON COLUMN kinderconnect.dialect_operation.record_path IS 'submit: key path in the request where the array of records stands';
COMMENT ON COLUMN kinderconnect.dialect_operation.max_records IS 'submit: no request carries more records; null for no limit';
COMMENT ON COLUMN kinderconnect.dialect_operation.max_bytes IS 'no request is larger; null for no limit';

CREATE TABLE kinderconnect.dialect_field (
	dialect     text COLLATE "C" NOT NULL,
	operation   text COLLATE "C" NOT NULL,
	part        text COLLATE "C" NOT NULL,
	position    integer NOT NULL,
	column_name text COLLATE "C",
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
	CONSTRAINT dialect_field_element_is_sane CHECK (element IS NULL OR element >= 1 AND element <= 100 AND part <> 'request'),
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
'sent: a null is an error and nothing is sent; read: a record without this key is a problem, also where another key of the column has a value';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.dialect', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.dialect_operation',
	'WHERE dialect NOT IN (SELECT d.dialect FROM kinderconnect.dialect d WHERE d.builtin)');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.dialect_field',
	'WHERE dialect NOT IN (SELECT d.dialect FROM kinderconnect.dialect d WHERE d.builtin)');
