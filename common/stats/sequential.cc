#include "common/stats/sequential.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

// Counts are at most 2^53 / 5, so that the arithmetic is exact.
constexpr int64_t kMostTrials = int64_t{1} << 50;

std::vector<int64_t> LooksAQuarterApart(int64_t min, int64_t max) {
  std::vector<int64_t> looks = {min};
  while (looks.back() < max) {
    looks.push_back(std::min(max, looks.back() + (looks.back() + 3) / 4));
  }
  return looks;
}

// Leaves out the looks at which trials without variance have too wide an interval. Each one left
// out raises the share of the others, so it takes a few rounds.
void LeaveOutHopelessLooks(const SequentialDesign& design, std::vector<int64_t>* looks) {
  const double range = design.bounds.high - design.bounds.low;
  for (size_t before = 0; before != looks->size();) {
    before = looks->size();
    const double confidence = 1 - (1 - design.confidence) / static_cast<double>(before);
    const auto first = std::find_if(looks->begin(), looks->end() - 1, [&](int64_t n) {
      return BernsteinHalfWidth(0, n, range, confidence) <= design.half_width;
    });
    looks->erase(looks->begin(), first);
  }
}

absl::Status Check(const SequentialDesign& d) {
  if (d.max < d.min || d.max > kMostTrials) {
    return absl::InvalidArgumentError(
        absl::StrCat("trials: max is ", d.max, " and must be at least min, ", d.min));
  }
  const int64_t least = d.min == d.max ? 2 : SequentialDesign::kMinTrials;
  if (d.min < least) {
    return absl::InvalidArgumentError(absl::StrCat(
        "trials: min is ", d.min, " and must be at least ", least,
        least > 2 ? ": stopping on the variance of fewer does not keep the confidence" : ""));
  }
  if (!(d.half_width > 0) || !std::isfinite(d.half_width)) {
    return absl::InvalidArgumentError(
        absl::StrCat("trials: half_width is ", d.half_width, " and must be positive"));
  }
  if (!(d.confidence >= 0.8 && d.confidence <= 0.99)) {
    return absl::InvalidArgumentError(
        absl::StrCat("trials: confidence is ", d.confidence, " and must be from 0.8 to 0.99"));
  }
  if (d.method == IntervalMethod::kBca) {
    return absl::InvalidArgumentError(
        "trials: adaptive trials stop on t or bernstein; interval: bca needs a fixed number");
  }
  if (d.method == IntervalMethod::kBernstein &&
      !(d.bounds.low < d.bounds.high && std::isfinite(d.bounds.high - d.bounds.low))) {
    return absl::InvalidArgumentError(absl::StrCat("trials: bernstein needs bounds, and has [",
                                                   d.bounds.low, ", ", d.bounds.high, "]"));
  }
  return absl::OkStatus();
}

}  // namespace

void TrialSums::Add(double value) {
  ++trials;
  sum += value;
  sum_of_squares += value * value;
}

double TrialSums::Mean() const {
  return trials > 0 ? sum / static_cast<double>(trials) : kUndefined;
}

double TrialSums::Variance() const {
  if (trials < 2) {
    return kUndefined;
  }
  const double n = static_cast<double>(trials);
  return std::max(0.0, (sum_of_squares - sum * sum / n) / (n - 1));
}

absl::StatusOr<SequentialRule> SequentialRule::Create(const SequentialDesign& design) {
  absl::Status status = Check(design);
  if (!status.ok()) {
    return status;
  }
  return SequentialRule(design);
}

SequentialRule::SequentialRule(const SequentialDesign& design)
    : design_(design), looks_(LooksAQuarterApart(design.min, design.max)) {
  if (design.method == IntervalMethod::kBernstein) {
    LeaveOutHopelessLooks(design, &looks_);
    look_confidence_ = 1 - (1 - design.confidence) / static_cast<double>(looks_.size());
  } else {
    look_confidence_ = design.confidence;
    for (int64_t n : looks_) {
      look_factors_.push_back(StudentHalfWidth(1, n, look_confidence_));
    }
  }
}

int64_t SequentialRule::NextLook(int64_t trials) const {
  const auto next = std::upper_bound(looks_.begin(), looks_.end(), trials);
  return next == looks_.end() ? design_.max : *next;
}

double SequentialRule::HalfWidth(double variance, int64_t trials) const {
  if (trials < 2) {
    return std::numeric_limits<double>::infinity();
  }
  if (design_.method == IntervalMethod::kBernstein) {
    return BernsteinHalfWidth(variance, trials, design_.bounds.high - design_.bounds.low,
                              look_confidence_);
  }
  const auto look = std::lower_bound(looks_.begin(), looks_.end(), trials);
  if (look != looks_.end() && *look == trials) {
    return look_factors_[static_cast<size_t>(look - looks_.begin())] * std::sqrt(variance);
  }
  return StudentHalfWidth(variance, trials, look_confidence_);
}

bool SequentialRule::IsNarrow(double half_width) const { return half_width <= design_.half_width; }

bool SequentialRule::IsDone(const TrialSums& sums) const {
  return sums.trials >= design_.max ||
         (std::binary_search(looks_.begin(), looks_.end(), sums.trials) &&
          IsNarrow(HalfWidth(sums)));
}

Interval SequentialRule::Report(const TrialSums& sums) const {
  if (sums.trials < 2) {
    return {kUndefined, kUndefined};
  }
  const double mean = sums.Mean();
  double half_width = HalfWidth(sums);
  if (design_.method == IntervalMethod::kBernstein) {
    return {std::max(design_.bounds.low, mean - half_width),
            std::min(design_.bounds.high, mean + half_width)};
  }
  if (looks_.size() > 1) {
    half_width = std::max(half_width, design_.half_width);
  }
  return {mean - half_width, mean + half_width};
}

int64_t SequentialRule::ForecastTrials(double variance) const {
  const auto stop = std::find_if(looks_.begin(), looks_.end(),
                                 [&](int64_t n) { return IsNarrow(HalfWidth(variance, n)); });
  return stop == looks_.end() ? design_.max : *stop;
}

}  // namespace bitquake
