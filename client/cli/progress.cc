#include "client/cli/progress.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/progress_text.h"

namespace bitquake {
namespace {

constexpr absl::Duration kBetweenPlainLines = absl::Seconds(10);
constexpr time_t kSecondsBetweenFrames = 1;

sigset_t ResizeSignal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGWINCH);
  return set;
}

// One write, so that the terminal never shows half of it. A reader that is gone is no error here.
void Write(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) {
      return;
    }
    text.remove_prefix(n < 0 ? 0 : static_cast<size_t>(n));
  }
}

size_t TerminalWidth(int fd) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

}  // namespace

void BlockResizeSignal() {
  const sigset_t set = ResizeSignal();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

ProgressOptions ProgressOptions::OfStderr() {
  ProgressOptions options;
  options.fd = STDERR_FILENO;
  const char* kind = std::getenv("TERM");
  options.terminal =
      isatty(STDERR_FILENO) != 0 && kind != nullptr && absl::string_view(kind) != "dumb";
  options.colour = options.terminal && !IsSet("NO_COLOR");
  return options;
}

Progress::Progress(const ProgressOptions& options) : options_(options) {
  if (options_.terminal) {
    drawer_ = std::thread([this] { KeepDrawing(); });
  }
}

Progress::~Progress() {
  EndLine();
  if (drawer_.joinable()) {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    pthread_kill(drawer_.native_handle(), SIGWINCH);  // ends its wait
    drawer_.join();
  }
}

void Progress::KeepDrawing() {
  BlockResizeSignal();
  const sigset_t set = ResizeSignal();
  for (;;) {
    const timespec wait = {kSecondsBetweenFrames, 0};
    sigtimedwait(&set, nullptr, &wait);
    absl::MutexLock lock(&mutex_);
    if (stopping_) {
      return;
    }
    if (line_open_) {
      Draw("");
    }
  }
}

std::string Progress::Frame() const {
  // The last column stays free: a full line would wrap on some terminals.
  const size_t width = TerminalWidth(options_.fd) - 1;
  const absl::Time now = absl::Now();
  if (away_since_ < now) {
    return FitText(absl::StrCat("waiting for the server, ",
                                DurationText(absl::ToDoubleSeconds(now - away_since_)),
                                "; Ctrl-C ends the wait  ", status_.name),
                   width);
  }
  return ProgressText(status_, now - known_at_, width, options_.colour);
}

void Progress::Draw(const std::string& before) {
  Write(options_.fd, absl::StrCat("\r", before, line_open_ ? Frame() : "", "\x1b[K"));
}

void Progress::ShowPlain() {
  const absl::Time now = absl::Now();
  if (status_.state == plain_state_ && now - plain_at_ < kBetweenPlainLines) {
    return;
  }
  plain_state_ = status_.state;
  plain_at_ = now;
  Write(options_.fd, StatusLine(status_) + "\n");
}

void Progress::Show(const CampaignStatus& status) {
  absl::MutexLock lock(&mutex_);
  const absl::Time now = absl::Now();
  std::string back;
  if (away_since_ < now) {
    back = absl::StrCat("the server is back after ",
                        DurationText(absl::ToDoubleSeconds(now - away_since_)));
    away_since_ = absl::InfiniteFuture();
  }
  status_ = status;
  known_at_ = now;
  if (options_.terminal) {
    line_open_ = true;
    Draw(back.empty() ? "" : absl::StrCat(back, "\x1b[K\n"));
    return;
  }
  if (!back.empty()) {
    Write(options_.fd, back + "\n");
  }
  ShowPlain();
}

void Progress::Away(const std::string& line) {
  absl::MutexLock lock(&mutex_);
  if (away_since_ < absl::InfiniteFuture()) {
    return;
  }
  away_since_ = absl::Now();
  if (options_.terminal) {
    line_open_ = true;
    Draw(absl::StrCat(line, "\x1b[K\n"));
  } else {
    Write(options_.fd, line + "\n");
  }
}

void Progress::Note(const std::string& line) {
  absl::MutexLock lock(&mutex_);
  if (options_.terminal) {
    Draw(absl::StrCat(line, "\x1b[K\n"));
  } else {
    Write(options_.fd, line + "\n");
  }
}

void Progress::EndLine() {
  absl::MutexLock lock(&mutex_);
  if (line_open_) {
    Draw("");
    Write(options_.fd, "\n");
    line_open_ = false;
  }
}

}  // namespace bitquake
