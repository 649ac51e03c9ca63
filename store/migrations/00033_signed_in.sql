-- +goose Up
-- Whether an account has had a session in a browser: its first browser is no other one than before. Whoever is here already, and whom
-- a node of the version before adds, may have had one.
ALTER TABLE users ADD COLUMN signed_in BOOLEAN NOT NULL DEFAULT TRUE;
