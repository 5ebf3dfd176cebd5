// The programs that `run` starts on this host: a private coordinator and workers, as child
// processes that end with this one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/child_process.h"
#include "client/cli/run_directory.h"

namespace bitquake {

// The path of a program of ours: it lies beside this one. Errors: NotFound.
absl::StatusOr<std::string> SisterProgram(const std::string& name);

struct FleetOptions {
  double lease_work_seconds = 20;
  int64_t max_lease_jobs = 0;  // 0: the server's default
  std::string cache;           // of pixels; empty: the worker's default
};

using ProgramDied =
    std::function<void(const std::string& what)>;  // "the server exited with code 1"
using ProgramGivenUp = std::function<void(absl::Status)>;

// Starts a coordinator on the run's store; returns when it serves. The callbacks are
// ChildProcess's.
absl::StatusOr<std::unique_ptr<ChildProcess>> StartServer(const RunDirectory& run,
                                                          const std::string& address,
                                                          const FleetOptions& options,
                                                          const ProgramDied& died,
                                                          const ProgramGivenUp& given_up);

// The coordinator and the workers of a run, ended in the right order.
class Fleet {
 public:
  absl::Status Start(const RunDirectory& run, const std::string& address,
                     const FleetOptions& options, const ProgramDied& died,
                     const ProgramGivenUp& given_up);
  // Workers hand back what they hold while the server still listens.
  ~Fleet();

 private:
  std::unique_ptr<ChildProcess> server_;
  std::vector<std::unique_ptr<ChildProcess>> workers_;
};

}  // namespace bitquake
