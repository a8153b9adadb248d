-- Where the service is. The row holds the name of the secret, not the secret.
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url, token_url, client_id, client_secret)
VALUES ('kinderbridge', 'kinderbridge', :'base_url', :'base_url' || '/oauth2/token', 'manage-nightly', 'kinderconnect_client');

-- Ozark reports through Missouri's older interface: an address and a password, and no lists but the children's.
INSERT INTO kinderconnect.endpoint (endpoint, dialect, base_url)
VALUES ('missouri', 'vendor-interface', :'base_url' || '/vendor-interface');
SELECT severity, count(*) FROM kinderconnect.check_dialect('vendor-interface') GROUP BY severity;
INSERT INTO kinderconnect.agency (agency_id, name, state) VALUES ('MO-DESE', 'Missouri Office of Childhood', 'MO');

-- The Boards' letter: Texas takes no closures. Shipped as hearsay, and not enforced; a row of our own wins.
INSERT INTO kinderconnect.agency_rule (state, rule, valid, value, enforced, source)
VALUES ('TX', 'closures', '(,)', 'omit', true, 'letter of the Workforce Boards to providers');

-- Twelve organizations report from now on, and for three weeks back.
SELECT count(kinderconnect.enable_integration(organization_id, group_id, endpoint => endpoint, backfill_days => 22)) AS enabled
  FROM (VALUES
	('sunshine',    'G-1001', 'kinderbridge'), ('lone-star',    'G-1002', 'kinderbridge'), ('frontera',   'G-1003', 'kinderbridge'),
	('alamo',       'G-1004', 'kinderbridge'), ('bayou',        'G-1005', 'kinderbridge'), ('petite-ecole', 'G-1006', 'kinderbridge'),
	('magnolia',    'G-1007', 'kinderbridge'), ('gateway',      'G-1008', 'kinderbridge'), ('ozark',      'G-1009', 'missouri'),
	('flower-city', 'G-1010', 'kinderbridge'), ('hudson',       'G-1011', 'kinderbridge'), ('queen-city', 'G-1012', 'kinderbridge')
  ) AS paper (organization_id, group_id, endpoint);

-- Two locations have another name at the agency, the others are found by name and ZIP; Ozark's are listed nowhere.
SELECT count(kinderconnect.add_provider(organization_id, agency_id, provider_id, location_id)) AS added
  FROM (VALUES
	('lone-star', 'TX-28',          'P55210', '210'),
	('hudson',    'NY-WESTCHESTER', 'P55254', '254'),
	('ozark',     'MO-DESE',        'P55240', '240'),
	('ozark',     'MO-DESE',        'P55241', '241'),
	('ozark',     'MO-DESE',        'P55242', '242'),
	('ozark',     'MO-DESE',        'P55243', '243'),
	('ozark',     'MO-DESE',        'P55244', '244')
  ) AS paper (organization_id, agency_id, provider_id, location_id);

-- This database, and no copy of it, may send.
SELECT kinderconnect.arm();
