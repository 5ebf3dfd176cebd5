#include "common/stats/trial_design.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/base/status_macros.h"

namespace bitquake {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TrialDesign FixedTrials(int64_t count) {
  TrialDesign design;
  design.min = design.max = count;
  return design;
}

Bounds LossBounds(double least_golden, double most_golden) {
  return {least_golden - 100, most_golden};
}

absl::StatusOr<SequentialRule> StoppingRule(const TrialDesign& design, double range) {
  // The rule knows the bounds by their distance; where they lie is for each variant to say.
  return SequentialRule::Create({design.min, design.max, design.half_width, design.confidence,
                                 design.interval, Bounds{-range, range}});
}

double LossPp(int64_t golden_correct, int64_t correct, int64_t images) {
  return 100.0 * static_cast<double>(golden_correct - correct) / static_cast<double>(images);
}

const char* StoppedName(Stopped stopped) {
  switch (stopped) {
    case Stopped::kInterim:
      return "interim";
    case Stopped::kFixed:
      return "fixed";
    case Stopped::kWidth:
      return "width";
    case Stopped::kMax:
      return "max";
  }
  return "";
}

absl::StatusOr<PrecisionRule> PrecisionRule::Create(const TrialDesign& design, const Bounds& bounds,
                                                    double range, uint64_t seed) {
  PrecisionRule rule(design, bounds, seed);
  if (design.adaptive()) {
    ASSIGN_OR_RETURN(rule.stopping_, StoppingRule(design, range));
  }
  return rule;
}

CellPrecision PrecisionRule::Fixed(absl::Span<const double> losses) const {
  IntervalOptions options;
  options.method = design_.interval;
  options.bounds = bounds_;
  options.bootstrap.confidence = design_.confidence;
  options.bootstrap.seed = seed_;
  const Interval loss = MeanInterval(losses, options);
  const bool complete = static_cast<int64_t>(losses.size()) >= design_.max;
  return {loss, (loss.high - loss.low) / 2, complete ? Stopped::kFixed : Stopped::kInterim};
}

CellPrecision PrecisionRule::Adaptive(absl::Span<const double> losses) const {
  TrialSums sums;
  for (const double loss : losses) {
    sums.Add(loss);
  }
  CellPrecision precision = {stopping_->Report(sums), stopping_->HalfWidth(sums),
                             Stopped::kInterim};
  if (design_.interval == IntervalMethod::kBernstein) {
    precision.loss.low = std::max(precision.loss.low, bounds_.low);
    precision.loss.high = std::min(precision.loss.high, bounds_.high);
  }
  if (stopping_->IsDone(sums)) {
    const bool met = precision.half_width <= design_.half_width;
    precision.stopped = met ? Stopped::kWidth : Stopped::kMax;
  }
  return precision;
}

CellPrecision PrecisionRule::Of(absl::Span<const double> losses, bool from_first) const {
  CellPrecision precision = design_.adaptive() ? Adaptive(losses) : Fixed(losses);
  if (losses.size() < 2) {
    precision.loss = {kUndefined, kUndefined};
    precision.half_width = kUndefined;
  }
  if (!from_first) {
    precision.stopped = Stopped::kInterim;
  }
  return precision;
}

}  // namespace bitquake
