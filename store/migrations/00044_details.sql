-- +goose Up
-- What was given beyond scopes (RFC 9396): to a grant, and to an opaque token of it.
ALTER TABLE grants ADD COLUMN details_json TEXT COLLATE "C";
ALTER TABLE opaque_tokens ADD COLUMN details_json TEXT COLLATE "C";
