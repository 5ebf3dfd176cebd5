#include "common/stats/bootstrap.h"

#include <cmath>
#include <limits>
#include <vector>

#include "common/base/philox.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Resampler, DrawsPhiloxWordsInTheirLayout) {
  const uint64_t seed = 0x0123456789ABCDEF;
  const PhiloxKey key = {0x89ABCDEF, 0x01234567};
  Resampler resampler(seed);
  const std::vector<uint32_t> words = resampler.Draw(5, 10);
  ASSERT_EQ(words.size(), 10U);
  for (uint32_t j = 0; j < 10; ++j) {
    EXPECT_EQ(words[j], Philox4x32({j / 4, 5, 0x626F6F74, 0}, key)[j % 4]);
  }
  EXPECT_EQ(resampler.Draw(5, 3), std::vector<uint32_t>(words.begin(), words.begin() + 3));
  EXPECT_NE(resampler.Draw(6, 10), words);
}

TEST(Resampler, IndicesAreUniform) {
  const size_t kSize = 7;
  const int kResamples = 10'000;
  Resampler resampler(1);
  std::vector<double> counts(kSize);
  for (uint32_t r = 0; r < kResamples; ++r) {
    for (uint32_t word : resampler.Draw(r, kSize)) {
      ++counts[Resampler::Index(word, kSize)];
    }
  }
  double chi_square = 0;
  for (double count : counts) {
    chi_square += std::pow(count - kResamples, 2) / kResamples;
  }
  EXPECT_LT(chi_square, 22.5);  // 0.999 quantile, 6 degrees of freedom
  EXPECT_EQ(Resampler::Index(0, kSize), 0U);
  EXPECT_EQ(Resampler::Index(0xFFFFFFFF, kSize), kSize - 1);
}

TEST(ExpandedTail, NeedsTwoTrialsAndGoesToThePlainTail) {
  EXPECT_TRUE(std::isnan(ExpandedTail(1, 0.95)));
  EXPECT_LT(ExpandedTail(10, 0.95), 0.01);
  EXPECT_NEAR(ExpandedTail(1'000'000, 0.95), 0.025, 1e-5);
}

TEST(ExtendedQuantile, InterpolatesBetweenFiniteValuesOnly) {
  const std::vector<double> values = {-kInfinity, 1, 2, kInfinity};
  EXPECT_DOUBLE_EQ(ExtendedQuantile(values, 0.5), 1.5);
  EXPECT_EQ(ExtendedQuantile(values, 0.1), -kInfinity);
  EXPECT_EQ(ExtendedQuantile(values, 0.9), kInfinity);
  EXPECT_EQ(ExtendedQuantile(values, 1.0 / 3), 1);
  EXPECT_EQ(ExtendedQuantile({kInfinity, kInfinity}, 0.3), kInfinity);
  EXPECT_EQ(ExtendedQuantile({5.0}, 0.3), 5);
}

}  // namespace
}  // namespace bitquake
