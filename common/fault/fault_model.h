// What a fault does and how faults are drawn: `fault:` of the campaign.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/fault/number_format.h"
#include "common/fault/protection.h"

namespace bitquake {

struct FaultModel {
  enum class Kind {
    kBitFlip,   // the bit is inverted
    kStuckAt0,  // the bit reads 0; no flip where it was 0 already
    kStuckAt1,
    kBurst,  // each event inverts `burst_length` neighbouring bits of one word, from the drawn one
             // upwards, cut at the word's end
    kWord,   // each word is replaced by random bits, independently with probability BER; where
             // these equal the word's, nothing changes
    kList,   // the listed bits are inverted, whatever BER and trial
  };
  enum class Sampling {  // kExact and kCount: of kBitFlip, kStuckAt0 and kStuckAt1 only
    kBernoulli,          // each bit independently with probability BER
    kExact,              // round(BER x bits) distinct bits of the target: std::llround of the
                         // product in double, so half away from zero
    kCount,              // `count` distinct bits of the target, no BER
  };
  // One bit of the checkpoint's stored words.
  struct ListedBit {
    std::string tensor;
    int64_t index = 0;  // of the word, row-major
    int bit = 0;        // 0 = least significant
  };
  // Bits that never flip (protected_bits.h).
  struct Protected {
    std::string target;  // its name, as granularities give it; empty if there is a pattern
    std::string match;   // RE2 of tensors' names
    int top = 0;         // only so many of the most significant bits of each word; 0: all
  };

  Kind kind = Kind::kBitFlip;
  Sampling sampling = Sampling::kBernoulli;
  int64_t count = 0;     // kCount
  int burst_length = 0;  // kBurst
  // Only these bit positions of a word can be hit; empty: all. Ascending. A burst may begin at any
  // position, and of a word that is replaced these bits are.
  std::vector<int> positions = {};
  std::vector<ListedBit> list = {};  // kList
  Protection protection = {};
  // Faults of these bits do not happen; the others' are those that they would be without.
  std::vector<Protected> protect = {};

  std::string Name() const;  // of the kind: "bit_flip"
  // Name() and whatever is not as by default, "bit_flip exact bits=6;7 + secded".
  // The results name the fault model by it. Listed bits are not part of it.
  std::string Label() const;
  // `positions` as a mask.
  uint32_t PositionMask() const;
  // Whether the faults depend on a bit-error rate: not those of kCount and kList.
  bool HasBer() const { return kind != Kind::kList && sampling != Sampling::kCount; }
};

// Whether words of `format` can have such faults. Errors: InvalidArgument for positions, a burst or
// a listed bit beyond the word, a burst of less than one bit, a negative count, a sampling that the
// kind does not take, more top bits than the word has, and check bits or copies that flip at a rate
// where the faults have none.
absl::Status CheckFaultModel(const FaultModel& model, const NumberFormat& format);

}  // namespace bitquake
