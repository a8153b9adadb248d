-- Who an unlinked child might be: up to five candidates of Manage with a score
-- and the reason in words, for a person to decide. Nothing here makes a link.
--
-- Children are compared where one of a few blocks brings them together, so
-- that no night compares everybody with everybody. Birth date, last and first
-- name are compared each by itself; a comparison ends in one finding, and a
-- finding has its worth.

CREATE TABLE kinderconnect.child_decision (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	child_id               text COLLATE "C" NOT NULL,
	decision               text NOT NULL CHECK (decision IN ('link', 'reject', 'unlink')),
	decided_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
	decided_by             text NOT NULL DEFAULT session_user,
	reason                 text,
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id, child_id, decided_at)
);
COMMENT ON TABLE kinderconnect.child_decision IS
'what persons decided about pairs of children; the last one about a pair counts, and no night undoes it';
COMMENT ON COLUMN kinderconnect.child_decision.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.child_decision.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.child_decision.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.child_decision.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.child_decision.decision IS 'link: they are one child; reject, unlink: they are not';
COMMENT ON COLUMN kinderconnect.child_decision.decided_at IS 'when';
COMMENT ON COLUMN kinderconnect.child_decision.decided_by IS 'login role';
COMMENT ON COLUMN kinderconnect.child_decision.reason IS 'why, in the person''s words';

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

CREATE TABLE kinderconnect.scored_child (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	scored_at              timestamptz NOT NULL,
	date_of_birth          date,
	last_key               text COLLATE "C",
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id)
);
COMMENT ON TABLE kinderconnect.scored_child IS 'unlinked children whose candidates are known; those changed since are scored again';
COMMENT ON COLUMN kinderconnect.scored_child.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.scored_child.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.scored_child.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.scored_child.scored_at IS 'when; -infinity: due';
COMMENT ON COLUMN kinderconnect.scored_child.date_of_birth IS 'the child''s, then';
COMMENT ON COLUMN kinderconnect.scored_child.last_key IS 'the child''s, then';

CREATE INDEX scored_child_by_family ON kinderconnect.scored_child (organization_id, date_of_birth, last_key);

CREATE TABLE kinderconnect.score_state (
	organization_id text COLLATE "C" PRIMARY KEY REFERENCES kinderconnect.organization,
	scored_at       timestamptz NOT NULL,
	version         text NOT NULL,
	names           numeric NOT NULL
);
COMMENT ON TABLE kinderconnect.score_state IS
'the last scoring of each organization; DELETE has all unlinked children compared again';
COMMENT ON COLUMN kinderconnect.score_state.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.score_state.scored_at IS 'when; children of Manage read anew since are compared with all unlinked ones';
COMMENT ON COLUMN kinderconnect.score_state.version IS 'version of the extension; another one may score by other rules';
COMMENT ON COLUMN kinderconnect.score_state.names IS 'digest of kinderconnect.nickname';

CREATE TABLE kinderconnect.match_candidate (
	organization_id        text COLLATE "C" NOT NULL REFERENCES kinderconnect.organization,
	agency_id              text COLLATE "C" NOT NULL,
	kinderconnect_child_id text COLLATE "C" NOT NULL,
	child_id               text COLLATE "C" NOT NULL,
	position               integer NOT NULL CHECK (position BETWEEN 1 AND 5),
	score                  numeric(4, 3) NOT NULL CHECK (score BETWEEN 0 AND 1),
	reason                 text NOT NULL,
	first_name             text,
	last_name              text,
	date_of_birth          date,
	location_id            text COLLATE "C",
	PRIMARY KEY (organization_id, agency_id, kinderconnect_child_id, child_id)
);
COMMENT ON TABLE kinderconnect.match_candidate IS
'up to five children of Manage that an unlinked child might be; decide with link_child() or reject_match()';
COMMENT ON COLUMN kinderconnect.match_candidate.organization_id IS 'the organization';
COMMENT ON COLUMN kinderconnect.match_candidate.agency_id IS 'the agency';
COMMENT ON COLUMN kinderconnect.match_candidate.kinderconnect_child_id IS 'the child at KinderConnect';
COMMENT ON COLUMN kinderconnect.match_candidate.child_id IS 'the child in Manage';
COMMENT ON COLUMN kinderconnect.match_candidate.position IS '1: the likeliest';
COMMENT ON COLUMN kinderconnect.match_candidate.score IS '1: all equal; 0: nothing is';
COMMENT ON COLUMN kinderconnect.match_candidate.reason IS 'what speaks for and against it, in words';
COMMENT ON COLUMN kinderconnect.match_candidate.first_name IS 'first name in Manage';
COMMENT ON COLUMN kinderconnect.match_candidate.last_name IS 'last name in Manage';
COMMENT ON COLUMN kinderconnect.match_candidate.date_of_birth IS 'birth date in Manage';
COMMENT ON COLUMN kinderconnect.match_candidate.location_id IS 'the child''s site in Manage';

