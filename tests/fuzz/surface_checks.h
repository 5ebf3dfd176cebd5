// What holds of any targets of any surface.
#pragma once

#include <vector>

#include "common/fault/target.h"
#include "common/model/surface.h"

namespace bitquake {

// Each range lies in its tensor, and the ranges of a target are disjoint; at its bit positions, so
// are those of targets of different positions.
void MustLieWithin(const Surface& surface, const std::vector<Target>& targets);

// In a format and by a granularity that do, the targets have each word of the surface once.
void MustPartition(const Surface& surface, const std::vector<Target>& targets);

// Expands the granularities that need no arguments: targets, or an error.
void ExpandPlainGranularities(const Surface& surface, const NumberFormat& format);

}  // namespace bitquake
