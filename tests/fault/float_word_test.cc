// Every word of the floating-point formats, against a definition by fields and by nearness.
#include "common/fault/float_word.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "common/fault/number_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Layout {
  const char* name;
  NumberFormat format;
  int exponent_bits;
  int mantissa_bits;
  bool has_infinity;

  uint32_t words() const { return 1u << (1 + exponent_bits + mantissa_bits); }
  uint32_t sign() const { return words() / 2; }

  // The value of a word without its sign, infinities and NaN taken for further values.
  double Extended(uint32_t magnitude) const {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = static_cast<int>(magnitude >> mantissa_bits);
    const double fraction = std::ldexp(magnitude & ((1u << mantissa_bits) - 1), -mantissa_bits);
    return exponent == 0 ? std::ldexp(fraction, 1 - bias)
                         : std::ldexp(1 + fraction, exponent - bias);
  }
  // The first magnitude that is no finite value.
  uint32_t End() const {
    return has_infinity ? ((1u << exponent_bits) - 1) << mantissa_bits : sign() - 1;
  }
};

using Kind = NumberFormat::Kind;
constexpr Layout kLayouts[] = {{"fp16", {Kind::kFp16, 16}, 5, 10, true},
                               {"bf16", {Kind::kBf16, 16}, 8, 7, true},
                               {"fp8_e4m3", {Kind::kFp8E4m3, 8}, 4, 3, false},
                               {"fp8_e5m2", {Kind::kFp8E5m2, 8}, 5, 2, true}};

// The nearest magnitude, half to even; End() or above if that is not finite.
uint32_t NearestMagnitude(const Layout& layout, const std::vector<double>& values, double w) {
  const auto above = std::lower_bound(values.begin(), values.end(), w);
  if (above == values.end()) {
    return layout.End() + 1;
  }
  const auto high = static_cast<uint32_t>(above - values.begin());
  if (high == 0 || *above == w) {
    return high;
  }
  const double from_low = w - values[high - 1];
  const double from_high = values[high] - w;
  return from_low < from_high || (from_low == from_high && high % 2 == 1) ? high - 1 : high;
}

// Those of the finite magnitudes, ascending, and one beyond.
std::vector<double> Values(const Layout& layout) {
  std::vector<double> values;
  for (uint32_t magnitude = 0; magnitude <= layout.End(); ++magnitude) {
    values.push_back(layout.Extended(magnitude));
  }
  return values;
}

void ExpectNearest(const Layout& layout, const std::vector<double>& values, float weight) {
  const uint32_t magnitude =
      NearestMagnitude(layout, values, std::fabs(static_cast<double>(weight)));
  const absl::StatusOr<QuantizedTensor> tensor = Quantize({weight}, layout.format);
  if (magnitude >= layout.End()) {
    ASSERT_EQ(tensor.status().code(), absl::StatusCode::kInvalidArgument)
        << layout.name << " " << std::hexfloat << weight;
    return;
  }
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  ASSERT_EQ(tensor->words[0], magnitude | (std::signbit(weight) ? layout.sign() : 0))
      << layout.name << " " << std::hexfloat << weight;
}

TEST(FloatWord, EveryWordHasTheValueOfItsFieldsAndRoundTrips) {
  for (const Layout& layout : kLayouts) {
    const NumberFormat format = layout.format;
    ASSERT_EQ(uint64_t{1} << format.bits, layout.words());
    ASSERT_EQ(format.Name(), layout.name);
    for (uint32_t word = 0; word < layout.words(); ++word) {
      const uint32_t magnitude = word % layout.sign();
      const float value = Dequantize(word, 1, format);
      ASSERT_EQ(std::signbit(value), word >= layout.sign()) << layout.name << " " << word;
      if (magnitude < layout.End()) {
        ASSERT_EQ(std::fabs(value), layout.Extended(magnitude)) << layout.name << " " << word;
      } else if (layout.has_infinity && magnitude == layout.End()) {
        ASSERT_EQ(std::fabs(value), kInf) << layout.name << " " << word;
      } else {
        ASSERT_TRUE(std::isnan(value)) << layout.name << " " << word;
        const uint32_t back = Quantize({value}, format)->words[0];
        ASSERT_TRUE(std::isnan(Dequantize(back, 1, format))) << layout.name << " " << word;
        ASSERT_EQ(back >= layout.sign(), word >= layout.sign());
        continue;
      }
      ASSERT_EQ(Quantize({value}, format)->words[0], word) << layout.name << " " << word;
    }
  }
}

