// The faults of a lease's trials, drawn on all threads and one batch ahead of the device.
#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "bitquake/v1/worker.pb.h"
#include "common/campaign/campaign.h"
#include "common/fault/fault_source.h"

namespace bitquake {

// Thread-safe once made. What it is made of must outlive it.
class TrialDraw {
 public:
  // Errors: InvalidArgument for a cell that the campaign does not have, or a job of another cell.
  static absl::StatusOr<TrialDraw> Make(const Campaign& campaign, const Surface& surface,
                                        const NumberFormat& format, const v1::TrialWork& work);

  // `golden`: the words of the evaluator that will run the trial.
  absl::StatusOr<FaultList> Faults(const v1::TrialJob& job, const GoldenWords& golden) const;

 private:
  TrialDraw(const Campaign& campaign, const Surface& surface, const NumberFormat& format)
      : campaign_(campaign), surface_(surface), format_(format) {}

  absl::Status AddCell(const v1::CellSpec& cell);

  const Campaign& campaign_;
  const Surface& surface_;
  const NumberFormat& format_;
  std::map<int, std::map<std::string, Target>> targets_;  // by granularity, by name
  std::map<std::string, FaultSource> sources_;            // by label
  std::map<int64_t, const v1::CellSpec*> cells_;
};

// Trials of one fold that share a call of the evaluator, and with it golden's pass.
struct TrialBatch {
  struct Trial {
    const v1::TrialJob* job = nullptr;
    FaultList faults;
    std::string digest;  // of the faults
  };
  int fold = 0;
  std::vector<Trial> trials;
};

// A lease's trials in batches, fold by fold, in their order: as many together as their fault lists
// fit in memory, or each by itself. While one batch is computed the next is drawn.
// Thread-compatible.
class TrialBatches {
 public:
  // All must outlive this object. `threads` draw at a time.
  TrialBatches(const TrialDraw* draw, const GoldenWords* golden, const Surface* surface,
               const v1::TrialWork* work, int threads, bool one_by_one = false);

  // Nothing at the end. Errors: as DrawFaults.
  absl::StatusOr<std::optional<TrialBatch>> Next();

 private:
  using Jobs = std::vector<const v1::TrialJob*>;

  absl::StatusOr<std::optional<TrialBatch>> Draw();
  // Appends the trials of some jobs; returns the words that they touch.
  absl::StatusOr<int64_t> DrawTogether(const Jobs& jobs, TrialBatch* batch) const;

  const TrialDraw* const draw_;
  const GoldenWords* const golden_;
  const Surface* const surface_;
  const int threads_;
  const bool one_by_one_;
  std::vector<std::pair<int, Jobs>> folds_;
  // Of Draw, which runs on one thread at a time.
  size_t fold_ = 0;
  size_t job_ = 0;
  std::future<absl::StatusOr<std::optional<TrialBatch>>> ahead_;  // last: its end is awaited first
};

}  // namespace bitquake
