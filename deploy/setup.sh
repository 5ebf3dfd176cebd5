#!/usr/bin/env bash
# Installs what Bitquake is built from, where it is missing, and checks all of it.
#
#   bash deploy/setup.sh
#
# Debian's packages by apt-get, and two wheels of PyPI: LibTorch into
# ${BITQUAKE_LIBTORCH:-${XDG_CACHE_HOME:-$HOME/.cache}/bitquake/libtorch-2.11.0}, and beside it
# plotly.js, which the report embeds. Needs no GPU. Does nothing, in a second or two, when nothing is
# missing. Exit code: 0 if all is there, else 1.
set -euo pipefail
export LC_ALL=C  # one order for sort and comm, and messages that are looked for as written

readonly torch_version=2.11.0
readonly plotly_version=7.1.0
readonly packages=(
  ca-certificates ccache chromium-headless-shell clang cmake docker-compose dpkg-dev faketime fish g++ git
  iproute2 libabsl-dev libarchive-dev libboost-dev libcivetweb-dev libclang-rt-14-dev libcli11-dev
  libgmock-dev libgrpc++-dev libgtest-dev libjpeg62-turbo-dev libpng-dev libprotobuf-dev libre2-dev
  libspdlog-dev libsqlite3-dev libssl-dev libxxhash-dev libyaml-cpp-dev mandoc mold munge
  ninja-build nlohmann-json3-dev openssl pkg-config prometheus prometheus-cpp-dev protobuf-compiler
  protobuf-compiler-grpc python3 python3-grpcio python3-numpy python3-pandas python3-pip
  python3-protobuf python3-pytest python3-venv slurm-wlm sqlite3 systemd systemd-container
  zsh
)
# The system's own interpreter: another one earlier on the PATH may lack pip.
readonly python=(/usr/bin/python3 -I)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
staging=
trap '[ -z "$staging" ] || rm -rf "$staging"' EXIT

say() { printf 'setup: %s\n' "$*"; }
warn() { printf 'setup: warning: %s\n' "$*" >&2; }
fail() {
  printf 'setup: error: %s\n' "$*" >&2
  exit 1
}

check_system() {
  local machine name=unknown
  machine=$(uname -m)
  [ "$machine" = x86_64 ] || fail "runs on x86_64 only; this machine is $machine"
  if [ -r /etc/os-release ]; then
    # shellcheck source=/dev/null
    name=$(. /etc/os-release && printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-}")
  fi
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    fail "needs Debian 12, and this is $name without apt-get; use a debian:12 container, or" \
      "install the counterparts of these packages and build with CMake: ${packages[*]}"
  fi
  if [ "$name" != "debian 12" ]; then
    warn "made for Debian 12, and this is $name: package names and versions may differ; going on"
  fi
}

# The packages of our list that are not installed, one a line.
missing_packages() {
  local installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
    sed -n 's/^installed //p' | sort -u) || true
  comm -23 <(printf '%s\n' "${packages[@]}" | sort -u) <(printf '%s\n' "$installed")
}

