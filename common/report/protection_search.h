// Measures sets of a protection plan until the smallest that holds is found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "common/report/protection_plan.h"
#include "common/report/results.h"

namespace bitquake {

struct Confirmation {
  size_t set = 0;         // of the plan
  Loss loss;              // measured
  int64_t trials = 0;     // that measured it; 0 where everything is protected
  int64_t campaigns = 0;  // run in all
  // Whether the next smaller set of the plan was measured, and did not hold.
  bool smallest = false;
};

// The smallest set of the plan that holds, measured: begins with the one that is predicted to, goes
// up until one holds or down until one does not, then halves what lies between. That larger sets
// of a plan lose less is taken for granted. Errors: ResourceExhausted if none was found to hold
// within `most` campaigns; those of the campaigns.
absl::StatusOr<Confirmation> Confirm(
    const ProtectionPlan& plan, const LossLimit& limit, int64_t most,
    const std::function<absl::StatusOr<CellResult>(size_t set)>& measure);

}  // namespace bitquake
