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
	system_identifier text COLLATE "C" NOT NULL,
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
	missing  text;
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
	missing := kinderconnect._missing_secrets_file();
	RAISE EXCEPTION 'database "%" is not armed%', current_database(), CASE WHEN missing IS NULL THEN '' ELSE ': the secrets file does not exist' END
		USING ERRCODE = 'KC003',
			DETAIL = CASE
				WHEN missing IS NOT NULL THEN format('Looked for "%s".', missing)
				WHEN in_table IS NULL THEN 'Nobody has armed this database on this server; a restored or cloned database starts so.'
				WHEN in_file IS NULL THEN 'The secrets file of this server has no token for this database.'
				ELSE 'The token in the secrets file is not the one that this database was armed with.'
			END,
			HINT = CASE WHEN missing IS NULL THEN '' ELSE 'Put the file there, with a line name:value for each password and client secret, or set kinderconnect.secrets_file to where it is. ' END
				|| 'Run SELECT kinderconnect.arm() if this, and no other, is the database that reports to KinderConnect.';
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
