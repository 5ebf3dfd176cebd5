// Fixed point, and where the scale of an int format comes from: the observer, the channel.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "common/fault/number_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

NumberFormat Int(int bits) { return {NumberFormat::Kind::kInt, bits}; }
NumberFormat Fixed(int m, int n) { return {NumberFormat::Kind::kFixed, m + n, n}; }
Quantization Percentile(double p) { return {Quantization::Scale::kPerTensor, p}; }
constexpr Quantization kPerChannel = {Quantization::Scale::kPerChannel};

std::vector<float> GaussianWeights(int n, float sigma = 0.02f) {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal(0, sigma);
  std::vector<float> weights(n);
  for (float& w : weights) w = normal(generator);
  return weights;
}

TEST(FixedPoint, FollowsItsDefinition) {
  std::vector<float> weights = GaussianWeights(300, 1);
  for (int exponent = -40; exponent <= 40; ++exponent) {
    for (const float f : {1.0f, 1.5f, 0x1.fffffep0f, 1.1f}) {
      weights.push_back(std::ldexp(f, exponent));
      weights.push_back(-std::ldexp(f, exponent));
    }
  }
  for (int bits = 2; bits <= 32; ++bits) {
    for (int n = 0; n < bits; ++n) {
      const NumberFormat format = Fixed(bits - n, n);
      const QuantizedTensor tensor = Quantize(weights, format).value();
      EXPECT_EQ(tensor.ScaleOf(5), 1);
      const long double highest = std::ldexp(1.0L, bits - 1) - 1;
      for (size_t i = 0; i < weights.size(); ++i) {
        const long double rounded = std::nearbyint(std::ldexp(weights[i] * 1.0L, n));
        const auto q = static_cast<int64_t>(std::min(std::max(rounded, -highest - 1), highest));
        ASSERT_EQ(tensor.words[i], static_cast<uint32_t>(q & ((int64_t{1} << bits) - 1)))
            << format.Name() << " " << weights[i];
        ASSERT_EQ(Dequantize(tensor.words[i], 1, format),
                  static_cast<float>(std::ldexp(q * 1.0L, -n)))
            << format.Name() << " " << weights[i];
      }
    }
  }
}

TEST(FixedPoint, EveryWordOfUpTo16BitsRoundTrips) {
  for (const NumberFormat& format : {Fixed(1, 1), Fixed(2, 6), Fixed(8, 0), Fixed(5, 11)}) {
    for (uint32_t word = 0; word < 1u << format.bits; ++word) {
      ASSERT_EQ(Quantize({Dequantize(word, 1, format)}, format)->words[0], word) << format.Name();
    }
  }
}

TEST(FixedPoint, KnownAnswers) {
  // Ares' 2.6: steps of 1/64 in [-2, 2).
  const float step = 1.0f / 64;
  EXPECT_THAT(Quantize({1, 2, -2, -5, step / 2, 3 * step / 2, -step / 2}, Fixed(2, 6))->words,
              ElementsAre(64, 127, 0x80, 0x80, 0, 2, 0));
  EXPECT_EQ(Dequantize(0x81, 1, Fixed(2, 6)), -127.0f / 64);
  // 32 bits: the words are right to the last bit.
  EXPECT_THAT(Quantize({-1, 1, 0x1p-31f, 0.1f}, Fixed(1, 31))->words,
              ElementsAre(0x80000000, 0x7FFFFFFF, 1, 214748368));
  EXPECT_EQ(Dequantize(0x7FFFFFFF, 1, Fixed(1, 31)), 1);  // rounded to fp32
  EXPECT_EQ(Dequantize(214748368, 1, Fixed(1, 31)), 0.1f);
}

TEST(FixedPoint, NonFiniteWeightsAreRefusedByIndex) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    const absl::Status status = Quantize({1, 2, bad}, Fixed(2, 6)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("weight 2 is"));
    EXPECT_THAT(status.message(), HasSubstr("fixed(2.6)"));
  }
}

TEST(PercentileObserver, LiesBetweenTheOrderStatisticsOfTheMagnitudes) {
  // The magnitudes are 1, 2, 3, 5: numpy.percentile gives these.
  const std::vector<float> weights = {-3, 1, 5, -2};
  const std::pair<double, float> cases[] = {{50, 2.5f}, {10, 1.3f}, {100, 5},
                                            {80, 3.8f}, {90, 4.4f}, {1e-9, 1}};
  for (const auto& [percentile, expected] : cases) {
    const QuantizedTensor tensor = Quantize(weights, Int(8), Percentile(percentile)).value();
    EXPECT_EQ(tensor.ScaleOf(0), expected / 127) << percentile;
  }
}

TEST(PercentileObserver, IsThatOfNumpyToTheLastBit) {
  // Found by search: low + (high - low) * t would round to the neighbour in fp32.
  EXPECT_EQ(
      Quantize({0.21878443658351898f, 1.0561232566833496f}, Int(2), Percentile(93.5005191140219))
          ->ScaleOf(0),
      1.001700520515442f);
  EXPECT_EQ(
      Quantize({0.28968295454978943f, 1.2237141132354736f}, Int(2), Percentile(54.0871644179799))
          ->ScaleOf(0),
      0.7948739528656006f);
}

