-- doc/reference.md, from the catalog: see doc/generate
LOAD 'kinderconnect';
SET search_path = pg_catalog;

CREATE FUNCTION pg_temp.cell(words text) RETURNS text
	LANGUAGE sql RETURN replace(replace(coalesce(words, ''), '|', '\|'), E'\n', ' ');

CREATE FUNCTION pg_temp.roles(acl aclitem[], rights text[]) RETURNS text
	LANGUAGE sql RETURN (
		SELECT coalesce(string_agg(DISTINCT replace(r.rolname, 'kinderconnect_', ''), ', '), 'its owner alone')
		FROM aclexplode(acl) a JOIN pg_roles r ON r.oid = a.grantee
		WHERE starts_with(r.rolname, 'kinderconnect_') AND a.privilege_type = ANY (rights));

CREATE TEMPORARY VIEW ours AS
SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'kinderconnect' AND d.deptype = 'e';

CREATE TEMPORARY VIEW routine AS
SELECT p.*, format('%s(%s)', p.proname, replace(pg_get_function_identity_arguments(p.oid), 'kinderconnect.', '')) AS signature,
	format('%s(%s)', p.proname, regexp_replace(replace(pg_get_function_arguments(p.oid), 'kinderconnect.', ''), '(DEFAULT NULL)::[^,]+', '\1', 'g')) AS call,
	replace(pg_get_function_result(p.oid), 'kinderconnect.', '') AS result
FROM pg_proc p JOIN ours o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid;

CREATE TEMPORARY VIEW relation AS
SELECT c.* FROM pg_class c JOIN ours o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid WHERE c.relkind IN ('r', 'v', 'c');

SELECT $$# Reference

Made by `doc/generate` from the comments in the catalog; do not edit. `\dx+ kinderconnect` lists the same objects in psql, `\d+` and
`\df+` show the same words. Everything is in the schema `kinderconnect`. Roles are named without `kinderconnect_`.

[Settings](#settings) · [Functions and procedures](#functions-and-procedures) · [Views](#views) · [Tables](#tables) · [Types](#types) · [Internal functions](#internal-functions)

## Settings

Parameters of the server. Context `sighup`: configuration file only, `pg_reload_conf()` takes it up; `user`: also `SET`, `ALTER ROLE`, `ALTER DATABASE`.

| parameter | default | range | context | meaning |
|---|---|---|---|---|$$;
SELECT format('| `%s` | %s | %s | %s | %s |', s.name,
	CASE WHEN s.boot_val = '' THEN '' ELSE s.boot_val || coalesce(' ' || s.unit, '') END,
	CASE WHEN s.max_val IS NOT NULL THEN s.min_val || ' to ' || s.max_val ELSE coalesce(array_to_string(s.enumvals, ', '), '') END,
	s.context, pg_temp.cell(concat_ws(' ', s.short_desc, s.extra_desc)))
FROM pg_settings s WHERE s.name LIKE 'kinderconnect.%' ORDER BY s.name COLLATE "C";

SELECT $$
## Functions and procedures

An argument with a default may be left out, or given by name: `backfill_days => 0`.
$$;
SELECT format(E'### %s\n\n`%s%s`%s\n\n%s\n\nRuns: %s.\n', p.proname, CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END, p.call,
	CASE WHEN p.prokind = 'p' THEN '' WHEN p.result = 'void' THEN '' ELSE format(' → `%s`', p.result) END,
	obj_description(p.oid, 'pg_proc'), pg_temp.roles(p.proacl, '{EXECUTE}'))
FROM routine p WHERE p.proname NOT LIKE '\_%' ORDER BY p.proname COLLATE "C", p.signature COLLATE "C";

CREATE TEMPORARY VIEW described AS
SELECT c.relkind, c.relname, format(E'### %s\n\n%s%s\n\n| column | type | meaning |\n|---|---|---|\n%s\n', c.relname, obj_description(c.oid, 'pg_class'),
	CASE WHEN c.relkind = 'c' THEN ''
		ELSE format(E'\n\nRead: %s.%s', pg_temp.roles(c.relacl, '{SELECT}'), ' Written: ' || nullif(pg_temp.roles(c.relacl, '{INSERT,UPDATE,DELETE}'), 'its owner alone') || '.') END,
	(SELECT string_agg(format('| `%s` | %s | %s |', a.attname, replace(format_type(a.atttypid, a.atttypmod), 'kinderconnect.', ''),
			pg_temp.cell(col_description(c.oid, a.attnum))), E'\n' ORDER BY a.attnum)
		FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) AS words
FROM relation c;

SELECT E'\n## Views\n';
SELECT d.words FROM described d WHERE d.relkind = 'v' ORDER BY d.relname COLLATE "C";

SELECT $$
## Tables

All are dumped by `pg_dump` with their rows, but for those that a shipped version fills. What a role may write it is given by a
function above, unless its row says otherwise.
$$;
SELECT d.words FROM described d WHERE d.relkind = 'r' ORDER BY d.relname COLLATE "C";

SELECT E'\n## Types\n';
SELECT d.words FROM described d WHERE d.relkind = 'c' ORDER BY d.relname COLLATE "C";

SELECT $$
## Internal functions

Their names begin with an underscore. They are the steps of the night, may change in any version, and are here for whoever reads the SQL.

| function | meaning |
|---|---|$$;
SELECT format('| `%s` | %s |', p.signature, pg_temp.cell(obj_description(p.oid, 'pg_proc')))
FROM routine p WHERE p.proname LIKE '\_%' ORDER BY p.proname COLLATE "C", p.signature COLLATE "C";
