-- A wire that nobody speaks, as far as can be from those that are shipped: PUT,
-- nested rows, numbers for weekdays, dates with dots, success in the body.
INSERT INTO kinderconnect.dialect (dialect, description, auth) VALUES ('third', 'made up for the tests', 'none');
INSERT INTO kinderconnect.dialect_operation (dialect, operation, method, path, list_path, nested_path, next_page_path,
	success_path, success_value, error_code_path, error_message_path, bad_password_code, bad_provider_code, record_path, max_records)
VALUES
	('third', 'children', 'PUT', '/enrolment', 'answer.families', 'grants', 'answer.more', 'answer.ok', 'true', 'answer.fault.no', 'answer.fault.text', '7', '8', NULL, NULL),
	('third', 'submit', 'PUT', '/care', 'answer.lines', NULL, NULL, 'answer.ok', 'true', 'answer.fault.no', 'answer.fault.text', '7', '8', 'parcel.days', 50);
INSERT INTO kinderconnect.dialect_field (dialect, operation, part, position, column_name, path, format, constant, codes, required)
SELECT 'third', o.operation, 'request', f.*
FROM (VALUES ('children'), ('submit')) o (operation)
CROSS JOIN (VALUES
	(1, NULL, 'version', NULL, '3'::jsonb, NULL::jsonb, false),
	(2, 'agency_id', 'site.office', NULL, NULL, NULL, true),
	(3, 'provider_id', 'site.no', NULL, NULL, NULL, true),
	(4, 'group_password', 'site.key', NULL, NULL, NULL, true)) f (position, column_name, path, format, constant, codes, required);
INSERT INTO kinderconnect.dialect_field (dialect, operation, part, position, column_name, path, format, codes, required)
VALUES
	('third', 'children', 'request', 5, 'month', 'period', 'YYYYMM', NULL, true),
	('third', 'children', 'request', 6, 'page', 'more', NULL, NULL, false),
	('third', 'children', 'reply', 1, 'kinderconnect_child_id', 'no', NULL, NULL, true),
	('third', 'children', 'reply', 2, 'first_name', 'name.given', NULL, NULL, true),
	('third', 'children', 'reply', 3, 'last_name', 'name.family', NULL, NULL, true),
	('third', 'children', 'reply', 4, 'date_of_birth', 'born', 'DD.MM.YYYY', NULL, true),
	('third', 'children', 'reply', 5, 'subsidized', 'paid_by', NULL, '{"true": "state", "false": "family"}', false),
	('third', 'children', 'reply', 6, 'begin_date', 'grants[].from', 'FMDD.FMMM.YYYY', NULL, true),
	('third', 'children', 'reply', 7, 'end_date', 'grants[].till', 'FMDD.FMMM.YYYY', NULL, false),
	('third', 'children', 'reply', 8, 'units_of_care', 'grants[].hours', NULL, NULL, false),
	('third', 'children', 'reply', 9, 'days', 'grants[].week[]', NULL, '{"MO": 1, "TU": 2, "WE": 3, "TH": 4, "FR": 5, "SA": 6, "SU": 7}', false),
	('third', 'submit', 'request', 5, 'batch_id', 'parcel.name', NULL, NULL, true),
	('third', 'submit', 'record', 1, 'record_id', 'id', NULL, NULL, true),
	('third', 'submit', 'record', 2, 'kinderconnect_child_id', 'no', NULL, NULL, true),
	('third', 'submit', 'record', 3, 'service_date', 'on', 'DD.MM.YYYY', NULL, true),
	('third', 'submit', 'record', 4, 'session_in', 'visits[].came', 'HH24.MI', NULL, false),
	('third', 'submit', 'record', 5, 'session_out', 'visits[].went', 'HH24.MI', NULL, false),
	('third', 'submit', 'record', 6, 'kind', 'instead.what', NULL, '{"session": null, "absence": "AWAY", "closure": "SHUT", "void": "NOTHING"}', false),
	('third', 'submit', 'record', 7, 'absence_reason', 'instead.why', NULL, NULL, false),
	('third', 'submit', 'reply', 1, 'record_id', 'id', NULL, NULL, true),
	('third', 'submit', 'reply', 2, 'status', 'taken', NULL, '{"accepted": "yes", "duplicate": "before", "rejected": "no"}', true),
	('third', 'submit', 'reply', 3, 'code', 'because.no', NULL, NULL, false),
	('third', 'submit', 'reply', 4, 'message', 'because.text', NULL, NULL, false);
