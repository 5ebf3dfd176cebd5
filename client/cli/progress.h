// A campaign's progress on a terminal (one line, redrawn in place) or in a pipe (plain lines, now
// and then).
#pragma once

#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/api/client.h"

namespace bitquake {

// Call before any thread is started: Progress waits for the signal that the terminal has another
// size, which no other thread may take.
void BlockResizeSignal();

struct ProgressOptions {
  int fd = 2;
  bool terminal = false;
  bool colour = false;

  // Of stderr: plain lines also on a terminal that cannot erase (TERM=dumb), colours but with
  // NO_COLOR.
  static ProgressOptions OfStderr();
};

// Each frame is one write, and erases what the one before left behind it: nothing flickers. The
// line is redrawn each second and when the terminal's size changes. Thread-safe.
class Progress {
 public:
  explicit Progress(const ProgressOptions& options = ProgressOptions::OfStderr());
  ~Progress();  // ends the line

  // The newest status; the server that gave it is there.
  void Show(const CampaignStatus& status);
  // The server went away; `line` says what is done about it. Said once, until Show.
  void Away(const std::string& line);
  // A line of its own, above the progress.
  void Note(const std::string& line);
  // The last status stays where it is; what follows begins on a new line.
  void EndLine();

 private:
  void KeepDrawing();
  std::string Frame() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Draw(const std::string& before) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ShowPlain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ProgressOptions options_;
  absl::Mutex mutex_;
  CampaignStatus status_ ABSL_GUARDED_BY(mutex_);
  bool line_open_ ABSL_GUARDED_BY(mutex_) = false;  // of a terminal
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time known_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // of the status
  absl::Time away_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  std::string plain_state_ ABSL_GUARDED_BY(mutex_);  // that was written last
  absl::Time plain_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::thread drawer_;  // of a terminal
};

}  // namespace bitquake
