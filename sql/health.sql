-- Whether all is well: a row for each check, with what to do where it is not.
-- Everything is read from tables; nobody is called, Manage neither, so that it
-- answers on a hot standby and while the service is down.

CREATE TABLE kinderconnect.health_check (
	check_name       text COLLATE "C" PRIMARY KEY,
	per_organization boolean NOT NULL,
	unit             text NOT NULL,
	low_is_bad       boolean NOT NULL DEFAULT false,
	warning          numeric,
	critical         numeric,
	meaning          text NOT NULL,
	what_to_do       text NOT NULL
);
COMMENT ON TABLE kinderconnect.health_check IS 'the checks of view health; shipped, not edited: set_threshold() overrides';
COMMENT ON COLUMN kinderconnect.health_check.check_name IS 'its name';
COMMENT ON COLUMN kinderconnect.health_check.per_organization IS 'whether it has a row for each organization, or one in all';
COMMENT ON COLUMN kinderconnect.health_check.unit IS 'of health.number and of both thresholds';
COMMENT ON COLUMN kinderconnect.health_check.low_is_bad IS 'true: less than the threshold is bad; false: as much as it, or more';
COMMENT ON COLUMN kinderconnect.health_check.warning IS 'threshold as shipped; null: it never warns';
COMMENT ON COLUMN kinderconnect.health_check.critical IS 'threshold as shipped; null: it is never critical';
COMMENT ON COLUMN kinderconnect.health_check.meaning IS 'what the number is';
COMMENT ON COLUMN kinderconnect.health_check.what_to_do IS 'the cure';

INSERT INTO kinderconnect.health_check VALUES
	('last_tick', false, 'minutes', false, 60, 180, 'since tick() was last called on this server, or since it started', 'Call schedule(), or look at the timer that calls tick(): doc/schedule.md.'),
	('cron_job', false, 'level', false, 1, 2, 'pg_cron''s job: 1, it is switched off, its last run failed, or several roles have it', 'Read return_message of cron.job_run_details and run_organization; schedule() sets the job up again. If several roles have it, call unschedule() as each but one.'),
	('armed', false, 'level', false, NULL, 1, '1: this database may not send', 'If the secrets file does not exist, put it where kinderconnect.secrets_file says, with its passwords. SELECT kinderconnect.arm(), if this is the database that reports to KinderConnect.'),
	('stopped', false, 'hours', false, 0, 24, 'since somebody called stop()', 'SELECT kinderconnect.resume() once the reason is gone.'),
	('manage_bound', false, 'relations', false, NULL, 1, 'relations of Manage that are not bound', 'Bind each with bind_manage(relation, query).'),
	('last_run', false, 'level', false, 1, NULL, '1: the last run of some organization failed at it, or was interrupted', 'See last_night, columns error and hint.'),
	('interrupted_runs', false, 'runs', false, 1, 5, 'of the last seven days, whose session died or was cancelled', 'The next run heals it. If it comes again, look at the server''s log around run.ended_at.'),
	('ledger_size', false, 'GB', false, 50, 200, 'of ledger and batch with their indexes', 'It only grows: plan the disk.'),
	('last_success', true, 'hours', false, NULL, NULL, 'since a run last covered a provider of the organization', 'See due, and run_organization.'),
	('overdue', true, 'hours', false, 2, 26, 'since the earliest instant of a timetable that no run has covered yet', 'See due: who, since when and why. CALL kinderconnect.nightly(organization_id) runs it now.'),
	('token', true, 'hours', false, 0, 0, 'since the token endpoint refused our credentials', 'client_id, scope and the secret that client_secret of endpoint names; then CALL kinderconnect.nightly(organization_id).'),
	('credentials', true, 'hours', false, 0, 0, 'since the group password is refused or cannot be read', 'The secret that group_password of organization names; then CALL kinderconnect.nightly(organization_id).'),
	('certificate', true, 'hours', false, 0, 0, 'since there is no trusted TLS connection', 'See run_provider.error; the certificate of the service, or kinderconnect.ca_file.'),
	('configuration', true, 'hours', false, 0, 0, 'since a run failed for configuration or arming', 'See run_organization.error and hint; test_connection(organization_id) names the row.'),
	('manage_source', true, 'hours', false, 0, 0, 'since the database fails at a step: most often a bound query, or the server it reads', 'See run_organization.error; SELECT from the manage_* views as the role that runs the night.'),
	('manage_location', true, 'level', false, 1, NULL, '1: after a run, none of its providers has a location of Manage whose time zone is known', 'SELECT * FROM kinderconnect.manage_organization. If it is not there, disable_integration(), and enable the organization_id that is; else see provider_review, and call add_provider().'),
	('providers_failing', true, 'providers', false, 1, NULL, 'that the last run did not cover', 'See due and run_provider.error.'),
	('oldest_unsent', true, 'days', false, 3, 7, 'age of the oldest child-day that is ready, or under way, and not accepted', 'See overdue and providers_failing; child_day where state = ''ready''.'),
	('window_closes', true, 'days', true, 3, 1, 'until the first child-day that is not accepted, and has something to say, is lost', 'See about_to_be_lost, column what_to_do.'),
	('days_at_stake', true, 'child-days', false, 100, 1000, 'held or rejected, with something to say, and still in time', 'See held_ageing; each reason has its cure in held_summary.'),
	('rejected', true, 'child-days', false, 1, NULL, 'that the service refused', 'See code and message of child_day where state = ''rejected''; retry().'),
	('differences', true, 'child-days', false, 1, NULL, 'of which the service holds something else than we say it does', 'See comparison_difference, column what_to_do.'),
	('review_backlog', true, 'children', false, 20, 200, 'subsidized and unmatched, or matched with a flag', 'See child_match_status and match_candidate; link_child() or reject_match().'),
	('review_age', true, 'days', false, 7, 30, 'since the first of these was listed', 'See child_match_status and match_candidate; link_child() or reject_match().'),
	('lists_set_aside', true, 'lists', false, 1, NULL, 'that shrank, and wait for a person or another night', 'See list_state; accept_shrink(organization_id) if that is right.');

