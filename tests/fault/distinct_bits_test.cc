// Fixed numbers of faults: the bits with the smallest u, without replacement. Seeds are fixed;
// bounds on statistics are 4.5 standard deviations.
#include "common/fault/distinct_bits.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

constexpr double kSigmas = 4.5;

// (tensor, word, bit of the word)
using Bit = std::tuple<int, int64_t, int>;

std::set<Bit> BitsOf(const FaultList& list) {
  std::set<Bit> bits;
  int tensor = -1;
  for (const TensorFaults& hit : list.tensors) {
    EXPECT_GT(hit.tensor, tensor);
    tensor = hit.tensor;
    int64_t index = -1;
    for (const WordFault& fault : hit.faults) {
      EXPECT_GT(fault.index, index);
      EXPECT_NE(fault.mask, 0u);
      index = fault.index;
      for (int bit = 0; bit < 32; ++bit) {
        if (fault.mask >> bit & 1) bits.insert({tensor, index, bit});
      }
    }
  }
  return bits;
}

Surface Tensors(const std::vector<int64_t>& words) {
  Surface surface;
  for (size_t i = 0; i < words.size(); ++i) {
    surface.push_back({"t" + std::to_string(i), {words[i]}, "", Part::kMlp, {}});
  }
  return surface;
}

Target Whole(const Surface& surface) {
  Target target{"model", "model", {}};
  for (size_t i = 0; i < surface.size(); ++i) {
    target.ranges.push_back({static_cast<int>(i), 0, surface[i].words()});
  }
  return target;
}

FaultList Draw(const Surface& surface, const Target& target, int bits_per_word, uint32_t positions,
               int64_t count, uint32_t trial = 0) {
  absl::StatusOr<FaultList> list =
      DrawDistinctBits(FaultSampler(2418), surface, target, bits_per_word, positions, count, trial);
  EXPECT_TRUE(list.ok()) << list.status();
  return *std::move(list);
}

// Three tensors; of the second two ranges, of the third none; bits 1, 2 and 5 of 8.
class DistinctBitsTest : public ::testing::Test {
 protected:
  const Surface surface_ = Tensors({40, 100, 60, 30});
  const Target target_ = {"t", "t", {{0, 0, 40}, {1, 5, 10}, {1, 50, 20}, {3, 29, 1}}};
  const uint32_t positions_ = 0x26;
  const int64_t bits_ = 71 * 3;
};

TEST_F(DistinctBitsTest, AreAsManyAsWantedAndOfTheTarget) {
  for (uint32_t trial = 0; trial < 20; ++trial) {
    for (int64_t count = 0; count <= bits_; ++count) {
      const FaultList list = Draw(surface_, target_, 8, positions_, count, trial);
      ASSERT_EQ(list.flips(), count);
      for (const auto& [tensor, word, bit] : BitsOf(list)) {
        ASSERT_NE(positions_ >> bit & 1, 0u);
        ASSERT_TRUE(std::any_of(target_.ranges.begin(), target_.ranges.end(),
                                [t = tensor, w = word](const WordRange& range) {
                                  return range.tensor == t && w >= range.first &&
                                         w < range.first + range.count;
                                }))
            << tensor << " " << word;
      }
    }
  }
}

TEST_F(DistinctBitsTest, NestInTheirNumber) {
  for (uint32_t trial = 0; trial < 5; ++trial) {
    std::set<Bit> previous;
    for (int64_t count = 0; count <= bits_; ++count) {
      const std::set<Bit> bits = BitsOf(Draw(surface_, target_, 8, positions_, count, trial));
      ASSERT_TRUE(std::includes(bits.begin(), bits.end(), previous.begin(), previous.end()));
      previous = bits;
    }
  }
}

TEST_F(DistinctBitsTest, AreTheFaultsAtTheRateThatGivesAsMany) {
  for (uint32_t trial = 0; trial < 5; ++trial) {
    for (double rate = 1; rate > 1e-3; rate *= 0.93) {
      FaultModel bernoulli;
      bernoulli.positions = {1, 2, 5};
      const FaultList at_rate =
          DrawFaults(surface_, target_, bernoulli, {NumberFormat::Kind::kInt, 8}, 2418, trial, rate)
              .value();
      ASSERT_EQ(BitsOf(Draw(surface_, target_, 8, positions_, at_rate.flips(), trial)),
                BitsOf(at_rate))
          << rate;
    }
  }
}

TEST_F(DistinctBitsTest, AreThoseWithTheSmallestU) {
  for (uint32_t trial = 0; trial < 5; ++trial) {
    std::vector<std::tuple<int, uint64_t, Bit>> ranked;  // by u
    for (int tensor = 0; tensor < 4; ++tensor) {
      const WordArray words = {surface_[tensor].name, surface_[tensor].words(), 8};
      for (const RankedBit& bit : FaultSampler(2418).SampleBetween(words, trial, 0, 1)) {
        ranked.emplace_back(-bit.rung, bit.depth, Bit{tensor, bit.bit / 8, bit.bit % 8});
      }
    }
    ASSERT_EQ(ranked.size(), 230u * 8);
    std::sort(ranked.begin(), ranked.end());
    std::set<Bit> smallest;
    for (int64_t count = 1; count <= 500; ++count) {
      smallest.insert(std::get<2>(ranked[count - 1]));
      ASSERT_EQ(BitsOf(Draw(surface_, Whole(surface_), 8, 0xFF, count, trial)), smallest);
    }
  }
}

