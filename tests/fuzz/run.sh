#!/usr/bin/env bash
# Fuzzes what reads bytes that others chose, with libFuzzer under ASan and UBSan. Builds first.
#
#   bash tests/fuzz/run.sh                      # each target for a minute
#   bash tests/fuzz/run.sh 600 image tar_index  # some for ten
#
# An input may take a second of the processor, and a piece of memory 64 MiB. Prints how many inputs each target ran
# (libFuzzer's output lies in build/fuzz/fuzz/TARGET.log). New inputs that reach new code are kept
# in ${BITQUAKE_FUZZ_CORPUS:-$XDG_CACHE_HOME/bitquake/fuzz}/TARGET, and the next run begins with
# them; what broke something, in TARGET.found there. Exit code: 0 if nothing broke. To mend a find:
# build/fuzz/tests/TARGET_fuzz FILE runs it alone; then put it into tests/fuzz/seeds/TARGET.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || {
  echo "run.sh: '$seconds' is no number of seconds; the targets come after it" >&2
  exit 2
}
shift || true
corpus=${BITQUAKE_FUZZ_CORPUS:-${XDG_CACHE_HOME:-$HOME/.cache}/bitquake/fuzz}
build=build/fuzz

cmake --preset fuzz --log-level=WARNING >&2
wanted=("$@")
[ $# -gt 0 ] || mapfile -t wanted < <(cut -d ' ' -f 1 "$build/fuzz_targets")
cmake --build "$build" --target "${wanted[@]/%/_fuzz}" >&2

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

# The seeds of a target as one folder of files, as libFuzzer takes them.
gather_seeds() {
  local folder=$1 seed file
  shift
  rm -rf "$folder"
  mkdir -p "$folder"
  for seed in "$@"; do
    find "$seed" -type f ! -name '*.error' | while read -r file; do
      cp "$file" "$folder/$(sha1sum "$file" | cut -c 1-12).$(basename "$file")"
    done
  done
}

fuzz() {
  local target=$1 log=$build/fuzz/$1.log status=0 runs
  shift
  gather_seeds "$build/fuzz/$target.seeds" "$@"
  mkdir -p "$corpus/$target" "$corpus/$target.found"
  "$build/tests/${target}_fuzz" -max_total_time="$seconds" -timeout=20 -malloc_limit_mb=64 \
    -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 -artifact_prefix="$corpus/$target.found/" \
    "$corpus/$target" "$build/fuzz/$target.seeds" >"$log" 2>&1 || status=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  if [ "$status" -eq 0 ]; then
    printf '%-16s %12s inputs\n' "$target" "$runs"
  else
    printf '%-16s %12s inputs, then BROKEN (exit code %s):\n' "$target" "${runs:-?}" "$status"
    grep -E '^(==[0-9]+==ERROR|SUMMARY|BROKEN|Test unit written|.*runtime error)' "$log" |
      sed 's/^/    /' || tail -n 5 "$log"
  fi
  return "$status"
}

mkdir -p "$build/fuzz"
broken=0
for target in "${wanted[@]}"; do
  read -r -a line < <(grep "^$target " "$build/fuzz_targets")
  fuzz "${line[@]}" || broken=1
done
exit "$broken"
