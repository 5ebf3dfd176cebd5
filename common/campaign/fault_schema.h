// The description of `fault:`, a part of that in schema.h.
#pragma once

#include "common/campaign/field_type.h"

namespace bitquake {

FieldType FaultType();

}  // namespace bitquake
