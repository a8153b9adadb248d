-- Names are compared folded: what two people typing one name may differ in,
-- and nothing more.

-- unaccent() is bound here, at creation, to the extension that the control
-- file requires, wherever its schema is. Declared immutable although a
-- superuser may edit unaccent's rules: then the keys are made again by the
-- next sync. An accent alone is a space to NFKC, and a hyphen that is
-- not seen is one to unaccent(): these two go first.
--
-- As a string of a DO, because the server parses the whole script before it runs
-- any of it: in a database of another encoding these characters would be the
-- error, and not what roles.sql says.
DO $do$
BEGIN
	PERFORM set_config('search_path', format('pg_catalog, %I, pg_temp', n.nspname), true)
	FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
	WHERE e.extname = 'unaccent';
	EXECUTE $fold$
CREATE FUNCTION kinderconnect.fold(name text) RETURNS text
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

-- What matching reads from the fields of a name, however they were filled: a
-- middle name may stand with the first name, a suffix behind the last or the
-- first, two last names in either order. Full stops and commas count for
-- nothing. A name of one plain word, as most are, is not looked at further.
CREATE FUNCTION kinderconnect._words(name text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN btrim(regexp_replace(translate(kinderconnect.fold(name), '.,', '  '), ' +', ' ', 'g'));
COMMENT ON FUNCTION kinderconnect._words(text) IS 'the words of a name, folded';

CREATE FUNCTION kinderconnect._sorted(words text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN (SELECT string_agg(w, ' ' ORDER BY w COLLATE "C") FROM unnest(string_to_array(words, ' ')) w);
COMMENT ON FUNCTION kinderconnect._sorted(text) IS 'words in the order of the alphabet';

-- Not STRICT, and of nothing that is only stable, as concat_ws() is: so the
-- four are inlined where a column is computed.
CREATE FUNCTION kinderconnect._first_key(first_name text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN first_name ~ '^[A-Za-z]+$' THEN lower(first_name COLLATE "C") COLLATE "default" ELSE split_part(kinderconnect._words(first_name), ' ', 1) END;
COMMENT ON FUNCTION kinderconnect._first_key(text) IS 'first word of the first name, folded; empty where there is none';

CREATE FUNCTION kinderconnect._middle_key(first_name text, middle_name text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN middle_name IS NULL AND first_name ~ '^[A-Za-z]*$' THEN NULL
		ELSE nullif(btrim(coalesce(substring(regexp_replace(kinderconnect._words(first_name), '( (jr|sr|ii|iii|iv))+$', '') FROM ' (.*)'), '')
			|| ' ' || coalesce(kinderconnect._words(middle_name), '')), '') END;
COMMENT ON FUNCTION kinderconnect._middle_key(text, text) IS 'the words of the first name after the first, and the middle name, folded; null: none';

CREATE FUNCTION kinderconnect._last_key(last_name text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN last_name ~ '^[A-Za-z]+$' THEN lower(last_name COLLATE "C") COLLATE "default"
		WHEN last_name IS NOT NULL THEN coalesce(kinderconnect._sorted(regexp_replace(kinderconnect._words(last_name), '( (jr|sr|ii|iii|iv))+$', '')), '') END;
COMMENT ON FUNCTION kinderconnect._last_key(text) IS 'the words of the last name but for a suffix, folded, in the order of the alphabet; empty where there is none';

CREATE FUNCTION kinderconnect._suffix_key(first_name text, last_name text, suffix text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN suffix IS NULL AND last_name ~ '^[A-Za-z]*$' AND first_name ~ '^[A-Za-z]*$' THEN NULL
		ELSE coalesce(nullif(kinderconnect._words(suffix), ''), substring(kinderconnect._words(last_name) FROM ' (jr|sr|ii|iii|iv)$'),
			substring(kinderconnect._words(first_name) FROM ' (jr|sr|ii|iii|iv)$')) END;
COMMENT ON FUNCTION kinderconnect._suffix_key(text, text, text) IS 'the suffix, from its own field or else from behind the last or the first name, folded; null: none';
