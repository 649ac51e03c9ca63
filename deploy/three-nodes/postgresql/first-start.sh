#!/bin/bash
# In the container of the primary, at its first start: the roles, the database, and who may connect. The standby is not
# there yet, so nothing can wait for it.
set -euo pipefail
export PGOPTIONS='-c synchronous_commit=local' PGUSER=postgres
psql -v ON_ERROR_STOP=1 -v password="$(cat /run/secrets/replicator)" <<'SQL'
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'password';
CREATE DATABASE gatehouse ENCODING UTF8 TEMPLATE template0;
SQL
psql -v ON_ERROR_STOP=1 -d gatehouse -f /etc/gatehouse/postgres-role.sql
# The password stands in the address that the nodes are given, too.
psql -v ON_ERROR_STOP=1 -v password="$(cat /run/secrets/postgres)" <<'SQL'
ALTER ROLE gatehouse PASSWORD :'password';
SQL
echo 'host replication replicator 10.0.0.20/30 scram-sha-256' >>"$PGDATA/pg_hba.conf"
