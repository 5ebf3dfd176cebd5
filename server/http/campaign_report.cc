#include "server/http/campaign_report.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/build_info.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/campaign/campaign.h"
#include "common/report/precision.h"
#include "server/store/check.h"
#include "server/store/result_reader.h"
#include "server/store/snapshot.h"

namespace bitquake {
namespace {

std::string ArchitectureOf(const StoredModel& model) {
  const auto config = nlohmann::json::parse(model.config_json, nullptr, /*allow_exceptions=*/false);
  return config.is_object() ? config.value("architecture", "") : "";
}

}  // namespace

absl::StatusOr<CampaignReport> ReadReport(const std::string& database,
                                          const CampaignSnapshot& snapshot) {
  const SystemClock clock;
  ASSIGN_OR_RETURN(Snapshot view, Snapshot::Open(database, &clock));
  Database& db = view.db();
  RETURN_IF_ERROR(CheckMeasured(db, snapshot.id));
  ASSIGN_OR_RETURN(StoredCampaign stored, ReadCampaign(db, snapshot.id));
  CampaignReport report;
  report.id = snapshot.id;
  report.name = stored.name;
  report.resolved_json = std::move(stored.resolved_json);
  report.server_version = kVersion;
  report.progress = snapshot;
  report.data_digest = stored.data_digest;
  report.images = stored.images;
  report.folds = stored.folds;
  for (const StoredModel& model : stored.models) {
    report.models.push_back({model.model, ArchitectureOf(model), model.digest, model.chunk});
  }
  report.device_kinds = std::move(stored.device_kinds);
  report.goldens = std::move(stored.goldens);
  RETURN_IF_ERROR(ReadCells(db, snapshot.id, [&](CellResult cell) {
    report.cells.push_back(std::move(cell));
    return absl::OkStatus();
  }));
  ASSIGN_OR_RETURN(const Campaign campaign, ParseCampaign(report.resolved_json, report.id));
  RETURN_IF_ERROR(FillVariants(campaign, report.goldens, &report.cells));
  return report;
}

}  // namespace bitquake
