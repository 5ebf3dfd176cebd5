#include "worker/engine/stored_words.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/worker/engine/fixtures.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

const SurfaceTensor kTensor{"w", {2, 3}, "", Part::kHead, {}};
const std::vector<float> kWeights = {1.27f, -0.5f, 0, 0.01f, -1.27f, 0.3f};

FaultList List(std::vector<WordFault> faults) { return {{{0, std::move(faults)}}}; }

TEST(StoredWords, ValuesAreThoseOfTheWords) {
  StoredWords words(Format("int8"));
  const at::Tensor values = words.Add(kTensor, kWeights).value();
  EXPECT_EQ(values.sizes(), at::IntArrayRef({2, 3}));
  EXPECT_FLOAT_EQ(values.data_ptr<float>()[0], 1.27f);
  EXPECT_FLOAT_EQ(values.data_ptr<float>()[1], -0.5f);
}

TEST(StoredWords, PatchWritesTheFlippedValuesAndUndoRestoresAllBits) {
  for (const char* format : {"int4", "int8", "int9", "int16", "fixed(2.6)", "fixed(2.20)", "fp32",
                             "fp16", "bf16", "fp8_e4m3", "fp8_e5m2"}) {
    StoredWords words(Format(format), {Quantization::Scale::kPerChannel});
    const at::Tensor values = words.Add(kTensor, kWeights).value();
    const at::Tensor golden = values.clone();
    const std::string digest = words.Digest();
    const uint32_t sign = 1u << (Format(format).bits - 1);
    const FaultList faults = List({{1, 1}, {2, sign}, {5, sign | 1}});
    std::vector<int64_t> per_bit(Format(format).bits);
    per_bit.front() = 2;
    per_bit.back() = 2;
    EXPECT_EQ(words.Patch(faults).value(), per_bit) << format;
    EXPECT_NE(words.Digest(), digest) << format;
    for (const int i : {0, 3, 4}) {
      EXPECT_EQ(values.data_ptr<float>()[i], golden.data_ptr<float>()[i]) << format << i;
    }
    EXPECT_NE(values.data_ptr<float>()[1], golden.data_ptr<float>()[1]) << format;
    words.Undo(faults);
    EXPECT_EQ(words.Digest(), digest) << format;
  }
}

TEST(StoredWords, ShowGoldensWordsWhateverIsPatched) {
  StoredWords words(Format("int8"));
  ASSERT_TRUE(words.Add(kTensor, kWeights).ok());
  const FaultList faults = List({{0, 0xFF}, {4, 0xFF}});
  ASSERT_TRUE(words.Patch(faults).ok());
  const GoldenWords& golden = words;
  EXPECT_EQ(golden.Word(0, 0), 127u);
  EXPECT_EQ(golden.Word(0, 4), 0x81u);
  EXPECT_FLOAT_EQ(golden.Scale(0, 3), 0.01f);
  const ValueRange range = golden.Range(0);
  EXPECT_FLOAT_EQ(range.low, -1.27f);
  EXPECT_FLOAT_EQ(range.high, 1.27f);
  EXPECT_EQ(range.low_word, 0x81u);
  EXPECT_EQ(range.high_word, 127u);
}

TEST(StoredWords, TheRangeIsThatOfTheTensorWithoutNaN) {
  StoredWords words(Format("fp32"));
  ASSERT_TRUE(words.Add(kTensor, std::vector<float>{NAN, 2, 1, 3, NAN, 2.5f}).ok());
  EXPECT_EQ(words.Range(0).low, 1);
  EXPECT_EQ(words.Range(0).high, 3);
}

TEST(StoredWords, ZeroWithItsSignFlippedIsTheLowestInt8) {
  StoredWords words(Format("int8"));
  const at::Tensor values = words.Add(kTensor, kWeights).value();
  ASSERT_TRUE(words.Patch(List({{2, 0x80}})).ok());
  EXPECT_FLOAT_EQ(values.data_ptr<float>()[2], -1.28f);
}

TEST(StoredWords, Fp32FlipsTheIeeeWord) {
  StoredWords words(Format("fp32"));
  const at::Tensor values = words.Add(kTensor, kWeights).value();
  ASSERT_TRUE(words.Patch(List({{0, 0x80000000u}, {2, 0x7f800000u}})).ok());
  EXPECT_EQ(values.data_ptr<float>()[0], -1.27f);
  EXPECT_EQ(values.data_ptr<float>()[2], INFINITY);
}

