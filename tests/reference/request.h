// What the programs of the reference tests have in common: requests and fault lists as JSON.
#pragma once

#include "absl/status/statusor.h"
#include "common/fault/fault_list.h"
#include "common/fault/fault_model.h"
#include "common/fault/number_format.h"
#include "common/fault/target.h"
#include "nlohmann/json.hpp"

namespace bitquake {

// {"kind": "bit_flip", "sampling": "exact", "count": 3, "burst_length": 2, "positions": [7],
//  "list": [["head.weight", 17, 0], ...]}; only kind must be there.
FaultModel FaultModelOf(const nlohmann::json& json);

// {"scale": "per_channel", "percentile": 99.5}; none must be there.
Quantization QuantizationOf(const nlohmann::json& json);

// {"kind": "block", "blocks": [0], "positions": [7], "pattern": "fc1", "name": "blocks.0"}: of the
// targets of this granularity, the one of that name; without a name, the only one.
absl::StatusOr<Target> TargetOf(const nlohmann::json& json, const Surface& surface,
                                const NumberFormat& format);

// [[name of a tensor, [[index, mask, value], ...]], ...]
nlohmann::json ToJson(const FaultList& faults, const Surface& surface);

}  // namespace bitquake
