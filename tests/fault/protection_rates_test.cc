// How often each scheme leaves an error, drawn as campaigns draw, against binomial formulas. Seeds
// are fixed, so a test passes always or never; bounds are 4.5 standard deviations.
//
// Of n bits that flip independently at rate p, P(n, k) = C(n, k) p^k (1 - p)^(n - k).
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include "common/fault/fault_source.h"
#include "common/fault/secded.h"
#include "tests/fault/plain_golden.h"

namespace bitquake {
namespace {

constexpr NumberFormat kInt8 = {NumberFormat::Kind::kInt, 8};
constexpr double kSigmas = 4.5;
constexpr int64_t kWords = 1 << 16;
constexpr int kTrials = 100;

double Binomial(int n, int k, double p) {
  double choose = 1;
  for (int i = 0; i < k; ++i) {
    choose *= static_cast<double>(n - i) / (i + 1);
  }
  return choose * std::pow(p, k) * std::pow(1 - p, n - k);
}

void ExpectCount(int64_t observed, double n, double p, const char* what) {
  EXPECT_NEAR(static_cast<double>(observed), n * p, kSigmas * std::sqrt(n * p * (1 - p)) + 1)
      << what;
}

// One tensor of which every word is `word`.
class Memory {
 public:
  explicit Memory(uint32_t word)
      : golden_(kInt8, {{std::vector<uint32_t>(kWords, word), {}}}), word_(word) {}
  Memory(std::vector<uint32_t> words, uint32_t word)
      : golden_(kInt8, {{std::move(words), {}}}), word_(word) {}

  // Calls `visit`(flips by word) for each trial.
  template <typename Visit>
  void ForEachTrial(const Protection& protection, double ber, const Visit& visit) const {
    const Surface surface = {{"w", {kWords}, "", Part::kEmbed, std::nullopt}};
    FaultModel model;
    model.protection = protection;
    const FaultSource source = FaultSource::Make(surface, model, kInt8).value();
    const Target target = {"tensor", "w", {{0, 0, kWords}}};
    for (uint32_t trial = 0; trial < kTrials; ++trial) {
      const FaultList list = source.Draw(target, /*seed=*/7, trial, ber, golden_).value();
      visit(list.tensors.empty() ? std::vector<WordFault>() : list.tensors[0].faults);
    }
  }

  uint32_t word() const { return word_; }

