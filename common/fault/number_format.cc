#include "common/fault/number_format.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/base/casts.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/shown.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/fault/float_word.h"

namespace bitquake {
namespace {

using Kind = NumberFormat::Kind;

constexpr int kMinIntBits = 2;
constexpr int kMaxIntBits = 16;
constexpr int kMinFixedBits = 2;
constexpr int kMaxFixedBits = 32;
constexpr uint32_t kInfinity = 0x7F800000;

// Magnitudes of IEEE words order as integers, which also keeps a NaN visible.
uint32_t Magnitude(float weight) { return absl::bit_cast<uint32_t>(weight) & 0x7FFFFFFF; }

uint32_t LargestMagnitude(absl::Span<const float> weights) {
  int32_t largest = 0;
  for (const float w : weights) {
    largest = std::max(largest, static_cast<int32_t>(Magnitude(w)));
  }
  return static_cast<uint32_t>(largest);
}

// That of the first weight that is not finite; there is one.
absl::Status NotFiniteError(absl::Span<const float> weights, NumberFormat format) {
  const auto bad = std::find_if(weights.begin(), weights.end(),
                                [](float w) { return Magnitude(w) >= kInfinity; });
  return absl::InvalidArgumentError(absl::StrCat("weight ", bad - weights.begin(), " is ", *bad,
                                                 "; ", format.Name(),
                                                 " needs finite weights (fp32 takes any)"));
}

// Of the magnitudes of finite weights, as Quantization::percentile defines it.
float PercentileOf(absl::Span<const float> weights, double percentile) {
  std::vector<uint32_t> magnitudes(weights.size());
  std::transform(weights.begin(), weights.end(), magnitudes.begin(), Magnitude);
  const double h = static_cast<double>(magnitudes.size() - 1) * (percentile / 100);
  const double t = h - std::floor(h);
  const auto at = magnitudes.begin() + static_cast<int64_t>(h);
  std::nth_element(magnitudes.begin(), at, magnitudes.end());
  const double low = absl::bit_cast<float>(*at);
  const auto next = std::min_element(at + 1, magnitudes.end());
  const double high = next == magnitudes.end() ? low : absl::bit_cast<float>(*next);
  const double step = high - low;
  return static_cast<float>(t >= 0.5 ? high - step * (1 - t) : low + step * t);
}

// The scale of one channel, whose weights are finite.
absl::StatusOr<float> ScaleOf(absl::Span<const float> weights, float absmax, float highest,
                              double percentile) {
  const float most =
      percentile == 100 || weights.empty() ? absmax : PercentileOf(weights, percentile);
  const float scale = most / highest;
  if (scale == 0 && absmax / highest != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("percentile ", percentile, " of the magnitudes is ", most, ", the largest is ",
                     absmax, "; take a higher percentile, or absmax"));
  }
  return scale == 0 ? 1 : scale;
}

void QuantizeChannel(absl::Span<const float> weights, float scale, int bits, uint32_t* to) {
  const float highest = static_cast<float>((1 << (bits - 1)) - 1);
  const float lowest = -highest - 1;
  // Adding and subtracting 1.5 * 2^23 rounds to an integer, half to even: fp32 holds no fraction
  // there. Clipping before rounding gives the same as after, for the bounds are integers.
  constexpr float kRound = 12582912;
  const uint32_t mask = (uint32_t{1} << bits) - 1;
  const float* const from = weights.data();
  for (size_t i = 0; i < weights.size(); ++i) {
    const float clipped = std::min(std::max(from[i] / scale, lowest), highest);
    to[i] = static_cast<uint32_t>(static_cast<int32_t>((clipped + kRound) - kRound)) & mask;
  }
}

absl::StatusOr<int64_t> WordsOfChannel(int64_t words, const Quantization& quantization,
                                       absl::Span<const int64_t> shape) {
  if (quantization.scale == Quantization::Scale::kPerTensor || shape.size() < 2 || words == 0) {
    return words;
  }
  if (shape[0] <= 0 || words % shape[0] != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(words, " weights do not make ", shape[0], " channels"));
  }
  return words / shape[0];
}

