-- +goose Up
-- Signing in by accounts elsewhere: see package provider. provider is the ID of a provider in the realm's
-- settings, subject what its issuer knows somebody by; nothing else finds an account. Client secrets are no
-- settings: they are sealed, each for one issuer and client.
CREATE TABLE provider_links (
    realm      TEXT COLLATE "C" NOT NULL,
    provider   TEXT COLLATE "C" NOT NULL,
    issuer     TEXT COLLATE "C" NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT,
    PRIMARY KEY (realm, provider, issuer, subject),
    FOREIGN KEY (realm, user_id) REFERENCES users (realm, id) ON DELETE CASCADE
);
CREATE INDEX provider_links_by_user ON provider_links (realm, user_id);
CREATE TABLE provider_secrets (
    realm    TEXT COLLATE "C" NOT NULL,
    provider TEXT COLLATE "C" NOT NULL,
    sealed   BYTEA NOT NULL,
    set_at   BIGINT NOT NULL,
    PRIMARY KEY (realm, provider)
);
