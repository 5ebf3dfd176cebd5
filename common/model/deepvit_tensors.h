// DeepViT's sizes and tensors, by the names of its official code.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/model/checkpoint_shapes.h"
#include "common/model/config.h"
#include "common/model/network_tensors.h"

namespace bitquake {

absl::StatusOr<DeepVitShape> DeriveDeepVit(const ModelConfig& config,
                                           const CheckpointShapes& shapes);

std::vector<NetworkTensor> DeepVitTensors(const DeepVitShape& shape, int num_classes);

}  // namespace bitquake
