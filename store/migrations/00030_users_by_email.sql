-- +goose Up
-- Who makes an account by an e-mail address is told where there is one with it. Letter case makes no difference: of
-- ASCII, in which domains are, both databases know it.
CREATE INDEX users_by_email ON users (realm, lower(email)) WHERE email <> '';
