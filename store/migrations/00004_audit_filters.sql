-- +goose Up
-- What the events of neighbouring batches hold, for searches: see audit.SearchFilter.
-- Everything here can be made anew from audit_batches. A bits column of another
-- length than the program's own tells it nothing.
CREATE TABLE audit_filters (
    realm          TEXT COLLATE "C" NOT NULL,
    first_position BIGINT NOT NULL,
    last_position  BIGINT NOT NULL,
    event_count    BIGINT NOT NULL,
    min_time       BIGINT,
    max_time       BIGINT,
    bits           BYTEA NOT NULL,
    PRIMARY KEY (realm, first_position)
);
