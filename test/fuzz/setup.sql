-- For the fuzzer: a dialect with what neither shipped one has, and one that is
-- changed by each input.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION kinderconnect CASCADE;
\i test/lib/third_dialect.sql
INSERT INTO kinderconnect.dialect_operation (dialect, operation, path, list_path, next_page_path)
VALUES ('third', 'readback', '/held', 'held', 'next');
INSERT INTO kinderconnect.dialect_field (dialect, operation, part, position, column_name, path, format, element)
VALUES
	('third', 'readback', 'reply', 1, 'record_id', 'id', NULL, NULL),
	('third', 'readback', 'reply', 2, 'service_date', 'on', 'DD.MM.YYYY', NULL),
	('third', 'readback', 'reply', 3, 'session_in', 'in1', 'HH12:MI:SS AM', 1),
	('third', 'readback', 'reply', 4, 'session_out', 'out1', 'HH12:MI:SS AM', 1),
	('third', 'readback', 'reply', 5, 'session_in', 'later.in2', 'FMHH24:MI', 2),
	('third', 'readback', 'reply', 6, 'session_out', 'later.out2', 'FMHH24:MI', 2),
	('third', 'readback', 'reply', 7, 'received_at', 'at', NULL, NULL);
INSERT INTO kinderconnect.dialect SELECT 'fuzz', description, false, auth FROM kinderconnect.dialect WHERE dialect = 'kinderbridge';
INSERT INTO kinderconnect.dialect_operation SELECT (jsonb_populate_record(o, '{"dialect": "fuzz"}')).*
FROM kinderconnect.dialect_operation o WHERE dialect = 'kinderbridge';
INSERT INTO kinderconnect.dialect_field SELECT (jsonb_populate_record(f, '{"dialect": "fuzz"}')).*
FROM kinderconnect.dialect_field f WHERE dialect = 'kinderbridge';