absl::StatusOr<QuantizedTensor> QuantizeToInt(absl::Span<const float> weights, NumberFormat format,
                                              const Quantization& quantization,
                                              absl::Span<const int64_t> shape) {
  if (!(quantization.percentile > 0 && quantization.percentile <= 100)) {
    return absl::InvalidArgumentError(
        absl::StrCat("percentile ", quantization.percentile, " is not in (0, 100]"));
  }
  const auto words = static_cast<int64_t>(weights.size());
  ASSIGN_OR_RETURN(const int64_t step, WordsOfChannel(words, quantization, shape));
  const float highest = static_cast<float>((1 << (format.bits - 1)) - 1);
  QuantizedTensor out;
  out.words.resize(words);
  out.scales.values.clear();
  out.scales.words_each = step == words ? 0 : step;
  int64_t first = 0;
  do {  // once for a tensor without words
    const absl::Span<const float> channel = weights.subspan(first, step);
    const uint32_t largest = LargestMagnitude(channel);
    if (largest >= kInfinity) {
      return NotFiniteError(weights, format);
    }
    ASSIGN_OR_RETURN(const float scale, ScaleOf(channel, absl::bit_cast<float>(largest), highest,
                                                quantization.percentile));
    out.scales.values.push_back(scale);
    QuantizeChannel(channel, scale, format.bits, out.words.data() + first);
    first += step;
  } while (first < words);
  return out;
}

absl::StatusOr<QuantizedTensor> QuantizeToFixed(absl::Span<const float> weights,
                                                NumberFormat format) {
  if (LargestMagnitude(weights) >= kInfinity) {
    return NotFiniteError(weights, format);
  }
  const double unit = std::ldexp(1.0, format.fraction_bits);
  const double highest = std::ldexp(1.0, format.bits - 1) - 1;
  const double lowest = -highest - 1;
  constexpr double kRound = 6755399441055744;  // 1.5 * 2^52, as in QuantizeChannel
  const uint32_t mask = ~uint32_t{0} >> (32 - format.bits);
  QuantizedTensor out;
  out.words.resize(weights.size());
  const float* const from = weights.data();
  uint32_t* const to = out.words.data();
  for (size_t i = 0; i < weights.size(); ++i) {
    const double clipped = std::min(std::max(from[i] * unit, lowest), highest);
    to[i] = static_cast<uint32_t>(static_cast<int32_t>((clipped + kRound) - kRound)) & mask;
  }
  return out;
}

template <typename Word>
absl::StatusOr<QuantizedTensor> QuantizeToFloat(absl::Span<const float> weights,
                                                NumberFormat format) {
  QuantizedTensor out;
  out.words.resize(weights.size());
  const float* const from = weights.data();
  uint32_t* const to = out.words.data();
  uint32_t all = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    to[i] = Word::Of(from[i]);
    all |= to[i];
  }
  if (all != kUnrepresentable) {  // no word reaches its highest bit
    return out;
  }
  const auto bad = std::find(out.words.begin(), out.words.end(), kUnrepresentable);
  const auto index = bad - out.words.begin();
  return absl::InvalidArgumentError(
      absl::StrCat("weight ", index, " is ", weights[index], "; the largest magnitude of ",
                   format.Name(), " is ", Word::Value(Word::kLargest), " (fp32 takes any)"));
}

QuantizedTensor KeepFp32(absl::Span<const float> weights) {
  QuantizedTensor out;
  out.words.resize(weights.size());
  if (!weights.empty()) {
    std::memcpy(out.words.data(), weights.data(), weights.size() * sizeof(float));
  }
  return out;
}

