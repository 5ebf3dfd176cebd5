// Mean attention distance (MAD) of a head (Dosovitskiy et al. 2021, figure 7): how far, in pixels
// of the model's input, the patches lie that a patch attends to. The mean over queries and images
// of
//
//   sum_j A[i, j] x patch x ||pos_i - pos_j||
//
// over patch tokens; class and distillation tokens are dropped as queries and as keys. Two figures:
// with the attention that is left as it is, and with each row of it renormalised to 1.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/architecture.h"

namespace bitquake {

// Attention of all tokens to all, in every block.
struct PatchAttention {
  int blocks = 0;
  int heads = 0;          // of each block
  int prefix_tokens = 0;  // before the patches
  int grid = 0;           // patches of a side, row by row
  int patch = 0;          // side, pixels
};

// Errors: InvalidArgument, saying why, for a network in which the distance is not defined.
absl::StatusOr<PatchAttention> FindPatchAttention(const Architecture& architecture);

// Of one head, in pixels; of a measurement summed over images. NaN where faults made attention
// NaN.
struct HeadDistance {
  double mad = 0;
  double renormalised = 0;
};

struct AttentionDistances {
  int heads = 0;                   // of each block
  std::vector<HeadDistance> sums;  // block by block, head by head; empty if not measured
};

// Added head by head, in the order of `parts`, which have the same heads.
AttentionDistances SumOf(const std::vector<AttentionDistances>& parts);

// XXH3 over all of them; empty if not measured.
std::string DigestOf(const AttentionDistances& distances);

}  // namespace bitquake
