#!/bin/bash
# In the container of the standby: a copy of the primary at the first start, then PostgreSQL.
set -euo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  install -d -o postgres -g postgres -m 0700 "$PGDATA"
  export PGPASSWORD; PGPASSWORD=$(cat /run/secrets/replicator)
  gosu postgres pg_basebackup -d 'host=10.0.0.21 user=replicator application_name=db2' -D "$PGDATA" -X stream -R
fi
exec docker-entrypoint.sh "$@"
