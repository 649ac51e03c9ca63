-- +goose Up
-- Of each person the salt of the key under which the record's personal data are sealed: see internal/personal.
-- It is made with the first event of the person, and goes with the account.
CREATE TABLE personal_salts (
    user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    realm   TEXT COLLATE "C" NOT NULL,
    salt    BYTEA NOT NULL,
    FOREIGN KEY (realm, user_id) REFERENCES users (realm, id) ON DELETE CASCADE
);
CREATE INDEX personal_salts_by_user ON personal_salts (realm, user_id);
