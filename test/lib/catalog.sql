-- All that CREATE EXTENSION kinderconnect makes, a line for each fact: two
-- databases where this query answers the same have the same extension. What
-- cannot be equal is left out: oids, and the order of a table's columns, for
-- ALTER TABLE adds at the end. Nothing depends on that order: functions name
-- columns, and so do the COPY commands of pg_dump.
WITH member AS (
	SELECT d.classid, d.objid, i.type || ' ' || i.identity AS name
	FROM pg_extension e
	JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
	CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
	WHERE e.extname = 'kinderconnect'
), relation AS (
	SELECT c.*, m.name FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
), attribute AS (
	SELECT a.*, r.name || ' ' || quote_ident(a.attname) AS name
	FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT a.*, m.name || ' ' || quote_ident(a.attname)
	FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
	JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
), fact (name, what, value) AS (
	SELECT m.name, 'is there', NULL FROM member m
	UNION ALL
	SELECT m.name, 'comment', d.description
	FROM member m JOIN pg_description d ON (d.classoid, d.objoid, d.objsubid) = (m.classid, m.objid, 0)
	UNION ALL
	SELECT a.name, 'comment', d.description
	FROM attribute a JOIN pg_description d ON (d.classoid, d.objoid, d.objsubid) = ('pg_class'::regclass, a.attrelid, a.attnum)
	UNION ALL
	SELECT n.nspname, 'privilege', p.text
	FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) x
	CROSS JOIN LATERAL (SELECT concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable)) p (text)
	WHERE n.nspname = 'kinderconnect'
	UNION ALL
	SELECT r.name, 'privilege', concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable) FROM relation r CROSS JOIN LATERAL aclexplode(r.relacl) x
	UNION ALL
	SELECT a.name, 'privilege', concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable) FROM attribute a CROSS JOIN LATERAL aclexplode(a.attacl) x
	UNION ALL
	SELECT m.name, 'privilege', concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable)
	FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
	CROSS JOIN LATERAL aclexplode(p.proacl) x
	UNION ALL
	-- what pg_dump takes for the extension's own privileges, and leaves out
	SELECT m.name, 'initial privilege ' || i.objsubid::boolean, concat_ws(' ', a.attname, x.grantee::regrole, x.privilege_type, x.is_grantable)
	FROM member m JOIN pg_init_privs i ON (i.classoid, i.objoid) = (m.classid, m.objid) AND i.privtype = 'e'
	LEFT JOIN pg_attribute a ON i.classoid = 'pg_class'::regclass AND (a.attrelid, a.attnum) = (i.objoid, i.objsubid) AND i.objsubid > 0
	CROSS JOIN LATERAL aclexplode(i.initprivs) x
	UNION ALL
	SELECT r.name, 'kind', concat_ws(' ', r.relkind, r.relpersistence, r.relreplident, r.relrowsecurity, r.relforcerowsecurity, r.reloptions) FROM relation r
	UNION ALL
	SELECT r.name, 'definition', pg_get_viewdef(r.oid) FROM relation r WHERE r.relkind = 'v'
	UNION ALL
	SELECT a.name, 'definition', concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation, CASE WHEN a.attnotnull THEN 'not null' END,
		a.attidentity, a.attgenerated, a.attstorage, 'default ' || pg_get_expr(d.adbin, d.adrelid))
	FROM attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
	UNION ALL
	SELECT r.name, 'constraint ' || c.conname, concat_ws(' ', pg_get_constraintdef(c.oid), c.convalidated)
	FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid
	UNION ALL
	SELECT m.name, 'constraint ' || c.conname, pg_get_constraintdef(c.oid)
	FROM member m JOIN pg_constraint c ON m.classid = 'pg_type'::regclass AND c.contypid = m.objid
	UNION ALL
	SELECT r.name, 'index', pg_get_indexdef(i.indexrelid) FROM relation r JOIN pg_index i ON i.indrelid = r.oid
	UNION ALL
	SELECT r.name, 'trigger', pg_get_triggerdef(t.oid) FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
	UNION ALL
	SELECT r.name, 'rule', pg_get_ruledef(u.oid) FROM relation r JOIN pg_rewrite u ON u.ev_class = r.oid WHERE r.relkind <> 'v'
	UNION ALL
	SELECT r.name, 'policy ' || p.polname, concat_ws(' ', p.polcmd, p.polpermissive, (SELECT string_agg(o::regrole::text, ' ' ORDER BY o::regrole::text COLLATE "C") FROM unnest(p.polroles) o),
		pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
	FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
	UNION ALL
	SELECT r.name, 'sequence', concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
	FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid
	UNION ALL
	SELECT m.name, 'definition', pg_get_functiondef(p.oid)
	FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid AND p.prokind <> 'a'
	UNION ALL
	SELECT 'config ' || c.config::regclass, 'condition', c.condition
	FROM pg_extension e CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) c (config, condition) WHERE e.extname = 'kinderconnect'
	UNION ALL
	SELECT r.name, 'rows', md5(query_to_xml(format('SELECT to_jsonb(t) FROM %s t ORDER BY to_jsonb(t)', r.oid::regclass), true, false, '')::text)
	FROM relation r WHERE r.relkind = 'r'
)
SELECT f.line FROM (SELECT concat_ws(' | ', name, what, value) AS line FROM fact) f ORDER BY f.line COLLATE "C"
