// A fixed number of distinct bits of a target, drawn without replacement.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/fault/fault_list.h"
#include "common/fault/sampler.h"
#include "common/fault/target.h"
#include "common/model/surface.h"

namespace bitquake {

// The `count` bits with the smallest u (sampler.h) among the bits at `positions` (a mask) of the
// target's words, each of `bits_per_word`; of equal u the one in the earlier tensor of the surface,
// then of the lower word, then the lower bit. All sets of `count` bits are equally likely; the set
// of a smaller count is a part of that of a larger one; and the faults at a bit-error rate are such
// a set. As flips. Cost grows with `count`, times the share that the target has of its tensors'
// bits, inverted. Errors: InvalidArgument if the target has fewer bits.
absl::StatusOr<FaultList> DrawDistinctBits(const FaultSampler& sampler, const Surface& surface,
                                           const Target& target, int bits_per_word,
                                           uint32_t positions, int64_t count, uint32_t trial);

// The same error.
absl::Status CheckCount(const Target& target, int64_t bits, int64_t count);

}  // namespace bitquake
