\echo Use "ALTER EXTENSION kinderconnect UPDATE" to load this file. \quit

-- Whoever may create in our schema could have a function, an operator or a
-- table of his found here in the place of another's, and have it run with the
-- rights of a superuser. So what is ours is named with its schema, and all else
-- is PostgreSQL's.
SET LOCAL search_path = pg_catalog, pg_temp;

-- By then the script has been read, every backslash of it otherwise.

DO $$
BEGIN
	IF NOT current_setting('standard_conforming_strings')::boolean THEN
		RAISE EXCEPTION 'kinderconnect cannot be updated while standard_conforming_strings is off'
			USING ERRCODE = 'feature_not_supported',
				HINT = 'SET standard_conforming_strings = on before ALTER EXTENSION; afterwards it may be off.';
	END IF;
END
$$;

-- What reads columns of the tables, and what rests on it, is made anew below:
-- as long as it is there no column's collation can be changed. What others
-- built on it they have to take away first, for only they can make it again.

DO $$
DECLARE
	item   record;
	theirs text;
	again  text;
BEGIN
	CREATE TEMPORARY TABLE kinderconnect_reader AS
	WITH RECURSIVE dependency AS (
		-- a view depends by its rule
		SELECT d.refclassid, d.refobjid, d.refobjsubid, coalesce(t.typrelid, 0) AS row_of,
			CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::pg_catalog.regclass END AS classid, coalesce(w.ev_class, d.objid) AS objid
		FROM pg_catalog.pg_depend d
		LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid
		LEFT JOIN pg_catalog.pg_type t ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = d.refobjid
		WHERE d.classid IN ('pg_catalog.pg_rewrite'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
			AND (d.refclassid, d.refobjid) <> ('pg_catalog.pg_class'::pg_catalog.regclass, coalesce(w.ev_class, 0))
	), reader AS (
		SELECT d.classid, d.objid, 1 AS depth
		FROM pg_catalog.pg_class c
		JOIN dependency d ON (d.refclassid, d.refobjid) = ('pg_catalog.pg_class'::pg_catalog.regclass, c.oid) AND d.refobjsubid > 0
		WHERE c.relnamespace = 'kinderconnect'::pg_catalog.regnamespace AND c.relkind = 'r'
		UNION
		SELECT d.classid, d.objid, r.depth + 1
		FROM reader r
		JOIN dependency d ON (d.refclassid, d.refobjid) = (r.classid, r.objid)
			OR r.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.row_of = r.objid
	)
	SELECT r.classid, r.objid, r.depth, i.type, i.identity, e.objid IS NOT NULL AS ours
	FROM (SELECT r.classid, r.objid, max(r.depth) AS depth FROM reader r GROUP BY r.classid, r.objid) r
	CROSS JOIN LATERAL pg_catalog.pg_identify_object(r.classid, r.objid, 0) i
	LEFT JOIN pg_catalog.pg_depend e ON (e.classid, e.objid, e.deptype) = (r.classid, r.objid, 'e')
		AND e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		AND e.refobjid = (SELECT x.oid FROM pg_catalog.pg_extension x WHERE x.extname = 'kinderconnect');

	SELECT string_agg(o.name, ', ' ORDER BY o.name COLLATE "C") INTO theirs
	FROM (SELECT r.type || ' ' || r.identity FROM kinderconnect_reader r WHERE NOT r.ours
		UNION ALL
		SELECT i.type || ' ' || i.identity
		FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
		CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, 0) i
		WHERE c.relnamespace = 'kinderconnect'::pg_catalog.regnamespace AND p.polname NOT IN ('analyst', 'operator')) o (name);
	IF theirs IS NOT NULL THEN
		RAISE EXCEPTION 'kinderconnect cannot be updated while others read its tables'
			USING ERRCODE = 'dependent_objects_still_exist', DETAIL = 'These do: ' || theirs || '.',
				HINT = 'Drop them, and make them again after the update.';
	END IF;

	SELECT string_agg(p.statement, ' ' ORDER BY p.statement COLLATE "C") INTO again
	FROM (SELECT format('%s %s%s ON %s %s %s %s%s;', CASE WHEN g.given THEN 'GRANT' ELSE 'REVOKE' END, g.privilege_type,
			' (' || quote_ident(g.column_name) || ')', CASE r.type WHEN 'view' THEN 'TABLE' ELSE 'FUNCTION' END, r.identity,
			CASE WHEN g.given THEN 'TO' ELSE 'FROM' END, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::pg_catalog.regrole::text END,
			CASE WHEN g.given AND g.is_grantable THEN ' WITH GRANT OPTION' END)
		FROM kinderconnect_reader r
		CROSS JOIN LATERAL (
			SELECT c.relacl AS acl, 0 AS sub, NULL AS column_name, c.relowner AS owner FROM pg_catalog.pg_class c WHERE r.type = 'view' AND c.oid = r.objid
			UNION ALL
			SELECT a.attacl, a.attnum, a.attname, c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
			WHERE r.type = 'view' AND c.oid = r.objid AND a.attacl IS NOT NULL
			UNION ALL
			SELECT p.proacl, 0, NULL, p.proowner FROM pg_catalog.pg_proc p WHERE r.type = 'function' AND p.oid = r.objid) o
		LEFT JOIN pg_catalog.pg_init_privs s ON (s.classoid, s.objoid, s.objsubid, s.privtype) = (r.classid, r.objid, o.sub, 'e')
		CROSS JOIN LATERAL (
			SELECT true AS given, o.column_name, n.* FROM (SELECT x.grantee, x.privilege_type, x.is_grantable FROM aclexplode(o.acl) x
				EXCEPT SELECT x.grantee, x.privilege_type, x.is_grantable FROM aclexplode(s.initprivs) x) n
			UNION ALL
			SELECT false, o.column_name, n.* FROM (SELECT x.grantee, x.privilege_type, false FROM aclexplode(s.initprivs) x
				EXCEPT SELECT x.grantee, x.privilege_type, false FROM aclexplode(o.acl) x) n) g
		WHERE g.grantee <> o.owner) p (statement);
	IF again IS NOT NULL THEN
		RAISE WARNING 'privileges that you gave or took on views and functions of kinderconnect are as shipped after the update'
			USING DETAIL = again, HINT = 'These statements, after the update, make them what they were.';
	END IF;

	FOR item IN
		SELECT format('DROP POLICY %I ON %s', p.polname, p.polrelid::pg_catalog.regclass) AS statement, 0 AS position
		FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
		WHERE c.relnamespace = 'kinderconnect'::pg_catalog.regnamespace
		UNION ALL
		SELECT format('DROP %s %s', r.type, r.identity), row_number() OVER (ORDER BY r.depth DESC) FROM kinderconnect_reader r
		ORDER BY position
	LOOP
		EXECUTE item.statement;
	END LOOP;
	DROP TABLE kinderconnect_reader;
END
$$;

-- Where all tables are published, these could be neither updated nor deleted from.

ALTER TABLE kinderconnect.agency_rule REPLICA IDENTITY FULL;
ALTER TABLE kinderconnect.absence_limit REPLICA IDENTITY FULL;
ALTER TABLE kinderconnect.unit_band REPLICA IDENTITY FULL;

-- An organization may look on: its nights ask, match and plan, and send nothing.

ALTER TABLE kinderconnect.organization ADD COLUMN IF NOT EXISTS sends boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN kinderconnect.organization.first_enabled IS 'date of the first enable_integration(), or of the one that let it send first, on the clock of its westernmost location in Manage, or of the country''s last zone where one has none; no day older than this less backfill_days is sent';
COMMENT ON COLUMN kinderconnect.organization.sends IS 'false: its nights ask, match and plan, and send nothing; what they would send is ready';
COMMENT ON COLUMN kinderconnect.run.scope IS 'the arguments of nightly() that limited it; sends, false: none of its organizations sends, and it need not be armed; due: tick() started it, for the providers that were due; shard, shards: it was for one of so many parts of all organizations';

-- A batch keeps the ids of its records; of each record one row less, with two
-- indexes and two keys.

ALTER TABLE kinderconnect.batch ADD COLUMN record_ids text[];
UPDATE kinderconnect.batch b SET record_ids = r.record_ids
FROM (SELECT r.organization_id, r.batch_id, array_agg(r.record_id ORDER BY r.record_id) AS record_ids
	FROM kinderconnect.batch_record r GROUP BY r.organization_id, r.batch_id) r
WHERE (b.organization_id, b.batch_id) = (r.organization_id, r.batch_id);
ALTER TABLE kinderconnect.batch ALTER COLUMN record_ids SET NOT NULL,
	ADD CONSTRAINT batch_counts_its_records CHECK (records = cardinality(record_ids));
COMMENT ON COLUMN kinderconnect.batch.record_ids IS 'the records it carries: kinderconnect.ledger';
ALTER EXTENSION kinderconnect DROP TABLE kinderconnect.batch_record;
DROP TABLE kinderconnect.batch_record;
CREATE INDEX batch_by_provider ON kinderconnect.batch (organization_id, agency_id, provider_id, created_at);
CREATE INDEX batch_lost ON kinderconnect.batch (organization_id, agency_id, provider_id, created_at) WHERE state = 'lost';

-- The ledger remembers of which location it speaks.

ALTER TABLE kinderconnect.ledger ADD COLUMN location_id text COLLATE "C";
COMMENT ON COLUMN kinderconnect.ledger.location_id IS 'the location in Manage whose attendance it says; null: made before version 1.1.0';

-- An address with a query is told so, and not that it is not https.

ALTER TABLE kinderconnect.endpoint DROP CONSTRAINT endpoint_base_url_is_https, DROP CONSTRAINT endpoint_token_url_is_https,
	ADD CONSTRAINT endpoint_base_url_is_https CHECK (base_url ~ '^(https://([^]/@?#:%\\[:space:][:cntrl:]]+|\[[0-9A-Fa-f:.]+\])|http://(127\.0\.0\.1|\[::1\]|localhost))(:[0-9]{1,5})?([/?#][^[:space:][:cntrl:]]*)?$'),
	ADD CONSTRAINT endpoint_token_url_is_https CHECK (token_url ~ '^(https://([^]/@?#:%\\[:space:][:cntrl:]]+|\[[0-9A-Fa-f:.]+\])|http://(127\.0\.0\.1|\[::1\]|localhost))(:[0-9]{1,5})?([/?#][^[:space:][:cntrl:]]*)?$'),
	ADD CONSTRAINT endpoint_base_url_has_no_query CHECK (base_url !~ '[?#]'),
	ADD CONSTRAINT endpoint_token_url_has_no_query CHECK (token_url !~ '[?#]');

-- Views know the horizon; health looks at the last run of each organization.

COMMENT ON COLUMN kinderconnect.agency.time_zone IS 'IANA name, such as America/Chicago, or another zone that this server knows by name or rule; used only where Manage''s location has none';
COMMENT ON COLUMN kinderconnect.authorization.authorization_id IS 'the service''s id, or begin date and units where its dialect has none; of a further period under the same id, the id with # and a number';
COMMENT ON TABLE kinderconnect.authorization IS
'authorizations as history: each row is what the service said from known_from until known_until; what it says now has known_until infinity. Where the lists of two months do not agree, the later month''s counts, and list_problem says so';
COMMENT ON TABLE kinderconnect.list_problem IS 'records of the lists in force that are not as agreed; each was taken as far as it goes: what cannot be read of a child or an authorization stays as it was known';
DROP INDEX kinderconnect.child_day_unsettled;
CREATE INDEX child_day_unsettled ON kinderconnect.child_day (organization_id, service_date) INCLUDE (agency_id, window_ends, state, reason)
	WHERE state IN ('held', 'ready', 'sending', 'unknown', 'rejected') AND reason IS DISTINCT FROM 'nothing_recorded';
UPDATE kinderconnect.health_check h SET meaning = n.meaning, what_to_do = n.what_to_do
FROM (VALUES
	('cron_job', 'pg_cron''s job: 1, it is switched off, its last run failed, or several roles have it', 'Read return_message of cron.job_run_details and run_organization; schedule() sets the job up again. If several roles have it, call unschedule() as each but one.'),
	('armed', '1: this database may not send', 'If the secrets file does not exist, put it where kinderconnect.secrets_file says, with its passwords. SELECT kinderconnect.arm(), if this is the database that reports to KinderConnect.'),
	('last_run', '1: the last run of some organization failed at it, or was interrupted', 'See last_night, columns error and hint.')) n(check_name, meaning, what_to_do)
WHERE h.check_name = n.check_name;
INSERT INTO kinderconnect.health_check VALUES
	('manage_location', true, 'level', false, 1, NULL, '1: after a run, none of its providers has a location of Manage whose time zone is known', 'SELECT * FROM kinderconnect.manage_organization. If it is not there, disable_integration(), and enable the organization_id that is; else see provider_review, and call add_provider().');


-- Manage's side may be read while it is being filled, or be there in part. Of
-- two children that fit, the one that is left must not be taken for the only
-- one: that one has gone is believed of another night, as of a list that has
-- shrunk.
CREATE TABLE kinderconnect.gone_child (
	organization_id text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	child_id        text COLLATE "C" NOT NULL,
	date_of_birth   date NOT NULL,
	last_key        text COLLATE "C" NOT NULL,
	first_key       text COLLATE "C" NOT NULL,
	gone_at         timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (organization_id, child_id, date_of_birth, last_key, first_key)
);
COMMENT ON TABLE kinderconnect.gone_child IS
'children that Manage has no longer, for six hours after the match that missed them: nobody is linked meanwhile by a name and a birth date that one of them had';
COMMENT ON COLUMN kinderconnect.gone_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.gone_child.child_id IS 'the child in Manage, while it was there';
COMMENT ON COLUMN kinderconnect.gone_child.date_of_birth IS 'as in Manage';
COMMENT ON COLUMN kinderconnect.gone_child.last_key IS 'as in known_child';
COMMENT ON COLUMN kinderconnect.gone_child.first_key IS 'as in known_child';
COMMENT ON COLUMN kinderconnect.gone_child.gone_at IS 'when a match first missed it';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.gone_child', '');


-- Whether care is subsidized is said by each provider's list, month by month.
-- So far it was said of the child, by whichever list came last.

CREATE TABLE kinderconnect.listed_subsidy (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	provider_id            text COLLATE "C" NOT NULL,
	month                  date NOT NULL CHECK (month = date_trunc('month', month)),
	subsidized             boolean NOT NULL,
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id, provider_id, month)
);
COMMENT ON TABLE kinderconnect.listed_subsidy IS
'whether a child''s care at a provider is subsidized, month by month, for those of whom a list of the provider has said that it is not; no row: it is. A month that no list has answered for is as the one before';
COMMENT ON COLUMN kinderconnect.listed_subsidy.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.listed_subsidy.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.listed_subsidy.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.listed_subsidy.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.listed_subsidy.month IS 'first day of the month';
COMMENT ON COLUMN kinderconnect.listed_subsidy.subsidized IS 'as listed; false: nothing is sent of that month';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.listed_subsidy', '');
COMMENT ON COLUMN kinderconnect.child.subsidized IS 'false: at no provider that lists it is its care subsidized, by the last month of each; listed, never sent. What holds for a provider is in listed_subsidy';
INSERT INTO kinderconnect.listed_subsidy (organization_id, agency_id, kinderconnect_child_id, provider_id, month, subsidized)
SELECT l.organization_id, l.agency_id, l.kinderconnect_child_id, l.provider_id, l.month, false
FROM kinderconnect.child c
CROSS JOIN LATERAL (SELECT l.organization_id, l.agency_id, l.kinderconnect_child_id, l.provider_id, l.month FROM kinderconnect.listed_authorization l
	WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)
	UNION
	SELECT a.organization_id, a.agency_id, a.kinderconnect_child_id, a.provider_id, date_trunc('month', a.known_from AT TIME ZONE 'UTC')::date FROM kinderconnect.authorization a
	WHERE (a.organization_id, a.agency_id, a.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)) l
WHERE NOT c.subsidized;

-- What cannot be read of a child is named.

ALTER TYPE kinderconnect.reply_child ADD ATTRIBUTE unread text[];
COMMENT ON TYPE kinderconnect.reply_child IS
'a child as the service lists it, a row for each authorization; one row with null authorization columns where it has none. Dates inclusive, a null end is open; days as on the wire (MO to SU), null or empty for every day. unread names the columns of which problem says that their value is not as agreed, or missing though required; of a record that was not read to its end, all';

-- What a reason says, where it holds of more now.

UPDATE kinderconnect.reason r SET meaning = n.meaning
FROM (VALUES
	('no_provider', 'rows of Manage: of an authorized child, at a location without a provider ID of its agency'),
	('link_disagrees', 'name or birth date of the linked children no longer agree, or Manage stores the id of another child who fits'),
	('absence_reason', 'the agency has a list of absence reasons, and this one is not in it; or it is no code: longer than 64 characters, or of several lines'),
	('no_time_zone', 'Manage has not got the location, or has no known time zone for it, and its agencies have none, or several'),
	('two_providers', 'two provider IDs authorize the child on this day: of one location, or with an absence or a closure at both; or the service holds the day under another ID of the location'),
	('source_shrank', 'most accepted days of the provider or the organization, or all attendance, have suddenly vanished from Manage, or become absences; or the provider is another location now than when the day was accepted')) n(reason, meaning)
WHERE r.reason = n.reason;
UPDATE kinderconnect.reason SET what_to_do = 'Call add_provider() with the location; operators see the candidates in provider_review.'
WHERE reason = 'provider_unmatched';
UPDATE kinderconnect.reason SET what_to_do = 'Nothing, if that is meant; else call enable_integration().'
WHERE reason = 'organization_disabled';
UPDATE kinderconnect.reason SET what_to_do = 'Nothing, if that is meant; else call add_provider().'
WHERE reason = 'provider_disabled';

INSERT INTO kinderconnect.reason VALUES
	('before_start', 'older than what the organization sends: before first_enabled less backfill_days', 'Nothing, if it was reported otherwise; else call enable_integration() with more backfill_days.');

COMMENT ON COLUMN kinderconnect.dialect_field.required IS
'sent: a null is an error and nothing is sent; read: a record without this key is a problem, also where another key of the column has a value';
COMMENT ON TABLE kinderconnect.location_zone IS
'the zone each location was planned in. When Manage names another one, days already planned keep the one they had, if the service holds any of the location; delete a location''s rows to have all its days of the horizon read in the present one';

-- A key that another one implies, and two of tables that can be made anew.

ALTER TABLE kinderconnect.child_link DROP CONSTRAINT child_link_organization_id_fkey;
ALTER TABLE kinderconnect.known_child DROP CONSTRAINT known_child_organization_id_fkey;
ALTER TABLE kinderconnect.listed_authorization DROP CONSTRAINT listed_authorization_organization_id_fkey;

UPDATE kinderconnect.health_check SET meaning = 'of ledger and batch with their indexes' WHERE check_name = 'ledger_size';

-- A child of Manage whose link is to an id that is not listed any more is offered to others.

ALTER TABLE kinderconnect.child_link ADD COLUMN unlisted boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN kinderconnect.child_link.unlisted IS 'whether the child was listed in no month of the horizon when candidates were last looked for: the child of Manage is offered to others';
COMMENT ON COLUMN kinderconnect.child_link.flag IS 'why a person should look at it. Its days are held for link_disagrees, birth date or both names no longer agree, or Manage stores the id of another child who agrees no worse, and child_gone, Manage no longer has the child; they go on for name_changed, a name differs that did not when the link was made. Null: it stands';

-- One index of both.

DROP INDEX kinderconnect.child_link_by_manage, kinderconnect.child_link_in_force_in_manage;
CREATE UNIQUE INDEX child_link_in_force_in_manage ON kinderconnect.child_link (organization_id, child_id, agency_id) WHERE ended_at IS NULL;

-- Ids and keys are compared as bytes. The rows stay as they are; the indexes
-- are built anew.

ALTER TABLE kinderconnect.absence_limit DROP CONSTRAINT absence_limit_one_at_a_time, DROP COLUMN builtin;
ALTER TABLE kinderconnect.absence_limit
	ALTER agency_id TYPE text COLLATE "C", ALTER state TYPE text COLLATE "C", ALTER limit_name TYPE text COLLATE "C";
ALTER TABLE kinderconnect.absence_limit
	ADD COLUMN builtin boolean NOT NULL GENERATED ALWAYS AS ((shipped = hash_record_extended(ROW(agency_id, state, limit_name, valid, counts, uncounted_reasons, counts_unrecorded, period_months, period_begins, at_most, needs_attended, enforced, source, note), 0)) IS TRUE) STORED,
	ADD CONSTRAINT absence_limit_one_at_a_time EXCLUDE USING gist ((coalesce(agency_id, '')) WITH =, (coalesce(state, '')) WITH =, limit_name WITH =, (builtin::integer) WITH =, valid WITH &&);
COMMENT ON COLUMN kinderconnect.absence_limit.builtin IS 'true: as shipped, replaced by an upgrade. Your own row beside it wins; one that you edit is your own from then on: an upgrade leaves it, and pg_dump keeps it';
ALTER TABLE kinderconnect.absence_reason
	ALTER agency_id TYPE text COLLATE "C", ALTER reason TYPE text COLLATE "C";
ALTER TABLE kinderconnect.agency
	ALTER agency_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.agency_rule DROP CONSTRAINT agency_rule_one_at_a_time, DROP COLUMN builtin;
ALTER TABLE kinderconnect.agency_rule
	ALTER agency_id TYPE text COLLATE "C", ALTER state TYPE text COLLATE "C", ALTER rule TYPE text COLLATE "C";
ALTER TABLE kinderconnect.agency_rule
	ADD COLUMN builtin boolean NOT NULL GENERATED ALWAYS AS ((shipped = hash_record_extended(ROW(agency_id, state, rule, valid, value, enforced, source, note), 0)) IS TRUE) STORED,
	ADD CONSTRAINT agency_rule_one_at_a_time EXCLUDE USING gist ((coalesce(agency_id, '')) WITH =, (coalesce(state, '')) WITH =, rule WITH =, (builtin::integer) WITH =, valid WITH &&);
COMMENT ON COLUMN kinderconnect.agency_rule.builtin IS 'true: as shipped, replaced by an upgrade. Your own row beside it wins; one that you edit is your own from then on: an upgrade leaves it, and pg_dump keeps it';
ALTER TABLE kinderconnect.arming
	ALTER system_identifier TYPE text COLLATE "C";
ALTER TABLE kinderconnect.authorization
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C",
	ALTER kinderconnect_child_id TYPE text COLLATE "C", ALTER authorization_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.batch
	ALTER organization_id TYPE text COLLATE "C", ALTER batch_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C",
	ALTER provider_id TYPE text COLLATE "C", ALTER parent_batch_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.child
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER kinderconnect_child_id TYPE text COLLATE "C",
	ALTER first_key TYPE text COLLATE "C", ALTER middle_key TYPE text COLLATE "C", ALTER last_key TYPE text COLLATE "C",
	ALTER suffix_key TYPE text COLLATE "C", ALTER unlinked_because TYPE text COLLATE "C";
ALTER TABLE kinderconnect.child_day
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C",
	ALTER kinderconnect_child_id TYPE text COLLATE "C", ALTER location_id TYPE text COLLATE "C", ALTER child_id TYPE text COLLATE "C",
	ALTER state TYPE text COLLATE "C", ALTER record_id TYPE text COLLATE "C", ALTER accepted_record_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.child_day_step
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C",
	ALTER kinderconnect_child_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.child_decision
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER kinderconnect_child_id TYPE text COLLATE "C",
	ALTER child_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.child_link
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER kinderconnect_child_id TYPE text COLLATE "C",
	ALTER child_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.comparison
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.comparison_difference
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C",
	ALTER kinderconnect_child_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.customer
	ALTER organization_id TYPE text COLLATE "C", ALTER customer_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.dialect
	ALTER dialect TYPE text COLLATE "C";
ALTER TABLE kinderconnect.dialect_field
	ALTER dialect TYPE text COLLATE "C", ALTER operation TYPE text COLLATE "C", ALTER part TYPE text COLLATE "C",
	ALTER column_name TYPE text COLLATE "C";
ALTER TABLE kinderconnect.dialect_operation
	ALTER dialect TYPE text COLLATE "C", ALTER operation TYPE text COLLATE "C";
-- What stood in the library.
ALTER TABLE kinderconnect.dialect_operation
	ADD COLUMN bad_password_code text,
	ADD COLUMN bad_provider_code text,
	ADD CONSTRAINT dialect_operation_bad_codes_are_words CHECK (bad_password_code <> '' AND bad_provider_code <> '' AND bad_password_code <> bad_provider_code);
UPDATE kinderconnect.dialect_operation SET bad_password_code = 'BAD_GROUP_PASSWORD', bad_provider_code = 'PROVIDER_NOT_IN_GROUP'
WHERE error_code_path IS NOT NULL;
COMMENT ON COLUMN kinderconnect.dialect_operation.bad_password_code IS
'what stands at error_code_path where the group password is wrong: nothing more is sent for the organization in that run; null: no code says so';
COMMENT ON COLUMN kinderconnect.dialect_operation.bad_provider_code IS
'what stands at error_code_path where the provider ID is not one of the group; null: no code says so';
ALTER TABLE kinderconnect.endpoint
	ALTER endpoint TYPE text COLLATE "C", ALTER dialect TYPE text COLLATE "C";
ALTER TABLE kinderconnect.health_check
	ALTER check_name TYPE text COLLATE "C";
ALTER TABLE kinderconnect.health_threshold
	ALTER check_name TYPE text COLLATE "C";
ALTER TABLE kinderconnect.known_child
	ALTER organization_id TYPE text COLLATE "C", ALTER child_id TYPE text COLLATE "C", ALTER location_id TYPE text COLLATE "C",
	ALTER first_key TYPE text COLLATE "C", ALTER middle_key TYPE text COLLATE "C", ALTER last_key TYPE text COLLATE "C",
	ALTER suffix_key TYPE text COLLATE "C", ALTER digest DROP EXPRESSION;
ALTER TABLE kinderconnect.ledger
	ALTER organization_id TYPE text COLLATE "C", ALTER record_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C",
	ALTER provider_id TYPE text COLLATE "C", ALTER kinderconnect_child_id TYPE text COLLATE "C", ALTER child_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.list_problem
	ALTER organization_id TYPE text COLLATE "C", ALTER operation TYPE text COLLATE "C", ALTER customer_id TYPE text COLLATE "C",
	ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C", ALTER kinderconnect_child_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.list_state
	ALTER organization_id TYPE text COLLATE "C", ALTER operation TYPE text COLLATE "C", ALTER customer_id TYPE text COLLATE "C",
	ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.listed_authorization
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C",
	ALTER kinderconnect_child_id TYPE text COLLATE "C", ALTER authorization_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.listed_location
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C",
	ALTER customer_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.location_zone
	ALTER organization_id TYPE text COLLATE "C", ALTER location_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.manage_column
	ALTER relation TYPE text COLLATE "C", ALTER column_name TYPE text COLLATE "C";
ALTER TABLE kinderconnect.match_candidate
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER kinderconnect_child_id TYPE text COLLATE "C",
	ALTER child_id TYPE text COLLATE "C", ALTER location_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.match_state
	ALTER organization_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.nickname
	ALTER name TYPE text COLLATE "C", ALTER nickname TYPE text COLLATE "C";
ALTER TABLE kinderconnect.organization
	ALTER organization_id TYPE text COLLATE "C", ALTER endpoint TYPE text COLLATE "C";
ALTER TABLE kinderconnect.organization_agency
	ALTER organization_id TYPE text COLLATE "C", ALTER customer_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.provider DROP COLUMN location_id;
ALTER TABLE kinderconnect.provider
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C",
	ALTER configured_location_id TYPE text COLLATE "C", ALTER found_location_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.provider
	ADD COLUMN location_id text COLLATE "C" GENERATED ALWAYS AS (coalesce(configured_location_id, found_location_id)) STORED;
COMMENT ON COLUMN kinderconnect.provider.location_id IS 'Manage''s location in force; null: its days are held as provider_unmatched';
ALTER TABLE kinderconnect.provider_clock
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.reason
	ALTER reason TYPE text COLLATE "C";
ALTER TABLE kinderconnect.rule
	ALTER rule TYPE text COLLATE "C";
ALTER TABLE kinderconnect.run_organization
	ALTER organization_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.run_provider
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.score_state
	ALTER organization_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.scored_child
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER kinderconnect_child_id TYPE text COLLATE "C",
	ALTER last_key TYPE text COLLATE "C";
ALTER TABLE kinderconnect.timetable
	ALTER organization_id TYPE text COLLATE "C", ALTER agency_id TYPE text COLLATE "C", ALTER provider_id TYPE text COLLATE "C";
ALTER TABLE kinderconnect.unit_band DROP CONSTRAINT unit_band_one_for_a_length, DROP COLUMN builtin;
ALTER TABLE kinderconnect.unit_band
	ALTER agency_id TYPE text COLLATE "C", ALTER state TYPE text COLLATE "C";
ALTER TABLE kinderconnect.unit_band
	ADD COLUMN builtin boolean NOT NULL GENERATED ALWAYS AS ((shipped = hash_record_extended(ROW(agency_id, state, unit, valid, minutes, enforced, source, note), 0)) IS TRUE) STORED,
	ADD CONSTRAINT unit_band_one_for_a_length EXCLUDE USING gist ((coalesce(agency_id, '')) WITH =, (coalesce(state, '')) WITH =, (builtin::integer) WITH =, valid WITH &&, minutes WITH &&);
COMMENT ON COLUMN kinderconnect.unit_band.builtin IS 'true: as shipped, replaced by an upgrade. Your own row beside it wins; one that you edit is your own from then on: an upgrade leaves it, and pg_dump keeps it';

-- What was counted of a column goes with its collation.
ANALYZE
	kinderconnect.absence_limit, kinderconnect.absence_reason, kinderconnect.agency, kinderconnect.agency_rule, kinderconnect.arming,
	kinderconnect.authorization, kinderconnect.batch, kinderconnect.child, kinderconnect.child_day, kinderconnect.child_day_step,
	kinderconnect.child_decision, kinderconnect.child_link, kinderconnect.comparison, kinderconnect.comparison_difference, kinderconnect.customer,
	kinderconnect.dialect, kinderconnect.dialect_field, kinderconnect.dialect_operation, kinderconnect.endpoint, kinderconnect.health_check,
	kinderconnect.health_threshold, kinderconnect.known_child, kinderconnect.ledger, kinderconnect.list_problem, kinderconnect.list_state,
	kinderconnect.listed_authorization, kinderconnect.listed_location, kinderconnect.location_zone, kinderconnect.manage_column,
	kinderconnect.match_candidate, kinderconnect.match_state, kinderconnect.nickname, kinderconnect.organization, kinderconnect.organization_agency,
	kinderconnect.provider, kinderconnect.provider_clock, kinderconnect.reason, kinderconnect.rule, kinderconnect.run_organization,
	kinderconnect.run_provider, kinderconnect.score_state, kinderconnect.scored_child, kinderconnect.timetable, kinderconnect.unit_band;

-- What is called otherwise now, or no more: batches of many providers are
-- committed together, and sessions side by side share the organizations.

DROP FUNCTION kinderconnect.enable_integration(text, text, text, text, integer, boolean);
DROP FUNCTION kinderconnect._dispatch(bigint, text, text, text, text);
DROP FUNCTION kinderconnect._take(bigint);
DROP FUNCTION kinderconnect._has_room();
DROP PROCEDURE kinderconnect._make_room(bigint);
DROP PROCEDURE kinderconnect._night(text, text, text, date, date, boolean);
DROP PROCEDURE kinderconnect.nightly(text, text, text, date, date);
DROP FUNCTION kinderconnect._begin_run(text, text, text, date, date, boolean);
DROP FUNCTION kinderconnect._tick();
DROP PROCEDURE kinderconnect.tick();
DROP FUNCTION kinderconnect.schedule(text);
DROP FUNCTION kinderconnect._take_part(bigint, text);
DROP FUNCTION kinderconnect._take_children(bigint, kinderconnect.call_outcome);
DROP FUNCTION kinderconnect._take_submit(bigint, kinderconnect.call_outcome);
DROP FUNCTION kinderconnect._next_batch(bigint, text, text, text, date, date);
DROP FUNCTION kinderconnect._prepare(bigint, text, text, text, date, date);
DROP FUNCTION kinderconnect._send(text, text);
DROP FUNCTION kinderconnect._children_reply(bigint);
DROP FUNCTION kinderconnect._first_reading(timestamp, text);

CREATE UNLOGGED SEQUENCE kinderconnect.next_look MINVALUE 0 START 0;
COMMENT ON SEQUENCE kinderconnect.next_look IS
'no tick looks who is due before this, in seconds since 1970: nobody will be. At most an hour ahead, and 0 whenever a run begins or ends or a function changes a timetable, an organization or a provider; after you have edited one of these tables yourself, SELECT setval(''kinderconnect.next_look'', 0) has the next tick look';

CREATE OR REPLACE FUNCTION kinderconnect.api_customers(organization_id text)
	RETURNS SETOF kinderconnect.reply_customer
	AS 'MODULE_PATHNAME', 'kinderconnect_api_customers'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION kinderconnect.api_customers(text) IS
'asks the service now: the customers of an organization''s group, all pages';

CREATE OR REPLACE FUNCTION kinderconnect.api_locations(organization_id text, customer_id text)
	RETURNS SETOF kinderconnect.reply_location
	AS 'MODULE_PATHNAME', 'kinderconnect_api_locations'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION kinderconnect.api_locations(text, text) IS
'asks the service now: the locations of a customer, all pages';

CREATE OR REPLACE FUNCTION kinderconnect.api_agencies(organization_id text, customer_id text)
	RETURNS SETOF kinderconnect.reply_agency
	AS 'MODULE_PATHNAME', 'kinderconnect_api_agencies'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION kinderconnect.api_agencies(text, text) IS
'asks the service now: the agencies a customer reports to, all pages';

CREATE OR REPLACE FUNCTION kinderconnect.api_children(organization_id text, agency_id text, provider_id text, month date)
	RETURNS SETOF kinderconnect.reply_child
	AS 'MODULE_PATHNAME', 'kinderconnect_api_children'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION kinderconnect.api_children(text, text, text, date) IS
'asks the service now: the children of a provider and their authorizations touching the month of the date, all pages';

CREATE OR REPLACE FUNCTION kinderconnect.api_readback(organization_id text, agency_id text, provider_id text, from_date date, to_date date)
	RETURNS SETOF kinderconnect.reply_record
	AS 'MODULE_PATHNAME', 'kinderconnect_api_readback'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000;
COMMENT ON FUNCTION kinderconnect.api_readback(text, text, text, date, date) IS
'asks the service now: the attendance it holds for a provider, dates inclusive, all pages';

CREATE OR REPLACE FUNCTION kinderconnect.api_submit(organization_id text, agency_id text, provider_id text, batch_id text, records kinderconnect.wire_record[])
	RETURNS SETOF kinderconnect.reply_result
	AS 'MODULE_PATHNAME', 'kinderconnect_api_submit'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION kinderconnect.api_submit(text, text, text, text, kinderconnect.wire_record[]) IS
'sends attendance now, past the ledger: for adapting a dialect against a test service. Granted to nobody; the night never uses it';

CREATE OR REPLACE FUNCTION kinderconnect.check_dialect(dialect text)
	RETURNS TABLE (part text, problem text, severity text, cure text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	speech kinderconnect.dialect;
	item   record;
	detail text;
BEGIN
	IF check_dialect.dialect IS NULL THEN
		RAISE EXCEPTION 'dialect must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT * INTO speech FROM kinderconnect.dialect d WHERE d.dialect = check_dialect.dialect;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'dialect "%" does not exist', check_dialect.dialect
			USING ERRCODE = 'KC001', HINT = 'See the table kinderconnect.dialect for those that do.';
	END IF;

	FOR item IN SELECT o.operation FROM kinderconnect.dialect_operation o WHERE o.dialect = speech.dialect ORDER BY o.operation LOOP
		BEGIN
			PERFORM kinderconnect._compile_dialect(speech.dialect, item.operation);
		EXCEPTION WHEN SQLSTATE 'KC001' THEN
			GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, cure = PG_EXCEPTION_HINT;
			part := concat_ws(' ', item.operation, substring(detail FROM 'part "([^"]+)"'), substring(detail FROM 'position ([0-9]+)'));
			problem := replace(problem, format('dialect "%s" cannot be used: ', speech.dialect), '');
			severity := 'error';
			RETURN NEXT;
		END;
	END LOOP;

	RETURN QUERY
	WITH spoken AS (
		SELECT * FROM kinderconnect.dialect_operation o WHERE o.dialect = speech.dialect
	), field AS (
		SELECT * FROM kinderconnect.dialect_field f WHERE f.dialect = speech.dialect
	), kind AS (
		-- which kinds of a child-day the service can be told
		SELECT k.kind, EXISTS (SELECT FROM field f WHERE f.operation = 'submit' AND f.part = 'record' AND f.column_name = 'kind'
			AND CASE k.kind WHEN 'void' THEN coalesce(f.codes -> 'void', 'null') <> 'null'
				ELSE (f.codes -> k.kind <> 'null') IS NOT FALSE END) AS sayable
		FROM (VALUES ('absence'), ('closure'), ('void')) k (kind)
	), trouble (part, problem, severity, cure) AS (
		SELECT 'dialect', 'builtin is true: pg_dump leaves it out, and an upgrade replaces it', 'warning', 'Set builtin to false.'
		WHERE speech.builtin AND speech.dialect NOT IN ('kinderbridge', 'vendor-interface')

		UNION ALL
		SELECT w.operation, w.problem, w.severity, w.cure
		FROM (VALUES
			('children', 'error', 'the service is not asked which children are authorized', 'Add the operation to kinderconnect.dialect_operation.'),
			('submit', 'error', 'attendance cannot be sent', 'Add the operation to kinderconnect.dialect_operation.'),
			('customers', 'info', 'the service does not list customers', 'Nothing, if it cannot.'),
			('locations', 'info', 'the service does not list locations', 'Enter each provider with add_provider() and its location.'),
			('agencies', 'info', 'the service does not list agencies', 'Insert each with its state into kinderconnect.agency, so that the rules of the state are known.'),
			('readback', 'info', 'the service cannot be asked what it holds: after a lost answer the same records are sent again', 'Nothing, if it cannot.')
			) w (operation, severity, problem, cure)
		WHERE w.operation NOT IN (SELECT s.operation FROM spoken s)

		UNION ALL
		SELECT s.operation, 'it is asked for each customer, and customers are not listed', 'warning', 'Add the operation customers.'
		FROM spoken s
		WHERE s.operation IN ('locations', 'agencies') AND 'customers' NOT IN (SELECT c.operation FROM spoken c)

		UNION ALL
		SELECT w.operation || ' ' || w.part, w.problem, w.severity,
			CASE w.severity WHEN 'info' THEN format('Nothing, if the service has no place for it; else add a field for the column "%s".', w.column_name)
				ELSE format('Add a field for the column "%s".', w.column_name) END
		FROM (VALUES
			('children', 'request', 'provider_id', 'error', 'it does not say which provider it is about'),
			('children', 'request', 'agency_id', 'warning', 'it does not say of which agency the provider is'),
			('children', 'request', 'month', 'warning', 'it does not say which month is asked for'),
			('children', 'reply', 'kinderconnect_child_id', 'error', 'children have no id'),
			('children', 'reply', 'first_name', 'error', 'children have no first name, without which none is matched'),
			('children', 'reply', 'last_name', 'error', 'children have no last name, without which none is matched'),
			('children', 'reply', 'date_of_birth', 'error', 'children have no birth date, without which none is matched'),
			('children', 'reply', 'begin_date', 'error', 'authorizations have no first day, without which none counts'),
			('children', 'reply', 'end_date', 'warning', 'authorizations have no last day: every one is open'),
			('submit', 'request', 'provider_id', 'error', 'it does not say which provider it is about'),
			('submit', 'request', 'agency_id', 'warning', 'it does not say of which agency the provider is'),
			('submit', 'record', 'record_id', 'error', 'records have no id'),
			('submit', 'record', 'kinderconnect_child_id', 'error', 'records do not say which child'),
			('submit', 'record', 'service_date', 'error', 'records do not say which day'),
			('submit', 'record', 'session_in', 'error', 'records have no check-in'),
			('submit', 'record', 'session_out', 'error', 'records have no check-out'),
			('submit', 'record', 'absence_reason', 'info', 'the reason of an absence is not sent'),
			('submit', 'reply', 'record_id', 'error', 'results do not say which record they are about'),
			('submit', 'reply', 'status', 'error', 'results do not say whether the record was accepted'),
			('submit', 'reply', 'message', 'warning', 'results do not say why a record was rejected'),
			('customers', 'reply', 'customer_id', 'error', 'customers have no id'),
			('locations', 'request', 'customer_id', 'warning', 'it does not say which customer it is about'),
			('locations', 'reply', 'agency_id', 'error', 'locations do not say which agency'),
			('locations', 'reply', 'provider_id', 'error', 'locations have no provider ID'),
			('locations', 'reply', 'name', 'warning', 'locations have no name, and are found in Manage only if they are entered with add_provider()'),
			('agencies', 'request', 'customer_id', 'warning', 'it does not say which customer it is about'),
			('agencies', 'reply', 'agency_id', 'error', 'agencies have no id'),
			('agencies', 'reply', 'state', 'warning', 'agencies have no state, and no rules of a state'),
			('readback', 'request', 'provider_id', 'error', 'it does not say which provider it is about'),
			('readback', 'request', 'agency_id', 'warning', 'it does not say of which agency the provider is'),
			('readback', 'request', 'from_date', 'warning', 'it does not say from which day on'),
			('readback', 'request', 'to_date', 'warning', 'it does not say up to which day'),
			('readback', 'reply', 'record_id', 'error', 'records have no id: a record whose answer was lost is taken for one that never arrived'),
			('readback', 'reply', 'kinderconnect_child_id', 'error', 'records do not say which child'),
			('readback', 'reply', 'service_date', 'error', 'records do not say which day'),
			('readback', 'reply', 'kind', 'warning', 'records do not say whether they are a session, an absence or a closure'),
			('readback', 'reply', 'session_in', 'warning', 'records have no check-in'),
			('readback', 'reply', 'session_out', 'warning', 'records have no check-out')
			) w (operation, part, column_name, severity, problem)
		JOIN spoken s ON s.operation = w.operation
		WHERE NOT EXISTS (SELECT FROM field f WHERE (f.operation, f.part, f.column_name) = (w.operation, w.part, w.column_name))

		UNION ALL
		SELECT s.operation || ' request', 'nothing in it proves who asks', 'warning', 'Add a field for the column "group_password".'
		FROM spoken s
		WHERE speech.auth = 'none'
			AND NOT EXISTS (SELECT FROM field f WHERE (f.operation, f.part, f.column_name) = (s.operation, 'request', 'group_password'))

		UNION ALL
		-- what a call of each operation knows
		SELECT concat_ws(' ', f.operation, f.part, f.position), format('"%s" is required, and %s', f.column_name,
				CASE f.column_name WHEN 'page' THEN 'the first request has none' ELSE 'this operation never has it' END),
			'error', 'Remove the field, or set required to false.'
		FROM field f
		WHERE f.part = 'request' AND f.required AND f.column_name NOT IN ('group_id', 'group_password')
			AND (f.operation, f.column_name) NOT IN (VALUES
				('children', 'agency_id'), ('children', 'provider_id'), ('children', 'month'),
				('submit', 'agency_id'), ('submit', 'provider_id'), ('submit', 'batch_id'),
				('locations', 'customer_id'), ('agencies', 'customer_id'),
				('readback', 'agency_id'), ('readback', 'provider_id'), ('readback', 'from_date'), ('readback', 'to_date'))

		UNION ALL
		SELECT concat_ws(' ', f.operation, f.part, f.position), format('"%s" is required, and not every record has it', f.column_name),
			'error', 'Set required to false.'
		FROM field f
		WHERE f.part = 'record' AND f.required AND f.column_name IN ('session_in', 'session_out', 'absence_reason')

		UNION ALL
		SELECT s.operation, 'its pages have names, and no field of the request asks for one by its name', 'error', 'Add a field for the column "page" to the request.'
		FROM spoken s
		WHERE s.next_page_path IS NOT NULL AND s.operation <> 'submit'
			AND NOT EXISTS (SELECT FROM field f WHERE (f.operation, f.part, f.column_name) = (s.operation, 'request', 'page'))

		UNION ALL
		SELECT concat_ws(' ', f.operation, f.part, f.position), 'a page can be asked for, and nothing in the reply names it: only the first is read', 'warning', 'Set next_page_path of the operation.'
		FROM field f JOIN spoken s ON s.operation = f.operation
		WHERE f.part = 'request' AND f.column_name = 'page' AND s.next_page_path IS NULL

		UNION ALL
		SELECT f.operation || ' reply', format('a record without "%s" is passed over in silence', f.column_name), 'warning', 'Set required to true.'
		FROM field f
		WHERE f.part = 'reply' AND f.constant IS NULL
			AND (f.operation, f.column_name) IN (VALUES ('customers', 'customer_id'), ('locations', 'agency_id'), ('locations', 'provider_id'),
				('agencies', 'agency_id'), ('children', 'kinderconnect_child_id'), ('submit', 'record_id'))
		GROUP BY f.operation, f.column_name
		HAVING NOT bool_or(f.required)

		UNION ALL
		SELECT s.operation, 'what the service says of an error is lost', 'warning', 'Set error_message_path.'
		FROM spoken s WHERE s.error_message_path IS NULL

		UNION ALL
		SELECT s.operation, 'it has codes for a wrong group password or provider ID, and no code is read from a reply', 'warning', 'Set error_code_path.'
		FROM spoken s
		WHERE s.error_code_path IS NULL AND num_nonnulls(s.bad_password_code, s.bad_provider_code) > 0

		UNION ALL
		SELECT s.operation, 'no code of the service tells a wrong group password: a run goes on asking with it', 'info',
			'Nothing, if the service has none; else set bad_password_code, and bad_provider_code likewise.'
		FROM spoken s
		WHERE s.error_code_path IS NOT NULL AND s.bad_password_code IS NULL

		UNION ALL
		SELECT 'submit reply',
			CASE WHEN bool_or(f.codes IS NOT NULL) THEN 'no code of the status stands for "accepted"'
				ELSE 'whatever the service says but "accepted" and "duplicate" counts as rejected' END,
			CASE WHEN bool_or(f.codes IS NOT NULL) THEN 'error' ELSE 'info' END,
			'Give the status codes for "accepted" and "rejected", where the service has words of its own.'
		FROM field f
		WHERE (f.operation, f.part, f.column_name) = ('submit', 'reply', 'status') AND f.constant IS NULL
		HAVING count(*) > 0 AND NOT coalesce(bool_or(f.codes ? 'accepted'), false)

		UNION ALL
		SELECT 'submit record', format('"%s" has no place for session %s, and places for others after it or beside it', c.column_name, n.n), 'error', 'Add the field, or remove the others.'
		FROM (VALUES ('session_in'), ('session_out')) c (column_name)
		CROSS JOIN generate_series(1, (SELECT max(f.element) FROM field f WHERE f.part = 'record')) n (n)
		WHERE EXISTS (SELECT FROM field f WHERE f.part = 'record' AND f.column_name = c.column_name)
			AND NOT EXISTS (SELECT FROM field f WHERE f.part = 'record' AND f.column_name = c.column_name AND coalesce(f.element, n.n) = n.n)

		UNION ALL
		SELECT 'submit record',
			CASE k.kind
				WHEN 'absence' THEN 'it has no word for an absence: absences are not sent'
				WHEN 'closure' THEN 'it has no word for a closure: closures are not sent'
				ELSE 'it cannot take a day back: one that is deleted in Manage is held as cannot_void'
			END,
			'info', 'Nothing, if the service cannot; else add a code for it to a field for the column "kind".'
		FROM kind k
		WHERE NOT k.sayable AND 'submit' IN (SELECT s.operation FROM spoken s)

		UNION ALL
		SELECT format('endpoint "%s"', e.endpoint), 'it has no token_url, and the dialect needs a token', 'error', 'Set token_url, client_id and client_secret.'
		FROM kinderconnect.endpoint e WHERE e.dialect = speech.dialect AND speech.auth = 'oauth2' AND e.token_url IS NULL
		UNION ALL
		SELECT format('endpoint "%s"', e.endpoint), 'it has a token_url, and the dialect never asks for a token', 'warning', 'Set auth of the dialect to oauth2, or remove the token_url.'
		FROM kinderconnect.endpoint e WHERE e.dialect = speech.dialect AND speech.auth = 'none' AND e.token_url IS NOT NULL
	)
	SELECT t.part, t.problem, t.severity, t.cure FROM trouble t
	ORDER BY array_position(ARRAY['error', 'warning', 'info'], t.severity), t.part COLLATE "C", t.problem COLLATE "C";
END;
$$;
COMMENT ON FUNCTION kinderconnect.check_dialect(text) IS
'what is missing in a dialect or cannot work, before any call is made. part: operation, part and position of the row; severity: error (it cannot work), warning (something is lost), info (what the service does not have, and what stands in for it); of rows that make no sense the first of each operation';

-- As in the script that installs: unaccent() is where it is, and the characters
-- are no error of another encoding's.
DO $do$
BEGIN
	PERFORM set_config('search_path', format('pg_catalog, %I, pg_temp', n.nspname), true)
	FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
	WHERE e.extname = 'unaccent';
	EXECUTE $fold$
CREATE OR REPLACE FUNCTION kinderconnect.fold(name text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	-- Plain letters and spaces, most names, need no more than lower(). By "C"
	-- first: some languages have another small letter for I.
	SELECT CASE WHEN name ~ '^[A-Za-z]+( [A-Za-z]+)*$' THEN lower(name COLLATE "C") COLLATE "default" ELSE btrim(regexp_replace(
		translate(
			regexp_replace(lower(lower(unaccent(normalize(translate(name, U&'\00B4\0384\1FBD\1FBF\1FFD\00AD', ''''''''''''), NFKC)) COLLATE "C") COLLATE "default"), U&'[\0300-\036F\00AD\200B-\200F\2060\FEFF]', '', 'g'),
			U&'-\2010\2011\2012\2013\2014\2015\2212\FE63\FF0D\2043\058A\05BE\1400\1806\2E17\2E1A\2E3A\2E3B\2E40\2E5D\301C\3030\30A0\+010EAD\00A0\2007\202F'
				|| U&'''\2018\2019\201B\02BB\02BC\02BE\02BF\02B9\02CA\02EE\2032\2035\00B4`\FF07\055A\05F3\07F4\07F5\275B\275C\A78B\A78C',
			repeat(' ', 28)),
		'\s+', ' ', 'g')) END;
END;
COMMENT ON FUNCTION kinderconnect.fold(text) IS
'a name for comparing: lower case, without accents and apostrophes, every hyphen a space, single spaces';
$fold$;
	SET LOCAL search_path = pg_catalog, pg_temp;
END
$do$;

-- Not STRICT, and of nothing that is only stable, as concat_ws() is: so the
-- four are inlined where a column is computed.
CREATE OR REPLACE FUNCTION kinderconnect._first_key(first_name text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN first_name ~ '^[A-Za-z]+$' THEN lower(first_name COLLATE "C") COLLATE "default" ELSE split_part(kinderconnect._words(first_name), ' ', 1) END;
COMMENT ON FUNCTION kinderconnect._first_key(text) IS 'first word of the first name, folded; empty where there is none';

CREATE OR REPLACE FUNCTION kinderconnect._middle_key(first_name text, middle_name text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN middle_name IS NULL AND first_name ~ '^[A-Za-z]*$' THEN NULL
		ELSE nullif(btrim(coalesce(substring(regexp_replace(kinderconnect._words(first_name), '( (jr|sr|ii|iii|iv))+$', '') FROM ' (.*)'), '')
			|| ' ' || coalesce(kinderconnect._words(middle_name), '')), '') END;
COMMENT ON FUNCTION kinderconnect._middle_key(text, text) IS 'the words of the first name after the first, and the middle name, folded; null: none';

CREATE OR REPLACE FUNCTION kinderconnect._last_key(last_name text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN last_name ~ '^[A-Za-z]+$' THEN lower(last_name COLLATE "C") COLLATE "default"
		WHEN last_name IS NOT NULL THEN coalesce(kinderconnect._sorted(regexp_replace(kinderconnect._words(last_name), '( (jr|sr|ii|iii|iv))+$', '')), '') END;
COMMENT ON FUNCTION kinderconnect._last_key(text) IS 'the words of the last name but for a suffix, folded, in the order of the alphabet; empty where there is none';

-- A view of Manage's fails in PostgreSQL's own words, which may quote a row of
-- it: a child's name, to whoever asked and to the server's log.
CREATE FUNCTION kinderconnect._manage_fails(sqlstate text) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION 'a query that is bound to Manage fails on its rows'
		USING ERRCODE = _manage_fails.sqlstate,
			DETAIL = 'PostgreSQL''s own words may quote a row, and are kept back.',
			HINT = 'SELECT from kinderconnect.manage_location, manage_child and manage_attendance to see them.';
END;
$$;
COMMENT ON FUNCTION kinderconnect._manage_fails(text) IS 'the error, with this SQLSTATE, that stands for one of class 22 of Manage''s views';

-- A sequence knows no transactions, and what changes a timetable is seen when
-- it commits. A tick that looks meanwhile must not say when to look again: so
-- until the end of its transaction whoever changes something shares this lock,
-- which a tick has to have for itself before it looks how long it may wait.
-- Advisory locks are for whoever may connect to take, and would hold up every
-- night. With the owner's rights: an administrator writes no clock otherwise.
CREATE FUNCTION kinderconnect._look_again() RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	LOCK TABLE kinderconnect.provider_clock IN ROW EXCLUSIVE MODE;
	PERFORM setval('kinderconnect.next_look', 0);
END;
$$;
COMMENT ON FUNCTION kinderconnect._look_again() IS 'the next tick looks who is due, whatever one that is looking now finds';

-- What a person limits a function by has to be there: nothing found of a name
-- that is misspelt would read as if all were well.
CREATE FUNCTION kinderconnect._require_provider(organization_id text, agency_id text, provider_id text) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF num_nonnulls(_require_provider.agency_id, _require_provider.provider_id) > 0
		AND NOT EXISTS (SELECT FROM kinderconnect.provider p
			WHERE (_require_provider.organization_id IS NULL OR p.organization_id = _require_provider.organization_id)
				AND (_require_provider.agency_id IS NULL OR p.agency_id = _require_provider.agency_id)
				AND (_require_provider.provider_id IS NULL OR p.provider_id = _require_provider.provider_id)) THEN
		RAISE EXCEPTION '% provider%',
			coalesce('organization "' || _require_provider.organization_id || '" has no', 'no organization has a'),
			concat(' "' || _require_provider.provider_id || '"', ' at agency "' || _require_provider.agency_id || '"')
			USING ERRCODE = 'KC001', HINT = 'Providers are listed in kinderconnect.provider.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_provider(text, text, text) IS
'an error (KC001) where an agency or provider ID is given, and the organization has no provider of it; null: any';

CREATE FUNCTION kinderconnect._require_period(from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF from_date > to_date THEN
		RAISE EXCEPTION 'from_date % is after to_date %', to_char(from_date, 'YYYY-MM-DD'), to_char(to_date, 'YYYY-MM-DD') USING ERRCODE = 'invalid_parameter_value';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_period(date, date) IS 'an error where a period ends before it begins; null: open';

-- A name that is not in the secrets file is never repeated: somebody may have
-- passed the password itself. A failed statement is logged with its text:
-- hence log_min_error_statement, which only the owner may set.
CREATE FUNCTION kinderconnect._require_group_password(organization text, name text, given boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET log_min_error_statement = panic
AS $$
DECLARE
	-- most passwords could be no name at all
	possible boolean := name ~ '^[A-Za-z0-9_.-]{1,128}$';
BEGIN
	IF organization IS NULL THEN
		RAISE EXCEPTION 'organization_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT possible OR NOT kinderconnect._has_secret(name) THEN
		RAISE EXCEPTION 'group password of organization "%" is not in the secrets file', organization
			USING ERRCODE = 'KC002',
				DETAIL = CASE WHEN given THEN 'Looked for the name given as group_password.' ELSE format('Looked for the name "%s".', name) END,
				HINT = CASE WHEN given OR possible
					THEN 'group_password is the name of a line in the file of kinderconnect.secrets_file, not the password; write the line there, or call kinderconnect.set_secret(name, value).'
					ELSE 'A name has 1 to 128 letters, digits, "_", "." or "-": write the password under such a name into the secrets file, and pass the name as group_password.' END;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_group_password(text, text, boolean) IS
'an error (KC002) unless the secrets file holds this name; given: it is the caller''s, and not repeated, nor is the failed statement logged';

-- What a person types or pastes is compared, byte for byte, with what the
-- service says.
CREATE FUNCTION kinderconnect._require_plain(name text, value text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF value ~ '^[[:space:]]|[[:space:]]$|[[:cntrl:]]' THEN
		RAISE EXCEPTION '% must not begin or end with white space, nor contain control characters', name
			USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', to_json(value)),
				HINT = 'Write it as the service has it: what differs by a space is another one.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_plain(text, text) IS 'an error if the value of this parameter has white space at an end, or control characters';

CREATE FUNCTION kinderconnect._missing_secrets_file() RETURNS text
	AS 'MODULE_PATHNAME', 'kinderconnect_missing_secrets_file'
	LANGUAGE c VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION kinderconnect._missing_secrets_file() IS
'the path of the secrets file, if it does not exist';

CREATE FUNCTION kinderconnect._require_no_transaction(procedure_name text) RETURNS void
	AS 'MODULE_PATHNAME', 'kinderconnect_require_no_transaction'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION kinderconnect._require_no_transaction(text) IS
'an error unless the procedure that calls it, and is named, may commit';

CREATE OR REPLACE FUNCTION kinderconnect._require_armed() RETURNS void
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

-- A night for days of which none can be there would succeed without a word.
CREATE FUNCTION kinderconnect._require_in_horizon(from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	horizon integer := kinderconnect.setting('horizon_days');
BEGIN
	IF from_date > (now() AT TIME ZONE 'Pacific/Kiritimati')::date THEN
		RAISE EXCEPTION 'from_date % is in the future', to_char(from_date, 'YYYY-MM-DD')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'A night looks at days that are over.';
	ELSIF to_date < (now() AT TIME ZONE 'Pacific/Honolulu')::date - horizon THEN
		RAISE EXCEPTION 'to_date % is before the horizon of % days', to_char(to_date, 'YYYY-MM-DD'), horizon
			USING ERRCODE = 'invalid_parameter_value', HINT = 'kinderconnect.horizon_days says how many days back a night looks.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_in_horizon(date, date) IS 'an error where no day of this period can be one that a night looks at; null: open';

CREATE OR REPLACE FUNCTION kinderconnect._warn_of_rows(relation text, keys text[], condition text, what text, hint text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found    bigint;
	sampled  bigint;
	examples text;
BEGIN
	EXECUTE format('SELECT count(*), array_to_string((array_agg(DISTINCT concat_ws(''/'', %s) COLLATE "C"))[1:3], '', '')
		FROM pg_temp.kinderconnect_sample s WHERE %s',
		(SELECT string_agg(format('s.%I', k), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u(k, n)), condition)
		INTO found, examples;
	IF found > 0 THEN
		EXECUTE 'SELECT count(*) FROM pg_temp.kinderconnect_sample' INTO sampled;
		RAISE WARNING 'Manage''s "%", % of % rows: %', relation, found, sampled, what
			USING DETAIL = format('By %s: %s.', array_to_string(keys, '/'), examples), HINT = hint;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._warn_of_rows(text, text[], text, text, text) IS
'warns of the rows of a sample for which a condition holds, with the first keys of them';

-- Everything good is committed by now; the error is for whoever watches the
-- job. It reaches logs, so only what we said ourselves stands in it.
CREATE OR REPLACE FUNCTION kinderconnect._report(run bigint, failures bigint) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	first record;
	ended kinderconnect.run;
BEGIN
	SELECT * INTO STRICT ended FROM kinderconnect.run r WHERE r.run_id = run;
	IF ended.status IN ('succeeded', 'stopped') THEN
		RETURN;
	END IF;
	SELECT f.*, count(*) FILTER (WHERE f.sqlstate <> 'KC401') OVER () = 0 AS all_busy INTO first FROM (
		SELECT 1 AS rank, o.organization_id, format('organization "%s"', o.organization_id) AS who, o.sqlstate, o.error, o.hint
		FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.sqlstate IS NOT NULL
		UNION ALL
		SELECT 2, p.organization_id, format('organization "%s", agency "%s", provider "%s"', p.organization_id, p.agency_id, p.provider_id), p.sqlstate, p.error, p.hint
		FROM kinderconnect.run_provider p WHERE p.run_id = run AND p.sqlstate IS NOT NULL) f
	ORDER BY f.rank, f.who LIMIT 1;
	RAISE EXCEPTION USING
		ERRCODE = CASE WHEN ended.sqlstate IS NOT NULL THEN ended.sqlstate WHEN first.all_busy THEN 'KC401' ELSE 'KC402' END,
		MESSAGE = format(CASE ended.sqlstate WHEN 'KC104' THEN 'run %s ended at its deadline, with %s' ELSE 'run %s had %s' END, run, failures || CASE failures WHEN 1 THEN ' failure' ELSE ' failures' END),
		DETAIL = CASE WHEN first.who IS NULL THEN 'No part of it failed.' ELSE format('First: %s: %s (%s).', first.who,
			CASE WHEN starts_with(first.sqlstate, 'KC') THEN first.error ELSE 'an error of the database' END, first.sqlstate) END,
		HINT = concat_ws(' ', CASE WHEN ended.sqlstate IS NULL THEN nullif(first.hint, '') END,
			CASE ended.sqlstate WHEN 'KC104' THEN 'What was not done is done by the next run. The limit is the setting kinderconnect.run_deadline.'
				ELSE 'All else is done and committed; see kinderconnect.run_organization and run_provider.' END);
END;
$$;
COMMENT ON FUNCTION kinderconnect._report(bigint, bigint) IS 'an error that tells the first of a run''s failures, if there were any';

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

CREATE OR REPLACE FUNCTION kinderconnect.reset_threshold(check_name text) RETURNS boolean
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

-- What the old one holds, or may hold, does not matter to the new one; but an
-- answer on its way would say of it what is not so. With the rights of the
-- owner: an administrator writes no child-day otherwise.
CREATE FUNCTION kinderconnect._send_anew(organization text, since date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM kinderconnect.ledger l WHERE l.organization_id = organization AND l.state = 'sending') THEN
		RAISE EXCEPTION 'days of organization "%" are being sent', organization
			USING ERRCODE = 'KC401', HINT = format('CALL kinderconnect.nightly(%L) ends what a run that died has left.', organization);
	END IF;
	UPDATE kinderconnect.ledger l SET state = 'not_taken', answered_at = clock_timestamp()
	WHERE l.organization_id = organization AND l.state = 'unknown';
	UPDATE kinderconnect.child_day d
	SET state = CASE WHEN d.content IS NULL THEN 'held' ELSE 'ready' END, reason = CASE WHEN d.content IS NULL THEN 'nothing_recorded' END, detail = NULL,
		code = NULL, message = NULL, record_id = NULL, sent_content = NULL, sent_basis = NULL, void_wanted = false,
		accepted_kind = NULL, accepted_in = NULL, accepted_out = NULL, accepted_reason = NULL, accepted_content = NULL, accepted_record_id = NULL, accepted_at = NULL,
		changed_at = now()
	WHERE d.organization_id = organization AND d.service_date >= since
		AND (d.accepted_content IS NOT NULL OR d.state IN ('unknown', 'rejected', 'voided'));
END;
$$;
COMMENT ON FUNCTION kinderconnect._send_anew(text, date) IS
'child-days of an organization from this date on are as if nothing had been sent, and the next plan judges them so; the ledger keeps what was';

CREATE OR REPLACE FUNCTION kinderconnect.enable_integration(organization_id text, group_id text,
		group_password text DEFAULT NULL, endpoint text DEFAULT NULL,
		backfill_days integer DEFAULT NULL, adopt_providers boolean DEFAULT NULL, sends boolean DEFAULT true,
		holds_accepted boolean DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	secret_name text := coalesce(enable_integration.group_password, 'group_' || enable_integration.organization_id);
	service     text := enable_integration.endpoint;
	backfill    integer := enable_integration.backfill_days;
	adopt       boolean := enable_integration.adopt_providers;
	today       date := (now() AT TIME ZONE 'Pacific/Honolulu')::date;
	horizon     integer := kinderconnect.setting('horizon_days');
	before      record;
BEGIN
	-- before anything else may fail
	IF enable_integration.group_password IS NOT NULL THEN
		PERFORM kinderconnect._require_group_password(enable_integration.organization_id, secret_name, true);
	END IF;
	IF nullif(btrim(enable_integration.organization_id), '') IS NULL OR nullif(btrim(enable_integration.group_id), '') IS NULL
		OR enable_integration.sends IS NULL THEN
		RAISE EXCEPTION 'organization_id, group_id and sends must be given'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF enable_integration.backfill_days NOT BETWEEN 0 AND 366 THEN
		RAISE EXCEPTION 'backfill_days % is not between 0 and 366', enable_integration.backfill_days
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF kinderconnect._is_bound('organization') THEN
		PERFORM FROM kinderconnect.manage_organization m WHERE m.organization_id = enable_integration.organization_id COLLATE "default";
		IF NOT FOUND THEN
			RAISE EXCEPTION 'organization "%" is not in Manage', enable_integration.organization_id
				USING ERRCODE = 'KC001', HINT = 'Organizations are listed in kinderconnect.manage_organization.';
		END IF;
	ELSE
		PERFORM kinderconnect._require_plain('organization_id', enable_integration.organization_id);
	END IF;
	PERFORM kinderconnect._require_plain('group_id', enable_integration.group_id);
	IF service IS NULL THEN
		SELECT min(e.endpoint) INTO service FROM kinderconnect.endpoint e HAVING count(*) = 1;
		IF service IS NULL THEN
			RAISE EXCEPTION 'endpoint must be named: there is not exactly one'
				USING ERRCODE = 'KC001',
					HINT = 'INSERT the service into kinderconnect.endpoint, or name one with endpoint =>.';
		END IF;
	ELSIF NOT EXISTS (SELECT FROM kinderconnect.endpoint e WHERE e.endpoint = service) THEN
		RAISE EXCEPTION 'endpoint "%" does not exist', service
			USING ERRCODE = 'KC001', HINT = 'INSERT it into kinderconnect.endpoint first.';
	END IF;
	IF enable_integration.group_password IS NULL THEN
		PERFORM kinderconnect._require_group_password(enable_integration.organization_id, secret_name, false);
	END IF;

	-- A run keeps to the service and the group that it began with, and what these
	-- accept from now on the new ones would never be sent. Until this commits,
	-- none begins either (KC_LOCK_CLASS of engine.c).
	IF enable_integration.holds_accepted IS NOT TRUE
		AND EXISTS (SELECT FROM kinderconnect.organization o WHERE o.organization_id = enable_integration.organization_id
			AND (o.group_id, o.endpoint) <> (enable_integration.group_id, service))
		AND NOT pg_try_advisory_xact_lock(1801675630, hashtext(enable_integration.organization_id COLLATE "C")) THEN
		RAISE EXCEPTION 'a run is busy with organization "%"', enable_integration.organization_id
			USING ERRCODE = 'KC401', HINT = 'It sends to the group and endpoint that it began with: wait until it is over.';
	END IF;

	-- What is accepted is not sent again; another group may not have it.
	SELECT o.group_id, o.endpoint, count(*) AS days INTO before
	FROM kinderconnect.organization o
	JOIN kinderconnect.child_day d ON d.organization_id = o.organization_id AND d.accepted_content IS NOT NULL AND d.service_date >= today - horizon
	WHERE o.organization_id = enable_integration.organization_id
		AND (o.group_id, o.endpoint) <> (enable_integration.group_id, service)
	GROUP BY o.group_id, o.endpoint;
	IF FOUND AND enable_integration.holds_accepted IS NULL THEN
		RAISE EXCEPTION 'group "%" of endpoint "%" has accepted % days of organization "%"', before.group_id, before.endpoint, before.days, enable_integration.organization_id
			USING ERRCODE = 'KC001',
				HINT = 'Pass holds_accepted => true where the new one holds them too, as when its name has changed; holds_accepted => false to send all days of the horizon anew.';
	ELSIF FOUND AND NOT enable_integration.holds_accepted THEN
		PERFORM kinderconnect._send_anew(enable_integration.organization_id, today - horizon);
	END IF;

	-- Whoever changes the group alone does not mean days to be sent that were
	-- reported otherwise, nor providers to be adopted.
	SELECT coalesce(backfill, o.backfill_days, 30), coalesce(adopt, o.adopt_providers, true) INTO backfill, adopt
	FROM (SELECT) AS always
	LEFT JOIN kinderconnect.organization o ON o.organization_id = enable_integration.organization_id;

	-- By UTC's date an evening would be the next day, and the day itself is due;
	-- by a clock west of all its locations a night would be the day before, that
	-- may have been reported otherwise.
	IF kinderconnect._is_bound('location') THEN
		SELECT coalesce(min((now() AT TIME ZONE coalesce(z.zone, 'Pacific/Honolulu'))::date), today) INTO today
		FROM (SELECT DISTINCT m.time_zone FROM kinderconnect.manage_location m
			WHERE m.organization_id = enable_integration.organization_id COLLATE "default") m
		CROSS JOIN LATERAL (SELECT kinderconnect._zone(m.time_zone) AS zone) z;
	END IF;
	INSERT INTO kinderconnect.organization AS o (organization_id, endpoint, group_id, group_password, first_enabled, backfill_days, adopt_providers, sends)
	VALUES (enable_integration.organization_id, service, enable_integration.group_id, secret_name,
		today, backfill, adopt, enable_integration.sends)
	ON CONFLICT (organization_id) DO UPDATE
	SET endpoint = excluded.endpoint, group_id = excluded.group_id, group_password = excluded.group_password,
		enabled = true, backfill_days = excluded.backfill_days, adopt_providers = excluded.adopt_providers, sends = excluded.sends,
		-- while it only looked on, its days were reported otherwise
		first_enabled = CASE
			WHEN excluded.sends AND NOT o.sends AND NOT EXISTS (SELECT FROM kinderconnect.ledger l WHERE l.organization_id = o.organization_id)
				THEN excluded.first_enabled
			ELSE o.first_enabled END;
	IF backfill > horizon THEN
		RAISE WARNING 'organization "%" reports the last % days, not %', enable_integration.organization_id, horizon, backfill
			USING HINT = 'kinderconnect.horizon_days is how far back a day is looked at.';
	END IF;
	PERFORM kinderconnect._look_again();
END;
$$;
COMMENT ON FUNCTION kinderconnect.enable_integration(text, text, text, text, integer, boolean, boolean, boolean) IS
'lets an organization of Manage report to KinderConnect, or changes how. group_password is the NAME of its line in the secrets file (default group_<organization_id>); endpoint may be left out where there is one; backfill_days and adopt_providers stay as they were where they are left out, and are 30 and true for a new organization; sends => false has its nights look on and send nothing, and backfill_days count from when it first sends; holds_accepted says, where the group or the endpoint changes, whether the new one holds what was accepted: false has all days of the horizon sent anew';

CREATE OR REPLACE FUNCTION kinderconnect.add_provider(organization_id text, agency_id text, provider_id text, location_id text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(add_provider.organization_id);
	IF nullif(btrim(add_provider.agency_id), '') IS NULL OR nullif(btrim(add_provider.provider_id), '') IS NULL THEN
		RAISE EXCEPTION 'agency_id and provider_id must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM kinderconnect._require_plain('agency_id', add_provider.agency_id);
	PERFORM kinderconnect._require_plain('provider_id', add_provider.provider_id);
	IF add_provider.location_id IS NOT NULL AND kinderconnect._is_bound('location') THEN
		PERFORM FROM kinderconnect.manage_location m
		WHERE (m.organization_id, m.location_id) = (add_provider.organization_id COLLATE "default", add_provider.location_id COLLATE "default");
		IF NOT FOUND THEN
			RAISE EXCEPTION 'organization "%" has no location "%" in Manage', add_provider.organization_id, add_provider.location_id
				USING ERRCODE = 'KC001', HINT = 'Locations are listed in kinderconnect.manage_location.';
		END IF;
	END IF;
	INSERT INTO kinderconnect.provider AS p (organization_id, agency_id, provider_id, configured, configured_location_id)
	VALUES (add_provider.organization_id, add_provider.agency_id, add_provider.provider_id, true, add_provider.location_id)
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET configured = true, enabled = true, configured_location_id = excluded.configured_location_id;
	PERFORM kinderconnect._look_again();
END;
$$;
COMMENT ON FUNCTION kinderconnect.add_provider(text, text, text, text) IS
'enters a provider ID of an agency, as many as wanted; location_id is Manage''s location, or null to have it found by stored id, or name and ZIP';

CREATE OR REPLACE FUNCTION kinderconnect.disable_provider(organization_id text, agency_id text, provider_id text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF num_nulls(disable_provider.organization_id, disable_provider.agency_id, disable_provider.provider_id) > 0 THEN
		RAISE EXCEPTION 'organization_id, agency_id and provider_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM kinderconnect._require_provider(disable_provider.organization_id, disable_provider.agency_id, disable_provider.provider_id);
	UPDATE kinderconnect.provider SET enabled = false
	WHERE (organization_id, agency_id, provider_id) = (disable_provider.organization_id, disable_provider.agency_id, disable_provider.provider_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect.disable_provider(text, text, text) IS
'asks and sends nothing for a provider; add_provider() takes it up again';

-- Whether an organization's dialect has an operation at all.
CREATE FUNCTION kinderconnect._speaks(organization_id text, operation text) RETURNS boolean
	LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM kinderconnect.organization o
		JOIN kinderconnect.endpoint e ON e.endpoint = o.endpoint
		JOIN kinderconnect.dialect_operation d ON d.dialect = e.dialect
		WHERE o.organization_id = _speaks.organization_id AND d.operation = _speaks.operation);
END;
$$;
COMMENT ON FUNCTION kinderconnect._speaks(text, text) IS 'whether the organization''s service has this operation';

-- Only the first error is kept: it is the one that explains the others.
CREATE FUNCTION kinderconnect._fail_organization(run bigint, organization text, halt boolean, sqlstate text, error text, hint text) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	UPDATE kinderconnect.run_organization o
	SET halted = o.halted OR halt, sqlstate = coalesce(o.sqlstate, _fail_organization.sqlstate),
		error = CASE WHEN o.sqlstate IS NULL THEN _fail_organization.error ELSE o.error END,
		hint = CASE WHEN o.sqlstate IS NULL THEN _fail_organization.hint ELSE o.hint END
	WHERE o.organization_id = organization AND o.run_id = run;
END;
COMMENT ON FUNCTION kinderconnect._fail_organization(bigint, text, boolean, text, text, text) IS
'notes an organization''s error; halt: nothing more is done for it in this run';

CREATE FUNCTION kinderconnect._fail_provider(run bigint, organization text, agency text, provider text, halt boolean, sqlstate text, error text, hint text) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	INSERT INTO kinderconnect.run_provider AS p (organization_id, run_id, agency_id, provider_id, halted, sqlstate, error, hint)
	VALUES (organization, run, agency, provider, halt, _fail_provider.sqlstate, _fail_provider.error, _fail_provider.hint)
	ON CONFLICT (organization_id, run_id, agency_id, provider_id) DO UPDATE
	SET halted = p.halted OR excluded.halted, sqlstate = coalesce(p.sqlstate, excluded.sqlstate),
		error = CASE WHEN p.sqlstate IS NULL THEN excluded.error ELSE p.error END,
		hint = CASE WHEN p.sqlstate IS NULL THEN excluded.hint ELSE p.hint END;
END;
COMMENT ON FUNCTION kinderconnect._fail_provider(bigint, text, text, text, boolean, text, text, text) IS
'notes a provider''s error; halt: nothing more is sent for it in this run';

-- The first night fills empty tables, and its session keeps the plans it made
-- for them; the server itself looks after them once a minute at best.
-- ANALYZE makes plans anew, and each time a table is eight times as large as
-- the last count is seldom enough to cost nothing. A table of eight pages is
-- where a plan for an empty one begins to hurt. A small sample tells sizes well
-- enough; the server takes a large one in its own time.
--
-- What another session has written and not committed is counted as pages, but
-- not as rows: a count of less than two rows a page is not left as it is when
-- the table has grown.
CREATE OR REPLACE FUNCTION kinderconnect._know_sizes() RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET default_statistics_target = 10
AS $$
DECLARE
	grown text;
BEGIN
	FOR grown IN
		SELECT format('%I.%I', n.nspname, c.relname)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'kinderconnect' AND c.relname IN ('provider', 'listed_location', 'list_state', 'child', 'authorization',
				'listed_authorization', 'listed_subsidy', 'child_link', 'known_child', 'child_day', 'ledger', 'batch', 'run_provider', 'provider_clock')
			AND c.relkind = 'r'
			AND pg_relation_size(c.oid) / current_setting('block_size')::bigint
				> CASE WHEN c.reltuples < 2.0 * c.relpages THEN greatest(c.relpages, 8) ELSE 8::bigint * greatest(c.relpages, 1) END
	LOOP
		EXECUTE 'ANALYZE (SKIP_LOCKED) ' || grown;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._know_sizes() IS
'counts anew the tables that have outgrown what the planner knows of them, with the owner''s rights: only an owner may';

CREATE FUNCTION kinderconnect._stopped_because() RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT format('stopped by %s since %s: %s', s.stopped_by, to_char(s.stopped_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), s.reason)
		FROM kinderconnect.stop_switch s WHERE s.resumed_at IS NULL);
END;
$$;
COMMENT ON FUNCTION kinderconnect._stopped_because() IS 'who stopped sending, when and why; null: nobody did';

-- Every clock reads this zone: one that the server does not know would be an
-- error to all organizations. An abbreviation is none: it has no summer, and
-- what it stands for is a setting of the session.
CREATE FUNCTION kinderconnect._check_time_zone() RETURNS trigger
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET TimeZone = 'UTC'
AS $$
BEGIN
	PERFORM set_config('TimeZone', NEW.time_zone, true), now() AT TIME ZONE NEW.time_zone
	WHERE NEW.time_zone ~ '^[[:alpha:]<]';
	IF NOT FOUND THEN
		RAISE invalid_parameter_value;
	END IF;
	RETURN NEW;
EXCEPTION WHEN invalid_parameter_value OR syntax_error OR invalid_datetime_format THEN
	RAISE EXCEPTION 'agency "%" has no known time zone "%"', NEW.agency_id, NEW.time_zone
		USING ERRCODE = 'KC001',
			HINT = 'Give the IANA name, such as America/Chicago: SELECT name FROM pg_timezone_names.';
END;
$$;
COMMENT ON FUNCTION kinderconnect._check_time_zone() IS 'an error (KC001) where an agency''s time zone is none that this server knows';

-- No foreign key says so, for the service may list a location before its agency.
CREATE FUNCTION kinderconnect._check_unused() RETURNS trigger
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM kinderconnect.provider p WHERE p.agency_id = OLD.agency_id AND p.enabled) THEN
		RAISE EXCEPTION 'agency "%" has providers', OLD.agency_id
			USING ERRCODE = 'foreign_key_violation', DETAIL = 'Its state''s rules and its time zone are those of their days.',
				HINT = 'Call kinderconnect.disable_provider() for each that kinderconnect.provider has enabled, first.';
	END IF;
	RETURN OLD;
END;
$$;
COMMENT ON FUNCTION kinderconnect._check_unused() IS 'an error where an agency that is to be deleted has providers that are not disabled';

CREATE OR REPLACE FUNCTION kinderconnect.accept_shrink(organization_id text, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	accepted bigint;
BEGIN
	PERFORM kinderconnect._require_organization(accept_shrink.organization_id);
	PERFORM kinderconnect._require_provider(accept_shrink.organization_id, accept_shrink.agency_id, accept_shrink.provider_id);
	UPDATE kinderconnect.list_state l SET accept_shrink = true
	WHERE l.organization_id = accept_shrink.organization_id
		AND l.set_aside_at IS NOT NULL
		AND (accept_shrink.agency_id IS NULL OR l.agency_id = accept_shrink.agency_id)
		AND (accept_shrink.provider_id IS NULL OR l.provider_id = accept_shrink.provider_id);
	GET DIAGNOSTICS accepted = ROW_COUNT;
	RETURN accepted;
END;
$$;
COMMENT ON FUNCTION kinderconnect.accept_shrink(text, text, text) IS
'the lists that were set aside because they had shrunk are taken by the next run, and the days held as source_shrank taken back, of an organization, or of one agency or provider of it; answers how many lists, the attendance of a provider counting as one';

CREATE OR REPLACE FUNCTION kinderconnect._take_agencies(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT kinderconnect._take_list(run, outcome) THEN
		RETURN;
	END IF;
	WITH reply AS MATERIALIZED (
		SELECT r.ordinal, r.agency_id, r.name, upper(btrim(r.state)) AS state, r.time_zone,
			coalesce(r.problem, CASE
				WHEN upper(btrim(r.state)) !~ '^[A-Z]{2}$' THEN 'state is not a two-letter code'
				WHEN r.time_zone IS NOT NULL AND kinderconnect._zone(r.time_zone) IS NULL THEN 'time zone is unknown' END) AS problem
		FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_agency) r
	), cleared AS (
		DELETE FROM kinderconnect.list_problem p
		WHERE p.organization_id = outcome.organization_id AND p.operation = 'agencies' AND p.customer_id = outcome.customer_id
			AND NOT EXISTS (SELECT FROM reply r WHERE r.ordinal = p.ordinal AND r.problem IS NOT NULL)
	), problems AS (
		INSERT INTO kinderconnect.list_problem AS p (organization_id, operation, customer_id, ordinal, problem)
		SELECT outcome.organization_id, 'agencies', outcome.customer_id, r.ordinal, r.problem FROM reply r WHERE r.problem IS NOT NULL
		ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part) DO UPDATE
		SET problem = excluded.problem
	), agencies AS (
		INSERT INTO kinderconnect.agency AS a (agency_id, name, state, time_zone)
		SELECT r.agency_id, r.name, r.state, r.time_zone
		FROM (SELECT DISTINCT ON (r.agency_id) r.agency_id, r.name,
				CASE WHEN r.state ~ '^[A-Z]{2}$' THEN r.state END AS state, kinderconnect._zone(r.time_zone) AS time_zone
			FROM reply r WHERE r.agency_id IS NOT NULL
			ORDER BY r.agency_id, r.ordinal) r
		-- a conflict would lock the row, which other sessions' organizations have too
		WHERE NOT EXISTS (SELECT FROM kinderconnect.agency a WHERE a.agency_id = r.agency_id
			AND (a.name, a.state, a.time_zone) IS NOT DISTINCT FROM
				(coalesce(r.name, a.name), coalesce(r.state, a.state), coalesce(r.time_zone, a.time_zone)))
		ON CONFLICT (agency_id) DO UPDATE
		SET name = coalesce(excluded.name, a.name), state = coalesce(excluded.state, a.state), time_zone = coalesce(excluded.time_zone, a.time_zone)
		WHERE (a.name, a.state, a.time_zone) IS DISTINCT FROM
			(coalesce(excluded.name, a.name), coalesce(excluded.state, a.state), coalesce(excluded.time_zone, a.time_zone))
	), gone AS (
		UPDATE kinderconnect.organization_agency o SET listed = false, changed_at = now()
		WHERE o.organization_id = outcome.organization_id AND o.customer_id = outcome.customer_id AND o.listed
			AND NOT EXISTS (SELECT FROM reply r WHERE r.agency_id = o.agency_id)
	)
	INSERT INTO kinderconnect.organization_agency AS o (organization_id, customer_id, agency_id)
	SELECT DISTINCT outcome.organization_id, outcome.customer_id, r.agency_id FROM reply r WHERE r.agency_id IS NOT NULL
	ON CONFLICT (organization_id, customer_id, agency_id) DO UPDATE
	SET listed = true, changed_at = now() WHERE NOT o.listed;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_agencies(bigint, kinderconnect.call_outcome) IS 'takes in a customer''s list of agencies';

-- The locations of Manage that could be a provider's, by stored id, else by
-- equal folded name where the ZIPs do not contradict.
CREATE OR REPLACE FUNCTION kinderconnect._location_candidates(organization text)
	RETURNS TABLE (agency_id text, provider_id text, location_id text, by_id boolean)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	in_manage text COLLATE "default" := organization;
BEGIN
	IF kinderconnect._is_bound('provider_id') THEN
		RETURN QUERY
		SELECT DISTINCT m.agency_id, m.provider_id, m.location_id, true
		FROM kinderconnect.manage_provider_id m
		WHERE m.organization_id = in_manage;
	END IF;
	RETURN QUERY
	SELECT l.agency_id, l.provider_id, m.location_id, false
	FROM kinderconnect.listed_location l
	JOIN kinderconnect.manage_location m ON m.organization_id = in_manage AND kinderconnect.fold(m.name) = kinderconnect.fold(l.name)
		AND (nullif(btrim(l.zip), '') IS NULL OR nullif(btrim(m.zip), '') IS NULL OR left(btrim(l.zip), 5) = left(btrim(m.zip), 5))
	WHERE l.organization_id = organization AND kinderconnect.fold(l.name) <> '';
END;
$$;
COMMENT ON FUNCTION kinderconnect._location_candidates(text) IS
'Manage locations that could be a provider''s, by stored id or by name and ZIP';

CREATE VIEW kinderconnect.provider_standing AS
SELECT p.organization_id, p.agency_id, p.provider_id, p.location_id, p.configured,
	coalesce(l.name, p.provider_id) AS name,
	CASE
		WHEN NOT o.enabled THEN 'organization_disabled'
		WHEN NOT p.enabled OR NOT p.configured AND NOT o.adopt_providers THEN 'provider_disabled'
		WHEN lower(btrim(l.status)) <> 'active' OR lower(btrim(c.status)) <> 'active' THEN 'provider_inactive'
		WHEN NOT p.configured AND NOT (l.listed AND c.listed IS NOT FALSE) THEN 'provider_inactive'
	END AS barred
FROM kinderconnect.provider p
JOIN kinderconnect.organization o ON o.organization_id = p.organization_id
LEFT JOIN kinderconnect.listed_location l ON (l.organization_id, l.agency_id, l.provider_id) = (p.organization_id, p.agency_id, p.provider_id)
LEFT JOIN kinderconnect.customer c ON (c.organization_id, c.customer_id) = (l.organization_id, l.customer_id);
COMMENT ON VIEW kinderconnect.provider_standing IS 'each provider, and why nothing is asked or sent for it';
COMMENT ON COLUMN kinderconnect.provider_standing.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_standing.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_standing.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_standing.location_id IS 'Manage''s location, or null';
COMMENT ON COLUMN kinderconnect.provider_standing.configured IS 'entered by add_provider(), not only listed by the service';
COMMENT ON COLUMN kinderconnect.provider_standing.name IS 'as the service lists it, else the provider ID';
COMMENT ON COLUMN kinderconnect.provider_standing.barred IS 'null: it takes part; else the reason';

-- What cannot be read is a problem, and changes nothing: an authorization with
-- a begin, an end or weekdays that are none, or that ends before it begins, is
-- not taken for one that is open, or for every day. Nor is it gone: one that
-- cannot be told from others may be any that the child has, and of a child that
-- cannot be told from others, any child's.
CREATE OR REPLACE FUNCTION kinderconnect._children_reply(ticket bigint)
	RETURNS TABLE (ordinal integer, part integer, kinderconnect_child_id text, first_name text, middle_name text, last_name text,
		suffix text, date_of_birth date, subsidized boolean, authorization_id text, begin_date date, end_date date,
		units_of_care text, days text[], trouble text, sound boolean, unread text[])
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 100
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.ordinal, (row_number() OVER (PARTITION BY r.ordinal))::integer, r.kinderconnect_child_id, r.first_name, r.middle_name,
		r.last_name, r.suffix, r.date_of_birth,
		CASE WHEN ('subsidized' = ANY (r.unread)) IS NOT TRUE THEN coalesce(r.subsidized, true) END,
		CASE WHEN 'begin_date' = ANY (r.unread) AND (r.authorization_id IS NULL OR 'authorization_id' = ANY (r.unread)) THEN NULL
			WHEN r.authorization_id IS NULL AND r.begin_date IS NULL THEN ''
			ELSE coalesce(r.authorization_id, to_char(r.begin_date, 'YYYY-MM-DD') || coalesce('/' || r.units_of_care, '')) END,
		r.begin_date, r.end_date, r.units_of_care, d.days,
		CASE WHEN r.problem IS NULL THEN t.trouble ELSE concat_ws('; ', r.problem, t.trouble) END,
		r.kinderconnect_child_id IS NOT NULL AND r.begin_date IS NOT NULL AND t.trouble IS NULL
			AND (r.unread && ARRAY['begin_date', 'end_date', 'days']) IS NOT TRUE,
		r.unread
	FROM kinderconnect._rows(_children_reply.ticket, NULL::kinderconnect.reply_child) r
	CROSS JOIN LATERAL (SELECT array_agg(DISTINCT upper(btrim(u))) AS days FROM unnest(r.days) u) d
	CROSS JOIN LATERAL (SELECT CASE
		WHEN r.end_date < r.begin_date THEN 'authorization ends before it begins'
		WHEN NOT d.days <@ ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'] THEN 'authorization has an unknown weekday'
		END AS trouble) t;
END;
$$;
COMMENT ON FUNCTION kinderconnect._children_reply(bigint) IS
'the rows of a children call as they are taken in: authorization_id filled in (empty: none; null: one, but not which), subsidized null where it cannot be read, weekdays in upper case without repeats, trouble in words, sound where the authorization counts, unread as in reply_child';

-- A service may renew an authorization under its id: two periods, and each a
-- history of its own. The first is known by the id, the others by the id and a
-- number, in the order in which they were seen. A list of a month need not hold
-- all of them, so that which one an entry is, is told by its begin; by its days,
-- where the begin has changed; and what shares no day with any that is known
-- is a further one, whichever month is taken in first.
CREATE FUNCTION kinderconnect._further_periods(outcomes kinderconnect.call_outcome[])
	RETURNS TABLE (ticket bigint, kinderconnect_child_id text, authorization_id text, begin_date date, known_as text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH reply AS MATERIALIZED (
		SELECT o.ticket, o.organization_id, o.agency_id, o.provider_id, r.kinderconnect_child_id, r.authorization_id, r.begin_date, r.end_date, r.ordinal, r.part
		FROM unnest(outcomes) o CROSS JOIN LATERAL kinderconnect._children_reply(o.ticket) r
		WHERE r.sound
	), changed AS MATERIALIZED (
		-- mostly none: of an id that is listed twice, one at least begins
		-- otherwise than what is known as the id
		SELECT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.kinderconnect_child_id, r.authorization_id, r.begin_date
		FROM reply r
		LEFT JOIN LATERAL (SELECT true AS known FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
					= (r.organization_id, r.agency_id, r.provider_id, r.kinderconnect_child_id, r.authorization_id)
				AND a.known_until = 'infinity' AND a.begin_date = r.begin_date
			ORDER BY a.known_from LIMIT 1) a ON true
		WHERE a.known IS NULL
	), odd AS MATERIALIZED (
		SELECT c.ticket, c.organization_id, c.agency_id, c.provider_id, c.kinderconnect_child_id, c.authorization_id
		FROM changed c
		LEFT JOIN LATERAL (SELECT true AS known FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
				= (c.organization_id, c.agency_id, c.provider_id, c.kinderconnect_child_id, c.authorization_id)
			ORDER BY a.known_from LIMIT 1) a ON true
		GROUP BY c.ticket, c.organization_id, c.agency_id, c.provider_id, c.kinderconnect_child_id, c.authorization_id
		HAVING bool_or(a.known) OR min(c.begin_date) <> max(c.begin_date)
	), entry AS MATERIALIZED (
		SELECT DISTINCT ON (r.ticket, r.kinderconnect_child_id, r.authorization_id, r.begin_date) r.*
		FROM reply r
		WHERE ((r.ticket, r.kinderconnect_child_id, r.authorization_id) IN (SELECT d.ticket, d.kinderconnect_child_id, d.authorization_id FROM odd d)) IS TRUE
		ORDER BY r.ticket, r.kinderconnect_child_id, r.authorization_id, r.begin_date, r.ordinal, r.part
	), known AS MATERIALIZED (
		SELECT DISTINCT ON (d.ticket, d.kinderconnect_child_id, d.authorization_id, a.authorization_id)
			d.ticket, d.kinderconnect_child_id, d.authorization_id, a.authorization_id AS known_as, a.begin_date, a.end_date, a.closed_as IS NOT NULL AS is_gone,
			coalesce(nullif(substr(a.authorization_id, length(d.authorization_id) + 2), ''), '1')::integer AS number
		FROM odd d
		CROSS JOIN LATERAL (SELECT a.* FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id)
					= (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id)
				AND (a.authorization_id = d.authorization_id
					OR left(a.authorization_id, length(d.authorization_id) + 1) = d.authorization_id || '#'
						AND substr(a.authorization_id, length(d.authorization_id) + 2) ~ '^[1-9][0-9]{0,5}$'
						-- the service's own, where it is in the list
						AND ((d.ticket, a.kinderconnect_child_id, a.authorization_id) IN
							(SELECT r.ticket, r.kinderconnect_child_id, r.authorization_id FROM reply r)) IS NOT TRUE)
			OFFSET 0) a
		ORDER BY d.ticket, d.kinderconnect_child_id, d.authorization_id, a.authorization_id, a.known_from DESC
	), by_begin AS MATERIALIZED (
		SELECT DISTINCT ON (e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date)
			e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date, k.known_as
		FROM entry e
		JOIN known k ON (k.ticket, k.kinderconnect_child_id, k.authorization_id, k.begin_date)
			= (e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date)
		ORDER BY e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date, k.is_gone, k.number
	), by_days AS MATERIALIZED (
		SELECT DISTINCT ON (p.ticket, p.kinderconnect_child_id, p.authorization_id, p.begin_date)
			p.ticket, p.kinderconnect_child_id, p.authorization_id, p.begin_date, p.known_as
		FROM (SELECT DISTINCT ON (k.ticket, k.kinderconnect_child_id, k.known_as)
				e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date, k.known_as, k.is_gone, k.number
			FROM entry e
			JOIN known k ON (k.ticket, k.kinderconnect_child_id, k.authorization_id) = (e.ticket, e.kinderconnect_child_id, e.authorization_id)
				AND e.begin_date <= coalesce(k.end_date, 'infinity') AND k.begin_date <= coalesce(e.end_date, 'infinity')
			WHERE NOT EXISTS (SELECT FROM by_begin b WHERE (b.ticket, b.kinderconnect_child_id, b.authorization_id, b.begin_date)
					= (e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date))
				AND NOT EXISTS (SELECT FROM by_begin b WHERE (b.ticket, b.kinderconnect_child_id, b.known_as)
					= (k.ticket, k.kinderconnect_child_id, k.known_as))
			ORDER BY k.ticket, k.kinderconnect_child_id, k.known_as, e.begin_date) p
		ORDER BY p.ticket, p.kinderconnect_child_id, p.authorization_id, p.begin_date, p.is_gone, p.number
	), found AS (
		SELECT * FROM by_begin UNION ALL SELECT * FROM by_days
	), further AS (
		SELECT e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date,
			coalesce((SELECT max(k.number) FROM known k WHERE (k.ticket, k.kinderconnect_child_id, k.authorization_id)
				= (e.ticket, e.kinderconnect_child_id, e.authorization_id)), 0)
				+ row_number() OVER (PARTITION BY e.ticket, e.kinderconnect_child_id, e.authorization_id ORDER BY e.begin_date) AS number
		FROM entry e
		WHERE NOT EXISTS (SELECT FROM found f WHERE (f.ticket, f.kinderconnect_child_id, f.authorization_id, f.begin_date)
			= (e.ticket, e.kinderconnect_child_id, e.authorization_id, e.begin_date))
	)
	SELECT f.ticket, f.kinderconnect_child_id, f.authorization_id, f.begin_date, f.known_as
	FROM found f WHERE f.known_as <> f.authorization_id
	UNION ALL
	SELECT f.ticket, f.kinderconnect_child_id, f.authorization_id, f.begin_date, f.authorization_id || '#' || f.number
	FROM further f WHERE f.number > 1;
END;
$$;
COMMENT ON FUNCTION kinderconnect._further_periods(kinderconnect.call_outcome[]) IS
'of the authorizations in lists of children, those that are a further period under an id that another one has, and what each is known as: the id, # and a number';

-- A child or an authorization that two months hold otherwise is as the later one
-- says: which was taken in before, or is not asked for by this run.
CREATE FUNCTION kinderconnect._is_listed_later(run bigint, organization text, agency text, provider text, month date, child text, authorization_id text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM kinderconnect.run r
		CROSS JOIN kinderconnect.listed_authorization l
		JOIN kinderconnect.list_state t ON (t.organization_id, t.operation, t.customer_id, t.agency_id, t.provider_id, t.month)
			= (l.organization_id, 'children', '', l.agency_id, l.provider_id, l.month)
		WHERE r.run_id = run
			AND (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id) = (organization, agency, provider, child)
			AND (_is_listed_later.authorization_id IS NULL OR l.authorization_id = _is_listed_later.authorization_id)
			AND l.month > _is_listed_later.month AND (t.taken_at >= r.started_at OR l.month > (r.scope ->> 'to_date')::date));
END;
$$;
COMMENT ON FUNCTION kinderconnect._is_listed_later(bigint, text, text, text, date, text, text) IS
'whether a later month''s list of the provider, which counts in this run, holds the child, with this authorization or, where that is null, any';

-- Lists that have arrived together are taken in together: 30 children are soon
-- written, and to begin a statement takes as long. They are of one month for
-- each provider, so that what the others of a provider list stands.
--
-- All of it is small beside the tables, which were empty when the first night
-- made the plans that its session keeps: rows of a table are sought one by one,
-- by its key and not by another index (LATERAL with LIMIT, or OFFSET 0; ORDER BY
-- what only the key sorts), and rows of the lists by IN, which hashes whatever is
-- switched off. An empty table that is joined is read whole, for each of them.
CREATE OR REPLACE FUNCTION kinderconnect._take_children(run bigint, outcomes kinderconnect.call_outcome[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
DECLARE
	taken_at timestamptz := clock_timestamp();
	tickets  bigint[];
	children text[];
	ids      text[];
	begins   date[];
	names    text[];
BEGIN
	outcomes := ARRAY(SELECT o FROM unnest(outcomes) o WHERE kinderconnect._take_list(run, o));

	-- Who is new at a site, or no longer there, is matched anew.
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	FROM (SELECT o.organization_id, o.agency_id, o.provider_id, l.listed, l.kinderconnect_child_id
		FROM unnest(outcomes) o
		CROSS JOIN LATERAL (SELECT date_trunc('month', o.month)::date AS listed, l.kinderconnect_child_id, true AS was
			FROM kinderconnect.listed_authorization l
			WHERE (l.organization_id, l.agency_id, l.provider_id, l.month)
				= (o.organization_id, o.agency_id, o.provider_id, date_trunc('month', o.month)::date)
			UNION ALL
			SELECT date_trunc('month', o.month)::date, r.kinderconnect_child_id, false FROM kinderconnect._children_reply(o.ticket) r) l
		GROUP BY o.organization_id, o.agency_id, o.provider_id, l.listed, l.kinderconnect_child_id
		HAVING bool_and(l.was) OR NOT bool_or(l.was)) l
	-- coalesce, so that it is not all without a link that are read
	WHERE coalesce(c.unlinked_because, '') <> ''
		AND (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (l.organization_id, l.agency_id, l.kinderconnect_child_id)
		AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization o
			WHERE (o.organization_id, o.agency_id, o.provider_id, o.kinderconnect_child_id)
					= (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id)
				AND o.month <> l.listed);

	SELECT array_agg(p.ticket), array_agg(p.kinderconnect_child_id), array_agg(p.authorization_id), array_agg(p.begin_date), array_agg(p.known_as)
	INTO tickets, children, ids, begins, names
	FROM kinderconnect._further_periods(outcomes) p;

	WITH list AS MATERIALIZED (
		SELECT o.ticket, o.organization_id, o.agency_id, o.provider_id, date_trunc('month', o.month)::date AS month FROM unnest(outcomes) o
	), reply AS MATERIALIZED (
		SELECT o.*, r.ordinal, r.part, r.kinderconnect_child_id, r.first_name, r.middle_name, r.last_name, r.suffix, r.date_of_birth, r.subsidized,
			coalesce(p.known_as, r.authorization_id) AS authorization_id, r.begin_date, r.end_date, r.units_of_care, r.days, r.sound, r.unread,
			row_number() OVER w AS place, CASE WHEN r.sound AND (r.end_date, r.units_of_care, r.days) IS DISTINCT FROM
				(first_value(r.end_date) OVER w, first_value(r.units_of_care) OVER w, first_value(r.days) OVER w)
			THEN concat_ws('; ', r.trouble, 'authorization is listed again with the same begin and other terms, and the first counts')
			ELSE r.trouble END AS trouble
		FROM list o CROSS JOIN LATERAL kinderconnect._children_reply(o.ticket) r
		LEFT JOIN unnest(tickets, children, ids, begins, names) p(ticket, kinderconnect_child_id, authorization_id, begin_date, known_as)
			ON (p.ticket, p.kinderconnect_child_id, p.authorization_id, p.begin_date) = (o.ticket, r.kinderconnect_child_id, r.authorization_id, r.begin_date)
		WINDOW w AS (PARTITION BY o.ticket, r.kinderconnect_child_id, r.authorization_id, r.begin_date, r.sound ORDER BY r.ordinal, r.part)
	), changed AS MATERIALIZED (
		-- apart, and one by one: the list is not walked for each authorization
		SELECT s.ticket, s.ordinal, s.part, s.organization_id, s.agency_id, s.provider_id, s.month, s.kinderconnect_child_id, s.authorization_id,
			a.known_from, a.other_days
		FROM (SELECT r.* FROM reply r WHERE r.sound AND r.place = 1) s
		CROSS JOIN LATERAL (SELECT a.known_from, (a.begin_date, a.end_date, a.days) IS DISTINCT FROM (s.begin_date, s.end_date, s.days) AS other_days
			FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
					= (s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.authorization_id)
				AND a.known_until = 'infinity'
				AND (a.begin_date, a.end_date, a.units_of_care, a.days) IS DISTINCT FROM (s.begin_date, s.end_date, s.units_of_care, s.days)
			ORDER BY a.known_from LIMIT 1) a
	), overruled AS MATERIALIZED (
		SELECT c.ticket, c.ordinal, c.part, c.other_days
		FROM changed c
		WHERE kinderconnect._is_listed_later(run, c.organization_id, c.agency_id, c.provider_id, c.month, c.kinderconnect_child_id, c.authorization_id)
	), trouble AS MATERIALIZED (
		SELECT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.month, r.ordinal, r.part, r.kinderconnect_child_id, t.trouble
		FROM reply r
		CROSS JOIN LATERAL (SELECT nullif(concat_ws('; ', r.trouble,
			CASE WHEN ((r.ticket, r.ordinal, r.part) IN (SELECT v.ticket, v.ordinal, v.part FROM overruled v WHERE v.other_days)) IS TRUE
			THEN 'authorization has other days in the list of a later month, which counts' END), '') AS trouble OFFSET 0) t
		WHERE t.trouble IS NOT NULL
	), cleared AS (
		DELETE FROM kinderconnect.list_problem p
		USING list o
		WHERE (p.organization_id, p.operation, p.customer_id, p.agency_id, p.provider_id, p.month)
				= (o.organization_id, 'children', '', o.agency_id, o.provider_id, o.month)
			AND (o.ticket, p.ordinal, p.part) NOT IN (SELECT t.ticket, t.ordinal, t.part FROM trouble t)
	), problems AS (
		INSERT INTO kinderconnect.list_problem AS p (organization_id, operation, agency_id, provider_id, month, ordinal, part, kinderconnect_child_id, problem)
		SELECT t.organization_id, 'children', t.agency_id, t.provider_id, t.month, t.ordinal, t.part, t.kinderconnect_child_id, t.trouble
		FROM trouble t
		ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month, ordinal, part) DO UPDATE
		SET kinderconnect_child_id = excluded.kinderconnect_child_id, problem = excluded.problem
		WHERE (p.kinderconnect_child_id, p.problem) IS DISTINCT FROM (excluded.kinderconnect_child_id, excluded.problem)
	), answered AS MATERIALIZED (
		-- of whom the list says that it is not subsidized, or one of the
		-- provider has said so; true where any entry says so
		SELECT r.organization_id, r.agency_id, r.provider_id, r.month, r.kinderconnect_child_id, bool_or(r.subsidized) AS said
		FROM reply r
		WHERE ((r.ticket, r.kinderconnect_child_id) IN (SELECT q.ticket, q.kinderconnect_child_id
			FROM reply q
			LEFT JOIN LATERAL (SELECT true AS known FROM kinderconnect.listed_subsidy s
				WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id)
					= (q.organization_id, q.agency_id, q.kinderconnect_child_id, q.provider_id) LIMIT 1) s ON true
			WHERE q.kinderconnect_child_id IS NOT NULL AND (q.subsidized IS NOT TRUE OR s.known))) IS TRUE
		GROUP BY r.organization_id, r.agency_id, r.provider_id, r.month, r.kinderconnect_child_id
	), answer AS MATERIALIZED (
		-- what cannot be read is as it was, and who is new is not subsidized
		SELECT a.organization_id, a.agency_id, a.provider_id, a.month, a.kinderconnect_child_id, s.subsidized IS NOT NULL AS known,
			coalesce(a.said, s.subsidized, (SELECT true FROM kinderconnect.listed_authorization l
				WHERE (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id)
					= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id) LIMIT 1), false) AS subsidized
		FROM answered a
		LEFT JOIN LATERAL (SELECT s.subsidized FROM kinderconnect.listed_subsidy s
			WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id)
				= (a.organization_id, a.agency_id, a.kinderconnect_child_id, a.provider_id)
			ORDER BY s.month > a.month, abs(s.month - a.month) LIMIT 1) s ON true
	), subsidy AS MATERIALIZED (
		SELECT a.organization_id, a.agency_id, a.provider_id, a.month, a.kinderconnect_child_id, a.subsidized
		FROM answer a WHERE a.known OR NOT a.subsidized
		UNION ALL
		-- so far it was in every month
		SELECT DISTINCT a.organization_id, a.agency_id, a.provider_id, l.month, a.kinderconnect_child_id, true
		FROM answer a
		JOIN kinderconnect.listed_authorization l ON (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id) AND l.month <> a.month
		WHERE NOT a.known AND NOT a.subsidized
	), subsidies AS (
		INSERT INTO kinderconnect.listed_subsidy AS s (organization_id, agency_id, provider_id, month, kinderconnect_child_id, subsidized)
		SELECT n.* FROM subsidy n
		WHERE NOT EXISTS (SELECT FROM kinderconnect.listed_subsidy s
			WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id, s.month, s.subsidized)
				= (n.organization_id, n.agency_id, n.kinderconnect_child_id, n.provider_id, n.month, n.subsidized))
		ON CONFLICT (organization_id, agency_id, kinderconnect_child_id, provider_id, month) DO UPDATE SET subsidized = excluded.subsidized
	), concerned AS MATERIALIZED (
		SELECT DISTINCT n.organization_id, n.agency_id, n.kinderconnect_child_id FROM subsidy n
	), private AS MATERIALIZED (
		-- these children, where no provider has it otherwise
		SELECT l.organization_id, l.agency_id, l.kinderconnect_child_id
		FROM (SELECT DISTINCT ON (l.organization_id, l.agency_id, l.kinderconnect_child_id, l.provider_id) l.*
			FROM (SELECT n.organization_id, n.agency_id, n.kinderconnect_child_id, n.provider_id, n.month, n.subsidized FROM subsidy n
				UNION ALL
				SELECT s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id, s.month, s.subsidized
				FROM concerned c
				JOIN kinderconnect.listed_subsidy s ON (s.organization_id, s.agency_id, s.kinderconnect_child_id)
					= (c.organization_id, c.agency_id, c.kinderconnect_child_id)
				WHERE ((s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id, s.month) IN
					(SELECT n.organization_id, n.agency_id, n.kinderconnect_child_id, n.provider_id, n.month FROM subsidy n)) IS NOT TRUE
				UNION ALL
				SELECT l.organization_id, l.agency_id, l.kinderconnect_child_id, l.provider_id, '-infinity', true
				FROM concerned c
				JOIN kinderconnect.listed_authorization l ON (l.organization_id, l.agency_id, l.kinderconnect_child_id)
					= (c.organization_id, c.agency_id, c.kinderconnect_child_id)
				UNION ALL
				SELECT r.organization_id, r.agency_id, r.kinderconnect_child_id, r.provider_id, '-infinity', true
				FROM reply r
				WHERE ((r.organization_id, r.agency_id, r.kinderconnect_child_id) IN
					(SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id FROM concerned c)) IS TRUE) l
			ORDER BY l.organization_id, l.agency_id, l.kinderconnect_child_id, l.provider_id, l.month DESC) l
		GROUP BY l.organization_id, l.agency_id, l.kinderconnect_child_id
		HAVING NOT bool_or(l.subsidized)
	), children AS (
		INSERT INTO kinderconnect.child AS c
			(organization_id, agency_id, kinderconnect_child_id, first_name, middle_name, last_name, suffix, date_of_birth, subsidized)
		SELECT r.organization_id, r.agency_id, r.kinderconnect_child_id, n.*
		FROM (SELECT DISTINCT ON (r.kinderconnect_child_id, r.agency_id, r.organization_id) r.* FROM reply r
			WHERE r.kinderconnect_child_id IS NOT NULL
			ORDER BY r.kinderconnect_child_id, r.agency_id, r.organization_id, r.ticket DESC, r.ordinal) r
		LEFT JOIN LATERAL (SELECT c.* FROM kinderconnect.child c
			-- by = it would need no sorting, and several indexes might do
			WHERE (c.organization_id, c.agency_id) = (r.organization_id, r.agency_id)
				AND c.kinderconnect_child_id BETWEEN r.kinderconnect_child_id AND r.kinderconnect_child_id
			ORDER BY c.kinderconnect_child_id LIMIT 1) c ON true
		CROSS JOIN LATERAL (SELECT CASE
			WHEN c.organization_id IS NOT NULL AND (c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth) IS DISTINCT FROM
				(r.first_name, r.middle_name, r.last_name, r.suffix, r.date_of_birth)
			THEN kinderconnect._is_listed_later(run, r.organization_id, r.agency_id, r.provider_id, r.month, r.kinderconnect_child_id, NULL)
			END AS is_overruled OFFSET 0) o
		CROSS JOIN LATERAL (SELECT
			CASE WHEN o.is_overruled OR 'first_name' = ANY (r.unread) THEN c.first_name ELSE r.first_name END AS first_name,
			CASE WHEN o.is_overruled OR 'middle_name' = ANY (r.unread) THEN c.middle_name ELSE r.middle_name END AS middle_name,
			CASE WHEN o.is_overruled OR 'last_name' = ANY (r.unread) THEN c.last_name ELSE r.last_name END AS last_name,
			CASE WHEN o.is_overruled OR 'suffix' = ANY (r.unread) THEN c.suffix ELSE r.suffix END AS suffix,
			CASE WHEN o.is_overruled OR 'date_of_birth' = ANY (r.unread) THEN c.date_of_birth ELSE r.date_of_birth END AS date_of_birth,
			((r.organization_id, r.agency_id, r.kinderconnect_child_id) IN (SELECT p.organization_id, p.agency_id, p.kinderconnect_child_id FROM private p)) IS NOT TRUE AS subsidized) n
		-- a conflict would lock, and so write, a row that is as it was
		WHERE c.organization_id IS NULL
			OR (c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth, c.subsidized) IS DISTINCT FROM
				(n.first_name, n.middle_name, n.last_name, n.suffix, n.date_of_birth, n.subsidized)
		ON CONFLICT (organization_id, agency_id, kinderconnect_child_id) DO UPDATE
		SET first_name = excluded.first_name, middle_name = excluded.middle_name, last_name = excluded.last_name,
			suffix = excluded.suffix, date_of_birth = excluded.date_of_birth, subsidized = excluded.subsidized, changed_at = now()
		WHERE (c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth, c.subsidized) IS DISTINCT FROM
			(excluded.first_name, excluded.middle_name, excluded.last_name, excluded.suffix, excluded.date_of_birth, excluded.subsidized)
	), listing AS MATERIALIZED (
		SELECT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.month, r.kinderconnect_child_id, coalesce(r.authorization_id, '') AS authorization_id
		FROM reply r WHERE r.kinderconnect_child_id IS NOT NULL
		UNION ALL
		-- it may be any that the child has, or that has its id
		SELECT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.month, r.kinderconnect_child_id, a.authorization_id
		FROM (SELECT r.* FROM reply r WHERE r.kinderconnect_child_id IS NOT NULL AND NOT r.sound AND r.authorization_id IS DISTINCT FROM '') r
		CROSS JOIN LATERAL (SELECT a.authorization_id FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id)
					= (r.organization_id, r.agency_id, r.provider_id, r.kinderconnect_child_id)
				AND (r.authorization_id IS NULL OR left(a.authorization_id, length(r.authorization_id) + 1) = r.authorization_id || '#')
				AND a.known_until = 'infinity' AND a.begin_date < (r.month + interval '1 month')::date AND (a.end_date >= r.month) IS NOT FALSE
			OFFSET 0) a
		UNION ALL
		-- or any of the provider's, where it may be any child's
		SELECT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.month, a.kinderconnect_child_id, a.authorization_id
		FROM (SELECT DISTINCT r.ticket, r.organization_id, r.agency_id, r.provider_id, r.month,
				CASE WHEN 'authorization_id' = ANY (r.unread) THEN NULL ELSE r.authorization_id END AS authorization_id
			FROM reply r
			WHERE r.kinderconnect_child_id IS NULL AND r.authorization_id IS DISTINCT FROM '') r
		CROSS JOIN LATERAL (SELECT a.kinderconnect_child_id, a.authorization_id FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id) = (r.organization_id, r.agency_id, r.provider_id)
				AND (r.authorization_id IS NULL OR a.authorization_id = r.authorization_id
					OR left(a.authorization_id, length(r.authorization_id) + 1) = r.authorization_id || '#')
				AND a.known_until = 'infinity' AND a.begin_date < (r.month + interval '1 month')::date AND (a.end_date >= r.month) IS NOT FALSE
			OFFSET 0) a
	), was_listed AS MATERIALIZED (
		-- apart, for the planner takes it that IN hashes anew for each list
		SELECT o.*, l.kinderconnect_child_id, l.authorization_id
		FROM list o
		CROSS JOIN LATERAL (SELECT l.kinderconnect_child_id, l.authorization_id FROM kinderconnect.listed_authorization l
			WHERE (l.organization_id, l.agency_id, l.provider_id, l.month) = (o.organization_id, o.agency_id, o.provider_id, o.month) OFFSET 0) l
	), unlisted AS (
		DELETE FROM kinderconnect.listed_authorization l
		USING was_listed w
		WHERE (l.organization_id, l.agency_id, l.provider_id, l.month, l.kinderconnect_child_id, l.authorization_id)
				= (w.organization_id, w.agency_id, w.provider_id, w.month, w.kinderconnect_child_id, w.authorization_id)
			AND (w.ticket, w.kinderconnect_child_id, w.authorization_id) NOT IN
				(SELECT n.ticket, n.kinderconnect_child_id, n.authorization_id FROM listing n)
	), newly_listed AS (
		INSERT INTO kinderconnect.listed_authorization (organization_id, agency_id, provider_id, month, kinderconnect_child_id, authorization_id)
		SELECT n.organization_id, n.agency_id, n.provider_id, n.month, n.kinderconnect_child_id, n.authorization_id FROM listing n
		ON CONFLICT DO NOTHING
	)
	UPDATE kinderconnect.authorization a SET known_until = taken_at, closed_as = 'changed'
	FROM changed s
	WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id, a.known_from)
			= (s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.authorization_id, s.known_from)
		AND ((s.ticket, s.ordinal, s.part) IN (SELECT v.ticket, v.ordinal, v.part FROM overruled v)) IS NOT TRUE;

	-- Apart from the update, so that the old row is closed before the new one
	-- is checked against it.
	INSERT INTO kinderconnect.authorization
		(organization_id, agency_id, provider_id, kinderconnect_child_id, authorization_id, begin_date, end_date, units_of_care, days, known_from)
	SELECT DISTINCT ON (o.ticket, r.kinderconnect_child_id, r.authorization_id)
		o.organization_id, o.agency_id, o.provider_id, r.kinderconnect_child_id, r.authorization_id,
		r.begin_date, r.end_date, r.units_of_care, r.days, taken_at
	FROM unnest(outcomes) o
	CROSS JOIN LATERAL (SELECT r.kinderconnect_child_id, coalesce(p.known_as, r.authorization_id) AS authorization_id,
			r.begin_date, r.end_date, r.units_of_care, r.days, r.ordinal, r.part
		FROM kinderconnect._children_reply(o.ticket) r
		LEFT JOIN unnest(tickets, children, ids, begins, names) p(ticket, kinderconnect_child_id, authorization_id, begin_date, known_as)
			ON (p.ticket, p.kinderconnect_child_id, p.authorization_id, p.begin_date) = (o.ticket, r.kinderconnect_child_id, r.authorization_id, r.begin_date)
		WHERE r.sound) r
	LEFT JOIN LATERAL (SELECT true AS known FROM kinderconnect.authorization a
			WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
					= (o.organization_id, o.agency_id, o.provider_id, r.kinderconnect_child_id, r.authorization_id)
				AND a.known_until = 'infinity'
			ORDER BY a.known_from LIMIT 1) a ON true
	WHERE a.known IS NULL
	ORDER BY o.ticket, r.kinderconnect_child_id, r.authorization_id, r.ordinal, r.part;

	-- now, where it is these providers' error, and not when the run commits
	SET CONSTRAINTS kinderconnect.authorization_no_gap IMMEDIATE;
	SET CONSTRAINTS kinderconnect.authorization_no_gap DEFERRED;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_children(bigint, kinderconnect.call_outcome[]) IS
'takes in lists of children, each of one month and at most one of each provider; all of them or, by an error, none';

-- Only a provider whose every month was taken in this run can say that
-- something is no longer there.
CREATE OR REPLACE FUNCTION kinderconnect._close_vanished(run bigint, organization text, from_date date, to_date date) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
AS $$
DECLARE
	closed bigint;
BEGIN
	WITH month AS (
		SELECT m FROM kinderconnect._months(organization, from_date, to_date) m
	), whole AS (
		SELECT l.agency_id, l.provider_id
		FROM kinderconnect.list_state l
		JOIN kinderconnect.run r ON r.run_id = run
		JOIN month ON month.m = l.month
		WHERE l.organization_id = organization AND l.operation = 'children' AND l.taken_at >= r.started_at
		GROUP BY l.agency_id, l.provider_id
		HAVING count(*) = (SELECT count(*) FROM month)
	)
	UPDATE kinderconnect.authorization a SET known_until = clock_timestamp(), closed_as = 'vanished'
	FROM whole w
	WHERE a.organization_id = organization AND a.known_until = 'infinity'
		AND (a.agency_id, a.provider_id) = (w.agency_id, w.provider_id)
		AND EXISTS (SELECT FROM month
			WHERE a.begin_date < (month.m + interval '1 month')::date AND (a.end_date >= month.m) IS NOT FALSE)
		AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN month ON month.m = l.month
			WHERE (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.authorization_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id));
	GET DIAGNOSTICS closed = ROW_COUNT;
	RETURN closed;
END;
$$;
COMMENT ON FUNCTION kinderconnect._close_vanished(bigint, text, date, date) IS
'ends the authorizations that are no longer listed in any month they should touch';

-- Bill and Will are one name: they share William.
CREATE VIEW kinderconnect.same_name AS
SELECT n.name AS one, n.nickname AS other FROM kinderconnect.nickname n
UNION
SELECT n.nickname, n.name FROM kinderconnect.nickname n
UNION
SELECT a.nickname, b.nickname FROM kinderconnect.nickname a
JOIN kinderconnect.nickname b ON b.name = a.name AND b.nickname <> a.nickname;
COMMENT ON VIEW kinderconnect.same_name IS
'pairs of different first names that may be one child''s, each both ways: a name and its nickname, or two nicknames of one name';
COMMENT ON COLUMN kinderconnect.same_name.one IS 'first name, folded';
COMMENT ON COLUMN kinderconnect.same_name.other IS 'first name, folded';

-- A statement about a few children looks each up by itself; one about many joins
-- whole sets, and is kept from nested loops: what the planner reckons of an
-- organization that it has no statistics of is a row.
CREATE FUNCTION kinderconnect._are_few(organization text, number bigint) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT number <= 1000 AND count(*) > number * 20
	FROM (SELECT FROM kinderconnect.known_child k WHERE k.organization_id = organization LIMIT least(number, 1000) * 20 + 1) k;
END;
COMMENT ON FUNCTION kinderconnect._are_few(text, bigint) IS
'whether so many are so few of an organization''s children that each is better looked up by itself';

-- Rows of one child are told apart by this: a row that is as it was has the
-- row it had.
CREATE OR REPLACE FUNCTION kinderconnect._digest(first_name text, middle_name text, last_name text, suffix text, date_of_birth date, active boolean) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN hash_record_extended(ROW(first_name COLLATE "default", middle_name COLLATE "default", last_name COLLATE "default", suffix COLLATE "default",
		date_of_birth, active), 0);
COMMENT ON FUNCTION kinderconnect._digest(text, text, text, text, date, boolean) IS 'of what Manage says about a child, to tell whether it still does';

-- A row that changed is one that is gone and one that has come, and concerns
-- whoever has the keys of either.
--
-- A name of more bytes than the service's may have is none: an index has no
-- room for its key, and without it nobody of the organization would be read.
CREATE OR REPLACE FUNCTION kinderconnect._read_children(organization text, tell boolean DEFAULT true)
	RETURNS TABLE (child_id text, date_of_birth date, last_key text, first_key text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
	SET enable_nestloop = off
AS $$
BEGIN
	-- Planned anew for each organization by EXECUTE: by force_custom_plan the
	-- foreign keys would be too, for each row.
	RETURN QUERY EXECUTE $sql$
	WITH difference AS MATERIALIZED (
		SELECT m.*, k.child_id AS gone_child_id, k.location_id AS gone_location_id, k.digest AS gone_digest
		FROM (SELECT m.child_id COLLATE "C" AS child_id, coalesce(m.location_id, '') COLLATE "C" AS location_id, n.first_name, m.middle_name, n.last_name, m.suffix,
				m.date_of_birth, coalesce(m.active, true) AS active,
				kinderconnect._digest(n.first_name, m.middle_name, n.last_name, m.suffix, m.date_of_birth, coalesce(m.active, true)) AS digest
			FROM kinderconnect.manage_child m
			CROSS JOIN LATERAL (SELECT CASE WHEN octet_length(m.first_name) <= 1024 THEN m.first_name END AS first_name,
				CASE WHEN octet_length(m.last_name) <= 1024 THEN m.last_name END AS last_name) n
			WHERE m.organization_id = $1) m
		FULL JOIN (SELECT k.child_id, k.location_id, k.digest FROM kinderconnect.known_child k WHERE k.organization_id = $1) k
			ON (k.child_id, k.location_id, k.digest) = (m.child_id, m.location_id, m.digest)
		WHERE m.child_id IS NULL OR k.child_id IS NULL
	), gone AS (
		DELETE FROM kinderconnect.known_child k USING difference d
		WHERE (k.organization_id, k.child_id, k.location_id, k.digest) = ($1, d.gone_child_id, d.gone_location_id, d.gone_digest)
		RETURNING k.child_id, k.date_of_birth, k.last_key, k.first_key
	), come AS (
		INSERT INTO kinderconnect.known_child AS k
			(organization_id, child_id, location_id, first_name, middle_name, last_name, suffix, date_of_birth, active, digest)
		SELECT $1, d.child_id, d.location_id, d.first_name, d.middle_name, d.last_name, d.suffix, d.date_of_birth, d.active, d.digest
		FROM difference d WHERE d.child_id IS NOT NULL
		ON CONFLICT DO NOTHING
		RETURNING k.child_id, k.date_of_birth, k.last_key, k.first_key
	)
	SELECT * FROM gone WHERE $2 UNION ALL SELECT * FROM come WHERE $2
	$sql$ USING organization, tell;
END;
$$;
COMMENT ON FUNCTION kinderconnect._read_children(text, boolean) IS
'brings known_child of an organization up to what Manage says; with tell, answers what it removed and what it added';

CREATE FUNCTION kinderconnect._another_night() RETURNS interval
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN interval '6 hours';
COMMENT ON FUNCTION kinderconnect._another_night() IS
'what has been said for so long has been said by another night, and is believed: that a list has shrunk, that a child has gone from Manage';

-- A list that has suddenly shrunk would close authorizations that may well
-- stand: it waits for a person, or for another night that says the same. An
-- empty one does so however short the last one was: most organizations have
-- few customers, agencies and locations, and without them a night would do
-- nothing and call that success.
CREATE OR REPLACE FUNCTION kinderconnect._take_list(run bigint, outcome kinderconnect.call_outcome) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	last       kinderconnect.list_state;
	take       boolean;
	message    text;
BEGIN
	INSERT INTO kinderconnect.list_state (organization_id, operation, customer_id, agency_id, provider_id, month)
	VALUES (outcome.organization_id, outcome.operation, coalesce(outcome.customer_id, ''), coalesce(outcome.agency_id, ''),
		coalesce(outcome.provider_id, ''), coalesce(date_trunc('month', outcome.month)::date, '-infinity'))
	ON CONFLICT DO NOTHING;
	SELECT * INTO STRICT last FROM kinderconnect.list_state l
	WHERE (l.organization_id, l.operation, l.customer_id, l.agency_id, l.provider_id, l.month)
		= (outcome.organization_id, outcome.operation, coalesce(outcome.customer_id, ''), coalesce(outcome.agency_id, ''),
			coalesce(outcome.provider_id, ''), coalesce(date_trunc('month', outcome.month)::date, '-infinity'));

	take := last.entries IS NULL OR last.accept_shrink
		OR last.entries < kinderconnect.setting('shrink_floor')::bigint AND outcome.entries > 0
		OR outcome.entries * 100 >= last.entries * kinderconnect.setting('shrink_percent')::bigint
		OR (last.set_aside_entries = outcome.entries AND last.set_aside_at < now() - kinderconnect._another_night()) IS TRUE;

	UPDATE kinderconnect.list_state l
	SET entries = CASE WHEN take THEN outcome.entries ELSE l.entries END,
		taken_at = CASE WHEN take THEN now() ELSE l.taken_at END,
		accept_shrink = false,
		set_aside_entries = CASE WHEN NOT take THEN outcome.entries END,
		set_aside_at = CASE WHEN take THEN NULL WHEN l.set_aside_entries = outcome.entries THEN l.set_aside_at ELSE now() END
	WHERE (l.organization_id, l.operation, l.customer_id, l.agency_id, l.provider_id, l.month)
		= (last.organization_id, last.operation, last.customer_id, last.agency_id, last.provider_id, last.month);

	IF NOT take THEN
		message := format('list of %s has shrunk from %s to %s entries and is set aside', outcome.operation, last.entries, outcome.entries);
		IF outcome.provider_id IS NULL THEN
			PERFORM kinderconnect._fail_organization(run, outcome.organization_id, false, 'KC301', message,
				'If that is right, call kinderconnect.accept_shrink(); another night that says the same takes it too.');
		ELSE
			PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, false, 'KC301', message,
				'If that is right, call kinderconnect.accept_shrink(); another night that says the same takes it too.');
		END IF;
	END IF;
	RETURN take;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_list(bigint, kinderconnect.call_outcome) IS
'whether a list that has arrived replaces the one in force, by the settings shrink_floor and shrink_percent; notes what it decided';

-- Both are few beside known_child, where each is looked up.
CREATE FUNCTION kinderconnect._note_gone(organization text, children text[], born date[], lasts text[], firsts text[]) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
	SET enable_nestloop = on
	SET enable_hashjoin = off
	SET enable_mergejoin = off
	SET enable_seqscan = off
BEGIN ATOMIC
	DELETE FROM kinderconnect.gone_child g
	WHERE g.organization_id = organization
		AND (g.gone_at <= now() - kinderconnect._another_night()
			OR EXISTS (SELECT FROM kinderconnect.known_child k WHERE (k.organization_id, k.child_id) = (organization, g.child_id)));
	INSERT INTO kinderconnect.gone_child (organization_id, child_id, date_of_birth, last_key, first_key)
	SELECT DISTINCT organization, c.child_id, c.date_of_birth, c.last_key, c.first_key
	FROM unnest(children, born, lasts, firsts) c(child_id, date_of_birth, last_key, first_key)
	WHERE c.date_of_birth IS NOT NULL AND c.last_key <> '' AND c.first_key <> ''
		AND NOT EXISTS (SELECT FROM kinderconnect.known_child k WHERE (k.organization_id, k.child_id) = (organization, c.child_id))
	ON CONFLICT DO NOTHING;
END;
COMMENT ON FUNCTION kinderconnect._note_gone(text, text[], date[], text[], text[]) IS
'brings gone_child of an organization up to known_child; given the rows of it that a match removed or added';

CREATE OR REPLACE FUNCTION kinderconnect._manage_now(organization text)
	RETURNS TABLE (child_id text, location_id text, date_of_birth date, active boolean, first_key text, middle_key text, last_key text, suffix_key text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	in_manage text COLLATE "default" := organization;
BEGIN
	RETURN QUERY
	SELECT m.child_id, m.location_id, m.date_of_birth, m.active,
		CASE WHEN k.child_id IS NOT NULL THEN k.first_key ELSE kinderconnect._first_key(m.first_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.middle_key ELSE kinderconnect._middle_key(m.first_name, m.middle_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.last_key ELSE kinderconnect._last_key(m.last_name) END,
		CASE WHEN k.child_id IS NOT NULL THEN k.suffix_key ELSE kinderconnect._suffix_key(m.first_name, m.last_name, m.suffix) END
	FROM (SELECT m.child_id COLLATE "C" AS child_id, coalesce(m.location_id, '') COLLATE "C" AS location_id, n.first_name, m.middle_name, n.last_name, m.suffix,
			m.date_of_birth, coalesce(m.active, true) AS active,
			kinderconnect._digest(n.first_name, m.middle_name, n.last_name, m.suffix, m.date_of_birth, coalesce(m.active, true)) AS digest
		FROM kinderconnect.manage_child m
		CROSS JOIN LATERAL (SELECT CASE WHEN octet_length(m.first_name) <= 1024 THEN m.first_name END AS first_name,
			CASE WHEN octet_length(m.last_name) <= 1024 THEN m.last_name END AS last_name) n
		WHERE m.organization_id = in_manage) m
	LEFT JOIN kinderconnect.known_child k ON (k.organization_id, k.child_id, k.location_id, k.digest) = (organization, m.child_id, m.location_id, m.digest);
END;
$$;
COMMENT ON FUNCTION kinderconnect._manage_now(text) IS
'Manage''s children as they are now, for looking without writing; names that known_child knows have their keys already';

CREATE VIEW kinderconnect.parted_pair AS
SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id, d.child_id
FROM (SELECT DISTINCT ON (d.organization_id, d.agency_id, d.kinderconnect_child_id, d.child_id) d.*
	FROM kinderconnect.child_decision d
	ORDER BY d.organization_id, d.agency_id, d.kinderconnect_child_id, d.child_id, d.decided_at DESC) d
WHERE d.decision <> 'link';
COMMENT ON VIEW kinderconnect.parted_pair IS 'pairs that a person has said are two children: never linked, never offered';
COMMENT ON COLUMN kinderconnect.parted_pair.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.parted_pair.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.parted_pair.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.parted_pair.child_id IS 'the child in Manage';

CREATE FUNCTION kinderconnect._few_to_score(organization text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	-- the first night has no statistics
	SELECT EXISTS (SELECT FROM kinderconnect.score_state t WHERE t.organization_id = organization) AND kinderconnect._are_few(organization, count(*))
	FROM (SELECT FROM kinderconnect.scored_child s WHERE s.organization_id = organization AND s.scored_at = '-infinity' LIMIT 1001) s;
END;
COMMENT ON FUNCTION kinderconnect._few_to_score(text) IS 'whether so few children are due for scoring that each is better looked up by itself';

CREATE OR REPLACE FUNCTION kinderconnect.reject_match(organization_id text, agency_id text, kinderconnect_child_id text, child_id text, reason text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(reject_match.organization_id);
	IF num_nulls(reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id) > 0 THEN
		RAISE EXCEPTION 'agency_id, kinderconnect_child_id and child_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	-- a match that is linking this child is waited for: see _match()
	PERFORM FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id) FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'agency "%" lists no child "%"', reject_match.agency_id, reject_match.kinderconnect_child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.child.';
	END IF;
	-- the one that was meant would still be taken for him; a candidate may have left Manage since
	IF NOT EXISTS (SELECT FROM kinderconnect.match_candidate n WHERE (n.organization_id, n.agency_id, n.kinderconnect_child_id, n.child_id)
			= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id)) THEN
		IF NOT EXISTS (SELECT FROM kinderconnect.manage_child m
				WHERE (m.organization_id, m.child_id) = (reject_match.organization_id COLLATE "default", reject_match.child_id COLLATE "default")) THEN
			RAISE EXCEPTION 'organization "%" has no child "%" in Manage', reject_match.organization_id, reject_match.child_id
				USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.manage_child.';
		END IF;
	END IF;
	IF EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.kinderconnect_child_id, k.child_id)
				= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id)) THEN
		RAISE EXCEPTION 'child "%" of agency "%" is linked to child "%" of Manage', reject_match.kinderconnect_child_id,
			reject_match.agency_id, reject_match.child_id
			USING ERRCODE = 'object_in_use', HINT = 'End the link: SELECT kinderconnect.unlink_child(organization_id, agency_id, kinderconnect_child_id, reason).';
	END IF;
	INSERT INTO kinderconnect.child_decision (organization_id, agency_id, kinderconnect_child_id, child_id, decision, reason)
	VALUES (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id, 'reject', reject_match.reason);
	DELETE FROM kinderconnect.match_candidate n
	WHERE (n.organization_id, n.agency_id, n.kinderconnect_child_id, n.child_id)
		= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id, reject_match.child_id);
	-- another may take its place
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id) AND c.unlinked_because IS NOT NULL;
	-- What a match has locked it has made due itself, and to wait for it could be
	-- for ever: it may wait for the child.
	UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
	FROM (SELECT t.organization_id, t.agency_id, t.kinderconnect_child_id FROM kinderconnect.scored_child t
		WHERE (t.organization_id, t.agency_id, t.kinderconnect_child_id)
			= (reject_match.organization_id, reject_match.agency_id, reject_match.kinderconnect_child_id)
		FOR NO KEY UPDATE SKIP LOCKED) t
	WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id) = (t.organization_id, t.agency_id, t.kinderconnect_child_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect.reject_match(text, text, text, text, text) IS
'a person''s decision that a KinderConnect child is not this child of Manage: they are never linked by a night, nor offered again. link_child() takes it back';

CREATE OR REPLACE FUNCTION kinderconnect._stored_ids(organization text)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	in_manage text COLLATE "default" := organization;
BEGIN
	IF kinderconnect._is_bound('child_id') THEN
		RETURN QUERY SELECT DISTINCT m.agency_id, m.kinderconnect_child_id, m.child_id
			FROM kinderconnect.manage_child_id m WHERE m.organization_id = in_manage;
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._stored_ids(text) IS 'the ids of the service that Manage already stores, where that is bound';

-- A child that the service has changed, whom something has marked as
-- not_matched_yet, and whose verdict depends on other children of the
-- service, or on the hour: these few are judged every night.
CREATE FUNCTION kinderconnect._is_due(changed_at timestamptz, unlinked_because text, since timestamptz) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN changed_at >= since OR unlinked_because COLLATE "C" IN ('not_matched_yet', 'several_at_service', 'already_linked', 'merged', 'rival_gone');
COMMENT ON FUNCTION kinderconnect._is_due(timestamptz, text, timestamptz) IS
'whether a child that the service lists is judged by a match, the one before having been then; null: it is linked, and has not changed';

-- Read-only, so that preview() sees tonight's links without making them.
--
-- Who may be the same child of Manage as one that is due is looked at along with
-- it, and keeps the verdict, for that rests on Manage alone.
--
-- A stored id is taken when two of first name, last name and birth date agree,
-- and in no other child all three do: the ids of twins may be exchanged. Else
-- the names and the birth date must be equal, folded; middle name and suffix
-- speak only where both sides have one. The site's active children come
-- first (rank 0), then the site's inactive and the organization's active ones
-- together, for a child who moved has both, then the rest. A pair that a
-- person has parted stays parted.
CREATE OR REPLACE FUNCTION kinderconnect._new_links(organization text, read boolean DEFAULT false, since timestamptz DEFAULT '-infinity')
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, method text, unlinked_because text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	-- the ids of wanted, where they are few, and the keys of near: each is
	-- looked up by itself
	few    text[];
	born   date[];
	lasts  text[];
	firsts text[];
BEGIN
	IF since > '-infinity' AND EXISTS (SELECT FROM kinderconnect.match_state s WHERE s.organization_id = organization) THEN
		SELECT array_agg(c.kinderconnect_child_id), array_agg(c.date_of_birth), array_agg(c.last_key), array_agg(c.first_key)
		INTO few, born, lasts, firsts
		FROM (SELECT c.* FROM kinderconnect.child c
			WHERE c.organization_id = organization
				AND kinderconnect._is_due(c.changed_at, c.unlinked_because, since)
			LIMIT 1001) c;
		IF few IS NULL THEN
			RETURN;		-- nobody is due
		ELSIF kinderconnect._are_few(organization, cardinality(few)) THEN
			PERFORM set_config('enable_nestloop', 'on', true);
			-- in this order: of an organization that the planner knows nothing
			-- of it might take all of it for each of these few
			SELECT array_agg(n.date_of_birth), array_agg(n.last_key), array_agg(n.first_key) INTO born, lasts, firsts
			FROM (SELECT DISTINCT n.date_of_birth, n.last_key, n.first_key
				FROM unnest(born, lasts, firsts) c(date_of_birth, last_key, first_key)
				CROSS JOIN LATERAL (SELECT m.child_id FROM kinderconnect.known_child m
					WHERE (m.organization_id, m.date_of_birth, m.last_key, m.first_key) = (organization, c.date_of_birth, c.last_key, c.first_key) OFFSET 0) m
				CROSS JOIN LATERAL (SELECT n.date_of_birth, n.last_key, n.first_key FROM kinderconnect.known_child n
					WHERE (n.organization_id, n.child_id) = (organization, m.child_id) OFFSET 0) n) n;
			few := few || ARRAY(SELECT o.kinderconnect_child_id
				FROM unnest(born, lasts, firsts) n(date_of_birth, last_key, first_key)
				CROSS JOIN LATERAL (SELECT o.kinderconnect_child_id FROM kinderconnect.child o
					WHERE (o.organization_id, o.date_of_birth, o.last_key, o.first_key) = (organization, n.date_of_birth, n.last_key, n.first_key) OFFSET 0) o);
		ELSE
			few := NULL;
		END IF;
	END IF;
	RETURN QUERY
	WITH near AS (
		-- names and birth dates of whom a due one may be, in each of their rows
		SELECT * FROM unnest(born, lasts, firsts) WHERE few IS NOT NULL
		UNION ALL
		SELECT DISTINCT o.date_of_birth, o.last_key, o.first_key
		FROM kinderconnect.child c
		JOIN kinderconnect.known_child m ON (m.organization_id, m.date_of_birth, m.last_key, m.first_key)
			= (organization, c.date_of_birth, c.last_key, c.first_key)
		JOIN kinderconnect.known_child o ON (o.organization_id, o.child_id) = (organization, m.child_id)
		WHERE few IS NULL AND since > '-infinity' AND c.organization_id = organization
			AND kinderconnect._is_due(c.changed_at, c.unlinked_because, since)
	), wanted AS MATERIALIZED (
		SELECT true AS due, c.agency_id, c.kinderconnect_child_id, c.first_key, c.last_key, c.date_of_birth, c.middle_key, c.suffix_key
		FROM kinderconnect.child c
		WHERE c.organization_id = organization
			AND kinderconnect._is_due(c.changed_at, c.unlinked_because, since)
			AND NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
				AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id))
		UNION ALL
		SELECT false, c.agency_id, c.kinderconnect_child_id, c.first_key, c.last_key, c.date_of_birth, c.middle_key, c.suffix_key
		FROM kinderconnect.child c
		WHERE since > '-infinity' AND c.organization_id = organization
			AND NOT kinderconnect._is_due(c.changed_at, c.unlinked_because, since)
			AND (c.date_of_birth, c.last_key, c.first_key) IN (SELECT * FROM near)
	), now AS MATERIALIZED (
		SELECT * FROM kinderconnect._manage_now(organization) WHERE NOT read AND EXISTS (SELECT FROM wanted)
	), manage AS NOT MATERIALIZED (
		SELECT m.child_id, m.location_id, m.date_of_birth, m.active, m.first_key, m.middle_key, m.last_key, m.suffix_key
		FROM kinderconnect.known_child m
		WHERE read AND m.organization_id = organization
		UNION ALL
		SELECT n.child_id, n.location_id, n.date_of_birth, n.active, n.first_key, n.middle_key, n.last_key, n.suffix_key FROM now n
	), taken_back AS MATERIALIZED (
		-- merges: the former id is listed again, and the one that took its place is not
		SELECT k.agency_id, k.kinderconnect_child_id, k.linked_at
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NOT NULL AND k.end_reason LIKE 'merged into %'
			AND (few IS NULL OR k.kinderconnect_child_id = ANY (few))
			AND EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
				WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id))
			AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
				WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (organization, k.agency_id, substr(k.end_reason, length('merged into _'))))
	), ended AS (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, k.end_reason LIKE 'merged into %' AS merged
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NOT NULL AND (few IS NULL OR k.kinderconnect_child_id = ANY (few))
			AND NOT EXISTS (SELECT FROM taken_back b WHERE (b.agency_id, b.kinderconnect_child_id, b.linked_at) = (k.agency_id, k.kinderconnect_child_id, k.linked_at))
		UNION
		SELECT r.agency_id, r.kinderconnect_child_id, r.child_id, false
		FROM kinderconnect.parted_pair r
		WHERE r.organization_id = organization
	), site AS (
		SELECT DISTINCT l.agency_id, l.kinderconnect_child_id, p.location_id
		FROM kinderconnect.listed_authorization l
		JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (l.organization_id, l.agency_id, l.provider_id)
		WHERE l.organization_id = organization AND p.location_id IS NOT NULL AND (few IS NULL OR l.kinderconnect_child_id = ANY (few))
	), stored AS (
		SELECT s.agency_id, s.kinderconnect_child_id, s.child_id,
			bool_or((nullif(w.first_key, '') = m.first_key IS TRUE)::integer + (nullif(w.last_key, '') = m.last_key IS TRUE)::integer
				+ (w.date_of_birth = m.date_of_birth IS TRUE)::integer >= 2) AS agrees
		FROM kinderconnect._stored_ids(organization) s
		JOIN wanted w ON (w.agency_id, w.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		LEFT JOIN manage m ON m.child_id = s.child_id
		WHERE NOT EXISTS (SELECT FROM ended e WHERE (e.agency_id, e.kinderconnect_child_id, e.child_id)
			= (s.agency_id, s.kinderconnect_child_id, s.child_id))
		GROUP BY s.agency_id, s.kinderconnect_child_id, s.child_id
	), fitting AS MATERIALIZED (
		SELECT w.agency_id, w.kinderconnect_child_id, m.child_id,
			bool_and(CASE WHEN w.middle_key IS NOT NULL AND m.middle_key IS NOT NULL THEN kinderconnect._middle_agrees(w.middle_key, m.middle_key) ELSE true END
				AND (w.suffix_key = m.suffix_key) IS NOT FALSE) AS whole,
			bool_or(s.location_id IS NOT NULL) AS at_site,
			min(CASE WHEN s.location_id IS NOT NULL AND m.active THEN 0 WHEN s.location_id IS NOT NULL OR m.active THEN 1 ELSE 2 END) AS rank
		FROM wanted w
		JOIN manage m ON (m.date_of_birth, m.last_key, m.first_key) = (w.date_of_birth, w.last_key, w.first_key)
		LEFT JOIN site s ON (s.agency_id, s.kinderconnect_child_id, s.location_id) = (w.agency_id, w.kinderconnect_child_id, m.location_id)
		WHERE w.first_key <> '' AND w.last_key <> ''
			AND NOT EXISTS (SELECT FROM ended e WHERE (e.agency_id, e.kinderconnect_child_id, e.child_id)
				= (w.agency_id, w.kinderconnect_child_id, m.child_id))
		GROUP BY w.agency_id, w.kinderconnect_child_id, m.child_id
	), by_child AS (
		SELECT f.agency_id, f.kinderconnect_child_id, count(*) AS fits, min(f.child_id) AS child_id,
			bool_and(f.whole) AS whole, bool_or(f.at_site) AS at_site, min(f.rank) FILTER (WHERE f.whole) AS best_rank
		FROM fitting f GROUP BY f.agency_id, f.kinderconnect_child_id
	), by_manage AS (
		SELECT f.agency_id, f.child_id, count(*) AS fits FROM fitting f GROUP BY f.agency_id, f.child_id
	), outcome AS MATERIALIZED (
		-- most children have one fit, and that one no other
		SELECT b.agency_id, b.kinderconnect_child_id, b.child_id, b.whole, b.at_site, b.best_rank, b.fits = 1 AND n.fits = 1 AS alone
		FROM by_child b
		JOIN by_manage n ON (n.agency_id, n.child_id) = (b.agency_id, b.child_id)
	), best AS (
		SELECT f.agency_id, f.kinderconnect_child_id, f.child_id, f.at_site
		FROM fitting f
		JOIN outcome o ON NOT o.alone AND (o.agency_id, o.kinderconnect_child_id, o.best_rank) = (f.agency_id, f.kinderconnect_child_id, f.rank)
		WHERE f.whole
	), counted AS (
		SELECT b.*, count(*) OVER (PARTITION BY b.agency_id, b.kinderconnect_child_id) AS in_manage,
			count(*) OVER (PARTITION BY b.agency_id, b.child_id) AS at_service
		FROM best b
	), fit AS (
		SELECT o.agency_id, o.kinderconnect_child_id, CASE WHEN o.whole THEN o.child_id END AS child_id, o.at_site, 1 AS in_manage, 1 AS at_service
		FROM outcome o WHERE o.alone
		UNION ALL
		(SELECT DISTINCT ON (o.agency_id, o.kinderconnect_child_id) o.agency_id, o.kinderconnect_child_id,
			c.child_id, c.at_site, c.in_manage, c.at_service
		FROM outcome o
		LEFT JOIN counted c ON (c.agency_id, c.kinderconnect_child_id) = (o.agency_id, o.kinderconnect_child_id)
		WHERE NOT o.alone
		ORDER BY o.agency_id, o.kinderconnect_child_id, c.at_service DESC)
	), apart AS (
		-- whose own child is in Manage, but is not theirs to have
		SELECT w.agency_id, w.kinderconnect_child_id, bool_and(e.merged) AS merged
		FROM wanted w
		JOIN ended e ON (e.agency_id, e.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		JOIN manage m ON m.child_id = e.child_id AND (m.date_of_birth, m.last_key, m.first_key) = (w.date_of_birth, w.last_key, w.first_key)
		GROUP BY w.agency_id, w.kinderconnect_child_id
	), verdict AS (
		SELECT w.due, w.agency_id, w.kinderconnect_child_id,
			CASE
				WHEN st.n = 1 AND st.agrees THEN st.child_id
				WHEN st.n IS NULL AND c.in_manage = 1 AND c.at_service = 1 THEN c.child_id
			END AS child_id,
			CASE
				WHEN st.n IS NOT NULL THEN 'stored_id'
				WHEN c.at_site THEN 'exact_location'
				ELSE 'exact_organization'
			END AS method,
			CASE
				WHEN st.n > 1 THEN 'several_stored_ids'
				WHEN NOT st.agrees THEN 'id_disagrees'
				WHEN w.date_of_birth IS NULL THEN 'no_birth_date'
				WHEN coalesce(w.first_key, '') = '' OR coalesce(w.last_key, '') = '' THEN 'no_name'
				WHEN c.kinderconnect_child_id IS NULL AND a.merged THEN 'merged'
				WHEN c.kinderconnect_child_id IS NULL AND NOT a.merged THEN 'parted'
				WHEN c.kinderconnect_child_id IS NULL THEN 'not_in_manage'
				WHEN c.child_id IS NULL THEN 'middle_name_or_suffix'
				WHEN c.in_manage > 1 THEN 'several_in_manage'
				WHEN c.at_service > 1 THEN 'several_at_service'
			END AS because
		FROM wanted w
		LEFT JOIN (SELECT s.agency_id, s.kinderconnect_child_id, count(*) AS n, min(s.child_id) AS child_id, coalesce(bool_and(s.agrees), false) AS agrees
			FROM (SELECT s.agency_id, s.kinderconnect_child_id, s.child_id, s.agrees AND coalesce(bool_or(f.child_id = s.child_id), true) AS agrees
				FROM stored s
				LEFT JOIN fitting f ON (f.agency_id, f.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
				GROUP BY s.agency_id, s.kinderconnect_child_id, s.child_id, s.agrees) s
			GROUP BY s.agency_id, s.kinderconnect_child_id) st
			ON (st.agency_id, st.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		LEFT JOIN fit c ON (c.agency_id, c.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
		LEFT JOIN apart a ON (a.agency_id, a.kinderconnect_child_id) = (w.agency_id, w.kinderconnect_child_id)
	), clash AS (
		-- A stored id and an exact fit, or two stored ids, may still claim one
		-- child of Manage between them.
		SELECT v.agency_id, v.child_id
		FROM verdict v
		JOIN (SELECT DISTINCT s.agency_id, s.child_id FROM verdict s WHERE s.method = 'stored_id') s
			ON (s.agency_id, s.child_id) = (v.agency_id, v.child_id)
		GROUP BY v.agency_id, v.child_id
		HAVING count(*) > 1
	), agreed AS (
		SELECT v.*, k.child_id IS NOT NULL AS taken, d.child_id IS NOT NULL AS clashes
		FROM verdict v
		LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.child_id) = (organization, v.agency_id, v.child_id)
		LEFT JOIN clash d ON (d.agency_id, d.child_id) = (v.agency_id, v.child_id)
	)
	SELECT a.agency_id, a.kinderconnect_child_id,
		CASE WHEN NOT a.clashes AND NOT a.taken THEN a.child_id END,
		CASE WHEN NOT a.clashes AND NOT a.taken AND a.child_id IS NOT NULL THEN a.method END,
		CASE WHEN a.child_id IS NULL THEN a.because
			WHEN a.taken THEN 'already_linked'
			WHEN a.clashes THEN 'several_at_service' END
	FROM agreed a
	WHERE a.due;
END;
$$;
COMMENT ON FUNCTION kinderconnect._new_links(text, boolean, timestamptz) IS
'the KinderConnect children of an organization without a link that are due since then, by default all: the child of Manage each is, or why that cannot be told. Changes nothing. With read, known_child is what Manage says; else Manage itself is asked';

CREATE FUNCTION kinderconnect._differing(c kinderconnect.child, date_of_birth date, first_key text, middle_key text, last_key text, suffix_key text) RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN array_remove(ARRAY[
		CASE WHEN (c.first_key = _differing.first_key) IS NOT TRUE THEN 'first_name' END,
		CASE WHEN NOT kinderconnect._middle_agrees(c.middle_key, _differing.middle_key) THEN 'middle_name' END,
		CASE WHEN (c.last_key = _differing.last_key) IS NOT TRUE THEN 'last_name' END,
		CASE WHEN c.suffix_key <> _differing.suffix_key THEN 'suffix' END,
		CASE WHEN c.date_of_birth <> _differing.date_of_birth THEN 'date_of_birth' END], NULL);
COMMENT ON FUNCTION kinderconnect._differing(kinderconnect.child, date, text, text, text, text) IS
'what speaks against a child''s being one of Manage: names of columns';

-- The agency merged two ids: the one that is linked is no longer listed in any
-- month looked at, another of the same name and birth date is, and would be
-- linked but for that. Who fits is settled by then, so these are few.
CREATE OR REPLACE FUNCTION kinderconnect._merges(organization text, taken_agencies text[], taken_children text[])
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, into_id text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	IF taken_children IS NULL THEN
		RETURN;
	END IF;
	RETURN QUERY
	WITH listed AS (
		SELECT n.agency_id, n.kinderconnect_child_id, n.date_of_birth, n.last_key, n.first_key
		FROM unnest(taken_agencies, taken_children) t (agency_id, kinderconnect_child_id)
		JOIN kinderconnect.child n ON (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (organization, t.agency_id, t.kinderconnect_child_id)
		WHERE EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
				WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (n.organization_id, n.agency_id, n.kinderconnect_child_id))
	)
	SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, min(n.kinderconnect_child_id)
	FROM listed n
	JOIN kinderconnect.child o ON (o.organization_id, o.agency_id, o.date_of_birth, o.last_key, o.first_key)
		= (organization, n.agency_id, n.date_of_birth, n.last_key, n.first_key)
	JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (organization, o.agency_id, o.kinderconnect_child_id)
	WHERE NOT EXISTS (SELECT FROM kinderconnect.parted_pair r WHERE (r.organization_id, r.agency_id, r.kinderconnect_child_id, r.child_id)
			= (organization, n.agency_id, n.kinderconnect_child_id, k.child_id))
		AND NOT EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(organization, NULL, NULL) m ON m = l.month
			WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (organization, o.agency_id, o.kinderconnect_child_id))
	GROUP BY k.agency_id, k.kinderconnect_child_id, k.child_id
	-- of two, nobody knows which
	HAVING count(*) = 1;
END;
$$;
COMMENT ON FUNCTION kinderconnect._merges(text, text[], text[]) IS
'the linked ids that the agency merged into another, of those whose child of Manage is taken; given by agency and id. Changes nothing';

-- preview()'s, for all links there would be. An id that takes the place of
-- another tonight has its child, if that one fits.
CREATE OR REPLACE FUNCTION kinderconnect._links(organization text)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, flag text, unlinked_because text, formerly text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH manage AS MATERIALIZED (
		SELECT * FROM kinderconnect._manage_now(organization)
	), gone AS MATERIALIZED (
		SELECT g.date_of_birth, g.last_key, g.first_key
		FROM (SELECT g.child_id, g.date_of_birth, g.last_key, g.first_key FROM kinderconnect.gone_child g
			WHERE g.organization_id = organization AND g.gone_at > now() - kinderconnect._another_night()
			UNION
			SELECT k.child_id, k.date_of_birth, k.last_key, k.first_key FROM kinderconnect.known_child k
			WHERE k.organization_id = organization) g
		WHERE NOT EXISTS (SELECT FROM manage m WHERE m.child_id = g.child_id)
	), standing AS MATERIALIZED (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, k.method, k.differing, NULL::text AS because
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NULL
		UNION ALL
		SELECT n.agency_id, n.kinderconnect_child_id, CASE WHEN w.agency_id IS NULL THEN n.child_id END, n.method, NULL,
			CASE WHEN w.agency_id IS NULL THEN n.unlinked_because ELSE 'rival_gone' END
		FROM kinderconnect._new_links(organization) n
		LEFT JOIN (SELECT c.agency_id, c.kinderconnect_child_id FROM kinderconnect.child c
			WHERE c.organization_id = organization AND (c.date_of_birth, c.last_key, c.first_key) IN (SELECT * FROM gone)) w
			ON n.method LIKE 'exact%' AND (w.agency_id, w.kinderconnect_child_id) = (n.agency_id, n.kinderconnect_child_id)
	), merge AS MATERIALIZED (
		SELECT m.agency_id, m.kinderconnect_child_id, m.into_id, m.child_id,
			EXISTS (SELECT FROM manage g JOIN kinderconnect.child n ON (n.date_of_birth, n.last_key, n.first_key) = (g.date_of_birth, g.last_key, g.first_key)
				WHERE g.child_id = m.child_id AND (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (organization, m.agency_id, m.into_id)) AS fits
		FROM kinderconnect._merges(organization,
			(SELECT array_agg(s.agency_id ORDER BY s.agency_id, s.kinderconnect_child_id) FROM standing s WHERE s.because = 'already_linked'),
			(SELECT array_agg(s.kinderconnect_child_id ORDER BY s.agency_id, s.kinderconnect_child_id) FROM standing s WHERE s.because = 'already_linked')) m
	), link AS (
		SELECT s.agency_id, s.kinderconnect_child_id,
			CASE WHEN o.agency_id IS NOT NULL THEN NULL WHEN n.fits THEN n.child_id ELSE s.child_id END AS child_id,
			CASE WHEN n.fits THEN 'exact_location' ELSE s.method END AS method, s.differing,
			CASE WHEN o.agency_id IS NOT NULL THEN 'merged' WHEN n.fits THEN NULL ELSE s.because END AS because,
			CASE WHEN n.fits THEN n.kinderconnect_child_id END AS formerly
		FROM standing s
		LEFT JOIN merge o ON (o.agency_id, o.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		LEFT JOIN merge n ON (n.agency_id, n.into_id) = (s.agency_id, s.kinderconnect_child_id)
	)
	SELECT DISTINCT ON (k.agency_id, k.kinderconnect_child_id) k.agency_id, k.kinderconnect_child_id, k.child_id, f.flag, k.because, k.formerly
	FROM link k
	JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id)
	LEFT JOIN manage m ON m.child_id = k.child_id
	LEFT JOIN kinderconnect._contradicted(organization, false) x ON (x.agency_id, x.kinderconnect_child_id) = (k.agency_id, k.kinderconnect_child_id)
	CROSS JOIN LATERAL (SELECT CASE WHEN x.agency_id IS NOT NULL AND m.child_id IS NOT NULL THEN 'link_disagrees'
		WHEN k.child_id IS NOT NULL THEN kinderconnect._flag(k.method, k.differing,
		kinderconnect._differing(c, m.date_of_birth, m.first_key, m.middle_key, m.last_key, m.suffix_key),
		c.date_of_birth = m.date_of_birth IS NOT NULL, m.child_id IS NULL) END AS flag) f
	ORDER BY k.agency_id, k.kinderconnect_child_id, f.flag DESC NULLS FIRST;
END;
$$;
COMMENT ON FUNCTION kinderconnect._links(text) IS
'the links in force and those that _match() would make, each with the flag it deserves now, and the children that stay without one; formerly is an id that the agency merged into this one since the last match. Changes nothing';

CREATE FUNCTION kinderconnect._few_changed(organization text, since timestamptz, changed text[]) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT since > '-infinity'
		-- the first night has no statistics
		AND EXISTS (SELECT FROM kinderconnect.match_state s WHERE s.organization_id = organization)
		AND kinderconnect._are_few(organization, coalesce(cardinality(changed), 0)
			+ (SELECT count(*) FROM (SELECT FROM kinderconnect.child c WHERE c.organization_id = organization AND c.changed_at >= since LIMIT 1001) c)
			+ (SELECT count(*) FROM (SELECT FROM kinderconnect.child_link k
				WHERE k.organization_id = organization AND k.ended_at IS NULL AND k.differing IS NULL LIMIT 1001) k));
END;
COMMENT ON FUNCTION kinderconnect._few_changed(text, timestamptz, text[]) IS
'whether so few children changed, changed naming those of Manage, that each is better looked up by itself';

-- The score: birth date 0.40, last name 0.33, first name 0.27, each times what
-- its finding is worth.
CREATE OR REPLACE FUNCTION kinderconnect._candidates(organization text)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text, location_id text, "position" integer, score numeric, reason text,
		first_name text, last_name text, date_of_birth date)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	IF kinderconnect._few_to_score(organization) THEN
		PERFORM set_config('enable_nestloop', 'on', true);
	END IF;
	RETURN QUERY
	WITH same_name AS MATERIALIZED (
		SELECT n.one, n.other FROM kinderconnect.same_name n
	), pair AS (
		SELECT p.agency_id, p.kinderconnect_child_id, p.child_id, m.location_id, m.digest, m.active,
			left(c.first_key, 60) AS a_first, left(c.last_key, 60) AS a_last, left(m.first_key, 60) AS b_first, left(m.last_key, 60) AS b_last,
			to_char(c.date_of_birth, 'YYYYMMDD') AS a_born, to_char(m.date_of_birth, 'YYYYMMDD') AS b_born,
			-- Van Dyke, and Vandyke: in a key the words are sorted
			c.last_key <> m.last_key AND strpos(c.last_key || m.last_key, ' ') > 0
				AND replace(kinderconnect._words(c.last_name), ' ', '') = replace(kinderconnect._words(m.last_name), ' ', '') AS last_spaced,
			-- Mary Ann, and Maryann
			c.first_key <> m.first_key AND (c.middle_key IS NOT NULL OR m.middle_key IS NOT NULL)
				AND replace(concat(c.first_key, c.middle_key), ' ', '') = replace(concat(m.first_key, m.middle_key), ' ', '') AS first_spaced,
			n.one IS NOT NULL AS nickname,
			kinderconnect._middle_agrees(c.middle_key, m.middle_key) AS middle_agrees,
			c.suffix_key = m.suffix_key AS suffix_agrees
		FROM kinderconnect._pairs(organization, NULL) p
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, p.agency_id, p.kinderconnect_child_id)
		JOIN kinderconnect.known_child m ON (m.organization_id, m.child_id) = (organization, p.child_id)
		LEFT JOIN same_name n ON (n.one, n.other) = (c.first_key, m.first_key)
		-- or each use of a column would compute it anew
		OFFSET 0
	), compared AS (
		SELECT p.*, kinderconnect._compare_dates(p.a_born, p.b_born) AS birth,
			CASE WHEN p.last_spaced THEN 'spaced' ELSE kinderconnect._compare_names(p.a_last, p.b_last) END AS last,
			CASE WHEN p.nickname THEN 'nickname' WHEN p.first_spaced THEN 'spaced' ELSE kinderconnect._compare_names(p.a_first, p.b_first) END AS first
		FROM pair p
		OFFSET 0
	), crossed AS (
		-- where the names do not fit, they may stand one in the other's field
		SELECT d.*, kinderconnect._worth(d.birth) * 0.40 AS birth_points,
			kinderconnect._worth(d.last) * 0.33 + kinderconnect._worth(d.first) * 0.27 AS name_points,
			CASE WHEN kinderconnect._worth(d.last) + kinderconnect._worth(d.first) < 1 THEN kinderconnect._compare_names(d.a_first, d.b_last) END AS first_as_last,
			CASE WHEN kinderconnect._worth(d.last) + kinderconnect._worth(d.first) < 1 THEN kinderconnect._compare_names(d.a_last, d.b_first) END AS last_as_first
		FROM compared d
		OFFSET 0
	), scored AS MATERIALIZED (
		SELECT DISTINCT ON (x.agency_id, x.kinderconnect_child_id, x.child_id)
			x.agency_id, x.kinderconnect_child_id, x.child_id, x.location_id, x.digest, x.birth, x.last, x.first, x.middle_agrees, x.suffix_agrees, x.active,
			CASE WHEN s.swapped > x.name_points THEN CASE WHEN s.both THEN 'both' ELSE 'one' END END AS swapped,
			x.birth_points + greatest(x.name_points, s.swapped)
				-- no fields of their own, but they may speak against
				- CASE WHEN NOT x.suffix_agrees THEN 0.05 ELSE 0 END - CASE WHEN NOT x.middle_agrees THEN 0.03 ELSE 0 END AS score,
			-- for telling twins
			CASE WHEN x.birth = 'equal' AND x.last = 'equal' THEN kinderconnect._worth(x.first) END AS fit, x.a_born, x.a_last
		FROM crossed x
		CROSS JOIN LATERAL (SELECT
			0.85 * (kinderconnect._worth(x.first_as_last) * 0.33 + kinderconnect._worth(x.last_as_first) * 0.27) AS swapped,
			least(kinderconnect._worth(x.first_as_last), kinderconnect._worth(x.last_as_first)) >= 0.5 AS both) s
		WHERE x.birth_points + greatest(x.name_points, s.swapped) >= 0.30
		ORDER BY x.agency_id, x.kinderconnect_child_id, x.child_id, score DESC, x.active DESC, x.location_id, x.digest
	), best AS (
		-- Twins: born one day, of one last name. How well first names fit tells
		-- who is who, so that each has one.
		SELECT f.*,
			max(f.fit) OVER (PARTITION BY f.agency_id, f.kinderconnect_child_id) AS best,
			max(f.fit) OVER (PARTITION BY f.agency_id, f.child_id, f.a_born, f.a_last) AS best_in_manage
		FROM scored f WHERE f.fit IS NOT NULL
	), counted AS (
		SELECT b.*,
			count(*) FILTER (WHERE b.fit = b.best) OVER (PARTITION BY b.agency_id, b.kinderconnect_child_id) AS bests,
			count(*) FILTER (WHERE b.fit = b.best_in_manage) OVER (PARTITION BY b.agency_id, b.child_id, b.a_born, b.a_last) AS bests_in_manage
		FROM best b
	), mutual AS (
		-- each the other's best, and one of them has no other
		SELECT c.*, m.own,
			bool_or(m.own) OVER (PARTITION BY c.agency_id, c.kinderconnect_child_id) AS has_own,
			bool_or(m.own) OVER (PARTITION BY c.agency_id, c.child_id, c.a_born, c.a_last) AS has_own_in_manage
		FROM counted c
		CROSS JOIN LATERAL (SELECT c.fit = c.best AND c.fit = c.best_in_manage AND (c.bests = 1 OR c.bests_in_manage = 1) AS own) m
	), free AS (
		-- as good a fit of either, who has nobody of his own
		SELECT m.*,
			bool_or(m.fit = m.best AND NOT m.has_own_in_manage) OVER (PARTITION BY m.agency_id, m.kinderconnect_child_id) AS has_free,
			bool_or(m.fit = m.best_in_manage AND NOT m.has_own) OVER (PARTITION BY m.agency_id, m.child_id, m.a_born, m.a_last) AS has_free_in_manage
		FROM mutual m
	), twins AS (
		SELECT f.*, NOT f.own AND f.first NOT IN ('equal', 'nickname', 'spaced')
				-- each fits another better
				AND (f.best > f.fit AND f.best_in_manage > f.fit
					-- one has his own, and so has the other, or may well have
					OR f.has_own AND (f.has_own_in_manage OR f.has_free_in_manage)
					OR f.has_own_in_manage AND f.has_free
					-- or whose other name it is, is not listed
					OR f.first IN ('different', 'initial') AND f.best >= 0.70) AS twin
		FROM free f
	), told_apart AS (
		SELECT s.agency_id, s.kinderconnect_child_id, s.child_id, s.location_id, s.digest, s.birth, s.last, s.first, s.middle_agrees, s.suffix_agrees, s.active,
			s.swapped, s.score, false AS twin, false AS tied
		FROM scored s WHERE s.fit IS NULL
		UNION ALL
		SELECT t.agency_id, t.kinderconnect_child_id, t.child_id, t.location_id, t.digest, t.birth, t.last, t.first, t.middle_agrees, t.suffix_agrees, t.active,
			t.swapped, t.score, t.twin, t.first <> 'equal' AND t.fit = t.best AND t.fit = t.best_in_manage
				AND (count(*) FILTER (WHERE NOT t.twin AND t.fit = t.best) OVER (PARTITION BY t.agency_id, t.kinderconnect_child_id) > 1
					OR count(*) FILTER (WHERE NOT t.twin AND t.fit = t.best_in_manage) OVER (PARTITION BY t.agency_id, t.child_id, t.a_born, t.a_last) > 1)
		FROM twins t
	), placed AS (
		SELECT t.*, k.kinderconnect_child_id AS formerly, row_number() OVER (PARTITION BY t.agency_id, t.kinderconnect_child_id ORDER BY t.score DESC, t.active DESC, k.child_id IS NOT NULL, t.tied, t.child_id) AS place
		FROM told_apart t
		LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.child_id) = (organization, t.agency_id, t.child_id)
		-- an id that is no longer listed may be this one by now
		WHERE NOT t.twin AND k.unlisted IS NOT FALSE
			AND NOT EXISTS (SELECT FROM kinderconnect.parted_pair r WHERE (r.organization_id, r.agency_id, r.kinderconnect_child_id, r.child_id)
				= (organization, t.agency_id, t.kinderconnect_child_id, t.child_id))
	)
	SELECT f.agency_id, f.kinderconnect_child_id, f.child_id, f.location_id, f.place::integer, round(greatest(f.score, 0)::numeric, 3),
		concat_ws(', ', kinderconnect._in_words('birth date', f.birth, to_char(c.date_of_birth, 'YYYY-MM-DD'), to_char(m.date_of_birth, 'YYYY-MM-DD')),
			CASE WHEN f.swapped IS NOT NULL THEN format('%s: %s %s / %s %s',
				CASE f.swapped WHEN 'both' THEN 'first and last name swapped' ELSE 'one name in the other''s field' END,
				c.first_name, c.last_name, m.first_name, m.last_name)
			ELSE concat_ws(', ',
				CASE WHEN f.last = 'equal' AND split_part(kinderconnect._words(c.last_name), ' ', 1) <> split_part(kinderconnect._words(m.last_name), ' ', 1)
						THEN 'surnames swapped'
					ELSE kinderconnect._in_words('last name', f.last, c.last_name, m.last_name) END,
				kinderconnect._in_words('first name', f.first, c.first_name, m.first_name)) END,
			CASE WHEN NOT f.middle_agrees THEN 'middle name different' END,
			CASE WHEN NOT f.suffix_agrees THEN 'suffix different' END,
			CASE WHEN f.tied THEN 'may be a twin''s' END,
			CASE WHEN f.formerly IS NOT NULL THEN format('linked to child %s, which is no longer listed', f.formerly) END,
			CASE WHEN NOT f.active THEN 'inactive in Manage' END),
		m.first_name, m.last_name, m.date_of_birth
	FROM placed f
	JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, f.agency_id, f.kinderconnect_child_id)
	JOIN kinderconnect.known_child m ON (m.organization_id, m.child_id, m.location_id, m.digest) = (organization, f.child_id, f.location_id, f.digest)
	WHERE f.place <= 5;
END;
$$;
COMMENT ON FUNCTION kinderconnect._candidates(text) IS 'the candidates of the children that are due for scoring; changes nothing';

CREATE OR REPLACE FUNCTION kinderconnect._score(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	last     kinderconnect.score_state;
	present  kinderconnect.score_state;
	months   date[] := ARRAY(SELECT kinderconnect._months(organization, NULL, NULL));
	agencies text[];
	children text[];
BEGIN
	-- Links whose id is no longer listed, or is again: the child of Manage may be
	-- somebody else's, or may not any more. Where all are linked, nobody asks.
	IF EXISTS (SELECT FROM kinderconnect.child c WHERE c.organization_id = organization AND c.unlinked_because IS NOT NULL) THEN
		SELECT array_agg(k.agency_id), array_agg(k.kinderconnect_child_id) INTO agencies, children
		FROM (SELECT DISTINCT k.agency_id, k.kinderconnect_child_id
			FROM kinderconnect.child_link k
			LEFT JOIN kinderconnect.listed_authorization l ON (l.organization_id, l.agency_id, l.kinderconnect_child_id)
				= (organization, k.agency_id, k.kinderconnect_child_id) AND l.month = ANY (months)
			WHERE k.organization_id = organization AND k.ended_at IS NULL AND k.unlisted = (l.agency_id IS NOT NULL)) k;
		WITH turned AS (
			UPDATE kinderconnect.child_link k SET unlisted = NOT k.unlisted
			FROM unnest(agencies, children) t(agency_id, kinderconnect_child_id)
			WHERE k.organization_id = organization AND k.ended_at IS NULL AND (k.agency_id, k.kinderconnect_child_id) = (t.agency_id, t.kinderconnect_child_id)
			RETURNING k.child_id
		)
		UPDATE kinderconnect.known_child m SET changed_at = 'infinity'
		FROM turned t
		WHERE (m.organization_id, m.child_id) = (organization, t.child_id);
	END IF;

	SELECT * INTO last FROM kinderconnect.score_state s WHERE s.organization_id = organization;
	SELECT organization, now(), e.extversion,
		(SELECT coalesce(sum(hashtextextended(ROW(n.name, n.nickname)::text, 0)), 0) FROM kinderconnect.nickname n)
	INTO STRICT present
	FROM pg_extension e WHERE e.extname = 'kinderconnect';

	IF (last.version, last.names) IS DISTINCT FROM (present.version, present.names) THEN
		DELETE FROM kinderconnect.scored_child s WHERE s.organization_id = organization;
		DELETE FROM kinderconnect.match_candidate n WHERE n.organization_id = organization;
	ELSIF EXISTS (SELECT FROM kinderconnect.known_child k WHERE k.organization_id = organization AND k.changed_at >= last.scored_at) THEN
		UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
		FROM (SELECT DISTINCT p.agency_id, p.kinderconnect_child_id FROM kinderconnect._pairs(organization, last.scored_at) p) p
		WHERE s.organization_id = organization AND s.scored_at <> '-infinity'
			AND (s.agency_id, s.kinderconnect_child_id) = (p.agency_id, p.kinderconnect_child_id);
		UPDATE kinderconnect.known_child k SET changed_at = now() WHERE k.organization_id = organization AND k.changed_at = 'infinity';
	END IF;

	-- whose child of Manage is another's by now
	UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
	FROM kinderconnect.match_candidate n
	JOIN kinderconnect.child_link k ON k.ended_at IS NULL AND NOT k.unlisted
		AND (k.organization_id, k.agency_id, k.child_id) = (n.organization_id, n.agency_id, n.child_id)
	WHERE s.organization_id = organization AND s.scored_at <> '-infinity'
		AND (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (s.organization_id, s.agency_id, s.kinderconnect_child_id);
	-- new ones
	INSERT INTO kinderconnect.scored_child (organization_id, agency_id, kinderconnect_child_id, scored_at)
	SELECT organization, c.agency_id, c.kinderconnect_child_id, '-infinity'
	FROM kinderconnect.child c
	WHERE c.organization_id = organization AND c.unlinked_because IS NOT NULL
	ON CONFLICT (organization_id, agency_id, kinderconnect_child_id) DO NOTHING;
	-- the families that those had who are due or linked by now, and those that they have
	UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
	FROM (SELECT d.date_of_birth, d.last_key FROM kinderconnect.scored_child d
			JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
			WHERE d.organization_id = organization AND (d.scored_at = '-infinity' OR c.unlinked_because IS NULL)
		UNION
		SELECT c.date_of_birth, c.last_key FROM kinderconnect.scored_child d
			JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
			WHERE d.organization_id = organization AND d.scored_at = '-infinity') f
	WHERE s.organization_id = organization AND s.scored_at <> '-infinity' AND (s.date_of_birth, s.last_key) = (f.date_of_birth, f.last_key);
	-- a link settles it
	WITH settled AS (
		DELETE FROM kinderconnect.scored_child s USING kinderconnect.child c
		WHERE s.organization_id = organization AND c.unlinked_because IS NULL
			AND (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (s.organization_id, s.agency_id, s.kinderconnect_child_id)
		RETURNING s.agency_id, s.kinderconnect_child_id
	)
	DELETE FROM kinderconnect.match_candidate n USING settled s
	WHERE n.organization_id = organization AND (n.agency_id, n.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id);

	IF EXISTS (SELECT FROM kinderconnect.scored_child s WHERE s.organization_id = organization AND s.scored_at = '-infinity') THEN
		DELETE FROM kinderconnect.match_candidate n USING kinderconnect.scored_child s
		WHERE n.organization_id = organization AND s.scored_at = '-infinity'
			AND (s.organization_id, s.agency_id, s.kinderconnect_child_id) = (n.organization_id, n.agency_id, n.kinderconnect_child_id);
		INSERT INTO kinderconnect.match_candidate
			(organization_id, agency_id, kinderconnect_child_id, child_id, position, score, reason, first_name, last_name, date_of_birth, location_id)
		SELECT organization, n.agency_id, n.kinderconnect_child_id, n.child_id, n.position, n.score, n.reason,
			n.first_name, n.last_name, n.date_of_birth, nullif(n.location_id, '')
		FROM kinderconnect._candidates(organization) n;
		UPDATE kinderconnect.scored_child s SET scored_at = now(), date_of_birth = c.date_of_birth, last_key = c.last_key
		FROM kinderconnect.child c
		WHERE s.organization_id = organization AND s.scored_at = '-infinity'
			AND (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (s.organization_id, s.agency_id, s.kinderconnect_child_id);
	END IF;

	INSERT INTO kinderconnect.score_state AS s (organization_id, scored_at, version, names)
	VALUES (organization, present.scored_at, present.version, present.names)
	ON CONFLICT (organization_id) DO UPDATE
	SET scored_at = excluded.scored_at, version = excluded.version, names = excluded.names;
END;
$$;
COMMENT ON FUNCTION kinderconnect._score(text) IS
'finds the candidates of an organization''s unlinked children, where anything changed since it last did; after _match()';

-- What speaks against a link that a match made: Manage stores the id of another
-- child, who agrees in two of first name, last name and birth date, and no
-- worse than the linked one; or it was made by a stored id although a name
-- differed, and in another child all three agree.
CREATE FUNCTION kinderconnect._contradicted(organization text, read boolean DEFAULT true)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH stored AS MATERIALIZED (
		SELECT * FROM kinderconnect._stored_ids(organization)
	), now AS MATERIALIZED (
		SELECT * FROM kinderconnect._manage_now(organization) WHERE NOT read
	), manage AS NOT MATERIALIZED (
		SELECT m.child_id, m.date_of_birth, m.first_key, m.last_key FROM kinderconnect.known_child m
		WHERE read AND m.organization_id = organization
		UNION ALL
		SELECT n.child_id, n.date_of_birth, n.first_key, n.last_key FROM now n
	), rival AS MATERIALIZED (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, s.child_id AS other, true AS stored
		FROM kinderconnect.child_link k
		JOIN stored s ON (s.agency_id, s.kinderconnect_child_id) = (k.agency_id, k.kinderconnect_child_id) AND s.child_id <> k.child_id
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND k.method <> 'person'
			AND NOT EXISTS (SELECT FROM stored o WHERE (o.agency_id, o.kinderconnect_child_id, o.child_id) = (k.agency_id, k.kinderconnect_child_id, k.child_id))
		UNION
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, m.child_id, false
		FROM kinderconnect.child_link k
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id)
		JOIN manage m ON (m.date_of_birth, m.last_key, m.first_key) = (c.date_of_birth, c.last_key, c.first_key) AND m.child_id <> k.child_id
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND k.method = 'stored_id' AND k.differing && '{first_name,last_name}'
			AND c.first_key <> '' AND c.last_key <> ''
	), agreeing AS (
		SELECT r.agency_id, r.kinderconnect_child_id, r.stored, coalesce(max(a.n) FILTER (WHERE m.child_id = r.child_id), 0) AS linked,
			coalesce(max(a.n) FILTER (WHERE m.child_id = r.other), 0) AS other
		FROM rival r
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, r.agency_id, r.kinderconnect_child_id)
		CROSS JOIN LATERAL (VALUES (r.child_id), (r.other)) e(child_id)
		JOIN manage m ON m.child_id = e.child_id
		CROSS JOIN LATERAL (SELECT (nullif(c.first_key, '') = m.first_key IS TRUE)::integer + (nullif(c.last_key, '') = m.last_key IS TRUE)::integer
			+ (c.date_of_birth = m.date_of_birth IS TRUE)::integer AS n) a
		-- a person, or a match, has looked at it
		WHERE NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NOT NULL
				AND (k.organization_id, k.agency_id, k.kinderconnect_child_id, k.child_id) = (organization, r.agency_id, r.kinderconnect_child_id, r.other))
			AND NOT EXISTS (SELECT FROM kinderconnect.parted_pair p
				WHERE (p.organization_id, p.agency_id, p.kinderconnect_child_id, p.child_id) = (organization, r.agency_id, r.kinderconnect_child_id, r.other))
		GROUP BY r.agency_id, r.kinderconnect_child_id, r.child_id, r.other, r.stored
	)
	SELECT DISTINCT a.agency_id, a.kinderconnect_child_id
	FROM agreeing a
	WHERE CASE WHEN a.stored THEN a.other >= greatest(a.linked, 2) ELSE a.linked < 3 END;
END;
$$;
COMMENT ON FUNCTION kinderconnect._contradicted(text, boolean) IS
'the links made by a match of which a stored id, or the names and birth date of another child of Manage, clearly say otherwise. With read, known_child is what Manage says; else Manage itself is asked';

-- changed: the children of Manage that are not as they were.
CREATE OR REPLACE FUNCTION kinderconnect._flag_links(organization text, since timestamptz, changed text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	-- whom it concerns, and who they are in Manage, where they are few. The
	-- joins stay of whole sets: a nested loop over an organization that the
	-- planner knows nothing of takes all of it for each of its links.
	few    text[];
	theirs text[];
	-- agencies and ids of the links that what Manage says of others contradicts
	agencies text[];
	contrary text[];
BEGIN
	IF NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.organization_id = organization AND k.ended_at IS NULL
			AND (since < 'infinity' OR k.differing IS NULL)) THEN
		RETURN;
	END IF;
	-- none of those that this match made
	IF since < 'infinity' THEN
		SELECT array_agg(x.agency_id), array_agg(x.kinderconnect_child_id) INTO agencies, contrary
		FROM kinderconnect._contradicted(organization) x;
	END IF;
	IF kinderconnect._few_changed(organization, since, changed) THEN
		SELECT array_agg(k.kinderconnect_child_id), array_agg(k.child_id) INTO few, theirs
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NULL
			AND (k.differing IS NULL OR k.child_id = ANY (changed) OR k.flag = 'link_disagrees' AND since < 'infinity'
				OR (k.agency_id, k.kinderconnect_child_id) IN (SELECT * FROM unnest(agencies, contrary))
				OR (k.agency_id, k.kinderconnect_child_id) IN
					(SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child n WHERE n.organization_id = organization AND n.changed_at >= since));
		IF few IS NULL THEN
			RETURN;
		END IF;
	END IF;
	UPDATE kinderconnect.child_link k SET flag = s.flag, differing = coalesce(k.differing, s.differing)
	FROM (
		SELECT DISTINCT ON (k.agency_id, k.kinderconnect_child_id) k.agency_id, k.kinderconnect_child_id, d.differing, f.flag
		FROM kinderconnect.child_link k
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (k.organization_id, k.agency_id, k.kinderconnect_child_id)
			AND (few IS NULL OR c.kinderconnect_child_id = ANY (few))
		LEFT JOIN kinderconnect.known_child m ON (m.organization_id, m.child_id) = (organization, k.child_id) AND (few IS NULL OR m.child_id = ANY (theirs))
		LEFT JOIN unnest(agencies, contrary) x(agency_id, kinderconnect_child_id) ON (x.agency_id, x.kinderconnect_child_id) = (k.agency_id, k.kinderconnect_child_id)
		CROSS JOIN LATERAL (SELECT kinderconnect._differing(c, m.date_of_birth, m.first_key, m.middle_key, m.last_key, m.suffix_key) AS differing) d
		CROSS JOIN LATERAL (SELECT CASE WHEN x.agency_id IS NOT NULL AND m.child_id IS NOT NULL THEN 'link_disagrees' ELSE
			kinderconnect._flag(k.method, k.differing, d.differing, c.date_of_birth = m.date_of_birth IS NOT NULL, m.child_id IS NULL) END AS flag) f
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND (few IS NULL OR k.kinderconnect_child_id = ANY (few))
			AND (k.agency_id, k.kinderconnect_child_id) IN (
				SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child n WHERE n.organization_id = organization AND n.changed_at >= since
				UNION ALL
				SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child_link n
				WHERE n.organization_id = organization AND n.ended_at IS NULL AND n.differing IS NULL
				UNION ALL
				SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.child_link n
				WHERE n.organization_id = organization AND n.ended_at IS NULL
					AND (n.child_id = ANY (changed) OR n.flag = 'link_disagrees' AND since < 'infinity')
				UNION ALL
				SELECT * FROM unnest(agencies, contrary))
		ORDER BY k.agency_id, k.kinderconnect_child_id, f.flag DESC NULLS FIRST, cardinality(d.differing), d.differing) s
	WHERE k.organization_id = organization AND k.ended_at IS NULL AND (few IS NULL OR k.kinderconnect_child_id = ANY (few))
		AND (k.agency_id, k.kinderconnect_child_id) = (s.agency_id, s.kinderconnect_child_id)
		AND (k.flag IS DISTINCT FROM s.flag OR k.differing IS NULL);
END;
$$;
COMMENT ON FUNCTION kinderconnect._flag_links(text, timestamptz, text[]) IS
'flags the links of an organization whose two sides no longer agree, and clears those that agree again: where one of them is new or has changed';

CREATE OR REPLACE FUNCTION kinderconnect._end_merged(organization text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM kinderconnect.child n WHERE n.organization_id = organization AND n.unlinked_because = 'already_linked') THEN
		RETURN false;
	END IF;
	WITH merged AS (
		SELECT m.agency_id, m.kinderconnect_child_id, m.into_id
		FROM (SELECT array_agg(n.agency_id) AS agencies, array_agg(n.kinderconnect_child_id) AS children
			FROM kinderconnect.child n WHERE n.organization_id = organization AND n.unlinked_because = 'already_linked') n
		CROSS JOIN LATERAL kinderconnect._merges(organization, n.agencies, n.children) m
	), heir AS MATERIALIZED (
		-- the child whose link it becomes before the other, as link_child() does
		SELECT m.* FROM merged m
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, m.agency_id, m.into_id)
		FOR NO KEY UPDATE OF c
	), ended AS (
		UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = 'merged into ' || m.into_id
		FROM heir m
		WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (organization, m.agency_id, m.kinderconnect_child_id)
		RETURNING k.agency_id, k.kinderconnect_child_id, k.child_id
	), free AS (
		UPDATE kinderconnect.known_child m SET changed_at = 'infinity'
		FROM ended e
		WHERE (m.organization_id, m.child_id) = (organization, e.child_id)
	)
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	FROM ended e
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, e.agency_id, e.kinderconnect_child_id);
	RETURN FOUND;
END;
$$;
COMMENT ON FUNCTION kinderconnect._end_merged(text) IS 'ends the links of ids that the agency merged into another; answers whether there were any';

CREATE OR REPLACE FUNCTION kinderconnect._match(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	last      kinderconnect.match_state;
	present   kinderconnect.match_state;
	since     timestamptz := '-infinity';
	changed   text[];
	born      date[];
	lasts     text[];
	firsts    text[];
	overtaken boolean;
BEGIN
	SELECT * INTO last FROM kinderconnect.match_state s WHERE s.organization_id = organization;
	-- of the text: the digests of two records that exchange a value have one sum
	SELECT organization, now(), e.extversion,
		(SELECT coalesce(sum(hashtextextended(ROW(p.agency_id, p.provider_id, p.location_id)::text, 0)), 0)
			FROM kinderconnect.provider p WHERE p.organization_id = organization),
		(SELECT coalesce(sum(hashtextextended(ROW(i.agency_id, i.kinderconnect_child_id, i.child_id)::text, 0)), 0)
			FROM kinderconnect._stored_ids(organization) i)
	INTO STRICT present
	FROM pg_extension e WHERE e.extname = 'kinderconnect';
	IF last.version = present.version THEN
		since := last.matched_at;
	ELSIF last.version IS NOT NULL THEN
		-- by its rules the keys may be others
		DELETE FROM kinderconnect.known_child k WHERE k.organization_id = organization;
		UPDATE kinderconnect.child c SET first_name = c.first_name WHERE c.organization_id = organization;
		DELETE FROM kinderconnect.scored_child s WHERE s.organization_id = organization;
	END IF;

	SELECT array_agg(r.child_id), array_agg(r.date_of_birth), array_agg(r.last_key), array_agg(r.first_key)
	INTO changed, born, lasts, firsts
	FROM kinderconnect._read_children(organization, since > '-infinity') r;
	IF since > '-infinity' THEN
		IF kinderconnect._few_changed(organization, since, changed) THEN
			PERFORM set_config('enable_nestloop', 'on', true);
		END IF;
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		WHERE c.organization_id = organization AND c.unlinked_because <> 'not_matched_yet'
			AND (present.sites, present.stored_ids) IS DISTINCT FROM (last.sites, last.stored_ids);
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		WHERE c.organization_id = organization AND c.unlinked_because <> 'not_matched_yet'
			AND (c.date_of_birth, c.last_key, c.first_key) IN (SELECT * FROM unnest(born, lasts, firsts));
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		WHERE c.organization_id = organization AND c.unlinked_because <> 'not_matched_yet'
			AND (c.agency_id, c.kinderconnect_child_id) IN (SELECT i.agency_id, i.kinderconnect_child_id
				FROM kinderconnect._stored_ids(organization) i WHERE i.child_id = ANY (changed));
		PERFORM kinderconnect._unscore(organization, since, changed, born, lasts);
	END IF;

	PERFORM kinderconnect._note_gone(organization, changed, born, lasts, firsts);
	PERFORM kinderconnect._flag_links(organization, since, changed);
	-- of the foreign keys, which would be planned anew for each row
	PERFORM set_config('plan_cache_mode', 'auto', true);
	LOOP
		WITH waits AS MATERIALIZED (
			SELECT c.agency_id, c.kinderconnect_child_id
			FROM kinderconnect.child c
			WHERE c.organization_id = organization AND EXISTS (SELECT FROM kinderconnect.gone_child g WHERE g.organization_id = organization)
				AND (c.date_of_birth, c.last_key, c.first_key) IN
					(SELECT g.date_of_birth, g.last_key, g.first_key FROM kinderconnect.gone_child g WHERE g.organization_id = organization)
		), found AS MATERIALIZED (
			SELECT n.agency_id, n.kinderconnect_child_id, n.method, CASE WHEN w.agency_id IS NULL THEN n.child_id END AS child_id,
				CASE WHEN w.agency_id IS NULL THEN n.unlinked_because ELSE 'rival_gone' END AS unlinked_because
			FROM kinderconnect._new_links(organization, true, since) n
			LEFT JOIN waits w ON n.method LIKE 'exact%' AND (w.agency_id, w.kinderconnect_child_id) = (n.agency_id, n.kinderconnect_child_id)
		), told AS (
			UPDATE kinderconnect.child c SET unlinked_because = f.unlinked_because
			FROM found f
			WHERE c.organization_id = organization
				AND (c.agency_id, c.kinderconnect_child_id) = (f.agency_id, f.kinderconnect_child_id)
				AND c.unlinked_because IS DISTINCT FROM f.unlinked_because
			RETURNING 1
		), linked AS (
			-- children before links, as link_child() does: neither waits for the
			-- other for ever. What it linked since this statement began, stands.
			INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, differing)
			SELECT organization, f.agency_id, f.kinderconnect_child_id, f.child_id, f.method, CASE WHEN f.method LIKE 'exact%' THEN '{}'::text[] END
			FROM (SELECT count(*) FROM told) t CROSS JOIN found f WHERE f.child_id IS NOT NULL
			ON CONFLICT DO NOTHING
			RETURNING 1
		)
		SELECT (SELECT count(*) FROM linked) < count(f.child_id) INTO overtaken FROM found f;
		UPDATE kinderconnect.child c SET unlinked_because = NULL
		FROM kinderconnect.child_link k
		WHERE c.organization_id = organization AND c.unlinked_because IS NOT NULL AND k.ended_at IS NULL
			AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (organization, c.agency_id, c.kinderconnect_child_id);
		IF overtaken THEN
			UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
			WHERE c.organization_id = organization AND c.unlinked_because IS NULL
				AND NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
					AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (organization, c.agency_id, c.kinderconnect_child_id));
		END IF;
		since := 'infinity';
		EXIT WHEN NOT kinderconnect._end_merged(organization) AND NOT overtaken;
	END LOOP;
	-- Whom a person parted since the statement above began. From its end on the
	-- child's row is locked, and reject_match() waits, and is told of the link.
	IF EXISTS (SELECT FROM kinderconnect.child_decision d WHERE d.organization_id = organization AND d.decision <> 'link') THEN
		WITH parted AS (
			UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = 'parted while it was linked'
			FROM kinderconnect.parted_pair r
			WHERE r.organization_id = organization AND k.ended_at IS NULL AND k.linked_at = now()
				AND (k.organization_id, k.agency_id, k.kinderconnect_child_id, k.child_id)
					= (r.organization_id, r.agency_id, r.kinderconnect_child_id, r.child_id)
			RETURNING k.agency_id, k.kinderconnect_child_id
		)
		UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
		FROM parted p
		WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, p.agency_id, p.kinderconnect_child_id);
	END IF;
	PERFORM kinderconnect._flag_links(organization, since, NULL);

	INSERT INTO kinderconnect.match_state AS s (organization_id, matched_at, version, sites, stored_ids)
	VALUES (organization, present.matched_at, present.version, present.sites, present.stored_ids)
	ON CONFLICT (organization_id) DO UPDATE
	SET matched_at = excluded.matched_at, version = excluded.version, sites = excluded.sites, stored_ids = excluded.stored_ids;
END;
$$;
COMMENT ON FUNCTION kinderconnect._match(text) IS
'links the children that can be, notes why the others cannot, and flags links whose two sides no longer agree; looks at what has changed since the last match, at all if there was none';

-- What a match has locked it has read anew, or looks at itself, and to wait for
-- it could be for ever: it may wait for the link.
CREATE FUNCTION kinderconnect._seek_again(organization text, child text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.known_child m SET changed_at = 'infinity'
	FROM (SELECT k.organization_id, k.child_id, k.location_id, k.digest FROM kinderconnect.known_child k
		WHERE (k.organization_id, k.child_id) = (organization, child)
		FOR NO KEY UPDATE SKIP LOCKED) k
	WHERE (m.organization_id, m.child_id, m.location_id, m.digest) = (k.organization_id, k.child_id, k.location_id, k.digest);
END;
$$;
COMMENT ON FUNCTION kinderconnect._seek_again(text, text) IS
'a child of Manage is looked for again among the children of the service that have no link';

CREATE OR REPLACE FUNCTION kinderconnect.link_child(organization_id text, agency_id text, kinderconnect_child_id text, child_id text, reason text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	other  text;
	parted text;
BEGIN
	PERFORM kinderconnect._require_organization(link_child.organization_id);
	IF num_nulls(link_child.agency_id, link_child.kinderconnect_child_id, link_child.child_id) > 0 THEN
		RAISE EXCEPTION 'agency_id, kinderconnect_child_id and child_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	-- before its link, as a match does
	PERFORM FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id) FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'agency "%" lists no child "%"', link_child.agency_id, link_child.kinderconnect_child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.child.';
	END IF;
	IF NOT EXISTS (SELECT FROM kinderconnect.manage_child m
			WHERE (m.organization_id, m.child_id) = (link_child.organization_id COLLATE "default", link_child.child_id COLLATE "default")) THEN
		RAISE EXCEPTION 'organization "%" has no child "%" in Manage', link_child.organization_id, link_child.child_id
			USING ERRCODE = 'KC001', HINT = 'Children are listed in kinderconnect.manage_child.';
	END IF;
	-- again where another has linked one of them meanwhile
	LOOP
		SELECT k.kinderconnect_child_id INTO other FROM kinderconnect.child_link k
		WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.child_id) = (link_child.organization_id, link_child.agency_id, link_child.child_id)
			AND k.kinderconnect_child_id <> link_child.kinderconnect_child_id;
		IF FOUND THEN
			IF EXISTS (SELECT FROM kinderconnect.listed_authorization l JOIN kinderconnect._months(link_child.organization_id, NULL, NULL) m ON m = l.month
					WHERE (l.organization_id, l.agency_id, l.kinderconnect_child_id) = (link_child.organization_id, link_child.agency_id, other)) THEN
				RAISE EXCEPTION 'child "%" of Manage is linked to child "%" of agency "%"', link_child.child_id, other, link_child.agency_id
					USING ERRCODE = 'unique_violation',
						HINT = 'If the agency gave the child a new id, link_child() takes the link over as soon as the other is no longer listed, and what was accepted under it is not sent again. If that link is wrong, end it: SELECT kinderconnect.unlink_child(organization_id, agency_id, kinderconnect_child_id, reason).';
			END IF;
			-- merged ids, of which a match sees those alone whose names and birth date are equal
			PERFORM FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
				= (link_child.organization_id, link_child.agency_id, other) FOR NO KEY UPDATE;
			WITH merged AS (
				UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user,
					end_reason = 'merged into ' || link_child.kinderconnect_child_id
				WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id, k.child_id)
					= (link_child.organization_id, link_child.agency_id, other, link_child.child_id)
				RETURNING k.kinderconnect_child_id
			)
			UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
			FROM merged m
			WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
				= (link_child.organization_id, link_child.agency_id, m.kinderconnect_child_id);
		END IF;
		WITH replaced AS (
			UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = 'replaced'
			WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id)
				= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id)
			RETURNING k.child_id
		)
		SELECT r.child_id INTO parted FROM replaced r;
		PERFORM kinderconnect._seek_again(link_child.organization_id, parted);
		INSERT INTO kinderconnect.child_link (organization_id, agency_id, kinderconnect_child_id, child_id, method, linked_at)
		VALUES (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id, link_child.child_id, 'person', clock_timestamp())
		ON CONFLICT DO NOTHING;
		EXIT WHEN FOUND;
	END LOOP;
	INSERT INTO kinderconnect.child_decision (organization_id, agency_id, kinderconnect_child_id, child_id, decision, reason)
	VALUES (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id, link_child.child_id, 'link', link_child.reason);
	UPDATE kinderconnect.child c SET unlinked_because = NULL
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (link_child.organization_id, link_child.agency_id, link_child.kinderconnect_child_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect.link_child(text, text, text, text, text) IS
'a person''s decision that a KinderConnect child is this child of Manage; replaces a link in force, and takes over that of an id of the agency which is no longer listed: days accepted under it are held as merged_child';

CREATE OR REPLACE FUNCTION kinderconnect.unlink_child(organization_id text, agency_id text, kinderconnect_child_id text, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	parted text;
BEGIN
	PERFORM kinderconnect._require_organization(unlink_child.organization_id);
	IF num_nulls(unlink_child.agency_id, unlink_child.kinderconnect_child_id) > 0 THEN
		RAISE EXCEPTION 'agency_id and kinderconnect_child_id must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF nullif(btrim(unlink_child.reason), '') IS NULL THEN
		RAISE EXCEPTION 'a reason must be given' USING ERRCODE = 'null_value_not_allowed', HINT = 'It stays in kinderconnect.child_decision, for who asks later.';
	END IF;
	PERFORM FROM kinderconnect.child c WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id) FOR NO KEY UPDATE;
	UPDATE kinderconnect.child_link k SET ended_at = clock_timestamp(), ended_by = session_user, end_reason = unlink_child.reason
	WHERE k.ended_at IS NULL AND (k.organization_id, k.agency_id, k.kinderconnect_child_id)
		= (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id)
	RETURNING k.child_id INTO parted;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'child "%" of agency "%" has no link', unlink_child.kinderconnect_child_id, unlink_child.agency_id
			USING ERRCODE = 'KC001', HINT = 'Links are listed in kinderconnect.child_link.';
	END IF;
	INSERT INTO kinderconnect.child_decision (organization_id, agency_id, kinderconnect_child_id, child_id, decision, reason)
	VALUES (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id, parted, 'unlink', unlink_child.reason);
	-- whoever it might be instead, and who else the child of Manage might be
	UPDATE kinderconnect.child c SET unlinked_because = 'not_matched_yet'
	WHERE (c.organization_id, c.agency_id, c.kinderconnect_child_id)
		= (unlink_child.organization_id, unlink_child.agency_id, unlink_child.kinderconnect_child_id);
	PERFORM kinderconnect._seek_again(unlink_child.organization_id, parted);
END;
$$;
COMMENT ON FUNCTION kinderconnect.unlink_child(text, text, text, text) IS
'ends a link, with the reason; its days already accepted are held as authorization_lost, void_day() takes them back';

CREATE VIEW kinderconnect.child_match_status AS
SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id, c.first_name, c.last_name, c.date_of_birth,
	CASE WHEN k.child_id IS NULL THEN coalesce(c.unlinked_because, 'not_matched_yet') ELSE coalesce(k.flag, 'linked') END AS status,
	k.child_id, k.method, m.first_name AS manage_first_name, m.last_name AS manage_last_name, m.date_of_birth AS manage_date_of_birth,
	NOT m.active AS inactive_in_manage, coalesce(o.organizations, 0) AS other_organizations, coalesce(n.candidates, 0) AS candidates, n.best_score
FROM kinderconnect.child c
LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
	AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)
LEFT JOIN (SELECT DISTINCT ON (m.organization_id, m.child_id) m.* FROM kinderconnect.known_child m
	ORDER BY m.organization_id, m.child_id, m.active DESC, m.location_id) m ON (m.organization_id, m.child_id) = (k.organization_id, k.child_id)
LEFT JOIN (SELECT o.agency_id, o.kinderconnect_child_id, count(*) - 1 AS organizations FROM kinderconnect.child o
	GROUP BY o.agency_id, o.kinderconnect_child_id) o ON (o.agency_id, o.kinderconnect_child_id) = (c.agency_id, c.kinderconnect_child_id)
LEFT JOIN (SELECT n.organization_id, n.agency_id, n.kinderconnect_child_id, count(*) AS candidates, max(n.score) AS best_score
	FROM kinderconnect.match_candidate n GROUP BY n.organization_id, n.agency_id, n.kinderconnect_child_id) n
	ON k.child_id IS NULL AND (n.organization_id, n.agency_id, n.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id);
COMMENT ON VIEW kinderconnect.child_match_status IS
'every KinderConnect child once, with both sides of its link, or why it has none; the sum over status is the number of children';
COMMENT ON COLUMN kinderconnect.child_match_status.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_match_status.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_match_status.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_match_status.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.child_match_status.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.child_match_status.date_of_birth IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.child_match_status.status IS 'linked; flag of child_link; unlinked_because of child; or not_matched_yet';
COMMENT ON COLUMN kinderconnect.child_match_status.child_id IS 'the child of Manage it is linked to';
COMMENT ON COLUMN kinderconnect.child_match_status.method IS 'how it was linked';
COMMENT ON COLUMN kinderconnect.child_match_status.manage_first_name IS 'as Manage had it at the last match';
COMMENT ON COLUMN kinderconnect.child_match_status.manage_last_name IS 'as Manage had it at the last match';
COMMENT ON COLUMN kinderconnect.child_match_status.manage_date_of_birth IS 'as Manage had it at the last match';
COMMENT ON COLUMN kinderconnect.child_match_status.inactive_in_manage IS 'Manage says that the child left';
COMMENT ON COLUMN kinderconnect.child_match_status.other_organizations IS 'how many more organizations the agency lists this id for';
COMMENT ON COLUMN kinderconnect.child_match_status.candidates IS 'children of Manage it might be: match_candidate';
COMMENT ON COLUMN kinderconnect.child_match_status.best_score IS 'score of the likeliest';

-- The rules in force for an agency on a day, as one object: the agency's win
-- over the state's, the DBA's over the shipped.
CREATE FUNCTION kinderconnect._rules(agency text, day date) RETURNS jsonb
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT coalesce(jsonb_object_agg(r.rule, r.value) FILTER (WHERE r.enforced), '{}')
	FROM (SELECT DISTINCT ON (r.rule) r.rule, r.value, r.enforced
		FROM kinderconnect.agency_rule r
		LEFT JOIN kinderconnect.agency a ON a.agency_id = agency
		WHERE (r.agency_id = agency OR r.state = a.state) AND r.valid @> day
		ORDER BY r.rule, r.agency_id NULLS LAST, r.builtin) r;
END;
COMMENT ON FUNCTION kinderconnect._rules(text, date) IS 'the enforced rules of an agency, or its state, for a service date';

-- What closes a day, for the views. The setting is read as it stands, and is
-- 45 where the library is not loaded and no file says otherwise.
CREATE FUNCTION kinderconnect._horizon_days() RETURNS integer
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN coalesce(nullif(current_setting('kinderconnect.horizon_days', true), ''), '45')::integer;
COMMENT ON FUNCTION kinderconnect._horizon_days() IS 'the setting horizon_days, days, without loading the library';

CREATE FUNCTION kinderconnect._is_open(day date, window_ends timestamptz, zone text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN (window_ends > now()) IS NOT FALSE
		AND day + kinderconnect._horizon_days() >= (now() AT TIME ZONE coalesce(zone, 'Pacific/Honolulu'))::date;
COMMENT ON FUNCTION kinderconnect._is_open(date, timestamptz, text) IS
'whether a service date can still be sent: its enforced window, if any, has not ended, and it is not older than the horizon on the clock of the agency''s zone (null: Honolulu''s)';

-- Whether a service can take a day back, by its dialect.
CREATE FUNCTION kinderconnect._can_void(organization text) RETURNS boolean
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect.organization o
		JOIN kinderconnect.endpoint e ON e.endpoint = o.endpoint
		JOIN kinderconnect.dialect_field f ON f.dialect = e.dialect AND f.operation = 'submit' AND f.part = 'record'
		WHERE o.organization_id = organization AND f.column_name = 'kind'
			AND f.codes ? 'void' AND f.codes -> 'void' <> 'null');
END;
COMMENT ON FUNCTION kinderconnect._can_void(text) IS 'whether the organization''s service can take a day back';

-- What an organization's service has no place for, in the words of _rules().
-- Days for which the dialect has no key must never reach the encoder: it
-- would refuse the whole batch.
CREATE FUNCTION kinderconnect._wire_limits(organization text) RETURNS jsonb
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	WITH field AS (
		SELECT f.column_name, f.element, f.codes
		FROM kinderconnect.organization o
		JOIN kinderconnect.endpoint e ON e.endpoint = o.endpoint
		JOIN kinderconnect.dialect_field f ON f.dialect = e.dialect AND f.operation = 'submit' AND f.part = 'record'
		WHERE o.organization_id = organization
	)
	SELECT jsonb_strip_nulls(jsonb_build_object(
		'slots', (SELECT (min(n) - 1)::text FROM generate_series(1, 101) n
			CROSS JOIN (VALUES ('session_in'), ('session_out')) c(column_name)
			WHERE NOT EXISTS (SELECT FROM field f WHERE f.column_name = c.column_name AND coalesce(f.element, n) = n)),
		'absences', CASE WHEN NOT EXISTS (SELECT FROM field f
			WHERE f.column_name = 'kind' AND (f.codes -> 'absence' <> 'null') IS NOT FALSE) THEN 'omit' END,
		'closures', CASE WHEN NOT EXISTS (SELECT FROM field f
			WHERE f.column_name = 'kind' AND (f.codes -> 'closure' <> 'null') IS NOT FALSE) THEN 'omit' END,
		'absence_reasons', CASE WHEN NOT EXISTS (SELECT FROM field f WHERE f.column_name = 'absence_reason') THEN 'omit' END));
END;
COMMENT ON FUNCTION kinderconnect._wire_limits(text) IS
'what the organization''s service cannot be told, by its dialect: slots is how many sessions a day has places for; absences, closures, absence_reasons are omitted. A key is there only where there is a limit';

-- What Manage has for the children of an organization that are linked, a row
-- for each punch pair, absence or closure, on the location's own clock. Where
-- a location has several provider IDs, a row for each.
CREATE OR REPLACE FUNCTION kinderconnect._attendance(organization text, since date)
	RETURNS TABLE (location_id text, child_id text, kind text, check_in timestamptz, check_out timestamptz, day date, reason text, zone text, modified_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
AS $$
#variable_conflict use_column
DECLARE
	in_manage text COLLATE "default" := organization;
BEGIN
	RETURN QUERY
	SELECT m.location_id, m.child_id, m.kind, m.check_in, m.check_out,
		CASE WHEN m.kind IN ('absence', 'closure') THEN m.service_date
			ELSE coalesce((p.at AT TIME ZONE c.zone)::date, CASE WHEN m.kind IS DISTINCT FROM 'session' THEN m.service_date END) END,
		nullif(btrim(m.reason), ''), c.zone, m.modified_at
	FROM kinderconnect.manage_attendance m
	CROSS JOIN LATERAL (SELECT coalesce(m.check_in, m.check_out) AS at) p
	JOIN kinderconnect._moves(organization) z ON z.location_id = m.location_id
	LEFT JOIN kinderconnect.location_zone l ON (l.organization_id, l.location_id) = (organization, m.location_id COLLATE "C")
		AND l.valid_until < 'infinity' AND l.valid_from <= p.at AND l.valid_until > p.at
	CROSS JOIN LATERAL (SELECT coalesce(l.zone, CASE WHEN p.at >= z.valid_from AND p.at < z.moved_at THEN z.was END, z.zone) AS zone) c
	WHERE m.organization_id = in_manage AND z.zone IS NOT NULL
		AND (m.check_in >= since - interval '1 day'
			OR m.check_in IS NULL AND m.check_out >= since - interval '1 day'
			OR m.kind IS DISTINCT FROM 'session' AND m.service_date >= since);
END;
$$;
COMMENT ON FUNCTION kinderconnect._attendance(text, date) IS
'Manage''s attendance of an organization from a date on, with the local day and zone of each row';

-- A name that PostgreSQL would have to guess at is no zone.
CREATE OR REPLACE FUNCTION kinderconnect._zone(name text) RETURNS text
	LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF name COLLATE "C" !~ '^[A-Za-z_]+(/[A-Za-z_-]+)+$|^Etc/GMT[+-][0-9]{1,2}$|^UTC$' THEN
		RETURN NULL;
	END IF;
	PERFORM now() AT TIME ZONE name;
	RETURN name;
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN NULL;
END;
$$;
COMMENT ON FUNCTION kinderconnect._zone(text) IS 'the name of an IANA zone this server knows, else null';

CREATE OR REPLACE FUNCTION kinderconnect._location_zones(organization text)
	RETURNS TABLE (location_id text, zone text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
AS $$
#variable_conflict use_column
DECLARE
	in_manage   text COLLATE "default" := organization;
	this_year   timestamptz := date_trunc('year', now(), 'UTC');
	this_summer timestamptz := this_year + interval '6 months';
BEGIN
	RETURN QUERY
	WITH named AS MATERIALIZED (
		-- agencies that go by two clocks do not say which is the location's
		SELECT p.location_id, min(m.time_zone) AS name,
			CASE WHEN min(m.time_zone) IS NULL AND count(m.location_id) > 0
					AND min(this_year AT TIME ZONE a.time_zone) IS NOT DISTINCT FROM max(this_year AT TIME ZONE a.time_zone)
					AND min(this_summer AT TIME ZONE a.time_zone) IS NOT DISTINCT FROM max(this_summer AT TIME ZONE a.time_zone)
				THEN min(a.time_zone) END AS of_agency
		FROM kinderconnect.provider p
		LEFT JOIN kinderconnect.manage_location m ON m.organization_id = in_manage AND m.location_id COLLATE "C" = p.location_id
		LEFT JOIN kinderconnect.agency a ON a.agency_id = p.agency_id
		WHERE p.organization_id = organization AND p.location_id IS NOT NULL
		GROUP BY p.location_id
	), zone AS MATERIALIZED (
		-- a name at a time, for to ask the server takes a subtransaction
		SELECT n.name, kinderconnect._zone(n.name) AS zone FROM (SELECT DISTINCT n.name FROM named n) n
	)
	SELECT n.location_id, coalesce(z.zone, n.of_agency)
	FROM named n LEFT JOIN zone z ON z.name = n.name;
END;
$$;
COMMENT ON FUNCTION kinderconnect._location_zones(text) IS
'the zone of each location that has a provider: Manage''s, or where Manage has the location without one, that of its agencies; null where it is not known, or they differ';

-- A zone that is new holds from the first day on that is not planned yet.
CREATE FUNCTION kinderconnect._moves(organization text)
	RETURNS TABLE (location_id text, zone text, was text, valid_from timestamptz, moved_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT z.location_id, z.zone, l.zone, l.valid_from,
		-- where the service holds nothing, there is nothing to leave as it is
		CASE WHEN z.zone <> l.zone THEN (SELECT (max(d.service_date) + 1)::timestamp AT TIME ZONE l.zone FROM kinderconnect.child_day d
			WHERE d.organization_id = organization AND d.location_id = z.location_id
			HAVING bool_or(d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))) END
	FROM kinderconnect._location_zones(organization) z
	LEFT JOIN kinderconnect.location_zone l ON (l.organization_id, l.location_id, l.valid_until) = (organization, z.location_id, 'infinity');
END;
$$;
COMMENT ON FUNCTION kinderconnect._moves(text) IS
'the zone of each location that has a provider, the one that the last plan read it in, since when, and, where that is another and the service holds days of the location, from when on the new one holds';

CREATE OR REPLACE FUNCTION kinderconnect._note_zones(organization text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	moved record;
BEGIN
	FOR moved IN SELECT m.* FROM kinderconnect._moves(organization) m WHERE m.zone IS DISTINCT FROM m.was AND m.zone IS NOT NULL
	LOOP
		IF moved.moved_at > moved.valid_from THEN
			UPDATE kinderconnect.location_zone l SET valid_until = moved.moved_at
			WHERE (l.organization_id, l.location_id, l.valid_from) = (organization, moved.location_id, moved.valid_from);
			INSERT INTO kinderconnect.location_zone VALUES (organization, moved.location_id, moved.zone, moved.moved_at, 'infinity');
		ELSE
			INSERT INTO kinderconnect.location_zone AS l VALUES (organization, moved.location_id, moved.zone, coalesce(moved.valid_from, '-infinity'), 'infinity')
			ON CONFLICT (organization_id, location_id, valid_from) DO UPDATE SET zone = excluded.zone;
		END IF;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._note_zones(text) IS 'remembers the zone of each location, and from when on it holds';

-- Of an hour that the clocks repeat the service, like people, takes the first
-- reading: it cannot be told a punch of the second.
--
-- Not STRICT and one expression, so that it is inlined: it is asked for every
-- punch.
CREATE FUNCTION kinderconnect._is_second_reading(at timestamptz, wall timestamp, zone text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN isfinite(at) AND (at - interval '1 hour') AT TIME ZONE zone = wall;
COMMENT ON FUNCTION kinderconnect._is_second_reading(timestamptz, timestamp, text) IS
'whether the clocks of a zone, which show this wall time at this instant, showed it an hour before: they were set back';

-- Infinity less infinity is an error: nothing is taken from another instant.
-- Not STRICT and one expression, as above.
CREATE FUNCTION kinderconnect._may_be_stay(began timestamptz, ended timestamptz) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN ended >= began AND ended - interval '24 hours' <= began AND began < 'infinity';
COMMENT ON FUNCTION kinderconnect._may_be_stay(timestamptz, timestamptz) IS
'whether two instants may be the begin and the end of one stay: in order, within 24 hours, and not at infinity; null where one is not known';

-- The whole judgement, read-only: _plan() writes it down, preview() shows it,
-- and with it tonight's links and today, as it stands.
--
-- Which days: those an authorization covers, those of a linked child with
-- attendance all the same, and those already in child_day. What is said of
-- each is decided in one place, "judged" below, first reason that holds.
--
-- What is older than the horizon is not read, but for days that a person wants
-- taken back: a night costs what is in the window, not what is in the history.
--
-- Every step joins whole sets of one organization whose sizes the planner
-- cannot know, so it is kept from the plans that are quadratic: nested loops,
-- and merges by the provider alone that filter all its days for each day. The
-- cost it then reckons with would set off JIT, which takes longer than the
-- query. What is inlined is copied anew for each level above it while this is
-- planned: so a small step is materialized, and those that only compute are one.
CREATE OR REPLACE FUNCTION kinderconnect._planned(organization text, agency text, provider text, from_date date, to_date date, foresee boolean, at timestamptz DEFAULT now())
	RETURNS TABLE (agency_id text, provider_id text, kinderconnect_child_id text, service_date date, authorized boolean,
		location_id text, child_id text, state text, reason text, detail text,
		kind text, session_in time[], session_out time[], absence_reason text, content text, window_ends timestamptz, basis text,
		modified_at timestamptz, finished boolean)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	can_void     boolean := kinderconnect._can_void(organization);
	wire_limits  jsonb := kinderconnect._wire_limits(organization);
	shrink_floor integer := kinderconnect.setting('shrink_floor');
	shrink_ratio integer := kinderconnect.setting('shrink_percent');
	horizon      integer := kinderconnect.setting('horizon_days');
	since        date;
BEGIN
	SELECT greatest((at AT TIME ZONE 'Pacific/Honolulu')::date - horizon, o.first_enabled - o.backfill_days) INTO since
	FROM kinderconnect.organization o WHERE o.organization_id = organization;

	RETURN QUERY
	WITH site AS MATERIALIZED (
		-- the last zone of the country where nothing better is known, so that
		-- no day counts as finished too early
		SELECT s.agency_id, s.provider_id, s.location_id, z.zone, t.today,
			greatest(t.today - horizon, since) AS first_day, t.today - (NOT foresee)::integer AS last_day,
			coalesce(s.barred, CASE WHEN s.location_id IS NULL THEN 'provider_unmatched' WHEN z.zone IS NULL THEN 'no_time_zone' END) AS barred,
			v.accept_shrink IS TRUE AS void_anyway
		FROM kinderconnect.provider_standing s
		LEFT JOIN kinderconnect.list_state v ON (v.organization_id, v.operation, v.agency_id, v.provider_id)
			= (organization, 'attendance', s.agency_id, s.provider_id)
		LEFT JOIN kinderconnect._location_zones(organization) z ON z.location_id = s.location_id
		LEFT JOIN kinderconnect.agency a ON a.agency_id = s.agency_id
		CROSS JOIN LATERAL (SELECT (at AT TIME ZONE coalesce(z.zone, a.time_zone, 'Pacific/Honolulu'))::date AS today) t
		WHERE s.organization_id = organization
	), rules AS MATERIALIZED (
		-- from the day before on, for the care that goes past its midnight; in
		-- words for all children of a day at once
		SELECT d.agency_id, d.day, r.r, r.r::text AS words
		FROM (SELECT s.agency_id, d::date AS day
			FROM site s CROSS JOIN LATERAL generate_series((s.first_day - 1)::timestamp, s.last_day::timestamp, interval '1 day') d
			UNION
			SELECT d.agency_id, d.service_date FROM kinderconnect.child_day d WHERE d.organization_id = organization AND d.void_wanted) d
		CROSS JOIN LATERAL (SELECT kinderconnect._rules(d.agency_id, d.day) || wire_limits AS r OFFSET 0) r
	), link AS MATERIALIZED (
		SELECT k.agency_id, k.kinderconnect_child_id, k.child_id, k.flag, NULL AS unlinked_because, NULL AS formerly
		FROM kinderconnect.child_link k
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND NOT foresee
		UNION ALL
		SELECT n.* FROM kinderconnect._links(organization) n WHERE foresee
	), known_as AS MATERIALIZED (
		-- a child's id, and those that it took the place of, at whatever remove
		SELECT k.agency_id, k.kinderconnect_child_id, k.kinderconnect_child_id AS sent_as, k.child_id, 'infinity'::timestamptz AS until
		FROM link k WHERE k.child_id IS NOT NULL
		UNION
		SELECT k.agency_id, k.kinderconnect_child_id, o.kinderconnect_child_id, k.child_id, max(o.ended_at)
		FROM link k
		JOIN kinderconnect.child_link o ON (o.organization_id, o.agency_id, o.child_id) = (organization, k.agency_id, k.child_id)
			AND o.end_reason LIKE 'merged into %'
		GROUP BY k.agency_id, k.kinderconnect_child_id, o.kinderconnect_child_id, k.child_id
		UNION
		SELECT k.agency_id, k.kinderconnect_child_id, k.formerly, k.child_id, 'infinity' FROM link k WHERE k.formerly IS NOT NULL
	), merged AS MATERIALIZED (
		SELECT k.agency_id, d.provider_id, k.kinderconnect_child_id, d.service_date AS day,
			string_agg(DISTINCT format('as %s: %s, %s', d.kinderconnect_child_id, coalesce(d.accepted_content, d.sent_content),
				coalesce('accepted ' || to_char(d.accepted_at AT TIME ZONE coalesce(s.zone, 'Pacific/Honolulu'), 'YYYY-MM-DD'), 'its answer was lost')), '; ') AS facts
		FROM known_as k
		JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.kinderconnect_child_id)
			= (organization, k.agency_id, k.sent_as) AND d.service_date >= since AND (d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))
		JOIN site s ON (s.agency_id, s.provider_id) = (d.agency_id, d.provider_id)
		WHERE k.sent_as <> k.kinderconnect_child_id
			-- that id may have come to be another child of Manage since
			AND (SELECT l.child_id <> k.child_id AND l.created_at > k.until FROM kinderconnect.ledger l
				WHERE (l.organization_id, l.record_id) = (organization, coalesce(d.accepted_record_id, d.record_id))) IS NOT TRUE
		GROUP BY k.agency_id, d.provider_id, k.kinderconnect_child_id, d.service_date
	), private AS MATERIALIZED (
		-- the days on which care at a provider is not subsidized: a month that
		-- no list has answered for is as the one before
		SELECT s.agency_id, s.provider_id, s.kinderconnect_child_id, range_agg(daterange(s.since, s.until)) AS days
		FROM (SELECT s.agency_id, s.provider_id, s.kinderconnect_child_id, s.subsidized,
				CASE WHEN lag(s.month) OVER w IS NULL THEN '-infinity' ELSE s.month END AS since, coalesce(lead(s.month) OVER w, 'infinity') AS until
			FROM kinderconnect.listed_subsidy s
			WHERE s.organization_id = organization
			WINDOW w AS (PARTITION BY s.agency_id, s.kinderconnect_child_id, s.provider_id ORDER BY s.month)) s
		WHERE NOT s.subsidized
		GROUP BY s.agency_id, s.provider_id, s.kinderconnect_child_id
	), said AS MATERIALIZED (
		-- what stands now, and what vanished and has not come back, up to the
		-- day it vanished
		SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id, a.begin_date, a.days, e.end_date, v.days AS private, a.closed_as IS NULL AS stands,
			concat_ws('/', a.authorization_id, to_char(a.begin_date, 'YYYY-MM-DD'), to_char(e.end_date, 'YYYY-MM-DD'), array_to_string(a.days, '+')) AS words
		FROM kinderconnect.authorization a
		JOIN site s ON (s.agency_id, s.provider_id) = (a.agency_id, a.provider_id)
		LEFT JOIN private v ON (v.agency_id, v.provider_id, v.kinderconnect_child_id) = (a.agency_id, a.provider_id, a.kinderconnect_child_id)
		CROSS JOIN LATERAL (SELECT CASE WHEN a.closed_as = 'vanished' THEN least(a.end_date, (a.known_until AT TIME ZONE coalesce(s.zone, 'Pacific/Honolulu'))::date - 1)
			ELSE a.end_date END AS end_date) e
		WHERE a.organization_id = organization
			AND (a.closed_as IS NULL OR a.closed_as = 'vanished' AND NOT EXISTS (SELECT FROM kinderconnect.authorization n
				WHERE (n.organization_id, n.agency_id, n.provider_id, n.kinderconnect_child_id, n.authorization_id)
					= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)
					AND n.known_from > a.known_from))
	), covered AS MATERIALIZED (
		-- ordered as a whole: an aggregate with an order of its own sorts each
		-- group by itself. By the child first, here and below: to compare what
		-- is mostly the same, agencies and providers, takes longer
		SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, a.day,
			bool_or(a.days IS NULL OR (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM a.day)::integer] = ANY (a.days)) AS authorized,
			bool_or(a.stands) AS stands, string_agg(a.words, ' ') AS by
		FROM (SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, d::date AS day, a.days, a.stands, a.words
			FROM said a
			JOIN site s ON (s.agency_id, s.provider_id) = (a.agency_id, a.provider_id)
			CROSS JOIN LATERAL generate_series(greatest(a.begin_date, s.first_day)::timestamp,
				least(a.end_date, s.last_day)::timestamp, interval '1 day') d
			WHERE (a.private @> d::date) IS NOT TRUE
			ORDER BY a.kinderconnect_child_id, d::date, a.provider_id, a.agency_id, a.authorization_id) a
		GROUP BY a.kinderconnect_child_id, a.day, a.provider_id, a.agency_id
	), lapsed AS MATERIALIZED (
		SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, max(coalesce(a.end_date, 'infinity')) AS ended
		FROM said a GROUP BY a.agency_id, a.provider_id, a.kinderconnect_child_id
	), seen AS MATERIALIZED (
		SELECT t.* FROM kinderconnect._attendance(organization, since) t
	), placed AS MATERIALIZED (
		SELECT k.agency_id, t.provider_id, k.kinderconnect_child_id, t.first_day, t.last_day, t.location_id, t.child_id,
			t.kind, t.check_in, t.check_out, t.day, t.reason, t.zone, t.modified_at, r.r ->> 'overnight' AS overnight,
			CASE WHEN r.r ->> 'overnight' = 'split' AND t.kind = 'session' AND kinderconnect._may_be_stay(t.check_in, t.check_out)
				AND (t.check_out AT TIME ZONE t.zone)::date > t.day THEN (t.day + 1)::timestamp AT TIME ZONE t.zone END AS midnight
		FROM (SELECT s.agency_id, s.provider_id, s.first_day, s.last_day, t.*
			FROM seen t JOIN site s ON s.location_id = t.location_id
			OFFSET 0) t		-- or every link is joined with every site first
		JOIN link k ON k.agency_id = t.agency_id AND k.child_id = t.child_id
		LEFT JOIN rules r ON (r.agency_id, r.day) = (t.agency_id, t.day)
	), punch AS MATERIALIZED (
		SELECT p.*, date_trunc('minute', p.check_in AT TIME ZONE p.zone) AS wall_in, date_trunc('minute', p.check_out AT TIME ZONE p.zone) AS wall_out
		FROM (SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.location_id, p.child_id, p.kind, p.check_in,
				coalesce(p.midnight, p.check_out) AS check_out, p.day, p.reason, p.zone, p.modified_at
			FROM placed p WHERE p.day BETWEEN p.first_day AND p.last_day
			UNION ALL
			SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.location_id, p.child_id, p.kind, p.midnight,
				p.check_out, p.day + 1, p.reason, p.zone, p.modified_at
			FROM placed p WHERE date_trunc('minute', p.check_out) > p.midnight AND p.day + 1 BETWEEN p.first_day AND p.last_day) p
	), closure AS (
		SELECT DISTINCT s.agency_id, s.provider_id, t.day
		FROM seen t
		JOIN site s ON s.location_id = t.location_id
		WHERE t.child_id IS NULL AND t.kind = 'closure'
	), rover AS MATERIALIZED (
		SELECT t.child_id FROM seen t WHERE t.kind = 'session' GROUP BY t.child_id HAVING min(t.location_id) <> max(t.location_id)
	), abroad AS MATERIALIZED (
		-- sessions of the children that were at more than one site: nobody is
		-- at two at a time, whoever pays. One that is impossible by itself
		-- says nothing about another
		SELECT t.child_id, t.location_id, t.zone, t.check_in, t.check_out, m.began, m.ended, u AS bucket
		FROM seen t
		JOIN rover c ON c.child_id = t.child_id
		CROSS JOIN LATERAL (SELECT date_trunc('minute', coalesce(t.check_in, t.check_out)) AS began, date_trunc('minute', coalesce(t.check_out, t.check_in)) AS ended) m
		CROSS JOIN LATERAL generate_series(date_trunc('day', m.began AT TIME ZONE 'UTC'), m.ended AT TIME ZONE 'UTC', interval '1 day') u
		WHERE t.kind = 'session' AND kinderconnect._may_be_stay(m.began, m.ended)
	), stay AS MATERIALIZED (
		-- the same as each provider has them: what is split at midnight is of two days
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.child_id, p.location_id, p.day, p.zone, m.began, m.ended, u AS bucket
		FROM punch p
		JOIN rover c ON c.child_id = p.child_id
		CROSS JOIN LATERAL (SELECT date_trunc('minute', coalesce(p.check_in, p.check_out)) AS began, date_trunc('minute', coalesce(p.check_out, p.check_in)) AS ended) m
		CROSS JOIN LATERAL generate_series(date_trunc('day', m.began AT TIME ZONE 'UTC'), m.ended AT TIME ZONE 'UTC', interval '1 day') u
		WHERE p.kind = 'session' AND kinderconnect._may_be_stay(m.began, m.ended)
	), night AS MATERIALIZED (
		-- care past midnight that goes with the day of its check-in
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.zone, p.check_in, p.check_out, date_trunc('minute', p.check_out) AS ended
		FROM placed p
		WHERE p.overnight = 'whole' AND p.kind = 'session' AND kinderconnect._may_be_stay(p.check_in, p.check_out)
			AND (p.check_out AT TIME ZONE p.zone)::date > p.day
	), crossing AS MATERIALIZED (
		SELECT x.agency_id, x.provider_id, x.kinderconnect_child_id, x.day, string_agg(DISTINCT x.facts, ', ') AS facts
		FROM (SELECT a.agency_id, a.provider_id, a.kinderconnect_child_id, a.day, concat('at ', b.location_id, ' ', to_char(b.check_in AT TIME ZONE b.zone, 'HH24:MI'), '-',
				to_char(b.check_out AT TIME ZONE b.zone, 'HH24:MI'), ' ' || nullif(b.zone, a.zone)) AS facts
			FROM stay a
			JOIN abroad b ON (b.child_id, b.bucket) = (a.child_id, a.bucket) AND b.location_id <> a.location_id AND a.began < b.ended AND b.began < a.ended
			UNION ALL
			SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, d.day, concat(d.facts, to_char(d.check_in AT TIME ZONE d.zone, 'HH24:MI'), '-',
				to_char(d.check_out AT TIME ZONE d.zone, 'HH24:MI'))
			FROM night n
			JOIN punch p ON (p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day) = (n.agency_id, n.provider_id, n.kinderconnect_child_id, n.day + 1)
			CROSS JOIN LATERAL (SELECT date_trunc('minute', coalesce(p.check_in, p.check_out)) AS began, date_trunc('minute', coalesce(p.check_out, p.check_in)) AS ended) m
			CROSS JOIN LATERAL (VALUES (n.day, 'the day after ', p.check_in, p.check_out, p.zone), (p.day, 'the night before ', n.check_in, n.check_out, n.zone)) d(day, facts, check_in, check_out, zone)
			WHERE p.kind = 'session' AND m.began < n.ended AND kinderconnect._may_be_stay(m.began, m.ended)) x
		GROUP BY x.agency_id, x.provider_id, x.kinderconnect_child_id, x.day
	), attended AS MATERIALIZED (
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.location_id, bool_or(p.kind = 'session') AS came,
			bool_or(p.kind = 'absence') AS absent, bool_or(p.kind = 'closure') AS closed
		FROM punch p GROUP BY p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.location_id
	), company AS MATERIALIZED (
		-- which other providers authorize the child on that day: at the same
		-- location, where what stands has no rival in what has vanished; with
		-- sessions elsewhere, and with an absence or a closure elsewhere that
		-- the agency takes
		SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day,
			CASE WHEN count(*) FILTER (WHERE v.claims AND v.stands) OVER here > 0
				THEN count(*) FILTER (WHERE v.claims AND v.stands) OVER here - (v.claims AND v.stands)::integer
				ELSE count(*) FILTER (WHERE v.claims) OVER here - v.claims::integer END AS rivals,
			count(*) FILTER (WHERE v.authorized AND v.came) OVER that_day - count(*) FILTER (WHERE v.authorized AND v.came) OVER here AS came_elsewhere,
			count(*) FILTER (WHERE v.authorized AND v.noted) OVER that_day - count(*) FILTER (WHERE v.authorized AND v.noted) OVER here AS noted_elsewhere,
			count(*) FILTER (WHERE v.authorized AND v.known) OVER that_day - count(*) FILTER (WHERE v.authorized AND v.known) OVER here AS known_elsewhere,
			string_agg(v.provider_id, ', ') FILTER (WHERE v.authorized AND v.known) OVER others AS others
		FROM (SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day, v.authorized, v.stands, s.location_id, v.authorized AND s.barred IS NULL AS claims, t.came IS TRUE AS came,
				n.noted AND t.came IS NOT TRUE AS noted, n.noted OR t.day IS NOT NULL AS known
			FROM covered v
			JOIN (SELECT v.agency_id, v.kinderconnect_child_id, v.day FROM covered v
				GROUP BY v.agency_id, v.kinderconnect_child_id, v.day HAVING count(*) > 1) m
				ON (m.agency_id, m.kinderconnect_child_id, m.day) = (v.agency_id, v.kinderconnect_child_id, v.day)
			JOIN site s ON (s.agency_id, s.provider_id) = (v.agency_id, v.provider_id)
			JOIN rules r ON (r.agency_id, r.day) = (v.agency_id, v.day)
			LEFT JOIN attended t ON (t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day)
				= (v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day)
			LEFT JOIN closure z ON (z.agency_id, z.provider_id, z.day) = (v.agency_id, v.provider_id, v.day)
			CROSS JOIN LATERAL (SELECT t.absent IS TRUE AND r.r ->> 'absences' IS DISTINCT FROM 'omit'
				OR (t.closed IS TRUE OR z.day IS NOT NULL) AND r.r ->> 'closures' IS DISTINCT FROM 'omit' AS noted) n) v
		WINDOW that_day AS (PARTITION BY v.agency_id, v.kinderconnect_child_id, v.day),
			here AS (PARTITION BY v.agency_id, v.kinderconnect_child_id, v.day, v.location_id),
			others AS (PARTITION BY v.agency_id, v.kinderconnect_child_id, v.day ORDER BY v.provider_id
				ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW)
	), neighbour AS MATERIALIZED (
		-- hardly ever any, nor of these: then the days below are not read
		SELECT s.agency_id, s.provider_id, o.provider_id AS other_id
		FROM site s JOIN site o ON (o.agency_id, o.location_id) = (s.agency_id, s.location_id) AND o.provider_id <> s.provider_id
	), mover AS MATERIALIZED (
		SELECT DISTINCT m.agency_id, m.kinderconnect_child_id, m.sent_as, m.provider_id
		FROM (SELECT k.agency_id, k.kinderconnect_child_id, k.sent_as, a.provider_id, min(a.provider_id) OVER w <> max(a.provider_id) OVER w AS moves
			FROM known_as k
			JOIN kinderconnect.authorization a ON (a.organization_id, a.agency_id, a.kinderconnect_child_id) = (organization, k.agency_id, k.sent_as)
			WINDOW w AS (PARTITION BY k.kinderconnect_child_id, k.agency_id)) m
		WHERE m.moves
	), sent AS (
		SELECT n.agency_id, n.other_id AS provider_id, d.kinderconnect_child_id, d.service_date AS day, d.provider_id AS sent_by,
			d.accepted_content, d.sent_content
		FROM kinderconnect.child_day d
		JOIN neighbour n ON (n.agency_id, n.provider_id) = (d.agency_id, d.provider_id)
		WHERE d.organization_id = organization AND d.service_date >= since
			AND (d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))
		UNION
		-- a provider ID may be another location's by now, or none's, and the
		-- child go by another id: the record says whose attendance it was
		SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day, d.provider_id, d.accepted_content, d.sent_content
		FROM mover m
		JOIN link k ON (k.agency_id, k.kinderconnect_child_id) = (m.agency_id, m.kinderconnect_child_id)
		CROSS JOIN LATERAL (SELECT d.* FROM kinderconnect.child_day d
			WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id) = (organization, m.agency_id, m.provider_id, m.sent_as)
				AND d.service_date >= since AND (d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown'))
			OFFSET 0) d
		CROSS JOIN LATERAL (SELECT l.location_id FROM kinderconnect.ledger l
			WHERE (l.organization_id, l.record_id) = (organization, coalesce(d.accepted_record_id, d.record_id)) AND l.child_id = k.child_id
			OFFSET 0) l
		JOIN covered v ON (v.agency_id, v.kinderconnect_child_id, v.day) = (m.agency_id, m.kinderconnect_child_id, d.service_date)
			AND v.provider_id <> m.provider_id
		JOIN site s ON (s.agency_id, s.provider_id, s.location_id) = (v.agency_id, v.provider_id, l.location_id)
		WHERE EXISTS (SELECT FROM mover)
	), elsewhere AS MATERIALIZED (
		-- sent under another provider ID, whatever became of that one: there is
		-- one attendance, and it is there already
		SELECT t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day,
			string_agg(format('provider %s %s', t.sent_by, coalesce('holds ' || t.accepted_content, 'may hold ' || t.sent_content)), '; '
				ORDER BY t.sent_by) AS facts
		FROM sent t
		GROUP BY t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day
	), stray AS MATERIALIZED (
		-- attendance that no authorization covers, under one provider ID of
		-- its location: one that takes part, and lists the child, else the first.
		-- Nobody asks for care that is not subsidized
		SELECT t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day
		FROM (SELECT DISTINCT ON (t.agency_id, t.location_id, t.kinderconnect_child_id, t.day) t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day,
				(x.days @> t.day) IS TRUE AS private
			FROM (SELECT t.* FROM attended t
				WHERE NOT EXISTS (SELECT FROM covered v JOIN site s ON (s.agency_id, s.provider_id) = (v.agency_id, v.provider_id)
					WHERE v.agency_id = t.agency_id AND s.location_id = t.location_id
						AND v.kinderconnect_child_id = t.kinderconnect_child_id AND v.day = t.day)
				OFFSET 0) t		-- hardly ever any
			JOIN site s ON (s.agency_id, s.provider_id) = (t.agency_id, t.provider_id)
			LEFT JOIN kinderconnect.listed_authorization l
				ON (l.organization_id, l.agency_id, l.provider_id, l.month, l.kinderconnect_child_id)
					= (organization, t.agency_id, t.provider_id, date_trunc('month', t.day)::date, t.kinderconnect_child_id)
				AND l.month >= date_trunc('month', since::timestamp)
			JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id)
				= (organization, t.agency_id, t.kinderconnect_child_id) AND c.subsidized
			LEFT JOIN private x ON (x.agency_id, x.provider_id, x.kinderconnect_child_id) = (t.agency_id, t.provider_id, t.kinderconnect_child_id)
			ORDER BY t.agency_id, t.location_id, t.kinderconnect_child_id, t.day, s.barred IS NOT NULL, l.provider_id IS NULL, private, t.provider_id) t
		WHERE NOT t.private
	), theirs AS MATERIALIZED (
		-- days that another provider ID of the location is authorized for: its
		-- attendance is said there
		SELECT n.agency_id, n.other_id AS provider_id, v.kinderconnect_child_id, v.day, string_agg(v.provider_id, ', ' ORDER BY v.provider_id) AS others
		FROM neighbour n
		JOIN site s ON (s.agency_id, s.provider_id) = (n.agency_id, n.provider_id) AND s.barred IS NULL
		JOIN covered v ON (v.agency_id, v.provider_id) = (n.agency_id, n.provider_id) AND v.authorized
		GROUP BY n.agency_id, n.other_id, v.kinderconnect_child_id, v.day
	), day AS (
		SELECT v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day FROM covered v WHERE v.authorized
		UNION
		SELECT t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day
		FROM attended t
		JOIN covered v ON (v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day) = (t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day)
		LEFT JOIN company w ON (w.agency_id, w.provider_id, w.kinderconnect_child_id, w.day) = (t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day)
		WHERE NOT v.authorized AND coalesce(w.rivals, 0) = 0
		UNION
		SELECT t.agency_id, t.provider_id, t.kinderconnect_child_id, t.day FROM stray t
		UNION
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date
		FROM kinderconnect.child_day d JOIN site s ON (s.agency_id, s.provider_id) = (d.agency_id, d.provider_id)
		WHERE d.organization_id = organization AND (d.service_date >= since OR d.void_wanted) AND (d.service_date >= s.first_day OR d.void_wanted)
	), session AS (
		-- ordered as a whole, for all that is gathered of it below
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day, p.check_in, p.check_out,
			date_trunc('minute', p.check_in) AS minute_in, date_trunc('minute', p.check_out) AS minute_out,
			p.wall_in, p.wall_out, to_char(p.wall_in, 'HH24:MI') AS said_in, to_char(p.wall_out, 'HH24:MI') AS said_out, p.zone, p.modified_at,
			date_trunc('minute', max(coalesce(p.check_out, p.check_in)) OVER before) AS busy_until
		FROM punch p WHERE p.kind = 'session' AND num_nonnulls(p.check_in, p.check_out) > 0
		WINDOW before AS (PARTITION BY p.kinderconnect_child_id, p.day, p.provider_id, p.agency_id
			ORDER BY coalesce(p.check_in, p.check_out), p.check_out ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
		ORDER BY p.kinderconnect_child_id, p.day, p.provider_id, p.agency_id, coalesce(p.check_in, p.check_out), p.check_out
	), sessions AS (
		SELECT s.agency_id, s.provider_id, s.kinderconnect_child_id, s.day, count(*) AS n,
			array_agg(s.wall_in::time) AS session_in,
			array_agg(s.wall_out::time) AS session_out,
			string_agg(concat(s.said_in, '-', s.said_out,
				' (+' || CASE WHEN isfinite(s.wall_out) THEN nullif(s.wall_out::date - s.day, 0) END || ')'), ' ') AS facts,
			string_agg(concat(s.said_in, '-', s.said_out), ' ') AS said,
			bool_or(s.check_in IS NULL) AS missing_in,
			bool_or(s.check_out IS NULL) AS missing_out,
			bool_or(s.check_out < s.check_in) AS out_before_in,
			bool_or(s.minute_out = s.minute_in) AS too_short,
			-- infinity less infinity is an error, and not of that session alone
			bool_or(s.check_out - interval '24 hours' > s.check_in
				OR s.wall_out - interval '24 hours' > s.wall_in) AS too_long,
			bool_or(coalesce(s.minute_in, s.minute_out) < s.busy_until
				OR num_nulls(s.check_in, s.check_out) = 1 AND coalesce(s.minute_in, s.minute_out) = s.busy_until) AS overlapping,
			bool_or(s.wall_out::date > s.day) AS over_midnight,
			bool_or(kinderconnect._is_second_reading(s.minute_in, s.wall_in, s.zone)
				OR kinderconnect._is_second_reading(s.minute_out, s.wall_out, s.zone)) AS ambiguous,
			max(s.modified_at) AS modified_at
		FROM session s
		GROUP BY s.kinderconnect_child_id, s.day, s.provider_id, s.agency_id
	), absence AS MATERIALIZED (
		SELECT p.agency_id, p.provider_id, p.kinderconnect_child_id, p.day,
			count(*) FILTER (WHERE p.kind = 'absence') AS absences,
			count(DISTINCT coalesce(kinderconnect.fold(p.reason), '')) FILTER (WHERE p.kind = 'absence') AS reasons,
			min(p.reason) FILTER (WHERE p.kind = 'absence') AS reason,
			count(*) FILTER (WHERE p.kind = 'closure') AS closures,
			string_agg(DISTINCT coalesce(p.kind, 'null'), ', ') FILTER (WHERE (p.kind IN ('absence', 'closure')) IS NOT TRUE) AS unknown,
			max(p.modified_at) AS modified_at
		FROM punch p WHERE p.kind IS DISTINCT FROM 'session'
		GROUP BY p.kinderconnect_child_id, p.day, p.provider_id, p.agency_id
	), facts AS (
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day, s.location_id, s.zone, s.barred,
			(s.void_anyway AND e.reason = 'source_shrank') IS TRUE AS void_anyway, d.day < s.today AS finished,
			coalesce(v.authorized, false) AS authorized, v.day IS NOT NULL AS covered, p.ended, k.child_id, k.flag,
			CASE WHEN foresee THEN k.unlinked_because ELSE c.unlinked_because END AS unlinked_because,
			r.r AS rules, n.n AS sessions, n.session_in, n.session_out, n.facts, n.said, n.missing_in, n.missing_out, n.out_before_in,
			n.too_short, n.too_long, n.overlapping, n.over_midnight, n.ambiguous, y.facts AS crossing,
			coalesce(a.absences, 0) AS absences, coalesce(a.reasons, 0) AS reasons, a.reason AS manage_reason,
			coalesce(a.closures, 0) + (z.day IS NOT NULL)::integer AS closures,
			m.code AS reason_code,
			EXISTS (SELECT FROM kinderconnect.absence_reason l WHERE l.agency_id = d.agency_id) AS reasons_listed,
			CASE WHEN e.accepted_content IS NULL THEN x.facts END AS merged,
			CASE WHEN e.accepted_content IS NULL THEN h.facts END AS elsewhere,
			w.rivals > 0 AS rival_here, w.came_elsewhere > 0 AS came_elsewhere, w.noted_elsewhere > 0 AS noted_elsewhere,
			w.known_elsewhere > 0 AS known_elsewhere, coalesce(w.others, q.others) AS others, q.others IS NOT NULL AS is_theirs, greatest(n.modified_at, a.modified_at) AS modified_at,
			coalesce(n.n, 0) + coalesce(a.absences, 0) + coalesce(a.closures, 0) = 0 AND a.unknown IS NULL AS silent, a.unknown,
			md5(concat_ws('|', k.child_id, k.flag, s.location_id, v.by, r.words)) AS basis,
			e.state AS was, e.content AS was_content, e.accepted_kind, e.accepted_content, e.accepted_record_id, e.sent_content, e.sent_basis,
			coalesce(e.void_wanted AND e.accepted_content IS NOT NULL, false) AS wish
		FROM day d
		JOIN site s ON (s.agency_id, s.provider_id) = (d.agency_id, d.provider_id)
		JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (organization, d.agency_id, d.kinderconnect_child_id)
		JOIN rules r ON (r.agency_id, r.day) = (d.agency_id, d.day)
		LEFT JOIN covered v ON (v.agency_id, v.provider_id, v.kinderconnect_child_id, v.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN company w ON (w.agency_id, w.provider_id, w.kinderconnect_child_id, w.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN theirs q ON (q.agency_id, q.provider_id, q.kinderconnect_child_id, q.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN lapsed p ON (p.agency_id, p.provider_id, p.kinderconnect_child_id) = (d.agency_id, d.provider_id, d.kinderconnect_child_id)
		LEFT JOIN link k ON (k.agency_id, k.kinderconnect_child_id) = (d.agency_id, d.kinderconnect_child_id)
		LEFT JOIN crossing y ON (y.agency_id, y.provider_id, y.kinderconnect_child_id, y.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN merged x ON (x.agency_id, x.provider_id, x.kinderconnect_child_id, x.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN elsewhere h ON (h.agency_id, h.provider_id, h.kinderconnect_child_id, h.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN sessions n ON (n.agency_id, n.provider_id, n.kinderconnect_child_id, n.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN absence a ON (a.agency_id, a.provider_id, a.kinderconnect_child_id, a.day) = (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
		LEFT JOIN closure z ON (z.agency_id, z.provider_id, z.day) = (d.agency_id, d.provider_id, d.day)
		LEFT JOIN kinderconnect.absence_reason m ON m.agency_id = d.agency_id AND kinderconnect.fold(m.reason) = kinderconnect.fold(a.reason)
		LEFT JOIN kinderconnect.child_day e ON (e.organization_id, e.agency_id, e.provider_id, e.kinderconnect_child_id, e.service_date)
			= (organization, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.day)
			AND (e.service_date >= since OR e.void_wanted)
		WHERE d.day <= s.last_day
			-- with voids all are looked at, see counted
			AND (can_void OR (agency IS NULL OR d.agency_id = agency) AND (provider IS NULL OR d.provider_id = provider))
	), spoken AS (
		SELECT f.*, k.said_kind,
			-- who the day belongs to
			CASE
				WHEN f.barred IS NOT NULL THEN f.barred
				WHEN f.child_id IS NULL THEN 'unmatched'
				WHEN f.flag <> 'name_changed' THEN f.flag
				WHEN f.merged IS NOT NULL THEN 'merged_child'
				WHEN NOT f.covered AND f.ended < f.day THEN 'authorization_ended'
				WHEN NOT f.covered THEN 'not_authorized'
				WHEN NOT f.authorized THEN 'not_authorized_weekday'
				WHEN f.elsewhere IS NOT NULL AND k.said_kind IS NOT NULL THEN 'two_providers'
				WHEN f.rival_here AND f.sessions > 0 THEN 'two_providers'
				WHEN (f.rival_here OR f.noted_elsewhere)
					AND (k.said_kind = 'absence' AND f.rules ->> 'absences' IS DISTINCT FROM 'omit'
						OR k.said_kind = 'closure' AND f.rules ->> 'closures' IS DISTINCT FROM 'omit') THEN 'two_providers'
			END AS stranger,
			-- whether what Manage says can be said to the service. What it has
			-- accepted was, whatever a rule has come to be since
			CASE
				WHEN f.unknown IS NOT NULL THEN 'unknown_kind'
				WHEN f.sessions IS NULL AND (f.came_elsewhere OR f.absences = 0 AND f.closures = 0) THEN NULL
				WHEN f.sessions > 0 AND f.absences + f.closures > 0 OR f.absences > 0 AND f.closures > 0
					OR f.reasons > 1 AND f.rules ->> 'absence_reasons' IS NULL THEN 'conflict'
				WHEN f.out_before_in THEN 'out_before_in'
				WHEN f.too_long THEN 'too_long'
				WHEN f.too_short THEN 'too_short'
				WHEN f.overlapping OR f.crossing IS NOT NULL THEN 'overlapping_sessions'
				WHEN f.missing_out AND f.rules ->> 'lone_punch' IS DISTINCT FROM 'send' THEN 'missing_check_out'
				WHEN f.missing_in AND f.rules ->> 'lone_punch' IS DISTINCT FROM 'send' THEN 'missing_check_in'
				WHEN f.over_midnight AND f.rules ->> 'overnight' IS NULL AND NOT k.stands THEN 'over_midnight'
				WHEN f.ambiguous THEN 'clock_change'
				WHEN f.sessions > least((f.rules ->> 'sessions_per_day')::integer, (f.rules ->> 'slots')::integer) AND NOT k.stands THEN 'too_many_sessions'
				-- the service refuses the whole call for what cannot be a code
				WHEN f.absences > 0 AND f.rules ->> 'absence_reasons' IS NULL AND f.manage_reason IS NOT NULL AND f.reason_code IS NULL AND NOT k.stands
					AND (f.reasons_listed OR length(f.manage_reason) > 64 OR f.manage_reason ~ '[[:cntrl:]]') THEN 'absence_reason'
			END AS unsayable
		FROM facts f
		-- A child that came to another of its providers was there: that an
		-- absence or a closure is noted here too claims nothing. What the
		-- agency takes none of leaves nothing to say in place of what it holds
		CROSS JOIN LATERAL (SELECT CASE
				WHEN f.sessions > 0 THEN 'session'
				WHEN f.came_elsewhere THEN NULL
				WHEN f.absences > 0 THEN CASE WHEN (f.rules ->> 'absences' = 'omit' AND f.accepted_kind <> 'absence') IS NOT TRUE THEN 'absence' END
				WHEN f.closures > 0 THEN CASE WHEN (f.rules ->> 'closures' = 'omit' AND f.accepted_kind <> 'closure') IS NOT TRUE THEN 'closure' END
			END AS said_kind,
			(coalesce(f.said, 'absence ' || f.manage_reason) = f.accepted_content) IS TRUE AS stands) k
		OFFSET 0		-- or each use below has it computed again
	), weighed AS (
		-- a call of content() for each day takes longer than all of this
		SELECT s.*, v.void_wanted, k.kind, t.sayable_in, t.sayable_out, t.absence_reason,
			((s.day + 1 + coalesce(CASE WHEN s.accepted_content IS NOT NULL THEN s.rules ->> 'correction_window_days' END,
				s.rules ->> 'entry_window_days')::integer)::timestamp AT TIME ZONE s.zone) AS window_ends,
			CASE k.kind WHEN 'session' THEN s.said WHEN 'absence' THEN concat_ws(' ', 'absence', t.absence_reason) ELSE k.kind END AS content,
			-- true: all of it is; false: its sessions are, and Manage made absences of them
			CASE WHEN s.accepted_content IS NOT NULL AND s.unsayable IS NULL AND s.stranger IS NULL AND s.was NOT IN ('sending', 'unknown') THEN
				CASE WHEN s.said_kind IS NULL THEN true WHEN s.accepted_kind = 'session' AND s.said_kind <> 'session' THEN false END
			END AS gone
		FROM spoken s
		-- what a person wants taken back is, as long as it has no authorization or link
		CROSS JOIN LATERAL (SELECT s.wish AND s.stranger IN ('unmatched', 'not_authorized', 'authorization_ended', 'not_authorized_weekday') IS TRUE AS void_wanted) v
		CROSS JOIN LATERAL (SELECT CASE WHEN s.unsayable IS NULL AND NOT v.void_wanted THEN s.said_kind END AS kind) k
		CROSS JOIN LATERAL (SELECT CASE WHEN k.kind = 'session' THEN s.session_in END AS sayable_in,
			CASE WHEN k.kind = 'session' THEN s.session_out END AS sayable_out,
			CASE WHEN k.kind = 'absence' AND s.rules ->> 'absence_reasons' IS NULL THEN coalesce(s.reason_code, s.manage_reason) END AS absence_reason) t
	), counted AS (
		-- over all days of the provider: a night limited to one must see it too;
		-- and over all providers, for many small ones may lose all they have,
		-- and even one day must not go because Manage is empty
		SELECT w.*,
			count(w.gone) OVER p AS losses,
			count(*) FILTER (WHERE w.accepted_content IS NOT NULL) OVER p AS held_there,
			count(w.gone) FILTER (WHERE NOT w.void_anyway) OVER () AS all_losses,
			count(*) FILTER (WHERE w.accepted_content IS NOT NULL AND NOT w.void_anyway) OVER () AS all_held_there,
			NOT EXISTS (SELECT FROM punch) AS nothing_left
		FROM weighed w
		WINDOW p AS (PARTITION BY w.agency_id, w.provider_id)
	), judged AS (
		-- '!' marks a state with a reason; the first that holds
		SELECT c.*,
			CASE
				WHEN c.was IN ('sending', 'unknown') THEN c.was
				WHEN c.void_wanted THEN CASE WHEN c.sent_content = 'void' AND c.was = 'rejected' AND c.sent_basis = c.basis THEN 'rejected'
					WHEN c.window_ends <= at THEN '!window_closed' ELSE 'ready' END
				WHEN c.accepted_content IS NOT NULL AND c.stranger IN ('unmatched', 'not_authorized', 'authorization_ended', 'not_authorized_weekday') THEN '!authorization_lost'
				WHEN c.accepted_content IS NOT NULL AND c.content = c.accepted_content THEN 'accepted'
				WHEN c.silent AND c.accepted_content IS NULL AND c.stranger IN ('not_authorized', 'authorization_ended', 'not_authorized_weekday') THEN '!not_authorized_any_more'
				WHEN c.is_theirs AND c.accepted_content IS NULL AND c.stranger IN ('not_authorized', 'authorization_ended', 'not_authorized_weekday') THEN '!other_provider'
				WHEN c.stranger IS NOT NULL THEN '!' || c.stranger
				WHEN c.unsayable IS NOT NULL THEN '!' || c.unsayable
				WHEN c.content IS NULL AND c.accepted_content IS NULL AND c.was = 'voided' THEN 'voided'
				WHEN c.content IS NULL AND c.accepted_content IS NULL AND (c.came_elsewhere OR c.known_elsewhere) THEN '!other_provider'
				WHEN c.content IS NULL AND c.accepted_content IS NULL THEN '!nothing_recorded'
				WHEN c.kind = 'closure' AND c.rules ->> 'closures' = 'omit' AND c.accepted_content IS NULL THEN '!closure_not_taken'
				WHEN c.kind = 'absence' AND c.rules ->> 'absences' = 'omit' AND c.accepted_content IS NULL THEN '!absence_not_taken'
				WHEN c.window_ends <= at THEN '!window_closed'
				WHEN c.gone AND NOT can_void THEN '!cannot_void'
				WHEN c.accepted_content IS NOT NULL AND NOT c.void_anyway AND NOT (c.was = 'ready' AND c.was_content IS NOT DISTINCT FROM c.content)
					AND (c.gone IS NOT NULL AND (c.losses >= shrink_floor AND c.losses * 100 > c.held_there * (100 - shrink_ratio)
							OR c.all_losses >= shrink_floor AND c.all_losses * 100 > c.all_held_there * (100 - shrink_ratio)
							OR c.nothing_left)
						-- what it was accepted of may still stand there
						OR (SELECT l.location_id FROM kinderconnect.ledger l WHERE (l.organization_id, l.record_id) = (organization, c.accepted_record_id))
							<> c.location_id) THEN '!source_shrank'
				WHEN c.was = 'rejected' AND c.sent_content = coalesce(c.content, 'void') AND c.sent_basis = c.basis THEN 'rejected'
				WHEN NOT c.finished THEN '!unfinished_day'
				ELSE 'ready'
			END AS verdict
		FROM counted c
		OFFSET 0		-- as in spoken
	)
	SELECT j.agency_id, j.provider_id, j.kinderconnect_child_id, j.day, j.authorized, j.location_id, j.child_id,
		CASE WHEN j.verdict NOT LIKE '!%' THEN j.verdict
			WHEN j.verdict IN ('!other_provider', '!closure_not_taken', '!absence_not_taken', '!not_authorized_any_more') THEN 'not_due'
			ELSE 'held' END,
		CASE WHEN j.verdict LIKE '!%' THEN substr(j.verdict, 2) END,
		CASE
			WHEN j.verdict LIKE '!%' THEN nullif(concat_ws(', ',
				CASE
					WHEN j.verdict = '!unmatched' OR j.verdict = '!authorization_lost' AND j.stranger = 'unmatched' THEN j.unlinked_because
					WHEN j.verdict = '!authorization_lost' THEN j.stranger
					WHEN j.verdict = '!authorization_ended' THEN 'ended ' || to_char(j.ended, 'YYYY-MM-DD')
					WHEN j.verdict = '!window_closed' THEN 'closed ' || to_char(j.window_ends AT TIME ZONE j.zone, 'YYYY-MM-DD')
					WHEN j.verdict = '!absence_reason' THEN j.manage_reason
					WHEN j.verdict = '!unknown_kind' THEN j.unknown
					WHEN j.verdict = '!two_providers' AND j.elsewhere IS NOT NULL THEN j.elsewhere
					WHEN j.verdict IN ('!two_providers', '!other_provider') THEN 'provider ' || j.others
					WHEN j.verdict = '!merged_child' THEN j.merged
					WHEN j.verdict = '!source_shrank' THEN concat_ws(', ', CASE WHEN j.gone IS NOT NULL THEN format('%s of %s accepted days', j.losses, j.held_there) END,
						(SELECT 'accepted of location ' || l.location_id FROM kinderconnect.ledger l
						WHERE (l.organization_id, l.record_id) = (organization, j.accepted_record_id) AND l.location_id <> j.location_id))
				END,
				j.facts, CASE WHEN j.verdict <> '!absence_reason' THEN nullif(j.absences, 0) || ' absence(s)' END, nullif(j.closures, 0) || ' closure(s)', j.crossing), '')
		END,
		j.kind, j.sayable_in, j.sayable_out, j.absence_reason, j.content, j.window_ends, j.basis, j.modified_at, j.finished
	FROM judged j
	WHERE (agency IS NULL OR j.agency_id = agency) AND (provider IS NULL OR j.provider_id = provider)
		AND j.day BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity');
END;
$$;
COMMENT ON FUNCTION kinderconnect._planned(text, text, text, date, date, boolean, timestamptz) IS
'what is to be done with every child-day of an organization in the horizon, as of a moment; foresee: by the links that tonight would make, and today''s days too. Changes nothing. The columns are those of child_day; finished is false for today''s';

-- To plan the judgement takes as long as to judge 200 days. Of many organizations
-- each is a small part of every table, and one plan is right for all; of a few
-- the dates decide whether an index is used, unless there is little to read.
CREATE OR REPLACE FUNCTION kinderconnect._plan(organization text, agency text, provider text, from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
AS $$
DECLARE
	planned_at timestamptz := clock_timestamp();
	run        bigint;
BEGIN
	SELECT max(o.run_id) INTO run
	FROM kinderconnect.run_organization o JOIN kinderconnect.run r ON r.run_id = o.run_id
	WHERE o.organization_id = organization AND o.locked AND r.ended_at IS NULL;
	PERFORM kinderconnect._note_zones(organization);
	-- whoever accepts now that days are gone has the next plan in mind
	PERFORM FROM kinderconnect.list_state l WHERE l.organization_id = organization AND l.operation = 'attendance' FOR UPDATE;
	IF (SELECT count(*) FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.locked)
			> (CASE WHEN pg_relation_size('kinderconnect.child_day') < 8388608 THEN 1 ELSE 8 END) THEN
		PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);		-- as long as this function runs
	END IF;

	WITH planned AS MATERIALIZED (
		SELECT * FROM kinderconnect._planned(organization, agency, provider, from_date, to_date, false)
	), apart AS MATERIALIZED (
		SELECT p.*, d.state AS was_state, d.reason AS was_reason, d.detail AS was_detail, d.content AS was_content, d.modified_at AS was_modified_at,
			d.accepted_content AS was_accepted, d.void_wanted AS was_wanted
		FROM planned p
		LEFT JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
		WHERE d.state IS NULL
			OR (d.authorized, d.location_id, d.child_id, d.state, d.reason, d.detail, d.content, d.absence_reason, d.window_ends, d.basis)
				IS DISTINCT FROM (p.authorized, p.location_id, p.child_id, p.state, p.reason, p.detail, p.content, p.absence_reason, p.window_ends, p.basis)
	), known AS (
		UPDATE kinderconnect.child_day d
		SET authorized = p.authorized, location_id = p.location_id, child_id = p.child_id, state = p.state, reason = p.reason,
			detail = p.detail, kind = p.kind, session_in = p.session_in, session_out = p.session_out,
			absence_reason = p.absence_reason, content = p.content, window_ends = p.window_ends, modified_at = p.modified_at, basis = p.basis,
			code = CASE WHEN p.state = 'rejected' THEN d.code END,
			message = CASE WHEN p.state = 'rejected' THEN d.message END,
			void_wanted = d.void_wanted AND (p.authorized AND p.child_id IS NOT NULL) IS NOT TRUE, changed_at = now()
		FROM apart p
		WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
				= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
			-- what a person decided meanwhile stands, until the next plan
			AND (d.state, d.accepted_content, d.void_wanted) IS NOT DISTINCT FROM (p.was_state, p.was_accepted, p.was_wanted)
		RETURNING d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date
	), since AS MATERIALIZED (
		-- read with the plan: somebody may change it meanwhile
		SELECT o.first_enabled - o.backfill_days AS start FROM kinderconnect.organization o WHERE o.organization_id = organization
	), passed AS (
		-- what tonight's plan does not look at, tonight's transfer must not
		-- send; a day may be unfinished again at a site that moved west
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, d.state AS was_state, d.reason AS was_reason, d.detail AS was_detail,
			d.content, d.modified_at, CASE WHEN r.reason = 'before_start' THEN 'not_due' ELSE 'held' END AS state, r.reason
		FROM kinderconnect.child_day d
		CROSS JOIN LATERAL (SELECT CASE WHEN d.service_date < (SELECT y.start FROM since y) AND d.accepted_content IS NULL THEN 'before_start'
			WHEN d.service_date >= (now() AT TIME ZONE 'Pacific/Honolulu')::date THEN 'unfinished_day' ELSE 'horizon_passed' END AS reason) r
		WHERE d.organization_id = organization AND d.state = 'ready'
			AND (agency IS NULL OR d.agency_id = agency) AND (provider IS NULL OR d.provider_id = provider)
			AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
			AND NOT EXISTS (SELECT FROM planned p
				WHERE (p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
					= (d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date))
		UNION ALL
		-- nor does anything wait for a person of what was planned while the
		-- organization looked on, and is older than what it sends
		SELECT d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date, d.state, d.reason, d.detail, d.content, d.modified_at, 'not_due', 'before_start'
		FROM kinderconnect.child_day d
		WHERE d.organization_id = organization AND d.state = 'held' AND d.accepted_content IS NULL
			AND (agency IS NULL OR d.agency_id = agency) AND (provider IS NULL OR d.provider_id = provider)
			AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
			AND d.service_date < (SELECT y.start FROM since y) AND d.service_date >= (now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer
	), stopped AS (
		UPDATE kinderconnect.child_day d
		SET state = p.state, reason = p.reason, detail = NULL, changed_at = now()
		FROM passed p
		WHERE (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
	), step AS (
		INSERT INTO kinderconnect.child_day_step
			(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, at, run_id,
			was_state, was_reason, was_detail, was_content, was_modified_at, state, reason, detail, content, modified_at)
		SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, planned_at, run,
			p.was_state, p.was_reason, p.was_detail, p.was_content, p.was_modified_at, p.state, p.reason, p.detail, p.content, p.modified_at
		FROM apart p
		JOIN known k ON (k.agency_id, k.provider_id, k.kinderconnect_child_id, k.service_date)
			= (p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date)
		WHERE (p.was_state, p.was_reason, p.was_detail, p.was_content) IS DISTINCT FROM (p.state, p.reason, p.detail, p.content)
		UNION ALL
		SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, planned_at, run,
			p.was_state, p.was_reason, p.was_detail, p.content, p.modified_at, p.state, p.reason, NULL, p.content, p.modified_at
		FROM passed p
	)
	INSERT INTO kinderconnect.child_day
		(organization_id, agency_id, provider_id, kinderconnect_child_id, service_date, authorized, location_id, child_id,
		state, reason, detail, kind, session_in, session_out, absence_reason, content, window_ends, modified_at, basis, planned_at)
	SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, p.authorized, p.location_id, p.child_id,
		p.state, p.reason, p.detail, p.kind, p.session_in, p.session_out, p.absence_reason, p.content, p.window_ends, p.modified_at, p.basis, planned_at
	FROM apart p
	WHERE p.was_state IS NULL;

	-- an acceptance is for one plan of the whole; a limited one leaves the rest
	-- of it for the next
	INSERT INTO kinderconnect.list_state AS l (organization_id, operation, agency_id, provider_id, set_aside_at)
	SELECT DISTINCT organization, 'attendance', d.agency_id, d.provider_id, now()
	FROM kinderconnect.child_day d WHERE d.organization_id = organization AND d.reason = 'source_shrank'
	ON CONFLICT (organization_id, operation, customer_id, agency_id, provider_id, month) DO UPDATE
	SET set_aside_at = coalesce(l.set_aside_at, excluded.set_aside_at),
		accept_shrink = l.accept_shrink AND num_nonnulls(agency, provider, from_date, to_date) > 0;
	DELETE FROM kinderconnect.list_state l
	WHERE l.organization_id = organization AND l.operation = 'attendance'
		AND NOT EXISTS (SELECT FROM kinderconnect.child_day d
			WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, l.agency_id, l.provider_id) AND d.reason = 'source_shrank');
END;
$$;
COMMENT ON FUNCTION kinderconnect._plan(text, text, text, date, date) IS
'writes down what is to be done with every child-day; days under way are left as they are, only what Manage says is brought up to date';

CREATE OR REPLACE FUNCTION kinderconnect.set_schedule(organization_id text, cadence text DEFAULT 'nightly', local_time time DEFAULT '00:15',
		days text[] DEFAULT NULL, anchor date DEFAULT NULL, month_days integer[] DEFAULT NULL,
		agency_id text DEFAULT NULL, provider_id text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	weekdays text[] := (SELECT array_agg(upper(btrim(d)) ORDER BY n) FROM unnest(set_schedule.days) WITH ORDINALITY u(d, n));
	needs    text := CASE set_schedule.cadence WHEN 'weekly' THEN 'days' WHEN 'every_other_week' THEN 'anchor' WHEN 'monthly' THEN 'month_days' END;
	given    text[] := array_remove(ARRAY[CASE WHEN set_schedule.days IS NOT NULL THEN 'days' END,
		CASE WHEN set_schedule.anchor IS NOT NULL THEN 'anchor' END, CASE WHEN set_schedule.month_days IS NOT NULL THEN 'month_days' END], NULL);
	stray    text;
BEGIN
	PERFORM kinderconnect._require_organization(set_schedule.organization_id);
	IF set_schedule.cadence IS NULL OR set_schedule.local_time IS NULL THEN
		RAISE EXCEPTION 'cadence and local_time must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF set_schedule.cadence NOT IN ('nightly', 'weekdays', 'weekly', 'every_other_week', 'monthly') THEN
		RAISE EXCEPTION 'unknown cadence "%"', set_schedule.cadence
			USING ERRCODE = 'invalid_parameter_value', HINT = 'One of nightly, weekdays, weekly, every_other_week, monthly.';
	END IF;
	IF set_schedule.local_time = '24:00' THEN
		RAISE EXCEPTION 'local_time 24:00 is no time of a day'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Midnight is 00:00 of the next day.';
	END IF;
	IF needs IS NOT NULL AND needs <> ALL (given) THEN
		RAISE EXCEPTION 'cadence "%" needs %', set_schedule.cadence, needs
			USING ERRCODE = 'null_value_not_allowed', HINT = CASE needs
				WHEN 'days' THEN 'For example days => ''{TU}''.'
				WHEN 'anchor' THEN 'A date on which it runs; the others are every 14 days before and after it.'
				ELSE 'For example month_days => ''{1,16}''; 31 is the last day of each month.' END;
	END IF;
	SELECT g INTO stray FROM unnest(given) g WHERE g IS DISTINCT FROM needs LIMIT 1;
	IF stray IS NOT NULL THEN
		RAISE EXCEPTION 'cadence "%" takes no %', set_schedule.cadence, stray
			USING ERRCODE = 'invalid_parameter_value', HINT = 'days is for weekly, anchor for every_other_week, month_days for monthly.';
	END IF;
	SELECT coalesce(d, 'null') INTO stray FROM unnest(weekdays) d
	WHERE (d IN ('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU')) IS NOT TRUE LIMIT 1;
	IF stray IS NOT NULL OR cardinality(set_schedule.days) = 0 THEN
		RAISE EXCEPTION 'unknown weekday "%"', coalesce(stray, '')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'MO, TU, WE, TH, FR, SA, SU.';
	END IF;
	IF NOT isfinite(set_schedule.anchor) THEN
		RAISE EXCEPTION 'anchor must be a date' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT coalesce(d::text, 'null') INTO stray FROM unnest(set_schedule.month_days) d WHERE (d BETWEEN 1 AND 31) IS NOT TRUE LIMIT 1;
	IF stray IS NOT NULL OR cardinality(set_schedule.month_days) = 0 THEN
		RAISE EXCEPTION 'no month has a day %', coalesce(stray, 'of none')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Days are 1 to 31; 31 is the last day of each month.';
	END IF;
	IF set_schedule.provider_id IS NOT NULL AND set_schedule.agency_id IS NULL THEN
		RAISE EXCEPTION 'provider_id needs agency_id' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM kinderconnect._require_provider(set_schedule.organization_id, set_schedule.agency_id, set_schedule.provider_id);

	INSERT INTO kinderconnect.timetable (organization_id, agency_id, provider_id, cadence, local_time, days, anchor, month_days)
	VALUES (set_schedule.organization_id, coalesce(set_schedule.agency_id, ''), coalesce(set_schedule.provider_id, ''), set_schedule.cadence,
		set_schedule.local_time, weekdays, set_schedule.anchor, set_schedule.month_days)
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET cadence = excluded.cadence, local_time = excluded.local_time, days = excluded.days, anchor = excluded.anchor, month_days = excluded.month_days;
	PERFORM kinderconnect._look_again();
END;
$$;
COMMENT ON FUNCTION kinderconnect.set_schedule(text, text, time, text[], date, integer[], text, text) IS
'when the night of an organization runs, or of one agency or provider of it: cadence and time of day on each location''s own clock, as in timetable. View due shows what comes of it';

CREATE OR REPLACE FUNCTION kinderconnect.clear_schedule(organization_id text, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM kinderconnect._require_organization(clear_schedule.organization_id);
	DELETE FROM kinderconnect.timetable t
	WHERE (t.organization_id, t.agency_id, t.provider_id)
		= (clear_schedule.organization_id, coalesce(clear_schedule.agency_id, ''), coalesce(clear_schedule.provider_id, ''));
	IF FOUND THEN
		PERFORM kinderconnect._look_again();
		RETURN true;
	END IF;
	RETURN false;
END;
$$;
COMMENT ON FUNCTION kinderconnect.clear_schedule(text, text, text) IS
'takes back one set_schedule(): a provider goes by its agency''s timetable again, an agency by the organization''s, an organization by nightly at 00:15. False where there was none';

-- STABLE, as adding an interval is: else it would not be inlined.
CREATE OR REPLACE FUNCTION kinderconnect._due_at(scheduled timestamptz, covered_at timestamptz, attempted_at timestamptz, ended_at timestamptz, failures integer, sqlstate text)
	RETURNS timestamptz
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN CASE
		WHEN covered_at >= scheduled THEN NULL
		WHEN attempted_at >= scheduled THEN coalesce(ended_at, attempted_at) + kinderconnect._retry_after(failures, sqlstate)
		ELSE scheduled
	END;
COMMENT ON FUNCTION kinderconnect._due_at(timestamptz, timestamptz, timestamptz, timestamptz, integer, text) IS
'from when on a run is due that covers a scheduled instant; null: one has. However many instants were missed, one run covers them';

-- Zones and timetables are few: each pair is worked out once.
CREATE FUNCTION kinderconnect._due_as_of(at timestamptz, organizations text[] DEFAULT NULL)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, cadence text, local_time time, days text[], anchor date, month_days integer[],
		time_zone text, scheduled_at timestamptz, attempted_at timestamptz, covered_at timestamptz, failures integer, failing_since timestamptz, sqlstate text,
		due_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH unit AS (
		SELECT p.organization_id, p.agency_id, p.provider_id FROM kinderconnect.provider_standing p
		WHERE p.barred IS NULL AND p.organization_id = ANY (coalesce(organizations, ARRAY(SELECT o.organization_id FROM kinderconnect.organization o)))
		UNION ALL
		SELECT o.organization_id, '', '' FROM kinderconnect.organization o
		WHERE o.enabled AND (organizations IS NULL OR o.organization_id = ANY (organizations))
			AND NOT EXISTS (SELECT FROM kinderconnect.provider_standing p WHERE p.organization_id = o.organization_id AND p.barred IS NULL)
	), timed AS MATERIALIZED (
		SELECT u.organization_id, u.agency_id, u.provider_id,
			coalesce(t.cadence, a.cadence, o.cadence, 'nightly') AS cadence,
			coalesce(t.local_time, a.local_time, o.local_time, '00:15') AS local_time,
			CASE WHEN t.cadence IS NOT NULL THEN t.days WHEN a.cadence IS NOT NULL THEN a.days ELSE o.days END AS days,
			CASE WHEN t.cadence IS NOT NULL THEN t.anchor WHEN a.cadence IS NOT NULL THEN a.anchor ELSE o.anchor END AS anchor,
			CASE WHEN t.cadence IS NOT NULL THEN t.month_days WHEN a.cadence IS NOT NULL THEN a.month_days ELSE o.month_days END AS month_days,
			coalesce(c.time_zone, g.time_zone, 'Pacific/Honolulu') AS time_zone,
			c.attempted_at, c.ended_at, c.covered_at, coalesce(c.failures, 0) AS failures, c.failing_since, c.sqlstate
		FROM unit u
		LEFT JOIN kinderconnect.provider_clock c ON (c.organization_id, c.agency_id, c.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
		LEFT JOIN kinderconnect.agency g ON g.agency_id = u.agency_id
		LEFT JOIN kinderconnect.timetable t ON u.provider_id <> '' AND (t.organization_id, t.agency_id, t.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
		LEFT JOIN kinderconnect.timetable a ON u.agency_id <> '' AND (a.organization_id, a.agency_id, a.provider_id) = (u.organization_id, u.agency_id, '')
		LEFT JOIN kinderconnect.timetable o ON (o.organization_id, o.agency_id, o.provider_id) = (u.organization_id, '', '')
	), clock AS MATERIALIZED (
		SELECT k.*, kinderconnect._scheduled(k.cadence, k.local_time, k.days, k.anchor, k.month_days, k.time_zone, at) AS scheduled_at
		FROM (SELECT DISTINCT t.cadence, t.local_time, t.days, t.anchor, t.month_days, t.time_zone FROM timed t) k
	)
	SELECT t.organization_id, t.agency_id, t.provider_id, t.cadence, t.local_time, t.days, t.anchor, t.month_days, t.time_zone,
		k.scheduled_at, t.attempted_at, t.covered_at, t.failures, t.failing_since, t.sqlstate,
		kinderconnect._due_at(k.scheduled_at, t.covered_at, t.attempted_at, t.ended_at, t.failures, t.sqlstate)
	FROM timed t
	JOIN clock k ON (k.cadence, k.local_time, k.time_zone) = (t.cadence, t.local_time, t.time_zone)
		AND (k.days, k.anchor, k.month_days) IS NOT DISTINCT FROM (t.days, t.anchor, t.month_days);
END;
COMMENT ON FUNCTION kinderconnect._due_as_of(timestamptz, text[]) IS
'every provider, of all organizations or of these, that takes part, its timetable, what became of it last, and from when on it is due as of an instant; of an organization without one, itself';

CREATE VIEW kinderconnect.due AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.cadence, d.local_time, d.days, d.anchor, d.month_days, d.time_zone,
	d.scheduled_at, d.attempted_at, d.covered_at, d.failures, d.failing_since, d.sqlstate, d.due_at, (d.due_at <= now()) IS TRUE AS is_due,
	kinderconnect._scheduled(d.cadence, d.local_time, d.days, d.anchor, d.month_days, d.time_zone, now(), true) AS next_at
FROM kinderconnect._due_as_of(now()) d;
COMMENT ON VIEW kinderconnect.due IS
'when each provider''s night runs, by its own clock, and whether it has; agency and provider empty: an organization of which no provider is known yet';
COMMENT ON COLUMN kinderconnect.due.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.due.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.due.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.due.cadence IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.local_time IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.days IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.anchor IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.month_days IS 'as in timetable';
COMMENT ON COLUMN kinderconnect.due.time_zone IS 'the clock it goes by';
COMMENT ON COLUMN kinderconnect.due.scheduled_at IS 'the last instant of the timetable';
COMMENT ON COLUMN kinderconnect.due.attempted_at IS 'begin of the last run that was to cover it';
COMMENT ON COLUMN kinderconnect.due.covered_at IS 'begin of the last run that did';
COMMENT ON COLUMN kinderconnect.due.failures IS 'runs since then that did not';
COMMENT ON COLUMN kinderconnect.due.failing_since IS 'begin of the first of these';
COMMENT ON COLUMN kinderconnect.due.sqlstate IS 'why the last one did not';
COMMENT ON COLUMN kinderconnect.due.due_at IS 'from when on the next tick runs it; null: scheduled_at is covered';
COMMENT ON COLUMN kinderconnect.due.is_due IS 'the next tick runs it, unless a run is busy with its organization';
COMMENT ON COLUMN kinderconnect.due.next_at IS 'the next instant of the timetable';

-- Whose run is under way is not due: it would only be told so. It is while it
-- has a run lock (KC_LOCK_CLASS of engine.c): the session of one that was
-- cancelled may live on, and that of one that died have left its number to
-- another.
CREATE FUNCTION kinderconnect._due_now() RETURNS TABLE (organization_id text, agency_id text, provider_id text)
	LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT d.organization_id, d.agency_id, d.provider_id FROM kinderconnect._due_as_of(clock_timestamp()) d
	WHERE d.due_at <= clock_timestamp()
		AND NOT EXISTS (SELECT FROM kinderconnect.run r
			JOIN kinderconnect.run_organization o ON o.run_id = r.run_id AND o.organization_id = d.organization_id AND o.locked
			JOIN pg_locks k ON k.pid = r.pid AND k.pid <> pg_backend_pid() AND k.locktype = 'advisory' AND (k.classid, k.objsubid) = (1801675630, 2)
				AND k.database = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())
			WHERE r.status = 'running');
END;
COMMENT ON FUNCTION kinderconnect._due_now() IS 'the providers that a tick runs now';

-- Whose part a run is, and that it has been tried: written before anything is
-- done, so that a run that dies has been one.
CREATE OR REPLACE FUNCTION kinderconnect._take_part(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	INSERT INTO kinderconnect.provider_clock AS c
		(organization_id, agency_id, provider_id, run_id, attempted_at, failures, failing_since)
	SELECT d.organization_id, d.agency_id, d.provider_id, run, w.started_at, (w.started_at IS NOT NULL)::integer, w.started_at
	FROM kinderconnect._due_as_of(clock_timestamp(),
		ARRAY(SELECT o.organization_id FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.locked)) d
	JOIN kinderconnect.run r ON r.run_id = run
	CROSS JOIN LATERAL (SELECT CASE WHEN NOT r.scope ?| ARRAY['from_date', 'to_date'] THEN r.started_at END AS started_at) w
	WHERE (r.scope ->> 'agency_id' IS NULL OR d.agency_id = r.scope ->> 'agency_id')
		AND (r.scope ->> 'provider_id' IS NULL OR d.provider_id = r.scope ->> 'provider_id')
		AND (NOT r.scope ? 'due' OR d.due_at <= clock_timestamp())
	ON CONFLICT (organization_id, agency_id, provider_id) DO UPDATE
	SET run_id = excluded.run_id,
		attempted_at = coalesce(excluded.attempted_at, c.attempted_at),
		ended_at = CASE WHEN excluded.attempted_at IS NULL THEN c.ended_at END,
		failures = c.failures + excluded.failures,
		failing_since = coalesce(c.failing_since, excluded.failing_since),
		sqlstate = CASE WHEN excluded.attempted_at IS NULL THEN c.sqlstate END
	WHERE c.run_id <> run;
	PERFORM kinderconnect._look_again();
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_part(bigint) IS
'writes down which providers have a part in a run, by its scope; again for those that it has come to know meanwhile';

-- A run that is stopped was nobody's failure. What is not to be told to all
-- providers alike stands with each.
CREATE OR REPLACE FUNCTION kinderconnect._keep_time(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE kinderconnect.provider_clock c
	SET ended_at = clock_timestamp(), sqlstate = e.sqlstate,
		covered_at = CASE WHEN e.sqlstate IS NULL THEN c.attempted_at ELSE c.covered_at END,
		failures = CASE WHEN e.sqlstate IS NULL THEN 0 WHEN e.sqlstate = 'KC403' THEN c.failures - 1 ELSE c.failures END,
		failing_since = CASE WHEN e.sqlstate IS NULL OR e.sqlstate = 'KC403' AND c.failures = 1 THEN NULL ELSE c.failing_since END
	FROM (SELECT k.organization_id, k.agency_id, k.provider_id, coalesce(r.sqlstate, o.sqlstate, p.sqlstate) AS sqlstate
		FROM kinderconnect.run r
		JOIN kinderconnect.run_organization o ON o.run_id = r.run_id AND o.locked
		JOIN kinderconnect.provider_clock k ON k.organization_id = o.organization_id AND k.run_id = r.run_id AND k.attempted_at = r.started_at
		LEFT JOIN kinderconnect.run_provider p ON (p.organization_id, p.run_id, p.agency_id, p.provider_id)
			= (k.organization_id, r.run_id, k.agency_id, k.provider_id)
		WHERE r.run_id = run) e
	WHERE (c.organization_id, c.agency_id, c.provider_id) = (e.organization_id, e.agency_id, e.provider_id);
	PERFORM kinderconnect._look_again();
END;
$$;
COMMENT ON FUNCTION kinderconnect._keep_time(bigint) IS 'notes for each provider of a run that ends whether it was covered, and if not, why';

CREATE OR REPLACE FUNCTION kinderconnect._check_sample(relation text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	keys     text[] := ARRAY(SELECT c.column_name FROM kinderconnect.manage_column c WHERE c.relation = _check_sample.relation AND c.is_key ORDER BY c.position);
	key_list text := (SELECT string_agg(format('s.%I', k), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u(k, n));
	sampled  bigint;
	found    bigint;
	bad      text;
	item     record;
BEGIN
	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.is_bad), array_to_string((array_agg(DISTINCT k.key COLLATE "C") FILTER (WHERE k.is_bad))[1:3], '', '')
		FROM pg_temp.kinderconnect_sample s
		CROSS JOIN LATERAL (SELECT num_nulls(%s) > 0, array_to_string(ARRAY[%s], ''/'', ''null'')) k (is_bad, key)',
		key_list, (SELECT string_agg(format('s.%I::text', k), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u(k, n)))
		INTO sampled, found, bad;
	IF found > 0 THEN
		RAISE EXCEPTION 'query for Manage''s "%" has rows without a key', _check_sample.relation
			USING ERRCODE = 'not_null_violation',
				DETAIL = format('In %s of the first %s rows one of %s is null. By %s: %s.', found, sampled, array_to_string(keys, ', '), array_to_string(keys, '/'), bad),
				HINT = 'Leave such rows out with WHERE, or give the column a value.';
	END IF;
	IF _check_sample.relation = 'location' THEN
		EXECUTE 'SELECT sum(z.n), array_to_string((array_agg(format(''"%s"'', z.time_zone) ORDER BY z.time_zone COLLATE "C"))[1:3], '', '')
			FROM (SELECT s.time_zone, count(*) AS n FROM pg_temp.kinderconnect_sample s GROUP BY 1) z
			WHERE z.time_zone IS NOT NULL AND kinderconnect._zone(z.time_zone) IS NULL' INTO found, bad;
		IF found > 0 THEN
			RAISE EXCEPTION 'query for Manage''s "location" has unknown time zones'
				USING ERRCODE = 'invalid_parameter_value',
					DETAIL = format('Unknown in %s of the first %s rows: %s.', found, sampled, bad),
					HINT = 'Zones are IANA names, such as America/Chicago.';
		END IF;
	ELSIF _check_sample.relation = 'attendance' THEN
		EXECUTE 'SELECT sum(k.n), array_to_string((array_agg(format(''"%s"'', k.kind) ORDER BY k.kind COLLATE "C"))[1:3], '', '')
			FROM (SELECT s.kind, count(*) AS n FROM pg_temp.kinderconnect_sample s GROUP BY 1) k
			WHERE k.kind NOT IN (''session'', ''absence'', ''closure'')' INTO found, bad;
		IF found > 0 THEN
			RAISE EXCEPTION 'query for Manage''s "attendance" has unknown kinds'
				USING ERRCODE = 'invalid_parameter_value',
					DETAIL = format('Unknown in %s of the first %s rows: %s.', found, sampled, bad),
					HINT = 'A kind is session, absence or closure: translate Manage''s own words with CASE.';
		END IF;
	END IF;

	PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
		format('(%1$s) IN (SELECT %1$s FROM pg_temp.kinderconnect_sample s GROUP BY %1$s HAVING count(*) > 1)', key_list), 'a repeated key',
		CASE _check_sample.relation
			WHEN 'child' THEN 'Such children are never linked by name: several_in_manage.'
			WHEN 'attendance' THEN 'The same session twice is held as overlapping_sessions.'
			ELSE 'Which of them counts is not determined.' END);
	-- What has a letter is a name, folded too. By "C", for a collation of Manage's
	-- that takes different letters for equal knows no regular expressions.
	FOR item IN
		SELECT * FROM (VALUES
			('location', 'coalesce(s.name, '''') COLLATE "C" !~ ''[A-Za-z]'' AND coalesce(kinderconnect.fold(s.name), '''') = ''''', 'no name',
				'The location of a provider ID is found by name and ZIP; without a name, add_provider() has to tell it.'),
			('location', 'nullif(btrim(s.zip), '''') COLLATE "C" !~ ''^[0-9]{5}(-?[0-9]{4})?$''', 'a ZIP code that is none',
				'A number has lost its leading zeros: lpad(zip::text, 5, ''0'').'),
			('child', 'coalesce(s.first_name, '''') COLLATE "C" !~ ''[A-Za-z]'' AND coalesce(kinderconnect.fold(s.first_name), '''') = ''''
				OR coalesce(s.last_name, '''') COLLATE "C" !~ ''[A-Za-z]'' AND coalesce(kinderconnect.fold(s.last_name), '''') = ''''',
				'no first or no last name', 'They cannot be matched; link_child() can link them.'),
			('child', 's.date_of_birth IS NULL', 'no birth date', 'They cannot be matched; link_child() can link them.'),
			('child', 's.date_of_birth > current_date + 1 OR s.date_of_birth < current_date - 36525', 'an impossible birth date',
				'They are in the future or a hundred years back; correct them in Manage.'),
			('attendance', 's.kind <> ''closure'' AND s.child_id IS NULL', 'a session or an absence of nobody',
				'No night looks at them: only a closure, of the whole location, is without a child.'),
			('attendance', 's.kind = ''session'' AND s.check_in IS NULL AND s.check_out IS NULL', 'a session without check-in and check-out',
				'No night looks at them.'),
			('attendance', 's.kind <> ''session'' AND s.service_date IS NULL', 'an absence or a closure without service_date',
				'No night looks at them.'),
			('attendance', 's.kind = ''session'' AND s.check_out < s.check_in', 'a session whose check-out is before the check-in',
				'Their days are held as out_before_in until Manage is corrected. If it is most of them, the columns may be swapped.'),
			('attendance', 's.kind = ''session'' AND s.check_out > s.check_in + interval ''24 hours''', 'a session of more than 24 hours',
				'Their days are held as too_long until Manage is corrected.'),
			('attendance', 's.kind = ''session'' AND s.check_in > now() + interval ''1 day''', 'a session in the future',
				'If they are not corrected they wait until their day is over. The times may be of another zone or year.')
		) AS c (relation, condition, what, hint)
		WHERE c.relation = _check_sample.relation
	LOOP
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys, item.condition, item.what, item.hint);
	END LOOP;

	IF _check_sample.relation IN ('child', 'attendance') AND kinderconnect._is_bound('location') THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			's.location_id IS NOT NULL AND NOT EXISTS (SELECT FROM kinderconnect.manage_location m WHERE (m.organization_id, m.location_id) = (s.organization_id COLLATE "C", s.location_id COLLATE "C"))',
			'a location that manage_location does not have',
			CASE _check_sample.relation WHEN 'child' THEN 'They are matched within the organization only.' ELSE 'No night looks at them.' END);
	END IF;
	IF _check_sample.relation = 'attendance' AND kinderconnect._is_bound('child') THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			's.child_id IS NOT NULL AND NOT EXISTS (SELECT FROM kinderconnect.manage_child m WHERE (m.organization_id, m.child_id) = (s.organization_id COLLATE "C", s.child_id COLLATE "C"))',
			'a child that manage_child does not have', 'No night looks at them.');
	END IF;
	IF _check_sample.relation = 'child_id' THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			'(s.organization_id, s.agency_id, s.kinderconnect_child_id) IN (SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id
				FROM pg_temp.kinderconnect_sample d GROUP BY 1, 2, 3 HAVING count(DISTINCT d.child_id) > 1)',
			'one id of the service for several children', 'Such a child is not linked: several_stored_ids.');
	ELSIF _check_sample.relation = 'provider_id' THEN
		PERFORM kinderconnect._warn_of_rows(_check_sample.relation, keys,
			'(s.organization_id, s.agency_id, s.provider_id) IN (SELECT d.organization_id, d.agency_id, d.provider_id
				FROM pg_temp.kinderconnect_sample d GROUP BY 1, 2, 3 HAVING count(DISTINCT d.location_id) > 1)',
			'one provider ID for several locations', 'Such a provider is held as provider_unmatched until add_provider() tells its location.');
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._check_sample(text) IS
'what bind_manage() says of the rows of its sample: an error where they cannot be used, else warnings';

-- What the nights so far rest on must be found in the new source. If nothing
-- of it is, the source is another one, or its ids are: bound all the same, it
-- would have every day held, or taken back. Who means it drops the view first.
CREATE OR REPLACE FUNCTION kinderconnect._check_rebind(relation text, source text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	known    bigint;
	found    bigint;
	examples text;
	what     text;
	hint     text;
BEGIN
	CASE _check_rebind.relation
		WHEN 'organization' THEN
			what := 'enabled organizations';
			hint := 'Their nights find nothing in Manage: enable_integration() takes the organization_id of manage_organization.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(k.key ORDER BY k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT format(''"%%s"'', o.organization_id) AS key, EXISTS (SELECT FROM (%s) m WHERE m.organization_id COLLATE "C" = o.organization_id) AS found
					FROM kinderconnect.organization o
					WHERE o.enabled) k', source) INTO known, found, examples;
		WHEN 'location' THEN
			what := 'locations of providers';
			hint := 'They are found anew by name, but for those that add_provider() has told.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(DISTINCT k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT DISTINCT concat_ws(''/'', p.organization_id, p.location_id) AS key, m.location_id IS NOT NULL AS found
					FROM kinderconnect.provider p
					JOIN kinderconnect.organization o ON o.organization_id = p.organization_id AND o.enabled
					LEFT JOIN (%s) m ON (m.organization_id COLLATE "C", m.location_id COLLATE "C") = (p.organization_id, p.location_id)
					WHERE p.enabled AND p.location_id IS NOT NULL) k', source) INTO known, found, examples;
		WHEN 'child' THEN
			-- a name written as it was has its key
			what := 'linked children';
			hint := 'Their days are held as child_gone or link_disagrees.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(k.key ORDER BY k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT concat_ws(''/'', l.organization_id, l.child_id) AS key,
						coalesce(bool_or(c.date_of_birth = m.date_of_birth
							AND (c.first_name = m.first_name OR c.last_name = m.last_name
								OR kinderconnect._first_key(m.first_name) COLLATE "C" = c.first_key OR kinderconnect._last_key(m.last_name) COLLATE "C" = c.last_key)), false) AS found
					FROM kinderconnect.child_link l
					JOIN kinderconnect.organization o ON o.organization_id = l.organization_id AND o.enabled
					JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (l.organization_id, l.agency_id, l.kinderconnect_child_id)
					LEFT JOIN (%s) m ON (m.organization_id COLLATE "C", m.child_id COLLATE "C") = (l.organization_id, l.child_id)
					WHERE l.ended_at IS NULL AND (l.flag IN (''link_disagrees'', ''child_gone'')) IS NOT TRUE
					GROUP BY l.organization_id, l.child_id) k', source) INTO known, found, examples;
		WHEN 'attendance' THEN
			what := 'children with accepted days';
			hint := 'Their days of the horizon are taken back, or held as source_shrank.';
			EXECUTE format('SELECT count(*), count(*) FILTER (WHERE k.found), array_to_string((array_agg(k.key ORDER BY k.key COLLATE "C") FILTER (WHERE NOT k.found))[1:3], '', '')
				FROM (SELECT DISTINCT concat_ws(''/'', d.organization_id, d.child_id) AS key, m.child_id IS NOT NULL AS found
					FROM kinderconnect.child_day d
					JOIN kinderconnect.organization o ON o.organization_id = d.organization_id AND o.enabled
					LEFT JOIN (SELECT DISTINCT q.organization_id, q.child_id FROM (%s) q) m ON (m.organization_id COLLATE "C", m.child_id COLLATE "C") = (d.organization_id, d.child_id)
					WHERE d.accepted_kind IN (''session'', ''absence'') AND d.child_id IS NOT NULL
						AND d.service_date >= current_date - kinderconnect.setting(''horizon_days'')::integer) k', source) INTO known, found, examples;
		ELSE
			RETURN;
	END CASE;
	IF found = known THEN
		RETURN;
	END IF;
	IF found = 0 AND _check_rebind.relation <> 'organization' AND kinderconnect._is_bound(_check_rebind.relation) THEN
		RAISE EXCEPTION 'query for Manage''s "%" has none of the % % that the binding in force has', _check_rebind.relation, known, what
			USING ERRCODE = 'KC001', DETAIL = format('Not there, by id: %s.', examples),
				HINT = format('Its ids are others, or its rows are. If that is meant, DROP VIEW kinderconnect.manage_%s first.', _check_rebind.relation);
	END IF;
	RAISE WARNING 'Manage''s "%": % of % % are not in it%', _check_rebind.relation, known - found, known, what,
			CASE WHEN _check_rebind.relation = 'organization' THEN '' ELSE ' as they were' END
		USING DETAIL = format('By id: %s.', examples), HINT = hint;
END;
$$;
COMMENT ON FUNCTION kinderconnect._check_rebind(text, text) IS
'whether a new source of Manage has the organizations that are enabled, and still has the locations, the linked children or the attendance that the nights so far rest on: a warning where it lacks some, an error where it has none of the last three';

-- The query is checked as a temporary view first, so that a wrong one leaves
-- the binding in force untouched.
CREATE OR REPLACE FUNCTION kinderconnect.bind_manage(relation text, query text) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	view_name   text := 'manage_' || bind_manage.relation;
	view_owner  regrole;
	missing     text;
	mistyped    text;
	hint        text;
	select_list text;
	source      text;
	sample_size CONSTANT integer := 100000;
	sampled     bigint;
	said        text;
BEGIN
	IF bind_manage.relation IS NULL THEN
		RAISE EXCEPTION 'relation must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT EXISTS (SELECT FROM kinderconnect.manage_column c WHERE c.relation = bind_manage.relation) THEN
		RAISE EXCEPTION 'Manage has no relation "%"', bind_manage.relation
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Relations are: ' || (SELECT string_agg(DISTINCT c.relation, ', ') FROM kinderconnect.manage_column c) || '.';
	END IF;
	IF query IS NULL OR btrim(query) = '' THEN
		RAISE EXCEPTION 'query for Manage''s "%" is empty', bind_manage.relation USING ERRCODE = 'invalid_parameter_value';
	END IF;

	SELECT c.relowner INTO view_owner FROM pg_class c WHERE c.oid = to_regclass(format('kinderconnect.%I', view_name));
	IF NOT pg_has_role(view_owner, 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of view %', view_name
			USING ERRCODE = 'insufficient_privilege', DETAIL = format('Role %s owns it.', view_owner),
				HINT = format('Bind as a member of that role, or have a superuser run ALTER VIEW kinderconnect.%I OWNER TO %I.', view_name, current_user);
	END IF;

	IF to_regclass('pg_temp.kinderconnect_bind') IS NOT NULL THEN
		DROP VIEW pg_temp.kinderconnect_bind;
	END IF;
	BEGIN
		EXECUTE format(E'CREATE TEMPORARY VIEW kinderconnect_bind AS SELECT * FROM (%s\n) AS q', rtrim(query, E'; \n\t'));
	EXCEPTION WHEN syntax_error THEN
		RAISE EXCEPTION 'query for Manage''s "%" is not a valid SELECT', bind_manage.relation
			USING ERRCODE = 'syntax_error', DETAIL = format('PostgreSQL says: %s.', SQLERRM),
				HINT = 'Write a SELECT, such as SELECT ... FROM schema.table; the name of a table alone will not do.';
	END;

	-- An id is text: of words, numbers, and what is written like one.
	SELECT string_agg(format('"%s" (%s)', c.column_name, c.data_type), ', ' ORDER BY c.position)
			FILTER (WHERE a.attname IS NULL),
		string_agg(format('"%s" is %s, not %s', c.column_name, format_type(a.atttypid, a.atttypmod), c.data_type), ', ' ORDER BY c.position)
			FILTER (WHERE a.atttypid <> c.data_type
				AND (c.data_type <> 'text'::regtype OR t.typcategory NOT IN ('S', 'N', 'E') AND t.oid <> 'uuid'::regtype)),
		CASE WHEN bool_or(a.atttypid = 'timestamp'::regtype AND c.data_type = 'timestamptz'::regtype)
			THEN 'A timestamp without time zone becomes one by: check_in AT TIME ZONE ''America/Chicago''.'
				ELSE concat('Cast the column in the query', '; if Manage has no such column: ' || string_agg(format('NULL::%s AS %I', c.data_type, c.column_name), ', ' ORDER BY c.position)
				FILTER (WHERE a.atttypid = 'text'::regtype AND c.data_type <> 'text'::regtype), '.') END,
		string_agg(format('q.%I::%s AS %I', c.column_name, c.data_type, c.column_name), ', ' ORDER BY c.position)
	INTO missing, mistyped, hint, select_list
	FROM kinderconnect.manage_column c
	LEFT JOIN pg_attribute a ON a.attrelid = 'pg_temp.kinderconnect_bind'::regclass
		AND a.attname = c.column_name AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_type t ON t.oid = a.atttypid
	WHERE c.relation = bind_manage.relation;

	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'query for Manage''s "%" lacks columns', bind_manage.relation
			USING ERRCODE = 'undefined_column',
				DETAIL = 'Missing: ' || missing || '.',
				HINT = 'Name each column as listed in kinderconnect.manage_column; a column that Manage does not have may be NULL::type.';
	END IF;
	IF mistyped IS NOT NULL THEN
		RAISE EXCEPTION 'query for Manage''s "%" has columns of the wrong type', bind_manage.relation
			USING ERRCODE = 'datatype_mismatch', DETAIL = 'Column ' || mistyped || '.', HINT = hint;
	END IF;

	source := format('SELECT %s FROM pg_temp.kinderconnect_bind q', select_list);
	IF to_regclass('pg_temp.kinderconnect_sample') IS NOT NULL THEN
		DROP TABLE pg_temp.kinderconnect_sample;
	END IF;
	BEGIN
		EXECUTE format('CREATE TEMPORARY TABLE kinderconnect_sample AS %s LIMIT %s', source, sample_size);
		GET DIAGNOSTICS sampled = ROW_COUNT;
	EXCEPTION WHEN data_exception THEN
		RAISE EXCEPTION 'query for Manage''s "%" fails on its rows', bind_manage.relation
			USING ERRCODE = SQLSTATE,
				DETAIL = 'PostgreSQL''s own words may quote a row, and are kept back.',
				HINT = 'Run the query by itself to see them.';
	END;
	PERFORM kinderconnect._check_sample(bind_manage.relation);
	PERFORM kinderconnect._check_rebind(bind_manage.relation, source);
	DROP TABLE pg_temp.kinderconnect_sample;
	DROP VIEW pg_temp.kinderconnect_bind;

	EXECUTE format(E'CREATE OR REPLACE VIEW kinderconnect.%I AS SELECT %s FROM (%s\n) AS q', view_name, select_list, rtrim(query, E'; \n\t'));
	-- the sample was read as the caller; the view stays its owner's, and reads as he may
	BEGIN
		EXECUTE format('SELECT FROM kinderconnect.%I LIMIT 0', view_name);
	EXCEPTION WHEN insufficient_privilege THEN
		GET STACKED DIAGNOSTICS said = MESSAGE_TEXT;
		RAISE EXCEPTION 'query for Manage''s "%" cannot be read by role %, who owns the view', bind_manage.relation,
				(SELECT c.relowner::regrole FROM pg_class c WHERE c.oid = format('kinderconnect.%I', view_name)::regclass)
			USING ERRCODE = 'insufficient_privilege', DETAIL = said || '.',
				HINT = format('Grant it to that role, or ALTER VIEW kinderconnect.%I OWNER TO one that may, and bind again.', view_name);
	END;
	EXECUTE format('GRANT SELECT ON kinderconnect.%I TO kinderconnect_operator, kinderconnect_admin', view_name);
	EXECUTE format('COMMENT ON VIEW kinderconnect.%I IS %L', view_name,
		format('Manage''s %s, bound by kinderconnect.bind_manage()', bind_manage.relation));
	RETURN format('kinderconnect.%s is bound, %s rows sampled', view_name, sampled);
END;
$$;
COMMENT ON FUNCTION kinderconnect.bind_manage(text, text) IS
'binds one of Manage''s relations (organization, location, child, attendance; optional child_id, provider_id) to a query, and makes the view kinderconnect.manage_<relation> of it. Columns: kinderconnect.manage_column. The query''s tables must be schema-qualified. Refuses missing columns, wrong types, null keys, unknown zones and kinds, and a source that has nothing of what is linked; warns of duplicate keys and of rows that no night can use';

CREATE VIEW kinderconnect.batch_record AS
SELECT b.organization_id, b.batch_id, r.record_id
FROM kinderconnect.batch b CROSS JOIN LATERAL unnest(b.record_ids) r(record_id);
COMMENT ON VIEW kinderconnect.batch_record IS 'which records a batch carried, a row each; a record of a halved batch was in several';
COMMENT ON COLUMN kinderconnect.batch_record.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.batch_record.batch_id IS 'the batch';
COMMENT ON COLUMN kinderconnect.batch_record.record_id IS 'the record';

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

CREATE OR REPLACE FUNCTION kinderconnect._settle(organization text, record_ids text[], outcome text, codes text[], messages text[]) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
	RETURN kinderconnect._settle_each(array_fill(organization, ARRAY[cardinality(record_ids)]), record_ids,
		array_fill(outcome, ARRAY[cardinality(record_ids)]), codes, messages);
COMMENT ON FUNCTION kinderconnect._settle(text, text[], text, text[], text[]) IS
'records of one organization become all the same, as by _settle_each()';

-- Puts records into a batch; the caller commits before it is sent.
CREATE OR REPLACE FUNCTION kinderconnect._new_batch(run bigint, organization text, agency text, provider text, parent text, leads boolean, again boolean, record_ids text[]) RETURNS text
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

-- What a dead run left under way may have arrived. Runs are locked out by
-- organization, so nothing else can be sending.
CREATE OR REPLACE FUNCTION kinderconnect._recover(organization text) RETURNS void
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

-- Unknown records, where the service can be asked: it holds a record or it
-- does not. A void left nothing behind if it arrived. What it does not hold and
-- had a word for, that word refused: sent again it would get the same. And so
-- would a culprit. Of what may be an entry that cannot be read, nobody knows.
CREATE OR REPLACE FUNCTION kinderconnect._take_readback(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	answer record;
BEGIN
	FOR answer IN
		WITH there AS MATERIALIZED (
			SELECT w.record_id, w.kinderconnect_child_id, w.service_date, w.problem IS NOT NULL AND w.record_id IS NULL AS is_anybody
			FROM kinderconnect._rows(outcome.ticket, NULL::kinderconnect.reply_record) w
		)
		SELECT s.verdict, array_agg(s.record_id) AS record_ids, array_agg(s.code) AS codes, array_agg(s.message) AS messages
		FROM (SELECT l.record_id, CASE WHEN num_nonnulls(l.code, l.message) > 0 THEN l.code ELSE c.code END AS code,
				CASE WHEN num_nonnulls(l.code, l.message) > 0 THEN l.message
					ELSE concat_ws('; ', c.message, 'so it was each time this record was sent, by itself too, and the service does not hold it: correct the day, or report it to the service and call kinderconnect.retry()') END AS message,
				CASE
				WHEN l.record_id IN (SELECT t.record_id FROM there t) THEN 'accepted'
				WHEN EXISTS (SELECT FROM there t
					WHERE (t.is_anybody OR l.kind = 'void' AND num_nulls(t.kinderconnect_child_id, t.service_date) > 0)
						AND (t.kinderconnect_child_id = l.kinderconnect_child_id) IS NOT FALSE AND (t.service_date = l.service_date) IS NOT FALSE) THEN NULL
				WHEN l.kind = 'void' AND NOT EXISTS (SELECT FROM there t
					WHERE (t.kinderconnect_child_id, t.service_date) = (l.kinderconnect_child_id, l.service_date)) THEN 'accepted'
				WHEN num_nonnulls(l.code, l.message, c.record_id) > 0 THEN 'rejected'
				ELSE 'not_taken' END AS verdict
			FROM kinderconnect.ledger l
			LEFT JOIN kinderconnect._culprits(outcome.organization_id, outcome.agency_id, outcome.provider_id) c ON c.record_id = l.record_id
			WHERE (l.organization_id, l.agency_id, l.provider_id) = (outcome.organization_id, outcome.agency_id, outcome.provider_id)
				AND l.state = 'unknown') s
		WHERE s.verdict IS NOT NULL
		GROUP BY s.verdict
	LOOP
		PERFORM kinderconnect._settle(outcome.organization_id, answer.record_ids, answer.verdict,
			CASE WHEN answer.verdict = 'rejected' THEN answer.codes END, CASE WHEN answer.verdict = 'rejected' THEN answer.messages END);
	END LOOP;
	IF outcome.problems > 0 THEN
		PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, false, 'KC301',
			format('%s records of the read-back cannot be understood', outcome.problems),
			'Days whose answer was lost, and that may be one of these, stay unknown until it can be read; see kinderconnect.api_readback().');
	ELSE
		PERFORM kinderconnect._take_over_merged(run, outcome);
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_readback(bigint, kinderconnect.call_outcome) IS
'settles the unknown records of a provider by what the service says it holds, and takes over what it holds of merged children';

-- Unknown records, where the service cannot be asked what it holds: the same
-- records once more, which it answers as duplicates if it had them.
CREATE OR REPLACE FUNCTION kinderconnect._repeat_unknown(run bigint, organization text, agency text, provider text) RETURNS void
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
				AND l.record_id <> ALL (spared) AND kinderconnect._is_still_its(l)) n
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

-- Somebody may have decided otherwise since it was noted who has something to
-- send: of a night, hours ago.
CREATE FUNCTION kinderconnect._is_let_send(organization text, agency text, provider text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM kinderconnect.provider_standing p
		JOIN kinderconnect.organization o ON o.organization_id = p.organization_id AND o.sends
		WHERE (p.organization_id, p.agency_id, p.provider_id) = (organization, agency, provider) AND p.barred IS NULL);
END;
$$;
COMMENT ON FUNCTION kinderconnect._is_let_send(text, text, text) IS 'whether a provider takes part and its organization sends, now';

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
	made   record;
	parted record;
BEGIN
	SELECT array_agg(u.organization_id), array_agg(u.agency_id), array_agg(u.provider_id) INTO organizations, agencies, providers
	FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
	WHERE kinderconnect._is_let_send(u.organization_id, u.agency_id, u.provider_id)
		AND NOT EXISTS (SELECT FROM kinderconnect.run_provider p
			WHERE (p.organization_id, p.run_id, p.agency_id, p.provider_id) = (u.organization_id, run, u.agency_id, u.provider_id) AND p.halted)
		AND NOT EXISTS (SELECT FROM kinderconnect.run_organization o WHERE (o.organization_id, o.run_id) = (u.organization_id, run) AND o.halted)
		AND NOT EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (u.organization_id, u.agency_id, u.provider_id) AND b.state = 'sending');

	-- what waits with a record of whom somebody unlinked is made anew
	FOR parted IN
		SELECT DISTINCT b.organization_id, b.agency_id, b.provider_id
		FROM unnest(organizations, agencies, providers) u(organization_id, agency_id, provider_id)
		JOIN kinderconnect.batch b ON (b.organization_id, b.agency_id, b.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
			AND b.state = 'waiting'
		CROSS JOIN LATERAL unnest(b.record_ids) r(record_id)
		JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (b.organization_id, r.record_id)
		WHERE NOT kinderconnect._is_still_its(l)
	LOOP
		PERFORM kinderconnect._drop_waiting(parted.organization_id, parted.agency_id, parted.provider_id);
	END LOOP;

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
CREATE OR REPLACE FUNCTION kinderconnect._acquit(run bigint, organization text, agency text, provider text) RETURNS void
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

CREATE OR REPLACE FUNCTION kinderconnect._drop_waiting(organization text, agency text, provider text) RETURNS void
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

-- The night never takes back by itself what it accepted under an authorization
-- or link that is gone: that is a person's decision.
CREATE OR REPLACE FUNCTION kinderconnect.void_day(organization_id text, agency_id text, provider_id text, kinderconnect_child_id text, service_date date) RETURNS void
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

CREATE OR REPLACE FUNCTION kinderconnect.reconcile(organization_id text, from_date date, to_date date,
		agency_id text DEFAULT NULL, provider_id text DEFAULT NULL)
	RETURNS SETOF kinderconnect.reconcile_difference
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	org     text := reconcile.organization_id;
	item    record;
	outcome kinderconnect.call_outcome;
	more    boolean := true;
BEGIN
	PERFORM kinderconnect._require_organization(org);
	IF reconcile.from_date IS NULL OR reconcile.to_date IS NULL THEN
		RAISE EXCEPTION 'from_date and to_date must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM kinderconnect._require_period(reconcile.from_date, reconcile.to_date);
	PERFORM kinderconnect._require_provider(org, reconcile.agency_id, reconcile.provider_id);
	IF NOT kinderconnect._speaks(org, 'readback') THEN
		RAISE EXCEPTION 'service of organization "%" cannot be asked what it holds', org
			USING ERRCODE = 'KC001', HINT = 'Its dialect has no operation "readback"; compare in the agency''s portal.';
	END IF;

	-- Every provider of which either side may hold something, also one that
	-- takes part no more.
	PERFORM kinderconnect._open(NULL);
	FOR item IN
		SELECT p.agency_id, p.provider_id FROM kinderconnect.provider p
		WHERE p.organization_id = org
			AND (reconcile.agency_id IS NULL OR p.agency_id = reconcile.agency_id)
			AND (reconcile.provider_id IS NULL OR p.provider_id = reconcile.provider_id)
		ORDER BY p.agency_id, p.provider_id
	LOOP
		PERFORM kinderconnect._start('readback', org, item.agency_id, item.provider_id,
			from_date => reconcile.from_date, to_date => reconcile.to_date);
	END LOOP;

	WHILE more LOOP
		more := false;
		FOR outcome IN SELECT * FROM kinderconnect._collect() LOOP
			more := true;
			IF outcome.ok THEN
				RETURN QUERY
				SELECT org, outcome.agency_id, outcome.provider_id, d.kinderconnect_child_id, d.service_date, d.difference, d.state,
					d.held_here, d.held_there, d.record_here, d.record_there, d.problem
				FROM kinderconnect._differences(outcome.ticket, org, outcome.agency_id, outcome.provider_id,
					reconcile.from_date, reconcile.to_date) d;
			ELSE
				RETURN NEXT (org, outcome.agency_id, outcome.provider_id, NULL, NULL, 'no_answer', NULL, NULL, NULL, NULL, NULL,
					kinderconnect._said(outcome))::kinderconnect.reconcile_difference;
			END IF;
			PERFORM kinderconnect._release(outcome.ticket);
		END LOOP;
	END LOOP;
	PERFORM kinderconnect._close();
END;
$$;
COMMENT ON FUNCTION kinderconnect.reconcile(text, date, date, text, text) IS
'asks the service what attendance it holds for an organization, service dates inclusive, or for one agency or provider of it, and answers the differences from what we say it holds: no rows, no difference. Changes nothing';

CREATE FUNCTION kinderconnect._providers_to_compare(run bigint, organization text)
	RETURNS TABLE (agency_id text, provider_id text, from_date date, to_date date)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	-- apart, so that who stands how is asked once, and not for each clock
	WITH p AS MATERIALIZED (
		SELECT s.organization_id, s.agency_id, s.provider_id FROM kinderconnect.provider_standing s
		WHERE s.organization_id = organization AND s.barred IS NULL
	)
	SELECT p.agency_id, p.provider_id,
		greatest((now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer, o.first_enabled - o.backfill_days),
		(now() AT TIME ZONE 'Pacific/Honolulu')::date
	FROM kinderconnect.organization o
	JOIN p ON p.organization_id = o.organization_id
	JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND k.run_id = run
	LEFT JOIN kinderconnect.comparison c ON (c.organization_id, c.agency_id, c.provider_id) = (p.organization_id, p.agency_id, p.provider_id)
	WHERE o.organization_id = organization AND kinderconnect._speaks(organization, 'readback')
	ORDER BY c.asked_at NULLS FIRST, p.agency_id, p.provider_id
	LIMIT kinderconnect.setting('compare_providers')::integer;
END;
COMMENT ON FUNCTION kinderconnect._providers_to_compare(bigint, text) IS
'the providers of an organization with a part in a run that it compares, and the service dates: its horizon; none where the service cannot be asked what it holds';

CREATE OR REPLACE FUNCTION kinderconnect._take_comparison(run bigint, outcome kinderconnect.call_outcome) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	asked   kinderconnect.comparison;
	seen_at timestamptz := clock_timestamp();
	found   integer;
	trouble text := CASE
		WHEN NOT outcome.ok THEN kinderconnect._said(outcome)
		WHEN outcome.problems > 0 THEN format('%s records of the read-back cannot be understood', outcome.problems) END;
BEGIN
	SELECT * INTO STRICT asked FROM kinderconnect.comparison c
	WHERE (c.organization_id, c.agency_id, c.provider_id) = (outcome.organization_id, outcome.agency_id, outcome.provider_id);
	IF trouble IS NULL THEN
		WITH differs AS MATERIALIZED (
			SELECT * FROM kinderconnect._differences(outcome.ticket, asked.organization_id, asked.agency_id, asked.provider_id, asked.from_date, asked.to_date) d
			WHERE d.difference <> 'unresolved'
		), known AS (
			UPDATE kinderconnect.comparison_difference f
			SET last_seen = seen_at, state = d.state
			FROM differs d
			WHERE (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
					= (asked.organization_id, asked.agency_id, asked.provider_id, d.kinderconnect_child_id, d.service_date)
				AND f.gone IS NULL
				AND (f.difference, f.held_here, f.held_there, f.record_here, f.record_there)
					IS NOT DISTINCT FROM (d.difference, d.held_here, d.held_there, d.record_here, d.record_there)
			RETURNING f.kinderconnect_child_id, f.service_date
		), gone AS (
			UPDATE kinderconnect.comparison_difference f SET gone = seen_at
			WHERE (f.organization_id, f.agency_id, f.provider_id) = (asked.organization_id, asked.agency_id, asked.provider_id)
				AND f.gone IS NULL AND f.service_date BETWEEN asked.from_date AND asked.to_date
				AND NOT EXISTS (SELECT FROM differs d
					WHERE (f.kinderconnect_child_id, f.service_date, f.difference) = (d.kinderconnect_child_id, d.service_date, d.difference)
						AND (f.held_here, f.held_there, f.record_here, f.record_there)
							IS NOT DISTINCT FROM (d.held_here, d.held_there, d.record_here, d.record_there))
		), new AS (
			INSERT INTO kinderconnect.comparison_difference (organization_id, agency_id, provider_id, kinderconnect_child_id, service_date,
				first_seen, last_seen, difference, state, held_here, held_there, record_here, record_there, kind_there, in_there, out_there, reason_there)
			SELECT asked.organization_id, asked.agency_id, asked.provider_id, d.kinderconnect_child_id, d.service_date,
				seen_at, seen_at, d.difference, d.state, d.held_here, d.held_there, d.record_here, d.record_there,
				d.kind, d.session_in, d.session_out, d.absence_reason
			FROM differs d
			WHERE NOT EXISTS (SELECT FROM known k WHERE (k.kinderconnect_child_id, k.service_date) = (d.kinderconnect_child_id, d.service_date))
		)
		SELECT count(*) INTO found FROM differs;
		INSERT INTO kinderconnect.run_provider AS p (organization_id, run_id, agency_id, provider_id, differences)
		VALUES (asked.organization_id, run, asked.agency_id, asked.provider_id, found)
		ON CONFLICT (organization_id, run_id, agency_id, provider_id) DO UPDATE SET differences = excluded.differences;
	END IF;
	UPDATE kinderconnect.comparison c
	SET compared_at = CASE WHEN trouble IS NULL THEN seen_at ELSE c.compared_at END,
		differences = coalesce(found, c.differences), error = trouble
	WHERE (c.organization_id, c.agency_id, c.provider_id) = (asked.organization_id, asked.agency_id, asked.provider_id);
END;
$$;
COMMENT ON FUNCTION kinderconnect._take_comparison(bigint, kinderconnect.call_outcome) IS
'writes down where what the service holds differs from what we say it holds; where it cannot be asked only that';

CREATE OR REPLACE FUNCTION kinderconnect.retry(organization_id text, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL,
		kinderconnect_child_id text DEFAULT NULL, from_date date DEFAULT NULL, to_date date DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	rejected bigint;
	differing bigint;
BEGIN
	PERFORM kinderconnect._require_organization(retry.organization_id);
	PERFORM kinderconnect._require_provider(retry.organization_id, retry.agency_id, retry.provider_id);
	PERFORM kinderconnect._require_period(retry.from_date, retry.to_date);
	UPDATE kinderconnect.child_day d SET sent_basis = NULL
	WHERE d.organization_id = retry.organization_id AND d.state = 'rejected'
		AND (retry.agency_id IS NULL OR d.agency_id = retry.agency_id)
		AND (retry.provider_id IS NULL OR d.provider_id = retry.provider_id)
		AND (retry.kinderconnect_child_id IS NULL OR d.kinderconnect_child_id = retry.kinderconnect_child_id)
		AND d.service_date BETWEEN coalesce(retry.from_date, '-infinity') AND coalesce(retry.to_date, 'infinity')
		AND d.service_date > (now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer;
	GET DIAGNOSTICS rejected = ROW_COUNT;

	-- where a comparison found that the service holds something else, that is
	-- what is to be corrected
	UPDATE kinderconnect.child_day d
	SET state = 'ready', accepted_kind = f.kind_there, accepted_in = f.in_there, accepted_out = f.out_there, accepted_reason = f.reason_there,
		accepted_content = f.held_there,
		accepted_record_id = CASE WHEN f.held_there IS NOT NULL THEN d.accepted_record_id END,
		accepted_at = CASE WHEN f.held_there IS NOT NULL THEN d.accepted_at END, changed_at = now()
	FROM kinderconnect.comparison_difference f
	WHERE f.organization_id = retry.organization_id AND f.gone IS NULL AND f.difference IN ('missing_there', 'different')
		-- and not what has been sent since
		AND f.held_there IS DISTINCT FROM f.held_here AND f.last_seen > d.accepted_at
		AND (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
			= (f.organization_id, f.agency_id, f.provider_id, f.kinderconnect_child_id, f.service_date)
		AND d.state = 'accepted' AND d.accepted_content = f.held_here
		AND (retry.agency_id IS NULL OR d.agency_id = retry.agency_id)
		AND (retry.provider_id IS NULL OR d.provider_id = retry.provider_id)
		AND (retry.kinderconnect_child_id IS NULL OR d.kinderconnect_child_id = retry.kinderconnect_child_id)
		AND d.service_date BETWEEN coalesce(retry.from_date, '-infinity') AND coalesce(retry.to_date, 'infinity')
		AND d.service_date > (now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer;
	GET DIAGNOSTICS differing = ROW_COUNT;
	RETURN rejected + differing;
END;
$$;
COMMENT ON FUNCTION kinderconnect.retry(text, text, text, text, date, date) IS
'the next run sends these days again although nothing changed in Manage: rejected ones, and accepted ones of which the service holds something else or nothing (comparison_difference); answers how many. Days older than the horizon are not looked at';

-- In SQL, so that a LIMIT on it need not read all of them.
CREATE FUNCTION kinderconnect._old_calls(organization text) RETURNS TABLE (batch_id text, ended_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT b.batch_id, b.ended_at
	FROM kinderconnect.batch b
	WHERE b.organization_id = organization
		AND b.ended_at < now() - make_interval(days => nullif(kinderconnect.setting('keep_attempts_days')::integer, -1))
		AND b.state IN ('answered', 'refused', 'lost', 'dropped')
		AND NOT EXISTS (SELECT FROM kinderconnect.run r WHERE r.run_id = b.run_id AND r.status = 'running')
		AND NOT EXISTS (SELECT FROM unnest(b.record_ids) r(record_id)
			JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (b.organization_id, r.record_id)
			WHERE (l.state IN ('sending', 'unknown', 'not_taken')
					OR l.service_date >= current_date - kinderconnect.setting('horizon_days')::integer - 1));
END;
COMMENT ON FUNCTION kinderconnect._old_calls(text) IS
'batches older than keep_attempts_days whose records are all settled, and of days that no night looks at any more';

CREATE OR REPLACE FUNCTION kinderconnect._purge_calls(organization text, most integer) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	purged bigint;
BEGIN
	IF (most > 0) IS NOT TRUE THEN
		RAISE EXCEPTION 'batch_size must be positive' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	WITH old AS MATERIALIZED (
		SELECT o.batch_id FROM kinderconnect._old_calls(organization) o ORDER BY o.ended_at LIMIT most
	)
	DELETE FROM kinderconnect.batch b USING old WHERE (b.organization_id, b.batch_id) = (organization, old.batch_id);
	GET DIAGNOSTICS purged = ROW_COUNT;
	RETURN purged;
END;
$$;
COMMENT ON FUNCTION kinderconnect._purge_calls(text, integer) IS 'deletes at most so many old batches of an organization; answers how many';

CREATE OR REPLACE FUNCTION kinderconnect._purge_lists(organization text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	old    date := (SELECT min(o.month) FROM kinderconnect._old_lists(organization) o);
	purged bigint;
BEGIN
	DELETE FROM kinderconnect.list_problem p WHERE p.organization_id = organization AND p.month = old;
	DELETE FROM kinderconnect.listed_authorization l WHERE l.organization_id = organization AND l.month = old;
	-- the last word about a child stands
	DELETE FROM kinderconnect.listed_subsidy s WHERE s.organization_id = organization AND s.month = old
		AND EXISTS (SELECT FROM kinderconnect.listed_subsidy n
			WHERE (n.organization_id, n.agency_id, n.kinderconnect_child_id, n.provider_id)
				= (s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id) AND n.month > s.month);
	DELETE FROM kinderconnect.list_state l WHERE l.organization_id = organization AND l.month = old;
	GET DIAGNOSTICS purged = ROW_COUNT;
	RETURN purged;
END;
$$;
COMMENT ON FUNCTION kinderconnect._purge_lists(text) IS 'deletes the lists of an organization''s oldest month that is old; answers how many';

CREATE OR REPLACE FUNCTION kinderconnect._purge_runs(most integer) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	purged bigint;
BEGIN
	IF (most > 0) IS NOT TRUE THEN
		RAISE EXCEPTION 'batch_size must be positive' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	WITH old AS MATERIALIZED (
		SELECT o.run_id FROM kinderconnect._old_runs() o ORDER BY o.run_id LIMIT most
	), providers AS (
		DELETE FROM kinderconnect.run_provider p USING old WHERE p.run_id = old.run_id
	), organizations AS (
		DELETE FROM kinderconnect.run_organization o USING old WHERE o.run_id = old.run_id
	)
	DELETE FROM kinderconnect.run r USING old WHERE r.run_id = old.run_id;
	GET DIAGNOSTICS purged = ROW_COUNT;
	RETURN purged;
END;
$$;
COMMENT ON FUNCTION kinderconnect._purge_runs(integer) IS 'deletes at most so many old runs, with the parts of organizations and providers; answers how many';

CREATE OR REPLACE PROCEDURE kinderconnect.purge(batch_size integer DEFAULT 1000)
	LANGUAGE plpgsql
AS $$
DECLARE
	organization pg_catalog.text;
	purged       pg_catalog.int8;
BEGIN
	PERFORM kinderconnect._require_no_transaction('purge');
	COMMIT;
	SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
	FOR organization IN SELECT o.organization_id FROM kinderconnect.organization o ORDER BY o.organization_id LOOP
		LOOP
			purged := kinderconnect._purge_calls(organization, batch_size);
			COMMIT AND CHAIN;
			EXIT WHEN purged OPERATOR(pg_catalog.=) 0;
		END LOOP;
		LOOP
			purged := kinderconnect._purge_lists(organization);
			COMMIT AND CHAIN;
			EXIT WHEN purged OPERATOR(pg_catalog.=) 0;
		END LOOP;
	END LOOP;
	LOOP
		purged := kinderconnect._purge_runs(batch_size);
		COMMIT AND CHAIN;
		EXIT WHEN purged OPERATOR(pg_catalog.=) 0;
	END LOOP;
END;
$$;
COMMENT ON PROCEDURE kinderconnect.purge(integer) IS
'deletes batches, lists and runs that are older than the settings keep_attempts_days, keep_lists_days and keep_runs_days, at most batch_size of each in one transaction. A night without arguments ends with it. The ledger, the child-days and what persons decided stay for ever';

-- By a digest of the name, so that sessions that begin at different moments
-- agree without a word whose each is, whatever is enabled meanwhile.
CREATE FUNCTION kinderconnect._in_shard(organization text, shard integer, shards integer) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN shards IS NULL OR mod(hashtextextended(organization, 0) & 9223372036854775807, shards::bigint) = shard;
COMMENT ON FUNCTION kinderconnect._in_shard(text, integer, integer) IS 'whether an organization is of this one of so many shards; null: there are none';

CREATE FUNCTION kinderconnect._require_shard(shard integer, shards integer, organization text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF num_nonnulls(shard, shards) = 1 THEN
		RAISE EXCEPTION 'shard and shards must be given together' USING ERRCODE = 'invalid_parameter_value', HINT = 'For example shard => 0, shards => 2 in one session and shard => 1, shards => 2 in another.';
	ELSIF shards < 1 OR shards > 64 THEN
		RAISE EXCEPTION 'shards % is not between 1 and 64', shards USING ERRCODE = 'invalid_parameter_value';
	ELSIF shard < 0 OR shard >= shards THEN
		RAISE EXCEPTION 'shard % is not between 0 and %', shard, shards - 1 USING ERRCODE = 'invalid_parameter_value', HINT = 'Shards count from 0.';
	ELSIF shard IS NOT NULL AND organization IS NOT NULL THEN
		RAISE EXCEPTION 'shard cannot be given with organization_id' USING ERRCODE = 'invalid_parameter_value', HINT = 'Shards divide all organizations; one alone needs none.';
	END IF;
END;
$$;
COMMENT ON FUNCTION kinderconnect._require_shard(integer, integer, text) IS 'an error unless shard is one of shards, counted from 0, or both are null';

CREATE OR REPLACE FUNCTION kinderconnect._begin_run(organization text, agency text, provider text, from_date date, to_date date, only_due boolean,
		shard integer DEFAULT NULL, shards integer DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	run   bigint;
	dead  bigint;
	sends boolean;
BEGIN
	PERFORM kinderconnect._require_shard(shard, shards, organization);
	-- decided here, once: who is let send while this run is under way waits for the next
	sends := EXISTS (SELECT FROM kinderconnect.organization o
		WHERE o.enabled AND o.sends AND (organization IS NULL OR o.organization_id = organization)
			AND kinderconnect._in_shard(o.organization_id, shard, shards));
	IF sends THEN
		PERFORM kinderconnect._require_armed();
	END IF;
	PERFORM kinderconnect._require_ordinary_rights();
	PERFORM kinderconnect._require_not_stopped();
	IF organization IS NOT NULL THEN
		PERFORM kinderconnect._require_organization(organization);
		IF EXISTS (SELECT FROM kinderconnect.organization o WHERE o.organization_id = organization AND NOT o.enabled) THEN
			RAISE EXCEPTION 'integration of organization "%" is disabled', organization
				USING ERRCODE = 'KC001', HINT = 'Call kinderconnect.enable_integration().';
		END IF;
	ELSIF provider IS NOT NULL OR agency IS NOT NULL THEN
		RAISE EXCEPTION 'agency_id and provider_id need organization_id' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM kinderconnect._require_provider(organization, agency, provider);
	PERFORM kinderconnect._require_period(from_date, to_date);
	PERFORM kinderconnect._require_manage();

	INSERT INTO kinderconnect.run (scope)
	VALUES (jsonb_strip_nulls(jsonb_build_object('organization_id', organization, 'agency_id', agency, 'provider_id', provider,
		'from_date', from_date, 'to_date', to_date, 'due', nullif(only_due, false), 'sends', nullif(sends, true), 'shard', shard, 'shards', shards)))
	RETURNING run_id INTO run;

	INSERT INTO kinderconnect.run_organization (organization_id, run_id, locked, halted, sqlstate, error, hint)
	SELECT o.organization_id, run, l.locked, NOT l.locked,
		CASE WHEN NOT l.locked THEN 'KC401' END,
		CASE WHEN NOT l.locked THEN 'another run is busy with this organization' || coalesce(
			(SELECT format(': run %s of %s, process %s, since %s', b.run_id, b.started_by, b.pid, to_char(b.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'))
				FROM kinderconnect.run_organization ro JOIN kinderconnect.run b ON b.run_id = ro.run_id
				WHERE ro.organization_id = o.organization_id AND ro.locked AND b.status = 'running' AND b.run_id <> run
				ORDER BY b.run_id DESC LIMIT 1), '') END,
		CASE WHEN NOT l.locked THEN 'Let it end; it does all that this one would have done.' END
	FROM (SELECT o.* FROM kinderconnect.organization o
		WHERE o.enabled AND (organization IS NULL OR o.organization_id = organization) AND kinderconnect._in_shard(o.organization_id, shard, shards)
			AND (NOT only_due OR o.organization_id IN (SELECT d.organization_id FROM kinderconnect._due_now() d))
		ORDER BY o.organization_id) o
	CROSS JOIN LATERAL (SELECT kinderconnect._lock(o.organization_id) AS locked) l;

	-- dead: whose process is gone, or whose lock is ours now
	FOR dead IN UPDATE kinderconnect.run r SET status = 'interrupted', ended_at = clock_timestamp()
	WHERE r.status = 'running' AND r.run_id <> run
		AND (NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = r.pid AND a.pid <> pg_backend_pid())
			OR EXISTS (SELECT FROM kinderconnect.run_organization theirs
				JOIN kinderconnect.run_organization ours ON ours.organization_id = theirs.organization_id AND ours.run_id = run
				WHERE theirs.run_id = r.run_id AND theirs.locked AND ours.locked))
		RETURNING r.run_id
	LOOP
		PERFORM kinderconnect._tell_dead(dead);
	END LOOP;

	PERFORM kinderconnect._take_part(run);
	PERFORM kinderconnect._tell_begin(run);
	RETURN run;
END;
$$;
COMMENT ON FUNCTION kinderconnect._begin_run(text, text, text, date, date, boolean, integer, integer) IS
'checks the scope, writes the run down and takes the lock of each of its organizations; answers its id';

CREATE FUNCTION kinderconnect._step(run bigint, step text) RETURNS void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
	UPDATE kinderconnect.run r SET step = _step.step, step_at = clock_timestamp() WHERE r.run_id = run;
END;
COMMENT ON FUNCTION kinderconnect._step(bigint, text) IS 'notes where a run is';

-- Asking and sending stop where an organization is halted; what only this
-- database does goes on, so that its days have their rows all the same.
CREATE FUNCTION kinderconnect._locked(run bigint) RETURNS SETOF text
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.organization_id FROM kinderconnect.run_organization o
	WHERE o.run_id = run AND o.locked
	ORDER BY o.organization_id;
END;
COMMENT ON FUNCTION kinderconnect._locked(bigint) IS 'organizations of a run';

CREATE FUNCTION kinderconnect._at_work(run bigint) RETURNS SETOF text
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.organization_id FROM kinderconnect.run_organization o
	WHERE o.run_id = run AND o.locked AND NOT o.halted
	ORDER BY o.organization_id;
END;
COMMENT ON FUNCTION kinderconnect._at_work(bigint) IS 'organizations of a run that are not halted';

CREATE FUNCTION kinderconnect._left_under_way(run bigint) RETURNS SETOF text
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT o.organization_id FROM kinderconnect.run_organization o
	WHERE o.run_id = run AND o.locked
		AND (EXISTS (SELECT FROM kinderconnect.batch b WHERE b.organization_id = o.organization_id AND b.state IN ('waiting', 'sending'))
			OR EXISTS (SELECT FROM kinderconnect.ledger l WHERE l.organization_id = o.organization_id AND l.state = 'sending'))
	ORDER BY o.organization_id;
END;
COMMENT ON FUNCTION kinderconnect._left_under_way(bigint) IS 'organizations of a run of which a run that died left anything under way';

CREATE FUNCTION kinderconnect._has_unknown(run bigint) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.ledger l ON l.organization_id = w.organization_id AND l.state = 'unknown');
END;
COMMENT ON FUNCTION kinderconnect._has_unknown(bigint) IS 'whether any record of a run''s organizations is unknown';

CREATE FUNCTION kinderconnect._tries_on(run bigint, organization text, agency text, provider text, since timestamptz) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	lost record;
BEGIN
	lost := kinderconnect._lost_so_far(run, organization, agency, provider);
	RETURN lost.answered AND NOT lost.enough
		AND EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id, b.run_id) = (organization, agency, provider, run)
				AND b.created_at >= (SELECT r.started_at FROM kinderconnect.run r WHERE r.run_id = run)
				AND b.state = 'lost' AND b.ended_at > since);
END;
$$;
COMMENT ON FUNCTION kinderconnect._tries_on(bigint, text, text, text, timestamptz) IS
'whether the answer to a batch of a provider was lost since, and the service answers others in this run: a smaller one is tried';

CREATE OR REPLACE FUNCTION kinderconnect._prepare(run bigint, INOUT organizations text[], agencies text[], providers text[], from_date date, to_date date,
		OUT batches text[])
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	unit   record;
	ready  record;
	units  text[] := organizations;
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	BEGIN
		SELECT coalesce(array_agg(n.organization_id), '{}') AS organizations, coalesce(array_agg(n.batch_id), '{}') AS batches INTO ready
		FROM kinderconnect._next_batches(run, units, agencies, providers, from_date, to_date) n;
		organizations := ready.organizations;
		batches := ready.batches;
		RETURN;
	EXCEPTION WHEN OTHERS THEN
		-- told below, of the one that it is about
		organizations := '{}';
		batches := '{}';
	END;
	FOR unit IN SELECT * FROM unnest(units, agencies, providers) u(organization, agency, provider) LOOP
		BEGIN
			SELECT array_agg(n.organization_id) AS organizations, array_agg(n.batch_id) AS batches INTO ready
			FROM kinderconnect._next_batches(run, ARRAY[unit.organization], ARRAY[unit.agency], ARRAY[unit.provider], from_date, to_date) n;
			organizations := organizations || ready.organizations;
			batches := batches || ready.batches;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			PERFORM kinderconnect._fail_provider(run, unit.organization, unit.agency, unit.provider, true, state,
				concat_ws(': ', said, kinderconnect._detail(state, detail)), hint);
		END;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._prepare(bigint, text[], text[], text[], date, date) IS
'the next batches of providers, as _next_batches(); one that cannot be written halts its provider';

CREATE OR REPLACE FUNCTION kinderconnect._dispatch(run bigint, organizations text[], batches text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET enable_hashjoin = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
DECLARE
	item   record;
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	PERFORM kinderconnect._know_sizes();
	FOR item IN
		SELECT b.organization_id, b.agency_id, b.provider_id, b.batch_id,
			(SELECT array_agg(ROW(l.record_id, l.kinderconnect_child_id, l.service_date, l.kind, l.session_in, l.session_out, l.absence_reason)::kinderconnect.wire_record
					ORDER BY l.service_date, l.kinderconnect_child_id, l.record_id)
				FROM unnest(b.record_ids) r(record_id)
				JOIN kinderconnect.ledger l ON (l.organization_id, l.record_id) = (b.organization_id, r.record_id)) AS records
		FROM unnest(organizations, batches) WITH ORDINALITY u(organization_id, batch_id, n)
		JOIN kinderconnect.batch b USING (organization_id, batch_id)
		WHERE b.state = 'sending'
		ORDER BY u.n
	LOOP
		BEGIN
			PERFORM kinderconnect._start_submit(item.organization_id, item.agency_id, item.provider_id, item.batch_id, item.records);
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			PERFORM kinderconnect._fail_provider(run, item.organization_id, item.agency_id, item.provider_id, true, state,
				concat_ws(': ', said, kinderconnect._detail(state, detail)), hint);
		END;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect._dispatch(bigint, text[], text[]) IS
'starts the calls of batches that are committed as sending, given by organization and id; one that cannot be started halts its provider, and its records are resolved by the next run';

-- A step of one organization that only this database can fail at.
CREATE OR REPLACE FUNCTION kinderconnect._guarded(run bigint, organization text, step text, agency text, provider text, from_date date, to_date date) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	state  text;
	said   text;
	detail text;
	hint   text;
BEGIN
	FOR attempt IN 1 .. 2 LOOP
		BEGIN
			CASE step
				WHEN 'recover' THEN PERFORM kinderconnect._recover(organization);
				WHEN 'providers' THEN PERFORM kinderconnect._match_providers(organization);
				WHEN 'clocks' THEN PERFORM kinderconnect._set_clocks(organization);
				WHEN 'vanished' THEN PERFORM kinderconnect._close_vanished(run, organization, from_date, to_date);
				WHEN 'match' THEN PERFORM kinderconnect._match(organization);
				WHEN 'candidates' THEN PERFORM kinderconnect._score(organization);
				WHEN 'repeat' THEN PERFORM kinderconnect._repeat_unknown(run, organization, agency, provider);
				WHEN 'plan' THEN PERFORM kinderconnect._plan(organization, agency, provider, from_date, to_date);
			END CASE;
			EXIT;
		EXCEPTION WHEN deadlock_detected THEN
			-- a person who decides of many at once may hold what this waits for, and
			-- wait for it: what he waited for he has now
			IF attempt = 2 THEN
				RAISE;
			END IF;
		END;
	END LOOP;
	-- what it wrote, for what reads it next: here another session's is not all
	-- that there is. Whatever is counted has the judgement planned anew, which
	-- takes longer than to read a few pages
	IF step IN ('providers', 'clocks', 'match') OR step = 'plan' AND pg_relation_size('kinderconnect.child_day') > 524288 THEN
		PERFORM kinderconnect._know_sizes();
	END IF;
	IF step IN ('match', 'plan') THEN
		UPDATE kinderconnect.run_organization o SET step = _guarded.step, step_ended_at = clock_timestamp()
		WHERE (o.organization_id, o.run_id) = (organization, run);
	END IF;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	-- without a plan of tonight nothing may be sent; candidates are for persons
	PERFORM kinderconnect._fail_organization(run, organization, step <> 'candidates', state,
		concat_ws(': ', format('%s failed', step), said, kinderconnect._detail(state, detail)), hint);
END;
$$;
COMMENT ON FUNCTION kinderconnect._guarded(bigint, text, text, text, text, date, date) IS
'does one step of one organization, once more after a deadlock; an error is noted and halts that organization, but for one of its candidates';

CREATE FUNCTION kinderconnect._customers_to_ask(run bigint) RETURNS TABLE (organization_id text, customer_id text, operation text)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT c.organization_id, c.customer_id, o.operation
	FROM kinderconnect._at_work(run) w(organization_id)
	JOIN kinderconnect.customer c ON c.organization_id = w.organization_id AND c.listed
		AND coalesce(lower(btrim(c.status)), 'active') = 'active'
	CROSS JOIN (VALUES ('agencies'), ('locations')) o(operation)
	WHERE kinderconnect._speaks(c.organization_id, o.operation)
	ORDER BY c.organization_id, c.customer_id, o.operation;
END;
COMMENT ON FUNCTION kinderconnect._customers_to_ask(bigint) IS 'the lists of agencies and locations to ask for';

CREATE FUNCTION kinderconnect._months_to_ask(run bigint, agency text, provider text, from_date date, to_date date)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, month date)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT p.organization_id, p.agency_id, p.provider_id, m.month
	FROM kinderconnect._at_work(run) w(organization_id)
	JOIN kinderconnect.provider_standing p ON p.organization_id = w.organization_id AND p.barred IS NULL
	JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND k.run_id = run
	CROSS JOIN LATERAL kinderconnect._months(p.organization_id, from_date, to_date) m(month)
	WHERE (agency IS NULL OR p.agency_id = agency) AND (provider IS NULL OR p.provider_id = provider)
	ORDER BY m.month DESC, p.organization_id, p.agency_id, p.provider_id;
END;
COMMENT ON FUNCTION kinderconnect._months_to_ask(bigint, text, text, date, date) IS 'the lists of children to ask for, of the last month first';

CREATE FUNCTION kinderconnect._sends(run bigint, organization text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.sends AND NOT r.scope ? 'sends'
	FROM kinderconnect.organization o, kinderconnect.run r
	WHERE o.organization_id = organization AND r.run_id = run;
END;
COMMENT ON FUNCTION kinderconnect._sends(bigint, text) IS 'whether a run may send for an organization';

-- Most nights have none, and to look takes less time than to plan all of this.
CREATE FUNCTION kinderconnect._unknown_to_resolve(run bigint)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, from_date date, to_date date, can_ask boolean)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	IF NOT kinderconnect._has_unknown(run) AND NOT EXISTS (SELECT FROM kinderconnect._at_work(run) w(organization_id)
			JOIN kinderconnect.child_link k ON k.organization_id = w.organization_id AND k.ended_at IS NOT NULL AND k.end_reason LIKE 'merged into %') THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT d.organization_id, d.agency_id, d.provider_id, min(d.service_date), max(d.service_date),
		kinderconnect._speaks(d.organization_id, 'readback')
	FROM (SELECT l.organization_id, l.agency_id, l.provider_id, l.service_date
		FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.ledger l ON l.organization_id = w.organization_id AND l.state = 'unknown'
		WHERE kinderconnect._sends(run, l.organization_id) OR kinderconnect._speaks(l.organization_id, 'readback')
		UNION ALL
		SELECT w.organization_id, m.agency_id, m.provider_id, m.service_date
		FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.run r ON r.run_id = run
		CROSS JOIN LATERAL kinderconnect._merged_days(w.organization_id) m
		WHERE kinderconnect._speaks(w.organization_id, 'readback')
			AND m.agency_id = coalesce(r.scope ->> 'agency_id', m.agency_id) AND m.provider_id = coalesce(r.scope ->> 'provider_id', m.provider_id)
			AND m.service_date BETWEEN coalesce((r.scope ->> 'from_date')::date, '-infinity') AND coalesce((r.scope ->> 'to_date')::date, 'infinity')) d
	GROUP BY d.organization_id, d.agency_id, d.provider_id
	ORDER BY d.organization_id, d.agency_id, d.provider_id;
END;
$$;
COMMENT ON FUNCTION kinderconnect._unknown_to_resolve(bigint) IS
'providers with records whose answer was lost, or with days held as merged_child of which the service can be asked, and the dates these span';

-- A provider that is barred is sent nothing new; what waits of it stays.
CREATE FUNCTION kinderconnect._providers_to_send(run bigint, agency text, provider text, from_date date, to_date date, together integer)
	RETURNS TABLE (organizations text[], agencies text[], providers text[])
	LANGUAGE sql STABLE PARALLEL SAFE
	SET jit = off
BEGIN ATOMIC
	SELECT array_agg(s.organization_id ORDER BY s.turn), array_agg(s.agency_id ORDER BY s.turn), array_agg(s.provider_id ORDER BY s.turn)
	FROM (SELECT p.organization_id, p.agency_id, p.provider_id,
			row_number() OVER (ORDER BY p.organization_id, p.agency_id, p.provider_id) - 1 AS turn
		FROM kinderconnect._at_work(run) w(organization_id)
		JOIN kinderconnect.provider_standing p ON p.organization_id = w.organization_id AND p.barred IS NULL
		JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND k.run_id = run
		WHERE kinderconnect._sends(run, p.organization_id)
			AND (agency IS NULL OR p.agency_id = agency) AND (provider IS NULL OR p.provider_id = provider)
			AND (EXISTS (SELECT FROM kinderconnect.child_day d
					WHERE (d.organization_id, d.agency_id, d.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND d.state = 'ready'
						AND d.service_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity'))
				OR EXISTS (SELECT FROM kinderconnect.batch b
					WHERE (b.organization_id, b.agency_id, b.provider_id) = (p.organization_id, p.agency_id, p.provider_id) AND b.state = 'waiting'))) s
	GROUP BY s.turn / together
	ORDER BY s.turn / together;
END;
COMMENT ON FUNCTION kinderconnect._providers_to_send(bigint, text, text, date, date, integer) IS
'providers that have something to send, so many in a row at most: their organizations, agencies and ids in three parallel arrays';

CREATE FUNCTION kinderconnect._has_more(organization text, agency text, provider text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM kinderconnect.batch b
			WHERE (b.organization_id, b.agency_id, b.provider_id) = (organization, agency, provider) AND b.state = 'waiting')
		OR EXISTS (SELECT FROM kinderconnect.child_day d
			WHERE (d.organization_id, d.agency_id, d.provider_id) = (organization, agency, provider) AND d.state = 'ready');
END;
$$;
COMMENT ON FUNCTION kinderconnect._has_more(text, text, text) IS 'whether batches of a provider wait, or days of it are ready';

-- Waits for at least one call and takes in all that have ended. What the
-- organization itself did wrong halts it: the same password would be refused
-- a thousand times.
CREATE OR REPLACE FUNCTION kinderconnect._take(run bigint) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	more    boolean := false;
	outcome kinderconnect.call_outcome;
	state   text;
	said    text;
	detail  text;
	hint    text;
	compares boolean := EXISTS (SELECT FROM kinderconnect.run r WHERE r.run_id = run AND r.step = 'compare');
	ended    kinderconnect.call_outcome[] := ARRAY(SELECT c FROM kinderconnect._collect() c);
	together kinderconnect.call_outcome[];
	taken    bigint[] := '{}';
BEGIN
	-- Answers to batches, and short lists of children, one of each provider at a
	-- time. What cannot be taken in with others is taken in by itself, below,
	-- and told there.
	FOR together IN
		SELECT array_agg(l.outcome)
		FROM (SELECT e AS outcome, e.operation,
				row_number() OVER (PARTITION BY e.operation, e.organization_id, e.agency_id, e.provider_id ORDER BY e.ticket) AS turn
			FROM unnest(ended) e WHERE e.ok AND (e.operation = 'submit' OR e.operation = 'children' AND e.entries < 1000)) l
		GROUP BY l.operation, l.turn ORDER BY l.operation, l.turn
	LOOP
		BEGIN
			IF together[1].operation = 'submit' THEN
				PERFORM kinderconnect._take_answers(run, together);
			ELSE
				PERFORM kinderconnect._take_children(run, together);
			END IF;
			taken := taken || ARRAY(SELECT t.ticket FROM unnest(together) t);
		EXCEPTION WHEN OTHERS THEN
			EXIT;
		END;
	END LOOP;

	FOREACH outcome IN ARRAY ended LOOP
		BEGIN
			IF compares THEN
				-- what it cannot be asked fails no night
				PERFORM kinderconnect._take_comparison(run, outcome);
				PERFORM kinderconnect._release(outcome.ticket);
				CONTINUE;
			END IF;
			IF outcome.ticket = ANY (taken) THEN
				NULL;
			ELSIF outcome.operation = 'submit' AND outcome.ok THEN
				PERFORM kinderconnect._take_answers(run, ARRAY[outcome]);
			ELSIF outcome.operation = 'submit' THEN
				PERFORM kinderconnect._take_failure(run, outcome);
			ELSIF NOT outcome.ok AND outcome.provider_id IS NULL THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, false, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
			ELSIF NOT outcome.ok THEN
				PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, false,
					outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
			ELSIF outcome.operation = 'customers' THEN
				PERFORM kinderconnect._take_customers(run, outcome);
			ELSIF outcome.operation = 'agencies' THEN
				PERFORM kinderconnect._take_agencies(run, outcome);
			ELSIF outcome.operation = 'locations' THEN
				PERFORM kinderconnect._take_locations(run, outcome);
			ELSIF outcome.operation = 'children' THEN
				PERFORM kinderconnect._take_children(run, ARRAY[outcome]);
			ELSIF outcome.operation = 'readback' THEN
				PERFORM kinderconnect._take_readback(run, outcome);
			END IF;
			IF outcome.operation = 'submit' THEN
				more := more OR kinderconnect._has_more(outcome.organization_id, outcome.agency_id, outcome.provider_id);
			END IF;
			IF outcome.sqlstate = 'KC104' THEN
				UPDATE kinderconnect.run r SET sqlstate = 'KC104', error = 'deadline' WHERE r.run_id = run AND r.sqlstate IS NULL;
			ELSIF outcome.sqlstate IN ('KC001', 'KC002', 'KC201', 'KC202') THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, true, outcome.sqlstate, kinderconnect._said(outcome), outcome.hint);
			ELSIF kinderconnect._is_refused_alike(run, outcome) THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, true, outcome.sqlstate,
					'all providers are refused alike: ' || kinderconnect._said(outcome),
					'Check the secret that group_password of kinderconnect.organization names.');
			END IF;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			said := concat_ws(': ', format('answer to %s could not be taken in', outcome.operation), said, kinderconnect._detail(state, detail));
			IF outcome.provider_id IS NULL THEN
				PERFORM kinderconnect._fail_organization(run, outcome.organization_id, false, state, said, hint);
			ELSE
				PERFORM kinderconnect._fail_provider(run, outcome.organization_id, outcome.agency_id, outcome.provider_id, true, state, said, hint);
			END IF;
		END;
		PERFORM kinderconnect._release(outcome.ticket);
	END LOOP;
	PERFORM kinderconnect._know_sizes();
	RETURN more;
END;
$$;
COMMENT ON FUNCTION kinderconnect._take(bigint) IS
'takes in the calls that have ended, waiting for one; each is an error boundary of its own. Answers whether a provider whose batch was answered has more to send';

-- What each table says is counted once, for the run's organizations alone. Of
-- the run's own tables the planner may know nothing, and take it that there is
-- one provider; a nested loop would count all of it for each that there is.
-- By index, whatever the planner believes: of a first night it knows nothing.
CREATE FUNCTION kinderconnect._count(run bigint, organizations text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET enable_seqscan = off
	SET jit = off
AS $$
DECLARE
	due boolean := (SELECT r.scope ? 'due' FROM kinderconnect.run r WHERE r.run_id = run);
BEGIN
	INSERT INTO kinderconnect.run_provider AS p
		(organization_id, run_id, agency_id, provider_id, children, matched, sent, accepted, rejected, voided, unanswered, held, ready)
	SELECT s.organization_id, run, s.agency_id, s.provider_id, coalesce(c.children, 0), coalesce(c.matched, 0),
		coalesce(l.sent, 0), coalesce(l.accepted, 0), coalesce(l.rejected, 0), coalesce(l.voided, 0), coalesce(l.unanswered, 0),
		coalesce(d.held, 0), coalesce(d.ready, 0)
	FROM kinderconnect.provider_standing s
	LEFT JOIN (SELECT a.organization_id, a.agency_id, a.provider_id, count(DISTINCT a.kinderconnect_child_id) AS children,
			count(DISTINCT k.kinderconnect_child_id) AS matched
		FROM kinderconnect.authorization a
		LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL AND k.organization_id = ANY (organizations)
			AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
		WHERE a.known_until = 'infinity' AND a.organization_id = ANY (organizations)
		GROUP BY a.organization_id, a.agency_id, a.provider_id) c
		ON (c.organization_id, c.agency_id, c.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
	LEFT JOIN (SELECT l.organization_id, l.agency_id, l.provider_id,
			count(*) FILTER (WHERE l.state IN ('accepted', 'rejected')) AS sent,
			count(*) FILTER (WHERE l.state = 'accepted' AND l.kind <> 'void') AS accepted,
			count(*) FILTER (WHERE l.state = 'accepted' AND l.kind = 'void') AS voided,
			count(*) FILTER (WHERE l.state = 'rejected') AS rejected,
			count(*) FILTER (WHERE l.state IN ('sending', 'unknown')) AS unanswered
		FROM kinderconnect.ledger l WHERE l.run_id = run AND l.organization_id = ANY (organizations)
		GROUP BY l.organization_id, l.agency_id, l.provider_id) l
		ON (l.organization_id, l.agency_id, l.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
	LEFT JOIN (SELECT d.organization_id, d.agency_id, d.provider_id,
			count(*) FILTER (WHERE d.state = 'held') AS held, count(*) FILTER (WHERE d.state = 'ready') AS ready
		FROM kinderconnect.child_day d
		WHERE d.state IN ('held', 'ready') AND d.organization_id = ANY (organizations)
		GROUP BY d.organization_id, d.agency_id, d.provider_id) d
		ON (d.organization_id, d.agency_id, d.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
	WHERE s.organization_id = ANY (organizations)
		AND (NOT due OR EXISTS (SELECT FROM kinderconnect.provider_clock k
			WHERE (k.organization_id, k.agency_id, k.provider_id, k.run_id) = (s.organization_id, s.agency_id, s.provider_id, run)))
	ON CONFLICT (organization_id, run_id, agency_id, provider_id) DO UPDATE
	SET children = excluded.children, matched = excluded.matched, sent = excluded.sent, accepted = excluded.accepted,
		rejected = excluded.rejected, voided = excluded.voided, unanswered = excluded.unanswered, held = excluded.held, ready = excluded.ready;
END;
$$;
COMMENT ON FUNCTION kinderconnect._count(bigint, text[]) IS 'counts what a run did for each provider of some organizations';

CREATE OR REPLACE FUNCTION kinderconnect._account(run bigint) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
DECLARE
	organizations text[] := ARRAY(SELECT o.organization_id FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.locked);
	failures      bigint;
BEGIN
	-- some at a time, so that memory does not grow with the night
	FOR i IN 1 .. cardinality(organizations) BY 50 LOOP
		PERFORM kinderconnect._count(run, organizations[i : i + 49]);
	END LOOP;

	SELECT (SELECT count(*) FROM kinderconnect.run_organization o WHERE o.run_id = run AND o.sqlstate IS NOT NULL)
		+ (SELECT count(*) FROM kinderconnect.run_provider p WHERE p.run_id = run AND p.sqlstate IS NOT NULL)
	INTO failures;
	PERFORM kinderconnect._keep_time(run);
	UPDATE kinderconnect.run r
	SET status = CASE WHEN r.sqlstate = 'KC403' THEN 'stopped' WHEN r.sqlstate IS NOT NULL OR failures > 0 THEN 'failed' ELSE 'succeeded' END,
		ended_at = clock_timestamp()
	WHERE r.run_id = run;
	PERFORM kinderconnect._tell_end(run);
	RETURN failures;
END;
$$;
COMMENT ON FUNCTION kinderconnect._account(bigint) IS
'counts what a run did for each provider and ends it; answers how many organizations and providers had an error';

CREATE OR REPLACE PROCEDURE kinderconnect._make_room(run bigint, calls integer DEFAULT 1)
	LANGUAGE plpgsql
AS $$
BEGIN
	WHILE kinderconnect._room() OPERATOR(pg_catalog.<) calls LOOP
		PERFORM kinderconnect._take(run);
		COMMIT AND CHAIN;
	END LOOP;
END;
$$;
COMMENT ON PROCEDURE kinderconnect._make_room(bigint, integer) IS 'takes in calls that end, until so many more may be started; commits';

CREATE OR REPLACE PROCEDURE kinderconnect._drain(run bigint)
	LANGUAGE plpgsql
AS $$
BEGIN
	WHILE kinderconnect._is_busy() LOOP
		PERFORM kinderconnect._take(run);
		COMMIT AND CHAIN;
	END LOOP;
END;
$$;
COMMENT ON PROCEDURE kinderconnect._drain(bigint) IS 'takes in calls that end, until none is left; commits';

CREATE PROCEDURE kinderconnect._send_together(run bigint, organizations text[], batches text[])
	LANGUAGE plpgsql
AS $$
BEGIN
	COMMIT AND CHAIN;
	IF pg_catalog.cardinality(batches) OPERATOR(pg_catalog.>) 0 THEN
		PERFORM kinderconnect._dispatch(run, organizations, batches);
		COMMIT AND CHAIN;
	END IF;
END;
$$;
COMMENT ON PROCEDURE kinderconnect._send_together(bigint, text[], text[]) IS
'commits batches that are marked as sending, given by organization and id, and starts their calls';

-- Walked as far as sending is not stopped and the deadline has not come. What
-- is under way then is waited for, and what waits its turn is ready again.
--
-- READ COMMITTED, whatever the role or the database has for default: what is
-- changed while an answer is waited for has to be seen when it is taken in, and
-- what was sent must not be forgotten for what another night has read. Hence
-- chained, or each transaction would begin with the default.
CREATE OR REPLACE PROCEDURE kinderconnect._night(organization_id text, agency_id text, provider_id text, from_date date, to_date date, only_due boolean,
		shard integer, shards integer)
	LANGUAGE plpgsql
AS $$
DECLARE
	run      pg_catalog.int8;
	item     record;
	made     record;
	pass     pg_catalog.int4;
	last     pg_catalog.timestamptz;
	since    pg_catalog.timestamptz;
	month    pg_catalog.date;
	asked    pg_catalog.text[];
	started  pg_catalog.bool;
	more     pg_catalog.bool;
	failures pg_catalog.int8;
	together pg_catalog.int4 := kinderconnect.setting('max_in_flight');
BEGIN
	COMMIT;
	SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
	PERFORM kinderconnect._open(NULL);
	run := kinderconnect._begin_run(organization_id, agency_id, provider_id, from_date, to_date, only_due, shard, shards);
	COMMIT AND CHAIN;
	FOR item IN SELECT w AS organization FROM kinderconnect._left_under_way(run) w LOOP
		PERFORM kinderconnect._guarded(run, item.organization, 'recover', NULL, NULL, NULL, NULL);
		COMMIT AND CHAIN;
	END LOOP;

	<<steps>>
	BEGIN
		PERFORM kinderconnect._step(run, 'lists');
		COMMIT AND CHAIN;
		FOR item IN SELECT w AS organization FROM kinderconnect._at_work(run) w WHERE kinderconnect._speaks(w, 'customers') LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._ask(run, 'customers', item.organization);
			CALL kinderconnect._make_room(run);
		END LOOP;
		CALL kinderconnect._drain(run);
		FOR item IN SELECT * FROM kinderconnect._customers_to_ask(run) LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._ask(run, item.operation, item.organization_id, customer => item.customer_id);
			CALL kinderconnect._make_room(run);
		END LOOP;
		CALL kinderconnect._drain(run);
		EXIT steps WHEN NOT kinderconnect._goes_on(run);
		FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
			PERFORM kinderconnect._guarded(run, item.organization, 'providers', NULL, NULL, NULL, NULL);
			COMMIT AND CHAIN;
		END LOOP;
		PERFORM kinderconnect._take_part(run);
		COMMIT AND CHAIN;
		FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
			PERFORM kinderconnect._guarded(run, item.organization, 'clocks', NULL, NULL, NULL, NULL);
			COMMIT AND CHAIN;
		END LOOP;

		PERFORM kinderconnect._step(run, 'children');
		COMMIT AND CHAIN;
		FOR item IN SELECT * FROM kinderconnect._months_to_ask(run, agency_id, provider_id, from_date, to_date) LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			IF item.month OPERATOR(pg_catalog.<) month THEN
				CALL kinderconnect._drain(run);
			END IF;
			month := item.month;
			PERFORM kinderconnect._ask(run, 'children', item.organization_id, item.agency_id, item.provider_id, month => item.month);
			CALL kinderconnect._make_room(run);
		END LOOP;
		CALL kinderconnect._drain(run);

		PERFORM kinderconnect._step(run, 'match');
		COMMIT AND CHAIN;
		FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w LOOP
			EXIT steps WHEN NOT kinderconnect._goes_on(run);
			PERFORM kinderconnect._guarded(run, item.organization, 'vanished', NULL, NULL, from_date, to_date);
			PERFORM kinderconnect._guarded(run, item.organization, 'match', NULL, NULL, NULL, NULL);
			COMMIT AND CHAIN;
			PERFORM kinderconnect._guarded(run, item.organization, 'candidates', NULL, NULL, NULL, NULL);
			COMMIT AND CHAIN;
		END LOOP;

		-- Unknown days are resolved before the plan, and once more after the
		-- transfer, so that an answer lost tonight is found tonight. And again
		-- for the providers of which a batch was lost, and another answered:
		-- one record may be what the service fails at, and in smaller ones it
		-- is soon alone.
		FOR pass IN 1..8 LOOP
			since := last;
			last := pg_catalog.clock_timestamp();
			asked := '{}';
			PERFORM kinderconnect._step(run, 'resolve');
			COMMIT AND CHAIN;
			FOR item IN SELECT * FROM kinderconnect._unknown_to_resolve(run) u
				WHERE pass OPERATOR(pg_catalog.<=) 2 OR kinderconnect._tries_on(run, u.organization_id, u.agency_id, u.provider_id, since)
			LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				asked := asked OPERATOR(pg_catalog.||) item.organization_id;
				IF item.can_ask THEN
					PERFORM kinderconnect._ask(run, 'readback', item.organization_id, item.agency_id, item.provider_id,
						from_date => item.from_date, to_date => item.to_date);
				ELSIF (agency_id OPERATOR(pg_catalog.<>) item.agency_id OR provider_id OPERATOR(pg_catalog.<>) item.provider_id) IS NOT TRUE THEN
					PERFORM kinderconnect._guarded(run, item.organization_id, 'repeat', item.agency_id, item.provider_id, NULL, NULL);
					COMMIT AND CHAIN;
				END IF;
				CALL kinderconnect._make_room(run);
			END LOOP;
			CALL kinderconnect._drain(run);
			EXIT WHEN pass OPERATOR(pg_catalog.>) 2 AND pg_catalog.cardinality(asked) OPERATOR(pg_catalog.=) 0;

			PERFORM kinderconnect._step(run, 'plan');
			COMMIT AND CHAIN;
			FOR item IN SELECT w AS organization FROM kinderconnect._locked(run) w
				WHERE pass OPERATOR(pg_catalog.<=) 2 OR pg_catalog.array_position(asked, w) IS NOT NULL
			LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				PERFORM kinderconnect._guarded(run, item.organization, 'plan', agency_id, provider_id, from_date, to_date);
				COMMIT AND CHAIN;
			END LOOP;

			PERFORM kinderconnect._step(run, 'transfer');
			COMMIT AND CHAIN;
			LOOP
				-- Providers take turns: each has one batch under way at most.
				-- As many as may be under way are committed together, when
				-- there is room for them: what is committed is sent at once.
				started := false;
				FOR item IN SELECT * FROM kinderconnect._providers_to_send(run, agency_id, provider_id, from_date, to_date, together) LOOP
					CALL kinderconnect._make_room(run, together);
					EXIT WHEN NOT kinderconnect._goes_on(run);
					made := kinderconnect._prepare(run, item.organizations, item.agencies, item.providers, from_date, to_date);
					CALL kinderconnect._send_together(run, made.organizations, made.batches);
					started := started OR pg_catalog.cardinality(made.batches) OPERATOR(pg_catalog.>) 0;
				END LOOP;
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				EXIT WHEN NOT started AND NOT kinderconnect._is_busy();
				-- making room may have taken in the last one, and left halves of it
				WHILE kinderconnect._is_busy() LOOP
					more := kinderconnect._take(run);
					COMMIT AND CHAIN;
					EXIT WHEN more;
				END LOOP;
			END LOOP;
			EXIT WHEN NOT kinderconnect._has_unknown(run);
		END LOOP;

		-- what the service holds by now, of a few providers
		IF pg_catalog.num_nonnulls(agency_id, provider_id, from_date, to_date) OPERATOR(pg_catalog.=) 0 THEN
			PERFORM kinderconnect._step(run, 'compare');
			COMMIT AND CHAIN;
			FOR item IN SELECT w AS organization, c.* FROM kinderconnect._at_work(run) w, kinderconnect._providers_to_compare(run, w) c LOOP
				EXIT steps WHEN NOT kinderconnect._goes_on(run);
				PERFORM kinderconnect._ask_comparison(run, item.organization, item.agency_id, item.provider_id, item.from_date, item.to_date);
				CALL kinderconnect._make_room(run);
			END LOOP;
			CALL kinderconnect._drain(run);
		END IF;
	END steps;

	CALL kinderconnect._drain(run);
	PERFORM kinderconnect._step(run, 'account');
	PERFORM kinderconnect._drop_waiting(w, NULL, NULL) FROM kinderconnect._locked(run) w;
	failures := kinderconnect._account(run);
	COMMIT AND CHAIN;
	PERFORM kinderconnect._close();
	IF pg_catalog.num_nonnulls(organization_id, agency_id, provider_id, from_date, to_date) OPERATOR(pg_catalog.=) 0 AND (shard OPERATOR(pg_catalog.>) 0) IS NOT TRUE THEN
		CALL kinderconnect.purge();
	END IF;
	PERFORM kinderconnect._report(run, failures);
END;
$$;
COMMENT ON PROCEDURE kinderconnect._night(text, text, text, date, date, boolean, integer, integer) IS
'a whole run, of nightly() or, only_due, of tick()';

CREATE OR REPLACE PROCEDURE kinderconnect.nightly(organization_id text DEFAULT NULL, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL,
		from_date date DEFAULT NULL, to_date date DEFAULT NULL, shard integer DEFAULT NULL, shards integer DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM kinderconnect._require_no_transaction('nightly');
	PERFORM kinderconnect._require_in_horizon(from_date, to_date);
	COMMIT;
	CALL kinderconnect._night(organization_id, agency_id, provider_id, from_date, to_date, false, shard, shards);
END;
$$;
COMMENT ON PROCEDURE kinderconnect.nightly(text, text, text, date, date, integer, integer) IS
'the night: lists, children, match, resolve, plan, transfer, compare, account, for all enabled organizations or for the one, the agency, the provider and the service dates given; or, for sessions side by side, for shard of shards, counted from 0: each organization is of one of them. To be called by itself, not inside a transaction: it commits as it goes. Ends with an error (KC402; KC401 another run is busy; KC104 at its deadline) when a part failed, after everything good is done';

CREATE OR REPLACE FUNCTION kinderconnect._attendance_problems(organization text)
	RETURNS TABLE (problem text, location_id text, entries bigint, concerning bigint, oldest date, newest date, examples text[])
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET enable_mergejoin = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	in_manage text COLLATE "default" := organization;
	since     date;
BEGIN
	SELECT greatest((now() AT TIME ZONE 'Pacific/Honolulu')::date - kinderconnect.setting('horizon_days')::integer, o.first_enabled - o.backfill_days) INTO since
	FROM kinderconnect.organization o WHERE o.organization_id = organization;

	RETURN QUERY
	WITH site AS (
		SELECT z.location_id, z.zone, (now() AT TIME ZONE coalesce(z.zone, 'Pacific/Honolulu'))::date AS today,
			EXISTS (SELECT FROM kinderconnect.provider_standing s
				WHERE s.organization_id = organization AND s.location_id = z.location_id AND s.barred IS NULL) AS takes_part,
			ARRAY(SELECT s.agency_id FROM kinderconnect.provider_standing s
				WHERE s.organization_id = organization AND s.location_id = z.location_id) AS agencies
		FROM kinderconnect._location_zones(organization) z
	), eligible AS (
		SELECT k.child_id, array_agg(k.agency_id) AS agencies
		FROM kinderconnect.child_link k
		JOIN kinderconnect.authorization a ON (a.organization_id, a.agency_id, a.kinderconnect_child_id) = (organization, k.agency_id, k.kinderconnect_child_id)
		WHERE k.organization_id = organization AND k.ended_at IS NULL AND (a.end_date >= since) IS NOT FALSE AND (a.closed_as = 'changed') IS NOT TRUE
		GROUP BY k.child_id
	), place AS (
		SELECT l.location_id COLLATE "C" AS location_id, bool_or(l.organization_id = in_manage) AS ours FROM kinderconnect.manage_location l GROUP BY 1
	), kid AS (
		SELECT c.child_id COLLATE "C" AS child_id, bool_or(c.organization_id = in_manage) AS ours FROM kinderconnect.manage_child c GROUP BY 1
	), entry AS MATERIALIZED (
		SELECT m.attendance_id, m.location_id COLLATE "C" AS location_id, m.child_id COLLATE "C" AS child_id, m.kind, m.check_in, m.check_out, m.service_date
		FROM kinderconnect.manage_attendance m
		WHERE m.organization_id = in_manage
			AND (m.check_in >= since - interval '1 day'
				OR m.check_in IS NULL AND m.check_out >= since - interval '1 day'
				OR m.service_date >= since
				OR num_nonnulls(m.check_in, m.check_out, m.service_date) = 0 AND (m.modified_at >= since) IS NOT FALSE)
	), judged AS (
		SELECT e.attendance_id, e.location_id, w.day,
			CASE
				WHEN s.location_id IS NULL AND p.ours IS FALSE OR e.child_id IS NOT NULL AND k.ours IS FALSE THEN 'other_organization'
				WHEN s.location_id IS NULL AND p.ours IS NULL THEN 'unknown_location'
				WHEN e.child_id IS NULL AND e.kind IS DISTINCT FROM 'closure' THEN 'no_child'
				WHEN e.child_id IS NOT NULL AND k.ours IS NULL THEN 'unknown_child'
				WHEN (e.kind IN ('session', 'absence', 'closure')) IS NOT TRUE THEN 'unknown_kind'
				WHEN e.kind = 'session' AND num_nonnulls(e.check_in, e.check_out) = 0 THEN 'no_times'
				WHEN e.kind <> 'session' AND e.service_date IS NULL THEN 'no_date'
				WHEN (s.agencies && g.agencies) IS NOT TRUE AND g.child_id IS NOT NULL THEN 'no_provider'
				WHEN s.location_id IS NOT NULL AND s.zone IS NULL THEN 'no_time_zone'
				WHEN e.kind = 'session' AND w.day > s.today THEN 'future_session'
				WHEN e.kind <> 'session' AND w.day > s.today THEN 'not_yet'
			END AS problem,
			CASE WHEN k.ours THEN g.child_id IS NOT NULL ELSE s.takes_part IS TRUE OR g.child_id IS NOT NULL END AS concerning
		FROM entry e
		LEFT JOIN site s ON s.location_id = e.location_id
		LEFT JOIN place p ON p.location_id = e.location_id
		LEFT JOIN kid k ON k.child_id = e.child_id
		LEFT JOIN eligible g ON g.child_id = e.child_id
		CROSS JOIN LATERAL (SELECT CASE WHEN e.kind IN ('absence', 'closure') THEN e.service_date
			ELSE coalesce((coalesce(e.check_in, e.check_out) AT TIME ZONE coalesce(s.zone, 'UTC'))::date, e.service_date) END AS day) w
	)
	SELECT j.problem, j.location_id, count(*), count(*) FILTER (WHERE j.concerning AND j.problem <> 'not_yet'), min(j.day), max(j.day),
		(array_agg(j.attendance_id ORDER BY j.concerning DESC, j.attendance_id COLLATE "C"))[1:3]
	FROM judged j
	WHERE j.problem IS NOT NULL
	GROUP BY j.problem, j.location_id;
EXCEPTION WHEN data_exception THEN
	PERFORM kinderconnect._manage_fails(SQLSTATE);
END;
$$;
COMMENT ON FUNCTION kinderconnect._attendance_problems(text) IS
'rows of Manage''s attendance of an organization, not older than the horizon, that belong to no child-day, by problem and location; those of unknown_kind hold their day, where they have one';

CREATE VIEW kinderconnect.attendance_problem AS
SELECT o.organization_id, p.problem, p.location_id, p.entries, p.concerning, p.oldest, p.newest, p.examples, r.meaning, r.what_to_do
FROM kinderconnect.organization o
CROSS JOIN LATERAL kinderconnect._attendance_problems(o.organization_id) p
JOIN kinderconnect.reason r ON r.reason = p.problem
WHERE o.enabled;
COMMENT ON VIEW kinderconnect.attendance_problem IS
'rows of Manage''s attendance that no child-day can say anything of, and why. Reads Manage, so for operators; name the organization';
COMMENT ON COLUMN kinderconnect.attendance_problem.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.attendance_problem.problem IS 'code: kinderconnect.reason';
COMMENT ON COLUMN kinderconnect.attendance_problem.location_id IS 'location of the rows';
COMMENT ON COLUMN kinderconnect.attendance_problem.entries IS 'how many rows';
COMMENT ON COLUMN kinderconnect.attendance_problem.concerning IS 'of these, how many may be of an authorized child: the row says so, or the child cannot be told and the location has a provider. The others cost no subsidy';
COMMENT ON COLUMN kinderconnect.attendance_problem.oldest IS 'first date of them; null: they have none';
COMMENT ON COLUMN kinderconnect.attendance_problem.newest IS 'last date of them';
COMMENT ON COLUMN kinderconnect.attendance_problem.examples IS 'up to three attendance_id, those that concern first';
COMMENT ON COLUMN kinderconnect.attendance_problem.meaning IS 'the problem in words';
COMMENT ON COLUMN kinderconnect.attendance_problem.what_to_do IS 'the cure';

CREATE OR REPLACE FUNCTION kinderconnect.preview(organization_id text DEFAULT NULL, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL,
		from_date date DEFAULT NULL, to_date date DEFAULT NULL)
	RETURNS SETOF kinderconnect.preview_day
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	organization text;
BEGIN
	IF preview.organization_id IS NOT NULL THEN
		PERFORM kinderconnect._require_organization(preview.organization_id);
	END IF;
	PERFORM kinderconnect._require_provider(preview.organization_id, preview.agency_id, preview.provider_id);
	PERFORM kinderconnect._require_period(preview.from_date, preview.to_date);
	PERFORM kinderconnect._require_manage();
	FOR organization IN
		SELECT o.organization_id FROM kinderconnect.organization o
		WHERE o.organization_id = preview.organization_id OR o.enabled AND preview.organization_id IS NULL
		ORDER BY o.organization_id
	LOOP
		BEGIN
			RETURN QUERY
			SELECT organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date, p.location_id, p.child_id,
				p.state, p.reason, p.detail, r.what_to_do,
				CASE WHEN p.state = 'ready' AND p.content IS NULL THEN 'void' ELSE p.kind END,
				p.session_in, p.session_out, p.absence_reason, p.content, d.accepted_content, p.finished
			FROM kinderconnect._planned(organization, preview.agency_id, preview.provider_id, preview.from_date, preview.to_date, true) p
			LEFT JOIN kinderconnect.reason r ON r.reason = p.reason
			LEFT JOIN kinderconnect.child_day d ON (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
				= (organization, p.agency_id, p.provider_id, p.kinderconnect_child_id, p.service_date);
			IF num_nonnulls(preview.agency_id, preview.provider_id, preview.from_date, preview.to_date) = 0 THEN
				RETURN QUERY
				SELECT organization, NULL, NULL, NULL, NULL::date, p.location_id, NULL, 'unplaced', p.problem,
					format('%s of %s rows may concern an authorized child: %s', p.concerning, p.entries, array_to_string(p.examples, ', ')), r.what_to_do,
					NULL, NULL::time[], NULL::time[], NULL, NULL, NULL, NULL::boolean
				FROM kinderconnect._attendance_problems(organization) p
				JOIN kinderconnect.reason r ON r.reason = p.problem
				WHERE p.concerning > 0;
			END IF;
		EXCEPTION WHEN data_exception THEN
			PERFORM kinderconnect._manage_fails(SQLSTATE);
		END;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect.preview(text, text, text, date, date) IS
'the dry run: every child-day of the horizon as the night would plan it now, by the lists last fetched and tonight''s links; state ready is what would be sent, content is what, kind void takes a day back. Today''s days are there as they stand, those that nothing is wrong with as unfinished_day; and, unless it is limited, rows of Manage that belong to no day and may concern an authorized child. Sends and changes nothing';

CREATE OR REPLACE FUNCTION kinderconnect.test_connection(organization_id text)
	RETURNS TABLE (step text, subject text, ok boolean, message text, hint text)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	org       kinderconnect.organization;
	service   kinderconnect.endpoint;
	customers text[];
	item      record;
	entries   bigint;
	detail    text;
BEGIN
	PERFORM kinderconnect._require_organization(test_connection.organization_id);
	SELECT * INTO STRICT org FROM kinderconnect.organization o WHERE o.organization_id = test_connection.organization_id;
	SELECT * INTO STRICT service FROM kinderconnect.endpoint e WHERE e.endpoint = org.endpoint;

	FOR item IN SELECT * FROM (VALUES ('group password', org.group_password, 'group_password of kinderconnect.organization'),
		('client secret', service.client_secret, 'client_secret of kinderconnect.endpoint')) s(what, name, column_name) WHERE s.name IS NOT NULL LOOP
		step := 'secret';
		subject := item.what;
		BEGIN
			ok := kinderconnect._has_secret(item.name);
			-- the name is not repeated: it may be the secret itself
			message := CASE WHEN ok THEN 'in the secrets file' ELSE 'not in the secrets file' END;
			hint := CASE WHEN NOT ok THEN format('Write the line that %s names into the file of kinderconnect.secrets_file, or call kinderconnect.set_secret().', item.column_name) END;
		EXCEPTION WHEN OTHERS THEN
			ok := false;
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			message := concat_ws(': ', message, kinderconnect._detail(SQLSTATE, detail));
			hint := nullif(hint, '');
		END;
		RETURN NEXT;
		IF NOT ok THEN
			RETURN;
		END IF;
	END LOOP;

	IF kinderconnect._speaks(org.organization_id, 'customers') THEN
		step := 'customers';
		subject := format('group "%s" at %s', org.group_id, service.base_url);
		BEGIN
			SELECT array_agg(c.customer_id ORDER BY c.customer_id)
				FILTER (WHERE c.customer_id IS NOT NULL AND coalesce(lower(btrim(c.status)), 'active') = 'active'), count(*)
			INTO customers, entries FROM kinderconnect.api_customers(org.organization_id) c;
			ok := true;
			message := format('%s customers, %s active', entries, coalesce(cardinality(customers), 0));
			hint := NULL;
		EXCEPTION WHEN OTHERS THEN
			ok := false;
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			message := concat_ws(': ', message, kinderconnect._detail(SQLSTATE, detail));
			hint := nullif(hint, '');
		END;
		RETURN NEXT;
		IF NOT ok THEN
			RETURN;
		END IF;

		FOR item IN SELECT c.customer_id, o.operation FROM unnest(customers) c(customer_id)
				CROSS JOIN (VALUES ('agencies'), ('locations')) o(operation) ORDER BY c.customer_id, o.operation LOOP
			CONTINUE WHEN NOT kinderconnect._speaks(org.organization_id, item.operation);
			step := item.operation;
			subject := format('customer "%s"', item.customer_id);
			BEGIN
				IF item.operation = 'agencies' THEN
					SELECT count(*) INTO entries FROM kinderconnect.api_agencies(org.organization_id, item.customer_id);
				ELSE
					SELECT count(*) INTO entries FROM kinderconnect.api_locations(org.organization_id, item.customer_id);
				END IF;
				ok := true;
				message := format('%s %s', entries, item.operation);
				hint := NULL;
			EXCEPTION WHEN OTHERS THEN
				ok := false;
				GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
				message := concat_ws(': ', message, kinderconnect._detail(SQLSTATE, detail));
				hint := nullif(hint, '');
			END;
			RETURN NEXT;
		END LOOP;
	END IF;

	-- what the service does not list has to be entered
	IF NOT kinderconnect._speaks(org.organization_id, 'locations')
		AND NOT EXISTS (SELECT FROM kinderconnect.provider_standing p WHERE p.organization_id = org.organization_id AND p.barred IS NULL) THEN
		step := 'locations';
		subject := 'providers';
		ok := false;
		message := 'the service lists none, and none is entered';
		hint := 'Enter each: SELECT kinderconnect.add_provider(organization_id, agency_id, provider_id, location_id).';
		RETURN NEXT;
	END IF;
	IF NOT kinderconnect._speaks(org.organization_id, 'agencies') THEN
		FOR item IN SELECT DISTINCT p.agency_id FROM kinderconnect.provider_standing p
				WHERE p.organization_id = org.organization_id AND p.barred IS NULL
					AND NOT EXISTS (SELECT FROM kinderconnect.agency a WHERE a.agency_id = p.agency_id AND a.state IS NOT NULL) ORDER BY p.agency_id LOOP
			step := 'agencies';
			subject := format('agency "%s"', item.agency_id);
			ok := false;
			message := 'the service lists none, and no state is entered: no rule of a state applies';
			hint := 'Enter its state in kinderconnect.agency, and its time_zone where Manage''s locations have none.';
			RETURN NEXT;
		END LOOP;
	END IF;

	FOR item IN SELECT p.agency_id, p.provider_id, p.location_id FROM kinderconnect.provider_standing p
			WHERE p.organization_id = org.organization_id AND p.barred IS NULL ORDER BY p.agency_id, p.provider_id LOOP
		step := 'children';
		subject := format('agency "%s", provider "%s"', item.agency_id, item.provider_id);
		BEGIN
			SELECT count(DISTINCT c.kinderconnect_child_id) INTO entries
			FROM kinderconnect.api_children(org.organization_id, item.agency_id, item.provider_id, (now() AT TIME ZONE 'America/Chicago')::date) c;
			ok := item.location_id IS NOT NULL;
			message := format('%s children this month', entries) || CASE WHEN NOT ok THEN ', but no location of Manage' ELSE '' END;
			hint := CASE WHEN NOT ok THEN 'The night looks for the location by name and ZIP; or enter it: add_provider(organization_id, agency_id, provider_id, location_id).' END;
		EXCEPTION WHEN OTHERS THEN
			ok := false;
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			message := concat_ws(': ', message, kinderconnect._detail(SQLSTATE, detail));
			hint := nullif(hint, '');
		END;
		RETURN NEXT;
	END LOOP;
END;
$$;
COMMENT ON FUNCTION kinderconnect.test_connection(text) IS
'makes the real calls and says row by row what works: secrets, the group, its lists, each provider''s children. Changes and sends nothing';

CREATE OR REPLACE FUNCTION kinderconnect._tick(shard integer, shards integer) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	at     timestamptz := clock_timestamp();
	due_at timestamptz;
BEGIN
	IF num_nonnulls(shard, shards) > 0 THEN
		PERFORM kinderconnect._require_shard(shard, shards, NULL);
	END IF;
	IF pg_is_in_recovery() THEN
		RETURN false;
	END IF;
	PERFORM setval('kinderconnect.last_tick', extract(epoch FROM at)::bigint);
	IF (SELECT l.last_value FROM kinderconnect.next_look l) > extract(epoch FROM at) OR kinderconnect._stopped_because() IS NOT NULL THEN
		RETURN false;
	ELSIF EXISTS (SELECT FROM kinderconnect._due_now() d WHERE kinderconnect._in_shard(d.organization_id, shard, shards)) THEN
		RETURN true;
	END IF;
	BEGIN
		LOCK TABLE kinderconnect.provider_clock IN SHARE ROW EXCLUSIVE MODE NOWAIT;
	EXCEPTION WHEN lock_not_available THEN
		RETURN false;		-- see _look_again()
	END;
	SELECT min(CASE WHEN t.due_at IS NULL THEN kinderconnect._scheduled(t.cadence, t.local_time, t.days, t.anchor, t.month_days, t.time_zone, at, true)
		ELSE t.due_at END)
	INTO due_at
	FROM (SELECT DISTINCT d.cadence, d.local_time, d.days, d.anchor, d.month_days, d.time_zone, d.due_at FROM kinderconnect._due_as_of(at) d) t;
	PERFORM setval('kinderconnect.next_look', floor(extract(epoch FROM least(due_at, at + interval '1 hour')))::bigint);
	RETURN false;
END;
$$;
COMMENT ON FUNCTION kinderconnect._tick(integer, integer) IS 'whether a tick has anything to do; notes that there was one, and where there is nothing, when to look again';

CREATE OR REPLACE PROCEDURE kinderconnect.tick(shard integer DEFAULT NULL, shards integer DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM kinderconnect._require_no_transaction('tick');
	COMMIT;
	IF kinderconnect._tick(shard, shards) THEN
		CALL kinderconnect._night(NULL, NULL, NULL, NULL, NULL, true, shard, shards);
	END IF;
END;
$$;
COMMENT ON PROCEDURE kinderconnect.tick(integer, integer) IS
'runs the night for the providers that are due by the timetable, if there are any; of all organizations, or of those in shard of shards, as in nightly(). To be called every few minutes, by itself, not inside a transaction. Does nothing on a standby or while sending is stopped';

CREATE FUNCTION kinderconnect._job_name(shard integer) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'kinderconnect' || CASE WHEN shard > 0 THEN '-' || shard ELSE '' END;
COMMENT ON FUNCTION kinderconnect._job_name(integer) IS 'the name of the job of pg_cron for a shard';

CREATE OR REPLACE FUNCTION kinderconnect.schedule(schedule text DEFAULT '*/15 * * * *', shards integer DEFAULT 1) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job       bigint;
	first_job bigint;
	active    bigint;
	cron_name text;
	cron      record;
	caller    record;
	login_hint CONSTANT text := 'Call schedule() as a login role that is a member of kinderconnect_operator, for example after SET ROLE kinderconnect_night.';
BEGIN
	IF num_nulls(schedule.schedule, shards) > 0 THEN
		RAISE EXCEPTION 'schedule and shards must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM kinderconnect._require_shard(0, shards, NULL);
	SELECT r.rolsuper, r.rolcanlogin, r.rolconnlimit INTO STRICT caller FROM pg_roles r WHERE r.rolname = current_user;
	IF caller.rolsuper THEN
		RAISE EXCEPTION 'the night does not run as a superuser'
			USING ERRCODE = 'insufficient_privilege', DETAIL = 'The job of pg_cron runs as the role that calls schedule().', HINT = login_hint;
	ELSIF NOT caller.rolcanlogin THEN
		RAISE EXCEPTION 'role "%" cannot log in, so pg_cron could not run its job', current_user
			USING ERRCODE = 'KC001', HINT = login_hint;
	ELSIF caller.rolconnlimit = 0 OR NOT has_database_privilege(current_database(), 'CONNECT') THEN
		RAISE EXCEPTION 'role "%" cannot connect to database "%", so pg_cron could not run its job', current_user, current_database()
			USING ERRCODE = 'KC001', HINT = format('GRANT CONNECT ON DATABASE %I TO %I; and look at its CONNECTION LIMIT.', current_database(), current_user);
	END IF;
	cron_name := kinderconnect._cron_schema();
	SELECT * INTO cron FROM kinderconnect._cron_settings();
	FOR shard IN 0 .. shards - 1 LOOP
		EXECUTE format('SELECT %I.schedule(%L, %L, %L)', cron_name, kinderconnect._job_name(shard), schedule.schedule,
			CASE WHEN shards = 1 THEN 'CALL kinderconnect.tick()' ELSE format('CALL kinderconnect.tick(%s, %s)', shard, shards) END) INTO job;
		first_job := coalesce(first_job, job);
	END LOOP;
	-- of a schedule with more of them
	EXECUTE format('SELECT count(%1$I.unschedule(j.jobid)) FROM %1$I.job j
		WHERE j.jobname = ANY ($1) AND j.username = current_user AND j.database = current_database()', cron_name)
	USING ARRAY(SELECT kinderconnect._job_name(s) FROM generate_series(shards, 63) s);

	EXECUTE format('SELECT count(*) FROM %I.job j WHERE j.active', cron_name) INTO active;
	IF active > cron.max_running_jobs THEN
		RAISE WARNING 'pg_cron runs at most % jobs at once, and has %', cron.max_running_jobs, active
			USING HINT = 'A tick may have to wait for the others. Raise cron.max_running_jobs.';
	END IF;
	IF cron.uses_workers THEN
		-- one for pg_cron itself, one for logical replication's launcher
		IF cron.max_worker_processes < cron.max_running_jobs + 2 THEN
			RAISE WARNING 'max_worker_processes is %, too few for % jobs of pg_cron at once', cron.max_worker_processes, cron.max_running_jobs
				USING HINT = format('Raise it to at least %s, and by what parallel queries and other extensions need; or lower cron.max_running_jobs.', cron.max_running_jobs + 2);
		END IF;
	ELSE
		RAISE NOTICE 'pg_cron will connect to "%" as role "%"', coalesce(nullif(cron.host, ''), 'localhost'), current_user
			USING HINT = 'pg_hba.conf must let it in without a prompt, or .pgpass of the server''s user hold its password; or set cron.use_background_workers = on.';
	END IF;
	RETURN first_job;
END;
$$;
COMMENT ON FUNCTION kinderconnect.schedule(text, integer) IS
'has pg_cron call tick() as the calling role, every 15 minutes; when whose night runs is a matter of set_schedule(). Five cron fields, in pg_cron''s time zone. With shards more than 1, so many jobs, each for its part of the organizations, run side by side. Calling it again changes them; answers the id of the first job';

CREATE OR REPLACE FUNCTION kinderconnect.unschedule() RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	cron  text := kinderconnect._cron_schema();
	ended bigint;
BEGIN
	EXECUTE format('SELECT count(%1$I.unschedule(j.jobid)) FROM %1$I.job j WHERE j.jobname = ANY ($1) AND j.username = current_user AND j.database = current_database()', cron)
		INTO ended USING ARRAY(SELECT kinderconnect._job_name(s) FROM generate_series(0, 63) s);
	RETURN ended > 0;
END;
$$;
COMMENT ON FUNCTION kinderconnect.unschedule() IS 'ends the calling role''s jobs; a run under way goes on to its end. False where there was none';

-- A job that outlived the extension would fail every few minutes, for ever. An
-- event trigger on sql_drop would be gone before it could fire, and before the
-- drop only its words tell what is dropped: of a statement that is written out,
-- and not made by a function. In PL/pgSQL, or a library that is gone would hold
-- up every DROP SCHEMA.
CREATE FUNCTION kinderconnect._before_drop() RETURNS event_trigger
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM regexp_split_to_table(current_query(), ';') statement
			WHERE statement ~* E'^\\s*drop\\s+(extension|schema)\\s+(if\\s+exists\\s+)?([^,]+,)*\\s*"?kinderconnect"?\\s*(,[^,]+)*(cascade|restrict)?\\s*$')
		AND EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		EXECUTE 'SELECT count(cron.unschedule(j.jobid)) FROM cron.job j
			WHERE j.database = current_database() AND j.command ~ ''^CALL kinderconnect[.]tick[(]''';
	END IF;
EXCEPTION WHEN insufficient_privilege THEN
	RAISE WARNING 'jobs of pg_cron that call kinderconnect.tick() stay' USING HINT = 'SELECT cron.unschedule(jobid) as their owner or a superuser.';
END;
$$;
COMMENT ON FUNCTION kinderconnect._before_drop() IS 'ends the jobs of pg_cron in this database that call tick(), before DROP EXTENSION kinderconnect and DROP SCHEMA kinderconnect';

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

CREATE OR REPLACE FUNCTION kinderconnect.set_threshold(check_name text, warning numeric, critical numeric) RETURNS void
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

-- Others' jobs are not for everybody, and this one's messages neither.
CREATE OR REPLACE FUNCTION kinderconnect._cron_job(OUT jobs bigint, OUT active boolean, OUT schedule text, OUT status text, OUT ended_at timestamptz)
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

CREATE VIEW kinderconnect.provider_summary AS
SELECT s.organization_id, s.agency_id, s.provider_id, s.location_id, s.name, s.barred,
	coalesce(c.children, 0) AS children, coalesce(c.matched, 0) AS matched,
	coalesce(d.days, 0) AS days, coalesce(d.accepted, 0) AS accepted, coalesce(d.ready, 0) AS ready,
	coalesce(d.held, 0) AS held, coalesce(d.rejected, 0) AS rejected, coalesce(d.unknown, 0) AS unknown,
	coalesce(d.voided, 0) AS voided, coalesce(d.not_due, 0) AS not_due
FROM kinderconnect.provider_standing s
LEFT JOIN (SELECT a.organization_id, a.agency_id, a.provider_id,
		count(DISTINCT a.kinderconnect_child_id) AS children, count(DISTINCT k.kinderconnect_child_id) AS matched
	FROM kinderconnect.authorization a
	LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
	WHERE a.known_until = 'infinity'
	GROUP BY a.organization_id, a.agency_id, a.provider_id) c
	ON (c.organization_id, c.agency_id, c.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
LEFT JOIN (SELECT d.organization_id, d.agency_id, d.provider_id, count(*) AS days,
		count(*) FILTER (WHERE d.state = 'accepted') AS accepted, count(*) FILTER (WHERE d.state = 'ready') AS ready,
		count(*) FILTER (WHERE d.state = 'held') AS held, count(*) FILTER (WHERE d.state = 'rejected') AS rejected,
		count(*) FILTER (WHERE d.state IN ('sending', 'unknown')) AS unknown, count(*) FILTER (WHERE d.state = 'voided') AS voided,
		count(*) FILTER (WHERE d.state = 'not_due') AS not_due
	FROM kinderconnect.child_day d
	GROUP BY d.organization_id, d.agency_id, d.provider_id) d
	ON (d.organization_id, d.agency_id, d.provider_id) = (s.organization_id, s.agency_id, s.provider_id);
COMMENT ON VIEW kinderconnect.provider_summary IS
'each provider: its authorized children, how many are matched, and its child-days by state; days is the sum of the states';
COMMENT ON COLUMN kinderconnect.provider_summary.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_summary.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_summary.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_summary.location_id IS 'Manage''s location, or null';
COMMENT ON COLUMN kinderconnect.provider_summary.name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_summary.barred IS 'why nothing is asked or sent for it; null: it takes part';
COMMENT ON COLUMN kinderconnect.provider_summary.children IS 'children with an authorization that still stands';
COMMENT ON COLUMN kinderconnect.provider_summary.matched IS 'of these, linked to a child of Manage';
COMMENT ON COLUMN kinderconnect.provider_summary.days IS 'child-days, all';
COMMENT ON COLUMN kinderconnect.provider_summary.accepted IS 'the service holds what Manage says';
COMMENT ON COLUMN kinderconnect.provider_summary.ready IS 'to be sent by the next run';
COMMENT ON COLUMN kinderconnect.provider_summary.held IS 'not sent: held_summary says why';
COMMENT ON COLUMN kinderconnect.provider_summary.rejected IS 'the service refused it: code and message in child_day';
COMMENT ON COLUMN kinderconnect.provider_summary.unknown IS 'sent, and the answer is not in yet or was lost';
COMMENT ON COLUMN kinderconnect.provider_summary.voided IS 'taken back';
COMMENT ON COLUMN kinderconnect.provider_summary.not_due IS 'nothing to send, explained by its reason';

CREATE VIEW kinderconnect.held_summary AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.state, d.reason, count(*) AS days,
	min(d.service_date) AS oldest, max(d.service_date) AS newest,
	min(d.window_ends) FILTER (WHERE d.state = 'held' AND w.is_open) AS first_window_ends, count(*) FILTER (WHERE d.state = 'held' AND NOT w.is_open) AS lost,
	r.meaning, r.what_to_do
FROM kinderconnect.child_day d
JOIN kinderconnect.reason r ON r.reason = d.reason
LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
CROSS JOIN LATERAL (SELECT d.reason NOT IN ('window_closed', 'horizon_passed') AND kinderconnect._is_open(d.service_date, d.window_ends, g.time_zone) AS is_open) w
GROUP BY d.organization_id, d.agency_id, d.provider_id, d.state, d.reason, r.meaning, r.what_to_do;
COMMENT ON VIEW kinderconnect.held_summary IS 'why child-days are not sent, for each provider and reason, and what to do';
COMMENT ON COLUMN kinderconnect.held_summary.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.held_summary.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.held_summary.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.held_summary.state IS 'held, or not_due';
COMMENT ON COLUMN kinderconnect.held_summary.reason IS 'its code';
COMMENT ON COLUMN kinderconnect.held_summary.days IS 'how many child-days';
COMMENT ON COLUMN kinderconnect.held_summary.oldest IS 'first service date';
COMMENT ON COLUMN kinderconnect.held_summary.newest IS 'last service date';
COMMENT ON COLUMN kinderconnect.held_summary.first_window_ends IS 'of held: when the first window that is still open ends; null: no enforced window is open. The horizon may end before: unsettled_day';
COMMENT ON COLUMN kinderconnect.held_summary.lost IS 'of held: child-days whose enforced window is over, or that are older than the horizon';
COMMENT ON COLUMN kinderconnect.held_summary.meaning IS 'the reason in words';
COMMENT ON COLUMN kinderconnect.held_summary.what_to_do IS 'the cure, of those that are not lost; of each day: unsettled_day';

CREATE VIEW kinderconnect.unlinked_child AS
SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id, c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth,
	c.subsidized, c.unlinked_because, c.first_listed
FROM kinderconnect.child c
WHERE NOT EXISTS (SELECT FROM kinderconnect.child_link k WHERE k.ended_at IS NULL
	AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id));
COMMENT ON VIEW kinderconnect.unlinked_child IS
'KinderConnect children without a link to a child of Manage, and why: no_birth_date, no_name, not_in_manage, several_in_manage, several_at_service, middle_name_or_suffix, already_linked, id_disagrees, several_stored_ids; parted: a person said that the one who fits is another; merged: the agency gave the child another id, which has its link; rival_gone: a child of the same names and birth date has gone from Manage, and a match six hours later links, if that is still so; not_matched_yet: something changed, and the next match looks; null before the first match';
COMMENT ON COLUMN kinderconnect.unlinked_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unlinked_child.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unlinked_child.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.unlinked_child.first_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.middle_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.last_name IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.suffix IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.date_of_birth IS 'as listed';
COMMENT ON COLUMN kinderconnect.unlinked_child.subsidized IS 'false: at no provider, and never sent';
COMMENT ON COLUMN kinderconnect.unlinked_child.unlinked_because IS 'why it has no link';
COMMENT ON COLUMN kinderconnect.unlinked_child.first_listed IS 'when it was first listed';

CREATE VIEW kinderconnect.provider_review AS
SELECT s.organization_id, s.agency_id, s.provider_id, s.name, l.city, l.zip,
	ARRAY(SELECT DISTINCT c.location_id FROM kinderconnect._location_candidates(s.organization_id) c
		WHERE (c.agency_id, c.provider_id) = (s.agency_id, s.provider_id) ORDER BY c.location_id) AS candidates
FROM kinderconnect.provider_standing s
LEFT JOIN kinderconnect.listed_location l ON (l.organization_id, l.agency_id, l.provider_id) = (s.organization_id, s.agency_id, s.provider_id)
WHERE s.location_id IS NULL AND s.barred IS NULL;
COMMENT ON VIEW kinderconnect.provider_review IS
'providers without a location of Manage, with the candidates, if any; decide with add_provider(). Reads Manage, so for operators';
COMMENT ON COLUMN kinderconnect.provider_review.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_review.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_review.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_review.name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_review.city IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_review.zip IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.provider_review.candidates IS 'Manage locations that fit by id, or by name and ZIP; empty: none does';

-- Organizations, and providers of other clocks, have nights apart: the last run
-- of all tells of some of them.
CREATE VIEW kinderconnect.last_night AS
SELECT u.organization_id, u.agency_id, u.provider_id, r.run_id, r.started_at, r.ended_at, r.status,
	p.children, p.matched, p.sent, p.accepted, p.rejected, p.voided, p.unanswered, p.differences, p.held, p.ready,
	coalesce(p.sqlstate, o.sqlstate, r.sqlstate) AS sqlstate,
	CASE WHEN p.sqlstate IS NOT NULL THEN p.error WHEN o.sqlstate IS NOT NULL THEN o.error ELSE r.error END AS error,
	CASE WHEN p.sqlstate IS NOT NULL THEN p.hint WHEN o.sqlstate IS NOT NULL THEN o.hint END AS hint
FROM (SELECT s.organization_id, s.agency_id, s.provider_id FROM kinderconnect.provider_standing s WHERE s.barred IS NULL
	UNION ALL
	SELECT o.organization_id, '', '' FROM kinderconnect.organization o
	WHERE o.enabled AND NOT EXISTS (SELECT FROM kinderconnect.provider_standing s WHERE s.organization_id = o.organization_id AND s.barred IS NULL)) u
LEFT JOIN kinderconnect.provider_clock k ON (k.organization_id, k.agency_id, k.provider_id) = (u.organization_id, u.agency_id, u.provider_id)
LEFT JOIN kinderconnect.run r ON r.run_id = k.run_id
LEFT JOIN kinderconnect.run_provider p ON (p.organization_id, p.run_id, p.agency_id, p.provider_id) = (u.organization_id, r.run_id, u.agency_id, u.provider_id)
LEFT JOIN kinderconnect.run_organization o ON (o.organization_id, o.run_id) = (u.organization_id, r.run_id);
COMMENT ON VIEW kinderconnect.last_night IS
'what the last run that each provider had a part in did for it, and what went wrong; of the providers that take part. Agency and provider empty: an organization of which no provider is known yet. Counts are null while the run is under way, and if it died';
COMMENT ON COLUMN kinderconnect.last_night.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.last_night.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.last_night.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.last_night.run_id IS 'the run; null: it had a part in none yet';
COMMENT ON COLUMN kinderconnect.last_night.started_at IS 'when the run began';
COMMENT ON COLUMN kinderconnect.last_night.ended_at IS 'when it ended; null: it is under way';
COMMENT ON COLUMN kinderconnect.last_night.status IS 'of the run, for all that it did: running, succeeded, failed, stopped or interrupted';
COMMENT ON COLUMN kinderconnect.last_night.children IS 'authorized children at the end of the run';
COMMENT ON COLUMN kinderconnect.last_night.matched IS 'of these, linked to a child of Manage';
COMMENT ON COLUMN kinderconnect.last_night.sent IS 'child-days the service answered for in the run';
COMMENT ON COLUMN kinderconnect.last_night.accepted IS 'of these, accepted';
COMMENT ON COLUMN kinderconnect.last_night.rejected IS 'of these, rejected';
COMMENT ON COLUMN kinderconnect.last_night.voided IS 'of these, taken back';
COMMENT ON COLUMN kinderconnect.last_night.unanswered IS 'child-days sent whose answer was unknown at the end of the run';
COMMENT ON COLUMN kinderconnect.last_night.differences IS 'child-days of which the service holds something else than we say; null: not compared in the run';
COMMENT ON COLUMN kinderconnect.last_night.held IS 'child-days held at the end of the run';
COMMENT ON COLUMN kinderconnect.last_night.ready IS 'child-days still to be sent at the end of the run';
COMMENT ON COLUMN kinderconnect.last_night.sqlstate IS 'the provider''s first error, else its organization''s, else why the run ended before its end; null: all went well';
COMMENT ON COLUMN kinderconnect.last_night.error IS 'the same in words';
COMMENT ON COLUMN kinderconnect.last_night.hint IS 'what to do about it';

CREATE VIEW kinderconnect.authorized_child AS
SELECT a.organization_id, a.agency_id, g.name AS agency, g.state, a.provider_id, p.name AS provider, p.location_id, p.barred,
	a.kinderconnect_child_id, c.first_name, c.middle_name, c.last_name, c.suffix, c.date_of_birth, coalesce(s.subsidized, true) AS subsidized,
	k.child_id, k.method AS matched_by, coalesce(k.flag, CASE WHEN k.child_id IS NULL THEN coalesce(c.unlinked_because, 'not_matched_yet') END) AS review,
	a.authorization_id, a.begin_date, a.end_date, a.units_of_care, a.days, a.known_from,
	a.begin_date <= t.today AND (a.days IS NULL OR t.weekday = ANY (a.days)) AS authorized_today
FROM kinderconnect.authorization a
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
LEFT JOIN kinderconnect.provider_standing p ON (p.organization_id, p.agency_id, p.provider_id) = (a.organization_id, a.agency_id, a.provider_id)
LEFT JOIN kinderconnect.agency g ON g.agency_id = a.agency_id
LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
	AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
CROSS JOIN LATERAL (SELECT d.today, (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d.today)::integer] AS weekday
	FROM (SELECT (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date AS today) d) t
LEFT JOIN LATERAL (SELECT s.subsidized FROM kinderconnect.listed_subsidy s
	WHERE (s.organization_id, s.agency_id, s.kinderconnect_child_id, s.provider_id)
		= (a.organization_id, a.agency_id, a.kinderconnect_child_id, a.provider_id)
	ORDER BY s.month > t.today, abs(s.month - t.today) LIMIT 1) s ON true
WHERE a.known_until = 'infinity' AND (a.end_date IS NULL OR a.end_date >= t.today);
COMMENT ON VIEW kinderconnect.authorized_child IS
'every authorization that stands and has not ended, with its child, its match in Manage, its location and its agency; a child with two has two rows';
COMMENT ON COLUMN kinderconnect.authorized_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.authorized_child.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.authorized_child.agency IS 'its name, as listed';
COMMENT ON COLUMN kinderconnect.authorized_child.state IS 'its state, two-letter code';
COMMENT ON COLUMN kinderconnect.authorized_child.provider_id IS 'the provider ID the authorization is for';
COMMENT ON COLUMN kinderconnect.authorized_child.provider IS 'name of the site as the service lists it, else the provider ID';
COMMENT ON COLUMN kinderconnect.authorized_child.location_id IS 'Manage''s location; null: not found yet; operators see the candidates in provider_review';
COMMENT ON COLUMN kinderconnect.authorized_child.barred IS 'why nothing is sent for the provider; null: it takes part';
COMMENT ON COLUMN kinderconnect.authorized_child.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.authorized_child.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.middle_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.suffix IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.date_of_birth IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.authorized_child.subsidized IS 'false: by the provider''s list of this month its care there is not subsidized, and not sent';
COMMENT ON COLUMN kinderconnect.authorized_child.child_id IS 'the child in Manage; null: not matched';
COMMENT ON COLUMN kinderconnect.authorized_child.matched_by IS 'how it was matched: method of child_link';
COMMENT ON COLUMN kinderconnect.authorized_child.review IS 'why a person should look at the match: unlinked_because of child, flag of child_link, or not_matched_yet; null: it stands';
COMMENT ON COLUMN kinderconnect.authorized_child.authorization_id IS 'the service''s id, or begin date and units where its dialect has none; of a further period under the same id, the id with # and a number';
COMMENT ON COLUMN kinderconnect.authorized_child.begin_date IS 'first day of care, inclusive; may lie ahead';
COMMENT ON COLUMN kinderconnect.authorized_child.end_date IS 'last day of care, inclusive; null: open';
COMMENT ON COLUMN kinderconnect.authorized_child.units_of_care IS 'units authorized, as listed';
COMMENT ON COLUMN kinderconnect.authorized_child.days IS 'weekdays of care, MO to SU; null: every day';
COMMENT ON COLUMN kinderconnect.authorized_child.known_from IS 'since when the service says exactly this';
COMMENT ON COLUMN kinderconnect.authorized_child.authorized_today IS 'whether it covers today, by its dates and its weekdays';

CREATE FUNCTION kinderconnect.authorizations_ending(days integer) RETURNS SETOF kinderconnect.authorized_child
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
AS $$
#variable_conflict use_column
BEGIN
	IF (authorizations_ending.days >= 0) IS NOT TRUE THEN
		RAISE EXCEPTION 'days must not be negative or null' USING ERRCODE = 'invalid_parameter_value', HINT = '0 is today alone.';
	END IF;
	RETURN QUERY
	SELECT a.* FROM kinderconnect.authorized_child a
	LEFT JOIN kinderconnect.agency g ON g.agency_id = a.agency_id
	WHERE a.end_date <= (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date + authorizations_ending.days
		AND NOT EXISTS (SELECT FROM kinderconnect.authorization n
			WHERE (n.organization_id, n.agency_id, n.provider_id, n.kinderconnect_child_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id)
				AND n.known_until = 'infinity' AND n.begin_date <= a.end_date + 1 AND (n.end_date IS NULL OR n.end_date > a.end_date));
END;
$$;
COMMENT ON FUNCTION kinderconnect.authorizations_ending(integer) IS
'rows of authorized_child whose last day is today or one of the next days, and that no other authorization of the child at the provider takes up the day after';

CREATE FUNCTION kinderconnect.newly_authorized(since date)
	RETURNS TABLE (organization_id text, agency_id text, provider_id text, location_id text, kinderconnect_child_id text,
		first_name text, last_name text, child_id text, authorization_id text, begin_date date, end_date date, units_of_care text,
		listed_at timestamptz, new_child boolean)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = auto
AS $$
#variable_conflict use_column
BEGIN
	IF since IS NULL THEN
		RAISE EXCEPTION 'since must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	RETURN QUERY
	SELECT a.organization_id, a.agency_id, a.provider_id, p.location_id, a.kinderconnect_child_id, c.first_name, c.last_name, k.child_id,
		a.authorization_id, a.begin_date, a.end_date, a.units_of_care, f.first_known,
		NOT EXISTS (SELECT FROM kinderconnect.authorization o
			WHERE (o.organization_id, o.agency_id, o.provider_id, o.kinderconnect_child_id)
				= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id) AND o.known_from < f.first_known)
	FROM kinderconnect.authorization a
	JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
	LEFT JOIN kinderconnect.agency g ON g.agency_id = a.agency_id
	LEFT JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (a.organization_id, a.agency_id, a.provider_id)
	LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (a.organization_id, a.agency_id, a.kinderconnect_child_id)
	CROSS JOIN LATERAL (SELECT min(o.known_from) AS first_known FROM kinderconnect.authorization o
		WHERE (o.organization_id, o.agency_id, o.provider_id, o.kinderconnect_child_id, o.authorization_id)
			= (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id)) f
	WHERE a.known_until = 'infinity' AND (f.first_known AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date >= since;
END;
$$;
COMMENT ON FUNCTION kinderconnect.newly_authorized(date) IS
'authorizations that stand and were first listed on this date or later, also those for days gone by; new_child: the child had none at the provider before. One that vanished and came back is not new';

-- One row an event. A change of several things is several rows of one moment.
CREATE VIEW kinderconnect.authorization_history AS
SELECT h.organization_id, h.agency_id, h.provider_id, h.kinderconnect_child_id, h.authorization_id,
	coalesce(e.on_date, (e.at AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date) AS day,
	e.event, e.was, e.became, e.at AS seen_at
FROM (SELECT a.*,
		concat_ws(', ', to_char(a.begin_date, 'YYYY-MM-DD') || ' to ' || coalesce(to_char(a.end_date, 'YYYY-MM-DD'), 'open'), a.units_of_care,
			array_to_string(a.days, ' ')) AS terms,
		lag(a.closed_as) OVER w AS before, lag(a.begin_date) OVER w AS begin_before, lag(a.end_date) OVER w AS end_before,
		lag(a.units_of_care) OVER w AS units_before, lag(a.days) OVER w AS days_before, lead(a.known_from) OVER w IS NULL AS is_last
	FROM kinderconnect.authorization a
	WINDOW w AS (PARTITION BY a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id, a.authorization_id ORDER BY a.known_from)) h
LEFT JOIN kinderconnect.agency g ON g.agency_id = h.agency_id
CROSS JOIN LATERAL (
	SELECT h.known_from AS at, NULL::date AS on_date, 'listed' AS event, NULL AS was, h.terms AS became WHERE h.before IS NULL
	UNION ALL SELECT h.known_from, NULL, 'came_back', NULL, h.terms WHERE h.before = 'vanished'
	UNION ALL SELECT h.known_from, NULL, 'begin_changed', to_char(h.begin_before, 'YYYY-MM-DD'), to_char(h.begin_date, 'YYYY-MM-DD') WHERE h.before IS NOT NULL AND h.begin_before <> h.begin_date
	UNION ALL SELECT h.known_from, NULL, 'end_changed', coalesce(to_char(h.end_before, 'YYYY-MM-DD'), 'open'), coalesce(to_char(h.end_date, 'YYYY-MM-DD'), 'open')
		WHERE h.before IS NOT NULL AND h.end_before IS DISTINCT FROM h.end_date
	UNION ALL SELECT h.known_from, NULL, 'units_changed', h.units_before, h.units_of_care WHERE h.before IS NOT NULL AND h.units_before IS DISTINCT FROM h.units_of_care
	UNION ALL SELECT h.known_from, NULL, 'days_changed', coalesce(array_to_string(h.days_before, ' '), 'every day'), coalesce(array_to_string(h.days, ' '), 'every day')
		WHERE h.before IS NOT NULL AND h.days_before IS DISTINCT FROM h.days
	UNION ALL SELECT h.known_until, NULL, 'vanished', h.terms, NULL WHERE h.closed_as = 'vanished'
	UNION ALL SELECT NULL, h.begin_date, 'begins', NULL, NULL WHERE h.is_last AND h.closed_as IS NULL
	UNION ALL SELECT NULL, h.end_date, 'ends', NULL, NULL WHERE h.is_last AND h.closed_as IS NULL AND h.end_date IS NOT NULL) e;
COMMENT ON VIEW kinderconnect.authorization_history IS
'what happened to each authorization: listed, begin_changed, end_changed, units_changed, days_changed, vanished, came_back, and of one that stands the days it begins and ends, also ahead. Order by day, seen_at';
COMMENT ON COLUMN kinderconnect.authorization_history.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.authorization_history.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.authorization_history.provider_id IS 'the provider ID it is for';
COMMENT ON COLUMN kinderconnect.authorization_history.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.authorization_history.authorization_id IS 'the authorization';
COMMENT ON COLUMN kinderconnect.authorization_history.day IS 'when: of begins and ends that date, else the agency''s date on which it was first seen';
COMMENT ON COLUMN kinderconnect.authorization_history.event IS 'what';
COMMENT ON COLUMN kinderconnect.authorization_history.was IS 'of a change and of vanished: what the service said before';
COMMENT ON COLUMN kinderconnect.authorization_history.became IS 'of listed, came_back and a change: what it says from then on';
COMMENT ON COLUMN kinderconnect.authorization_history.seen_at IS 'the moment it was first seen; null: begins and ends';

CREATE VIEW kinderconnect.unmatched_summary AS
SELECT u.organization_id, u.agency_id, u.reason, count(*) AS children, count(*) FILTER (WHERE u.authorized) AS authorized,
	count(*) FILTER (WHERE u.first_listed > now() - interval '7 days') AS this_week,
	count(*) FILTER (WHERE u.first_listed <= now() - interval '7 days' AND u.first_listed > now() - interval '30 days') AS this_month,
	count(*) FILTER (WHERE u.first_listed <= now() - interval '30 days') AS older,
	min(u.first_listed) AS oldest, coalesce(sum(d.days), 0)::bigint AS days_held, min(d.oldest_day) AS oldest_day,
	min(d.first_window_ends) AS first_window_ends, coalesce(sum(d.lost), 0)::bigint AS days_lost
FROM (SELECT c.organization_id, c.agency_id, c.kinderconnect_child_id, c.first_listed,
		coalesce(k.flag, c.unlinked_because, 'not_matched_yet') AS reason,
		EXISTS (SELECT FROM kinderconnect.authorization a WHERE a.known_until = 'infinity'
			AND (a.organization_id, a.agency_id, a.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)) AS authorized
	FROM kinderconnect.child c
	LEFT JOIN kinderconnect.child_link k ON k.ended_at IS NULL
		AND (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (c.organization_id, c.agency_id, c.kinderconnect_child_id)
	WHERE k.child_id IS NULL OR k.flag IS NOT NULL) u
LEFT JOIN (SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id, count(*) AS days, min(d.service_date) AS oldest_day,
		min(d.window_ends) FILTER (WHERE kinderconnect._is_open(d.service_date, d.window_ends, g.time_zone)) AS first_window_ends,
		count(*) FILTER (WHERE NOT kinderconnect._is_open(d.service_date, d.window_ends, g.time_zone)) AS lost
	FROM kinderconnect.child_day d
	LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
	WHERE d.reason IN ('unmatched', 'link_disagrees', 'child_gone')
	GROUP BY d.organization_id, d.agency_id, d.kinderconnect_child_id) d
	ON (d.organization_id, d.agency_id, d.kinderconnect_child_id) = (u.organization_id, u.agency_id, u.kinderconnect_child_id)
GROUP BY u.organization_id, u.agency_id, u.reason;
COMMENT ON VIEW kinderconnect.unmatched_summary IS
'KinderConnect children without a link to a child of Manage, or with one that is flagged, by reason and age; together with the links that stand they are all children listed';
COMMENT ON COLUMN kinderconnect.unmatched_summary.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unmatched_summary.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unmatched_summary.reason IS 'unlinked_because of child, flag of child_link, or not_matched_yet';
COMMENT ON COLUMN kinderconnect.unmatched_summary.children IS 'how many; the sum of the three ages';
COMMENT ON COLUMN kinderconnect.unmatched_summary.authorized IS 'of these, with an authorization that stands';
COMMENT ON COLUMN kinderconnect.unmatched_summary.this_week IS 'first listed less than 7 days ago';
COMMENT ON COLUMN kinderconnect.unmatched_summary.this_month IS 'first listed 7 to 30 days ago';
COMMENT ON COLUMN kinderconnect.unmatched_summary.older IS 'first listed more than 30 days ago';
COMMENT ON COLUMN kinderconnect.unmatched_summary.oldest IS 'when the first of them was first listed';
COMMENT ON COLUMN kinderconnect.unmatched_summary.days_held IS 'child-days that wait for the match';
COMMENT ON COLUMN kinderconnect.unmatched_summary.oldest_day IS 'the first of these days';
COMMENT ON COLUMN kinderconnect.unmatched_summary.first_window_ends IS 'when the first window of these days that is still open ends; null: no enforced window is open. The horizon may end before: unsettled_day';
COMMENT ON COLUMN kinderconnect.unmatched_summary.days_lost IS 'of these days, those whose enforced window is over, or that are older than the horizon: no match brings them back';

CREATE VIEW kinderconnect.unclaimed_day AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.location_id, d.kinderconnect_child_id, d.child_id, c.first_name, c.last_name,
	d.service_date, (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d.service_date)::integer] AS weekday,
	d.window_ends, kinderconnect._is_open(d.service_date, d.window_ends, g.time_zone) AS is_open
FROM kinderconnect.child_day d
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
WHERE (d.reason = 'nothing_recorded' OR d.state = 'voided') AND d.authorized;
COMMENT ON VIEW kinderconnect.unclaimed_day IS
'money nobody asked for: authorized, finished days of matched children for which Manage has neither attendance nor absence nor closure, or has it no longer. Days of unmatched children are in unmatched_summary';
COMMENT ON COLUMN kinderconnect.unclaimed_day.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unclaimed_day.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unclaimed_day.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.unclaimed_day.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.unclaimed_day.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.unclaimed_day.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.unclaimed_day.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unclaimed_day.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unclaimed_day.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.unclaimed_day.weekday IS 'MO to SU: an authorization that names no weekdays covers the weekend too';
COMMENT ON COLUMN kinderconnect.unclaimed_day.window_ends IS 'when the agency stops taking it; null: no enforced window';
COMMENT ON COLUMN kinderconnect.unclaimed_day.is_open IS 'true: recorded in Manage today, it is still sent; false: its enforced window is over, or it is older than the horizon';

-- Two ways of counting the same child-days: what Manage says of them, and
-- what became of them. A day whose record cannot be sent as it is counts as
-- attended or absent all the same.
CREATE VIEW kinderconnect.provider_month AS
SELECT d.organization_id, d.agency_id, d.provider_id, date_trunc('month', d.service_date::timestamp)::date AS month,
	count(*) AS days,
	count(*) FILTER (WHERE d.authorized) AS authorized,
	count(*) FILTER (WHERE d.kind = 'session' OR d.reason IN ('missing_check_out', 'missing_check_in', 'out_before_in', 'too_short', 'too_long',
		'overlapping_sessions', 'over_midnight', 'clock_change', 'too_many_sessions')) AS attended,
	count(*) FILTER (WHERE d.kind = 'absence' OR d.reason = 'absence_reason') AS absent,
	count(*) FILTER (WHERE d.kind = 'closure') AS closed,
	count(*) FILTER (WHERE (d.reason = 'nothing_recorded' OR d.state = 'voided') AND d.authorized) AS unclaimed,
	count(*) FILTER (WHERE d.accepted_content IS NOT NULL OR d.state IN ('sending', 'unknown', 'rejected', 'voided')) AS sent,
	count(*) FILTER (WHERE d.state = 'accepted') AS accepted,
	count(*) FILTER (WHERE d.state = 'ready') AS ready,
	count(*) FILTER (WHERE d.state = 'held') AS held,
	count(*) FILTER (WHERE d.state = 'rejected') AS rejected,
	count(*) FILTER (WHERE d.state IN ('sending', 'unknown')) AS unknown,
	count(*) FILTER (WHERE d.state = 'voided') AS voided,
	count(*) FILTER (WHERE d.state = 'not_due') AS not_due
FROM kinderconnect.child_day d
GROUP BY d.organization_id, d.agency_id, d.provider_id, date_trunc('month', d.service_date::timestamp)::date;
COMMENT ON VIEW kinderconnect.provider_month IS
'each provider and month in child-days: what Manage says of them (attended, absent, closed, unclaimed) and what became of them; accepted, ready, held, rejected, unknown, voided and not_due add up to days';
COMMENT ON COLUMN kinderconnect.provider_month.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.provider_month.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.provider_month.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.provider_month.month IS 'first day of the month';
COMMENT ON COLUMN kinderconnect.provider_month.days IS 'child-days, all: authorized, and attendance without an authorization';
COMMENT ON COLUMN kinderconnect.provider_month.authorized IS 'an authorization covers the day';
COMMENT ON COLUMN kinderconnect.provider_month.attended IS 'Manage has sessions, which can be sent or are held for what is wrong with them; one of conflict or unknown_kind counts for nothing';
COMMENT ON COLUMN kinderconnect.provider_month.absent IS 'Manage has an absence';
COMMENT ON COLUMN kinderconnect.provider_month.closed IS 'Manage has a closure';
COMMENT ON COLUMN kinderconnect.provider_month.unclaimed IS 'authorized, and Manage has nothing: unclaimed_day lists them. They are held, or voided';
COMMENT ON COLUMN kinderconnect.provider_month.sent IS 'ever sent: accepted or rejected, taken back, or without an answer yet';
COMMENT ON COLUMN kinderconnect.provider_month.accepted IS 'the service holds what Manage says';
COMMENT ON COLUMN kinderconnect.provider_month.ready IS 'to be sent by the next run';
COMMENT ON COLUMN kinderconnect.provider_month.held IS 'not sent: held_summary says why';
COMMENT ON COLUMN kinderconnect.provider_month.rejected IS 'the service refused it';
COMMENT ON COLUMN kinderconnect.provider_month.unknown IS 'sent, and the answer is not in yet or was lost';
COMMENT ON COLUMN kinderconnect.provider_month.voided IS 'taken back';
COMMENT ON COLUMN kinderconnect.provider_month.not_due IS 'nothing to send, explained by its reason';

-- Rules of an agency with the dates on which each is the one that counts: its
-- own dates less those of whatever wins over it, in the order of _rules(). They
-- are few: MATERIALIZED has the dates computed once, not for each child-day.
CREATE VIEW kinderconnect.entry_window AS
WITH w AS MATERIALIZED (
	SELECT a.agency_id, r.rule, r.value::integer AS days, r.enforced,
		datemultirange(r.valid) - coalesce((SELECT range_agg(o.valid) FROM kinderconnect.agency_rule o
			WHERE o.rule = r.rule AND (o.agency_id = a.agency_id OR o.state = a.state)
				AND (o.agency_id IS NULL, o.builtin) < (r.agency_id IS NULL, r.builtin)), '{}') AS valid,
		r.source
	FROM kinderconnect.agency a
	JOIN kinderconnect.agency_rule r ON (r.agency_id = a.agency_id OR r.state = a.state)
	WHERE r.rule IN ('entry_window_days', 'correction_window_days')
)
SELECT * FROM w
WHERE NOT isempty(w.valid);
COMMENT ON VIEW kinderconnect.entry_window IS 'how many days back each agency takes entries and corrections, enforced or only believed, and for which service dates';
COMMENT ON COLUMN kinderconnect.entry_window.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.entry_window.rule IS 'entry_window_days or correction_window_days';
COMMENT ON COLUMN kinderconnect.entry_window.days IS 'its value';
COMMENT ON COLUMN kinderconnect.entry_window.enforced IS 'false: believed, nothing is held back for it';
COMMENT ON COLUMN kinderconnect.entry_window.valid IS 'service dates for which it is the one that counts';
COMMENT ON COLUMN kinderconnect.entry_window.source IS 'where it is written';

CREATE VIEW kinderconnect.absence_limit_in_force AS
WITH l AS MATERIALIZED (
	SELECT a.agency_id, a.state, r.limit_name, r.counts, r.uncounted_reasons, r.counts_unrecorded, r.period_months, r.period_begins,
		r.at_most, r.needs_attended, r.enforced,
		datemultirange(r.valid) - coalesce((SELECT range_agg(o.valid) FROM kinderconnect.absence_limit o
			WHERE o.limit_name = r.limit_name AND (o.agency_id = a.agency_id OR o.state = a.state)
				AND (o.agency_id IS NULL, o.builtin) < (r.agency_id IS NULL, r.builtin)), '{}') AS valid,
		r.source, r.note
	FROM kinderconnect.agency a
	JOIN kinderconnect.absence_limit r ON (r.agency_id = a.agency_id OR r.state = a.state)
)
SELECT * FROM l
WHERE NOT isempty(l.valid) AND num_nonnulls(l.at_most, l.needs_attended) > 0;
COMMENT ON VIEW kinderconnect.absence_limit_in_force IS 'the absence limits of each agency, its own or its state''s';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.state IS 'its state';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.limit_name IS 'which';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.counts IS 'absence or closure';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.uncounted_reasons IS 'absences that do not count';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.counts_unrecorded IS 'whether a day with nothing recorded counts for the agency';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.period_months IS 'length of the period';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.period_begins IS 'month in which it begins; null: the last months up to today';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.at_most IS 'so many in a period';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.needs_attended IS 'attended days needed in the period';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.enforced IS 'whether the law or the agency says so today';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.valid IS 'dates for which it is the one that counts';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.absence_limit_in_force.note IS 'what else is known';

CREATE VIEW kinderconnect.unit_band_in_force AS
WITH b AS MATERIALIZED (
	SELECT a.agency_id, a.state, r.unit, r.minutes, r.enforced,
		datemultirange(r.valid) - coalesce((SELECT range_agg(o.valid) FROM kinderconnect.unit_band o
			WHERE (o.agency_id = a.agency_id OR o.state = a.state)
				AND ((o.agency_id IS NULL, o.shipped IS NOT NULL) < (r.agency_id IS NULL, r.shipped IS NOT NULL)
					-- one that was edited stands in the place of its like alone
					OR o.shipped IS NOT NULL AND NOT o.builtin AND r.builtin AND o.minutes && r.minutes)), '{}') AS valid,
		r.source, r.note
	FROM kinderconnect.agency a
	JOIN kinderconnect.unit_band r ON (r.agency_id = a.agency_id OR r.state = a.state)
)
SELECT * FROM b
WHERE NOT isempty(b.valid);
COMMENT ON VIEW kinderconnect.unit_band_in_force IS 'the unit bands of each agency, its own or its state''s';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.state IS 'its state';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.unit IS 'name of the unit';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.minutes IS 'minutes of care on a day that make it';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.enforced IS 'whether the law or the agency says so';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.valid IS 'service dates for which it is the one that counts';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.source IS 'where it is written';
COMMENT ON COLUMN kinderconnect.unit_band_in_force.note IS 'what else is known';

-- The agency's midnight and the location's may be hours apart, never twelve:
-- so the date on which an enforced window closes is the same for both. Between
-- the two midnights what counts is whether it has ended.
--
-- Whatever the agency takes, a day older than the horizon is no longer looked
-- at.
CREATE VIEW kinderconnect.unsettled_day AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.location_id, d.kinderconnect_child_id, d.child_id, c.first_name, c.last_name,
	d.service_date, (ARRAY['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])[extract(isodow FROM d.service_date)::integer] AS weekday,
	d.authorized, d.state, d.reason, d.detail, d.content, d.accepted_content,
	t.today - d.service_date AS age,
	x.closes_by, x.last_day, x.last_day - t.today AS days_left,
	(NOT w.enforced AND w.last_day < t.today) IS TRUE AS believed_closed,
	coalesce(z.what_to_do, r.what_to_do, CASE d.state
		WHEN 'rejected' THEN 'See code and message of child_day: correct it in Manage, or call retry().'
		WHEN 'ready' THEN 'Nothing: the next run sends it.'
		ELSE 'Nothing: the next run asks what became of it.' END) AS what_to_do
FROM kinderconnect.child_day d
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
LEFT JOIN kinderconnect.reason r ON r.reason = d.reason
LEFT JOIN kinderconnect.entry_window e ON e.agency_id = d.agency_id AND e.rule = 'entry_window_days' AND e.valid @> d.service_date
LEFT JOIN kinderconnect.entry_window o ON o.agency_id = d.agency_id AND o.rule = 'correction_window_days' AND o.valid @> d.service_date
	AND d.accepted_content IS NOT NULL
CROSS JOIN LATERAL (SELECT coalesce(g.time_zone, 'Pacific/Honolulu') AS zone, (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date AS today) t
CROSS JOIN LATERAL (SELECT (d.window_ends AT TIME ZONE t.zone + interval '12 hours')::date - 1 AS last_day) n
CROSS JOIN LATERAL (SELECT
	coalesce(CASE WHEN d.window_ends > now() THEN greatest(n.last_day, t.today) WHEN d.window_ends <= now() THEN least(n.last_day, t.today - 1) END,
		d.service_date + coalesce(o.days, e.days)) AS last_day,
	d.window_ends IS NOT NULL OR coalesce(o.enforced, e.enforced, false) AS enforced) w
CROSS JOIN LATERAL (SELECT d.service_date + kinderconnect._horizon_days() AS last_day) h
CROSS JOIN LATERAL (SELECT w.last_day <= h.last_day AND (w.enforced OR w.last_day >= t.today) AS first) f
CROSS JOIN LATERAL (SELECT CASE WHEN f.first THEN w.last_day ELSE h.last_day END AS last_day,
	CASE WHEN f.first IS NOT TRUE THEN 'horizon' WHEN w.enforced THEN 'enforced' ELSE 'believed' END AS closes_by) x
-- of what is too late the cure is another, but where it is a person's
LEFT JOIN kinderconnect.reason z ON x.last_day < t.today AND d.state IN ('held', 'ready', 'rejected')
	AND (d.reason NOT IN ('authorization_lost', 'merged_child', 'cannot_void', 'source_shrank')) IS NOT FALSE
	AND z.reason = CASE WHEN w.enforced AND w.last_day < t.today THEN 'window_closed' ELSE 'horizon_passed' END
WHERE d.state IN ('held', 'ready', 'sending', 'unknown', 'rejected');
COMMENT ON VIEW kinderconnect.unsettled_day IS
'every child-day that the service does not hold as Manage has it, and that something could still be done about: how old it is, and until when';
COMMENT ON COLUMN kinderconnect.unsettled_day.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unsettled_day.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unsettled_day.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.unsettled_day.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.unsettled_day.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.unsettled_day.child_id IS 'the child in Manage; null while unmatched';
COMMENT ON COLUMN kinderconnect.unsettled_day.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unsettled_day.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unsettled_day.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.unsettled_day.weekday IS 'MO to SU: an authorization that names no weekdays covers the weekend too';
COMMENT ON COLUMN kinderconnect.unsettled_day.authorized IS 'an authorization covers the day';
COMMENT ON COLUMN kinderconnect.unsettled_day.state IS 'held, ready, sending, unknown or rejected';
COMMENT ON COLUMN kinderconnect.unsettled_day.reason IS 'of held: its code';
COMMENT ON COLUMN kinderconnect.unsettled_day.detail IS 'the facts behind the reason';
COMMENT ON COLUMN kinderconnect.unsettled_day.content IS 'what Manage says, if it can be sent';
COMMENT ON COLUMN kinderconnect.unsettled_day.accepted_content IS 'what the service holds; not null: a correction waits';
COMMENT ON COLUMN kinderconnect.unsettled_day.age IS 'days since the service date';
COMMENT ON COLUMN kinderconnect.unsettled_day.closes_by IS 'what closes first: enforced, the agency''s window; believed, one that is not enforced, for it is known from a secondary source only; horizon, the setting horizon_days, after which Manage is no longer asked';
COMMENT ON COLUMN kinderconnect.unsettled_day.last_day IS 'last date on which the day can be sent, by closes_by';
COMMENT ON COLUMN kinderconnect.unsettled_day.days_left IS 'days until then; 0: today is the last, and a night after midnight too late; negative: lost';
COMMENT ON COLUMN kinderconnect.unsettled_day.believed_closed IS 'the believed window is over: it is sent all the same, and may be refused';
COMMENT ON COLUMN kinderconnect.unsettled_day.what_to_do IS 'the cure; of what is lost, that of window_closed or horizon_passed';

CREATE VIEW kinderconnect.about_to_be_lost AS
SELECT u.organization_id, u.agency_id, u.provider_id, u.location_id, u.kinderconnect_child_id, u.child_id, u.first_name, u.last_name,
	u.service_date, u.weekday, u.authorized, u.state, u.reason, u.detail, u.days_left, u.last_day, u.closes_by, u.what_to_do
FROM kinderconnect.unsettled_day u
WHERE u.days_left >= 0 AND (u.reason NOT IN ('window_closed', 'horizon_passed', 'authorization_lost', 'merged_child', 'cannot_void', 'source_shrank',
		'provider_disabled', 'organization_disabled')) IS NOT FALSE
ORDER BY u.days_left, u.closes_by = 'horizon', u.closes_by = 'believed', u.service_date, u.organization_id, u.agency_id, u.provider_id, u.kinderconnect_child_id;
COMMENT ON VIEW kinderconnect.about_to_be_lost IS
'days that are not accepted and soon cannot be, most urgent first: on the same day left, enforced windows before believed ones before the horizon. What is lost already, what only a person can take back, and what is switched off is not here';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.location_id IS 'Manage''s location';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.child_id IS 'the child in Manage; null while unmatched';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.weekday IS 'MO to SU';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.authorized IS 'an authorization covers the day';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.state IS 'held, ready, sending, unknown or rejected';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.reason IS 'of held: its code';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.detail IS 'the facts behind the reason';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.days_left IS '0: today is the last day, and a night after midnight too late';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.last_day IS 'last date on which the day can be sent';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.closes_by IS 'enforced, believed or horizon: see unsettled_day';
COMMENT ON COLUMN kinderconnect.about_to_be_lost.what_to_do IS 'the cure';

CREATE VIEW kinderconnect.held_ageing AS
SELECT u.organization_id, u.agency_id, u.provider_id, u.state, u.reason, count(*) AS days,
	count(*) FILTER (WHERE u.age < 7) AS this_week, count(*) FILTER (WHERE u.age BETWEEN 7 AND 29) AS this_month, count(*) FILTER (WHERE u.age >= 30) AS older,
	count(*) FILTER (WHERE u.lost) AS lost, count(*) FILTER (WHERE NOT u.lost AND u.days_left <= 1) AS left_to_tomorrow,
	count(*) FILTER (WHERE NOT u.lost AND u.days_left BETWEEN 2 AND 6) AS left_under_a_week, count(*) FILTER (WHERE NOT u.lost AND u.days_left >= 7) AS left_longer,
	count(*) FILTER (WHERE u.believed_closed) AS believed_closed, min(u.service_date) AS oldest, min(u.last_day) FILTER (WHERE NOT u.lost) AS next_last_day
FROM (SELECT s.*, s.days_left < 0 OR (s.reason IN ('window_closed', 'horizon_passed')) IS TRUE AS lost FROM kinderconnect.unsettled_day s) u
GROUP BY u.organization_id, u.agency_id, u.provider_id, u.state, u.reason;
COMMENT ON VIEW kinderconnect.held_ageing IS
'unsettled days of each provider by state and reason, once by age and once by the days left; each way adds up to days';
COMMENT ON COLUMN kinderconnect.held_ageing.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.held_ageing.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.held_ageing.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.held_ageing.state IS 'held, ready, sending, unknown or rejected';
COMMENT ON COLUMN kinderconnect.held_ageing.reason IS 'of held: its code';
COMMENT ON COLUMN kinderconnect.held_ageing.days IS 'how many';
COMMENT ON COLUMN kinderconnect.held_ageing.this_week IS 'by age: less than 7 days old';
COMMENT ON COLUMN kinderconnect.held_ageing.this_month IS 'by age: 7 to 29 days old';
COMMENT ON COLUMN kinderconnect.held_ageing.older IS 'by age: 30 days and more';
COMMENT ON COLUMN kinderconnect.held_ageing.lost IS 'by days left: the enforced window or the horizon is over';
COMMENT ON COLUMN kinderconnect.held_ageing.left_to_tomorrow IS 'by days left: today or tomorrow is the last';
COMMENT ON COLUMN kinderconnect.held_ageing.left_under_a_week IS 'by days left: 2 to 6';
COMMENT ON COLUMN kinderconnect.held_ageing.left_longer IS 'by days left: 7 and more';
COMMENT ON COLUMN kinderconnect.held_ageing.believed_closed IS 'of all of these, those whose believed window is over';
COMMENT ON COLUMN kinderconnect.held_ageing.oldest IS 'first service date';
COMMENT ON COLUMN kinderconnect.held_ageing.next_last_day IS 'when the next of them is lost';

CREATE VIEW kinderconnect.child_day_history AS
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	a.known_from AS at, 'authorized'::text AS event, NULL::text AS content, NULL::text AS was, NULL::text AS state,
	concat_ws(', ', a.authorization_id, to_char(a.begin_date, 'YYYY-MM-DD') || ' to ' || coalesce(to_char(a.end_date, 'YYYY-MM-DD'), 'open'), a.units_of_care) AS said,
	NULL::text AS record_id, NULL::bigint AS run_id
FROM kinderconnect.child_day d
JOIN kinderconnect.authorization a ON (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id)
	= (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id)
	AND a.begin_date <= d.service_date AND (a.end_date >= d.service_date) IS NOT FALSE
UNION ALL
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	k.linked_at, 'linked', NULL, NULL, NULL, concat_ws(', ', k.child_id, k.method, k.linked_by), NULL, NULL
FROM kinderconnect.child_day d
JOIN kinderconnect.child_link k ON (k.organization_id, k.agency_id, k.kinderconnect_child_id) = (d.organization_id, d.agency_id, d.kinderconnect_child_id)
UNION ALL
-- the first plan: what the first step says was before it, else what still is
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	e.at, e.event, f.content, NULL, e.state, e.said, NULL, NULL
FROM kinderconnect.child_day d
LEFT JOIN LATERAL (SELECT s.* FROM kinderconnect.child_day_step s
	WHERE (s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.service_date)
		= (d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date)
	ORDER BY s.at LIMIT 1) s ON true
CROSS JOIN LATERAL (SELECT
	CASE WHEN s.at IS NULL THEN d.reason ELSE s.was_reason END AS reason, CASE WHEN s.at IS NULL THEN d.detail ELSE s.was_detail END AS detail,
	CASE WHEN s.at IS NULL THEN d.content ELSE s.was_content END AS content, CASE WHEN s.at IS NULL THEN d.modified_at ELSE s.was_modified_at END AS modified_at,
	CASE WHEN coalesce(s.was_state, d.state) IN ('held', 'not_due') THEN coalesce(s.was_state, d.state) ELSE 'ready' END AS state) f
CROSS JOIN LATERAL (VALUES (f.modified_at, 'edited', NULL, NULL), (d.planned_at, 'planned', f.state, nullif(concat_ws(': ', f.reason, f.detail), ''))) e(at, event, state, said)
WHERE e.at IS NOT NULL
UNION ALL
SELECT s.organization_id, s.agency_id, s.provider_id, s.kinderconnect_child_id, s.service_date,
	e.at, e.event, s.content, e.was, e.state, e.said, NULL, e.run_id
FROM kinderconnect.child_day_step s
CROSS JOIN LATERAL (VALUES
	(CASE WHEN s.modified_at IS DISTINCT FROM s.was_modified_at THEN s.modified_at END, 'edited', NULL, NULL, NULL, NULL),
	(s.at, 'planned', s.was_content, s.state, nullif(concat_ws(': ', s.reason, s.detail), ''), s.run_id)) e(at, event, was, state, said, run_id)
WHERE e.at IS NOT NULL
UNION ALL
SELECT l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date,
	l.created_at, 'made', l.content,
	(SELECT b.content FROM kinderconnect.ledger b
		WHERE (b.organization_id, b.agency_id, b.provider_id, b.kinderconnect_child_id, b.service_date)
			= (l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date) AND b.created_at < l.created_at
		ORDER BY b.created_at DESC LIMIT 1),
	NULL, NULL, l.record_id, l.run_id
FROM kinderconnect.ledger l
UNION ALL
SELECT l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date,
	b.sent_at, 'sent', l.content, NULL, b.state, concat_ws(', ', 'batch ' || b.batch_id, 'HTTP ' || b.http_status, b.code, b.message), l.record_id, b.run_id
FROM kinderconnect.ledger l
JOIN kinderconnect.batch b ON (b.organization_id, b.agency_id, b.provider_id) = (l.organization_id, l.agency_id, l.provider_id)
	AND b.created_at BETWEEN l.created_at AND coalesce(l.answered_at, 'infinity') AND l.record_id = ANY (b.record_ids)
WHERE b.sent_at IS NOT NULL
UNION ALL
SELECT l.organization_id, l.agency_id, l.provider_id, l.kinderconnect_child_id, l.service_date,
	l.answered_at, 'answered', l.content, NULL, l.state, nullif(concat_ws(': ', l.code, l.message), ''), l.record_id, l.run_id
FROM kinderconnect.ledger l
WHERE l.answered_at IS NOT NULL
UNION ALL
SELECT d.organization_id, d.agency_id, d.provider_id, d.kinderconnect_child_id, d.service_date,
	d.changed_at, 'now', d.content, d.accepted_content, d.state, nullif(concat_ws(': ', coalesce(d.reason, d.code), coalesce(d.detail, d.message)), ''),
	d.record_id, NULL
FROM kinderconnect.child_day d;
COMMENT ON VIEW kinderconnect.child_day_history IS
'the story of a child-day: authorized, linked, edited in Manage, planned, then each record made of what Manage said, when it was sent (again) and answered, and now, where it stands. Name the whole key of a day, and order by event = ''now'', at';
COMMENT ON COLUMN kinderconnect.child_day_history.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_day_history.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_day_history.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.child_day_history.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.child_day_history.service_date IS 'local date at the location';
COMMENT ON COLUMN kinderconnect.child_day_history.at IS 'when; of now, when the day last changed';
COMMENT ON COLUMN kinderconnect.child_day_history.event IS 'authorized, linked; edited: Manage''s modified_at, where it tells; planned: the first plan, and each that judged otherwise; made, sent, answered: a record; now';
COMMENT ON COLUMN kinderconnect.child_day_history.content IS 'of made, sent, answered: what the record says; of edited, planned, now: what Manage says; null: nothing that can be sent';
COMMENT ON COLUMN kinderconnect.child_day_history.was IS 'of made: what the record before it said, so that a correction shows; of planned: what Manage said before; of now: what the service holds';
COMMENT ON COLUMN kinderconnect.child_day_history.state IS 'of planned and now: of the day; of sent: of the batch; of answered: of the record in ledger';
COMMENT ON COLUMN kinderconnect.child_day_history.said IS 'the authorization, the link, the call, the service''s code and words, or why the day is held';
COMMENT ON COLUMN kinderconnect.child_day_history.record_id IS 'the record';
COMMENT ON COLUMN kinderconnect.child_day_history.run_id IS 'the run';

CREATE VIEW kinderconnect.absence_use AS
-- What does not depend on the day is told once, and joined last: of days there
-- are many.
WITH lim AS MATERIALIZED (
	SELECT l.*, row_number() OVER () AS number, t.today, m.period_begin AS moving_begin
	FROM kinderconnect.absence_limit_in_force l
	JOIN kinderconnect.agency g ON g.agency_id = l.agency_id
	CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE coalesce(g.time_zone, 'Pacific/Honolulu'))::date AS today) t
	LEFT JOIN LATERAL kinderconnect._absence_period(t.today, t.today, l.period_months, NULL) m ON l.period_begins IS NULL
)
SELECT u.organization_id, u.agency_id, l.state, u.kinderconnect_child_id, c.first_name, c.last_name, l.limit_name, l.counts, u.period_begin, u.period_end,
	l.at_most, l.needs_attended, u.used, u.attended, u.unrecorded, l.counts_unrecorded, u.first_day, l.enforced, l.source, l.note,
	l.at_most - u.used AS remaining,
	CASE
		WHEN u.used > 0 AND u.attended < l.needs_attended THEN 'not_attended'
		WHEN u.used > l.at_most THEN 'exceeded'
		WHEN u.used = l.at_most THEN 'reached'
		WHEN l.counts_unrecorded AND u.used + u.unrecorded > l.at_most THEN 'unrecorded'
		WHEN u.used * 5 >= l.at_most * 4 THEN 'near'
	END AS warning
FROM (
	SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id, l.number, p.period_begin, min(p.period_end) AS period_end,
		count(*) FILTER (WHERE CASE l.counts WHEN 'closure' THEN d.closed ELSE d.absent AND (d.absence_reason = ANY (l.uncounted_reasons)) IS NOT TRUE END) AS used,
		count(*) FILTER (WHERE d.attended) AS attended, count(*) FILTER (WHERE d.unrecorded) AS unrecorded, min(d.service_date) AS first_day
	FROM (
		-- a day counts once, at however many providers
		SELECT d.organization_id, d.agency_id, d.kinderconnect_child_id, d.service_date,
			bool_or(s.said = 'absence' AND d.authorized) IS TRUE AS absent, bool_or(s.said = 'closure' AND d.authorized) IS TRUE AS closed,
			bool_or(s.said = 'session') IS TRUE AS attended, bool_or(d.reason = 'nothing_recorded' AND d.authorized) IS TRUE AS unrecorded,
			min(coalesce(d.absence_reason, d.accepted_reason)) FILTER (WHERE s.said = 'absence') AS absence_reason
		FROM kinderconnect.child_day d
		CROSS JOIN LATERAL (SELECT coalesce(d.kind, CASE
			WHEN d.reason IN ('missing_check_out', 'missing_check_in', 'out_before_in', 'too_short', 'too_long',
				'overlapping_sessions', 'over_midnight', 'clock_change', 'too_many_sessions') THEN 'session'
			WHEN d.reason = 'absence_reason' THEN 'absence' END, d.accepted_kind) AS said) s
		GROUP BY d.organization_id, d.agency_id, d.kinderconnect_child_id, d.service_date) d
	JOIN (SELECT l.agency_id, l.number, l.counts, l.uncounted_reasons, l.valid, l.period_months, l.period_begins, l.moving_begin, l.today FROM lim l) l
		ON l.agency_id = d.agency_id
	CROSS JOIN LATERAL kinderconnect._absence_period(d.service_date, l.today, l.period_months, l.period_begins) f
	CROSS JOIN LATERAL (SELECT coalesce(l.moving_begin, f.period_begin) AS period_begin,
		CASE WHEN l.moving_begin IS NULL THEN f.period_end ELSE l.today END AS period_end) p
	WHERE d.service_date BETWEEN p.period_begin AND p.period_end AND l.valid @> least(p.period_end, l.today)
	GROUP BY d.organization_id, d.agency_id, d.kinderconnect_child_id, l.number, p.period_begin) u
JOIN lim l ON l.number = u.number
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (u.organization_id, u.agency_id, u.kinderconnect_child_id)
WHERE u.used > 0 OR l.counts_unrecorded AND u.unrecorded > 0;
COMMENT ON VIEW kinderconnect.absence_use IS
'absences and closures of each child against the limits of its agency, a row for each limit and period with any. By what Manage says, else what the service holds; over all providers of the agency. It warns; nothing is held back';
COMMENT ON COLUMN kinderconnect.absence_use.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.absence_use.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.absence_use.state IS 'its state';
COMMENT ON COLUMN kinderconnect.absence_use.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.absence_use.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.absence_use.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.absence_use.limit_name IS 'absence_limit';
COMMENT ON COLUMN kinderconnect.absence_use.counts IS 'absence or closure';
COMMENT ON COLUMN kinderconnect.absence_use.period_begin IS 'first day of the period';
COMMENT ON COLUMN kinderconnect.absence_use.period_end IS 'its last day; of one that moves along, today';
COMMENT ON COLUMN kinderconnect.absence_use.at_most IS 'the limit, or null';
COMMENT ON COLUMN kinderconnect.absence_use.needs_attended IS 'attended days without which none of them counts for anything, or null';
COMMENT ON COLUMN kinderconnect.absence_use.used IS 'authorized days with one';
COMMENT ON COLUMN kinderconnect.absence_use.attended IS 'days attended in the period';
COMMENT ON COLUMN kinderconnect.absence_use.unrecorded IS 'authorized days in the period for which nothing is recorded';
COMMENT ON COLUMN kinderconnect.absence_use.counts_unrecorded IS 'whether these count for the agency, too. They are not in used: an authorization that names no weekdays has such days every weekend';
COMMENT ON COLUMN kinderconnect.absence_use.first_day IS 'first day of the period that is known here; what was before, is not counted';
COMMENT ON COLUMN kinderconnect.absence_use.enforced IS 'whether the law or the agency says so today';
COMMENT ON COLUMN kinderconnect.absence_use.source IS 'where the limit is written';
COMMENT ON COLUMN kinderconnect.absence_use.note IS 'what else is known';
COMMENT ON COLUMN kinderconnect.absence_use.remaining IS 'at_most less used; negative: exceeded';
COMMENT ON COLUMN kinderconnect.absence_use.warning IS 'exceeded; reached; near: four fifths are used; unrecorded: exceeded if all unrecorded days count; not_attended: absences, and fewer attended days than needed; null: none';

-- Wall times are read as the plan reads them, an hour that comes twice as its
-- first coming, so that a day on which the clocks change has its real length.
CREATE VIEW kinderconnect.unit_use AS
SELECT m.organization_id, m.agency_id, m.state, m.provider_id, m.kinderconnect_child_id, c.first_name, c.last_name, m.month,
	m.days_authorized, m.days_attended, m.days_absent, m.minutes, coalesce(m.units, '{}') AS units, m.units_used, m.outside_bands, m.not_measured,
	a.units_of_care,
	CASE WHEN a.alike AND a.units_of_care ~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN a.units_of_care::numeric END AS units_authorized,
	CASE WHEN a.alike AND a.units_of_care ~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN a.units_of_care::numeric - m.units_used END AS left_if_of_month,
	CASE WHEN a.alike AND a.units_of_care ~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN a.units_of_care::numeric * m.days_authorized - m.units_used END AS left_if_of_day,
	CASE
		WHEN a.units_of_care IS NULL THEN 'none_listed'
		WHEN NOT a.alike THEN 'several'
		WHEN a.units_of_care !~ '^[0-9]{1,9}([.][0-9]{1,4})?$' THEN 'not_a_number'
		WHEN NOT m.has_bands THEN 'no_bands'
	END AS not_compared
FROM (
	SELECT u.organization_id, u.agency_id, u.state, u.provider_id, u.kinderconnect_child_id, u.month,
		sum(u.days_authorized)::bigint AS days_authorized, sum(u.days_attended)::bigint AS days_attended, sum(u.days_absent)::bigint AS days_absent,
		sum(u.minutes)::bigint AS minutes, jsonb_object_agg(u.unit, u.measured) FILTER (WHERE u.unit IS NOT NULL) AS units,
		coalesce(sum(u.measured) FILTER (WHERE u.unit IS NOT NULL), 0)::bigint AS units_used,
		coalesce(sum(u.measured) FILTER (WHERE u.unit IS NULL), 0)::bigint AS outside_bands,
		sum(u.days_attended - u.measured)::bigint AS not_measured,
		EXISTS (SELECT FROM kinderconnect.unit_band_in_force b WHERE b.agency_id = u.agency_id) AS has_bands
	FROM (
		SELECT d.organization_id, d.agency_id, g.state, d.provider_id, d.kinderconnect_child_id, date_trunc('month', d.service_date::timestamp)::date AS month, b.unit,
			count(*) FILTER (WHERE d.authorized) AS days_authorized, count(*) FILTER (WHERE s.said = 'session') AS days_attended,
			count(*) FILTER (WHERE s.said = 'absence') AS days_absent, coalesce(sum(t.minutes), 0) AS minutes, count(t.minutes) AS measured
		FROM kinderconnect.child_day d
		LEFT JOIN kinderconnect.agency g ON g.agency_id = d.agency_id
		CROSS JOIN LATERAL (SELECT coalesce(d.kind, CASE
			WHEN d.reason IN ('missing_check_out', 'missing_check_in', 'out_before_in', 'too_short', 'too_long',
				'overlapping_sessions', 'over_midnight', 'clock_change', 'too_many_sessions') THEN 'session'
			WHEN d.reason = 'absence_reason' THEN 'absence' END, d.accepted_kind) AS said) s
		CROSS JOIN LATERAL (SELECT coalesce(g.time_zone, 'UTC') AS zone,
			(d.service_date + 2)::timestamp AT TIME ZONE coalesce(g.time_zone, 'UTC')
				- d.service_date::timestamp AT TIME ZONE coalesce(g.time_zone, 'UTC') <> interval '48 hours' AS clocks_change) z
		CROSS JOIN LATERAL (SELECT CASE WHEN count(*) = count(x.length) THEN (sum(extract(epoch FROM x.length)) / 60)::integer END AS minutes
			FROM (SELECT CASE WHEN z.clocks_change
					THEN CASE WHEN (w.wall_out AT TIME ZONE z.zone - interval '1 hour') AT TIME ZONE z.zone = w.wall_out
							THEN w.wall_out AT TIME ZONE z.zone - interval '1 hour' ELSE w.wall_out AT TIME ZONE z.zone END
						- CASE WHEN (w.wall_in AT TIME ZONE z.zone - interval '1 hour') AT TIME ZONE z.zone = w.wall_in
							THEN w.wall_in AT TIME ZONE z.zone - interval '1 hour' ELSE w.wall_in AT TIME ZONE z.zone END
					ELSE w.wall_out - w.wall_in END AS length
				FROM (SELECT d.service_date + r.i AS wall_in, d.service_date + (r.o <= r.i)::integer + r.o AS wall_out
					FROM unnest(CASE WHEN d.kind IS NULL THEN d.accepted_in ELSE d.session_in END,
						CASE WHEN d.kind IS NULL THEN d.accepted_out ELSE d.session_out END) r (i, o)
					WHERE s.said = 'session') w) x) t
		LEFT JOIN kinderconnect.unit_band_in_force b ON b.agency_id = d.agency_id AND b.valid @> d.service_date AND b.minutes @> t.minutes
		GROUP BY d.organization_id, d.agency_id, g.state, d.provider_id, d.kinderconnect_child_id, date_trunc('month', d.service_date::timestamp)::date, b.unit) u
	GROUP BY u.organization_id, u.agency_id, u.state, u.provider_id, u.kinderconnect_child_id, u.month) m
JOIN kinderconnect.child c ON (c.organization_id, c.agency_id, c.kinderconnect_child_id) = (m.organization_id, m.agency_id, m.kinderconnect_child_id)
CROSS JOIN LATERAL (SELECT string_agg(DISTINCT btrim(a.units_of_care), ', ') AS units_of_care,
		count(DISTINCT btrim(a.units_of_care)) = 1 AND count(*) = count(a.units_of_care) AS alike
	FROM kinderconnect.authorization a
	WHERE (a.organization_id, a.agency_id, a.provider_id, a.kinderconnect_child_id) = (m.organization_id, m.agency_id, m.provider_id, m.kinderconnect_child_id)
		AND a.known_until = 'infinity' AND a.begin_date < m.month + interval '1 month' AND (a.end_date >= m.month) IS NOT FALSE) a;
COMMENT ON VIEW kinderconnect.unit_use IS
'care of each child, provider and month in minutes and units, next to the units authorized. By what Manage says, else what the service holds; only finished days. The agency computes for itself: this is for finding what is far apart';
COMMENT ON COLUMN kinderconnect.unit_use.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.unit_use.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.unit_use.state IS 'its state';
COMMENT ON COLUMN kinderconnect.unit_use.provider_id IS 'the provider ID';
COMMENT ON COLUMN kinderconnect.unit_use.kinderconnect_child_id IS 'the child';
COMMENT ON COLUMN kinderconnect.unit_use.first_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unit_use.last_name IS 'as the service lists it';
COMMENT ON COLUMN kinderconnect.unit_use.month IS 'first day of the month';
COMMENT ON COLUMN kinderconnect.unit_use.days_authorized IS 'finished days that an authorization covers';
COMMENT ON COLUMN kinderconnect.unit_use.days_attended IS 'days with sessions, complete or not';
COMMENT ON COLUMN kinderconnect.unit_use.days_absent IS 'days with an absence';
COMMENT ON COLUMN kinderconnect.unit_use.minutes IS 'minutes of care on the days that can be measured';
COMMENT ON COLUMN kinderconnect.unit_use.units IS 'days by unit, after unit_band: {"full": 12, "part": 3}';
COMMENT ON COLUMN kinderconnect.unit_use.units_used IS 'their sum';
COMMENT ON COLUMN kinderconnect.unit_use.outside_bands IS 'days measured that are in no band';
COMMENT ON COLUMN kinderconnect.unit_use.not_measured IS 'days attended without both times of every session, or held for their times';
COMMENT ON COLUMN kinderconnect.unit_use.units_of_care IS 'as listed, of the authorizations that stand and touch the month';
COMMENT ON COLUMN kinderconnect.unit_use.units_authorized IS 'the same as a number; null: see not_compared';
COMMENT ON COLUMN kinderconnect.unit_use.left_if_of_month IS 'what is left if units_authorized is meant for the month: that is not publicly known';
COMMENT ON COLUMN kinderconnect.unit_use.left_if_of_day IS 'what is left if it is meant for each authorized day';
COMMENT ON COLUMN kinderconnect.unit_use.not_compared IS 'why units are not compared: none_listed, several that differ, not_a_number, no_bands known for the agency; null: they are';

-- Both the role in force and the one that has logged in count, so that SET
-- ROLE is no way out. A superuser is a member of every role, and restricted by
-- none.
CREATE FUNCTION kinderconnect._is_restricted(role name) RETURNS boolean
	LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT EXISTS (
		SELECT FROM pg_catalog.pg_roles u JOIN kinderconnect.restricted_analyst r ON pg_has_role(u.oid, r.analyst, 'MEMBER')
		WHERE u.rolname IN (role, session_user) AND NOT u.rolsuper);
END;
COMMENT ON FUNCTION kinderconnect._is_restricted(name) IS
'whether an analyst who is, by SET ROLE or by login, this role sees some organizations only';

CREATE FUNCTION kinderconnect._visible_organizations(role name) RETURNS SETOF text
	LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER ROWS 10
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT o.organization_id
	FROM kinderconnect.organization o
	WHERE NOT EXISTS (
		SELECT FROM pg_catalog.pg_roles u
		WHERE u.rolname IN (role, session_user) AND NOT u.rolsuper
			AND EXISTS (SELECT FROM kinderconnect.restricted_analyst r WHERE pg_has_role(u.oid, r.analyst, 'MEMBER'))
			AND NOT EXISTS (SELECT FROM kinderconnect.restricted_analyst r
				WHERE pg_has_role(u.oid, r.analyst, 'MEMBER') AND o.organization_id = ANY (r.organization_ids)));
END;
COMMENT ON FUNCTION kinderconnect._visible_organizations(name) IS
'the organizations that an analyst sees who is, by SET ROLE or by login, this role';

CREATE TRIGGER check_time_zone BEFORE INSERT OR UPDATE OF time_zone ON kinderconnect.agency
	FOR EACH ROW WHEN (NEW.time_zone IS NOT NULL) EXECUTE FUNCTION kinderconnect._check_time_zone();
COMMENT ON TRIGGER check_time_zone ON kinderconnect.agency IS 'refuses a time zone that this server does not know';
CREATE TRIGGER check_unused BEFORE DELETE ON kinderconnect.agency
	FOR EACH ROW EXECUTE FUNCTION kinderconnect._check_unused();
COMMENT ON TRIGGER check_unused ON kinderconnect.agency IS 'refuses to delete an agency that has providers';
GRANT DELETE ON kinderconnect.agency TO kinderconnect_admin;

-- What was written before nobody looked at.

DO $$
DECLARE
	item record;
BEGIN
	FOR item IN SELECT a.agency_id FROM kinderconnect.agency a WHERE a.time_zone IS NOT NULL LOOP
		BEGIN
			UPDATE kinderconnect.agency a SET time_zone = a.time_zone WHERE a.agency_id = item.agency_id;
		EXCEPTION WHEN SQLSTATE 'KC001' THEN
			RAISE WARNING '%', SQLERRM USING HINT = 'Correct kinderconnect.agency: no night begins, and no view of health answers, as long as it is so.';
		END;
	END LOOP;
END;
$$;

CREATE EVENT TRIGGER kinderconnect_before_drop ON ddl_command_start
	WHEN TAG IN ('DROP EXTENSION', 'DROP SCHEMA')
	EXECUTE FUNCTION kinderconnect._before_drop();
COMMENT ON EVENT TRIGGER kinderconnect_before_drop IS 'DROP EXTENSION kinderconnect leaves no job of pg_cron behind';

DO $$
DECLARE
	item record;
BEGIN
	FOR item IN
		SELECT c.oid::regclass AS relation, EXISTS (SELECT FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped) AS of_organizations
		FROM pg_catalog.pg_class c
		WHERE c.relnamespace = 'kinderconnect'::regnamespace AND c.relkind IN ('r', 'p')
			AND EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
				AND d.refobjid = (SELECT e.oid FROM pg_catalog.pg_extension e WHERE e.extname = 'kinderconnect'))
		ORDER BY c.relname
	LOOP
		CONTINUE WHEN NOT item.of_organizations AND item.relation <> 'kinderconnect.run'::regclass;
		EXECUTE format('CREATE POLICY analyst ON %s FOR SELECT TO kinderconnect_analyst
			USING (NOT (SELECT kinderconnect._is_restricted(current_user)) OR %s)', item.relation,
			CASE WHEN item.of_organizations THEN 'organization_id IN (SELECT kinderconnect._visible_organizations(current_user))'
				ELSE 'run_id IN (SELECT o.run_id FROM kinderconnect.run_organization o)' END);
		EXECUTE format('CREATE POLICY operator ON %s TO kinderconnect_operator, kinderconnect_admin USING (true)', item.relation);
		EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', item.relation);
	END LOOP;
END
$$;

ALTER VIEW kinderconnect.about_to_be_lost SET (security_invoker = true);
ALTER VIEW kinderconnect.absence_limit_in_force SET (security_invoker = true);
ALTER VIEW kinderconnect.absence_use SET (security_invoker = true);
ALTER VIEW kinderconnect.attendance_problem SET (security_invoker = true);
ALTER VIEW kinderconnect.authorization_history SET (security_invoker = true);
ALTER VIEW kinderconnect.authorized_child SET (security_invoker = true);
ALTER VIEW kinderconnect.batch_record SET (security_invoker = true);
ALTER VIEW kinderconnect.child_day_history SET (security_invoker = true);
ALTER VIEW kinderconnect.child_match_status SET (security_invoker = true);
ALTER VIEW kinderconnect.due SET (security_invoker = true);
ALTER VIEW kinderconnect.entry_window SET (security_invoker = true);
ALTER VIEW kinderconnect.health SET (security_invoker = true);
ALTER VIEW kinderconnect.health_summary SET (security_invoker = true);
ALTER VIEW kinderconnect.held_ageing SET (security_invoker = true);
ALTER VIEW kinderconnect.held_summary SET (security_invoker = true);
ALTER VIEW kinderconnect.last_night SET (security_invoker = true);
ALTER VIEW kinderconnect.parted_pair SET (security_invoker = true);
ALTER VIEW kinderconnect.progress SET (security_invoker = true);
ALTER VIEW kinderconnect.provider_month SET (security_invoker = true);
ALTER VIEW kinderconnect.provider_review SET (security_invoker = true);
ALTER VIEW kinderconnect.provider_standing SET (security_invoker = true);
ALTER VIEW kinderconnect.provider_summary SET (security_invoker = true);
ALTER VIEW kinderconnect.same_name SET (security_invoker = true);
ALTER VIEW kinderconnect.unclaimed_day SET (security_invoker = true);
ALTER VIEW kinderconnect.unit_band_in_force SET (security_invoker = true);
ALTER VIEW kinderconnect.unit_use SET (security_invoker = true);
ALTER VIEW kinderconnect.unlinked_child SET (security_invoker = true);
ALTER VIEW kinderconnect.unmatched_summary SET (security_invoker = true);
ALTER VIEW kinderconnect.unsettled_day SET (security_invoker = true);
REVOKE ALL ON FUNCTION
	kinderconnect.authorizations_ending(integer), kinderconnect.newly_authorized(date), kinderconnect._is_restricted(name),
	kinderconnect._visible_organizations(name), kinderconnect._job_name(integer), kinderconnect.schedule(text, integer),
	kinderconnect._require_provider(text, text, text), kinderconnect._require_period(date, date), kinderconnect._speaks(text, text),
	kinderconnect._fail_organization(bigint, text, boolean, text, text, text),
	kinderconnect._fail_provider(bigint, text, text, text, boolean, text, text, text),
	kinderconnect._take_children(bigint, kinderconnect.call_outcome[]), kinderconnect._children_reply(bigint),
	kinderconnect._further_periods(kinderconnect.call_outcome[]), kinderconnect._is_listed_later(bigint, text, text, text, date, text, text), kinderconnect._differing(kinderconnect.child, date, text, text, text, text),
	kinderconnect._another_night(), kinderconnect._is_due(timestamptz, text, timestamptz),
	kinderconnect._are_few(text, bigint), kinderconnect._note_gone(text, text[], date[], text[], text[]), kinderconnect._few_changed(text, timestamptz, text[]), kinderconnect._few_to_score(text),
	kinderconnect._rules(text, date), kinderconnect._can_void(text), kinderconnect._wire_limits(text), kinderconnect._moves(text), kinderconnect._may_be_stay(timestamptz, timestamptz), kinderconnect._is_second_reading(timestamptz, timestamp, text), kinderconnect._manage_fails(text),
	kinderconnect._settle_each(text[], text[], text[], text[], text[]), kinderconnect._merged_days(text),
	kinderconnect._providers_to_compare(bigint, text), kinderconnect._most_records(text, text, text),
	kinderconnect._lost_so_far(bigint, text, text, text), kinderconnect._lost_records(text, text, text), kinderconnect._culprits(text, text, text),
	kinderconnect._days_to_try(bigint, text, text, text, date, date), kinderconnect._next_batches(bigint, text[], text[], text[], date, date),
	kinderconnect._listed_tonight(bigint, text, text, text), kinderconnect._plan_resolved(bigint, text, text, text),
	kinderconnect._take_answers(bigint, kinderconnect.call_outcome[]), kinderconnect._take_failure(bigint, kinderconnect.call_outcome),
	kinderconnect._in_shard(text, integer, integer), kinderconnect._require_shard(integer, integer, text),
	kinderconnect._begin_run(text, text, text, date, date, boolean, integer, integer), kinderconnect._step(bigint, text), kinderconnect._locked(bigint),
	kinderconnect._at_work(bigint), kinderconnect._left_under_way(bigint), kinderconnect._has_unknown(bigint),
	kinderconnect._tries_on(bigint, text, text, text, timestamptz), kinderconnect._dispatch(bigint, text[], text[]),
	kinderconnect._prepare(bigint, text[], text[], text[], date, date), kinderconnect._customers_to_ask(bigint),
	kinderconnect._months_to_ask(bigint, text, text, date, date), kinderconnect._unknown_to_resolve(bigint), kinderconnect._sends(bigint, text),
	kinderconnect._providers_to_send(bigint, text, text, date, date, integer), kinderconnect._take(bigint), kinderconnect._has_more(text, text, text),
	kinderconnect._count(bigint, text[]), kinderconnect._is_let_send(text, text, text), kinderconnect._seek_again(text, text), kinderconnect._old_calls(text), kinderconnect._is_still_its(kinderconnect.ledger), kinderconnect._send_anew(text, date),
	kinderconnect._contradicted(text, boolean),
	kinderconnect._require_no_transaction(text), kinderconnect._missing_secrets_file(), kinderconnect._cron_doubled(), kinderconnect._require_check(text),
	kinderconnect._require_in_horizon(date, date),
	kinderconnect.enable_integration(text, text, text, text, integer, boolean, boolean, boolean),
	kinderconnect._require_group_password(text, text, boolean), kinderconnect._require_plain(text, text), kinderconnect._due_as_of(timestamptz, text[]), kinderconnect._horizon_days(),
	kinderconnect._is_open(date, timestamptz, text), kinderconnect._stopped_because(), kinderconnect._look_again(), kinderconnect._due_now(),
	kinderconnect._tick(integer, integer), kinderconnect._take_part(bigint), kinderconnect._moment(timestamptz), kinderconnect._check_time_zone(),
	kinderconnect._check_unused(), kinderconnect._before_drop()
	FROM PUBLIC;
REVOKE ALL ON PROCEDURE
	kinderconnect._make_room(bigint, integer), kinderconnect._send_together(bigint, text[], text[]),
	kinderconnect.nightly(text, text, text, date, date, integer, integer),
	kinderconnect._night(text, text, text, date, date, boolean, integer, integer), kinderconnect.tick(integer, integer)
	FROM PUBLIC;
GRANT SELECT ON
	kinderconnect.listed_subsidy, kinderconnect.gone_child, kinderconnect.same_name, kinderconnect.parted_pair, kinderconnect.child_match_status, kinderconnect.batch_record,
	kinderconnect.provider_standing, kinderconnect.provider_summary, kinderconnect.held_summary, kinderconnect.unlinked_child,
	kinderconnect.authorized_child, kinderconnect.authorization_history, kinderconnect.unmatched_summary, kinderconnect.unclaimed_day,
	kinderconnect.provider_month, kinderconnect.entry_window, kinderconnect.absence_limit_in_force, kinderconnect.unit_band_in_force,
	kinderconnect.unsettled_day, kinderconnect.about_to_be_lost, kinderconnect.held_ageing, kinderconnect.child_day_history, kinderconnect.absence_use,
	kinderconnect.unit_use
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._cron_doubled(), kinderconnect.authorizations_ending(integer), kinderconnect.newly_authorized(date), kinderconnect._is_restricted(name),
	kinderconnect._visible_organizations(name)
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT SELECT ON
	kinderconnect.provider_review, kinderconnect.attendance_problem
	TO kinderconnect_operator, kinderconnect_admin;
GRANT INSERT, UPDATE, DELETE ON
	kinderconnect.listed_subsidy, kinderconnect.gone_child
	TO kinderconnect_operator;
GRANT EXECUTE ON FUNCTION
	kinderconnect._job_name(integer), kinderconnect.schedule(text, integer), kinderconnect._require_provider(text, text, text),
	kinderconnect._require_period(date, date), kinderconnect._require_in_horizon(date, date), kinderconnect._speaks(text, text),
	kinderconnect._fail_organization(bigint, text, boolean, text, text, text),
	kinderconnect._fail_provider(bigint, text, text, text, boolean, text, text, text),
	kinderconnect._take_children(bigint, kinderconnect.call_outcome[]), kinderconnect._children_reply(bigint),
	kinderconnect._further_periods(kinderconnect.call_outcome[]), kinderconnect._is_listed_later(bigint, text, text, text, date, text, text), kinderconnect._differing(kinderconnect.child, date, text, text, text, text),
	kinderconnect._another_night(), kinderconnect._is_due(timestamptz, text, timestamptz),
	kinderconnect._are_few(text, bigint), kinderconnect._note_gone(text, text[], date[], text[], text[]), kinderconnect._few_changed(text, timestamptz, text[]), kinderconnect._few_to_score(text),
	kinderconnect._rules(text, date), kinderconnect._can_void(text), kinderconnect._wire_limits(text), kinderconnect._moves(text), kinderconnect._may_be_stay(timestamptz, timestamptz), kinderconnect._is_second_reading(timestamptz, timestamp, text), kinderconnect._manage_fails(text),
	kinderconnect._settle_each(text[], text[], text[], text[], text[]), kinderconnect._merged_days(text),
	kinderconnect._providers_to_compare(bigint, text), kinderconnect._contradicted(text, boolean), kinderconnect._is_still_its(kinderconnect.ledger), kinderconnect._most_records(text, text, text),
	kinderconnect._lost_so_far(bigint, text, text, text), kinderconnect._lost_records(text, text, text), kinderconnect._culprits(text, text, text),
	kinderconnect._days_to_try(bigint, text, text, text, date, date), kinderconnect._next_batches(bigint, text[], text[], text[], date, date),
	kinderconnect._listed_tonight(bigint, text, text, text), kinderconnect._plan_resolved(bigint, text, text, text),
	kinderconnect._take_answers(bigint, kinderconnect.call_outcome[]), kinderconnect._take_failure(bigint, kinderconnect.call_outcome),
	kinderconnect._in_shard(text, integer, integer), kinderconnect._require_shard(integer, integer, text),
	kinderconnect._begin_run(text, text, text, date, date, boolean, integer, integer), kinderconnect._step(bigint, text), kinderconnect._locked(bigint),
	kinderconnect._at_work(bigint), kinderconnect._left_under_way(bigint), kinderconnect._has_unknown(bigint),
	kinderconnect._tries_on(bigint, text, text, text, timestamptz), kinderconnect._dispatch(bigint, text[], text[]),
	kinderconnect._prepare(bigint, text[], text[], text[], date, date), kinderconnect._customers_to_ask(bigint),
	kinderconnect._months_to_ask(bigint, text, text, date, date), kinderconnect._unknown_to_resolve(bigint), kinderconnect._sends(bigint, text),
	kinderconnect._providers_to_send(bigint, text, text, date, date, integer), kinderconnect._take(bigint), kinderconnect._has_more(text, text, text),
	kinderconnect._count(bigint, text[]), kinderconnect._is_let_send(text, text, text), kinderconnect._seek_again(text, text)
	TO kinderconnect_operator;
GRANT EXECUTE ON PROCEDURE
	kinderconnect._make_room(bigint, integer), kinderconnect._send_together(bigint, text[], text[]),
	kinderconnect.nightly(text, text, text, date, date, integer, integer)
	TO kinderconnect_operator;
GRANT EXECUTE ON FUNCTION
	kinderconnect._old_calls(text), kinderconnect._require_no_transaction(text)
	TO kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._send_anew(text, date), kinderconnect._require_check(text),
	kinderconnect.enable_integration(text, text, text, text, integer, boolean, boolean, boolean), kinderconnect._require_group_password(text, text, boolean), kinderconnect._require_plain(text, text),
	kinderconnect._require_provider(text, text, text), kinderconnect._speaks(text, text), kinderconnect._manage_fails(text)
	TO kinderconnect_admin;
GRANT SELECT ON
	kinderconnect.due
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._due_as_of(timestamptz, text[]), kinderconnect._horizon_days(), kinderconnect._is_open(date, timestamptz, text)
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._stopped_because()
	TO kinderconnect_operator, kinderconnect_admin;
GRANT SELECT, UPDATE ON SEQUENCE
	kinderconnect.next_look
	TO kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._look_again()
	TO kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._due_now(), kinderconnect._tick(integer, integer), kinderconnect._take_part(bigint)
	TO kinderconnect_operator;
GRANT EXECUTE ON PROCEDURE
	kinderconnect._night(text, text, text, date, date, boolean, integer, integer), kinderconnect.tick(integer, integer)
	TO kinderconnect_operator;
GRANT SELECT ON
	kinderconnect.health, kinderconnect.health_summary, kinderconnect.progress, kinderconnect.last_night
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._moment(timestamptz)
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
