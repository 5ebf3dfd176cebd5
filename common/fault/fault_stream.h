// The random blocks behind the faults of one tensor in one trial, and their layout. All integers
// are little-endian.
//
// D = SHA-256("bitquake fault stream v1", then the seed as 8 bytes, then the tensor's name). The
// Philox key is D[0..3], D[4..7]. Block(purpose, k, n) is Philox of the counter (n mod 2^32,
// (n >> 32) << 16 | purpose << 8 | k, trial, D[8..11]); its words are x0 to x3. k < 256 and n <
// 2^48, so no counter occurs twice.
//
//   purpose 0  Skip, and 1 Depth, for draw n of rung k of the ladder (sampler.cc) over the tensor's
//              bits
//   purpose 2  Skip, and 3 Depth, likewise of the ladder over the tensor's words
//   purpose 4  Replacement of word n; k = 0
//   purpose 6, 7    Skip, Depth of the ladder over check bits
//   purpose 8, 9    likewise over the second copy's bits
//   purpose 10, 11  likewise over the third copy's bits
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/digest.h"
#include "common/base/philox.h"

namespace bitquake {

class FaultStream {
 public:
  // What a ladder draws. The last three are bits of what a protection scheme stores beside a
  // tensor.
  enum class Unit { kBit, kWord, kCheckBit, kSecondCopyBit, kThirdCopyBit };

  FaultStream(uint64_t seed, absl::string_view tensor, uint32_t trial, Unit unit = Unit::kBit)
      : purpose_(Purpose(unit)), trial_(trial) {
    std::string keyed = "bitquake fault stream v1";
    for (int byte = 0; byte < 8; ++byte) {
      keyed.push_back(static_cast<char>(seed >> (8 * byte)));
    }
    absl::StrAppend(&keyed, tensor);
    const Sha256Bytes digest = Sha256(keyed);
    const auto word = [&digest](int at) {
      return digest[at] | uint32_t{digest[at + 1]} << 8 | uint32_t{digest[at + 2]} << 16 |
             uint32_t{digest[at + 3]} << 24;
    };
    key_ = {word(0), word(4)};
    tensor_ = word(8);
  }

  // Uniform in (0, 1), with full relative precision near 0:
  // ((((x0 + 1/2) / 2^32 + x1) / 2^32 + x2) / 2^32 + x3) / 2^32, each operation rounded to double;
  // and 1 - 2^-53 if that is 1.
  double Skip(int k, uint64_t n) const {
    constexpr double kUnit = 1.0 / 4294967296;
    constexpr double kBelowOne = 1 - std::numeric_limits<double>::epsilon() / 2;
    const PhiloxCounter x = Block(purpose_, k, n);
    const double v = ((((x[0] + 0.5) * kUnit + x[1]) * kUnit + x[2]) * kUnit + x[3]) * kUnit;
    return std::min(v, kBelowOne);
  }

  // Uniform over 64 bits: x0 + 2^32 x1.
  uint64_t Depth(int k, uint64_t n) const {
    const PhiloxCounter x = Block(purpose_ + 1, k, n);
    return uint64_t{x[1]} << 32 | x[0];
  }

  // Uniform over 32 bits, x0: what word `index` reads if it is replaced; of words of b bits, the
  // lowest b.
  uint32_t Replacement(int64_t index) const { return Block(4, 0, index)[0]; }

 private:
  // Of Skip; Depth's is the next.
  static uint32_t Purpose(Unit unit) {
    switch (unit) {
      case Unit::kBit:
        return 0;
      case Unit::kWord:
        return 2;
      case Unit::kCheckBit:
        return 6;
      case Unit::kSecondCopyBit:
        return 8;
      case Unit::kThirdCopyBit:
        return 10;
    }
    return 0;
  }

  PhiloxCounter Block(uint32_t purpose, int k, uint64_t n) const {
    const uint32_t high = static_cast<uint32_t>(n >> 32) << 16;
    return Philox4x32(
        {static_cast<uint32_t>(n), high | purpose << 8 | static_cast<uint32_t>(k), trial_, tensor_},
        key_);
  }

  PhiloxKey key_;
  uint32_t purpose_;  // of Skip
  uint32_t trial_;
  uint32_t tensor_;
};

}  // namespace bitquake
