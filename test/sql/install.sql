-- What CREATE EXTENSION leaves behind, held to the ground rules.
SET client_min_messages = warning;
CREATE EXTENSION kinderconnect CASCADE;
RESET client_min_messages;

SELECT extversion = split_part(kinderconnect.library_version(), ' ', 1) AS "library and SQL are one version"
FROM pg_extension WHERE extname = 'kinderconnect';

-- Whatever a rule of the catalog finds is listed by name.
CREATE TEMPORARY VIEW member AS
SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'kinderconnect';

CREATE TEMPORARY VIEW relation AS
SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid;

CREATE TEMPORARY VIEW organization_table AS
SELECT r.* FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = 'organization_id' AND a.attnum > 0
WHERE r.relkind = 'r';

-- Every relation, column, function and type is explained.
SELECT r.relname FROM relation r WHERE r.relkind IN ('r', 'v') AND obj_description(r.oid, 'pg_class') IS NULL;
SELECT r.relname, a.attname FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
WHERE r.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped AND col_description(r.oid, a.attnum) IS NULL;
SELECT p.oid::regprocedure FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
WHERE obj_description(p.oid, 'pg_proc') IS NULL;
SELECT t.typname FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
JOIN member m ON m.objid = t.oid WHERE obj_description(t.oid, 'pg_type') IS NULL;

-- pg_upgrade refuses tables with columns of types whose oids it does not keep.
SELECT r.relname, a.attname, a.atttypid::regtype FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid = t.typelem
WHERE r.relkind = 'r' AND NOT a.attisdropped AND a.attnum > 0 AND coalesce(e.typname, t.typname) ~ '^reg' AND coalesce(e.typname, t.typname) NOT IN ('regclass', 'regrole', 'regtype');

-- Nothing is granted to PUBLIC.
SELECT r.relname, a.privilege_type FROM relation r, aclexplode(r.relacl) a WHERE a.grantee = 0;
SELECT p.oid::regprocedure FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid,
	aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0;
SELECT nspname, a.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'kinderconnect' AND a.grantee = 0;

-- PL/pgSQL functions pin their search_path; procedures that commit cannot.
SELECT p.oid::regprocedure FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
WHERE p.prokind = 'f' AND NOT coalesce(p.proconfig::text, '') ~ 'search_path=pg_catalog, pg_temp';

-- So an operator in such a procedure names its schema.
SELECT p.oid::regprocedure FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
WHERE p.prokind = 'p' AND p.prosrc ~ '\s(=|<>|<|>|<=|>=|\|\||\+|-|/)\s';

-- A body of PL/pgSQL is read anew in each session, also in one where a backslash
-- in a string is an escape: it has none but in E'...'.
SELECT p.oid::regprocedure FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
WHERE regexp_replace(p.prosrc, '\mE''([^'']|'''')*''', '', 'g') LIKE '%\\%';

-- No function but these runs with its owner's rights.
SELECT p.oid::regprocedure FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.prosecdef
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- No function but these is its owner's alone: one sends past the ledger, two are
-- triggers', the others are for functions that run with the owner's
-- rights.
SELECT p.oid::regprocedure FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
WHERE NOT EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee <> p.proowner)
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- An organization's tables can be distributed by organization: keys and
-- foreign keys led by it (but for that to its endpoint), no triggers of ours,
-- exclusion constraints with it.
SELECT c.conrelid::regclass, c.conname FROM pg_constraint c JOIN organization_table t ON t.oid = c.conrelid
WHERE c.contype IN ('p', 'u', 'f') AND c.confrelid <> 'kinderconnect.endpoint'::regclass
	AND c.conkey[1] <> (SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'organization_id');
SELECT i.indexrelid::regclass FROM pg_index i JOIN organization_table t ON t.oid = i.indrelid
WHERE i.indisunique AND i.indkey[0] <> (SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'organization_id');
SELECT c.conrelid::regclass, c.conname FROM pg_constraint c JOIN organization_table t ON t.oid = c.conrelid
WHERE c.contype = 'x' AND NOT c.conkey @> ARRAY[(SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'organization_id')];
SELECT g.tgrelid::regclass, g.tgname FROM pg_trigger g JOIN organization_table t ON t.oid = g.tgrelid WHERE NOT g.tgisinternal;
SELECT t.relname, format_type(a.atttypid, a.atttypmod) FROM organization_table t
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'organization_id' WHERE a.atttypid <> 'text'::regtype;
-- Foreign keys of an organization's table lead to the organization or to
-- another such table.
SELECT c.conrelid::regclass, c.confrelid::regclass FROM pg_constraint c JOIN organization_table t ON t.oid = c.conrelid
WHERE c.contype = 'f' AND c.confrelid NOT IN (SELECT o.oid FROM organization_table o)
	AND c.confrelid <> 'kinderconnect.endpoint'::regclass;

