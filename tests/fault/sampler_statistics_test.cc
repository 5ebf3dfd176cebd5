// The sampler's faults against the distributions that they claim. Seeds are fixed, so a test passes
// always or never; bounds are 4.5 standard deviations of the figure under test.
#include <cmath>
#include <string>

#include "common/fault/number_format.h"
#include "common/fault/sampler.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

constexpr double kSigmas = 4.5;
// Inside a rung, on its edge, and above 1/2, where the last rung holds every bit.
constexpr double kRates[] = {1e-4, 0.003, 0.01, 0.125, 0.3, 0.6, 0.9};

// One entry per bit, 1 if it is faulty.
std::vector<uint8_t> FaultyBits(const FaultSampler& sampler, WordArray words, uint32_t trial,
                                double p) {
  std::vector<uint8_t> faulty(words.count * words.bits_per_word);
  for (const WordFault& fault : sampler.Sample(words, trial, p)) {
    for (int bit = 0; bit < words.bits_per_word; ++bit) {
      faulty[fault.index * words.bits_per_word + bit] = fault.mask >> bit & 1;
    }
  }
  return faulty;
}

// How far `observed`, a sum of `n` independent draws of probability p, is from its mean, in
// standard deviations.
double Deviation(double observed, double n, double p) {
  return (observed - n * p) / std::sqrt(n * p * (1 - p));
}

// Chi-square of counts that are each Binomial(n, p), as standard deviations from its mean.
double ChiSquareDeviation(const std::vector<int64_t>& counts, double n, double p) {
  double chi_square = 0;
  for (int64_t count : counts) {
    chi_square += std::pow(Deviation(static_cast<double>(count), n, p), 2);
  }
  const double cells = static_cast<double>(counts.size());
  // The variance of a squared standardised binomial is 2 + its excess kurtosis.
  const double variance = 2 + (1 - 6 * p * (1 - p)) / (n * p * (1 - p));
  return (chi_square - cells) / std::sqrt(cells * variance);
}

TEST(SamplerStatistics, FlipsAreBinomial) {
  const FaultSampler sampler(2418);
  const WordArray words = {"w", 1000, 8};
  const double n = 1000 * 8;
  const int trials = 2000;
  for (double p : kRates) {
    double sum = 0;
    double sum_squares = 0;
    for (int trial = 0; trial < trials; ++trial) {
      double flips = 0;
      for (const WordFault& fault : sampler.Sample(words, trial, p)) {
        flips += __builtin_popcount(fault.mask);
      }
      sum += flips;
      sum_squares += (flips - n * p) * (flips - n * p);
    }
    EXPECT_LT(std::fabs(Deviation(sum, n * trials, p)), kSigmas) << "mean at " << p;
    const double variance = n * p * (1 - p);
    const double kurtosis = (1 - 6 * p * (1 - p)) / variance;
    EXPECT_NEAR(sum_squares / trials / variance, 1, kSigmas * std::sqrt((2 + kurtosis) / trials))
        << "variance at " << p;
  }
}

TEST(SamplerStatistics, FlipsAreUniformOverRowsWordsAndBitPositions) {
  const FaultSampler sampler(7);
  constexpr int kRows = 48, kColumns = 64, kBits = 8;
  const int trials = 300;
  for (double p : kRates) {
    std::vector<int64_t> rows(kRows), columns(kColumns), words(kRows * kColumns), positions(kBits);
    for (int trial = 0; trial < trials; ++trial) {
      for (const WordFault& fault : sampler.Sample({"w", kRows * kColumns, kBits}, trial, p)) {
        const int flips = __builtin_popcount(fault.mask);
        rows[fault.index / kColumns] += flips;
        columns[fault.index % kColumns] += flips;
        words[fault.index] += flips;
        for (int bit = 0; bit < kBits; ++bit) positions[bit] += fault.mask >> bit & 1;
      }
    }
    const auto uniform = [&](const std::vector<int64_t>& counts) {
      const double bits = 1.0 * kRows * kColumns * kBits / static_cast<double>(counts.size());
      return std::fabs(ChiSquareDeviation(counts, bits * trials, p));
    };
    EXPECT_LT(uniform(rows), kSigmas) << p;
    EXPECT_LT(uniform(columns), kSigmas) << p;
    EXPECT_LT(uniform(words), kSigmas) << p;
    EXPECT_LT(uniform(positions), kSigmas) << p;
  }
}

