#include "client/cli/result_files.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/report_page.h"
#include "common/base/build_info.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/report/bits.h"
#include "common/report/figure_table.h"
#include "common/report/mad_vf.h"
#include "common/report/ranking.h"
#include "common/report/results.h"
#include "common/report/thresholds.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

using Json = nlohmann::ordered_json;

double Percent(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string GoldenTable(const CampaignResults& results) {
  std::string text;
  for (const GoldenResult& golden : results.goldens) {
    absl::StrAppend(&text, "golden  ", golden.model, "  ", golden.format,
                    absl::StrFormat("  top-1 %.2f%%  top-5 %.2f%%  on %d images\n",
                                    Percent(golden.top1, golden.images),
                                    Percent(golden.top5, golden.images), golden.images));
  }
  return text;
}

// The table's file, unless it has no rows.
absl::Status WriteIfAny(const std::string& path, const FigureTable& table) {
  return table.rows.empty() ? absl::OkStatus() : WriteFileAtomically(path, ToCsv(table));
}

}  // namespace

std::string CampaignJson(const CampaignResults& results) {
  Json models = Json::array();
  for (const ModelInfo& model : results.models) {
    models.push_back({{"model", model.model},
                      {"architecture", model.architecture},
                      {"digest", model.digest},
                      {"chunk", model.chunk}});
  }
  Json goldens = Json::array();
  for (const GoldenResult& golden : results.goldens) {
    goldens.push_back({{"model", golden.model},
                       {"format", golden.format},
                       {"images", golden.images},
                       {"top1", Percent(golden.top1, golden.images)},
                       {"top5", Percent(golden.top5, golden.images)}});
  }
  const CampaignStatus& status = results.status;
  const Json json = {{"id", status.id},
                     {"state", status.state},
                     {"campaign", Json::parse(results.resolved_json)},
                     {"versions", {{"client", kVersion}, {"server", results.server_version}}},
                     {"devices", results.device_kinds},
                     {"models", models},
                     {"data",
                      {{"dataset", Json::parse(results.resolved_json)["dataset"]},
                       {"digest", results.data_digest},
                       {"images", results.images},
                       {"folds", results.folds}}},
                     {"golden", goldens},
                     {"jobs",
                      {{"total", status.jobs_total},
                       {"done", status.jobs_done},
                       {"poisoned", status.jobs_poisoned},
                       {"errors", status.poison_errors}}},
                     {"images",
                      {{"done", status.images_done},
                       {"without_flips", status.images_without_flips},
                       {"copied", status.images_copied}}},
                     {"submitted_unix_ms", status.submitted_unix_ms},
                     {"finished_unix_ms", status.finished_unix_ms}};
  return json.dump(2) + "\n";
}

absl::Status WriteResultFiles(const std::string& folder, const CampaignResults& results) {
  const Derivation derivation = DerivationOf(results);
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/cells.csv", CellsCsv(results.cells, derivation)));
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/trials.csv", TrialsCsv(results.cells)));
  ASSIGN_OR_RETURN(const std::vector<TargetThresholds> thresholds,
                   FindTargetThresholds(results.cells, derivation));
  RETURN_IF_ERROR(
      WriteFileAtomically(folder + "/thresholds.csv", ToCsv(ThresholdFigures(thresholds))));
  RETURN_IF_ERROR(WriteIfAny(folder + "/bits.csv", BitFigures(results.cells)));
  RETURN_IF_ERROR(WriteIfAny(folder + "/mad_vf.csv",
                             MadVfFigures(CorrelateMadWithVf(results.cells, derivation))));
  if (!results.fold_members.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(folder + "/images.csv", ImagesCsv(results.cells)));
    RETURN_IF_ERROR(WriteFileAtomically(folder + "/folds.csv", FoldsCsv(results.fold_members)));
  }
  const bool measured =
      std::any_of(results.goldens.begin(), results.goldens.end(),
                  [](const GoldenResult& golden) { return !golden.attention.sums.empty(); });
  if (measured) {
    RETURN_IF_ERROR(WriteFileAtomically(
        folder + "/mad.csv", MadCsv(results.status.name, results.goldens, results.cells)));
  }
  ASSIGN_OR_RETURN(const std::string page, ReportHtml(results));
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/report.html", page));
  return WriteFileAtomically(folder + "/campaign.json", CampaignJson(results));
}

Derivation DerivationOf(const CampaignResults& results) {
  return DerivationOf(results.resolved_json);
}

absl::StatusOr<std::string> ResultTables(const CampaignResults& results) {
  const Derivation derivation = DerivationOf(results);
  ASSIGN_OR_RETURN(const std::vector<TargetThresholds> thresholds,
                   FindTargetThresholds(results.cells, derivation));
  std::string text = absl::StrCat(GoldenTable(results), CellsTable(results.cells));
  for (const std::string& table :
       {ThresholdsTable(thresholds), RankingTable(results.cells, derivation),
        BitsTable(results.cells), MadVfTable(CorrelateMadWithVf(results.cells, derivation))}) {
    absl::StrAppend(&text, table.empty() ? "" : "\n", table);
  }
  return text;
}

}  // namespace bitquake
