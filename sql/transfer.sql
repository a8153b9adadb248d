-- Step 5 of the night: the outbox. What is about to be sent is committed
-- before each call and its outcome after it, so that wherever the night dies,
-- the next one knows what may have arrived.

CREATE TABLE kinderconnect.ledger (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	record_id              text COLLATE "C" NOT NULL,
	agency_id              text COLLATE "C" NOT NULL,
	provider_id            text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	service_date           date NOT NULL,
	child_id               text COLLATE "C" NOT NULL,
	kind                   text NOT NULL CHECK (kind IN ('session', 'absence', 'closure', 'void')),
	session_in             time[],
	session_out            time[],
	absence_reason         text,
	content                text NOT NULL,
	state                  text NOT NULL CHECK (state IN ('sending', 'accepted', 'rejected', 'unknown', 'not_taken')),
	code                   text,
	message                text,
	run_id                 bigint NOT NULL,
	created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
	answered_at            timestamptz,
	location_id            text COLLATE "C",
	PRIMARY KEY (organization_id, record_id)
);
COMMENT ON TABLE kinderconnect.ledger IS
'every record made for the service, what it said, and what became of it; never deleted, never changed but for the outcome';
COMMENT ON COLUMN kinderconnect.ledger.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.ledger.record_id IS 'our id on the wire; one content has one id for ever';
COMMENT ON COLUMN kinderconnect.ledger.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.ledger.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.ledger.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.ledger.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.ledger.child_id IS 'the child in Manage whose attendance it says';
COMMENT ON COLUMN kinderconnect.ledger.kind IS 'session, absence, closure, or void: takes back what was sent';
COMMENT ON COLUMN kinderconnect.ledger.session_in IS 'check-ins, wall time at the location';
COMMENT ON COLUMN kinderconnect.ledger.session_out IS 'check-outs, parallel to session_in';
COMMENT ON COLUMN kinderconnect.ledger.absence_reason IS 'the agency''s code';
COMMENT ON COLUMN kinderconnect.ledger.content IS 'all of it in one comparable text';
COMMENT ON COLUMN kinderconnect.ledger.state IS 'sending; accepted; rejected; unknown: sent, answer lost; not_taken: certainly not stored, made anew or sent again later';
COMMENT ON COLUMN kinderconnect.ledger.code IS 'the service''s code';
COMMENT ON COLUMN kinderconnect.ledger.message IS 'the service''s words; of unknown: what it answered with a status that says neither yes nor no';
COMMENT ON COLUMN kinderconnect.ledger.run_id IS 'the run that sent it last';
COMMENT ON COLUMN kinderconnect.ledger.created_at IS 'when it was made';
COMMENT ON COLUMN kinderconnect.ledger.answered_at IS 'when its outcome was known';
COMMENT ON COLUMN kinderconnect.ledger.location_id IS 'the location in Manage whose attendance it says; null: made before version 1.1.0';

-- None is led by the organization: where the table was empty when a plan was
-- made, the primary key would seem no better than another index by it, and
-- each record would be sought among all of the organization's.
CREATE INDEX ledger_by_day ON kinderconnect.ledger (kinderconnect_child_id, service_date, organization_id, agency_id, provider_id, created_at);
CREATE INDEX ledger_under_way ON kinderconnect.ledger (provider_id, agency_id, organization_id) WHERE state IN ('sending', 'unknown');
CREATE INDEX ledger_by_run ON kinderconnect.ledger (run_id, organization_id);

CREATE TABLE kinderconnect.batch (
	organization_id text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	batch_id        text COLLATE "C" NOT NULL,
	agency_id       text COLLATE "C" NOT NULL,
	provider_id     text COLLATE "C" NOT NULL,
	run_id          bigint NOT NULL,
	parent_batch_id text COLLATE "C",
	records         integer NOT NULL CHECK (records > 0),
	first_half      boolean NOT NULL DEFAULT false,
	repeats         boolean NOT NULL DEFAULT false,
	state           text NOT NULL CHECK (state IN ('waiting', 'sending', 'answered', 'refused', 'lost', 'dropped')),
	sqlstate        text,
	http_status     integer,
	code            text,
	message         text,
	attempts        integer,
	created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
	sent_at         timestamptz,
	ended_at        timestamptz,
	record_ids      text[] NOT NULL,
	PRIMARY KEY (organization_id, batch_id),
	CONSTRAINT batch_counts_its_records CHECK (records = cardinality(record_ids))
);
COMMENT ON TABLE kinderconnect.batch IS 'the calls that carried records: the outbox';
COMMENT ON COLUMN kinderconnect.batch.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.batch.batch_id IS 'id on the wire';
COMMENT ON COLUMN kinderconnect.batch.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.batch.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.batch.run_id IS 'the run';
COMMENT ON COLUMN kinderconnect.batch.parent_batch_id IS 'the refused batch it is a half of';
COMMENT ON COLUMN kinderconnect.batch.records IS 'how many records it carries';
COMMENT ON COLUMN kinderconnect.batch.first_half IS 'the half that is tried first';
COMMENT ON COLUMN kinderconnect.batch.repeats IS 'its records were sent before and their answer was lost: a refusal of the batch does not say that they are not stored';
COMMENT ON COLUMN kinderconnect.batch.state IS 'waiting; sending: committed before the call; answered: record by record; refused: nothing of it stored; lost: the answer was; dropped: never sent';
COMMENT ON COLUMN kinderconnect.batch.sqlstate IS 'of refused and lost: the fault';
COMMENT ON COLUMN kinderconnect.batch.http_status IS 'of the last attempt';
COMMENT ON COLUMN kinderconnect.batch.code IS 'the service''s error code';
COMMENT ON COLUMN kinderconnect.batch.message IS 'the fault in words';
COMMENT ON COLUMN kinderconnect.batch.attempts IS 'HTTP requests made for it';
COMMENT ON COLUMN kinderconnect.batch.created_at IS 'when it was made';
COMMENT ON COLUMN kinderconnect.batch.sent_at IS 'when it was committed for sending';
COMMENT ON COLUMN kinderconnect.batch.ended_at IS 'when its outcome was taken in';
COMMENT ON COLUMN kinderconnect.batch.record_ids IS 'the records it carries: kinderconnect.ledger';

CREATE INDEX batch_too_large ON kinderconnect.batch (organization_id, agency_id, provider_id, created_at) WHERE http_status = 413;
CREATE INDEX batch_lost ON kinderconnect.batch (organization_id, agency_id, provider_id, created_at) WHERE state = 'lost';
CREATE INDEX batch_at_work ON kinderconnect.batch (organization_id, agency_id, provider_id) WHERE state IN ('waiting', 'sending');

CREATE VIEW kinderconnect.batch_record AS
SELECT b.organization_id, b.batch_id, r.record_id
FROM kinderconnect.batch b CROSS JOIN LATERAL unnest(b.record_ids) r(record_id);
COMMENT ON VIEW kinderconnect.batch_record IS 'which records a batch carried, a row each; a record of a halved batch was in several';
COMMENT ON COLUMN kinderconnect.batch_record.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.batch_record.batch_id IS 'the batch';
COMMENT ON COLUMN kinderconnect.batch_record.record_id IS 'the record';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.ledger', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.batch', '');

