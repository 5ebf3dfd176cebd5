#!/usr/bin/env bash
# Makes what a Bitquake server and its callers need for TLS: a certificate authority (CA), the
# server's certificate, and for each role a client certificate and a token.
#
#   bash deploy/make-credentials.sh DIR [--host NAME]... [--days N]          all of it, in a new DIR
#   bash deploy/make-credentials.sh DIR --add ROLE NAME [--days N]           one caller more
#   bash deploy/make-credentials.sh DIR --revoke NAME                        its token and certificate
#
# ROLE is viewer (reads), submitter (submits, pauses, resumes, cancels, reads) or worker. --host names
# what clients call the server: host names and IP addresses; by default this host, localhost and
# 127.0.0.1. Credentials last --days (365; the CA ten years). A running server takes what is added or
# revoked at the next call. Give each caller ca.crt and its own .crt, .key and .token; DIR itself
# stays with the server's keeper, ca.key best off the server. Exit code: 0 if done, else 1.
set -Eeuo pipefail
trap 'printf "make-credentials: error: line %s failed; is the disk full, or openssl older than 3.0?\n" "$LINENO" >&2' ERR
umask 077
export LC_ALL=C

fail() {
  printf 'make-credentials: error: %s\n' "$*" >&2
  exit 1
}

# Signs a new P-256 key: NAME, SUBJECT ALTERNATIVE NAMES, EXTENDED USE.
make_certificate() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
    -keyout "$dir/$1.key" -out "$dir/$1.csr" 2>/dev/null
  openssl x509 -req -in "$dir/$1.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" \
    -set_serial "0x$(openssl rand -hex 16)" -days "$days" -sha256 -out "$dir/$1.crt" 2>/dev/null \
    -extfile <(printf '%s\n' "subjectAltName=$2" "extendedKeyUsage=$3" "basicConstraints=CA:FALSE" \
      "keyUsage=digitalSignature")
  rm "$dir/$1.csr"
}

make_ca() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 \
    -subj "/CN=Bitquake CA" -addext "basicConstraints=critical,CA:TRUE" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$dir/ca.key" -out "$dir/ca.crt" 2>/dev/null
}

# A certificate and a token for NAME in ROLE. The token is only ever in its file: printf and read are
# the shell's own, so that no process list shows it.
add_caller() {
  local role=$1 name=$2 token digest
  case $role in viewer | submitter | worker) ;; *) fail "'$role' is no role: viewer, submitter or worker" ;; esac
  [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || fail "'$name' is no name: letters, digits and . _ - only"
  case $name in ca | server | tokens | revoked) fail "'$name' is the name of another file there; choose another" ;; esac
  [ ! -e "$dir/$name.crt" ] || fail "$dir/$name.crt is there already; revoke it first, or choose another name"
  make_certificate "$name" "URI:bitquake:role:$role" clientAuth
  token=$(openssl rand -hex 32)
  digest=$(printf '%s' "$token" | sha256sum)
  printf '%s\n' "$token" >"$dir/$name.token"
  { cat "$dir/tokens" && printf '%s %s %s %s\n' "$role" "$name" \
    "$(date -u -d "+$days days" +%Y-%m-%dT%H:%M:%SZ)" "${digest%% *}"; } >"$dir/tokens.new"
  mv "$dir/tokens.new" "$dir/tokens"
}

revoke() {
  local name=$1 fingerprint
  [ -e "$dir/$name.crt" ] || fail "$dir/$name.crt: no such certificate"
  fingerprint=$(openssl x509 -in "$dir/$name.crt" -noout -fingerprint -sha256)
  { cat "$dir/revoked" && printf '%s  # %s\n' "${fingerprint#*=}" "$name"; } >"$dir/revoked.new"
  awk -v name="$name" '$2 != name' "$dir/tokens" >"$dir/tokens.new"
  mv "$dir/revoked.new" "$dir/revoked"
  mv "$dir/tokens.new" "$dir/tokens"
  rm "$dir/$name.crt" "$dir/$name.key" "$dir/$name.token"
  printf 'revoked %s; its files are gone from %s\n' "$name" "$dir"
}

print_commands() {
  local d
  d=$(printf %q "$dir")
  cat <<END
Server (leave out --tls-client-ca and --tls-revoked to take tokens only, --tokens certificates only):
  bitquake-server --listen 0.0.0.0:50551 --tls-cert $d/server.crt --tls-key $d/server.key --tls-client-ca $d/ca.crt --tls-revoked $d/revoked --tokens $d/tokens
A worker, with its certificate, or with its token:
  bitquake-worker --server ${hosts[0]}:50551 --tls-ca $d/ca.crt --tls-cert $d/worker.crt --tls-key $d/worker.key
  bitquake-worker --server ${hosts[0]}:50551 --tls-ca $d/ca.crt --token-file $d/worker.token
A client, with a certificate, or with a token (viewer.* only reads):
  bitquake submit FILE --server ${hosts[0]}:50551 --tls-ca $d/ca.crt --tls-cert $d/submitter.crt --tls-key $d/submitter.key
  bitquake submit FILE --server ${hosts[0]}:50551 --tls-ca $d/ca.crt --token-file $d/submitter.token
END
}

if [ $# -eq 0 ] || [[ $1 == -* ]]; then
  fail "say where: bash deploy/make-credentials.sh DIR [--host NAME]..."
fi
command -v openssl >/dev/null || fail "openssl is missing; install it"
dir=$1
shift
days=365
hosts=()
action='make'
while [ $# -gt 0 ]; do
  case $1 in
    --host) hosts+=("${2:?--host needs a name}") && shift 2 ;;
    --days) days=${2:?--days needs a number} && shift 2 ;;
    --add) action=add role=${2:?--add needs a role} name=${3:?--add ROLE needs a name} && shift 3 ;;
    --revoke) action=revoke name=${2:?--revoke needs a name} && shift 2 ;;
    *) fail "unknown argument '$1'" ;;
  esac
done
[[ $days =~ ^[1-9][0-9]*$ ]] || fail "--days '$days' is not a positive number"

if [ "$action" != make ]; then
  [ -e "$dir/ca.key" ] || fail "$dir/ca.key is missing; first make credentials there"
  if [ "$action" = add ]; then
    add_caller "$role" "$name"
    printf 'made %s\n' "$dir/$name".{crt,key,token}
  else
    revoke "$name"
  fi
  exit 0
fi

if [ -d "$dir" ] && [ -n "$(ls -A "$dir")" ]; then
  fail "$dir is not empty; name a new folder, or --add or --revoke a caller"
fi
mkdir -p "$dir"
chmod 700 "$dir"
[ ${#hosts[@]} -gt 0 ] || hosts=("$(hostname)" localhost 127.0.0.1)
names=
for host in "${hosts[@]}"; do
  [[ $host =~ ^[A-Za-z0-9.:*-]+$ ]] || fail "'$host' is no host name or address"
  if [[ $host =~ ^[0-9.]+$ || $host == *:* ]]; then
    names+=",IP:$host"
  else
    names+=",DNS:$host"
  fi
done
make_ca
make_certificate server "${names#,}" serverAuth
printf '# ROLE NAME EXPIRES SHA256\n' >"$dir/tokens"
printf '# SHA-256 fingerprints of certificates\n' >"$dir/revoked"
for role in viewer submitter worker; do
  add_caller "$role" "$role"
done
print_commands
