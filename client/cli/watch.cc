#include <iostream>

#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

// While a server restarts, a watcher waits.
constexpr absl::Duration kPatience = absl::Minutes(10);

absl::Status Watch(const std::string& id, Session& session) {
  const std::unique_ptr<Client> client = session.Connect();
  RETURN_IF_ERROR(
      client->Get(id).status());  // an unreachable server or unknown campaign is said at once
  const std::unique_ptr<Client> patient = Client::Connect(session.flags.server, {kPatience});
  Progress progress;
  CampaignStatus last;
  RETURN_IF_ERROR(patient->Watch(
      id,
      [&](const CampaignStatus& now) {
        if (session.flags.json) {
          std::cout << StatusJson(now) << std::endl;
        } else {
          progress.Show(now);
        }
        last = now;
      },
      [&] { progress.Note("the server is away; waiting for it"); }));
  progress.EndLine();
  session.FinishCampaign(last);
  return absl::OkStatus();
}

}  // namespace

void AddWatch(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("watch", "Follow a campaign until it ends");
  auto id = std::make_shared<std::string>();
  command->add_option("ID", *id, "campaign, as `bitquake list` names it")->required();
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake watch vit-b16-blocks-1f0c3a5e");
  command->callback([id, &session] { session.Finish(Watch(*id, session)); });
}

}  // namespace bitquake
