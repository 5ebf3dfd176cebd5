// Vision transformers with seeded random weights, for programs that measure speed: speed does not
// depend on what was learnt.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/snapshot.h"
#include "worker/engine/evaluator.h"

namespace bitquake {

// By timm's name: vit_base_patch16_224, vit_base_patch32_224, vit_large_patch16_384,
// vit_tiny_patch16_224. Errors: InvalidArgument that names them.
absl::StatusOr<ModelSnapshot> RandomVit(absl::string_view architecture);

// A fold of random images.
struct RandomImages {
  RandomImages(const Preprocessing& preprocessing, int classes, int count);

  std::vector<uint8_t> bytes;
  FoldImages fold;
};

}  // namespace bitquake
