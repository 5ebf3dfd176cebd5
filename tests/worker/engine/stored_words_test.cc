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
  for (const char* format : {"int4", "int8", "int9", "int16", "fp32"}) {
    StoredWords words(Format(format));
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
