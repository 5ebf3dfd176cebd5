// Number formats on words: how a weight becomes the b-bit word that a memory holds, and back.
//
//   int<b>, b in 2..16: two's complement, q = clip(round_half_even(w / scale)), scale = absmax /
//       (2^(b-1) - 1) over the whole tensor, all in fp32; value = q * scale. A scale of 0 (absmax 0
//       or all but) becomes 1.
//   fixed(m.n): m + n bits, sign included (Ares; its default is 2.6): q = clip(round_half_even(w *
//       2^n)); value = q * 2^-n.
//   fp32, fp16, bf16, fp8_e4m3, fp8_e5m2: the IEEE-style word, rounded half to even; no scale, and
//       a flip may make NaN or Inf.
//
// Nothing is clamped after a flip. Source: Ares (Reagen et al. 2018) and the paper, section 3.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace bitquake {

struct NumberFormat {
  enum class Kind { kInt, kFixed, kFp32, kFp16, kBf16, kFp8E4m3, kFp8E5m2 };
  Kind kind = Kind::kFp32;
  int bits = 32;          // of a word, 1..32
  int fraction_bits = 0;  // kFixed: n

  // "int8", "fixed(2.6)", "fp32".
  std::string Name() const;
  static absl::StatusOr<NumberFormat> FromName(absl::string_view name);
};

// How the scale of an int format is chosen: `scale` and `observer` of the campaign. Other formats
// have no scale.
struct Quantization {
  enum class Scale { kPerTensor, kPerChannel };  // channel: the first dimension of two or more
  Scale scale = Scale::kPerTensor;
  double percentile = 100;  // of the magnitudes, in (0, 100]; 100 is absmax
};

// The words of one tensor in a format. A word's unused high bits are zero.
struct QuantizedTensor {
  std::vector<uint32_t> words;  // row-major
  float scale = 1;              // unused by fp32
};

// Errors: InvalidArgument if a weight is not finite and the format needs a scale.
absl::StatusOr<QuantizedTensor> Quantize(absl::Span<const float> weights, NumberFormat format);

// The value of one word.
float Dequantize(uint32_t word, float scale, NumberFormat format);

}  // namespace bitquake
