-- Who may do what, held to test/data/privileges.txt: an object of the
-- extension without a line there fails here, and so does a line without one.
CREATE TEMPORARY TABLE line (text text);
\copy line FROM 'test/data/privileges.txt'

CREATE TEMPORARY VIEW written AS
SELECT f[1] AS kind, f[2] AS object, f[3] AS admin, f[4] AS operator, f[5] AS analyst
FROM line, regexp_match(line.text, '^(\S+) +(.*\S) +(\S+) +(\S+) +(\S+)$') f
WHERE line.text !~ '^(#|$)';
SELECT text FROM line WHERE text !~ '^(#|$)' AND text !~ '^(\S+) +(.*\S) +(\S+) +(\S+) +(\S+)$';
SELECT kind, object FROM written GROUP BY 1, 2 HAVING count(*) > 1;

CREATE TEMPORARY VIEW member AS
SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'kinderconnect';

-- Everything that can be granted, each with its ACL or what stands for none;
-- a column has one only where there is one. The row type of a table goes with it.
CREATE TEMPORARY VIEW granted AS
SELECT 'schema' AS kind, n.nspname::text AS object, n.nspowner AS owner, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl
FROM pg_namespace n JOIN pg_extension e ON e.extnamespace = n.oid AND e.extname = 'kinderconnect'
UNION ALL
SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE c.relkind::text END, c.relname, c.relowner,
	coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner))
FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid WHERE c.relkind <> 'c'
UNION ALL
SELECT 'column', c.relname || '.' || a.attname, c.relowner, a.attacl
FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
UNION ALL
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
	format('%s(%s)', p.proname, replace(array_to_string(p.proargtypes::regtype[], ', '), 'kinderconnect.', '')),
	p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
UNION ALL
SELECT 'type', t.typname, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid WHERE t.typelem = 0
	AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c');

-- ... and there is no other kind of object.
SELECT classid::regclass FROM member
WHERE classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_event_trigger'::regclass);

CREATE FUNCTION pg_temp.letters(acl aclitem[], wanted name) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(CASE a.privilege_type WHEN 'SELECT' THEN 'r' WHEN 'INSERT' THEN 'a' WHEN 'UPDATE' THEN 'w' WHEN 'DELETE' THEN 'd'
			WHEN 'EXECUTE' THEN 'X' WHEN 'USAGE' THEN 'U' WHEN 'CREATE' THEN 'C' ELSE a.privilege_type END, '' ORDER BY array_position(ARRAY['USAGE', 'CREATE', 'EXECUTE', 'SELECT', 'INSERT', 'UPDATE', 'DELETE'], a.privilege_type)), '-')
	FROM aclexplode(acl) a JOIN pg_roles r ON r.oid = a.grantee AND r.rolname = wanted
$$;
CREATE TEMPORARY VIEW found AS
SELECT kind, object, pg_temp.letters(acl, 'kinderconnect_admin') AS admin,
	pg_temp.letters(acl, 'kinderconnect_operator') AS operator, pg_temp.letters(acl, 'kinderconnect_analyst') AS analyst
FROM granted;

-- As the line would have to be, if this is what is meant; and what is written
-- of nothing.
SELECT concat_ws('  ', f.kind, f.object, f.admin, f.operator, f.analyst) AS "not as written"
FROM found f WHERE NOT EXISTS (SELECT FROM written w WHERE (w.kind, w.object, w.admin, w.operator, w.analyst) = (f.kind, f.object, f.admin, f.operator, f.analyst))
ORDER BY f.kind, f.object COLLATE "C";
SELECT w.kind, w.object AS "is not there" FROM written w WHERE NOT EXISTS (SELECT FROM found f WHERE (f.kind, f.object) = (w.kind, w.object))
ORDER BY w.kind, w.object COLLATE "C";
SELECT count(*) > 200 AS "much is written" FROM written;

-- Nobody else has anything, not PUBLIC either, and nobody may pass it on.
SELECT g.kind, g.object, a.privilege_type, a.grantee::regrole, a.is_grantable FROM granted g, aclexplode(g.acl) a
WHERE a.grantee <> g.owner AND (a.is_grantable OR a.grantee NOT IN (SELECT r.oid FROM pg_roles r
	WHERE r.rolname IN ('kinderconnect_admin', 'kinderconnect_operator', 'kinderconnect_analyst')));
-- Nor does a role of the three come with another, or with more than it needs.
SELECT m.member::regrole, m.roleid::regrole FROM pg_auth_members m
WHERE m.member IN (SELECT oid FROM pg_roles WHERE rolname IN ('kinderconnect_admin', 'kinderconnect_operator', 'kinderconnect_analyst'));
SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin FROM pg_roles
WHERE rolname IN ('kinderconnect_admin', 'kinderconnect_operator', 'kinderconnect_analyst') ORDER BY rolname;
