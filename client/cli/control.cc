#include <iostream>

#include "client/cli/command.h"
#include "client/cli/find_campaign.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

using Call = absl::StatusOr<CampaignStatus> (Client::*)(const std::string&);

absl::Status Control(const std::string& text, Call call, const Session& session) {
  const std::unique_ptr<Client> client = session.Connect();
  ASSIGN_OR_RETURN(const std::string id, FindCampaign(*client, text));
  ASSIGN_OR_RETURN(const CampaignStatus status, (client.get()->*call)(id));
  std::cout << (session.flags.json ? StatusJson(status) : StatusLine(status)) << "\n";
  return absl::OkStatus();
}

void AddOne(CLI::App& app, Session& session, const std::string& name, const std::string& what,
            Call call) {
  CLI::App* command = app.add_subcommand(name, what);
  auto id = std::make_shared<std::string>();
  AddIdArgument(*command, id.get());
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake " + name + " vit-b16-blocks-1f0c3a5e");
  command->callback([id, call, &session] { session.Finish(Control(*id, call, session)); });
}

}  // namespace

void AddControl(CLI::App& app, Session& session) {
  AddOne(app, session, "pause", "Hand out no more of a campaign's jobs", &Client::Pause);
  AddOne(app, session, "resume", "Go on with a paused campaign", &Client::Resume);
  AddOne(app, session, "cancel", "End a campaign; what was measured stays", &Client::Cancel);
}

}  // namespace bitquake
