-- +goose Up
-- The entry of an LDAP directory that an account belongs to (identity.User.DirectoryID); '' for one that is kept
-- here. An entry has one account in a realm.
ALTER TABLE users ADD COLUMN directory_id TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE UNIQUE INDEX users_by_directory_id ON users (realm, directory_id) WHERE directory_id <> '';
