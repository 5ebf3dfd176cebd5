#include "server/http/coordinator_metrics.h"

#include <memory>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "common/base/build_info.h"
#include "common/http/metric_families.h"
#include "server/store/store_sizes.h"

namespace bitquake {
namespace {

constexpr auto kCounter = prometheus::MetricType::Counter;
constexpr auto kGauge = prometheus::MetricType::Gauge;

// Nothing if the writer does not answer in time, or cannot commit.
std::optional<CoordinatorFigures> AskForFigures(Coordinator* coordinator, absl::Duration patience) {
  struct Answer {
    absl::Notification arrived;
    absl::StatusOr<CoordinatorFigures> figures;
  };
  const auto answer = std::make_shared<Answer>();  // may come after nobody waits any more
  coordinator->Figures([answer](absl::StatusOr<CoordinatorFigures> figures) {
    answer->figures = std::move(figures);
    answer->arrived.Notify();
  });
  if (!answer->arrived.WaitForNotificationWithTimeout(patience) || !answer->figures.ok()) {
    return std::nullopt;
  }
  return *std::move(answer->figures);
}

void AddJobs(MetricFamilies& families, const std::vector<CampaignFigures>& campaigns) {
  families.Family("jobs",
                  "Jobs of campaigns that have not ended, by state; those that no worker has are "
                  "ready, or paused with their campaign.",
                  kGauge);
  for (const CampaignFigures& campaign : campaigns) {
    const CampaignSnapshot& now = campaign.snapshot;
    const int64_t open = campaign.jobs_ready;
    const bool paused = now.state == "paused";
    for (const auto& [state, jobs] :
         {std::pair("ready", paused ? 0 : open), std::pair("paused", paused ? open : 0),
          std::pair("leased", now.jobs_leased), std::pair("done", now.jobs_done),
          std::pair("poisoned", now.jobs_poisoned)}) {
      families.Sample(static_cast<double>(jobs), {{"campaign", now.id}, {"state", state}});
    }
  }
  families.Family("ready_work_seconds",
                  "What one worker would need for a campaign's ready jobs, at the measured mean "
                  "speed; missing until a speed is known.",
                  kGauge);
  for (const CampaignFigures& campaign : campaigns) {
    if (campaign.ready_work.has_value()) {
      families.Sample(
          campaign.snapshot.state == "paused" ? 0 : absl::ToDoubleSeconds(*campaign.ready_work),
          {{"campaign", campaign.snapshot.id}});
    }
  }
}

void AddCampaigns(MetricFamilies& families, const std::vector<CampaignFigures>& campaigns) {
  families.Family("campaign_progress_ratio",
                  "Part of a campaign's jobs, as many as are expected, that is done.", kGauge);
  for (const CampaignFigures& campaign : campaigns) {
    const CampaignSnapshot& now = campaign.snapshot;
    families.Sample(now.jobs_expected > 0 ? static_cast<double>(now.jobs_done) /
                                                static_cast<double>(now.jobs_expected)
                                          : 0,
                    {{"campaign", now.id}});
  }
  families.Family("campaign_eta_seconds",
                  "Time left at the present speed; missing while there is none.", kGauge);
  for (const CampaignFigures& campaign : campaigns) {
    const CampaignSnapshot& now = campaign.snapshot;
    if (now.images_per_second > 0) {
      families.Sample(now.eta_seconds, {{"campaign", now.id}});
    }
  }
  families.Family("campaign_worst_half_width",
                  "Half-width of the widest interval, in percentage points of top-1.", kGauge);
  for (const CampaignFigures& campaign : campaigns) {
    if (campaign.snapshot.has_worst) {
      families.Sample(campaign.snapshot.worst.half_width, {{"campaign", campaign.snapshot.id}});
    }
  }
}

void AddScheduler(MetricFamilies& families, const CoordinatorFigures& figures) {
  AddJobs(families, figures.campaigns);
  AddCampaigns(families, figures.campaigns);
  families.Family("workers", "Workers by state.", kGauge)
      .Sample(static_cast<double>(figures.workers_live), {{"state", "live"}})
      .Sample(static_cast<double>(figures.workers_gone), {{"state", "gone"}})
      .Sample(static_cast<double>(figures.workers_quarantined), {{"state", "quarantined"}});
  families.Family("leases_active", "Leases that workers hold.", kGauge)
      .Sample(static_cast<double>(figures.leases));
  const CoordinatorCounters& counts = figures.counters;
  families
      .Family("job_outcomes_total",
              "Outcomes of jobs that were committed, failures that workers reported, and jobs that "
              "were set aside after too many.",
              kCounter)
      .Sample(static_cast<double>(counts.outcomes), {{"result", "done"}})
      .Sample(static_cast<double>(counts.failures), {{"result", "failed"}})
      .Sample(static_cast<double>(counts.poisoned), {{"result", "poisoned"}});
  families.Family("images_total", "Image outcomes committed.", kCounter)
      .Sample(static_cast<double>(counts.images));
  families.Family("flips_total", "Bits flipped in committed jobs.", kCounter)
      .Sample(static_cast<double>(counts.flips));
  families.Family("trials_total", "Trials finished.", kCounter)
      .Sample(static_cast<double>(counts.trials));
  families.Family("lease_expirations_total", "Leases that ended without an answer.", kCounter)
      .Sample(static_cast<double>(counts.lease_expirations));
  families.Family("duplicate_outcomes_total", "Outcomes of jobs that were done already.", kCounter)
      .Sample(static_cast<double>(counts.duplicate_outcomes));
  families.Family("digest_mismatches_total", "Digests that differ from what was pinned.", kCounter)
      .Sample(static_cast<double>(counts.digest_mismatches));
}

void AddStore(MetricFamilies& families, const StoreSizes& sizes) {
  families.Family("store_database_bytes", "Size of the database file.", kGauge)
      .Sample(static_cast<double>(sizes.database));
  families.Family("store_wal_bytes", "Size of its write-ahead log.", kGauge)
      .Sample(static_cast<double>(sizes.wal));
  families.Family("store_disk_free_bytes", "What its disk can still take.", kGauge)
      .Sample(static_cast<double>(sizes.disk_free));
  families.Family("store_disk_size_bytes", "Size of its disk.", kGauge)
      .Sample(static_cast<double>(sizes.disk));
}

}  // namespace

std::vector<prometheus::MetricFamily> CoordinatorMetrics::Collect() const {
  MetricFamilies families;
  families.Family("build_info", "Version of the program.", kGauge)
      .Sample(1, {{"version", kVersion}, {"component", "server"}});
  const std::optional<CoordinatorFigures> figures = AskForFigures(sources_.coordinator, kPatience);
  families
      .Family("scheduler_answers",
              "1 if the scheduler answered this scrape in time; else its figures are missing.",
              kGauge)
      .Sample(figures.has_value() ? 1 : 0);
  if (figures.has_value()) {
    AddScheduler(families, *figures);
  }
  families.Family("rpc_seconds",
                  "From a call, or a report of an outcome, to its answer. LeaseJobs waits until "
                  "there is work.",
                  prometheus::MetricType::Histogram);
  for (auto& [method, histogram] : sources_.rpcs()) {
    families.Sample(std::move(histogram), {{"method", method}});
  }
  families
      .Family("store_commit_seconds",
              "Transactions of the store's writer, from begin until they are on disk.",
              prometheus::MetricType::Histogram)
      .Sample(sources_.coordinator->commit_seconds(), {});
  if (const absl::StatusOr<StoreSizes> sizes = SizesOfStore(sources_.database); sizes.ok()) {
    AddStore(families, *sizes);
  }
  return families.Take();
}

}  // namespace bitquake
