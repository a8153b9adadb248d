-- The night as users of pgsql-http write it: a loop in PL/pgSQL, a call at a
-- time, each row committed before it is sent and after. Variables url,
-- organizations and days.
\set ON_ERROR_STOP on
\set QUIET on
SELECT set_config('peer.url', :'url', false), set_config('peer.organizations', :'organizations', false), set_config('peer.days', :'days', false) \g /dev/null
SELECT http_set_curlopt('CURLOPT_TIMEOUT_MS', '60000'), http_set_curlopt('CURLOPT_TCP_KEEPALIVE', '1'), set_config('http.keepalive', 'on', false) \g /dev/null

CREATE OR REPLACE FUNCTION peer.call(path text, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	reply http_response;
BEGIN
	reply := http(('POST', current_setting('peer.url') || path, ARRAY[http_header('Authorization', 'Bearer bench')], 'application/json', body::text)::http_request);
	IF reply.status <> 200 THEN
		RAISE EXCEPTION 'status %', reply.status;
	END IF;
	RETURN reply.content::jsonb;
END $$;

DO $$
DECLARE
	credentials jsonb;
	item        record;
	customer    text;
	reply       jsonb;
	month       text := to_char((now() AT TIME ZONE 'America/Chicago')::date - 1, 'YYYY-MM');
BEGIN
	FOR o IN 1..current_setting('peer.organizations')::integer LOOP
		credentials := jsonb_build_object('group', jsonb_build_object('groupId', 'G-' || o, 'groupPassword', 'bench'));
		reply := peer.call('/v1/customers', credentials);
		FOR customer IN SELECT c ->> 'customerId' FROM jsonb_array_elements(reply -> 'customers') c LOOP
			PERFORM peer.call('/v1/agencies', credentials || jsonb_build_object('customerId', customer));
			INSERT INTO peer.provider (company, provider_id, name, zip)
			SELECT 'org' || o, l ->> 'providerId', l ->> 'name', l #>> '{address,zip}'
			FROM jsonb_array_elements(peer.call('/v1/locations', credentials || jsonb_build_object('customerId', customer)) -> 'locations') l;
		END LOOP;
		FOR item IN SELECT * FROM peer.provider WHERE company = 'org' || o LOOP
			INSERT INTO peer.child (company, child_id, provider_id, first_name, last_name, born, authorization_id, begin_date, end_date)
			SELECT item.company, c ->> 'childId', item.provider_id, c ->> 'firstName', c ->> 'lastName', (c ->> 'dateOfBirth')::date,
				a ->> 'authorizationId', (a ->> 'beginDate')::date, (a ->> 'endDate')::date
			FROM jsonb_array_elements(peer.call('/v1/children', credentials || jsonb_build_object('agencyId', 'TX-1',
				'providerId', item.provider_id, 'month', month)) -> 'children') c
			CROSS JOIN LATERAL jsonb_array_elements(c -> 'authorizations') a;
			COMMIT;
		END LOOP;
	END LOOP;
	ANALYZE peer.provider, peer.child;
	PERFORM peer.link();
	PERFORM peer.plan(current_setting('peer.days')::integer);
	COMMIT;
	FOR item IN SELECT d.company, d.provider_id, jsonb_agg(jsonb_build_object('recordId', d.record_id, 'childId', d.child_id,
			'serviceDate', d.service_date, 'sessions', jsonb_build_array(jsonb_build_object('in', d.time_in, 'out', d.time_out)))) AS records
		FROM peer.day d WHERE d.state = 'sending' GROUP BY d.company, d.provider_id LOOP
		reply := peer.call('/v1/attendance', jsonb_build_object('group', jsonb_build_object('groupId', 'G-' || substr(item.company, 4),
			'groupPassword', 'bench'), 'agencyId', 'TX-1', 'providerId', item.provider_id, 'batchId', gen_random_uuid(), 'records', item.records));
		UPDATE peer.day d SET state = r ->> 'status', code = r ->> 'code'
		FROM jsonb_array_elements(reply -> 'results') r WHERE d.record_id = r ->> 'recordId';
		COMMIT;
	END LOOP;
END $$;
