// What an earlier run tells of one that is to come: how fast it went, and how much trials differ.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace bitquake {

struct EarlierRun {
  std::string folder;
  double images_per_second = 0;    // that were run, over all of its time; 0: unknown
  std::vector<double> deviations;  // of each cell's trials, percentage points; ascending
};

// Reads campaign.json and cells.csv of a run directory. Errors: InvalidArgument if they are not
// there, or not such files.
absl::StatusOr<EarlierRun> ReadEarlierRun(const std::string& folder);

}  // namespace bitquake
