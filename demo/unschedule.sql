\connect - manage_night
SELECT kinderconnect.unschedule();
