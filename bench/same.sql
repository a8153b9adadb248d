-- What the Python client keeps where it keeps what the extension keeps: the
-- same tables with the same indexes and constraints, every record committed
-- before it is sent, every answer written to its record, its day and its batch.
-- After bench/peer.sql, whose functions it replaces. In a few large statements,
-- as one who need not explain a day, stop, or go on after a crash would.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS same CASCADE;
CREATE SCHEMA same;

SELECT format('CREATE TABLE same.%1$I (LIKE kinderconnect.%1$I INCLUDING ALL)', t)
FROM unnest(ARRAY['child', 'authorization', 'listed_authorization', 'known_child', 'child_link', 'child_day', 'ledger', 'batch']) t \gexec
SELECT format('ALTER TABLE same.%I ADD %s', f.relname,
	regexp_replace(pg_get_constraintdef(k.oid), 'REFERENCES kinderconnect\.(?!organization)', 'REFERENCES same.'))
FROM pg_constraint k
JOIN pg_class f ON f.oid = k.conrelid
JOIN pg_class s ON s.relname = f.relname AND s.relnamespace = 'same'::regnamespace
WHERE k.contype = 'f' AND f.relnamespace = 'kinderconnect'::regnamespace \gexec

CREATE OR REPLACE FUNCTION peer.take(days integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	ANALYZE peer.provider, peer.child;
	UPDATE peer.provider p SET site_no = s.site_no FROM manage.site s
	WHERE s.company = p.company AND lower(s.name) = lower(p.name) AND s.zip = p.zip AND p.site_no IS NULL;

	INSERT INTO same.child (organization_id, agency_id, kinderconnect_child_id, first_name, last_name, date_of_birth, subsidized)
	SELECT DISTINCT ON (c.company, c.child_id) c.company, 'TX-1', c.child_id, c.first_name, c.last_name, c.born, true
	FROM peer.child c ON CONFLICT DO NOTHING;
	INSERT INTO same.authorization (organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, units_of_care)
	SELECT c.company, 'TX-1', c.provider_id, c.child_id, c.authorization_id, c.begin_date, c.end_date, 'FULL'
	FROM peer.child c
	WHERE NOT EXISTS (SELECT FROM same.authorization a
		WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
			= (c.company, 'TX-1', c.provider_id, c.child_id, c.authorization_id));
	INSERT INTO same.listed_authorization (organization_id, agency_id, provider_id, month, kinderconnect_child_id, authorization_id)
	SELECT c.company, 'TX-1', c.provider_id, date_trunc('month', now())::date, c.child_id, c.authorization_id
	FROM peer.child c ON CONFLICT DO NOTHING;
	INSERT INTO same.known_child (organization_id, child_id, location_id, first_name, last_name, date_of_birth, active, digest)
	SELECT k.company, k.kid_no::text, k.site_no::text, k.first_name, k.last_name, k.born, true,
		kinderconnect._digest(k.first_name, NULL, k.last_name, NULL, k.born, true)
	FROM manage.kid k ON CONFLICT DO NOTHING;
	ANALYZE same.child, same.known_child, peer.provider;

	INSERT INTO same.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, differing)
	SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id, min(k.child_id), 'exact_location', '{}'
	FROM same.child c
	JOIN same.known_child k ON (k.organization_id, k.date_of_birth, k.last_key, k.first_key)
		= (c.organization_id, c.date_of_birth, c.last_key, c.first_key)
	WHERE EXISTS (SELECT FROM peer.child l JOIN peer.provider p ON (p.company, p.provider_id) = (l.company, l.provider_id)
		WHERE (l.company, l.child_id) = (c.organization_id, c.kinderconnect_child_id) AND p.site_no::text = k.location_id)
	GROUP BY c.organization_id, c.agency_id, c.kinderconnect_child_id
	HAVING count(*) = 1;
	ANALYZE same.child_link, same.authorization;

	INSERT INTO same.child_day (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, location_id, child_id,
		state, kind, session_in, session_out, content, basis, record_id, sent_content, sent_basis)
	SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day, true, d.site_no, d.child_id,
		'sending', 'session', d.session_in, d.session_out, d.content, d.basis, gen_random_uuid(), d.content, d.basis
	FROM (SELECT a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, v.day, v.site_no::text, k.child_id,
			array_agg(v.i ORDER BY v.i) AS session_in, array_agg(v.o ORDER BY v.i) AS session_out,
			string_agg(to_char(v.i, 'HH24:MI') || '-' || to_char(v.o, 'HH24:MI'), ' ' ORDER BY v.i) AS content,
			md5(concat_ws('|', k.child_id, v.site_no, string_agg(DISTINCT a.authorization_id, ' '))) AS basis
		FROM (SELECT v.company, v.kid_no, v.site_no, (v.arrived AT TIME ZONE 'America/Chicago')::date AS day,
				date_trunc('minute', v.arrived AT TIME ZONE 'America/Chicago')::time AS i,
				date_trunc('minute', v.departed AT TIME ZONE 'America/Chicago')::time AS o
			FROM manage.visit v
			WHERE v.arrived >= ((now() AT TIME ZONE 'America/Chicago')::date - days) AT TIME ZONE 'America/Chicago') v
		JOIN same.child_link k ON (k.organization_id, k.child_id) = (v.company, v.kid_no::text) AND k.ended_at IS NULL
		JOIN same.authorization a ON (a.organization_id, a.agency_id, a.kinderconnect_child_id)
			= (k.organization_id, k.agency_id, k.kinderconnect_child_id) AND a.known_until = 'infinity'
			AND v.day BETWEEN a.begin_date AND coalesce(a.end_date, 'infinity')
		WHERE v.i < v.o
		GROUP BY a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, v.day, v.site_no, k.child_id) d
	ON CONFLICT DO NOTHING;

	INSERT INTO same.ledger (organization_id, record_id, agency_id, provider_id, kinderconnect_child_id, service_date, child_id, kind,
		session_in, session_out, content, state, run_id)
	SELECT d.organization_id, d.record_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, d.child_id, d.kind,
		d.session_in, d.session_out, d.content, 'sending', 1
	FROM same.child_day d WHERE d.state = 'sending';
	INSERT INTO same.batch (organization_id, batch_id, agency_id, provider_id, run_id, records, state, sent_at, record_ids)
	SELECT l.organization_id, gen_random_uuid(), l.agency_id, l.provider_id, 1, count(*), 'sending', now(), array_agg(l.record_id)
	FROM (SELECT l.*, (row_number() OVER (PARTITION BY l.organization_id, l.provider_id ORDER BY l.record_id) - 1) / 500 AS part
		FROM same.ledger l WHERE l.state = 'sending') l
	GROUP BY l.organization_id, l.agency_id, l.provider_id, l.part;
	ANALYZE same.child_day, same.ledger, same.batch;
