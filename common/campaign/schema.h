// The campaign file, described once: its fields, their meanings, bounds and defaults. The
// validator, the JSON Schema and the reference all read this description.
#pragma once

#include "common/campaign/field_type.h"

namespace bitquake {

// Limits on what a file's lists may expand to.
inline constexpr size_t kMaxModels = 64;
inline constexpr size_t kMaxFormats = 64;
inline constexpr size_t kMaxSurfacePatterns = 64;

FieldType CampaignType();

}  // namespace bitquake
