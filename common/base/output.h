// Whether what a program prints arrives.
//
//   Output output;
//   ... std::cout << ...
//   const absl::Status printed = output.Finish();
#pragma once

#include <memory>
#include <streambuf>

#include "absl/status/status.h"

namespace bitquake {

// While it lives, std::cout remembers what went wrong. One at a time; make it first in main, for it
// also takes the numbers of stdin, stdout and stderr where they are closed: no file opened later
// gets one of them and is printed into.
class Output {
 public:
  Output();
  ~Output();
  Output(const Output&) = delete;

  // Flushes std::cout. Errors: some of what was printed is lost.
  absl::Status Finish();

 private:
  class Buffer;

  std::unique_ptr<Buffer> buffer_;    // null on a terminal, where each line appears at once
  std::streambuf* before_ = nullptr;  // std::cout's own
};

}  // namespace bitquake
