// What a fault does and how faults are drawn: `fault:` of the campaign.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/fault/number_format.h"

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

  Kind kind = Kind::kBitFlip;
  Sampling sampling = Sampling::kBernoulli;
  int64_t count = 0;     // kCount
  int burst_length = 0;  // kBurst
  // Only these bit positions of a word can be hit; empty: all. Ascending. A burst may begin at any
  // position, and of a word that is replaced these bits are.
  std::vector<int> positions = {};
  std::vector<ListedBit> list = {};  // kList

  std::string Name() const;  // "bit_flip", as in the results
  // Whether the faults depend on a bit-error rate: not those of kCount and kList.
  bool HasBer() const { return kind != Kind::kList && sampling != Sampling::kCount; }
};

// Whether words of `format` can have such faults. Errors: InvalidArgument for positions, a burst or
// a listed bit beyond the word, a burst of less than one bit, a negative count, and a sampling that
// the kind does not take.
absl::Status CheckFaultModel(const FaultModel& model, const NumberFormat& format);

}  // namespace bitquake
