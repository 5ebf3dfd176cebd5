// One trial computed again, apart from any coordinator: `bitquake replay` compares it with what is
// stored. It goes the way that the leases of a worker go.
#pragma once

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/report/trial_record.h"
#include "worker/agent/workbench.h"

namespace bitquake {

// Writes the bits that the trial flips as CSV, `tensor,index,bit` (the word in its tensor,
// row-major; bit 0 = least significant), in forward order. Needs the model alone.
absl::Status WriteFaults(const TrialSetup& setup, Workbench& workbench, std::ostream& out);

// Runs the trial on its folds. `device_kind` is that of the workbench's evaluators. Errors: what a
// worker would report, among them FailedPrecondition for a model or data set that is not the one
// pinned.
absl::StatusOr<TrialMeasurement> MeasureAgain(const TrialSetup& setup, Workbench& workbench,
                                              const std::string& device_kind);

}  // namespace bitquake
