// The tensors of a vision transformer, by timm's names, in forward order: what a checkpoint must
// hold, no more and no less.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "common/model/architecture.h"

namespace bitquake {

std::vector<TensorInfo> VitTensors(const VitShape& shape, int num_classes);

// Compares names and shapes. Errors: InvalidArgument that lists the missing and the unexpected
// tensors and those of another shape.
absl::Status CheckTensors(const std::vector<TensorInfo>& expected,
                          const std::vector<TensorInfo>& found);

}  // namespace bitquake
