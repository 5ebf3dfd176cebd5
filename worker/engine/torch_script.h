// A network that comes as TorchScript: one stage, of which nothing is known but its tensors. It
// reads the weights in place like any graph. (Inside worker/engine only: this header shows torch.)
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/model/snapshot.h"
#include "worker/engine/model_graph.h"

namespace bitquake {

// Loads the snapshot's model.ts and puts `weights`, every tensor of its model.safetensors, in the
// place of the module's parameters and buffers. The code runs once, on a blank image, to see that
// it gives logits. Errors: InvalidArgument, the file named, if it is no TorchScript, if its tensors
// are not those of the weights by name, shape and type, or if it gives anything else than logits.
absl::StatusOr<std::unique_ptr<ModelGraph>> MakeTorchScript(const ModelSnapshot& snapshot,
                                                            const Weights& weights);

}  // namespace bitquake
