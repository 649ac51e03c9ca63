-- +goose Up
-- When everything of a realm was last ended at once (a panic), NULL for never: whatever is enabled again,
-- no password that was set, no key that was made and no token that was issued at or before it is good.
ALTER TABLE realms ADD COLUMN cut_off_at BIGINT;
-- What a node answers to what others have asked with a row of the feed, in JSON by the row's xid; '' is nothing.
ALTER TABLE nodes ADD COLUMN answers TEXT COLLATE "C" NOT NULL DEFAULT '';
