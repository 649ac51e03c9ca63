-- +goose Up
-- Clients that were told of a session by an ID token, and are to be told of its end: see package oauth/logout. due_at is when they are
-- told: the session's own end, until somebody ends it before; then that of the next try. ends_at is when that is given up. Sessions and
-- users are not referred to: their end is what this is about.
CREATE TABLE session_clients (
    realm      TEXT COLLATE "C" NOT NULL,
    session_id TEXT COLLATE "C" NOT NULL,
    client_id  TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    tries      BIGINT NOT NULL,
    due_at     BIGINT,
    ends_at    BIGINT NOT NULL,
    PRIMARY KEY (realm, session_id, client_id)
);
CREATE INDEX session_clients_due ON session_clients (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX session_clients_by_user ON session_clients (realm, user_id);
CREATE INDEX session_clients_by_client ON session_clients (realm, client_id);
