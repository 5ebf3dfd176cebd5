#include <iostream>

#include "client/cli/campaign_file.h"
#include "client/cli/command.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

struct Flags {
  std::string file;
  std::vector<std::string> model_roots;
};

absl::Status Validate(const Flags& flags, bool json) {
  ASSIGN_OR_RETURN(const CampaignFile file, ReadCampaignFile(flags.file));
  ASSIGN_OR_RETURN(const std::vector<ModelCells> models, CountCells(file, flags.model_roots));
  if (json) {
    std::cout << ToJson(file.campaign) << "\n";
    return absl::OkStatus();
  }
  std::cout << flags.file << ": valid\n";
  for (const ModelCells& model : models) {
    if (model.cells.has_value()) {
      std::cout << "  " << model.model << ": " << *model.cells << " cells, "
                << *model.cells * file.campaign.trials.max << " trials\n";
    } else {
      std::cout << "  " << model.model
                << ": not on this machine; its targets are checked when a worker opens it\n";
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AddValidate(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("validate", "Check a campaign file");
  auto flags = std::make_shared<Flags>();
  command->add_option("FILE", flags->file, "campaign file")->required();
  command
      ->add_option("--model-root", flags->model_roots, "folder to look for models in; repeatable")
      ->envname("BITQUAKE_MODEL_ROOT");
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake validate campaign.yaml");
  command->callback([flags, &session] { session.Finish(Validate(*flags, session.flags.json)); });
}

}  // namespace bitquake