TEST(FloatWord, WeightsGoToTheNearestValueHalfToEven) {
  for (const Layout& layout : kLayouts) {
    const std::vector<double> values = Values(layout);
    // All ties, and what lies beside them. The last is that with what is no value any more.
    for (size_t i = 0; i + 1 < values.size(); ++i) {
      const auto tie = static_cast<float>((values[i] + values[i + 1]) / 2);
      for (const float weight : {tie, std::nextafter(tie, 0.0f), std::nextafter(tie, kInf)}) {
        ExpectNearest(layout, values, weight);
        ExpectNearest(layout, values, -weight);
      }
    }
    // All magnitudes of fp32, the smallest and the largest too.
    std::mt19937 random(1);
    for (int i = 0; i < 300'000; ++i) {
      const uint32_t bits = static_cast<uint32_t>(random());
      const float weight = absl::bit_cast<float>(bits);
      if (std::isfinite(weight)) {
        ExpectNearest(layout, values, weight);
      }
    }
    for (const float weight : {1e-45f, std::numeric_limits<float>::max()}) {
      ExpectNearest(layout, values, weight);
    }
  }
}

TEST(FloatWord, KnownAnswers) {
  const auto word = [](const char* name, float weight) {
    return Quantize({weight}, NumberFormat::FromName(name).value())->words[0];
  };
  EXPECT_EQ(word("fp16", 1), 0x3C00u);
  EXPECT_EQ(word("fp16", 65519.996f), 0x7BFFu);
  EXPECT_EQ(word("fp16", -0.0f), 0x8000u);
  EXPECT_EQ(word("fp16", 0x1p-24f), 1u);
  EXPECT_EQ(word("fp16", -kInf), 0xFC00u);
  EXPECT_EQ(word("bf16", 3.140625f), 0x4049u);
  EXPECT_EQ(word("bf16", 0x1p-133f), 1u);
  EXPECT_EQ(word("fp8_e4m3", 448), 0x7Eu);
  EXPECT_EQ(word("fp8_e4m3", 464), 0x7Eu);  // half way to 480, which would be NaN
  EXPECT_EQ(word("fp8_e4m3", -0x1p-9f), 0x81u);
  EXPECT_EQ(word("fp8_e4m3", std::nanf("")), 0x7Fu);
  EXPECT_EQ(word("fp8_e5m2", 57344), 0x7Bu);
  EXPECT_EQ(word("fp8_e5m2", kInf), 0x7Cu);
}

TEST(FloatWord, WeightsThatDoNotFitAreRefusedByIndex) {
  const std::pair<const char*, float> cases[] = {
      {"fp16", 65520},     {"fp16", -1e30f},
      {"bf16", 3.4e38f},   {"fp8_e4m3", std::nextafter(464.0f, kInf)},
      {"fp8_e4m3", -kInf}, {"fp8_e5m2", 61440},
  };
  for (const auto& [name, weight] : cases) {
    const absl::Status status =
        Quantize({0.5f, weight, weight}, NumberFormat::FromName(name).value()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name << " " << weight;
    EXPECT_THAT(status.message(), HasSubstr("weight 1 is")) << name;
    EXPECT_THAT(status.message(), HasSubstr(name));
  }
  EXPECT_TRUE(Quantize({kInf, std::nanf("")}, NumberFormat::FromName("fp16").value()).ok());
}

}  // namespace
}  // namespace bitquake
