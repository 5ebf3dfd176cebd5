// What tells the alternatives of a OneOfType apart.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/campaign/field_type.h"

namespace bitquake {

// Whether a value of the node's kind can be of the type at all.
bool KindFits(const Node& node, const FieldType& type);

// The fields of a type that is a map; the first is the one that it is told from other maps by.
const std::vector<Field>& FieldsOf(const FieldType& map);
std::vector<std::string> FieldNames(const FieldType& map);
bool HasField(const FieldType& map, const std::string& name);

// The node's text, if it is none of the words of `fitting`, and an alternative of `type` is a map
// that begins with it: "burst" for {burst: 3}.
std::optional<std::string> BareFirstField(const Node& node, const FieldType& fitting,
                                          const OneOfType& type);

}  // namespace bitquake
