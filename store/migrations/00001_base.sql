-- +goose Up
-- Written in PostgreSQL's types; see migrate.go for how SQLite reads it.
-- Times are microseconds since 1970 UTC, NULL for the zero time. Columns named
-- *_json hold JSON that no query looks into, NULL for a nil slice or map.
-- Every text column has the "C" collation: keyset pages come out in the same
-- order on both databases.

CREATE TABLE realms (
    name          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    title         TEXT COLLATE "C" NOT NULL,
    disabled      BOOLEAN NOT NULL,
    created_at    BIGINT,
    updated_at    BIGINT,
    settings_json TEXT COLLATE "C" NOT NULL
);

CREATE TABLE users (
    realm           TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    kind            TEXT COLLATE "C" NOT NULL,
    username        TEXT COLLATE "C" NOT NULL,
    username_key    TEXT COLLATE "C" NOT NULL,
    display_name    TEXT COLLATE "C" NOT NULL,
    email           TEXT COLLATE "C" NOT NULL,
    roles_json      TEXT COLLATE "C",
    groups_json     TEXT COLLATE "C",
    attributes_json TEXT COLLATE "C",
    password_hash   TEXT COLLATE "C" NOT NULL,
    password_at     BIGINT,
    disabled        BOOLEAN NOT NULL,
    created_at      BIGINT,
    updated_at      BIGINT,
    version         BIGINT NOT NULL,
    PRIMARY KEY (realm, id)
);
CREATE UNIQUE INDEX users_by_key ON users (realm, username_key);

CREATE TABLE api_keys (
    id                TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    realm             TEXT COLLATE "C" NOT NULL,
    name              TEXT COLLATE "C" NOT NULL,
    hash              BYTEA NOT NULL,
    owner_id          TEXT COLLATE "C" NOT NULL,
    scopes_json       TEXT COLLATE "C",
    role_limit_json   TEXT COLLATE "C",
    environment       TEXT COLLATE "C" NOT NULL,
    allowed_nets_json TEXT COLLATE "C",
    created_at        BIGINT,
    expires_at        BIGINT,
    revoked_at        BIGINT,
    leaked_at         BIGINT,
    rotated_to        TEXT COLLATE "C" NOT NULL,
    last_used_at      BIGINT,
    version           BIGINT NOT NULL
);
CREATE INDEX api_keys_by_realm ON api_keys (realm, id);
CREATE INDEX api_keys_by_owner ON api_keys (realm, owner_id, id);

CREATE TABLE key_usage (
    key_id       TEXT COLLATE "C" NOT NULL,
    day          TEXT COLLATE "C" NOT NULL,
    realm        TEXT COLLATE "C" NOT NULL,
    uses         BIGINT NOT NULL,
    last_used_at BIGINT,
    PRIMARY KEY (key_id, day)
);

CREATE TABLE opaque_tokens (
    hash          BYTEA NOT NULL PRIMARY KEY,
    id            TEXT COLLATE "C" NOT NULL,
    realm         TEXT COLLATE "C" NOT NULL,
    grant_id      TEXT COLLATE "C" NOT NULL,
    subject       TEXT COLLATE "C" NOT NULL,
    scopes_json   TEXT COLLATE "C",
    audience_json TEXT COLLATE "C",
    issued_at     BIGINT,
    expires_at    BIGINT
);
CREATE INDEX opaque_tokens_by_end ON opaque_tokens (expires_at);

CREATE TABLE roles (
    realm            TEXT COLLATE "C" NOT NULL,
    name             TEXT COLLATE "C" NOT NULL,
    description      TEXT COLLATE "C" NOT NULL,
    parents_json     TEXT COLLATE "C",
    permissions_json TEXT COLLATE "C",
    updated_at       BIGINT,
    PRIMARY KEY (realm, name)
);

CREATE TABLE policies (
    realm      TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    body       TEXT COLLATE "C" NOT NULL,
    disabled   BOOLEAN NOT NULL,
    updated_at BIGINT,
    PRIMARY KEY (realm, id)
);

CREATE TABLE policy_schemas (
    realm      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    body       TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT
);

CREATE TABLE entities (
    realm           TEXT COLLATE "C" NOT NULL,
    type            TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    attributes_json TEXT COLLATE "C",
    parents_json    TEXT COLLATE "C",
    updated_at      BIGINT,
    PRIMARY KEY (realm, type, id)
);

