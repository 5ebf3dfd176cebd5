// Checks a parsed file against its description.
#pragma once

#include <optional>

#include "common/campaign/document.h"
#include "common/campaign/field_type.h"

namespace bitquake {

// The value as JSON: fields in the description's order, defaults filled in, whole numbers as
// integers. Nothing if there is a problem; each is added to `problems` with its place.
std::optional<Json> Validate(const Node& node, const FieldType& type, Problems* problems);

}  // namespace bitquake
