#include "client/cli/report_page.h"

#include "common/report/page/page.h"

namespace bitquake {
namespace {

CampaignProgress ProgressOf(const CampaignStatus& status) {
  CampaignProgress progress;
  progress.state = status.state;
  progress.error = status.error;
  progress.jobs_expected = status.jobs_expected;
  progress.jobs_done = status.jobs_done;
  progress.jobs_poisoned = status.jobs_poisoned;
  progress.poison_errors = status.poison_errors;
  progress.images_done = status.images_done;
  progress.images_without_flips = status.images_without_flips;
  progress.images_copied = status.images_copied;
  progress.images_per_second = status.images_per_second;
  progress.eta_seconds = status.eta_seconds;
  progress.workers = status.workers;
  progress.submitted_unix_ms = status.submitted_unix_ms;
  progress.finished_unix_ms = status.finished_unix_ms;
  return progress;
}

}  // namespace

absl::StatusOr<std::string> ReportHtml(const CampaignResults& results) {
  CampaignReport report;
  report.id = results.status.id;
  report.name = results.status.name;
  report.resolved_json = results.resolved_json;
  report.server_version = results.server_version;
  report.progress = ProgressOf(results.status);
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
