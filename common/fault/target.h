// Targets: named sets of stored words. A granularity expands to the targets of a model's surface;
// the bits of a target are those of its words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/surface.h"

namespace bitquake {

enum class QkvType { kQ, kK, kV };
absl::string_view Name(QkvType type);  // "q"

// One entry of the campaign's `granularities`.
struct Granularity {
  enum class Kind { kModel, kBlock, kTensor, kType, kHead };
  Kind kind = Kind::kModel;

  // block, tensor, head, type per block: only these blocks (counted from 0 in forward order); empty
  // = all.
  std::vector<int> blocks = {};
  // type: which of them, empty = q, k, v. head: each type apart; empty = the three together.
  std::vector<QkvType> types = {};
  // type: one target per block rather than one over all blocks.
  bool per_block = false;
  // The bit-error rates that these targets are hit at, ascending; empty: those of the campaign.
  std::vector<double> ber = {};

  absl::string_view Name() const;  // "model", "block", "tensor", "type", "head"
};

// Consecutive words of one tensor of the surface.
struct WordRange {
  int tensor;  // index into the surface
  int64_t first;
  int64_t count;
};

struct Target {
  std::string granularity;  // Granularity::Name()
  // "model", "blocks.3", a tensor's name, "q", "blocks.3.q", "blocks.0.attn.h7",
  // "blocks.0.attn.h7.q"
  std::string name;
  std::vector<WordRange> ranges;  // by tensor, then by first word; disjoint

  int64_t words() const;
};

// In forward order. Type and head targets cover the fused qkv weights on the surface. Errors:
// NotFound if nothing matches, naming the valid range; InvalidArgument for a field that the
// granularity does not take.
absl::StatusOr<std::vector<Target>> ExpandTargets(const Surface& surface,
                                                  const Granularity& granularity);

}  // namespace bitquake
