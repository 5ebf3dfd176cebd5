#include "common/base/process.h"

#include <openssl/crypto.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/clock.h"
#include "common/base/status.h"

namespace bitquake {
namespace {

sigset_t TerminationSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

void BlockTerminationSignals() {
  const sigset_t set = TerminationSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void KeepOpenSsl() { OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr); }

void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

int WaitForTermination(absl::Duration patience) {
  const sigset_t set = TerminationSignals();
  const SystemClock clock;
  const absl::Duration end = clock.Monotonic() + patience;
  for (;;) {
    // The kernel counts this in monotonic time.
    const timespec left =
        absl::ToTimespec(std::clamp(end - clock.Monotonic(), absl::ZeroDuration(), absl::Hours(1)));
    const int received = sigtimedwait(&set, nullptr, &left);
    if (received > 0) {
      return received;
    }
    if (clock.Monotonic() >= end) {
      return 0;
    }
  }
}

absl::Status NotifyReady(int fd, absl::string_view line) {
  const std::string text = absl::StrCat(line, "\n");
  const ssize_t written = write(fd, text.data(), text.size());
  close(fd);
  return written == static_cast<ssize_t>(text.size()) ? absl::OkStatus()
                                                      : ErrnoStatus("--ready-fd");
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "localhost";
}

uint64_t RandomNumber() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

std::string RandomHex() { return absl::StrFormat("%016x", RandomNumber()); }

}  // namespace bitquake
