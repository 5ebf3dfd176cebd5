#include "common/fault/sampler.h"

#include <chrono>
#include <cmath>
#include <map>
#include <string>

#include "common/base/digest.h"
#include "common/base/philox.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kName[] = "blocks.3.mlp.fc1.weight";

// Every bit's u, found by walking every rung of the ladder in long double: the definition, written
// apart from the sampler and for tensors small enough to be dense.
class DenseDefinition {
 public:
  // `purpose` is that of the skips: 0 for bits, 2 for words, which are given as of one bit.
  DenseDefinition(uint64_t seed, WordArray words, uint32_t trial, uint32_t purpose = 0)
      : words_(words) {
    std::string keyed = "bitquake fault stream v1";
    for (int i = 0; i < 8; ++i) keyed += static_cast<char>(seed >> (8 * i));
    keyed += std::string(words.name);
    digest_ = Sha256(keyed);
    const int64_t size = words.count * words.bits_per_word;
    int log_size = 0;
    while ((int64_t{1} << log_size) < size) ++log_size;
    bits_.resize(size);
    for (int k = 64 + log_size; k >= 1; --k) {
      const long double c = 1 / (std::ldexp(1.0L, k) - 1);
      int64_t at = -1;
      for (uint32_t n = 0;; ++n) {
        const PhiloxCounter x = Block(n, purpose, k, trial);
        const long double v = std::ldexp(x[0] + 0.5L, -128) + std::ldexp(x[1] * 1.0L, -96) +
                              std::ldexp(x[2] * 1.0L, -64) + std::ldexp(x[3] * 1.0L, -32);
        const long double skip = k == 1 ? 0 : std::floor(std::log1p(-v) / std::log1p(-c));
        if (skip >= size) break;
        at += 1 + static_cast<int64_t>(skip);
        if (at >= size) break;
        if (bits_[at].rung == 0) {
          const PhiloxCounter y = Block(n, purpose + 1, k, trial);
          bits_[at] = {k, y[0] + std::ldexp(y[1] * 1.0L, 32)};
        }
      }
    }
  }

  // Bits with u < p, u = 2^-rung (1 + depth / 2^64).
  std::vector<WordFault> Below(double p) const {
    std::map<int64_t, uint32_t> masks;
    for (size_t i = 0; i < bits_.size(); ++i) {
      if (bits_[i].depth < std::ldexp(std::ldexp(p * 1.0L, bits_[i].rung) - 1, 64)) {
        masks[i / words_.bits_per_word] |= 1u << (i % words_.bits_per_word);
      }
    }
    std::vector<WordFault> faults;
    for (const auto& [index, mask] : masks) faults.push_back({index, mask});
    return faults;
  }

  // u of a bit.
  int rung(int64_t bit) const { return bits_[bit].rung; }
  long double depth(int64_t bit) const { return bits_[bit].depth; }
  // The lowest bits of purpose 4's first word.
  uint32_t Replacement(int64_t word, int bits, uint32_t trial) const {
    return Block(static_cast<uint32_t>(word), 4, 0, trial)[0] & (~uint32_t{0} >> (32 - bits));
  }

 private:
  struct U {
    int rung = 0;
    long double depth = 0;
  };

  PhiloxCounter Block(uint32_t n, uint32_t purpose, uint32_t k, uint32_t trial) const {
    const auto word = [this](int at) {
      uint32_t value = 0;
      for (int i = 3; i >= 0; --i) value = value << 8 | digest_[at + i];
      return value;
    };
    return Philox4x32({n, purpose * 256 + k, trial, word(8)}, {word(0), word(4)});
  }

  WordArray words_;
  Sha256Bytes digest_;
  std::vector<U> bits_;
};

bool IsSubset(const std::vector<WordFault>& inner, const std::vector<WordFault>& outer) {
  size_t at = 0;
  for (const WordFault& fault : inner) {
    while (at < outer.size() && outer[at].index < fault.index) ++at;
    if (at == outer.size() || outer[at].index != fault.index ||
        (fault.mask & ~outer[at].mask) != 0) {
      return false;
    }
  }
  return true;
}

