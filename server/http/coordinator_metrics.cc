#include "server/http/coordinator_metrics.h"

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "common/base/build_info.h"
#include "common/http/metric_families.h"

namespace bitquake {
namespace {

void AddCampaigns(MetricFamilies& families, const std::vector<CampaignSnapshot>& campaigns) {
  families.Family("jobs", "Jobs of unfinished campaigns by state.", prometheus::MetricType::Gauge);
  for (const CampaignSnapshot& c : campaigns) {
    const int64_t open = c.jobs_total - c.jobs_done - c.jobs_poisoned - c.jobs_leased;
    families.Sample(static_cast<double>(open), {{"campaign", c.id}, {"state", "ready"}})
        .Sample(static_cast<double>(c.jobs_leased), {{"campaign", c.id}, {"state", "leased"}})
        .Sample(static_cast<double>(c.jobs_done), {{"campaign", c.id}, {"state", "done"}})
        .Sample(static_cast<double>(c.jobs_poisoned), {{"campaign", c.id}, {"state", "poisoned"}});
  }
  families.Family("campaign_progress_ratio",
                  "Part of a campaign's jobs, as many as are expected, that is done.",
                  prometheus::MetricType::Gauge);
  for (const CampaignSnapshot& c : campaigns) {
    families.Sample(c.jobs_expected > 0
                        ? static_cast<double>(c.jobs_done) / static_cast<double>(c.jobs_expected)
                        : 0,
                    {{"campaign", c.id}});
  }
  families.Family("campaign_eta_seconds", "Time left at the present speed.",
                  prometheus::MetricType::Gauge);
  for (const CampaignSnapshot& c : campaigns) {
    families.Sample(c.eta_seconds, {{"campaign", c.id}});
  }
  families.Family("campaign_worst_half_width",
                  "Half-width of the widest interval, in percentage points of top-1.",
                  prometheus::MetricType::Gauge);
  for (const CampaignSnapshot& c : campaigns) {
    if (c.has_worst) {
      families.Sample(c.worst.half_width, {{"campaign", c.id}});
    }
  }
}

}  // namespace

std::vector<prometheus::MetricFamily> CoordinatorMetrics::Collect() const {
  absl::Notification listed;
  std::vector<CampaignSnapshot> campaigns;
  coordinator_->ListCampaigns(0, 100, [&](absl::StatusOr<Coordinator::Page> page) {
    if (page.ok()) {
      for (CampaignSnapshot& campaign : page->campaigns) {
        if (!campaign.ended()) {
          campaigns.push_back(std::move(campaign));
        }
      }
    }
    listed.Notify();
  });
  absl::Notification counted;
  double live = 0;
  double gone = 0;
  double quarantined = 0;
  coordinator_->ListWorkers([&](absl::StatusOr<std::vector<WorkerSnapshot>> workers) {
    if (workers.ok()) {
      for (const WorkerSnapshot& worker : *workers) {
        ++(!worker.quarantine.empty() ? quarantined : worker.live ? live : gone);
      }
    }
    counted.Notify();
  });
  listed.WaitForNotification();
  counted.WaitForNotification();
  const CoordinatorCounters counts = coordinator_->counters();
  const Writer::Statistics commits = coordinator_->commit_statistics();

  const auto counter = prometheus::MetricType::Counter;
  const auto gauge = prometheus::MetricType::Gauge;
  MetricFamilies families;
  families.Family("build_info", "Version of the program.", gauge)
      .Sample(1, {{"version", kVersion}, {"component", "server"}});
  AddCampaigns(families, campaigns);
  families.Family("workers", "Workers by state.", gauge)
      .Sample(live, {{"state", "live"}})
      .Sample(gone, {{"state", "gone"}})
      .Sample(quarantined, {{"state", "quarantined"}});
  families.Family("job_outcomes_total", "Reports of jobs by result.", counter)
      .Sample(static_cast<double>(counts.outcomes), {{"result", "done"}})
      .Sample(static_cast<double>(counts.failures), {{"result", "failed"}});
  families.Family("images_total", "Image outcomes committed.", counter)
      .Sample(static_cast<double>(counts.images));
  families.Family("flips_total", "Bits flipped in committed jobs.", counter)
      .Sample(static_cast<double>(counts.flips));
  families.Family("trials_total", "Trials finished.", counter)
      .Sample(static_cast<double>(counts.trials));
  families.Family("lease_expirations_total", "Leases that ended without an answer.", counter)
      .Sample(static_cast<double>(counts.lease_expirations));
  families.Family("duplicate_outcomes_total", "Outcomes of jobs that were done already.", counter)
      .Sample(static_cast<double>(counts.duplicate_outcomes));
  families.Family("digest_mismatches_total", "Digests that differ from what was pinned.", counter)
      .Sample(static_cast<double>(counts.digest_mismatches));
  families.Family("store_commits_total", "Transactions of the store's writer.", counter)
      .Sample(static_cast<double>(commits.commits));
  families.Family("store_commit_seconds_total", "Time spent in them.", counter)
      .Sample(commits.commit_seconds);
  return families.Take();
}

}  // namespace bitquake
