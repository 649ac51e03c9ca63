-- +goose Up
-- Two realms may take over one key: that it is in another one is nobody's business.
DROP INDEX api_keys_by_imported;
CREATE UNIQUE INDEX api_keys_by_imported ON api_keys (hash, realm) WHERE imported;
