#include <iostream>

#include "client/cli/command.h"
#include "client/cli/find_campaign.h"
#include "common/base/shown.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

absl::Status Show(const std::string& text, const Session& session) {
  const std::unique_ptr<Client> client = session.Connect();
  ASSIGN_OR_RETURN(const std::string id, FindCampaign(*client, text));
  ASSIGN_OR_RETURN(const CampaignStatus status, client->Get(id));
  if (session.flags.json) {
    std::cout << StatusJson(status) << "\n";
    return absl::OkStatus();
  }
  std::cout << StatusLine(status) << "\n";
  if (status.images_done > 0) {
    std::cout << SavingsLine(status) << "\n";
  }
  if (!status.error.empty()) {
    std::cout << "error: " << Printable(status.error) << "\n";
  }
  for (const std::string& error : status.poison_errors) {
    std::cout << "poisoned: " << Printable(error) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddShow(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("show", "Show a campaign's state");
  auto id = std::make_shared<std::string>();
  AddIdArgument(*command, id.get());
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake show vit-b16-blocks-1f0c3a5e");
  command->callback([id, &session] { session.Finish(Show(*id, session)); });
}

}  // namespace bitquake
