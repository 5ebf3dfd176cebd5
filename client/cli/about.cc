// `schema` and `version`: what this program is and reads.
#include <iostream>

#include "client/cli/command.h"
#include "common/base/build_info.h"
#include "common/campaign/campaign.h"
#include "nlohmann/json.hpp"

namespace bitquake {

void AddSchema(CLI::App& app, Session&) {
  CLI::App* command =
      app.add_subcommand("schema", "Print the campaign file's JSON Schema, or its reference");
  auto markdown = std::make_shared<bool>(false);
  command->add_flag("--markdown", *markdown, "the reference, for people");
  // What it prints is JSON, but for people; the flag is there for scripts that always give it.
  command->add_flag("--json", "print JSON, as without")->excludes("--markdown");
  command->footer("Example: bitquake schema > campaign.schema.json");
  command->callback(
      [markdown] { std::cout << (*markdown ? CampaignReference() : CampaignJsonSchema()); });
}

void AddVersion(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("version", "Print the version");
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake version --json");
  command->callback([&session] {
    if (session.flags.json) {
      std::cout << nlohmann::json{{"version", kVersion}}.dump() << "\n";
    } else {
      std::cout << "bitquake " << kVersion << "\n";
    }
  });
}

}  // namespace bitquake
