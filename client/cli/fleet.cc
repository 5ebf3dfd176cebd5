#include "client/cli/fleet.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/cli/process_lock.h"
#include "common/base/status_macros.h"

namespace bitquake {

namespace {

constexpr int kWorkerGraceSeconds = 20;  // of the 30 after which a child is killed
// For those that a killed run left.
constexpr absl::Duration kPatience = absl::Seconds(kWorkerGraceSeconds + 10);

// Several workers on "cuda" take a GPU each.
std::string DeviceOf(const std::string& device, int worker, int workers) {
  return device == "cuda" && workers > 1 ? absl::StrCat("cuda:", worker) : device;
}

}  // namespace

absl::StatusOr<std::string> SisterProgram(const std::string& name) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string path = (self.parent_path() / name).string();
  if (access(path.c_str(), X_OK) != 0) {
    return absl::NotFoundError(absl::StrCat(path, " is missing; install it beside bitquake"));
  }
  return path;
}

absl::StatusOr<std::unique_ptr<ChildProcess>> StartServer(const RunDirectory& run,
                                                          const std::string& address,
                                                          const FleetOptions& options,
                                                          const FleetHooks& hooks) {
  std::error_code error;
  const std::string lock =
      std::filesystem::weakly_canonical(run.database(), error).string() + ".lock";  // the server's
  RETURN_IF_ERROR(AwaitUnlocked(lock, kPatience, hooks.waits, hooks.stopped));
  ChildOptions child;
  ASSIGN_OR_RETURN(child.program, SisterProgram("bitquake-server"));
  child.arguments = {"--db",  run.database(),         "--listen",
                     address, "--lease-work-seconds", absl::StrCat(options.lease_work_seconds)};
  if (options.max_lease_jobs > 0) {
    child.arguments.push_back("--max-lease-jobs");
    child.arguments.push_back(absl::StrCat(options.max_lease_jobs));
  }
  child.log = run.log("server");
  child.announces_ready = true;
  auto server = std::make_unique<ChildProcess>(
      child, [died = hooks.died](const std::string& how) { died("the server " + how); },
      hooks.given_up);
  RETURN_IF_ERROR(server->AwaitReady());
  return server;
}

absl::Status Fleet::Start(const RunDirectory& run, const std::string& address,
                          const FleetOptions& options, const FleetHooks& hooks) {
  ASSIGN_OR_RETURN(const std::string worker, SisterProgram("bitquake-worker"));
  ASSIGN_OR_RETURN(server_, StartServer(run, address, options, hooks));
  const int workers = run.state().workers;
  // With the server there, what a worker of before still holds is delivered, and it ends.
  for (int i = 0; i < workers; ++i) {
    RETURN_IF_ERROR(AwaitUnlocked(run.spool(i) + "/lock", kPatience, hooks.waits, hooks.stopped));
  }
  const int cores = std::max(1u, std::thread::hardware_concurrency());
  for (int i = 0; i < workers; ++i) {
    ChildOptions child;
    child.program = worker;
    child.arguments = {"--server",  address,
                       "--id",      absl::StrCat("worker-", i),
                       "--spool",   run.spool(i),
                       "--grace",   absl::StrCat(kWorkerGraceSeconds),
                       "--device",  DeviceOf(run.state().device, i, workers),
                       "--threads", absl::StrCat(std::max(1, cores / workers)),
                       "--data",    run.state().dataset + "=" + run.state().dataset_folder};
    for (const auto& [name, folder] : run.state().models) {
      child.arguments.push_back("--model");
      child.arguments.push_back(name + "=" + folder);
    }
    if (run.state().allow_torchscript) {
      child.arguments.push_back("--allow-torchscript");
    }
    if (!options.cache.empty()) {
      child.arguments.push_back("--cache");
      child.arguments.push_back(options.cache);
    }
    child.log = run.log(absl::StrCat("worker-", i));
    workers_.push_back(std::make_unique<ChildProcess>(
        child,
        [died = hooks.died, i](const std::string& how) {
          died(absl::StrCat("worker ", i, " ", how));
        },
        hooks.given_up));
  }
  return absl::OkStatus();
}

Fleet::~Fleet() {
  std::vector<std::thread> stops;
  for (const auto& worker : workers_) {
    stops.emplace_back([&worker] { worker->Stop(); });
  }
  for (std::thread& stop : stops) {
    stop.join();
  }
  if (server_ != nullptr) {
    server_->Stop();
  }
}

}  // namespace bitquake