TEST(Sampler, EqualsTheDenseDefinition) {
  const double rates[] = {0,    1e-300, 1e-9, 1e-4, 1e-3, 0.0078125, 0.01,        0.1, 0.25,
                          0.26, 0.4999, 0.5,  0.51, 0.75, 0.9,       1 - 0x1p-53, 1};
  for (uint32_t trial = 0; trial < 20; ++trial) {
    for (int bits : {1, 2, 4, 7, 8, 16, 32}) {
      // The odd one is longer than the sampler's window.
      const WordArray words = {kName, bits == 7 ? 4500 : 300, bits};
      const DenseDefinition dense(2418 + trial, words, trial);
      for (double rate : rates) {
        ASSERT_EQ(FaultSampler(2418 + trial).Sample(words, trial, rate), dense.Below(rate))
            << "rate " << rate << ", trial " << trial << ", bits " << bits;
      }
    }
  }
}

TEST(Sampler, BetweenTwoRatesEveryBitHasTheUOfTheDenseDefinition) {
  const double rates[] = {0, 1e-4, 1e-3, 0.0078125, 0.01, 0.1, 0.25, 0.26, 0.5, 0.75, 0.9, 1};
  for (uint32_t trial = 0; trial < 3; ++trial) {
    const WordArray words = {kName, 4500, 8};
    const DenseDefinition dense(2418, words, trial);
    for (size_t low = 0; low < std::size(rates); ++low) {
      for (size_t high = low; high < std::size(rates); ++high) {
        std::map<int64_t, uint32_t> found;
        for (const WordFault& fault : dense.Below(rates[low])) found[fault.index] = fault.mask;
        for (const RankedBit& bit :
             FaultSampler(2418).SampleBetween(words, trial, rates[low], rates[high])) {
          ASSERT_EQ(bit.rung, dense.rung(bit.bit));
          ASSERT_EQ(static_cast<long double>(bit.depth), dense.depth(bit.bit));
          uint32_t& mask = found[bit.bit / 8];
          ASSERT_EQ(mask >> (bit.bit % 8) & 1, 0u) << "below the lower rate, or twice";
          mask |= 1u << (bit.bit % 8);
        }
        std::vector<WordFault> together;
        for (const auto& [index, mask] : found) together.push_back({index, mask});
        ASSERT_EQ(together, dense.Below(rates[high])) << rates[low] << " to " << rates[high];
      }
    }
  }
}

TEST(Sampler, ReplacedWordsEqualTheDenseDefinition) {
  for (const int bits : {4, 8, 32}) {
    for (uint32_t trial = 0; trial < 5; ++trial) {
      const DenseDefinition dense(2418, {kName, 9000, 1}, trial, /*purpose=*/2);
      for (const double rate : {0.0, 1e-3, 0.25, 0.3, 0.8, 1.0}) {
        std::vector<WordFault> expected = dense.Below(rate);
        for (WordFault& fault : expected) {
          fault.mask = ~uint32_t{0} >> (32 - bits);
          fault.value = dense.Replacement(fault.index, bits, trial);
        }
        ASSERT_EQ(FaultSampler(2418).SampleWords({kName, 9000, bits}, trial, rate), expected)
            << "rate " << rate << ", trial " << trial << ", bits " << bits;
      }
    }
  }
}

