-- +goose Up
-- The directory says that the account's entry is gone or disabled, and disabled is set because of that alone.
ALTER TABLE users ADD COLUMN directory_out BOOLEAN NOT NULL DEFAULT FALSE;
