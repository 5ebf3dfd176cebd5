// At which bit-error rate a target breaks: where its mean top-1 loss reaches a limit.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/report/figure_table.h"
#include "common/report/results.h"
#include "common/stats/threshold.h"

namespace bitquake {

// Of one target, over the bit-error rates at which it was measured.
struct TargetThresholds {
  CellKey key;  // its `ber` is the lowest positive rate
  double highest_ber = 0;
  std::vector<Threshold> thresholds;  // one for each limit
};

// In the order of the cells; of targets with finished trials at two positive rates at least. NaN
// where a search has not measured the rates of its grid next to the threshold.
// (Thresholds are on a scale of log10 BER, which has no place for a rate of 0.) Trials with equal
// numbers have nested fault sets and stay together in the bootstrap. Errors: InvalidArgument,
// naming the target, for trials without images.
absl::StatusOr<std::vector<TargetThresholds>> FindTargetThresholds(
    const std::vector<CellResult>& cells, const Derivation& derivation);

// thresholds.csv: a row for each target and limit. `log10_ber` and the ends of its interval may
// be "inf", not reached on this grid of rates, and "-inf", reached below it; nothing is
// extrapolated. The interval is empty where a rate has fewer than two trials.
FigureTable ThresholdFigures(const std::vector<TargetThresholds>& targets);

// The same in words for a terminal; empty without targets.
std::string ThresholdsTable(const std::vector<TargetThresholds>& targets);

}  // namespace bitquake
