// `trials:` and `interval:`, a part of what schema.h describes.
#pragma once

#include <optional>

#include "common/campaign/document.h"
#include "common/campaign/field_type.h"
#include "common/stats/trial_design.h"

namespace bitquake {

// A number of trials, or how many at least and at most.
FieldType TrialsType();
FieldType IntervalType();

// What `trials` and `interval` say together. Both have passed the schema.
TrialDesign TrialsFromJson(const Json& trials, const Json& interval);
// The shortest `trials` that says it.
Json TrialsToJson(const TrialDesign& design);

// What is wrong with `trials`, given the interval and whether rates are searched; "trials" is its
// part.
std::optional<Complaint> CheckTrialDesign(const TrialDesign& design, bool searches);

}  // namespace bitquake