TEST(SamplerStatistics, FlipsAreUniformOverTensors) {
  constexpr int kTensors = 60;
  const int trials = 300;
  for (double p : kRates) {
    std::vector<int64_t> tensors(kTensors);
    for (int tensor = 0; tensor < kTensors; ++tensor) {
      const std::string name = "blocks." + std::to_string(tensor) + ".mlp.fc1.weight";
      for (int trial = 0; trial < trials; ++trial) {
        for (const WordFault& fault : FaultSampler(2418).Sample({name, 500, 8}, trial, p)) {
          tensors[tensor] += __builtin_popcount(fault.mask);
        }
      }
    }
    EXPECT_LT(std::fabs(ChiSquareDeviation(tensors, 500.0 * 8 * trials, p)), kSigmas) << p;
  }
}

TEST(SamplerStatistics, NeighboursAreIndependent) {
  const FaultSampler sampler(8);
  constexpr int kBits = 20'000;
  const int trials = 100;
  for (double p : {0.003, 0.01, 0.3, 0.6}) {
    for (int lag : {1, 2, 8, 64}) {
      double together = 0;
      for (int trial = 0; trial < trials; ++trial) {
        const std::vector<uint8_t> faulty = FaultyBits(sampler, {"w", kBits / 8, 8}, trial, p);
        for (int i = lag; i < kBits; ++i) together += faulty[i] & faulty[i - lag];
      }
      // Pairs that share a bit are correlated: two such for each pair.
      const double pairs = 1.0 * (kBits - lag) * trials;
      const double variance = pairs * (p * p * (1 - p * p) + 2 * (p * p * p - p * p * p * p));
      EXPECT_LT(std::fabs(together - pairs * p * p) / std::sqrt(variance), kSigmas)
          << "p " << p << ", lag " << lag;
    }
  }
}

TEST(SamplerStatistics, TrialsTensorsAndSeedsAreIndependent) {
  constexpr int kBits = 20'000;
  const int trials = 100;
  for (double p : {0.01, 0.3, 0.6}) {
    double trials_agree = 0, tensors_agree = 0, seeds_agree = 0;
    for (int trial = 0; trial < trials; ++trial) {
      const auto draw = [&](uint64_t seed, const char* name, int t) {
        return FaultyBits(FaultSampler(seed), {name, kBits / 8, 8}, t, p);
      };
      const std::vector<uint8_t> base = draw(9, "blocks.0.attn.proj.weight", 2 * trial);
      const std::vector<uint8_t> other_trial = draw(9, "blocks.0.attn.proj.weight", 2 * trial + 1);
      const std::vector<uint8_t> other_tensor = draw(9, "blocks.1.attn.proj.weight", 2 * trial);
      const std::vector<uint8_t> other_seed = draw(10, "blocks.0.attn.proj.weight", 2 * trial);
      for (int i = 0; i < kBits; ++i) {
        trials_agree += base[i] & other_trial[i];
        tensors_agree += base[i] & other_tensor[i];
        seeds_agree += base[i] & other_seed[i];
      }
    }
    for (double agree : {trials_agree, tensors_agree, seeds_agree}) {
      EXPECT_LT(std::fabs(Deviation(agree, 1.0 * kBits * trials, p * p)), kSigmas) << p;
    }
  }
}

