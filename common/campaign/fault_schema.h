// The description of `fault:`, a part of that in schema.h.
#pragma once

#include "common/campaign/field_type.h"

namespace bitquake {

// One fault model, or a list of several.
FieldType FaultsType();

}  // namespace bitquake
