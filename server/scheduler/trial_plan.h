// What an adaptive campaign, or a search for thresholds, does next: which trials its cells get, and
// which cells a search adds.
//
// Trials come in batches that end at the looks of the stopping rule (common/stats/sequential.h).
// When a batch is complete, the cell's sums are stored and the rule decides: the cell is done, or
// its next batch waits for its turn, the widest interval for its cost first (TrialAllocator). When
// all cells of a target are done, the search (PlanSearch) says which rates to measure next. A cell
// with a poisoned trial is never complete: it gets no more trials, its target no more cells, and
// what it has is reported as interim.
//
// Which trials and cells there are in the end follows from the trials' outcomes alone. All is
// stored: a plan made anew goes on as this one would have. Decisions cost O(log cells) and one
// reading of the cell's trials.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/campaign/campaign.h"
#include "common/stats/allocation.h"
#include "common/stats/threshold_search.h"
#include "common/stats/trial_design.h"
#include "server/store/database.h"

namespace bitquake {

// Whether the campaign's trials are planned as it goes on; else all of them are known beforehand.
bool IsPlanned(const Campaign& campaign);

// The grid and the losses of the campaign's search, which it must have.
SearchProblem SearchProblemOf(const Campaign& campaign);

// Thread-compatible. After an error of MakeJobs or TrialFinished, whose changes the store is to
// forget, a plan is spent: make another.
class TrialPlan {
 public:
  // Of a campaign whose golden outcomes are all known; null if they are not, for the bounds of
  // losses and so the looks depend on them. The first call adds the jobs of all cells' first
  // batches to the campaign's total.
  static absl::StatusOr<std::unique_ptr<TrialPlan>> Load(Database& db, const std::string& id,
                                                         const Campaign& campaign);

  // Makes the jobs of the next batches, of `trials` trials or a few more. False if there was none:
  // every cell is done, or has its jobs.
  absl::StatusOr<bool> MakeJobs(Database& db, int64_t trials);

  // A trial of the cell has finished, and is counted in the store.
  absl::Status TrialFinished(Database& db, int64_t cell);

  // Jobs that will be needed beyond those counted in the campaign's total, as far as the present
  // deviations tell. O(1).
  int64_t ForecastJobs() const;

 private:
  struct Cell {
    int64_t id = 0;
    int64_t variant = 0;
    int group = -1;        // of a search
    int rate = 0;          // index into the grid of a search
    int64_t wanted = 0;    // trials that have jobs
    int64_t counted = 0;   // trials whose jobs are in the campaign's total, from the first look on
    int64_t forecast = 0;  // trials in the end; 0 before the first look
    bool done = false;
  };
  // The cells of one target under one fault model, between whose rates a search chooses.
  struct Group {
    int64_t first_position = 0;  // of the grid's first rate
    std::vector<int64_t> cells;  // indices
    int64_t open = 0;            // of them
  };
  using Rules = std::map<int64_t, PrecisionRule>;  // by variant

  TrialPlan(std::string id, const Campaign& campaign, int folds, SequentialRule stopping,
            Rules rules);

  absl::Status LoadCells(Database& db);
  absl::Status CountFirstBatches(Database& db);
  int64_t AddCell(const Cell& added, const TrialSums& sums);
  absl::Status CloseCell(Database& db, int64_t index);
  absl::Status ContinueSearch(Database& db, Group& group);
  absl::Status AddCells(Database& db, Group& group, const std::vector<int>& rates);
  static absl::StatusOr<std::vector<double>> Losses(Database& db, int64_t cell);
  absl::Status CountJobs(Database& db, int64_t trials);
  void SetForecast(Cell& cell, const TrialSums& sums);
  int RateIndex(double ber) const;

  const std::string id_;
  const Campaign campaign_;
  const int folds_;
  const int64_t folds_per_trial_;
  const SequentialRule stopping_;
  const Rules rules_;
  SearchProblem search_;             // of a search
  double cells_of_a_search_ = 0;     // to be expected
  std::map<int64_t, double> costs_;  // of a trial, by variant
  TrialAllocator allocator_;
  std::vector<Cell> cells_;
  absl::flat_hash_map<int64_t, int64_t> index_of_;  // by id
  std::vector<Group> groups_;
  // For the forecast: cells that had a look, trials that they will have had beyond the first look,
  // and those among these that are not counted in the total yet.
  int64_t looked_cells_ = 0;
  int64_t looked_trials_ = 0;
  int64_t uncounted_trials_ = 0;
  double missing_cells_ = 0;  // that unfinished searches are expected to add
};

}  // namespace bitquake