END $$;

CREATE OR REPLACE FUNCTION peer.to_send() RETURNS TABLE (company text, provider_id text, batch_id text, records text) LANGUAGE sql AS $$
	SELECT b.organization_id, b.provider_id, b.batch_id,
		json_agg(json_build_array(l.record_id, l.kinderconnect_child_id, l.service_date, to_char(l.session_in[1], 'HH24:MI'), to_char(l.session_out[1], 'HH24:MI')))
	FROM same.batch b
	JOIN same.ledger l ON l.organization_id = b.organization_id AND l.record_id = ANY (b.record_ids)
	WHERE b.state = 'sending' AND l.state = 'sending'
	GROUP BY b.organization_id, b.provider_id, b.batch_id
	ORDER BY b.organization_id, b.provider_id;
$$;

CREATE OR REPLACE FUNCTION peer.answered() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE same.ledger l SET state = a.state, code = a.code, answered_at = clock_timestamp()
	FROM answer a WHERE (l.organization_id, l.record_id) = (a.company, a.record_id);
	UPDATE same.child_day d SET state = a.state, code = a.code, accepted_kind = d.kind, accepted_in = d.session_in, accepted_out = d.session_out,
		accepted_content = d.content, accepted_record_id = d.record_id, accepted_at = now(), changed_at = now()
	FROM answer a
	JOIN same.ledger l ON (l.organization_id, l.record_id) = (a.company, a.record_id)
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
		= (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date);
	UPDATE same.batch b SET state = 'answered', ended_at = now()
	FROM (SELECT DISTINCT a.company, a.batch_id FROM answer a) a WHERE (b.organization_id, b.batch_id) = (a.company, a.batch_id);
	TRUNCATE answer;
END $$;
