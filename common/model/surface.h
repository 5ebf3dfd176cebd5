// The fault surface: the tensors whose stored words can be hit, in forward order, each with its
// role in the network. Default: every parameter with two or more dimensions (the paper's list:
// tokens, position tables, patch embedding, qkv, proj, fc1, fc2, head). Every tensor belongs to a
// block, or its part is embed or head: these partition the model.
#pragma once

#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/architecture.h"

namespace bitquake {

enum class Part {
  kEmbed,      // tokens, positions, patch embedding, norm_pre, Swin's downsampling
  kAttention,  // of a block, with the norm before it
  kMlp,        // of a block, with the norm before it
  kHead,       // final norm, classifiers
  kNone,       // of a network whose parts are not known (TorchScript)
};

// The rows of a fused qkv weight, or the elements of its bias: row s*D + h*head_dim + j is output j
// of head h of s in (q, k, v), with D = heads * head_dim.
struct FusedQkv {
  int heads = 0;
  int head_dim = 0;
};

struct SurfaceTensor {
  std::string name;            // as in the checkpoint
  std::vector<int64_t> shape;  // row-major
  std::string block;           // "blocks.3", "layers.1.blocks.0"; empty outside of blocks
  Part part = Part::kEmbed;
  std::optional<FusedQkv> qkv;

  int64_t words() const {  // product of shape
    return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
  int64_t words_per_row() const { return shape.empty() ? 1 : words() / shape[0]; }
};

using Surface = std::vector<SurfaceTensor>;

// `surface:` of the campaign: changes the default surface. Patterns are RE2, up to 1,000
// characters; a part of a parameter's name suffices. Buffers (running means, counters, indices,
// masks) are never on the surface.
struct SurfaceSelection {
  std::vector<std::string> include = {};  // parameters to add, norms and biases among them
  std::vector<std::string> exclude = {};  // wins over include
};

// In forward order; of TorchScript, where that is not known, in the order of `tensors`, which are
// those that `architecture` was derived from. Errors: NotFound if a pattern matches no parameter,
// naming near ones; InvalidArgument for a pattern that is no regular expression, or if nothing is
// left.
absl::StatusOr<Surface> MakeSurface(const Architecture& architecture,
                                    const std::vector<TensorInfo>& tensors,
                                    const SurfaceSelection& selection = {});

}  // namespace bitquake
