# Starts Postgres from any image that has its programs: makes the database the first time, and gives
# the role the Secret's password every time, so that a new Secret never locks the operator out.
set -eu

PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')
new=$PGDATA.new

# After a kill the lock file still names this shell's process id: it is no other Postgres.
export PG_GRANDPARENT_PID=$$

single() {
  postgres --single -j -D "$PGDATA" -c config_file=/etc/haizen/postgresql.conf postgres >/dev/null
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # Under another name until it is whole: an interrupted start leaves nothing that looks like a database.
  rm -rf "$new"
  initdb --pgdata="$new" --username=postgres --encoding=UTF8 --locale=C --auth=trust --no-instructions
  rm -rf "$PGDATA"
  mv "$new" "$PGDATA"
fi

# -j: a statement ends with a semicolon and an empty line.
password=$(printf %s "$POSTGRES_PASSWORD" | sed "s/'/''/g")
printf "%s;\n\n" \
  "DO \$\$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'haizen') THEN CREATE ROLE haizen LOGIN; END IF; END \$\$" \
  "ALTER ROLE haizen PASSWORD '$password'" | single
if [ ! -e "$PGDATA/haizen.created" ]; then
  # Refused by Postgres if it is there already.
  printf "%s;\n\n" "CREATE DATABASE haizen OWNER haizen" | single
  touch "$PGDATA/haizen.created"
fi

exec postgres -D "$PGDATA" -c config_file=/etc/haizen/postgresql.conf
