#include "client/cli/report_page.h"

#include "common/report/page/page.h"

namespace bitquake {
absl::StatusOr<std::string> ReportHtml(const CampaignResults& results) {
  CampaignReport report;
  report.id = results.status.id;
  report.name = results.status.name;
  report.resolved_json = results.resolved_json;
  report.server_version = results.server_version;
  report.of_run_directory = results.of_run_directory;
  report.progress = results.status;
  report.data_digest = results.data_digest;
  report.images = results.images;
  report.folds = results.folds;
  for (const ModelInfo& model : results.models) {
    report.models.push_back({model.model, model.architecture, model.digest, model.chunk});
  }
  report.device_kinds = results.device_kinds;
  report.goldens = results.goldens;
  report.cells = results.cells;
  return ReportPage(report);
}

}  // namespace bitquake
