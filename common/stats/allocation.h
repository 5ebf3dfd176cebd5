// Which cells of an adaptive campaign get the next trials: those whose interval is widest for what
// a trial of theirs costs.
//
//   TrialAllocator allocator(rule, cells);
//   while (absl::optional<TrialBatch> batch = allocator.Next()) {
//     // make jobs of the cell's trials below batch->trials that are not stored yet
//   }
//   // when all of them are stored:
//   allocator.Update(cell, sums);
//
// The order, and nothing else, is the allocator's: which trials a cell gets in the end is the
// rule's, cell by cell. So a campaign that is stopped early has spent its work where intervals were
// widest, and one that ends has the same numbers in any order.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "common/stats/sequential.h"

namespace bitquake {

// The trials 0, ..., trials - 1 of a cell are to be done, up to its next look.
struct TrialBatch {
  int64_t cell = 0;    // index
  int64_t trials = 0;  // more than the cell has
};

// Hands out each cell's trials in batches, one batch at a time for each cell. First the cell with
// the largest half-width / cost; cells without an interval yet (fewer than two trials) before all
// others, the cheaper first; of equal ones the one with the lower index. Next and Update cost
// O(log cells).
//
// All state follows from the sums: an allocator made anew from them after a restart goes on as this
// one would have, for a batch that was out is handed out again and has the same last trial.
// Thread-compatible.
class TrialAllocator {
 public:
  struct Cell {
    TrialSums sums;   // of its trials 0, ..., sums.trials - 1
    double cost = 1;  // of one more trial, positive; any unit that cells share
  };

  // `rule` holds for all cells.
  TrialAllocator(SequentialRule rule, absl::Span<const Cell> cells);

  // Another cell; returns its index, which follows the last one's.
  int64_t AddCell(const Cell& cell);

  // The next batch; none when every cell is done or has a batch out.
  absl::optional<TrialBatch> Next();

  // The sums of a cell whose batch has come in. Before its last trial is in (sums.trials below the
  // batch's) they count only for WidestHalfWidth; what a cell that is done gets is ignored.
  void Update(int64_t cell, const TrialSums& sums);

  int64_t open_cells() const { return open_cells_; }  // not done yet
  // Of the open cells; infinite if one has fewer than two trials, 0 if none is open. O(cells).
  double WidestHalfWidth() const;
  // Trials that the open cells would still take if their variance and skewness stayed (those
  // without them: up to the next look), times their costs. O(cells).
  double ForecastCost() const;

 private:
  struct State {
    Cell cell;
    int64_t batch = 0;  // trials at the end of the batch that is out or waits; 0 when done
  };
  struct Entry {
    double width_for_cost;
    double cost;
    int64_t cell;
    int64_t batch;
  };
  struct ComesLater {
    bool operator()(const Entry& a, const Entry& b) const;
  };

  // Decides whether the cell is done; if not, queues its next batch.
  void Queue(int64_t cell);

  SequentialRule rule_;
  std::vector<State> cells_;
  std::priority_queue<Entry, std::vector<Entry>, ComesLater> queue_;
  int64_t open_cells_ = 0;
};

}  // namespace bitquake
