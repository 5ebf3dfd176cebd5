// `replay`: one trial computed again on this machine, and held against what is stored. The engine
// runs in a worker program, so that this one stays small.
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/campaign_store.h"
#include "client/cli/child_process.h"
#include "client/cli/command.h"
#include "client/cli/find_campaign.h"
#include "client/cli/fleet.h"
#include "client/cli/private_folder.h"
#include "client/cli/run_directory.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/campaign/campaign.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string campaign;
  int64_t cell = 0;
  uint32_t trial = 0;
  bool print = false;
  bool allow_torchscript = false;
  std::string model;
  std::string data;
  std::vector<std::string> model_roots;
  std::vector<std::string> data_roots;
  std::string cache;
  std::string device = "cpu";
  int threads = 0;  // 0: the worker's default
};

absl::StatusOr<TrialRecord> TrialOfRun(RunDirectory& run, const Flags& flags) {
  TrialRecord record;
  RETURN_IF_ERROR(AskRun(run, [&](Client& client, const std::string& id) -> absl::Status {
    ASSIGN_OR_RETURN(record, client.Trial(id, flags.cell, flags.trial));
    return absl::OkStatus();
  }));
  return record;
}

absl::StatusOr<TrialRecord> TrialOfServer(const Flags& flags, const Session& session) {
  const std::unique_ptr<Client> client = session.Connect();
  ASSIGN_OR_RETURN(const std::string id, FindCampaignOrRun(*client, flags.campaign));
  return client->Trial(id, flags.cell, flags.trial);
}

// Where the model and the data set are, as the worker takes it.
absl::StatusOr<std::vector<std::string>> Places(const TrialSetup& setup, const RunDirectory* run,
                                                const Flags& flags) {
  ASSIGN_OR_RETURN(const Campaign campaign, ParseCampaign(setup.resolved_json, "campaign"));
  std::string model = flags.model;
  std::string data = flags.data;
  if (run != nullptr && model.empty()) {
    const auto found = run->state().models.find(setup.model);
    model = found == run->state().models.end() ? "" : found->second;
  }
  if (run != nullptr && data.empty()) {
    data = run->state().dataset_folder;
  }
  std::vector<std::string> arguments;
  if (!model.empty()) {
    arguments.insert(arguments.end(),
                     {"--model", setup.model + "=" + fs::absolute(model).string()});
  }
  if (!data.empty()) {
    arguments.insert(arguments.end(),
                     {"--data", campaign.dataset + "=" + fs::absolute(data).string()});
  }
  if (flags.allow_torchscript || (run != nullptr && run->state().allow_torchscript)) {
    arguments.push_back("--allow-torchscript");
  }
  for (const std::string& root : flags.model_roots) {
    arguments.insert(arguments.end(), {"--model-root", root});
  }
  for (const std::string& root : flags.data_roots) {
    arguments.insert(arguments.end(), {"--data-root", root});
  }
  return arguments;
}

// Says "identical", or what differs; false in that case.
bool Tell(const TrialRecord& record, const TrialMeasurement& now, const Flags& flags, bool json) {
  const std::vector<std::string> differences = Differences(record.measured, now);
  const std::vector<std::string> others = OtherDeviceKinds(record.measured, now);
  const std::string here = now.folds.empty() ? "" : now.folds.front().device_kind;
  if (json) {
    std::cout << nlohmann::ordered_json{{"cell", flags.cell},
                                        {"trial", flags.trial},
                                        {"identical", differences.empty()},
                                        {"differences", differences},
                                        {"device", here},
                                        {"other_devices", others}}
                     .dump(1)
              << "\n";
    return differences.empty();
  }
  const std::string devices =
      others.empty()
          ? ""
          : absl::StrCat("stored on ", absl::StrJoin(others, " and "), ", computed now on ", here,
                         ": between kinds of devices near-ties may differ\n");
  if (differences.empty()) {
    std::cerr << "identical: cell " << flags.cell << ", trial " << flags.trial << ", "
              << now.folds.size() << (now.folds.size() == 1 ? " fold, " : " folds, ")
              << now.sum.images << " images\n"
              << devices;
    return true;
  }
  std::cerr << "bitquake: cell " << flags.cell << ", trial " << flags.trial
            << " is not what is stored:\n  " << absl::StrJoin(differences, "\n  ") << "\n"
            << devices;
  return false;
}

