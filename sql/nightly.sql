-- The night. The procedure commits as it goes, so it can have no SET clause:
-- it only walks the steps, and every name in it is qualified.

CREATE PROCEDURE kinderconnect._make_room(run bigint, calls integer DEFAULT 1)
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

CREATE PROCEDURE kinderconnect._drain(run bigint)
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
CREATE PROCEDURE kinderconnect._night(organization_id text, agency_id text, provider_id text, from_date date, to_date date, only_due boolean,
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

CREATE PROCEDURE kinderconnect.nightly(organization_id text DEFAULT NULL, agency_id text DEFAULT NULL, provider_id text DEFAULT NULL,
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
