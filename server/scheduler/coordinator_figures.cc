// The coordinator's figures for metrics: what memory holds, and of few campaigns what the store
// does.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/expansion.h"

namespace bitquake {
namespace {

// Looking campaigns up takes the writer at most one part in so many of its time, however often
// somebody asks.
constexpr int kShare = 20;

}  // namespace

absl::Status Coordinator::GatherFigures(Database& db, CoordinatorFigures& figures) {
  figures.counters = counters_;
  figures.leases = static_cast<int64_t>(leases_.size());
  for (const auto& [id, worker] : workers_) {
    ++(!worker.quarantine.empty() ? figures.workers_quarantined
       : Live(worker)             ? figures.workers_live
                                  : figures.workers_gone);
  }
  const absl::Duration start = clock_->Monotonic();
  if (start >= figures_due_) {
    ASSIGN_OR_RETURN(campaign_figures_, FiguresOfCampaigns(db));
    const absl::Duration end = clock_->Monotonic();
    figures_due_ = end + kShare * (end - start);
  }
  figures.campaigns = campaign_figures_;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<CampaignFigures>> Coordinator::FiguresOfCampaigns(Database& db) {
  std::vector<std::string> open;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT id FROM campaigns WHERE state IN ('probing', 'running', 'paused') ORDER BY ordinal "
      "LIMIT ?",
      {CoordinatorFigures::kMostCampaigns}, [&](const Row& row) {
        open.push_back(row.Text(0));
        return absl::OkStatus();
      }));
  std::vector<CampaignFigures> campaigns;
  for (const std::string& id : open) {
    CampaignFigures figures;
    ASSIGN_OR_RETURN(figures.snapshot, Snapshot(db, id));
    const CampaignSnapshot& now = figures.snapshot;
    figures.jobs_ready = now.jobs_total - now.jobs_done - now.jobs_poisoned - now.jobs_leased;
    ASSIGN_OR_RETURN(figures.ready_work, WorkOf(db, id, figures.jobs_ready));
    campaigns.push_back(std::move(figures));
  }
  return campaigns;
}

absl::StatusOr<std::optional<absl::Duration>> Coordinator::WorkOf(Database& db,
                                                                  const std::string& campaign,
                                                                  int64_t jobs) {
  ASSIGN_OR_RETURN(const Campaign* parsed, CachedCampaign(db, campaign));
  double seconds_per_image = 0;
  int known_models = 0;
  for (const std::string& model : parsed->models) {
    double images_per_second = 0;
    int known_workers = 0;
    for (const auto& [id, worker] : workers_) {
      if (const auto speed = worker.images_per_second.find(model);
          speed != worker.images_per_second.end() && speed->second > 0) {
        images_per_second += speed->second;
        ++known_workers;
      }
    }
    if (known_workers > 0) {
      seconds_per_image += known_workers / images_per_second;
      ++known_models;
    }
  }
  double images_per_job = 0;
  RETURN_IF_ERROR(
      db.ForEach(absl::StrCat("SELECT images, ", kFoldCount, " FROM campaigns WHERE id = ?"),
                 {campaign}, [&](const Row& row) {
                   images_per_job = row.Int(1) > 0 ? row.Double(0) / row.Double(1) : 0;
                   return absl::OkStatus();
                 }));
  if (known_models == 0 || images_per_job <= 0) {
    return std::nullopt;
  }
  return absl::Seconds(static_cast<double>(jobs) * images_per_job * seconds_per_image /
                       known_models);
}

}  // namespace bitquake
