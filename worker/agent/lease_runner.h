// Runs the jobs of a lease and reports each: a probe, golden runs, or trials fold by fold.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "bitquake/v1/worker.pb.h"
#include "worker/agent/workbench.h"

namespace bitquake {

class LeaseRunner {
 public:
  // `workbench` must outlive the runner.
  explicit LeaseRunner(Workbench* workbench) : workbench_(workbench) {}

  // Reports through `report` (worker and sequence unset) what was done or why it could not be; the
  // last report is the lease's end, unless `cancelled` became true. Failures of a job are reports,
  // not errors of this call.
  void Run(const v1::Lease& lease, const std::function<bool()>& cancelled,
           const std::function<void(v1::OutcomeReport)>& report);

 private:
  struct Bench;  // what the lease's jobs share
  absl::StatusOr<Bench> Prepare(const v1::Lease& lease, const std::function<bool()>& cancelled);
  absl::Status RunProbe(const v1::Lease& lease, const std::function<bool()>& cancelled,
                        const std::function<void(v1::OutcomeReport)>& report);
  absl::Status RunGolden(const v1::Lease& lease, const std::function<bool()>& cancelled,
                         const std::function<void(v1::OutcomeReport)>& report);
  absl::Status RunTrials(const v1::Lease& lease, const std::function<bool()>& cancelled,
                         const std::function<void(v1::OutcomeReport)>& report);

  Workbench* const workbench_;
};

}  // namespace bitquake
