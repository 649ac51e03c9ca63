-- +goose Up
-- Clients that registered themselves have a token to change that by, of which the hash is kept.
ALTER TABLE clients ADD COLUMN registration_hash BYTEA;
-- Tokens by which clients register themselves.
CREATE TABLE initial_tokens (
    realm      TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    note       TEXT COLLATE "C" NOT NULL,
    hash       BYTEA NOT NULL UNIQUE,
    uses_left  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (realm, id)
);
