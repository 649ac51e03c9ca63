-- +goose Up
-- Whoever finds a secret of a client can have it ended by it alone: anybody may ask, so it is found by an index.
CREATE INDEX clients_secret ON clients (secret_hash);
CREATE INDEX clients_former ON clients (former_hash);
