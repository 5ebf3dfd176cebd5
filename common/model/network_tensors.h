// What a checkpoint of an architecture holds, by its names, in forward order, each tensor with its
// role in the network: no more and no less.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/model/architecture.h"
#include "common/model/surface.h"

namespace bitquake {

enum class TensorKind {
  kParameter,  // trained: may be on the fault surface
  kStatistic,  // a buffer that inference reads, as BatchNorm's running mean
  kUnused,     // a buffer that some checkpoints carry and that nothing reads
};

struct NetworkTensor {
  SurfaceTensor tensor;
  TensorKind kind = TensorKind::kParameter;
};

// TorchScript's are `found` as they are: their order is the file's, and what is a buffer is told by
// PyTorch's names.
std::vector<NetworkTensor> NetworkTensors(const Architecture& architecture,
                                          const std::vector<TensorInfo>& found);

// Compares names and shapes; unused buffers may be absent. Errors: InvalidArgument that lists the
// missing and the unexpected tensors and those of another shape.
absl::Status CheckTensors(const std::vector<NetworkTensor>& expected,
                          const std::vector<TensorInfo>& found);

// Lists a network's tensors for its family: of one block and part at a time.
class TensorLister {
 public:
  // What is added from now on belongs there; "" is no block.
  void Begin(const std::string& block, Part part) {
    block_ = block;
    part_ = part;
  }

  void Add(const std::string& name, std::vector<int64_t> shape,
           TensorKind kind = TensorKind::kParameter);
  void AddNorm(const std::string& name, int64_t width);  // weight and bias
  void AddLinear(const std::string& name, int64_t out, int64_t in, bool bias = true);
  void AddFusedQkv(const std::string& name, int64_t width, int heads, bool bias);
  // norm2, fc1 and fc2 of the block.
  void AddMlp(const std::string& block, int64_t width, int64_t hidden);

  std::vector<NetworkTensor> Take() && { return std::move(tensors_); }

 private:
  std::string block_;
  Part part_ = Part::kEmbed;
  std::vector<NetworkTensor> tensors_;
};

}  // namespace bitquake
