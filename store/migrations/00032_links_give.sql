-- +goose Up
-- The roles and groups that an account has by a link with an account at a provider, as lists in JSON; NULL: none.
ALTER TABLE provider_links ADD COLUMN roles_json TEXT COLLATE "C";
ALTER TABLE provider_links ADD COLUMN groups_json TEXT COLLATE "C";
