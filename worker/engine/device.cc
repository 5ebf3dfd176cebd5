#include <ATen/Version.h>
#include <torch/headeronly/version.h>

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

}  // namespace

std::string DeviceKind() {
  return absl::StrCat("cpu ", CpuMake(), " ", at::get_cpu_capability(), ", torch ", TORCH_VERSION);
}

void PrepareProcess() {
  // MKL otherwise chooses its summation order by, among others, the alignment of its operands.
  setenv("MKL_CBWR", "AUTO", /*overwrite=*/1);
}

// Activations of a chunk should stay in a core's cache; a chunk of a few hundred rows keeps the
// matrix products efficient.
int DefaultChunk(const Architecture& architecture) {
  const VitShape& vit = architecture.vit;
  const int64_t grid = vit.image / vit.patch;
  const int64_t floats = (1 + grid * grid) * vit.mlp_hidden;  // the widest activation of an image
  constexpr int64_t kFloats = int64_t{1} << 20;
  for (const int chunk : {25, 10, 5, 2}) {
    if (chunk * floats <= kFloats) {
      return chunk;
    }
  }
  return 1;
}

}  // namespace bitquake
