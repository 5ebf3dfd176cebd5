// One entry of `granularities:` as checked JSON, and back.
#pragma once

#include "common/campaign/document.h"
#include "common/fault/target.h"

namespace bitquake {

// "block", {"type": ["q"], "per": "block"}, {"head": {"blocks": [0], "types": ["q"]}}, {"block":
// {"bits": "each"}}, {"regex": {"match": "^blocks", "name": "all"}}, with blocks, types and
// positions ascending. `entry` has passed the schema.
Granularity GranularityFromJson(const Json& entry);
Json ToJson(const Granularity& granularity);

// Whether the two can name the same target of a model, so that its cells would be run twice.
bool Overlap(const Granularity& a, const Granularity& b);

}  // namespace bitquake
