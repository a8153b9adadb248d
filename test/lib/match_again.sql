-- Two small worlds that drift: a service and Manage, with few names and birth
-- dates, so that children are mistaken for each other all the time.
CREATE SCHEMA again
	CREATE TABLE child (organization_id text DEFAULT 'o', location_id text, child_id text, first_name text, middle_name text, last_name text,
		suffix text, date_of_birth date, active boolean)
	CREATE TABLE stored_id (organization_id text DEFAULT 'o', child_id text, agency_id text, kinderconnect_child_id text)
	CREATE TABLE person (agency_id text, id text, first_name text, middle_name text, last_name text, suffix text, date_of_birth date, PRIMARY KEY (agency_id, id))
	CREATE TABLE listing (agency_id text, provider_id text, month date, id text, PRIMARY KEY (agency_id, provider_id, month, id))
	CREATE TABLE difference (round integer, side text, what text)
	CREATE TABLE seen (what text PRIMARY KEY, n bigint);

SELECT kinderconnect.bind_manage('organization', $$ SELECT 'o' AS organization_id, 'o' AS name $$);
SELECT kinderconnect.bind_manage('location', $$ SELECT 'o' AS organization_id, l AS location_id, l AS name, NULL AS zip, 'America/Chicago' AS time_zone FROM unnest(ARRAY['L1', 'L2', 'L3']) l $$);
SELECT kinderconnect.bind_manage('child', 'SELECT * FROM again.child');
SELECT kinderconnect.bind_manage('child_id', 'SELECT * FROM again.stored_id');
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url) VALUES ('e', 'kinderbridge', 'https://example.com');
INSERT INTO kinderconnect.organization (organization_id, endpoint, group_id, group_password, first_enabled) VALUES ('o', 'e', 'g', 'p', '2020-01-01');
INSERT INTO kinderconnect.provider (organization_id, agency_id, provider_id, configured, configured_location_id)
VALUES ('o', 'A', 'P1', true, 'L1'), ('o', 'A', 'P2', true, 'L2'), ('o', 'B', 'P3', true, 'L1');
INSERT INTO kinderconnect.run (scope) VALUES ('{}');

-- The ticket is the number of the provider and month that is asked for.
CREATE TABLE again.call AS
SELECT row_number() OVER () AS ticket, p.agency_id, p.provider_id, m.month
FROM kinderconnect.provider p, kinderconnect._months('o', NULL, NULL) m(month);
CREATE OR REPLACE FUNCTION kinderconnect._children_reply(ticket bigint)
	RETURNS TABLE (ordinal integer, part integer, kinderconnect_child_id text, first_name text, middle_name text, last_name text,
		suffix text, date_of_birth date, subsidized boolean, authorization_id text, begin_date date, end_date date,
		units_of_care text, days text[], trouble text, sound boolean, unread text[])
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	SELECT (row_number() OVER (ORDER BY p.id))::integer, 1, p.id, p.first_name, p.middle_name, p.last_name, p.suffix, p.date_of_birth,
		true, '', NULL::date, NULL::date, NULL::text, NULL::text[], NULL::text, false, NULL::text[]
	FROM again.call c JOIN again.listing l USING (agency_id, provider_id, month) JOIN again.person p ON (p.agency_id, p.id) = (l.agency_id, l.id)
	WHERE c.ticket = _children_reply.ticket;
END;

CREATE FUNCTION again.one(VARIADIC words text[]) RETURNS text LANGUAGE sql VOLATILE RETURN words[1 + floor(random() * cardinality(words))::integer];
CREATE FUNCTION again.first_name() RETURNS text LANGUAGE sql VOLATILE RETURN again.one('Ana', 'Ana', 'Anna', 'Katie', 'Katherine', 'Liam', 'Liam Rose', 'Lian', NULL);
CREATE FUNCTION again.middle_name() RETURNS text LANGUAGE sql VOLATILE RETURN again.one(NULL, NULL, NULL, 'R', 'Rose', 'Sue');
CREATE FUNCTION again.last_name() RETURNS text LANGUAGE sql VOLATILE RETURN again.one('Lee', 'Lee', 'Lee', 'Leo', 'Young Lee', 'LEE-YOUNG', 'Lee Jr');
CREATE FUNCTION again.suffix() RETURNS text LANGUAGE sql VOLATILE RETURN again.one(NULL, NULL, NULL, NULL, 'Jr', 'II');
CREATE FUNCTION again.born() RETURNS date LANGUAGE sql VOLATILE RETURN again.one('2020-01-02', '2020-01-02', '2020-02-01', '2021-01-02', '2019-07-07', '2018-08-08', NULL)::date;
CREATE FUNCTION again.site() RETURNS text LANGUAGE sql VOLATILE RETURN again.one('L1', 'L1', 'L2', 'L3', NULL);
CREATE FUNCTION again.agency() RETURNS text LANGUAGE sql VOLATILE RETURN again.one('A', 'A', 'B');

