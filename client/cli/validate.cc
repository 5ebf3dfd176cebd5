#include <iostream>

#include "client/cli/campaign_file.h"
#include "client/cli/command.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

absl::Status Validate(const std::string& path, bool json) {
  ASSIGN_OR_RETURN(const CampaignFile file, ReadCampaignFile(path));
  if (json) {
    std::cout << ToJson(file.campaign) << "\n";
    return absl::OkStatus();
  }
  const Campaign& c = file.campaign;
  std::cout << path << ": valid: " << c.models.size() << " models x " << c.formats.size()
            << " formats x " << c.granularities.size() << " granularities x " << c.ber.size()
            << " bit-error rates, " << c.trials << " trials a cell\n";
  return absl::OkStatus();
}

}  // namespace

void AddValidate(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("validate", "Check a campaign file");
  auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "campaign file")->required();
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake validate campaign.yaml");
  command->callback([path, &session] { session.Finish(Validate(*path, session.flags.json)); });
}

}  // namespace bitquake
