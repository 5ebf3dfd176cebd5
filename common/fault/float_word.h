// Floating-point words of less than 32 bits: sign, exponent, mantissa. Conversion is integer
// arithmetic and exact sums, so it does not depend on the processor's mode for subnormals.
#pragma once

#include <cstdint>

#include "absl/base/casts.h"

namespace bitquake {

// What FloatWord::Of answers for a weight that the format cannot hold.
constexpr uint32_t kUnrepresentable = ~uint32_t{0};

// kHasInfinity: as IEEE 754, all exponent bits set is infinity or NaN. Otherwise such words are
// values too, except that with all mantissa bits set, which is NaN.
template <int kExponentBits, int kMantissaBits, bool kHasInfinity>
struct FloatWord {
  static constexpr int kSignBit = kExponentBits + kMantissaBits;
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr int kShift = 23 - kMantissaBits;           // from an fp32 mantissa
  static constexpr uint32_t kRebias = uint32_t{127 - kBias};  // from an fp32 exponent
  static constexpr uint32_t kAllOnes = (1u << kSignBit) - 1;  // exponent and mantissa
  static constexpr uint32_t kExponentOnes = kAllOnes >> kMantissaBits << kMantissaBits;
  static constexpr uint32_t kNan =
      kHasInfinity ? kExponentOnes | 1u << (kMantissaBits - 1) : kAllOnes;
  static constexpr uint32_t kLargest = (kHasInfinity ? kExponentOnes : kAllOnes) - 1;  // finite

  // The word nearest to `weight`, half to even; kUnrepresentable if that is infinite and `weight`
  // is not, or if there is no infinity.
  static uint32_t Of(float weight) {
    constexpr uint32_t kInfinity = 0x7F800000;
    constexpr uint32_t kSmallestNormal = (kRebias + 1) << 23;
    // In whose binade fp32 counts in steps of the smallest subnormal.
    constexpr uint32_t kSubnormalUnit = static_cast<uint32_t>(kRebias + 1 + kShift) << 23;
    const uint32_t bits = absl::bit_cast<uint32_t>(weight);
    const uint32_t magnitude = bits & 0x7FFFFFFF;
    const uint32_t odd = magnitude >> kShift & 1;
    uint32_t word =
        ((magnitude + (1u << (kShift - 1)) - 1 + odd) >> kShift) - (kRebias << kMantissaBits);
    if (kRebias > 0) {
      const float sum = absl::bit_cast<float>(magnitude) + absl::bit_cast<float>(kSubnormalUnit);
      word = magnitude < kSmallestNormal ? absl::bit_cast<uint32_t>(sum) - kSubnormalUnit : word;
    }
    const uint32_t not_finite =
        magnitude > kInfinity ? kNan : (kHasInfinity ? kExponentOnes : kUnrepresentable);
    word = word > kLargest ? kUnrepresentable : word;
    word = magnitude >= kInfinity ? not_finite : word;
    return word == kUnrepresentable ? word : word | bits >> 31 << kSignBit;
  }

  // Exact.
  static float Value(uint32_t word) {
    const uint32_t magnitude = word & kAllOnes;
    uint32_t bits = (magnitude << kShift) + (kRebias << 23);
    if (magnitude > kLargest) {
      bits = 0x7F800000 | (magnitude == kExponentOnes ? 0 : 1u << 22);
    } else if (kRebias > 0 && magnitude >> kMantissaBits == 0) {
      constexpr uint32_t kUnit = (kRebias + 1 - kMantissaBits) << 23;  // the smallest subnormal
      bits = absl::bit_cast<uint32_t>(static_cast<float>(magnitude) * absl::bit_cast<float>(kUnit));
    }
    return absl::bit_cast<float>(bits | word >> kSignBit << 31);
  }
};

using Fp16Word = FloatWord<5, 10, true>;
using Bf16Word = FloatWord<8, 7, true>;
using Fp8E4m3Word = FloatWord<4, 3, false>;
using Fp8E5m2Word = FloatWord<5, 2, true>;

}  // namespace bitquake
