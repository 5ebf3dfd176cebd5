// A granularity: which stored bits are hit together. One entry of the campaign's `granularities`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/fault/number_format.h"

namespace bitquake {

enum class QkvType { kQ, kK, kV };
absl::string_view Name(QkvType type);  // "q"

struct Granularity {
  enum class Kind { kModel, kBlock, kTensor, kPart, kType, kHead, kBit, kRegex };
  Kind kind = Kind::kModel;

  // block, tensor, head; part and type per block: only these blocks (counted from 0 in forward
  // order, whatever the checkpoint calls them); empty = all.
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
  bool each_position = false;  // all positions of the format; bit without positions: as if set
  // The bit-error rates that these targets are hit at, ascending; empty: those of the campaign.
  std::vector<double> ber = {};

  // "model", "block", "tensor", "part", "type", "head", "bit", "regex"
  absl::string_view Name() const;
  // Whether what would be one target is one for each of several bit positions.
  bool by_position() const { return kind == Kind::kBit || each_position || !positions.empty(); }
};

// In the order of their declaration.
const std::vector<Granularity::Kind>& AllGranularityKinds();

// What is wrong with a granularity whatever the model. Errors: InvalidArgument for a field that it
// does not take, a bit position that the format's words lack, or a pattern that is no regular
// expression.
absl::Status CheckGranularity(const Granularity& granularity, const NumberFormat& format);

}  // namespace bitquake
