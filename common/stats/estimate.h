// Estimates over trials. Trials are independent and identically distributed, so the interval of a
// mean is over them.
#pragma once

#include <cstdint>

#include "absl/types/span.h"

namespace bitquake {

struct Interval {
  double low;
  double high;
};

// Undefined for no values.
double Mean(absl::Span<const double> values);
// Of a sample (n - 1). Undefined for fewer than two values.
double StandardDeviation(absl::Span<const double> values);
// Linear interpolation between order statistics (Hyndman & Fan 1996, type 7); q in [0, 1].
// Undefined for no values.
double Quantile(absl::Span<const double> values, double q);
// Of Student's interval of a mean: `n` values with `variance` (n - 1). Undefined for n < 2.
double StudentHalfWidth(double variance, int64_t n, double confidence);
// Student's interval of the mean; `confidence` in (0, 1). Undefined for fewer than two values.
Interval StudentInterval(absl::Span<const double> values, double confidence);

}  // namespace bitquake
