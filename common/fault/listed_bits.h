// The bits of a fault list that someone else wrote (`list:` of the fault model), found in a model.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/fault/fault_list.h"
#include "common/fault/fault_model.h"
#include "common/model/surface.h"

namespace bitquake {

// The listed bits as flips, those of one word merged. Errors: InvalidArgument that names the entry,
// counted from 1: its tensor is not on the surface (near names are given), its word is not in the
// tensor, or an earlier entry is the same bit. Whether a bit is in the word is CheckFaultModel's.
absl::StatusOr<FaultList> FindListedBits(const Surface& surface,
                                         const std::vector<FaultModel::ListedBit>& list);

}  // namespace bitquake
