-- +goose Up
-- A key can be switched off and on, carry notes, and be bound to a number of uses
-- in a day and in a month (UTC; 0: not bound).
ALTER TABLE api_keys ADD COLUMN disabled_at BIGINT;
ALTER TABLE api_keys ADD COLUMN metadata_json TEXT COLLATE "C";
ALTER TABLE api_keys ADD COLUMN quota_day BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN quota_month BIGINT NOT NULL DEFAULT 0;
