#include "worker/agent/trial_draw.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

// Of a batch, of which two are held at a time: 16 bytes for each faulty word, and the engine's as
// many where bits are set.
constexpr int64_t kFaultyWordsTogether = int64_t{1} << 23;

constexpr size_t kTrialsPerThread = 4;  // between two looks at the memory that a batch takes

}  // namespace

absl::StatusOr<TrialDraw> TrialDraw::Make(const Campaign& campaign, const Surface& surface,
                                          const NumberFormat& format, const v1::TrialWork& work) {
  TrialDraw draw(campaign, surface, format);
  for (const v1::CellSpec& cell : work.cells()) {
    RETURN_IF_ERROR(draw.AddCell(cell));
  }
  for (const v1::TrialJob& job : work.jobs()) {
    if (draw.cells_.count(job.cell_id()) == 0) {
      return absl::InvalidArgumentError(absl::StrCat("job ", job.job_id(), ": unknown cell"));
    }
  }
  return draw;
}

absl::StatusOr<FaultList> TrialDraw::Faults(const v1::TrialJob& job,
                                            const GoldenWords& golden) const {
  const v1::CellSpec& cell = *cells_.at(job.cell_id());
  return sources_.at(cell.fault())
      .Draw(targets_.at(cell.granularity_index()).at(cell.target()), campaign_.seed, job.trial(),
            cell.ber(), golden);
}

absl::Status TrialDraw::AddCell(const v1::CellSpec& cell) {
  cells_[cell.cell_id()] = &cell;
  const int index = cell.granularity_index();
  if (index < 0 || index >= static_cast<int>(campaign_.granularities.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("cell ", cell.cell_id(), ": granularity ", index, " is not in the campaign"));
  }
  if (targets_.count(index) == 0) {
    ASSIGN_OR_RETURN(std::vector<Target> expanded,
                     ExpandTargets(surface_, campaign_.granularities[index], format_));
    for (Target& target : expanded) {
      targets_[index][target.name] = std::move(target);
    }
  }
  if (sources_.count(cell.fault()) == 0) {
    ASSIGN_OR_RETURN(const FaultModel* fault, FindFault(campaign_, cell.fault()));
    ASSIGN_OR_RETURN(FaultSource source, FaultSource::Make(surface_, *fault, format_));
    sources_.emplace(cell.fault(), std::move(source));
  }
  return targets_[index].count(cell.target()) > 0
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   absl::StrCat("cell ", cell.cell_id(), ": no target '", cell.target(), "'"));
}

TrialBatches::TrialBatches(const TrialDraw* draw, const GoldenWords* golden, const Surface* surface,
                           const v1::TrialWork* work, int threads, bool one_by_one)
    : draw_(draw),
      golden_(golden),
      surface_(surface),
      threads_(std::max(threads, 1)),
      one_by_one_(one_by_one) {
  std::map<int, Jobs> by_fold;
  for (const v1::TrialJob& job : work->jobs()) {
    by_fold[job.fold()].push_back(&job);
  }
  folds_.assign(by_fold.begin(), by_fold.end());
}

absl::StatusOr<std::optional<TrialBatch>> TrialBatches::Next() {
  absl::StatusOr<std::optional<TrialBatch>> batch = ahead_.valid() ? ahead_.get() : Draw();
  if (batch.ok() && batch->has_value()) {
    ahead_ = std::async(std::launch::async, [this] { return Draw(); });
  }
  return batch;
}

absl::StatusOr<std::optional<TrialBatch>> TrialBatches::Draw() {
  while (fold_ < folds_.size() && job_ == folds_[fold_].second.size()) {
    ++fold_;
    job_ = 0;
  }
  if (fold_ == folds_.size()) {
    return std::optional<TrialBatch>();
  }
  const auto& [fold, jobs] = folds_[fold_];
  TrialBatch batch;
  batch.fold = fold;
  int64_t words = 0;
  while (job_ < jobs.size() && words < kFaultyWordsTogether) {
    // One first: by its size it is known how many fit.
    const size_t drawn = batch.trials.size();
    const int64_t each =
        drawn == 0 ? kFaultyWordsTogether : words / static_cast<int64_t>(drawn) + 1;
    const auto fit =
        static_cast<size_t>(std::max<int64_t>((kFaultyWordsTogether - words) / each, 1));
    const size_t most = one_by_one_ ? 1 : kTrialsPerThread * threads_;
    const size_t count = std::min({fit, most, jobs.size() - job_});
    const auto first = jobs.begin() + static_cast<int64_t>(job_);
    ASSIGN_OR_RETURN(const int64_t touched, DrawTogether(Jobs(first, first + count), &batch));
    words += touched;
    job_ += count;
    if (one_by_one_) {
      break;
    }
  }
  return std::optional<TrialBatch>(std::move(batch));
}

absl::StatusOr<int64_t> TrialBatches::DrawTogether(const Jobs& jobs, TrialBatch* batch) const {
  const size_t first = batch->trials.size();
  batch->trials.resize(first + jobs.size());
  const auto draw_share = [&](size_t share, size_t shares) -> absl::Status {
    for (size_t i = share; i < jobs.size(); i += shares) {
      TrialBatch::Trial& trial = batch->trials[first + i];
      trial.job = jobs[i];
      ASSIGN_OR_RETURN(trial.faults, draw_->Faults(*jobs[i], *golden_));
      trial.digest = trial.faults.Digest(*surface_);
    }
    return absl::OkStatus();
  };
  const size_t shares = std::min<size_t>(threads_, jobs.size());
  std::vector<std::future<absl::Status>> others;
  for (size_t share = 1; share < shares; ++share) {
    others.push_back(std::async(std::launch::async, draw_share, share, shares));
  }
  absl::Status status = draw_share(0, shares);
  for (std::future<absl::Status>& other : others) {
    status.Update(other.get());
  }
  RETURN_IF_ERROR(status);
  int64_t words = 0;
  for (size_t i = first; i < batch->trials.size(); ++i) {
    for (const TensorFaults& tensor : batch->trials[i].faults.tensors) {
      words += static_cast<int64_t>(tensor.faults.size());
    }
  }
  return words;
}

}  // namespace bitquake
