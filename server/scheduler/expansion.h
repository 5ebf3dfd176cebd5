// From a campaign to cells to jobs, in the store. Lazily: cells when every model has been probed,
// jobs wave by wave.
//
// The (cell, trial) pairs of a variant are numbered trial-major: pair p is cell p % cells in trial
// p / cells, so that all cells gain trials evenly. A wave makes the jobs of the next pairs, for
// every fold that their trials see, a batch for each fold: a lease cut from it shares one golden
// pass. An adaptive campaign, or a search, has its waves from a TrialPlan instead, and a search
// begins with one cell a target.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/campaign/campaign.h"
#include "server/scheduler/work.h"
#include "server/store/database.h"

namespace bitquake {

inline constexpr int64_t kMaxCells = 2'000'000;

// Adds the campaign, its variants and its probe jobs; it is in state probing. Each model has its
// fp32 variant as the reference, measured or not. Returns false if `request_id` was used before;
// `id` is then the campaign's.
absl::StatusOr<bool> AddCampaign(Database& db, const Campaign& campaign,
                                 const std::string& request_id, int64_t unix_ms, std::string* id);

// What a probe of `model` found: pins the digests, or refuses (FailedPrecondition, naming what
// differs) if others are pinned. When it was the last, expands the campaign into cells and golden
// jobs and sets it running; a selector that matches nothing, or too many cells, makes it failed.
absl::Status AcceptProbe(Database& db, const std::string& campaign, const std::string& model,
                         const ProbeOutcome& probe);

// Makes the next wave of the campaign's variant that is furthest behind. False if all pairs have
// their jobs. Not of a campaign whose trials are planned (trial_plan.h).
absl::StatusOr<bool> ExpandWave(Database& db, const std::string& id, const Campaign& campaign,
                                int64_t pairs);

// A trial that a cell is to have.
struct CellTrial {
  int64_t cell = 0;
  uint32_t trial = 0;
};

// Makes the jobs of these trials of a variant, on every fold that they see, a batch for each fold.
absl::Status AddTrialJobs(Database& db, const std::string& campaign_id, int64_t variant,
                          const Campaign& campaign, int folds,
                          const std::vector<CellTrial>& trials);

// SQL: how many folds a row of campaigns has; 0 before it is probed, or if it is damaged.
inline constexpr char kFoldCount[] =
    "iif(json_valid(fold_sizes), json_array_length(fold_sizes), 0)";

// The folds that a trial sees.
std::vector<int> FoldsOfTrial(const Campaign& campaign, int folds, uint32_t trial);

// What a probe found of a model's tensors, as the store keeps it. Errors: DataLoss.
absl::StatusOr<std::vector<TensorInfo>> TensorsFromJson(const Database& db,
                                                        const std::string& campaign,
                                                        const std::string& text);

absl::StatusOr<Campaign> LoadCampaign(Database& db, const std::string& id);

}  // namespace bitquake
