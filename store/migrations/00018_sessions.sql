-- +goose Up
-- Browser sessions of people: see package session. A session is found by the public part of its secret, of
-- which there is one at a time. last_used_at is written in batches, some seconds late. expires_at is when
-- the session is over, which is its end once it has ended before.
CREATE TABLE sessions (
    realm        TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    user_id      TEXT COLLATE "C" NOT NULL,
    secret_id    TEXT COLLATE "C" NOT NULL,
    secret_hash  BYTEA NOT NULL,
    created_at   BIGINT,
    auth_time    BIGINT,
    amr_json     TEXT COLLATE "C",
    acr          TEXT COLLATE "C" NOT NULL,
    last_used_at BIGINT,
    expires_at   BIGINT,
    device_hash  BYTEA,
    address      TEXT COLLATE "C" NOT NULL,
    user_agent   TEXT COLLATE "C" NOT NULL,
    ended_at     BIGINT,
    end_reason   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (realm, id)
);
CREATE UNIQUE INDEX sessions_by_secret ON sessions (secret_id);
CREATE INDEX sessions_by_user ON sessions (realm, user_id, id);
CREATE INDEX sessions_by_end ON sessions (expires_at);
