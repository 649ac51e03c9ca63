-- +goose Up
-- What people let clients have: see package grant. A code counts while the row stands by which it was given; id is another one each
-- time that it begins anew. Clients need not be registered, so they are not referred to.
CREATE TABLE consents (
    realm        TEXT COLLATE "C" NOT NULL,
    user_id      TEXT COLLATE "C" NOT NULL,
    client_id    TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    print        BYTEA NOT NULL,
    allowed_json TEXT COLLATE "C",
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (realm, user_id, client_id),
    FOREIGN KEY (realm, user_id) REFERENCES users (realm, id) ON DELETE CASCADE
);
CREATE INDEX consents_by_client ON consents (realm, client_id);