install_packages() {
  local missing as_root=()
  mapfile -t missing < <(missing_packages)
  if [ ${#missing[@]} -eq 0 ]; then
    say "all ${#packages[@]} Debian packages are installed"
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      fail "not root, and no sudo; as root, run: apt-get install --no-install-recommends" \
        "${missing[*]}"
    as_root=(sudo)
  fi
  local service
  for service in prometheus munge; do
    if [[ " ${missing[*]} " == *" $service "* && -d /run/systemd/system ]]; then
      say "masking $service.service: the tests call the program, and it should not serve here by" \
        "itself; to have it do so, systemctl unmask $service.service"
      "${as_root[@]}" systemctl --quiet mask "$service.service"
    fi
  done
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
  "${as_root[@]}" update || warn "apt-get update failed; trying with the package lists as they are"
  "${as_root[@]}" install --no-install-recommends "${missing[@]}" ||
    fail "apt-get could not install: ${missing[*]}; mend what it says above, run this again"
}

cache_folder() {
  [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] || fail "HOME is not set; set it, or XDG_CACHE_HOME"
  printf '%s' "${XDG_CACHE_HOME:-$HOME/.cache}/bitquake"
}

libtorch_folder() {
  local folder=${BITQUAKE_LIBTORCH:-}
  [ -n "$folder" ] || folder=$(cache_folder)/libtorch-$torch_version
  [[ $folder == /* ]] || fail "BITQUAKE_LIBTORCH must be an absolute path, and is '$folder'"
  printf '%s' "$folder"
}

has_libtorch() {
  [ -f "$1/torch/lib/libtorch_cpu.so" ] && [ -d "$1/torch-$torch_version.dist-info" ]
}

has_plotly() {
  [ -f "$1/plotly/package_data/plotly.min.js" ] && [ -d "$1/plotly-$plotly_version.dist-info" ]
}

# install_wheels NAME FOLDER HAS REQUIREMENTS HOW_MUCH: into a folder beside the final one, then one
# rename: what stands at the final name is complete.
install_wheels() {
  local name=$1 folder=$2 has=$3 requirements=$4 how_much=$5
  if "$has" "$folder"; then
    say "$name is in $folder"
    return
  fi
  if [ -e "$folder" ] && [ -n "$(ls -A "$folder")" ]; then
    fail "$folder holds no $name, and is not empty; remove it, or name another folder" \
      "(BITQUAKE_LIBTORCH for LibTorch, XDG_CACHE_HOME)"
  fi
  say "installing $name into $folder ($how_much)"
  mkdir -p "$(dirname "$folder")"
  staging=$(mktemp -d "$folder.partial.XXXXXX")
  mkdir "$staging/tmp"
  # The Python version is pinned with the hash: no Python code of the wheels is used.
  TMPDIR=$staging/tmp "${python[@]}" -m pip --quiet --no-input --disable-pip-version-check \
    install --root-user-action=ignore --no-deps --no-cache-dir --no-compile \
    --only-binary=:all: --python-version 3.11 \
    --require-hashes --requirement "$here/$requirements" --target "$staging/wheels" ||
    fail "pip could not install $name; mend what it says above, run this again"
  chmod 755 "$staging/wheels"
  if ! mv -T "$staging/wheels" "$folder" 2>/dev/null && ! "$has" "$folder"; then
    fail "cannot rename $staging/wheels to $folder"
  fi
  rm -rf "$staging"
  staging=
}

# require NAME FOUND MINIMUM: complains if FOUND is below MINIMUM, and remembers.
complaints=0
complain() {
  printf 'setup: error: %s\n' "$*" >&2
  complaints=$((complaints + 1))
}
require() {
  if [ -z "$2" ]; then
    complain "$1 does not run; reinstall its Debian package"
  elif [ "$(printf '%s\n' "$3" "$2" | sort -V | head -n 1)" != "$3" ]; then
    complain "$1 is $2, and must be at least $3; put a newer one first on the PATH"
  fi
}

check_tools() {
  local protoc protobuf
  require g++ "$(g++ -dumpfullversion 2>/dev/null || true)" 12
  require cmake "$(cmake --version 2>/dev/null | sed -n 's/^cmake version //p' || true)" 3.25
  require gRPC "$(pkg-config --modversion grpc++ 2>/dev/null || true)" 1.51
  protoc=$(protoc --version 2>/dev/null | sed -n 's/^libprotoc //p' || true)
  protobuf=$(pkg-config --modversion protobuf 2>/dev/null || true)
  require protoc "$protoc" 3.21
  if [ "$protoc" != "$protobuf" ]; then
    complain "protoc is $protoc and libprotobuf is $protobuf; they must be the same: let the PATH" \
      "find Debian's protoc"
  fi
  command -v grpc_cpp_plugin >/dev/null ||
    complain "grpc_cpp_plugin is not on the PATH; reinstall protobuf-compiler-grpc"
}

check_libtorch() {
  local library=$1/torch/lib/libtorch_cpu.so problem
  if ! has_libtorch "$1"; then
    complain "LibTorch $torch_version is not in $1; remove that folder, run this again"
  elif ! problem=$("${python[@]}" -c 'import ctypes, sys
try:
  ctypes.CDLL(sys.argv[1])
except OSError as error:
  sys.exit(str(error))' "$library" 2>&1); then
    complain "$library does not load ($problem); remove $1, run this again"
  fi
}

check_plotly() {
  has_plotly "$1" ||
    complain "plotly.js $plotly_version is not in $1; remove that folder, run this again"
}

print_versions() {
  {
    dpkg-query -W -f '${Package} ${Version}\n' "${packages[@]}" 2>/dev/null || true
    sed -n 's/^\([a-z-]*\)==\([0-9.]*\) .*/\1 \2/p' "$here"/*-requirements.txt
  } | awk '{ printf "%-22.22s %-24.24s%s", $1, $2, NR % 2 ? "  " : "\n" }
           END { if (NR % 2) print "" }'
}

main() {
  [ $# -eq 0 ] || fail "takes no arguments, and was given '$*'"
  local libtorch plotly missing
  check_system
  libtorch=$(libtorch_folder)
  install_packages
  install_wheels "LibTorch $torch_version" "$libtorch" has_libtorch libtorch-requirements.txt \
    "0.5 GB to fetch, 1.2 GB on disk"
  plotly=$(cache_folder)/plotly-$plotly_version
  install_wheels "plotly.js $plotly_version" "$plotly" has_plotly plotly-requirements.txt \
    "10 MB to fetch"

  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] || complain "still not installed: ${missing[*]}"
  check_tools
  check_libtorch "$libtorch"
  check_plotly "$plotly"
  print_versions
  [ "$complaints" -eq 0 ] || fail "$complaints of the checks failed; see above"
  say "ready to build"
}

main "$@"
