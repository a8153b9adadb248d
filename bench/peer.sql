-- The tables of the two peers, as their users would make them: what the
-- service lists, who is who in Manage, and each day with what became of it.
-- Beside them Manage as bench/data.sql made it.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS peer CASCADE;
CREATE SCHEMA peer;

CREATE TABLE peer.provider (company text, provider_id text, name text, zip text, site_no integer, PRIMARY KEY (company, provider_id));
CREATE TABLE peer.child (
	company text, child_id text, provider_id text, first_name text, last_name text, born date,
	authorization_id text, begin_date date, end_date date, kid_no integer, PRIMARY KEY (company, child_id));
CREATE TABLE peer.day (
	company text, child_id text, service_date date, provider_id text, record_id text, time_in text, time_out text, state text, code text,
	PRIMARY KEY (company, child_id, service_date));
CREATE INDEX ON peer.day (company, provider_id) WHERE state <> 'accepted';
CREATE UNIQUE INDEX ON peer.day (record_id);

-- What a join of three equal fields finds
CREATE FUNCTION peer.link() RETURNS void LANGUAGE sql AS $$
	UPDATE peer.provider p SET site_no = s.site_no FROM manage.site s
	WHERE s.company = p.company AND lower(s.name) = lower(p.name) AND s.zip = p.zip AND p.site_no IS NULL;
	UPDATE peer.child c SET kid_no = k.kid_no FROM manage.kid k
	WHERE c.kid_no IS NULL AND k.company = c.company AND k.born = c.born
		AND lower(k.last_name) = lower(c.last_name) AND lower(k.first_name) = lower(c.first_name);
$$;

CREATE FUNCTION peer.plan(days integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO peer.day (company, child_id, service_date, provider_id, record_id, time_in, time_out, state)
	SELECT c.company, c.child_id, (v.arrived AT TIME ZONE 'America/Chicago')::date, c.provider_id, gen_random_uuid(),
		to_char(v.arrived AT TIME ZONE 'America/Chicago', 'HH24:MI'), to_char(v.departed AT TIME ZONE 'America/Chicago', 'HH24:MI'), 'sending'
	FROM peer.child c
	JOIN manage.visit v ON v.kid_no = c.kid_no
	WHERE v.arrived >= ((now() AT TIME ZONE 'America/Chicago')::date - days) AT TIME ZONE 'America/Chicago'
		AND (v.arrived AT TIME ZONE 'America/Chicago')::date BETWEEN c.begin_date AND coalesce(c.end_date, 'infinity')
	ON CONFLICT (company, child_id, service_date) DO NOTHING;
$$;

-- What the Python client calls; bench/same.sql has others of these names.
CREATE FUNCTION peer.take(days integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	ANALYZE peer.provider, peer.child;
	PERFORM peer.link();
	ANALYZE peer.child;
	PERFORM peer.plan(days);
END $$;

CREATE FUNCTION peer.to_send() RETURNS TABLE (company text, provider_id text, batch_id text, records text) LANGUAGE sql AS $$
	SELECT d.company, d.provider_id, gen_random_uuid(), json_agg(json_build_array(d.record_id, d.child_id, d.service_date, d.time_in, d.time_out))
	FROM (SELECT d.*, (row_number() OVER (PARTITION BY d.company, d.provider_id) - 1) / 500 AS part FROM peer.day d WHERE d.state = 'sending') d
	GROUP BY d.company, d.provider_id, d.part
	ORDER BY d.company, d.provider_id;
$$;

CREATE FUNCTION peer.answered() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE peer.day d SET state = a.state, code = a.code FROM answer a WHERE a.record_id = d.record_id;
	TRUNCATE answer;
END $$;
