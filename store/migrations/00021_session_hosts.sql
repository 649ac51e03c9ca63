-- +goose Up
-- The secrets by which hosts of the gateway know browser sessions: one at a time for a session and a host.
-- They end with the session.
CREATE TABLE session_hosts (
    realm       TEXT COLLATE "C" NOT NULL,
    session_id  TEXT COLLATE "C" NOT NULL,
    host        TEXT COLLATE "C" NOT NULL,
    secret_id   TEXT COLLATE "C" NOT NULL,
    secret_hash BYTEA NOT NULL,
    PRIMARY KEY (realm, session_id, host),
    FOREIGN KEY (realm, session_id) REFERENCES sessions (realm, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX session_hosts_by_secret ON session_hosts (secret_id);
