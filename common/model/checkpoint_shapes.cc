#include "common/model/checkpoint_shapes.h"

#include "absl/strings/str_join.h"
#include "common/base/shown.h"

namespace bitquake {
namespace {

constexpr int64_t kMaxSide = 1 << 20;

}  // namespace

CheckpointShapes::CheckpointShapes(const std::vector<TensorInfo>& tensors) {
  for (const TensorInfo& tensor : tensors) {
    shapes_[tensor.name] = &tensor.shape;
  }
}

absl::StatusOr<int> CheckpointShapes::Side(absl::string_view name, size_t dimensions,
                                           size_t axis) const {
  const auto found = shapes_.find(name);
  if (found == shapes_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", Shown(name),
                     "' is missing; the weights are not those of a supported network of this "
                     "architecture's family"));
  }
  const std::vector<int64_t>& shape = *found->second;
  if (shape.size() != dimensions || shape[axis] < 1 || shape[axis] > kMaxSide) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", Shown(name), "' has shape [", absl::StrJoin(shape, ", "),
                     "], which is not that of a network of this architecture's family"));
  }
  return static_cast<int>(shape[axis]);
}

int CheckpointShapes::Count(absl::string_view prefix, absl::string_view suffix) const {
  int count = 0;
  while (Has(absl::StrCat(prefix, count, suffix))) {
    ++count;
  }
  return count;
}

absl::Status CheckMlpRatio(const std::optional<double>& stated, int width, int hidden) {
  if (!stated) {
    return absl::OkStatus();
  }
  return CheckStated("mlp_ratio times the width",
                     std::optional<int>(static_cast<int>(width * *stated)), hidden);
}

}  // namespace bitquake