SELECT pg_catalog.pg_extension_config_dump('kinderconnect.child_decision', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.scored_child', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.match_candidate', '');
SELECT pg_catalog.pg_extension_config_dump('kinderconnect.score_state', '');

SELECT set_config('search_path', format('pg_catalog, %s, pg_temp', string_agg(DISTINCT quote_ident(n.nspname), ', ')), true)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname IN ('fuzzystrmatch', 'pg_trgm');

-- One word for what comparing two names shows, the best that applies. Keys
-- longer than any name are cut: levenshtein() refuses more than 255.
CREATE FUNCTION kinderconnect._compare_names(a text, b text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN a = b THEN 'equal'
		WHEN a IS NULL OR b IS NULL OR a = '' OR b = '' THEN 'missing'
		WHEN replace(a, ' ', '') = replace(b, ' ', '') THEN 'spaced'
		WHEN levenshtein_less_equal(a, b, 1) <= 1 THEN 'one letter'
		-- an insertion and a deletion: one letter stands elsewhere
		WHEN length(a) = length(b) AND levenshtein_less_equal(a, b, 2) = 2 AND levenshtein_less_equal(a, b, 1, 1, 3, 2) = 2 THEN 'swapped letters'
		WHEN string_to_array(a, ' ') && string_to_array(b, ' ') THEN 'in part'
		WHEN least(length(a), length(b)) >= 5 AND levenshtein_less_equal(a, b, 2) = 2 THEN 'two letters'
		WHEN length(dmetaphone(a)) > 1 AND dmetaphone(a) = dmetaphone(b) THEN 'sound'
		WHEN least(length(a), length(b)) >= 3 AND (starts_with(a, b) OR starts_with(b, a)) THEN 'beginning'
		WHEN similarity(a, b) >= 0.35 OR levenshtein(a, b) * 3 <= greatest(length(a), length(b)) THEN 'similar'
		WHEN left(a, 1) = left(b, 1) THEN 'initial'
		ELSE 'different'
	END;
COMMENT ON FUNCTION kinderconnect._compare_names(text, text) IS 'the finding of comparing two folded names';

CREATE FUNCTION kinderconnect._compare_dates(a text, b text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN a = b THEN 'equal'
		WHEN a IS NULL OR b IS NULL THEN 'missing'
		WHEN left(a, 4) = left(b, 4) AND substr(a, 5, 2) = right(b, 2) AND right(a, 2) = substr(b, 5, 2) THEN 'day and month'
		WHEN levenshtein_less_equal(a, b, 1) = 1 THEN
			CASE WHEN left(a, 4) <> left(b, 4) THEN 'digit of year' WHEN right(a, 2) <> right(b, 2) THEN 'digit of day' ELSE 'digit of month' END
		WHEN levenshtein_less_equal(a, b, 2) = 2 AND levenshtein_less_equal(a, b, 1, 1, 3, 2) = 2 THEN 'swapped digits'
		WHEN left(a, 4) = left(b, 4) AND substr(a, 5, 2) = substr(b, 5, 2) THEN 'day'
		WHEN left(a, 4) = left(b, 4) AND right(a, 2) = right(b, 2) THEN 'month'
		WHEN right(a, 4) = right(b, 4) THEN 'year'
		WHEN levenshtein_less_equal(a, b, 2) = 2 THEN 'two digits'
		ELSE 'different'
	END;
COMMENT ON FUNCTION kinderconnect._compare_dates(text, text) IS 'the finding of comparing two dates written YYYYMMDD';

CREATE FUNCTION kinderconnect._sound(name text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN nullif(dmetaphone(name), '');
COMMENT ON FUNCTION kinderconnect._sound(text) IS 'how a folded name sounds in English; null where it has no Latin letters';

SET LOCAL search_path = pg_catalog, pg_temp;

CREATE FUNCTION kinderconnect._few_to_score(organization text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	-- the first night has no statistics
	SELECT EXISTS (SELECT FROM kinderconnect.score_state t WHERE t.organization_id = organization) AND kinderconnect._are_few(organization, count(*))
	FROM (SELECT FROM kinderconnect.scored_child s WHERE s.organization_id = organization AND s.scored_at = '-infinity' LIMIT 1001) s;
END;
COMMENT ON FUNCTION kinderconnect._few_to_score(text) IS 'whether so few children are due for scoring that each is better looked up by itself';

-- The blocks. Within a site names need only be alike, for a site's children
-- are few; across the organization, which may have a million, what agrees must
-- be rare. Whether two children are compared is told by these two alone, or a
-- night could not look at what changed alone. For few children each block is
-- an index of known_child.
CREATE INDEX known_child_by_site ON kinderconnect.known_child (organization_id, location_id);
CREATE INDEX known_child_by_last_name ON kinderconnect.known_child (organization_id, last_key);
CREATE INDEX known_child_by_beginning ON kinderconnect.known_child (organization_id, left(last_key, 2), left(first_key, 2));
CREATE INDEX known_child_by_sound ON kinderconnect.known_child (organization_id, kinderconnect._sound(last_key), kinderconnect._sound(first_key));

CREATE FUNCTION kinderconnect._pairs(organization text, since timestamptz)
	RETURNS TABLE (agency_id text, kinderconnect_child_id text, child_id text)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	changed text[];
BEGIN
	IF since IS NOT NULL THEN
		changed := ARRAY(SELECT DISTINCT k.child_id FROM kinderconnect.known_child k WHERE k.organization_id = organization AND k.changed_at >= since);
	ELSIF kinderconnect._few_to_score(organization) THEN
		PERFORM set_config('enable_nestloop', 'on', true);
	END IF;
	RETURN QUERY
	WITH c AS MATERIALIZED (
		SELECT c.agency_id, c.kinderconnect_child_id, c.date_of_birth, nullif(c.first_key, '') AS first_key, nullif(c.last_key, '') AS last_key,
			kinderconnect._sound(c.first_key) AS first_sound, kinderconnect._sound(c.last_key) AS last_sound,
			to_char(c.date_of_birth, 'YYYYMMDD') AS born
		FROM kinderconnect.child c
		WHERE c.organization_id = organization AND c.unlinked_because IS NOT NULL
			AND (since IS NOT NULL OR (c.agency_id, c.kinderconnect_child_id) IN (SELECT s.agency_id, s.kinderconnect_child_id
				FROM kinderconnect.scored_child s WHERE s.organization_id = organization AND s.scored_at = '-infinity'))
	), m AS NOT MATERIALIZED (
		SELECT k.child_id, k.location_id, k.date_of_birth, k.first_key, k.last_key,
			kinderconnect._sound(k.first_key) AS first_sound, kinderconnect._sound(k.last_key) AS last_sound
		FROM kinderconnect.known_child k
		-- all its rows: one finds the pair, another may score it
		WHERE k.organization_id = organization AND (since IS NULL OR k.child_id = ANY (changed))
	), at_site AS MATERIALIZED (
		SELECT DISTINCT c.*, p.location_id
		FROM c
		JOIN kinderconnect.listed_authorization l ON (l.organization_id, l.agency_id, l.kinderconnect_child_id)
			= (organization, c.agency_id, c.kinderconnect_child_id)
		JOIN kinderconnect.provider p ON (p.organization_id, p.agency_id, p.provider_id) = (organization, l.agency_id, l.provider_id)
		WHERE p.location_id IS NOT NULL
	)
	-- the site's children born that day, or on the day of that month turned round
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON (m.location_id, m.date_of_birth) = (c.location_id, c.date_of_birth)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON m.location_id = c.location_id AND to_char(m.date_of_birth, 'YYYYDDMM') = c.born
	UNION
	-- the site's children whose names both end alike, or both begin alike
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON m.location_id = c.location_id
		AND right(m.last_key, 2) = right(c.last_key, 2) AND right(m.first_key, 2) = right(c.first_key, 2)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON m.location_id = c.location_id
		AND left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
	UNION
	-- the site's children with a first or last name that sounds alike, or one for the other
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON (m.location_id, m.last_sound) = (c.location_id, c.last_sound)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON (m.location_id, m.first_sound) = (c.location_id, c.first_sound)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON (m.location_id, m.first_sound) = (c.location_id, c.last_sound)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM at_site c JOIN m ON (m.location_id, m.last_sound) = (c.location_id, c.first_sound)
	UNION
	-- born that day, and a name begins or ends alike, straight or crosswise, or is missing
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON m.date_of_birth = c.date_of_birth
	WHERE (left(c.last_key, 2) IN (left(m.last_key, 2), left(m.first_key, 2)) OR left(c.first_key, 2) IN (left(m.first_key, 2), left(m.last_key, 2))
			OR right(c.last_key, 3) = right(m.last_key, 3) OR right(c.first_key, 3) = right(m.first_key, 3)
			OR m.last_key = '' OR m.first_key = '')
		IS NOT FALSE
	UNION
	-- last name, and the initial of the first
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON m.last_key = c.last_key AND left(m.first_key, 1) = left(c.first_key, 1)
	UNION
	-- both names begin alike, by three letters, or by two and of day, month and year two are equal, or turned round
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
		AND left(m.last_key, 3) = left(c.last_key, 3) AND left(m.first_key, 3) = left(c.first_key, 3)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
		AND to_char(m.date_of_birth, 'YYYYMM') = left(c.born, 6)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
		AND to_char(m.date_of_birth, 'YYYYDD') = left(c.born, 4) || right(c.born, 2)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
		AND to_char(m.date_of_birth, 'MMDD') = right(c.born, 4)
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON left(m.last_key, 2) = left(c.last_key, 2) AND left(m.first_key, 2) = left(c.first_key, 2)
		AND to_char(m.date_of_birth, 'YYYYDDMM') = c.born
	UNION
	-- both names sound alike, or one for the other
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON m.last_sound = c.last_sound AND m.first_sound = c.first_sound
	UNION
	SELECT c.agency_id, c.kinderconnect_child_id, m.child_id
	FROM c JOIN m ON m.last_sound = c.first_sound AND m.first_sound = c.last_sound;
END;
$$;
COMMENT ON FUNCTION kinderconnect._pairs(text, timestamptz) IS
'the pairs worth comparing: of unlinked children that are due for scoring; or, with since, of all unlinked ones and the children of Manage changed since';

-- What a finding is worth, of 1 for the field. A field that is missing neither
-- proves nor disproves.
CREATE FUNCTION kinderconnect._worth(finding text) RETURNS double precision
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE finding
		WHEN 'different' THEN 0
		WHEN 'equal' THEN 1
		WHEN 'initial' THEN 0.10
		-- of names
		WHEN 'spaced' THEN 0.95
		WHEN 'nickname' THEN 0.90
		WHEN 'one letter' THEN 0.85
		WHEN 'swapped letters' THEN 0.85
		WHEN 'in part' THEN 0.80
		WHEN 'two letters' THEN 0.70
		WHEN 'sound' THEN 0.70
		WHEN 'beginning' THEN 0.60
		WHEN 'similar' THEN 0.50
		WHEN 'missing' THEN 0.35
		-- of dates
		WHEN 'day and month' THEN 0.85
		WHEN 'digit of year' THEN 0.80
		WHEN 'digit of month' THEN 0.80
		WHEN 'digit of day' THEN 0.80
		WHEN 'swapped digits' THEN 0.80
		WHEN 'day' THEN 0.40
		WHEN 'month' THEN 0.40
		WHEN 'year' THEN 0.40
		WHEN 'two digits' THEN 0.40
	END;
COMMENT ON FUNCTION kinderconnect._worth(text) IS 'what a finding of _compare_names() or _compare_dates() is worth, from 0 to 1';

CREATE FUNCTION kinderconnect._in_words(field text, finding text, a text, b text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE finding
		WHEN 'equal' THEN field || ' equal'
		WHEN 'missing' THEN field || ' missing'
		WHEN 'day and month' THEN 'day and month swapped'
		WHEN 'digit of year' THEN 'one digit of the year'
		WHEN 'digit of month' THEN 'one digit of the month'
		WHEN 'digit of day' THEN 'one digit of the day'
		WHEN 'swapped digits' THEN 'two digits of the birth date swapped'
		WHEN 'day' THEN 'only the day of birth different'
		WHEN 'month' THEN 'only the month of birth different'
		WHEN 'year' THEN 'only the year of birth different'
		WHEN 'two digits' THEN 'two digits of the birth date'
		ELSE field || CASE finding
			WHEN 'spaced' THEN ' equal but for a space'
			WHEN 'nickname' THEN ' a nickname'
			WHEN 'one letter' THEN ' one letter'
			WHEN 'swapped letters' THEN ' two letters swapped'
			WHEN 'in part' THEN ' equal in part'
			WHEN 'two letters' THEN ' two letters'
			WHEN 'sound' THEN ' sounds alike'
			WHEN 'beginning' THEN ' begins alike'
			WHEN 'similar' THEN ' similar'
			ELSE ' different' END || coalesce(': ' || a || ' / ' || b, '')
	END;
COMMENT ON FUNCTION kinderconnect._in_words(text, text, text, text) IS 'a finding about a field, for people; a and b are what is written on the two sides';

-- The score: birth date 0.40, last name 0.33, first name 0.27, each times what
-- its finding is worth.
CREATE FUNCTION kinderconnect._candidates(organization text)
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

-- A child is scored again when it, its site, one of its candidates or what
-- these could be has changed, and with it all of one last name and birth date:
-- they may be its twin. What a match knows of that it notes here, before it
-- brings its tables up to date.
CREATE FUNCTION kinderconnect._unscore(organization text, since timestamptz, changed text[], born date[], last_keys text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET enable_nestloop = off
	SET jit = off
AS $$
BEGIN
	UPDATE kinderconnect.scored_child s SET scored_at = '-infinity'
	WHERE s.organization_id = organization AND s.scored_at <> '-infinity'
		AND ((s.agency_id, s.kinderconnect_child_id) IN (SELECT c.agency_id, c.kinderconnect_child_id FROM kinderconnect.child c
				WHERE c.organization_id = organization AND (c.changed_at >= since OR c.unlinked_because = 'not_matched_yet'))
			OR (s.agency_id, s.kinderconnect_child_id) IN (SELECT n.agency_id, n.kinderconnect_child_id FROM kinderconnect.match_candidate n
				WHERE n.organization_id = organization AND n.child_id = ANY (changed))
			OR (s.date_of_birth, s.last_key) IN (SELECT * FROM unnest(born, last_keys)));
END;
$$;
COMMENT ON FUNCTION kinderconnect._unscore(text, timestamptz, text[], date[], text[]) IS
'notes whose candidates are no longer sure: of the children that changed since or are not_matched_yet, and those whom the changed children of Manage concern';

CREATE FUNCTION kinderconnect._score(organization text) RETURNS void
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