TEST_F(DistinctBitsTest, MoreThanTheTargetHasAreRefused) {
  const absl::Status status =
      DrawDistinctBits(FaultSampler(1), surface_, target_, 8, positions_, bits_ + 1, 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("target 't' has only 213 bits"));
}

// Of more than 65,536, most are drawn at a rate and only the last put in order. One draw in twenty
// finds too few or too many at first.
TEST(DistinctBits, ManyAreThoseWithTheSmallestUToo) {
  const Surface surface = Tensors({15'000, 10'000});
  for (uint32_t trial = 0; trial < 100; ++trial) {
    std::vector<std::tuple<int, uint64_t, int, int64_t>> ranked;
    for (int tensor = 0; tensor < 2; ++tensor) {
      const WordArray words = {surface[tensor].name, surface[tensor].words(), 8};
      for (const RankedBit& bit : FaultSampler(2418).SampleBetween(words, trial, 0, 1)) {
        ranked.emplace_back(-bit.rung, bit.depth, tensor, bit.bit);
      }
    }
    for (const int64_t count : {(1 << 16) + 1, 199'999}) {
      const FaultList list = Draw(surface, Whole(surface), 8, 0xFF, count, trial);
      ASSERT_EQ(list.flips(), count);
      std::nth_element(ranked.begin(), ranked.begin() + count, ranked.end());
      std::vector<uint32_t> masks[] = {std::vector<uint32_t>(15'000),
                                       std::vector<uint32_t>(10'000)};
      for (int64_t i = 0; i < count; ++i) {
        const auto& [rung, depth, tensor, bit] = ranked[i];
        masks[tensor][bit / 8] |= 1u << (bit % 8);
      }
      for (const TensorFaults& hit : list.tensors) {
        for (const WordFault& fault : hit.faults) {
          ASSERT_EQ(masks[hit.tensor][fault.index], fault.mask);
        }
      }
    }
  }
}

TEST(DistinctBits, AllSubsetsAreEquallyLikely) {
  // 6 bits in two tensors: 15 pairs, 20 triples.
  const Surface surface = Tensors({2, 1});
  const int trials = 10'000;
  const std::pair<int64_t, int> cases[] = {{1, 6}, {2, 15}, {3, 20}, {5, 6}};
  for (const auto& [count, subsets] : cases) {
    std::map<std::set<Bit>, int64_t> seen;
    for (int trial = 0; trial < trials; ++trial) {
      ++seen[BitsOf(Draw(surface, Whole(surface), 2, 3, count, trial))];
    }
    ASSERT_EQ(static_cast<int>(seen.size()), subsets);
    const double expected = 1.0 * trials / subsets;
    double chi_square = 0;
    for (const auto& [subset, times] : seen) {
      chi_square += (times - expected) * (times - expected) / expected;
    }
    const double freedom = subsets - 1;
    EXPECT_LT(std::fabs(chi_square - freedom) / std::sqrt(2 * freedom), kSigmas) << count;
  }
}

TEST(DistinctBits, PartsGetHypergeometricNumbers) {
  const Surface surface = Tensors({100, 50, 250});
  const double bits = 400 * 8;
  const int trials = 1000;
  for (const int64_t count : {1, 7, 100, 1600, 3150}) {
    std::vector<double> sums(3);
    std::vector<double> squares(3);
    std::vector<double> positions(8);
    for (int trial = 0; trial < trials; ++trial) {
      std::vector<int64_t> hits(3);
      for (const auto& [tensor, word, bit] :
           BitsOf(Draw(surface, Whole(surface), 8, 0xFF, count, trial))) {
        ++hits[tensor];
        ++positions[bit];
      }
      for (int t = 0; t < 3; ++t) {
        const double mean = count * surface[t].words() * 8 / bits;
        sums[t] += hits[t] - mean;
        squares[t] += (hits[t] - mean) * (hits[t] - mean);
      }
    }
    const auto variance = [&](double part) {
      return count * part * (1 - part) * (bits - count) / (bits - 1);
    };
    for (int t = 0; t < 3; ++t) {
      const double expected = variance(surface[t].words() * 8 / bits);
      EXPECT_LT(std::fabs(sums[t]) / std::sqrt(expected * trials), kSigmas) << count << " " << t;
      // The fourth moment is below that of a Bernoulli draw of the same variance.
      const double fourth = 2 * expected * expected + expected;
      EXPECT_NEAR(squares[t] / trials, expected, kSigmas * std::sqrt(fourth / trials))
          << count << " " << t;
    }
    for (int bit = 0; bit < 8; ++bit) {
      EXPECT_LT(
          std::fabs(positions[bit] - count * trials / 8.0) / std::sqrt(variance(1.0 / 8) * trials),
          kSigmas)
          << count << " " << bit;
    }
  }
}

}  // namespace
}  // namespace bitquake
