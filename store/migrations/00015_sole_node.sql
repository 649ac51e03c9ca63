-- +goose Up
-- The node that may go on while the database is away, because nobody else is there: see package
-- internal/staleness. One row, whose node is '' when there is none. host and home are the machine and the
-- data directory of its process. bound is how many microseconds it goes on after contact, -1 without end;
-- contact is the database's clock when it was last confirmed. SQLite leaves it empty.
CREATE TABLE sole_node (
    one     BIGINT NOT NULL PRIMARY KEY,
    node    TEXT COLLATE "C" NOT NULL,
    host    TEXT COLLATE "C" NOT NULL,
    home    TEXT COLLATE "C" NOT NULL,
    bound   BIGINT NOT NULL,
    contact BIGINT NOT NULL
);
