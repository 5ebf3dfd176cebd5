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

class LeaseRunner {
 public:
  // `workbench` must outlive the runner.
  explicit LeaseRunner(Workbench* workbench) : workbench_(workbench) {}

  // Reports through `report` (worker and sequence unset) what was done or why it could not be; the
  // last report is the lease's end, unless `cancelled` became true. Failures of a job are reports,
  // not errors of this call.
  void Run(const v1::Lease& lease, const std::function<bool()>& cancelled,
           const std::function<void(v1::OutcomeReport)>& report);

  // What the trials of a lease flip; nothing is run, and no images are needed.
  absl::StatusOr<std::vector<TrialFlips>> Flips(const v1::Lease& lease);

 private:
  struct Bench;         // what the lease's jobs share
  class KnownOutcomes;  // of trials of one fold
  // Without images, and without an evaluator.
  absl::StatusOr<Bench> PrepareModel(const v1::Lease& lease);
  absl::Status PrepareEvaluator(const v1::Lease& lease, Bench& bench);
  absl::StatusOr<Bench> Prepare(const v1::Lease& lease, const std::function<bool()>& cancelled);
  absl::Status RunProbe(const v1::Lease& lease, const std::function<bool()>& cancelled,
                        const std::function<void(v1::OutcomeReport)>& report);
  absl::Status RunGolden(const v1::Lease& lease, const std::function<bool()>& cancelled,
                         const std::function<void(v1::OutcomeReport)>& report);
  absl::Status RunTrials(const v1::Lease& lease, const std::function<bool()>& cancelled,
                         const std::function<void(v1::OutcomeReport)>& report);

  absl::Status RunBatch(const Bench& bench, const TrialBatch& batch,
                        const std::function<bool()>& cancelled,
                        const std::function<void(v1::OutcomeReport)>& report, KnownOutcomes& known);

  Workbench* const workbench_;
};

}  // namespace bitquake
