#!/usr/bin/env bash
# Installs what is missing (setup.sh), configures a preset and builds it into build/PRESET.
#
#   bash deploy/build.sh [PRESET [TARGET...]]
#
# PRESET: release (the default), debug, asan or tsan, as in CMakePresets.json. Without a TARGET, all
# are built. The tests and the demo share build/release, configured alike: only the targets differ.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=${1:-release}
targets=()
[ $# -le 1 ] || targets=(--target "${@:2}")

# step NAME COMMAND...: runs it, then says how long it took.
step() {
  local name=$1 start=$SECONDS
  shift
  "$@"
  printf 'build: %s took %d s\n' "$name" $((SECONDS - start))
}

step setup bash deploy/setup.sh
step configure cmake --preset "$preset"
step compile cmake --build --preset "$preset" --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" \
  "${targets[@]}"
