#include "common/fault/number_format.h"

#include <algorithm>
#include <cstring>

#include "absl/base/casts.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"

namespace bitquake {
namespace {

constexpr int kMinIntBits = 2;
constexpr int kMaxIntBits = 16;

std::vector<std::string> KnownNames() {
  std::vector<std::string> names;
  for (int bits = kMinIntBits; bits <= kMaxIntBits; ++bits) {
    names.push_back(absl::StrCat("int", bits));
  }
  names.push_back("fp32");
  return names;
}

// The largest magnitude. Magnitudes of IEEE words order as integers, which also keeps a NaN
// visible.
absl::StatusOr<float> AbsMax(absl::Span<const float> weights) {
  constexpr int32_t kInfinity = 0x7F800000;
  int32_t largest = 0;
  for (float w : weights) {
    largest = std::max(largest, absl::bit_cast<int32_t>(w) & 0x7FFFFFFF);
  }
  if (largest >= kInfinity) {
    const auto bad = std::find_if(weights.begin(), weights.end(), [](float w) {
      return (absl::bit_cast<int32_t>(w) & 0x7FFFFFFF) >= kInfinity;
    });
    return absl::InvalidArgumentError(
        absl::StrCat("weight ", bad - weights.begin(), " is ", *bad,
                     "; an integer format needs finite weights (fp32 takes any)"));
  }
  return absl::bit_cast<float>(largest);
}

absl::StatusOr<QuantizedTensor> QuantizeToInt(absl::Span<const float> weights, int bits) {
  ASSIGN_OR_RETURN(const float absmax, AbsMax(weights));
  const float highest = static_cast<float>((1 << (bits - 1)) - 1);
  const float lowest = -highest - 1;
  QuantizedTensor out;
  out.scale = absmax / highest;
  if (out.scale == 0) {
    out.scale = 1;
  }
  // Adding and subtracting 1.5 * 2^23 rounds to an integer, half to even: fp32 holds no fraction
  // there. Clipping before rounding gives the same as after, for the bounds are integers.
  constexpr float kRound = 12582912;
  const uint32_t mask = (uint32_t{1} << bits) - 1;
  out.words.resize(weights.size());
  const float* const from = weights.data();
  uint32_t* const to = out.words.data();
  const float scale = out.scale;
  for (size_t i = 0; i < weights.size(); ++i) {
    const float clipped = std::min(std::max(from[i] / scale, lowest), highest);
    to[i] = static_cast<uint32_t>(static_cast<int32_t>((clipped + kRound) - kRound)) & mask;
  }
  return out;
}

}  // namespace

std::string NumberFormat::Name() const {
  switch (kind) {
    case Kind::kInt:
      return absl::StrCat("int", bits);
    case Kind::kFp32:
      return "fp32";
    default:
      return "";
  }
}

absl::StatusOr<NumberFormat> NumberFormat::FromName(absl::string_view name) {
  for (const std::string& known : KnownNames()) {
    if (name != known) {
      continue;
    }
    absl::string_view rest = name;
    int bits = 0;
    if (absl::ConsumePrefix(&rest, "int") && absl::SimpleAtoi(rest, &bits)) {
      return NumberFormat{Kind::kInt, bits};
    }
    return NumberFormat{Kind::kFp32, 32};
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown number format '", name, "'; known are int", kMinIntBits, " to int",
                   kMaxIntBits, " and fp32", DidYouMean(name, KnownNames())));
}

absl::StatusOr<QuantizedTensor> Quantize(absl::Span<const float> weights, NumberFormat format) {
  if (format.kind == NumberFormat::Kind::kInt) {
    return QuantizeToInt(weights, format.bits);
  }
  QuantizedTensor out;
  out.words.resize(weights.size());
  if (!weights.empty()) {
    std::memcpy(out.words.data(), weights.data(), weights.size() * sizeof(float));
  }
  return out;
}

float Dequantize(uint32_t word, float scale, NumberFormat format) {
  if (format.kind == NumberFormat::Kind::kInt) {
    const int unused = 32 - format.bits;
    const int32_t q = static_cast<int32_t>(word << unused) >> unused;
    return static_cast<float>(q) * scale;
  }
  return absl::bit_cast<float>(word);
}

}  // namespace bitquake
