#include <iostream>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

absl::Status List(const Session& session) {
  ASSIGN_OR_RETURN(const std::vector<CampaignStatus> campaigns, session.Connect()->List());
  if (session.flags.json) {
    std::cout << "["
              << absl::StrJoin(campaigns, ",\n",
                               [](std::string* out, const CampaignStatus& status) {
                                 out->append(StatusJson(status));
                               })
              << "]\n";
    return absl::OkStatus();
  }
  std::cout << absl::StrFormat("%-36s %-10s %16s  %s\n", "ID", "STATE", "JOBS", "SUBMITTED");
  for (const CampaignStatus& c : campaigns) {
    std::cout << absl::StrFormat(
        "%-36s %-10s %16s  %s\n", c.id, c.state, JobsText(c),
        absl::FormatTime("%Y-%m-%d %H:%M", absl::FromUnixMillis(c.submitted_unix_ms),
                         absl::LocalTimeZone()));
  }
  return absl::OkStatus();
}

}  // namespace

void AddList(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("list", "List campaigns, the newest first");
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake list");
  command->callback([&session] { session.Finish(List(session)); });
}

}  // namespace bitquake
