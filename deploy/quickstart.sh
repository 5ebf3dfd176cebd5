#!/usr/bin/env bash
# From a fresh clone to a first result: installs what is missing, builds the three programs, and
# runs the demo campaign (deploy/demo) into runs/demo-N, N being the next free number.
#
#   bash deploy/quickstart.sh [ARGUMENT...]      # of `bitquake run`; for example: --workers 2
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash deploy/build.sh release bitquake bitquake-server bitquake-worker

printf '\nquickstart: build/release/bin/bitquake run deploy/demo/campaign.yaml%s\n' "${*:+ $*}"
build/release/bin/bitquake run deploy/demo/campaign.yaml "$@"

cat >&2 <<END

The folder above holds report.html (open it in a browser), cells.csv (a row for each cell),
trials.csv and campaign.json.
To go on: copy deploy/demo to a folder of your own, change its campaign.yaml, and
  build/release/bin/bitquake validate FOLDER/campaign.yaml
  build/release/bin/bitquake run FOLDER/campaign.yaml
README.md says what the columns mean; build/release/bin/bitquake --help lists the commands.
END