TEST(StoredWords, ChannelsHaveTheirScales) {
  const std::vector<float> weights = {1.27f, 0, 0.5f, 0.127f, 0, -0.05f};
  StoredWords words(Format("int8"), {Quantization::Scale::kPerChannel});
  const at::Tensor values = words.Add(kTensor, weights).value();
  ASSERT_TRUE(words.Patch(List({{1, 0x80}, {4, 0x80}})).ok());
  EXPECT_FLOAT_EQ(values.data_ptr<float>()[1], -1.28f);
  EXPECT_FLOAT_EQ(values.data_ptr<float>()[4], -0.128f);
}

TEST(StoredWords, SetsFlipWhatHasTheOtherValue) {
  StoredWords words(Format("int8"));
  ASSERT_TRUE(words.Add(kTensor, kWeights).ok());  // 127, -50, 0, 1, -127, 30
  FaultList sets = List({{0, 0x81, 0x80}, {1, 0xFF, 0xCE}, {2, 0x0F, 0}, {5, 0x06, 0x02}});
  sets.effect = FaultList::Effect::kSet;
  ASSERT_TRUE(words.Check(sets).ok());
  const FaultList flips = words.FlipsOf(sets);
  EXPECT_EQ(flips.effect, FaultList::Effect::kFlip);
  ASSERT_EQ(flips.tensors.size(), 1u);
  // 127 loses bit 0 and gains bit 7; -50 is 0xCE already, 0 has no bit of 0x0F; 30 loses bit 2.
  EXPECT_THAT(flips.tensors[0].faults,
              ::testing::ElementsAre(WordFault{0, 0x81}, WordFault{5, 0x04}));
  sets = List({{1, 0xFF, 0xCE}});
  sets.effect = FaultList::Effect::kSet;
  EXPECT_TRUE(words.FlipsOf(sets).tensors.empty());
}

TEST(StoredWords, StuckBitsNeverFlipTheWrongWay) {
  StoredWords words(Format("int8"));
  std::vector<float> weights(256);
  for (int i = 0; i < 256; ++i) {
    weights[i] = static_cast<float>(std::max(i - 128, -127));
  }
  const SurfaceTensor tensor{"w", {16, 16}, "", Part::kHead, {}};
  const at::Tensor values = words.Add(tensor, weights).value();
  const at::Tensor golden = values.clone();
  for (const bool at_one : {false, true}) {
    FaultList sets = List({});
    sets.effect = FaultList::Effect::kSet;
    for (int i = 0; i < 256; ++i) {
      const uint32_t mask = 0x25u << (i % 3);
      sets.tensors[0].faults.push_back({i, mask, at_one ? mask : 0});
    }
    const FaultList flips = words.FlipsOf(sets);
    ASSERT_TRUE(words.Patch(flips).ok());
    int changed = 0;
    for (int i = 0; i < 256; ++i) {
      const int before = static_cast<int>(golden.data_ptr<float>()[i]);
      const int after = static_cast<int>(values.data_ptr<float>()[i]);
      const int mask = 0x25 << (i % 3);
      EXPECT_EQ(after & 0xFF, (at_one ? before | mask : before & ~mask) & 0xFF) << i;
      changed += after != before;
    }
    EXPECT_GT(changed, 150);
    words.Undo(flips);
    EXPECT_TRUE(values.equal(golden));
  }
}

TEST(StoredWords, ListsThatDoNotFitAreRefused) {
  StoredWords words(Format("int8"));
  ASSERT_TRUE(words.Add(kTensor, kWeights).ok());
  FaultList beyond_mask = List({{0, 0x80, 0x81}});
  beyond_mask.effect = FaultList::Effect::kSet;
  FaultList beyond_word = List({{0, 0x100, 0x100}});
  beyond_word.effect = FaultList::Effect::kSet;
  for (const FaultList& list :
       {List({{6, 1}}), List({{-1, 1}}), List({{0, 0}}), List({{0, 0x100}}), List({{1, 1}, {1, 2}}),
        List({{0, 0x80, 0x80}}), beyond_mask, beyond_word}) {
    EXPECT_EQ(words.Check(list).code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(StoredWords, PatchFindsWordsThatWereNotGolden) {
  StoredWords words(Format("int8"));
  ASSERT_TRUE(words.Add(kTensor, kWeights).ok());
  const FaultList faults = List({{1, 3}});
  ASSERT_TRUE(words.Patch(faults).ok());
  const auto again = words.Patch(faults);  // flips back what was never undone
  EXPECT_EQ(again.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(again.status().message(), HasSubstr("w: 2 bits were to flip, but 0"));
}

TEST(StoredWords, RefusesWeightsWithoutAScale) {
  StoredWords words(Format("int8"));
  const auto added = words.Add(kTensor, {1, 2, NAN, 3, 4, 5});
  EXPECT_EQ(added.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(added.status().message(), HasSubstr("w: "));
}

}  // namespace
}  // namespace bitquake
