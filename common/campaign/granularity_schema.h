// The description of `granularities:`, a part of that in schema.h.
#pragma once

#include "common/campaign/field_type.h"

namespace bitquake {

inline constexpr size_t kMaxGranularities = 64;

// A list; no two entries name the same target.
FieldType GranularitiesType();

}  // namespace bitquake
