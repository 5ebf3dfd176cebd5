// For `bitquake doctor`: what this worker would compute with, and how faithful its compute modes
// are to fp32. Request and answer are JSON.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/agent/workbench.h"
#include "worker/engine/fidelity.h"

namespace bitquake {

// As MeasureFidelity.
using FidelityMeasure = std::function<absl::StatusOr<std::vector<Fidelity>>(
    const ModelSnapshot&, const EvaluatorOptions&, const FoldImages&, absl::Span<const FaultList>)>;

struct DoctorOptions {
  std::string device;  // of the workbench
  std::string device_kind;
  std::optional<DeviceMemory> memory;
  FidelityMeasure measure_fidelity;
};

// The request has some of two parts, or none: {"golden": {"model": NAME, "dataset": NAME}} and
// {"fidelity": {"model": NAME, "dataset": NAME, "format": "int8", "ber": 1e-5,
// "trials": 10, "images": 1000, "seed": 0}}, all of them given. The answer: device, device_kind,
// memory (of a CUDA device: used, total in bytes); with golden the images, and how many are right
// in fp32 (top1, top5); with fidelity for each compute mode its agreement. Errors: InvalidArgument
// for another request; as of the workbench and the measure.
absl::StatusOr<std::string> Examine(absl::string_view request, Workbench& workbench,
                                    const DoctorOptions& options);

}  // namespace bitquake
