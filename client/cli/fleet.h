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

// What is called while the programs of a run start and work.
struct FleetHooks {
  // A program ended by itself and is started again: "the server exited with code 1".
  std::function<void(const std::string& what)> died = [](const std::string&) {};
  // It is not started again; ChildProcess's.
  std::function<void(absl::Status)> given_up = [](const absl::Status&) {};
  // Processes of an earlier run on the same files still end, and are waited for.
  std::function<void()> waits = [] {};
  std::function<bool()> stopped = [] { return false; };  // ends that wait
};

// Starts a coordinator on the run's store; returns when it serves.
absl::StatusOr<std::unique_ptr<ChildProcess>> StartServer(const RunDirectory& run,
                                                          const std::string& address,
                                                          const FleetOptions& options,
                                                          const FleetHooks& hooks);

// The coordinator and the workers of a run, ended in the right order.
class Fleet {
 public:
  absl::Status Start(const RunDirectory& run, const std::string& address,
                     const FleetOptions& options, const FleetHooks& hooks);
  // Workers hand back what they hold while the server still listens.
  ~Fleet();

 private:
  std::unique_ptr<ChildProcess> server_;
  std::vector<std::unique_ptr<ChildProcess>> workers_;
};

}  // namespace bitquake
