// Programs as children, each in its own process group and ended with its parent: one that is kept
// running and started again when it dies, or one that runs to its end.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bitquake {

struct ChildOptions {
  std::string program;                 // path
  std::vector<std::string> arguments;  // without the program's name
  std::string log;                     // its stdout and stderr are appended here
  // Gives the program `--ready-fd N` and takes a line on it as the sign that it serves.
  bool announces_ready = false;
  // Exits by itself so often within `quick` of its start, and it is given up.
  int quick_exits = 3;
  absl::Duration quick = absl::Seconds(10);
};

// Thread-safe.
class ChildProcess {
 public:
  // `died` is called (on this object's thread) each time that the program ends by itself and is
  // started again. `given_up` is called once if it is not started again, with the end of its log.
  ChildProcess(ChildOptions options, std::function<void(const std::string& how)> died,
               std::function<void(absl::Status)> given_up);
  ~ChildProcess();  // Stop()

  // Waits until it has announced itself, or was given up. OK at once if it does not announce
  // itself.
  absl::Status AwaitReady();

  // SIGTERM, then, after `grace`, SIGKILL; waits for its end.
  void Stop(absl::Duration grace = absl::Seconds(30));

  pid_t pid() const;

 private:
  void Keep();
  absl::StatusOr<pid_t> Spawn(int* ready_fd);

  const ChildOptions options_;
  const std::function<void(const std::string&)> died_;
  const std::function<void(absl::Status)> given_up_;

  mutable absl::Mutex mutex_;
  pid_t pid_ ABSL_GUARDED_BY(mutex_) = 0;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;  // a process that was not waited for
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::thread keeper_;
};

// Runs a program to its end. Its stdout is this process's, or nowhere if `quiet`; its stderr is
// appended to `log`. Errors: Aborted if it does not exit with 0, with the last line of its log.
// Ends with the thread that calls.
absl::Status RunToEnd(const std::string& program, const std::vector<std::string>& arguments,
                      const std::string& log, bool quiet);

}  // namespace bitquake