absl::Status Replay(const Flags& flags, Session& session) {
  std::optional<RunDirectory> run;
  TrialRecord record;
  if (IsRunDirectory(flags.campaign)) {
    ASSIGN_OR_RETURN(RunDirectory opened, RunDirectory::Open(flags.campaign));
    run.emplace(std::move(opened));
    ASSIGN_OR_RETURN(record, TrialOfRun(*run, flags));
  } else {
    ASSIGN_OR_RETURN(record, TrialOfServer(flags, session));
  }
  if (!record.finished && !flags.print) {
    return absl::FailedPreconditionError(
        absl::StrCat("trial ", flags.trial, " of cell ", flags.cell,
                     " has no outcome to compare with; its faults come with --print"));
  }
  ASSIGN_OR_RETURN(const std::string worker, SisterProgram("bitquake-worker"));
  ASSIGN_OR_RETURN(std::vector<std::string> arguments,
                   Places(record.setup, run.has_value() ? &*run : nullptr, flags));
  ASSIGN_OR_RETURN(const std::unique_ptr<PrivateFolder> folder, PrivateFolder::Create());
  RETURN_IF_ERROR(WriteFileAtomically(folder->Path("trial.json"), ToJson(record.setup)));
  const std::string outcome = folder->Path("outcome.json");
  arguments.insert(arguments.end(), {"--replay", folder->Path("trial.json"), "--device",
                                     flags.device, "--threads", absl::StrCat(flags.threads)});
  if (!flags.cache.empty()) {
    arguments.insert(arguments.end(), {"--cache", flags.cache});
  }
  if (!flags.print) {
    arguments.insert(arguments.end(), {"--outcome", outcome});
  }
  RETURN_IF_ERROR(RunToEnd(worker, arguments, folder->Path("worker.log"),
                           /*quiet=*/session.flags.json));
  if (flags.print) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(outcome));
  ASSIGN_OR_RETURN(const TrialMeasurement now, TrialMeasurementFromJson(text));
  if (!Tell(record, now, flags, session.flags.json)) {
    session.exit_code = kFailed;
  }
  return absl::OkStatus();
}

}  // namespace

void AddReplay(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand(
      "replay", "Compute a trial again and compare with what is stored");
  auto flags = std::make_shared<Flags>();
  command
      ->add_option("CAMPAIGN", flags->campaign,
                   "run directory, or a campaign's ID or name")
      ->required();
  command->add_option("CELL", flags->cell, "its number, column 'cell' of cells.csv")
      ->required()
      ->check(CLI::NonNegativeNumber);
  command->add_option("TRIAL", flags->trial, "its number in the cell, from 0")->required();
  CLI::Option* print = command->add_flag(
      "--print", flags->print, "only print its faults, as `fault: {list: ...}` takes them");
  command->add_option("--model", flags->model, "the model's folder, if it is elsewhere now")
      ->type_name("DIR");
  command->add_option("--data", flags->data, "the data set's folder, if it is elsewhere now")
      ->type_name("DIR");
  AddModelRootFlag(*command, &flags->model_roots);
  AddDataRootFlag(*command, &flags->data_roots);
  command->add_flag("--allow-torchscript", flags->allow_torchscript,
                    "run models that come as code, with your rights");
  command->add_option("--cache", flags->cache, "folder for preprocessed pixels")->type_name("DIR");
  AddDeviceFlag(*command, &flags->device);
  command->add_option("--threads", flags->threads, "CPU threads; by default one for each core")
      ->type_name("N")
      ->check(CLI::Range(0, 1024));
  AddServerFlag(*command, session);
  command->add_flag("--json", session.flags.json, "print JSON: whether it is identical, no faults")
      ->excludes(print);
  command->footer("Example: bitquake replay runs/first 14 3");
  command->callback([flags, &session] { session.Finish(Replay(*flags, session)); });
}

}  // namespace bitquake
