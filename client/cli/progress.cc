#include "client/cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "absl/time/clock.h"
#include "client/cli/command.h"

namespace bitquake {
namespace {

constexpr absl::Duration kBetweenPlainLines = absl::Seconds(10);

size_t TerminalWidth() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress() : terminal_(isatty(STDERR_FILENO) != 0) {}
Progress::~Progress() { EndLine(); }

void Progress::Show(const CampaignStatus& status) {
  std::string line = StatusLine(status);
  if (terminal_) {
    if (line.size() >= TerminalWidth()) {
      line.resize(TerminalWidth() - 1);
    }
    std::cerr << "\r" << line << "\x1b[K" << std::flush;
    line_open_ = true;
    return;
  }
  const absl::Time now = absl::Now();
  if (status.state == last_state_ && now - last_shown_ < kBetweenPlainLines) {
    return;
  }
  last_state_ = status.state;
  last_shown_ = now;
  std::cerr << line << "\n";
}

void Progress::Note(const std::string& line) {
  EndLine();
  std::cerr << line << "\n";
}

void Progress::EndLine() {
  if (line_open_) {
    std::cerr << "\n";
    line_open_ = false;
  }
}

}  // namespace bitquake
