// bitquake-worker: computes jobs, one process for each device.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/build_info.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/output.h"
#include "common/base/process.h"
#include "common/base/status_macros.h"
#include "common/channel/connection_options.h"
#include "common/http/http_server.h"
#include "spdlog/spdlog.h"
#include "worker/agent/agent.h"
#include "worker/agent/channel.h"
#include "worker/agent/doctor.h"
#include "worker/agent/replay.h"
#include "worker/agent/spool_place.h"
#include "worker/agent/workbench.h"
#include "worker/agent/worker_metrics.h"
#include "worker/engine/evaluator.h"

namespace bitquake {
namespace {

// The device failed, which a new process may find again: EX_TEMPFAIL of sysexits.h.
constexpr int kDeviceLostExitCode = 75;

struct Flags {
  ConnectionOptions server;
  std::vector<std::string> model_roots;
  std::vector<std::string> data_roots;
  std::vector<std::string> models;  // NAME=PATH
  std::vector<std::string> data;
  std::string cache;
  std::string device = "cpu";
  std::string http;
  std::string log_file;
  std::string replay;   // a TrialSetup, as JSON
  std::string doctor;   // a request of `bitquake doctor`, as JSON
  std::string outcome;  // where its TrialMeasurement goes, or the doctor's answer
  SpoolPlace spool;
  double grace_seconds = 30;
  int threads = 0;
  bool allow_torchscript = false;
};

std::string DefaultCache() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg != '\0') {
    return absl::StrCat(xdg, "/bitquake/pixels");
  }
  const char* home = std::getenv("HOME");
  return absl::StrCat(home != nullptr ? home : "/tmp", "/.cache/bitquake/pixels");
}

absl::StatusOr<Roots> MakeRoots(const std::vector<std::string>& folders,
                                const std::vector<std::string>& named) {
  Roots roots;
  roots.folders = folders;
  for (const std::string& entry : named) {
    // A name may hold '='; an absolute path begins behind the first "=/".
    const bool absolute = absl::StrContains(entry, "=/");
    const std::pair<std::string, std::string> parts =
        absolute ? absl::StrSplit(entry, absl::MaxSplits(absl::ByString("=/"), 1))
                 : absl::StrSplit(entry, absl::MaxSplits(absl::ByString("="), 1));
    if (parts.first.empty() || parts.second.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("'", entry, "' is not NAME=PATH"));
    }
    roots.named[parts.first] = absl::StrCat(absolute ? "/" : "", parts.second);
  }
  return roots;
}

absl::StatusOr<WorkbenchOptions> MakeBench(const Flags& flags) {
  WorkbenchOptions bench;
  ASSIGN_OR_RETURN(bench.models, MakeRoots(flags.model_roots, flags.models));
  ASSIGN_OR_RETURN(bench.data, MakeRoots(flags.data_roots, flags.data));
  bench.cache_folder = flags.cache.empty() ? DefaultCache() : flags.cache;
  bench.threads =
      flags.threads > 0 ? flags.threads : static_cast<int>(std::thread::hardware_concurrency());
  bench.allow_torchscript = flags.allow_torchscript;
  bench.device = flags.device;
  bench.create_evaluator = CreateEvaluator;
  bench.choose_chunk = ChooseChunk;
  return bench;
}

// For `bitquake replay`: prints a trial's faults; computes it again if an outcome is asked for.
absl::Status Replay(const Flags& flags) {
  ASSIGN_OR_RETURN(WorkbenchOptions bench, MakeBench(flags));
  Workbench workbench(std::move(bench));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.replay));
  ASSIGN_OR_RETURN(const TrialSetup setup, TrialSetupFromJson(text));
  Output output;
  const absl::Status written = WriteFaults(setup, workbench, std::cout);
  RETURN_IF_ERROR(output.Finish());  // which knows why
  RETURN_IF_ERROR(written);
  if (flags.outcome.empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string kind, DeviceKind(flags.device));
  ASSIGN_OR_RETURN(const TrialMeasurement measured, MeasureAgain(setup, workbench, kind));
  return WriteFileAtomically(flags.outcome, ToJson(measured));
}

// For `bitquake doctor`.
absl::Status AnswerDoctor(const Flags& flags) {
  ASSIGN_OR_RETURN(WorkbenchOptions bench, MakeBench(flags));
  Workbench workbench(std::move(bench));
  ASSIGN_OR_RETURN(const std::string request, ReadFile(flags.doctor));
  DoctorOptions options;
  options.device = flags.device;
  ASSIGN_OR_RETURN(options.device_kind, DeviceKind(flags.device));
  options.memory = MemoryOf(flags.device);
  options.measure_fidelity = MeasureFidelity;
  ASSIGN_OR_RETURN(const std::string answer, Examine(request, workbench, options));
  return WriteFileAtomically(flags.outcome, answer);
}

// Serves the worker's metrics; nothing if no address is given.
absl::StatusOr<std::unique_ptr<HttpServer>> ServeMetrics(const Flags& flags, const Agent& agent,
                                                         Workbench& workbench,
                                                         const std::string& device_kind) {
  if (flags.http.empty()) {
    return nullptr;
  }
  WorkerSources sources;
  sources.figures = &workbench.figures();
  sources.unacknowledged = [&agent] { return agent.outcomes().unacknowledged(); };
  sources.corrupt_records = [&agent] { return agent.outcomes().corrupt_records(); };
  sources.device_memory = [device = flags.device] { return MemoryOf(device); };
  sources.device_kind = device_kind;
  ASSIGN_OR_RETURN(std::unique_ptr<HttpServer> http,
                   HttpServer::Start({flags.http, [&agent] { return agent.ready(); }},
                                     std::make_shared<WorkerMetrics>(std::move(sources))));
  spdlog::info("metrics on port {}", http->port());
  return http;
}

