-- +goose Up
-- Browsers in which the account was known before are not known any more: its lost factors were replaced.
ALTER TABLE users ADD COLUMN devices_since BIGINT;
