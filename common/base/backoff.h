// How long to wait before the next attempt: doubling, capped, with jitter, so that a thousand
// clients that lost the same server do not come back in step.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace bitquake {

struct BackoffOptions {
  absl::Duration first = absl::Milliseconds(100);
  absl::Duration max = absl::Seconds(10);
};

// Thread-compatible.
class Backoff {
 public:
  // `seed` makes the jitter; give each client its own.
  Backoff(BackoffOptions options, uint64_t seed);

  // Uniform in (0.5, 1] of first * 2^attempts, at most max. In the first attempt a uniform part of
  // `window` more: so clients that lost one server together come back spread over it, however
  // quickly the server does.
  absl::Duration Next(absl::Duration window = absl::ZeroDuration());
  void Reset() { attempts_ = 0; }

 private:
  BackoffOptions options_;
  uint64_t state_;
  int attempts_ = 0;
};

}  // namespace bitquake
