-- What an administrator enters: a group password's name and the providers.

-- Who is due takes a session longer to tell than a tick may take.
CREATE UNLOGGED SEQUENCE kinderconnect.next_look MINVALUE 0 START 0;
COMMENT ON SEQUENCE kinderconnect.next_look IS
'no tick looks who is due before this, in seconds since 1970: nobody will be. At most an hour ahead, and 0 whenever a run begins or ends or a function changes a timetable, an organization or a provider; after you have edited one of these tables yourself, SELECT setval(''kinderconnect.next_look'', 0) has the next tick look';

-- A sequence knows no transactions, and what changes a timetable is seen when
-- it commits. A tick that looks meanwhile must not say when to look again: so
-- until the end of its transaction whoever changes something shares this lock,
-- which a tick has to have for itself before it looks how long it may wait.
-- Advisory locks are for whoever may connect to take, and would hold up every
-- night. With the owner's rights: an administrator writes no clock otherwise.
CREATE FUNCTION kinderconnect._look_again() RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	LOCK TABLE kinderconnect.provider_clock IN ROW EXCLUSIVE MODE;
	PERFORM setval('kinderconnect.next_look', 0);
END;
$$;
COMMENT ON FUNCTION kinderconnect._look_again() IS 'the next tick looks who is due, whatever one that is looking now finds';

