// Which bit-error rates to measure so as to find thresholds: `ber: {search: {loss: [1, 5, 10]}}`.
//
// Rates come from a fixed ascending grid (its step is the tolerance), so that searches for several
// losses, and of several targets, share what they measure. Bisection halves, in the grid, the gap
// between the last measured rate whose mean loss is below the limit and the first at or above it.
// Fault sets nest over rates, trial by trial, so the mean losses of the same trials nearly never
// decrease; where they do, their isotonic fit decides. A search over n rates measures at most
// ceil(log2(n + 1)) of them for one loss, when losses do not decrease.
//
// With `resolve_interval`, the ends of the threshold's interval are bisected as well: the rates at
// which the upper and the lower end of the mean loss's interval cross the limit. What they bracket
// are the rates at which the limit is inside of the interval of the mean: a confidence set for the
// threshold, by inversion.
//
// Pure logic: call Plan with all that is measured, measure what it says, call it again; it holds no
// state, so a restart loses nothing.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/stats/estimate.h"

namespace bitquake {

struct SearchProblem {
  std::vector<double> log10_ber;  // the grid: finite, ascending, distinct
  std::vector<double> losses;     // limits in percentage points, any order
  bool resolve_interval = true;
};

// What was measured at one rate.
struct MeasuredRate {
  int rate = 0;       // index into the grid
  double trials = 1;  // positive
  double mean_loss = 0;
  Interval interval;  // of the mean loss; read with `resolve_interval` only, and finite then
};

// Between grid rates `below` and `above`, which are measured. `below` is -1 where no measured rate
// is below the limit, `above` the size of the grid where none is at or above it.
struct Bracket {
  int below = -1;
  int above = 0;
  bool IsTight() const { return above - below <= 1; }
};

struct SearchState {
  double loss = 0;  // as in the problem, in its order
  Bracket mean;
  // log10 BER between which the threshold lies: the bracket of the mean, without
  // `resolve_interval`; else from the last rate whose interval is below the limit to the first
  // whose interval is above it. -inf below the grid, +inf "not reached on this grid".
  Interval log10_ber;
  bool done = false;  // nothing more to measure for this loss
};

struct SearchPlan {
  std::vector<int> next;  // rates to measure now, ascending, none measured yet; empty: all is done
  std::vector<SearchState> states;
};

// Errors: InvalidArgument for a grid that is not ascending, or for a measured rate that is outside
// of it, there twice, or without figures.
absl::StatusOr<SearchPlan> PlanSearch(const SearchProblem& problem,
                                      absl::Span<const MeasuredRate> measured);

// How many rates a search measures of a target that is quiet at the low end of the grid and breaks
// in its middle, within about a decade, with intervals of `half_width` percentage points: what to
// expect before anything is known. A target that never breaks takes fewer.
int TypicalSearchRates(const SearchProblem& problem, double half_width);

}  // namespace bitquake
