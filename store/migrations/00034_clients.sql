-- +goose Up
-- Programs that may ask for tokens: see package oauth/client. Of a secret the hash is kept; former_hash is the one
-- before it, which counts until former_until.
CREATE TABLE clients (
    realm         TEXT COLLATE "C" NOT NULL,
    id            TEXT COLLATE "C" NOT NULL,
    metadata_json TEXT COLLATE "C" NOT NULL,
    secret_hash   BYTEA NOT NULL,
    secret_at     BIGINT NOT NULL,
    secret_until  BIGINT,
    former_hash   BYTEA,
    former_at     BIGINT,
    former_until  BIGINT,
    disabled      BOOLEAN NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    version       BIGINT NOT NULL,
    PRIMARY KEY (realm, id)
);
