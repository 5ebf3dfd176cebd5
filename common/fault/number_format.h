// Number formats on words: how a weight becomes the b-bit word that a memory holds, and back.
//
//   int<b>, b in 2..16: two's complement with a scale. In fp32, each operation rounded:
//       scale = c / (2^(b-1) - 1), q = clip(round_half_even(w / scale)) to -2^(b-1) .. 2^(b-1) - 1,
//       value = q * scale. c is the largest magnitude of the tensor's or channel's weights, or a
//       percentile of the magnitudes (Quantization). A scale of 0 (all weights 0 or all but)
//       becomes 1.
//   fixed(m.n): m + n bits two's complement, the sign among the m (Ares; its default is 2.6). In
//       double, which holds both products exactly: q = clip(round_half_even(w * 2^n)) to
//       -2^(m+n-1) .. 2^(m+n-1) - 1, value = q * 2^-n, rounded to fp32 (half to even; only words of
//       more than 24 significant bits need it).
//   fp32, fp16, bf16, fp8_e5m2: sign, 8 / 5 / 8 / 5 exponent bits, 23 / 10 / 7 / 2 mantissa bits,
//       with subnormals, infinities and NaN as IEEE 754 has them. fp8_e4m3: OCP's E4M3 (ml_dtypes'
//       float8_e4m3fn): no infinity, NaN is S.1111.111, the largest value 448. A weight is rounded
//       to the nearest value, half to even, a NaN becomes some NaN of its sign. A word's value in
//       fp32 is exact. There is no scale, and a flip may make NaN or infinity.
//
// Nothing is clamped after a flip. Source: Ares (Reagen et al. 2018) and the paper, section 3; OCP
// 8-bit Floating Point Specification, revision 1.0.
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
  // The format of a name as Name() writes it: int2 to int16; fixed(m.n) with m >= 1 and 2 <= m + n
  // <= 32; fp32, fp16, bf16, fp8_e4m3, fp8_e5m2. Errors: InvalidArgument that names near ones.
  static absl::StatusOr<NumberFormat> FromName(absl::string_view name);
};

// All formats: those that FromName knows.
std::vector<NumberFormat> KnownFormats();

// How the scale of an int format is chosen: `scale` and `observer` of the campaign. Other formats
// have no scale.
struct Quantization {
  // A channel is an index of the first dimension, of tensors of two or more dimensions; others have
  // one scale.
  enum class Scale { kPerTensor, kPerChannel };
  Scale scale = Scale::kPerTensor;
  // Of the magnitudes, in (0, 100]; 100 is absmax. Between the n magnitudes in ascending order, as
  // doubles, m[0] .. m[n-1]: at h = (n - 1) * (percentile / 100), with i = floor(h) and t = h - i,
  // lies m[i] + (m[i+1] - m[i]) * t, or m[i+1] - (m[i+1] - m[i]) * (1 - t) if t >= 0.5; rounded to
  // fp32. Each operation is rounded to double: numpy.percentile of the magnitudes as float64.
  // Weights beyond it are clipped.
  double percentile = 100;
};

// The scales of a tensor's words: one, or one for each channel. 1 in formats without a scale.
struct Scales {
  std::vector<float> values = {1};
  int64_t words_each = 0;  // words of a channel; 0: one scale for all

  float Of(int64_t index) const { return values[words_each == 0 ? 0 : index / words_each]; }
};

// The words of one tensor in a format. A word's unused high bits are zero.
struct QuantizedTensor {
  std::vector<uint32_t> words;  // row-major
  Scales scales;

  float ScaleOf(int64_t index) const { return scales.Of(index); }
};

// `weights` are row-major in `shape`, which only scales per channel ask for; empty: one dimension.
// Errors: InvalidArgument that names the weight by its index: one that is not finite, in a format
// without infinities (int, fixed, fp8_e4m3; of these only fp8_e4m3 takes NaN); a finite one that a
// floating-point format would round to infinity or, fp8_e4m3, beyond 448. Also for a percentile
// that is 0, so that every weight would be, where a weight is not.
absl::StatusOr<QuantizedTensor> Quantize(absl::Span<const float> weights, NumberFormat format,
                                         const Quantization& quantization = {},
                                         absl::Span<const int64_t> shape = {});

// The value of one word. `scale` counts in int formats only.
float Dequantize(uint32_t word, float scale, NumberFormat format);

}  // namespace bitquake
