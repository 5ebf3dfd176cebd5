#!/usr/bin/env bash
# Makes a release: the bundle (README.md, "On other hosts"), its bill of materials and checksums.
#
#   bash deploy/release.sh [OUT]               build in build/dist, write into OUT (by default dist)
#   bash deploy/release.sh --build DIR OUT     pack what a build tree holds, as it is
#   bash deploy/release.sh --version           print the version, and end
#
# The version is git's: 0.1.0 at the tag v0.1.0, 0.1.0-12-gabcdef0 twelve commits later, ending in
# -dirty where files differ from the commit; 0.1.0-gabcdef0 before any tag. The programs state it
# (--version). OUT gets
#
#   bitquake-VERSION-linux-x86_64.tar.gz       the bundle
#   bitquake-VERSION-linux-x86_64.cdx.json     what is in it: CycloneDX 1.6 (deploy/sbom.py)
#   SHA256SUMS                                 of both, for sha256sum --check
#
# One build tree gives the same bytes each time: times are the commit's (or SOURCE_DATE_EPOCH). Paths
# of the build are kept out of the programs, so that another folder should give them too. Needs
# Debian 12 and what deploy/setup.sh installs.
set -euo pipefail
umask 022
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  printf 'release: error: %s\n' "$*" >&2
  exit 1
}

project_version() {
  sed -n 's/^project(bitquake VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt
}

version() {
  local project described
  project=$(project_version)
  [ -n "$project" ] || fail "CMakeLists.txt states no version"
  git rev-parse --quiet --verify HEAD >/dev/null || fail "no commit here: a release needs git's history"
  if described=$(git describe --tags --dirty --match 'v[0-9]*' 2>/dev/null); then
    described=${described#v}
    [[ $described == "$project" || $described == "$project"-* ]] ||
      fail "the tag says ${described%%-*}, CMakeLists.txt $project; make them agree"
    printf '%s\n' "$described"
  else
    printf '%s-g%s\n' "$project" "$(git describe --always --dirty --exclude '*')"
  fi
}

build=
case ${1:-} in
  --version) version && exit ;;
  --build) [ $# -eq 3 ] || fail "--build takes a build tree and where to write" && build=$2 && shift 2 ;;
  -*) fail "unknown argument '$1'" ;;
esac
[ $# -le 1 ] || fail "takes one folder to write into, and was given '$*'"
out=$(realpath -m -- "${1:-dist}")
[ ! -e "$out" ] || [ -z "$(ls -A "$out")" ] || fail "$out is not empty; name another folder"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

if [ -z "$build" ]; then
  build=build/dist
  stated=$(version)
  cmake --preset release -B "$build" -DBITQUAKE_VERSION="$stated" \
    -DCMAKE_CXX_FLAGS="-ffile-prefix-map=$PWD=."
  cmake --build "$build" --target bundle_programs --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
fi

staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
cpack --config "$build/CPackConfig.cmake" -B "$staging" >"$staging/log" || {
  cat "$staging/log" >&2
  fail "cpack could not pack $build"
}
archive=$(cd "$staging" && ls bitquake-*-linux-x86_64.tar.gz)
name=${archive%.tar.gz}
stated=${name#bitquake-}
stated=${stated%-linux-x86_64}
tar -xzf "$staging/$archive" -C "$staging"
# What was built may be older than what is stated.
printed=$("$staging/$name/bin/bitquake" version)
[[ $printed == *"$stated"* ]] || fail "the programs say '$printed', the build tree $stated; build again"
/usr/bin/python3 -I deploy/sbom.py "$staging/$name" "$stated" >"$staging/$name.cdx.json"

mkdir -p "$out"
mv "$staging/$archive" "$staging/$name.cdx.json" "$out"
(cd "$out" && sha256sum "$archive" "$name.cdx.json" >SHA256SUMS)
printf 'release: %s\n' "$out/$archive" "$out/$name.cdx.json" "$out/SHA256SUMS"
