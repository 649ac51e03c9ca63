-- +goose Up
-- The version of the realm's terms that the person has accepted.
ALTER TABLE users ADD COLUMN terms_version TEXT COLLATE "C" NOT NULL DEFAULT '';
