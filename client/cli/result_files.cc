#include "client/cli/result_files.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/build_info.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/report/results.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

double Percent(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::string CampaignJson(const CampaignResults& results) {
  using Json = nlohmann::ordered_json;
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
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/cells.csv", CellsCsv(results.cells)));
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/trials.csv", TrialsCsv(results.cells)));
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
  return WriteFileAtomically(folder + "/campaign.json", CampaignJson(results));
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

}  // namespace bitquake
