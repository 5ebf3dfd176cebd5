// What a description says, for editors and for people.
#pragma once

#include <string>

#include "common/campaign/field_type.h"

namespace bitquake {

// JSON Schema, draft 2020-12, without the header ("$schema", title).
Json ToJsonSchema(const FieldType& type);

// A Markdown table with a row for each field, those of nested maps by their path: "ber.from".
std::string ToMarkdownTable(const MapType& type);

}  // namespace bitquake
