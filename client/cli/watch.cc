#include "client/cli/command.h"
#include "client/cli/find_campaign.h"
#include "client/cli/watching.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

absl::Status Watch(const std::string& text, Session& session) {
  Watching watching(session);
  // An unreachable server or an unknown campaign is said at once.
  ASSIGN_OR_RETURN(const std::string id, FindCampaign(*session.Connect(), text));
  return watching.ToEnd(id);
}

}  // namespace

void AddWatch(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("watch", "Follow a campaign until it ends");
  auto id = std::make_shared<std::string>();
  AddIdArgument(*command, id.get());
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session, "print a line of JSON for each change");
  command->footer("Example: bitquake watch vit-b16-blocks-1f0c3a5e");
  command->callback([id, &session] { session.Finish(Watch(*id, session)); });
}

}  // namespace bitquake
