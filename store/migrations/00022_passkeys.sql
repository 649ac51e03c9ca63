-- +goose Up
-- Passkeys and security keys of people: see package passkey. credential is the id that the authenticator
-- chose, of which there is one in all realms: they may share a host, to which passkeys belong. public_key is
-- a COSE_Key, with its algorithm in it. backup_eligible and backed_up are what the key said of itself.
CREATE TABLE passkeys (
    realm           TEXT COLLATE "C" NOT NULL,
    user_id         TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    name            TEXT COLLATE "C" NOT NULL,
    credential      BYTEA NOT NULL,
    public_key      BYTEA NOT NULL,
    sign_count      BIGINT NOT NULL,
    backup_eligible BOOLEAN NOT NULL,
    backed_up       BOOLEAN NOT NULL,
    aaguid          BYTEA NOT NULL,
    transports_json TEXT COLLATE "C",
    created_at      BIGINT NOT NULL,
    used_at         BIGINT,
    PRIMARY KEY (realm, user_id, id),
    FOREIGN KEY (realm, user_id) REFERENCES users (realm, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX passkeys_by_credential ON passkeys (credential);
