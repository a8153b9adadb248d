-- The extension set up for bench/data.sql and the benchmark's server at :url.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;

\o /dev/null
SELECT kinderconnect.bind_manage('organization', $$ SELECT company AS organization_id, company AS name FROM manage.site GROUP BY company $$);
SELECT kinderconnect.bind_manage('location', $$ SELECT company AS organization_id, site_no::text AS location_id, name, zip,
	'America/Chicago' AS time_zone FROM manage.site $$);
SELECT kinderconnect.bind_manage('child', $$ SELECT company AS organization_id, site_no::text AS location_id, kid_no::text AS child_id,
	first_name, NULL AS middle_name, last_name, NULL AS suffix, born AS date_of_birth, true AS active FROM manage.kid $$);
SELECT kinderconnect.bind_manage('attendance', $$ SELECT company AS organization_id, site_no::text AS location_id, kid_no::text AS child_id,
	visit_no::text AS attendance_id, 'session' AS kind, arrived AS check_in, departed AS check_out, NULL::date AS service_date,
	NULL AS reason, NULL::timestamptz AS modified_at FROM manage.visit $$);

INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
VALUES ('bench', 'kinderbridge', :'url', :'url' || '/oauth2/token', 'bench', 'bench');
SELECT kinderconnect.enable_integration('org' || o, 'G-' || o, 'bench', backfill_days => 0)
FROM generate_series(1, ceil(:locations::numeric / :per_organization)::integer) o;
UPDATE kinderconnect.organization SET first_enabled = (now() AT TIME ZONE 'America/Chicago')::date - :days;
SELECT kinderconnect.arm();
\o

-- When each step of a run began, for the extension itself only notes where it
-- is; and the processor time of the backend until then, which tells more than
-- the clock on a machine that others use.
CREATE FUNCTION bench.cpu() RETURNS double precision LANGUAGE sql VOLATILE
	RETURN (SELECT (f[12]::integer + f[13]::integer) / 100.0 FROM string_to_array(split_part(pg_read_file('/proc/self/stat'), ') ', 2), ' ') f);
CREATE TABLE bench.step (run_id bigint, step text, at timestamptz DEFAULT clock_timestamp(), wal pg_lsn DEFAULT pg_current_wal_insert_lsn(),
	cpu double precision DEFAULT bench.cpu());
CREATE FUNCTION bench.note_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	INSERT INTO bench.step (run_id, step) VALUES (NEW.run_id, CASE WHEN NEW.ended_at IS NULL THEN NEW.step ELSE 'end' END);
	RETURN NULL;
END $$;
CREATE TRIGGER note_step AFTER INSERT OR UPDATE ON kinderconnect.run FOR EACH ROW EXECUTE FUNCTION bench.note_step();

CREATE VIEW bench.step_time AS
SELECT run_id, step, sum(seconds) AS seconds, sum(wal_bytes) AS wal_bytes, sum(cpu) AS cpu
FROM (SELECT run_id, coalesce(step, 'begin') AS step, extract(epoch FROM lead(at) OVER later - at) AS seconds,
		lead(wal) OVER later - wal AS wal_bytes, lead(cpu) OVER later - cpu AS cpu
	FROM bench.step WINDOW later AS (PARTITION BY run_id ORDER BY at)) s
WHERE step <> 'end'
GROUP BY run_id, step;
