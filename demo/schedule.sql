GRANT USAGE ON SCHEMA cron TO manage_night;

-- Every minute, for once; without an argument, once a night.
\connect - manage_night
SELECT kinderconnect.schedule('* * * * *');