CREATE TABLE signing_keys (
    realm        TEXT COLLATE "C" NOT NULL,
    kid          TEXT COLLATE "C" NOT NULL,
    algorithm    TEXT COLLATE "C" NOT NULL,
    public_jwk   BYTEA,
    private      BYTEA,
    state        TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT,
    activated_at BIGINT,
    retired_at   BIGINT,
    version      BIGINT NOT NULL,
    PRIMARY KEY (realm, kid)
);

CREATE TABLE grants (
    realm         TEXT COLLATE "C" NOT NULL,
    id            TEXT COLLATE "C" NOT NULL,
    subject       TEXT COLLATE "C" NOT NULL,
    client_id     TEXT COLLATE "C" NOT NULL,
    session_id    TEXT COLLATE "C" NOT NULL,
    scopes_json   TEXT COLLATE "C",
    audience_json TEXT COLLATE "C",
    auth_time     BIGINT,
    amr_json      TEXT COLLATE "C",
    acr           TEXT COLLATE "C" NOT NULL,
    status_list   BIGINT NOT NULL,
    status_index  BIGINT NOT NULL,
    created_at    BIGINT,
    expires_at    BIGINT,
    ended_at      BIGINT,
    end_reason    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (realm, id)
);
CREATE INDEX grants_by_subject ON grants (realm, subject, id);
CREATE INDEX grants_by_end ON grants (expires_at);
-- Two grants with one place in the status lists would end together.
CREATE UNIQUE INDEX grants_by_status ON grants (realm, status_list, status_index);

CREATE TABLE refresh_tokens (
    hash       BYTEA NOT NULL PRIMARY KEY,
    realm      TEXT COLLATE "C" NOT NULL,
    grant_id   TEXT COLLATE "C" NOT NULL,
    sequence   BIGINT NOT NULL,
    issued_at  BIGINT,
    expires_at BIGINT,
    used_at    BIGINT,
    FOREIGN KEY (realm, grant_id) REFERENCES grants (realm, id) ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (realm, grant_id);

CREATE TABLE status_bits (
    realm      TEXT COLLATE "C" NOT NULL,
    list       BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (realm, list, position)
);
CREATE INDEX status_bits_by_end ON status_bits (expires_at);

CREATE TABLE cutoffs (
    realm      TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    before_at  BIGINT,
    expires_at BIGINT,
    PRIMARY KEY (realm, kind, id)
);
CREATE INDEX cutoffs_by_end ON cutoffs (expires_at);

CREATE TABLE settings (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

-- One row per realm: the position of its newest batch. Whoever raises it holds
-- the row until the commit, so positions become visible in their own order.
CREATE TABLE audit_positions (
    realm    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

CREATE TABLE audit_batches (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    realm       TEXT COLLATE "C" NOT NULL,
    position    BIGINT NOT NULL,
    first_index BIGINT NOT NULL,
    event_count BIGINT NOT NULL,
    min_time    BIGINT NOT NULL,
    max_time    BIGINT NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    actor_id    TEXT COLLATE "C" NOT NULL,
    target_id   TEXT COLLATE "C" NOT NULL,
    data        BYTEA NOT NULL
);
CREATE UNIQUE INDEX audit_batches_by_position ON audit_batches (realm, position);
CREATE UNIQUE INDEX audit_batches_by_index ON audit_batches (realm, first_index) WHERE first_index >= 0;
CREATE INDEX audit_batches_waiting ON audit_batches (realm, position) WHERE first_index < 0;
CREATE INDEX audit_batches_by_time ON audit_batches (realm, max_time, min_time);

CREATE TABLE audit_tiles (
    realm TEXT COLLATE "C" NOT NULL,
    level BIGINT NOT NULL,
    n     BIGINT NOT NULL,
    width BIGINT NOT NULL,
    data  BYTEA NOT NULL,
    PRIMARY KEY (realm, level, n)
);

CREATE TABLE audit_checkpoints (
    realm     TEXT COLLATE "C" NOT NULL,
    size      BIGINT NOT NULL,
    signed_at BIGINT NOT NULL,
    note      BYTEA NOT NULL,
    PRIMARY KEY (realm, size)
);
