// A campaign's progress on a terminal (one line, redrawn) or in a pipe (plain lines, now and then).
#pragma once

#include <string>

#include "absl/time/time.h"
#include "client/api/client.h"

namespace bitquake {

// Writes to stderr. Thread-compatible.
class Progress {
 public:
  Progress();
  ~Progress();  // ends the line

  void Show(const CampaignStatus& status);
  // A line of its own.
  void Note(const std::string& line);
  // What follows begins on a new line.
  void EndLine();

 private:
  const bool terminal_;
  bool line_open_ = false;
  std::string last_state_;
  absl::Time last_shown_ = absl::InfinitePast();
};

}  // namespace bitquake
