-- +goose Up
-- What people prove themselves with beside a password: see package factor. sealed is the secret of
-- an authenticator app, sealed under a key that is itself sealed under the master key; hashes_json
-- are the recovery codes that are left; step is the last step of the clock that was accepted.
CREATE TABLE factors (
    realm        TEXT COLLATE "C" NOT NULL,
    user_id      TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    sealed       BYTEA NOT NULL,
    hashes_json  TEXT COLLATE "C",
    step         BIGINT NOT NULL,
    created_at   BIGINT,
    confirmed_at BIGINT,
    used_at      BIGINT,
    version      BIGINT NOT NULL,
    PRIMARY KEY (realm, user_id, id),
    FOREIGN KEY (realm, user_id) REFERENCES users (realm, id) ON DELETE CASCADE
);
-- Whether the user has a factor that was confirmed, beside the password: a login asks this of the
-- user that it reads anyway. Changed in the transaction that changes the factors.
ALTER TABLE users ADD COLUMN second_factor BOOLEAN NOT NULL DEFAULT FALSE;
