#include "worker/engine/compute_device.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <dlfcn.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

// Once for the process: torch registers its CUDA kernels when the library is loaded.
absl::Status LoadCuda() {
  static const absl::Status& loaded = *new absl::Status([] {
    if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(
        absl::StrCat("torch's CUDA library does not load (", dlerror(),
                     "); install torch with its CUDA packages, let BITQUAKE_LIBTORCH name their "
                     "folder, or use --device cpu"));
  }());
  return loaded;
}

}  // namespace

absl::StatusOr<at::Device> OpenDevice(absl::string_view name) {
  if (name == "cpu") {
    return at::Device(at::kCPU);
  }
  absl::string_view rest = name;
  int index = 0;
  if (!absl::ConsumePrefix(&rest, "cuda") ||
      (!rest.empty() && (!absl::ConsumePrefix(&rest, ":") || !absl::SimpleAtoi(rest, &index) ||
                         index < 0 || index > 127))) {
    return absl::InvalidArgumentError(
        absl::StrCat("device '", name, "' is not cpu, cuda or cuda:NUMBER"));
  }
  RETURN_IF_ERROR(LoadCuda());
  const int devices = at::globalContext().hasCUDA() ? at::accelerator::deviceCount() : 0;
  if (index >= devices) {
    return absl::FailedPreconditionError(
        absl::StrCat("device '", name, "': this machine has ",
                     devices == 0 ? "no CUDA device" : absl::StrCat("only ", devices),
                     "; see nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu"));
  }
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
  // Partial sums stay in fp32: those of integer words, not scaled yet, may be beyond fp16.
  at::globalContext().setAllowFP16ReductionCuBLAS(false);
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

absl::StatusOr<ComputeMode> ParseComputeMode(absl::string_view name, at::Device device) {
  if (name == "fp32") {
    return ComputeMode{};
  }
  if (name == "tf32") {
    if (device.is_cpu()) {
      return absl::UnimplementedError("compute 'tf32' is for CUDA devices; use fp32 on the CPU");
    }
    return ComputeMode{at::kFloat, true};
  }
  if (name == "bf16" || name == "fp16") {
    return ComputeMode{name == "bf16" ? at::kBFloat16 : at::kHalf, false};
  }
  return absl::InvalidArgumentError(
      absl::StrCat("compute '", name, "' is not fp32, tf32, bf16 or fp16"));
}

void UseComputeMode(const ComputeMode& mode, at::Device device) {
  if (device.is_cuda()) {
    at::globalContext().setAllowTF32CuBLAS(mode.tf32);
    at::globalContext().setAllowTF32CuDNN(mode.tf32);
  }
}

int64_t FreeBytes(at::Device device) {
  constexpr size_t kAll = 0;  // of both kinds of blocks that the statistics tell apart
  const auto stats = at::accelerator::getDeviceStats(device.index());
  const int64_t kept = stats.reserved_bytes[kAll].current - stats.allocated_bytes[kAll].current;
  return static_cast<int64_t>(at::accelerator::getMemoryInfo(device.index()).first) + kept;
}

}  // namespace bitquake
