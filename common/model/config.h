// config.json of a timm model as plain values. What would change the network in a way that the
// engine does not compute is refused here, by name.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/architecture.h"
#include "common/model/family.h"
#include "common/model/model_args.h"

namespace bitquake {

// Fields that are absent stay empty; the tensors, or timm's defaults, decide then.
struct ModelConfig {
  std::string architecture;
  FamilyOfName family;
  std::optional<int> num_classes;
  std::optional<double> norm_eps;
  std::optional<std::array<int, 3>> input_size;  // channels, height, width
  Preprocessing preprocessing;                   // its size still that of input_size, if any
  ModelArgs args;
};

// Errors: InvalidArgument that names the field and what is supported. Of TorchScript's config only
// what surrounds the network is read: classes and preprocessing.
absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view text);

// Why no family of ours takes a config's architecture, so that its network must come as code
// (model.ts); empty if one does, or if the text names none.
std::string WhyTorchScript(absl::string_view text);

}  // namespace bitquake
