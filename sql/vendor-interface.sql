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
