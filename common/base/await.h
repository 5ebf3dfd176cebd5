// Waits that end on time, whatever the wall clock does.
//
// Debian's Abseil turns a timeout into a wall-clock instant: a clock that is set forward cuts such
// a wait, one that is set back stretches it by as much. AwaitFor counts CLOCK_MONOTONIC, which
// never steps.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bitquake {

// As mutex.AwaitWithTimeout(condition, duration), in monotonic time: waits, with `mutex` released,
// until `condition` is true or `duration` is over. Returns whether it is true, at once if it is
// already. `mutex` must be held exclusively. Thread-safe.
bool AwaitFor(absl::Mutex& mutex, const absl::Condition& condition, absl::Duration duration)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

}  // namespace bitquake
