#!/usr/bin/env bash
# Makes deploy/docker/credentials, the files that compose.yaml gives to its containers, each readable
# by the user of its container alone. As root:
#
#   bash deploy/docker/credentials.sh [--host NAME]... [--days N]
#
# Names are those by which clients call this host; workers call it `server`. Who submits from
# elsewhere gets ca.crt and submitter.token (or .crt and .key). --add and --revoke of
# deploy/make-credentials.sh work on the folder; then run this again with --lists.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
umask 077
if [ "$(id -u)" -ne 0 ]; then
  printf 'credentials: error: gives files to the users of containers, so run it as root\n' >&2
  exit 1
fi

# The server reads these two again whenever they change. Renamed into place: never half of one.
lists() {
  install -d -o 10001 -g 10001 -m 500 credentials/lists
  for list in tokens revoked; do
    install -o 10001 -g 10001 -m 400 "credentials/$list" "credentials/lists/$list.new"
    mv "credentials/lists/$list.new" "credentials/lists/$list"
  done
}

if [ "${1:-}" = --lists ]; then
  lists
  exit
fi
bash ../make-credentials.sh credentials --host server --host localhost --host "$(hostname)" "$@" >/dev/null
lists
chown 10001:10001 credentials/ca.crt credentials/server.{crt,key} credentials/worker.{crt,key}
install -o 65534 -g 65534 -m 400 credentials/viewer.token credentials/prometheus.token
openssl rand -hex 16 | install -o 472 -g 0 -m 400 /dev/stdin credentials/grafana.password
printf 'made %s\n' "$PWD/credentials"
