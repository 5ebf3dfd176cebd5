// Runs the jobs of a lease and reports each: a probe, golden runs, or trials fold by fold.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bitquake/v1/worker.pb.h"
#include "common/fault/fault_list.h"
#include "worker/agent/trial_draw.h"
#include "worker/agent/workbench.h"

namespace bitquake {

// For each job of a lease of trials: the bits that it really flips.
struct TrialFlips {
  int64_t job = 0;
  Surface surface;  // the list numbers its tensors
  FaultList flips;
};

// How a lease's runner speaks with who holds the lease, on the runner's thread.
struct LeaseHooks {
  // Asked between chunks: true leaves the lease at once.
  std::function<bool()> leave = [] { return false; };
  // Asked between the calls of the evaluator: true leaves the lease with what it has reported.
  std::function<bool()> finish = [] { return false; };
  // Told before jobs run: these are at work now, and no others.
  std::function<void(const std::vector<int64_t>& jobs)> begin = [](const auto&) {};
  // Given what was done or why it could not be (worker and sequence unset).
  std::function<void(v1::OutcomeReport)> report;
};

class LeaseRunner {
 public:
  // `workbench` must outlive the runner.
  explicit LeaseRunner(Workbench* workbench) : workbench_(workbench) {}

  // The last report is the lease's end, unless it was left before. Failures of a job are reports,
  // not errors of this call. Errors: Cancelled (the lease was left); Aborted (the device is lost:
  // the lease's end says so, and this process can compute no more).
  absl::Status Run(const v1::Lease& lease, const LeaseHooks& hooks);

  // What the trials of a lease flip; nothing is run, and no images are needed.
  absl::StatusOr<std::vector<TrialFlips>> Flips(const v1::Lease& lease);

 private:
  struct Bench;         // what the lease's jobs share
  class KnownOutcomes;  // of trials of one fold
  // Without images, and without an evaluator.
  absl::StatusOr<Bench> PrepareModel(const v1::Lease& lease);
  absl::Status PrepareEvaluator(const v1::Lease& lease, Bench& bench);
  absl::StatusOr<Bench> Prepare(const v1::Lease& lease, const LeaseHooks& hooks);
  absl::Status RunProbe(const v1::Lease& lease, const LeaseHooks& hooks);
  absl::Status RunGolden(const v1::Lease& lease, const LeaseHooks& hooks);
  absl::Status RunTrials(const v1::Lease& lease, const LeaseHooks& hooks);
  absl::Status RunBatch(const Bench& bench, const TrialBatch& batch, const LeaseHooks& hooks,
                        KnownOutcomes& known);

  Workbench* const workbench_;
};

}  // namespace bitquake
