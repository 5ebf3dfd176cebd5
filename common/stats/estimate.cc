#include "common/stats/estimate.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <vector>

namespace bitquake {

double Mean(absl::Span<const double> values) {
  // From the first value on: equal values have exactly their value as mean.
  double sum = 0;
  for (double value : values) {
    sum += value - values[0];
  }
  return values[0] + sum / static_cast<double>(values.size());
}

double StandardDeviation(absl::Span<const double> values) {
  const double mean = Mean(values);
  double sum = 0;
  for (double value : values) {
    sum += (value - mean) * (value - mean);
  }
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double Quantile(absl::Span<const double> values, double q) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const double position = q * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = position - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

double StudentHalfWidth(double variance, int64_t n, double confidence) {
  const boost::math::students_t student(static_cast<double>(n - 1));
  const double t = boost::math::quantile(boost::math::complement(student, (1 - confidence) / 2));
  return t * std::sqrt(variance / static_cast<double>(n));
}

Interval StudentInterval(absl::Span<const double> values, double confidence) {
  const double deviation = StandardDeviation(values);
  const double half_width =
      StudentHalfWidth(deviation * deviation, static_cast<int64_t>(values.size()), confidence);
  const double mean = Mean(values);
  return {mean - half_width, mean + half_width};
}

}  // namespace bitquake