CREATE TABLE kinderconnect.provider (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL CHECK (agency_id <> ''),
	provider_id            text COLLATE "C" NOT NULL CHECK (provider_id <> ''),
	configured             boolean NOT NULL,
	enabled                boolean NOT NULL DEFAULT true,
	configured_location_id text COLLATE "C" CHECK (configured_location_id <> ''),
	found_location_id      text COLLATE "C" CHECK (found_location_id <> ''),
	location_id            text COLLATE "C" GENERATED ALWAYS AS (coalesce(configured_location_id, found_location_id)) STORED,
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

-- What a person limits a function by has to be there: nothing found of a name
-- that is misspelt would read as if all were well.
CREATE FUNCTION kinderconnect._require_provider(organization_id text, agency_id text, provider_id text) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF num_nonnulls(_require_provider.agency_id, _require_provider.provider_id) > 0
		AND NOT EXISTS (SELECT FROM kinderconnect.provider p
			WHERE (_require_provider.organization_id IS NULL OR p.organization_id = _require_provider.organization_id)
				AND (_require_provider.agency_id IS NULL OR p.agency_id = _require_provider.agency_id)
				AND (_require_provider.provider_id IS NULL OR p.provider_id = _require_provider.provider_id)) THEN
		RAISE EXCEPTION '% provider%',
			coalesce('organization "' || _require_provider.organization_id || '" has no', 'no organization has a'),
			concat(' "' || _require_provider.provider_id || '"', ' at agency "' || _require_provider.agency_id || '"')
			USING ERRCODE = 'KC001', HINT = 'Providers are listed in kinderconnect.provider.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_provider(text, text, text) IS
'an error (KC001) where an agency or provider ID is given, and the organization has no provider of it; null: any';

CREATE FUNCTION kinderconnect._require_period(from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF from_date > to_date THEN
		RAISE EXCEPTION 'from_date % is after to_date %', to_char(from_date, 'YYYY-MM-DD'), to_char(to_date, 'YYYY-MM-DD') USING ERRCODE = 'invalid_parameter_value';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_period(date, date) IS 'an error where a period ends before it begins; null: open';

-- A name that is not in the secrets file is never repeated: somebody may have
-- passed the password itself. A failed statement is logged with its text:
-- hence log_min_error_statement, which only the owner may set.
CREATE FUNCTION kinderconnect._require_group_password(organization text, name text, given boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET log_min_error_statement = panic
AS $$
DECLARE
	-- most passwords could be no name at all
	possible boolean := name ~ '^[A-Za-z0-9_.-]{1,128}$';
BEGIN
	IF organization IS NULL THEN
		RAISE EXCEPTION 'organization_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT possible OR NOT kinderconnect._has_secret(name) THEN
		RAISE EXCEPTION 'group password of organization "%" is not in the secrets file', organization
			USING ERRCODE = 'KC002',
				DETAIL = CASE WHEN given THEN 'Looked for the name given as group_password.' ELSE format('Looked for the name "%s".', name) END,
				HINT = CASE WHEN given OR possible
					THEN 'group_password is the name of a line in the file of kinderconnect.secrets_file, not the password; write the line there, or call kinderconnect.set_secret(name, value).'
					ELSE 'A name has 1 to 128 letters, digits, "_", "." or "-": write the password under such a name into the secrets file, and pass the name as group_password.' END;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_group_password(text, text, boolean) IS
'an error (KC002) unless the secrets file holds this name; given: it is the caller''s, and not repeated, nor is the failed statement logged';

-- What a person types or pastes is compared, byte for byte, with what the
-- service says.
CREATE FUNCTION kinderconnect._require_plain(name text, value text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF value ~ '^[[:space:]]|[[:space:]]$|[[:cntrl:]]' THEN
		RAISE EXCEPTION '% must not begin or end with white space, nor contain control characters', name
			USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', to_json(value)),
				HINT = 'Write it as the service has it: what differs by a space is another one.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_plain(text, text) IS 'an error if the value of this parameter has white space at an end, or control characters';

-- What the old one holds, or may hold, does not matter to the new one; but an
-- answer on its way would say of it what is not so. With the rights of the
-- owner: an administrator writes no child-day otherwise.
CREATE FUNCTION kinderconnect._send_anew(organization text, since date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM kinderconnect.ledger l WHERE l.organization_id = organization AND l.state = 'sending') THEN
		RAISE EXCEPTION 'days of organization "%" are being sent', organization
			USING ERRCODE = 'KC401', HINT = format('CALL kinderconnect.nightly(%L) ends what a run that died has left.', organization);
	END IF;
	UPDATE kinderconnect.ledger l SET state = 'not_taken', answered_at = clock_timestamp()
	WHERE l.organization_id = organization AND l.state = 'unknown';
	UPDATE kinderconnect.child_day d
	SET state = CASE WHEN d.content IS NULL THEN 'held' ELSE 'ready' END, reason = CASE WHEN d.content IS NULL THEN 'nothing_recorded' END, detail = NULL,
		code = NULL, message = NULL, record_id = NULL, sent_content = NULL, sent_basis = NULL, void_wanted = false,
		accepted_kind = NULL, accepted_in = NULL, accepted_out = NULL, accepted_reason = NULL, accepted_content = NULL, accepted_record_id = NULL, accepted_at = NULL,
		changed_at = now()
	WHERE d.organization_id = organization AND d.service_date >= since
		AND (d.accepted_content IS NOT NULL OR d.state IN ('unknown', 'rejected', 'voided'));
END;
$$;
COMMENT ON FUNCTION kinderconnect._send_anew(text, date) IS
'child-days of an organization from this date on are as if nothing had been sent, and the next plan judges them so; the ledger keeps what was';

CREATE FUNCTION kinderconnect.enable_integration(organization_id text, group_id text,
		group_password text DEFAULT NULL, endpoint text DEFAULT NULL,
		backfill_days integer DEFAULT NULL, adopt_providers boolean DEFAULT NULL, sends boolean DEFAULT true,
		holds_accepted boolean DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	secret_name text := coalesce(enable_integration.group_password, 'group_' || enable_integration.organization_id);
	service     text := enable_integration.endpoint;
	backfill    integer := enable_integration.backfill_days;
	adopt       boolean := enable_integration.adopt_providers;
	today       date := (now() AT TIME ZONE 'Pacific/Honolulu')::date;
	horizon     integer := kinderconnect.setting('horizon_days');
	before      record;
BEGIN
	-- before anything else may fail
	IF enable_integration.group_password IS NOT NULL THEN
		PERFORM kinderconnect._require_group_password(enable_integration.organization_id, secret_name, true);
	END IF;
	IF nullif(btrim(enable_integration.organization_id), '') IS NULL OR nullif(btrim(enable_integration.group_id), '') IS NULL
		OR enable_integration.sends IS NULL THEN
		RAISE EXCEPTION 'organization_id, group_id and sends must be given'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF enable_integration.backfill_days NOT BETWEEN 0 AND 366 THEN
		RAISE EXCEPTION 'backfill_days % is not between 0 and 366', enable_integration.backfill_days
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF kinderconnect._is_bound('organization') THEN
		PERFORM FROM kinderconnect.manage_organization m WHERE m.organization_id = enable_integration.organization_id COLLATE "default";
		IF NOT FOUND THEN
			RAISE EXCEPTION 'organization "%" is not in Manage', enable_integration.organization_id
				USING ERRCODE = 'KC001', HINT = 'Organizations are listed in kinderconnect.manage_organization.';
		END IF;
	ELSE
		PERFORM kinderconnect._require_plain('organization_id', enable_integration.organization_id);
	END IF;
	PERFORM kinderconnect._require_plain('group_id', enable_integration.group_id);
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
	IF enable_integration.group_password IS NULL THEN
		PERFORM kinderconnect._require_group_password(enable_integration.organization_id, secret_name, false);
	END IF;

	-- A run keeps to the service and the group that it began with, and what these
	-- accept from now on the new ones would never be sent. Until this commits,
	-- none begins either (KC_LOCK_CLASS of engine.c).
	IF enable_integration.holds_accepted IS NOT TRUE
		AND EXISTS (SELECT FROM kinderconnect.organization o WHERE o.organization_id = enable_integration.organization_id
			AND (o.group_id, o.endpoint) <> (enable_integration.group_id, service))
		AND NOT pg_try_advisory_xact_lock(1801675630, hashtext(enable_integration.organization_id COLLATE "C")) THEN
		RAISE EXCEPTION 'a run is busy with organization "%"', enable_integration.organization_id
			USING ERRCODE = 'KC401', HINT = 'It sends to the group and endpoint that it began with: wait until it is over.';
	END IF;

	-- What is accepted is not sent again; another group may not have it.
	SELECT o.group_id, o.endpoint, count(*) AS days INTO before
	FROM kinderconnect.organization o
	JOIN kinderconnect.child_day d ON d.organization_id = o.organization_id AND d.accepted_content IS NOT NULL AND d.service_date >= today - horizon
	WHERE o.organization_id = enable_integration.organization_id
		AND (o.group_id, o.endpoint) <> (enable_integration.group_id, service)
	GROUP BY o.group_id, o.endpoint;
	IF FOUND AND enable_integration.holds_accepted IS NULL THEN
		RAISE EXCEPTION 'group "%" of endpoint "%" has accepted % days of organization "%"', before.group_id, before.endpoint, before.days, enable_integration.organization_id
			USING ERRCODE = 'KC001',
				HINT = 'Pass holds_accepted => true where the new one holds them too, as when its name has changed; holds_accepted => false to send all days of the horizon anew.';
	ELSIF FOUND AND NOT enable_integration.holds_accepted THEN
		PERFORM kinderconnect._send_anew(enable_integration.organization_id, today - horizon);
	END IF;

	-- Whoever changes the group alone does not mean days to be sent that were
	-- reported otherwise, nor providers to be adopted.
	SELECT coalesce(backfill, o.backfill_days, 30), coalesce(adopt, o.adopt_providers, true) INTO backfill, adopt
	FROM (SELECT) AS always
	LEFT JOIN kinderconnect.organization o ON o.organization_id = enable_integration.organization_id;

	-- By UTC's date an evening would be the next day, and the day itself is due;
	-- by a clock west of all its locations a night would be the day before, that
	-- may have been reported otherwise.
	IF kinderconnect._is_bound('location') THEN
		SELECT coalesce(min((now() AT TIME ZONE coalesce(z.zone, 'Pacific/Honolulu'))::date), today) INTO today
		FROM (SELECT DISTINCT m.time_zone FROM kinderconnect.manage_location m
			WHERE m.organization_id = enable_integration.organization_id COLLATE "default") m
		CROSS JOIN LATERAL (SELECT kinderconnect._zone(m.time_zone) AS zone) z;
	END IF;
	INSERT INTO kinderconnect.organization AS o (organization_id, endpoint, group_id, group_password, first_enabled, backfill_days, adopt_providers, sends)
	VALUES (enable_integration.organization_id, service, enable_integration.group_id, secret_name,
		today, backfill, adopt, enable_integration.sends)
	ON CONFLICT (organization_id) DO UPDATE
	SET endpoint = excluded.endpoint, group_id = excluded.group_id, group_password = excluded.group_password,
		enabled = true, backfill_days = excluded.backfill_days, adopt_providers = excluded.adopt_providers, sends = excluded.sends,
		-- while it only looked on, its days were reported otherwise
		first_enabled = CASE
			WHEN excluded.sends AND NOT o.sends AND NOT EXISTS (SELECT FROM kinderconnect.ledger l WHERE l.organization_id = o.organization_id)
				THEN excluded.first_enabled
			ELSE o.first_enabled END;
	IF backfill > horizon THEN
		RAISE WARNING 'organization "%" reports the last % days, not %', enable_integration.organization_id, horizon, backfill
			USING HINT = 'kinderconnect.horizon_days is how far back a day is looked at.';
	END IF;
	PERFORM kinderconnect._look_again();
END;
$$;
COMMENT ON FUNCTION kinderconnect.enable_integration(text, text, text, text, integer, boolean, boolean, boolean) IS
'lets an organization of Manage report to KinderConnect, or changes how. group_password is the NAME of its line in the secrets file (default group_<organization_id>); endpoint may be left out where there is one; backfill_days and adopt_providers stay as they were where they are left out, and are 30 and true for a new organization; sends => false has its nights look on and send nothing, and backfill_days count from when it first sends; holds_accepted says, where the group or the endpoint changes, whether the new one holds what was accepted: false has all days of the horizon sent anew';

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
	PERFORM kinderconnect._require_plain('agency_id', add_provider.agency_id);
	PERFORM kinderconnect._require_plain('provider_id', add_provider.provider_id);
	IF add_provider.location_id IS NOT NULL AND kinderconnect._is_bound('location') THEN
		PERFORM FROM kinderconnect.manage_location m
		WHERE (m.organization_id, m.location_id) = (add_provider.organization_id COLLATE "default", add_provider.location_id COLLATE "default");
		IF NOT FOUND THEN
			RAISE EXCEPTION 'organization "%" has no location "%" in Manage', add_provider.organization_id, add_provider.location_id
				USING ERRCODE = 'KC001', HINT = 'Locations are listed in kinderconnect.manage_location.';
		END IF;
	END IF;
	INSERT INTO kinderconnect.provider AS p (organization_id, agency_id, provider_id, configured, configured_location_id)
	VALUES (add_provider.organization_id, add_provider.agency_id, add_provider.provider_id, true, add_provider.location_id)
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET configured = true, enabled = true, configured_location_id = excluded.configured_location_id;
	PERFORM kinderconnect._look_again();
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
	IF num_nulls(disable_provider.organization_id, disable_provider.agency_id, disable_provider.provider_id) > 0 THEN
		RAISE EXCEPTION 'organization_id, agency_id and provider_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM kinderconnect._require_provider(disable_provider.organization_id, disable_provider.agency_id, disable_provider.provider_id);
	UPDATE kinderconnect.provider SET enabled = false
	WHERE (organization_id, agency_id, provider_id) = (disable_provider.organization_id, disable_provider.agency_id, disable_provider.provider_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect.disable_provider(text, text, text) IS
'asks and sends nothing for a provider; add_provider() takes it up again';

-- Whether an organization's dialect has an operation at all.
CREATE FUNCTION kinderconnect._speaks(organization_id text, operation text) RETURNS boolean
	LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM kinderconnect.organization o
		JOIN kinderconnect.endpoint e ON e.endpoint = o.endpoint
		JOIN kinderconnect.dialect_operation d ON d.dialect = e.dialect
		WHERE o.organization_id = _speaks.organization_id AND d.operation = _speaks.operation);
END;
$$;
COMMENT ON FUNCTION kinderconnect._speaks(text, text) IS 'whether the organization''s service has this operation';
