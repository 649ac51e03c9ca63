-- +goose Up
-- When everything of a realm was last ended at once (a panic), NULL for never: whatever is enabled again,
-- no password that was set, no key that was made and no token that was issued at or before it is good.
ALTER TABLE realms ADD COLUMN cut_off_at BIGINT;
