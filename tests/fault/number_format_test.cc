#include "common/fault/number_format.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

NumberFormat Int(int bits) { return {NumberFormat::Kind::kInt, bits}; }
constexpr NumberFormat kFp32 = {NumberFormat::Kind::kFp32, 32};

std::vector<float> GaussianWeights(int n) {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> weights(n);
  for (float& w : weights) w = normal(generator);
  return weights;
}

TEST(NumberFormat, NamesRoundTrip) {
  for (int bits = 2; bits <= 16; ++bits) {
    const std::string name = "int" + std::to_string(bits);
    absl::StatusOr<NumberFormat> format = NumberFormat::FromName(name);
    ASSERT_TRUE(format.ok()) << format.status();
    EXPECT_EQ(format->kind, NumberFormat::Kind::kInt);
    EXPECT_EQ(format->bits, bits);
    EXPECT_EQ(format->Name(), name);
  }
  for (int bits = 2; bits <= 32; ++bits) {
    for (int n = 0; n < bits; ++n) {
      const std::string name = "fixed(" + std::to_string(bits - n) + "." + std::to_string(n) + ")";
      const NumberFormat format = NumberFormat::FromName(name).value();
      EXPECT_EQ(format.kind, NumberFormat::Kind::kFixed);
      EXPECT_EQ(format.bits, bits);
      EXPECT_EQ(format.fraction_bits, n);
      EXPECT_EQ(format.Name(), name);
    }
  }
  const std::pair<const char*, int> floats[] = {
      {"fp32", 32}, {"fp16", 16}, {"bf16", 16}, {"fp8_e4m3", 8}, {"fp8_e5m2", 8}};
  for (const auto& [name, bits] : floats) {
    const absl::StatusOr<NumberFormat> format = NumberFormat::FromName(name);
    ASSERT_TRUE(format.ok()) << format.status();
    EXPECT_EQ(format->bits, bits);
    EXPECT_EQ(format->Name(), name);
  }
}

TEST(NumberFormat, UnknownNamesAreRefused) {
  for (const char* name : {"int1", "int17", "int", "int08", "int 8", "int+8", "INT8", "fp33", "",
                           "fixed", "fixed(8)", "fixed(0.8)", "fixed(1.0)", "fixed(2.31)",
                           "fixed(2.6", "fixed(02.6)", "fixed(2.-1)", "fixed( 2.6)", "fp8"}) {
    const absl::Status status = NumberFormat::FromName(name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(status.message(), HasSubstr("int2 to int16, fixed(m.n)")) << name;
  }
  EXPECT_THAT(NumberFormat::FromName("fp23").status().message(), HasSubstr("did you mean 'fp32'"));
  EXPECT_THAT(NumberFormat::FromName("fp8_e4m3fn").status().message(),
              HasSubstr("did you mean 'fp8_e4m3'"));
  EXPECT_THAT(NumberFormat::FromName("fixed2.6").status().message(), HasSubstr("'fixed(2.6)'"));
  EXPECT_THAT(NumberFormat::FromName("in\t4").status().message(), HasSubstr("'in\\t4'"));
}

TEST(NumberFormat, IntRoundsHalfToEven) {
  // absmax 127 makes the scale exactly 1.
  const std::vector<float> weights = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 127, -127, 0.49f};
  absl::StatusOr<QuantizedTensor> tensor = Quantize(weights, Int(8));
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->ScaleOf(0), 1);
  EXPECT_THAT(tensor->words, ElementsAre(0, 2, 2, 0, 0xFE, 0xFE, 127, 0x81, 0));
}

