#include "worker/engine/layers.h"

#include <ATen/Context.h>

#include <cmath>
#include <optional>

namespace bitquake {

Norm::Norm(const Weights& weights, const std::string& name, double norm_eps)
    : weight(weights.at(name + ".weight")), bias(weights.at(name + ".bias")), eps(norm_eps) {}

at::Tensor Norm::operator()(const at::Tensor& x) const {
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
}

Linear::Linear(const Weights& weights, const std::string& name)
    : weight(weights.at(name + ".weight")) {
  const auto found = weights.find(name + ".bias");
  if (found != weights.end()) {
    bias = found->second;
  }
  const auto scaled = weights.scales.find(name + ".weight");
  if (scaled != weights.scales.end()) {
    scale = scaled->second;
    if (!bias.defined()) {
      bias = at::zeros({weight.size(0)}, weight.options());  // addmm takes one
    }
  }
}

// With a scale the sum of products is multiplied before it is rounded to the type of the result.
at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (scale == 1) {
    return at::linear(x, weight, bias);
  }
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return at::addmm(bias, x.reshape({-1, weight.size(1)}), weight.t(), /*beta=*/1, /*alpha=*/scale)
      .view(shape);
}

Linear Linear::Rows(int64_t first, int64_t count) const {
  Linear rows;
  rows.scale = scale;
  rows.weight = weight.narrow(0, first, count);
  if (bias.defined()) {
    rows.bias = bias.narrow(0, first, count);
  }
  return rows;
}

PatchEmbedding::PatchEmbedding(const Weights& weights, const std::string& name)
    : projection(weights, name), patch(projection.weight.size(2)) {
  projection.weight = projection.weight.view({projection.weight.size(0), -1});  // same storage
}

at::Tensor PatchEmbedding::operator()(const at::Tensor& images) const {
  const int64_t chunk = images.size(0);
  const int64_t grid = images.size(2) / patch;
  // Of a patch: channel, row, column.
  return projection(images.view({chunk, 3, grid, patch, grid, patch})
                        .permute({0, 2, 4, 1, 3, 5})
                        .reshape({chunk, grid * grid, -1}));
}

Mlp::Mlp(const Weights& weights, const std::string& block, double eps)
    : norm(weights, block + ".norm2", eps),
      fc1(weights, block + ".mlp.fc1"),
      fc2(weights, block + ".mlp.fc2") {}

Activations Mlp::Widen(const at::Tensor& x) const {
  at::Tensor hidden = fc1(norm(x));
  at::gelu_(hidden);  // exact: erf
  return {x, hidden};
}

at::Tensor Mlp::Narrow(const Activations& in) const { return fc2(in.branch).add_(in.x); }

int StageInBlock(absl::Span<const absl::string_view> name) {
  const absl::string_view layer = name.size() > 1 ? name[1] : "";
  if (name[0] == "mlp") {
    return layer == "fc2" ? 3 : 2;
  }
  return name[0] == "norm2" ? 2 : name[0] == "attn" && layer == "proj" ? 1 : 0;
}

at::Tensor SplitHeads(const at::Tensor& x, int64_t heads, int64_t head_dim) {
  return x.view({x.size(0), x.size(1), -1, heads, head_dim}).permute({2, 0, 3, 1, 4});
}

at::Tensor MergeHeads(const at::Tensor& x) {
  return x.transpose(1, 2).reshape({x.size(0), x.size(2), -1});
}

Qkv SplitQkv(const Linear& qkv, const at::Tensor& x, int64_t heads, int64_t queries) {
  const int64_t width = qkv.weight.size(0) / 3;
  const int64_t head_dim = width / heads;
  if (queries == x.size(1)) {
    const at::Tensor all = SplitHeads(qkv(x), heads, head_dim);
    return {all[0], all[1], all[2]};
  }
  const at::Tensor q =
      SplitHeads(qkv.Rows(0, width)(x.narrow(1, 0, queries).contiguous()), heads, head_dim);
  const at::Tensor kv = SplitHeads(qkv.Rows(width, 2 * width)(x), heads, head_dim);
  return {q[0], kv[0], kv[1]};
}

namespace {

// Torch keeps as a switch of the process which kernels attention may choose from.
class WithoutCuDnn {
 public:
  WithoutCuDnn() : before_(at::globalContext().userEnabledCuDNNSDP()) {
    at::globalContext().setSDPUseCuDNN(false);
  }
  ~WithoutCuDnn() { at::globalContext().setSDPUseCuDNN(before_); }
  WithoutCuDnn(const WithoutCuDnn&) = delete;

 private:
  const bool before_;
};

}  // namespace

at::Tensor Attend(const Qkv& qkv) {
  // With few queries cuDNN 9 splits the keys over blocks whose sums it adds in any order: logits
  // then differ from pass to pass.
  std::optional<WithoutCuDnn> deterministic;
  if (qkv.q.is_cuda() && qkv.q.size(2) < qkv.k.size(2)) {
    deterministic.emplace();
  }
  return at::scaled_dot_product_attention(qkv.q, qkv.k, qkv.v);
}

QueriesAndKeys ScaledQueriesAndKeys(const Linear& qkv, const at::Tensor& x, int64_t heads) {
  const int64_t width = qkv.weight.size(0) / 3;
  const int64_t head_dim = width / heads;
  const at::Tensor both = SplitHeads(qkv.Rows(0, 2 * width)(x), heads, head_dim);
  return {both[0] / std::sqrt(static_cast<double>(head_dim)), both[1]};
}

}  // namespace bitquake
