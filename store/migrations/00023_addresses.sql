-- +goose Up
-- verified_email is the address of an account that its owner was shown to read: it says something only while it is
-- the account's (a node of the version before changes that one alone). new_email waits to be verified, and then
-- takes its place.
ALTER TABLE users ADD COLUMN verified_email TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN new_email TEXT COLLATE "C" NOT NULL DEFAULT '';
