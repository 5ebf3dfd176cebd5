// The faults of one trial in one target, and how they are proven: counts and a digest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/fault/fault_model.h"
#include "common/fault/number_format.h"
#include "common/fault/sampler.h"
#include "common/fault/target.h"

namespace bitquake {

struct TensorFaults {
  int tensor;                     // index into the surface
  std::vector<WordFault> faults;  // ordered by index
};

struct FaultList {
  enum class Effect {
    kFlip,  // word ^= mask
    kSet,   // word = (word & ~mask) | value; what that flips depends on the word
  };

  std::vector<TensorFaults> tensors;  // ordered by tensor; only tensors with faults
  Effect effect = Effect::kFlip;

  // Bits in all masks. Of kSet, also those that have their value already.
  int64_t flips() const;
  // The same at each bit position of a word, position 0 first; `bits_per_word` entries.
  std::vector<int64_t> FlipsPerBit(int bits_per_word) const;
  // XXH3-128 over, for every tensor: its name (u64 length, bytes), the number of faulty words
  // (u64), and for each word its index (u64), mask (u32) and, of kSet, value (u32), all
  // little-endian.
  std::string Digest(const Surface& surface) const;
};

// Draws what `trial` hits at `ber` in the stored words of `target`, before anything protects them
// (FaultSource knows the model's `protection` and `protect`), as flips (kBitFlip, kBurst, kList) or
// as sets (kStuckAt0, kStuckAt1, kWord). The same bits are hit in a tensor whatever the target:
// each tensor is drawn whole, by its name, then cut to the target's words and to the positions of
// the target and of the model. kExact and kCount take the bits of the target with the smallest u,
// so their faults and those at a bit-error rate nest, too. Errors: as CheckFaults of this target.
absl::StatusOr<FaultList> DrawFaults(const Surface& surface, const Target& target,
                                     const FaultModel& model, const NumberFormat& format,
                                     uint64_t seed, uint32_t trial, double ber);

// Whether the targets of a surface can have such faults: CheckFaultModel; and InvalidArgument that
// names a listed bit that the surface does not have or that is listed twice, or a target that has
// fewer bits than kCount wants.
absl::Status CheckFaults(const Surface& surface, const std::vector<Target>& targets,
                         const FaultModel& model, const NumberFormat& format);

}  // namespace bitquake
