#include "client/cli/process_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/clock.h"

namespace bitquake {
namespace {

constexpr absl::Duration kBetweenLooks = absl::Milliseconds(50);

// False also where it cannot be known: the program that needs the lock says what is wrong.
bool IsLocked(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return false;
  }
  const bool locked = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(fd);
  return locked;
}

}  // namespace

absl::Status AwaitUnlocked(const std::string& path, absl::Duration patience,
                           const std::function<void()>& waits,
                           const std::function<bool()>& stopped) {
  if (!IsLocked(path)) {
    return absl::OkStatus();
  }
  waits();
  const SystemClock clock;
  const absl::Duration end = clock.Monotonic() + patience;
  do {
    if (stopped()) {
      return absl::CancelledError("interrupted");
    }
    if (clock.Monotonic() > end) {
      return absl::AbortedError(absl::StrCat(
          path, ": another process still holds it after ", absl::FormatDuration(patience),
          "; if another bitquake is at work in this run directory, end it"));
    }
    absl::SleepFor(kBetweenLooks);
  } while (IsLocked(path));
  return absl::OkStatus();
}

}  // namespace bitquake
