#include "common/report/thresholds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/shown.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/report/fragility.h"
#include "common/report/terminal_table.h"

namespace bitquake {
namespace {

constexpr double kSameLog10 = 1e-6;  // between a rate as it is stored and as the grid makes it

// The cells of one target, by bit-error rate.
using Grid = std::map<double, const CellResult*>;

std::vector<Grid> GridsOf(const std::vector<CellResult>& cells) {
  std::vector<Grid> grids;
  std::unordered_map<std::string, size_t> known;
  for (const CellResult& cell : cells) {
    const CellKey& key = cell.key;
    if (cell.trials.empty() || !(key.ber > 0)) {
      continue;
    }
    const std::string target = absl::StrJoin(
        {key.campaign, key.model, key.format, key.fault, key.granularity, key.target}, "\n");
    const auto [at, is_new] = known.emplace(target, grids.size());
    if (is_new) {
      grids.emplace_back();
    }
    grids[at->second].emplace(key.ber, &cell);
  }
  return grids;
}

// The numbers of trials that every rate has.
std::set<uint32_t> CommonTrials(const Grid& grid) {
  std::map<uint32_t, size_t> rates;
  for (const auto& [ber, cell] : grid) {
    for (const TrialResult& trial : cell->trials) {
      ++rates[trial.trial];
    }
  }
  std::set<uint32_t> common;
  for (const auto& [trial, count] : rates) {
    if (count == grid.size()) {
      common.insert(trial);
    }
  }
  return common;
}

// Trials that every rate has come first, so that equal places are equal trials. A campaign that
// goes on, or that set jobs aside, may have others beside them: those come after, and are to the
// bootstrap what they are, trials that have nothing in common.
std::vector<double> LossesInOrder(const CellResult& cell, const std::set<uint32_t>& common) {
  const std::vector<double> losses = TrialLosses(cell);
  std::vector<double> ordered;
  for (const bool first : {true, false}) {
    for (size_t t = 0; t < losses.size(); ++t) {
      if ((common.count(cell.trials[t].trial) > 0) == first) {
        ordered.push_back(losses[t]);
      }
    }
  }
  return ordered;
}

// Whether a rate was measured, on a search's grid.
bool IsMeasured(double log10_ber, const std::vector<double>& measured) {
  return std::any_of(measured.begin(), measured.end(),
                     [&](double rate) { return std::fabs(rate - log10_ber) < kSameLog10; });
}

// A search that is not finished, or whose trials were set aside, may have left rates around a
// threshold unmeasured; a line between far rates is no answer. True if those next to it on the grid
// are measured.
bool IsResolved(double threshold, const std::vector<double>& grid,
                const std::vector<double>& measured) {
  if (std::isinf(threshold)) {
    return IsMeasured(std::log10(threshold > 0 ? grid.back() : grid.front()), measured);
  }
  double below = -HUGE_VAL;
  double above = HUGE_VAL;
  for (const double rate : grid) {
    const double at = std::log10(rate);
    below = at <= threshold + kSameLog10 ? std::max(below, at) : below;
    above = at >= threshold - kSameLog10 ? std::min(above, at) : above;
  }
  return IsMeasured(below, measured) && IsMeasured(above, measured);
}

// Takes back what an unfinished search cannot know.
void LeaveOutUnresolved(const std::vector<double>& grid, const std::vector<double>& measured,
                        std::vector<Threshold>* thresholds) {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> known;
  for (const double rate : grid) {
    known.push_back(std::log10(rate));
  }
  const bool searched =
      !grid.empty() && std::all_of(measured.begin(), measured.end(), [&](double at) {
        return IsMeasured(at, known);  // others have rates of their own
      });
  for (Threshold& threshold : *thresholds) {
    if (searched && !IsResolved(threshold.log10_ber, grid, measured)) {
      threshold.log10_ber = kUnknown;
      threshold.interval = {kUnknown, kUnknown};
    }
  }
}

absl::StatusOr<TargetThresholds> FindThresholdsOf(const Grid& grid, const Derivation& derivation) {
  const std::set<uint32_t> common = CommonTrials(grid);
  LossCurve curve;
  for (const auto& [ber, cell] : grid) {
    curve.log10_ber.push_back(std::log10(ber));
    curve.losses.push_back(LossesInOrder(*cell, common));
  }
  const CellKey& key = grid.begin()->second->key;
  absl::StatusOr<std::vector<Threshold>> found =
      FindThresholds(curve, derivation.loss_limits, ResamplingOf(derivation));
  if (!found.ok()) {
    return Annotate(found.status(),
                    absl::StrCat("thresholds of ", key.model, " ", key.format, " ", key.target));
  }
  LeaveOutUnresolved(derivation.search_grid, curve.log10_ber, &*found);
  return TargetThresholds{key, grid.rbegin()->first, *std::move(found)};
}

// The end of an interval, as a rate.
std::string EndInWords(double log10_ber) {
  if (std::isinf(log10_ber)) {
    return log10_ber > 0 ? "not reached" : "below the grid";
  }
  return absl::StrFormat("%.2e", std::pow(10.0, log10_ber));
}

std::string InWords(const Threshold& threshold, const TargetThresholds& target) {
  if (std::isnan(threshold.log10_ber)) {
    return "search not finished";
  }
  if (std::isinf(threshold.log10_ber)) {
    return threshold.log10_ber > 0
               ? absl::StrFormat("not reached on this grid (to %.2e)", target.highest_ber)
               : absl::StrFormat("below the grid (from %.2e)", target.key.ber);
  }
  return EndInWords(threshold.log10_ber);
}

std::string IntervalInWords(const Interval& interval) {
  return std::isnan(interval.low) || std::isnan(interval.high)
             ? "-"
             : absl::StrCat("[", EndInWords(interval.low), ", ", EndInWords(interval.high), "]");
}

}  // namespace

absl::StatusOr<std::vector<TargetThresholds>> FindTargetThresholds(
    const std::vector<CellResult>& cells, const Derivation& derivation) {
  std::vector<TargetThresholds> targets;
  for (const Grid& grid : GridsOf(cells)) {
    if (grid.size() >= 2) {
      ASSIGN_OR_RETURN(TargetThresholds found, FindThresholdsOf(grid, derivation));
      targets.push_back(std::move(found));
    }
  }
  return targets;
}

FigureTable ThresholdFigures(const std::vector<TargetThresholds>& targets) {
  FigureTable table;
  table.columns = {"campaign", "model",   "format",    "fault",  "granularity",
                   "target",   "loss_pp", "log10_ber", "ci_low", "ci_high"};
  for (const TargetThresholds& target : targets) {
    const CellKey& key = target.key;
    for (const Threshold& threshold : target.thresholds) {
      table.rows.push_back({key.campaign, key.model, key.format, key.fault, key.granularity,
                            key.target, threshold.loss, threshold.log10_ber, threshold.interval.low,
                            threshold.interval.high});
    }
  }
  return table;
}

std::string ThresholdsTable(const std::vector<TargetThresholds>& targets) {
  std::vector<std::vector<std::string>> rows = {
      {"model", "format", "granularity", "target", "loss pp", "BER", "interval"}};
  for (const TargetThresholds& target : targets) {
    const size_t first = rows.size();
    for (const Threshold& threshold : target.thresholds) {
      const std::string limit = FormatNumber(threshold.loss);
      const std::string ber = InWords(threshold, target);
      const std::string interval = IntervalInWords(threshold.interval);
      // What is said of one limit may hold for the next: "5, 10" are not reached.
      if (rows.size() > first && rows.back()[5] == ber && rows.back()[6] == interval) {
        absl::StrAppend(&rows.back()[4], ", ", limit);
        continue;
      }
      rows.push_back({Printable(target.key.model), Printable(target.key.format),
                      Printable(target.key.granularity), Printable(target.key.target), limit, ber,
                      interval});
    }
  }
  return rows.size() == 1 ? ""
                          : absl::StrCat("BER at which the mean loss of top-1 reaches a limit:\n",
                                         Aligned(rows, /*text_columns=*/4));
}

}  // namespace bitquake
