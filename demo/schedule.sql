GRANT USAGE ON SCHEMA cron TO manage_night;

-- As if it were the hour of each location's night again.
SELECT count(kinderconnect.set_schedule(d.organization_id, local_time => date_trunc('second', now() AT TIME ZONE d.time_zone)::time,
	agency_id => d.agency_id, provider_id => d.provider_id))
FROM kinderconnect.due d WHERE d.provider_id <> '';

-- Every minute, for once; without an argument, every quarter of an hour.
\connect - manage_night
SELECT kinderconnect.schedule('* * * * *');
