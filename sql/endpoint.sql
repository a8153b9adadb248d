-- Where the service is. Admins write here; nothing else names a host.

CREATE TABLE kinderconnect.endpoint (
	endpoint      text COLLATE "C" PRIMARY KEY CHECK (endpoint <> ''),
	dialect       text COLLATE "C" NOT NULL REFERENCES kinderconnect.dialect,
	base_url      text NOT NULL,
	token_url     text,
	scope         text CHECK (scope <> ''),
	client_id     text CHECK (client_id <> ''),
	client_secret text CHECK (client_secret <> ''),
	http2         boolean NOT NULL DEFAULT false,
	CONSTRAINT endpoint_base_url_is_https CHECK (base_url ~ '^(https://([^]/@?#:%\\[:space:][:cntrl:]]+|\[[0-9A-Fa-f:.]+\])|http://(127\.0\.0\.1|\[::1\]|localhost))(:[0-9]{1,5})?([/?#][^[:space:][:cntrl:]]*)?$'),
	CONSTRAINT endpoint_token_url_is_https CHECK (token_url ~ '^(https://([^]/@?#:%\\[:space:][:cntrl:]]+|\[[0-9A-Fa-f:.]+\])|http://(127\.0\.0\.1|\[::1\]|localhost))(:[0-9]{1,5})?([/?#][^[:space:][:cntrl:]]*)?$'),
	CONSTRAINT endpoint_base_url_has_no_query CHECK (base_url !~ '[?#]'),
	CONSTRAINT endpoint_token_url_has_no_query CHECK (token_url !~ '[?#]'),
	CONSTRAINT endpoint_token_is_whole CHECK ((token_url IS NULL) = (client_id IS NULL) AND (client_id IS NULL) = (client_secret IS NULL))
);
COMMENT ON TABLE kinderconnect.endpoint IS
'the services that may be called: https, or http to this machine alone';
COMMENT ON COLUMN kinderconnect.endpoint.endpoint IS 'a name of your choice';
COMMENT ON COLUMN kinderconnect.endpoint.dialect IS 'how this service speaks: kinderconnect.dialect';
COMMENT ON COLUMN kinderconnect.endpoint.base_url IS 'the paths of the dialect are joined to it';
COMMENT ON COLUMN kinderconnect.endpoint.token_url IS 'OAuth2 token endpoint; null where the dialect has no tokens';
COMMENT ON COLUMN kinderconnect.endpoint.scope IS 'OAuth2 scope, or null';
COMMENT ON COLUMN kinderconnect.endpoint.client_id IS 'OAuth2 client id; not secret';
COMMENT ON COLUMN kinderconnect.endpoint.client_secret IS 'name of the OAuth2 client secret in the secrets file, never the secret itself';
COMMENT ON COLUMN kinderconnect.endpoint.http2 IS 'may HTTP/2 be used; HTTP/1.1 over a pool of connections is the default';
