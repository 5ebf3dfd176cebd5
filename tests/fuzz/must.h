// What a fuzz target holds its subject to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"

namespace bitquake {

// Ends the process if a promise does not hold, which libFuzzer then reports with the input.
inline void Must(bool holds, absl::string_view promise) {
  if (!holds) {
    std::fprintf(stderr, "BROKEN: %s\n", std::string(promise).c_str());
    std::abort();
  }
}

inline absl::string_view Text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Defined by each target: takes one input. Returns 0, or -1 for one that is not worth keeping.
int Fuzz(const uint8_t* data, size_t size);

}  // namespace bitquake
