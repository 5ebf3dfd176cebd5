// The names of number formats; weights to words and back.
//
//   name, a zero byte, 32-bit words or weights
#include <cmath>
#include <cstring>
#include <vector>

#include "absl/base/casts.h"
#include "absl/status/status.h"
#include "common/fault/number_format.h"
#include "tests/fuzz/input_bytes.h"
#include "tests/fuzz/must.h"

namespace bitquake {
namespace {

using Kind = NumberFormat::Kind;

uint32_t Mask(const NumberFormat& format) { return ~uint32_t{0} >> (32 - format.bits); }

// Of formats in which a word's value in fp32 is exact.
void MustComeBack(const NumberFormat& format, uint32_t word) {
  const float value = Dequantize(word, 1, format);
  if (!std::isfinite(value)) {
    return;
  }
  const absl::StatusOr<QuantizedTensor> again = Quantize({&value, 1}, format);
  Must(again.ok(), "a finite word's value has a word: " + again.status().ToString());
  Must(again->words == std::vector<uint32_t>{word}, "a finite word's value has that word");
}

void CheckWeights(const NumberFormat& format, const std::vector<float>& weights,
                  const Quantization& quantization) {
  const absl::StatusOr<QuantizedTensor> quantized =
      Quantize(weights, format, quantization, {static_cast<int64_t>(weights.size()), 1});
  if (!quantized.ok()) {
    Must(absl::IsInvalidArgument(quantized.status()), "a refusal is the weights' fault");
    return;
  }
  Must(quantized->words.size() == weights.size(), "each weight has a word");
  for (size_t i = 0; i < weights.size(); ++i) {
    const uint32_t word = quantized->words[i];
    Must((word & ~Mask(format)) == 0, "a word has no more bits than the format");
    const float value = Dequantize(word, quantized->ScaleOf(static_cast<int64_t>(i)), format);
    Must(std::isfinite(value) || !std::isfinite(weights[i]), "a finite weight has a finite value");
  }
}

}  // namespace
}  // namespace bitquake

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  InputBytes input(data, size);
  const std::string name = input.TakeText();
  const absl::StatusOr<NumberFormat> format = NumberFormat::FromName(name);
  if (!format.ok()) {
    Must(absl::IsInvalidArgument(format.status()), "a refusal is the name's fault");
    return 0;
  }
  Must(format->Name() == name, "a format's name is the one that it was read from");
  Must(format->bits >= 1 && format->bits <= 32, "a word has 1 to 32 bits");
  Quantization quantization;
  quantization.scale =
      input.TakeBool() ? Quantization::Scale::kPerChannel : Quantization::Scale::kPerTensor;
  quantization.percentile = input.TakeBool() ? input.Take<float>() : 100;
  std::vector<float> weights;
  while (!input.empty()) {
    const uint32_t word = input.Take<uint32_t>();
    weights.push_back(absl::bit_cast<float>(word));
    const bool exact = format->kind != NumberFormat::Kind::kInt &&
                       (format->kind != NumberFormat::Kind::kFixed || format->bits <= 24);
    if (exact) {
      MustComeBack(*format, word & Mask(*format));
    }
  }
  CheckWeights(*format, weights, quantization);
  return 0;
}
