-- The dialect kinderbridge: JSON over POST, OAuth2, paging, read-back. The
-- names are our own, made from what users of the service tell in public.

INSERT INTO kinderconnect.dialect (dialect, description, builtin, auth) VALUES
	('kinderbridge', 'REST with OAuth2 client credentials; group ID and group password in each request', true, 'oauth2');

INSERT INTO kinderconnect.dialect_operation
	(dialect, operation, path, list_path, nested_path, next_page_path, error_code_path, error_message_path, bad_password_code, bad_provider_code,
	record_path, max_records, max_bytes)
SELECT 'kinderbridge', o.operation, o.path, o.list_path, o.nested_path, o.next_page_path, 'error.code', 'error.message', 'BAD_GROUP_PASSWORD', 'PROVIDER_NOT_IN_GROUP',
	o.record_path, o.max_records, o.max_bytes
FROM (VALUES
	('customers', '/v1/customers', 'customers', NULL, 'nextPage', NULL, NULL::integer, NULL::integer),
	('locations', '/v1/locations', 'locations', NULL, 'nextPage', NULL, NULL, NULL),
	('agencies', '/v1/agencies', 'agencies', NULL, 'nextPage', NULL, NULL, NULL),
	('children', '/v1/children', 'children', 'authorizations', 'nextPage', NULL, NULL, NULL),
	('submit', '/v1/attendance', 'results', NULL, NULL, 'records', 500, 1048576),
	('readback', '/v1/attendance/query', 'records', NULL, 'nextPage', NULL, NULL, NULL)
	) o (operation, path, list_path, nested_path, next_page_path, record_path, max_records, max_bytes);

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
