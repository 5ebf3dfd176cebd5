// The Swin transformer's sizes and tensors, by timm's names.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/model/checkpoint_shapes.h"
#include "common/model/config.h"
#include "common/model/network_tensors.h"

namespace bitquake {

absl::StatusOr<SwinShape> DeriveSwin(const ModelConfig& config, const CheckpointShapes& shapes);

std::vector<NetworkTensor> SwinTensors(const SwinShape& shape, int num_classes);

}  // namespace bitquake
