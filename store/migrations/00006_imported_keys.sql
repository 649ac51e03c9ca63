-- +goose Up
-- Keys that another system made, known by their hash alone: presented, they are looked
-- up by it. prefix is how their text begins, for people.
ALTER TABLE api_keys ADD COLUMN imported BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE api_keys ADD COLUMN prefix TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE UNIQUE INDEX api_keys_by_imported ON api_keys (hash) WHERE imported;
CREATE INDEX api_keys_imported_in ON api_keys (realm) WHERE imported;
