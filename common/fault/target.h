// Targets: named sets of stored bits. A granularity expands to the targets of a model's surface;
// the bits of a target are those of its words at its positions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/fault/fault_model.h"
#include "common/fault/granularity.h"
#include "common/fault/number_format.h"
#include "common/model/surface.h"

namespace bitquake {

// Consecutive words of one tensor of the surface.
struct WordRange {
  int tensor;  // index into the surface
  int64_t first;
  int64_t count;
  uint32_t positions = ~uint32_t{0};  // bits of each word that are part of the target
};

struct Target {
  std::string granularity;  // Granularity::Name()
  // "model", "blocks.3", a tensor's name, "mlp", "blocks.3.mlp", "q", "blocks.3.q",
  // "blocks.0.attn.h7", "blocks.0.attn.h7.q", "bit7"; of one bit position of another:
  // "blocks.3.bit7"
  std::string name;
  std::vector<WordRange> ranges;      // by tensor, then by first word; disjoint
  uint32_t positions = ~uint32_t{0};  // of all ranges: bits of each word that are part of it

  int64_t words() const;
};

// The bits of a target at `positions` (a mask) of its words.
int64_t BitsAt(const Target& target, uint32_t positions);

// The bits of a target that a fault model can hit, were nothing protected (FaultSource).
int64_t ExposedBits(const Target& target, const NumberFormat& format, const FaultModel& model);

// In forward order, positions of one target in ascending order. Type and head targets cover the
// rows of the fused qkv weights, and of their biases where the surface has those. Errors: NotFound
// if nothing matches, naming the valid range or the nearest names; InvalidArgument as of
// CheckGranularity.
absl::StatusOr<std::vector<Target>> ExpandTargets(const Surface& surface,
                                                  const Granularity& granularity,
                                                  const NumberFormat& format);

}  // namespace bitquake
