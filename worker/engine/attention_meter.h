// Measures attention distances beside the forward pass: attention is computed anew, with an
// explicit softmax, from the queries and keys of a stage; the pass itself is left as it is. (Inside
// worker/engine only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

#include "absl/types/span.h"
#include "common/model/attention_distance.h"
#include "worker/engine/model_graph.h"

namespace bitquake {

// Thread-safe.
class AttentionMeter {
 public:
  AttentionMeter(const PatchAttention& attention, at::Device device);

  // For each head of one block, the sum over the first `images` images of a chunk: taken one after
  // the other in double precision, so that it is a function of the chunk alone.
  void Measure(const QueriesAndKeys& attention, int64_t images,
               absl::Span<HeadDistance> heads) const;

  // Room for all heads of all blocks.
  AttentionDistances Zero() const;

 private:
  const PatchAttention attention_;
  const at::Tensor distances_;  // [patches, patches], pixels
};

}  // namespace bitquake
