// Cuts what is drawn in whole tensors to a target: its words, and some bit positions of them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/types/span.h"
#include "common/fault/fault_list.h"
#include "common/fault/sampler.h"
#include "common/fault/target.h"
#include "common/model/surface.h"

namespace bitquake {

// A target's ranges in one tensor, by first word; at least one.
struct TensorRanges {
  int tensor;  // index into the surface
  absl::Span<const WordRange> ranges;

  // The bits of a word that are part of the target by its range; 0 if it is in none.
  uint32_t PositionsAt(int64_t word) const;
};

// In the order of the target, which must outlive the result.
std::vector<TensorRanges> ByTensor(const Target& target);

// Calls `draw` for each tensor of the target and keeps what is at `positions` (a mask) of the
// target's words. `draw`'s faults are ordered by index.
FaultList DrawWithin(const Surface& surface, const Target& target, uint32_t positions,
                     const std::function<std::vector<WordFault>(int tensor)>& draw);

}  // namespace bitquake