-- What handles one batch finds its rows by their keys, whatever the planner
-- thought of tables that were empty when the night began: its plans, and those
-- of the foreign keys, are kept for the session.

-- Settles what became of records, in the ledger and in their child-days: the
-- only way out of 'sending' and 'unknown'. A record that is no longer its
-- day's last one settles in the ledger alone.
--
-- These two are named by what they are not, and of an expression, of which
-- nothing is counted: by their names the planner would read all that is under
-- way for each record, for whenever it was counted there was next to nothing;
-- and by the counts of the others the whole ledger, of which all but nothing was
-- answered when it was counted.
CREATE FUNCTION kinderconnect._settle_each(organizations text[], record_ids text[], outcomes text[], codes text[], messages text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
BEGIN
	WITH settled AS (
		UPDATE kinderconnect.ledger l
		SET state = u.outcome, code = u.code, message = u.message,
			answered_at = CASE WHEN u.outcome <> 'unknown' THEN clock_timestamp() END
		FROM unnest(organizations, record_ids, outcomes, codes, messages) u(organization_id, record_id, outcome, code, message)
		WHERE (l.organization_id, l.record_id) = (u.organization_id, u.record_id) AND coalesce(l.state, '') NOT IN ('accepted', 'rejected', 'not_taken')
		RETURNING l.*
	)
	UPDATE kinderconnect.child_day d
	SET state = CASE
			WHEN s.state = 'unknown' THEN 'unknown'
			WHEN s.state = 'rejected' THEN 'rejected'
			WHEN s.state = 'accepted' AND s.kind = 'void' AND d.content IS NULL THEN 'voided'
			WHEN s.state = 'accepted' AND s.content = d.content THEN 'accepted'
			-- that the next plan may doubt it: of what is ready it takes it for decided
			WHEN s.kind <> 'void' AND d.content IS NULL AND NOT d.void_wanted THEN 'held'
			ELSE 'ready'		-- not taken, or Manage says something else by now
		END,
		reason = CASE WHEN s.state IN ('accepted', 'not_taken') AND s.kind <> 'void' AND d.content IS NULL AND NOT d.void_wanted
			THEN 'nothing_recorded' END,
		code = CASE WHEN s.state = 'rejected' THEN s.code END,
		message = CASE WHEN s.state = 'rejected' THEN s.message END,
		void_wanted = d.void_wanted AND s.state <> 'accepted',
		accepted_kind = CASE WHEN s.state <> 'accepted' THEN d.accepted_kind WHEN s.kind <> 'void' THEN s.kind END,
		accepted_in = CASE WHEN s.state = 'accepted' THEN s.session_in ELSE d.accepted_in END,
		accepted_out = CASE WHEN s.state = 'accepted' THEN s.session_out ELSE d.accepted_out END,
		accepted_reason = CASE WHEN s.state = 'accepted' THEN s.absence_reason ELSE d.accepted_reason END,
		accepted_content = CASE WHEN s.state <> 'accepted' THEN d.accepted_content WHEN s.kind <> 'void' THEN s.content END,
		accepted_record_id = CASE WHEN s.state <> 'accepted' THEN d.accepted_record_id WHEN s.kind <> 'void' THEN s.record_id END,
		accepted_at = CASE WHEN s.state <> 'accepted' THEN d.accepted_at WHEN s.kind <> 'void' THEN clock_timestamp() END,
		changed_at = now()
	FROM settled s
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.service_date)
		AND d.record_id = s.record_id AND coalesce(d.state, '') NOT IN ('held', 'ready', 'accepted', 'rejected', 'voided', 'not_due');
END;
$$;
COMMENT ON FUNCTION kinderconnect._settle_each(text[], text[], text[], text[], text[]) IS
'records, and with them their child-days, become accepted, rejected, unknown or not_taken: the first of each array is of one, and so on';

CREATE FUNCTION kinderconnect._settle(organization text, record_ids text[], outcome text, codes text[], messages text[]) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
	RETURN kinderconnect._settle_each(array_fill(organization, ARRAY[cardinality(record_ids)]), record_ids,
		array_fill(outcome, ARRAY[cardinality(record_ids)]), codes, messages);
COMMENT ON FUNCTION kinderconnect._settle(text, text[], text, text[], text[]) IS
'records of one organization become all the same, as by _settle_each()';

-- What a dead run left under way may have arrived. Runs are locked out by
-- organization, so nothing else can be sending.
CREATE FUNCTION kinderconnect._recover(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.batch b SET state = CASE b.state WHEN 'sending' THEN 'lost' ELSE 'dropped' END, ended_at = clock_timestamp()
	WHERE b.organization_id = organization AND b.state IN ('sending', 'waiting');

	PERFORM kinderconnect._settle(organization, array_agg(l.record_id), 'unknown', NULL, NULL)
	FROM kinderconnect.ledger l
	WHERE l.organization_id = organization AND l.state = 'sending'
	HAVING count(*) > 0;
END;
$$;
COMMENT ON FUNCTION kinderconnect._recover(text) IS
'what a run that died left under way becomes unknown, to be resolved before anything new of the same days';

-- Puts records into a batch; the caller commits before it is sent.
CREATE FUNCTION kinderconnect._new_batch(run bigint, organization text, agency text, provider text, parent text, leads boolean, again boolean, record_ids text[]) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
DECLARE
	id text := gen_random_uuid();
BEGIN
	INSERT INTO kinderconnect.batch (organization_id, batch_id, agency_id, provider_id, run_id, parent_batch_id, records, record_ids, first_half, repeats, state)
	VALUES (organization, id, agency, provider, run, parent, cardinality(record_ids), record_ids, leads, again, 'waiting');
	RETURN id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._new_batch(bigint, text, text, text, text, boolean, boolean, text[]) IS 'a waiting batch of these records; answers its id';

-- What was too large is not tried again for a month: half of it went through,
-- or was halved again. Small batches are not made smaller for good: that costs
-- more calls than it saves. In PL/pgSQL, as all that a night asks for each
-- provider, for it keeps its plan.
CREATE FUNCTION kinderconnect._most_records(organization text, agency text, provider text) RETURNS integer
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT least(coalesce(o.max_records, 500), (SELECT min(b.records) / 2 FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider)
				AND b.http_status = 413 AND b.records >= 16 AND b.created_at > now() - interval '30 days'))
		FROM kinderconnect.organization g
		JOIN kinderconnect.endpoint e ON e.endpoint = g.endpoint
		JOIN kinderconnect.dialect_operation o ON o.dialect = e.dialect AND o.operation = 'submit'
		WHERE g.organization_id = organization);
END;
$$;
COMMENT ON FUNCTION kinderconnect._most_records(text, text, text) IS
'how many records a batch of a provider may carry: as the dialect says, or half of the smallest of 16 or more that was too large (HTTP status 413) within 30 days';

