// How fragile the target of a cell is, by itself and beside others at the same bit-error rate.
#pragma once

#include <limits>
#include <vector>

#include "common/report/results.h"
#include "common/stats/bootstrap.h"
#include "common/stats/estimate.h"
#include "common/stats/vulnerability.h"

namespace bitquake {

// What is undefined is NaN. See common/stats/vulnerability.h for the four forms of vulnerability
// (the first, the loss itself, is a CellSummary's).
struct Fragility {
  static constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

  double relative_loss = kUndefined;  // percent of golden accuracy
  double loss_per_mbit = kUndefined;  // pp per 10^6 bits of the target
  // Loss / mean loss of the siblings (siblings.h says which), itself not counted. Undefined without
  // siblings, or when their mean loss is not positive; its interval also with fewer than two trials
  // somewhere, or when their mean loss may well be zero.
  IntervalEstimate vf = {kUndefined, {kUndefined, kUndefined}};
  // Place by mean loss among the targets that are ranked together (siblings.h), 1 for the most
  // fragile; equal losses share the mean of their places. Undefined for one that is alone; the
  // interval also with fewer than two trials somewhere.
  double rank = kUndefined;
  Interval ranks = {kUndefined, kUndefined};
  int ranked = 0;  // how many targets are ranked together
};

// The loss of each trial in percentage points, paired: of the images that it saw, those correct
// without faults less those correct with them.
std::vector<double> TrialLosses(const CellResult& cell);

// How intervals that rest on several cells are resampled.
BootstrapOptions ResamplingOf(const Derivation& derivation);

// One for each cell, in order. Cells without trials have nothing, and are nobody's siblings.
// Intervals are by bootstrap over trials, in which cells with equally many trials share them.
std::vector<Fragility> EstimateFragility(const std::vector<CellResult>& cells,
                                         const Derivation& derivation);

}  // namespace bitquake