CREATE FUNCTION again.list(agency text, id text) RETURNS void LANGUAGE sql VOLATILE AS $$
	INSERT INTO again.listing SELECT c.agency_id, c.provider_id, c.month, id FROM again.call c
	WHERE c.agency_id = agency AND c.provider_id = (SELECT p.provider_id FROM kinderconnect.provider p WHERE p.agency_id = agency ORDER BY md5(p.provider_id || id) LIMIT 1)
		AND (md5(id) < 'c' OR c.month = (SELECT max(month) FROM again.call))
	ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION again.edit() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	what   text := again.one('listed', 'listed', 'copy', 'copy', 'renamed', 'renamed', 'moved at service', 'unlisted', 'merged',
		'in Manage', 'in Manage', 'in Manage', 'entered', 'entered', 'changed', 'changed', 'changed', 'left', 'moved', 'twice', 'deleted',
		'link', 'unlink', 'unlink', 'reject', 'reject', 'id', 'id', 'no id', 'site', 'nickname');
	person again.person;
	child  again.child;
	luck   text := random();
	fresh  text := 'n' || floor(random() * 1e9)::bigint;
BEGIN
	SELECT * INTO person FROM again.person p ORDER BY md5(p.agency_id || p.id || luck) LIMIT 1;
	SELECT * INTO child FROM again.child c ORDER BY md5(c::text || luck) LIMIT 1;
	IF person.id IS NULL OR child.child_id IS NULL THEN
		what := again.one('listed', 'in Manage');
	END IF;
	CASE what
		WHEN 'listed' THEN
			INSERT INTO again.person VALUES (again.agency(), fresh, again.first_name(), again.middle_name(), again.last_name(), again.suffix(), again.born()) RETURNING * INTO person;
			PERFORM again.list(person.agency_id, person.id);
		WHEN 'copy' THEN
			INSERT INTO again.person VALUES (again.agency(), fresh, child.first_name, child.middle_name, child.last_name, child.suffix, child.date_of_birth) RETURNING * INTO person;
			PERFORM again.list(person.agency_id, person.id);
		WHEN 'renamed' THEN
			UPDATE again.person p SET first_name = CASE WHEN random() < 0.5 THEN again.first_name() ELSE p.first_name END, middle_name = again.middle_name(),
				date_of_birth = CASE WHEN random() < 0.3 THEN again.born() ELSE p.date_of_birth END, last_name = CASE WHEN random() < 0.3 THEN again.last_name() ELSE p.last_name END
			WHERE (p.agency_id, p.id) = (person.agency_id, person.id);
		WHEN 'moved at service' THEN
			DELETE FROM again.listing l WHERE (l.agency_id, l.id) = (person.agency_id, person.id) AND md5(l.provider_id || l.month || luck) < 'c';
			PERFORM again.list(person.agency_id, person.id);
		WHEN 'unlisted' THEN
			DELETE FROM again.listing l WHERE (l.agency_id, l.id) = (person.agency_id, person.id);
		WHEN 'merged' THEN
			INSERT INTO again.person VALUES (person.agency_id, fresh, person.first_name, person.middle_name, person.last_name, person.suffix, person.date_of_birth);
			INSERT INTO again.listing SELECT l.agency_id, l.provider_id, l.month, fresh FROM again.listing l WHERE (l.agency_id, l.id) = (person.agency_id, person.id);
			DELETE FROM again.listing l WHERE (l.agency_id, l.id) = (person.agency_id, person.id);
		WHEN 'in Manage' THEN
			INSERT INTO again.child (location_id, child_id, first_name, middle_name, last_name, suffix, date_of_birth, active)
			VALUES (again.site(), fresh, again.first_name(), again.middle_name(), again.last_name(), again.suffix(), again.born(), again.one('t', 't', 'f', NULL)::boolean);
		WHEN 'entered' THEN
			INSERT INTO again.child (location_id, child_id, first_name, middle_name, last_name, suffix, date_of_birth, active)
			VALUES (again.site(), fresh, person.first_name, person.middle_name, person.last_name, person.suffix, person.date_of_birth, true);
		WHEN 'changed' THEN
			UPDATE again.child c SET first_name = CASE WHEN random() < 0.5 THEN again.first_name() ELSE c.first_name END, middle_name = again.middle_name(),
				date_of_birth = CASE WHEN random() < 0.4 THEN again.born() ELSE c.date_of_birth END, last_name = CASE WHEN random() < 0.4 THEN again.last_name() ELSE c.last_name END
			WHERE c.child_id = child.child_id;
		WHEN 'left' THEN
			UPDATE again.child c SET active = c.active IS FALSE WHERE c.child_id = child.child_id;
		WHEN 'moved' THEN
			UPDATE again.child c SET location_id = again.site() WHERE c.child_id = child.child_id;
		WHEN 'twice' THEN
			INSERT INTO again.child (location_id, child_id, first_name, last_name, date_of_birth, active)
			VALUES (again.site(), child.child_id, again.first_name(), child.last_name, child.date_of_birth, true);
		WHEN 'deleted' THEN
			DELETE FROM again.child c WHERE c.child_id = child.child_id;
		WHEN 'link' THEN
			PERFORM kinderconnect.link_child('o', c.agency_id, c.kinderconnect_child_id, child.child_id) FROM kinderconnect.child c
			WHERE (c.agency_id, c.kinderconnect_child_id) = (person.agency_id, person.id)
				AND child.child_id IS NOT NULL
				AND NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL AND (k.agency_id, k.child_id) = (c.agency_id, child.child_id));
		WHEN 'unlink' THEN
			PERFORM kinderconnect.unlink_child('o', k.agency_id, k.kinderconnect_child_id, 'by chance')
			FROM (SELECT * FROM kinderconnect.child_link k WHERE k.ended_at IS NULL ORDER BY md5(k.agency_id || k.kinderconnect_child_id || luck) LIMIT 1) k;
		WHEN 'reject' THEN
			PERFORM kinderconnect.reject_match('o', n.agency_id, n.kinderconnect_child_id, n.child_id)
			FROM (SELECT n.* FROM kinderconnect.match_candidate n JOIN kinderconnect.child c USING (organization_id, agency_id, kinderconnect_child_id)
				WHERE c.unlinked_because IS NOT NULL AND c.unlinked_because <> 'not_matched_yet'
				ORDER BY c.unlinked_because <> 'several_in_manage', md5(n.agency_id || n.kinderconnect_child_id || n.child_id || luck) LIMIT 1) n;
		WHEN 'id' THEN
			INSERT INTO again.stored_id (child_id, agency_id, kinderconnect_child_id) VALUES (child.child_id, person.agency_id, person.id);
			IF random() < 0.5 THEN
				INSERT INTO again.stored_id (child_id, agency_id, kinderconnect_child_id)
				SELECT c.child_id, p.agency_id, p.id FROM again.child c JOIN again.person p USING (date_of_birth, last_name) ORDER BY md5(c::text || p.id || luck) LIMIT 1;
			END IF;
		WHEN 'no id' THEN
			DELETE FROM again.stored_id i WHERE md5(i::text || luck) < '6';
		WHEN 'site' THEN
			UPDATE kinderconnect.provider SET configured_location_id = again.one('L1', 'L2', 'L3') WHERE provider_id = again.one('P1', 'P2', 'P3');
		WHEN 'nickname' THEN
			DELETE FROM kinderconnect.nickname WHERE NOT builtin AND random() < 0.5;
			INSERT INTO kinderconnect.nickname VALUES (again.one('ana', 'liam'), again.one('lian', 'katie')) ON CONFLICT DO NOTHING;
	END CASE;