-- One record may be what the service fails at, and with it every batch that it
-- is in. What was lost goes once more as it was, for mostly it was the service;
-- what was lost twice goes in quarters, and these in quarters, down to a single
-- record. What ended with the run, or with the server, tells nothing.
CREATE FUNCTION kinderconnect._lost_records(organization text, agency text, provider text) RETURNS TABLE (record_id text, times bigint, most integer)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.record_id, count(*), CASE count(*) WHEN 1 THEN min(b.records) ELSE (min(b.records) + 3) / 4 END
	FROM kinderconnect.batch b
	CROSS JOIN LATERAL unnest(b.record_ids) r(record_id)
	JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (b.organization_id, r.record_id) AND coalesce(l.state, '') <> 'accepted'
	WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider)
		AND b.state = 'lost' AND b.sqlstate <> 'KC104' AND b.created_at > now() - interval '30 days'
		-- what the service itself rejected since, it did not fail at
		AND (l.state <> 'rejected' OR NOT EXISTS (SELECT FROM kinderconnect.batch a
			WHERE (a.organization_id, a.agency_id, a.provider_id) = (organization, agency, provider)
				AND a.created_at > b.created_at AND a.state IN ('answered', 'refused') AND r.record_id = ANY (a.record_ids)))
	GROUP BY r.record_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._lost_records(text, text, text) IS
'the records of a provider that were in batches whose answer was lost within 30 days, and that the service has not accepted or rejected since: in how many, and in a batch of how many each may go next';

-- It was lost each time, by itself too, in a run in which the service answered
-- for others of the provider: three times, for a service that goes down in the
-- midst of a run loses one twice.
CREATE FUNCTION kinderconnect._culprits(organization text, agency text, provider text) RETURNS TABLE (record_id text, code text, message text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT DISTINCT ON (t.record_id) t.record_id, b.code, b.message
	FROM kinderconnect._lost_records(organization, agency, provider) t
	JOIN kinderconnect.batch b ON (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider)
		AND b.state = 'lost' AND b.sqlstate <> 'KC104' AND b.created_at > now() - interval '30 days' AND b.record_ids = ARRAY[t.record_id]
	WHERE t.times > 2
		AND EXISTS (SELECT FROM kinderconnect.batch a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.run_id) = (organization, agency, provider, b.run_id)
				AND a.created_at >= (SELECT r.started_at FROM kinderconnect.run r WHERE r.run_id = b.run_id) AND a.state = 'answered')
	ORDER BY t.record_id, b.ended_at DESC;
END;
$$;
COMMENT ON FUNCTION kinderconnect._culprits(text, text, text) IS
'the records of a provider whose answer was lost three times or more within 30 days, and that of a batch of their own in a run in which the service answered another; with what it said last';

-- What the search for a culprit may cost a provider in a night: two batches lost
-- in a row end it, as many as there are if the service is down, and so do eight
-- in all. What it answers meanwhile are quarters of what was lost, four of each
-- at most: of a night's own, 40 requests with those lost. And a night has six
-- more passes than two, with a read-back and a plan each.
CREATE FUNCTION kinderconnect._lost_so_far(run bigint, organization text, agency text, provider text, OUT last boolean, OUT enough boolean, OUT answered boolean)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT count(*) FILTER (WHERE b.since) > 0, count(*) FILTER (WHERE b.since) > 1 OR count(*) FILTER (WHERE b.state = 'lost') > 7, count(b.answered_at) > 0
	INTO last, enough, answered
	FROM (SELECT b.state, b.answered_at, b.state = 'lost' AND (b.ended_at <= b.answered_at) IS NOT TRUE AS since
		FROM (SELECT b.state, b.ended_at, max(b.ended_at) FILTER (WHERE b.state IN ('answered', 'refused')) OVER () AS answered_at
			FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id, b.run_id) = (organization, agency, provider, run)
				AND b.created_at >= (SELECT r.started_at FROM kinderconnect.run r WHERE r.run_id = run)) b) b;
END;
$$;
COMMENT ON FUNCTION kinderconnect._lost_so_far(bigint, text, text, text) IS
'of a provider''s batches in a run: whether the answer to the last was lost, whether so many were that no more is sent in this run, and whether any was answered or refused';

-- A record that is unknown keeps the days of its child from being sent, by
-- whichever id the agency knows it: none of the others. But a service that does
-- not answer is not sent the others to be lost too: only one that listed the
-- provider's children in this run and, where it lost a batch, has answered
-- another. What was lost before does not take along what was not, which goes
-- first.
CREATE FUNCTION kinderconnect._days_to_try(run bigint, organization text, agency text, provider text, from_date date, to_date date) RETURNS tid[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	doubt boolean := EXISTS (SELECT FROM kinderconnect.ledger l
		WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state IN ('sending', 'unknown'));
	lost  record;
BEGIN
	IF NOT doubt AND NOT EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider)
				AND b.state = 'lost' AND b.created_at > now() - interval '30 days') THEN
		RETURN NULL;
	END IF;
	lost := kinderconnect._lost_so_far(run, organization, agency, provider);
	IF lost.enough OR doubt AND (lost.last AND NOT lost.answered OR NOT kinderconnect._listed_tonight(run, organization, agency, provider)) THEN
		RETURN '{}';
	ELSIF NOT doubt AND NOT EXISTS (SELECT FROM kinderconnect._lost_records(organization, agency, provider)) THEN
		RETURN NULL;
	END IF;
	RETURN ARRAY(SELECT n.tid
		FROM (SELECT t.tid, t.most, max(t.most) OVER () AS first,
				row_number() OVER (ORDER BY t.most DESC, t.times NULLS FIRST, t.service_date, t.kinderconnect_child_id) AS n
			FROM (SELECT d.ctid AS tid, d.service_date, d.kinderconnect_child_id, r.times,
					coalesce(CASE WHEN d.accepted_record_id IS DISTINCT FROM d.record_id THEN r.most END, 2147483647) AS most
				FROM kinderconnect.child_day d
				LEFT JOIN kinderconnect._lost_records(organization, agency, provider) r ON r.record_id = d.record_id
				WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, agency, provider) AND d.state = 'ready'
					AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
					AND NOT EXISTS (SELECT FROM kinderconnect.ledger l
						WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state IN ('sending', 'unknown')
							AND l.service_date = d.service_date AND (l.kinderconnect_child_id = d.kinderconnect_child_id OR l.child_id = d.child_id))) t) n
		WHERE n.most = n.first AND n.n <= least(n.first, kinderconnect._most_records(organization, agency, provider))
		ORDER BY n.n);
END;
$$;
COMMENT ON FUNCTION kinderconnect._days_to_try(bigint, text, text, text, date, date) IS
'the ready days of a provider that may be sent together next, where the answer to any of its records is lost, or was within 30 days; null: of none, and all may';

