#include "worker/engine/attention_meter.h"

#include <cmath>

namespace bitquake {
namespace {

at::Tensor Distances(const PatchAttention& attention) {
  const int patches = attention.grid * attention.grid;
  at::Tensor distances = at::empty({patches, patches}, at::kDouble);
  double* at = distances.mutable_data_ptr<double>();
  for (int i = 0; i < patches; ++i) {
    for (int j = 0; j < patches; ++j) {
      const double rows = i / attention.grid - j / attention.grid;
      const double columns = i % attention.grid - j % attention.grid;
      *at++ = attention.patch * std::sqrt(rows * rows + columns * columns);
    }
  }
  return distances;
}

}  // namespace

AttentionMeter::AttentionMeter(const PatchAttention& attention, at::Device device)
    : attention_(attention), distances_(Distances(attention).to(device)) {}

AttentionDistances AttentionMeter::Zero() const {
  return {attention_.heads,
          std::vector<HeadDistance>(static_cast<size_t>(attention_.blocks) * attention_.heads)};
}

void AttentionMeter::Measure(const QueriesAndKeys& attention, int64_t images,
                             absl::Span<HeadDistance> heads) const {
  const int64_t prefix = attention_.prefix_tokens;
  const int64_t patches = distances_.size(0);
  // The mean over queries of the distances that attention [heads, patches, patches] weighs.
  const auto mean = [&](const at::Tensor& weights) {
    return at::mul(weights.to(at::kDouble), distances_).sum({1, 2}).div_(patches).cpu();
  };
  for (int64_t image = 0; image < images; ++image) {
    const at::Tensor queries = attention.queries[image].narrow(1, prefix, patches).to(at::kFloat);
    const at::Tensor keys = attention.keys[image].to(at::kFloat);
    const at::Tensor scores = at::matmul(queries, keys.transpose(-2, -1));
    // Renormalising a row after keys were dropped is a softmax over the keys that are left.
    const at::Tensor as_is = mean(at::softmax(scores, -1).narrow(2, prefix, patches));
    const at::Tensor renormalised = mean(at::softmax(scores.narrow(2, prefix, patches), -1));
    for (int head = 0; head < attention_.heads; ++head) {
      heads[head].mad += as_is.const_data_ptr<double>()[head];
      heads[head].renormalised += renormalised.const_data_ptr<double>()[head];
    }
  }
}

}  // namespace bitquake
