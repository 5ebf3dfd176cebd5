#!/usr/bin/env bash
# The tests of what has threads but no LibTorch (server, agent, data, channel, base) under
# ThreadSanitizer. Builds first.
#
#   bash tests/tsan/run.sh [CTEST ARGUMENT...]   # for example: -R agent, or --repeat until-fail:20
#
# Exit code: 0 if every test passed and nothing was found. README.md says what it sees.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folders=(base channel server worker/agent worker/data)
targets=("${folders[@]/#/tests/}")
bash deploy/build.sh tsan "${targets[@]/%//all}"
labels=$(IFS='|' && printf '%s' "${folders[*]}")
exec ctest --preset tsan --no-tests=error --timeout 1800 -L "^($labels)\$" "$@"
