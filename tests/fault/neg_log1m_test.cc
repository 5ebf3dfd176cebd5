#include "common/fault/neg_log1m.h"

#include <cmath>
#include <random>

#include "gtest/gtest.h"

namespace bitquake {
namespace {

// In units in the last place of the result, against the C library's long double.
double UlpError(double v) {
  const long double exact = -std::log1p(-static_cast<long double>(v));
  const double rounded = static_cast<double>(exact);
  const double ulp = std::nextafter(rounded, INFINITY) - rounded;
  return static_cast<double>(std::fabs(NegLog1m(v) - exact) / ulp);
}

TEST(NegLog1m, ErrsByLessThanOneUnitInTheLastPlace) {
  std::mt19937_64 generator(1);
  std::uniform_real_distribution<double> uniform(0, 1);
  double worst = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    worst = std::max(worst, UlpError(uniform(generator)));
    // Near 0 and near 1, over all magnitudes.
    const double tiny = std::ldexp(1 + uniform(generator), -1 - i % 130);
    worst = std::max({worst, UlpError(tiny), UlpError(std::min(1 - tiny, 1 - 0x1p-53))});
  }
  EXPECT_LT(worst, 1);
}

TEST(NegLog1m, ErrsLittleWhereItsReductionChanges) {
  for (int k = 0; k <= 52; ++k) {
    double v = 1 - std::ldexp(std::sqrt(0.5), -k);
    for (int step = 0; step < 1000; ++step) v = std::nextafter(v, 0);
    for (int step = 0; step < 2000 && v < 1; ++step) {
      ASSERT_LT(UlpError(v), 1) << std::hexfloat << v;
      v = std::nextafter(v, 1);
    }
  }
}

TEST(NegLog1m, IsExactAtItsEnds) {
  EXPECT_EQ(NegLog1m(0), 0);
  EXPECT_EQ(NegLog1m(0x1p-128), 0x1p-128);
  EXPECT_EQ(NegLog1m(1 - 0x1p-53), 53 * std::log(2.0));
}

}  // namespace
}  // namespace bitquake
