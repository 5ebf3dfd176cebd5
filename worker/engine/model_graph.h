// A network as a list of stages, so that a trial can resume at its first faulty one. A stage maps
// activations to activations; the last gives logits. (Inside worker/engine only: this header shows
// torch.)
//
//   Activations a = Normalized(...);                      // [chunk, 3, height, width]
//   for (int s = 0; s < graph->stage_count(); ++s) a = graph->RunStage(s, a);
//   a.x;                                                  // logits
//
// A graph reads the weights in place: what is written to a weight is seen by the next RunStage. It
// computes on the weights' device and in their type.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "common/model/architecture.h"

namespace bitquake {

// By the checkpoint's names; contiguous, of one floating-point type (but what TorchScript reads
// that is no floating-point number) and on one device. Tensors share their storage with the graph.
struct Weights : std::map<std::string, at::Tensor, std::less<>> {
  // Of projections whose tensor holds the words as integers: what their products are to be
  // multiplied by. Of all others the tensor holds the values.
  std::map<std::string, double, std::less<>> scales;
};

// What passes between two stages.
struct Activations {
  Activations() = default;
  Activations(at::Tensor tokens) : x(std::move(tokens)) {}  // NOLINT: a stage often has no branch
  Activations(at::Tensor tokens, at::Tensor inside)
      : x(std::move(tokens)), branch(std::move(inside)) {}

  at::Tensor x;       // the images, the tokens (inside a residual branch: beside it), or the logits
  at::Tensor branch;  // inside a residual branch, what its last projection takes; else undefined
};

// Of attention over all tokens: [chunk, heads, tokens, head_dim] each. The softmax is over the
// keys, of scaled queries x keys.
struct QueriesAndKeys {
  at::Tensor queries;  // scaled
  at::Tensor keys;
};

// Thread-safe as long as no weight is being written.
class ModelGraph {
 public:
  virtual ~ModelGraph() = default;

  virtual int stage_count() const = 0;

  // The first stage that reads the weight; that of a tensor the network does not have is 0.
  virtual int StageOf(absl::string_view weight) const = 0;

  // `in` is left as it is. Each image's result depends on that image and on the chunk's size alone.
  virtual Activations RunStage(int stage, const Activations& in) const = 0;

  // The block that stage `stage` attends in, from 0; -1 if it does not, or only within windows.
  virtual int AttentionBlock(int stage) const {
    (void)stage;
    return -1;
  }
  // Queries and keys of all tokens in such a stage, of the same `x` that RunStage takes.
  virtual QueriesAndKeys Attention(int stage, const at::Tensor& x) const {
    (void)stage;
    (void)x;
    return {};
  }

  // Whether a stage always queues the same kernels, whatever it reads.
  virtual bool Recordable() const { return true; }

  // Numbers in the input of one stage, for one image.
  virtual int64_t InputSize(int stage) const = 0;

  // All stages from `stage` on, to the logits [chunk, classes].
  at::Tensor RunFrom(int stage, Activations in) const {
    for (; stage < stage_count(); ++stage) {
      in = RunStage(stage, in);
    }
    return in.x;
  }
};

// `weights` holds every tensor of the network, but unused buffers, in its shape.
std::unique_ptr<ModelGraph> MakeVit(const VitShape& shape, const Weights& weights);
std::unique_ptr<ModelGraph> MakeSwin(const SwinShape& shape, const Weights& weights);
std::unique_ptr<ModelGraph> MakeDeepVit(const DeepVitShape& shape, const Weights& weights);

}  // namespace bitquake
