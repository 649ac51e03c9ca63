-- +goose Up
-- Grants of tokens that were exchanged (RFC 8693): the one they came from, with which they end, and who acts by them.
ALTER TABLE grants ADD COLUMN parent_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN act_json TEXT COLLATE "C";
ALTER TABLE grants ADD COLUMN may_act TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX grants_by_parent ON grants (realm, parent_id) WHERE parent_id <> '';