TEST(Sampler, FaultSetsNestAcrossBer) {
  const FaultSampler sampler(11);
  const WordArray words = {kName, 50'000, 8};
  for (uint32_t trial = 0; trial < 3; ++trial) {
    std::vector<WordFault> previous;
    for (double log_ber = -9; log_ber <= 0; log_ber += 0.05) {
      std::vector<WordFault> faults = sampler.Sample(words, trial, std::pow(10, log_ber));
      ASSERT_TRUE(IsSubset(previous, faults)) << "trial " << trial << ", log10 BER " << log_ber;
      previous = std::move(faults);
    }
  }
}

TEST(Sampler, FaultsAreOrderedOncePerWordAndWithinTheWord) {
  for (int bits : {3, 8, 32}) {
    const WordArray words = {kName, 50'000, bits};
    for (double ber : {1e-3, 0.2, 0.8}) {
      int64_t previous = -1;
      for (const WordFault& fault : FaultSampler(5).Sample(words, 0, ber)) {
        ASSERT_GT(fault.index, previous);
        ASSERT_LT(fault.index, words.count);
        ASSERT_NE(fault.mask, 0u);
        ASSERT_EQ(uint64_t{fault.mask} >> bits, 0u);
        previous = fault.index;
      }
    }
  }
}

TEST(Sampler, RateZeroHitsNothingAndRateOneEverything) {
  const FaultSampler sampler(5);
  EXPECT_THAT(sampler.Sample({kName, 1000, 8}, 0, 0), IsEmpty());
  EXPECT_THAT(sampler.Sample({kName, 3, 8}, 0, 1),
              ElementsAre(WordFault{0, 0xFF}, WordFault{1, 0xFF}, WordFault{2, 0xFF}));
  EXPECT_THAT(sampler.Sample({kName, 1, 32}, 0, 1), ElementsAre(WordFault{0, 0xFFFFFFFF}));
  EXPECT_THAT(sampler.Sample({kName, 0, 8}, 0, 0.5), IsEmpty());
}

TEST(Sampler, RatesFarBelowOneBitHitNothing) {
  for (uint32_t trial = 0; trial < 1000; ++trial) {
    for (double ber : {5e-324, 1e-300, 1e-40}) {
      ASSERT_THAT(FaultSampler(5).Sample({kName, int64_t{1} << 40, 32}, trial, ber), IsEmpty());
    }
  }
}

TEST(Sampler, HoldsOnTensorsOfManyBits) {
  // 2^45 bits: positions beyond 32 bits, about 35 flips.
  const WordArray words = {kName, int64_t{1} << 40, 32};
  int64_t flips = 0;
  int64_t highest = 0;
  for (uint32_t trial = 0; trial < 100; ++trial) {
    for (const WordFault& fault : FaultSampler(5).Sample(words, trial, 1e-12)) {
      flips += __builtin_popcount(fault.mask);
      highest = std::max(highest, fault.index);
    }
  }
  const double expected = 100 * std::ldexp(1e-12, 45);
  EXPECT_NEAR(flips, expected, 4.5 * std::sqrt(expected));
  EXPECT_GT(highest, words.count / 100 * 99);
}

TEST(Sampler, SeedTrialAndNameEachGiveOtherFaults) {
  const WordArray words = {kName, 10'000, 8};
  const WordArray other = {"blocks.4.mlp.fc1.weight", 10'000, 8};
  const std::vector<WordFault> faults = FaultSampler(5).Sample(words, 0, 0.01);
  EXPECT_EQ(faults, FaultSampler(5).Sample(words, 0, 0.01));
  EXPECT_NE(faults, FaultSampler(6).Sample(words, 0, 0.01));
  EXPECT_NE(faults, FaultSampler(5 + (uint64_t{1} << 63)).Sample(words, 0, 0.01));
  EXPECT_NE(faults, FaultSampler(5).Sample(words, 1, 0.01));
  EXPECT_NE(faults, FaultSampler(5).Sample(other, 0, 0.01));
}

#ifdef NDEBUG  // optimised builds only; the bounds are generous (sampler_bench prints the figures)
TEST(Sampler, CostGrowsWithFlipsNotBits) {
  const auto start = std::chrono::steady_clock::now();
  FaultSampler(5).Sample({kName, 5'000'000'000 / 8, 8}, 0, 1e-9);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(100));
}
#endif

}  // namespace
}  // namespace bitquake