END;
$$;

CREATE FUNCTION again.take() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	call    again.call;
	outcome kinderconnect.call_outcome;
BEGIN
	FOR call IN TABLE again.call LOOP
		outcome.ticket := call.ticket;
		outcome.operation := 'children';
		outcome.organization_id := 'o';
		outcome.agency_id := call.agency_id;
		outcome.provider_id := call.provider_id;
		outcome.month := call.month;
		outcome.entries := (SELECT count(*) FROM again.listing l WHERE (l.agency_id, l.provider_id, l.month) = (call.agency_id, call.provider_id, call.month));
		PERFORM kinderconnect._take_children((SELECT run_id FROM kinderconnect.run), ARRAY[outcome]);
	END LOOP;
END;
$$;

CREATE FUNCTION again.result() RETURNS text[] LANGUAGE sql AS $$
	SELECT array_agg(w ORDER BY w COLLATE "C") FROM (
		SELECT format('link %s %s %s %s %s %s', k.agency_id, k.kinderconnect_child_id, k.child_id, k.method, k.flag, k.differing) FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
		UNION ALL SELECT format('ended %s %s %s %s', k.agency_id, k.kinderconnect_child_id, k.child_id, k.end_reason) FROM kinderconnect.child_link k WHERE k.ended_at IS NOT NULL
		UNION ALL SELECT format('reason %s %s %s', c.agency_id, c.kinderconnect_child_id, c.unlinked_because) FROM kinderconnect.child c WHERE c.unlinked_because IS NOT NULL
		UNION ALL SELECT format('candidate %s %s %s %s %s %s %s', n.agency_id, n.kinderconnect_child_id, n.position, n.child_id, n.score, n.reason, n.location_id) FROM kinderconnect.match_candidate n
	) x(w)
