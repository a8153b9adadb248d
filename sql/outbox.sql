-- The outbox: what is about to be sent is committed before each call and its
-- outcome after it, so that wherever the night dies, the next one knows what may
-- have arrived.

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
DECLARE
	horizon date := (now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer;
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
			-- the next plan says which; but none looks at what is too old, where
			-- the date is ahead of the last zone's by a day
			THEN CASE WHEN d.service_date <= horizon THEN 'horizon_passed' ELSE 'nothing_recorded' END END,
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

-- Between a refusal, or a lost answer, and the next attempt a person may have
-- said that it was another child's.
CREATE FUNCTION kinderconnect._is_still_its(record kinderconnect.ledger) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN record.kind = 'void' OR EXISTS (SELECT FROM kinderconnect.child_link k
		WHERE (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (record.organization_id, record.agency_id, record.kinderconnect_child_id)
			AND k.child_id = record.child_id AND (k.ended_at IS NULL OR k.end_reason LIKE 'merged into %'));
END;
$$;
COMMENT ON FUNCTION kinderconnect._is_still_its(kinderconnect.ledger) IS
'whether a record may be sent once more: whose attendance it is, is linked to that child still, or was until another id took its place';

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
