-- How far a run is, from what it has committed.

CREATE INDEX run_running ON kinderconnect.run (run_id) WHERE status = 'running';
CREATE INDEX run_organization_by_run ON kinderconnect.run_organization (run_id);
CREATE INDEX run_provider_by_run ON kinderconnect.run_provider (run_id);
CREATE INDEX batch_by_run ON kinderconnect.batch (organization_id, run_id);

CREATE VIEW kinderconnect.progress AS
SELECT r.run_id, o.organization_id, r.step, r.started_at, r.step_at,
	least(w.done, w.total) AS done, w.total, t.answered AS days_answered, d.remaining AS days_remaining,
	round(t.answered * 60 / nullif(extract(epoch FROM now() - t.since), 0), 1) AS days_per_minute,
	date_trunc('second', (now() - t.since) * (d.remaining / nullif(t.answered, 0)::double precision)) AS remains,
	(SELECT count(*) FROM kinderconnect.run_provider p WHERE (p.organization_id, p.run_id) = (o.organization_id, o.run_id) AND p.sqlstate IS NOT NULL) AS providers_failed,
	o.halted
FROM kinderconnect.run r
JOIN kinderconnect.run_organization o ON o.run_id = r.run_id AND o.locked
CROSS JOIN LATERAL (SELECT coalesce(sum(b.records) FILTER (WHERE b.state = 'answered' OR b.state = 'refused' AND b.records = 1), 0) AS answered,
		min(b.sent_at) AS since
	FROM kinderconnect.batch b WHERE (b.organization_id, b.run_id) = (o.organization_id, o.run_id)) t
CROSS JOIN LATERAL (SELECT count(*) AS remaining
	FROM kinderconnect.provider_clock k
	JOIN kinderconnect.child_day c ON (c.organization_id, c.agency_id, c.provider_id) = (k.organization_id, k.agency_id, k.provider_id)
		AND c.state IN ('ready', 'sending', 'unknown')
	WHERE (k.organization_id, k.run_id) = (o.organization_id, o.run_id) AND r.step IN ('transfer', 'account')) d
CROSS JOIN LATERAL (SELECT count(*) AS taken FROM kinderconnect.list_state l
	WHERE l.organization_id = o.organization_id AND greatest(l.taken_at, l.set_aside_at) >= r.started_at
		AND CASE r.step WHEN 'lists' THEN l.operation IN ('customers', 'agencies', 'locations') WHEN 'children' THEN l.operation = 'children' END) l
CROSS JOIN LATERAL (SELECT
	CASE r.step
		WHEN 'lists' THEN 1 + 2 * (SELECT count(*) FROM kinderconnect.customer c
			WHERE c.organization_id = o.organization_id AND c.listed AND coalesce(lower(btrim(c.status)), 'active') = 'active')
		WHEN 'children' THEN (SELECT count(*) FROM kinderconnect.provider_clock k WHERE (k.organization_id, k.run_id) = (o.organization_id, o.run_id) AND k.provider_id <> '')
			* (SELECT count(*) FROM kinderconnect._months(o.organization_id, (r.scope ->> 'from_date')::date, (r.scope ->> 'to_date')::date))
		WHEN 'match' THEN 1
		WHEN 'plan' THEN 1
		WHEN 'transfer' THEN (t.answered + d.remaining)::bigint
	END AS total,
	CASE
		WHEN r.step IN ('lists', 'children') THEN l.taken
		WHEN r.step IN ('match', 'plan') THEN (o.step = r.step AND o.step_ended_at >= r.step_at)::integer
		WHEN r.step = 'transfer' THEN t.answered::bigint
	END AS done) w
WHERE r.status = 'running';
COMMENT ON VIEW kinderconnect.progress IS
'how far a run under way is, an organization a row; of what is committed, so that any session sees it. A run that died is here until the next one finds it';
COMMENT ON COLUMN kinderconnect.progress.run_id IS 'the run';
COMMENT ON COLUMN kinderconnect.progress.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.progress.step IS 'where the run is: lists, children, match, resolve, plan, transfer, account';
COMMENT ON COLUMN kinderconnect.progress.started_at IS 'when the run began';
COMMENT ON COLUMN kinderconnect.progress.step_at IS 'when the step began';
COMMENT ON COLUMN kinderconnect.progress.done IS 'of total: lists taken; organizations matched or planned; child-days answered';
COMMENT ON COLUMN kinderconnect.progress.total IS 'of the step, as far as is known by now; null: it has no parts';
COMMENT ON COLUMN kinderconnect.progress.days_answered IS 'child-days the service has answered for in this run';
COMMENT ON COLUMN kinderconnect.progress.days_remaining IS 'child-days still to be sent or answered for; counted from the transfer on';
COMMENT ON COLUMN kinderconnect.progress.days_per_minute IS 'since the first call of the transfer';
COMMENT ON COLUMN kinderconnect.progress.remains IS 'how long the rest takes at that rate; null: not known yet';
COMMENT ON COLUMN kinderconnect.progress.providers_failed IS 'providers with an error so far';
COMMENT ON COLUMN kinderconnect.progress.halted IS 'nothing more is asked or sent for it in this run';
