-- +goose Up
-- Messages to people: see internal/mail. sealed_to is the address and sealed what the message says, both
-- under the master key; the latter is NULL once the message was sent or given up. recipient is a keyed
-- hash of the address. once_key names a message that there is one of.
CREATE TABLE mails (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    realm      TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    once_key   TEXT COLLATE "C" NOT NULL,
    recipient  BYTEA NOT NULL,
    sealed_to  BYTEA NOT NULL,
    sealed     BYTEA,
    state      TEXT COLLATE "C" NOT NULL,
    tries      BIGINT NOT NULL,
    error      TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    due_at     BIGINT,
    ends_at    BIGINT NOT NULL,
    done_at    BIGINT,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX mails_once ON mails (once_key);
CREATE INDEX mails_due ON mails (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX mails_by_recipient ON mails (recipient, created_at);
CREATE INDEX mails_by_realm ON mails (realm, created_at);
CREATE INDEX mails_by_end ON mails (expires_at);
-- Which keys end soon.
CREATE INDEX api_keys_by_end ON api_keys (expires_at) WHERE expires_at IS NOT NULL AND revoked_at IS NULL;
