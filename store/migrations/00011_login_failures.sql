-- +goose Up
-- Failed attempts at passwords, as far as they bound further ones: see identity.Failures.
-- account is a keyed hash, of a user name or of one and a network.
CREATE TABLE login_failures (
    account    BYTEA NOT NULL PRIMARY KEY,
    state      BYTEA NOT NULL,
    expires_at BIGINT,
    version    BIGINT NOT NULL
);
CREATE INDEX login_failures_by_end ON login_failures (expires_at);