int32_t TwosComplement(uint32_t word, int bits) {
  return static_cast<int32_t>(word << (32 - bits)) >> (32 - bits);
}

}  // namespace

std::vector<NumberFormat> KnownFormats() {
  std::vector<NumberFormat> formats;
  for (int bits = kMinIntBits; bits <= kMaxIntBits; ++bits) {
    formats.push_back({Kind::kInt, bits});
  }
  for (int bits = kMinFixedBits; bits <= kMaxFixedBits; ++bits) {
    for (int fraction_bits = 0; fraction_bits < bits; ++fraction_bits) {
      formats.push_back({Kind::kFixed, bits, fraction_bits});
    }
  }
  formats.push_back({Kind::kFp32, 32});
  formats.push_back({Kind::kFp16, 16});
  formats.push_back({Kind::kBf16, 16});
  formats.push_back({Kind::kFp8E4m3, 8});
  formats.push_back({Kind::kFp8E5m2, 8});
  return formats;
}

std::string NumberFormat::Name() const {
  switch (kind) {
    case Kind::kInt:
      return absl::StrCat("int", bits);
    case Kind::kFixed:
      return absl::StrCat("fixed(", bits - fraction_bits, ".", fraction_bits, ")");
    case Kind::kFp32:
      return "fp32";
    case Kind::kFp16:
      return "fp16";
    case Kind::kBf16:
      return "bf16";
    case Kind::kFp8E4m3:
      return "fp8_e4m3";
    case Kind::kFp8E5m2:
      return "fp8_e5m2";
  }
  return "";
}

absl::StatusOr<NumberFormat> NumberFormat::FromName(absl::string_view name) {
  std::vector<std::string> names;
  for (const NumberFormat& format : KnownFormats()) {
    names.push_back(format.Name());
    if (name == names.back()) {
      return format;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown number format '", Shown(name), "'; known are int", kMinIntBits, " to int",
      kMaxIntBits, ", fixed(m.n) with m >= 1 and m + n from ", kMinFixedBits, " to ", kMaxFixedBits,
      ", fp32, fp16, bf16, fp8_e4m3 and fp8_e5m2", DidYouMean(name, names)));
}

absl::StatusOr<QuantizedTensor> Quantize(absl::Span<const float> weights, NumberFormat format,
                                         const Quantization& quantization,
                                         absl::Span<const int64_t> shape) {
  switch (format.kind) {
    case Kind::kInt:
      return QuantizeToInt(weights, format, quantization, shape);
    case Kind::kFixed:
      return QuantizeToFixed(weights, format);
    case Kind::kFp32:
      return KeepFp32(weights);
    case Kind::kFp16:
      return QuantizeToFloat<Fp16Word>(weights, format);
    case Kind::kBf16:
      return QuantizeToFloat<Bf16Word>(weights, format);
    case Kind::kFp8E4m3:
      return QuantizeToFloat<Fp8E4m3Word>(weights, format);
    case Kind::kFp8E5m2:
      return QuantizeToFloat<Fp8E5m2Word>(weights, format);
  }
  return absl::InternalError("a number format of no kind");
}

float Dequantize(uint32_t word, float scale, NumberFormat format) {
  switch (format.kind) {
    case Kind::kInt:
      return static_cast<float>(TwosComplement(word, format.bits)) * scale;
    case Kind::kFixed:
      return static_cast<float>(TwosComplement(word, format.bits) /
                                static_cast<double>(uint64_t{1} << format.fraction_bits));
    case Kind::kFp32:
      break;
    case Kind::kFp16:
      return Fp16Word::Value(word);
    case Kind::kBf16:
      return Bf16Word::Value(word);
    case Kind::kFp8E4m3:
      return Fp8E4m3Word::Value(word);
    case Kind::kFp8E5m2:
      return Fp8E5m2Word::Value(word);
  }
  return absl::bit_cast<float>(word);
}

}  // namespace bitquake
