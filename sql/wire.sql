-- The rows that cross between SQL and the service: what one record of a reply
-- or of an attendance request looks like in our own words. The C core finds
-- the columns by name; a dialect says where each stands on the wire.

CREATE TYPE kinderconnect.reply_customer AS (
	ordinal     integer,
	problem     text,
	customer_id text,
	name        text,
	status      text
);
COMMENT ON TYPE kinderconnect.reply_customer IS
'a customer as the service lists it; ordinal counts from 1 over all pages, problem says what is wrong with the record, else null';

CREATE TYPE kinderconnect.reply_location AS (
	ordinal     integer,
	problem     text,
	provider_id text,
	agency_id   text,
	customer_id text,
	name        text,
	line1       text,
	city        text,
	state       text,
	zip         text,
	status      text
);
COMMENT ON TYPE kinderconnect.reply_location IS
'a location as the service lists it: a provider ID at an agency';

CREATE TYPE kinderconnect.reply_agency AS (
	ordinal   integer,
	problem   text,
	agency_id text,
	name      text,
	state     text,
	time_zone text
);
COMMENT ON TYPE kinderconnect.reply_agency IS
'an agency as the service lists it; state is its two-letter code, time_zone an IANA name';

CREATE TYPE kinderconnect.reply_child AS (
	ordinal                integer,
	problem                text,
	kinderconnect_child_id text,
	first_name             text,
	middle_name            text,
	last_name              text,
	suffix                 text,
	date_of_birth          date,
	subsidized             boolean,
	authorization_id       text,
	begin_date             date,
	end_date               date,
	units_of_care          text,
	days                   text[],
	unread                 text[]
);
COMMENT ON TYPE kinderconnect.reply_child IS
'a child as the service lists it, a row for each authorization; one row with null authorization columns where it has none. Dates inclusive, a null end is open; days as on the wire (MO to SU), null or empty for every day. unread names the columns of which problem says that their value is not as agreed, or missing though required; of a record that was not read to its end, all';

CREATE TYPE kinderconnect.reply_result AS (
	ordinal   integer,
	problem   text,
	record_id text,
	status    text,
	code      text,
	message   text
);
COMMENT ON TYPE kinderconnect.reply_result IS
'the service''s answer to one record of attendance: accepted, duplicate, rejected, or a word it invented';

CREATE TYPE kinderconnect.reply_record AS (
	ordinal                integer,
	problem                text,
	record_id              text,
	kinderconnect_child_id text,
	service_date           date,
	kind                   text,
	session_in             time[],
	session_out            time[],
	absence_reason         text,
	received_at            timestamptz
);
COMMENT ON TYPE kinderconnect.reply_record IS
'one child-day as the service holds it; session_in and session_out run in parallel, wall time at the location, null where that punch is missing';

CREATE TYPE kinderconnect.wire_record AS (
	record_id              text,
	kinderconnect_child_id text,
	service_date           date,
	kind                   text,
	session_in             time[],
	session_out            time[],
	absence_reason         text
);
COMMENT ON TYPE kinderconnect.wire_record IS
'one child-day as it is sent: kind is session, absence, closure or void; session_in and session_out run in parallel, wall time at the location';

CREATE TYPE kinderconnect.call_outcome AS (
	ticket          bigint,
	operation       text,
	organization_id text,
	agency_id       text,
	provider_id     text,
	customer_id     text,
	month           date,
	batch_id        text,
	ok              boolean,
	sent            boolean,
	sqlstate        text,
	message         text,
	detail          text,
	hint            text,
	http_status     integer,
	code            text,
	entries         bigint,
	problems        bigint,
	pages           integer,
	attempts        integer,
	bytes           bigint,
	elapsed_ms      double precision
);
COMMENT ON TYPE kinderconnect.call_outcome IS
'how one call to the service ended: ok, or sqlstate, message, detail and hint; sent tells whether the service may have acted on it; code is the service''s own error code';