-- The next batch of each of these providers, marked as sending: a waiting half
-- of a refused one, else new records of ready days. One at a time for each
-- provider, and of a child's day nothing new while a record of it is unknown.
--
-- Halves: the first half of what was refused last, down to a single record,
-- then the largest of what is left. So the search for a culprit soon meets a
-- batch without one, if there is any.
CREATE FUNCTION kinderconnect._next_batches(run bigint, organizations text[], agencies text[], providers text[], from_date date, to_date date)
	RETURNS TABLE (organization_id text, batch_id text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
	made record;
BEGIN
	SELECT array_agg(u.organization_id), array_agg(u.agency_id), array_agg(u.provider_id) INTO organizations, agencies, providers
	FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
	WHERE NOT EXISTS (SELECT FROM kinderconnect.run_provider p
			WHERE (p.organization_id, p.run_id, p.agency_id, p.provider_id) = (u.organization_id, run, u.agency_id, u.provider_id) AND p.halted)
		AND NOT EXISTS (SELECT FROM kinderconnect.run_organization o WHERE (o.organization_id, o.run_id) = (u.organization_id, run) AND o.halted)
		AND NOT EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (u.organization_id, u.agency_id, u.provider_id) AND b.state = 'sending');

	RETURN QUERY
	UPDATE kinderconnect.batch b SET state = 'sending', run_id = run, sent_at = clock_timestamp()
	FROM (SELECT DISTINCT ON (b.organization_id, b.agency_id, b.provider_id) b.organization_id, b.batch_id
		FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
		JOIN kinderconnect.batch b ON (b.organization_id, b.agency_id, b.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
			AND b.state = 'waiting'
		ORDER BY b.organization_id, b.agency_id, b.provider_id, b.first_half DESC, b.records DESC, b.created_at) w
	WHERE (b.organization_id, b.batch_id) = (w.organization_id, w.batch_id)
	RETURNING b.organization_id, b.batch_id;

	SELECT array_agg(u.organization_id), array_agg(u.agency_id), array_agg(u.provider_id) INTO organizations, agencies, providers
	FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
	WHERE NOT EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (u.organization_id, u.agency_id, u.provider_id) AND b.state = 'sending');

	-- the rare case is asked for first, a provider at a time: joined, all ready
	-- days would be read for these
	IF EXISTS (SELECT FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
			CROSS JOIN LATERAL (SELECT FROM kinderconnect.child_day d
				WHERE (d.organization_id, d.agency_id, d.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
					AND d.state = 'ready' AND d.window_ends <= clock_timestamp() OFFSET 0) d) THEN
		UPDATE kinderconnect.child_day d
		SET state = 'held', reason = 'window_closed', detail = 'closed while the night ran', changed_at = now()
		FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
		WHERE (d.organization_id, d.agency_id, d.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
			AND d.state = 'ready' AND d.window_ends <= clock_timestamp();
	END IF;

	-- A record that is certainly not stored keeps its id if its content
	-- still stands; whatever else is new gets a new one.
	FOR made IN
		WITH claimed AS MATERIALIZED (
			SELECT c.*
			FROM (SELECT u.*, kinderconnect._most_records(u.organization_id, u.agency_id, u.provider_id) AS most,
					kinderconnect._days_to_try(run, u.organization_id, u.agency_id, u.provider_id, from_date, to_date) AS chosen
				FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
				OFFSET 0) u		-- each is asked once, not for every day
			CROSS JOIN LATERAL (
				SELECT d.ctid AS tid, d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
					coalesce(d.kind, 'void') AS kind, d.session_in, d.session_out, d.absence_reason, coalesce(d.content, 'void') AS content, d.basis, d.location_id,
					-- whom somebody unlinked since the plan
					d.void_wanted OR EXISTS (SELECT FROM kinderconnect.child_link k
						WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id)
							= (d.organization_id, d.agency_id, d.kinderconnect_child_id) AND k.child_id = d.child_id) AS linked,
					-- a day that was taken over may be there under a record that is not ours
					coalesce(d.child_id, (SELECT a.child_id FROM kinderconnect.ledger a
						WHERE (a.organization_id, a.record_id) = (d.organization_id, d.accepted_record_id)),
						(SELECT k.child_id FROM kinderconnect.child_link k
						WHERE (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
						ORDER BY k.linked_at DESC LIMIT 1)) AS child_id,
					coalesce(CASE WHEN d.record_id IS NOT NULL THEN (SELECT l.record_id FROM kinderconnect.ledger l
						WHERE (l.organization_id, l.record_id) = (d.organization_id, d.record_id) AND l.state = 'not_taken'
							AND l.content = coalesce(d.content, 'void') AND (l.child_id = d.child_id) IS NOT FALSE) END,
						gen_random_uuid()::text) AS record_id
				FROM kinderconnect.child_day d
				WHERE (d.organization_id, d.agency_id, d.provider_id) = (u.organization_id, u.agency_id, u.provider_id) AND d.state = 'ready'
					AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
					AND (u.chosen IS NULL OR d.ctid = ANY (u.chosen))
				ORDER BY d.service_date, d.kinderconnect_child_id
				LIMIT u.most) c
		), written AS (
			INSERT INTO kinderconnect.ledger AS l (organization_id, record_id, agency_id, provider_id, kinderconnect_child_id, service_date,
				child_id, kind, session_in, session_out, absence_reason, content, state, run_id, location_id)
			SELECT c.organization_id, c.record_id, c.agency_id, c.provider_id, c.kinderconnect_child_id, c.service_date,
				c.child_id, c.kind, c.session_in, c.session_out, c.absence_reason, c.content, 'sending', run, c.location_id
			FROM claimed c
			WHERE c.linked
			ON CONFLICT (organization_id, record_id) DO UPDATE
			SET state = 'sending', run_id = excluded.run_id, code = NULL, message = NULL, answered_at = NULL, location_id = excluded.location_id
			RETURNING l.organization_id, l.agency_id, l.provider_id, l.record_id
		), marked AS (
			UPDATE kinderconnect.child_day d
			SET state = 'sending', record_id = c.record_id, sent_content = c.content, sent_basis = c.basis, changed_at = now()
			FROM claimed c
			WHERE d.organization_id = c.organization_id AND d.ctid = c.tid AND c.linked
			RETURNING d.organization_id, d.agency_id, d.provider_id
		), parted AS (
			UPDATE kinderconnect.child_day d
			SET state = 'held', reason = CASE WHEN d.accepted_content IS NULL THEN 'unmatched' ELSE 'authorization_lost' END,
				detail = 'unlinked while the night ran', changed_at = now()
			FROM claimed c
			WHERE d.organization_id = c.organization_id AND d.ctid = c.tid AND NOT c.linked
		), batched AS (
			INSERT INTO kinderconnect.batch AS b (organization_id, batch_id, agency_id, provider_id, run_id, records, record_ids, state, sent_at)
			SELECT w.organization_id, gen_random_uuid(), w.agency_id, w.provider_id, run, count(*), array_agg(w.record_id), 'sending', clock_timestamp()
			FROM written w
			GROUP BY w.organization_id, w.agency_id, w.provider_id
			RETURNING b.organization_id, b.agency_id, b.provider_id, b.batch_id, b.records
		)
		SELECT c.organization_id, c.agency_id, c.provider_id, b.batch_id, b.records, coalesce(m.marks, 0) AS marks
		FROM (SELECT DISTINCT c.organization_id, c.agency_id, c.provider_id FROM claimed c) c
		LEFT JOIN batched b ON (b.organization_id, b.agency_id, b.provider_id) = (c.organization_id, c.agency_id, c.provider_id)
		LEFT JOIN (SELECT m.organization_id, m.agency_id, m.provider_id, count(*) AS marks FROM marked m
			GROUP BY m.organization_id, m.agency_id, m.provider_id) m
			ON (m.organization_id, m.agency_id, m.provider_id) = (c.organization_id, c.agency_id, c.provider_id)
	LOOP
		-- all that it was going to send is held now; it may have more
		IF made.batch_id IS NULL THEN
			RETURN QUERY SELECT n.* FROM kinderconnect._next_batches(run, ARRAY[made.organization_id], ARRAY[made.agency_id], ARRAY[made.provider_id],
				from_date, to_date) n;
			CONTINUE;
		END IF;
		-- A row that somebody changed meanwhile stands elsewhere. Its day would
		-- stay ready, and go once more.
		IF made.marks <> made.records THEN
			RAISE EXCEPTION '% of % child-days of provider "%" changed while they were made ready to be sent',
				made.records - made.marks, made.records, made.provider_id
				USING ERRCODE = 'serialization_failure', HINT = 'Nothing of them was sent. The next run sends them.';
		END IF;
		organization_id := made.organization_id;
		batch_id := made.batch_id;
		RETURN NEXT;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._next_batches(bigint, text[], text[], text[], date, date) IS
'marks the next batch of each of these providers as sending, all of them or, by an error, none; a provider that has none to send now is left out. The caller commits, then calls _dispatch()';

-- A service that tells errors in the body of a success has one word for all
-- of them. If it knew the provider and the password a moment ago, the word is
-- about the records.
CREATE FUNCTION kinderconnect._listed_tonight(run bigint, organization text, agency text, provider text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect.list_state l
		JOIN kinderconnect.run r ON r.run_id = run
		WHERE l.organization_id = organization AND l.operation = 'children'
			AND l.agency_id = coalesce(agency, l.agency_id) AND l.provider_id = coalesce(provider, l.provider_id)
			AND greatest(l.taken_at, l.set_aside_at) >= r.started_at);
END;
COMMENT ON FUNCTION kinderconnect._listed_tonight(bigint, text, text, text) IS
'whether the service listed the children of a provider, or of any of the organization, in this run';

-- The plan left alone what was unknown then. What Manage says of these days
-- by now is judged before any of it is sent, when the last batch of them is in;
-- what is unknown even then does not keep the others.
CREATE FUNCTION kinderconnect._plan_resolved(run bigint, organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM kinderconnect.ledger l
			WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state = 'sending') THEN
		PERFORM kinderconnect._plan(organization, agency, provider, (r.scope ->> 'from_date')::date, (r.scope ->> 'to_date')::date)
		FROM kinderconnect.run r WHERE r.run_id = run;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._plan_resolved(bigint, text, text, text) IS 'plans a provider anew, when none of its records is on its way any more';

-- Takes in the answers to batches. Only what the service truly said changes
-- anything: a record it did not name is unknown, and one it names twice with
-- different words too. A word that nobody agreed upon is a question where the
-- service can be asked what it holds, and a refusal where it cannot.
CREATE FUNCTION kinderconnect._take_answers(run bigint, outcomes kinderconnect.call_outcome[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tickets       bigint[];
	organizations text[];
	record_ids    text[];
	again         boolean[];
	verdicts      text[];
	codes         text[];
	messages      text[];
	words         bigint[];
	item          record;
BEGIN
	WITH answered AS (
		UPDATE kinderconnect.batch b
		SET state = 'answered', sqlstate = o.sqlstate, http_status = o.http_status, code = o.code,
			message = nullif(kinderconnect._said(o), ''), attempts = o.attempts, ended_at = clock_timestamp()
		FROM unnest(outcomes) o
		WHERE (b.organization_id, b.batch_id) = (o.organization_id, o.batch_id)
		RETURNING o.ticket, b.organization_id, b.record_ids, b.repeats
	)
	SELECT array_agg(a.ticket), array_agg(a.organization_id), array_agg(r.record_id), array_agg(a.repeats)
	INTO tickets, organizations, record_ids, again
	FROM answered a CROSS JOIN LATERAL unnest(a.record_ids) r(record_id);
	FOR item IN SELECT o.batch_id, o.provider_id FROM unnest(outcomes) o WHERE (o.ticket = ANY (tickets)) IS NOT TRUE LOOP
		RAISE EXCEPTION 'batch "%" of provider "%" was answered but is not in kinderconnect.batch', item.batch_id, item.provider_id
			USING ERRCODE = 'no_data_found', HINT = 'Its records are unknown to the next run, which resolves them.';
	END LOOP;

	SELECT array_agg(s.ticket), array_agg(s.organization_id), array_agg(s.record_id), array_agg(s.again), array_agg(s.verdict),
		array_agg(s.code), array_agg(CASE WHEN s.again AND s.verdict = 'rejected'
			THEN concat_ws('; ', s.message, 'it was sent before and that answer was lost, so the service may hold it') ELSE s.message END), array_agg(s.words)
	INTO tickets, organizations, record_ids, again, verdicts, codes, messages, words
	FROM (SELECT r.ticket, r.organization_id, r.record_id, r.again, count(DISTINCT w.verdict) AS words,
			-- of two answers the one that is not yes is why, if it is not held there
			(array_agg(w.code ORDER BY w.verdict = 'accepted', w.ordinal))[1] AS code,
			(array_agg(w.message ORDER BY w.verdict = 'accepted', w.ordinal))[1] AS message,
			CASE
				WHEN count(DISTINCT w.verdict) = 1 THEN min(w.verdict)
				ELSE 'unknown'
			END AS verdict
		FROM unnest(tickets, organizations, record_ids, again) r(ticket, organization_id, record_id, again)
		LEFT JOIN (SELECT o.ticket, w.record_id, w.ordinal, w.code,
				CASE WHEN w.status IN ('accepted', 'duplicate', 'rejected') THEN w.message
					ELSE concat_ws(': ', format('status "%s"', w.status), w.message) END AS message,
				CASE
					WHEN w.status IN ('accepted', 'duplicate') THEN 'accepted'
					WHEN w.status = 'rejected' OR NOT kinderconnect._speaks(o.organization_id, 'readback') THEN 'rejected'
					ELSE 'unknown'		-- a word of its own: it may have stored it all the same
				END AS verdict
			FROM unnest(outcomes) o
			CROSS JOIN LATERAL kinderconnect._rows(o.ticket, NULL::kinderconnect.reply_result) w
			WHERE w.status IS NOT NULL) w USING (ticket, record_id)
		GROUP BY r.ticket, r.organization_id, r.record_id, r.again) s;

	PERFORM kinderconnect._settle_each(organizations, record_ids, verdicts, codes, messages);

	FOR item IN
		SELECT o.organization_id, o.agency_id, o.provider_id, s.records, s.left_out, s.contradicted, s.again,
			(SELECT count(*) FROM kinderconnect._rows(o.ticket, NULL::kinderconnect.reply_result) w
				WHERE w.record_id IS NULL OR w.record_id <> ALL (s.record_ids)) AS strays
		FROM unnest(outcomes) o
		JOIN (SELECT s.ticket, count(*) AS records, array_agg(s.record_id) AS record_ids, bool_or(s.again) AS again,
				count(*) FILTER (WHERE s.words = 0) AS left_out, count(*) FILTER (WHERE s.words > 1) AS contradicted
			FROM unnest(tickets, record_ids, again, words) s(ticket, record_id, again, words)
			GROUP BY s.ticket) s USING (ticket)
		ORDER BY o.ticket
	LOOP
		IF item.left_out > 0 THEN
			PERFORM kinderconnect._fail_provider(run, item.organization_id, item.agency_id, item.provider_id, false, 'KC301',
				format('answer of the service leaves %s of %s records out', item.left_out, item.records),
				'They are unknown; of these children''s days nothing new is sent until they are resolved.');
		END IF;
		IF item.contradicted > 0 THEN
			PERFORM kinderconnect._fail_provider(run, item.organization_id, item.agency_id, item.provider_id, false, 'KC301',
				format('answer of the service says two things of %s of %s records', item.contradicted, item.records),
				'They are unknown; of these children''s days nothing new is sent until they are resolved.');
		END IF;
		IF item.strays > 0 THEN
			PERFORM kinderconnect._fail_provider(run, item.organization_id, item.agency_id, item.provider_id, false, 'KC301',
				format('answer of the service names %s records that were not sent', item.strays),
				'They changed nothing; report it to the service.');
		END IF;
		IF item.again THEN
			PERFORM kinderconnect._plan_resolved(run, item.organization_id, item.agency_id, item.provider_id);
		END IF;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_answers(bigint, kinderconnect.call_outcome[]) IS
'takes in the answers to batches, record by record; all of them or, by an error, none';

-- Takes in the outcome of a batch that was not answered: what was not sent is
-- only noted, and what may have arrived is unknown.
CREATE FUNCTION kinderconnect._take_failure(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	org      text := outcome.organization_id;
	agency   text := outcome.agency_id;
	provider text := outcome.provider_id;
	records  text[];
	halves   boolean := NOT outcome.sent AND (outcome.http_status IN (413, 422)
		OR outcome.http_status BETWEEN 200 AND 299 AND kinderconnect._listed_tonight(run, org, agency, provider));
	hopeless boolean;
	again    boolean;
	doubt    text := 'it was sent before and that answer was lost, so the service may hold it';
BEGIN
	UPDATE kinderconnect.batch b
	SET state = CASE WHEN outcome.sent THEN 'lost' ELSE 'refused' END,
		sqlstate = outcome.sqlstate, http_status = outcome.http_status, code = outcome.code,
		message = nullif(kinderconnect._said(outcome), ''), attempts = outcome.attempts, ended_at = clock_timestamp()
	WHERE b.organization_id = org AND b.batch_id = outcome.batch_id
	RETURNING b.repeats, b.record_ids INTO STRICT again, records;

	IF outcome.sent THEN
		PERFORM kinderconnect._settle(org, records, 'unknown', NULL, NULL);
		PERFORM kinderconnect._fail_provider(run, org, agency, provider, false, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
		IF (kinderconnect._lost_so_far(run, org, agency, provider)).enough THEN
			PERFORM kinderconnect._drop_waiting(org, agency, provider);
		END IF;
	ELSIF halves AND cardinality(records) > 1 THEN
		-- by lot, so that two culprits do not fall into the same places every night
		records := ARRAY(SELECT r FROM unnest(records) r ORDER BY md5(outcome.batch_id || r));
		PERFORM kinderconnect._new_batch(run, org, agency, provider, outcome.batch_id, true, again, records[:cardinality(records) / 2]);
		PERFORM kinderconnect._new_batch(run, org, agency, provider, outcome.batch_id, false, again, records[cardinality(records) / 2 + 1:]);
	ELSIF halves THEN
		-- Two single records in a row that fail alike, and nothing of this
		-- provider accepted in this run: it is not the records' fault. Where
		-- one word stands for all errors, the service may also have failed in
		-- the midst of it: then it takes eight.
		SELECT coalesce(min(b.n) FILTER (WHERE NOT b.alike), count(*) + 1) > CASE
				WHEN NOT bool_or(b.answered) THEN 2 WHEN outcome.http_status BETWEEN 200 AND 299 THEN 8 END
		INTO hopeless
		FROM (SELECT row_number() OVER (ORDER BY b.ended_at DESC) AS n, b.state = 'answered' AS answered,
				b.records = 1 AND b.state = 'refused' AND (b.code, b.message) IS NOT DISTINCT FROM (outcome.code, kinderconnect._said(outcome)) AS alike
			FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id, b.run_id) = (org, agency, provider, run)
				AND b.ended_at IS NOT NULL AND (b.records = 1 OR b.state = 'answered')) b;
		IF hopeless THEN
			PERFORM kinderconnect._acquit(run, org, agency, provider);
			PERFORM kinderconnect._settle(org, records, CASE WHEN again THEN 'unknown' ELSE 'not_taken' END, NULL, NULL);
			PERFORM kinderconnect._give_up(run, org, agency, provider, outcome);
		ELSE
			PERFORM kinderconnect._settle(org, records, 'rejected',
				ARRAY[CASE WHEN outcome.http_status = 413 THEN 'TOO_LARGE' ELSE outcome.code END],
				ARRAY[concat_ws('; ', kinderconnect._said(outcome), CASE WHEN again THEN doubt END)]);
		END IF;
	ELSE
		PERFORM kinderconnect._settle(org, records, CASE WHEN again THEN 'unknown' ELSE 'not_taken' END, NULL, NULL);
		PERFORM kinderconnect._give_up(run, org, agency, provider, outcome);
	END IF;

	IF again THEN
		PERFORM kinderconnect._plan_resolved(run, org, agency, provider);
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_failure(bigint, kinderconnect.call_outcome) IS
'takes in the outcome of a batch that failed: halved, rejected, unknown, or the provider given up for this run';

-- Where the provider turns out to be at fault, the record that was refused by
-- itself before was not.
CREATE FUNCTION kinderconnect._acquit(run bigint, organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	WITH acquitted AS (
		UPDATE kinderconnect.ledger l
		SET state = CASE WHEN b.repeats THEN 'unknown' ELSE 'not_taken' END, code = NULL, message = NULL,
			answered_at = CASE WHEN NOT b.repeats THEN l.answered_at END
		FROM kinderconnect.batch b
		WHERE (b.organization_id, b.agency_id, b.provider_id, b.run_id) = (organization, agency, provider, run)
			AND b.records = 1 AND b.state = 'refused'
			AND (l.organization_id, l.record_id) = (b.organization_id, b.record_ids[1]) AND l.state = 'rejected'
		RETURNING l.record_id, l.state
	)
	UPDATE kinderconnect.child_day d
	SET state = CASE a.state WHEN 'unknown' THEN 'unknown' ELSE 'ready' END, code = NULL, message = NULL, changed_at = now()
	FROM acquitted a
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.record_id) = (organization, agency, provider, a.record_id) AND d.state = 'rejected';
END;
$$;
COMMENT ON FUNCTION kinderconnect._acquit(bigint, text, text, text) IS
'records of a run that were rejected because their batch of one was refused are as if they had not been sent';

CREATE FUNCTION kinderconnect._drop_waiting(organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	unsent record;
BEGIN
	FOR unsent IN
		WITH dropped AS (
			UPDATE kinderconnect.batch b SET state = 'dropped', ended_at = clock_timestamp()
			WHERE b.organization_id = organization AND b.state = 'waiting'
				AND (agency IS NULL OR b.agency_id = agency) AND (provider IS NULL OR b.provider_id = provider)
			RETURNING b.record_ids, b.repeats
		)
		SELECT dropped.repeats, array_agg(r.record_id) AS record_ids
		FROM dropped CROSS JOIN LATERAL unnest(dropped.record_ids) r(record_id)
		GROUP BY dropped.repeats
	LOOP
		PERFORM kinderconnect._settle(organization, unsent.record_ids, CASE WHEN unsent.repeats THEN 'unknown' ELSE 'not_taken' END, NULL, NULL);
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._drop_waiting(text, text, text) IS
'drops the batches that wait, of an organization or of one provider; their days are ready again, or unknown if they were sent before';

CREATE FUNCTION kinderconnect._give_up(run bigint, organization text, agency text, provider text, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM kinderconnect._fail_provider(run, organization, agency, provider, true, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
	PERFORM kinderconnect._drop_waiting(organization, agency, provider);
END;
$$;
COMMENT ON FUNCTION kinderconnect._give_up(bigint, text, text, text, kinderconnect.call_outcome) IS
'nothing more is sent for a provider in this run; what waited is ready again';

-- Unknown records, where the service cannot be asked what it holds: the same
-- records once more, which it answers as duplicates if it had them.
CREATE FUNCTION kinderconnect._repeat_unknown(run bigint, organization text, agency text, provider text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	largest integer;
	part    text[];
	spared  text[];
	parts   text[] := '{}';
BEGIN
	-- what this run does not send stays unknown, not 'sending' in a batch that waits
	IF EXISTS (SELECT FROM kinderconnect.run_provider p
			WHERE (p.organization_id, p.run_id, p.agency_id, p.provider_id) = (organization, run, agency, provider) AND p.halted)
		OR NOT EXISTS (SELECT FROM kinderconnect.provider_standing p
			WHERE (p.organization_id, p.agency_id, p.provider_id) = (organization, agency, provider) AND p.barred IS NULL)
		OR (kinderconnect._lost_so_far(run, organization, agency, provider)).enough THEN
		RETURN;
	END IF;
	-- what was lost again and again lets tonight's new days go first
	spared := ARRAY(SELECT r.record_id FROM kinderconnect._lost_records(organization, agency, provider) r
		WHERE r.times > 1 AND NOT EXISTS (SELECT FROM kinderconnect.run_organization o
			WHERE (o.organization_id, o.run_id) = (organization, run) AND o.step = 'plan'));
	largest := kinderconnect._most_records(organization, agency, provider);
	FOR part IN
		SELECT array_agg(n.record_id)
		FROM (SELECT l.record_id, t.most, row_number() OVER (PARTITION BY t.most ORDER BY l.service_date, l.kinderconnect_child_id, l.record_id) - 1 AS n
			FROM kinderconnect.ledger l
			LEFT JOIN kinderconnect._lost_records(organization, agency, provider) r ON r.record_id = l.record_id
			CROSS JOIN LATERAL (SELECT least(r.most, largest) AS most) t
			WHERE (l.organization_id, l.agency_id, l.provider_id) = (organization, agency, provider) AND l.state = 'unknown'
				AND l.record_id <> ALL (spared)) n
		GROUP BY n.most, n.n / n.most
		-- by lot, so that it is not always the same that are not reached
		ORDER BY md5(run || min(n.record_id))
	LOOP
		PERFORM kinderconnect._new_batch(run, organization, agency, provider, NULL, false, true, part);
		parts := parts || part;
	END LOOP;
	UPDATE kinderconnect.ledger l SET state = 'sending', run_id = run
	WHERE l.organization_id = organization AND l.record_id = ANY (parts) AND l.state = 'unknown';
END;
$$;
COMMENT ON FUNCTION kinderconnect._repeat_unknown(bigint, text, text, text) IS
'puts the unknown records of a provider into waiting batches again, same ids and content';

-- Days that the service accepted under an id that it has merged into another
-- since. Without a provider's row or beyond the horizon nothing is asked.
CREATE FUNCTION kinderconnect._merged_days(organization text)
	RETURNS TABLE (agency_id text, provider_id text, kinderconnect_child_id text, service_date date, former_id text)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	-- apart, for there are few; joined, they are looked for once for each link
	-- as long as the planner knows nothing of links
	WITH o AS MATERIALIZED (
		SELECT k.organization_id, k.agency_id, k.child_id, k.kinderconnect_child_id, k.end_reason
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NOT NULL AND k.end_reason LIKE 'merged into %'
	)
	SELECT DISTINCT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, f.kinderconnect_child_id
	FROM kinderconnect.organization g
	JOIN o ON o.organization_id = g.organization_id
	JOIN kinderconnect.child_link k ON (k.organization_id, k.agency_id, k.child_id) = (o.organization_id, o.agency_id, o.child_id)
		AND k.ended_at IS NULL AND k.kinderconnect_child_id <> o.kinderconnect_child_id
	JOIN kinderconnect.provider_standing p ON (p.organization_id, p.agency_id) = (k.organization_id, k.agency_id) AND p.barred IS NULL
	JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id)
			= (p.organization_id, p.agency_id, p.provider_id, k.kinderconnect_child_id)
		AND d.state = 'held' AND d.reason = 'merged_child' AND d.accepted_content IS NULL
	JOIN kinderconnect.child_day f ON (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
			= (o.organization_id, o.agency_id, d.provider_id, o.kinderconnect_child_id, d.service_date)
		AND f.state = 'held' AND f.accepted_content IS NOT NULL AND NOT f.void_wanted
	WHERE g.organization_id = organization
		AND d.service_date >= greatest((now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer, g.first_enabled - g.backfill_days);
END;
COMMENT ON FUNCTION kinderconnect._merged_days(text) IS
'days held as merged_child, and the id under which the service accepted them';

-- What it accepted under the former id and holds under the new one is the new
-- one's; what else it says leaves the day to a person.
CREATE FUNCTION kinderconnect._take_over_merged(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	taken_at timestamptz := clock_timestamp();
BEGIN
	WITH there AS MATERIALIZED (
		SELECT w.kinderconnect_child_id, w.service_date, min(w.record_id) AS record_id,
			min(kinderconnect.content(w.kind, w.session_in, w.session_out, w.absence_reason)) AS content
		FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w
		GROUP BY w.kinderconnect_child_id, w.service_date
		HAVING count(*) = 1
	), same AS MATERIALIZED (
		SELECT DISTINCT ON (m.kinderconnect_child_id, m.service_date) m.kinderconnect_child_id, m.service_date, m.former_id,
			f.accepted_kind, f.accepted_in, f.accepted_out, f.accepted_reason, f.accepted_content, f.accepted_record_id, t.record_id,
			EXISTS (SELECT FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w
				WHERE (w.kinderconnect_child_id, w.service_date) = (m.former_id, m.service_date)) AS twice
		FROM kinderconnect._merged_days(outcome.organization_id) m
		JOIN kinderconnect.child_day f ON (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
			= (outcome.organization_id, m.agency_id, m.provider_id, m.former_id, m.service_date)
		JOIN there t ON (t.kinderconnect_child_id, t.service_date, t.content) = (m.kinderconnect_child_id, m.service_date, f.accepted_content)
		WHERE (m.agency_id, m.provider_id) = (outcome.agency_id, outcome.provider_id)
		ORDER BY m.kinderconnect_child_id, m.service_date, m.former_id
	), touched AS MATERIALIZED (
		SELECT s.kinderconnect_child_id, s.service_date,
			format('the service holds it as record %s, accepted as child %s', coalesce(s.record_id, s.accepted_record_id), s.former_id) AS detail
		FROM same s
		UNION ALL
		SELECT s.former_id, s.service_date, 'the service holds it as child ' || s.kinderconnect_child_id
		FROM same s WHERE NOT s.twice
	), step AS (
		INSERT INTO kinderconnect.child_day_step
			(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, at, run_id,
			was_state, was_reason, was_detail, was_content, was_modified_at, state, reason, detail, content, modified_at)
		SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, taken_at, run,
			d.state, d.reason, d.detail, d.content, d.modified_at, d.state, d.reason, t.detail, d.content, d.modified_at
		FROM touched t
		JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (outcome.organization_id, outcome.agency_id, outcome.provider_id, t.kinderconnect_child_id, t.service_date)
	), gone AS (
		UPDATE kinderconnect.child_day d
		SET accepted_kind = NULL, accepted_in = NULL, accepted_out = NULL, accepted_reason = NULL, accepted_content = NULL,
			accepted_record_id = NULL, accepted_at = NULL, changed_at = now()
		FROM same s
		WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
				= (outcome.organization_id, outcome.agency_id, outcome.provider_id, s.former_id, s.service_date)
			AND NOT s.twice
	)
	UPDATE kinderconnect.child_day d
	SET accepted_kind = s.accepted_kind, accepted_in = s.accepted_in, accepted_out = s.accepted_out, accepted_reason = s.accepted_reason,
		accepted_content = s.accepted_content, accepted_record_id = coalesce(s.record_id, s.accepted_record_id), accepted_at = taken_at,
		changed_at = now()
	FROM same s
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
		= (outcome.organization_id, outcome.agency_id, outcome.provider_id, s.kinderconnect_child_id, s.service_date);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_over_merged(bigint, kinderconnect.call_outcome) IS
'days that the service accepted under an id and says it holds, the same, under the id that took its place are accepted days of that one; child_day_step tells';

-- Unknown records, where the service can be asked: it holds a record or it
-- does not. A void left nothing behind if it arrived. What it does not hold and
-- had a word for, that word refused: sent again it would get the same. And so
-- would a culprit.
CREATE FUNCTION kinderconnect._take_readback(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	answer record;
BEGIN
	IF outcome.problems > 0 THEN
		PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, false, 'KC301',
			format('%s records of the read-back cannot be understood', outcome.problems),
			'Days whose answer was lost stay unknown until it can be read; see kinderconnect.api_readback().');
		RETURN;
	END IF;
	FOR answer IN
		SELECT s.verdict, array_agg(s.record_id) AS record_ids, array_agg(s.code) AS codes, array_agg(s.message) AS messages
		FROM (SELECT l.record_id, CASE WHEN num_nonnulls(l.code, l.message) > 0 THEN l.code ELSE c.code END AS code,
				CASE WHEN num_nonnulls(l.code, l.message) > 0 THEN l.message
					ELSE concat_ws('; ', c.message, 'so it was each time this record was sent, by itself too, and the service does not hold it: correct the day, or report it to the service and call kinderconnect.retry()') END AS message,
				CASE
				WHEN l.kind = 'void' AND NOT EXISTS (SELECT FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w
					WHERE w.kinderconnect_child_id = l.kinderconnect_child_id AND w.service_date = l.service_date) THEN 'accepted'
				WHEN l.record_id IN (SELECT w.record_id FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w) THEN 'accepted'
				WHEN num_nonnulls(l.code, l.message, c.record_id) > 0 THEN 'rejected'
				ELSE 'not_taken' END AS verdict
			FROM kinderconnect.ledger l
			LEFT JOIN kinderconnect._culprits(outcome.organization_id, outcome.agency_id, outcome.provider_id) c ON c.record_id = l.record_id
			WHERE (l.organization_id, l.agency_id, l.provider_id) = (outcome.organization_id, outcome.agency_id, outcome.provider_id)
				AND l.state = 'unknown') s
		GROUP BY s.verdict
	LOOP
		PERFORM kinderconnect._settle(outcome.organization_id, answer.record_ids, answer.verdict,
			CASE WHEN answer.verdict = 'rejected' THEN answer.codes END, CASE WHEN answer.verdict = 'rejected' THEN answer.messages END);
	END LOOP;
	PERFORM kinderconnect._take_over_merged(run, outcome);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_readback(bigint, kinderconnect.call_outcome) IS
'settles the unknown records of a provider by what the service says it holds, and takes over what it holds of merged children';

-- The night never takes back by itself what it accepted under an authorization
-- or link that is gone: that is a person's decision.
CREATE FUNCTION kinderconnect.void_day(organization_id text, agency_id text, provider_id text, kinderconnect_child_id text, service_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(void_day.organization_id);
	IF num_nulls(void_day.agency_id, void_day.provider_id, void_day.kinderconnect_child_id, void_day.service_date) > 0 THEN
		RAISE EXCEPTION 'agency_id, provider_id, kinderconnect_child_id and service_date must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT kinderconnect._can_void(void_day.organization_id) THEN
		RAISE EXCEPTION 'service of organization "%" cannot take a day back', void_day.organization_id
			USING ERRCODE = 'KC001', HINT = 'Delete the day in the agency''s portal.';
	END IF;
	UPDATE kinderconnect.child_day d SET void_wanted = true
	WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (void_day.organization_id, void_day.agency_id, void_day.provider_id, void_day.kinderconnect_child_id, void_day.service_date)
		AND d.accepted_kind IS NOT NULL AND d.reason = 'authorization_lost';
	IF NOT FOUND THEN
		RAISE EXCEPTION 'child "%" of agency "%" has no such day that is held as authorization_lost', void_day.kinderconnect_child_id, void_day.agency_id
			USING ERRCODE = 'KC001', DETAIL = format('Provider "%s", %s.', void_day.provider_id, to_char(void_day.service_date, 'YYYY-MM-DD')),
				HINT = 'Days held are listed in kinderconnect.child_day; a day deleted in Manage is taken back by itself.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect.void_day(text, text, text, text, date) IS
'the next run takes back an accepted day whose authorization or link is gone';
