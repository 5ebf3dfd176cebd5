#include <ATen/DeviceAccelerator.h>
#include <ATen/Version.h>
#include <caffe2/core/common.h>
#include <dlfcn.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/engine/compute_device.h"
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

// What torch does not tell without CUDA's headers. These functions of the driver's library, which
// torch has loaded, are part of its stable interface; its devices count as torch's do.
struct Driver {
  int (*get_name)(char*, int, int);
  int (*get_version)(int*);
};

absl::StatusOr<Driver> LoadDriver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("CUDA's driver does not load: ", dlerror()));
  }
  const Driver driver = {
      reinterpret_cast<int (*)(char*, int, int)>(dlsym(library, "cuDeviceGetName")),
      reinterpret_cast<int (*)(int*)>(dlsym(library, "cuDriverGetVersion"))};
  if (driver.get_name == nullptr || driver.get_version == nullptr) {
    return absl::FailedPreconditionError("libcuda.so.1 is not CUDA's driver");
  }
  return driver;
}

}  // namespace

absl::StatusOr<std::string> DeviceKind(const std::string& name) {
  ASSIGN_OR_RETURN(const at::Device device, OpenDevice(name));
  if (device.is_cpu()) {
    return absl::StrCat("cpu ", CpuMake(), " ", at::get_cpu_capability(), ", torch ",
                        TorchVersion());
  }
  ASSIGN_OR_RETURN(const Driver driver, LoadDriver());
  char model[256] = {};
  int version = 0;
  if (driver.get_name(model, sizeof(model), device.index()) != 0 ||
      driver.get_version(&version) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("CUDA's driver does not know device ", name));
  }
  return absl::StrCat("cuda ", model, ", driver ", version / 1000, ".", version % 1000 / 10,
                      ", torch ", TorchVersion());
}

std::optional<DeviceMemory> MemoryOf(const std::string& name) {
  const absl::StatusOr<at::Device> device = OpenDevice(name);
  if (!device.ok() || device->is_cpu()) {
    return std::nullopt;
  }
  try {
    const auto [free, total] = at::accelerator::getMemoryInfo(device->index());
    return DeviceMemory{static_cast<int64_t>(total - free), static_cast<int64_t>(total)};
  } catch (const std::exception&) {
    return std::nullopt;  // who computes on the device will say what is wrong with it
  }
}

void PrepareProcess() {
  // MKL otherwise chooses its summation order by, among others, the alignment of its operands.
  setenv("MKL_CBWR", "AUTO", /*overwrite=*/1);
  // cuBLAS otherwise may, with several streams.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/1);
}

}  // namespace bitquake
