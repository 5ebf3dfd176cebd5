// What each scheme makes of given flips, exactly.
#include "common/fault/protection_schemes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "absl/base/casts.h"
#include "common/fault/secded.h"
#include "tests/fault/plain_golden.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr NumberFormat kInt4 = {NumberFormat::Kind::kInt, 4};
constexpr NumberFormat kInt8 = {NumberFormat::Kind::kInt, 8};
constexpr NumberFormat kFp32 = {NumberFormat::Kind::kFp32, 32};

PlainGolden Golden(NumberFormat format, std::vector<uint32_t> words, Scales scales = {}) {
  return PlainGolden(format, {{std::move(words), std::move(scales)}});
}

std::vector<WordFault> Residual(const Protection& protection, NumberFormat format,
                                const GoldenWords& golden, int64_t words, MemoryFaults faults) {
  faults.words = words;
  return ResidualFlips(protection, faults, format, golden);
}

Protection Secded(Protection::Uncorrectable uncorrectable = Protection::Uncorrectable::kZero) {
  Protection protection;
  protection.scheme = Protection::Scheme::kSecded;
  protection.uncorrectable = uncorrectable;
  return protection;
}

Protection Parity() {
  Protection protection;
  protection.scheme = Protection::Scheme::kParity;
  return protection;
}

Protection Tmr(int bits) {
  Protection protection;
  protection.scheme = Protection::Scheme::kTmr;
  protection.copied_bits = bits;
  return protection;
}

Protection Clamp(Protection::Outside outside = Protection::Outside::kClamp) {
  Protection protection;
  protection.scheme = Protection::Scheme::kClamp;
  protection.outside = outside;
  return protection;
}

MemoryFaults Flips(std::vector<WordFault> flips, std::vector<WordFault> check_bits = {}) {
  MemoryFaults faults;
  faults.flips = std::move(flips);
  faults.check_bits = std::move(check_bits);
  return faults;
}

TEST(SecdedScheme, ASingleFlipOfAMemoryWordIsGone) {
  const PlainGolden golden = Golden(kInt8, std::vector<uint32_t>(24, 0x55));
  EXPECT_THAT(Residual(Secded(), kInt8, golden, 24, Flips({{3, 0x80}, {8, 1}, {23, 2}})),
              IsEmpty());
  EXPECT_THAT(Residual(Secded(), kInt8, golden, 24, Flips({}, {{1, 0x40}})), IsEmpty());
}

TEST(SecdedScheme, TwoFlipsZeroTheWholeMemoryWordOrStay) {
  std::vector<uint32_t> words(24, 0x55);
  words[10] = 0;
  const PlainGolden golden = Golden(kInt8, words);
  // Words 8 to 15 are one memory word; the flips of 3 and 16 are alone in theirs.
  const MemoryFaults faults = Flips({{3, 1}, {9, 0x80}, {15, 1}, {16, 1}});
  EXPECT_THAT(
      Residual(Secded(), kInt8, golden, 24, faults),
      ElementsAre(WordFault{8, 0x55}, WordFault{9, 0x55}, WordFault{11, 0x55}, WordFault{12, 0x55},
                  WordFault{13, 0x55}, WordFault{14, 0x55}, WordFault{15, 0x55}));
  EXPECT_THAT(Residual(Secded(Protection::Uncorrectable::kKeep), kInt8, golden, 24, faults),
              ElementsAre(WordFault{9, 0x80}, WordFault{15, 1}));
}

TEST(SecdedScheme, CheckBitsCountAsFlips) {
  const PlainGolden golden = Golden(kInt8, std::vector<uint32_t>(8, 3));
  EXPECT_THAT(Residual(Secded(Protection::Uncorrectable::kKeep), kInt8, golden, 8,
                       Flips({{2, 0x10}}, {{0, 1}})),
              ElementsAre(WordFault{2, 0x10}));
  EXPECT_EQ(Residual(Secded(), kInt8, golden, 8, Flips({}, {{0, 0x82}})).size(), 8u);
}

