-- +goose Up
-- The signed copy of each status list that has revocations and that somebody asked for, so that
-- all processes give out the same one: see oauth/endpoint. serial grows with each copy, and a new
-- one takes the place of the copy with the serial before it, of no other.
CREATE TABLE status_lists (
    realm      TEXT COLLATE "C" NOT NULL,
    list       BIGINT NOT NULL,
    serial     BIGINT NOT NULL,
    kid        TEXT COLLATE "C" NOT NULL,
    signed_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    text       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (realm, list)
);
CREATE INDEX status_lists_expire ON status_lists (expires_at);
