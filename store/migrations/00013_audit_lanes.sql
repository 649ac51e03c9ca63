-- +goose Up
-- PostgreSQL: what was appended to the audit log, counted in lanes, so that nobody waits
-- for the commit of others. A transaction that appends takes a lane which no other one
-- has at that moment. arrived is the place of its newest batch, by the database's clock.
CREATE TABLE audit_lanes (
    realm   TEXT COLLATE "C" NOT NULL,
    lane    BIGINT NOT NULL,
    stored  BIGINT NOT NULL,
    arrived BIGINT NOT NULL,
    PRIMARY KEY (realm, lane)
);

-- What the sequencer took out of each lane. What is stored, not taken and not there is
-- missing.
CREATE TABLE audit_taken (
    realm   TEXT COLLATE "C" NOT NULL,
    lane    BIGINT NOT NULL,
    batches BIGINT NOT NULL,
    PRIMARY KEY (realm, lane)
);