TEST(SecdedScheme, ThreeFlipsMayInvertAFourth) {
  const PlainGolden golden = Golden(kInt8, std::vector<uint32_t>(8, 0));
  const auto with_column = [](int column) {
    return std::find(SecdedColumns().begin(), SecdedColumns().end(), column) -
           SecdedColumns().begin();
  };
  // 00000111 + 00001011 + 00110100 = 00111000
  std::vector<WordFault> memory;
  std::vector<WordFault> expected;
  for (int64_t word = 0; word < 8; ++word) {
    memory.push_back({word, 0});
    for (const int column : {0b00000111, 0b00001011, 0b00110100}) {
      memory[word].mask |= with_column(column) / 8 == word ? 1u << with_column(column) % 8 : 0;
    }
    expected.push_back(memory[word]);
    const auto wrong = with_column(0b00111000);
    expected[word].mask |= wrong / 8 == word ? 1u << wrong % 8 : 0;
  }
  const auto is_clean = [](const WordFault& fault) { return fault.mask == 0; };
  memory.erase(std::remove_if(memory.begin(), memory.end(), is_clean), memory.end());
  expected.erase(std::remove_if(expected.begin(), expected.end(), is_clean), expected.end());
  EXPECT_EQ(Residual(Secded(), kInt8, golden, 8, Flips(memory)), expected);
  // 00000111 + 00001011 + 00001110 = 00000010, the column of a check bit: no data bit is inverted.
  EXPECT_THAT(Residual(Secded(), kInt8, golden, 8, Flips({{0, 0b1011}})),
              ElementsAre(WordFault{0, 0b1011}));
}

TEST(SecdedScheme, PacksSixteenInt4WordsAndPadsTheLast) {
  const PlainGolden golden = Golden(kInt4, std::vector<uint32_t>(20, 0xF));
  // Words 16 to 19 are a memory word with 48 zero bits after them.
  EXPECT_THAT(Residual(Secded(), kInt4, golden, 20, Flips({{15, 1}, {16, 1}})), IsEmpty());
  EXPECT_THAT(
      Residual(Secded(), kInt4, golden, 20, Flips({{17, 8}, {18, 8}})),
      ElementsAre(WordFault{16, 0xF}, WordFault{17, 0xF}, WordFault{18, 0xF}, WordFault{19, 0xF}));
}

TEST(SecdedScheme, AFlipThatTheDecoderMakesInPaddingChangesNoWord) {
  // One word of 8 bits: all triples of its bits; whatever the decoder inverts elsewhere is lost.
  const PlainGolden golden = Golden(kInt8, {0xFF});
  int in_padding = 0;
  for (uint32_t mask = 0; mask < 256; ++mask) {
    if (__builtin_popcount(mask) != 3) {
      continue;
    }
    const SecdedResult decoded = DecodeSecded({mask, 0});
    const std::vector<WordFault> left =
        Residual(Secded(Protection::Uncorrectable::kKeep), kInt8, golden, 1, Flips({{0, mask}}));
    EXPECT_THAT(left, ElementsAre(WordFault{0, static_cast<uint32_t>(decoded.data_flips & 0xFF)}));
    in_padding += decoded.data_flips > 0xFF ? 1 : 0;
  }
  EXPECT_GT(in_padding, 0);
}

TEST(ParityScheme, OddFlipsZeroTheWordEvenOnesStay) {
  const PlainGolden golden = Golden(kInt8, {0x11, 0x22, 0x33, 0x00, 0x44, 0x55});
  EXPECT_THAT(Residual(Parity(), kInt8, golden, 6,
                       Flips({{0, 1}, {1, 3}, {2, 7}, {3, 1}, {4, 1}}, {{4, 1}, {5, 1}})),
              ElementsAre(WordFault{0, 0x11}, WordFault{1, 3}, WordFault{2, 0x33}, WordFault{4, 1},
                          WordFault{5, 0x55}));
}

TEST(TmrScheme, ReadsTheMajorityOfTheTopBitsAndTheOthersAsTheyAre) {
  const PlainGolden golden = Golden(kInt8, std::vector<uint32_t>(4, 0));
  MemoryFaults faults = Flips({{0, 0xFF}, {1, 0xC1}});
  faults.second_copy = {{1, 0x80}, {2, 0xC0}};
  faults.third_copy = {{1, 0x40}, {2, 0x40}, {3, 0x80}};
  EXPECT_THAT(Residual(Tmr(2), kInt8, golden, 4, faults),
              ElementsAre(WordFault{0, 0x3F}, WordFault{1, 0xC1}, WordFault{2, 0x40}));
}

