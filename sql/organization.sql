-- Who takes part: organizations (one KinderConnect group each) and their
-- providers. Admins write, through the functions of setup.sql.
--
-- Here and in all tables ids, and what else an index has, are of collation "C".
-- How a library sorts may change under an index with the next upgrade of the
-- system; a record that is then not found would be sent twice.

CREATE TABLE kinderconnect.organization (
	organization_id text COLLATE "C" PRIMARY KEY CHECK (organization_id <> ''),
	endpoint        text COLLATE "C" NOT NULL REFERENCES kinderconnect.endpoint,
	group_id        text NOT NULL CHECK (group_id <> ''),
	group_password  text NOT NULL CHECK (group_password <> ''),
	enabled         boolean NOT NULL DEFAULT true,
	first_enabled   date NOT NULL,
	backfill_days   integer NOT NULL DEFAULT 30 CHECK (backfill_days BETWEEN 0 AND 366),
	adopt_providers boolean NOT NULL DEFAULT true,
	sends           boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE kinderconnect.organization IS
'the customers of the management system that report to KinderConnect: one KinderConnect group each';
COMMENT ON COLUMN kinderconnect.organization.organization_id IS 'Manage''s id of the customer';
COMMENT ON COLUMN kinderconnect.organization.endpoint IS 'the service it reports to';
COMMENT ON COLUMN kinderconnect.organization.group_id IS 'the group at KinderConnect; not secret';
COMMENT ON COLUMN kinderconnect.organization.group_password IS 'name of the group password in the secrets file, never the password itself';
COMMENT ON COLUMN kinderconnect.organization.enabled IS 'false: no run touches it';
COMMENT ON COLUMN kinderconnect.organization.first_enabled IS 'date of the first enable_integration(), or of the one that let it send first, on the clock of its westernmost location in Manage, or of the country''s last zone where one has none; no day older than this less backfill_days is sent';
COMMENT ON COLUMN kinderconnect.organization.backfill_days IS 'days before first_enabled that are sent too';
COMMENT ON COLUMN kinderconnect.organization.adopt_providers IS 'send also for locations that the service lists and nobody configured';
COMMENT ON COLUMN kinderconnect.organization.sends IS 'false: its nights ask, match and plan, and send nothing; what they would send is ready';