-- What a publication of all tables publishes can be updated and deleted.
SELECT r.relname FROM relation r WHERE r.relkind = 'r' AND NOT (r.relreplident = 'f'
	OR r.relreplident = 'd' AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = r.oid AND i.indisprimary));

-- pg_dump keeps every table but what is shipped and the arming, and the
-- sequences with them.
SELECT r.relname, r.relkind FROM relation r
WHERE r.relkind IN ('r', 'S') AND r.oid <> ALL (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'kinderconnect')
ORDER BY r.relname;

-- Every reason that the plan can give is explained, and none is explained
-- that it cannot give.
CREATE TEMPORARY VIEW code AS
SELECT p.proname AS name, pg_get_functiondef(p.oid) AS body
FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.prokind = 'f'
UNION ALL SELECT 'provider_standing', pg_get_viewdef('kinderconnect.provider_standing'::regclass);
SELECT count(DISTINCT g.reason[1]) > 20 AS "reasons are found in the code"
FROM code c, regexp_matches(c.body, $$THEN '!?([a-z_]+)'$$, 'g') AS g(reason) WHERE c.name IN ('_planned', 'provider_standing');
SELECT g.reason[1] FROM code c, regexp_matches(c.body, $$THEN '!?([a-z_]+)'$$, 'g') AS g(reason)
WHERE c.name IN ('_planned', 'provider_standing')
	AND g.reason[1] NOT IN ('session', 'absence', 'closure')
	AND g.reason[1] NOT IN ('held', 'not_due', 'ready', 'accepted', 'rejected', 'voided')
UNION SELECT g.reason[1] FROM code c, regexp_matches(c.body, $$ reason = '([a-z_]+)'$$, 'g') AS g(reason)
EXCEPT SELECT r.reason FROM kinderconnect.reason r;
SELECT r.reason FROM kinderconnect.reason r
WHERE NOT EXISTS (SELECT FROM code c WHERE c.body ~ format($$['!]%s'$$, r.reason));

-- Nothing that a parallel plan may call begins a subtransaction, reads Manage, whose
-- views may call anything, or calls what no such plan may, by itself or through
-- another (people's functions are only named, in hints): the night of a large database would fail.
WITH RECURSIVE unsafe AS (
	SELECT c.name FROM code c JOIN pg_proc p ON p.pronamespace = 'kinderconnect'::regnamespace AND p.proname = c.name
	WHERE c.body ~ 'EXCEPTION\s+WHEN' OR c.body ~ '(FROM|JOIN) kinderconnect\.manage_[a-z_]+\M(?<!manage_column)' OR p.proparallel = 'u'
	UNION SELECT c.name FROM unsafe u JOIN code c ON u.name LIKE '\_%' AND c.body ~ format('kinderconnect\.%s\(', u.name)
)
SELECT u.name FROM unsafe u
JOIN pg_proc p ON p.pronamespace = 'kinderconnect'::regnamespace AND p.proname = u.name AND p.proparallel <> 'u'
ORDER BY 1;

-- The roles are there, cannot log in, and reach what is theirs.
SELECT rolname, rolcanlogin, rolsuper FROM pg_roles WHERE rolname IN ('kinderconnect_admin', 'kinderconnect_operator', 'kinderconnect_analyst') ORDER BY 1;
SELECT r.rolname,
	has_table_privilege(r.rolname, 'kinderconnect.child_day', 'SELECT') AS reads,
	has_table_privilege(r.rolname, 'kinderconnect.child_day', 'UPDATE') AS plans,
	has_table_privilege(r.rolname, 'kinderconnect.endpoint', 'INSERT') AS configures,
	has_function_privilege(r.rolname, 'kinderconnect.nightly(text, text, text, date, date, integer, integer)', 'EXECUTE') AS sends,
	has_function_privilege(r.rolname, 'kinderconnect.set_secret(text, text)', 'EXECUTE') AS writes_secrets,
	has_function_privilege(r.rolname, 'kinderconnect.api_submit(text, text, text, text, kinderconnect.wire_record[])', 'EXECUTE') AS bypasses
FROM pg_roles r WHERE r.rolname IN ('kinderconnect_admin', 'kinderconnect_operator', 'kinderconnect_analyst') ORDER BY 1;
