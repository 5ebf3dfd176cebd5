// The vision transformer's sizes and tensors, by timm's names.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/model/checkpoint_shapes.h"
#include "common/model/config.h"
#include "common/model/network_tensors.h"

namespace bitquake {

absl::StatusOr<VitShape> DeriveVit(const ModelConfig& config, const CheckpointShapes& shapes);

std::vector<NetworkTensor> VitTensors(const VitShape& shape, int num_classes);

// What DeepViT shares with it: everything but the number of heads; everything before the blocks.
absl::StatusOr<VitShape> DeriveVitWithHeads(const ModelConfig& config,
                                            const CheckpointShapes& shapes, int heads);
void AddVitEmbedding(const VitShape& shape, TensorLister& tensors);

}  // namespace bitquake
