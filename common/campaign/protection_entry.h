// `protection:` and `protect:` of a fault model, as checked JSON, and back.
#pragma once

#include <vector>

#include "common/campaign/document.h"
#include "common/fault/fault_model.h"
#include "common/fault/protection.h"

namespace bitquake {

// "secded", {"scheme": "secded", "uncorrectable": "zero", "check_bits": "exposed"}. They have
// passed the schema.
Protection ProtectionFromJson(const Json& protection);
Json ToJson(const Protection& protection);

// ["blocks.0", {"target": "blocks.3", "top": 2}, {"match": "^head\\."}]
std::vector<FaultModel::Protected> ProtectedFromJson(const Json& protect);
Json ToJson(const std::vector<FaultModel::Protected>& protect);

}  // namespace bitquake
