#include <ATen/DeviceAccelerator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/engine/compute_device.h"
#include "worker/engine/evaluator.h"
#include "worker/engine/loaded_model.h"
#include "worker/engine/torch_errors.h"

namespace bitquake {
namespace {

// Floats of the widest activation of one image.
int64_t WidestActivation(const VitShape& vit) { return int64_t{vit.tokens()} * vit.mlp_hidden; }

int64_t WidestActivation(const DeepVitShape& deepvit) {
  const VitShape& vit = deepvit.vit;
  return std::max(WidestActivation(vit), int64_t{vit.heads} * vit.tokens() * vit.tokens());
}

int64_t WidestActivation(const SwinShape& swin) {
  int64_t widest = 0;
  for (const SwinStage& stage : swin.stages) {
    const int64_t tokens = int64_t{stage.side} * stage.side;
    const int64_t maps = int64_t{stage.heads} * stage.window * stage.window;
    widest = std::max({widest, tokens * stage.mlp_hidden, tokens * maps});
  }
  return widest;
}

int64_t WidestActivation(const Architecture& architecture) {
  switch (architecture.family()) {
    case Family::kVit:
      return WidestActivation(std::get<VitShape>(architecture.network));
    case Family::kSwin:
      return WidestActivation(std::get<SwinShape>(architecture.network));
    case Family::kDeepVit:
      return WidestActivation(std::get<DeepVitShape>(architecture.network));
    case Family::kTorchScript:
      break;
  }
  // Not known. A ResNet's is 64 channels at half of the image's side, each way.
  return int64_t{16} * architecture.preprocessing.height * architecture.preprocessing.width;
}

// Activations of a chunk should stay in a core's cache; a chunk of a few hundred rows keeps the
// matrix products efficient.
int ChunkForCpu(const Architecture& architecture) {
  constexpr int64_t kFloats = int64_t{1} << 20;
  const int64_t floats = WidestActivation(architecture);
  for (const int chunk : {25, 10, 5, 2}) {
    if (chunk * floats <= kFloats) {
      return chunk;
    }
  }
  return 1;
}

// A GPU wants some ten thousand rows: 256 images of a ViT-B/16 at 224 pixels. All chunks of a fold
// are about as large, so that little is padded.
int ChunkForGpu(const Architecture& architecture, int fold) {
  constexpr int64_t kFloats = int64_t{256} * 197 * 3072;
  constexpr int64_t kMost = 2048;
  const int64_t images = std::clamp<int64_t>(kFloats / WidestActivation(architecture), 1, kMost);
  const int64_t chunks = (fold + images - 1) / images;
  return static_cast<int>((fold + chunks - 1) / chunks);
}

absl::Status TryForward(const ModelSnapshot& snapshot, at::Device device, int chunk) {
  return WithoutExceptions([&]() -> absl::Status {
    const c10::InferenceMode inference_mode;
    const c10::OptionalDeviceGuard guard(device);
    ASSIGN_OR_RETURN(const NumberFormat fp32, NumberFormat::FromName("fp32"));
    ASSIGN_OR_RETURN(const auto model,
                     LoadedModel::Load(snapshot, snapshot.surface, fp32, {}, device, {}));
    const Preprocessing& input = snapshot.architecture.preprocessing;
    model->graph().RunFrom(0, at::zeros({chunk, input.channels, input.height, input.width},
                                        at::TensorOptions(at::kFloat).device(device)));
    at::accelerator::synchronizeDevice(device.index());
    return absl::OkStatus();
  });
}

}  // namespace

absl::StatusOr<int> ChooseChunk(const ModelSnapshot& snapshot, const EvaluatorOptions& options,
                                int fold) {
  ASSIGN_OR_RETURN(const at::Device device, OpenDevice(options.device));
  if (device.is_cpu()) {
    return ChunkForCpu(snapshot.architecture);
  }
  RETURN_IF_ERROR(CheckCodeAllowed(snapshot, options.allow_torchscript));
  int chunk = ChunkForGpu(snapshot.architecture, std::max(fold, 1));
  for (;;) {
    const absl::Status tried = TryForward(snapshot, device, chunk);
    RETURN_IF_ERROR(WithoutExceptions([] {
      at::accelerator::emptyCache();
      return absl::OkStatus();
    }));
    if (tried.ok()) {
      return chunk;
    }
    if (!absl::IsResourceExhausted(tried) || chunk == 1) {
      return tried;
    }
    chunk = (chunk + 1) / 2;
  }
}

}  // namespace bitquake
