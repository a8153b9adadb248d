-- The night belongs to a role that may run it, and little else.
CREATE ROLE manage_night LOGIN IN ROLE kinderconnect_operator;

\connect - manage_night
\timing on
CALL kinderconnect.nightly();
\timing off
