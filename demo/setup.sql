-- Where the service is. The row holds the name of the secret, not the secret.
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
VALUES ('kinderbridge', 'kinderbridge', :'base_url', :'base_url' || '/oauth2/token', 'manage-nightly', 'kinderconnect_client');

-- The Boards' letter: Texas takes no closures. Shipped as hearsay, and not enforced; a row of our own wins.
INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source)
VALUES ('TX', 'closures', '(,)', 'omit', true, 'letter of the Workforce Boards to providers');

-- Twelve organizations report from now on, and for three weeks back.
SELECT count(kinderconnect.enable_integration(organization_id, group_id, backfill_days => 22)) AS enabled
  FROM (VALUES
	('sunshine', 'G-1001'), ('lone-star', 'G-1002'), ('frontera',     'G-1003'), ('alamo',  'G-1004'),
	('bayou',    'G-1005'), ('petite-ecole', 'G-1006'), ('magnolia',  'G-1007'), ('gateway', 'G-1008'),
	('ozark',    'G-1009'), ('flower-city', 'G-1010'), ('hudson',     'G-1011'), ('queen-city', 'G-1012')
  ) AS paper (organization_id, group_id);

-- Three locations have another name at the agency; the others are found by name and ZIP.
SELECT count(kinderconnect.add_provider(organization_id, agency_id, provider_id, location_id)) AS added
  FROM (VALUES
	('lone-star', 'TX-28',          'P55210', '210'),
	('ozark',     'MO-DESE',        'P55244', '244'),
	('hudson',    'NY-WESTCHESTER', 'P55254', '254')
  ) AS paper (organization_id, agency_id, provider_id, location_id);

-- This database, and no copy of it, may send.
SELECT kinderconnect.arm();
