-- Names are compared folded: what two people typing one name may differ in,
-- and nothing more.

-- unaccent() is bound here, at creation, to the extension that the control
-- file requires, wherever its schema is. Declared immutable although a
-- superuser may edit unaccent's rules: then the keys are made again by the
-- next sync. An acute accent alone is a space to NFKC, and a hyphen that is
-- not seen is one to unaccent(): these two go first.
CREATE FUNCTION kinderconnect.fold(name text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT btrim(regexp_replace(
		translate(
			regexp_replace(lower(unaccent(normalize(translate(name, U&'\00B4\00AD', ''''), NFKC))), U&'[\0300-\036F\00AD\200B-\200F\2060\FEFF]', '', 'g'),
			U&'-\2010\2011\2012\2013\2014\2015\2212\FE63\FF0D\00A0\2007\202F' || U&'''\2018\2019\201B\02BB\02BC\02B9\2032\00B4`\FF07',
			'             '),
		'\s+', ' ', 'g'));
END;
COMMENT ON FUNCTION kinderconnect.fold(text) IS
'a name for comparing: lower case, without accents and apostrophes, every hyphen a space, single spaces';
