#include "common/report/results.h"

#include <filesystem>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/cli/campaign_store.h"
#include "client/cli/command.h"
#include "client/cli/result_files.h"
#include "common/base/status_macros.h"
#include "common/report/bits.h"
#include "common/report/figure_table.h"
#include "common/report/mad_vf.h"
#include "common/report/thresholds.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

struct Flags {
  std::string campaign;
  std::string format = "table";
  bool trials = false;
  bool thresholds = false;
  bool bits = false;
  bool mad_vf = false;
  std::string out;

  bool one_table() const { return thresholds || bits || mad_vf; }
};

absl::Status WriteInto(const std::string& folder, const CampaignResults& results, bool json) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot make the folder ", folder, ": ", error.message()));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> files, WriteResultFiles(folder, results));
  std::cerr << "results: " << folder << "\n";
  if (json) {
    using Json = nlohmann::ordered_json;
    std::cout << Json{{"folder", folder}, {"files", files}}.dump(1, ' ', /*ensure_ascii=*/false,
                                                                 Json::error_handler_t::replace)
              << "\n";
  }
  return absl::OkStatus();
}

// One of the derived tables: its figures, and the same for a terminal.
struct DerivedTable {
  FigureTable figures;
  std::string text;
};

absl::StatusOr<DerivedTable> Derive(const Flags& flags, const CampaignResults& results) {
  const Derivation derivation = DerivationOf(results);
  if (flags.bits) {
    return DerivedTable{BitFigures(results.cells), BitsTable(results.cells)};
  }
  if (flags.mad_vf) {
    const std::vector<MadVfCorrelation> found = CorrelateMadWithVf(results.cells, derivation);
    return DerivedTable{MadVfFigures(found), MadVfTable(found)};
  }
  ASSIGN_OR_RETURN(const std::vector<TargetThresholds> found,
                   FindTargetThresholds(results.cells, derivation));
  return DerivedTable{ThresholdFigures(found), ThresholdsTable(found)};
}

absl::StatusOr<std::string> Text(const Flags& flags, const std::string& format,
                                 const CampaignResults& results) {
  if (flags.trials) {
    return format == "json" ? TrialsJson(results.cells) : TrialsCsv(results.cells);
  }
  if (flags.one_table()) {
    ASSIGN_OR_RETURN(const DerivedTable table, Derive(flags, results));
    return format == "csv"    ? ToCsv(table.figures)
           : format == "json" ? ToJson(table.figures)
                              : table.text;
  }
  if (format == "csv") {
    return CellsCsv(results.cells, DerivationOf(results));
  }
  if (format == "json") {
    return CellsJson(results.cells, DerivationOf(results));
  }
  return ResultTables(results);
}

absl::Status Results(const Flags& flags, const Session& session) {
  const std::string format = session.flags.json ? "json" : flags.format;
  ASSIGN_OR_RETURN(const CampaignResults results,
                   FetchResults(flags.campaign, /*details=*/!flags.out.empty(), session));
  if (!flags.out.empty()) {
    return WriteInto(flags.out, results, session.flags.json);
  }
  ASSIGN_OR_RETURN(const std::string text, Text(flags, format, results));
  std::cout << text;
  return absl::OkStatus();
}

}  // namespace

void AddResults(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("results", "Print a campaign's results so far");
  auto flags = std::make_shared<Flags>();
  command->add_option("CAMPAIGN", flags->campaign, "run directory, or a campaign's ID or name")
      ->required();
  command->add_option("--format", flags->format, "how to print: table, csv or json")
      ->check(CLI::IsMember({"table", "csv", "json"}))
      ->capture_default_str();
  CLI::Option_group* what = command->add_option_group("instead of the cells");
  what->add_flag("--trials", flags->trials, "every trial, as trials.csv, not the cells");
  what->add_flag("--thresholds", flags->thresholds,
                 "the BER at which each target loses 1, 5, 10 pp, not the cells");
  what->add_flag("--bits", flags->bits, "the loss by bit position, not the cells");
  what->add_flag("--mad-vf", flags->mad_vf,
                 "attention distance against VF of heads, not the cells");
  what->require_option(0, 1);
  command
      ->add_option("--out", flags->out,
                   "folder to write all files of a run into, rather than print; also what the "
                   "campaign kept of images and heads")
      ->type_name("DIR");
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake results vit-b16-blocks-1f0c3a5e --format csv > cells.csv");
  command->callback([flags, &session] { session.Finish(Results(*flags, session)); });
}

}  // namespace bitquake