 private:
  PlainGolden golden_;
  uint32_t word_;
};

// Triples and quadruples of the code's bits, all or data bits only, whose columns add up to a
// column (miscorrected) or to zero (not detected). From the columns alone.
struct Ambiguous {
  explicit Ambiguous(int bits) {
    std::vector<int> columns(SecdedColumns().begin(), SecdedColumns().end());
    for (int check = 0; check < 8; ++check) {
      columns.push_back(1 << check);
    }
    std::vector<bool> is_column(256);
    for (const int column : columns) {
      is_column[column] = true;
    }
    for (int a = 0; a < bits; ++a) {
      for (int b = 0; b < a; ++b) {
        for (int c = 0; c < b; ++c) {
          const int three = columns[a] ^ columns[b] ^ columns[c];
          triples += is_column[three] ? 1 : 0;
          for (int d = 0; d < c; ++d) {
            quadruples += three == columns[d] ? 1 : 0;
          }
        }
      }
    }
    share_of_triples = triples / (bits * (bits - 1.0) * (bits - 2) / 6);
    share_of_quadruples = quadruples / (bits * (bits - 1.0) * (bits - 2) * (bits - 3) / 24);
  }
  double triples = 0;
  double quadruples = 0;
  double share_of_triples;
  double share_of_quadruples;
};

// With n bits of a memory word exposed: zeroed are two flips, triples that are no column and
// quadruples that are no codeword; wrong are the other triples and quadruples. Five and more flips
// are too rare to count at these rates.
void CheckSecded(bool check_bits_exposed, int n) {
  Protection protection;
  protection.scheme = Protection::Scheme::kSecded;
  protection.check_bits_exposed = check_bits_exposed;
  const Ambiguous ambiguous(n);
  for (const double p : {3e-4, 2e-3}) {
    const Memory memory(0x55);
    int64_t zeroed = 0;
    int64_t wrong = 0;
    memory.ForEachTrial(protection, p, [&](const std::vector<WordFault>& flips) {
      std::map<int64_t, int> zero_words;  // by memory word
      std::map<int64_t, int> any_words;
      for (const WordFault& fault : flips) {
        zero_words[fault.index / 8] += fault.mask == memory.word() ? 1 : 0;
        ++any_words[fault.index / 8];
      }
      for (const auto& [at, words] : any_words) {
        ++(words == 8 && zero_words[at] == 8 ? zeroed : wrong);
      }
    });
    const double count = kTrials * kWords / 8.0;
    ExpectCount(zeroed, count,
                Binomial(n, 2, p) + Binomial(n, 3, p) * (1 - ambiguous.share_of_triples) +
                    Binomial(n, 4, p) * (1 - ambiguous.share_of_quadruples),
                "zeroed");
    ExpectCount(wrong, count,
                Binomial(n, 3, p) * ambiguous.share_of_triples +
                    Binomial(n, 4, p) * ambiguous.share_of_quadruples,
                "wrong");
  }
}

TEST(ProtectionRates, OfSecded) { CheckSecded(/*check_bits_exposed=*/true, 72); }

TEST(ProtectionRates, OfSecdedWithSafeCheckBits) { CheckSecded(/*check_bits_exposed=*/false, 64); }

// Two flips stay: so many data bits flip as two of 72 hold, 2 x 64/72, and those of triples.
TEST(ProtectionRates, OfSecdedThatKeepsWhatItCannotCorrect) {
  Protection protection;
  protection.scheme = Protection::Scheme::kSecded;
  protection.uncorrectable = Protection::Uncorrectable::kKeep;
  const double p = 1e-3;
  const Memory memory(0x55);
  std::map<int, int64_t> memory_words_by_flips;
  memory.ForEachTrial(protection, p, [&](const std::vector<WordFault>& flips) {
    std::map<int64_t, int> by_memory_word;
    for (const WordFault& fault : flips) {
      by_memory_word[fault.index / 8] += __builtin_popcount(fault.mask);
    }
    for (const auto& [at, count] : by_memory_word) {
      ++memory_words_by_flips[count];
    }
  });
  const double count = kTrials * kWords / 8.0;
  EXPECT_EQ(memory_words_by_flips.count(0), 0u);
  // One data flip and one check flip; two data flips. Triples that are detected add at most their
  // own probability, which the bounds below leave room for.
  const double q = 1 - p;
  const double one = 64 * 8 * p * p * std::pow(q, 70);
  const double two = 64 * 63 / 2 * p * p * std::pow(q, 70);
  const double three = Binomial(72, 3, p);
  const auto within = [&](int64_t observed, double low, double high) {
    EXPECT_GT(observed, count * low - kSigmas * std::sqrt(count * low));
    EXPECT_LT(observed, count * high + kSigmas * std::sqrt(count * high));
  };
  within(memory_words_by_flips[1], one, one + three);
  within(memory_words_by_flips[2], two, two + three);
}

// Of a word's 8 bits and its parity bit: an odd number is P_odd = (1 - (1 - 2p)^9) / 2; the rest,
// without that of no flip at all, is not detected.
TEST(ProtectionRates, OfParity) {
  Protection protection;
  protection.scheme = Protection::Scheme::kParity;
  for (const bool exposed : {true, false}) {
    protection.check_bits_exposed = exposed;
    const int n = exposed ? 9 : 8;
    for (const double p : {1e-3, 2e-2}) {
      // No even number of flips of 0x7F (seven ones) is all of them, so zero is told from a flip.
      const Memory memory(0x7F);
      int64_t zeroed = 0;
      int64_t wrong = 0;
      memory.ForEachTrial(protection, p, [&](const std::vector<WordFault>& flips) {
        for (const WordFault& fault : flips) {
          ++(fault.mask == memory.word() ? zeroed : wrong);
        }
      });
      const double odd = (1 - std::pow(1 - 2 * p, n)) / 2;
      // With the parity bit and one of the word's, the mask has one bit; 0x7F it is never.
      ExpectCount(zeroed, double{kTrials} * kWords, odd, "zeroed");
      ExpectCount(wrong, double{kTrials} * kWords, 1 - odd - std::pow(1 - p, n), "wrong");
    }
  }
}

// A copied bit is wrong if two or three of its copies are: 3 p^2 (1 - p) + p^3; any other at p.
TEST(ProtectionRates, OfTriplicatedTopBits) {
  Protection protection;
  protection.scheme = Protection::Scheme::kTmr;
  protection.copied_bits = 3;
  for (const double p : {1e-3, 5e-2}) {
    const Memory memory(0);
    std::vector<int64_t> flips_per_bit(8);
    memory.ForEachTrial(protection, p, [&](const std::vector<WordFault>& flips) {
      for (const WordFault& fault : flips) {
        for (int bit = 0; bit < 8; ++bit) {
          flips_per_bit[bit] += fault.mask >> bit & 1;
        }
      }
    });
    for (int bit = 0; bit < 8; ++bit) {
      const double expected = bit >= 5 ? 3 * p * p * (1 - p) + p * p * p : p;
      ExpectCount(flips_per_bit[bit], double{kTrials} * kWords, expected, "bit");
    }
  }
}

// Words of value 0 in a tensor of values -5 to 10: each faulty word is its mask as a number, and
// has probability p^k (1 - p)^(8 - k) of its k bits.
TEST(ProtectionRates, OfClamping) {
  Protection protection;
  protection.scheme = Protection::Scheme::kClamp;
  std::vector<uint32_t> words(kWords, 0);
  words[0] = 10;
  words[1] = 0xFB;
  const Memory memory(words, 0);
  for (const double p : {1e-3, 5e-2}) {
    std::map<uint32_t, double> expected;
    for (uint32_t mask = 0; mask < 256; ++mask) {
      const int value = static_cast<int8_t>(mask);
      const uint32_t read = value > 10 ? 10 : value < -5 ? 0xFB : mask;
      const int bits = __builtin_popcount(mask);
      expected[read] += std::pow(p, bits) * std::pow(1 - p, 8 - bits);
    }
    std::map<uint32_t, int64_t> observed;
    memory.ForEachTrial(protection, p, [&](const std::vector<WordFault>& flips) {
      for (const WordFault& fault : flips) {
        if (fault.index > 1) {
          ++observed[fault.mask];
        }
      }
    });
    for (const auto& [read, count] : observed) {
      EXPECT_GT(expected.count(read), 0u) << read;
    }
    for (const auto& [read, probability] : expected) {
      if (read != 0) {
        ExpectCount(observed[read], kTrials * (kWords - 2.0), probability, "value");
      }
    }
  }
}

}  // namespace
}  // namespace bitquake
