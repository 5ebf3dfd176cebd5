#include <iostream>

#include "client/cli/campaign_file.h"
#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

absl::Status Submit(const std::string& path, bool watch, Session& session) {
  ASSIGN_OR_RETURN(const CampaignFile file, ReadCampaignFile(path));
  const std::unique_ptr<Client> client = session.Connect();
  ASSIGN_OR_RETURN(const std::string id, client->Submit(file.to_submit, path));
  if (session.flags.json) {
    std::cout << nlohmann::json{{"id", id}}.dump() << std::endl;
  } else {
    std::cout << id << std::endl;
  }
  if (!watch) {
    return absl::OkStatus();
  }
  Progress progress;
  CampaignStatus last;
  RETURN_IF_ERROR(client->Watch(id, [&](const CampaignStatus& now) {
    progress.Show(now);
    last = now;
  }));
  progress.EndLine();
  session.FinishCampaign(last);
  return absl::OkStatus();
}

}  // namespace

void AddSubmit(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("submit", "Give a campaign to a coordinator");
  struct Flags {
    std::string path;
    bool watch = false;
  };
  auto flags = std::make_shared<Flags>();
  command->add_option("FILE", flags->path, "campaign file")->required();
  command->add_flag("--watch", flags->watch, "stay and show its progress");
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake submit campaign.yaml --watch");
  command->callback(
      [flags, &session] { session.Finish(Submit(flags->path, flags->watch, session)); });
}

}  // namespace bitquake
