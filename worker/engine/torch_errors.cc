#include "worker/engine/torch_errors.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

// cudaErrorMemoryAllocation.
constexpr int32_t kDeviceOutOfMemory = 2;

}  // namespace

absl::Status StatusFromException(const std::exception& error) {
  // c10::Error's what() carries a backtrace, which says nothing to a user.
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string message = torch_error ? torch_error->what_without_backtrace() : error.what();
  const auto* device_error = dynamic_cast<const c10::AcceleratorError*>(&error);
  const bool device_failed = device_error != nullptr || absl::StrContains(message, "CUDA error: ");
  const bool out_of_memory =
      dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
      (device_error != nullptr && device_error->get_error_code() == kDeviceOutOfMemory) ||
      absl::StrContains(message, "CUBLAS_STATUS_ALLOC_FAILED") ||
      absl::StrContains(message, "CUDA error: out of memory") ||
      dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
      absl::StrContains(message, "not enough memory") ||
      absl::StrContains(message, "can't allocate memory");
  if (out_of_memory) {
    return absl::ResourceExhaustedError(
        absl::StrCat("out of memory: ", message, "; use fewer threads or a smaller chunk"));
  }
  if (device_failed) {
    return absl::AbortedError(absl::StrCat("the device failed: ", message));
  }
  return absl::InternalError(absl::StrCat("torch: ", message));
}

}  // namespace bitquake