TEST(PercentileObserver, FollowsItsDefinition) {
  for (const int size : {1, 2, 3, 10, 999, 5000}) {
    const std::vector<float> weights = GaussianWeights(size);
    std::vector<double> m;
    for (const float w : weights) m.push_back(std::fabs(w));
    std::sort(m.begin(), m.end());
    for (const double percentile : {0.1, 25.0, 50.0, 99.0, 99.9, 99.99, 100.0}) {
      const double h = (size - 1) * (percentile / 100);
      const size_t i = static_cast<size_t>(std::floor(h));
      const double t = h - std::floor(h);
      const double next = m[std::min(i + 1, m.size() - 1)];
      const auto most =
          static_cast<float>(t >= 0.5 ? next - (next - m[i]) * (1 - t) : m[i] + (next - m[i]) * t);
      const QuantizedTensor tensor = Quantize(weights, Int(8), Percentile(percentile)).value();
      ASSERT_EQ(tensor.ScaleOf(0), most / 127) << size << " " << percentile;
      for (int j = 0; j < size; ++j) {
        const float q =
            std::min(std::max(std::nearbyintf(weights[j] / (most / 127)), -128.0f), 127.0f);
        ASSERT_EQ(tensor.words[j], static_cast<uint32_t>(static_cast<int>(q)) & 0xFF);
      }
    }
  }
}

TEST(PercentileObserver, ClipsWhatLiesBeyond) {
  std::vector<float> weights(1000, 1);
  weights[3] = 100;
  weights[4] = -100;
  const QuantizedTensor tensor = Quantize(weights, Int(8), Percentile(99)).value();
  EXPECT_EQ(tensor.words[0], 127u);
  EXPECT_EQ(tensor.words[3], 127u);
  EXPECT_EQ(tensor.words[4], 0x80u);
}

TEST(PercentileObserver, RefusesAScaleThatWouldMakeEveryWeightZero) {
  std::vector<float> weights(1000);
  weights[3] = 0.5f;
  const absl::Status status = Quantize(weights, Int(8), Percentile(99)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("percentile 99 of the magnitudes is 0"));
  EXPECT_TRUE(Quantize(weights, Int(8), Percentile(100)).ok());
  weights[3] = 0;
  EXPECT_EQ(Quantize(weights, Int(8), Percentile(99))->ScaleOf(0), 1);
  for (const double percentile : {0.0, -1.0, 100.5, std::nan("")}) {
    EXPECT_THAT(Quantize(weights, Int(8), Percentile(percentile)).status().message(),
                HasSubstr("is not in (0, 100]"));
  }
}

TEST(PerChannel, EachIndexOfTheFirstDimensionHasItsOwnScale) {
  const std::vector<float> weights = GaussianWeights(60);
  const Quantization percentile = {Quantization::Scale::kPerChannel, 90};
  for (const Quantization& quantization : {kPerChannel, percentile}) {
    for (const std::vector<int64_t>& shape : {std::vector<int64_t>{5, 12}, {5, 3, 2, 2}}) {
      const QuantizedTensor tensor = Quantize(weights, Int(8), quantization, shape).value();
      ASSERT_EQ(tensor.words.size(), weights.size());
      for (int row = 0; row < 5; ++row) {
        const auto channel = absl::MakeConstSpan(weights).subspan(row * 12, 12);
        const QuantizedTensor alone =
            Quantize(channel, Int(8), Percentile(quantization.percentile)).value();
        for (int i = 0; i < 12; ++i) {
          ASSERT_EQ(tensor.words[row * 12 + i], alone.words[i]);
          ASSERT_EQ(tensor.ScaleOf(row * 12 + i), alone.ScaleOf(0));
        }
      }
    }
  }
}

TEST(PerChannel, TensorsOfOneDimensionAndFormatsWithoutScaleHaveOne) {
  const std::vector<float> weights = GaussianWeights(60);
  const QuantizedTensor whole = Quantize(weights, Int(8)).value();
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{60}, {1, 60}, {}}) {
    const QuantizedTensor tensor = Quantize(weights, Int(8), kPerChannel, shape).value();
    EXPECT_EQ(tensor.words, whole.words);
    EXPECT_EQ(tensor.ScaleOf(59), whole.ScaleOf(0));
  }
  EXPECT_EQ(Quantize(weights, Fixed(2, 6), kPerChannel, {5, 12})->ScaleOf(30), 1);
  EXPECT_EQ(Quantize({}, Int(8), kPerChannel, {0, 12})->ScaleOf(0), 1);
}

TEST(PerChannel, WeightsAreNamedByTheirPlaceInTheTensor) {
  std::vector<float> weights = GaussianWeights(60);
  weights[31] = std::nanf("");
  EXPECT_THAT(Quantize(weights, Int(8), kPerChannel, {5, 12}).status().message(),
              HasSubstr("weight 31 is nan"));
  EXPECT_EQ(Quantize(weights, Int(8), kPerChannel, {7, 12}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace bitquake
