-- +goose Up
-- The table of one-time tickets holds everything that can be used once: see package
-- once. Its name stays, and hash is its key: a node of the version before, which knows
-- tickets alone, goes on with it. Of other kinds, hash is that of kind and key.
ALTER TABLE tickets ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT 'ticket';
