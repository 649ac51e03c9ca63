-- +goose Up
-- Of which origins the pages are by which a client asks for tokens: a browser asks before it is known which client it is.
CREATE TABLE client_origins (
    realm  TEXT COLLATE "C" NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    client TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (realm, origin, client)
);
CREATE INDEX client_origins_client ON client_origins (realm, client);
