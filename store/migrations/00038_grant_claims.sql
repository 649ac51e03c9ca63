-- +goose Up
-- The claims that a client asked for one by one (OpenID Connect Core §5.5): those of the ID token and of userinfo.
ALTER TABLE grants ADD COLUMN claims_json TEXT COLLATE "C";
