// The edge between torch, which throws, and everything else, which returns absl::Status.
#pragma once

#include <exception>
#include <utility>

#include "absl/status/status.h"

namespace bitquake {

// The exception as a status: ResourceExhausted when memory ran out, Aborted when a device failed in
// another way (this process can use it no more), Internal otherwise.
absl::Status StatusFromException(const std::exception& error);

// Calls `body`, which returns absl::Status or absl::StatusOr<T>; what it throws becomes its error.
template <typename Body>
auto WithoutExceptions(Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const std::exception& error) {
    return StatusFromException(error);
  }
}

}  // namespace bitquake
