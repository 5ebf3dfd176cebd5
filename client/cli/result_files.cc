#include "client/cli/result_files.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/report_page.h"
#include "common/base/build_info.h"
#include "common/base/file.h"
#include "common/base/shown.h"
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

// Of which campaign the files in a folder are: empty if there are none. Errors: InvalidArgument if
// its campaign.json does not say.
absl::StatusOr<std::string> CampaignIn(const std::string& folder) {
  const absl::StatusOr<std::string> text = ReadFile(folder + "/campaign.json");
  if (absl::IsNotFound(text.status())) {
    return "";
  }
  RETURN_IF_ERROR(text.status());
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("id") || !json["id"].is_string()) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder, "/campaign.json is not that of a run; name another folder with --out"));
  }
  return json["id"].get<std::string>();
}

// A folder with the files of one campaign.
class ResultFolder {
 public:
  static absl::StatusOr<ResultFolder> Open(const std::string& path, const std::string& campaign) {
    ASSIGN_OR_RETURN(const std::string before, CampaignIn(path));
    if (!before.empty() && before != campaign) {
      return absl::InvalidArgumentError(absl::StrCat(path, " holds the results of campaign ",
                                                     Shown(before), ", not of ", campaign,
                                                     "; name another with --out"));
    }
    return ResultFolder(path, !before.empty());
  }

  absl::Status Write(const std::string& name, absl::string_view text) {
    written_.push_back(name);
    return WriteFileAtomically(Path(name), text);
  }

  // The table, or none if it has no rows.
  absl::Status WriteIfAny(const std::string& name, const FigureTable& table) {
    return table.rows.empty() ? Lacks(name) : Write(name, ToCsv(table));
  }

  // The campaign has no such file; one that it had at an earlier time goes. What is not known to be
  // the campaign's stays.
  absl::Status Lacks(const std::string& name) {
    std::error_code error;
    if (its_own_) {
      std::filesystem::remove(Path(name), error);
    }
    return error ? absl::PermissionDeniedError(absl::StrCat(Path(name), ": ", error.message()))
                 : absl::OkStatus();
  }

  std::vector<std::string> written() const { return written_; }

 private:
  ResultFolder(std::string path, bool its_own) : path_(std::move(path)), its_own_(its_own) {}
  std::string Path(const std::string& name) const { return absl::StrCat(path_, "/", name); }

  std::string path_;
  bool its_own_;  // the files in it are of the campaign
  std::vector<std::string> written_;
};

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

absl::StatusOr<std::vector<std::string>> WriteResultFiles(const std::string& folder,
                                                          const CampaignResults& results) {
  const Derivation derivation = DerivationOf(results);
  ASSIGN_OR_RETURN(ResultFolder files, ResultFolder::Open(folder, results.status.id));
  RETURN_IF_ERROR(files.Write("cells.csv", CellsCsv(results.cells, derivation)));
  RETURN_IF_ERROR(files.Write("trials.csv", TrialsCsv(results.cells)));
  ASSIGN_OR_RETURN(const std::vector<TargetThresholds> thresholds,
                   FindTargetThresholds(results.cells, derivation));
  RETURN_IF_ERROR(files.Write("thresholds.csv", ToCsv(ThresholdFigures(thresholds))));
  RETURN_IF_ERROR(files.WriteIfAny("bits.csv", BitFigures(results.cells)));
  RETURN_IF_ERROR(
      files.WriteIfAny("mad_vf.csv", MadVfFigures(CorrelateMadWithVf(results.cells, derivation))));
  const bool kept = !results.fold_members.empty();
  RETURN_IF_ERROR(kept ? files.Write("images.csv", ImagesCsv(results.cells))
                       : files.Lacks("images.csv"));
  RETURN_IF_ERROR(kept ? files.Write("folds.csv", FoldsCsv(results.fold_members))
                       : files.Lacks("folds.csv"));
  const bool measured =
      std::any_of(results.goldens.begin(), results.goldens.end(),
                  [](const GoldenResult& golden) { return !golden.attention.sums.empty(); });
  RETURN_IF_ERROR(
      measured ? files.Write("mad.csv", MadCsv(results.status.name, results.goldens, results.cells))
               : files.Lacks("mad.csv"));
  ASSIGN_OR_RETURN(const std::string page, ReportHtml(results));
  RETURN_IF_ERROR(files.Write("report.html", page));
  RETURN_IF_ERROR(files.Write("campaign.json", CampaignJson(results)));
  return files.written();
}

Derivation DerivationOf(const CampaignResults& results) {
  return DerivationOf(results.resolved_json);
}

absl::StatusOr<std::string> ResultTables(const CampaignResults& results) {
  const Derivation derivation = DerivationOf(results);
  ASSIGN_OR_RETURN(const std::vector<TargetThresholds> thresholds,
                   FindTargetThresholds(results.cells, derivation));
  std::string text = absl::StrCat(GoldenTable(results), CellsTable(results.cells, derivation));
  for (const std::string& table :
       {ThresholdsTable(thresholds), RankingTable(results.cells, derivation),
        BitsTable(results.cells), MadVfTable(CorrelateMadWithVf(results.cells, derivation))}) {
    absl::StrAppend(&text, table.empty() ? "" : "\n", table);
  }
  return text;
}

}  // namespace bitquake
