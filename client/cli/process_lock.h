// The locks that a run's server and workers hold on its files as long as they live. Those of a run
// that was killed outlive it by the time that they take to end in order.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace bitquake {

// Waits until no process holds the lock file at `path`, which need not be there; calls `waits` once
// if it has to. Errors: Aborted if one holds it for longer than `patience`, Cancelled once
// `stopped` is true.
absl::Status AwaitUnlocked(const std::string& path, absl::Duration patience,
                           const std::function<void()>& waits,
                           const std::function<bool()>& stopped);

}  // namespace bitquake