TEST(ClampScheme, BringsValuesBackToTheNearestInside) {
  // int8 values -3 .. 5, scale 1.
  const PlainGolden golden = Golden(kInt8, {5, 0xFD, 0, 1});
  // 69 becomes 5 and -67 becomes -3, which they were; -128 becomes -3; 5 is inside.
  EXPECT_THAT(Residual(Clamp(), kInt8, golden, 4, Flips({{0, 0x40}, {1, 0x40}, {2, 0x80}, {3, 4}})),
              ElementsAre(WordFault{2, 0xFD}, WordFault{3, 4}));
}

TEST(ClampScheme, MayZeroInstead) {
  const PlainGolden golden = Golden(kInt8, {5, 0xFD, 0, 1});
  EXPECT_THAT(Residual(Clamp(Protection::Outside::kZero), kInt8, golden, 4,
                       Flips({{0, 0x40}, {1, 0x40}, {2, 0x80}, {3, 4}})),
              ElementsAre(WordFault{0, 5}, WordFault{1, 0xFD}, WordFault{3, 4}));
}

TEST(ClampScheme, ANaNBecomesZeroAndInfinityTheLargest) {
  const auto bits = [](float value) { return absl::bit_cast<uint32_t>(value); };
  const PlainGolden golden = Golden(kFp32, {bits(1.5f), bits(-2.f), bits(0.25f)});
  const uint32_t nan = bits(std::numeric_limits<float>::quiet_NaN());
  const uint32_t infinity = bits(std::numeric_limits<float>::infinity());
  EXPECT_THAT(Residual(Clamp(), kFp32, golden, 3,
                       Flips({{0, bits(1.5f) ^ nan}, {2, bits(0.25f) ^ infinity}})),
              ElementsAre(WordFault{0, bits(1.5f)}, WordFault{2, bits(0.25f) ^ bits(1.5f)}));
}

TEST(ClampScheme, KeepsToTheTensorsRangeInEachChannelsSteps) {
  // Channels of two words: scales 1 and 0.3. Golden's range is -4 to 2.
  const PlainGolden golden = Golden(kInt8, {2, 0xFC, 1, 0}, {{1, 0.3f}, 2});
  // 0.3 * 65 = 19.5 is beyond 2; the most that steps of 0.3 reach is 1.8 = 6 * 0.3.
  EXPECT_THAT(Residual(Clamp(), kInt8, golden, 4, Flips({{2, 0x40}})),
              ElementsAre(WordFault{2, 1 ^ 6}));
  // 0.3 * -128 is below -4; -3.9 = -13 * 0.3 is not.
  EXPECT_THAT(Residual(Clamp(), kInt8, golden, 4, Flips({{3, 0x80}})),
              ElementsAre(WordFault{3, 0xF3}));
}

TEST(ClampScheme, AlwaysEndsInsideForEveryWordAndFlip) {
  const PlainGolden golden = Golden(kInt8, {2, 0xFC, 1, 0, 100, 0xB0}, {{1, 0.3f, 0.0123f}, 2});
  const ValueRange range = golden.Range(0);
  for (int64_t word = 0; word < 6; ++word) {
    for (uint32_t mask = 1; mask < 256; ++mask) {
      const std::vector<WordFault> left =
          Residual(Clamp(), kInt8, golden, 6, Flips({{word, mask}}));
      const uint32_t read = golden.Word(0, word) ^ (left.empty() ? 0 : left[0].mask);
      const float scale = golden.Scale(0, word);
      const float value = Dequantize(read, scale, kInt8);
      EXPECT_GE(value, range.low);
      EXPECT_LE(value, range.high);
      const float faulty = Dequantize(golden.Word(0, word) ^ mask, scale, kInt8);
      // No step nearer to the faulty value is inside.
      const float nearer = value + (faulty > value ? scale : -scale);
      if (faulty != value) {
        EXPECT_TRUE(nearer < range.low || nearer > range.high) << word << " " << mask;
      }
    }
  }
}

}  // namespace
}  // namespace bitquake
