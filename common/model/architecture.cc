#include "common/model/architecture.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/model/checkpoint_shapes.h"
#include "common/model/config.h"
#include "common/model/deepvit_tensors.h"
#include "common/model/network_tensors.h"
#include "common/model/swin_tensors.h"
#include "common/model/vit_tensors.h"

namespace bitquake {
namespace {

constexpr int kMaxImageSide = 4096;  // pixels

void SetSquare(int side, Preprocessing& preprocessing) {
  preprocessing.height = side;
  preprocessing.width = side;
}

absl::Status CheckClasses(const ModelConfig& config, const CheckpointShapes& shapes,
                          absl::string_view head, Architecture& architecture) {
  ASSIGN_OR_RETURN(architecture.num_classes, shapes.Side(head, 2, 0));
  return CheckStated("num_classes", config.num_classes, architecture.num_classes);
}

absl::Status AddVit(const ModelConfig& config, const CheckpointShapes& shapes,
                    Architecture& architecture) {
  RETURN_IF_ERROR(CheckClasses(config, shapes, "head.weight", architecture));
  ASSIGN_OR_RETURN(const VitShape vit, DeriveVit(config, shapes));
  SetSquare(vit.image, architecture.preprocessing);
  architecture.network = vit;
  return absl::OkStatus();
}

absl::Status AddDeepVit(const ModelConfig& config, const CheckpointShapes& shapes,
                        Architecture& architecture) {
  RETURN_IF_ERROR(CheckClasses(config, shapes, "head.weight", architecture));
  ASSIGN_OR_RETURN(const DeepVitShape deepvit, DeriveDeepVit(config, shapes));
  SetSquare(deepvit.vit.image, architecture.preprocessing);
  architecture.network = deepvit;
  return absl::OkStatus();
}

absl::Status AddSwin(const ModelConfig& config, const CheckpointShapes& shapes,
                     Architecture& architecture) {
  ASSIGN_OR_RETURN(SwinShape swin, DeriveSwin(config, shapes));
  RETURN_IF_ERROR(CheckClasses(config, shapes, "head.fc.weight", architecture));
  SetSquare(swin.image, architecture.preprocessing);
  architecture.network = std::move(swin);
  return absl::OkStatus();
}

// Nothing but config.json says what goes in and comes out.
absl::Status AddScript(const ModelConfig& config, Architecture& architecture) {
  if (!config.num_classes) {
    return absl::InvalidArgumentError(
        "config.json: num_classes is missing; of a TorchScript network it must be stated");
  }
  if (!config.input_size) {
    return absl::InvalidArgumentError(
        "config.json: pretrained_cfg.input_size is missing; of a TorchScript network it must be "
        "stated");
  }
  const auto [channels, height, width] = *config.input_size;
  if (channels != 3 || height > kMaxImageSide || width > kMaxImageSide) {
    return absl::InvalidArgumentError(
        absl::StrCat("config.json: input_size [", absl::StrJoin(*config.input_size, ", "),
                     "] is not supported; there are three channels, of at most ", kMaxImageSide,
                     " pixels a side"));
  }
  architecture.num_classes = *config.num_classes;
  architecture.preprocessing.height = height;
  architecture.preprocessing.width = width;
  architecture.network = ScriptShape{config.family.why};
  return absl::OkStatus();
}

// What a tensor has is multiplied out in many places; no checkpoint comes near the limit.
absl::Status CheckElements(const std::vector<TensorInfo>& tensors) {
  constexpr int64_t kMostElements = int64_t{1} << 40;
  for (const TensorInfo& tensor : tensors) {
    int64_t elements = 1;
    for (const int64_t side : tensor.shape) {
      if (side < 0 || __builtin_mul_overflow(elements, side, &elements) ||
          elements > kMostElements) {
        return absl::InvalidArgumentError(absl::StrCat(
            "tensor '", tensor.name, "' has shape [", absl::StrJoin(tensor.shape, ", "),
            "]; sides are 0 or more, and a tensor has at most 2^40 elements"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status AddNetwork(const ModelConfig& config, const CheckpointShapes& shapes,
                        Architecture& architecture) {
  switch (config.family.family) {
    case Family::kVit:
      return AddVit(config, shapes, architecture);
    case Family::kSwin:
      return AddSwin(config, shapes, architecture);
    case Family::kDeepVit:
      return AddDeepVit(config, shapes, architecture);
    case Family::kTorchScript:
      break;
  }
  return AddScript(config, architecture);
}

}  // namespace

absl::StatusOr<Architecture> DeriveArchitecture(absl::string_view config_json,
                                                const std::vector<TensorInfo>& tensors) {
  ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(config_json));
  RETURN_IF_ERROR(CheckElements(tensors));
  Architecture architecture;
  architecture.name = config.architecture;
  architecture.preprocessing = config.preprocessing;
  RETURN_IF_ERROR(AddNetwork(config, CheckpointShapes(tensors), architecture));
  RETURN_IF_ERROR(CheckTensors(NetworkTensors(architecture, tensors), tensors));
  return architecture;
}

}  // namespace bitquake
