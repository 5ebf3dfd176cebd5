// What the coordinator says of itself, for metrics.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "server/scheduler/work.h"

namespace bitquake {

// Counts since the start, of what was committed.
struct CoordinatorCounters {
  int64_t outcomes = 0;
  int64_t duplicate_outcomes = 0;
  int64_t failures = 0;
  int64_t poisoned = 0;  // jobs that were set aside
  int64_t lease_expirations = 0;
  int64_t digest_mismatches = 0;
  int64_t images = 0;
  int64_t flips = 0;
  int64_t trials = 0;
};

struct CampaignFigures {
  CampaignSnapshot snapshot;
  int64_t jobs_ready = 0;  // that no worker has, made already or not
  // What one worker would need for them, at the mean of the speeds by which leases are sized. Empty
  // while no speed is known, or the number of images is not.
  std::optional<absl::Duration> ready_work;
};

struct CoordinatorFigures {
  // Campaigns beyond the first so many that have not ended are left out: the first get the leases.
  static constexpr int kMostCampaigns = 20;

  CoordinatorCounters counters;
  int64_t leases = 0;
  int64_t workers_live = 0;
  int64_t workers_gone = 0;
  int64_t workers_quarantined = 0;
  std::vector<CampaignFigures> campaigns;  // that have not ended, in the order of submission
};

}  // namespace bitquake
