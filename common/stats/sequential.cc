#include "common/stats/sequential.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
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
  sum_of_cubes += value * value * value;
}

TrialSums TrialSums::Scaled(double factor) const {
  return {trials, sum * factor, sum_of_squares * factor * factor,
          sum_of_cubes * factor * factor * factor};
}

double TrialSums::Mean() const {
  return trials > 0 ? sum / static_cast<double>(trials) : kUndefined;
}

double TrialSums::Variance() const {
  if (trials < 2) {
    return kUndefined;
  }
  const auto n = static_cast<double>(trials);
  return std::max(0.0, (sum_of_squares - sum * sum / n) / (n - 1));
}

double TrialSums::Skewness() const {
  if (trials < 3) {
    return kUndefined;
  }
  const auto n = static_cast<double>(trials);
  const double mean = Mean();
  const double second = Variance() * (n - 1) / n;
  if (second == 0) {
    return 0;
  }
  const double third = (sum_of_cubes - 3 * mean * sum_of_squares) / n + 2 * mean * mean * mean;
  const double g1 = third / std::pow(second, 1.5) * std::sqrt(n * (n - 1)) / (n - 2);
  // No sample has more; rounding may, where the deviation is tiny beside the mean.
  return std::clamp(g1, -std::sqrt(n), std::sqrt(n));
}

absl::StatusOr<SequentialRule> SequentialRule::Create(const SequentialDesign& design) {
  absl::Status status = Check(design);
  if (!status.ok()) {
    return status;
  }
  return SequentialRule(design);
}

SequentialRule::SequentialRule(const SequentialDesign& design)
    : design_(design),
      looks_(LooksAQuarterApart(design.min, design.max)),
      look_confidence_(design.confidence) {
  if (design.method == IntervalMethod::kBernstein) {
    LeaveOutHopelessLooks(design, &looks_);
    look_confidence_ = 1 - (1 - design.confidence) / static_cast<double>(looks_.size());
    return;
  }
  if (looks_.size() > 1) {
    const double z = boost::math::quantile(
        boost::math::complement(boost::math::normal(), (1 - design.confidence) / 2));
    skewness_allowance_ = (2 * z * z + 1) / (3 * z);
  }
  for (int64_t n : looks_) {
    student_factors_.push_back(StudentHalfWidth(1, n, look_confidence_));
  }
}

int64_t SequentialRule::NextLook(int64_t trials) const {
  const auto next = std::upper_bound(looks_.begin(), looks_.end(), trials);
  return next == looks_.end() ? design_.max : *next;
}

double SequentialRule::StudentFactor(int64_t trials) const {
  const auto look = std::lower_bound(looks_.begin(), looks_.end(), trials);
  return look != looks_.end() && *look == trials
             ? student_factors_[static_cast<size_t>(look - looks_.begin())]
             : StudentHalfWidth(1, trials, look_confidence_);
}

double SequentialRule::HalfWidth(int64_t trials, double variance, double skewness) const {
  if (design_.method == IntervalMethod::kBernstein) {
    return BernsteinHalfWidth(variance, trials, design_.bounds.high - design_.bounds.low,
                              look_confidence_);
  }
  const double allowance =
      1 + skewness_allowance_ * std::fabs(skewness) / std::sqrt(static_cast<double>(trials));
  return StudentFactor(trials) * std::sqrt(variance) * allowance;
}

double SequentialRule::HalfWidth(const TrialSums& sums) const {
  if (sums.trials < 2) {
    return std::numeric_limits<double>::infinity();
  }
  return HalfWidth(sums.trials, sums.Variance(), sums.trials > 2 ? sums.Skewness() : 0);
}

bool SequentialRule::IsDone(const TrialSums& sums) const {
  return sums.trials >= design_.max ||
         (std::binary_search(looks_.begin(), looks_.end(), sums.trials) &&
          HalfWidth(sums) <= design_.half_width);
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

int64_t SequentialRule::ForecastTrials(double variance, double skewness) const {
  const auto stop = std::find_if(looks_.begin(), looks_.end(), [&](int64_t n) {
    return HalfWidth(n, variance, skewness) <= design_.half_width;
  });
  return stop == looks_.end() ? design_.max : *stop;
}

}  // namespace bitquake
