// Cells for the tests of what is made of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/report/results.h"

namespace bitquake {

// Of a campaign "c", by default at a rate of 1e-6, 64 bits. Golden has 90% and 99% of 1,000 images,
// and each trial, which sees them all, loses as many as `losses` says: ten are a percentage point.
inline CellResult Cell(const std::string& granularity, const std::string& target,
                       const std::vector<int64_t>& losses, double ber = 1e-6) {
  CellResult cell;
  cell.key = {"c", "vit", "int8", "bit_flip", granularity, target, ber};
  cell.bits = 64;
  cell.golden = {"vit", "int8", 1000, 900, 990};
  for (const int64_t loss : losses) {
    TrialResult trial;
    trial.trial = static_cast<uint32_t>(cell.trials.size());
    trial.images = 1000;
    trial.golden_top1 = 900;
    trial.golden_top5 = 990;
    trial.top1 = 900 - loss;
    trial.top5 = 990;
    trial.sdc = 2 * loss;
    trial.flips = 3;
    trial.faults_digest = "d";
    cell.trials.push_back(trial);
  }
  return cell;
}

inline std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

}  // namespace bitquake
