-- +goose Up
-- One-time tickets: the hash of the text, and the credential that the ticket stands
-- for, sealed under the master key. A row goes when the ticket is used, or after its
-- end when another is given.
CREATE TABLE tickets (
    hash       BYTEA NOT NULL PRIMARY KEY,
    sealed     BYTEA NOT NULL,
    expires_at BIGINT
);
CREATE INDEX tickets_by_end ON tickets (expires_at);