$$;

CREATE PROCEDURE again.run(rounds integer, seed double precision) LANGUAGE plpgsql AS $$
DECLARE
	everybody text[];
	tonight   text[];
	again     boolean;
BEGIN
	PERFORM setseed(seed);
	FOR i IN 1 .. 80 LOOP
		PERFORM again.edit();
	END LOOP;
	FOR round IN 1 .. rounds LOOP
		FOR i IN 1 .. floor(random() * 4)::integer LOOP
			PERFORM again.edit();
		END LOOP;
		COMMIT;
		PERFORM again.take();
		COMMIT;
		BEGIN
			DELETE FROM kinderconnect.match_state;
			DELETE FROM kinderconnect.score_state;
			DELETE FROM kinderconnect.known_child;
			DELETE FROM kinderconnect.gone_child;
			DELETE FROM kinderconnect.scored_child;
			DELETE FROM kinderconnect.match_candidate;
			UPDATE kinderconnect.child SET unlinked_because = NULL;
			PERFORM kinderconnect._match('o');
			PERFORM kinderconnect._match('o');
			PERFORM kinderconnect._score('o');
			everybody := again.result();
			RAISE 'back' USING ERRCODE = 'KC999';
		EXCEPTION WHEN SQLSTATE 'KC999' THEN
		END;
		PERFORM kinderconnect._match('o');
		COMMIT;
		-- those who wait for the next night
		INSERT INTO again.seen AS s
		SELECT 'rival_gone', count(*) FROM kinderconnect.child c WHERE c.unlinked_because = 'rival_gone' HAVING count(*) > 0
		ON CONFLICT (what) DO UPDATE SET n = s.n + excluded.n;
		UPDATE kinderconnect.gone_child SET gone_at = gone_at - interval '6 hours';
		COMMIT;
		PERFORM kinderconnect._match('o');
		COMMIT;
		PERFORM kinderconnect._score('o');
		tonight := again.result();
		INSERT INTO again.difference
		SELECT round, 'everybody', w FROM unnest(everybody) w WHERE w <> ALL (tonight)
		UNION ALL
		SELECT round, 'tonight', w FROM unnest(tonight) w WHERE w <> ALL (everybody);
		EXIT WHEN FOUND;
		INSERT INTO again.seen AS s
		SELECT CASE WHEN k.ended_at IS NULL THEN coalesce(k.flag, 'linked') WHEN k.end_reason LIKE 'merged%' THEN 'taken over' ELSE 'ended' END, count(*) FROM kinderconnect.child_link k GROUP BY 1
		UNION ALL SELECT c.unlinked_because, count(*) FROM kinderconnect.child c WHERE c.unlinked_because IS NOT NULL GROUP BY 1
		UNION ALL SELECT 'candidates', count(*) FROM kinderconnect.match_candidate
		UNION ALL SELECT 'untouched', count(*) FROM kinderconnect.scored_child s WHERE s.scored_at < now() - interval '1 ms' AND round > 1
		ON CONFLICT (what) DO UPDATE SET n = s.n + excluded.n;
		COMMIT;
	END LOOP;
END;
$$;
