-- +goose Up
-- What was removed from the beginning of a realm's log: see audit.Removal.
CREATE TABLE audit_removals (
    realm      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    size       BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    removed_at BIGINT NOT NULL,
    before     BIGINT NOT NULL,
    note       BYTEA NOT NULL
);
