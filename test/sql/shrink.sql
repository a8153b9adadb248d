-- Which list replaces the one in force, and what is said of one that does not.
BEGIN;
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
VALUES ('shrink', 'kinderbridge', 'http://127.0.0.1:1', 'http://127.0.0.1:1/t', 'c', 's');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) VALUES ('shrink', 'shrink', 'G', 'p', '2026-01-01');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured) VALUES ('shrink', 'A', 'P1', true);
INSERT INTO kinderconnect.run (run_id, scope) VALUES (0, '{}');
INSERT INTO kinderconnect.run_organization (organization_id, run_id, locked) VALUES ('shrink', 0, true);

-- A list of children of P1 arrives, or another one, so many hours after the
-- last night.
CREATE FUNCTION pg_temp.arrives(entries bigint, hours integer DEFAULT 0, operation text DEFAULT 'children', provider text DEFAULT 'P1', month date DEFAULT '2026-03-01')
	RETURNS TABLE (taken boolean, in_force bigint, set_aside bigint, said text)
	LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	outcome kinderconnect.call_outcome;
BEGIN
	UPDATE kinderconnect.list_state SET set_aside_at = set_aside_at - make_interval(hours => arrives.hours), taken_at = taken_at - make_interval(hours => arrives.hours, secs => 1);
	DELETE FROM kinderconnect.run_provider WHERE run_id = 0;
	UPDATE kinderconnect.run_organization SET sqlstate = NULL, error = NULL, hint = NULL WHERE run_id = 0;
	outcome.organization_id := 'shrink';
	outcome.operation := arrives.operation;
	IF arrives.operation = 'children' THEN
		outcome.agency_id := 'A';
		outcome.provider_id := arrives.provider;
		outcome.month := arrives.month + 14;
	ELSIF arrives.operation <> 'customers' THEN
		outcome.customer_id := 'C';
	END IF;
	outcome.ok := true;
	outcome.entries := arrives.entries;
	taken := kinderconnect._take_list(0, outcome);
	SELECT l.entries, l.set_aside_entries INTO STRICT in_force, set_aside FROM kinderconnect.list_state l
	WHERE l.organization_id = 'shrink' AND l.operation = arrives.operation
		AND (arrives.operation <> 'children' OR l.provider_id = arrives.provider AND l.month = arrives.month)
		AND (l.taken_at = now()) = taken AND (l.set_aside_at IS NULL) = taken;
	SELECT concat_ws(' ', 'provider', p.sqlstate, p.error) INTO said FROM kinderconnect.run_provider p WHERE p.run_id = 0 AND p.sqlstate IS NOT NULL;
	IF NOT FOUND THEN
		SELECT concat_ws(' ', 'organization', o.sqlstate, o.error) INTO said FROM kinderconnect.run_organization o WHERE o.run_id = 0 AND o.sqlstate IS NOT NULL;
	END IF;
	RETURN NEXT;
END;
$$;

-- The first list is taken, so is any that is not far shorter, and one that
-- grows; half is not far shorter.
SELECT * FROM pg_temp.arrives(20);
SELECT * FROM pg_temp.arrives(11);
SELECT * FROM pg_temp.arrives(20);
SELECT * FROM pg_temp.arrives(10);
SELECT * FROM pg_temp.arrives(20);
-- Less than half is set aside, and stays so the same night.
SELECT * FROM pg_temp.arrives(9);
SELECT * FROM pg_temp.arrives(9, 5);
SELECT hint FROM kinderconnect.run_provider WHERE run_id = 0;
-- Another provider, another month, and another list are none of it.
SELECT * FROM pg_temp.arrives(3, provider => 'P2');
SELECT * FROM pg_temp.arrives(3, month => '2026-04-01');
SELECT * FROM pg_temp.arrives(20, operation => 'locations');
-- The next night that says the same confirms it.
SELECT * FROM pg_temp.arrives(9, 2);
-- It is measured by what is in force.
SELECT * FROM pg_temp.arrives(20);
SELECT * FROM pg_temp.arrives(9);
SELECT * FROM pg_temp.arrives(4, 24);
SELECT * FROM pg_temp.arrives(5, 24);
SELECT * FROM pg_temp.arrives(5, 24);
-- One that is as long as before again is taken, and nothing of the short one
-- is left that another night could confirm.
SELECT * FROM pg_temp.arrives(20);
SELECT * FROM pg_temp.arrives(5, 24);
SELECT * FROM pg_temp.arrives(20, 24);
SELECT * FROM pg_temp.arrives(5, 24);
-- A person accepts it, once.
SELECT kinderconnect.accept_shrink('shrink', 'A', 'P1');
SELECT * FROM pg_temp.arrives(5);
SELECT * FROM pg_temp.arrives(20);
SELECT * FROM pg_temp.arrives(5);
SELECT * FROM pg_temp.arrives(20);
-- Below the floor nothing is compared, but an empty list always is.
SELECT * FROM pg_temp.arrives(10, provider => 'small');
SELECT * FROM pg_temp.arrives(4, provider => 'small');
SELECT * FROM pg_temp.arrives(9, provider => 'small');
SELECT * FROM pg_temp.arrives(1, provider => 'small');
SELECT * FROM pg_temp.arrives(0, provider => 'small');
SELECT * FROM pg_temp.arrives(1, 24, provider => 'small');
SELECT * FROM pg_temp.arrives(0, 24, provider => 'small');
SELECT * FROM pg_temp.arrives(0, 24, provider => 'small');
SELECT * FROM pg_temp.arrives(0, provider => 'small');
SELECT * FROM pg_temp.arrives(0, provider => 'none yet');
SELECT * FROM pg_temp.arrives(0, provider => 'none yet');
SELECT * FROM pg_temp.arrives(1, operation => 'customers');
SELECT * FROM pg_temp.arrives(0, operation => 'customers');
-- The settings.
SET LOCAL kinderconnect.shrink_floor = 21;
SELECT * FROM pg_temp.arrives(1);
SELECT * FROM pg_temp.arrives(20);
SET LOCAL kinderconnect.shrink_floor = 20;
SELECT * FROM pg_temp.arrives(1);
SET LOCAL kinderconnect.shrink_percent = 95;
SELECT * FROM pg_temp.arrives(18, 24);
SET LOCAL kinderconnect.shrink_percent = 90;
SELECT * FROM pg_temp.arrives(18);
ROLLBACK;