CREATE TABLE kinderconnect.health_threshold (
	check_name text COLLATE "C" PRIMARY KEY REFERENCES kinderconnect.health_check,
	warning    numeric,
	critical   numeric,
	set_at     timestamptz NOT NULL DEFAULT now(),
	set_by     text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE kinderconnect.health_threshold IS 'thresholds that differ from those shipped; written by set_threshold()';
COMMENT ON COLUMN kinderconnect.health_threshold.check_name IS 'the check';
COMMENT ON COLUMN kinderconnect.health_threshold.warning IS 'null: it never warns';
COMMENT ON COLUMN kinderconnect.health_threshold.critical IS 'null: it is never critical';
COMMENT ON COLUMN kinderconnect.health_threshold.set_at IS 'when';
COMMENT ON COLUMN kinderconnect.health_threshold.set_by IS 'login role';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.health_threshold', '');

-- What the checks read, so that they need not read the tables.
CREATE INDEX child_day_unsettled ON kinderconnect.child_day (organization_id, service_date) INCLUDE (agency_id, window_ends, state, reason)
	WHERE state IN ('held', 'ready', 'sending', 'unknown', 'rejected') AND reason IS DISTINCT FROM 'nothing_recorded';
CREATE INDEX child_to_review ON kinderconnect.child (organization_id, first_listed) WHERE unlinked_because IS NOT NULL AND subsidized;
CREATE INDEX child_link_flagged ON kinderconnect.child_link (organization_id, linked_at) WHERE flag IS NOT NULL AND ended_at IS NULL;
CREATE INDEX list_state_set_aside ON kinderconnect.list_state (organization_id, set_aside_at) WHERE set_aside_at IS NOT NULL;

CREATE FUNCTION kinderconnect._require_check(check_name text) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF _require_check.check_name IS NULL THEN
		RAISE EXCEPTION 'check_name must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF NOT EXISTS (SELECT FROM kinderconnect.health_check c WHERE c.check_name = _require_check.check_name) THEN
		RAISE EXCEPTION 'there is no check "%"', _require_check.check_name
			USING ERRCODE = 'undefined_object', HINT = 'SELECT check_name, unit, meaning FROM kinderconnect.health_check.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_check(text) IS 'an error unless there is a health check of this name';

CREATE FUNCTION kinderconnect.set_threshold(check_name text, warning numeric, critical numeric) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	low_is_bad boolean;
BEGIN
	PERFORM kinderconnect._require_check(set_threshold.check_name);
	SELECT c.low_is_bad INTO low_is_bad FROM kinderconnect.health_check c WHERE c.check_name = set_threshold.check_name;
	IF set_threshold.warning < 0 OR set_threshold.critical < 0 OR set_threshold.warning = 'NaN' OR set_threshold.critical = 'NaN' THEN
		RAISE EXCEPTION 'a threshold must not be negative' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF (CASE WHEN low_is_bad THEN set_threshold.warning < set_threshold.critical ELSE set_threshold.warning > set_threshold.critical END) THEN
		RAISE EXCEPTION 'check "%" would be critical before it warns', set_threshold.check_name
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO kinderconnect.health_threshold (check_name, warning, critical)
	VALUES (set_threshold.check_name, set_threshold.warning, set_threshold.critical)
	ON CONFLICT (check_name) DO UPDATE
	SET warning = excluded.warning, critical = excluded.critical, set_at = excluded.set_at, set_by = excluded.set_by;
END;
$$;
COMMENT ON FUNCTION kinderconnect.set_threshold(text, numeric, numeric) IS 'from when on a check warns and is critical, in its unit; null: never';

CREATE FUNCTION kinderconnect.reset_threshold(check_name text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_check(reset_threshold.check_name);
	DELETE FROM kinderconnect.health_threshold WHERE check_name = reset_threshold.check_name;
	RETURN FOUND;
END;
$$;
COMMENT ON FUNCTION kinderconnect.reset_threshold(text) IS 'takes back set_threshold(); false where there was none';

-- An unlogged sequence cannot be read on a standby, where nothing ticks.
CREATE FUNCTION kinderconnect._last_tick() RETURNS timestamptz
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF pg_is_in_recovery() THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT to_timestamp(t.last_value) FROM kinderconnect.last_tick t WHERE t.is_called);
END;
$$;
COMMENT ON FUNCTION kinderconnect._last_tick() IS 'when tick() last ran on this server; null: not since a crash, or it is a standby';

CREATE FUNCTION kinderconnect._why_not_armed() RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM kinderconnect._require_armed();
	RETURN NULL;
EXCEPTION
	WHEN SQLSTATE 'KC003' THEN
		RETURN SQLERRM;
	WHEN OTHERS THEN
		-- the name of a file is not for everybody
		RETURN format('the secrets file cannot be used (%s)', SQLSTATE);
END;
$$;
COMMENT ON FUNCTION kinderconnect._why_not_armed() IS 'why this database may not send; null: it may';

-- Others' jobs are not for everybody, and this one's messages neither.
CREATE FUNCTION kinderconnect._cron_job(OUT jobs bigint, OUT active boolean, OUT schedule text, OUT status text, OUT ended_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ids bigint[];
BEGIN
	jobs := 0;
	IF to_regclass('cron.job_run_details') IS NULL OR NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		jobs := NULL;
		RETURN;
	END IF;
	-- one is enough, but of shards each is needed
	EXECUTE 'SELECT count(*), coalesce(bool_and(j.active) FILTER (WHERE j.command ~ ''[(][0-9]''), bool_or(j.active)),
				(array_agg(j.schedule ORDER BY j.active DESC, j.jobid DESC))[1],
				coalesce(array_agg(j.jobid) FILTER (WHERE j.command ~ ''[(][0-9]''), (array_agg(j.jobid ORDER BY j.active DESC, j.jobid DESC))[:1])
			FROM cron.job j
			WHERE j.database = current_database() AND j.command ~ ''kinderconnect[.](tick|nightly)'''
		INTO jobs, active, schedule, ids;
	-- it has no index but that of runid, and no retention
	EXECUTE 'SELECT e.status, e.end_time
			FROM (SELECT DISTINCT ON (d.jobid) d.status, d.end_time FROM cron.job_run_details d
				WHERE d.runid > (SELECT max(m.runid) - 10000 FROM cron.job_run_details m) AND d.jobid = ANY ($1) AND d.status IN (''succeeded'', ''failed'')
				ORDER BY d.jobid, d.runid DESC) e
			ORDER BY e.status = ''failed'' DESC, e.end_time DESC LIMIT 1'
		INTO status, ended_at USING ids;
END;
$$;
COMMENT ON FUNCTION kinderconnect._cron_job() IS
'the job of pg_cron that ticks here, and how it last ended; of several for shards, active only if all are, and failed if any did; jobs null: pg_cron is not in this database';

CREATE FUNCTION kinderconnect._cron_doubled() RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	roles text;
BEGIN
	IF to_regclass('cron.job') IS NOT NULL AND EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		EXECUTE 'SELECT string_agg(DISTINCT format(''"%s"'', j.username), '' and '') FROM cron.job j
				JOIN cron.job o ON o.database = j.database AND o.command = j.command AND o.username <> j.username AND o.active
				WHERE j.active AND j.database = current_database() AND j.command ~ ''kinderconnect[.](tick|nightly)'''
			INTO roles;
	END IF;
	RETURN roles;
END;
$$;
COMMENT ON FUNCTION kinderconnect._cron_doubled() IS 'the roles, if more than one, that have the same active job of pg_cron that ticks here';

CREATE FUNCTION kinderconnect._moment(at timestamptz) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN to_char(at, 'YYYY-MM-DD HH24:MI:SS TZH:TZM');
COMMENT ON FUNCTION kinderconnect._moment(timestamptz) IS 'a time of view health: to the second, in the session''s time zone, with its offset from UTC';

CREATE VIEW kinderconnect.health AS
WITH due AS MATERIALIZED (
	SELECT d.organization_id, count(*) FILTER (WHERE d.failures > 0) AS failing, max(d.covered_at) AS covered_at,
		min(CASE WHEN d.covered_at >= d.scheduled_at THEN NULL WHEN d.covered_at IS NULL THEN d.scheduled_at
			ELSE kinderconnect._scheduled(d.cadence, d.local_time, d.days, d.anchor, d.month_days, d.time_zone, d.covered_at, true) END) AS uncovered_since,
		min(d.failing_since) FILTER (WHERE d.sqlstate = 'KC201') AS token,
		min(d.failing_since) FILTER (WHERE d.sqlstate IN ('KC002', 'KC202')) AS credentials,
		min(d.failing_since) FILTER (WHERE d.sqlstate = 'KC102') AS certificate,
		min(d.failing_since) FILTER (WHERE d.sqlstate IN ('KC001', 'KC003')) AS configuration,
		min(d.failing_since) FILTER (WHERE d.sqlstate !~ '^KC') AS manage_source
	FROM kinderconnect._due_as_of(now()) d
	GROUP BY d.organization_id
), measure AS (
	SELECT 'last_tick' AS check_name, NULL AS organization_id,
		CASE WHEN NOT pg_is_in_recovery() THEN extract(epoch FROM now() - coalesce(t.at, pg_postmaster_start_time())) / 60 END AS number,
		CASE WHEN pg_is_in_recovery() THEN 'a standby' ELSE coalesce(kinderconnect._moment(t.at), 'none yet') END AS value
	FROM (SELECT kinderconnect._last_tick() AS at) t
	UNION ALL
	SELECT 'cron_job', NULL, CASE WHEN j.jobs = 0 OR NOT j.active OR j.status = 'failed' OR t.roles IS NOT NULL THEN 1 WHEN j.jobs > 0 THEN 0 END,
		CASE WHEN j.jobs IS NULL THEN 'pg_cron is not in this database' WHEN j.jobs = 0 THEN 'no job'
			ELSE concat_ws(', ', j.schedule, CASE WHEN NOT j.active THEN 'switched off' END, 'jobs of roles ' || t.roles, 'last run ' || j.status || ' at ' || kinderconnect._moment(j.ended_at)) END
	FROM kinderconnect._cron_job() j CROSS JOIN (SELECT kinderconnect._cron_doubled() AS roles) t
	UNION ALL
	SELECT 'armed', NULL, CASE WHEN pg_is_in_recovery() THEN NULL WHEN a.why IS NULL THEN 0 ELSE 1 END,
		CASE WHEN pg_is_in_recovery() THEN 'a standby' ELSE coalesce(a.why, 'yes') END
	FROM (SELECT kinderconnect._why_not_armed() AS why) a
	UNION ALL
	SELECT 'stopped', NULL, extract(epoch FROM now() - s.stopped_at) / 3600, coalesce('by ' || s.stopped_by || ': ' || s.reason, 'no')
	FROM (SELECT) one LEFT JOIN kinderconnect.stop_switch s ON s.resumed_at IS NULL
	UNION ALL
	SELECT 'manage_bound', NULL, count(*) FILTER (WHERE to_regclass('kinderconnect.manage_' || r) IS NULL),
		coalesce('not bound: ' || string_agg(r, ', ') FILTER (WHERE to_regclass('kinderconnect.manage_' || r) IS NULL), 'yes')
	FROM unnest(ARRAY['organization', 'location', 'child', 'attendance']) r
	UNION ALL
	-- of every organization, for each may have runs of its own; a run fails for
	-- those alone that it failed at
	SELECT 'last_run', NULL, CASE WHEN l.failed > 0 THEN 1 WHEN l.runs > 0 THEN 0 END,
		CASE WHEN l.runs = 0 THEN 'none yet' ELSE format('%s of %s organizations failed', l.failed, l.runs)
			|| coalesce(': ' || array_to_string(l.said[:5], '; ') || CASE WHEN cardinality(l.said) > 5 THEN '; ...' ELSE '' END, '') END
	FROM (SELECT count(*) AS runs, count(*) FILTER (WHERE r.failed) AS failed,
			array_agg(DISTINCT format('run %s: %s', r.run_id, concat_ws(', ', r.status, r.sqlstate))) FILTER (WHERE r.failed) AS said
		FROM kinderconnect.organization o
		CROSS JOIN LATERAL (
			SELECT r.run_id, r.status, coalesce(r.sqlstate, l.sqlstate) AS sqlstate,
				r.status = 'interrupted' OR r.status = 'failed' AND (r.sqlstate IS NOT NULL OR l.sqlstate IS NOT NULL
					OR EXISTS (SELECT FROM kinderconnect.run_provider p
						WHERE (p.organization_id, p.run_id) = (l.organization_id, l.run_id) AND p.sqlstate IS NOT NULL)) AS failed
			FROM kinderconnect.run_organization l
			JOIN kinderconnect.run r ON r.run_id = l.run_id
			WHERE l.organization_id = o.organization_id AND l.locked AND r.status <> 'running'
			ORDER BY l.run_id DESC LIMIT 1) r
		WHERE o.enabled) l
	UNION ALL
	SELECT 'interrupted_runs', NULL, count(*), count(*)::text
	FROM (SELECT r.* FROM kinderconnect.run r ORDER BY r.run_id DESC LIMIT 2000) r
	WHERE r.started_at > now() - interval '7 days' AND (r.status = 'interrupted'
		OR r.status = 'running' AND NOT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = r.pid))
	UNION ALL
	SELECT 'ledger_size', NULL, s.bytes / 1073741824, pg_size_pretty(s.bytes)
	FROM (SELECT sum(pg_total_relation_size(t))::numeric AS bytes
		FROM unnest(ARRAY['kinderconnect.ledger', 'kinderconnect.batch']::regclass[]) t) s
	UNION ALL
	SELECT m.check_name, o.organization_id, m.number, m.value
	FROM kinderconnect.organization o
	LEFT JOIN due d ON d.organization_id = o.organization_id
	CROSS JOIN LATERAL (SELECT min(c.service_date) AS oldest, count(*) AS days FROM kinderconnect.child_day c
		WHERE c.organization_id = o.organization_id AND c.state IN ('ready', 'sending', 'unknown')) w
	CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE c.state IN ('held', 'rejected')) AS days, count(*) FILTER (WHERE c.state = 'rejected') AS rejected,
			min(least(c.window_ends, (c.service_date + kinderconnect._horizon_days() + 1)::timestamp AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu')))
				FILTER (WHERE (c.reason IN ('authorization_lost', 'merged_child', 'cannot_void', 'source_shrank')) IS NOT TRUE) AS first_ends
		FROM kinderconnect.child_day c
		LEFT JOIN kinderconnect.agency g ON g.agency_id = c.agency_id
		WHERE c.organization_id = o.organization_id
			-- no agency's date is before Honolulu's: what is lost need not be read
			AND c.service_date >= (now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect._horizon_days()
			AND kinderconnect._is_open(c.service_date, c.window_ends, g.time_zone)
			AND c.state IN ('held', 'ready', 'sending', 'unknown', 'rejected') AND c.reason IS DISTINCT FROM 'nothing_recorded'
			-- that a provider is switched off is somebody's decision
			AND (c.reason IN ('window_closed', 'horizon_passed', 'provider_disabled')) IS NOT TRUE) u
	CROSS JOIN LATERAL (SELECT count(*) AS children, min(r.since) AS since FROM (
			SELECT c.first_listed AS since FROM kinderconnect.child c
			WHERE c.organization_id = o.organization_id AND c.unlinked_because IS NOT NULL AND c.subsidized
			UNION ALL
			SELECT k.linked_at FROM kinderconnect.child_link k
			WHERE k.organization_id = o.organization_id AND k.flag IS NOT NULL AND k.ended_at IS NULL) r) v
	CROSS JOIN LATERAL (SELECT count(*) AS lists, min(l.set_aside_at) AS since FROM kinderconnect.list_state l
		WHERE l.organization_id = o.organization_id AND l.set_aside_at IS NOT NULL) l
	CROSS JOIN LATERAL (SELECT coalesce(sum(c.differences), 0) AS days FROM kinderconnect.comparison c WHERE c.organization_id = o.organization_id) f
	CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM kinderconnect.location_zone l WHERE l.organization_id = o.organization_id) AS known) z
	CROSS JOIN LATERAL (VALUES
		('last_success', extract(epoch FROM now() - coalesce(d.covered_at, o.first_enabled::timestamp AT TIME ZONE 'Pacific/Honolulu')) / 3600, coalesce(kinderconnect._moment(d.covered_at), 'none yet')),
		('overdue', extract(epoch FROM now() - d.uncovered_since) / 3600, coalesce('since ' || kinderconnect._moment(d.uncovered_since), 'no')),
		('token', extract(epoch FROM now() - d.token) / 3600, coalesce('refused since ' || kinderconnect._moment(d.token), 'ok')),
		('credentials', extract(epoch FROM now() - d.credentials) / 3600, coalesce('failing since ' || kinderconnect._moment(d.credentials), 'ok')),
		('certificate', extract(epoch FROM now() - d.certificate) / 3600, coalesce('not trusted since ' || kinderconnect._moment(d.certificate), 'ok')),
		('configuration', extract(epoch FROM now() - d.configuration) / 3600, coalesce('wrong since ' || kinderconnect._moment(d.configuration), 'ok')),
		('manage_source', extract(epoch FROM now() - d.manage_source) / 3600, coalesce('failing since ' || kinderconnect._moment(d.manage_source), 'ok')),
		('manage_location', CASE WHEN d.covered_at IS NULL OR z.known THEN 0 ELSE 1 END, CASE WHEN d.covered_at IS NULL THEN 'no run yet' WHEN z.known THEN 'ok' ELSE 'none' END),
		('providers_failing', coalesce(d.failing, 0), coalesce(d.failing, 0)::text),
		('oldest_unsent', (now() AT TIME ZONE 'UTC')::date - w.oldest, coalesce(w.oldest || ', of ' || w.days || ' child-days', 'none')),
		('window_closes', extract(epoch FROM u.first_ends - now()) / 86400, coalesce('first on ' || kinderconnect._moment(u.first_ends), 'none')),
		('days_at_stake', u.days, u.days::text),
		('rejected', u.rejected, u.rejected::text),
		('differences', f.days, f.days::text),
		('review_backlog', v.children, v.children::text),
		('review_age', extract(epoch FROM now() - v.since) / 86400, coalesce('since ' || kinderconnect._moment(v.since), 'none')),
		('lists_set_aside', l.lists, concat(l.lists, ' since ' || kinderconnect._moment(l.since)))
		) m (check_name, number, value)
	WHERE o.enabled
), judged AS (
	SELECT m.check_name, m.organization_id, round(m.number, 2) AS number, m.value, c.unit, c.low_is_bad, c.what_to_do,
		CASE WHEN t.check_name IS NULL THEN c.warning ELSE t.warning END AS warning,
		CASE WHEN t.check_name IS NULL THEN c.critical ELSE t.critical END AS critical
	FROM measure m
	JOIN kinderconnect.health_check c ON c.check_name = m.check_name
	LEFT JOIN kinderconnect.health_threshold t ON t.check_name = m.check_name
), decided AS (
	SELECT j.*, CASE
			WHEN CASE WHEN j.low_is_bad THEN j.number < j.critical ELSE j.number >= j.critical END THEN 'critical'
			WHEN CASE WHEN j.low_is_bad THEN j.number < j.warning ELSE j.number >= j.warning END THEN 'warning'
			ELSE 'ok' END AS status
	FROM judged j
)
SELECT d.check_name, d.organization_id, d.status, d.value, d.number, d.unit,
	concat_ws(', ', CASE WHEN d.low_is_bad THEN 'warning below ' ELSE 'warning at ' END || d.warning,
		CASE WHEN d.low_is_bad THEN 'critical below ' ELSE 'critical at ' END || d.critical) AS threshold,
	CASE WHEN d.status <> 'ok' THEN d.what_to_do END AS what_to_do
FROM decided d;
COMMENT ON VIEW kinderconnect.health IS
'whether all is well: each check, for the whole or for each enabled organization. Reads tables alone: it calls neither the service nor Manage, and answers on a hot standby';
COMMENT ON COLUMN kinderconnect.health.check_name IS 'as in health_check';
COMMENT ON COLUMN kinderconnect.health.organization_id IS 'the organization; null: the whole';
COMMENT ON COLUMN kinderconnect.health.status IS 'ok, warning or critical';
COMMENT ON COLUMN kinderconnect.health.value IS 'what was found, in words; times in the session''s time zone, with its offset from UTC';
COMMENT ON COLUMN kinderconnect.health.number IS 'the same in unit, for comparing; null: there is nothing to measure, and that is well';
COMMENT ON COLUMN kinderconnect.health.unit IS 'of number; level: 0 is well';
COMMENT ON COLUMN kinderconnect.health.threshold IS 'from when on it warns and is critical: set_threshold()';
COMMENT ON COLUMN kinderconnect.health.what_to_do IS 'the cure; null where all is well';

CREATE VIEW kinderconnect.health_summary AS
SELECT CASE WHEN h.critical > 0 THEN 2 WHEN h.warning > 0 THEN 1 ELSE 0 END AS exit_code,
	concat(CASE WHEN h.critical > 0 THEN 'CRITICAL' WHEN h.warning > 0 THEN 'WARNING' ELSE 'OK' END,
		format(' - %s critical, %s warning, %s ok', h.critical, h.warning, h.ok), ': ' || h.worst,
		format(' | critical=%s warning=%s ok=%s', h.critical, h.warning, h.ok)) AS line
FROM (
	SELECT count(*) FILTER (WHERE n.status = 'critical') AS critical, count(*) FILTER (WHERE n.status = 'warning') AS warning,
		count(*) FILTER (WHERE n.status = 'ok') AS ok,
		string_agg(translate(concat_ws(' ', n.check_name, n.organization_id, '(' || n.value || ')'), E'|\r\n', '/  '), '; '
			ORDER BY n.place) FILTER (WHERE n.status <> 'ok' AND n.place <= 8) AS worst
	FROM (SELECT h.*, row_number() OVER (ORDER BY h.status = 'ok', h.status = 'warning', h.check_name, h.organization_id) AS place
		FROM kinderconnect.health h) n) h;
COMMENT ON VIEW kinderconnect.health_summary IS 'health in one line, as monitoring plugins print it';
COMMENT ON COLUMN kinderconnect.health_summary.exit_code IS '0 ok, 1 warning, 2 critical';
COMMENT ON COLUMN kinderconnect.health_summary.line IS 'how many checks of each, the worst eight, and numbers for a graph';
