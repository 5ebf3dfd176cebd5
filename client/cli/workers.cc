#include <iostream>

#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "common/base/shown.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

absl::Status Workers(const Session& session) {
  ASSIGN_OR_RETURN(const std::vector<WorkerStatus> workers, session.Connect()->Workers());
  if (session.flags.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const WorkerStatus& w : workers) {
      list.push_back({{"id", w.id},
                      {"host", w.host},
                      {"device_kind", w.device_kind},
                      {"version", w.version},
                      {"live", w.live},
                      {"leased_jobs", w.leased_jobs},
                      {"state", w.state},
                      {"error", w.error}});
    }
    std::cout << list.dump(1) << "\n";
    return absl::OkStatus();
  }
  std::cout << absl::StrFormat("%-28s %-16s %-12s %8s  %s\n", "WORKER", "HOST", "STATE", "JOBS",
                               "DEVICE");
  for (const WorkerStatus& w : workers) {
    const std::string state = w.state == "ready" ? (w.live ? "live" : "gone") : w.state;
    std::cout << absl::StrFormat("%-28s %-16s %-12s %8d  %s\n", Printable(w.id), Printable(w.host),
                                 Printable(state), w.leased_jobs, Printable(w.device_kind));
  }
  return absl::OkStatus();
}

}  // namespace

void AddWorkers(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("workers", "List the workers that a coordinator knows");
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake workers --json");
  command->callback([&session] { session.Finish(Workers(session)); });
}

}  // namespace bitquake
