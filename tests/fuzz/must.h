// What a fuzz target holds its subject to.
#pragma once

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

}  // namespace bitquake

// Defined by each target. Returns 0, or -1 for an input that is not worth keeping.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