TEST(NumberFormat, IntFollowsItsDefinition) {
  const std::vector<float> weights = GaussianWeights(10'000);
  float absmax = 0;
  for (float w : weights) absmax = std::max(absmax, std::fabs(w));
  for (int bits = 2; bits <= 16; ++bits) {
    const int highest = (1 << (bits - 1)) - 1;
    absl::StatusOr<QuantizedTensor> tensor = Quantize(weights, Int(bits));
    ASSERT_TRUE(tensor.ok());
    ASSERT_EQ(tensor->ScaleOf(0), absmax / static_cast<float>(highest));
    ASSERT_EQ(tensor->words.size(), weights.size());
    for (size_t i = 0; i < weights.size(); ++i) {
      const float quotient = weights[i] / tensor->ScaleOf(0);
      const int q =
          std::min(std::max(static_cast<int>(std::nearbyintf(quotient)), -highest - 1), highest);
      ASSERT_EQ(tensor->words[i], static_cast<uint32_t>(q) & ((1u << bits) - 1))
          << "int" << bits << ", weight " << weights[i];
      ASSERT_EQ(Dequantize(tensor->words[i], tensor->ScaleOf(0), Int(bits)),
                static_cast<float>(q) * tensor->ScaleOf(0));
    }
  }
}

TEST(NumberFormat, DequantizeReadsTwosComplement) {
  EXPECT_EQ(Dequantize(0x80, 0.5f, Int(8)), -64);
  EXPECT_EQ(Dequantize(0x7F, 0.5f, Int(8)), 63.5f);
  EXPECT_EQ(Dequantize(0xF, 1, Int(4)), -1);
  EXPECT_EQ(Dequantize(0x8, 1, Int(4)), -8);
  EXPECT_EQ(Dequantize(0x2, 1, Int(2)), -2);
  EXPECT_EQ(Dequantize(0x8000, 1, Int(16)), -32768);
}

TEST(NumberFormat, NothingIsClampedAfterAFlip) {
  // The sign bit of q = 0 gives -128, which no quantised weight of absmax scaling reaches.
  absl::StatusOr<QuantizedTensor> tensor = Quantize({0.0f, 1.27f}, Int(8));
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(Dequantize(tensor->words[0] ^ 0x80, tensor->ScaleOf(0), Int(8)),
            -128 * tensor->ScaleOf(0));
}

TEST(NumberFormat, ZerosHaveScaleOne) {
  for (float w : {0.0f, -0.0f, 1e-45f}) {
    absl::StatusOr<QuantizedTensor> tensor = Quantize({w, w}, Int(8));
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(tensor->ScaleOf(0), 1);
    EXPECT_THAT(tensor->words, ElementsAre(0, 0));
  }
}

TEST(NumberFormat, TinyWeightsAreClippedNotWrapped) {
  // A subnormal scale is rounded so coarsely that the quotient exceeds the range.
  const float tiny = 190 * std::numeric_limits<float>::denorm_min();
  absl::StatusOr<QuantizedTensor> tensor = Quantize({tiny, -tiny}, Int(8));
  ASSERT_TRUE(tensor.ok());
  EXPECT_THAT(tensor->words, ElementsAre(127, 0x80));
}

TEST(NumberFormat, NonFiniteWeightsAreRefusedByIndex) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (float bad : {infinity, -infinity, std::nanf("")}) {
    const absl::Status status = Quantize({1.0f, bad}, Int(8)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("weight 1 is"));
  }
}

TEST(NumberFormat, Fp32IsTheWordItself) {
  const float infinity = std::numeric_limits<float>::infinity();
  absl::StatusOr<QuantizedTensor> tensor = Quantize({1.0f, -0.0f, infinity}, kFp32);
  ASSERT_TRUE(tensor.ok());
  EXPECT_THAT(tensor->words, ElementsAre(0x3F800000, 0x80000000, 0x7F800000));
  EXPECT_EQ(Dequantize(tensor->words[0], 1, kFp32), 1.0f);
  EXPECT_TRUE(std::isinf(Dequantize(tensor->words[0] ^ 0x40000000, 1, kFp32)));
}

TEST(NumberFormat, NoWeightsGiveNoWords) {
  EXPECT_TRUE(Quantize({}, Int(8))->words.empty());
  EXPECT_TRUE(Quantize({}, kFp32)->words.empty());
}

}  // namespace
}  // namespace bitquake
