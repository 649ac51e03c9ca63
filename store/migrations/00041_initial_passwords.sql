-- +goose Up
-- When a password was set that somebody else than the person has made. It is one while password_at says the same, so that a node of
-- the version before, which does not know of it, ends it by setting another one.
ALTER TABLE users ADD COLUMN initial_at BIGINT;
