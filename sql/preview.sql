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
	PERFORM kinderconnect._require_provider(preview.organization_id, preview.agency_id, preview.provider_id);
	PERFORM kinderconnect._require_period(preview.from_date, preview.to_date);
	PERFORM kinderconnect._require_manage();
	FOR organization IN
		SELECT o.organization_id FROM kinderconnect.organization o
		WHERE o.organization_id = preview.organization_id OR o.enabled AND preview.organization_id IS NULL
		ORDER BY o.organization_id
	LOOP
		BEGIN
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
		EXCEPTION WHEN data_exception THEN
			PERFORM kinderconnect._manage_fails(SQLSTATE);
		END;
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

	FOR item IN SELECT * FROM (VALUES ('group password', org.group_password, 'group_password of kinderconnect.organization'),
		('client secret', service.client_secret, 'client_secret of kinderconnect.endpoint')) s(what, name, column_name) WHERE s.name IS NOT NULL LOOP
		step := 'secret';
		subject := item.what;
		BEGIN
			ok := kinderconnect._has_secret(item.name);
			-- the name is not repeated: it may be the secret itself
			message := CASE WHEN ok THEN 'in the secrets file' ELSE 'not in the secrets file' END;
			hint := CASE WHEN NOT ok THEN format('Write the line that %s names into the file of kinderconnect.secrets_file, or call kinderconnect.set_secret().', item.column_name) END;
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

	-- what the service does not list has to be entered
	IF NOT kinderconnect._speaks(org.organization_id, 'locations')
		AND NOT EXISTS (SELECT FROM kinderconnect.provider_standing p WHERE p.organization_id = org.organization_id AND p.barred IS NULL) THEN
		step := 'locations';
		subject := 'providers';
		ok := false;
		message := 'the service lists none, and none is entered';
		hint := 'Enter each: SELECT kinderconnect.add_provider(organization_id, agency_id, provider_id, location_id).';
		RETURN NEXT;
	END IF;
	IF NOT kinderconnect._speaks(org.organization_id, 'agencies') THEN
		FOR item IN SELECT DISTINCT p.agency_id FROM kinderconnect.provider_standing p
				WHERE p.organization_id = org.organization_id AND p.barred IS NULL
					AND NOT EXISTS (SELECT FROM kinderconnect.agency a WHERE a.agency_id = p.agency_id AND a.state IS NOT NULL) ORDER BY p.agency_id LOOP
			step := 'agencies';
			subject := format('agency "%s"', item.agency_id);
			ok := false;
			message := 'the service lists none, and no state is entered: no rule of a state applies';
			hint := 'Enter its state in kinderconnect.agency, and its time_zone where Manage''s locations have none.';
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
