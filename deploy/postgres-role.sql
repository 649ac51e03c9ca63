-- The least that Gatehouse needs of PostgreSQL: a role that owns one schema in one
-- database, and nothing else. It owns the schema because it makes and migrates its
-- tables itself. Run once, in an empty database of encoding UTF8, as one who may
-- make roles:
--
--     createdb --encoding UTF8 --template template0 gatehouse
--     psql -d gatehouse -f postgres-role.sql
--     psql -d gatehouse -c '\password gatehouse'
--
-- Each node has up to 19 connections: 16 of the pool, one for the lock that keeps away
-- whoever needs the database for himself, one that hears what other nodes change, and one
-- on which it says that it is there. 80 is enough for three nodes and one that starts while
-- the server still sees the connections of its last start; more nodes need a higher limit.
CREATE ROLE gatehouse LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT CONNECTION LIMIT 80;

CREATE SCHEMA gatehouse AUTHORIZATION gatehouse;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO gatehouse', current_database());
    EXECUTE format('ALTER ROLE gatehouse IN DATABASE %I SET search_path = gatehouse', current_database());
END
$$;
