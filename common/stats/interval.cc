#include "common/stats/interval.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr Interval kNoInterval = {kUndefined, kUndefined};

// Sorted means of resamples.
std::vector<double> ResampledMeans(absl::Span<const double> values,
                                   const BootstrapOptions& options) {
  Resampler resampler(options.seed);
  std::vector<double> means;
  means.reserve(static_cast<size_t>(options.resamples));
  const auto n = static_cast<int64_t>(values.size());
  for (int r = 0; r < options.resamples; ++r) {
    double sum = 0;
    for (uint32_t word : resampler.Draw(static_cast<uint32_t>(r), n)) {
      sum += values[Resampler::Index(word, values.size())] - values[0];
    }
    means.push_back(values[0] + sum / static_cast<double>(n));
  }
  std::sort(means.begin(), means.end());
  return means;
}

// The share of `sorted` below `value`, of those equal to it one half. "Equal" allows for rounding:
// resamples with the same values in another order are ties.
double ShareBelow(absl::Span<const double> sorted, double value) {
  const double rounding = 1e-12 * (sorted.back() - sorted.front());
  const auto first = std::lower_bound(sorted.begin(), sorted.end(), value - rounding);
  const auto last = std::upper_bound(first, sorted.end(), value + rounding);
  const auto below = static_cast<double>(first - sorted.begin());
  const auto equal = static_cast<double>(last - first);
  return (below + equal / 2) / static_cast<double>(sorted.size());
}

// Of the mean: from the third moment, which is what the jackknife gives.
double Acceleration(absl::Span<const double> values) {
  const double mean = Mean(values);
  double squares = 0;
  double cubes = 0;
  for (double value : values) {
    const double d = value - mean;
    squares += d * d;
    cubes += d * d * d;
  }
  return cubes / (6 * std::pow(squares, 1.5));
}

}  // namespace

absl::string_view IntervalMethodName(IntervalMethod method) {
  switch (method) {
    case IntervalMethod::kStudent:
      return "t";
    case IntervalMethod::kBca:
      return "bca";
    case IntervalMethod::kBernstein:
      return "bernstein";
  }
  return "";
}

absl::StatusOr<IntervalMethod> ParseIntervalMethod(absl::string_view name) {
  for (IntervalMethod method :
       {IntervalMethod::kStudent, IntervalMethod::kBca, IntervalMethod::kBernstein}) {
    if (name == IntervalMethodName(method)) {
      return method;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("interval must be t, bca or bernstein, and is '", name, "'"));
}

Interval BcaInterval(absl::Span<const double> values, const BootstrapOptions& options) {
  if (values.size() < 2) {
    return kNoInterval;
  }
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  if (*least == *most) {
    return {*least, *least};
  }
  const std::vector<double> means = ResampledMeans(values, options);
  const double one = 1.0 / static_cast<double>(means.size());
  const boost::math::normal normal;
  const double share = std::clamp(ShareBelow(means, Mean(values)), one / 2, 1 - one / 2);
  const double bias = boost::math::quantile(normal, share);
  const double acceleration = Acceleration(values);
  const double tail = ExpandedTail(static_cast<int64_t>(values.size()), options.confidence);
  const double z_tail = boost::math::quantile(normal, tail);
  const auto end = [&](double z) {
    const double shifted = bias + z;
    const double scale = 1 - acceleration * shifted;
    if (scale <= 0) {  // beyond the pole the map would turn back
      return shifted < 0 ? means.front() : means.back();
    }
    return ExtendedQuantile(means, boost::math::cdf(normal, bias + shifted / scale));
  };
  return {end(z_tail), end(-z_tail)};
}

double BernsteinHalfWidth(double variance, int64_t n, double range, double confidence) {
  if (n < 2) {
    return kUndefined;
  }
  const auto count = static_cast<double>(n);
  const double log_term = std::log(4 / (1 - confidence));
  return std::sqrt(2 * variance * log_term / count) + 7 * range * log_term / (3 * (count - 1));
}

Interval BernsteinInterval(absl::Span<const double> values, const Bounds& bounds,
                           double confidence) {
  const double rounding = 1e-12 * (bounds.high - bounds.low);
  const auto outside = [&](double v) {
    return !(bounds.low - rounding <= v && v <= bounds.high + rounding);
  };
  if (values.size() < 2 || std::any_of(values.begin(), values.end(), outside)) {
    return kNoInterval;
  }
  const double deviation = StandardDeviation(values);
  const double half_width =
      BernsteinHalfWidth(deviation * deviation, static_cast<int64_t>(values.size()),
                         bounds.high - bounds.low, confidence);
  const double mean = Mean(values);
  return {std::max(bounds.low, mean - half_width), std::min(bounds.high, mean + half_width)};
}

Interval MeanInterval(absl::Span<const double> values, const IntervalOptions& options) {
  if (values.size() < 2) {
    return kNoInterval;
  }
  switch (options.method) {
    case IntervalMethod::kStudent:
      return StudentInterval(values, options.bootstrap.confidence);
    case IntervalMethod::kBca:
      return BcaInterval(values, options.bootstrap);
    case IntervalMethod::kBernstein:
      return BernsteinInterval(values, options.bounds, options.bootstrap.confidence);
  }
  return kNoInterval;
}

}  // namespace bitquake
