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
	IF check_dialect.dialect IS NULL THEN
		RAISE EXCEPTION 'dialect must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
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
			part := concat_ws(' ', item.operation, substring(detail FROM 'part "([^"]+)"'), substring(detail FROM 'position ([0-9]+)'));
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
		SELECT s.operation, 'it has codes for a wrong group password or provider ID, and no code is read from a reply', 'warning', 'Set error_code_path.'
		FROM spoken s
		WHERE s.error_code_path IS NULL AND num_nonnulls(s.bad_password_code, s.bad_provider_code) > 0

		UNION ALL
		SELECT s.operation, 'no code of the service tells a wrong group password: a run goes on asking with it', 'info',
			'Nothing, if the service has none; else set bad_password_code, and bad_provider_code likewise.'
		FROM spoken s
		WHERE s.error_code_path IS NOT NULL AND s.bad_password_code IS NULL

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
