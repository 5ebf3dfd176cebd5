// The layers that the graphs are made of. They read their weights in place. (Inside worker/engine
// only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "worker/engine/model_graph.h"

namespace bitquake {

// LayerNorm over the last dimension.
struct Norm {
  Norm() = default;
  Norm(const Weights& weights, const std::string& name, double eps);

  at::Tensor operator()(const at::Tensor& x) const;

  at::Tensor weight;
  at::Tensor bias;
  double eps = 0;
};

struct Linear {
  Linear() = default;
  Linear(const Weights& weights, const std::string& name);

  at::Tensor operator()(const at::Tensor& x) const;
  // Only some of the outputs.
  Linear Rows(int64_t first, int64_t count) const;

  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // undefined if the layer has none
  double scale = 1;   // of the product x weight^T, before the bias
};

// A convolution whose stride is its size: a linear layer over patches.
struct PatchEmbedding {
  PatchEmbedding() = default;
  PatchEmbedding(const Weights& weights, const std::string& name);

  // [chunk, 3, side, side] to [chunk, patches, width], row by row.
  at::Tensor operator()(const at::Tensor& images) const;

  Linear projection;
  int64_t patch = 0;  // side, pixels
};

// The second half of a transformer's block, x + fc2(gelu(fc1(norm2(x)))), as two stages: gelu's
// output is the branch between them.
struct Mlp {
  Mlp(const Weights& weights, const std::string& block, double eps);

  Activations Widen(const at::Tensor& x) const;
  at::Tensor Narrow(const Activations& in) const;

  Norm norm;
  Linear fc1;
  Linear fc2;
};

// A transformer's block is four stages: qkv and attention, proj, fc1, fc2. The one that reads a
// weight, by the parts of its name behind the block's: 0 to 3.
inline constexpr int kStagesPerBlock = 4;
int StageInBlock(absl::Span<const absl::string_view> name);

// The tensors of `x` as [first, chunk, heads, tokens, head_dim]: [chunk, tokens, n * width] split
// into n tensors of that many heads.
at::Tensor SplitHeads(const at::Tensor& x, int64_t heads, int64_t head_dim);

// The inverse of SplitHeads for one tensor: [chunk, heads, tokens, head_dim] to [chunk, tokens,
// width].
at::Tensor MergeHeads(const at::Tensor& x);

// Queries, keys and values of a fused qkv layer, each [chunk, heads, tokens, head_dim].
struct Qkv {
  at::Tensor q, k, v;
};

// Queries of the first `queries` tokens only; keys and values of all.
Qkv SplitQkv(const Linear& qkv, const at::Tensor& x, int64_t heads, int64_t queries);

// softmax(q k^T / sqrt(head_dim)) v, in one kernel where there is one.
at::Tensor Attend(const Qkv& qkv);

// Queries, scaled as softmax takes them, and keys of all tokens.
QueriesAndKeys ScaledQueriesAndKeys(const Linear& qkv, const at::Tensor& x, int64_t heads);

}  // namespace bitquake
