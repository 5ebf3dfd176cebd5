// The description of `protection:` and `protect:` of a fault model, parts of that in schema.h.
#pragma once

#include "common/campaign/field_type.h"

namespace bitquake {

FieldType ProtectionType();
FieldType ProtectType();

}  // namespace bitquake