TEST(SamplerStatistics, WordsAreUntouchedWithTheProbabilityOfTheirBits) {
  for (int bits : {4, 8, 16, 32}) {
    for (double p : {0.003, 0.01, 0.05, 0.125}) {
      constexpr int kWords = 200'000;
      const double touched =
          static_cast<double>(FaultSampler(12).Sample({"w", kWords, bits}, 0, p).size());
      const double untouched = std::pow(1 - p, bits);
      EXPECT_LT(std::fabs(Deviation(touched, kWords, 1 - untouched)), kSigmas)
          << bits << " bits, p " << p;
    }
  }
}

// dq is the change of a word's integer. Var[dq] = p (1 - p) (4^b - 1) / 3 whatever q; E[dq | q] =
// -p (1 + 2q).
TEST(SamplerStatistics, ErrorsOfWordsHaveTheirMoments) {
  constexpr int kWords = 50'000;
  const int trials = 10;
  const double p = 0.05;
  constexpr NumberFormat kFormats[] = {{NumberFormat::Kind::kInt, 4},
                                       {NumberFormat::Kind::kInt, 8},
                                       {NumberFormat::Kind::kInt, 16},
                                       {NumberFormat::Kind::kFixed, 8, 6},
                                       {NumberFormat::Kind::kFixed, 16, 13}};
  for (const NumberFormat& format : kFormats) {
    const int bits = format.bits;
    const double unit = std::ldexp(1.0, format.fraction_bits);
    const int half = 1 << (bits - 1);
    for (int q : {-half, -half / 2 - 1, -1, 0, 1, half / 3, half - 1}) {
      const uint32_t word = static_cast<uint32_t>(q) & ((1u << bits) - 1);
      const double mean = -p * (1 + 2.0 * q);
      const double variance = p * (1 - p) * (std::pow(4, bits) - 1) / 3;
      double sum = 0;
      double sum_squares = kWords * trials * mean * mean;  // of words without a fault
      for (int trial = 0; trial < trials; ++trial) {
        for (const WordFault& fault : FaultSampler(13).Sample({"w", kWords, bits}, trial, p)) {
          const double dq = Dequantize(word ^ fault.mask, 1, format) * unit - q;
          sum += dq;
          sum_squares += (dq - mean) * (dq - mean) - mean * mean;
        }
      }
      const double n = 1.0 * kWords * trials;
      EXPECT_NEAR(sum / n, mean, kSigmas * std::sqrt(variance / n)) << format.Name() << ", " << q;
      // Fourth cumulants of independent bits add up.
      const double kurtosis = p * (1 - p) * (1 - 6 * p * (1 - p)) * (std::pow(16, bits) - 1) / 15;
      const double fourth = kurtosis + 2 * variance * variance;
      EXPECT_NEAR(sum_squares / n, variance, kSigmas * std::sqrt(fourth / n))
          << format.Name() << ", " << q;
    }
  }
}

TEST(SamplerStatistics, SignBitOfInt8CarriesThreeQuartersOfTheVariance) {
  constexpr int kWords = 1'000'000;
  const double p = 0.05;
  const double n = kWords;
  double by_bit[8] = {};
  for (const WordFault& fault : FaultSampler(14).Sample({"w", kWords, 8}, 0, p)) {
    for (int bit = 0; bit < 8; ++bit) by_bit[bit] += fault.mask >> bit & 1;
  }
  double total = 0;
  for (int bit = 0; bit < 8; ++bit) {
    const double rate = by_bit[bit] / n;
    by_bit[bit] = std::pow(4, bit) * rate * (1 - rate);
    total += by_bit[bit];
  }
  // A bit's variance errs by sqrt((1 - p) / (n p)) of itself, 0.44%; the share by a quarter of that
  // or so.
  EXPECT_NEAR(by_bit[7] / total, 0.75, kSigmas * 0.0011);
  EXPECT_NEAR((by_bit[6] + by_bit[7]) / total, 0.9375, kSigmas * 0.0011);
  EXPECT_NEAR(std::sqrt(total), 147.8 * std::sqrt(p * (1 - p)), 1);
}

}  // namespace
}  // namespace bitquake
