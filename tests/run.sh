#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests, without asking anything.
#
#   bash tests/run.sh [CTEST ARGUMENT...]        # for example: -R Sampler, or --rerun-failed
#   BITQUAKE_PRESET=asan bash tests/run.sh       # or debug, or tsan; release if not set
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=${BITQUAKE_PRESET:-release}
bash deploy/build.sh "$preset"

# The first finding of a sanitizer ends its test, as a failure.
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}

# ctest's summary is the last that is printed: scripts read it there.
exec ctest --preset "$preset" --no-tests=error --timeout 600 \
  --parallel "${CTEST_PARALLEL_LEVEL:-$(nproc)}" "$@"
