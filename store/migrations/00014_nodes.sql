-- +goose Up
-- The processes that share this database, each with one row that it writes about once a second, and
-- removes when it stops: see package internal/feed. seen_at is the database's clock at that moment, and
-- started_at the node's own. history and position are how far it has applied the feed; age is how old its
-- view was then. A node whose view is older than max_staleness answers no more by it; 0: it goes on. SQLite
-- leaves it empty.
CREATE TABLE nodes (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    host          TEXT COLLATE "C" NOT NULL,
    version       TEXT COLLATE "C" NOT NULL,
    addresses     TEXT COLLATE "C" NOT NULL,
    started_at    BIGINT NOT NULL,
    max_staleness BIGINT NOT NULL,
    seen_at       BIGINT NOT NULL,
    history       TEXT COLLATE "C" NOT NULL,
    position      TEXT COLLATE "C" NOT NULL,
    age           BIGINT NOT NULL
);
