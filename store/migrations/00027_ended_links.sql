-- +goose Up
-- A link with an account elsewhere that a panic of its user has ended opens nothing any more. It stays, so that
-- who is known by it is not made another account.
ALTER TABLE provider_links ADD COLUMN ended_at BIGINT;
