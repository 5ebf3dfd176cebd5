// Where time comes from. Nothing orders events by the wall clock: leases, backoff and timeouts use
// Monotonic(), which never steps; Wall() is only shown to people.
#pragma once

#include "absl/time/time.h"

namespace bitquake {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // Time since an arbitrary fixed instant; never decreases.
  virtual absl::Duration Monotonic() const = 0;

  virtual absl::Time Wall() const = 0;
};

class SystemClock : public Clock {
 public:
  absl::Duration Monotonic() const override;
  absl::Time Wall() const override;
};

}  // namespace bitquake
