#include <ATen/Version.h>
#include <caffe2/core/common.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "worker/engine/evaluator.h"

namespace bitquake {
namespace {

// MKL takes other paths on other makes of one instruction set.
absl::string_view CpuMake() {
  __builtin_cpu_init();
  return __builtin_cpu_is("intel") ? "Intel" : __builtin_cpu_is("amd") ? "AMD" : "other";
}

// Of the library that runs: a bundle may meet a later one than it was built with.
const std::string& TorchVersion() { return caffe2::GetBuildOptions().at("TORCH_VERSION"); }

}  // namespace

std::string DeviceKind() {
  return absl::StrCat("cpu ", CpuMake(), " ", at::get_cpu_capability(), ", torch ", TorchVersion());
}

std::optional<DeviceMemory> MemoryOf(const std::string&) { return std::nullopt; }

void PrepareProcess() {
  // MKL otherwise chooses its summation order by, among others, the alignment of its operands.
  setenv("MKL_CBWR", "AUTO", /*overwrite=*/1);
}

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

}  // namespace

// Activations of a chunk should stay in a core's cache; a chunk of a few hundred rows keeps the
// matrix products efficient.
int DefaultChunk(const Architecture& architecture) {
  int64_t floats = 0;
  switch (architecture.family()) {
    case Family::kVit:
      floats = WidestActivation(std::get<VitShape>(architecture.network));
      break;
    case Family::kSwin:
      floats = WidestActivation(std::get<SwinShape>(architecture.network));
      break;
    case Family::kDeepVit:
      floats = WidestActivation(std::get<DeepVitShape>(architecture.network));
      break;
    case Family::kTorchScript:
      // Not known. A ResNet's is 64 channels at half of the image's side, each way.
      floats = int64_t{16} * architecture.preprocessing.height * architecture.preprocessing.width;
      break;
  }
  constexpr int64_t kFloats = int64_t{1} << 20;
  for (const int chunk : {25, 10, 5, 2}) {
    if (chunk * floats <= kFloats) {
      return chunk;
    }
  }
  return 1;
}

}  // namespace bitquake
