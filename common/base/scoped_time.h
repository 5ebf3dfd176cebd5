// Adds the time that it lives to a sum:
//
//   { const ScopedTime timed(&times.load); Load(); }
#pragma once

#include "absl/time/time.h"
#include "common/base/clock.h"

namespace bitquake {

class ScopedTime {
 public:
  explicit ScopedTime(absl::Duration* sum) : sum_(sum), start_(SystemClock().Monotonic()) {}
  ~ScopedTime() { *sum_ += SystemClock().Monotonic() - start_; }
  ScopedTime(const ScopedTime&) = delete;
  ScopedTime& operator=(const ScopedTime&) = delete;

 private:
  absl::Duration* const sum_;
  const absl::Duration start_;
};

}  // namespace bitquake
