// Targets: named sets of stored words. A granularity expands to the targets of a model's surface;
// the bits of a target are those of its words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/fault/fault_model.h"
#include "common/fault/number_format.h"
#include "common/model/surface.h"

namespace bitquake {

enum class QkvType { kQ, kK, kV };
absl::string_view Name(QkvType type);  // "q"

// One entry of the campaign's `granularities`.
struct Granularity {
  enum class Kind { kModel, kBlock, kTensor, kPart, kType, kHead, kBit, kRegex };
  Kind kind = Kind::kModel;

  // block, tensor, head, type per block: only these blocks (counted from 0 in forward order); empty
  // = all.
  std::vector<int> blocks = {};
  // type: which of them, empty = q, k, v. head: each type apart; empty = the three together.
  std::vector<QkvType> types = {};
  // type, part: one target per block rather than one over all blocks.
  bool per_block = false;
  // regex: one target of all tensors whose name matches (RE2, a part of the name suffices).
  std::string pattern = {};
  std::string name = {};  // regex: the target's; empty: the pattern
  // A target for each of these bit positions of what would be one target. bit: of the model.
  std::vector<int> positions = {};
  bool each_position = false;  // all positions of the format
  // The bit-error rates that these targets are hit at, ascending; empty: those of the campaign.
  std::vector<double> ber = {};

  // "model", "block", "tensor", "part", "type", "head", "bit", "regex"
  absl::string_view Name() const;
};

// Consecutive words of one tensor of the surface.
struct WordRange {
  int tensor;  // index into the surface
  int64_t first;
  int64_t count;
};

struct Target {
  std::string granularity;  // Granularity::Name()
  // "model", "blocks.3", a tensor's name, "mlp", "q", "blocks.3.q", "blocks.0.attn.h7",
  // "blocks.0.attn.h7.q", "bit7"; of one bit position of another: "blocks.3.bit7"
  std::string name;
  std::vector<WordRange> ranges;  // by tensor, then by first word; disjoint
  uint32_t positions = ~uint32_t{0};  // bits of each word that are part of it

  int64_t words() const;
};

// The bits of a target that a fault model can hit.
int64_t ExposedBits(const Target& target, const NumberFormat& format, const FaultModel& model);

// In forward order. Type and head targets cover the fused qkv weights on the surface. Errors:
// NotFound if nothing matches, naming the valid range; InvalidArgument for a field that the
// granularity does not take.
absl::StatusOr<std::vector<Target>> ExpandTargets(const Surface& surface,
                                                  const Granularity& granularity,
                                                  const NumberFormat& format);

}  // namespace bitquake
