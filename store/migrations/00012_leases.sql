-- +goose Up
-- Who does the work that one process at a time may do: see package internal/lease. The
-- epoch grows with each new holder. holder is '' when nobody has it; expires_at is by the
-- database's clock, NULL when the lease ends only by being released or taken.
CREATE TABLE leases (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder     TEXT COLLATE "C" NOT NULL,
    epoch      BIGINT NOT NULL,
    expires_at BIGINT
);
