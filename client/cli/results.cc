#include "common/report/results.h"

#include <filesystem>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/result_files.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

struct Flags {
  std::string id;
  std::string format = "table";
  bool trials = false;
  std::string out;
};

absl::Status WriteInto(const std::string& folder, const CampaignResults& results) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot make the folder ", folder, ": ", error.message()));
  }
  RETURN_IF_ERROR(WriteResultFiles(folder, results));
  std::cerr << "results: " << folder << "\n";
  return absl::OkStatus();
}

absl::Status Results(const Flags& flags, const Session& session) {
  if (flags.trials && (flags.format == "json" || session.flags.json)) {
    return absl::InvalidArgumentError("trials are printed as CSV; leave out json");
  }
  ASSIGN_OR_RETURN(const CampaignResults results,
                   session.Connect()->Results(flags.id, /*details=*/!flags.out.empty()));
  if (!flags.out.empty()) {
    return WriteInto(flags.out, results);
  }
  if (flags.trials) {
    std::cout << TrialsCsv(results.cells);
  } else if (flags.format == "csv") {
    std::cout << CellsCsv(results.cells);
  } else if (flags.format == "json" || session.flags.json) {
    std::cout << CellsJson(results.cells) << "\n";
  } else {
    std::cout << GoldenTable(results) << CellsTable(results.cells);
  }
  return absl::OkStatus();
}

}  // namespace

void AddResults(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("results", "Print a campaign's results so far");
  auto flags = std::make_shared<Flags>();
  command->add_option("ID", flags->id, "campaign, as `bitquake list` names it")->required();
  command->add_option("--format", flags->format, "table, csv or json")
      ->check(CLI::IsMember({"table", "csv", "json"}))
      ->capture_default_str();
  command->add_flag("--trials", flags->trials, "every trial, as trials.csv");
  command->add_option("--out", flags->out,
                      "folder to write the files of a run into, rather than print; what the "
                      "campaign kept of images and heads is among them");
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake results vit-b16-blocks-1f0c3a5e --format csv > cells.csv");
  command->callback([flags, &session] { session.Finish(Results(*flags, session)); });
}

}  // namespace bitquake