// Ends the agent as the signals say, and the process if that takes longer than the grace time.
// `ended`: the agent has ended, and the signal is only to say so.
void DrainOnSignals(Agent& agent, absl::Duration grace, const std::atomic<bool>& ended) {
  const int first = WaitForTermination();
  if (ended) {
    return;
  }
  const SystemClock clock;
  const absl::Duration end = clock.Monotonic() + grace;
  spdlog::info("signal {}: draining within {}", first, absl::FormatDuration(grace));
  agent.Drain();
  const int second = WaitForTermination(grace / 2);
  if (ended) {
    return;
  }
  spdlog::info("{}: handing back", second != 0 ? "another signal" : "half of the time is over");
  agent.HandBack();
  while (!ended && clock.Monotonic() < end) {
    WaitForTermination(end - clock.Monotonic());
  }
  if (!ended) {
    // A chunk, or loading, that cannot be left. The lease has been handed back.
    spdlog::warn("the grace time is over: leaving what computes, and {} reports in the spool",
                 agent.outcomes().unacknowledged());
    spdlog::default_logger()->flush();
    std::_Exit(0);
  }
}

absl::Status Work(const Flags& flags) {
  ASSIGN_OR_RETURN(WorkbenchOptions bench, MakeBench(flags));
  Workbench workbench(std::move(bench));

  ASSIGN_OR_RETURN(const std::unique_ptr<v1::WorkerService::Stub> stub,
                   ConnectToCoordinator(flags.server));

  AgentOptions options;
  SpoolPlace place = flags.spool;
  place.device = flags.device;
  ASSIGN_OR_RETURN(std::unique_ptr<Spool> spool, OpenSpool(place));
  options.worker_id = WorkerId(place, *spool);
  // What is left of the time at its end is for the process to exit.
  const absl::Duration grace = absl::Seconds(flags.grace_seconds);
  options.grace = 0.9 * grace;
  ASSIGN_OR_RETURN(options.device_kind, DeviceKind(flags.device));
  spdlog::info("version {}, {}, server {}, worker {}, spool {}", kVersion, options.device_kind,
               flags.server.address, options.worker_id, spool->folder());
  Agent agent(stub.get(), &workbench, std::move(spool), options);
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpServer> http,
                   ServeMetrics(flags, agent, workbench, options.device_kind));
  std::atomic<bool> ended{false};
  std::thread terminator([&] { DrainOnSignals(agent, grace, ended); });
  const absl::Status status = agent.Run();
  ended = true;
  kill(getpid(), SIGTERM);  // ends the terminator's wait
  terminator.join();
  return status;
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  bitquake::KeepOpenSsl();
  bitquake::PrepareProcess();
  bitquake::Flags flags;
  CLI::App app("A worker of Bitquake: quantises weights, flips bits, infers, reports.");
  app.set_version_flag("--version", bitquake::kVersion);
  AddConnectionFlags(app, &flags.server);
  app.add_option("--model-root", flags.model_roots, "folder that holds model folders; repeatable")
      ->envname("BITQUAKE_MODEL_ROOT");
  app.add_option("--data-root", flags.data_roots, "folder that holds data sets; repeatable")
      ->envname("BITQUAKE_DATA_ROOT");
  app.add_option("--model", flags.models, "NAME=PATH: a model outside of the roots; repeatable");
  app.add_option("--data", flags.data, "NAME=PATH: a data set outside of the roots; repeatable");
  app.add_option("--cache", flags.cache,
                 "folder for preprocessed pixels; by default ~/.cache/bitquake/pixels");
  app.add_option("--id", flags.spool.id,
                 "name of this worker, the same after a restart; by default the spool's");
  app.add_option(
      "--spool", flags.spool.folder,
      "folder for outcomes that the coordinator has not acknowledged, one for each worker; "
      "by default in ~/.local/state/bitquake/worker");
  app.add_option("--spool-limit", flags.spool.most_bytes,
                 "size of the spool at which no more is leased: 256MB")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->check(CLI::PositiveNumber);
  app.add_option(
         "--grace", flags.grace_seconds,
         "seconds from SIGTERM to the end: jobs at work may take half of them, then they are "
         "handed back; a second SIGTERM hands them back at once")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  app.add_option("--device", flags.device, "cpu, cuda, or cuda:NUMBER")->capture_default_str();
  app.add_option("--http", flags.http,
                 "HOST:PORT of /metrics, /healthz and /readyz; none by default");
  app.add_option("--threads", flags.threads, "CPU threads; by default one for each core");
  app.add_flag("--allow-torchscript", flags.allow_torchscript,
               "run models that come as code (model.ts), with the rights of this process");
  // Hidden: requests and answers are those of `bitquake replay` and `bitquake doctor`.
  app.add_option("--doctor", flags.doctor)->group("");
  app.add_option("--replay", flags.replay)->group("");
  app.add_option("--outcome", flags.outcome)->group("");
  app.add_option("--log", flags.log_file, "log file; stderr by default");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const bool serves = flags.replay.empty() && flags.doctor.empty();
  if (serves) {
    bitquake::BlockTerminationSignals();  // the others just end: they hold nothing
  }
  bitquake::StartLogging("bitquake-worker", flags.log_file);
  const absl::Status status = serves                 ? bitquake::Work(flags)
                              : flags.doctor.empty() ? bitquake::Replay(flags)
                                                     : bitquake::AnswerDoctor(flags);
  if (!status.ok()) {
    std::cerr << "bitquake-worker: " << status.message() << "\n";
    if (absl::IsAborted(status)) {
      return bitquake::kDeviceLostExitCode;
    }
    return absl::IsInvalidArgument(status) ? 2 : 1;
  }
  return 0;
}
