#include "worker/engine/torch_errors.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bitquake {

absl::Status StatusFromException(const std::exception& error) {
  // c10::Error's what() carries a backtrace, which says nothing to a user.
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string message = torch_error ? torch_error->what_without_backtrace() : error.what();
  const bool out_of_memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
                             dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
                             absl::StrContains(message, "not enough memory") ||
                             absl::StrContains(message, "can't allocate memory");
  if (out_of_memory) {
    return absl::ResourceExhaustedError(
        absl::StrCat("out of memory: ", message, "; use fewer threads or a smaller chunk"));
  }
  return absl::InternalError(absl::StrCat("torch: ", message));
}

}  // namespace bitquake
