-- The engine of calls by itself: each reply is decoded into rows and counted,
-- nothing is kept.
SET client_min_messages = warning;
CREATE TABLE bench.wire_seconds (seconds double precision, entries bigint);

CREATE PROCEDURE bench.wire(what text, requests bigint) LANGUAGE plpgsql AS $$
DECLARE
	item    record;
	outcome kinderconnect.call_outcome;
	entries bigint := 0;
	from_at timestamptz;
BEGIN
	CREATE TEMPORARY TABLE IF NOT EXISTS asked AS
	SELECT p.organization_id, p.agency_id, p.provider_id,
		(SELECT array_agg(ROW(gen_random_uuid()::text, c.kinderconnect_child_id, date '2026-01-02', 'session', ARRAY[time '08:02'], ARRAY[time '16:31'], NULL)::kinderconnect.wire_record)
			FROM kinderconnect.child c JOIN kinderconnect.authorization a USING (organization_id, agency_id, kinderconnect_child_id)
			WHERE a.provider_id = p.provider_id AND a.organization_id = p.organization_id) AS records
	FROM kinderconnect.provider p LIMIT requests;
	COMMIT;
	PERFORM kinderconnect._open(NULL);
	from_at := clock_timestamp();
	FOR item IN SELECT * FROM asked LOOP
		WHILE kinderconnect._room() <= 0 LOOP
			FOR outcome IN SELECT * FROM kinderconnect._collect() LOOP
				entries := entries + outcome.entries;
				PERFORM kinderconnect._release(outcome.ticket);
			END LOOP;
		END LOOP;
		IF what = 'children' THEN
			PERFORM kinderconnect._start('children', item.organization_id, item.agency_id, item.provider_id, month => date '2026-01-01');
		ELSE
			PERFORM kinderconnect._start_submit(item.organization_id, item.agency_id, item.provider_id, gen_random_uuid()::text, item.records);
		END IF;
	END LOOP;
	WHILE kinderconnect._pending() > 0 LOOP
		FOR outcome IN SELECT * FROM kinderconnect._collect() LOOP
			entries := entries + outcome.entries;
			PERFORM kinderconnect._release(outcome.ticket);
		END LOOP;
	END LOOP;
	PERFORM kinderconnect._close();
	DELETE FROM bench.wire_seconds;
	INSERT INTO bench.wire_seconds VALUES (extract(epoch FROM clock_timestamp() - from_at), entries);
END $$;
