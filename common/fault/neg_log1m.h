// -log(1 - v), the same double on every machine: made of IEEE +, -, *, / and bit operations alone,
// since C libraries differ in the last place of log1p, and one place decides which bit is hit.
// Needs -ffp-contract=off.
#pragma once

#include <cstdint>

#include "absl/base/casts.h"

namespace bitquake {

// v in [0, 1). Error below 1 unit in the last place, near 0 too. Reduction and polynomial are
// those of fdlibm's log1p (Sun Microsystems, 1993): 1 - v = 2^k (1 + f) with 1 + f in [sqrt(1/2),
// sqrt(2)).
inline double NegLog1m(double v) {
  constexpr uint64_t kOne = 0x3FF0000000000000;
  constexpr uint64_t kSqrtHalf = 0x3FE6A09E667F3BCD;
  constexpr double kLn2High = 6.93147180369123816490e-01;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  // k + 1023, from 1 - v although it is rounded: either side of a boundary will do.
  const uint64_t biased = (absl::bit_cast<uint64_t>(1 - v) + (kOne - kSqrtHalf)) >> 52;
  const double k = static_cast<double>(static_cast<int32_t>(biased) - 1023);
  // (1 - v) / 2^k - 1, from v itself: this way nothing is rounded.
  const double scale = absl::bit_cast<double>((2046 - biased) << 52);  // 2^-k
  const double f = (scale - 1) - scale * v;

  const double s = f / (2 + f);
  const double z = s * s;
  const double r =
      z * (6.666666666666735130e-01 +
           z * (3.999999999940941908e-01 +
                z * (2.857142874366239149e-01 +
                     z * (2.222219843214978396e-01 +
                          z * (1.818357216161805012e-01 +
                               z * (1.531383769920937332e-01 + z * 1.479819860511658591e-01))))));
  const double half = 0.5 * f * f;
  return ((half - (s * (half + r) + k * kLn2Low)) - f) - k * kLn2High;
}

}  // namespace bitquake
