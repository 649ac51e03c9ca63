-- +goose Up
-- What a token is bound to (RFC 7800): empty for a bearer token, else "jkt:" or "x5t:" and a thumbprint. That of a grant
-- binds its refresh tokens.
ALTER TABLE opaque_tokens ADD COLUMN cnf TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN cnf TEXT COLLATE "C" NOT NULL DEFAULT '';
