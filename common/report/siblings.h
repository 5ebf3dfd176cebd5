// Which targets are compared with each other. All comparisons are of one campaign, model, format,
// fault, granularity and bit-error rate; cells that differ in one of these have nothing in common
// here.
//
// Siblings are targets of one kind, so that their vulnerability factor is 1 in a homogeneous model:
//
// | target                            | its siblings                                          |
// |-----------------------------------|-------------------------------------------------------|
// | blocks.3                          | the other blocks                                      |
// | blocks.3.attn.h7                  | the other heads of block 3                            |
// | blocks.3.attn.h7.q                | q of the other heads of block 3                       |
// | blocks.3.q, blocks.3.mlp          | q, the MLP, of the other blocks                       |
// | blocks.3.mlp.fc1.weight           | the same tensor of the other blocks                   |
// | q; mlp; the name of a regex       | k, v; the other parts; the other regexes              |
// | bit7                              | the other bit positions                               |
// | blocks.3.bit7 (bits: each)        | those of blocks.3, at the same bit position           |
// | model; a tensor outside of blocks | none                                                  |
//
// A ranking has more: heads are ranked over all blocks, and all tensors together; types and parts
// of blocks over all types and parts.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "common/report/results.h"

namespace bitquake {

// Equal for siblings, and for no others.
std::string SiblingGroup(const CellKey& key);

// Equal for targets that are ranked together, and for no others.
std::string RankingGroup(const CellKey& key);

// A target that is one bit position of another: "blocks.3.bit7" is bit 7 of "blocks.3", and "bit7"
// of granularity `bit` is that of "model". -1 for a target of all positions.
struct PositionedTarget {
  std::string whole;
  int position = -1;
};
PositionedTarget SplitPosition(const CellKey& key);

// "blocks.*.attn.h*.q" of "blocks.3.attn.h7.q": what heads of all blocks have in common.
std::string HeadPattern(absl::string_view target);

// Where a head is: 3 and 7 of "blocks.3.attn.h7". -1 where the name does not say.
struct HeadPlace {
  int block = -1;
  int head = -1;
};
HeadPlace FindHead(absl::string_view target);

}  // namespace bitquake
