-- +goose Up
-- What each transaction changed, for the other nodes on the same PostgreSQL. A row without
-- changes is a heartbeat. Package internal/feed writes and reads it; SQLite leaves it empty.
CREATE TABLE feed (
    xid        BIGINT NOT NULL PRIMARY KEY,
    node       TEXT COLLATE "C" NOT NULL,
    written_at BIGINT NOT NULL,
    changes    TEXT COLLATE "C"
);

-- One row: the snapshot up to which rows may have been removed.
CREATE TABLE feed_floor (
    one      BIGINT NOT NULL PRIMARY KEY,
    snapshot TEXT COLLATE "C" NOT NULL
);
