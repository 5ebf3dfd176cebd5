// How faithful a compute mode is to fp32: how often both predict the same class.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/engine/evaluator.h"

namespace bitquake {

struct Fidelity {
  std::string compute;
  // Of images without faults, and of images times trials under the same faults: how many, how many
  // have fp32's prediction, and how many are right in this mode and in fp32.
  struct Agreement {
    int64_t images = 0;
    int64_t same = 0;
    int64_t top1 = 0;
    int64_t fp32_top1 = 0;
  };
  Agreement golden;
  Agreement faulty;
};

// Measures every mode that the device has on `fold`. Predictions under faults that are not finite
// count as a class of their own. `options` names the device, the format and the chunk; its compute
// is not used. Errors: as of CreateEvaluator and Evaluator::Run.
absl::StatusOr<std::vector<Fidelity>> MeasureFidelity(const ModelSnapshot& snapshot,
                                                      const EvaluatorOptions& options,
                                                      const FoldImages& fold,
                                                      absl::Span<const FaultList> trials);

}  // namespace bitquake
